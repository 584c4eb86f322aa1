/**
 * What a script or a hand-written handler needs of the connection below it: a socket, or nothing but memory.
 */
import type * as Headers from "@effect/platform/Headers"

/** How a connection ends before its time: `Close` as a process that stops does, `Reset` as one that crashes does. */
export type CutKind = "Close" | "Reset"

/** One request and the means to answer it. Everything is synchronous; what cannot go out yet waits. */
export interface Wire {
  readonly head: (status: number, headers: Headers.Headers) => void
  /** False when enough is waiting: `onDrain` tells when it has gone. */
  readonly write: (chunk: Uint8Array) => boolean
  readonly onDrain: (listener: () => void) => void
  /** Ends the body once what was written has gone out. */
  readonly end: () => void
  /** Breaks the connection once what was written has gone out; before the head, there is no answer at all. */
  readonly cut: (kind: CutKind) => void
  /** Whether the client still listens and the answer has not ended. */
  readonly isOpen: () => boolean
  /** Called once when the answer has ended, by whomever. */
  readonly onClose: (listener: () => void) => void
}

/** A request as the connection has read it. */
export interface WireRequest {
  readonly method: string
  readonly path: string
  readonly headers: Headers.Headers
  readonly rawHeaders: ReadonlyArray<string>
  readonly body: string
  /** The connection it came on, numbered in the order in which they were opened. */
  readonly connection: number
}
