/**
 * The client against the example servers of the official SDK, as they are published.
 */
import { Elicitation, type McpClient, RequestRejected } from "@effect-mcp/client"
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as Calls from "./calls.ts"
import { call, collect, connect, failureWith, listen, overBothStacks, sent, textOf, untilSent } from "./clientCalls.ts"
import * as Servers from "./servers.ts"
import { sharedServer, withServer } from "./sharedServer.ts"

const greeting = "https://example.com/greetings/default"

const withoutTime = (message: { readonly data: unknown }): string => String(message.data).replace(/ at .*/, "")

/** What was sent, without the GET of the server's own stream, which comes when it comes. */
const sentLines = (server: Servers.TestServer) =>
  Effect.map(Calls.seen(server), (lines) => lines.filter((line) => !line.startsWith("GET")))

const sessionIdOf = (server: Servers.TestServer) =>
  Effect.map(
    server.wire,
    (wire) => wire.flatMap(({ headers }) => headers["mcp-session-id"] ?? []).at(-1) ?? assert.fail("no session")
  )

/** The server forgets a session without the knowledge of its client. */
const forget = (server: Servers.TestServer, sessionId: string) =>
  Effect.map(
    Effect.promise(() =>
      fetch(server.url, {
        method: "DELETE",
        headers: { "mcp-session-id": sessionId, "mcp-protocol-version": "2025-11-25" }
      })
    ),
    ({ status }) => assert.strictEqual(status, 200)
  )

const statesOf = (client: McpClient.Service) => listen(Stream.map(client.stateChanges, (state) => state._tag))

withServer(Servers.simpleServer)("simpleStreamableHttp", (it) => {
  overBothStacks("sessions and streams", (stack) => {
    it.scoped("auto, tools, links, resources, prompts", () =>
      Effect.gen(function*() {
        const server = yield* sharedServer
        yield* Effect.scoped(Effect.gen(function*() {
          const client = yield* connect(stack, server)
          assert.strictEqual(client.server.name, "simple-streamable-http-server")
          assert.strictEqual(client.server.era, "Legacy")
          assert.strictEqual(client.server.info?.icons?.[0]?.src, "./mcp.svg")
          const tools = yield* collect(client.tools)
          assert.strictEqual(tools.find(({ name }) => name === "greet")?.title, "Greeting Tool")
          assert.deepStrictEqual(tools.find(({ name }) => name === "multi-greet")?.annotations, {
            title: "Multiple Greeting Tool",
            readOnlyHint: true,
            openWorldHint: false
          })
          assert.strictEqual(yield* call(client, "greet", { name: "Effect" }), "Hello, Effect!")
          const files = yield* client.callTool("list-files")
          const links = files.content.flatMap((block) =>
            block.type === "resource_link" && "uri" in block ? block.uri : []
          )
          assert.deepStrictEqual(links, [greeting, "file:///example/file1.txt", "file:///example/file2.txt"])
          assert.deepStrictEqual((yield* collect(client.resources)).map(({ uri }) => uri), links)
          const [content] = (yield* client.readResource("file:///example/file2.txt")).contents
          assert.deepStrictEqual(content, { uri: "file:///example/file2.txt", text: "This is the content of file 2" })
          const prompt = yield* client.getPrompt("greeting-template", { name: "Ada" })
          assert.include(JSON.stringify(prompt), "Please greet Ada in a friendly manner.")
          const missing = yield* failureWith(Stream.runDrain(client.subscribe(greeting)), "CapabilityMissing")
          assert.strictEqual(missing.capability, "resources.subscribe")
        }))
        const lines = yield* sentLines(server)
        assert.deepStrictEqual(lines.slice(0, 3), ["POST server/discover", ...Calls.handshakeLines])
        assert.strictEqual(lines.at(-1), "DELETE")
        assert.deepStrictEqual(
          (yield* server.wire).filter(({ method, status }) => method === "POST" && status !== 200).map(({ status }) =>
            status
          ),
          [
            400,
            202
          ]
        )
      }))

    it.scoped("log messages come on the server's own stream, in order", () =>
      Effect.gen(function*() {
        const server = yield* sharedServer
        const client = yield* connect(stack, server)
        const logs = yield* listen(client.logs)
        yield* Calls.untilListening(server)
        const [greeted, periodic] = yield* Effect.all([
          call(client, "multi-greet", { name: "Effect" }),
          call(client, "start-notification-stream", { interval: 20, count: 5 })
        ], { concurrency: 2 })
        assert.strictEqual(greeted, "Good morning, Effect!")
        assert.include(periodic, "every 20ms")
        const texts = (yield* logs.atLeast(8)).map(withoutTime)
        assert.deepStrictEqual(texts.filter((text) => !text.startsWith("Periodic")), [
          "Starting multi-greet for Effect",
          "Sending first greeting to Effect",
          "Sending second greeting to Effect"
        ])
        assert.deepStrictEqual(
          texts.filter((text) => text.startsWith("Periodic")),
          Calls.range(1, 5).map((n) => `Periodic notification #${n}`)
        )
      }))

    it.scoped("elicitation: every form, a refusal, and no service at all", () =>
      Effect.gen(function*() {
        const server = yield* sharedServer
        const forms: Array<string> = []
        const client = yield* connect(stack, server, {
          services: Elicitation.layer({
            form: (params) => {
              forms.push(params.message)
              const { properties } = params.requestedSchema
              return Effect.succeed(Elicitation.accept(
                "email" in properties
                  ? { name: "Ada", email: "ada@example.com" }
                  : "theme" in properties
                  ? { ...Elicitation.defaults(params), theme: "dark" }
                  : { rating: 5, recommend: true }
              ))
            }
          })
        })
        const info = (infoType: string) => call(client, "collect-user-info", { infoType })
        assert.include(yield* info("contact"), "\"email\": \"ada@example.com\"")
        const preferences = yield* info("preferences")
        assert.include(preferences, "\"theme\": \"dark\"")
        assert.include(preferences, "\"notifications\": true")
        assert.include(yield* info("feedback"), "\"rating\": 5")
        assert.deepStrictEqual(forms, [
          "Please provide your contact information",
          "Please set your preferences",
          "Please provide your feedback"
        ])
        const refusing = yield* connect(stack, server, {
          services: Elicitation.layer({
            form: () => Effect.fail(RequestRejected.make({ message: "nobody is there" }))
          })
        })
        const refused = yield* refusing.callTool("collect-user-info", { infoType: "contact" })
        assert.include(textOf(refused), "nobody is there")
        const bare = yield* connect(stack, server)
        const missing = yield* bare.callTool("collect-user-info", { infoType: "contact" })
        assert.include(textOf(missing), "does not offer elicitation/create")
      }))

    it.scoped("a forgotten session: one new one for all callers; log level and calls go on", () =>
      Effect.gen(function*() {
        const server = yield* sharedServer
        const client = yield* connect(stack, server)
        yield* client.setLogLevel("info")
        const states = yield* statesOf(client)
        const first = yield* sessionIdOf(server)
        yield* forget(server, first)
        const greetings = yield* Effect.forEach(
          Calls.range(1, 20),
          (n) => call(client, "greet", { name: String(n) }),
          { concurrency: "unbounded" }
        )
        assert.deepStrictEqual(greetings, Calls.range(1, 20).map((n) => `Hello, ${n}!`))
        assert.deepStrictEqual(yield* states.atLeast(3), ["Ready", "Recovering", "Ready"])
        const levels = Effect.map(
          sent(server),
          (messages) => messages.filter(({ method }) => method === "logging/setLevel")
        )
        yield* Calls.until("the level was restored", Effect.map(levels, ({ length }) => length === 2))
        const messages = yield* sent(server)
        assert.strictEqual(messages.filter(({ method }) => method === "initialize").length, 2)
        assert.strictEqual(messages.filter(({ method }) => method === "server/discover").length, 1)
        assert.notStrictEqual(yield* sessionIdOf(server), first)
        const ids = messages.flatMap(({ id, method }) => method === undefined || id === undefined ? [] : [id])
        assert.strictEqual(new Set(ids).size, ids.length, "no id is used twice")
      }))
  })
})

withServer(Servers.jsonServer)("jsonResponseStreamableHttp", (it) => {
  overBothStacks("answers in JSON", (stack) => {
    it.scoped("calls, many at once; no stream of the server, and all is well", () =>
      Effect.gen(function*() {
        const server = yield* sharedServer
        yield* Effect.scoped(Effect.gen(function*() {
          const client = yield* connect(stack, server)
          assert.strictEqual(client.server.name, "json-response-streamable-http-server")
          assert.deepStrictEqual((yield* collect(client.tools)).map(({ name }) => name), ["greet", "multi-greet"])
          const greetings = yield* Effect.forEach(
            Calls.range(1, 20),
            (n) => call(client, "greet", { name: String(n) }),
            { concurrency: 8 }
          )
          assert.deepStrictEqual(greetings, Calls.range(1, 20).map((n) => `Hello, ${n}!`))
          yield* client.setLogLevel("warning")
          const unknown = yield* failureWith(client.request("no/such"), "JsonRpcError")
          assert.strictEqual(unknown.code, -32601)
          const missing = yield* failureWith(Stream.runDrain(client.prompts), "CapabilityMissing")
          assert.strictEqual(missing.capability, "prompts")
          yield* Calls.untilSeen(server, "the GET was refused", ({ method, status }) =>
            method === "GET" && status === 405)
          assert.strictEqual((yield* client.state)._tag, "Ready")
          const events = yield* collect(client.callToolStream("greet", { name: "stream" }))
          assert.deepStrictEqual(
            events.map(({ _tag }) =>
              _tag
            ),
            ["Result"]
          )
        }))
        const deletion = (yield* server.wire).at(-1)
        assert.strictEqual(deletion?.method, "DELETE")
      }))

    it.scoped("a call that is interrupted before its head is there: its connection is closed, and the server is told", () =>
      Effect.gen(function*() {
        const server = yield* sharedServer
        const client = yield* connect(stack, server)
        const slow = yield* Effect.fork(client.callTool("multi-greet", { name: "Effect" }))
        const request = yield* untilSent(server, "tools/call")
        assert.isTrue(Exit.isInterrupted(yield* Effect.timeout(Fiber.interrupt(slow), "1 second")))
        yield* Calls.untilSeen(
          server,
          "it was cut",
          ({ body, state }) => body.includes("multi-greet") && state === "cut"
        )
        const notice = yield* untilSent(server, "notifications/cancelled")
        assert.strictEqual(notice.params?.requestId, request.id)
        assert.strictEqual(yield* call(client, "greet", { name: "after" }), "Hello, after!")
      }))

    it.scoped("a verdict saves the question", () =>
      Effect.gen(function*() {
        const server = yield* sharedServer
        const client = yield* connect(stack, server)
        const verdict = yield* client.verdict
        assert.strictEqual(verdict.era, "Legacy")
        const again = yield* connect(stack, server, { verdict })
        assert.strictEqual(yield* call(again, "greet", { name: "verdict" }), "Hello, verdict!")
        assert.deepStrictEqual((yield* sentLines(server)).filter((line) => line === "POST server/discover").length, 1)
      }))
  })
})

withServer(Servers.statelessServer)("simpleStatelessStreamableHttp", (it) => {
  overBothStacks("no sessions", (stack) => {
    it.scoped("all that it offers; nothing is deleted at the end", () =>
      Effect.gen(function*() {
        const server = yield* sharedServer
        yield* Effect.scoped(Effect.gen(function*() {
          const client = yield* connect(stack, server)
          assert.strictEqual(client.server.name, "stateless-streamable-http-server")
          const prompt = Option.getOrThrow(yield* Stream.runHead(client.prompts))
          assert.strictEqual(prompt.name, "greeting-template")
          const message = yield* client.getPrompt("greeting-template", { name: "Ada" })
          assert.include(JSON.stringify(message), "Please greet Ada")
          assert.deepStrictEqual((yield* client.readResource(greeting)).contents, [
            { uri: greeting, text: "Hello, world!" }
          ])
          const periodic = yield* call(client, "start-notification-stream", { interval: 10, count: 3 })
          assert.include(periodic, "every 10ms")
          yield* client.setLogLevel("info")
          yield* client.ping
          yield* Calls.untilSeen(server, "the GET was refused", ({ method, status }) =>
            method === "GET" && status === 405)
          assert.strictEqual((yield* client.state)._tag, "Ready")
        }))
        const wire = yield* server.wire
        assert.isFalse(wire.some(({ headers, method }) =>
          "mcp-session-id" in headers || method === "DELETE"
        ))
        assert.deepStrictEqual(Calls.lines(wire).slice(0, 3), ["POST server/discover", ...Calls.handshakeLines])
      }))
  })
})

withServer(Servers.pollingServer)("ssePollingExample", (it) => {
  overBothStacks("polling", (stack) => {
    it.scoped(
      "a call whose stream the server closes in its middle is resumed, and never sent again",
      () =>
        Effect.gen(function*() {
          const server = yield* sharedServer
          const client = yield* connect(stack, server)
          yield* Calls.untilListening(server)
          const logs = yield* listen(client.logs)
          const states = yield* statesOf(client)
          const events = yield* collect(client.callToolStream("long-task"))
          const result = events.at(-1)
          assert.strictEqual(
            result?._tag === "Result" ? textOf(result.result) : "",
            "Long task completed successfully!"
          )
          assert.deepStrictEqual((yield* logs.atLeast(4)).map(({ data }) => String(data).slice(0, 14)), [
            "Progress: 25% ",
            "Progress: 50% ",
            "Progress: 75% ",
            "Progress: 100%"
          ])
          const wire = yield* server.wire
          assert.strictEqual(wire.filter(({ body }) => body.includes("tools/call")).length, 1)
          const resumed = wire.filter(({ headers }) => "last-event-id" in headers)
          assert.deepStrictEqual(resumed.map(({ status }) => status), [200])
          assert.notMatch(resumed[0]?.headers["last-event-id"] ?? "", /^_GET_stream/)
          assert.deepStrictEqual(states.heard, ["Ready"], "the client has noticed nothing")
        }),
      15_000
    )

    it.scoped("interrupted while it waits to resume: the server is told", () =>
      Effect.gen(function*() {
        const server = yield* sharedServer
        const client = yield* connect(stack, server)
        const running = yield* Effect.fork(client.callTool("long-task"))
        const request = yield* untilSent(server, "tools/call")
        yield* Calls.untilSeen(
          server,
          "its stream was closed",
          ({ body, state }) => body.includes("tools/call") && state === "finished",
          "6 seconds"
        )
        assert.isTrue(Exit.isInterrupted(yield* Effect.timeout(Fiber.interrupt(running), "1 second")))
        const notice = yield* untilSent(server, "notifications/cancelled")
        assert.strictEqual(notice.params?.requestId, request.id)
        assert.isFalse((yield* server.wire).some(({ headers }) => "last-event-id" in headers))
      }), 15_000)
  })
})
