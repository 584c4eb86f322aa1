/**
 * What all transports of a process do, as Effect metrics: cheap counters beside the detailed `events`.
 *
 * @since 0.1.0
 */
import * as Metric from "effect/Metric"
import * as MetricBoundaries from "effect/MetricBoundaries"
import type * as MetricKeyType from "effect/MetricKeyType"
import type * as MetricState from "effect/MetricState"

/**
 * Reconnects begun: GETs sent because a stream was lost. The GET of an explicit resumption is none.
 *
 * @example
 * ```ts
 * import { TransportMetrics } from "@effect-mcp/transport"
 * import { Effect, Metric } from "effect"
 *
 * const report = Effect.flatMap(Metric.value(TransportMetrics.reconnects), (state) => Effect.log(state.count))
 * ```
 *
 * @since 0.1.0
 * @category metrics
 */
export const reconnects: Metric.Metric.Counter<number> = Metric.counter("mcp_transport_reconnects", {
  description: "Reconnects begun",
  incremental: true
})

/**
 * Events that arrived on a connection that resumed a stream, replays not counted.
 *
 * @since 0.1.0
 * @category metrics
 */
export const resumedEvents: Metric.Metric.Counter<number> = Metric.counter("mcp_transport_resumed_events", {
  description: "Events received on resumed connections",
  incremental: true
})

/**
 * Events dropped because they had come before, on an earlier connection of their stream.
 *
 * @since 0.1.0
 * @category metrics
 */
export const duplicatesDropped: Metric.Metric.Counter<number> = Metric.counter("mcp_transport_duplicates_dropped", {
  description: "Replayed events dropped",
  incremental: true
})

/**
 * Milliseconds from the loss of a stream to the moment it was open again, of streams that were resumed.
 *
 * @since 0.1.0
 * @category metrics
 */
export const stallTime: Metric.Metric<
  MetricKeyType.MetricKeyType.Histogram,
  number,
  MetricState.MetricState.Histogram
> = Metric.histogram(
  "mcp_transport_stall_time",
  MetricBoundaries.exponential({ start: 50, factor: 2, count: 14 }),
  "Milliseconds a stream was lost before it was resumed"
)

/**
 * Event streams open right now.
 *
 * @since 0.1.0
 * @category metrics
 */
export const openStreams: Metric.Metric.Gauge<number> = Metric.gauge("mcp_transport_open_streams", {
  description: "Event streams open right now"
})
