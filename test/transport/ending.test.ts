import { HttpExchange, JsonRpc, StreamableHttpTransport } from "@effect-mcp/transport"
import * as Headers from "@effect/platform/Headers"
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Supervisor from "effect/Supervisor"
import * as TestClock from "effect/TestClock"
import { spawn } from "node:child_process"
import { fileURLToPath } from "node:url"
import {
  afterHandshake,
  answer,
  call,
  type Client,
  clients,
  collect,
  connect,
  eventually,
  handshake,
  initializeRequest,
  initializeResult,
  overEveryClient,
  progress,
  sessionId
} from "../support/harness.ts"
import { type Exchange, type RawServer, rawServer } from "../support/rawServer.ts"
import {
  arrived,
  assertTerminated,
  connectIn,
  failureOf,
  held,
  initialize,
  recordLogs,
  soon,
  stateOf
} from "../support/sessions.ts"

const { notify, request } = StreamableHttpTransport

const ok = (exchange: Exchange): void => exchange.json(answer(exchange.message?.id))

/** A server with sessions whose DELETE is for the test. */
const withDelete = (onDelete: (exchange: Exchange) => void, handle: (exchange: Exchange) => void = ok) => {
  const rest = afterHandshake(handle, { get: true })
  return rawServer((exchange) => exchange.method === "DELETE" ? onDelete(exchange) : rest(exchange))
}

const deletes = (server: RawServer) => server.arrivals.filter(({ method }) => method === "DELETE")

const terminated = { _tag: "Terminated", sessionId, by: "Client" } as const

/** A transport in a scope of its own whose logs are kept. */
const connectLogged = (client: Client, server: RawServer, options?: Partial<StreamableHttpTransport.Options>) => {
  const { layer, warnings } = recordLogs()
  return Effect.map(Effect.provide(connectIn(client, server, options), layer), (connected) => ({
    ...connected,
    warnings
  }))
}

/** What was sent has had time to arrive. */
const settled = Effect.sleep("40 millis")

overEveryClient("the end", (client) => {
  it.scopedLive("S77: closing the scope sends one DELETE with id and version, and no body", () =>
    Effect.gen(function*() {
      const server = yield* withDelete(({ status }) => status(200))
      const { close, transport } = yield* connectIn(client, server, { headers: { "x-own": "mine" } })
      yield* soon(handshake(transport))
      yield* soon(request(transport, call(1)))
      yield* soon(close)
      yield* settled
      assert.deepStrictEqual(server.log(), [
        "POST initialize",
        "POST notifications/initialized",
        "POST tools/call",
        "DELETE"
      ])
      const { headers, body } = server.arrivals[3] ?? assert.fail("no DELETE")
      assert.strictEqual(headers["mcp-session-id"], sessionId)
      assert.strictEqual(headers["mcp-protocol-version"], "2025-11-25")
      assert.strictEqual(headers["x-own"], "mine")
      assert.isUndefined(headers["content-type"])
      assert.strictEqual(body, "")
      assert.deepStrictEqual(yield* stateOf(transport), terminated)
    }))

  const exits: ReadonlyArray<readonly [string, Exit.Exit<unknown, unknown>]> = [
    ["success", Exit.void],
    ["failure", Exit.fail("oh no")],
    ["a defect", Exit.die("oh no")]
  ]
  for (const [what, exit] of exits) {
    it.scopedLive(`S77: the DELETE is sent when the scope ends by ${what}`, () =>
      Effect.gen(function*() {
        const server = yield* withDelete(({ status }) => status(204))
        const { closeWith, transport } = yield* connectIn(client, server)
        yield* soon(handshake(transport))
        yield* soon(closeWith(exit))
        assert.strictEqual(deletes(server).length, 1)
      }))
  }

  it.scopedLive("S77: the DELETE is sent, and waited for, when the program is interrupted", () =>
    Effect.gen(function*() {
      const waiting = held()
      const server = yield* withDelete(
        ({ status }) => void setTimeout(() => status(200), 30),
        waiting.hold
      )
      const fiber = yield* Effect.fork(Effect.scoped(Effect.gen(function*() {
        const transport = yield* connect(client, server)
        yield* handshake(transport)
        yield* request(transport, call("for ever"))
      })))
      yield* waiting.take("tools/call")
      yield* soon(Fiber.interrupt(fiber))
      assert.strictEqual(deletes(server).length, 1)
      assert.strictEqual(server.openResponses(), 0)
    }))

  it.scopedLive("S77: nothing is sent at the end without a session id", () =>
    Effect.gen(function*() {
      const server = yield* rawServer((exchange) =>
        exchange.message?.method === "initialize"
          ? exchange.json(answer(exchange.message.id, initializeResult))
          : exchange.status(500)
      )
      const unused = yield* connectIn(client, server)
      yield* soon(unused.transport.terminate)
      yield* soon(unused.close)
      const without = yield* connectIn(client, server)
      yield* soon(request(without.transport, initializeRequest))
      yield* soon(without.transport.terminate)
      yield* soon(without.close)
      yield* settled
      assert.deepStrictEqual(server.log(), ["POST initialize"])
    }))

  for (const status of [200, 202, 204, 299, 404, 405]) {
    it.scopedLive(`S79: a DELETE answered with ${status} is a success`, () =>
      Effect.gen(function*() {
        const server = yield* withDelete((exchange) => exchange.status(status))
        const { close, transport, warnings } = yield* connectLogged(client, server)
        yield* soon(handshake(transport))
        yield* soon(transport.terminate)
        assert.deepStrictEqual(yield* stateOf(transport), terminated)
        yield* soon(close)
        assert.deepStrictEqual(warnings(), [])
        assert.strictEqual(deletes(server).length, 1)

        const other = yield* connectLogged(client, server)
        yield* soon(handshake(other.transport))
        yield* soon(other.close)
        assert.deepStrictEqual(other.warnings(), [])
        assert.strictEqual(deletes(server).length, 2)
      }))
  }

  for (const status of [302, 400, 401, 500, 503]) {
    it.scopedLive(`S79: a DELETE answered with ${status} fails terminate, is logged at close, and ends the session`, () =>
      Effect.gen(function*() {
        const server = yield* withDelete((exchange) =>
          exchange.status(status, `no: ${sessionId}`, { "retry-after": "7" })
        )
        const { close, transport, warnings } = yield* connectLogged(client, server)
        yield* soon(handshake(transport))
        const error = yield* failureOf(transport.terminate)
        assert(error._tag === "HttpStatusError", String(error))
        assert.strictEqual(error.status, status)
        assert.strictEqual(error.method, "DELETE")
        assert.strictEqual(error.requestId, undefined)
        assert.strictEqual(error.body, "no: <redacted>")
        assert.deepStrictEqual(yield* stateOf(transport), terminated)
        yield* soon(transport.terminate)
        yield* soon(close)
        assert.deepStrictEqual(warnings(), [])

        const other = yield* connectLogged(client, server)
        yield* soon(handshake(other.transport))
        yield* soon(other.close)
        const logged = other.warnings()
        assert.strictEqual(logged.length, 1)
        assert.include(logged[0], "level=WARN")
        assert.include(logged[0], String(status))
        assert.include(logged[0], "@effect-mcp/transport")
        assert.notInclude(logged[0], sessionId)
        assert.strictEqual(deletes(server).length, 2)
      }))
  }

  it.scopedLive("S79: a DELETE that is never answered is given up after terminateTimeout", () =>
    Effect.gen(function*() {
      const server = yield* withDelete(() => {})
      const { close, transport, warnings } = yield* connectLogged(client, server, { terminateTimeout: 60 })
      yield* soon(handshake(transport))
      const started = performance.now()
      yield* soon(close)
      const took = performance.now() - started
      assert.isAtLeast(took, 55)
      assert.isBelow(took, 1_000)
      assert.strictEqual(warnings().length, 1)
      assert.strictEqual(deletes(server).length, 1)
      yield* eventually(() => server.openResponses() === 0)

      const other = yield* connectIn(client, server, { terminateTimeout: "60 millis" })
      yield* soon(handshake(other.transport))
      const error = yield* failureOf(other.transport.terminate)
      assert(error._tag === "ConnectionError", String(error))
      assert.strictEqual(error.phase, "Response")
      assert.include(error.message, "terminateTimeout")
      assert.deepStrictEqual(yield* stateOf(other.transport), terminated)
    }))

  it.scopedLive("S79: a DELETE whose error body never ends is bounded, too", () =>
    Effect.gen(function*() {
      const server = yield* withDelete(({ respond }) => {
        respond(500, { "content-type": "text/plain" }).write("an endless ")
      })
      const { close, transport, warnings } = yield* connectLogged(client, server, { terminateTimeout: 60 })
      yield* soon(handshake(transport))
      const started = performance.now()
      yield* close
      assert.isBelow(performance.now() - started, 1_000)
      assert.strictEqual(warnings().length, 1)
      yield* eventually(() => server.openResponses() === 0)
    }))

  it.scopedLive("S79: a connection refused at the end is logged, not raised", () =>
    Effect.gen(function*() {
      const serverScope = yield* Scope.make()
      const server = yield* Scope.extend(withDelete(({ status }) => status(200)), serverScope)
      const first = yield* connectLogged(client, server)
      const second = yield* connectIn(client, server)
      yield* soon(handshake(first.transport))
      yield* soon(handshake(second.transport))
      yield* soon(Scope.close(serverScope, Exit.void))
      yield* soon(first.close)
      const logged = first.warnings()
      assert.strictEqual(logged.length, 1)
      assert.include(logged[0], "could not be terminated")
      const error = yield* failureOf(second.transport.terminate)
      assert(error._tag === "ConnectionError", String(error))
      assert.deepStrictEqual(yield* stateOf(second.transport), terminated)
    }))

  it.scopedLive("S78: nothing is sent after the DELETE, with streams, a reconnect loop and requests running", () =>
    Effect.gen(function*() {
      const waiting = held()
      const server = yield* withDelete(
        ({ status }) => void setTimeout(() => status(200), 20),
        (exchange) => {
          if (exchange.method === "GET") {
            return exchange.headers["last-event-id"] === undefined
              ? void exchange.events().event({ data: progress(1) })
              : exchange.status(503)
          }
          if (exchange.message?.method === "resumable") {
            return exchange.events().event({ id: "r1", retry: 100, data: "" }).end()
          }
          waiting.hold(exchange)
        }
      )
      const { close, transport } = yield* connectIn(client, server, {
        reconnect: Schedule.spaced("5 millis").pipe(Schedule.intersect(Schedule.recurs(1_000)))
      })
      yield* soon(handshake(transport))
      const received: Array<JsonRpc.Message> = []
      const receive = yield* Effect.fork(
        Stream.runForEach(transport.receive, (message) => Effect.sync(() => void received.push(message)))
      )
      const looping = yield* Effect.fork(Effect.flip(request(transport, JsonRpc.request("loop", "resumable"))))
      const open = yield* Effect.fork(Effect.flip(request(transport, call("open"))))
      const streaming = yield* Effect.fork(Effect.flip(collect(transport.send(JsonRpc.request("stream", "streamed")))))
      const note = yield* Effect.fork(Effect.flip(notify(transport, JsonRpc.notification("noted"))))
      yield* waiting.take("tools/call")
      yield* waiting.take("noted")
      const { events } = yield* waiting.take("streamed")
      events().event({ data: progress(2) })
      yield* eventually(() => received.length === 1)
      yield* arrived(server, "GET r1")
      yield* soon(close)
      const after = server.log().length
      const expected = { sessionId, by: "Client", outcome: "Unknown" } as const
      assertTerminated(yield* soon(Fiber.join(looping)), { ...expected, requestId: "loop" })
      assertTerminated(yield* soon(Fiber.join(open)), { ...expected, requestId: "open" })
      assertTerminated(yield* soon(Fiber.join(streaming)), { ...expected, requestId: "stream" })
      assertTerminated(yield* soon(Fiber.join(note)), expected)
      yield* soon(Fiber.join(receive))
      yield* Effect.sleep("150 millis")
      assert.strictEqual(server.log().length, after)
      assert.strictEqual(server.log().at(-1), "DELETE")
      assert.strictEqual(deletes(server).length, 1)
      assert.strictEqual(server.openResponses(), 0)
    }))

  it.scopedLive("S78, S82: running sends of an open session fail as Closed when it is left open", () =>
    Effect.gen(function*() {
      const waiting = held()
      const server = yield* withDelete(({ status }) => status(200), waiting.hold)
      const { close, transport } = yield* connectIn(client, server, { terminateOnClose: false })
      yield* soon(handshake(transport))
      const open = yield* Effect.fork(Effect.flip(request(transport, call("open"))))
      yield* waiting.take("tools/call")
      yield* soon(close)
      const error = yield* soon(Fiber.join(open))
      assert(error._tag === "ConnectionError", String(error))
      assert.strictEqual(error.phase, "Closed")
      assert.strictEqual(error.outcome, "Unknown")
      assert.strictEqual(error.requestId, "open")
      yield* eventually(() => server.openResponses() === 0)
      // Nothing is sent after the end, whatever is called.
      const before = server.arrivals.length
      for (const message of [call(2), initialize(3), JsonRpc.notification("late")]) {
        const refused = yield* failureOf(collect(transport.send(message)))
        assert(refused._tag === "ConnectionError", String(refused))
        assert.strictEqual(refused.phase, "Closed")
        assert.strictEqual(refused.outcome, "NotExecuted")
      }
      yield* soon(Effect.exit(transport.terminate))
      yield* soon(Stream.runDrain(transport.receive))
      yield* soon(Stream.runDrain(transport.events))
      yield* settled
      assert.strictEqual(server.arrivals.length, before)
      assert.strictEqual(deletes(server).length, 0)
    }))

  it.scopedLive("S78: a send after the end is refused and was not executed", () =>
    Effect.gen(function*() {
      const server = yield* withDelete(({ status }) => status(200))
      const { close, transport } = yield* connectIn(client, server)
      yield* soon(handshake(transport))
      yield* soon(close)
      const before = server.arrivals.length
      const stateless = JsonRpc.request("stateless", "tools/list", {
        _meta: { "io.modelcontextprotocol/protocolVersion": "2026-07-28" }
      })
      for (const message of [call("late"), initialize("new"), JsonRpc.notification("late"), stateless]) {
        const error = yield* failureOf(collect(transport.send(message)))
        assert.strictEqual(error.outcome, "NotExecuted", String(error))
        assert.strictEqual(error.requestId, JsonRpc.isRequest(message) ? message.id : undefined)
        assert.include(["SessionTerminated", "ConnectionError"], error._tag)
      }
      const error = yield* failureOf(request(transport, call("direct")))
      assert.strictEqual(error.outcome, "NotExecuted")
      const resumed = yield* failureOf(collect(transport.send(call("again"), { resumptionToken: "e1" })))
      assert.strictEqual(resumed.outcome, "NotExecuted")
      yield* soon(transport.terminate)
      yield* soon(Stream.runDrain(transport.receive))
      yield* soon(Stream.runDrain(transport.events))
      yield* settled
      assert.strictEqual(server.arrivals.length, before)
      assert.deepStrictEqual(yield* stateOf(transport), terminated)
    }))

  it.scopedLive("S78: an initialize under way when the scope closes fails typed, and nothing follows it", () =>
    Effect.gen(function*() {
      const waiting = held()
      const server = yield* rawServer(waiting.hold)
      const { close, transport } = yield* connectIn(client, server)
      const fiber = yield* Effect.fork(Effect.flip(request(transport, initializeRequest)))
      yield* waiting.take("initialize")
      yield* soon(close)
      const error = yield* soon(Fiber.join(fiber))
      assert(error._tag === "ConnectionError", String(error))
      assert.strictEqual(error.phase, "Closed")
      assert.strictEqual(error.outcome, "Unknown")
      assert.strictEqual(error.requestId, 0)
      yield* settled
      assert.deepStrictEqual(server.log(), ["POST initialize"])
      yield* eventually(() => server.openResponses() === 0)
    }))

  it.scopedLive("S77: a session whose initialize is half answered when the scope closes is deleted", () =>
    Effect.gen(function*() {
      const waiting = held()
      const server = yield* rawServer((exchange) =>
        exchange.method === "DELETE" ? exchange.status(200) : waiting.hold(exchange)
      )
      const { close, transport } = yield* connectIn(client, server)
      const fiber = yield* Effect.fork(Effect.flip(request(transport, initializeRequest)))
      const { events } = yield* waiting.take("initialize")
      events({ "mcp-session-id": "half" }).event({ data: progress(1) })
      yield* soon(Effect.repeat(stateOf(transport).pipe(Effect.delay("5 millis")), {
        until: ({ _tag }) => _tag === "Active"
      }))
      yield* soon(close)
      assertTerminated(yield* soon(Fiber.join(fiber)), {
        sessionId: "half",
        by: "Client",
        outcome: "Unknown",
        requestId: 0
      })
      assert.deepStrictEqual(server.log(), ["POST initialize", "DELETE"])
      assert.strictEqual(server.arrivals[1]?.headers["mcp-session-id"], "half")
      assert.isUndefined(server.arrivals[1]?.headers["mcp-protocol-version"])
    }))

  it.scopedLive("S80: terminate ends running sends and receive, and a new initialize opens another session", () =>
    Effect.gen(function*() {
      const waiting = held()
      const server = yield* withDelete(({ status }) => status(200), (exchange) => {
        if (exchange.method === "GET") return void exchange.events().event({ data: progress(1) })
        return exchange.message?.id === "fine" ? ok(exchange) : waiting.hold(exchange)
      })
      const { close, transport } = yield* connectIn(client, server)
      yield* soon(handshake(transport))
      const received: Array<JsonRpc.Message> = []
      const receive = yield* Effect.fork(
        Stream.runForEach(transport.receive, (message) => Effect.sync(() => void received.push(message)))
      )
      yield* eventually(() => received.length === 1)
      const open = yield* Effect.fork(Effect.flip(request(transport, call("open"))))
      yield* waiting.take("tools/call")
      yield* soon(transport.terminate)
      assert.deepStrictEqual(yield* stateOf(transport), terminated)
      assertTerminated(yield* soon(Fiber.join(open)), {
        sessionId,
        by: "Client",
        outcome: "Unknown",
        requestId: "open"
      })
      yield* soon(Fiber.join(receive))
      assertTerminated(yield* failureOf(request(transport, call("late"))), {
        sessionId,
        by: "Client",
        outcome: "NotExecuted",
        requestId: "late"
      })
      yield* eventually(() => server.openResponses() === 0)
      yield* soon(handshake(transport))
      assert.strictEqual((yield* soon(request(transport, call("fine")))).id, "fine")
      yield* soon(close)
      assert.strictEqual(deletes(server).length, 2)
    }))

  it.scopedLive("S80: terminate is idempotent, also concurrently and with the end of the scope: one DELETE", () =>
    Effect.gen(function*() {
      const server = yield* withDelete(({ status }) => void setTimeout(() => status(200), 30))
      const { close, transport } = yield* connectIn(client, server)
      yield* soon(handshake(transport))
      const many = Array.from({ length: 10 }, () => transport.terminate)
      yield* soon(Effect.all([...many, close, ...many], { concurrency: "unbounded", discard: true }))
      yield* soon(transport.terminate)
      yield* settled
      assert.strictEqual(deletes(server).length, 1)
    }))

  it.scopedLive("S80: every concurrent terminate ends when the DELETE was answered, with its result", () =>
    Effect.gen(function*() {
      const waiting = held()
      const server = yield* withDelete(waiting.hold)
      const { transport } = yield* connectIn(client, server)
      yield* soon(handshake(transport))
      const first = yield* Effect.fork(Effect.exit(transport.terminate))
      yield* arrived(server, "DELETE")
      const second = yield* Effect.fork(Effect.exit(transport.terminate))
      yield* settled
      const early = yield* Fiber.poll(second)
      waiting.exchanges[0]?.status(500)
      const exits = yield* soon(Effect.all([Fiber.join(first), Fiber.join(second)]))
      assert.strictEqual(deletes(server).length, 1)
      assert.strictEqual(early._tag, "None")
      assert.deepStrictEqual(exits.map(Exit.isFailure), [true, true])
    }))

  it.scopedLive("S80: interrupting terminate does not lose the DELETE, and the end waits for it", () =>
    Effect.gen(function*() {
      let answered = 0
      const server = yield* withDelete(({ status }) =>
        void setTimeout(() => {
          answered++
          status(200)
        }, 50)
      )
      const { close, transport } = yield* connectIn(client, server)
      yield* soon(handshake(transport))
      const fiber = yield* Effect.fork(transport.terminate)
      yield* Effect.yieldNow()
      const exit = yield* soon(Fiber.interrupt(fiber))
      assert(Exit.isFailure(exit) && Cause.isInterruptedOnly(exit.cause))
      assert.strictEqual(answered, 0)
      yield* soon(close)
      assert.strictEqual(answered, 1)
      assert.strictEqual(deletes(server).length, 1)
      assert.deepStrictEqual(yield* stateOf(transport), terminated)
    }))

  it.scopedLive("S80: a session the server ended needs no DELETE", () =>
    Effect.gen(function*() {
      const server = yield* withDelete(({ status }) => status(200), ({ status }) => status(404))
      const { close, transport } = yield* connectIn(client, server)
      yield* soon(handshake(transport))
      yield* failureOf(request(transport, call(1)))
      yield* soon(transport.terminate)
      yield* soon(close)
      yield* settled
      assert.strictEqual(deletes(server).length, 0)
      assert.deepStrictEqual(yield* stateOf(transport), { ...terminated, by: "Server" })
    }))

  it.scopedLive("S77: an adopted session is deleted once", () =>
    Effect.gen(function*() {
      const server = yield* withDelete(({ status }) => status(200))
      const session = { sessionId: Redacted.make("adopted"), protocolVersion: "2025-06-18" }
      const { close } = yield* connectIn(client, server, { session })
      yield* soon(close)
      assert.deepStrictEqual(server.log(), ["DELETE"])
      assert.strictEqual(server.arrivals[0]?.headers["mcp-session-id"], "adopted")
      assert.strictEqual(server.arrivals[0]?.headers["mcp-protocol-version"], "2025-06-18")
    }))

  it.scopedLive("S82: neither a response nor a fiber is left after the end", () =>
    Effect.gen(function*() {
      const server = yield* withDelete(({ status }) => status(200), (exchange) => {
        if (exchange.method === "GET") return void exchange.events().event({ id: "g1", data: progress(1) })
        switch (exchange.message?.id) {
          case "lingering":
            // the answer, and a body that does not end
            return void exchange.events().event({ data: answer("lingering") })
          case "resumable":
            return exchange.events().event({ id: "r1", retry: 10_000, data: "" }).end()
          case "streaming":
            return void exchange.events().event({ data: progress(1) })
          default:
        }
      })
      const supervisor = yield* Supervisor.track
      yield* Effect.gen(function*() {
        const transport = yield* connect(client, server)
        yield* handshake(transport)
        yield* Effect.forkScoped(Stream.runDrain(transport.receive))
        yield* Effect.forkScoped(Stream.runDrain(transport.events))
        for (const id of ["resumable", "streaming", "unanswered"]) {
          yield* Effect.forkScoped(Effect.exit(request(transport, call(id))))
        }
        yield* request(transport, call("lingering"))
        yield* arrived(server, "GET")
        yield* eventually(() => server.arrivals.length === 7)
      }).pipe(Effect.scoped, Effect.supervised(supervisor), soon)
      yield* eventually(() => server.openResponses() === 0)
      const left = Effect.map(supervisor.value, (fibers) => fibers.length)
      yield* soon(Effect.repeat(left.pipe(Effect.delay("5 millis")), { until: (count) => count === 0 }))
      assert.strictEqual(server.log().at(-1), "DELETE")
      // fetch keeps idle connections for other users of its global pool.
      if (client.name === "undici") yield* eventually(() => server.openSockets() === 0)
    }))

  it.scopedLive("S82: a plain script that used the transport ends by itself", () =>
    Effect.gen(function*() {
      const server = yield* withDelete(({ status }) => status(200), (exchange) => {
        if (exchange.method === "GET") return void exchange.events()
        if (exchange.message?.id === "answered") ok(exchange)
      })
      const ended = yield* Effect.promise(() => runScript(client, server))
      assert.deepStrictEqual({ code: ended.code, stdout: ended.stdout }, { code: 0, stdout: "done\n" }, ended.stderr)
      // Less than the 4 seconds for which idle connections would keep the process.
      assert.isBelow(ended.lasted, 3_500)
      assert.strictEqual(server.log().at(-1), "DELETE")
      yield* eventually(() => server.openSockets() === 0)
    }), 60_000)
})

/** Runs the script and tells how long the process lived on after its last word. */
const runScript = (client: Client, server: RawServer) =>
  new Promise<
    { readonly code: number | null; readonly stdout: string; readonly stderr: string; readonly lasted: number }
  >(
    (resolve, reject) => {
      const script = fileURLToPath(new URL("../support/endsByItself.ts", import.meta.url))
      const child = spawn(
        process.execPath,
        ["--import", "tsx", "--conditions=@effect-mcp/source", script, server.url, client.name],
        { stdio: ["ignore", "pipe", "pipe"] }
      )
      const bound = setTimeout(() => child.kill("SIGKILL"), 50_000)
      let stdout = ""
      let stderr = ""
      let saidAt = performance.now()
      child.stdout.on("data", (chunk) => {
        stdout += String(chunk)
        saidAt = performance.now()
      })
      child.stderr.on("data", (chunk) => {
        stderr += String(chunk)
      })
      child.on("error", reject)
      child.on("close", (code) => {
        clearTimeout(bound)
        resolve({ code, stdout, stderr, lasted: performance.now() - saidAt })
      })
    }
  )

describe("the end, by the clock", () => {
  const headers = Headers.fromInput({ "content-type": "application/json", "mcp-session-id": sessionId })
  const json = (status: number, text: string): HttpExchange.Response => ({
    status,
    headers,
    read: (sink) => {
      sink.onChunk(new TextEncoder().encode(text))
      sink.onEnd()
    },
    pause: () => {},
    resume: () => {},
    close: () => {}
  })

  const withSilentDelete = (methods: Array<string>) =>
    Layer.succeed(HttpExchange.HttpExchange, {
      open: ({ method }) => {
        methods.push(method)
        return method === "DELETE"
          ? Effect.never
          : Effect.sync(() => json(200, JSON.stringify(answer(0, initializeResult))))
      }
    })

  const untilClosed = (options: Partial<StreamableHttpTransport.Options>, before: number, after: number) =>
    Effect.gen(function*() {
      const methods: Array<string> = []
      const scope = yield* Scope.make()
      const { layer, warnings } = recordLogs()
      const transport = yield* StreamableHttpTransport.makeExchange({ url: "http://127.0.0.1:9/mcp", ...options }).pipe(
        Effect.provide(Layer.merge(withSilentDelete(methods), layer)),
        Scope.extend(scope)
      )
      yield* request(transport, initializeRequest)
      const closing = yield* Effect.fork(Scope.close(scope, Exit.void))
      yield* TestClock.adjust(before)
      assert.strictEqual((yield* Fiber.poll(closing))._tag, "None")
      yield* TestClock.adjust(after - before)
      yield* Fiber.join(closing)
      assert.strictEqual(warnings().length, 1)
      assert.deepStrictEqual(methods, ["POST", "DELETE"])
    })

  it.effect("S79: by default the end waits five seconds for the DELETE", () => untilClosed({}, 4_999, 5_000))

  it.effect("S79: terminateTimeout is how long the end waits", () =>
    untilClosed({ terminateTimeout: "40 days" }, 39 * 86_400_000, 40 * 86_400_000))
})

describe("the clients under test", () => {
  it("are fetch, undici and transport-node", () =>
    assert.deepStrictEqual(clients.map(({ name }) => name), ["fetch", "undici", "transport-node"]))
})
