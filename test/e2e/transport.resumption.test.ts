/**
 * Streams that are lost and found again, against the official SDK's server.
 */
import { JsonRpc, StreamableHttpTransport } from "@effect-mcp/transport"
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { clients, collect, connect } from "../support/harness.ts"
import * as Calls from "./calls.ts"
import { sdkServer } from "./servers.ts"
import { socketlessServer } from "./socketlessServer.ts"
import { overEverySubject, type Started } from "./subjects.ts"

const { toolCall } = Calls

const version = "2025-11-25"

const open = (server: Started, options: Partial<StreamableHttpTransport.Options> = {}) =>
  connect(server.client, server, options)

const callsSeen = (server: Calls.Watched) =>
  Effect.map(Calls.seen(server), (lines) => lines.filter((line) => line === "POST tools/call").length)

/** Runs a call, keeps the tokens it announces. */
const runWithTokens = (
  transport: StreamableHttpTransport.Service,
  request: JsonRpc.Request,
  options: StreamableHttpTransport.SendOptions = {}
) =>
  Effect.suspend(() => {
    const tokens: Array<string> = []
    return Effect.map(
      Calls.run(transport, request, {
        ...options,
        onResumptionToken: (token) => Effect.sync(() => tokens.push(token))
      }),
      (called) => ({ ...called, tokens })
    )
  })

overEverySubject("a lost stream", ({ start }) => {
  for (const dropAfter of [0, 2, 4]) {
    it.scopedLive(`S58, S60, S62, S64: the server ends the stream after ${dropAfter} of 4 steps: each step once, one POST`, () =>
      Effect.gen(function*() {
        const server = yield* start()
        const transport = yield* open(server)
        yield* Calls.openSession(transport)
        const { answer, before, tokens } = yield* runWithTokens(
          transport,
          toolCall(1, "dropAndFinish", { steps: 4, dropAfter, delayMs: 10 })
        ).pipe(Effect.timeout("3 seconds"))
        assert.include(Calls.textOf(answer), "4 steps done")
        assert.strictEqual(answer.id, 1)
        assert.deepStrictEqual(Calls.steps(before), [1, 2, 3, 4])
        assert.strictEqual(yield* callsSeen(server), 1)
        const gets = (yield* server.wire).filter(({ method }) => method === "GET")
        assert.strictEqual(gets.length, 1)
        // The first token is that of the event that begins the stream, then one per step, then that of the answer.
        assert.strictEqual(gets[0]?.headers["last-event-id"], tokens[dropAfter])
        assert.strictEqual(gets[0]?.headers["mcp-session-id"], yield* Calls.sessionIdOf(transport))
        assert.strictEqual(gets[0]?.headers["mcp-protocol-version"], version)
        assert.strictEqual(tokens.length, 6)
        assert.strictEqual(new Set(tokens).size, 6)
        const echoed = yield* StreamableHttpTransport.request(transport, toolCall(2, "echo", { text: "after" }))
        assert.strictEqual(Calls.textOf(echoed), "after")
        assert.strictEqual(yield* Calls.stateOf(transport), "Active")
      }))
  }

  it.scopedLive("S65: works by send and without a callback; several calls lose their streams at once", () =>
    Effect.gen(function*() {
      const server = yield* start()
      const transport = yield* open(server)
      yield* Calls.openSession(transport)
      const all = yield* Effect.forEach(
        Calls.range(1, 8),
        (id) => collect(transport.send(toolCall(id, "dropAndFinish", { steps: 4, dropAfter: id % 5, delayMs: id }))),
        {
          concurrency: "unbounded"
        }
      ).pipe(Effect.timeout("5 seconds"))
      for (const [index, messages] of all.entries()) {
        assert.deepStrictEqual(Calls.steps(messages.slice(0, -1)), [1, 2, 3, 4])
        const answer = messages.at(-1)
        assert.isTrue(JsonRpc.isSuccessResponse(answer) && answer.id === index + 1)
        const others = messages.slice(0, -1).filter((message) =>
          !JSON.stringify(message).includes(`"progressToken":${index + 1},`) &&
          !JSON.stringify(message).includes(`"progressToken":${index + 1}}`)
        )
        assert.deepStrictEqual(others, [], "nothing of another call")
      }
      assert.strictEqual(yield* callsSeen(server), 8)
    }))

  for (const { asked, least } of [{ asked: "400 millis", least: 400 }, { asked: "1 millis", least: 100 }] as const) {
    it.scopedLive(`S59: waits the ${asked} that the server asks for, but 100 ms at least`, () =>
      Effect.gen(function*() {
        const server = yield* start({ retryInterval: asked })
        const transport = yield* open(server)
        yield* Calls.openSession(transport)
        const waits = yield* transport.events.pipe(
          Stream.filterMap((event) => event._tag === "StreamWaiting" ? Option.some(event.delay) : Option.none()),
          Stream.take(1),
          Stream.runCollect,
          Effect.forkScoped
        )
        yield* Effect.sleep("20 millis")
        const [elapsed, { answer }] = yield* Effect.timed(
          Calls.run(transport, toolCall(1, "dropAndFinish", { steps: 2, dropAfter: 1 }))
        )
        assert.include(Calls.textOf(answer), "2 steps done")
        assert.isAtLeast(Duration.toMillis(elapsed), least - 2)
        assert.isBelow(Duration.toMillis(elapsed), least + 1_500)
        assert.deepStrictEqual(Array.from(yield* Fiber.join(waits), Duration.toMillis), [least])
      }).pipe(Effect.timeout("5 seconds")))
  }

  it.scopedLive("a tool that cannot close its stream, as there are no event ids, fails as an answer", () =>
    Effect.gen(function*() {
      const server = yield* start({ eventStore: false })
      const transport = yield* open(server)
      yield* Calls.openSession(transport)
      const { answer, tokens } = yield* runWithTokens(
        transport,
        toolCall(1, "dropAndFinish", { steps: 2, dropAfter: 1 })
      )
      assert.include(Calls.toolErrorOf(answer), "only a stream with an event store can be closed")
      assert.deepStrictEqual(tokens, [])
    }))

  it.scopedLive("S66, S67: another transport resumes a call in its middle, under an id of its own", () =>
    Effect.gen(function*() {
      const server = yield* start()
      const tokens: Array<string> = []
      const heard: Array<JsonRpc.Message> = []
      const sessionId = yield* Effect.scoped(Effect.gen(function*() {
        const transport = yield* open(server, { terminateOnClose: false })
        const sessionId = yield* Calls.openSession(transport)
        yield* Stream.runForEach(
          Stream.take(
            transport.send(toolCall("first", "progress", { steps: 6, delayMs: 30 }), {
              onResumptionToken: (token) => Effect.sync(() => tokens.push(token))
            }),
            3
          ),
          (message) => Effect.sync(() => heard.push(message))
        )
        return sessionId
      }))
      const token = tokens.at(-1)
      assert.isDefined(token)
      const handled = tokens.length - 1
      const transport = yield* open(server, { session: { sessionId: sessionId ?? "", protocolVersion: version } })
      const { answer, before } = yield* Calls.run(
        transport,
        toolCall("second", "progress", { steps: 6, delayMs: 30 }),
        {
          resumptionToken: token
        }
      ).pipe(Effect.timeout("3 seconds"))
      assert.strictEqual(answer.id, "second")
      assert.strictEqual(Calls.textOf(answer), "6 steps done")
      assert.deepStrictEqual(Calls.steps(heard), [1, 2, 3])
      // The step whose token was not announced yet comes again: at least once.
      assert.deepStrictEqual(Calls.steps(before), Calls.range(handled + 1, 6))
      assert.strictEqual(yield* callsSeen(server), 1, "S66: no POST")
    }))

  it.scopedLive("S47, S71: receive goes on where the server's stream was closed, with what was said meanwhile", () =>
    Effect.gen(function*() {
      const server = yield* start()
      const transport = yield* open(server)
      yield* Calls.openSession(transport)
      const { received } = yield* Calls.listen(transport)
      yield* Calls.untilListening(server)
      const say = (text: string, count = 1) =>
        StreamableHttpTransport.request(transport, toolCall(text, "notify", { text, count }))
      yield* say("one", 2)
      yield* Calls.until("two were received", Effect.sync(() => received.length >= 2))
      yield* server.closeServerStreams
      yield* say("two", 2)
      yield* Calls.until("four were received", Effect.sync(() => received.length >= 4))
      yield* server.closeServerStreams
      yield* Calls.untilListening(server, 3)
      yield* say("three")
      yield* Calls.until("five were received", Effect.sync(() => received.length >= 5))
      assert.deepStrictEqual(Calls.logged(received), ["one", "one", "two", "two", "three"])
      const [first, second, third] = (yield* server.wire).filter(({ method }) => method === "GET")
      assert.notProperty(first?.headers, "last-event-id")
      const cursors = [second, third].map((get) => Number(get?.headers["last-event-id"]?.replace("event-", "")))
      assert.isTrue(cursors.every(Number.isInteger), String(cursors))
      assert.isAbove(cursors[1] ?? 0, cursors[0] ?? 0, "the newest id is the cursor")
    }).pipe(Effect.timeout("8 seconds")))

  it.scopedLive("S72: a stream that was closed before it said anything is opened again without a cursor", () =>
    Effect.gen(function*() {
      const server = yield* start()
      const transport = yield* open(server)
      yield* Calls.openSession(transport)
      const { received } = yield* Calls.listen(transport)
      for (const times of [1, 2, 3]) {
        yield* Calls.untilListening(server, times)
        yield* server.closeServerStreams
      }
      yield* Calls.untilListening(server, 4)
      yield* StreamableHttpTransport.request(transport, toolCall(1, "notify", { text: "hello" }))
      yield* Calls.until("it was received", Effect.sync(() => received.length > 0))
      assert.deepStrictEqual(Calls.logged(received), ["hello"])
      const gets = (yield* server.wire).filter(({ method }) => method === "GET")
      assert.isFalse(gets.some(({ headers }) => "last-event-id" in headers))
    }).pipe(Effect.timeout("8 seconds")))

  it.scopedLive("S72: listening again, later, gets what was said while nobody listened", () =>
    Effect.gen(function*() {
      const server = yield* start()
      const transport = yield* open(server)
      yield* Calls.openSession(transport)
      const say = (text: string) => StreamableHttpTransport.request(transport, toolCall(text, "notify", { text }))
      const first = yield* Effect.fork(collect(Stream.take(transport.receive, 1)))
      yield* Calls.untilListening(server)
      yield* say("one")
      assert.deepStrictEqual(Calls.logged(yield* Fiber.join(first)), ["one"])
      yield* say("two")
      yield* say("three")
      const rest = yield* Effect.timeout(collect(Stream.take(transport.receive, 2)), "3 seconds")
      assert.deepStrictEqual(Calls.logged(rest), ["two", "three"])
      const gets = (yield* server.wire).filter(({ method, status }) => method === "GET" && status === 200)
      assert.property(gets.at(-1)?.headers, "last-event-id")
    }))

  it.scopedLive("S76: what happens to a call does not touch receive, and the other way round", () =>
    Effect.gen(function*() {
      const server = yield* start()
      const transport = yield* open(server)
      yield* Calls.openSession(transport)
      const { received } = yield* Calls.listen(transport)
      yield* Calls.untilListening(server)
      yield* StreamableHttpTransport.request(transport, toolCall(2, "notify", { text: "before" }))
      yield* Calls.until("it was received", Effect.sync(() => received.length > 0))
      const call = yield* Effect.fork(
        Calls.run(transport, toolCall(1, "dropAndFinish", { steps: 6, dropAfter: 2, delayMs: 20 }))
      )
      yield* Calls.untilSeen(
        server,
        "the call was answered",
        ({ body, status }) => body.includes("tools/call") && status === 200
      )
      yield* server.closeServerStreams
      yield* StreamableHttpTransport.request(transport, toolCall(3, "notify", { text: "meanwhile" }))
      const { answer, before } = yield* Effect.timeout(Fiber.join(call), "3 seconds")
      assert.include(Calls.textOf(answer), "6 steps done")
      assert.deepStrictEqual(Calls.steps(before), Calls.range(1, 6))
      yield* Calls.until("it was received", Effect.sync(() => received.length > 1))
      assert.deepStrictEqual(Calls.logged(received), ["before", "meanwhile"])
    }))
})

describe.each(clients)("a broken connection over $name", (client) => {
  it.scopedLive("S57, S58: a call whose connection breaks is finished by GET", () =>
    Effect.gen(function*() {
      const server = yield* sdkServer({ retryInterval: "100 millis" })
      const transport = yield* connect(client, server)
      yield* Calls.openSession(transport)
      const { answer, before, tokens } = yield* runWithTokens(
        transport,
        toolCall(1, "dropAndFinish", { steps: 4, dropAfter: 2, how: "destroy", delayMs: 10 })
      ).pipe(Effect.timeout("3 seconds"))
      assert.strictEqual(Calls.textOf(answer), "4 steps done, stream lost after 2")
      assert.deepStrictEqual(Calls.steps(before), [1, 2, 3, 4])
      const wire = yield* server.wire
      assert.deepStrictEqual(Calls.lines(wire), [...Calls.handshakeLines, "POST tools/call", `GET after ${tokens[2]}`])
      assert.strictEqual(wire[2]?.state, "cut")
    }))

  it.scopedLive("S58: without event ids the call fails at once, and nothing else does", () =>
    Effect.gen(function*() {
      const server = yield* sdkServer({ eventStore: false })
      const transport = yield* connect(client, server)
      yield* Calls.openSession(transport)
      const { received } = yield* Calls.listen(transport)
      yield* Calls.untilListening(server)
      const other = yield* Effect.fork(Calls.run(transport, toolCall(2, "progress", { steps: 5, delayMs: 30 })))
      const error = yield* Calls.run(
        transport,
        toolCall(1, "dropAndFinish", { steps: 4, dropAfter: 2, how: "destroy", delayMs: 10 })
      ).pipe(Effect.flip, Effect.timeout("2 seconds"))
      if (error._tag !== "ConnectionError") return assert.fail(String(error))
      assert.strictEqual(error.phase, "Body")
      assert.strictEqual(error.outcome, "Unknown")
      assert.strictEqual(error.requestId, 1)
      assert.isDefined(error.cause)
      const { answer, before } = yield* Fiber.join(other)
      assert.strictEqual(Calls.textOf(answer), "5 steps done")
      assert.deepStrictEqual(Calls.steps(before), Calls.range(1, 5))
      yield* StreamableHttpTransport.request(transport, toolCall(3, "notify", { text: "hello" }))
      yield* Calls.until("it was received", Effect.sync(() => received.length > 0))
      assert.strictEqual(yield* Calls.stateOf(transport), "Active")
      assert.deepStrictEqual((yield* Calls.seen(server)).filter((line) => line.startsWith("GET")), ["GET"])
    }))

  it.scopedLive("S50: a stream that the server leaves open after the answer is closed here", () =>
    Effect.gen(function*() {
      const server = yield* sdkServer()
      const transport = yield* connect(client, server)
      yield* Calls.openSession(transport)
      const first = yield* runWithTokens(transport, toolCall(1, "progress", { steps: 3 }))
      const again = yield* runWithTokens(transport, toolCall(2, "progress", { steps: 3 }), {
        resumptionToken: first.tokens[1]
      }).pipe(Effect.timeout("2 seconds"))
      assert.deepStrictEqual(Calls.steps(again.before), [2, 3])
      assert.strictEqual(again.answer.id, 2)
      assert.strictEqual(Calls.textOf(again.answer), "3 steps done")
      assert.deepStrictEqual(again.tokens, first.tokens.slice(2))
      yield* Calls.untilSeen(
        server,
        "the resumed stream was closed",
        ({ method, state }) => method === "GET" && state === "cut"
      )
      const echoed = yield* StreamableHttpTransport.request(transport, toolCall(3, "echo", { text: "after" }))
      assert.strictEqual(Calls.textOf(echoed), "after")
    }))

  it.scopedLive("S69: a token that the server does not know is Rejected, and nothing is POSTed", () =>
    Effect.gen(function*() {
      const server = yield* sdkServer()
      const transport = yield* connect(client, server)
      yield* Calls.openSession(transport)
      const error = yield* Calls.run(transport, toolCall(1, "echo", { text: "x" }), { resumptionToken: "event-999" })
        .pipe(
          Effect.flip,
          Effect.timeout("2 seconds")
        )
      if (error._tag !== "ResumptionError") return assert.fail(String(error))
      assert.strictEqual(error.reason, "Rejected")
      assert.strictEqual(error.status, 400)
      assert.strictEqual(error.lastEventId, "event-999")
      assert.strictEqual(error.outcome, "Unknown")
      assert.strictEqual(error.requestId, 1)
      assert.deepStrictEqual(yield* Calls.seen(server), [...Calls.handshakeLines, "GET after event-999"])
      assert.strictEqual(yield* Calls.stateOf(transport), "Active")
    }))

  it.scopedLive("interrupting a call closes its connection; the others go on", () =>
    Effect.gen(function*() {
      const server = yield* sdkServer()
      const transport = yield* connect(client, server)
      yield* Calls.openSession(transport)
      const doomed = yield* Effect.fork(Calls.run(transport, toolCall(1, "progress", { steps: 1000, delayMs: 10 })))
      const other = yield* Effect.fork(Calls.run(transport, toolCall(2, "progress", { steps: 10, delayMs: 20 })))
      yield* Calls.untilSeen(server, "both were answered", ({ body, status }) =>
        body.includes("\"id\":1") && status === 200)
      yield* Effect.timeout(Fiber.interrupt(doomed), "1 second")
      yield* Calls.untilSeen(server, "it was cut", ({ body, state }) =>
        body.includes("\"id\":1") && state === "cut")
      const { before } = yield* Fiber.join(other)
      assert.deepStrictEqual(Calls.steps(before), Calls.range(1, 10))
      yield* Effect.sleep("100 millis")
      assert.notInclude((yield* Calls.seen(server)).join(), "GET", "no reconnect after an interruption")
    }))
})

describe("without a socket", () => {
  it.scopedLive("S82: no body is left unread once the scope is closed", () =>
    Effect.gen(function*() {
      const server = yield* socketlessServer()
      yield* Effect.scoped(Effect.gen(function*() {
        const transport = yield* open(server)
        yield* Calls.openSession(transport)
        yield* Calls.listen(transport)
        yield* Calls.untilListening(server)
        const doomed = yield* Effect.fork(Calls.run(transport, toolCall(1, "progress", { steps: 1000, delayMs: 10 })))
        yield* Calls.untilSeen(server, "it was answered", ({ body, status }) =>
          body.includes("tools/call") && status === 200)
        assert.strictEqual(yield* server.openBodies, 2)
        yield* Fiber.interrupt(doomed)
        yield* Calls.until(
          "its body was cancelled",
          Effect.map(server.openBodies, (count) =>
            count === 1)
        )
        yield* Effect.forkScoped(Calls.run(transport, toolCall(2, "progress", { steps: 1000, delayMs: 10 })))
        yield* Calls.until(
          "it was answered",
          Effect.map(server.openBodies, (count) =>
            count === 2)
        )
      }))
      assert.strictEqual(yield* server.openBodies, 0)
    }))
})
