/**
 * A test double of `StreamableHttpTransport`, for tests of what is built on the transport: no HTTP, no sockets, no waiting,
 * and time is whatever the `TestClock` says. (Effects in replies go by the `Clock` of where the layer is built: provide the
 * `TestContext` around the layer, as `it.effect` does.)
 *
 * Three ways to a transport for a test, from the smallest to the closest to the wire:
 *
 * - `Layer.mock(StreamableHttpTransport.StreamableHttpTransport, { send })` when one canned answer is all that the code
 *   under test asks for. There is no session, no record, and what is not given dies when it is used.
 * - {@link layer} when it opens a session, listens, is interrupted, or when the test wants to know what was sent. A script
 *   says what the server answers. {@link pair} is the same with the server's side written by hand, message by message.
 * - The real transport and a server, when HTTP matters: statuses, headers, redirects, reconnects, resumption by GET.
 *
 * What the double keeps of the transport's contract:
 *
 * - `send` is cold, pulled, and ends after the response; a JSON-RPC error is a value. Notifications and responses emit
 *   nothing. What is no message fails with `ProtocolError` `InvalidMessage`, a stream without its response with
 *   `NoResponse`. A response to another request is logged and dropped.
 * - A successful answer to `initialize` opens a session, before anybody sees it; another one replaces the session.
 * - `receive` waits for the handshake, is shared and bounded, and ends when this side terminates.
 * - `terminate`, the end of the scope and the end of a session at the server fail the same sends with the same errors.
 * - Stateless messages (2026-07-28) need no session.
 * - `onResumptionToken` is called with the tokens that a reply carries ({@link event}), at the same moments. A send with
 *   `resumptionToken` is answered by the script, which sees the token; it counts as a GET and is not among `sent`.
 *
 * What it does not do: messages go across as they are, not as JSON; `headers` are shown to the script and not checked;
 * nothing breaks by itself, so nothing is reconnected; of the events only `SessionStarted` and `SessionEnded` come by
 * themselves; without HTTP there is no head of a response, so a session opens with the answer itself.
 *
 * @since 0.1.0
 */
import type * as JsonRpc from "@effect-mcp/transport/JsonRpc"
import * as StreamableHttpTransport from "@effect-mcp/transport/StreamableHttpTransport"
import type { TransportError } from "@effect-mcp/transport/TransportError"
import type { TransportEvent } from "@effect-mcp/transport/TransportEvent"
import type * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Predicate from "effect/Predicate"
import type * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as scriptInternal from "./internal/testTransport/script.ts"
import * as internal from "./internal/testTransport/testTransport.ts"

// --- replies --------------------------------------------------------------------------------------------------------

/**
 * The response to the request at hand: it gets the request's id.
 *
 * @since 0.1.0
 * @category models
 */
export type Answer =
  | { readonly _tag: "Result"; readonly value: unknown }
  | { readonly _tag: "Error"; readonly error: JsonRpc.ErrorObject }

/**
 * Something with a resumption token, as a server-sent event has an id.
 *
 * @since 0.1.0
 * @category models
 */
export interface Event {
  readonly _tag: "Event"
  readonly token: string
  readonly part: JsonRpc.Message | Answer | undefined
}

/**
 * What may stand on the stream of a request.
 *
 * @since 0.1.0
 * @category models
 */
export type Part = JsonRpc.Message | Answer | Event

/**
 * What a request is answered with: its response, a stream that brings it, or an Effect that ends with either. A failure
 * of the stream or the Effect is that of the send; a defect is one there, too.
 *
 * @since 0.1.0
 * @category models
 */
export type Reply =
  | Answer
  | { readonly _tag: "Parts"; readonly parts: Stream.Stream<Part, TransportError> }
  | Effect.Effect<Reply, TransportError>

/**
 * Replies to a request according to what it says. `undefined` leaves it to the standard replies (see {@link Script}).
 *
 * @since 0.1.0
 * @category models
 */
export type Handler = (request: JsonRpc.Request, options: StreamableHttpTransport.SendOptions) => Reply | undefined

/**
 * What the server answers: by method, or one handler for all. What it says nothing about gets the standard replies:
 * `initialize` the protocol version it asks for, `ping` an empty result, everything else the JSON-RPC error -32601.
 *
 * @example
 * ```ts
 * import { TestTransport } from "@effect-mcp/testing"
 * import { JsonRpc } from "@effect-mcp/transport"
 * import { Effect } from "effect"
 *
 * const script: TestTransport.Script = {
 *   "tools/list": TestTransport.result({ tools: [] }),
 *   "tools/call": (request) =>
 *     request.params?.name === "slow"
 *       ? Effect.as(Effect.sleep("1 minute"), TestTransport.result({ content: [] }))
 *       : TestTransport.messages([
 *         JsonRpc.notification("notifications/progress", { progressToken: 1, progress: 1 }),
 *         TestTransport.result({ content: [] })
 *       ]),
 *   "resources/read": TestTransport.error({ code: -32002, message: "no such resource" }),
 *   "prompts/list": TestTransport.never
 * }
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export type Script = Handler | { readonly [method: string]: Reply | Handler }

/**
 * A successful response.
 *
 * @since 0.1.0
 * @category replies
 */
export const result = (value: unknown): Answer => ({ _tag: "Result", value })

/**
 * A JSON-RPC error as the response: a value for who sent the request, not a failure.
 *
 * @since 0.1.0
 * @category replies
 */
export const error = (error: JsonRpc.ErrorObject): Answer => ({ _tag: "Error", error })

/**
 * Messages in order; the last one is to be the response. Without it the send fails with `ProtocolError` `NoResponse`.
 *
 * @since 0.1.0
 * @category replies
 */
export const messages = (parts: Iterable<Part>): Reply => stream(Stream.fromIterable(parts))

/**
 * Messages as they come. It is interrupted once the response was emitted, and when the send ends otherwise.
 *
 * @example
 * ```ts
 * import { TestTransport } from "@effect-mcp/testing"
 * import { JsonRpc } from "@effect-mcp/transport"
 * import { Schedule, Stream } from "effect"
 *
 * const everySecond = TestTransport.stream(
 *   Stream.range(1, 3).pipe(
 *     Stream.schedule(Schedule.spaced("1 second")),
 *     Stream.map((progress) => JsonRpc.notification("notifications/progress", { progressToken: 1, progress })),
 *     Stream.concat(Stream.succeed(TestTransport.result({ content: [] })))
 *   )
 * )
 * ```
 *
 * @since 0.1.0
 * @category replies
 */
export const stream = (parts: Stream.Stream<Part, TransportError>): Reply => ({ _tag: "Parts", parts })

/**
 * The send fails.
 *
 * @since 0.1.0
 * @category replies
 */
export const fail = (error: TransportError): Reply => Effect.fail(error)

/**
 * The request is not answered: its send runs until it is interrupted or the session ends.
 *
 * @since 0.1.0
 * @category replies
 */
export const never: Reply = Effect.never

/**
 * A message with a resumption token, or a token alone: see `SendOptions.onResumptionToken`.
 *
 * @since 0.1.0
 * @category replies
 */
export const event = (token: string, part?: JsonRpc.Message | Answer): Event => ({ _tag: "Event", token, part })

// --- the double -----------------------------------------------------------------------------------------------------

/**
 * Options of {@link pair}. All may be left out or `undefined`.
 *
 * @since 0.1.0
 * @category models
 */
export interface PairOptions {
  /**
   * The id of the first session; later ones get `-2`, `-3` and so on behind it. `null`: the server gives none, and so
   * `terminate` has nothing to end. Default `"test-session"`.
   */
  readonly sessionId?: string | null | undefined
  /** Begin in this session: nothing is to be initialized, and `receive` opens at once. Default none. */
  readonly session?: {
    readonly sessionId: string | Redacted.Redacted<string>
    readonly protocolVersion: string
  } | undefined
  /** How many messages the fastest listener of `receive` may be ahead of the slowest, and `push` of it. Default 64. */
  readonly receiveBufferSize?: number | undefined
  /** How many messages a reply may be ahead of who reads it. The response itself never waits. Default 16. */
  readonly replyBufferSize?: number | undefined
}

/**
 * How {@link answer} treats what a script does not speak of. All may be left out or `undefined`.
 *
 * @since 0.1.0
 * @category models
 */
export interface AnswerOptions {
  /** The version in the standard reply to `initialize`. Default: the one that the client asks for. */
  readonly protocolVersion?: string | undefined
  /**
   * Runs before a notification or response is accepted; if it fails, so does the send. Default: it is accepted at once.
   */
  readonly accept?:
    | ((
      message: JsonRpc.Notification | JsonRpc.Response,
      options: StreamableHttpTransport.SendOptions
    ) => Effect.Effect<void, TransportError>)
    | undefined
}

/**
 * Options of {@link layer} and {@link make}.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options extends PairOptions, AnswerOptions {}

/**
 * Which of the messages sent: the first with this method, the one at this place (1 is the first), or the first that
 * satisfies the predicate.
 *
 * @since 0.1.0
 * @category models
 */
export type Which = string | number | Predicate.Predicate<JsonRpc.Message>

/**
 * The test's hold on a transport double.
 *
 * - `sent`: all messages sent so far, in order; each run of a `send` counts. What could not be sent is not among them.
 * - `awaitSent`: waits until such a message was sent, and gives it.
 * - `interrupted`: the messages of the sends that their callers gave up before they were answered, by interruption or by
 *   ending the Stream early.
 * - `push`: puts a message on `receive`. It is kept for the next who runs it, and for the handshake; suspends while
 *   `receiveBufferSize` messages wait. The end of the session drops what nobody took.
 * - `endReceive`, `failReceive`: the stream of `receive` ends, quietly or with the error, after what was pushed before:
 *   for those who run it, or else for the next who does. It can be run again.
 * - `terminateByServer`: the server forgets the session. The state is `Terminated` by `Server`; later sends fail with
 *   `SessionTerminated`, outcome `NotExecuted`, until `initialize` opens another. As with the transport, running sends
 *   and `receive` go on: end them yourself where the server would. Nothing happens without a session id.
 * - `emit`: puts an event on `events`.
 *
 * @since 0.1.0
 * @category tags
 */
export class TestTransport extends Context.Tag("@effect-mcp/testing/TestTransport")<
  TestTransport,
  {
    readonly sent: Effect.Effect<ReadonlyArray<JsonRpc.Message>>
    readonly awaitSent: (which: Which) => Effect.Effect<JsonRpc.Message>
    readonly interrupted: Effect.Effect<ReadonlyArray<JsonRpc.Message>>
    readonly push: (message: JsonRpc.Message) => Effect.Effect<void>
    readonly endReceive: Effect.Effect<void>
    readonly failReceive: (error: TransportError) => Effect.Effect<void>
    readonly terminateByServer: Effect.Effect<void>
    readonly emit: (event: TransportEvent) => Effect.Effect<void>
  }
>() {}

/**
 * @since 0.1.0
 * @category models
 */
export type Service = Context.Tag.Service<typeof TestTransport>

/**
 * A transport double whose server answers as the script says. Closing the scope ends the session and everything that
 * runs; nothing is left behind. Dies if a buffer size is no positive integer.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  script: Script = {},
  options: Options = {}
): Effect.Effect<
  { readonly transport: StreamableHttpTransport.Service; readonly server: Service },
  never,
  Scope.Scope
> => Effect.tap(internal.pair(options), ({ server }) => scriptInternal.serve(server, script, options))

/**
 * {@link make} as a layer: the transport for the code under test, and {@link TestTransport} for the test.
 *
 * @example
 * ```ts
 * import { TestTransport } from "@effect-mcp/testing"
 * import { JsonRpc, StreamableHttpTransport } from "@effect-mcp/transport"
 * import { Effect } from "effect"
 *
 * const listTools = Effect.gen(function*() {
 *   const transport = yield* StreamableHttpTransport.StreamableHttpTransport
 *   return yield* StreamableHttpTransport.request(transport, JsonRpc.request(1, "tools/list"))
 * })
 *
 * const test = Effect.gen(function*() {
 *   const answer = yield* listTools // { jsonrpc: "2.0", id: 1, result: { tools: [] } }
 *   const { sent } = yield* TestTransport.TestTransport
 *   return [answer, yield* sent]
 * }).pipe(Effect.provide(TestTransport.layer({ "tools/list": TestTransport.result({ tools: [] }) })))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  script: Script = {},
  options: Options = {}
): Layer.Layer<StreamableHttpTransport.StreamableHttpTransport | TestTransport> =>
  Layer.scopedContext(
    Effect.map(make(script, options), ({ server, transport }) =>
      Context.make(StreamableHttpTransport.StreamableHttpTransport, transport).pipe(
        Context.add(TestTransport, server)
      ))
  )

// --- the server by hand ---------------------------------------------------------------------------------------------

/**
 * How a send ended: `Answered`: its response, or its acceptance, was given; `Failed`: the server failed it, or the session
 * or the transport ended; `Interrupted`: its caller gave it up.
 *
 * @since 0.1.0
 * @category models
 */
export type Ended = "Answered" | "Failed" | "Interrupted"

/**
 * What all that comes in has in common. Once a send has ended, whatever else is done with it does nothing.
 *
 * @since 0.1.0
 * @category models
 */
export interface IncomingSend {
  /** The options of the send, such as `headers` and `resumptionToken`. */
  readonly options: StreamableHttpTransport.SendOptions
  /** Whether the send has not ended yet. */
  readonly isOpen: Effect.Effect<boolean>
  /** Waits until the send has ended. */
  readonly awaitEnd: Effect.Effect<Ended>
  /** The send fails, after the messages that it was given before. */
  readonly fail: (error: TransportError) => Effect.Effect<void>
  /** The same with any cause: a defect of the server becomes one of the send. */
  readonly failCause: (cause: Cause.Cause<TransportError>) => Effect.Effect<void>
}

/**
 * A request that came in.
 *
 * @since 0.1.0
 * @category models
 */
export interface IncomingRequest extends IncomingSend {
  readonly _tag: "Request"
  readonly message: JsonRpc.Request
  /**
   * Puts something on the request's own stream; a response ends it. Suspends while `replyBufferSize` messages wait to be
   * taken; a response never does.
   */
  readonly reply: (part: Part) => Effect.Effect<void>
  /** Ends the stream without a response: the send fails with `ProtocolError` `NoResponse`. */
  readonly end: Effect.Effect<void>
}

/**
 * A notification that came in.
 *
 * @since 0.1.0
 * @category models
 */
export interface IncomingNotification extends IncomingSend {
  readonly _tag: "Notification"
  readonly message: JsonRpc.Notification
  /** The send ends: the server has the message. */
  readonly accept: Effect.Effect<void>
}

/**
 * A response to a request of the server that came in.
 *
 * @since 0.1.0
 * @category models
 */
export interface IncomingResponse extends IncomingSend {
  readonly _tag: "Response"
  readonly message: JsonRpc.Response
  /** The send ends: the server has the message. */
  readonly accept: Effect.Effect<void>
}

/**
 * One run of a `send`, as the server sees it.
 *
 * @since 0.1.0
 * @category models
 */
export type Incoming = IncomingRequest | IncomingNotification | IncomingResponse

/**
 * The server's side of a {@link pair}: all that {@link TestTransport} has, and what comes in.
 *
 * @since 0.1.0
 * @category models
 */
export interface Server extends Service {
  /** Every message that the client sends, in order; ends with the scope. A queue: each message goes to one consumer. */
  readonly incoming: Stream.Stream<Incoming>
}

/**
 * A transport and its server, joined in memory.
 *
 * @since 0.1.0
 * @category models
 */
export interface Pair {
  readonly transport: StreamableHttpTransport.Service
  readonly server: Server
}

/**
 * A transport double whose server is written by hand: nothing is answered, not even `initialize`, unless you do it. Closing
 * the scope ends the session and everything that runs. Dies if a buffer size is no positive integer.
 *
 * @example
 * ```ts
 * import { TestTransport } from "@effect-mcp/testing"
 * import { JsonRpc, StreamableHttpTransport } from "@effect-mcp/transport"
 * import { Effect, Stream } from "effect"
 *
 * const test = Effect.gen(function*() {
 *   const { server, transport } = yield* TestTransport.pair()
 *   yield* server.incoming.pipe(
 *     Stream.runForEach((incoming) =>
 *       incoming._tag === "Request" && incoming.message.method === "tools/call"
 *         ? Effect.zipRight(
 *           incoming.reply(JsonRpc.request("ask-1", "elicitation/create")),
 *           incoming.reply(TestTransport.result({ content: [] }))
 *         )
 *         : TestTransport.answer(incoming)
 *     ),
 *     Effect.forkScoped
 *   )
 *   return yield* StreamableHttpTransport.request(transport, JsonRpc.request(1, "tools/call"))
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const pair = (options: PairOptions = {}): Effect.Effect<Pair, never, Scope.Scope> => internal.pair(options)

/**
 * Answers one message as {@link layer} does: a request by the script or the standard replies, a notification or response
 * by accepting it. For hand-written servers that care about some messages only. Ends when the send has ended.
 *
 * @since 0.1.0
 * @category combinators
 */
export const answer = (
  incoming: Incoming,
  script: Script = {},
  options: AnswerOptions = {}
): Effect.Effect<void> => scriptInternal.answer(incoming, script, options)
