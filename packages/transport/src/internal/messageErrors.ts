/**
 * The errors of one message: they carry its id and the outcome, and never a credential.
 */
import type * as Headers from "@effect/platform/Headers"
import * as Duration from "effect/Duration"
import * as Redacted from "effect/Redacted"
import type * as HttpExchange from "../HttpExchange.ts"
import * as JsonRpc from "../JsonRpc.ts"
import * as TransportError from "../TransportError.ts"
import type { Loss } from "./reconnecting.ts"
import { errorIn, excerptSize } from "./refusal.ts"
import type { Secrets } from "./secrets.ts"
import type { Session } from "./session.ts"
import type { LogicalStream } from "./streamMachine.ts"

/** A user name and password in a URL. */
const userInfo = /\/\/[^/\\?#]*@/

type Outcome = TransportError.Outcome | undefined

export class MessageErrors {
  private readonly secrets: Secrets
  /** Headers of this message alone, which may hold credentials of their own. */
  private readonly headers: Headers.Headers | undefined
  private readonly requestId: JsonRpc.RequestId | undefined

  constructor(secrets: Secrets, requestId?: JsonRpc.RequestId | undefined, headers?: Headers.Headers | undefined) {
    this.secrets = secrets
    this.headers = headers
    this.requestId = requestId
  }

  connection(phase: TransportError.ConnectionError["phase"], cause: unknown, outcome?: Outcome) {
    return new TransportError.ConnectionError({ ...this.about(outcome), phase, cause: this.cause(cause) })
  }

  protocol(
    reason: TransportError.ProtocolError["reason"],
    description: string,
    came: string | undefined,
    outcome: Outcome
  ) {
    return new TransportError.ProtocolError({
      ...this.about(outcome),
      reason,
      description: this.text(description),
      excerpt: came === undefined ? undefined : this.body(came).slice(0, excerptSize)
    })
  }

  tooLarge(limit: number, outcome?: Outcome) {
    return new TransportError.MessageTooLarge({ ...this.about(outcome), limit })
  }

  /** The session is over; one without an id was never known to the server, so there the transport is. */
  terminated(session: Session | undefined, by: "Client" | "Server", outcome?: Outcome) {
    return session?.sessionId === undefined
      ? this.connection("Closed", undefined, outcome)
      : new TransportError.SessionTerminated({
        ...this.about(outcome),
        sessionId: Redacted.make(session.sessionId),
        by
      })
  }

  resumption(
    reason: TransportError.ResumptionError["reason"],
    stream: LogicalStream,
    loss: Loss | undefined,
    outcome: Outcome,
    retry?: number
  ) {
    return new TransportError.ResumptionError({
      ...this.about(outcome),
      reason,
      attempts: stream.attempts,
      lastEventId: stream.lastEventId,
      status: loss?.status,
      retry: retry === undefined ? undefined : Duration.millis(retry),
      cause: this.cause(loss?.cause)
    })
  }

  status(
    method: "POST" | "GET" | "DELETE",
    response: HttpExchange.Response,
    body: string,
    retryAfter: number | undefined,
    outcome: Outcome
  ) {
    const { location } = response.headers
    const wwwAuthenticate = response.headers["www-authenticate"]
    return new TransportError.HttpStatusError({
      ...this.about(outcome),
      method,
      status: response.status,
      retryAfter: retryAfter === undefined ? undefined : Duration.millis(retryAfter),
      wwwAuthenticate: wwwAuthenticate === undefined ? undefined : this.text(wwwAuthenticate),
      location: location === undefined ? undefined : this.text(location).replace(userInfo, "//<redacted>@"),
      error: this.jsonRpcError(body),
      body: this.body(body).slice(0, excerptSize)
    })
  }

  cause(cause: unknown): unknown {
    return this.secrets.redactCause(cause, this.headers)
  }

  text(text: string): string {
    return this.secrets.redact(text, this.headers)
  }

  /** A body, or part of a stream, for an error or a log. */
  body(body: string): string {
    return this.secrets.redactBody(body, this.headers)
  }

  private jsonRpcError(body: string): JsonRpc.ErrorObject | undefined {
    const clean = this.secrets.redactStrings(errorIn(body)?.error, this.headers)
    return JsonRpc.isErrorObject(clean) ? clean : undefined
  }

  private about(outcome: Outcome): { readonly requestId?: JsonRpc.RequestId; readonly outcome?: Outcome } {
    return { ...(this.requestId === undefined ? {} : { requestId: this.requestId }), outcome }
  }
}
