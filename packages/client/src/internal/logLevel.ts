/**
 * From which level on the server is to log: told once to a server with sessions, and with every request to a stateless
 * one.
 */
import * as Effect from "effect/Effect"
import type { LoggingLevel } from "../Logging.ts"
import { CapabilityMissing, type McpClientError } from "../McpClientError.ts"
import type { Calls } from "./calls.ts"
import type { Connector } from "./connector.ts"
import type { Exchanges } from "./exchange.ts"

const method = "logging/setLevel"

export class LogLevel {
  private readonly calls: Calls
  private readonly connector: Connector
  private readonly exchanges: Exchanges

  constructor(calls: Calls, connector: Connector, exchanges: Exchanges, level: LoggingLevel | undefined) {
    this.calls = calls
    this.connector = connector
    this.exchanges = exchanges
    this.exchanges.logLevel = level
  }

  set(level: LoggingLevel): Effect.Effect<void, McpClientError> {
    return Effect.flatMap(this.connector.ready, ({ era, server }) => {
      if (server.capabilities.logging === undefined) {
        return Effect.fail(new CapabilityMissing({ method, outcome: "NotExecuted", capability: "logging" }))
      }
      const isKept = Effect.sync(() => {
        this.exchanges.logLevel = level
      })
      return era === "Modern" ? isKept : Effect.zipRight(this.tell(level), isKept)
    })
  }

  /** A new session knows nothing of the level. */
  readonly restore: Effect.Effect<void> = Effect.suspend(() => {
    const { logLevel } = this.exchanges
    return logLevel === undefined || this.connector.current.server.capabilities.logging === undefined
      ? Effect.void
      : Effect.catchAll(this.tell(logLevel), (error) =>
        Effect.logWarning("the log level could not be set", error).pipe(
          Effect.annotateLogs({ package: "@effect-mcp/client" })
        ))
  })

  private tell(level: LoggingLevel): Effect.Effect<void, McpClientError> {
    return Effect.asVoid(this.calls.run({ method, params: { level }, capability: "logging", repeat: "Safe" }))
  }
}
