import { JsonRpc, ResumptionStore, StreamableHttpTransport } from "@effect-mcp/transport"
import * as NodeContext from "@effect/platform-node/NodeContext"
import * as FileSystem from "@effect/platform/FileSystem"
import * as KeyValueStore from "@effect/platform/KeyValueStore"
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
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
import { live } from "../support/quiet.ts"
import { type Exchange, rawServer } from "../support/rawServer.ts"
import { assertError, assertSession, assertUsable, exceptHealthy, failure, soon } from "../support/sending.ts"
import { connectIn, recordLogs, stateOf } from "../support/sessions.ts"
import { afterCrash, keeping, left, plain, pulled, watchedStore } from "../support/stores.ts"

const done = (id: JsonRpc.RequestId) => JsonRpc.success(id, { content: [] })

const active = { _tag: "Active", sessionId, version: "2025-11-25" } as const

/** A server whose session is open already; GETs are for the test. */
const server = (handle: (exchange: Exchange) => void) => rawServer(exceptHealthy(afterHandshake(handle, { get: true })))

/** Two steps of progress, and then nothing. */
const stuck = ({ events, method }: Exchange): void => {
  if (method === "GET") return void events()
  events().event({ id: "e1", data: progress(1) }).event({ id: "e2", data: progress(2) })
}

/** The same; who resumes gets what is missing. */
const resumable = (exchange: Exchange): void => {
  const { events, headers, method } = exchange
  if (method !== "GET") return stuck(exchange)
  const writer = events()
  if (headers["last-event-id"] === "e1") writer.event({ id: "e2", data: progress(2) })
  writer.event({ id: "e3", data: progress(3) }).event({ id: "e4", data: done(1) }).end()
}

const failing = (method: "load" | "save" | "clear") =>
  new ResumptionStore.ResumptionStoreError({ method, cause: new Error("the disk is full") })

const settled = Effect.sleep("30 millis")

// --- the stores -----------------------------------------------------------------------------------------------------

const snapshot = left([
  [call(1), "e1"],
  [JsonRpc.request("1", "tools/call", { name: "wörk\n", arguments: { deep: [null, { a: 1.5 }] } }), "wörk \"2\""]
])

const asJson = {
  version: 1,
  sessionId,
  protocolVersion: "2025-11-25",
  requests: snapshot.requests
}

const directories = Layer.unwrapScoped(
  Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    return KeyValueStore.layerFileSystem(yield* fs.makeTempDirectoryScoped())
  })
).pipe(Layer.provide(NodeContext.layer), Layer.orDie)

describe.each([
  { name: "memory", layer: KeyValueStore.layerMemory },
  { name: "files", layer: directories }
])("a key of a KeyValueStore in $name", ({ layer }) => {
  const stored = <A, E>(
    body: (
      store: ResumptionStore.Service,
      values: KeyValueStore.KeyValueStore
    ) => Effect.Effect<A, E, Scope.Scope | KeyValueStore.KeyValueStore>
  ) =>
    Effect.gen(function*() {
      const store = yield* ResumptionStore.makeKeyValueStore({ key: "the/key" })
      return yield* body(store, yield* KeyValueStore.KeyValueStore)
    }).pipe(Effect.provide(layer))

  it.scopedLive("keeps a snapshot as plain JSON", () =>
    stored((store, values) =>
      Effect.gen(function*() {
        assert.isTrue(Option.isNone(yield* store.load))
        yield* store.save(snapshot)
        const text = Option.getOrThrow(yield* values.get("the/key"))
        assert.deepStrictEqual(JSON.parse(text), asJson)
        assert.deepStrictEqual(Option.map(yield* store.load, plain), Option.some(plain(snapshot)))
        assert.deepStrictEqual(Option.getOrThrow(yield* store.load).requests, snapshot.requests)
        yield* store.save(left([]))
        assert.deepStrictEqual(Option.map(yield* store.load, plain), Option.some(keeping()))
        yield* store.clear
        assert.isTrue(Option.isNone(yield* store.load))
        assert.isTrue(Option.isNone(yield* values.get("the/key")))
      })
    ))

  it.scopedLive("reads plain JSON that somebody else has written", () =>
    stored((store, values) =>
      Effect.gen(function*() {
        yield* values.set("the/key", JSON.stringify(asJson))
        assert.deepStrictEqual(Option.map(yield* store.load, plain), Option.some(plain(snapshot)))
      })
    ))

  it.scopedLive("clearing what holds nothing is no failure", () =>
    stored((store) =>
      Effect.gen(function*() {
        yield* store.clear
        yield* store.save(snapshot)
        yield* store.clear
        yield* store.clear
      })
    ))

  for (
    const [what, text] of [
      ["torn", JSON.stringify(asJson).slice(0, -30)],
      ["no JSON", sessionId],
      ["of another version", JSON.stringify({ ...asJson, version: 2 })],
      ["no object", JSON.stringify([sessionId])],
      ["empty", ""]
    ] as const
  ) {
    it.scopedLive(`a snapshot that is ${what} is a typed failure that does not show it`, () =>
      stored((store, values) =>
        Effect.gen(function*() {
          yield* values.set("the/key", text)
          const error = yield* Effect.flip(store.load)
          assert.instanceOf(error, ResumptionStore.ResumptionStoreError)
          assert.strictEqual(error.method, "load")
          assert.notInclude(error.message, sessionId)
          assert.notInclude(String(error.cause), sessionId)
        })
      ))
  }

  it.scopedLive("a write that was cut short leaves the snapshot before it, or the one that was written", () =>
    stored((store, values) =>
      Effect.gen(function*() {
        yield* store.save(left([[call(), "e1"]]))
        const texts = new Map<string, string>()
        const keep = {
          ...values,
          set: (key: string, text: string | Uint8Array) => Effect.sync(() => void texts.set(key, String(text)))
        }
        const scope = yield* Scope.make()
        const other = yield* Scope.extend(ResumptionStore.makeKeyValueStore({ key: "the/key" }), scope).pipe(
          Effect.provideService(KeyValueStore.KeyValueStore, { ...keep, forSchema: values.forSchema.bind(keep) })
        )
        yield* other.save(left([[call(), "e2"]]))
        assert.isAbove(texts.size, 0)
        // The process is killed at any moment of writing these, one after the other.
        for (const [key, text] of texts) {
          for (const length of [0, 1, text.length - 1, text.length]) {
            yield* values.set(key, text.slice(0, length))
            const found = Option.getOrThrow(yield* store.load).requests[0]?.resumptionToken
            assert.include(["e1", "e2"], found)
          }
        }
        assert.deepStrictEqual(Option.map(yield* store.load, plain), Option.some(keeping("1 e2")))
        yield* Scope.close(scope, Exit.void)
      })
    ))

  it.scopedLive("has one owner at a time", () =>
    stored((store) =>
      Effect.gen(function*() {
        yield* store.save(snapshot)
        const error = yield* Effect.flip(Effect.scoped(ResumptionStore.makeKeyValueStore({ key: "the/key" })))
        assert.strictEqual(error.method, "open")
        assert.include(String(error.cause), "the/key")
        const again = yield* Effect.flip(
          Layer.build(ResumptionStore.layerKeyValueStore({ key: "the/key" })).pipe(Effect.scoped)
        )
        assert.strictEqual(again.method, "open")
        // Another key is another snapshot, and the refused ones have taken nothing away.
        const other = yield* ResumptionStore.makeKeyValueStore({ key: "another" })
        assert.isTrue(Option.isNone(yield* other.load))
        yield* other.save(left([]))
        assert.deepStrictEqual(Option.map(yield* store.load, plain), Option.some(plain(snapshot)))
        yield* Effect.scoped(Effect.flip(ResumptionStore.makeKeyValueStore({ key: "the/key" })))
      })
    ))

  it.scopedLive("is free again when its owner's scope has closed", () =>
    Effect.gen(function*() {
      const first = yield* Scope.make()
      const store = yield* Scope.extend(ResumptionStore.makeKeyValueStore({ key: "the/key" }), first)
      yield* store.save(snapshot)
      yield* Scope.close(first, Exit.void)
      const next = yield* ResumptionStore.makeKeyValueStore({ key: "the/key" })
      assert.deepStrictEqual(Option.map(yield* next.load, plain), Option.some(plain(snapshot)))
    }).pipe(Effect.provide(layer)))
})

describe("the schema of a snapshot", () => {
  it("does not show the session id", () => {
    const decoded = Schema.decodeUnknownSync(Schema.parseJson(ResumptionStore.Snapshot))(JSON.stringify(asJson))
    assert.notInclude(String(decoded.sessionId), sessionId)
    assert.notInclude(JSON.stringify(decoded), sessionId)
    assert.include(Schema.encodeSync(Schema.parseJson(ResumptionStore.Snapshot))(decoded), sessionId)
  })
})

it.scopedLive("the store in memory keeps the last snapshot", () =>
  Effect.gen(function*() {
    const store = yield* ResumptionStore.ResumptionStore
    assert.isTrue(Option.isNone(yield* store.load))
    yield* store.save(snapshot)
    yield* store.save(left([]))
    assert.deepStrictEqual(Option.map(yield* store.load, plain), Option.some(keeping()))
    yield* store.clear
    assert.isTrue(Option.isNone(yield* store.load))
  }).pipe(Effect.provide(ResumptionStore.layerMemory)))

// --- what is written ------------------------------------------------------------------------------------------------

overEveryClient("what a transport keeps in its resumption store", (client) => {
  it.scopedLive("the session, with its version, once its handshake is done", () =>
    Effect.gen(function*() {
      const raw = yield* server(({ json }) => json(answer(1)))
      const store = watchedStore()
      const transport = yield* connect(client, raw, { resumptionStore: store })
      assert.strictEqual((yield* transport.session)._tag, "Idle")
      yield* StreamableHttpTransport.request(transport, initializeRequest)
      yield* settled
      // Another process would take it for initialized, and the server has not been told so yet.
      assert.deepStrictEqual(store.writes, [])
      yield* StreamableHttpTransport.notify(transport, JsonRpc.notification("notifications/initialized"))
      yield* eventually(() => store.writes.length > 0)
      yield* settled
      assert.deepStrictEqual(store.writes, [keeping()])
    }))

  it.scopedLive("nothing of a session without an id or without a version", () =>
    Effect.gen(function*() {
      for (const without of ["id", "version"]) {
        const raw = yield* rawServer(({ json, message, status, method }) => {
          if (method === "DELETE") return status(200)
          if (message?.method !== "initialize") return status(202)
          const result = without === "version" ? { capabilities: {} } : initializeResult
          json({ jsonrpc: "2.0", id: message.id, result }, {
            headers: without === "id" ? {} : { "mcp-session-id": sessionId }
          })
        })
        const store = watchedStore()
        const logs = recordLogs()
        const transport = yield* connect(client, raw, { resumptionStore: store }).pipe(Effect.provide(logs.layer))
        yield* handshake(transport).pipe(Effect.provide(logs.layer))
        yield* settled
        assert.isUndefined(store.kept())
        assert.isTrue(store.writes.every((write) => write === "clear"))
      }
    }))

  it.scopedLive("initialize itself is never kept, though its stream has ids", () =>
    Effect.gen(function*() {
      const raw = yield* rawServer(({ events, message, method, status }) => {
        if (method !== "POST") return status(method === "GET" ? 405 : 200)
        if (message?.method !== "initialize") return status(202)
        events({ "mcp-session-id": sessionId })
          .event({ id: "i0", data: "" })
          .event({ id: "i1", data: JsonRpc.notification("notifications/message", { data: "hello" }) })
          .event({ id: "i2", data: JsonRpc.success(0, initializeResult) })
          .end()
      })
      const store = watchedStore()
      const transport = yield* connect(client, raw, { resumptionStore: store })
      yield* handshake(transport)
      yield* eventually(() => store.kept() !== undefined)
      assert.strictEqual((yield* collect(transport.send(initializeRequest))).length, 2)
      yield* StreamableHttpTransport.notify(transport, JsonRpc.notification("notifications/initialized"))
      yield* eventually(() => store.kept() !== undefined)
      yield* settled
      assert.deepStrictEqual(store.writes[0], keeping())
      assert.deepStrictEqual(store.writes.filter((write) => write !== "clear" && write.requests.length > 0), [])
      assert.deepStrictEqual(store.kept(), keeping())
    }))

  it.scopedLive("a request from when its first message with an id was taken until its answer was taken", () =>
    Effect.gen(function*() {
      const raw = yield* server(({ events }) => {
        events()
          .event({ data: progress(0) })
          .event({ id: "e1", data: progress(1) })
          .event({ id: "e2", data: progress(2) })
          .event({ data: progress(3) })
          .event({ id: "e4", data: done(1) })
          .end()
      })
      const store = watchedStore()
      const transport = yield* connect(client, raw, { resumptionStore: store })
      yield* handshake(transport)
      yield* eventually(() => store.writes.length === 1)
      const next = yield* pulled(transport, call())
      const expectKept = (...requests: ReadonlyArray<string>) =>
        Effect.zipRight(settled, Effect.sync(() => assert.deepStrictEqual(store.kept(), keeping(...requests))))

      assert.deepStrictEqual(yield* next, progress(0))
      yield* expectKept()
      assert.deepStrictEqual(yield* next, progress(1))
      // Handed over, but not yet taken: the consumer may still be killed over it.
      yield* expectKept()
      assert.deepStrictEqual(yield* next, progress(2))
      yield* expectKept("1 e1")
      assert.deepStrictEqual(yield* next, progress(3))
      yield* expectKept("1 e2")
      assert.deepStrictEqual(yield* next, done(1))
      yield* expectKept("1 e2")
      assert.isUndefined(yield* next)
      yield* expectKept()
      // Who resumes after the answer never gets it.
      assert.isTrue(store.writes.every((write) => write === "clear" || !write.requests.includes("1 e4")))
    }))

  it.scopedLive("the direct request is kept like the stream", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      const raw = yield* server(({ events }) => {
        events().event({ id: "e1", data: progress(1) }).event({ id: "e2", data: progress(2) })
          .event({ id: "e3", data: done(1) }).end()
      })
      const store = watchedStore()
      const transport = yield* connect(client, raw, { resumptionStore: store })
      yield* handshake(transport)
      const fiber = yield* Effect.fork(StreamableHttpTransport.request(transport, call(), {
        onMessage: (message) =>
          JsonRpc.isNotification(message) && message.params?.progress === 2 ? Deferred.await(gate) : Effect.void
      }))
      yield* eventually(() => store.kept()?.requests[0] === "1 e1")
      yield* settled
      assert.deepStrictEqual(store.kept(), keeping("1 e1"))
      yield* Deferred.succeed(gate, undefined)
      assert.deepStrictEqual(yield* soon(Fiber.join(fiber)), done(1))
      yield* eventually(() => store.kept()?.requests.length === 0)
    }))

  it.scopedLive("an event without data moves the cursor, with and without onMessage", () =>
    Effect.gen(function*() {
      const raw = yield* server(({ events, message }) => {
        events().event({ id: `${message?.id}-0`, data: "" })
      })
      const store = watchedStore()
      const transport = yield* connect(client, raw, { resumptionStore: store })
      yield* handshake(transport)
      yield* Effect.forkScoped(StreamableHttpTransport.request(transport, call("a")))
      yield* Effect.forkScoped(StreamableHttpTransport.request(transport, call("b"), { onMessage: () => Effect.void }))
      yield* Effect.forkScoped(collect(transport.send(call("c"))))
      yield* eventually(() => store.kept()?.requests.length === 3)
      assert.deepStrictEqual(store.kept(), keeping("a a-0", "b b-0", "c c-0"))
    }))

  it.scopedLive("several requests at once, each with its own cursor", () =>
    Effect.gen(function*() {
      const raw = yield* server(({ events, message }) => {
        const stream = events().event({ id: `${message?.id}-1`, data: progress(1) })
        if (message?.id === 2) stream.event({ data: done(2) }).end()
      })
      const store = watchedStore()
      const transport = yield* connect(client, raw, { resumptionStore: store })
      yield* handshake(transport)
      yield* Effect.forkScoped(collect(transport.send(call(1))))
      yield* Effect.forkScoped(collect(transport.send(call("1"))))
      assert.deepStrictEqual(yield* soon(collect(transport.send(call(2)))), [progress(1), done(2)])
      yield* eventually(() => store.kept()?.requests.length === 2 && store.writes.length > 2)
      yield* settled
      assert.deepStrictEqual(store.kept(), keeping("1 1-1", "1 1-1"))
      assert.deepStrictEqual(
        store.snapshot()?.requests.map(({ request }) => typeof request.id).toSorted(),
        ["number", "string"]
      )
    }))

  it.scopedLive("a request answered by JSON, a notification and a response leave no trace", () =>
    Effect.gen(function*() {
      const raw = yield* server(({ json, message, status }) =>
        message?.id === 1 && message.method !== undefined ? json(answer(1)) : status(202)
      )
      const store = watchedStore()
      const transport = yield* connect(client, raw, { resumptionStore: store })
      yield* handshake(transport)
      yield* StreamableHttpTransport.request(transport, call())
      yield* StreamableHttpTransport.notify(transport, JsonRpc.notification("notifications/cancelled"))
      yield* StreamableHttpTransport.notify(transport, done(7))
      yield* settled
      assert.isTrue(store.writes.every((write) => write !== "clear" && write.requests.length === 0))
      assert.deepStrictEqual(store.kept(), keeping())
    }))

  it.scopedLive("stateless messages leave no trace", () =>
    Effect.gen(function*() {
      const raw = yield* server(({ events, message }) => {
        events({ "mcp-session-id": "not-mine" }).event({ id: "e1", data: progress(1) }).event({
          id: "e2",
          data: answer(message?.id)
        })
          .end()
      })
      const stateless = JsonRpc.request(1, "tools/call", {
        name: "work",
        _meta: { "io.modelcontextprotocol/protocolVersion": "2026-07-28" }
      })
      const store = watchedStore()
      const transport = yield* connect(client, raw, { resumptionStore: store })
      assert.strictEqual((yield* collect(transport.send(stateless))).length, 2)
      yield* StreamableHttpTransport.request(transport, stateless)
      yield* settled
      assert.deepStrictEqual(store.writes, [])
      yield* assertSession(transport, "Idle")
    }))

  it.scopedLive("a stateless request is never resumed, though an equal one is kept", () =>
    Effect.gen(function*() {
      const raw = yield* server(({ events }) => events().event({ id: "e2", data: done(1) }).end())
      const stateless = JsonRpc.request(1, "tools/call", {
        name: "work",
        _meta: { "io.modelcontextprotocol/protocolVersion": "2026-07-28" }
      })
      const transport = yield* connect(client, raw, { resumptionStore: watchedStore(left([[stateless, "e1"]])) })
      assert.deepStrictEqual(yield* soon(collect(transport.send(stateless))), [done(1)])
      assert.deepStrictEqual(raw.log(), ["POST tools/call"])
      assert.isUndefined(raw.arrivals[0]?.headers["mcp-session-id"])
    }))

  live("a request that fails for good is not kept, and the others are", () =>
    Effect.gen(function*() {
      const raw = yield* server((exchange) => {
        if (exchange.method !== "GET") return stuck(exchange)
        exchange.status(exchange.headers["last-event-id"] === "e2" ? 405 : 200)
      })
      const store = watchedStore()
      const transport = yield* connect(client, raw, { resumptionStore: store })
      yield* handshake(transport)
      yield* Effect.forkScoped(collect(transport.send(call("stays"))))
      yield* eventually(() => store.kept()?.requests[0] === "stays e2")
      const refused = yield* failure(
        StreamableHttpTransport.request(transport, call("goes"), { resumptionToken: "e2" })
      )
      assertError(refused, "ResumptionError", { reason: "Unsupported", requestId: "goes" })
      yield* settled
      assert.deepStrictEqual(store.kept(), keeping("stays e2"))
      yield* assertUsable(transport, "Active", sessionId)
    }))

  it.scopedLive("an interrupted request stays resumable", () =>
    Effect.gen(function*() {
      const raw = yield* server(resumable)
      const store = watchedStore()
      const first = yield* connectIn(client, raw, { resumptionStore: store, terminateOnClose: false })
      yield* handshake(first.transport)
      const fiber = yield* Effect.fork(collect(first.transport.send(call())))
      const direct = yield* Effect.fork(StreamableHttpTransport.request(first.transport, call("direct")))
      yield* eventually(() => store.kept()?.requests.length === 2)
      yield* eventually(() => store.kept()?.requests.every((entry) => entry.endsWith("e2")) === true)
      yield* Fiber.interrupt(fiber)
      yield* Fiber.interrupt(direct)
      yield* assertUsable(first.transport, "Active", sessionId)
      yield* settled
      assert.deepStrictEqual(store.kept(), keeping("1 e2", "direct e2"))
      yield* first.close
      assert.deepStrictEqual(store.kept(), keeping("1 e2", "direct e2"))
      const second = yield* connect(client, raw, { resumptionStore: store })
      assert.deepStrictEqual(yield* soon(collect(second.send(call()))), [progress(3), done(1)])
      assert.strictEqual(raw.log().filter((line) => line === "POST tools/call").length, 2)
    }))

  live(
    "a request that runs when the scope closes stays resumable, where the session stays",
    () =>
      Effect.gen(function*() {
        const raw = yield* server(resumable)
        const store = watchedStore()
        const first = yield* connectIn(client, raw, { resumptionStore: store, terminateOnClose: false })
        yield* handshake(first.transport)
        const fiber = yield* Effect.fork(Effect.flip(collect(first.transport.send(call()))))
        yield* eventually(() => store.kept()?.requests[0] === "1 e2")
        yield* first.close
        assertError(yield* soon(Fiber.join(fiber)), "ConnectionError", { requestId: 1, outcome: "Unknown" })
        yield* settled
        assert.deepStrictEqual(store.kept(), keeping("1 e2"))
        const second = yield* connect(client, raw, { resumptionStore: store })
        assert.deepStrictEqual(yield* soon(collect(second.send(call()))), [progress(3), done(1)])
        assert.strictEqual(raw.log().filter((line) => line === "POST tools/call").length, 1)
      })
  )

  it.scopedLive("what onResumptionToken is told and what is kept agree", () =>
    Effect.gen(function*() {
      const raw = yield* server(stuck)
      const store = watchedStore()
      const transport = yield* connect(client, raw, { resumptionStore: store })
      yield* handshake(transport)
      const tokens: Array<string> = []
      yield* Effect.forkScoped(collect(transport.send(call(), {
        onResumptionToken: (token) => Effect.sync(() => tokens.push(token))
      })))
      yield* eventually(() => store.kept()?.requests[0] === "1 e2")
      assert.deepStrictEqual(tokens, ["e1", "e2"])
    }))
})

// --- the next process -----------------------------------------------------------------------------------------------

overEveryClient("a transport that finds a snapshot", (client) => {
  it.scopedLive("takes up the session: Active at once, no initialize, the id and version on every message", () =>
    Effect.gen(function*() {
      const raw = yield* server(({ json, message, method, status }) =>
        method === "GET" ? status(405) : json(answer(message?.id))
      )
      const store = watchedStore(left([]))
      const transport = yield* connect(client, raw, { resumptionStore: store })
      assert.deepStrictEqual(yield* stateOf(transport), active)
      assert.deepStrictEqual(raw.log(), [])
      // The handshake is done: the server may be listened to.
      yield* soon(Stream.runDrain(transport.receive))
      yield* StreamableHttpTransport.request(transport, call())
      assert.deepStrictEqual(raw.log(), ["GET", "POST tools/call"])
      for (const arrival of raw.arrivals) {
        assert.strictEqual(arrival.headers["mcp-session-id"], sessionId)
        assert.strictEqual(arrival.headers["mcp-protocol-version"], "2025-11-25")
      }
    }))

  for (const how of ["send", "request"] as const) {
    it.scopedLive(`resumes an equal request by GET instead of POSTing it, once (${how})`, () =>
      Effect.gen(function*() {
        const raw = yield* server(resumable)
        const store = watchedStore()
        const killed = yield* connect(client, raw, { resumptionStore: store })
        yield* handshake(killed)
        const before = yield* pulled(killed, call())
        assert.deepStrictEqual(yield* before, progress(1))
        assert.deepStrictEqual(yield* before, progress(2))
        yield* eventually(() => store.kept()?.requests[0] === "1 e1")

        const next = afterCrash(store)
        const transport = yield* connect(client, raw, { resumptionStore: next })
        const seen = raw.arrivals.length
        if (how === "send") {
          assert.deepStrictEqual(yield* soon(collect(transport.send(call()))), [progress(2), progress(3), done(1)])
        } else {
          assert.deepStrictEqual(yield* soon(StreamableHttpTransport.request(transport, call())), done(1))
        }
        assert.deepStrictEqual(raw.log().slice(seen), ["GET e1"])
        assert.strictEqual(raw.arrivals[seen]?.headers["mcp-session-id"], sessionId)
        assert.strictEqual(raw.arrivals[seen]?.headers["mcp-protocol-version"], "2025-11-25")
        yield* eventually(() => next.kept()?.requests.length === 0)

        // The token is used up: the same call again is a call of its own.
        const again = yield* pulled(transport, call())
        assert.deepStrictEqual(yield* again, progress(1))
        assert.deepStrictEqual(raw.log().slice(seen), ["GET e1", "POST tools/call"])
      }))
  }

  it.scopedLive("moves the cursor on while it resumes; a third process goes on from there", () =>
    Effect.gen(function*() {
      const raw = yield* server(({ events, headers, method }) => {
        if (method !== "GET") return void events()
        if (headers["last-event-id"] === "e3") return events().event({ id: "e4", data: done(1) }).end()
        events().event({ id: "e2", data: progress(2) }).event({ id: "e3", data: progress(3) })
      })
      const second = watchedStore(left([[call(), "e1"]]))
      const transport = yield* connect(client, raw, { resumptionStore: second })
      yield* Effect.forkScoped(collect(transport.send(call())))
      yield* eventually(() => second.kept()?.requests[0] === "1 e3")
      assert.deepStrictEqual(second.kept(), keeping("1 e3"))
      const third = yield* connect(client, raw, { resumptionStore: afterCrash(second) })
      assert.deepStrictEqual(yield* soon(collect(third.send(call()))), [done(1)])
      assert.deepStrictEqual(raw.log(), ["GET e1", "GET e3"])
    }))

  it.scopedLive("a resumed request is not lost when this process is killed before anything came", () =>
    Effect.gen(function*() {
      let answers = false
      const raw = yield* server(({ events, headers, message, method }) => {
        if (method !== "GET") return void events().event({ id: `${message?.id}-1`, data: progress(1) })
        if (answers) events().event({ id: "e9", data: done(headers["last-event-id"] === "e1" ? 1 : 2) }).end()
      })
      const second = watchedStore(left([[call(1), "e1"]]))
      const transport = yield* connect(client, raw, { resumptionStore: second })
      yield* Effect.forkScoped(collect(transport.send(call(1))))
      yield* eventually(() => raw.log().includes("GET e1"))
      // Another request makes the snapshot be written.
      yield* Effect.forkScoped(collect(transport.send(call(2))))
      yield* eventually(() => second.kept()?.requests.includes("2 2-1") === true)
      yield* settled
      assert.deepStrictEqual(second.kept(), keeping("1 e1", "2 2-1"))
      answers = true
      const third = yield* connect(client, raw, { resumptionStore: afterCrash(second) })
      assert.deepStrictEqual(yield* soon(collect(third.send(call(1)))), [done(1)])
      assert.deepStrictEqual(raw.log().filter((line) => line.startsWith("POST")), ["POST tools/call"])
    }))

  it.scopedLive("keeps a request that this process does not ask for", () =>
    Effect.gen(function*() {
      const raw = yield* server(stuck)
      const store = watchedStore(left([[call("old"), "old-1"]]))
      const transport = yield* connect(client, raw, { resumptionStore: store })
      yield* Effect.forkScoped(collect(transport.send(call("new"))))
      yield* eventually(() => store.kept()?.requests.includes("new e2") === true)
      assert.deepStrictEqual(store.kept(), keeping("new e2", "old old-1"))
    }))

  it.scopedLive("an answer that comes without an id clears its request all the same", () =>
    Effect.gen(function*() {
      const raw = yield* server(({ events }) => events().event({ data: done(1) }).end())
      const store = watchedStore(left([[call(), "e1"]]))
      const transport = yield* connect(client, raw, { resumptionStore: store })
      assert.deepStrictEqual(yield* soon(StreamableHttpTransport.request(transport, call())), done(1))
      assert.deepStrictEqual(raw.log(), ["GET e1"])
      yield* eventually(() => store.kept()?.requests.length === 0)
    }))

  for (
    const [status, expected] of [
      [405, "Unsupported"],
      [400, "Rejected"]
    ] as const
  ) {
    live(
      `a request that the server will not resume (${status}) fails once; the next process POSTs it`,
      () =>
        Effect.gen(function*() {
          const raw = yield* server((exchange) =>
            exchange.method === "GET" ? exchange.status(status) : exchange.json(answer(1))
          )
          const store = watchedStore(left([[call(), "e1"]]))
          const transport = yield* connect(client, raw, { resumptionStore: store })
          assertError(yield* failure(collect(transport.send(call()))), "ResumptionError", {
            reason: expected,
            requestId: 1,
            outcome: "Unknown"
          })
          yield* assertUsable(transport, "Active", sessionId)
          yield* eventually(() => store.kept()?.requests.length === 0)
          const next = yield* connect(client, raw, { resumptionStore: afterCrash(store) })
          assert.deepStrictEqual(yield* soon(collect(next.send(call()))), [done(1)])
          assert.deepStrictEqual(raw.log(), ["GET e1", "POST ping", "POST tools/call"])
        })
    )
  }

  it.scopedLive("a different request is POSTed", () =>
    Effect.gen(function*() {
      const raw = yield* server(({ json, message }) => json(answer(message?.id)))
      const store = watchedStore(left([[call(1), "e1"]]))
      const transport = yield* connect(client, raw, { resumptionStore: store })
      const others = [
        call(2),
        call("1"),
        JsonRpc.request(1, "tools/list", { name: "work", arguments: {} }),
        JsonRpc.request(1, "tools/call", { name: "play", arguments: {} }),
        JsonRpc.request(1, "tools/call", { name: "work", arguments: { more: 1 } }),
        JsonRpc.request(1, "tools/call")
      ]
      for (const other of others) {
        assert.strictEqual((yield* soon(StreamableHttpTransport.request(transport, other))).id, other.id)
      }
      assert.isTrue(raw.log().every((line) => line.startsWith("POST")))
      assert.strictEqual(raw.log().length, others.length)
      // And none of them has used up the token.
      yield* Effect.forkScoped(collect(transport.send(call(1))))
      yield* eventually(() => raw.log().includes("GET e1"))
    }))

  it.scopedLive("two equal requests: one is resumed, the other POSTed", () =>
    Effect.gen(function*() {
      const raw = yield* server(stuck)
      const transport = yield* connect(client, raw, { resumptionStore: watchedStore(left([[call(1), "e1"]])) })
      yield* Effect.forkScoped(collect(transport.send(call(1))))
      yield* Effect.forkScoped(collect(transport.send(call(1))))
      yield* eventually(() => raw.log().length === 2)
      assert.deepStrictEqual(raw.log().toSorted(), ["GET e1", "POST tools/call"])
    }))

  it.scopedLive("a request is equal however its members are ordered, and with members this package does not know", () =>
    Effect.gen(function*() {
      const raw = yield* server(stuck)
      const written: JsonRpc.Request & { readonly extra: unknown } = {
        extra: [1],
        params: { name: "work", arguments: { b: 1, a: undefined } },
        method: "tools/call",
        id: 1,
        jsonrpc: "2.0"
      }
      const values = yield* Layer.build(KeyValueStore.layerMemory)
      const storeIn = (scope: Scope.Scope) =>
        Scope.extend(ResumptionStore.makeKeyValueStore({ key: "k" }), scope).pipe(Effect.provide(values))
      const scope = yield* Scope.make()
      const first = yield* storeIn(scope)
      const transport = yield* connect(client, raw, { resumptionStore: first })
      yield* handshake(transport)
      yield* Effect.forkScoped(collect(transport.send(written)))
      yield* soon(first.load.pipe(
        Effect.zipLeft(Effect.sleep("5 millis")),
        Effect.repeat({
          until: (found) => Option.isSome(found) && found.value.requests[0]?.resumptionToken === "e2"
        })
      ))
      yield* Scope.close(scope, Exit.void)
      const next = yield* connect(client, raw, { resumptionStore: yield* storeIn(yield* Effect.scope) })
      yield* Effect.forkScoped(collect(next.send(written)))
      yield* eventually(() => raw.log().length === 4)
      assert.deepStrictEqual(raw.log().slice(3), ["GET e2"])
    }))

  it.scopedLive("explicit Options.session wins, and is what is kept from then on", () =>
    Effect.gen(function*() {
      const raw = yield* server(stuck)
      const store = watchedStore(left([[call(1), "e1"]]))
      const own = { sessionId: "my-own-session", protocolVersion: "2025-06-18" }
      const transport = yield* connect(client, raw, { resumptionStore: store, session: own })
      assert.deepStrictEqual(yield* stateOf(transport), {
        _tag: "Active",
        sessionId: "my-own-session",
        version: "2025-06-18"
      })
      yield* Effect.forkScoped(collect(transport.send(call(1))))
      yield* eventually(() => store.kept()?.sessionId === "my-own-session" && store.kept()?.requests[0] === "1 e2")
      assert.deepStrictEqual(raw.log(), ["POST tools/call"])
      assert.strictEqual(raw.arrivals[0]?.headers["mcp-session-id"], "my-own-session")
      assert.deepStrictEqual(store.kept(), { ...own, requests: ["1 e2"] })
    }))

  it.scopedLive("an explicit resumptionToken wins, and the kept one is void when the answer was taken", () =>
    Effect.gen(function*() {
      const raw = yield* server(({ events, method }) =>
        method === "GET" ? events().event({ id: "m2", data: done(1) }).end() : void events()
      )
      const store = watchedStore(left([[call(1), "e1"]]))
      const transport = yield* connect(client, raw, { resumptionStore: store })
      assert.deepStrictEqual(yield* soon(collect(transport.send(call(1), { resumptionToken: "m1" }))), [done(1)])
      assert.deepStrictEqual(raw.log(), ["GET m1"])
      yield* eventually(() => store.kept()?.requests.length === 0)
      yield* Effect.forkScoped(collect(transport.send(call(1))))
      yield* eventually(() => raw.log().length === 2)
      assert.deepStrictEqual(raw.log(), ["GET m1", "POST tools/call"])
    }))

  for (const token of ["", "no\u0000header", "e1\n"]) {
    live(
      `a token that no header can carry (${JSON.stringify(token)}) is no token: the request is POSTed`,
      () =>
        Effect.gen(function*() {
          const raw = yield* server(({ json }) => json(answer(1)))
          const transport = yield* connect(client, raw, { resumptionStore: watchedStore(left([[call(1), token]])) })
          assert.deepStrictEqual(yield* soon(collect(transport.send(call(1)))), [done(1)])
          assert.deepStrictEqual(raw.log(), ["POST tools/call"])
        })
    )
  }

  for (
    const damaged of [
      { sessionId: "" },
      { sessionId: "two words" },
      { sessionId: "line\nbreak" },
      { protocolVersion: "" },
      { protocolVersion: "line\nbreak" }
    ]
  ) {
    it.scopedLive(`a snapshot that names no usable session (${JSON.stringify(damaged)}) is logged and left out`, () =>
      Effect.gen(function*() {
        const raw = yield* server(({ json }) => json(answer(1)))
        const logs = recordLogs()
        const store = watchedStore(left([[call(1), "e1"]], damaged))
        const transport = yield* connect(client, raw, { resumptionStore: store }).pipe(Effect.provide(logs.layer))
        assert.deepStrictEqual(yield* stateOf(transport), { _tag: "Idle" })
        assert.strictEqual(logs.warnings().length, 1, logs.lines.join("\n"))
        yield* handshake(transport)
        assert.deepStrictEqual(yield* soon(collect(transport.send(call(1)))), [done(1)])
        yield* eventually(() => store.kept()?.sessionId === sessionId)
        assert.deepStrictEqual(store.kept(), keeping())
      }))
  }

  live(
    "a session that is gone ends the request, clears the snapshot, and a new session is opened",
    () =>
      Effect.gen(function*() {
        for (const kept of [[], [[call(1), "e1"]]] as const) {
          const raw = yield* server(({ json, headers, status }) =>
            headers["mcp-session-id"] === "long-gone" ? status(404) : json(answer(1))
          )
          const store = watchedStore(left(kept, { sessionId: "long-gone" }))
          const transport = yield* connect(client, raw, { resumptionStore: store })
          assertError(yield* failure(collect(transport.send(call(1)))), "SessionTerminated", {
            by: "Server",
            requestId: 1,
            outcome: kept.length === 0 ? "NotExecuted" : "Unknown"
          })
          yield* eventually(() => store.kept() === undefined)
          yield* handshake(transport)
          assert.deepStrictEqual(yield* soon(collect(transport.send(call(1)))), [done(1)])
          yield* eventually(() => store.kept() !== undefined)
          assert.deepStrictEqual(store.kept(), keeping())
          const first = kept.length === 0 ? "POST tools/call" : "GET e1"
          assert.deepStrictEqual(raw.log(), [
            first,
            "POST initialize",
            "POST notifications/initialized",
            "POST tools/call"
          ])
        }
      })
  )

  it.scopedLive("a new initialize voids the old session and its requests", () =>
    Effect.gen(function*() {
      const raw = yield* server(({ json, method, status }) => method === "GET" ? status(405) : json(answer(1)))
      const store = watchedStore(left([[call(1), "e1"]], { sessionId: "old-session" }))
      const transport = yield* connect(client, raw, { resumptionStore: store })
      yield* handshake(transport)
      yield* eventually(() => store.kept()?.sessionId === sessionId)
      assert.deepStrictEqual(store.kept(), keeping())
      assert.deepStrictEqual(yield* soon(collect(transport.send(call(1)))), [done(1)])
      yield* eventually(() => raw.log().includes("DELETE"))
      assert.deepStrictEqual(
        raw.log().filter((line) => line !== "DELETE"),
        ["POST initialize", "POST notifications/initialized", "POST tools/call"]
      )
      assert.strictEqual(
        raw.arrivals.find(({ method }) => method === "DELETE")?.headers["mcp-session-id"],
        "old-session"
      )
    }))

  live("a request of the old session leaves nothing in the new one's snapshot", () =>
    Effect.gen(function*() {
      let sessions = 0
      const raw = yield* rawServer((exchange) => {
        const { json, message, method, status } = exchange
        if (method === "DELETE") return status(200)
        if (message?.method === "notifications/initialized") return status(202)
        if (message?.method !== "initialize") return stuck(exchange)
        json({ jsonrpc: "2.0", id: message.id, result: initializeResult }, {
          headers: { "mcp-session-id": `session-${++sessions}` }
        })
      })
      const store = watchedStore()
      const transport = yield* connect(client, raw, { resumptionStore: store })
      yield* handshake(transport)
      const scope = yield* Scope.make()
      const next = yield* Scope.extend(pulled(transport, call(1)), scope)
      yield* next
      yield* next
      yield* eventually(() => store.kept()?.requests[0] === "1 e1")
      yield* handshake(transport)
      yield* eventually(() => store.kept()?.sessionId === "session-2")
      assertError(yield* failure(next), "SessionTerminated", { by: "Client", requestId: 1 })
      yield* Scope.close(scope, Exit.void)
      yield* settled
      assert.deepStrictEqual(store.kept(), { ...keeping(), sessionId: "session-2" })
      const news = store.writes.filter((write) => write !== "clear" && write.sessionId === "session-2")
      assert.isTrue(news.every((write) => write !== "clear" && write.requests.length === 0))
    }))

  it.scopedLive("a failed initialize leaves the snapshot as it is", () =>
    Effect.gen(function*() {
      const raw = yield* rawServer(({ json, message, status }) =>
        message?.method === "initialize"
          ? json({ jsonrpc: "2.0", id: message.id, error: { code: -32602, message: "no" } })
          : status(200)
      )
      const store = watchedStore(left([[call(1), "e1"]]))
      const transport = yield* connect(client, raw, { resumptionStore: store })
      const refused = yield* StreamableHttpTransport.request(transport, initializeRequest)
      assert.isTrue(JsonRpc.isErrorResponse(refused))
      yield* settled
      assert.deepStrictEqual(store.kept(), keeping("1 e1"))
      assert.deepStrictEqual(yield* stateOf(transport), active)
    }))
})

// --- the end --------------------------------------------------------------------------------------------------------

overEveryClient("the end of a session that is kept", (client) => {
  const opened = (store: ReturnType<typeof watchedStore>, options: Partial<StreamableHttpTransport.Options> = {}) =>
    Effect.gen(function*() {
      const raw = yield* server(stuck)
      const closeable = yield* connectIn(client, raw, { resumptionStore: store, ...options })
      yield* handshake(closeable.transport)
      yield* Effect.forkScoped(Effect.ignore(collect(closeable.transport.send(call()))))
      yield* eventually(() => store.kept()?.requests[0] === "1 e2")
      return { raw, ...closeable }
    })

  live("terminate clears the snapshot, and the next initialize fills it again", () =>
    Effect.gen(function*() {
      const store = watchedStore()
      const { transport } = yield* opened(store)
      yield* soon(transport.terminate)
      yield* eventually(() => store.kept() === undefined)
      yield* settled
      assert.isUndefined(store.kept())
      yield* handshake(transport)
      yield* eventually(() => store.kept() !== undefined)
      assert.deepStrictEqual(store.kept(), keeping())
    }))

  live("terminate clears the snapshot though the DELETE fails", () =>
    Effect.gen(function*() {
      const raw = yield* rawServer((exchange) =>
        exchange.method === "DELETE" ? exchange.status(500) : exchange.status(404)
      )
      const store = watchedStore(left([[call(), "e1"]]))
      const transport = yield* connect(client, raw, { resumptionStore: store })
      yield* failure(transport.terminate)
      yield* eventually(() => store.kept() === undefined)
    }))

  live("SessionTerminated by the server clears the snapshot", () =>
    Effect.gen(function*() {
      const raw = yield* server((exchange) => exchange.message?.id === "gone" ? exchange.status(404) : stuck(exchange))
      const store = watchedStore()
      const transport = yield* connect(client, raw, { resumptionStore: store })
      yield* handshake(transport)
      const next = yield* pulled(transport, call())
      yield* next
      yield* next
      yield* eventually(() => store.kept()?.requests[0] === "1 e1")
      assertError(yield* failure(collect(transport.send(call("gone")))), "SessionTerminated", { by: "Server" })
      yield* eventually(() => store.kept() === undefined)
      assert.deepStrictEqual(yield* stateOf(transport), { _tag: "Terminated", sessionId, by: "Server" })
      assert.isUndefined(afterCrash(store).kept())
    }))

  live("closing with terminateOnClose clears the snapshot before it ends", () =>
    Effect.gen(function*() {
      const store = watchedStore()
      const { close, raw } = yield* opened(store)
      yield* soon(close)
      assert.isUndefined(store.kept())
      assert.strictEqual(store.writes.at(-1), "clear")
      assert.strictEqual(raw.log().at(-1), "DELETE")
      const writes = store.writes.length
      yield* settled
      assert.strictEqual(store.writes.length, writes)
    }))

  live("closing a session that was taken up and not used clears the snapshot, too", () =>
    Effect.gen(function*() {
      const raw = yield* server(stuck)
      const store = watchedStore(left([[call(), "e1"]]))
      const { close } = yield* connectIn(client, raw, { resumptionStore: store })
      yield* soon(close)
      assert.deepStrictEqual(raw.log(), ["DELETE"])
      assert.isUndefined(store.kept())
    }))

  live("closing without terminateOnClose keeps it", () =>
    Effect.gen(function*() {
      const store = watchedStore()
      const { close, raw } = yield* opened(store, { terminateOnClose: false })
      yield* soon(close)
      assert.strictEqual(store.kept()?.sessionId, sessionId)
      yield* settled
      assert.deepStrictEqual(store.kept(), keeping("1 e2"))
      assert.notInclude(raw.log(), "DELETE")
      const next = yield* connect(client, raw, { resumptionStore: store })
      assert.deepStrictEqual(yield* stateOf(next), active)
    }))

  live("closing without having done anything writes nothing, and keeps what was found", () =>
    Effect.gen(function*() {
      const raw = yield* server(stuck)
      for (const found of [undefined, left([[call(), "e1"]])]) {
        const store = watchedStore(found)
        const logs = recordLogs()
        const { close } = yield* connectIn(client, raw, { resumptionStore: store, terminateOnClose: false }).pipe(
          Effect.provide(logs.layer)
        )
        yield* soon(close)
        assert.deepStrictEqual(store.kept(), found === undefined ? undefined : keeping("1 e1"))
        assert.deepStrictEqual(logs.warnings(), [])
      }
    }))

  live("closing waits for the last write", () =>
    Effect.gen(function*() {
      const store = watchedStore(undefined, Effect.sleep("40 millis"))
      const raw = yield* server(({ events }) => {
        const stream = events()
        for (let n = 1; n <= 20; n++) stream.event({ id: `e${n}`, data: progress(n) })
      })
      const { close, transport } = yield* connectIn(client, raw, { resumptionStore: store, terminateOnClose: false })
      yield* handshake(transport)
      const fiber = yield* Effect.fork(collect(transport.send(call())))
      yield* eventually(() => raw.log().includes("POST tools/call"))
      yield* Effect.sleep("20 millis")
      yield* Fiber.interrupt(fiber)
      yield* soon(close)
      assert.deepStrictEqual(store.kept(), keeping("1 e20"))
    }))
})

// --- a bad store ----------------------------------------------------------------------------------------------------

overEveryClient("a resumption store that fails", (client) => {
  const hangs: ResumptionStore.Service = {
    load: Effect.succeedNone,
    save: () => Effect.never,
    clear: Effect.never
  }

  const bad: ReadonlyArray<{ readonly name: string; readonly store: ResumptionStore.Service }> = [
    {
      name: "fails",
      store: { load: failing("load"), save: () => failing("save"), clear: failing("clear") }
    },
    {
      name: "dies",
      store: {
        load: Effect.dieMessage("broken"),
        save: () => Effect.dieMessage("broken"),
        clear: Effect.dieMessage("broken")
      }
    },
    {
      name: "throws",
      store: {
        load: Effect.succeedNone,
        save: () => {
          throw new Error("broken")
        },
        clear: Effect.sync(() => {
          throw new Error("broken")
        })
      }
    },
    {
      name: "is interrupted",
      store: { load: Effect.interrupt, save: () => Effect.interrupt, clear: Effect.interrupt }
    }
  ]

  for (const { name, store } of bad) {
    it.scopedLive(`that ${name} is logged and never fails a send`, () =>
      Effect.gen(function*() {
        const raw = yield* server(({ events }) =>
          events().event({ id: "e1", data: progress(1) }).event({ id: "e2", data: done(1) }).end()
        )
        const logs = recordLogs()
        yield* Effect.gen(function*() {
          const { close, transport } = yield* connectIn(client, raw, { resumptionStore: store })
          assert.deepStrictEqual(yield* stateOf(transport), { _tag: "Idle" })
          yield* soon(handshake(transport))
          assert.deepStrictEqual(yield* soon(collect(transport.send(call()))), [progress(1), done(1)])
          assert.deepStrictEqual(yield* soon(StreamableHttpTransport.request(transport, call())), done(1))
          yield* assertUsable(transport, "Active", sessionId)
          yield* eventually(() => logs.warnings().some((line) => line.includes("the resumption store failed")))
          yield* soon(transport.terminate)
          yield* soon(close)
        }).pipe(Effect.provide(logs.layer))
        assert.isTrue(logs.warnings().every((line) => line.includes("the resumption store failed")))
        assert.isTrue(logs.warnings().every((line) => line.includes("@effect-mcp/transport")))
        assert.notInclude(logs.lines.join("\n"), sessionId)
      }))
  }

  live("once is written again by the next change", () =>
    Effect.gen(function*() {
      let failures = 2
      const store = watchedStore(undefined, Effect.suspend(() => failures-- > 0 ? failing("save") : Effect.void))
      const raw = yield* server(stuck)
      const transport = yield* connect(client, raw, { resumptionStore: store })
      yield* handshake(transport)
      yield* settled
      for (const id of [1, 2, 3]) {
        const next = yield* pulled(transport, call(id))
        yield* next
        yield* next
        yield* Effect.sleep("10 millis")
      }
      yield* eventually(() => store.kept() !== undefined)
      assert.deepStrictEqual(store.kept(), keeping("1 e1", "2 e1", "3 e1"))
    }))

  it.scopedLive("by hanging holds up no send, and closing no longer than terminateTimeout", () =>
    Effect.gen(function*() {
      const raw = yield* server(({ events }) =>
        events().event({ id: "e1", data: progress(1) }).event({ id: "e2", data: done(1) }).end()
      )
      for (const terminateOnClose of [true, false]) {
        let stopped = 0
        const save = Effect.onInterrupt(Effect.never, () => Effect.sync(() => stopped++))
        const store = { ...hangs, save: () => save, clear: save }
        const { close, transport } = yield* connectIn(client, raw, {
          resumptionStore: store,
          terminateOnClose,
          terminateTimeout: "60 millis"
        })
        yield* soon(handshake(transport))
        for (let n = 0; n < 5; n++) {
          assert.deepStrictEqual(yield* soon(collect(transport.send(call()))), [progress(1), done(1)])
        }
        const [took] = yield* Effect.timed(soon(close))
        assert.isBelow(Duration.toMillis(took), 600)
        yield* eventually(() => stopped === 1)
      }
    }))

  it.scopedLive("by hanging does not hold up terminate or an interruption", () =>
    Effect.gen(function*() {
      const raw = yield* server(stuck)
      const transport = yield* connect(client, raw, { resumptionStore: hangs, terminateTimeout: "60 millis" })
      yield* soon(handshake(transport))
      const fiber = yield* Effect.fork(collect(transport.send(call())))
      yield* eventually(() => raw.log().includes("POST tools/call"))
      yield* Effect.sleep("20 millis")
      yield* soon(Fiber.interrupt(fiber))
      yield* soon(transport.terminate)
      assert.include(raw.log(), "DELETE")
    }))

  it.scopedLive("by hanging on load can be given up", () =>
    Effect.gen(function*() {
      const raw = yield* server(stuck)
      const made = connect(client, raw, { resumptionStore: { ...hangs, load: Effect.never } })
      assert.isTrue(Option.isNone(yield* soon(Effect.timeoutOption(made, "30 millis"))))
    }))

  it.scopedLive("is logged without the session id, whatever its error says", () =>
    Effect.gen(function*() {
      const leaky = (method: "save" | "clear" | "load") =>
        new ResumptionStore.ResumptionStoreError({
          method,
          cause: new Error(`could not ${method} {"sessionId":"${sessionId}"}`, {
            cause: new Error(`POST /${sessionId}`)
          })
        })
      const raw = yield* server(stuck)
      const logs = recordLogs()
      yield* Effect.gen(function*() {
        const { close, transport } = yield* connectIn(client, raw, {
          resumptionStore: { load: Effect.succeedNone, save: () => leaky("save"), clear: leaky("clear") }
        })
        yield* handshake(transport)
        yield* eventually(() => logs.warnings().length > 0)
        yield* soon(close)
      }).pipe(Effect.provide(logs.layer))
      assert.notInclude(logs.lines.join("\n"), sessionId)
    }))

  for (
    const text of [
      JSON.stringify(asJson).slice(0, 60),
      JSON.stringify(sessionId),
      sessionId,
      JSON.stringify([asJson]),
      JSON.stringify({ ...asJson, sessionId: [sessionId] }),
      ""
    ]
  ) {
    it.scopedLive(`that holds rubbish (${text.slice(0, 24)}) is logged without it, and overwritten`, () =>
      Effect.gen(function*() {
        const values = yield* Layer.build(KeyValueStore.layerMemory)
        const raw = yield* server(({ json }) => json(answer(1)))
        const logs = recordLogs()
        yield* Effect.gen(function*() {
          const store = yield* ResumptionStore.makeKeyValueStore({ key: "k" })
          yield* (yield* KeyValueStore.KeyValueStore).set("k", text)
          const transport = yield* connect(client, raw, { resumptionStore: store })
          assert.deepStrictEqual(yield* stateOf(transport), { _tag: "Idle" })
          assert.strictEqual(logs.warnings().length, 1)
          yield* handshake(transport)
          yield* settled
          assert.deepStrictEqual(Option.map(yield* store.load, plain), Option.some(keeping()))
          yield* assertUsable(transport, "Active", sessionId)
        }).pipe(Effect.provide(values), Effect.provide(logs.layer))
        assert.strictEqual(logs.warnings().length, 1)
        assert.notInclude(logs.lines.join("\n"), sessionId)
      }))
  }
})

overEveryClient("a slow resumption store", (client) => {
  live("gets few writes for many events, and the last state last", () =>
    Effect.gen(function*() {
      const store = watchedStore(undefined, Effect.sleep("30 millis"))
      const last = 300
      const raw = yield* server(({ events }) => {
        const stream = events()
        for (let n = 1; n <= last; n++) stream.event({ id: `e${n}`, data: progress(n) })
      })
      const transport = yield* connect(client, raw, { resumptionStore: store })
      yield* handshake(transport)
      yield* Effect.forkScoped(Stream.runDrain(transport.send(call())))
      yield* eventually(() => store.kept()?.requests[0] === `1 e${last}`)
      yield* Effect.sleep("70 millis")
      assert.deepStrictEqual(store.kept(), keeping(`1 e${last}`))
      assert.isBelow(store.writes.length, 30)
      const numbers = store.writes.flatMap((write) =>
        write === "clear" ? [] : write.requests.map((entry) => Number(entry.slice("1 e".length)))
      )
      assert.deepStrictEqual(numbers, numbers.toSorted((a, b) => a - b))
    }))

  live("is never written to twice at the same time", () =>
    Effect.gen(function*() {
      let running = 0
      let most = 0
      const store = watchedStore(
        undefined,
        Effect.acquireUseRelease(
          Effect.sync(() => {
            most = Math.max(most, ++running)
          }),
          () => Effect.sleep("5 millis"),
          () => Effect.sync(() => void running--)
        )
      )
      const raw = yield* server(({ events, message }) => {
        const stream = events()
        for (let n = 1; n <= 10; n++) stream.event({ id: `${message?.id}-${n}`, data: progress(n) })
        stream.event({ data: answer(message?.id) }).end()
      })
      const { close, transport } = yield* connectIn(client, raw, { resumptionStore: store })
      yield* handshake(transport)
      yield* Effect.forEach([1, 2, 3, 4], (id) => Effect.forEach([1, 2, 3], () => collect(transport.send(call(id)))), {
        concurrency: 4,
        discard: true
      })
      yield* eventually(() => store.kept()?.requests.length === 0)
      yield* soon(close)
      assert.strictEqual(most, 1)
      assert.isUndefined(store.kept())
    }))
})
