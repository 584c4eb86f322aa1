/**
 * The proof: random scenarios, under virtual time against the reference model, and over real sockets against the
 * invariants alone (there nobody can tell what was still under way when a connection broke).
 *
 * `FAULTS_CASES` and `FAULTS_SOCKET_CASES` say how many. A failure prints the seed; `FAULTS_SEED` runs it again. A failing
 * scenario is made smaller before it is shown, unless `FAULTS_SHRINK` is `no`.
 */
import { ScriptedServer } from "@effect-mcp/testing"
import { HttpExchange } from "@effect-mcp/transport"
import { NodeHttpExchange } from "@effect-mcp/transport-node"
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as TestClock from "effect/TestClock"
import * as TestContext from "effect/TestContext"
import { serverBlocks } from "./blocks.ts"
import { assertAsExpected, assertInvariants } from "./invariants.ts"
import { expectedOutcome } from "./model.ts"
import { type Observed, type Pace, play } from "./play.ts"
import { realTime, type Scenario, scenario, virtualTime } from "./scenario.ts"
import { type ScenarioServer, scenarioServer } from "./scenarioServer.ts"

const cases = Number(process.env.FAULTS_CASES ?? 300)
const socketCases = Number(process.env.FAULTS_SOCKET_CASES ?? 100)
const seed = Number(process.env.FAULTS_SEED ?? Math.floor(Math.random() * 2 ** 31))

/** Runs at the same time: most of the time of a case is waiting for the event loop. */
const lanes = 8

const quiet = Logger.minimumLogLevel(LogLevel.None)

// --- virtual time ---------------------------------------------------------------------------------------------------

/** Answered streams may take a second to end by themselves, so that their connections can be used again. */
const untilClosed = 1_100

/** Time passes as the model says it must; what has not come to its end by then hangs. */
const inVirtualTime = (given: Scenario): Effect.Effect<void, Error> =>
  Effect.gen(function*() {
    const expected = expectedOutcome(given)
    const pace: Pace = {
      settle: ({ sends }) =>
        Effect.gen(function*() {
          const settled = yield* Effect.fork(sends)
          yield* TestClock.adjust(expected.endsAt + 1)
          if (settled.unsafePoll() === null) yield* Effect.fail(new Error(`not settled after ${expected.endsAt} ms`))
          yield* TestClock.adjust(untilClosed)
        }),
      leave: () => TestClock.adjust("1 hour")
    }
    const played = yield* play(given, pace).pipe(
      Effect.provide(
        HttpExchange.layerHttpClient.pipe(
          Layer.provideMerge(ScriptedServer.layerHttpClient(scenarioServer(given).script))
        )
      )
    )
    assertAsExpected(given, played, expected)
    assertInvariants(given, played)
  }).pipe(Effect.provide(Layer.merge(TestContext.TestContext, quiet)), Effect.scoped)

// --- real sockets ---------------------------------------------------------------------------------------------------

const exchanges = [
  HttpExchange.layerHttpClient.pipe(Layer.provide(FetchHttpClient.layer)),
  HttpExchange.layerHttpClient.pipe(Layer.provide(NodeHttpClient.layerUndici)),
  NodeHttpExchange.layer()
]

/** Looks again and again until something is so. */
const until = (what: string, isSo: Effect.Effect<boolean>): Effect.Effect<void, Error> =>
  Effect.repeat(Effect.zipRight(Effect.sleep("1 millis"), isSo), { until: (isSo) => isSo }).pipe(
    Effect.timeoutFail({ duration: "10 seconds", onTimeout: () => new Error(`${what}: not within 10 seconds`) })
  )

const overSockets = (given: Scenario, index: number): Effect.Effect<void, Error> =>
  Effect.gen(function*() {
    const server = scenarioServer(given)
    const pace: Pace = {
      settle: ({ receive, sends, server: { openExchanges } }) =>
        Effect.gen(function*() {
          yield* Effect.timeoutFail(sends, { duration: "10 seconds", onTimeout: () => new Error("a send hangs") })
          if (given.receive !== undefined) {
            yield* until("receive is at rest", Effect.sync(() => isAtRest(given, server, receive())))
          }
          yield* until(
            "what was left is closed",
            Effect.map(openExchanges, (open) => open === (receive()?.ending._tag === "Open" ? 1 : 0))
          )
        }),
      leave: ({ openExchanges }) =>
        Effect.ignore(until("all have left", Effect.map(openExchanges, (open) => open === 0)))
    }
    const exchange = exchanges[index % exchanges.length] ?? NodeHttpExchange.layer()
    const played = yield* play(given, pace).pipe(
      Effect.provide(Layer.merge(ScriptedServer.layerLoopback(server.script), exchange))
    )
    assertInvariants(given, played)
  }).pipe(Effect.provide(quiet), Effect.scoped)

/** It has ended, or has seen all there is to see. */
const isAtRest = (given: Scenario, server: ScenarioServer, receive: Observed | undefined): boolean => {
  if (receive?.ending._tag !== "Open") return true
  const last = given.receive === undefined
    ? undefined
    : serverBlocks(given.receive).findLast(({ id, messages }) => id !== undefined && messages.length > 0)?.messages.at(
      -1
    )
  const sawLast = last === undefined || receive.seen.some((item) => JSON.stringify(item) === JSON.stringify(last))
  return server.isAtRest() && sawLast
}

// --- the properties -------------------------------------------------------------------------------------------------

const check = async (
  arbitrary: FastCheck.Arbitrary<Scenario>,
  run: (given: Scenario, index: number) => Effect.Effect<void, Error>,
  count: number
): Promise<ReadonlyArray<string>> => {
  let index = 0
  const lane = (number: number): Promise<void> =>
    FastCheck.assert(
      FastCheck.asyncProperty(arbitrary, (given) => Effect.runPromise(run(given, index++))),
      { numRuns: Math.ceil(count / lanes), seed: seed + number, endOnFailure: process.env.FAULTS_SHRINK === "no" }
    )
  // A failing lane says how to run it again.
  const results = await Promise.allSettled(Array.from({ length: lanes }, (_, number) => lane(number)))
  return results.flatMap((result, number) =>
    result.status === "fulfilled" ? [] : [`run again with FAULTS_SEED=${seed + number}\n${String(result.reason)}`]
  )
}

/** What keeps this process alive: timers, sockets, servers. */
const resources = (): number => process.getActiveResourcesInfo().filter((name) => /Timeout|TCP|TLS/.test(name)).length

describe("faults", () => {
  it(`${cases} scenarios under virtual time end as the model says (seed ${seed})`, async () => {
    assert.deepStrictEqual(await check(scenario(virtualTime), inVirtualTime, cases), [])
  }, 3_600_000)

  it(
    `${socketCases} scenarios over sockets keep the promises (seed ${seed}), and leave no timer and no socket`,
    async () => {
      const before = resources()
      assert.deepStrictEqual(await check(scenario(realTime), overSockets, socketCases), [])
      await Effect.runPromise(until("timers and sockets are gone", Effect.sync(() => resources() <= before)))
    },
    3_600_000
  )
})
