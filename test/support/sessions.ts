/**
 * What the tests about sessions, endings and observation share.
 */
import type { JsonRpc, StreamableHttpTransport, TransportEvent } from "@effect-mcp/transport"
import { TransportError } from "@effect-mcp/transport"
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { type Client, connect, eventually, initializeRequest } from "./harness.ts"
import type { Exchange, RawServer } from "./rawServer.ts"

/** The session as plain data, so that it can be compared. */
export const stateOf = (transport: StreamableHttpTransport.Service) =>
  Effect.map(transport.session, (state) => {
    if (state._tag === "Idle") return { _tag: state._tag }
    const sessionId = Option.getOrUndefined(Option.map(state.sessionId, Redacted.value))
    return state._tag === "Active"
      ? { _tag: state._tag, sessionId, version: Option.getOrUndefined(state.protocolVersion) }
      : { _tag: state._tag, sessionId, by: state.by }
  })

/** The failure of an effect; anything else fails the test, also taking longer than two seconds. */
export const failureOf = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<E> =>
  soon(Effect.flip(effect)).pipe(
    Effect.catchAll((success) => Effect.dieMessage(`it succeeded: ${JSON.stringify(success)}`))
  )

/** Fails the test when an effect takes longer than two seconds. */
export const soon = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.timeoutFailCause(effect, {
    duration: "2 seconds",
    onTimeout: () => {
      throw new Error("did not end within two seconds")
    }
  })

/** Checks that an error is one of a terminated session. */
export const assertTerminated = (
  error: unknown,
  expected: {
    readonly sessionId: string
    readonly by: "Client" | "Server"
    readonly outcome: "NotExecuted" | "Unknown"
    readonly requestId?: JsonRpc.RequestId | undefined
  }
): void => {
  assert(error instanceof TransportError.SessionTerminated, `not SessionTerminated: ${String(error)}`)
  assert.deepStrictEqual(
    {
      sessionId: Redacted.value(error.sessionId),
      by: error.by,
      outcome: error.outcome,
      requestId: error.requestId
    },
    { requestId: undefined, ...expected }
  )
}

/** An `initialize` with another id. */
export const initialize = (id: JsonRpc.RequestId): JsonRpc.Request => ({ ...initializeRequest, id })

/** A transport in a scope of its own, to be closed by the test. */
export const connectIn = (
  client: Client,
  server: RawServer,
  options: Partial<StreamableHttpTransport.Options> = {}
): Effect.Effect<
  {
    readonly transport: StreamableHttpTransport.Service
    readonly close: Effect.Effect<void>
    readonly closeWith: (exit: Exit.Exit<unknown, unknown>) => Effect.Effect<void>
  },
  never,
  Scope.Scope
> =>
  Effect.gen(function*() {
    const scope = yield* Effect.acquireRelease(Scope.make(), (scope) => Scope.close(scope, Exit.void))
    const transport = yield* Scope.extend(connect(client, server, options), scope)
    const closeWith = (exit: Exit.Exit<unknown, unknown>) => Scope.close(scope, exit)
    return { transport, close: closeWith(Exit.void), closeWith }
  })

/** Collects what `events` emits from now on. */
export const watch = (
  transport: StreamableHttpTransport.Service
): Effect.Effect<Array<TransportEvent.TransportEvent>, never, Scope.Scope> =>
  Effect.gen(function*() {
    const seen: Array<TransportEvent.TransportEvent> = []
    yield* Effect.forkScoped(Stream.runForEach(transport.events, (event) => Effect.sync(() => void seen.push(event))))
    yield* Effect.sleep("10 millis")
    return seen
  })

/** Waits until the server has seen this. */
export const arrived = (server: RawServer, entry: string): Effect.Effect<void> =>
  eventually(() => server.log().includes(entry))

/** Exchanges whose answers are held back until the test gives them. */
export const held = () => {
  const exchanges: Array<Exchange> = []
  return {
    exchanges,
    hold: (exchange: Exchange): void => void exchanges.push(exchange),
    /** The first held exchange of a message, once it is there. */
    take: (method: string): Effect.Effect<Exchange> =>
      Effect.suspend(() => {
        const find = () => exchanges.findIndex(({ message }) => message?.method === method)
        return Effect.map(eventually(() => find() !== -1), () => {
          const found = exchanges.splice(find(), 1)[0]
          assert(found !== undefined)
          return found
        })
      })
  }
}

/** Keeps every log line of what it is provided to; a transport logs with the loggers it was made with. */
export const recordLogs = () => {
  const lines: Array<string> = []
  const logger = Logger.logfmtLogger.pipe(Logger.map((line) => void lines.push(line)))
  return {
    lines,
    layer: Layer.merge(Logger.replace(Logger.defaultLogger, logger), Logger.minimumLogLevel(LogLevel.All)),
    warnings: (): ReadonlyArray<string> => lines.filter((line) => !/level=(DEBUG|TRACE|INFO)/.test(line))
  }
}
