/**
 * `Headers` that are still being written. `Headers.unsafeFromRecord` changes the prototype of an object, which costs more
 * than everything else about headers together: these are born with it.
 */
import * as Headers from "@effect/platform/Headers"

export type WritableHeaders = Headers.Headers & { [name: string]: string }

const prototype: object = Object.getPrototypeOf(Headers.empty)

/** A copy of what is given, later ones over earlier ones. */
export const newHeaders = (
  first?: Headers.Headers,
  second?: Headers.Headers
): WritableHeaders => {
  const headers: WritableHeaders = Object.create(prototype)
  if (first !== undefined) copy(first, headers)
  if (second !== undefined) copy(second, headers)
  return headers
}

const copy = (from: Headers.Headers, to: WritableHeaders): void => {
  for (const name in from) {
    const value = from[name]
    if (value !== undefined) to[name] = value
  }
}
