/**
 * Whatever a server sends is either decoded or a typed error: never a defect, never a hang, and the client goes on.
 */
import { Completion, Logging, McpClient, McpClientError, Progress, Prompt, Resource, Tool } from "@effect-mcp/client"
import * as ScriptedServer from "@effect-mcp/testing/ScriptedServer"
import * as TestTransport from "@effect-mcp/testing/TestTransport"
import { JsonRpc, StreamableHttpTransport } from "@effect-mcp/transport"
import * as HttpClient from "@effect/platform/HttpClient"
import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Cause from "effect/Cause"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FastCheck from "effect/FastCheck"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Runtime from "effect/Runtime"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import {
  collecting,
  connected,
  discoverResult,
  eras,
  everything,
  initializeResult,
  metaOf,
  now,
  settle,
  text
} from "./support/calls.ts"

type Calling = Effect.Effect<unknown, McpClientError.McpClientError>

interface Operation {
  readonly method: string
  readonly results: FastCheck.Arbitrary<unknown>
  readonly run: (client: McpClient.Service) => Calling
  /** Whether what is given is what its type says. */
  readonly isSound: (given: unknown) => boolean
  /** What is given for a result that is what it should be. */
  readonly given: (result: { readonly [member: string]: unknown }) => unknown
}

const arbitraryOf = <A>(schema: Schema.Schema<A>): FastCheck.Arbitrary<unknown> => Arbitrary.make(schema)

const all = <A, E>(stream: Stream.Stream<A, E>) => Effect.map(Stream.runCollect(stream), Chunk.toReadonlyArray)

const operations: ReadonlyArray<Operation> = [
  {
    method: "tools/call",
    results: arbitraryOf(Tool.CallToolResult),
    run: (client) => client.callTool("a"),
    isSound: Schema.is(Tool.CallToolResult),
    given: (result) => result
  },
  {
    method: "tools/list",
    results: arbitraryOf(Tool.ListToolsResult),
    run: ({ tools }) => all(Stream.take(tools, 50)),
    isSound: Schema.is(Schema.Array(Tool.Tool)),
    given: ({ tools }) => tools
  },
  {
    method: "resources/list",
    results: arbitraryOf(Resource.ListResourcesResult),
    run: ({ resources }) => all(Stream.take(resources, 50)),
    isSound: Schema.is(Schema.Array(Resource.Resource)),
    given: ({ resources }) => resources
  },
  {
    method: "resources/templates/list",
    results: arbitraryOf(Resource.ListResourceTemplatesResult),
    run: ({ resourceTemplates }) => all(Stream.take(resourceTemplates, 50)),
    isSound: Schema.is(Schema.Array(Resource.ResourceTemplate)),
    given: ({ resourceTemplates }) => resourceTemplates
  },
  {
    method: "resources/read",
    results: arbitraryOf(Resource.ReadResourceResult),
    run: (client) => client.readResource("file:///a"),
    isSound: Schema.is(Resource.ReadResourceResult),
    given: (result) => result
  },
  {
    method: "prompts/list",
    results: arbitraryOf(Prompt.ListPromptsResult),
    run: ({ prompts }) => all(Stream.take(prompts, 50)),
    isSound: Schema.is(Schema.Array(Prompt.Prompt)),
    given: ({ prompts }) => prompts
  },
  {
    method: "prompts/get",
    results: arbitraryOf(Prompt.GetPromptResult),
    run: (client) => client.getPrompt("a"),
    isSound: Schema.is(Prompt.GetPromptResult),
    given: (result) => result
  },
  {
    method: "completion/complete",
    results: arbitraryOf(Completion.CompleteResult),
    run: (client) => client.complete({ type: "ref/prompt", name: "a" }, { name: "b", value: "" }),
    isSound: (completion) => Schema.is(Completion.CompleteResult)({ completion }),
    given: ({ completion }) => completion
  }
]

// --- mutation -------------------------------------------------------------------------------------------------------

const isContainer = (u: unknown): u is object => typeof u === "object" && u !== null

/** A copy in which one place is something else, is not there, or has a neighbour. */
const mutate = (value: unknown, picks: ReadonlyArray<number>, replacement: unknown): unknown => {
  const [pick = 0, ...more] = picks
  if (!isContainer(value)) return replacement
  const keys = Object.keys(value)
  const key = keys[pick % (keys.length + 1)]
  const copy: { [key: string]: unknown } = Object.fromEntries(Object.entries(value))
  if (key === undefined) copy[replacement === null ? "__added" : "resultType"] = replacement
  else if (more.length > 0 && isContainer(copy[key])) copy[key] = mutate(copy[key], more, replacement)
  else if (pick % 3 === 0) delete copy[key]
  else copy[key] = replacement
  return Array.isArray(value) ? Object.values(copy) : copy
}

const oddities: ReadonlyArray<unknown> = [
  null,
  "",
  0,
  -1,
  1e308,
  true,
  [],
  {},
  [[]],
  { type: "text" },
  "input_required",
  "complete",
  JSON.parse(`{"__proto__":{"type":"text"},"constructor":1,"toString":7}`),
  JSON.parse(`${"[".repeat(500)}${"]".repeat(500)}`)
]

const odd: FastCheck.Arbitrary<unknown> = FastCheck.oneof(FastCheck.constantFrom(...oddities), FastCheck.jsonValue())

const mutated = (values: FastCheck.Arbitrary<unknown>): FastCheck.Arbitrary<unknown> =>
  FastCheck.tuple(
    values,
    FastCheck.array(
      FastCheck.tuple(FastCheck.array(FastCheck.nat({ max: 12 }), { minLength: 1, maxLength: 5 }), odd),
      { minLength: 1, maxLength: 3 }
    )
  ).map(([value, mutations]) => mutations.reduce<unknown>((value, [picks, odd]) => mutate(value, picks, odd), value))

/** As it comes over the wire. */
const overTheWire = (value: unknown): unknown => JSON.parse(JSON.stringify(value) ?? "null")

// --- judging --------------------------------------------------------------------------------------------------------

/** A success or a typed failure whose message can be read. */
const judge = (calling: Calling): Effect.Effect<Exit.Exit<unknown, McpClientError.McpClientError>> =>
  Effect.map(now(Effect.exit(calling)), (exit) => {
    if (Exit.isFailure(exit)) {
      assert(exit.cause._tag === "Fail", Cause.pretty(exit.cause))
      assert.isTrue(McpClientError.isMcpClientError(exit.cause.error))
      assert.isString(exit.cause.error.message)
    }
    return exit
  })

const property = <A>(arbitrary: FastCheck.Arbitrary<A>, check: (value: A) => Effect.Effect<void>, numRuns: number) =>
  Effect.flatMap(
    Effect.runtime<never>(),
    (runtime) =>
      Effect.promise(() =>
        FastCheck.assert(FastCheck.asyncProperty(arbitrary, (value) => Runtime.runPromise(runtime)(check(value))), {
          numRuns
        })
      )
  )

/** Of the tests here, in milliseconds. */
const patience = 60_000

/** Structured content of a tool that was never listed is looked up. */
const noTools = { "tools/list": TestTransport.result({ tools: [] }) }

describe.each(eras)("results, %s", (era) => {
  it.scoped.each(operations)(
    "$method: what is valid is given as it came",
    ({ given, method, results, run }) =>
      Effect.gen(function*() {
        let answer: unknown = {}
        const { client } = yield* connected(era, { ...noTools, [method]: () => TestTransport.result(answer) }, {
          cache: false
        })
        yield* property(results, (value) =>
          Effect.gen(function*() {
            const sent = overTheWire(value)
            assert(isContainer(sent))
            // Pages and demands for input are not what this is about.
            answer = { ...sent, resultType: "complete", nextCursor: undefined }
            const exit = yield* judge(run(client))
            assert.isTrue(Exit.isSuccess(exit), String(exit))
            if (Exit.isSuccess(exit)) {
              assert.deepStrictEqual(
                overTheWire(exit.value),
                overTheWire(given(Object.fromEntries(Object.entries(Object(answer)))))
              )
            }
          }), 60)
      }),
    patience
  )

  it.scoped.each(operations)(
    "$method: what is mutated is decoded or a typed error",
    ({ isSound, method, results, run }) =>
      Effect.gen(function*() {
        let answer: unknown = {}
        const { client } = yield* connected(era, { ...noTools, [method]: () => TestTransport.result(answer) }, {
          onInvalidItem: () => Effect.void
        })
        yield* property(FastCheck.oneof(mutated(results), odd), (value) => {
          answer = overTheWire(value)
          return Effect.map(
            judge(run(client)),
            (exit) => assert.isTrue(Exit.isFailure(exit) || isSound(exit.value), "what is given is what its type says")
          )
        }, 150)
      }),
    patience
  )

  it.scoped("an error object of any kind", () =>
    Effect.gen(function*() {
      let answer: JsonRpc.ErrorObject = { code: 0, message: "" }
      const { client } = yield* connected(era, {
        "x/y": () => TestTransport.error(answer)
      })
      yield* property(
        FastCheck.record({ code: FastCheck.integer(), message: FastCheck.string(), data: odd }),
        (value) => {
          answer = value
          return Effect.map(judge(client.request("x/y")), (exit) => assert.isTrue(Exit.isFailure(exit)))
        },
        60
      )
    }), patience)
})

// --- notifications --------------------------------------------------------------------------------------------------

const params = (u: unknown): JsonRpc.Params | undefined =>
  isContainer(u) && !Array.isArray(u) ? Object.fromEntries(Object.entries(u)) : undefined

const notifications: FastCheck.Arbitrary<JsonRpc.Notification> = FastCheck.oneof(
  FastCheck.tuple(
    FastCheck.constantFrom(
      "notifications/message",
      "notifications/progress",
      "notifications/cancelled",
      "notifications/tools/list_changed",
      "notifications/prompts/list_changed",
      "notifications/resources/list_changed",
      "notifications/resources/updated",
      "notifications/elicitation/complete",
      "notifications/subscriptions/acknowledged",
      "notifications/initialized",
      "",
      "tools/call",
      "constructor"
    ),
    FastCheck.oneof(
      mutated(arbitraryOf(Logging.LoggingMessage)),
      mutated(arbitraryOf(Progress.Progress)),
      mutated(arbitraryOf(Resource.ResourceUpdated)),
      FastCheck.record({ requestId: odd, elicitationId: odd, uri: odd, progressToken: odd, level: odd }),
      odd
    )
  ).map(([method, given]) => JsonRpc.notification(method, params(overTheWire(given))))
)

const requests: FastCheck.Arbitrary<JsonRpc.Request> = FastCheck.tuple(
  FastCheck.oneof(FastCheck.string(), FastCheck.integer()),
  FastCheck.constantFrom("ping", "sampling/createMessage", "elicitation/create", "roots/list", "tools/call", "x", ""),
  odd
).map(([id, method, given]) => JsonRpc.request(id, method, params(overTheWire(given))))

describe.each(eras)("what comes before an answer, %s", (era) => {
  it.scoped("notifications and requests of any kind never break a call, nor the client", () =>
    Effect.gen(function*() {
      let before: ReadonlyArray<JsonRpc.Message> = []
      const { client, methods } = yield* connected(era, {
        "tools/call": (request) =>
          TestTransport.messages([
            ...before,
            JsonRpc.notification("notifications/progress", {
              progressToken: metaOf(request).progressToken,
              progress: 1
            }),
            TestTransport.result(text("done"))
          ])
      })
      const logs = yield* collecting(client.logs)
      yield* property(
        FastCheck.array(FastCheck.oneof(notifications, requests), { maxLength: 10 }),
        (messages) =>
          Effect.gen(function*() {
            before = messages
            let progress = 0
            const exit = yield* judge(client.callTool("a", {}, {
              onProgress: () => Effect.sync(() => void progress++),
              onLog: () => Effect.void
            }))
            assert.isTrue(Exit.isSuccess(exit), String(exit))
            assert.isAtLeast(progress, 1)
          }),
        150
      )
      if (era === "Legacy") {
        yield* settle
      } else {
        assert.isTrue((yield* methods).every((method) => method === "tools/call"), "nothing is answered")
      }
      assert.isFalse(Exit.isExit(yield* Fiber.poll(logs.fiber)), "the listener goes on")
    }), patience)

  it.scoped("nor do they on the server's own stream, or on that of a subscription", () =>
    Effect.gen(function*() {
      const { client, next, server } = yield* connected(era, { "x/y": TestTransport.result({}) })
      const listening = yield* collecting(client.listChanges)
      const incoming = era === "Modern" ? yield* next : undefined
      if (incoming !== undefined) {
        yield* incoming.reply(JsonRpc.notification("notifications/subscriptions/acknowledged", {
          notifications: { toolsListChanged: true }
        }))
      }
      const isHarmless = ({ method }: JsonRpc.Notification | JsonRpc.Request) =>
        // It takes the agreement back, and with it the subscription.
        method !== "notifications/subscriptions/acknowledged"
      yield* property(
        FastCheck.array(FastCheck.oneof(notifications, requests).filter(isHarmless), { maxLength: 10 }),
        (messages) =>
          Effect.gen(function*() {
            for (const message of messages) {
              yield* now(incoming === undefined ? server.push(message) : incoming.reply(message))
            }
            yield* judge(client.request("x/y"))
          }),
        100
      )
      const count = listening.seen.length
      const change = JsonRpc.notification("notifications/tools/list_changed")
      yield* now(incoming === undefined ? server.push(change) : incoming.reply(change))
      yield* settle
      assert.isAbove(listening.seen.length, count)
    }), patience)
})

// --- bytes ----------------------------------------------------------------------------------------------------------

describe.each(eras)("bodies, %s", (era) => {
  it.scopedLive("any JSON in the place of an answer, as JSON and as events", () =>
    Effect.gen(function*() {
      let body: (id: unknown) => unknown = () => ({})
      let asEvents = false
      const { client: http } = yield* ScriptedServer.makeHttpClient((exchange) => {
        const { message, method } = exchange
        if (method === "GET") return exchange.status(405)
        if (method === "DELETE") return exchange.status(200)
        const success = (result: unknown) => exchange.json({ jsonrpc: "2.0", id: message?.id, result })
        if (message?.method === "initialize") return success(initializeResult("2025-11-25", everything))
        if (message?.method === "server/discover") return success(discoverResult(everything))
        if (message?.id === undefined) return exchange.status(202)
        if (message.method !== "tools/call") return success({})
        if (!asEvents) return exchange.json(body(message.id))
        exchange.events().event({ data: body(message.id) }).end()
      })
      const context = yield* Layer.build(
        StreamableHttpTransport.layer({ url: ScriptedServer.memoryUrl }).pipe(
          Layer.provide(Layer.succeed(HttpClient.HttpClient, http))
        )
      )
      const client = yield* McpClient.make({
        clientInfo: { name: "test", version: "1" },
        protocol: era === "Legacy" ? "2025-11-25" : "2026-07-28"
      }).pipe(Effect.provide(context))
      const answers = mutated(FastCheck.oneof(
        arbitraryOf(Tool.CallToolResult).map((result) => ({ jsonrpc: "2.0", id: 0, result })),
        odd.map((data) => ({ jsonrpc: "2.0", id: 0, error: { code: -1, message: "no", data } }))
      ))
      yield* property(
        FastCheck.tuple(FastCheck.oneof(answers, odd), FastCheck.boolean(), FastCheck.boolean()),
        ([answer, events, isOwnId]) => {
          asEvents = events
          body = (id) => isOwnId && isContainer(answer) && "id" in answer ? { ...answer, id } : answer
          // An event stream that ended without its answer could be resumed: that takes time, and is the transport's affair.
          return Effect.asVoid(judge(client.callTool("a", {}, { timeout: 200 })))
        },
        150
      )
      yield* client.request("x/y")
    }), patience)
})
