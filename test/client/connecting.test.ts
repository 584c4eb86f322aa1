/**
 * Connecting: what is sent, what is made of the answer, and what is left behind when it fails.
 */
import { Elicitation, McpClient, McpClientError, Roots, Sampling } from "@effect-mcp/client"
import { ScriptedServer } from "@effect-mcp/testing"
import * as TestTransport from "@effect-mcp/testing/TestTransport"
import { HttpExchange, JsonRpc, StreamableHttpTransport, TransportEvent } from "@effect-mcp/transport"
import { assert, describe, it } from "@effect/vitest"
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import { clients } from "../support/harness.ts"
import { clocked, live } from "../support/quiet.ts"
import {
  assertFields,
  clientInfo,
  connected,
  connectionError,
  connectTo,
  discoverResult,
  error,
  everything,
  fail,
  failureNow,
  idsOf,
  initializeResult,
  inScope,
  isRunning,
  legacyServer,
  messages,
  metaOf,
  methodsOf,
  modernServer,
  never,
  now,
  overHttp,
  prepare,
  requestsOf,
  result,
  settle,
  start,
  statusError,
  toolResult
} from "./support/connecting.ts"

const { events, json, on, respond, session, status } = ScriptedServer

const modernMeta = (capabilities: unknown = {}) => ({
  "io.modelcontextprotocol/protocolVersion": "2026-07-28",
  "io.modelcontextprotocol/clientInfo": clientInfo,
  "io.modelcontextprotocol/clientCapabilities": capabilities
})

const versionRefused = (...supported: ReadonlyArray<string>): JsonRpc.ErrorObject => ({
  code: -32022,
  message: "Unsupported protocol version",
  data: { supported, requested: "2026-07-28" }
})

const modernVerdict: McpClient.Verdict = {
  era: "Modern",
  protocolVersion: "2026-07-28",
  server: discoverResult
}

const legacyVerdict: McpClient.Verdict = {
  era: "Legacy",
  protocolVersion: "2025-11-25",
  server: initializeResult
}

/** Answers differently each time; the last for ever. */
const inTurn = (...replies: readonly [TestTransport.Reply, ...ReadonlyArray<TestTransport.Reply>]) => {
  let turn = 0
  return (): TestTransport.Reply => replies[Math.min(turn++, replies.length - 1)] ?? replies[0]
}

describe("auto", () => {
  it.scoped("a modern server is asked once, and nothing else is sent", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected(modernServer())
      assert.deepStrictEqual(yield* server.sent, [
        { jsonrpc: "2.0", id: 1, method: "server/discover", params: { _meta: modernMeta() } }
      ])
      assert.deepStrictEqual(client.server, {
        name: "modern",
        version: "3.0.0",
        info: { name: "modern", version: "3.0.0", title: "The Modern One" },
        capabilities: everything,
        instructions: "ask statelessly",
        protocolVersion: "2026-07-28",
        era: "Modern"
      })
      assert.deepStrictEqual(yield* client.state, { _tag: "Ready", server: client.server })
      assert.deepStrictEqual(yield* client.verdict, modernVerdict)
    }))

  it.scoped("every modern request carries the same `_meta`, beside that of the caller, who cannot change it", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected(modernServer())
      yield* now(client.callTool("work", {}, {
        meta: { mine: 1, "io.modelcontextprotocol/protocolVersion": "2099-01-01" }
      }))
      const [call] = requestsOf(yield* server.sent, "tools/call")
      assert.deepStrictEqual(metaOf(call), { ...modernMeta(), mine: 1 })
    }))

  it.scoped("a legacy server is initialized, confirmed, and listened to", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected(legacyServer())
      const sent = yield* server.sent
      assert.deepStrictEqual(sent.slice(1), [
        {
          jsonrpc: "2.0",
          id: 2,
          method: "initialize",
          params: { protocolVersion: "2025-11-25", capabilities: {}, clientInfo }
        },
        { jsonrpc: "2.0", method: "notifications/initialized" }
      ])
      assert.deepStrictEqual(client.server, {
        name: "legacy",
        version: "2.0.0",
        info: { name: "legacy", version: "2.0.0" },
        capabilities: everything,
        instructions: "ask nicely",
        protocolVersion: "2025-11-25",
        era: "Legacy"
      })
      assert.deepStrictEqual(yield* client.verdict, legacyVerdict)
      yield* now(client.callTool("work"))
      const [call] = requestsOf(yield* server.sent, "tools/call")
      assert.deepStrictEqual(call, {
        jsonrpc: "2.0",
        id: 3,
        method: "tools/call",
        params: { name: "work", arguments: {} }
      })
    }))

  it.scoped("an older version is what the session goes on with", () =>
    Effect.gen(function*() {
      for (const protocolVersion of ["2025-06-18", "2025-03-26", "2024-11-05"]) {
        const { client } = yield* connected(
          legacyServer({ initialize: result({ ...initializeResult, protocolVersion }) })
        )
        assert.strictEqual(client.server.protocolVersion, protocolVersion)
        assert.strictEqual(client.server.era, "Legacy")
      }
    }))

  it.scoped("both eras: the modern one", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected(legacyServer({
        "server/discover": result({ ...discoverResult, supportedVersions: ["2025-11-25", "2026-07-28"] })
      }))
      assert.strictEqual(client.server.era, "Modern")
      assert.deepStrictEqual(methodsOf(yield* server.sent), ["server/discover"])
    }))

  it.scoped("a server that discovers legacy versions only is initialized with the newest of them", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected(legacyServer({
        "server/discover": result({ ...discoverResult, supportedVersions: ["2025-03-26", "2025-06-18"] })
      }))
      assert.deepStrictEqual(methodsOf(yield* server.sent), [
        "server/discover",
        "initialize",
        "notifications/initialized"
      ])
      assert.strictEqual(requestsOf(yield* server.sent, "initialize")[0]?.params?.protocolVersion, "2025-06-18")
      assert.strictEqual(client.server.protocolVersion, "2025-06-18")
    }))

  it.scoped("a modern server that tells nothing of itself is `unknown`", () =>
    Effect.gen(function*() {
      for (
        const _meta of [undefined, {}, { "io.modelcontextprotocol/serverInfo": { name: 1 } }, {
          "io.modelcontextprotocol/serverInfo": null
        }]
      ) {
        const { client } = yield* connected(modernServer({
          "server/discover": result({ supportedVersions: ["2026-07-28"], capabilities: {}, ...(_meta && { _meta }) })
        }))
        assertFields(client.server, { name: "unknown", version: "unknown", info: undefined, instructions: undefined })
      }
    }))
})

describe("what is refused with -32022", () => {
  it.scoped("a mutual version is asked in once more", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected(modernServer({
        "server/discover": inTurn(error(versionRefused("2026-07-28")), result(discoverResult))
      }))
      assert.strictEqual(client.server.era, "Modern")
      assert.deepStrictEqual(methodsOf(yield* server.sent), ["server/discover", "server/discover"])
      assert.deepStrictEqual(idsOf(yield* server.sent), [1, 2])
    }))

  it.scoped("never a second time", () =>
    Effect.gen(function*() {
      const { connect, server } = yield* prepare(legacyServer({
        "server/discover": error(versionRefused("2026-07-28"))
      }))
      const failure = yield* failureNow(connect)
      assertFields(failure, { _tag: "NegotiationError", supported: ["2026-07-28"] })
      assert.deepStrictEqual(methodsOf(yield* server.sent), ["server/discover", "server/discover"])
    }))

  it.scoped("never a second time: a legacy version that is named as well is taken then", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected(legacyServer({
        "server/discover": error(versionRefused("2026-07-28", "2025-06-18"))
      }))
      assert.strictEqual(client.server.protocolVersion, "2025-06-18")
      assert.deepStrictEqual(methodsOf(yield* server.sent), [
        "server/discover",
        "server/discover",
        "initialize",
        "notifications/initialized"
      ])
    }))

  it.scoped("nothing in common is a NegotiationError", () =>
    Effect.gen(function*() {
      const { connect, server } = yield* prepare(legacyServer({
        "server/discover": error(versionRefused("2099-01-01", "2098-01-01"))
      }))
      const failure = yield* failureNow(connect)
      assert(failure instanceof McpClientError.NegotiationError)
      assert.deepStrictEqual(failure.supported, ["2099-01-01", "2098-01-01"])
      assert.include(failure.requested, "2026-07-28")
      assert.include(failure.requested, "2025-11-25")
      assert.include(failure.message, "2099-01-01")
      assert.deepStrictEqual(methodsOf(yield* server.sent), ["server/discover"])
    }))

  it.scoped("the other modern errors are failures, and nothing is initialized", () =>
    Effect.gen(function*() {
      for (const code of [-32020, -32021]) {
        const { connect, server } = yield* prepare(legacyServer({ "server/discover": error({ code, message: "no" }) }))
        const failure = yield* failureNow(connect)
        assert(failure instanceof McpClientError.JsonRpcError)
        assertFields(failure, { code, method: "server/discover", outcome: "NotExecuted" })
        assert.deepStrictEqual(methodsOf(yield* server.sent), ["server/discover"])
      }
    }))
})

describe("an outage never decides the era", () => {
  clocked("the transport's error is that of connecting, unchanged", () =>
    Effect.gen(function*() {
      for (
        const outage of [
          connectionError("Connect"),
          connectionError("Response"),
          connectionError("Body"),
          ...[301, 401, 403, 429, 500, 502, 503].map((status) => statusError(status))
        ]
      ) {
        const { connect, server } = yield* prepare(legacyServer({ "server/discover": fail(outage) }))
        assert.strictEqual(yield* failureNow(connect), outage)
        assert.deepStrictEqual(methodsOf(yield* server.sent), ["server/discover"])
      }
    }))

  it.scoped("a probe that is not answered: total, and idle", () =>
    Effect.gen(function*() {
      for (
        const { kind, limit, options } of [
          { kind: "Idle", limit: "1 minute", options: {} },
          { kind: "Idle", limit: "5 seconds", options: { idleTimeout: "5 seconds" } },
          { kind: "Total", limit: "20 seconds", options: { timeout: "20 seconds" } }
        ] as const
      ) {
        const { connect, server } = yield* prepare(legacyServer({ "server/discover": never }), options)
        const connecting = yield* start(Effect.flip(connect))
        yield* TestClock.adjust(Duration.subtract(limit, "1 millis"))
        assert.isTrue(yield* isRunning(connecting))
        yield* TestClock.adjust("1 millis")
        assertFields(yield* now(Fiber.join(connecting)), { _tag: "RequestTimeout", method: "server/discover", kind })
        yield* settle
        assert.deepStrictEqual(methodsOf(yield* server.sent), ["server/discover"])
        assert.deepStrictEqual(methodsOf(yield* server.interrupted), ["server/discover"])
      }
    }))

  it.scoped("an initialize that is not answered, or not confirmed", () =>
    Effect.gen(function*() {
      const silent = yield* prepare(legacyServer({ initialize: never }))
      const connecting = yield* start(Effect.flip(silent.connect))
      yield* TestClock.adjust("1 minute")
      assertFields(yield* now(Fiber.join(connecting)), { _tag: "RequestTimeout", method: "initialize", kind: "Idle" })
      yield* settle
      // It must not be cancelled.
      assert.deepStrictEqual(methodsOf(yield* silent.server.sent), ["server/discover", "initialize"])

      const unconfirmed = yield* prepare(legacyServer(), { transport: { accept: () => Effect.never } })
      const confirming = yield* start(Effect.flip(unconfirmed.connect))
      yield* TestClock.adjust("59 seconds")
      assert.isTrue(yield* isRunning(confirming))
      yield* TestClock.adjust("1 second")
      assertFields(yield* now(Fiber.join(confirming)), {
        _tag: "RequestTimeout",
        method: "notifications/initialized",
        kind: "Idle"
      })
    }))

  const bodies: ReadonlyArray<readonly [string, ScriptedServer.Rule["reply"], string]> = [
    ["a plain 500", status(500), "HttpStatusError"],
    [
      "an HTML 502",
      respond(502, [ScriptedServer.bytes("<html>")], { headers: { "content-type": "text/html" } }),
      "HttpStatusError"
    ],
    [
      "a 500 with a JSON-RPC error",
      ({ message }) =>
        json({ jsonrpc: "2.0", id: message?.id, error: { code: -32603, message: "boom" } }, { status: 500 }),
      "JsonRpcError"
    ],
    [
      "a 500 with `method not found`",
      ({ message }) =>
        json({ jsonrpc: "2.0", id: message?.id, error: { code: -32601, message: "no" } }, { status: 500 }),
      "JsonRpcError"
    ],
    [
      "a 500 with a JSON-RPC error without an id",
      json({ jsonrpc: "2.0", id: null, error: { code: -32000, message: "boom" } }, { status: 500 }),
      "JsonRpcError"
    ],
    [
      "a 503 with a JSON-RPC error",
      ({ message }) =>
        json({ jsonrpc: "2.0", id: message?.id, error: { code: -32000, message: "busy" } }, { status: 503 }),
      "HttpStatusError"
    ],
    ["a dropped connection", ScriptedServer.drop(), "ConnectionError"],
    ["a stream that breaks", events([ScriptedServer.comment(), ScriptedServer.cut()]), "ConnectionError"],
    ["a stream that ends", events([ScriptedServer.comment()]), "ProtocolError"],
    ["rubbish", json("{", {}), "ProtocolError"],
    [
      "another type",
      respond(200, [ScriptedServer.bytes("hi")], { headers: { "content-type": "text/plain" } }),
      "ProtocolError"
    ]
  ]

  for (const [name, reply, tag] of bodies) {
    clocked(`over HTTP: ${name}`, () =>
      Effect.gen(function*() {
        const { connect, server } = yield* overHttp([on({ message: "server/discover" }, reply), ...session()])
        assertFields(yield* failureNow(connect), { _tag: tag })
        yield* settle
        assert.lengthOf(yield* server.arrivals, 1)
      }))
  }

  for (const { exchange, layer, name } of clients) {
    live(
      `over ${name}: a 500 with a JSON-RPC error, many times, and a refused connection`,
      () =>
        Effect.gen(function*() {
          const server = yield* ScriptedServer.makeLoopback([
            on(
              { message: "server/discover" },
              ({ message }) =>
                json({ jsonrpc: "2.0", id: message?.id, error: { code: -32601, message: "boom" } }, { status: 500 })
            ),
            ...session()
          ])
          const context = yield* Layer.build(exchange ?? Layer.provide(HttpExchange.layerHttpClient, layer))
          const connect = (url: string) =>
            Effect.scoped(
              Effect.flatMap(
                Effect.provide(StreamableHttpTransport.makeExchange({ url }), context),
                (transport) => Effect.flip(connectTo(transport))
              )
            )
          for (let round = 0; round < 10; round++) {
            const failures = yield* Effect.all(Array.from({ length: 4 }, () => connect(server.url)), {
              concurrency: "unbounded"
            })
            for (const failure of failures) assertFields(failure, { _tag: "JsonRpcError", code: -32601 })
          }
          assert.lengthOf(yield* server.arrivals, 40)

          const url = yield* Effect.scoped(Effect.map(ScriptedServer.makeLoopback([]), ({ url }) => url))
          assertFields(yield* connect(url), { _tag: "ConnectionError", phase: "Connect", outcome: "NotExecuted" })
        })
    )
  }
})

describe("over HTTP", () => {
  const header = (arrival: ScriptedServer.Arrival | undefined, name: string) => arrival?.headers[name]

  clocked("the probe has the headers of its version and no session", () =>
    Effect.gen(function*() {
      const { connect, server } = yield* overHttp([
        on({ message: "server/discover" }, ScriptedServer.result(discoverResult)),
        on({ message: "tools/call" }, ScriptedServer.result({ ...toolResult, resultType: "complete" }))
      ])
      const client = yield* now(connect)
      yield* now(client.callTool("work"))
      yield* settle
      const [probe, call, ...others] = yield* server.arrivals
      assert.lengthOf(others, 0)
      assert.strictEqual(probe?.method, "POST")
      assert.strictEqual(header(probe, "mcp-protocol-version"), "2026-07-28")
      assert.strictEqual(header(probe, "mcp-method"), "server/discover")
      assert.strictEqual(header(probe, "mcp-session-id"), undefined)
      assert.strictEqual(header(call, "mcp-name"), "work")
    }))

  clocked(
    "a legacy server: the probe without, everything after the handshake with the session",
    () =>
      Effect.gen(function*() {
        const { connect, server } = yield* overHttp([
          on({ message: "server/discover" }, status(400)),
          on({ message: "tools/call" }, ScriptedServer.result(toolResult)),
          ...session({ result: { capabilities: everything } })
        ])
        const { close, made: client } = yield* inScope(connect)
        yield* now(client.callTool("work"))
        yield* settle
        yield* close
        const arrivals = yield* server.arrivals
        assert.deepStrictEqual(
          arrivals.map((arrival) => [
            arrival.message?.method ?? arrival.method,
            header(arrival, "mcp-session-id"),
            header(arrival, "mcp-protocol-version")
          ]).toSorted(),
          [
            ["GET", "scripted-session", "2025-11-25"],
            ["initialize", undefined, undefined],
            ["notifications/initialized", "scripted-session", "2025-11-25"],
            ["server/discover", undefined, "2026-07-28"],
            ["tools/call", "scripted-session", "2025-11-25"]
          ]
        )
        assert.deepStrictEqual(yield* server.unmatched, [])
      })
  )

  clocked("a legacy server's own stream is asked for before the first call", () =>
    Effect.gen(function*() {
      const { connect, server } = yield* overHttp([
        on({ message: "server/discover" }, status(400)),
        on({ message: "tools/call" }, ScriptedServer.result(toolResult)),
        ...session({ result: { capabilities: everything } })
      ])
      yield* now(Effect.scoped(Effect.flatMap(connect, (client) => client.callTool("work"))))
      const methods = (yield* server.arrivals).map(({ message, method }) => message?.method ?? method)
      assert.deepStrictEqual(methods.slice(-2), ["GET", "tools/call"])
    }))

  for (
    const [name, reply] of [
      ["an empty 400", status(400)],
      ["an HTML 400", status(400, { text: "<html>", headers: { "content-type": "text/html" } })],
      ["a plain 404", status(404)],
      ["a 405", status(405)],
      [
        "a 400 with an error without an id",
        json({ jsonrpc: "2.0", id: null, error: { code: -32000, message: "no session" } }, { status: 400 })
      ],
      ["an event stream with the error", events([ScriptedServer.answerError({ code: -32601, message: "no" })])]
    ] as const
  ) {
    clocked(`${name} is the answer of a legacy server`, () =>
      Effect.gen(function*() {
        const { connect } = yield* overHttp([on({ message: "server/discover" }, reply), ...session()])
        const client = yield* now(connect)
        assert.strictEqual(client.server.era, "Legacy")
      }))
  }

  for (
    const [name, refusal] of [
      ["with its id", ({ message }: ScriptedServer.Arrival) => message?.id],
      ["without an id", () => undefined],
      ["with null for an id", () => null],
      ["with another id", () => "somebody-else"]
    ] as const
  ) {
    clocked(`-32022 ${name} and status 400 is asked again once, never a third time`, () =>
      Effect.gen(function*() {
        const { connect, server } = yield* overHttp([
          on({ message: "server/discover" }, (arrival) =>
            json({ jsonrpc: "2.0", id: refusal(arrival), error: versionRefused("2026-07-28") }, { status: 400 })),
          ...session()
        ])
        assertFields(yield* failureNow(connect), { _tag: "NegotiationError" })
        assert.lengthOf(yield* server.arrivals, 2)
      }))
  }

  clocked("a status error keeps its status, body and wwwAuthenticate", () =>
    Effect.gen(function*() {
      const { connect } = yield* overHttp([
        on({}, status(401, { text: "who are you", headers: { "www-authenticate": "Bearer realm=x" } }))
      ])
      assertFields(yield* failureNow(connect), {
        _tag: "HttpStatusError",
        status: 401,
        body: "who are you",
        wwwAuthenticate: "Bearer realm=x"
      })
    }))
})

describe("a pinned version", () => {
  for (const protocol of ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"] as const) {
    it.scoped(`${protocol}: nothing is asked, and nothing else will do`, () =>
      Effect.gen(function*() {
        const { client, server } = yield* connected(legacyServer(), { protocol })
        assert.deepStrictEqual(methodsOf(yield* server.sent), ["initialize", "notifications/initialized"])
        assert.strictEqual(requestsOf(yield* server.sent, "initialize")[0]?.params?.protocolVersion, protocol)
        assert.strictEqual(client.server.protocolVersion, protocol)

        const other = protocol === "2025-03-26" ? "2025-06-18" : "2025-03-26"
        const refused = yield* prepare(
          legacyServer({ initialize: result({ ...initializeResult, protocolVersion: other }) }),
          { protocol }
        )
        assertFields(yield* failureNow(refused.connect), {
          _tag: "NegotiationError",
          requested: [protocol],
          supported: [other]
        })
        assert.deepStrictEqual(methodsOf(yield* refused.server.sent), ["initialize"])
      }))
  }

  it.scoped("2025: a server that refuses to initialize is not asked what else it speaks", () =>
    Effect.gen(function*() {
      const { connect, server } = yield* prepare(modernServer(), { protocol: "2025-11-25" })
      assertFields(yield* failureNow(connect), { _tag: "JsonRpcError", code: -32601, method: "initialize" })
      assert.deepStrictEqual(methodsOf(yield* server.sent), ["initialize"])
    }))

  it.scoped("2026-07-28: never falls back", () =>
    Effect.gen(function*() {
      for (
        const { reply, supported } of [
          { reply: error({ code: -32601, message: "no" }), supported: [] },
          { reply: fail(statusError(400)), supported: [] },
          { reply: fail(statusError(404)), supported: [] },
          { reply: error(versionRefused("2025-11-25")), supported: ["2025-11-25"] },
          { reply: result({ ...discoverResult, supportedVersions: ["2025-11-25"] }), supported: ["2025-11-25"] },
          { reply: result({ ...discoverResult, supportedVersions: ["2099-01-01"] }), supported: ["2099-01-01"] }
        ]
      ) {
        const { connect, server } = yield* prepare(legacyServer({ "server/discover": reply }), {
          protocol: "2026-07-28"
        })
        assertFields(yield* failureNow(connect), { _tag: "NegotiationError", requested: ["2026-07-28"], supported })
        assert.deepStrictEqual(methodsOf(yield* server.sent), ["server/discover"])
      }
    }))

  it.scoped("2026-07-28: outages and modern errors stay what they are", () =>
    Effect.gen(function*() {
      const connectWith = (reply: TestTransport.Reply) =>
        Effect.flatMap(
          prepare(legacyServer({ "server/discover": reply }), { protocol: "2026-07-28" }),
          ({ connect }) => failureNow(connect)
        )
      const outage = statusError(503)
      assert.strictEqual(yield* connectWith(fail(outage)), outage)
      assertFields(yield* connectWith(error({ code: -32020, message: "no" })), { _tag: "JsonRpcError", code: -32020 })
      assertFields(yield* connectWith(result({ ...discoverResult, capabilities: 1 })), {
        _tag: "DecodeError",
        reason: "Malformed",
        method: "server/discover",
        path: ["capabilities"]
      })
    }))

  it.scoped("2026-07-28: -32022 with it among the supported is asked again once", () =>
    Effect.gen(function*() {
      const script = () =>
        modernServer({ "server/discover": inTurn(error(versionRefused("2026-07-28")), result(discoverResult)) })
      const { client, server } = yield* connected(script(), { protocol: "2026-07-28" })
      assert.strictEqual(client.server.era, "Modern")
      assert.lengthOf(yield* server.sent, 2)
      const always = yield* prepare(modernServer({ "server/discover": error(versionRefused("2026-07-28")) }), {
        protocol: "2026-07-28"
      })
      assertFields(yield* failureNow(always.connect), { _tag: "NegotiationError" })
      assert.lengthOf(yield* always.server.sent, 2)
    }))
})

describe("answers that are wrong", () => {
  it.scoped("a version that nobody knows ends the session, and nothing more is sent", () =>
    Effect.gen(function*() {
      for (const protocolVersion of ["2099-01-01", "2026-07-28", "1.0", ""]) {
        const { connect, server } = yield* prepare(
          legacyServer({ initialize: result({ ...initializeResult, protocolVersion }) })
        )
        const failure = yield* failureNow(connect)
        assertFields(failure, { _tag: "NegotiationError", supported: [protocolVersion] })
        yield* settle
        assert.deepStrictEqual(methodsOf(yield* server.sent), ["server/discover", "initialize"])
      }
    }))

  clocked("over HTTP: the DELETE is all that follows", () =>
    Effect.gen(function*() {
      const { arrivals, failure } = yield* Effect.scoped(Effect.gen(function*() {
        const { connect, server } = yield* overHttp([
          on({ message: "server/discover" }, status(404)),
          ...session({ result: { protocolVersion: "2099-01-01" } })
        ])
        const failure = yield* failureNow(connect)
        return { failure, arrivals: server.arrivals }
      }))
      assertFields(failure, { _tag: "NegotiationError" })
      assert.deepStrictEqual((yield* arrivals).map(({ message, method }) => message?.method ?? method), [
        "server/discover",
        "initialize",
        "DELETE"
      ])
    }))

  it.scoped("a DiscoverResult that is none tells where", () =>
    Effect.gen(function*() {
      const { connect, server } = yield* prepare(legacyServer({
        "server/discover": result({ ...discoverResult, supportedVersions: ["2026-07-28", 7] })
      }))
      const failure = yield* failureNow(connect)
      assert(failure instanceof McpClientError.DecodeError)
      assertFields(failure, {
        method: "server/discover",
        reason: "Malformed",
        path: ["supportedVersions", 1],
        outcome: "Unknown"
      })
      assert.include(failure.excerpt ?? "", "supportedVersions")
      assert.deepStrictEqual(methodsOf(yield* server.sent), ["server/discover"])
    }))

  it.scoped("an InitializeResult that is none tells where, and is not confirmed", () =>
    Effect.gen(function*() {
      for (
        const [answer, path] of [
          [{ ...initializeResult, serverInfo: { name: "x" } }, ["serverInfo", "version"]],
          [{ ...initializeResult, protocolVersion: 2025 }, ["protocolVersion"]],
          [{ ...initializeResult, capabilities: undefined }, ["capabilities"]]
        ] as const
      ) {
        const { connect, server } = yield* prepare(legacyServer({ initialize: result(answer) }))
        assertFields(yield* failureNow(connect), {
          _tag: "DecodeError",
          method: "initialize",
          reason: "Malformed",
          path
        })
        assert.deepStrictEqual(methodsOf(yield* server.sent), ["server/discover", "initialize"])
      }
    }))

  it.scoped("rubbish instead of a result is a DecodeError, too", () =>
    Effect.gen(function*() {
      for (const answer of [null, 1, "ok", []]) {
        const { connect } = yield* prepare(legacyServer({ initialize: result(answer) }))
        assertFields(yield* failureNow(connect), { _tag: "DecodeError", method: "initialize", path: [] })
      }
    }))

  it.scoped("an initialize that is refused is a JsonRpcError", () =>
    Effect.gen(function*() {
      const { connect } = yield* prepare(legacyServer({ initialize: error({ code: -32603, message: "no", data: 7 }) }))
      assertFields(yield* failureNow(connect), {
        _tag: "JsonRpcError",
        method: "initialize",
        error: { code: -32603, message: "no", data: 7 }
      })
    }))

  it.scoped("an initialized that fails is the failure", () =>
    Effect.gen(function*() {
      const outage = statusError(500)
      const { connect } = yield* prepare(legacyServer(), { transport: { accept: () => Effect.fail(outage) } })
      assert.strictEqual(yield* failureNow(connect), outage)
    }))
})

describe("the verdict", () => {
  it.scoped("is JSON: it survives a round trip", () =>
    Effect.gen(function*() {
      for (const script of [legacyServer(), modernServer()]) {
        const { client } = yield* connected(script)
        const verdict = yield* client.verdict
        assert.deepStrictEqual(JSON.parse(JSON.stringify(verdict)), verdict)
      }
    }))

  it.scoped("Modern: nothing is sent until the first call", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected(modernServer(), { verdict: modernVerdict })
      assert.deepStrictEqual(yield* server.sent, [])
      assertFields(client.server, { name: "modern", era: "Modern", protocolVersion: "2026-07-28" })
      assert.deepStrictEqual(yield* now(client.callTool("work")), toolResult)
      assert.deepStrictEqual(methodsOf(yield* server.sent), ["tools/call"])
      assert.deepStrictEqual(yield* client.verdict, modernVerdict)
    }))

  it.scoped("Legacy: goes straight to initialize", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected(legacyServer(), { verdict: legacyVerdict })
      assert.deepStrictEqual(methodsOf(yield* server.sent), ["initialize", "notifications/initialized"])
      assert.strictEqual(client.server.era, "Legacy")
    }))

  it.scoped("Legacy with an adopted session: nothing at all is sent", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected(legacyServer(), {
        verdict: legacyVerdict,
        transport: { session: { sessionId: "taken-up", protocolVersion: "2025-11-25" } }
      })
      assert.deepStrictEqual(yield* server.sent, [])
      assertFields(client.server, { name: "legacy", era: "Legacy" })
      yield* now(client.callTool("work"))
      yield* now(client.callTool("work"))
      const ids = idsOf(yield* server.sent)
      assert.lengthOf(ids, 2)
      // Far from those that the client before used.
      for (const id of ids) assert.isAtLeast(Number(id), 1_000_000_000)
    }))

  clocked(
    "Legacy with an adopted session over HTTP: the stream of the server is all that is opened",
    () =>
      Effect.gen(function*() {
        const { connect, server } = yield* overHttp([...session()], {
          verdict: legacyVerdict,
          transport: { session: { sessionId: "taken-up", protocolVersion: "2025-11-25" } }
        })
        yield* now(connect)
        yield* settle
        assert.deepStrictEqual(
          (yield* server.arrivals).map(({ headers, method }) => [method, headers["mcp-session-id"]]),
          [
            ["GET", "taken-up"]
          ]
        )
      })
  )

  it.scoped("an adopted session that the server has forgotten is replaced, and the call is answered", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected(legacyServer(), {
        verdict: legacyVerdict,
        transport: { session: { sessionId: "taken-up", protocolVersion: "2025-11-25" } }
      })
      yield* server.terminateByServer
      assert.deepStrictEqual(yield* now(client.callTool("work")), toolResult)
      assert.deepStrictEqual(methodsOf(yield* server.sent).filter((method) => method !== "logging/setLevel"), [
        "initialize",
        "notifications/initialized",
        "tools/call"
      ])
    }))

  // What servers with sessions say to a request without one.
  const legacyRefusals: ReadonlyArray<readonly [string, TestTransport.Reply]> = [
    ["an empty 400", fail(statusError(400))],
    ["a 404", fail(statusError(404))],
    ["-32000", error({ code: -32000, message: "Bad Request: No valid session ID provided" })],
    ["-32600", error({ code: -32600, message: "not initialized" })],
    ["-32602", error({ code: -32602, message: "Invalid request parameters" })],
    ["-32022", error(versionRefused("2025-11-25"))]
  ]
  for (const [name, refusal] of legacyRefusals) {
    it.scoped(`Modern and wrong, found out by ${name}: the call is answered`, () =>
      Effect.gen(function*() {
        const script = legacyServer({
          "tools/call": ({ params }) =>
            Reflect.has(Object(params?._meta), "io.modelcontextprotocol/protocolVersion")
              ? refusal
              : result(toolResult)
        })
        const { client, server } = yield* connected(script, { verdict: modernVerdict })
        assert.deepStrictEqual(yield* now(client.callTool("work")), toolResult)
        assert.strictEqual(client.server.era, "Legacy")
        assert.strictEqual((yield* client.verdict).era, "Legacy")
        const methods = methodsOf(yield* server.sent)
        assert.deepStrictEqual(methods.slice(0, 4), [
          "tools/call",
          "server/discover",
          "initialize",
          "notifications/initialized"
        ])
        assert.lengthOf(requestsOf(yield* server.sent, "tools/call"), 2)
      }))
  }

  it.scoped("Modern and wrong: what may have been executed is not called again", () =>
    Effect.gen(function*() {
      for (const repeated of ["tools/call", "tools/list"] as const) {
        const { client, server } = yield* connected(
          legacyServer({ [repeated]: error({ code: -32603, message: "half done" }) }),
          { verdict: modernVerdict }
        )
        const call = repeated === "tools/call" ? client.callTool("work") : Stream.runDrain(client.tools)
        assertFields(yield* failureNow(call), { _tag: "JsonRpcError", code: -32603 })
        assert.lengthOf(requestsOf(yield* server.sent, repeated), repeated === "tools/call" ? 1 : 2)
        assert.strictEqual(client.server.era, "Legacy")
      }
    }))

  it.scoped("Modern and wrong: a request of an extension is never sent twice, but the truth is known from then on", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected(legacyServer({ "x/y": fail(statusError(400)) }), {
        verdict: modernVerdict
      })
      assertFields(yield* failureNow(client.request("x/y")), { _tag: "HttpStatusError", status: 400 })
      assert.lengthOf(requestsOf(yield* server.sent, "x/y"), 1)
      assert.strictEqual(client.server.era, "Legacy")
      assert.deepStrictEqual(yield* now(client.callTool("work")), toolResult)
    }))

  it.scoped("Modern and wrong, found out by 20 calls at once: one negotiation, all answered", () =>
    Effect.gen(function*() {
      const script = legacyServer({
        "tools/call": ({ params }) => params?._meta === undefined ? result(toolResult) : fail(statusError(400))
      })
      const { client, server } = yield* connected(script, { verdict: modernVerdict })
      const answers = yield* now(Effect.all(Array.from({ length: 20 }, () => client.callTool("work")), {
        concurrency: "unbounded"
      }))
      for (const answer of answers) assert.deepStrictEqual(answer, toolResult)
      const sent = yield* server.sent
      assert.lengthOf(requestsOf(sent, "server/discover"), 1)
      assert.lengthOf(requestsOf(sent, "initialize"), 1)
      assert.lengthOf(requestsOf(sent, "tools/call"), 40)
      const ids = idsOf(sent)
      assert.strictEqual(new Set(ids).size, ids.length)
    }))

  it.scoped("Modern and right: a refusal of the call itself is asked about once, never again", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected(
        modernServer({ "tools/call": error({ code: -32602, message: "Unknown tool" }) }),
        { verdict: modernVerdict }
      )
      for (let n = 0; n < 3; n++) {
        assertFields(yield* failureNow(client.callTool("work")), { _tag: "JsonRpcError", code: -32602 })
      }
      assert.deepStrictEqual(methodsOf(yield* server.sent), [
        "tools/call",
        "server/discover",
        "tools/call",
        "tools/call"
      ])
    }))

  it.scoped("Modern: an outage does not make it wrong", () =>
    Effect.gen(function*() {
      const outage = statusError(503)
      const { client, server } = yield* connected(modernServer({ "tools/call": fail(outage) }), {
        verdict: modernVerdict
      })
      assert.strictEqual(yield* failureNow(client.callTool("work")), outage)
      assert.deepStrictEqual(methodsOf(yield* server.sent), ["tools/call"])
      assert.strictEqual(client.server.era, "Modern")
    }))

  it.scoped("Modern, and the server refuses the version that it speaks: asked anew, called again once", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected(
        modernServer({ "tools/call": inTurn(error(versionRefused("2026-07-28")), result(toolResult)) }),
        { verdict: modernVerdict }
      )
      assert.deepStrictEqual(yield* now(client.callTool("work")), toolResult)
      assert.deepStrictEqual(methodsOf(yield* server.sent), ["tools/call", "server/discover", "tools/call"])
      const always = yield* connected(modernServer({ "tools/call": error(versionRefused("2026-07-28")) }))
      assertFields(yield* failureNow(always.client.callTool("work")), { _tag: "JsonRpcError", code: -32022 })
      assert.lengthOf(requestsOf(yield* always.server.sent, "tools/call"), 2)
    }))

  // What stateless servers say to initialize ("Compatibility Matrix": the code is theirs to choose).
  const modernRefusals: ReadonlyArray<readonly [string, TestTransport.Reply]> = [
    ["-32022", error(versionRefused("2026-07-28"))],
    ["-32020", error({ code: -32020, message: "MCP-Protocol-Version is missing" })],
    ["-32601", error({ code: -32601, message: "Method not found" })],
    ["-32602", error({ code: -32602, message: "_meta is missing" })],
    ["-32600", error({ code: -32600, message: "no" })],
    ["-32000", error({ code: -32000, message: "no" })],
    ["an empty 400", fail(statusError(400))],
    ["a 404", fail(statusError(404))],
    ["a 400 with a modern error", fail(statusError(400, { error: versionRefused("2026-07-28") }))]
  ]
  for (const [name, refusal] of modernRefusals) {
    it.scoped(`Legacy and wrong, found out by ${name}: connected all the same`, () =>
      Effect.gen(function*() {
        const { client, server } = yield* connected(modernServer({ initialize: refusal }), { verdict: legacyVerdict })
        assert.strictEqual(client.server.era, "Modern")
        assert.deepStrictEqual(methodsOf(yield* server.sent), ["initialize", "server/discover"])
        assert.deepStrictEqual(yield* client.verdict, modernVerdict)
      }))
  }

  it.scoped("Legacy: an outage does not make it wrong", () =>
    Effect.gen(function*() {
      for (const outage of [statusError(503), statusError(429), statusError(401), connectionError("Connect")]) {
        const { connect, server } = yield* prepare(modernServer({ initialize: fail(outage) }), {
          verdict: legacyVerdict
        })
        assert.strictEqual(yield* failureNow(connect), outage)
        assert.deepStrictEqual(methodsOf(yield* server.sent), ["initialize"])
      }
    }))

  it.scoped("Legacy with an adopted session and wrong: the call is answered", () =>
    Effect.gen(function*() {
      for (const code of [-32022, -32020]) {
        const refusal = code === -32022 ? versionRefused("2026-07-28") : { code, message: "no" }
        const { client, server } = yield* connected(
          modernServer({
            "tools/call": ({ params }) => params?._meta === undefined ? error(refusal) : result(toolResult)
          }),
          {
            verdict: legacyVerdict,
            transport: { session: { sessionId: "taken-up", protocolVersion: "2025-11-25" } }
          }
        )
        assert.deepStrictEqual(yield* now(client.callTool("work")), toolResult)
        assert.strictEqual(client.server.era, "Modern")
        assert.deepStrictEqual(methodsOf(yield* server.sent), [
          "tools/call",
          "initialize",
          "server/discover",
          "tools/call"
        ])
      }
    }))

  it.scoped("nothing of it counts when a version is pinned", () =>
    Effect.gen(function*() {
      const { server } = yield* connected(legacyServer(), { verdict: modernVerdict, protocol: "2025-11-25" })
      assert.deepStrictEqual(methodsOf(yield* server.sent), ["initialize", "notifications/initialized"])
    }))
})

describe("layers", () => {
  const over = (script: TestTransport.Script) => TestTransport.layer(script)

  it.effect("the layer gives the client", () =>
    Effect.gen(function*() {
      const client = yield* McpClient.McpClient
      assert.deepStrictEqual(yield* now(client.callTool("work")), toolResult)
    }).pipe(Effect.provide(McpClient.layer({ clientInfo }).pipe(Layer.provide(over(legacyServer()))))))

  it.effect("building it fails with the typed error", () =>
    Effect.gen(function*() {
      const outage = statusError(503)
      const built = yield* now(Effect.scoped(Effect.exit(Layer.build(
        McpClient.layer({ clientInfo }).pipe(Layer.provide(over({ "server/discover": fail(outage) })))
      ))))
      assert.deepStrictEqual(built, Exit.fail(outage))
    }))

  it.effect("options from Config", () =>
    Effect.gen(function*() {
      const client = yield* McpClient.McpClient
      assert.strictEqual(client.server.era, "Modern")
    }).pipe(Effect.provide(
      McpClient.layerConfig({ clientInfo: Config.succeed(clientInfo) }).pipe(
        Layer.provide(over(modernServer()))
      )
    )))
})

describe("interruption while connecting", () => {
  for (
    const [name, script, waitsFor] of [
      ["the probe", legacyServer({ "server/discover": never }), "server/discover"],
      ["initialize", legacyServer({ initialize: never }), "initialize"]
    ] as const
  ) {
    it.scoped(`${name} is given up, and nothing is left behind`, () =>
      Effect.gen(function*() {
        const { connect, server } = yield* prepare(script)
        const scope = yield* Scope.make()
        const connecting = yield* Effect.fork(Scope.extend(connect, scope))
        yield* now(server.awaitSent(waitsFor))
        yield* settle
        yield* now(Fiber.interrupt(connecting))
        yield* now(Scope.close(scope, Exit.void))
        yield* settle
        assert.deepStrictEqual(methodsOf(yield* server.interrupted), [waitsFor])
        // No cancellation: not of initialize, and a stateless server knows from the stream.
        assert.strictEqual(methodsOf(yield* server.sent).at(-1), waitsFor)
        yield* TestClock.adjust("2 hours")
        yield* settle
        assert.strictEqual(methodsOf(yield* server.sent).at(-1), waitsFor)
      }))
  }

  it.scoped("the confirmation is given up", () =>
    Effect.gen(function*() {
      const { connect, server } = yield* prepare(legacyServer(), { transport: { accept: () => Effect.never } })
      const { fiber, scope } = yield* Effect.gen(function*() {
        const scope = yield* Scope.make()
        return { scope, fiber: yield* Effect.fork(Scope.extend(connect, scope)) }
      })
      yield* now(server.awaitSent("notifications/initialized"))
      yield* settle
      yield* now(Fiber.interrupt(fiber))
      yield* now(Scope.close(scope, Exit.void))
      assert.deepStrictEqual(methodsOf(yield* server.interrupted), ["notifications/initialized"])
    }))

  clocked("over HTTP no exchange stays open, and the session that was opened is deleted", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const { connect, server } = yield* Scope.extend(
        overHttp([
          on({ message: "server/discover" }, status(400)),
          on({ message: "notifications/initialized" }, ScriptedServer.never),
          ...session()
        ]),
        scope
      )
      const connecting = yield* Effect.fork(Scope.extend(connect, scope))
      yield* now(server.awaitArrivals(3))
      yield* settle
      yield* now(Fiber.interrupt(connecting))
      yield* settle
      assert.strictEqual(yield* server.openExchanges, 0)
      yield* now(Scope.close(scope, Exit.void))
      assert.strictEqual((yield* server.arrivals).at(-1)?.method, "DELETE")
    }))
})

describe("ids", () => {
  it.scoped("never repeat, however many calls, clients and sessions", () =>
    Effect.gen(function*() {
      const { client, connect, server } = yield* connected(legacyServer())
      const calls = Effect.all(Array.from({ length: 30 }, () => client.callTool("work")), { concurrency: 8 })
      yield* now(calls)
      yield* server.terminateByServer
      yield* now(calls)
      const session = yield* Effect.map(server.sent, (sent) => sent.length)
      // Another client on the same transport must not use the ids of the first one's session.
      yield* now(connect)
      yield* settle
      const sent = yield* server.sent
      const ids = idsOf(sent)
      assert.strictEqual(new Set(ids).size, ids.length)
      assert.isAbove(sent.length, session)
      for (const id of ids) assert.isTrue(Number.isSafeInteger(id))
    }))

  it.scoped("the token of progress is the id of its own request", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected(legacyServer())
      const onProgress = () => Effect.void
      yield* now(Effect.all([1, 2, 3].map(() => client.callTool("work", {}, { onProgress }))))
      for (const request of requestsOf(yield* server.sent, "tools/call")) {
        assert.deepStrictEqual(metaOf(request), { progressToken: request.id })
      }
    }))
})

// --- capabilities ---------------------------------------------------------------------------------------------------

describe("the capabilities declared", () => {
  const answer = { role: "assistant", content: { type: "text", text: "" }, model: "m" } as const
  const sampling = (capabilities?: Sampling.SamplingCapabilities) =>
    Context.make(Sampling.Sampling, { createMessage: () => Effect.succeed(answer), capabilities })
  const ask = () => Effect.succeed(Elicitation.cancel)

  const samplings: ReadonlyArray<readonly [string, Context.Context<never>, object]> = [
    ["none", Context.empty(), {}],
    ["plain", sampling(), { sampling: {} }],
    ["tools false", sampling({ tools: false, context: false }), { sampling: {} }],
    ["tools", sampling({ tools: true }), { sampling: { tools: {} } }],
    ["context", sampling({ context: true }), { sampling: { context: {} } }],
    ["both", sampling({ tools: true, context: true }), { sampling: { tools: {}, context: {} } }]
  ]
  const elicitations: ReadonlyArray<readonly [string, Context.Context<never>, object]> = [
    ["none", Context.empty(), {}],
    ["nothing in it", Context.make(Elicitation.Elicitation, {}), {}],
    ["form", Context.make(Elicitation.Elicitation, { form: ask }), { elicitation: { form: {} } }],
    ["url", Context.make(Elicitation.Elicitation, { url: ask }), { elicitation: { url: {} } }],
    ["both", Context.make(Elicitation.Elicitation, { form: ask, url: ask }), { elicitation: { form: {}, url: {} } }]
  ]
  const rootses: ReadonlyArray<readonly [string, Context.Context<never>, object, object]> = [
    ["none", Context.empty(), {}, {}],
    ["constant", Context.make(Roots.Roots, { list: Effect.succeed([]) }), { roots: {} }, { roots: {} }],
    [
      "changing",
      Context.make(Roots.Roots, { list: Effect.succeed([]), changes: Stream.never }),
      { roots: { listChanged: true } },
      { roots: {} }
    ]
  ]

  it.scoped("follow from the services provided, in both eras", () =>
    Effect.gen(function*() {
      for (const [samplingName, samplingContext, samplingDeclared] of samplings) {
        for (const [elicitationName, elicitationContext, elicitationDeclared] of elicitations) {
          for (const [rootsName, rootsContext, legacyRoots, modernRoots] of rootses) {
            const name = `sampling ${samplingName}, elicitation ${elicitationName}, roots ${rootsName}`
            const services = Context.merge(Context.merge(samplingContext, elicitationContext), rootsContext)
            const declared = { ...samplingDeclared, ...elicitationDeclared }
            yield* Effect.scoped(Effect.gen(function*() {
              const { connect, server } = yield* prepare(legacyServer(), { services })
              yield* now(connect)
              const sent = yield* server.sent
              assert.deepStrictEqual(
                requestsOf(sent, "initialize")[0]?.params?.capabilities,
                { ...declared, ...legacyRoots },
                name
              )
              assert.deepStrictEqual(
                metaOf(requestsOf(sent, "server/discover")[0]),
                modernMeta({ ...declared, ...modernRoots }),
                name
              )
            }))
          }
        }
      }
    }))

  it.scoped("and what the application adds", () =>
    Effect.gen(function*() {
      const capabilities = { experimental: { x: { y: 1 } }, extensions: { "com.example/z": {} } }
      const { server } = yield* connected(legacyServer(), { capabilities, services: sampling() })
      const declared = { ...capabilities, sampling: {} }
      const sent = yield* server.sent
      assert.deepStrictEqual(requestsOf(sent, "initialize")[0]?.params?.capabilities, declared)
      assert.deepStrictEqual(metaOf(requestsOf(sent, "server/discover")[0]), modernMeta(declared))
    }))

  it.scoped("clientInfo is sent whole", () =>
    Effect.gen(function*() {
      const whole = { ...clientInfo, title: "App", websiteUrl: "https://example.com", icons: [{ src: "data:," }] }
      const { server } = yield* connected(legacyServer(), { clientInfo: whole })
      const sent = yield* server.sent
      assert.deepStrictEqual(requestsOf(sent, "initialize")[0]?.params?.clientInfo, whole)
      assert.deepStrictEqual(
        Reflect.get(Object(metaOf(sent.find(JsonRpc.isRequest))), "io.modelcontextprotocol/clientInfo"),
        whole
      )
    }))
})

describe("while connecting", () => {
  it.scoped("a ping on the stream of initialize is answered", () =>
    Effect.gen(function*() {
      const { server } = yield* connected(legacyServer({
        initialize: messages([JsonRpc.request("early", "ping"), result(initializeResult)])
      }))
      yield* settle
      assert.deepInclude(yield* server.sent, JsonRpc.success("early", {}))
    }))

  it.scoped("log messages on the stream of the probe do no harm", () =>
    Effect.gen(function*() {
      const { client } = yield* connected(modernServer({
        "server/discover": messages([
          JsonRpc.notification("notifications/message", { level: "info", data: "hello" }),
          JsonRpc.notification("notifications/message", { level: "loud" }),
          JsonRpc.notification("notifications/x"),
          result(discoverResult)
        ])
      }))
      assert.strictEqual(client.server.era, "Modern")
    }))

  it.scoped("an event of another exchange does not pass for the status of the probe", () =>
    Effect.gen(function*() {
      const { server, transport } = yield* TestTransport.pair()
      const heads = [["server/discover", 400, 1], ["tools/call", 500, 77]] as const
      const emit = Effect.forEach(heads, ([message, status, requestId]) =>
        server.emit(TransportEvent.ResponseReceived({ method: "POST", status, message, requestId })))
      yield* server.incoming.pipe(
        Stream.tap(({ message }) =>
          "method" in message && message.method === "server/discover" ? emit : Effect.void
        ),
        Stream.runForEach((incoming) => TestTransport.answer(incoming, legacyServer())),
        Effect.forkScoped
      )
      const client = yield* now(connectTo(transport))
      assert.strictEqual(client.server.era, "Legacy")
    }))
})
