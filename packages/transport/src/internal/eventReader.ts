/**
 * Reads one connection of a logical stream: bytes to events to messages, with the cursor kept. It is the sink of the
 * exchange, so everything here is synchronous.
 */
import * as Either from "effect/Either"
import type * as HttpExchange from "../HttpExchange.ts"
import * as JsonRpc from "../JsonRpc.ts"
import * as TransportMetrics from "../TransportMetrics.ts"
import { EventStreamParser, type Handler, type ServerSentEvent } from "./eventStream.ts"
import type { LogicalStream } from "./streamMachine.ts"

export interface EventHandler {
  /**
   * The messages of one event. `id` is a new place to resume at, if the event is one. A replay came before, on an
   * earlier connection.
   */
  readonly onMessages: (messages: ReadonlyArray<JsonRpc.Message>, id: string | undefined, isReplay: boolean) => void
  /** An event with a new id and nothing to deliver. */
  readonly onCursor: (id: string) => void
  readonly onBadData: (failure: JsonRpc.DecodeFailure, data: string, id: string | undefined) => void
  readonly onTooLarge: () => void
  /** All events of a chunk, which was so many bytes, have been handled. */
  readonly onChunkEnd: (bytes: number) => void
  /** The body is over: cleanly when there is no cause. */
  readonly onLost: (cause: unknown) => void
}

let openStreams = 0

const countOpen = (change: 1 | -1): void => {
  openStreams += change
  TransportMetrics.openStreams.unsafeUpdate(openStreams, [])
}

export class EventReader implements HttpExchange.Sink, Handler {
  private isOpen = true
  private readonly parser: EventStreamParser

  private readonly stream: LogicalStream
  private readonly handler: EventHandler

  constructor(stream: LogicalStream, maxMessageSize: number, handler: EventHandler) {
    this.stream = stream
    this.handler = handler
    countOpen(1)
    this.parser = new EventStreamParser(maxMessageSize, this)
  }

  get needsHead(): boolean {
    return false
  }

  /** The rest of the body is of no interest. */
  stop(): void {
    this.parser.stop()
    this.end()
  }

  onChunk(chunk: Uint8Array): void {
    this.parser.push(chunk)
    this.handler.onChunkEnd(chunk.length)
  }

  onEnd(): void {
    this.end()
    this.handler.onLost(undefined)
  }

  onError(cause: unknown): void {
    this.end()
    this.handler.onLost(cause ?? new Error("the body broke off"))
  }

  onRetry(millis: number): void {
    this.stream.retry = millis
  }

  onTooLarge(id: string | undefined): void {
    // The event can never be had: step over it, so that what follows can.
    if (id !== undefined) this.stream.take(id)
    this.handler.onTooLarge()
  }

  onEvent({ data, event, id }: ServerSentEvent): void {
    const novelty = id === undefined ? "Repeated" : this.stream.take(id)
    const isReplay = novelty === "Replay"
    if (isReplay) TransportMetrics.duplicatesDropped.unsafeUpdate(1, [])
    else if (this.stream.isReconnected) TransportMetrics.resumedEvents.unsafeUpdate(1, [])
    const newId = novelty === "New" ? id : undefined
    if (data === undefined || data === "" || (event !== "" && event !== "message")) {
      if (newId !== undefined) this.handler.onCursor(newId)
      return
    }
    const decoded = JsonRpc.decode(data)
    if (Either.isRight(decoded)) this.handler.onMessages(decoded.right, newId, isReplay)
    else if (!isReplay) this.handler.onBadData(decoded.left, data, newId)
  }

  private end(): void {
    if (!this.isOpen) return
    this.isOpen = false
    countOpen(-1)
  }
}
