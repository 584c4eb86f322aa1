/**
 * One exchange on undici's dispatcher: it is the handler of the request and the response of the seam at the same time, so
 * that nothing stands between a socket and the sink.
 */
import * as HttpExchange from "@effect-mcp/transport/HttpExchange"
import * as Headers from "@effect/platform/Headers"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { Dispatcher } from "undici"
import { LiveSet } from "./liveSet.ts"

type Head = Exit.Exit<HttpExchange.Response, HttpExchange.ExchangeError>

/** How many bytes may come before somebody reads. */
const highWaterMark = 64 * 1024

const aborted = new Error("the exchange was closed")

const closed: Head = Exit.fail(new HttpExchange.ExchangeError({ sent: true, cause: aborted }))

interface Owner {
  readonly running: LiveSet<Exchange>
  /** Whether nobody else looks at what the dispatcher does. */
  readonly isExclusive: boolean
}

class Exchange implements HttpExchange.Response, Dispatcher.DispatchHandler {
  place = -1
  status = 0
  headers: Headers.Headers = Headers.empty

  private controller: Dispatcher.DispatchController | undefined
  private sink: HttpExchange.Sink | undefined
  private onHead: ((head: Head) => void) | undefined
  // Only until somebody asks for it.
  private head: Head | undefined
  private isSettled = false
  // What came before somebody read.
  private early: Array<Uint8Array> | undefined
  private earlyBytes = 0
  // What came after a chunk in the same turn: many small chunks are cheaper to read as one.
  private rest: Array<Uint8Array> | undefined
  private isInTurn = false
  private encoding: string | undefined
  private isPaused = false
  private isOver = false
  private failure: unknown
  private hasFailed = false

  private readonly owner: Owner

  constructor(owner: Owner) {
    this.owner = owner
    owner.running.add(this)
  }

  /** Tells when the head is there. */
  whenOpened(tell: (head: Head) => void): void {
    const { head } = this
    this.head = undefined
    if (head === undefined) this.onHead = tell
    else tell(head)
  }

  // --- HttpExchange.Response ----------------------------------------------------------------------------------------

  read(sink: HttpExchange.Sink): void {
    this.sink = sink
    if (sink.needsHead === false) this.forgetHead()
    const early = this.early
    if (early !== undefined) {
      this.early = undefined
      sink.onChunk(joined(early))
    }
    if (this.isOver) return this.finish()
    // A sink that had enough of what came early has paused by now.
    if (this.earlyBytes >= highWaterMark && !this.isPaused) this.controller?.resume()
    this.earlyBytes = 0
  }

  pause(): void {
    if (this.isPaused || this.isOver) return
    this.isPaused = true
    this.controller?.pause()
  }

  resume(): void {
    if (!this.isPaused) return
    this.isPaused = false
    if (!this.isOver) this.controller?.resume()
  }

  close(): void {
    this.sink = undefined
    this.early = undefined
    this.rest = undefined
    this.settle(closed)
    if (this.isOver) return
    this.isOver = true
    this.owner.running.delete(this)
    // What has not begun is aborted when it begins.
    this.controller?.abort(aborted)
  }

  /** The dispatcher is gone: whoever waits is told. */
  fail(cause: Error): void {
    const { sink } = this
    this.close()
    sink?.onError(cause)
  }

  // --- the handler of undici ----------------------------------------------------------------------------------------

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.controller = controller
    if (this.isOver) controller.abort(aborted)
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    headers: { readonly [name: string]: string | ReadonlyArray<string> | undefined }
  ): void {
    // What comes before the final head (103 and the like) is of no interest.
    if (status < 200 || this.isOver) return
    this.status = status
    this.headers = toHeaders(headers)
    const encoding = this.headers["content-encoding"]
    if (encoding !== undefined && encoding !== "" && encoding !== "identity") this.encoding = encoding
    this.settle(Exit.succeed(this))
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Uint8Array): void {
    if (this.isOver) return
    if (this.encoding !== undefined && chunk.length > 0) {
      if (looksCompressed(chunk)) {
        return this.end(new HttpExchange.ContentEncodingError({ encoding: this.encoding }))
      }
      this.encoding = undefined
    }
    if (this.sink !== undefined) return this.deliver(this.sink, chunk)
    this.early ??= []
    this.early.push(chunk)
    const before = this.earlyBytes
    this.earlyBytes += chunk.length
    if (before < highWaterMark && this.earlyBytes >= highWaterMark) controller.pause()
  }

  onResponseEnd(): void {
    this.deliverRest()
    if (this.isOver) return
    this.isOver = true
    this.owner.running.delete(this)
    this.finish()
  }

  onResponseError(_controller: Dispatcher.DispatchController | undefined, cause: Error): void {
    if (this.isOver) return
    this.deliverRest()
    if (this.isOver) return
    // Before the request was begun to be written, nothing of it can have arrived.
    this.settle(Exit.fail(new HttpExchange.ExchangeError({ sent: this.controller !== undefined, cause })))
    this.end(cause)
  }

  // ------------------------------------------------------------------------------------------------------------------

  private settle(head: Head): void {
    if (this.isSettled) return
    this.isSettled = true
    const { onHead } = this
    // A stream may be open for long: it need not keep its head, nor what waited for it.
    this.onHead = undefined
    if (onHead === undefined) this.head = head
    else onHead(head)
  }

  /** A stream may be silent for hours, and undici would keep the bytes of its head, and all that came with them. */
  private forgetHead(): void {
    this.headers = Headers.empty
    // Interceptors get the controller with each chunk: what they see is not changed.
    if (this.owner.isExclusive && this.controller !== undefined) this.controller.rawHeaders = null
  }

  /** The first chunk of a turn goes out at once, small ones that follow it together at the end of the turn. */
  private deliver(sink: HttpExchange.Sink, chunk: Uint8Array): void {
    if (chunk.length >= largeChunk) {
      this.deliverRest()
      return this.sink?.onChunk(chunk)
    }
    if (this.isInTurn) {
      this.rest ??= []
      this.rest.push(chunk)
      return
    }
    this.isInTurn = true
    queueMicrotask(() => {
      this.isInTurn = false
      this.deliverRest()
    })
    sink.onChunk(chunk)
  }

  private deliverRest(): void {
    const { rest } = this
    if (rest === undefined) return
    this.rest = undefined
    this.sink?.onChunk(joined(rest))
  }

  /** The body breaks off here. */
  private end(cause: unknown): void {
    this.hasFailed = true
    this.failure = cause
    this.isOver = true
    this.owner.running.delete(this)
    this.controller?.abort(aborted)
    this.finish()
  }

  /** Tells the sink how it ended, once it has all that came before. */
  private finish(): void {
    const { sink } = this
    if (sink === undefined) return
    this.sink = undefined
    if (this.hasFailed) sink.onError(this.failure)
    else sink.onEnd()
  }
}

/** Bytes from which on joining a chunk with others costs more than reading it by itself. */
const largeChunk = 4 * 1024

const joined = (chunks: ReadonlyArray<Uint8Array>): Uint8Array => {
  const [first] = chunks
  return first !== undefined && chunks.length === 1 ? first : Buffer.concat(chunks)
}

const toHeaders = (
  given: { readonly [name: string]: string | ReadonlyArray<string> | undefined }
): Headers.Headers => {
  const headers: Headers.Headers & { [name: string]: string } = Object.create(headersPrototype)
  for (const name in given) {
    const value = given[name]
    if (value !== undefined) headers[name] = typeof value === "string" ? value : value.join(", ")
  }
  return headers
}

// `Headers.unsafeFromRecord` changes the prototype of an object, which costs several microseconds.
const headersPrototype: object = Object.getPrototypeOf(Headers.empty)

// JSON and event streams begin with printable text; what a compressor writes first never does.
const looksCompressed = (chunk: Uint8Array): boolean => {
  if (chunk[0] === 0x1f && chunk[1] === 0x8b) return true
  try {
    const start = new TextDecoder("utf-8", { fatal: true }).decode(chunk.subarray(0, 64), { stream: true })
    // eslint-disable-next-line no-control-regex
    return /[\x00-\x08\x0e-\x1f]/.test(start)
  } catch {
    return true
  }
}

// --- the service ----------------------------------------------------------------------------------------------------

export interface Options {
  /** Milliseconds; 0 is none. */
  readonly headersTimeout: number
  /** Whether the dispatcher was made for this exchange alone, and has no interceptors. */
  readonly isExclusive: boolean
}

/** An exchange over a dispatcher. What is under way when `end` is called fails. */
export const make = (dispatcher: Dispatcher, { headersTimeout, isExclusive }: Options): {
  readonly service: HttpExchange.Service
  readonly end: () => void
} => {
  const running = new LiveSet<Exchange>()
  const owner: Owner = { running, isExclusive }
  let isOpen = true

  let target = toTarget(new URL("http://localhost"))

  const begin = (request: HttpExchange.Request): Exchange => {
    const exchange = new Exchange(owner)
    const { body, headers, method, url } = request
    request.exposeAbort?.(() => exchange.close())
    if (target.href !== url.href) target = toTarget(url)
    try {
      dispatcher.dispatch({
        origin: target.origin,
        path: target.path,
        method,
        headers: requestHeaders(headers),
        body: body ?? null,
        bodyTimeout: 0,
        headersTimeout
      }, exchange)
    } catch (cause) {
      exchange.onResponseError(undefined, cause instanceof Error ? cause : new Error(String(cause)))
    }
    return exchange
  }

  const traced = HttpExchange.withTracing({
    open: (request) =>
      // `Effect.onError` by hand, which takes several steps more.
      Effect.uninterruptibleMask((restore) => {
        if (!isOpen) return notOpen
        const exchange = begin(request)
        return Effect.catchAllCause(restore(opened(exchange)), (cause) => {
          exchange.close()
          return Effect.failCause(cause)
        })
      })
  })

  return {
    service: HttpExchange.withUnsafeOpen(traced, (request, onHead) => {
      if (isOpen) begin(request).whenOpened(onHead)
      else onHead(notOpen)
    }),
    end: () => {
      isOpen = false
      for (const exchange of running.all) exchange.fail(ended)
    }
  }
}

/**
 * Ends when the head is there; for one run. It lets go of the exchange when it begins to wait: Effect's `async` is kept until
 * the next full garbage collection (V8 puts a function literal that is assigned to a property into the old generation), and
 * so would be whatever it leads to.
 */
const opened = (exchange: Exchange): Effect.Effect<HttpExchange.Response, HttpExchange.ExchangeError> => {
  let awaited: Exchange | undefined = exchange
  return Effect.async((resume) => {
    const next = awaited
    awaited = undefined
    if (next === undefined) resume(Effect.dieMessage("an effect for one run was run again"))
    else next.whenOpened(resume)
  })
}

/** The parts of a URL as undici wants them. They are put together at each look, so that the last ones are kept. */
const toTarget = ({ href, origin, pathname, search }: URL) => ({ href, origin, path: pathname + search })

const ended = new Error("the HTTP client was closed")

const notOpen: Head = Exit.fail(new HttpExchange.ExchangeError({ sent: false, cause: ended }))

/** Nothing here undoes compression, so none is asked for unless the user does. */
const requestHeaders = (headers: Headers.Headers): Array<string> => {
  const all: Array<string> = []
  for (const name in headers) {
    const value = headers[name]
    if (value !== undefined) all.push(name, value)
  }
  if (headers["accept-encoding"] === undefined) all.push("accept-encoding", "identity")
  return all
}
