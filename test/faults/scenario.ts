/**
 * Scenarios of the model-based test, as plain data: what a client does with one transport, what the server has to say, and
 * how it goes wrong, connection by connection.
 */
import type { JsonRpc } from "@effect-mcp/transport"
import * as FastCheck from "effect/FastCheck"

/** One event that a server sends. Comments and bad data never carry a message. */
export interface EventPlan {
  readonly kind:
    | "Notification"
    | "ServerRequest"
    | "Batch"
    | "OtherResponse"
    | "IdOnly"
    | "Comment"
    | "BadData"
    | "OtherType"
  readonly hasId: boolean
  readonly retry: string | undefined
  /** Time before it, in milliseconds. */
  readonly pause: number
}

/**
 * What becomes of one connection.
 *
 * `at`: the part of what it would deliver that arrives, from 0 to 1. `Break` ends it as a lost connection, `End` cleanly,
 * `Stall` not at all.
 */
export type Fate =
  | { readonly _tag: "Whole" }
  | { readonly _tag: "Break" | "End" | "Stall"; readonly at: number }
  | { readonly _tag: "NoHead" }
  | { readonly _tag: "StalledHead" }
  | { readonly _tag: "OtherType" }
  | {
    readonly _tag: "Status"
    readonly status: number
    /** Of a JSON-RPC error in the body. */
    readonly hasError: boolean
    /** In seconds. */
    readonly retryAfter: number | undefined
  }

export interface ConnectionPlan {
  readonly fate: Fate
  /** How many events before the cursor a resuming GET gets again. */
  readonly replays: number
}

export interface SendPlan {
  readonly id: JsonRpc.RequestId
  /** When it is sent, in milliseconds. */
  readonly at: number
  readonly isJson: boolean
  readonly events: ReadonlyArray<EventPlan>
  readonly answerHasId: boolean
  readonly answerIsError: boolean
  readonly connections: ReadonlyArray<ConnectionPlan>
  readonly way: "request" | "send"
  readonly announces: boolean
  /** The consumer leaves after so many messages that are not the answer. */
  readonly leavesAfter: number | undefined
}

export interface ServerStreamPlan {
  readonly events: ReadonlyArray<EventPlan>
  readonly connections: ReadonlyArray<ConnectionPlan>
}

export interface Scenario {
  readonly sends: ReadonlyArray<SendPlan>
  /** None: the server offers no stream of its own. */
  readonly receive: ServerStreamPlan | undefined
  /** Reconnects without progress before giving up, and the time before each in milliseconds. */
  readonly attempts: number
  readonly delay: number
  readonly maxRetryDelay: number
  readonly idleTimeout: number | undefined
  /** How the server's text is cut into chunks, in bytes. */
  readonly chunkSize: number
}

/** The limits within which scenarios are made: over real sockets everything is shorter. */
export interface Scale {
  readonly pauses: ReadonlyArray<number>
  readonly starts: ReadonlyArray<number>
  readonly retries: ReadonlyArray<string>
  readonly retryAfters: ReadonlyArray<number>
  readonly delays: ReadonlyArray<number>
  readonly idleTimeout: number
  readonly maxRetryDelay: number
}

export const virtualTime: Scale = {
  pauses: [0, 0, 0, 7, 400, 20_000],
  starts: [0, 0, 13, 1_009, 30_011],
  retries: ["0", "50", "250", "3000", "nonsense", "-5", "1.5", "60001", "99999999999999999999"],
  retryAfters: [0, 1, 30, 61],
  delays: [10, 500, 5_000],
  idleTimeout: 30_000,
  maxRetryDelay: 60_000
}

export const realTime: Scale = {
  pauses: [0, 0, 0, 1, 3],
  starts: [0, 0, 2],
  retries: ["0", "50", "nonsense", "-5", "5001", "99999999999999999999"],
  retryAfters: [0, 6],
  delays: [1, 5],
  idleTimeout: 250,
  maxRetryDelay: 5_000
}

const statuses = [202, 204, 302, 400, 401, 403, 404, 405, 406, 408, 409, 410, 413, 415, 425, 429, 500, 502, 503, 504]

const eventPlan = (scale: Scale): FastCheck.Arbitrary<EventPlan> =>
  FastCheck.record({
    kind: FastCheck.oneof(
      { weight: 8, arbitrary: FastCheck.constant("Notification" as const) },
      { weight: 2, arbitrary: FastCheck.constant("ServerRequest" as const) },
      {
        weight: 4,
        arbitrary: FastCheck.constantFrom(
          ...(["Batch", "OtherResponse", "IdOnly", "Comment", "BadData", "OtherType"] as const)
        )
      }
    ),
    hasId: FastCheck.oneof({ weight: 4, arbitrary: FastCheck.constant(true) }, {
      weight: 1,
      arbitrary: FastCheck.constant(false)
    }),
    retry: FastCheck.oneof(
      { weight: 6, arbitrary: FastCheck.constant(undefined) },
      { weight: 1, arbitrary: FastCheck.constantFrom(...scale.retries) }
    ),
    pause: FastCheck.constantFrom(...scale.pauses)
  })

/** A part, in thousandths. (Random doubles are mostly next to zero.) */
const part = (min: number): FastCheck.Arbitrary<number> =>
  FastCheck.oneof(
    { weight: 9, arbitrary: FastCheck.integer({ min, max: 1_000 }).map((n) => n / 1_000) },
    { weight: 1, arbitrary: FastCheck.constantFrom(0, 1) }
  )

const lost = (at: FastCheck.Arbitrary<number>): FastCheck.Arbitrary<Fate> =>
  FastCheck.record({ _tag: FastCheck.constantFrom("Break" as const, "Break" as const, "End" as const), at })

/** `isFirst`: mostly late enough that there is something to resume. */
const fate = (scale: Scale, canStall: boolean, isFirst: boolean): FastCheck.Arbitrary<Fate> => {
  const at = part(isFirst ? 300 : 0)
  return FastCheck.oneof(
    { weight: 16, arbitrary: lost(at) },
    { weight: 1, arbitrary: FastCheck.constant({ _tag: "Whole" as const }) },
    { weight: 1, arbitrary: FastCheck.constant({ _tag: "NoHead" as const }) },
    { weight: 1, arbitrary: FastCheck.constant({ _tag: "OtherType" as const }) },
    {
      weight: isFirst ? 2 : 4,
      arbitrary: FastCheck.record({
        _tag: FastCheck.constant("Status" as const),
        status: FastCheck.constantFrom(...statuses),
        hasError: FastCheck.boolean(),
        retryAfter: FastCheck.option(FastCheck.constantFrom(...scale.retryAfters), { nil: undefined })
      })
    },
    ...(canStall
      ? [
        { weight: 4, arbitrary: FastCheck.record({ _tag: FastCheck.constant("Stall" as const), at }) },
        { weight: 1, arbitrary: FastCheck.constant({ _tag: "StalledHead" as const }) }
      ]
      : [])
  )
}

const connections = (scale: Scale, canStall: boolean): FastCheck.Arbitrary<ReadonlyArray<ConnectionPlan>> => {
  const connection = (isFirst: boolean): FastCheck.Arbitrary<ConnectionPlan> =>
    FastCheck.record({
      fate: fate(scale, canStall, isFirst),
      replays: FastCheck.oneof(FastCheck.constant(0), FastCheck.integer({ min: 0, max: 4 }))
    })
  return FastCheck.oneof(
    { weight: 1, arbitrary: FastCheck.constant([]) },
    {
      weight: 9,
      arbitrary: FastCheck.tuple(connection(true), FastCheck.array(connection(false), { maxLength: 6 })).map((
        [first, rest]
      ) => [first].concat(rest))
    }
  )
}

const beginning: EventPlan = { kind: "IdOnly", hasId: true, retry: undefined, pause: 0 }

/** Most servers that can resume begin with an event that is nothing but an id. */
const events = (scale: Scale, maxLength: number): FastCheck.Arbitrary<ReadonlyArray<EventPlan>> =>
  FastCheck.tuple(
    FastCheck.integer({ min: 0, max: 3 }),
    FastCheck.array(eventPlan(scale), { maxLength })
  ).map(([n, events]) => n === 0 ? events : [beginning].concat(events))

const sendPlan = (scale: Scale, canStall: boolean): FastCheck.Arbitrary<Omit<SendPlan, "id">> =>
  FastCheck.record({
    at: FastCheck.constantFrom(...scale.starts),
    isJson: FastCheck.integer({ min: 0, max: 9 }).map((n) => n === 9),
    events: events(scale, 8),
    answerHasId: FastCheck.boolean(),
    answerIsError: FastCheck.integer({ min: 0, max: 5 }).map((n) => n === 5),
    connections: connections(scale, canStall),
    way: FastCheck.constantFrom("request", "send"),
    announces: FastCheck.boolean(),
    leavesAfter: FastCheck.oneof(
      { weight: 6, arbitrary: FastCheck.constant(undefined) },
      { weight: 1, arbitrary: FastCheck.integer({ min: 1, max: 3 }) }
    )
  })

/** Ids of all shapes, among them `1` and `"1"`, which are two. */
const requestIds: ReadonlyArray<JsonRpc.RequestId> = [1, "1", "a b", 2]

export const scenario = (scale: Scale): FastCheck.Arbitrary<Scenario> =>
  FastCheck.boolean().chain((canStall) =>
    FastCheck.record({
      sends: FastCheck.array(sendPlan(scale, canStall), { minLength: 1, maxLength: 3 }).map((plans) =>
        plans.map((plan, index): SendPlan => ({ ...plan, id: requestIds[index] ?? index }))
      ),
      receive: FastCheck.option(
        FastCheck.record({
          events: events(scale, 6),
          connections: connections(scale, canStall)
        }),
        { nil: undefined }
      ),
      attempts: FastCheck.constantFrom(0, 1, 2, 2, 3, 4),
      delay: FastCheck.constantFrom(...scale.delays),
      maxRetryDelay: FastCheck.constant(scale.maxRetryDelay),
      idleTimeout: FastCheck.constant(canStall ? scale.idleTimeout : undefined),
      chunkSize: FastCheck.constantFrom(1, 7, 64, 4_096)
    })
  )
