import { JsonRpc, StreamableHttpTransport, TransportError } from "@effect-mcp/transport"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Mailbox from "effect/Mailbox"
import * as Stream from "effect/Stream"
import {
  afterHandshake,
  answer,
  call,
  collect,
  connect,
  eventually,
  initializeRequest,
  initializeResult,
  overEveryClient,
  progress,
  sessionId
} from "../support/harness.ts"
import { type EventWriter, type Exchange, rawServer } from "../support/rawServer.ts"
import { arrived, failureOf, held, recordLogs, soon, stateOf } from "../support/sessions.ts"

const { duplex } = StreamableHttpTransport

const initialized = JsonRpc.notification("notifications/initialized")

const ok = (exchange: Exchange): void =>
  exchange.message?.id === undefined || exchange.message.method === undefined
    ? exchange.status(202)
    : exchange.json(answer(exchange.message.id))

const note = (n: number): JsonRpc.Notification => JsonRpc.notification(`note/${n}`)

/** Runs a pipe whose outgoing side is fed by hand; what comes in is kept. */
const pipe = (transport: StreamableHttpTransport.Service) =>
  Effect.gen(function*() {
    const outgoing = yield* Mailbox.make<JsonRpc.Message, string>()
    const incoming: Array<JsonRpc.Message> = []
    const fiber = yield* Effect.forkScoped(
      Mailbox.toStream(outgoing).pipe(
        duplex(transport),
        Stream.runForEach((message) => Effect.sync(() => void incoming.push(message)))
      )
    )
    const send = (...messages: ReadonlyArray<JsonRpc.Message>) => outgoing.offerAll(messages)
    return { outgoing, incoming, fiber, send }
  })

const ids = (messages: ReadonlyArray<JsonRpc.Message>) =>
  messages.map((message) => "id" in message ? message.id : undefined)

overEveryClient("duplex", (client) => {
  it.scopedLive("S31: initialize and initialized hold up what follows, and everything comes out", () =>
    Effect.gen(function*() {
      const waiting = held()
      const server = yield* rawServer((exchange) => {
        const method = exchange.message?.method
        if (method === "initialize" || method === "notifications/initialized") return waiting.hold(exchange)
        if (exchange.method === "GET") return exchange.status(405)
        ok(exchange)
      })
      const transport = yield* connect(client, server)
      const messages = yield* Effect.fork(collect(
        Stream.make<Array<JsonRpc.Message>>(initializeRequest, note(1), initialized, call(1), note(2), call(2)).pipe(
          duplex(transport)
        )
      ))
      const first = yield* waiting.take("initialize")
      yield* Effect.sleep("30 millis")
      assert.deepStrictEqual(server.log(), ["POST initialize"])
      first.json(answer(0, initializeResult), { headers: { "mcp-session-id": sessionId } })
      const second = yield* waiting.take("notifications/initialized")
      yield* Effect.sleep("30 millis")
      assert.deepStrictEqual(server.log().filter((entry) => entry !== "GET"), [
        "POST initialize",
        "POST note/1",
        "POST notifications/initialized"
      ])
      second.status(202)
      const received = yield* soon(Fiber.join(messages))
      assert.deepStrictEqual(new Set(ids(received)), new Set([0, 1, 2]))
      assert.strictEqual(received.length, 3)
      const later = server.arrivals.filter(({ method }) => method === "POST").slice(1)
      assert.isTrue(later.every(({ headers }) => headers["mcp-session-id"] === sessionId))
      assert.isTrue(later.every(({ headers }) => headers["mcp-protocol-version"] === "2025-11-25"))
      assert.isTrue(server.log().includes("POST note/2"))
    }))

  it.scopedLive("S31: notifications and responses arrive in order, each accepted before the next", () =>
    Effect.gen(function*() {
      let open = 0
      let most = 0
      const server = yield* rawServer(({ index, status }) => {
        most = Math.max(most, ++open)
        setTimeout(() => {
          open--
          status(202)
        }, index % 3 === 0 ? 8 : 0)
      })
      const transport = yield* connect(client, server)
      const messages = Array.from(
        { length: 12 },
        (_, i): JsonRpc.Message => i % 3 === 2 ? JsonRpc.success(i, {}) : note(i)
      )
      assert.deepStrictEqual(yield* soon(collect(Stream.fromIterable(messages).pipe(duplex(transport)))), [])
      assert.deepStrictEqual(server.arrivals.map(({ body }) => JSON.parse(body)), messages)
      assert.strictEqual(most, 1)
    }))

  it.scopedLive("S30, S31: a slow notification never holds up a request", () =>
    Effect.gen(function*() {
      const waiting = held()
      const server = yield* rawServer((exchange) =>
        exchange.message?.method === "note/1" ? waiting.hold(exchange) : ok(exchange)
      )
      const transport = yield* connect(client, server)
      const { fiber, incoming, outgoing, send } = yield* pipe(transport)
      yield* send(note(1), note(2), call(1), call(2))
      const slow = yield* waiting.take("note/1")
      yield* eventually(() => incoming.length === 2)
      yield* Effect.sleep("20 millis")
      assert.notInclude(server.log(), "POST note/2")
      slow.status(202)
      yield* arrived(server, "POST note/2")
      yield* outgoing.end
      yield* soon(Fiber.join(fiber))
    }))

  it.scopedLive("S30: requests run concurrently, and answers come as they are given", () =>
    Effect.gen(function*() {
      const waiting = held()
      const server = yield* rawServer(waiting.hold)
      const transport = yield* connect(client, server)
      const { incoming, send } = yield* pipe(transport)
      yield* send(...Array.from({ length: 10 }, (_, i) => call(i)))
      yield* eventually(() => waiting.exchanges.length === 10)
      const expected: Array<JsonRpc.RequestId> = []
      for (const exchange of waiting.exchanges.toReversed()) {
        const id = Number(exchange.message?.id)
        expected.push(id)
        exchange.json(answer(id))
        yield* eventually(() => incoming.length === expected.length)
      }
      assert.deepStrictEqual(ids(incoming), expected)
    }))

  it.scopedLive("S35: a failed request becomes a JSON-RPC error with tag and outcome, and the pipe goes on", () =>
    Effect.gen(function*() {
      const server = yield* rawServer(afterHandshake((exchange) => {
        switch (exchange.message?.id) {
          case "status":
            return exchange.status(500, "broken")
          case "rejected":
            return exchange.status(413)
          case "cut":
            exchange.events().event({ data: progress(1) }).cut()
            return
          case "accepted":
            return exchange.status(202)
          case "bad":
            return exchange.json("{")
          default:
            return ok(exchange)
        }
      }))
      const transport = yield* connect(client, server)
      const { fiber, incoming, outgoing, send } = yield* pipe(transport)
      yield* send(initializeRequest, initialized, ...["status", "rejected", "cut", "accepted", "bad", "ok"].map(call))
      yield* eventually(() => incoming.length === 8)
      const of = (id: string) => incoming.find((message) => JsonRpc.isResponse(message) && message.id === id)
      const expected: ReadonlyArray<readonly [string, string, string]> = [
        ["status", "HttpStatusError", "Unknown"],
        ["rejected", "HttpStatusError", "NotExecuted"],
        ["cut", "ConnectionError", "Unknown"],
        ["accepted", "ProtocolError", "Unknown"],
        ["bad", "ProtocolError", "Unknown"]
      ]
      for (const [id, tag, outcome] of expected) {
        const message = of(id)
        assert(JsonRpc.isErrorResponse(message), id)
        assert.strictEqual(message.error.code, -32000)
        assert.deepStrictEqual(message.error.data, { tag, outcome })
        assert.isNotEmpty(message.error.message)
      }
      assert.deepStrictEqual(of("ok"), { jsonrpc: "2.0", id: "ok", result: { content: [] } })
      assert.deepInclude(incoming, progress(1))
      yield* send(call("later"))
      yield* eventually(() => of("later") !== undefined)
      assert.deepStrictEqual(yield* stateOf(transport), { _tag: "Active", sessionId, version: "2025-11-25" })
      yield* outgoing.end
      yield* soon(Fiber.join(fiber))
    }))

  it.scopedLive("S35, S39: requests of a terminated session are answered with SessionTerminated", () =>
    Effect.gen(function*() {
      const server = yield* rawServer(afterHandshake(({ status }) => status(404)))
      const transport = yield* connect(client, server)
      const { incoming, send } = yield* pipe(transport)
      yield* send(initializeRequest, initialized, call(1))
      yield* eventually(() => incoming.length === 2)
      yield* send(call(2))
      yield* eventually(() => incoming.length === 3)
      for (const message of incoming.slice(1)) {
        assert(JsonRpc.isErrorResponse(message))
        assert.deepStrictEqual(message.error.data, { tag: "SessionTerminated", outcome: "NotExecuted" })
        assert.notInclude(JSON.stringify(message), sessionId)
      }
    }))

  it.scopedLive("S35: a failed notification or response is logged and nothing else", () =>
    Effect.gen(function*() {
      const server = yield* rawServer((exchange) =>
        exchange.message?.id === 1 && exchange.message.method !== undefined ? ok(exchange) : exchange.status(500)
      )
      const transport = yield* connect(client, server)
      const { layer, warnings } = recordLogs()
      const outgoing = Stream.make<Array<JsonRpc.Message>>(note(1), JsonRpc.success("s", {}), note(2), call(1))
      const messages = yield* soon(collect(outgoing.pipe(duplex(transport)))).pipe(Effect.provide(layer))
      assert.deepStrictEqual(messages, [JsonRpc.success(1, { content: [] })])
      assert.strictEqual(warnings().length, 3)
      for (const line of warnings()) {
        assert.include(line, "level=WARN")
        assert.include(line, "HttpStatusError")
        assert.include(line, "@effect-mcp/transport")
      }
      assert.deepStrictEqual(server.log().filter((entry) => entry !== "POST tools/call"), [
        "POST note/1",
        "POST response",
        "POST note/2"
      ])
    }))

  it.scopedLive("S36: when outgoing ends, what is in flight is finished before the pipe ends", () =>
    Effect.gen(function*() {
      const waiting = held()
      const server = yield* rawServer(waiting.hold)
      const transport = yield* connect(client, server)
      const { fiber, incoming, outgoing, send } = yield* pipe(transport)
      yield* send(call(1), call(2), note(1), note(2))
      yield* outgoing.end
      const note1 = yield* waiting.take("note/1")
      const one = yield* waiting.take("tools/call")
      const two = yield* waiting.take("tools/call")
      one.json(answer(one.message?.id))
      const writer = two.events()
      writer.event({ data: progress(1) })
      yield* eventually(() => incoming.length === 2)
      note1.status(202)
      const note2 = yield* waiting.take("note/2")
      yield* Effect.sleep("20 millis")
      assert.strictEqual((yield* Fiber.poll(fiber))._tag, "None")
      note2.status(202)
      writer.event({ data: answer(two.message?.id) }).end()
      yield* soon(Fiber.join(fiber))
      assert.strictEqual(incoming.length, 3)
    }))

  it.scopedLive("S36: an outgoing that is empty ends the pipe", () =>
    Effect.gen(function*() {
      const server = yield* rawServer(afterHandshake(ok))
      const transport = yield* connect(client, server)
      assert.deepStrictEqual(yield* soon(collect(Stream.empty.pipe(duplex(transport)))), [])
      assert.deepStrictEqual(server.log(), [])
    }))

  it.scopedLive("S36: the pipe ends although the server's stream stays open, and closes it", () =>
    Effect.gen(function*() {
      const server = yield* rawServer(afterHandshake((exchange) => {
        if (exchange.method === "GET") return void exchange.events().event({ data: progress(1) })
        ok(exchange)
      }, { get: true }))
      const transport = yield* connect(client, server)
      const { fiber, incoming, outgoing, send } = yield* pipe(transport)
      yield* send(initializeRequest, initialized)
      yield* eventually(() => incoming.length === 2)
      yield* send(call(1))
      yield* outgoing.end
      yield* soon(Fiber.join(fiber))
      yield* eventually(() => server.openResponses() === 0)
      assert.deepStrictEqual(yield* stateOf(transport), { _tag: "Active", sessionId, version: "2025-11-25" })
    }))

  it.scopedLive("S2, S73: requests of the server are answered through the pipe", () =>
    Effect.gen(function*() {
      let stream: EventWriter | undefined
      const answered: Array<unknown> = []
      const server = yield* rawServer(afterHandshake((exchange) => {
        const { message, method } = exchange
        if (method === "GET") {
          stream = exchange.events()
          stream.event({ data: JsonRpc.request("from-server", "roots/list") })
          return
        }
        if (message?.method === undefined) {
          answered.push(message)
          return exchange.status(202)
        }
        // asks on the request's own stream, and answers when it has been told
        const writer = exchange.events().event({ data: JsonRpc.request("in-call", "elicitation/create") })
        const timer = setInterval(() => {
          if (answered.length < 2) return
          clearInterval(timer)
          writer.event({ data: answer(message.id, "asked") }).end()
        }, 5)
      }, { get: true }))
      const transport = yield* connect(client, server)
      const outgoing = yield* Mailbox.make<JsonRpc.Message>()
      const incoming: Array<JsonRpc.Message> = []
      const fiber = yield* Effect.forkScoped(
        Mailbox.toStream(outgoing).pipe(
          duplex(transport),
          Stream.runForEach((message) => {
            incoming.push(message)
            return JsonRpc.isRequest(message)
              ? outgoing.offer(JsonRpc.success(message.id, `to ${message.method}`))
              : Effect.void
          })
        )
      )
      yield* outgoing.offerAll([initializeRequest, initialized, call("c")])
      yield* eventually(() => incoming.some((message) => JsonRpc.isResponse(message) && message.id === "c"))
      yield* outgoing.end
      yield* soon(Fiber.join(fiber))
      const byId = (id: string) => answered.find((message) => Reflect.get(Object(message), "id") === id)
      assert.deepStrictEqual(byId("from-server"), { jsonrpc: "2.0", id: "from-server", result: "to roots/list" })
      assert.deepStrictEqual(byId("in-call"), { jsonrpc: "2.0", id: "in-call", result: "to elicitation/create" })
      assert.strictEqual(answered.length, 2)
    }))

  it.scopedLive("S30: outgoing's failure is the pipe's, and stops what runs", () =>
    Effect.gen(function*() {
      const waiting = held()
      const server = yield* rawServer(waiting.hold)
      const transport = yield* connect(client, server)
      const { fiber, outgoing, send } = yield* pipe(transport)
      yield* send(call(1))
      yield* waiting.take("tools/call")
      yield* outgoing.fail("the program is tired")
      assert.strictEqual(yield* failureOf(Fiber.join(fiber)), "the program is tired")
      yield* eventually(() => server.openResponses() === 0)
    }))

  it.scopedLive("S30, S76: receive's failure is the pipe's, and the transport still works", () =>
    Effect.gen(function*() {
      const server = yield* rawServer(
        afterHandshake((exchange) => exchange.method === "GET" ? exchange.status(403, "not for you") : ok(exchange), {
          get: true
        })
      )
      const transport = yield* connect(client, server)
      const { fiber, send } = yield* pipe(transport)
      yield* send(initializeRequest, initialized)
      const error = yield* failureOf(Fiber.join(fiber))
      assert(error instanceof TransportError.HttpStatusError, String(error))
      assert.strictEqual(error.status, 403)
      assert.strictEqual(error.method, "GET")
      assert.strictEqual((yield* soon(StreamableHttpTransport.request(transport, call("after")))).id, "after")
      assert.deepStrictEqual(yield* stateOf(transport), { _tag: "Active", sessionId, version: "2025-11-25" })
    }))

  it.scopedLive("S30: a server without a stream of its own does not end the pipe", () =>
    Effect.gen(function*() {
      const server = yield* rawServer(afterHandshake(ok))
      const transport = yield* connect(client, server)
      const { fiber, incoming, send } = yield* pipe(transport)
      yield* send(initializeRequest, initialized)
      yield* arrived(server, "GET")
      yield* Effect.sleep("20 millis")
      yield* send(call(1))
      yield* eventually(() => incoming.length === 2)
      assert.strictEqual((yield* Fiber.poll(fiber))._tag, "None")
    }))

  it.scopedLive("S82: interrupting the pipe closes everything it opened, and not the transport", () =>
    Effect.gen(function*() {
      const waiting = held()
      const server = yield* rawServer(afterHandshake((exchange) => {
        if (exchange.method === "GET") return void exchange.events()
        if (exchange.message?.id === "fine") return ok(exchange)
        waiting.hold(exchange)
      }, { get: true }))
      const transport = yield* connect(client, server)
      const { fiber, send } = yield* pipe(transport)
      yield* send(initializeRequest, initialized, call(1), note(1))
      yield* waiting.take("tools/call")
      yield* waiting.take("note/1")
      yield* arrived(server, "GET")
      yield* soon(Fiber.interrupt(fiber))
      yield* eventually(() => server.openResponses() === 0)
      assert.strictEqual((yield* soon(StreamableHttpTransport.request(transport, call("fine")))).id, "fine")
      assert.deepStrictEqual(yield* stateOf(transport), { _tag: "Active", sessionId, version: "2025-11-25" })
    }))

  it.scopedLive("S29: a consumer that stops early closes everything", () =>
    Effect.gen(function*() {
      const server = yield* rawServer((exchange) => void exchange.events().event({ data: progress(1) }))
      const transport = yield* connect(client, server)
      const first = yield* soon(collect(
        Stream.concat(Stream.make(call(1)), Stream.never).pipe(
          duplex(transport),
          Stream.take(1)
        )
      ))
      assert.deepStrictEqual(first, [progress(1)])
      yield* eventually(() => server.openResponses() === 0)
    }))

  it.scopedLive("S34: every message of a busy pipe arrives exactly once and is answered exactly once", () =>
    Effect.gen(function*() {
      const server = yield* rawServer(ok)
      const transport = yield* connect(client, server)
      const outgoing = Array.from({ length: 60 }, (_, i): JsonRpc.Message => i % 3 === 0 ? note(i) : call(i))
      const incoming = yield* soon(collect(Stream.fromIterable(outgoing).pipe(duplex(transport))))
      const byText = (messages: ReadonlyArray<unknown>) => messages.map((message) => JSON.stringify(message)).toSorted()
      assert.deepStrictEqual(byText(server.arrivals.map(({ body }) => JSON.parse(body))), byText(outgoing))
      const requests = outgoing.filter(JsonRpc.isRequest)
      assert.deepStrictEqual(byText(ids(incoming)), byText(ids(requests)))
    }))
})

describe("duplex over any service", () => {
  const double = (service: Partial<StreamableHttpTransport.Service>): StreamableHttpTransport.Service => ({
    send: () => Stream.empty,
    receive: Stream.never,
    session: Effect.succeed({ _tag: "Idle" }),
    events: Stream.empty,
    terminate: Effect.void,
    ...service
  })

  it.live("S30: it takes the transport first or last", () =>
    Effect.gen(function*() {
      const transport = double({
        send: (message) => JsonRpc.isRequest(message) ? Stream.make(JsonRpc.success(message.id, 1)) : Stream.empty
      })
      assert.deepStrictEqual(yield* soon(collect(duplex(Stream.make(call(1)), transport))), [JsonRpc.success(1, 1)])
      assert.deepStrictEqual(yield* soon(collect(duplex(transport)(Stream.make(call(1))))), [JsonRpc.success(1, 1)])
    }))

  it.live("S30: an error without an outcome counts as Unknown", () =>
    Effect.gen(function*() {
      const error = new TransportError.MessageTooLarge({ limit: 5 })
      const [message] = yield* soon(collect(duplex(Stream.make(call(1)), double({ send: () => Stream.fail(error) }))))
      assert(JsonRpc.isErrorResponse(message))
      assert.deepStrictEqual(message, {
        jsonrpc: "2.0",
        id: 1,
        error: { code: -32000, message: error.message, data: { tag: "MessageTooLarge", outcome: "Unknown" } }
      })
    }))

  it.live("S30: a defect of a send is the pipe's defect, and no hang", () =>
    Effect.gen(function*() {
      const exit = yield* soon(Effect.exit(
        collect(duplex(Stream.make(call(1)), double({ send: () => Stream.die("a bug") })))
      ))
      assert.strictEqual(exit._tag, "Failure")
    }))

  it.live("S30: a defect of a notification's send does not hang the pipe", () =>
    Effect.gen(function*() {
      const exit = yield* soon(Effect.exit(
        collect(duplex(Stream.make(note(1), initialized, note(2)), double({ send: () => Stream.die("a bug") })))
      ))
      assert.strictEqual(exit._tag, "Failure")
    }))

  it.live("S29: a slow consumer of the pipe holds back the server's stream", () =>
    Effect.gen(function*() {
      let pulled = 0
      const receive = Stream.range(1, 100_000).pipe(
        Stream.rechunk(1),
        Stream.map((n) => {
          pulled = n
          return progress(n)
        })
      )
      const first = yield* soon(collect(
        duplex(Stream.never, double({ receive })).pipe(
          Stream.tap(() => Effect.sleep("5 millis")),
          Stream.take(3)
        )
      ))
      assert.deepStrictEqual(first, [progress(1), progress(2), progress(3)])
      assert.isBelow(pulled, 200)
    }))
})
