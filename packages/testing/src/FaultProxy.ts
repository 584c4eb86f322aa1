/**
 * A TCP proxy on the loopback interface, between any HTTP/1.1 client and any HTTP/1.1 server, that breaks what the server says.
 *
 * It passes the server's bytes on unchanged, except for the faults that a {@link Plan} chooses for each exchange: connections
 * cut or reset at any byte or after any event, stalls, delays, split chunks, lost answers, events twice or in the wrong order.
 * Requests are read whole, head and body, before they are passed on, so that a plan can choose by what they ask; they reach
 * the server as they came (the `host` header names the proxy).
 *
 * Backpressure passes through: a slow client slows the server down, and the proxy holds little more than one chunk. One
 * connection to the server belongs to each connection of a client; requests that are pipelined reach the server one after
 * the other. What is not HTTP/1.1 (also after an upgrade, in heads over 1 MiB and in requests over 16 MiB) is passed on as it
 * comes, as one exchange. `expect: 100-continue` is not supported: the server sees such a request when its body has come.
 *
 * Sockets live in real time, and so do the delays here: a `TestClock` does not move them.
 *
 * @since 0.1.0
 */
import type * as Headers from "@effect/platform/Headers"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as faults from "./internal/faultProxy/faults.ts"
import * as plans from "./internal/faultProxy/plans.ts"
import * as internal from "./internal/faultProxy/server.ts"

// ---------------------------------------------------------------------------------------------------------------------
// Exchanges
// ---------------------------------------------------------------------------------------------------------------------

/**
 * One HTTP exchange that goes through the proxy, as far as it is known when its faults are chosen: a request.
 *
 * What is not HTTP/1.1 has an empty method and path, no headers, and as its body the bytes that had come.
 *
 * @since 0.1.0
 * @category models
 */
export interface Exchange {
  /** 0 for the first one through this proxy. */
  readonly index: number
  /** 0 for the first connection a client has opened to this proxy. */
  readonly connection: number
  readonly method: string
  /** As in the request line: the path, and the query if there is one. */
  readonly path: string
  /** Names in lower case; the values of a name that comes more than once are joined by commas. */
  readonly headers: Headers.Headers
  /** Without transfer coding, decoded as UTF-8. */
  readonly body: string
}

/**
 * An exchange and what its client was given so far.
 *
 * @since 0.1.0
 * @category models
 */
export interface Passed extends Exchange {
  /** At most the first `keep` characters are kept. */
  readonly body: string
  /** The bytes of the response as they were passed on, head and framing included: at most the first `keep`. */
  readonly response: Uint8Array
  /** How many bytes were passed on, kept or not. */
  readonly total: number
  /** What the plan has chosen for it. */
  readonly faults: ReadonlyArray<Fault>
}

// ---------------------------------------------------------------------------------------------------------------------
// Faults
// ---------------------------------------------------------------------------------------------------------------------

/**
 * A place in a response: exactly the bytes before it are passed on, wherever the chunks of the server begin and end.
 *
 * - `bytes`: so many from the first byte of the head on. `{ bytes: 0 }` is reached when the server begins to answer.
 * - `events`: so many complete server-sent events of the body, the empty line that ends them included. `{ events: 0 }` is the
 *   end of the head. A block of nothing but comments is no event. Only responses of type `text/event-stream` without a
 *   `content-encoding` have events.
 *
 * When the response ends before the place, nothing happens. A place at its very end is reached.
 *
 * @since 0.1.0
 * @category models
 */
export type Position = { readonly bytes: number } | { readonly events: number }

/**
 * How a connection ends: "Close" is an orderly end (FIN), "Reset" is not (RST). The bytes before a reset were given to the
 * client; it gets a few milliseconds to read them, as a reset may overtake them.
 *
 * @since 0.1.0
 * @category models
 */
export type Ending = "Close" | "Reset"

/**
 * Ends the response. The connection to the server is closed, too.
 *
 * "HalfOpen" leaves the client's connection open, without anything more, as when a cable is pulled: until the client or the
 * proxy's scope closes it.
 *
 * @since 0.1.0
 * @category faults
 */
export interface Cut {
  readonly _tag: "Cut"
  readonly after: Position
  readonly how: Ending | "HalfOpen"
}

/**
 * Holds the rest of the response back, for a while or for ever. The server is not read from meanwhile.
 *
 * @since 0.1.0
 * @category faults
 */
export interface Stall {
  readonly _tag: "Stall"
  readonly after: Position
  /** `Duration.infinity`: until the client or the proxy's scope closes the connection. */
  readonly duration: Duration.Duration
}

/**
 * Passes the response on in pieces of at most so many bytes, each in a turn of the event loop of its own and without Nagle's
 * algorithm. A client that is slow to read may still see several at once.
 *
 * @since 0.1.0
 * @category faults
 */
export interface Split {
  readonly _tag: "Split"
  readonly size: number
}

/**
 * Waits before each chunk that comes from the server. What is a chunk depends on TCP: what was written at once usually is one.
 *
 * @since 0.1.0
 * @category faults
 */
export interface Delay {
  readonly _tag: "Delay"
  readonly by: Duration.Duration
}

/**
 * Answers in the place of the server, which never sees the request.
 *
 * @since 0.1.0
 * @category faults
 */
export interface Respond {
  readonly _tag: "Respond"
  readonly status: number
  readonly headers: Headers.Headers
  readonly body: string | Uint8Array
}

/**
 * Ends the connection without an answer. The server never sees the request.
 *
 * @since 0.1.0
 * @category faults
 */
export interface Refuse {
  readonly _tag: "Refuse"
  readonly how: Ending
}

/**
 * The server gets the request, and its answer is lost: the connection ends when the first byte of the answer comes.
 *
 * @since 0.1.0
 * @category faults
 */
export interface Lose {
  readonly _tag: "Lose"
  readonly how: Ending
}

/**
 * Delivers an event twice.
 *
 * @since 0.1.0
 * @category faults
 */
export interface Duplicate {
  readonly _tag: "Duplicate"
  /** Its number in this response, from 0. */
  readonly event: number
}

/**
 * Delivers an event after the one that follows it. It is held back until that one is complete, or the response ends.
 *
 * @since 0.1.0
 * @category faults
 */
export interface Reorder {
  readonly _tag: "Reorder"
  /** Its number in this response, from 0. */
  readonly event: number
}

/**
 * What can be done to an exchange, as plain data.
 *
 * The faults of one exchange apply in the order in which they are listed, each to what the one before has made of the
 * response: `[split({ size: 1 }), delay({ by: "1 millis" })]` waits before each byte, the other order before each chunk, and
 * `[duplicate({ event: 0 }), cut({ after: { events: 2 } })]` cuts after the copy. Nothing comes after a cut.
 *
 * {@link Respond}, {@link Refuse} and {@link Lose} say where the answer comes from; the first of them counts, wherever it
 * stands, and the other faults then apply to that answer.
 *
 * @since 0.1.0
 * @category models
 */
export type Fault = Cut | Stall | Split | Delay | Respond | Refuse | Lose | Duplicate | Reorder

/**
 * A {@link Cut}; `how` is "Close" by default.
 *
 * Like all constructors of faults it throws a `RangeError` when a number makes no sense (negative, a fraction, NaN): a mistake
 * in a test.
 *
 * @example
 * ```ts
 * import { FaultProxy } from "@effect-mcp/testing"
 *
 * FaultProxy.cut({ after: { bytes: 100 }, how: "Reset" })
 * FaultProxy.cut({ after: { events: 2 } })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const cut: (options: { readonly after: Position; readonly how?: Ending | "HalfOpen" | undefined }) => Cut =
  faults.cut

/**
 * A {@link Stall}, for ever by default.
 *
 * @since 0.1.0
 * @category constructors
 */
export const stall: (
  options: { readonly after: Position; readonly duration?: Duration.DurationInput | undefined }
) => Stall = faults.stall

/**
 * A {@link Split} into pieces of `size` bytes, at least 1.
 *
 * @since 0.1.0
 * @category constructors
 */
export const split: (options: { readonly size: number }) => Split = faults.split

/**
 * A {@link Delay}.
 *
 * @since 0.1.0
 * @category constructors
 */
export const delay: (options: { readonly by: Duration.DurationInput }) => Delay = faults.delay

/**
 * A {@link Respond}: a status from 200 to 999, no further headers and no body by default.
 *
 * `content-length` is added, unless the headers have it or a `transfer-encoding`; with those the body goes out as it is given,
 * for answers that are wrong on purpose.
 *
 * @example
 * ```ts
 * import { FaultProxy } from "@effect-mcp/testing"
 *
 * FaultProxy.respond({ status: 503, headers: { "retry-after": "1" } })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const respond: (options: {
  readonly status: number
  readonly headers?: Headers.Input | undefined
  readonly body?: string | Uint8Array | undefined
}) => Respond = faults.respond

/**
 * A {@link Refuse}; `how` is "Close" by default.
 *
 * @since 0.1.0
 * @category constructors
 */
export const refuse: (options?: { readonly how?: Ending | undefined }) => Refuse = faults.refuse

/**
 * A {@link Lose}; `how` is "Close" by default.
 *
 * @since 0.1.0
 * @category constructors
 */
export const lose: (options?: { readonly how?: Ending | undefined }) => Lose = faults.lose

/**
 * A {@link Duplicate}. A body of known length is sent chunked instead, as it gets longer.
 *
 * @since 0.1.0
 * @category constructors
 */
export const duplicate: (options: { readonly event: number }) => Duplicate = faults.duplicate

/**
 * A {@link Reorder}.
 *
 * @since 0.1.0
 * @category constructors
 */
export const reorder: (options: { readonly event: number }) => Reorder = faults.reorder

// ---------------------------------------------------------------------------------------------------------------------
// Plans
// ---------------------------------------------------------------------------------------------------------------------

/**
 * Chooses the faults of an exchange; none lets it pass unharmed. Called once for each exchange, when its request is whole.
 *
 * When it throws, the error is logged and the client's connection reset.
 *
 * @since 0.1.0
 * @category models
 */
export type Plan = (exchange: Exchange) => ReadonlyArray<Fault>

/**
 * The faults of one exchange after the other. Those that come later pass unharmed.
 *
 * @since 0.1.0
 * @category models
 */
export type Sequence = ReadonlyArray<ReadonlyArray<Fault>>

/**
 * Options of {@link seeded}.
 *
 * @since 0.1.0
 * @category models
 */
export interface SeededOptions {
  /** The share of exchanges that get a fault, from 0 to 1. 0.3 by default. */
  readonly rate?: number | undefined
  /**
   * What may happen. By default what does not change the meaning of what gets through: "Cut", "Stall", "Split", "Delay",
   * "Refuse" and "Lose". "Respond" answers with one of 429, 500, 502, 503 and 504.
   */
  readonly faults?: ReadonlyArray<Fault["_tag"]> | undefined
  /** How cuts end. "Close" and "Reset" by default: "HalfOpen" takes clients that give up by themselves. */
  readonly cuts?: ReadonlyArray<Cut["how"]> | undefined
  /** The largest position in bytes, and the largest size of pieces. 2048 by default. */
  readonly maxBytes?: number | undefined
  /** The largest position in events, and number of an event. 4 by default. */
  readonly maxEvents?: number | undefined
  /** The longest delay and stall. 50 milliseconds by default. */
  readonly maxDelay?: Duration.DurationInput | undefined
}

/**
 * Random faults, at most one for each exchange, that can be had again: the same seed, options and exchange index give the
 * same fault, in every process. Throws a `RangeError` when an option makes no sense.
 *
 * @example
 * ```ts
 * import { FaultProxy } from "@effect-mcp/testing"
 *
 * const Chaos = FaultProxy.layer({
 *   target: "http://127.0.0.1:3000/mcp",
 *   faults: FaultProxy.seeded("monday", { rate: 0.5, faults: ["Cut", "Delay"] })
 * })
 * ```
 *
 * @since 0.1.0
 * @category plans
 */
export const seeded: (seed: number | string, options?: SeededOptions) => Plan = plans.seeded

/**
 * A plan for each connection of a client, in the order in which they are opened: faults for every exchange on it, or a plan
 * that chooses among them. Connections that come later pass unharmed.
 *
 * @example
 * ```ts
 * import { FaultProxy } from "@effect-mcp/testing"
 *
 * // the first connection is cut, the second only answers POSTs, the others are good
 * FaultProxy.perConnection([
 *   [FaultProxy.cut({ after: { events: 1 } })],
 *   (exchange) => exchange.method === "POST" ? [] : [FaultProxy.refuse()]
 * ])
 * ```
 *
 * @since 0.1.0
 * @category plans
 */
export const perConnection: (connections: ReadonlyArray<Plan | ReadonlyArray<Fault>>) => Plan = plans.perConnection

// ---------------------------------------------------------------------------------------------------------------------
// The proxy
// ---------------------------------------------------------------------------------------------------------------------

/**
 * The service: where the proxy is, what went through it, and what it is to break next.
 *
 * @example
 * ```ts
 * import { FaultProxy } from "@effect-mcp/testing"
 * import { Effect } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const proxy = yield* FaultProxy.FaultProxy
 *   // the answer to the next request is lost
 *   yield* proxy.program([[FaultProxy.lose()]])
 *   yield* Effect.tryPromise(() => fetch(proxy.url)).pipe(Effect.flip)
 *   const response = yield* Effect.tryPromise(() => fetch(proxy.url))
 *   const passed = yield* proxy.exchanges
 *   return [response.status, passed.map((exchange) => exchange.total)]
 * }).pipe(Effect.provide(FaultProxy.layer({ target: "http://127.0.0.1:3000/mcp" })))
 * ```
 *
 * @since 0.1.0
 * @category tags
 */
export class FaultProxy extends Context.Tag("@effect-mcp/testing/FaultProxy")<FaultProxy, {
  /** The target's path and query, at the proxy's origin. */
  readonly url: string
  /** What went through, in the order of the requests: the last 10 000. */
  readonly exchanges: Effect.Effect<ReadonlyArray<Passed>>
  /** How many connections of clients are open right now. */
  readonly connections: Effect.Effect<number>
  /**
   * Replaces the plan, from the next exchange on; those under way keep their faults. A sequence begins with the next
   * exchange.
   */
  readonly program: (plan: Plan | Sequence) => Effect.Effect<void>
  /** From the next exchange on nothing is broken any more. Those that are stalled stay so. */
  readonly mend: Effect.Effect<void>
  /** Resets all connections of clients that are open right now. */
  readonly breakAll: Effect.Effect<void>
}>() {}

/**
 * @since 0.1.0
 * @category models
 */
export type Service = Context.Tag.Service<typeof FaultProxy>

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** An `http:` URL. */
  readonly target: string | URL
  /** Nothing is broken by default. */
  readonly faults?: Plan | Sequence | undefined
  /** How many bytes of each response, and characters of each request body, are kept. 65 536 by default. */
  readonly keep?: number | undefined
}

/**
 * Starts a proxy on a free port of 127.0.0.1. When the scope ends, all its connections are ended, whatever they were waiting
 * for. Options that make no sense are defects.
 *
 * A connection to the target that cannot be made resets the client's.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: (options: Options) => Effect.Effect<Service, never, Scope.Scope> = internal.make

/**
 * {@link make} as a layer.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options): Layer.Layer<FaultProxy> => Layer.scoped(FaultProxy, make(options))
