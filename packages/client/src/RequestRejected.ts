/**
 * The refusal of what a server asks for.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { Json } from "./internal/wire.ts"

/** JSON-RPC 2.0: internal error. */
const internalError = -32603

/**
 * The application refuses a request of the server, or cannot fulfil it. In the legacy era the server is told: `code`,
 * `message` and `data` become the JSON-RPC error that answers its request. In the modern era nobody waits for an answer;
 * the call that needed it fails.
 *
 * @since 0.1.0
 * @category errors
 */
export class RequestRejected extends Schema.TaggedError<RequestRejected>("@effect-mcp/client/RequestRejected")(
  "RequestRejected",
  {
    /** -32603, internal error, unless you say another one. */
    code: Schema.Int.pipe(Schema.propertySignature, Schema.withConstructorDefault(() => internalError)),
    message: Schema.String,
    data: Schema.optional(Json)
  }
) {}

/**
 * Refuses with a message, and with a code other than -32603 if you want.
 *
 * @example
 * ```ts
 * import { RequestRejected } from "@effect-mcp/client"
 *
 * // What the specification uses ("Sampling", "Error Handling").
 * const rejected = RequestRejected.make({ code: -1, message: "User rejected sampling request" })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: {
  readonly message: string
  readonly code?: number | undefined
  readonly data?: unknown
}): RequestRejected =>
  new RequestRejected({
    message: options.message,
    code: options.code ?? internalError,
    ...(options.data === undefined ? {} : { data: options.data })
  })
