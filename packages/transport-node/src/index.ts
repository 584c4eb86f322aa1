/**
 * The Streamable HTTP transport of the Model Context Protocol on undici: faster, with proxies and TLS.
 *
 * @since 0.1.0
 */

/**
 * @since 0.1.0
 */
export * as NodeHttpExchange from "./NodeHttpExchange.ts"

/**
 * @since 0.1.0
 */
export * as NodeStreamableHttpTransport from "./NodeStreamableHttpTransport.ts"
