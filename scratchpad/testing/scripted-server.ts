/**
 * `ScriptedServer`: a server described as data. The connection breaks twice, the first reconnect is refused, and an hour of
 * waiting goes by in no time: the same script runs without sockets under the `TestClock`, and as a real server.
 *
 * `npx tsx --conditions=@effect-mcp/source scratchpad/testing/scripted-server.ts`
 */
import { ScriptedServer } from "@effect-mcp/testing"
import { JsonRpc, StreamableHttpTransport } from "@effect-mcp/transport"
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as TestClock from "effect/TestClock"
import * as TestContext from "effect/TestContext"

const progress = (step: number): JsonRpc.Notification =>
  JsonRpc.notification("notifications/progress", { progressToken: 1, progress: step })

const script = (wait: string): ScriptedServer.Script => [
  ScriptedServer.on(
    { message: "tools/call" },
    ScriptedServer.events([
      ScriptedServer.event({ id: "e0", retry: wait, data: "" }),
      ScriptedServer.message(progress(1), "e1"),
      ScriptedServer.cut(),
      ScriptedServer.message(progress(2), "e2"),
      ScriptedServer.cut("Reset"),
      ScriptedServer.answer({ content: [{ type: "text", text: "done" }] }, "e3")
    ])
  ),
  ScriptedServer.on({ lastEventId: "e1" }, ScriptedServer.status(503), { times: 1 }),
  ScriptedServer.on({ method: "GET", lastEventId: true }, ScriptedServer.replay()),
  ...ScriptedServer.session()
]

/** The program under test, and what the server has seen of it. */
const call = Effect.gen(function*() {
  const server = yield* ScriptedServer.ScriptedServer
  yield* Effect.gen(function*() {
    const transport = yield* StreamableHttpTransport.make({ url: server.url, maxRetryDelay: "1 day" })
    yield* StreamableHttpTransport.request(transport, JsonRpc.request(0, "initialize", {}))
    yield* StreamableHttpTransport.notify(transport, JsonRpc.notification("notifications/initialized"))
    const answer = yield* StreamableHttpTransport.request(transport, JsonRpc.request(1, "tools/call", {}))
    yield* Console.log("answer:", JSON.stringify(answer))
  }).pipe(Effect.scoped)
  for (const { at, headers, message, method } of yield* server.arrivals) {
    yield* Console.log(`  ${at} ms  ${method} ${message?.method ?? headers["last-event-id"] ?? ""}`)
  }
})

await Effect.runPromise(
  Effect.gen(function*() {
    yield* Console.log("without sockets; every reconnect waits twenty minutes")
    const running = yield* Effect.fork(call)
    yield* TestClock.adjust("1 hour")
    yield* Fiber.join(running)
  }).pipe(Effect.provide(Layer.merge(ScriptedServer.layerHttpClient(script("1200000")), TestContext.TestContext)))
)

await Effect.runPromise(
  Effect.zipRight(Console.log("over real sockets; every reconnect waits 100 ms"), call).pipe(
    Effect.provide(Layer.merge(ScriptedServer.layerLoopback(script("100")), FetchHttpClient.layer))
  )
)
