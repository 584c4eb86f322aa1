/**
 * One call while it runs: the fiber that exchanges its messages, its time limit, what comes before its answer, and its end.
 */
import * as JsonRpc from "@effect-mcp/transport/JsonRpc"
import * as StreamableHttpTransport from "@effect-mcp/transport/StreamableHttpTransport"
import type { TransportError } from "@effect-mcp/transport/TransportError"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Runtime from "effect/Runtime"
import * as RuntimeFlags from "effect/RuntimeFlags"
import type { LoggingLevel } from "../Logging.ts"
import { JsonRpcError, RequestTimeout } from "../McpClientError.ts"
import type { Progress } from "../Progress.ts"
import { Deadline, type Expiry } from "./deadlines.ts"
import type { ExchangeFailure, Exchanges, Outgoing, Wire } from "./exchange.ts"
import { isProgress } from "./guards.ts"
import { CallSpan, errorType, recordDuration } from "./telemetry.ts"

/**
 * Leads to a call for as long as it runs. Effect and V8 keep what a fiber waited for longer than that (`once.ts` of the
 * transport says why), and so are former members of a `Map`: they are to keep this, and nothing else.
 */
export interface CallHandle {
  call: RunningCall | undefined
}

type CallFiber = Fiber.RuntimeFiber<unknown, ExchangeFailure>

type Ended = Exit.Exit<unknown, ExchangeFailure>

/** Runs a call to its end; once. */
export const run = (make: () => RunningCall): Effect.Effect<unknown, ExchangeFailure> => {
  const handle: CallHandle = { call: undefined }
  let begin: typeof make | undefined = make
  return Effect.async((resume) => {
    handle.call = begin?.()
    begin = undefined
    handle.call?.start(handle, resume)
    // What came to its end by itself is not cancelled, even if the caller did not get to see it.
    return Effect.suspend(() => handle.call?.interrupt() ?? Effect.void)
  })
}

export class RunningCall {
  private readonly exchanges: Exchanges
  private readonly wire: Wire
  private readonly outgoing: Outgoing
  private readonly id: number
  private readonly startedAt: number
  private readonly deadline: Deadline
  private readonly span: CallSpan | undefined

  private readonly parent: CallFiber
  private readonly runtimeFlags: RuntimeFlags.RuntimeFlags
  private child: CallFiber | undefined
  private onEnd: ((exit: Ended) => void) | undefined

  constructor(
    exchanges: Exchanges,
    wire: Wire,
    outgoing: Outgoing,
    id: number,
    parent: CallFiber,
    runtimeFlags: RuntimeFlags.RuntimeFlags
  ) {
    this.exchanges = exchanges
    this.wire = wire
    this.outgoing = outgoing
    this.id = id
    this.parent = parent
    this.runtimeFlags = runtimeFlags
    this.startedAt = this.now
    this.deadline = new Deadline(this.startedAt, outgoing.limits, (kind) => this.giveUp(timedOut(outgoing, kind)))
    const { method, target } = outgoing
    this.span = CallSpan.start(parent, { method, target, protocolVersion: wire.protocolVersion, requestId: id })
  }

  start(handle: CallHandle, onEnd: (exit: Ended) => void): void {
    const ended = (exit: Ended): void => {
      handle.call = undefined
      onEnd(exit)
    }
    this.onEnd = ended
    // A fiber of its own, so that a time limit can end it, even where the caller cannot be interrupted; forked with all that
    // the caller has.
    const { parent } = this
    const child = Runtime.runFork(
      Runtime.make({
        context: parent.currentContext,
        runtimeFlags: RuntimeFlags.enable(this.runtimeFlags, RuntimeFlags.Interruption),
        fiberRefs: parent.getFiberRefs()
      }),
      this.span === undefined ? this.exchange : this.span.around(this.exchange)
    )
    this.child = child
    child.addObserver((exit) => this.finish(exit))
    if (this.onEnd !== undefined) this.exchanges.began(this.id, handle, this.deadline)
  }

  /** Ends it with an error. The server is told. */
  giveUp(error: ExchangeFailure): void {
    const { child } = this
    this.finish(Exit.fail(error))
    this.exchanges.cancel(this.wire, this.outgoing.method, this.id, error.message)
    child?.unsafeInterruptAsFork(child.id())
  }

  /** Nobody waits for it any more. The server is told. */
  interrupt(): Effect.Effect<void> {
    this.exchanges.ended(this.id, this.deadline)
    this.exchanges.cancel(this.wire, this.outgoing.method, this.id, "the call was interrupted")
    return this.child === undefined ? Effect.void : Fiber.interrupt(this.child)
  }

  /** Progress that did not come on the stream of its call, as some servers send it. */
  onStrayProgress(progress: Progress): Effect.Effect<void> {
    const { onProgress } = this.outgoing
    if (onProgress === undefined) return Effect.void
    this.deadline.touch(this.now)
    return this.held(onProgress(progress))
  }

  private get now(): number {
    return this.exchanges.clock.unsafeCurrentTimeMillis()
  }

  private finish(exit: Ended): void {
    const { onEnd } = this
    if (onEnd === undefined) return
    this.onEnd = undefined
    this.exchanges.ended(this.id, this.deadline)
    const { method } = this.outgoing
    const type = errorType(method, exit)
    recordDuration(this.parent, method, this.now - this.startedAt, type)
    this.span?.end(exit, type)
    onEnd(exit)
  }

  private get exchange(): Effect.Effect<unknown, JsonRpcError | TransportError> {
    const { outgoing } = this
    const request = toRequest(this.wire, outgoing, this.id, this.exchanges.logLevel, this.span)
    const answer = StreamableHttpTransport.request(this.exchanges.transport, request, {
      headers: outgoing.headers,
      onMessage: (message) => {
        this.deadline.touch(this.now)
        return this.onMessage(message)
      }
    })
    return answered(answer, outgoing.method, outgoing.target)
  }

  private onMessage(message: JsonRpc.Message): Effect.Effect<void> {
    const { exchanges, id, outgoing } = this
    if (!("method" in message)) return Effect.void
    if ("id" in message && message.id !== undefined) return exchanges.inbound.request(message)
    if (!JsonRpc.isNotification(message)) return Effect.void
    if (message.method === "notifications/progress") {
      const { params } = message
      if (outgoing.onProgress !== undefined && isProgress(params) && params.progressToken === id) {
        return this.held(outgoing.onProgress(params))
      }
    }
    if (outgoing.onNotification !== undefined) return outgoing.onNotification(message, id)
    return outgoing.onLog === undefined
      ? exchanges.inbound.notification(message)
      : this.held(exchanges.inbound.notification(message, outgoing.onLog))
  }

  /** The time that the application takes for a message is not time in which nothing comes. */
  private held(handling: Effect.Effect<void>): Effect.Effect<void> {
    this.deadline.hold()
    return Effect.map(handling, () => this.deadline.touch(this.now))
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

const answered = (
  answer: Effect.Effect<JsonRpc.Response, TransportError>,
  method: string,
  target: string | undefined
): Effect.Effect<unknown, JsonRpcError | TransportError> =>
  Effect.flatMap(answer, (response) =>
    "error" in response && response.error !== undefined
      ? Effect.fail(new JsonRpcError({ method, target, outcome: outcomeOf(response.error), error: response.error }))
      : Effect.succeed("result" in response ? response.result : undefined))

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
