/**
 * Changes that the server announces: who listens to the same thing shares one subscription, in the way of the era.
 *
 * - 2025: `resources/subscribe`, and what comes on any stream; list changes come unasked.
 * - 2026: a `subscriptions/listen` request for each thing, opened again when its stream was lost.
 */
import type * as JsonRpc from "@effect-mcp/transport/JsonRpc"
import type * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FiberHandle from "effect/FiberHandle"
import * as PubSub from "effect/PubSub"
import * as RcMap from "effect/RcMap"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { ServerCapabilities } from "../Capability.ts"
import type { ListChange, ResourceUpdate } from "../McpClient.ts"
import { CapabilityMissing, type McpClientError, RequestTimeout } from "../McpClientError.ts"
import type { SubscriptionFilter } from "../Subscription.ts"
import type { Calls } from "./calls.ts"
import type { Connector } from "./connector.ts"
import type { Exchanges, Fork } from "./exchange.ts"
import type { Inbound } from "./inbound.ts"
import type { Connection } from "./negotiator.ts"
import { race } from "./race.ts"
import { isWithin } from "./resourceUri.ts"

/** What is listened to: the lists, or the resource of a URI. */
type Topic = "lists" | `resource ${string}`

const topicOf = (uri: string): Topic => `resource ${uri}`

/** The URI of a topic that is a resource. */
const uriOf = (topic: Topic): string | undefined => topic === "lists" ? undefined : topic.slice("resource ".length)

/** One subscription, shared by all who listen to its topic. */
interface Subscription {
  readonly topic: Topic
  /** The server has agreed for the first time, or never will. */
  readonly agreed: Deferred.Deferred<void, McpClientError>
  /** Ends all who listen. */
  readonly failed: Deferred.Deferred<never, McpClientError>
  readonly keeper: FiberHandle.FiberHandle
}

const noLimits = { total: Infinity, idle: Infinity }

const unsubscribeTimeout = Duration.seconds(5)

/** Milliseconds from the loss of a listening stream to the next attempt, doubled until one stayed open for a while. */
const firstDelay = 500
const longestDelay = 30_000
const stable = 10_000

export class Subscriptions {
  private readonly calls: Calls
  private readonly connector: Connector
  private readonly exchanges: Exchanges
  private readonly inbound: Inbound
  private readonly fork: Fork
  private readonly clock: Clock.Clock
  /** Milliseconds until a stateless server is to have agreed. */
  private readonly idleLimit: number
  private readonly active = new Set<Subscription>()
  /** What the server was told to end, and has not answered yet. */
  private readonly leaving = new Map<Topic, Fiber.RuntimeFiber<void>>()

  constructor(
    calls: Calls,
    connector: Connector,
    exchanges: Exchanges,
    inbound: Inbound,
    fork: Fork,
    clock: Clock.Clock,
    idleLimit: number
  ) {
    this.calls = calls
    this.connector = connector
    this.exchanges = exchanges
    this.inbound = inbound
    this.fork = fork
    this.clock = clock
    this.idleLimit = idleLimit
  }

  /** The streams of what happens to a resource, and of changes of the lists. */
  readonly make: Effect.Effect<
    {
      readonly subscribe: (uri: string) => Stream.Stream<ResourceUpdate, McpClientError>
      readonly listChanges: Stream.Stream<ListChange, McpClientError>
    },
    never,
    Scope.Scope
  > = Effect.suspend(() =>
    Effect.map(RcMap.make({ lookup: (topic: Topic) => this.open(topic) }), (shared) => {
      const listen = <A>(topic: Topic, hub: PubSub.PubSub<A>): Stream.Stream<A, McpClientError> =>
        Stream.unwrapScoped(Effect.gen(this, function*() {
          const { server } = yield* this.connector.ready
          const missing = missingCapability(topic, server.capabilities)
          if (missing !== undefined) return yield* missing
          // First, so that nothing is missed.
          const updates = yield* PubSub.subscribe(hub)
          const subscription = yield* RcMap.get(shared, topic)
          return Stream.interruptWhenDeferred(Stream.fromQueue(updates), subscription.failed)
        }))
      return {
        subscribe: (uri: string) =>
          Stream.filter(listen(topicOf(uri), this.inbound.resourceUpdates), (update) => isWithin(update.uri, uri)),
        listChanges: listen("lists", this.inbound.listChanges)
      }
    })
  )

  /** A new connection knows nothing of the subscriptions of the former one. */
  restore(): void {
    for (const subscription of this.active) {
      this.fork(FiberHandle.run(subscription.keeper, this.keep(subscription)))
    }
  }

  /** What happened to a stream of the server is not known: everything may have changed. */
  readonly gaps: Effect.Effect<void> = Effect.suspend(() =>
    Effect.forEach(this.active, ({ topic }) => this.gap(topic), { discard: true })
  )

  private open(topic: Topic): Effect.Effect<Subscription, McpClientError, Scope.Scope> {
    return Effect.gen(this, function*() {
      const subscription: Subscription = {
        topic,
        agreed: yield* Deferred.make<void, McpClientError>(),
        failed: yield* Deferred.make<never, McpClientError>(),
        keeper: yield* FiberHandle.make()
      }
      yield* Effect.acquireRelease(
        Effect.sync(() => this.active.add(subscription)),
        () => this.leave(subscription)
      )
      yield* FiberHandle.run(subscription.keeper, this.keep(subscription))
      yield* Deferred.await(subscription.agreed)
      return subscription
    })
  }

  private leave(subscription: Subscription): Effect.Effect<void> {
    const { failed, topic } = subscription
    const uri = uriOf(topic)
    return Effect.map(Deferred.isDone(failed), (hasFailed) => {
      this.active.delete(subscription)
      if (uri === undefined || hasFailed || !this.connector.isReady || this.connector.current.era === "Modern") return
      // On the side: who leaves does not wait for the server. Who comes next does, see `subscribeOnce`.
      const fiber = this.fork(
        this.calls.run({ method: "resources/unsubscribe", target: uri, params: { uri }, repeat: "Never" }).pipe(
          Effect.timeout(unsubscribeTimeout),
          Effect.ignore
        )
      )
      this.leaving.set(topic, fiber)
      fiber.addObserver(() => {
        if (this.leaving.get(topic) === fiber) this.leaving.delete(topic)
      })
    })
  }

  /** Keeps a subscription up for as long as the connection lasts. */
  private keep(subscription: Subscription): Effect.Effect<void> {
    return Effect.flatMap(this.connector.ready, (connection) =>
      connection.era === "Modern"
        ? this.listen(subscription, connection, firstDelay)
        : this.subscribeOnce(subscription)).pipe(
        Effect.catchAll((error) => this.fail(subscription, error))
      )
  }

  private fail(subscription: Subscription, error: McpClientError): Effect.Effect<void> {
    return Effect.zipRight(Deferred.fail(subscription.agreed, error), Deferred.fail(subscription.failed, error))
  }

  private gap(topic: Topic): Effect.Effect<void> {
    const uri = uriOf(topic)
    if (uri !== undefined) return this.inbound.resourceUpdated(uri, true)
    return Effect.forEach(
      changingLists(this.connector.current.server.capabilities),
      (list) => this.inbound.listChanged(list, true),
      { discard: true }
    )
  }

  // --- servers with sessions ----------------------------------------------------------------------------------------

  private subscribeOnce({ agreed, topic }: Subscription): Effect.Effect<void, McpClientError> {
    const uri = uriOf(topic)
    // Requests can overtake each other: an end that is still on its way must not end what begins now.
    const leaving = this.leaving.get(topic)
    const sent = uri === undefined
      ? Effect.void
      : Effect.zipRight(
        leaving === undefined ? Effect.void : Fiber.await(leaving),
        this.calls.run({ method: "resources/subscribe", target: uri, params: { uri }, repeat: "Safe" })
      )
    // The gap ends here: what happened before the server has agreed may not be told.
    return Effect.zipRight(
      sent,
      Effect.flatMap(Deferred.succeed(agreed, undefined), (isFirst) => isFirst ? Effect.void : this.gap(topic))
    )
  }

  // --- stateless servers --------------------------------------------------------------------------------------------

  private listen(
    subscription: Subscription,
    connection: Connection,
    delay: number
  ): Effect.Effect<void, McpClientError> {
    const { agreed, topic } = subscription
    const filter = filterOf(topic, connection.server.capabilities)
    return Effect.suspend(() => {
      let openedAt: number | undefined
      const acknowledged = (honored: unknown): Effect.Effect<void> => {
        if (!isHonored(filter, honored)) return this.fail(subscription, refused(topic))
        openedAt = this.clock.unsafeCurrentTimeMillis()
        return Effect.flatMap(Deferred.succeed(agreed, undefined), (isFirst) => isFirst ? Effect.void : this.gap(topic))
      }
      const exchange = this.exchanges.send(connection, {
        method: "subscriptions/listen",
        target: uriOf(topic),
        params: { notifications: filter },
        limits: noLimits,
        onNotification: (notification: JsonRpc.Notification) =>
          notification.method === "notifications/subscriptions/acknowledged"
            ? acknowledged(notification.params?.notifications)
            : this.inbound.notification(notification)
      })
      const unacknowledged = Effect.zipRight(
        Effect.sleep(Duration.millis(this.idleLimit)),
        Effect.suspend(() =>
          openedAt === undefined ? Effect.fail(notAcknowledged(topic, this.idleLimit)) : Effect.never
        )
      )
      return Effect.flatMap(
        Effect.either(race(exchange, unacknowledged)),
        (end) =>
          Effect.flatMap(Deferred.isDone(agreed), (wasAgreed) => {
            const error = end._tag === "Left" ? end.left : undefined
            if (error !== undefined && (!wasAgreed || !isPassing(error))) return Effect.fail(error)
            if (error === undefined && !wasAgreed) return Effect.fail(refused(topic))
            const wasStable = openedAt !== undefined && this.clock.unsafeCurrentTimeMillis() - openedAt >= stable
            const wait = wasStable ? firstDelay : delay
            return Effect.logDebug("a listening stream has ended and is opened again", error?.message ?? "").pipe(
              Effect.annotateLogs({ package: "@effect-mcp/client", topic }),
              Effect.zipRight(Effect.sleep(Duration.millis(wait))),
              Effect.zipRight(this.listen(subscription, connection, Math.min(wait * 2, longestDelay)))
            )
          })
      )
    })
  }
}

/** What may get better by itself. */
const isPassing = (error: McpClientError): boolean => {
  switch (error._tag) {
    case "ConnectionError":
      return error.phase !== "Closed"
    case "RequestTimeout":
      return true
    case "ProtocolError":
      return error.reason === "NoResponse"
    case "HttpStatusError":
      return error.status === 408 || error.status === 429 || error.status >= 500
    default:
      return false
  }
}

const changingLists = (capabilities: ServerCapabilities): ReadonlyArray<ListChange["list"]> => {
  const lists = ["tools", "resources", "prompts"] as const
  return lists.filter((list) => capabilities[list]?.listChanged === true)
}

const missingCapability = (topic: Topic, capabilities: ServerCapabilities): CapabilityMissing | undefined => {
  const isOffered = topic === "lists"
    ? changingLists(capabilities).length > 0
    : capabilities.resources?.subscribe === true
  return isOffered ? undefined : refused(topic)
}

const refused = (topic: Topic): CapabilityMissing =>
  new CapabilityMissing({
    method: topic === "lists" ? "listChanges" : "subscribe",
    target: uriOf(topic),
    outcome: "NotExecuted",
    capability: topic === "lists" ? "listChanged" : "resources.subscribe"
  })

const notAcknowledged = (topic: Topic, limit: number): RequestTimeout =>
  new RequestTimeout({
    method: "subscriptions/listen",
    target: uriOf(topic),
    outcome: "Unknown",
    kind: "Idle",
    limit: Duration.millis(limit)
  })

const filterOf = (topic: Topic, capabilities: ServerCapabilities): SubscriptionFilter & JsonRpc.Params => {
  const uri = uriOf(topic)
  if (uri !== undefined) return { resourceSubscriptions: [uri] }
  return Object.fromEntries(changingLists(capabilities).map((list) => [`${list}ListChanged`, true]))
}

/** Whether the server agreed to some of what was asked for: there is nothing to listen for otherwise. */
const isHonored = (asked: object, honored: unknown): boolean => {
  if (typeof honored !== "object" || honored === null) return false
  return Object.keys(asked).some((name) => {
    const value: unknown = Reflect.get(honored, name)
    return value === true || (Array.isArray(value) && value.length > 0)
  })
}
