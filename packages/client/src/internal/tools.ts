/**
 * What is known of the server's tools: their definitions as they were listed, and what follows from them for a call.
 */
import * as Either from "effect/Either"
import type { Tool } from "../Tool.ts"
import { compile, type SchemaProblem, type Validator } from "./jsonSchema.ts"
import { type HeaderParameter, readAnnotations } from "./paramHeaders.ts"

/** How many definitions are kept; the oldest is dropped. */
const mostTools = 10_000

export class KnownTool {
  readonly tool: Tool
  /** Arguments that are sent as headers as well. */
  readonly headers: ReadonlyArray<HeaderParameter>
  private compiled: Either.Either<Validator, SchemaProblem> | undefined

  constructor(tool: Tool, headers: ReadonlyArray<HeaderParameter>) {
    this.tool = tool
    this.headers = headers
  }

  /** Validates structured content; `undefined` when the tool has no output schema. Compiled when first needed. */
  get validator(): Either.Either<Validator, SchemaProblem> | undefined {
    if (this.tool.outputSchema === undefined) return undefined
    return this.compiled ??= compile(this.tool.outputSchema)
  }
}

export class Tools {
  private readonly known = new Map<string, KnownTool>()
  private readonly refused = new Map<string, string>()
  private readonly unlisted = new Map<string, true>()

  get(name: string): KnownTool | undefined {
    return this.known.get(name)
  }

  /** Why a tool was left out of the list. */
  refusal(name: string): string | undefined {
    return this.refused.get(name)
  }

  /**
   * Takes up a definition from a list. Gives the reason when it breaks the rules for `x-mcp-header`, which only the
   * stateless revision has (2026-07-28, "Custom Headers from Tool Parameters").
   */
  add(tool: Tool, readsHeaders: boolean): string | undefined {
    const headers = readsHeaders ? readAnnotations(tool.inputSchema) : Either.right([])
    if (Either.isLeft(headers)) {
      this.known.delete(tool.name)
      keep(this.refused, tool.name, headers.left)
      return headers.left
    }
    this.refused.delete(tool.name)
    this.unlisted.delete(tool.name)
    keep(this.known, tool.name, new KnownTool(tool, headers.right))
    return undefined
  }

  /** Whether a tool was looked for in the list and not found. */
  isUnlisted(name: string): boolean {
    return this.unlisted.has(name)
  }

  addUnlisted(name: string): void {
    keep(this.unlisted, name, true)
  }

  clear(): void {
    this.known.clear()
    this.refused.clear()
    this.unlisted.clear()
  }
}

const keep = <A>(map: Map<string, A>, name: string, value: A): void => {
  map.delete(name)
  map.set(name, value)
  for (const oldest of map.keys()) {
    if (map.size <= mostTools) break
    map.delete(oldest)
  }
}
