/**
 * One call while it runs: `_meta`, time limits, what comes before its answer, span and metric, and its end.
 */
import * as JsonRpc from "@effect-mcp/transport/JsonRpc"
import * as StreamableHttpTransport from "@effect-mcp/transport/StreamableHttpTransport"
import type { TransportError } from "@effect-mcp/transport/TransportError"
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type * as FiberRefs from "effect/FiberRefs"
import * as Runtime from "effect/Runtime"
import * as RuntimeFlags from "effect/RuntimeFlags"
import type { LoggingLevel } from "../Logging.ts"
import { JsonRpcError, RequestTimeout } from "../McpClientError.ts"
import type { Progress } from "../Progress.ts"
import { Deadline, type Expiry } from "./deadlines.ts"
import type { ExchangeFailure, Exchanges, Outgoing, Wire } from "./exchange.ts"
import { isProgress } from "./guards.ts"
import * as Once from "./once.ts"
import { CallSpan, errorType, recordDuration } from "./telemetry.ts"

/**
 * Leads to a call for as long as it runs. V8 keeps former members of a `Map` for a while: they are to keep this, and nothing
 * else.
 */
export interface CallHandle {
  call: RunningCall | undefined
}

type CallFiber = Fiber.RuntimeFiber<unknown, ExchangeFailure>

type Ended = Exit.Exit<unknown, ExchangeFailure>

/** Runs a call to its end; once. */
export const run = (make: () => RunningCall): Effect.Effect<unknown, ExchangeFailure> =>
  Once.uninterruptibleMask((restore) => make().run(restore))

export class RunningCall {
  private readonly exchanges: Exchanges
  private readonly wire: Wire
  private readonly outgoing: Outgoing
  private readonly id: number
  private readonly parent: CallFiber
  private readonly startedAt: number
  private readonly handle: CallHandle = { call: this }
  private readonly deadline: Deadline
  private readonly span: CallSpan | undefined

  /** Why it was given up. */
  private error: ExchangeFailure | undefined
  private abort: (() => void) | undefined
  private handling: Handling | undefined
  /** What the application has set while it handled messages. */
  private refs: FiberRefs.FiberRefs | undefined

  constructor(exchanges: Exchanges, wire: Wire, outgoing: Outgoing, id: number, parent: CallFiber) {
    this.exchanges = exchanges
    this.wire = wire
    this.outgoing = outgoing
    this.id = id
    this.parent = parent
    this.startedAt = this.now
    this.deadline = new Deadline(this.startedAt, outgoing.limits, (kind) => this.giveUp(timedOut(outgoing, kind)))
    const { method, target } = outgoing
    this.span = CallSpan.start(parent, { method, target, protocolVersion: wire.protocolVersion, requestId: id })
  }

  run(restore: Once.Restore): Effect.Effect<unknown, ExchangeFailure> {
    this.exchanges.began(this.id, this.handle, this.deadline)
    const exchange = Once.suspend(() => this.span === undefined ? this.exchange : this.span.around(this.exchange))
    return Effect.matchCauseEffect(restore(exchange), {
      onFailure: (cause) => this.failed(cause),
      onSuccess: (response) => this.finish(this.error === undefined ? this.toExit(response) : Exit.fail(this.error))
    })
  }

  /** Ends it with an error, wherever it is. The server is told. */
  giveUp(error: ExchangeFailure): void {
    if (this.handle.call === undefined || this.error !== undefined) return
    this.error = error
    this.exchanges.ended(this.id, this.deadline)
    this.cancel(error.message)
    this.abort?.()
    this.handling?.giveUp()
  }

  /** Progress that did not come on the stream of its call, as some servers send it. */
  onStrayProgress(progress: Progress): Effect.Effect<void> {
    const { onProgress } = this.outgoing
    if (onProgress === undefined) return Effect.void
    return Effect.acquireUseRelease(
      Effect.sync(() => this.deadline.hold()),
      () => onProgress(progress),
      () => Effect.sync(() => this.deadline.release(this.now))
    )
  }

  // --- the end ------------------------------------------------------------------------------------------------------

  private failed(cause: Cause.Cause<TransportError>): Effect.Effect<unknown, ExchangeFailure> {
    if (this.error !== undefined) return this.finish(Exit.fail(this.error))
    const exit = this.finish(Exit.failCause(cause))
    if (!Cause.isInterrupted(cause)) return exit
    // Nobody waits for it any more.
    this.cancel("the call was interrupted")
    return this.handling === undefined ? exit : Effect.zipRight(this.handling.interrupted, exit)
  }

  private finish(exit: Ended): Ended {
    this.handle.call = undefined
    this.abort = undefined
    this.exchanges.ended(this.id, this.deadline)
    const { method } = this.outgoing
    const type = errorType(method, exit)
    recordDuration(this.parent, method, this.now - this.startedAt, type)
    this.span?.end(exit, type)
    return exit
  }

  private cancel(reason: string): void {
    this.exchanges.cancel(this.wire, this.outgoing.method, this.id, reason)
  }

  private toExit(response: JsonRpc.Response): Ended {
    const { method, target } = this.outgoing
    return "error" in response && response.error !== undefined
      ? Exit.fail(new JsonRpcError({ method, target, outcome: outcomeOf(response.error), error: response.error }))
      : Exit.succeed("result" in response ? response.result : undefined)
  }

  // --- the messages -------------------------------------------------------------------------------------------------

  private get now(): number {
    return this.exchanges.clock.unsafeCurrentTimeMillis()
  }

  private get exchange(): Effect.Effect<JsonRpc.Response, TransportError> {
    const request = toRequest(this.wire, this.outgoing, this.id, this.exchanges.logLevel, this.span)
    return StreamableHttpTransport.request(this.exchanges.transport, request, {
      headers: this.outgoing.headers,
      exposeAbort: (abort) => {
        if (this.error === undefined) this.abort = abort
        else abort()
      },
      onMessages: (messages) => this.onMessages(messages)
    })
  }

  /**
   * The application's part runs in a fiber of its own, so that a time limit ends the call whatever it does. What it forks
   * there and what it sets is as it would be in the caller's fiber. The time that it takes is not time in which nothing comes.
   */
  private onMessages(messages: ReadonlyArray<JsonRpc.Message>): Effect.Effect<void> {
    const work = Effect.forEach(messages, (message) => this.onMessage(message), discarding)
    return Effect.transplant((graft) =>
      Effect.withFiberRuntime((fiber, { runtimeFlags }) => {
        if (this.error !== undefined) return Effect.interrupt
        this.deadline.hold()
        const handling = new Handling(fiber, runtimeFlags, this.refs, graft(work))
        this.handling = handling
        // It may have come to that meanwhile.
        if (this.error !== undefined) handling.giveUp()
        const { exit } = handling
        if (exit === undefined) return Effect.zipRight(handling.ended, Effect.sync(() => this.handled(handling)))
        this.handled(handling)
        return exit
      })
    )
  }

  private handled({ refs }: Handling): void {
    this.handling = undefined
    this.refs = refs
    this.deadline.release(this.now)
  }

  private onMessage(message: JsonRpc.Message): Effect.Effect<void> {
    const { exchanges, id, outgoing } = this
    if (!("method" in message)) return Effect.void
    if ("id" in message && message.id !== undefined) return exchanges.inbound.request(message)
    if (!JsonRpc.isNotification(message)) return Effect.void
    if (message.method === "notifications/progress") {
      const { params } = message
      if (outgoing.onProgress !== undefined && isProgress(params) && params.progressToken === id) {
        return outgoing.onProgress(params)
      }
    }
    if (outgoing.onNotification !== undefined) return outgoing.onNotification(message, id)
    return exchanges.inbound.notification(message, outgoing.onLog)
  }
}

const discarding = { discard: true } as const

/** What the application does with messages. */
class Handling {
  private readonly fiber: Fiber.RuntimeFiber<void>
  private onGivenUp: (() => void) | undefined
  private isGivenUp = false

  constructor(
    parent: Fiber.RuntimeFiber<unknown, unknown>,
    flags: RuntimeFlags.RuntimeFlags,
    refs: FiberRefs.FiberRefs | undefined,
    work: Effect.Effect<void>
  ) {
    // Begun at once, with all that the caller has, but for a region in which it cannot be interrupted.
    this.fiber = Runtime.runFork(
      Runtime.make({
        context: parent.currentContext,
        runtimeFlags: RuntimeFlags.enable(flags, RuntimeFlags.Interruption),
        fiberRefs: refs ?? parent.getFiberRefs()
      }),
      work
    )
  }

  /** How it ended, if it has. */
  get exit(): Exit.Exit<void> | undefined {
    return this.fiber.unsafePoll() ?? undefined
  }

  get refs(): FiberRefs.FiberRefs {
    return this.fiber.getFiberRefs()
  }

  /** Ends with it, or when the call is given up. */
  get ended(): Effect.Effect<void> {
    return Once.async((resume) => {
      if (this.isGivenUp) return resume(Effect.interrupt)
      this.onGivenUp = () => resume(Effect.interrupt)
      this.fiber.addObserver(resume)
    })
  }

  get interrupted(): Effect.Effect<void> {
    return Effect.asVoid(Fiber.interrupt(this.fiber))
  }

  /** Nobody waits until it has ended. */
  giveUp(): void {
    this.isGivenUp = true
    this.fiber.unsafeInterruptAsFork(this.fiber.id())
    this.onGivenUp?.()
  }
}

const logLevelKey = "io.modelcontextprotocol/logLevel"

const toRequest = (
  wire: Wire,
  outgoing: Outgoing,
  id: number,
  logLevel: LoggingLevel | undefined,
  span: CallSpan | undefined
): JsonRpc.Request => {
  const { method, onProgress, params } = outgoing
  if (wire.meta === undefined && outgoing.meta === undefined && onProgress === undefined && span === undefined) {
    return params === undefined ? { jsonrpc: "2.0", id, method } : { jsonrpc: "2.0", id, method, params }
  }
  const meta: { [name: string]: unknown } = { ...metaOf(params), ...outgoing.meta, ...wire.meta }
  if (onProgress !== undefined) meta.progressToken = id
  // A call may ask for a level of its own.
  if (wire.era === "Modern" && logLevel !== undefined) meta[logLevelKey] ??= logLevel
  span?.addTo(meta)
  return { jsonrpc: "2.0", id, method, params: { ...params, _meta: meta } }
}

export const metaOf = (params: JsonRpc.Params | undefined): object | undefined => {
  const meta = params?._meta
  return typeof meta === "object" && meta !== null ? meta : undefined
}

/** Errors with which a server says that it did not begin to execute the request. */
const refusals: ReadonlySet<number> = new Set([-32700, -32600, -32601, -32602, -32020, -32021, -32022])

const outcomeOf = ({ code }: JsonRpc.ErrorObject): "NotExecuted" | "Unknown" =>
  refusals.has(code) ? "NotExecuted" : "Unknown"

const timedOut = ({ limits, method, target }: Outgoing, kind: Expiry): RequestTimeout =>
  new RequestTimeout({
    method,
    target,
    outcome: "Unknown",
    kind,
    limit: Duration.millis(kind === "Total" ? limits.total : limits.idle)
  })
