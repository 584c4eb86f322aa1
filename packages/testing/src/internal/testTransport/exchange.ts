/**
 * One send of a test double: what its caller pulls, and what the server's side does with it.
 */
import * as JsonRpc from "@effect-mcp/transport/JsonRpc"
import type { SendOptions } from "@effect-mcp/transport/StreamableHttpTransport"
import type { TransportError } from "@effect-mcp/transport/TransportError"
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type * as TestTransport from "../../TestTransport.ts"
import { Changes } from "./changes.ts"
import { isStateless, noResponse } from "./errors.ts"
import type { Session } from "./session.ts"

/** What a send tells the transport. */
export interface Host {
  readonly onAnswer: (exchange: Exchange, answer: JsonRpc.Response) => void
  readonly onAccept: (exchange: Exchange) => void
  readonly onEnd: (exchange: Exchange, ended: TestTransport.Ended) => void
}

interface Item {
  readonly message: JsonRpc.Message | undefined
  readonly token: string | undefined
}

export class Exchange {
  readonly message: JsonRpc.Message
  readonly options: SendOptions
  /** The session it was sent in; none for what is stateless or opens a session itself. */
  readonly session: Session | undefined
  private readonly changes = new Changes()
  private readonly items: Array<Item> = []
  private exit: Exit.Exit<void, TransportError> = Exit.void
  private ended: TestTransport.Ended | undefined
  /** The token of the message handed over last. */
  private announce: string | undefined

  private readonly host: Host
  private readonly capacity: number
  private readonly onResumptionToken: ((token: string) => Effect.Effect<void>) | undefined

  constructor(
    message: JsonRpc.Message,
    options: SendOptions,
    session: Session | undefined,
    host: Host,
    capacity: number
  ) {
    this.message = message
    this.options = options
    this.session = session
    this.host = host
    this.capacity = capacity
    this.onResumptionToken = isStateless(message) ? undefined : options.onResumptionToken
  }

  get isOpen(): boolean {
    return this.ended === undefined
  }

  // --- the client's side --------------------------------------------------------------------------------------------

  /** The next message; `None` after the last. A token is announced when the element after its message is asked for. */
  readonly pull: Effect.Effect<JsonRpc.Message, Option.Option<TransportError>> = Effect.suspend(() => {
    const { announce } = this
    if (announce !== undefined) {
      this.announce = undefined
      return Effect.zipRight(this.onResumptionToken?.(announce) ?? Effect.void, this.pull)
    }
    const item = this.items.shift()
    if (item !== undefined) {
      this.changes.notify()
      this.announce = item.token
      return item.message === undefined ? this.pull : Effect.succeed(item.message)
    }
    return this.isOpen
      ? Effect.zipRight(this.changes.until(() => this.items.length > 0 || !this.isOpen), this.pull)
      : Effect.zipRight(Effect.mapError(this.exit, Option.some), Effect.fail(Option.none()))
  })

  /** The caller wants no more of it. */
  leave(): void {
    this.end("Interrupted", Exit.void)
  }

  // --- the server's side --------------------------------------------------------------------------------------------

  readonly awaitEnd: Effect.Effect<TestTransport.Ended> = Effect.suspend(() =>
    this.ended === undefined
      ? Effect.zipRight(this.changes.until(() => !this.isOpen), this.awaitEnd)
      : Effect.succeed(this.ended)
  )

  /** A message before the answer waits for room; the answer never does. */
  put(message: JsonRpc.Message | undefined, token: string | undefined): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (!this.isOpen) return Effect.void
      if (message !== undefined && JsonRpc.isResponse(message)) return this.answer(message, token)
      return this.changes.inTurn(() => !this.isOpen || this.items.length < this.capacity, () => {
        if (this.isOpen) this.items.push(this.item(message, token))
      })
    })
  }

  private answer(response: JsonRpc.Response, token: string | undefined): Effect.Effect<void> {
    const { message } = this
    if (!JsonRpc.isRequest(message) || !this.isOwn(response, message.id)) {
      return Effect.logWarning(`dropped a response to another request, id ${JSON.stringify(response.id)}`)
    }
    return Effect.sync(() => {
      const answer = response.id === message.id ? response : { ...response, id: message.id }
      this.items.push(this.item(answer, token))
      this.host.onAnswer(this, answer)
      this.end("Answered", Exit.void)
    })
  }

  accept(): void {
    if (!this.isOpen) return
    this.host.onAccept(this)
    this.end("Answered", Exit.void)
  }

  failCause(cause: Cause.Cause<TransportError>): void {
    this.end("Failed", Exit.failCause(cause))
  }

  endWithoutAnswer(): void {
    this.end("Failed", Exit.fail(noResponse(this.message)))
  }

  // An error without an id can only be about this request; a resumed one answers under the id that it had then.
  private isOwn({ id }: JsonRpc.Response, requestId: JsonRpc.RequestId): boolean {
    return id === requestId || id === undefined || id === null || this.options.resumptionToken !== undefined
  }

  private item(message: JsonRpc.Message | undefined, token: string | undefined): Item {
    return { message, token: this.onResumptionToken === undefined ? undefined : token }
  }

  private end(ended: TestTransport.Ended, exit: Exit.Exit<void, TransportError>): void {
    if (!this.isOpen) return
    this.ended = ended
    this.exit = exit
    this.host.onEnd(this, ended)
    this.changes.notify()
  }
}
