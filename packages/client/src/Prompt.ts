/**
 * Prompts: messages that a server has prepared for a language model. Specification 2026-07-28, page "Prompts".
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { ContentBlock, Icon, Meta, Role } from "./Content.ts"
import { ofPage, ofResult } from "./internal/resultFields.ts"
import { list, object } from "./internal/wire.ts"
import type { Page, Result } from "./Lifecycle.ts"

/**
 * An argument of a prompt. Its value is text.
 *
 * @since 0.1.0
 * @category models
 */
export interface PromptArgument {
  readonly name: string
  /** For display; absent: `name`. Since 2025-06-18. */
  readonly title?: string | undefined
  readonly description?: string | undefined
  /** Absent: false. */
  readonly required?: boolean | undefined
}

/**
 * A prompt as its server lists it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Prompt {
  readonly name: string
  /** For display; absent: `name`. Since 2025-06-18. */
  readonly title?: string | undefined
  readonly description?: string | undefined
  readonly arguments?: ReadonlyArray<PromptArgument> | undefined
  /** Since 2025-11-25. */
  readonly icons?: ReadonlyArray<Icon> | undefined
  /** Since 2025-06-18. */
  readonly _meta?: Meta | undefined
}

/**
 * A message of a prompt.
 *
 * @since 0.1.0
 * @category models
 */
export interface PromptMessage {
  readonly role: Role
  readonly content: ContentBlock
}

/**
 * A prompt with its arguments filled in.
 *
 * @since 0.1.0
 * @category models
 */
export interface GetPromptResult extends Result {
  readonly description?: string | undefined
  readonly messages: ReadonlyArray<PromptMessage>
}

/**
 * A part of the server's list of prompts.
 *
 * @since 0.1.0
 * @category models
 */
export interface ListPromptsResult extends Page {
  readonly prompts: ReadonlyArray<Prompt>
}

/**
 * @since 0.1.0
 * @category schemas
 */
export const PromptArgument: Schema.Schema<PromptArgument> = object(
  "PromptArgument",
  Schema.Struct({
    name: Schema.String,
    title: Schema.optional(Schema.String),
    description: Schema.optional(Schema.String),
    required: Schema.optional(Schema.Boolean)
  })
)

/**
 * @since 0.1.0
 * @category schemas
 */
export const Prompt: Schema.Schema<Prompt> = object(
  "Prompt",
  Schema.Struct({
    name: Schema.String,
    title: Schema.optional(Schema.String),
    description: Schema.optional(Schema.String),
    arguments: Schema.optional(list(PromptArgument)),
    icons: Schema.optional(list(Icon)),
    _meta: Schema.optional(Meta)
  })
)

/**
 * @since 0.1.0
 * @category schemas
 */
export const PromptMessage: Schema.Schema<PromptMessage> = object(
  "PromptMessage",
  Schema.Struct({
    role: Role,
    content: ContentBlock
  })
)

/**
 * @since 0.1.0
 * @category schemas
 */
export const GetPromptResult: Schema.Schema<GetPromptResult> = object(
  "GetPromptResult",
  Schema.Struct({
    ...ofResult,
    description: Schema.optional(Schema.String),
    messages: list(PromptMessage)
  })
)

/**
 * @since 0.1.0
 * @category schemas
 */
export const ListPromptsResult: Schema.Schema<ListPromptsResult> = object(
  "ListPromptsResult",
  Schema.Struct({
    ...ofPage,
    prompts: list(Prompt)
  })
)
