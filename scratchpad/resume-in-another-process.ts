/**
 * A call that outlives its process: the first process is killed with SIGKILL in the middle of a call, and a second one,
 * running the very same program, finishes it. Between them is nothing but a directory with what the resumption store kept.
 *
 * `npx tsx --conditions=@effect-mcp/source scratchpad/resume-in-another-process.ts`
 */
import { JsonRpc, ResumptionStore, StreamableHttpTransport } from "@effect-mcp/transport"
import * as NodeContext from "@effect/platform-node/NodeContext"
import * as NodeKeyValueStore from "@effect/platform-node/NodeKeyValueStore"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Command from "@effect/platform/Command"
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { fileURLToPath } from "node:url"
import { sdkServer } from "../test/e2e/sdkServer.ts"

// --- the program: the same code, however often it is started --------------------------------------------------------

const initialize = JsonRpc.request(1, "initialize", {
  protocolVersion: "2025-11-25",
  capabilities: {},
  clientInfo: { name: "resume-in-another-process", version: "0.1.0" }
})

/** Equal in every process: same id, method and params. That is how it is known again. */
const report = JsonRpc.request("report", "tools/call", {
  name: "progress",
  arguments: { steps: 20, delayMs: 100 },
  _meta: { progressToken: "report" }
})

const program = Effect.gen(function*() {
  const transport = yield* StreamableHttpTransport.StreamableHttpTransport
  const session = yield* transport.session
  if (session._tag === "Active") {
    yield* Console.log("the session goes on")
  } else {
    yield* Console.log("a new session")
    yield* StreamableHttpTransport.request(transport, initialize)
    yield* StreamableHttpTransport.notify(transport, JsonRpc.notification("notifications/initialized"))
  }
  const answer = yield* StreamableHttpTransport.request(transport, report, {
    onMessage: (message) =>
      JsonRpc.isNotification(message) ? Console.log(`step ${message.params?.progress}`) : Effect.void
  })
  yield* Console.log(`answer ${JSON.stringify(JsonRpc.isSuccessResponse(answer) ? answer.result : answer.error)}`)
})

/** The transport, with a resumption store in the files of a directory. */
const transportTo = (url: string, directory: string) =>
  Layer.unwrapEffect(
    Effect.map(
      ResumptionStore.ResumptionStore,
      (resumptionStore) => StreamableHttpTransport.layer({ url, resumptionStore })
    )
  ).pipe(
    Layer.provide([FetchHttpClient.layer, ResumptionStore.layerKeyValueStore({ key: "report" })]),
    Layer.provide(NodeKeyValueStore.layerFileSystem(directory))
  )

// --- around it: a server, and the program as a process, twice -------------------------------------------------------

/** Starts this very file as another process. */
const startProcess = (url: string, directory: string) =>
  Command.start(
    Command.make(
      process.execPath,
      ...process.execArgv,
      fileURLToPath(import.meta.url),
      url,
      directory
    ).pipe(Command.stderr("inherit"))
  )

const linesOf = (output: Stream.Stream<Uint8Array, unknown>) => Stream.splitLines(Stream.decodeText(output))

const main = Effect.gen(function*() {
  const server = yield* sdkServer()
  const directory = yield* Effect.flatMap(FileSystem.FileSystem, (fs) => fs.makeTempDirectoryScoped())

  yield* Console.log("The first process")
  const first = yield* startProcess(server.url, directory)
  yield* linesOf(first.stdout).pipe(
    Stream.tap((line) => Console.log(`  ${line}`)),
    // Killed while its output is still read: it must not end by a broken pipe.
    Stream.tap((line) =>
      line === "step 7" ? Effect.zipRight(Effect.sleep("50 millis"), first.kill("SIGKILL")) : Effect.void
    ),
    Stream.takeUntil((line) => line === "step 7"),
    Stream.runDrain
  )
  yield* Console.log("  killed with SIGKILL\n\nThe second process")

  const second = yield* startProcess(server.url, directory)
  yield* Stream.runForEach(linesOf(second.stdout), (line) => Console.log(`  ${line}`))
  yield* second.exitCode

  const wire = yield* server.wire
  const calls = wire.filter(({ body, method }) => method === "POST" && body.includes(`"method":"tools/call"`))
  yield* Console.log(`\nWhat the server saw\n  POST tools/call: ${calls.length}`)
  for (const { headers } of wire.filter(({ method }) => method === "GET")) {
    yield* Console.log(`  GET, Last-Event-ID: ${headers["last-event-id"] ?? "none"}`)
  }
}).pipe(Effect.scoped, Effect.provide(NodeContext.layer))

const [url, directory] = process.argv.slice(2)

NodeRuntime.runMain(
  url === undefined || directory === undefined
    ? main
    : Effect.provide(program, transportTo(url, directory))
)
