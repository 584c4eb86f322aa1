/**
 * Many streams at once: 1 000 open calls on one transport, and 200 transports in one process, each with a stream of its
 * own: `npm run test:load`. Says what each costs in memory, and fails when one of them does not work or is not let go of.
 */
import { JsonRpc, StreamableHttpTransport } from "@effect-mcp/transport"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import {
  argument,
  fetchClient,
  keep,
  machine,
  type NamedClient,
  nodeClient,
  openTransport,
  sample,
  table,
  trafficServer,
  undiciClient
} from "./traffic.ts"

const streams = Number(argument("streams", "1000"))
const transports = Number(argument("transports", "200"))

interface Cost {
  readonly what: string
  readonly client: string
  readonly count: number
  /** Kilobytes each. */
  readonly heap: number
  readonly external: number
  /** Handles left once all was closed, beyond those before. */
  readonly left: number
}

/** A call that never ends; ready when its first progress came. */
const held = (
  transport: StreamableHttpTransport.Service,
  id: number,
  way: "request" | "send"
): Effect.Effect<void, never, Scope.Scope> =>
  Effect.gen(function*() {
    const isOpen = yield* Deferred.make<void>()
    const ready = (): Effect.Effect<void> => Effect.asVoid(Deferred.succeed(isOpen, undefined))
    const request = JsonRpc.request(id, "tools/call", { steps: 2, delay: -1 })
    const running = way === "request"
      ? StreamableHttpTransport.request(transport, request, { onMessage: ready })
      : Stream.runForEach(transport.send(request), ready)
    const fiber = yield* Effect.forkScoped(Effect.orDie(running))
    yield* Effect.raceFirst(Deferred.await(isOpen), Fiber.join(fiber))
  })

/** What something costs that is opened many times within one scope. */
const cost = (
  what: string,
  client: NamedClient,
  count: number,
  open: Effect.Effect<void, unknown, Scope.Scope>
): Effect.Effect<Cost, unknown> =>
  Effect.gen(function*() {
    const before = yield* rest
    const scope = yield* Scope.make()
    yield* Scope.extend(open, scope)
    const now = yield* rest
    yield* Scope.close(scope, Exit.void)
    const after = yield* rest
    const each = (of: "heap" | "external"): number => (now[of] - before[of]) / count / 1024
    return {
      what,
      client: client.name,
      count,
      heap: each("heap"),
      external: each("external"),
      left: after.handles - before.handles
    }
  })

/** Looks when nothing moves any more. */
const rest = Effect.map(Effect.sleep("2 seconds"), sample)

const manyStreams = (client: NamedClient, url: string, way: "request" | "send") =>
  cost(
    `open calls on one transport, by ${way}`,
    client,
    streams,
    Effect.gen(function*() {
      const transport = yield* openTransport(client, { url })
      yield* Effect.forEach(Array.from({ length: streams }, (_, id) => id), (id) => held(transport, id, way), {
        concurrency: 50,
        discard: true
      })
    })
  )

const manyTransports = (client: NamedClient, url: string) =>
  cost(
    "transports, each with a session, a call and `receive`",
    client,
    transports,
    Effect.forEach(Array.from({ length: transports }, (_, id) => id), (id) =>
      Effect.gen(function*() {
        const transport = yield* openTransport(client, { url })
        yield* Effect.forkScoped(Stream.runDrain(transport.receive))
        yield* held(transport, id, "request")
      }), { concurrency: 20, discard: true })
  )

const program = Effect.gen(function*() {
  const url = yield* trafficServer()
  const costs: Array<Cost> = []
  for (const client of [fetchClient, undiciClient, nodeClient]) {
    // The first use of anything costs once.
    yield* Effect.scoped(Effect.flatMap(openTransport(client, { url }), (transport) => held(transport, 0, "send")))
    for (const way of ["request", "send"] as const) {
      costs.push(yield* manyStreams(client, url, way))
      console.log(`${client.name}: ${streams} open calls by ${way}`)
    }
    costs.push(yield* manyTransports(client, url))
    console.log(`${client.name}: ${transports} transports`)
  }
  return costs
})

const costs = await Effect.runPromise(
  Effect.scoped(program).pipe(Effect.provide(Logger.minimumLogLevel(LogLevel.None)))
)

const text = table(
  ["open at the same time", "HTTP client", "number", "heap, KB each", "external, KB each"],
  costs.map(({ client, count, external, heap, what }) => [
    what,
    client,
    count,
    heap.toFixed(1),
    external.toFixed(1)
  ])
)
console.log(`\n${text}\n`)
if (process.argv.includes("--keep")) keep("load.json", `${JSON.stringify({ machine, costs }, undefined, 2)}\n`)

// Sockets that are kept for the next request belong to the HTTP client, and there are few.
const left = costs.filter(({ count, left }) => left > count / 10)
for (const { client, left: handles, what } of left) console.error(`${client}: ${handles} handles are left of ${what}`)
console.log(left.length === 0 ? "load passed" : "load FAILED")
process.exit(left.length === 0 ? 0 : 1)
