/**
 * What is special to connections on undici: proxies, TLS, keep-alive, dispatchers from elsewhere. That it carries the
 * transport as every other exchange does is shown by the transport's own tests, which run over it, too.
 */
import { ScriptedServer } from "@effect-mcp/testing"
import { HttpExchange, JsonRpc, StreamableHttpTransport } from "@effect-mcp/transport"
import { NodeHttpExchange, NodeStreamableHttpTransport } from "@effect-mcp/transport-node"
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as Headers from "@effect/platform/Headers"
import { assert, describe, it } from "@effect/vitest"
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import { readFileSync } from "node:fs"
import * as Http from "node:http"
import * as Https from "node:https"
import { type AddressInfo, connect, type Server, type Socket } from "node:net"
import type { TLSSocket } from "node:tls"
import { fileURLToPath } from "node:url"
import { Agent, type Dispatcher, MockAgent } from "undici"
import { make as makeExchange } from "../../packages/transport-node/src/internal/dispatch.ts"
import { find } from "../../packages/transport/src/internal/unsafeOpen.ts"
import { eventually } from "../support/harness.ts"
import { recordSpans } from "../support/recordSpans.ts"
import { assertError, failure, soon } from "../support/sending.ts"

const session = { sessionId: "adopted", protocolVersion: "2025-11-25" }
const ping = JsonRpc.request(1, "ping")
const pong = JsonRpc.success(1, { pong: true })

const script: ScriptedServer.Script = [
  ScriptedServer.on({ message: "ping" }, ScriptedServer.json(pong)),
  ScriptedServer.on({ method: "DELETE" }, ScriptedServer.status(200))
]

const pem = (name: string): string =>
  readFileSync(fileURLToPath(new URL(`./certificates/${name}`, import.meta.url)), "utf8")

const open = (url: string, http?: NodeHttpExchange.Options) => NodeStreamableHttpTransport.make({ url, session, http })

/** A server of node's, on a free port; all its sockets end with the scope. */
const listen = (server: Server): Effect.Effect<number, never, Scope.Scope> =>
  Effect.gen(function*() {
    const sockets = new Set<Socket>()
    const keep = (socket: Socket): void => {
      sockets.add(socket)
      socket.on("error", () => {}).on("close", () => sockets.delete(socket))
    }
    server.on("connection", keep).on("secureConnection", keep)
    yield* Effect.acquireRelease(
      Effect.async<void>((resume) => void server.listen(0, "127.0.0.1", () => resume(Effect.void))),
      () =>
        Effect.async<void>((resume) => {
          server.close(() => resume(Effect.void))
          for (const socket of sockets) socket.destroy()
        })
    )
    // eslint-disable-next-line typescript/no-unsafe-type-assertion
    return (server.address() as AddressInfo).port
  })

/** An HTTPS server that answers `pong`, and tells who the client says it is. */
const secureServer = (options: Https.ServerOptions = {}) =>
  Effect.gen(function*() {
    const clients: Array<string> = []
    const server = Https.createServer(
      { cert: pem("server.pem"), key: pem("server.key"), ca: pem("ca.pem"), ...options },
      (request, response) => {
        const socket: Socket = request.socket
        clients.push("getPeerCertificate" in socket ? commonName(socket) : "no TLS")
        request.resume()
        response.writeHead(200, { "content-type": "application/json" })
        response.end(JSON.stringify(pong))
      }
    )
    const port = yield* listen(server)
    return { url: `https://127.0.0.1:${port}/mcp`, port, clients }
  })

const commonName = (socket: Socket): string => {
  // eslint-disable-next-line typescript/no-unsafe-type-assertion
  const certificate = (socket as TLSSocket).getPeerCertificate()
  return String(certificate.subject?.CN ?? "nobody")
}

/** A proxy that opens tunnels, and keeps what it was asked. */
const tunnelProxy = Effect.gen(function*() {
  const asked: Array<{ readonly target: string; readonly authorization: string | undefined }> = []
  const server = Http.createServer((_, response) => void response.writeHead(501).end())
  server.on("connect", (request, socket, head) => {
    asked.push({ target: request.url ?? "", authorization: request.headers["proxy-authorization"] })
    const [host = "", port = ""] = (request.url ?? "").split(":")
    const upstream = connect(Number(port), host, () => {
      socket.write("HTTP/1.1 200 Connection Established\r\n\r\n")
      upstream.write(head)
      upstream.pipe(socket).pipe(upstream)
    })
    upstream.on("error", () => socket.destroy())
    socket.on("error", () => upstream.destroy())
  })
  const port = yield* listen(server)
  return { url: `http://127.0.0.1:${port}`, asked }
})

describe("NodeHttpExchange", () => {
  it.scopedLive("TLS: a server that nobody vouches for is refused before anything is sent", () =>
    Effect.gen(function*() {
      const server = yield* secureServer()
      const transport = yield* open(server.url)
      const error = yield* failure(StreamableHttpTransport.request(transport, ping))
      assertError(error, "ConnectionError", { phase: "Connect", outcome: "NotExecuted" })
      assert.deepStrictEqual(server.clients, [])
    }))

  it.scopedLive("TLS: with the authority's certificate it is trusted, one or several", () =>
    Effect.gen(function*() {
      const server = yield* secureServer()
      for (const ca of [pem("ca.pem"), [pem("client.pem"), pem("ca.pem")]]) {
        const transport = yield* open(server.url, { tls: { ca } })
        assert.deepStrictEqual(yield* soon(StreamableHttpTransport.request(transport, ping)), pong)
      }
    }))

  it.scopedLive("TLS: the name is checked, and can be another than the URL's", () =>
    Effect.gen(function*() {
      const server = yield* secureServer()
      const right = yield* open(server.url, { tls: { ca: pem("ca.pem"), servername: "server.test" } })
      assert.deepStrictEqual(yield* soon(StreamableHttpTransport.request(right, ping)), pong)
      const wrong = yield* open(server.url, { tls: { ca: pem("ca.pem"), servername: "other.test" } })
      const error = yield* failure(StreamableHttpTransport.request(wrong, ping))
      assertError(error, "ConnectionError", { phase: "Connect", outcome: "NotExecuted" })
    }))

  it.scopedLive("TLS: a client certificate is shown; its key is a secret", () =>
    Effect.gen(function*() {
      const server = yield* secureServer({ requestCert: true, rejectUnauthorized: true })
      const tls = { ca: pem("ca.pem"), cert: pem("client.pem"), key: Redacted.make(pem("client.key")) }
      const transport = yield* open(server.url, { tls })
      assert.deepStrictEqual(yield* soon(StreamableHttpTransport.request(transport, ping)), pong)
      assert.include(server.clients, "client.test")
      const nobody = yield* open(server.url, { tls: { ca: pem("ca.pem") } })
      assert.strictEqual((yield* failure(StreamableHttpTransport.request(nobody, ping)))._tag, "ConnectionError")
    }))

  it.scopedLive("proxy: requests go through it, and only it sees its authorization", () =>
    Effect.gen(function*() {
      const server = yield* ScriptedServer.makeLoopback(script)
      const proxy = yield* tunnelProxy
      const authorization = Redacted.make("Basic cHJveHk6c2VjcmV0")
      const transport = yield* open(server.url, { proxy: { url: proxy.url, authorization } })
      assert.deepStrictEqual(yield* soon(StreamableHttpTransport.request(transport, ping)), pong)
      assert.deepStrictEqual(proxy.asked, [
        { target: new URL(server.url).host, authorization: "Basic cHJveHk6c2VjcmV0" }
      ])
      const [arrival] = yield* server.arrivals
      assert.notInclude(JSON.stringify(arrival), "cHJveHk6c2VjcmV0")
    }))

  it.scopedLive("proxy: a server with TLS behind it", () =>
    Effect.gen(function*() {
      const server = yield* secureServer()
      const proxy = yield* tunnelProxy
      const transport = yield* open(server.url, { proxy: { url: new URL(proxy.url) }, tls: { ca: pem("ca.pem") } })
      assert.deepStrictEqual(yield* soon(StreamableHttpTransport.request(transport, ping)), pong)
      assert.deepStrictEqual(proxy.asked.map(({ target }) => target), [`127.0.0.1:${server.port}`])
    }))

  it.scopedLive("proxy: one that cannot be reached is a failure before anything is sent", () =>
    Effect.gen(function*() {
      const server = yield* ScriptedServer.makeLoopback(script)
      const port = yield* Effect.scoped(listen(Http.createServer()))
      const transport = yield* open(server.url, { proxy: { url: `http://127.0.0.1:${port}` } })
      const error = yield* failure(StreamableHttpTransport.request(transport, ping))
      assertError(error, "ConnectionError", { phase: "Connect", outcome: "NotExecuted" })
    }))

  it.scopedLive("keep-alive: one connection serves request after request, unless its time is over", () =>
    Effect.gen(function*() {
      const server = yield* ScriptedServer.makeLoopback(script)
      const connections = (http: NodeHttpExchange.Options) =>
        Effect.gen(function*() {
          const transport = yield* open(server.url, http)
          const before = (yield* server.arrivals).length
          for (let n = 0; n < 3; n++) {
            yield* soon(StreamableHttpTransport.request(transport, ping))
            yield* Effect.sleep("30 millis")
          }
          const numbers = (yield* server.arrivals).slice(before).map(({ connection }) => connection)
          return new Set(numbers).size
        })
      assert.strictEqual(yield* connections({ keepAliveTimeout: "1 minute" }), 1)
      assert.strictEqual(yield* connections({ keepAliveTimeout: 1 }), 3)
    }))

  it.scopedLive("connections: no more than that at the same time", () =>
    Effect.gen(function*() {
      const server = yield* ScriptedServer.makeLoopback(script)
      const transport = yield* open(server.url, { connections: 2 })
      yield* soon(
        Effect.all(
          Array.from({ length: 20 }, (_, n) => StreamableHttpTransport.request(transport, { ...ping, id: n })),
          { concurrency: "unbounded" }
        ).pipe(Effect.ignore)
      )
      assert.isAtMost(new Set((yield* server.arrivals).map(({ connection }) => connection)).size, 2)
    }))

  it.scopedLive("headersTimeout: a head that does not come is a failure", () =>
    Effect.gen(function*() {
      const server = yield* ScriptedServer.makeLoopback([
        ScriptedServer.on({ method: "DELETE" }, ScriptedServer.status(200)),
        ScriptedServer.on({}, ScriptedServer.never)
      ])
      const transport = yield* open(server.url, { headersTimeout: "50 millis" })
      const error = yield* failure(StreamableHttpTransport.request(transport, ping))
      assertError(error, "ConnectionError", { phase: "Response", outcome: "Unknown" })
    }))

  it.scopedLive("the scope's end leaves no connection", () =>
    Effect.gen(function*() {
      const server = yield* ScriptedServer.makeLoopback(script)
      const scope = yield* Scope.make()
      const transport = yield* Scope.extend(open(server.url), scope)
      yield* soon(StreamableHttpTransport.request(transport, ping))
      assert.strictEqual(yield* server.openConnections, 1)
      yield* soon(Scope.close(scope, Exit.void))
      yield* eventually(() => Effect.runSync(server.openConnections) === 0)
      const methods = (yield* server.arrivals).map(({ method }) => method)
      assert.deepStrictEqual(methods, ["POST", "DELETE"])
    }))

  it.scopedLive("layerDispatcher: the program's own dispatcher is used, and not closed", () =>
    Effect.gen(function*() {
      const server = yield* ScriptedServer.makeLoopback(script)
      const agent = yield* Effect.acquireRelease(
        Effect.sync(() => new Agent()),
        (agent) => Effect.promise(() => agent.destroy())
      )
      const Live = StreamableHttpTransport.layerExchange({ url: server.url, session }).pipe(
        Layer.provide(NodeHttpExchange.layerDispatcher),
        Layer.provide(Layer.succeed(NodeHttpClient.Dispatcher, agent))
      )
      const once = Effect.flatMap(
        StreamableHttpTransport.StreamableHttpTransport,
        (transport) => StreamableHttpTransport.request(transport, ping)
      ).pipe(Effect.provide(Live))
      assert.deepStrictEqual(yield* soon(once), pong)
      assert.deepStrictEqual(yield* soon(once), pong)
      assert.isFalse(agent.destroyed)
    }))

  it.scopedLive("layerDispatcher: undici's mocks need no network", () =>
    Effect.gen(function*() {
      const mock = new MockAgent()
      mock.disableNetConnect()
      mock.get("http://mock.test").intercept({ path: "/mcp", method: "POST" }).reply(200, JSON.stringify(pong), {
        headers: { "content-type": "application/json" }
      })
      const exchange = yield* NodeHttpExchange.fromDispatcher.pipe(
        Effect.provideService(NodeHttpClient.Dispatcher, mock)
      )
      const transport = yield* StreamableHttpTransport.makeExchange({ url: "http://mock.test/mcp" }).pipe(
        Effect.provideService(HttpExchange.HttpExchange, exchange)
      )
      assert.deepStrictEqual(yield* soon(StreamableHttpTransport.request(transport, ping)), pong)
    }))

  describe("the head, once the body is read", () => {
    /** Opens an exchange through an interceptor, which is told of the controller at each turn. */
    const through = (url: string, isExclusive: boolean, onTurn: (controller: Dispatcher.DispatchController) => void) =>
      Effect.gen(function*() {
        const dispatcher = new Agent().compose((dispatch) => (options, handler) =>
          dispatch(options, {
            onRequestStart: (controller, context) => handler.onRequestStart?.(controller, context),
            onResponseStart: (controller, ...head) => {
              onTurn(controller)
              handler.onResponseStart?.(controller, ...head)
            },
            onResponseData: (controller, chunk) => {
              onTurn(controller)
              handler.onResponseData?.(controller, chunk)
            },
            onResponseEnd: (controller, trailers) => handler.onResponseEnd?.(controller, trailers),
            onResponseError: (controller, error) => handler.onResponseError?.(controller, error)
          })
        )
        yield* Effect.addFinalizer(() => Effect.promise(() => dispatcher.destroy()))
        const { service } = makeExchange(dispatcher, { headersTimeout: 0, isExclusive })
        return yield* soon(service.open({
          method: "POST",
          url: new URL(url),
          headers: Headers.empty,
          body: JSON.stringify(ping)
        }))
      })

    /** Reads a body whose chunks come when the head has long been taken. */
    const read = (response: HttpExchange.Response, options: Pick<HttpExchange.Sink, "needsHead">) =>
      soon(Effect.async<string, unknown>((resume) => {
        let text = ""
        response.read({
          ...options,
          onChunk: (chunk) => {
            text += Buffer.from(chunk).toString()
          },
          onEnd: () => resume(Effect.succeed(text)),
          onError: (cause) => resume(Effect.fail(cause))
        })
      }))

    const slow = ScriptedServer.makeLoopback([
      ScriptedServer.on(
        { message: "ping" },
        ScriptedServer.events([ScriptedServer.pause("50 millis"), ScriptedServer.message(pong)])
      )
    ])

    it.scopedLive("is forgotten where the sink does not need it", () =>
      Effect.gen(function*() {
        const server = yield* slow
        const kept: Array<boolean> = []
        const response = yield* through(server.url, true, ({ rawHeaders }) => kept.push(Array.isArray(rawHeaders)))
        assert.strictEqual(response.headers["content-type"], "text/event-stream")
        assert.include(yield* read(response, { needsHead: false }), "pong")
        assert.deepStrictEqual(Object.keys(response.headers), [])
        assert.deepStrictEqual([kept[0], kept.at(-1)], [true, false])
      }))

    it.scopedLive("stays where the sink needs it", () =>
      Effect.gen(function*() {
        const server = yield* slow
        const kept: Array<boolean> = []
        const response = yield* through(server.url, true, ({ rawHeaders }) => kept.push(Array.isArray(rawHeaders)))
        assert.include(yield* read(response, {}), "pong")
        assert.strictEqual(response.headers["content-type"], "text/event-stream")
        assert.notInclude(kept, false)
      }))

    it.scopedLive("stays for the interceptors of a dispatcher from elsewhere", () =>
      Effect.gen(function*() {
        const server = yield* slow
        const kept: Array<boolean> = []
        const response = yield* through(server.url, false, ({ rawHeaders }) => kept.push(Array.isArray(rawHeaders)))
        assert.include(yield* read(response, { needsHead: false }), "pong")
        assert.isAbove(kept.length, 1)
        assert.notInclude(kept, false)
      }))
  })

  it.scopedLive("layerConfig: options come from the configuration; bad ones are a ConfigError", () =>
    Effect.gen(function*() {
      const server = yield* ScriptedServer.makeLoopback(script)
      const Live = NodeStreamableHttpTransport.layerConfig({
        url: Config.string("MCP_URL"),
        session: Config.succeed(session),
        http: { keepAliveTimeout: Config.duration("MCP_KEEP_ALIVE") }
      })
      const run = (url: string) =>
        Effect.flatMap(
          StreamableHttpTransport.StreamableHttpTransport,
          (transport) => StreamableHttpTransport.request(transport, ping)
        ).pipe(
          Effect.provide(Live),
          Effect.withConfigProvider(
            ConfigProvider.fromMap(new Map([["MCP_URL", url], ["MCP_KEEP_ALIVE", "1 minute"]]))
          )
        )
      assert.deepStrictEqual(yield* soon(run(server.url)), pong)
      const error = yield* failure(run("not a url"))
      assert.include(String(error), "url")
    }))

  describe("unsafeOpen", () => {
    const postOf = (url: string, more?: Partial<HttpExchange.Request>): HttpExchange.Request => ({
      method: "POST",
      url: new URL(url),
      headers: Headers.empty,
      body: JSON.stringify(ping),
      ...more
    })

    const headOf = (exchange: HttpExchange.Service, request: HttpExchange.Request) =>
      soon(Effect.async<HttpExchange.Response, HttpExchange.ExchangeError>((resume) => {
        const unsafeOpen = find(exchange)
        assert(unsafeOpen !== undefined)
        unsafeOpen(request, resume)
      }))

    it.scopedLive("gives the head, as `open` does", () =>
      Effect.gen(function*() {
        const server = yield* ScriptedServer.makeLoopback(script)
        const exchange = yield* NodeHttpExchange.make()
        const response = yield* headOf(exchange, postOf(server.url))
        assert.strictEqual(response.status, 200)
        response.close()
      }))

    it.scopedLive("is ended before the head by what it exposes", () =>
      Effect.gen(function*() {
        const server = yield* ScriptedServer.makeLoopback([ScriptedServer.on({}, ScriptedServer.never)])
        const exchange = yield* NodeHttpExchange.make()
        const exit = yield* Effect.exit(headOf(
          exchange,
          postOf(server.url, { exposeAbort: (abort) => void setTimeout(abort, 20) })
        ))
        assert(Exit.isFailure(exit) && exit.cause._tag === "Fail" && exit.cause.error.sent)
      }))

    it.scopedLive("of a closed exchange fails: nothing was sent", () =>
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        const exchange = yield* Scope.extend(NodeHttpExchange.make(), scope)
        yield* Scope.close(scope, Exit.void)
        const error = yield* Effect.flip(headOf(exchange, postOf("http://127.0.0.1:1/mcp")))
        assert.isFalse(error.sent)
      }))

    const used: Array<string> = []
    const counted = (inner: HttpExchange.Service): HttpExchange.Service => {
      const { open } = inner
      const unsafeOpen = find(inner)
      return HttpExchange.withUnsafeOpen({
        open: (request) =>
          Effect.suspend(() => {
            used.push(`open ${request.method}`)
            return open(request)
          })
      }, (request, onHead) => {
        used.push(`unsafeOpen ${request.method}`)
        unsafeOpen?.(request, onHead)
      })
    }

    const useOf = (exchange: HttpExchange.Service, url: string) =>
      Effect.gen(function*() {
        used.length = 0
        const scope = yield* Scope.make()
        const transport = yield* StreamableHttpTransport.makeExchange({ url, session }).pipe(
          Effect.provideService(HttpExchange.HttpExchange, exchange),
          Scope.extend(scope)
        )
        const request = StreamableHttpTransport.request(transport, ping)
        yield* soon(request)
        yield* soon(Effect.provide(request, recordSpans().layer))
        yield* Scope.close(scope, Exit.void)
        return used.slice()
      })

    it.scopedLive("carries what is posted where nobody traces, and nothing else", () =>
      Effect.gen(function*() {
        const server = yield* ScriptedServer.makeLoopback(script)
        const exchange = counted(yield* NodeHttpExchange.make())
        assert.deepStrictEqual(yield* useOf(exchange, server.url), ["unsafeOpen POST", "open POST", "open DELETE"])
      }))

    it.scopedLive("never goes around a decorator, not even around one that copies the rest", () =>
      Effect.gen(function*() {
        const server = yield* ScriptedServer.makeLoopback(script)
        const inner = counted(yield* NodeHttpExchange.make())
        let decorated = 0
        const exchange: HttpExchange.Service = {
          ...inner,
          open: (request) => {
            decorated++
            return inner.open(request)
          }
        }
        assert.deepStrictEqual(yield* useOf(exchange, server.url), ["open POST", "open POST", "open DELETE"])
        assert.strictEqual(decorated, 3)
      }))
  })
})
