/**
 * Both ends of a proxy under test, as plain TCP: a server that answers with given bytes, and a client that says given bytes.
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Http from "node:http"
import { connect, createServer, type Server, type Socket } from "node:net"

export class Hangs extends Data.TaggedError("Hangs")<{ readonly message: string }> {}

/** Waits for a condition that no event tells of. */
export const eventually = (what: string, condition: Effect.Effect<boolean>): Effect.Effect<void, Hangs> =>
  Effect.sleep("3 millis").pipe(
    Effect.zipRight(condition),
    Effect.repeat({ until: (isTrue) => isTrue }),
    Effect.asVoid,
    inTime(what)
  )

const inTime = (what: string) => <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E | Hangs, R> =>
  Effect.timeoutFail(effect, {
    duration: "8 seconds",
    onTimeout: () => new Hangs({ message: `waited in vain: ${what}` })
  })

// ---------------------------------------------------------------------------------------------------------------------

export interface TcpServer {
  readonly url: string
  readonly sockets: ReadonlySet<Socket>
  /** What each connection has said, in the order in which they were opened. */
  readonly heard: ReadonlyArray<string>
}

/** Calls `onHeard` with the text of a connection whenever it gets longer. */
export const tcpServer = (
  onHeard: (socket: Socket, text: string, connection: number) => void
): Effect.Effect<TcpServer, never, Scope.Scope> => {
  const sockets = new Set<Socket>()
  const heard: Array<string> = []
  const onSocket = (socket: Socket): void => {
    const connection = heard.push("") - 1
    sockets.add(socket)
    socket.setNoDelay(true)
    socket
      .on("error", () => {})
      .on("close", () => sockets.delete(socket))
      .on("data", (bytes) => {
        heard[connection] += bytes.toString("latin1")
        onHeard(socket, heard[connection] ?? "", connection)
      })
  }
  const start = Effect.async<Server>((resume) => {
    const server = createServer(onSocket)
    server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
  })
  return Effect.acquireRelease(start, stopped(sockets)).pipe(
    Effect.map((server) => ({ url: `http://127.0.0.1:${portOf(server)}/mcp?a=1`, sockets, heard }))
  )
}

const stopped = (sockets: ReadonlySet<Socket>) => (server: Server): Effect.Effect<void> =>
  Effect.async<void>((resume) => {
    server.close(() => resume(Effect.void))
    for (const socket of sockets) socket.destroy()
  })

const portOf = (server: Server): number => {
  const address = server.address()
  if (address === null || typeof address === "string") throw new Error("no port")
  return address.port
}

/** A server of node:http; requests come with their body. */
export const httpServer = (
  handle: (request: Http.IncomingMessage, body: string, response: Http.ServerResponse) => void
): Effect.Effect<{ readonly url: string; readonly sockets: ReadonlySet<Socket> }, never, Scope.Scope> => {
  const sockets = new Set<Socket>()
  const start = Effect.async<Http.Server>((resume) => {
    const server = Http.createServer((request, response) => {
      const pieces: Array<Buffer> = []
      request.on("error", () => {})
      request.on("data", (piece: Buffer) => pieces.push(piece))
      request.on("end", () => handle(request, Buffer.concat(pieces).toString(), response))
    })
    server.on("connection", (socket) => {
      sockets.add(socket)
      socket.on("close", () => sockets.delete(socket))
    })
    server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
  })
  return Effect.acquireRelease(start, stopped(sockets)).pipe(
    Effect.map((server) => ({ url: `http://127.0.0.1:${portOf(server)}/mcp`, sockets }))
  )
}

/** Writes the chunks in turns of their own, then closes if asked to. */
export const say = async (socket: Socket, chunks: ReadonlyArray<string>, thenClose = false): Promise<void> => {
  for (const chunk of chunks) {
    socket.write(chunk, "latin1")
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
  if (thenClose) socket.end()
}

/** Answers each request without a body by the chunks of the same number; the last ones again and again. */
export const answering = (
  answers: ReadonlyArray<ReadonlyArray<string>>,
  thenClose = false
): Effect.Effect<TcpServer, never, Scope.Scope> => {
  let count = 0
  const answered = new Map<number, number>()
  return tcpServer((socket, text, connection) => {
    const due = text.split("\r\n\r\n").length - 1
    for (let at = answered.get(connection) ?? 0; at < due; at++) {
      void say(socket, answers[Math.min(count++, answers.length - 1)] ?? [], thenClose)
    }
    answered.set(connection, due)
  })
}

// ---------------------------------------------------------------------------------------------------------------------

export interface TcpClient {
  readonly socket: Socket
  readonly say: (text: string) => void
  readonly heard: () => string
  /** Waits until it has heard what it waits for; gives all it has heard. */
  readonly until: (what: string, condition: (heard: string) => boolean) => Effect.Effect<string, Hangs>
  readonly untilLength: (length: number) => Effect.Effect<string, Hangs>
  /** Waits for the end of the connection. */
  readonly ending: Effect.Effect<"Close" | "Reset", Hangs>
  readonly isOpen: () => boolean
}

export const tcpClient = (url: string): Effect.Effect<TcpClient, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => startClient(new URL(url))),
    ({ socket }) => Effect.sync(() => socket.destroy())
  )

const startClient = (url: URL): TcpClient => {
  let heard = ""
  let ending: "Close" | "Reset" | undefined
  const watchers = new Set<() => void>()
  const changed = () => {
    for (const watch of watchers) watch()
  }
  const socket = connect(Number(url.port), url.hostname)
  socket
    .on("data", (bytes) => {
      heard += bytes.toString("latin1")
      changed()
    })
    .on("error", (error) => {
      ending ??= "code" in error && error.code === "ECONNRESET" ? "Reset" : undefined
    })
    .on("close", () => {
      ending ??= "Close"
      changed()
    })
  const when = (what: string, condition: () => boolean): Effect.Effect<void, Hangs> =>
    Effect.async<void>((resume) => {
      const watch = () => {
        if (condition()) resume(Effect.void)
      }
      watchers.add(watch)
      watch()
      return Effect.sync(() => watchers.delete(watch))
    }).pipe(
      Effect.timeoutFail({
        duration: "8 seconds",
        onTimeout: () =>
          new Hangs({ message: `waited in vain: ${what}; heard ${JSON.stringify(heard.slice(0, 2000))}` })
      })
    )
  const until = (what: string, condition: (heard: string) => boolean) =>
    Effect.map(when(what, () => condition(heard)), () => heard)
  return {
    socket,
    say: (text) => socket.write(text, "latin1"),
    heard: () => heard,
    until,
    untilLength: (length) => until(`${length} bytes`, (text) => text.length >= length),
    ending: Effect.map(when("the end of the connection", () => ending !== undefined), () => ending ?? "Close"),
    isOpen: () => ending === undefined
  }
}

/** One request over a connection of its own, until that ends. */
export const converse = (
  url: string,
  text: string
): Effect.Effect<{ readonly heard: string; readonly ending: "Close" | "Reset" }, Hangs> =>
  Effect.scoped(Effect.gen(function*() {
    const client = yield* tcpClient(url)
    client.say(text)
    const ending = yield* client.ending
    return { heard: client.heard(), ending }
  }))

export const get = "GET /mcp HTTP/1.1\r\nhost: x\r\n\r\n"

export const withLength = (body: string, type = "text/event-stream"): string =>
  `HTTP/1.1 200 OK\r\ncontent-type: ${type}\r\ncontent-length: ${body.length}\r\n\r\n${body}`

export const chunk = (text: string): string => `${text.length.toString(16)}\r\n${text}\r\n`

export const chunkedHead = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"

/** The content of a chunked body that may end anywhere. */
export const beginningOf = (text: string): string => {
  const [line = ""] = text.split("\r\n", 1)
  const end = line.length + 2 + Number.parseInt(line, 16)
  return text === "" ? "" : text.slice(line.length + 2, end) + beginningOf(text.slice(end + 2))
}
