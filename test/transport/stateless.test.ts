import { JsonRpc, StreamableHttpTransport } from "@effect-mcp/transport"
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import {
  afterHandshake,
  answer,
  call,
  collect,
  connect,
  eventually,
  handshake,
  initializeRequest,
  overEveryClient,
  progress,
  quickly,
  sessionId
} from "../support/harness.ts"
import { type Exchange, rawServer } from "../support/rawServer.ts"
import {
  arrivalOf,
  assertError,
  assertSession,
  assertUsable,
  exceptHealthy,
  failure,
  quietly,
  soon,
  ways
} from "../support/sending.ts"

const version = "io.modelcontextprotocol/protocolVersion"

const meta = {
  [version]: "2026-07-28",
  "io.modelcontextprotocol/clientInfo": { name: "test", version: "1.0.0" },
  "io.modelcontextprotocol/clientCapabilities": {}
}

const stateless = (method: string, params: JsonRpc.Params = {}, id: JsonRpc.RequestId = 1): JsonRpc.Request =>
  JsonRpc.request(id, method, { ...params, _meta: meta })

const work = (id: JsonRpc.RequestId = 1): JsonRpc.Request =>
  stateless("tools/call", { name: "work", arguments: {} }, id)

/** A server that only knows 2026-07-28: a session or a cursor fails the test, GET and DELETE are not allowed. */
const modern = (handle: (exchange: Exchange) => void) => (exchange: Exchange): void =>
  exchange.method === "POST" ? handle(exchange) : exchange.status(405)

overEveryClient("a stateless message", (client) => {
  it.scopedLive("carries its version, method and name as headers, and no session", () =>
    Effect.gen(function*() {
      const server = yield* rawServer(modern(({ json, message }) => json(answer(message?.id))))
      const transport = yield* connect(client, server)
      const cases: ReadonlyArray<readonly [string, JsonRpc.Params, string | undefined]> = [
        ["tools/call", { name: "get_weather", arguments: { name: "not this" } }, "get_weather"],
        ["prompts/get", { name: "code_review", uri: "not:this" }, "code_review"],
        [
          "resources/read",
          { uri: "file:///projects/myapp/config.json", name: "not this" },
          "file:///projects/myapp/config.json"
        ],
        ["tasks/get", { taskId: "t-1", name: "not this" }, "t-1"],
        ["tasks/update", { taskId: "t-2" }, "t-2"],
        ["tasks/cancel", { taskId: "t-3" }, "t-3"],
        ["tools/list", { name: "not this", cursor: "c" }, undefined],
        ["server/discover", {}, undefined],
        ["resources/subscribe", { uri: "not:this" }, undefined],
        ["subscriptions/listen", { notifications: {} }, undefined],
        ["tools/call", { arguments: {} }, undefined],
        ["tools/call", { name: 7 }, undefined]
      ]
      for (const [method, params, name] of cases) {
        const message = stateless(method, params)
        for (const { run } of ways) {
          yield* soon(run(transport, message))
          const { headers, message: sent } = arrivalOf(server.arrivals, server.arrivals.length - 1)
          assert.strictEqual(headers["mcp-protocol-version"], "2026-07-28", method)
          assert.strictEqual(headers["mcp-method"], method)
          assert.strictEqual(headers["mcp-name"], name, method)
          assert.isUndefined(headers["mcp-session-id"])
          assert.isUndefined(headers["last-event-id"])
          assert.strictEqual(headers.accept, "application/json, text/event-stream")
          assert.strictEqual(headers["content-type"], "application/json")
          assert.deepStrictEqual<unknown>(sent, message)
        }
      }
      yield* assertSession(transport, "Idle")
    }))

  it.scopedLive("a notification, too", () =>
    Effect.gen(function*() {
      const server = yield* rawServer(afterHandshake(({ status }) => status(202)))
      const transport = yield* connect(client, server)
      yield* handshake(transport)
      yield* soon(StreamableHttpTransport.notify(transport, JsonRpc.notification("notifications/x", { _meta: meta })))
      const { headers } = arrivalOf(server.arrivals, 2)
      assert.strictEqual(headers["mcp-protocol-version"], "2026-07-28")
      assert.strictEqual(headers["mcp-method"], "notifications/x")
      assert.isUndefined(headers["mcp-name"])
      assert.isUndefined(headers["mcp-session-id"])
    }))

  it.scopedLive("encodes what a header cannot carry as the specification's table says", () =>
    Effect.gen(function*() {
      const server = yield* rawServer(modern(({ json, message }) => json(answer(message?.id))))
      const transport = yield* connect(client, server)
      const table: ReadonlyArray<readonly [string, string]> = [
        ["us-west1", "us-west1"],
        ["Hello, 世界", "=?base64?SGVsbG8sIOS4lueVjA==?="],
        [" padded ", "=?base64?IHBhZGRlZCA=?="],
        ["line1\nline2", "=?base64?bGluZTEKbGluZTI=?="],
        ["=?base64?literal?=", "=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?="]
      ]
      const more = [
        "\ttab first",
        "trailing ",
        "\r\nMcp-Session-Id: evil",
        "caf\u00e9",
        "\u0000",
        "\u007f",
        "😀",
        "\ufeffbom"
      ]
      const encoded = more.map((name) => [name, `=?base64?${Buffer.from(name).toString("base64")}?=`] as const)
      const plain = [
        "=?base64?half",
        "half?=",
        "=?BASE64?x?=",
        "=?base64?",
        "a b",
        "~!@#$%^&*()",
        "%E4",
        "\"",
        "a,b; c"
      ]
      const kept = plain.map((name) => [name, name] as const)
      for (const [name, header] of [...table, ...encoded, ...kept]) {
        yield* soon(StreamableHttpTransport.request(transport, stateless("tools/call", { name })))
        const { headers, message } = arrivalOf(server.arrivals, server.arrivals.length - 1)
        assert.strictEqual(headers["mcp-name"], header, JSON.stringify(name))
        assert.isUndefined(headers["mcp-session-id"])
        assert.deepStrictEqual<unknown>(message, stateless("tools/call", { name }))
      }
      for (const [uri, header] of table) {
        yield* soon(StreamableHttpTransport.request(transport, stateless("resources/read", { uri })))
        assert.strictEqual(arrivalOf(server.arrivals, server.arrivals.length - 1).headers["mcp-name"], header)
      }
      const long = "世".repeat(1500)
      yield* soon(StreamableHttpTransport.request(transport, stateless("tools/call", { name: long })))
      const sent = String(arrivalOf(server.arrivals, server.arrivals.length - 1).headers["mcp-name"])
      assert.strictEqual(Buffer.from(sent.slice("=?base64?".length, -2), "base64").toString(), long)
    }))

  it.scopedLive("a plain literal with the sentinel's two ends overlapping is no sentinel", () =>
    Effect.gen(function*() {
      const server = yield* rawServer(modern(({ json, message }) => json(answer(message?.id))))
      const transport = yield* connect(client, server)
      for (const name of ["=?base64?=", "=?base64??="]) {
        yield* soon(StreamableHttpTransport.request(transport, stateless("tools/call", { name })))
        const sent = String(arrivalOf(server.arrivals, server.arrivals.length - 1).headers["mcp-name"])
        const decoded = /^=\?base64\?(.*)\?=$/.exec(sent)
        assert.strictEqual(decoded === null ? sent : Buffer.from(decoded[1] ?? "", "base64").toString(), name)
      }
    }))

  it.scopedLive("is told apart by its _meta alone: each message goes its own way", () =>
    Effect.gen(function*() {
      const server = yield* rawServer(afterHandshake(({ json, message }) => json(answer(message?.id))))
      const transport = yield* connect(client, server)
      yield* handshake(transport)
      const messages = [
        work(),
        call(1),
        JsonRpc.request(1, "tools/call", { name: "work", _meta: { progressToken: 1 } }),
        JsonRpc.request(1, "tools/call", { name: "work", _meta: null }),
        JsonRpc.request(1, "tools/call", { name: "work", _meta: { [version]: 20260728 } }),
        JsonRpc.request(1, "tools/call", { name: "work", [version]: "2026-07-28" }),
        JsonRpc.request(1, "tools/call", { name: "work", arguments: { _meta: meta } }),
        stateless("tools/list"),
        JsonRpc.request(1, "tools/list", { _meta: { ...meta, [version]: "2099-01-01" } })
      ]
      for (const message of messages) yield* soon(StreamableHttpTransport.request(transport, message))
      const seen = server.arrivals.slice(2).map(({ headers }) => [
        headers["mcp-protocol-version"],
        headers["mcp-session-id"],
        headers["mcp-method"]
      ])
      const stateful = ["2025-11-25", sessionId, undefined]
      assert.deepStrictEqual(seen, [
        ["2026-07-28", undefined, "tools/call"],
        stateful,
        stateful,
        stateful,
        stateful,
        stateful,
        stateful,
        ["2026-07-28", undefined, "tools/list"],
        ["2099-01-01", undefined, "tools/list"]
      ])
      yield* assertSession(transport, "Active", sessionId)
    }))

  it.scopedLive("opens no session, whatever the server sends, and never the server's stream", () =>
    Effect.gen(function*() {
      const server = yield* rawServer(
        modern(({ json, message }) =>
          json(answer(message?.id, { protocolVersion: "2026-07-28" }), { headers: { "mcp-session-id": "unasked" } })
        )
      )
      yield* Effect.gen(function*() {
        const transport = yield* connect(client, server)
        const listener = yield* Effect.fork(collect(transport.receive))
        yield* soon(StreamableHttpTransport.request(transport, stateless("server/discover")))
        yield* soon(
          StreamableHttpTransport.request(transport, stateless("initialize", { protocolVersion: "2026-07-28" }))
        )
        yield* soon(
          StreamableHttpTransport.notify(transport, JsonRpc.notification("notifications/initialized", { _meta: meta }))
        )
        yield* soon(StreamableHttpTransport.request(transport, work()))
        yield* assertSession(transport, "Idle")
        yield* Fiber.interrupt(listener)
        yield* soon(transport.terminate)
      }).pipe(Effect.scoped)
      assert.isTrue(server.log().every((line) => line.startsWith("POST")), server.log().join())
      assert.isFalse(server.arrivals.some(({ headers }) => "mcp-session-id" in headers))
    }))

  it.scopedLive("404 with a JSON-RPC error is the answer, and the session is untouched", () =>
    Effect.gen(function*() {
      const error = { code: -32601, message: "Method not found" }
      const server = yield* rawServer(afterHandshake(exceptHealthy(({ json, message }) =>
        json(JsonRpc.error(message?.id === 1 ? 1 : null, error), { status: 404 })
      )))
      const transport = yield* connect(client, server)
      yield* handshake(transport)
      for (const id of [1, 2]) {
        for (const { run } of ways) {
          assert.deepStrictEqual(yield* soon(run(transport, work(id))), [JsonRpc.error(id, error)])
          yield* assertUsable(transport, "Active", sessionId)
        }
      }
    }))

  it.scopedLive("404 without one is HttpStatusError, and the session is untouched", () =>
    Effect.gen(function*() {
      const server = yield* rawServer(afterHandshake(exceptHealthy(({ status }) => status(404, "no such page"))))
      const transport = yield* connect(client, server)
      yield* handshake(transport)
      for (const { run } of ways) {
        assertError(yield* failure(run(transport, work())), "HttpStatusError", {
          status: 404,
          requestId: 1,
          outcome: "Unknown",
          body: "no such page"
        })
        yield* assertUsable(transport, "Active", sessionId)
      }
      assertError(
        yield* failure(
          StreamableHttpTransport.notify(transport, JsonRpc.notification("notifications/x", { _meta: meta }))
        ),
        "HttpStatusError",
        { status: 404, outcome: "Unknown", requestId: undefined }
      )
      yield* assertUsable(transport, "Active", sessionId)
    }))

  it.scopedLive("JSON-RPC errors in refusals are answers: HeaderMismatch, unsupported version, internal error", () =>
    Effect.gen(function*() {
      let status = 400
      let error: JsonRpc.ErrorObject = { code: 0, message: "" }
      const server = yield* rawServer(
        modern(({ json, message }) => json(JsonRpc.error(Number(message?.id), error), { status }))
      )
      const transport = yield* connect(client, server)
      const cases = [
        [400, { code: -32020, message: "Header mismatch" }],
        [400, { code: -32022, message: "Unsupported", data: { supported: ["2026-07-28"], requested: "2099-01-01" } }],
        [404, { code: -32601, message: "Method not found" }],
        [405, { code: -32600, message: "No" }],
        [500, { code: -32603, message: "Internal error" }],
        [502, { code: -32603, message: "Upstream" }]
      ] as const
      for ([status, error] of cases) {
        for (const { run } of ways) {
          assert.deepStrictEqual(yield* soon(run(transport, work(5))), [JsonRpc.error(5, error)])
        }
      }
      for (status of [401, 403, 429, 503]) {
        for (const { run } of ways) {
          assertError(yield* failure(run(transport, work(5))), "HttpStatusError", { status, error, requestId: 5 })
        }
      }
      yield* assertSession(transport, "Idle")
    }))

  it.scopedLive("ids and retry on its stream mean nothing", () =>
    Effect.gen(function*() {
      const tokens: Array<string> = []
      const server = yield* rawServer(modern(({ events, message }) => {
        events().event({ id: "e1", retry: 1, data: progress(1) }).event({ id: "e1", data: progress(2) })
          .event({ id: "e2" }).event({ id: "e3", data: answer(message?.id) }).end()
      }))
      const transport = yield* connect(client, server)
      const onResumptionToken = (token: string) => Effect.sync(() => void tokens.push(token))
      for (const { run } of ways) {
        assert.deepStrictEqual(yield* soon(run(transport, work(), { onResumptionToken })), [
          progress(1),
          progress(2),
          JsonRpc.success(1, { content: [] })
        ])
      }
      assert.deepStrictEqual(tokens, [], "a stream that cannot be resumed has no resumption tokens")
    }))

  it.scopedLive("a broken stream is ConnectionError, outcome Unknown, and no GET follows", () =>
    Effect.gen(function*() {
      const server = yield* rawServer(
        modern(exceptHealthy(({ events }) => events().event({ id: "e1", retry: 1, data: progress(1) }).cut()))
      )
      const transport = yield* connect(client, server)
      for (const { run } of ways) {
        const error = yield* failure(run(transport, work()))
        assertError(error, "ConnectionError", { phase: "Body", requestId: 1, outcome: "Unknown" })
        assert.isDefined(Reflect.get(error, "cause"))
      }
      yield* Effect.sleep("30 millis")
      yield* assertUsable(transport, "Idle")
      assert.deepStrictEqual(server.log(), ["POST tools/call", "POST tools/call", "POST ping"])
    }))

  it.scopedLive("a stream that ends without the answer is ProtocolError NoResponse, and no GET follows", () =>
    Effect.gen(function*() {
      const server = yield* rawServer(modern(exceptHealthy(({ events, message }) => {
        const writer = events()
        if (message?.id !== "nothing") writer.event({ id: "e1", retry: 1, data: progress(1) })
        if (message?.id === "foreign") writer.event({ id: "e2", data: answer("other") })
        writer.end()
      })))
      const transport = yield* connect(client, server)
      for (const id of ["something", "nothing", "foreign"]) {
        for (const { run } of ways) {
          assertError(yield* failure(run(transport, work(id))), "ProtocolError", {
            reason: "NoResponse",
            requestId: id,
            outcome: "Unknown"
          })
        }
      }
      yield* Effect.sleep("30 millis")
      yield* assertUsable(transport, "Idle")
      assert.isFalse(server.log().includes("GET e1"))
      assert.strictEqual(server.arrivals.length, 7)
    }).pipe(quietly))

  it.scopedLive("S33, S68: cannot be resumed by a token: NotResumable, and nothing is sent", () =>
    Effect.gen(function*() {
      const server = yield* rawServer(afterHandshake(exceptHealthy(({ json, message }) => json(answer(message?.id)))))
      const transport = yield* connect(client, server)
      yield* handshake(transport)
      for (const { run } of ways) {
        assertError(yield* failure(run(transport, work(), { resumptionToken: "e1" })), "ResumptionError", {
          reason: "NotResumable",
          requestId: 1,
          outcome: "NotExecuted",
          attempts: 0
        })
        assertError(yield* failure(run(transport, work(), { resumptionToken: "" })), "ResumptionError", {
          reason: "MissingToken",
          requestId: 1,
          outcome: "NotExecuted"
        })
      }
      assert.strictEqual(server.arrivals.length, 2)
      yield* assertUsable(transport, "Active", sessionId)
    }))

  it.scopedLive("interrupting it closes its stream: that is the cancellation", () =>
    Effect.gen(function*() {
      const server = yield* rawServer(
        modern(exceptHealthy(({ events }) => void events().event({ id: "e1", data: progress(1) })))
      )
      const transport = yield* connect(client, server)
      for (const { run } of ways) {
        const fiber = yield* Effect.fork(run(transport, work()))
        yield* eventually(() => server.openResponses() === 1)
        yield* soon(Fiber.interrupt(fiber))
        yield* eventually(() => server.openResponses() === 0)
      }
      assert.deepStrictEqual(yield* soon(collect(Stream.take(transport.send(work()), 1))), [progress(1)])
      yield* eventually(() => server.openResponses() === 0)
      yield* Effect.sleep("30 millis")
      assert.deepStrictEqual(server.log(), ["POST tools/call", "POST tools/call", "POST tools/call"])
      yield* assertUsable(transport, "Idle")
    }))

  it.scopedLive("interrupting it before the head arrives closes its connection, too", () =>
    Effect.gen(function*() {
      const server = yield* rawServer(modern(exceptHealthy(() => {})))
      const transport = yield* connect(client, server)
      for (const { run } of ways) {
        const fiber = yield* Effect.fork(run(transport, work()))
        yield* eventually(() => server.openResponses() === 1)
        yield* soon(Fiber.interrupt(fiber))
        yield* eventually(() => server.openResponses() === 0)
      }
      yield* assertUsable(transport, "Idle")
    }))

  it.scopedLive("works after the session was terminated, by either side, and in a session that is ending", () =>
    Effect.gen(function*() {
      let held: Exchange | undefined
      const server = yield* rawServer(afterHandshake((exchange) => {
        if (exchange.message?.id === "gone") return exchange.status(404)
        if (exchange.message?.id === "held") held = exchange
        else exchange.json(answer(exchange.message?.id))
      }))
      const transport = yield* connect(client, server)
      yield* handshake(transport)
      const running = yield* Effect.fork(soon(StreamableHttpTransport.request(transport, work("held"))))
      yield* eventually(() => held !== undefined)
      yield* soon(transport.terminate)
      yield* assertSession(transport, "Terminated", sessionId)
      held?.json(answer("held"))
      assert.deepStrictEqual(
        yield* Fiber.join(running),
        JsonRpc.success("held", { content: [] }),
        "it has no session to lose"
      )
      for (const { run } of ways) {
        assert.deepStrictEqual(yield* soon(run(transport, work())), [JsonRpc.success(1, { content: [] })])
      }
      assertError(yield* failure(StreamableHttpTransport.request(transport, call(1))), "SessionTerminated", {
        by: "Client",
        outcome: "NotExecuted"
      })
      yield* soon(handshake(transport))
      assertError(yield* failure(StreamableHttpTransport.request(transport, call("gone"))), "SessionTerminated", {
        by: "Server"
      })
      for (const { run } of ways) {
        assert.deepStrictEqual(yield* soon(run(transport, work())), [JsonRpc.success(1, { content: [] })])
      }
      yield* assertSession(transport, "Terminated", sessionId)
    }))

  it.scopedLive("survives a new initialize", () =>
    Effect.gen(function*() {
      let held: Exchange | undefined
      const server = yield* rawServer(afterHandshake((exchange) => {
        held = exchange
      }))
      const transport = yield* connect(client, server)
      yield* handshake(transport)
      const running = yield* Effect.fork(soon(StreamableHttpTransport.request(transport, work("held"))))
      yield* eventually(() => held !== undefined)
      yield* soon(StreamableHttpTransport.request(transport, initializeRequest))
      held?.json(answer("held"))
      assert.deepStrictEqual(yield* Fiber.join(running), JsonRpc.success("held", { content: [] }))
      yield* assertSession(transport, "Active", sessionId)
    }))

  it.scopedLive("fails once the transport is closed, and nothing is sent", () =>
    Effect.gen(function*() {
      const server = yield* rawServer(modern(({ json, message }) => json(answer(message?.id))))
      const transport = yield* Effect.scoped(connect(client, server, { reconnect: quickly }))
      for (const { run } of ways) {
        assertError(yield* failure(run(transport, work())), "ConnectionError", {
          phase: "Closed",
          requestId: 1,
          outcome: "NotExecuted"
        })
      }
      assert.deepStrictEqual(server.log(), [])
    }))

  it.scopedLive("closing the transport ends it: ConnectionError Closed, and the server sees the stream close", () =>
    Effect.gen(function*() {
      const server = yield* rawServer(modern(({ events }) => void events().event({ data: progress(1) })))
      const running = yield* Effect.gen(function*() {
        const transport = yield* connect(client, server)
        const fiber = yield* Effect.forkDaemon(failure(collect(transport.send(work()))))
        yield* eventually(() => server.openResponses() === 1)
        return fiber
      }).pipe(Effect.scoped)
      assertError(yield* Fiber.join(running), "ConnectionError", { phase: "Closed", requestId: 1, outcome: "Unknown" })
      yield* eventually(() => server.openResponses() === 0)
      assert.deepStrictEqual(server.log(), ["POST tools/call"])
    }))
})
