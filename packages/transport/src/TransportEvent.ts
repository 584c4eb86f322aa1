/**
 * What happens on the wire, for logs, dashboards and tests: see `StreamableHttpTransport.events`.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"
import type * as Duration from "effect/Duration"
import type * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import type * as JsonRpc from "./JsonRpc.ts"
import type { TransportError } from "./TransportError.ts"

/**
 * Which logical stream an event is about: that of one request, or the server's own (`receive`).
 *
 * @since 0.1.0
 * @category models
 */
export type StreamName =
  | { readonly _tag: "Request"; readonly id: JsonRpc.RequestId; readonly method: string }
  | { readonly _tag: "Server" }

/**
 * One thing that happened.
 *
 * - `RequestSent`, `ResponseReceived`: an HTTP exchange began, its head arrived. `message` is the JSON-RPC method (or
 *   `response`), undefined for GET and DELETE.
 * - `StreamOpened`: an event stream began, resumed after `lastEventId` if there is one.
 * - `StreamBroken`: an event stream ended before its answer; without a cause the server ended it cleanly.
 * - `StreamWaiting`: it will be resumed after `delay`.
 * - `StreamResumed`: it is open again, from the cursor `lastEventId`.
 * - `StreamGaveUp`: it failed for good.
 * - `RequestDelayed`: the server was overloaded (429, 503), the POST is repeated after `delay`; see `Options.overload`.
 * - `SessionStarted`, `SessionEnded`: the state of the session changed.
 *
 * @since 0.1.0
 * @category models
 */
export type TransportEvent = Data.TaggedEnum<{
  readonly RequestSent: {
    readonly method: "POST" | "GET" | "DELETE"
    readonly message: string | undefined
    readonly requestId: JsonRpc.RequestId | undefined
    readonly lastEventId: string | undefined
  }
  readonly ResponseReceived: {
    readonly method: "POST" | "GET" | "DELETE"
    readonly status: number
    readonly message: string | undefined
    readonly requestId: JsonRpc.RequestId | undefined
  }
  readonly StreamOpened: { readonly stream: StreamName; readonly lastEventId: string | undefined }
  readonly StreamBroken: {
    readonly stream: StreamName
    readonly lastEventId: string | undefined
    readonly cause: unknown
  }
  readonly StreamWaiting: {
    readonly stream: StreamName
    readonly lastEventId: string | undefined
    readonly attempt: number
    readonly delay: Duration.Duration
  }
  readonly StreamResumed: {
    readonly stream: StreamName
    readonly lastEventId: string | undefined
    readonly attempt: number
  }
  readonly StreamGaveUp: { readonly stream: StreamName; readonly error: TransportError }
  readonly RequestDelayed: {
    readonly requestId: JsonRpc.RequestId | undefined
    readonly status: number
    readonly delay: Duration.Duration
  }
  readonly SessionStarted: {
    readonly sessionId: Option.Option<Redacted.Redacted<string>>
    readonly protocolVersion: Option.Option<string>
  }
  readonly SessionEnded: {
    readonly sessionId: Option.Option<Redacted.Redacted<string>>
    readonly by: "Client" | "Server"
  }
}>

/**
 * @since 0.1.0
 * @category constructors
 */
export const {
  /**
   * @since 0.1.0
   * @category matching
   */
  $is: is,
  /**
   * @since 0.1.0
   * @category matching
   */
  $match: match,
  /**
   * @since 0.1.0
   * @category constructors
   */
  RequestDelayed,
  /**
   * @since 0.1.0
   * @category constructors
   */
  RequestSent,
  /**
   * @since 0.1.0
   * @category constructors
   */
  ResponseReceived,
  /**
   * @since 0.1.0
   * @category constructors
   */
  SessionEnded,
  /**
   * @since 0.1.0
   * @category constructors
   */
  SessionStarted,
  /**
   * @since 0.1.0
   * @category constructors
   */
  StreamBroken,
  /**
   * @since 0.1.0
   * @category constructors
   */
  StreamGaveUp,
  /**
   * @since 0.1.0
   * @category constructors
   */
  StreamOpened,
  /**
   * @since 0.1.0
   * @category constructors
   */
  StreamResumed,
  /**
   * @since 0.1.0
   * @category constructors
   */
  StreamWaiting
} = Data.taggedEnum<TransportEvent>()
