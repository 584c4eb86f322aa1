/**
 * Hands transport events to whoever listens.
 */
import type { TransportEvent } from "@effect-mcp/transport/TransportEvent"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Mailbox from "effect/Mailbox"
import * as Stream from "effect/Stream"

/** As in the transport: a listener that does not keep up loses the oldest. */
const bufferSize = 1024

export class Events {
  private readonly listeners = new Set<Mailbox.Mailbox<TransportEvent>>()
  private isClosed = false

  emit(event: TransportEvent): void {
    for (const listener of this.listeners) listener.unsafeOffer(event)
  }

  close(): void {
    this.isClosed = true
    for (const listener of this.listeners) listener.unsafeDone(Exit.void)
  }

  readonly stream: Stream.Stream<TransportEvent> = Stream.unwrapScoped(
    Effect.acquireRelease(
      Effect.map(Mailbox.make<TransportEvent>({ capacity: bufferSize, strategy: "sliding" }), (mailbox) => {
        if (this.isClosed) mailbox.unsafeDone(Exit.void)
        else this.listeners.add(mailbox)
        return mailbox
      }),
      (mailbox) => Effect.sync(() => this.listeners.delete(mailbox))
    ).pipe(Effect.map(Mailbox.toStream))
  )
}
