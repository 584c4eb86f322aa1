/**
 * Tools and the results of calling them. Specification 2026-07-28, page "Tools"; tasks: 2025-11-25, page "Tasks".
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { ContentBlock, Icon, JsonObject, Meta } from "./Content.ts"
import { ofPage, ofResult } from "./internal/resultFields.ts"
import { Json, list, object } from "./internal/wire.ts"
import type { Page, Result } from "./Lifecycle.ts"

/**
 * What the server says about the behaviour of a tool: hints that can be wrong. Do not rely on what a server says that
 * you do not trust.
 *
 * @since 0.1.0
 * @category models
 */
export interface ToolAnnotations {
  /** For display. */
  readonly title?: string | undefined
  /** It changes nothing. Absent: false. */
  readonly readOnlyHint?: boolean | undefined
  /** It may destroy something, rather than only add. Absent: true. Has a meaning only if it is not read-only. */
  readonly destructiveHint?: boolean | undefined
  /** A second call with the same arguments changes nothing more. Absent: false. Has a meaning only if not read-only. */
  readonly idempotentHint?: boolean | undefined
  /** It deals with an open set of things, like a web search does. Absent: true. */
  readonly openWorldHint?: boolean | undefined
}

/**
 * How a tool can be called. In 2025-11-25 only.
 *
 * @since 0.1.0
 * @category models
 */
export interface ToolExecution {
  /** Whether it can, or has to, be called as a task. Absent: `forbidden`. */
  readonly taskSupport?: "forbidden" | "optional" | "required" | undefined
}

/**
 * The JSON Schema of a tool's arguments: always of an object. Other keywords are kept and not looked into. Without
 * `$schema` it is 2020-12.
 *
 * @since 0.1.0
 * @category models
 */
export interface InputSchema {
  readonly type: "object"
  readonly $schema?: string | undefined
  readonly [keyword: string]: unknown
}

/**
 * A tool as its server lists it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Tool {
  readonly name: string
  /** For display. Since 2025-06-18; before, and when it is absent, `annotations.title`. */
  readonly title?: string | undefined
  readonly description?: string | undefined
  readonly inputSchema: InputSchema
  /** The JSON Schema of the structured content. Since 2025-06-18; of an object until 2025-11-25. */
  readonly outputSchema?: JsonObject | undefined
  readonly annotations?: ToolAnnotations | undefined
  /** In 2025-11-25 only. */
  readonly execution?: ToolExecution | undefined
  /** Since 2025-11-25. */
  readonly icons?: ReadonlyArray<Icon> | undefined
  /** Since 2025-06-18. */
  readonly _meta?: Meta | undefined
}

/**
 * The result of calling a tool. A tool that failed says so with `isError`; its content then tells what went wrong.
 *
 * @example
 * ```ts
 * import type { Tool } from "@effect-mcp/client"
 *
 * const text = (result: Tool.CallToolResult): string =>
 *   result.content.map((block) => block.type === "text" ? block.text : "").join("")
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export interface CallToolResult extends Result {
  /** Required in all versions, also when there is structured content. */
  readonly content: ReadonlyArray<ContentBlock>
  /** Any JSON value, matching the tool's `outputSchema`. Since 2025-06-18; an object until 2025-11-25. */
  readonly structuredContent?: unknown
  /** Absent: false. */
  readonly isError?: boolean | undefined
}

/**
 * A part of the server's list of tools.
 *
 * @since 0.1.0
 * @category models
 */
export interface ListToolsResult extends Page {
  readonly tools: ReadonlyArray<Tool>
}

/**
 * @since 0.1.0
 * @category schemas
 */
export const ToolAnnotations: Schema.Schema<ToolAnnotations> = object(
  "ToolAnnotations",
  Schema.Struct({
    title: Schema.optional(Schema.String),
    readOnlyHint: Schema.optional(Schema.Boolean),
    destructiveHint: Schema.optional(Schema.Boolean),
    idempotentHint: Schema.optional(Schema.Boolean),
    openWorldHint: Schema.optional(Schema.Boolean)
  })
)

/**
 * @since 0.1.0
 * @category schemas
 */
export const ToolExecution: Schema.Schema<ToolExecution> = object(
  "ToolExecution",
  Schema.Struct({
    taskSupport: Schema.optional(Schema.Literal("forbidden", "optional", "required"))
  })
)

/**
 * @since 0.1.0
 * @category schemas
 */
export const InputSchema: Schema.Schema<InputSchema> = object(
  "InputSchema",
  Schema.Struct(
    { type: Schema.Literal("object"), $schema: Schema.optional(Schema.String) },
    { key: Schema.String, value: Schema.Unknown }
  ).annotations({
    arbitrary: () => (fc) =>
      fc.record(
        {
          type: fc.constant("object" as const),
          $schema: fc.constant("https://json-schema.org/draft/2020-12/schema"),
          properties: fc.dictionary(fc.string({ maxLength: 5 }), fc.constant({ type: "string" }), {
            maxKeys: 3,
            noNullPrototype: true
          }),
          required: fc.array(fc.string({ maxLength: 5 }), { maxLength: 3 }),
          additionalProperties: fc.boolean()
        },
        { requiredKeys: ["type"] }
      )
  })
)

/**
 * @since 0.1.0
 * @category schemas
 */
export const Tool: Schema.Schema<Tool> = object(
  "Tool",
  Schema.Struct({
    name: Schema.String,
    title: Schema.optional(Schema.String),
    description: Schema.optional(Schema.String),
    inputSchema: InputSchema,
    outputSchema: Schema.optional(JsonObject),
    annotations: Schema.optional(ToolAnnotations),
    execution: Schema.optional(ToolExecution),
    icons: Schema.optional(list(Icon)),
    _meta: Schema.optional(Meta)
  })
)

/**
 * @since 0.1.0
 * @category schemas
 */
export const CallToolResult: Schema.Schema<CallToolResult> = object(
  "CallToolResult",
  Schema.Struct({
    ...ofResult,
    content: list(ContentBlock),
    structuredContent: Schema.optional(Json),
    isError: Schema.optional(Schema.Boolean)
  })
)

/**
 * @since 0.1.0
 * @category schemas
 */
export const ListToolsResult: Schema.Schema<ListToolsResult> = object(
  "ListToolsResult",
  Schema.Struct({
    ...ofPage,
    tools: list(Tool)
  })
)
