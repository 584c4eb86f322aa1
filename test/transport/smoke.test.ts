import { StreamableHttpTransport } from "@effect-mcp/transport"
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import {
  afterHandshake,
  answer,
  call,
  collect,
  connect,
  handshake,
  overEveryClient,
  progress
} from "../support/harness.ts"
import { rawServer } from "../support/rawServer.ts"

overEveryClient("a call", (client) => {
  it.scopedLive("delivers what comes before the answer, then the answer", () =>
    Effect.gen(function*() {
      const server = yield* rawServer(afterHandshake(({ events, message }) => {
        events().event({ data: progress(1) }).event({ data: progress(2) }).event({ data: answer(message?.id) }).end()
      }))
      const transport = yield* connect(client, server)
      yield* handshake(transport)
      const messages = yield* collect(transport.send(call(7)))
      assert.deepStrictEqual(messages, [progress(1), progress(2), { jsonrpc: "2.0", id: 7, result: { content: [] } }])
      assert.strictEqual((yield* transport.session)._tag, "Active")
      const answered = yield* StreamableHttpTransport.request(transport, call(8))
      assert.strictEqual(answered.id, 8)
    }))
})
