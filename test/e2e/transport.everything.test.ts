/**
 * Against the reference server with every feature of the protocol: requests of the server, in calls and on its own stream.
 */
import { FaultProxy } from "@effect-mcp/testing"
import { JsonRpc, StreamableHttpTransport } from "@effect-mcp/transport"
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Schedule from "effect/Schedule"
import { connect, overEveryClient } from "../support/harness.ts"
import * as Calls from "./calls.ts"
import * as Servers from "./servers.ts"
import { sharedServer, withServer } from "./sharedServer.ts"

const { toolCall } = Calls

const call = (transport: StreamableHttpTransport.Service, name: string, args: JsonRpc.Params = {}) =>
  Effect.map(StreamableHttpTransport.request(transport, toolCall(name, name, args)), Calls.textOf)

/** Answers a request of the server, as a client with these features does. */
const replying = (
  transport: StreamableHttpTransport.Service,
  results: { readonly [method: string]: unknown },
  asked: Array<string> = []
) =>
(message: JsonRpc.Message): Effect.Effect<void> => {
  if (!JsonRpc.isRequest(message)) return Effect.void
  asked.push(message.method)
  return Effect.orDie(StreamableHttpTransport.notify(transport, JsonRpc.success(message.id, results[message.method])))
}

withServer(Servers.everythingServer)("server-everything", (it) => {
  overEveryClient("everything", (client) => {
    it.scoped("calls its tools, and deletes the session at the end", () =>
      Effect.gen(function*() {
        const server = yield* sharedServer
        yield* Effect.scoped(Effect.gen(function*() {
          const transport = yield* connect(client, server)
          yield* Calls.openSession(transport)
          assert.strictEqual(yield* call(transport, "echo", { message: "hello" }), "Echo: hello")
          assert.strictEqual(yield* call(transport, "get-sum", { a: 2, b: 3 }), "The sum of 2 and 3 is 5.")
          const tools = JSON.stringify(
            yield* StreamableHttpTransport.request(transport, JsonRpc.request(1, "tools/list"))
          )
          assert.include(tools, "trigger-long-running-operation")
          assert.notInclude(tools, "trigger-sampling-request", "the client has no such capability")
        }))
        const deletion = (yield* server.wire).at(-1)
        assert.strictEqual(deletion?.method, "DELETE")
        assert.strictEqual(deletion?.status, 200)
      }))

    it.scoped("delivers the progress of a long operation in order", () =>
      Effect.gen(function*() {
        const server = yield* sharedServer
        const transport = yield* connect(client, server)
        yield* Calls.openSession(transport)
        const { answer, before } = yield* Calls.run(
          transport,
          toolCall("long", "trigger-long-running-operation", { duration: 0.2, steps: 5 })
        )
        assert.deepStrictEqual(Calls.steps(before), [1, 2, 3, 4, 5])
        assert.include(Calls.textOf(answer), "Long running operation completed")
      }))

    it.scoped("S66, S67: a call that is over is resumed from its first token, under another id", () =>
      Effect.gen(function*() {
        const server = yield* sharedServer
        const transport = yield* connect(client, server)
        yield* Calls.openSession(transport)
        const tokens: Array<string> = []
        const request = toolCall("long", "trigger-long-running-operation", { duration: 0.1, steps: 4 })
        const first = yield* Calls.run(transport, request, {
          onResumptionToken: (token) => Effect.sync(() => tokens.push(token))
        })
        // One for the event that begins the stream, one for each step, one for the answer.
        assert.strictEqual(tokens.length, 6)
        const again = yield* Calls.run(transport, { ...request, id: "again" }, { resumptionToken: tokens[2] }).pipe(
          Effect.timeout("2 seconds")
        )
        assert.deepStrictEqual(again.before, first.before.slice(2))
        assert.deepStrictEqual(again.answer, { ...first.answer, id: "again" })
        yield* Calls.untilSeen(
          server,
          "the resumed stream, which the server leaves open, was closed",
          (exchange) => exchange.headers["last-event-id"] === tokens[2] && exchange.state === "cut"
        )
        assert.strictEqual(yield* call(transport, "echo", { message: "after" }), "Echo: after")
      }))

    it.scoped("S45, S58: a resumed stream that replays the answers to other calls, too, gives the call its own", () =>
      Effect.gen(function*() {
        const server = yield* sharedServer
        const direct = yield* connect(client, server)
        const session = { sessionId: (yield* Calls.openSession(direct)) ?? "", protocolVersion: "2025-11-25" }
        const through = (proxy: { readonly url: string }) =>
          connect(client, proxy, { session, terminateOnClose: false, reconnect: Schedule.spaced("600 millis") })
        const whole = yield* FaultProxy.make({ target: server.url })
        yield* call(yield* through(whole), "echo", { message: "to see how it begins" })
        // The stream begins with an event that is nothing but an id.
        const [first] = yield* whole.exchanges
        assert.match(Buffer.from(first?.response ?? []).toString("latin1"), /\r\n\r\n[^]*?id: .*\ndata: \n\n/)

        const cut = FaultProxy.cut({ after: { events: 1 } })
        const transport = yield* through(yield* FaultProxy.make({ target: server.url, faults: [[cut]] }))
        const running = yield* Effect.fork(
          Calls.run(transport, toolCall("mine", "trigger-long-running-operation", { duration: 0.2, steps: 2 }))
        )
        yield* Calls.untilSeen(
          server,
          "the call was cut",
          ({ body, state }) => body.includes("\"mine\"") && state === "cut"
        )
        assert.strictEqual(yield* call(direct, "echo", { message: "the other" }), "Echo: the other")
        const { answer, before } = yield* Effect.timeout(Fiber.join(running), "3 seconds")
        assert.strictEqual(answer.id, "mine")
        assert.include(Calls.textOf(answer), "Long running operation completed")
        assert.deepStrictEqual(Calls.steps(before), [1, 2])
      }))

    it.scoped("S73: simulated logging comes on receive", () =>
      Effect.gen(function*() {
        const server = yield* sharedServer
        const transport = yield* connect(client, server)
        const { received } = yield* Calls.listen(transport)
        const sessionId = yield* Calls.openSession(transport)
        yield* Calls.untilListening(server)
        assert.include(yield* call(transport, "toggle-simulated-logging"), "Started simulated")
        yield* Calls.until("it was received", Effect.sync(() => Calls.logged(received).length > 0))
        assert.include(String(Calls.logged(received)[0]), `SessionId ${sessionId}`)
        assert.include(yield* call(transport, "toggle-simulated-logging"), "Stopped simulated")
      }))

    it.scoped("answers a sampling request in the middle of a call", () =>
      Effect.gen(function*() {
        const server = yield* sharedServer
        const transport = yield* connect(client, server)
        yield* Calls.openSession(transport, { sampling: {} })
        const asked: Array<string> = []
        const result = {
          model: "none",
          role: "assistant",
          content: { type: "text", text: "I am a test" },
          stopReason: "endTurn"
        }
        const answer = yield* StreamableHttpTransport.request(
          transport,
          toolCall(1, "trigger-sampling-request", { prompt: "Who are you?" }),
          { onMessage: replying(transport, { "sampling/createMessage": result }, asked) }
        ).pipe(Effect.timeout("3 seconds"))
        assert.deepStrictEqual(asked, ["sampling/createMessage"])
        assert.include(Calls.textOf(answer), "I am a test")
      }))

    it.scoped("answers an elicitation in the middle of a call", () =>
      Effect.gen(function*() {
        const server = yield* sharedServer
        const transport = yield* connect(client, server)
        yield* Calls.openSession(transport, { elicitation: {} })
        const asked: Array<string> = []
        const answer = yield* StreamableHttpTransport.request(transport, toolCall(1, "trigger-elicitation-request"), {
          onMessage: replying(
            transport,
            { "elicitation/create": { action: "accept", content: { name: "Ada", integer: 36 } } },
            asked
          )
        }).pipe(Effect.timeout("3 seconds"))
        assert.deepStrictEqual(asked, ["elicitation/create"])
        assert.include(Calls.textOf(answer), "- Name: Ada")
        assert.include(Calls.textOf(answer), "- Favorite Integer: 36")
      }))

    it.scoped("answers requests that come on the server's own stream, also the second one", () =>
      Effect.gen(function*() {
        const server = yield* sharedServer
        const transport = yield* connect(client, server)
        const asked: Array<string> = []
        let roots = [{ uri: "file:///home/ada", name: "home" }]
        const { received } = yield* Calls.listen(
          transport,
          (message) => replying(transport, { "roots/list": { roots } }, asked)(message)
        )
        yield* Calls.openSession(transport, { roots: { listChanged: true } })
        const updates = (count: number) =>
          Calls.until(
            `${count} updates were logged`,
            Effect.sync(() =>
              Calls.logged(received).filter((text) => /Roots updated/.test(String(text))).length >= count
            )
          )
        yield* updates(1)
        assert.include(yield* call(transport, "get-roots-list"), "URI: file:///home/ada")
        roots = [{ uri: "file:///tmp", name: "tmp" }, { uri: "file:///var", name: "var" }]
        yield* StreamableHttpTransport.notify(transport, JsonRpc.notification("notifications/roots/list_changed"))
        yield* updates(2)
        assert.deepStrictEqual(asked, ["roots/list", "roots/list"])
        assert.include(Calls.logged(received), "Roots updated: 2 root(s) received from client")
        assert.include(yield* call(transport, "get-roots-list"), "Current MCP Roots (2 total)")
        const responses = (yield* server.wire).filter(({ body, method }) =>
          method === "POST" && body.includes("\"roots\":[{")
        )
        assert.deepStrictEqual(responses.map(({ status }) => status), [202, 202])
      }))

    it.scoped("S41, S79: a session this server does not know: its 400 answers the call; the failed DELETE does no harm", () =>
      Effect.gen(function*() {
        const server = yield* sharedServer
        yield* Effect.scoped(Effect.gen(function*() {
          const transport = yield* connect(client, server, {
            session: { sessionId: "no-such-session", protocolVersion: "2025-11-25" }
          })
          const answer = yield* StreamableHttpTransport.request(transport, JsonRpc.request(5, "tools/list"))
          assert.strictEqual(answer.id, 5)
          assert.strictEqual(Calls.errorOf(answer).code, -32000)
          assert.include(Calls.errorOf(answer).message, "No valid session ID")
          assert.strictEqual(yield* Calls.stateOf(transport), "Active")
          const error = yield* Effect.flip(transport.terminate)
          if (error._tag !== "HttpStatusError") return assert.fail(String(error))
          assert.strictEqual(error.method, "DELETE")
          assert.strictEqual(error.status, 400)
          assert.strictEqual(error.error?.code, -32000)
          assert.strictEqual(yield* Calls.stateOf(transport), "Terminated by Client")
        }))
        assert.deepStrictEqual(yield* Calls.seen(server), ["POST tools/list", "DELETE"])
      }))
  })
})
