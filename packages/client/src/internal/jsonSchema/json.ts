/**
 * A schema as a JSON value of our own: the original stays as it is, and what happens to it later does not matter.
 */
import { limits } from "./limits.ts"
import { invalid, tooComplex } from "./problem.ts"

export type Json = null | boolean | number | string | ReadonlyArray<Json> | JsonObject

/** Without a prototype: only what the schema has is there, `__proto__` like any other name. */
export interface JsonObject {
  readonly [key: string]: Json
}

export const isObject = (value: Json | undefined): value is JsonObject =>
  typeof value === "object" && value !== null && !isArray(value)

export const isArray = (value: Json | undefined): value is ReadonlyArray<Json> => Array.isArray(value)

export const isStrings = (value: Json): value is ReadonlyArray<string> =>
  isArray(value) && value.every((item) => typeof item === "string")

export const copyJson = (schema: unknown): Json => {
  let nodes = 0
  const copy = (value: unknown, depth: number): Json => {
    if (++nodes > limits.schemaNodes) throw tooComplex(`a schema has at most ${limits.schemaNodes} nodes`)
    if (depth > limits.schemaNesting) throw tooComplex(`a schema nests at most ${limits.schemaNesting} levels`)
    if (value === null || typeof value === "boolean" || typeof value === "string") return value
    if (typeof value === "number" && Number.isFinite(value)) return value
    if (Array.isArray(value)) return value.map((item: unknown) => copy(item, depth + 1))
    if (typeof value !== "object") throw invalid("a schema has JSON values only")
    const object: { [key: string]: Json } = Object.create(null)
    for (const key of Object.keys(value)) {
      const member: unknown = Reflect.get(value, key)
      // As JSON.stringify has it.
      if (member !== undefined) object[key] = copy(member, depth + 1)
    }
    return object
  }
  return copy(schema, 0)
}
