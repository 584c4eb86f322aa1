/**
 * Requests and their answers: ids, what is under way, cancellation in the way of the era. What one of them does while it runs
 * is in `runningCall.ts`.
 */
import * as JsonRpc from "@effect-mcp/transport/JsonRpc"
import * as StreamableHttpTransport from "@effect-mcp/transport/StreamableHttpTransport"
import { ConnectionError, type TransportError } from "@effect-mcp/transport/TransportError"
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type { Era } from "../Lifecycle.ts"
import type { LoggingLevel, LoggingMessage } from "../Logging.ts"
import type { JsonRpcError, RequestTimeout } from "../McpClientError.ts"
import type { Progress } from "../Progress.ts"
import type { Deadline, Deadlines, Limits } from "./deadlines.ts"
import type { Inbound } from "./inbound.ts"
import { type CallHandle, metaOf, run as runCall, RunningCall } from "./runningCall.ts"

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

/** How long the notice that a call is cancelled may take. */
const cancelTimeout = Duration.seconds(5)

export type Fork = <A, E>(effect: Effect.Effect<A, E>) => Fiber.RuntimeFiber<A, E>

export class Exchanges {
  readonly transport: StreamableHttpTransport.Service
  readonly clock: Clock.Clock
  private readonly deadlines: Deadlines
  readonly inbound: Inbound
  private readonly fork: Fork
  private lastId: number
  private readonly running = new Map<number, CallHandle>()
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
    return Effect.withFiberRuntime((fiber) =>
      runCall(() => new RunningCall(this, wire, outgoing, ++this.lastId, fiber))
    )
  }

  /** A call begins. */
  began(id: number, handle: CallHandle, deadline: Deadline): void {
    this.running.set(id, handle)
    this.deadlines.watch(deadline)
  }

  /** A call is over. */
  ended(id: number, deadline: Deadline): void {
    this.running.delete(id)
    this.deadlines.unwatch(deadline)
  }

  /** Progress that did not come on the stream of its call, as some servers send it. */
  readonly strayProgress = (progress: Progress): Effect.Effect<void> => {
    const { progressToken } = progress
    const call = typeof progressToken === "number" ? this.running.get(progressToken)?.call : undefined
    return call === undefined ? Effect.void : call.onStrayProgress(progress)
  }

  /** The client is closed: what is under way fails, as nobody watches over it any more. */
  readonly close: Effect.Effect<void> = Effect.sync(() => {
    for (const { call } of Array.from(this.running.values())) {
      call?.giveUp(new ConnectionError({ phase: "Closed", outcome: "Unknown" }))
    }
  })

  /** Sends a notification. */
  notify(wire: Wire, method: string, params?: JsonRpc.Params): Effect.Effect<void, TransportError> {
    const withMeta = wire.meta === undefined ? params : { ...params, _meta: { ...metaOf(params), ...wire.meta } }
    return StreamableHttpTransport.notify(this.transport, JsonRpc.notification(method, withMeta))
  }

  /**
   * Tells the server that nobody waits for the answer any more. The stateless revision knows from the stream that is
   * closed; `initialize` must not be cancelled (2025-11-25, "Cancellation").
   */
  cancel(wire: Wire, method: string, requestId: number, reason: string): void {
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
