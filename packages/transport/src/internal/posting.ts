/**
 * The first exchange of a send: the POST, and what the server made of it.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import type * as HttpExchange from "../HttpExchange.ts"
import * as JsonRpc from "../JsonRpc.ts"
import type { HttpStatusError } from "../TransportError.ts"
import * as TransportEvent from "../TransportEvent.ts"
import type { Body } from "./body.ts"
import { race } from "./race.ts"
import { errorIn } from "./refusal.ts"
import { isSendableEventId, isSessionId, postHeaders } from "./requestHeaders.ts"
import type { RequestState, Step } from "./requestState.ts"
import { resume } from "./resuming.ts"
import type { ScheduleStepper } from "./scheduleStepper.ts"
import { sleep } from "./sleep.ts"
import { isRefusal, meaningOf } from "./statusTable.ts"
import { type AnyFiber, isTraced, SendSpan } from "./tracing.ts"

export const begin = (self: RequestState, fiber: AnyFiber): Step<void> => {
  const { isInitialize, isStateless, message, resumptionToken } = self.outgoing
  self.connection.isTraced = isTraced(fiber)
  self.connection.span = SendSpan.start(fiber, message)
  const problem = resumptionToken === undefined ? undefined : tokenProblem(self, resumptionToken)
  if (problem !== undefined) {
    return self.fail(self.errors.resumption(problem, self.machine, undefined, "NotExecuted"))
  }
  const { closed, session } = self.core
  if (session.status === "Terminated" && (closed || !(isStateless || isInitialize))) {
    return self.fail(self.errors.terminated(session, session.terminatedBy ?? "Client", "NotExecuted"))
  }
  if (closed || self.inbox.isAborted) return self.fail(self.errors.connection("Closed", undefined, "NotExecuted"))
  if (!isStateless && !isInitialize) self.session = session
  self.core.running.add(self)
  if (resumptionToken === undefined) return enter(self)
  self.machine.signal("Resume")
  return resume(self, false)
}

/** The POST, of a request only once there is room for it. */
const enter = (self: RequestState): Step<void> => {
  const { limit } = self.core
  if (limit === undefined || self.requestId === undefined) return post(self)
  const entered = limit.enter(() => {
    self.leave = () => limit.leave()
  })
  return Effect.flatMap(
    race(entered, self.inbox.untilNews),
    () => self.inbox.isAborted ? self.fail(self.abortError("NotExecuted")) : post(self)
  )
}

const tokenProblem = (self: RequestState, token: string): "MissingToken" | "NotResumable" | undefined => {
  if (token === "") return "MissingToken"
  const canResume = !self.outgoing.isStateless && self.requestId !== undefined
  return canResume && isSendableEventId(token) ? undefined : "NotResumable"
}

const post = (self: RequestState): Step<void> => {
  const { body, message } = self.outgoing
  self.machine.signal("Post")
  const own = self.core.options.headers
  const headers = postHeaders(own, self.outgoing.headers, message, self.session)
  return self.connection.open("POST", headers, body, {
    onFailure: (error) =>
      self.fail(
        self.inbox.isAborted
          ? self.abortError()
          : self.errors.connection(
            error.sent ? "Response" : "Connect",
            error.cause,
            error.sent ? "Unknown" : "NotExecuted"
          )
      ),
    onSuccess: (response) =>
      self.inbox.isAborted
        ? Effect.zipRight(orphaned(self, response), self.fail(self.abortError()))
        : onPosted(self, response, headers["mcp-session-id"] !== undefined)
  })
}

/** The transport was closed while the server opened a session: it is deleted at once. */
const orphaned = (self: RequestState, response: HttpExchange.Response): Effect.Effect<void> => {
  const id = response.headers["mcp-session-id"]
  return self.outgoing.isInitialize && id !== undefined && isSessionId(id) ? self.core.deleteOrphan(id) : Effect.void
}

const onPosted = (self: RequestState, response: HttpExchange.Response, sessionIdSent: boolean): Step<void> => {
  const kind = self.requestId === undefined ? "Submit" : "Request"
  const contentType = response.headers["content-type"]
  const meaning = meaningOf(kind, response.status, contentType, sessionIdSent)
  switch (meaning) {
    case "Json":
      return self.outgoing.isInitialize
        ? Effect.zipRight(adoptSession(self, response), Effect.suspend(() => readJson(self, response)))
        : readJson(self, response)
    case "Events":
      if (self.outgoing.isInitialize) {
        return Effect.zipRight(adoptSession(self, response), Effect.sync(() => self.readEvents(response)))
      }
      self.readEvents(response)
      return Effect.void
    case "Accepted":
      return Effect.zipRight(self.connection.discard(response), Effect.sync(() => accepted(self)))
    case "NoResponse":
      return Effect.zipRight(
        self.connection.discard(response),
        self.failProtocol("NoResponse", `status ${response.status} does not answer a request`)
      )
    case "UnexpectedContentType":
      return Effect.flatMap(self.connection.readRefusal(response), ({ body }) => {
        if (self.inbox.isAborted) return self.fail(self.abortError())
        const given = contentType === undefined ? "no content type" : `content type ${contentType}`
        return self.failProtocol("UnexpectedContentType", `status ${response.status} with ${given}`, body)
      })
    case "SessionTerminated":
      return Effect.zipRight(self.connection.discard(response), self.sessionGone("NotExecuted"))
    default:
      return refused(self, response, meaning === "AnswerOrStatusError")
  }
}

/** The session id is stored before anything of the answer is seen (2025-11-25, "Session Management" 1). */
const adoptSession = (self: RequestState, response: HttpExchange.Response): Step<void> => {
  const id = response.headers["mcp-session-id"]
  if (!self.outgoing.isInitialize || id === undefined || id === "") return Effect.void
  if (isSessionId(id)) {
    return Effect.uninterruptible(Effect.map(self.core.startSession(id), (session) => {
      self.session = session
      self.isOpening = true
    }))
  }
  // Never the id itself: whatever it is, it was meant as a credential.
  const what = `the session id, ${id.length} characters long, has some outside visible ASCII (0x21 to 0x7E)`
  return Effect.zipRight(self.connection.discard(response), self.failProtocol("InvalidSessionId", what))
}

const accepted = (self: RequestState): void => {
  const { isStateless, message } = self.outgoing
  const isInitialized = JsonRpc.isNotification(message) && message.method === "notifications/initialized"
  if (isInitialized && !isStateless && self.session !== undefined) self.core.markInitialized(self.session)
  self.settle(Exit.void)
}

const refused = (self: RequestState, response: HttpExchange.Response, canAnswer: boolean): Step<void> => {
  return Effect.flatMap(self.connection.readRefusal(response), ({ body, retryAfter }) => {
    if (self.inbox.isAborted) return self.fail(self.abortError())
    const answer = canAnswer ? errorIn(body) : undefined
    if (answer !== undefined && self.requestId !== undefined) {
      self.inbox.onMessages([{ ...answer, id: self.requestId }], undefined, false)
      return Effect.void
    }
    const outcome = isRefusal(response.status) ? "NotExecuted" : "Unknown"
    const error = self.errors.status("POST", response, body, retryAfter, outcome)
    const isOverload = response.status === 429 || (response.status === 503 && retryAfter !== undefined)
    return self.overload !== undefined && isOverload
      ? postAgain(self, self.overload, error, retryAfter ?? 0)
      : self.fail(error)
  })
}

/** The server is overloaded and did nothing: the user's schedule says whether to ask it again, and when. */
const postAgain = (
  self: RequestState,
  overload: ScheduleStepper<HttpStatusError>,
  error: HttpStatusError,
  retryAfter: number
): Step<void> => {
  const { machine } = self
  return Effect.flatMap(overload.next(error), (policyDelay) => {
    if (policyDelay === undefined || retryAfter > self.core.options.maxRetryDelay) return self.fail(error)
    machine.signal("Busy")
    const delay = Math.max(policyDelay, retryAfter)
    self.core.hub.emit(() =>
      TransportEvent.RequestDelayed({
        requestId: self.requestId,
        status: error.status,
        delay: Duration.millis(delay)
      })
    )
    return Effect.flatMap(
      race(sleep(delay), self.inbox.untilNews),
      () => self.inbox.isAborted ? self.fail(self.abortError(error.outcome)) : post(self)
    )
  })
}

const readJson = (self: RequestState, response: HttpExchange.Response): Step<void> => {
  self.machine.signal("Body")
  self.connection.readJson(response)
  return Effect.void
}

/** The body of an answer that is no stream of events has been read. Gives how the send fails, if it does. */
export const onJson = (self: RequestState, body: Body): Step<never> | undefined => {
  const { inbox } = self
  if (body._tag === "TooLarge") return self.fail(self.errors.tooLarge(self.core.options.maxMessageSize, "Unknown"))
  if (body._tag === "Broken") return self.fail(self.brokenError(body.cause))
  const decoded = JsonRpc.decode(body.text)
  if (Either.isLeft(decoded)) {
    const encoding = self.connection.contentEncoding
    return decoded.left === "InvalidJson" && encoding !== "identity"
      ? self.failProtocol("ContentEncoding", `the body is encoded as ${encoding} and could not be read`)
      : self.failProtocol(decoded.left, "the body holds no JSON-RPC message", body.text)
  }
  inbox.onMessages(decoded.right, undefined, false)
  if (inbox.answer !== undefined) return undefined
  inbox.badData = self.errors.protocol("NoResponse", "the JSON body does not answer the request", body.text, "Unknown")
  inbox.body = undefined
  inbox.loss = { cause: undefined }
  return undefined
}
