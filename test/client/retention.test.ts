import { McpClient } from "@effect-mcp/client"
import { NodeStreamableHttpTransport } from "@effect-mcp/transport-node"
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { keptBytes, otherProcess } from "../support/retention.ts"

describe("what a call leaves behind", () => {
  it.scopedLive("is next to nothing: the collector does not copy it", () =>
    Effect.gen(function*() {
      const url = `${yield* otherProcess}/mcp?kind=json&bytes=100`
      const layer = McpClient.layer({ clientInfo: { name: "test", version: "1.0.0" }, protocol: "2025-11-25" })
      const context = yield* Layer.build(layer.pipe(Layer.provide(NodeStreamableHttpTransport.layer({ url }))))
      const client = Context.get(context, McpClient.McpClient)
      const kept = yield* keptBytes(2_000, () => client.callTool("work", {}, { onProgress: () => Effect.void }))
      assert.isBelow(kept, 3_000)
    }))
})
