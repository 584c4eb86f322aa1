import { HttpExchange, JsonRpc, StreamableHttpTransport, type TransportError } from "@effect-mcp/transport"
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Http from "node:http"
import * as Net from "node:net"
import * as Consumers from "node:stream/consumers"
import * as Zlib from "node:zlib"
import {
  afterHandshake,
  answer,
  call,
  clients,
  collect,
  connect,
  eventually,
  handshake,
  initializeRequest,
  initializeResult,
  overEveryClient,
  progress,
  sessionId
} from "../support/harness.ts"
import { type BodyWriter, type Exchange, rawServer } from "../support/rawServer.ts"
import {
  assertError,
  assertSession,
  assertUsable,
  exceptHealthy,
  failure,
  quietly,
  soon,
  ways
} from "../support/sending.ts"

/** Writes a body in one piece, and ends it. */
const write = (body: BodyWriter, bytes: string | Uint8Array): void => {
  body.write(bytes)
  body.end()
}

/** Writes text as fast as the client takes it, until it leaves. */
const flood = (body: BodyWriter, text: string): void => {
  while (body.isOpen() && body.write(text));
  if (body.isOpen()) body.onDrain(() => flood(body, text))
}

/** A server that answers every call with what is set. */
const scripted = () => {
  const state: { text: string | Uint8Array; headers: Record<string, string> } = { text: "", headers: {} }
  const handle = ({ respond }: Exchange): void =>
    write(respond(200, { "content-type": "application/json", ...state.headers }), state.text)
  const set = (text: unknown, headers: Record<string, string> = {}): void => {
    state.text = typeof text === "string" || text instanceof Uint8Array ? text : JSON.stringify(text)
    state.headers = headers
  }
  return { handle, set }
}

const open = (
  client: (typeof clients)[number],
  handle: (exchange: Exchange) => void,
  options?: Partial<StreamableHttpTransport.Options>
) =>
  Effect.gen(function*() {
    const server = yield* rawServer(afterHandshake(exceptHealthy(handle)))
    const transport = yield* connect(client, server, options)
    yield* handshake(transport)
    return { server, transport }
  })

/** Answers `healthy`, and everything else with what is no HTTP, as no scripted server does. */
const noHttpServer = Effect.acquireRelease(
  Effect.promise(() =>
    new Promise<Http.Server>((resolve) => {
      const server = Http.createServer(async (request, response) => {
        const body = await Consumers.text(request)
        if (request.method === "DELETE") response.end()
        else if (!body.includes("\"healthy\"")) request.socket.end("SSH-2.0-OpenSSH_9.6\r\n")
        else response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(answer("healthy")))
      }).listen(0, "127.0.0.1", () => resolve(server))
    })
  ),
  (server) =>
    Effect.sync(() => {
      server.close()
      server.closeAllConnections()
    })
).pipe(Effect.map((server) => {
  const address = server.address()
  return { url: `http://127.0.0.1:${typeof address === "object" ? address?.port : ""}/mcp` }
}))

/** What is delivered before the failure, and the failure. */
const untilFailure = (
  transport: StreamableHttpTransport.Service,
  message: JsonRpc.Request
): Effect.Effect<readonly [ReadonlyArray<JsonRpc.Message>, TransportError.TransportError]> =>
  Effect.suspend(() => {
    const seen: Array<JsonRpc.Message> = []
    const onMessage = (message: JsonRpc.Message) => Effect.sync(() => void seen.push(message))
    return Effect.map(
      failure(StreamableHttpTransport.request(transport, message, { onMessage })),
      (error) => [seen, error] as const
    )
  })

overEveryClient("a JSON answer", (client) => {
  it.scopedLive("S43: the media type decides, in any case and with any parameters", () =>
    Effect.gen(function*() {
      const script = scripted()
      const { transport } = yield* open(client, script.handle)
      for (
        const type of [
          "application/json",
          "application/json; charset=utf-8",
          "application/json;charset=UTF-8",
          "Application/JSON",
          "APPLICATION/JSON ; charset=\"utf-8\"; x=y",
          "application/json;"
        ]
      ) {
        script.set(answer(1), { "content-type": type })
        for (const { run } of ways) {
          assert.deepStrictEqual(yield* soon(run(transport, call(1))), [JsonRpc.success(1, { content: [] })], type)
        }
      }
      for (const type of ["text/event-stream; charset=utf-8", "Text/Event-Stream", "text/event-stream;x=y"]) {
        script.set(`data: ${JSON.stringify(answer(1))}\n\n`, { "content-type": type })
        for (const { run } of ways) {
          assert.deepStrictEqual(yield* soon(run(transport, call(1))), [JsonRpc.success(1, { content: [] })], type)
        }
      }
    }))

  it.scopedLive("S43, S44: a type that only begins alike is refused, and so is none", () =>
    Effect.gen(function*() {
      const script = scripted()
      const { transport } = yield* open(client, script.handle)
      for (
        const type of [
          "application/jsonl",
          "application/json-seq",
          "application/json+x",
          "application/problem+json",
          "application/vnd.mcp+json",
          "text/json",
          "text/event-streamx",
          "text/event",
          "text/html; application/json",
          "x-application/json",
          ""
        ]
      ) {
        script.set(answer(1), { "content-type": type })
        for (const { run } of ways) {
          const error = yield* failure(run(transport, call(1)))
          assertError(error, "ProtocolError", {
            reason: "UnexpectedContentType",
            requestId: 1,
            outcome: "Unknown",
            excerpt: JSON.stringify(answer(1))
          })
        }
      }
      yield* assertUsable(transport, "Active", sessionId)
    }))

  it.scopedLive("S44: no content type at all", () =>
    Effect.gen(function*() {
      const { transport } = yield* open(client, ({ status }) => status(200, JSON.stringify(answer(1))))
      for (const { run } of ways) {
        assertError(yield* failure(run(transport, call(1))), "ProtocolError", {
          reason: "UnexpectedContentType",
          requestId: 1,
          outcome: "Unknown"
        })
      }
      yield* assertUsable(transport, "Active", sessionId)
    }))

  it.scopedLive("S44: a page with status 200 is no answer", () =>
    Effect.gen(function*() {
      const script = scripted()
      const { transport } = yield* open(client, script.handle)
      const page = `<!doctype html><title>Sign in</title>${"<p>padding</p>".repeat(1000)}`
      script.set(page, { "content-type": "text/html" })
      const error = yield* failure(StreamableHttpTransport.request(transport, call(1)))
      assertError(error, "ProtocolError", {
        reason: "UnexpectedContentType",
        requestId: 1,
        outcome: "Unknown",
        excerpt: page.slice(0, 1024)
      })
      assert.include(error.message, "text/html")
      script.set(page)
      assertError(yield* failure(StreamableHttpTransport.request(transport, call(1))), "ProtocolError", {
        reason: "InvalidJson",
        excerpt: page.slice(0, 1024)
      })
      yield* assertUsable(transport, "Active", sessionId)
    }))

  it.scopedLive("S44: a page that never ends is no answer either, and is not read for ever", () =>
    Effect.gen(function*() {
      const { server, transport } = yield* open(
        client,
        ({ respond }) => flood(respond(200, { "content-type": "text/html" }), "z".repeat(64 * 1024))
      )
      assertError(yield* failure(StreamableHttpTransport.request(transport, call(1))), "ProtocolError", {
        reason: "UnexpectedContentType",
        excerpt: "z".repeat(1024)
      })
      yield* eventually(() => server.openResponses() === 0)
      yield* assertUsable(transport, "Active", sessionId)
    }))

  it.scopedLive("S45: a batch delivers everything, the answer last, wherever it stands", () =>
    Effect.gen(function*() {
      const script = scripted()
      const { transport } = yield* open(client, script.handle)
      const question = JsonRpc.request("q", "sampling/createMessage", { messages: [] })
      const batches = [
        [answer(1)],
        [progress(1), question, answer(1)],
        [answer(1), progress(1), question],
        [progress(1), answer(1), question]
      ]
      for (const batch of batches) {
        script.set(batch)
        const others = batch.length === 1 ? [] : [progress(1), question]
        for (const { name, run } of ways) {
          assert.deepStrictEqual(
            yield* soon(run(transport, call(1))),
            [...others, JsonRpc.success(1, { content: [] })],
            `${name} ${JSON.stringify(batch)}`
          )
        }
      }
    }))

  it.scopedLive("S45: an answer to another request in a batch does not settle this one", () =>
    Effect.gen(function*() {
      const script = scripted()
      const { transport } = yield* open(client, script.handle)
      script.set([
        answer(99, { wrong: true }),
        progress(1),
        JsonRpc.error("1", { code: 1, message: "wrong" }),
        answer(1)
      ])
      for (const { run } of ways) {
        assert.deepStrictEqual(yield* soon(run(transport, call(1))), [progress(1), JsonRpc.success(1, { content: [] })])
      }
      script.set([answer(1, { first: true }), answer(1, { second: true })])
      for (const { run } of ways) {
        assert.deepStrictEqual(yield* soon(run(transport, call(1))), [JsonRpc.success(1, { first: true })])
      }
    }).pipe(quietly))

  it.scopedLive("S45, S46: a batch that is none is refused", () =>
    Effect.gen(function*() {
      const script = scripted()
      const { transport } = yield* open(client, script.handle)
      for (const text of ["[]", "[[]]", `[${JSON.stringify(answer(1))}, 1]`, `[${JSON.stringify([answer(1)])}]`]) {
        script.set(text)
        for (const { run } of ways) {
          assertError(yield* failure(run(transport, call(1))), "ProtocolError", {
            reason: "InvalidMessage",
            requestId: 1,
            outcome: "Unknown",
            excerpt: text
          })
        }
      }
      yield* assertUsable(transport, "Active", sessionId)
    }))

  it.scopedLive("S45: id 1 and id \"1\" differ", () =>
    Effect.gen(function*() {
      const script = scripted()
      const { transport } = yield* open(client, script.handle)
      const pairs: ReadonlyArray<readonly [JsonRpc.RequestId, JsonRpc.RequestId]> = [
        [1, "1"],
        ["1", 1],
        [0, ""],
        ["", 0],
        ["a", "A"],
        [1, 2],
        [1.5, "1.5"]
      ]
      for (const [asked, answered] of pairs) {
        script.set(answer(answered))
        for (const { run } of ways) {
          assertError(yield* failure(run(transport, call(asked))), "ProtocolError", {
            reason: "NoResponse",
            requestId: asked,
            outcome: "Unknown",
            excerpt: JSON.stringify(answer(answered))
          })
        }
        script.set(JsonRpc.error(answered, { code: 1, message: "for another" }))
        assertError(yield* failure(StreamableHttpTransport.request(transport, call(asked))), "ProtocolError", {
          reason: "NoResponse",
          requestId: asked
        })
        script.set(answer(asked))
        for (const { run } of ways) {
          assert.deepStrictEqual(yield* soon(run(transport, call(asked))), [JsonRpc.success(asked, { content: [] })])
        }
      }
    }).pipe(quietly))

  it.scopedLive("S45: an error without an id can only be about this request", () =>
    Effect.gen(function*() {
      const script = scripted()
      const { transport } = yield* open(client, script.handle)
      const error = { code: -32700, message: "could not read it", data: [1, null] }
      for (
        const body of [{ jsonrpc: "2.0", id: null, error }, { jsonrpc: "2.0", error }, [{
          jsonrpc: "2.0",
          id: null,
          error
        }]]
      ) {
        script.set(body)
        for (const { run } of ways) {
          assert.deepStrictEqual<unknown>(yield* soon(run(transport, call("x"))), [{ jsonrpc: "2.0", id: "x", error }])
        }
      }
      script.set({ jsonrpc: "2.0", id: null, result: {} })
      assertError(yield* failure(StreamableHttpTransport.request(transport, call())), "ProtocolError", {
        reason: "InvalidMessage"
      })
    }))

  it.scopedLive("S45: JSON that holds no answer is delivered, then the request fails", () =>
    Effect.gen(function*() {
      const script = scripted()
      const { transport } = yield* open(client, script.handle)
      const question = JsonRpc.request("q", "roots/list")
      for (const body of [progress(3), question, [progress(3), question], answer(77)]) {
        script.set(body)
        const [seen, error] = yield* untilFailure(transport, call(4))
        const delivered = (Array.isArray(body) ? body : [body]).filter((message) => !("result" in message))
        assert.deepStrictEqual<ReadonlyArray<unknown>>(seen, delivered)
        assertError(error, "ProtocolError", {
          reason: "NoResponse",
          requestId: 4,
          outcome: "Unknown",
          excerpt: JSON.stringify(body)
        })
        assertError(yield* failure(collect(transport.send(call(4)))), "ProtocolError", { reason: "NoResponse" })
        assertError(yield* failure(StreamableHttpTransport.request(transport, call(4))), "ProtocolError", {
          reason: "NoResponse"
        })
      }
      yield* assertUsable(transport, "Active", sessionId)
    }).pipe(quietly))

  it.scopedLive("S46: what is no JSON, and JSON that is no message, fail that request alone", () =>
    Effect.gen(function*() {
      const script = scripted()
      const { transport } = yield* open(client, script.handle)
      const cases: ReadonlyArray<readonly [string, TransportError.ProtocolError["reason"]]> = [
        ["", "InvalidJson"],
        [" \r\n ", "InvalidJson"],
        ["{", "InvalidJson"],
        ["{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}", "InvalidJson"],
        [`${JSON.stringify(answer(1))}${JSON.stringify(answer(1))}`, "InvalidJson"],
        [`${JSON.stringify(answer(1))}\n${JSON.stringify(answer(1))}\n`, "InvalidJson"],
        [`data: ${JSON.stringify(answer(1))}\n\n`, "InvalidJson"],
        ["undefined", "InvalidJson"],
        ["NaN", "InvalidJson"],
        ["null", "InvalidMessage"],
        ["true", "InvalidMessage"],
        ["0", "InvalidMessage"],
        ["\"text\"", "InvalidMessage"],
        ["{}", "InvalidMessage"],
        [JSON.stringify({ id: 1, result: {} }), "InvalidMessage"],
        [JSON.stringify({ jsonrpc: "1.0", id: 1, result: {} }), "InvalidMessage"],
        [JSON.stringify({ jsonrpc: 2, id: 1, result: {} }), "InvalidMessage"],
        [JSON.stringify({ jsonrpc: "2.0", id: 1 }), "InvalidMessage"],
        [JSON.stringify({ jsonrpc: "2.0", id: true, result: {} }), "InvalidMessage"],
        [JSON.stringify({ jsonrpc: "2.0", id: [1], result: {} }), "InvalidMessage"],
        [JSON.stringify({ jsonrpc: "2.0", id: 1, error: "text" }), "InvalidMessage"],
        [JSON.stringify({ jsonrpc: "2.0", id: 1, error: { code: 1.5, message: "" } }), "InvalidMessage"],
        [JSON.stringify({ jsonrpc: "2.0", id: 1, error: { code: "1", message: "" } }), "InvalidMessage"],
        [JSON.stringify({ jsonrpc: "2.0", id: 1, error: { code: 1 } }), "InvalidMessage"]
      ]
      for (const [text, reason] of cases) {
        script.set(text)
        for (const { name, run } of ways) {
          const error = yield* failure(run(transport, call(1)))
          assert.strictEqual(Reflect.get(error, "reason"), reason, `${name}: ${text}`)
          assertError(error, "ProtocolError", { reason, requestId: 1, outcome: "Unknown", excerpt: text })
        }
      }
      yield* assertUsable(transport, "Active", sessionId)
    }))

  it.scopedLive("S46: a byte order mark and white space around the JSON are no obstacle", () =>
    Effect.gen(function*() {
      const script = scripted()
      const { transport } = yield* open(client, script.handle)
      for (const text of [`\ufeff${JSON.stringify(answer(1))}`, `\r\n\t ${JSON.stringify(answer(1), null, 2)}\r\n`]) {
        script.set(text)
        for (const { run } of ways) {
          assert.deepStrictEqual(yield* soon(run(transport, call(1))), [JsonRpc.success(1, { content: [] })])
        }
      }
    }))

  it.scopedLive("S45: null is a result; false, 0 and empty text, too", () =>
    Effect.gen(function*() {
      const script = scripted()
      const { transport } = yield* open(client, script.handle)
      for (const result of [null, false, 0, "", []]) {
        script.set(answer(1, result))
        for (const { run } of ways) {
          assert.deepStrictEqual(yield* soon(run(transport, call(1))), [JsonRpc.success(1, result)])
        }
      }
    }))

  it.scopedLive("S45: unknown members survive, in the message, its error and its result", () =>
    Effect.gen(function*() {
      const script = scripted()
      const { transport } = yield* open(client, script.handle)
      const messages = [
        {
          jsonrpc: "2.0",
          id: 1,
          result: { a: { b: [null, { c: 1 }] }, _meta: { "x/y": null } },
          extension: { on: true },
          z: null
        },
        { jsonrpc: "2.0", id: 1, error: { code: -1, message: "m", data: null, retryable: true }, extension: [1] }
      ]
      for (const message of messages) {
        const note = { jsonrpc: "2.0", method: "notifications/x", params: { a: null }, extension: 1 }
        script.set([note, message])
        for (const { run } of ways) {
          assert.deepStrictEqual<unknown>(yield* soon(run(transport, call(1))), [note, message])
        }
      }
      script.set(`{"jsonrpc":"2.0","id":1,"result":{"__proto__":{"polluted":true},"constructor":1}}`)
      const answered = yield* soon(StreamableHttpTransport.request(transport, call(1)))
      assert.strictEqual(
        JSON.stringify(answered),
        `{"jsonrpc":"2.0","id":1,"result":{"__proto__":{"polluted":true},"constructor":1}}`
      )
      assert.isUndefined(Reflect.get({}, "polluted"))
    }))

  it.scopedLive("S45: large bodies, in one piece, in many, and cut inside characters", () =>
    Effect.gen(function*() {
      let text = ""
      let pieces = 1
      const { transport } = yield* open(client, ({ respond }) => {
        const body = respond(200, { "content-type": "application/json" })
        const bytes = Buffer.from(text)
        const size = Math.ceil(bytes.length / pieces)
        const next = (from: number): void => {
          if (from >= bytes.length) return body.end()
          body.write(bytes.subarray(from, from + size))
          setImmediate(next, from + size)
        }
        next(0)
      })
      for (const [unit, count] of [["x", 64 * 1024], ["世界 😀 é\u2028", 64 * 1024], ["x", 1024 * 1024]] as const) {
        const result = { text: unit.repeat(count) }
        text = JSON.stringify(answer(1, result))
        for (pieces of [1, 37]) {
          for (const { run } of ways) {
            const [answered] = yield* soon(run(transport, call(1)))
            assert.isTrue(answered !== undefined && JsonRpc.isSuccessResponse(answered))
            assert.strictEqual(
              Reflect.get(Object(Reflect.get(Object(answered), "result")), "text") === result.text,
              true
            )
          }
        }
      }
      text = JSON.stringify(answer(1, { emoji: "😀" }))
      pieces = Buffer.byteLength(text)
      assert.deepStrictEqual(
        yield* soon(StreamableHttpTransport.request(transport, call(1))),
        JsonRpc.success(1, { emoji: "😀" })
      )
    }))

  it.scopedLive("S45: large messages go out whole", () =>
    Effect.gen(function*() {
      const { server, transport } = yield* open(client, ({ json }) => json(answer(1)))
      const text = "世界".repeat(200_000)
      yield* soon(
        StreamableHttpTransport.request(transport, JsonRpc.request(1, "tools/call", { name: "n", arguments: { text } }))
      )
      const sent = server.arrivals.at(-1)
      assert.strictEqual(sent?.headers["content-length"], String(Buffer.byteLength(sent?.body ?? "")))
      assert.isTrue(JSON.parse(sent?.body ?? "").params.arguments.text === text)
    }))

  it.scopedLive("S57: a body that breaks off fails its request, and says the outcome is unknown", () =>
    Effect.gen(function*() {
      const half = JSON.stringify(answer(1)).slice(0, 20)
      const breaks: ReadonlyArray<{ name: string; headers?: Record<string, string>; sent: string }> = [
        { name: "content-length larger than what comes", headers: { "content-length": "500" }, sent: half },
        { name: "closed in the middle", sent: half },
        { name: "all JSON is there, but not the end of the body", sent: JSON.stringify(answer(1)) },
        { name: "nothing but the head", sent: "" }
      ]
      let playing = breaks[0]
      const { server, transport } = yield* open(client, ({ respond }) => {
        const body = respond(200, { "content-type": "application/json", ...playing?.headers })
        body.write(playing?.sent ?? "")
        body.cut()
      })
      for (playing of breaks) {
        for (const { run } of ways) {
          const before = server.arrivals.length
          const error = yield* failure(run(transport, call(1)))
          assertError(error, "ConnectionError", { phase: "Body", requestId: 1, outcome: "Unknown" })
          assert.isDefined(Reflect.get(error, "cause"), playing.name)
          assert.strictEqual(
            server.arrivals.length,
            before + 1,
            `${playing.name}: no POST is repeated, nothing is resumed`
          )
          yield* assertUsable(transport, "Active", sessionId)
        }
      }
    }))

  it.scopedLive("S46: over maxMessageSize, announced or not", () =>
    Effect.gen(function*() {
      const limit = 10_000
      let announced = true
      let size = 0
      let written = 0
      const { server, transport } = yield* open(client, ({ respond }) => {
        const empty = JSON.stringify(answer(1, ""))
        const text = JSON.stringify(answer(1, "x".repeat(size - empty.length)))
        const length = announced ? { "content-length": String(text.length) } : {}
        const body = respond(200, { "content-type": "application/json", ...length })
        const pieces = text.match(/.{1,4000}/gs) ?? []
        const next = (): void => {
          const piece = pieces.shift()
          if (!body.isOpen()) return
          if (piece === undefined) return body.end()
          written += piece.length
          if (body.write(piece)) setImmediate(next)
          else body.onDrain(next)
        }
        next()
      }, { maxMessageSize: limit })
      for (announced of [true, false]) {
        for (size of [limit + 1, 100 * limit]) {
          for (const { run } of ways) {
            written = 0
            const error = yield* failure(run(transport, call(1)))
            assertError(error, "MessageTooLarge", { limit, requestId: 1, outcome: "Unknown" })
            yield* assertUsable(transport, "Active", sessionId)
          }
        }
        for (const { run } of ways) {
          size = limit
          const [answered] = yield* soon(run(transport, call(1)))
          assert.isTrue(JsonRpc.isSuccessResponse(answered), "a message of exactly the limit is not too large")
        }
      }
      yield* eventually(() => server.openResponses() === 0)
    }))

  it.scopedLive("S46: over maxMessageSize and without end", () =>
    Effect.gen(function*() {
      const { server, transport } = yield* open(client, ({ respond }) => {
        flood(respond(200, { "content-type": "application/json" }), "[".repeat(64 * 1024))
      }, { maxMessageSize: 100_000 })
      for (const { run } of ways) {
        assertError(yield* failure(run(transport, call(1))), "MessageTooLarge", { limit: 100_000, requestId: 1 })
        yield* eventually(() => server.openResponses() === 0)
      }
      yield* assertUsable(transport, "Active", sessionId)
    }))

  it.scopedLive("S45: interrupting while the body comes closes the connection", () =>
    Effect.gen(function*() {
      const { server, transport } = yield* open(client, ({ respond }) => {
        respond(200, { "content-type": "application/json" }).write("{")
      })
      for (const { run } of ways) {
        const fiber = yield* Effect.fork(run(transport, call(1)))
        yield* eventually(() => server.openResponses() === 1)
        yield* soon(fiber.interruptAsFork(fiber.id()).pipe(Effect.zipRight(fiber.await)))
        yield* eventually(() => server.openResponses() === 0)
      }
      yield* assertUsable(transport, "Active", sessionId)
    }))

  it.scopedLive("S44: an answer that lies about its encoding, or names one nobody knows", () =>
    Effect.gen(function*() {
      const script = scripted()
      const { transport } = yield* open(client, script.handle)
      script.set(answer(1), { "content-encoding": "identity" })
      for (const { run } of ways) {
        assert.deepStrictEqual(yield* soon(run(transport, call(1))), [JsonRpc.success(1, { content: [] })])
      }
      script.set(Uint8Array.from([0x28, 0xb5, 0x2f, 0xfd, 0, 1, 2, 3]), { "content-encoding": "x-unknown" })
      for (const { run } of ways) {
        assertError(yield* failure(run(transport, call(1))), "ProtocolError", {
          reason: "ContentEncoding",
          requestId: 1,
          outcome: "Unknown"
        })
      }
      yield* assertUsable(transport, "Active", sessionId)
    }))

  it.scopedLive("S37: nobody listens: NotExecuted", () =>
    Effect.gen(function*() {
      const server = yield* rawServer(() => {})
      const port = yield* Effect.promise(() =>
        new Promise<number>((resolve) => {
          const probe = Net.createServer().listen(0, "127.0.0.1", () => {
            const address = probe.address()
            probe.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0))
          })
        })
      )
      for (const url of [`http://127.0.0.1:${port}/mcp`, `http://localhost:${port}/mcp`]) {
        const transport = yield* connect(client, server, { url })
        for (const { run } of ways) {
          const error = yield* failure(run(transport, call(1)))
          assertError(error, "ConnectionError", { phase: "Connect", requestId: 1, outcome: "NotExecuted" })
          assert.isDefined(Reflect.get(error, "cause"))
        }
        assertError(
          yield* failure(StreamableHttpTransport.notify(transport, JsonRpc.notification("notifications/x"))),
          "ConnectionError",
          { phase: "Connect", outcome: "NotExecuted", requestId: undefined }
        )
        yield* assertSession(transport, "Idle")
      }
      assert.deepStrictEqual(server.log(), [])
    }))

  it.scopedLive("S37: the connection is lost before the head: Unknown, and not sent again", () =>
    Effect.gen(function*() {
      const { server, transport } = yield* open(client, ({ drop }) => drop())
      for (const { run } of ways) {
        const before = server.arrivals.length
        const error = yield* failure(run(transport, call(1)))
        assertError(error, "ConnectionError", { phase: "Response", requestId: 1, outcome: "Unknown" })
        assert.strictEqual(server.arrivals.length, before + 1)
        yield* assertUsable(transport, "Active", sessionId)
      }
      assertError(yield* failure(StreamableHttpTransport.notify(transport, progress(1))), "ConnectionError", {
        phase: "Response",
        outcome: "Unknown"
      })
      yield* assertUsable(transport, "Active", sessionId)
    }))

  it.scopedLive("S37: what answers is no HTTP", () =>
    Effect.gen(function*() {
      const server = yield* noHttpServer
      const transport = yield* connect(client, server, { session: { sessionId, protocolVersion: "2025-11-25" } })
      assertError(yield* failure(StreamableHttpTransport.request(transport, call(1))), "ConnectionError", {
        phase: "Response",
        requestId: 1,
        outcome: "Unknown"
      })
      yield* assertUsable(transport, "Active", sessionId)
    }))

  it.scopedLive("S24, S46: a broken answer to initialize opens no version and hurts nothing", () =>
    Effect.gen(function*() {
      let text = "{"
      const server = yield* rawServer(
        exceptHealthy(({ json, method, status }) => method === "POST" ? json(text) : status(405))
      )
      const transport = yield* connect(client, server)
      assertError(yield* failure(StreamableHttpTransport.request(transport, initializeRequest)), "ProtocolError", {
        reason: "InvalidJson",
        requestId: 0
      })
      yield* assertUsable(transport, "Idle")
      text = JSON.stringify(answer(0, initializeResult))
      yield* soon(StreamableHttpTransport.request(transport, initializeRequest))
      yield* assertUsable(transport, "Active")
    }))
})

const [fetch, undici] = clients

it.scopedLive("fetch inflates: an answer, and an error body", () =>
  Effect.gen(function*() {
    if (fetch === undefined) return assert.fail("no fetch client")
    let status = 200
    const { transport } = yield* open(fetch, ({ respond }) => {
      const text = JSON.stringify(status === 200 ? answer(1) : JsonRpc.error(null, { code: 7, message: "no" }))
      const body = respond(status, { "content-type": "application/json", "content-encoding": "gzip" })
      write(body, Zlib.gzipSync(text))
    })
    for (const { run } of ways) {
      status = 200
      assert.deepStrictEqual(yield* soon(run(transport, call(1))), [JsonRpc.success(1, { content: [] })])
      status = 400
      assert.deepStrictEqual(yield* soon(run(transport, call(1))), [JsonRpc.error(1, { code: 7, message: "no" })])
    }
  }))

it.scopedLive("fetch inflates, and maxMessageSize counts what comes out: a gzip bomb is MessageTooLarge", () =>
  Effect.gen(function*() {
    if (fetch === undefined) return assert.fail("no fetch client")
    const bomb = Zlib.gzipSync(JSON.stringify(answer(1, "0".repeat(50 * 1024 * 1024))))
    assert.isBelow(bomb.length, 100_000)
    const { server, transport } = yield* open(fetch, ({ respond }) => {
      const headers = { "content-type": "application/json", "content-encoding": "gzip" }
      write(respond(200, { ...headers, "content-length": String(bomb.length) }), bomb)
    }, { maxMessageSize: 1024 * 1024 })
    for (const { run } of ways) {
      assertError(yield* failure(run(transport, call(1))), "MessageTooLarge", {
        limit: 1024 * 1024,
        requestId: 1,
        outcome: "Unknown"
      })
    }
    yield* eventually(() => server.openResponses() === 0)
    yield* assertUsable(transport, "Active", sessionId)
  }))

it.scopedLive("fetch: a compressed length over maxMessageSize is no reason, an inflated body under it is", () =>
  Effect.gen(function*() {
    if (fetch === undefined) return assert.fail("no fetch client")
    const plain = JSON.stringify(answer(1, "a"))
    const { transport } = yield* open(fetch, ({ respond }) => {
      const packed = Zlib.gzipSync(plain, { level: 0 })
      const headers = { "content-type": "application/json", "content-encoding": "gzip" }
      write(respond(200, { ...headers, "content-length": String(packed.length) }), packed)
    }, { maxMessageSize: Buffer.byteLength(JSON.stringify(answer(0, initializeResult))) })
    assert.deepStrictEqual(yield* soon(StreamableHttpTransport.request(transport, call(1))), JsonRpc.success(1, "a"))
  }))

it.scopedLive("undici does not inflate: every compression is named, never taken for bad JSON", () =>
  Effect.gen(function*() {
    if (undici === undefined) return assert.fail("no undici client")
    const script = scripted()
    const { server, transport } = yield* open(undici, script.handle)
    const text = JSON.stringify(answer(1, { text: "some words, some more words, and some more words" }))
    const packed = { gzip: Zlib.gzipSync(text), deflate: Zlib.deflateSync(text), br: Zlib.brotliCompressSync(text) }
    for (const [encoding, body] of Object.entries(packed)) {
      script.set(body, { "content-encoding": encoding })
      for (const { run } of ways) {
        const error = yield* failure(run(transport, call(1)))
        assertError(error, "ProtocolError", { reason: "ContentEncoding", requestId: 1, outcome: "Unknown" })
        assert.include(error.message, encoding)
      }
      script.set(body, { "content-encoding": encoding, "content-type": "text/event-stream" })
      for (const { run } of ways) {
        assertError(yield* failure(run(transport, call(1))), "ProtocolError", {
          reason: "ContentEncoding",
          requestId: 1,
          outcome: "Unknown"
        })
      }
    }
    assert.strictEqual(server.arrivals.at(-1)?.headers["accept-encoding"], "identity")
    yield* assertUsable(transport, "Active", sessionId)
  }))

it.scopedLive("HttpExchange.layerFetch asks for the compressions that fetch undoes, and undoes them", () =>
  Effect.gen(function*() {
    const server = yield* rawServer(afterHandshake(({ headers, message, respond }) => {
      const text = JSON.stringify(answer(message?.id, headers["accept-encoding"]))
      write(respond(200, { "content-type": "application/json", "content-encoding": "gzip" }), Zlib.gzipSync(text))
    }))
    yield* Effect.gen(function*() {
      const transport = yield* StreamableHttpTransport.makeExchange({ url: server.url })
      yield* handshake(transport)
      const answered = yield* soon(StreamableHttpTransport.request(transport, call(1)))
      assert.isTrue(JsonRpc.isSuccessResponse(answered))
      assert.include(JSON.stringify(answered), "gzip")
    }).pipe(Effect.scoped, Effect.provide(HttpExchange.layerFetch()))
  }))
