/**
 * The session of a test double: at most one is current, messages keep the one they were sent in.
 */
import type { SessionState } from "@effect-mcp/transport/StreamableHttpTransport"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"

export interface Session {
  status: "Idle" | "Active" | "Terminated"
  readonly sessionId: string | undefined
  readonly protocolVersion: string | undefined
  terminatedBy: "Client" | "Server"
}

export const idle = (): Session => ({
  status: "Idle",
  sessionId: undefined,
  protocolVersion: undefined,
  terminatedBy: "Client"
})

export const active = (sessionId: string | undefined, protocolVersion: string | undefined): Session => ({
  ...idle(),
  status: "Active",
  sessionId,
  protocolVersion
})

/** Only a session with an id is known to the server, so only that can be ended. */
export const canEnd = (session: Session): boolean => session.status === "Active" && session.sessionId !== undefined

export const redactedId = (session: Session): Option.Option<Redacted.Redacted<string>> =>
  Option.map(Option.fromNullable(session.sessionId), (id) => Redacted.make(id))

export const stateOf = (session: Session): SessionState => {
  const sessionId = redactedId(session)
  switch (session.status) {
    case "Idle":
      return { _tag: "Idle" }
    case "Active":
      return { _tag: "Active", sessionId, protocolVersion: Option.fromNullable(session.protocolVersion) }
    case "Terminated":
      return { _tag: "Terminated", sessionId, by: session.terminatedBy }
  }
}
