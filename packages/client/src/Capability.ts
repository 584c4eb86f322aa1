/**
 * What client and server say about themselves and about what they can do. Specification 2025-11-25, page "Lifecycle";
 * 2026-07-28, pages "Versioning and Compatibility" and "Discovery".
 *
 * A capability is declared by its presence: `{}` means yes. One schema serves all versions; the comments say which
 * version added what.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { Icon, JsonObject } from "./Content.ts"
import { list, object } from "./internal/wire.ts"

/**
 * The software on one side. It describes itself; nothing of it is verified.
 *
 * @since 0.1.0
 * @category models
 */
export interface Implementation {
  readonly name: string
  readonly version: string
  /** For display. Since 2025-06-18. */
  readonly title?: string | undefined
  /** Since 2025-11-25. */
  readonly description?: string | undefined
  /** Since 2025-11-25. */
  readonly websiteUrl?: string | undefined
  /** Since 2025-11-25. */
  readonly icons?: ReadonlyArray<Icon> | undefined
}

/**
 * What a client can do. Other members are allowed.
 *
 * @since 0.1.0
 * @category models
 */
export interface ClientCapabilities {
  /** Not part of the protocol. */
  readonly experimental?: JsonObject | undefined
  /** It tells which directories the server may work on. `listChanged`: until 2025-11-25. */
  readonly roots?: { readonly listChanged?: boolean | undefined } | undefined
  /**
   * It asks a language model for the server. `context`: with `includeContext`; `tools`: with `tools` and `toolChoice`;
   * both since 2025-11-25.
   */
  readonly sampling?: {
    readonly context?: JsonObject | undefined
    readonly tools?: JsonObject | undefined
  } | undefined
  /** It asks the user for the server. Since 2025-06-18; `form` and `url` since 2025-11-25: `{}` means form. */
  readonly elicitation?: {
    readonly form?: JsonObject | undefined
    readonly url?: JsonObject | undefined
  } | undefined
  /** It executes requests of the server as tasks. In 2025-11-25 only. */
  readonly tasks?: {
    readonly list?: JsonObject | undefined
    readonly cancel?: JsonObject | undefined
    readonly requests?: {
      readonly sampling?: { readonly createMessage?: JsonObject | undefined } | undefined
      readonly elicitation?: { readonly create?: JsonObject | undefined } | undefined
    } | undefined
  } | undefined
  /** By the identifier of the extension, its settings. Since 2026-07-28. */
  readonly extensions?: JsonObject | undefined
}

/**
 * What a server can do. Other members are allowed.
 *
 * @since 0.1.0
 * @category models
 */
export interface ServerCapabilities {
  /** Not part of the protocol. */
  readonly experimental?: JsonObject | undefined
  /** It sends log messages. */
  readonly logging?: JsonObject | undefined
  /** It completes arguments. */
  readonly completions?: JsonObject | undefined
  /** `listChanged`: it tells when the list has changed. */
  readonly prompts?: { readonly listChanged?: boolean | undefined } | undefined
  /** `subscribe`: it tells when a resource has changed; `listChanged`: when the list has. */
  readonly resources?: {
    readonly subscribe?: boolean | undefined
    readonly listChanged?: boolean | undefined
  } | undefined
  /** `listChanged`: it tells when the list has changed. */
  readonly tools?: { readonly listChanged?: boolean | undefined } | undefined
  /** It executes requests as tasks. In 2025-11-25 only; an extension since. */
  readonly tasks?: {
    readonly list?: JsonObject | undefined
    readonly cancel?: JsonObject | undefined
    readonly requests?: {
      readonly tools?: { readonly call?: JsonObject | undefined } | undefined
    } | undefined
  } | undefined
  /** By the identifier of the extension, its settings. Since 2026-07-28. */
  readonly extensions?: JsonObject | undefined
}

/**
 * @since 0.1.0
 * @category schemas
 */
export const Implementation: Schema.Schema<Implementation> = object(
  "Implementation",
  Schema.Struct({
    name: Schema.String,
    version: Schema.String,
    title: Schema.optional(Schema.String),
    description: Schema.optional(Schema.String),
    websiteUrl: Schema.optional(Schema.String),
    icons: Schema.optional(list(Icon))
  })
)

const declared = Schema.optional(JsonObject)

const listChanged = { listChanged: Schema.optional(Schema.Boolean) }

const tasks = <A extends object>(requests: Schema.Schema<A>) =>
  object(
    "TasksCapability",
    Schema.Struct({
      list: declared,
      cancel: declared,
      requests: Schema.optional(object("TasksRequests", requests))
    })
  )

/**
 * @since 0.1.0
 * @category schemas
 */
export const ClientCapabilities: Schema.Schema<ClientCapabilities> = object(
  "ClientCapabilities",
  Schema.Struct({
    experimental: declared,
    roots: Schema.optional(object("RootsCapability", Schema.Struct(listChanged))),
    sampling: Schema.optional(object("SamplingCapability", Schema.Struct({ context: declared, tools: declared }))),
    elicitation: Schema.optional(object("ElicitationCapability", Schema.Struct({ form: declared, url: declared }))),
    tasks: Schema.optional(tasks(Schema.Struct({
      sampling: Schema.optional(object("SamplingTasks", Schema.Struct({ createMessage: declared }))),
      elicitation: Schema.optional(object("ElicitationTasks", Schema.Struct({ create: declared })))
    }))),
    extensions: declared
  })
)

/**
 * @since 0.1.0
 * @category schemas
 */
export const ServerCapabilities: Schema.Schema<ServerCapabilities> = object(
  "ServerCapabilities",
  Schema.Struct({
    experimental: declared,
    logging: declared,
    completions: declared,
    prompts: Schema.optional(object("PromptsCapability", Schema.Struct(listChanged))),
    resources: Schema.optional(
      object("ResourcesCapability", Schema.Struct({ subscribe: Schema.optional(Schema.Boolean), ...listChanged }))
    ),
    tools: Schema.optional(object("ToolsCapability", Schema.Struct(listChanged))),
    tasks: Schema.optional(tasks(Schema.Struct({
      tools: Schema.optional(object("ToolsTasks", Schema.Struct({ call: declared })))
    }))),
    extensions: declared
  })
)
