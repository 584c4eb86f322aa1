/**
 * Reads a body that is not a stream of events: a JSON answer, or what came with an error status.
 */
import * as Effect from "effect/Effect"
import type * as HttpExchange from "../HttpExchange.ts"
import { race } from "./race.ts"
import { sleep } from "./sleep.ts"
import { ChunkDecoder } from "./utf8.ts"

export type Body =
  | { readonly _tag: "Complete"; readonly text: string }
  | { readonly _tag: "TooLarge" }
  | { readonly _tag: "Broken"; readonly cause: unknown }

export interface BodyHandler {
  readonly onActivity: () => void
  /** Called once. */
  readonly onBody: (body: Body) => void
}

/** Bytes from which on a chunk is decoded by itself; smaller ones are first gathered. */
const largeChunk = 4 * 1024

/** How many bytes of small chunks are gathered: many small texts would take several times the memory of a few large ones. */
const mostGathered = 16 * 1024

/** Collects a body up to a limit in bytes; what is over it is never buffered. */
export class BodyCollector implements HttpExchange.Sink {
  private size = 0
  private settled = false
  // Most bodies are one chunk. It is decoded when it is known not to be.
  private only: Uint8Array | undefined
  private parts: TextParts | undefined

  private readonly response: HttpExchange.Response
  private readonly limit: number
  private readonly handler: BodyHandler

  constructor(response: HttpExchange.Response, limit: number, handler: BodyHandler) {
    this.response = response
    this.limit = limit
    this.handler = handler
  }

  start(): void {
    const length = Number(this.response.headers["content-length"])
    const encoding = this.response.headers["content-encoding"]
    if (length > this.limit && (encoding === undefined || encoding === "identity")) return this.tooLarge()
    this.response.read(this)
  }

  /** What came so far. */
  get text(): string {
    if (this.parts !== undefined) return withoutMark(this.parts.text)
    return this.only === undefined ? "" : decoder.decode(this.only)
  }

  onChunk(chunk: Uint8Array): void {
    if (this.settled) return
    this.handler.onActivity()
    this.size += chunk.length
    if (this.size > this.limit) this.tooLarge()
    else this.keep(chunk)
  }

  onEnd(): void {
    this.settle({ _tag: "Complete", text: this.text })
  }

  onError(cause: unknown): void {
    this.settle({ _tag: "Broken", cause })
  }

  private keep(chunk: Uint8Array): void {
    if (this.size === chunk.length) {
      this.only = chunk
      return
    }
    this.parts ??= new TextParts()
    if (this.only !== undefined) this.parts.add(this.only)
    this.only = undefined
    this.parts.add(chunk)
  }

  private tooLarge(): void {
    this.response.close()
    this.settle({ _tag: "TooLarge" })
  }

  private settle(body: Body): void {
    if (this.settled) return
    this.settled = true
    this.handler.onBody(body)
  }
}

/**
 * A text in the making. It is put together as text and not as bytes: memory outside of the heap, twice the body of it, makes
 * V8 collect the whole heap every few bodies.
 */
class TextParts {
  private decoded = ""
  private readonly decoder = new ChunkDecoder()
  // Small chunks, copied: a chunk may be a view of far more memory than it shows.
  private gathered: Uint8Array | undefined
  private used = 0

  add(chunk: Uint8Array): void {
    if (chunk.length >= largeChunk) {
      this.decodeGathered()
      this.decoded += this.decoder.decode(chunk)
      return
    }
    if (this.used + chunk.length > mostGathered) this.decodeGathered()
    const gathered = this.roomFor(this.used + chunk.length)
    gathered.set(chunk, this.used)
    this.used += chunk.length
  }

  /** Nothing is added after it. */
  get text(): string {
    this.decodeGathered()
    this.gathered = undefined
    this.decoded += this.decoder.end()
    return this.decoded
  }

  private roomFor(size: number): Uint8Array {
    const { gathered } = this
    if (gathered !== undefined && gathered.length >= size) return gathered
    const roomier = new Uint8Array(Math.min(mostGathered, Math.max(256, 2 * size)))
    if (gathered !== undefined) roomier.set(gathered.subarray(0, this.used))
    return this.gathered = roomier
  }

  private decodeGathered(): void {
    if (this.gathered === undefined || this.used === 0) return
    this.decoded += this.decoder.decode(this.gathered.subarray(0, this.used))
    this.used = 0
  }
}

/** Without a byte order mark, which RFC 8259 section 8.1 lets a parser ignore. */
const withoutMark = (text: string): string => text.charCodeAt(0) === 0xfeff ? text.slice(1) : text

const decoder = new TextDecoder()

/** What came of a body until it ended, broke, reached the limit or took too long. Never fails. */
export const readText = (response: HttpExchange.Response, limit: number, millis: number): Effect.Effect<string> =>
  Effect.suspend(() => {
    let collector: BodyCollector | undefined
    const whole = Effect.async<void>((resume) => {
      collector = new BodyCollector(response, limit, { onActivity: () => {}, onBody: () => resume(Effect.void) })
      collector.start()
    })
    return race(whole, sleep(millis)).pipe(
      Effect.ensuring(Effect.sync(() => response.close())),
      Effect.map(() => collector?.text ?? "")
    )
  })
