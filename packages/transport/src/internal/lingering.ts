/**
 * Bodies nobody needs any more. Closing them at once would cost their connection, so they get a moment to end.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as HttpExchange from "../HttpExchange.ts"
import { sleep } from "./sleep.ts"

const moment = 1_000

/** A body that is to end. It lets go of its response when it has, as a `Set` does not at once (see `LiveSet`). */
export class LingeringBody {
  private response: HttpExchange.Response | undefined
  deadline = 0

  constructor(response: HttpExchange.Response) {
    this.response = response
  }

  get hasEnded(): boolean {
    return this.response === undefined
  }

  ended(): void {
    this.response = undefined
  }

  close(): void {
    this.response?.close()
    this.response = undefined
  }
}

export class Lingering {
  // In the order of their deadlines, as every one gets the same time.
  private readonly bodies = new Set<LingeringBody>()
  private sweeping = false
  private closed = false

  private readonly scope: Scope.Scope

  constructor(scope: Scope.Scope) {
    this.scope = scope
  }

  /** Reads a body to its end, for a second at most, and drops it. */
  discard(response: HttpExchange.Response): Effect.Effect<void> {
    return Effect.uninterruptible(Effect.suspend(() => {
      const body = new LingeringBody(response)
      const gone = (): void => this.remove(body)
      return Effect.zipRight(
        this.add(body),
        Effect.sync(() => response.read({ onChunk: () => {}, onEnd: gone, onError: gone }))
      )
    }))
  }

  /** For a body that somebody reads already: closes it when it has not ended in time. */
  add(body: LingeringBody): Effect.Effect<void> {
    return Effect.clockWith((clock) => {
      if (body.hasEnded) return Effect.void
      if (this.closed) {
        body.close()
        return Effect.void
      }
      body.deadline = clock.unsafeCurrentTimeMillis() + moment
      this.bodies.add(body)
      if (this.sweeping) return Effect.void
      this.sweeping = true
      return Effect.asVoid(Effect.forkIn(Effect.interruptible(this.sweep), this.scope))
    })
  }

  /** It ended by itself. */
  remove(body: LingeringBody): void {
    body.ended()
    this.bodies.delete(body)
  }

  closeAll(): void {
    this.closed = true
    for (const body of this.bodies) body.close()
    this.bodies.clear()
  }

  private readonly sweep: Effect.Effect<void> = Effect.flatMap(Clock.currentTimeMillis, (now) => {
    for (const body of this.bodies) {
      if (body.deadline > now) return Effect.zipRight(sleep(body.deadline - now), this.sweep)
      this.bodies.delete(body)
      body.close()
    }
    this.sweeping = false
    return Effect.void
  })
}
