/**
 * An `HttpExchange` in memory, for what depends on time: it answers as a script says and remembers when it was asked.
 */
import { HttpExchange, StreamableHttpTransport } from "@effect-mcp/transport"
import * as Headers from "@effect/platform/Headers"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

/** A response under the control of a test. Chunks wait while it is paused; they arrive in microtasks. */
export class ScriptedResponse implements HttpExchange.Response {
  isPaused = false
  isClosed = false
  isOver = false
  /** How many bytes went into the sink. */
  delivered = 0
  readonly status: number
  readonly headers: Headers.Headers
  private sink: HttpExchange.Sink | undefined
  private readonly waiting: Array<(sink: HttpExchange.Sink) => void> = []

  constructor(status: number, headers: Record<string, string>) {
    this.status = status
    this.headers = Headers.fromInput(headers)
  }

  readonly read = (sink: HttpExchange.Sink): void => {
    this.sink = sink
    queueMicrotask(() => this.flush())
  }

  readonly pause = (): void => {
    this.isPaused = true
  }

  readonly resume = (): void => {
    this.isPaused = false
    queueMicrotask(() => this.flush())
  }

  readonly close = (): void => {
    this.isClosed = true
    this.sink = undefined
  }

  /** Text of the body. */
  push(text: string): this {
    const chunk = new TextEncoder().encode(text)
    this.waiting.push((sink) => {
      this.delivered += chunk.length
      sink.onChunk(chunk)
    })
    queueMicrotask(() => this.flush())
    return this
  }

  /** What was on its way already when the source was paused. */
  pushNow(text: string): void {
    this.sink?.onChunk(new TextEncoder().encode(text))
  }

  event(fields: EventFields): this {
    return this.push(render(fields))
  }

  end(): this {
    this.waiting.push((sink) => {
      this.isOver = true
      sink.onEnd()
    })
    queueMicrotask(() => this.flush())
    return this
  }

  cut(cause: unknown = new Error("cut")): this {
    this.waiting.push((sink) => {
      this.isOver = true
      sink.onError(cause)
    })
    queueMicrotask(() => this.flush())
    return this
  }

  private flush(): void {
    while (this.sink !== undefined && !this.isPaused && !this.isOver) {
      const next = this.waiting.shift()
      if (next === undefined) return
      next(this.sink)
    }
  }
}

export interface EventFields {
  readonly id?: string
  readonly event?: string
  readonly retry?: number | string
  readonly data?: unknown
}

export const render = ({ data, event, id, retry }: EventFields): string =>
  [
    event === undefined ? "" : `event: ${event}\n`,
    id === undefined ? "" : `id: ${id}\n`,
    retry === undefined ? "" : `retry: ${retry}\n`,
    data === undefined ? "" : `data: ${typeof data === "string" ? data : JSON.stringify(data)}\n`,
    "\n"
  ].join("")

export const sse = (headers: Record<string, string> = {}): ScriptedResponse =>
  new ScriptedResponse(200, { "content-type": "text/event-stream", ...headers })

export const jsonBody = (
  value: unknown,
  headers: Record<string, string> = {},
  status = 200
): ScriptedResponse =>
  new ScriptedResponse(status, { "content-type": "application/json", ...headers }).push(JSON.stringify(value)).end()

export const bare = (status: number, headers: Record<string, string> = {}): ScriptedResponse =>
  new ScriptedResponse(status, headers).end()

export interface Opened {
  readonly at: number
  readonly method: string
  readonly headers: Headers.Headers
  readonly message: { readonly [key: string]: unknown } | undefined
  readonly index: number
}

export type Answer = HttpExchange.Response | Effect.Effect<HttpExchange.Response, HttpExchange.ExchangeError>

export const refused: Effect.Effect<never, HttpExchange.ExchangeError> = Effect.suspend(() =>
  Effect.fail(
    new HttpExchange.ExchangeError({
      sent: false,
      cause: Object.assign(new Error("refused"), { code: "ECONNREFUSED" })
    })
  )
)

export interface Scripted {
  readonly opened: ReadonlyArray<Opened>
  /** GETs with the clock's time and their cursor: `1000 e1`. */
  readonly gets: () => ReadonlyArray<string>
  readonly count: (method: string) => number
  readonly transport: StreamableHttpTransport.Service
  /** Heads that were asked for and given up. */
  readonly aborted: () => number
}

/** A transport over a script. It has an adopted session unless the options say otherwise. */
export const scripted = (
  answer: (opened: Opened) => Answer,
  options: Partial<StreamableHttpTransport.Options> = {}
): Effect.Effect<Scripted, never, Scope.Scope> =>
  Effect.gen(function*() {
    const opened: Array<Opened> = []
    let aborted = 0
    const open = (request: HttpExchange.Request) =>
      Effect.flatMap(Clock.currentTimeMillis, (at) => {
        const message = request.body === undefined ? undefined : JSON.parse(request.body)
        const entry: Opened = { at, method: request.method, headers: request.headers, message, index: opened.length }
        opened.push(entry)
        const given = request.method === "DELETE" ? bare(200) : answer(entry)
        return Effect.onInterrupt(
          Effect.isEffect(given) ? given : Effect.succeed(given),
          () => Effect.sync(() => aborted++)
        )
      })
    const transport = yield* StreamableHttpTransport.makeExchange({
      url: "http://server.test/mcp",
      session: { sessionId: "adopted-session", protocolVersion: "2025-11-25" },
      ...options
    }).pipe(Effect.provideService(HttpExchange.HttpExchange, { open }), Effect.orDie)
    return {
      opened,
      gets: () =>
        opened.filter((entry) => entry.method === "GET").map((entry) =>
          `${entry.at} ${entry.headers["last-event-id"] ?? "-"}`
        ),
      count: (method: string) => opened.filter((entry) => entry.method === method).length,
      transport,
      aborted: () => aborted
    }
  })
