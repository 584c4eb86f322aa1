/**
 * The least that a Stream can cost: the floor's exchange, and a Stream that emits what has come, run by chunk, with a finalizer:
 * whoever runs it may stop at any time, and the exchange must not go on for nobody. No checks, no errors, no backpressure.
 */
import * as Channel from "effect/Channel"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { posting } from "./floor.mjs"
import { effectLoop } from "./ours.mjs"
import { callMessage } from "./promises.mjs"

const emitting = (begin) =>
  Channel.suspend(() => {
    let messages = []
    let isOver = false
    let wake
    const news = () => {
      const resume = wake
      wake = undefined
      resume?.(Effect.void)
    }
    const deliver = (message) => {
      messages.push(message)
      news()
    }
    begin(deliver).finally(() => {
      isOver = true
      news()
    })
    const awaited = Effect.async((resume) => {
      if (messages.length > 0 || isOver) resume(Effect.void)
      else wake = resume
    })
    const loop = Channel.flatMap(Channel.fromEffect(awaited), () => {
      const chunk = Chunk.unsafeFromArray(messages)
      messages = []
      const written = Channel.write(chunk)
      return isOver ? written : Channel.flatMap(written, () => loop)
    })
    const stop = Effect.sync(() => {
      isOver = true
      messages = []
      wake = undefined
    })
    return Channel.ensuringWith(loop, () => stop)
  })

export const connect = async (url, tally) => {
  const post = await posting(url)
  let id = 0
  return {
    loop: effectLoop(() =>
      Stream.runForEachChunk(
        Stream.fromChannel(emitting((deliver) => post(callMessage(++id), deliver))),
        (messages) =>
          Effect.sync(() => {
            for (const message of messages) tally.message(message)
          })
      )
    )
  }
}
