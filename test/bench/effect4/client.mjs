/**
 * `McpClient` of Effect 4, which gives answers only: it drops progress.
 */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as McpClient from "effect/ai/McpClient"
import * as McpProtocol from "effect/ai/McpProtocol"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"

export const connect = async (url, tally) => {
  const layer = McpClient.layerHttp({
    name: "bench",
    version: "1.0.0",
    url,
    protocol: McpProtocol.v2025_11_25
  }).pipe(Layer.provide(NodeHttpClient.layerUndici))
  const context = await Effect.runPromise(Layer.buildWithScope(layer, Effect.runSync(Scope.make())))
  const client = Context.get(context, McpClient.McpClient)
  const [tool] = await Effect.runPromise(client.listTools())
  const call = Effect.map(client.callTool({ tool, arguments: {} }), (result) => tally.answer(result))
  const loop = (workers, more) => {
    const worker = Effect.whileLoop({ while: more, body: () => call, step: () => {} })
    return Effect.runPromise(
      Effect.forEach(Array.from({ length: workers }), () => worker, { concurrency: "unbounded", discard: true })
    )
  }
  return { loop }
}
