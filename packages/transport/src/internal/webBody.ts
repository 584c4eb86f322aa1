/**
 * The body of a response of fetch, read without the Stream of its `HttpClientResponse`: running one takes more than a third
 * of what an answer over fetch costs.
 *
 * Whatever a decorator of the client may have made of a response is read as a Stream, as is all that this does not know.
 */
import type * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as HttpClientResponse from "@effect/platform/HttpClientResponse"

export type WebBody = ReadableStream<Uint8Array>

/** The body, if a response is nothing but one of fetch, as the client made it. */
export const of = (response: HttpClientResponse.HttpClientResponse): WebBody | undefined => {
  // Private to the platform, so nothing is taken for granted.
  const source: unknown = Reflect.get(response, "source")
  if (!isWebResponse(source) || Object.hasOwn(response, "stream")) return undefined
  if (Object.getPrototypeOf(response) !== prototypeOfWeb(response.request, source)) return undefined
  const { body } = source
  return body === null || body.locked ? undefined : body
}

const isWebResponse = (u: unknown): u is Response => Object.prototype.toString.call(u) === "[object Response]"

let known: object | undefined

const prototypeOfWeb = (request: HttpClientRequest.HttpClientRequest, source: Response): object =>
  known ??= Object.getPrototypeOf(HttpClientResponse.fromWeb(request, source))

export interface WebBodyHandler {
  readonly onChunk: (chunk: Uint8Array) => void
  readonly onEnd: () => void
  readonly onError: (cause: unknown) => void
}

/** Reads one chunk for each `pull`. */
export class WebBodyReader {
  private isReading = false
  private isOver = false
  private readonly reader: ReadableStreamDefaultReader<Uint8Array>

  private readonly handler: WebBodyHandler

  constructor(body: WebBody, handler: WebBodyHandler) {
    this.reader = body.getReader()
    this.handler = handler
  }

  /** Harmless while a chunk is under way, and after the end. */
  pull(): void {
    if (this.isReading || this.isOver) return
    this.isReading = true
    this.reader.read().then(this.take, this.fail)
  }

  /** Nothing is told any more. What fetch hears by its signal, the source of a body that is not its own hears only so. */
  cancel(): void {
    if (this.isOver) return
    this.isOver = true
    this.reader.cancel().catch(() => {})
  }

  private readonly take = ({ done, value }: ReadableStreamReadResult<Uint8Array>): void => {
    this.isReading = false
    if (this.isOver) return
    try {
      if (!done) return this.handler.onChunk(value)
      this.isOver = true
      this.handler.onEnd()
    } catch (defect) {
      this.isOver = true
      this.handler.onError(defect)
    }
  }

  private readonly fail = (cause: unknown): void => {
    if (this.isOver) return
    this.isOver = true
    this.handler.onError(cause)
  }
}
