/**
 * The client against `McpServer` of `@effect/ai` 0.37 over HTTP.
 *
 * This server answers `server/discover` by status 200 with an error whose code is 1, whose message is "A defect occurred",
 * and whose id is -32603: not the id of the request. That is no modern error, so it is an older server.
 */
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as Calls from "./calls.ts"
import { call, collect, connect, failureWith, listen, overBothStacks, sent, textOf } from "./clientCalls.ts"
import { effectAiServer } from "./effectAiServer.ts"

overBothStacks("@effect/ai", (stack) => {
  it.scopedLive("auto finds an older server, and calls its tools", () =>
    Effect.gen(function*() {
      const server = yield* effectAiServer
      yield* Effect.scoped(Effect.gen(function*() {
        const client = yield* connect(stack, server)
        assert.strictEqual(client.server.era, "Legacy")
        assert.strictEqual(client.server.protocolVersion, "2025-06-18")
        assert.strictEqual(client.server.name, "effect-ai-server")
        assert.deepStrictEqual(client.server.capabilities, {
          completions: {},
          prompts: { listChanged: true },
          resources: { subscribe: false, listChanged: true },
          tools: { listChanged: true }
        })
        const tools = yield* collect(client.tools)
        assert.deepStrictEqual(tools.map(({ name }) => name), ["add", "divide", "shout", "sleep"])
        assert.strictEqual(tools[0]?.annotations?.title, "Addition")
        assert.strictEqual(tools[0]?.annotations?.readOnlyHint, true)
        assert.deepStrictEqual(tools[0]?.inputSchema.required, ["a", "b"])

        const sum = yield* client.callTool("add", { a: 2, b: 3 })
        assert.deepStrictEqual(sum.structuredContent, { sum: 5 })
        assert.strictEqual(textOf(sum), "{\"sum\":5}")
        const decoded = yield* client.callTool("add", { a: 2, b: 40 }, { result: Schema.Struct({ sum: Schema.Int }) })
        assert.deepStrictEqual(decoded, { sum: 42 })
        const shouted = yield* client.callTool("shout", { text: "hello" }, { result: Schema.String })
        assert.strictEqual(shouted, "HELLO", "a text that is JSON is decoded")
        yield* client.ping
      }))
      const wire = yield* server.wire
      assert.deepStrictEqual(Calls.lines(wire).filter((line) => line !== "GET"), [
        "POST server/discover",
        ...Calls.handshakeLines,
        "POST tools/list",
        "POST tools/call",
        "POST tools/call",
        "POST tools/call",
        "POST ping"
      ])
      assert.isFalse(wire.some(({ headers }) => "mcp-session-id" in headers))
      assert.deepStrictEqual(
        wire.filter(({ method }) => method === "POST").slice(1).map(({ headers }) => headers["mcp-protocol-version"]),
        [undefined, ...Array.from({ length: 6 }, () => "2025-06-18")]
      )
    }))

  it.scopedLive("failures of tools, unknown tools and invalid arguments", () =>
    Effect.gen(function*() {
      const server = yield* effectAiServer
      const client = yield* connect(stack, server)
      const failed = yield* client.callTool("divide", { a: 1, b: 0 })
      assert.strictEqual(failed.isError, true)
      assert.deepStrictEqual(failed.structuredContent, { dividend: 1, _tag: "DivisionByZero" })
      const error = yield* failureWith(
        client.callTool("divide", { a: 1, b: 0 }, { failOnToolError: true }),
        "ToolError"
      )
      assert.include(error.message, "DivisionByZero")
      const invalid = yield* failureWith(client.callTool("add", { a: "1" }, { failOnToolError: true }), "ToolError")
      assert.include(invalid.message, "Failed to decode tool call parameters")
      const unknown = yield* failureWith(client.callTool("no-such-tool"), "JsonRpcError")
      assert.strictEqual(unknown.code, -32602)
      assert.strictEqual(unknown.outcome, "NotExecuted")
      assert.include(unknown.message, "'no-such-tool' not found")
    }))

  it.scopedLive("resources, a template, a prompt and completions", () =>
    Effect.gen(function*() {
      const server = yield* effectAiServer
      const client = yield* connect(stack, server)
      const [guide] = yield* collect(client.resources)
      assert.strictEqual(guide?.uri, "doc://guide")
      assert.strictEqual(guide?.mimeType, "text/plain")
      assert.deepStrictEqual(yield* client.readResource("doc://guide"), {
        contents: [{ uri: "doc://guide", text: "Read the pages." }]
      })
      const templates = yield* collect(client.resourceTemplates)
      assert.deepStrictEqual(templates.map(({ uriTemplate }) => uriTemplate), ["doc://page/{number}"])
      assert.deepStrictEqual((yield* client.readResource("doc://page/7")).contents, [
        { uri: "doc://page/7", text: "This is page 7." }
      ])
      const malformed = yield* failureWith(client.readResource("doc://page/seven"), "JsonRpcError")
      assert.strictEqual(malformed.code, -32602)
      const [translate] = yield* collect(client.prompts)
      assert.deepStrictEqual(translate?.arguments?.map(({ name, required }) => [name, required]), [
        ["language", true],
        ["text", true]
      ])
      const prompt = yield* client.getPrompt("translate", { language: "Deutsch", text: "hello" })
      assert.strictEqual(prompt.description, "Asks for a translation")
      assert.deepStrictEqual(prompt.messages, [
        { role: "user", content: { type: "text", text: "Translate into Deutsch: hello" } }
      ])
      const incomplete = yield* failureWith(client.getPrompt("translate", { language: "Deutsch" }), "JsonRpcError")
      assert.include(incomplete.message, "is missing")
      const language = yield* client.complete(
        { type: "ref/prompt", name: "translate" },
        { name: "language", value: "E" }
      )
      assert.deepStrictEqual(language.values, ["English", "Español"])
      const number = yield* client.complete(
        { type: "ref/resource", uri: "doc://page/{number}" },
        { name: "number", value: "" }
      )
      assert.deepStrictEqual(number, { values: ["1", "2", "3"], total: 3, hasMore: false })
    }))

  it.scopedLive("what it does not offer is not asked for", () =>
    Effect.gen(function*() {
      const server = yield* effectAiServer
      const client = yield* connect(stack, server)
      const before = (yield* sent(server)).length
      const level = yield* failureWith(client.setLogLevel("info"), "CapabilityMissing")
      assert.strictEqual(level.capability, "logging")
      const subscription = yield* failureWith(Stream.runDrain(client.subscribe("doc://guide")), "CapabilityMissing")
      assert.strictEqual(subscription.capability, "resources.subscribe")
      assert.strictEqual((yield* sent(server)).length, before)
      // It declares listChanged, but has no stream to tell it on: that is no failure.
      const changes = yield* listen(client.listChanges)
      assert.strictEqual(yield* call(client, "shout", { text: "still here" }), "\"STILL HERE\"")
      assert.isNull(changes.fiber.unsafePoll())
    }))

  it.scopedLive("a pinned version, and a verdict that is kept: no question is asked", () =>
    Effect.gen(function*() {
      const server = yield* effectAiServer
      const pinned = yield* connect(stack, server, { protocol: "2025-03-26" })
      assert.strictEqual(pinned.server.protocolVersion, "2025-03-26")
      const verdict = yield* pinned.verdict
      const again = yield* connect(stack, server, { verdict })
      assert.strictEqual(yield* call(again, "shout", { text: "again" }), "\"AGAIN\"")
      assert.notInclude((yield* sent(server)).map(({ method }) => method), "server/discover")
      const refused = yield* failureWith(connect(stack, server, { protocol: "2026-07-28" }), "NegotiationError")
      assert.deepStrictEqual(refused.requested, ["2026-07-28"])
      const newer = yield* failureWith(connect(stack, server, { protocol: "2025-11-25" }), "NegotiationError")
      assert.deepStrictEqual(newer.supported, ["2025-06-18"])
    }))

  it.scopedLive("an interrupted call and one that times out end at the server as well", () =>
    Effect.gen(function*() {
      const server = yield* effectAiServer
      const client = yield* connect(stack, server)
      const running = yield* Effect.fork(client.callTool("sleep"))
      yield* Calls.untilSeen(server, "it was called", ({ body }) => body.includes("\"sleep\""))
      assert.isTrue(Exit.isInterrupted(yield* Effect.timeout(Fiber.interrupt(running), "1 second")))
      yield* Calls.until("it was interrupted", Effect.map(server.interruptedCalls, (count) => count === 1))
      const error = yield* failureWith(client.callTool("sleep", {}, { timeout: "100 millis" }), "RequestTimeout")
      assert.strictEqual(error.kind, "Total")
      yield* Calls.until("both were interrupted", Effect.map(server.interruptedCalls, (count) => count === 2))
      const isTold = Effect.map(
        sent(server),
        (messages) => messages.filter(({ method }) => method === "notifications/cancelled").length === 2
      )
      yield* Calls.until("it was told of both", isTold)
      assert.strictEqual(yield* call(client, "shout", { text: "after" }), "\"AFTER\"")
    }))
})
