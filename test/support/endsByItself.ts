/**
 * A plain script: opens a session, listens, calls, closes, and leaves it to Node to notice that nothing is left to do.
 */
import { HttpExchange, JsonRpc, StreamableHttpTransport } from "@effect-mcp/transport"
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"

const [url = "", client] = process.argv.slice(2)

const program = Effect.gen(function*() {
  const transport = yield* StreamableHttpTransport.StreamableHttpTransport
  yield* StreamableHttpTransport.request(transport, JsonRpc.request(0, "initialize", { capabilities: {} }))
  yield* StreamableHttpTransport.notify(transport, JsonRpc.notification("notifications/initialized"))
  yield* Effect.fork(Stream.runDrain(transport.receive))
  yield* Effect.fork(Stream.runDrain(transport.send(JsonRpc.request("unanswered", "tools/call"))))
  yield* StreamableHttpTransport.request(transport, JsonRpc.request("answered", "tools/call"))
})

const exchange = client === "undici"
  ? HttpExchange.layerHttpClient.pipe(Layer.provide(NodeHttpClient.layerUndici))
  : HttpExchange.layerFetch()

await Effect.runPromise(Effect.provide(
  program,
  StreamableHttpTransport.layerExchange({ url }).pipe(Layer.provide(exchange))
))
process.stdout.write("done\n")
