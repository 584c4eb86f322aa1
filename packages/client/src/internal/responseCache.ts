/**
 * Answers that the server says may be kept for a time (2026-07-28, "Caching"). One cache belongs to one client, and so to
 * one authorization: private answers may be kept in it as well as public ones.
 */

interface Entry {
  readonly value: unknown
  readonly freshUntil: number
}

export class ResponseCache {
  private readonly entries = new Map<string, Entry>()
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

  /** Keeps a result if it says for how long; nothing else is kept. */
  put(method: string, key: string, result: { readonly [member: string]: unknown }, now: number): void {
    const { ttlMs } = result
    if (typeof ttlMs !== "number" || !(ttlMs > 0)) return
    const id = idOf(method, key)
    this.entries.delete(id)
    this.entries.set(id, { value: result, freshUntil: now + Math.min(ttlMs, this.maxAge) })
    for (const oldest of this.entries.keys()) {
      if (this.entries.size <= this.maxEntries) break
      this.entries.delete(oldest)
    }
  }

  /** All answers of a method, or one of them, are stale from now on. */
  invalidate(method: string, key?: string): void {
    if (key !== undefined) {
      this.entries.delete(idOf(method, key))
      return
    }
    for (const id of Array.from(this.entries.keys())) {
      if (id.startsWith(`${method}\n`)) this.entries.delete(id)
    }
  }

  clear(): void {
    this.entries.clear()
  }
}

const idOf = (method: string, key: string): string => `${method}\n${key}`
