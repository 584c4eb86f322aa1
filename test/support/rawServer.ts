/**
 * A loopback HTTP server that does exactly what a test tells it to, and remembers what arrived.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Http from "node:http"
import type { Socket } from "node:net"

/** One HTTP request as it arrived. */
export interface Arrival {
  readonly method: string
  readonly path: string
  readonly headers: Http.IncomingHttpHeaders
  readonly rawHeaders: ReadonlyArray<string>
  readonly text: string
  /** The parsed body; `undefined` without one. */
  readonly message: { readonly [key: string]: unknown } | undefined
}

export interface Exchange extends Arrival {
  readonly response: Http.ServerResponse
  readonly socket: Socket
  /** How many requests arrived before this one. */
  readonly index: number
  /** Answers with JSON. */
  readonly json: (
    value: unknown,
    options?: { readonly status?: number; readonly headers?: Http.OutgoingHttpHeaders }
  ) => void
  /** Answers with a status and a text. */
  readonly status: (status: number, text?: string, headers?: Http.OutgoingHttpHeaders) => void
  /** Begins an event stream. */
  readonly events: (headers?: Http.OutgoingHttpHeaders) => EventWriter
}

export interface EventWriter {
  readonly event: (fields: {
    readonly id?: string
    readonly event?: string
    readonly retry?: number | string
    readonly data?: unknown
  }) => EventWriter
  readonly raw: (text: string | Uint8Array) => EventWriter
  readonly end: () => void
  /** Breaks the connection in the middle of the body. */
  readonly cut: () => void
}

export interface RawServer {
  readonly url: string
  readonly origin: string
  readonly arrivals: ReadonlyArray<Arrival>
  /** The methods of what arrived, with the cursor of GETs: `POST tools/call`, `GET e1`. */
  readonly log: () => ReadonlyArray<string>
  /** Connections that are open right now. */
  readonly openSockets: () => number
  /** Responses that have been begun and neither ended nor lost their connection. */
  readonly openResponses: () => number
}

export const rawServer = (handle: (exchange: Exchange) => void): Effect.Effect<RawServer, never, Scope.Scope> =>
  Effect.acquireRelease(Effect.promise(() => start(handle)), ({ stop }) => Effect.promise(stop))

const start = async (handle: (exchange: Exchange) => void): Promise<RawServer & { stop: () => Promise<void> }> => {
  const arrivals: Array<Arrival> = []
  const sockets = new Set<Socket>()
  const responses = new Set<Http.ServerResponse>()
  const server = Http.createServer((request, response) => {
    responses.add(response)
    response.on("close", () => responses.delete(response))
    const chunks: Array<Buffer> = []
    request.on("error", () => {})
    response.on("error", () => {})
    request.on("data", (chunk: Buffer) => chunks.push(chunk))
    request.on("end", () => {
      const text = Buffer.concat(chunks).toString("utf8")
      const arrival: Arrival = {
        method: request.method ?? "",
        path: request.url ?? "",
        headers: request.headers,
        rawHeaders: request.rawHeaders,
        text,
        message: text === "" ? undefined : JSON.parse(text)
      }
      const index = arrivals.push(arrival) - 1
      handle({ ...arrival, ...answers(response), response, socket: request.socket, index })
    })
  })
  server.keepAliveTimeout = 30_000
  server.on("connection", (socket) => {
    sockets.add(socket)
    socket.on("error", () => {})
    socket.on("close", () => sockets.delete(socket))
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const address = server.address()
  if (address === null || typeof address === "string") throw new Error("no port")
  const origin = `http://127.0.0.1:${address.port}`
  return {
    url: `${origin}/mcp`,
    origin,
    arrivals,
    log: () => arrivals.map(describe),
    openSockets: () => sockets.size,
    openResponses: () => responses.size,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        for (const socket of sockets) socket.destroy()
      })
  }
}

const describe = ({ headers, message, method }: Arrival): string => {
  if (method === "POST") return `POST ${typeof message?.method === "string" ? message.method : "response"}`
  const cursor = headers["last-event-id"]
  return cursor === undefined ? method : `${method} ${String(cursor)}`
}

const answers = (response: Http.ServerResponse): Pick<Exchange, "json" | "status" | "events"> => ({
  json: (value, options = {}) => {
    response.writeHead(options.status ?? 200, { "content-type": "application/json", ...options.headers })
    response.end(typeof value === "string" ? value : JSON.stringify(value))
  },
  status: (status, text = "", headers = {}) => {
    response.writeHead(status, headers)
    response.end(text)
  },
  events: (headers = {}) => {
    response.writeHead(200, { "content-type": "text/event-stream", ...headers })
    response.flushHeaders()
    const writer: EventWriter = {
      event: ({ data, event, id, retry }) => {
        let text = ""
        if (event !== undefined) text += `event: ${event}\n`
        if (id !== undefined) text += `id: ${id}\n`
        if (retry !== undefined) text += `retry: ${retry}\n`
        if (data !== undefined) text += `data: ${typeof data === "string" ? data : JSON.stringify(data)}\n`
        return writer.raw(`${text}\n`)
      },
      raw: (text) => {
        response.write(text)
        return writer
      },
      end: () => {
        response.end()
      },
      // What was written so far still goes out; then the connection breaks.
      cut: () => {
        setTimeout(() => response.socket?.destroy(), 10)
      }
    }
    return writer
  }
})
