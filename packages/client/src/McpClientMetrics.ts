/**
 * What all clients of a process do, as Effect metrics, named after the OpenTelemetry conventions for MCP.
 *
 * @since 0.1.0
 */
import * as Metric from "effect/Metric"
import * as MetricBoundaries from "effect/MetricBoundaries"
import type * as MetricKeyType from "effect/MetricKeyType"
import type * as MetricState from "effect/MetricState"

/**
 * @since 0.1.0
 * @category models
 */
export type Histogram = Metric.Metric<
  MetricKeyType.MetricKeyType.Histogram,
  number,
  MetricState.MetricState.Histogram
>

/**
 * Seconds from sending a request to its answer or failure. Tagged with `mcp.method.name` and, for failures, `error.type`:
 * the code of a JSON-RPC error, the tag of any other.
 *
 * @example
 * ```ts
 * import { McpClientMetrics } from "@effect-mcp/client"
 * import { Effect, Metric } from "effect"
 *
 * const calls = McpClientMetrics.operationDuration.pipe(Metric.tagged("mcp.method.name", "tools/call"))
 *
 * const report = Effect.flatMap(Metric.value(calls), (state) => Effect.log(`${state.count} calls`))
 * ```
 *
 * @since 0.1.0
 * @category metrics
 */
export const operationDuration: Histogram = Metric.histogram(
  "mcp.client.operation.duration",
  MetricBoundaries.fromIterable([0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300]),
  "Seconds from sending a request to its answer or failure"
)

/**
 * Seconds that a client was connected, recorded when it is closed.
 *
 * @since 0.1.0
 * @category metrics
 */
export const sessionDuration: Histogram = Metric.histogram(
  "mcp.client.session.duration",
  MetricBoundaries.fromIterable([0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300]),
  "Seconds that a client was connected"
)

/**
 * Sessions that were replaced because the server no longer knew them.
 *
 * @since 0.1.0
 * @category metrics
 */
export const recoveries: Metric.Metric.Counter<number> = Metric.counter("mcp.client.recoveries", {
  description: "Lost sessions that were replaced",
  incremental: true
})
