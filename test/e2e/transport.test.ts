/**
 * Sessions, calls and the server's own stream against the official SDK's server.
 */
import { JsonRpc, StreamableHttpTransport } from "@effect-mcp/transport"
import { assert, it } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import { collect, connect } from "../support/harness.ts"
import * as Calls from "./calls.ts"
import { overEverySubject, type Started } from "./subjects.ts"

const { toolCall } = Calls

const open = (server: Started, options: Partial<StreamableHttpTransport.Options> = {}) =>
  connect(server.client, server, options)

const echo = (transport: StreamableHttpTransport.Service, id: JsonRpc.RequestId, text: string) =>
  Effect.map(StreamableHttpTransport.request(transport, toolCall(id, "echo", { text })), Calls.textOf)

const version = "2025-11-25"

overEverySubject("the SDK's server", ({ start }) => {
  it.scopedLive("S22, S25, S26: the session is Active, id and version known, when the answer is delivered", () =>
    Effect.gen(function*() {
      const server = yield* start()
      const transport = yield* open(server)
      assert.deepStrictEqual(yield* server.wire, [], "S28: nothing connects before the first message")
      const delivered = yield* transport.send(Calls.initialize()).pipe(
        Stream.mapEffect((message) => Effect.map(transport.session, (session) => ({ message, session }))),
        Stream.runCollect,
        Effect.map(Chunk.toReadonlyArray)
      )
      assert.strictEqual(delivered.length, 1)
      const session = delivered[0]?.session
      if (session?._tag !== "Active") return assert.fail(`the session is ${session?._tag}`)
      assert.deepStrictEqual(session.protocolVersion, Option.some(version))
      const sessionId = Option.getOrThrow(Option.map(session.sessionId, Redacted.value))
      assert.match(sessionId, /^[0-9a-f-]{36}$/)
      yield* StreamableHttpTransport.notify(transport, JsonRpc.notification("notifications/initialized"))
      const [first, second] = yield* server.wire
      assert.notProperty(first?.headers, "mcp-session-id", "S21")
      assert.notProperty(first?.headers, "mcp-protocol-version", "S21")
      assert.strictEqual(second?.headers["mcp-session-id"], sessionId)
      assert.strictEqual(second?.headers["mcp-protocol-version"], version, "S27")
      assert.strictEqual(second?.status, 202)
    }))

  it.scopedLive("S34: lists and calls tools; a failing tool and an unknown method are answers", () =>
    Effect.gen(function*() {
      const server = yield* start()
      const transport = yield* open(server)
      yield* Calls.openSession(transport)
      const listed = yield* StreamableHttpTransport.request(transport, JsonRpc.request("list", "tools/list"))
      assert.include(JSON.stringify(listed), "\"name\":\"dropAndFinish\"")
      assert.strictEqual(listed.id, "list")
      assert.strictEqual(yield* echo(transport, 1, "héllo ✓ 𝒳\n\u2028"), "héllo ✓ 𝒳\n\u2028")
      const failed = yield* StreamableHttpTransport.request(transport, toolCall(2, "echo", { text: 5 }))
      assert.include(Calls.toolErrorOf(failed), "Invalid arguments")
      const unknown = yield* StreamableHttpTransport.request(transport, JsonRpc.request(3, "no/such"))
      assert.strictEqual(unknown.id, 3)
      assert.strictEqual(Calls.errorOf(unknown).code, -32601)
      assert.strictEqual(yield* echo(transport, "1", "after"), "after")
    }))

  it.scopedLive("S30: concurrent calls get their own answers, whichever comes first", () =>
    Effect.gen(function*() {
      const server = yield* start()
      const transport = yield* open(server)
      yield* Calls.openSession(transport)
      const slow = yield* Effect.fork(Calls.run(transport, toolCall("slow", "progress", { steps: 2, delayMs: 100 })))
      // `1` and `"1"` are different ids.
      const ids = Calls.range(1, 20).flatMap((n) => [n, String(n)])
      const texts = yield* Effect.forEach(ids, (id) => echo(transport, id, `${typeof id} ${id}`), {
        concurrency: "unbounded"
      })
      assert.deepStrictEqual(texts, ids.map((id) => `${typeof id} ${id}`))
      const { answer, before } = yield* Fiber.join(slow)
      assert.strictEqual(answer.id, "slow")
      assert.deepStrictEqual(Calls.steps(before), [1, 2])
    }))

  it.scopedLive("delivers progress in order, then the answer, by send and by request alike", () =>
    Effect.gen(function*() {
      const server = yield* start()
      const transport = yield* open(server)
      yield* Calls.openSession(transport)
      const sent = yield* collect(transport.send(toolCall(1, "progress", { steps: 30 })))
      assert.deepStrictEqual(Calls.steps(sent.slice(0, -1)), Calls.range(1, 30))
      assert.strictEqual(sent.length, 31)
      const { answer, before } = yield* Calls.run(transport, toolCall(1, "progress", { steps: 30 }))
      assert.deepStrictEqual([...before, answer], sent)
    }))

  it.scopedLive("S29: a consumer that is slower than the server misses nothing", () =>
    Effect.gen(function*() {
      const server = yield* start()
      const transport = yield* open(server)
      yield* Calls.openSession(transport)
      const sent = yield* collect(
        transport.send(toolCall(1, "progress", { steps: 40 })).pipe(
          Stream.tap(() => Effect.sleep("5 millis"))
        )
      )
      assert.deepStrictEqual(Calls.steps(sent.slice(0, -1)), Calls.range(1, 40))
    }))

  it.scopedLive("answers in JSON when the server does so", () =>
    Effect.gen(function*() {
      const server = yield* start({ enableJsonResponse: true })
      const transport = yield* open(server)
      yield* Calls.openSession(transport)
      assert.strictEqual(yield* echo(transport, 1, "json"), "json")
      const { answer, before } = yield* Calls.run(transport, toolCall(2, "progress", { steps: 3 }))
      assert.strictEqual(Calls.textOf(answer), "3 steps done")
      assert.deepStrictEqual(before, [])
      assert.strictEqual(
        Calls.errorOf(yield* StreamableHttpTransport.request(transport, JsonRpc.request(3, "no"))).code,
        -32601
      )
      const { received } = yield* Calls.listen(transport)
      yield* Calls.untilListening(server)
      yield* StreamableHttpTransport.request(transport, toolCall(4, "notify", { text: "hello" }))
      yield* Calls.until("it was received", Effect.sync(() => received.length > 0))
      assert.deepStrictEqual(Calls.logged(received), ["hello"])
    }))

  it.scopedLive("S71, S73: receive hears what the server says on its own, once, and all listeners share one GET", () =>
    Effect.gen(function*() {
      const server = yield* start()
      const transport = yield* open(server)
      const first = yield* Calls.listen(transport)
      const second = yield* Calls.listen(transport)
      yield* Calls.openSession(transport)
      yield* Calls.untilListening(server)
      const { before } = yield* Calls.run(transport, toolCall(1, "notify", { text: "hello", count: 3 }))
      assert.deepStrictEqual(before, [])
      yield* Calls.until("both received", Effect.sync(() => first.received.length + second.received.length >= 6))
      assert.deepStrictEqual(Calls.logged(first.received), ["hello", "hello", "hello"])
      assert.deepStrictEqual(second.received, first.received)
      assert.deepStrictEqual(yield* Calls.seen(server), [...Calls.handshakeLines, "GET", "POST tools/call"])
    }))

  it.scopedLive("S23: another initialize opens another session and deletes the one it replaces", () =>
    Effect.gen(function*() {
      const server = yield* start()
      const transport = yield* open(server)
      const { received } = yield* Calls.listen(transport)
      const old = yield* Calls.openSession(transport)
      yield* Calls.untilListening(server)
      const fresh = yield* Calls.openSession(transport)
      assert.notStrictEqual(fresh, old)
      const deleted = yield* Calls.untilSeen(
        server,
        "the DELETE was answered",
        ({ method, status }) => method === "DELETE" && status === 200
      )
      assert.strictEqual(deleted.headers["mcp-session-id"], old)
      yield* Calls.untilListening(server, 2)
      assert.strictEqual(
        (yield* server.wire).findLast(({ method }) => method === "GET")?.headers["mcp-session-id"],
        fresh
      )
      yield* StreamableHttpTransport.request(transport, toolCall(1, "notify", { text: "in the new one" }))
      yield* Calls.until("it was received", Effect.sync(() => received.length > 0))
      assert.deepStrictEqual(Calls.logged(received), ["in the new one"])
      assert.strictEqual(yield* Calls.stateOf(transport), "Active")
    }))

  it.scopedLive("S77, S78: closing the scope ends the session by one DELETE, and nothing comes after it", () =>
    Effect.gen(function*() {
      const server = yield* start()
      const id = yield* Effect.scoped(Effect.gen(function*() {
        const transport = yield* open(server)
        const id = yield* Calls.openSession(transport)
        yield* Calls.listen(transport)
        yield* Calls.untilListening(server)
        yield* Effect.forkScoped(Calls.run(transport, toolCall(1, "progress", { steps: 1000, delayMs: 10 })))
        yield* Calls.untilSeen(
          server,
          "the call was answered",
          ({ body, status }) => body.includes("tools/call") && status === 200
        )
        return id
      }))
      const wire = yield* server.wire
      assert.deepStrictEqual(Calls.lines(wire), [...Calls.handshakeLines, "GET", "POST tools/call", "DELETE"])
      const deletion = wire.at(-1)
      assert.strictEqual(deletion?.status, 200)
      assert.strictEqual(deletion?.headers["mcp-session-id"], id)
      assert.strictEqual(deletion?.headers["mcp-protocol-version"], version)
      yield* Effect.sleep("50 millis")
      assert.strictEqual((yield* server.wire).length, wire.length)
    }))

  it.scopedLive("S6: a session that is left open is taken up by another transport", () =>
    Effect.gen(function*() {
      const server = yield* start()
      const sessionId = yield* Effect.scoped(Effect.gen(function*() {
        return yield* Calls.openSession(yield* open(server, { terminateOnClose: false }))
      }))
      assert.isDefined(sessionId)
      assert.notInclude(yield* Calls.seen(server), "DELETE")
      const transport = yield* open(server, { session: { sessionId: sessionId ?? "", protocolVersion: version } })
      const { received } = yield* Calls.listen(transport)
      yield* Calls.untilListening(server)
      assert.strictEqual(yield* echo(transport, 1, "taken up"), "taken up")
      yield* StreamableHttpTransport.request(transport, toolCall(2, "notify", { text: "hello" }))
      yield* Calls.until("it was received", Effect.sync(() => received.length > 0))
      yield* transport.terminate
      assert.strictEqual((yield* server.wire).at(-1)?.status, 200)
      assert.deepStrictEqual(yield* Calls.seen(server), [
        ...Calls.handshakeLines,
        "GET",
        "POST tools/call",
        "POST tools/call",
        "DELETE"
      ])
    }))

  it.scopedLive("S80: terminate fails what runs, ends receive, and a new initialize works", () =>
    Effect.gen(function*() {
      const server = yield* start()
      const transport = yield* open(server)
      const sessionId = yield* Calls.openSession(transport)
      const { fiber } = yield* Calls.listen(transport)
      yield* Calls.untilListening(server)
      const running = yield* Effect.fork(
        Effect.flip(Calls.run(transport, toolCall(7, "progress", { steps: 1000, delayMs: 10 })))
      )
      yield* Calls.untilSeen(
        server,
        "the call was answered",
        ({ body, status }) => body.includes("tools/call") && status === 200
      )
      yield* transport.terminate
      const error = yield* Effect.timeout(Fiber.join(running), "2 seconds")
      if (error._tag !== "SessionTerminated") return assert.fail(String(error))
      assert.strictEqual(error.by, "Client")
      assert.strictEqual(error.outcome, "Unknown")
      assert.strictEqual(error.requestId, 7)
      assert.strictEqual(Redacted.value(error.sessionId), sessionId)
      yield* Effect.timeout(Fiber.join(fiber), "2 seconds")
      assert.strictEqual(yield* Calls.stateOf(transport), "Terminated by Client")
      yield* transport.terminate
      const late = yield* Effect.flip(echo(transport, 8, "late"))
      assert.strictEqual(late._tag, "SessionTerminated")
      assert.strictEqual(late.outcome, "NotExecuted")
      assert.notStrictEqual(yield* Calls.openSession(transport), sessionId)
      assert.strictEqual(yield* echo(transport, 9, "again"), "again")
      const methods = yield* Calls.seen(server)
      assert.strictEqual(methods.filter((line) => line === "DELETE").length, 1)
      assert.strictEqual(methods.filter((line) => line === "POST tools/call").length, 2, "the late call was not sent")
    }))

  it.scopedLive("S40: a server that forgot the session: SessionTerminated, once sent, and a new initialize works", () =>
    Effect.gen(function*() {
      const server = yield* start()
      const transport = yield* open(server)
      const sessionId = yield* Calls.openSession(transport)
      yield* server.forgetSessions
      const error = yield* Effect.flip(echo(transport, 1, "anybody?"))
      if (error._tag !== "SessionTerminated") return assert.fail(String(error))
      assert.strictEqual(error.by, "Server")
      assert.strictEqual(error.outcome, "NotExecuted")
      assert.strictEqual(error.requestId, 1)
      assert.strictEqual(Redacted.value(error.sessionId), sessionId)
      assert.notInclude(String(error) + JSON.stringify(error), sessionId ?? "")
      assert.strictEqual(yield* Calls.stateOf(transport), "Terminated by Server")
      const before = (yield* server.wire).length
      const second = yield* Effect.flip(echo(transport, 2, "still nobody?"))
      assert.strictEqual(second._tag, "SessionTerminated")
      assert.strictEqual(second.outcome, "NotExecuted")
      assert.strictEqual((yield* server.wire).length, before)
      const fresh = yield* Calls.openSession(transport)
      assert.notStrictEqual(fresh, sessionId)
      assert.strictEqual(yield* Calls.stateOf(transport), "Active")
      assert.strictEqual(yield* echo(transport, 3, "hello again"), "hello again")
      const after = (yield* server.wire).slice(before)
      assert.deepStrictEqual(Calls.lines(after), [...Calls.handshakeLines, "POST tools/call"])
      assert.isFalse(after.some(({ headers }) => headers["mcp-session-id"] === sessionId))
    }))

  it.scopedLive("S40: a session forgotten in the middle of a call: Unknown for the call, and receive fails alike", () =>
    Effect.gen(function*() {
      const server = yield* start()
      const transport = yield* open(server)
      yield* Calls.openSession(transport)
      const { fiber } = yield* Calls.listen(transport)
      yield* Calls.untilListening(server)
      const running = yield* Effect.fork(
        Effect.flip(Calls.run(transport, toolCall(1, "progress", { steps: 1000, delayMs: 10 })))
      )
      yield* Calls.untilSeen(
        server,
        "the call was answered",
        ({ body, status }) => body.includes("tools/call") && status === 200
      )
      yield* server.forgetSessions
      const error = yield* Effect.timeout(Fiber.join(running), "2 seconds")
      assert.strictEqual(error._tag, "SessionTerminated")
      assert.strictEqual(error.outcome, "Unknown")
      const ended = yield* Effect.timeout(Effect.flip(Fiber.join(fiber)), "2 seconds")
      assert.propertyVal(ended, "_tag", "SessionTerminated")
      assert.propertyVal(ended, "by", "Server")
      assert.strictEqual(yield* Calls.stateOf(transport), "Terminated by Server")
      yield* Calls.openSession(transport)
      assert.strictEqual(yield* echo(transport, 2, "hello again"), "hello again")
    }))

  it.scopedLive("duplex: the whole conversation through one pipe", () =>
    Effect.gen(function*() {
      const server = yield* start()
      const transport = yield* open(server)
      const notify = Stream.fromEffect(
        Effect.as(Calls.untilListening(server), toolCall(3, "notify", { text: "from the server" }))
      )
      const outgoing: ReadonlyArray<JsonRpc.Message> = [
        Calls.initialize(),
        JsonRpc.notification("notifications/initialized"),
        toolCall(1, "progress", { steps: 2 }),
        toolCall(2, "no-such-tool")
      ]
      const received = yield* Stream.fromIterable(outgoing).pipe(
        Stream.concat(notify),
        Stream.concat(Stream.never),
        StreamableHttpTransport.duplex(transport),
        // Four answers, two steps, one log notification: in which order, the server's streams decide.
        Stream.take(7),
        collect
      )
      assert.propertyVal(received[0], "id", "initialize")
      assert.deepStrictEqual(
        Calls.steps(received.filter((m) => "method" in m && m.method === "notifications/progress")),
        [1, 2]
      )
      const answers = new Map(received.filter(JsonRpc.isResponse).map((answer) => [answer.id, answer]))
      assert.sameMembers(Array.from(answers.keys()), ["initialize", 1, 2, 3])
      assert.include(JSON.stringify(answers.get(2)), "no-such-tool not found")
      assert.deepStrictEqual(Calls.logged(received), ["from the server"])
    }).pipe(Effect.timeout("5 seconds")))
})
