/**
 * Log messages and notifications: who gets them, and from which level on the server is to send them.
 */
import * as TestTransport from "@effect-mcp/testing/TestTransport"
import { JsonRpc } from "@effect-mcp/transport"
import { assert, describe, it } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import {
  changed,
  collecting,
  connected,
  type Era,
  eras,
  failedWith,
  listed,
  logOf,
  metaOf,
  now,
  settle,
  start,
  type Subject,
  text,
  updated
} from "./support/calls.ts"

const { error, result } = TestTransport

const levelKey = "io.modelcontextprotocol/logLevel"

/** Lets the server send something: on its own stream, or on that of a call. */
const tell = (era: Era, subject: Subject, ...notifications: ReadonlyArray<JsonRpc.Notification>) =>
  Effect.gen(function*() {
    if (era === "Legacy") {
      yield* Effect.forEach(notifications, subject.server.push)
    } else {
      const calling = yield* start(subject.client.request("test/tell"))
      const incoming = yield* subject.next
      yield* Effect.forEach(notifications, incoming.reply)
      yield* incoming.reply(result({}))
      yield* now(Fiber.join(calling))
    }
    yield* settle
  })

describe.each(eras)("logs, %s", (era) => {
  it.scoped("every listener gets every message from now on, in order", () =>
    Effect.gen(function*() {
      const subject = yield* connected(era)
      yield* tell(era, subject, logOf("nobody listens"))
      const first = yield* collecting(subject.client.logs)
      yield* tell(era, subject, logOf({ a: [1] }), logOf(null, "emergency"))
      const second = yield* collecting(subject.client.logs)
      yield* tell(
        era,
        subject,
        JsonRpc.notification("notifications/message", { level: "debug", data: 3, logger: "l", x: 1 })
      )
      assert.deepStrictEqual<unknown>(first.seen, [
        { level: "info", data: { a: [1] } },
        { level: "emergency", data: null },
        { level: "debug", data: 3, logger: "l", x: 1 }
      ])
      assert.deepStrictEqual<unknown>(second.seen, [{ level: "debug", data: 3, logger: "l", x: 1 }])
    }))

  it.scoped("what is no log message is not one, and harms nothing", () =>
    Effect.gen(function*() {
      const subject = yield* connected(era)
      const logs = yield* collecting(subject.client.logs)
      const all = yield* collecting(subject.client.notifications)
      const params: ReadonlyArray<JsonRpc.Params | undefined> = [
        undefined,
        {},
        { level: "info" },
        { level: "loud", data: 1 },
        { level: "info", data: 1, logger: 7 }
      ]
      yield* tell(
        era,
        subject,
        ...params.map((given) => JsonRpc.notification("notifications/message", given)),
        logOf("good")
      )
      assert.deepStrictEqual(logs.seen.map(({ data }) => data), ["good"])
      assert.strictEqual(all.seen.length, params.length + 1)
    }))

  it.scoped("a listener that sleeps loses the oldest and holds up nobody", () =>
    Effect.gen(function*() {
      const subject = yield* connected(era)
      const sleeper = yield* start(Stream.runHead(Stream.mapEffect(subject.client.logs, () => Effect.never)))
      const { seen } = yield* collecting(subject.client.logs)
      for (let from = 0; from < 3000; from += 50) {
        yield* tell(era, subject, ...Array.from({ length: 50 }, (_, index) => logOf(from + index)))
      }
      assert.strictEqual(seen.length, 3000)
      yield* now(Fiber.interrupt(sleeper))
    }), 30_000)

  it.scoped("the streams end when the client is closed, also for who comes later", () =>
    Effect.gen(function*() {
      const subject = yield* connected(era)
      const { client } = subject
      const logs = yield* collecting(client.logs)
      const all = yield* collecting(client.notifications)
      const updates = yield* collecting(client.stateChanges)
      yield* now(subject.close)
      yield* now(Fiber.join(logs.fiber))
      yield* now(Fiber.join(all.fiber))
      yield* now(Fiber.join(updates.fiber))
      assert.deepStrictEqual(yield* listed(client.logs), [])
      assert.deepStrictEqual(yield* listed(client.notifications), [])
    }))
})

describe.each(eras)("notifications, %s", (era) => {
  it.scoped("every notification, known or not, as it came", () =>
    Effect.gen(function*() {
      const subject = yield* connected(era)
      const { seen } = yield* collecting(subject.client.notifications)
      const sent = [
        changed("tools"),
        updated("file:///a"),
        logOf("x"),
        JsonRpc.notification("notifications/of/an/extension", { deep: { a: [null] }, _meta: { b: 1 } }),
        JsonRpc.notification("notifications/bare")
      ]
      yield* tell(era, subject, ...sent)
      assert.deepStrictEqual<unknown>(seen, sent)
    }))

  it.scoped("also those on the stream of a call, except its own progress", () =>
    Effect.gen(function*() {
      const subject = yield* connected(era)
      const { seen } = yield* collecting(subject.client.notifications)
      const calling = yield* start(subject.client.callTool("a"))
      const incoming = yield* subject.next
      const sent = [
        logOf("x"),
        JsonRpc.notification("notifications/progress", { progressToken: "foreign", progress: 1 })
      ]
      yield* Effect.forEach(sent, incoming.reply)
      yield* incoming.reply(result(text("")))
      yield* now(Fiber.join(calling))
      yield* settle
      assert.deepStrictEqual<unknown>(seen, sent)
    }))

  it.scoped("a failing or slow listener is its own affair", () =>
    Effect.gen(function*() {
      const subject = yield* connected(era)
      const failing = yield* start(
        Effect.exit(Stream.runForEach(subject.client.notifications, () => Effect.die("mine")))
      )
      const { seen } = yield* collecting(subject.client.notifications)
      yield* tell(era, subject, changed("tools"), changed("prompts"))
      yield* now(Fiber.join(failing))
      assert.strictEqual(seen.length, 2)
    }))

  it.scoped("take(1) leaves no listener behind", () =>
    Effect.gen(function*() {
      const subject = yield* connected(era)
      const taking = yield* start(Stream.runCollect(Stream.take(subject.client.notifications, 1)))
      yield* tell(era, subject, changed("tools"), changed("prompts"))
      assert.strictEqual(Chunk.size(yield* now(Fiber.join(taking))), 1)
    }))
})

describe("setLogLevel, Legacy", () => {
  it.scoped("tells the server once", () =>
    Effect.gen(function*() {
      const { client, sent } = yield* connected("Legacy", { "logging/setLevel": result({}), "x/y": result({}) })
      yield* now(client.setLogLevel("warning"))
      yield* now(client.request("x/y"))
      assert.deepStrictEqual<unknown>(
        (yield* sent()).map((message) => "params" in message ? message.params : undefined),
        [{ level: "warning" }, undefined]
      )
    }))

  it.scoped("of the options: told after connecting", () =>
    Effect.gen(function*() {
      const { sent } = yield* connected("Legacy", { "logging/setLevel": result({}) }, { logLevel: "error" })
      yield* settle
      const [message] = yield* sent("logging/setLevel")
      assert(message !== undefined && "params" in message)
      assert.deepStrictEqual<unknown>(message.params, { level: "error" })
    }))

  it.scoped("of the options, with a server that does not log: nothing is told, nothing fails", () =>
    Effect.gen(function*() {
      const { client, methods } = yield* connected("Legacy", { "x/y": result({}) }, { logLevel: "error", server: {} })
      yield* now(client.request("x/y"))
      assert.deepStrictEqual(yield* methods, ["x/y"])
    }))

  it.scoped("what the server refuses is a failure, and is not restored later", () =>
    Effect.gen(function*() {
      const replies = [result({}), error({ code: -32602, message: "no such level" }), result({})]
      const { client, sent, server } = yield* connected("Legacy", { "logging/setLevel": () => replies.shift() })
      yield* now(client.setLogLevel("notice"))
      assert.strictEqual((yield* failedWith("JsonRpcError", client.setLogLevel("debug"))).method, "logging/setLevel")
      yield* server.terminateByServer
      yield* now(client.ping)
      yield* settle
      const levels = (yield* sent("logging/setLevel")).map((message) =>
        "params" in message ? message.params?.level : ""
      )
      assert.deepStrictEqual(levels, ["notice", "debug", "notice"])
    }))
})

describe("setLogLevel, Modern", () => {
  const levels = ({ sent }: Subject, method: string) =>
    Effect.map(sent(method), (messages) => messages.map((message) => metaOf(message)[levelKey]))

  it.scoped("goes with every request from then on, and tells nothing by itself", () =>
    Effect.gen(function*() {
      const subject = yield* connected("Modern", { "x/y": result({}), "tools/call": result({ content: [] }) })
      const { client } = subject
      yield* now(client.request("x/y"))
      yield* now(client.setLogLevel("warning"))
      assert.deepStrictEqual(yield* subject.methods, ["x/y"])
      yield* now(client.request("x/y"))
      yield* now(client.callTool("a"))
      yield* now(client.setLogLevel("debug"))
      yield* now(client.request("x/y"))
      assert.deepStrictEqual(yield* levels(subject, "x/y"), [undefined, "warning", "debug"])
      assert.deepStrictEqual(yield* levels(subject, "tools/call"), ["warning"])
      const [first] = yield* subject.sent("x/y")
      assert.notProperty(metaOf(first), levelKey)
    }))

  it.scoped("of the options", () =>
    Effect.gen(function*() {
      const subject = yield* connected("Modern", { "x/y": result({}) }, { logLevel: "alert" })
      yield* now(subject.client.request("x/y"))
      assert.deepStrictEqual(yield* levels(subject, "x/y"), ["alert"])
    }))

  it.scoped("one call may ask for another level", () =>
    Effect.gen(function*() {
      const subject = yield* connected("Modern", { "x/y": result({}) }, { logLevel: "alert" })
      yield* now(subject.client.request("x/y", {}, { meta: { [levelKey]: "debug" } }))
      yield* now(subject.client.request("x/y"))
      assert.deepStrictEqual(yield* levels(subject, "x/y"), ["debug", "alert"])
    }))
})
