/**
 * A bound on the requests that run at the same time. Only requests ever wait here: an answer to the server may be what a
 * running request is waiting for.
 */
import * as Effect from "effect/Effect"

export class RequestLimit {
  private readonly waiting = new Set<() => void>()
  private free: number

  constructor(limit: number) {
    this.free = limit
  }

  /** Waits for a place, first come, first served. */
  readonly enter: Effect.Effect<void> = Effect.async((resume) => {
    if (this.free > 0) {
      this.free--
      return resume(Effect.void)
    }
    const admit = (): void => resume(Effect.void)
    this.waiting.add(admit)
    return Effect.sync(() => {
      // Interrupted after it was admitted: the place goes to the next.
      if (!this.waiting.delete(admit)) this.leave()
    })
  })

  leave(): void {
    for (const admit of this.waiting) {
      this.waiting.delete(admit)
      admit()
      return
    }
    this.free++
  }
}
