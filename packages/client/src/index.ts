/**
 * A typed client of the Model Context Protocol for Effect.
 *
 * @since 0.1.0
 */

/**
 * @since 0.1.0
 */
export * as Capability from "./Capability.ts"

/**
 * @since 0.1.0
 */
export * as Completion from "./Completion.ts"

/**
 * @since 0.1.0
 */
export * as Content from "./Content.ts"

/**
 * @since 0.1.0
 */
export * as Elicitation from "./Elicitation.ts"

/**
 * @since 0.1.0
 */
export * as InputRequired from "./InputRequired.ts"

/**
 * @since 0.1.0
 */
export * as Lifecycle from "./Lifecycle.ts"

/**
 * @since 0.1.0
 */
export * as Logging from "./Logging.ts"

/**
 * @since 0.1.0
 */
export * as McpClient from "./McpClient.ts"

/**
 * @since 0.1.0
 */
export * as McpClientError from "./McpClientError.ts"

/**
 * @since 0.1.0
 */
export * as McpClientMetrics from "./McpClientMetrics.ts"

/**
 * @since 0.1.0
 */
export * as Progress from "./Progress.ts"

/**
 * @since 0.1.0
 */
export * as Prompt from "./Prompt.ts"

/**
 * @since 0.1.0
 */
export * as ReplayPolicy from "./ReplayPolicy.ts"

/**
 * @since 0.1.0
 */
export * as RequestRejected from "./RequestRejected.ts"

/**
 * @since 0.1.0
 */
export * as Resource from "./Resource.ts"

/**
 * @since 0.1.0
 */
export * as Roots from "./Roots.ts"

/**
 * @since 0.1.0
 */
export * as Sampling from "./Sampling.ts"

/**
 * @since 0.1.0
 */
export * as Subscription from "./Subscription.ts"

/**
 * @since 0.1.0
 */
export * as Tool from "./Tool.ts"

/**
 * @since 0.1.0
 */
export * as TraceContext from "./TraceContext.ts"
