/**
 * The least that a request can cost as an Effect: a fiber that waits for the floor's own exchange.
 */
import * as Effect from "effect/Effect"
import { posting } from "./floor.mjs"
import { effectLoop } from "./ours.mjs"
import { callMessage } from "./promises.mjs"

export const connect = async (url, tally) => {
  const post = await posting(url)
  const deliver = (message) => tally.message(message)
  let id = 0
  const call = Effect.async((resume) => {
    post(callMessage(++id), deliver).then(() => resume(Effect.void), (error) => resume(Effect.die(error)))
  })
  return { loop: effectLoop(() => call) }
}
