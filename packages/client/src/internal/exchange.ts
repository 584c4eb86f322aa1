/**
 * One request and its answer: ids, `_meta`, time limits, cancellation in the way of the era, span and metric. The direct
 * path of every call, so plain code where it can be.
 */
import * as JsonRpc from "@effect-mcp/transport/JsonRpc"
import * as StreamableHttpTransport from "@effect-mcp/transport/StreamableHttpTransport"
import { ConnectionError, type TransportError } from "@effect-mcp/transport/TransportError"
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Runtime from "effect/Runtime"
import * as RuntimeFlags from "effect/RuntimeFlags"
import type { Era } from "../Lifecycle.ts"
import type { LoggingLevel, LoggingMessage } from "../Logging.ts"
import { JsonRpcError, RequestTimeout } from "../McpClientError.ts"
import type { Progress } from "../Progress.ts"
import { Deadline, type Deadlines, type Expiry, type Limits } from "./deadlines.ts"
import { isProgress } from "./guards.ts"
import type { Inbound } from "./inbound.ts"
import { CallSpan, errorType, recordDuration } from "./telemetry.ts"

/** What a request is sent with. */
export interface Wire {
  readonly era: Era
  readonly protocolVersion: string
  /** The members that every request of the stateless revision carries in `_meta`; none in the other era. */
  readonly meta: { readonly [name: string]: unknown } | undefined
}

export interface Outgoing {
  readonly method: string
  /** What it is about: a tool's name, a resource's URI. */
  readonly target?: string | undefined
  /** Without `_meta`. */
  readonly params?: JsonRpc.Params | undefined
  readonly meta?: { readonly [name: string]: unknown } | undefined
  readonly headers?: { readonly [name: string]: string } | undefined
  readonly limits: Limits
  readonly onProgress?: ((progress: Progress) => Effect.Effect<void>) | undefined
  readonly onLog?: ((message: LoggingMessage) => Effect.Effect<void>) | undefined
  /** Takes what comes before the answer, in the place of the usual ways. */
  readonly onNotification?: ((notification: JsonRpc.Notification, id: number) => Effect.Effect<void>) | undefined
}

export type ExchangeFailure = JsonRpcError | RequestTimeout | TransportError

/** An exchange that is under way. */
interface Running {
  readonly outgoing: Outgoing
  readonly deadline: Deadline
  readonly giveUp: (error: ExchangeFailure) => void
}

/** How long the notice that a call is cancelled may take. */
const cancelTimeout = Duration.seconds(5)

export type Fork = <A, E>(effect: Effect.Effect<A, E>) => Fiber.RuntimeFiber<A, E>

export class Exchanges {
  private readonly transport: StreamableHttpTransport.Service
  private readonly clock: Clock.Clock
  private readonly deadlines: Deadlines
  private readonly inbound: Inbound
  private readonly fork: Fork
  private lastId: number
  private readonly running = new Map<number, Running>()
  /** From which level on a stateless server is to log; undefined for not at all. */
  logLevel: LoggingLevel | undefined

  constructor(
    transport: StreamableHttpTransport.Service,
    clock: Clock.Clock,
    deadlines: Deadlines,
    inbound: Inbound,
    fork: Fork,
    lastId: number
  ) {
    this.transport = transport
    this.clock = clock
    this.deadlines = deadlines
    this.inbound = inbound
    this.fork = fork
    this.lastId = lastId
  }

  /** Sends a request and gives the result of its answer. */
  send(wire: Wire, outgoing: Outgoing): Effect.Effect<unknown, ExchangeFailure> {
    return Effect.withFiberRuntime((parent, { runtimeFlags }) =>
      Effect.async<unknown, ExchangeFailure>((resume) => {
        const { method, target } = outgoing
        const id = ++this.lastId
        const startedAt = this.clock.unsafeCurrentTimeMillis()
        const { protocolVersion } = wire
        const span = CallSpan.start(parent, { method, target, protocolVersion, requestId: id })

        let isOver = false
        const finish = (exit: Exit.Exit<unknown, ExchangeFailure>): void => {
          if (isOver) return
          isOver = true
          this.running.delete(id)
          this.deadlines.unwatch(deadline)
          const type = errorType(method, exit)
          recordDuration(parent, method, this.clock.unsafeCurrentTimeMillis() - startedAt, type)
          span?.end(exit, type)
          resume(exit)
        }
        const giveUp = (error: ExchangeFailure): void => {
          finish(Exit.fail(error))
          this.cancel(wire, method, id, error.message)
          child.unsafeInterruptAsFork(child.id())
        }
        const deadline = new Deadline(startedAt, outgoing.limits, (kind) => giveUp(timedOut(outgoing, kind)))
        const exchange = answered(
          StreamableHttpTransport.request(this.transport, toRequest(wire, outgoing, id, this.logLevel, span), {
            headers: outgoing.headers,
            onMessage: (message) => {
              deadline.touch(this.clock.unsafeCurrentTimeMillis())
              return this.onMessage(message, id, outgoing, deadline)
            }
          }),
          method,
          target
        )
        // A fiber of its own, so that a time limit can end it, even where the caller cannot be interrupted; forked with all
        // that the caller has.
        const flags = RuntimeFlags.enable(runtimeFlags, RuntimeFlags.Interruption)
        const child = Runtime.runFork(
          Runtime.make({ context: parent.currentContext, runtimeFlags: flags, fiberRefs: parent.getFiberRefs() }),
          span === undefined ? exchange : span.around(exchange)
        )
        child.addObserver(finish)
        if (!isOver) {
          this.running.set(id, { outgoing, deadline, giveUp })
          this.deadlines.watch(deadline)
        }
        return Effect.suspend(() => {
          // What came to its end by itself is not cancelled, even if the caller did not get to see it.
          if (isOver) return Effect.void
          this.running.delete(id)
          this.deadlines.unwatch(deadline)
          this.cancel(wire, method, id, "the call was interrupted")
          return Fiber.interrupt(child)
        })
      })
    )
  }

  /** Progress that did not come on the stream of its call, as some servers send it. */
  readonly strayProgress = (progress: Progress): Effect.Effect<void> => {
    const call = typeof progress.progressToken === "number" ? this.running.get(progress.progressToken) : undefined
    if (call === undefined || call.outgoing.onProgress === undefined) return Effect.void
    call.deadline.touch(this.clock.unsafeCurrentTimeMillis())
    return this.held(call.deadline, call.outgoing.onProgress(progress))
  }

  /** The client is closed: what is under way fails, as nobody watches over it any more. */
  readonly close: Effect.Effect<void> = Effect.sync(() => {
    for (const { giveUp } of Array.from(this.running.values())) {
      giveUp(new ConnectionError({ phase: "Closed", outcome: "Unknown" }))
    }
  })

  /** Sends a notification. */
  notify(wire: Wire, method: string, params?: JsonRpc.Params): Effect.Effect<void, TransportError> {
    const withMeta = wire.meta === undefined ? params : { ...params, _meta: { ...metaOf(params), ...wire.meta } }
    return StreamableHttpTransport.notify(this.transport, JsonRpc.notification(method, withMeta))
  }

  private onMessage(
    message: JsonRpc.Message,
    id: number,
    outgoing: Outgoing,
    deadline: Deadline
  ): Effect.Effect<void> {
    if (!("method" in message)) return Effect.void
    if ("id" in message && message.id !== undefined) return this.inbound.request(message)
    if (!JsonRpc.isNotification(message)) return Effect.void
    if (message.method === "notifications/progress") {
      const { params } = message
      if (outgoing.onProgress !== undefined && isProgress(params) && params.progressToken === id) {
        return this.held(deadline, outgoing.onProgress(params))
      }
    }
    if (outgoing.onNotification !== undefined) return outgoing.onNotification(message, id)
    return outgoing.onLog === undefined
      ? this.inbound.notification(message)
      : this.held(deadline, this.inbound.notification(message, outgoing.onLog))
  }

  /** The time that the application takes for a message is not time in which nothing comes. */
  private held(deadline: Deadline, handling: Effect.Effect<void>): Effect.Effect<void> {
    deadline.hold()
    return Effect.map(handling, () => deadline.touch(this.clock.unsafeCurrentTimeMillis()))
  }

  /**
   * Tells the server that nobody waits for the answer any more. The stateless revision knows from the stream that is
   * closed; `initialize` must not be cancelled (2025-11-25, "Cancellation").
   */
  private cancel(wire: Wire, method: string, requestId: number, reason: string): void {
    if (wire.era === "Modern" || method === "initialize") return
    this.fork(
      this.notify(wire, "notifications/cancelled", { requestId, reason }).pipe(
        Effect.timeout(cancelTimeout),
        Effect.catchAllCause((cause) => Effect.logDebug("a call could not be cancelled", cause)),
        Effect.annotateLogs({ package: "@effect-mcp/client", method })
      )
    )
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

const metaOf = (params: JsonRpc.Params | undefined): object | undefined => {
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
