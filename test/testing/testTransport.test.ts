import * as TestTransport from "@effect-mcp/testing/TestTransport"
import { JsonRpc, StreamableHttpTransport, TransportError, TransportEvent } from "@effect-mcp/transport"
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import { call, collect, handshake, initializeRequest, progress } from "../support/harness.ts"
import { assertError } from "../support/sending.ts"
import { initialize, stateOf } from "../support/sessions.ts"
import { failureNow, initialized, isRunning, listen, now, settle, start } from "./testTransportSubjects.ts"

const { notify, request } = StreamableHttpTransport
const { event, messages, never, result, stream } = TestTransport

const isUnavailable = (error: unknown): error is TransportError.HttpStatusError =>
  error instanceof TransportError.HttpStatusError && error.status === 503

const unavailable = new TransportError.HttpStatusError({ method: "POST", status: 503, outcome: "Unknown" })

describe("the script", () => {
  it.effect("the layer gives the transport to the code and the record to the test", () =>
    Effect.gen(function*() {
      const transport = yield* StreamableHttpTransport.StreamableHttpTransport
      const test = yield* TestTransport.TestTransport
      assert.deepStrictEqual(yield* now(request(transport, call(1))), JsonRpc.success(1, { content: [] }))
      assert.deepStrictEqual(yield* test.sent, [call(1)])
    }).pipe(Effect.provide(TestTransport.layer({ "tools/call": result({ content: [] }) }))))

  it.effect("without a script the standard replies are left", () =>
    Effect.gen(function*() {
      const transport = yield* StreamableHttpTransport.StreamableHttpTransport
      yield* now(handshake(transport))
      assert.deepStrictEqual(yield* now(request(transport, JsonRpc.request(1, "ping"))), JsonRpc.success(1, {}))
    }).pipe(Effect.provide(TestTransport.layer())))

  it.effect("one canned answer needs no double: Layer.mock", () =>
    Effect.gen(function*() {
      const transport = yield* StreamableHttpTransport.StreamableHttpTransport
      assert.deepStrictEqual(yield* now(request(transport, call(1))), JsonRpc.success(1, "canned"))
    }).pipe(Effect.provide(Layer.mock(StreamableHttpTransport.StreamableHttpTransport, {
      send: () => Stream.succeed(JsonRpc.success(1, "canned"))
    }))))

  it.scoped("a handler decides by the request and its options, and may leave it to the standard replies", () =>
    Effect.gen(function*() {
      const { transport } = yield* TestTransport.make((request, options) =>
        request.method === "tools/call"
          ? result([request.params?.name, options.headers, options.resumptionToken])
          : undefined
      )
      const answered = yield* now(request(transport, call(1), { headers: { "x-tenant": "a" } }))
      assert.deepStrictEqual(answered, JsonRpc.success(1, ["work", { "x-tenant": "a" }, undefined]))
      yield* now(handshake(transport))
      assert.strictEqual((yield* transport.session)._tag, "Active")
      const unknown = yield* now(request(transport, JsonRpc.request(2, "x")))
      assert(JsonRpc.isErrorResponse(unknown))
      assert.strictEqual(unknown.error.code, -32601)
    }))

  it.scoped("Effects and Streams keep to the test clock", () =>
    Effect.gen(function*() {
      const { transport } = yield* TestTransport.make({
        "tools/list": Effect.as(Effect.sleep("1 hour"), result("late")),
        "tools/call": stream(
          Stream.range(1, 2).pipe(
            Stream.schedule(Schedule.spaced("1 second")),
            Stream.map(progress),
            Stream.concat(Stream.succeed(result("done")))
          )
        )
      })
      const late = yield* Effect.fork(request(transport, JsonRpc.request(1, "tools/list")))
      yield* TestClock.adjust("59 minutes")
      assert.isTrue(yield* isRunning(late))
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* now(Fiber.join(late)), JsonRpc.success(1, "late"))

      const seen: Array<JsonRpc.Message> = []
      yield* Effect.fork(Stream.runForEach(transport.send(call(2)), (message) => Effect.sync(() => seen.push(message))))
      yield* TestClock.adjust("1 second")
      yield* settle
      assert.deepStrictEqual(seen, [progress(1)])
      yield* TestClock.adjust("1 second")
      yield* settle
      assert.deepStrictEqual(seen, [progress(1), progress(2), JsonRpc.success(2, "done")])
    }))

  it.scoped("failures are those of the send, after what came before; a timeout finds its request unanswered", () =>
    Effect.gen(function*() {
      const { server, transport } = yield* TestTransport.make({
        "a": TestTransport.fail(unavailable),
        "b": stream(Stream.concat(Stream.make(progress(1)), Stream.fail(unavailable))),
        "c": never
      })
      assert.isTrue(isUnavailable(yield* failureNow(request(transport, JsonRpc.request(1, "a")))))
      const seen: Array<JsonRpc.Message> = []
      const onMessage = (message: JsonRpc.Message) => Effect.sync(() => void seen.push(message))
      assert.isTrue(isUnavailable(yield* failureNow(request(transport, JsonRpc.request(2, "b"), { onMessage }))))
      assert.deepStrictEqual(seen, [progress(1)])
      const waiting = yield* Effect.fork(
        request(transport, JsonRpc.request(3, "c")).pipe(Effect.timeoutOption("10 seconds"))
      )
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(yield* now(Fiber.join(waiting)), Option.none())
      assert.deepStrictEqual(yield* server.interrupted, [JsonRpc.request(3, "c")])
    }))

  it.scoped("a script that dies, or interrupts itself, does not hang its send", () =>
    Effect.gen(function*() {
      const { transport } = yield* TestTransport.make({
        "a": () => {
          throw new Error("broken script")
        },
        "b": Effect.die("broken"),
        "c": Effect.interrupt
      })
      const exits = yield* Effect.forEach(
        ["a", "b", "c"],
        (method) => now(Effect.exit(request(transport, JsonRpc.request(1, method))))
      )
      assert.deepStrictEqual(
        exits.map((exit) => Exit.isFailure(exit) ? [Cause.isDie(exit.cause), Cause.isInterrupted(exit.cause)] : []),
        [[true, false], [true, false], [false, true]]
      )
    }))

  it.scoped("a reply stops when its send ends: interrupted, ended early, answered", () =>
    Effect.gen(function*() {
      const stopped: Array<JsonRpc.RequestId> = []
      const { server, transport } = yield* TestTransport.make({
        "tools/call": (request) =>
          stream(
            Stream.make(progress(1), result("done")).pipe(
              Stream.take(request.id === 3 ? 2 : 1),
              Stream.concat(Stream.never),
              Stream.ensuring(Effect.sync(() => stopped.push(request.id)))
            )
          )
      })
      const running = yield* start(request(transport, call(1)))
      assert.deepStrictEqual(stopped, [])
      yield* now(Fiber.interrupt(running))
      yield* settle
      yield* now(Stream.runDrain(Stream.take(transport.send(call(2)), 1)))
      yield* settle
      yield* now(request(transport, call(3)))
      yield* settle
      assert.deepStrictEqual(stopped, [1, 2, 3])
      assert.deepStrictEqual(yield* server.interrupted, [call(1), call(2)])
    }))

  it.scoped("a refused notification fails its send; receive waits for one that is accepted", () =>
    Effect.gen(function*() {
      let accepts = false
      const { server, transport } = yield* TestTransport.make({}, {
        accept: () => accepts ? Effect.void : Effect.fail(unavailable)
      })
      yield* server.push(progress(1))
      const listening = yield* listen(transport)
      yield* now(request(transport, initializeRequest))
      assert.isTrue(isUnavailable(yield* failureNow(notify(transport, initialized))))
      assert.deepStrictEqual(listening.seen, [])
      accepts = true
      yield* now(notify(transport, initialized))
      assert.deepStrictEqual(listening.seen, [progress(1)])
      assert.strictEqual((yield* server.sent).length, 3)
    }))

  it.scoped("the standard reply to initialize: the version of the options, of the request, or the latest", () =>
    Effect.gen(function*() {
      const versionOf = (options: TestTransport.Options, message: JsonRpc.Request) =>
        Effect.gen(function*() {
          const { transport } = yield* TestTransport.make({}, options)
          yield* now(request(transport, message))
          const state = yield* transport.session
          return state._tag === "Active" ? Option.getOrUndefined(state.protocolVersion) : undefined
        })
      const asking = JsonRpc.request(0, "initialize", { protocolVersion: "2025-06-18" })
      assert.strictEqual(yield* versionOf({}, asking), "2025-06-18")
      assert.strictEqual(yield* versionOf({ protocolVersion: "2025-03-26" }, asking), "2025-03-26")
      assert.strictEqual(yield* versionOf({}, JsonRpc.request(0, "initialize")), "2025-11-25")
    }))

  it.scoped("resuming asks for an answer that was given to another id, and sends nothing", () =>
    Effect.gen(function*() {
      const { server, transport } = yield* TestTransport.make({
        "tools/call": (_, { resumptionToken }) =>
          resumptionToken === "e1"
            ? messages([event("e2", progress(2)), JsonRpc.success("of the first run", "done")])
            : never
      })
      const tokens: Array<string> = []
      const answered = yield* now(request(transport, call(5), {
        resumptionToken: "e1",
        onResumptionToken: (token) => Effect.sync(() => void tokens.push(token))
      }))
      assert.deepStrictEqual(answered, JsonRpc.success(5, "done"))
      assert.deepStrictEqual(tokens, ["e2"])
      assert.deepStrictEqual(yield* server.sent, [])
    }))

  it.scoped("a thousand requests at once are all answered, each with its own", () =>
    Effect.gen(function*() {
      const { server, transport } = yield* TestTransport.make({
        "tools/call": ({ id }) => Effect.as(Effect.yieldNow(), result(id))
      })
      const ids = Array.from({ length: 1000 }, (_, id) => id)
      const all = yield* Effect.fork(
        Effect.forEach(ids, (id) => request(transport, call(id)), { concurrency: "unbounded" })
      )
      const answers = yield* Fiber.join(all)
      assert.deepStrictEqual(answers, ids.map((id) => JsonRpc.success(id, id)))
      assert.strictEqual((yield* server.sent).length, 1000)
    }))
})

describe("the test's hold", () => {
  it.scoped("awaitSent finds by method, place or predicate, and waits", () =>
    Effect.gen(function*() {
      const { server, transport } = yield* TestTransport.make()
      const third = yield* start(server.awaitSent(3))
      const byMethod = yield* start(server.awaitSent("tools/call"))
      const response = yield* start(server.awaitSent(JsonRpc.isResponse))
      yield* now(handshake(transport))
      assert.isTrue(yield* isRunning(third))
      yield* now(request(transport, call(1)))
      yield* now(notify(transport, JsonRpc.success("s1", {})))
      assert.deepStrictEqual(yield* now(Fiber.join(third)), call(1))
      assert.deepStrictEqual(yield* now(Fiber.join(byMethod)), call(1))
      assert.deepStrictEqual(yield* now(Fiber.join(response)), JsonRpc.success("s1", {}))
      assert.deepStrictEqual(yield* now(server.awaitSent(1)), initializeRequest)
    }))

  it.scoped("receive ends, or fails, after what was pushed before, and can be run again", () =>
    Effect.gen(function*() {
      const { server, transport } = yield* TestTransport.make()
      yield* now(handshake(transport))
      const first = yield* listen(transport)
      const second = yield* listen(transport)
      yield* server.push(progress(1))
      yield* server.endReceive
      yield* settle
      for (const { fiber, seen } of [first, second]) {
        assert.deepStrictEqual(seen, [progress(1)])
        assert.deepStrictEqual(yield* now(Fiber.join(fiber)), Either.void)
      }
      const third = yield* listen(transport)
      yield* server.push(progress(2))
      yield* server.failReceive(unavailable)
      yield* settle
      assert.deepStrictEqual(third.seen, [progress(2)])
      assert.deepStrictEqual(yield* now(Fiber.join(third.fiber)), Either.left(unavailable))
      assert.strictEqual((yield* transport.session)._tag, "Active")
    }))

  it.scoped("what is pushed and how it ends waits, in order, for who runs receive next", () =>
    Effect.gen(function*() {
      const { server, transport } = yield* TestTransport.make()
      yield* server.push(progress(1))
      yield* server.failReceive(unavailable)
      yield* server.push(progress(2))
      yield* server.endReceive
      yield* server.push(progress(3))
      const early = yield* listen(transport)
      yield* settle
      assert.deepStrictEqual(early.seen, [])
      yield* now(handshake(transport))
      assert.deepStrictEqual(early.seen, [progress(1)])
      assert.deepStrictEqual(yield* now(Fiber.join(early.fiber)), Either.left(unavailable))
      assert.deepStrictEqual(yield* now(collect(transport.receive)), [progress(2)])
      assert.deepStrictEqual((yield* listen(transport)).seen, [progress(3)])
    }))

  it.scoped("an ending that no listener stayed for is the next one's", () =>
    Effect.gen(function*() {
      const { server, transport } = yield* TestTransport.make()
      yield* now(handshake(transport))
      yield* server.push(progress(1))
      yield* server.push(progress(2))
      yield* server.endReceive
      assert.deepStrictEqual(yield* now(collect(Stream.take(transport.receive, 1))), [progress(1)])
      assert.deepStrictEqual(yield* now(collect(transport.receive)), [progress(2)])
    }))

  it.scoped("a slow listener of a stream that has ended sees its own messages, a new one those that follow", () =>
    Effect.gen(function*() {
      const { server, transport } = yield* TestTransport.make()
      yield* now(handshake(transport))
      const slow: Array<JsonRpc.Message> = []
      const slowly = yield* start(Stream.runForEach(transport.receive, (message) => {
        slow.push(message)
        return Effect.sleep("1 second")
      }))
      const fast = yield* listen(transport)
      for (const n of [1, 2]) yield* server.push(progress(n))
      yield* server.endReceive
      yield* settle
      assert.deepStrictEqual(yield* now(Fiber.join(fast.fiber)), Either.void)
      const next = yield* listen(transport)
      yield* server.push(progress(3))
      yield* settle
      assert.deepStrictEqual(next.seen, [progress(3)])
      yield* TestClock.adjust("2 seconds")
      yield* now(Fiber.join(slowly))
      assert.deepStrictEqual(slow, [progress(1), progress(2)])
    }))

  it.scoped("push waits for room, in order; the end of the session drops what nobody took", () =>
    Effect.gen(function*() {
      const { server, transport } = yield* TestTransport.make({}, { receiveBufferSize: 1 })
      yield* now(handshake(transport))
      yield* now(server.push(progress(1)))
      const second = yield* start(server.push(progress(2)))
      const given = yield* start(server.push(progress(3)))
      const fourth = yield* start(server.push(progress(4)))
      assert.isTrue(yield* isRunning(second))
      yield* now(Fiber.interrupt(given))
      assert.deepStrictEqual(yield* now(collect(Stream.take(transport.receive, 1))), [progress(1)])
      yield* now(Fiber.join(second))
      assert.isTrue(yield* isRunning(fourth))
      yield* now(transport.terminate)
      yield* now(Fiber.join(fourth))
      yield* now(handshake(transport))
      const listening = yield* listen(transport)
      assert.deepStrictEqual(listening.seen, [])
      yield* now(server.push(progress(5)))
      yield* settle
      assert.deepStrictEqual(listening.seen, [progress(5)])
    }))

  it.scoped("an ending that comes before the handshake waits for it", () =>
    Effect.gen(function*() {
      const { server, transport } = yield* TestTransport.make()
      const listening = yield* listen(transport)
      yield* server.endReceive
      yield* settle
      assert.isTrue(yield* isRunning(listening.fiber))
      yield* now(handshake(transport))
      assert.deepStrictEqual(yield* now(Fiber.join(listening.fiber)), Either.void)
    }))

  it.scoped("initialized counts for the session it was sent in, not for a later one", () =>
    Effect.gen(function*() {
      const { server, transport } = yield* TestTransport.make({}, {
        sessionId: null,
        accept: () => Effect.sleep("1 second")
      })
      yield* server.push(progress(1))
      const listening = yield* listen(transport)
      const early = yield* start(notify(transport, initialized))
      yield* now(request(transport, initializeRequest))
      yield* TestClock.adjust("1 second")
      yield* now(Fiber.join(early))
      assert.deepStrictEqual(listening.seen, [])
      yield* start(notify(transport, initialized))
      yield* TestClock.adjust("1 second")
      yield* settle
      assert.deepStrictEqual(listening.seen, [progress(1)])
    }))

  it.scoped("terminate ends who listens after what was there, and drops what waits, for room or for the handshake", () =>
    Effect.gen(function*() {
      const { server, transport } = yield* TestTransport.make({}, { receiveBufferSize: 1 })
      yield* now(handshake(transport))
      const slow: Array<JsonRpc.Message> = []
      const slowly = yield* start(Stream.runForEach(transport.receive, (message) => {
        slow.push(message)
        return Effect.sleep("1 second")
      }))
      for (const n of [1, 2, 3]) yield* start(server.push(progress(n)))
      yield* now(transport.terminate)
      yield* TestClock.adjust("5 seconds")
      yield* now(Fiber.join(slowly))
      assert.deepStrictEqual(slow, [progress(1), progress(2)])
      yield* now(server.push(progress(4)))
      const waiting = yield* listen(transport)
      yield* now(request(transport, initializeRequest))
      yield* now(transport.terminate)
      assert.deepStrictEqual(yield* now(Fiber.join(waiting.fiber)), Either.void)
      yield* now(handshake(transport))
      assert.deepStrictEqual((yield* listen(transport)).seen, [])
    }))

  it.scoped("another initialize drops what the old session left for nobody", () =>
    Effect.gen(function*() {
      const { server, transport } = yield* TestTransport.make()
      yield* now(handshake(transport))
      yield* server.push(progress(1))
      yield* now(handshake(transport))
      yield* server.push(progress(2))
      assert.deepStrictEqual((yield* listen(transport)).seen, [progress(2)])
    }))

  it.scoped("events: sessions come by themselves, the rest is emitted; only to those who listen by then", () =>
    Effect.gen(function*() {
      const { server, transport } = yield* TestTransport.make()
      const sessionId = (id: string) => Option.some(Redacted.make(id))
      const opened = TransportEvent.StreamOpened({ stream: { _tag: "Server" }, lastEventId: undefined })
      yield* server.emit(opened)
      const watching = yield* start(Stream.runCollect(Stream.take(transport.events, 5)))
      yield* now(request(transport, initializeRequest))
      yield* server.emit(opened)
      yield* now(request(transport, initialize(1)))
      yield* now(transport.terminate)
      const protocolVersion = Option.some("2025-11-25")
      assert.deepStrictEqual(Chunk.toReadonlyArray(yield* now(Fiber.join(watching))), [
        TransportEvent.SessionStarted({ sessionId: sessionId("test-session"), protocolVersion }),
        opened,
        TransportEvent.SessionEnded({ sessionId: sessionId("test-session"), by: "Client" }),
        TransportEvent.SessionStarted({ sessionId: sessionId("test-session-2"), protocolVersion }),
        TransportEvent.SessionEnded({ sessionId: sessionId("test-session-2"), by: "Client" })
      ])
    }))

  it.scoped("terminateByServer needs a session that the server knows", () =>
    Effect.gen(function*() {
      const { server, transport } = yield* TestTransport.make({}, { sessionId: null })
      yield* server.terminateByServer
      assert.deepStrictEqual(yield* stateOf(transport), { _tag: "Idle" })
      yield* now(request(transport, initializeRequest))
      yield* server.terminateByServer
      assert.strictEqual((yield* transport.session)._tag, "Active")
    }))

  it.effect("the end of the scope interrupts every script and leaves nothing running", () =>
    Effect.gen(function*() {
      const stopped: Array<JsonRpc.RequestId> = []
      const sends = yield* Effect.scoped(Effect.gen(function*() {
        const { server, transport } = yield* TestTransport.make({
          "tools/call": ({ id }) => Effect.onInterrupt(Effect.never, () => Effect.sync(() => stopped.push(id)))
        })
        const sends = yield* Effect.forEach(
          [1, 2],
          (id) => Effect.forkDaemon(Effect.exit(request(transport, call(id))))
        )
        yield* now(server.awaitSent(2))
        return sends
      }))
      yield* settle
      assert.deepStrictEqual(stopped, [1, 2])
      for (const fiber of sends) {
        const exit = yield* now(Fiber.join(fiber))
        assertError(Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined, "ConnectionError", {
          phase: "Closed",
          outcome: "Unknown"
        })
      }
    }))

  for (const size of [0, -1, 1.5, Number.NaN]) {
    it.scoped(`a buffer of ${size} is a mistake in the test`, () =>
      Effect.gen(function*() {
        for (const options of [{ receiveBufferSize: size }, { replyBufferSize: size }]) {
          const exit = yield* Effect.exit(TestTransport.make({}, options))
          assert.isTrue(Exit.isFailure(exit) && Cause.isDie(exit.cause))
        }
      }))
  }
})

describe("the pair", () => {
  /** The next message that comes in. */
  const next = (server: TestTransport.Server) =>
    now(Stream.runHead(server.incoming)).pipe(
      Effect.flatMap(Option.match({ onNone: () => Effect.dieMessage("nothing came in"), onSome: Effect.succeed }))
    )

  const nextRequest = (server: TestTransport.Server) =>
    Effect.flatMap(
      next(server),
      (incoming) => incoming._tag === "Request" ? Effect.succeed(incoming) : Effect.dieMessage("no request came in")
    )

  it.scoped("a server by hand: what it cares about itself, the rest by answer", () =>
    Effect.gen(function*() {
      const { server, transport } = yield* TestTransport.pair()
      const answers: Array<JsonRpc.Message> = []
      yield* server.incoming.pipe(
        Stream.runForEach((incoming) => {
          if (incoming._tag === "Response") {
            answers.push(incoming.message)
            return incoming.accept
          }
          return incoming._tag === "Request" && incoming.message.method === "tools/call"
            ? Effect.zipRight(
              incoming.reply(JsonRpc.request("ask", "elicitation/create")),
              incoming.reply(result({ content: [] }))
            )
            : TestTransport.answer(incoming, { "tools/list": result({ tools: [] }) })
        }),
        Effect.forkScoped
      )
      yield* now(handshake(transport))
      const listed = yield* now(request(transport, JsonRpc.request(1, "tools/list")))
      assert.deepStrictEqual(listed, JsonRpc.success(1, { tools: [] }))
      assert.deepStrictEqual(yield* now(collect(transport.send(call(2)))), [
        JsonRpc.request("ask", "elicitation/create"),
        JsonRpc.success(2, { content: [] })
      ])
      yield* now(notify(transport, JsonRpc.success("ask", { action: "accept" })))
      assert.deepStrictEqual(answers, [JsonRpc.success("ask", { action: "accept" })])
      assert.strictEqual((yield* server.sent).length, 5)
    }))

  it.scoped("nothing is answered or accepted by itself; messages come in in order", () =>
    Effect.gen(function*() {
      const { server, transport } = yield* TestTransport.pair()
      const initializing = yield* start(request(transport, initializeRequest))
      const notifying = yield* start(notify(transport, progress(1)))
      assert.isTrue(yield* isRunning(initializing))
      assert.isTrue(yield* isRunning(notifying))
      const came = yield* now(Stream.runCollect(Stream.take(server.incoming, 2)))
      assert.deepStrictEqual(Array.from(came, ({ _tag }) => _tag), ["Request", "Notification"])
      for (const incoming of came) {
        assert.isTrue(yield* incoming.isOpen)
        if (incoming._tag === "Request") yield* incoming.reply(result({ protocolVersion: "2025-11-25" }))
        else yield* incoming.accept
        assert.isFalse(yield* incoming.isOpen)
        assert.strictEqual(yield* now(incoming.awaitEnd), "Answered")
      }
      yield* now(Fiber.join(initializing))
      yield* now(Fiber.join(notifying))
      assert.strictEqual((yield* transport.session)._tag, "Active")
    }))

  it.scoped("a reply waits for who reads slowly, the response does not; all of it is delivered", () =>
    Effect.gen(function*() {
      const { server, transport } = yield* TestTransport.pair({ replyBufferSize: 2 })
      const seen: Array<JsonRpc.Message> = []
      const reading = yield* start(Stream.runForEach(transport.send(call(1)), (message) => {
        seen.push(message)
        return Effect.sleep("1 second")
      }))
      const incoming = yield* nextRequest(server)
      let replied = 0
      yield* start(Effect.forEach([1, 2, 3, 4, 5], (n) =>
        Effect.zipRight(
          incoming.reply(progress(n)),
          Effect.sync(() => replied++)
        )))
      assert.deepStrictEqual([seen.length, replied], [1, 3])
      yield* TestClock.adjust("1 second")
      yield* settle
      assert.deepStrictEqual([seen.length, replied], [2, 4])
      yield* now(incoming.reply(result("done")))
      yield* settle
      assert.strictEqual(replied, 5)
      yield* TestClock.adjust("10 seconds")
      yield* now(Fiber.join(reading))
      assert.deepStrictEqual(seen, [...[1, 2, 3, 4].map(progress), JsonRpc.success(1, "done")])
    }))

  it.scoped("a caller who leaves frees a waiting reply; what is done afterwards does nothing", () =>
    Effect.gen(function*() {
      const { server, transport } = yield* TestTransport.pair({ replyBufferSize: 1 })
      const reading = yield* start(Stream.runForEach(transport.send(call(1)), () => Effect.never))
      const incoming = yield* nextRequest(server)
      const ending = yield* start(incoming.awaitEnd)
      const replying = yield* start(Effect.forEach([1, 2, 3], (n) => incoming.reply(progress(n))))
      assert.isTrue(yield* isRunning(replying))
      yield* now(Fiber.interrupt(reading))
      yield* now(Fiber.join(replying))
      assert.strictEqual(yield* now(Fiber.join(ending)), "Interrupted")
      yield* now(incoming.reply(result({})))
      yield* now(incoming.fail(unavailable))
      yield* now(incoming.end)
      assert.isFalse(yield* incoming.isOpen)
      assert.deepStrictEqual(yield* server.interrupted, [call(1)])
    }))

  it.scoped("an initialize whose caller has left opens no session", () =>
    Effect.gen(function*() {
      const { server, transport } = yield* TestTransport.pair()
      const running = yield* start(request(transport, initializeRequest))
      const incoming = yield* nextRequest(server)
      yield* now(Fiber.interrupt(running))
      yield* now(incoming.reply(result({ protocolVersion: "2025-11-25" })))
      assert.deepStrictEqual(yield* stateOf(transport), { _tag: "Idle" })
    }))

  it.scoped("fail, failCause and end come after the messages given before", () =>
    Effect.gen(function*() {
      const { server, transport } = yield* TestTransport.pair()
      const ways: ReadonlyArray<
        readonly [
          (incoming: TestTransport.IncomingRequest) => Effect.Effect<void>,
          (cause: Cause.Cause<TransportError.TransportError>) => void
        ]
      > = [
        [({ fail }) => fail(unavailable), (cause) => assert.isTrue(isUnavailable(Cause.squash(cause)))],
        [
          ({ failCause }) => failCause(Cause.die("broken")),
          (cause) => assert.strictEqual(Cause.squash(cause), "broken")
        ],
        [({ end }) => end, (cause) => assertError(Cause.squash(cause), "ProtocolError", { reason: "NoResponse" })]
      ]
      for (const [finish, check] of ways) {
        const seen: Array<JsonRpc.Message> = []
        const reading = yield* start(
          Effect.exit(Stream.runForEach(transport.send(call(1)), (message) => Effect.sync(() => seen.push(message))))
        )
        const incoming = yield* nextRequest(server)
        yield* now(incoming.reply(progress(1)))
        yield* now(finish(incoming))
        const exit = yield* now(Fiber.join(reading))
        assert(Exit.isFailure(exit))
        check(exit.cause)
        assert.deepStrictEqual(seen, [progress(1)])
        assert.strictEqual(yield* now(incoming.awaitEnd), "Failed")
      }
    }))

  it.scoped("an answer that was given before terminate is still delivered", () =>
    Effect.gen(function*() {
      const { server, transport } = yield* TestTransport.pair({
        session: { sessionId: Redacted.make("adopted"), protocolVersion: "2025-11-25" }
      })
      const seen: Array<JsonRpc.Message> = []
      const reading = yield* start(Stream.runForEach(transport.send(call(1)), (message) => {
        seen.push(message)
        return Effect.sleep("1 second")
      }))
      const incoming = yield* nextRequest(server)
      yield* now(incoming.reply(progress(1)))
      yield* now(incoming.reply(result("done")))
      yield* now(transport.terminate)
      yield* TestClock.adjust("5 seconds")
      yield* now(Fiber.join(reading))
      assert.deepStrictEqual(seen, [progress(1), JsonRpc.success(1, "done")])
    }))

  it.effect("incoming ends with the scope", () =>
    Effect.gen(function*() {
      const serving = yield* Effect.scoped(Effect.gen(function*() {
        const { server, transport } = yield* TestTransport.pair()
        yield* Effect.forkDaemon(Effect.exit(request(transport, call(1))))
        return yield* Effect.zipLeft(
          Effect.forkDaemon(Stream.runCollect(Stream.mapEffect(server.incoming, ({ awaitEnd }) => awaitEnd))),
          settle
        )
      }))
      assert.deepStrictEqual(Chunk.toReadonlyArray(yield* now(Fiber.join(serving))), ["Failed"])
    }))
})
