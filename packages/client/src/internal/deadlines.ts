/**
 * The time limits of all calls of one client: one sleeping fiber watches over them, so that a call costs no timer.
 */
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"

/** In milliseconds; `Infinity` for none. */
export interface Limits {
  /** Until the answer, whatever comes. */
  readonly total: number
  /** Without anything coming. */
  readonly idle: number
}

export type Expiry = "Total" | "Idle"

/** One call that is under way. */
export class Deadline {
  private readonly startedAt: number
  private readonly limits: Limits
  private activeAt: number
  /** How many times the application is busy with what came; nothing else is awaited meanwhile. */
  private holds = 0
  private onExpired: ((kind: Expiry) => void) | undefined

  constructor(now: number, limits: Limits, onExpired: (kind: Expiry) => void) {
    this.startedAt = now
    this.activeAt = now
    this.limits = limits
    this.onExpired = onExpired
  }

  /** Something came that takes the application its time, until `release`. */
  hold(): void {
    this.holds++
  }

  /** The application has taken it. */
  release(now: number): void {
    this.holds--
    this.activeAt = now
  }

  /** When it expires, if nothing comes. */
  get dueAt(): number {
    return Math.min(this.startedAt + this.limits.total, this.activeAt + this.limits.idle)
  }

  expire(kind: Expiry): void {
    const { onExpired } = this
    this.end()
    onExpired?.(kind)
  }

  /** It lets go of its call: former members of a `Set` are kept for a while. */
  end(): void {
    this.onExpired = undefined
  }

  expiredAt(now: number): Expiry | undefined {
    if (now >= this.startedAt + this.limits.total) return "Total"
    if (this.holds > 0) this.activeAt = now
    return now >= this.activeAt + this.limits.idle ? "Idle" : undefined
  }
}

/** Timers set for longer than this never fire. */
const longestTimer = 2 ** 31 - 1

type Fork = (effect: Effect.Effect<void>) => Fiber.RuntimeFiber<void>

export class Deadlines {
  private readonly watched = new Set<Deadline>()
  private readonly clock: Clock.Clock
  private readonly fork: Fork
  private sleeper: Fiber.RuntimeFiber<void> | undefined
  private wakesAt = Infinity

  constructor(clock: Clock.Clock, fork: Fork) {
    this.clock = clock
    this.fork = fork
  }

  watch(deadline: Deadline): void {
    this.watched.add(deadline)
    const { dueAt } = deadline
    // What comes later can only move it away, and then the sleeper sleeps again.
    if (dueAt < this.wakesAt) this.sleepUntil(dueAt)
  }

  unwatch(deadline: Deadline): void {
    deadline.end()
    this.watched.delete(deadline)
  }

  private sleepUntil(dueAt: number): void {
    const previous = this.sleeper
    this.wakesAt = dueAt
    const millis = Math.min(Math.max(0, dueAt - this.clock.unsafeCurrentTimeMillis()), longestTimer)
    const sleeper = this.fork(Effect.zipRight(
      // Not every clock sleeps for no time at all, and nothing is to expire inside of `watch`.
      millis === 0 ? Effect.yieldNow() : Effect.sleep(Duration.millis(millis)),
      Effect.sync(() => {
        if (this.sleeper === sleeper) this.wake()
      })
    ))
    this.sleeper = sleeper
    if (previous !== undefined) previous.unsafeInterruptAsFork(previous.id())
  }

  private wake(): void {
    this.sleeper = undefined
    this.wakesAt = Infinity
    const now = this.clock.unsafeCurrentTimeMillis()
    let next = Infinity
    for (const deadline of Array.from(this.watched)) {
      const expiry = deadline.expiredAt(now)
      if (expiry === undefined) {
        next = Math.min(next, deadline.dueAt)
      } else {
        this.watched.delete(deadline)
        deadline.expire(expiry)
      }
    }
    // A call made by what has just expired may have set a nearer one.
    if (next < this.wakesAt) this.sleepUntil(next)
  }
}
