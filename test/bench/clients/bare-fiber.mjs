/**
 * The least that a request can cost as an Effect: a fiber that waits for the floor's own exchange.
 */
import * as Effect from "effect/Effect"
import { beginning } from "./floor.mjs"
import { effectLoop } from "./ours.mjs"
import { callMessage } from "./promises.mjs"

export const connect = async (url, tally) => {
  const begin = await beginning(url)
  const deliver = (message) => tally.message(message)
  let id = 0
  const call = Effect.async((resume) => {
    begin(callMessage(++id), deliver, () => resume(Effect.void), (error) => resume(Effect.die(error)))
  })
  return { loop: effectLoop(() => call) }
}
