/**
 * Answers that the server says may be kept for a time (2026-07-28, "Caching"). One cache belongs to one client, and so to
 * one authorization: private answers may be kept in it as well as public ones.
 */

import { isWithin } from "./resourceUri.ts"

interface Entry {
  readonly value: unknown
  readonly freshUntil: number
}

export class ResponseCache {
  private readonly entries = new Map<string, Entry>()
  /** How often all that is kept of a method, or of every method, became stale. */
  private readonly changes = new Map<string, number>()
  private clearings = 0
  private readonly maxEntries: number
  private readonly maxAge: number

  constructor(maxEntries: number, maxAge: number) {
    this.maxEntries = maxEntries
    this.maxAge = maxAge
  }

  /** Of a method and the parameter that its answer depends on: a cursor or a URI. */
  get(method: string, key: string, now: number): unknown {
    const id = idOf(method, key)
    const entry = this.entries.get(id)
    if (entry === undefined) return undefined
    if (now < entry.freshUntil) return entry.value
    this.entries.delete(id)
    return undefined
  }

  /** To be taken before asking: what became stale while the answer was on its way is not kept. */
  revision(method: string): number {
    return (this.changes.get(method) ?? 0) + this.clearings
  }

  /** Keeps a result if it says for how long; nothing else is kept. */
  put(
    method: string,
    key: string,
    result: { readonly [member: string]: unknown },
    now: number,
    revision: number
  ): void {
    const { ttlMs } = result
    if (typeof ttlMs !== "number" || !(ttlMs > 0) || revision !== this.revision(method)) return
    const id = idOf(method, key)
    this.entries.delete(id)
    this.entries.set(id, { value: result, freshUntil: now + Math.min(ttlMs, this.maxAge) })
    for (const oldest of this.entries.keys()) {
      if (this.entries.size <= this.maxEntries) break
      this.entries.delete(oldest)
    }
  }

  /** All answers of a method, or those to these keys, are stale from now on. */
  invalidate(method: string, isMeant: (key: string) => boolean = () => true): void {
    this.changes.set(method, (this.changes.get(method) ?? 0) + 1)
    const prefix = idOf(method, "")
    for (const id of Array.from(this.entries.keys())) {
      if (id.startsWith(prefix) && isMeant(id.slice(prefix.length))) this.entries.delete(id)
    }
  }

  /** A resource has changed, and so have those that it is a part of. */
  invalidateResource(uri: string): void {
    this.invalidate("resources/read", (whole) => isWithin(uri, whole))
  }

  clear(): void {
    this.clearings++
    this.entries.clear()
  }
}

const idOf = (method: string, key: string): string => `${method}\n${key}`
