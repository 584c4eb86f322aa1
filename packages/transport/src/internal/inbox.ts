/**
 * What the exchange has pushed for one request and its consumer has not pulled yet. All of it is synchronous but the
 * wait for more; the socket is paused as long as something lies here that nobody waits for.
 */
import * as Effect from "effect/Effect"
import type * as HttpExchange from "../HttpExchange.ts"
import type * as JsonRpc from "../JsonRpc.ts"
import type { ProtocolError } from "../TransportError.ts"
import type { Body, BodyHandler } from "./body.ts"
import type { EventHandler, EventReader } from "./eventReader.ts"
import type { MessageErrors } from "./messageErrors.ts"
import * as Once from "./once.ts"
import { race } from "./race.ts"
import type { Loss } from "./reconnecting.ts"
import { sleep } from "./sleep.ts"

export interface Item {
  readonly message: JsonRpc.Message | undefined
  /** The resumption token to announce once the message was taken. */
  readonly token: string | undefined
}

/** The send whose inbox it is. */
export interface InboxOwner {
  readonly requestId: JsonRpc.RequestId | undefined
  /** False: what comes before the answer is dropped as it comes. */
  readonly collects: boolean
  /** Whether resumption tokens are to be announced. */
  readonly announces: boolean
  /** An explicitly resumed stream answers under the id the request had then. */
  readonly claimsAnyAnswer: boolean
  readonly errors: MessageErrors
  /** The body ended after the answer. */
  readonly onBodyOver: () => void
}

const nothing: ReadonlyArray<never> = []

/**
 * How many bytes may come that nobody has waited for. Less than what a socket gives at once, so that its messages are taken
 * together; pausing after each would cost more than reading it.
 */
const mostUnread = 16 * 1024

interface Waiting {
  readonly end: () => void
}

/** An object takes a third of what a function takes that does the same, for as long as a stream is silent. */
class Wait<A, E> implements Waiting {
  private readonly resume: (effect: Effect.Effect<A, E>) => void
  private readonly next: Effect.Effect<A, E>

  constructor(resume: (effect: Effect.Effect<A, E>) => void, next: Effect.Effect<A, E>) {
    this.resume = resume
    this.next = next
  }

  end(): void {
    const { next, resume } = this
    resume(next)
  }
}

/** Silence on an open stream. */
export const idleCause = (millis: number): Error => new Error(`nothing came for ${millis} ms (idleTimeout)`)

export class Inbox implements EventHandler, BodyHandler {
  /** What came, in order: items where tokens are announced, else messages alone. */
  private items: Array<Item> | undefined
  private messages: Array<JsonRpc.Message> | undefined
  /** Things to log: the exchange's side runs outside of any fiber. */
  private notes: Array<Effect.Effect<void>> | undefined
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
  private waiting: Waiting | undefined
  /** Something came, while silence is watched for. */
  private noteActivity: (() => void) | undefined

  private readonly owner: InboxOwner

  constructor(owner: InboxOwner) {
    this.owner = owner
  }

  // --- the shell ----------------------------------------------------------------------------------------------------

  attach(response: HttpExchange.Response, reader?: EventReader): void {
    this.response = response
    this.reader = reader
    this.isPaused = false
  }

  /** Whether there is something to hand over. */
  get hasItems(): boolean {
    return this.messages !== undefined || this.items !== undefined
  }

  /** Takes all messages at once. */
  takeMessages(): ReadonlyArray<JsonRpc.Message> {
    const messages = this.messages ?? nothing
    this.messages = undefined
    this.unread = 0
    return messages
  }

  /** Takes the next message alone, with its token. */
  takeItem(): Item | undefined {
    const item = this.items?.shift()
    if (this.items?.length === 0) this.items = undefined
    return item
  }

  takeNotes(): ReadonlyArray<Effect.Effect<void>> | undefined {
    const { notes } = this
    this.notes = undefined
    return notes
  }

  takeLoss(): Loss | undefined {
    const { loss } = this
    this.loss = undefined
    return loss
  }

  abort(): void {
    this.isAborted = true
    this.response?.close()
    this.wake()
  }

  /** Waits until there is something new. Resumes the source when it was paused. */
  get untilNews(): Effect.Effect<void> {
    return this.onNews(Effect.void)
  }

  /** The same, and goes on with what is next: a step less, and less to keep while a stream is silent. */
  onNews<A, E>(next: Effect.Effect<A, E>): Effect.Effect<A, E> {
    return this.hasNews ? next : Once.async((resume) => this.awaitNews(resume, next))
  }

  private awaitNews<A, E>(resume: (effect: Effect.Effect<A, E>) => void, next: Effect.Effect<A, E>): void {
    // A fiber may pause between its look and its wait.
    if (this.hasNews) return resume(next)
    this.unread = 0
    this.waiting = new Wait(resume, next)
    if (this.isPaused) {
      this.isPaused = false
      this.response?.resume()
    }
  }

  private wake(): void {
    const { waiting } = this
    this.waiting = undefined
    waiting?.end()
  }

  /** The same, and silence for too long is a break. It counts from here: backpressure is not the server's silence. */
  untilNewsOrIdle(idleTimeout: number): Effect.Effect<void> {
    return Effect.clockWith((clock) => {
      let lastActivity = clock.unsafeCurrentTimeMillis()
      this.noteActivity = () => {
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
    return this.hasItems || this.answer !== undefined || this.isAborted || this.isTooLarge ||
      this.loss !== undefined || this.body !== undefined || this.notes !== undefined
  }

  note(log: Effect.Effect<void>): void {
    this.notes ??= []
    this.notes.push(log)
  }

  // --- the exchange: EventHandler -----------------------------------------------------------------------------------

  onMessages(messages: ReadonlyArray<JsonRpc.Message>, id: string | undefined, isReplay: boolean): void {
    if (this.answer !== undefined) return
    let last: JsonRpc.Message | undefined
    for (const message of messages) {
      if ("method" in message) {
        if (isReplay || !this.owner.collects) continue
        this.add(last)
        last = message
      } else if (this.answer === undefined && this.isOwn(message)) {
        this.answer = this.claim(message)
      } else {
        const id = this.owner.errors.text(JSON.stringify(message.id) ?? "none").slice(0, 100)
        this.note(Effect.logWarning(`dropped a response to another request, id ${id}`))
      }
    }
    // In a batch the answer may stand anywhere; here it always comes last.
    if (this.answer !== undefined) {
      this.add(last)
      last = this.answer
    }
    this.add(last, id)
  }

  onCursor(id: string): void {
    if (this.answer === undefined) this.add(undefined, id)
  }

  onBadData(failure: JsonRpc.DecodeFailure, data: string, id: string | undefined): void {
    if (this.answer !== undefined) return
    this.badData = this.owner.errors.protocol(failure, "an event holds no JSON-RPC message", data, "Unknown")
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
    if (this.waiting !== undefined) return this.wake()
    this.unread += bytes
    if (this.answer === undefined && !this.isPaused && this.unread >= mostUnread) {
      this.isPaused = true
      this.response?.pause()
    }
  }

  onLost(cause: unknown): void {
    if (this.answer !== undefined) {
      this.isBodyOver = true
      this.owner.onBodyOver()
      return
    }
    if (this.isAborted || this.isTooLarge) return
    this.loss ??= { cause }
    this.wake()
  }

  // --- the exchange: BodyHandler ------------------------------------------------------------------------------------

  onBody(body: Body): void {
    this.body = body
    this.wake()
  }

  onActivity(): void {
    this.noteActivity?.()
  }

  /** The token of an event belongs to its last message. */
  private add(message: JsonRpc.Message | undefined, token?: string): void {
    if (this.owner.announces) {
      if (message === undefined && token === undefined) return
      this.items ??= []
      this.items.push({ message, token })
    } else if (message !== undefined) {
      this.messages ??= []
      this.messages.push(message)
    }
  }

  // An error without an id can only be about the request whose stream this is.
  private isOwn(response: JsonRpc.Response): boolean {
    return response.id === this.owner.requestId || response.id === undefined || response.id === null ||
      this.owner.claimsAnyAnswer
  }

  private claim(response: JsonRpc.Response): JsonRpc.Response {
    const { requestId } = this.owner
    return requestId === undefined || response.id === requestId ? response : { ...response, id: requestId }
  }
}
