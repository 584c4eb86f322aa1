/**
 * A way to open an exchange without a fiber, kept beside the `open` that it is another form of, not in the service: a
 * decorator with an `open` of its own must not be gone around, not even one that copies the rest of the service.
 */
import type * as Exit from "effect/Exit"
import type * as HttpExchange from "../HttpExchange.ts"
import type { ExchangeError } from "./exchangeErrors.ts"

export type Head = Exit.Exit<HttpExchange.Response, ExchangeError>

/**
 * Begins an exchange within the call; `onHead` is called once, now or later. Only what is given to `exposeAbort` ends it
 * before. Nothing is traced.
 */
export type UnsafeOpen = (request: HttpExchange.Request, onHead: (head: Head) => void) => void

const known = new WeakMap<HttpExchange.Service["open"], UnsafeOpen>()

export const register = (service: HttpExchange.Service, unsafeOpen: UnsafeOpen): HttpExchange.Service => {
  known.set(service.open, unsafeOpen)
  return service
}

export const find = ({ open }: HttpExchange.Service): UnsafeOpen | undefined => known.get(open)
