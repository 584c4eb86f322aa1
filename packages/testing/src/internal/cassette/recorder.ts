/**
 * A client that records what passes through it, chunk by chunk, and changes nothing of it.
 */
import * as Cookies from "@effect/platform/Cookies"
import type * as HttpBody from "@effect/platform/HttpBody"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientError from "@effect/platform/HttpClientError"
import type * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import type * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as UrlParams from "@effect/platform/UrlParams"
import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import { encodeUtf8 } from "./bytes.ts"
import type { RawBody, RawChunk, RawEnd, RawExchange, RawFailure, RawRequest } from "./raw.ts"
import { setCookieLines } from "./redaction.ts"
import { type BodyListener, ObservedResponse } from "./response.ts"

export class Recording {
  private readonly exchanges: Array<RecordedExchange> = []
  private readonly maxBodySize: number

  constructor(maxBodySize: number) {
    this.maxBodySize = maxBodySize
  }

  /** In the order of the requests. What is still running counts as abandoned now. */
  snapshot(): ReadonlyArray<RawExchange> {
    return this.exchanges.map((exchange) => exchange.snapshot())
  }

  decorate(client: HttpClient.HttpClient): HttpClient.HttpClient {
    return HttpClient.transform(client, (execute, request) =>
      Effect.flatMap(Effect.clock, (clock) => {
        const exchange = new RecordedExchange(request, clock, this.maxBodySize)
        this.exchanges.push(exchange)
        return execute.pipe(
          Effect.map((response) => exchange.respond(response)),
          Effect.catchTag("ResponseError", (error) =>
            Effect.fail(
              // A client that fails on statuses: whoever catches the error may read the body.
              new HttpClientError.ResponseError({
                ...error,
                request: error.request,
                reason: error.reason,
                response: exchange.respond(error.response)
              })
            )),
          Effect.onExit((exit) => Effect.sync(() => exchange.fail(exit)))
        )
      }))
  }
}

class RecordedExchange {
  private readonly request: RawRequest
  private readonly clock: Clock.Clock
  private readonly maxBodySize: number
  private readonly startedAt: number
  private response: { readonly at: number; readonly source: HttpClientResponse.HttpClientResponse } | undefined
  private failure: RawFailure | undefined
  private isRead = false
  private size = 0
  private readonly chunks: Array<RawChunk> = []
  private ending: { readonly end: RawEnd; readonly endAt: number } | undefined

  constructor(request: HttpClientRequest.HttpClientRequest, clock: Clock.Clock, maxBodySize: number) {
    this.request = toRawRequest(request)
    this.clock = clock
    this.maxBodySize = maxBodySize
    this.startedAt = clock.unsafeCurrentTimeMillis()
  }

  respond(response: HttpClientResponse.HttpClientResponse): HttpClientResponse.HttpClientResponse {
    this.response = { at: this.now(), source: response }
    return new ObservedResponse(response, () => this.listen())
  }

  fail(exit: Exit.Exit<unknown, HttpClientError.HttpClientError>): void {
    if (Exit.isSuccess(exit) || this.response !== undefined) return
    this.failure = toFailure(exit.cause, this.now())
  }

  snapshot(): RawExchange {
    const { request, response } = this
    if (response === undefined) return { request, failure: this.failure ?? abandoned(this.now()) }
    const { headers, cookies, status } = response.source
    const lines = Cookies.toSetCookieHeaders(cookies)
    const only = headers["set-cookie"]
    return {
      request,
      response: {
        at: response.at,
        status,
        headers: { ...headers },
        setCookie: lines.length > 0 || only === undefined ? lines : setCookieLines(only),
        chunks: [...this.chunks],
        ...this.ending ?? { end: this.endUnread(status), endAt: this.now() }
      }
    }
  }

  private now(): number {
    return Math.max(0, this.clock.unsafeCurrentTimeMillis() - this.startedAt)
  }

  /** Of the first reading only: a second one is either refused or served from memory. */
  private listen(): BodyListener | undefined {
    if (this.isRead) return undefined
    this.isRead = true
    return {
      onChunk: (bytes) => this.add(bytes),
      onEnd: () => this.end("Complete"),
      onError: (error) => this.end(error.reason === "EmptyBody" ? "Complete" : { Broken: describe(error) }),
      onLeave: () => this.end("Aborted"),
      onOpaque: () => this.end({ Cut: "read as form data, which is not recorded" })
    }
  }

  private add(bytes: Uint8Array): void {
    if (this.ending !== undefined || bytes.length === 0) return
    const room = this.maxBodySize - this.size
    this.size += bytes.length
    // The client goes on reading into buffers of its own.
    if (room > 0) this.chunks.push({ at: this.now(), bytes: bytes.slice(0, room) })
    if (bytes.length > room) this.end({ Cut: `the body is larger than maxBodySize, ${this.maxBodySize} bytes` })
  }

  private end(end: RawEnd): void {
    this.ending ??= { end, endAt: this.now() }
  }

  /** MCP and HTTP say of some bodies that there is nothing in them, read or not. */
  private endUnread(status: number): RawEnd {
    const isEmpty = this.request.method === "HEAD" || status === 202 || status === 204 || status === 205 ||
      status === 304 || this.response?.source.headers["content-length"] === "0"
    return isEmpty && !this.isRead ? "Complete" : "Aborted"
  }
}

/** A request as it is recorded, and as it is compared with recorded ones. */
export const toRawRequest = (request: HttpClientRequest.HttpClientRequest): RawRequest => {
  const url = Either.getOrUndefined(UrlParams.makeUrl(request.url, request.urlParams, request.hash))
  return {
    method: request.method,
    href: url?.href ?? request.url,
    url: url === undefined ? request.url : url.pathname + url.search,
    headers: { ...request.headers },
    body: toRawBody(request.body)
  }
}

const toRawBody = (body: HttpBody.HttpBody): RawBody => {
  switch (body._tag) {
    case "Empty":
      return undefined
    case "Uint8Array":
      return body.body
    case "Raw":
      if (typeof body.body === "string") return encodeUtf8(body.body)
      if (body.body instanceof URLSearchParams) return encodeUtf8(body.body.toString())
      if (body.body instanceof Uint8Array) return body.body
      if (body.body instanceof ArrayBuffer) return new Uint8Array(body.body)
      return { omitted: "the body is neither text nor bytes" }
    case "FormData":
      return { omitted: "the body is form data" }
    case "Stream":
      return { omitted: "the body is a stream" }
  }
}

const abandoned = (at: number): RawFailure => ({
  at,
  reason: "Aborted",
  message: "the client left before there was a response",
  code: undefined,
  syscall: undefined
})

const toFailure = (cause: Cause.Cause<HttpClientError.HttpClientError>, at: number): RawFailure => {
  if (Cause.isInterruptedOnly(cause)) return abandoned(at)
  const error = Option.getOrUndefined(Cause.failureOption(cause))
  const isRefused = error?._tag === "RequestError"
  return {
    at,
    reason: isRefused ? error.reason : "Transport",
    message: error === undefined ? causes(Cause.squash(cause)) : describe(error),
    code: textMember(error?.cause, "code"),
    syscall: textMember(error?.cause, "syscall")
  }
}

const describe = (error: HttpClientError.HttpClientError): string =>
  error.cause === undefined ? error.description ?? error.reason : causes(error.cause)

const chain = (cause: unknown): ReadonlyArray<object> => {
  const found: Array<object> = []
  for (let current = cause; typeof current === "object" && current !== null && found.length < 5;) {
    found.push(current)
    current = Reflect.get(current, "cause")
  }
  return found
}

const causes = (cause: unknown): string => {
  const messages = chain(cause).flatMap((error) =>
    error instanceof Error && error.message !== "" ? [error.message] : []
  )
  return messages.length > 0 ? messages.join(": ") : typeof cause === "string" ? cause : "an unknown error"
}

const textMember = (cause: unknown, name: string): string | undefined => {
  for (const error of chain(cause)) {
    const value: unknown = Reflect.get(error, name)
    if (typeof value === "string") return value
  }
  return undefined
}
