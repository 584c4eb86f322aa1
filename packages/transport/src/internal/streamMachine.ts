/**
 * The life of one logical stream (the answer to one request, or the server's own stream) across its connections:
 * every state and transition as a table, and every decision about cursors, replays and reconnects. Nothing here does
 * anything: `requestStream` and `serverStream` ask, and act on what they are told.
 *
 * Specification 2025-11-25, basic/transports: "Sending Messages to the Server" 6, "Resumability and Redelivery".
 */

export type State =
  | "Idle"
  | "Posting"
  | "Delaying"
  | "Opening"
  | "Resuming"
  | "Reading"
  | "Deciding"
  | "Waiting"
  | "Settled"

/**
 * - `Post`, `Open`, `Resume`: a POST, a first GET, a GET after a break was begun
 * - `Body`: a head came whose body is to be read
 * - `Busy`: the server was overloaded and did nothing with the POST, which is to be repeated
 * - `Lost`: the connection ended, or an attempt failed, and the stream may go on
 * - `Retry`: the policy allows a reconnect, after a wait; `GiveUp`: it does not
 * - `Settle`: answered, refused, ended or closed: nothing follows
 */
export type Signal = "Post" | "Busy" | "Open" | "Resume" | "Body" | "Lost" | "Retry" | "GiveUp" | "Settle"

export const transitions: { readonly [S in State]: { readonly [G in Signal]?: State } } = {
  Idle: { Post: "Posting", Open: "Opening", Resume: "Resuming", Settle: "Settled" },
  Posting: { Body: "Reading", Busy: "Delaying", Settle: "Settled" },
  Delaying: { Post: "Posting", Settle: "Settled" },
  Opening: { Body: "Reading", Lost: "Deciding", Settle: "Settled" },
  Resuming: { Body: "Reading", Lost: "Deciding", Settle: "Settled" },
  Reading: { Lost: "Deciding", Settle: "Settled" },
  Deciding: { Retry: "Waiting", GiveUp: "Settled", Settle: "Settled" },
  Waiting: { Open: "Opening", Resume: "Resuming", Settle: "Settled" },
  Settled: { Settle: "Settled" }
}

export const next = (state: State, signal: Signal): State => {
  const to = transitions[state][signal]
  if (to === undefined) throw new Error(`a stream that is ${state} cannot take ${signal}`)
  return to
}

/** The table as a Mermaid diagram, which the README shows. */
export const diagram = (): string => {
  const rows: Array<string> = ["stateDiagram-v2", "  [*] --> Idle"]
  for (const [from, signals] of Object.entries(transitions)) {
    for (const [signal, to] of Object.entries(signals)) {
      if (from === "Settled") continue
      rows.push(`  ${from} --> ${to}: ${signal}`)
    }
  }
  rows.push("  Settled --> [*]")
  return rows.join("\n")
}

/** The specification lets a server ask for no wait at all; a loop without any would spin. */
export const minimumRetry = 100

/** How many of a stream's last ids are remembered to recognise replays. */
export const replayWindow = 1024

/** How long a server stream without ids must have been open to count as progress. */
export const progressAfter = 10_000

/**
 * What an id says about its event. `Replay`: the same id came on an earlier connection. `Repeated`: it came on this
 * connection before, so the event is another one, but there is no new place to resume at.
 */
export type Novelty = "New" | "Repeated" | "Replay"

/** What is known of one logical stream. Mutable: it is on the path of every event. */
export class LogicalStream {
  state: State = "Idle"
  /** The newest id: where to resume. */
  lastEventId: string | undefined
  /** The server's newest `retry`, in milliseconds. */
  retry: number | undefined
  /** Reconnects since the last progress. */
  attempts = 0
  /** Whether an event ever had an id. */
  hadId = false
  /** Whether any connection of this stream was ever accepted. */
  wasOpen = false
  /** When the last connection was lost, in milliseconds. */
  lostAt: number | undefined

  // The last ids, the newest last, each with the number of the connection it came on.
  private seen: Map<string, number> | undefined
  private connection = 0

  readonly kind: "Request" | "Server"

  constructor(kind: "Request" | "Server", token?: string | undefined) {
    this.kind = kind
    if (token === undefined) return
    // The connection the token came on was another process's.
    this.take(token)
    this.connection = 1
  }

  /** Starts over where it was left: what was never open, or has no cursor, is opened as if for the first time. */
  reopen(): void {
    this.state = "Idle"
    this.attempts = 0
    this.wasOpen = this.lastEventId !== undefined
  }

  /** Whether the connection of the moment is not the first. */
  get isReconnected(): boolean {
    return this.connection > 1
  }

  signal(signal: Signal): void {
    this.state = next(this.state, signal)
    if (signal === "Body") {
      this.wasOpen = true
      this.connection++
    }
  }

  /** Takes note of an event's id. */
  take(id: string): Novelty {
    // An empty id means "no cursor" (WHATWG HTML 9.2.6): the stream cannot be resumed from here.
    if (id === "") {
      this.lastEventId = undefined
      return "Repeated"
    }
    const cameOn = this.seen?.get(id)
    if (cameOn !== undefined && cameOn < this.connection) return "Replay"
    this.remember(id, cameOn !== undefined)
    this.hadId = true
    if (id !== this.lastEventId) this.progress()
    this.lastEventId = id
    return cameOn === undefined ? "New" : "Repeated"
  }

  progress(): void {
    this.attempts = 0
  }

  private remember(id: string, isRepeated: boolean): void {
    const seen = this.seen ??= new Map()
    if (isRepeated) seen.delete(id)
    seen.set(id, this.connection)
    if (seen.size <= replayWindow) return
    for (const oldest of seen.keys()) {
      seen.delete(oldest)
      return
    }
  }
}

/** A stream without ids has nowhere to be resumed from; the server's own stream can always be opened again. */
export const canReconnect = (stream: LogicalStream, resumable: boolean): boolean =>
  stream.kind === "Server" || (resumable && stream.lastEventId !== undefined)

export type Delay =
  | { readonly _tag: "Wait"; readonly millis: number }
  | { readonly _tag: "TooLong"; readonly millis: number }

/**
 * How long to wait before the next reconnect. The server's `retry` replaces the policy's first delay and is the least
 * of all further ones; `Retry-After` is a floor; neither is ever shortened.
 */
export const reconnectDelay = (
  stream: LogicalStream,
  policyDelay: number,
  retryAfter: number | undefined,
  maxRetryDelay: number
): Delay => {
  const retry = stream.retry === undefined ? undefined : Math.max(stream.retry, minimumRetry)
  const asked = Math.max(stream.retry ?? 0, retryAfter ?? 0)
  if (asked > maxRetryDelay) return { _tag: "TooLong", millis: asked }
  const own = stream.attempts === 0 && retry !== undefined ? retry : Math.max(retry ?? 0, policyDelay)
  return { _tag: "Wait", millis: Math.max(own, retryAfter ?? 0) }
}
