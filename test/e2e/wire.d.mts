import type { Server } from "node:http"

/** One HTTP exchange as the server saw it. */
export interface Exchange {
  readonly method: string
  readonly path: string
  /** Names in lower case; the values of a header that came several times are joined by `", "`. */
  readonly headers: Readonly<Record<string, string>>
  /** What has arrived of the request's body so far; empty when there is none. */
  readonly body: string
  /** `null` as long as the head of the response has not been sent. */
  readonly status: number | null
  /** `cut`: the connection closed, from either side, before the response was complete. */
  readonly state: "open" | "finished" | "cut"
}

/** Starts recording; the returned function gives the exchanges so far, in the order of their arrival. */
export declare const recordExchanges: (server: Server) => () => ReadonlyArray<Exchange>
