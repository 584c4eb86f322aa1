/**
 * `TestTransport`: the program under test knows only the service `StreamableHttpTransport`; the test says what the server
 * answers, and looks at what was sent. No HTTP, no sockets, no waiting.
 *
 * `npx tsx --conditions=@effect-mcp/source scratchpad/testing/test-transport.ts`
 */
import { TestTransport } from "@effect-mcp/testing"
import { JsonRpc, StreamableHttpTransport } from "@effect-mcp/transport"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/TestClock"
import * as TestContext from "effect/TestContext"

// --- the program under test -----------------------------------------------------------------------------------------

const report = Effect.gen(function*() {
  const transport = yield* StreamableHttpTransport.StreamableHttpTransport
  yield* StreamableHttpTransport.request(transport, JsonRpc.request(1, "initialize", { protocolVersion: "2025-11-25" }))
  yield* StreamableHttpTransport.notify(transport, JsonRpc.notification("notifications/initialized"))
  const answer = yield* StreamableHttpTransport.request(
    transport,
    JsonRpc.request(2, "tools/call", { name: "report" }),
    {
      onMessage: (message) => Console.log("before the answer:", JSON.stringify(message))
    }
  )
  return JsonRpc.isSuccessResponse(answer) ? answer.result : answer.error
})

// --- the test -------------------------------------------------------------------------------------------------------

const script: TestTransport.Script = {
  "tools/call": () =>
    Effect.delay(
      Effect.succeed(TestTransport.messages([
        JsonRpc.notification("notifications/progress", { progressToken: 2, progress: 1 }),
        TestTransport.result({ content: [{ type: "text", text: "forty-two" }] })
      ])),
      "1 hour"
    )
}

const test = Effect.gen(function*() {
  const server = yield* TestTransport.TestTransport
  const running = yield* Effect.fork(report)
  yield* server.awaitSent("tools/call")
  yield* TestClock.adjust("1 hour")
  yield* Console.log("the program gave:", JSON.stringify(yield* Fiber.join(running)))
  const sent = yield* server.sent
  yield* Console.log("it sent:", sent.map((message) => "method" in message ? message.method : "a response").join(", "))
})

// `it.effect` of `@effect/vitest` provides the `TestContext` around everything, as here.
await Effect.runPromise(test.pipe(Effect.provide(TestTransport.layer(script)), Effect.provide(TestContext.TestContext)))
