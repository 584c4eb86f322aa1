/**
 * What the end-to-end tests of the client do over and over: connect over one of the two stacks, collect what comes, look
 * at the wire.
 */
import { McpClient } from "@effect-mcp/client"
import type { McpClientError, Tool } from "@effect-mcp/client"
import { StreamableHttpTransport } from "@effect-mcp/transport"
import { assert, describe } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { type Client as Stack, clients, connect as connectTransport } from "../support/harness.ts"
import * as Calls from "./calls.ts"
import type { Exchange, TestServer } from "./testServer.ts"

export type { Stack }

const stacks = clients.filter(({ name }) => name === "fetch" || name === "transport-node")

/** The same tests over fetch and over transport-node. */
export const overBothStacks = (name: string, define: (stack: Stack) => void): void => {
  describe.each(stacks)(`${name} over $name`, define)
}

export interface ConnectOptions extends Partial<McpClient.Options> {
  /** `Sampling`, `Elicitation`, `Roots`. */
  readonly services?: Layer.Layer<never> | undefined
}

/** A client that lives as long as the surrounding scope. */
export const connect = (
  stack: Stack,
  server: Pick<TestServer, "url">,
  { services, ...options }: ConnectOptions = {}
): Effect.Effect<McpClient.Service, McpClientError.McpClientError, Scope.Scope> =>
  Effect.gen(function*() {
    const transport = yield* connectTransport(stack, server)
    const layer = McpClient.layer({ clientInfo: { name: "end-to-end", version: "1.0.0" }, ...options }).pipe(
      Layer.provide(services ?? Layer.empty),
      Layer.provide(Layer.succeed(StreamableHttpTransport.StreamableHttpTransport, transport))
    )
    return Context.get(yield* Layer.build(layer), McpClient.McpClient)
  })

/** Everything a stream emits. */
export const collect = <A, E, R>(stream: Stream.Stream<A, E, R>): Effect.Effect<ReadonlyArray<A>, E, R> =>
  Effect.map(Stream.runCollect(stream), Chunk.toReadonlyArray)

export interface Heard<A, E> {
  readonly heard: ReadonlyArray<A>
  readonly fiber: Fiber.RuntimeFiber<void, E>
  /** Waits until so many have come, and gives all. */
  readonly atLeast: (count: number) => Effect.Effect<ReadonlyArray<A>>
}

/** Listens until the surrounding scope ends. */
export const listen = <A, E>(stream: Stream.Stream<A, E>): Effect.Effect<Heard<A, E>, never, Scope.Scope> =>
  Effect.gen(function*() {
    const heard: Array<A> = []
    const fiber = yield* Effect.forkScoped(
      Stream.runForEach(stream, (item) => Effect.sync(() => void heard.push(item)))
    )
    // The subscriptions of a client begin when the stream is run.
    yield* Effect.yieldNow()
    return {
      heard,
      fiber,
      atLeast: (count) => Effect.as(Calls.until(`${count} were heard`, Effect.sync(() => heard.length >= count)), heard)
    }
  })

/** The texts of a result. */
export const textOf = ({ content }: Tool.CallToolResult): string =>
  content.map((block) => block.type === "text" && "text" in block ? String(block.text) : `<${block.type}>`).join("\n")

/** Calls a tool and gives the texts of its result; a failure of the tool fails the test. */
export const call = (
  client: McpClient.Service,
  name: string,
  args?: { readonly [name: string]: unknown },
  options?: McpClient.CallToolOptions
): Effect.Effect<string, McpClientError.McpClientError> =>
  Effect.map(client.callTool(name, args, { ...options, failOnToolError: true }), textOf)

/** The failure of an effect; a success fails the test. */
export const failureOf = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<E, never, R> =>
  Effect.catchAll(
    Effect.flip(effect),
    (success) => Effect.sync(() => assert.fail(`it succeeded: ${JSON.stringify(success)}`))
  )

/** The failure of an effect, which has to have this tag. */
export const failureWith = <A, E extends { readonly _tag: string }, R, const Tag extends E["_tag"]>(
  effect: Effect.Effect<A, E, R>,
  tag: Tag
): Effect.Effect<Extract<E, { readonly _tag: Tag }>, never, R> =>
  Effect.map(failureOf(effect), (error) => hasTag<E, Tag>(error, tag) ? error : assert.fail(`no ${tag}: ${error}`))

const hasTag = <E extends { readonly _tag: string }, Tag extends string>(
  error: E,
  tag: Tag
): error is Extract<E, { readonly _tag: Tag }> => error._tag === tag

const Posted = Schema.parseJson(Schema.Struct({
  id: Schema.optional(Schema.Union(Schema.String, Schema.Number)),
  method: Schema.optional(Schema.String),
  params: Schema.optional(Schema.Record({ key: Schema.String, value: Schema.Unknown })),
  result: Schema.optional(Schema.Unknown),
  error: Schema.optional(Schema.Unknown)
}))

type Message = Schema.Schema.Type<typeof Posted>

export interface Sent extends Message {
  readonly exchange: Exchange
}

/** The messages that the client has sent. */
export const sent = (server: Calls.Watched<Exchange>): Effect.Effect<ReadonlyArray<Sent>> =>
  Effect.map(
    server.wire,
    (wire) =>
      wire.filter(({ method }) => method === "POST").map((exchange) =>
        Object.assign(Schema.decodeSync(Posted)(exchange.body), { exchange })
      )
  )

/** Waits until the client has sent a message with this method, and gives it. */
export const untilSent = (server: Calls.Watched<Exchange>, method: string): Effect.Effect<Sent> =>
  Effect.suspend(() => {
    const found = Effect.map(sent(server), (messages) => messages.find((message) => message.method === method))
    return Effect.flatMap(
      Calls.until(`${method} was sent`, Effect.map(found, (message) => message !== undefined)),
      () => Effect.map(found, (message) => message ?? assert.fail(method))
    )
  })

/** The `_meta` of what was sent. */
export const metaOf = (message: Sent | undefined): { readonly [name: string]: unknown } => {
  const meta: unknown = message?.params?._meta
  return typeof meta === "object" && meta !== null ? { ...meta } : {}
}
