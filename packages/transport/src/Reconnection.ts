/**
 * When to reconnect a lost stream, and when to give up: a `Schedule` over what is known about the interruption.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import * as Schedule from "effect/Schedule"
import type * as JsonRpc from "./JsonRpc.ts"

/**
 * What the policy is told about each interruption.
 *
 * @since 0.1.0
 * @category models
 */
export interface StreamInterruption {
  /** The stream of one request, or the server's own stream (`receive`). */
  readonly stream: "Request" | "Server"
  /** The request whose stream it is. */
  readonly requestId: JsonRpc.RequestId | undefined
  /** Where the stream will be resumed. */
  readonly lastEventId: string | undefined
  /** The waiting time the server asked for. */
  readonly retry: Duration.Duration | undefined
  /** Reconnects since the last progress, before this one: 0 right after progress. */
  readonly attempts: number
  /** Why the stream ended: `undefined` when the server ended it cleanly. */
  readonly cause: unknown
}

/**
 * A schedule that is asked once per interruption. Its delay is how long to wait; when it is done, the stream fails with
 * `ResumptionError` `Exhausted`. It starts afresh after every progress: a new event id (on a server stream that never
 * had ids: a message, or having been open for 10 seconds).
 *
 * A `retry` sent by the server replaces the first delay and is the least of all further ones.
 *
 * @since 0.1.0
 * @category models
 */
export type Policy = Schedule.Schedule<unknown, StreamInterruption>

/**
 * The policy used when none is given: 0.5 s, doubling up to 30 s, lengthened at random by up to 20 %, eight times
 * without progress (1 minute 31 seconds up to 1 minute 50 in all), then it gives up.
 *
 * @example
 * ```ts
 * import { Reconnection, StreamableHttpTransport } from "@effect-mcp/transport"
 * import { Schedule } from "effect"
 *
 * // twice as patient as the default
 * const options: StreamableHttpTransport.Options = {
 *   url: "http://127.0.0.1:3000/mcp",
 *   reconnect: Reconnection.defaultPolicy.pipe(Schedule.andThen(Reconnection.defaultPolicy))
 * }
 * ```
 *
 * @since 0.1.0
 * @category policies
 */
export const defaultPolicy: Policy = Schedule.exponential("500 millis", 2).pipe(
  Schedule.union(Schedule.spaced("30 seconds")),
  // The specification has clients wait at least the given time: jitter only lengthens.
  Schedule.jitteredWith({ min: 1, max: 1.2 }),
  Schedule.intersect(Schedule.recurs(8))
)

/**
 * Never reconnect: every lost stream is a failure at once.
 *
 * @since 0.1.0
 * @category policies
 */
export const never: Policy = Schedule.stop
