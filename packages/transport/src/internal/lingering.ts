/**
 * Bodies nobody needs any more. Closing them at once would cost their connection, so they get a moment to end.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as HttpExchange from "../HttpExchange.ts"
import { sleep } from "./sleep.ts"

const moment = 1_000

export class Lingering {
  // In the order of their deadlines, as every one gets the same time.
  private readonly deadlines = new Map<HttpExchange.Response, number>()
  private sweeping = false
  private closed = false

  private readonly scope: Scope.Scope

  constructor(scope: Scope.Scope) {
    this.scope = scope
  }

  /** Reads a body to its end, for a second at most, and drops it. */
  discard(response: HttpExchange.Response): Effect.Effect<void> {
    return Effect.uninterruptible(Effect.suspend(() => {
      const gone = (): void => this.remove(response)
      return Effect.zipRight(
        this.add(response),
        Effect.sync(() => response.read({ onChunk: () => {}, onEnd: gone, onError: gone }))
      )
    }))
  }

  /** For a body that somebody reads already: closes it when it has not ended in time. */
  add(response: HttpExchange.Response): Effect.Effect<void> {
    return Effect.clockWith((clock) => {
      if (this.closed) {
        response.close()
        return Effect.void
      }
      this.deadlines.set(response, clock.unsafeCurrentTimeMillis() + moment)
      if (this.sweeping) return Effect.void
      this.sweeping = true
      return Effect.asVoid(Effect.forkIn(Effect.interruptible(this.sweep), this.scope))
    })
  }

  remove(response: HttpExchange.Response): void {
    this.deadlines.delete(response)
  }

  closeAll(): void {
    this.closed = true
    for (const response of this.deadlines.keys()) response.close()
    this.deadlines.clear()
  }

  private readonly sweep: Effect.Effect<void> = Effect.flatMap(Clock.currentTimeMillis, (now) => {
    for (const [response, deadline] of this.deadlines) {
      if (deadline > now) return Effect.zipRight(sleep(deadline - now), this.sweep)
      this.deadlines.delete(response)
      response.close()
    }
    this.sweeping = false
    return Effect.void
  })
}
