import type { HttpExchange } from "@effect-mcp/transport"
import * as Headers from "@effect/platform/Headers"
import { assert, describe, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import { type Body, BodyCollector } from "../../packages/transport/src/internal/body.ts"
import { ChunkDecoder } from "../../packages/transport/src/internal/utf8.ts"

const whole = (bytes: Uint8Array, ignoreBOM: boolean): string => new TextDecoder("utf-8", { ignoreBOM }).decode(bytes)

/** Text of all lengths of characters, half of it with bytes that are none. */
const bytes = FastCheck.array(
  FastCheck.oneof(
    FastCheck.string().map((text) => new TextEncoder().encode(text)),
    FastCheck.constantFrom("\ufeff", "\u00e9", "\u20ac", "\u{1f600}").map((text) => new TextEncoder().encode(text)),
    FastCheck.nat(9_000).map((length) => new Uint8Array(length).fill(0x61)),
    FastCheck.nat(3_000).map((count) => new TextEncoder().encode("\u20ac".repeat(count))),
    FastCheck.uint8Array({ maxLength: 8 })
  ),
  { maxLength: 12 }
).map((parts) => new Uint8Array(Buffer.concat(parts)))

/** Cut into chunks of some of these lengths, in turn; empty chunks among them. */
const cuts = FastCheck.array(
  FastCheck.oneof(FastCheck.nat(5), FastCheck.nat(2_000), FastCheck.nat(20_000)),
  { minLength: 1, maxLength: 6 }
).filter((lengths) => lengths.some((length) => length > 0))

const cut = (bytes: Uint8Array, lengths: ReadonlyArray<number>): ReadonlyArray<Uint8Array> => {
  const chunks: Array<Uint8Array> = []
  for (let at = 0, n = 0; at < bytes.length; n++) {
    const length = lengths[n % lengths.length] ?? 1
    chunks.push(bytes.subarray(at, at + length))
    at += length
  }
  return chunks
}

describe("S54: UTF-8 in chunks", () => {
  it("S54: any bytes, wherever they are cut, are the text that they are as a whole", () => {
    FastCheck.assert(FastCheck.property(bytes, cuts, (bytes, lengths) => {
      const decoder = new ChunkDecoder()
      const text = cut(bytes, lengths).map((chunk) => decoder.decode(chunk)).join("") + decoder.end()
      assert.strictEqual(text, whole(bytes, true))
    }))
  })

  it("tells whether a chunk was ASCII, also after one that was not and after a cut inside a character", () => {
    const decoder = new ChunkDecoder()
    const isAscii = (chunk: string | ReadonlyArray<number>): boolean => {
      decoder.decode(typeof chunk === "string" ? new TextEncoder().encode(chunk) : Uint8Array.from(chunk))
      return decoder.isAscii
    }
    assert.isTrue(isAscii("a"))
    assert.isFalse(isAscii("\u20aca".repeat(1_000)))
    assert.isTrue(isAscii("a".repeat(5_000)))
    assert.isFalse(isAscii([0x61, 0xe2, 0x82]))
    assert.isFalse(isAscii([0xac, 0x61]))
    assert.isTrue(isAscii("a"))
  })
})

/** What a collector makes of chunks. */
const collected = (chunks: ReadonlyArray<Uint8Array>, limit: number): ReadonlyArray<Body> => {
  const bodies: Array<Body> = []
  let isClosed = false
  const response: HttpExchange.Response = {
    status: 200,
    headers: Headers.empty,
    read: (sink) => {
      for (const chunk of chunks) if (!isClosed) sink.onChunk(chunk)
      if (!isClosed) sink.onEnd()
    },
    pause: () => {},
    resume: () => {},
    close: () => {
      isClosed = true
    }
  }
  new BodyCollector(response, limit, { onActivity: () => {}, onBody: (body) => bodies.push(body) }).start()
  return bodies
}

describe("S45: a body in chunks", () => {
  it("S45: is the same text as in one piece, without its byte order mark, wherever it is cut", () => {
    FastCheck.assert(FastCheck.property(bytes, cuts, (bytes, lengths) => {
      assert.deepStrictEqual(collected(cut(bytes, lengths), bytes.length), [
        { _tag: "Complete", text: whole(bytes, false) }
      ])
    }))
  })

  it("S45: is too large from the first byte over the limit", () => {
    FastCheck.assert(FastCheck.property(bytes.filter(({ length }) => length > 0), cuts, (bytes, lengths) => {
      assert.deepStrictEqual(collected(cut(bytes, lengths), bytes.length - 1), [{ _tag: "TooLarge" }])
    }))
  })
})
