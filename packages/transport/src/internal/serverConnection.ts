/**
 * One connection of the server's own stream: its events go into the log, and a full log pauses it.
 */
import * as Effect from "effect/Effect"
import type * as HttpExchange from "../HttpExchange.ts"
import type * as JsonRpc from "../JsonRpc.ts"
import type { Core } from "./core.ts"
import { type EventHandler, EventReader } from "./eventReader.ts"
import { idleCause } from "./inbox.ts"
import { annotated } from "./logging.ts"
import { race } from "./race.ts"
import type { Loss } from "./reconnecting.ts"
import type { SharedLog } from "./sharedLog.ts"
import { sleep } from "./sleep.ts"
import type { LogicalStream } from "./streamMachine.ts"

export class ServerConnection implements EventHandler {
  private over: Loss | "TooLarge" | undefined
  private notes: Array<Effect.Effect<void>> = []
  private wake: (() => void) | undefined
  private onActivity: () => void = () => {}
  private isPaused = false
  private readonly reader: EventReader

  private readonly core: Core
  private readonly log: SharedLog
  private readonly machine: LogicalStream
  private readonly response: HttpExchange.Response

  constructor(core: Core, log: SharedLog, machine: LogicalStream, response: HttpExchange.Response) {
    this.core = core
    this.log = log
    this.machine = machine
    this.response = response
    this.reader = new EventReader(machine, core.options.maxMessageSize, this)
  }

  /** Reads the connection until it is over, one way or the other. */
  readonly run: Effect.Effect<Loss | "TooLarge"> = Effect.suspend(() => {
    this.response.read(this.reader)
    const { idleTimeout } = this.core.options
    return idleTimeout === undefined ? this.untilOver : race(this.untilOver, this.watch(idleTimeout))
  })

  close(): void {
    this.response.close()
    this.reader.stop()
  }

  resumeIfRoom(): void {
    if (!this.isPaused || this.log.isFull) return
    this.isPaused = false
    this.onActivity()
    this.response.resume()
  }

  private readonly untilOver: Effect.Effect<Loss | "TooLarge"> = Effect.suspend(() => {
    if (this.notes.length > 0) {
      const notes = this.notes
      this.notes = []
      return Effect.zipRight(Effect.all(notes, { discard: true }).pipe(annotated), this.untilOver)
    }
    if (this.over !== undefined) return Effect.succeed(this.over)
    const news = Effect.async<void>((resume) => {
      if (this.over !== undefined || this.notes.length > 0) return resume(Effect.void)
      this.wake = () => {
        this.wake = undefined
        resume(Effect.void)
      }
    })
    return Effect.zipRight(news, this.untilOver)
  })

  // Silence while the socket is paused is ours, not the server's.
  private watch(idleTimeout: number): Effect.Effect<Loss> {
    return Effect.clockWith((clock) => {
      let lastActivity = clock.unsafeCurrentTimeMillis()
      this.onActivity = () => {
        lastActivity = clock.unsafeCurrentTimeMillis()
      }
      const loop: Effect.Effect<Loss> = Effect.suspend(() => {
        if (this.isPaused) this.onActivity()
        const left = lastActivity + idleTimeout - clock.unsafeCurrentTimeMillis()
        if (left > 0) return Effect.zipRight(sleep(left), loop)
        this.close()
        return Effect.succeed({ cause: idleCause(idleTimeout) })
      })
      return loop
    })
  }

  // --- the exchange: EventHandler -----------------------------------------------------------------------------------

  onMessages(messages: ReadonlyArray<JsonRpc.Message>, _id: string | undefined, isReplay: boolean): void {
    if (isReplay) return
    // Where there are no ids, a message is all the progress that can be seen.
    if (!this.machine.hadId) this.machine.progress()
    for (const message of messages) this.log.append(message)
  }

  onCursor(): void {}

  onBadData(_failure: JsonRpc.DecodeFailure, data: string): void {
    const came = this.core.errors.body(data).slice(0, 200)
    this.notes.push(
      Effect.logWarning(`skipped an event of the server's stream that holds no JSON-RPC message: ${came}`)
    )
  }

  onTooLarge(): void {
    this.over ??= "TooLarge"
    this.close()
  }

  onChunkEnd(): void {
    this.onActivity()
    this.log.wakeAll()
    if (this.over !== undefined || this.notes.length > 0) this.wake?.()
    if (this.log.isFull && !this.isPaused && this.over === undefined) {
      this.isPaused = true
      this.response.pause()
    }
  }

  onLost(cause: unknown): void {
    this.over ??= { cause }
    this.wake?.()
  }
}
