/**
 * Whether a request is the one that was recorded. A placeholder in the recorded one stands for any text.
 */
import type { Request } from "../../Cassette.ts"
import { decodeUtf8, isEqual, textOf } from "./bytes.ts"
import type { RawBody } from "./raw.ts"
import { betweenPlaceholders, isNumberPlaceholder } from "./secrets.ts"

/** What is compared of a request. */
export interface Asked {
  readonly method: string
  readonly url: string
  readonly lastEventId: string | undefined
  readonly body: RawBody
}

/** How strict: a text may have to be the very same, or to fit around the placeholders. */
export type SameText = (recorded: string, asked: string) => boolean

export const exactly: SameText = (recorded, asked) => recorded === asked

export const aroundPlaceholders: SameText = (recorded, asked) => {
  if (recorded === asked) return true
  const parts = betweenPlaceholders(recorded)
  const first = parts[0]
  const last = parts.at(-1)
  if (parts.length < 2 || first === undefined || last === undefined || !asked.startsWith(first)) return false
  let at = first.length
  for (const part of parts.slice(1, -1)) {
    const found = asked.indexOf(part, at + 1)
    if (found < 0) return false
    at = found + part.length
  }
  return asked.length - last.length > at && asked.endsWith(last)
}

export const matches = (recorded: Request, asked: Asked, same: SameText): boolean =>
  recorded.method === asked.method &&
  same(recorded.url, asked.url) &&
  sameOptional(recorded.headers["last-event-id"], asked.lastEventId, same) &&
  sameBody(recorded.body, asked.body, same)

const sameOptional = (recorded: string | undefined, asked: string | undefined, same: SameText): boolean =>
  recorded === undefined || asked === undefined ? recorded === asked : same(recorded, asked)

const sameBody = (recorded: Request["body"], asked: RawBody, same: SameText): boolean => {
  if (recorded === undefined) return asked === undefined
  // What was not written down cannot be compared.
  if (typeof recorded === "object" && "omitted" in recorded) return asked !== undefined
  if (!(asked instanceof Uint8Array)) return false
  if (typeof recorded === "object") return isEqual(recorded.bytes, asked)
  const text = textOf(asked)
  if (text === undefined) return false
  const [recordedJson, askedJson] = [parse(recorded), parse(text)]
  return recordedJson === undefined || askedJson === undefined
    ? same(recorded, text)
    : sameJson(recordedJson.value, askedJson.value, same)
}

const parse = (text: string): { readonly value: unknown } | undefined => {
  try {
    return { value: JSON.parse(text) }
  } catch {
    return undefined
  }
}

const isObject = (value: unknown): value is { readonly [name: string]: unknown } =>
  typeof value === "object" && value !== null && !Array.isArray(value)

const sameJson = (recorded: unknown, asked: unknown, same: SameText): boolean => {
  if (typeof recorded === "string") return typeof asked === "string" && same(recorded, asked)
  if (typeof recorded === "number") {
    return recorded === asked || (typeof asked === "number" && same !== exactly && isNumberPlaceholder(recorded))
  }
  if (Array.isArray(recorded)) {
    return Array.isArray(asked) && recorded.length === asked.length &&
      recorded.every((element: unknown, index) => sameJson(element, asked[index], same))
  }
  return isObject(recorded) ? isObject(asked) && sameMembers(recorded, asked, same) : recorded === asked
}

const sameMembers = (
  recorded: { readonly [name: string]: unknown },
  asked: { readonly [name: string]: unknown },
  same: SameText
): boolean => {
  const left = new Set(Object.keys(asked))
  const names = Object.keys(recorded)
  if (names.length !== left.size) return false
  return names.every((name) => {
    const found = left.has(name) ? name : Array.from(left).find((other) => same(name, other))
    return found !== undefined && left.delete(found) && sameJson(recorded[name], asked[found], same)
  })
}

/** One line: `POST /mcp tools/call 1`, `GET /mcp after e7`. */
export const describe = (request: Request): string => {
  const lastEventId = request.headers["last-event-id"]
  return [
    request.method,
    request.url,
    ...message(request.body),
    ...(lastEventId === undefined ? [] : ["after", lastEventId])
  ].join(" ")
}

const message = (body: Request["body"]): ReadonlyArray<string> => {
  if (body === undefined) return []
  if (typeof body === "object") return ["with a body that is not text"]
  const json = parse(body)?.value
  if (!isObject(json)) return ["with a body that is not JSON"]
  const id = json.id === undefined ? [] : [JSON.stringify(json.id)]
  return [typeof json.method === "string" ? json.method : "with JSON", ...id]
}

/** Puts the user's function over the texts of a request. */
export const redactAsked = (asked: Asked, redact: (text: string) => string): Asked => ({
  method: asked.method,
  url: redact(asked.url),
  lastEventId: asked.lastEventId === undefined ? undefined : redact(asked.lastEventId),
  body: asked.body instanceof Uint8Array && textOf(asked.body) !== undefined
    ? new TextEncoder().encode(redact(decodeUtf8(asked.body)))
    : asked.body
})
