/**
 * Scripted servers: the state that a test looks at, over either kind of connection.
 */
import type * as HttpClient from "@effect/platform/HttpClient"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as FiberId from "effect/FiberId"
import * as FiberSet from "effect/FiberSet"
import type * as Scope from "effect/Scope"
import type { Arrival, Script, Service } from "../../ScriptedServer.ts"
import { serve } from "./loopbackServer.ts"
import { makeClient } from "./memoryServer.ts"
import { ScriptRun } from "./scriptRun.ts"
import { makeArrival, makeExchange } from "./serverExchange.ts"
import type { CutKind, Wire, WireRequest } from "./wire.ts"

export { noRule } from "./scriptRun.ts"

export const memoryUrl = "http://server.test/mcp"

export const makeMemory = (
  script: Script
): Effect.Effect<{ readonly server: Service; readonly client: HttpClient.HttpClient }, never, Scope.Scope> =>
  Effect.gen(function*() {
    const state = new ServerState(script)
    const fibers = yield* FiberSet.make()
    yield* Effect.addFinalizer(() => Effect.sync(() => state.disconnect("Close")))
    const client = makeClient((request, wire) =>
      Effect.asVoid(
        Effect.flatMap(FiberSet.run(fibers, state.handle(request, wire)), (fiber) =>
          Effect.sync(() => wire.onClose(() => fiber.unsafeInterruptAsFork(FiberId.none))))
      )
    )
    return { server: state.service(memoryUrl, () => state.open.size), client }
  })

export const makeLoopback = (script: Script): Effect.Effect<Service, never, Scope.Scope> =>
  Effect.gen(function*() {
    const state = new ServerState(script)
    const run = yield* FiberSet.makeRuntime<never>()
    const { openConnections, origin } = yield* serve((request, wire) => {
      const fiber = run(state.handle(request, wire))
      wire.onClose(() => fiber.unsafeInterruptAsFork(FiberId.none))
    })
    return state.service(`${origin}/mcp`, openConnections)
  })

/** The protocol version that `initialize` asks for. */
export const askedVersion = (message: Arrival["message"]): string | undefined => {
  const params = message?.params
  const version: unknown = typeof params === "object" && params !== null
    ? Reflect.get(params, "protocolVersion")
    : undefined
  return typeof version === "string" ? version : undefined
}

/** How many arrivals are kept at least. */
const kept = 10_000

class ServerState {
  readonly open = new Set<Wire>()
  private arrivals: Array<Arrival> = []
  private arrived = 0
  private readonly unmatched: Array<Arrival> = []
  private waiters: Array<() => void> = []
  private run: ScriptRun

  constructor(script: Script) {
    this.run = new ScriptRun(script, (arrival) => this.unmatched.push(arrival))
  }

  handle(request: WireRequest, wire: Wire): Effect.Effect<void> {
    return Effect.flatMap(Clock.currentTimeMillis, (at) => {
      const arrival = makeArrival(request, this.arrived++, at)
      const exchange = makeExchange(arrival, wire)
      this.keep(arrival)
      this.open.add(wire)
      wire.onClose(() => this.open.delete(wire))
      for (const wake of this.waiters.splice(0)) wake()
      return Effect.interruptible(Effect.suspend(() => this.run.answer(exchange, wire)))
    }).pipe(Effect.catchAllCause((cause) =>
      // A script that throws is a mistake of the test: the client shall not wait for it.
      Effect.zipRight(
        Cause.isInterruptedOnly(cause) ? Effect.void : Effect.logError("the script of a server failed", cause),
        Effect.sync(() => wire.cut("Close"))
      )
    ))
  }

  disconnect(kind: CutKind): void {
    for (const wire of Array.from(this.open)) wire.cut(kind)
  }

  service(url: string, openConnections: () => number): Service {
    return {
      url,
      arrivals: Effect.sync(() => Array.from(this.arrivals)),
      awaitArrivals: (count) => this.awaitArrivals(count),
      unmatched: Effect.sync(() => Array.from(this.unmatched)),
      openExchanges: Effect.sync(() => this.open.size),
      openConnections: Effect.sync(openConnections),
      openGate: (name) => Effect.sync(() => this.run.openGate(name)),
      use: (script) =>
        Effect.sync(() => {
          this.run = this.run.next(script)
        }),
      disconnect: (kind = "Close") => Effect.sync(() => this.disconnect(kind))
    }
  }

  private keep(arrival: Arrival): void {
    this.arrivals.push(arrival)
    if (this.arrivals.length === 2 * kept) this.arrivals = this.arrivals.slice(-kept)
  }

  private awaitArrivals(count: number): Effect.Effect<ReadonlyArray<Arrival>> {
    return Effect.async((resume) => {
      const check = (): void => {
        if (this.arrived >= count) resume(Effect.succeed(Array.from(this.arrivals)))
        else this.waiters.push(check)
      }
      check()
    })
  }
}
