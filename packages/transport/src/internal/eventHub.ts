/**
 * Hands transport events to whoever listens. Nothing is even built when nobody does.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Mailbox from "effect/Mailbox"
import * as Stream from "effect/Stream"
import type { TransportEvent } from "../TransportEvent.ts"

/** A listener that does not keep up loses the oldest events, never slows the transport down. */
const bufferSize = 1024

export class EventHub {
  private readonly listeners = new Set<Mailbox.Mailbox<TransportEvent>>()
  private closed = false

  emit(event: () => TransportEvent): void {
    if (this.listeners.size === 0) return
    const value = event()
    for (const listener of this.listeners) listener.unsafeOffer(value)
  }

  readonly stream: Stream.Stream<TransportEvent> = Stream.unwrapScoped(
    Effect.acquireRelease(
      Effect.map(Mailbox.make<TransportEvent>({ capacity: bufferSize, strategy: "sliding" }), (mailbox) => {
        if (this.closed) mailbox.unsafeDone(Exit.void)
        else this.listeners.add(mailbox)
        return mailbox
      }),
      (mailbox) => Effect.sync(() => this.listeners.delete(mailbox))
    ).pipe(Effect.map(Mailbox.toStream))
  )

  close(): void {
    this.closed = true
    for (const listener of this.listeners) listener.unsafeDone(Exit.void)
  }
}
