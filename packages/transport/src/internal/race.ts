import * as Effect from "effect/Effect"

/**
 * The first of two to end. Both can be interrupted wherever this is run: the race waits for its loser, and one that
 * inherits an uninterruptible region (a finalizer, say) would keep it waiting for ever.
 */
export const race = <A, E, B, E2>(
  one: Effect.Effect<A, E>,
  other: Effect.Effect<B, E2>
): Effect.Effect<A | B, E | E2> => Effect.raceFirst(Effect.interruptible(one), Effect.interruptible(other))
