/**
 * The proxy: its port, its connections, and what went through them.
 */
import * as Effect from "effect/Effect"
import * as Runtime from "effect/Runtime"
import type * as Scope from "effect/Scope"
import { createServer, type Server, type Socket } from "node:net"
import type * as FaultProxy from "../../FaultProxy.ts"
import { type Connection, makeConnection, type Target, type Watched } from "./connection.ts"
import { refuse, wholeNumber } from "./faults.ts"
import { makeHistory } from "./history.ts"
import type { Request } from "./httpFraming.ts"
import { fromSequence, nothing } from "./plans.ts"

const host = "127.0.0.1"

export const make = (options: FaultProxy.Options): Effect.Effect<FaultProxy.Service, never, Scope.Scope> =>
  Effect.gen(function*() {
    const url = new URL(options.target)
    const target = targetOf(url)
    const history = makeHistory(wholeNumber("keep", options.keep ?? 64 * 1024))
    const runFork = Runtime.runFork(yield* Effect.runtime<never>())
    const toPlan = (plan: FaultProxy.Plan | FaultProxy.Sequence): FaultProxy.Plan =>
      typeof plan === "function" ? plan : fromSequence(plan, history.count())
    let plan = toPlan(options.faults ?? nothing)

    const choose = (exchange: FaultProxy.Exchange): ReadonlyArray<FaultProxy.Fault> => {
      try {
        return plan(exchange)
      } catch (cause) {
        runFork(Effect.logError("FaultProxy: the plan has failed, the connection is reset", cause))
        return [refuse({ how: "Reset" })]
      }
    }

    const watch = (connection: number) => (request: Request): Watched => {
      const { body, headers, method, path } = request
      const exchange = { index: history.count(), connection, method, path, headers, body }
      // It is counted before the plan is asked, which may itself program what comes next.
      const entry = history.add(exchange)
      const faults = choose(exchange)
      entry.setFaults(faults)
      return { faults, onPassed: entry.onPassed }
    }

    const { connections, port } = yield* listen(target, watch)
    return {
      url: `http://${host}:${port}${url.pathname}${url.search}`,
      exchanges: Effect.sync(history.entries),
      connections: Effect.sync(() => connections.size),
      program: (next) =>
        Effect.sync(() => {
          plan = toPlan(next)
        }),
      mend: Effect.sync(() => {
        plan = nothing
      }),
      breakAll: Effect.sync(() => {
        for (const connection of connections) connection.reset()
      })
    }
  })

const targetOf = (url: URL): Target => {
  if (url.protocol !== "http:") throw new TypeError(`FaultProxy: target must be an http: URL, not ${url.protocol}`)
  return {
    // The brackets of an IPv6 address belong to the URL only.
    host: url.hostname.replace(/^\[(.*)\]$/, "$1"),
    port: url.port === "" ? 80 : Number(url.port)
  }
}

interface Listening {
  readonly port: number
  readonly connections: ReadonlySet<Connection>
}

const listen = (
  target: Target,
  watch: (connection: number) => (request: Request) => Watched
): Effect.Effect<Listening, never, Scope.Scope> => {
  const connections = new Set<Connection>()
  const sockets = socketSet()
  let count = 0
  const onClient = (client: Socket): void => {
    sockets.add(client)
    const connection = makeConnection({ client, target, watch: watch(count++), onSocket: sockets.add })
    connections.add(connection)
    client.on("close", () => connections.delete(connection))
  }
  const stop = (server: Server): Effect.Effect<void> =>
    Effect.zipRight(
      Effect.async<void>((resume) => {
        server.close(() => resume(Effect.void))
        for (const connection of connections) connection.destroy()
      }),
      sockets.awaitEmpty
    )
  return Effect.acquireRelease(start(onClient), stop).pipe(
    Effect.map((server) => ({ port: portOf(server), connections }))
  )
}

const start = (onClient: (client: Socket) => void): Effect.Effect<Server> =>
  Effect.async((resume) => {
    const server = createServer({ allowHalfOpen: true, noDelay: true }, onClient)
    server.on("error", (cause) => resume(Effect.die(cause)))
    server.listen(0, host, () => resume(Effect.succeed(server)))
  })

const portOf = (server: Server): number => {
  const address = server.address()
  if (address === null || typeof address === "string") throw new Error("FaultProxy: the proxy has no port")
  return address.port
}

interface SocketSet {
  readonly add: (socket: Socket) => void
  readonly awaitEmpty: Effect.Effect<void>
}

/** The sockets that are not closed yet. */
const socketSet = (): SocketSet => {
  const open = new Set<Socket>()
  let onEmpty = (): void => {}
  return {
    add: (socket) => {
      open.add(socket)
      socket.on("close", () => {
        open.delete(socket)
        if (open.size === 0) onEmpty()
      })
    },
    awaitEmpty: Effect.async((resume) => {
      if (open.size === 0) resume(Effect.void)
      else onEmpty = () => resume(Effect.void)
    })
  }
}
