/**
 * Whether a tool may be called again when it is not known if the server has executed the call.
 *
 * When a session is lost, the client opens a new one. A call that the server surely has not executed is then sent again.
 * One that it may have executed fails with the outcome `Unknown`, because calling a tool twice may do its work twice.
 * There is one exception: the server has annotated the tool as read-only or idempotent, and this policy, which is yours,
 * trusts the annotation. Annotations are hints that a server can get wrong, so nothing is trusted by default.
 *
 * @since 0.1.0
 */
import type { TransportError } from "@effect-mcp/transport/TransportError"
import type { Tool } from "./Tool.ts"

/**
 * A call that may have been executed, of a tool that the server annotated as read-only or idempotent.
 *
 * @since 0.1.0
 * @category models
 */
export interface UncertainCall {
  /** As the server listed it. */
  readonly tool: Tool
  readonly arguments: { readonly [name: string]: unknown }
  /** Why it is not known whether the call was executed. */
  readonly error: TransportError
}

/**
 * True: call the tool again. It is asked for tools annotated as read-only or idempotent only.
 *
 * @example
 * ```ts
 * import { McpClient, type ReplayPolicy } from "@effect-mcp/client"
 *
 * const onlySearches: ReplayPolicy.ReplayPolicy = ({ tool }) => tool.name.startsWith("search")
 *
 * const Live = McpClient.layer({
 *   clientInfo: { name: "app", version: "1.0.0" },
 *   replayPolicy: onlySearches
 * })
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export type ReplayPolicy = (call: UncertainCall) => boolean

/**
 * No call is repeated unless the server surely has not executed it. The default.
 *
 * @since 0.1.0
 * @category policies
 */
export const never: ReplayPolicy = () => false

/**
 * Trusts the server when it says that a tool changes nothing (`readOnlyHint`).
 *
 * @since 0.1.0
 * @category policies
 */
export const readOnly: ReplayPolicy = ({ tool }) => tool.annotations?.readOnlyHint === true

/**
 * Trusts the server when it says that a tool changes nothing, or nothing more when called again (`readOnlyHint`,
 * `idempotentHint`).
 *
 * @since 0.1.0
 * @category policies
 */
export const annotated: ReplayPolicy = () => true
