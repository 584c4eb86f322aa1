/**
 * The exchange over any `HttpClient`. Each exchange has one fiber, which runs the client, hands over the head, and then
 * pushes the body into the sink; pausing parks it, closing interrupts it.
 */
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as Headers from "@effect/platform/Headers"
import * as HttpBody from "@effect/platform/HttpBody"
import * as HttpClient from "@effect/platform/HttpClient"
import type * as HttpClientError from "@effect/platform/HttpClientError"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import type * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as Cause from "effect/Cause"
import * as Channel from "effect/Channel"
import * as Chunk from "effect/Chunk"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as FiberRef from "effect/FiberRef"
import * as FiberRefs from "effect/FiberRefs"
import * as Option from "effect/Option"
import * as Runtime from "effect/Runtime"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type * as HttpExchange from "../HttpExchange.ts"
import { ContentEncodingError, ExchangeError } from "./exchangeErrors.ts"
import { LiveSet } from "./liveSet.ts"
import { newHeaders } from "./newHeaders.ts"
import * as Once from "./once.ts"
import { neverSent } from "./outcome.ts"
import { mediaType } from "./statusTable.ts"
import { type AnyFiber, isTraced } from "./tracing.ts"
import * as UnsafeOpen from "./unsafeOpen.ts"
import * as WebBody from "./webBody.ts"

export interface Options {
  /** Whether the client undoes content encodings. Most do not, so they must not ask for any. */
  readonly inflates: boolean
}

export const make = (
  options: Options
): Effect.Effect<HttpExchange.Service, never, HttpClient.HttpClient | Scope.Scope> =>
  Effect.gen(function*() {
    const client = HttpClient.withScope(yield* HttpClient.HttpClient)
    const init = Option.getOrElse(yield* Effect.serviceOption(FetchHttpClient.RequestInit), () => ({}))
    const manualRedirects: typeof FetchHttpClient.RequestInit.Service = { ...init, redirect: "manual" }
    const running = new LiveSet<Exchange>()
    let isOpen = true
    yield* Effect.addFinalizer(() =>
      Effect.suspend(() => {
        isOpen = false
        const fibers = running.all.map((exchange) => exchange.fail()).filter((fiber) => fiber !== undefined)
        return Effect.forEach(fibers, Fiber.await, { discard: true })
      })
    )

    const start = (request: HttpExchange.Request, parent: AnyFiber): Exchange => {
      const exchange = new Exchange(request.mayCollect === true)
      running.add(exchange)
      const services = new Map(parent.currentContext.unsafeMap)
      services.set(FetchHttpClient.RequestInit.key, manualRedirects)
      // Forked by hand: `Effect.fork`, and then setting what is to be different, costs as much again as the client.
      const runtime = Runtime.make({
        context: Context.unsafeMake<Scope.Scope>(services),
        fiberRefs: parent.getFiberRefs(),
        runtimeFlags: Runtime.defaultRuntimeFlags
      })
      const run = exchange.run(
        client.execute(toClientRequest(request, options)),
        // `Effect.provideService` takes longer than the rest of the fork.
        (scope) => services.set(Scope.Scope.key, scope)
      )
      const fiber = Runtime.runFork(runtime, run, {
        updateRefs: isTraced(parent) ? withoutHeaderValues : withoutTracer
      })
      fiber.addObserver(() => running.delete(exchange))
      exchange.fiber = fiber
      request.exposeAbort?.(() => exchange.close())
      return exchange
    }

    const open = (request: HttpExchange.Request): Effect.Effect<HttpExchange.Response, ExchangeError> =>
      // An interruption between the start and the wait would leave a connection behind.
      Effect.uninterruptibleMask((restore) =>
        Effect.withFiberRuntime((parent) => {
          if (!isOpen) return notOpen
          const exchange = start(request, parent)
          return Effect.catchAllCause(
            restore(Once.async<HttpExchange.Response, ExchangeError>((tell) => exchange.whenOpened(tell))),
            (cause) => {
              exchange.close()
              const failed = Effect.failCause(cause)
              return Cause.isInterrupted(cause) ? Effect.zipRight(exchange.ended, failed) : failed
            }
          )
        })
      )

    return UnsafeOpen.register({ open }, (request, onHead) => {
      // Not without the context of who asks.
      const parent = Option.getOrUndefined(Fiber.getCurrentFiber())
      if (parent !== undefined && isOpen) start(request, parent).whenOpened(onHead)
      else onHead(notOpen)
    })
  })

const notOpen: UnsafeOpen.Head = Exit.fail(
  new ExchangeError({ sent: false, cause: new Error("the HTTP client was closed") })
)

type UpdateRefs = (refs: FiberRefs.FiberRefs, fiberId: FiberId.Runtime) => FiberRefs.FiberRefs

const withoutTracer: UpdateRefs = (refs, fiberId) =>
  FiberRefs.updateAs(refs, { fiberId, fiberRef: FiberRef.currentTracerEnabled, value: false })

/** A server may echo a credential under any name, so spans show no header's value at all. */
const withoutHeaderValues: UpdateRefs = (refs, fiberId) =>
  FiberRefs.updateAs(refs, { fiberId, fiberRef: Headers.currentRedactedNames, value: [/^/] })

const toClientRequest = (request: HttpExchange.Request, options: Options): HttpClientRequest.HttpClientRequest => {
  const headers = newHeaders(request.headers)
  if (!options.inflates) headers["accept-encoding"] ??= "identity"
  const bare = HttpClientRequest.make(request.method)(request.url.href, { headers })
  return request.body === undefined
    ? bare
    : HttpClientRequest.setBody(bare, HttpBody.text(request.body, "application/json"))
}

const closed = new ExchangeError({ sent: true, cause: new Error("the exchange was closed") })

class Exchange implements HttpExchange.Response {
  place = -1
  status = 0
  headers: Headers.Headers = Headers.empty
  fiber: Fiber.RuntimeFiber<void> | undefined

  private sink: HttpExchange.Sink | undefined
  private paused = false
  private isClosed = false
  private isComplete = false
  /** Whether the first chunk was looked at. */
  private isChecked = false
  private settledHead: UnsafeOpen.Head | undefined
  private onHead: ((head: UnsafeOpen.Head) => void) | undefined
  private wake: (() => void) | undefined

  private readonly mayCollect: boolean

  constructor(mayCollect: boolean) {
    this.mayCollect = mayCollect
  }

  /** Tells when the head is there. */
  whenOpened(tell: (head: UnsafeOpen.Head) => void): void {
    if (this.settledHead === undefined) this.onHead = tell
    else tell(this.settledHead)
  }

  /** Ends when nothing of the exchange runs any more. */
  get ended(): Effect.Effect<void> {
    return this.fiber === undefined ? Effect.void : Effect.asVoid(Fiber.await(this.fiber))
  }

  read(sink: HttpExchange.Sink): void {
    this.sink = sink
    this.wake?.()
  }

  pause(): void {
    this.paused = true
  }

  resume(): void {
    this.paused = false
    this.wake?.()
  }

  close(): void {
    if (this.isClosed) return
    this.isClosed = true
    this.sink = undefined
    this.settle(Exit.fail(closed))
    this.wake?.()
    this.fiber?.unsafeInterruptAsFork(FiberId.none)
  }

  /** The client is gone: whoever waits for this exchange is told. */
  fail(): Fiber.RuntimeFiber<void> | undefined {
    const { sink } = this
    this.close()
    sink?.onError(closed.cause)
    return this.fiber
  }

  run(
    execute: Effect.Effect<HttpClientResponse.HttpClientResponse, HttpClientError.HttpClientError, Scope.Scope>,
    provideScope: (scope: Scope.Scope) => void
  ): Effect.Effect<void, never, Scope.Scope> {
    return Effect.uninterruptibleMask(() =>
      Effect.flatMap(Scope.make(), (scope) => {
        provideScope(scope)
        const exchanged = Effect.matchCauseEffect(execute, {
          onFailure: (cause) => {
            const response = statusRefused(cause)
            if (response !== undefined) return this.opened(response, scope)
            this.settle(Exit.fail(toExchangeError(cause)))
            return Effect.void
          },
          onSuccess: (response) => this.opened(response, scope)
        })
        // Closing the scope aborts the request. One that is complete needs no abort, which is not cheap.
        const close = (exit: Exit.Exit<void>) => this.isComplete ? Effect.void : Scope.close(scope, exit)
        return Effect.matchCauseEffect(Effect.interruptible(Once.suspend(() => exchanged)), {
          onFailure: (cause) => Effect.zipRight(close(Exit.failCause(cause)), Effect.failCause(cause)),
          onSuccess: () => close(Exit.void)
        })
      })
    )
  }

  private opened(response: HttpClientResponse.HttpClientResponse, scope: Scope.Scope): Effect.Effect<void> {
    this.status = response.status
    this.headers = response.headers
    this.settle(Exit.succeed(this))
    const body = WebBody.of(response)
    if (body !== undefined) return this.readWeb(body)
    return this.mayCollect && isShort(response.status, this.headers)
      ? this.collect(response)
      : this.pump(response.stream, scope)
  }

  private settle(exit: UnsafeOpen.Head): void {
    if (this.settledHead !== undefined) return
    this.settledHead = exit
    const { onHead } = this
    this.onHead = undefined
    onHead?.(exit)
  }

  private pump(
    body: Stream.Stream<Uint8Array, HttpClientError.ResponseError>,
    scope: Scope.Scope
  ): Effect.Effect<void> {
    return this.ready.pipe(
      Effect.zipRight(Channel.toPullIn(Stream.toChannel(body), scope)),
      Effect.flatMap((pull) => {
        let ended = false
        return Effect.whileLoop({
          while: () => !ended && !this.isClosed,
          body: () => this.paused ? Effect.zipRight(this.ready, pull) : pull,
          step: (element) => {
            if (Either.isLeft(element)) {
              ended = true
              this.isComplete = true
            } else {
              for (const chunk of element.right) this.push(chunk)
            }
          }
        })
      }),
      Effect.matchCause({
        onSuccess: () => this.finish((sink) => sink.onEnd()),
        onFailure: (cause) => this.broken(cause)
      })
    )
  }

  /** The same without a Stream. */
  private readWeb(body: WebBody.WebBody): Effect.Effect<void> {
    return Once.async((resume) => {
      const over = (tell: (sink: HttpExchange.Sink) => void): void => {
        this.wake = undefined
        // In the fiber, whose failure it is when the sink fails.
        resume(Effect.sync(() => this.finish(tell)))
      }
      const reader = new WebBody.WebBodyReader(body, {
        onChunk: (chunk) => {
          this.push(chunk)
          pull()
        },
        onEnd: () => {
          this.isComplete = true
          over((sink) => sink.onEnd())
        },
        onError: (cause) => over((sink) => sink.onError(cause))
      })
      const pull = (): void => {
        if (this.isClosed) {
          reader.cancel()
          over(() => {})
        } else if (this.sink !== undefined && !this.paused) {
          reader.pull()
        }
      }
      this.wake = pull
      pull()
    })
  }

  /** A short body at once: to run the client's Stream would cost more than all the rest. */
  private collect(response: HttpClientResponse.HttpClientResponse): Effect.Effect<void> {
    return Effect.matchCause(Effect.flatMap(this.ready, () => response.arrayBuffer), {
      onSuccess: (body) => {
        this.isComplete = true
        this.push(new Uint8Array(body))
        this.finish((sink) => sink.onEnd())
      },
      onFailure: (cause) => this.broken(cause)
    })
  }

  private broken(cause: Cause.Cause<HttpClientError.ResponseError>): void {
    this.finish((sink) => {
      const error = Option.getOrUndefined(Cause.failureOption(cause))
      // A response without a body object is a response whose body is empty.
      if (error?.reason === "EmptyBody") sink.onEnd()
      else sink.onError(error === undefined ? Cause.squash(cause) : error.cause ?? error.description)
    })
  }

  private push(chunk: Uint8Array): void {
    if (!this.isChecked && chunk.length > 0) {
      this.isChecked = true
      const encoding = this.headers["content-encoding"] ?? "identity"
      if (encoding !== "identity" && encoding !== "" && looksCompressed(chunk)) {
        this.finish((sink) => sink.onError(new ContentEncodingError({ encoding })))
        return
      }
    }
    this.sink?.onChunk(chunk)
  }

  /** Ends when there is a sink that wants chunks. */
  private get ready(): Effect.Effect<void> {
    return Once.async((resume) => {
      const check = (): void => {
        if (this.sink === undefined || this.paused) return
        this.wake = undefined
        resume(Effect.void)
      }
      this.wake = check
      check()
    })
  }

  private finish(tell: (sink: HttpExchange.Sink) => void): void {
    this.isClosed = true
    const sink = this.sink
    this.sink = undefined
    if (sink !== undefined) tell(sink)
  }
}

/** In bytes. */
const shortBody = 64 * 1024

/**
 * A whole answer whose size is known and small, and that is of no use unless it is whole: of anything else, what came before
 * it broke may matter, and what it becomes when inflated is not known.
 */
const isShort = (status: number, headers: Headers.Headers): boolean => {
  const { "content-encoding": encoding, "content-length": length, "content-type": type } = headers
  return status >= 200 && status < 300 && encoding === undefined && length !== undefined && /^\d+$/.test(length) &&
    Number(length) <= shortBody && mediaType(type) === "application/json"
}

/** Clients decorated with `filterStatusOk` fail with the response in hand. */
const statusRefused = (
  cause: Cause.Cause<HttpClientError.HttpClientError>
): HttpClientResponse.HttpClientResponse | undefined => {
  const error = failureOf(cause)
  return error?._tag === "ResponseError" && error.reason === "StatusCode" ? error.response : undefined
}

/** A defect is what happened, whatever else failed beside it. */
const failureOf = <E>(cause: Cause.Cause<E>): E | undefined =>
  Option.isSome(Cause.keepDefects(cause)) ? undefined : Option.getOrUndefined(Cause.failureOption(cause))

const toExchangeError = (cause: Cause.Cause<HttpClientError.HttpClientError>): ExchangeError => {
  const error = failureOf(cause)
  if (error === undefined) {
    return new ExchangeError({
      sent: true,
      cause: Cause.squash(Option.getOrElse(Cause.keepDefects(cause), () => cause))
    })
  }
  // A client that asks several servers at once may have reached one of them.
  const sent = Chunk.some(Cause.failures(cause), (failure) => !(isRefused(failure) || neverSent(causeOf(failure))))
  return new ExchangeError({ sent, cause: causeOf(error) })
}

const isRefused = (error: HttpClientError.HttpClientError): boolean =>
  error._tag === "RequestError" && error.reason !== "Transport"

/** The error itself prints the whole request, session id and bearer token included: only what caused it is kept. */
const causeOf = (error: HttpClientError.HttpClientError): unknown =>
  error.cause ?? new Error(error.description ?? error.reason)

// JSON and event streams begin with printable text; what a compressor writes first never does.
const looksCompressed = (chunk: Uint8Array): boolean => {
  if (chunk[0] === 0x1f && chunk[1] === 0x8b) return true
  try {
    const start = new TextDecoder("utf-8", { fatal: true }).decode(chunk.subarray(0, 64), { stream: true })
    // eslint-disable-next-line no-control-regex
    return /[\x00-\x08\x0e-\x1f]/.test(start)
  } catch {
    return true
  }
}
