/**
 * Sampling: a server asks the client for the answer of a language model. Specification 2026-07-28, page "Sampling",
 * where it is deprecated (SEP-2577) but still part of the protocol.
 *
 * Provide the service {@link Sampling} to offer it. Without it, servers are told that this client does not sample.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import {
  AudioContent,
  ImageContent,
  JsonObject,
  Meta,
  Role,
  TextContent,
  ToolResultContent,
  ToolUseContent
} from "./Content.ts"
import { captured } from "./internal/captured.ts"
import { ofResult } from "./internal/resultFields.ts"
import { choice, choiceBy, list, member, object } from "./internal/wire.ts"
import type { Result } from "./Lifecycle.ts"
import type { RequestRejected } from "./RequestRejected.ts"
import { Tool } from "./Tool.ts"

/**
 * A model that the server would like.
 *
 * @since 0.1.0
 * @category models
 */
export interface ModelHint {
  /** A part of a model's name, such as `sonnet`. */
  readonly name?: string | undefined
}

/**
 * Which model the server would like. It is advice. The priorities go from 0 to 1; values outside are not refused.
 *
 * @since 0.1.0
 * @category models
 */
export interface ModelPreferences {
  /** The first one that matches counts. */
  readonly hints?: ReadonlyArray<ModelHint> | undefined
  readonly costPriority?: number | undefined
  readonly speedPriority?: number | undefined
  readonly intelligencePriority?: number | undefined
}

/**
 * Whether the model uses tools. Since 2025-11-25.
 *
 * @since 0.1.0
 * @category models
 */
export interface ToolChoice {
  /** `auto`: it decides; `required`: at least one; `none`: none. Absent: `auto`. */
  readonly mode?: "auto" | "required" | "none" | undefined
}

/**
 * A part of a message. Tools since 2025-11-25.
 *
 * @since 0.1.0
 * @category models
 */
export type SamplingMessageContentBlock =
  | TextContent
  | ImageContent
  | AudioContent
  | ToolUseContent
  | ToolResultContent

/**
 * A message to or from a model. Several blocks in one message since 2025-11-25.
 *
 * @since 0.1.0
 * @category models
 */
export interface SamplingMessage {
  readonly role: Role
  readonly content: SamplingMessageContentBlock | ReadonlyArray<SamplingMessageContentBlock>
  readonly _meta?: Meta | undefined
}

/**
 * What the server wants from the model.
 *
 * @since 0.1.0
 * @category models
 */
export interface CreateMessageParams {
  readonly messages: ReadonlyArray<SamplingMessage>
  readonly modelPreferences?: ModelPreferences | undefined
  readonly systemPrompt?: string | undefined
  /** Absent: `none`. The other two are deprecated since 2025-11-25. */
  readonly includeContext?: "none" | "thisServer" | "allServers" | undefined
  readonly temperature?: number | undefined
  /** An upper limit. */
  readonly maxTokens: number
  readonly stopSequences?: ReadonlyArray<string> | undefined
  /** For the provider of the model. */
  readonly metadata?: JsonObject | undefined
  /** Since 2025-11-25. */
  readonly tools?: ReadonlyArray<Tool> | undefined
  /** Since 2025-11-25. */
  readonly toolChoice?: ToolChoice | undefined
  readonly _meta?: Meta | undefined
}

/**
 * What the model answered.
 *
 * @since 0.1.0
 * @category models
 */
export interface CreateMessageResult extends Result, SamplingMessage {
  /** The name of the model. */
  readonly model: string
  /** `endTurn`, `stopSequence`, `maxTokens`, `toolUse`, or what the provider says. */
  readonly stopReason?: string | undefined
  readonly _meta?: Meta | undefined
}

/**
 * @since 0.1.0
 * @category schemas
 */
export const ModelHint: Schema.Schema<ModelHint> = object(
  "ModelHint",
  Schema.Struct({
    name: Schema.optional(Schema.String)
  })
)

/**
 * @since 0.1.0
 * @category schemas
 */
export const ModelPreferences: Schema.Schema<ModelPreferences> = object(
  "ModelPreferences",
  Schema.Struct({
    hints: Schema.optional(list(ModelHint)),
    costPriority: Schema.optional(Schema.Finite),
    speedPriority: Schema.optional(Schema.Finite),
    intelligencePriority: Schema.optional(Schema.Finite)
  })
)

/**
 * @since 0.1.0
 * @category schemas
 */
export const ToolChoice: Schema.Schema<ToolChoice> = object(
  "ToolChoice",
  Schema.Struct({
    mode: Schema.optional(Schema.Literal("auto", "required", "none"))
  })
)

/**
 * Content of unknown types is refused: a model could not be given it.
 *
 * @since 0.1.0
 * @category schemas
 */
export const SamplingMessageContentBlock: Schema.Schema<SamplingMessageContentBlock> = choice<
  SamplingMessageContentBlock
>({
  identifier: "SamplingMessageContentBlock",
  key: "type",
  members: {
    text: member(TextContent),
    image: member(ImageContent),
    audio: member(AudioContent),
    tool_use: member(ToolUseContent),
    tool_result: member(ToolResultContent)
  }
})

const block = member(SamplingMessageContentBlock)
const blocks = member(list(SamplingMessageContentBlock))

const content = choiceBy<SamplingMessage["content"]>({
  identifier: "SamplingMessageContent",
  members: [block, blocks],
  choose: (value) => Array.isArray(value) ? blocks : block
})

const ofMessage = {
  role: Role,
  content,
  _meta: Schema.optional(Meta)
}

/**
 * @since 0.1.0
 * @category schemas
 */
export const SamplingMessage: Schema.Schema<SamplingMessage> = object("SamplingMessage", Schema.Struct(ofMessage))

/**
 * @since 0.1.0
 * @category schemas
 */
export const CreateMessageParams: Schema.Schema<CreateMessageParams> = object(
  "CreateMessageParams",
  Schema.Struct({
    messages: list(SamplingMessage),
    modelPreferences: Schema.optional(ModelPreferences),
    systemPrompt: Schema.optional(Schema.String),
    includeContext: Schema.optional(Schema.Literal("none", "thisServer", "allServers")),
    temperature: Schema.optional(Schema.Finite),
    maxTokens: Schema.Finite,
    stopSequences: Schema.optional(list(Schema.String)),
    metadata: Schema.optional(JsonObject),
    tools: Schema.optional(list(Tool)),
    toolChoice: Schema.optional(ToolChoice),
    _meta: Schema.optional(Meta)
  })
)

/**
 * @since 0.1.0
 * @category schemas
 */
export const CreateMessageResult: Schema.Schema<CreateMessageResult> = object(
  "CreateMessageResult",
  Schema.Struct({
    ...ofResult,
    ...ofMessage,
    model: Schema.String,
    stopReason: Schema.optional(Schema.String)
  })
)

/**
 * What of sampling, apart from plain messages, is declared to the server.
 *
 * @since 0.1.0
 * @category models
 */
export interface SamplingCapabilities {
  /** It understands `tools` and `toolChoice`. Default: false. */
  readonly tools?: boolean | undefined
  /** It understands `includeContext`. Default: false. */
  readonly context?: boolean | undefined
}

/**
 * Answers the requests of servers for the answer of a language model. The user should see them before they are sent to
 * the model, and the answer before it is given to the server.
 *
 * @since 0.1.0
 * @category tags
 */
export class Sampling extends Context.Tag("@effect-mcp/client/Sampling")<Sampling, {
  readonly createMessage: (params: CreateMessageParams) => Effect.Effect<CreateMessageResult, RequestRejected>
  readonly capabilities?: SamplingCapabilities | undefined
}>() {}

/**
 * Offers sampling. What `createMessage` requires is taken from the context in which the layer is built.
 *
 * @example
 * ```ts
 * import { RequestRejected, Sampling } from "@effect-mcp/client"
 * import { Context, Effect } from "effect"
 *
 * class Model extends Context.Tag("Model")<Model, {
 *   readonly answer: (question: string) => Effect.Effect<string>
 * }>() {}
 *
 * // Layer.Layer<Sampling.Sampling, never, Model>
 * const SamplingLive = Sampling.layer({
 *   createMessage: ({ messages }) =>
 *     Effect.gen(function*() {
 *       const content = messages.at(-1)?.content
 *       if (content === undefined || !("type" in content) || content.type !== "text") {
 *         return yield* RequestRejected.make({ message: "only text is supported" })
 *       }
 *       const model = yield* Model
 *       const text = yield* model.answer(content.text)
 *       return { role: "assistant" as const, content: { type: "text" as const, text }, model: "example" }
 *     })
 * })
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <R = never>(options: {
  readonly createMessage: (params: CreateMessageParams) => Effect.Effect<CreateMessageResult, RequestRejected, R>
  readonly capabilities?: SamplingCapabilities | undefined
}): Layer.Layer<Sampling, never, R> =>
  Layer.effect(
    Sampling,
    Effect.map(captured<R>(), ({ effect }) => ({
      createMessage: (params: CreateMessageParams) => effect(options.createMessage(params)),
      capabilities: options.capabilities
    }))
  )
