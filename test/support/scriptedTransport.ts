/**
 * A transport over a scripted server without sockets, for what depends on time: responses are told by the test what to do,
 * before they are given and after.
 */
import * as ScriptedServer from "@effect-mcp/testing/ScriptedServer"
import { HttpExchange, StreamableHttpTransport } from "@effect-mcp/transport"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientError from "@effect/platform/HttpClientError"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { renderEvent } from "../../packages/testing/src/internal/scriptedServer/serverExchange.ts"

/** A response under the control of a test. */
export class ScriptedResponse {
  private readonly status: number
  private readonly headers: Record<string, string>
  private readonly before: Array<(body: ScriptedServer.BodyWriter) => void> = []
  private body: ScriptedServer.BodyWriter | undefined
  private isOver = false

  constructor(status: number, headers: Record<string, string>) {
    this.status = status
    this.headers = headers
  }

  answer(exchange: ScriptedServer.Exchange): void {
    this.body = exchange.respond(this.status, this.headers)
    for (const act of this.before) act(this.body)
  }

  /** Whether the client has left before the end. */
  get isClosed(): boolean {
    return this.body !== undefined && !this.isOver && !this.body.isOpen()
  }

  /** Text of the body. */
  push(text: string): this {
    return this.act((body) => void body.write(text))
  }

  event(fields: ScriptedServer.EventFields): this {
    return this.push(renderEvent(fields))
  }

  end(): this {
    this.isOver = true
    return this.act((body) => body.end())
  }

  cut(): this {
    this.isOver = true
    return this.act((body) => body.cut())
  }

  private act(act: (body: ScriptedServer.BodyWriter) => void): this {
    if (this.body === undefined) this.before.push(act)
    else act(this.body)
    return this
  }
}

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

/** Nobody listens. The server notes the attempt all the same. */
export const refused: Reply = { answer: (exchange) => exchange.drop() }

export type Reply = Pick<ScriptedResponse, "answer">

/** What the transport did with an exchange and saw of it, in the order in which they were opened. */
export interface Watched {
  isPaused: boolean
  /** How many bytes of the body came. */
  delivered: number
  /** Why the body broke. */
  cause: unknown
}

export interface Scripted {
  readonly opened: ReadonlyArray<ScriptedServer.Arrival>
  /** GETs with the clock's time and their cursor: `1000 e1`. */
  readonly gets: () => ReadonlyArray<string>
  readonly count: (method: string) => number
  readonly transport: StreamableHttpTransport.Service
  /** Heads that were asked for and given up. */
  readonly aborted: () => number
  readonly watched: ReadonlyArray<Watched>
}

/** A transport over a script. It has an adopted session unless the options say otherwise. */
export const scripted = (
  reply: (arrival: ScriptedServer.Arrival) => Reply | Effect.Effect<Reply>,
  options: Partial<StreamableHttpTransport.Options> = {}
): Effect.Effect<Scripted, never, Scope.Scope> =>
  Effect.gen(function*() {
    const opened: Array<ScriptedServer.Arrival> = []
    const watched: Array<Watched> = []
    let aborted = 0
    const { client } = yield* ScriptedServer.makeHttpClient((exchange) => {
      opened.push(exchange)
      const given = exchange.method === "DELETE" ? bare(200) : reply(exchange)
      return Effect.isEffect(given)
        ? Effect.onInterrupt(
          Effect.map(given, (given) => given.answer(exchange)),
          () => Effect.sync(() => aborted++)
        )
        : given.answer(exchange)
    })
    const exchange = yield* HttpExchange.fromHttpClient.pipe(
      Effect.provideService(HttpClient.HttpClient, refusing(client))
    )
    const transport = yield* StreamableHttpTransport.makeExchange({
      url: ScriptedServer.memoryUrl,
      session: { sessionId: "adopted-session", protocolVersion: "2025-11-25" },
      ...options
    }).pipe(Effect.provideService(HttpExchange.HttpExchange, watching(exchange, watched)), Effect.orDie)
    const count = (method: string) => opened.filter((arrival) => arrival.method === method).length
    return {
      opened,
      gets: () =>
        opened.filter(({ method }) => method === "GET").map(({ at, headers }) =>
          `${at} ${headers["last-event-id"] ?? "-"}`
        ),
      count,
      transport,
      aborted: () => aborted,
      watched
    }
  })

/** A connection that the server drops without an answer was refused. */
const refusing = (client: HttpClient.HttpClient): HttpClient.HttpClient => {
  const cause = Object.assign(new Error("connect ECONNREFUSED"), { code: "ECONNREFUSED" })
  return HttpClient.transformResponse(
    client,
    Effect.mapError((error) =>
      error._tag === "RequestError"
        ? new HttpClientError.RequestError({ request: error.request, reason: "Transport", cause })
        : error
    )
  )
}

const watching = (exchange: HttpExchange.Service, watched: Array<Watched>): HttpExchange.Service => ({
  open: (request) => {
    const watch: Watched = { isPaused: false, delivered: 0, cause: undefined }
    watched.push(watch)
    return Effect.map(exchange.open(request), (response): HttpExchange.Response => ({
      status: response.status,
      headers: response.headers,
      read: (sink) =>
        response.read({
          onChunk: (chunk) => {
            watch.delivered += chunk.length
            sink.onChunk(chunk)
          },
          onEnd: () => sink.onEnd(),
          onError: (cause) => {
            watch.cause = cause
            sink.onError(cause)
          }
        }),
      pause: () => {
        watch.isPaused = true
        response.pause()
      },
      resume: () => {
        watch.isPaused = false
        response.resume()
      },
      close: () => response.close()
    }))
  }
})
