/**
 * A call, from the capability it needs to the result: it waits for a good connection, answers demands for input, and goes
 * on after a lost session where that is safe.
 */
import type * as JsonRpc from "@effect-mcp/transport/JsonRpc"
import type { ConnectionError, HttpStatusError, ProtocolError } from "@effect-mcp/transport/TransportError"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import type { ServerCapabilities } from "../Capability.ts"
import { InputRequiredResult } from "../InputRequired.ts"
import {
  CapabilityMissing,
  DecodeError,
  InputRequiredError,
  type JsonRpcError,
  type McpClientError
} from "../McpClientError.ts"
import type { Connector } from "./connector.ts"
import type { ExchangeFailure, Exchanges, Outgoing } from "./exchange.ts"
import type { Handlers } from "./handlers.ts"
import * as Negotiation from "./negotiation.ts"
import type { Connection } from "./negotiator.ts"
import type { ResolvedOptions } from "./options.ts"
import { isObject } from "./wire.ts"

export interface Call extends Omit<Outgoing, "limits"> {
  readonly limits?: Outgoing["limits"] | undefined
  readonly capability?: Capability | undefined
  /** Methods that may be answered with a demand for input (2026-07-28, "Supported Requests"). */
  readonly mayNeedInput?: boolean | undefined
  /** Run when the server asks for input. */
  readonly onInput?: (() => void) | undefined
  /**
   * Whether the call may be sent again although it may have been executed. `Never` is not even sent again when it surely
   * was not.
   */
  readonly repeat: "Safe" | "Never" | "IfNotExecuted" | ((error: TransportFailure) => boolean)
}

export type TransportFailure = Exclude<ExchangeFailure, { readonly _tag: "JsonRpcError" | "RequestTimeout" }>

export type Capability = "tools" | "resources" | "resources.subscribe" | "prompts" | "completions" | "logging"

/** The result of a call: any object. */
export interface Result {
  readonly [member: string]: unknown
}

export class Calls {
  private readonly connector: Connector
  private readonly exchanges: Exchanges
  private readonly handlers: Handlers
  private readonly options: ResolvedOptions

  constructor(connector: Connector, exchanges: Exchanges, handlers: Handlers, options: ResolvedOptions) {
    this.connector = connector
    this.exchanges = exchanges
    this.handlers = handlers
    this.options = options
  }

  /** Fails before anything is sent when the server does not offer what the call needs. */
  run(call: Call): Effect.Effect<Result, McpClientError> {
    return Effect.suspend(() => this.connector.isReady ? this.attempt(call, false) : this.whenReady(call, false))
  }

  private whenReady(call: Call, isRepeated: boolean): Effect.Effect<Result, McpClientError> {
    return Effect.flatMap(this.connector.ready, () => this.attempt(call, isRepeated))
  }

  private attempt(call: Call, isRepeated: boolean): Effect.Effect<Result, McpClientError> {
    const connection = this.connector.current
    const { capability, method, target } = call
    if (capability !== undefined && !offers(connection.server.capabilities, capability)) {
      return Effect.fail(new CapabilityMissing({ method, target, outcome: "NotExecuted", capability }))
    }
    return Effect.catchAll(
      this.rounds(connection, call, call.params, 0),
      (error) => this.afterFailure(connection, call, error, isRepeated)
    )
  }

  // --- results ------------------------------------------------------------------------------------------------------

  private rounds(
    connection: Connection,
    call: Call,
    params: JsonRpc.Params | undefined,
    round: number
  ): Effect.Effect<Result, McpClientError> {
    const outgoing: Outgoing = { ...call, params, limits: call.limits ?? this.options.limits }
    return Effect.flatMap(this.exchanges.send(connection, outgoing), (result) => {
      if (!isObject(result)) return Effect.fail(unusable(call, "Malformed", "the result is no object", result))
      connection.isProven = true
      if (connection.era === "Legacy") return Effect.succeed(result)
      switch (result.resultType) {
        // Absent with servers that serve earlier versions (2026-07-28, "ResultType").
        case undefined:
        case "complete":
          return Effect.succeed(result)
        case "input_required":
          return this.withInput(connection, call, result, round)
        default:
          return Effect.fail(
            unusable(call, "UnsupportedResultType", `the resultType ${JSON.stringify(result.resultType)}`, result)
          )
      }
    })
  }

  /** Answers a demand for input and sends the call again: the same, with the answers and exactly the state given. */
  private withInput(
    connection: Connection,
    call: Call,
    result: Result,
    round: number
  ): Effect.Effect<Result, McpClientError> {
    const { method, target } = call
    const failed = (reason: InputRequiredError["reason"], description: string, key?: string) =>
      new InputRequiredError({ method, target, outcome: "Unknown", reason, key, description })
    if (call.mayNeedInput !== true) {
      return Effect.fail(failed("NotAllowed", "the server must not ask for input in answer to this method"))
    }
    if (round >= this.options.maxInputRounds) {
      return Effect.fail(failed("TooManyRounds", `the server asked more than ${round} times (maxInputRounds)`))
    }
    const decoded = decodeInputRequired(result)
    if (Either.isLeft(decoded)) return Effect.fail(unusable(call, "Malformed", decoded.left.message, result))
    const { inputRequests, requestState } = decoded.right
    call.onInput?.()
    const answers = Effect.forEach(
      Object.entries(inputRequests ?? {}),
      ([key, request]) =>
        Effect.mapBoth(this.handlers.answer(request.method, request.params), {
          onFailure: (rejected) =>
            failed(rejected._tag === "NotOffered" ? "NoHandler" : "Rejected", rejected.message, key),
          onSuccess: (answer) => [key, answer] as const
        }),
      { concurrency: "unbounded" }
    )
    return Effect.flatMap(answers, (entries) =>
      this.rounds(connection, call, {
        ...call.params,
        ...(inputRequests === undefined ? {} : { inputResponses: Object.fromEntries(entries) }),
        ...(requestState === undefined ? {} : { requestState })
      }, round + 1))
  }

  // --- failures -----------------------------------------------------------------------------------------------------

  private afterFailure(
    connection: Connection,
    call: Call,
    error: McpClientError,
    isRepeated: boolean
  ): Effect.Effect<Result, McpClientError> {
    switch (error._tag) {
      case "SessionTerminated": {
        if (error.by !== "Server") return Effect.fail(error)
        const replaced = this.connector.replace(connection, error)
        if (isRepeated || !mayRepeat(call, error)) {
          return Effect.zipRight(this.inBackground(replaced), Effect.fail(error))
        }
        return keepingOutcome(call, error, Effect.zipRight(replaced, this.whenReady(call, true)))
      }
      case "HttpStatusError":
      case "JsonRpcError":
        return isRepeated || !speaksOtherwise(connection, error)
          ? Effect.fail(error)
          : Effect.zipRight(this.connector.replace(connection, error), this.afterChange(connection, call, error))
      case "ConnectionError":
      case "ProtocolError":
        // A stateless call whose stream broke is lost; asking again is the only way (2026-07-28, changelog 9). What does
        // no harm is asked again in both eras: a connection that was kept open may have been closed just then.
        return (connection.era === "Modern" || call.repeat === "Safe") && !isRepeated && isBroken(error) &&
            mayRepeat(call, error)
          ? keepingOutcome(call, error, this.whenReady(call, true))
          : Effect.fail(error)
      default:
        return Effect.fail(error)
    }
  }

  /** The server was asked anew what it speaks: the call is sent again if that was why it was refused. */
  private afterChange(
    former: Connection,
    call: Call,
    error: JsonRpcError | HttpStatusError
  ): Effect.Effect<Result, McpClientError> {
    return Effect.flatMap(
      this.connector.ready,
      ({ era, protocolVersion }) =>
        isRefused(call, error) &&
          (isVersionError(former, error) || era !== former.era || protocolVersion !== former.protocolVersion)
          ? this.attempt(call, true)
          : Effect.fail(error)
    )
  }

  /** Who cannot be helped does not wait; who comes next finds a session. */
  private inBackground(replaced: Effect.Effect<void, McpClientError>): Effect.Effect<void> {
    return Effect.asVoid(Effect.forkDaemon(Effect.ignore(replaced)))
  }
}

const decodeInputRequired = Schema.decodeUnknownEither(InputRequiredResult)

/**
 * Whether a refusal may come from a server that no longer speaks what it did: it says so, or it has not yet shown that it
 * ever did.
 */
const speaksOtherwise = (connection: Connection, error: JsonRpcError | HttpStatusError): boolean => {
  if (isVersionError(connection, error)) return true
  if (connection.isProven) return false
  if (connection.era === "Legacy") return error._tag === "JsonRpcError" && Negotiation.isModernError(error.error)
  const probe: Negotiation.Probe = error._tag === "JsonRpcError"
    ? { _tag: "Error", error: error.error, status: undefined }
    : { _tag: "Transport", error }
  return Negotiation.decide(probe)._tag === "Initialize"
}

/** By the code alone a server with sessions may mean anything; one that names the versions it speaks does not. */
const isVersionError = ({ era }: Connection, error: JsonRpcError | HttpStatusError): boolean =>
  error._tag === "JsonRpcError" && error.error.code === Negotiation.unsupportedProtocolVersion &&
  (era === "Modern" || Negotiation.supportedVersions(error.error).length > 0)

/** What servers with sessions answer to a request without one; they agree on no other code. */
const serverError = -32000

/** Whether a call that met a server of the other era may be sent again: it does no harm, or was not executed. */
const isRefused = ({ repeat }: Call, error: JsonRpcError | HttpStatusError): boolean =>
  repeat !== "Never" &&
  (repeat === "Safe" || error._tag === "HttpStatusError" || error.outcome === "NotExecuted" ||
    error.error.code === serverError)

/** The stream of the call ended without the answer. */
const isBroken = (error: ConnectionError | ProtocolError): boolean =>
  error._tag === "ConnectionError"
    ? error.phase === "Response" || error.phase === "Body"
    : error.reason === "NoResponse"

/** A tool that may have run is never said not to have run, however the second attempt ends. */
const keepingOutcome = (
  { repeat }: Call,
  first: TransportFailure,
  again: Effect.Effect<Result, McpClientError>
): Effect.Effect<Result, McpClientError> =>
  repeat === "Safe" || first.outcome === "NotExecuted"
    ? again
    : Effect.mapError(again, (error) => "outcome" in error && error.outcome === "NotExecuted" ? first : error)

const mayRepeat = ({ repeat }: Call, error: TransportFailure): boolean => {
  if (repeat === "Never") return false
  if (error.outcome === "NotExecuted" || repeat === "Safe") return true
  return typeof repeat === "function" && repeat(error)
}

export const unusable = (
  call: { readonly method: string; readonly target?: string | undefined },
  reason: DecodeError["reason"],
  description: string,
  came: unknown,
  path: ReadonlyArray<string | number> = []
): DecodeError =>
  new DecodeError({
    method: call.method,
    target: call.target,
    outcome: "Unknown",
    reason,
    path,
    description,
    excerpt: JSON.stringify(came)?.slice(0, 500)
  })

const offers = (capabilities: ServerCapabilities, capability: Capability): boolean => {
  switch (capability) {
    case "resources.subscribe":
      return capabilities.resources?.subscribe === true
    default:
      return capabilities[capability] !== undefined
  }
}
