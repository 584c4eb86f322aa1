/**
 * Calling tools: what is sent, what a result becomes, and what comes while a tool runs.
 */
import { McpClient } from "@effect-mcp/client"
import * as ScriptedServer from "@effect-mcp/testing/ScriptedServer"
import * as TestTransport from "@effect-mcp/testing/TestTransport"
import { StreamableHttpTransport, TransportError } from "@effect-mcp/transport"
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as Headers from "@effect/platform/Headers"
import { assert, describe, it } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import {
  changed,
  collecting,
  connected,
  discoverResult,
  eras,
  failedWith,
  failureOf,
  isRunning,
  listed,
  logged,
  logOf,
  now,
  progressOf,
  type Replies,
  settle,
  start,
  text,
  tool,
  updated
} from "./support/calls.ts"

const { error, result } = TestTransport

const Report = Schema.Struct({
  year: Schema.Number,
  rows: Schema.Array(Schema.Struct({ sum: Schema.NumberFromString }))
})

const answering = (answer: unknown, tools: ReadonlyArray<unknown> = []): Replies => ({
  "tools/call": result(answer),
  "tools/list": result({ tools })
})

describe.each(eras)("the result schema, %s", (era) => {
  it.scoped("decodes structured content, and transforms", () =>
    Effect.gen(function*() {
      const { client } = yield* connected(
        era,
        answering({ content: [], structuredContent: { year: 2026, rows: [{ sum: "7" }], more: 1 } })
      )
      const report = yield* now(client.callTool("report", {}, { result: Report }))
      assert.deepStrictEqual(report, { year: 2026, rows: [{ sum: 7 }] })
    }))

  it.scoped("decodes a text that is its JSON, when there is no structured content", () =>
    Effect.gen(function*() {
      const { client } = yield* connected(era, answering(text(`{"year":1,"rows":[]}`)))
      assert.deepStrictEqual(yield* now(client.callTool("report", {}, { result: Report })), { year: 1, rows: [] })
    }))

  it.scoped("a text that is no JSON is a text", () =>
    Effect.gen(function*() {
      const { client } = yield* connected(era, answering(text("plain")))
      assert.strictEqual(yield* now(client.callTool("report", {}, { result: Schema.String })), "plain")
      const failure = yield* failedWith("DecodeError", client.callTool("report", {}, { result: Report }))
      assert.strictEqual(failure.reason, "ResultSchema")
    }))

  it.scoped("structured content comes first, also when it is null or false", () =>
    Effect.gen(function*() {
      for (const structuredContent of [null, false, 0, "", []]) {
        const { client } = yield* connected(era, answering({ ...text(`"text"`), structuredContent }))
        assert.deepStrictEqual(yield* now(client.callTool("a", {}, { result: Schema.Unknown })), structuredContent)
      }
    }))

  it.scoped("a mismatch tells where", () =>
    Effect.gen(function*() {
      const { client } = yield* connected(
        era,
        answering({ content: [], structuredContent: { year: 1, rows: [{ sum: "1" }, { sum: "x" }] } })
      )
      const failure = yield* failedWith("DecodeError", client.callTool("report", {}, { result: Report }))
      assert.strictEqual(failure.reason, "ResultSchema")
      assert.deepStrictEqual(failure.path, ["rows", 1, "sum"])
      assert.strictEqual(failure.target, "report")
      assert.strictEqual(failure.outcome, "Unknown")
      assert.include(failure.excerpt ?? "", `"sum":"x"`)
    }))

  it.scoped("a failed tool has no result: ToolError with all that it said", () =>
    Effect.gen(function*() {
      const answer = {
        content: [{ type: "text", text: "no such year" }],
        isError: true,
        structuredContent: { a: 1 },
        x: 2
      }
      const { client } = yield* connected(era, answering(answer))
      const failure = yield* failedWith("ToolError", client.callTool("report", {}, { result: Report }))
      assert.deepStrictEqual<unknown>(failure.result, answer)
      assert.strictEqual(failure.target, "report")
      assert.include(failure.message, "no such year")
    }))

  it.scoped("no content at all, or content that is not one text", () =>
    Effect.gen(function*() {
      const contents: ReadonlyArray<unknown> = [
        { content: [] },
        { content: [{ type: "text", text: "1" }, { type: "text", text: "2" }] },
        { content: [{ type: "image", data: "", mimeType: "image/png" }] }
      ]
      for (const content of contents) {
        const { client } = yield* connected(era, answering(content))
        const failure = yield* failedWith("DecodeError", client.callTool("a", {}, { result: Schema.Number }))
        assert.strictEqual(failure.reason, "ResultSchema")
      }
    }))
})

describe.each(eras)("what a tool answers, %s", (era) => {
  it.scoped("isError is a result unless asked for as a failure", () =>
    Effect.gen(function*() {
      const { client } = yield* connected(era, answering({ ...text("no"), isError: true }))
      assert.isTrue((yield* now(client.callTool("a"))).isError)
      assert.isTrue((yield* now(client.callTool("a", {}, { failOnToolError: false }))).isError)
      yield* failedWith("ToolError", client.callTool("a", {}, { failOnToolError: true }))
      yield* failedWith("ToolError", Stream.runDrain(client.callToolStream("a", {}, { failOnToolError: true })))
      const { client: other } = yield* connected(era, answering({ ...text("yes"), isError: false }))
      yield* now(other.callTool("a", {}, { failOnToolError: true }))
    }))

  it.scoped("content that is absent is empty; null is not", () =>
    Effect.gen(function*() {
      const { client } = yield* connected(era, answering({ structuredContent: { a: 1 } }))
      const absent: unknown = yield* now(client.callTool("a"))
      assert.deepStrictEqual(absent, { structuredContent: { a: 1 }, content: [] })
      for (const content of [null, {}, "text", [null], [{}], [{ type: 1 }]]) {
        const { client } = yield* connected(era, answering({ content }))
        const failure = yield* failedWith("DecodeError", client.callTool("a"))
        assert.strictEqual(failure.reason, "Malformed")
        assert.strictEqual(failure.path[0], "content")
      }
    }))

  it.scoped("content of a kind that nobody knows yet is kept, and so is every unknown member", () =>
    Effect.gen(function*() {
      const answer = {
        content: [
          { type: "hologram", depth: 3, deep: { __a: [1] } },
          { type: "text", text: "", unknown: { a: 1 }, annotations: { priority: 1, mood: "good" } },
          { type: "resource", resource: { uri: "a", text: "b", unknown: 1 }, _meta: { c: 1 } }
        ],
        unknown: [1],
        _meta: { "example.com/a": 1 }
      }
      const { client } = yield* connected(era, answering(answer))
      assert.deepStrictEqual<unknown>(yield* now(client.callTool("a")), answer)
    }))
})

const numbers = { type: "object", properties: { n: { type: "array", items: { type: "number" } } }, required: ["n"] }

describe.each(eras)("the output schema, %s", (era) => {
  const called = (outputSchema: unknown, answer: unknown) =>
    Effect.gen(function*() {
      const subject = yield* connected(era, answering(answer, [tool("a", { outputSchema })]))
      yield* listed(subject.client.tools)
      return subject
    })

  it.scoped("valid", () =>
    Effect.gen(function*() {
      const { client, sent } = yield* called(numbers, { content: [], structuredContent: { n: [1, 2] } })
      assert.deepStrictEqual<unknown>((yield* now(client.callTool("a"))).structuredContent, { n: [1, 2] })
      assert.strictEqual((yield* sent("tools/list")).length, 1, "the definition is known")
    }))

  it.scoped("invalid, with the place", () =>
    Effect.gen(function*() {
      const { client } = yield* called(numbers, { content: [], structuredContent: { n: [1, "two"] } })
      const failure = yield* failedWith("DecodeError", client.callTool("a"))
      assert.strictEqual(failure.reason, "StructuredContent")
      assert.deepStrictEqual(failure.path, ["n", 1])
      assert.strictEqual(failure.outcome, "Unknown")
      const streamed = yield* failedWith("DecodeError", Stream.runDrain(client.callToolStream("a")))
      assert.strictEqual(streamed.reason, "StructuredContent")
    }))

  it.scoped("without structured content", () =>
    Effect.gen(function*() {
      const { client } = yield* called(numbers, text("{}"))
      assert.strictEqual((yield* failedWith("DecodeError", client.callTool("a"))).reason, "MissingStructuredContent")
    }))

  it.scoped("a failed tool owes nothing", () =>
    Effect.gen(function*() {
      const { client } = yield* called(numbers, { ...text("no"), isError: true })
      assert.isTrue((yield* now(client.callTool("a"))).isError)
    }))

  it.scoped("any JSON value is structured content, when the schema says so", () =>
    Effect.gen(function*() {
      const { client } = yield* called({ type: "null" }, { content: [], structuredContent: null })
      assert.isNull((yield* now(client.callTool("a"))).structuredContent)
    }))

  const unusable: ReadonlyArray<readonly [string, unknown]> = [
    ["a network reference", { $ref: "http://127.0.0.1:9/schema.json" }],
    ["a dialect that nobody knows", { $schema: "http://example.com/dialect", type: "object" }],
    ["a keyword that is no schema", { type: "object", properties: 7 }]
  ]
  it.scoped.each(unusable)("unusable: %s", ([, outputSchema]) =>
    Effect.gen(function*() {
      const { client } = yield* called(outputSchema, { content: [], structuredContent: {} })
      const failure = yield* failedWith("DecodeError", client.callTool("a"))
      assert.strictEqual(failure.reason, "OutputSchema")
      assert.strictEqual(failure.target, "a")
    }))

  it.scoped("never listed: looked up once, and remembered", () =>
    Effect.gen(function*() {
      const { client, methods } = yield* connected(
        era,
        answering({ content: [], structuredContent: { n: ["two"] } }, [tool("z"), tool("a", { outputSchema: numbers })])
      )
      for (let index = 0; index < 3; index++) {
        assert.strictEqual((yield* failedWith("DecodeError", client.callTool("a"))).reason, "StructuredContent")
      }
      assert.deepStrictEqual(yield* methods, ["tools/call", "tools/list", "tools/call", "tools/call"])
    }))

  it.scoped("in no list at all: looked for once, until the list changes", () =>
    Effect.gen(function*() {
      const { client, next, sent, server } = yield* connected(era, {
        "tools/list": result({ tools: [tool("z")] }),
        "tools/call": result({ content: [], structuredContent: { n: 1 } })
      })
      for (let index = 0; index < 3; index++) {
        assert.deepStrictEqual<unknown>((yield* now(client.callTool("a"))).structuredContent, { n: 1 })
      }
      assert.strictEqual((yield* sent("tools/list")).length, 1)
      if (era === "Legacy") {
        yield* server.push(changed("tools"))
        yield* settle
      } else {
        const calling = yield* start(client.request("x/y"))
        const incoming = yield* next
        yield* incoming.reply(changed("tools"))
        yield* incoming.reply(result({}))
        yield* now(Fiber.join(calling))
      }
      yield* now(client.callTool("a"))
      assert.strictEqual((yield* sent("tools/list")).length, 2)
    }))

  it.scoped("no structured content, nothing to look up", () =>
    Effect.gen(function*() {
      const { client, methods } = yield* connected(era, answering(text("a")))
      yield* now(client.callTool("a"))
      assert.deepStrictEqual(yield* methods, ["tools/call"])
    }))

  const failures: ReadonlyArray<readonly [string, TestTransport.Reply]> = [
    ["an error", error({ code: -32603, message: "no list" })],
    [
      "an outage",
      TestTransport.fail(new TransportError.HttpStatusError({ method: "POST", status: 503, outcome: "Unknown" }))
    ],
    ["nonsense", result({ tools: "none" })]
  ]
  it.scoped.each(failures)(
    "the lookup fails with %s: the result is given, with a warning",
    ([, reply]) =>
      Effect.gen(function*() {
        const { client } = yield* connected(era, {
          "tools/call": result({ content: [], structuredContent: { n: 1 } }),
          "tools/list": reply
        })
        const [answer, lines] = yield* logged(now(client.callTool("a")))
        assert.deepStrictEqual<unknown>(answer.structuredContent, { n: 1 })
        assert.isTrue(
          lines.some((line) => line.startsWith("WARN") && line.includes("of a could not be validated")),
          lines.join("\n")
        )
      })
  )

  it.scoped("a changed list is learnt anew", () =>
    Effect.gen(function*() {
      let outputSchema: unknown = numbers
      const { client } = yield* connected(era, {
        "tools/call": result({ content: [], structuredContent: { n: "text" } }),
        "tools/list": () => result({ tools: [tool("a", { outputSchema })] })
      })
      yield* failedWith("DecodeError", client.callTool("a"))
      outputSchema = { type: "object" }
      yield* listed(client.tools)
      yield* now(client.callTool("a"))
    }))
})

describe.each(eras)("callToolStream, %s", (era) => {
  it.scoped("progress and log messages in order, and the result at the end", () =>
    Effect.gen(function*() {
      const { client, next } = yield* connected(era)
      const own: Array<string> = []
      const { fiber, seen } = yield* collecting(client.callToolStream("a", { b: 1 }, {
        onProgress: ({ progress }) => Effect.sync(() => void own.push(`progress ${progress}`)),
        onLog: ({ data }) => Effect.sync(() => void own.push(`log ${data}`))
      }))
      const incoming = yield* next
      yield* incoming.reply(progressOf(incoming.message, 1))
      yield* incoming.reply(logOf("x"))
      yield* incoming.reply(updated("nothing of this call"))
      yield* incoming.reply(progressOf(incoming.message, 2))
      yield* settle
      assert.deepStrictEqual(own, ["progress 1", "log x", "progress 2"])
      assert.strictEqual(seen.length, 3, "they come at once, not with the result")
      yield* incoming.reply(result(text("done")))
      yield* now(Fiber.join(fiber))
      assert.deepStrictEqual<unknown>(
        seen.map((event) =>
          event._tag === "Progress" ? event.progress.progress : event._tag === "Log" ? event.message.data : event.result
        ),
        [1, "x", 2, text("done")]
      )
    }))

  it.scoped("a failure comes after all that came before it", () =>
    Effect.gen(function*() {
      const { client, next } = yield* connected(era)
      const seen: Array<string> = []
      const calling = yield* start(
        Stream.runForEach(client.callToolStream("a"), (event) => Effect.sync(() => void seen.push(event._tag)))
      )
      const incoming = yield* next
      for (const progress of [1, 2, 3]) yield* incoming.reply(progressOf(incoming.message, progress))
      yield* incoming.reply(error({ code: -32603, message: "broken" }))
      assert.strictEqual((yield* failureOf("JsonRpcError", calling)).code, -32603)
      assert.deepStrictEqual(seen, ["Progress", "Progress", "Progress"])
    }))

  it.scoped("a slow consumer slows the server, and no progress is lost", () =>
    Effect.gen(function*() {
      const total = 500
      let taken = 0
      const { client } = yield* connected(era, {
        "tools/call": (request) =>
          TestTransport.stream(
            Stream.range(1, total).pipe(
              Stream.rechunk(1),
              Stream.mapEffect((progress) => Effect.sync(() => (taken = progress))),
              Stream.map((progress) => progressOf(request, progress)),
              Stream.concat(Stream.succeed(result(text("done"))))
            )
          )
      }, { idleTimeout: "10 seconds" })
      const seen: Array<number> = []
      const calling = yield* start(
        Stream.runForEach(client.callToolStream("a"), (event) =>
          event._tag === "Progress"
            ? Effect.zipRight(
              seen.length === 0 ? Effect.sleep("50 minutes") : Effect.void,
              Effect.sync(() => void seen.push(event.progress.progress))
            )
            : Effect.void)
      )
      yield* settle
      assert.isAtMost(taken, 60, "the server is held up")
      // The consumer is slow, not the server: this is no idle time.
      yield* TestClock.adjust("30 minutes")
      yield* settle
      assert.isTrue(yield* isRunning(calling))
      yield* TestClock.adjust("20 minutes")
      yield* now(Fiber.join(calling))
      assert.deepStrictEqual(seen, Array.from({ length: total }, (_, index) => index + 1))
    }))

  it.scoped("leaving the stream cancels the call on the server", () =>
    Effect.gen(function*() {
      const { client, next, sent, server } = yield* connected(era)
      const taking = yield* start(Stream.runCollect(Stream.take(client.callToolStream("a"), 1)))
      const first = yield* next
      yield* first.reply(progressOf(first.message, 1))
      assert.strictEqual((yield* now(Fiber.join(taking))).length, 1)
      const draining = yield* start(Stream.runDrain(client.callToolStream("a")))
      yield* next
      yield* now(Fiber.interrupt(draining))
      yield* settle
      assert.strictEqual((yield* server.interrupted).length, 2)
      assert.strictEqual((yield* sent("notifications/cancelled")).length, era === "Legacy" ? 2 : 0)
    }))

  it.scoped("leaving it after the result cancels nothing", () =>
    Effect.gen(function*() {
      const { client, sent, server } = yield* connected(era, { "tools/call": result(text("done")) })
      assert.strictEqual((yield* listed(Stream.take(client.callToolStream("a"), 1))).length, 1)
      yield* settle
      assert.deepStrictEqual(yield* sent("notifications/cancelled"), [])
      assert.deepStrictEqual(yield* server.interrupted, [])
    }))

  it.scoped("each run is a call, and the pulls may come from different fibers", () =>
    Effect.gen(function*() {
      const { client, next, server } = yield* connected(era)
      const stream = client.callToolStream("a")
      assert.deepStrictEqual(
        (yield* server.sent).filter((message) => "method" in message && message.method === "tools/call"),
        []
      )
      const scope = yield* Scope.make()
      const pull = yield* Scope.extend(Stream.toPull(stream), scope)
      const first = yield* start(pull)
      const incoming = yield* next
      yield* incoming.reply(progressOf(incoming.message, 1))
      assert.strictEqual(Chunk.size(yield* now(Effect.orDie(Effect.mapError(Fiber.join(first), () => "ended")))), 1)
      yield* settle
      assert.deepStrictEqual(yield* server.interrupted, [], "the fiber of the first pull is over, the call is not")
      const second = yield* start(pull)
      yield* incoming.reply(result(text("done")))
      const [event] = yield* now(Effect.orDie(Effect.mapError(Fiber.join(second), () => "ended")))
      assert.strictEqual(event?._tag, "Result")
      yield* Scope.close(scope, Exit.void)
    }))

  it.scoped("what never is sent fails the stream", () =>
    Effect.gen(function*() {
      const { client } = yield* connected(era, {}, { server: {} })
      yield* failedWith("CapabilityMissing", Stream.runDrain(client.callToolStream("a")))
    }))
})

// --- arguments as headers -------------------------------------------------------------------------------------------

const regional = tool("regional", {
  inputSchema: {
    type: "object",
    properties: {
      region: { type: "string", "x-mcp-header": "Region" },
      nested: { type: "object", properties: { count: { type: "integer", "x-mcp-header": "Count" } } },
      flag: { type: "boolean", "x-mcp-header": "Flag" }
    }
  }
})

const invalid = tool("invalid", {
  inputSchema: { type: "object", properties: { a: { type: "number", "x-mcp-header": "A" } } }
})

const mismatch = error({ code: -32020, message: "HeaderMismatch" })

const regionOf = ({ headers }: StreamableHttpTransport.SendOptions): string | undefined =>
  Headers.fromInput(headers)["mcp-param-region"]

describe("x-mcp-header", () => {
  /** A modern server that keeps the headers of calls. */
  const recording = (tools: () => ReadonlyArray<unknown>, answer: (count: number) => TestTransport.Reply) =>
    Effect.gen(function*() {
      const headers: Array<unknown> = []
      const invalidItems: Array<McpClient.InvalidItem> = []
      const subject = yield* connected("Modern", {
        "tools/list": () => result({ tools: tools() }),
        "tools/call": (_, options) => {
          headers.push(options.headers)
          return answer(headers.length)
        }
      }, { onInvalidItem: (item) => Effect.sync(() => void invalidItems.push(item)) })
      return { ...subject, headers, invalidItems }
    })

  it.scoped("the headers of a tool that was listed, exactly and encoded", () =>
    Effect.gen(function*() {
      const { client, headers } = yield* recording(() => [regional, tool("plain")], () => result(text("")))
      yield* listed(client.tools)
      yield* now(client.callTool("regional", { region: "eu-1", nested: { count: 7 }, flag: false, other: "x" }))
      yield* now(client.callTool("regional", { region: "größe", nested: {} }))
      yield* now(client.callTool("regional", { region: "", flag: null }))
      yield* now(client.callTool("regional"))
      yield* now(client.callTool("plain", { region: "eu-1" }))
      const none = (given: unknown) => given === undefined || Object.keys(Object(given)).length === 0
      assert.deepStrictEqual(headers.slice(0, 3), [
        { "Mcp-Param-Region": "eu-1", "Mcp-Param-Count": "7", "Mcp-Param-Flag": "false" },
        { "Mcp-Param-Region": `=?base64?${Buffer.from("größe").toString("base64")}?=` },
        { "Mcp-Param-Region": "=?base64??=" }
      ])
      assert.isTrue(none(headers[3]) && none(headers[4]))
    }))

  it.scoped("an argument that cannot be sent in its header: InvalidToolCall, unsent", () =>
    Effect.gen(function*() {
      const { client, headers } = yield* recording(() => [regional], () => result(text("")))
      yield* listed(client.tools)
      const failure = yield* failedWith("InvalidToolCall", client.callTool("regional", { nested: { count: 1.5 } }))
      assert.strictEqual(failure.target, "regional")
      assert.strictEqual(failure.outcome, "NotExecuted")
      assert.include(failure.description, "nested.count")
      assert.deepStrictEqual(headers, [])
    }))

  it.scoped("a tool that breaks the rules is left out, reported, and cannot be called", () =>
    Effect.gen(function*() {
      const { client, headers, invalidItems } = yield* recording(() => [invalid, regional], () => result(text("")))
      assert.deepStrictEqual((yield* listed(client.tools)).map(({ name }) => name), ["regional"])
      assert.strictEqual(invalidItems.length, 1)
      const [item] = invalidItems
      assert(item !== undefined)
      assert.strictEqual(item.list, "tools")
      assert.strictEqual(item.name, "invalid")
      assert.deepStrictEqual(item.item, invalid)
      const failure = yield* failedWith("InvalidToolCall", client.callTool("invalid"))
      assert.strictEqual(failure.description, item.problem)
      yield* failedWith("InvalidToolCall", Stream.runDrain(client.callToolStream("invalid")))
      assert.deepStrictEqual(headers, [])
    }))

  it.scoped("HeaderMismatch: looked up once, called once more, with the headers of the new definition", () =>
    Effect.gen(function*() {
      const { client, headers, methods } = yield* recording(
        () => [tool("other"), regional],
        (count) => count === 1 ? mismatch : result(text("second"))
      )
      const { content } = yield* now(client.callTool("regional", { region: "eu" }))
      assert.deepStrictEqual<unknown>(content, text("second").content)
      assert.deepStrictEqual(yield* methods, ["tools/call", "tools/list", "tools/call"])
      assert.deepStrictEqual(headers[1], { "Mcp-Param-Region": "eu" })
    }))

  it.scoped("HeaderMismatch again is the failure", () =>
    Effect.gen(function*() {
      const { client, methods } = yield* recording(() => [regional], () => mismatch)
      const failure = yield* failedWith("JsonRpcError", client.callTool("regional", { region: "eu" }))
      assert.strictEqual(failure.code, -32020)
      assert.strictEqual(failure.outcome, "NotExecuted")
      assert.deepStrictEqual(yield* methods, ["tools/call", "tools/list", "tools/call"])
    }))

  it.scoped("HeaderMismatch of a tool that is gone, or that now breaks the rules", () =>
    Effect.gen(function*() {
      const gone = yield* recording(() => [], () => mismatch)
      assert.strictEqual((yield* failedWith("JsonRpcError", gone.client.callTool("regional"))).code, -32020)
      assert.deepStrictEqual(yield* gone.methods, ["tools/call", "tools/list"])
      const broken = yield* recording(() => [invalid], () => mismatch)
      yield* failedWith("InvalidToolCall", broken.client.callTool("invalid"))
      assert.deepStrictEqual(yield* broken.methods, ["tools/call", "tools/list"])
    }))

  it.scoped("a list that is still fresh will not do: the lookup asks the server", () =>
    Effect.gen(function*() {
      let tools = [tool("regional")]
      const subject = yield* connected("Modern", {
        "tools/list": () => result({ tools, ttlMs: 60_000, cacheScope: "public" }),
        "tools/call": (_, options) => regionOf(options) === "eu" ? result(text("right")) : mismatch
      })
      yield* listed(subject.client.tools)
      tools = [regional]
      yield* now(subject.client.callTool("regional", { region: "eu" }))
      assert.strictEqual((yield* subject.sent("tools/list")).length, 2)
    }))

  it.scoped("servers with sessions know no such thing", () =>
    Effect.gen(function*() {
      const headers: Array<unknown> = []
      const { client, methods } = yield* connected("Legacy", {
        "tools/list": result({ tools: [invalid, regional] }),
        "tools/call": (_, options) => {
          headers.push(options.headers)
          return mismatch
        }
      })
      assert.strictEqual((yield* listed(client.tools)).length, 2)
      yield* failedWith("JsonRpcError", client.callTool("regional", { region: "eu" }))
      yield* failedWith("JsonRpcError", client.callTool("invalid", { a: 1 }))
      assert.isTrue(headers.every((given) => given === undefined))
      assert.deepStrictEqual(yield* methods, ["tools/list", "tools/call", "tools/call"])
    }))

  it.scoped("parallel calls each have their own headers", () =>
    Effect.gen(function*() {
      const seen: Array<readonly [unknown, unknown]> = []
      const { client } = yield* connected("Modern", {
        "tools/list": result({ tools: [regional] }),
        "tools/call": ({ params }, options) => {
          const args: unknown = params?.arguments
          seen.push([
            typeof args === "object" && args !== null ? Reflect.get(args, "region") : undefined,
            regionOf(options)
          ])
          return result(text(""))
        }
      })
      yield* listed(client.tools)
      yield* Effect.forEach(
        Array.from({ length: 20 }, (_, index) => `r${index}`),
        (region) => client.callTool("regional", { region }),
        { concurrency: "unbounded" }
      )
      assert.strictEqual(seen.length, 20)
      for (const [argument, header] of seen) assert.strictEqual(header, argument)
    }))
})

describe("x-mcp-header over HTTP", () => {
  it.scopedLive("the headers arrive, and a HeaderMismatch with status 400 is found out and mended", () =>
    Effect.gen(function*() {
      const server = yield* ScriptedServer.makeLoopback((exchange) => {
        const { headers, message } = exchange
        const answer = (result: unknown) => exchange.json({ jsonrpc: "2.0", id: message?.id, result })
        if (message?.method === "server/discover") return answer(discoverResult({ tools: {} }))
        if (message?.method === "tools/list") return answer({ tools: [regional] })
        return headers["mcp-param-region"] === "eu" && headers["mcp-name"] === "regional"
          ? answer(text("right"))
          : exchange.json(
            { jsonrpc: "2.0", id: message?.id, error: { code: -32020, message: "HeaderMismatch" } },
            { status: 400 }
          )
      })
      const { content } = yield* Effect.flatMap(
        McpClient.McpClient,
        (client) => client.callTool("regional", { region: "eu" })
      ).pipe(Effect.provide(
        McpClient.layer({ clientInfo: { name: "test", version: "1" } }).pipe(
          Layer.provide(StreamableHttpTransport.layer({ url: server.url })),
          Layer.provide(FetchHttpClient.layer)
        )
      ))
      assert.deepStrictEqual<unknown>(content, text("right").content)
      const methods = (yield* server.arrivals).map(({ message }) => message?.method)
      assert.deepStrictEqual(methods, ["server/discover", "tools/call", "tools/list", "tools/call"])
    }))
})

describe("what is logged", () => {
  it.scoped("a tool that is left out, when nobody is told of it", () =>
    Effect.gen(function*() {
      const { client } = yield* connected("Modern", { "tools/list": result({ tools: [invalid, { name: 1 }] }) })
      const [tools, lines] = yield* logged(listed(client.tools))
      assert.deepStrictEqual(tools, [])
      assert.strictEqual(lines.filter((line) => line.startsWith("WARN")).length, 2)
      assert.include(lines.join("\n"), "invalid")
    }))
})
