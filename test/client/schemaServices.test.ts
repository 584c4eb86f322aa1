/**
 * The services with which an application answers what servers ask for.
 */
import * as Elicitation from "@effect-mcp/client/Elicitation"
import * as RequestRejected from "@effect-mcp/client/RequestRejected"
import * as Roots from "@effect-mcp/client/Roots"
import * as Sampling from "@effect-mcp/client/Sampling"
import { assert, describe, it } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { expectTypeOf } from "vitest"

class Model extends Context.Tag("test/Model")<Model, { readonly name: string }>() {}

const ModelLive = Layer.succeed(Model, { name: "example" })

const params: Sampling.CreateMessageParams = {
  messages: [{ role: "user", content: { type: "text", text: "hello" } }],
  maxTokens: 1
}

const form: Elicitation.FormParams = {
  message: "Who are you?",
  requestedSchema: {
    type: "object",
    properties: {
      name: { type: "string", default: "octocat" },
      age: { type: "integer", default: 0 },
      isNew: { type: "boolean", default: false },
      color: { type: "string", enum: ["red", "green"], default: "green" },
      shape: { type: "string", oneOf: [{ const: "o", title: "Circle" }], default: "o" },
      sizes: { type: "array", items: { type: "string", enum: ["s", "m"] }, default: ["s"] },
      email: { type: "string", format: "email" }
    },
    required: ["email"]
  }
}

describe("Sampling", () => {
  const answer = Model.pipe(Effect.map(({ name }): Sampling.CreateMessageResult => ({
    role: "assistant",
    content: { type: "text", text: "hi" },
    model: name
  })))

  it.effect("takes what createMessage requires from where the layer is built", () =>
    Effect.gen(function*() {
      const layer = Sampling.layer({ createMessage: () => answer, capabilities: { tools: true } })
      expectTypeOf(layer).toEqualTypeOf<Layer.Layer<Sampling.Sampling, never, Model>>()
      const { capabilities, createMessage } = yield* Effect.provide(Sampling.Sampling, Layer.provide(layer, ModelLive))
      expectTypeOf(createMessage).returns.toEqualTypeOf<
        Effect.Effect<Sampling.CreateMessageResult, RequestRejected.RequestRejected>
      >()
      assert.strictEqual((yield* createMessage(params)).model, "example")
      assert.deepStrictEqual(capabilities, { tools: true })
      // Another one where it is called does not matter.
      const other = createMessage(params).pipe(Effect.provideService(Model, { name: "other" }))
      assert.strictEqual((yield* other).model, "example")
    }))

  it.effect("requires nothing if createMessage requires nothing", () =>
    Effect.gen(function*() {
      const layer = Sampling.layer({ createMessage: () => RequestRejected.make({ code: -1, message: "no" }) })
      expectTypeOf(layer).toEqualTypeOf<Layer.Layer<Sampling.Sampling>>()
      const { createMessage } = yield* Effect.provide(Sampling.Sampling, layer)
      const rejected = yield* Effect.flip(createMessage(params))
      assert.strictEqual(rejected.code, -1)
    }))

  it.effect("belongs to the span of the caller", () =>
    Effect.gen(function*() {
      const name = Effect.currentSpan.pipe(
        Effect.map((span) => span.name),
        Effect.orElseSucceed(() => "none")
      )
      const createMessage = () =>
        Effect.zipWith(name, answer, (model, result): Sampling.CreateMessageResult => ({ ...result, model }))
      const layer = Layer.provide(Sampling.layer({ createMessage }), ModelLive)
      const service = yield* Effect.provide(Sampling.Sampling, layer).pipe(Effect.withSpan("build"))
      const result = yield* service.createMessage(params).pipe(Effect.withSpan("call"))
      assert.strictEqual(result.model, "call")
      assert.strictEqual((yield* service.createMessage(params)).model, "none")
    }))
})

describe("Elicitation", () => {
  it.effect("has what was given, and only that", () =>
    Effect.gen(function*() {
      const layer = Elicitation.layer({
        form: (params) => Model.pipe(Effect.map(({ name }) => Elicitation.accept({ name, message: params.message })))
      })
      expectTypeOf(layer).toEqualTypeOf<Layer.Layer<Elicitation.Elicitation, never, Model>>()
      const service = yield* Effect.provide(Elicitation.Elicitation, Layer.provide(layer, ModelLive))
      assert.isUndefined(service.url)
      assert.isUndefined(service.onComplete)
      assert.deepStrictEqual(yield* service.form?.(form) ?? Effect.fail("no form"), {
        action: "accept",
        content: { name: "example", message: "Who are you?" }
      })
    }))

  it.effect("can be pages only, with completion", () =>
    Effect.gen(function*() {
      const completed: Array<string> = []
      const layer = Elicitation.layer({
        url: ({ url }) => Effect.succeed(url.startsWith("https:") ? Elicitation.accept() : Elicitation.decline),
        onComplete: (id) => Effect.sync(() => void completed.push(id))
      })
      const service = yield* Effect.provide(Elicitation.Elicitation, layer)
      assert.isUndefined(service.form)
      const open = (url: string) => service.url?.({ mode: "url", message: "m", url }) ?? Effect.fail("no url")
      assert.deepStrictEqual(yield* open("https://example.com"), { action: "accept" })
      assert.deepStrictEqual(yield* open("http://example.com"), { action: "decline" })
      yield* service.onComplete?.("id") ?? Effect.fail("no onComplete")
      assert.deepStrictEqual(completed, ["id"])
    }))

  it("needs form or url", () => {
    type Options = Parameters<typeof Elicitation.layer>[0]
    type OnComplete = { readonly onComplete: (id: string) => Effect.Effect<void> }
    type Url = { readonly url: (params: Elicitation.UrlParams) => Effect.Effect<Elicitation.ElicitResult> }
    expectTypeOf<OnComplete>().not.toExtend<Options>()
    expectTypeOf<OnComplete & { readonly form: undefined }>().not.toExtend<Options>()
    expectTypeOf<Url>().toExtend<Options>()
    expectTypeOf<OnComplete & Url>().toExtend<Options>()
  })

  it("takes the defaults of a form", () => {
    assert.deepStrictEqual(Elicitation.defaults(form), {
      name: "octocat",
      age: 0,
      isNew: false,
      color: "green",
      shape: "o",
      sizes: ["s"]
    })
  })

  it("makes results that are right", () => {
    const is = Schema.is(Elicitation.ElicitResult)
    const results = [Elicitation.accept(), Elicitation.accept({ a: ["b"] }), Elicitation.decline, Elicitation.cancel]
    assert.isTrue(results.every((result) => is(result)))
    assert.deepStrictEqual(results.map(({ action }) => action), ["accept", "accept", "decline", "cancel"])
  })
})

describe("Roots", () => {
  const root: Roots.Root = { uri: "file:///home/user/project" }

  it.effect("can change", () =>
    Effect.gen(function*() {
      const layer = Roots.layer({
        list: Model.pipe(Effect.map(({ name }) => [{ ...root, name }])),
        changes: Stream.fromEffect(Effect.asVoid(Model))
      })
      expectTypeOf(layer).toEqualTypeOf<Layer.Layer<Roots.Roots, never, Model>>()
      const { changes, list } = yield* Effect.provide(Roots.Roots, Layer.provide(layer, ModelLive))
      assert.deepStrictEqual(yield* list, [{ ...root, name: "example" }])
      assert.strictEqual(Chunk.size(yield* Stream.runCollect(changes ?? Stream.empty)), 1)
    }))

  it.effect("can stay the same", () =>
    Effect.gen(function*() {
      const { changes, list } = yield* Effect.provide(Roots.Roots, Roots.layerConst([root]))
      assert.deepStrictEqual(yield* list, [root])
      assert.isUndefined(changes)
    }))
})

describe("RequestRejected", () => {
  it("has a code, which is that of an internal error unless said otherwise", () => {
    assert.strictEqual(RequestRejected.make({ message: "no" }).code, -32603)
    assert.strictEqual(new RequestRejected.RequestRejected({ message: "no" }).code, -32603)
    assert.strictEqual(RequestRejected.make({ message: "no", code: -1 }).code, -1)
    assert.throws(() => RequestRejected.make({ message: "no", code: 1.5 }))
  })

  it("can be passed on", () => {
    const rejected = RequestRejected.make({ message: "no", code: -1, data: { why: ["a"] } })
    const encoded: unknown = JSON.parse(JSON.stringify(Schema.encodeSync(RequestRejected.RequestRejected)(rejected)))
    assert.deepStrictEqual(encoded, { _tag: "RequestRejected", code: -1, message: "no", data: { why: ["a"] } })
    const decoded = Schema.decodeUnknownSync(RequestRejected.RequestRejected)(encoded)
    assert.instanceOf(decoded, RequestRejected.RequestRejected)
    assert.strictEqual(decoded.message, "no")
    assert.deepStrictEqual(decoded.data, { why: ["a"] })
  })

  it.effect("is an error that can be caught by its tag", () =>
    RequestRejected.make({ message: "no" }).pipe(
      Effect.catchTag("RequestRejected", (rejected) => Effect.succeed(rejected.message)),
      Effect.map((message) => assert.strictEqual(message, "no"))
    ))
})
