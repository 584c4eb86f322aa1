import { JsonRpc, StreamableHttpTransport, type TransportError } from "@effect-mcp/transport"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Inspectable from "effect/Inspectable"
import * as Redacted from "effect/Redacted"
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
  initializeResult,
  overEveryClient,
  sessionId
} from "../support/harness.ts"
import { type Exchange, rawServer } from "../support/rawServer.ts"
import {
  arrived,
  assertTerminated,
  connectIn,
  failureOf,
  held,
  initialize,
  soon,
  stateOf
} from "../support/sessions.ts"

const { notify, request } = StreamableHttpTransport

const answerInitialize = (
  exchange: Exchange,
  options: {
    readonly id?: string | undefined
    readonly version?: unknown
    readonly sse?: boolean | undefined
  } = {}
): void => {
  const headers = options.id === undefined ? {} : { "mcp-session-id": options.id }
  const result = { ...initializeResult, protocolVersion: "version" in options ? options.version : "2025-11-25" }
  const message = { jsonrpc: "2.0", id: exchange.message?.id, result }
  if (options.sse === true) exchange.events(headers).event({ id: "i1", data: message }).end()
  else exchange.json(message, { headers })
}

const ok = (exchange: Exchange): void => exchange.json(answer(exchange.message?.id))

const deleted = (server: { readonly arrivals: ReadonlyArray<Exchange | { method: string; headers: object }> }) =>
  server.arrivals.filter(({ method }) => method === "DELETE").map(({ headers }) =>
    Reflect.get(headers, "mcp-session-id")
  )

overEveryClient("the session", (client) => {
  it.scopedLive("S1, S2, S3, S10, S28: a transport is idle and silent until the first message", () =>
    Effect.gen(function*() {
      const server = yield* rawServer(afterHandshake(ok))
      const transport = yield* connect(client, server)
      assert.deepStrictEqual(yield* stateOf(transport), { _tag: "Idle" })
      yield* Effect.sleep("30 millis")
      assert.deepStrictEqual(server.log(), [])
      assert.strictEqual(server.openSockets(), 0)
      yield* soon(handshake(transport))
      assert.deepStrictEqual(yield* stateOf(transport), { _tag: "Active", sessionId, version: "2025-11-25" })
    }))

  for (const sse of [false, true]) {
    const how = sse ? "as an event stream" : "as JSON"
    it.scopedLive(`S25, S26: id and version are stored before the initialize response is delivered, ${how}`, () =>
      Effect.gen(function*() {
        const server = yield* rawServer((exchange) =>
          exchange.method === "DELETE" ? exchange.status(200) : answerInitialize(exchange, { id: "s-1", sse })
        )
        const transport = yield* connect(client, server)
        const seen: Array<unknown> = []
        yield* soon(
          Stream.runForEach(
            transport.send(initializeRequest),
            () => Effect.map(stateOf(transport), (state) => seen.push(state))
          )
        )
        assert.deepStrictEqual(seen, [{ _tag: "Active", sessionId: "s-1", version: "2025-11-25" }])
        yield* soon(request(transport, initialize(1)))
        assert.deepStrictEqual(yield* stateOf(transport), { _tag: "Active", sessionId: "s-1", version: "2025-11-25" })
      }))

    it.scopedLive(`S27: the id and the version go on every later request, ${how}`, () =>
      Effect.gen(function*() {
        const server = yield* rawServer((exchange) => {
          if (exchange.method === "DELETE") return exchange.status(200)
          if (exchange.method === "GET") return exchange.status(405)
          if (exchange.message?.method === "initialize") {
            return answerInitialize(exchange, { id: "s-2", sse, version: "2025-06-18" })
          }
          return exchange.message?.id === undefined ? exchange.status(202) : ok(exchange)
        })
        const { close, transport } = yield* connectIn(client, server)
        yield* soon(handshake(transport))
        yield* soon(request(transport, call(1)))
        yield* soon(notify(transport, JsonRpc.success(4, {})))
        yield* soon(Stream.runDrain(transport.receive))
        yield* soon(close)
        assert.deepStrictEqual(
          server.arrivals.map(({ headers, method }) => [
            method,
            headers["mcp-session-id"],
            headers["mcp-protocol-version"]
          ]),
          [
            ["POST", undefined, undefined],
            ["POST", "s-2", "2025-06-18"],
            ["POST", "s-2", "2025-06-18"],
            ["POST", "s-2", "2025-06-18"],
            ["GET", "s-2", "2025-06-18"],
            ["DELETE", "s-2", "2025-06-18"]
          ]
        )
      }))
  }

  it.scopedLive("S22: the id is stored when the head arrives, before the body is read", () =>
    Effect.gen(function*() {
      const waiting = held()
      const server = yield* rawServer((exchange) =>
        exchange.method === "DELETE" ? exchange.status(200) : waiting.hold(exchange)
      )
      const transport = yield* connect(client, server)
      const fiber = yield* Effect.fork(request(transport, initializeRequest))
      const exchange = yield* waiting.take("initialize")
      assert.deepStrictEqual(yield* stateOf(transport), { _tag: "Idle" })
      const writer = exchange.events({ "mcp-session-id": "early" })
      yield* soon(Effect.repeat(stateOf(transport).pipe(Effect.delay("5 millis")), {
        until: ({ _tag }) => _tag === "Active"
      }))
      assert.deepStrictEqual(yield* stateOf(transport), { _tag: "Active", sessionId: "early", version: undefined })
      writer.event({ data: answer(0, initializeResult) }).end()
      yield* soon(Fiber.join(fiber))
      assert.deepStrictEqual(yield* stateOf(transport), {
        _tag: "Active",
        sessionId: "early",
        version: "2025-11-25"
      })
    }))

  const badIds: ReadonlyArray<readonly [string, string]> = [
    ["a space", "sess ion-secret"],
    ["a tab", "session\tsecret"],
    ["a character outside ASCII", "session-secr\u00e9t"]
  ]
  for (const [what, id] of badIds) {
    it.scopedLive(`S22: an id with ${what} fails initialize with InvalidSessionId and is not printed`, () =>
      Effect.gen(function*() {
        const server = yield* rawServer((exchange) => {
          if (exchange.method === "DELETE") return exchange.status(200)
          if (exchange.message?.method !== "initialize") return ok(exchange)
          answerInitialize(exchange, { id: exchange.message.id === 0 ? id : "good" })
        })
        const transport = yield* connect(client, server)
        const error = yield* failureOf(request(transport, initializeRequest))
        assert(error._tag === "ProtocolError", String(error))
        assert.strictEqual(error.reason, "InvalidSessionId")
        assert.strictEqual(error.requestId, 0)
        assert.strictEqual(error.outcome, "Unknown")
        const printed = [String(error), error.message, JSON.stringify(error), Inspectable.toStringUnknown(error)].join()
        assert.notInclude(printed, id)
        assert.notInclude(printed, "secr")
        assert.deepStrictEqual(yield* stateOf(transport), { _tag: "Idle" })
        yield* soon(request(transport, initialize(1)))
        assert.deepStrictEqual(yield* stateOf(transport), { _tag: "Active", sessionId: "good", version: "2025-11-25" })
      }))
  }

  it.scopedLive("S22: every visible ASCII character may stand in an id", () =>
    Effect.gen(function*() {
      const id = Array.from({ length: 0x7e - 0x21 + 1 }, (_, i) => String.fromCharCode(0x21 + i)).join("")
      const server = yield* rawServer((exchange) =>
        exchange.message?.method === "initialize" ? answerInitialize(exchange, { id }) : ok(exchange)
      )
      const transport = yield* connect(client, server)
      yield* soon(request(transport, initializeRequest))
      yield* soon(request(transport, call(1)))
      assert.strictEqual(server.arrivals[1]?.headers["mcp-session-id"], id)
    }))

  it.scopedLive("S22: an id on any other response is not taken", () =>
    Effect.gen(function*() {
      const server = yield* rawServer((exchange) => {
        if (exchange.method === "DELETE") return exchange.status(200)
        if (exchange.message?.method === "initialize") return answerInitialize(exchange, { id: "mine" })
        const headers = { "mcp-session-id": "smuggled" }
        if (exchange.message?.id === undefined) return exchange.status(202, "", headers)
        exchange.json(answer(exchange.message.id), { headers })
      })
      const transport = yield* connect(client, server)
      yield* soon(request(transport, call(1)))
      assert.deepStrictEqual(yield* stateOf(transport), { _tag: "Idle" })
      yield* soon(handshake(transport))
      yield* soon(request(transport, call(2)))
      assert.deepStrictEqual(yield* stateOf(transport), { _tag: "Active", sessionId: "mine", version: "2025-11-25" })
      assert.strictEqual(server.arrivals.at(-1)?.headers["mcp-session-id"], "mine")
    }))

  it.scopedLive("S22: a refused initialize gives no session, whatever headers it has", () =>
    Effect.gen(function*() {
      const server = yield* rawServer((exchange) => {
        const { message } = exchange
        const headers = { "mcp-session-id": "refused" }
        if (message?.id === 0) return exchange.status(500, "no", headers)
        if (message?.id === 1) {
          const error = { code: -32602, message: "bad version" }
          return exchange.json({ jsonrpc: "2.0", id: 1, error }, { status: 400, headers })
        }
        exchange.status(401, "", headers)
      })
      const { close, transport } = yield* connectIn(client, server)
      const error = yield* failureOf(request(transport, initialize(0)))
      assert(error._tag === "HttpStatusError", String(error))
      assert.strictEqual(error.status, 500)
      assert.deepStrictEqual(yield* soon(request(transport, initialize(1))), {
        jsonrpc: "2.0",
        id: 1,
        error: { code: -32602, message: "bad version" }
      })
      const denied = yield* failureOf(request(transport, initialize(2)))
      assert(denied._tag === "HttpStatusError", String(denied))
      assert.strictEqual(denied.outcome, "NotExecuted")
      assert.deepStrictEqual(yield* stateOf(transport), { _tag: "Idle" })
      yield* soon(close)
      assert.deepStrictEqual(server.log(), ["POST initialize", "POST initialize", "POST initialize"])
    }))

  const unusable: ReadonlyArray<readonly [string, unknown]> = [
    ["missing", undefined],
    ["a number", 20251125],
    ["empty", ""],
    ["with a line break", "2025\r\nx-evil: 1"]
  ]
  for (const [what, version] of unusable) {
    it.scopedLive(`S24: a result whose version is ${what} is delivered, and no version is sent`, () =>
      Effect.gen(function*() {
        const server = yield* rawServer((exchange) =>
          exchange.message?.method === "initialize"
            ? answerInitialize(exchange, { id: "s-3", version })
            : exchange.method === "DELETE"
            ? exchange.status(200)
            : ok(exchange)
        )
        const transport = yield* connect(client, server)
        const response = yield* soon(request(transport, initializeRequest))
        assert(JsonRpc.isSuccessResponse(response))
        assert.deepStrictEqual(yield* stateOf(transport), { _tag: "Active", sessionId: "s-3", version: undefined })
        yield* soon(request(transport, call(1)))
        assert.strictEqual(server.arrivals[1]?.headers["mcp-session-id"], "s-3")
        assert.isUndefined(server.arrivals[1]?.headers["mcp-protocol-version"])
        assert.isUndefined(server.arrivals[1]?.headers["x-evil"])
      }))
  }

  it.scopedLive("S24: a result that is no object is delivered, too", () =>
    Effect.gen(function*() {
      const server = yield* rawServer((exchange) =>
        exchange.method === "DELETE"
          ? exchange.status(200)
          : exchange.json(answer(exchange.message?.id, exchange.index === 0 ? null : "fine"), {
            headers: { "mcp-session-id": `s-${exchange.index}` }
          })
      )
      const transport = yield* connect(client, server)
      assert.deepStrictEqual(yield* soon(request(transport, initialize(0))), {
        jsonrpc: "2.0",
        id: 0,
        result: null
      })
      assert.deepStrictEqual(yield* soon(collect(transport.send(initialize(1)))), [
        { jsonrpc: "2.0", id: 1, result: "fine" }
      ])
    }))

  it.scopedLive("S24: the version is learnt from an answer on a resumed stream, too", () =>
    Effect.gen(function*() {
      const server = yield* rawServer((exchange) => {
        if (exchange.method === "DELETE") return exchange.status(200)
        if (exchange.method === "GET") {
          return exchange.events().event({ id: "2", data: answer(0, initializeResult) }).end()
        }
        if (exchange.message?.method === "initialize") {
          return exchange.events({ "mcp-session-id": "s-4" }).event({ id: "1", retry: 100, data: "" }).end()
        }
        ok(exchange)
      })
      const transport = yield* connect(client, server)
      yield* soon(request(transport, initializeRequest))
      assert.deepStrictEqual(yield* stateOf(transport), { _tag: "Active", sessionId: "s-4", version: "2025-11-25" })
      assert.deepStrictEqual(server.log(), ["POST initialize", "GET 1"])
      assert.strictEqual(server.arrivals[1]?.headers["mcp-session-id"], "s-4")
      yield* soon(request(transport, call(1)))
      assert.strictEqual(server.arrivals[2]?.headers["mcp-protocol-version"], "2025-11-25")
    }))

  it.scopedLive("S22, S77: initialize without a session id makes it Active, and nothing is to be deleted", () =>
    Effect.gen(function*() {
      const server = yield* rawServer((exchange) =>
        exchange.message?.method === "initialize" ? answerInitialize(exchange) : ok(exchange)
      )
      const { close, transport } = yield* connectIn(client, server)
      yield* soon(request(transport, initializeRequest))
      assert.deepStrictEqual(yield* stateOf(transport), {
        _tag: "Active",
        sessionId: undefined,
        version: "2025-11-25"
      })
      yield* soon(request(transport, call(1)))
      assert.isUndefined(server.arrivals[1]?.headers["mcp-session-id"])
      assert.strictEqual(server.arrivals[1]?.headers["mcp-protocol-version"], "2025-11-25")
      yield* soon(transport.terminate)
      yield* soon(request(transport, call(2)))
      yield* soon(close)
      assert.deepStrictEqual(server.log(), ["POST initialize", "POST tools/call", "POST tools/call"])
    }))

  it.scopedLive("S22: a request under way when the first initialize is answered goes on", () =>
    Effect.gen(function*() {
      const waiting = held()
      const server = yield* rawServer((exchange) => {
        if (exchange.method === "DELETE") return exchange.status(200)
        if (exchange.message?.method === "ping") return waiting.hold(exchange)
        answerInitialize(exchange, { id: "s-5" })
      })
      const transport = yield* connect(client, server)
      const ping = yield* Effect.fork(request(transport, JsonRpc.request("p", "ping")))
      const exchange = yield* waiting.take("ping")
      yield* soon(request(transport, initializeRequest))
      yield* Effect.sleep("20 millis")
      exchange.json(answer("p", {}))
      assert.deepStrictEqual(yield* soon(Fiber.join(ping)), { jsonrpc: "2.0", id: "p", result: {} })
    }))

  it.scopedLive("S21, S23: a new initialize carries no id, replaces the session and deletes the replaced one", () =>
    Effect.gen(function*() {
      const waiting = held()
      const server = yield* rawServer((exchange) => {
        const { message, method } = exchange
        if (method === "DELETE") return exchange.status(200)
        if (message?.method === "initialize") return answerInitialize(exchange, { id: `session-${String(message.id)}` })
        if (message?.method === "slow") return waiting.hold(exchange)
        return message?.id === undefined ? exchange.status(202) : ok(exchange)
      })
      const transport = yield* connect(client, server)
      yield* soon(request(transport, initialize(1)))
      const slow = yield* Effect.fork(Effect.flip(request(transport, JsonRpc.request("old", "slow"))))
      const slowToo = yield* Effect.fork(Effect.flip(collect(transport.send(JsonRpc.request("too", "slow")))))
      yield* waiting.take("slow")
      yield* waiting.take("slow")
      yield* soon(request(transport, initialize(2)))
      const expected = { sessionId: "session-1", by: "Client", outcome: "Unknown" } as const
      assertTerminated(yield* soon(Fiber.join(slow)), { ...expected, requestId: "old" })
      assertTerminated(yield* soon(Fiber.join(slowToo)), { ...expected, requestId: "too" })
      assert.deepStrictEqual(yield* stateOf(transport), {
        _tag: "Active",
        sessionId: "session-2",
        version: "2025-11-25"
      })
      yield* arrived(server, "DELETE")
      yield* soon(request(transport, call(3)))
      assert.deepStrictEqual(deleted(server), ["session-1"])
      const second = server.arrivals.filter(({ message }) => message?.method === "initialize")[1]
      assert.isUndefined(second?.headers["mcp-session-id"])
      assert.isUndefined(second?.headers["mcp-protocol-version"])
      const deletion = server.arrivals.find(({ method }) => method === "DELETE")
      assert.strictEqual(deletion?.headers["mcp-protocol-version"], "2025-11-25")
      const last = server.arrivals.findLast(({ message }) => message?.method === "tools/call")
      assert.strictEqual(last?.headers["mcp-session-id"], "session-2")
      assert.strictEqual(server.openResponses(), 0)
    }))

  it.scopedLive("S23: the replaced session goes even if its DELETE fails, and is deleted once", () =>
    Effect.gen(function*() {
      const server = yield* rawServer((exchange) => {
        const { headers, message, method } = exchange
        if (method === "DELETE") return exchange.status(headers["mcp-session-id"] === "session-1" ? 500 : 200)
        if (message?.method === "initialize") return answerInitialize(exchange, { id: `session-${String(message.id)}` })
        ok(exchange)
      })
      const { close, transport } = yield* connectIn(client, server)
      yield* soon(request(transport, initialize(1)))
      yield* soon(request(transport, initialize(2)))
      yield* soon(request(transport, call(3)))
      yield* soon(close)
      assert.deepStrictEqual(deleted(server), ["session-1", "session-2"])
    }))

  it.scopedLive("S23: a failed initialize leaves the old session as it was", () =>
    Effect.gen(function*() {
      const waiting = held()
      const server = yield* rawServer((exchange) => {
        const { message, method } = exchange
        if (method === "DELETE") return exchange.status(200)
        if (message?.method === "slow") return waiting.hold(exchange)
        if (message?.method !== "initialize") return ok(exchange)
        switch (message.id) {
          case "first":
            return answerInitialize(exchange, { id: "kept" })
          case "status":
            return exchange.status(503)
          case "gone":
            return exchange.status(404)
          case "type":
            return exchange.status(200, "<html>", { "content-type": "text/html", "mcp-session-id": "html" })
          case "accepted":
            return exchange.status(202, "", { "mcp-session-id": "accepted" })
          case "bad id":
            return answerInitialize(exchange, { id: "not good" })
          case "error": {
            const error = { code: -32603, message: "no" }
            return exchange.json({ jsonrpc: "2.0", id: message.id, error })
          }
          default:
            exchange.drop()
        }
      })
      const transport = yield* connect(client, server)
      yield* soon(request(transport, initialize("first")))
      const slow = yield* Effect.fork(request(transport, JsonRpc.request("s", "slow")))
      const exchange = yield* waiting.take("slow")
      const tags: Array<string> = []
      for (const id of ["status", "gone", "type", "accepted", "bad id", "cut"]) {
        const error: TransportError.TransportError = yield* failureOf(request(transport, initialize(id)))
        tags.push(error._tag === "ProtocolError" ? error.reason : error._tag)
        assert.strictEqual(error.requestId, id)
        assert.deepStrictEqual(yield* stateOf(transport), { _tag: "Active", sessionId: "kept", version: "2025-11-25" })
      }
      assert.deepStrictEqual(tags, [
        "HttpStatusError",
        "HttpStatusError",
        "UnexpectedContentType",
        "NoResponse",
        "InvalidSessionId",
        "ConnectionError"
      ])
      assert(JsonRpc.isErrorResponse(yield* soon(request(transport, initialize("error")))))
      assert.deepStrictEqual(yield* stateOf(transport), { _tag: "Active", sessionId: "kept", version: "2025-11-25" })
      yield* soon(request(transport, call(1)))
      assert.strictEqual(server.arrivals.at(-1)?.headers["mcp-session-id"], "kept")
      ok(exchange)
      yield* soon(Fiber.join(slow))
      assert.deepStrictEqual(deleted(server), [])
    }))

  it.scopedLive("S39, S40: a 404 to any message is SessionTerminated by Server, and nothing more is sent", () =>
    Effect.gen(function*() {
      let generation = 0
      const server = yield* rawServer((exchange) => {
        if (exchange.method === "DELETE") return exchange.status(200)
        if (exchange.message?.method === "initialize") {
          return answerInitialize(exchange, { id: `g-${++generation}` })
        }
        if (exchange.message?.method === "fine") return ok(exchange)
        exchange.status(404, "session not found")
      })
      const { close, transport } = yield* connectIn(client, server)
      const messages: ReadonlyArray<JsonRpc.Message> = [
        call("r"),
        JsonRpc.notification("notifications/progress"),
        JsonRpc.success("server-1", {}),
        JsonRpc.error("server-2", { code: -32603, message: "no" })
      ]
      for (const message of messages) {
        yield* soon(request(transport, initialize(`i-${generation}`)))
        const sessionId = `g-${generation}`
        const requestId = JsonRpc.isRequest(message) ? message.id : undefined
        const error = yield* failureOf(collect(transport.send(message)))
        assertTerminated(error, { sessionId, by: "Server", outcome: "NotExecuted", requestId })
        assert.deepStrictEqual(yield* stateOf(transport), { _tag: "Terminated", sessionId, by: "Server" })
        const before = server.arrivals.length
        for (const later of messages) {
          const requestId = JsonRpc.isRequest(later) ? later.id : undefined
          const refused = yield* failureOf(collect(transport.send(later)))
          assertTerminated(refused, { sessionId, by: "Server", outcome: "NotExecuted", requestId })
        }
        yield* soon(transport.terminate)
        assert.strictEqual(server.arrivals.length, before)
        assert.deepStrictEqual(yield* stateOf(transport), { _tag: "Terminated", sessionId, by: "Server" })
      }
      yield* soon(request(transport, initialize("last")))
      yield* soon(request(transport, JsonRpc.request(1, "fine")))
      assert.deepStrictEqual(yield* stateOf(transport), { _tag: "Active", sessionId: "g-5", version: "2025-11-25" })
      yield* soon(close)
      // What the server ended needs no DELETE, neither when it is replaced nor at the end.
      assert.deepStrictEqual(deleted(server), ["g-5"])
    }))

  it.scopedLive("S39: a 404 whose body is a JSON-RPC error is no answer while a session id is sent", () =>
    Effect.gen(function*() {
      const server = yield* rawServer(
        afterHandshake((exchange) =>
          exchange.json({ jsonrpc: "2.0", id: exchange.message?.id, error: { code: -32001, message: "gone" } }, {
            status: 404
          })
        )
      )
      const transport = yield* connect(client, server)
      yield* soon(handshake(transport))
      assertTerminated(yield* failureOf(request(transport, call(9))), {
        sessionId,
        by: "Server",
        outcome: "NotExecuted",
        requestId: 9
      })
    }))

  it.scopedLive("S39: a 404 without a session id is an ordinary status and ends nothing", () =>
    Effect.gen(function*() {
      const server = yield* rawServer((exchange) => {
        const { message } = exchange
        if (message?.method === "initialize") return answerInitialize(exchange)
        if (message?.id === "error") {
          return exchange.json({ jsonrpc: "2.0", id: null, error: { code: -32601, message: "unknown" } }, {
            status: 404
          })
        }
        return message?.id === "fine" ? ok(exchange) : exchange.status(404, "nothing here")
      })
      const transport = yield* connect(client, server)
      yield* soon(request(transport, initializeRequest))
      const error = yield* failureOf(request(transport, call(1)))
      assert(error._tag === "HttpStatusError", String(error))
      assert.strictEqual(error.status, 404)
      assert.strictEqual(error.body, "nothing here")
      assert.strictEqual(error.outcome, "Unknown")
      assert.deepStrictEqual(yield* soon(request(transport, call("error"))), {
        jsonrpc: "2.0",
        id: "error",
        error: { code: -32601, message: "unknown" }
      })
      yield* soon(request(transport, call("fine")))
      assert.deepStrictEqual(yield* stateOf(transport), {
        _tag: "Active",
        sessionId: undefined,
        version: "2025-11-25"
      })
    }))

  it.scopedLive("S40: a late 404 of an old session ends its own message and not the new session", () =>
    Effect.gen(function*() {
      const waiting = held()
      let generation = 0
      const server = yield* rawServer((exchange) => {
        const { message, method } = exchange
        if (method === "DELETE") return exchange.status(200)
        if (message?.method === "initialize") return answerInitialize(exchange, { id: `g-${++generation}` })
        if (message?.method === "late") return waiting.hold(exchange)
        return message?.id === "gone" ? exchange.status(404) : ok(exchange)
      })
      const transport = yield* connect(client, server)
      yield* soon(request(transport, initialize(1)))
      const late = yield* Effect.fork(Effect.flip(request(transport, JsonRpc.request("l", "late"))))
      const survivor = yield* Effect.fork(request(transport, JsonRpc.request("s", "late")))
      const first = yield* waiting.take("late")
      const second = yield* waiting.take("late")
      assertTerminated(yield* failureOf(request(transport, call("gone"))), {
        sessionId: "g-1",
        by: "Server",
        outcome: "NotExecuted",
        requestId: "gone"
      })
      yield* soon(request(transport, initialize(2)))
      const byId = (id: string) => first.message?.id === id ? first : second
      byId("l").status(404)
      assertTerminated(yield* soon(Fiber.join(late)), {
        sessionId: "g-1",
        by: "Server",
        outcome: "NotExecuted",
        requestId: "l"
      })
      // One message's 404 does not touch what else still runs.
      ok(byId("s"))
      assert.strictEqual((yield* soon(Fiber.join(survivor))).id, "s")
      assert.deepStrictEqual(yield* stateOf(transport), { _tag: "Active", sessionId: "g-2", version: "2025-11-25" })
      yield* soon(request(transport, call(3)))
      assert.strictEqual(server.arrivals.at(-1)?.headers["mcp-session-id"], "g-2")
    }))

  it.scopedLive("S6: an adopted session sends its headers at once and no initialize", () =>
    Effect.gen(function*() {
      const server = yield* rawServer(afterHandshake(ok))
      const session = { sessionId: Redacted.make("adopted-1"), protocolVersion: "2025-06-18" }
      const { close, transport } = yield* connectIn(client, server, { session })
      assert.deepStrictEqual(yield* stateOf(transport), {
        _tag: "Active",
        sessionId: "adopted-1",
        version: "2025-06-18"
      })
      yield* Effect.sleep("20 millis")
      assert.deepStrictEqual(server.log(), [])
      yield* soon(request(transport, call(1)))
      yield* soon(Stream.runDrain(transport.receive))
      yield* soon(close)
      assert.deepStrictEqual(server.log(), ["POST tools/call", "GET", "DELETE"])
      for (const { headers } of server.arrivals) {
        assert.strictEqual(headers["mcp-session-id"], "adopted-1")
        assert.strictEqual(headers["mcp-protocol-version"], "2025-06-18")
      }
    }))

  it.scopedLive("S6: with terminateOnClose false a session stays open and is taken up by a second transport", () =>
    Effect.gen(function*() {
      const server = yield* rawServer(afterHandshake(ok))
      const first = yield* connectIn(client, server, { terminateOnClose: false })
      yield* soon(handshake(first.transport))
      const state = yield* first.transport.session
      yield* soon(first.close)
      assert.notInclude(server.log(), "DELETE")
      assert(state._tag === "Active" && state.sessionId._tag === "Some" && state.protocolVersion._tag === "Some")
      const session = { sessionId: state.sessionId.value, protocolVersion: state.protocolVersion.value }
      const second = yield* connectIn(client, server, { session })
      yield* soon(request(second.transport, call(2)))
      assert.strictEqual(server.arrivals.at(-1)?.headers["mcp-session-id"], sessionId)
      yield* soon(second.close)
      assert.deepStrictEqual(server.log(), [
        "POST initialize",
        "POST notifications/initialized",
        "POST tools/call",
        "DELETE"
      ])
    }))

  it.scopedLive("S6, S23: with terminateOnClose false a replaced session is still deleted", () =>
    Effect.gen(function*() {
      let generation = 0
      const server = yield* rawServer((exchange) =>
        exchange.method === "DELETE" ? exchange.status(200) : answerInitialize(exchange, { id: `g-${++generation}` })
      )
      const { close, transport } = yield* connectIn(client, server, { terminateOnClose: false })
      yield* soon(request(transport, initialize(1)))
      yield* soon(request(transport, initialize(2)))
      yield* arrived(server, "DELETE")
      yield* soon(close)
      assert.deepStrictEqual(deleted(server), ["g-1"])
    }))

  it.scopedLive("S10: concurrent requests share the session", () =>
    Effect.gen(function*() {
      const server = yield* rawServer(afterHandshake(ok))
      const transport = yield* connect(client, server)
      yield* soon(handshake(transport))
      const ids = Array.from({ length: 20 }, (_, i) => i + 1)
      const answers = yield* soon(Effect.forEach(ids, (id) => request(transport, call(id)), {
        concurrency: "unbounded"
      }))
      assert.deepStrictEqual(answers.map(({ id }) => id), ids)
      yield* eventually(() => server.arrivals.length === 22)
      assert.isTrue(server.arrivals.slice(1).every(({ headers }) => headers["mcp-session-id"] === sessionId))
    }))

  it.scopedLive("S5: a session id never follows a redirect to another origin", () =>
    Effect.gen(function*() {
      const other = yield* rawServer(ok)
      const server = yield* rawServer(afterHandshake((exchange) =>
        exchange.message?.id === "away"
          ? exchange.status(307, "", { location: `${other.origin}/mcp` })
          : exchange.path === "/mcp"
          ? exchange.status(308, "", { location: "/moved" })
          : ok(exchange)
      ))
      const transport = yield* connect(client, server, { headers: { authorization: "Bearer token-77" } })
      yield* soon(handshake(transport))
      const error = yield* failureOf(request(transport, call("away")))
      assert(error._tag === "HttpStatusError", String(error))
      assert.strictEqual(error.status, 307)
      assert.strictEqual(error.location, `${other.origin}/mcp`)
      assert.strictEqual(error.outcome, "NotExecuted")
      assert.deepStrictEqual(other.log(), [])
      yield* soon(request(transport, call("near")))
      const moved = server.arrivals.at(-1)
      assert.strictEqual(moved?.path, "/moved")
      assert.strictEqual(moved?.headers["mcp-session-id"], sessionId)
      assert.deepStrictEqual(JSON.parse(moved?.body ?? ""), call("near"))
    }))
})

describe("the state of a session", () => {
  it.scopedLive("S3, S81: the session id of the state does not print", () =>
    Effect.gen(function*() {
      const server = yield* rawServer(afterHandshake(ok))
      const transport = yield* connect(
        { name: "fetch", layer: (yield* Effect.promise(() => import("@effect/platform/FetchHttpClient"))).layer },
        server
      )
      yield* soon(handshake(transport))
      const state = yield* transport.session
      assert.notInclude(JSON.stringify(state), sessionId)
      assert.notInclude(Inspectable.toStringUnknown(state), sessionId)
    }))
})
