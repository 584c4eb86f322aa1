/**
 * One connection of a client, and the one to the server that belongs to it.
 *
 * Exchanges go through it one after the other: a request is taken whole, its faults are chosen, it is passed on, and its
 * response goes through the stages of the faults to the outlet. Each side is read only as fast as the other takes.
 */
import { STATUS_CODES } from "node:http"
import { connect, type Socket } from "node:net"
import type * as FaultProxy from "../../FaultProxy.ts"
import { ignoreParts, type Request, requestReader, type ResponseFramer, responseFramer } from "./httpFraming.ts"
import { makeOutlet } from "./outlet.ts"
import { type Stage, stagesOf, type Step } from "./stages.ts"

export interface Target {
  readonly host: string
  readonly port: number
}

/** What is known of an exchange outside of its connection. */
export interface Watched {
  readonly faults: ReadonlyArray<FaultProxy.Fault>
  /** The client was given these bytes. */
  readonly onPassed: (bytes: Buffer) => void
}

export interface Connection {
  readonly reset: () => void
  /** Ends both sides at once. */
  readonly destroy: () => void
}

export interface Options {
  readonly client: Socket
  readonly target: Target
  /** Chooses the faults. */
  readonly watch: (request: Request) => Watched
  /** Called for each socket to the server. */
  readonly onSocket: (socket: Socket) => void
}

/** So much of requests that have to wait is read. */
const largestBacklog = 64 * 1024

/**
 * What a reset overtakes is lost to the client, or looks like an orderly end, and no one tells when a client has read: a
 * reset after bytes waits so many milliseconds, and then for one more turn, in which a client in this process reads.
 */
const beforeReset = 10

interface Current {
  readonly request: Request
  readonly watched: Watched
  readonly framer: ResponseFramer
  readonly stages: Stage
  readonly lose: FaultProxy.Lose | undefined
  /** All of the response is in the outlet. */
  isReceived: boolean
}

export const makeConnection = ({ client, onSocket, target, watch }: Options): Connection => {
  const reader = requestReader()
  const waiting: Array<Request> = []
  let backlog = 0
  let server: Socket | undefined
  let current: Current | undefined
  /** The exchange that bytes go to when they come unasked. */
  let last: Watched | undefined
  /** There are no exchanges any more, only bytes both ways. */
  let isRaw = false
  let hasClientEnded = false
  let hasServerEnded = false
  /** Nothing is passed on any more. */
  let isOver = false
  let hasWritten = false
  let cancelReset = (): void => {}

  // --- Endings -------------------------------------------------------------------------------------------------------

  /** Whatever the client still says is read, so that its end is seen and nothing unread turns a close into a reset. */
  const finish = (): void => {
    isOver = true
    outlet.stop()
    server?.destroy()
    client.resume()
  }

  const resetClient = (): void => {
    if (!hasWritten) {
      client.resetAndDestroy()
      return
    }
    client.write("", (error) => {
      if (error != null) return
      const timer = setTimeout(() => setImmediate(() => client.resetAndDestroy()), beforeReset)
      cancelReset = () => clearTimeout(timer)
    })
  }

  const end = (how: FaultProxy.Cut["how"]): void => {
    if (isOver) return
    finish()
    if (how === "Reset") resetClient()
    else if (how === "Close" || hasClientEnded) client.end()
  }

  const reset = (): void => {
    finish()
    client.resetAndDestroy()
  }

  const destroy = (): void => {
    finish()
    client.destroy()
  }

  // --- To the client -------------------------------------------------------------------------------------------------

  const outlet = makeOutlet({
    write: (bytes) => {
      hasWritten = true
      last?.onPassed(bytes)
      return client.write(bytes)
    },
    cut: end,
    done: () => {
      current = undefined
      advance()
    },
    idle: () => server?.resume()
  })

  const cut = (how: FaultProxy.Ending): ReadonlyArray<Step> => [{ _tag: "Cut", how }]
  const done: ReadonlyArray<Step> = [{ _tag: "Done" }]

  // --- To the server -------------------------------------------------------------------------------------------------

  const onServerData = (bytes: Buffer): void => {
    if (isOver) return
    if (current?.lose !== undefined) return end(current.lose.how)
    if (current === undefined || current.isReceived) outlet.push([{ _tag: "Pass", bytes }])
    else receive(current, bytes)
    if (!outlet.isIdle()) server?.pause()
  }

  const receive = (exchange: Current, bytes: Buffer): void => {
    const { framer, stages } = exchange
    const length = framer.read(bytes, ignoreParts)
    outlet.push(stages.push(bytes.subarray(0, length)))
    if (framer.isUpgrade()) becomeRaw()
    if (!framer.isComplete()) return
    exchange.isReceived = true
    outlet.push(stages.end())
    if (!isRaw) outlet.push(done)
    if (length < bytes.length) outlet.push([{ _tag: "Pass", bytes: bytes.subarray(length) }])
  }

  const onServerEnd = (how: FaultProxy.Ending): void => {
    if (isOver || hasServerEnded) return
    hasServerEnded = true
    if (current?.lose !== undefined && how === "Close") return end(current.lose.how)
    if (current !== undefined && !current.isReceived) outlet.push(current.stages.end())
    outlet.push(cut(how))
  }

  const connectToServer = (): Socket => {
    const socket = connect({ ...target, allowHalfOpen: true, noDelay: true })
    onSocket(socket)
    return socket
      .on("data", onServerData)
      .on("drain", () => client.resume())
      .on("end", () => onServerEnd("Close"))
      .on("error", () => {})
      .on("close", (hadError) => onServerEnd(hadError ? "Reset" : "Close"))
  }

  const say = (bytes: Buffer): void => {
    server ??= connectToServer()
    const isTaken = server.write(bytes)
    if (isRaw && !isTaken) client.pause()
    if (hasClientEnded && waiting.length === 0) server.end()
  }

  const becomeRaw = (): void => {
    if (isRaw) return
    isRaw = true
    const unsent = [...waiting.map((request) => request.bytes), reader.rest()].filter((bytes) => bytes.length > 0)
    waiting.length = backlog = 0
    for (const bytes of unsent) say(bytes)
    client.resume()
  }

  // --- Exchanges -----------------------------------------------------------------------------------------------------

  const begin = (request: Request): void => {
    const watched = watch(request)
    last = watched
    const source = watched.faults.find((fault) => isSource(fault))
    if (source?._tag === "Refuse") {
      outlet.push(cut(source.how))
      return
    }
    current = {
      request,
      watched,
      framer: responseFramer(request.method),
      stages: stagesOf(watched.faults, request.method),
      lose: source?._tag === "Lose" ? source : undefined,
      isReceived: source?._tag === "Respond"
    }
    if (source?._tag === "Respond") {
      answer(current, source)
      return
    }
    if (request.isRaw) isRaw = true
    say(request.bytes)
  }

  const answer = ({ request, stages }: Current, fault: FaultProxy.Respond): void => {
    outlet.push(stages.push(answerTo(request, fault)))
    outlet.push(stages.end())
    const isLast = request.isRaw || /\bclose\b/i.test(request.headers["connection"] ?? "")
    outlet.push(isLast ? cut("Close") : done)
  }

  /** Begins the next exchange, if it is time for it. */
  const advance = (): void => {
    if (isOver || isRaw || hasServerEnded || current !== undefined) return
    const request = waiting.shift()
    if (request === undefined) {
      if (hasClientEnded) endIdle()
      return
    }
    backlog -= request.bytes.length
    begin(request)
    if (!isRaw && backlog < largestBacklog) client.resume()
  }

  /** The client has said all and was answered: the server may still want to say something, or just ends, too. */
  const endIdle = (): void => {
    if (server === undefined) end("Close")
    else server.end()
  }

  // --- From the client -----------------------------------------------------------------------------------------------

  const onClientData = (bytes: Buffer): void => {
    if (isOver) return
    if (isRaw) return say(bytes)
    for (const request of reader.push(bytes)) {
      waiting.push(request)
      backlog += request.bytes.length
    }
    advance()
    if (!isRaw && !isOver && backlog >= largestBacklog) client.pause()
  }

  const onClientEnd = (): void => {
    hasClientEnded = true
    if (isOver || outlet.isStalled()) {
      finish()
      client.end()
    } else if (current === undefined) advance()
    else if (waiting.length === 0) server?.end()
  }

  const onClientClose = (hadError: boolean): void => {
    cancelReset()
    isOver = true
    outlet.stop()
    if (hadError) server?.resetAndDestroy()
    else server?.destroy()
  }

  client
    .on("data", onClientData)
    .on("drain", outlet.onDrain)
    .on("end", onClientEnd)
    .on("error", () => {})
    .on("close", onClientClose)

  return { reset, destroy }
}

// ---------------------------------------------------------------------------------------------------------------------
// Answers of the proxy
// ---------------------------------------------------------------------------------------------------------------------

const isSource = (
  fault: FaultProxy.Fault
): fault is FaultProxy.Respond | FaultProxy.Refuse | FaultProxy.Lose =>
  fault._tag === "Respond" || fault._tag === "Refuse" || fault._tag === "Lose"

const answerTo = (request: Request, { body, headers, status }: FaultProxy.Respond): Buffer => {
  const content = Buffer.from(typeof body === "string" ? new TextEncoder().encode(body) : body)
  const isBodiless = status === 204 || status === 304
  const isFramed = isBodiless || "content-length" in headers || "transfer-encoding" in headers
  const lines = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}`,
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
    ...(isFramed ? [] : [`content-length: ${content.length}`])
  ]
  const head = Buffer.from(`${lines.join("\r\n")}\r\n\r\n`, "latin1")
  return request.method === "HEAD" || isBodiless ? head : Buffer.concat([head, content])
}
