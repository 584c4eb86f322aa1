import { JsonRpc, StreamableHttpTransport } from "@effect-mcp/transport"
import { assert, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/TestClock"
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
  sessionId
} from "../support/harness.ts"
import { type Exchange, rawServer } from "../support/rawServer.ts"
import { bare, scripted, ScriptedResponse } from "../support/scriptedTransport.ts"
import {
  arrivalOf,
  arrived,
  assertError,
  assertSession,
  assertUsable,
  exceptHealthy,
  failure,
  soon,
  ways
} from "../support/sending.ts"

interface Body {
  readonly name: string
  readonly type?: string
  readonly text: string
  /** The JSON-RPC error it holds. */
  readonly error?: JsonRpc.ErrorObject
}

const rpcError = { code: -32050, message: "no such luck", data: { hint: "try later" } }
const withoutData = { code: -32600, message: "bad" }

const bodies: ReadonlyArray<Body> = [
  { name: "no body", text: "" },
  { name: "text", type: "text/plain", text: "something went wrong" },
  { name: "HTML", type: "text/html", text: "<html><body>went wrong</body></html>" },
  {
    name: "a JSON-RPC error",
    type: "application/json",
    text: JSON.stringify({ jsonrpc: "2.0", id: 1, error: rpcError }),
    error: rpcError
  },
  {
    name: "a JSON-RPC error with id null",
    type: "application/json",
    text: JSON.stringify({ jsonrpc: "2.0", id: null, error: withoutData }),
    error: withoutData
  },
  {
    name: "a JSON-RPC error without id",
    type: "application/json; charset=utf-8",
    text: JSON.stringify({ jsonrpc: "2.0", error: withoutData }),
    error: withoutData
  },
  { name: "a JSON-RPC result", type: "application/json", text: JSON.stringify(answer(1)) },
  { name: "other JSON", type: "application/json", text: JSON.stringify({ error: "went wrong" }) }
]

const noBody: ReadonlyArray<Body> = bodies.filter(({ text }) => text === "")

type Outcome = "NotExecuted" | "Unknown"

interface Row {
  readonly status: number
  readonly outcome: Outcome
  /** Whether a JSON-RPC error in the body is the answer to a request. */
  readonly answers?: true
  /** HTTP allows no body with this status. */
  readonly bodiless?: true
}

const rows: ReadonlyArray<Row> = [
  { status: 300, outcome: "NotExecuted" },
  { status: 301, outcome: "NotExecuted" },
  { status: 302, outcome: "NotExecuted" },
  { status: 303, outcome: "NotExecuted" },
  { status: 304, outcome: "NotExecuted", bodiless: true },
  { status: 307, outcome: "NotExecuted" },
  { status: 308, outcome: "NotExecuted" },
  { status: 400, outcome: "Unknown", answers: true },
  { status: 401, outcome: "NotExecuted" },
  { status: 402, outcome: "Unknown", answers: true },
  { status: 403, outcome: "Unknown" },
  { status: 405, outcome: "NotExecuted", answers: true },
  { status: 406, outcome: "Unknown", answers: true },
  { status: 408, outcome: "Unknown", answers: true },
  { status: 409, outcome: "Unknown", answers: true },
  { status: 410, outcome: "Unknown", answers: true },
  { status: 413, outcome: "NotExecuted", answers: true },
  { status: 415, outcome: "NotExecuted", answers: true },
  { status: 422, outcome: "Unknown", answers: true },
  { status: 425, outcome: "Unknown", answers: true },
  { status: 429, outcome: "NotExecuted" },
  { status: 431, outcome: "Unknown", answers: true },
  { status: 499, outcome: "Unknown", answers: true },
  { status: 500, outcome: "Unknown", answers: true },
  { status: 501, outcome: "Unknown", answers: true },
  { status: 502, outcome: "Unknown", answers: true },
  { status: 503, outcome: "Unknown" },
  { status: 504, outcome: "Unknown", answers: true },
  { status: 599, outcome: "Unknown", answers: true }
]

const headersOf = ({ type }: Body): Record<string, string> => type === undefined ? {} : { "content-type": type }

const progress = JsonRpc.notification("notifications/progress", { progressToken: 1, progress: 1 })
const submissions: ReadonlyArray<JsonRpc.Notification | JsonRpc.Response> = [
  progress,
  JsonRpc.success(5, { roots: [] }),
  JsonRpc.error(6, { code: -32601, message: "not here" })
]

/** Serves every POST after the handshake with what `next` says at that moment. */
const answering = () => {
  const state: { status: number; body: Body } = { status: 500, body: { name: "no body", text: "" } }
  const handle = (exchange: Exchange): void => exchange.status(state.status, state.body.text, headersOf(state.body))
  return { handle, set: (status: number, body: Body) => Object.assign(state, { status, body }) }
}

overEveryClient("a status", (client) => {
  for (const { answers, bodiless, outcome, status } of rows) {
    it.scopedLive(`S41: ${status} to a request`, () =>
      Effect.gen(function*() {
        const script = answering()
        const server = yield* rawServer(afterHandshake(exceptHealthy(script.handle)))
        const transport = yield* connect(client, server)
        yield* handshake(transport)
        for (const body of bodiless === true ? noBody : bodies) {
          script.set(status, body)
          for (const { name, run } of ways) {
            const what = `${status} with ${body.name}, by ${name}`
            if (answers === true && body.error !== undefined) {
              const messages = yield* soon(run(transport, call(7)))
              assert.deepStrictEqual(messages, [{ jsonrpc: "2.0", id: 7, error: body.error }], what)
            } else {
              const error = yield* failure(run(transport, call(7)))
              assertError(error, "HttpStatusError", {
                requestId: 7,
                outcome,
                status,
                method: "POST",
                error: body.error,
                body: body.text,
                retryAfter: undefined,
                wwwAuthenticate: undefined,
                location: undefined
              })
            }
          }
        }
        assert.strictEqual(
          server.log().filter((line) => line === "POST tools/call").length,
          (bodiless === true ? noBody : bodies).length * ways.length,
          "no POST is repeated"
        )
        yield* assertUsable(transport, "Active", sessionId)
      }))

    it.scopedLive(`S41: ${status} to a notification or a response`, () =>
      Effect.gen(function*() {
        const script = answering()
        const server = yield* rawServer(afterHandshake(exceptHealthy(script.handle)))
        const transport = yield* connect(client, server)
        yield* handshake(transport)
        const sent = bodiless === true ? noBody : bodies
        for (const [index, body] of sent.entries()) {
          script.set(status, body)
          const error = yield* failure(
            StreamableHttpTransport.notify(transport, submissions[(status + index) % 3] ?? progress)
          )
          assertError(error, "HttpStatusError", {
            requestId: undefined,
            outcome,
            status,
            method: "POST",
            error: body.error,
            body: body.text
          })
        }
        yield* assertUsable(transport, "Active", sessionId)
      }))
  }

  it.scopedLive("S38: 202 and 204 do not answer a request, whatever they say they hold", () =>
    Effect.gen(function*() {
      const script = answering()
      const server = yield* rawServer(afterHandshake(exceptHealthy(script.handle)))
      const transport = yield* connect(client, server)
      yield* handshake(transport)
      const claims: ReadonlyArray<Body> = [
        { name: "no body", text: "" },
        { name: "JSON", type: "application/json", text: JSON.stringify(answer(1)) },
        { name: "events", type: "text/event-stream", text: `data: ${JSON.stringify(answer(1))}\n\n` }
      ]
      for (const status of [202, 204]) {
        for (const body of claims) {
          script.set(status, body)
          for (const { run } of ways) {
            assertError(yield* failure(run(transport, call(1))), "ProtocolError", {
              reason: "NoResponse",
              requestId: 1,
              outcome: "Unknown"
            })
          }
        }
      }
      yield* assertUsable(transport, "Active", sessionId)
    }))

  it.scopedLive("S44: any other success without JSON or events is refused by name", () =>
    Effect.gen(function*() {
      const script = answering()
      const server = yield* rawServer(afterHandshake(exceptHealthy(script.handle)))
      const transport = yield* connect(client, server)
      yield* handshake(transport)
      const foreign: ReadonlyArray<Body> = [
        { name: "no body", text: "" },
        { name: "text", type: "text/plain", text: "fine" },
        { name: "HTML", type: "text/html; charset=utf-8", text: "<h1>Sign in</h1>" }
      ]
      for (const status of [200, 201, 203, 206, 226]) {
        for (const body of foreign) {
          script.set(status, body)
          for (const { run } of ways) {
            const error = yield* failure(run(transport, call("a")))
            assertError(error, "ProtocolError", {
              reason: "UnexpectedContentType",
              requestId: "a",
              outcome: "Unknown",
              excerpt: body.text
            })
            assert.include(String(error), String(status))
          }
        }
      }
      script.set(205, { name: "no body", text: "" })
      assertError(yield* failure(StreamableHttpTransport.request(transport, call(1))), "ProtocolError", {
        reason: "UnexpectedContentType"
      })
      yield* assertUsable(transport, "Active", sessionId)
    }))

  it.scopedLive("S43: any 2xx with JSON is read as 200 is", () =>
    Effect.gen(function*() {
      const script = answering()
      const server = yield* rawServer(afterHandshake(script.handle))
      const transport = yield* connect(client, server)
      yield* handshake(transport)
      for (const status of [200, 201, 203, 206, 226]) {
        script.set(status, { name: "JSON", type: "application/json", text: JSON.stringify(answer(3)) })
        for (const { run } of ways) {
          assert.deepStrictEqual(yield* soon(run(transport, call(3))), [JsonRpc.success(3, { content: [] })])
        }
        script.set(status, {
          name: "events",
          type: "text/event-stream",
          text: `data: ${JSON.stringify(answer(3))}\n\n`
        })
        for (const { run } of ways) {
          assert.deepStrictEqual(yield* soon(run(transport, call(3))), [JsonRpc.success(3, { content: [] })])
        }
      }
    }))

  it.scopedLive("S42: any 2xx accepts a notification or a response, its body is ignored", () =>
    Effect.gen(function*() {
      const script = answering()
      const server = yield* rawServer(afterHandshake(exceptHealthy(script.handle)))
      const transport = yield* connect(client, server)
      yield* handshake(transport)
      let sent = 0
      for (const status of [200, 201, 202, 204, 205, 299]) {
        for (const body of status === 204 || status === 205 ? noBody : bodies) {
          script.set(status, body)
          const message = submissions[sent++ % submissions.length] ?? progress
          assert.deepStrictEqual(yield* soon(collect(transport.send(message))), [])
        }
      }
      yield* assertUsable(transport, "Active", sessionId)
      assert.isAtMost(server.openSockets(), 2, "connections are released, not piled up")
    }))

  it.scopedLive("S42: an endless event stream as the answer to a notification holds nothing up", () =>
    Effect.gen(function*() {
      const server = yield* rawServer(afterHandshake(exceptHealthy(({ events }) => void events().raw(": open\n\n"))))
      yield* Effect.gen(function*() {
        const transport = yield* connect(client, server)
        yield* handshake(transport)
        yield* soon(StreamableHttpTransport.notify(transport, progress))
        yield* assertUsable(transport, "Active", sessionId)
      }).pipe(Effect.scoped, soon)
      yield* eventually(() => server.openResponses() === 0)
    }))

  it.scopedLive("S39: 404 to a message with a session id ends the session, body or not", () =>
    Effect.gen(function*() {
      for (const [index, body] of bodies.entries()) {
        for (const message of index % 2 === 0 ? [call(4)] : submissions) {
          const script = answering()
          const server = yield* rawServer(afterHandshake(script.handle))
          const transport = yield* connect(client, server)
          yield* handshake(transport)
          script.set(404, body)
          const error = yield* failure(collect(transport.send(message)))
          assertError(error, "SessionTerminated", {
            by: "Server",
            outcome: "NotExecuted",
            requestId: JsonRpc.isRequest(message) ? 4 : undefined
          })
          assert.include(String(Reflect.get(error, "sessionId")), "redacted")
          yield* assertSession(transport, "Terminated", sessionId)
          const count = server.arrivals.length
          for (const later of [call(5), progress]) {
            assertError(yield* failure(collect(transport.send(later))), "SessionTerminated", {
              by: "Server",
              outcome: "NotExecuted"
            })
          }
          assert.strictEqual(server.arrivals.length, count, "nothing is sent in a session that is over")
        }
      }
    }), 15_000)

  it.scopedLive("S39: after a 404 a new initialize opens a new session on the same transport", () =>
    Effect.gen(function*() {
      let sessions = 0
      const server = yield* rawServer(exceptHealthy((exchange) => {
        const { headers, json, message, method, status } = exchange
        if (method === "DELETE") return status(200)
        if (message?.method === "initialize") {
          sessions++
          return json(answer(0, initializeResult), { headers: { "mcp-session-id": `s${sessions}` } })
        }
        status(headers["mcp-session-id"] === "s1" ? 404 : 202)
      }))
      yield* Effect.gen(function*() {
        const transport = yield* connect(client, server)
        yield* StreamableHttpTransport.request(transport, initializeRequest)
        const error = yield* failure(StreamableHttpTransport.request(transport, call()))
        assertError(error, "SessionTerminated", { by: "Server", requestId: 1 })
        yield* soon(StreamableHttpTransport.request(transport, initializeRequest))
        assert.isUndefined(arrivalOf(server.arrivals, 2).headers["mcp-session-id"])
        yield* StreamableHttpTransport.notify(transport, JsonRpc.notification("notifications/initialized"))
        assert.strictEqual(arrivalOf(server.arrivals, 3).headers["mcp-session-id"], "s2")
        yield* assertUsable(transport, "Active", "s2")
      }).pipe(Effect.scoped)
      const deleted = server.arrivals.filter(({ method }) => method === "DELETE")
      assert.deepStrictEqual(
        deleted.map(({ headers }) => headers["mcp-session-id"]),
        ["s2"],
        "a dead session has no DELETE"
      )
    }))

  it.scopedLive("S40: a late 404 of an old session does not end the new one", () =>
    Effect.gen(function*() {
      let sessions = 0
      let held: Exchange | undefined
      const server = yield* rawServer(exceptHealthy((exchange) => {
        const { json, message, method, status } = exchange
        if (method === "DELETE") return status(200)
        if (message?.method === "initialize") {
          sessions++
          return json(answer(0, initializeResult), { headers: { "mcp-session-id": `s${sessions}` } })
        }
        if (message?.id === "late") held = exchange
        else status(404)
      }))
      const transport = yield* connect(client, server)
      yield* StreamableHttpTransport.request(transport, initializeRequest)
      const late = yield* Effect.fork(failure(StreamableHttpTransport.request(transport, call("late"))))
      yield* eventually(() => held !== undefined)
      assertError(yield* failure(StreamableHttpTransport.request(transport, call("first"))), "SessionTerminated", {
        by: "Server",
        requestId: "first"
      })
      yield* assertSession(transport, "Terminated", "s1")
      yield* soon(StreamableHttpTransport.request(transport, initializeRequest))
      yield* assertSession(transport, "Active", "s2")
      held?.status(404)
      const error = yield* Fiber.join(late)
      assertError(error, "SessionTerminated", { by: "Server", requestId: "late", outcome: "NotExecuted" })
      yield* assertUsable(transport, "Active", "s2")
    }))

  it.scopedLive("S40: 404 without a session id is an ordinary refusal", () =>
    Effect.gen(function*() {
      const script = answering()
      const server = yield* rawServer(exceptHealthy(({ json, message, ...exchange }) =>
        message?.method === "initialize" && exchange.index > 0
          ? json(answer(message.id, initializeResult))
          : script.handle({ ...exchange, json, message })
      ))
      const transport = yield* connect(client, server)
      script.set(404, { name: "text", type: "text/plain", text: "no such page" })
      assertError(yield* failure(StreamableHttpTransport.request(transport, initializeRequest)), "HttpStatusError", {
        status: 404,
        requestId: 0,
        outcome: "Unknown",
        body: "no such page"
      })
      yield* assertUsable(transport, "Idle")
      yield* soon(StreamableHttpTransport.request(transport, initializeRequest))
      for (const body of bodies) {
        script.set(404, body)
        for (const { run } of ways) {
          if (body.error !== undefined) {
            assert.deepStrictEqual(yield* soon(run(transport, call(9))), [{ jsonrpc: "2.0", id: 9, error: body.error }])
          } else {
            assertError(yield* failure(run(transport, call(9))), "HttpStatusError", {
              status: 404,
              requestId: 9,
              outcome: "Unknown",
              body: body.text
            })
          }
        }
        assertError(yield* failure(StreamableHttpTransport.notify(transport, progress)), "HttpStatusError", {
          status: 404,
          outcome: "Unknown",
          error: body.error
        })
      }
      yield* assertUsable(transport, "Active")
    }))

  it.scopedLive("S41: an error for another id in a refusal still answers this request", () =>
    Effect.gen(function*() {
      const server = yield* rawServer(afterHandshake(({ status }) =>
        status(400, JSON.stringify({ jsonrpc: "2.0", id: 99, error: rpcError, _trace: "t1" }), {
          "content-type": "text/html"
        })
      ))
      const transport = yield* connect(client, server)
      yield* handshake(transport)
      for (const { run } of ways) {
        assert.deepStrictEqual<unknown>(yield* soon(run(transport, call(7))), [
          { jsonrpc: "2.0", id: 7, error: rpcError, _trace: "t1" }
        ])
      }
    }))

  it.scopedLive("S41: Retry-After, WWW-Authenticate and Location reach the error", () =>
    Effect.gen(function*() {
      let headers: Record<string, string> = {}
      let status = 429
      const server = yield* rawServer(afterHandshake(exceptHealthy((exchange) => exchange.status(status, "", headers))))
      const transport = yield* connect(client, server)
      yield* handshake(transport)
      const refusal = Effect.filterOrDieMessage(
        failure(StreamableHttpTransport.request(transport, call())),
        (error) => error._tag === "HttpStatusError",
        "no HttpStatusError"
      )
      for (const [given, millis] of [["0", 0], ["7", 7_000], [" 120 ", 120_000]] as const) {
        headers = { "retry-after": given }
        const { retryAfter } = yield* refusal
        assert.strictEqual(retryAfter === undefined ? undefined : Duration.toMillis(retryAfter), millis, given)
      }
      headers = { "retry-after": new Date(Date.now() + 60_000).toUTCString() }
      const ahead = (yield* refusal).retryAfter
      assert.isTrue(ahead !== undefined && Duration.between(ahead, { minimum: "50 seconds", maximum: "60 seconds" }))
      headers = { "retry-after": "Wed, 21 Oct 2015 07:28:00 GMT" }
      const past = (yield* refusal).retryAfter
      assert.strictEqual(past === undefined ? undefined : Duration.toMillis(past), 0)

      status = 401
      const challenge = `Bearer realm="x", resource_metadata="http://127.0.0.1/.well-known/oauth-protected-resource"`
      headers = { "www-authenticate": challenge }
      assertError(yield* refusal, "HttpStatusError", {
        wwwAuthenticate: challenge,
        status: 401,
        outcome: "NotExecuted"
      })
      status = 403
      assertError(yield* refusal, "HttpStatusError", { wwwAuthenticate: challenge, status: 403, outcome: "Unknown" })
      for (status of [301, 302, 303]) {
        headers = { location: "/elsewhere" }
        const error = yield* refusal
        assertError(error, "HttpStatusError", { location: "/elsewhere", status, outcome: "NotExecuted" })
        assert.include(error.message, "/elsewhere")
      }
      yield* assertUsable(transport, "Active", sessionId)
    }))

  it.scopedLive("S41: an unreadable Retry-After is no Retry-After", () =>
    Effect.gen(function*() {
      let given = ""
      const server = yield* rawServer(
        afterHandshake(exceptHealthy(({ status }) => status(503, "", { "retry-after": given })))
      )
      const transport = yield* connect(client, server)
      yield* handshake(transport)
      for (given of ["soon", "-5", "1.5", "5 seconds", "", "NaN", "Infinity"]) {
        const error = yield* failure(StreamableHttpTransport.request(transport, call()))
        assertError(error, "HttpStatusError", { status: 503, retryAfter: undefined })
      }
    }))

  it.scopedLive("S35, S37: a failed message does not touch a request in flight", () =>
    Effect.gen(function*() {
      let held: Exchange | undefined
      const script = answering()
      const server = yield* rawServer(afterHandshake(exceptHealthy((exchange) => {
        if (exchange.message?.id === "sibling") held = exchange
        else if (exchange.message?.id === "cut") exchange.drop()
        else script.handle(exchange)
      })))
      const transport = yield* connect(client, server)
      yield* handshake(transport)
      const sibling = yield* Effect.fork(soon(StreamableHttpTransport.request(transport, call("sibling"))))
      yield* eventually(() => held !== undefined)
      for (const status of [301, 400, 401, 403, 405, 429, 500, 503]) {
        script.set(status, { name: "text", text: "no" })
        for (const message of [call(1), ...submissions]) {
          assertError(yield* failure(collect(transport.send(message))), "HttpStatusError", { status })
        }
      }
      assertError(yield* failure(StreamableHttpTransport.request(transport, call("cut"))), "ConnectionError", {
        phase: "Response",
        outcome: "Unknown"
      })
      held?.json(answer("sibling"))
      assert.deepStrictEqual(yield* Fiber.join(sibling), JsonRpc.success("sibling", { content: [] }))
      yield* assertUsable(transport, "Active", sessionId)
    }))

  it.scopedLive("S39: a request in flight may still be answered after a sibling's 404", () =>
    Effect.gen(function*() {
      let held: Exchange | undefined
      const server = yield* rawServer(afterHandshake((exchange) => {
        if (exchange.message?.id === "sibling") held = exchange
        else exchange.status(404)
      }))
      const transport = yield* connect(client, server)
      yield* handshake(transport)
      const sibling = yield* Effect.fork(soon(StreamableHttpTransport.request(transport, call("sibling"))))
      yield* eventually(() => held !== undefined)
      assertError(yield* failure(StreamableHttpTransport.request(transport, call(2))), "SessionTerminated", {})
      held?.json(answer("sibling"))
      assert.deepStrictEqual(yield* Fiber.join(sibling), JsonRpc.success("sibling", { content: [] }))
    }))

  it.scopedLive("S41: an endless error body is read no further than it is worth", () =>
    Effect.gen(function*() {
      let written = 0
      const block = "x".repeat(64 * 1024)
      const server = yield* rawServer(afterHandshake(exceptHealthy(({ respond }) => {
        const body = respond(500, { "content-type": "text/plain" })
        const flood = (): void => {
          while (body.isOpen() && body.write(block)) written += block.length
          if (body.isOpen()) body.onDrain(flood)
        }
        flood()
      })))
      const transport = yield* connect(client, server)
      yield* handshake(transport)
      for (const { run } of ways) {
        written = 0
        const error = yield* failure(run(transport, call(1)))
        assertError(error, "HttpStatusError", { status: 500, outcome: "Unknown", body: "x".repeat(1024) })
        yield* eventually(() => server.openResponses() === 0)
        assert.isBelow(written, 64 * 1024 * 1024)
      }
      assertError(yield* failure(StreamableHttpTransport.notify(transport, progress)), "HttpStatusError", {
        status: 500
      })
      yield* eventually(() => server.openResponses() === 0)
      yield* assertUsable(transport, "Active", sessionId)
    }))

  it.scopedLive("S41: an error body larger than maxMessageSize is still a status, not MessageTooLarge", () =>
    Effect.gen(function*() {
      const server = yield* rawServer(afterHandshake(exceptHealthy(({ status }) => status(500, "y".repeat(10_000)))))
      const transport = yield* connect(client, server, { maxMessageSize: 1_000 })
      yield* handshake(transport)
      assertError(yield* failure(StreamableHttpTransport.request(transport, call())), "HttpStatusError", {
        status: 500,
        requestId: 1,
        outcome: "Unknown"
      })
      yield* assertUsable(transport, "Active", sessionId)
    }))

  it.scopedLive("S41: an error body that breaks off still gives the status and what came", () =>
    Effect.gen(function*() {
      const server = yield* rawServer(afterHandshake(exceptHealthy(({ respond }) => {
        const body = respond(502, { "content-type": "text/plain", "content-length": "1000" })
        body.write("half of it")
        body.cut()
      })))
      const transport = yield* connect(client, server)
      yield* handshake(transport)
      assertError(yield* failure(StreamableHttpTransport.request(transport, call())), "HttpStatusError", {
        status: 502,
        body: "half of it"
      })
      yield* assertUsable(transport, "Active", sessionId)
    }))

  it.scopedLive("S81: an error body that echoes the credentials does not show them", () =>
    Effect.gen(function*() {
      const server = yield* rawServer(afterHandshake(({ headers, status }) =>
        status(
          403,
          JSON.stringify({
            jsonrpc: "2.0",
            id: null,
            error: { code: -32000, message: `no: ${headers.authorization} ${headers["mcp-session-id"]}` }
          }),
          { "www-authenticate": `Bearer error_description="${headers.authorization}"` }
        )
      ))
      const transport = yield* connect(client, server, { headers: { authorization: "Bearer sesame-1" } })
      yield* handshake(transport)
      const error = yield* failure(
        StreamableHttpTransport.request(transport, call(), {
          headers: { "x-api-key": "unused", authorization: "Bearer sesame-2" }
        })
      )
      assertError(error, "HttpStatusError", { status: 403 })
      const shown = `${error} ${error.message} ${JSON.stringify(error)} ${error.stack}`
      assert.notInclude(shown, "sesame")
      assert.notInclude(shown, sessionId)
    }))

  it.scopedLive("S77: the session is still deleted on close after failures", () =>
    Effect.gen(function*() {
      const script = answering()
      const server = yield* rawServer(afterHandshake(script.handle))
      const exit = yield* Effect.gen(function*() {
        const transport = yield* connect(client, server)
        yield* handshake(transport)
        return yield* soon(StreamableHttpTransport.request(transport, call()))
      }).pipe(Effect.scoped, Effect.exit)
      assert.isTrue(Exit.isFailure(exit))
      yield* arrived(server, 4)
      assert.strictEqual(server.log().at(-1), "DELETE")
    }))
})

it.scoped("S41: an error body that stalls is given up after a moment, with what came", () =>
  Effect.gen(function*() {
    const stalled = new ScriptedResponse(500, { "content-type": "text/plain", "retry-after": "3" }).push("half of it")
    const { transport } = yield* scripted(() => stalled)
    const fiber = yield* Effect.fork(Effect.flip(StreamableHttpTransport.request(transport, call())))
    yield* TestClock.adjust("1 second")
    assert.strictEqual((yield* Fiber.poll(fiber))._tag, "None")
    yield* TestClock.adjust("10 seconds")
    assertError(yield* Fiber.join(fiber), "HttpStatusError", {
      status: 500,
      body: "half of it",
      retryAfter: Duration.seconds(3),
      requestId: 1,
      outcome: "Unknown"
    })
    assert.isTrue(stalled.isClosed)
    yield* assertSession(transport, "Active", "adopted-session")
  }))

it.scoped("S42: a body that comes with an acceptance is dropped, and closed when it does not end", () =>
  Effect.gen(function*() {
    const endless = new ScriptedResponse(202, {}).push("accepted")
    const { transport } = yield* scripted(() => endless)
    yield* StreamableHttpTransport.notify(transport, progress)
    assert.isFalse(endless.isClosed, "its connection may still become free by itself")
    yield* TestClock.adjust("1100 millis")
    assert.isTrue(endless.isClosed)
  }))

it.scoped("S41: a date in Retry-After counts from the clock's now", () =>
  Effect.gen(function*() {
    yield* TestClock.setTime(Date.UTC(2026, 0, 1))
    const dates = [
      ["Thu, 01 Jan 2026 00:01:30 GMT", 90_000],
      ["Thursday, 01-Jan-26 00:01:30 GMT", 90_000],
      ["Wed, 31 Dec 2025 23:59:59 GMT", 0]
    ] as const
    for (const [date, millis] of dates) {
      const { transport } = yield* scripted(() => bare(429, { "retry-after": date }))
      const error = yield* Effect.flip(StreamableHttpTransport.request(transport, call()))
      assertError(error, "HttpStatusError", { retryAfter: Duration.millis(millis), outcome: "NotExecuted" })
    }
  }))
