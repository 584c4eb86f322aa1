/**
 * What all streams of one transport share: the options, the current session, the way to open an exchange, and the end.
 */
import type * as Headers from "@effect/platform/Headers"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import type * as HttpExchange from "../HttpExchange.ts"
import type * as JsonRpc from "../JsonRpc.ts"
import type * as TransportError from "../TransportError.ts"
import * as TransportEvent from "../TransportEvent.ts"
import { EventHub } from "./eventHub.ts"
import { ExchangeError } from "./exchangeErrors.ts"
import { Ledger } from "./ledger.ts"
import { Lingering } from "./lingering.ts"
import { LiveSet } from "./liveSet.ts"
import { annotated } from "./logging.ts"
import { MessageErrors } from "./messageErrors.ts"
import * as Once from "./once.ts"
import type { ResolvedOptions } from "./options.ts"
import { race } from "./race.ts"
import { readRefusal } from "./refusal.ts"
import { deleteHeaders } from "./requestHeaders.ts"
import { RequestLimit } from "./requestLimit.ts"
import { Secrets } from "./secrets.ts"
import * as Session from "./session.ts"
import { sleep } from "./sleep.ts"
import type { SendSpan } from "./tracing.ts"
import * as UnsafeOpen from "./unsafeOpen.ts"

const mostRedirects = 5

export interface Opening {
  readonly method: "POST" | "GET" | "DELETE"
  readonly headers: Headers.Headers
  readonly body?: string | undefined
  /** The JSON-RPC method, for events. */
  readonly message?: string | undefined
  readonly requestId?: JsonRpc.RequestId | undefined
  readonly lastEventId?: string | undefined
  readonly exposeAbort?: ((abort: () => void) => void) | undefined
  /** Who opens it aborts it, whatever happens, and nobody traces it. */
  readonly isUnsafe?: boolean | undefined
  readonly abortable?: Abortable | undefined
  /** The span that the exchange's own is to be a child of. */
  readonly span?: SendSpan | undefined
}

/** Tells of an abort, also while the exchange has not exposed how it is aborted. */
export interface Abortable {
  readonly whenAborted: (tell: () => void) => void
}

/** What follows once the head of the response is there, or cannot be had. */
export interface Handlers<A, E> {
  readonly onFailure: (error: ExchangeError) => Effect.Effect<A, E>
  readonly onSuccess: (response: HttpExchange.Response) => Effect.Effect<A, E>
}

export class Core {
  readonly hub = new EventHub()
  readonly secrets: Secrets
  readonly lingering: Lingering
  readonly errors: MessageErrors
  readonly limit: RequestLimit | undefined
  readonly ledger: Ledger | undefined
  /** Everything that waits for the server right now. */
  readonly running = new LiveSet<Session.Running>()
  session: Session.Session
  closed = false
  /** From here on nothing is sent at all. */
  private isSealed = false
  /** Tells the server's own stream that the session changed. */
  onSessionChange: () => void = () => {}
  private readonly deletions = new Map<Session.Session, Fiber.RuntimeFiber<void, TransportError.TransportError>>()

  readonly options: ResolvedOptions
  private readonly exchange: HttpExchange.Service
  private readonly unsafeOpen: UnsafeOpen.UnsafeOpen | undefined

  constructor(options: ResolvedOptions, exchange: HttpExchange.Service, scope: Scope.Scope) {
    this.options = options
    this.exchange = exchange
    this.unsafeOpen = UnsafeOpen.find(exchange)
    this.secrets = new Secrets(options.headers)
    this.lingering = new Lingering(scope)
    this.errors = new MessageErrors(this.secrets)
    const { maxConcurrentRequests } = options
    this.limit = Number.isFinite(maxConcurrentRequests) ? new RequestLimit(maxConcurrentRequests) : undefined
    this.ledger = options.resumptionStore === undefined ? undefined : new Ledger(options.resumptionStore, this.secrets)
    this.session = Session.idle()
    if (options.session !== undefined) this.adopt(options.session.sessionId, options.session.protocolVersion)
  }

  /** Takes up the session that an earlier process left in the resumption store. */
  readonly recover: Effect.Effect<void> = Effect.suspend(() => {
    const { ledger } = this
    if (ledger === undefined) return Effect.void
    if (this.session.status === "Active") return Effect.sync(() => ledger.opened(this.session))
    return Effect.map(ledger.load, (found) => {
      if (Option.isNone(found)) return
      const { protocolVersion, sessionId } = found.value
      ledger.recover(found.value, this.adopt(Redacted.value(sessionId), protocolVersion))
    })
  })

  private adopt(sessionId: string, protocolVersion: string): Session.Session {
    this.secrets.addSessionId(sessionId)
    this.session = Session.adopted(sessionId, protocolVersion)
    return this.session
  }

  /** Opens an exchange. Redirects are followed within the origin, method and body kept: 307 and 308 only. */
  open(opening: Opening): Effect.Effect<HttpExchange.Response, ExchangeError> {
    return Effect.suspend(() => this.openThen(opening, { onFailure: Effect.fail, onSuccess: Effect.succeed }))
  }

  /** The same, begun at once, with what follows: every message passes here, and each operator more would be felt. */
  openThen<A, E>(opening: Opening, then: Handlers<A, E>): Effect.Effect<A, E> {
    if (this.closed && opening.method !== "DELETE") return then.onFailure(closedError)
    const { lastEventId, message, method, requestId } = opening
    this.hub.emit(() => TransportEvent.RequestSent({ method, message, requestId, lastEventId }))
    return this.follow(opening, this.options.url, 0, then)
  }

  private follow<A, E>(opening: Opening, url: URL, hops: number, then: Handlers<A, E>): Effect.Effect<A, E> {
    const { body, exposeAbort, headers, message, method, requestId, span } = opening
    const mayCollect = this.options.idleTimeout === undefined
    const request = { method, url, headers, body, exposeAbort, mayCollect }
    const { unsafeOpen } = this
    const opened = unsafeOpen !== undefined && opening.isUnsafe === true
      ? Once.async<HttpExchange.Response, ExchangeError>((resume) => unsafeOpen(request, resume))
      : this.openSafely(request, opening.abortable)
    return Effect.matchEffect(span === undefined ? opened : span.around(opened), {
      onFailure: then.onFailure,
      onSuccess: (response) => {
        const { status } = response
        this.hub.emit(() => TransportEvent.ResponseReceived({ method, status, message, requestId }))
        const target = hops < mostRedirects ? redirectTarget(response, url) : undefined
        if (target === undefined) return then.onSuccess(response)
        return Effect.zipRight(
          this.lingering.discard(response),
          Effect.suspend(() => this.follow(opening, target, hops + 1, then))
        )
      }
    })
  }

  /** An exchange may be anyone's, or decorated: an abort is not left to what it does with `exposeAbort`. */
  private openSafely(
    request: HttpExchange.Request,
    abortable: Abortable | undefined
  ): Effect.Effect<HttpExchange.Response, ExchangeError> {
    if (abortable === undefined) return this.exchange.open(request)
    const opened = Effect.map(this.exchange.open(request), (response) => {
      // Until it is handed over: who waits for it may be gone by now.
      request.exposeAbort?.(() => response.close())
      return response
    })
    const aborted = Effect.async<never, ExchangeError>((resume) =>
      abortable.whenAborted(() => resume(Effect.fail(abortedError)))
    )
    return race(Effect.disconnect(Effect.interruptible(opened)), aborted)
  }

  // --- sessions -----------------------------------------------------------------------------------------------------

  /** The session of a successful `initialize` takes the place of the current one, which is deleted. */
  startSession(sessionId: string | undefined): Effect.Effect<Session.Session> {
    return Effect.suspend(() => {
      const old = this.session
      const fresh = Session.active(sessionId)
      if (sessionId !== undefined) this.secrets.addSessionId(sessionId)
      if (this.closed) {
        Session.end(fresh, "Client")
        return Effect.as(sessionId === undefined ? Effect.void : this.deleteOrphan(sessionId), fresh)
      }
      // A gateway may give the same id again: then it is the same session.
      const isOther = old.sessionId !== sessionId
      const deletion = isOther && Session.needsDelete(old) ? this.forkDelete(old) : Effect.void
      old.replaced = true
      this.session = fresh
      if (isOther && old.status === "Active") this.endSession(old, "Client")
      this.onSessionChange()
      return Effect.uninterruptible(Effect.as(deletion, fresh))
    })
  }

  /** A session that was opened while the transport was being closed. */
  deleteOrphan(sessionId: string): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.secrets.addSessionId(sessionId)
      return this.isSealed || !this.options.terminateOnClose
        ? Effect.void
        : Effect.asVoid(this.forkDelete(Session.active(sessionId)))
    })
  }

  /** `initialize` was answered. */
  negotiated(session: Session.Session, protocolVersion: string | undefined): Effect.Effect<void> {
    return Effect.sync(() => {
      session.protocolVersion = protocolVersion
      this.hub.emit(() =>
        TransportEvent.SessionStarted({
          sessionId: redactedId(session),
          protocolVersion: Option.fromNullable(protocolVersion)
        })
      )
      this.ledger?.opened(session)
    })
  }

  /** The server accepted `notifications/initialized`. */
  markInitialized(session: Session.Session): void {
    session.initialized = true
    this.ledger?.opened(session)
    this.onSessionChange()
  }

  /** Ends a session, once; what runs in it fails when this side ended it. */
  endSession(session: Session.Session, by: "Client" | "Server"): void {
    const wasActive = session.status === "Active"
    if (!Session.end(session, by)) return
    this.ledger?.ended(session)
    if (wasActive) this.hub.emit(() => TransportEvent.SessionEnded({ sessionId: redactedId(session), by }))
    // Without an id there is nothing that ends at the server, so what runs there may go on.
    if (by === "Client" && session.sessionId !== undefined) {
      for (const running of this.running.all) {
        if (running.session === session) running.abort()
      }
    }
    this.onSessionChange()
  }

  // --- the end ------------------------------------------------------------------------------------------------------

  /** Sends the one DELETE of a session, bounded in time. Any 2xx, 404 and 405 are success. */
  private delete(session: Session.Session): Effect.Effect<void, TransportError.TransportError> {
    const opening = { method: "DELETE", headers: deleteHeaders(this.options.headers, session) } as const
    const { maxMessageSize, terminateTimeout } = this.options
    return Effect.clockWith((clock) => {
      const deadline = clock.unsafeCurrentTimeMillis() + terminateTimeout
      // Disconnected: an exchange that cannot be interrupted must not hold up the end.
      const opened = Effect.disconnect(Effect.interruptible(this.open(opening)))
      return race(opened, Effect.zipRight(sleep(terminateTimeout), timedOut)).pipe(
        Effect.matchEffect({
          onFailure: (error) => Effect.fail(this.errors.connection(error.sent ? "Response" : "Connect", error.cause)),
          onSuccess: (response) => {
            const { status } = response
            return (status >= 200 && status < 300) || status === 404 || status === 405
              ? this.lingering.discard(response)
              : Effect.flatMap(
                readRefusal(response, maxMessageSize, deadline - clock.unsafeCurrentTimeMillis()),
                ({ body, retryAfter }) =>
                  Effect.fail(this.errors.status("DELETE", response, body, retryAfter, undefined))
              )
          }
        })
      )
    })
  }

  // Not bound to the fiber that asks: an interruption must not leave the session open.
  private forkDelete(
    session: Session.Session
  ): Effect.Effect<Fiber.RuntimeFiber<void, TransportError.TransportError>> {
    return Effect.uninterruptible(Effect.map(Effect.forkDaemon(this.delete(session)), (fiber) => {
      this.deletions.set(session, fiber)
      fiber.addObserver(() => this.deletions.delete(session))
      return fiber
    }))
  }

  readonly terminate: Effect.Effect<void, TransportError.TransportError> = Effect.suspend(() => {
    const session = this.session
    const deletion = this.deletions.get(session)
    if (deletion !== undefined) return Fiber.join(deletion)
    if (this.closed || !Session.needsDelete(session)) return Effect.void
    return Effect.uninterruptibleMask((restore) => {
      this.endSession(session, "Client")
      return Effect.flatMap(this.forkDelete(session), (fiber) => restore(Fiber.join(fiber)))
    })
  })

  // The store has as long as the server.
  private readonly flush: Effect.Effect<void> = Effect.suspend(() =>
    this.ledger === undefined ? Effect.void : race(this.ledger.flush, sleep(this.options.terminateTimeout))
  )

  /** The finalizer of the scope: nothing is sent after it. */
  readonly close = (stopServerStream: Effect.Effect<void>): Effect.Effect<void> =>
    Effect.suspend(() => {
      const terminates = this.options.terminateOnClose && Session.needsDelete(this.session)
      this.closed = true
      if (terminates) this.endSession(this.session, "Client")
      for (const running of this.running.all) running.abort()
      this.onSessionChange()
      return race(stopServerStream, sleep(this.options.terminateTimeout)).pipe(
        Effect.zipRight(terminates ? Effect.asVoid(this.forkDelete(this.session)) : Effect.void),
        Effect.zipRight(Effect.suspend(() => Fiber.awaitAll(Array.from(this.deletions.values())))),
        Effect.flatMap((exits) =>
          Effect.forEach(exits, (exit) =>
            exit._tag === "Failure"
              ? Effect.logWarning("the session could not be terminated", exit.cause).pipe(annotated)
              : Effect.void, { discard: true })
        ),
        Effect.zipRight(this.flush),
        Effect.zipRight(Effect.sync(() => {
          this.isSealed = true
          this.lingering.closeAll()
          this.hub.close()
        }))
      )
    })
}

const closedError = new ExchangeError({ sent: false, cause: new Error("the transport is closed") })

const abortedError = new ExchangeError({ sent: true, cause: new Error("the exchange was aborted") })

const redactedId = (session: Session.Session): Option.Option<Redacted.Redacted<string>> =>
  Option.map(Option.fromNullable(session.sessionId), Redacted.make)

const timedOut = Effect.fail(new ExchangeError({ sent: true, cause: new Error("no answer within terminateTimeout") }))

const redirectTarget = (response: HttpExchange.Response, from: URL): URL | undefined => {
  if (response.status !== 307 && response.status !== 308) return undefined
  const { location } = response.headers
  if (location === undefined) return undefined
  try {
    const target = new URL(location, from)
    target.hash = ""
    return target.origin === from.origin && target.username === "" && target.password === "" ? target : undefined
  } catch {
    return undefined
  }
}
