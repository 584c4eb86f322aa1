/**
 * Asks the user's policy whether and when to reconnect a stream.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as JsonRpc from "../JsonRpc.ts"
import type * as Reconnection from "../Reconnection.ts"
import * as TransportMetrics from "../TransportMetrics.ts"
import { ScheduleStepper } from "./scheduleStepper.ts"
import { type LogicalStream, reconnectDelay } from "./streamMachine.ts"

/** A stream is open again: how long it was not. */
export const reopened = (stream: LogicalStream, now: number): void => {
  if (stream.lostAt === undefined) return
  TransportMetrics.stallTime.unsafeUpdate(now - stream.lostAt, [])
  stream.lostAt = undefined
}

export type Decision =
  | { readonly _tag: "Wait"; readonly millis: number }
  | { readonly _tag: "TooLong"; readonly millis: number }
  | { readonly _tag: "Exhausted" }

/** Why the last connection or attempt ended. */
export interface Loss {
  readonly cause: unknown
  readonly status?: number | undefined
  readonly retryAfter?: number | undefined
}

export class ReconnectDecider {
  private readonly policy: ScheduleStepper<Reconnection.StreamInterruption>
  private readonly maxRetryDelay: number

  constructor(policy: Reconnection.Policy, maxRetryDelay: number) {
    this.policy = new ScheduleStepper(policy)
    this.maxRetryDelay = maxRetryDelay
  }

  decide(stream: LogicalStream, requestId: JsonRpc.RequestId | undefined, loss: Loss): Effect.Effect<Decision> {
    return Effect.flatMap(Clock.currentTimeMillis, (now) => {
      stream.lostAt ??= now
      // Only progress starts the policy afresh.
      if (stream.attempts === 0) this.policy.reset()
      const interruption: Reconnection.StreamInterruption = {
        stream: stream.kind,
        requestId,
        lastEventId: stream.lastEventId,
        retry: stream.retry === undefined ? undefined : Duration.millis(stream.retry),
        attempts: stream.attempts,
        cause: loss.cause
      }
      return Effect.map(this.policy.next(interruption), (policyDelay): Decision =>
        policyDelay === undefined
          ? { _tag: "Exhausted" }
          : reconnectDelay(stream, policyDelay, loss.retryAfter, this.maxRetryDelay))
    })
  }
}
