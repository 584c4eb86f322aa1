/**
 * An interruption may come between any two steps of a fiber. Here it comes at each of them in turn.
 */
import { HttpExchange, JsonRpc, StreamableHttpTransport } from "@effect-mcp/transport"
import * as Headers from "@effect/platform/Headers"
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import type * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Scheduler from "effect/Scheduler"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { call, connect, eventually, overEveryClient, progress } from "../support/harness.ts"
import { rawServer } from "../support/rawServer.ts"
import { soon } from "../support/sending.ts"

const session = { sessionId: "adopted", protocolVersion: "2025-11-25" }

type AnyFiber = Parameters<Scheduler.Scheduler["shouldYield"]>[0]

/**
 * Interrupts a program at a step of one of its fibers, counted as they come. Another fiber than the first waits there until
 * the interruption has come to it.
 */
class Interrupting implements Scheduler.Scheduler {
  steps = 0
  private readonly fibers = new Set<AnyFiber>()
  private readonly which: number
  private readonly at: number

  constructor(which: number, at: number) {
    this.which = which
    this.at = at
  }

  shouldYield(fiber: AnyFiber): number | false {
    this.fibers.add(fiber)
    const [first] = this.fibers
    if (fiber !== [...this.fibers][this.which - 1] || ++this.steps !== this.at) return false
    first?.unsafeInterruptAsFork(FiberId.none)
    return fiber === first ? false : 0
  }

  scheduleTask(task: Scheduler.Task, priority: number): void {
    Scheduler.defaultScheduler.scheduleTask(task, priority)
  }
}

/**
 * Responses whose bodies come in parts, one for each turn; how many of them have neither ended nor been closed. The last body
 * is that of all later responses, too.
 */
const scripted = (contentType: string, ...bodies: ReadonlyArray<ReadonlyArray<string>>) => {
  const open = new Set<object>()
  const methods: Array<string> = []
  const respond = (parts: ReadonlyArray<string>): HttpExchange.Response => {
    const response = {
      status: 200,
      headers: Headers.fromInput({ "content-type": contentType }),
      read: (sink: HttpExchange.Sink) => {
        let next = 0
        const turn = (): void => {
          if (!open.has(response)) return
          const part = parts[next++]
          if (part === undefined) {
            open.delete(response)
            return sink.onEnd()
          }
          sink.onChunk(new TextEncoder().encode(part))
          setImmediate(turn)
        }
        setImmediate(turn)
      },
      pause: () => {},
      resume: () => {},
      close: () => void open.delete(response)
    }
    open.add(response)
    return response
  }
  const exchange: HttpExchange.Service = {
    open: ({ method }) =>
      Effect.async((resume) => {
        const parts = bodies[methods.push(method) - 1] ?? bodies.at(-1) ?? []
        setImmediate(() => resume(Effect.sync(() => respond(parts))))
      })
  }
  return { exchange, open, methods }
}

const turns = (count: number): Effect.Effect<void> =>
  Effect.repeatN(Effect.promise(() => new Promise((resolve) => void setImmediate(resolve))), count - 1)

const event = (message: JsonRpc.Message): string => `data: ${JSON.stringify(message)}\n\n`

const answer = JsonRpc.success(1, {})

const bodies: ReadonlyArray<readonly [title: string, contentType: string, parts: ReadonlyArray<string>]> = [
  ["a JSON answer", "application/json", [JSON.stringify(answer)]],
  ["an answer in a stream", "text/event-stream", [event(answer)]],
  ["messages before the answer", "text/event-stream", [event(progress(1)), event(progress(2)), event(answer)]],
  ["a message and the answer at once", "text/event-stream", [event(progress(1)) + event(answer)]]
]

interface Way {
  readonly title: string
  /** Which fiber is interrupted: a Stream is run in another one. */
  readonly which: number
  readonly run: (transport: StreamableHttpTransport.Service) => Effect.Effect<unknown, unknown>
}

const ways: ReadonlyArray<Way> = [
  ...[1, 2].flatMap((which): ReadonlyArray<Way> => [
    { title: `send (fiber ${which})`, which, run: (transport) => Stream.runDrain(transport.send(call(1))) },
    { title: `the head of send (fiber ${which})`, which, run: (transport) => Stream.runHead(transport.send(call(1))) }
  ]),
  {
    title: "request",
    which: 1,
    run: (transport) => StreamableHttpTransport.request(transport, call(1), { onMessage: () => Effect.yieldNow() })
  }
]

const places: ReadonlyArray<
  readonly [title: string, within: <A, E>(effect: Effect.Effect<A, E>) => Effect.Effect<A, E>]
> = [
  ["by itself", (effect) => effect],
  ["in a span", Effect.withSpan("caller")]
]

overEveryClient("an interruption at any step of a call whose answer never comes", (client) => {
  for (const { run, title, which } of ways.filter(({ title }) => !title.startsWith("the head"))) {
    for (const [where, within] of places) {
      it.scopedLive(`${title}, ${where}: closes its connection`, () =>
        Effect.gen(function*() {
          let served = 0
          const server = yield* rawServer(({ respond }) => {
            served++
            respond(200, { "content-type": "text/event-stream" }).write(event(progress(1)))
          })
          const transport = yield* connect(client, server, { session })
          let reached = 0
          for (let at = 1; at <= reached + 1; at++) {
            const scheduler = new Interrupting(which, at)
            const before = served
            const fiber = Effect.runFork(within(run(transport)), { scheduler })
            while (fiber.unsafePoll() === null && scheduler.steps < at) {
              const { steps } = scheduler
              const isServed = served > before
              yield* Effect.sleep("10 millis")
              // It waits for what never comes: there are no more steps.
              if (isServed && scheduler.steps === steps) break
            }
            reached = scheduler.steps
            yield* soon(Fiber.interrupt(fiber))
            yield* eventually(() => server.openResponses() === 0)
          }
          // Fewer would mean that nothing was interrupted, or only what had not been sent.
          assert.isAbove(reached, 10)
          if (which > 1 || title === "request") assert.isAbove(served, 3)
        }), 60_000)
    }
  }
})

describe("an interruption at any step", () => {
  for (const [body, contentType, parts] of bodies) {
    for (const { run, title, which } of ways) {
      it.scopedLive(`${title}, ${body}: leaves nothing open`, () =>
        Effect.gen(function*() {
          const { exchange, open } = scripted(contentType, parts)
          const transport = yield* StreamableHttpTransport.makeExchange({
            url: "http://localhost/mcp",
            session
          }).pipe(Effect.provideService(HttpExchange.HttpExchange, exchange))
          for (let at = 1;; at++) {
            const scheduler = new Interrupting(which, at)
            const exit = yield* Fiber.await(Effect.runFork(run(transport), { scheduler }))
            // Which is over is still there until its body ends, a turn or two later.
            yield* turns(parts.length + 2)
            assert.strictEqual(open.size, 0, `interrupted at step ${at} of ${scheduler.steps}`)
            if (scheduler.steps < at) {
              assert.isTrue(Exit.isSuccess(exit))
              // Fewer would mean that nothing was interrupted.
              assert.isAbove(at, 20)
              break
            }
          }
        }))
    }
  }
})

/** In so many steps what a pull has taken is handed over: it is lost with the pull, as with any Stream. */
const handover = 5

/** How what was interrupted goes on, when it is pulled again. */
const pulledAgain = (pull: Effect.Effect<Chunk.Chunk<JsonRpc.Message>, Option.Option<unknown>>) =>
  Effect.gen(function*() {
    const got: Array<JsonRpc.Message> = []
    while (true) {
      const exit = yield* soon(Effect.exit(pull))
      if (Exit.isSuccess(exit)) got.push(...exit.value)
      else return { got, ending: Cause.failureOption(exit.cause) }
    }
  })

const broken: ReadonlyArray<
  readonly [title: string, contentType: string, ...bodies: ReadonlyArray<ReadonlyArray<string>>]
> = [
  ...bodies,
  [
    "a stream that breaks twice",
    "text/event-stream",
    ["id: 1\n", event(progress(1))],
    ["id: 2\n", event(progress(2))],
    [event(answer)]
  ],
  ["no JSON", "application/json", ["{"]],
  ["a stream without an answer", "text/event-stream", [event(progress(1))]],
  ["a page", "text/html", ["<html>"]]
]

describe("a pull that is interrupted at any step, and pulled again", () => {
  for (const [title, contentType, ...bodies] of broken) {
    it.scopedLive(`${title}: posts once, and tells all or fails`, () =>
      Effect.gen(function*() {
        let completed = 0
        let lost = 0
        const failed = new Set<string>()
        for (let at = 1;; at++) {
          const { exchange, methods, open } = scripted(contentType, ...bodies)
          const transport = yield* StreamableHttpTransport.makeExchange({
            url: "http://localhost/mcp",
            session,
            reconnect: Schedule.spaced("1 millis")
          }).pipe(Effect.provideService(HttpExchange.HttpExchange, exchange))
          const scope = yield* Scope.make()
          const pull = yield* Scope.extend(Stream.toPull(transport.send(call(1))), scope)
          const scheduler = new Interrupting(1, at)
          const drained = Effect.forever(Effect.map(pull, (messages) => void before.push(...messages)))
          const before: Array<JsonRpc.Message> = []
          yield* Fiber.await(Effect.runFork(drained, { scheduler }))
          const { ending, got } = yield* pulledAgain(pull)
          const where = `interrupted at step ${at} of ${scheduler.steps}`
          const canResume = bodies.flat().some((part) => part.startsWith("id: "))
          assert.isAtMost(methods.filter((method) => canResume ? method === "POST" : true).length, 1, where)
          const error = Option.flatten(ending)
          if (Option.isSome(error)) {
            failed.add(String(Reflect.get(Object(error.value), "_tag")))
          } else if ([...before, ...got].some(JsonRpc.isResponse)) {
            assert.deepStrictEqual([...before, ...got].at(-1), answer, where)
            completed++
          } else {
            lost++
          }
          yield* Scope.close(scope, Exit.void)
          yield* turns(bodies.flat().length + 2)
          assert.strictEqual(open.size, 0, where)
          if (scheduler.steps < at) break
        }
        const isAnswered = bodies.flat().some((part) => part.includes("result"))
        assert.deepStrictEqual(
          [...failed].toSorted(),
          isAnswered ? ["ConnectionError"] : ["ConnectionError", "ProtocolError"]
        )
        assert.strictEqual(completed > 0, isAnswered)
        assert.isAtMost(lost, handover)
      }))
  }
})

overEveryClient("the scope of a Stream that another fiber pulls", (client) => {
  it.scopedLive("closes its connection, and gives its place to the next", () =>
    Effect.gen(function*() {
      const server = yield* rawServer(({ respond }) => {
        respond(200, { "content-type": "text/event-stream" })
      })
      const transport = yield* connect(client, server, { session, maxConcurrentRequests: 1 })
      for (let round = 0; round < 2; round++) {
        const scope = yield* Scope.make()
        const pull = yield* Scope.extend(Stream.toPull(transport.send(call(round))), scope)
        // The fiber goes on, whatever becomes of the pull.
        const fiber = yield* Effect.fork(Effect.zipRight(Effect.exit(pull), Effect.never))
        yield* eventually(() => server.openResponses() === 1)
        yield* soon(Scope.close(scope, Exit.void))
        yield* eventually(() => server.openResponses() === 0)
        yield* Effect.sync(() => fiber.unsafeInterruptAsFork(FiberId.none))
      }
    }))
})
