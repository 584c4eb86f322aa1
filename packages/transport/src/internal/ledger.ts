/**
 * Keeps the snapshot in the resumption store up to date: what changed is written in the background, one write at a time,
 * so that no send ever waits for the store or fails because of it.
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type * as JsonRpc from "../JsonRpc.ts"
import type * as ResumptionStore from "../ResumptionStore.ts"
import { annotated } from "./logging.ts"
import type { Session } from "./session.ts"

/** Interrupted requests stay resumable, and are forgotten when there are too many. */
const mostEntries = 1_000

interface Entry {
  readonly request: JsonRpc.Request
  readonly resumptionToken: string
}

export class Ledger {
  /** The requests under way, by their owner. */
  private readonly entries = new Map<object, Entry>()
  /** Requests of an earlier process, by their JSON. */
  private recovered = new Map<string, string>()
  private session: Session | undefined
  private isDirty = false
  private writer: Fiber.RuntimeFiber<void> | undefined

  private readonly store: ResumptionStore.Service

  constructor(store: ResumptionStore.Service) {
    this.store = store
  }

  /** What an earlier process left; a store that fails left nothing. */
  readonly load: Effect.Effect<Option.Option<ResumptionStore.Snapshot>> = this.logged(
    Effect.suspend(() => this.store.load),
    Option.none()
  )

  /** Takes over what was left for a session that goes on. */
  recover(snapshot: ResumptionStore.Snapshot, session: Session): void {
    this.session = session
    for (const { request, resumptionToken } of snapshot.requests) {
      this.recovered.set(JSON.stringify(request), resumptionToken)
      this.entries.set({}, { request, resumptionToken })
    }
  }

  /** The token of an equal request of an earlier process. It is handed out once. */
  take(body: string): string | undefined {
    const token = this.recovered.get(body)
    if (token === undefined) return undefined
    this.recovered.delete(body)
    for (const [owner, { request }] of this.entries) {
      if (JSON.stringify(request) === body) this.entries.delete(owner)
    }
    return token
  }

  /** A session was opened: what was kept of another one is void. */
  opened(session: Session): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.session = session
      this.entries.clear()
      this.recovered.clear()
      return this.write
    })
  }

  /** A message of a request was taken: from here on it can be resumed after it. */
  taken(owner: object, request: JsonRpc.Request, resumptionToken: string): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.entries.delete(owner)
      this.entries.set(owner, { request, resumptionToken })
      for (const oldest of this.entries.keys()) {
        if (this.entries.size <= mostEntries) break
        this.entries.delete(oldest)
      }
      return this.write
    })
  }

  settled(owner: object): Effect.Effect<void> {
    return Effect.suspend(() => this.entries.delete(owner) ? this.write : Effect.void)
  }

  /** Writes what has changed, in a fiber of its own. */
  readonly write: Effect.Effect<void> = Effect.suspend(() => {
    this.isDirty = true
    if (this.writer !== undefined) return Effect.void
    return Effect.map(Effect.forkDaemon(Effect.interruptible(this.writeAll)), (fiber) => {
      this.writer = fiber
      fiber.addObserver(() => {
        this.writer = undefined
      })
    })
  })

  /** Waits until everything is written. */
  readonly flush: Effect.Effect<void> = Effect.suspend(() =>
    Effect.zipRight(
      this.write,
      Effect.suspend(() => this.writer === undefined ? Effect.void : Fiber.await(this.writer))
    )
  )

  private readonly writeAll: Effect.Effect<void> = Effect.suspend(() => {
    if (!this.isDirty) return Effect.void
    this.isDirty = false
    const { session } = this
    const written = session?.status === "Active" && session.sessionId !== undefined &&
        session.protocolVersion !== undefined
      ? this.store.save({
        version: 1,
        sessionId: Redacted.make(session.sessionId),
        protocolVersion: session.protocolVersion,
        requests: Array.from(this.entries.values())
      })
      : this.store.clear
    return Effect.zipRight(this.logged(written, undefined), this.writeAll)
  })

  private logged<A>(effect: Effect.Effect<A, ResumptionStore.ResumptionStoreError>, otherwise: A): Effect.Effect<A> {
    return Effect.catchAllCause(
      effect,
      (cause) => Effect.logWarning("the resumption store failed", cause).pipe(annotated, Effect.as(otherwise))
    )
  }
}
