/**
 * What the exchange has pushed for one request and its consumer has not pulled yet. All of it is synchronous but the
 * wait for more; the socket is paused as long as something lies here that nobody waits for.
 */
import * as Effect from "effect/Effect"
import type * as HttpExchange from "../HttpExchange.ts"
import * as JsonRpc from "../JsonRpc.ts"
import type { ProtocolError } from "../TransportError.ts"
import type { Body } from "./body.ts"
import type { EventHandler, EventReader } from "./eventReader.ts"
import type { MessageErrors } from "./messageErrors.ts"
import { race } from "./race.ts"
import type { Loss } from "./reconnecting.ts"
import { sleep } from "./sleep.ts"

export interface Item {
  readonly message: JsonRpc.Message | undefined
  /** The resumption token to announce once the message was taken. */
  readonly token: string | undefined
}

export interface InboxOptions {
  readonly requestId: JsonRpc.RequestId | undefined
  /** False: what comes before the answer is dropped as it comes. */
  readonly collect: boolean
  /** Whether resumption tokens are to be announced. */
  readonly announce: boolean
  /** An explicitly resumed stream answers under the id the request had then. */
  readonly claimsAnyAnswer: boolean
}

/**
 * How many bytes may come that nobody has waited for. Less than what a socket gives at once, so that its messages are taken
 * together; pausing after each would cost more than reading it.
 */
const mostUnread = 16 * 1024

/** Silence on an open stream. */
export const idleCause = (millis: number): Error => new Error(`nothing came for ${millis} ms (idleTimeout)`)

export class Inbox implements EventHandler {
  items: Array<Item> = []
  /** Things to log: the exchange's side runs outside of any fiber. */
  notes: Array<Effect.Effect<void>> = []
  answer: JsonRpc.Response | undefined
  /** The last thing that came and was no message: the reason, should the answer never come. */
  badData: ProtocolError | undefined
  isTooLarge = false
  isAborted = false
  loss: Loss | undefined
  /** A body that is no stream of events, once it has been read. */
  body: Body | undefined
  /** Whether the body ended after the answer, by itself. */
  isBodyOver = false

  private response: HttpExchange.Response | undefined
  private reader: EventReader | undefined
  private isPaused = false
  /** Bytes that came since somebody waited. */
  private unread = 0
  private wake: (() => void) | undefined
  private onActivity: () => void = () => {}

  private readonly options: InboxOptions
  private readonly errors: MessageErrors
  private readonly onBodyOver: () => void

  constructor(options: InboxOptions, errors: MessageErrors, onBodyOver: () => void) {
    this.options = options
    this.errors = errors
    this.onBodyOver = onBodyOver
  }

  // --- the shell ----------------------------------------------------------------------------------------------------

  attach(response: HttpExchange.Response, reader?: EventReader): void {
    this.response = response
    this.reader = reader
    this.isPaused = false
  }

  /** Takes all messages at once. */
  takeMessages(): ReadonlyArray<JsonRpc.Message> {
    const messages: Array<JsonRpc.Message> = []
    for (const { message } of this.items) {
      if (message !== undefined) messages.push(message)
    }
    this.items = []
    this.unread = 0
    return messages
  }

  takeLoss(): Loss | undefined {
    const { loss } = this
    this.loss = undefined
    return loss
  }

  abort(): void {
    this.isAborted = true
    this.response?.close()
    this.wake?.()
  }

  setBody(body: Body): void {
    this.body = body
    this.wake?.()
  }

  active(): void {
    this.onActivity()
  }

  /** Waits until there is something new. Resumes the source when it was paused. */
  get untilNews(): Effect.Effect<void> {
    return this.hasNews ? Effect.void : Effect.async((resume) => this.awaitNews(resume))
  }

  private awaitNews(resume: (news: Effect.Effect<void>) => void): void {
    // A fiber may pause between its look and its wait.
    if (this.hasNews) return resume(Effect.void)
    this.unread = 0
    this.wake = () => {
      this.wake = undefined
      resume(Effect.void)
    }
    if (this.isPaused) {
      this.isPaused = false
      this.response?.resume()
    }
  }

  /** The same, and silence for too long is a break. It counts from here: backpressure is not the server's silence. */
  untilNewsOrIdle(idleTimeout: number): Effect.Effect<void> {
    return Effect.clockWith((clock) => {
      let lastActivity = clock.unsafeCurrentTimeMillis()
      this.onActivity = () => {
        lastActivity = clock.unsafeCurrentTimeMillis()
      }
      const watch: Effect.Effect<void> = Effect.suspend(() => {
        const left = lastActivity + idleTimeout - clock.unsafeCurrentTimeMillis()
        if (left > 0) return Effect.zipRight(sleep(left), watch)
        this.response?.close()
        this.loss ??= { cause: idleCause(idleTimeout) }
        return Effect.void
      })
      return race(this.untilNews, watch)
    })
  }

  get hasNews(): boolean {
    return this.items.length > 0 || this.answer !== undefined || this.isAborted || this.isTooLarge ||
      this.loss !== undefined || this.body !== undefined || this.notes.length > 0
  }

  note(log: Effect.Effect<void>): void {
    this.notes.push(log)
  }

  // --- the exchange: EventHandler -----------------------------------------------------------------------------------

  onMessages(messages: ReadonlyArray<JsonRpc.Message>, id: string | undefined, isReplay: boolean): void {
    if (this.answer !== undefined) return
    const before = this.items.length
    for (const message of messages) {
      if (!JsonRpc.isResponse(message)) {
        if (!isReplay && this.options.collect) this.items.push({ message, token: undefined })
      } else if (this.answer === undefined && this.isOwn(message)) {
        this.answer = this.claim(message)
      } else {
        const id = this.errors.text(JSON.stringify(message.id) ?? "none").slice(0, 100)
        this.note(Effect.logWarning(`dropped a response to another request, id ${id}`))
      }
    }
    // In a batch the answer may stand anywhere; here it always comes last.
    if (this.answer !== undefined) this.items.push({ message: this.answer, token: undefined })
    if (id !== undefined) this.addToken(id, before)
  }

  onCursor(id: string): void {
    if (this.answer === undefined) this.addToken(id, this.items.length)
  }

  onBadData(failure: JsonRpc.DecodeFailure, data: string, id: string | undefined): void {
    if (this.answer !== undefined) return
    this.badData = this.errors.protocol(failure, "an event holds no JSON-RPC message", data, "Unknown")
    this.note(Effect.logWarning(`skipped an event that holds no JSON-RPC message: ${this.badData.excerpt ?? ""}`))
    if (id !== undefined) this.onCursor(id)
  }

  onTooLarge(): void {
    if (this.answer !== undefined) return
    this.isTooLarge = true
    this.response?.close()
  }

  onChunkEnd(bytes: number): void {
    this.onActivity()
    if (this.answer !== undefined) this.reader?.stop()
    if (!this.hasNews) return
    if (this.wake !== undefined) return this.wake()
    this.unread += bytes
    if (this.answer === undefined && !this.isPaused && this.unread >= mostUnread) {
      this.isPaused = true
      this.response?.pause()
    }
  }

  onLost(cause: unknown): void {
    if (this.answer !== undefined) {
      this.isBodyOver = true
      this.onBodyOver()
      return
    }
    if (this.isAborted || this.isTooLarge) return
    this.loss ??= { cause }
    this.wake?.()
  }

  private addToken(token: string, itemsBefore: number): void {
    if (!this.options.announce) return
    const last = this.items.length > itemsBefore ? this.items.pop() : undefined
    this.items.push({ message: last?.message, token })
  }

  // An error without an id can only be about the request whose stream this is.
  private isOwn(response: JsonRpc.Response): boolean {
    return response.id === this.options.requestId || response.id === undefined || response.id === null ||
      this.options.claimsAnyAnswer
  }

  private claim(response: JsonRpc.Response): JsonRpc.Response {
    const { requestId } = this.options
    return requestId === undefined || response.id === requestId ? response : { ...response, id: requestId }
  }
}
