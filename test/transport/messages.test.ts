import { JsonRpc, StreamableHttpTransport } from "@effect-mcp/transport"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"
import * as Schema from "effect/Schema"
import { afterHandshake, answer, collect, connect, handshake, overEveryClient, sessionId } from "../support/harness.ts"
import { rawServer } from "../support/rawServer.ts"
import { arrivalOf, assertError, assertUsable, exceptHealthy, failure, soon } from "../support/sending.ts"

/** What a program without types may pass. */
const untyped = (value: unknown): JsonRpc.Message => value as JsonRpc.Message

const cyclic = (): JsonRpc.Params => {
  const params: Record<string, unknown> = {}
  params.self = params
  return params
}

const noMessages: ReadonlyArray<readonly [string, unknown]> = [
  ["undefined", undefined],
  ["null", null],
  ["a text", "{\"jsonrpc\":\"2.0\",\"method\":\"x\"}"],
  ["a number", 1],
  ["a function", () => {}],
  ["an empty object", {}],
  ["an empty batch", []],
  ["a batch", [JsonRpc.request(1, "tools/call")]],
  ["no version", { id: 1, method: "tools/call" }],
  ["another version", { jsonrpc: "1.0", id: 1, method: "tools/call" }],
  ["a version that is a number", { jsonrpc: 2, id: 1, method: "tools/call" }],
  ["a method that is no text", { jsonrpc: "2.0", id: 1, method: 7 }],
  ["id null", { jsonrpc: "2.0", id: null, method: "tools/call" }],
  ["id true", { jsonrpc: "2.0", id: true, method: "tools/call" }],
  ["id object", { jsonrpc: "2.0", id: {}, method: "tools/call" }],
  ["id NaN", { jsonrpc: "2.0", id: Number.NaN, method: "tools/call" }],
  ["id Infinity", { jsonrpc: "2.0", id: Number.POSITIVE_INFINITY, method: "tools/call" }],
  ["id bigint", { jsonrpc: "2.0", id: 1n, method: "tools/call" }],
  ["params array", { jsonrpc: "2.0", id: 1, method: "tools/call", params: [1] }],
  ["params null", { jsonrpc: "2.0", id: 1, method: "tools/call", params: null }],
  ["params text", { jsonrpc: "2.0", id: 1, method: "tools/call", params: "x" }],
  ["a response without result or error", { jsonrpc: "2.0", id: 1 }],
  ["a response whose result is undefined", { jsonrpc: "2.0", id: 1, result: undefined }],
  ["a result without id", { jsonrpc: "2.0", result: {} }],
  ["a result with id null", { jsonrpc: "2.0", id: null, result: {} }],
  ["an error that is no object", { jsonrpc: "2.0", id: 1, error: "no" }],
  ["an error without code", { jsonrpc: "2.0", id: 1, error: { message: "no" } }],
  ["an error with half a code", { jsonrpc: "2.0", id: 1, error: { code: 1.5, message: "no" } }],
  ["an error without message", { jsonrpc: "2.0", id: 1, error: { code: 1 } }]
]

const noJson: ReadonlyArray<readonly [string, unknown]> = [
  ["a bigint in params", { jsonrpc: "2.0", id: 1, method: "tools/call", params: { name: "x", arguments: { n: 10n } } }],
  ["a cycle in params", { jsonrpc: "2.0", id: 1, method: "tools/call", params: cyclic() }],
  ["a bigint in a notification", { jsonrpc: "2.0", method: "notifications/x", params: { n: 1n } }],
  ["a bigint in a result", { jsonrpc: "2.0", id: 1, result: 1n }],
  ["a cycle in an error's data", { jsonrpc: "2.0", id: 1, error: { code: 1, message: "m", data: cyclic() } }],
  ["a toJSON that throws", {
    jsonrpc: "2.0",
    id: 1,
    method: "tools/call",
    params: {
      when: {
        toJSON: () => {
          throw new Error("not today")
        }
      }
    }
  }]
]

const changedByJson: ReadonlyArray<readonly [string, unknown]> = [
  ["a result that JSON leaves out", { jsonrpc: "2.0", id: 1, result: () => {} }],
  ["a symbol as the result", { jsonrpc: "2.0", id: 1, result: Symbol("s") }],
  ["params that JSON turns into a text", { jsonrpc: "2.0", id: 1, method: "tools/call", params: new Date(0) }],
  ["params that JSON turns into null", { jsonrpc: "2.0", id: 1, method: "tools/call", params: { toJSON: () => null } }]
]

overEveryClient("outgoing messages", (client) => {
  it.scopedLive("S34: what is no JSON-RPC message is refused, and nothing is sent", () =>
    Effect.gen(function*() {
      const server = yield* rawServer(afterHandshake(exceptHealthy(({ status }) => status(202))))
      const transport = yield* connect(client, server)
      yield* handshake(transport)
      for (const [name, value] of noMessages) {
        const error = yield* failure(collect(transport.send(untyped(value))))
        assertError(error, "ProtocolError", { reason: "InvalidMessage", outcome: "NotExecuted" })
        assert.strictEqual(server.arrivals.length, 2, name)
      }
      yield* assertUsable(transport, "Active", sessionId)
    }))

  it.scopedLive("S34: what JSON cannot carry is refused, and nothing is sent", () =>
    Effect.gen(function*() {
      const server = yield* rawServer(afterHandshake(exceptHealthy(({ status }) => status(202))))
      const transport = yield* connect(client, server)
      yield* handshake(transport)
      for (const [name, value] of noJson) {
        const message = untyped(value)
        const requestId = JsonRpc.isRequest(message) ? 1 : undefined
        const error = yield* failure(collect(transport.send(message)))
        assertError(error, "ProtocolError", { reason: "InvalidMessage", outcome: "NotExecuted", requestId })
        if (JsonRpc.isRequest(message)) {
          assertError(yield* failure(StreamableHttpTransport.request(transport, message)), "ProtocolError", {
            reason: "InvalidMessage",
            outcome: "NotExecuted",
            requestId
          })
        }
        assert.strictEqual(server.arrivals.length, 2, name)
      }
      yield* assertUsable(transport, "Active", sessionId)
    }))

  it.scopedLive("S34: what JSON turns into something else is refused, and nothing is sent", () =>
    Effect.gen(function*() {
      const server = yield* rawServer(afterHandshake(exceptHealthy(({ status }) => status(202))))
      const transport = yield* connect(client, server)
      yield* handshake(transport)
      for (const [name, value] of changedByJson) {
        const result = yield* soon(Effect.either(collect(transport.send(untyped(value)))))
        assert.strictEqual(server.arrivals.length, 2, `${name}: ${server.arrivals.at(-1)?.body}`)
        assertError(Either.isLeft(result) ? result.left : undefined, "ProtocolError", {
          reason: "InvalidMessage",
          outcome: "NotExecuted"
        })
      }
      yield* assertUsable(transport, "Active", sessionId)
    }))

  it.scopedLive("S34: one object per POST, absent members omitted, nulls kept, unknown members too", () =>
    Effect.gen(function*() {
      const server = yield* rawServer(
        afterHandshake(({ json, message, status }) =>
          typeof message?.method === "string" && message.id !== undefined ? json(answer(message.id)) : status(202)
        )
      )
      const transport = yield* connect(client, server)
      yield* handshake(transport)
      const cases: ReadonlyArray<readonly [JsonRpc.Message, string]> = [
        [JsonRpc.request(1, "tools/list"), `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`],
        [
          { jsonrpc: "2.0", id: 1, method: "tools/list", params: undefined },
          `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`
        ],
        [
          JsonRpc.request("a", "tools/call", {
            name: "n",
            arguments: { gone: undefined, kept: null, list: [null, undefined], deep: { gone: undefined, kept: null } },
            _meta: undefined
          }),
          `{"jsonrpc":"2.0","id":"a","method":"tools/call","params":{"name":"n","arguments":` +
          `{"kept":null,"list":[null,null],"deep":{"kept":null}}}}`
        ],
        [JsonRpc.request(0, "ping", {}), `{"jsonrpc":"2.0","id":0,"method":"ping","params":{}}`],
        [JsonRpc.request("", "ping"), `{"jsonrpc":"2.0","id":"","method":"ping"}`],
        [JsonRpc.request(-1.5, "ping"), `{"jsonrpc":"2.0","id":-1.5,"method":"ping"}`],
        [
          JsonRpc.notification("notifications/x", { a: null }),
          `{"jsonrpc":"2.0","method":"notifications/x","params":{"a":null}}`
        ],
        [JsonRpc.success("q", null), `{"jsonrpc":"2.0","id":"q","result":null}`],
        [
          JsonRpc.success("q", { roots: [], extra: null }),
          `{"jsonrpc":"2.0","id":"q","result":{"roots":[],"extra":null}}`
        ],
        [
          JsonRpc.error(3, { code: -32601, message: "no", data: null }),
          `{"jsonrpc":"2.0","id":3,"error":{"code":-32601,"message":"no","data":null}}`
        ],
        [JsonRpc.error(null, { code: 1, message: "" }), `{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":""}}`],
        [
          untyped({ jsonrpc: "2.0", id: 5, method: "ping", extension: { on: [true, null] } }),
          `{"jsonrpc":"2.0","id":5,"method":"ping","extension":{"on":[true,null]}}`
        ],
        [
          JsonRpc.request(6, "tools/call", { text: "世界 😀 \u2028 \" \\ \u0000 \ud800" }),
          `{"jsonrpc":"2.0","id":6,"method":"tools/call","params":{"text":"世界 😀 \u2028 \\" \\\\ \\u0000 \\ud800"}}`
        ]
      ]
      for (const [message, text] of cases) {
        yield* soon(collect(transport.send(message)))
        assert.strictEqual(arrivalOf(server.arrivals, server.arrivals.length - 1).body, text)
      }
      assert.strictEqual(server.arrivals.length, cases.length + 2)
    }))

  it.scopedLive("S34: the message given is neither changed nor needed again", () =>
    Effect.gen(function*() {
      const server = yield* rawServer(afterHandshake(({ json, message }) => json(answer(message?.id))))
      const transport = yield* connect(client, server)
      yield* handshake(transport)
      const message = Object.freeze(JsonRpc.request(1, "tools/call", Object.freeze({ name: "n" })))
      const sending = transport.send(message)
      const expected = [JsonRpc.success(1, { content: [] })]
      assert.deepStrictEqual(yield* soon(collect(sending)), expected)
      assert.deepStrictEqual(yield* soon(collect(sending)), expected, "every run is a new exchange")
      assert.deepStrictEqual(server.log().slice(2), ["POST tools/call", "POST tools/call"])
      assert.deepStrictEqual(message, JsonRpc.request(1, "tools/call", { name: "n" }))
    }))

  it.scopedLive("S28: nothing connects before the first message", () =>
    Effect.gen(function*() {
      const server = yield* rawServer(({ status }) => status(202))
      const transport = yield* connect(client, server)
      transport.send(JsonRpc.request(1, "ping"))
      StreamableHttpTransport.request(transport, JsonRpc.request(1, "ping"))
      assertError(yield* failure(collect(transport.send(untyped({})))), "ProtocolError", { outcome: "NotExecuted" })
      yield* Effect.sleep("20 millis")
      assert.strictEqual(server.openSockets(), 0)
      assert.deepStrictEqual(server.log(), [])
    }))
})

// --- JsonRpc --------------------------------------------------------------------------------------------------------

const json: FastCheck.Arbitrary<unknown> = FastCheck.jsonValue({ maxDepth: 2 }).map((value) =>
  JSON.parse(JSON.stringify(value))
)

const id = FastCheck.oneof(
  FastCheck.string(),
  FastCheck.integer(),
  FastCheck.double({ noDefaultInfinity: true, noNaN: true })
)
  .map((value): JsonRpc.RequestId => JSON.parse(JSON.stringify(value)))

const names = FastCheck.string().filter((name) => name !== "__proto__")
const params = FastCheck.dictionary(names, json)
const code = FastCheck.integer({ min: -40_000, max: 40_000 })

const errorObject = FastCheck.record({ code, message: FastCheck.string(), data: json, extension: json }, {
  requiredKeys: ["code", "message"]
})

const version = FastCheck.constant("2.0" as const)

/** Messages as they come off the wire, with and without members that nobody knows. */
const messages = {
  request: FastCheck.record({ jsonrpc: version, id, method: FastCheck.string(), params, extension: json }, {
    requiredKeys: ["jsonrpc", "id", "method"]
  }),
  notification: FastCheck.record({ jsonrpc: version, method: FastCheck.string(), params, extension: json }, {
    requiredKeys: ["jsonrpc", "method"]
  }),
  success: FastCheck.record({ jsonrpc: version, id, result: json, extension: json }, {
    requiredKeys: ["jsonrpc", "id", "result"]
  }),
  error: FastCheck.record(
    { jsonrpc: version, id: FastCheck.option(id), error: errorObject, extension: json },
    { requiredKeys: ["jsonrpc", "error"] }
  )
}

const anyMessage: FastCheck.Arbitrary<JsonRpc.Message> = FastCheck.oneof(
  messages.request,
  messages.notification,
  messages.success,
  messages.error
)

const oddValues: ReadonlyArray<unknown> = [
  undefined,
  null,
  true,
  0,
  -0,
  1,
  1.5,
  2 ** 53,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  "",
  "2.0",
  "1.0",
  2,
  [],
  {},
  [1],
  { a: undefined },
  { code: 1, message: "m" },
  { code: 1, message: "m", data: undefined },
  { code: 1.5, message: "m" },
  { code: 2 ** 53, message: "m" },
  { code: "1", message: "m" },
  { code: 1 },
  { message: "m" },
  { code: 1, message: null },
  { toJSON: null }
]

const beyondJson: ReadonlyArray<unknown> = [
  { toJSON: () => null },
  new Date(0),
  new Map(),
  () => {},
  Symbol("s"),
  1n
]

const oddities = FastCheck.oneof(FastCheck.constantFrom(...oddValues), json)

/** Objects with the members of messages, each of them likely and any of them wrong. */
const nearMisses: FastCheck.Arbitrary<unknown> = FastCheck.record({
  jsonrpc: FastCheck.oneof({ weight: 8, arbitrary: version }, { weight: 1, arbitrary: oddities }),
  id: FastCheck.oneof({ weight: 2, arbitrary: id }, { weight: 1, arbitrary: oddities }),
  method: FastCheck.oneof({ weight: 2, arbitrary: FastCheck.string() }, { weight: 1, arbitrary: oddities }),
  params: FastCheck.oneof({ weight: 2, arbitrary: params }, { weight: 1, arbitrary: oddities }),
  result: oddities,
  error: FastCheck.oneof({ weight: 2, arbitrary: errorObject }, { weight: 1, arbitrary: oddities }),
  extension: oddities
}, { requiredKeys: [] })

/** What another program would get to see of it. */
const onTheWire = (u: unknown): unknown =>
  JSON.parse(JSON.stringify(u, (_, value: unknown) => typeof value === "bigint" ? String(value) : value))

/** A message with one member made wrong, or taken away, or made undefined. */
const damaged: FastCheck.Arbitrary<unknown> = FastCheck.tuple(
  anyMessage,
  FastCheck.constantFrom("jsonrpc", "id", "method", "params", "result", "error"),
  FastCheck.oneof(oddities, FastCheck.constant("take it away"))
).map(([message, name, value]) => {
  const copy: Record<string, unknown> = Object.fromEntries(Object.entries(message))
  if (value === "take it away") delete copy[name]
  else copy[name] = value
  return copy
})

const anything = FastCheck.oneof(
  anyMessage,
  nearMisses,
  damaged,
  oddities,
  FastCheck.array(anyMessage, { maxLength: 2 })
)

const pairs: ReadonlyArray<readonly [string, (u: unknown) => boolean, (u: unknown) => boolean]> = [
  ["Request", JsonRpc.isRequest, Schema.is(JsonRpc.Request)],
  ["Notification", JsonRpc.isNotification, Schema.is(JsonRpc.Notification)],
  ["SuccessResponse", JsonRpc.isSuccessResponse, Schema.is(JsonRpc.SuccessResponse)],
  ["ErrorResponse", JsonRpc.isErrorResponse, Schema.is(JsonRpc.ErrorResponse)],
  ["ErrorObject", JsonRpc.isErrorObject, Schema.is(JsonRpc.ErrorObject)],
  ["Response", JsonRpc.isResponse, Schema.is(JsonRpc.Response)],
  ["Message", JsonRpc.isMessage, Schema.is(JsonRpc.Message)]
]

const runs = { numRuns: 1_000 }

describe("JsonRpc", () => {
  for (const [name, guard, schema] of pairs) {
    it(`the guard and the schema of ${name} agree on everything`, () => {
      let accepted = 0
      FastCheck.assert(
        FastCheck.property(FastCheck.oneof(anything, errorObject), (u) => {
          const answer = guard(u)
          if (answer) accepted++
          assert.strictEqual(answer, schema(u), FastCheck.stringify(u))
        }),
        runs
      )
      assert.isAbove(accepted, 20, "the property is not vacuous")
      assert.isBelow(accepted, runs.numRuns - 20)
    })
  }

  it("the guards and the schemas agree on every odd value in every member", () => {
    const wellFormed = [
      { jsonrpc: "2.0", id: 1, method: "m", params: {} },
      { jsonrpc: "2.0", method: "m" },
      { jsonrpc: "2.0", id: 1, result: {} },
      { jsonrpc: "2.0", id: 1, error: { code: 1, message: "m" } },
      { code: 1, message: "m", data: 1 }
    ]
    for (const message of wellFormed) {
      for (
        const name of ["jsonrpc", "id", "method", "params", "result", "error", "code", "message", "data", "extension"]
      ) {
        for (const value of [...oddValues, ...beyondJson]) {
          const odd = { ...message, [name]: value }
          for (const [kind, guard, schema] of pairs) {
            assert.strictEqual(guard(odd), schema(odd), `${kind} ${FastCheck.stringify(odd)}`)
          }
        }
      }
    }
  })

  it("every message is of exactly one kind", () => {
    const kinds = [JsonRpc.isRequest, JsonRpc.isNotification, JsonRpc.isSuccessResponse, JsonRpc.isErrorResponse]
    FastCheck.assert(
      FastCheck.property(anything, (u) => {
        assert.strictEqual(kinds.filter((is) => is(u)).length, JsonRpc.isMessage(u) ? 1 : 0, FastCheck.stringify(u))
      }),
      runs
    )
  })

  it("each kind is recognised as what it is", () => {
    const { error, notification, request, success } = messages
    FastCheck.assert(
      FastCheck.property(request, notification, success, error, (request, notification, success, error) => {
        assert.isTrue(JsonRpc.isRequest(request))
        assert.isTrue(JsonRpc.isNotification(notification))
        assert.isTrue(JsonRpc.isSuccessResponse(success))
        assert.isTrue(JsonRpc.isErrorResponse(error))
      })
    )
  })

  it("what is encoded is decoded to the same message, and the encoding is one line", () => {
    FastCheck.assert(
      FastCheck.property(anyMessage, (message) => {
        const text = JsonRpc.encode(message)
        assert.notMatch(text, /[\r\n]/)
        assert.deepStrictEqual(Either.getOrThrow(JsonRpc.decode(text)), [message])
        assert.strictEqual(JsonRpc.encode(JSON.parse(text)), text)
      }),
      runs
    )
  })

  it("a batch is decoded as it stands, if it is not empty and all of it are messages", () => {
    FastCheck.assert(
      FastCheck.property(FastCheck.array(anyMessage, { minLength: 1, maxLength: 5 }), (batch) => {
        assert.deepStrictEqual(Either.getOrThrow(JsonRpc.decode(JSON.stringify(batch))), batch)
      })
    )
    FastCheck.assert(
      FastCheck.property(
        FastCheck.array(FastCheck.oneof(anyMessage, nearMisses.map(onTheWire), json), { maxLength: 4 }),
        (batch) => {
          const text = JSON.stringify(batch)
          const wire: ReadonlyArray<unknown> = JSON.parse(text)
          const isBatch = wire.length > 0 && wire.every((u) => JsonRpc.isMessage(u))
          assert.deepStrictEqual<unknown>(
            JsonRpc.decode(text),
            isBatch ? Either.right(wire) : Either.left("InvalidMessage")
          )
        }
      )
    )
  })

  it("what is no JSON and what is no message are told apart", () => {
    FastCheck.assert(
      FastCheck.property(
        FastCheck.oneof(FastCheck.string(), json.map((value) => JSON.stringify(value).slice(1))),
        (text) => {
          const decoded = JsonRpc.decode(text)
          let value: unknown
          try {
            value = JSON.parse(text)
          } catch {
            assert.deepStrictEqual(decoded, Either.left("InvalidJson"))
            return
          }
          assert.strictEqual(Either.isRight(decoded), JsonRpc.isMessage(value))
          if (Either.isLeft(decoded)) assert.strictEqual(decoded.left, "InvalidMessage")
        }
      )
    )
  })

  it("unknown members survive decoding and encoding by Schema, wherever they stand", () => {
    const decode = Schema.decodeUnknownSync(JsonRpc.Message)
    const encode = Schema.encodeSync(JsonRpc.Message)
    FastCheck.assert(
      FastCheck.property(anyMessage, (message) => {
        const decoded = decode(message)
        assert.deepStrictEqual(decoded, message)
        assert.deepStrictEqual(encode(decoded), message)
      }),
      runs
    )
  })

  it("each schema alone keeps unknown members, too", () => {
    const extension = { deep: [null, { a: 1 }] }
    const cases: ReadonlyArray<readonly [(u: unknown) => unknown, unknown]> = [
      [Schema.decodeUnknownSync(JsonRpc.Request), { jsonrpc: "2.0", id: 1, method: "m", extension }],
      [Schema.decodeUnknownSync(JsonRpc.Notification), { jsonrpc: "2.0", method: "m", extension }],
      [Schema.decodeUnknownSync(JsonRpc.SuccessResponse), { jsonrpc: "2.0", id: 1, result: { extension }, extension }],
      [
        Schema.decodeUnknownSync(JsonRpc.ErrorResponse),
        { jsonrpc: "2.0", id: 1, error: { code: 1, message: "m", extension }, extension }
      ],
      [Schema.decodeUnknownSync(JsonRpc.ErrorObject), { code: 1, message: "m", extension }],
      [Schema.decodeUnknownSync(JsonRpc.Params), { extension }]
    ]
    for (const [decode, value] of cases) assert.deepStrictEqual(decode(value), value)
  })

  it("the constructors make messages of their kind, without members that are not there", () => {
    FastCheck.assert(
      FastCheck.property(id, FastCheck.string(), FastCheck.option(params, { nil: undefined }), (id, method, params) => {
        const request = JsonRpc.request(id, method, params)
        const notification = JsonRpc.notification(method, params)
        assert.isTrue(JsonRpc.isRequest(request))
        assert.isTrue(JsonRpc.isNotification(notification))
        assert.strictEqual("params" in request, params !== undefined)
        assert.strictEqual("params" in notification, params !== undefined)
        assert.isFalse("id" in notification)
      })
    )
    FastCheck.assert(
      FastCheck.property(FastCheck.option(id), json, errorObject, (id, result, error) => {
        if (id !== null) assert.isTrue(JsonRpc.isSuccessResponse(JsonRpc.success(id, result)))
        assert.isTrue(JsonRpc.isErrorResponse(JsonRpc.error(id, error)))
      })
    )
  })

  it("ids of different types are different messages", () => {
    const text = [1, "1"].map((id) => JsonRpc.encode(JsonRpc.request(id, "ping")))
    assert.deepStrictEqual(text, [
      `{"jsonrpc":"2.0","id":1,"method":"ping"}`,
      `{"jsonrpc":"2.0","id":"1","method":"ping"}`
    ])
  })
})
