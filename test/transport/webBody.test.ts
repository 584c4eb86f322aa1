import type { StreamableHttpTransport } from "@effect-mcp/transport"
import { HttpExchange } from "@effect-mcp/transport"
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as Headers from "@effect/platform/Headers"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { Readable } from "node:stream"
import * as WebBody from "../../packages/transport/src/internal/webBody.ts"
import { afterHandshake, answer, call, collect, connect, eventually, handshake } from "../support/harness.ts"
import { rawServer } from "../support/rawServer.ts"
import { collectGarbage } from "../support/retention.ts"
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
    assert.isUndefined(WebBody.of(new Proxy(response, {})))
    const own = responseTo(new Response("text"))
    Object.defineProperty(own, "stream", { value: Stream.empty })
    assert.isUndefined(WebBody.of(own))
    const other = responseTo(new Response("text"))
    Object.defineProperty(other, "source", { value: { body: new Response("text").body } })
    assert.isUndefined(WebBody.of(other))
  })

  it("is left to the response where it is no stream of the web, as that of other fetches", () => {
    for (const body of [undefined, {}, { locked: false }, Readable.from(["text"])]) {
      const source = new Response("text")
      Object.defineProperty(source, "body", { value: body })
      assert.isUndefined(WebBody.of(responseTo(source)))
    }
  })
})

/** A body whose chunks are given by hand, and what is done to it. */
const byHand = () => {
  const body = new ReadableStream<Uint8Array>()
  const done: Array<string> = []
  let settle: { readonly resolve: (chunk: string | undefined) => void; readonly reject: (cause: unknown) => void }
  const reader = {
    read: () => {
      done.push("read")
      return new Promise((resolve, reject) => {
        settle = {
          resolve: (chunk) =>
            resolve(
              chunk === undefined ? { done: true } : { done: false, value: new TextEncoder().encode(chunk) }
            ),
          reject
        }
      })
    },
    cancel: () => {
      done.push("cancel")
      return Promise.reject(new Error("it is broken"))
    }
  }
  Object.defineProperty(body, "getReader", { value: () => reader })
  Object.defineProperty(body, "cancel", { value: reader.cancel })
  return {
    body,
    done,
    give: (chunk: string | undefined) => settle.resolve(chunk),
    break: (cause: unknown) => settle.reject(cause)
  }
}

const turn = Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))

/** What a reader tells; a handler may be made to throw. */
const listening = (body: WebBody.WebBody, more: Partial<WebBody.WebBodyHandler> = {}) => {
  const told: Array<unknown> = []
  const reader = new WebBody.WebBodyReader(body, {
    onChunk: (chunk) => {
      told.push(new TextDecoder().decode(chunk))
    },
    onEnd: () => {
      told.push("end")
    },
    onError: (cause) => {
      told.push(cause)
    },
    ...more
  })
  return { reader, told }
}

describe("the reader of a body", () => {
  it.effect("reads one chunk for each pull, and only then", () =>
    Effect.gen(function*() {
      const hand = byHand()
      const { reader, told } = listening(hand.body)
      assert.deepStrictEqual(hand.done, [])
      reader.pull()
      reader.pull()
      hand.give("a")
      yield* turn
      assert.deepStrictEqual([told, hand.done], [["a"], ["read"]])
      reader.pull()
      hand.give("b")
      yield* turn
      assert.deepStrictEqual([told, hand.done], [["a", "b"], ["read", "read"]])
    }))

  it.effect("ends once: nothing is read, cancelled or told after the end", () =>
    Effect.gen(function*() {
      const hand = byHand()
      const { reader, told } = listening(hand.body)
      reader.pull()
      hand.give(undefined)
      yield* turn
      reader.pull()
      reader.cancel()
      yield* turn
      assert.deepStrictEqual([told, hand.done], [["end"], ["read"]])
    }))

  it.effect("ends once: nor after it broke", () =>
    Effect.gen(function*() {
      const hand = byHand()
      const { reader, told } = listening(hand.body)
      reader.pull()
      hand.break("broke")
      yield* turn
      reader.pull()
      reader.cancel()
      yield* turn
      assert.deepStrictEqual([told, hand.done], [["broke"], ["read"]])
    }))

  it.effect("tells nothing once it is cancelled, whatever the source does, and that it cannot be is no failure", () =>
    Effect.gen(function*() {
      for (const late of ["give", "end", "break"] as const) {
        const hand = byHand()
        const { reader, told } = listening(hand.body)
        reader.pull()
        reader.cancel()
        reader.cancel()
        reader.pull()
        if (late === "break") hand.break("broke")
        else hand.give(late === "end" ? undefined : "a")
        yield* turn
        assert.deepStrictEqual([told, hand.done], [[], ["read", "cancel"]], late)
      }
    }))

  it.effect("cancels a body that it has not begun", () =>
    Effect.gen(function*() {
      const hand = byHand()
      const { reader, told } = listening(hand.body)
      reader.cancel()
      reader.pull()
      yield* turn
      assert.deepStrictEqual([told, hand.done], [[], ["cancel"]])
    }))

  it.effect("a body that somebody else has begun meanwhile is broken", () =>
    Effect.gen(function*() {
      const body = new ReadableStream<Uint8Array>()
      const { reader, told } = listening(body)
      body.getReader()
      reader.pull()
      yield* turn
      assert.strictEqual(told.length, 1)
      assert.instanceOf(told[0], TypeError)
      const { reader: late, told: nothing } = listening(body)
      late.cancel()
      yield* turn
      assert.deepStrictEqual(nothing, [])
    }))

  it.effect("what takes a chunk and throws breaks the body, and its source is told", () =>
    Effect.gen(function*() {
      const hand = byHand()
      const defect = new Error("defect")
      const { reader, told } = listening(hand.body, {
        onChunk: () => {
          throw defect
        }
      })
      reader.pull()
      hand.give("a")
      yield* turn
      reader.pull()
      assert.deepStrictEqual([told, hand.done], [[defect], ["read", "cancel"]])
    }))
})

describe("an exchange over fetch", () => {
  /** One exchange with what a fetch answers; everything in it ends with the scope. */
  const exchangeWith = (source: () => Response) =>
    Effect.gen(function*() {
      const context = yield* Layer.build(
        HttpExchange.layerHttpClient.pipe(
          Layer.provide(FetchHttpClient.layer),
          Layer.provideMerge(Layer.succeed(FetchHttpClient.Fetch, () => Promise.resolve(source())))
        )
      )
      return yield* Effect.flatMap(
        HttpExchange.HttpExchange,
        ({ open }) => open({ method: "POST", url: new URL("http://localhost/mcp"), headers: Headers.empty, body: "{}" })
      ).pipe(Effect.provide(context))
    })

  const ofChunks = (...chunks: ReadonlyArray<string>): Response =>
    new Response(
      new ReadableStream<Uint8Array>({
        start: (controller) => {
          for (const chunk of chunks) controller.enqueue(new TextEncoder().encode(chunk))
          controller.close()
        }
      })
    )

  const sinkWith = (more: Partial<HttpExchange.Sink>): HttpExchange.Sink => ({
    onChunk: () => {},
    onEnd: () => {},
    onError: () => {},
    ...more
  })

  it.live("ends, and its scope with it, when its sink throws or its body is not fit to read", () =>
    Effect.gen(function*() {
      const throwing = (): never => {
        throw new Error("defect")
      }
      const broken = () => new Response(new ReadableStream({ start: (controller) => controller.error("broke") }))
      const ways: ReadonlyArray<readonly [Partial<HttpExchange.Sink>, () => Response]> = [
        [{ onChunk: throwing }, () => ofChunks("a", "b")],
        [{ onChunk: throwing, onError: throwing }, () => ofChunks("a", "b")],
        [{ onEnd: throwing }, () => ofChunks("a")],
        [{ onError: throwing }, broken],
        // Compressed all the same, which ends it from within.
        [{}, () => new Response(Uint8Array.of(0x1f, 0x8b, 8), { headers: { "content-encoding": "gzip" } })]
      ]
      for (const [more, source] of ways) {
        yield* soon(Effect.scoped(Effect.gen(function*() {
          const response = yield* exchangeWith(source)
          response.read(sinkWith(more))
          yield* turn
        })))
      }
    }))

  it.live("keeps nothing of a body that has ended", () =>
    Effect.scoped(Effect.gen(function*() {
      let body: WeakRef<object> | undefined
      const response = yield* exchangeWith(() => {
        const source = ofChunks("a")
        body = new WeakRef(source.body ?? {})
        return source
      })
      yield* soon(Effect.async<void>((resume) => response.read(sinkWith({ onEnd: () => resume(Effect.void) }))))
      yield* turn
      collectGarbage()
      assert.isTrue(body !== undefined && body.deref() === undefined)
      assert.strictEqual(response.status, 200)
    })))

  it.live("does not touch a body before it is read", () =>
    Effect.scoped(Effect.gen(function*() {
      const source = ofChunks("a")
      const response = yield* exchangeWith(() => source)
      yield* turn
      assert.isFalse(source.body?.locked)
      const chunks: Array<string> = []
      yield* soon(Effect.async<void>((resume) =>
        response.read(sinkWith({
          onChunk: (chunk) => {
            chunks.push(new TextDecoder().decode(chunk))
          },
          onEnd: () => resume(Effect.void)
        }))
      ))
      assert.deepStrictEqual(chunks, ["a"])
    })))
})

describe("a transport over fetch", () => {
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
