/**
 * What the end-to-end tests do over and over: open a session, call a tool, listen, look at the wire.
 */
import { JsonRpc, StreamableHttpTransport } from "@effect-mcp/transport"
import { assert } from "@effect/vitest"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Exchange } from "./testServer.ts"

type Transport = StreamableHttpTransport.Service

/** An exchange, without what only a socket can tell. */
export type Seen = Pick<Exchange, "method" | "headers" | "body" | "status">

export interface Watched<A extends Seen = Seen> {
  readonly wire: Effect.Effect<ReadonlyArray<A>>
}

export const initialize = (capabilities: JsonRpc.Params = {}, protocolVersion = "2025-11-25"): JsonRpc.Request =>
  JsonRpc.request("initialize", "initialize", {
    protocolVersion,
    capabilities,
    clientInfo: { name: "end-to-end", version: "1.0.0" }
  })

/** The whole handshake; gives the id of the session, if the server has given one. */
export const openSession = (transport: Transport, capabilities: JsonRpc.Params = {}) =>
  Effect.gen(function*() {
    const answer = yield* StreamableHttpTransport.request(transport, initialize(capabilities))
    assert.isTrue(JsonRpc.isSuccessResponse(answer), JSON.stringify(answer))
    yield* StreamableHttpTransport.notify(transport, JsonRpc.notification("notifications/initialized"))
    return yield* sessionIdOf(transport)
  })

export const sessionIdOf = (transport: Transport): Effect.Effect<string | undefined> =>
  Effect.map(
    transport.session,
    (session) =>
      session._tag === "Idle" ? undefined : Option.getOrUndefined(Option.map(session.sessionId, Redacted.value))
  )

export const stateOf = (transport: Transport): Effect.Effect<string> =>
  Effect.map(
    transport.session,
    (session) => session._tag === "Terminated" ? `Terminated by ${session.by}` : session._tag
  )

/** A call that asks for progress. */
export const toolCall = (id: JsonRpc.RequestId, name: string, args: JsonRpc.Params = {}): JsonRpc.Request =>
  JsonRpc.request(id, "tools/call", { name, arguments: args, _meta: { progressToken: id } })

export interface Called {
  readonly answer: JsonRpc.Response
  readonly before: ReadonlyArray<JsonRpc.Message>
}

/** The answer, and what came before it. */
export const run = (
  transport: Transport,
  request: JsonRpc.Request,
  options: StreamableHttpTransport.SendOptions = {}
) =>
  Effect.suspend(() => {
    const before: Array<JsonRpc.Message> = []
    return StreamableHttpTransport.request(transport, request, {
      ...options,
      onMessage: (message) => Effect.sync(() => before.push(message))
    }).pipe(Effect.map((answer): Called => ({ answer, before })))
  })

const isToolResult = Schema.is(Schema.Struct({
  content: Schema.Array(Schema.Struct({ type: Schema.Literal("text"), text: Schema.String })),
  isError: Schema.optional(Schema.Boolean)
}))

/** The text of a tool's successful answer. */
export const textOf = (answer: JsonRpc.Response): string => {
  const result = JsonRpc.isSuccessResponse(answer) ? answer.result : undefined
  if (!isToolResult(result) || result.isError === true) {
    return assert.fail(`no result of a tool: ${JSON.stringify(answer)}`)
  }
  return result.content.map(({ text }) => text).join("\n")
}

/** What a tool says about its failure. */
export const toolErrorOf = (answer: JsonRpc.Response): string => {
  const result = JsonRpc.isSuccessResponse(answer) ? answer.result : undefined
  if (!isToolResult(result) || result.isError !== true) {
    return assert.fail(`no failure of a tool: ${JSON.stringify(answer)}`)
  }
  return result.content.map(({ text }) => text).join("\n")
}

export const errorOf = (answer: JsonRpc.Response): JsonRpc.ErrorObject =>
  JsonRpc.isErrorResponse(answer) ? answer.error : assert.fail(`no error: ${JSON.stringify(answer)}`)

const member = (message: JsonRpc.Message, name: string): unknown =>
  "method" in message ? message.params?.[name] : undefined

/** The steps of progress notifications; anything else in between shows up as its method. */
export const steps = (messages: ReadonlyArray<JsonRpc.Message>): ReadonlyArray<unknown> =>
  messages.map((message) =>
    "method" in message && message.method !== "notifications/progress"
      ? message.method
      : member(message, "progress")
  )

/** The data of log notifications. */
export const logged = (messages: ReadonlyArray<JsonRpc.Message>): ReadonlyArray<unknown> =>
  messages.filter((message) => "method" in message && message.method === "notifications/message")
    .map((message) => member(message, "data"))

export const range = (from: number, to: number): ReadonlyArray<number> =>
  Array.from({ length: to - from + 1 }, (_, index) => from + index)

export interface Listening {
  readonly received: ReadonlyArray<JsonRpc.Message>
  readonly fiber: Fiber.RuntimeFiber<void, unknown>
}

/** Runs `receive` until the surrounding scope ends; `answer` is run for every message. */
export const listen = (
  transport: Transport,
  answer: (message: JsonRpc.Message) => Effect.Effect<void, unknown> = () => Effect.void
): Effect.Effect<Listening, never, Scope.Scope> =>
  Effect.suspend(() => {
    const received: Array<JsonRpc.Message> = []
    return transport.receive.pipe(
      Stream.runForEach((message) => Effect.zipRight(Effect.sync(() => received.push(message)), answer(message))),
      Effect.forkScoped,
      Effect.map((fiber) => ({ received, fiber }))
    )
  })

/** Repeats a check until it holds: for what other processes and sockets do in their own time. */
export const until = (
  what: string,
  check: Effect.Effect<boolean>,
  limit: Duration.DurationInput = "3 seconds"
): Effect.Effect<void> =>
  check.pipe(
    Effect.tap((holds) => holds ? Effect.void : Effect.sleep("5 millis")),
    Effect.repeat({ until: (holds) => holds }),
    Effect.timeoutFail({ duration: limit, onTimeout: () => new Error(`did not happen: ${what}`) }),
    Effect.orDie,
    Effect.asVoid
  )

/** Waits for something on the wire, and gives it. */
export const untilSeen = <A extends Seen>(
  server: Watched<A>,
  what: string,
  matches: (exchange: A) => boolean,
  limit?: Duration.DurationInput
): Effect.Effect<A> =>
  until(what, Effect.map(server.wire, (wire) => wire.some(matches)), limit).pipe(
    Effect.zipRight(server.wire),
    Effect.map((wire) => wire.find(matches) ?? assert.fail(what))
  )

/** The GET of `receive` is open: what the server says from now on arrives. */
export const untilListening = (server: Watched, times = 1): Effect.Effect<void> =>
  until(
    `GET number ${times} was answered`,
    Effect.map(server.wire, (wire) => wire.filter(isOpenGet).length >= times)
  )

const isOpenGet = ({ method, status }: Seen): boolean => method === "GET" && status === 200

/** Only what arrives from now on: for a server that several tests share. */
export const fromNowOn = <A extends Seen>(server: Watched<A>): Effect.Effect<Watched<A>> =>
  Effect.map(server.wire, ({ length }) => ({ wire: Effect.map(server.wire, (wire) => wire.slice(length)) }))

const Posted = Schema.parseJson(Schema.Struct({ method: Schema.optional(Schema.String) }))

/** The wire as lines: `POST tools/call`, `POST response`, `GET`, `GET after event-3`, `DELETE`. */
export const lines = (wire: ReadonlyArray<Seen>): ReadonlyArray<string> =>
  wire.map(({ body, headers, method }) => {
    if (method === "POST") return `POST ${Schema.decodeSync(Posted)(body).method ?? "response"}`
    const cursor = headers["last-event-id"]
    return cursor === undefined ? method : `${method} after ${cursor}`
  })

export const seen = (server: Watched): Effect.Effect<ReadonlyArray<string>> => Effect.map(server.wire, lines)

export const handshakeLines = ["POST initialize", "POST notifications/initialized"]
