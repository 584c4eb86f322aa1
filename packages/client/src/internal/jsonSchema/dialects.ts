/**
 * The dialects of JSON Schema, and which keywords each has.
 */
import { isArray, isObject, type Json, type JsonObject } from "./json.ts"
import { clip, invalid, Rejection } from "./problem.ts"

export type Draft = "4" | "7" | "2019-09" | "2020-12"

/** Without the scheme and an empty fragment. */
const dialects: ReadonlyMap<string, Draft> = new Map([
  ["json-schema.org/draft/2020-12/schema", "2020-12"],
  ["json-schema.org/draft/2019-09/schema", "2019-09"],
  ["json-schema.org/draft-07/schema", "7"],
  ["json-schema.org/draft-04/schema", "4"]
])

/** What the value of a keyword has to be. */
export type Shape =
  | "Schema"
  | "Schemas"
  | "SchemaOrSchemas"
  | "SchemaMap"
  | "SchemaOrStringsMap"
  | "Definitions"
  | "Strings"
  | "StringsMap"
  | "Type"
  | "Values"
  | "Value"
  | "Number"
  | "Positive"
  | "Count"
  | "Boolean"
  | "Pattern"

export type Keywords = ReadonlyMap<string, Shape>

const draft4: ReadonlyArray<readonly [string, Shape]> = [
  ["type", "Type"],
  ["enum", "Values"],
  ["required", "Strings"],
  ["not", "Schema"],
  ["allOf", "Schemas"],
  ["anyOf", "Schemas"],
  ["oneOf", "Schemas"],
  ["definitions", "Definitions"],
  ["properties", "SchemaMap"],
  ["patternProperties", "SchemaMap"],
  ["additionalProperties", "Schema"],
  ["dependencies", "SchemaOrStringsMap"],
  ["minProperties", "Count"],
  ["maxProperties", "Count"],
  ["items", "SchemaOrSchemas"],
  ["additionalItems", "Schema"],
  ["minItems", "Count"],
  ["maxItems", "Count"],
  ["uniqueItems", "Boolean"],
  ["minimum", "Number"],
  ["maximum", "Number"],
  ["exclusiveMinimum", "Boolean"],
  ["exclusiveMaximum", "Boolean"],
  ["multipleOf", "Positive"],
  ["minLength", "Count"],
  ["maxLength", "Count"],
  ["pattern", "Pattern"]
]

const draft7: typeof draft4 = [
  ...draft4,
  ["const", "Value"],
  ["if", "Schema"],
  ["then", "Schema"],
  ["else", "Schema"],
  ["propertyNames", "Schema"],
  ["contains", "Schema"],
  ["exclusiveMinimum", "Number"],
  ["exclusiveMaximum", "Number"]
]

const draft2019: typeof draft4 = [
  ...draft7,
  ["$defs", "Definitions"],
  ["dependentRequired", "StringsMap"],
  ["dependentSchemas", "SchemaMap"],
  ["minContains", "Count"],
  ["maxContains", "Count"],
  ["unevaluatedItems", "Schema"],
  ["unevaluatedProperties", "Schema"]
]

const draft2020: typeof draft4 = [
  ...draft2019.filter(([keyword]) => keyword !== "additionalItems"),
  ["prefixItems", "Schemas"],
  ["items", "Schema"]
]

export const keywordsOf: { readonly [D in Draft]: Keywords } = {
  "4": new Map(draft4),
  "7": new Map(draft7),
  "2019-09": new Map(draft2019),
  "2020-12": new Map(draft2020)
}

/** Keywords that apply to the same value as the schema they are in. */
export const inPlace: ReadonlySet<string> = new Set([
  "not",
  "allOf",
  "anyOf",
  "oneOf",
  "if",
  "then",
  "else",
  "dependentSchemas",
  "dependencies"
])

export const draftOf = (schema: Json): Draft => {
  const dialect = isObject(schema) ? schema.$schema : undefined
  if (dialect === undefined) return "2020-12"
  if (typeof dialect !== "string") throw invalid("the $schema is not a string")
  const draft = dialects.get(dialect.replace(/^https?:\/\//, "").replace(/#$/, ""))
  if (draft === undefined) throw new Rejection({ _tag: "UnsupportedDialect", dialect: clip(dialect) })
  return draft
}

/** Before 2019-09 what stands beside a `$ref` is ignored. */
export const isReferenceOnly = (schema: JsonObject, draft: Draft): boolean =>
  (draft === "4" || draft === "7") && typeof schema.$ref === "string"

/** The schemas that the keywords of a schema have as values. */
export function* childrenOf(schema: JsonObject, keywords: Keywords): Iterable<Json> {
  for (const [keyword, shape] of keywords) {
    const value = schema[keyword]
    if (value === undefined) continue
    switch (shape) {
      case "Schema":
        yield value
        break
      case "Schemas":
      case "SchemaOrSchemas":
        yield* isArray(value) ? value : [value]
        break
      case "SchemaMap":
      case "SchemaOrStringsMap":
      case "Definitions":
        if (isObject(value)) yield* Object.values(value)
    }
  }
}
