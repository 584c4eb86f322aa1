/**
 * Where a transport keeps what another process needs to go on: the session, and the cursors of requests under way.
 *
 * Give one as `Options.resumptionStore`. When the transport is made it takes up the session it finds there, and a request
 * equal to one that was under way (same id, method and params) is resumed instead of POSTed: run the same program again,
 * and calls begun by a process that was killed are finished by the next.
 *
 * Written after delivery, in the background: after a crash the last messages may come again, and none is lost. A store that
 * fails is logged and never fails a send. The snapshot holds the session id, which is a credential: protect it.
 *
 * @since 0.1.0
 */
import * as KeyValueStore from "@effect/platform/KeyValueStore"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { ResumptionStoreError } from "./internal/resumptionStoreError.ts"
import * as JsonRpc from "./JsonRpc.ts"

/**
 * What is kept, as plain JSON.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Snapshot = Schema.Struct({
  version: Schema.Literal(1),
  sessionId: Schema.Redacted(Schema.String),
  protocolVersion: Schema.String,
  /** Requests without an answer yet, and where each can be resumed. */
  requests: Schema.Array(Schema.Struct({ request: JsonRpc.Request, resumptionToken: Schema.String }))
})

/**
 * @since 0.1.0
 * @category models
 */
export type Snapshot = Schema.Schema.Type<typeof Snapshot>

export {
  /**
   * A snapshot could not be read or written.
   *
   * @since 0.1.0
   * @category errors
   */
  ResumptionStoreError
} from "./internal/resumptionStoreError.ts"

/**
 * A place for one snapshot. It has one owner at a time: one transport in one process.
 *
 * @example
 * ```ts
 * import { ResumptionStore, StreamableHttpTransport } from "@effect-mcp/transport"
 * import { FetchHttpClient, KeyValueStore } from "@effect/platform"
 * import { Effect, Layer } from "effect"
 *
 * const Live = Layer.unwrapEffect(
 *   Effect.map(ResumptionStore.ResumptionStore, (resumptionStore) =>
 *     StreamableHttpTransport.layer({ url: "http://127.0.0.1:3000/mcp", resumptionStore, terminateOnClose: false }))
 * ).pipe(
 *   Layer.provide([FetchHttpClient.layer, ResumptionStore.layerKeyValueStore({ key: "reports" })]),
 *   Layer.provide(KeyValueStore.layerMemory)
 * )
 * ```
 *
 * @since 0.1.0
 * @category tags
 */
export class ResumptionStore extends Context.Tag("@effect-mcp/transport/ResumptionStore")<ResumptionStore, {
  readonly load: Effect.Effect<Option.Option<Snapshot>, ResumptionStoreError>
  readonly save: (snapshot: Snapshot) => Effect.Effect<void, ResumptionStoreError>
  readonly clear: Effect.Effect<void, ResumptionStoreError>
}>() {}

/**
 * @since 0.1.0
 * @category models
 */
export type Service = Context.Tag.Service<typeof ResumptionStore>

/**
 * Keeps the snapshot in this process: for tests, and to carry a session over from one transport to the next.
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeMemory: Effect.Effect<Service> = Effect.sync(() => {
  let kept = Option.none<Snapshot>()
  return {
    load: Effect.sync(() => kept),
    save: (snapshot) =>
      Effect.sync(() => {
        kept = Option.some(snapshot)
      }),
    clear: Effect.sync(() => {
      kept = Option.none()
    })
  }
})

/**
 * {@link makeMemory} as a layer.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerMemory: Layer.Layer<ResumptionStore> = Layer.effect(ResumptionStore, makeMemory)

// Which keys of which stores are owned by somebody in this process.
const owned = new WeakMap<KeyValueStore.KeyValueStore, Set<string>>()

/**
 * Keeps the snapshot under a key of a `KeyValueStore`, and a copy under `key.next` for when a write was cut short: files with `layerFileSystem`, the browser with
 * `layerStorage`. Fails with `ResumptionStoreError` when the key is owned by somebody else in this process; across processes
 * that is yours to see to.
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeKeyValueStore = (options: {
  readonly key: string
}): Effect.Effect<Service, ResumptionStoreError, KeyValueStore.KeyValueStore | Scope.Scope> =>
  Effect.gen(function*() {
    const store = yield* KeyValueStore.KeyValueStore
    const snapshots = store.forSchema(Snapshot)
    // Many stores write in place: a process killed while it writes one key leaves the other whole.
    const next = `${options.key}.next`
    yield* own(store, options.key)
    yield* own(store, next)
    const failedTo = (method: ResumptionStoreError["method"]) =>
      Effect.mapError((cause: unknown) =>
        cause instanceof ResumptionStoreError ? cause : new ResumptionStoreError({ method, cause })
      )
    const read = (key: string) =>
      snapshots.get(key).pipe(
        // A parse error quotes what it read, and that holds the session id.
        Effect.catchTag("ParseError", () => {
          const cause = new Error("what is kept is no snapshot of this version")
          return new ResumptionStoreError({ method: "load", cause })
        })
      )
    // Some stores fail to remove what is not there.
    const remove = (key: string) =>
      Effect.if(store.has(key), { onTrue: () => snapshots.remove(key), onFalse: () => Effect.void })
    return {
      load: Effect.flatMap(Effect.either(read(options.key)), (found) => {
        if (Either.isRight(found) && Option.isSome(found.right)) return Effect.succeed(found.right)
        return Effect.flatMap(Effect.either(read(next)), (other) =>
          Either.isRight(other) && Option.isSome(other.right) ? Effect.succeed(other.right) : found)
      }).pipe(failedTo("load")),
      save: (snapshot) =>
        Effect.zipRight(snapshots.set(next, snapshot), snapshots.set(options.key, snapshot)).pipe(failedTo("save")),
      clear: Effect.zipRight(remove(options.key), remove(next)).pipe(failedTo("clear"))
    }
  })

/**
 * {@link makeKeyValueStore} as a layer.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerKeyValueStore = (options: {
  readonly key: string
}): Layer.Layer<ResumptionStore, ResumptionStoreError, KeyValueStore.KeyValueStore> =>
  Layer.scoped(ResumptionStore, makeKeyValueStore(options))

const own = (
  store: KeyValueStore.KeyValueStore,
  key: string
): Effect.Effect<void, ResumptionStoreError, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.suspend(() => {
      const keys = owned.get(store) ?? new Set<string>()
      owned.set(store, keys)
      if (keys.has(key)) {
        return new ResumptionStoreError({ method: "open", cause: new Error(`the key ${key} has an owner already`) })
      }
      keys.add(key)
      return Effect.void
    }),
    () => Effect.sync(() => owned.get(store)?.delete(key))
  )
