/**
 * A TCP proxy on the loopback interface that cuts what the server says after a number of bytes.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { connect, createServer, type Socket } from "node:net"

export interface CutProxy {
  /** The endpoint behind it, reached through it. */
  readonly url: string
  /** What was passed on to the client, per connection, in the order in which they were opened. */
  readonly passed: Effect.Effect<ReadonlyArray<Buffer>>
  /** From now on nothing is cut any more. */
  readonly mend: Effect.Effect<void>
}

/**
 * `cuts[n]`: the connection `n` ends when so many bytes have come from the server; the rest is lost and the server's side
 * is closed, too. Connections without a number live as long as their ends do.
 */
export const cutProxy = (
  endpoint: string,
  cuts: ReadonlyArray<number | undefined>
): Effect.Effect<CutProxy, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.promise(() => start(new URL(endpoint), cuts)),
    ({ stop }) => Effect.promise(stop)
  )

const start = async (
  endpoint: URL,
  cuts: ReadonlyArray<number | undefined>
): Promise<CutProxy & { stop: () => Promise<void> }> => {
  const passed: Array<Buffer> = []
  const sockets = new Set<Socket>()
  let isMended = false
  const keep = (socket: Socket): Socket => {
    sockets.add(socket)
    socket.setNoDelay(true)
    return socket.on("error", () => {}).on("close", () => sockets.delete(socket))
  }
  const server = createServer((client) => {
    const connection = passed.push(Buffer.alloc(0)) - 1
    const limit = () => (isMended ? undefined : cuts[connection]) ?? Number.POSITIVE_INFINITY
    keep(client)
    const upstream = keep(connect(Number(endpoint.port), endpoint.hostname))
    client.on("data", (chunk) => upstream.write(chunk)).on("close", () => upstream.destroy())
    upstream.on("close", () => client.end()).on("data", (chunk) => {
      const before = passed[connection] ?? Buffer.alloc(0)
      if (client.writableEnded) return
      const now = chunk.subarray(0, limit() - before.length)
      passed[connection] = Buffer.concat([before, now])
      client.write(now)
      if (now.length === chunk.length) return
      client.end()
      upstream.destroy()
    })
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const address = server.address()
  if (address === null || typeof address === "string") throw new Error("no port")
  return {
    url: `http://127.0.0.1:${address.port}${endpoint.pathname}`,
    passed: Effect.sync(() => Array.from(passed)),
    mend: Effect.sync(() => {
      isMended = true
    }),
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        for (const socket of sockets) socket.destroy()
      })
  }
}
