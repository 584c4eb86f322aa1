/**
 * The stateless revision, 2026-07-28, against version 2 of the official SDK.
 */
import { JsonRpc, StreamableHttpTransport } from "@effect-mcp/transport"
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import { connect, overEveryClient } from "../support/harness.ts"
import * as Calls from "./calls.ts"
import * as Servers from "./servers.ts"

const current = "2026-07-28"

const stateless = (
  id: JsonRpc.RequestId,
  method: string,
  params: JsonRpc.Params = {},
  protocolVersion = current
): JsonRpc.Request =>
  JsonRpc.request(id, method, {
    ...params,
    _meta: {
      "io.modelcontextprotocol/protocolVersion": protocolVersion,
      "io.modelcontextprotocol/clientInfo": { name: "end-to-end", version: "1.0.0" },
      "io.modelcontextprotocol/clientCapabilities": {},
      progressToken: id
    }
  })

const toolCall = (id: JsonRpc.RequestId, name: string, args: JsonRpc.Params) =>
  stateless(id, "tools/call", { name, arguments: args })

const progress = (id: JsonRpc.RequestId, args: { readonly steps: number; readonly delayMs?: number }) =>
  toolCall(id, "progress", args)

const echo = (transport: StreamableHttpTransport.Service, text: string) =>
  Effect.map(StreamableHttpTransport.request(transport, toolCall(text, "echo", { text })), Calls.textOf)

/** No session, no resumption, and the headers say what the body says. */
const assertStateless = (server: Servers.TestServer) =>
  Effect.map(server.wire, (wire) => {
    for (const { body, headers, method } of wire) {
      assert.strictEqual(method, "POST")
      assert.notProperty(headers, "mcp-session-id")
      assert.notProperty(headers, "last-event-id")
      const message: JsonRpc.Request = JSON.parse(body)
      assert.strictEqual(headers["mcp-method"], message.method)
    }
  })

overEveryClient("2026-07-28", (client) => {
  it.scopedLive("discovers, lists and calls without a handshake, a session or a DELETE", () =>
    Effect.gen(function*() {
      const server = yield* Servers.dualEraServer()
      yield* Effect.scoped(Effect.gen(function*() {
        const transport = yield* connect(client, server)
        const discovered = yield* StreamableHttpTransport.request(transport, stateless(1, "server/discover"))
        assert.include(JSON.stringify(discovered), `"supportedVersions":["${current}"]`)
        const listed = yield* StreamableHttpTransport.request(transport, stateless(2, "tools/list"))
        assert.include(JSON.stringify(listed), "\"name\":\"progress\"")
        const added = yield* StreamableHttpTransport.request(transport, toolCall(3, "add", { a: 2, b: 3 }))
        assert.strictEqual(Calls.textOf(added), "5")
        assert.strictEqual(added.id, 3)
        assert.strictEqual(yield* Calls.stateOf(transport), "Idle")
        yield* transport.terminate
      }))
      const wire = yield* server.wire
      assert.deepStrictEqual(wire.map(({ headers }) => headers["mcp-protocol-version"]), [current, current, current])
      assert.deepStrictEqual(wire.map(({ headers }) => headers["mcp-name"]), [undefined, undefined, "add"])
      yield* assertStateless(server)
    }))

  for (const responseMode of ["auto", "sse", "json"] as const) {
    it.scopedLive(`delivers progress before the answer, when the server streams it (${responseMode})`, () =>
      Effect.gen(function*() {
        const server = yield* Servers.dualEraServer({ responseMode })
        const transport = yield* connect(client, server)
        const { answer, before } = yield* Calls.run(transport, progress("p", { steps: 5 }))
        assert.strictEqual(Calls.textOf(answer), "5 steps done")
        assert.deepStrictEqual(Calls.steps(before), responseMode === "json" ? [] : [1, 2, 3, 4, 5])
        yield* assertStateless(server)
      }))
  }

  it.scopedLive("S41: 404 with -32601 and 400 with -32022 are answers", () =>
    Effect.gen(function*() {
      const server = yield* Servers.dualEraServer()
      const transport = yield* connect(client, server)
      const unknown = yield* StreamableHttpTransport.request(transport, stateless("u", "no/such"))
      assert.strictEqual(unknown.id, "u")
      assert.strictEqual(Calls.errorOf(unknown).code, -32601)
      const future = yield* StreamableHttpTransport.request(transport, stateless(9, "tools/list", {}, "2099-01-01"))
      assert.strictEqual(future.id, 9)
      assert.strictEqual(Calls.errorOf(future).code, -32022)
      assert.include(JSON.stringify(Calls.errorOf(future).data), current)
      assert.deepStrictEqual((yield* server.wire).map(({ status }) => status), [404, 400])
      assert.strictEqual(yield* echo(transport, "after"), "after")
      assert.strictEqual(yield* Calls.stateOf(transport), "Idle")
    }))

  it.scopedLive("a name that is no plain header value is understood by the server", () =>
    Effect.gen(function*() {
      const server = yield* Servers.dualEraServer()
      const transport = yield* connect(client, server)
      const names = ["grüße", "日本語 𝒳", " padded ", "line\nbreak", "=?base64?Zm9v?=", ""]
      for (const name of names) {
        const answer = yield* StreamableHttpTransport.request(transport, toolCall(name, name, {}))
        // The server has compared header and body, and then not found the tool: not -32020, contradicting headers.
        assert.strictEqual(Calls.errorOf(answer).code, -32602, JSON.stringify({ name, answer }))
      }
      const sent = (yield* server.wire).map(({ headers }) => headers["mcp-name"])
      assert.deepStrictEqual(
        sent.slice(0, -1),
        names.slice(0, -1).map((name) => `=?base64?${Buffer.from(name, "utf8").toString("base64")}?=`)
      )
      const contradicted = yield* StreamableHttpTransport.request(transport, toolCall(1, "echo", { text: "mine" }), {
        headers: { "mcp-name": "other", "mcp-method": "tools/list", "mcp-protocol-version": "2025-11-25" }
      })
      assert.strictEqual(Calls.textOf(contradicted), "mine", "headers of the user never contradict the body")
    }))

  it.scopedLive("a subscription stays open, tells of every change, and interrupting it ends it at the server", () =>
    Effect.gen(function*() {
      const server = yield* Servers.dualEraServer()
      const transport = yield* connect(client, server)
      const heard: Array<JsonRpc.Message> = []
      const subscription = yield* transport.send(
        stateless("sub", "subscriptions/listen", { notifications: { toolsListChanged: true } })
      ).pipe(Stream.runForEach((message) => Effect.sync(() => heard.push(message))), Effect.fork)
      const methods = () => Calls.steps(heard)
      const heardAtLeast = (count: number) =>
        Calls.until(`${count} messages were heard`, Effect.sync(() => heard.length >= count))
      yield* heardAtLeast(1)
      yield* server.toolsChanged
      yield* heardAtLeast(2)
      assert.strictEqual(yield* echo(transport, "meanwhile"), "meanwhile")
      yield* Effect.sleep("300 millis")
      yield* server.toolsChanged
      yield* heardAtLeast(3)
      assert.deepStrictEqual(methods(), [
        "notifications/subscriptions/acknowledged",
        "notifications/tools/list_changed",
        "notifications/tools/list_changed"
      ])
      yield* Effect.timeout(Fiber.interrupt(subscription), "1 second")
      yield* Calls.untilSeen(
        server,
        "it was cut",
        ({ body, state }) => body.includes("subscriptions/listen") && state === "cut"
      )
      assert.strictEqual(yield* echo(transport, "after"), "after")
      yield* assertStateless(server)
    }))

  it.scopedLive("interrupting a call cancels it at the server, and only that one", () =>
    Effect.gen(function*() {
      const server = yield* Servers.dualEraServer()
      const transport = yield* connect(client, server)
      const doomed = yield* Effect.fork(Calls.run(transport, progress("doomed", { steps: 1000, delayMs: 10 })))
      const other = yield* Effect.fork(Calls.run(transport, progress("other", { steps: 20, delayMs: 20 })))
      yield* Calls.untilSeen(server, "it was answered", ({ body, status }) => body.includes("doomed") && status === 200)
      yield* Effect.timeout(Fiber.interrupt(doomed), "1 second")
      yield* Calls.until("it was cancelled", Effect.map(server.cancelledCalls, (count) => count > 0))
      yield* Calls.untilSeen(server, "it was cut", ({ body, state }) => body.includes("doomed") && state === "cut")
      const running = (yield* server.wire).filter(({ state }) => state === "open")
      assert.deepStrictEqual(running.map(({ body }) => body.includes("\"id\":\"other\"")), [true])
      assert.strictEqual(yield* server.cancelledCalls, 1)
      const { answer, before } = yield* Fiber.join(other)
      assert.strictEqual(Calls.textOf(answer), "20 steps done")
      assert.deepStrictEqual(Calls.steps(before), Calls.range(1, 20))
      assert.strictEqual((yield* server.wire).length, 2, "a cancellation is no message, and nothing is resumed")
    }))

  it.scopedLive("interrupting a call before its head is there cancels it, too", () =>
    Effect.gen(function*() {
      const server = yield* Servers.dualEraServer({ responseMode: "json" })
      const transport = yield* connect(client, server)
      const doomed = yield* Effect.fork(Calls.run(transport, progress("doomed", { steps: 1, delayMs: 60_000 })))
      yield* Calls.untilSeen(server, "it arrived", ({ body }) => body.includes("doomed"))
      yield* Effect.sleep("30 millis")
      yield* Effect.timeout(Fiber.interrupt(doomed), "1 second")
      yield* Calls.until("it was cancelled", Effect.map(server.cancelledCalls, (count) => count > 0))
      assert.strictEqual(yield* echo(transport, "after"), "after")
    }))

  it.scopedLive("closing the scope cancels what runs", () =>
    Effect.gen(function*() {
      const server = yield* Servers.dualEraServer()
      const failed = yield* Effect.scoped(Effect.gen(function*() {
        const transport = yield* connect(client, server)
        const running = yield* Effect.forkDaemon(
          Effect.flip(Calls.run(transport, progress(1, { steps: 1000, delayMs: 10 })))
        )
        yield* Calls.untilSeen(server, "it was answered", ({ status }) => status === 200)
        return running
      }))
      const error = yield* Effect.timeout(Fiber.join(failed), "2 seconds")
      if (error._tag !== "ConnectionError") return assert.fail(String(error))
      assert.strictEqual(error.phase, "Closed")
      assert.strictEqual(error.outcome, "Unknown")
      yield* Calls.until("it was cancelled", Effect.map(server.cancelledCalls, (count) => count > 0))
      yield* assertStateless(server)
    }))

  it.scopedLive("S69: a token for a stateless request is NotResumable, and nothing is sent", () =>
    Effect.gen(function*() {
      const server = yield* Servers.dualEraServer()
      const transport = yield* connect(client, server)
      const error = yield* Effect.flip(
        StreamableHttpTransport.request(transport, stateless(1, "tools/list"), { resumptionToken: "event-1" })
      )
      if (error._tag !== "ResumptionError") return assert.fail(String(error))
      assert.strictEqual(error.reason, "NotResumable")
      assert.strictEqual(error.outcome, "NotExecuted")
      assert.deepStrictEqual(yield* server.wire, [])
    }))

  it.scopedLive("receive never opens for stateless use alone; both eras share a transport", () =>
    Effect.gen(function*() {
      const server = yield* Servers.dualEraServer()
      const transport = yield* connect(client, server)
      const { fiber } = yield* Calls.listen(transport)
      assert.strictEqual(yield* echo(transport, "stateless"), "stateless")
      yield* Effect.sleep("50 millis")
      assert.notInclude(yield* Calls.seen(server), "GET")
      assert.isUndefined(yield* Calls.openSession(transport), "its older era has no sessions either")
      yield* Effect.timeout(Fiber.join(fiber), "2 seconds")
      const older = yield* StreamableHttpTransport.request(transport, Calls.toolCall(1, "add", { a: 20, b: 3 }))
      assert.strictEqual(Calls.textOf(older), "23")
      assert.strictEqual(yield* echo(transport, "stateless again"), "stateless again")
      const versions = (yield* server.wire).map(({ headers }) => headers["mcp-protocol-version"])
      assert.deepStrictEqual(versions, [current, undefined, "2025-11-25", "2025-11-25", "2025-11-25", current])
      assert.isFalse((yield* server.wire).some(({ headers }) => "mcp-session-id" in headers))
    }))

  it.scopedLive("S41: a server of the new era only refuses an initialize by an answer", () =>
    Effect.gen(function*() {
      const server = yield* Servers.dualEraServer({ legacy: "reject" })
      const transport = yield* connect(client, server)
      const refused = yield* StreamableHttpTransport.request(transport, Calls.initialize())
      assert.strictEqual(Calls.errorOf(refused).code, -32022)
      assert.strictEqual(yield* Calls.stateOf(transport), "Idle")
      assert.strictEqual(yield* echo(transport, "after"), "after")
    }))
})
