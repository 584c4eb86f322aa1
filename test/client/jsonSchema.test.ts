import { assert, describe, it, vi } from "@effect/vitest"
import * as Arr from "effect/Array"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"
import * as Http from "node:http"
import {
  compile,
  limits,
  type SchemaProblem,
  type Validator,
  type Violation
} from "../../packages/client/src/internal/jsonSchema.ts"

const validatorOf = (schema: unknown): Validator => {
  const result = compile(schema)
  if (Either.isLeft(result)) throw new Error(JSON.stringify(result.left))
  return result.right
}

const problemOf = (schema: unknown): SchemaProblem => {
  const result = compile(schema)
  if (Either.isRight(result)) throw new Error("accepted")
  return result.left
}

const check = (schema: unknown, value: unknown): ReadonlyArray<Violation> => validatorOf(schema)(value)

const draft07 = "http://json-schema.org/draft-07/schema#"
const draft04 = "http://json-schema.org/draft-04/schema#"
const draft2019 = "https://json-schema.org/draft/2019-09/schema"
const draft2020 = "https://json-schema.org/draft/2020-12/schema"

const nested = (levels: number, wrap: (inner: unknown) => unknown, innermost: unknown): unknown => {
  let schema = innermost
  for (let level = 0; level < levels; level++) schema = wrap(schema)
  return schema
}

const conditional = (condition: unknown, consequence: unknown, otherwise: unknown): object =>
  Object.fromEntries(Arr.zip(["if", "then", "else"], [condition, consequence, otherwise]))

type Row = readonly [name: string, schema: unknown, valid: ReadonlyArray<unknown>, invalid: ReadonlyArray<unknown>]

const node = { type: "object", properties: { value: { type: "integer" }, children: { type: "array" } } }

const rows: ReadonlyArray<Row> = [
  ["true", true, [1, null, {}], []],
  ["false", false, [], [1, null, {}]],
  ["{}", {}, [1, null, [], "a"], []],
  ["type", { type: "string" }, ["a"], [1, null, {}, [], true]],
  ["type integer", { type: "integer" }, [1, 1.0, -3], [1.5, "1"]],
  ["type number", { type: "number" }, [1, 1.5], ["1"]],
  ["type null", { type: "null" }, [null], [0, {}]],
  ["several types", { type: ["string", "null"] }, ["a", null], [1]],
  ["const", { const: { a: [1, { b: null }] } }, [{ a: [1, { b: null }] }], [{ a: [1, {}] }, null]],
  ["const null", { const: null }, [null], [0, {}, []]],
  ["const false", { const: false }, [false], [0, ""]],
  ["enum", { enum: ["a", 1, [2]] }, ["a", 1, [2]], ["b", [1], null]],
  ["multipleOf", { multipleOf: 0.1 }, [0.3, 1, 12.7], [0.35]],
  ["minimum, maximum", { minimum: 1, maximum: 3 }, [1, 3, "x"], [0.9, 3.1]],
  ["exclusive bounds", { exclusiveMinimum: 1, exclusiveMaximum: 3 }, [2], [1, 3]],
  ["minLength, maxLength", { minLength: 2, maxLength: 3 }, ["ab", "😀😀", 1], ["a", "😀", "abcd"]],
  ["pattern", { pattern: "^\\p{Lu}+$" }, ["ABÉ", 1], ["ab"]],
  ["pattern with needless escapes", { pattern: "^\\-\\_[\\-\\@\\]x]\\/\\d$" }, ["-_@/1", "-_-/1", "-_]/1"], [
    "-_\\/1",
    "_@/1"
  ]],
  ["pattern with a hyphen beside a set", { pattern: "^[\\w-.]+[.-\\d]$" }, ["a-b..", "a-", "a1"], ["a/1", "ab"]],
  ["pattern with braces as text", { pattern: "^\\-{2}{a}]$" }, ["--{a}]"], ["-{a}]", "--{a}"]],
  ["pattern with \\p and a needless escape", { pattern: "^\\p{Lu}\\-\\u{1F600}$" }, ["É-😀"], ["e-😀"]],
  [
    "patternProperties with needless escapes",
    { patternProperties: { "^\\-": { type: "string" }, "^-": { minLength: 2 } }, additionalProperties: false },
    [{ "-a": "xx" }],
    [{ "-a": 1 }, { "-a": "x" }, { a: "xx" }]
  ],
  ["format only annotates", { format: "email" }, ["not an address"], []],
  ["required", { required: ["a", "toString"] }, [{ a: 1, toString: 1 }, 1], [{ a: 1 }, {}]],
  ["properties", { properties: { a: { type: "integer" }, b: false } }, [{ a: 1 }, {}, []], [{ a: "1" }, { b: 1 }]],
  ["patternProperties", { patternProperties: { "^n": { type: "number" } } }, [{ n1: 1, x: "" }], [{ n1: "" }]],
  [
    "additionalProperties",
    { properties: { a: {} }, patternProperties: { "^x": {} }, additionalProperties: false },
    [{ a: 1, x1: 2 }],
    [{ b: 1 }]
  ],
  ["additionalProperties as a schema", { additionalProperties: { type: "boolean" } }, [{ a: true }], [{ a: 1 }]],
  ["propertyNames", { propertyNames: { maxLength: 2 } }, [{ ab: 1 }], [{ abc: 1 }]],
  ["minProperties, maxProperties", { minProperties: 1, maxProperties: 2 }, [{ a: 1 }], [{}, { a: 1, b: 2, c: 3 }]],
  ["dependentRequired", { dependentRequired: { a: ["b"] } }, [{}, { b: 1 }, { a: 1, b: 1 }], [{ a: 1 }]],
  ["dependentSchemas", { dependentSchemas: { a: { required: ["b"] } } }, [{}, { a: 1, b: 1 }], [{ a: 1 }]],
  ["items", { items: { type: "integer" } }, [[], [1, 2]], [[1, "2"]]],
  ["prefixItems", { prefixItems: [{ type: "integer" }, { type: "string" }] }, [[], [1], [1, "a", null]], [["a"], [
    1,
    1
  ]]],
  ["prefixItems, items", { prefixItems: [{}], items: false }, [[], [1]], [[1, 2]]],
  ["contains", { contains: { const: 1 } }, [[0, 1]], [[], [0]]],
  ["minContains, maxContains", { contains: { const: 1 }, minContains: 2, maxContains: 3 }, [[1, 1, 0]], [[1], [
    1,
    1,
    1,
    1
  ]]],
  ["minContains 0", { contains: { const: 1 }, minContains: 0 }, [[], [0]], []],
  ["minItems, maxItems", { minItems: 1, maxItems: 2 }, [[1]], [[], [1, 2, 3]]],
  ["uniqueItems", { uniqueItems: true }, [[], [1, true, "1", [1], { a: 1 }]], [[1, 1], [{ a: [1] }, { a: [1] }]]],
  ["uniqueItems false", { uniqueItems: false }, [[1, 1]], []],
  ["uniqueItems and unevaluatedItems", { uniqueItems: true, unevaluatedItems: false }, [[]], [[1]]],
  ["allOf", { allOf: [{ minimum: 1 }, { maximum: 3 }] }, [2], [0, 4]],
  ["anyOf", { anyOf: [{ type: "string" }, { minimum: 3 }] }, ["a", 3], [1]],
  ["oneOf", { oneOf: [{ multipleOf: 2 }, { multipleOf: 3 }] }, [2, 3], [1, 6]],
  ["not", { not: { type: "string" } }, [1], ["a"]],
  ["if, then, else", conditional({ minimum: 10 }, { multipleOf: 10 }, { multipleOf: 2 }), [20, 4], [15, 3]],
  ["then without if", JSON.parse(`{"then":false}`), [1], []],
  [
    "unevaluatedProperties",
    {
      properties: { a: {} },
      allOf: [{ properties: { b: {} } }],
      anyOf: [{ properties: { c: { const: 1 } }, required: ["c"] }, {}],
      ...conditional({ required: ["d"] }, { properties: { d: {} } }, {}),
      unevaluatedProperties: false
    },
    [{ a: 1, b: 1, c: 1, d: 1 }, {}],
    [{ e: 1 }, { c: 2 }]
  ],
  [
    "unevaluatedProperties through a $ref",
    {
      $ref: "#/$defs/base",
      properties: { b: {} },
      unevaluatedProperties: false,
      $defs: { base: { properties: { a: {} } } }
    },
    [{ a: 1, b: 1 }],
    [{ c: 1 }]
  ],
  ["unevaluatedItems", { allOf: [{ prefixItems: [{}] }], unevaluatedItems: false }, [[1]], [[1, 2]]],
  ["draft-07 items", { $schema: draft07, items: [{ type: "integer" }], additionalItems: false }, [[1]], [["a"], [
    1,
    2
  ]]],
  [
    "draft-07 dependencies",
    { $schema: draft07, dependencies: { a: ["b"], c: { required: ["d"] } } },
    [{ a: 1, b: 1 }],
    [
      { a: 1 },
      { c: 1 }
    ]
  ],
  ["draft-07 ignores newer keywords", { $schema: draft07, prefixItems: [false], dependentRequired: { a: ["b"] } }, [
    [1],
    { a: 1 }
  ], []],
  [
    "draft-07 ignores what is beside a $ref",
    {
      $schema: draft07,
      properties: { a: { $ref: "#/definitions/x", maximum: 1 } },
      definitions: { x: { type: "number" } }
    },
    [{ a: 5 }],
    [{ a: "5" }]
  ],
  ["2020-12 respects what is beside a $ref", { $defs: { x: { type: "number" } }, $ref: "#/$defs/x", maximum: 1 }, [1], [
    5
  ]],
  ["draft-04 exclusive bounds", { $schema: draft04, minimum: 1, exclusiveMinimum: true, maximum: 3 }, [2, 3], [1, 4]],
  ["draft-04 ignores const", { $schema: draft04, const: 1 }, [2], []],
  ["2019-09 items", { $schema: draft2019, items: [{ type: "integer" }], additionalItems: { type: "string" } }, [[
    1,
    "a"
  ]], [
    [1, 1]
  ]]
]

const references: ReadonlyArray<Row> = [
  ["a pointer", { $defs: { a: { type: "string" } }, items: { $ref: "#/$defs/a" } }, [["a"]], [[1]]],
  ["the root", { properties: { next: { $ref: "#" } }, additionalProperties: false }, [{ next: { next: {} } }], [
    { next: { other: 1 } }
  ]],
  ["an escaped pointer", { $defs: { "a/b~c%d e\"é": { type: "string" } }, $ref: "#/$defs/a~1b~0c%25d%20e%22%C3%A9" }, [
    "a"
  ], [1]],
  ["an index", { prefixItems: [{ type: "string" }, { $ref: "#/prefixItems/0" }] }, [["a", "b"]], [["a", 1]]],
  ["an anchor", { $defs: { a: { $anchor: "name", type: "string" } }, $ref: "#name" }, ["a"], [1]],
  ["a place under an unknown keyword", { "x-shared": { a: { type: "string" } }, $ref: "#/x-shared/a" }, ["a"], [1]],
  ["$defs in draft-07", { $schema: draft07, $defs: { a: { type: "string" } }, items: { $ref: "#/$defs/a" } }, [["a"]], [
    [1]
  ]],
  ["the own $id", {
    $id: "https://example.com/root",
    $defs: { a: { type: "string" } },
    $ref: "https://example.com/root#/$defs/a"
  }, [
    "a"
  ], [1]],
  [
    "relative identifiers",
    {
      $id: "https://example.com/schemas/root.json",
      $ref: "list.json",
      $defs: {
        list: { $id: "list.json", items: { $ref: "#/$defs/item" }, $defs: { item: { $ref: "parts/item.json#it" } } },
        item: { $id: "parts/item.json", $defs: { it: { $anchor: "it", type: "string" } } }
      }
    },
    [["a"]],
    [[1]]
  ],
  ["a relative $id without a base", { $ref: "item", $defs: { item: { $id: "item", type: "string" } } }, ["a"], [1]],
  ["a URN", { $id: "urn:example:root", $defs: { a: { type: "string" } }, $ref: "#/$defs/a" }, ["a"], [1]],
  [
    "a pointer into another resource",
    {
      $ref: "#/$defs/other/$defs/b",
      $defs: { other: { $id: "other", $defs: { a: { type: "string" }, b: { $ref: "#/$defs/a" } } } }
    },
    ["a"],
    [1]
  ],
  [
    "an unknown keyword of another resource",
    {
      $ref: "#/$defs/other/x-a",
      $defs: { other: { $id: "other", "x-a": { $ref: "#/$defs/b" }, $defs: { b: { type: "string" } } } }
    },
    ["a"],
    [1]
  ],
  ["an $id as anchor, draft-07", {
    $schema: draft07,
    definitions: { a: { $id: "#a", type: "string" } },
    items: { $ref: "#a" }
  }, [
    ["a"]
  ], [[1]]],
  [
    "an id, draft-04",
    {
      $schema: draft04,
      id: "http://x.test/",
      definitions: { a: { id: "a", type: "string" } },
      items: {
        $ref: "http://x.test/a"
      }
    },
    [["a"]],
    [[1]]
  ],
  ["$dynamicRef", { $dynamicAnchor: "node", ...node, properties: { children: { items: { $dynamicRef: "#node" } } } }, [
    { children: [{ children: [] }] }
  ], [{ children: [{ children: [1] }] }]],
  [
    "$dynamicRef beside $ref",
    {
      $defs: { low: { minimum: 1 }, high: { $anchor: "high", maximum: 3 } },
      $ref: "#/$defs/low",
      $dynamicRef: "#high"
    },
    [2],
    [0, 4]
  ],
  ["$recursiveRef", {
    $schema: draft2019,
    $recursiveAnchor: true,
    type: "object",
    additionalProperties: { $recursiveRef: "#" }
  }, [
    { a: { b: {} } }
  ], [{ a: { b: 1 } }]],
  ["a property called $ref", { properties: { $ref: { type: "string" } } }, [{ $ref: "https://example.com/" }], [{
    $ref: 1
  }]],
  ["a $ref in const", { const: { $ref: "https://example.com/" } }, [{ $ref: "https://example.com/" }], [{}]],
  ["a $ref in enum", { enum: [{ $ref: "#/nowhere" }] }, [{ $ref: "#/nowhere" }], [{}]],
  ["a $ref in default and examples", { default: { $ref: "x" }, examples: [{ $ref: "x" }] }, [1], []],
  ["a definition called $ref", { $defs: { $ref: { type: "string" } }, $ref: "#/$defs/$ref" }, ["a"], [1]],
  ["$id in const", { const: { $id: "a" }, $defs: { a: { $id: "a", const: { $id: "a" } } } }, [{ $id: "a" }], [{}]],
  ["internal names of the evaluator", {
    __absolute_ref__: "x",
    __absolute_uri__: "y",
    $ref: "#/$defs/a",
    $defs: { a: { const: 1 } }
  }, [
    1
  ], [2]]
]

describe("validation", () => {
  it.each([...rows, ...references])("%s", (_, schema, valid, invalid) => {
    for (const value of valid) assert.deepStrictEqual(check(schema, value), [], JSON.stringify(value))
    for (const value of invalid) assert.isNotEmpty(check(schema, value), JSON.stringify(value))
  })

  it("tells where in the value and which keyword, once for each violation", () => {
    const schema = {
      $defs: { row: { required: ["id"], properties: { "a/b": { type: "string" }, tags: { uniqueItems: true } } } },
      properties: { rows: { items: { $ref: "#/$defs/row" } }, "%é": { minimum: 1 } },
      additionalProperties: false
    }
    const violations = check(schema, { rows: [{ id: 1 }, { "a/b": 1, tags: ["x", "x"] }], "%é": 0, extra: null })
    assert.deepStrictEqual(violations.map(({ path, schemaPath }) => [path, schemaPath]), [
      [["rows", 1], "#/properties/rows/items/$ref/required"],
      [["rows", 1, "a/b"], "#/properties/rows/items/$ref/properties/a~1b/type"],
      [["rows", 1, "tags"], "#/properties/rows/items/$ref/properties/tags/uniqueItems"],
      [["%é"], "#/properties/%25%C3%A9/minimum"],
      [["extra"], "#/additionalProperties"]
    ])
    assert.include(violations[0]?.message, "\"id\"")
    assert.strictEqual(violations[4]?.message, "Not allowed.")
  })

  it("leaves the schema as it is, and does not see later changes of it", () => {
    const schema = { type: "object", properties: { a: { $ref: "#/$defs/a" } }, $defs: { a: { type: "string" } } }
    const before = JSON.stringify(schema)
    Object.freeze(schema.properties)
    const validator = validatorOf(schema)
    assert.deepStrictEqual(validator({ a: "x" }), [])
    assert.deepStrictEqual(Reflect.ownKeys(schema.properties.a), ["$ref"])
    assert.strictEqual(JSON.stringify(schema), before)
    schema.$defs.a.type = "number"
    assert.deepStrictEqual(validator({ a: "x" }), [])
  })

  it("counts as evaluated in allOf what keywords beside it evaluated: a known limit", () => {
    const schema = { allOf: [{ unevaluatedProperties: false }], properties: { a: {} } }
    assert.isNotEmpty(check(schema, { a: 1 }))
    const seen = {
      $ref: "#/$defs/a",
      allOf: [{ unevaluatedProperties: false }],
      $defs: { a: { properties: { a: {} } } }
    }
    assert.deepStrictEqual(check(seen, { a: 1 }), [])
  })
})

describe("dialects", () => {
  it.each([
    draft2020,
    "http://json-schema.org/draft/2020-12/schema#",
    draft2019,
    draft07,
    "https://json-schema.org/draft-07/schema",
    draft04
  ])("takes %s", ($schema) => {
    assert.isNotEmpty(check({ $schema, type: "string" }, 1))
  })

  it.each(["http://json-schema.org/draft-06/schema#", "https://example.com/meta", "", "2020-12"])(
    "refuses %j",
    (dialect) => {
      assert.deepStrictEqual(problemOf({ $schema: dialect }), { _tag: "UnsupportedDialect", dialect })
    }
  )

  it("refuses a second dialect in an embedded resource", () => {
    const embedded = { $id: "https://example.com/a", $schema: draft07 }
    assert.deepStrictEqual(problemOf({ $defs: { embedded } }), { _tag: "UnsupportedDialect", dialect: draft07 })
    assert.isTrue(Either.isRight(compile({ $defs: { embedded: { ...embedded, $schema: draft2020 } } })))
  })
})

describe("references that lead nowhere", () => {
  it.each<[string, unknown]>([
    ["https://example.com/schema", { $ref: "https://example.com/schema" }],
    ["#/$defs/nothing", { $ref: "#/$defs/nothing" }],
    ["#nothing", { items: { $ref: "#nothing" } }],
    ["other.json", { $id: "https://example.com/a.json", $ref: "other.json" }],
    ["file:///etc/passwd", { $defs: { unused: { $ref: "file:///etc/passwd" } } }],
    ["http://", { $ref: "http://" }],
    ["#/%", { $ref: "#/%" }],
    ["#/properties/toString", { properties: {}, $ref: "#/properties/toString" }],
    ["#/__proto__", { $ref: "#/__proto__" }],
    ["#/prefixItems/length", { prefixItems: [{}], $ref: "#/prefixItems/length" }],
    ["#/prefixItems/01", { prefixItems: [{}, {}], $ref: "#/prefixItems/01" }],
    ["https://github.com/cfworker", { $ref: "https://github.com/cfworker" }],
    [draft2020, { properties: { schema: { $ref: draft2020 } } }],
    ["#dynamic", { $dynamicRef: "#dynamic" }],
    ["#a", { $defs: { const: { const: { $anchor: "a" } } }, $ref: "#a" }],
    ["#a", { $ref: "#a", "x-unknown": { $anchor: "a" } }]
  ])("refuses %s", (ref, schema) => {
    assert.deepStrictEqual(problemOf(schema), { _tag: "ExternalReference", ref })
  })

  it.scopedLive("fetches nothing", () =>
    Effect.gen(function*() {
      let hits = 0
      const server = yield* Effect.acquireRelease(
        Effect.async<Http.Server>((resume) => {
          const server = Http.createServer((_, response) => {
            hits++
            response.end("{}")
          })
          server.on("connection", () => hits++)
          server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
        }),
        (server) => Effect.async<void>((resume) => void server.close(() => resume(Effect.void)))
      )
      const address = server.address()
      const port = typeof address === "object" ? address?.port : undefined
      const url = `http://127.0.0.1:${port}/schema`
      for (const keyword of ["$ref", "$dynamicRef"]) {
        assert.strictEqual(problemOf({ [keyword]: url })._tag, "ExternalReference")
      }
      const relative = { $id: url, properties: { a: { $ref: "other" } } }
      assert.strictEqual(problemOf(relative)._tag, "ExternalReference")
      assert.strictEqual(problemOf({ $schema: url })._tag, "UnsupportedDialect")
      assert.isNotEmpty(check({ $id: url, $ref: "#/$defs/a", $defs: { a: { type: "string" } } }, 1))
      // What was going to be sent would be here before this answer is.
      yield* Effect.promise(() => fetch(`http://127.0.0.1:${port}/last`).then((response) => response.text()))
      yield* Effect.sync(() => server.closeAllConnections())
      assert.strictEqual(hits, 2)
    }))
})

describe("invalid schemas", () => {
  it.each<[string, unknown]>([
    ["null", null],
    ["undefined", undefined],
    ["a number", 1],
    ["an array", []],
    ["no JSON value", { default: () => 1 }],
    ["a bigint", { const: 1n }],
    ["$schema", { $schema: 1 }],
    ["$id", { $id: 1 }],
    ["$id with a fragment", { $id: "a#b" }],
    ["two of one $id", { $defs: { a: { $id: "x" }, b: { $id: "x" } } }],
    ["$anchor", { $anchor: "a b" }],
    ["two of one $anchor", { $defs: { a: { $anchor: "x" }, b: { $anchor: "x" } } }],
    ["$ref", { $ref: 1 }],
    ["$ref to a value that is no schema", { type: "string", $ref: "#/type" }],
    ["$dynamicRef to one of several", {
      $dynamicAnchor: "a",
      $defs: { b: { $id: "b", $dynamicAnchor: "a" } },
      properties: { c: { $dynamicRef: "#a" } }
    }],
    ["type", { type: "text" }],
    ["type of none", { type: [] }],
    ["a type twice", { type: ["string", "string"] }],
    ["enum", { enum: "a" }],
    ["required", { required: true }],
    ["required with a number", { required: [1] }],
    ["properties", { properties: [] }],
    ["a property", { properties: { a: "string" } }],
    ["a property that is null", { properties: { a: null } }],
    ["patternProperties", { patternProperties: { "(": {} } }],
    ["pattern", { pattern: "(" }],
    ["pattern with an escape that means nothing", { pattern: "\\Aa\\Z" }],
    ["pattern that ends in an escape", { pattern: "\\-\\" }],
    ["pattern of a wrong type", { pattern: 1 }],
    ["items as in older dialects", { items: [{}] }],
    ["items", { items: 1 }],
    ["prefixItems", { prefixItems: {} }],
    ["allOf", { allOf: {} }],
    ["not", { not: "a" }],
    ["minimum", { minimum: "1" }],
    ["multipleOf", { multipleOf: 0 }],
    ["minLength", { minLength: -1 }],
    ["maxItems", { maxItems: 1.5 }],
    ["uniqueItems", { uniqueItems: "yes" }],
    ["exclusiveMinimum of draft-04", { exclusiveMinimum: true }],
    ["dependentRequired", { dependentRequired: { a: "b" } }],
    ["in a definition that is not used", { $defs: { a: { type: 1 } } }]
  ])("refuses %s", (_, schema) => {
    assert.strictEqual(problemOf(schema)._tag, "InvalidSchema")
  })
})

describe("hostile schemas", () => {
  const not = (inner: unknown) => ({ not: inner })
  it.each<[string, unknown]>([
    ["a reference to itself", { $ref: "#" }],
    ["a loop of references", { $ref: "#/$defs/a", $defs: { a: { $ref: "#/$defs/b" }, b: { $ref: "#/$defs/a" } } }],
    ["a loop through allOf", { allOf: [{ $ref: "#" }] }],
    ["a loop through not", { not: { $ref: "#" } }],
    ["a loop through if", conditional({}, { $ref: "#" }, {})],
    ["a loop through dependentSchemas", { dependentSchemas: { a: { $ref: "#" } } }],
    ["a loop of dynamic references", { $dynamicAnchor: "a", anyOf: [{ $dynamicRef: "#a" }] }],
    ["a loop of recursive references", { $schema: draft2019, anyOf: [{ $recursiveRef: "#" }] }],
    ["too deep", nested(65, not, {})],
    ["too deep in a value", { const: nested(300, (inner) => [inner], 1) }],
    ["far too deep", JSON.parse(`${"{\"not\":".repeat(50_000)}{}${"}".repeat(50_000)}`)],
    ["too many subschemas", { anyOf: Array.from({ length: 10_001 }, () => ({})) }],
    ["too many nodes", { enum: Array.from({ length: 100_001 }, (_, index) => index) }]
  ])("refuses %s", (_, schema) => {
    assert.strictEqual(problemOf(schema)._tag, "TooComplex")
  })

  it("refuses a cyclic object", () => {
    const schema: { not?: unknown } = {}
    schema.not = schema
    assert.strictEqual(problemOf(schema)._tag, "TooComplex")
  })

  it("takes what is just within the limits", () => {
    assert.isTrue(Either.isRight(compile(nested(limits.depth, not, {}))))
    assert.isTrue(Either.isRight(compile({ anyOf: Array.from({ length: limits.subschemas - 1 }, () => ({})) })))
  })

  const doubled = (levels: number, leaf: unknown) => ({
    $ref: "#/$defs/d0",
    $defs: Object.fromEntries([
      ...Array.from({ length: levels }, (_, index) => [
        `d${index}`,
        { allOf: [{ $ref: `#/$defs/d${index + 1}` }, { $ref: `#/$defs/d${index + 1}` }] }
      ]),
      [`d${levels}`, leaf]
    ])
  })

  const wide = Object.fromEntries(Array.from({ length: 10_000 }, (_, index) => [`k${index}`, index]))

  it.each<[string, unknown, unknown]>([
    ["references that double at each level", doubled(40, {}), 1],
    ["the same, all failing", doubled(40, false), 1],
    ["a recursion that doubles in each level of the value", {
      additionalProperties: { allOf: [{ $ref: "#" }, { $ref: "#" }] }
    }, nested(60, (a) => ({ a }), {})],
    ["a long chain of references", {
      $ref: "#/$defs/d0",
      $defs: Object.fromEntries(
        Array.from({ length: 9_000 }, (_, i) => [`d${i}`, i === 8_999 ? {} : { $ref: `#/$defs/d${i + 1}` }])
      )
    }, 1],
    ["much that is required, often", {
      items: { required: Array.from({ length: 5_000 }, (_, index) => `k${index}`) }
    }, Array.from({ length: 5_000 }, () => ({}))],
    ["long messages", {
      items: { anyOf: [{ enum: ["x".repeat(1_000_000)] }, { enum: ["x".repeat(1_000_000)] }] }
    }, Array.from({ length: 5_000 }, () => 1)],
    ["many schemas for a wide object", {
      allOf: Array.from({ length: 9_000 }, () => ({ additionalProperties: true }))
    }, wide],
    ["many schemas that refuse a wide object", {
      anyOf: Array.from({ length: 9_000 }, () => ({ additionalProperties: false }))
    }, wide],
    ["long items to compare", { uniqueItems: true }, Array.from({ length: 1_025 }, (_, index) => [index])],
    ["many items to compare", { uniqueItems: true }, Array.from({ length: 10_001 }, (_, index) => index)]
  ])("ends and refuses the value: %s", (_, schema, value) => {
    const violations = check(schema, value)
    assert.isNotEmpty(violations)
    assert.isAtMost(violations.length, limits.violations)
  })

  it("starts counting anew for each value", () => {
    const validator = validatorOf(doubled(10, {}))
    for (let times = 0; times < 300; times++) assert.deepStrictEqual(validator(1), [])
  })

  it("compares long arrays of primitives", () => {
    const unique = Array.from({ length: 5_000 }, (_, index) => `id-${index}`)
    assert.deepStrictEqual(check({ uniqueItems: true }, unique), [])
    const [violation] = check({ uniqueItems: true }, [...unique, "id-7"])
    assert.strictEqual(violation?.schemaPath, "#/uniqueItems")
    const [refused] = check({ uniqueItems: true }, [...unique, []])
    assert.strictEqual(refused?.schemaPath, "#/uniqueItems")
    assert.isNotEmpty(check({ uniqueItems: true, unevaluatedItems: false }, unique))
  })

  it("takes a large value", () => {
    const row = { id: { type: "integer" }, name: { type: "string" }, tags: { items: { enum: ["a", "b"] } } }
    const schema = { items: { $ref: "#/$defs/row" }, $defs: { row: { properties: row, required: ["id"] } } }
    const value = Array.from({ length: 20_000 }, (_, id) => ({ id, name: `n${id}`, tags: ["a", "b"] }))
    // Of the limits only that of time depends on how busy the machine is.
    const clock = vi.spyOn(performance, "now").mockReturnValue(0)
    try {
      assert.deepStrictEqual(check(schema, value), [])
    } finally {
      clock.mockRestore()
    }
  })
})

describe("hostile values", () => {
  const anything = validatorOf({})
  it.each<[string, unknown]>([
    ["too deep", JSON.parse(`${"[".repeat(100_000)}${"]".repeat(100_000)}`)],
    ["too large", Array.from({ length: 1_000_001 }, () => 0)],
    ["undefined", undefined],
    ["a function", { a: () => 1 }],
    ["a bigint", [1n]],
    ["a name that is not well-formed", { "a\ud800": 1 }],
    ["a getter that fails", {
      get a(): never {
        throw new Error("no")
      }
    }]
  ])("refuses %s", (_, value) => {
    assert.lengthOf(anything(value), 1)
  })

  it("takes a value that is just deep enough", () => {
    assert.deepStrictEqual(anything(nested(limits.valueDepth - 1, (inner) => [inner], [])), [])
    const recursive = validatorOf({ type: "array", items: { $ref: "#" } })
    assert.deepStrictEqual(recursive(nested(limits.valueDepth - 1, (inner) => [inner], [])), [])
  })

  it("treats __proto__ and constructor as any other name", () => {
    const schema: unknown = JSON.parse(
      `{"properties":{"__proto__":{"type":"string"},"constructor":{"type":"string"}},"additionalProperties":false}`
    )
    const validator = validatorOf(schema)
    assert.deepStrictEqual(validator({}), [])
    assert.deepStrictEqual(validator(JSON.parse(`{"__proto__":"a","constructor":"b"}`)), [])
    assert.deepStrictEqual(validator(JSON.parse(`{"__proto__":1}`)).map(({ path }) => path), [["__proto__"]])
    assert.isNotEmpty(validator(JSON.parse(`{"constructor":{"prototype":{}}}`)))
    const required = validatorOf({ required: ["__proto__"] })
    assert.isNotEmpty(required({}))
    const closed = validatorOf({ unevaluatedProperties: false })
    assert.isNotEmpty(closed(JSON.parse(`{"__proto__":1}`)))
    const $ref = "#/$defs/__proto__"
    assert.isNotEmpty(check(JSON.parse(`{"$defs":{"__proto__":{"type":"string"}},"$ref":"${$ref}"}`), 1))
  })

  it("never throws, whatever the schema and the value", () => {
    const keywords = [
      "type",
      "properties",
      "items",
      "$ref",
      "$id",
      "enum",
      "anyOf",
      "not",
      "required",
      "pattern",
      "$defs"
    ]
    const { schema } = FastCheck.letrec((tie) => ({
      schema: FastCheck.oneof(
        { maxDepth: 5 },
        FastCheck.jsonValue({ maxDepth: 2 }),
        FastCheck.constantFrom("#", "#/$defs/a", "string", "object", true, false),
        FastCheck.array(tie("schema"), { maxLength: 3 }),
        FastCheck.dictionary(FastCheck.constantFrom(...keywords, "a"), tie("schema"), { maxKeys: 4 })
      )
    }))
    FastCheck.assert(
      FastCheck.property(schema, FastCheck.anything({ withNullPrototype: true }), (schema, value) => {
        const result = compile(schema)
        if (Either.isRight(result)) assert.isArray(result.right(value))
        assert.isArray(anything(value))
      }),
      { numRuns: 1_000 }
    )
  })
})
