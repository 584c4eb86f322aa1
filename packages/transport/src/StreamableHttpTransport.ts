/**
 * The transport: JSON-RPC messages to an MCP server and back over Streamable HTTP.
 *
 * Speaks the revisions 2025-03-26, 2025-06-18 and 2025-11-25 (sessions, the server's own stream, resumption) and, message
 * by message, the stateless 2026-07-28: a request or notification whose `params._meta` names its protocol version.
 *
 * @since 0.1.0
 */
import type * as Headers from "@effect/platform/Headers"
import type * as HttpClient from "@effect/platform/HttpClient"
import * as Config from "effect/Config"
import * as ConfigError from "effect/ConfigError"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as Layer from "effect/Layer"
import type * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import type * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as HttpExchange from "./HttpExchange.ts"
import * as duplexInternal from "./internal/duplex.ts"
import * as internal from "./internal/transport.ts"
import type * as JsonRpc from "./JsonRpc.ts"
import type * as Reconnection from "./Reconnection.ts"
import type * as ResumptionStore from "./ResumptionStore.ts"
import type { HttpStatusError, InvalidOptions, TransportError } from "./TransportError.ts"
import type { TransportEvent } from "./TransportEvent.ts"

/**
 * Options of one message.
 *
 * @since 0.1.0
 * @category models
 */
export interface SendOptions {
  /**
   * Headers for this message only, on its POST and on the GETs that resume it. Names that MCP defines (`accept`,
   * `content-type`, `last-event-id`, `mcp-session-id`, `mcp-protocol-version`, `mcp-method`, `mcp-name`) are left out.
   */
  readonly headers?: Headers.Input | undefined
  /** Resume an earlier run of this request by GET instead of POSTing it. Only for stateful requests. */
  readonly resumptionToken?: string | undefined
  /**
   * Called with a token to resume after, each time a message that has one was taken: when the next element is asked for,
   * so that a token stored is never ahead of the message handled (at least once). A callback that dies is a defect of
   * yours: it ends this send and nothing else.
   */
  readonly onResumptionToken?: ((token: string) => Effect.Effect<void>) | undefined
}

/**
 * Options of {@link request}.
 *
 * @since 0.1.0
 * @category models
 */
export interface RequestOptions extends SendOptions {
  /** Run for every message before the answer, in order; the next is taken when it has ended. Without it they are dropped. */
  readonly onMessage?: ((message: JsonRpc.Message) => Effect.Effect<void>) | undefined
  /** The same for all messages that came together, in the place of `onMessage`. */
  readonly onMessages?: ((messages: ReadonlyArray<JsonRpc.Message>) => Effect.Effect<void>) | undefined
  /**
   * Called when the request begins, with a function that lets it fail with a `ConnectionError` of phase `Closed`, unless its
   * answer has come; what runs for a message that came ends first. Interrupting does the same and ends that, too, but not in
   * an uninterruptible region.
   */
  readonly exposeAbort?: ((abort: () => void) => void) | undefined
}

/**
 * No session was opened yet.
 *
 * @since 0.1.0
 * @category models
 */
export interface Idle {
  readonly _tag: "Idle"
}

/**
 * `initialize` was answered, with or without a session id; the version is there once the answer was read.
 *
 * @since 0.1.0
 * @category models
 */
export interface Active {
  readonly _tag: "Active"
  readonly sessionId: Option.Option<Redacted.Redacted<string>>
  readonly protocolVersion: Option.Option<string>
}

/**
 * The session is over. A new `initialize` opens another one.
 *
 * @since 0.1.0
 * @category models
 */
export interface Terminated {
  readonly _tag: "Terminated"
  readonly sessionId: Option.Option<Redacted.Redacted<string>>
  readonly by: "Client" | "Server"
}

/**
 * @since 0.1.0
 * @category models
 */
export type SessionState = Idle | Active | Terminated

/**
 * Options of a transport. All but `url` may be left out or `undefined`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** The MCP endpoint: absolute, `http:` or `https:`, without user name and password. A fragment is dropped. */
  readonly url: string | URL
  /** Headers of every request, such as `authorization`. Names that MCP defines are left out. */
  readonly headers?: Headers.Input | undefined
  /** Take up a session that was opened elsewhere: nothing is initialized, and `receive` opens at once. */
  readonly session?: {
    readonly sessionId: string | Redacted.Redacted<string>
    readonly protocolVersion: string
  } | undefined
  /** Whether closing the scope ends the session at the server by DELETE. Default true. */
  readonly terminateOnClose?: boolean | undefined
  /** How long a DELETE may take, and so the longest that closing the scope waits. Default 5 seconds. */
  readonly terminateTimeout?: Duration.DurationInput | undefined
  /** When to reconnect lost streams and when to give up. Default `Reconnection.defaultPolicy`. */
  readonly reconnect?: Reconnection.Policy | undefined
  /**
   * Whether, and when, to repeat a POST that the server was too busy for: status 429, or 503 with `Retry-After`, which is
   * the least wait. A 429 was not executed; a 503 may have been, so it is your decision. The request keeps its place
   * among `maxConcurrentRequests` while it waits. Default none: the `HttpStatusError` is yours.
   */
  readonly overload?: Schedule.Schedule<unknown, HttpStatusError> | undefined
  /**
   * How many requests may run at the same time; more wait, in order. Notifications, responses and GETs never wait: a
   * running call may need our answer to a request of the server. Default no limit.
   */
  readonly maxConcurrentRequests?: number | undefined
  /**
   * Where to keep the session and the cursors of requests under way, so that another process can go on with them: see
   * {@link ResumptionStore.ResumptionStore}. A session found there is taken up, unless `session` is given. Default none.
   */
  readonly resumptionStore?: ResumptionStore.Service | undefined
  /** A server that asks for a longer wait gets no reconnect: `ResumptionError` `RetryTooLong`. Default 5 minutes. */
  readonly maxRetryDelay?: Duration.DurationInput | undefined
  /**
   * Silence on an open stream for this long counts as a break, which is resumed if it can be. It also bounds the wait for
   * the head of a reconnect, but not of a POST. Comments are no silence, nor is time spent waiting for a slow consumer.
   * Default none.
   */
  readonly idleTimeout?: Duration.DurationInput | undefined
  /** The largest message accepted, in bytes after decompression. Default 16 MiB (16 777 216). */
  readonly maxMessageSize?: number | undefined
  /** How many messages the fastest listener of `receive` may be ahead of the slowest. Default 64. */
  readonly receiveBufferSize?: number | undefined
}

/**
 * The transport to one MCP server.
 *
 * - `send`: cold, every run is a new exchange. For a request it emits what the server puts on that request's own stream,
 *   then the response, and ends; a JSON-RPC error is a value. For a notification or a response it emits nothing and ends
 *   when the server has accepted it. It is pulled: a slow consumer slows the socket. Interrupting it closes its
 *   connection and its reconnect loop at once; a stateless request is thereby cancelled. A single pull (`Stream.toPull`)
 *   that is interrupted as it waits for messages or for a reconnect can be repeated; one that is interrupted during the
 *   POST has aborted it, which is never repeated: the next pull fails with `ConnectionError` `Closed`.
 * - `receive`: the server's own stream, one GET shared by all who run it, opened once the server has accepted
 *   `notifications/initialized`. It ends quietly when the server offers none and when this side terminates.
 * - `session`: the state right now.
 * - `events`: what happens on the wire from now on. A listener that falls more than 1 024 behind loses the oldest.
 * - `terminate`: ends the session by DELETE. Idempotent, and nothing happens when there is no session id. Running sends of
 *   the session fail with `SessionTerminated` by `Client`.
 *
 * @example
 * ```ts
 * import { FetchHttpClient } from "@effect/platform"
 * import { JsonRpc, StreamableHttpTransport } from "@effect-mcp/transport"
 * import { Effect, Layer, Stream } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const transport = yield* StreamableHttpTransport.StreamableHttpTransport
 *   yield* transport.send(JsonRpc.request(1, "tools/list")).pipe(
 *     Stream.runForEach((message) => Effect.log(message))
 *   )
 * })
 *
 * const Live = StreamableHttpTransport.layer({ url: "http://127.0.0.1:3000/mcp" }).pipe(
 *   Layer.provide(FetchHttpClient.layer)
 * )
 *
 * const main = program.pipe(Effect.provide(Live))
 * ```
 *
 * @since 0.1.0
 * @category tags
 */
export class StreamableHttpTransport extends Context.Tag("@effect-mcp/transport/StreamableHttpTransport")<
  StreamableHttpTransport,
  {
    readonly send: (message: JsonRpc.Message, options?: SendOptions) => Stream.Stream<JsonRpc.Message, TransportError>
    readonly receive: Stream.Stream<JsonRpc.Message, TransportError>
    readonly session: Effect.Effect<SessionState>
    readonly events: Stream.Stream<TransportEvent>
    readonly terminate: Effect.Effect<void, TransportError>
  }
>() {}

/**
 * @since 0.1.0
 * @category models
 */
export type Service = Context.Tag.Service<typeof StreamableHttpTransport>

/**
 * A transport over an {@link HttpExchange.HttpExchange} from context. Closing the scope ends the session (DELETE, bounded
 * by `terminateTimeout`), fails what is still running, and leaves nothing behind.
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeExchange = (
  options: Options
): Effect.Effect<Service, InvalidOptions, HttpExchange.HttpExchange | Scope.Scope> =>
  Effect.flatMap(HttpExchange.HttpExchange, (exchange) => internal.make(options, exchange))

/**
 * A transport over an `HttpClient` from context: see {@link HttpExchange.fromHttpClient}.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  options: Options
): Effect.Effect<Service, InvalidOptions, HttpClient.HttpClient | Scope.Scope> =>
  Effect.flatMap(HttpExchange.fromHttpClient, (exchange) => internal.make(options, exchange))

/**
 * {@link makeExchange} as a layer.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerExchange = (
  options: Options
): Layer.Layer<StreamableHttpTransport, InvalidOptions, HttpExchange.HttpExchange> =>
  Layer.scoped(StreamableHttpTransport, makeExchange(options))

/**
 * {@link make} as a layer.
 *
 * @example
 * ```ts
 * import { FetchHttpClient } from "@effect/platform"
 * import { StreamableHttpTransport } from "@effect-mcp/transport"
 * import { Layer, Redacted } from "effect"
 *
 * declare const token: Redacted.Redacted<string>
 *
 * const Live = StreamableHttpTransport.layer({
 *   url: "https://mcp.example.com/mcp",
 *   headers: { authorization: `Bearer ${Redacted.value(token)}` },
 *   idleTimeout: "2 minutes"
 * }).pipe(Layer.provide(FetchHttpClient.layer))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  options: Options
): Layer.Layer<StreamableHttpTransport, InvalidOptions, HttpClient.HttpClient> =>
  Layer.scoped(StreamableHttpTransport, make(options))

/**
 * {@link layer} with options from `Config`. Options that cannot be used are a `ConfigError`, too.
 *
 * @example
 * ```ts
 * import { StreamableHttpTransport } from "@effect-mcp/transport"
 * import { Config } from "effect"
 *
 * const Live = StreamableHttpTransport.layerConfig({
 *   url: Config.string("MCP_URL"),
 *   idleTimeout: Config.duration("MCP_IDLE_TIMEOUT").pipe(Config.withDefault("2 minutes"))
 * })
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = (
  options: Config.Config.Wrap<Options>
): Layer.Layer<StreamableHttpTransport, ConfigError.ConfigError, HttpClient.HttpClient> =>
  Layer.scoped(
    StreamableHttpTransport,
    Effect.flatMap(Config.unwrap(options), (options) =>
      Effect.mapError(make(options), (error) => ConfigError.InvalidData([error.option], error.message)))
  )

/**
 * Sends a request and gives its answer; what comes before it goes to `onMessage`. The same as running `send` to its end,
 * and several times cheaper, as no Stream is run. A JSON-RPC error is a value here, too.
 *
 * @example
 * ```ts
 * import { JsonRpc, StreamableHttpTransport } from "@effect-mcp/transport"
 * import { Effect } from "effect"
 *
 * const listTools = Effect.gen(function*() {
 *   const transport = yield* StreamableHttpTransport.StreamableHttpTransport
 *   const answer = yield* StreamableHttpTransport.request(transport, JsonRpc.request(1, "tools/list"), {
 *     onMessage: (message) => Effect.log("before the answer", message)
 *   })
 *   return JsonRpc.isSuccessResponse(answer) ? answer.result : yield* Effect.fail(answer.error)
 * })
 * ```
 *
 * @since 0.1.0
 * @category sending
 */
export const request: {
  (request: JsonRpc.Request, options?: RequestOptions): (
    transport: Service
  ) => Effect.Effect<JsonRpc.Response, TransportError>
  (
    transport: Service,
    request: JsonRpc.Request,
    options?: RequestOptions
  ): Effect.Effect<JsonRpc.Response, TransportError>
} = dual(
  (args) => isService(args[0]),
  (transport: Service, request: JsonRpc.Request, options: RequestOptions = {}) =>
    internal.request(transport, request, options)
)

/**
 * Sends a notification, or the response to a request of the server, and ends when the server has accepted it.
 *
 * @example
 * ```ts
 * import { JsonRpc, StreamableHttpTransport } from "@effect-mcp/transport"
 *
 * declare const transport: StreamableHttpTransport.Service
 *
 * const initialized = StreamableHttpTransport.notify(transport, JsonRpc.notification("notifications/initialized"))
 * ```
 *
 * @since 0.1.0
 * @category sending
 */
export const notify: {
  (message: JsonRpc.Notification | JsonRpc.Response, options?: SendOptions): (
    transport: Service
  ) => Effect.Effect<void, TransportError>
  (
    transport: Service,
    message: JsonRpc.Notification | JsonRpc.Response,
    options?: SendOptions
  ): Effect.Effect<void, TransportError>
} = dual(
  (args) => isService(args[0]),
  (transport: Service, message: JsonRpc.Notification | JsonRpc.Response, options?: SendOptions) =>
    Stream.runDrain(transport.send(message, options))
)

/**
 * The classic pipe, for JSON-RPC engines that want one: messages in, and out comes what every `send` and `receive` emit.
 *
 * A request that fails becomes a JSON-RPC error for its id (code -32000; `data` has the error's `tag` and `outcome`); a
 * notification or response that fails is logged. Notifications and responses are sent in order and never hold up
 * requests; `initialize` and `notifications/initialized` hold up everything after them. Ends when `outgoing` has ended and
 * all requests are settled; fails with what `outgoing` or `receive` fail with.
 *
 * @example
 * ```ts
 * import type { JsonRpc } from "@effect-mcp/transport"
 * import { StreamableHttpTransport } from "@effect-mcp/transport"
 * import type { Stream } from "effect"
 *
 * declare const transport: StreamableHttpTransport.Service
 * declare const outgoing: Stream.Stream<JsonRpc.Message>
 *
 * const incoming = outgoing.pipe(StreamableHttpTransport.duplex(transport))
 * ```
 *
 * @since 0.1.0
 * @category sending
 */
export const duplex: {
  (transport: Service): <E, R>(
    outgoing: Stream.Stream<JsonRpc.Message, E, R>
  ) => Stream.Stream<JsonRpc.Message, TransportError | E, R>
  <E, R>(
    outgoing: Stream.Stream<JsonRpc.Message, E, R>,
    transport: Service
  ): Stream.Stream<JsonRpc.Message, TransportError | E, R>
} = dual(2, duplexInternal.duplex)

const isService = (u: unknown): u is Service => typeof u === "object" && u !== null && "send" in u
