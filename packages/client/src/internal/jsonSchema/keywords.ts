/**
 * The value of one keyword: what it has to be, what the evaluator gets, and what a visit of it costs.
 */
import type * as CfWorker from "@cfworker/json-schema"
import type { Keywords, Shape } from "./dialects.ts"
import { isArray, isObject, isStrings, type Json, type JsonObject } from "./json.ts"
import { unicodePattern } from "./patterns.ts"
import { invalid } from "./problem.ts"

export interface Keyword {
  readonly name: string
  readonly shape: Shape
  readonly value: Json
}

/** The value of a keyword as the evaluator takes it. */
export const valueOf = ({ name, shape, value }: Keyword, schemaOf: (schema: Json) => CfWorker.Schema): unknown => {
  const wrong = (expected: string) => invalid(`the value of "${name}" is not ${expected}`)
  const check = (condition: boolean, expected: string): Json => {
    if (!condition) throw wrong(expected)
    return value
  }
  const mapOf = (each: (member: Json) => unknown, nameOf: (key: string) => string = (key) => key) => {
    if (!isObject(value)) throw wrong("an object")
    const map: { [key: string]: unknown } = Object.create(null)
    for (const [key, member] of Object.entries(value)) {
      let name = nameOf(key)
      // Two patterns can be written alike.
      while (name in map) name = `(?:${name})`
      map[name] = each(member)
    }
    return map
  }
  const strings = (member: Json) => {
    if (!isStrings(member)) throw wrong("made of arrays of strings")
    return member
  }
  switch (shape) {
    case "Schema":
      return schemaOf(value)
    case "Schemas":
      if (!isArray(value)) throw wrong("an array of schemas")
      return value.map(schemaOf)
    case "SchemaOrSchemas":
      return isArray(value) ? value.map(schemaOf) : schemaOf(value)
    case "SchemaMap":
      return mapOf(schemaOf, name === "patternProperties" ? unicodePattern : undefined)
    case "Definitions":
      return mapOf(schemaOf)
    case "SchemaOrStringsMap":
      return mapOf((member) => isArray(member) ? strings(member) : schemaOf(member))
    case "StringsMap":
      return mapOf(strings)
    case "Strings":
      return check(isStrings(value), "an array of strings")
    case "Type":
      return check(isArray(value) ? isTypes(value) : types.has(value), "a type or several, each once")
    case "Values":
      return check(isArray(value), "an array")
    case "Value":
      return value
    case "Number":
      return check(typeof value === "number", "a number")
    case "Positive":
      return check(typeof value === "number" && value > 0, "a number above 0")
    case "Count":
      return check(typeof value === "number" && Number.isInteger(value) && value >= 0, "a non-negative integer")
    case "Boolean":
      return check(typeof value === "boolean", "a boolean")
    case "Pattern":
      if (typeof value !== "string") throw wrong("a string")
      return unicodePattern(value)
  }
}

const types: ReadonlySet<unknown> = new Set(["array", "boolean", "integer", "null", "number", "object", "string"])

const isTypes = (value: ReadonlyArray<Json>): boolean =>
  value.length > 0 && new Set(value).size === value.length && value.every((type) => types.has(type))

/** What a visit that fails may repeat in messages. */
const repeated: ReadonlySet<Shape> = new Set(["Pattern", "Strings", "StringsMap", "Value", "Values"])

/**
 * What a visit of a schema counts: one, and more when the schema itself is large, as every visit that fails may repeat
 * in messages what is required or allowed.
 */
export const costOf = (schema: JsonObject, keywords: Keywords): number => {
  let cost = 1
  for (const [keyword, shape] of keywords) {
    const value = schema[keyword]
    if (value === undefined) continue
    if (shape === "Strings" && isArray(value)) cost += value.length
    if (keyword === "patternProperties" && isObject(value)) cost += Object.keys(value).length
    if (repeated.has(shape)) cost += Math.floor(JSON.stringify(value).length / 64)
    if ((shape === "SchemaMap" || shape === "SchemaOrStringsMap") && isObject(value)) {
      cost += Math.floor(Object.keys(value).length / 16)
    }
  }
  return cost
}
