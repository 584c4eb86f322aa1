/**
 * What a client wants to be told about. Specification 2026-07-28, page "Subscriptions"; not in earlier versions.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { Meta } from "./Content.ts"
import { list, object } from "./internal/wire.ts"

/**
 * The notifications that a client asks for, or that a server agrees to send. Absent: not this one.
 *
 * @since 0.1.0
 * @category models
 */
export interface SubscriptionFilter {
  readonly toolsListChanged?: boolean | undefined
  readonly promptsListChanged?: boolean | undefined
  readonly resourcesListChanged?: boolean | undefined
  /** The URIs of resources, to be told when they change. */
  readonly resourceSubscriptions?: ReadonlyArray<string> | undefined
}

/**
 * What the server agreed to: the parameters of `notifications/subscriptions/acknowledged`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Acknowledged {
  /** Of what the client asked for, that which the server supports. */
  readonly notifications: SubscriptionFilter
  readonly _meta?: Meta | undefined
}

/**
 * @since 0.1.0
 * @category schemas
 */
export const SubscriptionFilter: Schema.Schema<SubscriptionFilter> = object(
  "SubscriptionFilter",
  Schema.Struct({
    toolsListChanged: Schema.optional(Schema.Boolean),
    promptsListChanged: Schema.optional(Schema.Boolean),
    resourcesListChanged: Schema.optional(Schema.Boolean),
    resourceSubscriptions: Schema.optional(list(Schema.String))
  })
)

/**
 * @since 0.1.0
 * @category schemas
 */
export const Acknowledged: Schema.Schema<Acknowledged> = object(
  "Acknowledged",
  Schema.Struct({
    notifications: SubscriptionFilter,
    _meta: Schema.optional(Meta)
  })
)
