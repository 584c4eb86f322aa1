import { assert, describe, it } from "@effect/vitest"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"
import {
  type HeaderParameter,
  type HeaderParameterType,
  headersOf,
  readAnnotations
} from "../../packages/client/src/internal/paramHeaders.ts"

const region = { type: "string", "x-mcp-header": "Region" }

const rightOf = <A>(result: Either.Either<A, string>): A => {
  if (Either.isLeft(result)) throw new Error(result.left)
  return result.right
}

const leftOf = (result: Either.Either<unknown, string>): string => {
  if (Either.isRight(result)) throw new Error(`accepted: ${JSON.stringify(result.right)}`)
  return result.left
}

const parameter = (type: HeaderParameterType, ...path: ReadonlyArray<string>): HeaderParameter => ({
  header: "Mcp-Param-Value",
  path,
  type
})

const headerOf = (type: HeaderParameterType, value: unknown): string | undefined =>
  rightOf(headersOf([parameter(type, "value")], { value }))["Mcp-Param-Value"]

describe("readAnnotations", () => {
  it("takes every annotated property that properties alone lead to, with its path", () => {
    const parameters = rightOf(readAnnotations({
      type: "object",
      properties: {
        region: { ...region, description: "where" },
        query: { type: "string" },
        options: {
          type: "object",
          properties: {
            limit: { type: "integer", "x-mcp-header": "Limit" },
            properties: { properties: { dry: { type: "boolean", "x-mcp-header": "dry-run!" } } }
          }
        }
      },
      required: ["region"]
    }))
    assert.deepStrictEqual(parameters, [
      { header: "Mcp-Param-Region", path: ["region"], type: "string" },
      { header: "Mcp-Param-Limit", path: ["options", "limit"], type: "integer" },
      { header: "Mcp-Param-dry-run!", path: ["options", "properties", "dry"], type: "boolean" }
    ])
  })

  it.each<[string, unknown]>([
    ["no schema", undefined],
    ["a boolean", true],
    ["no annotation", { type: "object", properties: { a: { type: "string" } } }],
    ["a parameter that is called x-mcp-header", { properties: { "x-mcp-header": { type: "string" } } }],
    ["a definition that is called x-mcp-header", { $defs: { "x-mcp-header": { type: "string" } } }],
    ["a dependency of x-mcp-header", { dependentRequired: { "x-mcp-header": ["a"] } }],
    ["const", { properties: { a: { const: region } } }],
    ["default", { default: region, properties: { a: { default: region } } }],
    ["enum", { properties: { a: { enum: [region] } } }],
    ["examples", { properties: { a: { examples: [region] } } }]
  ])("finds nothing in %s", (_, schema) => {
    assert.deepStrictEqual(rightOf(readAnnotations(schema)), [])
  })

  it.each<[string, unknown]>([
    ["empty", ""],
    ["a header name cannot have", "My Region"],
    ["a header name cannot have", "Region\r\nEvil: 1"],
    ["a header name cannot have", "Region\n"],
    ["a header name cannot have", "Region:"],
    ["a header name cannot have", "Région"],
    ["a header name cannot have", "a\u0000"],
    ["not a string", 5],
    ["not a string", null],
    ["not a string", ["Region"]],
    ["not a string", { Region: 1 }]
  ])("refuses an annotation that is %s: %j", (reason, name) => {
    const message = leftOf(readAnnotations({ properties: { "a/b": { type: "string", "x-mcp-header": name } } }))
    assert.include(message, reason)
    assert.include(message, "/properties/a~1b")
  })

  it.each<[unknown]>([
    ["number"],
    ["object"],
    ["array"],
    ["null"],
    [undefined],
    [["string"]],
    [["string", "null"]],
    [["string", "integer"]]
  ])("refuses a parameter of type %j", (type) => {
    const message = leftOf(readAnnotations({ properties: { a: { type, "x-mcp-header": "A" } } }))
    assert.include(message, "string, integer or boolean")
    assert.include(message, "/properties/a")
  })

  it("takes the type from the schema itself", () => {
    const schema: unknown = Object.create({ type: "string" }, { "x-mcp-header": { value: "A", enumerable: true } })
    assert.include(leftOf(readAnnotations({ properties: { a: schema } })), "string, integer or boolean")
  })

  it("refuses two of the same name in any case, and names both", () => {
    const message = leftOf(readAnnotations({
      properties: { a: region, b: { properties: { c: { type: "integer", "x-mcp-header": "rEGION" } } } }
    }))
    assert.include(message, "/properties/a")
    assert.include(message, "/properties/b/properties/c")
  })

  const annotated = { properties: { a: region } }
  it.each<[string, unknown]>([
    ["the root", { ...region, type: "object" }],
    ...["items", "additionalItems", "unevaluatedItems", "contains", "additionalProperties", "unevaluatedProperties"]
      .map(
        (keyword): [string, unknown] => [keyword, { [keyword]: annotated }]
      ),
    ...["propertyNames", "not", "if", "then", "else", "contentSchema", "x-unknown"].map(
      (keyword): [string, unknown] => [keyword, { [keyword]: region }]
    ),
    ...["allOf", "anyOf", "oneOf", "prefixItems", "items"].map(
      (keyword): [string, unknown] => [keyword, { [keyword]: [{}, annotated] }]
    ),
    ...["$defs", "definitions", "patternProperties", "dependentSchemas", "dependencies"].map(
      (keyword): [string, unknown] => [keyword, { [keyword]: { a: region } }]
    ),
    ["the target of a $ref", { $ref: "#/$defs/x", $defs: { x: annotated } }],
    ["items of a property", { properties: { list: { type: "array", items: region } } }],
    ["items below properties", { properties: { list: { items: annotated } } }],
    ["properties of a definition that is called properties", { $defs: { properties: annotated } }],
    ["an array of properties", { properties: [region] }],
    ["properties itself", { properties: { properties: { "x-mcp-header": "A", type: "string" } }, allOf: [region] }]
  ])("refuses an annotation in %s", (_, schema) => {
    assert.include(leftOf(readAnnotations(schema)), "by \"properties\" alone")
  })

  it("treats __proto__ as any other name", () => {
    const schema: unknown = JSON.parse(
      `{"properties":{"__proto__":{"type":"string","x-mcp-header":"P"}}}`
    )
    const parameters = rightOf(readAnnotations(schema))
    assert.deepStrictEqual(parameters, [{ header: "Mcp-Param-P", path: ["__proto__"], type: "string" }])
    const args: unknown = JSON.parse(`{"__proto__":"x"}`)
    assert.deepStrictEqual(rightOf(headersOf(parameters, args)), { "Mcp-Param-P": "x" })
    assert.deepStrictEqual(rightOf(headersOf(parameters, {})), {})
  })

  it("takes a deep schema, and refuses one that is too large", () => {
    const depth = 40_000
    const deep: unknown = JSON.parse(`${"{\"items\":".repeat(depth)}{"x-mcp-header":"A"}${"}".repeat(depth)}`)
    assert.include(leftOf(readAnnotations(deep)), "by \"properties\" alone")
    const wide = {
      enum: [1],
      properties: Object.fromEntries(Array.from({ length: 100_001 }, (_, i) => [`p${i}`, true]))
    }
    assert.include(leftOf(readAnnotations(wide)), "more than 100000 parts")
    const cyclic: { items?: unknown } = {}
    cyclic.items = cyclic
    assert.include(leftOf(readAnnotations(cyclic)), "more than 100000 parts")
  })
})

describe("headersOf", () => {
  it.each([
    ["us-west1", "us-west1"],
    ["Hello, 世界", "=?base64?SGVsbG8sIOS4lueVjA==?="],
    [" padded ", "=?base64?IHBhZGRlZCA=?="],
    ["line1\nline2", "=?base64?bGluZTEKbGluZTI=?="],
    ["=?base64?literal?=", "=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?="],
    ["\ttab", "=?base64?CXRhYg==?="],
    ["\u007f", "=?base64?fw==?="],
    ["=?base64?no end", "=?base64?no end"],
    ["=?BASE64?other case?=", "=?BASE64?other case?="],
    ["two words", "two words"],
    ["", "=?base64??="]
  ])("encodes %j as %s", (value, header) => {
    assert.strictEqual(headerOf("string", value), header)
  })

  it("writes integers in digits and booleans in lower case", () => {
    assert.strictEqual(headerOf("integer", 42.0), "42")
    assert.strictEqual(headerOf("integer", -7), "-7")
    assert.strictEqual(headerOf("integer", 0), "0")
    assert.strictEqual(headerOf("integer", -0), "0")
    assert.strictEqual(headerOf("integer", Number.MAX_SAFE_INTEGER), "9007199254740991")
    assert.strictEqual(headerOf("integer", Number.MIN_SAFE_INTEGER), "-9007199254740991")
    assert.strictEqual(headerOf("boolean", true), "true")
    assert.strictEqual(headerOf("boolean", false), "false")
  })

  it.each<[HeaderParameterType, unknown]>([
    ["integer", 2 ** 53],
    ["integer", -(2 ** 53)],
    ["integer", 1e21],
    ["integer", 1.5],
    ["integer", Number.NaN],
    ["integer", Number.POSITIVE_INFINITY],
    ["integer", "secret"],
    ["integer", true],
    ["string", 5],
    ["string", { secret: 1 }],
    ["string", "secret\ud800"],
    ["boolean", "true"],
    ["boolean", 1]
  ])("refuses as %s: %j, without telling the value", (type, value) => {
    const message = leftOf(headersOf([parameter(type, "options", "value")], { options: { value } }))
    assert.include(message, "options.value")
    assert.notInclude(message, "secret")
  })

  it.each<[string, unknown]>([
    ["no arguments", undefined],
    ["null for arguments", null],
    ["an absent parent", {}],
    ["a parent that is null", { options: null }],
    ["a parent that is a text", { options: "text" }],
    ["a parent that is an array", { options: ["x"] }],
    ["an absent value", { options: {} }],
    ["null", { options: { length: null } }],
    ["undefined", { options: { length: undefined } }],
    ["a value that is only inherited", { options: Object.create({ length: "inherited" }) }]
  ])("omits the header for %s", (_, args) => {
    assert.deepStrictEqual(rightOf(headersOf([parameter("string", "options", "length")], args)), {})
  })

  const decode = (header: string): string => {
    const match = /^=\?base64\?(.*)\?=$/.exec(header)
    return match === null ? header : Buffer.from(match[1] ?? "", "base64").toString("utf8")
  }

  it("gives headers of visible ASCII and inner spaces that decode to the value", () => {
    const text = FastCheck.oneof(
      FastCheck.string({ unit: "binary" }),
      FastCheck.string({ unit: "grapheme" }),
      FastCheck.string({ unit: FastCheck.constantFrom(" ", "\t", "\r", "\n", "a", "=?base64?", "?=", "\u0000", "é") })
    )
    FastCheck.assert(
      FastCheck.property(text, (value) => {
        const header = headerOf("string", value) ?? ""
        assert.match(header, /^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$/)
        assert.strictEqual(decode(header), value)
      }),
      { numRuns: 2_000 }
    )
    FastCheck.assert(
      FastCheck.property(FastCheck.maxSafeInteger(), (value) => {
        const header = headerOf("integer", value) ?? ""
        assert.match(header, /^-?\d+$/)
        assert.strictEqual(Number(header), value)
      })
    )
  })

  it("never throws, whatever the schema and the arguments", () => {
    FastCheck.assert(
      FastCheck.property(FastCheck.anything({ withNullPrototype: true }), FastCheck.anything(), (schema, args) => {
        const parameters = readAnnotations(schema)
        if (Either.isRight(parameters)) assert.isTrue(Either.isEither(headersOf(parameters.right, args)))
        assert.isTrue(Either.isEither(headersOf([parameter("string", "a", "b")], args)))
      })
    )
  })
})
