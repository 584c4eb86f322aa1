/**
 * The guards of the hot path say what the schemas say, about right and about wrong values.
 */
import * as Logging from "@effect-mcp/client/Logging"
import * as Progress from "@effect-mcp/client/Progress"
import * as Resource from "@effect-mcp/client/Resource"
import * as Tool from "@effect-mcp/client/Tool"
import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as FastCheck from "effect/FastCheck"
import * as Schema from "effect/Schema"
import * as Guards from "../../packages/client/src/internal/guards.ts"
import { broken, extended, json, unknownMembers } from "./schemaValues.ts"

const cases: ReadonlyArray<readonly [string, (u: unknown) => boolean, Schema.Schema.AnyNoContext]> = [
  ["isCallToolResult", Guards.isCallToolResult, Tool.CallToolResult],
  ["isReadResourceResult", Guards.isReadResourceResult, Resource.ReadResourceResult],
  ["isProgress", Guards.isProgress, Progress.Progress],
  ["isLoggingMessage", Guards.isLoggingMessage, Logging.LoggingMessage]
]

describe.each(cases)("%s", (name, guard, schema) => {
  const is = Schema.is(schema)
  const values: FastCheck.Arbitrary<unknown> = Arbitrary.make(schema)

  it("accepts what the schema generates, with unknown members", () => {
    FastCheck.assert(
      FastCheck.property(values, unknownMembers, (value, members) => {
        assert.isTrue(guard(value))
        assert.isTrue(guard(extended(name, value, members)))
      }),
      { numRuns: 500 }
    )
  })

  it("agrees with the schema about values with one thing changed", () => {
    const seen = { accepted: 0, refused: 0 }
    FastCheck.assert(
      FastCheck.property(broken(values), (value) => {
        const expected = is(value)
        seen[expected ? "accepted" : "refused"]++
        assert.strictEqual(guard(value), expected)
      }),
      { numRuns: 5000 }
    )
    assert.isAbove(seen.accepted, 100)
    assert.isAbove(seen.refused, 100)
  })

  it("agrees with the schema about anything", () => {
    FastCheck.assert(FastCheck.property(FastCheck.oneof(json, FastCheck.anything()), (value) => {
      assert.strictEqual(guard(value), is(value))
    }))
    for (const value of [undefined, null, 0, "", [], {}, () => {}, Symbol.iterator, new Date(0), new Map()]) {
      assert.strictEqual(guard(value), is(value))
    }
  })
})
