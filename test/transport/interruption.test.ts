/**
 * An interruption may come between any two steps of a fiber. Here it comes at each of them in turn.
 */
import { HttpExchange, JsonRpc, StreamableHttpTransport } from "@effect-mcp/transport"
import * as Headers from "@effect/platform/Headers"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as Scheduler from "effect/Scheduler"
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

/** Responses whose bodies come in parts, one for each turn; how many of them have neither ended nor been closed. */
const scripted = (contentType: string, parts: ReadonlyArray<string>) => {
  const open = new Set<object>()
  const respond = (): HttpExchange.Response => {
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
    open: () => Effect.async((resume) => void setImmediate(() => resume(Effect.sync(respond))))
  }
  return { exchange, open }
}

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
            for (let turn = 0; turn < parts.length + 2; turn++) yield* Effect.promise(() => new Promise(setImmediate))
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
