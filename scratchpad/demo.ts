/**
 * The main job, end to end: open a session, list tools, call one, lose the connection in the middle of the call, resume,
 * get the answer, end the session. Run it with `npm start`; every line with an arrow was on the wire.
 */
import { JsonRpc, StreamableHttpTransport } from "@effect-mcp/transport"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Console from "effect/Console"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
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

const request = (transport: StreamableHttpTransport.Service, message: JsonRpc.Request) =>
  Effect.gen(function*() {
    const timeline = yield* Timeline.Timeline
    let notifications = 0
    const answer = yield* StreamableHttpTransport.request(transport, message, {
      onMessage: (before) => {
        notifications++
        const { progress, total } = progressOf(before)
        return progress === undefined ? Effect.void : timeline.progress(progress, total)
      }
    })
    if (JsonRpc.isSuccessResponse(answer)) return { result: answer.result, notifications }
    return yield* new DemoFailed({ message: `${message.method}: ${answer.error.message} (${answer.error.code})` })
  })

const progressOf = (message: JsonRpc.Message): { progress?: number; total?: number } => {
  if (!JsonRpc.isNotification(message) || message.method !== "notifications/progress") return {}
  const { progress, total } = message.params ?? {}
  return {
    ...(typeof progress === "number" ? { progress } : {}),
    ...(typeof total === "number" ? { total } : {})
  }
}

const toolNames = (result: unknown): ReadonlyArray<string> => {
  const tools: unknown = typeof result === "object" && result !== null ? Reflect.get(result, "tools") : undefined
  return Array.isArray(tools) ? tools.map((tool: unknown) => String(Reflect.get(Object(tool), "name"))) : []
}

const isToolError = (result: unknown): boolean =>
  typeof result === "object" && result !== null && Reflect.get(result, "isError") === true

const session = (call: Call | undefined) =>
  Effect.gen(function*() {
    const transport = yield* StreamableHttpTransport.StreamableHttpTransport
    const timeline = yield* Timeline.Timeline
    yield* Effect.forkScoped(Wire.watch(transport))
    yield* Effect.yieldNow()

    yield* timeline.title("Open a session")
    yield* request(
      transport,
      JsonRpc.request(1, "initialize", {
        protocolVersion: "2025-11-25",
        capabilities: {},
        clientInfo: { name: "effect-mcp-demo", version: "0.1.0" }
      })
    )
    yield* StreamableHttpTransport.notify(transport, JsonRpc.notification("notifications/initialized"))

    yield* timeline.title("List the tools")
    const names = toolNames((yield* request(transport, JsonRpc.request(2, "tools/list"))).result)
    yield* Console.log(names.map((name) => `           ${name}`).join("\n"))
    if (call === undefined) {
      yield* Console.log("\nCall one of them with --tool NAME --args JSON.")
    } else {
      if (!names.includes(call.tool)) {
        return yield* new DemoFailed({ message: `the server has no tool ${call.tool}, only those listed above` })
      }
      yield* timeline.title(`Call ${call.tool}`)
      const { notifications, result } = yield* request(
        transport,
        JsonRpc.request(3, "tools/call", {
          name: call.tool,
          arguments: call.toolArguments,
          _meta: { progressToken: "demo" }
        })
      )
      yield* timeline.title(`Result, after ${notifications} notifications`)
      yield* Console.log(JSON.stringify(result, null, 2))
      if (isToolError(result)) return yield* new DemoFailed({ message: `the tool ${call.tool} reported an error` })
    }
  }).pipe(
    Effect.scoped,
    Effect.ensuring(Effect.flatMap(Timeline.Timeline, (timeline) => timeline.title("Close the scope")))
  )

const connectTo = (url: string, headers: Arguments["headers"], call: Call | undefined) =>
  session(call).pipe(
    Effect.provide(StreamableHttpTransport.layerExchange({ url, headers }).pipe(Layer.provide(Wire.layer)))
  )

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
