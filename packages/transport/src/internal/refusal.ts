/**
 * What comes with a response that is no answer: its body, bounded in size and time, and how long to wait.
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type * as HttpExchange from "../HttpExchange.ts"
import * as JsonRpc from "../JsonRpc.ts"
import { readText } from "./body.ts"
import { retryAfterMillis } from "./retryAfter.ts"

/** How much of the body is read, and for how many milliseconds at most. */
const bodySize = 1024 * 1024
const bodyTime = 2_000

/** How many characters of what came are shown in an error. */
export const excerptSize = 1024

export interface Refusal {
  readonly body: string
  readonly retryAfter: number | undefined
}

export const readRefusal = (
  response: HttpExchange.Response,
  maxMessageSize: number,
  maxMillis = bodyTime
): Effect.Effect<Refusal> =>
  Effect.zipWith(
    readText(response, Math.min(bodySize, maxMessageSize), Math.max(0, Math.min(bodyTime, maxMillis))),
    retryAfterMillis(response.headers),
    (body, retryAfter) => ({ body, retryAfter })
  )

/** The JSON-RPC error in a body, if that is what the body is. */
export const errorIn = (body: string): JsonRpc.ErrorResponse | undefined => {
  if (!/^\s*\{/.test(body)) return undefined
  const decoded = JsonRpc.decode(body)
  const message = Either.isRight(decoded) ? decoded.right[0] : undefined
  return JsonRpc.isErrorResponse(message) ? message : undefined
}
