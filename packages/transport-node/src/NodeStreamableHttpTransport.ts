/**
 * The transport of `@effect-mcp/transport` on undici, in one layer: no `HttpClient` is needed.
 *
 * @since 0.1.0
 */
import * as HttpExchange from "@effect-mcp/transport/HttpExchange"
import * as StreamableHttpTransport from "@effect-mcp/transport/StreamableHttpTransport"
import type { InvalidOptions } from "@effect-mcp/transport/TransportError"
import * as Config from "effect/Config"
import * as ConfigError from "effect/ConfigError"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as NodeHttpExchange from "./NodeHttpExchange.ts"

/**
 * The options of the transport, and of its connections.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options extends StreamableHttpTransport.Options {
  readonly http?: NodeHttpExchange.Options | undefined
}

/**
 * A transport with connections of its own, for as long as the scope.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  { http, ...options }: Options
): Effect.Effect<StreamableHttpTransport.Service, InvalidOptions, Scope.Scope> =>
  Effect.flatMap(
    NodeHttpExchange.make(http),
    (exchange) =>
      Effect.provideService(StreamableHttpTransport.makeExchange(options), HttpExchange.HttpExchange, exchange)
  )

/**
 * {@link make} as a layer.
 *
 * @example
 * ```ts
 * import { NodeStreamableHttpTransport } from "@effect-mcp/transport-node"
 *
 * const Live = NodeStreamableHttpTransport.layer({
 *   url: "https://mcp.example.com/mcp",
 *   idleTimeout: "2 minutes",
 *   http: { keepAliveTimeout: "1 minute" }
 * })
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  options: Options
): Layer.Layer<StreamableHttpTransport.StreamableHttpTransport, InvalidOptions> =>
  Layer.scoped(StreamableHttpTransport.StreamableHttpTransport, make(options))

/**
 * {@link layer} with options from `Config`. Options that cannot be used are a `ConfigError`, too.
 *
 * @example
 * ```ts
 * import { NodeStreamableHttpTransport } from "@effect-mcp/transport-node"
 * import { Config } from "effect"
 *
 * const Live = NodeStreamableHttpTransport.layerConfig({
 *   url: Config.string("MCP_URL"),
 *   http: { proxy: { url: Config.string("MCP_PROXY"), authorization: Config.redacted("MCP_PROXY_AUTHORIZATION") } }
 * })
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = (
  options: Config.Config.Wrap<Options>
): Layer.Layer<StreamableHttpTransport.StreamableHttpTransport, ConfigError.ConfigError> =>
  Layer.scoped(
    StreamableHttpTransport.StreamableHttpTransport,
    Effect.flatMap(Config.unwrap(options), (options) =>
      Effect.mapError(make(options), (error) => ConfigError.InvalidData([error.option], error.message)))
  )
