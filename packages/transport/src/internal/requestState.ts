/**
 * What there is to know about one send while it runs, and the ways it can end.
 */
import type * as Headers from "@effect/platform/Headers"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as HttpExchange from "../HttpExchange.ts"
import * as JsonRpc from "../JsonRpc.ts"
import type { HttpStatusError, Outcome, TransportError } from "../TransportError.ts"
import * as TransportEvent from "../TransportEvent.ts"
import type { Core } from "./core.ts"
import { ContentEncodingError } from "./exchangeErrors.ts"
import { Inbox, type InboxOwner } from "./inbox.ts"
import { MessageErrors } from "./messageErrors.ts"
import { type Loss, ReconnectDecider } from "./reconnecting.ts"
import { RequestConnection } from "./requestConnection.ts"
import { ScheduleStepper } from "./scheduleStepper.ts"
import type { Running, Session } from "./session.ts"
import { LogicalStream } from "./streamMachine.ts"

export interface Outgoing {
  readonly message: JsonRpc.Message
  /** The message as JSON text, until its answer begins to stream: it is never posted again then, and a stream may last. */
  body: string | undefined
  /** A stateless message (2026-07-28) knows no session and no resumption. */
  readonly isStateless: boolean
  readonly isInitialize: boolean
  readonly headers: Headers.Headers | undefined
  readonly resumptionToken: string | undefined
  /** Whose entry it is in the resumption store's ledger. */
  readonly owner: object
  readonly onResumptionToken: ((token: string) => Effect.Effect<void>) | undefined
  /** False: only the answer is wanted. */
  readonly collect: boolean
}

/** One step of a send. */
export type Step<A> = Effect.Effect<A, TransportError>

export class RequestState implements Running, InboxOwner {
  place = -1
  session: Session | undefined

  readonly requestId: JsonRpc.RequestId | undefined
  readonly machine: LogicalStream
  readonly inbox: Inbox
  readonly connection: RequestConnection
  /** Whether its cursor goes into the resumption store. */
  readonly isKept: boolean
  readonly announces: boolean
  readonly collects: boolean
  readonly claimsAnyAnswer: boolean
  isSettled = false
  /** Between the head of the answer to `initialize` and its body. */
  isOpening = false

  /** How it is to fail. Only an interruption comes between this and its end. */
  failure: TransportError | undefined
  /** What the policy is asked about, or was asked last. */
  loss: Loss | undefined
  /** When the wait before a reconnect is over, in milliseconds. */
  resumeAt = 0

  /** Gives the place among the concurrent requests back. */
  leave: (() => void) | undefined

  readonly core: Core
  readonly outgoing: Outgoing

  // Made when they are needed, which is hardly ever.
  private ownErrors: MessageErrors | undefined
  private ownDecider: ReconnectDecider | undefined
  private ownOverload: ScheduleStepper<HttpStatusError> | undefined

  constructor(core: Core, outgoing: Outgoing) {
    this.core = core
    this.outgoing = outgoing
    const { message, resumptionToken } = outgoing
    const isRequest = JsonRpc.isRequest(message)
    this.requestId = isRequest ? message.id : undefined
    this.machine = new LogicalStream("Request", resumptionToken)
    const canResume = isRequest && !outgoing.isStateless
    this.isKept = canResume && !outgoing.isInitialize && core.ledger !== undefined
    this.announces = canResume && (outgoing.onResumptionToken !== undefined || core.ledger !== undefined)
    this.collects = outgoing.collect
    this.claimsAnyAnswer = resumptionToken !== undefined
    this.inbox = new Inbox(this)
    this.connection = new RequestConnection(core, this.inbox, this.machine, message, this.requestId)
  }

  get name(): TransportEvent.StreamName {
    const { message } = this.outgoing
    return JsonRpc.isRequest(message) ? { _tag: "Request", id: message.id, method: message.method } : { _tag: "Server" }
  }

  get errors(): MessageErrors {
    return this.ownErrors ??= new MessageErrors(this.core.secrets, this.requestId, this.outgoing.headers)
  }

  get decider(): ReconnectDecider {
    const { maxRetryDelay, reconnect } = this.core.options
    return this.ownDecider ??= new ReconnectDecider(reconnect, maxRetryDelay)
  }

  get overload(): ScheduleStepper<HttpStatusError> | undefined {
    const { overload } = this.core.options
    return overload === undefined ? undefined : this.ownOverload ??= new ScheduleStepper(overload)
  }

  /** Waits until there is something new, and goes on. */
  onNews<A>(next: Step<A>): Step<A> {
    const { idleTimeout } = this.core.options
    return idleTimeout === undefined
      ? this.inbox.onNews(next)
      : Effect.zipRight(this.inbox.untilNewsOrIdle(idleTimeout), next)
  }

  abort(): void {
    if (this.isSettled || this.inbox.answer !== undefined) return
    this.inbox.abort()
    this.connection.close()
  }

  readEvents(response: HttpExchange.Response): void {
    const { attempts, lastEventId, wasOpen } = this.machine
    this.machine.signal("Body")
    this.outgoing.body = undefined
    this.core.hub.emit(() =>
      wasOpen || attempts > 0
        ? TransportEvent.StreamResumed({ stream: this.name, lastEventId, attempt: attempts })
        : TransportEvent.StreamOpened({ stream: this.name, lastEventId })
    )
    this.connection.readEvents(response)
  }

  onBodyOver(): void {
    this.connection.bodyOver()
  }

  /** A session that was opened without an answer to tell its version is open all the same. */
  get opened(): Effect.Effect<void> {
    return this.isOpening && this.session !== undefined ? this.core.negotiated(this.session, undefined) : Effect.void
  }

  /** The answer was taken, or will never come: there is nothing to resume any more. */
  forget(): void {
    this.core.ledger?.settled(this.outgoing.owner)
  }

  settle(exit: Exit.Exit<unknown, unknown>): void {
    if (this.isSettled) return
    this.isSettled = true
    this.machine.signal("Settle")
    this.core.running.delete(this)
    this.leave?.()
    this.connection.span?.end(exit)
  }

  fail(error: TransportError): Step<never> {
    this.failure = error
    return Effect.suspend(() => {
      this.connection.close()
      this.settle(Exit.fail(error))
      // What was aborted, because the transport was closed for one, may be resumed by the next one.
      if (!this.inbox.isAborted) this.forget()
      return Effect.zipRight(this.opened, Effect.fail(error))
    })
  }

  failProtocol(
    reason: "NoResponse" | "UnexpectedContentType" | "ContentEncoding" | "InvalidSessionId" | JsonRpc.DecodeFailure,
    description: string,
    came?: string
  ): Step<never> {
    return Effect.suspend(() => this.fail(this.errors.protocol(reason, description, came, "Unknown")))
  }

  giveUp(error: TransportError): Step<never> {
    this.core.hub.emit(() => TransportEvent.StreamGaveUp({ stream: this.name, error }))
    return this.fail(error)
  }

  sessionGone(outcome: Outcome): Step<never> {
    return Effect.suspend(() => {
      if (this.session !== undefined) this.core.endSession(this.session, "Server")
      return this.fail(this.errors.terminated(this.session, "Server", outcome))
    })
  }

  abortError(outcome: Outcome = "Unknown"): TransportError {
    return this.session?.status === "Terminated"
      ? this.errors.terminated(this.session, this.session.terminatedBy ?? "Client", outcome)
      : this.errors.connection("Closed", undefined, outcome)
  }

  /** A body that ended without its answer and cannot be resumed. */
  brokenError(cause: unknown): TransportError {
    if (cause instanceof ContentEncodingError) {
      return this.errors.protocol("ContentEncoding", cause.message, undefined, "Unknown")
    }
    if (this.inbox.badData !== undefined) return this.inbox.badData
    if (this.machine.lastEventId !== undefined && !this.outgoing.isStateless) {
      return this.errors.resumption("NotResumable", this.machine, { cause }, "Unknown")
    }
    return cause === undefined
      ? this.errors.protocol("NoResponse", "the stream ended without the answer", undefined, "Unknown")
      : this.errors.connection("Body", cause, "Unknown")
  }
}
