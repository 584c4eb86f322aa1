/**
 * `@ai-sdk/mcp`, which gives answers only: it has nothing for progress.
 */
import { createMCPClient } from "@ai-sdk/mcp"
import { promiseLoop } from "./promises.mjs"

export const connect = async (url, tally) => {
  const client = await createMCPClient({ transport: { type: "http", url }, protocolVersionDiscovery: false })
  const { work } = await client.tools()
  const options = { toolCallId: "call", messages: [] }
  return { loop: promiseLoop(async () => tally.answer(await work.execute({}, options))) }
}
