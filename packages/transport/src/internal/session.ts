/**
 * The life of sessions on one transport: at most one is current, messages keep the one they were sent in.
 *
 * Specification 2025-11-25, basic/transports, "Session Management".
 */
import type { Member } from "./liveSet.ts"
import type { SessionHeaders } from "./requestHeaders.ts"

/** Something that runs within a session and is to fail at once when this side ends the session. */
export interface Running extends Member {
  readonly session: Session | undefined
  readonly abort: () => void
}

export interface Session extends SessionHeaders {
  status: "Idle" | "Active" | "Terminated"
  sessionId: string | undefined
  protocolVersion: string | undefined
  terminatedBy: "Client" | "Server" | undefined
  /** Whether the server accepted `notifications/initialized`: from then on it may be listened to. */
  initialized: boolean
  /** Whether another session took its place. */
  replaced: boolean
}

export const idle = (): Session => ({
  status: "Idle",
  sessionId: undefined,
  protocolVersion: undefined,
  terminatedBy: undefined,
  initialized: false,
  replaced: false
})

export const active = (sessionId: string | undefined): Session => ({ ...idle(), status: "Active", sessionId })

/** A session opened elsewhere: its handshake is done. */
export const adopted = (sessionId: string, protocolVersion: string): Session => ({
  ...active(sessionId),
  protocolVersion,
  initialized: true
})

/** Ends a session. False when it had ended already: the first to say so decides who did it. */
export const end = (session: Session, by: "Client" | "Server"): boolean => {
  if (session.status === "Terminated") return false
  session.status = "Terminated"
  session.terminatedBy = by
  return true
}

/** Only a session with an id is known to the server, so only that can be terminated there. */
export const needsDelete = (session: Session): boolean => session.status === "Active" && session.sessionId !== undefined
