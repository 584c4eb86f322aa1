import * as Cassette from "@effect-mcp/testing/Cassette"
import { JsonRpc, StreamableHttpTransport } from "@effect-mcp/transport"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as FileSystem from "@effect/platform/FileSystem"
import * as HttpBody from "@effect/platform/HttpBody"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import type * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Chunk from "effect/Chunk"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import * as TestServices from "effect/TestServices"
import * as Http from "node:http"
import * as Zlib from "node:zlib"
import {
  afterHandshake,
  answer,
  call,
  collect,
  eventually,
  handshake,
  initializeRequest,
  initializeResult,
  overEveryClient,
  progress,
  quickly
} from "../support/harness.ts"
import { clocked, live } from "../support/quiet.ts"
import { rawServer } from "../support/rawServer.ts"

const within = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.timeout(effect, "5 seconds")

/** A path in a directory of its own that is removed at the end. */
const newPath = Effect.map(
  Effect.flatMap(FileSystem.FileSystem, (files) => files.makeTempDirectoryScoped()),
  (directory) => `${directory}/cassettes/one.json`
)

const readText = (path: string) => Effect.flatMap(FileSystem.FileSystem, (files) => files.readFileString(path))

/** Records what `use` does with a client. */
const recorded = <A, E, R>(
  use: Effect.Effect<A, E, R | HttpClient.HttpClient>,
  options: Cassette.RecordOptions = {},
  base: Layer.Layer<HttpClient.HttpClient> = FetchHttpClient.layer
) =>
  Effect.gen(function*() {
    const recorder = yield* Cassette.makeRecorder(options)
    const result = yield* Effect.provideService(use, HttpClient.HttpClient, recorder.client)
    return { result, cassette: yield* recorder.cassette }
  }).pipe(Effect.provide(base))

const execute = (request: HttpClientRequest.HttpClientRequest) =>
  Effect.flatMap(HttpClient.HttpClient, (client) => client.execute(request))

const textOf = (request: HttpClientRequest.HttpClientRequest) =>
  Effect.flatMap(execute(request), (response) => response.text)

const post = (url: string, body: unknown, headers: Record<string, string> = {}) =>
  HttpClientRequest.post(url, { headers, body: HttpBody.text(JSON.stringify(body), "application/json") })

const chunksOf = (response: HttpClientResponse.HttpClientResponse) =>
  Stream.runCollect(response.stream).pipe(
    Effect.map((chunks) => Chunk.toReadonlyArray(chunks).map((bytes) => new TextDecoder().decode(bytes)))
  )

const bodyOf = (exchange: Cassette.Exchange | undefined): string =>
  exchange !== undefined && "response" in exchange
    ? exchange.response.chunks.map((chunk) => "text" in chunk ? chunk.text : `<${chunk.bytes.join()}>`).join("")
    : "no response"

const endOf = (exchange: Cassette.Exchange | undefined): unknown =>
  exchange !== undefined && "response" in exchange ? exchange.response.end : exchange?.failure.reason

const ok = (
  method: "GET" | "POST",
  url: string,
  text: string,
  body?: string
): Cassette.Exchange => ({
  request: { method, url, headers: {}, ...(body === undefined ? {} : { body }) },
  response: { at: 0, status: 200, headers: {}, chunks: [{ at: 0, text }], end: "Complete", endAt: 0 }
})

const tape = (...exchanges: ReadonlyArray<Cassette.Exchange>): Cassette.Cassette => ({ version: 1, exchanges })

const replaying = <A, E, R>(
  cassette: Cassette.Cassette,
  use: Effect.Effect<A, E, R | HttpClient.HttpClient>,
  options?: Cassette.ReplayOptions
) => Effect.provide(use, Cassette.layerMemory(cassette, options))

const origin = "http://127.0.0.1:9"

/** What a whole session with the server below gives, as a client sees it. */
const session = (url: string) =>
  Effect.gen(function*() {
    const transport = yield* StreamableHttpTransport.make({
      url,
      reconnect: quickly,
      headers: { authorization: "Bearer e2e-bearer-secret" }
    })
    yield* handshake(transport)
    const listening = yield* Effect.fork(collect(Stream.take(transport.receive, 1)))
    // Two at the same time, one of which breaks and is resumed.
    const [resumed, plain] = yield* Effect.all([
      collect(transport.send(call(1))),
      collect(transport.send(JsonRpc.request(2, "tools/list")))
    ], { concurrency: 2 })
    const refused = yield* Effect.flip(StreamableHttpTransport.request(transport, JsonRpc.request(3, "forbidden")))
    const heard = yield* Fiber.join(listening)
    yield* transport.terminate
    return { resumed, plain, heard, refused: `${refused._tag}: ${refused.message}` }
  })

const sessionServer = rawServer(afterHandshake((exchange) => {
  const { headers, message, method } = exchange
  if (method === "GET" && headers["last-event-id"] === undefined) {
    exchange.events().event({ id: "s1", data: JsonRpc.notification("notifications/tools/list_changed") })
  } else if (method === "GET") {
    exchange.events().event({ id: "e2", data: progress(2) }).event({ id: "e3", data: answer(1) }).end()
  } else if (message?.method === "tools/call") {
    exchange.events().event({ id: "e1", retry: 100, data: progress(1) }).cut()
  } else if (message?.method === "tools/list") {
    exchange.json(answer(message.id, { tools: [], echoed: headers.authorization }))
  } else {
    exchange.status(403, "not you")
  }
}, { get: true }))

const ofSession = {
  resumed: [progress(1), progress(2), JsonRpc.success(1, { content: [] })],
  plain: [JsonRpc.success(2, { tools: [], echoed: "Bearer e2e-bearer-secret" })],
  heard: [JsonRpc.notification("notifications/tools/list_changed")],
  refused: "HttpStatusError: POST was answered with status 403 (request 3): not you"
}

const ofReplayedSession = { ...ofSession, plain: [JsonRpc.success(2, { tools: [], echoed: "Bearer redacted-1" })] }

overEveryClient("a session of the transport", (client) => {
  live("is recorded, and played back with the recorded times", () =>
    Effect.gen(function*() {
      const server = yield* sessionServer
      const path = yield* newPath
      const recorded = yield* within(Effect.scoped(session(server.url))).pipe(
        Effect.provide(Cassette.layerRecord({ path }).pipe(Layer.provide(client.layer)))
      )
      assert.deepStrictEqual(recorded, ofSession)
      const before = server.arrivals.length
      const replay = (timing: "None" | "Recorded") =>
        within(Effect.scoped(session("http://another.example/mcp"))).pipe(
          Effect.provide(Cassette.layerReplay({ path, timing }))
        )
      assert.deepStrictEqual(yield* replay("None"), ofReplayedSession)
      assert.deepStrictEqual(yield* replay("Recorded"), ofReplayedSession)
      assert.strictEqual(server.arrivals.length, before)

      const { exchanges } = yield* Cassette.read(path)
      assert.deepStrictEqual(exchanges.map(({ request }) => request.method).toSorted(), [
        "DELETE",
        "GET",
        "GET",
        "POST",
        "POST",
        "POST",
        "POST",
        "POST"
      ])
      const broken = exchanges.find(({ request }) => String(request.body).includes("tools/call"))
      assert.isTrue(broken !== undefined && "response" in broken && typeof broken.response.end === "object")
      const own = exchanges.find(({ request }) =>
        request.method === "GET" && request.headers["last-event-id"] === undefined
      )
      assert.strictEqual(endOf(own), "Aborted")
      const text = yield* readText(path)
      for (const secret of ["e2e-bearer-secret", "session-5f3a9c", "127.0.0.1"]) assert.notInclude(text, secret)
    }).pipe(Effect.provide(NodeFileSystem.layer), Effect.orDie))
})

clocked("a recorded session under the test clock gives the same messages", () =>
  Effect.gen(function*() {
    const server = yield* sessionServer
    const { cassette } = yield* TestServices.provideLive(within(recorded(Effect.scoped(session(server.url)))))
    const fiber = yield* Effect.fork(
      replaying(cassette, Effect.scoped(session(server.url)), { timing: "Recorded" })
    )
    for (let i = 0; i < 2000 && (yield* Fiber.poll(fiber))._tag === "None"; i++) yield* TestClock.adjust("5 millis")
    assert.deepStrictEqual(yield* TestServices.provideLive(within(Fiber.join(fiber))), ofReplayedSession)
  }).pipe(Effect.orDie))

/** A server without any help, for headers and borders of chunks as they are. */
const plainServer = (handle: Http.RequestListener) =>
  Effect.acquireRelease(
    Effect.async<Http.Server>((resume) => {
      const server = Http.createServer(handle)
      server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
    }),
    (server) =>
      Effect.async<void>((resume) => {
        server.close(() => resume(Effect.void))
        server.closeAllConnections()
      })
  ).pipe(Effect.map((server) => {
    const address = server.address()
    return `http://127.0.0.1:${address === null || typeof address === "string" ? 0 : address.port}/mcp`
  }))

/** Every text of a value, names of members included, those of one array also joined: a body's chunks are one body. */
const textsIn = (value: unknown): ReadonlyArray<string> => {
  if (typeof value === "string") return [value]
  if (typeof value === "number") return [String(value)]
  if (typeof value !== "object" || value === null) return []
  if (!Array.isArray(value)) return [...Object.keys(value), ...Object.values(value).flatMap(textsIn)]
  const joined = value.map((element: unknown) => {
    if (typeof element !== "object" || element === null) return ""
    const text: unknown = Reflect.get(element, "text")
    const base64: unknown = Reflect.get(element, "base64")
    return typeof text === "string" ? text : typeof base64 === "string" ? Buffer.from(base64, "base64").toString() : ""
  }).join("")
  return [joined, ...value.flatMap((element: unknown) => textsIn(element))]
}

const unescaped = (text: string) =>
  text.replaceAll(
    /\\(?:u([0-9a-f]{4})|([^]))/gi,
    (_, hex: string | undefined, other: string) =>
      hex === undefined ? other : String.fromCharCode(Number.parseInt(hex, 16))
  )

const percentDecoded = (text: string) =>
  Buffer.from(
    Buffer.from(text).toString("latin1").replaceAll(/%([0-9a-f]{2})/gi, (_, hex: string) =>
      String.fromCharCode(Number.parseInt(hex, 16))),
    "latin1"
  ).toString()

const entitiesDecoded = (text: string) =>
  text.replaceAll(
    /&#(?:x([0-9a-f]+)|(\d+));/gi,
    (_, hex: string | undefined, decimal: string) =>
      String.fromCodePoint(hex === undefined ? Number(decimal) : Number.parseInt(hex, 16))
  )
    .replaceAll("&amp;", "&").replaceAll("&quot;", `"`)

const base64Decoded = (text: string) =>
  text.replaceAll(/[\w+/-]{12,}/g, (encoded) => `${encoded} ${Buffer.from(encoded, "base64").toString("latin1")}`)

/** Fails when a file has a secret in it, whichever encodings it went through. Knows nothing of how they are found. */
const assertClean = (file: string, secrets: ReadonlyArray<string>) => {
  const decoders = [
    unescaped,
    percentDecoded,
    entitiesDecoded,
    base64Decoded,
    (text: string) => text.replaceAll("+", " ")
  ]
  let layer: ReadonlyArray<string> = Array.from(new Set([file, ...textsIn(JSON.parse(file))]))
  for (let depth = 0; depth < 4; depth++) {
    for (const text of layer) {
      for (const secret of secrets) assert.isFalse(text.includes(secret), `${JSON.stringify(secret)} is in ${text}`)
    }
    layer = Array.from(new Set(layer.flatMap((text) => decoders.map((decode) => decode(text)))))
  }
}

describe("secrets", () => {
  const bearer = "bearer/to+ken=\"quoted\"\\7Qx"
  const planted = {
    bearer,
    sessionId: "session-9f8e7d6c5b",
    setCookie: "cookie-from-the-server",
    cookie: "cookie of the client %",
    joinedCookie: "second-cookie-of-a-line",
    proxy: "proxy-user:proxy-passphrase",
    proxyUser: "proxy-user",
    proxyPassword: "proxy-passphrase",
    apiKey: "key/with/slashes",
    accessToken: "access~token~ünïcode",
    refreshToken: "refresh-token&<with>=marks",
    clientSecret: "client secret with spaces",
    code: "authorization-code-5512",
    known: "a secret that only the options know",
    redactedOption: "and-one-that-is-Redacted",
    number: "7788991122",
    own: "own-parameter-value",
    pattern: "pat_1234567890abcdef",
    late: "only-seen-in-a-later-header"
  }
  const secrets = Object.values(planted)
  const inJson = (text: string) => JSON.stringify(text).slice(1, -1)
  const everyCharacter = (text: string, spell: (character: string) => string) => Array.from(text, spell).join("")
  const hexadecimal = (character: string, digits: number) => character.charCodeAt(0).toString(16).padStart(digits, "0")
  const spellings = (text: string) => [
    text,
    inJson(text),
    inJson(text).replaceAll("/", "\\/"),
    inJson(inJson(text)),
    inJson(inJson(inJson(text))),
    everyCharacter(text, (character) => `\\u${hexadecimal(character, 4)}`),
    everyCharacter(text, (character) => `\\\\u${hexadecimal(character, 4).toUpperCase()}`),
    encodeURIComponent(text),
    encodeURIComponent(text).replaceAll(/%[0-9A-F]{2}/g, (escape) => escape.toLowerCase()),
    encodeURIComponent(encodeURIComponent(text)),
    new URLSearchParams({ "": text }).toString().slice(1),
    Array.from(new TextEncoder().encode(text), (byte) => `%${byte.toString(16).padStart(2, "0")}`).join(""),
    everyCharacter(text, (character) => /\w/.test(character) ? character : `&#x${hexadecimal(character, 1)};`),
    text.replaceAll("&", "&amp;").replaceAll(`"`, "&quot;"),
    Buffer.from(`${text}`).toString("base64url")
  ]

  const options: Cassette.RecordOptions = {
    headers: ["X-Api-Key"],
    parameters: ["own_parameter"],
    secrets: [planted.known, Redacted.make(planted.redactedOption)],
    redact: (text) => text.replaceAll(/pat_\w+/g, "pat_gone")
  }

  /** Says everything it was told, and more, in every spelling, in small chunks whose borders lie anywhere. */
  const tellTale = (chunkSize: number) =>
    plainServer((request, response) => {
      request.resume()
      const everything = secrets.flatMap((secret) => secret === planted.pattern ? [secret] : spellings(secret))
      const answered = JSON.stringify({
        access_token: planted.accessToken,
        nested: JSON.stringify({ refresh_token: planted.refreshToken, password: Number(planted.number) }),
        number: Number(planted.number),
        list: [1, Number(planted.number)]
      })
      response.writeHead(200, {
        "content-type": "text/event-stream",
        "mcp-session-id": planted.sessionId,
        "set-cookie": [`sid=${planted.setCookie}; Path=/; HttpOnly`, `two=1, three=${planted.joinedCookie}; Path=/a`],
        "x-echo": `${encodeURIComponent(planted.bearer)} ${planted.sessionId}`,
        location: `https://client.example/callback?state=1&code=${planted.code}`
      })
      const body = Buffer.from(`data: ${answered}\n\n${everything.map((text) => `data: ${text} .\n`).join("")}\n`)
      for (let at = 0; at < body.length; at += chunkSize) response.write(body.subarray(at, at + chunkSize))
      response.end()
    })

  const talk = (url: string) =>
    Effect.gen(function*() {
      yield* textOf(
        post(`${url}?access_token=${encodeURIComponent(planted.accessToken)}&own_parameter=${planted.own}&page=2`, {
          jsonrpc: "2.0",
          id: 1,
          method: "tools/call",
          params: { said: secrets, client_secret: planted.clientSecret }
        }, {
          authorization: `Bearer ${planted.bearer}`,
          cookie: `a=${encodeURIComponent(planted.cookie)}; b=x`,
          "proxy-authorization": `Basic ${btoa(planted.proxy)}`,
          "x-api-key": planted.apiKey,
          "x-other": `said ${planted.late} and ${planted.pattern}`
        })
      )
      const form = new URLSearchParams({ grant_type: "authorization_code", code: planted.code, said: planted.known })
      yield* textOf(HttpClientRequest.post(`${url}/token`, { body: HttpBody.text(form.toString()) }))
      yield* textOf(HttpClientRequest.get(url, { headers: { authorization: `Bearer ${planted.late}` } }))
    })

  for (const chunkSize of [3, 50, 100_000]) {
    live(`none is in the file, with chunks of ${chunkSize} bytes`, () =>
      Effect.gen(function*() {
        const url = yield* tellTale(chunkSize)
        const path = yield* newPath
        yield* within(talk(url)).pipe(
          Effect.provide(Cassette.layerRecord({ ...options, path }).pipe(Layer.provide(NodeHttpClient.layer)))
        )
        const file = yield* readText(path)
        assertClean(file, secrets)
        // What was no secret is still there.
        for (const text of ["page=2", "grant_type", "HttpOnly", "Bearer redacted-", "Basic redacted-", "pat_gone"]) {
          assert.include(file, text)
        }
        const { exchanges } = yield* Cassette.read(path)
        const first = exchanges[0]
        assert.isTrue(first !== undefined && "response" in first && first.response.end === "Complete")
        if (first === undefined || !("response" in first)) return
        // The JSON is still JSON.
        const [line] = bodyOf(first).split("\n")
        const answered = JSON.parse((line ?? "").slice("data: ".length))
        assert.strictEqual(answered.number, answered.list[1])
        assert.strictEqual(answered.number, JSON.parse(answered.nested).password)
        assert.match(answered.access_token, /^redacted-\d+$/)
        // The same secret has the same placeholder everywhere, and a session id can be used.
        const sessionId = first.response.headers["mcp-session-id"]
        assert.match(String(sessionId), /^redacted-\d+$/)
        assert.include(String(first.response.headers["x-echo"]), String(sessionId))
        assert.include(bodyOf(first), `data: ${String(sessionId)} .`)
        assert.lengthOf(first.response.headers["set-cookie"] ?? [], 2)
        assert.include(first.request.url, `access_token=${answered.access_token}&own_parameter=redacted-`)
        // A length that is given is the length of what is there.
        const written = exchanges[1]
        assert.strictEqual(
          written?.request.headers["content-length"],
          String(new TextEncoder().encode(String(written?.request.body)).length)
        )
      }).pipe(Effect.provide(NodeFileSystem.layer), Effect.orDie))
  }

  live("the file can be replayed without any of them", () =>
    Effect.gen(function*() {
      const url = yield* tellTale(1000)
      const { cassette } = yield* within(recorded(talk(url), options))
      // The real secrets, and any others.
      yield* replaying(cassette, talk("http://elsewhere.example/mcp"), options)
      const other = post(`${origin}/mcp?access_token=dummy&own_parameter=dummy&page=2`, {
        method: "tools/call",
        params: { client_secret: "dummy", said: secrets.map(() => "dummy") },
        id: 1,
        jsonrpc: "2.0"
      })
      const exit = yield* Effect.exit(replaying(cassette, textOf(other), options))
      assert.isTrue(Exit.isFailure(exit), "the pattern is not a placeholder")
      const patterned = post(`${origin}/mcp?access_token=dummy&own_parameter=dummy&page=2`, {
        method: "tools/call",
        params: {
          client_secret: "dummy",
          said: secrets.map((secret) => secret === planted.pattern ? "pat_another" : "dummy")
        },
        id: 1,
        jsonrpc: "2.0"
      })
      yield* replaying(cassette, textOf(patterned), options)
    }).pipe(Effect.orDie))

  live("a body that stops inside one shows nothing of it", () =>
    Effect.gen(function*() {
      const secret = "abcdefghijklmnopqrstuvwxyz"
      const server = yield* rawServer((exchange) => {
        const half = exchange.path === "/encoded" ? `\\u0061${secret.slice(1, 20)}` : secret.slice(0, 20)
        exchange.events().raw(`data: half of it: ${half}`).cut()
      })
      const { cassette } = yield* recorded(Effect.forEach(["/plain", "/encoded"], (path) =>
        Effect.exit(
          within(
            textOf(HttpClientRequest.get(server.origin + path, { headers: { authorization: `Bearer ${secret}` } }))
          )
        )))
      // Bodies that are read as a text and break give nothing; read as streams they do.
      const streamed = yield* recorded(Effect.forEach(["/plain", "/encoded"], (path) =>
        Effect.flatMap(
          execute(HttpClientRequest.get(server.origin + path, { headers: { authorization: `Bearer ${secret}` } })),
          (response) => Effect.exit(within(Stream.runDrain(response.stream)))
        )))
      const limited = yield* recorded(
        Effect.exit(
          Effect.flatMap(
            execute(HttpClientRequest.get(`${server.origin}/plain`, { headers: { authorization: secret } })),
            (response) => within(Stream.runDrain(response.stream))
          )
        ),
        { maxBodySize: 28 }
      )
      assert.deepStrictEqual(cassette.exchanges.map(bodyOf), ["", ""])
      assert.deepStrictEqual(streamed.cassette.exchanges.map(bodyOf), [
        "data: half of it: redacted-1",
        "data: half of it: redacted-1"
      ])
      assert.deepStrictEqual(limited.cassette.exchanges.map(bodyOf), ["data: half of it: redacted-1"])
    }).pipe(Effect.orDie))

  live("short ones and common words leave bodies readable", () =>
    Effect.gen(function*() {
      const server = yield* rawServer((exchange) =>
        exchange.json({
          jsonrpc: "2.0",
          id: 1,
          result: { type: "string", ok: true, n: 17, s: "1", word: "abcd", words: "abcdef", password: "17", code: "E1" }
        }, { headers: { "mcp-session-id": "1" } })
      )
      const { cassette } = yield* recorded(textOf(
        post(`${server.origin}/a?token=true&code=abcd`, {}, { cookie: "a=string", authorization: "Bearer null" })
      ))
      const [exchange] = cassette.exchanges
      assert.deepStrictEqual(JSON.parse(bodyOf(exchange)), {
        jsonrpc: "2.0",
        id: 1,
        result: {
          type: "string",
          ok: true,
          n: 17,
          s: "1",
          word: "redacted-4",
          words: "abcdef",
          password: "redacted-6",
          code: "E1"
        }
      })
      assert.strictEqual(exchange?.request.url, "/a?token=redacted-3&code=redacted-4")
      assert.strictEqual(exchange?.request.headers.cookie, "a=redacted-1")
      assert.strictEqual(exchange?.request.headers.authorization, "Bearer redacted-2")
    }).pipe(Effect.orDie))

  live("long tokens are no burden", () =>
    Effect.gen(function*() {
      const token = Array.from({ length: 400 }, (_, index) => `part${index}`).join(".")
      const server = yield* rawServer((exchange) =>
        exchange.status(200, `${"%".repeat(50_000)}${"\\".repeat(50_000)}${token}.0`)
      )
      const { cassette } = yield* within(recorded(
        Effect.forEach(Array.from({ length: 10 }), (_, index) =>
          textOf(HttpClientRequest.get(server.url, { headers: { authorization: `Bearer ${token}.${index}` } })))
      ))
      for (const exchange of cassette.exchanges) {
        assert.notInclude(bodyOf(exchange), "part399")
      }
    }).pipe(Effect.orDie))

  live("are not in what the failure of an unknown request says", () =>
    Effect.gen(function*() {
      const request = post(`${origin}/mcp?access_token=secret-in-the-query`, {
        jsonrpc: "2.0",
        id: "secret-in-the-header",
        method: "tools/call"
      }, { authorization: "Bearer secret-in-the-header", "mcp-session-id": "secret-session" })
      const error = yield* Effect.flip(replaying(tape(ok("GET", "/mcp", "")), textOf(request)))
      assert.strictEqual(error._tag, "RequestError")
      assert.include(error.message, `POST /mcp?access_token=redacted-3 tools/call "redacted-1"; left are: GET /mcp`)
      for (const text of [error.message, JSON.stringify(error), String(error.stack), Cause.pretty(Cause.fail(error))]) {
        assert.notInclude(text, "secret-")
      }
    }))
})

describe("recording", () => {
  live("streams: a chunk is there before the next is sent", () =>
    Effect.gen(function*() {
      const isFirstSeen = yield* Deferred.make<void>()
      const server = yield* rawServer((exchange) => {
        const stream = exchange.events().raw("one")
        Effect.runFork(Effect.map(Deferred.await(isFirstSeen), () => stream.raw("two").end()))
      })
      const { cassette, result } = yield* within(recorded(
        Effect.flatMap(execute(HttpClientRequest.get(server.url)), (response) =>
          Stream.runCollect(
            Stream.tap(response.stream, () => Deferred.succeed(isFirstSeen, undefined))
          ))
      ))
      assert.strictEqual(result.length, 2)
      const [exchange] = cassette.exchanges
      assert.isTrue(exchange !== undefined && "response" in exchange && exchange.response.chunks.length === 2)
      assert.strictEqual(endOf(exchange), "Complete")
    }).pipe(Effect.orDie))

  overEveryClient("passes on", (client) => {
    live("interruption, of the wait for the head and of the body", () =>
      Effect.gen(function*() {
        const server = yield* rawServer((exchange) => {
          if (exchange.path === "/body") exchange.events().raw("one")
        })
        const { cassette } = yield* within(recorded(
          Effect.gen(function*() {
            const head = yield* Effect.fork(execute(HttpClientRequest.get(`${server.origin}/head`)))
            yield* eventually(() => server.arrivals.length === 1)
            yield* Fiber.interrupt(head)
            const body = yield* Effect.flatMap(
              execute(HttpClientRequest.get(`${server.origin}/body`)),
              (response) => Stream.runHead(Stream.take(response.stream, 1))
            )
            assert.strictEqual(body._tag, "Some")
            yield* eventually(() => server.openResponses() === 0)
          }),
          {},
          client.layer
        ))
        assert.deepStrictEqual(cassette.exchanges.map(endOf), ["Aborted", "Aborted"])
        assert.deepStrictEqual(cassette.exchanges.map(bodyOf), ["no response", "one"])
      }).pipe(Effect.orDie))

    live("the end of a scope that nobody read in", () =>
      Effect.gen(function*() {
        const server = yield* rawServer((exchange) => exchange.events().raw("one"))
        const { cassette } = yield* within(recorded(
          Effect.gen(function*() {
            const scoped = HttpClient.withScope(yield* HttpClient.HttpClient)
            yield* Effect.scoped(scoped.get(server.url))
            yield* eventually(() => server.openResponses() === 0)
          }),
          {},
          client.layer
        ))
        assert.deepStrictEqual(cassette.exchanges.map(endOf), ["Aborted"])
      }).pipe(Effect.orDie))

    live("failures, which are played back as what they were", () =>
      Effect.gen(function*() {
        const closed = yield* Effect.scoped(Effect.map(rawServer(() => {}), (server) => server.url))
        const { cassette, result } = yield* within(
          recorded(Effect.flip(textOf(HttpClientRequest.get(closed))), {}, client.layer)
        )
        assert.strictEqual(result._tag, "RequestError")
        const again = yield* Effect.flip(replaying(cassette, textOf(HttpClientRequest.get(closed))))
        assert.strictEqual(again._tag, "RequestError")
        assert.strictEqual(again.reason, result.reason)
        assert.propertyVal(again.cause, "code", "ECONNREFUSED")
        const [exchange] = cassette.exchanges
        if (exchange === undefined || !("failure" in exchange)) return assert.fail("no failure was recorded")
        const transport = yield* StreamableHttpTransport.make({ url: closed }).pipe(
          Effect.provide(Cassette.layerMemory(tape({
            request: { method: "POST", url: "/mcp", headers: {}, body: JSON.stringify(initializeRequest) },
            failure: exchange.failure
          })))
        )
        const error = yield* Effect.flip(StreamableHttpTransport.request(transport, initializeRequest))
        assert.strictEqual(error.outcome, "NotExecuted")
      }).pipe(Effect.orDie))
  })

  live("reads a body in any way, and keeps it once", () =>
    Effect.gen(function*() {
      const server = yield* rawServer((exchange) => exchange.json({ a: "é" }))
      const { cassette, result } = yield* within(recorded(Effect.gen(function*() {
        const responses = yield* Effect.forEach(
          ["text", "json", "buffer", "stream", "params"],
          (path) => execute(HttpClientRequest.get(`${server.origin}/${path}`))
        )
        const [text, json, buffer, stream, params] = responses
        if (!text || !json || !buffer || !stream || !params) return undefined
        yield* text.text
        return [
          yield* text.text,
          yield* json.json,
          new Uint8Array(yield* buffer.arrayBuffer).length,
          (yield* chunksOf(stream)).join(""),
          yield* params.urlParamsBody
        ]
      })))
      assert.deepStrictEqual(result?.slice(0, 4), [`{"a":"é"}`, { a: "é" }, 10, `{"a":"é"}`])
      assert.deepStrictEqual(cassette.exchanges.map(bodyOf), Array.from({ length: 5 }, () => `{"a":"é"}`))
      assert.deepStrictEqual(cassette.exchanges.map(endOf), Array.from({ length: 5 }, () => "Complete"))
    }).pipe(Effect.orDie))

  live("keeps a client that fails on statuses as it is, with the body", () =>
    Effect.gen(function*() {
      const server = yield* rawServer((exchange) => exchange.status(418, "short and stout"))
      const strict = Layer.effect(HttpClient.HttpClient, Effect.map(HttpClient.HttpClient, HttpClient.filterStatusOk))
      const { cassette, result } = yield* within(recorded(
        Effect.flip(execute(HttpClientRequest.get(server.url))).pipe(
          Effect.flatMap((error) => error._tag === "ResponseError" ? error.response.text : Effect.succeed(error._tag))
        ),
        {},
        Layer.provide(strict, FetchHttpClient.layer)
      ))
      assert.strictEqual(result, "short and stout")
      assert.deepStrictEqual(cassette.exchanges.map(bodyOf), ["short and stout"])
    }).pipe(Effect.orDie))

  live("keeps bytes, split characters, and many exchanges at the same time apart", () =>
    Effect.gen(function*() {
      const server = yield* rawServer((exchange) => {
        const stream = exchange.events({ "content-type": "application/octet-stream" })
        stream.raw(new Uint8Array([0xff, 0, 1]))
        // Not in one packet: the chunks are to arrive as they are sent.
        setTimeout(() => stream.raw(new Uint8Array([0xc3])), 20)
        setTimeout(() => stream.raw(new Uint8Array([0xa9])).raw(exchange.path).end(), 40)
      })
      const paths = Array.from({ length: 20 }, (_, index) => `/${index}`)
      const all = Effect.forEach(paths, (path) =>
        Effect.flatMap(execute(HttpClientRequest.get(server.origin + path)), (response) =>
          Effect.map(response.arrayBuffer, (buffer) =>
            new Uint8Array(buffer).join())), { concurrency: "unbounded" })
      const streamed = Effect.forEach(paths, (path) =>
        Effect.flatMap(execute(HttpClientRequest.get(server.origin + path)), (response) =>
          Effect.map(Stream.runCollect(response.stream), (parts) =>
            Chunk.toReadonlyArray(parts).flatMap((part) =>
              Array.from(part)
            ).join())), { concurrency: "unbounded" })
      const { cassette, result } = yield* within(recorded(streamed))
      assert.lengthOf(cassette.exchanges, 20)
      assert.deepStrictEqual(yield* replaying(cassette, all), result)
    }).pipe(Effect.orDie))

  live("cuts bodies that are too large, and says so", () =>
    Effect.gen(function*() {
      const server = yield* rawServer((exchange) => exchange.status(200, "0123456789"))
      const large = post(server.url, "0123456789")
      const { cassette, result } = yield* within(recorded(textOf(large), { maxBodySize: 4 }))
      assert.strictEqual(result, "0123456789")
      assert.strictEqual(bodyOf(cassette.exchanges[0]), "0123")
      assert.deepStrictEqual(endOf(cassette.exchanges[0]), { Cut: "the body is larger than maxBodySize, 4 bytes" })
      assert.deepStrictEqual(cassette.exchanges[0]?.request.body, {
        omitted: "the body is larger than maxBodySize, 4 bytes"
      })
      const error = yield* Effect.flip(replaying(cassette, textOf(large)))
      assert.strictEqual(error._tag, "ResponseError")
      assert.match(String(error.cause), /the recording has no more of the body/)
    }).pipe(Effect.orDie))

  live("does not keep what is compressed: secrets cannot be seen in it", () =>
    Effect.gen(function*() {
      const server = yield* rawServer((exchange) => {
        const zip = exchange.path === "/br" ? Zlib.brotliCompressSync : Zlib.gzipSync
        exchange.events({ "content-encoding": exchange.path.slice(1) })
          .raw(zip(`{"access_token":"very-secret-token"}`.repeat(20)))
          .end()
      })
      const both = Effect.forEach(["gzip", "br"], (encoding) =>
        Effect.flatMap(execute(HttpClientRequest.get(`${server.origin}/${encoding}`)), (response) =>
          response.arrayBuffer))
      const raw = yield* within(recorded(both, {}, NodeHttpClient.layer))
      for (const exchange of raw.cassette.exchanges) {
        assert.strictEqual(bodyOf(exchange), "")
        assert.property(endOf(exchange), "Cut")
      }
      // Fetch inflates, so there it can.
      const inflated = yield* within(recorded(both))
      for (const exchange of inflated.cassette.exchanges) {
        assert.strictEqual(bodyOf(exchange), `{"access_token":"redacted-1"}`.repeat(20))
      }
    }).pipe(Effect.orDie))
})

/** Every fiber that can go on has gone on. */
const settled = Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))

describe("replaying", () => {
  const say = (body: unknown, headers: Record<string, string> = {}) => textOf(post(`${origin}/mcp`, body, headers))

  it.effect("matches JSON as JSON, ids with their type, and uses each exchange once", () =>
    Effect.gen(function*() {
      const body = (id: unknown) =>
        JSON.stringify({ jsonrpc: "2.0", id, method: "ping", params: { a: [1, { b: null }] } })
      const asked = (id: unknown) => ({ params: { a: [1, { b: null }] }, method: "ping", id, jsonrpc: "2.0" })
      const cassette = tape(
        ok("POST", "/mcp", "first", body(1)),
        ok("POST", "/mcp", "text", body("1")),
        ok("POST", "/mcp", "second", body(1))
      )
      yield* replaying(
        cassette,
        Effect.gen(function*() {
          assert.strictEqual(yield* say(asked("1")), "text")
          assert.strictEqual(yield* say(asked(1)), "first")
          const other = yield* Effect.flip(say({ ...asked(1), params: { a: [{ b: null }, 1] } }))
          assert.include(other.message, "no exchange for POST /mcp ping 1; left are: POST /mcp ping 1")
          yield* Effect.flip(say({ ...asked(1), more: true }))
          assert.strictEqual(yield* say(asked(1)), "second")
          assert.include((yield* Effect.flip(say(asked(1)))).message, "nothing is left")
        })
      )
      yield* replaying(
        cassette,
        Effect.gen(function*() {
          for (const expected of ["first", "second", "second", "second"]) {
            assert.strictEqual(yield* say(asked(1)), expected)
          }
          yield* Effect.flip(say(asked(2)))
        }),
        { reuse: true }
      )
    }))

  it.effect("matches method, path, query and last-event-id, but no other header", () =>
    Effect.gen(function*() {
      const get = (path: string, headers: Record<string, string> = {}) =>
        textOf(HttpClientRequest.get(origin + path, { headers }))
      const resumed = ok("GET", "/mcp", "after e1")
      yield* replaying(
        tape(
          { ...resumed, request: { ...resumed.request, headers: { "last-event-id": "e1", accept: "text/html" } } },
          ok("GET", "/mcp", "fresh"),
          ok("GET", "/mcp?a=1", "query")
        ),
        Effect.gen(function*() {
          yield* Effect.flip(get("/mcp", { "last-event-id": "e2" }))
          assert.strictEqual(yield* get("/mcp?a=1", { accept: "text/plain" }), "query")
          assert.strictEqual(yield* get("/mcp"), "fresh")
          yield* Effect.flip(get("/mcp"))
          yield* Effect.flip(textOf(HttpClientRequest.del(`${origin}/mcp`)))
          assert.strictEqual(yield* get("/mcp", { "last-event-id": "e1" }), "after e1")
        })
      )
    }))

  it.effect("takes a placeholder for any text, but the same text first", () =>
    Effect.gen(function*() {
      const body = (session: string) => JSON.stringify({ session: `session ${session} of one`, n: 900_000_000_001 })
      yield* replaying(
        tape(ok("POST", "/mcp", "one", body("redacted-1")), ok("POST", "/mcp", "two", body("redacted-2"))),
        Effect.gen(function*() {
          yield* Effect.flip(say({ session: "another session", n: 900_000_000_001 }))
          yield* Effect.flip(say({ session: "session  of one", n: 1 }))
          assert.strictEqual(yield* say({ session: "session redacted-2 of one", n: 900_000_000_001 }), "two")
          assert.strictEqual(yield* say({ session: "session real of one", n: 17 }), "one")
        })
      )
    }))

  const slow: Cassette.Exchange = {
    request: { method: "GET", url: "/slow", headers: {} },
    response: {
      at: 100,
      status: 200,
      headers: {},
      chunks: [{ at: 200, text: "a" }, { at: 200, text: "b" }, { at: 1000, text: "c" }],
      end: { Broken: "gone" },
      endAt: 2000
    }
  }

  it.effect("keeps the recorded times", () =>
    Effect.gen(function*() {
      const seen: Array<readonly [number, string]> = []
      const note = (what: string) =>
        Effect.map(Clock.currentTimeMillis, (now) => {
          seen.push([now, what])
        })
      const fiber = yield* Effect.fork(replaying(
        tape(slow),
        execute(HttpClientRequest.get(`${origin}/slow`)).pipe(
          Effect.tap(() => note("head")),
          Effect.flatMap((response) =>
            Stream.runForEach(response.stream, (bytes) => note(new TextDecoder().decode(bytes)))
          ),
          Effect.tapError((error) => note(`${error._tag} ${String(error.cause)}`)),
          Effect.exit
        ),
        { timing: "Recorded" }
      ))
      for (let i = 0; i < 100; i++) yield* TestClock.adjust("50 millis")
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(seen, [
        [100, "head"],
        [200, "a"],
        [200, "b"],
        [1000, "c"],
        [2000, "ResponseError Error: gone"]
      ])
    }))

  it.effect("gives everything at once without them, chunk by chunk", () =>
    Effect.gen(function*() {
      const response = yield* replaying(tape(slow), execute(HttpClientRequest.get(`${origin}/slow`)))
      const chunks: Array<string> = []
      const exit = yield* Stream.runForEachChunk(response.stream, (chunk) =>
        Effect.sync(() =>
          chunks.push(
            Chunk.toReadonlyArray(chunk).map((bytes) => new TextDecoder().decode(bytes)).join("+")
          )
        )).pipe(Effect.exit)
      assert.deepStrictEqual(chunks.filter((text) => text !== ""), ["a", "b", "c"])
      assert.isTrue(Exit.isFailure(exit))
    }))

  const left: Cassette.Exchange = {
    request: { method: "GET", url: "/left", headers: {} },
    response: { at: 0, status: 200, headers: {}, chunks: [{ at: 0, text: "a" }], end: "Aborted", endAt: 10 }
  }

  for (const timing of ["None", "Recorded"] as const) {
    it.live(`stays open where the client left, until it leaves, timing ${timing}`, () =>
      Effect.gen(function*() {
        const open = Effect.gen(function*() {
          const seen = yield* Deferred.make<void>()
          const response = yield* execute(HttpClientRequest.get(`${origin}/left`))
          const fiber = yield* Effect.fork(
            Stream.runForEach(response.stream, () => Deferred.succeed(seen, undefined))
          )
          yield* Deferred.await(seen)
          yield* settled
          assert.strictEqual((yield* Fiber.poll(fiber))._tag, "None")
          return fiber
        })
        const interrupted = yield* replaying(tape(left), Effect.flatMap(open, Fiber.interrupt), { timing })
        assert.isTrue(Exit.isInterrupted(interrupted))
        // Closing the scope of the request aborts too.
        const client = HttpClient.withScope(yield* Cassette.fromCassette(tape(left), { timing }))
        const scope = yield* Scope.make()
        const response = yield* Scope.extend(client.get(`${origin}/left`), scope)
        const seen = yield* Deferred.make<void>()
        const fiber = yield* Effect.fork(Stream.runForEach(response.stream, () => Deferred.succeed(seen, undefined)))
        yield* Deferred.await(seen)
        yield* settled
        yield* Scope.close(scope, Exit.void)
        const exit = yield* Fiber.await(fiber)
        assert.isTrue(Exit.isFailure(exit))
      }).pipe(within))
  }

  it.live("never answers where the client left before the head", () =>
    Effect.gen(function*() {
      const waiting = tape({
        request: { method: "GET", url: "/left", headers: {} },
        failure: { at: 1, reason: "Aborted", message: "left" }
      })
      const client = yield* Cassette.fromCassette(waiting, { reuse: true })
      const fiber = yield* Effect.fork(client.get(`${origin}/left`))
      yield* settled
      assert.strictEqual((yield* Fiber.poll(fiber))._tag, "None")
      assert.isTrue(Exit.isInterrupted(yield* Fiber.interrupt(fiber)))
    }).pipe(within))

  it.effect("gives heads back, cookies included, and bodies in every form", () =>
    Effect.gen(function*() {
      const exchange: Cassette.Exchange = {
        request: { method: "GET", url: "/", headers: {} },
        response: {
          at: 0,
          status: 204,
          headers: { "content-type": "application/x-www-form-urlencoded", "set-cookie": ["a=1; Path=/", "b=2"] },
          chunks: [{ at: 0, text: "x=1&" }, { at: 0, bytes: new TextEncoder().encode("y=2") }],
          end: "Complete",
          endAt: 0
        }
      }
      const response = yield* replaying(tape(exchange), execute(HttpClientRequest.get(`${origin}/`)))
      assert.strictEqual(response.status, 204)
      assert.deepStrictEqual(Object.keys(response.cookies.cookies), ["a", "b"])
      assert.strictEqual(yield* response.text, "x=1&y=2")
      assert.strictEqual((yield* response.arrayBuffer).byteLength, 7)
      assert.strictEqual((yield* Effect.flip(response.json)).reason, "Decode")
      assert.deepStrictEqual(Array.from(yield* response.urlParamsBody), [["x", "1"], ["y", "2"]])
      assert.strictEqual((yield* response.formData).get("y"), "2")
    }))

  it.effect("gives the transport a session id that it can use", () =>
    Effect.gen(function*() {
      const initialize: Cassette.Exchange = {
        request: { method: "POST", url: "/mcp", headers: {}, body: JSON.stringify(initializeRequest) },
        response: {
          at: 0,
          status: 200,
          headers: { "content-type": "application/json", "mcp-session-id": "redacted-1" },
          chunks: [{ at: 0, text: JSON.stringify(answer(initializeRequest.id, initializeResult)) }],
          end: "Complete",
          endAt: 0
        }
      }
      const transport = yield* StreamableHttpTransport.make({ url: `${origin}/mcp`, terminateOnClose: false }).pipe(
        Effect.provide(Cassette.layerMemory(tape(initialize)))
      )
      yield* StreamableHttpTransport.request(transport, initializeRequest)
      assert.strictEqual((yield* transport.session)._tag, "Active")
    }).pipe(Effect.scoped))
})

describe("files", () => {
  const server = rawServer((exchange) => exchange.json({ n: exchange.index }))

  live("are written once and used from then on", () =>
    Effect.gen(function*() {
      const { arrivals, url } = yield* Effect.map(server, (it) => ({ url: it.url, arrivals: () => it.arrivals }))
      const path = yield* newPath
      const run = textOf(HttpClientRequest.get(url)).pipe(
        Effect.provide(Cassette.layer({ path }).pipe(Layer.provide(FetchHttpClient.layer)))
      )
      assert.deepStrictEqual(yield* Effect.all([run, run, run]), [`{"n":0}`, `{"n":0}`, `{"n":0}`])
      assert.lengthOf(arrivals(), 1)
      const text = yield* readText(path)
      assert.match(text, /^\{\n {2}"version": 1,\n {2}"exchanges": \[\n/)
      assert.deepStrictEqual(yield* (yield* FileSystem.FileSystem).readDirectory(path.replace("/one.json", "")), [
        "one.json"
      ])
    }).pipe(Effect.provide(NodeFileSystem.layer), Effect.orDie))

  live("are written when the program fails or is interrupted", () =>
    Effect.gen(function*() {
      const { url } = yield* server
      for (const ending of [Effect.fail("no"), Effect.interrupt, Effect.die("no")]) {
        const path = yield* newPath
        yield* Effect.exit(
          textOf(HttpClientRequest.get(url)).pipe(
            Effect.zipRight(ending),
            Effect.provide(Cassette.layerRecord({ path }).pipe(Layer.provide(FetchHttpClient.layer)))
          )
        )
        assert.lengthOf((yield* Cassette.read(path)).exchanges, 1)
      }
    }).pipe(Effect.provide(NodeFileSystem.layer), Effect.orDie))

  live("are left as they are without exchanges, and when the redaction throws", () =>
    Effect.gen(function*() {
      const { url } = yield* server
      const path = yield* newPath
      const before = tape(ok("GET", "/kept", "kept"))
      yield* Cassette.write(path, before)
      const none = Cassette.layerRecord({ path }).pipe(Layer.provide(FetchHttpClient.layer))
      yield* Effect.provide(Effect.void, none)
      assert.deepStrictEqual(yield* Cassette.read(path), before)
      const throwing = Cassette.layerRecord({
        path,
        redact: () => {
          throw new Error("redact")
        }
      }).pipe(Layer.provide(FetchHttpClient.layer))
      const exit = yield* Effect.exit(Effect.provide(textOf(HttpClientRequest.get(url)), throwing))
      assert.isTrue(Exit.isFailure(exit) && Cause.isDie(exit.cause))
      assert.deepStrictEqual(yield* Cassette.read(path), before)
    }).pipe(Effect.provide(NodeFileSystem.layer), Effect.orDie))

  live("that are missing, invalid or cannot be written are errors", () =>
    Effect.gen(function*() {
      const path = yield* newPath
      const fails = (layer: Layer.Layer<HttpClient.HttpClient, Cassette.CassetteError, FileSystem.FileSystem>) =>
        Effect.map(Effect.flip(Effect.scoped(Layer.build(layer))), (error) => `${error._tag} ${error.reason}`)
      const files = yield* FileSystem.FileSystem
      assert.strictEqual(yield* fails(Cassette.layerReplay({ path })), "CassetteError Read")
      yield* Cassette.write(path, tape())
      yield* files.writeFileString(path, `{"version":2,"exchanges":[]}`)
      assert.strictEqual(yield* fails(Cassette.layerReplay({ path })), "CassetteError Invalid")
      yield* files.writeFileString(path, "no json")
      assert.strictEqual(yield* fails(Cassette.layerReplay({ path })), "CassetteError Invalid")
      const below = Cassette.layerRecord({ path: `${path}/below/one.json` }).pipe(Layer.provide(FetchHttpClient.layer))
      assert.strictEqual(yield* fails(below), "CassetteError Write")
    }).pipe(Effect.provide(NodeFileSystem.layer), Effect.orDie))
})
