/**
 * What a schema and the schemas in it are called, and where references lead: always to a place inside of it.
 */
import { childrenOf, type Draft, draftOf, isReferenceOnly, type Keywords, keywordsOf } from "./dialects.ts"
import { isArray, isObject, type Json, type JsonObject } from "./json.ts"
import { limits } from "./limits.ts"
import { clip, invalid, Rejection, tooComplex } from "./problem.ts"

/** What a reference leads to, and the base of references in it. */
export interface Target {
  readonly schema: Json
  readonly base: string
}

/** A schema of the tree. */
interface Place {
  readonly schema: JsonObject
  readonly base: string
  readonly depth: number
}

/** What a schema without an `$id` is relative to. */
export const documentUri = "schema://document/"

export class References {
  private readonly draft: Draft
  private readonly keywords: Keywords
  private readonly bases = new Map<JsonObject, string>()
  private readonly resources = new Map<string, Json>()
  private readonly anchors = new Map<string, JsonObject>()
  private readonly dynamicAnchors = new Map<string, number>()
  private subschemas = 0

  constructor(root: Json, draft: Draft) {
    this.draft = draft
    this.keywords = keywordsOf[draft]
    this.resources.set(documentUri, root)
    if (isObject(root)) this.identify({ schema: root, base: documentUri, depth: 0 })
  }

  /** What references in this schema are relative to. */
  baseOf(schema: JsonObject, parent: string): string {
    return this.bases.get(schema) ?? parent
  }

  /** Where all references lead that this schema itself has. */
  of(schema: JsonObject, base: string): ReadonlyArray<Target> {
    const targets: Array<Target> = []
    if (schema.$ref !== undefined) targets.push(this.resolve(schema.$ref, base))
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

  /** Learns the identifiers of a schema and of all schemas in it. */
  private identify(place: Place): void {
    if (this.bases.has(place.schema)) return
    if (place.depth > limits.depth) throw tooComplex(`schemas nest at most ${limits.depth} levels`)
    if (++this.subschemas > limits.subschemas) throw tooComplex(`a schema has at most ${limits.subschemas} subschemas`)
    const base = this.identifySelf(place)
    this.bases.set(place.schema, base)
    for (const child of childrenOf(place.schema, this.keywords)) {
      if (isObject(child)) this.identify({ schema: child, base, depth: place.depth + 1 })
    }
  }

  /** The base of what is inside. */
  private identifySelf({ schema, base, depth }: Place): string {
    if (isReferenceOnly(schema, this.draft)) return base
    const id = this.draft === "4" ? schema.id : schema.$id
    let inside = base
    if (id !== undefined) {
      const url = typeof id === "string" ? parseUrl(id, base) : undefined
      if (url === undefined || typeof id !== "string") throw invalid("an identifier is not a URI reference")
      if (url.hash === "") {
        inside = url.href.replace(/#$/, "")
        addTo(this.resources, inside, schema)
        if (depth > 0 && schema.$schema !== undefined && draftOf(schema) !== this.draft) {
          throw new Rejection({ _tag: "UnsupportedDialect", dialect: clip(String(schema.$schema)) })
        }
      } else if (id.startsWith("#") && (this.draft === "4" || this.draft === "7")) {
        addTo(this.anchors, url.href, schema)
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
      addTo(this.anchors, `${base}#${anchor}`, schema)
    }
    const dynamic = this.draft === "2020-12" ? $dynamicAnchor : $recursiveAnchor === true ? "" : undefined
    if (typeof dynamic === "string") {
      this.dynamicAnchors.set(dynamic, (this.dynamicAnchors.get(dynamic) ?? 0) + 1)
    }
  }

  /** With one schema of that anchor there is no other it could lead to. With several that depends on the value. */
  private resolveDynamic(ref: Json, base: string, anchorOf: (target: JsonObject) => Json | undefined): Target {
    const target = this.resolve(ref, base)
    const anchor = isObject(target.schema) ? anchorOf(target.schema) : undefined
    const isAnchored = anchor === "" || (typeof ref === "string" && ref.endsWith(`#${String(anchor)}`))
    if (typeof anchor === "string" && isAnchored && (this.dynamicAnchors.get(anchor) ?? 0) > 1) {
      throw invalid(`a dynamic reference to ${JSON.stringify(clip(anchor))}, which several resources have`)
    }
    return target
  }

  private resolve(ref: Json, base: string): Target {
    if (typeof ref !== "string") throw invalid("a reference is not a string")
    const url = parseUrl(ref, base)
    const target = url === undefined ? undefined : this.find(url)
    if (target === undefined) throw new Rejection({ _tag: "ExternalReference", ref: clip(ref) })
    // Under a keyword that is not known nothing was looked at so far.
    if (isObject(target.schema)) this.identify({ schema: target.schema, base: target.base, depth: 0 })
    return target
  }

  private find(url: URL): Target | undefined {
    const fragment = decode(url.hash.slice(1))
    url.hash = ""
    const uri = url.href.replace(/#$/, "")
    const resource = this.resources.get(uri)
    if (fragment === undefined || resource === undefined) return undefined
    if (fragment === "" || fragment.startsWith("/")) return this.pointTo({ schema: resource, base: uri }, fragment)
    const schema = this.anchors.get(`${uri}#${fragment}`)
    return schema === undefined ? undefined : { schema, base: uri }
  }

  private pointTo(resource: Target, pointer: string): Target | undefined {
    let { schema, base } = resource
    for (const token of pointer.split("/").slice(1)) {
      const next = memberOf(schema, token.replaceAll("~1", "/").replaceAll("~0", "~"))
      if (next === undefined) return undefined
      schema = next
      if (isObject(schema)) base = this.baseOf(schema, base)
    }
    return { schema, base }
  }
}

const memberOf = (value: Json, key: string): Json | undefined => {
  if (isArray(value)) return /^(0|[1-9]\d*)$/.test(key) ? value[Number(key)] : undefined
  return isObject(value) ? value[key] : undefined
}

const addTo = <A extends Json>(table: Map<string, A>, uri: string, schema: A): void => {
  const known = table.get(uri)
  if (known !== undefined && known !== schema) throw invalid(`two schemas are ${clip(uri)}`)
  table.set(uri, schema)
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
