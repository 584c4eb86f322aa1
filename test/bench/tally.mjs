/**
 * Counts what a client delivers, and adds up a checksum: the numbers and the lengths of the texts.
 */
import { answerText, progressCount, progressText } from "./shape.mjs"

export class Tally {
  messages = 0
  sum = 0
  /** When set, the texts are times of writing: how long ago, in microseconds, is added here. */
  latencies = undefined
  /** When set, what comes is also kept. */
  record = undefined

  /** A JSON-RPC message. */
  message(message) {
    if (message.method === undefined) this.answer(message.result)
    else this.progress(message.params)
  }

  /** The parameters of a progress notification. */
  progress(params) {
    this.messages++
    if (this.latencies === undefined) this.sum += params.progress + params.message.length
    else this.latencies.push((Number(process.hrtime.bigint()) - Number(params.message)) / 1_000)
    this.record?.push({ progress: params.progress, text: params.message })
  }

  /** The result of a call. */
  answer(result) {
    const { text } = result.content[0]
    this.messages++
    this.sum += text.length
    this.record?.push({ text })
  }

  reset() {
    this.messages = 0
    this.sum = 0
  }
}

/** What one call delivers. Some clients give answers only. */
export const expectedRecord = (shape, answersOnly) => {
  const text = progressText(shape)
  const progress = Array.from({ length: answersOnly ? 0 : progressCount(shape) }, (_, n) => ({ progress: n + 1, text }))
  return [...progress, { text: answerText(shape) }]
}

/** The tally of one call. */
export const expectedTally = (shape, answersOnly) => {
  const count = answersOnly ? 0 : progressCount(shape)
  return {
    messages: count + 1,
    sum: (count * (count + 1)) / 2 + count * progressText(shape).length + answerText(shape).length
  }
}
