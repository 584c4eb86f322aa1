/**
 * One HTTP exchange: the seam between what MCP says (sessions, streams, resumption) and how bytes travel.
 *
 * Implement it to bring another HTTP stack, decorate it to add authentication or to watch the wire, replace it in tests.
 * Below the seam: connections, TLS, proxies and the decoding of `content-encoding`. Never below it: redirects, retries,
 * turning a status into a failure.
 *
 * @since 0.1.0
 */
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import type * as Headers from "@effect/platform/Headers"
import type * as HttpClient from "@effect/platform/HttpClient"
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type { ExchangeError } from "./internal/exchangeErrors.ts"
import * as tracing from "./internal/exchangeTracing.ts"
import * as internal from "./internal/httpClientExchange.ts"
import * as unsafe from "./internal/unsafeOpen.ts"

/**
 * What is to be sent.
 *
 * @since 0.1.0
 * @category models
 */
export interface Request {
  readonly method: "POST" | "GET" | "DELETE"
  readonly url: URL
  readonly headers: Headers.Headers
  /** JSON, in POSTs only. */
  readonly body?: string | undefined
  /**
   * Called at most once, as soon as the exchange can be aborted, with a function that does so: `open` then fails at once
   * and the connection is closed. It lets a session end while its requests still wait for a response. Decorators pass it
   * on with the request.
   */
  readonly exposeAbort?: ((abort: () => void) => void) | undefined
  /**
   * True: nobody watches how the body comes, and so a short one may be collected and handed over as one chunk, where that
   * costs less. Default false.
   */
  readonly mayCollect?: boolean | undefined
}

/**
 * The head of a response, and the handle of its body. Header names are in lower case.
 *
 * A response is either read, once, or closed. After `close` the sink hears nothing more.
 *
 * @since 0.1.0
 * @category models
 */
export interface Response {
  readonly status: number
  /** Who needs them after `read` keeps them: an exchange may let go of them when the sink does not need the head. */
  readonly headers: Headers.Headers
  /** Starts the body: its chunks go to the sink as they come, decoded, until its end or a failure. */
  readonly read: (sink: Sink) => void
  /** Asks the source to stop. Chunks that were already on their way may still come. */
  readonly pause: () => void
  readonly resume: () => void
  /** Ends the exchange at once, read or not. Harmless when it has ended. */
  readonly close: () => void
}

/**
 * Where the chunks of a body go: methods, to be called on the sink (`sink.onChunk(chunk)`), synchronously, and never after
 * `onEnd`, `onError` or `close`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Sink {
  readonly onChunk: (chunk: Uint8Array) => void
  readonly onEnd: () => void
  /** `cause` is a {@link ContentEncodingError} when the body is compressed and could not be inflated. */
  readonly onError: (cause: unknown) => void
  /**
   * `false`: the response's headers are not looked at any more, so that the exchange may let go of them, as a body may be
   * silent for hours. Default true.
   */
  readonly needsHead?: boolean
}

export {
  /**
   * A body is compressed and the client did not inflate it.
   *
   * @since 0.1.0
   * @category errors
   */
  ContentEncodingError,
  /**
   * Why no head could be had. `sent` is false only when the server surely saw nothing of the request.
   *
   * @since 0.1.0
   * @category errors
   */
  ExchangeError
} from "./internal/exchangeErrors.ts"

/**
 * The service. `open` ends when the head of the response is there; interrupting it aborts the exchange.
 *
 * @example
 * ```ts
 * import { HttpExchange } from "@effect-mcp/transport"
 * import { Effect, Layer } from "effect"
 *
 * // a decorator: count the exchanges of any implementation
 * let count = 0
 * const counted = Layer.effect(
 *   HttpExchange.HttpExchange,
 *   Effect.map(HttpExchange.HttpExchange, (inner) => ({
 *     open: (request: HttpExchange.Request) => {
 *       count++
 *       return inner.open(request)
 *     }
 *   }))
 * ).pipe(Layer.provide(HttpExchange.layerFetch()))
 * ```
 *
 * @since 0.1.0
 * @category tags
 */
export class HttpExchange extends Context.Tag("@effect-mcp/transport/HttpExchange")<HttpExchange, {
  readonly open: (request: Request) => Effect.Effect<Response, ExchangeError>
}>() {}

/**
 * @since 0.1.0
 * @category models
 */
export type Service = Context.Tag.Service<typeof HttpExchange>

/**
 * Over any `HttpClient` from context: fetch, undici, node:http, browsers, decorated clients.
 *
 * A client that fails on statuses (`HttpClient.filterStatusOk`) is mapped back. It should not follow redirects nor
 * retry by itself. With fetch, `redirect: "manual"` is set through `FetchHttpClient.RequestInit`, merged with the one in
 * context; one that was already built into the client layer is replaced: use {@link layerFetch} for that.
 *
 * Sends `accept-encoding: identity` unless you set that header: most clients do not inflate. Fetch does, so
 * {@link layerFetch} leaves the header to it.
 *
 * The body of fetch's own response is read without running its Stream, which takes a third less. Whatever a decorator made
 * of a response (a copy, a Proxy, a `stream` of its own) is read as the Stream that it says it is.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromHttpClient: Effect.Effect<Service, never, HttpClient.HttpClient | Scope.Scope> = internal.make({
  inflates: false
})

/**
 * {@link fromHttpClient} as a layer.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerHttpClient: Layer.Layer<HttpExchange, never, HttpClient.HttpClient> = Layer.scoped(
  HttpExchange,
  fromHttpClient
)

/**
 * Over the platform's `fetch`, with your own `RequestInit` (credentials, cache, an undici `dispatcher`, ...). Headers and
 * the abort signal are set by the transport, `redirect` is always `manual`.
 *
 * @example
 * ```ts
 * import { HttpExchange, StreamableHttpTransport } from "@effect-mcp/transport"
 * import { Layer } from "effect"
 *
 * const Live = StreamableHttpTransport.layerExchange({ url: "http://127.0.0.1:3000/mcp" }).pipe(
 *   Layer.provide(HttpExchange.layerFetch({ credentials: "include" }))
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerFetch = (init?: RequestInit): Layer.Layer<HttpExchange> =>
  Layer.scoped(HttpExchange, internal.make({ inflates: true })).pipe(
    Layer.provide([FetchHttpClient.layer, Layer.succeed(FetchHttpClient.RequestInit, init ?? {})])
  )

/**
 * Gives every exchange a span, `http.client POST` and the like, with the attributes of OpenTelemetry's HTTP conventions, and
 * sends `traceparent` and `b3` with it. Header values are never shown. Without a tracer, and without a trace from elsewhere
 * to continue, nothing happens.
 *
 * For implementations of your own; what is made here does so already.
 *
 * @since 0.1.0
 * @category decorators
 */
export const withTracing: (exchange: Service) => Service = tracing.withTracing

/**
 * Gives an exchange a second form of its `open`, without a fiber, for where each step counts: it begins the exchange within
 * the call, calls `onHead` once, now or later, and is ended before by `exposeAbort` alone. It makes no span.
 *
 * The transport uses it for what it posts, unless that is traced. It belongs to this very `open`: a decorator that has one
 * of its own is never gone around.
 *
 * For implementations of your own, `open` included; what is made here has it already.
 *
 * @example
 * ```ts
 * import { HttpExchange } from "@effect-mcp/transport"
 * import { Effect, type Exit } from "effect"
 *
 * // your own stack, by callback
 * declare const start: (
 *   request: HttpExchange.Request,
 *   onHead: (head: Exit.Exit<HttpExchange.Response, HttpExchange.ExchangeError>) => void
 * ) => { readonly close: () => void }
 *
 * const exchange = HttpExchange.withUnsafeOpen({
 *   open: (request) =>
 *     Effect.async((resume) => {
 *       const { close } = start(request, resume)
 *       request.exposeAbort?.(close)
 *       return Effect.sync(close)
 *     })
 * }, (request, onHead) => {
 *   const { close } = start(request, onHead)
 *   request.exposeAbort?.(close)
 * })
 * ```
 *
 * @since 0.1.0
 * @category decorators
 */
export const withUnsafeOpen: (
  exchange: Service,
  unsafeOpen: (request: Request, onHead: (head: Exit.Exit<Response, ExchangeError>) => void) => void
) => Service = unsafe.register
