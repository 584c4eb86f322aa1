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
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as FiberRef from "effect/FiberRef"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type * as HttpExchange from "../HttpExchange.ts"
import { ContentEncodingError, ExchangeError } from "./exchangeErrors.ts"
import { neverSent } from "./outcome.ts"
import { isTraced } from "./tracing.ts"

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
    const manualRedirects = Context.make(FetchHttpClient.RequestInit, { ...init, redirect: "manual" as const })
    const running = new Set<Exchange>()
    let isOpen = true
    yield* Effect.addFinalizer(() =>
      Effect.suspend(() => {
        isOpen = false
        const fibers = Array.from(running, (exchange) => exchange.fail()).filter((fiber) => fiber !== undefined)
        return Effect.forEach(fibers, Fiber.await, { discard: true })
      })
    )

    const open = (request: HttpExchange.Request): Effect.Effect<HttpExchange.Response, ExchangeError> =>
      Effect.withFiberRuntime((parent) => {
        if (!isOpen) return Effect.fail(new ExchangeError({ sent: false, cause: closed.cause }))
        const exchange = new Exchange()
        const execute = client.execute(toClientRequest(request, options))
        const traced = isTraced(parent)
          // A server may echo a credential under any name, so spans show no header's value at all.
          ? Effect.locally(execute, Headers.currentRedactedNames, [/^/])
          // The fiber runs this one request, so what is set need not be undone.
          : Effect.zipRight(FiberRef.set(FiberRef.currentTracerEnabled, false), execute)
        const context = Context.merge(parent.currentContext, manualRedirects)
        // An interruption between the fork and the wait would leave a connection behind.
        return Effect.uninterruptibleMask((restore) =>
          Effect.flatMap(Effect.forkDaemon(Effect.interruptible(exchange.run(traced, context))), (fiber) => {
            running.add(exchange)
            fiber.addObserver(() => running.delete(exchange))
            exchange.fiber = fiber
            request.exposeAbort?.(() => exchange.close())
            return Effect.onInterrupt(restore(exchange.head), () => {
              exchange.close()
              return Fiber.await(fiber)
            })
          })
        )
      })

    return { open }
  })

const toClientRequest = (request: HttpExchange.Request, options: Options): HttpClientRequest.HttpClientRequest => {
  const headers = request.headers["accept-encoding"] === undefined && !options.inflates
    ? Headers.set(request.headers, "accept-encoding", "identity")
    : request.headers
  const bare = HttpClientRequest.make(request.method)(request.url.href, { headers })
  return request.body === undefined
    ? bare
    : HttpClientRequest.setBody(bare, HttpBody.text(request.body, "application/json"))
}

const closed = new ExchangeError({ sent: true, cause: new Error("the exchange was closed") })

class Exchange implements HttpExchange.Response {
  status = 0
  headers: Headers.Headers = Headers.empty
  fiber: Fiber.RuntimeFiber<void> | undefined

  private sink: HttpExchange.Sink | undefined
  private paused = false
  private isClosed = false
  private isComplete = false
  /** Whether the first chunk was looked at. */
  private isChecked = false
  private settledHead: Exit.Exit<HttpExchange.Response, ExchangeError> | undefined
  private onHead: ((exit: Exit.Exit<HttpExchange.Response, ExchangeError>) => void) | undefined
  private wake: (() => void) | undefined

  readonly head: Effect.Effect<HttpExchange.Response, ExchangeError> = Effect.async((resume) => {
    if (this.settledHead !== undefined) return resume(this.settledHead)
    this.onHead = resume
  })

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
    context: Context.Context<never>
  ): Effect.Effect<void> {
    return Effect.flatMap(Scope.make(), (scope) =>
      execute.pipe(
        Effect.catchTag("ResponseError", recoverStatus),
        Effect.mapInputContext((_: Context.Context<never>) => Context.add(context, Scope.Scope, scope)),
        Effect.matchCauseEffect({
          onFailure: (cause) => Effect.sync(() => this.settle(Exit.fail(toExchangeError(cause)))),
          onSuccess: (response) => {
            this.status = response.status
            this.headers = response.headers
            this.settle(Exit.succeed(this))
            return Effect.scopedWith((bodyScope) => this.pump(response.stream, bodyScope))
          }
        }),
        // Closing the client's scope aborts the request. One that is complete needs no abort, which is not cheap.
        Effect.onExit((exit) => this.isComplete ? Effect.void : Scope.close(scope, exit))
      ))
  }

  private settle(exit: Exit.Exit<HttpExchange.Response, ExchangeError>): void {
    if (this.settledHead !== undefined) return
    this.settledHead = exit
    this.onHead?.(exit)
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
        onFailure: (cause) =>
          this.finish((sink) => {
            const error = Option.getOrUndefined(Cause.failureOption(cause))
            // A response without a body object is a response whose body is empty.
            if (error?.reason === "EmptyBody") sink.onEnd()
            else sink.onError(error === undefined ? Cause.squash(cause) : error.cause ?? error.description)
          })
      })
    )
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
  private readonly ready: Effect.Effect<void> = Effect.async((resume) => {
    const check = (): void => {
      if (this.sink === undefined || this.paused) return
      this.wake = undefined
      resume(Effect.void)
    }
    this.wake = check
    check()
  })

  private finish(tell: (sink: HttpExchange.Sink) => void): void {
    this.isClosed = true
    const sink = this.sink
    this.sink = undefined
    if (sink !== undefined) tell(sink)
  }
}

// Clients decorated with `filterStatusOk` fail with the response in hand.
const recoverStatus = (
  error: HttpClientError.ResponseError
): Effect.Effect<HttpClientResponse.HttpClientResponse, HttpClientError.ResponseError> =>
  error.reason === "StatusCode" ? Effect.succeed(error.response) : Effect.fail(error)

const toExchangeError = (cause: Cause.Cause<HttpClientError.HttpClientError>): ExchangeError => {
  const error = Option.getOrUndefined(Cause.failureOption(cause))
  if (error === undefined) return new ExchangeError({ sent: true, cause: Cause.squash(cause) })
  // The error itself prints the whole request, session id and bearer token included: keep only what caused it.
  const inner = error.cause ?? new Error(error.description ?? error.reason)
  const refused = error._tag === "RequestError" && error.reason !== "Transport"
  return new ExchangeError({ sent: !refused && !neverSent(inner), cause: inner })
}

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
