/**
 * Elicitation: a server asks the user, with a form that the client shows or with a page that the user is sent to.
 * Specification 2026-07-28, page "Elicitation"; since 2025-06-18, pages since 2025-11-25.
 *
 * Provide the service {@link Elicitation} to offer it. Without it, servers are told that nobody can be asked.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { Meta } from "./Content.ts"
import { captured } from "./internal/captured.ts"
import { ofResult } from "./internal/resultFields.ts"
import { choiceBy, list, member, object, record } from "./internal/wire.ts"
import type { Result } from "./Lifecycle.ts"
import type { RequestRejected } from "./RequestRejected.ts"

/**
 * A field for text.
 *
 * @since 0.1.0
 * @category models
 */
export interface StringSchema {
  readonly type: "string"
  readonly title?: string | undefined
  readonly description?: string | undefined
  readonly minLength?: number | undefined
  readonly maxLength?: number | undefined
  /** The protocol has `email`, `uri`, `date` and `date-time`. Others are not refused. */
  readonly format?: string | undefined
  /** Since 2025-11-25. */
  readonly default?: string | undefined
  readonly enum?: undefined
  readonly oneOf?: undefined
}

/**
 * A field for a number.
 *
 * @since 0.1.0
 * @category models
 */
export interface NumberSchema {
  readonly type: "number" | "integer"
  readonly title?: string | undefined
  readonly description?: string | undefined
  readonly minimum?: number | undefined
  readonly maximum?: number | undefined
  /** Since 2025-11-25. */
  readonly default?: number | undefined
}

/**
 * A field for yes or no.
 *
 * @since 0.1.0
 * @category models
 */
export interface BooleanSchema {
  readonly type: "boolean"
  readonly title?: string | undefined
  readonly description?: string | undefined
  readonly default?: boolean | undefined
}

/**
 * A value to choose, and how it is shown.
 *
 * @since 0.1.0
 * @category models
 */
export interface EnumOption {
  readonly const: string
  readonly title: string
}

/**
 * One of several values.
 *
 * @since 0.1.0
 * @category models
 */
export interface UntitledSingleSelectEnumSchema {
  readonly type: "string"
  readonly title?: string | undefined
  readonly description?: string | undefined
  readonly enum: ReadonlyArray<string>
  readonly default?: string | undefined
  readonly oneOf?: undefined
  readonly enumNames?: undefined
}

/**
 * One of several values, which are shown by their titles. Since 2025-11-25.
 *
 * @since 0.1.0
 * @category models
 */
export interface TitledSingleSelectEnumSchema {
  readonly type: "string"
  readonly title?: string | undefined
  readonly description?: string | undefined
  readonly oneOf: ReadonlyArray<EnumOption>
  readonly default?: string | undefined
  readonly enum?: undefined
}

/**
 * Some of several values. Since 2025-11-25.
 *
 * @since 0.1.0
 * @category models
 */
export interface UntitledMultiSelectEnumSchema {
  readonly type: "array"
  readonly title?: string | undefined
  readonly description?: string | undefined
  readonly minItems?: number | undefined
  readonly maxItems?: number | undefined
  readonly items: {
    readonly type: "string"
    readonly enum: ReadonlyArray<string>
    readonly anyOf?: undefined
  }
  readonly default?: ReadonlyArray<string> | undefined
}

/**
 * Some of several values, which are shown by their titles. Since 2025-11-25.
 *
 * @since 0.1.0
 * @category models
 */
export interface TitledMultiSelectEnumSchema {
  readonly type: "array"
  readonly title?: string | undefined
  readonly description?: string | undefined
  readonly minItems?: number | undefined
  readonly maxItems?: number | undefined
  readonly items: {
    readonly anyOf: ReadonlyArray<EnumOption>
    readonly enum?: undefined
  }
  readonly default?: ReadonlyArray<string> | undefined
}

/**
 * One of several values, which are shown by their names. The way of 2025-06-18; deprecated since 2025-11-25.
 *
 * @since 0.1.0
 * @category models
 */
export interface LegacyTitledEnumSchema {
  readonly type: "string"
  readonly title?: string | undefined
  readonly description?: string | undefined
  readonly enum: ReadonlyArray<string>
  /** In the order of `enum`. Nothing says that there are as many. */
  readonly enumNames?: ReadonlyArray<string> | undefined
  readonly default?: string | undefined
  readonly oneOf?: undefined
}

/**
 * A choice among values.
 *
 * @since 0.1.0
 * @category models
 */
export type EnumSchema =
  | UntitledSingleSelectEnumSchema
  | TitledSingleSelectEnumSchema
  | UntitledMultiSelectEnumSchema
  | TitledMultiSelectEnumSchema
  | LegacyTitledEnumSchema

/**
 * A field of a form.
 *
 * - `type` is `number`, `integer` or `boolean`: that
 * - `type` is `string`: a choice if there is `enum` or `oneOf`, else text
 * - `type` is `array`: a choice of several values, in `items`
 *
 * @since 0.1.0
 * @category models
 */
export type PrimitiveSchema = StringSchema | NumberSchema | BooleanSchema | EnumSchema

/**
 * A form: one level of fields, as a JSON Schema.
 *
 * @since 0.1.0
 * @category models
 */
export interface FormSchema {
  readonly type: "object"
  readonly $schema?: string | undefined
  readonly properties: { readonly [name: string]: PrimitiveSchema }
  readonly required?: ReadonlyArray<string> | undefined
}

/**
 * Asks the user to fill in a form.
 *
 * @since 0.1.0
 * @category models
 */
export interface FormParams {
  /** Absent: `form`. Since 2025-11-25. */
  readonly mode?: "form" | undefined
  /** What the user is told. */
  readonly message: string
  readonly requestedSchema: FormSchema
  readonly _meta?: Meta | undefined
}

/**
 * Asks the user to open a page, where something happens that the client must not see. Since 2025-11-25.
 *
 * Before it is opened the user has to see the whole address and agree ("Elicitation", "Safe URL Handling").
 *
 * @since 0.1.0
 * @category models
 */
export interface UrlParams {
  readonly mode: "url"
  /** What the user is told. */
  readonly message: string
  readonly url: string
  /** Identifies it for `onComplete`. In 2025-11-25 only, where it is required. */
  readonly elicitationId?: string | undefined
  readonly _meta?: Meta | undefined
}

/**
 * What a server wants from the user.
 *
 * @since 0.1.0
 * @category models
 */
export type ElicitParams = FormParams | UrlParams

/**
 * What the user filled in, by the names of the fields. Several values since 2025-11-25.
 *
 * @since 0.1.0
 * @category models
 */
export interface ElicitContent {
  readonly [name: string]: string | number | boolean | ReadonlyArray<string>
}

/**
 * What the user did: agreed, refused, or went away without a decision. Make one with {@link accept}, {@link decline},
 * {@link cancel}.
 *
 * @since 0.1.0
 * @category models
 */
export interface ElicitResult extends Result {
  readonly action: "accept" | "decline" | "cancel"
  /** Of a form that was accepted. */
  readonly content?: ElicitContent | undefined
}

const ofEveryField = {
  title: Schema.optional(Schema.String),
  description: Schema.optional(Schema.String)
}

const absent = Schema.optional(Schema.Undefined)

/**
 * @since 0.1.0
 * @category schemas
 */
export const StringSchema: Schema.Schema<StringSchema> = object(
  "StringSchema",
  Schema.Struct({
    type: Schema.Literal("string"),
    ...ofEveryField,
    minLength: Schema.optional(Schema.Finite),
    maxLength: Schema.optional(Schema.Finite),
    format: Schema.optional(Schema.String),
    default: Schema.optional(Schema.String),
    enum: absent,
    oneOf: absent
  })
)

/**
 * @since 0.1.0
 * @category schemas
 */
export const NumberSchema: Schema.Schema<NumberSchema> = object(
  "NumberSchema",
  Schema.Struct({
    type: Schema.Literal("number", "integer"),
    ...ofEveryField,
    minimum: Schema.optional(Schema.Finite),
    maximum: Schema.optional(Schema.Finite),
    default: Schema.optional(Schema.Finite)
  })
)

/**
 * @since 0.1.0
 * @category schemas
 */
export const BooleanSchema: Schema.Schema<BooleanSchema> = object(
  "BooleanSchema",
  Schema.Struct({
    type: Schema.Literal("boolean"),
    ...ofEveryField,
    default: Schema.optional(Schema.Boolean)
  })
)

/**
 * @since 0.1.0
 * @category schemas
 */
export const EnumOption: Schema.Schema<EnumOption> = object(
  "EnumOption",
  Schema.Struct({
    const: Schema.String,
    title: Schema.String
  })
)

/**
 * @since 0.1.0
 * @category schemas
 */
export const UntitledSingleSelectEnumSchema: Schema.Schema<UntitledSingleSelectEnumSchema> = object(
  "UntitledSingleSelectEnumSchema",
  Schema.Struct({
    type: Schema.Literal("string"),
    ...ofEveryField,
    enum: list(Schema.String),
    default: Schema.optional(Schema.String),
    oneOf: absent,
    enumNames: absent
  })
)

/**
 * @since 0.1.0
 * @category schemas
 */
export const TitledSingleSelectEnumSchema: Schema.Schema<TitledSingleSelectEnumSchema> = object(
  "TitledSingleSelectEnumSchema",
  Schema.Struct({
    type: Schema.Literal("string"),
    ...ofEveryField,
    oneOf: list(EnumOption),
    default: Schema.optional(Schema.String),
    enum: absent
  })
)

const ofMultiSelect = {
  type: Schema.Literal("array"),
  ...ofEveryField,
  minItems: Schema.optional(Schema.Finite),
  maxItems: Schema.optional(Schema.Finite),
  default: Schema.optional(list(Schema.String))
}

/**
 * @since 0.1.0
 * @category schemas
 */
export const UntitledMultiSelectEnumSchema: Schema.Schema<UntitledMultiSelectEnumSchema> = object(
  "UntitledMultiSelectEnumSchema",
  Schema.Struct({
    ...ofMultiSelect,
    items: object(
      "EnumItems",
      Schema.Struct({ type: Schema.Literal("string"), enum: list(Schema.String), anyOf: absent })
    )
  })
)

/**
 * @since 0.1.0
 * @category schemas
 */
export const TitledMultiSelectEnumSchema: Schema.Schema<TitledMultiSelectEnumSchema> = object(
  "TitledMultiSelectEnumSchema",
  Schema.Struct({
    ...ofMultiSelect,
    items: object("TitledEnumItems", Schema.Struct({ anyOf: list(EnumOption), enum: absent }))
  })
)

/**
 * @since 0.1.0
 * @category schemas
 */
export const LegacyTitledEnumSchema: Schema.Schema<LegacyTitledEnumSchema> = object(
  "LegacyTitledEnumSchema",
  Schema.Struct({
    type: Schema.Literal("string"),
    ...ofEveryField,
    enum: list(Schema.String),
    enumNames: Schema.optional(list(Schema.String)),
    default: Schema.optional(Schema.String),
    oneOf: absent
  })
)

const text = member(StringSchema)
const number = member(NumberSchema)
const boolean = member(BooleanSchema)
const untitledSingle = member(UntitledSingleSelectEnumSchema)
const titledSingle = member(TitledSingleSelectEnumSchema)
const untitledMulti = member(UntitledMultiSelectEnumSchema)
const titledMulti = member(TitledMultiSelectEnumSchema)
const legacy = member(LegacyTitledEnumSchema)

const hasAnyOf = (u: unknown): boolean => typeof u === "object" && u !== null && "anyOf" in u && u.anyOf !== undefined

const chooseEnum = (value: { readonly [name: string]: unknown }) => {
  if (value.type === "array") return hasAnyOf(value.items) ? titledMulti : untitledMulti
  if (value.type !== "string") return undefined
  if (value.oneOf !== undefined) return titledSingle
  return value.enumNames === undefined ? untitledSingle : legacy
}

/**
 * @since 0.1.0
 * @category schemas
 */
export const EnumSchema: Schema.Schema<EnumSchema> = choiceBy<EnumSchema>({
  identifier: "EnumSchema",
  members: [untitledSingle, titledSingle, untitledMulti, titledMulti, legacy],
  choose: chooseEnum
})

/**
 * @since 0.1.0
 * @category schemas
 */
export const PrimitiveSchema: Schema.Schema<PrimitiveSchema> = choiceBy<PrimitiveSchema>({
  identifier: "PrimitiveSchema",
  members: [text, number, boolean, untitledSingle, titledSingle, untitledMulti, titledMulti, legacy],
  choose: (value) => {
    switch (value.type) {
      case "number":
      case "integer":
        return number
      case "boolean":
        return boolean
      case "string":
        return value.enum === undefined && value.oneOf === undefined ? text : chooseEnum(value)
      default:
        return chooseEnum(value)
    }
  }
})

/**
 * @since 0.1.0
 * @category schemas
 */
export const FormSchema: Schema.Schema<FormSchema> = object(
  "FormSchema",
  Schema.Struct({
    type: Schema.Literal("object"),
    $schema: Schema.optional(Schema.String),
    properties: record("FormProperties", PrimitiveSchema),
    required: Schema.optional(list(Schema.String))
  })
)

/**
 * @since 0.1.0
 * @category schemas
 */
export const FormParams: Schema.Schema<FormParams> = object(
  "FormParams",
  Schema.Struct({
    mode: Schema.optional(Schema.Literal("form")),
    message: Schema.String,
    requestedSchema: FormSchema,
    _meta: Schema.optional(Meta)
  })
)

/**
 * @since 0.1.0
 * @category schemas
 */
export const UrlParams: Schema.Schema<UrlParams> = object(
  "UrlParams",
  Schema.Struct({
    mode: Schema.Literal("url"),
    message: Schema.String,
    url: Schema.String,
    elicitationId: Schema.optional(Schema.String),
    _meta: Schema.optional(Meta)
  })
)

const formParams = member(FormParams)
const urlParams = member(UrlParams)

/**
 * @since 0.1.0
 * @category schemas
 */
export const ElicitParams: Schema.Schema<ElicitParams> = choiceBy<ElicitParams>({
  identifier: "ElicitParams",
  members: [formParams, urlParams],
  choose: (value) => value.mode === "url" ? urlParams : formParams
})

/**
 * @since 0.1.0
 * @category schemas
 */
export const ElicitContent: Schema.Schema<ElicitContent> = record(
  "ElicitContent",
  Schema.Union(Schema.String, Schema.Finite, Schema.Boolean, list(Schema.String))
)

/**
 * @since 0.1.0
 * @category schemas
 */
export const ElicitResult: Schema.Schema<ElicitResult> = object(
  "ElicitResult",
  Schema.Struct({
    ...ofResult,
    action: Schema.Literal("accept", "decline", "cancel"),
    content: Schema.optional(ElicitContent)
  })
)

/**
 * The user agreed. With what was filled in for a form, without content for a page.
 *
 * @since 0.1.0
 * @category constructors
 */
export const accept = (content?: ElicitContent): ElicitResult =>
  content === undefined ? { action: "accept" } : { action: "accept", content }

/**
 * The user refused.
 *
 * @since 0.1.0
 * @category constructors
 */
export const decline: ElicitResult = { action: "decline" }

/**
 * The user went away without a decision.
 *
 * @since 0.1.0
 * @category constructors
 */
export const cancel: ElicitResult = { action: "cancel" }

/**
 * What a form contains before the user has done anything: the `default` values of its fields. Fields without one are
 * left out, also if they are required.
 *
 * @example
 * ```ts
 * import { Elicitation } from "@effect-mcp/client"
 *
 * const content = Elicitation.defaults({
 *   message: "How should it look?",
 *   requestedSchema: {
 *     type: "object",
 *     properties: {
 *       color: { type: "string", enum: ["red", "green"], default: "green" },
 *       title: { type: "string" }
 *     }
 *   }
 * })
 * console.log(content) // { color: "green" }
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const defaults = (params: FormParams): ElicitContent =>
  Object.fromEntries(
    Object.entries(params.requestedSchema.properties).flatMap(([name, field]) =>
      field.default === undefined ? [] : [[name, field.default] as const]
    )
  )

/**
 * Asks the user for servers. What is there is declared: `form`, `url`, or both.
 *
 * `onComplete` is called when a server says that what the user had to do on a page is done; in 2025-11-25 only.
 *
 * @since 0.1.0
 * @category tags
 */
export class Elicitation extends Context.Tag("@effect-mcp/client/Elicitation")<Elicitation, {
  readonly form?: ((params: FormParams) => Effect.Effect<ElicitResult, RequestRejected>) | undefined
  readonly url?: ((params: UrlParams) => Effect.Effect<ElicitResult, RequestRejected>) | undefined
  readonly onComplete?: ((elicitationId: string) => Effect.Effect<void>) | undefined
}>() {}

/**
 * How the user is asked; see {@link Elicitation}.
 *
 * @since 0.1.0
 * @category models
 */
export interface Handlers<R = never> {
  readonly form?: ((params: FormParams) => Effect.Effect<ElicitResult, RequestRejected, R>) | undefined
  readonly url?: ((params: UrlParams) => Effect.Effect<ElicitResult, RequestRejected, R>) | undefined
  readonly onComplete?: ((elicitationId: string) => Effect.Effect<void, never, R>) | undefined
}

/**
 * Offers elicitation, with at least one of `form` and `url`. What the functions require is taken from the context in
 * which the layer is built.
 *
 * @example
 * ```ts
 * import { Elicitation } from "@effect-mcp/client"
 * import { Effect } from "effect"
 *
 * // Nobody is there to be asked: what has a default gets it.
 * const Unattended = Elicitation.layer({
 *   form: (params) => {
 *     const content = Elicitation.defaults(params)
 *     const isComplete = (params.requestedSchema.required ?? []).every((name) => Object.hasOwn(content, name))
 *     return Effect.succeed(isComplete ? Elicitation.accept(content) : Elicitation.cancel)
 *   }
 * })
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <R = never>(
  options:
    & Handlers<R>
    & ({ readonly form: NonNullable<Handlers<R>["form"]> } | { readonly url: NonNullable<Handlers<R>["url"]> })
): Layer.Layer<Elicitation, never, R> => {
  const { form, onComplete, url } = options
  return Layer.effect(
    Elicitation,
    Effect.map(captured<R>(), ({ effect }) => ({
      form: form === undefined ? undefined : (params: FormParams) => effect(form(params)),
      url: url === undefined ? undefined : (params: UrlParams) => effect(url(params)),
      onComplete: onComplete === undefined ? undefined : (elicitationId: string) => effect(onComplete(elicitationId))
    }))
  )
}
