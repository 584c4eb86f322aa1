/**
 * Answers that the server says may be kept: for how long, how many, and what makes them stale.
 */
import { Elicitation, type McpClient, type McpClientError } from "@effect-mcp/client"
import * as TestTransport from "@effect-mcp/testing/TestTransport"
import type { JsonRpc } from "@effect-mcp/transport"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import {
  changed,
  connected,
  type Era,
  eras,
  failedWith,
  listed,
  now,
  type Replies,
  settle,
  start,
  type Subject,
  type SubjectOptions,
  tool,
  updated
} from "./support/calls.ts"

const { error, result } = TestTransport

type Asking = Effect.Effect<unknown, McpClientError.McpClientError>

interface Cached {
  readonly method: string
  readonly answer: { readonly [member: string]: unknown }
  readonly ask: (client: McpClient.Service) => Asking
  readonly staleBy: JsonRpc.Notification
}

const kinds: ReadonlyArray<Cached> = [
  {
    method: "tools/list",
    answer: { tools: [tool("a")] },
    ask: ({ tools }) => Stream.runCollect(tools),
    staleBy: changed("tools")
  },
  {
    method: "prompts/list",
    answer: { prompts: [] },
    ask: ({ prompts }) => Stream.runCollect(prompts),
    staleBy: changed("prompts")
  },
  {
    method: "resources/list",
    answer: { resources: [] },
    ask: ({ resources }) => Stream.runCollect(resources),
    staleBy: changed("resources")
  },
  {
    method: "resources/templates/list",
    answer: { resourceTemplates: [] },
    ask: ({ resourceTemplates }) => Stream.runCollect(resourceTemplates),
    staleBy: changed("resources")
  },
  {
    method: "resources/read",
    answer: { contents: [] },
    ask: (client) => client.readResource("file:///a"),
    staleBy: updated("file:///a")
  }
]

/** Lets the server say something, on a stream of a call of its own. */
const tell = (subject: Subject, notification: JsonRpc.Notification) =>
  Effect.gen(function*() {
    const calling = yield* start(subject.client.request("test/tell"))
    const incoming = yield* subject.next
    yield* incoming.reply(notification)
    yield* incoming.reply(result({}))
    yield* now(Fiber.join(calling))
    yield* settle
  })

const asked = ({ sent }: Subject, method: string) => Effect.map(sent(method), ({ length }) => length)

describe.each(kinds)("$method", ({ answer, ask, method, staleBy }) => {
  const keeping = (ttlMs: unknown, options: SubjectOptions = {}, era: Era = "Modern") =>
    connected(era, { [method]: result({ ...answer, ttlMs, cacheScope: "public" }) }, options)

  const notKept: ReadonlyArray<unknown> = [undefined, 0, -1, -0]
  it.scoped.each(notKept)("with a ttlMs of %s nothing is kept", (ttlMs) =>
    Effect.gen(function*() {
      const subject = yield* keeping(ttlMs)
      yield* now(ask(subject.client))
      yield* now(ask(subject.client))
      assert.strictEqual(yield* asked(subject, method), 2)
    }))

  it.scoped("is fresh for ttlMs, and not a millisecond longer", () =>
    Effect.gen(function*() {
      const subject = yield* keeping(1000)
      const first = yield* now(ask(subject.client))
      yield* TestClock.adjust(999)
      assert.deepStrictEqual(yield* now(ask(subject.client)), first)
      assert.strictEqual(yield* asked(subject, method), 1)
      yield* TestClock.adjust(1)
      yield* now(ask(subject.client))
      assert.strictEqual(yield* asked(subject, method), 2)
    }))

  const ages: ReadonlyArray<readonly [string, number, SubjectOptions["cache"], number]> = [
    ["an hour by default", 1e15, undefined, 3_600_000],
    ["the maxAge of the application", Number.MAX_VALUE, { maxAge: "10 seconds" }, 10_000]
  ]
  it.scoped.each(ages)("a huge ttlMs is cut to %s", ([, ttlMs, cache, millis]) =>
    Effect.gen(function*() {
      const subject = yield* keeping(ttlMs, { cache })
      yield* now(ask(subject.client))
      yield* TestClock.adjust(millis - 1)
      yield* now(ask(subject.client))
      assert.strictEqual(yield* asked(subject, method), 1)
      yield* TestClock.adjust(1)
      yield* now(ask(subject.client))
      assert.strictEqual(yield* asked(subject, method), 2)
    }))

  it.scoped.each(eras)("the server's notification makes it stale at once: %s", (era) =>
    Effect.gen(function*() {
      const subject = yield* keeping(60_000, {}, era)
      yield* now(ask(subject.client))
      yield* tell(subject, staleBy)
      yield* now(ask(subject.client))
      assert.strictEqual(yield* asked(subject, method), 2)
      if (era === "Modern") return
      yield* subject.server.push(staleBy)
      yield* settle
      yield* now(ask(subject.client))
      assert.strictEqual(yield* asked(subject, method), 3)
    }))

  it.scoped("an answer that became stale on its way is not kept", () =>
    Effect.gen(function*() {
      const subject = yield* connected("Modern")
      const asking = yield* start(ask(subject.client))
      const incoming = yield* subject.next
      yield* incoming.reply(staleBy)
      yield* incoming.reply(result({ ...answer, ttlMs: 60_000 }))
      yield* now(Fiber.join(asking))
      const again = yield* start(ask(subject.client))
      yield* (yield* subject.next).reply(result({ ...answer, ttlMs: 60_000 }))
      yield* now(Fiber.join(again))
      yield* now(ask(subject.client))
      assert.strictEqual(yield* asked(subject, method), 2, "the second answer is fresh")
    }))

  it.scoped("other notifications do not matter", () =>
    Effect.gen(function*() {
      const subject = yield* keeping(60_000)
      yield* now(ask(subject.client))
      for (const other of ["tools", "prompts", "resources"] as const) {
        if (!staleBy.method.includes(`/${other}/list`)) yield* tell(subject, changed(other))
      }
      yield* tell(subject, updated("file:///other"))
      yield* now(ask(subject.client))
      assert.strictEqual(yield* asked(subject, method), 1)
    }))

  it.scoped("cache: false, or no entries, or no age, keep nothing", () =>
    Effect.gen(function*() {
      for (const cache of [false, { maxEntries: 0 }, { maxAge: 0 }] as const) {
        const subject = yield* keeping(60_000, { cache })
        yield* now(ask(subject.client))
        yield* now(ask(subject.client))
        assert.strictEqual(yield* asked(subject, method), 2)
      }
    }))

  it.scoped("a new session knows nothing of what was kept", () =>
    Effect.gen(function*() {
      const subject = yield* keeping(60_000, {}, "Legacy")
      yield* now(ask(subject.client))
      yield* subject.server.terminateByServer
      yield* now(subject.client.ping)
      yield* now(ask(subject.client))
      assert.strictEqual(yield* asked(subject, method), 2)
    }))

  it.scoped("errors and what cannot be decoded are not kept", () =>
    Effect.gen(function*() {
      const replies = [
        error({ code: -32603, message: "" }),
        result({ ttlMs: 60_000 }),
        result({ ...answer, ttlMs: 60_000 })
      ]
      const subject = yield* connected("Modern", { [method]: () => replies.shift() })
      yield* failedWith("JsonRpcError", ask(subject.client))
      yield* failedWith("DecodeError", ask(subject.client))
      yield* now(ask(subject.client))
      yield* now(ask(subject.client))
      assert.strictEqual(yield* asked(subject, method), 3)
    }))
})

describe("per page", () => {
  const pages: Replies = {
    "prompts/list": ({ params }) =>
      params?.cursor === undefined
        ? result({ prompts: [{ name: "a" }], nextCursor: "", ttlMs: 5000 })
        : params.cursor === ""
        ? result({ prompts: [{ name: "b" }], nextCursor: "c", ttlMs: 1000 })
        : result({ prompts: [{ name: "c" }] })
  }
  it.scoped("each page is kept for as long as it says, by its cursor", () =>
    Effect.gen(function*() {
      const subject = yield* connected("Modern", pages)
      const names = Effect.map(listed(subject.client.prompts), (prompts) => prompts.map(({ name }) => name))
      const expected = ["a", "b", "c"]
      assert.deepStrictEqual(yield* names, expected)
      assert.strictEqual(yield* asked(subject, "prompts/list"), 3)
      assert.deepStrictEqual(yield* names, expected)
      assert.strictEqual(yield* asked(subject, "prompts/list"), 4)
      yield* TestClock.adjust(1000)
      assert.deepStrictEqual(yield* names, expected)
      assert.strictEqual(yield* asked(subject, "prompts/list"), 6)
    }))

  it.scoped("a cursor that is refused makes all pages stale", () =>
    Effect.gen(function*() {
      let isRefused = false
      const subject = yield* connected("Modern", {
        "prompts/list": ({ params }) =>
          params?.cursor === undefined
            ? result({ prompts: [{ name: "a" }], nextCursor: "b", ttlMs: 60_000 })
            : isRefused
            ? error({ code: -32602, message: "no such cursor" })
            : result({ prompts: [] })
      })
      yield* listed(subject.client.prompts)
      isRefused = true
      yield* failedWith("JsonRpcError", Stream.runDrain(subject.client.prompts))
      assert.strictEqual(yield* asked(subject, "prompts/list"), 3)
      isRefused = false
      yield* listed(subject.client.prompts)
      assert.strictEqual(yield* asked(subject, "prompts/list"), 5, "from the beginning")
    }))

  it.scoped("the tools of a kept page can be called by their definition", () =>
    Effect.gen(function*() {
      const strict = tool("a", { outputSchema: { type: "object", required: ["n"] } })
      const subject = yield* connected("Modern", {
        "tools/list": result({ tools: [strict], ttlMs: 60_000 }),
        "tools/call": result({ content: [], structuredContent: {} })
      })
      yield* listed(subject.client.tools)
      yield* listed(subject.client.tools)
      yield* failedWith("DecodeError", subject.client.callTool("a"))
      assert.strictEqual(yield* asked(subject, "tools/list"), 1)
    }))
})

describe("per URI", () => {
  const reading: Replies = {
    "resources/read": ({ params }) =>
      result({ contents: [{ uri: String(params?.uri), text: "" }], ttlMs: 60_000, cacheScope: "private" })
  }

  it.scoped("each resource is kept by its URI, and updated by it", () =>
    Effect.gen(function*() {
      const subject = yield* connected("Modern", reading)
      const read = (uri: string) => now(subject.client.readResource(uri))
      assert.strictEqual((yield* read("a")).contents[0]?.uri, "a")
      assert.strictEqual((yield* read("b")).contents[0]?.uri, "b")
      assert.strictEqual((yield* read("a")).contents[0]?.uri, "a")
      assert.strictEqual(yield* asked(subject, "resources/read"), 2)
      yield* tell(subject, updated("a"))
      yield* read("b")
      assert.strictEqual(yield* asked(subject, "resources/read"), 2)
      yield* read("a")
      assert.strictEqual(yield* asked(subject, "resources/read"), 3)
    }))

  it.scoped("what changes in a part has changed in the whole", () =>
    Effect.gen(function*() {
      const subject = yield* connected("Modern", reading)
      for (const uri of ["file:///d", "file:///d/e", "file:///dx"]) yield* now(subject.client.readResource(uri))
      yield* tell(subject, updated("file:///d/e/f"))
      for (const uri of ["file:///d", "file:///d/e", "file:///dx"]) yield* now(subject.client.readResource(uri))
      assert.strictEqual(yield* asked(subject, "resources/read"), 5, "but not in what only begins alike")
    }))

  it.scoped("the oldest goes when there are too many", () =>
    Effect.gen(function*() {
      const subject = yield* connected("Modern", reading, { cache: { maxEntries: 2 } })
      const read = (uri: string) => now(subject.client.readResource(uri))
      for (const uri of ["a", "b", "c", "c", "b"]) yield* read(uri)
      assert.strictEqual(yield* asked(subject, "resources/read"), 3)
      yield* read("a")
      assert.strictEqual(yield* asked(subject, "resources/read"), 4)
    }))

  it.scoped("a URI with a line break is not mistaken for another", () =>
    Effect.gen(function*() {
      const subject = yield* connected("Modern", reading)
      yield* now(subject.client.readResource("a"))
      yield* now(subject.client.readResource("a\nb"))
      yield* tell(subject, updated("a"))
      yield* now(subject.client.readResource("a\nb"))
      assert.strictEqual(yield* asked(subject, "resources/read"), 2)
    }))
})

describe("demands for input", () => {
  it.scoped("an answer that depends on input is not kept", () =>
    Effect.gen(function*() {
      const subject = yield* connected("Modern", {
        "resources/read": ({ params }) =>
          params?.inputResponses === undefined && params?.requestState === undefined
            ? result({ resultType: "input_required", requestState: "s", ttlMs: 60_000 })
            : result({ contents: [], ttlMs: 60_000 })
      })
      yield* now(subject.client.readResource("a"))
      yield* now(subject.client.readResource("a"))
      assert.strictEqual(yield* asked(subject, "resources/read"), 4)
    }))

  it.scoped("nor when somebody was asked", () =>
    Effect.gen(function*() {
      let questions = 0
      const subject = yield* connected("Modern", {
        "resources/read": ({ params }) =>
          params?.inputResponses === undefined
            ? result({
              resultType: "input_required",
              inputRequests: {
                a: {
                  method: "elicitation/create",
                  params: { mode: "form", message: "?", requestedSchema: { type: "object", properties: {} } }
                }
              }
            })
            : result({ contents: [], ttlMs: 60_000 })
      }).pipe(Effect.provide(Elicitation.layer({
        form: () => {
          questions++
          return Effect.succeed(Elicitation.decline)
        }
      })))
      yield* now(subject.client.readResource("a"))
      yield* now(subject.client.readResource("a"))
      assert.strictEqual(questions, 2)
    }))
})
