import type * as Headers from "@effect/platform/Headers"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"

// All three date formats of RFC 9110 section 5.6.7 have a name in them and a time; `Date.parse` alone takes "-5".
const httpDate = /^[A-Za-z]{3}.*\d\d:\d\d:\d\d/

/** `Retry-After` in milliseconds: seconds or a date (RFC 9110 section 10.2.3); undefined when absent or unreadable. */
export const retryAfterMillis = (headers: Headers.Headers): Effect.Effect<number | undefined> => {
  const value = headers["retry-after"]?.trim()
  if (value === undefined || value === "") return Effect.succeed(undefined)
  if (/^[0-9]+$/.test(value)) return Effect.succeed(Math.min(Number(value) * 1000, Number.MAX_SAFE_INTEGER))
  const date = httpDate.test(value) ? Date.parse(value) : Number.NaN
  return Number.isNaN(date)
    ? Effect.succeed(undefined)
    : Effect.map(Clock.currentTimeMillis, (now) => Math.max(0, date - now))
}
