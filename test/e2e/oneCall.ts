/**
 * A plain script, the same on every start: opens a session unless one is kept, makes one call, and says what comes, a line
 * of JSON each. It takes its time over every message, so that it can be killed in mid call however late it began.
 * `node oneCall.ts URL DIRECTORY TOOL ARGUMENTS`
 */
import { JsonRpc, ResumptionStore, StreamableHttpTransport } from "@effect-mcp/transport"
import * as NodeKeyValueStore from "@effect/platform-node/NodeKeyValueStore"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"

const [url = "", directory = "", tool = "", toolArguments = "{}"] = process.argv.slice(2)

const say = (line: { readonly [name: string]: unknown }) =>
  Effect.sync(() => void process.stdout.write(`${JSON.stringify(line)}\n`))

const Live = Layer.unwrapEffect(
  Effect.map(
    ResumptionStore.ResumptionStore,
    (resumptionStore) => StreamableHttpTransport.layer({ url, resumptionStore })
  )
).pipe(
  Layer.provide([FetchHttpClient.layer, ResumptionStore.layerKeyValueStore({ key: "one call" })]),
  Layer.provide(NodeKeyValueStore.layerFileSystem(directory))
)

const initialize = JsonRpc.request("initialize", "initialize", {
  protocolVersion: "2025-11-25",
  capabilities: {},
  clientInfo: { name: "one-call", version: "1.0.0" }
})

const call = JsonRpc.request("call", "tools/call", {
  name: tool,
  arguments: JSON.parse(toolArguments),
  _meta: { progressToken: "call" }
})

const program = Effect.gen(function*() {
  const transport = yield* StreamableHttpTransport.StreamableHttpTransport
  const found = yield* transport.session
  yield* say({ session: found._tag })
  if (found._tag !== "Active") {
    yield* StreamableHttpTransport.request(transport, initialize)
    yield* StreamableHttpTransport.notify(transport, JsonRpc.notification("notifications/initialized"))
  }
  const answer = yield* StreamableHttpTransport.request(transport, call, {
    onMessage: (message) =>
      say({ progress: JsonRpc.isNotification(message) ? message.params?.progress : message }).pipe(
        Effect.zipRight(Effect.sleep("25 millis"))
      )
  })
  yield* say({ answer })
})

/** What is said goes to stdout, and what is logged to stderr. */
const logs = Logger.replace(Logger.defaultLogger, Logger.withConsoleError(Logger.logfmtLogger))

NodeRuntime.runMain(
  program.pipe(Effect.provide(Live), Effect.tapErrorCause(Effect.logError), Effect.provide(logs)),
  { disableErrorReporting: true, disablePrettyLogger: true }
)
