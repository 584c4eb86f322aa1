import { JsonRpc, StreamableHttpTransport } from "@effect-mcp/transport"
import { assert, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
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
  overEveryClient,
  progress,
  sessionId
} from "../support/harness.ts"
import { type Exchange, rawServer } from "../support/rawServer.ts"
import { arrived, failureOf, held, soon, stateOf } from "../support/sessions.ts"

const { notify, request } = StreamableHttpTransport

const active = { _tag: "Active", sessionId, version: "2025-11-25" } as const

const ok = (exchange: Exchange): void => exchange.json(answer(exchange.message?.id, exchange.message?.id))

/** What goes wrong with a call, by its id, and what its caller is to see. */
const troubles: { readonly [trouble: string]: { readonly play: (exchange: Exchange) => void; readonly seen: string } } =
  {
    none: { play: ok, seen: "answered" },
    status: { play: ({ status }) => status(500, "broken"), seen: "HttpStatusError Unknown" },
    busy: { play: ({ status }) => status(429), seen: "HttpStatusError NotExecuted" },
    error: {
      play: ({ json, message }) =>
        json({ jsonrpc: "2.0", id: message?.id, error: { code: -32602, message: "bad arguments" } }),
      seen: "answered with an error"
    },
    cut: {
      play: ({ events }) => events().event({ data: progress(1) }).cut(),
      seen: "ConnectionError Unknown"
    },
    reset: { play: ({ drop }) => drop(), seen: "ConnectionError Unknown" },
    badJson: { play: ({ json }) => json("{\"jsonrpc\":"), seen: "ProtocolError Unknown" },
    badEvent: { play: ({ events }) => events().event({ data: "{" }).end(), seen: "ProtocolError Unknown" },
    accepted: { play: ({ status }) => status(202), seen: "ProtocolError Unknown" },
    html: {
      play: ({ status }) => status(200, "<html>", { "content-type": "text/html" }),
      seen: "ProtocolError Unknown"
    },
    foreign: { play: ({ json }) => json(answer("somebody else's")), seen: "ProtocolError Unknown" },
    large: {
      play: ({ json, message }) => json(answer(message?.id, "x".repeat(5_000))),
      seen: "MessageTooLarge Unknown"
    },
    silent: { play: ({ events }) => void events().event({ data: progress(1) }), seen: "ConnectionError Unknown" },
    resumed: {
      play: ({ events, message }) =>
        events().event({ id: `cursor-${String(message?.id)}`, retry: 100, data: "" }).cut(),
      seen: "answered"
    },
    exhausted: {
      play: ({ events, message }) => events().event({ id: `lost-${String(message?.id)}`, retry: 100, data: "" }).end(),
      seen: "ResumptionError Unknown"
    }
  }

const troubleOf = (id: unknown): string => String(id).split("/")[0] ?? ""

/** Plays the trouble that the id of a call names. */
const troubled = (exchange: Exchange): void => {
  const cursor = exchange.headers["last-event-id"]
  if (typeof cursor === "string") {
    if (!cursor.startsWith("cursor-")) return exchange.status(503)
    const id = cursor.slice("cursor-".length)
    return exchange.events().event({ id: `after-${id}`, data: answer(id, id) }).end()
  }
  if (exchange.message?.id === undefined || exchange.message.method === undefined) return exchange.status(202)
  troubles[troubleOf(exchange.message.id)]?.play(exchange)
}

const outcomeOf = (result: Either.Either<JsonRpc.Response, { readonly _tag: string; readonly outcome?: unknown }>) =>
  Either.match(result, {
    onLeft: (error) => `${error._tag} ${String(error.outcome)}`,
    onRight: (response) => JsonRpc.isErrorResponse(response) ? "answered with an error" : "answered"
  })

overEveryClient("isolation", (client) => {
  it.scopedLive("S30, S35, S37: of many concurrent requests each has its own end, and only its own", () =>
    Effect.gen(function*() {
      const server = yield* rawServer(afterHandshake(troubled, { get: true }))
      const transport = yield* connect(client, server, { idleTimeout: 600, maxMessageSize: 4_000 })
      yield* soon(handshake(transport))
      const names = Object.keys(troubles)
      const ids = Array.from({ length: 60 }, (_, i) => `${names[i % names.length]}/${i}`)
      let settled = 0
      const results = yield* Effect.timeout(
        Effect.forEach(ids, (id, i) => {
          const answered = i % 2 === 0
            ? request(transport, call(id))
            : Effect.flatMap(collect(transport.send(call(id))), (messages) => {
              const responses = messages.filter(JsonRpc.isResponse)
              assert.strictEqual(responses.length, 1, `${id} was answered ${responses.length} times`)
              return Effect.fromNullable(responses[0]).pipe(Effect.orDie)
            })
          return Effect.tap(Effect.either(answered), () => settled++)
        }, { concurrency: "unbounded" }),
        "6 seconds"
      )
      assert.strictEqual(settled, ids.length)
      for (const [i, result] of results.entries()) {
        const id = ids[i]
        assert.strictEqual(outcomeOf(result), troubles[troubleOf(id)]?.seen, id)
        if (Either.isLeft(result)) assert.strictEqual(result.left.requestId, id)
        else assert.strictEqual(result.right.id, id)
        if (Either.isRight(result) && JsonRpc.isSuccessResponse(result.right)) {
          assert.strictEqual(result.right.result, id)
        }
      }
      const posted = server.arrivals.flatMap(({ message }) => typeof message?.id === "string" ? [message.id] : [])
      assert.deepStrictEqual(posted.toSorted(), ids.toSorted())
      assert.deepStrictEqual(yield* stateOf(transport), active)
      assert.strictEqual((yield* soon(request(transport, call("none/later")))).id, "none/later")
      yield* eventually(() => server.openResponses() === 0)
    }))

  for (const [trouble, { seen }] of Object.entries(troubles)) {
    if (trouble === "none" || trouble === "exhausted") continue
    it.scopedLive(`S35, S37: "${trouble}" touches neither another request, nor receive, nor the session`, () =>
      Effect.gen(function*() {
        const waiting = held()
        const server = yield* rawServer(afterHandshake((exchange) => {
          if (exchange.method === "GET" && exchange.headers["last-event-id"] === undefined) {
            const writer = exchange.events().event({ data: progress(1) })
            const timer = setInterval(() => writer.event({ data: progress(2) }), 5)
            return exchange.onClose(() => clearInterval(timer))
          }
          if (exchange.message?.id === "bystander") return waiting.hold(exchange)
          troubled(exchange)
        }, { get: true }))
        const transport = yield* connect(client, server, {
          idleTimeout: trouble === "silent" ? 400 : undefined,
          maxMessageSize: 4_000
        })
        yield* soon(handshake(transport))
        let received = 0
        const receive = yield* Effect.forkScoped(
          Stream.runForEach(transport.receive, () => Effect.sync(() => received++))
        )
        yield* eventually(() => received > 0)
        const bystander = yield* Effect.fork(request(transport, call("bystander")))
        const exchange = yield* waiting.take("tools/call")
        const result = yield* soon(Effect.either(request(transport, call(`${trouble}/x`))))
        assert.strictEqual(outcomeOf(result), seen)
        const before = received
        ok(exchange)
        assert.strictEqual((yield* soon(Fiber.join(bystander))).id, "bystander")
        yield* eventually(() => received > before)
        assert.strictEqual((yield* Fiber.poll(receive))._tag, "None")
        assert.deepStrictEqual(yield* stateOf(transport), active)
        yield* soon(notify(transport, JsonRpc.notification("still/there")))
        assert.strictEqual((yield* soon(request(transport, call("none/after")))).id, "none/after")
        assert.strictEqual(server.log().filter((entry) => entry === "GET").length, 1)
      }))
  }

  it.scopedLive("S29: a consumer that does not take its messages stops no other request", () =>
    Effect.gen(function*() {
      let written = 0
      const filler = "x".repeat(16_000)
      const server = yield* rawServer(afterHandshake((exchange) => {
        if (exchange.message?.id !== "slow") return ok(exchange)
        const writer = exchange.events()
        const write = (): void => {
          while (written < 2_000) {
            written++
            const data = JSON.stringify({ ...progress(written), params: { filler } })
            if (!writer.write(`data: ${data}\n\n`)) return writer.onDrain(write)
          }
          writer.event({ data: answer("slow") }).end()
        }
        write()
      }))
      const transport = yield* connect(client, server)
      yield* soon(handshake(transport))
      const go = yield* Effect.makeSemaphore(0)
      let taken = 0
      const slow = yield* Effect.fork(
        Stream.runForEach(transport.send(call("slow")), () => Effect.zipRight(go.take(1), Effect.sync(() => taken++)))
      )
      yield* eventually(() => written > 5)
      yield* soon(Effect.forEach(Array.from({ length: 10 }, (_, i) => i), (id) => request(transport, call(id)), {
        concurrency: "unbounded"
      }))
      yield* Effect.sleep("50 millis")
      // What is written and not taken lies in the buffers of sockets: a few megabytes, not all thirty.
      assert.isBelow(written, 1_500)
      assert.strictEqual(taken, 0)
      yield* go.release(3_000)
      // Thirty megabytes take their time on a busy machine.
      yield* Effect.timeout(Fiber.join(slow), "10 seconds")
      assert.strictEqual(taken, 2_001)
    }))

  it.scopedLive("S30: interrupting a request that waits for its head closes its connection and nothing else", () =>
    Effect.gen(function*() {
      const waiting = held()
      const server = yield* rawServer(afterHandshake(waiting.hold))
      const transport = yield* connect(client, server)
      yield* soon(handshake(transport))
      const doomed = yield* Effect.fork(request(transport, call("doomed")))
      yield* arrived(server, "POST tools/call")
      const other = yield* Effect.fork(request(transport, call("other")))
      yield* eventually(() => waiting.exchanges.length === 2)
      const of = (id: string) => waiting.exchanges.find(({ message }) => message?.id === id) ?? assert.fail(id)
      const started = performance.now()
      const exit = yield* soon(Fiber.interrupt(doomed))
      assert.isBelow(performance.now() - started, 500)
      assert(Exit.isFailure(exit) && Cause.isInterruptedOnly(exit.cause))
      yield* eventually(() => !of("doomed").isOpen())
      assert.isTrue(of("other").isOpen())
      ok(of("other"))
      assert.strictEqual((yield* soon(Fiber.join(other))).id, "other")
      assert.deepStrictEqual(yield* stateOf(transport), active)
      assert.strictEqual(server.log().filter((entry) => entry === "POST tools/call").length, 2)
    }))

  it.scopedLive("S30: interrupting a request in its stream closes its connection and nothing else", () =>
    Effect.gen(function*() {
      const waiting = held()
      const server = yield* rawServer(afterHandshake(waiting.hold))
      const transport = yield* connect(client, server)
      yield* soon(handshake(transport))
      const seen: Array<JsonRpc.Message> = []
      const keep = (message: JsonRpc.Message) => Effect.sync(() => void seen.push(message))
      const doomed = yield* Effect.fork(Stream.runForEach(transport.send(call("doomed")), keep))
      const first = yield* waiting.take("tools/call")
      const other = yield* Effect.fork(request(transport, call("other"), { onMessage: keep }))
      const second = yield* waiting.take("tools/call")
      first.events().event({ id: "d1", data: progress(1) })
      const writer = second.events().event({ id: "o1", data: progress(2) })
      yield* eventually(() => seen.length === 2)
      yield* soon(Fiber.interrupt(doomed))
      yield* eventually(() => !first.isOpen())
      writer.event({ data: progress(3) }).event({ data: answer("other") }).end()
      assert.strictEqual((yield* soon(Fiber.join(other))).id, "other")
      assert.deepInclude(seen, progress(3))
      yield* Effect.sleep("50 millis")
      assert.notInclude(server.log(), "GET d1")
      assert.deepStrictEqual(yield* stateOf(transport), active)
    }))

  it.scopedLive("S30: interrupting a request between two connections ends its reconnect loop", () =>
    Effect.gen(function*() {
      const server = yield* rawServer(afterHandshake((exchange) => {
        if (exchange.method === "GET") return exchange.status(503)
        if (exchange.message?.id !== "doomed") return ok(exchange)
        exchange.events().event({ id: "d1", retry: 150, data: "" }).end()
      }, { get: true }))
      const transport = yield* connect(client, server)
      yield* soon(handshake(transport))
      const doomed = yield* Effect.fork(request(transport, call("doomed")))
      yield* arrived(server, "POST tools/call")
      yield* Effect.sleep("50 millis")
      yield* soon(Fiber.interrupt(doomed))
      yield* Effect.sleep("200 millis")
      assert.notInclude(server.log(), "GET d1")
      assert.strictEqual((yield* soon(request(transport, call("after")))).id, "after")
    }))

  it.scopedLive("S30: a consumer that stops early closes its own connection at once", () =>
    Effect.gen(function*() {
      const server = yield* rawServer(afterHandshake((exchange) =>
        exchange.message?.id === "endless"
          ? void exchange.events().event({ id: "e1", data: progress(1) })
          : ok(exchange)
      ))
      const transport = yield* connect(client, server)
      yield* soon(handshake(transport))
      assert.deepStrictEqual(yield* soon(collect(Stream.take(transport.send(call("endless")), 1))), [progress(1)])
      yield* eventually(() => server.openResponses() === 0)
      yield* Effect.sleep("30 millis")
      assert.notInclude(server.log(), "GET e1")
      assert.strictEqual((yield* soon(request(transport, call("after")))).id, "after")
    }))

  it.scopedLive("S30: an onMessage that dies is the caller's defect and touches nothing else", () =>
    Effect.gen(function*() {
      const server = yield* rawServer(afterHandshake((exchange) => {
        if (exchange.message?.id !== "defect") return ok(exchange)
        exchange.events().event({ id: "x1", data: progress(1) }).event({ data: answer("defect") }).end()
      }))
      const transport = yield* connect(client, server)
      yield* soon(handshake(transport))
      const exit = yield* soon(Effect.exit(request(transport, call("defect"), { onMessage: () => Effect.die("oops") })))
      assert(Exit.isFailure(exit))
      assert.isTrue(Cause.isDie(exit.cause))
      yield* eventually(() => server.openResponses() === 0)
      assert.strictEqual((yield* soon(request(transport, call("after")))).id, "after")
      assert.notInclude(server.log(), "GET x1")
    }))

  it.scopedLive("S30: every run of the same send is a new exchange", () =>
    Effect.gen(function*() {
      const server = yield* rawServer(afterHandshake(ok))
      const transport = yield* connect(client, server)
      yield* soon(handshake(transport))
      const send = transport.send(call("again"))
      const lazily = request(transport, call("again"))
      yield* Effect.sleep("20 millis")
      assert.strictEqual(server.log().length, 2)
      const runs = yield* soon(Effect.all([collect(send), collect(send), lazily, lazily], { concurrency: "unbounded" }))
      assert.strictEqual(runs.length, 4)
      assert.strictEqual(server.log().filter((entry) => entry === "POST tools/call").length, 4)
    }))

  it.scopedLive("S34, S64: of a hundred concurrent sends every body arrives exactly once", () =>
    Effect.gen(function*() {
      const server = yield* rawServer(
        afterHandshake((exchange) => exchange.message?.id === undefined ? exchange.status(202) : ok(exchange))
      )
      const transport = yield* connect(client, server)
      yield* soon(handshake(transport))
      const messages = Array.from({ length: 100 }, (_, i) =>
        i % 4 === 0
          ? JsonRpc.notification("tick", { n: i, text: `line\n${"é".repeat(i)}` })
          : JsonRpc.request(i, "echo", { n: i, nothing: null }))
      const results = yield* Effect.timeout(
        Effect.forEach(messages, (message) => collect(transport.send(message)), { concurrency: "unbounded" }),
        "5 seconds"
      )
      for (const [i, message] of messages.entries()) {
        assert.deepStrictEqual(results[i], JsonRpc.isRequest(message) ? [JsonRpc.success(message.id, message.id)] : [])
      }
      const bodies = server.arrivals.slice(2).map(({ body }) => body)
      assert.deepStrictEqual(bodies.toSorted(), messages.map((message) => JSON.stringify(message)).toSorted())
    }))

  it.scopedLive("S37: a request that cannot be sent fails alone and reaches nobody", () =>
    Effect.gen(function*() {
      const server = yield* rawServer(afterHandshake(ok))
      const transport = yield* connect(client, server)
      yield* soon(handshake(transport))
      const loop: { self?: unknown } = {}
      loop.self = loop
      for (const params of [{ loop }, { big: 1n }]) {
        const error = yield* failureOf(request(transport, JsonRpc.request("bad", "tools/call", params)))
        assert(error._tag === "ProtocolError", String(error))
        assert.strictEqual(error.reason, "InvalidMessage")
        assert.strictEqual(error.outcome, "NotExecuted")
        assert.strictEqual(error.requestId, "bad")
      }
      const header = yield* failureOf(request(transport, call("h"), { headers: { "x-a": "b\nsecret: c" } }))
      assert(header._tag === "ProtocolError", String(header))
      assert.strictEqual(header.outcome, "NotExecuted")
      assert.notInclude(header.message, "secret")
      assert.strictEqual(server.log().length, 2)
      assert.strictEqual((yield* soon(request(transport, call("after")))).id, "after")
    }))
})
