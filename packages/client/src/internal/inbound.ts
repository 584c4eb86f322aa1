/**
 * What the server sends of its own accord, on whatever stream it comes: notifications go to who listens, requests to the
 * services that the application provides.
 */
import * as JsonRpc from "@effect-mcp/transport/JsonRpc"
import * as StreamableHttpTransport from "@effect-mcp/transport/StreamableHttpTransport"
import type { TransportError } from "@effect-mcp/transport/TransportError"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FiberMap from "effect/FiberMap"
import * as FiberSet from "effect/FiberSet"
import * as Option from "effect/Option"
import * as PubSub from "effect/PubSub"
import type * as Scope from "effect/Scope"
import type { Era } from "../Lifecycle.ts"
import type { LoggingMessage } from "../Logging.ts"
import type { ListChange, ResourceUpdate } from "../McpClient.ts"
import type { Progress } from "../Progress.ts"
import { isLoggingMessage, isProgress } from "./guards.ts"
import { type Handlers, toErrorObject } from "./handlers.ts"
import type { ResponseCache } from "./responseCache.ts"
import type { Tools } from "./tools.ts"

/** How far a listener may fall behind before it loses the oldest. */
const mostUnread = 1024

export class Inbound {
  readonly logs: PubSub.PubSub<LoggingMessage>
  readonly notifications: PubSub.PubSub<JsonRpc.Notification>
  readonly listChanges: PubSub.PubSub<ListChange>
  readonly resourceUpdates: PubSub.PubSub<ResourceUpdate>
  /** Which era the server speaks; the stateless revision has no requests of the server. */
  era: Era = "Legacy"
  /** Takes progress that did not come on the stream of its call. */
  onProgress: (progress: Progress) => Effect.Effect<void> = () => Effect.void

  private readonly transport: StreamableHttpTransport.Service
  private readonly handlers: Handlers
  private readonly cache: ResponseCache
  private readonly tools: Tools
  private readonly running: FiberMap.FiberMap<string>
  private readonly completing: FiberSet.FiberSet

  private constructor(
    transport: StreamableHttpTransport.Service,
    handlers: Handlers,
    cache: ResponseCache,
    tools: Tools,
    running: FiberMap.FiberMap<string>,
    completing: FiberSet.FiberSet,
    hubs: Pick<Inbound, "logs" | "notifications" | "listChanges" | "resourceUpdates">
  ) {
    this.transport = transport
    this.handlers = handlers
    this.cache = cache
    this.tools = tools
    this.running = running
    this.completing = completing
    this.logs = hubs.logs
    this.notifications = hubs.notifications
    this.listChanges = hubs.listChanges
    this.resourceUpdates = hubs.resourceUpdates
  }

  static make(
    transport: StreamableHttpTransport.Service,
    handlers: Handlers,
    cache: ResponseCache,
    tools: Tools
  ): Effect.Effect<Inbound, never, Scope.Scope> {
    return Effect.gen(function*() {
      const running = yield* FiberMap.make<string>()
      const completing = yield* FiberSet.make()
      const inbound = new Inbound(transport, handlers, cache, tools, running, completing, {
        logs: yield* PubSub.sliding<LoggingMessage>(mostUnread),
        notifications: yield* PubSub.sliding<JsonRpc.Notification>(mostUnread),
        listChanges: yield* PubSub.sliding<ListChange>(mostUnread),
        resourceUpdates: yield* PubSub.sliding<ResourceUpdate>(mostUnread)
      })
      yield* Effect.addFinalizer(() =>
        Effect.all([
          PubSub.shutdown(inbound.logs),
          PubSub.shutdown(inbound.notifications),
          PubSub.shutdown(inbound.listChanges),
          PubSub.shutdown(inbound.resourceUpdates)
        ], { discard: true })
      )
      return inbound
    })
  }

  message(message: JsonRpc.Message): Effect.Effect<void> {
    if (JsonRpc.isRequest(message)) return this.request(message)
    return JsonRpc.isNotification(message) ? this.notification(message) : Effect.void
  }

  // --- notifications ------------------------------------------------------------------------------------------------

  notification(
    notification: JsonRpc.Notification,
    onLog?: (message: LoggingMessage) => Effect.Effect<void>
  ): Effect.Effect<void> {
    return Effect.zipRight(PubSub.publish(this.notifications, notification), this.act(notification, onLog))
  }

  private act(
    { method, params }: JsonRpc.Notification,
    onLog?: (message: LoggingMessage) => Effect.Effect<void>
  ): Effect.Effect<void> {
    switch (method) {
      case "notifications/message": {
        if (!isLoggingMessage(params)) return malformed(method)
        const published = PubSub.publish(this.logs, params)
        return onLog === undefined ? Effect.asVoid(published) : Effect.zipRight(published, onLog(params))
      }
      case "notifications/progress":
        return isProgress(params) ? this.onProgress(params) : malformed(method)
      case "notifications/tools/list_changed":
        return this.listChanged("tools")
      case "notifications/prompts/list_changed":
        return this.listChanged("prompts")
      case "notifications/resources/list_changed":
        return this.listChanged("resources")
      case "notifications/resources/updated": {
        const uri = params?.uri
        return typeof uri === "string" ? this.resourceUpdated(uri) : malformed(method)
      }
      case "notifications/elicitation/complete": {
        const id = params?.elicitationId
        return typeof id === "string" ? this.elicitationCompleted(id) : malformed(method)
      }
      case "notifications/cancelled": {
        const id = params?.requestId
        return typeof id === "string" || typeof id === "number"
          ? this.cancelled(JSON.stringify(id))
          : malformed(method)
      }
      default:
        return Effect.void
    }
  }

  listChanged(list: ListChange["list"], afterGap = false): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.cache.invalidate(`${list}/list`)
      if (list === "tools") this.tools.clear()
      if (list === "resources") this.cache.invalidate("resources/templates/list")
      return PubSub.publish(this.listChanges, { list, afterGap })
    })
  }

  resourceUpdated(uri: string, afterGap = false): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.cache.invalidateResource(uri)
      return PubSub.publish(this.resourceUpdates, { uri, afterGap })
    })
  }

  // --- requests -----------------------------------------------------------------------------------------------------

  /** Answers a request of the server, on the side: what comes after it does not wait. */
  request(request: JsonRpc.Request): Effect.Effect<void> {
    if (this.era === "Modern") {
      // "The client MUST NOT send JSON-RPC responses" (2026-07-28, "Sending Messages").
      return Effect.logDebug("a stateless server must not send requests", request.method).pipe(annotated)
    }
    const key = JSON.stringify(request.id)
    const answered = this.handlers.answer(request.method, request.params).pipe(
      Effect.match({
        onFailure: (rejected) => JsonRpc.error(request.id, toErrorObject(rejected)),
        onSuccess: (result) => JsonRpc.success(request.id, result)
      }),
      // A handler that interrupts itself has not answered either; an interruption from outside does not come here.
      Effect.catchAllCause((cause) =>
        Effect.as(
          Effect.logError("a request of the server could not be answered", cause).pipe(annotated),
          JsonRpc.error(request.id, failedToAnswer)
        )
      ),
      Effect.flatMap((response) => this.respond(response)),
      Effect.catchAll((error) =>
        Effect.logWarning("an answer to the server could not be sent", error).pipe(
          annotated,
          Effect.annotateLogs({ method: request.method })
        )
      )
    )
    return Effect.asVoid(FiberMap.run(this.running, key, answered, { onlyIfMissing: true }))
  }

  /** What cannot be sent is answered by an error, so that the server does not wait for ever. */
  private respond(response: JsonRpc.Response): Effect.Effect<void, TransportError> {
    return Effect.catchIf(
      StreamableHttpTransport.notify(this.transport, response),
      (error) => error._tag === "ProtocolError" && error.reason === "InvalidMessage" && "result" in response,
      (error) =>
        Effect.zipRight(
          Effect.logError("what a request of the server was answered with cannot be sent", error).pipe(annotated),
          StreamableHttpTransport.notify(this.transport, JsonRpc.error(response.id ?? null, failedToAnswer))
        )
    )
  }

  /** Who tells does not wait until the handler has ended. */
  private cancelled(key: string): Effect.Effect<void> {
    return Effect.suspend(() =>
      Option.match(FiberMap.unsafeGet(this.running, key), {
        onNone: () => Effect.void,
        onSome: Fiber.interruptFork
      })
    )
  }

  private elicitationCompleted(id: string): Effect.Effect<void> {
    const told = Effect.catchAllCause(
      Effect.suspend(() => this.handlers.elicitationCompleted(id)),
      (cause) => Effect.logError("Elicitation.onComplete failed", cause).pipe(annotated)
    )
    return Effect.asVoid(FiberSet.run(this.completing, told))
  }

  /** The session is over: nobody waits for these answers any more. */
  readonly dropRequests: Effect.Effect<void> = Effect.suspend(() => FiberMap.clear(this.running))
}

const failedToAnswer: JsonRpc.ErrorObject = { code: -32603, message: "the client failed to answer" }

const annotated = Effect.annotateLogs({ package: "@effect-mcp/client" })

const malformed = (method: string): Effect.Effect<void> =>
  Effect.logDebug("a notification was not what the protocol defines", method).pipe(annotated)
