/**
 * Everything that can go wrong with a call, as a closed union of flat, tagged classes: catch one with
 * `Effect.catchTag("JsonRpcError", ...)`, all with `Effect.catchTags` or {@link isMcpClientError}. The errors of the
 * transport are part of it and are passed through unchanged.
 *
 * Every error that belongs to a call says whether the server may have acted on it: `outcome` is `NotExecuted` when it
 * surely has not, so that repeating is safe, and `Unknown` when it may have.
 *
 * @since 0.1.0
 */
import { ErrorObject } from "@effect-mcp/transport/JsonRpc"
import * as TransportError from "@effect-mcp/transport/TransportError"
import * as Duration from "effect/Duration"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import { CallToolResult } from "./Tool.ts"

/**
 * @since 0.1.0
 * @category type ids
 */
export const TypeId: TypeId = "~@effect-mcp/client/McpClientError"

/**
 * @since 0.1.0
 * @category type ids
 */
export type TypeId = "~@effect-mcp/client/McpClientError"

/** What a call was: its JSON-RPC method and what it was about, a tool's name or a resource's URI. */
const ofCall = {
  method: Schema.String,
  target: Schema.optional(Schema.String),
  outcome: TransportError.Outcome
}

const described = (call: { readonly method: string; readonly target?: string | undefined }): string =>
  call.target === undefined ? call.method : `${call.method} ${JSON.stringify(call.target)}`

/** Codes that the protocol defines (2026-07-28, "Error Codes"). */
const codeNames: { readonly [code: number]: string } = {
  [-32700]: "parse error",
  [-32600]: "invalid request",
  [-32601]: "method not found",
  [-32602]: "invalid params",
  [-32603]: "internal error",
  [-32002]: "resource not found",
  [-32020]: "header mismatch",
  [-32021]: "missing required client capability",
  [-32022]: "unsupported protocol version",
  [-32042]: "URL elicitation required"
}

/**
 * The server answered with a JSON-RPC error: `error` is what it sent, with its code, message and data.
 *
 * @example
 * ```ts
 * import { McpClient } from "@effect-mcp/client"
 * import { Effect } from "effect"
 *
 * const report = Effect.gen(function*() {
 *   const client = yield* McpClient.McpClient
 *   return yield* client.callTool("report", { year: 2026 })
 * }).pipe(
 *   Effect.catchTag("JsonRpcError", ({ error }) => Effect.fail(`${error.code}: ${error.message}`))
 * )
 * ```
 *
 * @since 0.1.0
 * @category errors
 */
export class JsonRpcError extends Schema.TaggedError<JsonRpcError>("@effect-mcp/client/JsonRpcError")(
  "JsonRpcError",
  { ...ofCall, error: ErrorObject }
) {
  /**
   * @since 0.1.0
   */
  readonly [TypeId]: TypeId = TypeId
  /**
   * The code of the error, such as -32602 for invalid params.
   *
   * @since 0.1.0
   */
  get code(): number {
    return this.error.code
  }
  /**
   * @since 0.1.0
   */
  override get message(): string {
    const name = codeNames[this.error.code]
    const code = name === undefined ? String(this.error.code) : `${this.error.code}, ${name}`
    return `${described(this)} was answered with an error: ${this.error.message} (${code})`
  }
}

/**
 * A tool ran and reported a failure (`isError`); `result` is all of its answer. A call fails with it only when asked to:
 * by `failOnToolError`, or because a `result` schema wants a value that a failed tool does not have.
 *
 * @since 0.1.0
 * @category errors
 */
export class ToolError extends Schema.TaggedError<ToolError>("@effect-mcp/client/ToolError")(
  "ToolError",
  { ...ofCall, result: CallToolResult }
) {
  /**
   * @since 0.1.0
   */
  readonly [TypeId]: TypeId = TypeId
  /**
   * @since 0.1.0
   */
  override get message(): string {
    const text = this.result.content.flatMap((block) =>
      block.type === "text" && "text" in block && typeof block.text === "string" ? [block.text] : []
    ).join("\n")
    return `${described(this)} reported a failure${text === "" ? "" : `: ${text.slice(0, 500)}`}`
  }
}

/**
 * What the server answered is not what was promised.
 *
 * - `Malformed`: the result is not what the protocol defines for this method
 * - `UnsupportedResultType`: a `resultType` that this client does not know (2026-07-28, "ResultType")
 * - `StructuredContent`: the structured content does not match the output schema of the tool
 * - `MissingStructuredContent`: the tool has an output schema, but there is no structured content
 * - `OutputSchema`: the output schema itself cannot be used
 * - `ResultSchema`: the content does not match the schema that you gave as `result`
 *
 * `path` leads to the place inside the result (or inside the structured content); `excerpt` shows the beginning of what
 * came. The server has executed the call: its outcome is `Unknown`.
 *
 * @since 0.1.0
 * @category errors
 */
export class DecodeError extends Schema.TaggedError<DecodeError>("@effect-mcp/client/DecodeError")(
  "DecodeError",
  {
    ...ofCall,
    reason: Schema.Literal(
      "Malformed",
      "UnsupportedResultType",
      "StructuredContent",
      "MissingStructuredContent",
      "OutputSchema",
      "ResultSchema"
    ),
    path: Schema.Array(Schema.Union(Schema.String, Schema.Number)),
    description: Schema.String,
    excerpt: Schema.optional(Schema.String)
  }
) {
  /**
   * @since 0.1.0
   */
  readonly [TypeId]: TypeId = TypeId
  /**
   * @since 0.1.0
   */
  override get message(): string {
    const where = this.path.length === 0 ? "" : ` at ${this.path.map(String).join(".")}`
    const came = this.excerpt === undefined ? "" : `: ${this.excerpt.slice(0, 200)}`
    return `${described(this)}: ${this.reason}${where}: ${this.description}${came}`
  }
}

/**
 * A call took too long and was given up; it is cancelled on the server in the way of its era. `Total`: it was not
 * answered within `timeout`; `Idle`: nothing at all came for it during `idleTimeout`.
 *
 * @since 0.1.0
 * @category errors
 */
export class RequestTimeout extends Schema.TaggedError<RequestTimeout>("@effect-mcp/client/RequestTimeout")(
  "RequestTimeout",
  { ...ofCall, kind: Schema.Literal("Total", "Idle"), limit: Schema.DurationFromMillis }
) {
  /**
   * @since 0.1.0
   */
  readonly [TypeId]: TypeId = TypeId
  /**
   * @since 0.1.0
   */
  override get message(): string {
    const limit = Duration.format(this.limit)
    return this.kind === "Total"
      ? `${described(this)} was not answered within ${limit} (timeout)`
      : `${described(this)}: nothing came for ${limit} (idleTimeout)`
  }
}

/**
 * The server does not offer what was asked for: `capability` is missing in what it declared. Nothing was sent.
 *
 * @since 0.1.0
 * @category errors
 */
export class CapabilityMissing extends Schema.TaggedError<CapabilityMissing>("@effect-mcp/client/CapabilityMissing")(
  "CapabilityMissing",
  { ...ofCall, capability: Schema.String }
) {
  /**
   * @since 0.1.0
   */
  readonly [TypeId]: TypeId = TypeId
  /**
   * @since 0.1.0
   */
  override get message(): string {
    return `${described(this)}: the server does not declare the capability ${this.capability}`
  }
}

/**
 * Client and server have no protocol version in common: `requested` is what this client would speak, `supported` what
 * the server named, if it named any.
 *
 * @since 0.1.0
 * @category errors
 */
export class NegotiationError extends Schema.TaggedError<NegotiationError>("@effect-mcp/client/NegotiationError")(
  "NegotiationError",
  { requested: Schema.Array(Schema.String), supported: Schema.Array(Schema.String), description: Schema.String }
) {
  /**
   * @since 0.1.0
   */
  readonly [TypeId]: TypeId = TypeId
  /**
   * @since 0.1.0
   */
  override get message(): string {
    const named = this.supported.length === 0 ? "names none" : `supports ${this.supported.join(", ")}`
    return `no common protocol version: this client speaks ${this.requested.join(", ")}, the server ${named}: ` +
      this.description
  }
}

/**
 * A list does not end. `CursorCycle`: the server gave a cursor that it had given before; `TooManyPages`: there were more
 * than `maxPages`. What came before was emitted.
 *
 * @since 0.1.0
 * @category errors
 */
export class PagingError extends Schema.TaggedError<PagingError>("@effect-mcp/client/PagingError")(
  "PagingError",
  { ...ofCall, reason: Schema.Literal("CursorCycle", "TooManyPages"), pages: Schema.Int }
) {
  /**
   * @since 0.1.0
   */
  readonly [TypeId]: TypeId = TypeId
  /**
   * @since 0.1.0
   */
  override get message(): string {
    return this.reason === "CursorCycle"
      ? `${described(this)}: the server gave a cursor a second time after ${this.pages} pages`
      : `${described(this)}: the list has more than the ${this.pages} pages of maxPages`
  }
}

/**
 * The server asked for input that it cannot have, and so the call cannot be finished (2026-07-28, "Multi Round-Trip
 * Requests").
 *
 * - `TooManyRounds`: it asked more than `maxInputRounds` times
 * - `NoHandler`: it asked for something that no service was provided for; it must not ask for what was not declared
 * - `Rejected`: the service refused; `description` is what it said
 * - `NotAllowed`: this method must not ask for input
 *
 * `key` is the server's name of the request that could not be answered.
 *
 * @since 0.1.0
 * @category errors
 */
export class InputRequiredError extends Schema.TaggedError<InputRequiredError>("@effect-mcp/client/InputRequiredError")(
  "InputRequiredError",
  {
    ...ofCall,
    reason: Schema.Literal("TooManyRounds", "NoHandler", "Rejected", "NotAllowed"),
    key: Schema.optional(Schema.String),
    description: Schema.String
  }
) {
  /**
   * @since 0.1.0
   */
  readonly [TypeId]: TypeId = TypeId
  /**
   * @since 0.1.0
   */
  override get message(): string {
    const key = this.key === undefined ? "" : ` (${this.key})`
    return `${described(this)} needs input: ${this.reason}${key}: ${this.description}`
  }
}

/**
 * A tool cannot be called in this way; nothing was sent. The definition of the tool breaks the rules for `x-mcp-header`,
 * so that it was left out of the list, or an argument cannot be sent in the header that the definition asks for.
 *
 * @since 0.1.0
 * @category errors
 */
export class InvalidToolCall extends Schema.TaggedError<InvalidToolCall>("@effect-mcp/client/InvalidToolCall")(
  "InvalidToolCall",
  { ...ofCall, description: Schema.String }
) {
  /**
   * @since 0.1.0
   */
  readonly [TypeId]: TypeId = TypeId
  /**
   * @since 0.1.0
   */
  override get message(): string {
    return `${described(this)}: ${this.description}`
  }
}

/**
 * Every failure of the client.
 *
 * @since 0.1.0
 * @category errors
 */
export type McpClientError =
  | JsonRpcError
  | ToolError
  | DecodeError
  | RequestTimeout
  | CapabilityMissing
  | NegotiationError
  | PagingError
  | InputRequiredError
  | InvalidToolCall
  | TransportError.TransportError

/**
 * The union as a schema, to pass errors on over RPC, workflows or storage.
 *
 * @since 0.1.0
 * @category schemas
 */
export const McpClientError = Schema.Union(
  JsonRpcError,
  ToolError,
  DecodeError,
  RequestTimeout,
  CapabilityMissing,
  NegotiationError,
  PagingError,
  InputRequiredError,
  InvalidToolCall,
  TransportError.TransportError
)

/**
 * @example
 * ```ts
 * import { McpClientError } from "@effect-mcp/client"
 *
 * const describe = (error: unknown): string =>
 *   McpClientError.isMcpClientError(error) ? error._tag : "something else"
 * ```
 *
 * @since 0.1.0
 * @category guards
 */
export const isMcpClientError = (u: unknown): u is McpClientError =>
  Predicate.hasProperty(u, TypeId) || TransportError.isTransportError(u)
