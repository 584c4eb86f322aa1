/**
 * `Cassette`: what a program and a real server said to each other, in a file without secrets; from then on the program
 * runs without the server. The first run records, the second replays.
 *
 * `npx tsx --conditions=@effect-mcp/source scratchpad/testing/cassette.ts`
 */
import { Cassette } from "@effect-mcp/testing"
import { JsonRpc, StreamableHttpTransport } from "@effect-mcp/transport"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { sdkServer } from "../../test/e2e/sdkServer.ts"

/** The program under test. */
const program = Effect.gen(function*() {
  const transport = yield* StreamableHttpTransport.StreamableHttpTransport
  yield* StreamableHttpTransport.request(
    transport,
    JsonRpc.request(0, "initialize", {
      protocolVersion: "2025-11-25",
      capabilities: {},
      clientInfo: { name: "cassette", version: "1.0.0" }
    })
  )
  yield* StreamableHttpTransport.notify(transport, JsonRpc.notification("notifications/initialized"))
  const call = JsonRpc.request(1, "tools/call", { name: "add", arguments: { a: 20, b: 22 } })
  yield* Console.log("  answer:", JSON.stringify(yield* StreamableHttpTransport.request(transport, call)))
})

const runWith = (url: string, path: string) =>
  program.pipe(Effect.provide(
    StreamableHttpTransport.layer({ url, headers: { authorization: "Bearer top-secret-token" } }).pipe(
      Layer.provide(Cassette.layer({ path })),
      Layer.provide(FetchHttpClient.layer)
    )
  ))

const both = Effect.gen(function*() {
  const files = yield* FileSystem.FileSystem
  const path = `${yield* files.makeTempDirectoryScoped()}/add.json`
  yield* Console.log("recording, with a server of the official SDK")
  yield* Effect.scoped(Effect.flatMap(sdkServer(), ({ url }) => runWith(url, path)))
  yield* Console.log("replaying, without any server")
  yield* runWith("http://nowhere.invalid/mcp", path)
  const text = yield* files.readFileString(path)
  yield* Console.log(
    `the file has ${JSON.parse(text).exchanges.length} exchanges; the token is in it: ${text.includes("top-secret")}`
  )
})

await Effect.runPromise(both.pipe(Effect.scoped, Effect.provide(NodeFileSystem.layer)))
