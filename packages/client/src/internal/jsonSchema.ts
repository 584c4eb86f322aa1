/**
 * JSON Schema: a server's schema checked once, then applied to values. Both come from a server that may be hostile:
 * nothing is fetched, nothing throws, and what could take without end is refused.
 *
 * `@cfworker/json-schema` evaluates. References are resolved here: it gets a copy of the schema with only the keywords
 * of the dialect, in which each reference is the key of a table. Each subschema of the copy counts its visits.
 *
 * - Dialects: 2020-12 (the default), 2019-09, draft-07, draft-04; one for the whole schema.
 * - `format` and `content*` are annotations only, as 2020-12 has it.
 * - `$dynamicRef` and `$recursiveRef`: exact while one resource of the schema has the dynamic anchor; else refused.
 * - `unevaluatedProperties` and `unevaluatedItems` inside `allOf`, `anyOf`, `oneOf`, `then` or `else` may count as
 *   evaluated what keywords beside these have evaluated.
 * - The time that one `pattern` takes on one text is not bounded: JavaScript cannot stop a regular expression.
 *
 * Specification 2026-07-28, basic: "JSON Schema Usage", "$ref Resolution", "Composition-Keyword Resource Use".
 */
import * as CfWorker from "@cfworker/json-schema"
import * as Arr from "effect/Array"
import * as Either from "effect/Either"

export type SchemaProblem =
  | { readonly _tag: "UnsupportedDialect"; readonly dialect: string }
  /** A reference that leads to nothing inside the schema. It is not followed. */
  | { readonly _tag: "ExternalReference"; readonly ref: string }
  | { readonly _tag: "TooComplex"; readonly limit: string }
  | { readonly _tag: "InvalidSchema"; readonly message: string }

export interface Violation {
  /** Where in the value. */
  readonly path: ReadonlyArray<string | number>
  readonly message: string
  /** The keyword, as a JSON pointer through the references that were followed; "#" when no keyword is to blame. */
  readonly schemaPath: string
}

/** Empty when the value is valid. Not all violations of a large value, and never more than `limits.violations`. */
export type Validator = (value: unknown) => ReadonlyArray<Violation>

export const limits = {
  /** Objects, arrays and values of a schema, and how deep they are. */
  schemaNodes: 100_000,
  schemaNesting: 256,
  /** Schemas in a schema, and how deep they are. */
  subschemas: 10_000,
  depth: 64,
  /** Objects, arrays and values of a value, and how deep they are. */
  valueNodes: 1_000_000,
  valueDepth: 128,
  /** What one validation may do: visits of a subschema, those that say much when they fail count more than once. */
  visits: 1_000_000,
  /** And for how long, once that many visits were made (a short validation in a stalled process is not stopped). */
  milliseconds: 2_000,
  visitsUntimed: 1_000,
  /** Items that `uniqueItems` compares, each with each: of any kind; all of them numbers, texts, booleans or null. */
  uniqueItems: 1_024,
  uniquePrimitives: 10_000,
  /** Values with more nodes than this: the first violation in an object or array is enough. */
  thoroughNodes: 1_000,
  violations: 100
} as const

type Draft = "4" | "7" | "2019-09" | "2020-12"

/** Without the scheme and an empty fragment. */
const dialects: ReadonlyMap<string, Draft> = new Map([
  ["json-schema.org/draft/2020-12/schema", "2020-12"],
  ["json-schema.org/draft/2019-09/schema", "2019-09"],
  ["json-schema.org/draft-07/schema", "7"],
  ["json-schema.org/draft-04/schema", "4"]
])

type Shape =
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

type Keywords = ReadonlyMap<string, Shape>

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

const keywordsOf: { readonly [D in Draft]: Keywords } = {
  "4": new Map(draft4),
  "7": new Map(draft7),
  "2019-09": new Map(draft2019),
  "2020-12": new Map(draft2020)
}

/** Keywords that apply to the same value as the schema they are in. */
const inPlace: ReadonlySet<string> = new Set([
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

const types: ReadonlySet<unknown> = new Set(["array", "boolean", "integer", "null", "number", "object", "string"])

type Json = null | boolean | number | string | ReadonlyArray<Json> | JsonObject

/** Without a prototype: only what the schema has is there, `__proto__` like any other name. */
interface JsonObject {
  readonly [key: string]: Json
}

/** Never leaves this module. */
class Rejection extends Error {
  readonly problem: SchemaProblem
  constructor(problem: SchemaProblem) {
    super(problem._tag)
    this.problem = problem
  }
}

const invalid = (message: string): Rejection => new Rejection({ _tag: "InvalidSchema", message })

const tooComplex = (limit: string): Rejection => new Rejection({ _tag: "TooComplex", limit })

/** The schema, ready to be applied any number of times, or why it cannot be. */
export const compile = (schema: unknown): Either.Either<Validator, SchemaProblem> =>
  Either.try({
    try: () => {
      const meter = new Meter()
      const compiled = new Compiler(copyJson(schema), meter)
      return (value) => validate(compiled, meter, value)
    },
    catch: (error): SchemaProblem => {
      if (error instanceof Rejection) return error.problem
      // The stack of the caller was nearly full already.
      if (error instanceof RangeError) return { _tag: "TooComplex", limit: "the call stack is exhausted" }
      return { _tag: "InvalidSchema", message: messageOf(error) }
    }
  })

/** An own copy: the original stays as it is, and what happens to it later does not matter. */
const copyJson = (schema: unknown): Json => {
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

const isObject = (value: Json | undefined): value is JsonObject =>
  typeof value === "object" && value !== null && !isArray(value)

const isArray = (value: Json | undefined): value is ReadonlyArray<Json> => Array.isArray(value)

const isStrings = (value: Json): value is ReadonlyArray<string> =>
  isArray(value) && value.every((item) => typeof item === "string")

/** The error a validation is ended with; never leaves this module. */
class Exhausted extends Error {}

class Meter {
  private visits = 0
  private startedAt = 0

  start(): void {
    this.visits = 0
    this.startedAt = performance.now()
  }

  spend(cost: number): void {
    this.visits += cost
    if (this.visits > limits.visits) throw new Exhausted()
    if (this.visits > limits.visitsUntimed && performance.now() - this.startedAt > limits.milliseconds) {
      throw new Exhausted()
    }
  }
}

/** A schema of the tree. */
interface Place {
  readonly schema: JsonObject
  readonly base: string
  readonly depth: number
}

/** What a schema without an `$id` is relative to. */
const documentUri = "schema://document/"

class Compiler {
  readonly draft: Draft
  readonly root: CfWorker.Schema
  readonly lookup: Record<string, CfWorker.Schema> = Object.create(null)
  private readonly keywords: Keywords
  private readonly meter: Meter
  private readonly bases = new Map<JsonObject, string>()
  private readonly resources = new Map<string, Json>()
  private readonly anchors = new Map<string, JsonObject>()
  private readonly dynamicAnchors = new Map<string, number>()
  private readonly compiled = new Map<JsonObject, CfWorker.Schema>()
  private readonly appliedInPlace = new Map<CfWorker.Schema, Array<CfWorker.Schema>>()
  private readonly keys = new Map<CfWorker.Schema, string>()
  /** Made but not filled: references may lead far, and that must not take stack. */
  private readonly pending: Array<readonly [made: CfWorker.Schema, schema: JsonObject, base: string]> = []
  private subschemas = 0

  constructor(schema: Json, meter: Meter) {
    this.meter = meter
    this.draft = draftOf(schema)
    this.keywords = keywordsOf[this.draft]
    this.resources.set(documentUri, schema)
    if (isObject(schema)) this.identify({ schema, base: documentUri, depth: 0 })
    this.root = this.schemaAt(schema, documentUri)
    for (let next = this.pending.pop(); next !== undefined; next = this.pending.pop()) this.fill(...next)
    this.checkEnds()
  }

  /** Learns the identifiers of a schema and of all schemas in it. */
  private identify(place: Place): void {
    if (this.bases.has(place.schema)) return
    if (place.depth > limits.depth) throw tooComplex(`schemas nest at most ${limits.depth} levels`)
    if (++this.subschemas > limits.subschemas) throw tooComplex(`a schema has at most ${limits.subschemas} subschemas`)
    const { schema } = place
    const base = this.identifySelf(place)
    this.bases.set(schema, base)
    for (const child of this.childrenOf(schema)) {
      if (isObject(child)) this.identify({ schema: child, base, depth: place.depth + 1 })
    }
  }

  /** The base of what is inside. */
  private identifySelf({ schema, base, depth }: Place): string {
    if (this.isReferenceOnly(schema)) return base
    const id = this.draft === "4" ? schema.id : schema.$id
    let inside = base
    if (id !== undefined) {
      const url = typeof id === "string" ? parseUrl(id, base) : undefined
      if (url === undefined || typeof id !== "string") throw invalid("an identifier is not a URI reference")
      if (url.hash === "") {
        inside = url.href.replace(/#$/, "")
        this.addTo(this.resources, inside, schema)
        if (depth > 0 && schema.$schema !== undefined && draftOf(schema) !== this.draft) {
          throw new Rejection({ _tag: "UnsupportedDialect", dialect: clip(String(schema.$schema)) })
        }
      } else if (id.startsWith("#") && (this.draft === "4" || this.draft === "7")) {
        this.addTo(this.anchors, url.href, schema)
      } else {
        throw invalid("an identifier has a fragment")
      }
    }
    if (this.draft === "2019-09" || this.draft === "2020-12") this.identifyAnchors(schema, inside)
    return inside
  }

  private identifyAnchors(schema: JsonObject, base: string): void {
    const { $anchor, $dynamicAnchor, $recursiveAnchor } = schema
    for (const anchor of this.draft === "2020-12" ? [$anchor, $dynamicAnchor] : [$anchor]) {
      if (anchor === undefined) continue
      if (typeof anchor !== "string" || !/^[A-Za-z_][-A-Za-z0-9._]*$/.test(anchor)) {
        throw invalid("an anchor is no name")
      }
      this.addTo(this.anchors, `${base}#${anchor}`, schema)
    }
    const dynamic = this.draft === "2020-12" ? $dynamicAnchor : $recursiveAnchor === true ? "" : undefined
    if (typeof dynamic === "string") {
      this.dynamicAnchors.set(dynamic, (this.dynamicAnchors.get(dynamic) ?? 0) + 1)
    }
  }

  private addTo<A extends Json>(table: Map<string, A>, uri: string, schema: A): void {
    const known = table.get(uri)
    if (known !== undefined && known !== schema) throw invalid(`two schemas are ${clip(uri)}`)
    table.set(uri, schema)
  }

  /** Before 2019-09 what stands beside a `$ref` is ignored. */
  private isReferenceOnly(schema: JsonObject): boolean {
    return (this.draft === "4" || this.draft === "7") && typeof schema.$ref === "string"
  }

  private *childrenOf(schema: JsonObject): Iterable<Json> {
    for (const [keyword, shape] of this.keywords) {
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

  /** The evaluated copy of the schema, which may be filled later. */
  private schemaAt(schema: Json, base: string): CfWorker.Schema {
    if (typeof schema === "boolean") {
      const made = this.metered(1)
      // `false` as an object, to be counted like the others.
      if (!schema) made.enum = []
      return made
    }
    if (!isObject(schema)) throw invalid("a schema is neither an object nor a boolean")
    const known = this.compiled.get(schema)
    if (known !== undefined) return known
    const made = this.metered(costOf(schema, this.keywords))
    this.compiled.set(schema, made)
    this.pending.push([made, schema, this.bases.get(schema) ?? base])
    return made
  }

  /** The evaluator reads `$recursiveAnchor` of every schema it visits, and is told that there is none. */
  private metered(cost: number): CfWorker.Schema {
    const meter = this.meter
    return Object.defineProperty({}, "$recursiveAnchor", {
      get: () => {
        meter.spend(cost)
        return undefined
      }
    })
  }

  private fill(made: CfWorker.Schema, schema: JsonObject, base: string): void {
    const applied: Array<CfWorker.Schema> = []
    this.appliedInPlace.set(made, applied)
    const targets = this.referencesOf(schema, base)
    applied.push(...targets)
    const [first, ...others] = targets.map((target) => this.keyOf(target))
    if (first !== undefined) made.$ref = first
    if (this.isReferenceOnly(schema)) return
    const all: Array<CfWorker.Schema> = others.map((key) => this.schemaOf({ $ref: key }))
    for (const [keyword, shape] of this.keywords) {
      const value = schema[keyword]
      if (value === undefined) continue
      const of = (child: Json): CfWorker.Schema => {
        const childMade = this.schemaAt(child, base)
        if (inPlace.has(keyword)) applied.push(childMade)
        return childMade
      }
      const ready = prepare(keyword, shape, value, of)
      if (keyword === "uniqueItems") {
        if (value === true) all.push(this.boundedUniqueItems())
      } else if (shape !== "Definitions") {
        made[keyword] = ready
      }
    }
    if (all.length > 0) made.allOf = [...made.allOf ?? [], ...all]
  }

  private referencesOf(schema: JsonObject, base: string): ReadonlyArray<CfWorker.Schema> {
    const targets: Array<CfWorker.Schema> = []
    if (schema.$ref !== undefined) targets.push(this.resolve(schema.$ref, base).made)
    if (this.draft === "2020-12" && schema.$dynamicRef !== undefined) {
      targets.push(this.resolveDynamic(schema.$dynamicRef, base, (target) => target.$dynamicAnchor))
    }
    if (this.draft === "2019-09" && schema.$recursiveRef !== undefined) {
      if (schema.$recursiveRef !== "#") throw invalid("a $recursiveRef is not \"#\"")
      const anchorOf = (target: JsonObject) => target.$recursiveAnchor === true ? "" : undefined
      targets.push(this.resolveDynamic("#", base, anchorOf))
    }
    return targets
  }

  /** With one schema of that anchor there is no other it could lead to. With several that depends on the value. */
  private resolveDynamic(
    ref: Json,
    base: string,
    anchorOf: (target: JsonObject) => Json | undefined
  ): CfWorker.Schema {
    const { made, target } = this.resolve(ref, base)
    const anchor = isObject(target) ? anchorOf(target) : undefined
    const isAnchored = anchor === "" || (typeof ref === "string" && ref.endsWith(`#${String(anchor)}`))
    if (typeof anchor === "string" && isAnchored && (this.dynamicAnchors.get(anchor) ?? 0) > 1) {
      throw invalid(`a dynamic reference to ${JSON.stringify(clip(anchor))}, which several resources have`)
    }
    return made
  }

  private resolve(ref: Json, base: string): { readonly made: CfWorker.Schema; readonly target: Json } {
    if (typeof ref !== "string") throw invalid("a reference is not a string")
    const external = () => new Rejection({ _tag: "ExternalReference", ref: clip(ref) })
    const url = parseUrl(ref, base)
    if (url === undefined) throw external()
    const fragment = decode(url.hash.slice(1))
    url.hash = ""
    const uri = url.href.replace(/#$/, "")
    const resource = this.resources.get(uri)
    if (fragment === undefined || resource === undefined) throw external()
    const target = fragment === "" || fragment.startsWith("/")
      ? pointTo(resource, uri, fragment, this.bases)
      : { schema: this.anchors.get(`${uri}#${fragment}`), base: uri }
    if (target?.schema === undefined) throw external()
    const { schema } = target
    // Under a keyword that is not known nothing was looked at so far.
    if (isObject(schema)) this.identify({ schema, base: target.base, depth: 0 })
    return { made: this.schemaAt(schema, target.base), target: schema }
  }

  private keyOf(made: CfWorker.Schema): string {
    const known = this.keys.get(made)
    if (known !== undefined) return known
    const key = String(this.keys.size)
    this.keys.set(made, key)
    this.lookup[key] = made
    return key
  }

  /** Each item is compared with each: what is too much for that is refused by `maxItems`. */
  private boundedUniqueItems(): CfWorker.Schema {
    const unique = () => this.schemaOf({ uniqueItems: true })
    const atMost = (maxItems: number, more: CfWorker.Schema = {}) => this.schemaOf({ ...more, maxItems })
    // `contains` inside `not`, as `items` would count the items as evaluated.
    const compound = this.schemaOf({ contains: this.schemaOf({ type: ["array", "object"] }) })
    const long = this.choice(
      atMost(limits.uniquePrimitives, { not: compound }),
      unique(),
      atMost(limits.uniqueItems)
    )
    return this.choice(atMost(limits.uniqueItems), unique(), long)
  }

  private choice(...schemas: readonly [CfWorker.Schema, CfWorker.Schema, CfWorker.Schema]): CfWorker.Schema {
    return this.schemaOf(Object.fromEntries(Arr.zip(["if", "then", "else"], schemas)))
  }

  private schemaOf(keywords: CfWorker.Schema): CfWorker.Schema {
    return Object.assign(this.metered(1), keywords)
  }

  /** Refuses a schema that leads back to itself without going deeper into the value: that never ends. */
  private checkEnds(): void {
    const ended = new Set<CfWorker.Schema>()
    const entered = new Set<CfWorker.Schema>()
    for (const start of this.appliedInPlace.keys()) {
      const stack = [start]
      for (let schema = stack.at(-1); schema !== undefined; schema = stack.at(-1)) {
        if (entered.has(schema)) {
          stack.pop()
          entered.delete(schema)
          ended.add(schema)
          continue
        }
        if (ended.has(schema)) {
          stack.pop()
          continue
        }
        entered.add(schema)
        for (const next of this.appliedInPlace.get(schema) ?? []) {
          if (entered.has(next)) throw tooComplex("a reference leads back to itself and never ends")
          if (!ended.has(next)) stack.push(next)
        }
      }
    }
  }
}

const draftOf = (schema: Json): Draft => {
  const dialect = isObject(schema) ? schema.$schema : undefined
  if (dialect === undefined) return "2020-12"
  if (typeof dialect !== "string") throw invalid("the $schema is not a string")
  const draft = dialects.get(dialect.replace(/^https?:\/\//, "").replace(/#$/, ""))
  if (draft === undefined) throw new Rejection({ _tag: "UnsupportedDialect", dialect: clip(dialect) })
  return draft
}

/** The value of a keyword as the evaluator takes it. */
const prepare = (
  keyword: string,
  shape: Shape,
  value: Json,
  compileChild: (schema: Json) => CfWorker.Schema
): unknown => {
  const wrong = (expected: string) => invalid(`the value of "${keyword}" is not ${expected}`)
  const check = (condition: boolean, expected: string): Json => {
    if (!condition) throw wrong(expected)
    return value
  }
  const mapOf = (each: (member: Json) => unknown) => {
    if (!isObject(value)) throw wrong("an object")
    if (keyword === "patternProperties") Object.keys(value).forEach(checkPattern)
    const map: { [key: string]: unknown } = Object.create(null)
    for (const key of Object.keys(value)) map[key] = each(value[key] ?? null)
    return map
  }
  const strings = (member: Json) => {
    if (!isStrings(member)) throw wrong("made of arrays of strings")
    return member
  }
  switch (shape) {
    case "Schema":
      return compileChild(value)
    case "Schemas":
      if (!isArray(value)) throw wrong("an array of schemas")
      return value.map(compileChild)
    case "SchemaOrSchemas":
      return isArray(value) ? value.map(compileChild) : compileChild(value)
    case "SchemaMap":
    case "Definitions":
      return mapOf(compileChild)
    case "SchemaOrStringsMap":
      return mapOf((member) => isArray(member) ? strings(member) : compileChild(member))
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
      checkPattern(value)
      return value
  }
}

const isTypes = (value: ReadonlyArray<Json>): boolean =>
  value.length > 0 && new Set(value).size === value.length && value.every((type) => types.has(type))

const checkPattern = (pattern: string): void => {
  const expression = Either.try(() => new RegExp(pattern, "u"))
  if (Either.isLeft(expression)) throw invalid(`${JSON.stringify(clip(pattern))} is not a regular expression`)
}

/**
 * What a visit counts: one, and more when the schema itself is large, as every visit that fails may repeat in messages
 * what is required or allowed.
 */
const repeated: ReadonlySet<Shape> = new Set(["Pattern", "Strings", "StringsMap", "Value", "Values"])

const costOf = (schema: JsonObject, keywords: Keywords): number => {
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

const parseUrl = (reference: string, base: string): URL | undefined => {
  try {
    return new URL(reference, base)
  } catch {
    return undefined
  }
}

const decode = (text: string): string | undefined => {
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined
  }
}

/** What a JSON pointer leads to, and the base it has there. */
const pointTo = (
  resource: Json,
  uri: string,
  pointer: string,
  bases: ReadonlyMap<JsonObject, string>
): { readonly schema: Json; readonly base: string } | undefined => {
  let schema = resource
  let base = uri
  for (const token of pointer.split("/").slice(1)) {
    const key = token.replaceAll("~1", "/").replaceAll("~0", "~")
    const next = isArray(schema)
      ? (/^(0|[1-9]\d*)$/.test(key) ? schema[Number(key)] : undefined)
      : isObject(schema)
      ? schema[key]
      : undefined
    if (next === undefined) return undefined
    schema = next
    if (isObject(schema)) base = bases.get(schema) ?? base
  }
  return { schema, base }
}

/** A server's text in a message. */
const clip = (text: string): string => text.length > 200 ? `${text.slice(0, 200)}...` : text

const messageOf = (error: unknown): string => error instanceof Error ? clip(error.message) : "unknown"

const refusal = (message: string): ReadonlyArray<Violation> => [{ path: [], message, schemaPath: "#" }]

const validate = (compiled: Compiler, meter: Meter, value: unknown): ReadonlyArray<Violation> => {
  try {
    const nodes = measure(value)
    if (typeof nodes === "string") return refusal(nodes)
    meter.start()
    const { draft, lookup, root } = compiled
    const { errors, valid } = CfWorker.validate(value, root, draft, lookup, nodes > limits.thoroughNodes)
    return valid ? [] : violationsOf(value, errors)
  } catch (error) {
    // RangeError: many references at each level of a deep value exhaust the call stack before the depth is reached.
    if (error instanceof Exhausted || error instanceof RangeError) return refusal("Too complex to be validated.")
    return refusal(`Cannot be validated: ${messageOf(error)}`)
  }
}

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
