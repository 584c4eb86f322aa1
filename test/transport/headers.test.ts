import { HttpExchange, JsonRpc, StreamableHttpTransport } from "@effect-mcp/transport"
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import {
  afterHandshake,
  answer,
  call,
  type Client,
  collect,
  connect,
  handshake,
  initializeRequest,
  initializeResult,
  overEveryClient,
  progress,
  quickly,
  sessionId
} from "../support/harness.ts"
import { type Arrival, type Exchange, type RawServer, rawServer } from "../support/rawServer.ts"
import {
  arrivalOf,
  arrived,
  assertError,
  assertSession,
  assertUsable,
  exceptHealthy,
  failure,
  occurrences,
  soon,
  ways
} from "../support/sending.ts"

/** Breaks the stream of every call after its first event; GETs answer it, or stay open as the server's stream. */
const breaking = ({ events, message, method, ...exchange }: Exchange): void => {
  if (method === "POST" && message?.method === "tools/call") {
    events().event({ id: `${message.id}-cursor`, data: progress(1) }).cut()
  } else if (method === "GET") {
    const cursor = exchange.headers["last-event-id"]
    if (cursor === undefined) events().raw(": open\n\n")
    else events().event({ id: `${cursor}2`, data: answer(Number.parseInt(String(cursor), 10)) }).end()
  } else exchange.status(202)
}

/** A whole life: handshake, the server's stream, a call that is resumed, a notification, the end. */
const life = (
  client: Client,
  options: Partial<StreamableHttpTransport.Options> = {},
  send: StreamableHttpTransport.SendOptions = {}
): Effect.Effect<{ readonly server: RawServer; readonly by: (kind: string) => Arrival }> =>
  Effect.gen(function*() {
    const server = yield* rawServer(afterHandshake(breaking, { get: true }))
    yield* Effect.gen(function*() {
      const transport = yield* connect(client, server, options)
      yield* handshake(transport)
      yield* Effect.forkScoped(Stream.runDrain(transport.receive))
      yield* arrived(server, 3)
      yield* soon(collect(transport.send(call(1), send)))
      yield* StreamableHttpTransport.notify(transport, progress(1))
      yield* StreamableHttpTransport.notify(transport, JsonRpc.success("q", {}))
    }).pipe(Effect.scoped, Effect.orDie)
    assert.deepStrictEqual(server.log(), [
      "POST initialize",
      "POST notifications/initialized",
      "GET",
      "POST tools/call",
      "GET 1-cursor",
      "POST notifications/progress",
      "POST response",
      "DELETE"
    ])
    const by = (kind: string): Arrival => arrivalOf(server.arrivals, server.log().indexOf(kind))
    return { server, by }
  }).pipe(Effect.scoped)

overEveryClient("headers", (client) => {
  it.live("S17, S19: one Accept line per method, and a content type only where there is a body", () =>
    Effect.gen(function*() {
      const { server } = yield* life(client)
      for (const arrival of server.arrivals) {
        const { headers, method } = arrival
        if (method === "POST") {
          assert.strictEqual(headers.accept, "application/json, text/event-stream")
          assert.strictEqual(headers["content-type"], "application/json")
          assert.strictEqual(occurrences(arrival, "content-type"), 1)
          assert.strictEqual(headers["content-length"], String(Buffer.byteLength(arrival.body)))
        } else {
          assert.isUndefined(headers["content-type"], method)
          assert.include([undefined, "0"], headers["content-length"])
          assert.isUndefined(headers["transfer-encoding"])
          assert.strictEqual(arrival.body, "")
        }
        if (method === "GET") assert.strictEqual(headers.accept, "text/event-stream")
        if (method === "DELETE") assert.include([undefined, "*/*"], headers.accept, "a DELETE has no wish of its own")
        assert.isAtMost(occurrences(arrival, "accept"), 1, method)
        assert.strictEqual(headers["accept-encoding"], "identity", method)
        for (const name of arrival.rawHeaders.filter((_, index) => index % 2 === 0)) {
          assert.strictEqual(occurrences(arrival, name.toLowerCase()), 1, `${method} ${name}`)
        }
      }
    }))

  it.live("S17, S27: session id and version on everything after the handshake's first message", () =>
    Effect.gen(function*() {
      const { server } = yield* life(client)
      const [first, ...others] = server.arrivals
      assert.isUndefined(first?.headers["mcp-session-id"])
      assert.isUndefined(first?.headers["mcp-protocol-version"])
      assert.strictEqual(others.length, 7)
      for (const { headers, method } of others) {
        assert.strictEqual(headers["mcp-session-id"], sessionId, method)
        assert.strictEqual(headers["mcp-protocol-version"], "2025-11-25", method)
        assert.isUndefined(headers["mcp-method"])
        assert.isUndefined(headers["mcp-name"])
      }
    }))

  it.live("S18: the user's headers go out on every POST, GET and DELETE, merged without regard to case", () =>
    Effect.gen(function*() {
      const { server } = yield* life(client, {
        headers: {
          "X-Team": "blue",
          "X-Empty": "",
          "X-Absent": undefined,
          Authorization: "Bearer t",
          "x-latin": "caf\u00e9\tau lait",
          "user-agent": "mine/1.0",
          cookie: "a=b; c=d"
        }
      })
      for (const { headers, method } of server.arrivals) {
        assert.strictEqual(headers["x-team"], "blue", method)
        assert.strictEqual(headers["x-empty"], "", method)
        assert.isUndefined(headers["x-absent"])
        assert.strictEqual(headers.authorization, "Bearer t", method)
        assert.strictEqual(headers["x-latin"], "caf\u00e9\tau lait", method)
        assert.strictEqual(headers["user-agent"], "mine/1.0", method)
        assert.strictEqual(headers.cookie, "a=b; c=d", method)
      }
    }))

  it.live("S18: names that MCP defines are left out, in whatever case they are given, for all and for one message", () =>
    Effect.gen(function*() {
      const forged = {
        Accept: "text/html",
        "CONTENT-TYPE": "text/plain",
        "content-Length": "3",
        "Last-Event-ID": "forged",
        "Mcp-Session-Id": "forged",
        "MCP-Protocol-Version": "forged",
        "Mcp-Method": "forged",
        "mcp-NAME": "forged"
      }
      const { server } = yield* life(client, { headers: forged }, { headers: forged })
      for (const { headers, method, rawHeaders } of server.arrivals) {
        assert.notInclude(rawHeaders.join("\n"), "forged", method)
        assert.notInclude(rawHeaders.join("\n"), "text/html", method)
        assert.notInclude(rawHeaders.join("\n"), "text/plain", method)
        assert.notStrictEqual(headers["content-length"], "3")
      }
      assert.deepStrictEqual(server.arrivals.map(({ headers }) => headers["last-event-id"]), [
        undefined,
        undefined,
        undefined,
        undefined,
        "1-cursor",
        undefined,
        undefined,
        undefined
      ])
    }))

  it.live("S18: headers of one message are on its POST and its resuming GET, and nowhere else", () =>
    Effect.gen(function*() {
      const { by, server } = yield* life(
        client,
        { headers: { "x-who": "everyone", "x-kept": "kept" } },
        { headers: [["X-Who", "this one"], ["x-only", "here"]] }
      )
      for (const arrival of server.arrivals) {
        const isOwn = arrival === by("POST tools/call") || arrival === by("GET 1-cursor")
        assert.strictEqual(arrival.headers["x-who"], isOwn ? "this one" : "everyone")
        assert.strictEqual(arrival.headers["x-only"], isOwn ? "here" : undefined)
        assert.strictEqual(arrival.headers["x-kept"], "kept")
      }
    }))

  it.scopedLive("S18: headers of one message on initialize, a notification, a response and an explicit resumption", () =>
    Effect.gen(function*() {
      const server = yield* rawServer(afterHandshake(breaking, { get: true }))
      const transport = yield* connect(client, server)
      const options = { headers: { "x-one": "1" } }
      yield* StreamableHttpTransport.request(transport, initializeRequest, options)
      yield* StreamableHttpTransport.notify(transport, JsonRpc.notification("notifications/initialized"), options)
      yield* StreamableHttpTransport.notify(transport, JsonRpc.success("q", {}), options)
      for (const { run } of ways) yield* soon(run(transport, call(4), { ...options, resumptionToken: "4-old" }))
      assert.deepStrictEqual(server.arrivals.map(({ headers }) => headers["x-one"]), ["1", "1", "1", "1", "1"])
      assert.deepStrictEqual(server.log().slice(3), ["GET 4-old", "GET 4-old"])
    }))

  it.scopedLive("S21: a second initialize carries neither session id nor version, and its DELETE those of the old one", () =>
    Effect.gen(function*() {
      let count = 0
      const server = yield* rawServer(({ json, message, method, status }) => {
        if (message?.method !== "initialize") return status(method === "POST" ? 202 : 200)
        count++
        const result = { ...initializeResult, protocolVersion: count === 1 ? "2025-06-18" : "2025-11-25" }
        json(answer(message.id, result), { headers: { "mcp-session-id": `s${count}` } })
      })
      const transport = yield* connect(client, server, { headers: { "x-user": "u" } })
      const options = { headers: { "x-one": "1" } }
      yield* soon(StreamableHttpTransport.request(transport, initializeRequest))
      yield* soon(StreamableHttpTransport.notify(transport, progress(1)))
      yield* soon(StreamableHttpTransport.request(transport, initializeRequest, options))
      yield* arrived(server, 4)
      yield* soon(StreamableHttpTransport.notify(transport, progress(1)))
      const seen = server.arrivals.map(({ headers, method }) => [
        method,
        headers["mcp-session-id"],
        headers["mcp-protocol-version"],
        headers["x-user"],
        headers["x-one"]
      ])
      assert.deepStrictEqual(seen, [
        ["POST", undefined, undefined, "u", undefined],
        ["POST", "s1", "2025-06-18", "u", undefined],
        ["POST", undefined, undefined, "u", "1"],
        ["DELETE", "s1", "2025-06-18", "u", undefined],
        ["POST", "s2", "2025-11-25", "u", undefined]
      ])
      yield* assertSession(transport, "Active", "s2")
    }))

  it.scopedLive("S27: without a session id the version alone goes out", () =>
    Effect.gen(function*() {
      const server = yield* rawServer(({ json, message, status }) =>
        message?.method === "initialize" ? json(answer(message.id, initializeResult)) : status(202)
      )
      const transport = yield* connect(client, server)
      yield* handshake(transport)
      const { headers } = arrivalOf(server.arrivals, 1)
      assert.strictEqual(headers["mcp-protocol-version"], "2025-11-25")
      assert.isUndefined(headers["mcp-session-id"])
    }))

  it.scopedLive("S27: an adopted session brings its id and version, from the first message on", () =>
    Effect.gen(function*() {
      const server = yield* rawServer(exceptHealthy(({ method, status }) => status(method === "GET" ? 405 : 202)))
      const transport = yield* connect(client, server, {
        session: { sessionId: Redacted.make("elsewhere"), protocolVersion: "2025-06-18" }
      })
      yield* assertUsable(transport, "Active", "elsewhere")
      yield* soon(Stream.runDrain(transport.receive))
      yield* soon(transport.terminate)
      assert.deepStrictEqual(server.log(), ["POST ping", "GET", "DELETE"])
      for (const { headers } of server.arrivals) {
        assert.strictEqual(headers["mcp-session-id"], "elsewhere")
        assert.strictEqual(headers["mcp-protocol-version"], "2025-06-18")
      }
    }))

  it.live("S18: headers that a decorated client adds go out on all methods", () =>
    Effect.gen(function*() {
      const decorated = Layer.effect(
        HttpClient.HttpClient,
        Effect.map(HttpClient.HttpClient, HttpClient.mapRequest(HttpClientRequest.setHeader("x-client", "decorated")))
      ).pipe(Layer.provide(client.layer))
      const { server } = yield* life({ name: "decorated", layer: decorated })
      for (const { headers, method } of server.arrivals) assert.strictEqual(headers["x-client"], "decorated", method)
    }))

  it.live("S20: a client that makes up its headers is asked anew for every exchange, reconnects included", () =>
    Effect.gen(function*() {
      let count = 0
      const counting = HttpClient.mapRequestEffect((request) =>
        Effect.sync(() => HttpClientRequest.setHeader(request, "authorization", `Bearer t${++count}`))
      )
      const decorated = Layer.effect(HttpClient.HttpClient, Effect.map(HttpClient.HttpClient, counting)).pipe(
        Layer.provide(client.layer)
      )
      const { server } = yield* life({ name: "counting", layer: decorated })
      const seen = server.arrivals.map(({ headers }) => headers.authorization)
      assert.deepStrictEqual(seen, ["t1", "t2", "t3", "t4", "t5", "t6", "t7", "t8"].map((token) => `Bearer ${token}`))
    }))

  it.scopedLive("S41: a client that fails on statuses by itself is mapped back", () =>
    Effect.gen(function*() {
      let status = 500
      const server = yield* rawServer(afterHandshake(exceptHealthy((exchange) =>
        exchange.status(status, JSON.stringify(JsonRpc.error(null, { code: 5, message: "five" })))
      )))
      const decorated = Layer.effect(
        HttpClient.HttpClient,
        Effect.map(HttpClient.HttpClient, HttpClient.filterStatusOk)
      ).pipe(Layer.provide(client.layer))
      const transport = yield* connect({ name: "filtering", layer: decorated }, server)
      yield* handshake(transport)
      for (const { run } of ways) {
        status = 500
        assert.deepStrictEqual(yield* soon(run(transport, call(1))), [JsonRpc.error(1, { code: 5, message: "five" })])
        status = 403
        assertError(yield* failure(run(transport, call(1))), "HttpStatusError", {
          status: 403,
          error: { code: 5, message: "five" },
          requestId: 1,
          outcome: "Unknown"
        })
      }
      yield* assertUsable(transport, "Active", sessionId)
    }))

  it.scopedLive("S17: an accept-encoding of the user's own is sent as it is", () =>
    Effect.gen(function*() {
      const server = yield* rawServer(afterHandshake(({ status }) => status(202)))
      const transport = yield* connect(client, server, { headers: { "accept-encoding": "gzip, deflate" } })
      yield* StreamableHttpTransport.notify(transport, progress(1))
      const arrival = arrivalOf(server.arrivals, 0)
      assert.strictEqual(arrival.headers["accept-encoding"], "gzip, deflate")
      assert.strictEqual(occurrences(arrival, "accept-encoding"), 1)
    }))

  const invalid: ReadonlyArray<readonly [string, string]> = [
    ["x-secret", "sesame\r\nx-evil: 1"],
    ["x-secret", "sesame\nx-evil: 1"],
    ["x-secret", "sesame\u0000"],
    ["x-secret", "sesame\u007f"],
    ["x-secret", "sesame 世界"],
    ["x-secret", "sesame \u0100"],
    ["x secret", "sesame"],
    ["x-secret:", "sesame"],
    ["x-secret\r\nx-evil", "sesame"],
    ["x-sécret", "sesame"],
    ["", "sesame"]
  ]

  it.scopedLive("S17: a header of one message that HTTP cannot carry is refused, its value not shown, nothing sent", () =>
    Effect.gen(function*() {
      const server = yield* rawServer(afterHandshake(exceptHealthy(({ status }) => status(202))))
      const transport = yield* connect(client, server)
      yield* handshake(transport)
      for (const [name, value] of invalid) {
        const options = { headers: { "x-fine": "fine", [name]: value } }
        for (const { run } of ways) {
          const error = yield* failure(run(transport, call("id"), options))
          assertError(error, "ProtocolError", { reason: "InvalidMessage", requestId: "id", outcome: "NotExecuted" })
          const shown = `${error} ${error.message} ${error.stack} ${JSON.stringify(error)}`
          assert.notInclude(shown, "sesame")
          assert.include(error.message, JSON.stringify(name.toLowerCase()))
        }
        const error = yield* failure(StreamableHttpTransport.notify(transport, progress(1), options))
        assertError(error, "ProtocolError", { reason: "InvalidMessage", outcome: "NotExecuted", requestId: undefined })
      }
      assert.deepStrictEqual(server.log(), ["POST initialize", "POST notifications/initialized"])
      yield* assertUsable(transport, "Active", sessionId)
    }))

  it.scopedLive("S17: a header for all messages that HTTP cannot carry is refused when the transport is made", () =>
    Effect.gen(function*() {
      const context = yield* Layer.build(client.layer)
      for (const [name, value] of invalid) {
        const error = yield* StreamableHttpTransport.make({
          url: "http://127.0.0.1:1/mcp",
          headers: { "x-fine": "fine", [name]: value }
        }).pipe(Effect.provide(context), failure)
        assert.strictEqual(error._tag, "InvalidOptions")
        assert.strictEqual(error.option, "headers")
        assert.notInclude(`${error} ${error.message} ${JSON.stringify(error)}`, "sesame")
      }
    }))
})

it.scopedLive("S18: over fetch, the user's RequestInit headers go out on all methods and never win over MCP's", () =>
  Effect.gen(function*() {
    const init: RequestInit = {
      headers: { "x-init": "yes", accept: "text/html", "content-type": "text/plain" },
      redirect: "follow",
      method: "PUT",
      body: "not this"
    }
    const providers: ReadonlyArray<Layer.Layer<HttpExchange.HttpExchange>> = [
      HttpExchange.layerHttpClient.pipe(
        Layer.provide([FetchHttpClient.layer, Layer.succeed(FetchHttpClient.RequestInit, init)])
      ),
      HttpExchange.layerFetch(init)
    ]
    for (const provider of providers) {
      const server = yield* rawServer(afterHandshake(breaking, { get: true }))
      yield* Effect.gen(function*() {
        const transport = yield* StreamableHttpTransport.makeExchange({ url: server.url, reconnect: quickly })
        yield* handshake(transport)
        yield* soon(collect(transport.send(call(1))))
      }).pipe(Effect.scoped, Effect.provide(provider))
      assert.deepStrictEqual(server.log(), [
        "POST initialize",
        "POST notifications/initialized",
        "POST tools/call",
        "GET 1-cursor",
        "DELETE"
      ])
      for (const arrival of server.arrivals) {
        const { headers, method, body } = arrival
        assert.strictEqual(headers["x-init"], "yes", method)
        assert.notStrictEqual(body, "not this")
        assert.strictEqual(occurrences(arrival, "accept"), 1)
        if (method === "POST") {
          assert.strictEqual(headers.accept, "application/json, text/event-stream")
          assert.strictEqual(headers["content-type"], "application/json")
        }
        if (method === "GET") assert.strictEqual(headers.accept, "text/event-stream")
      }
    }
  }))
