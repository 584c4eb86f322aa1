import { JsonRpc, StreamableHttpTransport } from "@effect-mcp/transport"
import { assert } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import {
  afterHandshake,
  answer,
  call,
  collect,
  connect,
  eventually,
  handshake,
  overEveryClient
} from "../support/harness.ts"
import { live } from "../support/quiet.ts"
import { type Exchange, rawServer } from "../support/rawServer.ts"

const mebibyte = 1024 * 1024
const size = 50 * mebibyte

const note = JSON.stringify(
  JsonRpc.notification("notifications/message", { level: "info", data: "x".repeat(64 * 1024) })
)
const event = `data: ${note}\n\n`
const count = Math.ceil(size / event.length)

/** Writes events until all are written, as fast as the client takes them. */
const flood = ({ events, message }: Exchange) => {
  const state = { written: 0, isHeld: false, isDone: false }
  const body = events()
  const write = (): void => {
    state.isHeld = false
    while (state.written < count) {
      state.written++
      if (!body.write(event)) {
        state.isHeld = true
        body.onDrain(write)
        return
      }
    }
    if (message !== undefined) body.write(`data: ${JSON.stringify(answer(message.id))}\n\n`)
    state.isDone = true
    body.end()
  }
  write()
  return state
}

overEveryClient("backpressure", (client) => {
  const flooded = (options: Partial<StreamableHttpTransport.Options> = {}) =>
    Effect.gen(function*() {
      const states: Array<ReturnType<typeof flood>> = []
      const raw = yield* rawServer(afterHandshake((exchange) => {
        if (exchange.message?.method === "ping") return exchange.json(answer(exchange.message.id, {}))
        states.push(flood(exchange))
      }, { get: true }))
      const transport = yield* connect(client, raw, options)
      yield* handshake(transport)
      return { raw, states, transport }
    })

  const stays = (state: () => ReturnType<typeof flood> | undefined) =>
    Effect.gen(function*() {
      yield* eventually(() => state()?.isHeld === true)
      // The sockets' own buffers fill up first.
      let before = -1
      for (let round = 0; round < 20 && before !== state()?.written; round++) {
        before = state()?.written ?? 0
        yield* Effect.sleep("200 millis")
      }
      assert.strictEqual(state()?.written, before)
      assert.isTrue(state()?.isHeld)
      assert.isBelow(before * event.length, 24 * mebibyte)
    })

  live(
    "S29: a consumer that does not pull holds the server's socket, and loses nothing when it goes on",
    () =>
      Effect.gen(function*() {
        const { states, transport } = yield* flooded()
        const gate = yield* Deferred.make<void>()
        let seen = 0
        let answered: JsonRpc.Message | undefined
        const fiber = yield* transport.send(call()).pipe(
          Stream.runForEach((message) =>
            Effect.suspend(() => {
              if (JsonRpc.isResponse(message)) answered = message
              else seen++
              return Deferred.await(gate)
            })
          ),
          Effect.fork
        )
        yield* stays(() => states[0])
        assert.strictEqual(seen, 1)
        const other = yield* Effect.timeout(
          StreamableHttpTransport.request(transport, JsonRpc.request("other", "ping")),
          "2 seconds"
        )
        assert.strictEqual(other.id, "other")
        yield* Deferred.succeed(gate, undefined)
        yield* Fiber.join(fiber)
        assert.strictEqual(seen, count)
        assert.strictEqual(answered?.jsonrpc, "2.0")
      })
  )

  live("S29: `request` is held by its onMessage in the same way", () =>
    Effect.gen(function*() {
      const { raw, states, transport } = yield* flooded()
      const fiber = yield* Effect.fork(
        StreamableHttpTransport.request(transport, call(), { onMessage: () => Effect.never })
      )
      yield* stays(() => states[0])
      yield* Effect.timeout(Fiber.interrupt(fiber), "2 seconds")
      yield* eventually(() => raw.openResponses() === 0)
      assert.strictEqual((yield* transport.session)._tag, "Active")
    }))

  live("S29: a slow subscriber of receive holds the server's socket, and no request", () =>
    Effect.gen(function*() {
      const { raw, states, transport } = yield* flooded({ receiveBufferSize: 8 })
      const fiber = yield* Effect.fork(Stream.runForEach(transport.receive, () => Effect.never))
      yield* stays(() => states[0])
      const other = yield* Effect.timeout(
        StreamableHttpTransport.request(transport, JsonRpc.request("other", "ping")),
        "2 seconds"
      )
      assert.strictEqual(other.id, "other")
      yield* Effect.timeout(Fiber.interrupt(fiber), "2 seconds")
      yield* eventually(() => raw.openResponses() === 0)
    }))

  live("S29: one slow consumer does not stop another request's stream", () =>
    Effect.gen(function*() {
      const { states, transport } = yield* flooded()
      const slow = yield* Effect.fork(Stream.runForEach(transport.send(call(1)), () => Effect.never))
      yield* eventually(() => states[0]?.isHeld === true)
      const messages = yield* collect(transport.send(call(2)))
      assert.strictEqual(messages.length, count + 1)
      assert.isFalse(states[0]?.isDone)
      yield* Fiber.interrupt(slow)
    }))

  live(
    "idleTimeout: silence on a socket is a break that is resumed; comments keep it open",
    () =>
      Effect.gen(function*() {
        const raw = yield* rawServer(afterHandshake(({ events, method }) => {
          if (method === "GET") return events().event({ data: answer(1) }).end()
          const writer = events().event({ id: "e1", data: "" })
          let pings = 0
          const timer = setInterval(() => {
            writer.raw(": ping\n\n")
            if (++pings === 8) clearInterval(timer)
          }, 50)
          writer.onClose(() => clearInterval(timer))
        }, { get: true }))
        const transport = yield* connect(client, raw, { idleTimeout: "200 millis" })
        yield* handshake(transport)
        const before = Date.now()
        const messages = yield* Effect.timeout(collect(transport.send(call())), "5 seconds")
        assert.strictEqual(messages.length, 1)
        assert.isAtLeast(Date.now() - before, 550)
        assert.deepStrictEqual(raw.log().slice(2), ["POST tools/call", "GET e1"])
        yield* eventually(() => raw.openResponses() === 0)
      })
  )

  live("idleTimeout: a server held back by a slow consumer is not silent", () =>
    Effect.gen(function*() {
      const { raw, states, transport } = yield* flooded({ idleTimeout: "150 millis" })
      let seen = 0
      const fiber = yield* transport.send(call()).pipe(
        Stream.runForEach(() => ++seen === 1 ? Effect.sleep("400 millis") : Effect.void),
        Effect.fork
      )
      yield* eventually(() => states[0]?.isHeld === true)
      yield* Effect.timeout(Fiber.join(fiber), "10 seconds")
      assert.strictEqual(seen, count + 1)
      assert.deepStrictEqual(raw.log().slice(2), ["POST tools/call"])
    }))

  live("idleTimeout: a POST whose head takes longer is waited for", () =>
    Effect.gen(function*() {
      const raw = yield* rawServer(afterHandshake(({ json, message }) => {
        setTimeout(() => json(answer(message?.id)), 150)
      }))
      const transport = yield* connect(client, raw, { idleTimeout: "50 millis" })
      yield* handshake(transport)
      const got = yield* Effect.timeout(StreamableHttpTransport.request(transport, call(3)), "2 seconds")
      assert.strictEqual(got.id, 3)
    }))
})
