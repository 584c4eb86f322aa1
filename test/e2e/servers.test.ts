/**
 * That the servers of the other tests are what those tests take them for. The judge is the official client.
 */
import { assert, describe, it } from "@effect/vitest"
import { Client } from "@modelcontextprotocol/sdk/client/index.js"
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as Servers from "./servers.ts"

const connect = (url: string) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const client = new Client({ name: "judge", version: "1.0.0" })
      await client.connect(new StreamableHTTPClientTransport(new URL(url)))
      return client
    }),
    (client) => Effect.promise(() => client.close())
  )

/** Calls a tool; gives the text of the answer and the progress that came before it. */
const call = (client: Client, name: string, args: Record<string, unknown>) =>
  Effect.promise(async () => {
    const progress: Array<number> = []
    const { content } = await client.callTool({ name, arguments: args }, undefined, {
      onprogress: (step) => progress.push(step.progress)
    })
    return { answer: JSON.stringify(content), progress }
  })

const isServed = (url: string) => Effect.promise(() => fetch(url).then(() => true, () => false))

const exchangesOf = (server: Servers.TestServer, method: string) =>
  Effect.map(server.wire, (exchanges) => exchanges.filter((exchange) => exchange.method === method))

/** Waits until the server has seen it; the test's own time limit ends the wait. */
const eventually = (server: Servers.TestServer, method: string, status: number) =>
  exchangesOf(server, method).pipe(
    Effect.tap(() => Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 5)))),
    Effect.repeat({ until: (exchanges) => exchanges.some((exchange) => exchange.status === status) })
  )

const post = (url: string, message: { readonly method: string }, headers: Record<string, string> = {}) =>
  Effect.promise(async () => {
    const response = await fetch(url, {
      method: "POST",
      headers: { "content-type": "application/json", accept: "application/json, text/event-stream", ...headers },
      body: JSON.stringify({ jsonrpc: "2.0", id: 1, ...message })
    })
    return { status: response.status, type: response.headers.get("content-type"), body: await response.text() }
  })

describe.each([
  { name: "simpleServer", start: Servers.simpleServer, tool: "start-notification-stream" },
  { name: "pollingServer", start: Servers.pollingServer, tool: "long-task" },
  { name: "jsonServer", start: Servers.jsonServer, tool: "multi-greet" },
  { name: "statelessServer", start: Servers.statelessServer, tool: "start-notification-stream" },
  { name: "everythingServer", start: Servers.everythingServer, tool: "trigger-long-running-operation" },
  { name: "sdkServer", start: Servers.sdkServer(), tool: "dropAndFinish" },
  { name: "dualEraServer", start: Servers.dualEraServer(), tool: "progress" }
])("$name", ({ start, tool }) => {
  it.live("serves while its scope is open, and records what arrives", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const server = yield* Scope.extend(start, scope)
      yield* Effect.scoped(Effect.gen(function*() {
        const client = yield* connect(server.url)
        const { tools } = yield* Effect.promise(() => client.listTools())
        assert.include(tools.map(({ name }) => name), tool)
      }))
      const [first] = yield* server.wire
      assert.strictEqual(first?.method, "POST")
      assert.strictEqual(first?.path, "/mcp")
      assert.strictEqual(first?.status, 200)
      assert.strictEqual(first?.state, "finished")
      assert.strictEqual(first?.headers["content-type"], "application/json")
      assert.include(first?.body, "\"method\":\"initialize\"")
      assert.isTrue(yield* isServed(server.url))
      yield* Scope.close(scope, Exit.void)
      assert.isFalse(yield* isServed(server.url))
    }))
})

describe("exampleServer", () => {
  const script = (code: string) => `data:text/javascript,${encodeURIComponent(code)}`

  it.live("shows what a server printed that ended instead of listening", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(
        Servers.exampleServer("broken", script("console.log('hello'); throw new Error('no luck')"))
      )
      assert.include(error.message, "broken: ended with code 1\nhello")
      assert.include(error.message, "no luck")
    }).pipe(Effect.scoped))

  it.live("gives up a server that does not listen", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Servers.exampleServer("idle", script("setInterval(() => {}, 1000)"), 300))
      assert.strictEqual(error.message, "idle: did not listen within 300 ms\n(it printed nothing)")
    }).pipe(Effect.scoped))

  it.live("ends a server that ignores SIGTERM", () =>
    Effect.gen(function*() {
      const stubborn = script(`
        import { createServer } from "node:http"
        process.on("SIGTERM", () => {})
        createServer((_, response) => response.end()).listen(3000)`)
      const server = yield* Effect.scoped(Servers.exampleServer("stubborn", stubborn))
      assert.isFalse(yield* isServed(server.url))
    }))
})

describe("sdkServer", () => {
  it.scopedLive("sends progress before the answer", () =>
    Effect.gen(function*() {
      const server = yield* Servers.sdkServer()
      const client = yield* connect(server.url)
      const { answer, progress } = yield* call(client, "progress", { steps: 3 })
      assert.deepStrictEqual(progress, [1, 2, 3])
      assert.include(answer, "3 steps done")
      assert.include((yield* call(client, "echo", { text: "hello" })).answer, "hello")
      assert.include((yield* call(client, "add", { a: 2, b: 3 })).answer, "5")
    }))

  for (const how of ["close", "destroy"]) {
    it.scopedLive(`loses the stream of a call and finishes it on a resumed one (${how})`, () =>
      Effect.gen(function*() {
        const server = yield* Servers.sdkServer({ retryInterval: "20 millis" })
        const client = yield* connect(server.url)
        const { answer, progress } = yield* call(client, "dropAndFinish", { steps: 4, dropAfter: 2, how })
        assert.deepStrictEqual(progress, [1, 2, 3, 4])
        assert.include(answer, "4 steps done")
        const posts = yield* exchangesOf(server, "POST")
        assert.strictEqual(posts.filter(({ body }) => body.includes("dropAndFinish")).length, 1)
        assert.strictEqual(posts.at(-1)?.state, how === "close" ? "finished" : "cut")
        const resumed = (yield* exchangesOf(server, "GET")).filter(({ headers }) => "last-event-id" in headers)
        assert.strictEqual(resumed.length, 1)
        assert.strictEqual(resumed[0]?.status, 200)
      }))
  }

  it.scopedLive("sends log notifications on the GET stream, also after it was closed", () =>
    Effect.gen(function*() {
      const server = yield* Servers.sdkServer({ retryInterval: "20 millis" })
      const client = yield* connect(server.url)
      const received: Array<string> = []
      client.fallbackNotificationHandler = async ({ method, params }) => {
        received.push(`${method} ${String(params?.["data"])}`)
      }
      yield* eventually(server, "GET", 200)
      yield* call(client, "notify", { text: "one", count: 2 })
      yield* server.closeServerStreams
      yield* call(client, "notify", { text: "two" })
      yield* Effect.promise(() => Promise.resolve()).pipe(
        Effect.delay("5 millis"),
        Effect.repeat({ until: () => received.length >= 3 })
      )
      assert.deepStrictEqual(received, [
        "notifications/message one",
        "notifications/message one",
        "notifications/message two"
      ])
    }))

  it.scopedLive("knows no session any more after forgetSessions", () =>
    Effect.gen(function*() {
      const server = yield* Servers.sdkServer()
      const client = yield* connect(server.url)
      const running = yield* Effect.fork(Effect.exit(call(client, "progress", { steps: 1, delayMs: 60_000 })))
      yield* server.forgetSessions
      const error = yield* Effect.flip(Effect.tryPromise(() => client.listTools()))
      assert.include(String(error.cause), "Session not found")
      assert.strictEqual((yield* server.wire).at(-1)?.status, 404)
      yield* Fiber.interrupt(running)
    }))

  it.scopedLive("answers in JSON, or without event ids, when told so", () =>
    Effect.gen(function*() {
      const initialize = {
        method: "initialize",
        params: { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: { name: "judge", version: "1.0.0" } }
      }
      const json = yield* post((yield* Servers.sdkServer({ enableJsonResponse: true })).url, initialize)
      assert.strictEqual(json.type, "application/json")
      const plain = yield* post((yield* Servers.sdkServer({ eventStore: false })).url, initialize)
      assert.strictEqual(plain.type, "text/event-stream")
      assert.notInclude(plain.body, "id: ")
      const resumable = yield* post((yield* Servers.sdkServer({ retryInterval: 250 })).url, initialize)
      assert.match(resumable.body, /^id: event-0\nretry: 250\ndata: \n\n/)
    }))
})

describe("dualEraServer", () => {
  const stateless = (method: string, params: Record<string, unknown> = {}) => ({
    method,
    params: {
      ...params,
      _meta: {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": { name: "judge", version: "1.0.0" },
        "io.modelcontextprotocol/clientCapabilities": {},
        progressToken: "token"
      }
    }
  })
  const headersOf = (method: string, name?: string) => ({
    "mcp-protocol-version": "2026-07-28",
    "mcp-method": method,
    ...(name === undefined ? {} : { "mcp-name": name })
  })

  it.scopedLive("serves 2026-07-28 without sessions", () =>
    Effect.gen(function*() {
      const { url } = yield* Servers.dualEraServer()
      const discovered = yield* post(url, stateless("server/discover"), headersOf("server/discover"))
      assert.strictEqual(discovered.status, 200)
      assert.include(discovered.body, "\"supportedVersions\":[\"2026-07-28\"]")
      const progress = yield* post(
        url,
        stateless("tools/call", { name: "progress", arguments: { steps: 2 } }),
        headersOf("tools/call", "progress")
      )
      assert.strictEqual(progress.type, "text/event-stream")
      assert.strictEqual(progress.body.split("notifications/progress").length, 3)
      const unknown = yield* post(url, stateless("no/such"), headersOf("no/such"))
      assert.strictEqual(unknown.status, 404)
      assert.include(unknown.body, "-32601")
      const contradicting = yield* post(url, stateless("tools/list"), headersOf("tools/call"))
      assert.strictEqual(contradicting.status, 400)
      assert.include(contradicting.body, "-32020")
    }))

  it.scopedLive("cancels a call whose stream the client closes", () =>
    Effect.gen(function*() {
      const server = yield* Servers.dualEraServer()
      const running = new AbortController()
      const message = stateless("tools/call", { name: "progress", arguments: { steps: 1000, delayMs: 5 } })
      const response = yield* Effect.promise(() =>
        fetch(server.url, {
          method: "POST",
          signal: running.signal,
          headers: {
            "content-type": "application/json",
            accept: "application/json, text/event-stream",
            ...headersOf("tools/call", "progress")
          },
          body: JSON.stringify({ jsonrpc: "2.0", id: 1, ...message })
        })
      )
      assert.strictEqual(response.status, 200)
      running.abort()
      const cancelled = yield* server.cancelledCalls.pipe(
        Effect.delay("5 millis"),
        Effect.repeat({ until: (count) => count > 0 })
      )
      assert.strictEqual(cancelled, 1)
      assert.strictEqual((yield* server.wire).at(-1)?.state, "cut")
    }))
})
