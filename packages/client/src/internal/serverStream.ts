/**
 * Listens to the server's own stream for as long as a session lasts, and to the next session's after it.
 */
import type * as StreamableHttpTransport from "@effect-mcp/transport/StreamableHttpTransport"
import type { TransportError } from "@effect-mcp/transport/TransportError"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { Connection, Connector } from "./connector.ts"
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
  connection: Connection,
  delay = firstDelay
): Effect.Effect<void> =>
  Effect.catchAll(Stream.runForEach(transport.receive, (message) => inbound.message(message)), (error) => {
    if (error._tag === "SessionTerminated" && error.by === "Server") {
      // Who waits for it is told; here there is nobody.
      return Effect.ignoreLogged(connector.replace(connection, error))
    }
    if (!isPassing(error)) return Effect.logWarning("the server's own stream is not available", error).pipe(annotated)
    return Effect.logWarning(`the server's own stream was lost; next attempt in ${delay} ms`, error).pipe(
      annotated,
      Effect.zipRight(Effect.sleep(Duration.millis(delay))),
      Effect.zipRight(subscriptions.gaps),
      Effect.zipRight(
        listen(transport, connector, inbound, subscriptions, connection, Math.min(delay * 2, longestDelay))
      )
    )
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
