/**
 * What a language model is told of a tool's result. It is given JSON and nothing else.
 */
import * as Encoding from "effect/Encoding"
import * as Equal from "effect/Equal"
import * as Utils from "effect/Utils"
import type { ContentBlock } from "../Content.ts"
import type { CallToolResult } from "../Tool.ts"

/**
 * - only text: the texts, joined
 * - only structured content, or a text that is the same as JSON: the structured content
 * - else: an object with what there is of `text`, `structuredContent` and the other blocks as `content`
 */
export const modelOutput = ({ content, structuredContent }: CallToolResult): unknown => {
  const text = textOf(content)
  const others = content.filter(({ type }) => type !== "text").map(withoutData)
  if (others.length === 0) {
    if (structuredContent === undefined) return text
    if (text === "" || isJsonOf(text, structuredContent)) return structuredContent
  }
  return {
    ...(text === "" ? {} : { text }),
    ...(structuredContent === undefined ? {} : { structuredContent }),
    ...(others.length === 0 ? {} : { content: others })
  }
}

const textOf = (content: ReadonlyArray<ContentBlock>): string =>
  content.flatMap((block) => block.type === "text" ? [block.text] : []).join("\n")

/** Servers repeat structured content as a text, for clients that do not know it (2026-07-28, "Structured Content"). */
const isJsonOf = (text: string, value: unknown): boolean => {
  try {
    const parsed: unknown = JSON.parse(text)
    return Utils.structuralRegion(() => Equal.equals(parsed, value))
  } catch {
    return false
  }
}

/** Base64 tells a model nothing and is long: its size is told instead. */
const withoutData = (block: ContentBlock): unknown => {
  switch (block.type) {
    case "image":
    case "audio": {
      const { data, ...others } = block
      return { ...others, size: sizeOf(data), omitted: "data" }
    }
    case "resource": {
      if (!("blob" in block.resource) || "text" in block.resource) return block
      const { blob, ...others } = block.resource
      return { ...block, resource: { ...others, size: sizeOf(blob), omitted: "blob" } }
    }
    default:
      return block
  }
}

/** In bytes. */
const sizeOf = (base64: string): number => Math.floor(base64.replace(/[\s=]/g, "").length * 3 / 4)

export interface BinaryContent {
  readonly mimeType: string
  readonly bytes: Uint8Array
  /** Of a resource. */
  readonly uri?: string
}

/** What is left out for the model. What is no Base64 is not among it. */
export const binaryContents = ({ content }: CallToolResult): ReadonlyArray<BinaryContent> =>
  content.flatMap((block): ReadonlyArray<BinaryContent> => {
    switch (block.type) {
      case "image":
      case "audio":
        return decoded(block.data, { mimeType: block.mimeType })
      case "resource": {
        const { resource } = block
        if (!("blob" in resource) || "text" in resource) return []
        return decoded(resource.blob, { mimeType: resource.mimeType ?? "application/octet-stream", uri: resource.uri })
      }
      default:
        return []
    }
  })

const decoded = (base64: string, about: Omit<BinaryContent, "bytes">): ReadonlyArray<BinaryContent> => {
  const bytes = Encoding.decodeBase64(base64)
  return bytes._tag === "Left" ? [] : [{ ...about, bytes: bytes.right }]
}
