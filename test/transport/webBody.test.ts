import type { StreamableHttpTransport } from "@effect-mcp/transport"
import { HttpExchange } from "@effect-mcp/transport"
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import * as WebBody from "../../packages/transport/src/internal/webBody.ts"
import { afterHandshake, answer, call, collect, connect, eventually, handshake } from "../support/harness.ts"
import { rawServer } from "../support/rawServer.ts"
import { soon } from "../support/sending.ts"

const request = HttpClientRequest.get("http://localhost/mcp")

const responseTo = (source: Response): HttpClientResponse.HttpClientResponse =>
  HttpClientResponse.fromWeb(request, source)

describe("a body of fetch", () => {
  it("is read by itself where the platform made the response", () => {
    const source = new Response("text")
    assert.isNotNull(source.body)
    assert.strictEqual(WebBody.of(responseTo(source)), source.body)
  })

  it("is left to the response where there is none, or somebody reads it", () => {
    assert.isUndefined(WebBody.of(responseTo(new Response(null, { status: 204 }))))
    const source = new Response("text")
    source.body?.getReader()
    assert.isUndefined(WebBody.of(responseTo(source)))
  })

  it("is left to a response that is not just the platform's", () => {
    const response = responseTo(new Response("text"))
    assert.isUndefined(WebBody.of(Object.create(response)))
    const own = responseTo(new Response("text"))
    Object.defineProperty(own, "stream", { value: Stream.empty })
    assert.isUndefined(WebBody.of(own))
    const other = responseTo(new Response("text"))
    Object.defineProperty(other, "source", { value: { body: new Response("text").body } })
    assert.isUndefined(WebBody.of(other))
  })

  it.effect("ends once, whatever comes after", () =>
    Effect.gen(function*() {
      const told: Array<string> = []
      const cancelled: Array<unknown> = []
      let push: (text: string) => void = () => {}
      const body = new ReadableStream<Uint8Array>({
        start: (controller) => {
          push = (text) => controller.enqueue(new TextEncoder().encode(text))
        },
        cancel: (reason) => {
          cancelled.push(reason)
        }
      })
      const reader = new WebBody.WebBodyReader(body, {
        onChunk: (chunk) => {
          told.push(new TextDecoder().decode(chunk))
        },
        onEnd: () => told.push("end"),
        onError: () => told.push("error")
      })
      const turn = Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
      reader.pull()
      reader.pull()
      push("a")
      push("b")
      yield* turn
      assert.deepStrictEqual(told, ["a"])
      reader.pull()
      yield* turn
      assert.deepStrictEqual(told, ["a", "b"])
      reader.pull()
      reader.cancel()
      reader.cancel()
      reader.pull()
      yield* turn
      assert.deepStrictEqual(told, ["a", "b"])
      assert.strictEqual(cancelled.length, 1)
    }))

  it.effect("what a handler throws is an error of the body, at a chunk and at the end", () =>
    Effect.gen(function*() {
      for (const at of ["onChunk", "onEnd"] as const) {
        const errors: Array<unknown> = []
        const body = new Response("text").body
        assert(body !== null)
        const reader: WebBody.WebBodyReader = new WebBody.WebBodyReader(body, {
          onChunk: () => reader.pull(),
          onEnd: () => {},
          onError: (cause) => errors.push(cause),
          [at]: () => {
            throw new Error(at)
          }
        })
        reader.pull()
        yield* soon(Effect.promise(async () => {
          while (errors.length === 0) await new Promise((resolve) => setImmediate(resolve))
        }))
        assert.deepStrictEqual(errors, [new Error(at)])
      }
    }))
})

describe("over fetch", () => {
  /** A transport over a client, and what its server answers. */
  const transportOver = (
    layer: Layer.Layer<HttpClient.HttpClient>,
    text: () => string,
    options?: Partial<StreamableHttpTransport.Options>
  ) =>
    Effect.gen(function*() {
      const server = yield* rawServer(afterHandshake(({ events }) => {
        const body = events()
        body.write(text())
        body.end()
      }))
      const transport = yield* connect({ name: "fetch", layer }, server, options)
      yield* handshake(transport)
      return { server, transport }
    })

  it.scopedLive("what a decorated client makes of a body is what counts", () =>
    Effect.gen(function*() {
      const decorated = Layer.effect(
        HttpClient.HttpClient,
        Effect.map(
          HttpClient.HttpClient,
          HttpClient.transformResponse(Effect.map((response): HttpClientResponse.HttpClientResponse =>
            Object.create(response, {
              stream: {
                get: () =>
                  Stream.map(
                    response.stream,
                    (bytes) =>
                      new TextEncoder().encode(new TextDecoder().decode(bytes).replaceAll("as sent", "as decorated"))
                  )
              }
            })
          ))
        )
      ).pipe(Layer.provide(FetchHttpClient.layer))
      const { transport } = yield* transportOver(
        decorated,
        () =>
          `data: ${JSON.stringify(answer(1, { text: "as sent" }))}\n\n`
      )
      assert.deepStrictEqual(yield* soon(collect(transport.send(call()))), [
        { jsonrpc: "2.0", id: 1, result: { text: "as decorated" } }
      ])
    }))

  it.scopedLive("a body that hears no signal is cancelled with its call", () =>
    Effect.gen(function*() {
      let cancelled = 0
      let isRead = false
      const fetchOf: typeof fetch = (input, init) => {
        const { body: sent } = init ?? {}
        const isCall = sent instanceof Uint8Array && new TextDecoder().decode(sent).includes("tools/call")
        if (!isCall) return fetch(input, init)
        const body = new ReadableStream<Uint8Array>({
          pull: (controller) => {
            if (!isRead) controller.enqueue(new TextEncoder().encode(": hello\n\n"))
            isRead = true
          },
          cancel: () => {
            cancelled++
          }
        })
        return Promise.resolve(new Response(body, { headers: { "content-type": "text/event-stream" } }))
      }
      const layer = Layer.provide(
        HttpExchange.layerHttpClient,
        FetchHttpClient.layer
      ).pipe(Layer.provideMerge(Layer.succeed(FetchHttpClient.Fetch, fetchOf)))
      const server = yield* rawServer(afterHandshake(({ status }) => status(500)))
      const context = yield* Layer.build(layer)
      const transport = yield* connect(
        { name: "fetch", layer: FetchHttpClient.layer, exchange: Layer.succeedContext(context) },
        server
      )
      yield* Effect.provide(handshake(transport), context)
      const fiber = yield* Effect.fork(Effect.provide(collect(transport.send(call())), context))
      yield* eventually(() => isRead)
      yield* soon(Fiber.interrupt(fiber))
      yield* eventually(() => cancelled === 1)
    }))
})
