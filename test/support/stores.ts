/**
 * What the tests of the resumption store share: stores that remember what was done to them, and snapshots as plain data.
 */
import type { JsonRpc, ResumptionStore, StreamableHttpTransport, TransportError } from "@effect-mcp/transport"
import { assert } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { sessionId } from "./harness.ts"

/** A snapshot, so that it can be compared. */
export interface Plain {
  readonly sessionId: string
  readonly protocolVersion: string
  /** `id token` of every request, in order. */
  readonly requests: ReadonlyArray<string>
}

export const plain = (snapshot: ResumptionStore.Snapshot): Plain => ({
  sessionId: Redacted.value(snapshot.sessionId),
  protocolVersion: snapshot.protocolVersion,
  requests: snapshot.requests.map(({ request, resumptionToken }) => `${request.id} ${resumptionToken}`).toSorted()
})

/** What is kept of the session that `afterHandshake` opens. */
export const keeping = (...requests: ReadonlyArray<string>): Plain => ({
  sessionId,
  protocolVersion: "2025-11-25",
  requests
})

/** A snapshot as an earlier process leaves it. */
export const left = (
  requests: ReadonlyArray<readonly [request: JsonRpc.Request, token: string]>,
  overrides: { readonly sessionId?: string; readonly protocolVersion?: string } = {}
): ResumptionStore.Snapshot => ({
  version: 1,
  sessionId: Redacted.make(overrides.sessionId ?? sessionId),
  protocolVersion: overrides.protocolVersion ?? "2025-11-25",
  requests: requests.map(([request, resumptionToken]) => ({ request, resumptionToken }))
})

export interface WatchedStore extends ResumptionStore.Service {
  /** Every write that has ended, in order. */
  readonly writes: ReadonlyArray<Plain | "clear">
  readonly kept: () => Plain | undefined
  readonly snapshot: () => ResumptionStore.Snapshot | undefined
}

/** Keeps a snapshot in memory; `before` is run before each write. */
export const watchedStore = (
  initial?: ResumptionStore.Snapshot,
  before: Effect.Effect<void, ResumptionStore.ResumptionStoreError> = Effect.void
): WatchedStore => {
  let current = initial
  const writes: Array<Plain | "clear"> = []
  const write = (next: ResumptionStore.Snapshot | undefined) =>
    Effect.zipRight(
      before,
      Effect.sync(() => {
        current = next
        writes.push(next === undefined ? "clear" : plain(next))
      })
    )
  return {
    load: Effect.sync(() => Option.fromNullable(current)),
    save: write,
    clear: write(undefined),
    writes,
    kept: () => current === undefined ? undefined : plain(current),
    snapshot: () => current
  }
}

/** What a process finds that is started after the one that writes here was killed. */
export const afterCrash = (store: WatchedStore): WatchedStore => watchedStore(store.snapshot())

/** Pulls the messages of a send one by one; `undefined` after the last. */
export const pulled = (
  transport: StreamableHttpTransport.Service,
  message: JsonRpc.Message,
  options?: StreamableHttpTransport.SendOptions
): Effect.Effect<
  Effect.Effect<JsonRpc.Message | undefined, TransportError.TransportError>,
  never,
  Scope.Scope
> =>
  Effect.map(Stream.toPull(transport.send(message, options)), (pull) =>
    pull.pipe(
      Effect.map((messages) => {
        assert.strictEqual(Chunk.size(messages), 1)
        return Chunk.unsafeHead(messages)
      }),
      Effect.catchAll(Option.match({ onNone: () => Effect.succeed(undefined), onSome: Effect.fail }))
    ))
