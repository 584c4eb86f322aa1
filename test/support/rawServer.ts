/**
 * A scripted server on loopback for tests that answer by hand, and that look at it between two of their steps: what it
 * knows is here without Effects.
 */
import * as ScriptedServer from "@effect-mcp/testing/ScriptedServer"
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

export type { Arrival, BodyWriter, EventWriter, Exchange } from "@effect-mcp/testing/ScriptedServer"

export interface RawServer {
  readonly url: string
  readonly origin: string
  readonly arrivals: ReadonlyArray<ScriptedServer.Arrival>
  /** The methods of what arrived, with the cursor of GETs: `POST tools/call`, `GET e1`. */
  readonly log: () => ReadonlyArray<string>
  /** Connections that are open right now. */
  readonly openSockets: () => number
  /** Responses that are awaited or begun, and have neither ended nor lost their connection. */
  readonly openResponses: () => number
}

export const rawServer = (
  handle: (exchange: ScriptedServer.Exchange) => void
): Effect.Effect<RawServer, never, Scope.Scope> =>
  Effect.gen(function*() {
    // An assertion in a handler fails its test, not only the request that it answers.
    const failed: Array<Cause.Cause<never>> = []
    yield* Effect.addFinalizer(() => Effect.forEach(failed, Effect.failCause))
    const { arrivals, openConnections, openExchanges, url } = yield* ScriptedServer.makeLoopback((exchange) =>
      Effect.sync(() => handle(exchange)).pipe(Effect.tapDefect((cause) => Effect.sync(() => failed.push(cause))))
    )
    return {
      url,
      origin: new URL(url).origin,
      get arrivals() {
        return Effect.runSync(arrivals)
      },
      log: () => Effect.runSync(arrivals).map(describe),
      openSockets: () => Effect.runSync(openConnections),
      openResponses: () => Effect.runSync(openExchanges)
    }
  })

const describe = ({ headers, message, method }: ScriptedServer.Arrival): string => {
  if (method === "POST") return `POST ${typeof message?.method === "string" ? message.method : "response"}`
  const cursor = headers["last-event-id"]
  return cursor === undefined ? method : `${method} ${cursor}`
}
