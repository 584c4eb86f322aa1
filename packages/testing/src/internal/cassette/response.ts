/**
 * Responses of clients that are not clients of their own: one that watches another response, one that is played back.
 */
import * as Cookies from "@effect/platform/Cookies"
import * as Headers from "@effect/platform/Headers"
import * as HttpClientError from "@effect/platform/HttpClientError"
import type * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as HttpIncomingMessage from "@effect/platform/HttpIncomingMessage"
import * as UrlParams from "@effect/platform/UrlParams"
import * as Cause from "effect/Cause"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Inspectable from "effect/Inspectable"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { concatenate, encodeUtf8 } from "./bytes.ts"

/** What becomes of a body that somebody reads. After the first of the endings the others mean nothing. */
export interface BodyListener {
  readonly onChunk: (bytes: Uint8Array) => void
  readonly onEnd: () => void
  readonly onError: (error: HttpClientError.ResponseError) => void
  readonly onLeave: () => void
  /** It was read in a way that does not show its bytes. */
  readonly onOpaque: () => void
}

/** Another response, with a listener for whoever reads the body first. */
export class ObservedResponse extends Inspectable.Class implements HttpClientResponse.HttpClientResponse {
  readonly [HttpClientResponse.TypeId]: HttpClientResponse.TypeId = HttpClientResponse.TypeId
  readonly [HttpIncomingMessage.TypeId]: typeof HttpIncomingMessage.TypeId = HttpIncomingMessage.TypeId

  private readonly original: HttpClientResponse.HttpClientResponse
  private readonly listen: () => BodyListener | undefined

  constructor(original: HttpClientResponse.HttpClientResponse, listen: () => BodyListener | undefined) {
    super()
    this.original = original
    this.listen = listen
  }

  get request(): HttpClientRequest.HttpClientRequest {
    return this.original.request
  }

  get status(): number {
    return this.original.status
  }

  get headers(): Headers.Headers {
    return this.original.headers
  }

  get cookies(): Cookies.Cookies {
    return this.original.cookies
  }

  get remoteAddress(): Option.Option<string> {
    return this.original.remoteAddress
  }

  get stream(): Stream.Stream<Uint8Array, HttpClientError.ResponseError> {
    return Stream.suspend(() => {
      const listener = this.listen()
      if (listener === undefined) return this.original.stream
      return this.original.stream.pipe(
        Stream.mapChunks((chunk) => {
          for (const bytes of chunk) listener.onChunk(bytes)
          return chunk
        }),
        Stream.concat(Stream.execute(Effect.sync(() => listener.onEnd()))),
        Stream.tapError((error) => Effect.sync(() => listener.onError(error))),
        Stream.ensuring(Effect.sync(() => listener.onLeave()))
      )
    })
  }

  get text(): Effect.Effect<string, HttpClientError.ResponseError> {
    return this.watch(this.original.text, encodeUtf8)
  }

  get json(): Effect.Effect<unknown, HttpClientError.ResponseError> {
    return parsed(this, parseJson)
  }

  get urlParamsBody(): Effect.Effect<UrlParams.UrlParams, HttpClientError.ResponseError> {
    return parsed(this, parseForm)
  }

  get arrayBuffer(): Effect.Effect<ArrayBuffer, HttpClientError.ResponseError> {
    return this.watch(this.original.arrayBuffer, (buffer) => new Uint8Array(buffer))
  }

  get formData(): Effect.Effect<FormData, HttpClientError.ResponseError> {
    return this.watch(this.original.formData, () => undefined)
  }

  toJSON(): unknown {
    return this.original.toJSON()
  }

  /** A body that is read at once. */
  private watch<A>(
    read: Effect.Effect<A, HttpClientError.ResponseError>,
    toBytes: (value: A) => Uint8Array | undefined
  ): Effect.Effect<A, HttpClientError.ResponseError> {
    return Effect.suspend(() => {
      const listener = this.listen()
      if (listener === undefined) return read
      return Effect.onExit(read, (exit) => Effect.sync(() => tellWhole(listener, Exit.map(exit, toBytes))))
    })
  }
}

const tellWhole = (
  listener: BodyListener,
  exit: Exit.Exit<Uint8Array | undefined, HttpClientError.ResponseError>
): void => {
  if (Exit.isFailure(exit)) {
    const error = Option.getOrUndefined(Cause.failureOption(exit.cause))
    if (error === undefined) listener.onLeave()
    else listener.onError(error)
  } else if (exit.value === undefined) {
    listener.onOpaque()
  } else {
    listener.onChunk(exit.value)
    listener.onEnd()
  }
}

/** A response made of its parts. The body may be read as often as one likes. */
export class PlayedResponse extends Inspectable.Class implements HttpClientResponse.HttpClientResponse {
  readonly [HttpClientResponse.TypeId]: HttpClientResponse.TypeId = HttpClientResponse.TypeId
  readonly [HttpIncomingMessage.TypeId]: typeof HttpIncomingMessage.TypeId = HttpIncomingMessage.TypeId
  readonly remoteAddress: Option.Option<string> = Option.none()
  readonly request: HttpClientRequest.HttpClientRequest
  readonly status: number
  readonly headers: Headers.Headers
  readonly cookies: Cookies.Cookies
  readonly stream: Stream.Stream<Uint8Array, HttpClientError.ResponseError>

  constructor(
    request: HttpClientRequest.HttpClientRequest,
    head: {
      readonly status: number
      readonly headers: { readonly [name: string]: string | ReadonlyArray<string> }
    },
    body: (response: PlayedResponse) => Stream.Stream<Uint8Array, HttpClientError.ResponseError>
  ) {
    super()
    this.request = request
    this.status = head.status
    this.headers = Headers.fromInput(head.headers)
    const lines = head.headers["set-cookie"]
    this.cookies = lines === undefined ? Cookies.empty : Cookies.fromSetCookie(lines)
    this.stream = body(this)
  }

  get text(): Effect.Effect<string, HttpClientError.ResponseError> {
    return Effect.map(this.bytes, (bytes) => new TextDecoder().decode(bytes))
  }

  get json(): Effect.Effect<unknown, HttpClientError.ResponseError> {
    return parsed(this, parseJson)
  }

  get urlParamsBody(): Effect.Effect<UrlParams.UrlParams, HttpClientError.ResponseError> {
    return parsed(this, parseForm)
  }

  get arrayBuffer(): Effect.Effect<ArrayBuffer, HttpClientError.ResponseError> {
    return Effect.map(this.bytes, (bytes) => bytes.buffer)
  }

  get formData(): Effect.Effect<FormData, HttpClientError.ResponseError> {
    return Effect.flatMap(this.bytes, (bytes) => {
      const headers = { "content-type": this.headers["content-type"] ?? "" }
      return Effect.tryPromise({
        try: () => new Response(bytes, { headers }).formData(),
        catch: (cause) => decodeError(this, cause)
      })
    })
  }

  toJSON(): unknown {
    return {
      _id: "@effect-mcp/testing/Cassette/Response",
      status: this.status,
      headers: Inspectable.redact(this.headers)
    }
  }

  private get bytes(): Effect.Effect<Uint8Array<ArrayBuffer>, HttpClientError.ResponseError> {
    return Effect.map(
      Stream.runCollect(this.stream),
      (parts) => new Uint8Array(concatenate(Chunk.toReadonlyArray(parts)))
    )
  }
}

export const decodeError = (
  response: HttpClientResponse.HttpClientResponse,
  cause: unknown
): HttpClientError.ResponseError =>
  new HttpClientError.ResponseError({ request: response.request, response, reason: "Decode", cause })

const parseJson = (text: string): unknown => text === "" ? null : JSON.parse(text)

const parseForm = (text: string): UrlParams.UrlParams => UrlParams.fromInput(new URLSearchParams(text))

const parsed = <A>(
  response: HttpClientResponse.HttpClientResponse,
  parse: (text: string) => A
): Effect.Effect<A, HttpClientError.ResponseError> =>
  Effect.tryMap(response.text, { try: parse, catch: (cause) => decodeError(response, cause) })
