/**
 * Mixed traffic over connections that keep breaking, for as long as you like: `npm run test:soak -- --minutes 30`.
 *
 * Every message is numbered, and checked: none may be lost, none may come twice. Memory after garbage collection, handles
 * and the delay of the event loop are looked at every few seconds and drawn. It fails when a message is lost or double,
 * when a request neither is answered nor fails by a type, or when memory or handles grow.
 */
import { JsonRpc, StreamableHttpTransport, TransportError } from "@effect-mcp/transport"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import { monitorEventLoopDelay } from "node:perf_hooks"
import { lineChart } from "./chart.ts"
import {
  argument,
  fetchClient,
  keep,
  machine,
  megabytes,
  type NamedClient,
  nodeClient,
  openTransport,
  type Sample,
  sample,
  table,
  trafficServer,
  undiciClient
} from "./traffic.ts"

const minutes = Number(argument("minutes", "1"))
const seed = argument("seed", String(Date.now()))

/** Sessions at the same time, calls at the same time in each, and how long a session lives. */
const sessions = 6
const callers = 6
const sessionLife = "20 seconds"
const sampleEvery = Math.min(5_000, (minutes * 60_000) / 24)

// A stream that breaks is asked for again at once, and often: this is about messages, not about patience.
const policy = Schedule.spaced("20 millis").pipe(Schedule.intersect(Schedule.recurs(100)))

// --- what is counted ------------------------------------------------------------------------------------------------

const counts = { calls: 0, answered: 0, progress: 0, pushes: 0, notifications: 0, sessions: 0 }
const failures = new Map<string, number>()
const wrongs: Array<string> = []

const messages = (): number => counts.answered + counts.progress + counts.pushes + counts.notifications

const wrong = (what: string): void => {
  wrongs.push(what)
  console.error(`WRONG: ${what}`)
}

/** Every failure has a type; anything else is a mistake of ours. */
const failed = (where: string, error: unknown): void => {
  if (!TransportError.isTransportError(error)) return wrong(`${where}: ${String(error)}`)
  const name = `${where}: ${error._tag}${
    "reason" in error ? ` ${error.reason}` : "phase" in error ? ` ${error.phase}` : ""
  }`
  failures.set(name, (failures.get(name) ?? 0) + 1)
}

// --- traffic --------------------------------------------------------------------------------------------------------

const none: JsonRpc.Response | undefined = undefined

/** One call: all its progress, in order, and its answer; or a failure with a type, and then its beginning. */
const call = (transport: StreamableHttpTransport.Service, name: string): Effect.Effect<void> =>
  Effect.suspend(() => {
    const id = `${name}-${counts.calls++}`
    const steps = counts.calls % 5 === 0 ? 0 : 1 + (counts.calls * 7) % 40
    const request = JsonRpc.request(id, "tools/call", { steps, delay: counts.calls % 4 })
    let last = 0
    const onMessage = (message: JsonRpc.Message): Effect.Effect<void> =>
      Effect.sync(() => {
        const progress = JsonRpc.isNotification(message) ? message.params?.progress : undefined
        if (progress !== last + 1) wrong(`${id}: progress ${progress} after ${last}`)
        last++
        counts.progress++
      })
    const viaStream = Stream.runFoldEffect(
      transport.send(request),
      none,
      (answer, message): Effect.Effect<JsonRpc.Response | undefined> =>
        JsonRpc.isResponse(message) ? Effect.succeed(message) : Effect.as(onMessage(message), answer)
    )
    const ran: Effect.Effect<JsonRpc.Response | undefined, TransportError.TransportError> = counts.calls % 3 === 0
      ? viaStream
      : StreamableHttpTransport.request(transport, request, { onMessage })
    return Effect.match(ran, {
      onFailure: (error) => failed("call", error),
      onSuccess: (response) => {
        counts.answered++
        if (response?.id !== id) wrong(`${id}: the answer has the id ${response?.id}`)
        if (last !== steps) wrong(`${id}: answered after ${last} of ${steps}`)
      }
    })
  })

const notify = (transport: StreamableHttpTransport.Service): Effect.Effect<void> =>
  StreamableHttpTransport.notify(transport, JsonRpc.notification("notifications/roots/list_changed")).pipe(
    Effect.match({ onFailure: (error) => failed("notification", error), onSuccess: () => void counts.notifications++ })
  )

/** The session's own stream: numbered without gaps. */
const listen = (transport: StreamableHttpTransport.Service, name: string): Effect.Effect<void> => {
  let last: number | undefined
  return Stream.runForEach(transport.receive, (message) =>
    Effect.sync(() => {
      const n = JsonRpc.isNotification(message) ? Number(message.params?.n) : NaN
      if (last !== undefined && n !== last + 1) wrong(`${name}: push ${n} after ${last}`)
      last = n
      counts.pushes++
    })).pipe(Effect.match({ onFailure: (error) => failed("receive", error), onSuccess: () => {} }))
}

const clients = [fetchClient, undiciClient, nodeClient]

const clientOf = (n: number): NamedClient => clients[n % clients.length] ?? nodeClient

/** Sessions one after the other, each with all kinds of traffic at once, and some that leave in the middle. */
const traffic = (client: NamedClient, url: string, name: string): Effect.Effect<never> =>
  Effect.gen(function*() {
    const transport = yield* openTransport(client, { url, reconnect: policy, idleTimeout: "1 second" })
    counts.sessions++
    yield* Effect.forkScoped(listen(transport, name))
    const calls = Effect.forEach(
      Array.from({ length: callers }),
      (_, n) => Effect.forever(call(transport, `${name}-${n}`)),
      { concurrency: "unbounded", discard: true }
    )
    const leaving = Effect.forever(Effect.timeout(call(transport, `${name}-leaving`), "15 millis").pipe(Effect.ignore))
    const notifying = Effect.forever(Effect.zipRight(notify(transport), Effect.sleep("20 millis")))
    yield* Effect.all([calls, leaving, notifying], { concurrency: "unbounded", discard: true }).pipe(
      Effect.timeout(sessionLife),
      Effect.ignore
    )
  }).pipe(
    Effect.scoped,
    Effect.catchAll((error) => Effect.sync(() => failed("session", error))),
    Effect.forever
  )

// --- looking --------------------------------------------------------------------------------------------------------

interface Moment extends Sample {
  readonly minute: number
  readonly messages: number
  /** The longest delay of the event loop since the moment before, in milliseconds. */
  readonly delay: number
}

const watch = (moments: Array<Moment>): Effect.Effect<never> => {
  const started = Date.now()
  const delays = monitorEventLoopDelay({ resolution: 10 })
  delays.enable()
  return Effect.forever(Effect.delay(
    Effect.sync(() => {
      const delay = Math.max(0, delays.max / 1e6 - 10)
      const moment = { minute: (Date.now() - started) / 60_000, messages: messages(), delay, ...sample() }
      // The garbage collection for the sample is no delay of the traffic.
      delays.reset()
      moments.push(moment)
      console.log(
        `${moment.minute.toFixed(1)} min  ${moment.messages} messages  heap ${megabytes(moment.heap)} MB  ` +
          `${moment.handles} handles  delay ${delay.toFixed(0)} ms  ${wrongs.length} wrong`
      )
    }),
    sampleEvery
  ))
}

const median = (values: ReadonlyArray<number>): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0

/** The median of a part of the moments: 0 is the beginning, 1 the end. */
const during = (moments: ReadonlyArray<Moment>, from: number, to: number, of: (moment: Moment) => number): number =>
  median(moments.slice(Math.floor(moments.length * from), Math.ceil(moments.length * to)).map(of))

// --- the whole ------------------------------------------------------------------------------------------------------

const program = Effect.gen(function*() {
  console.log(`soak: ${minutes} minutes, seed ${seed}`)
  const url = yield* trafficServer(seed)
  const moments: Array<Moment> = []
  const watching = yield* Effect.fork(watch(moments))
  const fibers = yield* Effect.forEach(
    Array.from({ length: sessions }),
    (_, n) => Effect.forkDaemon(traffic(clientOf(n), url, `s${n}`))
  )
  yield* Effect.sleep(minutes * 60_000)
  yield* Fiber.interrupt(watching)
  const ended = yield* Effect.timeout(Fiber.interruptAll(fibers), "20 seconds").pipe(Effect.exit)
  if (Exit.isFailure(ended)) wrong("the end took longer than 20 seconds")
  return moments
})

const moments = await Effect.runPromise(
  Effect.scoped(program).pipe(Effect.provide(Logger.minimumLogLevel(LogLevel.None)))
)

const heap = [during(moments, 0.25, 0.5, ({ heap }) => heap), during(moments, 0.75, 1, ({ heap }) => heap)] as const
const handles = [during(moments, 0.25, 0.5, (m) => m.handles), during(moments, 0.75, 1, (m) => m.handles)] as const
const delay = median(moments.map((moment) => moment.delay))
if (heap[1] > heap[0] + 8 * 1024 * 1024) wrong(`the heap grew from ${megabytes(heap[0])} to ${megabytes(heap[1])} MB`)
if (handles[1] > handles[0] * 1.5 + 20) wrong(`handles grew from ${handles[0]} to ${handles[1]}`)

const rows: ReadonlyArray<readonly [string, string | number]> = [
  ["minutes", minutes],
  ["messages", messages()],
  ["lost, double or out of order", wrongs.length],
  ["calls begun", counts.calls],
  ["calls answered; the others were left on purpose, or failed as below", counts.answered],
  ["sessions", counts.sessions],
  ["heap after collection, second and last quarter", `${megabytes(heap[0])}, ${megabytes(heap[1])} MB`],
  ["handles, second and last quarter", `${handles[0]}, ${handles[1]}`],
  ["longest delay of the event loop in a sample, median", `${delay.toFixed(0)} ms`],
  ...Array.from(failures).toSorted().map(([name, count]) => [`failed, ${name}`, count] as const)
]
console.log(`\n${table(["soak", ""], rows)}\n`)

const times = moments.map(({ minute }) => minute)
const rates = moments.map((moment, n) => {
  const before = moments[n - 1] ?? { minute: 0, messages: 0 }
  return (moment.messages - before.messages) / ((moment.minute - before.minute) * 60)
})
const chart = lineChart(`Soak: ${messages()} messages over connections that keep breaking`, times, [
  { name: "heap after garbage collection", unit: "MB", values: moments.map(({ heap }) => heap / 1024 / 1024) },
  { name: "handles", unit: "sockets, timers, ...", values: moments.map((moment) => moment.handles) },
  { name: "messages", unit: "a second", values: rates }
])
if (process.argv.includes("--keep")) {
  keep("soak.svg", chart)
  keep("soak.json", `${JSON.stringify({ machine, seed, result: Object.fromEntries(rows) }, undefined, 2)}\n`)
}
console.log(wrongs.length === 0 ? "soak passed" : `soak FAILED:\n${wrongs.slice(0, 20).join("\n")}`)
process.exit(wrongs.length === 0 ? 0 : 1)
