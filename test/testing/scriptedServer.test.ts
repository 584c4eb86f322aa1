/**
 * One script, two servers: everything here is true of both.
 */
import { ScriptedServer } from "@effect-mcp/testing"
import { JsonRpc, StreamableHttpTransport } from "@effect-mcp/transport"
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import { assert, describe, it } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"

type Both = ScriptedServer.ScriptedServer | HttpClient.HttpClient

const kinds: ReadonlyArray<{ name: string; layer: (script: ScriptedServer.Script) => Layer.Layer<Both> }> = [
  { name: "without sockets", layer: ScriptedServer.layerHttpClient },
  {
    name: "on loopback",
    layer: (script) => Layer.merge(ScriptedServer.layerLoopback(script), FetchHttpClient.layer)
  }
]

const soon = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.timeoutFail(effect, { duration: "5 seconds", onTimeout: () => new Error("took longer than five seconds") })

const post = (message: unknown) =>
  Effect.gen(function*() {
    const { url } = yield* ScriptedServer.ScriptedServer
    const client = yield* HttpClient.HttpClient
    return yield* client.execute(HttpClientRequest.bodyUnsafeJson(HttpClientRequest.post(url), message))
  })

const get = (lastEventId: string) =>
  Effect.gen(function*() {
    const { url } = yield* ScriptedServer.ScriptedServer
    const client = yield* HttpClient.HttpClient
    return yield* client.execute(HttpClientRequest.get(url, { headers: { "last-event-id": lastEventId } }))
  })

const call = JsonRpc.request(7, "tools/call", { name: "work" })
const note = (n: number) => JsonRpc.notification("notifications/progress", { progress: n })

/** The text of a body, as far as it comes, and whether it broke. */
const read = (response: Effect.Effect.Success<ReturnType<typeof post>>) =>
  Effect.gen(function*() {
    let text = ""
    const exit = yield* Effect.either(Stream.runForEach(Stream.decodeText(response.stream), (part) =>
      Effect.sync(() => {
        text += part
      })))
    return { text, isBroken: Either.isLeft(exit) }
  })

const connect = Effect.gen(function*() {
  const { url } = yield* ScriptedServer.ScriptedServer
  return yield* StreamableHttpTransport.make({ url, reconnect: Schedule.spaced("10 millis") })
})

const open = Effect.gen(function*() {
  const transport = yield* connect
  yield* StreamableHttpTransport.request(
    transport,
    JsonRpc.request(0, "initialize", { protocolVersion: "2025-06-18", capabilities: {} })
  )
  yield* StreamableHttpTransport.notify(transport, JsonRpc.notification("notifications/initialized"))
  return transport
})

describe.each(kinds)("ScriptedServer $name", ({ layer }) => {
  const live = <A, E>(
    name: string,
    script: ScriptedServer.Script,
    body: Effect.Effect<A, E, Both | Scope.Scope>
  ) =>
    it.scopedLive(
      name,
      () => soon(Effect.flatMap(Layer.build(layer(script)), (context) => Effect.provide(body, context)))
    )

  live(
    "json, status, headers and delay are what the script says",
    [
      ScriptedServer.on({ requestId: 7 }, ScriptedServer.result({ ok: true }, { delay: "5 millis" })),
      ScriptedServer.on({ requestId: 8 }, ScriptedServer.status(418, { headers: { "x-a": "b" }, text: "teapot" })),
      ScriptedServer.on({ requestId: 9 }, ScriptedServer.json([1], { status: 201 })),
      ScriptedServer.on({ requestId: 10 }, ScriptedServer.status(204))
    ],
    Effect.gen(function*() {
      const ok = yield* post(call)
      assert.deepStrictEqual(yield* ok.json, { jsonrpc: "2.0", id: 7, result: { ok: true } })
      assert.strictEqual(ok.headers["content-type"], "application/json")
      const teapot = yield* post({ ...call, id: 8 })
      assert.deepStrictEqual([teapot.status, teapot.headers["x-a"], yield* teapot.text], [418, "b", "teapot"])
      const created = yield* post({ ...call, id: 9 })
      assert.deepStrictEqual([created.status, yield* created.json], [201, [1]])
      assert.strictEqual((yield* post({ ...call, id: 10 })).status, 204)
    })
  )

  live(
    "events are written in order, each field in its place; the answer takes the id of the request",
    [ScriptedServer.on(
      {},
      ScriptedServer.events([
        ScriptedServer.comment("hello"),
        ScriptedServer.event({ event: "message", id: "e1", retry: 10, data: { a: 1 } }),
        ScriptedServer.event({ data: "two\nlines" }),
        ScriptedServer.pause("5 millis"),
        ScriptedServer.bytes("data: raw\n\n"),
        ScriptedServer.answer({ done: true }, "e2")
      ])
    )],
    Effect.gen(function*() {
      const { isBroken, text } = yield* read(yield* post(call))
      assert.isFalse(isBroken)
      assert.strictEqual(
        text,
        ": hello\n\nevent: message\nid: e1\nretry: 10\ndata: {\"a\":1}\n\ndata: two\ndata: lines\n\ndata: raw\n\n" +
          "id: e2\ndata: {\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{\"done\":true}}\n\n"
      )
    })
  )

  live(
    "a cut gives what came before it, then breaks; a replay goes on after the event, without the break",
    [
      ScriptedServer.on(
        { method: "POST" },
        ScriptedServer.events([
          ScriptedServer.message(note(1), "e1"),
          ScriptedServer.cut(),
          ScriptedServer.message(note(2), "e2"),
          ScriptedServer.cut(),
          ScriptedServer.answerError({ code: 1, message: "no" }, "e3")
        ])
      ),
      ScriptedServer.on({ lastEventId: true }, ScriptedServer.replay())
    ],
    Effect.gen(function*() {
      const first = yield* read(yield* post(call))
      assert.isTrue(first.isBroken)
      assert.match(first.text, /^id: e1\ndata: .*\n\n$/)
      const second = yield* read(yield* get("e1"))
      assert.isTrue(second.isBroken)
      assert.match(second.text, /^id: e2\ndata: .*\n\n$/)
      const third = yield* read(yield* get("e1"))
      assert.isFalse(third.isBroken)
      assert.match(third.text, /^id: e2\n[^]*id: e3\ndata: .*"id":7,"error"/)
      const unknown = yield* get("nowhere")
      assert.strictEqual(unknown.status, 400)
      assert.include(yield* unknown.text, "\"nowhere\"")
    })
  )

  live(
    "rules that are used up give way to the next, and what no rule is for is told",
    [
      ScriptedServer.on({ message: "ping" }, ScriptedServer.status(503), { times: 2 }),
      ScriptedServer.on({ message: "ping" }, ({ index }) => Effect.succeed(ScriptedServer.status(200 + index)))
    ],
    Effect.gen(function*() {
      const server = yield* ScriptedServer.ScriptedServer
      const statuses = yield* Effect.replicateEffect(
        Effect.map(post(JsonRpc.request(1, "ping")), ({ status }) => status),
        3
      )
      assert.deepStrictEqual(statuses, [503, 503, 202])
      const other = yield* post(JsonRpc.request(1, "pong"))
      assert.strictEqual(other.status, 400)
      assert.strictEqual(yield* other.text, "no rule of the script is for POST pong")
      assert.deepStrictEqual((yield* server.unmatched).map(({ index }) => index), [3])
      yield* server.use([ScriptedServer.on({}, ScriptedServer.status(200))])
      assert.strictEqual((yield* post(JsonRpc.request(1, "pong"))).status, 200)
    })
  )

  for (const kind of ["Close", "Reset"] as const) {
    live(
      `a connection dropped without an answer (${kind}) is a failure of the request`,
      [ScriptedServer.on({}, ScriptedServer.drop(kind))],
      Effect.gen(function*() {
        const error = yield* Effect.flip(post(call))
        assert.strictEqual(error._tag, "RequestError")
        const server = yield* ScriptedServer.ScriptedServer
        assert.strictEqual((yield* server.arrivals).length, 1)
      })
    )
  }

  live(
    "gates hold a stream until the test opens them; disconnect breaks it",
    [ScriptedServer.on(
      {},
      ScriptedServer.events([
        ScriptedServer.message(note(1)),
        ScriptedServer.gate("go"),
        ScriptedServer.message(note(2)),
        ScriptedServer.stall
      ])
    )],
    Effect.gen(function*() {
      const server = yield* ScriptedServer.ScriptedServer
      const pull = yield* Stream.toPull(Stream.decodeText((yield* post(call)).stream))
      const next = Effect.map(pull, (chunk) => Chunk.join(chunk, ""))
      assert.include(yield* next, "\"progress\":1")
      const second = yield* Effect.fork(next)
      yield* server.openGate("go")
      assert.include(yield* Fiber.join(second), "\"progress\":2")
      assert.strictEqual(yield* server.openExchanges, 1)
      yield* server.disconnect()
      assert.isTrue(Exit.isFailure(yield* Effect.exit(next)))
    })
  )

  live(
    "a client that leaves is seen to leave, and its script ends",
    [ScriptedServer.on({}, ScriptedServer.events([ScriptedServer.message(note(1)), ScriptedServer.stall]))],
    Effect.gen(function*() {
      const server = yield* ScriptedServer.ScriptedServer
      const scope = yield* Scope.make()
      const pull = yield* Scope.extend(Stream.toPull((yield* post(call)).stream), scope)
      yield* pull
      assert.strictEqual(yield* server.openExchanges, 1)
      yield* Scope.close(scope, Exit.void)
      yield* Effect.repeat(Effect.zipRight(Effect.sleep("1 millis"), server.openExchanges), { until: (n) => n === 0 })
    })
  )

  it.scopedLive("a client that does not read stops the server", () =>
    soon(Effect.gen(function*() {
      let written = 0
      let isFull = false
      const handler: ScriptedServer.Handler = ({ events }) => {
        const body = events()
        const fill = (): void => {
          for (let n = 0; n < 2_000 && body.isOpen(); n++) {
            written++
            if (body.write("x".repeat(64 * 1024))) continue
            isFull = true
            return body.onDrain(fill)
          }
        }
        fill()
      }
      const context = yield* Layer.build(layer(handler))
      const response = yield* Effect.provide(post(call), context)
      const pull = yield* Stream.toPull(response.stream)
      yield* pull
      yield* Effect.repeat(Effect.sleep("1 millis"), { until: () => isFull })
      const before = written
      assert.isBelow(before, 1_000)
      for (let n = 0; n < 200; n++) yield* pull
      assert.isAbove(written, before)
    })))

  live(
    "the transport works over it: session, resumption, DELETE",
    [
      ...ScriptedServer.session({ sessionId: "s-1" }).slice(0, 2),
      ScriptedServer.on(
        { message: "tools/call" },
        ScriptedServer.events([
          ScriptedServer.message(note(1), "e1"),
          ScriptedServer.cut("Reset"),
          ScriptedServer.message(note(2), "e2"),
          ScriptedServer.cut(),
          ScriptedServer.answer({ done: true }, "e3")
        ])
      ),
      ScriptedServer.on({ method: "GET", lastEventId: true }, ScriptedServer.replay()),
      ...ScriptedServer.session({ sessionId: "s-1" })
    ],
    Effect.gen(function*() {
      const server = yield* ScriptedServer.ScriptedServer
      const scope = yield* Scope.make()
      const transport = yield* Scope.extend(open, scope)
      const messages = yield* Stream.runCollect(transport.send(call))
      assert.deepStrictEqual(Chunk.toReadonlyArray(messages), [note(1), note(2), JsonRpc.success(7, { done: true })])
      yield* Scope.close(scope, Exit.void)
      const arrivals = yield* server.arrivals
      assert.deepStrictEqual(
        arrivals.map(({ headers, message, method }) => [method, message?.method ?? headers["last-event-id"]]),
        [
          ["POST", "initialize"],
          ["POST", "notifications/initialized"],
          ["POST", "tools/call"],
          ["GET", "e1"],
          ["GET", "e2"],
          ["DELETE", undefined]
        ]
      )
      assert.isTrue(arrivals.slice(1).every(({ headers }) => headers["mcp-session-id"] === "s-1"))
      assert.strictEqual(arrivals[1]?.headers["mcp-protocol-version"], "2025-06-18")
      assert.deepStrictEqual(yield* server.unmatched, [])
    })
  )

  it.scopedLive("a script that throws is no hang", () =>
    soon(Effect.gen(function*() {
      const context = yield* Layer.build(layer(() => {
        throw new Error("a mistake in a test")
      }))
      assert.strictEqual((yield* Effect.flip(Effect.provide(post(call), context)))._tag, "RequestError")
    })))
})

/** A client that waits until its only connection is free. */
const oneConnection = NodeHttpClient.layerWithoutAgent.pipe(
  Layer.provide(NodeHttpClient.makeAgentLayer({ keepAlive: true, maxSockets: 1 }))
)

describe("ScriptedServer", () => {
  it.scoped("without sockets, pauses go by the TestClock", () =>
    Effect.gen(function*() {
      const { client, server } = yield* ScriptedServer.makeHttpClient([
        ScriptedServer.on(
          {},
          ScriptedServer.events([
            ScriptedServer.pause("1 hour"),
            ScriptedServer.answer("late")
          ], { delay: "1 minute" })
        )
      ])
      const context = Context.make(HttpClient.HttpClient, client)
      const fiber = yield* post(call).pipe(
        Effect.provideService(ScriptedServer.ScriptedServer, server),
        Effect.provide(context),
        Effect.flatMap(read),
        Effect.fork
      )
      yield* TestClock.adjust("1 minute")
      yield* TestClock.adjust("59 minutes")
      assert.isNull(fiber.unsafePoll())
      yield* TestClock.adjust("1 minute")
      assert.include((yield* Fiber.join(fiber)).text, "late")
      assert.deepStrictEqual((yield* server.arrivals).map(({ at }) => at), [0])
    }))

  /** Three calls that are answered, with one that is dropped before the last: on which connections they came. */
  const connectionsOf = (layer: (script: ScriptedServer.Script) => Layer.Layer<Both>) =>
    Effect.gen(function*() {
      const server = yield* ScriptedServer.ScriptedServer
      const posting = Effect.flatMap(post(call), ({ json }) => json)
      yield* posting
      yield* posting
      yield* Effect.flip(posting)
      yield* posting
      return (yield* server.arrivals).map(({ connection }) => connection)
    }).pipe(
      Effect.provide(layer([
        ScriptedServer.on({}, ScriptedServer.json({}), { times: 2 }),
        ScriptedServer.on({}, ScriptedServer.drop(), { times: 1 }),
        ScriptedServer.on({}, ScriptedServer.json({}))
      ])),
      soon
    )

  it.live("without sockets, every arrival has a connection of its own", () =>
    Effect.map(
      connectionsOf(ScriptedServer.layerHttpClient),
      (connections) => assert.deepStrictEqual(connections, [0, 1, 2, 3])
    ))

  it.live("on loopback, arrivals tell which connection they came on: it is kept until it breaks", () =>
    Effect.map(
      connectionsOf((script) => Layer.merge(ScriptedServer.layerLoopback(script), oneConnection)),
      (connections) => assert.deepStrictEqual(connections, [0, 0, 0, 1])
    ))

  it.scopedLive("on loopback, every socket is gone when the scope ends", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const server = yield* Scope.extend(
        ScriptedServer.makeLoopback([ScriptedServer.on({}, ScriptedServer.events([ScriptedServer.stall]))]),
        scope
      )
      const body = fetch(server.url, { method: "POST", body: "{}" }).then((response) => response.text())
      body.catch(() => {})
      yield* server.awaitArrivals(1)
      assert.strictEqual(yield* server.openConnections, 1)
      yield* soon(Scope.close(scope, Exit.void))
      assert.strictEqual(yield* server.openConnections, 0)
      yield* Effect.flip(Effect.tryPromise(() => body))
      yield* Effect.flip(Effect.tryPromise(() => fetch(server.url)))
    }))
})
