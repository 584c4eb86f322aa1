/**
 * Fibers that wait for a condition on plain state: whoever changes the state says so, and each looks again.
 */
import * as Effect from "effect/Effect"

export class Changes {
  private readonly waiting = new Set<() => void>()
  private readonly writers: Array<object> = []

  notify(): void {
    for (const look of Array.from(this.waiting)) look()
  }

  /** Waits until the condition holds. It may no longer hold when the fiber goes on. */
  until(isTrue: () => boolean): Effect.Effect<void> {
    return Effect.async((resume) => {
      const look = (): void => {
        if (!isTrue()) return
        this.waiting.delete(look)
        resume(Effect.void)
      }
      this.waiting.add(look)
      look()
      return Effect.sync(() => this.waiting.delete(look))
    })
  }

  /** Writes when there is room, one writer after the other, in the order in which they came. */
  inTurn(hasRoom: () => boolean, write: () => void): Effect.Effect<void> {
    return Effect.suspend(() => {
      const writer = {}
      this.writers.push(writer)
      return this.until(() => this.writers[0] === writer && hasRoom()).pipe(
        Effect.zipRight(Effect.sync(write)),
        Effect.ensuring(Effect.sync(() => {
          this.writers.splice(this.writers.indexOf(writer), 1)
          this.notify()
        }))
      )
    })
  }
}
