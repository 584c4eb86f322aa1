import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"

/** Timers set for longer than this never fire. */
const longestTimer = 2 ** 31 - 1

/** Sleeps for any number of milliseconds. */
export const sleep = (millis: number): Effect.Effect<void> =>
  millis <= longestTimer
    ? Effect.sleep(Duration.millis(millis))
    : Effect.zipRight(Effect.sleep(Duration.millis(longestTimer)), Effect.suspend(() => sleep(millis - longestTimer)))
