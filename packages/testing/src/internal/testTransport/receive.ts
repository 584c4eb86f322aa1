/**
 * The server's own stream of a test double: messages and endings in the order in which the test gave them, shared by all
 * who run `receive`. The slowest sets the pace, the buffer bounds the lead, what nobody took stays for the next run.
 */
import type * as JsonRpc from "@effect-mcp/transport/JsonRpc"
import type { TransportError } from "@effect-mcp/transport/TransportError"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { Changes } from "./changes.ts"

interface Ending {
  /** The number of the message that it stands before. */
  readonly at: number
  readonly exit: Exit.Exit<void, TransportError>
}

/** From the first listener's coming to the last one's leaving, or to the end of the stream. */
interface Period {
  ended: Ending | undefined
}

interface Listener {
  readonly period: Period
  /** The number of the next message to read. */
  position: number
}

const everything = Number.POSITIVE_INFINITY

export class ReceiveLog {
  private readonly changes = new Changes()
  private readonly listeners = new Set<Listener>()
  private messages: Array<JsonRpc.Message> = []
  /** The number of the oldest message kept. */
  private first = 0
  /** Where the next period begins. */
  private taken = 0
  /** Messages from this number on wait for the handshake. */
  private gate = 0
  private endings: Array<Ending> = []
  private period: Period | undefined
  /** Counts how often what waited was dropped. */
  private epoch = 0
  private isClosed = false

  private readonly capacity: number

  constructor(capacity: number) {
    this.capacity = capacity
  }

  // --- the server's side --------------------------------------------------------------------------------------------

  /** Suspends while the buffer is full. What was given to a session that has ended is dropped. */
  push(message: JsonRpc.Message): Effect.Effect<void> {
    return Effect.suspend(() => {
      const { epoch } = this
      const isDropped = (): boolean => this.isClosed || epoch !== this.epoch
      return this.changes.inTurn(
        () => isDropped() || this.messages.length < this.capacity,
        () => {
          if (!isDropped()) this.messages.push(message)
        }
      )
    })
  }

  /** The stream ends after what was pushed so far, for those who run it or else for the next who does. */
  end(exit: Exit.Exit<void, TransportError>): void {
    this.endings.push({ at: this.newest, exit })
    this.changes.notify()
  }

  // --- the session --------------------------------------------------------------------------------------------------

  /** The handshake is done. */
  open(): void {
    this.gate = everything
    this.changes.notify()
  }

  /** Another session took the place of the current one: who listens goes on in it, after its handshake. */
  replace(): void {
    this.gate = Math.min(this.gate, this.newest)
    if (this.listeners.size === 0) this.clear()
  }

  /** The client ended the session, and so the stream of all who run it. */
  stop(): void {
    const at = Math.min(this.gate, this.newest)
    if (this.period !== undefined) this.period.ended = { at, exit: Exit.void }
    this.period = undefined
    this.messages = this.messages.slice(0, at - this.first)
    this.endings = []
    this.gate = at
    this.taken = at
    this.epoch++
    if (this.listeners.size === 0) this.clear()
    this.changes.notify()
  }

  /** Nothing is received any more. */
  close(): void {
    this.isClosed = true
    this.stop()
  }

  private clear(): void {
    this.first = this.newest
    this.taken = this.first
    this.messages = []
    this.endings = []
    if (this.gate !== everything) this.gate = this.first
    this.epoch++
    this.changes.notify()
  }

  // --- the client's side --------------------------------------------------------------------------------------------

  /** What `receive` runs. */
  readonly stream: Stream.Stream<JsonRpc.Message, TransportError> = Stream.unwrapScoped(Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => this.join()),
      (listener) => Effect.sync(() => this.leave(listener))
    ),
    (listener) => Stream.repeatEffectOption(this.next(listener))
  ))

  private next(listener: Listener): Effect.Effect<JsonRpc.Message, Option.Option<TransportError>> {
    return Effect.suspend(() => {
      const ending = this.endingFor(listener)
      if (ending !== undefined) {
        return Effect.zipRight(Effect.mapError(ending.exit, Option.some), Effect.fail(Option.none()))
      }
      const message = this.take(listener)
      return message === undefined
        ? Effect.zipRight(this.changes.until(() => this.hasNext(listener)), this.next(listener))
        : Effect.succeed(message)
    })
  }

  /** The first listener takes up what was left, those who come later see only what follows. */
  private join(): Listener {
    const isFirst = this.period === undefined
    const period = this.period ??= { ended: undefined }
    const newest = Math.min(this.newest, this.endings[0]?.at ?? everything)
    const listener: Listener = { period, position: isFirst ? this.taken : newest }
    this.listeners.add(listener)
    return listener
  }

  private leave(listener: Listener): void {
    this.listeners.delete(listener)
    const isLast = !Array.from(this.listeners).some(({ period }) => period === listener.period)
    if (isLast && this.period === listener.period) this.period = undefined
    this.trim()
    this.changes.notify()
  }

  private hasNext(listener: Listener): boolean {
    return this.hasEnded(listener) || this.canTake(listener)
  }

  private hasEnded({ period, position }: Listener): boolean {
    if (period.ended !== undefined) return position >= period.ended.at
    return this.isClosed || (position >= (this.endings[0]?.at ?? everything) && position < this.gate)
  }

  private endingFor(listener: Listener): Ending | undefined {
    if (!this.hasEnded(listener)) return undefined
    const { period, position } = listener
    if (period.ended === undefined) {
      period.ended = this.endings.shift() ?? { at: position, exit: Exit.void }
      this.period = undefined
      this.taken = period.ended.at
      this.changes.notify()
    }
    return period.ended
  }

  private canTake({ position }: Listener): boolean {
    return position < this.newest && position < this.gate
  }

  private take(listener: Listener): JsonRpc.Message | undefined {
    if (!this.canTake(listener)) return undefined
    const message = this.messages[listener.position - this.first]
    listener.position++
    this.taken = Math.max(this.taken, listener.position)
    this.trim()
    this.changes.notify()
    return message
  }

  /** The number after the newest message. */
  private get newest(): number {
    return this.first + this.messages.length
  }

  /** Makes room: what the slowest listener has taken is kept no longer. */
  private trim(): void {
    const slowest = Math.min(...Array.from(this.listeners, ({ position }) => position))
    const keepFrom = this.listeners.size === 0 ? this.taken : slowest
    if (keepFrom <= this.first) return
    this.messages = this.messages.slice(keepFrom - this.first)
    this.first = keepFrom
  }
}
