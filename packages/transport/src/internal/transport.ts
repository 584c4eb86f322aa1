/**
 * Puts the parts together: the service, and the direct path of `request`.
 */
import * as Headers from "@effect/platform/Headers"
import * as Channel from "effect/Channel"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type * as HttpExchange from "../HttpExchange.ts"
import * as JsonRpc from "../JsonRpc.ts"
import type * as StreamableHttpTransport from "../StreamableHttpTransport.ts"
import { ConnectionError, type InvalidOptions, ProtocolError, type TransportError } from "../TransportError.ts"
import { Core } from "./core.ts"
import * as Once from "./once.ts"
import { resolve } from "./options.ts"
import { race } from "./race.ts"
import { invalidHeader, isInitialize, ownHeaders, statelessVersion } from "./requestHeaders.ts"
import type { Outgoing } from "./requestState.ts"
import { type Messages, RequestStream } from "./requestStream.ts"
import { ServerStream } from "./serverStream.ts"
import type { Session } from "./session.ts"

type Answer = Effect.Effect<JsonRpc.Response, TransportError>

type DirectRequest = (request: JsonRpc.Request, options: StreamableHttpTransport.RequestOptions) => Answer

/**
 * The direct path of `request`: running any Stream costs several times what the rest of a small exchange does, so the
 * transport's own services answer a request without one. Kept beside the services, not in them: test doubles need none,
 * and a copy of a service with another `send` must not bypass it.
 */
const directPaths = new WeakMap<StreamableHttpTransport.Service, DirectRequest>()

export const make = (
  options: StreamableHttpTransport.Options,
  exchange: HttpExchange.Service
): Effect.Effect<StreamableHttpTransport.Service, InvalidOptions, Scope.Scope> =>
  Effect.gen(function*() {
    const scope = yield* Effect.scope
    const core = new Core(yield* resolve(options), exchange, scope)
    yield* core.recover
    const serverStream = new ServerStream(core)
    // Before the finalizer, so that it still runs when the last state is to be written.
    if (core.ledger !== undefined) yield* Effect.forkScoped(Effect.interruptible(core.ledger.run))
    yield* Effect.addFinalizer(() => core.close(serverStream.stop))
    const service: StreamableHttpTransport.Service = {
      send: (message, options) => Stream.fromChannel(sendChannel(core, message, options)),
      receive: Stream.fromChannel(serverStream.channel),
      session: Effect.sync(() => sessionState(core.session)),
      events: core.hub.stream,
      terminate: core.terminate
    }
    directPaths.set(service, (request, options) => directRequest(core, request, options))
    return service
  })

// --- send -----------------------------------------------------------------------------------------------------------

type SendChannel = Channel.Channel<Chunk.Chunk<JsonRpc.Message>, unknown, TransportError, unknown, void, unknown>

const sendChannel = (
  core: Core,
  message: JsonRpc.Message,
  options: StreamableHttpTransport.SendOptions | undefined
): SendChannel =>
  Channel.suspend(() => {
    const outgoing = prepare(core, message, options, true)
    if (outgoing instanceof ProtocolError) return Channel.fail(outgoing)
    // Effect's Stream keeps what it has run until a full collection: it is not to lead to all of the exchange.
    let running: RequestStream | undefined = new RequestStream(core, outgoing)
    const pull = Effect.withFiberRuntime<Messages, TransportError>((fiber) => running?.step(fiber) ?? ended)
    const loop: SendChannel = Channel.flatMap(Channel.fromEffect(pull), (messages) => {
      if (messages === undefined) return Channel.void
      const written = Channel.write(Chunk.unsafeFromArray(messages))
      if (running?.isDrained === false) return Channel.flatMap(written, () => loop)
      running = undefined
      return written
    })
    return Channel.ensuringWith(loop, (exit) => running?.close(exit) ?? Effect.void)
  })

const ended = Effect.succeed(undefined)

/** Checks and encodes a message; what cannot be sent never gets any further. */
const prepare = (
  core: Core,
  message: JsonRpc.Message,
  options: StreamableHttpTransport.SendOptions | undefined,
  collect: boolean
): Outgoing | ProtocolError => {
  const requestId = JsonRpc.isRequest(message) ? message.id : undefined
  const refuse = (description: string): ProtocolError =>
    new ProtocolError({
      ...(requestId === undefined ? {} : { requestId }),
      outcome: "NotExecuted",
      reason: "InvalidMessage",
      description
    })
  if (!JsonRpc.isMessage(message)) return refuse("what was to be sent is no JSON-RPC 2.0 message")
  const badHeader = options?.headers === undefined ? undefined : invalidHeader(Headers.fromInput(options.headers))
  if (badHeader !== undefined) {
    return refuse(`the header ${JSON.stringify(badHeader)} has a name or value that HTTP cannot carry`)
  }
  let body: string
  try {
    body = JsonRpc.encode(message)
  } catch (error) {
    return refuse(core.secrets.redact(`the message is no JSON: ${error instanceof Error ? error.message : error}`))
  }
  const isStateless = statelessVersion(message) !== undefined
  const canResume = requestId !== undefined && !isStateless && !isInitialize(message)
  const owner = core.ledger === undefined ? nobody : {}
  const recovered = canResume ? core.ledger?.take(message, owner) : undefined
  return {
    message,
    body,
    isStateless,
    isInitialize: !isStateless && isInitialize(message),
    headers: options?.headers === undefined ? undefined : ownHeaders(options.headers),
    resumptionToken: options?.resumptionToken ?? recovered,
    owner,
    onResumptionToken: options?.onResumptionToken,
    collect
  }
}

/** The owner of what no ledger keeps. */
const nobody = {}

// --- request --------------------------------------------------------------------------------------------------------

export const request = (
  transport: StreamableHttpTransport.Service,
  message: JsonRpc.Request,
  options: StreamableHttpTransport.RequestOptions
): Answer => {
  const direct = directPaths.get(transport)
  return direct === undefined ? requestBySend(transport, message, options) : direct(message, options)
}

const directRequest = (
  core: Core,
  message: JsonRpc.Request,
  options: StreamableHttpTransport.RequestOptions
): Answer => Effect.suspend(() => directRequestOnce(core, message, options))

const directRequestOnce = (
  core: Core,
  message: JsonRpc.Request,
  options: StreamableHttpTransport.RequestOptions
): Answer =>
  // `Effect.onError` by hand: it would take several more steps when nothing fails, and every message passes here.
  Once.uninterruptibleMask((restore) => {
    const isHandled = options.onMessages !== undefined || options.onMessage !== undefined
    const outgoing = prepare(core, message, options, isHandled)
    if (outgoing instanceof ProtocolError) return Effect.fail(outgoing)
    const stream = new RequestStream(core, outgoing)
    options.exposeAbort?.(() => stream.abort())
    let answer: JsonRpc.Response | undefined
    const next = (): Answer =>
      answer !== undefined && stream.isDrained ? Effect.succeed(answer) : Effect.flatMap(stream.pull, onMessages)
    const onMessages = (messages: Messages): Answer => {
      if (messages === undefined) {
        return answer === undefined
          ? Effect.fail(unanswered(message))
          : Effect.succeed(answer)
      }
      const last = messages[messages.length - 1]
      let others = messages.length
      if (JsonRpc.isResponse(last)) {
        answer = last
        others--
      }
      return !isHandled || others === 0
        ? next()
        : Effect.flatMap(handled(options, others === messages.length ? messages : messages.slice(0, others)), next)
    }
    return Effect.catchAllCause(
      restore(Once.suspend(next)),
      (cause) => Effect.zipRight(stream.close(Exit.failCause(cause)), Effect.failCause(cause))
    )
  })

/** What the application does with messages that came before the answer. */
const handled = (
  { onMessage, onMessages }: StreamableHttpTransport.RequestOptions,
  messages: ReadonlyArray<JsonRpc.Message>
): Effect.Effect<void> => {
  if (onMessages !== undefined) return onMessages(messages)
  return onMessage === undefined ? Effect.void : forEachOf(messages, onMessage)
}

/** One after the other. */
const forEachOf = (
  messages: ReadonlyArray<JsonRpc.Message>,
  onMessage: (message: JsonRpc.Message) => Effect.Effect<void>
): Effect.Effect<void> => {
  let next = 0
  return Effect.whileLoop({
    while: () => next < messages.length,
    body: () => {
      const message = messages[next++]
      return message === undefined ? Effect.void : onMessage(message)
    },
    step: () => {}
  })
}

/** The same over any other service of the tag: a test double, or another transport. */
const requestBySend = (
  transport: StreamableHttpTransport.Service,
  message: JsonRpc.Request,
  options: StreamableHttpTransport.RequestOptions
): Answer => {
  const last = Stream.runFoldEffect(
    transport.send(message, options),
    Option.none<JsonRpc.Response>(),
    (answer, next) =>
      JsonRpc.isResponse(next) ? Effect.succeed(Option.some(next)) : Effect.as(handled(options, [next]), answer)
  )
  const answered = Effect.flatMap(
    last,
    Option.match({
      onNone: () => Effect.fail(unanswered(message)),
      onSome: Effect.succeed
    })
  )
  const { exposeAbort } = options
  return exposeAbort === undefined ? answered : race(Effect.disconnect(answered), aborted(message, exposeAbort))
}

const aborted = (
  { id }: JsonRpc.Request,
  exposeAbort: (abort: () => void) => void
): Effect.Effect<never, ConnectionError> =>
  Effect.async((resume) =>
    exposeAbort(() => resume(Effect.fail(new ConnectionError({ requestId: id, phase: "Closed", outcome: "Unknown" }))))
  )

const unanswered = (message: JsonRpc.Request): ProtocolError =>
  new ProtocolError({
    requestId: message.id,
    outcome: "Unknown",
    reason: "NoResponse",
    description: "the stream ended without the answer"
  })

// --- session --------------------------------------------------------------------------------------------------------

const sessionState = (session: Session): StreamableHttpTransport.SessionState => {
  const sessionId = Option.map(Option.fromNullable(session.sessionId), (id) => Redacted.make(id))
  switch (session.status) {
    case "Idle":
      return { _tag: "Idle" }
    case "Active":
      return { _tag: "Active", sessionId, protocolVersion: Option.fromNullable(session.protocolVersion) }
    case "Terminated":
      return { _tag: "Terminated", sessionId, by: session.terminatedBy ?? "Client" }
  }
}
