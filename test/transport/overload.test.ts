import { JsonRpc, StreamableHttpTransport, TransportMetrics } from "@effect-mcp/transport"
import { assert, it } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Metric from "effect/Metric"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import {
  afterHandshake,
  answer,
  call,
  collect,
  connect,
  eventually,
  handshake,
  overEveryClient,
  progress
} from "../support/harness.ts"
import { type Exchange, rawServer } from "../support/rawServer.ts"
import { connectIn, failureOf, held, soon } from "../support/sessions.ts"

const busy = (times: number, status = 429, headers: Record<string, string> = {}) => {
  let refused = 0
  return afterHandshake((exchange: Exchange) => {
    if (refused++ < times) return exchange.status(status, "busy", headers)
    exchange.json(answer(exchange.message?.id))
  })
}

const twice = Schedule.spaced("10 millis").pipe(Schedule.intersect(Schedule.recurs(2)))

overEveryClient("overload", (client) => {
  it.scopedLive("without the option a POST is never repeated", () =>
    Effect.gen(function*() {
      const server = yield* rawServer(busy(1))
      const transport = yield* connect(client, server)
      const error = yield* failureOf(collect(transport.send(call())))
      assert(error._tag === "HttpStatusError")
      assert.strictEqual(error.outcome, "NotExecuted")
      assert.deepStrictEqual(server.log(), ["POST tools/call"])
    }))

  it.scopedLive("429 is repeated by the schedule, with the same body, and the wait is told", () =>
    Effect.gen(function*() {
      const server = yield* rawServer(busy(2))
      const transport = yield* connect(client, server, { overload: twice })
      const told = yield* transport.events.pipe(
        Stream.filter((event) => event._tag === "RequestDelayed"),
        Stream.take(2),
        Stream.runCollect,
        Effect.fork
      )
      yield* Effect.yieldNow()
      const response = yield* StreamableHttpTransport.request(transport, call())
      assert.isTrue(JsonRpc.isSuccessResponse(response))
      assert.strictEqual(new Set(server.arrivals.map(({ body }) => body)).size, 1)
      assert.strictEqual(server.arrivals.length, 3)
      const delayed = Chunk.toReadonlyArray(yield* Fiber.join(told))
      assert.deepStrictEqual(delayed.map((event) => "status" in event && event.status), [429, 429])
    }))

  it.scopedLive("a schedule that is done gives the error", () =>
    Effect.gen(function*() {
      const server = yield* rawServer(busy(9))
      const transport = yield* connect(client, server, { overload: twice })
      const error = yield* failureOf(collect(transport.send(call())))
      assert(error._tag === "HttpStatusError")
      assert.strictEqual(error.status, 429)
      assert.strictEqual(server.arrivals.length, 3)
    }))

  it.scopedLive("503 is repeated only with Retry-After, other statuses never", () =>
    Effect.gen(function*() {
      for (
        const [status, headers, posts] of [[503, {}, 1], [503, { "retry-after": "0" }, 2], [
          500,
          { "retry-after": "0" },
          1
        ]] as const
      ) {
        const server = yield* rawServer(busy(1, status, headers))
        const transport = yield* connect(client, server, { overload: twice })
        yield* Effect.exit(collect(transport.send(call())))
        assert.strictEqual(server.arrivals.length, posts, `${status} ${JSON.stringify(headers)}`)
      }
    }))

  it.scopedLive("notifications are repeated, too", () =>
    Effect.gen(function*() {
      let refused = false
      const server = yield* rawServer(({ status }) => {
        status(refused ? 202 : 429)
        refused = true
      })
      const transport = yield* connect(client, server, { overload: twice })
      yield* StreamableHttpTransport.notify(transport, JsonRpc.notification("notifications/progress"))
      assert.strictEqual(server.arrivals.length, 2)
    }))

  it.scopedLive("a Retry-After above maxRetryDelay is not waited for", () =>
    Effect.gen(function*() {
      const server = yield* rawServer(busy(1, 429, { "retry-after": "600" }))
      const transport = yield* connect(client, server, { overload: twice })
      const error = yield* soon(failureOf(collect(transport.send(call()))))
      assert.strictEqual(error._tag, "HttpStatusError")
      assert.strictEqual(server.arrivals.length, 1)
    }))

  it.scopedLive("closing ends the wait, and the message surely was not executed", () =>
    Effect.gen(function*() {
      const server = yield* rawServer(busy(1, 429, { "retry-after": "60" }))
      const { close, transport } = yield* connectIn(client, server, { overload: twice })
      const waiting = yield* Effect.fork(failureOf(collect(transport.send(call()))))
      yield* eventually(() => server.arrivals.length === 1)
      yield* Effect.sleep("20 millis")
      yield* soon(close)
      const error = yield* soon(Fiber.join(waiting))
      assert(error._tag === "ConnectionError", String(error))
      assert.strictEqual(error.phase, "Closed")
      assert.strictEqual(error.outcome, "NotExecuted")
    }))
})

overEveryClient("maxConcurrentRequests", (client) => {
  it.scopedLive("bounds requests, in order, and never notifications or responses", () =>
    Effect.gen(function*() {
      const waiting = held()
      const server = yield* rawServer(afterHandshake((exchange) => {
        if (exchange.message?.method === "tools/call") waiting.hold(exchange)
        else exchange.status(202)
      }))
      const transport = yield* connect(client, server, { maxConcurrentRequests: 2 })
      yield* handshake(transport)
      const fibers = yield* Effect.forEach([1, 2, 3, 4], (id) =>
        Effect.fork(StreamableHttpTransport.request(transport, call(id))))
      const first = yield* waiting.take("tools/call")
      const second = yield* waiting.take("tools/call")
      yield* soon(StreamableHttpTransport.notify(transport, JsonRpc.notification("notifications/progress")))
      yield* soon(StreamableHttpTransport.notify(transport, JsonRpc.success("s1", {})))
      const calls = () =>
        server.arrivals.filter(({ message }) =>
          message?.method === "tools/call"
        ).map(({ message }) => message?.id)
      assert.deepStrictEqual(calls(), [1, 2])
      first.json(answer(first.message?.id))
      const third = yield* waiting.take("tools/call")
      assert.deepStrictEqual(calls(), [1, 2, 3])
      // A place that is given up while waiting is nobody's.
      const fourth = fibers[3]
      assert(fourth !== undefined)
      yield* soon(Fiber.interrupt(fourth))
      second.json(answer(second.message?.id))
      third.json(answer(third.message?.id))
      for (const fiber of fibers.slice(0, 3)) yield* soon(Fiber.join(fiber))
      const last = yield* Effect.fork(StreamableHttpTransport.request(transport, call(5)))
      const fifth = yield* waiting.take("tools/call")
      fifth.json(answer(fifth.message?.id))
      yield* soon(Fiber.join(last))
      assert.deepStrictEqual(calls(), [1, 2, 3, 5])
    }))
})

overEveryClient("metrics", (client) => {
  it.scopedLive("count reconnects, resumed events, dropped duplicates, stalls and open streams", () =>
    Effect.gen(function*() {
      const read = Effect.all({
        reconnects: Effect.map(Metric.value(TransportMetrics.reconnects), ({ count }) => count),
        resumed: Effect.map(Metric.value(TransportMetrics.resumedEvents), ({ count }) => count),
        dropped: Effect.map(Metric.value(TransportMetrics.duplicatesDropped), ({ count }) => count),
        stalls: Effect.map(Metric.value(TransportMetrics.stallTime), ({ count }) => count),
        open: Effect.map(Metric.value(TransportMetrics.openStreams), ({ value }) => value)
      })
      const before = yield* read
      const server = yield* rawServer(afterHandshake(({ events, headers, message }) => {
        if (headers["last-event-id"] === undefined) {
          events().event({ id: "e1", data: progress(1) }).event({ id: "e2", data: progress(2) }).cut()
        } else {
          events().event({ id: "e2", data: progress(2) }).event({ id: "e3", data: answer(message?.id ?? 1) }).end()
        }
      }, { get: true }))
      const transport = yield* connect(client, server)
      yield* handshake(transport)
      assert.strictEqual((yield* collect(transport.send(call(1)))).length, 3)
      const after = yield* read
      assert.deepStrictEqual({
        reconnects: after.reconnects - before.reconnects,
        resumed: after.resumed - before.resumed,
        dropped: after.dropped - before.dropped,
        stalls: after.stalls - before.stalls,
        open: after.open - before.open
      }, { reconnects: 1, resumed: 1, dropped: 1, stalls: 1, open: 0 })
    }))
})
