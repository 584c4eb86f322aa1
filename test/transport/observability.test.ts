import { JsonRpc, StreamableHttpTransport, TransportError, TransportEvent } from "@effect-mcp/transport"
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Inspectable from "effect/Inspectable"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as Tracer from "effect/Tracer"
import * as Http from "node:http"
import { inspect } from "node:util"
import { EventHub } from "../../packages/transport/src/internal/eventHub.ts"
import {
  afterHandshake,
  answer,
  call,
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
import { type Exchange, rawServer } from "../support/rawServer.ts"
import { type RecordedSpan, recordSpans } from "../support/recordSpans.ts"
import { connectIn, failureOf, held, recordLogs, soon, watch } from "../support/sessions.ts"

const { notify, request } = StreamableHttpTransport

const ok = (exchange: Exchange): void => exchange.json(answer(exchange.message?.id))

/** Loses the stream of the calls named `resumed` once, and gives the answer to the GET. */
const resumable = (exchange: Exchange): void => {
  if (exchange.method === "GET") {
    return exchange.headers["last-event-id"] === undefined
      ? exchange.status(405)
      : exchange.events().event({ id: "e2", data: answer("resumed") }).end()
  }
  if (exchange.message?.id !== "resumed") return ok(exchange)
  exchange.events().event({ id: "e1", retry: 100, data: progress(1) }).end()
}

/** An event as plain data. */
const plain = (event: TransportEvent.TransportEvent): Record<string, unknown> => {
  const fields: Record<string, unknown> = { ...event }
  for (const [key, value] of Object.entries(fields)) {
    if (Duration.isDuration(value)) fields[key] = Duration.toMillis(value)
    if (Option.isOption(value)) {
      const inner = Option.getOrUndefined(value)
      fields[key] = Redacted.isRedacted(inner) ? Redacted.value(inner) : inner
    }
    if (fields[key] === undefined) delete fields[key]
  }
  return fields
}

overEveryClient("events", (client) => {
  it.scopedLive("S3: they tell what happens on the wire, in order, and end with the transport", () =>
    Effect.gen(function*() {
      const server = yield* rawServer(afterHandshake(resumable, { get: true }))
      const { close, transport } = yield* connectIn(client, server)
      const seen: Array<TransportEvent.TransportEvent> = []
      const watching = yield* Effect.fork(
        Stream.runForEach(transport.events, (event) => Effect.sync(() => void seen.push(event)))
      )
      yield* Effect.sleep("10 millis")
      yield* soon(handshake(transport))
      yield* soon(request(transport, call("resumed")))
      yield* soon(close)
      yield* soon(Fiber.join(watching))
      const stream = { _tag: "Request", id: "resumed", method: "tools/call" }
      const get = { method: "GET", requestId: "resumed" }
      const post = { method: "POST", message: "tools/call", requestId: "resumed" }
      assert.deepStrictEqual(seen.map(plain), [
        { _tag: "RequestSent", method: "POST", message: "initialize", requestId: 0 },
        { _tag: "ResponseReceived", method: "POST", message: "initialize", requestId: 0, status: 200 },
        { _tag: "SessionStarted", sessionId, protocolVersion: "2025-11-25" },
        { _tag: "RequestSent", method: "POST", message: "notifications/initialized" },
        { _tag: "ResponseReceived", method: "POST", message: "notifications/initialized", status: 202 },
        { _tag: "RequestSent", ...post },
        { _tag: "ResponseReceived", ...post, status: 200 },
        { _tag: "StreamOpened", stream },
        { _tag: "StreamBroken", stream, lastEventId: "e1" },
        { _tag: "StreamWaiting", stream, lastEventId: "e1", attempt: 1, delay: 100 },
        { _tag: "RequestSent", ...get, lastEventId: "e1" },
        { _tag: "ResponseReceived", ...get, status: 200 },
        { _tag: "StreamResumed", stream, lastEventId: "e1", attempt: 1 },
        { _tag: "SessionEnded", sessionId, by: "Client" },
        { _tag: "RequestSent", method: "DELETE" },
        { _tag: "ResponseReceived", method: "DELETE", status: 200 }
      ])
    }))

  it.scopedLive("S3: a stream that gives up says with what, and a broken one why", () =>
    Effect.gen(function*() {
      const server = yield* rawServer(afterHandshake((exchange) => {
        if (exchange.method === "GET") return exchange.status(400, "unknown cursor")
        exchange.events().event({ id: "e1", retry: 100, data: "" }).cut()
      }, { get: true }))
      const transport = yield* connect(client, server)
      yield* soon(handshake(transport))
      const seen = yield* watch(transport)
      const error = yield* failureOf(request(transport, call(1)))
      assert(error._tag === "ResumptionError", String(error))
      yield* eventually(() => seen.some(TransportEvent.is("StreamGaveUp")))
      const gaveUp = seen.find(TransportEvent.is("StreamGaveUp"))
      assert.strictEqual(gaveUp?.error, error)
      const broken = seen.find(TransportEvent.is("StreamBroken"))
      assert.instanceOf(broken?.cause, Error)
      assert.strictEqual(seen.filter(TransportEvent.is("StreamWaiting")).length, 1)
      assert.strictEqual(seen.at(-1)?._tag, "StreamGaveUp")
    }))

  it.scopedLive("S3: of the server's own stream, and of a session the server ended", () =>
    Effect.gen(function*() {
      const server = yield* rawServer(afterHandshake((exchange) => {
        if (exchange.method !== "GET") return exchange.status(404)
        return exchange.headers["last-event-id"] === undefined
          ? exchange.events().event({ id: "g1", retry: 100, data: progress(1) }).end()
          : void exchange.events()
      }, { get: true }))
      const transport = yield* connect(client, server)
      yield* soon(handshake(transport))
      const seen = yield* watch(transport)
      yield* Effect.forkScoped(Effect.exit(Stream.runDrain(transport.receive)))
      yield* eventually(() => seen.some(TransportEvent.is("StreamResumed")))
      yield* failureOf(request(transport, call(1)))
      yield* eventually(() => seen.some(TransportEvent.is("SessionEnded")))
      const stream = { _tag: "Server" }
      assert.deepStrictEqual(seen.map(plain).filter((event) => "stream" in event || event._tag === "SessionEnded"), [
        { _tag: "StreamOpened", stream },
        { _tag: "StreamBroken", stream, lastEventId: "g1" },
        { _tag: "StreamWaiting", stream, lastEventId: "g1", attempt: 1, delay: 100 },
        { _tag: "StreamResumed", stream, lastEventId: "g1", attempt: 1 },
        { _tag: "SessionEnded", sessionId, by: "Server" }
      ])
    }))

  it.scopedLive("S23: a replaced session ends before the new one starts", () =>
    Effect.gen(function*() {
      let generation = 0
      const server = yield* rawServer(({ json, message, method, status }) =>
        method === "DELETE"
          ? status(200)
          : json(answer(message?.id, initializeResult), { headers: { "mcp-session-id": `g-${++generation}` } })
      )
      const transport = yield* connect(client, server)
      const seen = yield* watch(transport)
      yield* soon(request(transport, initializeRequest))
      yield* soon(request(transport, initializeRequest))
      yield* eventually(() => seen.filter(TransportEvent.is("SessionStarted")).length === 2)
      assert.deepStrictEqual(seen.map(plain).filter(({ _tag }) => String(_tag).startsWith("Session")), [
        { _tag: "SessionStarted", sessionId: "g-1", protocolVersion: "2025-11-25" },
        { _tag: "SessionEnded", sessionId: "g-1", by: "Client" },
        { _tag: "SessionStarted", sessionId: "g-2", protocolVersion: "2025-11-25" }
      ])
    }))

  it.scopedLive("S3: every listener gets all of them, from when it came", () =>
    Effect.gen(function*() {
      const server = yield* rawServer(afterHandshake(ok))
      const transport = yield* connect(client, server)
      yield* soon(handshake(transport))
      const first = yield* watch(transport)
      const second = yield* watch(transport)
      const left = yield* Effect.fork(collectEvents(transport.events.pipe(Stream.take(1))))
      yield* Effect.sleep("10 millis")
      yield* soon(request(transport, call(1)))
      assert.strictEqual((yield* soon(Fiber.join(left))).length, 1)
      yield* eventually(() => first.length === 2 && second.length === 2)
      yield* soon(request(transport, call(2)))
      yield* eventually(() => first.length === 4 && second.length === 4)
      assert.deepStrictEqual(first.map(plain), second.map(plain))
      const late = yield* watch(transport)
      assert.deepStrictEqual(late, [])
    }))
})

const collectEvents = (events: Stream.Stream<TransportEvent.TransportEvent>) =>
  Effect.map(Stream.runCollect(events), (chunk) => Array.from(chunk))

describe("the hub of events", () => {
  const event = (status: number) =>
    TransportEvent.ResponseReceived({ method: "GET", status, message: undefined, requestId: undefined })

  it.effect("S3: builds nothing when nobody listens", () =>
    Effect.gen(function*() {
      const hub = new EventHub()
      let built = 0
      const emit = () =>
        hub.emit(() => {
          built++
          return event(200)
        })
      emit()
      assert.strictEqual(built, 0)
      const listening = yield* Effect.fork(collectEvents(hub.stream.pipe(Stream.take(1))))
      yield* Effect.yieldNow()
      yield* Effect.yieldNow()
      emit()
      yield* Fiber.join(listening)
      emit()
      assert.strictEqual(built, 1)
    }))

  it.scoped("S3: a listener that does not keep up loses the oldest, and slows nobody", () =>
    Effect.gen(function*() {
      const hub = new EventHub()
      const pull = yield* Stream.toPull(hub.stream)
      const fiber = yield* Effect.fork(pull)
      yield* Effect.yieldNow()
      yield* Effect.yieldNow()
      for (let i = 0; i < 3_000; i++) hub.emit(() => event(i))
      hub.close()
      const taken = Array.from(yield* Fiber.join(fiber))
      for (;;) {
        const more = yield* Effect.option(pull)
        if (Option.isNone(more)) break
        taken.push(...more.value)
      }
      const statuses = taken.flatMap((event) => event._tag === "ResponseReceived" ? [event.status] : [])
      assert.isAtMost(statuses.length, 1_026)
      assert.strictEqual(statuses.at(-1), 2_999)
    }))
})

const endedWith = ({ span }: RecordedSpan): Exit.Exit<unknown, unknown> => {
  assert(span.status._tag === "Ended", `the span ${span.name} has not ended`)
  return span.status.exit
}

const tracedCall = (name: string, send: Effect.Effect<unknown, unknown>) => Effect.withSpan(Effect.exit(send), name)

overEveryClient("spans", (client) => {
  it.scopedLive("S81: one per send, named after its method, a child of the caller's, parent of the HTTP one", () =>
    Effect.gen(function*() {
      const server = yield* rawServer(afterHandshake(ok))
      const { layer, named, spans, text } = recordSpans()
      const transport = yield* connect(client, server, { headers: { authorization: "Bearer bearer-token-1" } })
      yield* soon(
        Effect.gen(function*() {
          yield* handshake(transport)
          yield* tracedCall("direct", request(transport, call(7)))
          yield* tracedCall("streamed", Stream.runDrain(transport.send(call("8"))))
          yield* tracedCall("answering", notify(transport, JsonRpc.success(3, {})))
        }).pipe(Effect.provide(layer))
      )
      yield* eventually(() => spans.every(({ span }) => span.status._tag === "Ended"))
      for (
        const [parent, name, id] of [["direct", "tools/call", "7"], ["streamed", "tools/call", "8"], [
          "answering",
          "response",
          undefined
        ]] as const
      ) {
        const children = spans.filter((span) => span.parent === named(parent)[0]?.span.spanId)
        assert.deepStrictEqual(children.map(({ span }) => span.name), [name])
        const [child] = children
        assert(child !== undefined)
        assert.strictEqual(child.span.kind, "client")
        assert.strictEqual(child.span.attributes.get("mcp.method.name"), name)
        assert.strictEqual(child.span.attributes.get("jsonrpc.request.id"), id)
        assert.isTrue(Exit.isSuccess(endedWith(child)))
        const exchanges = spans.filter((span) => span.parent === child.span.spanId)
        assert.strictEqual(exchanges.length, 1)
        assert.include(exchanges[0]?.span.name, "http.client")
        const sent = server.arrivals.find(({ headers }) =>
          headers.traceparent?.includes(exchanges[0]?.span.spanId ?? "-")
        )
        assert.include(sent?.headers.traceparent, child.span.traceId)
      }
      assert.strictEqual(named("initialize").length, 1)
      assert.strictEqual(named("notifications/initialized").length, 1)
      assert.notInclude(text(), sessionId)
      assert.notInclude(text(), "bearer-token-1")
      const exchange = spans.find(({ span }) => span.attributes.has("http.request.header.mcp-session-id"))
      assert.strictEqual(String(exchange?.span.attributes.get("http.request.header.mcp-session-id")), "<redacted>")
      assert.strictEqual(String(exchange?.span.attributes.get("http.request.header.authorization")), "<redacted>")
    }))

  it.scopedLive("S81: a reconnect is an event of the span, with attempt, cursor and delay", () =>
    Effect.gen(function*() {
      const server = yield* rawServer(afterHandshake(resumable, { get: true }))
      const { layer, named, spans } = recordSpans()
      const transport = yield* connect(client, server)
      yield* soon(
        Effect.zipRight(handshake(transport), request(transport, call("resumed"))).pipe(Effect.provide(layer))
      )
      const [span] = named("tools/call")
      assert.strictEqual(span?.events.length, 1)
      assert.strictEqual(span?.events[0]?.name, "reconnect")
      assert.deepStrictEqual(Object.values(span?.events[0]?.attributes ?? {}), [1, "e1", 100])
      assert.deepStrictEqual(Object.keys(span?.events[0]?.attributes ?? {}).map((key) => key.split(".")[0]), [
        "attempt",
        "cursor",
        "delay"
      ])
      yield* eventually(() => spans.every(({ span }) => span.status._tag === "Ended"))
      const exchanges = spans.filter(({ parent }) => parent === span?.span.spanId).map(({ span }) => span.name)
      assert.deepStrictEqual(exchanges, ["http.client POST", "http.client GET"])
    }))

  it.scopedLive("S81: how a send ended is how its span ended", () =>
    Effect.gen(function*() {
      const waiting = held()
      const server = yield* rawServer(afterHandshake((exchange) => {
        switch (exchange.message?.id) {
          case "status":
            return exchange.status(500)
          case "error":
            return exchange.json({ jsonrpc: "2.0", id: "error", error: { code: -1, message: "no" } })
          case "partly":
            return void exchange.events().event({ data: progress(1) })
          default:
            waiting.hold(exchange)
        }
      }))
      const { layer, named } = recordSpans()
      const transport = yield* connect(client, server)
      yield* soon(
        Effect.gen(function*() {
          yield* handshake(transport)
          const error = yield* failureOf(request(transport, call("status")))
          yield* request(transport, call("error"))
          const fiber = yield* Effect.fork(request(transport, call("held")))
          yield* waiting.take("tools/call")
          yield* Fiber.interrupt(fiber)
          yield* collect(Stream.take(transport.send(call("partly")), 1))
          yield* transport.terminate
          const refused = yield* failureOf(request(transport, call("refused")))
          const of = (id: string) => {
            const span = named("tools/call").find(({ span }) => span.attributes.get("jsonrpc.request.id") === id)
            return span === undefined ? assert.fail(`no span of ${id}`) : endedWith(span)
          }
          assert.deepStrictEqual(of("status"), Exit.fail(error))
          assert.isTrue(Exit.isSuccess(of("error")))
          const interrupted = of("held")
          assert(Exit.isFailure(interrupted) && Cause.isInterrupted(interrupted.cause))
          of("partly")
          assert.deepStrictEqual(of("refused"), Exit.fail(refused))
          assert.strictEqual(named("tools/call").length, 5)
        }).pipe(Effect.provide(layer))
      )
    }))

  it.scopedLive("S81: without a tracer there are no trace headers", () =>
    Effect.gen(function*() {
      const server = yield* rawServer(afterHandshake(resumable, { get: true }))
      const { close, transport } = yield* connectIn(client, server)
      yield* soon(handshake(transport))
      yield* soon(Effect.withSpan(request(transport, call("resumed")), "mine"))
      yield* soon(Effect.withSpan(Stream.runDrain(transport.receive), "mine"))
      yield* soon(close)
      assert.strictEqual(server.arrivals.length, 6)
      for (const { headers } of server.arrivals) {
        assert.isUndefined(headers.traceparent)
        assert.isUndefined(headers.b3)
      }
    }))

  it.scopedLive("S81: a trace from elsewhere is continued without a tracer", () =>
    Effect.gen(function*() {
      const server = yield* rawServer(afterHandshake(ok))
      const transport = yield* connect(client, server)
      yield* soon(handshake(transport))
      const parent = Tracer.externalSpan({ spanId: "1".repeat(16), traceId: "a".repeat(32) })
      yield* soon(Effect.withParentSpan(request(transport, call(1)), parent))
      assert.include(server.arrivals.at(-1)?.headers.traceparent ?? "no header", "a".repeat(32))
    }))
})

overEveryClient("logs", (client) => {
  it.scopedLive("S81: they are annotated, and at debug or warning only", () =>
    Effect.gen(function*() {
      const server = yield* rawServer((exchange) => {
        const { headers, message, method } = exchange
        if (method === "DELETE") return exchange.status(500)
        if (method === "GET" && headers["last-event-id"] === undefined) {
          return void exchange.events().event({ data: "no message" }).event({ id: "g1", data: progress(1) }).end()
        }
        if (method === "GET") {
          return exchange.events().event({ data: answer("resumed") }).event({ data: progress(2) }).end()
        }
        if (message?.method === "initialize") {
          return exchange.json(answer(message.id, {}), { headers: { "mcp-session-id": sessionId } })
        }
        if (message?.id === undefined) return exchange.status(202)
        if (message.id === "resumed") {
          return exchange.events().event({ data: "{" }).event({ data: answer("foreign") }).event({ id: "e1", data: "" })
            .end()
        }
        ok(exchange)
      })
      const { layer, lines } = recordLogs()
      const { close, transport } = yield* Effect.provide(connectIn(client, server), layer)
      yield* Effect.gen(function*() {
        yield* handshake(transport)
        yield* request(transport, call("resumed"))
        yield* collect(Stream.take(transport.receive, 2))
      }).pipe(Effect.provide(layer), soon)
      yield* soon(close)
      const own = lines.filter((line) => !line.includes("Fiber terminated"))
      for (const line of own) {
        assert.match(line, /level=(DEBUG|WARN) /)
        assert.include(line, "package=@effect-mcp/transport")
        assert.include(line, "module=StreamableHttpTransport")
        assert.notInclude(line, sessionId)
      }
      const said = own.join("\n")
      for (
        const what of [
          "protocolVersion",
          "no JSON-RPC message",
          "another request",
          "reconnecting",
          "could not be terminated"
        ]
      ) {
        assert.include(said, what)
      }
    }))

  it.scopedLive("S81: an ordinary session logs nothing", () =>
    Effect.gen(function*() {
      const server = yield* rawServer(afterHandshake(ok))
      const { layer, lines } = recordLogs()
      const { close, transport } = yield* Effect.provide(connectIn(client, server), layer)
      yield* soon(Effect.zipRight(handshake(transport), request(transport, call(1))).pipe(Effect.provide(layer)))
      yield* soon(close)
      assert.deepStrictEqual(lines, [])
    }))
})

const secretId = "sid/7f3a+secret=="
const secretToken = "tok/9b2c+secret=="
const ownToken = "own/4d1e+secret=="
const secrets = [secretId, secretToken, ownToken]

/** The secrets a server knows from this exchange; only some messages carry a token of their own. */
const echoed = ({ headers }: Exchange): string =>
  (headers["x-api-key"] === undefined ? [secretId, secretToken] : secrets).join(" and ")

/** All spellings under which a secret must not appear. */
const spellings = secrets.flatMap((secret) => [secret, secret.replaceAll("/", "\\/"), secret.replaceAll("/", "\\\\/")])

const assertClean = (text: string, where: string): void => {
  for (const secret of spellings) {
    const at = text.indexOf(secret)
    assert(at === -1, `${where} has ${secret}: ${text.slice(Math.max(0, at - 200), at + 60)}`)
  }
}

/** Everything by which an error comes to be seen. */
const printed = (error: TransportError.TransportError): string =>
  [
    String(error),
    error.message,
    error.stack,
    JSON.stringify(error),
    JSON.stringify(Schema.encodeSync(TransportError.TransportError)(error)),
    inspect(error, { depth: 10, showHidden: true }),
    Inspectable.toStringUnknown(error),
    Cause.pretty(Cause.fail(error), { renderErrorCause: true })
  ].join("\n")

const printedEvent = (event: TransportEvent.TransportEvent): string => {
  const { lastEventId: _, ...shown } = Object.assign({ lastEventId: undefined }, event)
  const error = event._tag === "StreamGaveUp" ? printed(event.error) : ""
  return [String(event), JSON.stringify(shown), inspect(shown, { depth: 10, showHidden: true }), error].join("\n")
}

const rpcError = (exchange: Exchange) => ({
  jsonrpc: "2.0",
  id: exchange.message?.id,
  error: {
    code: -32000,
    message: `denied: ${echoed(exchange)}`,
    data: { echoed: echoed(exchange), list: [echoed(exchange)], [secretToken]: 1 }
  }
})

const escaped = (value: unknown): string => JSON.stringify(value).replaceAll("/", "\\/")

/** Where a careless server puts what it was sent; each is named after the id of the call that it answers. */
const echoes: { readonly [id: string]: (exchange: Exchange) => void } = {
  text: (exchange) => exchange.status(500, echoed(exchange)),
  html: (exchange) =>
    exchange.status(200, `<p>${echoed(exchange)}</p>`, { "content-type": `text/html; x="${secretToken}"` }),
  rpc: (exchange) => exchange.json(rpcError(exchange), { status: 401, headers: { "x-echo": echoed(exchange) } }),
  escapedRpc: (exchange) => exchange.json(escaped(rpcError(exchange)), { status: 403 }),
  escapedText: (exchange) => exchange.json(escaped({ echoed: echoed(exchange) }), { status: 500 }),
  challenge: (exchange) => exchange.status(401, "", { "www-authenticate": `Bearer error="${echoed(exchange)}"` }),
  redirect: (exchange) =>
    exchange.status(302, "", { location: `https://elsewhere.example/?a=${secretId}&b=${secretToken}&c=${ownToken}` }),
  badJson: (exchange) => exchange.json(`{"echoed": "${echoed(exchange)}"`),
  badMessage: (exchange) => exchange.json({ echoed: echoed(exchange) }),
  escapedMessage: (exchange) => exchange.json(escaped({ echoed: echoed(exchange) })),
  foreign: (exchange) => exchange.events().event({ data: answer(secretId, echoed(exchange)) }).end(),
  foreignJson: (exchange) => exchange.json(answer(secretToken, echoed(exchange))),
  badEvent: (exchange) => exchange.events().event({ data: `{"echoed": "${echoed(exchange)}"` }).end(),
  cut: (exchange) =>
    exchange.events().event({ id: secretToken, retry: 100, data: `no message ${echoed(exchange)}` }).cut(),
  rejected: ({ events }) => events().event({ id: secretId, retry: 100, data: "" }).end(),
  encoding: (exchange) => exchange.json(echoed(exchange), { headers: { "content-encoding": secretToken } }),
  reset: ({ drop }) => drop(),
  accepted: (exchange) => exchange.status(202, echoed(exchange)),
  busy: (exchange) => exchange.json(rpcError(exchange), { status: 503, headers: { "retry-after": secretToken } }),
  gone: (exchange) => exchange.status(404, echoed(exchange))
}

/** Answers everything with the secret as its reason phrase, which a scripted server leaves to the status. */
const phrasingServer = Effect.acquireRelease(
  Effect.promise(() =>
    new Promise<Http.Server>((resolve) => {
      const server = Http.createServer((request, response) => {
        request.resume()
        response.writeHead(500, secretToken).end()
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

overEveryClient("secrets", (client) => {
  it.scopedLive("S81: no credential is in any log, span, event or error, wherever a server echoes it", () =>
    Effect.gen(function*() {
      const server = yield* rawServer((exchange) => {
        const { headers, message, method } = exchange
        if (method === "DELETE") return exchange.status(500, echoed(exchange), { "x-echo": echoed(exchange) })
        if (method === "GET" && headers["last-event-id"] === undefined) {
          return void exchange.events().event({ data: `no message: ${echoed(exchange)}` }).event({
            id: "g1",
            data: progress(1)
          }).end()
        }
        if (method === "GET") return exchange.status(400, echoed(exchange))
        if (message?.method === "initialize") {
          return exchange.json(answer(message.id, initializeResult), { headers: { "mcp-session-id": secretId } })
        }
        const echo = echoes[String(message?.id)]
        if (echo !== undefined) return echo(exchange)
        return message?.method === "noted" ? exchange.status(500, echoed(exchange)) : exchange.status(202)
      })
      const { layer, lines } = recordLogs()
      const tracing = recordSpans()
      const errors: Array<TransportError.TransportError> = []
      const seen: Array<TransportEvent.TransportEvent> = []
      const { close } = yield* Effect.gen(function*() {
        const headers = { authorization: `Bearer ${secretToken}` }
        const connected = yield* connectIn(client, server, { headers })
        const { transport } = connected
        yield* Effect.forkScoped(
          Stream.runForEach(transport.events, (event) => Effect.sync(() => void seen.push(event)))
        )
        yield* Effect.sleep("10 millis")
        yield* soon(handshake(transport))
        const options = { headers: { "x-api-key": ownToken } }
        const receive = yield* failureOf(Stream.runDrain(transport.receive))
        const noted = yield* failureOf(notify(transport, JsonRpc.notification("noted"), options))
        errors.push(receive, noted)
        for (const id of Object.keys(echoes)) {
          errors.push(yield* failureOf(request(transport, call(id), { ...options, onMessage: () => Effect.void })))
        }
        // The session is gone now: another one is opened, and ended.
        yield* soon(handshake(transport))
        const piped = yield* soon(collect(
          Stream.make<Array<JsonRpc.Message>>(JsonRpc.notification("noted")).pipe(
            StreamableHttpTransport.duplex({ ...transport, receive: Stream.never })
          )
        ))
        assert.deepStrictEqual(piped, [])
        errors.push(yield* failureOf(transport.terminate))
        yield* soon(handshake(transport))
        const session = { sessionId: secretId, protocolVersion: "2025-11-25" }
        const phrased = yield* connect(client, yield* phrasingServer, { headers, session })
        yield* Effect.forkScoped(Stream.runForEach(phrased.events, (event) => Effect.sync(() => void seen.push(event))))
        yield* Effect.sleep("10 millis")
        errors.push(yield* failureOf(request(phrased, call("reason"), options)))
        return connected
      }).pipe(Effect.provide([layer, tracing.layer]))
      yield* soon(close)

      assert.strictEqual(errors.length, Object.keys(echoes).length + 4)
      const names = ["receive", "noted", ...Object.keys(echoes), "terminate", "reason"]
      const leaks: Array<string> = []
      const check = (text: string, where: string): void => {
        try {
          assertClean(text, where)
        } catch (error) {
          leaks.push(String(error))
        }
      }
      for (const [i, error] of errors.entries()) {
        const resumed = error._tag === "ResumptionError"
        const shown = resumed ? [error.message, String(error), error.stack].join("\n") : printed(error)
        check(shown, `the error of ${names[i]} (${error._tag})`)
      }
      for (const line of lines) check(line, "a log line")
      for (const event of seen) {
        if (event._tag === "StreamGaveUp" && event.error._tag === "ResumptionError") continue
        check(printedEvent(event), `an event ${event._tag}`)
      }
      check(tracing.text(), "a span")
      assert.deepStrictEqual(leaks, [])

      // Something was there to leak.
      assert.isAbove(lines.length, 3)
      assert.isAbove(seen.length, 50)
      assert.isAbove(tracing.spans.length, 40)
      assert.include(lines.join("\n"), "<redacted>")
      assert.include(errors.map(({ message }) => message).join("\n"), "<redacted>")
    }))

  it.scopedLive("S81: a short session id takes nothing from the JSON-RPC error of a status", () =>
    Effect.gen(function*() {
      const error = { code: -32001, message: "token expired", data: { session: "1" } }
      const server = yield* rawServer((exchange) => {
        const { message, method } = exchange
        if (method === "DELETE") return exchange.status(200)
        if (message?.method === "initialize") {
          return exchange.json(answer(message.id, initializeResult), { headers: { "mcp-session-id": "1" } })
        }
        exchange.json({ jsonrpc: "2.0", id: message?.id, error }, { status: 401 })
      })
      const transport = yield* connect(client, server)
      yield* soon(request(transport, initializeRequest))
      const failure = yield* failureOf(request(transport, call(1)))
      assert(failure._tag === "HttpStatusError", String(failure))
      assert.strictEqual(failure.error?.code, -32001)
      assert.strictEqual(failure.error?.message, "token expired")
    }))

  it.scopedLive("S81: a connection that cannot be had tells nothing of the request", () =>
    Effect.gen(function*() {
      const { layer, lines } = recordLogs()
      const tracing = recordSpans()
      const session = { sessionId: secretId, protocolVersion: "2025-11-25" }
      const headers = { authorization: `Bearer ${secretToken}` }
      const nobody = yield* Effect.scoped(rawServer(ok))
      const { close, transport } = yield* connectIn(client, nobody, { headers, session }).pipe(
        Effect.provide([layer, tracing.layer])
      )
      const error = yield* failureOf(
        request(transport, call(1), { headers: { "x-api-key": ownToken } }).pipe(Effect.provide([layer, tracing.layer]))
      )
      assert(error._tag === "ConnectionError", String(error))
      assert.strictEqual(error.phase, "Connect")
      assert.strictEqual(error.outcome, "NotExecuted")
      yield* soon(close)
      assertClean(printed(error), "the error")
      assertClean(lines.join("\n"), "a log line")
      assertClean(tracing.text(), "a span")
      assert.strictEqual(lines.filter((line) => line.includes("could not be terminated")).length, 1)
    }))
})
