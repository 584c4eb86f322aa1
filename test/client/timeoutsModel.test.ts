/**
 * The time limits on their own: whatever starts, shows signs of life and ends when, each expires at exactly its time.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FastCheck from "effect/FastCheck"
import * as FiberSet from "effect/FiberSet"
import * as Scope from "effect/Scope"
import { Deadline, Deadlines, type Expiry, type Limits } from "../../packages/client/src/internal/deadlines.ts"

type Command =
  | { readonly _tag: "Start"; readonly limits: Limits; readonly startsAnother: boolean }
  | { readonly _tag: "Hold"; readonly which: number }
  | { readonly _tag: "Release"; readonly which: number }
  | { readonly _tag: "End"; readonly which: number }
  | { readonly _tag: "Pass"; readonly millis: number }

const limit = FastCheck.oneof(
  { weight: 8, arbitrary: FastCheck.integer({ min: 0, max: 50 }) },
  { weight: 1, arbitrary: FastCheck.constant(Infinity) },
  { weight: 1, arbitrary: FastCheck.constant(2 ** 31 + 5) }
)

const which = FastCheck.nat({ max: 20 })

const command: FastCheck.Arbitrary<Command> = FastCheck.oneof(
  FastCheck.record({
    _tag: FastCheck.constant("Start" as const),
    limits: FastCheck.record({ total: limit, idle: limit }),
    startsAnother: FastCheck.boolean()
  }),
  FastCheck.record({ _tag: FastCheck.constant("Hold" as const), which }),
  FastCheck.record({ _tag: FastCheck.constant("Release" as const), which }),
  FastCheck.record({ _tag: FastCheck.constant("End" as const), which }),
  FastCheck.record({
    _tag: FastCheck.constant("Pass" as const),
    millis: FastCheck.oneof(FastCheck.integer({ min: 0, max: 60 }), FastCheck.constant(2 ** 31 - 1))
  })
)

/** A clock whose sleepers are woken by hand, one point in time after the other. */
class ManualClock implements Clock.Clock {
  readonly [Clock.ClockTypeId]: typeof Clock.ClockTypeId = Clock.ClockTypeId
  now = 0
  private readonly sleepers = new Set<{ readonly until: number; readonly woken: Deferred.Deferred<void> }>()

  unsafeCurrentTimeMillis(): number {
    return this.now
  }
  unsafeCurrentTimeNanos(): bigint {
    return BigInt(this.now) * 1_000_000n
  }
  readonly currentTimeMillis = Effect.sync(() => this.now)
  readonly currentTimeNanos = Effect.sync(() => this.unsafeCurrentTimeNanos())

  get sleeping(): number {
    return this.sleepers.size
  }

  sleep(duration: Duration.Duration): Effect.Effect<void> {
    return Effect.flatMap(Deferred.make<void>(), (woken) => {
      const sleeper = { until: this.now + Duration.toMillis(duration), woken }
      this.sleepers.add(sleeper)
      return Effect.ensuring(Deferred.await(woken), Effect.sync(() => void this.sleepers.delete(sleeper)))
    })
  }

  /** Lets time pass from one sleeper to the next. */
  pass(millis: number): Effect.Effect<void> {
    const end = this.now + millis
    const step: Effect.Effect<void> = Effect.suspend(() => {
      const next = Math.min(end, ...Array.from(this.sleepers, ({ until }) => until))
      this.now = Math.max(this.now, next)
      const due = Array.from(this.sleepers).filter(({ until }) => until <= this.now)
      return Effect.forEach(due, ({ woken }) => Deferred.succeed(woken, undefined)).pipe(
        Effect.zipRight(settled),
        Effect.zipRight(Effect.suspend(() => due.length === 0 && this.now >= end ? Effect.void : step))
      )
    })
    return Effect.zipRight(settled, step)
  }
}

const settled = Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))

interface Watched {
  readonly deadline: Deadline
  readonly limits: Limits
  readonly startedAt: number
  activeAt: number
  holds: number
  /** What the model says. */
  over: "Ended" | { readonly kind: Expiry; readonly at: number } | undefined
  /** What happened. */
  readonly expired: Array<{ readonly kind: Expiry; readonly at: number }>
}

/** When and how it is to expire, if it has by now. */
const judge = (watched: Watched, now: number): void => {
  if (watched.over !== undefined) return
  const total = watched.startedAt + watched.limits.total
  const idle = watched.holds > 0 ? Infinity : watched.activeAt + watched.limits.idle
  const at = Math.min(total, idle)
  if (at <= now) watched.over = { kind: total <= idle ? "Total" : "Idle", at }
}

const run = (commands: ReadonlyArray<Command>) =>
  Effect.gen(function*() {
    const clock = new ManualClock()
    const scope = yield* Scope.make()
    const fork = yield* FiberSet.makeRuntime<never, void, never>().pipe(Scope.extend(scope), Effect.withClock(clock))
    const deadlines = new Deadlines(clock, fork)
    const all: Array<Watched> = []
    const begin = (limits: Limits, startsAnother: boolean): void => {
      const expired: Watched["expired"] = []
      const deadline = new Deadline(clock.now, limits, (kind) => {
        expired.push({ kind, at: clock.now })
        if (startsAnother) begin({ total: 5, idle: Infinity }, false)
      })
      all.push({
        deadline,
        limits,
        startedAt: clock.now,
        activeAt: clock.now,
        holds: 0,
        over: undefined,
        expired
      })
      deadlines.watch(deadline)
    }
    const judgeAll = () => {
      for (const watched of all) judge(watched, clock.now)
    }
    for (const command of commands) {
      const watched = "which" in command ? all[command.which % Math.max(1, all.length)] : undefined
      switch (command._tag) {
        case "Start":
          begin(command.limits, command.startsAnother)
          yield* clock.pass(0)
          break
        case "Hold":
          // With no idle time at all there would be nothing but waking up.
          if (watched === undefined || watched.over !== undefined || watched.limits.idle === 0) break
          watched.holds++
          watched.deadline.hold()
          break
        case "Release":
          if (watched === undefined || watched.over !== undefined || watched.holds === 0) break
          watched.holds--
          watched.activeAt = clock.now
          watched.deadline.release(clock.now)
          break
        case "End":
          if (watched === undefined || watched.over !== undefined) break
          watched.over = "Ended"
          deadlines.unwatch(watched.deadline)
          break
        case "Pass":
          // A hold with a short idle time wakes often: no long waits then.
          yield* clock.pass(
            all.some(({ holds, over }) => holds > 0 && over === undefined)
              ? Math.min(command.millis, 60)
              : command.millis
          )
          break
      }
      judgeAll()
      for (const { expired, over } of all) {
        assert.deepStrictEqual(expired, over === undefined || over === "Ended" ? [] : [over])
      }
      assert.isAtMost(clock.sleeping, 1, "one sleeper watches over all")
    }
    yield* Scope.close(scope, Exit.void)
    yield* settled
    assert.strictEqual(clock.sleeping, 0)
  })

describe("deadlines", () => {
  it.live("each expires at exactly its time, whatever happens", () =>
    Effect.promise(() =>
      FastCheck.assert(
        FastCheck.asyncProperty(
          FastCheck.array(command, { maxLength: 40 }),
          (commands) => Effect.runPromise(run(commands))
        ),
        { numRuns: 200 }
      )
    ), 60_000)

  it.live("the sleeper is not there once all have ended and it has rung", () =>
    Effect.gen(function*() {
      const clock = new ManualClock()
      const scope = yield* Scope.make()
      const fork = yield* FiberSet.makeRuntime<never, void, never>().pipe(Scope.extend(scope), Effect.withClock(clock))
      const deadlines = new Deadlines(clock, fork)
      for (let index = 0; index < 5000; index++) {
        const deadline = new Deadline(clock.now, { total: 10_000 - index, idle: 60_000 }, () => {})
        deadlines.watch(deadline)
        deadlines.unwatch(deadline)
      }
      yield* settled
      assert.strictEqual(clock.sleeping, 1)
      yield* clock.pass(10_000)
      assert.strictEqual(clock.sleeping, 0)
      yield* Scope.close(scope, Exit.void)
    }))
})
