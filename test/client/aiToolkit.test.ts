/**
 * The tools of a server as a toolkit: a scripted model calls them over a scripted transport.
 */
import { type Content, McpClient, McpClientError, type Tool } from "@effect-mcp/client"
import * as AiToolkit from "@effect-mcp/client/AiToolkit"
import * as TestTransport from "@effect-mcp/testing/TestTransport"
import { JsonRpc } from "@effect-mcp/transport"
import * as AiError from "@effect/ai/AiError"
import * as LanguageModel from "@effect/ai/LanguageModel"
import * as Prompt from "@effect/ai/Prompt"
import type * as Response from "@effect/ai/Response"
import * as AiTool from "@effect/ai/Tool"
import { assert, describe, it } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FastCheck from "effect/FastCheck"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import * as fs from "node:fs"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import { settle } from "../testing/testTransportSubjects.ts"

// --- a server -------------------------------------------------------------------------------------------------------

type Era = "Legacy" | "Modern"

const eras: ReadonlyArray<Era> = ["Legacy", "Modern"]

interface ServerOptions {
  readonly era?: Era
  readonly tools?: ReadonlyArray<object> | TestTransport.Handler
  /** What a call is answered with. */
  readonly call?: TestTransport.Reply | TestTransport.Handler
  readonly capabilities?: object
  readonly listen?: TestTransport.Reply
}

const named = (name: string, more: object = {}) => ({ name, inputSchema: { type: "object" }, ...more })

const say = (text: string): Content.TextContent => ({ type: "text", text })

/** A client of a server with these tools. */
const connected = ({
  call = TestTransport.result({ content: [say("done")] }),
  capabilities = { tools: { listChanged: true } },
  era = "Legacy",
  listen = TestTransport.never,
  tools = [named("work")]
}: ServerOptions = {}) => {
  const server = { capabilities, serverInfo: { name: "scripted", version: "2.0.0" } }
  const script: TestTransport.Script = {
    "initialize": TestTransport.result({ ...server, protocolVersion: "2025-11-25" }),
    "server/discover": TestTransport.result({
      ...server,
      resultType: "complete",
      supportedVersions: ["2026-07-28"],
      ttlMs: 0,
      cacheScope: "private"
    }),
    "subscriptions/listen": listen,
    "tools/list": typeof tools === "function" ? tools : TestTransport.result({ tools }),
    "tools/call": call
  }
  const protocol = era === "Legacy" ? "2025-11-25" : "2026-07-28"
  return McpClient.layer({ clientInfo: { name: "test", version: "1.0.0" }, protocol }).pipe(
    Layer.provideMerge(TestTransport.layer(script))
  )
}

const sent = (method: string) =>
  Effect.gen(function*() {
    const server = yield* TestTransport.TestTransport
    const messages = yield* server.sent
    return messages.flatMap((message) => JsonRpc.isRequest(message) && message.method === method ? [message] : [])
  })

// --- a model --------------------------------------------------------------------------------------------------------

const toolCall = (name: string, params: unknown = {}, id = "call-1"): Response.ToolCallPartEncoded => ({
  type: "tool-call",
  id,
  name,
  params
})

/** Answers each generation with the next of these turns, and keeps what it was given. */
const scriptedModel = (...turns: ReadonlyArray<Array<Response.ToolCallPartEncoded | Response.TextPartEncoded>>) =>
  Effect.gen(function*() {
    const given: Array<LanguageModel.ProviderOptions> = []
    const answer = (options: LanguageModel.ProviderOptions) => turns[given.push(options) - 1] ?? []
    const model = yield* LanguageModel.make({
      generateText: (options) => Effect.sync(() => answer(options)),
      streamText: (options) =>
        Stream.suspend(() => Stream.fromIterable(answer(options).filter((part) => part.type === "tool-call")))
    })
    return { ...model, given }
  })

const schemaOf = (tool: AiTool.Any | undefined): unknown =>
  tool === undefined ? undefined : AiTool.getJsonSchemaFromSchemaAst(tool.parametersSchema.ast)

const prompt = "Do it"

/** What one call of the tool `work` comes to. */
const outcomeOf = (options: ServerOptions) =>
  Effect.gen(function*() {
    const model = yield* scriptedModel([toolCall("work")])
    const { toolResults } = yield* model.generateText({ prompt, toolkit: yield* AiToolkit.make() })
    const [outcome] = toolResults
    assert(outcome !== undefined)
    return outcome
  }).pipe(Effect.provide(connected(options)))

// --- tests ----------------------------------------------------------------------------------------------------------

describe.each(eras)("a model that calls a tool, %s", (era) => {
  const answer: Tool.CallToolResult = {
    content: [say("22 degrees"), say("sunny")],
    ...(era === "Modern" ? { resultType: "complete" } : {})
  }

  it.effect("gets the result, and the server the arguments as they are", () =>
    Effect.gen(function*() {
      const params: unknown = JSON.parse(
        `{"z":1,"a":{"b":[null,1.5,{"é":"\\u0000"}]},"10":true,"2":"x","constructor":{},"__proto__":{"a":1}}`
      )
      const model = yield* scriptedModel([toolCall("get_weather", params)], [{ type: "text", text: "Sunny" }])
      const toolkit = yield* AiToolkit.make()
      const first = yield* model.generateText({ prompt: "Weather in Bern?", toolkit })
      const [call] = yield* sent("tools/call")
      assert.strictEqual(call?.params?.name, "get.weather")
      assert.strictEqual(JSON.stringify(call?.params?.arguments), JSON.stringify(params))
      const [result] = first.toolResults
      assert.strictEqual(result?.isFailure, false)
      assert.deepStrictEqual(result?.result, answer)
      assert.strictEqual(result?.encodedResult, "22 degrees\nsunny")

      yield* model.generateText({ prompt: Prompt.fromResponseParts(first.content), toolkit })
      const told = model.given[1]?.prompt.content.flatMap((message) => message.role === "tool" ? message.content : [])
      assert.deepStrictEqual(told?.map(({ id, isFailure, name, result }) => [id, isFailure, name, result]), [
        ["call-1", false, "get_weather", "22 degrees\nsunny"]
      ])
    }).pipe(Effect.provide(connected({ era, tools: [named("get.weather")], call: TestTransport.result(answer) }))))
})

describe("a model that calls a tool", () => {
  it.effect("gets the result while it streams", () =>
    Effect.gen(function*() {
      const model = yield* scriptedModel([toolCall("work", { a: 1 })])
      const parts = yield* Stream.runCollect(model.streamText({ prompt, toolkit: yield* AiToolkit.make() }))
      const results = Chunk.toReadonlyArray(parts).flatMap((part) => part.type === "tool-result" ? [part] : [])
      assert.deepStrictEqual(results.map(({ encodedResult }) => encodedResult), ["done"])
    }).pipe(Effect.provide(connected())))

  it.effect("may call several at once", () =>
    Effect.gen(function*() {
      const model = yield* scriptedModel([toolCall("a", {}, "1"), toolCall("b", {}, "2")])
      const { toolResults } = yield* model.generateText({ prompt, toolkit: yield* AiToolkit.make(), concurrency: 2 })
      assert.deepStrictEqual(toolResults.map(({ encodedResult, id }) => [id, encodedResult]), [["1", "a"], ["2", "b"]])
    }).pipe(Effect.provide(connected({
      tools: [named("a"), named("b")],
      call: ({ params }) => TestTransport.result({ content: [say(String(params?.name))] })
    }))))

  it.effect.each(["nothing", "constructor", "toString", "__proto__", "", "get.weather"])(
    "that there is not: %j is an AiError",
    (name) =>
      Effect.gen(function*() {
        const model = yield* scriptedModel([toolCall(name)])
        const error = yield* Effect.flip(model.generateText({ prompt, toolkit: yield* AiToolkit.make() }))
        assert.isTrue(AiError.isAiError(error))
        assert.strictEqual(error._tag, "MalformedOutput")
        assert.deepStrictEqual(yield* sent("tools/call"), [])
      }).pipe(Effect.provide(connected()))
  )

  it.effect.each([null, "text", 1, [], [{}]])(
    "with arguments that are no object: %j is an AiError",
    (params) =>
      Effect.gen(function*() {
        const model = yield* scriptedModel([toolCall("work", params)])
        const error = yield* Effect.flip(model.generateText({ prompt, toolkit: yield* AiToolkit.make() }))
        assert.strictEqual(error._tag, "MalformedOutput")
        assert.deepStrictEqual(yield* sent("tools/call"), [])
      }).pipe(Effect.provide(connected()))
  )
})

describe("what the provider is given", () => {
  const inputSchema: Tool.InputSchema = JSON.parse(`{
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Query",
    "description": "What to look for",
    "type": "object",
    "properties": {
      "where": { "$ref": "#/$defs/place", "description": "beside a reference" },
      "kind": { "oneOf": [{ "const": "a" }, { "enum": ["b", null] }], "default": "a", "examples": ["b"] },
      "region": { "type": "string", "x-mcp-header": "Region", "pattern": "^[a-z-]+$", "format": "hostname" },
      "__proto__": { "type": "integer", "minimum": 0 },
      "nested": { "type": ["object", "null"], "additionalProperties": { "type": "array", "prefixItems": [true] } }
    },
    "required": ["where"],
    "$defs": { "place": { "$anchor": "place", "type": "string", "minLength": 1 } },
    "unevaluatedProperties": false,
    "x-unknown": [1, { "two": 2 }]
  }`)

  it.effect("has the JSON Schema of the arguments unchanged", () =>
    Effect.gen(function*() {
      const model = yield* scriptedModel()
      yield* model.generateText({ prompt, toolkit: yield* AiToolkit.make() })
      const [query, minimal] = model.given[0]?.tools ?? []
      assert.deepStrictEqual(schemaOf(query), inputSchema)
      assert.include(JSON.stringify(schemaOf(query)), JSON.stringify(inputSchema.properties))
      assert.deepStrictEqual(schemaOf(minimal), { type: "object" })
    }).pipe(Effect.provide(connected({ tools: [named("query", { inputSchema }), named("minimal")] }))))

  it.effect("has the descriptions and the annotations", () =>
    Effect.gen(function*() {
      const { tools } = yield* AiToolkit.make()
      const described = Object.values(tools).map(({ annotations, description, name }) => ({
        name,
        description,
        title: Option.getOrUndefined(Context.getOption(annotations, AiTool.Title)),
        hints: [
          Context.get(annotations, AiTool.Readonly),
          Context.get(annotations, AiTool.Destructive),
          Context.get(annotations, AiTool.Idempotent),
          Context.get(annotations, AiTool.OpenWorld)
        ]
      }))
      assert.deepStrictEqual(described, [
        { name: "plain", description: undefined, title: undefined, hints: [false, true, false, true] },
        { name: "titled", description: "Does it", title: "Better", hints: [true, false, true, false] },
        { name: "older", description: "", title: "Older", hints: [false, true, true, true] }
      ])
    }).pipe(Effect.provide(connected({
      tools: [
        named("plain"),
        named("titled", {
          description: "Does it",
          title: "Better",
          annotations: {
            title: "Worse",
            readOnlyHint: true,
            destructiveHint: false,
            idempotentHint: true,
            openWorldHint: false
          }
        }),
        named("older", { description: "", annotations: { title: "Older", idempotentHint: true } })
      ]
    }))))

  it.effect("is nothing at all when the server has no tools", () =>
    Effect.gen(function*() {
      const model = yield* scriptedModel([{ type: "text", text: "No tools" }])
      const { text } = yield* model.generateText({ prompt, toolkit: yield* AiToolkit.make() })
      assert.strictEqual(text, "No tools")
      assert.deepStrictEqual(model.given[0]?.tools, [])
    }).pipe(Effect.provide(connected({ tools: [] }))))
})

describe("names", () => {
  const namesOf = (toolkit: { readonly tools: object }) => Object.keys(toolkit.tools)

  it.effect("are what models accept", () =>
    Effect.gen(function*() {
      const names = namesOf(yield* AiToolkit.make())
      assert.deepStrictEqual(names, ["plain-Name_1", "a_b_c", "__", "x".repeat(64), "_"])
      for (const name of names) assert.match(name, /^[A-Za-z0-9_-]{1,64}$/)
    }).pipe(Effect.provide(connected({
      tools: ["plain-Name_1", "a.b/c", "天😀", "x".repeat(65), ""].map((name) => named(name))
    }))))

  it.effect("have the prefix, within the length", () =>
    Effect.gen(function*() {
      const names = namesOf(yield* AiToolkit.make({ prefix: "git hub." }))
      assert.deepStrictEqual(names, ["git_hub_a_b", `git_hub_${"x".repeat(56)}`])
    }).pipe(Effect.provide(connected({ tools: [named("a.b"), named("x".repeat(64))] }))))

  it.effect("are those of rename", () =>
    Effect.gen(function*() {
      const toolkit = yield* AiToolkit.make({ prefix: "my.", rename: ({ name }) => name.toUpperCase() })
      assert.deepStrictEqual(namesOf(toolkit), ["my.A.B"])
      const model = yield* scriptedModel([toolCall("my.A.B")])
      yield* model.generateText({ prompt, toolkit })
      const [call] = yield* sent("tools/call")
      assert.strictEqual(call?.params?.name, "a.b")
    }).pipe(Effect.provide(connected({ tools: [named("a.b")] }))))

  it.effect("must be different", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(AiToolkit.make())
      assert(error._tag === "NameCollision")
      assert.deepStrictEqual([error.toolName, error.tools], ["a_b", ["a.b", "a_b"]])
      assert.include(error.message, `"a.b" from "a_b"`)
      assert.deepStrictEqual(namesOf(yield* AiToolkit.make({ filter: ({ name }) => name !== "a_b" })), ["a_b", "c"])
      assert.lengthOf(namesOf(yield* AiToolkit.make({ rename: ({ name }) => name })), 3)
    }).pipe(Effect.provide(connected({ tools: [named("a.b"), named("a_b"), named("c")] }))))

  it.effect("may be listed twice", () =>
    Effect.gen(function*() {
      const { tools } = yield* AiToolkit.make()
      assert.deepStrictEqual(Object.values(tools).map(({ description, name }) => [name, description]), [["a", "new"]])
    }).pipe(Effect.provide(connected({ tools: [named("a"), named("a", { description: "new" })] }))))

  it.effect.each(["__proto__", "constructor", "toString"])("may be %s", (name) =>
    Effect.gen(function*() {
      const toolkit = yield* AiToolkit.make()
      assert.deepStrictEqual(namesOf(toolkit), [name])
      const model = yield* scriptedModel([toolCall(name)])
      const { toolResults } = yield* model.generateText({ prompt, toolkit })
      assert.deepStrictEqual(toolResults.map(({ encodedResult }) => encodedResult), ["done"])
    }).pipe(Effect.provide(connected({ tools: [named(name)] }))))
})

describe("results", () => {
  const png = "iVBORw0KGgo="
  const image = { type: "image", data: png, mimeType: "image/png" }
  const link = { type: "resource_link", uri: "file:///a", name: "a" }
  const blob = { type: "resource", resource: { uri: "file:///b", mimeType: "application/pdf", blob: png } }
  const text = { type: "resource", resource: { uri: "file:///c", text: "words" } }
  const rows: ReadonlyArray<readonly [name: string, result: object, output: unknown]> = [
    ["no content", { content: [] }, ""],
    ["text", { content: [say("a"), say("b")] }, "a\nb"],
    ["structured content", { content: [], structuredContent: { a: [1] } }, { a: [1] }],
    ["null", { content: [say("null")], structuredContent: null }, null],
    ["structured content as text as well", {
      content: [say(`{ "b": 2, "a": [1] }`)],
      structuredContent: { a: [1], b: 2 }
    }, { a: [1], b: 2 }],
    ["structured content and another text", { content: [say("one row")], structuredContent: { a: [1] } }, {
      text: "one row",
      structuredContent: { a: [1] }
    }],
    ["an image", { content: [say("see"), image] }, {
      text: "see",
      content: [{ type: "image", mimeType: "image/png", size: 8, omitted: "data" }]
    }],
    ["audio", { content: [{ ...image, type: "audio", mimeType: "audio/wav" }] }, {
      content: [{ type: "audio", mimeType: "audio/wav", size: 8, omitted: "data" }]
    }],
    ["resources", { content: [link, blob, text] }, {
      content: [
        link,
        {
          type: "resource",
          resource: { uri: "file:///b", mimeType: "application/pdf", size: 8, omitted: "blob" }
        },
        text
      ]
    }],
    ["content of an unknown type", { content: [{ type: "video", frames: 3 }] }, {
      content: [{ type: "video", frames: 3 }]
    }]
  ]

  it.effect.each(rows.map(([name, result, output]) => ({ name, result, output })))(
    "$name",
    ({ output, result }) =>
      Effect.gen(function*() {
        const outcome = yield* outcomeOf({ call: TestTransport.result(result) })
        assert.deepStrictEqual(outcome.encodedResult, output)
        assert.deepStrictEqual(outcome.result, result)
        assert.isFalse(outcome.isFailure)
      })
  )

  it.effect("files are parts of a message", () =>
    Effect.gen(function*() {
      const content = [say("x"), image, { ...image, data: "no Base64!" }, blob, text, link]
      const { result } = yield* outcomeOf({ call: TestTransport.result({ content }) })
      assert(!McpClientError.isMcpClientError(result))
      const files = AiToolkit.files(result)
      assert.deepStrictEqual(files.map(({ fileName, mediaType }) => [mediaType, fileName]), [
        ["image/png", undefined],
        ["application/pdf", "file:///b"]
      ])
      for (const { data } of files) {
        assert.deepStrictEqual(data, Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a))
      }
      assert.lengthOf(Prompt.userMessage({ content: files }).content, 2)
    }))

  it.effect("survive being stored as what the model was told", () =>
    Effect.gen(function*() {
      const { tools } = yield* AiToolkit.make()
      const schema = tools["work"]?.successSchema
      assert(schema !== undefined)
      for (const told of ["words", { a: 1 }, null, [1]]) {
        const result = yield* Schema.decode(schema)(told)
        assert.deepStrictEqual(yield* Schema.encode(schema)(result), told)
      }
    }).pipe(Effect.provide(connected())))
})

describe("failures", () => {
  const failed = { content: [say("no such city")], isError: true }
  const outputSchema = { type: "object", required: ["degrees"] }
  const ways: ReadonlyArray<
    {
      readonly name: string
      readonly server: ServerOptions
      readonly tag: McpClientError.McpClientError["_tag"]
      readonly told: string
    }
  > = [
    { name: "of the tool", server: { call: TestTransport.result(failed) }, tag: "ToolError", told: "no such city" },
    {
      name: "of the tool without a word",
      server: { call: TestTransport.result({ content: [], isError: true }) },
      tag: "ToolError",
      told: "tools/call \"work\" reported a failure"
    },
    {
      name: "as a JSON-RPC error",
      server: { call: TestTransport.error({ code: -32602, message: "city is missing" }) },
      tag: "JsonRpcError",
      told: "city is missing"
    },
    {
      name: "of a malformed result",
      server: { call: TestTransport.result({ content: "text" }) },
      tag: "DecodeError",
      told: "Malformed"
    },
    {
      name: "of structured content that is not what was promised",
      server: {
        tools: [named("work", { outputSchema })],
        call: TestTransport.result({ content: [], structuredContent: {} })
      },
      tag: "DecodeError",
      told: "degrees"
    }
  ]

  it.effect.each(ways)("$name: the model is told", ({ server, tag, told }) =>
    Effect.gen(function*() {
      const { encodedResult, isFailure, result } = yield* outcomeOf(server)
      assert.isTrue(isFailure)
      assert.include(String(encodedResult), told)
      assert(McpClientError.isMcpClientError(result))
      assert.strictEqual(result._tag, tag)
    }))

  it.effect.each(ways)("$name: the generation fails when that is wanted", ({ server, tag }) =>
    Effect.gen(function*() {
      const model = yield* scriptedModel([toolCall("work")])
      const toolkit = yield* AiToolkit.make({ failureMode: "error" })
      const generation: Effect.Effect<unknown, McpClientError.McpClientError | AiError.AiError> = model.generateText({
        prompt,
        toolkit
      })
      const error = yield* Effect.flip(generation)
      assert.strictEqual(error._tag, tag)
    }).pipe(Effect.provide(connected(server))))

  it.effect("a result with content keeps it", () =>
    Effect.gen(function*() {
      const structuredContent = { reason: "closed" }
      const { encodedResult } = yield* outcomeOf({
        call: TestTransport.result({ content: [], structuredContent, isError: true })
      })
      assert.deepStrictEqual(encodedResult, structuredContent)
    }))

  it.effect("options of the call count: a timeout", () =>
    Effect.gen(function*() {
      const model = yield* scriptedModel([toolCall("work")])
      const toolkit = yield* AiToolkit.make({ call: { timeout: "5 seconds", meta: { "example.com/a": 1 } } })
      const generation = yield* Effect.fork(model.generateText({ prompt, toolkit }))
      const server = yield* TestTransport.TestTransport
      const call = yield* server.awaitSent("tools/call")
      assert(JsonRpc.isRequest(call))
      assert.include(call.params?._meta, { "example.com/a": 1 })
      yield* TestClock.adjust("5 seconds")
      const { toolResults } = yield* Fiber.join(generation)
      assert.include(String(toolResults[0]?.encodedResult), "not answered within 5s")
    }).pipe(Effect.provide(connected({ call: TestTransport.never }))))

  it.effect("interrupting the generation cancels the call", () =>
    Effect.gen(function*() {
      const model = yield* scriptedModel([toolCall("work")])
      const generation = yield* Effect.fork(model.generateText({ prompt, toolkit: yield* AiToolkit.make() }))
      const server = yield* TestTransport.TestTransport
      yield* server.awaitSent("tools/call")
      yield* Fiber.interrupt(generation)
      yield* server.awaitSent("notifications/cancelled")
    }).pipe(Effect.provide(connected({ call: TestTransport.never }))))

  it.effect("of the list", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(AiToolkit.make())
      assert(error._tag === "JsonRpcError")
      assert.strictEqual(error.code, -32603)
    }).pipe(Effect.provide(connected({ tools: () => TestTransport.error({ code: -32603, message: "broken" }) }))))

  it.effect("of a server without tools", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(AiToolkit.make())
      assert.strictEqual(error._tag, "CapabilityMissing")
    }).pipe(Effect.provide(connected({ capabilities: {} }))))

  it("are never defects, whatever model and server do", async () => {
    const names = FastCheck.oneof(
      FastCheck.constantFrom("work", "constructor", "__proto__", "valueOf"),
      FastCheck.string({ maxLength: 5 })
    )
    const block = FastCheck.record({
      type: FastCheck.constantFrom("text", "image", "resource", "resource_link", "new"),
      text: FastCheck.jsonValue(),
      data: FastCheck.string(),
      mimeType: FastCheck.string(),
      resource: FastCheck.oneof(
        FastCheck.jsonValue(),
        FastCheck.record({ uri: FastCheck.string(), blob: FastCheck.string() })
      )
    }, { requiredKeys: ["type"] })
    const result = FastCheck.oneof(
      FastCheck.jsonValue(),
      FastCheck.record({
        content: FastCheck.array(FastCheck.oneof(block, FastCheck.jsonValue()), { maxLength: 3 }),
        structuredContent: FastCheck.jsonValue(),
        isError: FastCheck.oneof(FastCheck.boolean(), FastCheck.jsonValue())
      }, { requiredKeys: [] })
    )
    const outcome = await FastCheck.check(
      FastCheck.asyncProperty(
        FastCheck.uniqueArray(names, { minLength: 1, maxLength: 3 }),
        names,
        FastCheck.jsonValue(),
        result,
        async (tools, called, params, result) => {
          const generation = Effect.gen(function*() {
            const model = yield* scriptedModel([toolCall(called, params)])
            return yield* model.generateText({ prompt, toolkit: yield* AiToolkit.make() })
          }).pipe(Effect.provide(
            connected({ tools: tools.map((name) => named(name)), call: TestTransport.result(result) })
          ))
          const exit = await Effect.runPromiseExit(generation)
          return Exit.isSuccess(exit) || exit.cause._tag === "Fail"
        }
      ),
      { numRuns: 100 }
    )
    assert.isFalse(outcome.failed, JSON.stringify(outcome.counterexample))
  }, 60_000)
})

describe("changes of the list", () => {
  const namesOf = (toolkits: Iterable<{ readonly tools: object }>) =>
    Array.from(toolkits, ({ tools }) => Object.keys(tools))

  /** A list that grows each time it is asked for. */
  const growing = (): () => TestTransport.Reply => {
    let times = 0
    return () => TestTransport.result({ tools: Array.from({ length: ++times }, (_, index) => named(`t${index}`)) })
  }

  const changed = JsonRpc.notification("notifications/tools/list_changed")

  it.effect("are not seen by a toolkit, and by the next one", () =>
    Effect.gen(function*() {
      const model = yield* scriptedModel()
      const toolkit = yield* AiToolkit.make()
      yield* model.generateText({ prompt, toolkit })
      yield* model.generateText({ prompt, toolkit })
      yield* model.generateText({ prompt, toolkit: AiToolkit.make() })
      yield* model.generateText({ prompt, toolkit: AiToolkit.make() })
      assert.deepStrictEqual(model.given.map(({ tools }) => tools.length), [1, 1, 2, 3])
    }).pipe(Effect.provide(connected({ tools: growing() }))))

  it.effect("Legacy: a toolkit for now and after each change", () =>
    Effect.gen(function*() {
      const server = yield* TestTransport.TestTransport
      const toolkits = yield* Queue.unbounded<AiToolkit.AiToolkit<"return">>()
      yield* Effect.forkScoped(Stream.runForEach(AiToolkit.stream(), (toolkit) => Queue.offer(toolkits, toolkit)))
      const first = yield* Queue.take(toolkits)
      yield* server.push(JsonRpc.notification("notifications/resources/list_changed"))
      yield* settle
      assert.lengthOf(yield* sent("tools/list"), 1)
      yield* server.push(changed)
      const second = yield* Queue.take(toolkits)
      yield* server.push(changed)
      const third = yield* Queue.take(toolkits)
      assert.deepStrictEqual(namesOf([first, second, third]), [["t0"], ["t0", "t1"], ["t0", "t1", "t2"]])
      assert.lengthOf(yield* sent("tools/list"), 3)
    }).pipe(Effect.scoped, Effect.provide(connected({ tools: growing() }))))

  it.effect("Legacy: changes while the first list is fetched are not missed, and count as one", () =>
    Effect.gen(function*() {
      const mayAnswer = yield* Deferred.make<void>()
      const list = growing()
      const tools = () => Effect.zipRight(Deferred.await(mayAnswer), Effect.sync(list))
      yield* Effect.gen(function*() {
        const server = yield* TestTransport.TestTransport
        const toolkits = yield* Queue.unbounded<AiToolkit.AiToolkit<"return">>()
        yield* Effect.forkScoped(Stream.runForEach(AiToolkit.stream(), (toolkit) => Queue.offer(toolkits, toolkit)))
        yield* server.awaitSent("tools/list")
        for (let times = 0; times < 5; times++) yield* server.push(changed)
        yield* settle
        yield* Deferred.succeed(mayAnswer, undefined)
        const taken = [yield* Queue.take(toolkits), yield* Queue.take(toolkits)]
        assert.deepStrictEqual(namesOf(taken), [["t0"], ["t0", "t1"]])
        yield* settle
        assert.lengthOf(yield* sent("tools/list"), 2)
      }).pipe(Effect.scoped, Effect.provide(connected({ tools })))
    }))

  it.effect("Modern: a toolkit for now and after each change", () =>
    Effect.gen(function*() {
      const changes = yield* Queue.unbounded<JsonRpc.Notification>()
      const acknowledged = JsonRpc.notification("notifications/subscriptions/acknowledged", {
        notifications: { toolsListChanged: true }
      })
      const listen = TestTransport.stream(Stream.concat(Stream.make(acknowledged), Stream.fromQueue(changes)))
      yield* Effect.gen(function*() {
        const toolkits = yield* Queue.unbounded<AiToolkit.AiToolkit<"error">>()
        yield* AiToolkit.stream({ failureMode: "error" }).pipe(
          Stream.runForEach((toolkit) => Queue.offer(toolkits, toolkit)),
          Effect.forkScoped
        )
        const first = yield* Queue.take(toolkits)
        yield* Queue.offer(changes, changed)
        const second = yield* Queue.take(toolkits)
        assert.deepStrictEqual(namesOf([first, second]), [["t0"], ["t0", "t1"]])
      }).pipe(Effect.scoped, Effect.provide(connected({ era: "Modern", tools: growing(), listen })))
    }))

  it.effect.each(eras)(
    "%s: the stream ends after the first when the server announces none",
    (era) =>
      Effect.gen(function*() {
        assert.deepStrictEqual(namesOf(yield* Stream.runCollect(AiToolkit.stream())), [["work"]])
      }).pipe(Effect.provide(connected({ era, capabilities: { tools: {} } })))
  )
})

it("nothing else of the package needs @effect/ai", () => {
  const sources = fileURLToPath(new URL("../../packages/client/src", import.meta.url))
  const users = fs.readdirSync(sources, { recursive: true, encoding: "utf8" }).filter((file) =>
    file.endsWith(".ts") &&
    /from "(@effect\/ai|\.{1,2}\/AiToolkit)/.test(fs.readFileSync(path.join(sources, file), "utf8"))
  )
  assert.deepStrictEqual(users, ["AiToolkit.ts"])
})
