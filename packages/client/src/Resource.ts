/**
 * Resources, templates of resources, and their contents. Specification 2026-07-28, page "Resources".
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { Annotations, Icon, Meta, ResourceContents } from "./Content.ts"
import { cacheHints, ofPage, ofResult } from "./internal/resultFields.ts"
import { list, object } from "./internal/wire.ts"
import type { CacheHints, Page, Result } from "./Lifecycle.ts"

/**
 * A resource as its server lists it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Resource {
  readonly uri: string
  readonly name: string
  /** For display; absent: `name`. Since 2025-06-18. */
  readonly title?: string | undefined
  readonly description?: string | undefined
  readonly mimeType?: string | undefined
  readonly annotations?: Annotations | undefined
  /** In bytes, before it is encoded. */
  readonly size?: number | undefined
  /** Since 2025-11-25. */
  readonly icons?: ReadonlyArray<Icon> | undefined
  /** Since 2025-06-18. */
  readonly _meta?: Meta | undefined
}

/**
 * Many resources at once: a URI with variables, to be filled in by the client.
 *
 * @since 0.1.0
 * @category models
 */
export interface ResourceTemplate {
  /** In the syntax of RFC 6570. Not verified. */
  readonly uriTemplate: string
  readonly name: string
  /** For display; absent: `name`. Since 2025-06-18. */
  readonly title?: string | undefined
  readonly description?: string | undefined
  /** Of all resources that match. */
  readonly mimeType?: string | undefined
  readonly annotations?: Annotations | undefined
  /** Since 2025-11-25. */
  readonly icons?: ReadonlyArray<Icon> | undefined
  /** Since 2025-06-18. */
  readonly _meta?: Meta | undefined
}

/**
 * What a resource contains. It can be several things, the files of a directory for instance.
 *
 * @since 0.1.0
 * @category models
 */
export interface ReadResourceResult extends Result, CacheHints {
  readonly contents: ReadonlyArray<ResourceContents>
}

/**
 * A part of the server's list of resources.
 *
 * @since 0.1.0
 * @category models
 */
export interface ListResourcesResult extends Page {
  readonly resources: ReadonlyArray<Resource>
}

/**
 * A part of the server's list of templates.
 *
 * @since 0.1.0
 * @category models
 */
export interface ListResourceTemplatesResult extends Page {
  readonly resourceTemplates: ReadonlyArray<ResourceTemplate>
}

/**
 * A resource has changed: the parameters of `notifications/resources/updated`.
 *
 * @since 0.1.0
 * @category models
 */
export interface ResourceUpdated {
  /** It can be a part of the resource that was subscribed to. */
  readonly uri: string
  readonly _meta?: Meta | undefined
}

const ofBoth = {
  name: Schema.String,
  title: Schema.optional(Schema.String),
  description: Schema.optional(Schema.String),
  mimeType: Schema.optional(Schema.String),
  annotations: Schema.optional(Annotations),
  icons: Schema.optional(list(Icon)),
  _meta: Schema.optional(Meta)
}

/**
 * @since 0.1.0
 * @category schemas
 */
export const Resource: Schema.Schema<Resource> = object(
  "Resource",
  Schema.Struct({
    uri: Schema.String,
    ...ofBoth,
    size: Schema.optional(Schema.Finite)
  })
)

/**
 * @since 0.1.0
 * @category schemas
 */
export const ResourceTemplate: Schema.Schema<ResourceTemplate> = object(
  "ResourceTemplate",
  Schema.Struct({
    uriTemplate: Schema.String,
    ...ofBoth
  })
)

/**
 * @since 0.1.0
 * @category schemas
 */
export const ReadResourceResult: Schema.Schema<ReadResourceResult> = object(
  "ReadResourceResult",
  Schema.Struct({
    ...ofResult,
    ...cacheHints,
    contents: list(ResourceContents)
  })
)

/**
 * @since 0.1.0
 * @category schemas
 */
export const ListResourcesResult: Schema.Schema<ListResourcesResult> = object(
  "ListResourcesResult",
  Schema.Struct({
    ...ofPage,
    resources: list(Resource)
  })
)

/**
 * @since 0.1.0
 * @category schemas
 */
export const ListResourceTemplatesResult: Schema.Schema<ListResourceTemplatesResult> = object(
  "ListResourceTemplatesResult",
  Schema.Struct({
    ...ofPage,
    resourceTemplates: list(ResourceTemplate)
  })
)

/**
 * @since 0.1.0
 * @category schemas
 */
export const ResourceUpdated: Schema.Schema<ResourceUpdated> = object(
  "ResourceUpdated",
  Schema.Struct({
    uri: Schema.String,
    _meta: Schema.optional(Meta)
  })
)
