import { JsonRpc, Reconnection, StreamableHttpTransport, TransportError } from "@effect-mcp/transport"
import { assert, describe } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
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
  progress,
  sessionId
} from "../support/harness.ts"
import { clocked, live } from "../support/quiet.ts"
import { type Exchange, rawServer } from "../support/rawServer.ts"
import { bare, jsonBody, refused, scripted, type ScriptedResponse, sse } from "../support/scriptedTransport.ts"

const done = (id: JsonRpc.RequestId) => JsonRpc.success(id, { content: [] })

const within = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.timeout(effect, "2 seconds")

const healthy = (transport: StreamableHttpTransport.Service) =>
  Effect.gen(function*() {
    const again = yield* within(StreamableHttpTransport.request(transport, JsonRpc.request("again", "ping")))
    assert.deepStrictEqual(again, { jsonrpc: "2.0", id: "again", result: {} })
  })

const isActive = (transport: StreamableHttpTransport.Service) =>
  Effect.map(transport.session, (session) => assert.strictEqual(session._tag, "Active"))

/** What a send emits, the tokens it announces, and how it ended. */
const recorded = (
  transport: StreamableHttpTransport.Service,
  request: JsonRpc.Request = call(),
  options: StreamableHttpTransport.SendOptions = {}
) =>
  Effect.gen(function*() {
    const messages: Array<JsonRpc.Message> = []
    const tokens: Array<string> = []
    const ended = yield* transport.send(request, {
      onResumptionToken: (token) => Effect.sync(() => tokens.push(token)),
      ...options
    }).pipe(Stream.runForEach((message) => Effect.sync(() => messages.push(message))), Effect.either)
    return { messages, tokens, error: Either.isLeft(ended) ? ended.left : undefined }
  })

overEveryClient("resumption", (client) => {
  const opened = (handle: (exchange: Exchange) => void, options?: Partial<StreamableHttpTransport.Options>) =>
    Effect.gen(function*() {
      const raw = yield* rawServer(afterHandshake((exchange) => {
        if (exchange.message?.method === "ping") return exchange.json(answer(exchange.message.id, {}))
        handle(exchange)
      }, { get: true }))
      const transport = yield* connect(client, raw, options)
      yield* handshake(transport)
      return { raw, transport, calls: () => raw.log().slice(2).filter((line) => line !== "POST ping") }
    })

  for (const how of ["cut", "end"] as const) {
    live(
      `S58, S60: a stream that is lost (${how}) is resumed by GET with Last-Event-ID and the usual headers`,
      () =>
        Effect.gen(function*() {
          const { calls, raw, transport } = yield* opened(({ events, method }) => {
            if (method === "GET") {
              return events().event({ id: "e3", data: progress(3) }).event({ id: "e4", data: done(1) }).end()
            }
            events().event({ id: "e1", data: progress(1) }).event({ id: "e2", data: progress(2) })[how]()
          }, { headers: { "x-own": "mine" } })
          const { messages, tokens } = yield* within(recorded(transport, call(), { headers: { "x-message": "this" } }))
          assert.deepStrictEqual(messages, [progress(1), progress(2), progress(3), done(1)])
          assert.deepStrictEqual(tokens, ["e1", "e2", "e3", "e4"])
          assert.deepStrictEqual(calls(), ["POST tools/call", "GET e2"])
          const get = raw.arrivals[3]
          assert.strictEqual(get?.headers["mcp-session-id"], sessionId)
          assert.strictEqual(get?.headers["mcp-protocol-version"], "2025-11-25")
          assert.strictEqual(get?.headers.accept, "text/event-stream")
          assert.strictEqual(get?.headers["x-own"], "mine")
          assert.strictEqual(get?.headers["x-message"], "this")
          assert.isUndefined(get?.headers["content-type"])
          assert.strictEqual(get?.body, "")
          yield* healthy(transport)
          yield* isActive(transport)
        })
    )
  }

  live("S57: a stream cut in the middle of an event loses nothing and delivers no half", () =>
    Effect.gen(function*() {
      const { calls, transport } = yield* opened(({ events, headers, method }) => {
        if (method === "GET" && headers["last-event-id"] === "e1") {
          return events().event({ id: "e2", data: progress(2) }).raw(`id: e3\ndata: ${JSON.stringify(done(1))}`).cut()
        }
        if (method === "GET") return events().event({ id: "e3", data: done(1) }).end()
        events().event({ id: "e1", data: progress(1) }).raw("id: e2\ndata: {\"jsonrpc\":\"2.0\",\"met").cut()
      })
      const { messages, tokens } = yield* within(recorded(transport))
      assert.deepStrictEqual(messages, [progress(1), progress(2), done(1)])
      assert.deepStrictEqual(tokens, ["e1", "e2", "e3"])
      assert.deepStrictEqual(calls(), ["POST tools/call", "GET e1", "GET e2"])
    }))

  live("S65: a stream is resumed without a callback, for `send` and for `request`", () =>
    Effect.gen(function*() {
      const { calls, transport } = yield* opened(({ events, method }) => {
        if (method === "GET") return events().event({ id: "e2", data: done(1) }).end()
        events().event({ id: "e1", data: progress(1) }).cut()
      })
      assert.deepStrictEqual(yield* within(collect(transport.send(call()))), [progress(1), done(1)])
      const seen: Array<JsonRpc.Message> = []
      const got = yield* within(StreamableHttpTransport.request(transport, call(), {
        onMessage: (message) => Effect.sync(() => seen.push(message))
      }))
      assert.deepStrictEqual(got, done(1))
      assert.deepStrictEqual(seen, [progress(1)])
      assert.deepStrictEqual(yield* within(StreamableHttpTransport.request(transport, call())), done(1))
      assert.deepStrictEqual(calls(), Array.from({ length: 3 }, () => ["POST tools/call", "GET e1"]).flat())
    }))

  live("S62: the cursor survives empty and failed resumes", () =>
    Effect.gen(function*() {
      let gets = 0
      const { calls, transport } = yield* opened(({ drop, events, method, status }) => {
        if (method === "POST") return events().event({ id: "e1", data: progress(1) }).cut()
        gets++
        if (gets === 1) return events().end()
        if (gets === 2) return drop()
        if (gets === 3) return status(503)
        if (gets === 4) return events().raw(": nothing\n\n").cut()
        events().event({ data: done(1) }).end()
      }, { reconnect: Schedule.spaced("5 millis").pipe(Schedule.intersect(Schedule.recurs(5))) })
      const { messages } = yield* within(recorded(transport))
      assert.deepStrictEqual(messages, [progress(1), done(1)])
      assert.deepStrictEqual(calls(), ["POST tools/call", "GET e1", "GET e1", "GET e1", "GET e1", "GET e1"])
    }))

  live(
    "S62: a server that replays causes no duplicates, and its replays do not move the cursor",
    () =>
      Effect.gen(function*() {
        let gets = 0
        const { calls, transport } = yield* opened(({ events, method }) => {
          const writer = events()
          for (let n = 1; n <= 3; n++) writer.event({ id: `e${n}`, data: progress(n) })
          if (method === "POST") return writer.cut()
          gets++
          if (gets === 1) {
            return writer.event({ id: "e4", data: progress(4) }).event({ id: "e1", data: progress(1) }).cut()
          }
          writer.event({ id: "e4", data: progress(4) }).event({ id: "e5", data: done(1) }).end()
        })
        const { messages, tokens } = yield* within(recorded(transport))
        assert.deepStrictEqual(messages, [progress(1), progress(2), progress(3), progress(4), done(1)])
        assert.deepStrictEqual(tokens, ["e1", "e2", "e3", "e4", "e5"])
        assert.deepStrictEqual(calls(), ["POST tools/call", "GET e3", "GET e4"])
      })
  )

  live("S62: the answer is never dropped, also under an id that was seen", () =>
    Effect.gen(function*() {
      const { transport } = yield* opened(({ events, method }) => {
        if (method === "GET") return events().event({ id: "e1", data: done(1) }).end()
        events().event({ id: "e1", data: progress(1) }).cut()
      })
      const { messages, tokens } = yield* within(recorded(transport))
      assert.deepStrictEqual(messages, [progress(1), done(1)])
      assert.deepStrictEqual(tokens, ["e1"])
    }))

  live("S62: events without an id are no replays", () =>
    Effect.gen(function*() {
      const { transport } = yield* opened(({ events, method }) => {
        if (method === "GET") {
          return events().event({ data: progress(2) }).event({ data: progress(2) }).event({ data: done(1) }).end()
        }
        events().event({ id: "e1", data: "" }).event({ data: progress(2) }).cut()
      })
      const { messages } = yield* within(recorded(transport))
      assert.deepStrictEqual(messages, [progress(2), progress(2), progress(2), done(1)])
    }))

  live("S61, S63: a server that opens and closes for ever without progress is bounded", () =>
    Effect.gen(function*() {
      const { calls, transport } = yield* opened(({ events, method }) => {
        if (method === "GET") {
          return events().event({ id: "e1", data: "" }).event({ data: progress(5) }).raw(": ping\n\n").end()
        }
        events().event({ id: "e1", data: "" }).end()
      })
      const { error } = yield* within(recorded(transport))
      assert.isTrue(error instanceof TransportError.ResumptionError)
      assert.deepInclude({ ...error }, {
        reason: "Exhausted",
        attempts: 3,
        lastEventId: "e1",
        requestId: 1,
        outcome: "Unknown"
      })
      assert.deepStrictEqual(calls(), ["POST tools/call", "GET e1", "GET e1", "GET e1"])
      yield* healthy(transport)
      yield* isActive(transport)
    }))

  live("S61: legal polling goes on, however small the policy", () =>
    Effect.gen(function*() {
      const { calls, transport } = yield* opened(({ events, headers, method }) => {
        const n = method === "POST" ? 0 : Number(String(headers["last-event-id"]).slice(1))
        const writer = events().event({ id: `e${n + 1}`, data: "" })
        if (n === 30) writer.event({ id: "e99", data: done(1) })
        writer.end()
      }, { reconnect: Schedule.spaced("1 millis").pipe(Schedule.intersect(Schedule.recurs(3))) })
      const { messages } = yield* within(recorded(transport))
      assert.deepStrictEqual(messages, [done(1)])
      assert.deepStrictEqual(calls(), ["POST tools/call", ...Array.from({ length: 30 }, (_, n) => `GET e${n + 1}`)])
    }))

  const refusals: ReadonlyArray<readonly [number, Record<string, unknown>]> = [
    [405, { _tag: "ResumptionError", reason: "Unsupported", status: 405, lastEventId: "e1" }],
    [400, { _tag: "ResumptionError", reason: "Rejected", status: 400, lastEventId: "e1" }],
    [406, { _tag: "ResumptionError", reason: "Rejected", status: 406, lastEventId: "e1" }],
    [410, { _tag: "ResumptionError", reason: "Rejected", status: 410, lastEventId: "e1" }],
    [401, { _tag: "HttpStatusError", status: 401, method: "GET", wwwAuthenticate: "Bearer" }],
    [403, { _tag: "HttpStatusError", status: 403, method: "GET" }],
    [302, { _tag: "HttpStatusError", status: 302, method: "GET", location: "/elsewhere" }],
    [307, { _tag: "HttpStatusError", status: 307, method: "GET" }]
  ]
  for (const [status, fields] of refusals) {
    live(`S69: ${status} on the resuming GET is final`, () =>
      Effect.gen(function*() {
        const { calls, transport } = yield* opened((exchange) => {
          if (exchange.method === "GET") {
            const location = status === 302
              ? { location: "/elsewhere" }
              : status === 307
              ? { location: "http://other.test/" }
              : {}
            return exchange.status(status, "no", {
              ...location,
              ...(status === 401 ? { "www-authenticate": "Bearer" } : {})
            })
          }
          exchange.events().event({ id: "e1", data: progress(1) }).cut()
        })
        const { error, messages } = yield* within(recorded(transport))
        assert.deepInclude({ ...error }, { requestId: 1, outcome: "Unknown", ...fields })
        assert.deepStrictEqual(messages, [progress(1)])
        assert.deepStrictEqual(calls(), ["POST tools/call", "GET e1"])
        yield* healthy(transport)
        yield* isActive(transport)
      }))
  }

  live("S69: 404 on the resuming GET is the end of the session, with outcome Unknown", () =>
    Effect.gen(function*() {
      const { calls, transport } = yield* opened((exchange) => {
        if (exchange.method === "GET") return exchange.status(404)
        exchange.events().event({ id: "e1", data: progress(1) }).cut()
      })
      const { error } = yield* within(recorded(transport))
      assert.isTrue(error instanceof TransportError.SessionTerminated)
      if (error instanceof TransportError.SessionTerminated) {
        assert.strictEqual(Redacted.value(error.sessionId), sessionId)
        assert.deepInclude({ ...error }, { by: "Server", requestId: 1, outcome: "Unknown" })
      }
      const session = yield* transport.session
      assert.strictEqual(session._tag, "Terminated")
      assert.deepStrictEqual(calls(), ["POST tools/call", "GET e1"])
      yield* handshake(transport)
      yield* healthy(transport)
      yield* isActive(transport)
    }))

  for (
    const [name, reply] of [
      ["HTML", ({ status }: Exchange) => status(200, "<html>", { "content-type": "text/html" })],
      ["JSON", ({ json }: Exchange) => json(done(1))],
      ["202", ({ status }: Exchange) => status(202)],
      ["204", ({ status }: Exchange) => status(204)],
      ["408", ({ status }: Exchange) => status(408)],
      ["409", ({ status }: Exchange) => status(409)],
      ["425", ({ status }: Exchange) => status(425)],
      ["429", ({ status }: Exchange) => status(429)],
      ["500", ({ status }: Exchange) => status(500)],
      ["a reset", ({ drop }: Exchange) => drop()]
    ] as ReadonlyArray<readonly [string, (exchange: Exchange) => void]>
  ) {
    live(`S55, S63: ${name} on the resuming GET is a failed attempt`, () =>
      Effect.gen(function*() {
        let gets = 0
        const { calls, transport } = yield* opened((exchange) => {
          if (exchange.method === "POST") return exchange.events().event({ id: "e1", data: progress(1) }).cut()
          gets++
          if (gets === 3) return exchange.events().event({ id: "e2", data: done(1) }).end()
          reply(exchange)
        })
        const { error, messages } = yield* within(recorded(transport))
        assert.isUndefined(error)
        assert.deepStrictEqual(messages, [progress(1), done(1)])
        assert.deepStrictEqual(calls(), ["POST tools/call", "GET e1", "GET e1", "GET e1"])
        yield* isActive(transport)
      }))
  }

  live("S63: the policy used up: Exhausted with attempts, cursor, status and cause", () =>
    Effect.gen(function*() {
      const { calls, transport } = yield* opened((exchange) => {
        if (exchange.method === "GET") return exchange.status(500, "broken")
        exchange.events().event({ id: "e1", data: progress(1) }).cut()
      })
      const { error, tokens } = yield* within(recorded(transport))
      assert.isTrue(error instanceof TransportError.ResumptionError)
      if (error instanceof TransportError.ResumptionError) {
        assert.deepInclude({ ...error }, {
          reason: "Exhausted",
          attempts: 3,
          lastEventId: "e1",
          status: 500,
          requestId: 1,
          outcome: "Unknown"
        })
        assert.isTrue(error.cause instanceof TransportError.HttpStatusError)
        assert.deepInclude({ ...Object(error.cause) }, { status: 500, body: "broken", method: "GET" })
      }
      assert.deepStrictEqual(tokens, ["e1"])
      assert.deepStrictEqual(calls(), ["POST tools/call", "GET e1", "GET e1", "GET e1"])
      yield* healthy(transport)
      yield* isActive(transport)
    }))

  for (const how of ["cut", "end"] as const) {
    live(
      `S58: without an id the loss of a stream (${how}) is a failure at once, and nothing is repeated`,
      () =>
        Effect.gen(function*() {
          const { calls, transport } = yield* opened(({ events }) =>
            events().event({ data: progress(1) }).raw(": c\n\n")[how]()
          )
          const { error, messages } = yield* within(recorded(transport))
          assert.deepStrictEqual(messages, [progress(1)])
          assert.deepInclude(
            { ...error },
            how === "cut"
              ? { _tag: "ConnectionError", phase: "Body", requestId: 1, outcome: "Unknown" }
              : { _tag: "ProtocolError", reason: "NoResponse", requestId: 1, outcome: "Unknown" }
          )
          if (how === "cut") assert.isDefined(error?._tag === "ConnectionError" ? error.cause : undefined)
          yield* Effect.sleep("40 millis")
          assert.deepStrictEqual(calls(), ["POST tools/call"])
          yield* healthy(transport)
          yield* isActive(transport)
        })
    )
  }

  live("S58: an empty stream is NoResponse", () =>
    Effect.gen(function*() {
      const { transport } = yield* opened(({ events }) => events().end())
      const { error } = yield* within(recorded(transport))
      assert.deepInclude({ ...error }, {
        _tag: "ProtocolError",
        reason: "NoResponse",
        requestId: 1,
        outcome: "Unknown"
      })
    }))

  live("an id that the server takes back with an empty one is no cursor any more", () =>
    Effect.gen(function*() {
      const { calls, transport } = yield* opened(({ events }) =>
        events().event({ id: "e1", data: progress(1) }).raw("id:\n\n").cut()
      )
      const { error, tokens } = yield* within(recorded(transport))
      assert.deepInclude({ ...error }, { _tag: "ConnectionError", phase: "Body", outcome: "Unknown" })
      assert.deepStrictEqual(tokens, ["e1"])
      assert.deepStrictEqual(calls(), ["POST tools/call"])
    }))

  live("S60: a cursor beyond ASCII goes out as UTF-8", () =>
    Effect.gen(function*() {
      const { raw, transport } = yield* opened(({ events, method }) => {
        if (method === "GET") return events().event({ data: done(1) }).end()
        events().event({ id: "\u00e9\u20ac/1 2", data: progress(1) }).end()
      })
      const { error, tokens } = yield* within(recorded(transport))
      assert.isUndefined(error)
      assert.deepStrictEqual(tokens, ["\u00e9\u20ac/1 2"])
      const sent = String(raw.arrivals[3]?.headers["last-event-id"])
      assert.strictEqual(Buffer.from(sent, "latin1").toString("utf8"), "\u00e9\u20ac/1 2")
    }))

  live("S30, S56: every stream has its own cursor", () =>
    Effect.gen(function*() {
      const { calls, transport } = yield* opened(({ events, headers, message, method }) => {
        if (method === "GET") {
          const id = Number(String(headers["last-event-id"]).slice(1))
          return events().event({ id: `f${id}`, data: done(id) }).end()
        }
        events().event({ id: `e${message?.id}`, data: progress(Number(message?.id)) }).cut()
      })
      const all = yield* within(
        Effect.forEach([1, 2, 3, 4, 5], (id) => collect(transport.send(call(id))), { concurrency: "unbounded" })
      )
      assert.deepStrictEqual(all, [1, 2, 3, 4, 5].map((id) => [progress(id), done(id)]))
      assert.deepStrictEqual(calls().toSorted(), [
        ...[1, 2, 3, 4, 5].map((id) => `GET e${id}`),
        ...[1, 2, 3, 4, 5].map(() => "POST tools/call")
      ])
    }))

  live("S24: initialize answered on a resumed stream still learns session and version", () =>
    Effect.gen(function*() {
      const raw = yield* rawServer(({ events, json, message, method, status }) => {
        if (method === "DELETE") return status(200)
        if (method === "GET") return events().event({ id: "i2", data: answer(0, initializeResult) }).end()
        if (message?.method === "initialize") {
          return events({ "mcp-session-id": "late-session" }).event({ id: "i1", data: "" }).cut()
        }
        json(answer(message?.id, {}))
      })
      const transport = yield* connect(client, raw)
      const got = yield* within(StreamableHttpTransport.request(transport, initializeRequest))
      assert.deepStrictEqual(got, { jsonrpc: "2.0", id: 0, result: initializeResult })
      assert.deepStrictEqual(raw.log(), ["POST initialize", "GET i1"])
      assert.strictEqual(raw.arrivals[1]?.headers["mcp-session-id"], "late-session")
      const session = yield* transport.session
      assert.strictEqual(session._tag, "Active")
      if (session._tag === "Active") {
        assert.deepStrictEqual(Option.map(session.sessionId, Redacted.value), Option.some("late-session"))
        assert.deepStrictEqual(session.protocolVersion, Option.some("2025-11-25"))
      }
      yield* healthy(transport)
      assert.strictEqual(raw.arrivals[2]?.headers["mcp-session-id"], "late-session")
      assert.strictEqual(raw.arrivals[2]?.headers["mcp-protocol-version"], "2025-11-25")
    }))

  live("interrupting during the wait stops everything: no later GET", () =>
    Effect.gen(function*() {
      const { calls, transport } = yield* opened(({ events }) => events().event({ id: "e1", data: "" }).end(), {
        reconnect: Schedule.spaced("500 millis")
      })
      const fiber = yield* Effect.fork(recorded(transport))
      yield* eventually(() => calls().length === 1)
      yield* Effect.sleep("20 millis")
      yield* within(Fiber.interrupt(fiber))
      yield* Effect.sleep("550 millis")
      assert.deepStrictEqual(calls(), ["POST tools/call"])
      yield* healthy(transport)
    }))

  live("interrupting while the GET is open or unanswered closes it: no later GET", () =>
    Effect.gen(function*() {
      let answers = false
      const { calls, raw, transport } = yield* opened(({ events, method }) => {
        if (method === "POST") return events().event({ id: "e1", data: "" }).end()
        if (answers) events().raw(": open\n\n")
      })
      for (const gets of [1, 2]) {
        answers = gets === 2
        const fiber = yield* Effect.fork(recorded(transport))
        yield* eventually(() => calls().length === gets * 2)
        yield* Effect.sleep("20 millis")
        assert.strictEqual(raw.openResponses(), 1)
        yield* within(Fiber.interrupt(fiber))
        yield* eventually(() => raw.openResponses() === 0)
      }
      yield* Effect.sleep("50 millis")
      assert.deepStrictEqual(calls(), ["POST tools/call", "GET e1", "POST tools/call", "GET e1"])
      yield* healthy(transport)
      yield* isActive(transport)
    }))

  // --- explicit resumption --------------------------------------------------------------------------------------------

  live(
    "S66, S67: a token means a GET and no POST; the answer takes the id of the new request",
    () =>
      Effect.gen(function*() {
        const { calls, raw, transport } = yield* opened(({ events }) => {
          events().event({ id: "t2", data: progress(2) }).event({ id: "t3", data: JsonRpc.request("s1", "ping") })
            .event({ id: "t4", data: done(7) }).end()
        })
        const { messages, tokens } = yield* within(recorded(transport, call("new"), { resumptionToken: "t1" }))
        assert.deepStrictEqual(messages, [progress(2), JsonRpc.request("s1", "ping"), done("new")])
        assert.deepStrictEqual(tokens, ["t2", "t3", "t4"])
        assert.deepStrictEqual(calls(), ["GET t1"])
        assert.strictEqual(raw.arrivals[2]?.headers["mcp-session-id"], sessionId)
        assert.deepStrictEqual(
          yield* within(StreamableHttpTransport.request(transport, call(55), { resumptionToken: "t1" })),
          done(55)
        )
        yield* healthy(transport)
      })
  )

  live("S67: an error is an answer, too, and takes the new id", () =>
    Effect.gen(function*() {
      const error = { code: -32001, message: "gone" }
      const { transport } = yield* opened(({ events }) =>
        events().event({ data: { jsonrpc: "2.0", id: 7, error } }).end()
      )
      const { messages } = yield* within(recorded(transport, call(2), { resumptionToken: "t1" }))
      assert.deepStrictEqual(messages, [{ jsonrpc: "2.0", id: 2, error }])
    }))

  live(
    "S70: an explicitly resumed stream that ends early is resumed, and the first response is still the answer",
    () =>
      Effect.gen(function*() {
        let gets = 0
        const { calls, transport } = yield* opened(({ events }) => {
          gets++
          if (gets === 1) {
            return events().event({ id: "t1", data: progress(1) }).event({ id: "t2", data: progress(2) }).cut()
          }
          if (gets === 2) return events().end()
          events().event({ id: "t3", data: done("old") }).end()
        })
        const { messages, tokens } = yield* within(recorded(transport, call(2), { resumptionToken: "t1" }))
        assert.deepStrictEqual(messages, [progress(2), done(2)])
        assert.deepStrictEqual(tokens, ["t2", "t3"])
        assert.deepStrictEqual(calls(), ["GET t1", "GET t2", "GET t2"])
      })
  )

  for (
    const [status, fields] of [
      [405, { _tag: "ResumptionError", reason: "Unsupported", status: 405, lastEventId: "t1" }],
      [400, { _tag: "ResumptionError", reason: "Rejected", status: 400, lastEventId: "t1" }],
      [401, { _tag: "HttpStatusError", status: 401 }],
      [404, { _tag: "SessionTerminated", by: "Server" }]
    ] as const
  ) {
    live(`S69: ${status} to an explicit resumption fails only that send`, () =>
      Effect.gen(function*() {
        const { calls, transport } = yield* opened((exchange) => exchange.status(status))
        const { error } = yield* within(recorded(transport, call(2), { resumptionToken: "t1" }))
        assert.deepInclude({ ...error }, { ...fields, requestId: 2, outcome: "Unknown" })
        assert.deepStrictEqual(calls(), ["GET t1"])
        assert.strictEqual((yield* transport.session)._tag, status === 404 ? "Terminated" : "Active")
        if (status !== 404) yield* healthy(transport)
      }))
  }

  live("S69: 5xx and resets of an explicit resumption are retried by the policy", () =>
    Effect.gen(function*() {
      let gets = 0
      const { calls, transport } = yield* opened(({ drop, events, status }) => {
        gets++
        if (gets === 1) return status(500)
        if (gets === 2) return drop()
        events().event({ data: done(1) }).end()
      })
      const { messages } = yield* within(recorded(transport, call(1), { resumptionToken: "t1" }))
      assert.deepStrictEqual(messages, [done(1)])
      assert.deepStrictEqual(calls(), ["GET t1", "GET t1", "GET t1"])
    }))

  live("S68: a token that cannot be used: nothing goes out", () =>
    Effect.gen(function*() {
      const { calls, transport } = yield* opened(({ status }) => status(500))
      const stateless = JsonRpc.request(5, "tools/call", {
        name: "x",
        _meta: { "io.modelcontextprotocol/protocolVersion": "2026-07-28" }
      })
      const cases: ReadonlyArray<readonly [JsonRpc.Message, string, "MissingToken" | "NotResumable"]> = [
        [call(5), "", "MissingToken"],
        [call(5), "a\nb", "NotResumable"],
        [call(5), "a\rb", "NotResumable"],
        [call(5), "a\0b", "NotResumable"],
        [call(5), " a", "NotResumable"],
        [call(5), "a\u007f", "NotResumable"],
        [stateless, "t1", "NotResumable"],
        [JsonRpc.notification("notifications/progress"), "t1", "NotResumable"],
        [JsonRpc.success(5, {}), "t1", "NotResumable"]
      ]
      for (const [message, resumptionToken, reason] of cases) {
        const error = yield* within(collect(transport.send(message, { resumptionToken }))).pipe(Effect.flip)
        assert.strictEqual(error._tag, "ResumptionError")
        assert.deepInclude(
          { ...error },
          { reason, outcome: "NotExecuted", attempts: 0 },
          JSON.stringify(resumptionToken)
        )
        assert.strictEqual(
          "requestId" in error ? error.requestId : undefined,
          JsonRpc.isRequest(message) ? 5 : undefined
        )
      }
      assert.deepStrictEqual(calls(), [])
      yield* healthy(transport)
      yield* isActive(transport)
    }))
})

// --- under the test clock -----------------------------------------------------------------------------------------------

describe("S59: when a stream reconnects", () => {
  /** Runs an effect while the clock goes on for as long as it takes. */
  const patiently = <A, E>(
    effect: Effect.Effect<A, E, Scope.Scope>,
    time: Duration.DurationInput = "1 day"
  ): Effect.Effect<A, E, Scope.Scope> =>
    Effect.gen(function*() {
      const fiber = yield* Effect.fork(effect)
      yield* TestClock.adjust(time)
      const exit = yield* Fiber.poll(fiber)
      if (Option.isNone(exit)) {
        yield* Fiber.interrupt(fiber)
        return yield* Effect.die(new Error("still running after all that time"))
      }
      return yield* exit.value
    })

  const spaced = (millis: number, times: number): Reconnection.Policy =>
    Schedule.spaced(millis).pipe(Schedule.intersect(Schedule.recurs(times)))

  const errorOf = (transport: StreamableHttpTransport.Service) => Effect.flip(collect(transport.send(call())))

  clocked("the default policy: within [d, 1.2 d], eight attempts, then Exhausted", () =>
    Effect.gen(function*() {
      const { opened, transport } = yield* scripted(({ method }) =>
        method === "POST" ? sse().event({ id: "e1", data: "" }).end() : refused
      )
      const error = yield* patiently(errorOf(transport))
      assert.deepInclude({ ...error }, { _tag: "ResumptionError", reason: "Exhausted", attempts: 8, lastEventId: "e1" })
      const at = opened.map((entry) => entry.at)
      const delays = at.slice(1).map((time, i) => time - (at[i] ?? 0))
      const nominal = [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]
      assert.strictEqual(delays.length, nominal.length)
      nominal.forEach((delay, i) => {
        assert.isAtLeast(delays[i] ?? 0, delay)
        assert.isAtMost(delays[i] ?? 0, delay * 1.2 + 1)
      })
    }))

  clocked("the first wait is the server's retry, later ones the larger of the two", () =>
    Effect.gen(function*() {
      const { gets, transport } = yield* scripted(
        ({ method }) => method === "POST" ? sse().event({ id: "e1", retry: 250, data: "" }).end() : sse().end(),
        {
          reconnect: Schedule.exponential(100, 4).pipe(Schedule.intersect(Schedule.recurs(4)))
        }
      )
      const error = yield* patiently(errorOf(transport))
      assert.deepInclude({ ...error }, { reason: "Exhausted", attempts: 4 })
      assert.deepStrictEqual(gets(), ["250 e1", `${250 + 400} e1`, `${650 + 1600} e1`, `${2250 + 6400} e1`])
    }))

  clocked(
    "a retry larger than the policy's delays holds for all waits; the newest counts",
    () =>
      Effect.gen(function*() {
        let n = 0
        const { gets, transport } = yield* scripted(({ method }) => {
          if (method === "POST") return sse().event({ id: "e1", retry: 5000, data: "" }).cut()
          n++
          return n === 2 ? sse().event({ retry: 700 }).end() : sse().end()
        }, { reconnect: spaced(50, 4) })
        yield* patiently(errorOf(transport))
        assert.deepStrictEqual(gets(), ["5000 e1", "10000 e1", "10700 e1", "11400 e1"])
      })
  )

  for (const retry of [0, 1, 99, 100]) {
    clocked(`a retry of ${retry} waits 100 ms`, () =>
      Effect.gen(function*() {
        const { gets, transport } = yield* scripted(
          ({ method }) => method === "POST" ? sse().event({ id: "e1", retry, data: "" }).end() : sse().end(),
          { reconnect: spaced(0, 3) }
        )
        yield* patiently(errorOf(transport))
        assert.deepStrictEqual(gets(), ["100 e1", "200 e1", "300 e1"])
      }))
  }

  for (const retry of ["-5", "abc", "1.5", "", "1e3"]) {
    clocked(`a retry of ${JSON.stringify(retry)} is none`, () =>
      Effect.gen(function*() {
        const { gets, transport } = yield* scripted(
          ({ method }) => method === "POST" ? sse().event({ id: "e1", retry, data: "" }).end() : sse().end(),
          { reconnect: spaced(40, 2) }
        )
        yield* patiently(errorOf(transport))
        assert.deepStrictEqual(gets(), ["40 e1", "80 e1"])
      }))
  }

  clocked("S56: retry belongs to its stream and to no other", () =>
    Effect.gen(function*() {
      const { gets, transport } = yield* scripted(({ headers, message, method }) => {
        if (method === "GET") return sse().event({ data: done(headers["last-event-id"] === "a" ? 1 : 2) })
        return message?.id === 1
          ? sse().event({ id: "a", retry: 3000, data: "" }).end()
          : sse().event({ id: "b", data: "" }).end()
      }, { reconnect: spaced(1000, 3) })
      yield* patiently(
        Effect.all([collect(transport.send(call(1))), collect(transport.send(call(2)))], { concurrency: 2 })
      )
      assert.deepStrictEqual(gets(), ["1000 b", "3000 a"])
    }))

  for (
    const [name, retry, max] of [
      ["just above the maximum", 300_001, undefined],
      ["a day", 86_400_000, undefined],
      ["beyond any number", "9".repeat(400), undefined],
      ["above a small maximum", 2_000, "1 second"]
    ] as ReadonlyArray<readonly [string, number | string, Duration.DurationInput | undefined]>
  ) {
    clocked(`a retry that is too long fails at once and is not shortened: ${name}`, () =>
      Effect.gen(function*() {
        const { gets, transport } = yield* scripted(
          () => sse().event({ id: "e1", retry, data: progress(1) }).end(),
          { maxRetryDelay: max }
        )
        const error = yield* patiently(errorOf(transport), 0)
        assert.strictEqual(error._tag, "ResumptionError")
        assert.deepInclude({ ...error }, {
          reason: "RetryTooLong",
          lastEventId: "e1",
          attempts: 0,
          outcome: "Unknown",
          requestId: 1
        })
        if (error._tag === "ResumptionError" && typeof retry === "number") {
          assert.strictEqual(error.retry === undefined ? undefined : Duration.toMillis(error.retry), retry)
        }
        assert.deepStrictEqual(gets(), [])
      }))
  }

  clocked("a retry of just the maximum is waited for", () =>
    Effect.gen(function*() {
      const { gets, transport } = yield* scripted(({ method }) =>
        method === "POST" ? sse().event({ id: "e1", retry: 300_000, data: "" }).end() : sse().event({ data: done(1) })
      )
      yield* patiently(collect(transport.send(call())))
      assert.deepStrictEqual(gets(), ["300000 e1"])
    }))

  clocked("waits longer than timers can be set for are waited for in full", () =>
    Effect.gen(function*() {
      const retry = 2 ** 31 + 5_000
      const { gets, transport } = yield* scripted(({ method }) =>
        method === "POST" ? sse().event({ id: "e1", retry, data: "" }).end() : sse().event({ data: done(1) }), {
        maxRetryDelay: "100 days"
      })
      yield* patiently(collect(transport.send(call())), "99 days")
      assert.deepStrictEqual(gets(), [`${retry} e1`])
    }))

  clocked("Retry-After of a failed attempt is a floor, in seconds and as a date", () =>
    Effect.gen(function*() {
      let n = 0
      const { gets, transport } = yield* scripted(({ method }) => {
        if (method === "POST") return sse().event({ id: "e1", data: "" }).end()
        n++
        if (n === 1) return bare(503, { "retry-after": "7" })
        if (n === 2) return bare(429, { "retry-after": "Thu, 01 Jan 1970 00:00:20 GMT" })
        if (n === 3) return bare(503, { "retry-after": "soon" })
        if (n === 4) return bare(500)
        return sse().event({ data: done(1) })
      }, { reconnect: spaced(1000, 10) })
      yield* patiently(collect(transport.send(call())))
      assert.deepStrictEqual(gets(), ["1000 e1", "8000 e1", "20000 e1", "21000 e1", "22000 e1"])
    }))

  clocked("Retry-After above the maximum is RetryTooLong", () =>
    Effect.gen(function*() {
      const { gets, transport } = yield* scripted(({ method }) =>
        method === "POST" ? sse().event({ id: "e1", data: "" }).end() : bare(503, { "retry-after": "301" })
      )
      const error = yield* patiently(errorOf(transport), "10 seconds")
      assert.deepInclude({ ...error }, { reason: "RetryTooLong", attempts: 1, status: 503, lastEventId: "e1" })
      assert.strictEqual(gets().length, 1)
    }))

  clocked(
    "S61: only a new event id resets the policy: not a message, not a replay, not a comment, not an open stream",
    () =>
      Effect.gen(function*() {
        let n = 0
        const { gets, transport } = yield* scripted(({ method }) => {
          if (method === "POST") return sse().event({ id: "e1", data: progress(1) }).end()
          n++
          const response = sse()
          if (n === 2) response.event({ data: progress(5) }).event({ id: "e1", data: progress(1) }).push(": x\n\n")
          if (n === 3) response.event({ id: "e2", data: "" })
          return response.end()
        }, { reconnect: Schedule.exponential(100, 2).pipe(Schedule.intersect(Schedule.recurs(3))) })
        const error = yield* patiently(errorOf(transport))
        assert.deepInclude({ ...error }, { reason: "Exhausted", attempts: 3, lastEventId: "e2" })
        assert.deepStrictEqual(gets(), ["100 e1", "300 e1", "700 e1", "800 e2", "1000 e2", "1400 e2"])
      })
  )

  clocked("S61: a request's stream that was open for long has made no progress by that", () =>
    Effect.gen(function*() {
      const { gets, transport } = yield* scripted(({ method }) => {
        if (method === "POST") return sse().event({ id: "e1", data: "" }).end()
        return Effect.gen(function*() {
          const response = sse()
          yield* Effect.forkDaemon(Effect.delay(Effect.sync(() => response.end()), "20 seconds"))
          return response
        })
      }, { reconnect: spaced(1000, 2) })
      const error = yield* patiently(errorOf(transport))
      assert.deepInclude({ ...error }, { reason: "Exhausted", attempts: 2 })
      assert.deepStrictEqual(gets(), ["1000 e1", "22000 e1"])
    }))

  clocked("the policy is told what happened", () =>
    Effect.gen(function*() {
      const told: Array<Reconnection.StreamInterruption> = []
      let n = 0
      const { transport, watched } = yield* scripted(({ method }) => {
        if (method === "POST") return sse().event({ id: "e1", retry: 200, data: progress(1) }).cut()
        n++
        if (n === 1) return bare(500)
        if (n === 2) return sse().event({ id: "e2", data: "" }).end()
        if (n === 3) return refused
        return sse().event({ data: done("r") })
      }, {
        reconnect: spaced(10, 9).pipe(
          Schedule.tapInput((interruption: Reconnection.StreamInterruption) =>
            Effect.sync(() => told.push(interruption))
          )
        )
      })
      yield* patiently(collect(transport.send(call("r"))))
      assert.deepStrictEqual(
        told.map(({ attempts, lastEventId, requestId, retry, stream }) => ({
          attempts,
          lastEventId,
          requestId,
          retry: retry === undefined ? undefined : Duration.toMillis(retry),
          stream
        })),
        [
          { attempts: 0, lastEventId: "e1", requestId: "r", retry: 200, stream: "Request" },
          { attempts: 1, lastEventId: "e1", requestId: "r", retry: 200, stream: "Request" },
          { attempts: 0, lastEventId: "e2", requestId: "r", retry: 200, stream: "Request" },
          { attempts: 1, lastEventId: "e2", requestId: "r", retry: 200, stream: "Request" }
        ]
      )
      assert.strictEqual(Object(told[0]?.cause).code, "UND_ERR_SOCKET")
      assert.strictEqual(told[0]?.cause, watched[0]?.cause)
      assert.isTrue(told[1]?.cause instanceof TransportError.HttpStatusError)
      assert.strictEqual(told[2]?.cause, undefined)
      assert.strictEqual(Object(told[3]?.cause).code, "ECONNREFUSED")
    }))

  clocked("S63: the cause of the last loss travels into the error", () =>
    Effect.gen(function*() {
      const { transport, watched } = yield* scripted(() => sse().event({ id: "e1", data: "" }).cut(), {
        reconnect: Reconnection.never
      })
      const error = yield* patiently(errorOf(transport))
      assert.deepInclude({ ...error }, { reason: "Exhausted", attempts: 0, lastEventId: "e1" })
      assert.strictEqual(Object(watched[0]?.cause).code, "UND_ERR_SOCKET")
      assert.strictEqual(error._tag === "ResumptionError" ? error.cause : undefined, watched[0]?.cause)
      assert.strictEqual("status" in error ? error.status : undefined, undefined)
    }))

  clocked("interrupting in the wait leaves nothing behind", () =>
    Effect.gen(function*() {
      const { count, transport } = yield* scripted(() => sse().event({ id: "e1", retry: 1000, data: "" }).end())
      const fiber = yield* Effect.fork(collect(transport.send(call())))
      yield* TestClock.adjust(999)
      yield* Fiber.interrupt(fiber)
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(count("GET"), 0)
    }))

  clocked("terminate in the wait ends the send at once", () =>
    Effect.gen(function*() {
      const { count, transport } = yield* scripted(() => sse().event({ id: "e1", retry: 1000, data: "" }).end())
      const fiber = yield* Effect.fork(errorOf(transport))
      yield* TestClock.adjust(500)
      yield* transport.terminate
      const error = yield* Fiber.join(fiber)
      assert.deepInclude({ ...error }, { _tag: "SessionTerminated", by: "Client", outcome: "Unknown", requestId: 1 })
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(count("GET"), 0)
      assert.strictEqual(count("DELETE"), 1)
    }))

  clocked(
    "S70: the token of an explicit resumption is where it begins, and the policy counts from there",
    () =>
      Effect.gen(function*() {
        const { count, gets, transport } = yield* scripted(() => refused, { reconnect: spaced(100, 2) })
        const error = yield* patiently(Effect.flip(collect(transport.send(call(), { resumptionToken: "t1" }))))
        assert.deepInclude({ ...error }, { reason: "Exhausted", attempts: 2, lastEventId: "t1" })
        assert.deepStrictEqual(gets(), ["0 t1", "100 t1", "200 t1"])
        assert.strictEqual(count("POST"), 0)
      })
  )

  clocked("S69: without a session 404 to the resuming GET is Rejected", () =>
    Effect.gen(function*() {
      const { transport } = yield* scripted(
        ({ method }) => method === "POST" ? sse().event({ id: "e1", retry: 0, data: "" }).end() : bare(404),
        { session: undefined }
      )
      const error = yield* patiently(errorOf(transport))
      assert.deepInclude({ ...error }, { _tag: "ResumptionError", reason: "Rejected", status: 404, outcome: "Unknown" })
      assert.strictEqual((yield* transport.session)._tag, "Idle")
    }))

  clocked("a stateless request is never resumed", () =>
    Effect.gen(function*() {
      const { count, transport } = yield* scripted(() => sse().event({ id: "e1", data: progress(1) }).cut())
      const request = JsonRpc.request(1, "tools/call", {
        name: "x",
        _meta: { "io.modelcontextprotocol/protocolVersion": "2026-07-28" }
      })
      const error = yield* patiently(Effect.flip(collect(transport.send(request))))
      assert.deepInclude({ ...error }, { _tag: "ConnectionError", phase: "Body", outcome: "Unknown", requestId: 1 })
      assert.strictEqual(count("GET"), 0)
    }))

  // --- idleTimeout ----------------------------------------------------------------------------------------------------

  clocked("idleTimeout: silence is a break that is resumed", () =>
    Effect.gen(function*() {
      const responses: Array<ScriptedResponse> = []
      const { gets, transport } = yield* scripted(({ method }) => {
        const response = method === "POST" ? sse().event({ id: "e1", data: "" }) : sse().event({ data: done(1) })
        responses.push(response)
        return response
      }, { idleTimeout: "30 seconds", reconnect: spaced(1000, 3) })
      assert.deepStrictEqual(yield* patiently(collect(transport.send(call()))), [done(1)])
      assert.deepStrictEqual(gets(), ["31000 e1"])
      assert.isTrue(responses[0]?.isClosed)
    }))

  clocked("idleTimeout: without an id silence is a ConnectionError", () =>
    Effect.gen(function*() {
      const { opened, transport } = yield* scripted(() => sse().event({ data: progress(1) }), {
        idleTimeout: "30 seconds"
      })
      const error = yield* patiently(errorOf(transport))
      assert.deepInclude({ ...error }, { _tag: "ConnectionError", phase: "Body", outcome: "Unknown", requestId: 1 })
      assert.strictEqual(opened.length, 1)
    }))

  clocked("idleTimeout: comments, and parts of an event, are activity", () =>
    Effect.gen(function*() {
      const response = sse().event({ id: "e1", data: "" })
      const { gets, transport } = yield* scripted(
        ({ method }) => method === "POST" ? response : sse().event({ data: done(1) }),
        {
          idleTimeout: "30 seconds",
          reconnect: spaced(1000, 3)
        }
      )
      const fiber = yield* Effect.fork(collect(transport.send(call())))
      for (const text of [": ping\n\n", ":\n", "data: {\"json", "rpc\"", ": x"]) {
        yield* TestClock.adjust("29 seconds")
        response.push(text)
      }
      yield* TestClock.adjust("29 seconds")
      assert.deepStrictEqual(gets(), [])
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(yield* Fiber.join(fiber), [done(1)])
      assert.deepStrictEqual(gets(), [`${29_000 * 5 + 31_000} e1`])
    }))

  clocked("idleTimeout: time spent in a slow consumer does not count", () =>
    Effect.gen(function*() {
      const response = sse().event({ id: "e1", data: progress(1) }).event({ data: progress(2) })
      const { count, transport } = yield* scripted(() => response, { idleTimeout: "30 seconds" })
      const times: Array<number> = []
      const fiber = yield* Effect.fork(
        transport.send(call()).pipe(Stream.runForEach((message) =>
          Effect.gen(function*() {
            times.push(yield* Clock.currentTimeMillis)
            if (JsonRpc.isNotification(message)) yield* Effect.sleep("5 minutes")
          })
        ))
      )
      yield* TestClock.adjust("1 minute")
      yield* TestClock.adjust("9 minutes")
      yield* TestClock.adjust("20 seconds")
      response.event({ data: done(1) })
      yield* TestClock.adjust("1 minute")
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(times.slice(0, 2), [0, 300_000])
      assert.strictEqual(times.length, 3)
      assert.strictEqual(count("GET"), 0)
    }))

  clocked("idleTimeout: it bounds a reconnect's head, but not a POST's", () =>
    Effect.gen(function*() {
      let n = 0
      const { aborted, gets, opened, transport } = yield* scripted(({ method }) => {
        if (method === "POST") {
          return Effect.delay(
            Effect.sync(() => sse().event({ id: "e1", data: "" }).end()),
            "10 minutes"
          )
        }
        n++
        return n === 1 ? Effect.never : sse().event({ data: done(1) })
      }, { idleTimeout: "30 seconds", reconnect: spaced(1000, 3) })
      assert.deepStrictEqual(yield* patiently(collect(transport.send(call()))), [done(1)])
      assert.deepStrictEqual(gets(), ["601000 e1", "632000 e1"])
      assert.strictEqual(opened.length, 3)
      assert.strictEqual(aborted(), 1)
    }))

  clocked("S64: in all of these the POST is made once", () =>
    Effect.gen(function*() {
      const endings: ReadonlyArray<() => ScriptedResponse> = [
        () => sse().cut(),
        () => sse().event({ id: "e1", data: "" }).cut(),
        () => sse().event({ id: "e1", data: "" }).end(),
        () => jsonBody({ hello: 1 }),
        () => bare(503, { "retry-after": "1" }),
        () => bare(429, { "retry-after": "1" }),
        () => bare(500)
      ]
      for (const ending of endings) {
        const { count, transport } = yield* scripted(({ method }) => method === "POST" ? ending() : bare(500), {
          reconnect: spaced(10, 3)
        })
        yield* patiently(errorOf(transport))
        assert.strictEqual(count("POST"), 1)
      }
    }))
})
