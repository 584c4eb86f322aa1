/**
 * JSON-RPC 2.0 messages as MCP uses them: plain readonly objects in their wire shape, so that an object literal is a
 * message and members unknown to this module survive.
 *
 * The guards are plain functions, cheap enough for every message; the schemas describe the same shapes for everything
 * else (persistence, documentation, property tests).
 *
 * @since 0.1.0
 */
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"

/**
 * Identifies a request. `1` and `"1"` are different ids.
 *
 * @since 0.1.0
 * @category models
 */
export type RequestId = string | number

/**
 * Named parameters: MCP has no positional ones.
 *
 * @since 0.1.0
 * @category models
 */
export interface Params {
  readonly [name: string]: unknown
}

/**
 * A call that the other side has to answer.
 *
 * @example
 * ```ts
 * import { JsonRpc } from "@effect-mcp/transport"
 *
 * const request: JsonRpc.Request = { jsonrpc: "2.0", id: 1, method: "tools/list" }
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export interface Request {
  readonly jsonrpc: "2.0"
  readonly id: RequestId
  readonly method: string
  readonly params?: Params | undefined
}

/**
 * A message that nobody answers.
 *
 * @since 0.1.0
 * @category models
 */
export interface Notification {
  readonly jsonrpc: "2.0"
  readonly method: string
  readonly params?: Params | undefined
}

/**
 * The successful answer to a request.
 *
 * @since 0.1.0
 * @category models
 */
export interface SuccessResponse {
  readonly jsonrpc: "2.0"
  readonly id: RequestId
  readonly result: unknown
}

/**
 * Code, message and optional data of a failed request. Codes: JSON-RPC 2.0 section 5.1 and MCP "Error Codes".
 *
 * @since 0.1.0
 * @category models
 */
export interface ErrorObject {
  readonly code: number
  readonly message: string
  readonly data?: unknown
}

/**
 * The failed answer to a request. The id is missing or `null` when the server could not tell which request it was.
 *
 * @since 0.1.0
 * @category models
 */
export interface ErrorResponse {
  readonly jsonrpc: "2.0"
  readonly id?: RequestId | null | undefined
  readonly error: ErrorObject
}

/**
 * @since 0.1.0
 * @category models
 */
export type Response = SuccessResponse | ErrorResponse

/**
 * @since 0.1.0
 * @category models
 */
export type Message = Request | Notification | Response

// Decoding keeps members this module does not know: a proxy must be able to pass them on.
const keepUnknown = { parseOptions: { onExcessProperty: "preserve" } } as const

const version = Schema.Literal("2.0")

const isObject = (u: unknown): u is { readonly [key: string]: unknown } =>
  typeof u === "object" && u !== null && !Array.isArray(u)

// A params that JSON would turn into something else is none.
const isParams = (u: unknown): u is Params => isObject(u) && typeof u.toJSON !== "function"

// What JSON leaves out is no result.
const isResult = (u: unknown): boolean => u !== undefined && typeof u !== "function" && typeof u !== "symbol"

/**
 * @since 0.1.0
 * @category schemas
 */
export const RequestId: Schema.Schema<RequestId> = Schema.Union(Schema.String, Schema.Finite).annotations({
  identifier: "RequestId"
})

/**
 * @since 0.1.0
 * @category schemas
 */
export const Params: Schema.Schema<Params> = Schema.declare(isParams, {
  identifier: "Params",
  arbitrary: () => (fc) => fc.dictionary(fc.string(), fc.jsonValue())
})

/**
 * @since 0.1.0
 * @category schemas
 */
export const ErrorObject: Schema.Schema<ErrorObject> = Schema.Struct({
  code: Schema.Int,
  message: Schema.String,
  data: Schema.optionalWith(Schema.Unknown, { exact: true })
}).annotations({ identifier: "ErrorObject", ...keepUnknown })

/**
 * @since 0.1.0
 * @category schemas
 */
export const Request: Schema.Schema<Request> = Schema.Struct({
  jsonrpc: version,
  id: RequestId,
  method: Schema.String,
  params: Schema.optional(Params)
}).annotations({ identifier: "Request", ...keepUnknown })

/**
 * @since 0.1.0
 * @category schemas
 */
export const Notification: Schema.Schema<Notification> = Schema.Struct({
  jsonrpc: version,
  method: Schema.String,
  params: Schema.optional(Params),
  id: Schema.optional(Schema.Undefined)
}).annotations({ identifier: "Notification", ...keepUnknown })

/**
 * @since 0.1.0
 * @category schemas
 */
export const SuccessResponse: Schema.Schema<SuccessResponse> = Schema.Struct({
  jsonrpc: version,
  id: RequestId,
  result: Schema.declare((u: unknown): u is unknown => isResult(u), { arbitrary: () => (fc) => fc.jsonValue() }),
  method: Schema.optional(Schema.Undefined),
  error: Schema.optional(Schema.Undefined)
}).annotations({ identifier: "SuccessResponse", ...keepUnknown })

/**
 * @since 0.1.0
 * @category schemas
 */
export const ErrorResponse: Schema.Schema<ErrorResponse> = Schema.Struct({
  jsonrpc: version,
  id: Schema.optional(Schema.NullOr(RequestId)),
  error: ErrorObject,
  method: Schema.optional(Schema.Undefined),
  // Servers with roots in JSON-RPC 1.0 send both members.
  result: Schema.optional(Schema.Null)
}).annotations({ identifier: "ErrorResponse", ...keepUnknown })

/**
 * @since 0.1.0
 * @category schemas
 */
export const Response: Schema.Schema<Response> = Schema.Union(SuccessResponse, ErrorResponse)

/**
 * @since 0.1.0
 * @category schemas
 */
export const Message: Schema.Schema<Message> = Schema.Union(Request, Notification, SuccessResponse, ErrorResponse)

const isRequestId = (u: unknown): u is RequestId =>
  typeof u === "string" || (typeof u === "number" && Number.isFinite(u))

const hasVersion = (u: unknown): u is { readonly jsonrpc: "2.0"; readonly [key: string]: unknown } =>
  isObject(u) && u.jsonrpc === "2.0"

const hasMethod = (u: { readonly [key: string]: unknown }): boolean =>
  typeof u.method === "string" && (u.params === undefined || isParams(u.params))

/**
 * @since 0.1.0
 * @category guards
 */
export const isRequest = (u: unknown): u is Request => hasVersion(u) && hasMethod(u) && isRequestId(u.id)

/**
 * @since 0.1.0
 * @category guards
 */
export const isNotification = (u: unknown): u is Notification => hasVersion(u) && hasMethod(u) && u.id === undefined

/**
 * @since 0.1.0
 * @category guards
 */
export const isSuccessResponse = (u: unknown): u is SuccessResponse =>
  hasVersion(u) && u.method === undefined && u.error === undefined && isResult(u.result) && isRequestId(u.id)

/**
 * @since 0.1.0
 * @category guards
 */
export const isErrorResponse = (u: unknown): u is ErrorResponse =>
  hasVersion(u) && u.method === undefined && (u.result === undefined || u.result === null) && isErrorObject(u.error) &&
  (u.id === undefined || u.id === null || isRequestId(u.id))

/**
 * @since 0.1.0
 * @category guards
 */
export const isErrorObject = (u: unknown): u is ErrorObject =>
  isObject(u) && typeof u.message === "string" && Number.isSafeInteger(u.code)

/**
 * @since 0.1.0
 * @category guards
 */
export const isResponse = (u: unknown): u is Response => isSuccessResponse(u) || isErrorResponse(u)

/**
 * @example
 * ```ts
 * import { JsonRpc } from "@effect-mcp/transport"
 *
 * console.log(JsonRpc.isMessage({ jsonrpc: "2.0", id: 1, result: {} })) // true
 * console.log(JsonRpc.isMessage([])) // false: a batch is not a message
 * ```
 *
 * @since 0.1.0
 * @category guards
 */
export const isMessage = (u: unknown): u is Message => {
  // In one pass, as every message passes here: a method makes it a request or a notification, none a response.
  if (!hasVersion(u)) return false
  return u.method === undefined ? isResponse(u) : hasMethod(u) && (u.id === undefined || isRequestId(u.id))
}

/**
 * @example
 * ```ts
 * import { JsonRpc } from "@effect-mcp/transport"
 *
 * const call = JsonRpc.request(1, "tools/call", { name: "report", arguments: { year: 2026 } })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const request = (id: RequestId, method: string, params?: Params): Request =>
  params === undefined ? { jsonrpc: "2.0", id, method } : { jsonrpc: "2.0", id, method, params }

/**
 * @since 0.1.0
 * @category constructors
 */
export const notification = (method: string, params?: Params): Notification =>
  params === undefined ? { jsonrpc: "2.0", method } : { jsonrpc: "2.0", method, params }

/**
 * @since 0.1.0
 * @category constructors
 */
export const success = (id: RequestId, result: unknown): SuccessResponse => ({ jsonrpc: "2.0", id, result })

/**
 * @since 0.1.0
 * @category constructors
 */
export const error = (id: RequestId | null, error: ErrorObject): ErrorResponse => ({ jsonrpc: "2.0", id, error })

/**
 * Why a text is no JSON-RPC message.
 *
 * @since 0.1.0
 * @category errors
 */
export type DecodeFailure = "InvalidJson" | "InvalidMessage"

/**
 * The wire form of a message: one line of JSON. `undefined` members are left out, `null` is kept. Throws what
 * `JSON.stringify` throws (a cycle, a bigint).
 *
 * @since 0.1.0
 * @category encoding
 */
export const encode = (message: Message): string => JSON.stringify(message)

/**
 * Reads a text as one message, or as the batch that servers of 2025-03-26 may send; an empty batch is no message.
 *
 * @example
 * ```ts
 * import { JsonRpc } from "@effect-mcp/transport"
 * import { Either } from "effect"
 *
 * const messages = Either.getOrThrow(JsonRpc.decode(`{"jsonrpc":"2.0","id":1,"result":{}}`))
 * console.log(messages.length) // 1
 * ```
 *
 * @since 0.1.0
 * @category encoding
 */
export const decode = (text: string): Either.Either<ReadonlyArray<Message>, DecodeFailure> => {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    return Either.left("InvalidJson")
  }
  if (isMessage(json)) return Either.right([json])
  if (Array.isArray(json) && json.length > 0 && json.every(isMessage)) return Either.right(json)
  return Either.left("InvalidMessage")
}
