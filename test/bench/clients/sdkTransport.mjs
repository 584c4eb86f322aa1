/**
 * A transport of the official SDK by itself: JSON-RPC messages in and out, as with our transport.
 */
import { callMessage, initializedMessage, initializeMessage, promiseLoop } from "./promises.mjs"

export const connectTransport = (makeTransport) => async (url, tally) => {
  const transport = makeTransport(new URL(url))
  const waiting = new Map()
  let deliver = () => {}
  // oxlint-disable-next-line unicorn/prefer-add-event-listener -- the SDK has no other way
  transport.onmessage = (message) => {
    deliver(message)
    if (message.method !== undefined) return
    waiting.get(message.id)?.resolve()
    waiting.delete(message.id)
  }
  const ask = (message) =>
    new Promise((resolve, reject) => {
      waiting.set(message.id, { resolve, reject })
      transport.send(message).catch(reject)
    })
  await transport.start()
  await ask(initializeMessage)
  transport.setProtocolVersion("2025-11-25")
  await transport.send(initializedMessage)
  deliver = (message) => tally.message(message)
  let id = 0
  return { loop: promiseLoop(() => ask(callMessage(++id))) }
}

/** The whole client of the official SDK. `callTool` is called with what makes it ask for progress. */
export const connectClient = (makeClient, callTool) => async (url, tally) => {
  const client = await makeClient(new URL(url))
  const options = { onprogress: (params) => tally.progress(params), timeout: 600_000 }
  return {
    loop: promiseLoop(async () => tally.answer(await callTool(client, { name: "work", arguments: {} }, options)))
  }
}
