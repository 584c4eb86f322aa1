/**
 * Our transport, over any layer. The loops are Effects: an application that uses it is one already.
 */
import * as JsonRpc from "@effect-mcp/transport/JsonRpc"
import * as StreamableHttpTransport from "@effect-mcp/transport/StreamableHttpTransport"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { callMessage, initializeMessage } from "./promises.mjs"

/** `request` with `onMessage`: no Stream is run. */
export const byRequest = (transport, tally) => {
  const options = { onMessage: (message) => Effect.sync(() => tally.message(message)) }
  return (message) =>
    Effect.map(
      StreamableHttpTransport.request(transport, message, options),
      (answer) => tally.message(answer)
    )
}

/** `send`, run as a Stream by chunk. */
export const bySend = (transport, tally) => (message) =>
  Stream.runForEachChunk(transport.send(message), (messages) =>
    Effect.sync(() => {
      for (const message of messages) tally.message(message)
    }))

/**
 * @param layer `(options) => Layer<StreamableHttpTransport>`
 * @param calling `byRequest` or `bySend`
 */
export const connecting = (layer, calling) => async (url, tally) => {
  const scope = Effect.runSync(Scope.make())
  const context = await Effect.runPromise(Layer.buildWithScope(layer({ url }), scope))
  const transport = await Effect.runPromise(
    Effect.provide(StreamableHttpTransport.StreamableHttpTransport, context)
  )
  await Effect.runPromise(StreamableHttpTransport.request(transport, initializeMessage))
  await Effect.runPromise(
    StreamableHttpTransport.notify(transport, JsonRpc.notification("notifications/initialized"))
  )
  const call = calling(transport, tally)
  let id = 0
  return { loop: effectLoop(() => call(callMessage(++id))) }
}

/**
 * So many fibers, each of which calls for as long as `more()` says so. Each is run by itself, as the loops of promises are:
 * `Effect.forEach` keeps 6 KB more for each of its fibers, which would be counted as the transport's.
 */
export const effectLoop = (call) => (workers, more) => {
  const worker = Effect.whileLoop({ while: more, body: call, step: () => {} })
  return Promise.all(Array.from({ length: workers }, () => Effect.runPromise(worker)))
}
