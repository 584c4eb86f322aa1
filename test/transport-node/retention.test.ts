import { StreamableHttpTransport } from "@effect-mcp/transport"
import { NodeStreamableHttpTransport } from "@effect-mcp/transport-node"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { call, handshake } from "../support/harness.ts"
import { keptBytes, otherProcess } from "../support/retention.ts"

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
