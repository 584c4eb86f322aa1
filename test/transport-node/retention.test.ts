import { JsonRpc, StreamableHttpTransport } from "@effect-mcp/transport"
import { NodeStreamableHttpTransport } from "@effect-mcp/transport-node"
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import { call, handshake } from "../support/harness.ts"
import { keptBytes, largeBytes, otherProcess } from "../support/retention.ts"

describe("what a request keeps while its answer streams", () => {
  it.scopedLive("is not the text that was posted", () =>
    Effect.gen(function*() {
      const transport = yield* NodeStreamableHttpTransport.make({ url: `${yield* otherProcess}/mcp?kind=hold` })
      yield* handshake(transport)
      const text = "x".repeat(8_000_000)
      const message = JsonRpc.request(1, "tools/call", { name: "work", arguments: { text } })
      // Flat, as the text that is posted will be.
      assert.strictEqual(text.charCodeAt(0), 120)
      const before = largeBytes()
      const isStreaming = yield* Deferred.make<void>()
      yield* Effect.forkScoped(StreamableHttpTransport.request(transport, message, {
        onMessage: () => Deferred.succeed(isStreaming, undefined)
      }))
      yield* Deferred.await(isStreaming)
      assert.isBelow(largeBytes() - before, text.length / 2)
    }))
})

describe("what a request leaves behind", () => {
  it.scopedLive("is next to nothing: the collector does not copy it", () =>
    Effect.gen(function*() {
      const transport = yield* NodeStreamableHttpTransport.make({
        url: `${yield* otherProcess}/mcp?kind=json&bytes=100`
      })
      yield* handshake(transport)
      const kept = yield* keptBytes(2_000, (n) => StreamableHttpTransport.request(transport, call(n)))
      // About 1 000; 5 000 and more when something old leads to the request.
      assert.isBelow(kept, 2_000)
    }))
})
