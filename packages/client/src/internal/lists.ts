/**
 * The lists of the server as streams: a page is fetched when it is needed, a list that does not end is noticed, and an
 * item that is malformed is left out.
 */
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type { InvalidItem } from "../McpClient.ts"
import { type McpClientError, PagingError } from "../McpClientError.ts"
import { Prompt } from "../Prompt.ts"
import { Resource, ResourceTemplate } from "../Resource.ts"
import { Tool } from "../Tool.ts"
import { type Calls, type Capability, type Result, unusable } from "./calls.ts"
import type { Connector } from "./connector.ts"
import type { Limits } from "./deadlines.ts"
import type { ResolvedOptions } from "./options.ts"
import type { ResponseCache } from "./responseCache.ts"
import type { Tools } from "./tools.ts"
import { isObject } from "./wire.ts"

interface List<A> {
  readonly method: string
  readonly member: InvalidItem["list"]
  readonly capability: Capability
  readonly decode: (item: unknown) => Either.Either<A, ParseResult.ParseError>
}

const toolList: List<Tool> = {
  method: "tools/list",
  member: "tools",
  capability: "tools",
  decode: Schema.decodeUnknownEither(Tool)
}

const resourceList: List<Resource> = {
  method: "resources/list",
  member: "resources",
  capability: "resources",
  decode: Schema.decodeUnknownEither(Resource)
}

const templateList: List<ResourceTemplate> = {
  method: "resources/templates/list",
  member: "resourceTemplates",
  capability: "resources",
  decode: Schema.decodeUnknownEither(ResourceTemplate)
}

const promptList: List<Prompt> = {
  method: "prompts/list",
  member: "prompts",
  capability: "prompts",
  decode: Schema.decodeUnknownEither(Prompt)
}

interface Page<A> {
  readonly items: ReadonlyArray<A>
  readonly nextCursor: string | undefined
}

/** Where a list is read on. */
interface Position {
  readonly cursor: string | undefined
  /** How many pages came before. */
  readonly page: number
  /** The cursor was given before. */
  readonly isRepeated: boolean
}

type Step<A> = readonly [Chunk.Chunk<A>, Option.Option<Position>]

/** `Fetched`: nothing of what is kept will do. */
type Freshness = "Cached" | "Fetched"

export class Lists {
  private readonly calls: Calls
  private readonly connector: Connector
  private readonly cache: ResponseCache
  private readonly known: Tools
  private readonly options: ResolvedOptions
  private readonly now: () => number

  constructor(
    calls: Calls,
    connector: Connector,
    cache: ResponseCache,
    known: Tools,
    options: ResolvedOptions,
    now: () => number
  ) {
    this.calls = calls
    this.connector = connector
    this.cache = cache
    this.known = known
    this.options = options
    this.now = now
  }

  get tools(): Stream.Stream<Tool, McpClientError> {
    return this.toolsWith("Cached")
  }

  get resources(): Stream.Stream<Resource, McpClientError> {
    return this.stream(resourceList, "Cached", () => undefined)
  }

  get resourceTemplates(): Stream.Stream<ResourceTemplate, McpClientError> {
    return this.stream(templateList, "Cached", () => undefined)
  }

  get prompts(): Stream.Stream<Prompt, McpClientError> {
    return this.stream(promptList, "Cached", () => undefined)
  }

  /** Learns the definition of a tool, from the server whatever is known already. */
  lookUp(name: string, limits: Limits): Effect.Effect<Option.Option<Tool>, McpClientError> {
    return Stream.runHead(Stream.filter(this.toolsWith("Fetched", limits), (tool) => tool.name === name))
  }

  private toolsWith(freshness: Freshness, limits?: Limits): Stream.Stream<Tool, McpClientError> {
    return this.stream(
      toolList,
      freshness,
      (tool) => this.known.add(tool, this.connector.current.era === "Modern"),
      limits
    )
  }

  /** `refusal` says why a well-formed item is left out all the same. */
  private stream<A>(
    list: List<A>,
    freshness: Freshness,
    refusal: (item: A) => string | undefined,
    limits?: Limits
  ): Stream.Stream<A, McpClientError> {
    const { method } = list
    return Stream.suspend(() => {
      const seen = new Set<string>()
      const step = ({ cursor, isRepeated, page }: Position): Effect.Effect<Step<A>, McpClientError> => {
        if (isRepeated) return Effect.fail(endless(method, "CursorCycle", page))
        if (page >= this.options.maxPages) return Effect.fail(endless(method, "TooManyPages", page))
        return Effect.map(this.page(list, cursor, freshness, refusal, limits), ({ items, nextCursor }) => {
          const chunk = Chunk.unsafeFromArray(items)
          if (nextCursor === undefined) return [chunk, Option.none()]
          // What came is emitted before the list is found to be endless.
          const next = { cursor: nextCursor, page: page + 1, isRepeated: seen.has(nextCursor) }
          seen.add(nextCursor)
          return [chunk, Option.some(next)]
        })
      }
      return Stream.paginateChunkEffect({ cursor: undefined, page: 0, isRepeated: false }, step)
    })
  }

  private page<A>(
    list: List<A>,
    cursor: string | undefined,
    freshness: Freshness,
    refusal: (item: A) => string | undefined,
    limits: Limits | undefined
  ): Effect.Effect<Page<A>, McpClientError> {
    const { capability, method } = list
    // An empty cursor is one, too.
    const key = cursor === undefined ? "" : `from ${cursor}`
    const kept = freshness === "Cached" ? this.cache.get(method, key, this.now()) : undefined
    if (isObject(kept)) return this.read(list, kept, refusal)
    const params = cursor === undefined ? undefined : { cursor }
    const revision = this.cache.revision(method)
    return this.calls.run({ method, params, capability, limits, repeat: "Safe" }).pipe(
      Effect.flatMap((result) =>
        Effect.map(this.read(list, result, refusal), (page) => {
          this.cache.put(method, key, result, this.now(), revision)
          return page
        })
      ),
      // A cursor may have become invalid: then the pages kept are of no use together (2026-07-28, "Caching").
      Effect.tapError(() => cursor === undefined ? Effect.void : Effect.sync(() => this.cache.invalidate(method)))
    )
  }

  private read<A>(
    list: List<A>,
    result: Result,
    refusal: (item: A) => string | undefined
  ): Effect.Effect<Page<A>, McpClientError> {
    const { decode, member, method } = list
    const { [member]: found, nextCursor } = result
    if (!Array.isArray(found)) {
      return Effect.fail(unusable({ method }, "Malformed", `the list of ${member} is missing`, result, [member]))
    }
    if (nextCursor !== undefined && nextCursor !== null && typeof nextCursor !== "string") {
      return Effect.fail(unusable({ method }, "Malformed", "the cursor is no string", nextCursor, ["nextCursor"]))
    }
    const items: Array<A> = []
    const invalid: Array<InvalidItem> = []
    for (const item of found) {
      const decoded = decode(item)
      const problem = Either.isLeft(decoded)
        ? ParseResult.TreeFormatter.formatErrorSync(decoded.left)
        : refusal(decoded.right)
      if (problem !== undefined) invalid.push({ list: member, name: nameOf(item), problem, item })
      else if (Either.isRight(decoded)) items.push(decoded.right)
    }
    const page: Page<A> = { items, nextCursor: this.isEnd(nextCursor) ? undefined : nextCursor }
    return invalid.length === 0
      ? Effect.succeed(page)
      : Effect.as(Effect.forEach(invalid, (item) => this.report(item), { discard: true }), page)
  }

  /** Servers with sessions give an empty cursor and mean none; since 2026-07-28 it is as good as any ("Pagination"). */
  private isEnd(cursor: string | null | undefined): cursor is null | undefined {
    return cursor === undefined || cursor === null || (cursor === "" && this.connector.current.era === "Legacy")
  }

  private report(item: InvalidItem): Effect.Effect<void> {
    return this.options.onInvalidItem !== undefined
      ? this.options.onInvalidItem(item)
      : Effect.logWarning(`an item of ${item.list} was left out: ${item.name ?? "unnamed"}`, item.problem).pipe(
        Effect.annotateLogs({ package: "@effect-mcp/client" })
      )
  }
}

const endless = (method: string, reason: PagingError["reason"], pages: number): PagingError =>
  new PagingError({ method, outcome: "Unknown", reason, pages })

const nameOf = (item: unknown): string | undefined => {
  if (typeof item !== "object" || item === null) return undefined
  for (const member of ["name", "uri", "uriTemplate"]) {
    const value: unknown = Reflect.get(item, member)
    if (typeof value === "string") return value
  }
  return undefined
}
