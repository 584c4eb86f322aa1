/**
 * Input that a server needs before it can finish a call. Specification 2026-07-28, page "Multi Round-Trip Requests"; in
 * earlier versions servers send requests instead.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { Meta } from "./Content.ts"
import { ElicitParams, ElicitResult } from "./Elicitation.ts"
import { choice, choiceBy, member, object, record } from "./internal/wire.ts"
import { ListRootsResult } from "./Roots.ts"
import { CreateMessageParams, CreateMessageResult } from "./Sampling.ts"

/**
 * Asks the user.
 *
 * @since 0.1.0
 * @category models
 */
export interface ElicitRequest {
  readonly method: "elicitation/create"
  readonly params: ElicitParams
}

/**
 * Asks a language model.
 *
 * @since 0.1.0
 * @category models
 */
export interface CreateMessageRequest {
  readonly method: "sampling/createMessage"
  readonly params: CreateMessageParams
}

/**
 * Asks for the roots.
 *
 * @since 0.1.0
 * @category models
 */
export interface ListRootsRequest {
  readonly method: "roots/list"
  readonly params?: { readonly _meta?: Meta | undefined } | undefined
}

/**
 * What a server can ask for. There is nothing else: a request with another method is not what the protocol defines.
 *
 * @since 0.1.0
 * @category models
 */
export type InputRequest = ElicitRequest | CreateMessageRequest | ListRootsRequest

/**
 * By names that the server chooses, what it asks for.
 *
 * @since 0.1.0
 * @category models
 */
export interface InputRequests {
  readonly [key: string]: InputRequest
}

/**
 * The result of a call that needs input. The call is to be sent again, with the answers and with exactly this state.
 *
 * @since 0.1.0
 * @category models
 */
export interface InputRequiredResult {
  readonly resultType: "input_required"
  /** At least one of `inputRequests` and `requestState` is there. */
  readonly inputRequests?: InputRequests | undefined
  /** Only the server can read it. */
  readonly requestState?: string | undefined
  readonly _meta?: Meta | undefined
}

/**
 * An answer to an {@link InputRequest}.
 *
 * @since 0.1.0
 * @category models
 */
export type InputResponse = ElicitResult | CreateMessageResult | ListRootsResult

/**
 * By the names of the requests, the answers.
 *
 * @since 0.1.0
 * @category models
 */
export interface InputResponses {
  readonly [key: string]: InputResponse
}

/**
 * @since 0.1.0
 * @category schemas
 */
export const ElicitRequest: Schema.Schema<ElicitRequest> = object(
  "ElicitRequest",
  Schema.Struct({
    method: Schema.Literal("elicitation/create"),
    params: ElicitParams
  })
)

/**
 * @since 0.1.0
 * @category schemas
 */
export const CreateMessageRequest: Schema.Schema<CreateMessageRequest> = object(
  "CreateMessageRequest",
  Schema.Struct({
    method: Schema.Literal("sampling/createMessage"),
    params: CreateMessageParams
  })
)

/**
 * @since 0.1.0
 * @category schemas
 */
export const ListRootsRequest: Schema.Schema<ListRootsRequest> = object(
  "ListRootsRequest",
  Schema.Struct({
    method: Schema.Literal("roots/list"),
    params: Schema.optional(object("ListRootsParams", Schema.Struct({ _meta: Schema.optional(Meta) })))
  })
)

/**
 * @since 0.1.0
 * @category schemas
 */
export const InputRequest: Schema.Schema<InputRequest> = choice<InputRequest>({
  identifier: "InputRequest",
  key: "method",
  members: {
    "elicitation/create": member(ElicitRequest),
    "sampling/createMessage": member(CreateMessageRequest),
    "roots/list": member(ListRootsRequest)
  }
})

/**
 * @since 0.1.0
 * @category schemas
 */
export const InputRequests: Schema.Schema<InputRequests> = record("InputRequests", InputRequest)

/**
 * Refuses a result with neither requests nor state: there would be no reason to send the call again.
 *
 * @since 0.1.0
 * @category schemas
 */
export const InputRequiredResult: Schema.Schema<InputRequiredResult> = object(
  "InputRequiredResult",
  Schema.Struct({
    resultType: Schema.Literal("input_required"),
    inputRequests: Schema.optional(InputRequests),
    requestState: Schema.optional(Schema.String),
    _meta: Schema.optional(Meta)
  })
).pipe(
  Schema.filter(
    ({ inputRequests, requestState }) => inputRequests !== undefined || requestState !== undefined,
    { message: () => "neither inputRequests nor requestState" }
  )
).annotations({ identifier: "InputRequiredResult" })

const elicited = member(ElicitResult)
const sampled = member(CreateMessageResult)
const listed = member(ListRootsResult)

/**
 * @since 0.1.0
 * @category schemas
 */
export const InputResponse: Schema.Schema<InputResponse> = choiceBy<InputResponse>({
  identifier: "InputResponse",
  members: [elicited, sampled, listed],
  choose: (value) => "action" in value ? elicited : "roots" in value ? listed : sampled
})

/**
 * @since 0.1.0
 * @category schemas
 */
export const InputResponses: Schema.Schema<InputResponses> = record("InputResponses", InputResponse)
