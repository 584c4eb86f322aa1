/**
 * The services that the application provides for what a server may ask: one way of answering for both eras, where the
 * question comes as a request of the server (2025) or inside an `input_required` result (2026).
 */
import type * as JsonRpc from "@effect-mcp/transport/JsonRpc"
import type * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"
import type { ClientCapabilities } from "../Capability.ts"
import * as Elicitation from "../Elicitation.ts"
import type { Options } from "../McpClient.ts"
import { RequestRejected } from "../RequestRejected.ts"
import * as Roots from "../Roots.ts"
import * as Sampling from "../Sampling.ts"
import { compile } from "./jsonSchema.ts"

export interface Provided {
  readonly sampling: Option.Option<Context.Tag.Service<typeof Sampling.Sampling>>
  readonly elicitation: Option.Option<Context.Tag.Service<typeof Elicitation.Elicitation>>
  readonly roots: Option.Option<Context.Tag.Service<typeof Roots.Roots>>
}

export const provided: Effect.Effect<Provided> = Effect.all({
  sampling: Effect.serviceOption(Sampling.Sampling),
  elicitation: Effect.serviceOption(Elicitation.Elicitation),
  roots: Effect.serviceOption(Roots.Roots)
})

const decodeSampling = Schema.decodeUnknown(Sampling.CreateMessageParams)
const decodeElicitation = Schema.decodeUnknown(Elicitation.ElicitParams)

const methodNotFound = -32601
const invalidParams = -32602
const internalError = -32603

/** No service was provided for what the server asks for. */
class NotOffered extends Data.TaggedError("NotOffered")<{
  readonly code: number
  readonly message: string
  readonly data?: undefined
}> {}

export type Refusal = RequestRejected | NotOffered

export const toErrorObject = ({ code, data, message }: Refusal): JsonRpc.ErrorObject =>
  data === undefined ? { code, message } : { code, message, data }

export class Handlers {
  readonly provided: Provided

  constructor(provided: Provided) {
    this.provided = provided
  }

  /** What is declared to the server. */
  capabilities(more: Options["capabilities"]): ClientCapabilities {
    const { elicitation, roots, sampling } = this.provided
    return {
      ...(more?.experimental === undefined ? {} : { experimental: more.experimental }),
      ...(more?.extensions === undefined ? {} : { extensions: more.extensions }),
      ...(Option.isNone(sampling) ? {} : {
        sampling: {
          ...(sampling.value.capabilities?.tools === true ? { tools: {} } : {}),
          ...(sampling.value.capabilities?.context === true ? { context: {} } : {})
        }
      }),
      // Without either it would be read as form.
      ...(Option.isNone(elicitation) || (elicitation.value.form ?? elicitation.value.url) === undefined ? {} : {
        elicitation: {
          ...(elicitation.value.form === undefined ? {} : { form: {} }),
          ...(elicitation.value.url === undefined ? {} : { url: {} })
        }
      }),
      ...(Option.isNone(roots) ? {} : { roots: roots.value.changes === undefined ? {} : { listChanged: true } })
    }
  }

  /** The result of a request of the server, or why it is refused. */
  answer(method: string, params: unknown): Effect.Effect<unknown, Refusal> {
    switch (method) {
      case "ping":
        return Effect.succeed({})
      case "sampling/createMessage":
        return this.sample(params)
      case "elicitation/create":
        return this.elicit(params)
      case "roots/list":
        return Option.match(this.provided.roots, {
          onNone: () => notOffered(method),
          onSome: ({ list }) => Effect.map(list, (roots) => ({ roots }))
        })
      default:
        return notOffered(method)
    }
  }

  elicitationCompleted(id: string): Effect.Effect<void> {
    const { elicitation } = this.provided
    return Option.isSome(elicitation) && elicitation.value.onComplete !== undefined
      ? elicitation.value.onComplete(id)
      : Effect.void
  }

  private sample(params: unknown): Effect.Effect<unknown, Refusal> {
    const { sampling } = this.provided
    if (Option.isNone(sampling)) return notOffered("sampling/createMessage")
    const { capabilities, createMessage } = sampling.value
    return Effect.flatMap(
      Effect.mapError(decodeSampling(params), invalid("sampling/createMessage")),
      (decoded): Effect.Effect<unknown, Refusal> =>
        (decoded.tools !== undefined || decoded.toolChoice !== undefined) && capabilities?.tools !== true
          ? notDeclared("sampling.tools")
          : createMessage(decoded)
    )
  }

  private elicit(params: unknown): Effect.Effect<unknown, Refusal> {
    const { elicitation } = this.provided
    if (Option.isNone(elicitation)) return notOffered("elicitation/create")
    const { form, url } = elicitation.value
    return Effect.flatMap(
      Effect.mapError(decodeElicitation(params), invalid("elicitation/create")),
      (decoded): Effect.Effect<unknown, Refusal> => {
        if (decoded.mode === "url") return url === undefined ? notDeclared("elicitation.url") : url(decoded)
        if (form === undefined) return notDeclared("elicitation.form")
        return Effect.flatMap(form(decoded), (result) => checked(decoded, result))
      }
    )
  }
}

/** What the application filled in must be what was asked for. */
const checked = (
  params: Elicitation.FormParams,
  result: Elicitation.ElicitResult
): Effect.Effect<Elicitation.ElicitResult, RequestRejected> => {
  if (result.action !== "accept") return Effect.succeed(result)
  const validator = compile(params.requestedSchema)
  // A form that cannot be checked is for the server to judge.
  if (Either.isLeft(validator)) return Effect.succeed(result)
  const [violation] = validator.right(result.content ?? {})
  if (violation === undefined) return Effect.succeed(result)
  const message = `the content does not match the requested schema: ${violation.message}`
  return Effect.zipRight(
    Effect.logError("Elicitation.form gave content that does not match the requested schema", violation).pipe(
      Effect.annotateLogs({ package: "@effect-mcp/client" })
    ),
    Effect.fail(new RequestRejected({ code: internalError, message }))
  )
}

const notOffered = (method: string): Effect.Effect<never, NotOffered> =>
  Effect.fail(new NotOffered({ code: methodNotFound, message: `this client does not offer ${method}` }))

/** A part of what a method can do (2025-11-25, "Elicitation", "Error Handling"; "Sampling", `tools`). */
const notDeclared = (capability: string): Effect.Effect<never, NotOffered> =>
  Effect.fail(new NotOffered({ code: invalidParams, message: `this client does not declare ${capability}` }))

const invalid = (method: string) => (error: ParseResult.ParseError): RequestRejected =>
  new RequestRejected({
    code: invalidParams,
    message: `the parameters of ${method} are not what the protocol defines: ${
      ParseResult.TreeFormatter.formatErrorSync(error)
    }`
  })
