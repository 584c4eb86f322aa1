/**
 * Listens to the server's own stream for as long as the client speaks with sessions. The transport goes on with the stream
 * in a session that takes the place of another, so one listener is enough for all of them.
 */
import type * as StreamableHttpTransport from "@effect-mcp/transport/StreamableHttpTransport"
import type { TransportError } from "@effect-mcp/transport/TransportError"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { Connector } from "./connector.ts"
import type { Inbound } from "./inbound.ts"
import type { Subscriptions } from "./subscriptions.ts"

/** Milliseconds from the end of what the transport's own reconnecting could do to the next attempt, doubled each time. */
const firstDelay = 1_000
const longestDelay = 60_000

export const listen = (
  transport: StreamableHttpTransport.Service,
  connector: Connector,
  inbound: Inbound,
  subscriptions: Subscriptions,
  delay = firstDelay
): Effect.Effect<void> =>
  Effect.suspend(() => {
    const before = connector.current
    const again = (delay: number) => listen(transport, connector, inbound, subscriptions, delay)
    return Effect.catchAll(Stream.runForEach(transport.receive, (message) => inbound.message(message)), (error) => {
      if (error._tag === "SessionTerminated" && error.by === "Server") {
        return Effect.flatMap(transport.session, (session) =>
          // A call was told first, and the session was replaced already.
          session._tag === "Active" && connector.current !== before
            ? again(firstDelay)
            : Effect.matchEffect(connector.replace(connector.current, error), {
              // Who waits for it is told; here there is nobody.
              onFailure: (error) => Effect.logDebug("the session could not be replaced", error).pipe(annotated),
              onSuccess: () => connector.current.era === "Legacy" ? again(firstDelay) : Effect.void
            }))
      }
      if (!isPassing(error)) return Effect.logWarning("the server's own stream is not available", error).pipe(annotated)
      return Effect.logWarning(`the server's own stream was lost; next attempt in ${delay} ms`, error).pipe(
        annotated,
        Effect.zipRight(Effect.sleep(Duration.millis(delay))),
        Effect.zipRight(subscriptions.gaps),
        Effect.zipRight(again(Math.min(delay * 2, longestDelay)))
      )
    })
  })

const annotated = Effect.annotateLogs({ package: "@effect-mcp/client" })

/** What may get better by itself. */
const isPassing = (error: TransportError): boolean => {
  switch (error._tag) {
    case "ConnectionError":
      return error.phase !== "Closed"
    case "ResumptionError":
      return error.reason === "Exhausted"
    case "HttpStatusError":
      return error.status >= 500
    case "MessageTooLarge":
      return true
    default:
      return false
  }
}
