/**
 * All schemas of the client, and ways of changing values of theirs.
 */
import * as Capability from "@effect-mcp/client/Capability"
import * as Completion from "@effect-mcp/client/Completion"
import * as Content from "@effect-mcp/client/Content"
import * as Elicitation from "@effect-mcp/client/Elicitation"
import * as InputRequired from "@effect-mcp/client/InputRequired"
import * as Lifecycle from "@effect-mcp/client/Lifecycle"
import * as Logging from "@effect-mcp/client/Logging"
import * as Progress from "@effect-mcp/client/Progress"
import * as Prompt from "@effect-mcp/client/Prompt"
import * as Resource from "@effect-mcp/client/Resource"
import * as Roots from "@effect-mcp/client/Roots"
import * as Sampling from "@effect-mcp/client/Sampling"
import * as Subscription from "@effect-mcp/client/Subscription"
import * as Tool from "@effect-mcp/client/Tool"
import * as FastCheck from "effect/FastCheck"
import * as Schema from "effect/Schema"

const modules = {
  Capability,
  Completion,
  Content,
  Elicitation,
  InputRequired,
  Lifecycle,
  Logging,
  Progress,
  Prompt,
  Resource,
  Roots,
  Sampling,
  Subscription,
  Tool
}

export type AnySchema = Schema.Schema<unknown>

const isAnySchema = (u: unknown): u is AnySchema => Schema.isSchema(u)

/** Whatever the modules export as a schema: one that is added is tested too. */
export const schemas: ReadonlyArray<readonly [name: string, schema: AnySchema]> = Object.entries(modules).flatMap((
  [module, exported]
) => Object.entries(exported).flatMap(([name, value]) => isAnySchema(value) ? [[`${module}.${name}`, value]] : []))

export const json = FastCheck.jsonValue({ maxDepth: 1 })

const unknownName = FastCheck.oneof(
  { weight: 4, arbitrary: FastCheck.string({ maxLength: 5 }).map((name) => `x-${name}`) },
  { weight: 1, arbitrary: FastCheck.constant("__proto__") }
)

/** One of them can be called `__proto__`, as JSON can have it. */
export const unknownMembers = FastCheck.array(FastCheck.tuple(unknownName, json), { minLength: 1, maxLength: 3 }).map((
  entries
): { readonly [name: string]: unknown } => Object.fromEntries(entries))

export const isObject = (u: unknown): u is { readonly [name: string]: unknown } =>
  typeof u === "object" && u !== null && !Array.isArray(u)

/** Schemas of objects in which every member means something. */
const records = new Set([
  "InputRequired.InputRequests",
  "InputRequired.InputResponses",
  "Elicitation.ElicitContent"
])

/** Adds members to the value and to every object inside of it in which the sender does not choose the names. */
export const extended = (name: string, value: unknown, members: { readonly [name: string]: unknown }): unknown => {
  const go = (value: unknown, isRecord: boolean): unknown => {
    if (Array.isArray(value)) return value.map((item) => go(item, false))
    if (!isObject(value)) return value
    const entries = Object.entries(value).map(([key, inner]) =>
      [
        key,
        go(inner, key === "properties" || key === "inputRequests" || (key === "content" && "action" in value))
      ] as const
    )
    return Object.fromEntries(isRecord ? entries : [...entries, ...Object.entries(members)])
  }
  return go(value, records.has(name))
}

type Path = ReadonlyArray<string | number>

const pathsOf = (value: unknown, path: Path = []): ReadonlyArray<Path> => [
  path,
  ...(Array.isArray(value)
    ? value.flatMap((item, index) => pathsOf(item, [...path, index]))
    : isObject(value)
    ? Object.entries(value).flatMap(([name, inner]) => pathsOf(inner, [...path, name]))
    : [])
]

const changedAt = (value: unknown, [first, ...rest]: Path, by: { readonly value: unknown } | "Removed"): unknown => {
  if (first === undefined) return by === "Removed" ? null : by.value
  const isRemoved = rest.length === 0 && by === "Removed"
  if (Array.isArray(value)) {
    return value.flatMap((item, index) => index !== first ? [item] : isRemoved ? [] : [changedAt(item, rest, by)])
  }
  return isObject(value)
    ? Object.fromEntries(
      Object.entries(value).flatMap(([name, inner]) =>
        name !== first ? [[name, inner]] : isRemoved ? [] : [[name, changedAt(inner, rest, by)]]
      )
    )
    : value
}

/** A value with one thing inside of it, anywhere, removed or replaced by something else. */
export const broken = (values: FastCheck.Arbitrary<unknown>): FastCheck.Arbitrary<unknown> => {
  const other = FastCheck.oneof(
    FastCheck.constantFrom<unknown>(null, true, 0, 1.5, NaN, Infinity, "", "text", "user", "light", "x", [], {}, [1], [
      "user"
    ], undefined),
    json
  )
  const change = FastCheck.oneof(
    FastCheck.constant("Removed" as const),
    other.map((value) => ({ value }))
  )
  return FastCheck.tuple(values, FastCheck.nat(), change).map(([value, at, by]) => {
    const paths = pathsOf(value)
    return changedAt(value, paths[at % paths.length] ?? [], by)
  })
}
