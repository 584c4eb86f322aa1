/**
 * What tools, prompts, resources and language models exchange: text, images, audio, links to resources and resources
 * themselves. Specification 2026-07-28, pages "Tools", "Prompts", "Resources" and "Sampling".
 *
 * Everything is in its wire shape. One schema serves all versions of the protocol: a member that a later version added is
 * optional. Members that this module does not know survive decoding and encoding.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { choice, choiceBy, isObject, Json, list, member, object } from "./internal/wire.ts"

/**
 * A JSON object whose members the protocol leaves open.
 *
 * @since 0.1.0
 * @category models
 */
export interface JsonObject {
  readonly [name: string]: unknown
}

/**
 * Metadata that either side may attach (2026-07-28, "Overview", `_meta`). Names with a prefix such as
 * `io.modelcontextprotocol/` are reserved for the protocol.
 *
 * @since 0.1.0
 * @category models
 */
export interface Meta {
  readonly [name: string]: unknown
}

/**
 * Who sent a message, or whom it is meant for.
 *
 * @since 0.1.0
 * @category models
 */
export type Role = "user" | "assistant"

/**
 * Hints for the display and the use of something.
 *
 * @since 0.1.0
 * @category models
 */
export interface Annotations {
  /** Whom it is meant for. */
  readonly audience?: ReadonlyArray<Role> | undefined
  /** From 0, entirely optional, to 1, effectively required. Values outside of this range are not refused. */
  readonly priority?: number | undefined
  /** When it was last modified, as ISO 8601 text. Since 2025-06-18. Not verified. */
  readonly lastModified?: string | undefined
}

/**
 * An image for a user interface. Since 2025-11-25.
 *
 * @since 0.1.0
 * @category models
 */
export interface Icon {
  /** An HTTP(S) or `data:` URI. It comes from the server: an SVG can contain scripts. */
  readonly src: string
  readonly mimeType?: string | undefined
  /** Such as `48x48`, or `any` for a scalable image; absent: any size. */
  readonly sizes?: ReadonlyArray<string> | undefined
  /** The background it was made for; absent: any. */
  readonly theme?: "light" | "dark" | undefined
}

/**
 * Text.
 *
 * @since 0.1.0
 * @category models
 */
export interface TextContent {
  readonly type: "text"
  readonly text: string
  readonly annotations?: Annotations | undefined
  readonly _meta?: Meta | undefined
}

/**
 * An image.
 *
 * @since 0.1.0
 * @category models
 */
export interface ImageContent {
  readonly type: "image"
  /** The image in Base64. Not verified. */
  readonly data: string
  readonly mimeType: string
  readonly annotations?: Annotations | undefined
  readonly _meta?: Meta | undefined
}

/**
 * Audio.
 *
 * @since 0.1.0
 * @category models
 */
export interface AudioContent {
  readonly type: "audio"
  /** The audio in Base64. Not verified. */
  readonly data: string
  readonly mimeType: string
  readonly annotations?: Annotations | undefined
  readonly _meta?: Meta | undefined
}

/**
 * A link to a resource that the client can read. It need not be in the server's list of resources. Since 2025-06-18.
 *
 * @since 0.1.0
 * @category models
 */
export interface ResourceLink {
  readonly type: "resource_link"
  readonly uri: string
  readonly name: string
  readonly title?: string | undefined
  readonly description?: string | undefined
  readonly mimeType?: string | undefined
  readonly annotations?: Annotations | undefined
  /** In bytes, before it is encoded. */
  readonly size?: number | undefined
  readonly icons?: ReadonlyArray<Icon> | undefined
  readonly _meta?: Meta | undefined
}

/**
 * Contents of a resource that is text.
 *
 * @since 0.1.0
 * @category models
 */
export interface TextResourceContents {
  readonly uri: string
  readonly mimeType?: string | undefined
  readonly text: string
  readonly _meta?: Meta | undefined
}

/**
 * Contents of a resource that is not text.
 *
 * @since 0.1.0
 * @category models
 */
export interface BlobResourceContents {
  readonly uri: string
  readonly mimeType?: string | undefined
  /** The contents in Base64. Not verified. */
  readonly blob: string
  readonly _meta?: Meta | undefined
}

/**
 * Contents of a resource. If a server sends both `text` and `blob`, it is text.
 *
 * @example
 * ```ts
 * import type { Content } from "@effect-mcp/client"
 *
 * const size = (contents: Content.ResourceContents): number =>
 *   "text" in contents ? contents.text.length : contents.blob.length
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export type ResourceContents = TextResourceContents | BlobResourceContents

/**
 * A resource as part of a message.
 *
 * @since 0.1.0
 * @category models
 */
export interface EmbeddedResource {
  readonly type: "resource"
  readonly resource: ResourceContents
  readonly annotations?: Annotations | undefined
  readonly _meta?: Meta | undefined
}

declare const UnknownContentTypeId: unique symbol

/**
 * The `type` of {@link UnknownContent}: a string that is none of the known types. At run time it is an ordinary string;
 * `String(block.type)` is it for TypeScript too.
 *
 * It is declared as an interface because TypeScript narrows a union by comparison with `"text"` only if no other member
 * has a type that could be `"text"`. A `string`, even a branded one, could.
 *
 * @since 0.1.0
 * @category models
 */
export interface UnknownContentType {
  readonly [UnknownContentTypeId]: never
  /** The type as a string. */
  toString(): string
}

/**
 * Content of a type that this module does not know, from a later version of the protocol or an extension. It is kept, so
 * that the other blocks of a result are not lost with it.
 *
 * @since 0.1.0
 * @category models
 */
export interface UnknownContent {
  readonly type: UnknownContentType
  readonly [name: string]: unknown
}

/**
 * A part of a message. Comparing `type` with one of the known types narrows to it.
 *
 * @example
 * ```ts
 * import type { Content } from "@effect-mcp/client"
 *
 * const texts = (blocks: ReadonlyArray<Content.ContentBlock>): ReadonlyArray<string> =>
 *   blocks.flatMap((block) => block.type === "text" ? [block.text] : [])
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export type ContentBlock =
  | TextContent
  | ImageContent
  | AudioContent
  | ResourceLink
  | EmbeddedResource
  | UnknownContent

/**
 * A language model asks for the use of a tool ("Sampling"). Since 2025-11-25.
 *
 * @since 0.1.0
 * @category models
 */
export interface ToolUseContent {
  readonly type: "tool_use"
  /** Identifies this use; the result refers to it. */
  readonly id: string
  /** Of the tool. */
  readonly name: string
  /** The tool's arguments. */
  readonly input: JsonObject
  readonly _meta?: Meta | undefined
}

/**
 * What the use of a tool came to ("Sampling"). Since 2025-11-25.
 *
 * @since 0.1.0
 * @category models
 */
export interface ToolResultContent {
  readonly type: "tool_result"
  /** The `id` of the {@link ToolUseContent}. */
  readonly toolUseId: string
  readonly content: ReadonlyArray<ContentBlock>
  /** Any JSON value; an object until 2025-11-25. */
  readonly structuredContent?: unknown
  /** Absent: false. */
  readonly isError?: boolean | undefined
  readonly _meta?: Meta | undefined
}

/**
 * @since 0.1.0
 * @category schemas
 */
export const JsonObject: Schema.Schema<JsonObject> = Schema.declare(isObject, {
  identifier: "JsonObject",
  arbitrary: () => (fc) =>
    fc.dictionary(fc.string({ maxLength: 5 }), fc.jsonValue({ maxDepth: 1 }), { maxKeys: 3, noNullPrototype: true })
})

/**
 * @since 0.1.0
 * @category schemas
 */
export const Meta: Schema.Schema<Meta> = JsonObject.annotations({ identifier: "Meta" })

/**
 * @since 0.1.0
 * @category schemas
 */
export const Role: Schema.Schema<Role> = Schema.Literal("user", "assistant").annotations({ identifier: "Role" })

/**
 * @since 0.1.0
 * @category schemas
 */
export const Annotations: Schema.Schema<Annotations> = object(
  "Annotations",
  Schema.Struct({
    audience: Schema.optional(list(Role)),
    priority: Schema.optional(Schema.Finite),
    lastModified: Schema.optional(Schema.String)
  })
)

/**
 * @since 0.1.0
 * @category schemas
 */
export const Icon: Schema.Schema<Icon> = object(
  "Icon",
  Schema.Struct({
    src: Schema.String,
    mimeType: Schema.optional(Schema.String),
    sizes: Schema.optional(list(Schema.String)),
    theme: Schema.optional(Schema.Literal("light", "dark"))
  })
)

const ofEveryBlock = {
  annotations: Schema.optional(Annotations),
  _meta: Schema.optional(Meta)
}

/**
 * @since 0.1.0
 * @category schemas
 */
export const TextContent: Schema.Schema<TextContent> = object(
  "TextContent",
  Schema.Struct({
    type: Schema.Literal("text"),
    text: Schema.String,
    ...ofEveryBlock
  })
)

/**
 * @since 0.1.0
 * @category schemas
 */
export const ImageContent: Schema.Schema<ImageContent> = object(
  "ImageContent",
  Schema.Struct({
    type: Schema.Literal("image"),
    data: Schema.String,
    mimeType: Schema.String,
    ...ofEveryBlock
  })
)

/**
 * @since 0.1.0
 * @category schemas
 */
export const AudioContent: Schema.Schema<AudioContent> = object(
  "AudioContent",
  Schema.Struct({
    type: Schema.Literal("audio"),
    data: Schema.String,
    mimeType: Schema.String,
    ...ofEveryBlock
  })
)

/**
 * @since 0.1.0
 * @category schemas
 */
export const ResourceLink: Schema.Schema<ResourceLink> = object(
  "ResourceLink",
  Schema.Struct({
    type: Schema.Literal("resource_link"),
    uri: Schema.String,
    name: Schema.String,
    title: Schema.optional(Schema.String),
    description: Schema.optional(Schema.String),
    mimeType: Schema.optional(Schema.String),
    size: Schema.optional(Schema.Finite),
    icons: Schema.optional(list(Icon)),
    ...ofEveryBlock
  })
)

const ofContents = {
  uri: Schema.String,
  mimeType: Schema.optional(Schema.String),
  _meta: Schema.optional(Meta)
}

/**
 * @since 0.1.0
 * @category schemas
 */
export const TextResourceContents: Schema.Schema<TextResourceContents> = object(
  "TextResourceContents",
  Schema.Struct({
    ...ofContents,
    text: Schema.String
  })
)

/**
 * @since 0.1.0
 * @category schemas
 */
export const BlobResourceContents: Schema.Schema<BlobResourceContents> = object(
  "BlobResourceContents",
  Schema.Struct({
    ...ofContents,
    blob: Schema.String
  })
)

const textContents = member(TextResourceContents)
const blobContents = member(BlobResourceContents)

/**
 * @since 0.1.0
 * @category schemas
 */
export const ResourceContents: Schema.Schema<ResourceContents> = choiceBy<ResourceContents>({
  identifier: "ResourceContents",
  members: [textContents, blobContents],
  choose: (value) => value.text === undefined && value.blob !== undefined ? blobContents : textContents
})

/**
 * @since 0.1.0
 * @category schemas
 */
export const EmbeddedResource: Schema.Schema<EmbeddedResource> = object(
  "EmbeddedResource",
  Schema.Struct({
    type: Schema.Literal("resource"),
    resource: ResourceContents,
    ...ofEveryBlock
  })
)

const isKnownType = (type: string): boolean =>
  type === "text" || type === "image" || type === "audio" || type === "resource_link" || type === "resource"

/**
 * @example
 * ```ts
 * import { Content } from "@effect-mcp/client"
 *
 * const describe = (block: Content.ContentBlock): string =>
 *   Content.isUnknownContent(block) ? `something new: ${block.type}` : block.type
 * ```
 *
 * @since 0.1.0
 * @category guards
 */
export const isUnknownContent = (u: unknown): u is UnknownContent =>
  isObject(u) && typeof u.type === "string" && !isKnownType(u.type)

/**
 * @since 0.1.0
 * @category schemas
 */
export const UnknownContent: Schema.Schema<UnknownContent> = Schema.declare(isUnknownContent, {
  identifier: "UnknownContent",
  arbitrary: () => (fc) =>
    fc.record({ type: fc.string({ maxLength: 8 }), value: fc.jsonValue({ maxDepth: 1 }) })
      .map((block): unknown => block)
      .filter(isUnknownContent)
})

/**
 * Accepts content of unknown types. Content of a known type has to be right.
 *
 * @since 0.1.0
 * @category schemas
 */
export const ContentBlock: Schema.Schema<ContentBlock> = choice<ContentBlock>({
  identifier: "ContentBlock",
  key: "type",
  members: {
    text: member(TextContent),
    image: member(ImageContent),
    audio: member(AudioContent),
    resource_link: member(ResourceLink),
    resource: member(EmbeddedResource)
  },
  other: member(UnknownContent)
})

/**
 * @since 0.1.0
 * @category schemas
 */
export const ToolUseContent: Schema.Schema<ToolUseContent> = object(
  "ToolUseContent",
  Schema.Struct({
    type: Schema.Literal("tool_use"),
    id: Schema.String,
    name: Schema.String,
    input: JsonObject,
    _meta: Schema.optional(Meta)
  })
)

/**
 * @since 0.1.0
 * @category schemas
 */
export const ToolResultContent: Schema.Schema<ToolResultContent> = object(
  "ToolResultContent",
  Schema.Struct({
    type: Schema.Literal("tool_result"),
    toolUseId: Schema.String,
    content: list(ContentBlock),
    structuredContent: Schema.optional(Json),
    isError: Schema.optional(Schema.Boolean),
    _meta: Schema.optional(Meta)
  })
)
