/**
 * The body of a response of fetch, read without the Stream of its `HttpClientResponse`: running one takes more than a third
 * of what an answer over fetch costs.
 *
 * What a decorator of the client has made of a response is read as a Stream, and so is all that this does not know.
 */
import type * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as HttpClientResponse from "@effect/platform/HttpClientResponse"

export type WebBody = ReadableStream<Uint8Array>

/** The body, if a response is surely nothing but one of fetch, as the client made it. */
export const of = (response: HttpClientResponse.HttpClientResponse): WebBody | undefined => {
  // Private to the platform, so nothing about it is taken for granted.
  const source: unknown = Reflect.get(response, "source")
  if (!isWebResponse(source) || !isReadable(source.body) || source.body.locked) return undefined
  const isAsMade = Object.getPrototypeOf(response) === prototypeOfWeb(response.request, source) &&
    !Object.hasOwn(response, "stream") && isProxy(response) === false
  return isAsMade ? source.body : undefined
}

const isWebResponse = (u: unknown): u is Response => Object.prototype.toString.call(u) === "[object Response]"

// Others than fetch make such responses, too, with bodies of other kinds.
const isReadable = (u: unknown): u is WebBody =>
  typeof u === "object" && u !== null && "getReader" in u && typeof u.getReader === "function" && "locked" in u

let known: object | undefined

const prototypeOfWeb = (request: HttpClientRequest.HttpClientRequest, source: Response): object =>
  known ??= Object.getPrototypeOf(HttpClientResponse.fromWeb(request, source))

let proxies: { readonly tell: ((u: object) => boolean) | undefined } | undefined

/** Whether it is a Proxy, which looks like what it stands for; `undefined` where nobody can tell, as in a browser. */
const isProxy = (u: object): boolean | undefined => (proxies ??= { tell: findIsProxy() }).tell?.(u)

/** Node's, if there is one (Bun and Deno have it, too). It is not imported, as this package runs everywhere. */
const findIsProxy = (): ((u: object) => boolean) | undefined => {
  const types = method(Reflect.get(globalThis, "process"), "getBuiltinModule")?.("node:util/types")
  const isProxy = method(types, "isProxy")
  return isProxy === undefined ? undefined : (u) => isProxy(u) !== false
}

const method = (u: unknown, name: string): ((argument: unknown) => unknown) | undefined => {
  if (typeof u !== "object" || u === null) return undefined
  const found: unknown = Reflect.get(u, name)
  return typeof found === "function" ? (argument) => Reflect.apply(found, u, [argument]) : undefined
}

export interface WebBodyHandler {
  readonly onChunk: (chunk: Uint8Array) => void
  readonly onEnd: () => void
  readonly onError: (cause: unknown) => void
}

/** Reads one chunk for each `pull`. The body is not touched before. */
export class WebBodyReader {
  private isReading = false
  private isOver = false
  private reader: ReadableStreamDefaultReader<Uint8Array> | undefined

  private readonly body: WebBody
  private readonly handler: WebBodyHandler

  constructor(body: WebBody, handler: WebBodyHandler) {
    this.body = body
    this.handler = handler
  }

  /** Harmless while a chunk is under way, and after the end. */
  pull(): void {
    if (this.isReading || this.isOver) return
    try {
      this.reader ??= this.body.getReader()
    } catch (cause) {
      return this.fail(cause)
    }
    this.isReading = true
    this.reader.read().then(this.take, this.fail)
  }

  /** Tells the source that nobody reads on; a body that fetch did not make may not hear fetch's signal. */
  cancel(): void {
    if (this.isOver) return
    this.isOver = true
    const source = this.reader ?? this.body
    // What is broken already cannot be cancelled, and need not be.
    source.cancel().catch(() => {})
  }

  private readonly take = ({ done, value }: ReadableStreamReadResult<Uint8Array>): void => {
    this.isReading = false
    if (this.isOver) return
    if (done) {
      this.isOver = true
      this.handler.onEnd()
      return
    }
    try {
      this.handler.onChunk(value)
    } catch (defect) {
      this.cancel()
      this.handler.onError(defect)
    }
  }

  private readonly fail = (cause: unknown): void => {
    if (this.isOver) return
    this.isOver = true
    this.handler.onError(cause)
  }
}
