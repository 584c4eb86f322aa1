/**
 * One send, from the POST to the answer, across as many connections as it takes: the consumer pulls, the exchange pushes
 * into the inbox, and this decides in between.
 *
 * Specification 2025-11-25, basic/transports, "Sending Messages to the Server"; 2026-07-28, transports/streamable-http.
 */
import type * as Headers from "@effect/platform/Headers"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import type * as HttpExchange from "../HttpExchange.ts"
import * as JsonRpc from "../JsonRpc.ts"
import type { HttpStatusError, Outcome, TransportError } from "../TransportError.ts"
import * as TransportEvent from "../TransportEvent.ts"
import * as TransportMetrics from "../TransportMetrics.ts"
import type { Body } from "./body.ts"
import type { Core } from "./core.ts"
import { ContentEncodingError } from "./exchangeErrors.ts"
import { idleCause, Inbox } from "./inbox.ts"
import { annotated } from "./logging.ts"
import { MessageErrors } from "./messageErrors.ts"
import { type Loss, ReconnectDecider, reopened } from "./reconnecting.ts"
import { errorIn } from "./refusal.ts"
import { RequestConnection } from "./requestConnection.ts"
import { getHeaders, isPlainValue, isSendableEventId, isSessionId, postHeaders } from "./requestHeaders.ts"
import { ScheduleStepper } from "./scheduleStepper.ts"
import type { Running, Session } from "./session.ts"
import { sleep } from "./sleep.ts"
import { isRefusal, meaningOf } from "./statusTable.ts"
import { canReconnect, LogicalStream } from "./streamMachine.ts"
import { SendSpan } from "./tracing.ts"

export interface Outgoing {
  readonly message: JsonRpc.Message
  /** The message as JSON. */
  readonly body: string
  /** A stateless message (2026-07-28) knows no session and no resumption. */
  readonly isStateless: boolean
  readonly isInitialize: boolean
  readonly headers: Headers.Headers | undefined
  readonly resumptionToken: string | undefined
  readonly onResumptionToken: ((token: string) => Effect.Effect<void>) | undefined
  /** False: only the answer is wanted. */
  readonly collect: boolean
}

type Step<A> = Effect.Effect<A, TransportError>
type Messages = ReadonlyArray<JsonRpc.Message> | undefined

export class RequestStream implements Running {
  session: Session | undefined

  private readonly requestId: JsonRpc.RequestId | undefined
  private readonly name: TransportEvent.StreamName
  private readonly machine: LogicalStream
  private readonly decider: ReconnectDecider
  private readonly overload: ScheduleStepper<HttpStatusError> | undefined
  private readonly errors: MessageErrors
  private readonly inbox: Inbox
  private readonly connection: RequestConnection
  /** The token of the message handed over last. */
  private announce: string | undefined
  private readonly announces: boolean
  private isSettled = false
  /** Between the head of the answer to `initialize` and its body. */
  private isOpening = false

  /** Gives the place among the concurrent requests back. */
  private leave = (): void => {}

  private readonly core: Core
  private readonly outgoing: Outgoing

  constructor(core: Core, outgoing: Outgoing) {
    this.core = core
    this.outgoing = outgoing
    const { message, resumptionToken } = outgoing
    const isRequest = JsonRpc.isRequest(message)
    this.requestId = isRequest ? message.id : undefined
    this.name = isRequest ? { _tag: "Request", id: message.id, method: message.method } : { _tag: "Server" }
    this.machine = new LogicalStream("Request", resumptionToken)
    this.decider = new ReconnectDecider(core.options.reconnect, core.options.maxRetryDelay)
    this.overload = core.options.overload === undefined ? undefined : new ScheduleStepper(core.options.overload)
    this.errors = new MessageErrors(core.secrets, this.requestId, outgoing.headers)
    this.announces = isRequest && !outgoing.isStateless &&
      (outgoing.onResumptionToken !== undefined || core.ledger !== undefined)
    this.inbox = new Inbox(
      {
        requestId: this.requestId,
        collect: outgoing.collect,
        announce: this.announces,
        claimsAnyAnswer: resumptionToken !== undefined
      },
      this.errors,
      () => this.connection.bodyOver()
    )
    this.connection = new RequestConnection(core, this.inbox, this.machine, message)
  }

  // --- the consumer -------------------------------------------------------------------------------------------------

  /** The next messages, in order; `undefined` after the last. */
  readonly pull: Step<Messages> = Effect.suspend(() => this.step())

  /** Whether nothing can follow what was pulled: saves the last pull. */
  get isDrained(): boolean {
    return this.isSettled && this.inbox.items.length === 0 && this.announce === undefined &&
      this.core.ledger === undefined
  }

  /** Ends it at once, whatever its state: its connection is closed, no reconnect follows. */
  close(exit: Exit.Exit<unknown, unknown>): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (this.isSettled) return Effect.void
      this.connection.close()
      this.settle(exit)
      return this.opened
    })
  }

  private step(): Step<Messages> {
    const { inbox } = this
    if (inbox.notes.length > 0) {
      const notes = inbox.notes
      inbox.notes = []
      return Effect.zipRight(Effect.all(notes, { discard: true }).pipe(annotated), this.pull)
    }
    if (this.announce !== undefined) return Effect.zipRight(this.announced(this.announce), this.pull)
    if (inbox.answer !== undefined && !this.isSettled) return Effect.zipRight(this.finish(inbox.answer), this.pull)
    if (inbox.items.length > 0) return this.deliver()
    if (this.isSettled) return Effect.as(this.forgotten, undefined)
    if (this.machine.state === "Idle") return Effect.zipRight(this.begin, this.pull)
    if (inbox.isAborted) return this.fail(this.abortError())
    if (inbox.isTooLarge) return this.fail(this.errors.tooLarge(this.core.options.maxMessageSize, "Unknown"))
    const loss = inbox.takeLoss()
    if (loss !== undefined) return Effect.zipRight(this.reconnect(loss), this.pull)
    return Effect.zipRight(this.untilNews, this.pull)
  }

  // Where tokens are announced every message goes out alone, so that its token is announced before the next one.
  private deliver(): Step<Messages> {
    if (!this.announces) {
      const messages = this.inbox.takeMessages()
      return messages.length > 0 ? Effect.succeed(messages) : this.pull
    }
    const item = this.inbox.items.shift()
    this.announce = item?.token
    return item?.message === undefined ? this.pull : Effect.succeed([item.message])
  }

  /** The message before the token was taken: from now on the stream can be resumed after it. */
  private announced(token: string): Effect.Effect<void> {
    const { message, onResumptionToken } = this.outgoing
    const { ledger } = this.core
    this.announce = undefined
    const kept = ledger === undefined || !JsonRpc.isRequest(message)
      ? Effect.void
      : ledger.taken(this, message, token)
    return onResumptionToken === undefined ? kept : Effect.zipRight(onResumptionToken(token), kept)
  }

  /** The answer was taken: there is nothing to resume any more. */
  private get forgotten(): Effect.Effect<void> {
    return this.core.ledger === undefined ? Effect.void : this.core.ledger.settled(this)
  }

  private get untilNews(): Effect.Effect<void> {
    const { idleTimeout } = this.core.options
    return idleTimeout === undefined ? this.inbox.untilNews : this.inbox.untilNewsOrIdle(idleTimeout)
  }

  // --- the transport ------------------------------------------------------------------------------------------------

  abort(): void {
    if (this.isSettled || this.inbox.answer !== undefined) return
    this.inbox.abort()
    this.connection.close()
  }

  // --- the first exchange -------------------------------------------------------------------------------------------

  private get begin(): Step<void> {
    return Effect.withFiberRuntime((fiber) => {
      const { isInitialize, isStateless, message, resumptionToken } = this.outgoing
      this.connection.span = SendSpan.start(fiber, message)
      const problem = resumptionToken === undefined ? undefined : this.tokenProblem(resumptionToken)
      if (problem !== undefined) {
        return this.fail(this.errors.resumption(problem, this.machine, undefined, "NotExecuted"))
      }
      const { closed, session } = this.core
      if (session.status === "Terminated" && (closed || !(isStateless || isInitialize))) {
        return this.fail(this.errors.terminated(session, session.terminatedBy ?? "Client", "NotExecuted"))
      }
      if (closed) return this.fail(this.errors.connection("Closed", undefined, "NotExecuted"))
      if (!isStateless && !isInitialize) this.session = session
      this.core.running.add(this)
      if (resumptionToken === undefined) return this.enter
      this.machine.signal("Resume")
      return this.get(false)
    })
  }

  /** The POST, of a request only once there is room for it. */
  private get enter(): Step<void> {
    const { limit } = this.core
    if (limit === undefined || this.requestId === undefined) return this.post
    const entered = Effect.map(limit.enter, () => {
      this.leave = () => limit.leave()
    })
    return Effect.flatMap(
      Effect.raceFirst(entered, this.inbox.untilNews),
      () => this.inbox.isAborted ? this.fail(this.abortError("NotExecuted")) : this.post
    )
  }

  private tokenProblem(token: string): "MissingToken" | "NotResumable" | undefined {
    if (token === "") return "MissingToken"
    const canResume = !this.outgoing.isStateless && this.requestId !== undefined
    return canResume && isSendableEventId(token) ? undefined : "NotResumable"
  }

  private get post(): Step<void> {
    const { body, message } = this.outgoing
    this.machine.signal("Post")
    const own = this.core.options.headers
    const headers = postHeaders(own, this.outgoing.headers, message, this.session)
    return Effect.matchEffect(this.connection.open("POST", headers, body), {
      onFailure: (error) =>
        this.fail(
          this.inbox.isAborted
            ? this.abortError()
            : this.errors.connection(
              error.sent ? "Response" : "Connect",
              error.cause,
              error.sent ? "Unknown" : "NotExecuted"
            )
        ),
      onSuccess: (response) =>
        this.inbox.isAborted
          ? this.fail(this.abortError())
          : this.onPosted(response, headers["mcp-session-id"] !== undefined)
    })
  }

  private onPosted(response: HttpExchange.Response, sessionIdSent: boolean): Step<void> {
    const kind = this.requestId === undefined ? "Submit" : "Request"
    const contentType = response.headers["content-type"]
    const meaning = meaningOf(kind, response.status, contentType, sessionIdSent)
    switch (meaning) {
      case "Json":
        return Effect.zipRight(this.adoptSession(response), this.readJson(response))
      case "Events":
        return Effect.zipRight(this.adoptSession(response), Effect.sync(() => this.readEvents(response)))
      case "Accepted":
        return Effect.zipRight(this.connection.discard(response), Effect.sync(() => this.accepted()))
      case "NoResponse":
        return Effect.zipRight(
          this.connection.discard(response),
          this.failProtocol("NoResponse", `status ${response.status} does not answer a request`)
        )
      case "UnexpectedContentType":
        return Effect.flatMap(this.connection.readRefusal(response), ({ body }) => {
          const given = contentType === undefined ? "no content type" : `content type ${contentType}`
          return this.failProtocol("UnexpectedContentType", `status ${response.status} with ${given}`, body)
        })
      case "SessionTerminated":
        return Effect.zipRight(this.connection.discard(response), this.sessionGone("NotExecuted"))
      default:
        return this.refused(response, meaning === "AnswerOrStatusError")
    }
  }

  /** The session id is stored before anything of the answer is seen (2025-11-25, "Session Management" 1). */
  private adoptSession(response: HttpExchange.Response): Step<void> {
    const id = response.headers["mcp-session-id"]
    if (!this.outgoing.isInitialize || id === undefined || id === "") return Effect.void
    if (isSessionId(id)) {
      return Effect.map(this.core.startSession(id), (session) => {
        this.session = session
        this.isOpening = true
      })
    }
    // Never the id itself: whatever it is, it was meant as a credential.
    const what = `the session id, ${id.length} characters long, has some outside visible ASCII (0x21 to 0x7E)`
    return Effect.zipRight(this.connection.discard(response), this.failProtocol("InvalidSessionId", what))
  }

  private accepted(): void {
    const { isStateless, message } = this.outgoing
    const isInitialized = JsonRpc.isNotification(message) && message.method === "notifications/initialized"
    if (isInitialized && !isStateless && this.session !== undefined) this.core.markInitialized(this.session)
    this.settle(Exit.void)
  }

  private refused(response: HttpExchange.Response, canAnswer: boolean): Step<void> {
    return Effect.flatMap(this.connection.readRefusal(response), ({ body, retryAfter }) => {
      const answer = canAnswer ? errorIn(body) : undefined
      if (answer !== undefined && this.requestId !== undefined) {
        this.inbox.onMessages([{ ...answer, id: this.requestId }], undefined, false)
        return Effect.void
      }
      const outcome = isRefusal(response.status) ? "NotExecuted" : "Unknown"
      const error = this.errors.status("POST", response, body, retryAfter, outcome)
      const isOverload = response.status === 429 || (response.status === 503 && retryAfter !== undefined)
      return this.overload !== undefined && isOverload
        ? this.postAgain(this.overload, error, retryAfter ?? 0)
        : this.fail(error)
    })
  }

  /** The server is overloaded and did nothing: the user's schedule says whether to ask it again, and when. */
  private postAgain(
    overload: ScheduleStepper<HttpStatusError>,
    error: HttpStatusError,
    retryAfter: number
  ): Step<void> {
    const { machine } = this
    return Effect.flatMap(overload.next(error), (policyDelay) => {
      if (policyDelay === undefined || retryAfter > this.core.options.maxRetryDelay) return this.fail(error)
      machine.signal("Busy")
      const delay = Math.max(policyDelay, retryAfter)
      this.core.hub.emit(() =>
        TransportEvent.RequestDelayed({
          requestId: this.requestId,
          status: error.status,
          delay: Duration.millis(delay)
        })
      )
      return Effect.flatMap(
        Effect.raceFirst(sleep(delay), this.inbox.untilNews),
        () => this.inbox.isAborted ? this.fail(this.abortError(error.outcome)) : this.post
      )
    })
  }

  private readJson(response: HttpExchange.Response): Step<void> {
    return Effect.suspend(() => {
      const { inbox } = this
      this.machine.signal("Body")
      this.connection.readJson(response)
      return Effect.flatMap(this.untilNews, () => {
        if (inbox.body !== undefined) return this.onJson(inbox.body, response)
        if (inbox.isAborted) return this.fail(this.abortError())
        return this.fail(this.errors.connection("Body", inbox.loss?.cause, "Unknown"))
      })
    })
  }

  private onJson(body: Body, response: HttpExchange.Response): Step<void> {
    if (body._tag === "TooLarge") return this.fail(this.errors.tooLarge(this.core.options.maxMessageSize, "Unknown"))
    if (body._tag === "Broken") return this.fail(this.brokenError(body.cause))
    const decoded = JsonRpc.decode(body.text)
    if (Either.isLeft(decoded)) {
      const encoding = response.headers["content-encoding"] ?? "identity"
      return decoded.left === "InvalidJson" && encoding !== "identity"
        ? this.failProtocol("ContentEncoding", `the body is encoded as ${encoding} and could not be read`)
        : this.failProtocol(decoded.left, "the body holds no JSON-RPC message", body.text)
    }
    this.inbox.onMessages(decoded.right, undefined, false)
    if (this.inbox.answer !== undefined) return Effect.void
    this.inbox.badData = this.errors.protocol(
      "NoResponse",
      "the JSON body does not answer the request",
      body.text,
      "Unknown"
    )
    this.inbox.body = undefined
    this.inbox.loss = { cause: undefined }
    return Effect.void
  }

  private readEvents(response: HttpExchange.Response): void {
    const { attempts, lastEventId, wasOpen } = this.machine
    const stream = this.name
    this.machine.signal("Body")
    this.core.hub.emit(() =>
      wasOpen || attempts > 0
        ? TransportEvent.StreamResumed({ stream, lastEventId, attempt: attempts })
        : TransportEvent.StreamOpened({ stream, lastEventId })
    )
    this.connection.readEvents(response)
  }

  // --- after a break ------------------------------------------------------------------------------------------------

  private reconnect(loss: Loss): Step<void> {
    const { machine } = this
    const { lastEventId } = machine
    if (machine.state === "Reading" && this.connection.isStream) {
      const cause = this.errors.cause(loss.cause)
      this.core.hub.emit(() => TransportEvent.StreamBroken({ stream: this.name, lastEventId, cause }))
    }
    machine.signal("Lost")
    if (!canReconnect(machine, this.isResumable(loss))) return this.fail(this.brokenError(loss.cause))
    return Effect.flatMap(this.decider.decide(machine, this.requestId, loss), (decision) => {
      switch (decision._tag) {
        case "Wait":
          return this.waitAndResume(decision.millis)
        case "TooLong":
          return this.giveUp(this.errors.resumption("RetryTooLong", machine, loss, "Unknown", decision.millis))
        case "Exhausted":
          return this.giveUp(this.inbox.badData ?? this.errors.resumption("Exhausted", machine, loss, "Unknown"))
      }
    })
  }

  private isResumable(loss: Loss): boolean {
    const { lastEventId } = this.machine
    return !this.outgoing.isStateless && lastEventId !== undefined && isSendableEventId(lastEventId) &&
      !(loss.cause instanceof ContentEncodingError)
  }

  private waitAndResume(millis: number): Step<void> {
    const { machine } = this
    machine.signal("Retry")
    const attempt = ++machine.attempts
    const { lastEventId } = machine
    this.core.hub.emit(() =>
      TransportEvent.StreamWaiting({ stream: this.name, lastEventId, attempt, delay: Duration.millis(millis) })
    )
    this.connection.span?.event("reconnect", {
      attempt,
      cursor: this.errors.text(lastEventId ?? ""),
      "delay.ms": millis
    })
    return Effect.logDebug(`a stream was lost; reconnecting in ${millis} ms, attempt ${attempt}`).pipe(
      annotated,
      Effect.zipRight(Effect.raceFirst(sleep(millis), this.inbox.untilNews)),
      Effect.flatMap(() => {
        if (this.inbox.isAborted) return this.fail(this.abortError())
        machine.signal("Resume")
        TransportMetrics.reconnects.unsafeUpdate(1, [])
        return this.get(true)
      })
    )
  }

  private get(isReconnect: boolean): Step<void> {
    // The session this request belongs to, or, where it began without one, the one opened since.
    const session = this.session?.sessionId === undefined ? this.core.session : this.session
    const headers = getHeaders(this.core.options.headers, this.outgoing.headers, session, this.machine.lastEventId)
    const { idleTimeout } = this.core.options
    const opened = Effect.mapError(this.connection.open("GET", headers), (error) => error.cause)
    const bounded = idleTimeout === undefined || !isReconnect
      ? opened
      : Effect.raceFirst(opened, Effect.zipRight(sleep(idleTimeout), Effect.failSync(() => idleCause(idleTimeout))))
    return Effect.matchEffect(bounded, {
      onFailure: (cause) => this.inbox.isAborted ? this.fail(this.abortError()) : this.lost({ cause }),
      onSuccess: (response) => this.inbox.isAborted ? this.fail(this.abortError()) : this.onResumed(response, session)
    })
  }

  private onResumed(response: HttpExchange.Response, session: Session): Step<void> {
    const { status } = response
    const meaning = meaningOf("Resume", status, response.headers["content-type"], session.sessionId !== undefined)
    if (meaning === "Events") {
      return Effect.map(Clock.currentTimeMillis, (now) => {
        reopened(this.machine, now)
        this.readEvents(response)
      })
    }
    if (meaning === "SessionTerminated") {
      this.session = session
      return Effect.zipRight(this.connection.discard(response), this.sessionGone("Unknown"))
    }
    return Effect.flatMap(this.connection.readRefusal(response), ({ body, retryAfter }) => {
      const cause = this.errors.status("GET", response, body, retryAfter, "Unknown")
      if (meaning === "StatusError") return this.giveUp(cause)
      const loss = { cause, status, retryAfter }
      return meaning === "Unsupported" || meaning === "Rejected"
        ? this.giveUp(this.errors.resumption(meaning, this.machine, loss, "Unknown"))
        : this.lost(loss)
    })
  }

  private lost(loss: Loss): Effect.Effect<void> {
    return Effect.sync(() => {
      this.inbox.loss = loss
    })
  }

  // --- the end ------------------------------------------------------------------------------------------------------

  /** What the transport learns from the answer is stored before anybody sees the answer. */
  private finish(answer: JsonRpc.Response): Effect.Effect<void> {
    const learnt = this.outgoing.isInitialize && JsonRpc.isSuccessResponse(answer)
      ? this.learn(answer.result)
      : Effect.void
    return Effect.flatMap(learnt, () => {
      this.settle(Exit.void)
      return this.connection.linger()
    })
  }

  private learn(result: unknown): Effect.Effect<void> {
    const given: unknown = typeof result === "object" && result !== null
      ? Reflect.get(result, "protocolVersion")
      : undefined
    const version = typeof given === "string" && given !== "" && isPlainValue(given) ? given : undefined
    const warning = version === undefined
      ? Effect.logWarning("the result of initialize has no usable protocolVersion").pipe(annotated)
      : Effect.void
    const started = this.session === undefined ? this.core.startSession(undefined) : Effect.succeed(this.session)
    this.isOpening = false
    return Effect.zipRight(warning, Effect.flatMap(started, (session) => this.core.negotiated(session, version)))
  }

  /** A session that was opened without an answer to tell its version is open all the same. */
  private get opened(): Effect.Effect<void> {
    return this.isOpening && this.session !== undefined ? this.core.negotiated(this.session, undefined) : Effect.void
  }

  private settle(exit: Exit.Exit<unknown, unknown>): void {
    if (this.isSettled) return
    this.isSettled = true
    this.machine.signal("Settle")
    this.core.running.delete(this)
    this.leave()
    this.connection.span?.end(exit)
  }

  private fail(error: TransportError): Step<never> {
    return Effect.suspend(() => {
      this.connection.close()
      this.settle(Exit.fail(error))
      return Effect.zipRight(Effect.zipRight(this.opened, this.forgotten), Effect.fail(error))
    })
  }

  private failProtocol(
    reason: "NoResponse" | "UnexpectedContentType" | "ContentEncoding" | "InvalidSessionId" | JsonRpc.DecodeFailure,
    description: string,
    came?: string
  ): Step<never> {
    return Effect.suspend(() => this.fail(this.errors.protocol(reason, description, came, "Unknown")))
  }

  private giveUp(error: TransportError): Step<never> {
    this.core.hub.emit(() => TransportEvent.StreamGaveUp({ stream: this.name, error }))
    return this.fail(error)
  }

  private sessionGone(outcome: Outcome): Step<never> {
    return Effect.suspend(() => {
      if (this.session !== undefined) this.core.endSession(this.session, "Server")
      return this.fail(this.errors.terminated(this.session, "Server", outcome))
    })
  }

  private abortError(outcome: Outcome = "Unknown"): TransportError {
    return this.session?.status === "Terminated"
      ? this.errors.terminated(this.session, this.session.terminatedBy ?? "Client", outcome)
      : this.errors.connection("Closed", undefined, outcome)
  }

  /** A body that ended without its answer and cannot be resumed. */
  private brokenError(cause: unknown): TransportError {
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
