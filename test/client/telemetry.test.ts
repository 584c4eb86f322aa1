/**
 * Spans, trace context and metrics, after the OpenTelemetry conventions for MCP.
 */
import { McpClient, McpClientMetrics, TraceContext } from "@effect-mcp/client"
import * as ScriptedServer from "@effect-mcp/testing/ScriptedServer"
import * as TestTransport from "@effect-mcp/testing/TestTransport"
import { StreamableHttpTransport, TransportError } from "@effect-mcp/transport"
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import { recordSpans } from "../support/recordSpans.ts"
import {
  connected,
  type Era,
  eras,
  everything,
  initializeResult,
  metaOf,
  now,
  type Replies,
  settle,
  start,
  type SubjectOptions,
  text
} from "./support/calls.ts"

const { error, result } = TestTransport

/** A client whose tracer keeps its spans; what connecting did is not among them. */
const traced = (era: Era, replies: Replies = {}, options: SubjectOptions = {}) =>
  Effect.gen(function*() {
    const recorded = recordSpans()
    const subject = yield* connected(era, replies, options)
    const run = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E> => now(Effect.provide(effect, recorded.layer))
    return { ...subject, ...recorded, run }
  })

const attributesOf = ({ span }: ReturnType<typeof recordSpans>["spans"][number]) => Object.fromEntries(span.attributes)

const isTracing = (name: string) => name === "traceparent" || name === "tracestate" || name === "baggage"

const version = { Legacy: "2025-11-25", Modern: "2026-07-28" } as const

describe.each(eras)("spans, %s", (era) => {
  it.scoped("no tracer: nothing of a trace is sent, whatever the context says", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected(era, { "tools/call": result(text("")), "x/y": result({}) })
      yield* now(
        client.callTool("a").pipe(
          Effect.withSpan("mine"),
          Effect.provideService(TraceContext.TraceContext, { tracestate: "a=b", baggage: "c=d" })
        )
      )
      yield* now(client.request("x/y"))
      for (const message of yield* server.sent) {
        assert.deepStrictEqual(Object.keys(metaOf(message)).filter(isTracing), [])
      }
      const bare = (yield* server.sent).find((message) => "method" in message && message.method === "x/y")
      if (era === "Legacy") assert.notProperty(bare, "params")
    }))

  it.scoped("a tracer that is switched off is none", () =>
    Effect.gen(function*() {
      const { client, run, sent, spans } = yield* traced(era, { "x/y": result({}) })
      yield* run(Effect.withTracerEnabled(client.request("x/y"), false))
      assert.deepStrictEqual(spans, [])
      assert.notProperty(metaOf((yield* sent("x/y"))[0]), "traceparent")
    }))

  it.scoped("the name, the kind and the attributes of each operation", () =>
    Effect.gen(function*() {
      const { client, run, sent, spans } = yield* traced(era, {
        "tools/call": result(text("")),
        "prompts/get": result({ messages: [] }),
        "resources/read": result({ contents: [] }),
        "tools/list": result({ tools: [] }),
        "x/y": result({})
      })
      yield* run(client.callTool("a tool"))
      yield* run(client.getPrompt("a prompt"))
      yield* run(client.readResource("file:///a"))
      yield* run(Stream.runDrain(client.tools))
      yield* run(client.request("x/y"))
      yield* run(Stream.runDrain(client.callToolStream("streamed")))
      assert.deepStrictEqual(
        spans.map(({ span }) => span.name),
        ["tools/call a tool", "prompts/get a prompt", "resources/read", "tools/list", "x/y", "tools/call streamed"]
      )
      const messages = yield* sent()
      const common = (index: number, method: string) => {
        const message = messages[index]
        return {
          "mcp.method.name": method,
          "mcp.protocol.version": version[era],
          "jsonrpc.request.id": message !== undefined && "id" in message ? String(message.id) : ""
        }
      }
      const tool = (name: string) => ({ "gen_ai.tool.name": name, "gen_ai.operation.name": "execute_tool" })
      assert.deepStrictEqual<unknown>(spans.map(attributesOf), [
        { ...common(0, "tools/call"), ...tool("a tool") },
        { ...common(1, "prompts/get"), "gen_ai.prompt.name": "a prompt" },
        { ...common(2, "resources/read"), "mcp.resource.uri": "file:///a" },
        common(3, "tools/list"),
        common(4, "x/y"),
        { ...common(5, "tools/call"), ...tool("streamed") }
      ])
      for (const { span } of spans) {
        assert.strictEqual(span.kind, "client")
        assert(span.status._tag === "Ended")
        assert.isTrue(Exit.isSuccess(span.status.exit))
      }
    }))

  it.scoped("traceparent is that of the span, whose parent is the caller's", () =>
    Effect.gen(function*() {
      const { client, named, run, sent } = yield* traced(era, { "tools/call": result(text("")) })
      yield* run(
        client.callTool("a", {}, { meta: { mine: 1, traceparent: "forged" } }).pipe(
          Effect.withSpan("mine"),
          Effect.provideService(TraceContext.TraceContext, { tracestate: "vendor=1", baggage: "tenant=blue" })
        )
      )
      const [call] = named("tools/call a")
      const [mine] = named("mine")
      assert(call !== undefined && mine !== undefined)
      assert.strictEqual(call.parent, mine.span.spanId)
      assert.strictEqual(call.span.traceId, mine.span.traceId)
      const meta = metaOf((yield* sent("tools/call"))[0])
      assert.strictEqual(meta.traceparent, `00-${call.span.traceId}-${call.span.spanId}-01`)
      assert.strictEqual(meta.tracestate, "vendor=1")
      assert.strictEqual(meta.baggage, "tenant=blue")
      assert.strictEqual(meta.mine, 1)
    }))

  it.scoped("without a TraceContext there is a traceparent only", () =>
    Effect.gen(function*() {
      const { client, run, sent } = yield* traced(era, { "x/y": result({}) })
      yield* run(client.request("x/y"))
      assert.deepStrictEqual(Object.keys(metaOf((yield* sent("x/y"))[0])).filter(isTracing), ["traceparent"])
    }))

  it.scoped("Effect's own spans make a well-formed traceparent", () =>
    Effect.gen(function*() {
      // A tracer that is not the default one, with the ids of the default one.
      const { client, sent } = yield* connected(era, { "x/y": result({}) })
      const native = yield* Effect.tracer
      const tracer = { ...native, span: native.span, context: native.context }
      yield* now(Effect.withTracer(client.request("x/y"), tracer))
      const { traceparent } = metaOf((yield* sent("x/y"))[0])
      assert.match(String(traceparent), /^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/)
    }))

  interface Failure {
    readonly name: string
    readonly reply: TestTransport.Reply
    readonly type: string
    readonly code?: string
  }
  const failures: ReadonlyArray<Failure> = [
    { name: "a JSON-RPC error", reply: error({ code: -32602, message: "" }), type: "-32602", code: "-32602" },
    {
      name: "an error of the transport",
      reply: TestTransport.fail(
        new TransportError.HttpStatusError({ method: "POST", status: 500, outcome: "Unknown" })
      ),
      type: "HttpStatusError"
    },
    { name: "a tool that reports its failure", reply: result({ ...text("no"), isError: true }), type: "tool_error" },
    { name: "a timeout", reply: TestTransport.never, type: "RequestTimeout" }
  ]
  it.scoped.each(failures)("error.type of $name is $type", ({ code, reply, type }) =>
    Effect.gen(function*() {
      const { client, layer, named } = yield* traced(era, { "tools/call": reply })
      const calling = yield* start(Effect.provide(Effect.exit(client.callTool("a", {}, { timeout: 10 })), layer))
      yield* TestClock.adjust(10)
      yield* now(Fiber.join(calling))
      const [call] = named("tools/call a")
      assert(call !== undefined)
      assert.strictEqual(attributesOf(call)["error.type"], type)
      assert.strictEqual(attributesOf(call)["rpc.response.status_code"], code)
      assert(call.span.status._tag === "Ended")
      assert.isTrue(Exit.isFailure(call.span.status.exit), "the span has failed")
    }))

  it.scoped("a call that is interrupted says so, and its span ends", () =>
    Effect.gen(function*() {
      const { client, layer, named } = yield* traced(era)
      const calling = yield* start(Effect.provide(client.callTool("a"), layer))
      yield* now(Fiber.interrupt(calling))
      const [call] = named("tools/call a")
      assert(call !== undefined)
      assert.strictEqual(attributesOf(call)["error.type"], "interrupted")
      assert.strictEqual(call.span.status._tag, "Ended")
    }))

  it.scoped("each call of many has its own span, ended, with the id of its request", () =>
    Effect.gen(function*() {
      const { client, run, sent, spans } = yield* traced(era, { "x/y": result({}) })
      yield* run(Effect.forEach(
        Array.from({ length: 50 }),
        () => client.request("x/y"),
        { concurrency: "unbounded", discard: true }
      ))
      assert.strictEqual(new Set(spans.map(({ span }) => span.spanId)).size, 50)
      const byId = new Map(
        spans.map((recorded) => [attributesOf(recorded)["jsonrpc.request.id"], recorded.span.spanId])
      )
      for (const message of yield* sent("x/y")) {
        const spanId = "id" in message ? byId.get(String(message.id)) : undefined
        assert.include(String(metaOf(message).traceparent), spanId ?? "no span")
      }
    }))
})

describe("connecting", () => {
  it.scoped("has spans too", () =>
    Effect.gen(function*() {
      const recorded = recordSpans()
      yield* Effect.provide(connected("Legacy"), recorded.layer)
      yield* Effect.provide(connected("Modern"), recorded.layer)
      const names = recorded.spans.map(({ span }) => span.name)
      assert.includeMembers(names, ["initialize", "server/discover"])
    }))
})

describe("the transport's span", () => {
  it.scopedLive("is a child of the call's", () =>
    Effect.gen(function*() {
      const recorded = recordSpans()
      const server = yield* ScriptedServer.makeLoopback((exchange) => {
        const { message, method } = exchange
        if (method === "GET") return exchange.status(405)
        if (method === "DELETE") return exchange.status(200)
        if (message?.method === "initialize") {
          return exchange.json({ jsonrpc: "2.0", id: message.id, result: initializeResult("2025-11-25", everything) })
        }
        return message?.id === undefined
          ? exchange.status(202)
          : exchange.json({ jsonrpc: "2.0", id: message.id, result: text("") })
      })
      yield* Effect.gen(function*() {
        const client = yield* McpClient.McpClient
        yield* client.callTool("a")
      }).pipe(
        Effect.provide(
          McpClient.layer({ clientInfo: { name: "test", version: "1" }, protocol: "2025-11-25" }).pipe(
            Layer.provide(StreamableHttpTransport.layer({ url: server.url })),
            Layer.provide(FetchHttpClient.layer)
          )
        ),
        Effect.provide(recorded.layer)
      )
      const [call] = recorded.named("tools/call a")
      assert(call !== undefined)
      const children = recorded.spans.filter(({ parent }) => parent === call.span.spanId)
      assert.isAtLeast(children.length, 1, recorded.text())
      assert.isTrue(children.every(({ span }) => span.traceId === call.span.traceId))
    }))
})

describe("metrics", () => {
  const durations = (method: string, type?: string) => {
    const ofMethod = Metric.tagged(McpClientMetrics.operationDuration, "mcp.method.name", method)
    return Metric.value(type === undefined ? ofMethod : Metric.tagged(ofMethod, "error.type", type))
  }

  it.scoped("the duration of an operation, by method and by type of error", () =>
    Effect.gen(function*() {
      const method = "test/duration"
      const { client } = yield* connected("Modern", {
        [method]: ({ params }) =>
          params?.fails === true ? error({ code: -7, message: "" }) : Effect.as(Effect.sleep("3 seconds"), result({}))
      })
      const before = yield* durations(method)
      const calling = yield* start(client.request(method))
      yield* TestClock.adjust("3 seconds")
      yield* now(Fiber.join(calling))
      yield* now(Effect.exit(client.request(method, { fails: true })))
      const limited = yield* start(Effect.exit(client.request(method, {}, { timeout: "1 second" })))
      yield* TestClock.adjust("1 second")
      yield* now(Fiber.join(limited))
      const after = yield* durations(method)
      assert.strictEqual(after.count - before.count, 1)
      assert.closeTo(after.sum - before.sum, 3, 0.001)
      assert.strictEqual((yield* durations(method, "-7")).count, 1)
      const timeouts = yield* durations(method, "RequestTimeout")
      assert.strictEqual(timeouts.count, 1)
      assert.closeTo(timeouts.sum, 1, 0.001)
    }))

  it.scoped("a tool that reports its failure counts as one", () =>
    Effect.gen(function*() {
      const before = yield* durations("tools/call", "tool_error")
      const { client } = yield* connected("Modern", { "tools/call": result({ ...text("no"), isError: true }) })
      yield* now(client.callTool("a"))
      assert.strictEqual((yield* durations("tools/call", "tool_error")).count - before.count, 1)
    }))

  it.scoped("how long a client was connected, and how often a session was replaced", () =>
    Effect.gen(function*() {
      const sessions = yield* Metric.value(McpClientMetrics.sessionDuration)
      const recoveries = yield* Metric.value(McpClientMetrics.recoveries)
      const { client, close, server } = yield* connected("Legacy")
      yield* TestClock.adjust("10 seconds")
      yield* server.terminateByServer
      yield* now(client.ping)
      yield* settle
      assert.strictEqual((yield* Metric.value(McpClientMetrics.recoveries)).count - recoveries.count, 1)
      yield* now(close)
      const after = yield* Metric.value(McpClientMetrics.sessionDuration)
      assert.strictEqual(after.count - sessions.count, 1)
      assert.closeTo(after.sum - sessions.sum, 10, 0.001)
    }))
})
