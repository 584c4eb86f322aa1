/**
 * What the tests of connecting and recovering share: clients over the transport double and over HTTP in memory, servers of
 * both eras as scripts, and ways to look at what was sent.
 */
import {
  type Elicitation,
  type Lifecycle,
  McpClient,
  type McpClientError,
  type Roots,
  type Sampling
} from "@effect-mcp/client"
import { ScriptedServer } from "@effect-mcp/testing"
import * as TestTransport from "@effect-mcp/testing/TestTransport"
import { JsonRpc, StreamableHttpTransport, TransportError } from "@effect-mcp/transport"
import * as HttpClient from "@effect/platform/HttpClient"
import { assert } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"

export const clientInfo = { name: "app", version: "1.0.0" }

export const { error, fail, messages, never, result } = TestTransport

// --- servers as scripts ---------------------------------------------------------------------------------------------

type ByMethod = Exclude<TestTransport.Script, TestTransport.Handler>

export const everything = {
  tools: { listChanged: true },
  resources: { subscribe: true, listChanged: true },
  prompts: { listChanged: true },
  completions: {},
  logging: {}
} as const

export const emptyTool = { name: "work", inputSchema: { type: "object" } } as const

export const toolResult = { content: [{ type: "text", text: "done" }] } as const

export const initializeResult = {
  protocolVersion: "2025-11-25",
  capabilities: everything,
  serverInfo: { name: "legacy", version: "2.0.0" },
  instructions: "ask nicely"
} as const satisfies Lifecycle.InitializeResult

export const discoverResult = {
  resultType: "complete",
  supportedVersions: ["2026-07-28"],
  capabilities: everything,
  instructions: "ask statelessly",
  ttlMs: 0,
  cacheScope: "private",
  _meta: { "io.modelcontextprotocol/serverInfo": { name: "modern", version: "3.0.0", title: "The Modern One" } }
} as const satisfies Lifecycle.DiscoverResult

const answersOfWork: ByMethod = {
  "tools/list": result({ tools: [emptyTool] }),
  "tools/call": result(toolResult),
  "resources/list": result({ resources: [] }),
  "resources/subscribe": result({}),
  "resources/unsubscribe": result({}),
  "logging/setLevel": result({})
}

/** A server with sessions; what it does not know, such as `server/discover`, it answers by -32601. */
export const legacyServer = (script: ByMethod = {}): ByMethod => ({
  initialize: ({ params }) => result({ ...initializeResult, protocolVersion: params?.protocolVersion }),
  ...answersOfWork,
  ...script
})

/** A stateless server. */
export const modernServer = (script: ByMethod = {}): ByMethod => ({
  "server/discover": result(discoverResult),
  initialize: error({ code: -32601, message: "Method not found" }),
  ...answersOfWork,
  ...script
})

// --- clients --------------------------------------------------------------------------------------------------------

export type Services = Sampling.Sampling | Elicitation.Elicitation | Roots.Roots

export interface ClientOptions extends Partial<McpClient.Options> {
  /** The services provided beside the transport. */
  readonly services?: Context.Context<never> | undefined
  readonly transport?: TestTransport.Options | undefined
}

export interface Connecting {
  readonly transport: StreamableHttpTransport.Service
  readonly server: TestTransport.Service
  /** Makes one more client on the same transport. */
  readonly connect: Effect.Effect<McpClient.Service, McpClientError.McpClientError, Scope.Scope>
}

/** A double, and a client on it still to be made. */
export const prepare = (
  script: TestTransport.Script,
  { services = Context.empty(), transport: transportOptions, ...options }: ClientOptions = {}
): Effect.Effect<Connecting, never, Scope.Scope> =>
  Effect.map(TestTransport.make(script, transportOptions), ({ server, transport }) => ({
    transport,
    server,
    connect: connectTo(transport, services, options)
  }))

export const connectTo = (
  transport: StreamableHttpTransport.Service,
  services: Context.Context<never> = Context.empty(),
  options: Partial<McpClient.Options> = {}
): Effect.Effect<McpClient.Service, McpClientError.McpClientError, Scope.Scope> =>
  Effect.provideService(
    Effect.mapInputContext(
      McpClient.make({ clientInfo, ...options }),
      (context: Context.Context<StreamableHttpTransport.StreamableHttpTransport | Scope.Scope>) =>
        Context.merge(context, services)
    ),
    StreamableHttpTransport.StreamableHttpTransport,
    transport
  )

export interface Connected extends Connecting {
  readonly client: McpClient.Service
  /** Closes the scope of the client, not that of the transport. */
  readonly close: Effect.Effect<void>
}

/** A connected client, in a scope of its own. */
export const connected = (
  script: TestTransport.Script,
  options: ClientOptions = {}
): Effect.Effect<Connected, McpClientError.McpClientError, Scope.Scope> =>
  Effect.gen(function*() {
    const prepared = yield* prepare(script, options)
    const { close, made } = yield* inScope(prepared.connect)
    yield* settle
    return { ...prepared, client: made, close }
  })

/** Makes something in a scope that can be closed on its own. */
export const inScope = <A, E>(make: Effect.Effect<A, E, Scope.Scope>) =>
  Effect.gen(function*() {
    const scope = yield* Effect.acquireRelease(Scope.make(), (scope) => Scope.close(scope, Exit.void))
    const made = yield* now(Scope.extend(make, scope))
    return { made, close: Scope.close(scope, Exit.void) }
  })

export interface OverHttp {
  readonly server: ScriptedServer.Service
  readonly transport: StreamableHttpTransport.Service
  readonly connect: Effect.Effect<McpClient.Service, McpClientError.McpClientError, Scope.Scope>
}

/** The real transport over HTTP exchanges in memory, and a client on it still to be made. */
export const overHttp = (
  script: ScriptedServer.Script,
  { services, transport: transportOptions, ...options }: Omit<ClientOptions, "transport"> & {
    readonly transport?: Partial<StreamableHttpTransport.Options> | undefined
  } = {}
): Effect.Effect<OverHttp, never, Scope.Scope> =>
  Effect.gen(function*() {
    const { client, server } = yield* ScriptedServer.makeHttpClient(script)
    const transport = yield* Effect.orDie(
      Effect.provide(
        StreamableHttpTransport.make({
          url: server.url,
          reconnect: Schedule.recurs(2),
          ...transportOptions
        }),
        Context.make(HttpClient.HttpClient, client)
      )
    )
    return { server, transport, connect: connectTo(transport, services, options) }
  })

// --- looking --------------------------------------------------------------------------------------------------------

/** The methods of what was sent, in order; `#` and the id for the answer to a request of the server. */
export const methodsOf = (messages: ReadonlyArray<JsonRpc.Message>): ReadonlyArray<string> =>
  messages.map((message) => "method" in message ? message.method : `#${String(message.id)}`)

/** The requests of a method that were sent. */
export const requestsOf = (
  messages: ReadonlyArray<JsonRpc.Message>,
  method: string
): ReadonlyArray<JsonRpc.Request> =>
  messages.filter((message) => JsonRpc.isRequest(message)).filter((message) => message.method === method)

export const idsOf = (messages: ReadonlyArray<JsonRpc.Message>): ReadonlyArray<JsonRpc.RequestId> =>
  messages.filter((message) => JsonRpc.isRequest(message)).map(({ id }) => id)

/** The answer to a request of the server, once it was sent. */
export const answerTo = (server: TestTransport.Service, id: JsonRpc.RequestId) =>
  now(server.awaitSent((message) => JsonRpc.isResponse(message) && message.id === id))

export const metaOf = (request: JsonRpc.Request | undefined): unknown => request?.params?._meta

/** Keeps what a Stream gives, and tells how it ended. */
export const record = <A, E>(stream: Stream.Stream<A, E>) =>
  Effect.gen(function*() {
    const seen: Array<A> = []
    const fiber = yield* Effect.forkScoped(
      Stream.runForEach(stream, (value) => Effect.sync(() => void seen.push(value)))
    )
    yield* settle
    return { seen, fiber }
  })

/** The states, without what belongs to them. */
export const tagsOf = (states: ReadonlyArray<{ readonly _tag: string }>): ReadonlyArray<string> =>
  states.map(({ _tag }) => _tag)

export const sessionLost = (outcome: TransportError.Outcome): TransportError.SessionTerminated =>
  new TransportError.SessionTerminated({ sessionId: Redacted.make("test-session"), by: "Server", outcome })

export const statusError = (
  status: number,
  more: { readonly error?: JsonRpc.ErrorObject; readonly body?: string; readonly outcome?: TransportError.Outcome } = {}
): TransportError.HttpStatusError =>
  new TransportError.HttpStatusError({ method: "POST", status, outcome: "Unknown", ...more })

export const connectionError = (
  phase: TransportError.ConnectionError["phase"],
  outcome: TransportError.Outcome = phase === "Connect" ? "NotExecuted" : "Unknown"
): TransportError.ConnectionError => new TransportError.ConnectionError({ phase, outcome })

export const noResponse = new TransportError.ProtocolError({
  reason: "NoResponse",
  description: "status 202 does not answer a request",
  outcome: "Unknown"
})

/** The given fields of an error, exactly. */
export const assertFields = (error: unknown, fields: { readonly [name: string]: unknown }): void => {
  const seen: Record<string, unknown> = {}
  for (const name of Object.keys(fields)) seen[name] = Reflect.get(Object(error), name)
  assert.deepStrictEqual(seen, { ...fields }, String(error))
}

// --- waiting without a clock ----------------------------------------------------------------------------------------

/** Lets every fiber run until it waits for something: several turns of the event loop, timers included. */
export const settle = Effect.promise(async () => {
  for (let turn = 0; turn < 6; turn++) {
    await new Promise((resolve) => setTimeout(resolve, 0))
    await new Promise((resolve) => setImmediate(resolve))
  }
})

/** What ends without the test clock going on. A hang fails, after three seconds of real time. */
export const now = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.gen(function*() {
    const fiber = yield* Effect.fork(effect)
    for (const deadline = Date.now() + 3000; Date.now() < deadline;) {
      const exit = yield* Fiber.poll(fiber)
      if (Option.isSome(exit)) return yield* exit.value
      yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
    }
    yield* Fiber.interruptFork(fiber)
    return yield* Effect.dieMessage("it waits for something")
  })

export const failureNow = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<E, never, R> =>
  now(Effect.flip(effect)).pipe(Effect.catchAll((value) => Effect.dieMessage(`succeeded: ${JSON.stringify(value)}`)))

/** Starts something and lets it come to a rest. */
export const start = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.zipLeft(Effect.forkScoped(effect), settle)

export const isRunning = <A, E>(fiber: Fiber.RuntimeFiber<A, E>) => Effect.map(Fiber.poll(fiber), Option.isNone)

/** The typed failure of an Exit; anything else fails the test. */
export const failureIn = <A, E>(exit: Exit.Exit<A, E>): E => {
  if (Exit.isSuccess(exit)) throw new Error(`succeeded: ${JSON.stringify(exit.value)}`)
  const failure = Cause.failureOption(exit.cause)
  if (Option.isNone(failure)) throw new Error(`no typed failure: ${Cause.pretty(exit.cause)}`)
  return failure.value
}
