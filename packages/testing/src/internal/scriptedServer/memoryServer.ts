/**
 * The connections of a scripted server without sockets: an `HttpClient` that hands its requests over in memory. Bodies are
 * pulled, so that a client that does not read stops the server as a socket would; nothing here knows any time.
 */
import type * as Headers from "@effect/platform/Headers"
import type * as HttpBody from "@effect/platform/HttpBody"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientError from "@effect/platform/HttpClientError"
import type * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { CutKind, Wire, WireRequest } from "./wire.ts"

/** How many bytes may wait for a client that does not read before the server is asked to stop. */
const highWaterMark = 16 * 1024

export const makeClient = (
  handle: (request: WireRequest, wire: Wire) => Effect.Effect<void>
): HttpClient.HttpClient => {
  let opened = 0
  return HttpClient.make((request, url, signal) =>
    Effect.flatMap(readBody(request), (body) => {
      const wire = new MemoryWire(request, signal)
      const path = url.pathname + url.search
      const rawHeaders = Object.entries(request.headers).flat()
      const { headers, method } = request
      return Effect.zipRight(
        handle({ method, path, headers, rawHeaders, body, connection: opened++ }, wire),
        Effect.async<HttpClientResponse.HttpClientResponse, HttpClientError.RequestError>((resume) => {
          wire.whenAnswered(resume)
          return Effect.sync(() => wire.abandon())
        })
      )
    })
  )
}

const readBody = (
  request: HttpClientRequest.HttpClientRequest
): Effect.Effect<string, HttpClientError.RequestError> => {
  const { body } = request
  switch (body._tag) {
    case "Empty":
      return Effect.succeed("")
    case "Uint8Array":
      return Effect.succeed(new TextDecoder().decode(body.body))
    case "Stream":
      return body.stream.pipe(
        Stream.decodeText(),
        Stream.mkString,
        Effect.mapError((cause) => new HttpClientError.RequestError({ request, reason: "Encode", cause }))
      )
    default:
      return unsupportedBody(request, body)
  }
}

const unsupportedBody = (
  request: HttpClientRequest.HttpClientRequest,
  body: HttpBody.Raw | HttpBody.FormData
): Effect.Effect<string, HttpClientError.RequestError> =>
  body._tag === "Raw" && typeof body.body === "string"
    ? Effect.succeed(body.body)
    : Effect.fail(
      new HttpClientError.RequestError({
        request,
        reason: "Encode",
        description: `a scripted server reads text, bytes and streams, not a body of kind ${body._tag}`
      })
    )

type Answer = Effect.Effect<HttpClientResponse.HttpClientResponse, HttpClientError.RequestError>

const connectionError = (code: string, what: string): Error => Object.assign(new Error(what), { code })

const causeOf = (kind: CutKind): Error =>
  kind === "Close"
    ? connectionError("UND_ERR_SOCKET", "other side closed")
    : connectionError("ECONNRESET", "read ECONNRESET")

class MemoryWire implements Wire {
  private answered: Answer | undefined
  private listener: ((answer: Answer) => void) | undefined
  private controller: ReadableStreamDefaultController<Uint8Array> | undefined
  private readonly waiting: Array<Uint8Array> = []
  private waitingBytes = 0
  /** How the body is to end once what waits was read. */
  private ending: "End" | CutKind | undefined
  private isPulling = false
  private isOver = false
  private drained: Array<() => void> = []
  private closed: Array<() => void> = []

  private readonly request: HttpClientRequest.HttpClientRequest

  constructor(request: HttpClientRequest.HttpClientRequest, signal: AbortSignal) {
    this.request = request
    signal.addEventListener("abort", () => this.abandon(), { once: true })
  }

  whenAnswered(listener: (answer: Answer) => void): void {
    if (this.answered === undefined) this.listener = listener
    else listener(this.answered)
  }

  readonly head = (status: number, headers: Headers.Headers): void => {
    if (this.answered !== undefined || this.isOver) return
    const hasBody = status !== 204 && status !== 205 && status !== 304
    const body = hasBody
      ? new ReadableStream<Uint8Array>({
        start: (controller) => {
          this.controller = controller
        },
        pull: () => {
          this.isPulling = true
          this.flush()
        },
        cancel: () => this.abandon()
      }, { highWaterMark: 0 })
      : null
    this.answer(
      Effect.sync(() =>
        HttpClientResponse.fromWeb(this.request, new Response(body, { status, headers: { ...headers } }))
      )
    )
    if (!hasBody) this.close()
  }

  readonly write = (chunk: Uint8Array): boolean => {
    if (this.isOver || this.ending !== undefined || chunk.length === 0) return true
    this.waiting.push(chunk)
    this.waitingBytes += chunk.length
    this.flush()
    return this.waitingBytes < highWaterMark
  }

  readonly onDrain = (listener: () => void): void => {
    this.drained.push(listener)
  }

  readonly end = (): void => {
    this.ending ??= "End"
    this.flush()
  }

  readonly cut = (kind: CutKind): void => {
    this.ending ??= kind
    if (this.answered === undefined) {
      this.answer(Effect.suspend(() => this.lost(causeOf(kind))))
      this.close()
    }
    this.flush()
  }

  readonly isOpen = (): boolean => {
    return !this.isOver
  }

  readonly onClose = (listener: () => void): void => {
    if (this.isOver) listener()
    else this.closed.push(listener)
  }

  /** The client has no more interest. */
  abandon(): void {
    if (this.isOver) return
    this.answer(Effect.suspend(() => this.lost(new Error("aborted"))))
    this.close()
    // A body that is still being read, though the request was aborted, must not hang.
    if (this.isPulling) this.controller?.error(new DOMException("This operation was aborted", "AbortError"))
  }

  private lost(cause: Error): Effect.Effect<never, HttpClientError.RequestError> {
    return Effect.fail(new HttpClientError.RequestError({ request: this.request, reason: "Transport", cause }))
  }

  private answer(answer: Answer): void {
    if (this.answered !== undefined) return
    this.answered = answer
    this.listener?.(answer)
  }

  private flush(): void {
    if (this.isOver || this.controller === undefined) return
    const chunk = this.isPulling ? this.waiting.shift() : undefined
    if (chunk !== undefined) {
      this.isPulling = false
      this.waitingBytes -= chunk.length
      this.controller.enqueue(chunk)
      if (this.waitingBytes < highWaterMark) {
        for (const listener of this.drained.splice(0)) listener()
      }
    }
    // A clean end is seen at once; a break only by whoever has read up to it.
    if (this.waiting.length > 0 || this.ending === undefined) return
    if (this.ending === "End") this.controller.close()
    else if (this.isPulling) this.controller.error(causeOf(this.ending))
    else return
    this.close()
  }

  private close(): void {
    if (this.isOver) return
    this.isOver = true
    for (const listener of this.closed.splice(0)) listener()
  }
}
