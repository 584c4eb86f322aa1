/**
 * The typed operations beside tools and lists.
 */
import * as Effect from "effect/Effect"
import * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"
import { CompleteResult, type Reference } from "../Completion.ts"
import type { CallOptions } from "../McpClient.ts"
import type { DecodeError, McpClientError } from "../McpClientError.ts"
import { GetPromptResult } from "../Prompt.ts"
import { ReadResourceResult } from "../Resource.ts"
import { type Call, type Calls, type Result, unusable } from "./calls.ts"
import type { Connector } from "./connector.ts"
import { isReadResourceResult } from "./guards.ts"
import { limitsOf, type ResolvedOptions } from "./options.ts"
import type { ResponseCache } from "./responseCache.ts"

export class Operations {
  private readonly calls: Calls
  private readonly connector: Connector
  private readonly cache: ResponseCache
  private readonly options: ResolvedOptions
  private readonly now: () => number

  constructor(
    calls: Calls,
    connector: Connector,
    cache: ResponseCache,
    options: ResolvedOptions,
    now: () => number
  ) {
    this.calls = calls
    this.connector = connector
    this.cache = cache
    this.options = options
    this.now = now
  }

  readResource(uri: string, options: CallOptions | undefined): Effect.Effect<ReadResourceResult, McpClientError> {
    return Effect.suspend(() => {
      const method = "resources/read"
      const kept = this.cache.get(method, uri, this.now())
      if (isReadResourceResult(kept)) return Effect.succeed(kept)
      const revision = this.cache.revision(method)
      let hadInput = false
      const call: Call = {
        method,
        target: uri,
        params: { uri },
        capability: "resources",
        mayNeedInput: true,
        // An answer that depends on input is no answer to the same question (2026-07-28, "Cache Key").
        onInput: () => {
          hadInput = true
        },
        repeat: "Safe"
      }
      return Effect.flatMap(this.run(call, options), (result) => {
        if (!isReadResourceResult(result)) return decodeResource(call, result)
        if (!hadInput) this.cache.put(method, uri, result, this.now(), revision)
        return Effect.succeed(result)
      })
    })
  }

  getPrompt(
    name: string,
    args: { readonly [name: string]: string } | undefined,
    options: CallOptions | undefined
  ): Effect.Effect<GetPromptResult, McpClientError> {
    const call: Call = {
      method: "prompts/get",
      target: name,
      params: args === undefined ? { name } : { name, arguments: args },
      capability: "prompts",
      mayNeedInput: true,
      repeat: "Safe"
    }
    return Effect.flatMap(this.run(call, options), (result) => decodePrompt(call, result))
  }

  complete(
    ref: Reference,
    argument: { readonly name: string; readonly value: string },
    options: (CallOptions & { readonly context?: { readonly [name: string]: string } | undefined }) | undefined
  ): Effect.Effect<CompleteResult["completion"], McpClientError> {
    const context = options?.context
    const call: Call = {
      method: "completion/complete",
      params: context === undefined ? { ref, argument } : { ref, argument, context: { arguments: context } },
      capability: "completions",
      repeat: "Safe"
    }
    return Effect.flatMap(
      this.run(call, options),
      (result) => Effect.map(decodeCompletion(call, result), ({ completion }) => completion)
    )
  }

  /** The stateless revision has no `ping`, but every server answers `server/discover`. */
  readonly ping: Effect.Effect<void, McpClientError> = Effect.suspend(() =>
    Effect.asVoid(this.calls.run({
      method: this.connector.current.era === "Modern" ? "server/discover" : "ping",
      repeat: "Safe"
    }))
  )

  run(call: Call, options: CallOptions | undefined): Effect.Effect<Result, McpClientError> {
    return this.calls.run({
      ...call,
      meta: options?.meta,
      onProgress: options?.onProgress,
      onLog: options?.onLog,
      limits: limitsOf(options, this.options.limits)
    })
  }
}

const decoder = <A>(schema: Schema.Schema<A>) => {
  const decode = Schema.decodeUnknown(schema)
  return (call: Call, result: unknown): Effect.Effect<A, DecodeError> =>
    Effect.mapError(decode(result), (error) => {
      const { message, path } = firstIssue(error)
      return unusable(call, "Malformed", message, result, path)
    })
}

/** What is wrong at first, and where. */
export const firstIssue = (
  error: ParseResult.ParseError
): { readonly message: string; readonly path: ReadonlyArray<string | number> } => {
  const [issue] = ParseResult.ArrayFormatter.formatErrorSync(error)
  return {
    message: issue?.message ?? error.message,
    path: issue?.path.map((key) => typeof key === "symbol" ? String(key) : key) ?? []
  }
}

const decodeResource = decoder(ReadResourceResult)
const decodePrompt = decoder(GetPromptResult)
const decodeCompletion = decoder(CompleteResult)
