/**
 * HTTP exchanges on undici's dispatcher: the fast way on Node, with proxies, TLS and keep-alive as options.
 *
 * Streams, sessions and reconnection are those of `@effect-mcp/transport`; this is only what is below its seam.
 *
 * @since 0.1.0
 */
import * as HttpExchange from "@effect-mcp/transport/HttpExchange"
import type * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import type * as Undici from "undici"
import { makeAgent } from "./internal/agent.ts"
import * as internal from "./internal/dispatch.ts"

/**
 * Whom to trust, and who we are. Certificates and keys are PEM texts.
 *
 * @since 0.1.0
 * @category models
 */
export interface Tls {
  /** Certificates of authorities to trust instead of those that Node knows. */
  readonly ca?: string | ReadonlyArray<string> | undefined
  /** The certificate this client shows, and its key. */
  readonly cert?: string | undefined
  readonly key?: string | Redacted.Redacted<string> | undefined
  readonly passphrase?: string | Redacted.Redacted<string> | undefined
  /** The name the server's certificate is to have, when it is not that of the URL. */
  readonly servername?: string | undefined
}

/**
 * A proxy: HTTP requests are sent through it, for HTTPS it opens a tunnel (CONNECT).
 *
 * @since 0.1.0
 * @category models
 */
export interface Proxy {
  readonly url: string | URL
  /** The value of `proxy-authorization`, such as `Basic ...` or `Bearer ...`. Only the proxy sees it. */
  readonly authorization?: string | Redacted.Redacted<string> | undefined
  /** For a proxy that itself speaks TLS. */
  readonly tls?: Tls | undefined
}

/**
 * Options of the connections. All may be left out or `undefined`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /**
   * How long an idle connection is kept for the next request; less if the server says so. Default 4 seconds, or what the
   * server says, up to 10 minutes.
   */
  readonly keepAliveTimeout?: Duration.DurationInput | undefined
  /** How many connections there may be to one origin; more requests wait. Default no limit. */
  readonly connections?: number | undefined
  /** How long establishing a connection may take. Default 10 seconds. */
  readonly connectTimeout?: Duration.DurationInput | undefined
  /** How long the head of a response may take. Default none: a call may run as long as it likes. */
  readonly headersTimeout?: Duration.DurationInput | undefined
  readonly tls?: Tls | undefined
  /** Default none; the environment (`HTTPS_PROXY` and the like) is not looked at. */
  readonly proxy?: Proxy | undefined
}

/**
 * An exchange with connections of its own, which are closed with the scope. Options that cannot be used are defects.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options = {}): Effect.Effect<HttpExchange.Service, never, Scope.Scope> =>
  Effect.flatMap(makeAgent(options), ({ dispatcher, settings }) => scoped(dispatcher, settings))

/**
 * Over the dispatcher of `@effect/platform-node` in the context: an agent, a proxy or a mock that the program has already.
 * It is not closed. Its own timeouts for heads and bodies do not apply: streams may be silent for long.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromDispatcher: Effect.Effect<HttpExchange.Service, never, NodeHttpClient.Dispatcher | Scope.Scope> =
  Effect
    .flatMap(
      Context.GenericTag<NodeHttpClient.Dispatcher, Undici.Dispatcher>(
        "@effect/platform-node/NodeHttpClient/Dispatcher"
      ),
      (dispatcher) => scoped(dispatcher, { headersTimeout: 0, isExclusive: false })
    )

const scoped = (
  dispatcher: Undici.Dispatcher,
  settings: internal.Options
): Effect.Effect<HttpExchange.Service, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => internal.make(dispatcher, settings)),
      ({ end }) => Effect.sync(end)
    ),
    ({ service }) => service
  )

/**
 * {@link make} as a layer.
 *
 * @example
 * ```ts
 * import { StreamableHttpTransport } from "@effect-mcp/transport"
 * import { NodeHttpExchange } from "@effect-mcp/transport-node"
 * import { Layer, Redacted } from "effect"
 *
 * declare const key: Redacted.Redacted<string>
 * declare const cert: string
 *
 * const Live = StreamableHttpTransport.layerExchange({ url: "https://mcp.example.com/mcp" }).pipe(
 *   Layer.provide(NodeHttpExchange.layer({
 *     tls: { cert, key },
 *     proxy: { url: "http://proxy.example.com:8080" },
 *     keepAliveTimeout: "1 minute"
 *   }))
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options?: Options): Layer.Layer<HttpExchange.HttpExchange> =>
  Layer.scoped(HttpExchange.HttpExchange, make(options))

/**
 * {@link fromDispatcher} as a layer.
 *
 * @example
 * ```ts
 * import { StreamableHttpTransport } from "@effect-mcp/transport"
 * import { NodeHttpExchange } from "@effect-mcp/transport-node"
 * import { NodeHttpClient } from "@effect/platform-node"
 * import { Layer } from "effect"
 *
 * const Live = StreamableHttpTransport.layerExchange({ url: "https://mcp.example.com/mcp" }).pipe(
 *   Layer.provide(NodeHttpExchange.layerDispatcher),
 *   Layer.provide(NodeHttpClient.dispatcherLayerGlobal)
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerDispatcher: Layer.Layer<HttpExchange.HttpExchange, never, NodeHttpClient.Dispatcher> = Layer.scoped(
  HttpExchange.HttpExchange,
  fromDispatcher
)
