/**
 * Progress of a call. Specification 2026-07-28, page "Progress".
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { Meta } from "./Content.ts"
import { object } from "./internal/wire.ts"

/**
 * Tells which request a notification is about. `1` and `"1"` are different.
 *
 * @since 0.1.0
 * @category models
 */
export type ProgressToken = string | number

/**
 * How far a call has come: the parameters of `notifications/progress`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Progress {
  readonly progressToken: ProgressToken
  /** It grows with every notification, also when `total` is unknown. Not verified. */
  readonly progress: number
  /** What `progress` will be at the end. */
  readonly total?: number | undefined
  readonly message?: string | undefined
  readonly _meta?: Meta | undefined
}

/**
 * @since 0.1.0
 * @category schemas
 */
export const ProgressToken: Schema.Schema<ProgressToken> = Schema.Union(Schema.String, Schema.Finite).annotations({
  identifier: "ProgressToken"
})

/**
 * @since 0.1.0
 * @category schemas
 */
export const Progress: Schema.Schema<Progress> = object(
  "Progress",
  Schema.Struct({
    progressToken: ProgressToken,
    progress: Schema.Finite,
    total: Schema.optional(Schema.Finite),
    message: Schema.optional(Schema.String),
    _meta: Schema.optional(Meta)
  })
)
