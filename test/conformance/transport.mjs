/**
 * The transport alone, as the conformance suites judge it: `node test/conformance/transport.mjs URL`. It writes the
 * protocol itself. The suites name the scenario in MCP_CONFORMANCE_SCENARIO; without it, every tool is called once.
 */
import { HttpExchange, JsonRpc, StreamableHttpTransport } from "@effect-mcp/transport"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import { exampleArguments } from "./exampleArguments.mjs"

const url = process.argv[2]
const scenario = process.env.MCP_CONFORMANCE_SCENARIO

let lastId = 0

const ask = (transport, method, params) =>
  Effect.flatMap(
    StreamableHttpTransport.request(transport, JsonRpc.request(++lastId, method, params)),
    (answer) =>
      "result" in answer ? Effect.succeed(answer.result) : Effect.fail(new Error(`${method}: ${answer.error.message}`))
  )

const program = Effect.gen(function*() {
  const transport = yield* StreamableHttpTransport.StreamableHttpTransport
  yield* ask(transport, "initialize", {
    protocolVersion: "2025-11-25",
    capabilities: {},
    clientInfo: { name: "effect-mcp-conformance-transport", version: "0.1.0" }
  })
  yield* StreamableHttpTransport.notify(transport, JsonRpc.notification("notifications/initialized"))
  if (scenario === "initialize") return
  const { tools } = yield* ask(transport, "tools/list")
  for (const { inputSchema, name } of tools) {
    const result = yield* ask(transport, "tools/call", { name, arguments: exampleArguments(inputSchema) })
    yield* Effect.log(name, result)
  }
})

if (url === undefined) {
  console.error("usage: node test/conformance/transport.mjs URL")
  process.exitCode = 2
} else {
  const live = StreamableHttpTransport.layerExchange({ url, reconnect: Schedule.recurs(5) }).pipe(
    Layer.provide(HttpExchange.layerFetch())
  )
  await Effect.runPromise(program.pipe(Effect.provide(live))).then(
    () => console.log("completed"),
    (error) => {
      console.error(error)
      process.exitCode = 1
    }
  )
}
