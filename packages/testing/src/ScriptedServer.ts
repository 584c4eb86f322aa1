/**
 * An MCP server described as data: which request gets which answer, event by event, pause by pause, break by break.
 *
 * The same script runs without sockets, as an `HttpClient` under the `TestClock`, and as a real server on the loopback
 * interface (Node). Where data does not suffice, a handler answers by hand.
 *
 * @since 0.1.0
 */
import type { JsonRpc } from "@effect-mcp/transport"
import * as Headers from "@effect/platform/Headers"
import * as HttpClient from "@effect/platform/HttpClient"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as internal from "./internal/scriptedServer/scriptedServer.ts"
import type { CutKind } from "./internal/scriptedServer/wire.ts"

// --- requests -------------------------------------------------------------------------------------------------------

/**
 * A request as it arrived.
 *
 * @since 0.1.0
 * @category models
 */
export interface Arrival {
  /** How many requests arrived before it. */
  readonly index: number
  /** When, in milliseconds of the server's clock. */
  readonly at: number
  readonly method: string
  /** Path and query. */
  readonly path: string
  readonly headers: Headers.Headers
  /** Names and values in turn, as they came. */
  readonly rawHeaders: ReadonlyArray<string>
  readonly body: string
  /** The connection that it came on, numbered from 0 as they were opened; in memory each exchange has its own. */
  readonly connection: number
  /** The body as a JSON object; `undefined` if it is none. */
  readonly message: { readonly [key: string]: unknown } | undefined
}

/**
 * Which requests a rule is for: all that agree with every field given.
 *
 * @since 0.1.0
 * @category models
 */
export interface When {
  /** The HTTP method. */
  readonly method?: string | undefined
  /** The JSON-RPC method of the body. */
  readonly message?: string | undefined
  /** The JSON-RPC id of the body. */
  readonly requestId?: JsonRpc.RequestId | undefined
  /** The `Last-Event-ID`; `true` for any, `false` for none. */
  readonly lastEventId?: string | boolean | undefined
}

// --- replies --------------------------------------------------------------------------------------------------------

/**
 * The fields of a server-sent event, in the order they are written: `event`, `id`, `retry`, `data`. Data that is no text is
 * written as JSON.
 *
 * @since 0.1.0
 * @category models
 */
export interface EventFields {
  readonly event?: string | undefined
  readonly id?: string | undefined
  readonly retry?: number | string | undefined
  readonly data?: unknown
}

/**
 * One step of a body.
 *
 * - `Event`: a server-sent event.
 * - `Answer`: an event with the JSON-RPC response to the request whose stream this is: that of the POST, or, on a resuming
 *   GET, of the POST on whose stream the `Last-Event-ID` was given.
 * - `Bytes`: anything else, written as it is.
 * - `Pause`: waits; `Gate`: waits until the test opens the gate of that name; `Stall`: waits until the client leaves.
 * - `Cut`: breaks the connection once what was written has gone out. (The network may let a reset overtake it.)
 *
 * After its last step a body ends.
 *
 * @since 0.1.0
 * @category models
 */
export type Step =
  | { readonly _tag: "Event"; readonly fields: EventFields }
  | {
    readonly _tag: "Answer"
    readonly id: string | undefined
    readonly response: { readonly result: unknown } | { readonly error: JsonRpc.ErrorObject }
  }
  | { readonly _tag: "Bytes"; readonly bytes: string | Uint8Array }
  | { readonly _tag: "Pause"; readonly duration: Duration.Duration }
  | { readonly _tag: "Gate"; readonly name: string }
  | { readonly _tag: "Stall" }
  | { readonly _tag: "Cut"; readonly kind: CutKind }

/**
 * What the server does with a request.
 *
 * - `Respond`: a head, after `delay`, and a body.
 * - `Replay`: what follows the event named by `Last-Event-ID` on the stream that had it, as a server with an event store
 *   does; breaks and stalls that were gone through already are left out. An unknown id is answered by 400.
 * - `Drop`: the connection ends without an answer.
 * - `Never`: nothing, until the client leaves.
 *
 * @since 0.1.0
 * @category models
 */
export type Reply =
  | {
    readonly _tag: "Respond"
    readonly status: number
    readonly headers: Headers.Headers
    readonly body: ReadonlyArray<Step>
    readonly delay: Duration.Duration
  }
  | { readonly _tag: "Replay"; readonly headers: Headers.Headers }
  | { readonly _tag: "Drop"; readonly kind: CutKind }
  | { readonly _tag: "Never" }

/**
 * Answers the requests that it is for, the given number of `times` (for ever if there is none).
 *
 * @since 0.1.0
 * @category models
 */
export interface Rule {
  readonly when: When
  readonly reply: Reply | ((arrival: Arrival) => Reply | Effect.Effect<Reply>)
  readonly times: number | undefined
}

/**
 * Answers one exchange by hand. An Effect is interrupted when the client leaves.
 *
 * @since 0.1.0
 * @category models
 */
export type Handler = (exchange: Exchange) => void | Effect.Effect<void>

/**
 * Rules, of which the first that fits answers; a request that none fits gets a 400 that says so. Or a handler for all.
 *
 * @since 0.1.0
 * @category models
 */
export type Script = ReadonlyArray<Rule> | Handler

// --- by hand --------------------------------------------------------------------------------------------------------

/**
 * A request and the means to answer it: one of `json`, `status`, `events`, `respond` and `drop`, once.
 *
 * @since 0.1.0
 * @category models
 */
export interface Exchange extends Arrival {
  /** A whole JSON answer; text is sent as it is. Status 200 unless given. */
  readonly json: (
    value: unknown,
    options?: { readonly status?: number | undefined; readonly headers?: Headers.Input | undefined }
  ) => void
  /** A status and a text. */
  readonly status: (status: number, text?: string, headers?: Headers.Input) => void
  /** Begins a stream of events. */
  readonly events: (headers?: Headers.Input) => EventWriter
  /** Begins any other body. */
  readonly respond: (status: number, headers?: Headers.Input) => BodyWriter
  /** Ends the connection without an answer. */
  readonly drop: (kind?: CutKind) => void
  readonly isOpen: () => boolean
  /** Called once, when the answer has ended or the client has left. */
  readonly onClose: (listener: () => void) => void
}

/**
 * @since 0.1.0
 * @category models
 */
export interface BodyWriter {
  /** False when the client is behind: go on when `onDrain` tells. What is written all the same waits in memory. */
  readonly write: (chunk: string | Uint8Array) => boolean
  readonly onDrain: (listener: () => void) => void
  readonly end: () => void
  /** Breaks the connection, once what was written has gone out. */
  readonly cut: (kind?: CutKind) => void
  readonly isOpen: () => boolean
  readonly onClose: (listener: () => void) => void
}

/**
 * @since 0.1.0
 * @category models
 */
export interface EventWriter extends BodyWriter {
  readonly event: (fields: EventFields) => EventWriter
  readonly comment: (text?: string) => EventWriter
  /** Bytes of any kind. */
  readonly raw: (chunk: string | Uint8Array) => EventWriter
}

export type {
  /**
   * How a connection ends before its time: `Close` as a process that stops does, `Reset` as one that crashes does.
   *
   * @since 0.1.0
   * @category models
   */
  CutKind
} from "./internal/scriptedServer/wire.ts"

// --- the service ----------------------------------------------------------------------------------------------------

/**
 * A running server, for the test that looks at it.
 *
 * @example
 * ```ts
 * import { ScriptedServer } from "@effect-mcp/testing"
 * import { JsonRpc, StreamableHttpTransport } from "@effect-mcp/transport"
 * import { Effect, Layer } from "effect"
 *
 * // A call whose connection breaks after the first event, and is resumed there.
 * const script: ScriptedServer.Script = [
 *   ...ScriptedServer.session(),
 *   ScriptedServer.on({ message: "tools/call" }, ScriptedServer.events([
 *     ScriptedServer.event({ id: "e1", data: JsonRpc.notification("notifications/progress", { progress: 1 }) }),
 *     ScriptedServer.cut(),
 *     ScriptedServer.answer({ content: [] }, "e2")
 *   ])),
 *   ScriptedServer.on({ method: "GET", lastEventId: true }, ScriptedServer.replay())
 * ]
 *
 * const Live = StreamableHttpTransport.layer({ url: ScriptedServer.memoryUrl }).pipe(
 *   Layer.provideMerge(ScriptedServer.layerHttpClient(script))
 * )
 *
 * const test = Effect.gen(function*() {
 *   const transport = yield* StreamableHttpTransport.StreamableHttpTransport
 *   const answer = yield* StreamableHttpTransport.request(transport, JsonRpc.request(1, "tools/call", { name: "work" }))
 *   const server = yield* ScriptedServer.ScriptedServer
 *   return { answer, arrivals: yield* server.arrivals }
 * }).pipe(Effect.provide(Live))
 * ```
 *
 * @since 0.1.0
 * @category tags
 */
export class ScriptedServer extends Context.Tag("@effect-mcp/testing/ScriptedServer")<ScriptedServer, {
  /** The endpoint; in memory `http://server.test/mcp`. */
  readonly url: string
  /** Everything that arrived so far, in order: the last 10 000 at least. */
  readonly arrivals: Effect.Effect<ReadonlyArray<Arrival>>
  /** The same, once there are at least so many. */
  readonly awaitArrivals: (count: number) => Effect.Effect<ReadonlyArray<Arrival>>
  /** What no rule was for. */
  readonly unmatched: Effect.Effect<ReadonlyArray<Arrival>>
  /** Exchanges that were begun and have not ended. */
  readonly openExchanges: Effect.Effect<number>
  /** Connections of clients that are open right now; in memory there is one an exchange. */
  readonly openConnections: Effect.Effect<number>
  /** Opens a gate: every script that waits there goes on, now and later. */
  readonly openGate: (name: string) => Effect.Effect<void>
  /** Another script, from the next request on. */
  readonly use: (script: Script) => Effect.Effect<void>
  /** Breaks every answer that is under way. */
  readonly disconnect: (kind?: CutKind) => Effect.Effect<void>
}>() {}

/**
 * @since 0.1.0
 * @category models
 */
export type Service = Context.Tag.Service<typeof ScriptedServer>

/**
 * Where the server is when it has no sockets.
 *
 * @since 0.1.0
 * @category constructors
 */
export const memoryUrl: string = internal.memoryUrl

/**
 * A server without sockets, and the `HttpClient` that reaches it. Pauses go by the `Clock` of the fiber that sends the
 * request, so that the `TestClock` moves them. Breaks look to the client as they do over Node's fetch.
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeHttpClient: (
  script: Script
) => Effect.Effect<{ readonly server: Service; readonly client: HttpClient.HttpClient }, never, Scope.Scope> =
  internal.makeMemory

/**
 * A real server on the loopback interface, on a free port, which its `url` tells. Needs Node.
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeLoopback: (script: Script) => Effect.Effect<Service, never, Scope.Scope> = internal.makeLoopback

/**
 * {@link makeHttpClient} as a layer.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerHttpClient = (script: Script): Layer.Layer<ScriptedServer | HttpClient.HttpClient> =>
  Layer.scopedContext(
    Effect.map(
      makeHttpClient(script),
      ({ client, server }) => Context.make(ScriptedServer, server).pipe(Context.add(HttpClient.HttpClient, client))
    )
  )

/**
 * {@link makeLoopback} as a layer.
 *
 * @example
 * ```ts
 * import { ScriptedServer } from "@effect-mcp/testing"
 * import { StreamableHttpTransport } from "@effect-mcp/transport"
 * import { FetchHttpClient } from "@effect/platform"
 * import { Effect, Layer } from "effect"
 *
 * const Live = Layer.unwrapEffect(
 *   Effect.map(ScriptedServer.ScriptedServer, ({ url }) => StreamableHttpTransport.layer({ url }))
 * ).pipe(
 *   Layer.provideMerge(ScriptedServer.layerLoopback(ScriptedServer.session())),
 *   Layer.provide(FetchHttpClient.layer)
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerLoopback = (script: Script): Layer.Layer<ScriptedServer> =>
  Layer.scoped(ScriptedServer, makeLoopback(script))

// --- rules ----------------------------------------------------------------------------------------------------------

/**
 * @since 0.1.0
 * @category rules
 */
export const on = (
  when: When,
  reply: Rule["reply"],
  options: { readonly times?: number | undefined } = {}
): Rule => ({ when, reply, times: options.times })

/**
 * What a plain server with sessions does besides its work: answers `initialize` with a session id and the version that
 * was asked for, accepts notifications and responses (202), ends the session on DELETE, and offers no stream of its own
 * (405). Put rules of your own before it.
 *
 * @since 0.1.0
 * @category rules
 */
export const session = (
  options: {
    /** Default `scripted-session`; `null` for a server without sessions. */
    readonly sessionId?: string | null | undefined
    /** Members of the result of `initialize` beside its version and `serverInfo`; default no capabilities. */
    readonly result?: { readonly [member: string]: unknown } | undefined
  } = {}
): ReadonlyArray<Rule> => {
  const sessionId = options.sessionId === undefined ? "scripted-session" : options.sessionId
  const headers: Headers.Input = sessionId === null ? {} : { "mcp-session-id": sessionId }
  return [
    on({ message: "initialize" }, ({ message }) =>
      json({
        jsonrpc: "2.0",
        id: message?.id,
        result: {
          protocolVersion: internal.askedVersion(message) ?? "2025-11-25",
          capabilities: {},
          serverInfo: { name: "scripted-server", version: "1.0.0" },
          ...options.result
        }
      }, { headers })),
    on({ method: "DELETE" }, status(200)),
    on({ method: "GET", lastEventId: false }, status(405)),
    {
      when: { method: "POST" },
      reply: ({ message }) => message?.id === undefined || message.method === undefined ? status(202) : internal.noRule,
      times: undefined
    }
  ]
}

// --- replies --------------------------------------------------------------------------------------------------------

interface ReplyOptions {
  readonly headers?: Headers.Input | undefined
  /** Time before the head. Default none. */
  readonly delay?: Duration.DurationInput | undefined
}

/**
 * A JSON body: anything, as it is. Status 200 unless given.
 *
 * @since 0.1.0
 * @category replies
 */
export const json = (
  value: unknown,
  options: ReplyOptions & { readonly status?: number | undefined } = {}
): Reply =>
  respond(options.status ?? 200, [bytes(typeof value === "string" ? value : JSON.stringify(value))], {
    ...options,
    headers: withType("application/json", options.headers)
  })

/**
 * A successful JSON-RPC response to the request, as a JSON body.
 *
 * @since 0.1.0
 * @category replies
 */
export const result = (value: unknown, options?: ReplyOptions): Rule["reply"] => ({ message }) =>
  json({ jsonrpc: "2.0", id: message?.id, result: value }, options)

/**
 * A stream of events.
 *
 * @since 0.1.0
 * @category replies
 */
export const events = (steps: ReadonlyArray<Step>, options: ReplyOptions = {}): Reply =>
  respond(200, steps, { ...options, headers: withType("text/event-stream", options.headers) })

/**
 * A status and, if you like, a text.
 *
 * @since 0.1.0
 * @category replies
 */
export const status = (status: number, options: ReplyOptions & { readonly text?: string | undefined } = {}): Reply =>
  respond(status, options.text === undefined ? [] : [bytes(options.text)], options)

/**
 * Any status, headers and body.
 *
 * @since 0.1.0
 * @category replies
 */
export const respond = (status: number, body: ReadonlyArray<Step>, options: ReplyOptions = {}): Reply => ({
  _tag: "Respond",
  status,
  headers: Headers.fromInput(options.headers),
  body,
  delay: Duration.decode(options.delay ?? 0)
})

/**
 * What follows the event that the client saw last: see {@link Reply}.
 *
 * @since 0.1.0
 * @category replies
 */
export const replay = (options: { readonly headers?: Headers.Input | undefined } = {}): Reply => ({
  _tag: "Replay",
  headers: withType("text/event-stream", options.headers)
})

/**
 * The connection ends without an answer, by default as `Close`.
 *
 * @since 0.1.0
 * @category replies
 */
export const drop = (kind: CutKind = "Close"): Reply => ({ _tag: "Drop", kind })

/**
 * No answer, ever.
 *
 * @since 0.1.0
 * @category replies
 */
export const never: Reply = { _tag: "Never" }

const withType = (type: string, headers: Headers.Input = {}): Headers.Headers =>
  Headers.merge(Headers.fromInput({ "content-type": type }), Headers.fromInput(headers))

// --- steps ----------------------------------------------------------------------------------------------------------

/**
 * @since 0.1.0
 * @category steps
 */
export const event = (fields: EventFields): Step => ({ _tag: "Event", fields })

/**
 * An event with a message, and an id if the stream is to be resumable there.
 *
 * @since 0.1.0
 * @category steps
 */
export const message = (message: JsonRpc.Message, id?: string): Step => event({ id, data: message })

/**
 * The successful answer to the request whose stream this is, as an event.
 *
 * @since 0.1.0
 * @category steps
 */
export const answer = (result: unknown, id?: string): Step => ({ _tag: "Answer", id, response: { result } })

/**
 * The same with a JSON-RPC error.
 *
 * @since 0.1.0
 * @category steps
 */
export const answerError = (error: JsonRpc.ErrorObject, id?: string): Step => ({
  _tag: "Answer",
  id,
  response: { error }
})

/**
 * A comment, as servers send them to keep a connection alive.
 *
 * @since 0.1.0
 * @category steps
 */
export const comment = (text = ""): Step => bytes(`: ${text}\n\n`)

/**
 * @since 0.1.0
 * @category steps
 */
export const bytes = (bytes: string | Uint8Array): Step => ({ _tag: "Bytes", bytes })

/**
 * @since 0.1.0
 * @category steps
 */
export const pause = (duration: Duration.DurationInput): Step => ({
  _tag: "Pause",
  duration: Duration.decode(duration)
})

/**
 * Waits until the test calls `openGate` with this name.
 *
 * @since 0.1.0
 * @category steps
 */
export const gate = (name: string): Step => ({ _tag: "Gate", name })

/**
 * Nothing more, though the connection stays.
 *
 * @since 0.1.0
 * @category steps
 */
export const stall: Step = { _tag: "Stall" }

/**
 * The connection breaks, by default as `Close`.
 *
 * @since 0.1.0
 * @category steps
 */
export const cut = (kind: CutKind = "Close"): Step => ({ _tag: "Cut", kind })
