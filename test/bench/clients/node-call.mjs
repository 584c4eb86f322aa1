/**
 * Our client over the transport for Node: `callTool`, with what makes it ask for progress.
 */
import * as McpClient from "@effect-mcp/client/McpClient"
import * as NodeStreamableHttpTransport from "@effect-mcp/transport-node/NodeStreamableHttpTransport"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import { effectLoop } from "./ours.mjs"

export const connect = async (url, tally) => {
  const scope = Effect.runSync(Scope.make())
  const live = McpClient.layer({ clientInfo: { name: "bench", version: "1.0.0" }, protocol: "2025-11-25" }).pipe(
    Layer.provide(NodeStreamableHttpTransport.layer({ url }))
  )
  const context = await Effect.runPromise(Layer.buildWithScope(live, scope))
  const client = await Effect.runPromise(Effect.provide(McpClient.McpClient, context))
  const options = { onProgress: (progress) => Effect.sync(() => tally.progress(progress)), timeout: "10 minutes" }
  return {
    loop: effectLoop(() => Effect.map(client.callTool("work", {}, options), (result) => tally.answer(result)))
  }
}
