/**
 * What happens to a send whose stream was lost: the wait, and the GET that goes on with it.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as HttpExchange from "../HttpExchange.ts"
import * as TransportEvent from "../TransportEvent.ts"
import * as TransportMetrics from "../TransportMetrics.ts"
import { ContentEncodingError } from "./exchangeErrors.ts"
import { idleCause } from "./inbox.ts"
import { annotated } from "./logging.ts"
import { race } from "./race.ts"
import { type Loss, reopened } from "./reconnecting.ts"
import { getHeaders, isSendableEventId } from "./requestHeaders.ts"
import type { RequestState, Step } from "./requestState.ts"
import type { Session } from "./session.ts"
import { sleep } from "./sleep.ts"
import { meaningOf } from "./statusTable.ts"
import { canReconnect } from "./streamMachine.ts"

export const reconnect = (self: RequestState, loss: Loss): Step<void> => {
  const { machine } = self
  const { lastEventId } = machine
  if (machine.state === "Reading" && self.connection.isStream) {
    const cause = self.errors.cause(loss.cause)
    self.core.hub.emit(() => TransportEvent.StreamBroken({ stream: self.name, lastEventId, cause }))
  }
  machine.signal("Lost")
  if (!canReconnect(machine, isResumable(self, loss))) return self.fail(self.brokenError(loss.cause))
  return decide(self, loss)
}

const decide = (self: RequestState, loss: Loss): Step<void> => {
  const { machine } = self
  self.loss = loss
  return Effect.flatMap(self.decider.decide(machine, self.requestId, loss), (decision) => {
    switch (decision._tag) {
      case "Wait":
        return waitAndResume(self, decision.millis)
      case "TooLong":
        return self.giveUp(self.errors.resumption("RetryTooLong", machine, loss, "Unknown", decision.millis))
      case "Exhausted":
        return self.giveUp(self.inbox.badData ?? self.errors.resumption("Exhausted", machine, loss, "Unknown"))
    }
  })
}

const isResumable = (self: RequestState, loss: Loss): boolean => {
  const { lastEventId } = self.machine
  return !self.outgoing.isStateless && lastEventId !== undefined && isSendableEventId(lastEventId) &&
    !(loss.cause instanceof ContentEncodingError)
}

const waitAndResume = (self: RequestState, millis: number): Step<void> =>
  Effect.clockWith((clock) => {
    const { machine } = self
    machine.signal("Retry")
    self.resumeAt = clock.unsafeCurrentTimeMillis() + millis
    const attempt = ++machine.attempts
    const { lastEventId } = machine
    self.core.hub.emit(() =>
      TransportEvent.StreamWaiting({ stream: self.name, lastEventId, attempt, delay: Duration.millis(millis) })
    )
    self.connection.span?.event("reconnect", {
      attempt,
      cursor: self.errors.text(lastEventId ?? ""),
      "delay.ms": millis
    })
    return Effect.logDebug(`a stream was lost; reconnecting in ${millis} ms, attempt ${attempt}`).pipe(
      annotated,
      Effect.zipRight(wait(self, millis))
    )
  })

const wait = (self: RequestState, millis: number): Step<void> =>
  Effect.flatMap(race(sleep(millis), self.inbox.untilNews), () => {
    if (self.inbox.isAborted) return self.fail(self.abortError())
    self.machine.signal("Resume")
    TransportMetrics.reconnects.unsafeUpdate(1, [])
    return resume(self, true)
  })

export const resume = (self: RequestState, isReconnect: boolean): Step<void> => {
  // The session this request belongs to, or, where it began without one, the one opened since.
  const isOwn = self.outgoing.isInitialize || self.session?.sessionId !== undefined
  const session = isOwn || self.core.session.status !== "Active" ? self.session : self.core.session
  const headers = getHeaders(self.core.options.headers, self.outgoing.headers, session, self.machine.lastEventId)
  const { idleTimeout } = self.core.options
  const opened = Effect.suspend(() =>
    self.connection.open("GET", headers, undefined, {
      onFailure: (error) => Effect.fail(error.cause),
      onSuccess: Effect.succeed
    })
  )
  const bounded = idleTimeout === undefined || !isReconnect
    ? opened
    : race(opened, Effect.zipRight(sleep(idleTimeout), Effect.failSync(() => idleCause(idleTimeout))))
  return Effect.matchEffect(bounded, {
    onFailure: (cause) => self.inbox.isAborted ? self.fail(self.abortError()) : lost(self, { cause }),
    onSuccess: (response) => self.inbox.isAborted ? self.fail(self.abortError()) : onResumed(self, response, session)
  })
}

const onResumed = (self: RequestState, response: HttpExchange.Response, session: Session | undefined): Step<void> => {
  const { status } = response
  const meaning = meaningOf("Resume", status, response.headers["content-type"], session?.sessionId !== undefined)
  if (meaning === "Events") {
    return Effect.map(Clock.currentTimeMillis, (now) => {
      reopened(self.machine, now)
      self.readEvents(response)
    })
  }
  if (meaning === "SessionTerminated") {
    self.session = session
    return Effect.zipRight(self.connection.discard(response), self.sessionGone("Unknown"))
  }
  return Effect.flatMap(self.connection.readRefusal(response), ({ body, retryAfter }) => {
    if (self.inbox.isAborted) return self.fail(self.abortError())
    const cause = self.errors.status("GET", response, body, retryAfter, "Unknown")
    if (meaning === "StatusError") return self.giveUp(cause)
    const loss = { cause, status, retryAfter }
    return meaning === "Unsupported" || meaning === "Rejected"
      ? self.giveUp(self.errors.resumption(meaning, self.machine, loss, "Unknown"))
      : lost(self, loss)
  })
}

/**
 * A pull was interrupted as it opened a connection, or waited to, and now there is another one. A POST is never repeated; what
 * would have resumed goes on to do so, and waits no less for it.
 */
export const interrupted = (self: RequestState): Step<void> => {
  switch (self.machine.state) {
    case "Idle":
    case "Delaying":
      return self.fail(self.abortError("NotExecuted"))
    case "Posting":
      return self.fail(self.abortError())
    case "Opening":
    case "Resuming":
      self.connection.close()
      return lost(self, { cause: new Error("the reconnect was interrupted") })
    case "Deciding":
      return decide(self, self.loss ?? { cause: undefined })
    case "Waiting":
      return Effect.clockWith((clock) => wait(self, Math.max(0, self.resumeAt - clock.unsafeCurrentTimeMillis())))
    case "Reading":
    case "Settled":
      return Effect.void
  }
}

const lost = (self: RequestState, loss: Loss): Effect.Effect<void> => {
  return Effect.sync(() => {
    self.inbox.loss = loss
  })
}
