/**
 * Puts the parts together: the service.
 */
import * as StreamableHttpTransport from "@effect-mcp/transport/StreamableHttpTransport"
import * as Effect from "effect/Effect"
import * as FiberHandle from "effect/FiberHandle"
import * as FiberSet from "effect/FiberSet"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Options, Service } from "../McpClient.ts"
import type { McpClientError } from "../McpClientError.ts"
import * as McpClientMetrics from "../McpClientMetrics.ts"
import { Calls } from "./calls.ts"
import { Connector } from "./connector.ts"
import { Deadlines } from "./deadlines.ts"
import { Exchanges, type Fork } from "./exchange.ts"
import { Handlers, provided } from "./handlers.ts"
import { Inbound } from "./inbound.ts"
import { Lists } from "./lists.ts"
import { LogLevel } from "./logLevel.ts"
import { Negotiator } from "./negotiator.ts"
import { Operations } from "./operations.ts"
import { resolve } from "./options.ts"
import { ResponseCache } from "./responseCache.ts"
import { listen } from "./serverStream.ts"
import { Subscriptions } from "./subscriptions.ts"
import { ToolCalls } from "./toolCalls.ts"
import { Tools } from "./tools.ts"

export const make = (
  given: Options
): Effect.Effect<Service, McpClientError, StreamableHttpTransport.StreamableHttpTransport | Scope.Scope> =>
  Effect.gen(function*() {
    const options = resolve(given)
    const transport = yield* StreamableHttpTransport.StreamableHttpTransport
    const clock = yield* Effect.clock
    const now = () => clock.unsafeCurrentTimeMillis()
    const fork: Fork = yield* FiberSet.makeRuntime<never>()
    const listening = yield* FiberHandle.make<void>()
    const handlers = new Handlers(yield* provided)
    const cache = new ResponseCache(options.maxCached, options.maxAge)
    const tools = new Tools()
    const inbound = yield* Inbound.make(transport, handlers, cache, tools)
    const lastId = yield* lastIdBefore(transport)
    const exchanges = new Exchanges(transport, clock, new Deadlines(clock, fork), inbound, fork, lastId)
    inbound.onProgress = exchanges.strayProgress
    yield* Effect.addFinalizer(() => exchanges.close)
    const capabilities = handlers.capabilities(given.capabilities)
    const negotiator = new Negotiator(transport, exchanges, options, capabilities)
    const connector = yield* Connector.make(negotiator, fork)
    const calls = new Calls(connector, exchanges, handlers, options)
    const operations = new Operations(calls, connector, cache, options, now)
    const lists = new Lists(calls, connector, cache, tools, options, now)
    const toolCalls = new ToolCalls(calls, connector, lists, tools, options)
    const subscriptions = new Subscriptions(calls, connector, exchanges, inbound, fork, clock, options.limits.idle)
    const { listChanges, subscribe } = yield* subscriptions.make
    const logLevel = new LogLevel(calls, connector, exchanges, options.logLevel)

    connector.onConnected = (connection) => {
      inbound.era = connection.era
      cache.clear()
      tools.clear()
      if (connection.era === "Legacy") {
        fork(logLevel.restore)
        const listens = listen(transport, connector, inbound, subscriptions)
        fork(FiberHandle.run(listening, listens, { onlyIfMissing: true }))
      } else {
        fork(FiberHandle.clear(listening))
      }
    }
    connector.onLost = () => {
      fork(inbound.dropRequests)
    }
    connector.onReconnected = () => {
      subscriptions.restore()
    }

    const startedAt = now()
    yield* connector.connect
    // What the server sends of its own accord needs its stream: that is asked for before the first call can be sent.
    yield* Effect.repeatN(Effect.yieldNow(), 5)
    yield* Effect.addFinalizer(() => Metric.update(McpClientMetrics.sessionDuration, (now() - startedAt) / 1000))
    yield* announceRoots(handlers, connector, exchanges)

    return {
      get server() {
        return connector.current.server
      },
      verdict: Effect.sync(() => connector.current.verdict),
      state: connector.state.get,
      stateChanges: Stream.takeUntil(connector.state.changes, ({ _tag }) => _tag === "Closed"),
      tools: lists.tools,
      callTool: toolCalls.callTool,
      callToolStream: (name, args, callOptions) => toolCalls.stream(name, args, callOptions),
      resources: lists.resources,
      resourceTemplates: lists.resourceTemplates,
      readResource: (uri, callOptions) => operations.readResource(uri, callOptions),
      subscribe,
      prompts: lists.prompts,
      getPrompt: (name, args, callOptions) => operations.getPrompt(name, args, callOptions),
      complete: (reference, argument, callOptions) => operations.complete(reference, argument, callOptions),
      listChanges,
      logs: Stream.fromPubSub(inbound.logs),
      setLogLevel: (level) => logLevel.set(level),
      notifications: Stream.fromPubSub(inbound.notifications),
      ping: operations.ping,
      request: (method, params, callOptions) =>
        operations.run({ method, params, mayNeedInput: true, repeat: "Never" }, callOptions),
      notify: (method, params) =>
        Effect.flatMap(connector.ready, (connection) => exchanges.notify(connection, method, params))
    }
  })

/**
 * Ids begin at 1, except in a session that another client has used before: there they begin anywhere, because the same id
 * must not be used twice (2025-11-25, "Requests").
 */
const lastIdBefore = (transport: StreamableHttpTransport.Service): Effect.Effect<number> =>
  Effect.flatMap(
    transport.session,
    (session) => session._tag === "Active" ? Random.nextIntBetween(1_000_000_000, 2_000_000_000) : Effect.succeed(0)
  )

/** Tells a server with sessions when the roots change; a stateless one asks when it needs them. */
const announceRoots = (
  { provided: { roots } }: Handlers,
  connector: Connector,
  exchanges: Exchanges
): Effect.Effect<void, never, Scope.Scope> => {
  const changes = Option.isSome(roots) ? roots.value.changes : undefined
  if (changes === undefined) return Effect.void
  const announce = Effect.flatMap(
    connector.ready,
    (connection) =>
      connection.era === "Modern" ? Effect.void : exchanges.notify(connection, "notifications/roots/list_changed")
  )
  const announced = Stream.runForEach(
    changes,
    () =>
      Effect.catchAll(
        announce,
        (error) =>
          Effect.logWarning("the server could not be told that the roots have changed", error).pipe(
            Effect.annotateLogs({ package: "@effect-mcp/client" })
          )
      )
  )
  return Effect.asVoid(Effect.forkScoped(announced))
}
