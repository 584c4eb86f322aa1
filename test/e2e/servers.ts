/**
 * The MCP servers of the end-to-end tests, each as a scoped Effect.
 *
 * `sdkServer` and `dualEraServer` live in the test process. The others are published servers, each in a process of its
 * own, started on a free port; `wire` asks that process.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { type ChildProcess, spawn } from "node:child_process"
import { fileURLToPath } from "node:url"
import { type Exchange, StartError, type TestServer } from "./testServer.ts"

export { type DualEraServer, dualEraServer, type DualEraServerOptions } from "./dualEraServer.ts"
export { type SdkServer, sdkServer, type SdkServerOptions } from "./sdkServer.ts"
export { type Exchange, StartError, type TestServer }

const host = fileURLToPath(new URL("./exampleHost.mjs", import.meta.url))

const stopTimeoutMs = 1_000

const isListening = Schema.is(Schema.Struct({ port: Schema.Int }))

const isWire = Schema.is(Schema.Struct({
  wire: Schema.Int,
  exchanges: Schema.Array(Schema.Struct({
    method: Schema.String,
    path: Schema.String,
    headers: Schema.Record({ key: Schema.String, value: Schema.String }),
    body: Schema.String,
    status: Schema.NullOr(Schema.Int),
    state: Schema.Literal("open", "finished", "cut")
  }))
}))

interface Running {
  readonly child: ChildProcess
  readonly output: () => string
}

// Timers here are the runtime's own: a test's TestClock must neither hold up the start nor the end of a process.

const hasExited = (child: ChildProcess): boolean => child.exitCode !== null || child.signalCode !== null

const start = (specifier: string): Running => {
  const child = spawn(process.execPath, [host, specifier], { stdio: ["ignore", "pipe", "pipe", "ipc"] })
  let output = ""
  const keep = (chunk: Buffer) => {
    output = (output + chunk.toString("utf8")).slice(-16_384)
  }
  child.stdout?.on("data", keep)
  child.stderr?.on("data", keep)
  // A process that could not be spawned emits this; `listeningPort` reports it.
  child.on("error", (error) => {
    output += String(error)
  })
  return { child, output: () => output }
}

const stop = ({ child }: Running): Effect.Effect<void> =>
  Effect.async<void>((resume) => {
    if (child.pid === undefined || hasExited(child)) {
      resume(Effect.void)
      return
    }
    const force = setTimeout(() => child.kill("SIGKILL"), stopTimeoutMs)
    child.once("exit", () => {
      clearTimeout(force)
      resume(Effect.void)
    })
    child.kill("SIGTERM")
  })

const listeningPort = (
  name: string,
  { child, output }: Running,
  startTimeoutMs: number
): Effect.Effect<number, StartError> =>
  Effect.async<number, StartError>((resume) => {
    const fail = (reason: string) => settle(new StartError({ server: name, reason, output: output() }))
    const onMessage = (message: unknown) => {
      if (isListening(message)) settle(Effect.succeed(message.port))
    }
    const onError = (error: Error) => fail(error.message)
    // "close" comes after the last output, "exit" may come before it.
    const onClose = (code: number | null, signal: string | null) => fail(`ended with ${signal ?? `code ${code}`}`)
    const timer = setTimeout(() => fail(`did not listen within ${startTimeoutMs} ms`), startTimeoutMs)
    const forget = () => {
      clearTimeout(timer)
      child.off("message", onMessage).off("error", onError).off("close", onClose)
    }
    const settle = (result: Effect.Effect<number, StartError>) => {
      forget()
      resume(result)
    }
    child.on("message", onMessage).on("error", onError).on("close", onClose)
    return Effect.sync(forget)
  })

const makeWire = (name: string, { child }: Running): TestServer["wire"] => {
  let questions = 0
  return Effect.async((resume) => {
    const question = questions++
    const onMessage = (message: unknown) => {
      if (isWire(message) && message.wire === question) settle(Effect.succeed(message.exchanges))
    }
    const onDisconnect = () => settle(Effect.dieMessage(`${name} has ended: its wire cannot be read any more`))
    const forget = () => {
      child.off("message", onMessage).off("disconnect", onDisconnect)
    }
    const settle = (result: TestServer["wire"]) => {
      forget()
      resume(result)
    }
    if (!child.connected) {
      onDisconnect()
      return
    }
    child.on("message", onMessage).on("disconnect", onDisconnect)
    child.send({ wire: question })
    return Effect.sync(forget)
  })
}

/** Any module that starts a server listening on some fixed port; it must serve `/mcp`. */
export const exampleServer = (
  name: string,
  specifier: string,
  startTimeoutMs = 20_000
): Effect.Effect<TestServer, StartError, Scope.Scope> =>
  Effect.gen(function*() {
    const running = yield* Effect.acquireRelease(Effect.sync(() => start(specifier)), stop)
    const port = yield* listeningPort(name, running, startTimeoutMs)
    return { url: `http://127.0.0.1:${port}/mcp`, wire: makeWire(name, running) }
  })

const sdkExample = (name: string) => exampleServer(name, `@modelcontextprotocol/sdk/examples/server/${name}.js`)

/** The SDK's example with sessions and event ids; its log notifications go to the GET stream. */
export const simpleServer = sdkExample("simpleStreamableHttp")

/** The SDK's example that closes the stream of a call in its middle; `retry` is 2 s. */
export const pollingServer = sdkExample("ssePollingExample")

/** The SDK's example with sessions that answers in JSON; it has no GET stream and refuses DELETE. */
export const jsonServer = sdkExample("jsonResponseStreamableHttp")

/** The SDK's example without sessions; it has no GET stream and refuses DELETE. */
export const statelessServer = sdkExample("simpleStatelessStreamableHttp")

/** The reference server with every feature of the protocol. It answers an unknown session by 400, not by 404. */
export const everythingServer = exampleServer(
  "server-everything",
  "@modelcontextprotocol/server-everything/dist/transports/streamableHttp.js"
)
