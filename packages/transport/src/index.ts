/**
 * The Streamable HTTP transport of the Model Context Protocol for Effect.
 *
 * @since 0.1.0
 */

/**
 * @since 0.1.0
 */
export * as HttpExchange from "./HttpExchange.ts"

/**
 * @since 0.1.0
 */
export * as JsonRpc from "./JsonRpc.ts"

/**
 * @since 0.1.0
 */
export * as Reconnection from "./Reconnection.ts"

/**
 * @since 0.1.0
 */
export * as ResumptionStore from "./ResumptionStore.ts"

/**
 * @since 0.1.0
 */
export * as StreamableHttpTransport from "./StreamableHttpTransport.ts"

/**
 * @since 0.1.0
 */
export * as TransportError from "./TransportError.ts"

/**
 * @since 0.1.0
 */
export * as TransportEvent from "./TransportEvent.ts"

/**
 * @since 0.1.0
 */
export * as TransportMetrics from "./TransportMetrics.ts"
