/**
 * Log messages of a server. Specification 2026-07-28, page "Logging".
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { Meta } from "./Content.ts"
import { Json, object } from "./internal/wire.ts"

/**
 * How severe a message is, as in RFC 5424: from `debug`, the least, to `emergency`, the most.
 *
 * @since 0.1.0
 * @category models
 */
export type LoggingLevel = "debug" | "info" | "notice" | "warning" | "error" | "critical" | "alert" | "emergency"

/**
 * What a server logs: the parameters of `notifications/message`.
 *
 * @since 0.1.0
 * @category models
 */
export interface LoggingMessage {
  readonly level: LoggingLevel
  /** Names the part of the server that logs. */
  readonly logger?: string | undefined
  /** Any JSON value. */
  readonly data: unknown
  readonly _meta?: Meta | undefined
}

/**
 * All levels, the least severe first.
 *
 * @since 0.1.0
 * @category levels
 */
export const levels: ReadonlyArray<LoggingLevel> = [
  "debug",
  "info",
  "notice",
  "warning",
  "error",
  "critical",
  "alert",
  "emergency"
]

/**
 * Whether a level is as severe as another one, or more.
 *
 * @example
 * ```ts
 * import { Logging } from "@effect-mcp/client"
 *
 * console.log(Logging.isAtLeast("error", "warning")) // true
 * console.log(Logging.isAtLeast("info", "warning")) // false
 * ```
 *
 * @since 0.1.0
 * @category levels
 */
export const isAtLeast = (level: LoggingLevel, minimum: LoggingLevel): boolean =>
  levels.indexOf(level) >= levels.indexOf(minimum)

/**
 * @since 0.1.0
 * @category schemas
 */
export const LoggingLevel: Schema.Schema<LoggingLevel> = Schema.Literal(
  "debug",
  "info",
  "notice",
  "warning",
  "error",
  "critical",
  "alert",
  "emergency"
).annotations({ identifier: "LoggingLevel" })

/**
 * @since 0.1.0
 * @category schemas
 */
export const LoggingMessage: Schema.Schema<LoggingMessage> = object(
  "LoggingMessage",
  Schema.Struct({
    level: LoggingLevel,
    logger: Schema.optional(Schema.String),
    data: Json,
    _meta: Schema.optional(Meta)
  })
)
