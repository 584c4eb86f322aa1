/**
 * Checks the options once, when the transport is made, and says precisely what is wrong with them.
 */
import * as Headers from "@effect/platform/Headers"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Inspectable from "effect/Inspectable"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import * as Reconnection from "../Reconnection.ts"
import type * as ResumptionStore from "../ResumptionStore.ts"
import type * as StreamableHttpTransport from "../StreamableHttpTransport.ts"
import { type HttpStatusError, InvalidOptions } from "../TransportError.ts"
import { invalidHeader, isPlainValue, isSessionId, ownHeaders } from "./requestHeaders.ts"

export interface ResolvedOptions {
  readonly url: URL
  readonly headers: Headers.Headers
  readonly session: { readonly sessionId: string; readonly protocolVersion: string } | undefined
  readonly terminateOnClose: boolean
  readonly terminateTimeout: number
  readonly reconnect: Reconnection.Policy
  readonly maxRetryDelay: number
  readonly overload: Schedule.Schedule<unknown, HttpStatusError> | undefined
  readonly maxConcurrentRequests: number
  readonly resumptionStore: ResumptionStore.Service | undefined
  readonly idleTimeout: number | undefined
  readonly maxMessageSize: number
  readonly receiveBufferSize: number
}

export const resolve = (
  options: StreamableHttpTransport.Options
): Effect.Effect<ResolvedOptions, InvalidOptions> =>
  Effect.gen(function*() {
    const idleTimeout = yield* duration("idleTimeout", options.idleTimeout, Number.POSITIVE_INFINITY)
    if (idleTimeout === 0) return yield* invalid("idleTimeout", "must be longer than zero; leave it out for none")
    return {
      url: yield* url(options.url),
      headers: yield* headers(options.headers),
      session: yield* session(options.session),
      terminateOnClose: options.terminateOnClose ?? true,
      terminateTimeout: yield* duration("terminateTimeout", options.terminateTimeout, 5_000),
      reconnect: (yield* schedule("reconnect", options.reconnect)) ?? Reconnection.defaultPolicy,
      overload: yield* schedule("overload", options.overload),
      maxConcurrentRequests: yield* count(
        "maxConcurrentRequests",
        options.maxConcurrentRequests,
        Number.POSITIVE_INFINITY
      ),
      resumptionStore: options.resumptionStore,
      maxRetryDelay: yield* duration("maxRetryDelay", options.maxRetryDelay, 300_000),
      idleTimeout: Number.isFinite(idleTimeout) ? idleTimeout : undefined,
      maxMessageSize: yield* count("maxMessageSize", options.maxMessageSize, 16 * 1024 * 1024),
      receiveBufferSize: yield* count("receiveBufferSize", options.receiveBufferSize, 64)
    }
  })

const invalid = (option: string, description: string): Effect.Effect<never, InvalidOptions> =>
  Effect.fail(new InvalidOptions({ option, description }))

const url = (input: unknown): Effect.Effect<URL, InvalidOptions> => {
  let url: URL
  try {
    url = new URL(input instanceof URL ? input.href : String(input))
  } catch {
    return invalid("url", "not an absolute URL; it should look like http://127.0.0.1:3000/mcp")
  }
  if (url.protocol !== "http:" && url.protocol !== "https:") {
    // Not the protocol itself: a mistyped URL may show a password there.
    return invalid("url", "the protocol must be http: or https:")
  }
  if (url.username !== "" || url.password !== "") {
    return invalid("url", "must not contain a user name or password; send them in options.headers")
  }
  url.hash = ""
  return Effect.succeed(url)
}

const headers = (input: Headers.Input | undefined): Effect.Effect<Headers.Headers, InvalidOptions> => {
  const name = invalidHeader(Headers.fromInput(input))
  return name === undefined
    ? Effect.succeed(ownHeaders(input))
    : invalid("headers", `the header ${JSON.stringify(name)} has a name or value that HTTP cannot carry`)
}

const session = (
  input: StreamableHttpTransport.Options["session"]
): Effect.Effect<ResolvedOptions["session"], InvalidOptions> => {
  if (input === undefined) return Effect.succeed(undefined)
  const sessionId = Redacted.isRedacted(input.sessionId) ? Redacted.value(input.sessionId) : input.sessionId
  if (typeof sessionId !== "string" || !isSessionId(sessionId)) {
    return invalid("session.sessionId", "must consist of visible ASCII characters (0x21 to 0x7E)")
  }
  const protocolVersion: unknown = input.protocolVersion
  if (typeof protocolVersion !== "string" || protocolVersion === "" || !isPlainValue(protocolVersion)) {
    return invalid("session.protocolVersion", "must be the version the session was opened with, such as 2025-11-25")
  }
  return Effect.succeed({ sessionId, protocolVersion })
}

const duration = (
  option: string,
  input: Duration.DurationInput | undefined,
  fallback: number
): Effect.Effect<number, InvalidOptions> => {
  if (input === undefined) return Effect.succeed(fallback)
  const decoded = Number.isNaN(input) || isNegative(input) ? Option.none() : Duration.decodeUnknown(input)
  return decoded._tag === "None"
    ? invalid(option, `${Inspectable.toStringUnknown(input)} is no duration; give milliseconds or "5 seconds"`)
    : Effect.succeed(Duration.toMillis(decoded.value))
}

// `Duration` takes what is negative as zero.
const isNegative = (input: Duration.DurationInput): boolean =>
  ((typeof input === "number" || typeof input === "bigint") && input < 0) ||
  (typeof input === "string" && input.trimStart().startsWith("-"))

const count = (option: string, input: number | undefined, fallback: number): Effect.Effect<number, InvalidOptions> => {
  if (input === undefined) return Effect.succeed(fallback)
  return input === Number.POSITIVE_INFINITY || (Number.isSafeInteger(input) && input > 0)
    ? Effect.succeed(input)
    : invalid(option, `${input} is no positive whole number`)
}

const schedule = <In>(
  option: string,
  input: Schedule.Schedule<unknown, In> | undefined
): Effect.Effect<Schedule.Schedule<unknown, In> | undefined, InvalidOptions> =>
  input === undefined || Schedule.isSchedule(input) ? Effect.succeed(input) : invalid(option, "is no Schedule")
