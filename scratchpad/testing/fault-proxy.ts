/**
 * `FaultProxy`: any client, any server, and a connection between them that breaks on demand. Here a server of the official
 * SDK loses a call after every event, then a third of everything at random: the call arrives whole all the same.
 *
 * `npx tsx --conditions=@effect-mcp/source scratchpad/testing/fault-proxy.ts`
 */
import { FaultProxy } from "@effect-mcp/testing"
import { JsonRpc, StreamableHttpTransport } from "@effect-mcp/transport"
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import { sdkServer } from "../../test/e2e/sdkServer.ts"

const call = (id: string): JsonRpc.Request =>
  JsonRpc.request(id, "tools/call", {
    name: "progress",
    arguments: { steps: 6, delayMs: 5 },
    _meta: { progressToken: id }
  })

const program = Effect.gen(function*() {
  const server = yield* sdkServer({ retryInterval: "100 millis" })
  const proxy = yield* FaultProxy.make({ target: server.url })
  const transport = yield* StreamableHttpTransport.make({ url: proxy.url, reconnect: Schedule.spaced("50 millis") })
  yield* StreamableHttpTransport.request(
    transport,
    JsonRpc.request("open", "initialize", {
      protocolVersion: "2025-11-25",
      capabilities: {},
      clientInfo: { name: "fault-proxy", version: "1.0.0" }
    })
  )
  yield* StreamableHttpTransport.notify(transport, JsonRpc.notification("notifications/initialized"))

  const attempt = (name: string) =>
    Effect.gen(function*() {
      const steps: Array<unknown> = []
      const before = (yield* proxy.exchanges).length
      const answer = yield* StreamableHttpTransport.request(transport, call(name), {
        onMessage: (message) =>
          Effect.sync(() => steps.push(JsonRpc.isNotification(message) && message.params?.progress))
      })
      const connections = (yield* proxy.exchanges).length - before
      yield* Console.log(
        `${name}: steps ${steps.join(" ")}, then ${Object.keys(answer)[2]}, over ${connections} exchanges`
      )
    })

  yield* attempt("unharmed")
  yield* proxy.program(() => [FaultProxy.cut({ after: { events: 2 }, how: "Reset" })])
  yield* attempt("cut after every other event")
  const random = FaultProxy.seeded("a seed", { rate: 0.3, faults: ["Cut", "Split", "Delay"] })
  yield* proxy.program((exchange) =>
    exchange.method === "GET" ? random(exchange) : [FaultProxy.cut({ after: { events: 1 } })]
  )
  yield* attempt("at random")
  yield* proxy.mend
})

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(FetchHttpClient.layer)))
