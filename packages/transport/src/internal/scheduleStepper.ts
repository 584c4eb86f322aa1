/**
 * A schedule stepped by hand. `Schedule.driver` sleeps by itself, but here its delay is only one of several that count.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Schedule from "effect/Schedule"
import * as ScheduleDecision from "effect/ScheduleDecision"
import * as ScheduleIntervals from "effect/ScheduleIntervals"

export class ScheduleStepper<In> {
  private state: unknown

  private readonly schedule: Schedule.Schedule<unknown, In>

  constructor(schedule: Schedule.Schedule<unknown, In>) {
    this.schedule = schedule
    this.state = schedule.initial
  }

  reset(): void {
    this.state = this.schedule.initial
  }

  /** The next delay in milliseconds; `undefined` when the schedule is done. */
  next(input: In): Effect.Effect<number | undefined> {
    return Effect.flatMap(
      Clock.currentTimeMillis,
      (now) =>
        Effect.map(this.schedule.step(now, input, this.state), ([state, _, decision]) => {
          this.state = state
          return ScheduleDecision.isDone(decision)
            ? undefined
            : Math.max(0, ScheduleIntervals.start(decision.intervals) - now)
        })
    )
  }
}
