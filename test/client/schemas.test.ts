/**
 * What holds for every schema of the protocol: wire shape, nothing lost, arbitraries that work, errors with a path.
 */
import * as Capability from "@effect-mcp/client/Capability"
import * as Content from "@effect-mcp/client/Content"
import * as Elicitation from "@effect-mcp/client/Elicitation"
import * as InputRequired from "@effect-mcp/client/InputRequired"
import * as Lifecycle from "@effect-mcp/client/Lifecycle"
import * as Logging from "@effect-mcp/client/Logging"
import * as Progress from "@effect-mcp/client/Progress"
import * as Resource from "@effect-mcp/client/Resource"
import * as Sampling from "@effect-mcp/client/Sampling"
import * as Tool from "@effect-mcp/client/Tool"
import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"
import * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"
import { expectTypeOf } from "vitest"
import { type AnySchema, broken, extended, schemas, unknownMembers } from "./schemaValues.ts"

const throughJson = (value: unknown): unknown => JSON.parse(JSON.stringify(value))

describe("all schemas", () => {
  it("are found", () => {
    const names = schemas.map(([name]) => name)
    for (
      const name of [
        "Content.ContentBlock",
        "Tool.CallToolResult",
        "Elicitation.ElicitParams",
        "InputRequired.InputRequiredResult"
      ]
    ) assert.include(names, name)
    assert.isAtLeast(names.length, 75)
  })

  describe.each(schemas)("%s", (name, schema) => {
    const decode = Schema.decodeUnknownSync(schema)
    const encode = Schema.encodeUnknownSync(schema)
    const is = Schema.is(schema)
    const values = Arbitrary.make(schema)

    it("decodes what it has encoded", () => {
      FastCheck.assert(FastCheck.property(values, (value) => {
        assert.isTrue(is(value))
        assert.deepStrictEqual(decode(encode(value)), value)
      }))
    })

    it("keeps everything that came as JSON, also unknown members at all levels", () => {
      FastCheck.assert(FastCheck.property(values, unknownMembers, (value, members) => {
        const wire = throughJson(extended(name, value, members))
        const decoded = decode(wire)
        assert.isTrue(is(decoded))
        assert.deepStrictEqual(decoded, wire)
        assert.deepStrictEqual(encode(decoded), wire)
        assert.deepStrictEqual(throughJson(decoded), wire)
      }))
    })

    it("holds for what it accepts, and never throws anything but a ParseError", () => {
      const decodeEither = Schema.decodeUnknownEither(schema)
      FastCheck.assert(FastCheck.property(broken(values.map(throughJson)), (value) => {
        const decoded = decodeEither(value)
        assert.strictEqual(is(value), Either.isRight(decoded))
        if (Either.isRight(decoded)) assert.deepStrictEqual(decoded.right, value)
        else assert.isNotEmpty(ParseResult.ArrayFormatter.formatErrorSync(decoded.left))
      }))
    })

    it("generates small values", () => {
      for (const value of FastCheck.sample(values, 50)) assert.isBelow(JSON.stringify(value).length, 40_000)
    })
  })
})

const block = { type: "text", text: "hello" }

describe("names that a sender chooses", () => {
  it("can be __proto__", () => {
    const kept = (schema: AnySchema, text: string) => {
      const wire: unknown = JSON.parse(text)
      const decoded = Schema.decodeUnknownSync(schema)(wire)
      assert.strictEqual(JSON.stringify(decoded), text)
      assert.strictEqual(JSON.stringify(Schema.encodeUnknownSync(schema)(decoded)), text)
    }
    const any = (schema: Schema.Schema.AnyNoContext): AnySchema => schema
    kept(any(Content.Meta), `{"__proto__":{"a":1}}`)
    kept(any(Elicitation.ElicitContent), `{"__proto__":"a","b":1}`)
    kept(
      any(Elicitation.FormParams),
      `{"message":"m","requestedSchema":{"type":"object","properties":{"__proto__":{"type":"string","default":"d"}}}}`
    )
    kept(any(Content.UnknownContent), `{"type":"new","__proto__":{"a":1}}`)
  })

  it("do not become members that nobody validated", () => {
    const wire = JSON.parse(`{"name":"t","inputSchema":{"type":"object"},"__proto__":{"title":5,"description":6}}`)
    const tool = Schema.decodeUnknownSync(Tool.Tool)(wire)
    assert.isUndefined(tool.title)
    assert.isUndefined(Schema.encodeSync(Tool.Tool)(tool).description)
    assert.strictEqual(Object.getPrototypeOf(tool), Object.prototype)
    assert.deepStrictEqual<unknown>(tool, wire)
    const nested = JSON.parse(`{"tools":{"__proto__":{"listChanged":"yes"}}}`)
    assert.isUndefined(Schema.decodeUnknownSync(Capability.ServerCapabilities)(nested).tools?.listChanged)
  })

  it("are own members in the defaults of a form", () => {
    const properties = JSON.parse(`{"__proto__":{"type":"string","default":"d"},"n":{"type":"number"}}`)
    const content = Elicitation.defaults(
      Schema.decodeUnknownSync(Elicitation.FormParams)({
        message: "m",
        requestedSchema: { type: "object", properties }
      })
    )
    assert.deepStrictEqual(Object.entries(content), [["__proto__", "d"]])
  })
})

describe("errors", () => {
  const cases: ReadonlyArray<readonly [Schema.Schema.AnyNoContext, unknown, ReadonlyArray<PropertyKey>]> = [
    [Tool.CallToolResult, {}, ["content"]],
    [Tool.CallToolResult, { content: "text" }, ["content"]],
    [Tool.CallToolResult, { content: [block, { type: "text" }] }, ["content", 1, "text"]],
    [Tool.CallToolResult, { content: [{ type: "image", data: "AA==" }] }, ["content", 0, "mimeType"]],
    [Tool.CallToolResult, { content: [{ text: "hello" }] }, ["content", 0, "type"]],
    [Tool.CallToolResult, { content: [{ type: 1 }] }, ["content", 0, "type"]],
    [Tool.CallToolResult, { content: ["hello"] }, ["content", 0]],
    [Tool.CallToolResult, { content: [[]] }, ["content", 0, "type"]],
    [Tool.CallToolResult, { content: [], isError: "no" }, ["isError"]],
    [Tool.CallToolResult, { content: [{ ...block, annotations: { audience: ["all"] } }] }, [
      "content",
      0,
      "annotations",
      "audience",
      0
    ]],
    [Tool.CallToolResult, { content: [{ type: "resource", resource: { uri: "a:b" } }] }, [
      "content",
      0,
      "resource",
      "text"
    ]],
    [Tool.CallToolResult, { content: [{ type: "resource", resource: { uri: "a:b", blob: 1 } }] }, [
      "content",
      0,
      "resource",
      "blob"
    ]],
    [Tool.Tool, { name: "a", inputSchema: { type: "array" } }, ["inputSchema", "type"]],
    [Tool.Tool, { name: "a" }, ["inputSchema"]],
    [Tool.Tool, { name: "a", inputSchema: { type: "object" }, outputSchema: true }, ["outputSchema"]],
    [Tool.Tool, { name: "a", inputSchema: { type: "object" }, execution: { taskSupport: "maybe" } }, [
      "execution",
      "taskSupport"
    ]],
    [Resource.ReadResourceResult, { contents: [{ text: "a" }] }, ["contents", 0, "uri"]],
    [Logging.LoggingMessage, { level: "error" }, ["data"]],
    [Logging.LoggingMessage, { level: "fatal", data: 1 }, ["level"]],
    [Progress.Progress, { progressToken: 1, progress: NaN }, ["progress"]],
    [Lifecycle.InitializeResult, { protocolVersion: "2025-11-25", capabilities: {}, serverInfo: { name: "a" } }, [
      "serverInfo",
      "version"
    ]],
    [Lifecycle.DiscoverResult, { supportedVersions: "2026-07-28", capabilities: {} }, ["supportedVersions"]],
    [Lifecycle.DiscoverResult, { supportedVersions: [], capabilities: { tools: { listChanged: 1 } } }, [
      "capabilities",
      "tools",
      "listChanged"
    ]],
    [Elicitation.ElicitParams, { mode: "url", message: "m" }, ["url"]],
    [Elicitation.ElicitParams, { mode: "voice", message: "m" }, ["mode"]],
    [Elicitation.ElicitParams, { message: "m" }, ["requestedSchema"]],
    [Elicitation.ElicitParams, {
      message: "m",
      requestedSchema: { type: "object", properties: { a: { type: "string", enum: "x" } } }
    }, ["requestedSchema", "properties", "a", "enum"]],
    [Elicitation.ElicitParams, {
      message: "m",
      requestedSchema: { type: "object", properties: { a: { type: "object" } } }
    }, ["requestedSchema", "properties", "a", "type"]],
    [Elicitation.ElicitResult, { action: "accept", content: { a: { b: 1 } } }, ["content", "a"]],
    [Sampling.CreateMessageParams, { messages: [{ role: "user", content: { type: "text" } }], maxTokens: 1 }, [
      "messages",
      0,
      "content",
      "text"
    ]],
    [
      Sampling.CreateMessageParams,
      { messages: [{ role: "user", content: [block, { type: "video" }] }], maxTokens: 1 },
      [
        "messages",
        0,
        "content",
        1,
        "type"
      ]
    ],
    [InputRequired.InputRequiredResult, { resultType: "input_required" }, []],
    [InputRequired.InputRequiredResult, {
      resultType: "input_required",
      inputRequests: { who: { method: "people/list" } }
    }, ["inputRequests", "who", "method"]],
    [InputRequired.InputRequiredResult, {
      resultType: "input_required",
      inputRequests: { who: { method: "elicitation/create", params: { mode: "url", message: 1, url: "a:b" } } }
    }, ["inputRequests", "who", "params", "message"]]
  ]

  it.each(cases)("%s %j", (schema, value, path) => {
    const decoded = Schema.decodeUnknownEither(schema)(value)
    if (Either.isRight(decoded)) return assert.fail("it was accepted")
    const [issue] = ParseResult.ArrayFormatter.formatErrorSync(decoded.left)
    // At least the beginning: for a member that can be one of several things, more can follow.
    assert.deepStrictEqual(issue?.path.slice(0, path.length), path)
  })

  it("are all there when all are wanted", () => {
    const decode = Schema.decodeUnknownEither(Elicitation.ElicitParams, { errors: "all" })
    const decoded = decode({
      message: 1,
      requestedSchema: { type: "object", properties: { a: { type: "x" }, b: { type: "number", minimum: "0" } } }
    })
    if (Either.isRight(decoded)) return assert.fail("it was accepted")
    const paths = ParseResult.ArrayFormatter.formatErrorSync(decoded.left).map(({ path }) => path.join("."))
    for (
      const path of [
        "message",
        "requestedSchema.properties.a.type",
        "requestedSchema.properties.b.minimum"
      ]
    ) assert.include(paths, path)
  })
})

describe("ContentBlock", () => {
  it("keeps a block of a new type next to the others", () => {
    const result = { content: [block, { type: "hologram", voxels: [1, 2] }, { type: "tool_use", id: "a" }] }
    const decoded = Schema.decodeUnknownSync(Tool.CallToolResult)(result)
    assert.deepStrictEqual<unknown>(decoded, result)
    assert.deepStrictEqual(decoded.content.map(Content.isUnknownContent), [false, true, true])
  })

  it("narrows by type", () => {
    const described = (block: Content.ContentBlock): string => {
      switch (block.type) {
        case "text":
          expectTypeOf(block).toEqualTypeOf<Content.TextContent>()
          return block.text
        case "image":
          expectTypeOf(block).toEqualTypeOf<Content.ImageContent>()
          return block.mimeType
        case "audio":
          expectTypeOf(block).toEqualTypeOf<Content.AudioContent>()
          return block.mimeType
        case "resource_link":
          expectTypeOf(block).toEqualTypeOf<Content.ResourceLink>()
          return block.uri
        case "resource":
          expectTypeOf(block).toEqualTypeOf<Content.EmbeddedResource>()
          return "text" in block.resource ? block.resource.text : block.resource.blob
        default:
          expectTypeOf(block).toEqualTypeOf<Content.UnknownContent>()
          return String(block.type)
      }
    }
    const blocks = Schema.decodeUnknownSync(Schema.Array(Content.ContentBlock))([
      block,
      { type: "image", data: "AA==", mimeType: "image/png" },
      { type: "audio", data: "AA==", mimeType: "audio/wav" },
      { type: "resource_link", uri: "a:b", name: "b" },
      { type: "resource", resource: { uri: "a:b", text: "content" } },
      { type: "hologram" }
    ])
    assert.deepStrictEqual(blocks.map(described), ["hello", "image/png", "audio/wav", "a:b", "content", "hologram"])
    const texts = blocks.filter((block) => block.type === "text")
    expectTypeOf(texts).toEqualTypeOf<Array<Content.TextContent>>()
    assert.deepStrictEqual(texts.map(({ text }) => text), ["hello"])
  })

  it("narrows by guard", () => {
    const block: Content.ContentBlock = { type: "text", text: "hello" }
    const known = (block: Content.ContentBlock) => {
      if (Content.isUnknownContent(block)) return undefined
      expectTypeOf(block).toEqualTypeOf<Exclude<Content.ContentBlock, Content.UnknownContent>>()
      return block
    }
    assert.strictEqual(known(block), block)
  })
})

describe("PrimitiveSchema", () => {
  it("narrows by its members", () => {
    const described = (field: Elicitation.PrimitiveSchema): string => {
      switch (field.type) {
        case "array":
          return field.items.anyOf === undefined
            ? field.items.enum.join()
            : field.items.anyOf.map(({ title }) => title).join()
        case "string":
          if (field.enum !== undefined) return field.enum.join()
          if (field.oneOf !== undefined) return field.oneOf.map(({ title }) => title).join()
          expectTypeOf(field).toEqualTypeOf<Elicitation.StringSchema>()
          return "text"
        default:
          return field.type
      }
    }
    const options = [{ const: "r", title: "Red" }, { const: "g", title: "Green" }]
    const fields = Schema.decodeUnknownSync(Schema.Array(Elicitation.PrimitiveSchema))([
      { type: "string", format: "uuid" },
      { type: "string", enum: ["r", "g"] },
      { type: "string", enum: ["r", "g"], enumNames: ["Red", "Green"] },
      { type: "string", oneOf: options },
      { type: "array", items: { type: "string", enum: ["r", "g"] } },
      { type: "array", items: { anyOf: options } },
      { type: "integer" },
      { type: "boolean" }
    ])
    assert.deepStrictEqual(fields.map(described), [
      "text",
      "r,g",
      "r,g",
      "Red,Green",
      "r,g",
      "Red,Green",
      "integer",
      "boolean"
    ])
  })
})

describe("versions", () => {
  it("belong to an era", () => {
    assert.deepStrictEqual(
      (["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28"] as const).map(Lifecycle.eraOf),
      ["Legacy", "Legacy", "Legacy", "Legacy", "Modern"]
    )
    assert.strictEqual(Lifecycle.eraOf(Lifecycle.latestLegacy), "Legacy")
    assert.strictEqual(Lifecycle.eraOf(Lifecycle.latestModern), "Modern")
    assert.isFalse(Schema.is(Lifecycle.ProtocolVersion)("2026-01-01"))
  })
})

describe("levels", () => {
  it("are ordered", () => {
    Logging.levels.forEach((level, index) => {
      assert.isTrue(Schema.is(Logging.LoggingLevel)(level))
      Logging.levels.forEach((minimum, other) => assert.strictEqual(Logging.isAtLeast(level, minimum), index >= other))
    })
  })
})
