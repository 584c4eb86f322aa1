/**
 * `McpServer` of `@effect/ai` over HTTP, inside the test process: it answers each POST by JSON, and has neither sessions,
 * streams nor a GET.
 *
 * | what | name | arguments | what it does |
 * | --- | --- | --- | --- |
 * | tool | `add` | `a`, `b` | answers `{ sum }`, as structured content as well |
 * | tool | `divide` | `a`, `b` | the same with `{ quotient }`; fails with `DivisionByZero` |
 * | tool | `shout` | `text` | answers a string |
 * | tool | `sleep` | | never answers; `interruptedCalls` counts the calls whose connection was closed |
 * | resource | `doc://guide` | | a text |
 * | template | `doc://page/{number}` | `number`, completed | a text |
 * | prompt | `translate` | `language`, completed; `text` | one message |
 */
import { McpSchema, McpServer, Tool, Toolkit } from "@effect/ai"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as HttpRouter from "@effect/platform/HttpRouter"
import * as HttpServer from "@effect/platform/HttpServer"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { createServer } from "node:http"
import { StartError, type TestServer } from "./testServer.ts"
import { recordExchanges } from "./wire.mjs"

export interface EffectAiServer extends TestServer {
  readonly interruptedCalls: Effect.Effect<number>
}

class DivisionByZero extends Schema.TaggedError<DivisionByZero>()("DivisionByZero", { dividend: Schema.Number }) {}

const Add = Tool.make("add", {
  description: "Adds two numbers",
  parameters: { a: Schema.Number, b: Schema.Number },
  success: Schema.Struct({ sum: Schema.Number })
}).annotate(Tool.Title, "Addition").annotate(Tool.Readonly, true).annotate(Tool.Idempotent, true)

const Divide = Tool.make("divide", {
  parameters: { a: Schema.Number, b: Schema.Number },
  success: Schema.Struct({ quotient: Schema.Number }),
  failure: DivisionByZero
})

const Shout = Tool.make("shout", { parameters: { text: Schema.String }, success: Schema.String })

const Sleep = Tool.make("sleep", { success: Schema.String })

const tools = Toolkit.make(Add, Divide, Shout, Sleep)

const languages = ["Deutsch", "English", "Español"]

const Guide = McpServer.resource({
  uri: "doc://guide",
  name: "guide",
  description: "How to use this server",
  mimeType: "text/plain",
  content: Effect.succeed("Read the pages.")
})

const Page = McpServer.resource`doc://page/${McpSchema.param("number", Schema.NumberFromString)}`({
  name: "page",
  completion: { number: () => Effect.succeed([1, 2, 3]) },
  content: (_uri, number) => Effect.succeed(`This is page ${number}.`)
})

const Translate = McpServer.prompt({
  name: "translate",
  description: "Asks for a translation",
  parameters: Schema.Struct({ language: Schema.String, text: Schema.String }),
  completion: { language: (input) => Effect.succeed(languages.filter((language) => language.startsWith(input))) },
  content: ({ language, text }) => Effect.succeed(`Translate into ${language}: ${text}`)
})

export const effectAiServer: Effect.Effect<EffectAiServer, StartError, Scope.Scope> = Effect.gen(function*() {
  let interrupted = 0
  const server = createServer()
  const exchanges = recordExchanges(server)

  const handlers = tools.toLayer({
    add: ({ a, b }) => Effect.succeed({ sum: a + b }),
    divide: ({ a, b }) =>
      b === 0 ? Effect.fail(new DivisionByZero({ dividend: a })) : Effect.succeed({ quotient: a / b }),
    shout: ({ text }) => Effect.succeed(text.toUpperCase()),
    sleep: () => Effect.onInterrupt(Effect.never, () => Effect.sync(() => interrupted++))
  })

  const context = yield* Layer.build(
    Layer.mergeAll(
      McpServer.toolkit(tools).pipe(Layer.provide(handlers)),
      Guide,
      Page,
      Translate,
      HttpRouter.Default.serve()
    ).pipe(
      Layer.provide(McpServer.layerHttp({ name: "effect-ai-server", version: "1.0.0", path: "/mcp" })),
      Layer.provideMerge(NodeHttpServer.layer(() => server, { port: 0, host: "127.0.0.1" })),
      Layer.provide(Logger.minimumLogLevel(LogLevel.None))
    )
  ).pipe(Effect.mapError((error) => new StartError({ server: "effectAiServer", reason: error.message, output: "" })))

  // Else it waits for connections that fetch keeps for later.
  yield* Effect.addFinalizer(() => Effect.sync(() => server.closeAllConnections()))
  const { address } = Context.get(context, HttpServer.HttpServer)
  if (address._tag !== "TcpAddress") {
    return yield* new StartError({ server: "effectAiServer", reason: `listens on ${address.path}`, output: "" })
  }
  return {
    url: `http://127.0.0.1:${address.port}/mcp`,
    wire: Effect.sync(exchanges),
    interruptedCalls: Effect.sync(() => interrupted)
  }
})
