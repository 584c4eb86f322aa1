/**
 * A connected client and its server in memory, of either era, for the tests of calls: time is that of the `TestClock`.
 */
import { McpClient, type McpClientError } from "@effect-mcp/client"
import * as TestTransport from "@effect-mcp/testing/TestTransport"
import { JsonRpc, StreamableHttpTransport } from "@effect-mcp/transport"
import { assert } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import * as Queue from "effect/Queue"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { now, settle } from "../../testing/testTransportSubjects.ts"

export { failureNow, isRunning, now, settle, start } from "../../testing/testTransportSubjects.ts"

export type Era = "Legacy" | "Modern"

export const eras: ReadonlyArray<Era> = ["Legacy", "Modern"]

const handshake: ReadonlySet<string> = new Set(["initialize", "notifications/initialized", "server/discover"])

export const everything = {
  tools: { listChanged: true },
  resources: { subscribe: true, listChanged: true },
  prompts: { listChanged: true },
  completions: {},
  logging: {}
}

export type Replies = { readonly [method: string]: TestTransport.Reply | TestTransport.Handler }

export interface SubjectOptions extends Partial<McpClient.Options> {
  readonly server?: { readonly [capability: string]: unknown } | undefined
}

export interface Subject {
  readonly client: McpClient.Service
  readonly server: TestTransport.Server
  /** The next request that no reply was given for. */
  readonly next: Effect.Effect<TestTransport.IncomingRequest>
  /** What was sent beside the handshake; with a method only that. */
  readonly sent: (method?: string) => Effect.Effect<ReadonlyArray<JsonRpc.Message>>
  /** The methods of what was sent beside the handshake. */
  readonly methods: Effect.Effect<ReadonlyArray<string>>
  /** Closes the client, not the transport. */
  readonly close: Effect.Effect<void>
}

/** A client of this era. What the replies do not speak of waits in `next`; notifications are accepted. */
export const connected = (
  era: Era,
  replies: Replies = {},
  { server: capabilities = everything, ...options }: SubjectOptions = {}
): Effect.Effect<Subject, never, Scope.Scope> =>
  Effect.gen(function*() {
    const { server, transport } = yield* TestTransport.pair()
    const unanswered = yield* Queue.unbounded<TestTransport.IncomingRequest>()
    const scope = yield* Effect.scope
    const script: Replies = {
      "initialize": ({ params }) => TestTransport.result(initializeResult(params?.protocolVersion, capabilities)),
      "server/discover": TestTransport.result(discoverResult(capabilities)),
      "ping": TestTransport.result({}),
      ...replies
    }
    yield* server.incoming.pipe(
      Stream.runForEach((incoming) =>
        incoming._tag === "Request" && !Object.hasOwn(script, incoming.message.method)
          ? Effect.asVoid(Queue.offer(unanswered, incoming))
          : Effect.asVoid(Effect.forkIn(TestTransport.answer(incoming, script), scope))
      ),
      Effect.forkScoped
    )
    const clientScope = yield* Effect.acquireRelease(Scope.make(), (scope) => Scope.close(scope, Exit.void))
    const client = yield* McpClient.make({
      clientInfo: { name: "test", version: "1.0.0" },
      protocol: era === "Legacy" ? "2025-11-25" : "2026-07-28",
      ...options
    }).pipe(
      Effect.provideService(StreamableHttpTransport.StreamableHttpTransport, transport),
      Scope.extend(clientScope),
      Effect.orDie
    )
    yield* settle
    const sent = (method?: string) =>
      Effect.map(server.sent, (messages) =>
        messages.filter((message) =>
          "method" in message && (method === undefined ? !handshake.has(message.method) : message.method === method)
        ))
    return {
      client,
      server,
      next: now(Queue.take(unanswered)),
      sent,
      methods: Effect.map(sent(), (messages) =>
        messages.map((message) =>
          "method" in message ? message.method : ""
        )),
      close: Scope.close(clientScope, Exit.void)
    }
  })

export const initializeResult = (protocolVersion: unknown, capabilities: unknown) => ({
  protocolVersion,
  capabilities,
  serverInfo: { name: "scripted", version: "2.0.0" }
})

export const discoverResult = (capabilities: unknown) => ({
  resultType: "complete",
  supportedVersions: ["2026-07-28"],
  capabilities,
  ttlMs: 0,
  cacheScope: "private"
})

// --- messages -------------------------------------------------------------------------------------------------------

export const metaOf = (message: JsonRpc.Message | undefined): { readonly [name: string]: unknown } => {
  const meta: unknown = message !== undefined && "params" in message ? message.params?._meta : undefined
  return typeof meta === "object" && meta !== null ? Object.fromEntries(Object.entries(meta)) : {}
}

export const progressOf = (request: JsonRpc.Message, progress: number): JsonRpc.Notification =>
  JsonRpc.notification("notifications/progress", { progressToken: tokenOf(request), progress })

/** What was asked for as the token of progress. */
export const tokenOf = (request: JsonRpc.Message): string | number => {
  const { progressToken } = metaOf(request)
  assert(typeof progressToken === "string" || typeof progressToken === "number", "no progressToken was sent")
  return progressToken
}

export const logOf = (data: unknown, level = "info"): JsonRpc.Notification =>
  JsonRpc.notification("notifications/message", { level, data })

export const updated = (uri: string): JsonRpc.Notification =>
  JsonRpc.notification("notifications/resources/updated", { uri })

export const changed = (list: "tools" | "resources" | "prompts"): JsonRpc.Notification =>
  JsonRpc.notification(`notifications/${list}/list_changed`)

export const tool = (name: string, more: { readonly [member: string]: unknown } = {}) => ({
  name,
  inputSchema: { type: "object" },
  ...more
})

export const text = (text: string) => ({ content: [{ type: "text", text }] })

// --- observing ------------------------------------------------------------------------------------------------------

/** Runs a stream in the background and keeps what it gives, until it ends or the scope does. */
export const collecting = <A, E>(stream: Stream.Stream<A, E>) =>
  Effect.gen(function*() {
    const seen: Array<A> = []
    const fiber = yield* Effect.forkScoped(
      Stream.runForEach(stream, (item) => Effect.sync(() => void seen.push(item)))
    )
    yield* settle
    return { seen, fiber }
  })

export const listed = <A, E>(stream: Stream.Stream<A, E>): Effect.Effect<ReadonlyArray<A>, E> =>
  now(Effect.map(Stream.runCollect(stream), Chunk.toReadonlyArray))

/** What is logged from now on, as one text a line. */
export const logged = <A, E, R>(
  effect: Effect.Effect<A, E, R>
): Effect.Effect<readonly [A, ReadonlyArray<string>], E, R> =>
  Effect.suspend(() => {
    const lines: Array<string> = []
    const logger = Logger.make(({ logLevel, message }) => {
      lines.push(`${logLevel.label} ${Array.isArray(message) ? message.map(String).join(" ") : String(message)}`)
    })
    return Effect.map(Effect.provide(effect, Logger.add(logger)), (value) => [value, lines] as const)
  })

/** The typed failure of this kind. */
export const failedWith = <Tag extends McpClientError.McpClientError["_tag"]>(
  tag: Tag,
  effect: Effect.Effect<unknown, McpClientError.McpClientError>
): Effect.Effect<Extract<McpClientError.McpClientError, { readonly _tag: Tag }>> =>
  Effect.flatMap(now(Effect.exit(effect)), (exit) => failureIn(tag, exit))

export const failureOf = <Tag extends McpClientError.McpClientError["_tag"]>(
  tag: Tag,
  fiber: Fiber.RuntimeFiber<unknown, McpClientError.McpClientError>
): Effect.Effect<Extract<McpClientError.McpClientError, { readonly _tag: Tag }>> =>
  Effect.flatMap(now(Fiber.await(fiber)), (exit) => failureIn(tag, exit))

const failureIn = <Tag extends McpClientError.McpClientError["_tag"]>(
  tag: Tag,
  exit: Exit.Exit<unknown, McpClientError.McpClientError>
): Effect.Effect<Extract<McpClientError.McpClientError, { readonly _tag: Tag }>> => {
  const error = Exit.isFailure(exit) && exit.cause._tag === "Fail" ? exit.cause.error : undefined
  return hasTag(tag, error)
    ? Effect.succeed(error)
    : Effect.dieMessage(`expected ${tag}, got ${error === undefined ? String(exit) : String(error)}`)
}

const hasTag = <Tag extends McpClientError.McpClientError["_tag"]>(
  tag: Tag,
  error: McpClientError.McpClientError | undefined
): error is Extract<McpClientError.McpClientError, { readonly _tag: Tag }> => error?._tag === tag
