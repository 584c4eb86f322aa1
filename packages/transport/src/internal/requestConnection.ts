/**
 * The HTTP exchange that one send uses right now: opening it, reading it into the inbox, and letting go of it.
 */
import type * as Headers from "@effect/platform/Headers"
import * as Effect from "effect/Effect"
import type * as HttpExchange from "../HttpExchange.ts"
import type * as JsonRpc from "../JsonRpc.ts"
import { BodyCollector } from "./body.ts"
import type { Abortable, Core, Handlers } from "./core.ts"
import { EventReader } from "./eventReader.ts"
import type { Inbox } from "./inbox.ts"
import { LingeringBody } from "./lingering.ts"
import { race } from "./race.ts"
import { readRefusal, type Refusal } from "./refusal.ts"
import type { LogicalStream } from "./streamMachine.ts"
import type { SendSpan } from "./tracing.ts"

export class RequestConnection {
  span: SendSpan | undefined
  isTraced = false
  /** Whether the body is, or was, a stream of events. */
  isStream = false

  private response: HttpExchange.Response | undefined
  private reader: EventReader | undefined
  /** Once the answer has come. */
  private lingering: LingeringBody | undefined
  /** While it is being opened. */
  private opening: Opening | undefined

  private readonly core: Core
  private readonly inbox: Inbox
  private readonly machine: LogicalStream
  private readonly message: JsonRpc.Message
  private readonly requestId: JsonRpc.RequestId | undefined

  constructor(
    core: Core,
    inbox: Inbox,
    machine: LogicalStream,
    message: JsonRpc.Message,
    requestId: JsonRpc.RequestId | undefined
  ) {
    this.core = core
    this.inbox = inbox
    this.machine = machine
    this.message = message
    this.requestId = requestId
  }

  /** Begins an exchange in the place of the one before, if there was one. */
  open<A, E>(
    method: "POST" | "GET",
    headers: Headers.Headers,
    body: string | undefined,
    then: Handlers<A, E>
  ): Effect.Effect<A, E> {
    const { message } = this
    this.close()
    const opening = new Opening(this.inbox.isAborted)
    this.opening = opening
    return this.core.openThen({
      method,
      headers,
      body,
      message: method === "GET" ? undefined : "method" in message ? message.method : "response",
      requestId: this.requestId,
      lastEventId: method === "GET" ? this.machine.lastEventId : undefined,
      exposeAbort: opening.exposeAbort,
      isUnsafe: method === "POST" && !this.isTraced,
      abortable: opening,
      span: this.span
    }, {
      onFailure: then.onFailure,
      onSuccess: (response) => {
        opening.end()
        this.opening = undefined
        this.response = response
        return then.onSuccess(response)
      }
    })
  }

  readEvents(response: HttpExchange.Response): void {
    this.isStream = true
    this.reader = new EventReader(this.machine, this.core.options.maxMessageSize, this.inbox)
    this.inbox.attach(response, this.reader)
    response.read(this.reader)
  }

  readJson(response: HttpExchange.Response): void {
    const { inbox } = this
    inbox.attach(response)
    const limit = this.core.options.maxMessageSize
    new BodyCollector(response, limit, inbox).start()
  }

  readRefusal(response: HttpExchange.Response): Effect.Effect<Refusal> {
    // An abort closes the body that is being read.
    return race(
      readRefusal(response, this.core.options.maxMessageSize),
      Effect.as(this.inbox.untilNews, { body: "", retryAfter: undefined })
    )
  }

  /** The connection is worth keeping: the body ends by itself, or is closed a moment later. */
  discard(response: HttpExchange.Response): Effect.Effect<void> {
    return Effect.uninterruptible(Effect.suspend(() => {
      this.response = undefined
      return this.core.lingering.discard(response)
    }))
  }

  /** Of the response that came last. */
  get contentEncoding(): string {
    return this.response?.headers["content-encoding"] ?? "identity"
  }

  /** Whether there is a body that has not ended yet. */
  get mayLinger(): boolean {
    return this.isStream && this.response !== undefined && !this.inbox.isBodyOver
  }

  /** The same for a stream whose answer has come. */
  linger(): Effect.Effect<void> {
    const { response } = this
    if (!this.mayLinger || response === undefined) return Effect.void
    this.lingering = new LingeringBody(response)
    response.resume()
    return this.core.lingering.add(this.lingering)
  }

  /** The body ended by itself after the answer. */
  bodyOver(): void {
    if (this.lingering !== undefined) this.core.lingering.remove(this.lingering)
  }

  close(): void {
    this.opening?.abort()
    this.response?.close()
    this.reader?.stop()
  }
}

/** How an exchange is aborted while it is being opened. The exchange may keep it for long, so it leads to nothing else. */
class Opening implements Abortable {
  private abortExchange: (() => void) | undefined
  private onAborted: (() => void) | undefined
  private isAborted: boolean

  constructor(isAborted: boolean) {
    this.isAborted = isAborted
  }

  readonly exposeAbort = (abort: () => void): void => {
    if (this.isAborted) abort()
    else this.abortExchange = abort
  }

  whenAborted(tell: () => void): void {
    if (this.isAborted) tell()
    else this.onAborted = tell
  }

  abort(): void {
    this.isAborted = true
    const { abortExchange, onAborted } = this
    this.end()
    abortExchange?.()
    onAborted?.()
  }

  end(): void {
    this.abortExchange = undefined
    this.onAborted = undefined
  }
}
