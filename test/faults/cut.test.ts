/**
 * Calls whose connection is cut at one byte after the other of the response: every 7th, or as `CUT_STEP` says.
 *
 * The response of a call is a head, then events; the first event carries nothing but an id. Up to the end of the head the
 * client knows nothing; before the end of the first event it has nowhere to resume; from then on nothing may be lost.
 */
import { FaultProxy } from "@effect-mcp/testing"
import { StreamableHttpTransport } from "@effect-mcp/transport"
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Schedule from "effect/Schedule"
import * as Calls from "../e2e/calls.ts"
import { type SdkServer, sdkServer } from "../e2e/servers.ts"
import { type Client, connect, overEveryClient } from "../support/harness.ts"

const steps = 3

const step = Number(process.env.CUT_STEP ?? 7)

/** The n-th exchange ends after so many bytes of its response. */
const faultsOf = (cuts: ReadonlyArray<number | undefined>): FaultProxy.Sequence =>
  cuts.map((bytes) => bytes === undefined ? [] : [FaultProxy.cut({ after: { bytes } })])

// A server may take a moment to see that a connection is gone, and refuses to resume its stream until then.
const patiently = Schedule.spaced("10 millis").pipe(Schedule.intersect(Schedule.recurs(50)))

type Session = NonNullable<StreamableHttpTransport.Options["session"]>

const openSession = (client: Client, server: SdkServer) =>
  Effect.gen(function*() {
    const sessionId = yield* Calls.openSession(yield* connect(client, server))
    return { sessionId: sessionId ?? assert.fail("no session id"), protocolVersion: "2025-11-25" }
  })

/** Calls `progress` over connections that are cut. */
const callThrough = (
  client: Client,
  server: SdkServer,
  session: Session,
  cuts: ReadonlyArray<number | undefined>
) =>
  Effect.scoped(Effect.gen(function*() {
    const id = `cut ${cuts.join(" ")}`
    const proxy = yield* FaultProxy.make({ target: server.url, faults: faultsOf(cuts) })
    const transport = yield* connect(client, proxy, {
      session,
      reconnect: patiently,
      terminateOnClose: false,
      headers: { "x-call": id }
    })
    const called = yield* Calls.run(transport, Calls.toolCall(id, "progress", { steps, delayMs: 4 })).pipe(
      Effect.either,
      Effect.timeoutFail({
        duration: "2 seconds",
        onTimeout: () => new Error(`hangs when cut after ${cuts.join(" and ")} bytes`)
      })
    )
    const passed = yield* proxy.exchanges
    const wire = (yield* server.wire).filter(({ headers }) => headers["x-call"] === id)
    // The session has survived whatever happened: the next call is as good as any.
    yield* proxy.mend
    const next = yield* StreamableHttpTransport.request(
      transport,
      Calls.toolCall(`after ${id}`, "echo", { text: "alive" })
    )
    assert.strictEqual(Calls.textOf(next), "alive")
    assert.strictEqual(yield* Calls.stateOf(transport), "Active")
    return {
      id,
      called,
      passed: passed.map(({ response }) => Buffer.from(response).toString("latin1")),
      posts: wire.filter(({ method }) => method === "POST").length,
      gets: wire.filter(({ method }) => method === "GET")
    }
  }))

type Outcome = Effect.Effect.Success<ReturnType<typeof callThrough>>

const headEnd = (response: string): number => response.indexOf("\r\n\r\n")

/** The events that are there to their last byte. Chunk sizes of HTTP may stand between them, never within one. */
const wholeEvents = (response: string): string => {
  const body = response.slice(headEnd(response) + 4)
  return body.slice(0, body.lastIndexOf("\n\n") + 1)
}

const lastId = (response: string): string | undefined =>
  Array.from(wholeEvents(response).matchAll(/^id: (.*)$/gm), ([, id]) => id).at(-1)

/** How far the client got with the POST, judged by the bytes it was given. */
const reached = (response: string): "nothing" | "the head" | "an event id" | "the answer" => {
  if (headEnd(response) === -1) return "nothing"
  if (wholeEvents(response).includes("\"result\":")) return "the answer"
  return lastId(response) === undefined ? "the head" : "an event id"
}

const assertComplete = ({ called, id }: Outcome, at: string): void => {
  if (Either.isLeft(called)) return assert.fail(`${at}: ${String(called.left)}`)
  const { answer, before } = called.right
  assert.deepStrictEqual(Calls.steps(before), Calls.range(1, steps), at)
  assert.strictEqual(answer.id, id, at)
  assert.strictEqual(Calls.textOf(answer), `${steps} steps done`, at)
}

const assertLost = ({ called, gets, id }: Outcome, phase: "Response" | "Body", at: string): void => {
  if (Either.isRight(called)) return assert.fail(`${at}: answered`)
  const error = called.left
  if (error._tag !== "ConnectionError") return assert.fail(`${at}: ${String(error)}`)
  assert.strictEqual(error.phase, phase, at)
  assert.strictEqual(error.outcome, "Unknown", at)
  assert.strictEqual(error.requestId, id, at)
  assert.deepStrictEqual(gets, [], at)
}

const assertOutcome = (outcome: Outcome, at: string): string => {
  const zone = reached(outcome.passed[0] ?? "")
  assert.strictEqual(outcome.posts, 1, `${at}: a POST is never repeated`)
  switch (zone) {
    case "nothing":
      assertLost(outcome, "Response", at)
      break
    case "the head":
      assertLost(outcome, "Body", at)
      break
    case "an event id":
      assertComplete(outcome, at)
      assert.isAtLeast(outcome.gets.length, 1, at)
      assert.strictEqual(outcome.gets[0]?.headers["last-event-id"], lastId(outcome.passed[0] ?? ""), at)
      break
    case "the answer":
      assertComplete(outcome, at)
      assert.deepStrictEqual(outcome.gets, [], at)
  }
  return zone
}

const every = (count: number, end: number): ReadonlyArray<number> =>
  Array.from({ length: Math.ceil(end / count) }, (_, index) => index * count)

overEveryClient("a response that is cut", (client) => {
  it.scopedLive(
    "S57, S58, S60, S62, S64: at any byte: the answer once, each step once, or the right failure",
    () =>
      Effect.gen(function*() {
        const server = yield* sdkServer()
        const session = yield* openSession(client, server)
        const whole = yield* callThrough(client, server, session, [])
        assertComplete(whole, "not cut")
        const length = whole.passed[0]?.length ?? 0
        assert.isAbove(length, 500)
        const zones = yield* Effect.forEach(every(step, length + 50), (offset) =>
          Effect.map(
            callThrough(client, server, session, [offset]),
            (outcome) => assertOutcome(outcome, `cut after ${offset} bytes`)
          ), { concurrency: 6 })
        assert.deepStrictEqual(Array.from(new Set(zones)).toSorted(), [
          "an event id",
          "nothing",
          "the answer",
          "the head"
        ])
      }),
    300_000
  )

  it.scopedLive(
    "S58: at any byte, without event ids: a typed failure unless the answer was whole, never a hang",
    () =>
      Effect.gen(function*() {
        const server = yield* sdkServer({ eventStore: false })
        const session = yield* openSession(client, server)
        const whole = yield* callThrough(client, server, session, [])
        assertComplete(whole, "not cut")
        const length = whole.passed[0]?.length ?? 0
        const zones = yield* Effect.forEach(every(step, length + 50), (offset) =>
          Effect.map(callThrough(client, server, session, [offset]), (outcome) => {
            const at = `cut after ${offset} bytes`
            const zone = reached(outcome.passed[0] ?? "")
            assert.strictEqual(outcome.posts, 1, `${at}: a POST is never repeated`)
            if (zone === "the answer") {
              assertComplete(outcome, at)
            } else assertLost(outcome, zone === "nothing" ? "Response" : "Body", at)
            assert.deepStrictEqual(outcome.gets, [], at)
            return zone
          }), { concurrency: 6 })
        assert.deepStrictEqual(Array.from(new Set(zones)).toSorted(), ["nothing", "the answer", "the head"])
      }),
    300_000
  )

  it.scopedLive("S60, S61, S62: and the streams that resume it are cut as well", () =>
    Effect.gen(function*() {
      const server = yield* sdkServer()
      // A session for each, so that the ids of the events, and with them their lengths, are the same.
      const callInSession = (cuts: ReadonlyArray<number>) =>
        Effect.scoped(
          Effect.flatMap(openSession(client, server), (session) => callThrough(client, server, session, cuts))
        )
      const whole = yield* callInSession([])
      const response = whole.passed[0] ?? ""
      const resumable = response.indexOf("data: \n\n") + 8
      assert.isAbove(resumable, headEnd(response))
      const cuts = every(47, response.length).flatMap((second) => [
        [resumable, second],
        [resumable + 150, second, second + 40, second + 80]
      ])
      yield* Effect.forEach(cuts, (cut) =>
        Effect.map(callInSession(cut), (outcome) => assertOutcome(outcome, `cut after ${cut.join(", ")} bytes`)), {
        concurrency: 6
      })
    }), 15_000)
})
