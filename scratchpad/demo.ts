/**
 * The main job, end to end: find out what the server speaks, list tools, call one, lose the connection in the middle of the
 * call, resume, get the answer, end the session. Run it with `npm start`; every line with an arrow was on the wire.
 */
import { McpClient } from "@effect-mcp/client"
import { StreamableHttpTransport } from "@effect-mcp/transport"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Console from "effect/Console"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { sdkServer } from "../test/e2e/sdkServer.ts"
import { type Arguments, parse, usage, UsageError } from "./demo/arguments.ts"
import * as Timeline from "./demo/timeline.ts"
import * as Wire from "./demo/wire.ts"

class DemoFailed extends Data.TaggedError("DemoFailed")<{ readonly message: string }> {}

interface Call {
  readonly tool: string
  readonly toolArguments: { readonly [name: string]: unknown }
}

/** The embedded server's tool that destroys its own connection in mid-call, and finishes all the same. */
const lossyCall: Call = {
  tool: "dropAndFinish",
  toolArguments: { steps: 20, dropAfter: 8, delayMs: 100, how: "destroy" }
}

const session = (call: Call | undefined) =>
  Effect.gen(function*() {
    const client = yield* McpClient.McpClient
    const timeline = yield* Timeline.Timeline
    const { era, name, protocolVersion, version } = client.server
    yield* Console.log(`           ${name} ${version} speaks ${protocolVersion} (${era})`)

    yield* timeline.title("List the tools")
    const names = Array.from(yield* Stream.runCollect(client.tools), (tool) => tool.name)
    yield* Console.log(names.map((name) => `           ${name}`).join("\n"))
    if (call === undefined) return yield* Console.log("\nCall one of them with --tool NAME --args JSON.")
    if (!names.includes(call.tool)) {
      return yield* new DemoFailed({ message: `the server has no tool ${call.tool}, only those listed above` })
    }

    yield* timeline.title(`Call ${call.tool}`)
    let reports = 0
    const result = yield* client.callTool(call.tool, call.toolArguments, {
      failOnToolError: true,
      onProgress: ({ progress, total }) => {
        reports++
        return timeline.progress(progress, total)
      }
    })
    yield* timeline.title(`Result, after ${reports} reports of progress`)
    yield* Console.log(JSON.stringify(result, null, 2))
  })

/** The client, on a transport whose wire is shown. */
const connectTo = (url: string, headers: Arguments["headers"], call: Call | undefined) => {
  const Transport = Layer.tap(
    StreamableHttpTransport.layerExchange({ url, headers }).pipe(Layer.provide(Wire.layer)),
    (context) => Wire.watch(Context.get(context, StreamableHttpTransport.StreamableHttpTransport))
  )
  const Live = McpClient.layer({ clientInfo: { name: "effect-mcp-demo", version: "0.1.0" } }).pipe(
    Layer.provide(Transport)
  )
  return Effect.gen(function*() {
    const timeline = yield* Timeline.Timeline
    yield* timeline.title("Find out what the server speaks")
    yield* Effect.provide(session(call).pipe(Effect.ensuring(timeline.title("Close the scope"))), Live)
  })
}

const embedded = Effect.gen(function*() {
  const server = yield* sdkServer({ retryInterval: "300 millis" })
  yield* Console.log(`A server of the official MCP SDK listens at ${server.url}`)
  yield* connectTo(server.url, {}, lossyCall)
  const last = (yield* server.wire).at(-1)
  yield* Console.log(
    `\nThe last request the server saw: ${last?.method} ${last?.path}, which it answered with ${last?.status}.`
  )
}).pipe(Effect.scoped)

/** One line, whatever the server sent, and what to look at. */
const explain = (
  error: { readonly _tag: string; readonly message: string; readonly status?: number | undefined }
): string => {
  const line = error.message.replaceAll(/\s+/g, " ")
  return error.status === 404 ? `${line}\nIs this the MCP endpoint? It often ends in /mcp.` : line
}

const main = Effect.gen(function*() {
  const args = yield* parse(process.argv.slice(2))
  if (args.help) return yield* Console.log(usage)
  if (args.url === undefined) {
    if (args.tool !== undefined) return yield* new UsageError({ message: "--tool needs --url" })
    return yield* embedded
  }
  const call = args.tool === undefined ? undefined : { tool: args.tool, toolArguments: args.toolArguments }
  return yield* connectTo(args.url, args.headers, call)
}).pipe(
  Effect.provide(Timeline.layer),
  Effect.tapError((error) => Console.error(`\nFailed: ${explain(error)}`)),
  Effect.tapErrorTag("UsageError", () => Console.error(`\n${usage}`))
)

NodeRuntime.runMain(main, { disableErrorReporting: true })
