/**
 * Time limits and interruption: when a call is given up, with what error, and how the server is told.
 */
import { McpClient } from "@effect-mcp/client"
import * as TestTransport from "@effect-mcp/testing/TestTransport"
import { JsonRpc, StreamableHttpTransport } from "@effect-mcp/transport"
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import * as Tracer from "effect/Tracer"
import {
  connected,
  type Era,
  eras,
  failureOf,
  isRunning,
  now,
  progressOf,
  settle,
  start,
  type Subject,
  text
} from "./support/calls.ts"

const pass = (duration: Duration.DurationInput) => Effect.zipRight(TestClock.adjust(duration), settle)

/** How the server learnt that a call was given up, and that it did exactly once. */
const assertCancelled = (era: Era, { server, sent }: Subject, id: JsonRpc.RequestId) =>
  Effect.gen(function*() {
    yield* settle
    const cancels = yield* sent("notifications/cancelled")
    const closed = (yield* server.interrupted).filter((message) => "id" in message && message.id === id)
    assert.strictEqual(closed.length, 1, "the stream of the request was closed")
    if (era === "Modern") return assert.deepStrictEqual(cancels, [])
    assert.strictEqual(cancels.length, 1)
    const [cancel] = cancels
    assert(cancel !== undefined && JsonRpc.isNotification(cancel))
    assert.strictEqual(cancel.params?.requestId, id)
    assert.isString(cancel.params?.reason)
    assert.notProperty(cancel.params, "_meta")
  })

describe.each(eras)("limits, %s", (era) => {
  interface Limit {
    readonly name: string
    readonly options: Partial<McpClient.Options>
    readonly call: McpClient.CallToolOptions | undefined
    readonly kind: "Total" | "Idle"
    readonly after: number
  }
  const minute = 60_000
  const limits: ReadonlyArray<Limit> = [
    { name: "the default: idle for a minute", options: {}, call: undefined, kind: "Idle", after: minute },
    {
      name: "without an idle limit: an hour",
      options: { idleTimeout: "infinity" },
      call: {},
      kind: "Total",
      after: 60 * minute
    },
    { name: "of the client, total", options: { timeout: "3 seconds" }, call: {}, kind: "Total", after: 3000 },
    { name: "of the client, idle", options: { idleTimeout: 1500 }, call: undefined, kind: "Idle", after: 1500 },
    {
      name: "of the call, total",
      options: { timeout: "3 seconds" },
      call: { timeout: "7 millis" },
      kind: "Total",
      after: 7
    },
    {
      name: "of the call, idle",
      options: { idleTimeout: 1 },
      call: { idleTimeout: "10 minutes" },
      kind: "Idle",
      after: 10 * minute
    },
    {
      name: "the call's idle beside the client's total",
      options: { timeout: 500 },
      call: { idleTimeout: "infinity" },
      kind: "Total",
      after: 500
    },
    {
      name: "the call's total beside the client's idle",
      options: { idleTimeout: 500 },
      call: { timeout: "infinity" },
      kind: "Idle",
      after: 500
    },
    {
      name: "both at once are the total one",
      options: {},
      call: { timeout: 500, idleTimeout: 500 },
      kind: "Total",
      after: 500
    },
    {
      name: "longer than a timer of Node",
      options: {},
      call: { timeout: "60 days", idleTimeout: "infinity" },
      kind: "Total",
      after: 60 * 24 * 60 * minute
    }
  ]

  it.scoped.each(limits)("$name", ({ after, call, kind, options }) =>
    Effect.gen(function*() {
      const subject = yield* connected(era, { "tools/call": TestTransport.never }, options)
      const calling = yield* start(subject.client.callTool("slow", {}, call))
      yield* pass(after - 1)
      assert.isTrue(yield* isRunning(calling), "before its time")
      assert.deepStrictEqual(yield* subject.server.interrupted, [])
      yield* pass(1)
      const error = yield* failureOf("RequestTimeout", calling)
      assert.strictEqual(error.kind, kind)
      assert.strictEqual(Duration.toMillis(error.limit), after)
      assert.strictEqual(error.method, "tools/call")
      assert.strictEqual(error.target, "slow")
      assert.strictEqual(error.outcome, "Unknown")
      assert.include(error.message, kind === "Total" ? "(timeout)" : "(idleTimeout)")
      const [request] = yield* subject.sent("tools/call")
      assert(request !== undefined && "id" in request && request.id !== null && request.id !== undefined)
      yield* assertCancelled(era, subject, request.id)
    }))

  it.scoped("no limit at all: a call may take for ever", () =>
    Effect.gen(function*() {
      const { client, next } = yield* connected(era)
      const calling = yield* start(client.callTool("slow", {}, { timeout: "infinity", idleTimeout: "infinity" }))
      yield* pass("400 days")
      assert.isTrue(yield* isRunning(calling))
      yield* (yield* next).reply(TestTransport.result(text("late")))
      assert.deepStrictEqual((yield* now(Fiber.join(calling))).content, [{ type: "text", text: "late" }])
    }))

  it.scoped("every operation has its limits", () =>
    Effect.gen(function*() {
      const { client } = yield* connected(era)
      const options = { timeout: 20, idleTimeout: "infinity" } as const
      const operations: ReadonlyArray<Effect.Effect<unknown, unknown>> = [
        client.callTool("a", {}, options),
        Stream.runDrain(client.callToolStream("a", {}, options)),
        client.readResource("a", options),
        client.getPrompt("a", {}, options),
        client.complete({ type: "ref/prompt", name: "a" }, { name: "a", value: "" }, options),
        client.request("x/y", {}, options)
      ]
      const fibers = yield* Effect.forEach(operations, (operation) => start(Effect.exit(Effect.asVoid(operation))))
      yield* pass(20)
      for (const fiber of fibers) {
        const exit: Exit.Exit<unknown, unknown> = yield* now(Fiber.join(fiber))
        assert.include(String(exit), "RequestTimeout")
      }
    }))

  it.scoped("lists and pings have those of the client", () =>
    Effect.gen(function*() {
      const { client } = yield* connected(era, { "server/discover": discoverOnce(), "ping": TestTransport.never }, {
        idleTimeout: 20
      })
      const listing = yield* start(Stream.runDrain(client.tools))
      const pinging = yield* start(client.ping)
      yield* pass(20)
      assert.strictEqual((yield* failureOf("RequestTimeout", listing)).method, "tools/list")
      assert.strictEqual((yield* failureOf("RequestTimeout", pinging)).kind, "Idle")
    }))

  it.scoped("progress begins the wait anew, and so does any other message of the call", () =>
    Effect.gen(function*() {
      const subject = yield* connected(era, {}, { idleTimeout: 1000 })
      const calling = yield* start(subject.client.callTool("slow", {}, { onProgress: () => Effect.void }))
      const incoming = yield* subject.next
      yield* pass(999)
      yield* incoming.reply(progressOf(incoming.message, 1))
      yield* settle
      yield* pass(999)
      assert.isTrue(yield* isRunning(calling))
      yield* incoming.reply(JsonRpc.notification("notifications/anything"))
      yield* settle
      yield* pass(999)
      assert.isTrue(yield* isRunning(calling))
      // Progress that is not for this call is a sign of life all the same: it came on its stream.
      yield* incoming.reply(JsonRpc.notification("notifications/progress", { progressToken: "other", progress: 1 }))
      yield* settle
      yield* pass(999)
      assert.isTrue(yield* isRunning(calling))
      yield* pass(1)
      assert.strictEqual((yield* failureOf("RequestTimeout", calling)).kind, "Idle")
    }))

  it.scoped("without onProgress, messages still begin the wait anew", () =>
    Effect.gen(function*() {
      const subject = yield* connected(era, {}, { idleTimeout: 1000 })
      const calling = yield* start(subject.client.readResource("a"))
      const incoming = yield* subject.next
      yield* pass(999)
      yield* incoming.reply(JsonRpc.notification("notifications/progress", { progressToken: 1, progress: 1 }))
      yield* settle
      yield* pass(999)
      assert.isTrue(yield* isRunning(calling))
      yield* pass(1)
      assert.strictEqual((yield* failureOf("RequestTimeout", calling)).kind, "Idle")
    }))

  it.scoped("what comes for one call does not help another", () =>
    Effect.gen(function*() {
      const subject = yield* connected(era, {}, { idleTimeout: 1000 })
      const one = yield* start(subject.client.callTool("one"))
      const other = yield* start(subject.client.callTool("other"))
      const incoming = yield* subject.next
      yield* pass(999)
      yield* incoming.reply(JsonRpc.notification("notifications/anything"))
      yield* settle
      yield* pass(1)
      assert.isTrue(yield* isRunning(one))
      assert.strictEqual((yield* failureOf("RequestTimeout", other)).target, "other")
    }))

  it.scoped("the total limit is the maximum in spite of progress", () =>
    Effect.gen(function*() {
      const subject = yield* connected(era, {}, { idleTimeout: 1000, timeout: 5000 })
      const seen: Array<number> = []
      const calling = yield* start(
        subject.client.callTool("slow", {}, {
          onProgress: ({ progress }) => Effect.sync(() => void seen.push(progress))
        })
      )
      const incoming = yield* subject.next
      for (let at = 500; at < 5000; at += 500) {
        yield* pass(500)
        yield* incoming.reply(progressOf(incoming.message, at))
        yield* settle
      }
      assert.isTrue(yield* isRunning(calling))
      yield* pass(500)
      const error = yield* failureOf("RequestTimeout", calling)
      assert.strictEqual(error.kind, "Total")
      assert.strictEqual(Duration.toMillis(error.limit), 5000)
      assert.strictEqual(seen.length, 9)
      yield* assertCancelled(era, subject, incoming.message.id)
    }))

  it.scoped("the time that onProgress takes is not time in which nothing comes", () =>
    Effect.gen(function*() {
      const subject = yield* connected(era, {}, { idleTimeout: 1000 })
      const calling = yield* start(
        subject.client.callTool("slow", {}, { onProgress: () => Effect.sleep("10 seconds") })
      )
      const incoming = yield* subject.next
      yield* incoming.reply(progressOf(incoming.message, 1))
      yield* settle
      yield* pass("5 seconds")
      assert.isTrue(yield* isRunning(calling), "while the application is busy with the progress")
      yield* pass("5 seconds")
      yield* pass(999)
      assert.isTrue(yield* isRunning(calling), "the wait begins when it is taken")
      yield* pass(1)
      assert.strictEqual((yield* failureOf("RequestTimeout", calling)).kind, "Idle")
    }))

  it.scoped("nor is it when other progress comes meanwhile on another stream", () =>
    Effect.gen(function*() {
      const { client, next } = yield* connected(era, {}, { idleTimeout: 1000 })
      const taken: Array<number> = []
      const calling = yield* start(client.callTool("slow", {}, {
        onProgress: ({ progress }) =>
          Effect.zipRight(
            progress === 1 ? Effect.sleep("10 seconds") : Effect.void,
            Effect.sync(() => void taken.push(progress))
          )
      }))
      const incoming = yield* next
      const other = yield* start(client.callTool("other", {}, { idleTimeout: "infinity" }))
      const strays = yield* next
      yield* incoming.reply(progressOf(incoming.message, 1))
      yield* settle
      yield* strays.reply(progressOf(incoming.message, 2))
      yield* settle
      assert.deepStrictEqual(taken, [2])
      yield* pass("10 seconds")
      assert.deepStrictEqual(taken, [2, 1])
      yield* pass(999)
      assert.isTrue(yield* isRunning(calling), "the wait begins when both are taken")
      // The same the other way round: what takes its time came on the other stream.
      yield* strays.reply(progressOf(incoming.message, 1))
      yield* settle
      yield* incoming.reply(progressOf(incoming.message, 3))
      yield* settle
      yield* pass("10 seconds")
      assert.deepStrictEqual(taken, [2, 1, 3, 1])
      yield* pass(999)
      assert.isTrue(yield* isRunning(calling))
      yield* pass(1)
      assert.strictEqual((yield* failureOf("RequestTimeout", calling)).kind, "Idle")
      yield* Fiber.interrupt(other)
    }))

  it.scoped("a stream is not silent while what it brought for another call is handled", () =>
    Effect.gen(function*() {
      const { client, next } = yield* connected(era, {}, { idleTimeout: 1000 })
      yield* start(client.callTool("slow", {}, {
        onProgress: () => Effect.sleep("10 seconds"),
        idleTimeout: "infinity"
      }))
      const incoming = yield* next
      const other = yield* start(client.callTool("other"))
      const strays = yield* next
      yield* strays.reply(progressOf(incoming.message, 1))
      yield* settle
      yield* pass("10 seconds")
      yield* pass(999)
      assert.isTrue(yield* isRunning(other))
      yield* pass(1)
      assert.strictEqual((yield* failureOf("RequestTimeout", other)).kind, "Idle")
    }))

  it.scoped("what fails to take progress from another stream is busy no more", () =>
    Effect.gen(function*() {
      const { client, next } = yield* connected(era, {}, { idleTimeout: 1000 })
      const calling = yield* start(client.callTool("slow", {}, { onProgress: () => Effect.die("taken badly") }))
      const incoming = yield* next
      yield* start(client.callTool("other", {}, { idleTimeout: "infinity" }))
      const strays = yield* next
      yield* strays.reply(progressOf(incoming.message, 1))
      yield* settle
      yield* pass(1000)
      assert.strictEqual((yield* failureOf("RequestTimeout", calling)).kind, "Idle")
    }))

  it.scoped("the total limit does not wait for onProgress", () =>
    Effect.gen(function*() {
      const subject = yield* connected(era, {}, { timeout: 1000 })
      const calling = yield* start(subject.client.callTool("slow", {}, { onProgress: () => Effect.never }))
      const incoming = yield* subject.next
      yield* incoming.reply(progressOf(incoming.message, 1))
      yield* pass(1000)
      assert.strictEqual((yield* failureOf("RequestTimeout", calling)).kind, "Total")
      yield* assertCancelled(era, subject, incoming.message.id)
    }))

  it.scoped("an answer in time leaves nothing to expire, an answer at the last moment counts", () =>
    Effect.gen(function*() {
      const subject = yield* connected(era, {}, { timeout: 1000 })
      const calling = yield* start(subject.client.callTool("slow"))
      const incoming = yield* subject.next
      yield* pass(999)
      yield* incoming.reply(TestTransport.result(text("in time")))
      assert.deepStrictEqual((yield* now(Fiber.join(calling))).content, [{ type: "text", text: "in time" }])
      yield* pass("1 hour")
      assert.deepStrictEqual(yield* subject.sent("notifications/cancelled"), [])
      assert.deepStrictEqual(yield* subject.server.interrupted, [])
    }))

  it.scoped("a timeout in an uninterruptible region leaves no stream open", () =>
    Effect.gen(function*() {
      const subject = yield* connected(era, {}, { timeout: 1000 })
      const calling = yield* start(Effect.uninterruptible(subject.client.callTool("slow")))
      const incoming = yield* subject.next
      yield* pass(1000)
      assert.strictEqual((yield* failureOf("RequestTimeout", calling)).kind, "Total")
      yield* assertCancelled(era, subject, incoming.message.id)
    }))

  it.scoped("a limit of zero is reached at once, without a hang", () =>
    Effect.gen(function*() {
      const { client } = yield* connected(era)
      const calling = yield* start(client.callTool("slow", {}, { timeout: 0 }))
      yield* pass(0)
      assert.strictEqual(Duration.toMillis((yield* failureOf("RequestTimeout", calling)).limit), 0)
    }))

  it.scoped("many calls with limits of all lengths: each in its time", () =>
    Effect.gen(function*() {
      const { client } = yield* connected(era, { "tools/call": TestTransport.never })
      const timeoutOf = (index: number) => 10 + ((index * 7919) % 20) * 10
      const fibers = yield* Effect.forEach(
        Array.from({ length: 300 }, (_, index) => index),
        (index) => Effect.forkScoped(client.callTool("slow", {}, { timeout: timeoutOf(index) }))
      )
      yield* settle
      yield* pass(100)
      const over = yield* Effect.forEach(fibers, (fiber) => Effect.map(Fiber.poll(fiber), Option.isSome))
      over.forEach((isOver, index) => assert.strictEqual(isOver, timeoutOf(index) <= 100, String(index)))
      yield* pass(100)
      for (const fiber of fibers) yield* failureOf("RequestTimeout", fiber)
    }))

  it.scoped("hundreds of calls that were answered leave one timer at most, and none when it has rung", () =>
    Effect.gen(function*() {
      const counting = yield* countSleeps
      yield* Effect.gen(function*() {
        const { client } = yield* connected(era, { "tools/call": TestTransport.result(text("at once")) })
        yield* Effect.forEach(
          Array.from({ length: 600 }, (_, index) => index),
          // Most have the same limits; some come before all that is watched.
          (index) => client.callTool("quick", {}, index % 100 === 0 ? { timeout: 10_000 - index } : {}),
          { concurrency: 50, discard: true }
        )
        yield* settle
        assert.isAtMost(counting.sleeping(), 1)
        yield* Effect.withClock(pass("1 minute"), counting.original)
        assert.strictEqual(counting.sleeping(), 0)
        yield* client.callTool("quick")
        yield* settle
        assert.strictEqual(counting.sleeping(), 1)
      }).pipe(Effect.scoped, Effect.withClock(counting.clock))
      yield* settle
      assert.strictEqual(counting.sleeping(), 0, "the client is closed")
    }))
})

describe.each(eras)("interruption, %s", (era) => {
  it.scoped("cancels the call on the server, once", () =>
    Effect.gen(function*() {
      const subject = yield* connected(era)
      const calling = yield* start(subject.client.callTool("slow"))
      const incoming = yield* subject.next
      yield* now(Fiber.interrupt(calling))
      yield* assertCancelled(era, subject, incoming.message.id)
      yield* pass("2 hours")
      yield* assertCancelled(era, subject, incoming.message.id)
      // What comes late is nobody's.
      yield* now(incoming.reply(TestTransport.result(text("late"))))
    }))

  it.scoped("interrupting twice, and a timeout meanwhile, cancels once", () =>
    Effect.gen(function*() {
      const subject = yield* connected(era)
      const calling = yield* start(subject.client.callTool("slow", {}, { timeout: 10 }))
      const incoming = yield* subject.next
      yield* Effect.fork(TestClock.adjust(10))
      yield* Fiber.interruptFork(calling)
      yield* Fiber.interruptFork(calling)
      yield* now(Fiber.await(calling))
      yield* assertCancelled(era, subject, incoming.message.id)
    }))

  it.scoped("an interruption while the timeout is on its way to the caller does not cancel again", () =>
    Effect.gen(function*() {
      // The caller is interrupted inside of what expires: with the span that ends.
      const callers: Array<Fiber.RuntimeFiber<unknown, unknown>> = []
      const tracer = interruptingTracer(callers)
      const subject = yield* connected(era)
      const calling = yield* Effect.forkScoped(
        subject.client.callTool("slow", {}, { timeout: 10 }).pipe(Effect.withTracer(tracer))
      )
      callers.push(calling)
      const incoming = yield* subject.next
      yield* pass(10)
      yield* now(Fiber.await(calling))
      yield* assertCancelled(era, subject, incoming.message.id)
    }))

  it.scoped("nothing is cancelled once the answer is there", () =>
    Effect.gen(function*() {
      const callers: Array<Fiber.RuntimeFiber<unknown, unknown>> = []
      const tracer = interruptingTracer(callers)
      const subject = yield* connected(era)
      const calling = yield* Effect.forkScoped(subject.client.callTool("quick").pipe(Effect.withTracer(tracer)))
      callers.push(calling)
      yield* (yield* subject.next).reply(TestTransport.result(text("done")))
      const exit = yield* now(Fiber.await(calling))
      assert(Exit.isFailure(exit) && Cause.isInterrupted(exit.cause), "the caller was interrupted with the answer")
      yield* settle
      assert.deepStrictEqual(yield* subject.sent("notifications/cancelled"), [])
    }))

  it.scoped("a race, a timeout of Effect and a closed scope cancel as well", () =>
    Effect.gen(function*() {
      const subject = yield* connected(era)
      const racing = yield* start(Effect.race(subject.client.callTool("slow"), Effect.succeed("quick")))
      assert.strictEqual(yield* now(Fiber.join(racing)), "quick")
      const limited = yield* start(Effect.timeoutOption(subject.client.callTool("slow"), 10))
      yield* pass(10)
      assert.isTrue(Option.isNone(yield* now(Fiber.join(limited))))
      yield* now(Effect.scoped(Effect.zipRight(Effect.forkScoped(subject.client.callTool("slow")), settle)))
      yield* settle
      assert.strictEqual((yield* subject.server.interrupted).length, 3)
      assert.strictEqual((yield* subject.sent("notifications/cancelled")).length, era === "Legacy" ? 3 : 0)
    }))
})

describe("cancelling a server with sessions", () => {
  it.scoped("a notice that hangs does not hold up the caller, and is given up", () =>
    Effect.gen(function*() {
      const { server, transport } = yield* TestTransport.pair()
      yield* server.incoming.pipe(
        Stream.runForEach((incoming) =>
          incoming.message.jsonrpc === "2.0" && "method" in incoming.message &&
            (incoming.message.method === "notifications/cancelled" || incoming.message.method === "tools/call")
            ? Effect.void
            : TestTransport.answer(incoming, { initialize: TestTransport.result(initialized) })
        ),
        Effect.forkScoped
      )
      const client = yield* McpClient.make({ clientInfo: { name: "a", version: "1" }, protocol: "2025-11-25" }).pipe(
        Effect.provideService(StreamableHttpTransport.StreamableHttpTransport, transport)
      )
      const calling = yield* start(client.callTool("slow", {}, { timeout: 10 }))
      yield* pass(10)
      yield* failureOf("RequestTimeout", calling)
      const other = yield* start(client.callTool("slow"))
      yield* now(Fiber.interrupt(other))
      yield* settle
      const cancels = (message: JsonRpc.Message) => "method" in message && message.method === "notifications/cancelled"
      assert.strictEqual((yield* server.sent).filter(cancels).length, 2)
      yield* pass("5 seconds")
      assert.strictEqual((yield* server.interrupted).filter(cancels).length, 2)
    }))

  it.scoped("a notice that fails is no failure of anything", () =>
    Effect.gen(function*() {
      const subject = yield* connected("Legacy")
      const calling = yield* start(subject.client.callTool("slow"))
      yield* subject.next
      yield* subject.server.terminateByServer
      yield* now(Fiber.interrupt(calling))
      yield* settle
      const exit = yield* now(Fiber.await(calling))
      assert(Exit.isFailure(exit) && Cause.isInterruptedOnly(exit.cause))
    }))

  it.scoped("initialize is never cancelled", () =>
    Effect.gen(function*() {
      const { server, transport } = yield* TestTransport.pair()
      const connecting = yield* start(
        McpClient.make({ clientInfo: { name: "a", version: "1" }, protocol: "2025-11-25", timeout: 1000 }).pipe(
          Effect.provideService(StreamableHttpTransport.StreamableHttpTransport, transport),
          Effect.scoped
        )
      )
      yield* pass(1000)
      const error = yield* failureOf("RequestTimeout", connecting)
      assert.strictEqual(error.method, "initialize")
      const interrupted = yield* start(
        McpClient.make({ clientInfo: { name: "a", version: "1" }, protocol: "2025-11-25" }).pipe(
          Effect.provideService(StreamableHttpTransport.StreamableHttpTransport, transport),
          Effect.scoped
        )
      )
      yield* now(Fiber.interrupt(interrupted))
      yield* settle
      const sent = yield* server.sent
      assert.deepStrictEqual(sent.map((message) => "method" in message && message.method), ["initialize", "initialize"])
    }))
})

/** The test clock, with a count of those who sleep by it. */
const countSleeps = Effect.map(Effect.clock, (clock) => {
  let count = 0
  const counted: Clock.Clock = {
    ...clock,
    [Clock.ClockTypeId]: Clock.ClockTypeId,
    unsafeCurrentTimeMillis: () => clock.unsafeCurrentTimeMillis(),
    unsafeCurrentTimeNanos: () => clock.unsafeCurrentTimeNanos(),
    currentTimeMillis: clock.currentTimeMillis,
    currentTimeNanos: clock.currentTimeNanos,
    sleep: (duration) =>
      Effect.acquireUseRelease(
        Effect.sync(() => void count++),
        () => clock.sleep(duration),
        () => Effect.sync(() => void count--)
      )
  }
  return { original: clock, clock: counted, sleeping: () => count }
})

const initialized = {
  protocolVersion: "2025-11-25",
  capabilities: { tools: {} },
  serverInfo: { name: "scripted", version: "1" }
}

/** Answers `server/discover` the first time only. */
const discoverOnce = (): TestTransport.Handler => {
  let count = 0
  return () =>
    count++ > 0 ? TestTransport.never : TestTransport.result({
      supportedVersions: ["2026-07-28"],
      capabilities: { tools: {} },
      resultType: "complete"
    })
}

/** Interrupts the fibers when a span of a call ends. */
const interruptingTracer = (fibers: ReadonlyArray<Fiber.RuntimeFiber<unknown, unknown>>): Tracer.Tracer =>
  Tracer.make({
    span: (name, parent, context, links, startTime, kind) => {
      let status: Tracer.SpanStatus = { _tag: "Started", startTime }
      return {
        _tag: "Span",
        name,
        spanId: "0000000000000001",
        traceId: "00000000000000000000000000000001",
        parent,
        context,
        get status() {
          return status
        },
        attributes: new Map(),
        links,
        sampled: true,
        kind,
        end: (endTime, exit) => {
          status = { _tag: "Ended", startTime, endTime, exit }
          if (!name.startsWith("tools/call")) return
          for (const fiber of fibers) fiber.unsafeInterruptAsFork(fiber.id())
        },
        attribute: () => {},
        event: () => {},
        addLinks: () => {}
      }
    },
    context: (run) => run()
  })
