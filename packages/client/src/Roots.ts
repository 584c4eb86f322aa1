/**
 * Roots: the directories and files that the client lets a server work on. Specification 2026-07-28, page "Roots", where
 * they are deprecated (SEP-2577) but still part of the protocol.
 *
 * Provide the service {@link Roots} to offer them. Without it, servers are told that this client has no roots.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import type * as Stream from "effect/Stream"
import { Meta } from "./Content.ts"
import { captured } from "./internal/captured.ts"
import { ofResult } from "./internal/resultFields.ts"
import { list as listOf, object } from "./internal/wire.ts"
import type { Result } from "./Lifecycle.ts"
import type { RequestRejected } from "./RequestRejected.ts"

/**
 * A directory or a file.
 *
 * @since 0.1.0
 * @category models
 */
export interface Root {
  /** A `file://` URI. Not verified. */
  readonly uri: string
  /** For display. */
  readonly name?: string | undefined
  /** Since 2025-06-18. */
  readonly _meta?: Meta | undefined
}

/**
 * The answer to `roots/list`.
 *
 * @since 0.1.0
 * @category models
 */
export interface ListRootsResult extends Result {
  readonly roots: ReadonlyArray<Root>
}

/**
 * @since 0.1.0
 * @category schemas
 */
export const Root: Schema.Schema<Root> = object(
  "Root",
  Schema.Struct({
    uri: Schema.String,
    name: Schema.optional(Schema.String),
    _meta: Schema.optional(Meta)
  })
)

/**
 * @since 0.1.0
 * @category schemas
 */
export const ListRootsResult: Schema.Schema<ListRootsResult> = object(
  "ListRootsResult",
  Schema.Struct({
    ...ofResult,
    roots: listOf(Root)
  })
)

/**
 * Tells servers what they may work on. `changes` emits when the list is another one; servers of the legacy era are then
 * told (`notifications/roots/list_changed`). Without `changes`, it is declared that the list does not change.
 *
 * @since 0.1.0
 * @category tags
 */
export class Roots extends Context.Tag("@effect-mcp/client/Roots")<Roots, {
  readonly list: Effect.Effect<ReadonlyArray<Root>, RequestRejected>
  readonly changes?: Stream.Stream<void> | undefined
}>() {}

/**
 * Offers roots that can change. What `list` and `changes` require is taken from the context in which the layer is built.
 *
 * @example
 * ```ts
 * import { Roots } from "@effect-mcp/client"
 * import { Effect, Layer, Stream, SubscriptionRef } from "effect"
 *
 * const RootsLive = Layer.unwrapEffect(Effect.gen(function*() {
 *   const open = yield* SubscriptionRef.make<ReadonlyArray<Roots.Root>>([{ uri: "file:///home/user/project" }])
 *   return Roots.layer({
 *     list: SubscriptionRef.get(open),
 *     changes: open.changes.pipe(Stream.drop(1), Stream.map(() => undefined))
 *   })
 * }))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <R = never>(options: {
  readonly list: Effect.Effect<ReadonlyArray<Root>, RequestRejected, R>
  readonly changes?: Stream.Stream<void, never, R> | undefined
}): Layer.Layer<Roots, never, R> =>
  Layer.effect(
    Roots,
    Effect.map(captured<R>(), ({ effect, stream }) => ({
      list: effect(options.list),
      changes: options.changes === undefined ? undefined : stream(options.changes)
    }))
  )

/**
 * Offers roots that stay the same.
 *
 * @example
 * ```ts
 * import { Roots } from "@effect-mcp/client"
 *
 * const RootsLive = Roots.layerConst([{ uri: "file:///home/user/project", name: "Project" }])
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConst = (roots: ReadonlyArray<Root>): Layer.Layer<Roots> =>
  Layer.succeed(Roots, { list: Effect.succeed(roots) })
