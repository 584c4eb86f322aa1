/**
 * Requests of a server with sessions, and how the services of the application answer them: on the stream of a call and on
 * the server's own stream alike.
 */
import { Elicitation, type McpClient, RequestRejected, Roots, Sampling } from "@effect-mcp/client"
import * as TestTransport from "@effect-mcp/testing/TestTransport"
import { JsonRpc, TransportError } from "@effect-mcp/transport"
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import { clocked } from "../support/quiet.ts"
import {
  answerTo,
  type ClientOptions,
  type Connected,
  connected,
  legacyServer,
  methodsOf,
  modernServer,
  now,
  record,
  requestsOf,
  result,
  settle,
  start,
  toolResult
} from "./support/connecting.ts"

// --- a server that asks ---------------------------------------------------------------------------------------------

interface Asking extends Connected {
  /** Sends a message to the client. */
  readonly tell: (message: JsonRpc.Message) => Effect.Effect<void>
  /** Sends a request to the client and gives its answer. */
  readonly ask: (method: string, params?: JsonRpc.Params, id?: JsonRpc.RequestId) => Effect.Effect<JsonRpc.Message>
  /** The answers that the client sent so far. */
  readonly answers: Effect.Effect<ReadonlyArray<JsonRpc.Message>>
  /** Ends the call on whose stream the server asks; nothing on the stream of the server. */
  readonly finish: Effect.Effect<void>
}

const ways = ["on the server's own stream", "on the stream of a call"] as const

const asking = (
  way: typeof ways[number],
  services: Context.Context<never> = Context.empty(),
  options: ClientOptions = {}
) =>
  Effect.gen(function*() {
    const onCall = yield* Queue.unbounded<TestTransport.Part>()
    const made = yield* connected(
      legacyServer({ "tools/call": TestTransport.stream(Stream.fromQueue(onCall)) }),
      { services, ...options }
    )
    const { client, server } = made
    const call = way === "on the stream of a call" ? yield* start(client.callTool("work")) : undefined
    const tell = (message: JsonRpc.Message): Effect.Effect<void> =>
      call === undefined ? server.push(message) : Effect.asVoid(onCall.offer(message))
    let asked = 0
    const subject: Asking = {
      ...made,
      tell: (message) => Effect.zipLeft(tell(message), settle),
      ask: (method, params, id = `ask-${++asked}`) =>
        Effect.zipRight(tell(JsonRpc.request(id, method, params)), answerTo(server, id)),
      answers: Effect.map(server.sent, (sent) => sent.filter(JsonRpc.isResponse)),
      finish: call === undefined ? Effect.void : Effect.gen(function*() {
        yield* onCall.offer(result(toolResult))
        assert.deepStrictEqual(yield* now(Fiber.await(call)), Exit.succeed(toolResult))
      })
    }
    return subject
  })

const failedWith = (id: JsonRpc.RequestId, error: JsonRpc.ErrorObject): JsonRpc.Message => JsonRpc.error(id, error)

const codeOf = (message: JsonRpc.Message): number | undefined =>
  JsonRpc.isErrorResponse(message) ? message.error.code : undefined

const resultOf = (message: JsonRpc.Message): unknown => JsonRpc.isSuccessResponse(message) ? message.result : undefined

// --- services -------------------------------------------------------------------------------------------------------

const answered: Sampling.CreateMessageResult = {
  role: "assistant",
  content: { type: "text", text: "Paris" },
  model: "example",
  stopReason: "endTurn"
}

const sampling = (
  createMessage: (
    params: Sampling.CreateMessageParams
  ) => Effect.Effect<Sampling.CreateMessageResult, RequestRejected.RequestRejected>,
  capabilities?: Sampling.SamplingCapabilities
) => Context.make(Sampling.Sampling, { createMessage, capabilities })

const elicitation = (service: Context.Tag.Service<typeof Elicitation.Elicitation>) =>
  Context.make(Elicitation.Elicitation, service)

const question = {
  messages: [{ role: "user", content: { type: "text", text: "The capital of France?" } }],
  maxTokens: 10
} as const

const form = {
  message: "Who are you?",
  requestedSchema: {
    type: "object",
    properties: { name: { type: "string" }, age: { type: "integer", minimum: 0 } },
    required: ["name"]
  }
} as const

const page = { mode: "url", message: "Sign in", url: "https://example.com/x", elicitationId: "e1" } as const

describe.each(ways)("%s", (way) => {
  const withServices = (services?: Context.Context<never>) => asking(way, services)

  it.scoped("ping", () =>
    Effect.gen(function*() {
      const { ask, finish } = yield* withServices()
      for (const id of ["a", 1, 0, "", "1", 2 ** 53 - 1]) {
        assert.deepStrictEqual(yield* ask("ping", undefined, id), JsonRpc.success(id, {}))
      }
      assert.deepStrictEqual(
        yield* ask("ping", { _meta: { x: 1 } }, "with-params"),
        JsonRpc.success("with-params", {})
      )
      yield* finish
    }))

  it.scoped("sampling: what is asked is given as it came, and answered as it is", () =>
    Effect.gen(function*() {
      const asked: Array<Sampling.CreateMessageParams> = []
      const { ask, finish } = yield* withServices(sampling((params) => {
        asked.push(params)
        return Effect.succeed(answered)
      }))
      const whole = {
        ...question,
        systemPrompt: "Be short.",
        modelPreferences: { hints: [{ name: "small", unknown: 1 }], speedPriority: 1 },
        includeContext: "none",
        temperature: 0.5,
        stopSequences: ["."],
        metadata: { x: [1] },
        unknown: { kept: true },
        _meta: { progressToken: 1 }
      }
      assert.deepStrictEqual(resultOf(yield* ask("sampling/createMessage", whole)), answered)
      assert.deepStrictEqual<unknown>(asked, [whole])
      yield* finish
    }))

  it.scoped("sampling with tools only if that was declared", () =>
    Effect.gen(function*() {
      const withTools = { ...question, tools: [{ name: "t", inputSchema: { type: "object" } }] }
      const withChoice = { ...question, toolChoice: { mode: "auto" } }
      for (
        const [capabilities, code] of [[undefined, -32602], [{ tools: false }, -32602], [
          { tools: true },
          undefined
        ]] as const
      ) {
        const { ask, finish } = yield* withServices(sampling(() => Effect.succeed(answered), capabilities))
        assert.strictEqual(codeOf(yield* ask("sampling/createMessage", withTools)), code)
        assert.strictEqual(codeOf(yield* ask("sampling/createMessage", withChoice)), code)
        assert.deepStrictEqual(resultOf(yield* ask("sampling/createMessage", question)), answered)
        yield* finish
      }
    }))

  it.scoped("elicitation by form, with and without `mode`", () =>
    Effect.gen(function*() {
      const asked: Array<Elicitation.FormParams> = []
      const { ask, finish } = yield* withServices(elicitation({
        form: (params) => {
          asked.push(params)
          return Effect.succeed(Elicitation.accept({ name: "Ada", age: 36 }))
        }
      }))
      for (const params of [form, { ...form, mode: "form" }]) {
        assert.deepStrictEqual(resultOf(yield* ask("elicitation/create", params)), {
          action: "accept",
          content: { name: "Ada", age: 36 }
        })
      }
      assert.deepStrictEqual<unknown>(asked, [form, { ...form, mode: "form" }])
      yield* finish
    }))

  it.scoped("elicitation: refused, and gone away", () =>
    Effect.gen(function*() {
      for (const answer of [Elicitation.decline, Elicitation.cancel]) {
        const { ask, finish } = yield* withServices(elicitation({ form: () => Effect.succeed(answer) }))
        assert.deepStrictEqual(resultOf(yield* ask("elicitation/create", form)), answer)
        yield* finish
      }
    }))

  it.scoped("elicitation by page", () =>
    Effect.gen(function*() {
      const asked: Array<Elicitation.UrlParams> = []
      const { ask, finish } = yield* withServices(elicitation({
        url: (params) => {
          asked.push(params)
          return Effect.succeed(Elicitation.accept())
        }
      }))
      assert.deepStrictEqual(resultOf(yield* ask("elicitation/create", page)), { action: "accept" })
      assert.deepStrictEqual(asked, [page])
      yield* finish
    }))

  it.scoped("elicitation in a mode that was not declared is -32602", () =>
    Effect.gen(function*() {
      const answer = () => Effect.succeed(Elicitation.decline)
      for (
        const [service, params] of [
          [{ url: answer }, form],
          [{ url: answer }, { ...form, mode: "form" }],
          [{ form: answer }, page],
          [{}, form],
          [{}, page]
        ] as const
      ) {
        const { ask, finish } = yield* withServices(elicitation(service))
        assert.strictEqual(codeOf(yield* ask("elicitation/create", params)), -32602)
        yield* finish
      }
    }))

  clocked("elicitation content that does not match is an error of this side", () =>
    Effect.gen(function*() {
      const wrong: ReadonlyArray<Elicitation.ElicitResult> = [
        Elicitation.accept(),
        Elicitation.accept({}),
        Elicitation.accept({ name: 7 }),
        Elicitation.accept({ name: "Ada", age: "36" }),
        Elicitation.accept({ name: "Ada", age: -1 }),
        Elicitation.accept({ name: "Ada", age: 0.5 })
      ]
      for (const answer of wrong) {
        const { ask, finish } = yield* withServices(elicitation({ form: () => Effect.succeed(answer) }))
        const message = yield* ask("elicitation/create", form)
        assert.strictEqual(codeOf(message), -32603, JSON.stringify(answer))
        yield* finish
      }
      const { ask } = yield* withServices(elicitation({
        form: () => Effect.succeed(Elicitation.accept({ name: "Ada", more: true }))
      }))
      assert.strictEqual(codeOf(yield* ask("elicitation/create", form)), undefined)
    }))

  it.scoped("roots", () =>
    Effect.gen(function*() {
      const roots = [{ uri: "file:///home", name: "Home" }, { uri: "file:///tmp" }]
      const { ask, finish } = yield* withServices(Context.make(Roots.Roots, { list: Effect.succeed(roots) }))
      assert.deepStrictEqual(resultOf(yield* ask("roots/list")), { roots })
      assert.deepStrictEqual(resultOf(yield* ask("roots/list", {})), { roots })
      yield* finish
    }))

  it.scoped("what no service was provided for is -32601", () =>
    Effect.gen(function*() {
      const { ask, finish } = yield* withServices()
      for (
        const [method, params] of [
          ["sampling/createMessage", question],
          ["sampling/createMessage", {}],
          ["elicitation/create", form],
          ["elicitation/create", page],
          ["roots/list", undefined],
          ["tools/list", {}],
          ["tasks/get", { taskId: "1" }],
          ["constructor", {}],
          ["", {}]
        ] as const
      ) {
        const message = yield* ask(method, params)
        assert.strictEqual(codeOf(message), -32601, method)
      }
      yield* finish
    }))

  it.scoped("malformed parameters are -32602, and the service is not asked", () =>
    Effect.gen(function*() {
      const never = () => Effect.dieMessage("it was asked")
      const { ask, finish } = yield* withServices(Context.merge(
        sampling(never),
        elicitation({ form: never, url: never })
      ))
      const cases: ReadonlyArray<readonly [string, JsonRpc.Params | undefined]> = [
        ["sampling/createMessage", undefined],
        ["sampling/createMessage", {}],
        ["sampling/createMessage", { ...question, maxTokens: "10" }],
        ["sampling/createMessage", { ...question, messages: {} }],
        ["sampling/createMessage", {
          ...question,
          messages: [{ role: "system", content: { type: "text", text: "" } }]
        }],
        ["sampling/createMessage", { ...question, messages: [{ role: "user", content: { type: "smell" } }] }],
        ["elicitation/create", undefined],
        ["elicitation/create", {}],
        ["elicitation/create", { ...form, mode: "telepathy" }],
        ["elicitation/create", { ...form, mode: null }],
        ["elicitation/create", { message: "x" }],
        ["elicitation/create", { ...form, requestedSchema: { type: "array" } }],
        ["elicitation/create", {
          ...form,
          requestedSchema: { type: "object", properties: { a: { type: "object" } } }
        }],
        ["elicitation/create", { mode: "url", message: "x" }],
        ["elicitation/create", { ...page, url: 1 }]
      ]
      for (const [method, params] of cases) {
        assert.strictEqual(codeOf(yield* ask(method, params)), -32602, `${method} ${JSON.stringify(params)}`)
      }
      yield* finish
    }))

  it.scoped("a rejection is passed on, with its code and data", () =>
    Effect.gen(function*() {
      const rejections = [
        [RequestRejected.make({ code: -1, message: "User rejected sampling request" }), {
          code: -1,
          message: "User rejected sampling request"
        }],
        [RequestRejected.make({ message: "no" }), { code: -32603, message: "no" }],
        [RequestRejected.make({ message: "no", data: { why: [1] } }), {
          code: -32603,
          message: "no",
          data: { why: [1] }
        }],
        [RequestRejected.make({ message: "no", code: 5, data: null }), { code: 5, message: "no", data: null }]
      ] as const
      for (const [rejected, expected] of rejections) {
        const { ask, finish } = yield* withServices(Context.merge(
          Context.merge(sampling(() => rejected), elicitation({ form: () => rejected, url: () => rejected })),
          Context.make(Roots.Roots, { list: rejected })
        ))
        for (
          const [method, params] of [
            ["sampling/createMessage", question],
            ["elicitation/create", form],
            ["elicitation/create", page],
            ["roots/list", undefined]
          ] as const
        ) {
          assert.deepStrictEqual(yield* ask(method, params, method), failedWith(method, expected))
        }
        yield* finish
      }
    }))

  clocked(
    "a handler that dies, throws or interrupts itself is -32603, and everything else goes on",
    () =>
      Effect.gen(function*() {
        const broken: ReadonlyArray<() => Effect.Effect<never>> = [
          () => Effect.die(new Error("secret")),
          () => {
            throw new Error("secret")
          },
          () => Effect.interrupt,
          () => Effect.flatMap(Effect.fork(Effect.interrupt), Fiber.join),
          () => Effect.forever(Effect.die("secret"))
        ]
        for (const handler of broken) {
          const { ask, client, finish } = yield* withServices(Context.merge(
            Context.merge(sampling(handler), elicitation({ form: handler, url: handler })),
            Context.make(Roots.Roots, { list: Effect.suspend(handler) })
          ))
          for (
            const [method, params] of [
              ["sampling/createMessage", question],
              ["elicitation/create", form],
              ["elicitation/create", page],
              ["roots/list", undefined]
            ] as const
          ) {
            const message = yield* ask(method, params)
            assert.strictEqual(codeOf(message), -32603)
            // What went wrong inside is nobody else's business.
            assert.notInclude(JSON.stringify(message), "secret")
          }
          assert.deepStrictEqual(resultOf(yield* ask("ping")), {})
          assert.strictEqual((yield* client.state)._tag, "Ready")
          yield* finish
        }
      })
  )

  clocked("an answer that is no JSON is -32603 to the server, not silence", () =>
    Effect.gen(function*() {
      const circular: Record<string, unknown> = {}
      circular.self = circular
      for (const bad of [circular, 7n]) {
        const { ask, finish } = yield* withServices(sampling(() => Effect.succeed({ ...answered, _meta: { bad } })))
        assert.strictEqual(codeOf(yield* ask("sampling/createMessage", question)), -32603)
        yield* finish
      }
    }))

  it.scoped("notifications/cancelled interrupts the handler, and nothing is answered", () =>
    Effect.gen(function*() {
      const ended: Array<string> = []
      const { answers, ask, finish, tell } = yield* withServices(sampling(() =>
        Effect.onExit(Effect.never, (exit) =>
          Effect.sync(() =>
            void ended.push(Exit.isInterrupted(exit) ? "interrupted" : exit._tag)
          ))
      ))
      for (const requestId of ["a", 7, 0]) {
        yield* tell(JsonRpc.request(requestId, "sampling/createMessage", question))
        assert.deepStrictEqual(ended, [])
        // Of another request, or of none.
        for (const other of ["b", "7", "0", 1, null, {}]) {
          yield* tell(JsonRpc.notification("notifications/cancelled", { requestId: other }))
        }
        yield* tell(JsonRpc.notification("notifications/cancelled"))
        assert.deepStrictEqual(ended, [])
        yield* tell(JsonRpc.notification("notifications/cancelled", { requestId, reason: "never mind" }))
        assert.deepStrictEqual(ended.splice(0), ["interrupted"])
      }
      assert.deepStrictEqual(yield* answers, [])
      // Twice, and after the answer: no harm.
      yield* tell(JsonRpc.notification("notifications/cancelled", { requestId: "a" }))
      yield* ask("ping", undefined, "p")
      yield* tell(JsonRpc.notification("notifications/cancelled", { requestId: "p" }))
      assert.lengthOf(yield* answers, 1)
      yield* finish
    }))

  it.scoped("cancelling a handler that is slow to end holds up nothing", () =>
    Effect.gen(function*() {
      const release = yield* Deferred.make<void>()
      const { answers, ask, finish, tell } = yield* withServices(
        sampling(() => Effect.as(Effect.uninterruptible(Deferred.await(release)), answered))
      )
      yield* tell(JsonRpc.request("slow", "sampling/createMessage", question))
      yield* tell(JsonRpc.notification("notifications/cancelled", { requestId: "slow" }))
      assert.deepStrictEqual(resultOf(yield* ask("ping")), {})
      yield* finish
      yield* Deferred.succeed(release, undefined)
      yield* settle
      assert.lengthOf(yield* answers, 1)
    }))

  it.scoped("a slow handler holds up nothing, and many are answered at once, each by its own id", () =>
    Effect.gen(function*() {
      const gates = yield* Effect.all(Array.from({ length: 20 }, () => Deferred.make<void>()))
      const { answers, ask, client, finish, tell } = yield* withServices(
        sampling(({ maxTokens }) =>
          Effect.as(Effect.forEach(gates.slice(maxTokens, maxTokens + 1), Deferred.await), {
            ...answered,
            model: `model ${maxTokens}`
          })
        )
      )
      const logs = yield* record(client.logs)
      for (let n = 0; n < 20; n++) {
        yield* tell(JsonRpc.request(n, "sampling/createMessage", { ...question, maxTokens: n }))
      }
      yield* tell(JsonRpc.notification("notifications/message", { level: "info", data: "still here" }))
      assert.deepStrictEqual(logs.seen.map(({ data }) => data), ["still here"])
      assert.deepStrictEqual(resultOf(yield* ask("ping", undefined, "p")), {})
      for (const gate of gates.toReversed()) {
        yield* Deferred.succeed(gate, undefined)
        yield* settle
      }
      assert.deepStrictEqual(
        (yield* answers).slice(1),
        Array.from({ length: 20 }, (_, n) => JsonRpc.success(19 - n, { ...answered, model: `model ${19 - n}` }))
      )
      yield* finish
    }))

  it.scoped("a request that comes twice is answered once while it is being answered", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      let asked = 0
      const { answers, finish, tell } = yield* withServices(sampling(() => {
        asked++
        return Effect.as(Deferred.await(gate), answered)
      }))
      yield* tell(JsonRpc.request("same", "sampling/createMessage", question))
      yield* tell(JsonRpc.request("same", "sampling/createMessage", question))
      // 1 and "1" are not the same.
      yield* tell(JsonRpc.request(1, "sampling/createMessage", question))
      yield* tell(JsonRpc.request("1", "sampling/createMessage", question))
      yield* Deferred.succeed(gate, undefined)
      yield* settle
      assert.strictEqual(asked, 3)
      assert.lengthOf(yield* answers, 3)
      yield* finish
    }))

  clocked(
    "an answer that the server does not take is logged, and everything else goes on",
    () =>
      Effect.gen(function*() {
        const refusing = yield* asking(way, sampling(() => Effect.succeed(answered)), {
          transport: {
            accept: (message) =>
              "method" in message
                ? Effect.void
                : Effect.fail(
                  new TransportError.HttpStatusError({ method: "POST", status: 400, outcome: "Unknown" })
                )
          }
        })
        yield* refusing.tell(JsonRpc.request("a", "sampling/createMessage", question))
        yield* refusing.tell(JsonRpc.request("b", "ping"))
        assert.lengthOf(yield* refusing.answers, 2)
        assert.strictEqual((yield* refusing.client.state)._tag, "Ready")
        yield* refusing.finish
      })
  )

  it.scoped("closing the client drops the handlers, and nothing is answered any more", () =>
    Effect.gen(function*() {
      const ended: Array<string> = []
      const { answers, close, tell } = yield* withServices(
        sampling(() => Effect.onExit(Effect.never, (exit) => Effect.sync(() => void ended.push(exit._tag))))
      )
      yield* tell(JsonRpc.request("a", "sampling/createMessage", question))
      yield* now(close)
      assert.deepStrictEqual(ended, ["Failure"])
      assert.deepStrictEqual(yield* answers, [])
    }))

  clocked(
    "elicitation complete: told once each, slow or dying listeners hold up nothing",
    () =>
      Effect.gen(function*() {
        const told: Array<string> = []
        const { ask, finish, tell } = yield* withServices(elicitation({
          url: () => Effect.succeed(Elicitation.accept()),
          onComplete: (id) => {
            told.push(id)
            if (id === "dies") return Effect.die("oh")
            if (id === "throws") throw new Error("oh")
            return id === "slow" ? Effect.never : Effect.void
          }
        }))
        const complete = (params?: JsonRpc.Params) =>
          tell(JsonRpc.notification("notifications/elicitation/complete", params))
        for (const elicitationId of ["e1", "slow", "dies", "throws", "e2"]) yield* complete({ elicitationId })
        for (const params of [undefined, {}, { elicitationId: 1 }, { elicitationId: null }]) yield* complete(params)
        assert.deepStrictEqual(told, ["e1", "slow", "dies", "throws", "e2"])
        assert.deepStrictEqual(resultOf(yield* ask("ping")), {})
        yield* finish
      })
  )

  it.scoped("elicitation complete without a listener, or without the service", () =>
    Effect.gen(function*() {
      for (const services of [undefined, elicitation({ url: () => Effect.succeed(Elicitation.decline) })]) {
        const { ask, finish, tell } = yield* withServices(services)
        yield* tell(JsonRpc.notification("notifications/elicitation/complete", { elicitationId: "e1" }))
        assert.deepStrictEqual(resultOf(yield* ask("ping")), {})
        yield* finish
      }
    }))
})

describe("a call and the requests on its stream", () => {
  it.scoped("the call does not wait for the answers, nor do they end with it", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      const subject = yield* asking(
        "on the stream of a call",
        sampling(() => Effect.as(Deferred.await(gate), answered))
      )
      yield* subject.tell(JsonRpc.request("late", "sampling/createMessage", question))
      yield* subject.finish
      yield* Deferred.succeed(gate, undefined)
      assert.deepStrictEqual(resultOf(yield* answerTo(subject.server, "late")), answered)
    }))

  it.scoped("keep the call from being idle", () =>
    Effect.gen(function*() {
      const subject = yield* asking("on the stream of a call")
      for (let n = 0; n < 5; n++) {
        yield* TestClock.adjust("50 seconds")
        yield* subject.ask("ping")
      }
      yield* subject.finish
    }))

  it.scoped("the answer to one is an own message, never a part of another", () =>
    Effect.gen(function*() {
      const subject = yield* asking("on the stream of a call", sampling(() => Effect.succeed(answered)))
      yield* subject.ask("sampling/createMessage", question, "s")
      const sent = yield* subject.server.sent
      assert.deepStrictEqual(methodsOf(sent), [
        "server/discover",
        "initialize",
        "notifications/initialized",
        "tools/call",
        "#s"
      ])
      assert.deepStrictEqual(sent.at(-1), { jsonrpc: "2.0", id: "s", result: answered })
      yield* subject.finish
    }))
})

describe("roots that change", () => {
  const changing = (options: ClientOptions = {}, script = legacyServer()) =>
    Effect.gen(function*() {
      const changes = yield* Queue.unbounded<void>()
      const services = Context.make(Roots.Roots, { list: Effect.succeed([]), changes: Stream.fromQueue(changes) })
      const made = yield* connected(script, { services, ...options })
      const told = Effect.map(made.server.sent, (sent) =>
        sent.filter((message) => "method" in message && message.method === "notifications/roots/list_changed"))
      return { ...made, change: Effect.zipRight(changes.offer(undefined), settle), told }
    })

  it.scoped("are announced to a server with sessions, each time", () =>
    Effect.gen(function*() {
      const { change, told } = yield* changing()
      assert.deepStrictEqual(yield* told, [])
      yield* change
      yield* change
      const notification = { jsonrpc: "2.0", method: "notifications/roots/list_changed" }
      assert.deepStrictEqual<unknown>(yield* told, [notification, notification])
    }))

  it.scoped("are not announced to a stateless server", () =>
    Effect.gen(function*() {
      const { change, server, told } = yield* changing({}, modernServer())
      yield* change
      assert.deepStrictEqual(yield* told, [])
      assert.lengthOf(yield* server.sent, 1)
    }))

  clocked("a failed announcement does not end the announcing", () =>
    Effect.gen(function*() {
      let announced = 0
      const { change, told } = yield* changing({
        transport: {
          accept: (message) =>
            "method" in message && message.method === "notifications/roots/list_changed" && ++announced === 1
              ? Effect.fail(new TransportError.ConnectionError({ phase: "Connect", outcome: "NotExecuted" }))
              : Effect.void
        }
      })
      yield* change
      yield* change
      assert.lengthOf(yield* told, 2)
    }))

  it.scoped("are not announced after the client is closed", () =>
    Effect.gen(function*() {
      const { change, close, told } = yield* changing()
      yield* now(close)
      yield* change
      assert.deepStrictEqual(yield* told, [])
    }))

  clocked("a session that was lost does not hear of them; the next one does", () =>
    Effect.gen(function*() {
      const { change, client, server, told } = yield* changing()
      yield* server.terminateByServer
      yield* change
      yield* now(client.ping)
      yield* settle
      const before = (yield* told).length
      yield* change
      assert.lengthOf(yield* told, before + 1)
    }))
})

describe("services as layers", () => {
  class Name extends Context.Tag("Name")<Name, string>() {}

  it.scoped("take what they need from where they are built", () =>
    Effect.gen(function*() {
      const layer = Layer.mergeAll(
        Sampling.layer({ createMessage: () => Effect.map(Name, (model) => ({ ...answered, model })) }),
        Elicitation.layer({ form: () => Effect.map(Name, (name) => Elicitation.accept({ name })) }),
        Roots.layer({ list: Effect.map(Name, (name) => [{ uri: `file:///${name}` }]) })
      )
      const services = yield* Layer.build(Layer.provide(layer, Layer.succeed(Name, "ada")))
      const { ask } = yield* asking("on the server's own stream", services)
      assert.deepStrictEqual(resultOf(yield* ask("sampling/createMessage", question)), { ...answered, model: "ada" })
      assert.deepStrictEqual(resultOf(yield* ask("elicitation/create", form)), {
        action: "accept",
        content: { name: "ada" }
      })
      assert.deepStrictEqual(resultOf(yield* ask("roots/list")), { roots: [{ uri: "file:///ada" }] })
    }))

  it.scoped("a handler may use the client itself", () =>
    Effect.gen(function*() {
      const handled = yield* Deferred.make<void>()
      const ready = yield* Deferred.make<McpClient.Service>()
      const services = sampling(() =>
        Effect.flatMap(Deferred.await(ready), (client) => client.callTool("inner")).pipe(
          Effect.mapBoth({
            onFailure: (error) => RequestRejected.make({ message: error.message }),
            onSuccess: ({ content }) => ({ ...answered, model: String(content.length) })
          }),
          Effect.zipLeft(Deferred.succeed(handled, undefined))
        )
      )
      const outer = TestTransport.stream(Stream.concat(
        Stream.make(JsonRpc.request("s", "sampling/createMessage", question)),
        Stream.fromEffect(Effect.as(Deferred.await(handled), result(toolResult)))
      ))
      const { client, server } = yield* connected(
        legacyServer({ "tools/call": ({ params }) => params?.name === "inner" ? result(toolResult) : outer }),
        { services }
      )
      yield* Deferred.succeed(ready, client)
      assert.deepStrictEqual(yield* now(client.callTool("outer")), toolResult)
      assert.deepStrictEqual(yield* answerTo(server, "s"), JsonRpc.success("s", { ...answered, model: "1" }))
    }))
})

describe("a stateless server", () => {
  it.scoped("must not ask: its requests are ignored, whatever they are, and the call goes on", () =>
    Effect.gen(function*() {
      const services = Context.merge(
        sampling(() => Effect.dieMessage("it was asked")),
        elicitation({ form: () => Effect.dieMessage("it was asked") })
      )
      const { client, server } = yield* connected(
        modernServer({
          "tools/call": TestTransport.messages([
            JsonRpc.request("a", "ping"),
            JsonRpc.request("b", "sampling/createMessage", question),
            JsonRpc.request("c", "elicitation/create", form),
            JsonRpc.request("d", "x/y"),
            result(toolResult)
          ])
        }),
        { services }
      )
      assert.deepStrictEqual(yield* now(client.callTool("work")), toolResult)
      yield* server.push(JsonRpc.request("e", "ping"))
      yield* settle
      assert.deepStrictEqual(methodsOf(yield* server.sent), ["server/discover", "tools/call"])
    }))
})

describe("what is declared is what is answered", () => {
  it.scoped("every service that is declared answers, every one that is not refuses", () =>
    Effect.gen(function*() {
      const { ask, server } = yield* asking("on the server's own stream", sampling(() => Effect.succeed(answered)))
      const capabilities = requestsOf(yield* server.sent, "initialize")[0]?.params?.capabilities
      assert.deepStrictEqual(capabilities, { sampling: {} })
      assert.strictEqual(codeOf(yield* ask("sampling/createMessage", question)), undefined)
      assert.strictEqual(codeOf(yield* ask("elicitation/create", form)), -32601)
      assert.strictEqual(codeOf(yield* ask("roots/list")), -32601)
    }))
})
