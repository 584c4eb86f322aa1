/**
 * The tools of an MCP server as a `Toolkit` of `@effect/ai`, so that a language model can call them. The names, the
 * descriptions and the JSON Schemas of the arguments are the server's, the calls go through the {@link McpClient}.
 *
 * It is an entry of its own, `@effect-mcp/client/AiToolkit`, and needs `@effect/ai` 0.37.
 *
 * @example
 * ```ts
 * import { LanguageModel } from "@effect/ai"
 * import * as AiToolkit from "@effect-mcp/client/AiToolkit"
 * import { Effect } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const toolkit = yield* AiToolkit.make({ filter: (tool) => tool.annotations?.readOnlyHint === true })
 *   const response = yield* LanguageModel.generateText({ prompt: "What is the weather in Bern?", toolkit })
 *   return response.toolResults
 * })
 * ```
 *
 * @since 0.1.0
 */
import * as Prompt from "@effect/ai/Prompt"
import * as AiTool from "@effect/ai/Tool"
import * as Toolkit from "@effect/ai/Toolkit"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { isCallToolResult } from "./internal/guards.ts"
import { binaryContents, modelOutput } from "./internal/modelOutput.ts"
import { isObject } from "./internal/wire.ts"
import * as McpClient from "./McpClient.ts"
import * as McpClientError from "./McpClientError.ts"
import type { CallToolResult, InputSchema, Tool } from "./Tool.ts"

// --- options --------------------------------------------------------------------------------------------------------

/**
 * Options of {@link make} and {@link stream}. All may be left out or `undefined`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** Which tools the model gets. What a tool says of itself (`annotations`) can be wrong. Default: all. */
  readonly filter?: ((tool: Tool) => boolean) | undefined
  /** Put before every name, to tell the servers of several clients apart. Default none. */
  readonly prefix?: string | undefined
  /**
   * What the model is to call a tool; used as it is, behind the `prefix`. Default: the name of the tool, with `_` in the
   * place of what models do not accept, and cut to 64 characters with the prefix (`^[A-Za-z0-9_-]{1,64}$`).
   */
  readonly rename?: ((tool: Tool) => string) | undefined
  /**
   * What happens when a call fails, because the tool says so (`isError`) or for any other reason. `"return"`: the model
   * is told and can try something else; `result` is the error, `isFailure` is true. `"error"`: the generation fails with
   * the error. Default `"return"`.
   */
  readonly failureMode?: AiTool.FailureMode | undefined
  /** Options of every call, such as its `timeout`. */
  readonly call?: McpClient.CallOptions | undefined
}

// --- models ---------------------------------------------------------------------------------------------------------

/**
 * The arguments of a call as the model gave them. That they match the JSON Schema of the tool is for the server to judge.
 *
 * @since 0.1.0
 * @category models
 */
export interface Arguments {
  readonly [name: string]: unknown
}

/**
 * The schema of {@link Arguments}. Its JSON Schema is the input schema of the tool, unchanged.
 *
 * @since 0.1.0
 * @category models
 */
export interface ArgumentsSchema extends Schema.declare<Arguments> {
  /**
   * None: what the arguments are is known at run time only.
   */
  readonly fields: {}
  readonly make: (args: Arguments) => Arguments
}

/**
 * A tool of an MCP server, as `@effect/ai` has it. The server's hints are its annotations (`Title`, `Readonly`,
 * `Destructive`, `Idempotent`, `OpenWorld`), where there are any.
 *
 * A result is all that the tool answered, for your program. The model gets it as JSON (`encodedResult`): the text of the
 * result, its structured content, or an object of both and of other content. Images, audio and binary resources are in
 * it without their data, as `@effect/ai` can only show such to a model in a message: see {@link files}.
 *
 * @since 0.1.0
 * @category models
 */
export type McpTool<Mode extends AiTool.FailureMode> = AiTool.Tool<string, {
  readonly parameters: ArgumentsSchema
  readonly success: Schema.Schema<CallToolResult, unknown>
  readonly failure: Schema.Schema<McpClientError.McpClientError, unknown>
  readonly failureMode: Mode
}>

/**
 * The tools of an MCP server with their handlers, by the names that the model knows.
 *
 * @since 0.1.0
 * @category models
 */
export type AiToolkit<Mode extends AiTool.FailureMode> = Toolkit.WithHandler<{
  readonly [name: string]: McpTool<Mode>
}>

/**
 * Several tools would have the same name for the model, `toolName`. Give them others with `rename`.
 *
 * @since 0.1.0
 * @category errors
 */
export class NameCollision extends Schema.TaggedError<NameCollision>("@effect-mcp/client/AiToolkit/NameCollision")(
  "NameCollision",
  { toolName: Schema.String, tools: Schema.Array(Schema.String) }
) {
  /**
   * @since 0.1.0
   */
  override get message(): string {
    return `the model cannot tell ${this.tools.map((tool) => JSON.stringify(tool)).join(" from ")}: ` +
      `both would be called ${JSON.stringify(this.toolName)}`
  }
}

// --- constructors ---------------------------------------------------------------------------------------------------

/**
 * The tools that the server lists now, ready to be given to a language model.
 *
 * The list is fetched once, and what the toolkit offers does not change. A call of a tool that is gone since fails like
 * any other. There are two ways to follow the changes of the list: {@link stream}, or this Effect itself as `toolkit`,
 * which then fetches the list for each generation (the client keeps it for as long as the server says).
 *
 * The JSON Schema of the arguments reaches the provider unchanged. Some providers want more than a JSON Schema has to be,
 * such as OpenAI's strict mode: they may refuse a schema that does not suit them.
 *
 * A model that calls a tool that there is not, or with arguments that are no object, is an `AiError` of the generation, as
 * for every toolkit.
 *
 * @example
 * ```ts
 * import { LanguageModel } from "@effect/ai"
 * import * as AiToolkit from "@effect-mcp/client/AiToolkit"
 *
 * // The list of now, and errors of tools are errors of the program.
 * const program = LanguageModel.generateText({
 *   prompt: "Close the issues that are done",
 *   toolkit: AiToolkit.make({ prefix: "tracker_", failureMode: "error", call: { timeout: "1 minute" } })
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export function make(
  options: Options & { readonly failureMode: "error" }
): Effect.Effect<AiToolkit<"error">, McpClientError.McpClientError | NameCollision, McpClient.McpClient>
export function make(
  options?: Options & { readonly failureMode?: "return" | undefined }
): Effect.Effect<AiToolkit<"return">, McpClientError.McpClientError | NameCollision, McpClient.McpClient>
export function make(
  options: Options = {}
): Effect.Effect<
  AiToolkit<"error"> | AiToolkit<"return">,
  McpClientError.McpClientError | NameCollision,
  McpClient.McpClient
> {
  return build(options)
}

/**
 * The toolkit of now, and another one after each change of the list that the server announces. Changes that come while
 * nobody takes the toolkit count as one. The stream ends after the first toolkit if the server announces none.
 *
 * @example
 * ```ts
 * import * as AiToolkit from "@effect-mcp/client/AiToolkit"
 * import { Effect, Stream, SubscriptionRef } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const current = yield* SubscriptionRef.make(yield* AiToolkit.make())
 *   yield* AiToolkit.stream().pipe(
 *     Stream.runForEach((toolkit) => SubscriptionRef.set(current, toolkit)),
 *     Effect.forkScoped
 *   )
 *   return current
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export function stream(
  options: Options & { readonly failureMode: "error" }
): Stream.Stream<AiToolkit<"error">, McpClientError.McpClientError | NameCollision, McpClient.McpClient>
export function stream(
  options?: Options & { readonly failureMode?: "return" | undefined }
): Stream.Stream<AiToolkit<"return">, McpClientError.McpClientError | NameCollision, McpClient.McpClient>
export function stream(
  options: Options = {}
): Stream.Stream<
  AiToolkit<"error"> | AiToolkit<"return">,
  McpClientError.McpClientError | NameCollision,
  McpClient.McpClient
> {
  const changes = Stream.unwrap(Effect.map(McpClient.McpClient, (client) => client.listChanges)).pipe(
    Stream.filter(({ list }) => list === "tools"),
    Stream.catchTag("CapabilityMissing", () => Stream.empty)
  )
  // The buffer runs ahead: changes are listened for while the first list is fetched.
  return Stream.concat(Stream.make(undefined), changes).pipe(
    Stream.buffer({ capacity: 1, strategy: "sliding" }),
    Stream.mapEffect(() => build(options))
  )
}

// --- results --------------------------------------------------------------------------------------------------------

/**
 * Images, audio and binary resources of a result, as parts of a message to a model. What is not Base64 is left out.
 *
 * @example
 * ```ts
 * import { Prompt } from "@effect/ai"
 * import type { Tool } from "@effect-mcp/client"
 * import * as AiToolkit from "@effect-mcp/client/AiToolkit"
 *
 * const show = (result: Tool.CallToolResult) => Prompt.userMessage({ content: AiToolkit.files(result) })
 * ```
 *
 * @since 0.1.0
 * @category results
 */
export const files = (result: CallToolResult): ReadonlyArray<Prompt.FilePart> =>
  binaryContents(result).map(({ bytes, mimeType, uri }) =>
    Prompt.filePart({ mediaType: mimeType, data: bytes, ...(uri === undefined ? {} : { fileName: uri }) })
  )

// --- internal -------------------------------------------------------------------------------------------------------

/** A tool and the name that the model knows. */
interface Offer {
  readonly name: string
  readonly tool: Tool
}

const build = (options: Options) =>
  Effect.gen(function*() {
    const client = yield* McpClient.McpClient
    const offers = yield* offersOf(yield* Stream.runCollect(client.tools), options)
    const handlers = Object.fromEntries(offers.map(({ name, tool }) => [
      name,
      (args: Arguments) => client.callTool(tool.name, args, { ...options.call, failOnToolError: true })
    ]))
    if (options.failureMode === "error") {
      const tools = offers.map(failing)
      const toolkit = withoutPrototype(Toolkit.make(...tools), tools)
      return yield* Effect.provide(toolkit, yield* toolkit.toContext(handlers))
    }
    const tools = offers.map(returning)
    const toolkit = withoutPrototype(Toolkit.make(...tools), tools)
    return yield* Effect.provide(toolkit, yield* toolkit.toContext(handlers))
  })

const offersOf = (
  tools: Iterable<Tool>,
  { filter = () => true, prefix = "", rename }: Options
): Effect.Effect<ReadonlyArray<Offer>, NameCollision> => {
  // A server that lists a tool twice means the last.
  const listed = new Map(Array.from(tools, (tool) => [tool.name, tool]))
  const offers = new Map<string, Offer>()
  for (const tool of listed.values()) {
    if (!filter(tool)) continue
    const name = rename === undefined ? acceptable(`${prefix}${tool.name}`) : `${prefix}${rename(tool)}`
    const other = offers.get(name)
    if (other !== undefined) {
      return Effect.fail(new NameCollision({ toolName: name, tools: [other.tool.name, tool.name] }))
    }
    offers.set(name, { name, tool })
  }
  return Effect.succeed(Array.from(offers.values()))
}

/** What the models of all providers accept. */
const acceptable = (name: string): string => name.replace(/[^A-Za-z0-9_-]/gu, "_").slice(0, 64) || "_"

const success: Schema.Schema<CallToolResult, unknown> = Schema.transform(
  Schema.Unknown,
  Schema.declare(isCallToolResult),
  {
    strict: true,
    encode: modelOutput,
    // What the model was told is all that there is.
    decode: (output): CallToolResult =>
      typeof output === "string"
        ? { content: [{ type: "text", text: output }] }
        : { content: [], structuredContent: output }
  }
).annotations({ identifier: "CallToolResult" })

const failure: Schema.Schema<McpClientError.McpClientError, unknown> = Schema.transformOrFail(
  Schema.Unknown,
  Schema.declare(McpClientError.isMcpClientError),
  {
    strict: true,
    encode: (error) => {
      const output = error._tag === "ToolError" ? modelOutput(error.result) : ""
      return ParseResult.succeed(output === "" ? error.message : output)
    },
    decode: (output, _, ast) =>
      ParseResult.fail(new ParseResult.Forbidden(ast, output, "an error cannot be made from what the model was told"))
  }
).annotations({ identifier: "McpClientError" })

const returning = ({ name, tool }: Offer): McpTool<"return"> =>
  AiTool.make(name, { description: tool.description, success, failure, failureMode: "return" })
    .setParameters(argumentsSchema(tool.inputSchema))
    .annotateContext(annotationsOf(tool))

const failing = ({ name, tool }: Offer): McpTool<"error"> =>
  AiTool.make(name, { description: tool.description, success, failure, failureMode: "error" })
    .setParameters(argumentsSchema(tool.inputSchema))
    .annotateContext(annotationsOf(tool))

/** A declaration gives the annotated JSON Schema as it is, and takes the arguments as they are. */
const argumentsSchema = (inputSchema: InputSchema): ArgumentsSchema =>
  Object.assign(Schema.declare((u: unknown): u is Arguments => isObject(u), { jsonSchema: inputSchema }), {
    fields: {},
    make: (args: Arguments) => args
  })

const annotationsOf = ({ annotations, title = annotations?.title }: Tool): Context.Context<never> =>
  Context.empty().pipe(
    annotate(AiTool.Title, title),
    annotate(AiTool.Readonly, annotations?.readOnlyHint),
    annotate(AiTool.Destructive, annotations?.destructiveHint),
    annotate(AiTool.Idempotent, annotations?.idempotentHint),
    annotate(AiTool.OpenWorld, annotations?.openWorldHint)
  )

const annotate =
  <I, S>(tag: Context.Tag<I, S>, value: S | undefined) => (context: Context.Context<never>): Context.Context<never> =>
    value === undefined ? context : Context.add(context, tag, value)

/** A model may ask for a tool called `constructor`, and a server may have one called `__proto__`. */
const withoutPrototype = <A extends { readonly tools: { readonly [name: string]: AiTool.Any } }>(
  toolkit: A,
  tools: ReadonlyArray<AiTool.Any>
): A => {
  Object.assign(Object.setPrototypeOf(toolkit.tools, null), Object.fromEntries(tools.map((tool) => [tool.name, tool])))
  return toolkit
}
