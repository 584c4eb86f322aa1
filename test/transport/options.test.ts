import { HttpExchange, JsonRpc, Reconnection, StreamableHttpTransport, TransportError } from "@effect-mcp/transport"
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as Headers from "@effect/platform/Headers"
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Chunk from "effect/Chunk"
import * as Config from "effect/Config"
import * as ConfigError from "effect/ConfigError"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Inspectable from "effect/Inspectable"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import { inspect } from "node:util"
import {
  afterHandshake,
  answer,
  call,
  collect,
  connect,
  handshake,
  initializeRequest,
  overEveryClient,
  progress,
  sessionId
} from "../support/harness.ts"
import { rawServer } from "../support/rawServer.ts"
import { failureOf, soon, stateOf } from "../support/sessions.ts"

const {
  StreamableHttpTransport: Transport,
  duplex,
  layer,
  layerConfig,
  layerExchange,
  make,
  makeExchange,
  notify,
  request
} = StreamableHttpTransport

const url = "http://127.0.0.1:9/mcp"

/** An exchange that is never to be used. */
const noExchange = Layer.succeed(HttpExchange.HttpExchange, {
  open: () => Effect.dieMessage("nothing is to be sent")
})

const construct = (options: StreamableHttpTransport.Options) =>
  Effect.scoped(makeExchange(options)).pipe(Effect.provide(noExchange))

// What users without types, or with types of their own, pass all the same.
const untyped = (options: { readonly [option: string]: unknown }): StreamableHttpTransport.Options =>
  Object.assign({ url }, options)

const refused = (options: { readonly [option: string]: unknown }) =>
  Effect.map(Effect.flip(construct(untyped(options))), (error) => {
    assert(error instanceof TransportError.InvalidOptions, String(error))
    assert.strictEqual(error._tag, "InvalidOptions")
    assert.isFalse(TransportError.isTransportError(error))
    assert.include(error.message, error.option)
    return error
  })

const printed = (error: unknown): string =>
  [
    String(error),
    error instanceof Error ? `${error.message} ${error.stack ?? ""}` : "",
    JSON.stringify(error),
    inspect(error, { depth: 10 }),
    Inspectable.toStringUnknown(error)
  ].join("\n")

describe("invalid options", () => {
  const cases: ReadonlyArray<readonly [option: string, name: string, value: unknown]> = [
    ["url", "empty", ""],
    ["url", "relative", "/mcp"],
    ["url", "no URL", "not a url"],
    ["url", "undefined", undefined],
    ["url", "null", null],
    ["url", "another protocol", "ftp://127.0.0.1/mcp"],
    ["url", "a file", new URL("file:///tmp/mcp")],
    ["headers", "a line break in a value", { "x-bad": "a\r\nx-evil: 1" }],
    ["headers", "a NUL in a value", { "x-bad": "a\u0000" }],
    ["headers", "a character beyond latin1", { "x-bad": "\u4f60" }],
    ["headers", "a name with a space", { "x bad": "a" }],
    ["headers", "an empty name", { "": "a" }],
    ["headers", "a value that is no text", { "x-bad": 3 }],
    ["terminateTimeout", "NaN", Number.NaN],
    ["terminateTimeout", "negative", -1],
    ["terminateTimeout", "unparsable", "soon"],
    ["terminateTimeout", "a negative text", "-5 seconds"],
    ["terminateTimeout", "an unknown unit", "5 parsecs"],
    ["terminateTimeout", "an object", {}],
    ["terminateTimeout", "null", null],
    ["maxRetryDelay", "NaN", Number.NaN],
    ["maxRetryDelay", "negative", -0.5],
    ["maxRetryDelay", "unparsable", "5"],
    ["maxRetryDelay", "a negative bigint", -5n],
    ["idleTimeout", "NaN", Number.NaN],
    ["idleTimeout", "negative", -1],
    ["idleTimeout", "zero", 0],
    ["idleTimeout", "zero as a text", "0 millis"],
    ["idleTimeout", "unparsable", "a minute"],
    ["maxMessageSize", "zero", 0],
    ["maxMessageSize", "negative", -1],
    ["maxMessageSize", "a fraction", 1.5],
    ["maxMessageSize", "NaN", Number.NaN],
    ["maxMessageSize", "a text", "1024"],
    ["maxMessageSize", "null", null],
    ["receiveBufferSize", "zero", 0],
    ["receiveBufferSize", "negative", -64],
    ["receiveBufferSize", "a fraction", 0.5],
    ["receiveBufferSize", "NaN", Number.NaN],
    ["reconnect", "a number", 3],
    ["reconnect", "an object", { attempts: 3 }],
    ["reconnect", "null", null]
  ]
  it.effect.each(cases)(
    "S1: %s that is %s",
    ([option, _, value]) =>
      Effect.map(refused({ [option]: value }), (error) => assert.strictEqual(error.option, option))
  )

  const sessions: ReadonlyArray<readonly [part: string, name: string, value: unknown]> = [
    ["sessionId", "empty", { sessionId: "", protocolVersion: "2025-11-25" }],
    ["sessionId", "with a space", { sessionId: "secret id", protocolVersion: "2025-11-25" }],
    ["sessionId", "with a line break", { sessionId: "secret\r\nx: y", protocolVersion: "2025-11-25" }],
    ["sessionId", "outside ASCII", { sessionId: Redacted.make("secr\u00e9t"), protocolVersion: "2025-11-25" }],
    ["sessionId", "missing", { protocolVersion: "2025-11-25" }],
    ["sessionId", "a number", { sessionId: 5, protocolVersion: "2025-11-25" }],
    ["protocolVersion", "empty", { sessionId: "secret", protocolVersion: "" }],
    ["protocolVersion", "missing", { sessionId: "secret" }],
    ["protocolVersion", "with a line break", { sessionId: "secret", protocolVersion: "1\r\n" }]
  ]
  it.effect.each(sessions)(
    "S1, S22: a session to adopt whose %s is %s",
    ([part, _, session]) =>
      Effect.map(refused({ session }), (error) => {
        assert.strictEqual(error.option, `session.${part}`)
        assert.notInclude(printed(error), "secr")
      })
  )

  const withPassword: ReadonlyArray<string | URL> = [
    "https://tom-secret:pass-secret@mcp.example.com/mcp",
    "https://tom-secret@mcp.example.com/mcp",
    "https://:pass-secret@mcp.example.com/mcp",
    new URL("https://tom-secret:pass-secret@mcp.example.com/mcp"),
    // without a scheme the user name is taken for one
    "tom-secret:pass-secret@mcp.example.com/mcp",
    "//tom-secret:pass-secret@mcp.example.com/mcp",
    "https://tom-secret:pass-secret@/mcp",
    "https://tom-secret:pass-secret@mcp.example.com:99999/mcp"
  ]
  it.effect.each(withPassword.map((url) => ({ url })))(
    "S1: no user name or password in a url, nor in the error",
    (options) =>
      Effect.map(refused(options), (error) => {
        assert.strictEqual(error.option, "url")
        assert.notInclude(printed(error), "secret")
      })
  )

  it.effect("S1: a header that cannot be sent is named, its value is not printed", () =>
    Effect.gen(function*() {
      const error = yield* refused({ headers: { accept: "x", authorization: "Bearer secret\n" } })
      assert.strictEqual(error.option, "headers")
      assert.include(error.message, "authorization")
      assert.notInclude(printed(error), "secret")
    }))

  it.effect("S1: layers and constructors fail the same way, in the error channel", () =>
    Effect.gen(function*() {
      const options = untyped({ maxMessageSize: -1 })
      const errors = [
        yield* Effect.flip(Effect.scoped(make(options)).pipe(Effect.provide(FetchHttpClient.layer))),
        yield* Effect.flip(construct(options)),
        yield* Effect.flip(Effect.scoped(Layer.build(layer(options).pipe(Layer.provide(FetchHttpClient.layer))))),
        yield* Effect.flip(Effect.scoped(Layer.build(layerExchange(options).pipe(Layer.provide(noExchange)))))
      ]
      assert.deepStrictEqual(errors.map(({ option }) => option), Array.from(errors, () => "maxMessageSize"))
    }))
})

describe("valid options", () => {
  it.effect("S1: undefined stands for the default everywhere", () =>
    construct({
      url,
      headers: undefined,
      session: undefined,
      terminateOnClose: undefined,
      terminateTimeout: undefined,
      reconnect: undefined,
      maxRetryDelay: undefined,
      idleTimeout: undefined,
      maxMessageSize: undefined,
      receiveBufferSize: undefined
    }))

  const accepted: ReadonlyArray<Partial<StreamableHttpTransport.Options>> = [
    { url: new URL(url) },
    { url: "https://mcp.example.com/a?b=c#d" },
    { url: "http://[::1]:3000/" },
    { headers: Headers.fromInput({ "X-One": "1" }) },
    { headers: [["x-one", "1"], ["x-two", ""]] },
    { headers: new Map([["x-one", "1"]]) },
    { session: { sessionId: "!~", protocolVersion: "2025-03-26" } },
    { session: { sessionId: Redacted.make("s"), protocolVersion: "2025-03-26" } },
    { terminateTimeout: 0 },
    { terminateTimeout: "1 minute" },
    { terminateTimeout: Duration.infinity },
    { maxRetryDelay: [1, 0] },
    { maxRetryDelay: 5n },
    { maxRetryDelay: 0 },
    { maxRetryDelay: Number.POSITIVE_INFINITY },
    { idleTimeout: Duration.infinity },
    { idleTimeout: "30 days" },
    { maxMessageSize: 1 },
    { maxMessageSize: Number.POSITIVE_INFINITY },
    { receiveBufferSize: 1 },
    { reconnect: Reconnection.never },
    { reconnect: Reconnection.defaultPolicy },
    { reconnect: Schedule.forever },
    { terminateOnClose: false }
  ]
  it.effect.each(accepted.map((options) => [inspect(options, { breakLength: Infinity, depth: 0 }), options] as const))(
    "S1: %s is accepted",
    ([_, options]) => construct({ url, ...options })
  )
})

overEveryClient("options on the wire", (client) => {
  it.scopedLive("S1: a URL object is copied, its fragment is dropped, its query kept", () =>
    Effect.gen(function*() {
      const server = yield* rawServer(afterHandshake(({ json, message }) => json(answer(message?.id))))
      const given = new URL(`${server.url}?tenant=a%20b#fragment`)
      const transport = yield* connect(client, server, { url: given })
      given.pathname = "/elsewhere"
      yield* soon(handshake(transport))
      yield* soon(request(transport, call(1)))
      assert.deepStrictEqual(
        server.arrivals.map(({ path }) => path),
        Array.from({ length: 3 }, () => "/mcp?tenant=a%20b")
      )
      assert.strictEqual(given.hash, "#fragment")
    }))

  it.scopedLive("S4, S18: headers go out on POST, GET and DELETE, those MCP defines are left out", () =>
    Effect.gen(function*() {
      const server = yield* rawServer(afterHandshake(({ json, message }) => json(answer(message?.id))))
      yield* Effect.scoped(Effect.gen(function*() {
        const transport = yield* connect(client, server, {
          headers: { "X-Tenant": "t-1", "Mcp-Session-Id": "forged", Accept: "text/html", "Content-Type": "text/plain" }
        })
        yield* soon(handshake(transport))
        yield* soon(Stream.runDrain(transport.receive))
        yield* soon(request(transport, call(1)))
      }))
      assert.deepStrictEqual(server.log(), [
        "POST initialize",
        "POST notifications/initialized",
        "GET",
        "POST tools/call",
        "DELETE"
      ])
      for (const { headers, method } of server.arrivals) {
        assert.strictEqual(headers["x-tenant"], "t-1")
        assert.notInclude(JSON.stringify(headers), "forged")
        assert.notInclude(JSON.stringify(headers), "text/html")
        assert.notInclude(JSON.stringify(headers), "text/plain")
        if (method !== "POST") assert.isUndefined(headers["content-type"])
      }
    }))

  it.scopedLive("S1: maxMessageSize counts bytes and fails only the message over it", () =>
    Effect.gen(function*() {
      const server = yield* rawServer(afterHandshake(({ json, message }) =>
        json(answer(message?.id, message?.id === "big" ? "\u00e9".repeat(200) : "fine"))
      ))
      const transport = yield* connect(client, server, { maxMessageSize: 300 })
      yield* soon(handshake(transport))
      const error = yield* failureOf(request(transport, call("big")))
      assert(error._tag === "MessageTooLarge", String(error))
      assert.strictEqual(error.limit, 300)
      assert.strictEqual(error.requestId, "big")
      assert.strictEqual((yield* soon(request(transport, call("small")))).id, "small")
      assert.deepStrictEqual(yield* stateOf(transport), { _tag: "Active", sessionId, version: "2025-11-25" })
    }))

  it.scopedLive("S1: layerConfig takes its values from a ConfigProvider", () =>
    Effect.gen(function*() {
      const server = yield* rawServer(afterHandshake(({ json, message }) => json(answer(message?.id))))
      const live = layerConfig({
        url: Config.string("MCP_URL"),
        headers: Config.all({ authorization: Config.string("MCP_AUTHORIZATION") }),
        session: {
          sessionId: Config.redacted("MCP_SESSION"),
          protocolVersion: Config.string("MCP_VERSION").pipe(Config.withDefault("2025-06-18"))
        },
        terminateOnClose: Config.boolean("MCP_TERMINATE"),
        idleTimeout: Config.duration("MCP_IDLE"),
        maxMessageSize: Config.integer("MCP_SIZE"),
        reconnect: Config.succeed(Reconnection.never)
      }).pipe(
        Layer.provide(client.layer),
        Layer.provide(Layer.setConfigProvider(ConfigProvider.fromMap(
          new Map([
            ["MCP_URL", server.url],
            ["MCP_AUTHORIZATION", "Bearer configured"],
            ["MCP_SESSION", "configured-session"],
            ["MCP_TERMINATE", "false"],
            ["MCP_IDLE", "2 minutes"],
            ["MCP_SIZE", "100000"]
          ])
        )))
      )
      yield* soon(Effect.provide(Effect.flatMap(Transport, request(call(1))), live))
      assert.deepStrictEqual(server.log(), ["POST tools/call"])
      const headers = server.arrivals[0]?.headers
      assert.strictEqual(headers?.authorization, "Bearer configured")
      assert.strictEqual(headers?.["mcp-session-id"], "configured-session")
      assert.strictEqual(headers?.["mcp-protocol-version"], "2025-06-18")
    }))

  it.scopedLive("S1: layer and layerExchange give working transports that end with the layer", () =>
    Effect.gen(function*() {
      const server = yield* rawServer(afterHandshake(({ json, message }) => json(answer(message?.id))))
      const program = Effect.flatMap(
        Transport,
        (transport) => Effect.zipRight(handshake(transport), request(transport, call("in a layer")))
      )
      const options = { url: server.url }
      const layers = [
        layer(options).pipe(Layer.provide(client.layer)),
        layerExchange(options).pipe(Layer.provide(HttpExchange.layerHttpClient), Layer.provide(client.layer)),
        layerExchange(options).pipe(Layer.provide(HttpExchange.layerFetch()))
      ]
      for (const live of layers) {
        assert.strictEqual((yield* soon(Effect.provide(program, live))).id, "in a layer")
      }
      const once = ["POST initialize", "POST notifications/initialized", "POST tools/call", "DELETE"]
      assert.deepStrictEqual(server.log(), [...once, ...once, ...once])
    }))
})

describe("layerConfig", () => {
  const built = (provided: ReadonlyArray<readonly [string, string]>) =>
    Layer.build(
      layerConfig({ url: Config.string("URL"), maxMessageSize: Config.number("SIZE").pipe(Config.withDefault(100)) })
    ).pipe(
      Effect.scoped,
      Effect.provide(FetchHttpClient.layer),
      Effect.withConfigProvider(ConfigProvider.fromMap(new Map(provided)))
    )

  it.effect("S1: a missing value is a ConfigError", () =>
    Effect.map(Effect.flip(built([])), (error) => {
      assert.isTrue(ConfigError.isConfigError(error))
      assert.isTrue(ConfigError.isMissingDataOnly(error))
    }))

  it.effect("S1: a value that cannot be used is a ConfigError that names the option, without the secret", () =>
    Effect.map(
      Effect.all([
        Effect.flip(built([["URL", "http://user:s3cret@127.0.0.1/mcp"]])),
        Effect.flip(built([["URL", url], ["SIZE", "-4"]]))
      ]),
      ([ofUrl, ofSize]) => {
        assert(ConfigError.isConfigError(ofUrl) && ConfigError.isInvalidData(ofUrl))
        assert.include(String(ofUrl), "url")
        assert.notInclude(printed(ofUrl), "s3cret")
        assert(ConfigError.isInvalidData(ofSize))
        assert.include(String(ofSize), "maxMessageSize")
      }
    ))
})

describe("test doubles", () => {
  const send: StreamableHttpTransport.Service["send"] = (message) =>
    JsonRpc.isRequest(message)
      ? Stream.make(progress(1), progress(2), JsonRpc.success(message.id, "mocked"))
      : Stream.empty
  const mocked = Layer.mock(Transport, { send, receive: Stream.empty })
  const run = <A, E>(effect: Effect.Effect<A, E, StreamableHttpTransport.StreamableHttpTransport>) =>
    soon(Effect.provide(effect, mocked))

  it.live("S1: request runs the send of a mock", () =>
    Effect.gen(function*() {
      const before: Array<JsonRpc.Message> = []
      const onMessage = (message: JsonRpc.Message) => Effect.sync(() => void before.push(message))
      const response = yield* run(Effect.flatMap(Transport, request(call(5), { onMessage })))
      assert.deepStrictEqual(response, { jsonrpc: "2.0", id: 5, result: "mocked" })
      assert.deepStrictEqual(before, [progress(1), progress(2)])
      assert.deepStrictEqual(yield* run(Effect.flatMap(Transport, request(call("no callback")))), {
        jsonrpc: "2.0",
        id: "no callback",
        result: "mocked"
      })
    }))

  it.live("S1: notify runs the send of a mock", () =>
    run(Effect.flatMap(Transport, notify(JsonRpc.notification("notifications/initialized")))))

  it.live("S1: duplex pipes through the send and receive of a mock", () =>
    Effect.gen(function*() {
      const messages = yield* run(Effect.flatMap(Transport, (transport) =>
        collect(
          Stream.make(initializeRequest, JsonRpc.notification("notifications/initialized")).pipe(
            duplex(transport)
          )
        )))
      assert.deepStrictEqual(messages, [progress(1), progress(2), JsonRpc.success(0, "mocked")])
    }))

  it.live("S1: a double whose stream ends without the answer makes request fail with NoResponse", () =>
    Effect.gen(function*() {
      const silent = Layer.mock(Transport, { send: () => Stream.make(progress(1)) })
      const error = yield* soon(Effect.flip(Effect.flatMap(Transport, request(call(3))))).pipe(Effect.provide(silent))
      assert(error._tag === "ProtocolError", String(error))
      assert.strictEqual(error.reason, "NoResponse")
      assert.strictEqual(error.requestId, 3)
    }))

  it.scopedLive("S1: a copy of a transport with another send is asked through that send", () =>
    Effect.gen(function*() {
      const transport = yield* makeExchange({ url }).pipe(Effect.provide(noExchange))
      const decorated: StreamableHttpTransport.Service = { ...transport, send }
      const response = yield* soon(request(decorated, call(9)))
      assert.deepStrictEqual(response, { jsonrpc: "2.0", id: 9, result: "mocked" })
    }))

  it.live("S1: what a mock lacks is a defect that names it", () =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(run(Effect.flatMap(Transport, ({ terminate }) => terminate)))
      assert(Exit.isFailure(exit))
      assert.include(Chunk.toReadonlyArray(Cause.defects(exit.cause)).join(), "terminate")
    }))
})
