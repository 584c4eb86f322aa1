import { TestTransport } from "@effect-mcp/testing"
import { HttpExchange, type JsonRpc, StreamableHttpTransport, TransportError } from "@effect-mcp/transport"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import {
  afterHandshake,
  answer,
  call,
  connect,
  eventually,
  handshake,
  overEveryClient,
  progress
} from "../support/harness.ts"
import { rawServer } from "../support/rawServer.ts"
import { soon, watch } from "../support/sessions.ts"

/** Starts a request where it cannot be interrupted, and gives the way to abort it. */
const start = (
  transport: StreamableHttpTransport.Service,
  options: StreamableHttpTransport.RequestOptions = {},
  message: JsonRpc.Request = call()
) =>
  Effect.gen(function*() {
    const aborts: Array<() => void> = []
    const fiber = yield* Effect.fork(Effect.uninterruptible(StreamableHttpTransport.request(transport, message, {
      ...options,
      exposeAbort: (abort) => void aborts.push(abort)
    })))
    yield* eventually(() => aborts.length === 1)
    return { fiber, abort: Effect.sync(() => aborts.forEach((abort) => abort())) }
  })

const assertClosed = (exit: Exit.Exit<unknown, unknown>): TransportError.ConnectionError => {
  const error = Exit.isFailure(exit) && exit.cause._tag === "Fail" ? exit.cause.error : exit
  assert(error instanceof TransportError.ConnectionError, String(error))
  assert.strictEqual(error.phase, "Closed")
  return error
}

overEveryClient("a request that is aborted from outside", (client) => {
  it.scopedLive("ends while it waits for its head, and its connection with it", () =>
    Effect.gen(function*() {
      let left = 0
      const server = yield* rawServer(({ onClose }) => onClose(() => left++))
      const transport = yield* connect(client, server)
      const { abort, fiber } = yield* start(transport)
      yield* eventually(() => server.arrivals.length === 1)
      yield* abort
      assertClosed(yield* soon(Fiber.await(fiber)))
      yield* eventually(() => left === 1)
    }))

  it.scopedLive("ends while it waits for events, and keeps what came before", () =>
    Effect.gen(function*() {
      const server = yield* rawServer(({ events }) => void events().event({ data: progress(1) }))
      const transport = yield* connect(client, server)
      const came: Array<JsonRpc.Message> = []
      const { abort, fiber } = yield* start(transport, {
        onMessage: (message) => Effect.sync(() => came.push(message))
      })
      yield* eventually(() => came.length === 1)
      yield* abort
      assertClosed(yield* soon(Fiber.await(fiber)))
    }))

  it.scopedLive("ends between two connections, and is not resumed", () =>
    Effect.gen(function*() {
      const server = yield* rawServer(
        afterHandshake(({ events }) => events().event({ id: "1", data: progress(1) }).end(), { get: true })
      )
      const transport = yield* connect(client, server, { reconnect: Schedule.spaced("10 minutes") })
      yield* handshake(transport)
      const seen = yield* watch(transport)
      const { abort, fiber } = yield* start(transport)
      yield* eventually(() => seen.some(({ _tag }) => _tag === "StreamWaiting"))
      const before = server.arrivals.length
      yield* abort
      assertClosed(yield* soon(Fiber.await(fiber)))
      assert.strictEqual(server.arrivals.length, before)
    }))

  it.scopedLive("ends while it waits for a place among the concurrent requests", () =>
    Effect.gen(function*() {
      const server = yield* rawServer(() => {})
      const transport = yield* connect(client, server, { maxConcurrentRequests: 1 })
      const first = yield* start(transport)
      yield* eventually(() => server.arrivals.length === 1)
      const second = yield* start(transport, {}, call(2))
      yield* second.abort
      assertClosed(yield* soon(Fiber.await(second.fiber)))
      assert.strictEqual(server.arrivals.length, 1)
      yield* first.abort
      assertClosed(yield* soon(Fiber.await(first.fiber)))
    }))

  it.scopedLive("has its answer if that has come", () =>
    Effect.gen(function*() {
      const server = yield* rawServer(({ events, message }) =>
        events().event({ data: progress(1) }).event({ data: answer(message?.id) }).end()
      )
      const transport = yield* connect(client, server)
      let abort: Effect.Effect<void> = Effect.void
      const started = yield* start(transport, { onMessage: () => Effect.zipRight(Effect.sleep("50 millis"), abort) })
      abort = started.abort
      assert.strictEqual((yield* soon(Fiber.join(started.fiber))).id, 1)
    }))
})

overEveryClient("a request that is aborted before it begins", (client) => {
  it.scopedLive("is never sent", () =>
    Effect.gen(function*() {
      const server = yield* rawServer(({ json, message }) => json(answer(message?.id)))
      const transport = yield* connect(client, server)
      const exit = yield* soon(Effect.exit(
        StreamableHttpTransport.request(transport, call(), { exposeAbort: (abort) => abort() })
      ))
      assert.strictEqual(assertClosed(exit).outcome, "NotExecuted")
      yield* StreamableHttpTransport.request(transport, call(2))
      assert.deepStrictEqual(server.arrivals.map(({ message }) => message?.id), [2])
    }))
})

overEveryClient("a request that is aborted while a refusal is read", (client) => {
  it.scopedLive("ends as it does anywhere", () =>
    Effect.gen(function*() {
      const server = yield* rawServer(({ respond }) => void respond(200, { "content-type": "text/html" }).write("<p>"))
      const transport = yield* connect(client, server)
      const { abort, fiber } = yield* start(transport)
      yield* eventually(() => server.arrivals.length === 1)
      yield* Effect.sleep("30 millis")
      yield* abort
      assertClosed(yield* soon(Fiber.await(fiber)))
    }))
})

describe("over an exchange that does nothing with exposeAbort", () => {
  const never: HttpExchange.Service["open"] = () => Effect.never

  const exchanges: ReadonlyArray<readonly [string, HttpExchange.Service["open"]]> = [
    ["and never opens", never],
    ["and cannot be interrupted", () => Effect.uninterruptible(Effect.never)],
    ["and does something else before", (request) => Effect.zipRight(Effect.sleep("1 hour"), never(request))],
    ["and tries again and again", (request) => {
      const failed = Effect.async<never, HttpExchange.ExchangeError>((resume) => {
        const fail = () => resume(Effect.fail(new HttpExchange.ExchangeError({ sent: false, cause: "again" })))
        request.exposeAbort?.(fail)
        setTimeout(fail, 5)
      })
      return Effect.retry(failed, Schedule.spaced("5 millis"))
    }]
  ]

  for (const [what, open] of exchanges) {
    it.scopedLive(`a request ends when it is aborted (${what})`, () =>
      Effect.gen(function*() {
        const transport = yield* StreamableHttpTransport.makeExchange({ url: "http://127.0.0.1:1/mcp" }).pipe(
          Effect.provideService(HttpExchange.HttpExchange, { open })
        )
        const { abort, fiber } = yield* start(transport)
        yield* Effect.sleep("20 millis")
        yield* abort
        assertClosed(yield* soon(Fiber.await(fiber)))
      }))
  }
})

describe("over a transport that is not the library's", () => {
  it.scopedLive("a request that is aborted does not wait for what its stream does at its end", () =>
    Effect.gen(function*() {
      const { transport } = yield* TestTransport.make({
        "tools/call": TestTransport.stream(Stream.ensuring(Stream.never, Effect.sleep("3 seconds")))
      })
      const { abort, fiber } = yield* start(transport)
      yield* Effect.sleep("20 millis")
      yield* abort
      assertClosed(yield* soon(Fiber.await(fiber)))
    }))

  it.scopedLive("a request is aborted as well, and so is what its messages are handled with", () =>
    Effect.gen(function*() {
      let interrupted = false
      const { transport } = yield* TestTransport.make({
        "tools/call": TestTransport.stream(Stream.concat(Stream.succeed(progress(1)), Stream.never))
      })
      const { abort, fiber } = yield* start(transport, {
        onMessages: () => Effect.onInterrupt(Effect.never, () => Effect.sync(() => void (interrupted = true)))
      })
      yield* Effect.sleep("20 millis")
      yield* abort
      assertClosed(yield* soon(Fiber.await(fiber)))
      assert.isTrue(interrupted)
    }))
})

overEveryClient("onMessages", (client) => {
  it.scopedLive("gets all that came before the answer, in order, what came at once together, in the place of onMessage", () =>
    Effect.gen(function*() {
      const server = yield* rawServer(({ events, message }) => {
        const data = [progress(1), progress(2), progress(3), answer(message?.id)]
        events().write(data.map((data) => `data: ${JSON.stringify(data)}\n\n`).join(""))
      })
      const transport = yield* connect(client, server)
      const batches: Array<ReadonlyArray<JsonRpc.Message>> = []
      const response = yield* soon(StreamableHttpTransport.request(transport, call(), {
        onMessage: () => Effect.dieMessage("onMessages takes its place"),
        onMessages: (messages) => Effect.sync(() => void batches.push(messages))
      }))
      assert.strictEqual(response.id, 1)
      assert.deepStrictEqual(batches, [[progress(1), progress(2), progress(3)]])
    }))
})
