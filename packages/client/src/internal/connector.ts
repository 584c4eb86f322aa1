/**
 * The connection to the server: makes it, replaces it when it is lost, and tells how it is doing.
 */
import * as TransportError from "@effect-mcp/transport/TransportError"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Metric from "effect/Metric"
import type * as Scope from "effect/Scope"
import * as SubscriptionRef from "effect/SubscriptionRef"
import type { ClientState } from "../McpClient.ts"
import type { McpClientError } from "../McpClientError.ts"
import * as McpClientMetrics from "../McpClientMetrics.ts"
import type { Fork } from "./exchange.ts"
import type { Connection, Negotiator } from "./negotiator.ts"

export class Connector {
  readonly state: SubscriptionRef.SubscriptionRef<ClientState>
  /** Run when a connection is found to be no longer good, before it is replaced. */
  onLost: () => void = () => {}
  /** Run for every connection but the first: restores what the new session does not know. */
  onReconnected: (connection: Connection) => void = () => {}
  /** Run for every connection. */
  onConnected: (connection: Connection) => void = () => {}

  private readonly negotiator: Negotiator
  private readonly fork: Fork
  private established: Connection | undefined
  /** Why the connection is no longer good, until it was replaced. */
  private lostBy: McpClientError | undefined
  private recovering: Fiber.RuntimeFiber<void, McpClientError> | undefined
  private isClosed = false

  private constructor(
    negotiator: Negotiator,
    fork: Fork,
    state: SubscriptionRef.SubscriptionRef<ClientState>
  ) {
    this.negotiator = negotiator
    this.fork = fork
    this.state = state
  }

  static make(negotiator: Negotiator, fork: Fork): Effect.Effect<Connector, never, Scope.Scope> {
    return Effect.gen(function*() {
      const state = yield* SubscriptionRef.make<ClientState>({ _tag: "Connecting" })
      const connector = new Connector(negotiator, fork, state)
      yield* Effect.addFinalizer(() => connector.close)
      return connector
    })
  }

  /** Before anything else: the first connection. */
  readonly connect: Effect.Effect<Connection, McpClientError> = Effect.suspend(() =>
    Effect.tap(this.negotiator.negotiate(), (connection) => this.establish(connection))
  )

  /** The connection; there is one from the end of `connect` on. */
  get current(): Connection {
    if (this.established === undefined) throw new Error("the client is used before it is connected")
    return this.established
  }

  /** The connection as soon as it is good. */
  readonly ready: Effect.Effect<Connection, McpClientError> = Effect.suspend(() => {
    if (this.isClosed) return Effect.fail(closedError())
    const { lostBy } = this
    return lostBy === undefined
      ? Effect.succeed(this.current)
      : Effect.map(this.replace(this.current, lostBy), () => this.current)
  })

  get isReady(): boolean {
    return this.lostBy === undefined && !this.isClosed
  }

  /** Replaces a connection that is no longer good: once, for all who ask. */
  replace(lost: Connection, cause: McpClientError): Effect.Effect<void, McpClientError> {
    return Effect.uninterruptibleMask((restore) => {
      if (this.isClosed) return Effect.fail(closedError())
      if (this.established !== lost) return Effect.void
      if (this.recovering === undefined) {
        this.lostBy = cause
        const fiber = this.fork(this.reconnect(lost, cause))
        this.recovering = fiber
        fiber.addObserver(() => {
          if (this.recovering === fiber) this.recovering = undefined
        })
      }
      // What closes the client interrupts the recovery; who waits for it is told, not interrupted.
      return Effect.flatMap(
        restore(Fiber.await(this.recovering)),
        (exit) => this.isClosed || Exit.isInterrupted(exit) ? Effect.fail(closedError()) : exit
      )
    })
  }

  private reconnect(lost: Connection, cause: McpClientError): Effect.Effect<void, McpClientError> {
    return Effect.suspend(() => {
      this.lostBy = cause
      this.onLost()
      return Effect.zipRight(this.become({ _tag: "Recovering", cause }), this.negotiator.negotiate(lost))
    }).pipe(
      Effect.tap((connection) => this.establish(connection)),
      Effect.tap((connection) => Effect.sync(() => this.onReconnected(connection))),
      Effect.zipRight(Metric.increment(McpClientMetrics.recoveries)),
      Effect.tapError((error) => {
        this.lostBy = error
        return this.become({ _tag: "Recovering", cause: error })
      })
    )
  }

  private establish(connection: Connection): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (this.isClosed) return Effect.void
      this.established = connection
      this.lostBy = undefined
      this.onConnected(connection)
      return this.become({ _tag: "Ready", server: connection.server })
    })
  }

  /** Nothing comes after `Closed`, and what stays the same is no change. */
  private become(next: ClientState): Effect.Effect<void> {
    const isNoChange = (state: ClientState): boolean =>
      state._tag === "Closed" ||
      (state._tag === "Recovering" && next._tag === "Recovering" && state.cause === next.cause)
    return Effect.flatMap(this.state.get, (state) =>
      isNoChange(state)
        ? Effect.void
        : SubscriptionRef.update(this.state, (state) => isNoChange(state) ? state : next))
  }

  private readonly close: Effect.Effect<void> = Effect.suspend(() => {
    this.isClosed = true
    return this.become({ _tag: "Closed" })
  })
}

const closedError = (): TransportError.ConnectionError =>
  new TransportError.ConnectionError({ phase: "Closed", outcome: "NotExecuted" })
