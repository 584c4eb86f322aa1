/**
 * Arguments of a tool that also travel as headers: which ones its `inputSchema` names with `x-mcp-header`, and what
 * the headers of one call are.
 *
 * Specification 2026-07-28, basic/transports/streamable-http: "Custom Headers from Tool Parameters", "Value Encoding".
 */
import * as Either from "effect/Either"
import * as Encoding from "effect/Encoding"

export type HeaderParameterType = "string" | "integer" | "boolean"

/** One annotated parameter. */
export interface HeaderParameter {
  /** The whole name of the header, as the server wrote its last part: `Mcp-Param-Region`. */
  readonly header: string
  /** The chain of `properties` keys, which is also where the value is in the arguments. */
  readonly path: ReadonlyArray<string>
  readonly type: HeaderParameterType
}

const annotation = "x-mcp-header"

const headerPrefix = "Mcp-Param-"

/** `1*tchar` (RFC 9110 section 5.6.2). */
const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/

/** A server can send a schema of any size. This many objects, arrays and values of it are looked at. */
const maximumNodes = 100_000

/** What these keywords hold is a value, never a schema: an `x-mcp-header` in there annotates nothing. */
const dataKeywords: ReadonlySet<string> = new Set(["const", "default", "enum", "examples"])

/** The keys of what these keywords hold are names that a server chose, not keywords. */
const mapKeywords: ReadonlySet<string> = new Set([
  "$defs",
  "definitions",
  "dependencies",
  "dependentRequired",
  "dependentSchemas",
  "patternProperties",
  "properties"
])

/** A place in the schema, linked to the one it is in: most places are never named. */
interface Place {
  readonly key: string
  readonly parent: Place | undefined
}

interface Node {
  readonly value: unknown
  readonly place: Place | undefined
  /** What the keys of an object are here: keywords of a schema, or names. */
  readonly keys: "Keywords" | "Names"
  /** How the root leads here: by nothing but `properties` (then to the schema of a property), or another way. */
  readonly reached: "Root" | "Properties" | "Property" | "Otherwise"
}

/**
 * All annotations of an input schema, or, for a human, where and why it is invalid: then the whole tool definition is.
 * The whole schema is searched, as an annotation that no chain of `properties` reaches makes it invalid too.
 */
export const readAnnotations = (inputSchema: unknown): Either.Either<ReadonlyArray<HeaderParameter>, string> => {
  const parameters: Array<HeaderParameter> = []
  const placesByName = new Map<string, string>()
  const queue: Array<Node> = [{ value: inputSchema, place: undefined, keys: "Keywords", reached: "Root" }]
  for (let index = 0; index < queue.length; index++) {
    const node = queue[index]
    if (node === undefined || typeof node.value !== "object" || node.value === null) continue
    if (node.keys === "Keywords" && !Array.isArray(node.value) && Object.hasOwn(node.value, annotation)) {
      const parameter = readAnnotation(node, node.value)
      if (Either.isLeft(parameter)) return Either.left(parameter.left)
      const name = parameter.right.header.toLowerCase()
      const other = placesByName.get(name)
      const place = describePlace(node.place)
      if (other !== undefined) return Either.left(`${place}: the ${annotation} is the same as that of ${other}`)
      placesByName.set(name, place)
      parameters.push(parameter.right)
    }
    for (const key of Object.keys(node.value)) {
      if (queue.length >= maximumNodes) return Either.left(`the schema has more than ${maximumNodes} parts`)
      if (node.keys === "Keywords" && (dataKeywords.has(key) || key === annotation)) continue
      queue.push(childOf(node, key, Reflect.get(node.value, key)))
    }
  }
  return Either.right(parameters)
}

const childOf = (node: Node, key: string, value: unknown): Node => {
  const place = { key, parent: node.place }
  if (node.keys === "Names") {
    return { value, place, keys: "Keywords", reached: node.reached === "Properties" ? "Property" : "Otherwise" }
  }
  const isMap = mapKeywords.has(key) && !Array.isArray(node.value) && !Array.isArray(value)
  const isChain = isMap && key === "properties" && node.reached !== "Otherwise"
  return { value, place, keys: isMap ? "Names" : "Keywords", reached: isChain ? "Properties" : "Otherwise" }
}

const readAnnotation = (node: Node, schema: object): Either.Either<HeaderParameter, string> => {
  const invalid = (reason: string) => Either.left(`${describePlace(node.place)}: ${reason}`)
  const name: unknown = Reflect.get(schema, annotation)
  const type: unknown = Object.hasOwn(schema, "type") ? Reflect.get(schema, "type") : undefined
  if (typeof name !== "string") return invalid(`the ${annotation} is not a string`)
  if (name === "") return invalid(`the ${annotation} is empty`)
  if (!token.test(name)) return invalid(`the ${annotation} has characters that a header name cannot have`)
  if (node.reached !== "Property") {
    return invalid(`an ${annotation} is only allowed on a property that the root leads to by "properties" alone`)
  }
  if (type !== "string" && type !== "integer" && type !== "boolean") {
    return invalid(`the type of a parameter with an ${annotation} must be string, integer or boolean`)
  }
  return Either.right({ header: headerPrefix + name, path: propertyPath(node.place), type })
}

const keysOf = (place: Place | undefined): ReadonlyArray<string> => {
  const keys: Array<string> = []
  for (let at = place; at !== undefined; at = at.parent) keys.push(at.key)
  return keys.reverse()
}

/** Every second key of the chain is "properties". */
const propertyPath = (place: Place | undefined): ReadonlyArray<string> =>
  keysOf(place).filter((_, index) => index % 2 === 1)

/** A place as a JSON pointer, cut where a server made it long. */
const describePlace = (place: Place | undefined): string => {
  const pointer = keysOf(place).map((key) => `/${key.replaceAll("~", "~0").replaceAll("/", "~1")}`).join("")
  if (pointer === "") return "the root of the schema"
  return JSON.stringify(pointer.length > 200 ? `${pointer.slice(0, 200)}...` : pointer)
}

/**
 * The headers of one call. A parameter without a value, or with null, has none. Left, for a human and without the
 * value, when an argument is not of the type the schema gives it or cannot be carried.
 */
export const headersOf = (
  parameters: ReadonlyArray<HeaderParameter>,
  args: unknown
): Either.Either<Record<string, string>, string> => {
  const headers: Record<string, string> = {}
  for (const parameter of parameters) {
    const value = valueAt(args, parameter.path)
    if (value === undefined || value === null) continue
    const text = textOf(value, parameter.type)
    if (Either.isLeft(text)) {
      return Either.left(`the argument ${JSON.stringify(parameter.path.join("."))} ${text.left}`)
    }
    headers[parameter.header] = encodeValue(text.right)
  }
  return Either.right(headers)
}

const valueAt = (args: unknown, path: ReadonlyArray<string>): unknown => {
  let value = args
  for (const key of path) {
    if (typeof value !== "object" || value === null || Array.isArray(value) || !Object.hasOwn(value, key)) {
      return undefined
    }
    value = Reflect.get(value, key)
  }
  return value
}

const textOf = (value: unknown, type: HeaderParameterType): Either.Either<string, string> => {
  switch (type) {
    case "string":
      if (typeof value !== "string") return Either.left("is not a string")
      // Not text that UTF-8 can carry: the header would say something else than the body.
      return /\p{Surrogate}/u.test(value) ? Either.left("is not well-formed Unicode") : Either.right(value)
    case "integer":
      // A safe integer is always written in digits, without an exponent or a fraction.
      return Number.isSafeInteger(value) ? Either.right(String(value)) : Either.left("is not a safe integer")
    case "boolean":
      return typeof value === "boolean" ? Either.right(String(value)) : Either.left("is not a boolean")
  }
}

/** A value as it can stand in a header: as it is, or in the Base64 form, also when empty: that can pass for absent. */
const encodeValue = (value: string): string => {
  const isPlain = /^[\x20-\x7e]+$/.test(value) && value.trim() === value
  const isSentinel = value.startsWith("=?base64?") && value.endsWith("?=")
  return isPlain && !isSentinel ? value : `=?base64?${Encoding.encodeBase64(value)}?=`
}
