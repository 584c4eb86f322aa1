/**
 * The errors of an exchange, public through `HttpExchange`.
 */
import * as Data from "effect/Data"

/** Why no head could be had. `sent` is false only when the server surely saw nothing of the request. */
export class ExchangeError extends Data.TaggedError("ExchangeError")<{
  readonly sent: boolean
  readonly cause: unknown
}> {}

/** A body is compressed and the client did not inflate it. */
export class ContentEncodingError extends Data.TaggedError("ContentEncodingError")<{
  readonly encoding: string
}> {
  override get message(): string {
    return `the body is encoded as ${this.encoding} and this HTTP client does not decode it`
  }
}
