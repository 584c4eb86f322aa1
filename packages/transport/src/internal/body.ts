/**
 * Reads a body that is not a stream of events: a JSON answer, or what came with an error status.
 */
import * as Effect from "effect/Effect"
import type * as HttpExchange from "../HttpExchange.ts"
import { race } from "./race.ts"
import { sleep } from "./sleep.ts"

export type Body =
  | { readonly _tag: "Complete"; readonly text: string }
  | { readonly _tag: "TooLarge" }
  | { readonly _tag: "Broken"; readonly cause: unknown }

export interface BodyHandler {
  readonly onActivity: () => void
  /** Called once. */
  readonly onBody: (body: Body) => void
}

const noBytes = new Uint8Array(0)

/** Collects a body up to a limit in bytes; what is over it is never buffered. */
export class BodyCollector implements HttpExchange.Sink {
  private size = 0
  private kept = 0
  // The only chunk of a small body as it came; of others a copy, as a chunk is larger than the bytes it shows.
  private bytes: Uint8Array = noBytes
  private isBorrowed = true
  private settled = false
  /** How many bytes the response announced, if it did. */
  private announced = 0

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
    if (length > 0) this.announced = length
    this.response.read(this)
  }

  /** What came so far. */
  get text(): string {
    return decoder.decode(this.kept === this.bytes.length ? this.bytes : this.bytes.subarray(0, this.kept))
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
    if (this.kept === 0) {
      this.bytes = chunk
    } else {
      if (this.size > this.bytes.length || this.isBorrowed) this.grow()
      this.bytes.set(chunk, this.kept)
    }
    this.kept = this.size
  }

  /**
   * Room for twice as much, so that many small chunks cost no more than a few large ones; or at once for what was announced,
   * if that is not far more than what has come.
   */
  private grow(): void {
    const room = this.announced >= this.size && this.announced <= 16 * this.size ? this.announced : 2 * this.size
    const roomier = new Uint8Array(room)
    roomier.set(this.bytes.subarray(0, this.kept))
    this.bytes = roomier
    this.isBorrowed = false
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

/** Whole texts only: decoding piece by piece costs a converter for each body, and several times as much. */
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
