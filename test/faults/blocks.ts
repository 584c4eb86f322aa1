/**
 * What the server of a scenario has to say, event by event: the text, and what it means.
 */
import { JsonRpc } from "@effect-mcp/transport"
import type { EventPlan, SendPlan, ServerStreamPlan } from "./scenario.ts"

/** One event as it is written. Offsets are in bytes from its beginning. */
export interface Block {
  readonly text: string
  readonly length: number
  readonly pause: number
  readonly id: string | undefined
  readonly retry: { readonly value: string; readonly end: number } | undefined
  /** What a client is to make of it. */
  readonly messages: ReadonlyArray<JsonRpc.Message>
  readonly answer: JsonRpc.Response | undefined
  readonly badData: "InvalidJson" | "InvalidMessage" | undefined
}

const bytesOf = (text: string): number => new TextEncoder().encode(text).length

/** Characters of one, two, three and four bytes. */
const words = "a é € 😀"

const block = (
  plan: { readonly id: string | undefined; readonly retry: string | undefined; readonly pause: number },
  rest: { readonly event?: string; readonly data?: string },
  meaning: Partial<Pick<Block, "messages" | "answer" | "badData">>
): Block => {
  let text = ""
  if (rest.event !== undefined) text += `event: ${rest.event}\n`
  if (plan.id !== undefined) text += `id: ${plan.id}\n`
  let retry: Block["retry"]
  if (plan.retry !== undefined) {
    text += `retry: ${plan.retry}\n`
    retry = { value: plan.retry, end: bytesOf(text) }
  }
  if (rest.data !== undefined) text += `data: ${rest.data}\n`
  text += "\n"
  return {
    text,
    length: bytesOf(text),
    pause: plan.pause,
    id: plan.id,
    retry,
    messages: meaning.messages ?? [],
    answer: meaning.answer,
    badData: meaning.badData
  }
}

const eventBlock = (plan: EventPlan, stream: string, index: number, isServerStream: boolean): Block => {
  const fields = { id: plan.hasId ? `${stream}-${index}` : undefined, retry: plan.retry, pause: plan.pause }
  const notification = JsonRpc.notification("notifications/message", { stream, index, words })
  const of = (...messages: ReadonlyArray<JsonRpc.Message>): Block =>
    block(fields, { data: JSON.stringify(messages.length === 1 ? messages[0] : messages) }, { messages })
  switch (plan.kind) {
    case "Notification":
      return of(notification)
    case "ServerRequest":
      return of(JsonRpc.request(`${stream}-${index}`, "roots/list", { index }))
    case "Batch":
      return of(notification, JsonRpc.notification("notifications/second", { stream, index }))
    case "OtherResponse": {
      // On a request's own stream an answer to something else is dropped.
      const response = JsonRpc.success(`other-${stream}-${index}`, { index })
      return block(fields, { data: JSON.stringify(response) }, { messages: isServerStream ? [response] : [] })
    }
    case "IdOnly":
      return block(fields, { data: "" }, {})
    case "Comment":
      return block({ ...fields, id: undefined, retry: undefined }, {}, {})
    case "BadData":
      return index % 2 === 0
        ? block(fields, { data: "{oops" }, { badData: "InvalidJson" })
        : block(fields, { data: "{\"method\":7}" }, { badData: "InvalidMessage" })
    case "OtherType":
      return block(fields, { event: "ping", data: JSON.stringify(notification) }, {})
  }
}

export const answerOf = (plan: SendPlan): JsonRpc.Response =>
  plan.answerIsError
    ? JsonRpc.error(plan.id, { code: -32603, message: `no ${words}` })
    : JsonRpc.success(plan.id, { content: [], words })

export const sendBlocks = (plan: SendPlan, stream: string): ReadonlyArray<Block> => {
  const answer = answerOf(plan)
  return [
    ...plan.events.map((event, index) => eventBlock(event, stream, index, false)),
    block(
      { id: plan.answerHasId ? `${stream}-answer` : undefined, retry: undefined, pause: 0 },
      { data: JSON.stringify(answer) },
      { answer }
    )
  ]
}

export const serverBlocks = (plan: ServerStreamPlan): ReadonlyArray<Block> =>
  plan.events.map((event, index) => eventBlock(event, "server", index, true))

/** What a GET after an event gets: what follows it, and as many of the events before as are to be sent once more. */
export const blocksAfter = (blocks: ReadonlyArray<Block>, cursor: string, replays: number): number =>
  Math.max(0, blocks.findIndex(({ id }) => id === cursor) + 1 - replays)

export const totalLength = (blocks: ReadonlyArray<Block>): number =>
  blocks.reduce((total, { length }) => total + length, 0)
