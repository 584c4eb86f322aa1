/**
 * The loops of clients whose calls are promises.
 */
export const promiseLoop = (call) => async (workers, more) => {
  const worker = async () => {
    while (more()) await call()
  }
  await Promise.all(Array.from({ length: workers }, worker))
}

/** A call without the progress of `onprogress`: the messages of a bare transport tell the tally themselves. */
export const callMessage = (id) => ({
  jsonrpc: "2.0",
  id,
  method: "tools/call",
  params: { name: "work", arguments: {}, _meta: { progressToken: id } }
})

export const initializeMessage = {
  jsonrpc: "2.0",
  id: 0,
  method: "initialize",
  params: {
    protocolVersion: "2025-11-25",
    capabilities: {},
    clientInfo: { name: "bench", version: "1.0.0" }
  }
}

export const initializedMessage = { jsonrpc: "2.0", method: "notifications/initialized" }
