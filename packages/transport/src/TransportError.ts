/**
 * Everything that can go wrong with a message, as a closed union of flat, tagged classes: catch one with
 * `Effect.catchTag("SessionTerminated", ...)`, all with `Effect.catchTags` or {@link isTransportError}.
 *
 * No error holds a credential in the clear: session ids are `Redacted` (also when an error is encoded), excerpts and
 * causes have the known session ids and bearer tokens blotted out.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as JsonRpc from "./JsonRpc.ts"

/**
 * @since 0.1.0
 * @category type ids
 */
export const TypeId: TypeId = "~@effect-mcp/transport/TransportError"

/**
 * @since 0.1.0
 * @category type ids
 */
export type TypeId = "~@effect-mcp/transport/TransportError"

/**
 * Whether the server may have acted on the message. `NotExecuted`: it surely has not, so sending it again is safe.
 * `Unknown`: it may have.
 *
 * @since 0.1.0
 * @category models
 */
export type Outcome = "NotExecuted" | "Unknown"

/**
 * @since 0.1.0
 * @category schemas
 */
export const Outcome: Schema.Schema<Outcome> = Schema.Literal("NotExecuted", "Unknown")

/**
 * A session id inside an error: redacted in memory, and blotted out when the error is encoded. What was encoded
 * therefore decodes to a placeholder, never to the id.
 *
 * @since 0.1.0
 * @category schemas
 */
export const SessionId: Schema.Schema<Redacted.Redacted<string>, string> = Schema.transform(
  Schema.String,
  Schema.RedactedFromSelf(Schema.String),
  { strict: true, decode: (text) => Redacted.make(text), encode: () => "<redacted>" }
)

// Of every error that belongs to a message: `receive` has no request id, and only sends have an outcome.
const ofMessage = {
  requestId: Schema.optional(JsonRpc.RequestId),
  outcome: Schema.optional(Outcome)
}

const about = (error: { readonly requestId?: JsonRpc.RequestId | undefined }): string =>
  error.requestId === undefined ? "" : ` (request ${JSON.stringify(error.requestId)})`

const causeText = (cause: unknown): string => {
  if (cause === undefined) return ""
  if (cause instanceof Error) {
    const inner = cause.cause instanceof Error ? `: ${cause.cause.message || cause.cause.name}` : ""
    return `: ${cause.message || cause.name}${inner}`
  }
  return typeof cause === "string" ? `: ${cause}` : ""
}

/**
 * No response could be had, or its body broke and cannot be resumed.
 *
 * `phase` says how far it got: `Connect`: no connection was established, the server saw nothing; `Response`: the
 * request may have been sent but no response head came; `Body`: the body broke off; `Closed`: the transport was closed.
 *
 * @example
 * ```ts
 * import { TransportError } from "@effect-mcp/transport"
 *
 * const safeToRepeat = (error: TransportError.TransportError) => error.outcome === "NotExecuted"
 * ```
 *
 * @since 0.1.0
 * @category errors
 */
export class ConnectionError extends Schema.TaggedError<ConnectionError>("@effect-mcp/transport/ConnectionError")(
  "ConnectionError",
  {
    ...ofMessage,
    phase: Schema.Literal("Connect", "Response", "Body", "Closed"),
    cause: Schema.optional(Schema.Defect)
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
    const what = {
      Connect: "could not connect to the server",
      Response: "the connection was lost before the response",
      Body: "the response broke off and cannot be resumed",
      Closed: "the transport is closed"
    }[this.phase]
    return `${what}${about(this)}${causeText(this.cause)}`
  }
}

/**
 * The server answered with a status that is no answer to the message (see the status table in the README).
 *
 * Carries what is needed to decide what to do: `retryAfter` (from `Retry-After`, seconds or date), `wwwAuthenticate`,
 * `location` of a redirect that was not followed, the JSON-RPC error of the body if it holds one, and the beginning of
 * the body (at most 1 024 characters).
 *
 * @since 0.1.0
 * @category errors
 */
export class HttpStatusError extends Schema.TaggedError<HttpStatusError>("@effect-mcp/transport/HttpStatusError")(
  "HttpStatusError",
  {
    ...ofMessage,
    method: Schema.Literal("POST", "GET", "DELETE"),
    status: Schema.Int,
    retryAfter: Schema.optional(Schema.DurationFromMillis),
    wwwAuthenticate: Schema.optional(Schema.String),
    location: Schema.optional(Schema.String),
    error: Schema.optional(JsonRpc.ErrorObject),
    body: Schema.optional(Schema.String)
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
    const said = this.error === undefined
      ? this.body === undefined || this.body === "" ? "" : `: ${this.body.slice(0, 200)}`
      : `: ${this.error.message} (${this.error.code})`
    const to = this.location === undefined
      ? ""
      : `, a redirect to ${this.location} that is not followed (only 307 and 308 within the origin are, 5 in a row at most)`
    return `${this.method} was answered with status ${this.status}${to}${about(this)}${said}`
  }
}

/**
 * What the server sent, or what was to be sent, is not MCP.
 *
 * `InvalidJson`, `InvalidMessage`: no JSON, or no JSON-RPC message (also for a message given to `send`);
 * `UnexpectedContentType`: neither JSON nor an event stream; `ContentEncoding`: compressed in a way that could not be
 * undone; `NoResponse`: the server accepted the request but ended without answering it; `InvalidSessionId`: the session
 * id has characters outside visible ASCII.
 *
 * @since 0.1.0
 * @category errors
 */
export class ProtocolError extends Schema.TaggedError<ProtocolError>("@effect-mcp/transport/ProtocolError")(
  "ProtocolError",
  {
    ...ofMessage,
    reason: Schema.Literal(
      "InvalidJson",
      "InvalidMessage",
      "UnexpectedContentType",
      "ContentEncoding",
      "NoResponse",
      "InvalidSessionId"
    ),
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
    const came = this.excerpt === undefined || this.excerpt === "" ? "" : `: ${this.excerpt.slice(0, 200)}`
    return `${this.reason}: ${this.description}${about(this)}${came}`
  }
}

/**
 * A message was larger than `Options.maxMessageSize`, in bytes after decompression. It is not asked for again.
 *
 * @since 0.1.0
 * @category errors
 */
export class MessageTooLarge extends Schema.TaggedError<MessageTooLarge>("@effect-mcp/transport/MessageTooLarge")(
  "MessageTooLarge",
  { ...ofMessage, limit: Schema.Number }
) {
  /**
   * @since 0.1.0
   */
  readonly [TypeId]: TypeId = TypeId
  /**
   * @since 0.1.0
   */
  override get message(): string {
    return `a message is larger than the ${this.limit} bytes of maxMessageSize${about(this)}`
  }
}

/**
 * The server no longer knows the session (it answered 404, `by: "Server"`), or this side ended it (`by: "Client"`).
 * Send a new `initialize` over the same transport to open another one.
 *
 * @since 0.1.0
 * @category errors
 */
export class SessionTerminated extends Schema.TaggedError<SessionTerminated>("@effect-mcp/transport/SessionTerminated")(
  "SessionTerminated",
  { ...ofMessage, sessionId: SessionId, by: Schema.Literal("Client", "Server") }
) {
  /**
   * @since 0.1.0
   */
  readonly [TypeId]: TypeId = TypeId
  /**
   * @since 0.1.0
   */
  override get message(): string {
    return this.by === "Server"
      ? `the server no longer knows the session${about(this)}; send initialize to open a new one`
      : `the session was terminated by this client${about(this)}`
  }
}

/**
 * A stream was lost and cannot be resumed, or a resumption token cannot be used.
 *
 * `MissingToken`: the token is empty; `NotResumable`: a token was given with something else than a stateful request, or
 * cannot be sent as a header; `Rejected`: the server refused to resume; `Unsupported`: it answered 405, it does not
 * resume at all; `RetryTooLong`: it asked to wait longer than `maxRetryDelay`; `Exhausted`: the reconnection policy
 * gave up. `attempts` counts reconnects since the last progress.
 *
 * @since 0.1.0
 * @category errors
 */
export class ResumptionError extends Schema.TaggedError<ResumptionError>("@effect-mcp/transport/ResumptionError")(
  "ResumptionError",
  {
    ...ofMessage,
    reason: Schema.Literal("MissingToken", "NotResumable", "Rejected", "Unsupported", "RetryTooLong", "Exhausted"),
    attempts: Schema.Int,
    lastEventId: Schema.optional(Schema.String),
    status: Schema.optional(Schema.Int),
    retry: Schema.optional(Schema.DurationFromMillis),
    cause: Schema.optional(Schema.Defect)
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
    const status = this.status === undefined ? "" : `, status ${this.status}`
    const retry = this.retry === undefined ? "" : `: ${Duration.toMillis(this.retry)} ms`
    const what = {
      MissingToken: "the resumption token is empty",
      NotResumable: "only a stateful request can be resumed, by a token that fits into a header",
      Rejected: `the server refused to resume the stream${status}`,
      Unsupported: `the server does not resume streams${status}`,
      RetryTooLong: `the server asked to wait longer than maxRetryDelay before reconnecting${retry}`,
      Exhausted: `the stream was lost and ${this.attempts} reconnects brought no progress${status}`
    }[this.reason]
    return `${what}${about(this)}${causeText(this.cause)}`
  }
}

/**
 * Every failure of a message or a stream.
 *
 * @since 0.1.0
 * @category errors
 */
export type TransportError =
  | ConnectionError
  | HttpStatusError
  | ProtocolError
  | MessageTooLarge
  | SessionTerminated
  | ResumptionError

/**
 * The union as a schema, to pass errors on over RPC, workflows or storage.
 *
 * @since 0.1.0
 * @category schemas
 */
export const TransportError = Schema.Union(
  ConnectionError,
  HttpStatusError,
  ProtocolError,
  MessageTooLarge,
  SessionTerminated,
  ResumptionError
)

/**
 * @example
 * ```ts
 * import { TransportError } from "@effect-mcp/transport"
 *
 * const describe = (u: unknown) => TransportError.isTransportError(u) ? `${u._tag}: ${u.message}` : String(u)
 * ```
 *
 * @since 0.1.0
 * @category guards
 */
export const isTransportError = (u: unknown): u is TransportError => Predicate.hasProperty(u, TypeId)

/**
 * An option cannot be used. Fails the construction of a transport; no message is involved, so it stands outside
 * {@link TransportError}.
 *
 * @since 0.1.0
 * @category errors
 */
export class InvalidOptions extends Schema.TaggedError<InvalidOptions>("@effect-mcp/transport/InvalidOptions")(
  "InvalidOptions",
  { option: Schema.String, description: Schema.String }
) {
  /**
   * @since 0.1.0
   */
  override get message(): string {
    return `option ${this.option}: ${this.description}`
  }
}
