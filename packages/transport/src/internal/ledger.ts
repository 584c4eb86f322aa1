/**
 * Keeps the snapshot in the resumption store up to date. What changes is only noted; a fiber of its own writes it, one
 * write at a time, so that no send ever waits for the store or fails because of it.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type * as JsonRpc from "../JsonRpc.ts"
import type * as ResumptionStore from "../ResumptionStore.ts"
import { annotated } from "./logging.ts"
import { isPlainValue, isSendableEventId, isSessionId } from "./requestHeaders.ts"
import { ResumptionStoreError } from "./resumptionStoreError.ts"
import type { Secrets } from "./secrets.ts"
import type { Session } from "./session.ts"

/** Interrupted requests stay resumable, and are forgotten when there are too many. */
const mostEntries = 1_000

/** Equal messages have equal texts, in whatever order their members stand. */
const canonical = (message: JsonRpc.Message): string =>
  JSON.stringify(message, (_, value: unknown) =>
    typeof value === "object" && value !== null && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).toSorted(([one], [other]) => one < other ? -1 : 1))
      : value)

interface Entry {
  readonly request: JsonRpc.Request
  readonly resumptionToken: string
}

const isUsable = ({ protocolVersion, sessionId }: ResumptionStore.Snapshot): boolean =>
  isSessionId(Redacted.value(sessionId)) && protocolVersion !== "" && isPlainValue(protocolVersion)

export class Ledger {
  /** The requests under way, by their owner. */
  private readonly entries = new Map<object, Entry>()
  /** The owners of what an earlier process left, by the JSON of the request. */
  private readonly recovered = new Map<string, object>()
  private session: Session | undefined
  /** Whether the store holds a snapshot, as far as is known. */
  private isKept = false
  private isDirty = false
  private isWriting = false
  private wake: (() => void) | undefined
  private onWritten: (() => void) | undefined

  private readonly store: ResumptionStore.Service
  private readonly secrets: Secrets

  constructor(store: ResumptionStore.Service, secrets: Secrets) {
    this.store = store
    this.secrets = secrets
  }

  /** What an earlier process left. A store that fails, or holds what cannot be used, left nothing. */
  readonly load: Effect.Effect<Option.Option<ResumptionStore.Snapshot>> = Effect.suspend(() =>
    Effect.flatMap(this.logged(Effect.suspend(() => this.store.load), Option.none()), (found) => {
      if (Option.isNone(found) || isUsable(found.value)) return Effect.succeed(found)
      return Effect.as(
        Effect.logWarning("the resumption store holds no usable session").pipe(annotated),
        Option.none()
      )
    })
  )

  /** Takes over what was left for a session that goes on. */
  recover(snapshot: ResumptionStore.Snapshot, session: Session): void {
    this.session = session
    this.isKept = true
    for (const { request, resumptionToken } of snapshot.requests) {
      const owner = {}
      this.entries.set(owner, { request, resumptionToken })
      this.recovered.set(canonical(request), owner)
    }
  }

  /** The token of an equal request of an earlier process, which gets a new owner by it. */
  take(message: JsonRpc.Message, owner: object): string | undefined {
    if (this.recovered.size === 0) return undefined
    const body = canonical(message)
    const before = this.recovered.get(body)
    const entry = before === undefined ? undefined : this.entries.get(before)
    if (before === undefined || entry === undefined) return undefined
    this.recovered.delete(body)
    this.entries.delete(before)
    if (entry.resumptionToken === "" || !isSendableEventId(entry.resumptionToken)) return undefined
    this.entries.set(owner, entry)
    return entry.resumptionToken
  }

  /** A session was opened: what was kept of another one is void. */
  opened(session: Session): void {
    if (this.session !== session) {
      this.entries.clear()
      this.recovered.clear()
    }
    this.session = session
    this.changed()
  }

  ended(session: Session): void {
    if (this.session !== session) return
    this.entries.clear()
    this.recovered.clear()
    this.changed()
  }

  /** A message of a request was taken: from here on it can be resumed after it. */
  taken(owner: object, session: Session | undefined, request: JsonRpc.Request, resumptionToken: string): void {
    if (session !== this.session) return
    this.entries.delete(owner)
    this.entries.set(owner, { request, resumptionToken })
    for (const oldest of this.entries.keys()) {
      if (this.entries.size <= mostEntries) break
      this.entries.delete(oldest)
    }
    this.changed()
  }

  settled(owner: object): void {
    if (this.entries.delete(owner)) this.changed()
  }

  /** Writes what changes, for ever. */
  readonly run: Effect.Effect<never> = Effect.forever(Effect.suspend(() => {
    if (this.isDirty) {
      this.isDirty = false
      this.isWriting = true
      return Effect.map(this.logged(Effect.suspend(() => this.write()), undefined), () => {
        this.isWriting = false
        if (!this.isDirty) this.onWritten?.()
      })
    }
    return Effect.async<void>((resume) => {
      if (this.isDirty) return resume(Effect.void)
      this.wake = () => {
        this.wake = undefined
        resume(Effect.void)
      }
    })
  }))

  /** Waits until everything is written. */
  readonly flush: Effect.Effect<void> = Effect.async((resume) => {
    if (!this.isDirty && !this.isWriting) return resume(Effect.void)
    this.onWritten = () => resume(Effect.void)
  })

  private changed(): void {
    this.isDirty = true
    this.wake?.()
  }

  // A session whose handshake is not done is of no use to another process.
  private write(): Effect.Effect<void, ResumptionStore.ResumptionStoreError> {
    const { session } = this
    if (
      session?.status === "Active" && session.initialized && session.sessionId !== undefined &&
      session.protocolVersion !== undefined
    ) {
      this.isKept = true
      return this.store.save({
        version: 1,
        sessionId: Redacted.make(session.sessionId),
        protocolVersion: session.protocolVersion,
        requests: Array.from(this.entries.values())
      })
    }
    if (!this.isKept) return Effect.void
    return Effect.map(this.store.clear, () => {
      this.isKept = false
    })
  }

  private logged<A>(effect: Effect.Effect<A, ResumptionStore.ResumptionStoreError>, otherwise: A): Effect.Effect<A> {
    return effect.pipe(
      Effect.catchAllCause((cause) => {
        const error = Cause.squash(cause)
        const [message, reason] = error instanceof ResumptionStoreError
          ? [error.message, error.cause]
          : ["the resumption store failed", error]
        return Effect.logWarning(message, this.secrets.redactCause(reason)).pipe(annotated, Effect.as(otherwise))
      })
    )
  }
}
