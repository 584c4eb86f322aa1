/**
 * The connections of a scripted server as real ones: an HTTP/1.1 server on the loopback interface.
 */
import * as Headers from "@effect/platform/Headers"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Http from "node:http"
import type { Socket } from "node:net"
import type { Wire, WireRequest } from "./wire.ts"

export interface Loopback {
  readonly origin: string
  readonly openConnections: () => number
}

/** Calls `handle` for every request, once it was read whole. Everything is gone when the scope ends. */
export const serve = (
  handle: (request: WireRequest, wire: Wire) => void
): Effect.Effect<Loopback, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(Effect.promise(() => listen(handle)), ({ stop }) => Effect.promise(stop)),
    (server) => server
  )

const listen = async (
  handle: (request: WireRequest, wire: Wire) => void
): Promise<Loopback & { readonly stop: () => Promise<void> }> => {
  const sockets = new Map<Socket, number>()
  let opened = 0
  const server = Http.createServer((request, response) => {
    const connection = sockets.get(request.socket)
    if (connection === undefined) return
    const chunks: Array<Uint8Array> = []
    request.on("error", () => {})
    request.on("data", (chunk: Uint8Array) => chunks.push(chunk))
    request.on("end", () => handle(readRequest(request, chunks, connection), makeWire(response)))
  })
  server.keepAliveTimeout = 30_000
  server.on("connection", (socket) => {
    sockets.set(socket, opened++)
    socket.setNoDelay(true)
    socket.on("error", () => {})
    socket.on("close", () => sockets.delete(socket))
  })
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject)
    server.listen(0, "127.0.0.1", resolve)
  })
  const address = server.address()
  if (address === null || typeof address === "string") throw new Error("the server listens on no port")
  return {
    origin: `http://127.0.0.1:${address.port}`,
    openConnections: () => sockets.size,
    stop: async () => {
      const gone = Array.from(sockets.keys(), (socket) => new Promise((resolve) => socket.once("close", resolve)))
      const closed = new Promise((resolve) => server.close(resolve))
      for (const socket of sockets.keys()) socket.destroy()
      await Promise.all([closed, ...gone])
    }
  }
}

const readRequest = (
  request: Http.IncomingMessage,
  chunks: ReadonlyArray<Uint8Array>,
  connection: number
): WireRequest => ({
  method: request.method ?? "",
  path: request.url ?? "",
  headers: Headers.fromInput(Object.entries(request.headers).map(([name, value]) => [name, String(value)] as const)),
  rawHeaders: request.rawHeaders,
  body: Buffer.concat(chunks).toString("utf8"),
  connection
})

const makeWire = (response: Http.ServerResponse): Wire => {
  let isOpen = true
  const closed: Array<() => void> = []
  response.on("error", () => {})
  response.once("close", () => {
    isOpen = false
    for (const listener of closed) listener()
  })
  return {
    head: (status, headers) => {
      if (!isOpen) return
      response.writeHead(status, { ...headers })
      response.flushHeaders()
    },
    write: (chunk) => !isOpen || chunk.length === 0 || response.write(chunk),
    onDrain: (listener) => void response.once("drain", listener),
    end: () => {
      response.end()
    },
    cut: (kind) => {
      const { socket } = response
      if (socket === null) return
      // What was written so far still goes out; then the connection breaks.
      if (kind === "Close") socket.destroySoon()
      else socket.write("", () => socket.resetAndDestroy())
    },
    isOpen: () => isOpen,
    onClose: (listener) => {
      if (isOpen) closed.push(listener)
      else listener()
    }
  }
}
