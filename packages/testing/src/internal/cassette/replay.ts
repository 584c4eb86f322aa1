/**
 * A client that answers from a cassette.
 */
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientError from "@effect/platform/HttpClientError"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import type * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { Exchange, Failure, ReplayOptions, Response } from "../../Cassette.ts"
import { encodeUtf8 } from "./bytes.ts"
import { aroundPlaceholders, type Asked, describe, exactly, matches, redactAsked } from "./match.ts"
import { toRawRequest } from "./recorder.ts"
import { redactRequest } from "./redaction.ts"
import { decodeError, PlayedResponse } from "./response.ts"

export const makeClient = (exchanges: ReadonlyArray<Exchange>, options: ReplayOptions): HttpClient.HttpClient => {
  const tape = new Tape(exchanges, options.reuse ?? false)
  return HttpClient.make((request, url, signal) =>
    Effect.suspend(() => {
      const exchange = tape.take(toAsked(request, options))
      return exchange === undefined
        ? Effect.fail(unmatched(request, url, tape.left(), options))
        : new Playback(exchange, request, signal, options.timing ?? "None").head
    })
  )
}

/** Which exchanges were used, and in which order. */
class Tape {
  private readonly unused: Array<Exchange>
  private readonly used: Array<Exchange> = []
  private readonly reuse: boolean

  constructor(exchanges: ReadonlyArray<Exchange>, reuse: boolean) {
    this.unused = [...exchanges]
    this.reuse = reuse
  }

  take(asked: Asked): Exchange | undefined {
    for (const same of [exactly, aroundPlaceholders]) {
      const index = this.unused.findIndex((exchange) => matches(exchange.request, asked, same))
      const [exchange] = index < 0 ? [] : this.unused.splice(index, 1)
      if (exchange === undefined) continue
      this.used.push(exchange)
      return exchange
    }
    if (!this.reuse) return undefined
    return this.used.findLast((exchange) => matches(exchange.request, asked, exactly)) ??
      this.used.findLast((exchange) => matches(exchange.request, asked, aroundPlaceholders))
  }

  left(): ReadonlyArray<string> {
    return this.unused.map((exchange) => describe(exchange.request))
  }
}

const toAsked = (request: HttpClientRequest.HttpClientRequest, options: ReplayOptions): Asked => {
  const { body, headers, method, url } = toRawRequest(request)
  const asked = { method, url, body, lastEventId: headers["last-event-id"] }
  return options.redact === undefined ? asked : redactAsked(asked, options.redact)
}

/** How many of the exchanges that are left a failure names. */
const mostNamed = 20

const unmatched = (
  request: HttpClientRequest.HttpClientRequest,
  url: URL,
  left: ReadonlyArray<string>,
  options: ReplayOptions
): HttpClientError.RequestError => {
  const clean = redactRequest(toRawRequest(request), { ...options, maxBodySize: Number.POSITIVE_INFINITY })
  const more = left.length > mostNamed ? `, and ${left.length - mostNamed} more` : ""
  const rest = left.length === 0 ? "nothing is left" : `left are: ${left.slice(0, mostNamed).join("; ")}${more}`
  return new HttpClientError.RequestError({
    // The request itself, which the error prints, has credentials in it.
    request: HttpClientRequest.make(request.method)(url.origin + clean.url),
    reason: "Transport",
    description: `the cassette has no exchange for ${describe(clean)}; ${rest}`
  })
}

/** One exchange being played to one request. */
class Playback {
  private readonly exchange: Exchange
  private readonly request: HttpClientRequest.HttpClientRequest
  private readonly signal: AbortSignal
  private readonly timing: "None" | "Recorded"

  constructor(
    exchange: Exchange,
    request: HttpClientRequest.HttpClientRequest,
    signal: AbortSignal,
    timing: "None" | "Recorded"
  ) {
    this.exchange = exchange
    this.request = request
    this.signal = signal
    this.timing = timing
  }

  get head(): Effect.Effect<HttpClientResponse.HttpClientResponse, HttpClientError.HttpClientError> {
    const { exchange } = this
    return Effect.flatMap(Clock.currentTimeMillis, (start) =>
      "response" in exchange
        ? this.unlessAborted(this.at(start, exchange.response.at), (cause) => this.lost(cause)).pipe(
          Effect.as(
            new PlayedResponse(this.request, exchange.response, (it) => this.body(start, exchange.response, it))
          )
        )
        : this.unlessAborted(this.fail(start, exchange.failure), (cause) => this.lost(cause)))
  }

  private fail(start: number, failure: Failure): Effect.Effect<never, HttpClientError.RequestError> {
    if (failure.reason === "Aborted") return Effect.never
    const { code, message, reason, syscall } = failure
    const cause = Object.assign(
      new Error(message),
      code === undefined ? {} : { code },
      syscall === undefined ? {} : { syscall }
    )
    const error = new HttpClientError.RequestError({ request: this.request, reason, cause })
    return Effect.zipRight(this.at(start, failure.at), Effect.fail(error))
  }

  private body(
    start: number,
    recorded: Response,
    response: PlayedResponse
  ): Stream.Stream<Uint8Array, HttpClientError.ResponseError> {
    const step = <A>(effect: Effect.Effect<A, HttpClientError.ResponseError>) =>
      this.unlessAborted(effect, (cause) => decodeError(response, cause))
    const ending = Effect.suspend(() => {
      if (recorded.end === "Aborted") return Effect.never
      return Effect.zipRight(
        this.at(start, recorded.endAt),
        recorded.end === "Complete" ? Effect.void : Effect.fail(decodeError(response, brokenBy(recorded.end)))
      )
    })
    return Stream.fromIterable(recorded.chunks).pipe(
      Stream.mapEffect((chunk) =>
        step(Effect.as(this.at(start, chunk.at), "text" in chunk ? encodeUtf8(chunk.text) : chunk.bytes.slice()))
      ),
      Stream.concat(Stream.execute(step(ending)))
    )
  }

  /** Waits for a time of the recording. */
  private at(start: number, millis: number): Effect.Effect<void> {
    if (this.timing === "None") return Effect.void
    return Effect.flatMap(Clock.currentTimeMillis, (now) => {
      const rest = start + millis - now
      return rest > 0 ? Effect.sleep(Duration.millis(rest)) : Effect.void
    })
  }

  private lost(cause: unknown): HttpClientError.RequestError {
    return new HttpClientError.RequestError({ request: this.request, reason: "Transport", cause })
  }

  /** A client may abort without interrupting: by closing the scope of the request. */
  private unlessAborted<A, E>(effect: Effect.Effect<A, E>, onAbort: (cause: unknown) => E): Effect.Effect<A, E> {
    const { signal } = this
    const aborted = Effect.async<never, E>((resume) => {
      const abort = (): void => resume(Effect.fail(onAbort(signal.reason)))
      if (signal.aborted) return abort()
      signal.addEventListener("abort", abort, { once: true })
      return Effect.sync(() => signal.removeEventListener("abort", abort))
    })
    return Effect.suspend(() =>
      signal.aborted ? Effect.fail(onAbort(signal.reason)) : Effect.raceFirst(effect, aborted)
    )
  }
}

const brokenBy = (end: { readonly Broken: string } | { readonly Cut: string }): Error =>
  new Error("Broken" in end ? end.Broken : `the recording has no more of the body: ${end.Cut}`)
