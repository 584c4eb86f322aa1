/**
 * The least that a request can cost as an Effect whose messages the application handles in its own fiber: one that waits for the
 * floor's own exchange, takes what has come, and waits again.
 */
import * as Effect from "effect/Effect"
import { beginning } from "./floor.mjs"
import { effectLoop } from "./ours.mjs"
import { callMessage } from "./promises.mjs"

export const connect = async (url, tally) => {
  const begin = await beginning(url)
  let id = 0
  const call = Effect.suspend(() => {
    let messages
    let isOver = false
    let failure
    let wake
    const news = () => {
      const resume = wake
      wake = undefined
      resume?.(Effect.suspend(take))
    }
    const take = () => {
      const taken = messages ?? []
      messages = undefined
      for (const message of taken) tally.message(message)
      if (failure !== undefined) return Effect.die(failure)
      return isOver ? Effect.void : awaited
    }
    const awaited = Effect.async((resume) => {
      if (messages !== undefined || isOver) resume(Effect.suspend(take))
      else wake = resume
    })
    begin(
      callMessage(++id),
      (message) => {
        messages ??= []
        messages.push(message)
        news()
      },
      () => {
        isOver = true
        news()
      },
      (error) => {
        failure = error
        isOver = true
        news()
      }
    )
    return awaited
  })
  return { loop: effectLoop(() => call) }
}
