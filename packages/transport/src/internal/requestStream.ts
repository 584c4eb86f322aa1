/**
 * One send, from the POST to the answer, across as many connections as it takes: the consumer pulls, the exchange pushes
 * into the inbox, and this looks what is next.
 *
 * Specification 2025-11-25, basic/transports, "Sending Messages to the Server"; 2026-07-28, transports/streamable-http.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as JsonRpc from "../JsonRpc.ts"
import type { Core } from "./core.ts"
import { annotated } from "./logging.ts"
import { begin, onJson } from "./posting.ts"
import { isPlainValue } from "./requestHeaders.ts"
import { type Outgoing, RequestState, type Step } from "./requestState.ts"
import { interrupted, reconnect } from "./resuming.ts"
import type { AnyFiber } from "./tracing.ts"

export type Messages = ReadonlyArray<JsonRpc.Message> | undefined

export class RequestStream {
  private readonly state: RequestState
  /** The token of the message handed over last. */
  private announce: string | undefined
  /** A pull is opening a connection, or waits to; or it was interrupted at that. */
  private isConnecting = false

  constructor(core: Core, outgoing: Outgoing) {
    this.state = new RequestState(core, outgoing)
  }

  /** The next messages, in order; `undefined` after the last. */
  readonly pull: Step<Messages> = Effect.withFiberRuntime((fiber) => this.step(fiber))

  /** Whether nothing can follow what was pulled: saves the last pull. */
  get isDrained(): boolean {
    const { inbox, isKept, isSettled } = this.state
    return isSettled && !inbox.hasItems && this.announce === undefined && !isKept
  }

  /** Lets it fail, from outside of the fiber that pulls; not when the answer has come. */
  abort(): void {
    this.state.abort()
  }

  /** Ends it at once, whatever its state: its connection is closed, no reconnect follows. */
  close(exit: Exit.Exit<unknown, unknown>): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (this.state.isSettled) return Effect.void
      this.state.connection.close()
      this.state.settle(exit)
      return this.state.opened
    })
  }

  step(fiber: AnyFiber): Step<Messages> {
    const { inbox } = this.state
    const notes = inbox.takeNotes()
    if (notes !== undefined) return Effect.zipRight(Effect.all(notes, { discard: true }).pipe(annotated), this.pull)
    if (this.announce !== undefined) return Effect.zipRight(this.announced(this.announce), this.pull)
    if (inbox.answer !== undefined && !this.state.isSettled) {
      if (this.state.outgoing.isInitialize || this.state.connection.mayLinger) {
        return Effect.zipRight(this.finish(inbox.answer), this.pull)
      }
      this.state.settle(Exit.void)
    }
    if (inbox.hasItems) return this.deliver()
    if (this.state.isSettled) {
      this.state.forget()
      return Effect.succeed(undefined)
    }
    if (this.state.failure !== undefined) return this.state.fail(this.state.failure)
    if (inbox.body !== undefined) return onJson(this.state, inbox.body) ?? this.step(fiber)
    if (this.isConnecting) return this.connecting(interrupted(this.state), fiber)
    if (this.state.machine.state === "Idle") return this.connecting(begin(this.state, fiber), fiber)
    if (inbox.isAborted) return this.state.fail(this.state.abortError())
    if (inbox.isTooLarge) {
      return this.state.fail(this.state.errors.tooLarge(this.state.core.options.maxMessageSize, "Unknown"))
    }
    const loss = inbox.takeLoss()
    if (loss !== undefined) return this.connecting(reconnect(this.state, loss), fiber)
    return this.state.onNews(this.pull)
  }

  private connecting(connect: Step<void>, fiber: AnyFiber): Step<Messages> {
    this.isConnecting = true
    return Effect.flatMap(connect, () => {
      this.isConnecting = false
      return this.step(fiber)
    })
  }

  // Where tokens are announced every message goes out alone, so that its token is announced before the next one.
  private deliver(): Step<Messages> {
    if (!this.state.announces) {
      const messages = this.state.inbox.takeMessages()
      return messages.length > 0 ? Effect.succeed(messages) : this.pull
    }
    const item = this.state.inbox.takeItem()
    this.announce = item?.token
    return item?.message === undefined ? this.pull : Effect.succeed([item.message])
  }

  /** The message before the token was taken: from now on the stream can be resumed after it. */
  private announced(token: string): Effect.Effect<void> {
    const { core, isKept, outgoing } = this.state
    const { message, onResumptionToken, owner } = outgoing
    this.announce = undefined
    if (isKept && JsonRpc.isRequest(message)) core.ledger?.taken(owner, this.state.session, message, token)
    return onResumptionToken === undefined ? Effect.void : onResumptionToken(token)
  }

  /** What the transport learns from the answer is stored before anybody sees the answer. */
  private finish(answer: JsonRpc.Response): Effect.Effect<void> {
    return this.state.outgoing.isInitialize && JsonRpc.isSuccessResponse(answer)
      ? Effect.zipRight(this.learn(answer.result), Effect.suspend(() => this.settled()))
      : this.settled()
  }

  private settled(): Effect.Effect<void> {
    if (this.state.connection.mayLinger) {
      return Effect.uninterruptible(Effect.suspend(() => {
        this.state.settle(Exit.void)
        return this.state.connection.linger()
      }))
    }
    this.state.settle(Exit.void)
    return Effect.void
  }

  private learn(result: unknown): Effect.Effect<void> {
    const given: unknown = typeof result === "object" && result !== null
      ? Reflect.get(result, "protocolVersion")
      : undefined
    const version = typeof given === "string" && given !== "" && isPlainValue(given) ? given : undefined
    const warning = version === undefined
      ? Effect.logWarning("the result of initialize has no usable protocolVersion").pipe(annotated)
      : Effect.void
    const started = this.state.session === undefined
      ? this.state.core.startSession(undefined)
      : Effect.succeed(this.state.session)
    this.state.isOpening = false
    return Effect.zipRight(warning, Effect.flatMap(started, (session) => this.state.core.negotiated(session, version)))
  }
}
