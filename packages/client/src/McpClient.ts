/**
 * A typed client of one MCP server, over any `StreamableHttpTransport` service.
 *
 * It speaks both eras of the protocol behind one interface: the versions with sessions, 2025-03-26 to 2025-11-25
 * (`Legacy`), and the stateless 2026-07-28 (`Modern`), and finds out at run time which one the server speaks.
 *
 * @since 0.1.0
 */
import type * as JsonRpc from "@effect-mcp/transport/JsonRpc"
import type * as StreamableHttpTransport from "@effect-mcp/transport/StreamableHttpTransport"
import * as Config from "effect/Config"
import type * as ConfigError from "effect/ConfigError"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import type { Implementation, ServerCapabilities } from "./Capability.ts"
import type { CompleteResult, Reference } from "./Completion.ts"
import * as internal from "./internal/client.ts"
import { DiscoverResult, type Era, InitializeResult, type ProtocolVersion } from "./Lifecycle.ts"
import type { LoggingLevel, LoggingMessage } from "./Logging.ts"
import type { McpClientError } from "./McpClientError.ts"
import type { Progress } from "./Progress.ts"
import type { GetPromptResult, Prompt } from "./Prompt.ts"
import type { ReplayPolicy } from "./ReplayPolicy.ts"
import type { ReadResourceResult, Resource, ResourceTemplate } from "./Resource.ts"
import type { CallToolResult, Tool } from "./Tool.ts"

// --- options --------------------------------------------------------------------------------------------------------

/**
 * What was found out about a server: keep it and give it back as `Options.verdict`, and the next client saves the
 * question. All of it is JSON.
 *
 * @since 0.1.0
 * @category models
 */
export type Verdict =
  | { readonly era: "Modern"; readonly protocolVersion: string; readonly server: DiscoverResult }
  | { readonly era: "Legacy"; readonly protocolVersion: string; readonly server: InitializeResult }

/**
 * A verdict as it is stored.
 *
 * @example
 * ```ts
 * import { McpClient } from "@effect-mcp/client"
 * import { KeyValueStore } from "@effect/platform"
 * import { Effect } from "effect"
 *
 * const keep = Effect.gen(function*() {
 *   const client = yield* McpClient.McpClient
 *   const store = (yield* KeyValueStore.KeyValueStore).forSchema(McpClient.Verdict)
 *   yield* store.set("https://mcp.example.com/mcp", yield* client.verdict)
 * })
 * ```
 *
 * @since 0.1.0
 * @category schemas
 */
export const Verdict: Schema.Schema<Verdict> = Schema.Union(
  Schema.Struct({ era: Schema.Literal("Modern"), protocolVersion: Schema.String, server: DiscoverResult }),
  Schema.Struct({ era: Schema.Literal("Legacy"), protocolVersion: Schema.String, server: InitializeResult })
)

/**
 * Options of a client. All but `clientInfo` may be left out or `undefined`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** Name and version of your application, told to the server. */
  readonly clientInfo: Implementation
  /**
   * `"auto"`, the default, asks the server (`server/discover`) and falls back to `initialize` as the specification says.
   * A version pins it: nothing is asked, and a server that does not speak it is a `NegotiationError`.
   */
  readonly protocol?: "auto" | ProtocolVersion | undefined
  /**
   * What an earlier client found out about this server ({@link Service.verdict}), so that `"auto"` need not ask. A
   * verdict that turns out to be wrong is found out anew. Default none.
   */
  readonly verdict?: Verdict | undefined
  /** Declared to the server beside what follows from the services provided. Default none. */
  readonly capabilities?: {
    readonly experimental?: { readonly [name: string]: { readonly [setting: string]: unknown } } | undefined
    readonly extensions?: { readonly [name: string]: { readonly [setting: string]: unknown } } | undefined
  } | undefined
  /** How long any call may take until it is answered, whatever comes for it; `"infinity"` for no limit. Default 1 hour. */
  readonly timeout?: Duration.DurationInput | "infinity" | undefined
  /**
   * How long a call waits while nothing comes for it; progress and every other message of the call begin the wait anew,
   * once the application is done with it. `"infinity"` for no limit. Default 1 minute.
   */
  readonly idleTimeout?: Duration.DurationInput | "infinity" | undefined
  /** From which level on the server is to send log messages. Default: the server decides (2025), none (2026). */
  readonly logLevel?: LoggingLevel | undefined
  /** How many pages of a list are fetched before it counts as endless. Default 1 000. */
  readonly maxPages?: number | undefined
  /** How often a call may be answered with a demand for input before it is given up. Default 10. */
  readonly maxInputRounds?: number | undefined
  /**
   * Whether answers that the server says may be kept (`ttlMs`) are, and how many. Changes that the server announces make
   * them stale at once. `false` keeps nothing. Default `{ maxEntries: 256 }`.
   */
  readonly cache?: false | {
    /** How many answers are kept; the oldest is dropped. Default 256. */
    readonly maxEntries?: number | undefined
    /** No answer is kept longer, whatever the server says. Default 1 hour. */
    readonly maxAge?: Duration.DurationInput | undefined
  } | undefined
  /** Whether a tool may be called again when nobody knows if it ran: see {@link ReplayPolicy}. Default `never`. */
  readonly replayPolicy?: ReplayPolicy | undefined
  /** Told of every item of a list that had to be left out. Default: a warning is logged. */
  readonly onInvalidItem?: ((item: InvalidItem) => Effect.Effect<void>) | undefined
}

/**
 * An item of a list that is not what the protocol defines. It is left out, the others are not.
 *
 * @since 0.1.0
 * @category models
 */
export interface InvalidItem {
  readonly list: "tools" | "resources" | "resourceTemplates" | "prompts"
  /** Its name or URI, if it has one. */
  readonly name: string | undefined
  /** What is wrong with it. */
  readonly problem: string
  /** As it came. */
  readonly item: unknown
}

/**
 * Options of any call.
 *
 * @since 0.1.0
 * @category models
 */
export interface CallOptions {
  /** See {@link Options}; `"infinity"` for no limit. */
  readonly timeout?: Duration.DurationInput | "infinity" | undefined
  /** See {@link Options}; `"infinity"` for no limit. */
  readonly idleTimeout?: Duration.DurationInput | "infinity" | undefined
  /** Run for every report of progress, in order; the next is taken when it has ended. */
  readonly onProgress?: ((progress: Progress) => Effect.Effect<void>) | undefined
  /** Run for every log message that the server sends with this call, which `logs` emits as well. */
  readonly onLog?: ((message: LoggingMessage) => Effect.Effect<void>) | undefined
  /** More members for the `_meta` of the request. */
  readonly meta?: { readonly [name: string]: unknown } | undefined
}

/**
 * Options of a tool call.
 *
 * @since 0.1.0
 * @category models
 */
export interface CallToolOptions extends CallOptions {
  /** Fail with `ToolError` when the tool reports a failure (`isError`). Default false: the result says so. */
  readonly failOnToolError?: boolean | undefined
}

// --- what comes -----------------------------------------------------------------------------------------------------

/**
 * The server as it introduced itself.
 *
 * @since 0.1.0
 * @category models
 */
export interface Server {
  /** `"unknown"` when a stateless server does not tell. */
  readonly name: string
  /** `"unknown"` when a stateless server does not tell. */
  readonly version: string
  /** All that it told of itself: title, icons, and so on. */
  readonly info: Implementation | undefined
  readonly capabilities: ServerCapabilities
  /** How to use the server, for a language model. */
  readonly instructions: string | undefined
  readonly protocolVersion: string
  readonly era: Era
}

/**
 * How the client is doing: `Connecting` until the server has introduced itself; `Ready`; `Recovering` while a lost session
 * is replaced (and until a call succeeds in doing so); `Closed` once its scope is.
 *
 * @since 0.1.0
 * @category models
 */
export type ClientState =
  | { readonly _tag: "Connecting" }
  | { readonly _tag: "Ready"; readonly server: Server }
  | { readonly _tag: "Recovering"; readonly cause: McpClientError }
  | { readonly _tag: "Closed" }

/**
 * What comes while a tool runs, and its result at the end.
 *
 * @since 0.1.0
 * @category models
 */
export type CallEvent =
  | { readonly _tag: "Progress"; readonly progress: Progress }
  | { readonly _tag: "Log"; readonly message: LoggingMessage }
  | { readonly _tag: "Result"; readonly result: CallToolResult }

/**
 * A list of the server has changed, or may have changed while nobody could tell (`afterGap`).
 *
 * @since 0.1.0
 * @category models
 */
export interface ListChange {
  readonly list: "tools" | "resources" | "prompts"
  readonly afterGap: boolean
}

/**
 * A resource has changed, or may have changed while nobody could tell (`afterGap`).
 *
 * @since 0.1.0
 * @category models
 */
export interface ResourceUpdate {
  readonly uri: string
  readonly afterGap: boolean
}

/**
 * Calls a tool: with `result`, gives the structured content decoded by this schema (or a text that is its JSON);
 * without, gives what the tool answered.
 *
 * @since 0.1.0
 * @category models
 */
export interface CallTool {
  <A, I, R>(
    name: string,
    args: { readonly [name: string]: unknown } | undefined,
    options: CallToolOptions & { readonly result: Schema.Schema<A, I, R> }
  ): Effect.Effect<A, McpClientError, R>
  (
    name: string,
    args?: { readonly [name: string]: unknown } | undefined,
    options?: CallToolOptions | undefined
  ): Effect.Effect<CallToolResult, McpClientError>
}

/**
 * The client of one MCP server.
 *
 * Interrupting a call cancels it on the server in the way of its era: by `notifications/cancelled`, or by closing its
 * stream.
 *
 * @example
 * ```ts
 * import { McpClient } from "@effect-mcp/client"
 * import { StreamableHttpTransport } from "@effect-mcp/transport"
 * import { FetchHttpClient } from "@effect/platform"
 * import { Console, Effect, Layer, Stream } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const client = yield* McpClient.McpClient
 *   yield* Console.log(`${client.server.name} speaks ${client.server.protocolVersion}`)
 *   yield* Stream.runForEach(client.tools, (tool) => Console.log(tool.name))
 *   const { content } = yield* client.callTool("add", { a: 1, b: 2 })
 *   yield* Console.log(content)
 * })
 *
 * const Live = McpClient.layer({ clientInfo: { name: "app", version: "1.0.0" } }).pipe(
 *   Layer.provide(StreamableHttpTransport.layer({ url: "http://127.0.0.1:3000/mcp" })),
 *   Layer.provide(FetchHttpClient.layer)
 * )
 *
 * const main = program.pipe(Effect.provide(Live))
 * ```
 *
 * @since 0.1.0
 * @category tags
 */
export class McpClient extends Context.Tag("@effect-mcp/client/McpClient")<McpClient, {
  /** The server as it introduced itself, now: a session that was replaced may have brought another version. */
  readonly server: Server
  /** What was found out about the server, to be given to the next client. */
  readonly verdict: Effect.Effect<Verdict>
  /** How the client is doing now. */
  readonly state: Effect.Effect<ClientState>
  /** The state now, then every change; ends with `Closed`. */
  readonly stateChanges: Stream.Stream<ClientState>

  /** All tools: pages are fetched as they are needed. A malformed tool is left out and reported, not fatal. */
  readonly tools: Stream.Stream<Tool, McpClientError>
  /** Calls a tool. Structured content is validated against the output schema of the tool. */
  readonly callTool: CallTool
  /** Calls a tool and emits what comes while it runs, then the result. A slow consumer slows the server. */
  readonly callToolStream: (
    name: string,
    args?: { readonly [name: string]: unknown } | undefined,
    options?: CallToolOptions | undefined
  ) => Stream.Stream<CallEvent, McpClientError>

  /** All resources; see `tools`. */
  readonly resources: Stream.Stream<Resource, McpClientError>
  /** All resource templates; see `tools`. */
  readonly resourceTemplates: Stream.Stream<ResourceTemplate, McpClientError>
  readonly readResource: (uri: string, options?: CallOptions) => Effect.Effect<ReadResourceResult, McpClientError>
  /**
   * What happens to a resource from now on. Everybody who listens to the same URI shares one subscription. It is restored
   * when a session is replaced or a stream was lost, with an update `afterGap`. A listener that falls more than 1 024
   * behind loses the oldest.
   */
  readonly subscribe: (uri: string) => Stream.Stream<ResourceUpdate, McpClientError>

  /** All prompts; see `tools`. */
  readonly prompts: Stream.Stream<Prompt, McpClientError>
  readonly getPrompt: (
    name: string,
    args?: { readonly [name: string]: string } | undefined,
    options?: CallOptions | undefined
  ) => Effect.Effect<GetPromptResult, McpClientError>

  /** Proposals for an argument of a prompt or a resource template. `context` has the arguments chosen already. */
  readonly complete: (
    reference: Reference,
    argument: { readonly name: string; readonly value: string },
    options?: CallOptions & { readonly context?: { readonly [name: string]: string } | undefined }
  ) => Effect.Effect<CompleteResult["completion"], McpClientError>

  /** Changes of the server's lists from now on; see `subscribe`. */
  readonly listChanges: Stream.Stream<ListChange, McpClientError>
  /** Log messages of the server from now on. A listener that falls more than 1 024 behind loses the oldest. */
  readonly logs: Stream.Stream<LoggingMessage>
  /** From which level on the server is to send log messages from now on; kept when a session is replaced. */
  readonly setLogLevel: (level: LoggingLevel) => Effect.Effect<void, McpClientError>
  /** Every notification of the server from now on, also those that this client has no use for; see `logs`. */
  readonly notifications: Stream.Stream<JsonRpc.Notification>

  /** Whether the server answers. */
  readonly ping: Effect.Effect<void, McpClientError>
  /** Any other request, such as one of an extension: gives the result as it came. It is never sent twice. */
  readonly request: (
    method: string,
    params?: JsonRpc.Params | undefined,
    options?: CallOptions | undefined
  ) => Effect.Effect<{ readonly [member: string]: unknown }, McpClientError>
  /** Sends a notification. */
  readonly notify: (method: string, params?: JsonRpc.Params | undefined) => Effect.Effect<void, McpClientError>
}>() {}

/**
 * @since 0.1.0
 * @category models
 */
export type Service = Context.Tag.Service<typeof McpClient>

// --- constructors ---------------------------------------------------------------------------------------------------

/**
 * Connects to the server and gives the client once the server has introduced itself. The services `Sampling`,
 * `Elicitation` and `Roots` are taken from the context if they are there: what is declared to the server follows from
 * that. Closing the scope ends what the client does in the background; the session ends with the transport.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: (
  options: Options
) => Effect.Effect<Service, McpClientError, StreamableHttpTransport.StreamableHttpTransport | Scope.Scope> =
  internal.make

/**
 * {@link make} as a layer.
 *
 * @example
 * ```ts
 * import { Elicitation, McpClient } from "@effect-mcp/client"
 * import { StreamableHttpTransport } from "@effect-mcp/transport"
 * import { FetchHttpClient } from "@effect/platform"
 * import { Effect, Layer } from "effect"
 *
 * const Answers = Elicitation.layer({
 *   form: (params) => Effect.succeed(Elicitation.accept(Elicitation.defaults(params)))
 * })
 *
 * const Live = McpClient.layer({ clientInfo: { name: "app", version: "1.0.0" } }).pipe(
 *   Layer.provide(Answers),
 *   Layer.provide(StreamableHttpTransport.layer({ url: "http://127.0.0.1:3000/mcp" })),
 *   Layer.provide(FetchHttpClient.layer)
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  options: Options
): Layer.Layer<McpClient, McpClientError, StreamableHttpTransport.StreamableHttpTransport> =>
  Layer.scoped(McpClient, make(options))

/**
 * {@link layer} with options from `Config`.
 *
 * @example
 * ```ts
 * import { McpClient } from "@effect-mcp/client"
 * import { Config } from "effect"
 *
 * const Live = McpClient.layerConfig({
 *   clientInfo: Config.succeed({ name: "app", version: "1.0.0" }),
 *   timeout: Config.duration("MCP_TIMEOUT").pipe(Config.withDefault("5 minutes"))
 * })
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = (
  options: Config.Config.Wrap<Options>
): Layer.Layer<
  McpClient,
  McpClientError | ConfigError.ConfigError,
  StreamableHttpTransport.StreamableHttpTransport
> => Layer.scoped(McpClient, Effect.flatMap(Config.unwrap(options), make))
