/**
 * What tests of programs that use MCP over Streamable HTTP need: servers, connections and transports that do what the test
 * says, the unlucky things included.
 *
 * @since 0.1.0
 */

/**
 * @since 0.1.0
 */
export * as ScriptedServer from "./ScriptedServer.ts"

/**
 * @since 0.1.0
 */
export * as FaultProxy from "./FaultProxy.ts"

/**
 * @since 0.1.0
 */
export * as Cassette from "./Cassette.ts"

/**
 * @since 0.1.0
 */
export * as TestTransport from "./TestTransport.ts"
