/**
 * What the tests of sending share: failures with a deadline, and checks on exact fields.
 */
import { JsonRpc, StreamableHttpTransport, type TransportError } from "@effect-mcp/transport"
import { assert } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { answer, collect, eventually } from "./harness.ts"
import type { Arrival, Exchange } from "./rawServer.ts"

/** Dies when the effect takes longer than two seconds: a hang is to fail clearly. */
export const soon = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.timeoutFailCause(effect, {
    duration: "2 seconds",
    onTimeout: () => Cause.die(new Error("took longer than two seconds"))
  })

/** The typed failure, which is to come soon. */
export const failure = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<E, never, R> =>
  Effect.flip(effect).pipe(
    Effect.catchAll((value) => Effect.dieMessage(`succeeded, with ${JSON.stringify(value)}`)),
    soon
  )

/** For tests in which warnings are expected. */
export const quietly = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Logger.withMinimumLogLevel(effect, LogLevel.None)

/** Both ways to send a request, which are to mean the same: the direct one and the Stream. */
export const ways: ReadonlyArray<{
  readonly name: string
  readonly run: (
    transport: StreamableHttpTransport.Service,
    request: JsonRpc.Request,
    options?: StreamableHttpTransport.SendOptions
  ) => Effect.Effect<ReadonlyArray<JsonRpc.Message>, TransportError.TransportError>
}> = [
  {
    name: "request",
    run: (transport, request, options) =>
      Effect.suspend(() => {
        const messages: Array<JsonRpc.Message> = []
        const onMessage = (message: JsonRpc.Message) => Effect.sync(() => void messages.push(message))
        return Effect.map(
          StreamableHttpTransport.request(transport, request, { ...options, onMessage }),
          (response) => [...messages, response]
        )
      })
  },
  { name: "send", run: (transport, request, options) => collect(transport.send(request, options)) }
]

/** The tag and the given fields of an error, exactly. */
export const assertError = (
  error: unknown,
  tag: TransportError.TransportError["_tag"],
  fields: { readonly [name: string]: unknown }
): void => {
  const seen: Record<string, unknown> = { _tag: Reflect.get(Object(error), "_tag") }
  for (const name of Object.keys(fields)) seen[name] = Reflect.get(Object(error), name)
  assert.deepStrictEqual(seen, { _tag: tag, ...fields }, String(error))
}

/** The transport still answers, and its session is what it should be. */
export const assertUsable = (
  transport: StreamableHttpTransport.Service,
  session: StreamableHttpTransport.SessionState["_tag"],
  sessionId?: string
) =>
  Effect.gen(function*() {
    const answered = yield* soon(StreamableHttpTransport.request(transport, healthy))
    assert.deepStrictEqual(answered, { jsonrpc: "2.0", id: "healthy", result: { content: [] } })
    yield* assertSession(transport, session, sessionId)
  })

export const assertSession = (
  transport: StreamableHttpTransport.Service,
  tag: StreamableHttpTransport.SessionState["_tag"],
  sessionId?: string
) =>
  Effect.map(transport.session, (state) => {
    assert.strictEqual(state._tag, tag)
    if (sessionId === undefined || state._tag === "Idle") return
    assert.strictEqual(Option.getOrUndefined(Option.map(state.sessionId, (id) => Redacted.value(id))), sessionId)
  })

export const healthy = JsonRpc.request("healthy", "ping")

/** Answers `healthy`, and leaves the rest to the test. */
export const exceptHealthy = (handle: (exchange: Exchange) => void) => (exchange: Exchange): void =>
  exchange.message?.id === "healthy" ? exchange.json(answer("healthy")) : handle(exchange)

/** How often a header occurs in what arrived, in any case. */
export const occurrences = (arrival: Arrival, name: string): number =>
  arrival.rawHeaders.filter((text, index) => index % 2 === 0 && text.toLowerCase() === name).length

/** The one arrival that a test looks at. */
export const arrivalOf = (arrivals: ReadonlyArray<Arrival>, index: number): Arrival => {
  const arrival = arrivals[index]
  if (arrival === undefined) throw new Error(`nothing arrived as number ${index}`)
  return arrival
}

/** Waits until that many requests have arrived. */
export const arrived = (server: { readonly arrivals: ReadonlyArray<Arrival> }, count: number): Effect.Effect<void> =>
  eventually(() => server.arrivals.length >= count)
