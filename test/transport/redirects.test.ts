import { HttpExchange, JsonRpc, StreamableHttpTransport } from "@effect-mcp/transport"
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
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
  quickly,
  sessionId
} from "../support/harness.ts"
import { type Exchange, rawServer } from "../support/rawServer.ts"
import {
  arrivalOf,
  assertError,
  assertSession,
  assertUsable,
  exceptHealthy,
  failure,
  occurrences,
  soon,
  ways
} from "../support/sending.ts"

const credentials = { authorization: "Bearer sesame" }

/** The other server: answers anything, as a thief would. */
const thief = rawServer(({ json, message, method, status }) =>
  method === "POST" ? json(answer(message?.id, { stolen: true })) : status(200)
)

const redirecting = (status: number, location: () => string | undefined) => ({ path, ...exchange }: Exchange): void => {
  const to = location()
  if (path !== "/mcp") return exchange.json(answer(exchange.message?.id, { path }))
  exchange.status(status, "", to === undefined ? {} : { location: to })
}

overEveryClient("a redirect", (client) => {
  for (const status of [307, 308]) {
    it.scopedLive(`S5: ${status} within the origin is followed with method, body and headers`, () =>
      Effect.gen(function*() {
        const server = yield* rawServer(afterHandshake(exceptHealthy(redirecting(status, () => "/moved"))))
        const transport = yield* connect(client, server, { headers: credentials })
        yield* handshake(transport)
        for (const { run } of ways) {
          const before = server.arrivals.length
          const messages = yield* soon(run(transport, call(1), { headers: { "x-one": "1" } }))
          assert.deepStrictEqual(messages, [JsonRpc.success(1, { path: "/moved" })])
          assert.strictEqual(server.arrivals.length, before + 2)
          const first = arrivalOf(server.arrivals, before)
          const second = arrivalOf(server.arrivals, before + 1)
          assert.strictEqual(second.method, "POST")
          assert.strictEqual(second.body, first.body)
          assert.deepStrictEqual(second.message, { ...call(1) })
          for (
            const name of [
              "accept",
              "content-type",
              "content-length",
              "mcp-session-id",
              "mcp-protocol-version",
              "authorization",
              "x-one",
              "host"
            ]
          ) {
            assert.isDefined(first.headers[name], name)
            assert.strictEqual(second.headers[name], first.headers[name], name)
            assert.strictEqual(occurrences(second, name), 1, name)
          }
        }
        yield* assertUsable(transport, "Active", sessionId)
      }))

    it.scopedLive(`S5: ${status} of a notification and of a response`, () =>
      Effect.gen(function*() {
        const server = yield* rawServer(afterHandshake(({ path, status: reply }) =>
          path === "/mcp" ? reply(status, "", { location: "/moved" }) : reply(202)
        ))
        const transport = yield* connect(client, server)
        yield* handshake(transport)
        for (const message of [progress(1), JsonRpc.success("q", {})]) {
          const before = server.arrivals.length
          yield* soon(StreamableHttpTransport.notify(transport, message))
          assert.deepStrictEqual(
            server.arrivals.slice(before).map(({ path }) =>
              path
            ),
            ["/mcp", "/moved"]
          )
          assert.deepStrictEqual<unknown>(arrivalOf(server.arrivals, before + 1).message, message)
        }
      }))

    it.scopedLive(`S5: ${status} of initialize: the session of the target is the session`, () =>
      Effect.gen(function*() {
        const server = yield* rawServer(exceptHealthy(({ json, message, method, path, status: reply }) => {
          if (path === "/mcp" && message?.method === "initialize") {
            return reply(status, "", { location: "/moved", "mcp-session-id": "no" })
          }
          if (message?.method === "initialize") {
            return json(answer(message.id, initializeResult), { headers: { "mcp-session-id": "yes" } })
          }
          reply(method === "GET" ? 405 : 202)
        }))
        const transport = yield* connect(client, server)
        yield* soon(handshake(transport))
        assert.deepStrictEqual(server.arrivals.map(({ headers, path }) => [path, headers["mcp-session-id"]]), [
          ["/mcp", undefined],
          ["/moved", undefined],
          ["/mcp", "yes"]
        ])
        yield* assertUsable(transport, "Active", "yes")
      }))

    it.scopedLive(`S5: ${status} of a resuming GET, of the server's stream and of the DELETE`, () =>
      Effect.gen(function*() {
        const server = yield* rawServer(({ events, headers, json, message, method, path, ...exchange }) => {
          if (message?.method === "initialize") {
            return json(answer(0, initializeResult), { headers: { "mcp-session-id": sessionId } })
          }
          if (method === "POST" && message?.method !== "tools/call") return exchange.status(202)
          if (method === "POST") return events().event({ id: "e1", data: progress(1) }).cut()
          if (path === "/mcp") return exchange.status(status, "", { location: "/moved" })
          if (method === "DELETE") return exchange.status(200)
          if (headers["last-event-id"] === "e1") return events().event({ id: "e2", data: answer(1) }).end()
          events().event({ data: progress(7) })
        })
        yield* Effect.gen(function*() {
          const transport = yield* connect(client, server, { headers: credentials })
          yield* handshake(transport)
          assert.deepStrictEqual(yield* soon(collect(transport.send(call(1)))), [
            progress(1),
            JsonRpc.success(1, { content: [] })
          ])
          assert.deepStrictEqual(yield* soon(collect(Stream.take(transport.receive, 1))), [progress(7)])
        }).pipe(Effect.scoped)
        const seen = server.arrivals.slice(3).map(({ headers, method, path }) => [
          method,
          path,
          headers["last-event-id"],
          headers["mcp-session-id"],
          headers.authorization
        ])
        const [bearer] = Object.values(credentials)
        assert.deepStrictEqual(seen, [
          ["GET", "/mcp", "e1", sessionId, bearer],
          ["GET", "/moved", "e1", sessionId, bearer],
          ["GET", "/mcp", undefined, sessionId, bearer],
          ["GET", "/moved", undefined, sessionId, bearer],
          ["DELETE", "/mcp", undefined, sessionId, bearer],
          ["DELETE", "/moved", undefined, sessionId, bearer]
        ])
      }))
  }

  it.scopedLive("S5: locations of every legal shape, resolved against where the redirect came from", () =>
    Effect.gen(function*() {
      let location = ""
      const server = yield* rawServer(afterHandshake(({ json, message, path, ...exchange }) => {
        if (path === "/mcp") return exchange.status(307, "", { location })
        if (path === "/deep/er/first") return exchange.status(308, "", { location: "../second?x=1" })
        json(answer(message?.id, path))
      }))
      const transport = yield* connect(client, server)
      yield* handshake(transport)
      const cases = [
        ["/moved", "/moved"],
        ["moved", "/moved"],
        ["./a/../b", "/b"],
        ["?again=1", "/mcp?again=1"],
        ["/q?a=1&a=2&b=%2F+x&c#part", "/q?a=1&a=2&b=%2F+x&c"],
        [`${server.origin}/absolute`, "/absolute"],
        [`${server.origin.slice("http:".length)}/no-scheme`, "/no-scheme"],
        [server.origin.replace("http:", "HTTP:") + "/case", "/case"],
        ["/deep/er/first", "/deep/second?x=1"],
        ["/sp%20ace/%E4%B8%96", "/sp%20ace/%E4%B8%96"]
      ]
      for (const [given = "", path] of cases) {
        location = given
        assert.deepStrictEqual(
          yield* soon(StreamableHttpTransport.request(transport, call(1))),
          JsonRpc.success(1, path),
          given
        )
      }
      yield* assertSession(transport, "Active", sessionId)
    }))

  for (const status of [300, 301, 302, 303, 305]) {
    it.scopedLive(`S5: ${status} is not followed, not even within the origin`, () =>
      Effect.gen(function*() {
        const server = yield* rawServer(afterHandshake(exceptHealthy(redirecting(status, () => "/moved"))))
        const transport = yield* connect(client, server)
        yield* handshake(transport)
        for (const { run } of ways) {
          assertError(yield* failure(run(transport, call(1))), "HttpStatusError", {
            status,
            location: "/moved",
            requestId: 1,
            outcome: "NotExecuted",
            method: "POST"
          })
        }
        assertError(yield* failure(StreamableHttpTransport.notify(transport, progress(1))), "HttpStatusError", {
          status,
          location: "/moved",
          outcome: "NotExecuted"
        })
        assert.isFalse(server.arrivals.some(({ path }) => path !== "/mcp"))
        assert.isFalse(server.arrivals.some(({ method }) => method === "GET"), "a POST does not become a GET")
        yield* assertUsable(transport, "Active", sessionId)
      }))
  }

  it.scopedLive("S5: nothing reaches another origin: neither message, session id, nor credentials", () =>
    Effect.gen(function*() {
      const other = yield* thief
      let location = ""
      const server = yield* rawServer(afterHandshake(exceptHealthy((exchange) => {
        if (exchange.path === "/hop") return exchange.status(308, "", { location })
        exchange.status(307, "", { location: exchange.message?.id === "hop" ? "/hop" : location })
      })))
      const transport = yield* connect(client, server, { headers: credentials })
      yield* handshake(transport)
      const port = new URL(other.url).port
      for (
        const to of [
          other.url,
          `//127.0.0.1:${port}/mcp`,
          `http://localhost:${port}/mcp`,
          server.url.replace("127.0.0.1", "localhost"),
          server.url.replace("http:", "https:"),
          server.url.replace("http:", "ftp:"),
          `http://127.0.0.1:${port}\\@127.0.0.1/mcp`,
          `\\\\127.0.0.1:${port}/mcp`,
          "data:application/json,{}",
          "javascript:alert(1)",
          "file:///etc/passwd"
        ]
      ) {
        location = to
        for (const { run } of ways) {
          for (const id of ["direct", "hop"]) {
            const error = yield* failure(run(transport, call(id)))
            assertError(error, "HttpStatusError", {
              status: id === "hop" ? 308 : 307,
              location: to,
              requestId: id,
              outcome: "NotExecuted"
            })
          }
        }
        assertError(yield* failure(StreamableHttpTransport.notify(transport, progress(1))), "HttpStatusError", {
          status: 307,
          location: to,
          outcome: "NotExecuted"
        })
      }
      assert.deepStrictEqual(other.log(), [])
      assert.strictEqual(other.openSockets(), 0)
      yield* assertUsable(transport, "Active", sessionId)
    }))

  it.scopedLive("S5: another origin gets no initialize, no resuming GET, no server stream and no DELETE either", () =>
    Effect.gen(function*() {
      const other = yield* thief
      let isLost = true
      const server = yield* rawServer(({ events, json, message, method, ...exchange }) => {
        const away = () => exchange.status(307, "", { location: other.url })
        if (message?.method === "initialize") {
          if (isLost) return away()
          return json(answer(0, initializeResult), { headers: { "mcp-session-id": sessionId } })
        }
        if (message?.method === "tools/call") return events().event({ id: "e1", data: progress(1) }).cut()
        if (method === "POST") return exchange.status(202)
        away()
      })
      yield* Effect.gen(function*() {
        const transport = yield* connect(client, server, { headers: credentials })
        assertError(yield* failure(StreamableHttpTransport.request(transport, initializeRequest)), "HttpStatusError", {
          status: 307,
          location: other.url,
          outcome: "NotExecuted"
        })
        yield* assertSession(transport, "Idle")
        isLost = false
        yield* handshake(transport)
        assertError(yield* failure(collect(transport.send(call(1)))), "HttpStatusError", {
          status: 307,
          method: "GET",
          location: other.url,
          requestId: 1,
          outcome: "Unknown"
        })
        assertError(yield* failure(collect(transport.receive)), "HttpStatusError", {
          status: 307,
          method: "GET",
          location: other.url,
          requestId: undefined,
          outcome: undefined
        })
        assertError(yield* failure(transport.terminate), "HttpStatusError", {
          status: 307,
          method: "DELETE",
          location: other.url
        })
        yield* assertSession(transport, "Terminated", sessionId)
      }).pipe(Effect.scoped)
      assert.deepStrictEqual(server.log(), [
        "POST initialize",
        "POST initialize",
        "POST notifications/initialized",
        "POST tools/call",
        "GET e1",
        "GET",
        "DELETE"
      ])
      assert.deepStrictEqual(other.log(), [])
    }))

  it.scopedLive("S5: a location with user name and password is not followed", () =>
    Effect.gen(function*() {
      let userinfo = ""
      const server = yield* rawServer(afterHandshake(exceptHealthy((exchange) => {
        const host = exchange.headers.host ?? ""
        redirecting(307, () => `http://${userinfo}@${host}/moved`)(exchange)
      })))
      const transport = yield* connect(client, server)
      yield* handshake(transport)
      for (userinfo of ["user:pass", "user", ":pass"]) {
        assertError(yield* failure(StreamableHttpTransport.request(transport, call(1))), "HttpStatusError", {
          status: 307,
          requestId: 1,
          outcome: "NotExecuted"
        })
      }
      assert.isFalse(server.arrivals.some(({ path }) => path === "/moved"))
      yield* assertUsable(transport, "Active", sessionId)
    }))

  it.scopedLive("S5: a redirect to nowhere", () =>
    Effect.gen(function*() {
      let location: string | undefined
      const server = yield* rawServer(afterHandshake(exceptHealthy(redirecting(308, () => location))))
      const transport = yield* connect(client, server)
      yield* handshake(transport)
      for (location of [undefined, "http://[", "http://127.0.0.1:99999/mcp"]) {
        for (const { run } of ways) {
          assertError(yield* failure(run(transport, call(1))), "HttpStatusError", {
            status: 308,
            location,
            requestId: 1,
            outcome: "NotExecuted"
          })
        }
      }
      yield* assertUsable(transport, "Active", sessionId)
    }))

  it.scopedLive("S5: at most five hops", () =>
    Effect.gen(function*() {
      let last = 5
      const server = yield* rawServer(afterHandshake(exceptHealthy(({ json, message, path, ...exchange }) => {
        const hop = path === "/mcp" ? 0 : Number(path.slice(1))
        if (hop === last) json(answer(message?.id, { hop }))
        else exchange.status(hop % 2 === 0 ? 307 : 308, "", { location: `/${hop + 1}` })
      })))
      const transport = yield* connect(client, server)
      yield* handshake(transport)
      for (const { run } of ways) {
        last = 5
        assert.deepStrictEqual(yield* soon(run(transport, call(1))), [JsonRpc.success(1, { hop: 5 })])
        last = 6
        const before = server.arrivals.length
        assertError(yield* failure(run(transport, call(1))), "HttpStatusError", {
          status: 308,
          location: "/6",
          requestId: 1,
          outcome: "NotExecuted"
        })
        assert.strictEqual(server.arrivals.length, before + 6)
      }
      yield* assertUsable(transport, "Active", sessionId)
    }))

  it.scopedLive("S5: a redirect to itself ends, too", () =>
    Effect.gen(function*() {
      const server = yield* rawServer(afterHandshake(exceptHealthy(redirecting(307, () => "/mcp"))))
      const transport = yield* connect(client, server)
      yield* handshake(transport)
      assertError(yield* failure(StreamableHttpTransport.request(transport, call(1))), "HttpStatusError", {
        status: 307,
        location: "/mcp",
        outcome: "NotExecuted"
      })
      assert.strictEqual(server.log().filter((line) => line === "POST tools/call").length, 6)
      yield* assertUsable(transport, "Active", sessionId)
    }))

  it.scopedLive("S5: the next message starts at the configured URL again, query included", () =>
    Effect.gen(function*() {
      const server = yield* rawServer(
        afterHandshake(({ json, message, path, ...exchange }) =>
          path.startsWith("/mcp") ? exchange.status(307, "", { location: "/moved" }) : json(answer(message?.id))
        )
      )
      const transport = yield* connect(client, server, { url: `${server.url}?a=1&a=2&b=%2F+x&c#part` })
      yield* handshake(transport)
      yield* soon(StreamableHttpTransport.request(transport, call(1)))
      yield* soon(StreamableHttpTransport.request(transport, call(1)))
      const start = "/mcp?a=1&a=2&b=%2F+x&c"
      assert.deepStrictEqual(server.arrivals.map(({ path }) => path), [start, start, start, "/moved", start, "/moved"])
    }))

  it.scopedLive("S5: a redirect whose body never ends does not hold the message up", () =>
    Effect.gen(function*() {
      const server = yield* rawServer(afterHandshake(({ json, message, path, respond }) => {
        if (path !== "/mcp") return json(answer(message?.id))
        respond(307, { location: "/moved" }).write("moved, more or less")
      }))
      yield* Effect.gen(function*() {
        const transport = yield* connect(client, server)
        yield* handshake(transport)
        yield* soon(StreamableHttpTransport.request(transport, call(1)))
      }).pipe(Effect.scoped)
      yield* eventually(() => server.openResponses() === 0)
    }))

  it.scopedLive("S5: a JSON-RPC error in a redirect that is not followed is kept, not taken for the answer", () =>
    Effect.gen(function*() {
      const error = { code: -32000, message: "moved" }
      const server = yield* rawServer(
        afterHandshake(({ status }) =>
          status(302, JSON.stringify(JsonRpc.error(1, error)), { location: "/x", "content-type": "application/json" })
        )
      )
      const transport = yield* connect(client, server)
      yield* handshake(transport)
      assertError(yield* failure(StreamableHttpTransport.request(transport, call(1))), "HttpStatusError", {
        status: 302,
        error,
        outcome: "NotExecuted"
      })
    }))
})

const providers = (init: RequestInit) => [
  {
    name: "FetchHttpClient.RequestInit in context",
    layer: HttpExchange.layerHttpClient.pipe(
      Layer.provide([FetchHttpClient.layer, Layer.succeed(FetchHttpClient.RequestInit, init)])
    )
  },
  {
    name: "FetchHttpClient.RequestInit captured by the client layer",
    layer: HttpExchange.layerHttpClient.pipe(
      Layer.provide(FetchHttpClient.layer),
      Layer.provide(Layer.succeed(FetchHttpClient.RequestInit, init))
    )
  },
  { name: "HttpExchange.layerFetch", layer: HttpExchange.layerFetch(init) }
]

for (const redirect of ["follow", "error", "manual", undefined] as const) {
  for (
    const { layer, name } of providers({ credentials: "include", ...(redirect === undefined ? {} : { redirect }) })
  ) {
    it.scopedLive(`S5: redirects stay the transport's own with ${name}, redirect ${redirect}`, () =>
      Effect.gen(function*() {
        const other = yield* thief
        const server = yield* rawServer(afterHandshake(exceptHealthy(({ json, message, path, status }) => {
          if (path !== "/mcp") return json(answer(message?.id, path))
          status(message?.id === "see other" ? 303 : 307, "", {
            location: message?.id === "away" ? other.url : "/moved"
          })
        })))
        yield* Effect.gen(function*() {
          const transport = yield* StreamableHttpTransport.makeExchange({ url: server.url, reconnect: quickly })
          yield* handshake(transport)
          assert.deepStrictEqual(
            yield* soon(StreamableHttpTransport.request(transport, call(1))),
            JsonRpc.success(1, "/moved")
          )
          assertError(yield* failure(StreamableHttpTransport.request(transport, call("away"))), "HttpStatusError", {
            status: 307,
            location: other.url,
            outcome: "NotExecuted"
          })
          assertError(
            yield* failure(StreamableHttpTransport.request(transport, call("see other"))),
            "HttpStatusError",
            {
              status: 303,
              location: "/moved",
              outcome: "NotExecuted"
            }
          )
          yield* assertUsable(transport, "Active", sessionId)
        }).pipe(Effect.scoped, Effect.provide(layer))
        assert.deepStrictEqual(other.log(), [])
      }))
  }
}
