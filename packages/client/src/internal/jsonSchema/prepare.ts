/**
 * The copy of a schema that the evaluator gets. It has only the keywords of the dialect; each reference is the key of a
 * table; each subschema counts its visits.
 */
import type * as CfWorker from "@cfworker/json-schema"
import * as Arr from "effect/Array"
import { type Draft, draftOf, inPlace, isReferenceOnly, type Keywords, keywordsOf } from "./dialects.ts"
import { hasLoop } from "./graph.ts"
import { isObject, type Json, type JsonObject } from "./json.ts"
import { costOf, valueOf } from "./keywords.ts"
import { limits, type Meter } from "./limits.ts"
import { invalid, tooComplex } from "./problem.ts"
import { documentUri, References } from "./references.ts"

/** What `CfWorker.validate` takes. */
export interface Prepared {
  readonly draft: Draft
  readonly root: CfWorker.Schema
  /** What references lead to. */
  readonly lookup: Record<string, CfWorker.Schema>
}

/** Throws a `Rejection`. */
export const prepare = (schema: Json, meter: Meter): Prepared => new Preparation(schema, meter)

class Preparation implements Prepared {
  readonly draft: Draft
  readonly root: CfWorker.Schema
  readonly lookup: Record<string, CfWorker.Schema> = Object.create(null)
  private readonly keywords: Keywords
  private readonly references: References
  private readonly meter: Meter
  private readonly made = new Map<JsonObject, CfWorker.Schema>()
  private readonly appliedInPlace = new Map<CfWorker.Schema, Array<CfWorker.Schema>>()
  private readonly keys = new Map<CfWorker.Schema, string>()
  /** Made but not filled: references may lead far, and that must not take stack. */
  private readonly pending: Array<readonly [made: CfWorker.Schema, schema: JsonObject, base: string]> = []

  constructor(schema: Json, meter: Meter) {
    this.meter = meter
    this.draft = draftOf(schema)
    this.keywords = keywordsOf[this.draft]
    this.references = new References(schema, this.draft)
    this.root = this.schemaAt(schema, documentUri)
    for (let next = this.pending.pop(); next !== undefined; next = this.pending.pop()) this.fill(...next)
    if (hasLoop(this.appliedInPlace)) throw tooComplex("a reference leads back to itself and never ends")
  }

  /** The evaluated copy of the schema, which may be filled later. */
  private schemaAt(schema: Json, base: string): CfWorker.Schema {
    if (typeof schema === "boolean") {
      // `false` as an object, to be counted like the others.
      return schema ? this.metered(1) : this.schemaOf({ enum: [] })
    }
    if (!isObject(schema)) throw invalid("a schema is neither an object nor a boolean")
    const known = this.made.get(schema)
    if (known !== undefined) return known
    const made = this.metered(costOf(schema, this.keywords))
    this.made.set(schema, made)
    this.pending.push([made, schema, this.references.baseOf(schema, base)])
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

  private schemaOf(keywords: CfWorker.Schema): CfWorker.Schema {
    return Object.assign(this.metered(1), keywords)
  }

  private fill(made: CfWorker.Schema, schema: JsonObject, base: string): void {
    const targets = this.references.of(schema, base).map((target) => this.schemaAt(target.schema, target.base))
    const applied = [...targets]
    this.appliedInPlace.set(made, applied)
    const [first, ...others] = targets.map((target) => this.keyOf(target))
    if (first !== undefined) made.$ref = first
    if (isReferenceOnly(schema, this.draft)) return
    const all: Array<CfWorker.Schema> = others.map((key) => this.schemaOf({ $ref: key }))
    for (const [name, shape] of this.keywords) {
      const value = schema[name]
      if (value === undefined) continue
      const ready = valueOf({ name, shape, value }, (child) => {
        const childMade = this.schemaAt(child, base)
        if (inPlace.has(name)) applied.push(childMade)
        return childMade
      })
      if (name === "uniqueItems") {
        if (value === true) all.push(this.boundedUniqueItems())
      } else if (shape !== "Definitions") {
        made[name] = ready
      }
    }
    if (all.length > 0) made.allOf = [...made.allOf ?? [], ...all]
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
}
