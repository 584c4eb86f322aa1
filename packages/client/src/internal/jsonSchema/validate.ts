/**
 * Applies a prepared schema to a value, and says in our words what is wrong with it.
 */
import * as CfWorker from "@cfworker/json-schema"
import { Exhausted, limits, type Meter } from "./limits.ts"
import type { Prepared } from "./prepare.ts"
import { clip, messageOf } from "./problem.ts"

export interface Violation {
  /** Where in the value. */
  readonly path: ReadonlyArray<string | number>
  readonly message: string
  /** The keyword, as a JSON pointer through the references that were followed; "#" when no keyword is to blame. */
  readonly schemaPath: string
}

export const validate = (prepared: Prepared, meter: Meter, value: unknown): ReadonlyArray<Violation> => {
  try {
    const nodes = measure(value)
    if (typeof nodes === "string") return refusal(nodes)
    meter.start()
    const { draft, lookup, root } = prepared
    const { errors, valid } = CfWorker.validate(value, root, draft, lookup, nodes > limits.thoroughNodes)
    return valid ? [] : violationsOf(value, errors)
  } catch (error) {
    // RangeError: many references at each level of a deep value exhaust the call stack before the depth is reached.
    if (error instanceof Exhausted || error instanceof RangeError) return refusal("Too complex to be validated.")
    return refusal(`Cannot be validated: ${messageOf(error)}`)
  }
}

const refusal = (message: string): ReadonlyArray<Violation> => [{ path: [], message, schemaPath: "#" }]

/** The nodes of a value, or why it cannot be validated. Takes no stack, however deep the value is. */
const measure = (value: unknown): number | string => {
  const stack: Array<readonly [value: unknown, depth: number]> = [[value, 0]]
  let nodes = 1
  for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
    const [current, depth] = next
    if (typeof current !== "object" || current === null) {
      if (current === null || ["boolean", "number", "string"].includes(typeof current)) continue
      return "Not a JSON value."
    }
    if (depth === limits.valueDepth) return `Nests more than ${limits.valueDepth} levels.`
    const keys = Array.isArray(current) ? undefined : Object.keys(current)
    nodes += keys?.length ?? (Array.isArray(current) ? current.length : 0)
    if (nodes > limits.valueNodes) return `Has more than ${limits.valueNodes} nodes.`
    for (const key of keys ?? []) {
      // No location can be given below such a name.
      if (/\p{Surrogate}/u.test(key)) return "Has a property name that is not well-formed Unicode."
      stack.push([Reflect.get(current, key), depth + 1])
    }
    if (Array.isArray(current)) { for (const item of current) stack.push([item, depth + 1]) }
  }
  return nodes
}

/** These only say that a subschema failed, which the errors after them explain. */
const summaries: ReadonlySet<string> = new Set([
  "$ref",
  "allOf",
  "additionalItems",
  "additionalProperties",
  "dependencies",
  "dependentSchemas",
  "if",
  "items",
  "patternProperties",
  "prefixItems",
  "properties",
  "propertyNames",
  "unevaluatedItems",
  "unevaluatedProperties"
])

const isSummary = (error: CfWorker.OutputUnit, next: CfWorker.OutputUnit | undefined): boolean =>
  summaries.has(error.keyword) && next !== undefined &&
  (error.keyword === "if" || next.keywordLocation.startsWith(`${error.keywordLocation}/`))

const violationsOf = (value: unknown, errors: ReadonlyArray<CfWorker.OutputUnit>): ReadonlyArray<Violation> => {
  const violations: Array<Violation> = []
  for (const [index, error] of errors.entries()) {
    if (violations.length === limits.violations) break
    if (isSummary(error, errors[index + 1])) continue
    const isFalse = error.keyword === "enum" && error.error.endsWith("any of [].")
    violations.push({
      path: pathOf(value, error.instanceLocation),
      message: isFalse ? "Not allowed." : clip(error.error),
      schemaPath: clip(isFalse ? error.keywordLocation.replace(/\/enum$/, "") : originalLocation(error.keywordLocation))
    })
  }
  return violations
}

/** What `boundedUniqueItems` made is the `uniqueItems` of the schema. */
const originalLocation = (location: string): string =>
  location.replace(/\/allOf\/\d+(\/else)?\/then\/uniqueItems$|\/allOf\/\d+\/else\/else\/maxItems$/, "/uniqueItems")

const pathOf = (value: unknown, location: string): ReadonlyArray<string | number> => {
  const path: Array<string | number> = []
  let current = value
  for (const token of location.split("/").slice(1)) {
    const key = decodeURIComponent(token).replaceAll("~1", "/").replaceAll("~0", "~")
    path.push(Array.isArray(current) ? Number(key) : key)
    current = typeof current === "object" && current !== null && Object.hasOwn(current, key)
      ? Reflect.get(current, key)
      : undefined
  }
  return path
}
