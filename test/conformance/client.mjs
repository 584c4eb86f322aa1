/**
 * The client that the conformance suites judge: `node test/conformance/client.mjs URL`. It uses the built packages, as an
 * application would. The suites name the scenario in MCP_CONFORMANCE_SCENARIO; without a way of its own below, every
 * tool is called once. What the suites do not see, because they ignore how a client of a list ends, is in the last line
 * that it prints: `completed`, once all went well.
 *
 * The protocol is `auto` in every scenario, as it is for applications: none needs a version to be pinned.
 */
import { Elicitation, McpClient, Roots, Sampling } from "@effect-mcp/client"
import { StreamableHttpTransport } from "@effect-mcp/transport"
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as Chunk from "effect/Chunk"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { exampleArguments } from "./exampleArguments.mjs"

const url = process.argv[2]
const scenario = process.env.MCP_CONFORMANCE_SCENARIO
const context = JSON.parse(process.env.MCP_CONFORMANCE_CONTEXT ?? "{}")

/** How a scenario answers a form; at once, unless it has to do something before. */
const mayAnswer = Effect.runSync(Deferred.make())
const wasAsked = Effect.runSync(Deferred.make())

const call = (client, name, args) => Effect.tap(client.callTool(name, args), (result) => Effect.log(name, result))

const callEveryTool = (client) =>
  Stream.runForEach(client.tools, ({ inputSchema, name }) => call(client, name, exampleArguments(inputSchema)))

const scenarios = {
  initialize: () => Effect.void,

  // The servers of these two send what belongs to a call on the first stream that is there, also on the client's own one:
  // before that is open, it would be lost.
  "elicitation-sep1034-client-defaults": (client, streamOpened) => Effect.zipRight(streamOpened, callEveryTool(client)),
  "sse-retry": (client, streamOpened) => Effect.zipRight(streamOpened, callEveryTool(client)),

  // The server offers nothing, so that a typed operation would rightly send nothing.
  "request-metadata": (client) => Effect.zipRight(client.ping, client.request("tools/list")),

  "http-standard-headers": (client) =>
    Effect.all([
      callEveryTool(client),
      Stream.runForEach(client.resources, ({ uri }) => client.readResource(uri)),
      Stream.runForEach(client.prompts, ({ name }) => client.getPrompt(name))
    ]),

  "http-custom-headers": (client) =>
    Effect.zipRight(
      Stream.runDrain(client.tools),
      Effect.forEach(context.toolCalls, ({ arguments: args, name }) => call(client, name, args))
    ),

  "json-schema-ref-no-deref": (client) => Stream.runDrain(client.tools),

  "json-schema-2020-12-preservation": (client) =>
    Effect.gen(function*() {
      const tools = yield* Stream.runCollect(client.tools)
      const { inputSchema } = yield* Chunk.findFirst(tools, ({ name }) => name === "json_schema_2020_12_tool")
      yield* call(client, "json_schema_echo", { schema: inputSchema })
    }),

  // The unrelated tool is called between the two rounds of another.
  "sep-2322-client-request-state": (client) =>
    Effect.gen(function*() {
      const echo = yield* Effect.fork(call(client, "test_mrtr_echo_state"))
      yield* Effect.raceFirst(Deferred.await(wasAsked), Fiber.join(echo))
      yield* call(client, "test_mrtr_unrelated")
      yield* Deferred.succeed(mayAnswer, undefined)
      yield* Fiber.join(echo)
      yield* call(client, "test_mrtr_no_state")
      yield* call(client, "test_mrtr_no_result_type")
    })
}

/** All that an application can provide, so that all of it is declared. */
const Answers = Layer.mergeAll(
  Elicitation.layer({
    form: (params) =>
      Deferred.succeed(wasAsked, undefined).pipe(
        Effect.zipRight(scenario === "sep-2322-client-request-state" ? Deferred.await(mayAnswer) : Effect.void),
        Effect.as(Elicitation.accept(Elicitation.defaults(params)))
      )
  }),
  Sampling.layer({
    createMessage: () =>
      Effect.succeed({ role: "assistant", content: { type: "text", text: "An answer." }, model: "none" })
  }),
  Roots.layerConst([{ uri: "file:///conformance" }])
)

const program = Effect.gen(function*() {
  const transport = yield* StreamableHttpTransport.StreamableHttpTransport
  const streamOpened = yield* transport.events.pipe(
    Stream.filter(({ _tag, stream }) => _tag === "StreamOpened" && stream._tag === "Server"),
    Stream.runHead,
    Effect.fork
  )
  yield* Effect.yieldNow()
  const client = yield* McpClient.make({ clientInfo: { name: "effect-mcp-conformance", version: "0.1.0" } })
  yield* (scenarios[scenario] ?? callEveryTool)(client, Fiber.join(streamOpened))
})

const Live = Layer.provideMerge(Answers, StreamableHttpTransport.layer({ url })).pipe(
  Layer.provide(FetchHttpClient.layer)
)

if (url === undefined) {
  console.error("usage: node test/conformance/client.mjs URL")
  process.exitCode = 2
} else {
  await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Live))).then(
    () => console.log("completed"),
    (error) => {
      console.error(error)
      process.exitCode = 1
    }
  )
}
