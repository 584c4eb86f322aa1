/**
 * What cannot be sent, and the errors of what was: the same as those of the transport.
 */
import * as JsonRpc from "@effect-mcp/transport/JsonRpc"
import type { SendOptions } from "@effect-mcp/transport/StreamableHttpTransport"
import * as TransportError from "@effect-mcp/transport/TransportError"
import * as Redacted from "effect/Redacted"
import type { Session } from "./session.ts"

/** A message of the revision 2026-07-28, which knows no sessions. */
export const isStateless = (message: JsonRpc.Message): boolean => {
  if (!("method" in message)) return false
  const meta = message.params?._meta
  return typeof meta === "object" && meta !== null &&
    typeof Reflect.get(meta, "io.modelcontextprotocol/protocolVersion") === "string"
}

export const isInitialize = (message: JsonRpc.Message): boolean =>
  JsonRpc.isRequest(message) && message.method === "initialize" && !isStateless(message)

export const isInitialized = (message: JsonRpc.Message): boolean =>
  JsonRpc.isNotification(message) && message.method === "notifications/initialized" && !isStateless(message)

/** Why a message cannot be sent, whatever the state of the transport. */
export const refusal = (
  message: JsonRpc.Message,
  { resumptionToken }: SendOptions
): TransportError.TransportError | undefined => {
  if (!JsonRpc.isMessage(message)) return invalid(message, "what was to be sent is no JSON-RPC 2.0 message")
  try {
    JsonRpc.encode(message)
  } catch (error) {
    return invalid(message, `the message is no JSON: ${error instanceof Error ? error.message : String(error)}`)
  }
  if (resumptionToken === undefined) return undefined
  if (resumptionToken === "") return unusableToken(message, "MissingToken")
  return JsonRpc.isRequest(message) && !isStateless(message) ? undefined : unusableToken(message, "NotResumable")
}

const invalid = (message: JsonRpc.Message, description: string): TransportError.ProtocolError =>
  new TransportError.ProtocolError({
    ...about(message, "NotExecuted"),
    reason: "InvalidMessage",
    description
  })

const unusableToken = (message: JsonRpc.Message, reason: "MissingToken" | "NotResumable") =>
  new TransportError.ResumptionError({ ...about(message, "NotExecuted"), reason, attempts: 0 })

export const noResponse = (message: JsonRpc.Message): TransportError.ProtocolError =>
  new TransportError.ProtocolError({
    ...about(message, "Unknown"),
    reason: "NoResponse",
    description: "the stream ended without the answer"
  })

/** The session is over; one without an id was never known to the server, so there the transport is closed. */
export const over = (
  message: JsonRpc.Message,
  session: Session | undefined,
  outcome: TransportError.Outcome
): TransportError.TransportError =>
  session?.status === "Terminated" && session.sessionId !== undefined
    ? new TransportError.SessionTerminated({
      ...about(message, outcome),
      sessionId: Redacted.make(session.sessionId),
      by: session.terminatedBy
    })
    : new TransportError.ConnectionError({ ...about(message, outcome), phase: "Closed" })

const about = (message: JsonRpc.Message, outcome: TransportError.Outcome) => ({
  ...(JsonRpc.isRequest(message) ? { requestId: message.id } : {}),
  outcome
})
