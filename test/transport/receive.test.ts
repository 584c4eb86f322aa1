import { JsonRpc, StreamableHttpTransport, TransportError } from "@effect-mcp/transport"
import { assert, describe } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import {
  afterHandshake,
  answer,
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
import { clocked, live } from "../support/quiet.ts"
import { type EventWriter, type Exchange, rawServer } from "../support/rawServer.ts"
import { bare, jsonBody, scripted, type ScriptedResponse, sse } from "../support/scriptedTransport.ts"

const initialized = JsonRpc.notification("notifications/initialized")

const within = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.timeout(effect, "2 seconds")

const healthy = (transport: StreamableHttpTransport.Service) =>
  Effect.gen(function*() {
    const again = yield* within(StreamableHttpTransport.request(transport, JsonRpc.request("again", "ping")))
    assert.deepStrictEqual(again, { jsonrpc: "2.0", id: "again", result: {} })
    assert.strictEqual((yield* transport.session)._tag, "Active")
  })

interface Listening {
  readonly messages: Array<JsonRpc.Message>
  readonly fiber: Fiber.RuntimeFiber<Either.Either<void, TransportError.TransportError>>
}

/** Runs `receive` in the background and keeps what it gives. */
const listen = (transport: StreamableHttpTransport.Service): Effect.Effect<Listening, never, Scope.Scope> =>
  Effect.gen(function*() {
    const messages: Array<JsonRpc.Message> = []
    const fiber = yield* transport.receive.pipe(
      Stream.runForEach((message) => Effect.sync(() => messages.push(message))),
      Effect.either,
      Effect.forkScoped
    )
    return { messages, fiber }
  })

const endedQuietly = ({ fiber }: Listening) =>
  Effect.map(within(Fiber.join(fiber)), (ended) => assert.deepStrictEqual(ended, Either.void))

const failure = ({ fiber }: Listening) => within(Effect.flatMap(Fiber.join(fiber), Either.flip)).pipe(Effect.orDie)

const take = (transport: StreamableHttpTransport.Service, count: number) =>
  within(collect(Stream.take(transport.receive, count)))

overEveryClient("receive", (client) => {
  const server = (
    get: (exchange: Exchange) => void,
    other: (exchange: Exchange) => void = ({ status }) => status(500)
  ) =>
    rawServer(afterHandshake((exchange) => {
      if (exchange.method === "GET") return get(exchange)
      if (exchange.message?.method === "ping") return exchange.json(answer(exchange.message.id, {}))
      other(exchange)
    }, { get: true }))

  const opened = (get: (exchange: Exchange) => void, options?: Partial<StreamableHttpTransport.Options>) =>
    Effect.gen(function*() {
      const raw = yield* server(get)
      const transport = yield* connect(client, raw, options)
      yield* handshake(transport)
      return { raw, transport, gets: () => raw.log().filter((line) => line.startsWith("GET")) }
    })

  live(
    "S71: it waits until the server has accepted notifications/initialized, and then opens one GET",
    () =>
      Effect.gen(function*() {
        const held: Array<Exchange> = []
        const raw = yield* rawServer((exchange) => {
          if (exchange.method === "DELETE") return exchange.status(200)
          if (exchange.method === "GET") return void exchange.events().event({ id: "g1", data: progress(1) })
          if (exchange.message?.method === "initialize") {
            return exchange.json(answer(0, initializeResult), { headers: { "mcp-session-id": sessionId } })
          }
          held.push(exchange)
        })
        const transport = yield* connect(client, raw)
        const listening = yield* listen(transport)
        yield* Effect.sleep("20 millis")
        assert.deepStrictEqual(raw.log(), [])
        yield* StreamableHttpTransport.request(transport, initializeRequest)
        yield* Effect.sleep("20 millis")
        assert.deepStrictEqual(raw.log(), ["POST initialize"])
        const notifying = yield* Effect.fork(StreamableHttpTransport.notify(transport, initialized))
        yield* eventually(() => held.length === 1)
        yield* Effect.sleep("20 millis")
        assert.deepStrictEqual(raw.log(), ["POST initialize", "POST notifications/initialized"])
        held[0]?.status(202)
        yield* Fiber.join(notifying)
        yield* eventually(() => listening.messages.length === 1)
        assert.deepStrictEqual(raw.log(), ["POST initialize", "POST notifications/initialized", "GET"])
        const get = raw.arrivals[2]
        assert.strictEqual(get?.headers["mcp-session-id"], sessionId)
        assert.strictEqual(get?.headers["mcp-protocol-version"], "2025-11-25")
        assert.strictEqual(get?.headers.accept, "text/event-stream")
        assert.isUndefined(get?.headers["last-event-id"])
        assert.deepStrictEqual(listening.messages, [progress(1)])
      })
  )

  live(
    "S71: a refused notifications/initialized opens nothing; a later one that is accepted does",
    () =>
      Effect.gen(function*() {
        let accepts = false
        const raw = yield* rawServer((exchange) => {
          if (exchange.method === "DELETE") return exchange.status(200)
          if (exchange.method === "GET") return void exchange.events().event({ data: progress(1) })
          if (exchange.message?.method === "initialize") return exchange.json(answer(0, initializeResult))
          exchange.status(accepts ? 202 : 503)
        })
        const transport = yield* connect(client, raw)
        const listening = yield* listen(transport)
        yield* StreamableHttpTransport.request(transport, initializeRequest)
        yield* Effect.ignore(StreamableHttpTransport.notify(transport, initialized))
        yield* Effect.sleep("30 millis")
        assert.deepStrictEqual(raw.log(), ["POST initialize", "POST notifications/initialized"])
        accepts = true
        yield* StreamableHttpTransport.notify(transport, initialized)
        yield* eventually(() => listening.messages.length === 1)
        yield* StreamableHttpTransport.notify(transport, initialized)
        yield* Effect.sleep("20 millis")
        assert.strictEqual(raw.log().filter((line) => line === "GET").length, 1)
        assert.isUndefined(raw.arrivals.find(({ method }) => method === "GET")?.headers["mcp-session-id"])
      })
  )

  live("S28, S71: nobody runs it, nothing is opened", () =>
    Effect.gen(function*() {
      const { gets, transport } = yield* opened(({ events }) => void events())
      yield* Effect.sleep("30 millis")
      assert.deepStrictEqual(gets(), [])
      yield* healthy(transport)
    }))

  live("S71: with an adopted session it opens at once", () =>
    Effect.gen(function*() {
      const raw = yield* server(({ events }) => void events().event({ data: progress(1) }))
      const transport = yield* connect(client, raw, {
        session: { sessionId: Redacted.make("adopted"), protocolVersion: "2025-06-18" }
      })
      assert.deepStrictEqual(yield* take(transport, 1), [progress(1)])
      assert.deepStrictEqual(raw.log(), ["GET"])
      assert.strictEqual(raw.arrivals[0]?.headers["mcp-session-id"], "adopted")
      assert.strictEqual(raw.arrivals[0]?.headers["mcp-protocol-version"], "2025-06-18")
    }))

  live("it is never opened by stateless use alone", () =>
    Effect.gen(function*() {
      const raw = yield* rawServer((exchange) => {
        if (exchange.method !== "POST") return exchange.status(500)
        if (exchange.message?.id === undefined) return exchange.status(202)
        exchange.json(answer(exchange.message.id, { protocolVersion: "2026-07-28" }))
      })
      const transport = yield* connect(client, raw)
      const listening = yield* listen(transport)
      const params = { name: "x", _meta: { "io.modelcontextprotocol/protocolVersion": "2026-07-28" } }
      for (const method of ["tools/call", "server/discover", "initialize"]) {
        yield* StreamableHttpTransport.request(transport, JsonRpc.request(1, method, params))
      }
      yield* StreamableHttpTransport.notify(transport, JsonRpc.notification("notifications/initialized", params))
      yield* Effect.sleep("30 millis")
      assert.isTrue(raw.log().every((line) => line.startsWith("POST")))
      assert.deepStrictEqual(listening.messages, [])
      assert.isTrue(Option.isNone(yield* Fiber.poll(listening.fiber)))
    }))

  live(
    "S73: notifications, requests, responses and batches are delivered in order; a response does not end it",
    () =>
      Effect.gen(function*() {
        const sent: ReadonlyArray<JsonRpc.Message> = [
          progress(1),
          JsonRpc.request("s1", "sampling/createMessage", {}),
          JsonRpc.success(77, { late: true }),
          JsonRpc.error(78, { code: 1, message: "x" }),
          progress(2)
        ]
        const { raw, transport } = yield* opened(({ events }) => {
          const writer = events()
          for (const message of sent) writer.event({ data: message })
          writer.event({ event: "ping", data: progress(50) }).event({ data: "not json" })
            .event({ data: [progress(3), progress(4)] })
        })
        const listening = yield* listen(transport)
        yield* eventually(() => listening.messages.length === 7)
        assert.deepStrictEqual(listening.messages, [...sent, progress(3), progress(4)])
        assert.strictEqual(raw.openResponses(), 1)
        yield* healthy(transport)
      })
  )

  live(
    "two subscribers share one GET; late ones see only what follows; it closes when nobody is left",
    () =>
      Effect.gen(function*() {
        const writers: Array<EventWriter> = []
        const { gets, raw, transport } = yield* opened(({ events }) =>
          writers.push(events().event({ data: progress(1) }))
        )
        const first = yield* listen(transport)
        yield* eventually(() => first.messages.length === 1)
        const second = yield* listen(transport)
        yield* Effect.sleep("20 millis")
        assert.deepStrictEqual(second.messages, [])
        writers[0]?.event({ data: progress(2) })
        yield* eventually(() => first.messages.length === 2 && second.messages.length === 1)
        assert.deepStrictEqual(first.messages, [progress(1), progress(2)])
        assert.deepStrictEqual(second.messages, [progress(2)])
        yield* within(Fiber.interrupt(first.fiber))
        writers[0]?.event({ data: progress(3) })
        yield* eventually(() => second.messages.length === 2)
        assert.strictEqual(raw.openResponses(), 1)
        yield* within(Fiber.interrupt(second.fiber))
        yield* eventually(() => raw.openResponses() === 0)
        assert.deepStrictEqual(gets(), ["GET"])
        yield* Effect.sleep("40 millis")
        assert.deepStrictEqual(gets(), ["GET"])
        yield* healthy(transport)
      })
  )

  live("what was not taken stays for the next run, which resumes with Last-Event-ID", () =>
    Effect.gen(function*() {
      const { gets, raw, transport } = yield* opened(({ events, headers }) => {
        const from = Number(String(headers["last-event-id"] ?? "g0").slice(1))
        const writer = events()
        for (let n = from + 1; n <= 5; n++) writer.event({ id: `g${n}`, data: progress(n) })
      })
      assert.deepStrictEqual(yield* take(transport, 1), [progress(1)])
      yield* eventually(() => raw.openResponses() === 0)
      assert.deepStrictEqual(yield* take(transport, 1), [progress(2)])
      assert.deepStrictEqual(yield* take(transport, 3), [progress(3), progress(4), progress(5)])
      const cursors = gets().slice(1)
      assert.isTrue(cursors.every((line) => /^GET g[1-5]$/.test(line)), cursors.join())
    }))

  live(
    "S72: lost connections are resumed where they were, with the policy, and nothing comes twice",
    () =>
      Effect.gen(function*() {
        let n = 0
        const { gets, transport } = yield* opened(({ drop, events, status }) => {
          n++
          if (n === 1) return events().event({ id: "g1", data: progress(1) }).cut()
          if (n === 2) return status(503)
          if (n === 3) return drop()
          if (n === 4) {
            return events().event({ id: "g1", data: progress(1) }).event({ id: "g2", data: progress(2) }).end()
          }
          events().event({ id: "g3", data: progress(3) })
        })
        const listening = yield* listen(transport)
        yield* eventually(() => listening.messages.length === 3)
        assert.deepStrictEqual(listening.messages, [progress(1), progress(2), progress(3)])
        assert.deepStrictEqual(gets(), ["GET", "GET g1", "GET g1", "GET g1", "GET g2"])
      })
  )

  for (const status of [404, 405, 406]) {
    live(`S71: ${status} on the first GET ends it quietly, and the session stays`, () =>
      Effect.gen(function*() {
        const { gets, transport } = yield* opened((exchange) => exchange.status(status, "no"))
        const listening = yield* listen(transport)
        yield* endedQuietly(listening)
        assert.deepStrictEqual(listening.messages, [])
        assert.deepStrictEqual(gets(), ["GET"])
        yield* healthy(transport)
      }))
  }

  live("404 on a later GET is SessionTerminated", () =>
    Effect.gen(function*() {
      let n = 0
      const { gets, transport } = yield* opened(({ events, status }) => {
        n++
        if (n === 1) return events().event({ data: progress(1) }).end()
        status(404)
      })
      const listening = yield* listen(transport)
      const error = yield* failure(listening)
      assert.deepStrictEqual(listening.messages, [progress(1)])
      assert.isTrue(error instanceof TransportError.SessionTerminated)
      if (error instanceof TransportError.SessionTerminated) {
        assert.strictEqual(Redacted.value(error.sessionId), sessionId)
        assert.strictEqual(error.by, "Server")
        assert.isUndefined(error.requestId)
        assert.isUndefined(error.outcome)
      }
      assert.deepStrictEqual(gets(), ["GET", "GET"])
      const session = yield* transport.session
      assert.strictEqual(session._tag, "Terminated")
      yield* handshake(transport)
      yield* healthy(transport)
    }))

  for (
    const [status, fields] of [
      [401, { _tag: "HttpStatusError", status: 401, method: "GET" }],
      [403, { _tag: "HttpStatusError", status: 403, method: "GET" }],
      [400, { _tag: "HttpStatusError", status: 400, method: "GET" }],
      [302, { _tag: "HttpStatusError", status: 302, method: "GET" }]
    ] as const
  ) {
    live(`S76: ${status} on the first GET fails it and nothing else`, () =>
      Effect.gen(function*() {
        const { gets, transport } = yield* opened((exchange) => exchange.status(status, "no", { location: "/else" }))
        const error = yield* failure(yield* listen(transport))
        assert.deepInclude({ ...error }, fields)
        assert.isUndefined(error.outcome)
        assert.deepStrictEqual(gets(), ["GET"])
        yield* healthy(transport)
      }))
  }

  live(
    "S75, S76: reconnects without progress are bounded, and its failure touches no running request",
    () =>
      Effect.gen(function*() {
        const held: Array<Exchange> = []
        const raw = yield* server(({ events }) => events().end(), (exchange) => held.push(exchange))
        const transport = yield* connect(client, raw)
        yield* handshake(transport)
        const running = yield* Effect.fork(StreamableHttpTransport.request(transport, JsonRpc.request(5, "slow")))
        yield* eventually(() => held.length === 1)
        const error = yield* failure(yield* listen(transport))
        assert.deepInclude({ ...error }, { _tag: "ResumptionError", reason: "Exhausted", attempts: 3 })
        assert.isUndefined(error.requestId)
        assert.strictEqual(raw.log().filter((line) => line === "GET").length, 4)
        held[0]?.json(answer(5, {}))
        assert.deepStrictEqual(yield* within(Fiber.join(running)), { jsonrpc: "2.0", id: 5, result: {} })
        yield* healthy(transport)
      })
  )

  live("after a failure it can be run again", () =>
    Effect.gen(function*() {
      let n = 0
      const { transport } = yield* opened(({ events, status }) => {
        n++
        if (n === 1) return status(401)
        events().event({ data: progress(1) })
      })
      assert.strictEqual((yield* failure(yield* listen(transport)))._tag, "HttpStatusError")
      assert.deepStrictEqual(yield* take(transport, 1), [progress(1)])
    }))

  live("an event that is too large fails it, and the next run starts after it", () =>
    Effect.gen(function*() {
      const { gets, transport } = yield* opened(({ events, headers }) => {
        const from = Number(String(headers["last-event-id"] ?? "g0").slice(1))
        const writer = events()
        for (let n = from + 1; n <= 3; n++) {
          writer.event({
            id: `g${n}`,
            data: n === 2 ? JsonRpc.notification("notifications/message", { data: "x".repeat(5000) }) : progress(n)
          })
        }
      }, { maxMessageSize: 1000 })
      const listening = yield* listen(transport)
      const error = yield* failure(listening)
      assert.deepInclude({ ...error }, { _tag: "MessageTooLarge", limit: 1000 })
      assert.deepStrictEqual(listening.messages, [progress(1)])
      assert.deepStrictEqual(gets(), ["GET"])
      assert.deepStrictEqual(yield* take(transport, 1), [progress(3)])
      assert.deepStrictEqual(gets(), ["GET", "GET g2"])
      yield* healthy(transport)
    }))

  live("after a new initialize it belongs to the new session, from its beginning", () =>
    Effect.gen(function*() {
      let sessions = 0
      const raw = yield* rawServer((exchange) => {
        const { events, headers, json, message, method, status } = exchange
        if (method === "DELETE") return status(200)
        if (message?.method === "initialize") {
          return json(answer(message.id, initializeResult), { headers: { "mcp-session-id": `s${++sessions}` } })
        }
        if (method === "POST") return status(202)
        events().event({ id: `of-${String(headers["mcp-session-id"])}`, data: progress(sessions) })
      })
      const transport = yield* connect(client, raw)
      yield* handshake(transport)
      const listening = yield* listen(transport)
      yield* eventually(() => listening.messages.length === 1)
      yield* StreamableHttpTransport.request(transport, initializeRequest)
      yield* eventually(() => raw.openResponses() === 0)
      yield* Effect.sleep("20 millis")
      assert.strictEqual(raw.arrivals.filter(({ method }) => method === "GET").length, 1)
      yield* StreamableHttpTransport.notify(transport, initialized)
      yield* eventually(() => listening.messages.length === 2)
      assert.deepStrictEqual(listening.messages, [progress(1), progress(2)])
      const gets = raw.arrivals.filter(({ method }) => method === "GET")
      assert.deepStrictEqual(gets.map(({ headers }) => headers["mcp-session-id"]), ["s1", "s2"])
      assert.deepStrictEqual(gets.map(({ headers }) => headers["last-event-id"]), [undefined, undefined])
      assert.isTrue(Option.isNone(yield* Fiber.poll(listening.fiber)))
    }))

  live("S77: it ends quietly on terminate, and nothing follows the DELETE", () =>
    Effect.gen(function*() {
      const { raw, transport } = yield* opened(({ events }) => void events().event({ data: progress(1) }))
      const listening = yield* listen(transport)
      yield* eventually(() => listening.messages.length === 1)
      yield* within(transport.terminate)
      yield* endedQuietly(listening)
      yield* eventually(() => raw.openResponses() === 0)
      yield* Effect.sleep("40 millis")
      assert.strictEqual(raw.log().at(-1), "DELETE")
      assert.strictEqual((yield* transport.session)._tag, "Terminated")
    }))

  live("it ends quietly on terminate, also while it waits for a reconnect or for a head", () =>
    Effect.gen(function*() {
      for (const waits of [true, false]) {
        const { gets, raw, transport } = yield* opened(({ events }) => {
          if (waits) events().event({ id: "g1", retry: 5000, data: progress(1) }).end()
        })
        const listening = yield* listen(transport)
        yield* eventually(() => gets().length === 1 && (!waits || listening.messages.length === 1))
        yield* Effect.sleep("20 millis")
        yield* within(transport.terminate)
        yield* endedQuietly(listening)
        yield* eventually(() => raw.openResponses() === 0)
        assert.strictEqual(raw.log().at(-1), "DELETE")
      }
    }))

  live("S82: it ends quietly when the scope closes, and nothing is left open", () =>
    Effect.gen(function*() {
      const raw = yield* server(({ events }) => void events().event({ data: progress(1) }))
      const scope = yield* Scope.make()
      const transport = yield* Scope.extend(connect(client, raw), scope)
      yield* handshake(transport)
      const listening = yield* listen(transport)
      yield* eventually(() => listening.messages.length === 1)
      yield* within(Scope.close(scope, Exit.void))
      yield* endedQuietly(listening)
      yield* eventually(() => raw.openResponses() === 0)
      assert.strictEqual(raw.log().at(-1), "DELETE")
      yield* endedQuietly(yield* listen(transport))
      assert.strictEqual(raw.log().at(-1), "DELETE")
    }))

  live("the slowest subscriber sets the pace, and receiveBufferSize bounds the lead", () =>
    Effect.gen(function*() {
      const { transport } = yield* opened(({ events }) => {
        const writer = events()
        for (let n = 1; n <= 40; n++) writer.event({ id: `g${n}`, data: progress(n) })
      }, { receiveBufferSize: 4 })
      const gate = yield* Deferred.make<void>()
      const slow: Array<JsonRpc.Message> = []
      const slowFiber = yield* transport.receive.pipe(
        Stream.runForEach((message) => Effect.zipRight(Effect.sync(() => slow.push(message)), Deferred.await(gate))),
        Effect.forkScoped
      )
      yield* Effect.yieldNow()
      const fast = yield* listen(transport)
      yield* eventually(() => slow.length === 1)
      yield* Effect.sleep("50 millis")
      assert.strictEqual(slow.length, 1)
      assert.isAtMost(fast.messages.length, 1 + 4)
      assert.isAtLeast(fast.messages.length, 3)
      yield* Deferred.succeed(gate, undefined)
      yield* eventually(() => slow.length === 40)
      yield* eventually(() => fast.messages.length === 40)
      assert.deepStrictEqual(fast.messages, slow)
      yield* Fiber.interrupt(slowFiber)
    }))

  live("a slow subscriber that leaves no longer holds the others up", () =>
    Effect.gen(function*() {
      const { transport } = yield* opened(({ events }) => {
        const writer = events()
        for (let n = 1; n <= 40; n++) writer.event({ id: `g${n}`, data: progress(n) })
      }, { receiveBufferSize: 2 })
      const slowFiber = yield* transport.receive.pipe(Stream.runForEach(() => Effect.never), Effect.forkScoped)
      yield* Effect.yieldNow()
      const fast = yield* listen(transport)
      yield* eventually(() => fast.messages.length > 0)
      yield* Effect.sleep("20 millis")
      assert.isBelow(fast.messages.length, 10)
      yield* within(Fiber.interrupt(slowFiber))
      yield* eventually(() => fast.messages.length === 40)
    }))
})

// --- in memory ----------------------------------------------------------------------------------------------------------

describe("receive under the test clock", () => {
  const spaced = (millis: number, times: number) =>
    Schedule.spaced(millis).pipe(Schedule.intersect(Schedule.recurs(times)))

  /** A GET whose stream ends after some time. */
  const openFor = (millis: number, script: (response: ScriptedResponse) => ScriptedResponse = (response) => response) =>
    Effect.gen(function*() {
      const response = script(sse())
      yield* Effect.forkDaemon(Effect.delay(Effect.sync(() => response.end()), millis))
      return response
    })

  const outcome = (transport: StreamableHttpTransport.Service) =>
    Effect.gen(function*() {
      const fiber = yield* Effect.fork(Effect.either(Stream.runDrain(transport.receive)))
      yield* TestClock.adjust("1 day")
      const exit = yield* Fiber.poll(fiber)
      yield* Fiber.interrupt(fiber)
      return Option.flatMap(exit, (exit) => Exit.isSuccess(exit) ? Either.getLeft(exit.value) : Option.none())
    })

  clocked(
    "S74: a stream without ids that is open for less than 10 s each time is bounded",
    () =>
      Effect.gen(function*() {
        const { gets, transport } = yield* scripted(() => openFor(9_999), { reconnect: spaced(1000, 3) })
        const error = Option.getOrThrow(yield* outcome(transport))
        assert.deepInclude({ ...error }, { _tag: "ResumptionError", reason: "Exhausted", attempts: 3 })
        assert.deepStrictEqual(gets(), ["0 -", "10999 -", "21998 -", "32997 -"])
      })
  )

  clocked("S75: having been open for 10 s is progress where there are no ids", () =>
    Effect.gen(function*() {
      let n = 0
      const { gets, transport } = yield* scripted(() => n++ < 20 ? openFor(10_000) : bare(500), {
        reconnect: spaced(1000, 2)
      })
      const error = Option.getOrThrow(yield* outcome(transport))
      assert.deepInclude({ ...error }, { reason: "Exhausted", attempts: 2 })
      assert.strictEqual(gets().length, 22)
    }))

  clocked("S75: a message is progress where there are no ids; comments are none", () =>
    Effect.gen(function*() {
      let n = 0
      const { gets, transport } = yield* scripted(() => {
        const response = sse().push(": ping\n\n").event({ data: "" }).event({ event: "ping", data: progress(1) })
        if (n++ < 10) response.event({ data: progress(n) })
        return response.end()
      }, { reconnect: spaced(1000, 2) })
      const error = Option.getOrThrow(yield* outcome(transport))
      assert.deepInclude({ ...error }, { reason: "Exhausted", attempts: 2 })
      assert.strictEqual(gets().length, 10 + 2)
    }))

  clocked("S75: with ids only a new id is progress: no message, no time", () =>
    Effect.gen(function*() {
      let n = 0
      const { gets, transport } = yield* scripted(() => {
        n++
        return openFor(20_000, (response) =>
          n <= 3
            ? response.event({ id: `g${n}`, data: "" })
            : response.event({ data: progress(n) }).event({ id: "g1", data: "" }))
      }, { reconnect: spaced(1000, 2) })
      const error = Option.getOrThrow(yield* outcome(transport))
      assert.deepInclude({ ...error }, { reason: "Exhausted", attempts: 2, lastEventId: "g3" })
      assert.deepStrictEqual(
        gets().map((line) => line.split(" ")[1]),
        ["-", "g1", "g2", "g3", "g3"]
      )
    }))

  clocked("S72: retry and cursor live on across connections and runs", () =>
    Effect.gen(function*() {
      const { gets, transport } = yield* scripted(
        ({ index }) => index === 0 ? sse().event({ id: "g1", retry: 3000, data: progress(1) }).end() : sse().end(),
        { reconnect: spaced(100, 2) }
      )
      assert.isTrue(Option.isSome(yield* outcome(transport)))
      assert.deepStrictEqual(gets(), ["0 -", "3000 g1", "6000 g1"])
      const before = gets().length
      assert.isTrue(Option.isSome(yield* outcome(transport)))
      const later = gets().slice(before).map((line) => line.split(" "))
      const start = Number(later[0]?.[0])
      assert.deepStrictEqual(later.map(([at, cursor]) => [Number(at) - start, cursor]), [[0, "g1"], [3000, "g1"], [
        6000,
        "g1"
      ]])
    }))

  clocked("a retry that is too long ends it with RetryTooLong", () =>
    Effect.gen(function*() {
      const { gets, transport } = yield* scripted(() => sse().event({ id: "g1", retry: 300_001, data: "" }).end())
      const error = Option.getOrThrow(yield* outcome(transport))
      assert.deepInclude({ ...error }, { _tag: "ResumptionError", reason: "RetryTooLong", lastEventId: "g1" })
      assert.deepStrictEqual(gets(), ["0 -"])
    }))

  clocked(
    "failed first attempts follow the policy and Retry-After, and 405 after them still means there is none",
    () =>
      Effect.gen(function*() {
        const replies = [
          () => bare(503, { "retry-after": "7" }),
          () => jsonBody({}),
          () => bare(202),
          () => bare(500),
          () => bare(405)
        ]
        const { gets, transport } = yield* scripted(({ index }) => replies[index]?.() ?? bare(400), {
          reconnect: spaced(1000, 9)
        })
        assert.deepStrictEqual(yield* outcome(transport), Option.none())
        assert.deepStrictEqual(gets(), ["0 -", "7000 -", "8000 -", "9000 -", "10000 -"])
      })
  )

  clocked("405 on a later GET is Unsupported, other refusals are Rejected", () =>
    Effect.gen(function*() {
      for (const [status, reason] of [[405, "Unsupported"], [406, "Rejected"], [400, "Rejected"]] as const) {
        const { transport } = yield* scripted(
          ({ index }) => index === 0 ? sse().event({ id: "g1", data: "" }).end() : bare(status),
          { reconnect: spaced(10, 3) }
        )
        const error = Option.getOrThrow(yield* outcome(transport))
        assert.deepInclude({ ...error }, { _tag: "ResumptionError", reason, status, lastEventId: "g1" })
      }
    }))

  clocked(
    "idleTimeout: silence is a break, comments are activity, a reconnect's head is bounded",
    () =>
      Effect.gen(function*() {
        const first = sse().event({ id: "g1", data: progress(1) })
        const { aborted, gets, transport } = yield* scripted(
          ({ index }) =>
            index === 0 ? first : index === 1 ? Effect.never : sse().event({ id: "g2", data: progress(2) }),
          {
            idleTimeout: "30 seconds",
            reconnect: spaced(1000, 3)
          }
        )
        const messages: Array<JsonRpc.Message> = []
        yield* Effect.forkScoped(
          Stream.runForEach(transport.receive, (message) => Effect.sync(() => messages.push(message)))
        )
        yield* TestClock.adjust("29 seconds")
        first.push(": ping\n\n")
        yield* TestClock.adjust("29 seconds")
        assert.deepStrictEqual(gets(), ["0 -"])
        yield* TestClock.adjust("34 seconds")
        assert.isTrue(first.isClosed)
        assert.deepStrictEqual(gets(), ["0 -", "60000 g1", "91000 g1"])
        assert.deepStrictEqual(messages, [progress(1), progress(2)])
        assert.strictEqual(aborted(), 1)
      })
  )

  clocked(
    "idleTimeout: time during which a slow subscriber holds the source back does not count",
    () =>
      Effect.gen(function*() {
        const response = sse()
        for (let n = 1; n <= 4; n++) response.event({ id: `g${n}`, data: progress(n) })
        const { gets, transport } = yield* scripted(() => response, { idleTimeout: "30 seconds", receiveBufferSize: 1 })
        yield* Effect.forkScoped(Stream.runForEach(transport.receive, () => Effect.sleep("5 minutes")))
        yield* TestClock.adjust("12 minutes")
        assert.deepStrictEqual(gets(), ["0 -"])
        assert.isFalse(response.isClosed)
      })
  )

  clocked("a full buffer pauses the source, and taking resumes it", () =>
    Effect.gen(function*() {
      const response = sse()
      for (let n = 1; n <= 20; n++) response.event({ id: `g${n}`, data: progress(n) })
      const { transport, watched } = yield* scripted(() => response, { receiveBufferSize: 3 })
      const pull = yield* Stream.toPull(transport.receive)
      const got: Array<JsonRpc.Message> = []
      got.push(...Chunk.toReadonlyArray(yield* pull))
      yield* Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 5)))
      assert.isTrue(watched[0]?.isPaused)
      assert.isBelow(watched[0]?.delivered ?? Infinity, 5 * 90)
      for (let n = 2; n <= 20; n++) got.push(...Chunk.toReadonlyArray(yield* pull))
      assert.deepStrictEqual(got, Array.from({ length: 20 }, (_, i) => progress(i + 1)))
      assert.isFalse(watched[0]?.isPaused)
    }))
})

describe("receive, whatever the moment", () => {
  const tick = Effect.promise(() => Promise.resolve())

  // Fibers that yield often meet every order of events. Below this count Effect's own streams make no headway.
  const fewest = 20
  const opCounts = Array.from({ length: 24 }, (_, i) => fewest + i)

  live(
    "no message is left lying, whenever it comes while a subscriber gets ready to wait",
    () =>
      Effect.gen(function*() {
        for (const ops of opCounts) {
          for (let ticks = 0; ticks < 12; ticks += 2) {
            const response = sse()
            const { transport } = yield* scripted(() => response)
            const messages: Array<JsonRpc.Message> = []
            const fiber = yield* transport.receive.pipe(
              Stream.runForEach((message) => Effect.sync(() => messages.push(message))),
              Effect.withMaxOpsBeforeYield(ops),
              Effect.fork
            )
            yield* Effect.sleep("2 millis")
            response.event({ data: progress(1) })
            for (let i = 0; i < ticks; i++) yield* tick
            response.event({ data: progress(2) })
            yield* Effect.sleep("2 millis")
            assert.deepStrictEqual(messages, [progress(1), progress(2)], `${ops} operations, ${ticks} ticks`)
            yield* Fiber.interrupt(fiber)
          }
        }
      })
  )

  live("no break goes unseen, whenever it comes", () =>
    Effect.gen(function*() {
      for (const ops of opCounts) {
        for (let ticks = 0; ticks < 12; ticks += 2) {
          const response = sse()
          const { gets, transport } = yield* scripted(({ index }) => index === 0 ? response : sse(), {
            reconnect: Schedule.spaced("1 millis")
          })
          const fiber = yield* Stream.runDrain(transport.receive).pipe(Effect.withMaxOpsBeforeYield(ops), Effect.fork)
          for (let i = 0; i < ticks; i++) yield* tick
          response.event({ data: "bad" })
          for (let i = 0; i < ticks; i++) yield* tick
          response.end()
          yield* eventually(() => gets().length >= 2)
          yield* Fiber.interrupt(fiber)
        }
      }
    }))

  live(
    "a run that is interrupted in the background does not disturb one that begins meanwhile",
    () =>
      Effect.gen(function*() {
        for (let ticks = 0; ticks < 30; ticks++) {
          const responses: Array<ScriptedResponse> = []
          const { transport } = yield* scripted(() => {
            const response = sse()
            responses.push(response)
            return response
          })
          const first = yield* Effect.fork(Stream.runDrain(transport.receive))
          yield* eventually(() => responses.length === 1)
          const interrupting = yield* Effect.fork(Fiber.interrupt(first))
          for (let i = 0; i < ticks; i++) yield* tick
          const messages: Array<JsonRpc.Message> = []
          const second = yield* Effect.fork(
            Effect.exit(Stream.runForEach(transport.receive, (message) => Effect.sync(() => messages.push(message))))
          )
          yield* within(Fiber.join(interrupting))
          yield* Effect.sleep("3 millis")
          assert.isTrue(Option.isNone(yield* Fiber.poll(second)), `after ${ticks} ticks`)
          assert.strictEqual(responses.filter((response) => !response.isClosed).length, 1, `after ${ticks} ticks`)
          responses.at(-1)?.event({ data: progress(1) })
          yield* Effect.sleep("3 millis")
          assert.deepStrictEqual(messages, [progress(1)], `after ${ticks} ticks`)
          yield* Fiber.interrupt(second)
        }
      })
  )
})
