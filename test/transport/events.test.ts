import { HttpExchange, JsonRpc, StreamableHttpTransport } from "@effect-mcp/transport"
import * as Headers from "@effect/platform/Headers"
import { assert, describe } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
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
import { clocked, live } from "../support/quiet.ts"
import { type Exchange, rawServer } from "../support/rawServer.ts"
import { scripted, sse } from "../support/scriptedTransport.ts"

const serverRequest = (id: JsonRpc.RequestId) => JsonRpc.request(id, "sampling/createMessage", { messages: [] })

const done = (id: JsonRpc.RequestId) => JsonRpc.success(id, { content: [] })

/** Takes what a send emits and the tokens it announces into one list, in the order in which they come. */
const recorded = (
  transport: StreamableHttpTransport.Service,
  request: JsonRpc.Request = call()
): Effect.Effect<ReadonlyArray<unknown>, Error> =>
  Effect.gen(function*() {
    const seen: Array<unknown> = []
    yield* transport.send(request, {
      onResumptionToken: (token) => Effect.sync(() => seen.push(`token ${token}`))
    }).pipe(Stream.runForEach((message) => Effect.sync(() => seen.push(message))))
    return seen
  })

/** The second call on a transport gets a plain answer. */
const healthy = (transport: StreamableHttpTransport.Service) =>
  Effect.gen(function*() {
    const again = yield* StreamableHttpTransport.request(transport, JsonRpc.request("again", "ping")).pipe(
      Effect.timeout("2 seconds")
    )
    assert.deepStrictEqual(again, { jsonrpc: "2.0", id: "again", result: {} })
    assert.strictEqual((yield* transport.session)._tag, "Active")
  })

const server = (handle: (exchange: Exchange) => void, options?: { readonly get?: boolean }) =>
  rawServer(afterHandshake((exchange) => {
    if (exchange.message?.method === "ping") return exchange.json(answer(exchange.message.id, {}))
    handle(exchange)
  }, options))

overEveryClient("events of a request's stream", (client) => {
  const opened = (handle: (exchange: Exchange) => void, options?: { readonly get?: boolean }) =>
    Effect.gen(function*() {
      const raw = yield* server(handle, options)
      const transport = yield* connect(client, raw)
      yield* handshake(transport)
      return { raw, transport }
    })

  live("S47: events of other names are skipped, but their id and retry count", () =>
    Effect.gen(function*() {
      const { raw, transport } = yield* opened(({ events, method }) => {
        if (method === "GET") return events().event({ id: "e2", data: done(1) }).end()
        events()
          .event({ event: "ping", data: done(1) })
          .event({ event: "Message", data: progress(0) })
          .event({ event: "endpoint", id: "e1", retry: 130, data: "not json" })
          .event({ event: "message", data: progress(1) })
          .end()
      }, { get: true })
      const before = Date.now()
      const seen = yield* recorded(transport).pipe(Effect.timeout("2 seconds"))
      assert.deepStrictEqual(seen, ["token e1", progress(1), done(1), "token e2"])
      assert.deepStrictEqual(raw.log().slice(2), ["POST tools/call", "GET e1"])
      assert.isAtLeast(Date.now() - before, 125)
      yield* healthy(transport)
    }))

  live("S48: events with an id and no data announce the id and deliver nothing", () =>
    Effect.gen(function*() {
      const { transport } = yield* opened(({ events }) => {
        events()
          .event({ id: "p1", data: "" })
          .raw("id: p2\n\n")
          .raw("event: message\nid: p3\ndata\n\n")
          .event({ id: "p4", data: progress(1) })
          .event({ data: done(1) })
          .end()
      })
      assert.deepStrictEqual(yield* recorded(transport), [
        "token p1",
        "token p2",
        "token p3",
        progress(1),
        "token p4",
        done(1)
      ])
      yield* healthy(transport)
    }))

  live("S49: a token is announced after its message, when the next element is asked for", () =>
    Effect.gen(function*() {
      const { transport } = yield* opened(({ events }) => {
        events()
          .event({ id: "e1", data: progress(1) })
          .event({ id: "e2", data: progress(2) })
          .event({ data: progress(3) })
          .event({ id: "e4", data: done(1) })
          .end()
      })
      assert.deepStrictEqual(yield* recorded(transport), [
        progress(1),
        "token e1",
        progress(2),
        "token e2",
        progress(3),
        done(1),
        "token e4"
      ])

      const tokens: Array<string> = []
      const onResumptionToken = (token: string) => Effect.sync(() => tokens.push(token))
      yield* Effect.scoped(Effect.gen(function*() {
        const pull = yield* Stream.toPull(transport.send(call(), { onResumptionToken }))
        assert.deepStrictEqual(Chunk.toReadonlyArray(yield* pull), [progress(1)])
        yield* Effect.sleep("30 millis")
        assert.deepStrictEqual(tokens, [])
        assert.deepStrictEqual(Chunk.toReadonlyArray(yield* pull), [progress(2)])
        assert.deepStrictEqual(tokens, ["e1"])
      }))
      yield* Effect.sleep("20 millis")
      assert.deepStrictEqual(tokens, ["e1"])

      tokens.length = 0
      yield* transport.send(call(), { onResumptionToken }).pipe(Stream.take(1), Stream.runDrain)
      assert.deepStrictEqual(tokens, [])
      yield* healthy(transport)
    }))

  live("S49: `request` announces in the same order, between its messages", () =>
    Effect.gen(function*() {
      const { transport } = yield* opened(({ events }) => {
        events().event({ id: "e1", data: progress(1) }).event({ id: "e2", data: progress(2) })
          .event({ id: "e3", data: done(1) }).end()
      })
      const seen: Array<unknown> = []
      const got = yield* StreamableHttpTransport.request(transport, call(), {
        onMessage: (message) => Effect.delay(Effect.sync(() => seen.push(message)), "5 millis"),
        onResumptionToken: (token) => Effect.sync(() => seen.push(`token ${token}`))
      })
      assert.deepStrictEqual(got, done(1))
      assert.deepStrictEqual(seen, [progress(1), "token e1", progress(2), "token e2", "token e3"])
      const tokens: Array<string> = []
      yield* StreamableHttpTransport.request(transport, call(), {
        onResumptionToken: (token) => Effect.sync(() => tokens.push(token))
      })
      assert.deepStrictEqual(tokens, ["e1", "e2", "e3"])
    }))

  live(
    "S54: a token is announced once: keep-alive comments and events without id announce nothing",
    () =>
      Effect.gen(function*() {
        const { transport } = yield* opened(({ events }) => {
          events()
            .event({ id: "e1", data: progress(1) })
            .raw(": ping\n\n: ping\n\n")
            .event({ data: progress(2) })
            .raw(": ping\n\n")
            .event({ data: done(1) })
            .end()
        })
        assert.deepStrictEqual(yield* recorded(transport), [progress(1), "token e1", progress(2), done(1)])
      })
  )

  live("S54: an id that the server repeats on one connection is announced once", () =>
    Effect.gen(function*() {
      const { transport } = yield* opened(({ events }) => {
        events()
          .event({ id: "e1", data: "" })
          .event({ id: "e1", data: "" })
          .event({ id: "e1", event: "ping" })
          .event({ id: "e2", data: done(1) })
          .end()
      })
      assert.deepStrictEqual(yield* recorded(transport), ["token e1", done(1), "token e2"])
    }))

  live(
    "S50: the answer ends the stream at once, and a server that keeps it open is closed within a second",
    () =>
      Effect.gen(function*() {
        const { raw, transport } = yield* opened(({ events }) => {
          events().event({ id: "e1", data: progress(1) }).event({ id: "e2", data: done(1) })
        })
        const before = Date.now()
        const messages = yield* collect(transport.send(call())).pipe(Effect.timeout("2 seconds"))
        assert.deepStrictEqual(messages, [progress(1), done(1)])
        assert.isBelow(Date.now() - before, 500)
        assert.strictEqual(raw.openResponses(), 1)
        yield* eventually(() => raw.openResponses() === 0)
        assert.isBelow(Date.now() - before, 1800)
        assert.deepStrictEqual(raw.log().slice(2), ["POST tools/call"])
        yield* healthy(transport)
      })
  )

  live("S51: a stream that ends by itself after the answer gives its connection back", () =>
    Effect.gen(function*() {
      const connections = new Set<number>()
      const { transport } = yield* opened(({ connection, events, message }) => {
        connections.add(connection)
        const writer = events()
        writer.event({ id: "e1", data: done(Number(message?.id)) })
        setTimeout(() => writer.raw(": bye\n\n").end(), 15)
      })
      for (let id = 1; id <= 4; id++) {
        assert.deepStrictEqual(yield* collect(transport.send(call(id))), [done(id)])
        yield* Effect.sleep("40 millis")
      }
      assert.strictEqual(connections.size, 1)
    }))

  live("S51: an error response ends the stream as an answer, without a reconnect", () =>
    Effect.gen(function*() {
      const failure = { jsonrpc: "2.0", id: 1, error: { code: -32000, message: "no" } }
      const { raw, transport } = yield* opened(({ events }) => {
        events().event({ id: "e1", data: failure }).cut()
      })
      assert.deepStrictEqual(yield* recorded(transport), [failure, "token e1"])
      yield* Effect.sleep("50 millis")
      assert.deepStrictEqual(raw.log().slice(2), ["POST tools/call"])
      yield* healthy(transport)
    }))

  live("S50: what follows the answer is not delivered", () =>
    Effect.gen(function*() {
      const { transport } = yield* opened(({ events }) => {
        events().event({ id: "e1", data: done(1) }).event({ id: "e2", data: progress(9) })
          .event({ id: "e3", data: done(1) }).raw("data: {\n\n").end()
      })
      assert.deepStrictEqual(yield* recorded(transport), [done(1), "token e1"])
    }))

  live("S45, S50: a response to another request is dropped and settles nothing", () =>
    Effect.gen(function*() {
      const { transport } = yield* opened(({ events, message }) => {
        const id = Number(message?.id)
        events().event({ id: "e1", data: done(99) }).event({ id: "e2", data: answer(String(id)) })
          .event({ id: "e3", data: { jsonrpc: "2.0", id: 98, error: { code: 1, message: "other" } } })
          .event({ data: answer(id, { mine: true }) }).end()
      })
      assert.deepStrictEqual(yield* recorded(transport), [
        "token e1",
        "token e2",
        "token e3",
        { jsonrpc: "2.0", id: 1, result: { mine: true } }
      ])
      const sibling = collect(transport.send(call(99)))
      const both = yield* Effect.all([collect(transport.send(call(5))), sibling], { concurrency: 2 })
      assert.deepStrictEqual(both.map((messages) => messages.length), [1, 1])
      yield* healthy(transport)
    }))

  live("S45: only foreign responses, then the end: the request fails by itself", () =>
    Effect.gen(function*() {
      const { raw, transport } = yield* opened(({ events }) => events().event({ data: done(99) }).end())
      const error = yield* collect(transport.send(call())).pipe(Effect.timeout("2 seconds"), Effect.flip)
      assert.strictEqual(error._tag, "ProtocolError")
      assert.deepInclude({ ...error }, { reason: "NoResponse", requestId: 1, outcome: "Unknown" })
      assert.deepStrictEqual(raw.log().slice(2), ["POST tools/call"])
      yield* healthy(transport)
    }))

  live("S46: an error without an id on a request's own stream is its answer", () =>
    Effect.gen(function*() {
      const error = { code: -32700, message: "parse error" }
      const { transport } = yield* opened(({ events, message }) => {
        const id = message?.id === 1 ? { id: null } : {}
        events().event({ data: { jsonrpc: "2.0", ...id, error } }).end()
      })
      assert.deepStrictEqual(yield* collect(transport.send(call(1))), [{ jsonrpc: "2.0", id: 1, error }])
      assert.deepStrictEqual(yield* collect(transport.send(call(2))), [{ jsonrpc: "2.0", id: 2, error }])
    }))

  live("S45: a batch in an event gives its messages in order, the answer last", () =>
    Effect.gen(function*() {
      const { transport } = yield* opened(({ events }) => {
        events().event({ id: "e1", data: [progress(1), serverRequest("s1")] })
          .event({ id: "e2", data: [done(1), progress(2), done(77)] }).end()
      })
      assert.deepStrictEqual(yield* recorded(transport), [
        progress(1),
        serverRequest("s1"),
        "token e1",
        progress(2),
        done(1),
        "token e2"
      ])
      yield* healthy(transport)
    }))

  live("S53: bad data is skipped, its id counts", () =>
    Effect.gen(function*() {
      const { transport } = yield* opened(({ events }) => {
        events()
          .event({ id: "e1", data: "{" })
          .event({ id: "e2", data: "null" })
          .event({ data: "[]" })
          .event({ data: JSON.stringify({ jsonrpc: "1.0", id: 1, result: {} }) })
          .event({ data: "plain text" })
          .event({ id: "e3", data: progress(1) })
          .event({ data: done(1) })
          .end()
      })
      assert.deepStrictEqual(yield* recorded(transport), ["token e1", "token e2", progress(1), "token e3", done(1)])
      yield* healthy(transport)
    }))

  for (const [data, reason] of [["{\"jsonrpc\":", "InvalidJson"], ["{\"hello\":1}", "InvalidMessage"]] as const) {
    live(`S53: bad data and no answer is a ProtocolError: ${reason}`, () =>
      Effect.gen(function*() {
        const { raw, transport } = yield* opened(({ events, message }) => {
          const writer = events().event({ data: progress(1) }).event({ data })
          if (message?.id === 1) writer.end()
          else writer.cut()
        })
        for (const id of [1, 2]) {
          const seen: Array<JsonRpc.Message> = []
          const error = yield* transport.send(call(id)).pipe(
            Stream.runForEach((message) => Effect.sync(() => seen.push(message))),
            Effect.timeout("2 seconds"),
            Effect.flip
          )
          assert.strictEqual(error._tag, "ProtocolError")
          assert.deepInclude({ ...error }, { reason, requestId: id, outcome: "Unknown", excerpt: data })
          assert.deepStrictEqual(seen, [progress(1)])
        }
        assert.deepStrictEqual(raw.log().slice(2), ["POST tools/call", "POST tools/call"])
        yield* healthy(transport)
      }))
  }

  live(
    "S53: bad data and no answer on a stream with ids is a ProtocolError once reconnects are used up",
    () =>
      Effect.gen(function*() {
        const { raw, transport } = yield* opened(({ events, method }) => {
          if (method === "GET") return events().end()
          events().event({ id: "e1", data: "{" }).end()
        }, { get: true })
        const error = yield* collect(transport.send(call())).pipe(Effect.timeout("2 seconds"), Effect.flip)
        assert.strictEqual(error._tag, "ProtocolError")
        assert.deepInclude({ ...error }, { reason: "InvalidJson", requestId: 1, outcome: "Unknown" })
        assert.deepStrictEqual(raw.log().slice(3), ["GET e1", "GET e1", "GET e1"])
        yield* healthy(transport)
      })
  )

  live("S53: bad data does not stand in the way of an answer on a resumed stream", () =>
    Effect.gen(function*() {
      const { transport } = yield* opened(({ events, method }) => {
        if (method === "GET") return events().event({ id: "e2", data: done(1) }).end()
        events().event({ id: "e1", data: "{" }).cut()
      }, { get: true })
      assert.deepStrictEqual(yield* recorded(transport), ["token e1", done(1), "token e2"])
    }))

  live("S53: a callback that dies is a defect of its send and of nothing else", () =>
    Effect.gen(function*() {
      const { raw, transport } = yield* opened(({ events, message }) => {
        const writer = events().event({ id: "e1", data: progress(1) })
        if (message?.id === 3) setTimeout(() => writer.event({ data: done(3) }).end(), 60)
        else writer.event({ id: "e2", data: progress(2) })
      }, { get: true })
      const sibling = yield* Effect.fork(collect(transport.send(call(3))))
      const bug = new Error("a bug of the caller")
      for (
        const run of [
          Effect.asVoid(collect(transport.send(call(1), { onResumptionToken: () => Effect.die(bug) }))),
          Effect.asVoid(
            StreamableHttpTransport.request(transport, call(2), { onResumptionToken: () => Effect.die(bug) })
          ),
          Effect.asVoid(StreamableHttpTransport.request(transport, call(2), { onMessage: () => Effect.die(bug) }))
        ]
      ) {
        const exit = yield* Effect.exit(run.pipe(Effect.timeout("2 seconds")))
        assert.isTrue(Exit.isFailure(exit))
        if (Exit.isFailure(exit)) {
          assert.deepStrictEqual(Cause.dieOption(exit.cause), Option.some(bug))
          assert.isTrue(Option.isNone(Cause.failureOption(exit.cause)))
        }
      }
      yield* eventually(() => raw.openResponses() <= 1)
      assert.deepStrictEqual(yield* sibling, [progress(1), done(3)])
      yield* Effect.sleep("40 millis")
      assert.isFalse(raw.log().some((line) => line.startsWith("GET")))
      yield* healthy(transport)
    }))

  live("S53: a callback that dies on the token of the answer, or of a priming event", () =>
    Effect.gen(function*() {
      const { raw, transport } = yield* opened(({ events, message }) => {
        if (message?.id === 1) return events().event({ id: "e1", data: done(1) }).end()
        events().event({ id: "e1", data: "" })
      }, { get: true })
      for (const id of [1, 2]) {
        const exit = yield* Effect.exit(
          collect(transport.send(call(id), { onResumptionToken: () => Effect.die("bug") })).pipe(
            Effect.timeout("2 seconds")
          )
        )
        assert.isTrue(Exit.isFailure(exit) && Cause.isDie(exit.cause))
      }
      yield* eventually(() => raw.openResponses() === 0)
      assert.isFalse(raw.log().some((line) => line.startsWith("GET")))
      yield* healthy(transport)
    }))

  live(
    "S73, S30: notifications and server requests come in order, each stream has its own",
    () =>
      Effect.gen(function*() {
        const { transport } = yield* opened(({ events, message }) => {
          const writer = events()
          const id = Number(message?.id)
          for (let n = 0; n < 50; n++) {
            writer.event({ data: n % 5 === 0 ? serverRequest(`${id}-${n}`) : progress(id * 1000 + n) })
          }
          writer.event({ data: done(id) }).end()
        })
        const all = yield* Effect.forEach([1, 2, 3, 4], (id) => collect(transport.send(call(id))), {
          concurrency: "unbounded"
        })
        all.forEach((messages, i) => {
          const id = i + 1
          const expected: Array<JsonRpc.Message> = []
          for (let n = 0; n < 50; n++) {
            expected.push(n % 5 === 0 ? serverRequest(`${id}-${n}`) : progress(id * 1000 + n))
          }
          assert.deepStrictEqual(messages, [...expected, done(id)])
        })
      })
  )

  live("S54: messages survive any chunking on the wire", () =>
    Effect.gen(function*() {
      const note = JsonRpc.notification("notifications/message", { data: "\u00e9\u20ac\u{1f600}\u2028 \u2029\u0085" })
      const { transport } = yield* opened(({ events }) => {
        const writer = events()
        const text = `\ufeffid: e1\r\ndata: ${JSON.stringify(note)}\r\n\r\n: c\r\rid: e2\rdata: ${
          JSON.stringify(done(1))
        }\r\r`
        const bytes = new TextEncoder().encode(text)
        let at = 0
        const next = (): void => {
          if (at >= bytes.length) return writer.end()
          writer.raw(bytes.subarray(at, at + 3))
          at += 3
          setImmediate(next)
        }
        next()
      })
      assert.deepStrictEqual(yield* recorded(transport), [note, "token e1", done(1), "token e2"])
    }))

  live("an event over the limit is MessageTooLarge, at once and never resumed", () =>
    Effect.gen(function*() {
      const raw = yield* server(({ events }) => {
        events().event({ id: "e1", data: progress(1) })
          .event({ id: "e2", data: JsonRpc.notification("notifications/message", { data: "x".repeat(3000) }) })
          .event({ data: done(1) })
      }, { get: true })
      const transport = yield* connect(client, raw, { maxMessageSize: 2000 })
      yield* handshake(transport)
      const seen: Array<JsonRpc.Message> = []
      const error = yield* transport.send(call()).pipe(
        Stream.runForEach((message) => Effect.sync(() => seen.push(message))),
        Effect.timeout("2 seconds"),
        Effect.flip
      )
      assert.deepStrictEqual(seen, [progress(1)])
      assert.strictEqual(error._tag, "MessageTooLarge")
      assert.deepInclude({ ...error }, { limit: 2000, requestId: 1, outcome: "Unknown" })
      yield* eventually(() => raw.openResponses() === 0)
      assert.deepStrictEqual(raw.log().slice(2), ["POST tools/call"])
      yield* healthy(transport)
    }))

  live("an endless event is MessageTooLarge, and its connection is closed", () =>
    Effect.gen(function*() {
      const raw = yield* server(({ events }) => {
        const writer = events().raw("data: ")
        const timer = setInterval(() => writer.raw("x".repeat(1000)), 1)
        writer.onClose(() => clearInterval(timer))
      })
      const transport = yield* connect(client, raw, { maxMessageSize: 20_000 })
      yield* handshake(transport)
      const error = yield* collect(transport.send(call())).pipe(Effect.timeout("2 seconds"), Effect.flip)
      assert.strictEqual(error._tag, "MessageTooLarge")
      yield* eventually(() => raw.openResponses() === 0)
      yield* healthy(transport)
    }))
})

describe("events without sockets", () => {
  /** A source that still gives chunks while it is paused, as the contract of `pause` allows: only its end waits. */
  const pushedSource = () => {
    let sink: HttpExchange.Sink | undefined
    let isPaused = false
    let isEnding = false
    let isOver = false
    const chunks: Array<Uint8Array> = []
    const flush = (): void => {
      if (sink === undefined) return
      for (const chunk of chunks.splice(0)) sink.onChunk(chunk)
      if (!isEnding || isPaused || isOver) return
      isOver = true
      sink.onEnd()
    }
    const response: HttpExchange.Response = {
      status: 200,
      headers: Headers.fromInput({ "content-type": "text/event-stream" }),
      read: (given) => {
        sink = given
        queueMicrotask(flush)
      },
      pause: () => {
        isPaused = true
      },
      resume: () => {
        isPaused = false
        queueMicrotask(flush)
      },
      close: () => {
        sink = undefined
      }
    }
    return {
      ...response,
      isPaused: () => isPaused,
      isOver: () => isOver,
      push: (message: JsonRpc.Message): void => {
        chunks.push(new TextEncoder().encode(`data: ${JSON.stringify(message)}\n\n`))
        flush()
      },
      end: (): void => {
        isEnding = true
        flush()
      }
    }
  }

  clocked(
    "S51: a source that was paused when the answer came is resumed, so that its end is seen",
    () =>
      Effect.gen(function*() {
        const source = pushedSource()
        // More than may wait for a consumer that does not ask.
        const large = JsonRpc.notification("notifications/progress", { message: "x".repeat(20_000) })
        const transport = yield* StreamableHttpTransport.makeExchange({
          url: "http://server.test/mcp",
          session: { sessionId: "adopted-session", protocolVersion: "2025-11-25" },
          terminateOnClose: false
        }).pipe(Effect.provideService(HttpExchange.HttpExchange, { open: () => Effect.succeed(source) }))
        const pull = yield* Stream.toPull(transport.send(call()))
        source.push(progress(1))
        assert.deepStrictEqual(Chunk.toReadonlyArray(yield* pull), [progress(1)])
        source.push(large)
        yield* Effect.promise(() => Promise.resolve())
        assert.isTrue(source.isPaused())
        source.push(done(1))
        source.end()
        const rest: Array<JsonRpc.Message> = []
        yield* Effect.forever(Effect.map(pull, (chunk) => rest.push(...chunk))).pipe(Effect.ignore)
        yield* Effect.promise(() => Promise.resolve())
        assert.deepStrictEqual(rest, [large, done(1)])
        assert.isFalse(source.isPaused())
        assert.isTrue(source.isOver())
      })
  )

  live("S49: a replayed event announces nothing, also when its data is bad", () =>
    Effect.gen(function*() {
      const { transport } = yield* scripted(({ method }) =>
        method === "POST"
          ? sse().event({ id: "e1", data: "{" }).event({ id: "e2", retry: 0, data: progress(2) }).end()
          : sse().event({ id: "e1", data: "{" }).event({ id: "e2", data: progress(2) }).event({
            id: "e3",
            data: done(1)
          })
      )
      const seen: Array<unknown> = []
      yield* StreamableHttpTransport.request(transport, call(), {
        onMessage: (message) => Effect.sync(() => seen.push(message)),
        onResumptionToken: (token) => Effect.sync(() => seen.push(token))
      }).pipe(Effect.timeout("2 seconds"))
      assert.deepStrictEqual(seen, ["e1", progress(2), "e2", "e3"])
    }))
})
