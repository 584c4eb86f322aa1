/**
 * Against the example servers of the official SDK, as they are published.
 */
import { JsonRpc, StreamableHttpTransport } from "@effect-mcp/transport"
import { assert } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { clients, connect, overEveryClient } from "../support/harness.ts"
import * as Calls from "./calls.ts"
import * as Servers from "./servers.ts"
import { sharedServer, withServer } from "./sharedServer.ts"

const { toolCall } = Calls

const version = "2025-11-25"

const unknownSession = { sessionId: "no-such-session", protocolVersion: version }

const greet = (transport: StreamableHttpTransport.Service, id: JsonRpc.RequestId = "greet") =>
  Effect.map(StreamableHttpTransport.request(transport, toolCall(id, "greet", { name: "Effect" })), Calls.textOf)

const isVersion = (session: StreamableHttpTransport.SessionState, expected: string): boolean =>
  session._tag === "Active" && Option.getOrUndefined(session.protocolVersion) === expected

withServer(Servers.simpleServer)("simpleStreamableHttp", (it) => {
  overEveryClient("sessions and streams", (client) => {
    it.scoped("S22, S77: handshake, a call, and the DELETE at the end", () =>
      Effect.gen(function*() {
        const server = yield* sharedServer
        const sessionId = yield* Effect.scoped(Effect.gen(function*() {
          const transport = yield* connect(client, server)
          const sessionId = yield* Calls.openSession(transport)
          assert.isTrue(isVersion(yield* transport.session, version))
          assert.strictEqual(yield* greet(transport), "Hello, Effect!")
          return sessionId
        }))
        const wire = yield* server.wire
        assert.deepStrictEqual(Calls.lines(wire), [...Calls.handshakeLines, "POST tools/call", "DELETE"])
        assert.deepStrictEqual(wire.map(({ status }) => status), [200, 202, 200, 200])
        assert.deepStrictEqual(wire.slice(1).map(({ headers }) => headers["mcp-session-id"]), [
          sessionId,
          sessionId,
          sessionId
        ])
        // The server has really let it go.
        const late = yield* connect(client, server, {
          session: { sessionId: sessionId ?? "", protocolVersion: version }
        })
        assert.strictEqual((yield* Effect.flip(greet(late)))._tag, "SessionTerminated")
      }))

    it.scoped("an older protocol version is agreed on, and named in every later request", () =>
      Effect.gen(function*() {
        const server = yield* sharedServer
        const transport = yield* connect(client, server)
        yield* StreamableHttpTransport.request(transport, Calls.initialize({}, "2025-03-26"))
        yield* StreamableHttpTransport.notify(transport, JsonRpc.notification("notifications/initialized"))
        assert.isTrue(isVersion(yield* transport.session, "2025-03-26"))
        assert.strictEqual(yield* greet(transport), "Hello, Effect!")
        assert.deepStrictEqual((yield* server.wire).map(({ headers }) => headers["mcp-protocol-version"]), [
          undefined,
          "2025-03-26",
          "2025-03-26"
        ])
      }))

    it.scoped("a request of the server in the middle of a call is answered from within onMessage", () =>
      Effect.gen(function*() {
        const server = yield* sharedServer
        const transport = yield* connect(client, server)
        yield* Calls.openSession(transport, { elicitation: { form: {} } })
        const asked: Array<string> = []
        const answer = yield* StreamableHttpTransport.request(
          transport,
          toolCall(1, "collect-user-info", { infoType: "contact" }),
          {
            onMessage: (message) => {
              if (!JsonRpc.isRequest(message)) return Effect.void
              asked.push(message.method)
              const content = { name: "Ada", email: "ada@example.com" }
              return StreamableHttpTransport.notify(
                transport,
                JsonRpc.success(message.id, { action: "accept", content })
              ).pipe(Effect.orDie)
            }
          }
        ).pipe(Effect.timeout("3 seconds"))
        assert.deepStrictEqual(asked, ["elicitation/create"])
        assert.include(Calls.textOf(answer), "Collected contact information")
        assert.include(Calls.textOf(answer), "\"email\": \"ada@example.com\"")
        const response = (yield* server.wire).at(-1)
        assert.deepStrictEqual(Calls.lines([...yield* server.wire]), [
          ...Calls.handshakeLines,
          "POST tools/call",
          "POST response"
        ])
        assert.strictEqual(response?.status, 202)
        assert.notProperty(JSON.parse(response?.body ?? "{}"), "method")
      }))

    it.scoped("a refusal of the user is an answer, too", () =>
      Effect.gen(function*() {
        const server = yield* sharedServer
        const transport = yield* connect(client, server)
        yield* Calls.openSession(transport, { elicitation: { form: {} } })
        const reply = (message: JsonRpc.Message, response: (id: JsonRpc.RequestId) => JsonRpc.Response) =>
          JsonRpc.isRequest(message)
            ? Effect.orDie(StreamableHttpTransport.notify(transport, response(message.id)))
            : Effect.void
        const call = toolCall(1, "collect-user-info", { infoType: "feedback" })
        const declined = yield* StreamableHttpTransport.request(transport, call, {
          onMessage: (message) => reply(message, (id) => JsonRpc.success(id, { action: "decline" }))
        })
        assert.include(Calls.textOf(declined), "User declined")
        const failed = yield* StreamableHttpTransport.request(transport, call, {
          onMessage: (message) => reply(message, (id) => JsonRpc.error(id, { code: -32603, message: "no user here" }))
        })
        assert.include(Calls.textOf(failed), "no user here")
      }))

    it.scoped("S40: a session the server does not know: 404 is SessionTerminated, and no DELETE follows", () =>
      Effect.gen(function*() {
        const server = yield* sharedServer
        yield* Effect.scoped(Effect.gen(function*() {
          const transport = yield* connect(client, server, { session: unknownSession })
          const { fiber, received } = yield* Calls.listen(transport)
          yield* Effect.timeout(Fiber.join(fiber), "2 seconds")
          assert.deepStrictEqual(received, [])
          assert.strictEqual(yield* Calls.stateOf(transport), "Active", "the next POST decides")
          const error = yield* Effect.flip(greet(transport, 4))
          if (error._tag !== "SessionTerminated") return assert.fail(String(error))
          assert.strictEqual(error.by, "Server")
          assert.strictEqual(error.outcome, "NotExecuted")
          assert.strictEqual(error.requestId, 4)
          assert.strictEqual(Redacted.value(error.sessionId), unknownSession.sessionId)
          assert.strictEqual(yield* Calls.stateOf(transport), "Terminated by Server")
        }))
        assert.deepStrictEqual(yield* Calls.seen(server), ["GET", "POST tools/call"])
      }))
  })

  // Two seconds each, by the server's own clock, so all clients at once.
  it.scoped("S73: log notifications of a call come on receive, not on the stream of the call", () =>
    Effect.gen(function*() {
      const server = yield* sharedServer
      yield* Effect.forEach(clients, (client) =>
        Effect.gen(function*() {
          const transport = yield* connect(client, server)
          const { received } = yield* Calls.listen(transport)
          yield* Calls.openSession(transport)
          const sessionId = yield* Calls.sessionIdOf(transport)
          yield* Calls.untilListening({ wire: Effect.map(server.wire, (wire) => wire.filter(isOf(sessionId))) })
          const [greeted, periodic] = yield* Effect.all([
            Calls.run(transport, toolCall("slow", "multi-greet", { name: "Effect" })),
            Calls.run(transport, toolCall("many", "start-notification-stream", { interval: 20, count: 5 }))
          ], { concurrency: 2 })
          assert.strictEqual(Calls.textOf(greeted.answer), "Good morning, Effect!")
          assert.include(Calls.textOf(periodic.answer), "every 20ms")
          assert.deepStrictEqual([...greeted.before, ...periodic.before], [])
          yield* Calls.until("all were received", Effect.sync(() => received.length >= 8))
          const texts = Calls.logged(received).map((text) => String(text).replace(/ at .*/, ""))
          assert.deepStrictEqual(texts.filter((text) => !text.startsWith("Periodic")), [
            "Starting multi-greet for Effect",
            "Sending first greeting to Effect",
            "Sending second greeting to Effect"
          ])
          assert.deepStrictEqual(
            texts.filter((text) => text.startsWith("Periodic")),
            Calls.range(1, 5).map((n) => `Periodic notification #${n}`)
          )
        }), { concurrency: "unbounded" })
    }))
})

withServer(Servers.jsonServer)("jsonResponseStreamableHttp", (it) => {
  overEveryClient("answers in JSON", (client) => {
    it.scoped("S39, S71, S79: no stream of the server, a DELETE answered by 404, and all is well", () =>
      Effect.gen(function*() {
        const server = yield* sharedServer
        const transport = yield* connect(client, server)
        yield* Calls.openSession(transport)
        const { fiber, received } = yield* Calls.listen(transport)
        yield* Effect.timeout(Fiber.join(fiber), "2 seconds")
        assert.deepStrictEqual(received, [])
        assert.strictEqual(yield* greet(transport), "Hello, Effect!")
        const unknown = yield* StreamableHttpTransport.request(transport, JsonRpc.request(2, "no/such"))
        assert.strictEqual(Calls.errorOf(unknown).code, -32601)
        assert.strictEqual(yield* Calls.stateOf(transport), "Active")
        yield* transport.terminate
        assert.strictEqual(yield* Calls.stateOf(transport), "Terminated by Client")
        const wire = yield* server.wire
        assert.deepStrictEqual(Calls.lines(wire).slice(2), ["GET", "POST tools/call", "POST no/such", "DELETE"])
        assert.deepStrictEqual(wire.map(({ status }) => status), [200, 202, 405, 200, 200, 404])
      }))

    it.scoped("S30: answers that take their time hold up nobody", () =>
      Effect.gen(function*() {
        const server = yield* sharedServer
        const transport = yield* connect(client, server)
        yield* Calls.openSession(transport)
        const slow = yield* Effect.fork(Calls.run(transport, toolCall("slow", "multi-greet", { name: "Effect" })))
        const [elapsed] = yield* Effect.timed(
          Effect.forEach(Calls.range(1, 10), (id) => greet(transport, id), { concurrency: 5 })
        )
        assert.isBelow(Duration.toMillis(elapsed), 1_000)
        yield* Effect.timeout(Fiber.interrupt(slow), "1 second")
        yield* Calls.untilSeen(server, "the slow one was cut", ({ body, state }) =>
          body.includes("multi-greet") && state === "cut")
        assert.strictEqual(yield* greet(transport), "Hello, Effect!")
      }))
  })
})

withServer(Servers.statelessServer)("simpleStatelessStreamableHttp", (it) => {
  overEveryClient("no sessions", (client) => {
    it.scoped("S3, S71, S77: Active without an id, no session header anywhere, no DELETE", () =>
      Effect.gen(function*() {
        const server = yield* sharedServer
        yield* Effect.scoped(Effect.gen(function*() {
          const transport = yield* connect(client, server)
          assert.isUndefined(yield* Calls.openSession(transport))
          const session = yield* transport.session
          assert.isTrue(isVersion(session, version))
          const { fiber, received } = yield* Calls.listen(transport)
          yield* Effect.timeout(Fiber.join(fiber), "2 seconds")
          assert.deepStrictEqual(received, [])
          const { answer } = yield* Calls.run(
            transport,
            toolCall(1, "start-notification-stream", { interval: 10, count: 3 })
          )
          assert.include(Calls.textOf(answer), "every 10ms")
          yield* transport.terminate
          assert.strictEqual(yield* Calls.stateOf(transport), "Active", "there is nothing to terminate")
        }))
        const wire = yield* server.wire
        assert.deepStrictEqual(Calls.lines(wire), [...Calls.handshakeLines, "GET", "POST tools/call"])
        assert.strictEqual(wire[2]?.status, 405)
        assert.isFalse(wire.some(({ headers }) => "mcp-session-id" in headers))
        assert.deepStrictEqual(wire.slice(1).map(({ headers }) => headers["mcp-protocol-version"]), [
          version,
          version,
          version
        ])
      }))

    it.scoped("S79: an id that the server ignores: calls work, and a DELETE answered by 405 is a success", () =>
      Effect.gen(function*() {
        const server = yield* sharedServer
        const transport = yield* connect(client, server, { session: unknownSession })
        const listed = yield* StreamableHttpTransport.request(transport, JsonRpc.request(1, "prompts/list"))
        assert.include(JSON.stringify(listed), "greeting-template")
        yield* transport.terminate
        const deletion = (yield* server.wire).at(-1)
        assert.strictEqual(deletion?.method, "DELETE")
        assert.strictEqual(deletion?.status, 405)
        assert.strictEqual(yield* Calls.stateOf(transport), "Terminated by Client")
      }))
  })
})

withServer(Servers.pollingServer)("ssePollingExample", (it) => {
  // Four seconds each, by the server's own clock, so all clients at once.
  it.scoped(
    "S56, S59, S60: a call whose stream the server closes is polled for, after the 2 s it asks for",
    () =>
      Effect.gen(function*() {
        const server = yield* sharedServer
        yield* Effect.forEach(clients, (client) =>
          Effect.gen(function*() {
            const transport = yield* connect(client, server)
            const { received } = yield* Calls.listen(transport)
            const sessionId = yield* Calls.openSession(transport)
            const mine = { wire: Effect.map(server.wire, (wire) => wire.filter(isOf(sessionId))) }
            yield* Calls.untilListening(mine)
            const [elapsed, { answer, before }] = yield* Effect.timed(Calls.run(transport, toolCall(1, "long-task")))
            assert.strictEqual(Calls.textOf(answer), "Long task completed successfully!")
            assert.deepStrictEqual(before, [])
            assert.isAtLeast(Duration.toMillis(elapsed), 3_950)
            assert.isBelow(Duration.toMillis(elapsed), 7_000)
            assert.deepStrictEqual(
              Calls.logged(received).map((text) => String(text).slice(0, 14)),
              ["Progress: 25% ", "Progress: 50% ", "Progress: 75% ", "Progress: 100%"]
            )
            const wire = yield* mine.wire
            assert.strictEqual(wire.filter(({ body }) => body.includes("tools/call")).length, 1)
            const resumed = wire.filter(({ headers }) => "last-event-id" in headers)
            assert.strictEqual(resumed.length, 1)
            assert.strictEqual(resumed[0]?.status, 200)
            assert.notMatch(resumed[0]?.headers["last-event-id"] ?? "", /^_GET_stream/)
            assert.strictEqual(yield* Calls.stateOf(transport), "Active")
          }), { concurrency: "unbounded" })
      }),
    12_000
  )

  overEveryClient("older clients", (client) => {
    it.scoped("a client of 2025-06-18 keeps its stream to the end", () =>
      Effect.gen(function*() {
        const server = yield* sharedServer
        const transport = yield* connect(client, server)
        yield* StreamableHttpTransport.request(transport, Calls.initialize({}, "2025-06-18"))
        yield* StreamableHttpTransport.notify(transport, JsonRpc.notification("notifications/initialized"))
        assert.isTrue(isVersion(yield* transport.session, "2025-06-18"))
        const listed = yield* StreamableHttpTransport.request(transport, JsonRpc.request(1, "tools/list"))
        assert.include(JSON.stringify(listed), "long-task")
        assert.notInclude(yield* Calls.seen(server), "GET")
      }))
  })
})

const isOf = (sessionId: string | undefined) => ({ headers }: Servers.Exchange): boolean =>
  headers["mcp-session-id"] === sessionId
