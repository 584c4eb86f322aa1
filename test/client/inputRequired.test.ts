/**
 * Demands for input (2026-07-28, "Multi Round-Trip Requests"): what is sent back, how often, and what cannot be answered.
 */
import { Elicitation, type McpClient, type McpClientError, RequestRejected, Roots, Sampling } from "@effect-mcp/client"
import * as TestTransport from "@effect-mcp/testing/TestTransport"
import type { JsonRpc } from "@effect-mcp/transport"
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import {
  connected,
  failedWith,
  failureOf,
  isRunning,
  metaOf,
  now,
  settle,
  start,
  type SubjectOptions,
  text
} from "./support/calls.ts"

const { result } = TestTransport

interface Asking {
  readonly method: string
  readonly params: JsonRpc.Params
  readonly answer: { readonly [member: string]: unknown }
  readonly run: (
    client: McpClient.Service,
    options?: McpClient.CallOptions
  ) => Effect.Effect<unknown, McpClientError.McpClientError>
}

const askings: ReadonlyArray<Asking> = [
  {
    method: "tools/call",
    params: { name: "a", arguments: { b: 1 } },
    answer: text("done"),
    run: (client, options) => client.callTool("a", { b: 1 }, options)
  },
  {
    method: "prompts/get",
    params: { name: "a", arguments: { b: "c" } },
    answer: { messages: [] },
    run: (client, options) => client.getPrompt("a", { b: "c" }, options)
  },
  {
    method: "resources/read",
    params: { uri: "file:///a" },
    answer: { contents: [] },
    run: (client, options) => client.readResource("file:///a", options)
  }
]

const form = (message: string) => ({
  method: "elicitation/create",
  params: { mode: "form", message, requestedSchema: { type: "object", properties: { name: { type: "string" } } } }
})

const sampling = {
  method: "sampling/createMessage",
  params: { messages: [{ role: "user", content: { type: "text", text: "?" } }], maxTokens: 5 }
}

const required = (members: { readonly [member: string]: unknown }) =>
  result({ resultType: "input_required", ...members })

const accepted = (name: string): Elicitation.ElicitResult => ({ action: "accept", content: { name } })

const Answers = Layer.mergeAll(
  Elicitation.layer({ form: ({ message }) => Effect.succeed(accepted(message)) }),
  Sampling.layer({
    createMessage: () => Effect.succeed({ role: "assistant", content: { type: "text", text: "!" }, model: "m" })
  }),
  Roots.layerConst([{ uri: "file:///root" }])
)

const modern = (options: SubjectOptions = {}) => connected("Modern", {}, options).pipe(Effect.provide(Answers))

/** The parameters without `_meta`. */
const paramsOf = (message: JsonRpc.Message): { readonly [name: string]: unknown } => {
  const { _meta: _, ...rest } = ("params" in message ? message.params : undefined) ?? {}
  return rest
}

describe.each(askings)("$method", ({ answer, method, params, run }) => {
  const states: ReadonlyArray<string> = ["", " ", "opaque", "\u0000\ud83d\ude00\"\\", "x".repeat(100_000), "{\"a\":1}"]
  it.scoped.each(states.map((state) => [JSON.stringify(state).slice(0, 20), state] as const))(
    "the requestState %s comes back exactly",
    ([, requestState]) =>
      Effect.gen(function*() {
        const { client, next } = yield* modern()
        const calling = yield* start(run(client))
        const first = yield* next
        assert.deepStrictEqual<unknown>(paramsOf(first.message), params)
        yield* first.reply(required({ inputRequests: { q: form("x") }, requestState }))
        const second = yield* next
        assert.deepStrictEqual<unknown>(paramsOf(second.message), {
          ...params,
          inputResponses: { q: accepted("x") },
          requestState
        })
        assert.notStrictEqual(second.message.id, first.message.id)
        assert.strictEqual(second.message.method, method)
        yield* second.reply(result(answer))
        assert.deepStrictEqual(yield* now(Fiber.join(calling)), answer)
      })
  )

  it.scoped("without a requestState none is sent", () =>
    Effect.gen(function*() {
      const { client, next } = yield* modern()
      const calling = yield* start(run(client))
      yield* (yield* next).reply(required({ inputRequests: { q: form("x") } }))
      const second = yield* next
      assert.notProperty(second.message.params, "requestState")
      yield* second.reply(result(answer))
      yield* now(Fiber.join(calling))
    }))

  it.scoped("only a requestState: asked again at once, without answers", () =>
    Effect.gen(function*() {
      const { client, next } = yield* modern()
      const calling = yield* start(run(client))
      yield* (yield* next).reply(required({ requestState: "s" }))
      const second = yield* next
      assert.deepStrictEqual<unknown>(paramsOf(second.message), { ...params, requestState: "s" })
      yield* second.reply(result(answer))
      yield* now(Fiber.join(calling))
    }))

  it.scoped("each round has its own answers and state, nothing of the former", () =>
    Effect.gen(function*() {
      const { client, next } = yield* modern()
      const calling = yield* start(run(client))
      const ids = new Set<JsonRpc.RequestId | null>()
      const first = yield* next
      yield* first.reply(required({ inputRequests: { a: form("1") }, requestState: "one" }))
      const second = yield* next
      yield* second.reply(required({ inputRequests: { b: form("2"), c: { method: "roots/list" } } }))
      const third = yield* next
      assert.deepStrictEqual<unknown>(paramsOf(third.message), {
        ...params,
        inputResponses: { b: accepted("2"), c: { roots: [{ uri: "file:///root" }] } }
      })
      yield* third.reply(required({ requestState: "three" }))
      const fourth = yield* next
      assert.deepStrictEqual<unknown>(paramsOf(fourth.message), { ...params, requestState: "three" })
      for (const { message } of [first, second, third, fourth]) ids.add(message.id)
      assert.strictEqual(ids.size, 4)
      yield* fourth.reply(result(answer))
      assert.deepStrictEqual(yield* now(Fiber.join(calling)), answer)
    }))

  it.scoped("meta, progress and the members that every request has are sent each time", () =>
    Effect.gen(function*() {
      const { client, next } = yield* modern()
      const seen: Array<number> = []
      const calling = yield* start(run(client, {
        meta: { mine: 1 },
        onProgress: ({ progress }) => Effect.sync(() => void seen.push(progress))
      }))
      yield* (yield* next).reply(required({ requestState: "s" }))
      const second = yield* next
      const meta = metaOf(second.message)
      assert.strictEqual(meta.mine, 1)
      assert.strictEqual(meta["io.modelcontextprotocol/protocolVersion"], "2026-07-28")
      assert.strictEqual(meta.progressToken, second.message.id)
      yield* second.reply({
        jsonrpc: "2.0",
        method: "notifications/progress",
        params: { progressToken: second.message.id, progress: 7 }
      })
      yield* second.reply(result(answer))
      yield* now(Fiber.join(calling))
      assert.deepStrictEqual(seen, [7])
    }))

  it.scoped("a server that never has enough is given up", () =>
    Effect.gen(function*() {
      let asked = 0
      const { client, sent } = yield* connected("Modern", {
        [method]: () => required({ requestState: String(asked++) })
      }, { maxInputRounds: 3 })
      const failure = yield* failedWith("InputRequiredError", run(client))
      assert.strictEqual(failure.reason, "TooManyRounds")
      assert.strictEqual(failure.method, method)
      assert.strictEqual((yield* sent(method)).length, 4)
    }))

  it.scoped("no service for what is asked: NoHandler, with the key, and nothing more is sent", () =>
    Effect.gen(function*() {
      const requests = [form("x"), sampling, { method: "roots/list" }]
      for (const request of requests) {
        const { client, sent } = yield* connected("Modern", {
          [method]: required({ inputRequests: { "the key": request } })
        })
        const failure = yield* failedWith("InputRequiredError", run(client))
        assert.strictEqual(failure.reason, "NoHandler")
        assert.strictEqual(failure.key, "the key")
        assert.include(failure.message, "the key")
        assert.strictEqual((yield* sent(method)).length, 1)
      }
    }))

  it.scoped("a service that refuses: Rejected, with what it said", () =>
    Effect.gen(function*() {
      const { client, sent } = yield* connected("Modern", {
        [method]: required({ inputRequests: { r: form("x") }, requestState: "s" })
      }).pipe(Effect.provide(Elicitation.layer({
        form: () => Effect.fail(new RequestRejected.RequestRejected({ code: -1, message: "not now" }))
      })))
      const failure = yield* failedWith("InputRequiredError", run(client))
      assert.strictEqual(failure.reason, "Rejected")
      assert.strictEqual(failure.key, "r")
      assert.include(failure.description, "not now")
      assert.strictEqual((yield* sent(method)).length, 1)
    }))

  const malformed: ReadonlyArray<readonly [string, { readonly [member: string]: unknown }]> = [
    ["neither requests nor state", {}],
    ["requests that are none", { inputRequests: [] }],
    ["a request that is none", { inputRequests: { a: 7 } }],
    ["a request of an unknown method", { inputRequests: { a: { method: "x/y", params: {} } } }],
    ["a request without what it needs", {
      inputRequests: { a: { method: "elicitation/create", params: { mode: "form" } } }
    }],
    ["a state that is no string", { requestState: { a: 1 } }],
    ["a state of null", { inputRequests: {}, requestState: null }]
  ]
  it.scoped.each(malformed)("malformed: %s", ([, members]) =>
    Effect.gen(function*() {
      const subject = yield* connected("Modern", { [method]: required(members) }).pipe(Effect.provide(Answers))
      const failure = yield* failedWith("DecodeError", run(subject.client))
      assert.strictEqual(failure.reason, "Malformed")
      assert.strictEqual((yield* subject.sent(method)).length, 1)
    }))
})

describe("methods that must not ask", () => {
  const notAllowed: ReadonlyArray<
    readonly [string, (client: McpClient.Service) => Effect.Effect<unknown, McpClientError.McpClientError>]
  > = [
    ["tools/list", ({ tools }) => Stream.runDrain(tools)],
    ["prompts/list", ({ prompts }) => Stream.runDrain(prompts)],
    ["resources/list", ({ resources }) => Stream.runDrain(resources)],
    ["resources/templates/list", ({ resourceTemplates }) => Stream.runDrain(resourceTemplates)],
    ["completion/complete", (client) => client.complete({ type: "ref/prompt", name: "a" }, { name: "b", value: "" })]
  ]
  it.scoped.each(notAllowed)("%s", ([method, run]) =>
    Effect.gen(function*() {
      const subject = yield* connected("Modern", { [method]: required({ requestState: "s" }) }).pipe(
        Effect.provide(Answers)
      )
      const failure = yield* failedWith("InputRequiredError", run(subject.client))
      assert.strictEqual(failure.reason, "NotAllowed")
      assert.strictEqual((yield* subject.sent(method)).length, 1)
    }))

  it.scoped("servers with sessions know no such result", () =>
    Effect.gen(function*() {
      const { client } = yield* connected("Legacy", {
        "tools/call": result({ ...text("a"), resultType: "input_required", requestState: "s" })
      })
      assert.deepStrictEqual<unknown>((yield* now(client.callTool("a"))).content, text("a").content)
    }))
})

describe("answers", () => {
  it.scoped("each kind of request by its service, keyed as the server did, odd keys and all", () =>
    Effect.gen(function*() {
      const { client, next } = yield* modern()
      const calling = yield* start(client.callTool("a"))
      const inputRequests: unknown = JSON.parse(
        `{"":${JSON.stringify(form("1"))},"__proto__":${
          JSON.stringify(form("2"))
        },"roots/list":{"method":"roots/list","params":{}},"s":${JSON.stringify(sampling)}}`
      )
      yield* (yield* next).reply(required({ inputRequests }))
      const second = yield* next
      const responses: unknown = second.message.params?.inputResponses
      assert(typeof responses === "object" && responses !== null)
      assert.deepStrictEqual<unknown>(Object.entries(responses).toSorted(), [
        ["", accepted("1")],
        ["__proto__", accepted("2")],
        ["roots/list", { roots: [{ uri: "file:///root" }] }],
        ["s", { role: "assistant", content: { type: "text", text: "!" }, model: "m" }]
      ])
      yield* second.reply(result(text("")))
      yield* now(Fiber.join(calling))
    }))

  it.scoped("decline and cancel are answers", () =>
    Effect.gen(function*() {
      const { client, next } = yield* connected("Modern").pipe(Effect.provide(Elicitation.layer({
        form: ({ message }) => Effect.succeed(message === "1" ? Elicitation.decline : Elicitation.cancel)
      })))
      const calling = yield* start(client.callTool("a"))
      yield* (yield* next).reply(required({ inputRequests: { a: form("1"), b: form("2") } }))
      const second = yield* next
      assert.deepStrictEqual<unknown>(second.message.params?.inputResponses, {
        a: { action: "decline" },
        b: { action: "cancel" }
      })
      yield* second.reply(result(text("")))
      yield* now(Fiber.join(calling))
    }))

  it.scoped("content that does not match what was asked for is not sent", () =>
    Effect.gen(function*() {
      const { client, sent } = yield* connected("Modern", {
        "tools/call": required({ inputRequests: { a: form("1") } })
      })
        .pipe(Effect.provide(Elicitation.layer({
          form: () => Effect.succeed({ action: "accept", content: { name: 7 } })
        })))
      assert.strictEqual((yield* failedWith("InputRequiredError", client.callTool("a"))).reason, "Rejected")
      assert.strictEqual((yield* sent("tools/call")).length, 1)
    }))

  it.scoped("parallel calls do not mix their states and answers", () =>
    Effect.gen(function*() {
      const { client, sent } = yield* connected("Modern", {
        "tools/call": ({ params }) => {
          const name = String(params?.name)
          return params?.requestState === undefined
            ? Effect.as(
              Effect.yieldNow(),
              required({ inputRequests: { [`key ${name}`]: form(name) }, requestState: `state ${name}` })
            )
            : result(text(JSON.stringify([params.requestState, params.inputResponses])))
        }
      }).pipe(Effect.provide(Answers))
      const names = Array.from({ length: 30 }, (_, index) => `t${index}`)
      const contents = yield* Effect.forEach(names, (name) => client.callTool(name), { concurrency: "unbounded" })
      contents.forEach(({ content }, index) => {
        const name = names[index] ?? ""
        assert.deepStrictEqual<unknown>(
          content,
          text(JSON.stringify([`state ${name}`, { [`key ${name}`]: accepted(name) }])).content
        )
      })
      for (const message of yield* sent("prompts/get")) assert.notProperty(paramsOf(message), "requestState")
    }))

  it.scoped("other calls that run meanwhile carry nothing of it", () =>
    Effect.gen(function*() {
      const asked = yield* Deferred.make<void>()
      const answer = yield* Deferred.make<Elicitation.ElicitResult>()
      const { client, next } = yield* connected("Modern").pipe(Effect.provide(Elicitation.layer({
        form: () => Effect.zipRight(Deferred.succeed(asked, undefined), Deferred.await(answer))
      })))
      const calling = yield* start(client.callTool("a"))
      yield* (yield* next).reply(required({ inputRequests: { q: form("") }, requestState: "s" }))
      yield* now(Deferred.await(asked))
      const other = yield* start(client.callTool("a"))
      const incoming = yield* next
      assert.deepStrictEqual<unknown>(paramsOf(incoming.message), { name: "a", arguments: {} })
      yield* incoming.reply(result(text("other")))
      yield* now(Fiber.join(other))
      yield* Deferred.succeed(answer, accepted("late"))
      const second = yield* next
      assert.strictEqual(second.message.params?.requestState, "s")
      yield* second.reply(result(text("")))
      yield* now(Fiber.join(calling))
    }))
})

describe("time", () => {
  it.scoped("the limits are those of each round; the application may take its time", () =>
    Effect.gen(function*() {
      const { client, next } = yield* connected("Modern", {}, { timeout: 1000 }).pipe(Effect.provide(Elicitation.layer({
        form: () => Effect.as(Effect.sleep("1 day"), Elicitation.decline)
      })))
      const calling = yield* start(client.callTool("a"))
      const first = yield* next
      yield* TestClock.adjust(999)
      yield* first.reply(required({ inputRequests: { q: form("") } }))
      yield* settle
      yield* TestClock.adjust("1 day")
      yield* settle
      const second = yield* next
      yield* TestClock.adjust(999)
      yield* settle
      assert.isTrue(yield* isRunning(calling))
      yield* TestClock.adjust(1)
      assert.strictEqual((yield* failureOf("RequestTimeout", calling)).kind, "Total")
      assert.strictEqual(yield* now(second.awaitEnd), "Interrupted")
    }))

  it.scoped("an interruption while somebody is asked ends the asking", () =>
    Effect.gen(function*() {
      let interrupted = 0
      const { client, next, sent } = yield* connected("Modern").pipe(Effect.provide(Elicitation.layer({
        form: () => Effect.onInterrupt(Effect.never, () => Effect.sync(() => void interrupted++))
      })))
      const calling = yield* start(client.callTool("a"))
      yield* (yield* next).reply(required({ inputRequests: { q: form("1"), r: form("2") } }))
      yield* settle
      yield* now(Fiber.interrupt(calling))
      assert.strictEqual(interrupted, 2)
      assert.strictEqual((yield* sent("tools/call")).length, 1)
    }))

  it.scoped("events of all rounds are in one stream, the result once", () =>
    Effect.gen(function*() {
      const { client } = yield* connected("Modern", {
        "tools/call": (request) => {
          const progress = {
            progressToken: metaOf(request).progressToken,
            progress: request.params?.requestState === undefined ? 1 : 2
          }
          return TestTransport.messages([
            { jsonrpc: "2.0", method: "notifications/progress", params: progress },
            request.params?.requestState === undefined ? required({ requestState: "s" }) : result(text("done"))
          ])
        }
      })
      const events = Array.from(yield* now(Stream.runCollect(client.callToolStream("a"))))
      assert.deepStrictEqual(
        events.map((event) => event._tag === "Progress" ? event.progress.progress : event._tag),
        [1, 2, "Result"]
      )
    }))
})
