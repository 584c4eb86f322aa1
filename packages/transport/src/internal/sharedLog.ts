/**
 * The messages of the server's own stream, shared by all who listen: each reads at its own pace, the slowest sets the
 * pace of all, nobody is further ahead of it than the buffer allows. What nobody took stays for the next listener.
 */
import type * as JsonRpc from "../JsonRpc.ts"

export interface Listener {
  /** The number of the next message to read. */
  position: number
  /** Called when there may be something to read, or the log ended. */
  wake: (() => void) | undefined
}

export class SharedLog {
  private readonly listeners = new Set<Listener>()
  private messages: Array<JsonRpc.Message> = []
  /** The number of the oldest message kept. */
  private first = 0
  /** The number after the newest message that any listener took. */
  private taken = 0

  private readonly capacity: number

  constructor(capacity: number) {
    this.capacity = capacity
  }

  get hasListeners(): boolean {
    return this.listeners.size > 0
  }

  /** Whether the source is to stop until listeners have caught up. */
  get isFull(): boolean {
    return this.messages.length >= this.capacity
  }

  /** The first listener takes up what was left, those who come later see only what follows. */
  join(): Listener {
    const position = this.hasListeners ? this.first + this.messages.length : this.taken
    const listener: Listener = { position, wake: undefined }
    this.listeners.add(listener)
    return listener
  }

  /** Forgets what nobody took: it was another session's. */
  clear(): void {
    this.first += this.messages.length
    this.taken = this.first
    this.messages = []
  }

  leave(listener: Listener): void {
    this.listeners.delete(listener)
    this.trim()
    this.wakeAll()
  }

  append(message: JsonRpc.Message): void {
    this.messages.push(message)
  }

  /** Whether there is a next message for a listener, and the slowest is not too far behind. */
  canTake(listener: Listener): boolean {
    return listener.position < this.first + this.messages.length && listener.position < this.slowest + this.capacity
  }

  take(listener: Listener): JsonRpc.Message | undefined {
    if (!this.canTake(listener)) return undefined
    const message = this.messages[listener.position - this.first]
    const wasSlowest = listener.position === this.slowest
    listener.position++
    if (listener.position > this.taken) this.taken = listener.position
    if (wasSlowest) {
      this.trim()
      this.wakeAll()
    }
    return message
  }

  wakeAll(): void {
    for (const listener of this.listeners) listener.wake?.()
  }

  private get slowest(): number {
    let slowest = Number.POSITIVE_INFINITY
    for (const { position } of this.listeners) if (position < slowest) slowest = position
    return slowest
  }

  private trim(): void {
    const keepFrom = this.hasListeners ? this.slowest : this.taken
    if (keepFrom <= this.first) return
    this.messages.splice(0, keepFrom - this.first)
    this.first = keepFrom
  }
}
