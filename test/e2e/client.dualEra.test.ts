/**
 * The client against version 2 of the official SDK, which serves 2026-07-28 and older clients at the same address.
 */
import { Elicitation, type McpClient, ReplayPolicy, RequestRejected, Roots, Sampling } from "@effect-mcp/client"
import { FaultProxy } from "@effect-mcp/testing"
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as Calls from "./calls.ts"
import {
  call,
  collect,
  connect,
  failureOf,
  failureWith,
  listen,
  metaOf,
  overBothStacks,
  sent,
  textOf,
  untilSent
} from "./clientCalls.ts"
import { modernServer } from "./modernServer.ts"
import * as Servers from "./servers.ts"

const modern = "2026-07-28"

/** Answers everything, and keeps what it was asked. */
const answering = (
  options: { readonly form?: Elicitation.ElicitResult; readonly url?: Elicitation.ElicitResult } = {}
) => {
  const asked: Array<string> = []
  const note = (what: string) => Effect.sync(() => void asked.push(what))
  const services = Layer.mergeAll(
    Elicitation.layer({
      form: (params) =>
        Effect.as(note(params.message), options.form ?? Elicitation.accept(Elicitation.defaults(params))),
      url: (params) => Effect.as(note(`${params.message} ${params.url}`), options.url ?? Elicitation.accept())
    }),
    Sampling.layer({
      createMessage: ({ messages, systemPrompt }) =>
        Effect.as(note(`${systemPrompt} ${JSON.stringify(messages[0]?.content)}`), {
          role: "assistant" as const,
          content: { type: "text" as const, text: "In short." },
          model: "tiny"
        })
    }),
    Roots.layer({ list: Effect.as(note("roots"), [{ uri: "file:///home/ada", name: "home" }]) })
  )
  return { asked, services }
}

/** No session, no notification, no GET, and the headers say what the body says. */
const assertStateless = (server: Servers.TestServer) =>
  Effect.gen(function*() {
    assert.deepStrictEqual((yield* server.wire).filter(({ method }) => method !== "POST"), [])
    for (const message of yield* sent(server)) {
      const { headers } = message.exchange
      assert.isDefined(message.id)
      assert.notProperty(headers, "mcp-session-id")
      assert.strictEqual(headers["mcp-protocol-version"], modern)
      assert.strictEqual(headers["mcp-method"], message.method)
      assert.strictEqual(metaOf(message)["io.modelcontextprotocol/protocolVersion"], modern)
      assert.deepStrictEqual(metaOf(message)["io.modelcontextprotocol/clientInfo"], {
        name: "end-to-end",
        version: "1.0.0"
      })
    }
  })

const toolCalls = (server: Servers.TestServer) =>
  Effect.map(sent(server), (messages) => messages.filter(({ method }) => method === "tools/call"))

const namesOf = (client: McpClient.Service) =>
  Effect.map(collect(client.tools), (tools) => tools.map(({ name }) => name))

overBothStacks("which era", (stack) => {
  it.scopedLive("auto picks 2026-07-28; the verdict saves the question", () =>
    Effect.gen(function*() {
      const server = yield* modernServer()
      const client = yield* connect(stack, server)
      const { capabilities, era, info, instructions, name, protocolVersion, version } = client.server
      assert.deepStrictEqual({ era, name, protocolVersion, version }, {
        era: "Modern",
        name: "modern-server",
        protocolVersion: modern,
        version: "1.0.0"
      })
      assert.strictEqual(info?.title, "Modern")
      assert.strictEqual(instructions, "Ask for the weather.")
      assert.deepStrictEqual(capabilities.tools, { listChanged: true })
      const verdict = JSON.parse(JSON.stringify(yield* client.verdict))
      const again = yield* connect(stack, server, { verdict })
      assert.deepStrictEqual(again.server, client.server)
      assert.include(yield* call(again, "weather", { city: "Rome" }), "\"celsius\":4")
      assert.deepStrictEqual(
        (yield* sent(server)).map(({ method }) => method).slice(0, 2),
        ["server/discover", "tools/call"]
      )
      yield* client.ping
      yield* assertStateless(server)
    }))

  it.scopedLive("a pinned 2025-11-25 works on the same server", () =>
    Effect.gen(function*() {
      const server = yield* modernServer()
      const client = yield* connect(stack, server, { protocol: "2025-11-25" })
      assert.strictEqual(client.server.era, "Legacy")
      assert.strictEqual(client.server.name, "modern-server")
      assert.include(yield* namesOf(client), "unusable", "x-mcp-header means nothing to this era")
      assert.deepStrictEqual(yield* client.callTool("weather", { city: "Rome" }, { result: Schema.Unknown }), {
        celsius: 4,
        conditions: "sunny"
      })
      const steps: Array<number> = []
      const done = yield* call(client, "work", { steps: 3 }, {
        onProgress: ({ progress }) => Effect.sync(() => void steps.push(progress))
      })
      assert.strictEqual(done, "3 steps done")
      assert.deepStrictEqual(steps, [1, 2, 3])
      assert.strictEqual((yield* client.readResource("doc://guide")).contents.length, 1)
      assert.strictEqual((yield* client.readResource("doc://guide")).contents.length, 1)
      yield* client.ping
      const wire = yield* sent(server)
      assert.notInclude(wire.map(({ method }) => method), "server/discover")
      assert.isFalse(
        wire.some(({ exchange }) => "mcp-session-id" in exchange.headers || "mcp-method" in exchange.headers)
      )
      assert.strictEqual(wire.filter(({ method }) => method === "resources/read").length, 2, "nothing is kept")
    }))

  it.scopedLive("a server of the new era only: auto is fine, a pinned 2025-11-25 names what it supports", () =>
    Effect.gen(function*() {
      const server = yield* Servers.dualEraServer({ legacy: "reject" })
      const client = yield* connect(stack, server)
      assert.strictEqual(client.server.protocolVersion, modern)
      assert.strictEqual(yield* call(client, "add", { a: 2, b: 3 }), "5")
      const error = yield* failureWith(connect(stack, server, { protocol: "2025-11-25" }), "NegotiationError")
      assert.deepStrictEqual(error.requested, ["2025-11-25"])
      assert.deepStrictEqual(error.supported, [modern])
      const pinned = yield* connect(stack, server, { protocol: modern })
      assert.strictEqual(yield* call(pinned, "echo", { text: "pinned" }), "pinned")
    }))

  for (const legacy of ["stateless", "reject"] as const) {
    it.scopedLive(`an out-of-date verdict of the older era is found out (legacy: ${legacy})`, () =>
      Effect.gen(function*() {
        const older = yield* Servers.sdkServer()
        const verdict = yield* Effect.flatMap(connect(stack, older), (client) => client.verdict)
        assert.strictEqual(verdict.era, "Legacy")
        const server = yield* Servers.dualEraServer({ legacy })
        const client = yield* connect(stack, server, { verdict })
        // A server that still speaks the older era is not asked for more.
        assert.strictEqual(client.server.era, legacy === "reject" ? "Modern" : "Legacy")
        assert.strictEqual(yield* call(client, "echo", { text: "found" }), "found")
      }))
  }

  it.scopedLive("an out-of-date verdict of the new era: the call that finds it out is answered", () =>
    Effect.gen(function*() {
      const newer = yield* Servers.dualEraServer()
      const verdict = yield* Effect.flatMap(connect(stack, newer), (client) => client.verdict)
      const server = yield* Servers.sdkServer()
      const client = yield* connect(stack, server, { verdict })
      assert.strictEqual(client.server.era, "Modern")
      assert.strictEqual(yield* call(client, "echo", { text: "hello" }), "hello")
      assert.strictEqual(client.server.era, "Legacy")
      assert.strictEqual(client.server.name, "sdk-server")
      assert.strictEqual((yield* client.verdict).era, "Legacy")
    }))
})

overBothStacks("calls", (stack) => {
  it.scopedLive("lists and calls; structured content is validated and decoded", () =>
    Effect.gen(function*() {
      const server = yield* modernServer()
      const client = yield* connect(stack, server, { onInvalidItem: () => Effect.void })
      const tools = yield* collect(client.tools)
      const weather = tools.find(({ name }) => name === "weather")
      assert.strictEqual(weather?.title, "Weather")
      assert.deepStrictEqual(weather?.annotations, { readOnlyHint: true, openWorldHint: false })
      assert.deepStrictEqual(weather?._meta, { "example.com/price": 0 })
      assert.isDefined(weather?.outputSchema)
      const Weather = Schema.Struct({ celsius: Schema.Number, conditions: Schema.Literal("sunny", "cloudy") })
      assert.deepStrictEqual(yield* client.callTool("weather", { city: "Paris" }, { result: Weather }), {
        celsius: 5,
        conditions: "sunny"
      })
      const other = Schema.Struct({ celsius: Schema.String })
      const error = yield* failureWith(client.callTool("weather", { city: "Rome" }, { result: other }), "DecodeError")
      assert.strictEqual(error.reason, "ResultSchema")
      assert.deepStrictEqual(error.path, ["celsius"])
      const failed = yield* failureWith(client.callTool("fail", {}, { failOnToolError: true }), "ToolError")
      assert.include(failed.message, "it is broken")
      const invalid = yield* client.callTool("weather", { city: 7 })
      assert.strictEqual(invalid.isError, true)
      const unknown = yield* failureWith(client.callTool("no-such-tool"), "JsonRpcError")
      assert.strictEqual(unknown.code, -32602)
      const extension = yield* failureWith(client.request("example.com/unknown", { a: 1 }), "JsonRpcError")
      assert.strictEqual(extension.code, -32601)
      yield* assertStateless(server)
    }))

  it.scopedLive("structured content that is not what the tool was listed with", () =>
    Effect.gen(function*() {
      const server = yield* modernServer()
      const client = yield* connect(stack, server, { onInvalidItem: () => Effect.void })
      yield* Stream.runDrain(client.tools)
      yield* server.changeWeather
      const error = yield* failureWith(client.callTool("weather", { city: "Rome" }), "DecodeError")
      assert.strictEqual(error.reason, "StructuredContent")
      assert.deepStrictEqual(error.path, ["celsius"])
      assert.strictEqual(error.outcome, "Unknown")
      yield* Stream.runDrain(client.tools)
      assert.include(yield* call(client, "weather", { city: "Rome" }), "4 °C")
    }))

  it.scopedLive("progress and logs come in order and before the result, by the level of each request", () =>
    Effect.gen(function*() {
      const server = yield* modernServer()
      const client = yield* connect(stack, server)
      const events = (level: string) =>
        Effect.map(collect(client.callToolStream("work", { steps: 2 })), (events) => {
          assert.strictEqual(events.at(-1)?._tag, "Result", level)
          return events.map((event) => {
            switch (event._tag) {
              case "Progress":
                return `${event.progress.progress}/${event.progress.total} ${event.progress.message}`
              case "Log":
                return `${event.message.level} ${event.message.logger} ${JSON.stringify(event.message.data)}`
              case "Result":
                return textOf(event.result)
            }
          })
        })
      assert.deepStrictEqual(yield* events("none"), ["1/2 step 1", "2/2 step 2", "2 steps done"])
      yield* client.setLogLevel("info")
      const logs = yield* listen(client.logs)
      assert.deepStrictEqual(yield* events("info"), [
        "info work {\"step\":1}",
        "1/2 step 1",
        "info work {\"step\":2}",
        "2/2 step 2",
        "2 steps done"
      ])
      yield* logs.atLeast(2)
      yield* client.setLogLevel("debug")
      assert.strictEqual((yield* events("debug")).length, 7)
      assert.deepStrictEqual((yield* logs.atLeast(6)).map(({ level }) => level), [
        "info",
        "info",
        "debug",
        "info",
        "debug",
        "info"
      ])
      const levels = (yield* toolCalls(server)).map((message) => metaOf(message)["io.modelcontextprotocol/logLevel"])
      assert.deepStrictEqual(levels, [undefined, "info", "debug"])
      assert.notInclude((yield* sent(server)).map(({ method }) => method), "logging/setLevel")
      yield* assertStateless(server)
    }))

  it.scopedLive("the level given as an option goes with the first request, and onLog gets the messages of its call", () =>
    Effect.gen(function*() {
      const server = yield* modernServer()
      const client = yield* connect(stack, server, { logLevel: "info" })
      const mine: Array<unknown> = []
      yield* client.callTool("work", { steps: 1 }, { onLog: ({ data }) => Effect.sync(() => void mine.push(data)) })
      assert.deepStrictEqual(mine, [{ step: 1 }])
    }))

  it.scopedLive("interrupting a call closes its stream, and the server stops; a timeout does the same", () =>
    Effect.gen(function*() {
      const server = yield* modernServer()
      const client = yield* connect(stack, server)
      const started = yield* Effect.makeLatch()
      const doomed = yield* Effect.fork(
        client.callTool("work", { steps: 10_000, delayMs: 5 }, { onProgress: () => started.open })
      )
      const other = yield* Effect.fork(call(client, "work", { steps: 20, delayMs: 10 }))
      yield* Effect.timeout(started.await, "3 seconds")
      assert.isTrue(Exit.isInterrupted(yield* Effect.timeout(Fiber.interrupt(doomed), "1 second")))
      yield* Calls.until("it was cancelled", Effect.map(server.cancelledCalls, (count) => count === 1))
      assert.strictEqual(yield* Fiber.join(other), "20 steps done")

      const quiet = yield* failureWith(
        client.callTool("work", { steps: 1, delayMs: 60_000 }, { idleTimeout: "100 millis" }),
        "RequestTimeout"
      )
      assert.strictEqual(quiet.kind, "Idle")
      const long = yield* failureWith(
        client.callTool("work", { steps: 10_000, delayMs: 5 }, {
          timeout: "200 millis",
          onProgress: () => Effect.void
        }),
        "RequestTimeout"
      )
      assert.strictEqual(long.kind, "Total")
      const taken = yield* client.callToolStream("work", { steps: 10_000, delayMs: 5 }).pipe(Stream.take(2), collect)
      assert.deepStrictEqual(taken.map(({ _tag }) => _tag), ["Progress", "Progress"])
      yield* Calls.until("all were cancelled", Effect.map(server.cancelledCalls, (count) => count === 4))
      assert.strictEqual(yield* call(client, "work", { steps: 0 }), "0 steps done")
      yield* assertStateless(server)
    }))

  it.scopedLive("closing the client cancels what runs", () =>
    Effect.gen(function*() {
      const server = yield* modernServer()
      const running = yield* Effect.scoped(Effect.gen(function*() {
        const client = yield* connect(stack, server)
        const started = yield* Effect.makeLatch()
        const running = yield* Effect.forkDaemon(Effect.exit(
          client.callTool("work", { steps: 10_000, delayMs: 5 }, { onProgress: () => started.open })
        ))
        yield* started.await
        return running
      }))
      const exit = yield* Effect.timeout(Fiber.join(running), "2 seconds")
      assert.isTrue(Exit.isFailure(exit))
      yield* Calls.until("it was cancelled", Effect.map(server.cancelledCalls, (count) => count === 1))
    }))

  it.scopedLive("arguments in headers, as the definition asks for", () =>
    Effect.gen(function*() {
      const server = yield* modernServer()
      const reported: Array<McpClient.InvalidItem> = []
      const client = yield* connect(stack, server, {
        onInvalidItem: (item) => Effect.sync(() => void reported.push(item))
      })
      const tools = yield* namesOf(client)
      assert.notInclude(tools, "unusable")
      assert.deepStrictEqual(reported.map(({ list, name }) => ({ list, name })), [{ list: "tools", name: "unusable" }])
      const refused = yield* failureWith(client.callTool("unusable", { value: "x" }), "InvalidToolCall")
      assert.strictEqual(refused.outcome, "NotExecuted")

      const everything = { region: "Köln", shard: 12, isUrgent: false, text: "not in a header" }
      assert.deepStrictEqual(JSON.parse(yield* call(client, "region", everything)), everything)
      assert.deepStrictEqual(JSON.parse(yield* call(client, "region", { region: " eu west " })), {
        region: " eu west "
      })
      assert.deepStrictEqual(JSON.parse(yield* call(client, "region", { region: "" })), { region: "" })
      assert.deepStrictEqual(JSON.parse(yield* call(client, "region", { region: "us-east 1" })), {
        region: "us-east 1"
      })
      const headers = (yield* toolCalls(server)).map(({ exchange }) => ({
        region: exchange.headers["mcp-param-region"],
        shard: exchange.headers["mcp-param-shard"],
        urgent: exchange.headers["mcp-param-urgent"]
      }))
      const encoded = (value: string) => `=?base64?${Buffer.from(value, "utf8").toString("base64")}?=`
      assert.deepStrictEqual(headers, [
        { region: encoded("Köln"), shard: "12", urgent: "false" },
        { region: encoded(" eu west "), shard: undefined, urgent: undefined },
        { region: encoded(""), shard: undefined, urgent: undefined },
        { region: "us-east 1", shard: undefined, urgent: undefined }
      ])
    }))

  it.scopedLive("a tool that was never listed: one refusal, one look at the list, one more call", () =>
    Effect.gen(function*() {
      const server = yield* modernServer()
      const client = yield* connect(stack, server, { onInvalidItem: () => Effect.void })
      assert.include(yield* call(client, "region", { region: "eu" }), "\"eu\"")
      assert.deepStrictEqual((yield* sent(server)).map(({ method }) => method), [
        "server/discover",
        "tools/call",
        "tools/list",
        "tools/call"
      ])
      // The definition changes behind the client's back.
      yield* server.renameHeader
      assert.include(yield* call(client, "region", { region: "us" }), "\"us\"")
      const calls = yield* toolCalls(server)
      assert.deepStrictEqual(calls.map(({ exchange }) => exchange.status), [400, 200, 400, 200])
      assert.strictEqual(calls.at(-1)?.exchange.headers["mcp-param-area"], "us")
      assert.notProperty(calls.at(-1)?.exchange.headers, "mcp-param-region")
    }))
})

overBothStacks("input required", (stack) => {
  it.scopedLive("a form: accepted, declined, cancelled; the state comes back as it was given", () =>
    Effect.gen(function*() {
      const server = yield* modernServer()
      const { asked, services } = answering()
      const accepting = yield* connect(stack, server, { services })
      assert.strictEqual(yield* call(accepting, "confirm", { what: "delete" }), "delete: {\"isSure\":true}")
      assert.deepStrictEqual(asked, ["Really delete?"])
      const [first, second] = yield* toolCalls(server)
      assert.notStrictEqual(first?.id, second?.id)
      assert.deepStrictEqual(second?.params?.arguments, { what: "delete" })
      assert.deepStrictEqual(second?.params?.inputResponses, {
        confirmation: { action: "accept", content: { isSure: true } }
      })
      assert.deepStrictEqual(yield* server.states, [{ round: 1 }], "the server has verified its signature")
      assert.deepStrictEqual(metaOf(first)["io.modelcontextprotocol/clientCapabilities"], {
        elicitation: { form: {}, url: {} },
        sampling: {},
        roots: {}
      })
      const declining = yield* connect(stack, server, answering({ form: Elicitation.decline }))
      assert.strictEqual(yield* call(declining, "confirm", { what: "delete" }), "delete: decline")
      const away = yield* connect(stack, server, answering({ form: Elicitation.cancel }))
      assert.strictEqual(yield* call(away, "confirm", { what: "delete" }), "delete: cancel")
    }))

  it.scopedLive("a page, a model, the roots, and all at once", () =>
    Effect.gen(function*() {
      const server = yield* modernServer()
      const { asked, services } = answering()
      const client = yield* connect(stack, server, { services })
      assert.strictEqual(
        yield* call(client, "visit", { url: "https://example.com/login?a=b" }),
        "https://example.com/login?a=b: accept"
      )
      const summary = yield* call(client, "summarize", { text: "a long text" })
      assert.strictEqual(summary, "tiny: {\"type\":\"text\",\"text\":\"In short.\"}")
      assert.strictEqual(yield* call(client, "roots"), "home file:///home/ada")
      assert.deepStrictEqual(asked, [
        "Please sign in. https://example.com/login?a=b",
        "Be short. {\"type\":\"text\",\"text\":\"Summarize: a long text\"}",
        "roots"
      ])
      assert.deepStrictEqual((yield* call(client, "everything")).split("\n"), [
        "{\"name\":\"Ada\"}",
        "tiny: {\"type\":\"text\",\"text\":\"In short.\"}",
        "home file:///home/ada"
      ])
      yield* assertStateless(server)
    }))

  it.scopedLive("several rounds, rounds with nothing but a state, many calls at once, and a bound", () =>
    Effect.gen(function*() {
      const server = yield* modernServer()
      const { asked, services } = answering()
      const client = yield* connect(stack, server, { services, maxInputRounds: 4 })
      assert.strictEqual(yield* call(client, "rounds", { count: 3 }), "3 rounds, at last name 3")
      assert.deepStrictEqual(asked, ["Name number 1?", "Name number 2?", "Name number 3?"])
      assert.strictEqual(yield* call(client, "later", { rounds: 2 }), "after 2 rounds")
      const texts = yield* Effect.forEach(
        Calls.range(1, 20),
        (n) => call(client, "confirm", { what: `number ${n}` }),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(texts, Calls.range(1, 20).map((n) => `number ${n}: {"isSure":true}`))
      const error = yield* failureWith(client.callTool("rounds", { count: 5 }), "InputRequiredError")
      assert.strictEqual(error.reason, "TooManyRounds")
      assert.strictEqual(yield* call(client, "rounds", { count: 4 }), "4 rounds, at last name 4")
    }))

  it.scopedLive("prompts and resources ask as well; an answer that depends on it is not kept", () =>
    Effect.gen(function*() {
      const server = yield* modernServer()
      const { asked, services } = answering()
      const client = yield* connect(stack, server, { services })
      const prompt = yield* client.getPrompt("personal")
      assert.deepStrictEqual(prompt.messages[0]?.content, { type: "text", text: "Greet Ada." })
      const secret = { uri: "doc://secret", text: "the secret of Ada" }
      assert.deepStrictEqual((yield* client.readResource("doc://secret")).contents, [secret])
      assert.deepStrictEqual((yield* client.readResource("doc://secret")).contents, [secret])
      assert.deepStrictEqual(asked, ["What is your name?", "Who wants to know?", "Who wants to know?"])
    }))

  it.scopedLive("on the same server, a client of 2025-11-25 cannot be asked: the call fails, and does not hang", () =>
    Effect.gen(function*() {
      const server = yield* modernServer()
      const { asked, services } = answering()
      const client = yield* connect(stack, server, { protocol: "2025-11-25", services })
      const error = yield* failureWith(
        client.callTool("confirm", { what: "delete" }, { failOnToolError: true, timeout: "5 seconds" }),
        "ToolError"
      )
      assert.include(error.message, "capabilit")
      assert.deepStrictEqual(asked, [])
    }))

  it.scopedLive("what the client does not offer is refused by the server; what the user refuses fails the call", () =>
    Effect.gen(function*() {
      const server = yield* modernServer()
      const bare = yield* connect(stack, server)
      const missing = yield* failureWith(bare.callTool("roots"), "JsonRpcError")
      assert.strictEqual(missing.code, -32021)
      const rejecting = yield* connect(stack, server, {
        services: Sampling.layer({
          createMessage: () => Effect.fail(RequestRejected.make({ code: -1, message: "not today" }))
        })
      })
      const error = yield* failureWith(rejecting.callTool("summarize", { text: "x" }), "InputRequiredError")
      assert.strictEqual(error.reason, "Rejected")
      assert.strictEqual(error.key, "summary")
      assert.include(error.message, "not today")
    }))
})

overBothStacks("faults", (stack) => {
  /** A proxy that cuts the first request of a method, after so many events or bytes. */
  const cutting = (server: Servers.TestServer, method: string, after: FaultProxy.Position) =>
    Effect.suspend(() => {
      let isCut = false
      return FaultProxy.make({
        target: server.url,
        faults: ({ headers }) => {
          if (isCut || headers["mcp-method"] !== method) return []
          isCut = true
          return [FaultProxy.cut({ after })]
        }
      })
    })

  it.scopedLive("a list whose answer is lost is asked for once more", () =>
    Effect.gen(function*() {
      const server = yield* modernServer()
      const proxy = yield* cutting(server, "prompts/list", { bytes: 20 })
      const client = yield* connect(stack, proxy)
      assert.deepStrictEqual((yield* collect(client.prompts)).map(({ name }) => name), ["greet", "personal"])
      assert.strictEqual((yield* sent(server)).filter(({ method }) => method === "prompts/list").length, 2)
    }))

  it.scopedLive("a tool call whose answer is lost is not, and nobody knows whether it was executed", () =>
    Effect.gen(function*() {
      const server = yield* modernServer()
      const proxy = yield* cutting(server, "tools/call", { events: 2 })
      const client = yield* connect(stack, proxy)
      const steps: Array<number> = []
      const error = yield* failureOf(client.callTool("work", { steps: 5, delayMs: 20 }, {
        onProgress: ({ progress }) => Effect.sync(() => void steps.push(progress))
      }))
      assert.strictEqual("outcome" in error && error.outcome, "Unknown", String(error))
      assert.deepStrictEqual(steps, [1, 2])
      assert.strictEqual((yield* toolCalls(server)).length, 1)
      assert.strictEqual(yield* call(client, "work", { steps: 1 }), "1 steps done")
    }))

  it.scopedLive("one that the server calls read-only is, if the application says so", () =>
    Effect.gen(function*() {
      const server = yield* modernServer()
      const proxy = yield* cutting(server, "tools/call", { bytes: 20 })
      const client = yield* connect(stack, proxy, {
        replayPolicy: ReplayPolicy.readOnly,
        onInvalidItem: () => Effect.void
      })
      yield* Stream.runDrain(client.tools)
      assert.include(yield* call(client, "weather", { city: "Rome" }), "\"celsius\":4")
      assert.strictEqual((yield* toolCalls(server)).length, 2)
    }))

  it.scopedLive("a listening stream that is lost is opened again, and what may have been missed is told", () =>
    Effect.gen(function*() {
      const server = yield* modernServer()
      const proxy = yield* cutting(server, "subscriptions/listen", { events: 2 })
      const client = yield* connect(stack, proxy)
      const updates = yield* listen(client.subscribe("doc://guide"))
      yield* Calls.untilSeen(server, "it is open", ({ body, status }) => body.includes("listen") && status === 200)
      yield* server.resourceUpdated("doc://guide")
      yield* updates.atLeast(1)
      yield* updates.atLeast(2)
      yield* server.resourceUpdated("doc://guide")
      assert.deepStrictEqual(yield* updates.atLeast(3), [
        { uri: "doc://guide", afterGap: false },
        { uri: "doc://guide", afterGap: true },
        { uri: "doc://guide", afterGap: false }
      ])
      assert.strictEqual((yield* sent(server)).filter(({ method }) => method === "subscriptions/listen").length, 2)
    }))
})

overBothStacks("subscriptions", (stack) => {
  it.scopedLive("list changes: one stream for all who listen, closed by the last of them", () =>
    Effect.gen(function*() {
      const server = yield* modernServer({ toolsTtlMs: 3_600_000 })
      const client = yield* connect(stack, server, { onInvalidItem: () => Effect.void })
      assert.notInclude(yield* namesOf(client), "added")
      const first = yield* listen(client.listChanges)
      const second = yield* listen(client.listChanges)
      const request = yield* untilSent(server, "subscriptions/listen")
      assert.deepStrictEqual(request.params?.notifications, {
        toolsListChanged: true,
        resourcesListChanged: true,
        promptsListChanged: true
      })
      yield* Calls.untilSeen(server, "it is open", ({ body, status }) => body.includes("listen") && status === 200)
      assert.notInclude(yield* namesOf(client), "added")
      assert.strictEqual((yield* sent(server)).filter(({ method }) => method === "tools/list").length, 1, "it is kept")
      yield* server.addTool
      yield* first.atLeast(1)
      assert.include(yield* namesOf(client), "added", "the change has made what was kept stale")
      assert.strictEqual(yield* call(client, "added"), "I was added")
      yield* server.promptsChanged
      yield* server.resourcesChanged
      const lists: ReadonlyArray<McpClient.ListChange["list"]> = ["tools", "prompts", "resources"]
      const expected = lists.map((list) => ({ list, afterGap: false }))
      assert.deepStrictEqual(yield* first.atLeast(3), expected)
      assert.deepStrictEqual(yield* second.atLeast(3), expected)
      assert.strictEqual((yield* sent(server)).filter(({ method }) => method === "subscriptions/listen").length, 1)
      const isClosed = ({ body, state }: Servers.Exchange) => body.includes("subscriptions/listen") && state === "cut"
      yield* Fiber.interrupt(first.fiber)
      assert.isFalse((yield* server.wire).some(isClosed))
      yield* Fiber.interrupt(second.fiber)
      yield* Calls.untilSeen(server, "it was closed", isClosed)
      yield* assertStateless(server)
    }))

  it.scopedLive("a resource: updates of it only, and what was kept of it is stale", () =>
    Effect.gen(function*() {
      const server = yield* modernServer()
      const client = yield* connect(stack, server)
      const read = Effect.map(client.readResource("doc://guide"), ({ contents }) => contents[0])
      const guide = (times: number) => ({ uri: "doc://guide", mimeType: "text/plain", text: `read ${times} times` })
      assert.deepStrictEqual(yield* read, guide(1))
      assert.deepStrictEqual(yield* read, guide(1), "it may be kept for a minute")
      const updates = yield* listen(client.subscribe("doc://guide"))
      yield* Calls.untilSeen(server, "it is open", ({ body, status }) => body.includes("listen") && status === 200)
      yield* server.resourceUpdated("doc://page/1")
      yield* server.resourceUpdated("doc://guide")
      assert.deepStrictEqual(yield* updates.atLeast(1), [{ uri: "doc://guide", afterGap: false }])
      assert.deepStrictEqual(yield* read, guide(2))
      const request = yield* untilSent(server, "subscriptions/listen")
      assert.deepStrictEqual(request.params?.notifications, { resourceSubscriptions: ["doc://guide"] })
      const uncached = yield* connect(stack, server, { cache: false })
      yield* uncached.readResource("doc://guide")
      assert.deepStrictEqual((yield* uncached.readResource("doc://guide")).contents, [guide(4)])
    }))

  it.scopedLive("the lists that a server without subscriptions announces are simply not there", () =>
    Effect.gen(function*() {
      const server = yield* Servers.dualEraServer()
      const client = yield* connect(stack, server)
      assert.strictEqual(
        (yield* failureWith(Stream.runDrain(client.prompts), "CapabilityMissing")).capability,
        "prompts"
      )
      const missing = yield* failureWith(Stream.runDrain(client.subscribe("doc://guide")), "CapabilityMissing")
      assert.strictEqual(missing.capability, "resources.subscribe")
      // The SDK declares listChanged for tools of its own accord.
      const changes = yield* listen(client.listChanges)
      yield* Calls.untilSeen(server, "it is open", ({ body, status }) => body.includes("listen") && status === 200)
      yield* server.toolsChanged
      assert.deepStrictEqual(yield* changes.atLeast(1), [{ list: "tools", afterGap: false }])
    }))
})

overBothStacks("resources, prompts, completions", (stack) => {
  for (const protocol of ["auto", "2025-11-25"] as const) {
    it.scopedLive(`all of them (${protocol})`, () =>
      Effect.gen(function*() {
        const server = yield* modernServer()
        const client = yield* connect(stack, server, { protocol })
        const resources = yield* collect(client.resources)
        assert.deepStrictEqual(resources.map(({ uri }) => uri), ["doc://guide", "doc://secret"])
        const template = yield* Stream.runHead(client.resourceTemplates)
        assert.strictEqual(Option.getOrThrow(template).uriTemplate, "doc://page/{number}")
        assert.deepStrictEqual((yield* client.readResource("doc://page/12")).contents, [
          { uri: "doc://page/12", text: "This is page 12." }
        ])
        const unknown = yield* failureWith(client.readResource("doc://nowhere"), "JsonRpcError")
        assert.strictEqual(unknown.code, -32602)
        const pages = yield* client.complete(
          { type: "ref/resource", uri: "doc://page/{number}" },
          { name: "number", value: "1" }
        )
        assert.deepStrictEqual(pages.values, ["1", "12"])
        const prompts = yield* collect(client.prompts)
        assert.deepStrictEqual(prompts.map(({ name }) => name), ["greet", "personal"])
        const greeting = yield* client.getPrompt("greet", { language: "de", name: "Anna" })
        assert.deepStrictEqual(greeting.messages, [
          { role: "user", content: { type: "text", text: "Greet Anna in de." } }
        ])
        const languages = yield* client.complete(
          { type: "ref/prompt", name: "greet" },
          { name: "language", value: "" }
        )
        assert.deepStrictEqual(languages.values, ["de", "en"])
        const names = yield* client.complete(
          { type: "ref/prompt", name: "greet" },
          { name: "name", value: "An" },
          { context: { language: "de" } }
        )
        assert.deepStrictEqual(names.values, ["Anna", "Anton"])
        const invalid = yield* failureWith(client.getPrompt("greet", { language: "de" }), "JsonRpcError")
        assert.strictEqual(invalid.code, -32602)
      }))
  }
})
