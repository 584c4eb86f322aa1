import { ScriptedServer } from "@effect-mcp/testing"
import { HttpExchange, JsonRpc, StreamableHttpTransport } from "@effect-mcp/transport"
import * as HttpClient from "@effect/platform/HttpClient"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import { inspect } from "node:util"
import { neverSent } from "../../packages/transport/src/internal/outcome.ts"
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
  sessionId
} from "../support/harness.ts"
import { rawServer } from "../support/rawServer.ts"
import { failureOf, soon } from "../support/sessions.ts"

overEveryClient("where nothing can be interrupted", (client) => {
  const uninterruptible = (transport: StreamableHttpTransport.Service) =>
    soon(Effect.disconnect(Effect.uninterruptible(StreamableHttpTransport.request(transport, call()))))

  it.scopedLive("a request with a limit, an idle timeout and a break ends as anywhere", () =>
    Effect.gen(function*() {
      const server = yield* rawServer(afterHandshake(({ events, message, method }) => {
        if (method === "POST") return events().event({ id: "e1", data: progress(1) }).end()
        events().event({ id: "e2", data: answer(message?.id ?? 1) }).end()
      }, { get: true }))
      const transport = yield* connect(client, server, { maxConcurrentRequests: 2, idleTimeout: "10 seconds" })
      assert.strictEqual((yield* uninterruptible(transport)).id, 1)
    }))

  it.scopedLive("so does one that is repeated", () =>
    Effect.gen(function*() {
      let isBusy = true
      const server = yield* rawServer(({ json, message, status }) => {
        if (!isBusy) return json(answer(message?.id))
        isBusy = false
        status(429)
      })
      const transport = yield* connect(client, server, { overload: Schedule.recurs(1) })
      assert.strictEqual((yield* uninterruptible(transport)).id, 1)
    }))
})

overEveryClient("JSON nested too deep", (client) => {
  const deep = "[".repeat(100_000) + "]".repeat(100_000)

  it.scopedLive("is a typed failure, wherever it comes", () =>
    Effect.gen(function*() {
      const server = yield* rawServer(({ events, json, message, status }) => {
        if (message?.id === 1) return json(deep)
        if (message?.id === 2) return status(500, deep, { "content-type": "application/json" })
        events().event({ data: deep }).event({ data: answer(3) }).end()
      })
      const transport = yield* connect(client, server)
      assert.strictEqual((yield* soon(failureOf(collect(transport.send(call(1))))))._tag, "ProtocolError")
      assert.strictEqual((yield* soon(failureOf(collect(transport.send(call(2))))))._tag, "HttpStatusError")
      assert.strictEqual((yield* soon(collect(transport.send(call(3))))).length, 1)
    }))
})

overEveryClient("sessions", (client) => {
  it.scopedLive("the same id given again is the same session: no DELETE", () =>
    Effect.gen(function*() {
      const server = yield* rawServer(afterHandshake(({ json, message }) => json(answer(message?.id))))
      const transport = yield* connect(client, server)
      yield* handshake(transport)
      yield* handshake(transport)
      yield* collect(transport.send(call()))
      assert.notInclude(server.log(), "DELETE")
      assert.strictEqual(server.arrivals.at(-1)?.headers["mcp-session-id"], sessionId)
    }))

  it.scopedLive("what receive did not take of an old session is not handed over in the new one", () =>
    Effect.gen(function*() {
      let opened = 0
      const server = yield* rawServer((exchange) => {
        const { events, headers, json, message, method, status } = exchange
        if (method === "DELETE") return status(200)
        if (method === "GET") {
          const of = headers["mcp-session-id"]
          events().event({ data: JsonRpc.notification(`${of}/1`) }).event({ data: JsonRpc.notification(`${of}/2`) })
          return
        }
        if (message?.method !== "initialize") return status(202)
        const result = { protocolVersion: "2025-11-25" }
        json(answer(message.id, result), { headers: { "mcp-session-id": `s${++opened}` } })
      })
      const transport = yield* connect(client, server)
      const first = Stream.runCollect(Stream.take(transport.receive, 1))
      yield* handshake(transport)
      assert.deepStrictEqual(Array.from(yield* soon(first)), [JsonRpc.notification("s1/1")])
      yield* handshake(transport)
      assert.deepStrictEqual(Array.from(yield* soon(first)), [JsonRpc.notification("s2/1")])
    }))

  it.scopedLive("initialize goes on with no session but its own", () =>
    Effect.gen(function*() {
      const server = yield* rawServer(({ events, message, method, status }) => {
        if (method === "DELETE") return status(200)
        if (method === "GET") return events().event({ data: answer(0, { protocolVersion: "2025-11-25" }) }).end()
        if (message?.method === "initialize") return events().event({ id: "e1", data: "" }).end()
        status(202)
      })
      const session = { sessionId: "adopted", protocolVersion: "2025-11-25" }
      const transport = yield* connect(client, server, { session })
      yield* transport.terminate
      yield* soon(StreamableHttpTransport.request(transport, initializeRequest))
      const resumed = server.arrivals.find(({ method }) => method === "GET")
      assert.strictEqual(resumed?.headers["mcp-session-id"], undefined)
      assert.strictEqual(resumed?.headers["last-event-id"], "e1")
    }))
})

describe("an exchange", () => {
  it.scopedLive("whose scope closes first tells all who wait for it", () =>
    Effect.gen(function*() {
      const server = yield* rawServer(({ events }) => {
        events().event({ data: progress(1) })
      })
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(HttpExchange.layerFetch(), scope)
      const transport = yield* StreamableHttpTransport.makeExchange({ url: server.url }).pipe(Effect.provide(context))
      const fiber = yield* Effect.fork(failureOf(collect(transport.send(call()))))
      yield* eventually(() => server.openResponses() === 1)
      yield* Effect.sleep("20 millis")
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual((yield* soon(Fiber.join(fiber)))._tag, "ConnectionError")
      const late = yield* soon(failureOf(collect(transport.send(call(2)))))
      assert.strictEqual(late.outcome, "NotExecuted")
    }))

  it.scopedLive("that cannot be interrupted does not hold up the end", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const slow: HttpExchange.Service = {
        open: () => Effect.uninterruptible(Effect.zipRight(Effect.sleep("3 seconds"), Effect.die("late")))
      }
      yield* StreamableHttpTransport.makeExchange({
        url: "http://127.0.0.1/mcp",
        session: { sessionId: "s", protocolVersion: "2025-11-25" },
        terminateTimeout: "50 millis"
      }).pipe(Effect.provideService(HttpExchange.HttpExchange, slow), Scope.extend(scope))
      yield* Scope.close(scope, Exit.void).pipe(Effect.timeout("1 second"))
    }))

  it.scopedLive("whose errors carry a request shows nothing of it", () =>
    Effect.gen(function*() {
      const cause = Object.assign(new Error("boom"), {
        config: { headers: { authorization: "Bearer TOPSECRET" } },
        code: "E_X"
      })
      const failing: HttpExchange.Service = {
        open: () => Effect.fail(new HttpExchange.ExchangeError({ sent: true, cause }))
      }
      const transport = yield* StreamableHttpTransport.makeExchange({ url: "http://127.0.0.1/mcp" }).pipe(
        Effect.provideService(HttpExchange.HttpExchange, failing)
      )
      const error = yield* failureOf(collect(transport.send(call())))
      assert.notInclude(inspect(error, { depth: 10, showHidden: true }), "TOPSECRET")
      assert(error._tag === "ConnectionError")
      assert.include(error.message, "boom")
      assert.strictEqual(Reflect.get(Object(error.cause), "code"), "E_X")
    }))
})

it("a connection that stood is no connection that was never made", () => {
  const failed = (code: string, syscall: string) => neverSent(Object.assign(new Error(code), { code, syscall }))
  assert.isTrue(failed("ECONNREFUSED", "connect"))
  assert.isTrue(failed("EHOSTUNREACH", "connect"))
  assert.isFalse(failed("EHOSTUNREACH", "read"))
  assert.isFalse(failed("ENETUNREACH", "write"))
})

it.scoped("a short answer that comes bit by bit is no silence", () =>
  Effect.gen(function*() {
    const response = JsonRpc.success(1, { content: [] })
    const body = JsonRpc.encode(response)
    const { client, server } = yield* ScriptedServer.makeHttpClient([
      ScriptedServer.on(
        { message: "tools/call" },
        ScriptedServer.respond(200, [
          ScriptedServer.bytes(body.slice(0, 5)),
          ScriptedServer.pause("6 seconds"),
          ScriptedServer.bytes(body.slice(5, 10)),
          ScriptedServer.pause("6 seconds"),
          ScriptedServer.bytes(body.slice(10))
        ], { headers: { "content-type": "application/json", "content-length": String(body.length) } })
      )
    ])
    const transport = yield* StreamableHttpTransport.make({ url: server.url, idleTimeout: "10 seconds" }).pipe(
      Effect.provideService(HttpClient.HttpClient, client)
    )
    const fiber = yield* Effect.fork(StreamableHttpTransport.request(transport, call()))
    for (let second = 0; second < 14; second++) {
      yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
      yield* TestClock.adjust("1 second")
    }
    assert.deepStrictEqual(yield* Fiber.join(fiber), response)
  }))
