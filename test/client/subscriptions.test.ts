/**
 * Subscriptions: one for all who listen, in the way of the era, kept up for as long as somebody does.
 */
import { McpClient } from "@effect-mcp/client"
import * as ScriptedServer from "@effect-mcp/testing/ScriptedServer"
import * as TestTransport from "@effect-mcp/testing/TestTransport"
import { JsonRpc, StreamableHttpTransport, TransportError } from "@effect-mcp/transport"
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import {
  changed,
  collecting,
  connected,
  discoverResult,
  eras,
  everything,
  failureOf,
  isRunning,
  metaOf,
  now,
  settle,
  start,
  updated
} from "./support/calls.ts"

const { error, result } = TestTransport

const uri = "file:///a"

const acknowledged = (incoming: TestTransport.IncomingRequest, notifications?: unknown) =>
  incoming.reply(JsonRpc.notification("notifications/subscriptions/acknowledged", {
    notifications: notifications ?? incoming.message.params?.notifications,
    _meta: { "io.modelcontextprotocol/subscriptionId": incoming.message.id }
  }))

const pass = (millis: number) => Effect.zipRight(TestClock.adjust(millis), settle)

const lost = new TransportError.ConnectionError({ phase: "Body", outcome: "Unknown" })

/** Waits for what was set going by an unsubscribing listener. */
const leave = <A, E>({ fiber }: { readonly fiber: Fiber.RuntimeFiber<A, E> }) =>
  Effect.zipRight(now(Fiber.interrupt(fiber)), settle)

describe("servers with sessions", () => {
  const replies = { "resources/subscribe": result({}), "resources/unsubscribe": result({}) }

  it.scoped("all who listen to a resource share one subscription; the last one ends it", () =>
    Effect.gen(function*() {
      const { client, methods, sent, server } = yield* connected("Legacy", replies)
      const one = yield* collecting(client.subscribe(uri))
      const two = yield* collecting(client.subscribe(uri))
      const other = yield* collecting(client.subscribe("file:///b"))
      assert.deepStrictEqual(yield* methods, ["resources/subscribe", "resources/subscribe"])
      yield* server.push(updated(uri))
      yield* server.push(updated("file:///b"))
      yield* settle
      assert.deepStrictEqual(one.seen, [{ uri, afterGap: false }])
      assert.deepStrictEqual(two.seen, one.seen)
      assert.deepStrictEqual(other.seen, [{ uri: "file:///b", afterGap: false }])
      yield* leave(one)
      assert.deepStrictEqual(yield* sent("resources/unsubscribe"), [])
      yield* leave(two)
      const [unsubscribe, ...more] = yield* sent("resources/unsubscribe")
      assert.deepStrictEqual(more, [])
      assert(unsubscribe !== undefined && "params" in unsubscribe)
      assert.deepStrictEqual<unknown>(unsubscribe.params, { uri })
      yield* server.push(updated("file:///b"))
      yield* settle
      assert.strictEqual(other.seen.length, 2)
    }))

  it.scoped("listeners that come while the server has not agreed share the request, and all wait for it", () =>
    Effect.gen(function*() {
      const { client, next, methods } = yield* connected("Legacy", { "resources/unsubscribe": result({}) })
      const listeners = yield* Effect.forEach([1, 2, 3], () => collecting(client.subscribe(uri)))
      yield* (yield* next).reply(result({}))
      yield* settle
      assert.deepStrictEqual(yield* methods, ["resources/subscribe"])
      for (const listener of listeners) assert.isTrue(yield* isRunning(listener.fiber))
    }))

  it.scoped("what a part of the resource does is told", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected("Legacy", replies)
      const { seen } = yield* collecting(client.subscribe("file:///d"))
      for (const part of ["file:///d/e", "file:///d/e/f", "file:///dx", "file:///", "file:///d"]) {
        yield* server.push(updated(part))
      }
      yield* server.push(JsonRpc.notification("notifications/resources/updated", { uri: 7 }))
      yield* server.push(JsonRpc.notification("notifications/resources/updated"))
      yield* settle
      assert.deepStrictEqual(seen.map((update) => update.uri), ["file:///d/e", "file:///d/e/f", "file:///d"])
    }))

  it.scoped("the first attempt fails: so does the stream, and nothing is unsubscribed", () =>
    Effect.gen(function*() {
      const { client, methods } = yield* connected("Legacy", {
        "resources/subscribe": error({ code: -32002, message: "no such resource" })
      })
      const { fiber } = yield* collecting(client.subscribe(uri))
      assert.strictEqual((yield* failureOf("JsonRpcError", fiber)).code, -32002)
      yield* settle
      assert.deepStrictEqual(yield* methods, ["resources/subscribe"])
    }))

  it.scoped("who tries again after a failure subscribes again", () =>
    Effect.gen(function*() {
      const answers = [error({ code: -32603, message: "" }), result({})]
      const { client, server } = yield* connected("Legacy", { "resources/subscribe": () => answers.shift() })
      const first = yield* collecting(client.subscribe(uri))
      yield* failureOf("JsonRpcError", first.fiber)
      const { seen } = yield* collecting(client.subscribe(uri))
      yield* server.push(updated(uri))
      yield* settle
      assert.deepStrictEqual(seen, [{ uri, afterGap: false }])
    }))

  it.scoped("an end that is on its way does not end what begins after it", () =>
    Effect.gen(function*() {
      const { client, next, methods } = yield* connected("Legacy", { "resources/subscribe": result({}) })
      yield* leave(yield* collecting(client.subscribe(uri)))
      const again = yield* collecting(client.subscribe(uri))
      assert.deepStrictEqual(yield* methods, ["resources/subscribe", "resources/unsubscribe"])
      yield* (yield* next).reply(result({}))
      yield* settle
      assert.deepStrictEqual(yield* methods, ["resources/subscribe", "resources/unsubscribe", "resources/subscribe"])
      assert.isTrue(yield* isRunning(again.fiber))
    }))

  it.scoped("an end that is never answered holds up the next for five seconds at most", () =>
    Effect.gen(function*() {
      const { client, sent, server } = yield* connected("Legacy", {
        "resources/subscribe": result({}),
        "resources/unsubscribe": TestTransport.never
      })
      yield* leave(yield* collecting(client.subscribe(uri)))
      const { seen } = yield* collecting(client.subscribe(uri))
      yield* pass(5000)
      assert.strictEqual((yield* sent("resources/subscribe")).length, 2)
      yield* server.push(updated(uri))
      yield* settle
      assert.strictEqual(seen.length, 1)
    }))

  it.scoped("leaving does not wait for the server", () =>
    Effect.gen(function*() {
      const { client } = yield* connected("Legacy", {
        "resources/subscribe": result({}),
        "resources/unsubscribe": TestTransport.never
      })
      const { fiber } = yield* collecting(client.subscribe(uri))
      yield* now(Fiber.interrupt(fiber))
    }))

  it.scoped("interrupting the first attempt cancels it", () =>
    Effect.gen(function*() {
      const { client, methods, next } = yield* connected("Legacy", { "resources/unsubscribe": result({}) })
      const { fiber } = yield* collecting(client.subscribe(uri))
      yield* next
      yield* now(Fiber.interrupt(fiber))
      yield* settle
      const sent = yield* methods
      assert.strictEqual(sent.filter((method) => method === "notifications/cancelled").length, 1)
      assert.isAtMost(sent.filter((method) => method === "resources/unsubscribe").length, 1)
    }))

  it.scoped("a new session is told of what is listened to, then the gap is", () =>
    Effect.gen(function*() {
      const { client, next, sent, server } = yield* connected("Legacy", { "resources/unsubscribe": result({}) })
      const listening = yield* collecting(client.subscribe(uri))
      yield* (yield* next).reply(result({}))
      yield* settle
      yield* server.terminateByServer
      yield* now(client.ping)
      yield* settle
      const again = yield* next
      assert.deepStrictEqual(listening.seen, [], "nothing is certain before the server has agreed")
      yield* again.reply(result({}))
      yield* settle
      assert.deepStrictEqual(listening.seen, [{ uri, afterGap: true }])
      assert.strictEqual((yield* sent("resources/subscribe")).length, 2)
    }))

  it.scoped("list changes come unasked", () =>
    Effect.gen(function*() {
      const { client, methods, server } = yield* connected("Legacy")
      const one = yield* collecting(client.listChanges)
      const two = yield* collecting(client.listChanges)
      for (const list of ["tools", "prompts", "resources"] as const) yield* server.push(changed(list))
      yield* settle
      const expected = ["tools", "prompts", "resources"].map((list) => ({ list, afterGap: false }))
      assert.deepStrictEqual<unknown>(one.seen, expected)
      assert.deepStrictEqual<unknown>(two.seen, expected)
      yield* leave(one)
      yield* leave(two)
      assert.deepStrictEqual(yield* methods, [])
    }))
})

describe("stateless servers", () => {
  it.scoped("one stream for all who listen to the same thing, closed by the last", () =>
    Effect.gen(function*() {
      const { client, methods, next, server } = yield* connected("Modern")
      const one = yield* collecting(client.subscribe(uri))
      const two = yield* collecting(client.subscribe(uri))
      const listening = yield* next
      assert.deepStrictEqual<unknown>(listening.message.params?.notifications, { resourceSubscriptions: [uri] })
      assert.strictEqual(metaOf(listening.message)["io.modelcontextprotocol/protocolVersion"], "2026-07-28")
      yield* acknowledged(listening)
      yield* listening.reply(updated(uri))
      yield* settle
      assert.deepStrictEqual(one.seen, [{ uri, afterGap: false }])
      assert.deepStrictEqual(two.seen, one.seen)
      assert.deepStrictEqual(yield* methods, ["subscriptions/listen"])
      yield* leave(one)
      assert.isTrue(yield* listening.isOpen)
      yield* leave(two)
      assert.strictEqual(yield* now(listening.awaitEnd), "Interrupted")
      assert.deepStrictEqual(yield* methods, ["subscriptions/listen"], "closing the stream is all")
      assert.strictEqual((yield* server.interrupted).length, 1)
    }))

  it.scoped("list changes: only what the server declares is asked for", () =>
    Effect.gen(function*() {
      const { client, next } = yield* connected("Modern", {}, {
        server: { tools: { listChanged: true }, prompts: {}, resources: { listChanged: true } }
      })
      const { seen } = yield* collecting(client.listChanges)
      const listening = yield* next
      assert.deepStrictEqual<unknown>(listening.message.params?.notifications, {
        toolsListChanged: true,
        resourcesListChanged: true
      })
      yield* acknowledged(listening, { toolsListChanged: true })
      yield* listening.reply(changed("tools"))
      yield* settle
      assert.deepStrictEqual(seen, [{ list: "tools", afterGap: false }])
    }))

  const refusals: ReadonlyArray<readonly [string, unknown]> = [
    ["nothing of it", {}],
    ["something else", { toolsListChanged: true }],
    ["false", { resourceSubscriptions: false }],
    ["none", { resourceSubscriptions: [] }],
    ["nonsense", 7]
  ]
  it.scoped.each(refusals)(
    "agreed to %s: CapabilityMissing, and the stream is closed",
    ([, notifications]) =>
      Effect.gen(function*() {
        const { client, next } = yield* connected("Modern")
        const { fiber } = yield* collecting(client.subscribe(uri))
        const listening = yield* next
        yield* acknowledged(listening, notifications)
        const failure = yield* failureOf("CapabilityMissing", fiber)
        assert.strictEqual(failure.target, uri)
        assert.strictEqual(failure.capability, "resources.subscribe")
        assert.strictEqual(yield* now(listening.awaitEnd), "Interrupted")
      })
  )

  const firsts: ReadonlyArray<readonly [string, TransportError.TransportError]> = [
    ["ConnectionError", lost],
    ["HttpStatusError", new TransportError.HttpStatusError({ method: "POST", status: 503, outcome: "NotExecuted" })],
    ["ProtocolError", new TransportError.ProtocolError({ reason: "NoResponse", description: "", outcome: "Unknown" })]
  ]
  it.scoped.each(firsts)(
    "the first attempt fails with %s: so does the stream, unchanged",
    ([, failure]) =>
      Effect.gen(function*() {
        const { client, sent } = yield* connected("Modern", { "subscriptions/listen": TestTransport.fail(failure) })
        const { fiber } = yield* collecting(client.subscribe(uri))
        const exit = yield* now(Fiber.await(fiber))
        assert(Exit.isFailure(exit) && exit.cause._tag === "Fail")
        assert.strictEqual(exit.cause.error, failure)
        yield* pass(60_000)
        assert.strictEqual((yield* sent()).length, 1)
      })
  )

  it.scoped("an error in the place of the agreement", () =>
    Effect.gen(function*() {
      const { client } = yield* connected("Modern", { "subscriptions/listen": error({ code: -32601, message: "no" }) })
      const { fiber } = yield* collecting(client.listChanges)
      assert.strictEqual((yield* failureOf("JsonRpcError", fiber)).code, -32601)
    }))

  it.scoped("an end in the place of the agreement", () =>
    Effect.gen(function*() {
      const { client } = yield* connected("Modern", { "subscriptions/listen": result({ resultType: "complete" }) })
      const { fiber } = yield* collecting(client.listChanges)
      yield* failureOf("CapabilityMissing", fiber)
    }))

  it.scoped("a server that never agrees is given up when idleTimeout is over", () =>
    Effect.gen(function*() {
      const { client, next } = yield* connected("Modern", {}, { idleTimeout: 1000 })
      const { fiber } = yield* collecting(client.subscribe(uri))
      const listening = yield* next
      yield* pass(999)
      assert.isTrue(yield* isRunning(fiber))
      yield* pass(1)
      const failure = yield* failureOf("RequestTimeout", fiber)
      assert.strictEqual(failure.method, "subscriptions/listen")
      assert.strictEqual(yield* now(listening.awaitEnd), "Interrupted")
    }))

  it.scoped("a subscription that stands has no limit", () =>
    Effect.gen(function*() {
      const { client, next } = yield* connected("Modern", {}, { idleTimeout: 1000, timeout: 5000 })
      const { fiber, seen } = yield* collecting(client.subscribe(uri))
      const listening = yield* next
      yield* acknowledged(listening)
      yield* pass(100 * 24 * 3_600_000)
      assert.isTrue(yield* isRunning(fiber))
      yield* listening.reply(updated(uri))
      yield* settle
      assert.strictEqual(seen.length, 1)
    }))

  it.scoped("a stream that breaks is opened again; the gap is told once the server has agreed", () =>
    Effect.gen(function*() {
      const { client, next } = yield* connected("Modern")
      const { seen } = yield* collecting(client.subscribe(uri))
      const first = yield* next
      yield* acknowledged(first)
      yield* first.reply(updated(uri))
      yield* first.fail(lost)
      yield* settle
      assert.deepStrictEqual(seen, [{ uri, afterGap: false }])
      yield* pass(500)
      const second = yield* next
      assert.notStrictEqual(second.message.id, first.message.id)
      assert.deepStrictEqual(second.message.params?.notifications, first.message.params?.notifications)
      assert.strictEqual(seen.length, 1)
      yield* acknowledged(second)
      yield* second.reply(updated(uri))
      yield* settle
      assert.deepStrictEqual(seen.slice(1), [{ uri, afterGap: true }, { uri, afterGap: false }])
    }))

  it.scoped("a gap of the lists is one of each that can change", () =>
    Effect.gen(function*() {
      const { client, next } = yield* connected("Modern", {}, {
        server: { tools: { listChanged: true }, prompts: { listChanged: true } }
      })
      const { seen } = yield* collecting(client.listChanges)
      const first = yield* next
      yield* acknowledged(first)
      yield* first.end
      yield* pass(500)
      yield* acknowledged(yield* next)
      yield* settle
      assert.deepStrictEqual(seen, [{ list: "tools", afterGap: true }, { list: "prompts", afterGap: true }])
    }))

  it.scoped("a graceful end is no failure: it is opened again", () =>
    Effect.gen(function*() {
      const { client, next } = yield* connected("Modern")
      const { fiber, seen } = yield* collecting(client.subscribe(uri))
      const first = yield* next
      yield* acknowledged(first)
      yield* first.reply(result({ resultType: "complete" }))
      yield* pass(500)
      yield* acknowledged(yield* next)
      yield* settle
      assert.isTrue(yield* isRunning(fiber))
      assert.deepStrictEqual(seen, [{ uri, afterGap: true }])
    }))

  it.scoped("attempts come ever later, half a minute apart at most; a stream that stood begins anew", () =>
    Effect.gen(function*() {
      const { client, next, sent } = yield* connected("Modern")
      const { fiber } = yield* collecting(client.subscribe(uri))
      yield* acknowledgedAndLost(yield* next, 0)
      const delays = [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]
      let attempts = 1
      for (const delay of delays) {
        yield* pass(delay - 1)
        assert.strictEqual((yield* sent()).length, attempts, `not before ${delay}`)
        yield* pass(1)
        assert.strictEqual((yield* sent()).length, ++attempts, `after ${delay}`)
        yield* (yield* next).fail(lost)
        yield* settle
      }
      yield* pass(30_000)
      yield* acknowledgedAndLost(yield* next, 10_000)
      yield* pass(500)
      yield* acknowledgedAndLost(yield* next, 9_999)
      yield* pass(999)
      assert.strictEqual((yield* sent()).length, attempts + 2)
      yield* pass(1)
      assert.strictEqual((yield* sent()).length, attempts + 3, "one that did not stand goes on in the row")
      assert.isTrue(yield* isRunning(fiber))
    }))

  const acknowledgedAndLost = (incoming: TestTransport.IncomingRequest, stood: number) =>
    Effect.gen(function*() {
      yield* acknowledged(incoming)
      yield* settle
      yield* pass(stood)
      yield* incoming.fail(lost)
      yield* settle
    })

  const ends: ReadonlyArray<readonly [string, TransportError.TransportError]> = [
    ["403", new TransportError.HttpStatusError({ method: "POST", status: 403, outcome: "NotExecuted" })],
    ["a closed transport", new TransportError.ConnectionError({ phase: "Closed", outcome: "NotExecuted" })]
  ]
  it.scoped.each(ends)("what does not get better ends it: %s", ([, failure]) =>
    Effect.gen(function*() {
      const { client, next } = yield* connected("Modern")
      const { fiber } = yield* collecting(client.subscribe(uri))
      const first = yield* next
      yield* acknowledged(first)
      yield* first.fail(lost)
      yield* pass(500)
      yield* (yield* next).fail(failure)
      const exit = yield* now(Fiber.await(fiber))
      assert(Exit.isFailure(exit) && exit.cause._tag === "Fail")
      assert.strictEqual(exit.cause.error, failure)
    }))

  it.scoped("a server that no longer agrees ends it", () =>
    Effect.gen(function*() {
      const { client, next } = yield* connected("Modern")
      const { fiber } = yield* collecting(client.subscribe(uri))
      const first = yield* next
      yield* acknowledged(first)
      yield* first.end
      yield* pass(500)
      yield* acknowledged(yield* next, {})
      yield* failureOf("CapabilityMissing", fiber)
    }))

  it.scoped("leaving between two attempts ends the attempts", () =>
    Effect.gen(function*() {
      const { client, next, sent } = yield* connected("Modern")
      const listening = yield* collecting(client.subscribe(uri))
      const first = yield* next
      yield* acknowledged(first)
      yield* first.end
      yield* settle
      yield* leave(listening)
      yield* pass(60_000)
      assert.strictEqual((yield* sent()).length, 1)
    }))
})

describe.each(eras)("closing, %s", (era) => {
  it.scoped("the end of the client ends all streams, and the server's as well", () =>
    Effect.gen(function*() {
      const { client, close, next, server } = yield* connected(era, { "resources/subscribe": result({}) })
      const updates = yield* collecting(client.subscribe(uri))
      if (era === "Modern") yield* acknowledged(yield* next)
      const lists = yield* collecting(client.listChanges)
      if (era === "Modern") yield* acknowledged(yield* next)
      yield* settle
      yield* now(close)
      for (const { fiber } of [updates, lists]) {
        const exit = yield* now(Fiber.await(fiber))
        assert.isTrue(Exit.isSuccess(exit), String(exit))
      }
      yield* settle
      assert.strictEqual((yield* server.interrupted).length, era === "Modern" ? 2 : 0)
      const later = yield* start(Stream.runDrain(client.subscribe(uri)))
      assert.strictEqual((yield* failureOf("ConnectionError", later)).phase, "Closed")
    }))
})

describe("over HTTP", () => {
  it.scopedLive("list changes and updates of a stateless server, and the stream is closed by leaving", () =>
    Effect.gen(function*() {
      const server = yield* ScriptedServer.makeLoopback((exchange) => {
        const { message } = exchange
        const answer = (result: unknown) => exchange.json({ jsonrpc: "2.0", id: message?.id, result })
        if (message?.method === "server/discover") return answer(discoverResult(everything))
        if (message?.method !== "subscriptions/listen") return exchange.status(404)
        const events = exchange.events()
        const params: unknown = message.params
        const notifications: unknown = typeof params === "object" && params !== null
          ? Reflect.get(params, "notifications")
          : undefined
        events.event({
          data: { jsonrpc: "2.0", method: "notifications/subscriptions/acknowledged", params: { notifications } }
        })
        events.event({ data: JSON.stringify(notifications).includes("tools") ? changed("tools") : updated(uri) })
      })
      yield* Effect.gen(function*() {
        const client = yield* McpClient.McpClient
        const [change] = yield* Stream.runCollect(Stream.take(client.listChanges, 1))
        const [update] = yield* Stream.runCollect(Stream.take(client.subscribe(uri), 1))
        assert.deepStrictEqual(change, { list: "tools", afterGap: false })
        assert.deepStrictEqual(update, { uri, afterGap: false })
        const open = Effect.zipRight(Effect.sleep("5 millis"), server.openExchanges)
        yield* Effect.repeat(open, { until: (count) => count === 0 }).pipe(Effect.timeout("5 seconds"))
      }).pipe(Effect.provide(
        McpClient.layer({ clientInfo: { name: "test", version: "1" } }).pipe(
          Layer.provide(StreamableHttpTransport.layer({ url: server.url })),
          Layer.provide(FetchHttpClient.layer)
        )
      ))
    }))
})
