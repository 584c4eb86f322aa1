import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"

/**
 * The first of two to end. Both can be interrupted wherever this is run: the race waits for its loser, and one that
 * inherits an uninterruptible region (a finalizer, say) would keep it waiting for ever.
 *
 * Not `Effect.raceFirst`: it makes its fibers in one step and starts them in the next, and an interruption between the two
 * waits for ever for fibers that never began.
 */
export const race = <A, E, B, E2>(
  one: Effect.Effect<A, E>,
  other: Effect.Effect<B, E2>
): Effect.Effect<A | B, E | E2> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(
      Effect.fork(Effect.interruptible(one)),
      (left) =>
        Effect.flatMap(Effect.fork(Effect.interruptible(other)), (right) => {
          const first = Effect.async<Winner<A | B, E | E2>>((resume) => {
            left.addObserver((exit) => resume(Effect.succeed({ exit, winner: left, loser: right })))
            right.addObserver((exit) => resume(Effect.succeed({ exit, winner: right, loser: left })))
          })
          return Effect.matchCauseEffect(restore(first), {
            onFailure: (cause) => Effect.zipRight(Fiber.interruptAll([left, right]), Effect.failCause(cause)),
            onSuccess: ({ exit, loser, winner }) =>
              Effect.zipRight(Fiber.interrupt(loser), Effect.zipRight(Fiber.inheritAll(winner), exit))
          })
        })
    )
  )

interface Winner<A, E> {
  readonly exit: Exit.Exit<A, E>
  readonly winner: Fiber.RuntimeFiber<unknown, unknown>
  readonly loser: Fiber.RuntimeFiber<unknown, unknown>
}
