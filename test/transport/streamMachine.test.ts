import { assert, describe, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import {
  type Exchange,
  isRefusal,
  type Meaning,
  meaningOf,
  mediaType
} from "../../packages/transport/src/internal/statusTable.ts"
import {
  canReconnect,
  diagram,
  LogicalStream,
  minimumRetry,
  next,
  progressAfter,
  reconnectDelay,
  replayWindow,
  type Signal,
  type State,
  transitions
} from "../../packages/transport/src/internal/streamMachine.ts"

const states: ReadonlyArray<State> = [
  "Idle",
  "Posting",
  "Opening",
  "Resuming",
  "Reading",
  "Delaying",
  "Deciding",
  "Waiting",
  "Settled"
]

const signals: ReadonlyArray<Signal> = ["Post", "Busy", "Open", "Resume", "Body", "Lost", "Retry", "GiveUp", "Settle"]

const legal: ReadonlyMap<string, State> = new Map<string, State>([
  ["Idle Post", "Posting"],
  ["Idle Open", "Opening"],
  ["Idle Resume", "Resuming"],
  ["Idle Settle", "Settled"],
  ["Posting Body", "Reading"],
  ["Posting Busy", "Delaying"],
  ["Delaying Post", "Posting"],
  ["Delaying Settle", "Settled"],
  ["Posting Settle", "Settled"],
  ["Opening Body", "Reading"],
  ["Opening Lost", "Deciding"],
  ["Opening Settle", "Settled"],
  ["Resuming Body", "Reading"],
  ["Resuming Lost", "Deciding"],
  ["Resuming Settle", "Settled"],
  ["Reading Lost", "Deciding"],
  ["Reading Settle", "Settled"],
  ["Deciding Retry", "Waiting"],
  ["Deciding GiveUp", "Settled"],
  ["Deciding Settle", "Settled"],
  ["Waiting Open", "Opening"],
  ["Waiting Resume", "Resuming"],
  ["Waiting Settle", "Settled"],
  ["Settled Settle", "Settled"]
])

describe("the states of a logical stream", () => {
  for (const state of states) {
    for (const signal of signals) {
      const to = legal.get(`${state} ${signal}`)
      it(`${state} x ${signal} -> ${to ?? "refused"}`, () => {
        if (to === undefined) {
          assert.throws(() => next(state, signal), `a stream that is ${state} cannot take ${signal}`)
        } else assert.strictEqual(next(state, signal), to)
      })
    }
  }

  it("the table knows no other state or signal", () => {
    assert.deepStrictEqual(Object.keys(transitions).toSorted(), [...states].toSorted())
    for (const row of Object.values(transitions)) {
      for (const [signal, to] of Object.entries(row)) {
        assert.include(signals, signal)
        assert.include(states, to)
      }
    }
  })

  it("S64: only an idle stream POSTs, and one whose POST the server was too busy for", () => {
    const leadingTo = (to: State) =>
      Object.entries(transitions).filter(([, row]) => Object.values(row).includes(to)).map(([state]) => state)
    assert.deepStrictEqual(leadingTo("Posting"), ["Idle", "Delaying"])
    assert.deepStrictEqual(leadingTo("Delaying"), ["Posting"])
  })

  it("every state can be settled, and a settled stream stays so", () => {
    for (const state of states) assert.strictEqual(next(state, "Settle"), "Settled")
    assert.deepStrictEqual(Object.keys(transitions.Settled), ["Settle"])
  })

  it("the diagram shows every transition once", () => {
    const lines = diagram().split("\n").slice(1).map((line) => line.trim())
    const expected = [...legal].filter(([key]) => key !== "Settled Settle").map(([key, to]) => {
      const [from, signal] = key.split(" ")
      return `${from} --> ${to}: ${signal}`
    })
    assert.deepStrictEqual(lines.toSorted(), [...expected, "[*] --> Idle", "Settled --> [*]"].toSorted())
  })
})

const reading = (kind: "Request" | "Server" = "Request"): LogicalStream => {
  const stream = new LogicalStream(kind)
  stream.signal(kind === "Request" ? "Post" : "Open")
  stream.signal("Body")
  return stream
}

const reconnect = (stream: LogicalStream): void => {
  stream.signal("Lost")
  stream.signal("Retry")
  stream.attempts++
  stream.signal("Resume")
  stream.signal("Body")
}

const takeAll = (stream: LogicalStream, from: number, to: number): void => {
  for (let i = from; i < to; i++) assert.notStrictEqual(stream.take(`id-${i}`), "Replay", `id-${i}`)
}

describe("the cursor and replays", () => {
  it("S62: an id is a replay only when it came on an earlier connection", () => {
    const stream = reading()
    assert.notStrictEqual(stream.take("a"), "Replay")
    assert.notStrictEqual(stream.take("a"), "Replay")
    assert.notStrictEqual(stream.take("b"), "Replay")
    assert.notStrictEqual(stream.take("a"), "Replay")
    reconnect(stream)
    assert.strictEqual(stream.take("a"), "Replay")
    assert.strictEqual(stream.take("b"), "Replay")
    assert.notStrictEqual(stream.take("c"), "Replay")
    assert.notStrictEqual(stream.take("c"), "Replay")
    reconnect(stream)
    assert.deepStrictEqual(["a", "b", "c", "d"].map((id) => stream.take(id)), [
      "Replay",
      "Replay",
      "Replay",
      "New"
    ])
  })

  it("S62: a replay moves neither the cursor nor the count of attempts", () => {
    const stream = reading()
    takeAll(stream, 0, 3)
    reconnect(stream)
    assert.strictEqual(stream.take("id-0"), "Replay")
    assert.strictEqual(stream.lastEventId, "id-2")
    assert.strictEqual(stream.attempts, 1)
    assert.notStrictEqual(stream.take("id-3"), "Replay")
    assert.strictEqual(stream.lastEventId, "id-3")
    assert.strictEqual(stream.attempts, 0)
  })

  it("S62: connections that brought nothing forget nothing", () => {
    const stream = reading()
    stream.take("a")
    reconnect(stream)
    reconnect(stream)
    reconnect(stream)
    assert.strictEqual(stream.lastEventId, "a")
    assert.strictEqual(stream.attempts, 3)
    assert.strictEqual(stream.take("a"), "Replay")
  })

  it("S66: the token of an explicit resumption is the first cursor, and a replay of it is one", () => {
    const stream = new LogicalStream("Request", "token")
    assert.strictEqual(stream.lastEventId, "token")
    stream.signal("Resume")
    stream.signal("Body")
    assert.strictEqual(stream.take("token"), "Replay")
    assert.strictEqual(stream.lastEventId, "token")
  })

  it("S62: exactly the last 1 024 ids are remembered", () => {
    assert.strictEqual(replayWindow, 1024)
    const after = (count: number): LogicalStream => {
      const stream = reading()
      takeAll(stream, 0, count)
      reconnect(stream)
      return stream
    }
    assert.strictEqual(after(1024).take("id-0"), "Replay")
    assert.notStrictEqual(after(1025).take("id-0"), "Replay")
    assert.strictEqual(after(1025).take("id-1"), "Replay")
    assert.notStrictEqual(after(3000).take("id-1975"), "Replay")
    assert.strictEqual(after(3000).take("id-1976"), "Replay")
    assert.strictEqual(after(3000).take("id-2999"), "Replay")
  })

  it("S62: the window moves on with every new id, across connections", () => {
    const stream = reading()
    takeAll(stream, 0, 1024)
    reconnect(stream)
    takeAll(stream, 1024, 1034)
    assert.strictEqual(stream.take("id-10"), "Replay")
    assert.notStrictEqual(stream.take("id-9"), "Replay")
    reconnect(stream)
    assert.strictEqual(stream.take("id-1033"), "Replay")
    assert.strictEqual(stream.take("id-11"), "Replay")
  })

  it("S62: an id that its own connection repeats takes one place of the window", () => {
    const stream = reading()
    stream.take("a")
    for (let i = 0; i < 2000; i++) stream.take("b")
    reconnect(stream)
    assert.strictEqual(stream.take("a"), "Replay")
    assert.strictEqual(stream.take("b"), "Replay")
  })

  it("S62: an id that came twice is remembered from its last coming", () => {
    const stream = reading()
    stream.take("a")
    takeAll(stream, 0, 500)
    stream.take("a")
    reconnect(stream)
    takeAll(stream, 500, 1100)
    assert.strictEqual(stream.take("a"), "Replay")
  })

  it("S62: a window of ids against a plain model", () => {
    FastCheck.assert(
      FastCheck.property(
        FastCheck.array(FastCheck.oneof(FastCheck.nat({ max: 8 }), FastCheck.constant("reconnect")), { maxLength: 60 }),
        (steps) => {
          const stream = reading()
          const earlier = new Set<string>()
          const current = new Set<string>()
          let cursor: string | undefined
          for (const step of steps) {
            if (step === "reconnect") {
              for (const id of current) earlier.add(id)
              current.clear()
              reconnect(stream)
            } else {
              const id = `id-${step}`
              assert.strictEqual(stream.take(id) === "Replay", earlier.has(id))
              if (!earlier.has(id)) {
                current.add(id)
                cursor = id
              }
              assert.strictEqual(stream.lastEventId, cursor)
            }
          }
        }
      )
    )
  })

  it("an empty id takes the cursor away, and the next id gives one again", () => {
    const stream = reading()
    stream.take("a")
    assert.notStrictEqual(stream.take(""), "Replay")
    assert.strictEqual(stream.lastEventId, undefined)
    assert.isFalse(canReconnect(stream, true))
    stream.take("b")
    assert.strictEqual(stream.lastEventId, "b")
  })

  it("an empty id is no progress", () => {
    const stream = reading()
    stream.take("a")
    reconnect(stream)
    stream.take("")
    assert.strictEqual(stream.attempts, 1)
  })

  it("S58: a request without a cursor cannot reconnect, the server's own stream always can", () => {
    assert.isFalse(canReconnect(reading(), true))
    assert.isTrue(canReconnect(reading("Server"), true))
    assert.isTrue(canReconnect(reading("Server"), false))
    const stream = reading()
    stream.take("a")
    assert.isTrue(canReconnect(stream, true))
    assert.isFalse(canReconnect(stream, false))
  })

  it("a stream taken up again keeps its cursor and starts its attempts afresh", () => {
    const stream = reading("Server")
    stream.take("a")
    stream.retry = 700
    reconnect(stream)
    stream.signal("Settle")
    stream.reopen()
    assert.deepStrictEqual(
      [stream.state, stream.attempts, stream.lastEventId, stream.retry, stream.wasOpen],
      ["Idle", 0, "a", 700, true]
    )
    const without = reading("Server")
    without.signal("Settle")
    without.reopen()
    assert.isFalse(without.wasOpen)
  })
})

describe("S59: how long to wait", () => {
  interface Row {
    readonly name: string
    readonly retry?: number
    readonly attempts?: number
    readonly policy: number
    readonly retryAfter?: number
    readonly max?: number
    readonly waits?: number
    readonly tooLong?: number
  }

  const rows: ReadonlyArray<Row> = [
    { name: "the policy alone", policy: 500, waits: 500 },
    { name: "the policy alone, later", attempts: 3, policy: 4000, waits: 4000 },
    { name: "a policy without delay", policy: 0, waits: 0 },
    { name: "the first wait is the server's, though the policy's is longer", retry: 250, policy: 5000, waits: 250 },
    { name: "the first wait is the server's, though the policy's is shorter", retry: 7000, policy: 500, waits: 7000 },
    { name: "later waits are the larger: the policy", retry: 250, attempts: 1, policy: 5000, waits: 5000 },
    { name: "later waits are the larger: the server", retry: 7000, attempts: 1, policy: 500, waits: 7000 },
    { name: "at least 100 ms for a retry of 0", retry: 0, policy: 500, waits: 100 },
    { name: "at least 100 ms for a retry of 99", retry: 99, policy: 0, waits: 100 },
    { name: "a retry of 100 is kept", retry: 100, policy: 500, waits: 100 },
    { name: "a retry of 101 is kept", retry: 101, policy: 500, waits: 101 },
    { name: "at least 100 ms later, too", retry: 0, attempts: 2, policy: 0, waits: 100 },
    { name: "Retry-After is a floor under the policy", policy: 500, retryAfter: 3000, waits: 3000 },
    { name: "Retry-After is a floor under retry", retry: 1000, policy: 500, retryAfter: 3000, waits: 3000 },
    { name: "Retry-After below changes nothing", retry: 4000, policy: 500, retryAfter: 3000, waits: 4000 },
    { name: "Retry-After below the policy", attempts: 2, policy: 8000, retryAfter: 3000, waits: 8000 },
    { name: "Retry-After of 0", policy: 500, retryAfter: 0, waits: 500 },
    { name: "a retry of just the maximum", retry: 10_000, policy: 1, max: 10_000, waits: 10_000 },
    { name: "a retry above the maximum", retry: 10_001, policy: 1, max: 10_000, tooLong: 10_001 },
    { name: "a retry above the maximum, later", retry: 10_001, attempts: 4, policy: 1, max: 10_000, tooLong: 10_001 },
    { name: "Retry-After above the maximum", policy: 1, retryAfter: 10_001, max: 10_000, tooLong: 10_001 },
    { name: "the policy may wait longer than the maximum", attempts: 1, policy: 60_000, max: 10_000, waits: 60_000 },
    { name: "no maximum", retry: Number.MAX_SAFE_INTEGER, policy: 1, max: Infinity, waits: Number.MAX_SAFE_INTEGER },
    { name: "the least wait is not the server's: a maximum below it", retry: 10, policy: 500, max: 50, waits: 100 }
  ]
  for (const { attempts = 0, max = 300_000, name, policy, retry, retryAfter, tooLong, waits } of rows) {
    it(`${name}`, () => {
      const stream = reading()
      stream.retry = retry
      stream.attempts = attempts
      assert.deepStrictEqual(
        reconnectDelay(stream, policy, retryAfter, max),
        waits === undefined ? { _tag: "TooLong", millis: tooLong ?? 0 } : { _tag: "Wait", millis: waits }
      )
    })
  }

  it("the constants are those of the documents", () => {
    assert.strictEqual(minimumRetry, 100)
    assert.strictEqual(progressAfter, 10_000)
  })
})

describe("what a status means", () => {
  const json = "application/json"
  const events = "text/event-stream"
  const exchanges: ReadonlyArray<Exchange> = ["Request", "Submit", "Resume", "FirstGet"]
  type Row = readonly [Meaning, Meaning, Meaning, Meaning]

  const check = (statuses: ReadonlyArray<number>, type: string | undefined, idSent: boolean, row: Row): void => {
    for (const status of statuses) {
      exchanges.forEach((exchange, i) => {
        it(`${status}${type === undefined ? "" : ` ${type}`} to ${exchange}${idSent ? " with a session id" : ""}: ${row[i]}`, () => {
          assert.strictEqual(meaningOf(exchange, status, type, idSent), row[i])
        })
      })
    }
  }

  for (const idSent of [true, false]) {
    check([200, 201, 206], json, idSent, ["Json", "Accepted", "FailedAttempt", "FailedAttempt"])
    check([200, 201], events, idSent, ["Events", "Accepted", "Events", "Events"])
    check([202, 204], undefined, idSent, ["NoResponse", "Accepted", "FailedAttempt", "FailedAttempt"])
    check([202, 204], json, idSent, ["NoResponse", "Accepted", "FailedAttempt", "FailedAttempt"])
    check([202, 204], events, idSent, ["NoResponse", "Accepted", "FailedAttempt", "FailedAttempt"])
    check([200], "text/html", idSent, ["UnexpectedContentType", "Accepted", "FailedAttempt", "FailedAttempt"])
    check([200], undefined, idSent, ["UnexpectedContentType", "Accepted", "FailedAttempt", "FailedAttempt"])
    check([301, 302, 303, 304, 307, 308, 401, 403], undefined, idSent, [
      "StatusError",
      "StatusError",
      "StatusError",
      "StatusError"
    ])
    check([405], undefined, idSent, ["AnswerOrStatusError", "StatusError", "Unsupported", "NotOffered"])
    check([406], undefined, idSent, ["AnswerOrStatusError", "StatusError", "Rejected", "NotOffered"])
    check([408, 409, 425, 500, 501, 502, 504, 520, 599], undefined, idSent, [
      "AnswerOrStatusError",
      "StatusError",
      "FailedAttempt",
      "FailedAttempt"
    ])
    check([429, 503], undefined, idSent, ["StatusError", "StatusError", "FailedAttempt", "FailedAttempt"])
    check([400, 402, 407, 410, 411, 412, 413, 415, 418, 422, 424, 426, 431, 451], json, idSent, [
      "AnswerOrStatusError",
      "StatusError",
      "Rejected",
      "StatusError"
    ])
  }
  check([404], undefined, true, ["SessionTerminated", "SessionTerminated", "SessionTerminated", "NotOffered"])
  check([404], json, true, ["SessionTerminated", "SessionTerminated", "SessionTerminated", "NotOffered"])
  check([404], undefined, false, ["AnswerOrStatusError", "StatusError", "Rejected", "NotOffered"])

  it("S43: the media type is compared exactly, without case and parameters", () => {
    for (
      const type of ["application/json", "Application/JSON", "application/json; charset=utf-8", " application/json ;x"]
    ) {
      assert.strictEqual(meaningOf("Request", 200, type, true), "Json", type)
    }
    for (const type of ["text/event-stream", "TEXT/Event-Stream", "text/event-stream;charset=utf-8"]) {
      assert.strictEqual(meaningOf("Request", 200, type, true), "Events", type)
      assert.strictEqual(meaningOf("Resume", 200, type, true), "Events", type)
    }
    for (const type of ["application/jsonl", "application/json-rpc", "text/event-streamx", "xtext/event-stream", ""]) {
      assert.strictEqual(meaningOf("Request", 200, type, true), "UnexpectedContentType", type)
      assert.strictEqual(meaningOf("FirstGet", 200, type, true), "FailedAttempt", type)
    }
    assert.strictEqual(mediaType(undefined), "")
    assert.strictEqual(mediaType("A/B;c=d;e"), "a/b")
  })

  it("statuses with which the server did not act on a POST", () => {
    for (const status of [301, 302, 303, 307, 308, 401, 405, 413, 415, 429]) {
      assert.isTrue(isRefusal(status), `${status}`)
    }
    for (const status of [200, 400, 403, 404, 406, 408, 409, 410, 425, 500, 502, 503, 504]) {
      assert.isFalse(isRefusal(status), `${status}`)
    }
  })
})
