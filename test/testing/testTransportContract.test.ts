import * as TestTransport from "@effect-mcp/testing/TestTransport"
import { JsonRpc, StreamableHttpTransport } from "@effect-mcp/transport"
import { assert, describe } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import { call, collect, handshake, initializeRequest, progress } from "../support/harness.ts"
import { clocked } from "../support/quiet.ts"
import { assertError, ways } from "../support/sending.ts"
import { assertTerminated, initialize, stateOf } from "../support/sessions.ts"
import {
  failureNow,
  initialized,
  isRunning,
  kinds,
  listen,
  now,
  settle,
  start,
  stateless,
  type Subject,
  type SubjectOptions
} from "./testTransportSubjects.ts"

const { duplex, notify, request } = StreamableHttpTransport
const { error, event, messages, never, result, stream } = TestTransport

interface Case {
  readonly name: string
  readonly script?: TestTransport.Script | undefined
  readonly options?: SubjectOptions | undefined
  readonly run: (subject: Subject) => Effect.Effect<void, unknown, Scope.Scope>
}

const cases: ReadonlyArray<Case> = [
  {
    name: "the handshake works out of the box, and its messages are on record",
    run: ({ sent, transport }) =>
      Effect.gen(function*() {
        assert.deepStrictEqual(yield* stateOf(transport), { _tag: "Idle" })
        const answered = yield* now(request(transport, initializeRequest))
        assert(JsonRpc.isSuccessResponse(answered))
        yield* now(notify(transport, initialized))
        assert.deepStrictEqual(yield* stateOf(transport), {
          _tag: "Active",
          sessionId: "test-session",
          version: "2025-11-25"
        })
        assert.deepStrictEqual(yield* sent, [initializeRequest, initialized])
      })
  },
  {
    name: "the session is there before the answer to initialize is seen",
    run: ({ transport }) =>
      Effect.gen(function*() {
        const seen = yield* now(collectStates(transport))
        assert.deepStrictEqual(seen, ["Active"])
      })
  },
  {
    name: "initialize answered with an error opens nothing",
    script: { initialize: error({ code: -32602, message: "unsupported version" }) },
    run: ({ transport }) =>
      Effect.gen(function*() {
        const answered = yield* now(request(transport, initializeRequest))
        assert.deepStrictEqual(answered, JsonRpc.error(0, { code: -32602, message: "unsupported version" }))
        assert.deepStrictEqual(yield* stateOf(transport), { _tag: "Idle" })
      })
  },
  {
    name: "a result without a version opens a session without one",
    script: { initialize: result({ capabilities: {} }) },
    run: ({ transport }) =>
      Effect.gen(function*() {
        yield* now(request(transport, initializeRequest))
        assert.deepStrictEqual(yield* stateOf(transport), {
          _tag: "Active",
          sessionId: "test-session",
          version: undefined
        })
      })
  },
  {
    name: "results and JSON-RPC errors are values, unknown methods an error -32601",
    script: {
      "tools/list": result({ tools: [] }),
      "resources/read": () => error({ code: -32002, message: "none", data: { uri: "x" } })
    },
    run: ({ transport }) =>
      Effect.gen(function*() {
        assert.deepStrictEqual(
          yield* now(request(transport, JsonRpc.request("a", "tools/list"))),
          JsonRpc.success("a", { tools: [] })
        )
        assert.deepStrictEqual(
          yield* now(request(transport, JsonRpc.request(2, "resources/read"))),
          JsonRpc.error(2, { code: -32002, message: "none", data: { uri: "x" } })
        )
        assert.deepStrictEqual(
          yield* now(request(transport, JsonRpc.request(3, "toString"))),
          JsonRpc.error(3, { code: -32601, message: "Method not found: toString" })
        )
        assert.deepStrictEqual(
          yield* now(request(transport, JsonRpc.request(4, "ping"))),
          JsonRpc.success(4, {})
        )
      })
  },
  ...ways.map((way): Case => ({
    name: `messages come before the response, which ends the stream: ${way.name}`,
    script: {
      "tools/call": messages([
        progress(1),
        JsonRpc.request("s1", "roots/list"),
        progress(2),
        result({ content: [] }),
        progress(3)
      ])
    },
    run: ({ transport }) =>
      Effect.map(now(way.run(transport, call(1))), (seen) =>
        assert.deepStrictEqual(seen, [
          progress(1),
          JsonRpc.request("s1", "roots/list"),
          progress(2),
          JsonRpc.success(1, { content: [] })
        ]))
  })),
  {
    name: "send is cold: every run is recorded anew",
    run: ({ sent, transport }) =>
      Effect.gen(function*() {
        const sending = transport.send(JsonRpc.request(1, "ping"))
        assert.deepStrictEqual(yield* sent, [])
        yield* now(Stream.runDrain(sending))
        yield* now(Stream.runDrain(sending))
        assert.strictEqual((yield* sent).length, 2)
      })
  },
  {
    name: "a stream without the response is NoResponse, also when it brings that of another request",
    script: {
      "tools/call": messages([progress(1)]),
      "tools/list": messages([JsonRpc.success("7", {}), JsonRpc.success(8, {})])
    },
    run: ({ transport }) =>
      Effect.gen(function*() {
        for (const sending of [call(7), JsonRpc.request(7, "tools/list")]) {
          assertError(yield* failureNow(request(transport, sending)), "ProtocolError", {
            reason: "NoResponse",
            requestId: 7,
            outcome: "Unknown",
            description: "the stream ended without the answer"
          })
        }
      })
  },
  {
    name: "an error without an id is the answer",
    script: { "tools/call": messages([JsonRpc.error(null, { code: -32700, message: "Parse error" })]) },
    run: ({ transport }) =>
      Effect.map(
        now(request(transport, call(1))),
        (answered) => assert.deepStrictEqual(answered, JsonRpc.error(1, { code: -32700, message: "Parse error" }))
      )
  },
  {
    name: "notifications and responses emit nothing",
    run: ({ sent, transport }) =>
      Effect.gen(function*() {
        for (const message of [progress(1), JsonRpc.success("s1", {}), JsonRpc.error(2, { code: 1, message: "no" })]) {
          assert.deepStrictEqual(yield* now(collect(transport.send(message))), [])
        }
        assert.strictEqual((yield* sent).length, 3)
      })
  },
  {
    name: "what is no message is refused and not sent",
    run: ({ sent, transport }) =>
      Effect.gen(function*() {
        const cycle: Record<string, unknown> = {}
        cycle.self = cycle
        const bad: ReadonlyArray<JsonRpc.Message> = [
          JsonRpc.request(Number.NaN, "ping"),
          JsonRpc.success(1, undefined),
          JsonRpc.notification("n", cycle)
        ]
        for (const message of bad) {
          assertError(yield* failureNow(Stream.runDrain(transport.send(message))), "ProtocolError", {
            reason: "InvalidMessage",
            outcome: "NotExecuted",
            requestId: undefined
          })
        }
        assertError(yield* failureNow(request(transport, JsonRpc.request(1, "x", cycle))), "ProtocolError", {
          reason: "InvalidMessage",
          outcome: "NotExecuted",
          requestId: 1
        })
        assert.deepStrictEqual(yield* sent, [])
      })
  },
  {
    name: "terminate fails what runs, ends receive, and is idempotent; a new initialize opens a new session",
    script: { "tools/call": never },
    run: ({ transport }) =>
      Effect.gen(function*() {
        yield* now(handshake(transport))
        const listening = yield* listen(transport)
        const running = yield* start(Effect.flip(request(transport, call(1))))
        yield* now(transport.terminate)
        yield* now(transport.terminate)
        assertTerminated(yield* now(Fiber.join(running)), {
          sessionId: "test-session",
          by: "Client",
          outcome: "Unknown",
          requestId: 1
        })
        assert.deepStrictEqual(yield* now(Fiber.join(listening.fiber)), Either.void)
        assert.deepStrictEqual(yield* stateOf(transport), {
          _tag: "Terminated",
          sessionId: "test-session",
          by: "Client"
        })
        assertTerminated(yield* failureNow(request(transport, call(2))), {
          sessionId: "test-session",
          by: "Client",
          outcome: "NotExecuted",
          requestId: 2
        })
        assertTerminated(yield* failureNow(notify(transport, progress(1))), {
          sessionId: "test-session",
          by: "Client",
          outcome: "NotExecuted"
        })
        const again = yield* listen(transport)
        assert.isTrue(yield* isRunning(again.fiber))
        yield* now(handshake(transport))
        assert.deepStrictEqual(yield* stateOf(transport), {
          _tag: "Active",
          sessionId: "test-session-2",
          version: "2025-11-25"
        })
        assert.deepStrictEqual(yield* now(request(transport, JsonRpc.request(3, "ping"))), JsonRpc.success(3, {}))
        assert.isTrue(yield* isRunning(again.fiber))
      })
  },
  {
    name: "terminate before the handshake is done ends receive as well",
    run: ({ transport }) =>
      Effect.gen(function*() {
        const listening = yield* listen(transport)
        yield* now(transport.terminate)
        assert.isTrue(yield* isRunning(listening.fiber))
        yield* now(request(transport, initializeRequest))
        yield* now(transport.terminate)
        assert.deepStrictEqual(yield* now(Fiber.join(listening.fiber)), Either.void)
      })
  },
  {
    name: "without a session id there is nothing to terminate",
    script: { "tools/call": never },
    options: { sessionId: null },
    run: ({ close, transport }) =>
      Effect.gen(function*() {
        yield* now(handshake(transport))
        const running = yield* start(Effect.flip(request(transport, call(1))))
        yield* now(transport.terminate)
        const active = { _tag: "Active", sessionId: undefined, version: "2025-11-25" } as const
        assert.deepStrictEqual(yield* stateOf(transport), active)
        assert.isTrue(yield* isRunning(running))
        yield* now(close)
        assertError(yield* now(Fiber.join(running)), "ConnectionError", {
          phase: "Closed",
          outcome: "Unknown",
          requestId: 1
        })
        assertError(yield* failureNow(request(transport, call(2))), "ConnectionError", {
          phase: "Closed",
          outcome: "NotExecuted",
          requestId: 2
        })
        assert.deepStrictEqual(yield* stateOf(transport), active)
      })
  },
  {
    name: "a session that the server forgot: later sends are not executed, what runs goes on",
    script: { "tools/call": Effect.as(Effect.sleep("1 minute"), result("late")) },
    run: ({ terminateByServer, transport }) =>
      Effect.gen(function*() {
        yield* now(handshake(transport))
        const listening = yield* listen(transport)
        const running = yield* start(request(transport, call(1)))
        yield* terminateByServer
        for (const id of [2, 3]) {
          assertTerminated(yield* failureNow(request(transport, call(id))), {
            sessionId: "test-session",
            by: "Server",
            outcome: "NotExecuted",
            requestId: id
          })
        }
        assert.deepStrictEqual(yield* stateOf(transport), {
          _tag: "Terminated",
          sessionId: "test-session",
          by: "Server"
        })
        assert.isTrue(yield* isRunning(listening.fiber))
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual(yield* now(Fiber.join(running)), JsonRpc.success(1, "late"))
        yield* now(handshake(transport))
        assert.strictEqual((yield* transport.session)._tag, "Active")
        assert.isTrue(yield* isRunning(listening.fiber))
      })
  },
  {
    name: "another initialize replaces the session; receive goes on in the new one, after its handshake",
    script: { "tools/call": never },
    run: ({ push, transport }) =>
      Effect.gen(function*() {
        yield* now(handshake(transport))
        const listening = yield* listen(transport)
        yield* now(push(progress(1)))
        yield* settle
        const running = yield* start(Effect.flip(request(transport, call(1))))
        yield* now(request(transport, initialize(9)))
        assertTerminated(yield* now(Fiber.join(running)), {
          sessionId: "test-session",
          by: "Client",
          outcome: "Unknown",
          requestId: 1
        })
        assert.strictEqual((yield* stateOf(transport)).sessionId, "test-session-2")
        yield* now(push(progress(2)))
        yield* settle
        assert.deepStrictEqual(listening.seen, [progress(1)])
        yield* now(notify(transport, initialized))
        assert.deepStrictEqual(listening.seen, [progress(1), progress(2)])
      })
  },
  {
    name: "the end of the scope terminates likewise, and nothing is sent after it",
    script: { "tools/call": never },
    run: ({ close, sent, transport }) =>
      Effect.gen(function*() {
        yield* now(handshake(transport))
        const listening = yield* listen(transport)
        const watching = yield* start(collectEvents(transport))
        const running = yield* start(Effect.flip(request(transport, call(1))))
        const aside = yield* start(Effect.flip(request(transport, JsonRpc.request(2, "tools/call", stateless))))
        const before = yield* sent
        yield* now(close)
        assertTerminated(yield* now(Fiber.join(running)), {
          sessionId: "test-session",
          by: "Client",
          outcome: "Unknown",
          requestId: 1
        })
        assertError(yield* now(Fiber.join(aside)), "ConnectionError", { phase: "Closed", outcome: "Unknown" })
        assert.deepStrictEqual(yield* now(Fiber.join(listening.fiber)), Either.void)
        assert.include((yield* now(Fiber.join(watching))).map(({ _tag }) => _tag), "SessionEnded")
        for (const message of [call(3), initialize(4), JsonRpc.request(5, "x", stateless)]) {
          assertTerminated(yield* failureNow(request(transport, message)), {
            sessionId: "test-session",
            by: "Client",
            outcome: "NotExecuted",
            requestId: message.id
          })
        }
        assert.deepStrictEqual(yield* now(collect(transport.receive)), [])
        assert.deepStrictEqual(Array.from(yield* now(collectEvents(transport))), [])
        assert.deepStrictEqual(yield* sent, before)
      })
  },
  {
    name: "stateless messages need no session, open none, and outlive it",
    script: { "tools/call": result({ content: [] }), "tools/list": never },
    run: ({ transport }) =>
      Effect.gen(function*() {
        const stateful = JsonRpc.request(1, "tools/call", stateless)
        assert.deepStrictEqual(yield* now(request(transport, stateful)), JsonRpc.success(1, { content: [] }))
        yield* now(request(transport, JsonRpc.request(2, "initialize", stateless)))
        yield* now(notify(transport, JsonRpc.notification("notifications/initialized", stateless)))
        assert.deepStrictEqual(yield* stateOf(transport), { _tag: "Idle" })
        yield* now(handshake(transport))
        const running = yield* start(request(transport, JsonRpc.request(3, "tools/list", stateless)))
        yield* now(transport.terminate)
        assert.isTrue(yield* isRunning(running))
        assert.deepStrictEqual(yield* now(request(transport, stateful)), JsonRpc.success(1, { content: [] }))
      })
  },
  {
    name: "receive waits for the handshake",
    run: ({ push, transport }) =>
      Effect.gen(function*() {
        const listening = yield* listen(transport)
        yield* now(push(progress(1)))
        yield* now(request(transport, initializeRequest))
        yield* now(notify(transport, JsonRpc.notification("notifications/other")))
        assert.deepStrictEqual(listening.seen, [])
        yield* now(notify(transport, initialized))
        assert.deepStrictEqual(listening.seen, [progress(1)])
      })
  },
  {
    name: "receive is shared; who comes late sees what follows; what nobody took stays for the next",
    run: ({ push, transport }) =>
      Effect.gen(function*() {
        yield* now(handshake(transport))
        const first = yield* listen(transport)
        yield* now(push(progress(1)))
        yield* settle
        const second = yield* listen(transport)
        yield* now(push(progress(2)))
        yield* settle
        assert.deepStrictEqual(first.seen, [progress(1), progress(2)])
        assert.deepStrictEqual(second.seen, [progress(2)])
        yield* Fiber.interrupt(first.fiber)
        yield* now(push(progress(3)))
        yield* settle
        assert.deepStrictEqual(second.seen, [progress(2), progress(3)])
        yield* Fiber.interrupt(second.fiber)
        yield* now(push(progress(4)))
        yield* now(push(progress(5)))
        assert.deepStrictEqual(yield* now(collect(Stream.take(transport.receive, 1))), [progress(4)])
      })
  },
  {
    name: "who comes late does not see what the first has yet to take",
    run: ({ push, transport }) =>
      Effect.gen(function*() {
        yield* now(handshake(transport))
        const slow: Array<JsonRpc.Message> = []
        yield* start(Stream.runForEach(transport.receive, (message) => {
          slow.push(message)
          return Effect.sleep("1 minute")
        }))
        yield* now(push(progress(1)))
        yield* now(push(progress(2)))
        yield* settle
        const late = yield* listen(transport)
        yield* now(push(progress(3)))
        yield* settle
        assert.deepStrictEqual(slow, [progress(1)])
        assert.deepStrictEqual(late.seen, [progress(3)])
      })
  },
  {
    name: "the slowest listener sets the pace, the buffer bounds the lead",
    options: { receiveBufferSize: 2 },
    run: ({ push, transport }) =>
      Effect.gen(function*() {
        yield* now(handshake(transport))
        const slow: Array<JsonRpc.Message> = []
        yield* start(Stream.runForEach(transport.receive, (message) => {
          slow.push(message)
          return Effect.sleep("1 minute")
        }))
        const fast = yield* listen(transport)
        yield* start(Effect.forEach([1, 2, 3, 4, 5], (n) => push(progress(n))))
        assert.deepStrictEqual(slow, [progress(1)])
        assert.deepStrictEqual(fast.seen, [1, 2, 3].map(progress))
        yield* TestClock.adjust("1 minute")
        yield* settle
        assert.deepStrictEqual(slow, [1, 2].map(progress))
        assert.deepStrictEqual(fast.seen, [1, 2, 3, 4].map(progress))
      })
  },
  {
    name: "with an adopted session receive opens at once",
    options: { session: { sessionId: "adopted", protocolVersion: "2025-06-18" } },
    run: ({ push, transport }) =>
      Effect.gen(function*() {
        assert.deepStrictEqual(yield* stateOf(transport), {
          _tag: "Active",
          sessionId: "adopted",
          version: "2025-06-18"
        })
        const listening = yield* listen(transport)
        yield* now(push(progress(1)))
        yield* settle
        assert.deepStrictEqual(listening.seen, [progress(1)])
      })
  },
  {
    name: "a token is announced when the element after its message is asked for",
    script: {
      "tools/call": messages([event("e0"), event("e1", progress(1)), progress(2), event("e2", result("done"))])
    },
    run: ({ transport }) =>
      Effect.gen(function*() {
        const seen: Array<unknown> = []
        const onResumptionToken = (token: string) => Effect.sync(() => void seen.push(token))
        yield* now(Stream.runForEach(
          transport.send(call(1), { onResumptionToken }),
          (message) => Effect.sync(() => seen.push(message))
        ))
        assert.deepStrictEqual(seen, ["e0", progress(1), "e1", progress(2), JsonRpc.success(1, "done"), "e2"])
      })
  },
  {
    name: "a stateless request has no tokens, and a callback that dies ends its send alone",
    script: { "tools/call": messages([event("e1", progress(1)), result("done")]) },
    run: ({ transport }) =>
      Effect.gen(function*() {
        const onResumptionToken = () => Effect.die("mine")
        assert.deepStrictEqual(
          yield* now(request(transport, JsonRpc.request(1, "tools/call", stateless), { onResumptionToken })),
          JsonRpc.success(1, "done")
        )
        const exit = yield* now(Effect.exit(request(transport, call(2), { onResumptionToken })))
        assert.deepStrictEqual(Exit.mapErrorCause(exit, Cause.stripFailures), Exit.die("mine"))
        assert.deepStrictEqual(yield* now(request(transport, call(3))), JsonRpc.success(3, "done"))
      })
  },
  {
    name: "tokens that cannot be used are refused",
    run: ({ sent, transport }) =>
      Effect.gen(function*() {
        const refused: ReadonlyArray<readonly [JsonRpc.Message, string, string]> = [
          [call(1), "", "MissingToken"],
          [JsonRpc.request(1, "x", stateless), "e1", "NotResumable"],
          [progress(1), "e1", "NotResumable"]
        ]
        for (const [message, resumptionToken, reason] of refused) {
          const failed = yield* failureNow(Stream.runDrain(transport.send(message, { resumptionToken })))
          assertError(failed, "ResumptionError", { reason, outcome: "NotExecuted", attempts: 0 })
        }
        assert.deepStrictEqual(yield* sent, [])
      })
  },
  {
    name: "an interrupted send, or one whose Stream ends early, touches nothing else",
    script: { "tools/call": stream(Stream.concat(Stream.make(progress(1)), Stream.never)) },
    run: ({ transport }) =>
      Effect.gen(function*() {
        yield* now(handshake(transport))
        const running = yield* start(request(transport, call(1)))
        yield* now(Fiber.interrupt(running))
        assert.deepStrictEqual(yield* now(collect(Stream.take(transport.send(call(2)), 1))), [progress(1)])
        assert.deepStrictEqual(yield* now(request(transport, JsonRpc.request(3, "ping"))), JsonRpc.success(3, {}))
      })
  },
  {
    name: "duplex: all that is emitted comes out, failures as JSON-RPC errors, and it ends",
    script: {
      "tools/call": messages([progress(1), result({ content: [] })]),
      "tools/list": messages([])
    },
    run: ({ push, transport }) =>
      Effect.gen(function*() {
        yield* now(push(progress(9)))
        const outgoing: ReadonlyArray<JsonRpc.Message> = [
          initializeRequest,
          initialized,
          call(1),
          JsonRpc.request(2, "tools/list")
        ]
        const piping = yield* start(
          Stream.fromIterable(outgoing).pipe(Stream.concat(Stream.execute(settle)), duplex(transport), collect)
        )
        yield* settle
        const incoming = yield* now(Fiber.join(piping))
        const texts = incoming.map((message) => JSON.stringify(message))
        const failed = JsonRpc.error(2, {
          code: -32000,
          message: "NoResponse: the stream ended without the answer (request 2)",
          data: { tag: "ProtocolError", outcome: "Unknown" }
        })
        assert.strictEqual(texts.length, 5)
        assert.include(texts[0] ?? "", "serverInfo")
        assert.includeMembers(
          texts,
          [progress(9), progress(1), JsonRpc.success(1, { content: [] }), failed].map((m) => JSON.stringify(m))
        )
      })
  }
]

const collectStates = (transport: StreamableHttpTransport.Service) =>
  Effect.map(
    Stream.runCollect(Stream.mapEffect(transport.send(initializeRequest), () => transport.session)),
    (states) => Array.from(states, ({ _tag }) => _tag)
  )

const collectEvents = (transport: StreamableHttpTransport.Service) =>
  Effect.map(Stream.runCollect(transport.events), Chunk.toReadonlyArray)

describe.each(kinds)("the contract, of $kind", ({ make }) => {
  for (const { name, options, run, script } of cases) {
    clocked(name, () => Effect.flatMap(make(script, options), run))
  }
})
