/**
 * Plays a scenario with the real transport, and keeps what happened.
 */
import { ScriptedServer } from "@effect-mcp/testing"
import { type HttpExchange, JsonRpc, StreamableHttpTransport } from "@effect-mcp/transport"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Supervisor from "effect/Supervisor"
import type { Ending } from "./model.ts"
import type { Scenario, SendPlan } from "./scenario.ts"

export interface Observed {
  readonly seen: ReadonlyArray<JsonRpc.Message | string>
  readonly ending: Ending
}

export interface Played {
  readonly sends: ReadonlyArray<Observed>
  readonly receive: Observed | undefined
  /** All that arrived after the handshake. */
  readonly arrivals: ReadonlyArray<ScriptedServer.Arrival>
  /** When the scenario began, by the server's clock. */
  readonly startedAt: number
  readonly isTerminated: boolean
  /** Exchanges that were open when everything had come to its end, or to rest. */
  readonly open: number
  /** What was left once the scope had ended. */
  readonly left: { readonly fibers: number; readonly exchanges: number }
}

/** How time passes. */
export interface Pace {
  /** Ends when everything has come to its end, or to rest. */
  readonly settle: (playing: Playing) => Effect.Effect<void, Error>
  /** Ends when the server has seen that its clients have left. */
  readonly leave: (server: ScriptedServer.Service) => Effect.Effect<void>
}

/** What time may be waiting for. */
export interface Playing {
  readonly sends: Effect.Effect<unknown>
  readonly receive: () => Observed | undefined
  readonly server: ScriptedServer.Service
}

export const play = (
  scenario: Scenario,
  { leave, settle }: Pace
): Effect.Effect<Played, Error, ScriptedServer.ScriptedServer | HttpExchange.HttpExchange> =>
  Effect.gen(function*() {
    const server = yield* ScriptedServer.ScriptedServer
    const supervisor = yield* Supervisor.track
    const scope = yield* Scope.make()
    const run = Effect.gen(function*() {
      const transport = yield* StreamableHttpTransport.makeExchange({
        url: server.url,
        reconnect: Schedule.spaced(scenario.delay).pipe(Schedule.intersect(Schedule.recurs(scenario.attempts))),
        maxRetryDelay: scenario.maxRetryDelay,
        idleTimeout: scenario.idleTimeout
      })
      yield* handshake(transport)
      const startedAt = yield* Clock.currentTimeMillis
      const listener = scenario.receive === undefined ? undefined : yield* listen(transport)
      // The first GET before the first POST: what the one meets must not decide about the other.
      if (listener !== undefined) yield* server.awaitArrivals(3)
      const sends = yield* Effect.forEach(scenario.sends, (plan) => Effect.fork(send(transport, plan)))
      yield* settle({ sends: Fiber.joinAll(sends), receive: () => listener?.(), server })
      const observed = yield* Fiber.joinAll(sends)
      const state = yield* transport.session
      const open = yield* server.openExchanges
      return { sends: observed, receive: listener?.(), startedAt, isTerminated: state._tag === "Terminated", open }
    })
    const exit = yield* Effect.exit(Effect.supervised(Scope.extend(run, scope), supervisor))
    yield* Effect.supervised(Scope.close(scope, Exit.void), supervisor)
    const result = yield* exit
    yield* leave(server)
    const fibers = yield* supervisor.value
    return {
      ...result,
      arrivals: (yield* server.arrivals).slice(2),
      left: {
        fibers: fibers.filter((fiber) => fiber.unsafePoll() === null).length,
        exchanges: yield* server.openExchanges
      }
    }
  }).pipe(Effect.mapError((error) => error instanceof Error ? error : new Error(String(error))))

const handshake = (transport: StreamableHttpTransport.Service) =>
  Effect.zipRight(
    StreamableHttpTransport.request(
      transport,
      JsonRpc.request("handshake", "initialize", {
        protocolVersion: "2025-11-25",
        capabilities: {},
        clientInfo: { name: "faults", version: "1.0.0" }
      })
    ),
    StreamableHttpTransport.notify(transport, JsonRpc.notification("notifications/initialized"))
  )

const send = (transport: StreamableHttpTransport.Service, plan: SendPlan): Effect.Effect<Observed> =>
  Effect.gen(function*() {
    if (plan.at > 0) yield* Effect.sleep(plan.at)
    const request = JsonRpc.request(plan.id, "tools/call", { name: "work" })
    const seen: Array<JsonRpc.Message | string> = []
    const left = yield* Deferred.make<void>()
    const note = (message: JsonRpc.Message): Effect.Effect<void> =>
      Effect.suspend(() => {
        seen.push(message)
        const before = seen.filter((item) => typeof item !== "string" && !JsonRpc.isResponse(item)).length
        return before === plan.leavesAfter && !JsonRpc.isResponse(message)
          ? Effect.zipRight(Deferred.succeed(left, undefined), Effect.never)
          : Effect.void
      })
    const onResumptionToken = plan.announces
      ? (token: string) => Effect.sync(() => void seen.push(token))
      : undefined
    const ran = plan.way === "request"
      ? StreamableHttpTransport.request(transport, request, { onMessage: note, onResumptionToken }).pipe(
        Effect.tap((response) => Effect.sync(() => void insertAnswer(seen, response)))
      )
      : Stream.runForEach(transport.send(request, { onResumptionToken }), note)
    const exit = yield* Effect.exit(Effect.raceFirst(ran, Deferred.await(left)))
    return { seen, ending: endingOf(exit, seen) }
  })

/** `request` gives the answer when all is over: it belongs before the token that was announced after it. */
const insertAnswer = (seen: Array<JsonRpc.Message | string>, response: JsonRpc.Response): void => {
  const last = seen.at(-1)
  if (typeof last === "string" && last.endsWith("-answer")) seen.splice(-1, 0, response)
  else seen.push(response)
}

const endingOf = (exit: Exit.Exit<unknown, unknown>, seen: ReadonlyArray<JsonRpc.Message | string>): Ending => {
  if (Exit.isFailure(exit)) {
    const { cause } = exit
    return cause._tag === "Fail"
      ? failed(cause.error)
      : { _tag: "Failed", error: String(cause), detail: undefined, outcome: undefined }
  }
  const last = seen.findLast((item) => typeof item !== "string")
  return JsonRpc.isResponse(last) ? { _tag: "Answered", response: last } : { _tag: "Left" }
}

const failed = (error: unknown): Ending => {
  const field = (name: string): unknown => Reflect.get(Object(error), name)
  const detail = field("reason") ?? field("status") ?? field("phase") ?? field("by")
  const outcome = field("outcome")
  return {
    _tag: "Failed",
    error: String(field("_tag") ?? error),
    detail: typeof detail === "string" || typeof detail === "number" ? detail : undefined,
    outcome: outcome === "NotExecuted" || outcome === "Unknown" ? outcome : undefined
  }
}

/** Runs `receive` in the background; gives what it has seen so far. */
const listen = (transport: StreamableHttpTransport.Service): Effect.Effect<() => Observed, never, Scope.Scope> =>
  Effect.gen(function*() {
    const seen: Array<JsonRpc.Message> = []
    let ending: Ending = { _tag: "Open" }
    yield* Stream.runForEach(transport.receive, (message) => Effect.sync(() => void seen.push(message))).pipe(
      Effect.exit,
      Effect.tap((exit) =>
        Effect.sync(() => {
          ending = Exit.isSuccess(exit) ? { _tag: "Quiet" } : endingOf(exit, [])
        })
      ),
      Effect.forkScoped
    )
    return () => ({ seen: Array.from(seen), ending })
  })
