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

  /** Waits for a place, first come, first served. `onEnter` is called the moment it is given. */
  enter(onEnter: () => void): Effect.Effect<void> {
    return Effect.async((resume) => {
      let enter: (() => void) | undefined = onEnter
      const admit = (): void => {
        enter?.()
        enter = undefined
        resume(Effect.void)
      }
      if (this.free > 0) {
        this.free--
        return admit()
      }
      this.waiting.add(admit)
      return Effect.sync(() => {
        this.waiting.delete(admit)
      })
    })
  }

  leave(): void {
    for (const admit of this.waiting) {
      this.waiting.delete(admit)
      admit()
      return
    }
    this.free++
  }
}
