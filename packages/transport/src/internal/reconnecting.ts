/**
 * Asks the user's policy whether and when to reconnect. The schedule is stepped by hand, because its delay is only one
 * of several that count, and because only progress may start it afresh.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as ScheduleDecision from "effect/ScheduleDecision"
import * as ScheduleIntervals from "effect/ScheduleIntervals"
import type * as JsonRpc from "../JsonRpc.ts"
import type * as Reconnection from "../Reconnection.ts"
import { type LogicalStream, reconnectDelay } from "./streamMachine.ts"

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
  private state: unknown

  private readonly policy: Reconnection.Policy
  private readonly maxRetryDelay: number

  constructor(policy: Reconnection.Policy, maxRetryDelay: number) {
    this.policy = policy
    this.maxRetryDelay = maxRetryDelay
    this.state = policy.initial
  }

  decide(stream: LogicalStream, requestId: JsonRpc.RequestId | undefined, loss: Loss): Effect.Effect<Decision> {
    return Effect.flatMap(Clock.currentTimeMillis, (now) => {
      if (stream.attempts === 0) this.state = this.policy.initial
      const interruption: Reconnection.StreamInterruption = {
        stream: stream.kind,
        requestId,
        lastEventId: stream.lastEventId,
        retry: stream.retry === undefined ? undefined : Duration.millis(stream.retry),
        attempts: stream.attempts,
        cause: loss.cause
      }
      return Effect.map(this.policy.step(now, interruption, this.state), ([state, _, decision]): Decision => {
        this.state = state
        if (ScheduleDecision.isDone(decision)) return { _tag: "Exhausted" }
        const policyDelay = Math.max(0, ScheduleIntervals.start(decision.intervals) - now)
        return reconnectDelay(stream, policyDelay, loss.retryAfter, this.maxRetryDelay)
      })
    })
  }
}
