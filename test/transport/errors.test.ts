import { TransportError } from "@effect-mcp/transport"
import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FastCheck from "effect/FastCheck"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { inspect } from "node:util"

const secret = "session-secret-1"

const about = { requestId: "r-1", outcome: "Unknown" } as const

const cause = new Error("socket hang up", { cause: new Error("read ECONNRESET") })

const one: ReadonlyArray<TransportError.TransportError> = [
  new TransportError.ConnectionError({ ...about, phase: "Body", cause }),
  new TransportError.HttpStatusError({
    ...about,
    method: "POST",
    status: 503,
    retryAfter: Duration.seconds(7),
    wwwAuthenticate: "Bearer",
    location: "/elsewhere",
    error: { code: -32000, message: "busy", data: { queue: [1, null] } },
    body: "busy"
  }),
  new TransportError.ProtocolError({ ...about, reason: "InvalidJson", description: "no JSON", excerpt: "<html>" }),
  new TransportError.MessageTooLarge({ ...about, limit: 1024 }),
  new TransportError.SessionTerminated({ ...about, sessionId: Redacted.make(secret), by: "Server" }),
  new TransportError.ResumptionError({
    ...about,
    reason: "Exhausted",
    attempts: 3,
    lastEventId: "e-7",
    status: 502,
    retry: Duration.minutes(2),
    cause
  })
]

const bare: ReadonlyArray<TransportError.TransportError> = [
  new TransportError.ConnectionError({ phase: "Connect" }),
  new TransportError.HttpStatusError({ method: "GET", status: 500 }),
  new TransportError.ProtocolError({ reason: "NoResponse", description: "nothing came" }),
  new TransportError.MessageTooLarge({ limit: 1 }),
  new TransportError.SessionTerminated({ sessionId: Redacted.make(secret), by: "Client" }),
  new TransportError.ResumptionError({ reason: "MissingToken", attempts: 0 })
]

const cases = [...one, ...bare].map((error) => [error._tag, error] as const)

const encode = Schema.encodeSync(TransportError.TransportError)
const decode = Schema.decodeUnknownSync(TransportError.TransportError)

/** The fields that must survive encoding as they are. */
const plain = (error: object): Record<string, unknown> => {
  const inexact = new Set(["cause", "sessionId", "retry", "retryAfter", "error", "stack", "message", "name"])
  return Object.fromEntries(Object.entries(error).filter(([key, value]) => !inexact.has(key) && value !== undefined))
}

describe("the errors", () => {
  it("S12: the union has one class for each tag", () => {
    assert.deepStrictEqual(one.map(({ _tag }) => _tag).toSorted(), [
      "ConnectionError",
      "HttpStatusError",
      "MessageTooLarge",
      "ProtocolError",
      "ResumptionError",
      "SessionTerminated"
    ])
    assert.deepStrictEqual(
      TransportError.TransportError.members.map(({ _tag }) => _tag).toSorted(),
      one.map(({ _tag }) => _tag).toSorted()
    )
  })

  it.effect.each(cases)("S12: %s is caught by its tag, and by no other", ([tag, error]) =>
    Effect.gen(function*() {
      const failed: Effect.Effect<never, TransportError.TransportError> = Effect.fail(error)
      const caught = yield* Effect.catchTags(failed, {
        ConnectionError: ({ _tag, phase }) => Effect.succeed([_tag, phase]),
        HttpStatusError: ({ _tag, status }) => Effect.succeed([_tag, status]),
        ProtocolError: ({ _tag, reason }) => Effect.succeed([_tag, reason]),
        MessageTooLarge: ({ _tag, limit }) => Effect.succeed([_tag, limit]),
        SessionTerminated: ({ _tag, by }) => Effect.succeed([_tag, by]),
        ResumptionError: ({ _tag, attempts }) => Effect.succeed([_tag, attempts])
      })
      assert.strictEqual(caught[0], tag)
      for (const other of one) {
        const exit = yield* Effect.exit(Effect.catchTag(failed, other._tag, () => Effect.succeed("caught")))
        assert.strictEqual(Exit.isSuccess(exit), other._tag === tag)
      }
      assert.strictEqual(yield* Effect.flip(failed), error)
    }))

  it("S12: isTransportError knows them, also decoded, and nothing else", () => {
    for (const [_, error] of cases) {
      assert.isTrue(TransportError.isTransportError(error))
      assert.isTrue(TransportError.isTransportError(decode(encode(error))))
      assert.instanceOf(error, Error)
      assert.strictEqual(error.name, error._tag)
    }
    const others: ReadonlyArray<unknown> = [
      undefined,
      null,
      "ConnectionError",
      {},
      { _tag: "ConnectionError", phase: "Connect" },
      new Error("ConnectionError"),
      new TransportError.InvalidOptions({ option: "url", description: "no URL" })
    ]
    for (const other of others) assert.isFalse(TransportError.isTransportError(other), inspect(other))
  })

  it.effect("S12: InvalidOptions stands outside the union, has a tag and names the option", () =>
    Effect.gen(function*() {
      const error = new TransportError.InvalidOptions({ option: "maxMessageSize", description: "is negative" })
      assert.strictEqual(error.message, "option maxMessageSize: is negative")
      assert.isTrue(yield* Effect.catchTag(Effect.fail(error), "InvalidOptions", () => Effect.succeed(true)))
      assert.isFalse(Schema.is(TransportError.TransportError)(error))
      assert.throws(() => decode({ _tag: "InvalidOptions", option: "url", description: "no URL" }))
      const schema = TransportError.InvalidOptions
      assert.deepStrictEqual(plain(Schema.decodeSync(schema)(Schema.encodeSync(schema)(error))), plain(error))
    }))

  it.each(cases)("S12: %s survives encoding, JSON and decoding", (_, error) => {
    const wire = JSON.stringify(encode(error))
    assert.notInclude(wire, secret)
    const decoded = decode(JSON.parse(wire))
    assert.deepStrictEqual(plain(decoded), plain(error))
    // Of a cause, the name and the message survive; what caused the cause does not.
    assert.isTrue(error.message.startsWith(decoded.message))
    assert.strictEqual(Object.getPrototypeOf(decoded), Object.getPrototypeOf(error))
    if (error._tag === "HttpStatusError") {
      assert(decoded._tag === "HttpStatusError")
      assert.deepStrictEqual(decoded.error, error.error)
      assert.deepStrictEqual(decoded.retryAfter, error.retryAfter)
    }
    if (error._tag === "ResumptionError") {
      assert(decoded._tag === "ResumptionError")
      assert.deepStrictEqual(decoded.retry, error.retry)
    }
    if (error._tag === "SessionTerminated") {
      assert(decoded._tag === "SessionTerminated")
      assert.notInclude(Redacted.value(decoded.sessionId), secret)
    }
  })

  it("S12: any error of the union survives encoding, and encodes to the same again", () => {
    FastCheck.assert(
      FastCheck.property(Arbitrary.make(TransportError.TransportError), (error) => {
        const encoded = encode(error)
        assert.strictEqual(encoded._tag, error._tag)
        const decoded = decode(encoded)
        assert.isTrue(TransportError.isTransportError(decoded))
        assert.deepStrictEqual(plain(decoded), plain(error))
        assert.deepStrictEqual(plain(encode(decoded)), plain(encoded))
        assert.isString(decoded.message)
        if (encoded._tag === "SessionTerminated") assert.strictEqual(encoded.sessionId, "<redacted>")
      }),
      { numRuns: 200 }
    )
  })

  it("S81: a session id in an error does not print, however it is printed", () => {
    for (const [_, error] of cases) {
      const printed = [
        String(error),
        error.message,
        error.stack,
        JSON.stringify(error),
        JSON.stringify(encode(error)),
        inspect(error, { depth: 10, showHidden: true })
      ].join("\n")
      assert.notInclude(printed, secret)
    }
    const terminated = new TransportError.SessionTerminated({ sessionId: Redacted.make(secret), by: "Client" })
    assert.strictEqual(Redacted.value(terminated.sessionId), secret)
  })

  it.each(cases)("S12: the message of %s can be read", (_, error) => {
    assert.isAbove(error.message.length, 20)
    assert.notMatch(error.message, /undefined|null|\[object|NaN|\n|<redacted>/)
    if (error.requestId !== undefined) assert.include(error.message, "r-1")
    assert.include(String(error), error.message)
  })

  it("S12: the messages say what happened", () => {
    assert.deepStrictEqual([...one, ...bare].map(({ message }) => message), [
      "the response broke off and cannot be resumed (request \"r-1\"): socket hang up: read ECONNRESET",
      "POST was answered with status 503, a redirect to /elsewhere that is not followed (only 307 and 308 within the origin are, 5 in a row at most) (request \"r-1\"): busy (-32000)",
      "InvalidJson: no JSON (request \"r-1\"): <html>",
      "a message is larger than the 1024 bytes of maxMessageSize (request \"r-1\")",
      "the server no longer knows the session (request \"r-1\"); send initialize to open a new one",
      "the stream was lost and 3 reconnects brought no progress, status 502 (request \"r-1\"): " +
      "socket hang up: read ECONNRESET",
      "could not connect to the server",
      "GET was answered with status 500",
      "NoResponse: nothing came",
      "a message is larger than the 1 bytes of maxMessageSize",
      "the session was terminated by this client",
      "the resumption token is empty"
    ])
  })

  it("S12: request ids 1 and \"1\" stay different", () => {
    const number = new TransportError.MessageTooLarge({ requestId: 1, limit: 5 })
    const text = new TransportError.MessageTooLarge({ requestId: "1", limit: 5 })
    assert.notStrictEqual(number.message, text.message)
    assert.strictEqual(decode(encode(number)).requestId, 1)
    assert.strictEqual(decode(encode(text)).requestId, "1")
  })

  it("S12: what is no error of the union is not decoded as one", () => {
    for (
      const wrong of [
        { _tag: "ConnectionError", phase: "Elsewhere" },
        { _tag: "HttpStatusError", method: "PUT", status: 500 },
        { _tag: "HttpStatusError", method: "GET", status: "500" },
        { _tag: "SessionTerminated", by: "Server" },
        { _tag: "ResumptionError", reason: "Exhausted" },
        { _tag: "ResumptionError", reason: "Tired", attempts: 1 },
        { _tag: "Unheard" }
      ]
    ) {
      assert.throws(() => decode(wrong), undefined, undefined, JSON.stringify(wrong))
    }
  })
})
