/**
 * The double itself: a transport and the server's side of it, joined in memory.
 */
import * as JsonRpc from "@effect-mcp/transport/JsonRpc"
import type * as StreamableHttpTransport from "@effect-mcp/transport/StreamableHttpTransport"
import type { TransportError } from "@effect-mcp/transport/TransportError"
import * as TransportEvent from "@effect-mcp/transport/TransportEvent"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Mailbox from "effect/Mailbox"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type * as TestTransport from "../../TestTransport.ts"
import { Changes } from "./changes.ts"
import * as Errors from "./errors.ts"
import { Events } from "./events.ts"
import { Exchange, type Host } from "./exchange.ts"
import { incomingOf } from "./incoming.ts"
import { ReceiveLog } from "./receive.ts"
import * as Session from "./session.ts"

const defaultSessionId = "test-session"

export const pair = (
  options: TestTransport.PairOptions
): Effect.Effect<TestTransport.Pair, never, Scope.Scope> =>
  Effect.gen(function*() {
    const incoming = yield* Mailbox.make<TestTransport.Incoming>()
    const receiveBufferSize = yield* size("receiveBufferSize", options.receiveBufferSize ?? 64)
    const replyBufferSize = yield* size("replyBufferSize", options.replyBufferSize ?? 16)
    const double = new TransportDouble(options, incoming, receiveBufferSize, replyBufferSize)
    yield* Effect.addFinalizer(() => Effect.sync(() => double.close()))
    return { transport: double.transport, server: double.server }
  })

const size = (option: string, given: number): Effect.Effect<number> =>
  Number.isSafeInteger(given) && given > 0
    ? Effect.succeed(given)
    : Effect.dieMessage(`TestTransport: option ${option} is to be a positive integer, not ${given}`)

class TransportDouble implements Host {
  private readonly running = new Set<Exchange>()
  private readonly sent: Array<JsonRpc.Message> = []
  private readonly interrupted: Array<JsonRpc.Message> = []
  private readonly recorded = new Changes()
  private readonly events = new Events()
  private readonly receive: ReceiveLog
  private session: Session.Session = Session.idle()
  private sessionsOpened = 0
  private isClosed = false

  private readonly options: TestTransport.PairOptions
  private readonly incoming: Mailbox.Mailbox<TestTransport.Incoming>
  private readonly replyBufferSize: number

  constructor(
    options: TestTransport.PairOptions,
    incoming: Mailbox.Mailbox<TestTransport.Incoming>,
    receiveBufferSize: number,
    replyBufferSize: number
  ) {
    this.options = options
    this.incoming = incoming
    this.replyBufferSize = replyBufferSize
    this.receive = new ReceiveLog(receiveBufferSize)
    if (options.session !== undefined) {
      const { protocolVersion, sessionId } = options.session
      this.session = Session.active(
        Redacted.isRedacted(sessionId) ? Redacted.value(sessionId) : sessionId,
        protocolVersion
      )
      this.receive.open()
    }
  }

  get transport(): StreamableHttpTransport.Service {
    return {
      send: (message, options = {}) => this.send(message, options),
      receive: this.receive.stream,
      session: Effect.sync(() => Session.stateOf(this.session)),
      events: this.events.stream,
      terminate: Effect.sync(() => this.terminate("Client"))
    }
  }

  get server(): TestTransport.Server {
    return {
      incoming: Mailbox.toStream(this.incoming),
      sent: Effect.sync(() => Array.from(this.sent)),
      awaitSent: (which) => this.awaitSent(which),
      interrupted: Effect.sync(() => Array.from(this.interrupted)),
      push: (message) => this.receive.push(message),
      endReceive: Effect.sync(() => this.receive.end(Exit.void)),
      failReceive: (error) => Effect.sync(() => this.receive.end(Exit.fail(error))),
      terminateByServer: Effect.sync(() => this.terminate("Server")),
      emit: (event) => Effect.sync(() => this.events.emit(event))
    }
  }

  /** The finalizer of the scope. */
  close(): void {
    this.isClosed = true
    this.terminate("Client")
    for (const exchange of Array.from(this.running)) this.abort(exchange)
    this.receive.close()
    this.events.close()
    this.incoming.unsafeDone(Exit.void)
  }

  // --- sending ------------------------------------------------------------------------------------------------------

  private send(
    message: JsonRpc.Message,
    options: StreamableHttpTransport.SendOptions
  ): Stream.Stream<JsonRpc.Message, TransportError> {
    return Stream.unwrapScoped(Effect.map(
      Effect.acquireRelease(
        Effect.suspend(() => this.begin(message, options)),
        (exchange) => Effect.sync(() => exchange.leave())
      ),
      (exchange) => Stream.repeatEffectOption(exchange.pull)
    ))
  }

  private begin(
    message: JsonRpc.Message,
    options: StreamableHttpTransport.SendOptions
  ): Effect.Effect<Exchange, TransportError> {
    const refusal = Errors.refusal(message, options)
    if (refusal !== undefined) return Effect.fail(refusal)
    const isOutside = Errors.isStateless(message) || Errors.isInitialize(message)
    if (this.isClosed || (this.session.status === "Terminated" && !isOutside)) {
      return Effect.fail(Errors.over(message, this.session, "NotExecuted"))
    }
    const session = isOutside ? undefined : this.session
    const exchange = new Exchange(message, options, session, this, this.replyBufferSize)
    this.running.add(exchange)
    if (options.resumptionToken === undefined) {
      this.sent.push(message)
      this.recorded.notify()
    }
    this.incoming.unsafeOffer(incomingOf(exchange))
    return Effect.succeed(exchange)
  }

  onAnswer(exchange: Exchange, answer: JsonRpc.Response): void {
    if (Errors.isInitialize(exchange.message) && JsonRpc.isSuccessResponse(answer)) this.startSession(answer.result)
  }

  onAccept({ message, session }: Exchange): void {
    const isCurrent = session === this.session && session.status !== "Terminated"
    if (isCurrent && Errors.isInitialized(message)) this.receive.open()
  }

  onEnd(exchange: Exchange, ended: TestTransport.Ended): void {
    this.running.delete(exchange)
    if (ended === "Interrupted") this.interrupted.push(exchange.message)
  }

  private abort(exchange: Exchange): void {
    exchange.failCause(Cause.fail(Errors.over(exchange.message, exchange.session, "Unknown")))
  }

  private awaitSent(which: TestTransport.Which): Effect.Effect<JsonRpc.Message> {
    return Effect.suspend(() => {
      const found = find(this.sent, which)
      return found === undefined
        ? Effect.zipRight(this.recorded.until(() => find(this.sent, which) !== undefined), this.awaitSent(which))
        : Effect.succeed(found)
    })
  }

  // --- sessions -----------------------------------------------------------------------------------------------------

  /** The session of a successful `initialize` takes the place of the current one. */
  private startSession(result: unknown): void {
    const old = this.session
    this.session = Session.active(this.nextSessionId(), versionIn(result))
    if (old.status === "Active" || (old.status === "Terminated" && old.terminatedBy === "Server")) {
      this.receive.replace()
    }
    if (old.status === "Active") this.endSession(old, "Client")
    const sessionId = Session.redactedId(this.session)
    const protocolVersion = Option.fromNullable(this.session.protocolVersion)
    this.events.emit(TransportEvent.SessionStarted({ sessionId, protocolVersion }))
  }

  private nextSessionId(): string | undefined {
    const { sessionId = defaultSessionId } = this.options
    if (sessionId === null) return undefined
    this.sessionsOpened++
    return this.sessionsOpened === 1 ? sessionId : `${sessionId}-${this.sessionsOpened}`
  }

  /** Ends the current session, if there is one that the server knows. */
  private terminate(by: "Client" | "Server"): void {
    if (!Session.canEnd(this.session)) return
    this.endSession(this.session, by)
    if (by === "Client") this.receive.stop()
  }

  /** What runs in it fails when this side ended it, unless the server knows no session. */
  private endSession(session: Session.Session, by: "Client" | "Server"): void {
    session.status = "Terminated"
    session.terminatedBy = by
    this.events.emit(TransportEvent.SessionEnded({ sessionId: Session.redactedId(session), by }))
    if (by === "Server" || session.sessionId === undefined) return
    for (const exchange of Array.from(this.running)) {
      if (exchange.session === session) this.abort(exchange)
    }
  }
}

const find = (sent: ReadonlyArray<JsonRpc.Message>, which: TestTransport.Which): JsonRpc.Message | undefined => {
  if (typeof which === "number") return sent[which - 1]
  return sent.find(typeof which === "string" ? (message) => "method" in message && message.method === which : which)
}

const versionIn = (result: unknown): string | undefined => {
  const version: unknown = typeof result === "object" && result !== null
    ? Reflect.get(result, "protocolVersion")
    : undefined
  return typeof version === "string" && version !== "" ? version : undefined
}
