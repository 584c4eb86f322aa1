/**
 * Completion of the arguments of prompts and resource templates. Specification 2026-07-28, page "Completion".
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { ofResult } from "./internal/resultFields.ts"
import { list, object } from "./internal/wire.ts"
import type { Result } from "./Lifecycle.ts"

/**
 * Refers to a prompt.
 *
 * @since 0.1.0
 * @category models
 */
export interface PromptReference {
  readonly type: "ref/prompt"
  readonly name: string
  /** Since 2025-06-18. */
  readonly title?: string | undefined
}

/**
 * Refers to a resource template, or a resource.
 *
 * @since 0.1.0
 * @category models
 */
export interface ResourceTemplateReference {
  readonly type: "ref/resource"
  /** The URI template. */
  readonly uri: string
}

/**
 * What has the argument to be completed.
 *
 * @since 0.1.0
 * @category models
 */
export type Reference = PromptReference | ResourceTemplateReference

/**
 * Values that an argument can have.
 *
 * @since 0.1.0
 * @category models
 */
export interface CompleteResult extends Result {
  readonly completion: {
    /** The server sends at most 100; more are not refused. */
    readonly values: ReadonlyArray<string>
    /** How many there are altogether. */
    readonly total?: number | undefined
    /** Whether there are more than these. */
    readonly hasMore?: boolean | undefined
  }
}

/**
 * @since 0.1.0
 * @category schemas
 */
export const PromptReference: Schema.Schema<PromptReference> = object(
  "PromptReference",
  Schema.Struct({
    type: Schema.Literal("ref/prompt"),
    name: Schema.String,
    title: Schema.optional(Schema.String)
  })
)

/**
 * @since 0.1.0
 * @category schemas
 */
export const ResourceTemplateReference: Schema.Schema<ResourceTemplateReference> = object(
  "ResourceTemplateReference",
  Schema.Struct({
    type: Schema.Literal("ref/resource"),
    uri: Schema.String
  })
)

/**
 * @since 0.1.0
 * @category schemas
 */
export const Reference: Schema.Schema<Reference> = Schema.Union(PromptReference, ResourceTemplateReference).annotations(
  {
    identifier: "Reference"
  }
)

/**
 * @since 0.1.0
 * @category schemas
 */
export const CompleteResult: Schema.Schema<CompleteResult> = object(
  "CompleteResult",
  Schema.Struct({
    ...ofResult,
    completion: object(
      "Completion",
      Schema.Struct({
        values: list(Schema.String),
        total: Schema.optional(Schema.Finite),
        hasMore: Schema.optional(Schema.Boolean)
      })
    )
  })
)

/**
 * Refers to the prompt with this name.
 *
 * @since 0.1.0
 * @category constructors
 */
export const prompt = (name: string): PromptReference => ({ type: "ref/prompt", name })

/**
 * Refers to the resource template with this URI template.
 *
 * @since 0.1.0
 * @category constructors
 */
export const resourceTemplate = (uri: string): ResourceTemplateReference => ({ type: "ref/resource", uri })
