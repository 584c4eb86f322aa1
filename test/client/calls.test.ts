/**
 * What every call has in common: what is sent, what an answer or a failure becomes, and what is refused unsent.
 */
import { type McpClient, McpClientError } from "@effect-mcp/client"
import * as TestTransport from "@effect-mcp/testing/TestTransport"
import { JsonRpc, TransportError } from "@effect-mcp/transport"
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberRef from "effect/FiberRef"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import {
  collecting,
  connected,
  eras,
  everything,
  failedWith,
  failureOf,
  metaOf,
  now,
  progressOf,
  settle,
  start,
  text
} from "./support/calls.ts"

interface Operation {
  readonly name: string
  readonly method: string
  readonly capability: string
  readonly target?: string
  readonly result: { readonly [member: string]: unknown }
  readonly run: (
    client: McpClient.Service,
    options?: McpClient.CallOptions
  ) => Effect.Effect<unknown, McpClientError.McpClientError>
}

const operations: ReadonlyArray<Operation> = [
  {
    name: "callTool",
    method: "tools/call",
    capability: "tools",
    target: "a",
    result: { content: [] },
    run: (client, options) => client.callTool("a", {}, options)
  },
  {
    name: "callToolStream",
    method: "tools/call",
    capability: "tools",
    target: "a",
    result: { content: [] },
    run: (client, options) => Stream.runDrain(client.callToolStream("a", {}, options))
  },
  {
    name: "readResource",
    method: "resources/read",
    capability: "resources",
    target: "file:///a",
    result: { contents: [] },
    run: (client, options) => client.readResource("file:///a", options)
  },
  {
    name: "getPrompt",
    method: "prompts/get",
    capability: "prompts",
    target: "a",
    result: { messages: [] },
    run: (client, options) => client.getPrompt("a", { b: "c" }, options)
  },
  {
    name: "complete",
    method: "completion/complete",
    capability: "completions",
    result: { completion: { values: [] } },
    run: (client, options) => client.complete({ type: "ref/prompt", name: "a" }, { name: "b", value: "c" }, options)
  }
]

const lists: ReadonlyArray<Operation> = [
  {
    name: "tools",
    method: "tools/list",
    capability: "tools",
    result: { tools: [] },
    run: ({ tools }) => Stream.runDrain(tools)
  },
  {
    name: "resources",
    method: "resources/list",
    capability: "resources",
    result: { resources: [] },
    run: ({ resources }) => Stream.runDrain(resources)
  },
  {
    name: "resourceTemplates",
    method: "resources/templates/list",
    capability: "resources",
    result: { resourceTemplates: [] },
    run: ({ resourceTemplates }) => Stream.runDrain(resourceTemplates)
  },
  {
    name: "prompts",
    method: "prompts/list",
    capability: "prompts",
    result: { prompts: [] },
    run: ({ prompts }) => Stream.runDrain(prompts)
  }
]

const typed = [...operations, ...lists]

const extension: Operation = {
  name: "request",
  method: "x/y",
  capability: "",
  result: { anything: true },
  run: (client, options) => client.request("x/y", { a: 1 }, options)
}

const all = [...typed, extension]

describe.each(eras)("answers, %s", (era) => {
  it.scoped.each(all)(
    "$name: a JSON-RPC error with code, message and data",
    ({ method, run, target }) =>
      Effect.gen(function*() {
        const error = { code: -32002, message: "no", data: { deep: [1, { a: null }] } }
        const { client } = yield* connected(era, { [method]: TestTransport.error(error) })
        const failure = yield* failedWith("JsonRpcError", run(client))
        assert.deepStrictEqual(failure.error, error)
        assert.strictEqual(failure.code, -32002)
        assert.strictEqual(failure.method, method)
        assert.strictEqual(failure.target, target)
        assert.strictEqual(failure.outcome, "Unknown")
        assert.include(failure.message, "-32002")
      })
  )

  const refusals: ReadonlyArray<readonly [number, "NotExecuted" | "Unknown"]> = [
    [-32700, "NotExecuted"],
    [-32600, "NotExecuted"],
    [-32601, "NotExecuted"],
    [-32602, "NotExecuted"],
    [-32603, "Unknown"],
    [-32002, "Unknown"],
    [-32042, "Unknown"],
    [-32021, "NotExecuted"],
    [0, "Unknown"],
    [1234, "Unknown"]
  ]
  it.scoped.each(refusals)("the outcome of the error %d is %s", ([code, outcome]) =>
    Effect.gen(function*() {
      const { client } = yield* connected(era, { "x/y": TestTransport.error({ code, message: "" }) })
      const failure = yield* failedWith("JsonRpcError", client.request("x/y"))
      assert.strictEqual(failure.outcome, outcome)
      assert.notProperty(failure.error, "data")
    }))

  const noObjects: ReadonlyArray<unknown> = [null, 1, "text", true, [], [{}]]
  it.scoped.each(all)(
    "$name: a result that is no object is Malformed",
    ({ method, run, target }) =>
      Effect.gen(function*() {
        for (const result of noObjects) {
          const { client, sent } = yield* connected(era, { [method]: TestTransport.result(result) })
          const failure = yield* failedWith("DecodeError", run(client))
          assert.strictEqual(failure.reason, "Malformed")
          assert.strictEqual(failure.method, method)
          assert.strictEqual(failure.target, target)
          assert.strictEqual(failure.outcome, "Unknown")
          assert.strictEqual(failure.excerpt, JSON.stringify(result))
          assert.strictEqual((yield* sent(method)).length, 1, "it is not asked again")
        }
      })
  )

  it.scoped.each(typed)(
    "$name: a result without what it must have is Malformed, with a path",
    ({ method, run }) =>
      Effect.gen(function*() {
        const { client } = yield* connected(era, { [method]: TestTransport.result({ content: "text" }) })
        const failure = yield* failedWith("DecodeError", run(client))
        assert.strictEqual(failure.reason, "Malformed")
        assert.isAbove(failure.path.length, 0)
      })
  )

  it.scoped.each(all)("$name: resultType", ({ method, result, run }) =>
    Effect.gen(function*() {
      for (const resultType of ["complete", undefined]) {
        const { client } = yield* connected(era, { [method]: TestTransport.result({ ...result, resultType }) })
        yield* now(run(client))
      }
      for (const resultType of ["task", "", 7, null]) {
        const { client } = yield* connected(era, { [method]: TestTransport.result({ ...result, resultType }) })
        const exit = yield* now(Effect.exit(run(client)))
        if (era === "Modern") {
          assert.include(String(exit), "UnsupportedResultType")
        } else if (typeof resultType === "string") {
          assert.isTrue(Exit.isSuccess(exit), "that version knows no resultType")
        }
      }
    }))

  it.scoped("decoding errors tell the place deep inside", () =>
    Effect.gen(function*() {
      const { client } = yield* connected(era, {
        "tools/call": TestTransport.result({ content: [{ type: "text", text: "" }, { type: "text", text: 1 }] }),
        "resources/read": TestTransport.result({ contents: [{ uri: "a", text: "" }, { uri: 7 }] }),
        "prompts/get": TestTransport.result({ messages: [{ role: "robot", content: { type: "text", text: "" } }] }),
        "completion/complete": TestTransport.result({ completion: { values: ["a", 1] } })
      })
      const at = (index: number) => {
        const operation = [operations[0], ...operations.slice(2)][index]
        assert(operation !== undefined)
        return Effect.map(failedWith("DecodeError", operation.run(client)), ({ path }) => path)
      }
      assert.deepStrictEqual(yield* at(0), ["content", 1, "text"])
      assert.deepStrictEqual((yield* at(1)).slice(0, 2), ["contents", 1])
      assert.deepStrictEqual(yield* at(2), ["messages", 0, "role"])
      assert.deepStrictEqual(yield* at(3), ["completion", "values", 1])
    }))

  it.scoped("results are given as they came, unknown members and all", () =>
    Effect.gen(function*() {
      const contents = JSON.parse(
        `{"contents":[{"uri":"a","text":"b","x":{"__proto__":1}}],"y":[null],"_meta":{"z":1}}`
      )
      const prompt = { messages: [{ role: "user", content: { type: "text", text: "", x: 1 }, y: 2 }], z: 3 }
      const { client } = yield* connected(era, {
        "resources/read": TestTransport.result(contents),
        "prompts/get": TestTransport.result(prompt),
        "completion/complete": TestTransport.result({ completion: { values: ["a"], total: 7, hasMore: true, x: 1 } }),
        "x/y": TestTransport.result({ a: undefined, b: { c: [] } })
      })
      assert.deepStrictEqual<unknown>(yield* now(client.readResource("a")), contents)
      assert.deepStrictEqual<unknown>(yield* now(client.getPrompt("a")), prompt)
      assert.deepStrictEqual<unknown>(
        yield* now(client.complete({ type: "ref/resource", uri: "a" }, { name: "b", value: "" })),
        { values: ["a"], total: 7, hasMore: true, x: 1 }
      )
      assert.deepStrictEqual<unknown>(yield* now(client.request("x/y")), { a: undefined, b: { c: [] } })
    }))
})

const transportErrors: ReadonlyArray<TransportError.TransportError> = [
  new TransportError.ConnectionError({ phase: "Connect", outcome: "NotExecuted", cause: new Error("refused") }),
  new TransportError.ConnectionError({ phase: "Closed", outcome: "NotExecuted" }),
  new TransportError.HttpStatusError({
    method: "POST",
    status: 401,
    outcome: "NotExecuted",
    wwwAuthenticate: "Bearer",
    body: "who?"
  }),
  new TransportError.HttpStatusError({
    method: "POST",
    status: 429,
    outcome: "NotExecuted",
    retryAfter: Duration.seconds(7)
  }),
  new TransportError.HttpStatusError({ method: "POST", status: 500, outcome: "Unknown" }),
  new TransportError.ProtocolError({ reason: "NoResponse", description: "none", outcome: "Unknown" }),
  new TransportError.ProtocolError({ reason: "InvalidJson", description: "none", outcome: "Unknown", excerpt: "{" }),
  new TransportError.MessageTooLarge({ limit: 7, outcome: "Unknown" }),
  new TransportError.ResumptionError({ reason: "Exhausted", attempts: 3, outcome: "Unknown" }),
  new TransportError.SessionTerminated({ sessionId: Redacted.make("s"), by: "Client", outcome: "Unknown" })
]

describe.each(eras)("errors of the transport, %s", (era) => {
  it.scoped.each(all)(
    "$name: passed through unchanged, with no more attempts than are safe",
    ({ method, run }) =>
      Effect.gen(function*() {
        for (const error of transportErrors) {
          const { client, sent } = yield* connected(era, { [method]: TestTransport.fail(error) })
          const failure = yield* now(Effect.flip(Effect.asVoid(run(client))))
          assert.strictEqual(failure, error)
          // What harms nobody is asked once more when its stream broke.
          const isBroken = error._tag === "ProtocolError" && error.reason === "NoResponse"
          const isAskedAgain = isBroken && method !== "tools/call" && method !== "x/y"
          assert.strictEqual((yield* sent(method)).length, isAskedAgain ? 2 : 1)
        }
      })
  )

  it.scoped("an error in the middle of a stream, after progress", () =>
    Effect.gen(function*() {
      const error = new TransportError.ResumptionError({ reason: "Exhausted", attempts: 3, outcome: "Unknown" })
      const { client, next } = yield* connected(era)
      const seen: Array<number> = []
      const calling = yield* start(
        client.callTool("a", {}, { onProgress: ({ progress }) => Effect.sync(() => void seen.push(progress)) })
      )
      const incoming = yield* next
      yield* incoming.reply(progressOf(incoming.message, 1))
      yield* incoming.fail(error)
      assert.strictEqual(yield* failureOf("ResumptionError", calling), error)
      assert.deepStrictEqual(seen, [1])
    }))

  it.scoped("a stream that ends without an answer", () =>
    Effect.gen(function*() {
      const { client, next } = yield* connected(era)
      const calling = yield* start(client.callTool("a"))
      yield* (yield* next).end
      const error = yield* failureOf("ProtocolError", calling)
      assert.strictEqual(error.reason, "NoResponse")
      assert.isTrue(McpClientError.isMcpClientError(error))
    }))
})

describe.each(eras)("capabilities, %s", (era) => {
  it.scoped.each(typed)(
    "$name: nothing is sent to a server that does not declare $capability",
    (operation) =>
      Effect.gen(function*() {
        const others = Object.fromEntries(Object.entries(everything).filter(([name]) => name !== operation.capability))
        const { client, methods } = yield* connected(era, {}, { server: others })
        const error = yield* failedWith("CapabilityMissing", operation.run(client))
        assert.strictEqual(error.capability, operation.capability)
        assert.strictEqual(error.method, operation.method)
        assert.strictEqual(error.target, operation.target)
        assert.strictEqual(error.outcome, "NotExecuted")
        assert.include(error.message, operation.capability)
        assert.deepStrictEqual(yield* methods, [])
      })
  )

  it.scoped("setLogLevel, subscribe and listChanges too", () =>
    Effect.gen(function*() {
      const { client, methods } = yield* connected(era, {}, {
        server: { tools: {}, resources: { listChanged: false }, prompts: { listChanged: false } }
      })
      assert.strictEqual((yield* failedWith("CapabilityMissing", client.setLogLevel("info"))).capability, "logging")
      const subscribing = yield* failedWith("CapabilityMissing", Stream.runDrain(client.subscribe("a")))
      assert.strictEqual(subscribing.capability, "resources.subscribe")
      assert.strictEqual(subscribing.target, "a")
      const listening = yield* failedWith("CapabilityMissing", Stream.runDrain(client.listChanges))
      assert.strictEqual(listening.capability, "listChanged")
      assert.deepStrictEqual(yield* methods, [])
    }))

  it.scoped("ping, request and notify need none", () =>
    Effect.gen(function*() {
      const { client } = yield* connected(era, { "x/y": TestTransport.result({}) }, { server: {} })
      yield* now(client.ping)
      yield* now(client.request("x/y"))
      yield* now(client.notify("notifications/x"))
    }))

  it.scoped("a capability that is an empty object is one", () =>
    Effect.gen(function*() {
      const { client } = yield* connected(era, { "tools/call": TestTransport.result({ content: [] }) }, {
        server: { tools: {} }
      })
      yield* now(client.callTool("a"))
    }))
})

const required = {
  "io.modelcontextprotocol/protocolVersion": "2026-07-28",
  "io.modelcontextprotocol/clientInfo": { name: "test", version: "1.0.0" },
  "io.modelcontextprotocol/clientCapabilities": {}
}

describe.each(eras)("what is sent, %s", (era) => {
  it.scoped("ids are never used twice, also not for other methods and at the same time", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected(era, {
        "tools/call": TestTransport.result({ content: [] }),
        "x/y": TestTransport.result({})
      })
      yield* Effect.forEach(
        Array.from({ length: 30 }),
        () => Effect.all([client.callTool("a"), client.request("x/y"), client.ping], { concurrency: "unbounded" }),
        { concurrency: 10 }
      )
      const ids = (yield* server.sent).flatMap((message) => "id" in message ? [message.id] : [])
      assert.isAtLeast(ids.length, 91)
      assert.strictEqual(new Set(ids).size, ids.length)
    }))

  it.scoped.each(all)("$name: _meta is merged", (operation) =>
    Effect.gen(function*() {
      const { client, sent } = yield* connected(era, { [operation.method]: TestTransport.result(operation.result) })
      const meta = { "example.com/a": { deep: 1 }, "io.modelcontextprotocol/protocolVersion": "1999-01-01" }
      const isList = lists.includes(operation)
      yield* now(operation.run(client, { meta }))
      const [message] = yield* sent(operation.method)
      const own = isList
        ? {}
        : era === "Modern"
        ? { "example.com/a": { deep: 1 } }
        : meta
      const received = metaOf(message)
      const { progressToken: _, ...rest } = received
      assert.deepStrictEqual<unknown>(rest, { ...own, ...(era === "Modern" ? required : {}) })
    }))

  it.scoped("the _meta of the params of an extension's request is kept", () =>
    Effect.gen(function*() {
      const { client, sent } = yield* connected(era, { "x/y": TestTransport.result({}) })
      yield* now(client.request("x/y", { a: 1, _meta: { mine: 1, both: "params" } }, { meta: { both: "options" } }))
      yield* now(client.request("x/y", { _meta: { mine: 2 } }, { onProgress: () => Effect.void }))
      const [first, second] = yield* sent("x/y")
      assert.strictEqual(metaOf(first).mine, 1)
      assert.strictEqual(metaOf(first).both, "options")
      assert.strictEqual(metaOf(second).mine, 2)
      assert(first !== undefined && "params" in first)
      assert.strictEqual(first.params?.a, 1)
      if (era === "Modern") assert.include(metaOf(first), { "io.modelcontextprotocol/protocolVersion": "2026-07-28" })
    }))

  it.scoped("a notification has what the era asks for, and what the application gives", () =>
    Effect.gen(function*() {
      const { client, sent } = yield* connected(era)
      yield* now(client.notify("notifications/x"))
      yield* now(client.notify("notifications/y", {
        a: 1,
        _meta: { mine: 1, "io.modelcontextprotocol/protocolVersion": "1999-01-01" }
      }))
      const [plain, given] = yield* sent()
      assert.deepStrictEqual<unknown>(
        plain,
        era === "Legacy"
          ? { jsonrpc: "2.0", method: "notifications/x" }
          : { jsonrpc: "2.0", method: "notifications/x", params: { _meta: required } }
      )
      assert.strictEqual(metaOf(given).mine, 1)
      if (era === "Modern") assert.deepStrictEqual<unknown>(metaOf(given), { mine: 1, ...required })
    }))

  it.scoped("the parameters of each operation", () =>
    Effect.gen(function*() {
      const { client, sent } = yield* connected(
        era,
        Object.fromEntries(all.map(({ method, result }) => [method, TestTransport.result(result)]))
      )
      yield* now(client.callTool("a"))
      yield* now(client.callTool("a", { b: [1] }))
      yield* now(client.readResource("file:///a"))
      yield* now(client.getPrompt("a"))
      yield* now(client.getPrompt("a", { b: "c" }))
      yield* now(client.complete({ type: "ref/prompt", name: "a" }, { name: "b", value: "c" }))
      yield* now(
        client.complete({ type: "ref/resource", uri: "a" }, { name: "b", value: "" }, { context: { d: "e" } })
      )
      const params = (yield* sent()).map((message) => {
        const { _meta: _, ...rest } = ("params" in message ? message.params : undefined) ?? {}
        return rest
      })
      assert.deepStrictEqual<unknown>(params, [
        { name: "a", arguments: {} },
        { name: "a", arguments: { b: [1] } },
        { uri: "file:///a" },
        { name: "a" },
        { name: "a", arguments: { b: "c" } },
        { ref: { type: "ref/prompt", name: "a" }, argument: { name: "b", value: "c" } },
        {
          ref: { type: "ref/resource", uri: "a" },
          argument: { name: "b", value: "" },
          context: { arguments: { d: "e" } }
        }
      ])
    }))

  it.scoped("an operation is cold: each run sends anew", () =>
    Effect.gen(function*() {
      const { client, sent } = yield* connected(era, { "tools/call": TestTransport.result({ content: [] }) })
      const call = client.callTool("a")
      assert.deepStrictEqual(yield* sent("tools/call"), [])
      yield* now(call)
      yield* now(call)
      assert.strictEqual((yield* sent("tools/call")).length, 2)
    }))
})

describe.each(eras)("progress, %s", (era) => {
  it.scoped("what onProgress forks goes on after it, and what it sets is there for the next", () =>
    Effect.gen(function*() {
      const { client, next } = yield* connected(era)
      const count = yield* FiberRef.make(0)
      const seen: Array<string> = []
      const calling = yield* start(client.callTool("a", {}, {
        onProgress: ({ progress }) =>
          Effect.gen(function*() {
            const before = yield* FiberRef.getAndUpdate(count, (n) => n + 1)
            yield* Effect.fork(Effect.zipRight(
              Effect.sleep("10 millis"),
              Effect.sync(() => void seen.push(`${progress} after ${before}`))
            ))
          })
      }))
      const incoming = yield* next
      yield* incoming.reply(progressOf(incoming.message, 1))
      yield* settle
      yield* incoming.reply(progressOf(incoming.message, 2))
      yield* settle
      yield* TestClock.adjust("10 millis")
      yield* settle
      assert.deepStrictEqual(seen.toSorted(), ["1 after 0", "2 after 1"])
      yield* incoming.reply(TestTransport.result({ content: [] }))
      yield* now(Fiber.join(calling))
    }))

  it.scoped("each call gets its own, in order; nobody asks for it without onProgress", () =>
    Effect.gen(function*() {
      const { client, next } = yield* connected(era)
      const seen: Array<string> = []
      const call = (name: string) =>
        client.callTool(name, {}, {
          onProgress: ({ message, progress, total }) =>
            Effect.zipRight(
              Effect.yieldNow(),
              Effect.sync(() => void seen.push(`${name} ${progress}/${total} ${message}`))
            )
        })
      const calling = yield* Effect.forEach(["a", "b"], (name) => start(call(name)))
      const [a, b] = [yield* next, yield* next]
      for (const progress of [1, 2, 1.5]) {
        for (const incoming of [a, b]) {
          yield* incoming.reply(
            JsonRpc.notification("notifications/progress", {
              ...progressOf(incoming.message, progress).params,
              total: 9,
              message: "m"
            })
          )
        }
      }
      // What is no progress.
      yield* a.reply(
        JsonRpc.notification("notifications/progress", { progressToken: String(a.message.id), progress: 98 })
      )
      yield* a.reply(JsonRpc.notification("notifications/progress", { progressToken: a.message.id, progress: "97" }))
      yield* a.reply(JsonRpc.notification("notifications/progress"))
      yield* a.reply(TestTransport.result(text("a")))
      yield* b.reply(TestTransport.result(text("b")))
      for (const fiber of calling) yield* now(Fiber.join(fiber))
      for (const name of ["a", "b"]) {
        assert.deepStrictEqual(
          seen.filter((line) => line.startsWith(name)),
          [`${name} 1/9 m`, `${name} 2/9 m`, `${name} 1.5/9 m`]
        )
      }
    }))

  it.scoped("finds its call from any stream, for as long as the call runs", () =>
    Effect.gen(function*() {
      const { client, next } = yield* connected(era)
      const seen: Array<string> = []
      const call = (name: string) =>
        client.callTool(name, {}, {
          onProgress: ({ progress }) => Effect.sync(() => void seen.push(`${name} ${progress}`))
        })
      const calling = yield* Effect.forEach(["a", "b"], (name) => start(call(name)))
      const [a, b] = [yield* next, yield* next]
      yield* a.reply(progressOf(b.message, 1))
      yield* a.reply(TestTransport.result(text("a")))
      yield* now(Effect.forEach(calling.slice(0, 1), Fiber.join))
      yield* b.reply(progressOf(a.message, 2))
      yield* b.reply(TestTransport.result(text("b")))
      yield* now(Effect.forEach(calling, Fiber.join))
      assert.deepStrictEqual(seen, ["b 1"])
    }))

  it.scoped("a progressToken is sent if and only if somebody listens", () =>
    Effect.gen(function*() {
      const { client, sent } = yield* connected(era, { "tools/call": TestTransport.result({ content: [] }) })
      yield* now(client.callTool("a"))
      yield* now(client.callTool("a", {}, { onProgress: () => Effect.void }))
      const [without, with_] = yield* sent("tools/call")
      assert.notProperty(metaOf(without), "progressToken")
      assert(with_ !== undefined && "id" in with_)
      assert.strictEqual(metaOf(with_).progressToken, with_.id)
    }))

  it.scoped("progress that comes after the answer is nobody's", () =>
    Effect.gen(function*() {
      const { client, next, server } = yield* connected(era)
      const seen: Array<number> = []
      const calling = yield* start(
        client.callTool("a", {}, { onProgress: ({ progress }) => Effect.sync(() => void seen.push(progress)) })
      )
      const incoming = yield* next
      yield* incoming.reply(TestTransport.result(text("")))
      yield* now(Fiber.join(calling))
      yield* incoming.reply(progressOf(incoming.message, 1))
      if (era === "Legacy") yield* server.push(progressOf(incoming.message, 2))
      yield* settle
      assert.deepStrictEqual(seen, [])
    }))

  it.scoped("log messages of the call go to onLog and to logs", () =>
    Effect.gen(function*() {
      const { client, next } = yield* connected(era)
      const { seen } = yield* collecting(client.logs)
      const own: Array<unknown> = []
      const calling = yield* start(
        client.callTool("a", {}, { onLog: ({ data }) => Effect.sync(() => void own.push(data)) })
      )
      const incoming = yield* next
      yield* incoming.reply(JsonRpc.notification("notifications/message", { level: "info", data: 1, logger: "l" }))
      yield* incoming.reply(JsonRpc.notification("notifications/message", { level: "loud", data: 2 }))
      yield* incoming.reply(TestTransport.result(text("")))
      yield* now(Fiber.join(calling))
      yield* settle
      assert.deepStrictEqual(own, [1])
      assert.deepStrictEqual<unknown>(seen, [{ level: "info", data: 1, logger: "l" }])
    }))
})

describe("extensions", () => {
  const notExecuted: ReadonlyArray<TransportError.TransportError> = [
    new TransportError.ConnectionError({ phase: "Body", outcome: "NotExecuted" }),
    new TransportError.SessionTerminated({ sessionId: Redacted.make("s"), by: "Server", outcome: "NotExecuted" }),
    new TransportError.SessionTerminated({ sessionId: Redacted.make("s"), by: "Server", outcome: "Unknown" })
  ]
  it.scoped.each(eras)(
    "a request of an extension is never sent twice, even when it surely was not executed: %s",
    (era) =>
      Effect.gen(function*() {
        for (const error of notExecuted) {
          const { client, sent } = yield* connected(era, { "x/y": TestTransport.fail(error) })
          const failure = yield* now(Effect.flip(Effect.asVoid(client.request("x/y"))))
          assert.strictEqual(failure, error)
          yield* settle
          assert.strictEqual((yield* sent("x/y")).length, 1)
        }
      })
  )

  it.scoped.each(eras)("nor is a notification: %s", (era) =>
    Effect.gen(function*() {
      const { client, sent, server } = yield* connected(era)
      yield* now(client.notify("notifications/x"))
      assert.strictEqual((yield* sent("notifications/x")).length, 1)
      if (era === "Modern") return
      yield* server.terminateByServer
      yield* failedWith("SessionTerminated", client.notify("notifications/x"))
      yield* settle
      assert.strictEqual((yield* sent("notifications/x")).length, 1)
    }))

  it.scoped("errors survive a round trip over their schema", () =>
    Effect.gen(function*() {
      const { client } = yield* connected("Modern", {
        "tools/call": TestTransport.error({ code: -32602, message: "no", data: [1] })
      })
      const error = yield* failedWith("JsonRpcError", client.callTool("a"))
      const encoded = Schema.encodeSync(McpClientError.McpClientError)(error)
      const decoded = Schema.decodeUnknownSync(McpClientError.McpClientError)(JSON.parse(JSON.stringify(encoded)))
      assert(decoded._tag === "JsonRpcError")
      assert.deepStrictEqual(decoded.error, error.error)
      assert.strictEqual(decoded.message, error.message)
    }))
})
