/**
 * Servers that mean harm, or are badly broken: each is bounded in memory and time, and the error names the limit.
 *
 * `TINY_EVENTS` says how many events the flood has: 200 000 unless it is given, 10 000 000 in `npm run test:faults`.
 */
import { FaultProxy, ScriptedServer } from "@effect-mcp/testing"
import { HttpExchange, JsonRpc, StreamableHttpTransport } from "@effect-mcp/transport"
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as Headers from "@effect/platform/Headers"
import * as HttpClient from "@effect/platform/HttpClient"
import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import { createServer, type Socket } from "node:net"
import { gzipSync } from "node:zlib"
import { call, type Client, connect, eventually, overEveryClient } from "../support/harness.ts"
import { clocked, live } from "../support/quiet.ts"
import { assertError, failure } from "../support/sending.ts"

const session = { sessionId: "hostile", protocolVersion: "2025-11-25" }
const small = { session, maxMessageSize: 64 * 1024 }

/** What may be on its way in sockets and streams when a client has seen enough. */
const onItsWay = 8 * 1024 * 1024

/** Writes the same again and again, as long as the client takes it. */
const flood = (body: ScriptedServer.BodyWriter, piece: string | Uint8Array, count: { bytes: number }): void => {
  while (body.isOpen()) {
    count.bytes += piece.length
    if (!body.write(piece)) return body.onDrain(() => flood(body, piece, count))
  }
}

const request = StreamableHttpTransport.request

// --- floods ---------------------------------------------------------------------------------------------------------

interface Flood {
  readonly name: string
  readonly contentType: string
  readonly first?: string
  readonly piece: string
}

const floods: ReadonlyArray<Flood> = [
  {
    name: "an event without an end",
    contentType: "text/event-stream",
    first: "id: e1\ndata: ",
    piece: "x".repeat(65_536)
  },
  { name: "an event of endless lines", contentType: "text/event-stream", piece: "data: x\n".repeat(8_192) },
  { name: "an event of endless fields", contentType: "text/event-stream", piece: "event: x\nfoo: bar\n".repeat(4_096) },
  { name: "a field without an end", contentType: "text/event-stream", first: "event: ", piece: "x".repeat(65_536) },
  { name: "JSON without an end", contentType: "application/json", first: "[", piece: "[".repeat(65_536) },
  { name: "blanks without an end", contentType: "application/json", piece: " ".repeat(65_536) }
]

overEveryClient("a hostile server", (client) => {
  for (const { contentType, first = "", name, piece } of floods) {
    live(`${name}: MessageTooLarge, and the connection is closed`, () =>
      Effect.gen(function*() {
        const count = { bytes: 0 }
        const server = yield* ScriptedServer.makeLoopback(({ respond }) => {
          const body = respond(200, { "content-type": contentType })
          body.write(first)
          flood(body, piece, count)
        })
        const transport = yield* connect(client, server, small)
        const error = yield* failure(request(transport, call()))
        assertError(error, "MessageTooLarge", { limit: 65_536, requestId: 1, outcome: "Unknown" })
        assert.include(error.message, "65536")
        yield* open(server, 0)
        assert.isBelow(count.bytes, small.maxMessageSize + onItsWay)
      }))
  }

  live(
    "a comment without an end is no silence, but nothing of it is kept; leaving ends it at once",
    () =>
      Effect.gen(function*() {
        const count = { bytes: 0 }
        const server = yield* ScriptedServer.makeLoopback(({ events }) =>
          flood(events().raw(": "), "x".repeat(65_536), count)
        )
        const transport = yield* connect(client, server, { ...small, terminateOnClose: false })
        const fiber = yield* Effect.fork(request(transport, call()))
        yield* eventually(() => count.bytes > 64 * 1024 * 1024)
        yield* Fiber.interrupt(fiber)
        yield* open(server, 0)
      })
  )

  live("a gzip bomb: nothing above the limit is kept", () =>
    Effect.gen(function*() {
      const bomb = gzipSync(`data: ${"0".repeat(64 * 1024 * 1024)}`)
      const server = yield* ScriptedServer.makeLoopback([ScriptedServer.on(
        { method: "POST" },
        ScriptedServer.respond(200, [ScriptedServer.bytes(bomb)], {
          headers: { "content-type": "text/event-stream", "content-encoding": "gzip" }
        })
      )])
      const transport = yield* connect(client, server, { ...small, terminateOnClose: false })
      const error = yield* failure(request(transport, call()))
      // Fetch inflates; the other client asks for no compression, and is given one all the same.
      if (client.name === "fetch") assertError(error, "MessageTooLarge", { limit: 65_536 })
      else assertError(error, "ProtocolError", { reason: "ContentEncoding" })
    }))

  live("headers without an end: the HTTP client gives up, and its limit is named", () =>
    Effect.gen(function*() {
      const sent = { bytes: 0 }
      const url = yield* rawServer((socket) => {
        socket.write("HTTP/1.1 200 OK\r\n")
        const more = (): void => {
          while (!socket.destroyed) {
            const line = `x-${sent.bytes}: ${"y".repeat(1_000)}\r\n`
            sent.bytes += line.length
            if (!socket.write(line)) return void socket.once("drain", more)
          }
        }
        more()
      })
      const transport = yield* connect(client, { url }, { ...small, terminateOnClose: false })
      const error = yield* failure(request(transport, call()))
      assertError(error, "ConnectionError", { phase: "Response", outcome: "Unknown" })
      assert.include(JSON.stringify(codes(error)), "UND_ERR_HEADERS_OVERFLOW")
      assert.isBelow(sent.bytes, onItsWay)
    }))

  live("a session id with control characters is refused, and not shown", () =>
    Effect.gen(function*() {
      const url = yield* rawServer((socket) => {
        const body = JSON.stringify({ jsonrpc: "2.0", id: 1, result: { protocolVersion: "2025-11-25" } })
        socket.end(
          "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n" +
            `mcp-session-id: se\u0001cret\u001b[31m\r\ncontent-length: ${body.length}\r\n\r\n${body}`
        )
      })
      const transport = yield* connect(client, { url }, { maxMessageSize: 65_536 })
      const error = yield* failure(request(transport, JsonRpc.request(1, "initialize", {})))
      assert.include(["ProtocolError", "ConnectionError"], error._tag)
      assert.notInclude(JSON.stringify(error), "cret")
      assert.strictEqual((yield* transport.session)._tag, "Idle")
    }))

  live("a redirect loop: at most five are followed", () =>
    Effect.gen(function*() {
      const server = yield* ScriptedServer.makeLoopback(({ index, status }) =>
        status(index % 2 === 0 ? 307 : 308, "", { location: `/mcp?${index}` })
      )
      const transport = yield* connect(client, server, { ...small, terminateOnClose: false })
      const error = yield* failure(request(transport, call()))
      assertError(error, "HttpStatusError", { status: 308, location: "/mcp?5", outcome: "NotExecuted" })
      assert.include(error.message, "5 in a row at most")
      assert.strictEqual((yield* server.arrivals).length, 6)
    }))

  live(
    "tiny events by the thousand: all are delivered, and memory does not grow with them",
    () => tinyEvents(client, Number(process.env.TINY_EVENTS ?? 200_000)),
    1_200_000
  )

  live("a consumer that does not read stops a flood of messages", () =>
    Effect.gen(function*() {
      const count = { bytes: 0 }
      const piece = `data: ${JSON.stringify(JsonRpc.notification("notifications/message"))}\n\n`.repeat(1_000)
      const server = yield* ScriptedServer.makeLoopback(({ events, method, status }) =>
        method === "DELETE" ? status(200) : flood(events(), piece, count)
      )
      const transport = yield* connect(client, server, { session })
      const scope = yield* Scope.make()
      const taking = Stream.runForEach(transport.send(call()), () => Effect.never)
      yield* Scope.extend(Effect.forkScoped(taking), scope)
      const listening = Stream.runForEach(transport.receive, () => Effect.never)
      yield* Scope.extend(Effect.forkScoped(listening), scope)
      yield* open(server, 2)
      let before = -1
      // The sockets are full when nothing more is written for a while.
      yield* Effect.repeat(Effect.delay(Effect.sync(() => before === (before = count.bytes)), "50 millis"), {
        until: (isStill) => isStill && before > 0
      })
      assert.isBelow(count.bytes, 4 * onItsWay)
      yield* Scope.close(scope, Exit.void)
      yield* open(server, 0)
    }))
})

const open = (server: ScriptedServer.Service, count: number): Effect.Effect<void> =>
  eventually(() => Effect.runSync(server.openExchanges) === count)

/** All codes of an error and its causes. */
const codes = (error: unknown): ReadonlyArray<unknown> => {
  const found: Array<unknown> = []
  for (let at = error; typeof at === "object" && at !== null; at = Reflect.get(at, "cause")) {
    found.push(Reflect.get(at, "code"))
  }
  return found
}

/** A server that writes whatever it likes, HTTP or not, once a request has begun to arrive. */
const rawServer = (answer: (socket: Socket) => void): Effect.Effect<string, never, Scope.Scope> =>
  Effect.gen(function*() {
    const sockets = new Set<Socket>()
    const server = createServer((socket) => {
      sockets.add(socket)
      socket.on("error", () => {}).on("close", () => sockets.delete(socket)).once("data", () => answer(socket))
    })
    yield* Effect.acquireRelease(
      Effect.async<void>((resume) => void server.listen(0, "127.0.0.1", () => resume(Effect.void))),
      () =>
        Effect.sync(() => {
          server.close()
          for (const socket of sockets) socket.destroy()
        })
    )
    const address = server.address()
    return `http://127.0.0.1:${typeof address === "object" ? address?.port : 0}/mcp`
  })

const tinyEvents = (client: Client, total: number) =>
  Effect.gen(function*() {
    const server = yield* ScriptedServer.makeLoopback(({ events, message, method, status }) => {
      if (method === "DELETE") return status(200)
      const body = events()
      let n = 0
      const more = (): void => {
        while (body.isOpen() && n < total) {
          let piece = ""
          for (const end = Math.min(n + 1_000, total); n < end; n++) {
            piece += n % 2 === 0 ? `id: ${n}\n\n` : "data: {\"jsonrpc\":\"2.0\",\"method\":\"a\"}\n\n"
          }
          if (!body.write(piece)) return body.onDrain(more)
        }
        body.write(`data: {"jsonrpc":"2.0","id":${message?.id},"result":{}}\n\n`)
        body.end()
      }
      more()
    })
    const transport = yield* connect(client, server, { session })
    let count = 0
    let peak = 0
    yield* request(transport, call(), {
      onMessage: () =>
        Effect.sync(() => {
          count++
          if (count % 10_000 === 0) peak = Math.max(peak, process.memoryUsage().heapUsed)
        })
    })
    assert.strictEqual(count, Math.floor(total / 2))
    assert.isBelow(peak, 512 * 1024 * 1024)
  })

// --- time -----------------------------------------------------------------------------------------------------------

/** A transport over a server without sockets. */
const overMemory = (script: ScriptedServer.Script, options: Partial<StreamableHttpTransport.Options>) =>
  Effect.gen(function*() {
    const { client, server } = yield* ScriptedServer.makeHttpClient(script)
    const transport = yield* StreamableHttpTransport.make({ url: server.url, session, ...options }).pipe(
      Effect.provideService(HttpClient.HttpClient, client)
    )
    return { server, transport }
  })

const trickle = (text: string): ReadonlyArray<ScriptedServer.Step> =>
  Array.from(text).flatMap((character) => [ScriptedServer.bytes(character), ScriptedServer.pause("1 minute")])

describe("a hostile server without sockets", () => {
  live("a body of single bytes is kept as bytes, not as a million chunks", () =>
    Effect.gen(function*() {
      const total = 2_000_000
      const source = new Uint8Array(65_536).fill(32)
      let grown = 0
      const response: HttpExchange.Response = {
        status: 200,
        headers: Headers.fromInput({ "content-type": "application/json" }),
        read: (sink) => {
          const before = process.memoryUsage().heapUsed
          for (let n = 0; n < total; n++) sink.onChunk(source.subarray(n % 65_536, (n % 65_536) + 1))
          grown = process.memoryUsage().heapUsed - before
          sink.onEnd()
        },
        pause: () => {},
        resume: () => {},
        close: () => {}
      }
      const transport = yield* StreamableHttpTransport.makeExchange({ url: "http://server.test/mcp" }).pipe(
        Effect.provideService(HttpExchange.HttpExchange, { open: () => Effect.succeed(response) })
      )
      assertError(yield* failure(request(transport, call())), "ProtocolError", { reason: "InvalidJson" })
      assert.isBelow(grown, 100 * 1024 * 1024)
    }))
})

describe("a server that plays for time", () => {
  for (const [type, text] of [["application/json", "{\"jsonrpc\":"], ["text/event-stream", "data: {\"json"]] as const) {
    clocked(
      `a byte a minute of ${type} is silence for idleTimeout, which the error names`,
      () =>
        Effect.gen(function*() {
          const { server, transport } = yield* overMemory([
            ScriptedServer.on(
              { method: "POST" },
              ScriptedServer.respond(200, trickle(text), {
                headers: { "content-type": type }
              })
            ),
            ScriptedServer.on({ method: "DELETE" }, ScriptedServer.status(200))
          ], { idleTimeout: "30 seconds" })
          const fiber = yield* Effect.fork(Effect.flip(request(transport, call())))
          yield* TestClock.adjust("31 seconds")
          const error = yield* Fiber.join(fiber)
          assertError(error, "ConnectionError", { phase: "Body", outcome: "Unknown" })
          assert.include(String(Reflect.get(error, "cause")), "30000 ms (idleTimeout)")
          assert.strictEqual(yield* server.openExchanges, 0)
        })
    )
  }

  clocked("a retry storm with progress is legal polling, ten times a second at most", () =>
    Effect.gen(function*() {
      const { server, transport } = yield* overMemory(
        ({ events, index, method, status }) =>
          method === "DELETE" ? status(200) : events().event({ id: `e${index}`, retry: 0 }).end(),
        { reconnect: Schedule.spaced("1 millis") }
      )
      const fiber = yield* Effect.fork(request(transport, call()))
      yield* TestClock.adjust("1 minute")
      assert.isAtMost((yield* server.arrivals).length, 601)
      assert.isAtLeast((yield* server.arrivals).length, 500)
      yield* Fiber.interrupt(fiber)
      const before = (yield* server.arrivals).length
      yield* TestClock.adjust("1 hour")
      assert.strictEqual((yield* server.arrivals).length, before)
    }))

  clocked("a retry storm without progress ends by the policy, and the error says so", () =>
    Effect.gen(function*() {
      const { server, transport } = yield* overMemory(
        ({ events, method, status }) =>
          method === "DELETE" ? status(200) : events().event({ id: "same", retry: 0 }).end(),
        { reconnect: Schedule.spaced("1 millis").pipe(Schedule.intersect(Schedule.recurs(5))) }
      )
      const fiber = yield* Effect.fork(Effect.flip(request(transport, call())))
      yield* TestClock.adjust("1 minute")
      assertError(yield* Fiber.join(fiber), "ResumptionError", { reason: "Exhausted", attempts: 5 })
      assert.strictEqual((yield* server.arrivals).length, 6)
    }))

  clocked("a wait that is too long is not waited for, and the error names it", () =>
    Effect.gen(function*() {
      const { transport } = yield* overMemory(
        ({ events, method, status }) =>
          method === "DELETE" ? status(200) : events().event({ id: "e", retry: "999999999999" }).end(),
        {}
      )
      const error = yield* Effect.flip(request(transport, call()))
      assertError(error, "ResumptionError", { reason: "RetryTooLong" })
      assert.include(error.message, "999999999999")
    }))

  live("a half-open connection is noticed by idleTimeout, and resumed", () =>
    Effect.gen(function*() {
      const server = yield* ScriptedServer.makeLoopback([
        ScriptedServer.on(
          { method: "POST" },
          ScriptedServer.events([
            ScriptedServer.event({ id: "e1" }),
            ScriptedServer.gate("never"),
            ScriptedServer.answer("late", "e2")
          ])
        ),
        ScriptedServer.on(
          { method: "GET", lastEventId: true },
          ScriptedServer.events([ScriptedServer.answer("resumed")])
        ),
        ScriptedServer.on({ method: "DELETE" }, ScriptedServer.status(200))
      ])
      const proxy = yield* FaultProxy.make({
        target: server.url,
        faults: [[FaultProxy.cut({ after: { events: 1 }, how: "HalfOpen" })]]
      })
      const transport = yield* connect({ name: "fetch", layer: FetchHttpClient.layer }, proxy, {
        session,
        idleTimeout: "100 millis"
      })
      const answer = yield* request(transport, call())
      assert.deepStrictEqual(Reflect.get(answer, "result"), "resumed")
    }))
})
