/**
 * The options with their defaults, as numbers.
 */
import * as Duration from "effect/Duration"
import type { ProtocolVersion } from "../Lifecycle.ts"
import type { CallOptions, Options } from "../McpClient.ts"
import * as ReplayPolicy from "../ReplayPolicy.ts"
import type { Limits } from "./deadlines.ts"

const hour = 3_600_000
const minute = 60_000

export interface ResolvedOptions extends Pick<Options, "clientInfo" | "verdict" | "logLevel" | "onInvalidItem"> {
  readonly protocol: "auto" | ProtocolVersion
  readonly limits: Limits
  readonly maxPages: number
  readonly maxInputRounds: number
  readonly maxCached: number
  readonly maxAge: number
  readonly replayPolicy: ReplayPolicy.ReplayPolicy
}

export const resolve = (options: Options): ResolvedOptions => {
  const cache = options.cache === undefined ? {} : options.cache
  return {
    clientInfo: options.clientInfo,
    verdict: options.verdict,
    logLevel: options.logLevel,
    onInvalidItem: options.onInvalidItem,
    protocol: options.protocol ?? "auto",
    limits: { total: millis(options.timeout, hour), idle: millis(options.idleTimeout, minute) },
    maxPages: options.maxPages ?? 1_000,
    maxInputRounds: options.maxInputRounds ?? 10,
    maxCached: cache === false ? 0 : cache.maxEntries ?? 256,
    maxAge: cache === false ? 0 : millis(cache.maxAge, hour),
    replayPolicy: options.replayPolicy ?? ReplayPolicy.never
  }
}

const millis = (duration: Duration.DurationInput | "infinity" | undefined, otherwise: number): number => {
  if (duration === undefined) return otherwise
  return duration === "infinity" ? Infinity : Duration.toMillis(duration)
}

/** The limits of one call. */
export const limitsOf = (call: CallOptions | undefined, defaults: Limits): Limits =>
  call?.timeout === undefined && call?.idleTimeout === undefined
    ? defaults
    : { total: millis(call.timeout, defaults.total), idle: millis(call.idleTimeout, defaults.idle) }
