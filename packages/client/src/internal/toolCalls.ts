/**
 * Calling tools: arguments that are sent as headers, the result and its validation, and what may be called again.
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Fiber from "effect/Fiber"
import * as Mailbox from "effect/Mailbox"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type { CallEvent, CallTool, CallToolOptions } from "../McpClient.ts"
import { type DecodeError, InvalidToolCall, type McpClientError, ToolError } from "../McpClientError.ts"
import { CallToolResult, type Tool } from "../Tool.ts"
import { type Call, type Calls, type Result, type TransportFailure, unusable } from "./calls.ts"
import type { Connector } from "./connector.ts"
import { isCallToolResult } from "./guards.ts"
import type { SchemaProblem } from "./jsonSchema.ts"
import type { Lists } from "./lists.ts"
import * as Negotiation from "./negotiation.ts"
import { firstIssue } from "./operations.ts"
import { limitsOf, type ResolvedOptions } from "./options.ts"
import { headersOf } from "./paramHeaders.ts"
import type { KnownTool, Tools } from "./tools.ts"

type Arguments = { readonly [name: string]: unknown }

const noArguments: Arguments = {}

/** How many events of a call wait for who reads them. */
const mostUnread = 16

export class ToolCalls {
  private readonly calls: Calls
  private readonly connector: Connector
  private readonly lists: Lists
  private readonly tools: Tools
  private readonly options: ResolvedOptions

  constructor(calls: Calls, connector: Connector, lists: Lists, tools: Tools, options: ResolvedOptions) {
    this.calls = calls
    this.connector = connector
    this.lists = lists
    this.tools = tools
    this.options = options
  }

  get callTool(): CallTool {
    const call = (name: string, args: Arguments | undefined, options: CallToolOptions | undefined) =>
      this.call(name, args ?? noArguments, options)
    function callTool<A, I, R>(
      name: string,
      args: Arguments | undefined,
      options: CallToolOptions & { readonly result: Schema.Schema<A, I, R> }
    ): Effect.Effect<A, McpClientError, R>
    function callTool(
      name: string,
      args?: Arguments,
      options?: CallToolOptions
    ): Effect.Effect<CallToolResult, McpClientError>
    function callTool<A, I, R>(
      name: string,
      args?: Arguments,
      options?: CallToolOptions & { readonly result?: Schema.Schema<A, I, R> }
    ): Effect.Effect<A | CallToolResult, McpClientError, R> {
      const result = options?.result
      const answer = call(name, args, options)
      // The overload with `result` has this R; the diagnostic looks at the other one.
      // @effect-diagnostics-next-line missingEffectContext:off
      return result === undefined ? answer : Effect.flatMap(answer, (answer) => decodeWith(result, name, answer))
    }
    return callTool
  }

  stream(
    name: string,
    args: Arguments | undefined,
    options?: CallToolOptions
  ): Stream.Stream<CallEvent, McpClientError> {
    return Stream.unwrapScoped(Effect.gen(this, function*() {
      const events = yield* Mailbox.make<CallEvent, McpClientError>(mostUnread)
      const offer = (event: CallEvent): Effect.Effect<void> => Effect.asVoid(events.offer(event))
      const call = this.call(name, args ?? noArguments, {
        ...options,
        onProgress: (progress) =>
          Effect.zipRight(options?.onProgress?.(progress) ?? Effect.void, offer({ _tag: "Progress", progress })),
        onLog: (message) => Effect.zipRight(options?.onLog?.(message) ?? Effect.void, offer({ _tag: "Log", message }))
      })
      yield* Effect.acquireRelease(
        // Not a child of the fiber that begins to read: another one may read on.
        Effect.forkDaemon(Effect.interruptible(call.pipe(
          Effect.flatMap((result) => offer({ _tag: "Result", result })),
          Effect.onExit((exit) => events.done(exit))
        ))),
        Fiber.interrupt
      )
      return Mailbox.toStream(events)
    }))
  }

  private call(
    name: string,
    args: Arguments,
    options: CallToolOptions | undefined
  ): Effect.Effect<CallToolResult, McpClientError> {
    return Effect.flatMap(this.send(name, args, options), (result) => this.finish(name, result, options))
  }

  // --- sending ------------------------------------------------------------------------------------------------------

  private send(
    name: string,
    args: Arguments,
    options: CallToolOptions | undefined
  ): Effect.Effect<Result, McpClientError> {
    return Effect.suspend(() => {
      const refusal = this.tools.refusal(name)
      if (refusal !== undefined) return Effect.fail(invalidCall(name, refusal))
      const sent = this.sendOnce(name, args, options)
      if (this.connector.current.era === "Legacy") return sent
      return Effect.catchIf(
        sent,
        (error) => error._tag === "JsonRpcError" && error.error.code === Negotiation.headerMismatch,
        (mismatch) =>
          // The definition may have changed: looked up once (2026-07-28, "Client Behavior").
          Effect.flatMap(this.lookUpInstead(name, options, mismatch), (tool) => {
            const reason = this.tools.refusal(name)
            if (reason !== undefined) return Effect.fail(invalidCall(name, reason))
            return Option.isNone(tool) ? Effect.fail(mismatch) : this.sendOnce(name, args, options)
          })
      )
    })
  }

  /** Where nothing can be looked up, what was to be mended is the failure. */
  private lookUpInstead(
    name: string,
    options: CallToolOptions | undefined,
    failure: McpClientError
  ): Effect.Effect<Option.Option<Tool>, McpClientError> {
    return Effect.mapError(this.lists.lookUp(name, limitsOf(options, this.options.limits)), () => failure)
  }

  private sendOnce(
    name: string,
    args: Arguments,
    options: CallToolOptions | undefined
  ): Effect.Effect<Result, McpClientError> {
    return Effect.suspend(() => {
      const known = this.tools.get(name)
      const headers = known === undefined || known.headers.length === 0
        ? undefined
        : headersOf(known.headers, args)
      if (headers !== undefined && Either.isLeft(headers)) return Effect.fail(invalidCall(name, headers.left))
      const call: Call = {
        method: "tools/call",
        target: name,
        params: { name, arguments: args },
        headers: headers?.right,
        meta: options?.meta,
        onProgress: options?.onProgress,
        onLog: options?.onLog,
        limits: limitsOf(options, this.options.limits),
        capability: "tools",
        mayNeedInput: true,
        repeat: (error) => this.mayCallAgain(known, args, error)
      }
      return this.calls.run(call)
    })
  }

  /** Only what the server calls harmless, and the application believes to be. */
  private mayCallAgain(known: KnownTool | undefined, args: Arguments, error: TransportFailure): boolean {
    const annotations = known?.tool.annotations
    return known !== undefined && (annotations?.readOnlyHint === true || annotations?.idempotentHint === true) &&
      this.options.replayPolicy({ tool: known.tool, arguments: args, error })
  }

  // --- results ------------------------------------------------------------------------------------------------------

  private finish(
    name: string,
    answer: Result,
    options: CallToolOptions | undefined
  ): Effect.Effect<CallToolResult, McpClientError> {
    // Servers with nothing but structured content leave the content out.
    const result: unknown = answer.content === undefined ? { ...answer, content: [] } : answer
    if (!isCallToolResult(result)) return Effect.fail(malformed(name, result))
    if (result.isError === true) {
      return options?.failOnToolError === true ? Effect.fail(toolError(name, result)) : Effect.succeed(result)
    }
    const known = this.tools.get(name)
    if (known !== undefined) return validated(name, known, result)
    if (result.structuredContent === undefined) return Effect.succeed(result)
    if (this.tools.isUnlisted(name)) return Effect.succeed(result)
    // The definition was never listed: it is looked up, so that structured content never goes unchecked.
    return this.lists.lookUp(name, limitsOf(options, this.options.limits)).pipe(
      Effect.tap((tool) => Option.isNone(tool) ? Effect.sync(() => this.tools.addUnlisted(name)) : Effect.void),
      Effect.catchAll((error) =>
        Effect.as(
          Effect.logWarning(`the structured content of ${name} could not be validated: no definition`, error).pipe(
            Effect.annotateLogs({ package: "@effect-mcp/client" })
          ),
          Option.none()
        )
      ),
      Effect.flatMap(() => {
        const found = this.tools.get(name)
        return found === undefined ? Effect.succeed(result) : validated(name, found, result)
      })
    )
  }
}

const callOf = (name: string) => ({ method: "tools/call", target: name }) as const

const invalidCall = (name: string, description: string): InvalidToolCall =>
  new InvalidToolCall({ ...callOf(name), outcome: "NotExecuted", description })

const toolError = (name: string, result: CallToolResult): ToolError =>
  new ToolError({ ...callOf(name), outcome: "Unknown", result })

const decodeResult = Schema.decodeUnknownEither(CallToolResult)

/** What the guard did not accept; the Schema tells where. */
const malformed = (name: string, result: unknown): DecodeError => {
  const decoded = decodeResult(result)
  if (Either.isRight(decoded)) return unusable(callOf(name), "Malformed", "the result is no CallToolResult", result)
  const { message, path } = firstIssue(decoded.left)
  return unusable(callOf(name), "Malformed", message, result, path)
}

const validated = (
  name: string,
  known: KnownTool,
  result: CallToolResult
): Effect.Effect<CallToolResult, McpClientError> => {
  const validator = known.validator
  if (validator === undefined) return Effect.succeed(result)
  const { structuredContent } = result
  if (structuredContent === undefined) {
    return Effect.fail(
      unusable(callOf(name), "MissingStructuredContent", "the tool has an output schema", result.content)
    )
  }
  if (Either.isLeft(validator)) {
    return Effect.fail(unusable(callOf(name), "OutputSchema", describe(validator.left), known.tool.outputSchema))
  }
  const [violation] = validator.right(structuredContent)
  return violation === undefined
    ? Effect.succeed(result)
    : Effect.fail(
      unusable(callOf(name), "StructuredContent", violation.message, structuredContent, violation.path)
    )
}

const describe = (problem: SchemaProblem): string => JSON.stringify(problem)

/** The value of a result by the schema of the caller: its structured content, or a text that is its JSON. */
const decodeWith = <A, I, R>(
  schema: Schema.Schema<A, I, R>,
  name: string,
  result: CallToolResult
): Effect.Effect<A, McpClientError, R> => {
  if (result.isError === true) return Effect.fail(toolError(name, result))
  const value = result.structuredContent === undefined ? jsonOf(result) : result.structuredContent
  return Effect.mapError(Schema.decodeUnknown(schema)(value), (error) => {
    const { message, path } = firstIssue(error)
    return unusable(callOf(name), "ResultSchema", message, value ?? result.content, path)
  })
}

const jsonOf = ({ content }: CallToolResult): unknown => {
  const [block] = content
  if (content.length !== 1 || block === undefined || block.type !== "text" || !("text" in block)) return undefined
  const { text } = block
  if (typeof text !== "string") return undefined
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}
