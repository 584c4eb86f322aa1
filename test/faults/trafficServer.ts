/**
 * The server of the soak and load tests, in a process of its own: sessions, calls with progress whose streams can be
 * resumed, a stream of its own for each session, and, if a seed is given, a proxy before it that breaks things.
 *
 * `node ... trafficServer.ts [seed]`; tells its url by IPC, and ends with its parent.
 */
import { FaultProxy, ScriptedServer } from "@effect-mcp/testing"
import { JsonRpc } from "@effect-mcp/transport"
import * as Effect from "effect/Effect"
import { createHash, randomUUID } from "node:crypto"

/** How long a call's events can be asked for again once it is answered. */
const keptFor = 30_000

/** How many of the newest events a stream keeps. */
const kept = 10_000

/** How often each session's own stream tells something, in milliseconds. */
const pushEvery = 10

// --- streams that can be resumed ------------------------------------------------------------------------------------

class ResumableStream {
  private readonly writers = new Set<ScriptedServer.EventWriter>()
  private events: Array<string> = []
  private first = 0
  private hasEnded = false

  readonly name: string

  constructor(name: string) {
    this.name = name
  }

  tell(data: unknown): void {
    const event = { id: `${this.name}:${this.first + this.events.length}`, data }
    this.events.push(JSON.stringify(event))
    for (const writer of this.writers) writer.event(event)
    if (this.events.length < 2 * kept) return
    this.first += this.events.length - kept
    this.events = this.events.slice(-kept)
  }

  end(): void {
    this.hasEnded = true
    for (const writer of this.writers) writer.end()
  }

  /** Writes what comes from now on, or what came after the event with that number. */
  attach(writer: ScriptedServer.EventWriter, after?: number): void {
    const from = after === undefined ? this.events.length : after + 1 - this.first
    for (const event of this.events.slice(from)) writer.event(JSON.parse(event))
    if (this.hasEnded) return writer.end()
    this.writers.add(writer)
    writer.onClose(() => this.writers.delete(writer))
  }
}

// --- the server -----------------------------------------------------------------------------------------------------

const streams = new Map<string, ResumableStream>()
const sessions = new Map<string, { readonly pushes: ResumableStream; readonly timer: NodeJS.Timeout }>()

const openSession = (): string => {
  const id = randomUUID()
  const pushes = new ResumableStream(`push-${id}`)
  streams.set(pushes.name, pushes)
  let n = 0
  const timer = setInterval(() => pushes.tell(JsonRpc.notification("notifications/message", { n: n++ })), pushEvery)
  sessions.set(id, { pushes, timer })
  return id
}

const closeSession = (id: string): void => {
  const session = sessions.get(id)
  if (session === undefined) return
  clearInterval(session.timer)
  session.pushes.end()
  streams.delete(session.pushes.name)
  sessions.delete(id)
}

const handle: ScriptedServer.Handler = (exchange) => {
  const { headers, message, method } = exchange
  const sessionId = headers["mcp-session-id"] ?? ""
  if (message?.method === "initialize") return initialize(exchange)
  const session = sessions.get(sessionId)
  if (session === undefined) return exchange.status(404)
  if (method === "DELETE") {
    closeSession(sessionId)
    return exchange.status(200)
  }
  if (method === "GET") return resume(exchange, session.pushes)
  if (message?.method === "tools/call") return call(exchange)
  exchange.status(202)
}

const initialize = ({ json, message }: ScriptedServer.Exchange): void =>
  json({
    jsonrpc: "2.0",
    id: message?.id,
    result: { protocolVersion: "2025-11-25", capabilities: {}, serverInfo: { name: "traffic", version: "1.0.0" } }
  }, { headers: { "mcp-session-id": openSession() } })

const resume = ({ events, headers, status }: ScriptedServer.Exchange, pushes: ResumableStream): void => {
  const cursor = headers["last-event-id"]
  if (cursor === undefined) return pushes.attach(events())
  const [name = "", number] = cursor.split(":")
  const stream = streams.get(name)
  if (stream === undefined) return status(400, `no stream has the event ${cursor}`)
  stream.attach(events(), Number(number))
}

/** `steps` progress notifications, `delay` milliseconds apart, then the answer; no steps: an answer in JSON. */
const call = ({ events, json, message }: ScriptedServer.Exchange): void => {
  const id = message?.id
  if (typeof id !== "string" && typeof id !== "number") throw new Error("a call without an id")
  const params = Object(message?.params)
  const steps = Number(Reflect.get(params, "steps"))
  const delay = Number(Reflect.get(params, "delay"))
  const answer = JsonRpc.success(id, { steps })
  if (steps === 0) return json(answer)
  const stream = new ResumableStream(`call-${randomUUID()}`)
  streams.set(stream.name, stream)
  stream.attach(events())
  // An event with nothing but an id: from now on the call can be resumed.
  stream.tell("")
  let step = 0
  const next = (): void => {
    if (step === steps) {
      stream.tell(answer)
      stream.end()
      setTimeout(() => streams.delete(stream.name), keptFor).unref()
      return
    }
    step++
    stream.tell(JsonRpc.notification("notifications/progress", { progressToken: id, progress: step }))
    // A call that is to stay open waits for ever.
    if (delay >= 0) setTimeout(next, delay)
  }
  next()
}

// --- what goes wrong ------------------------------------------------------------------------------------------------

/** Numbers from 0 to 1 that are the same for the same seed, exchange and name. */
const dice = (seed: string, index: number) => (name: string): number =>
  createHash("sha1").update(`${seed} ${index} ${name}`).digest().readUInt32BE() / 2 ** 32

const oneOf = <A>(at: number, options: ReadonlyArray<readonly [weight: number, make: () => A]>): A | undefined => {
  const total = options.reduce((sum, [weight]) => sum + weight, 0)
  let left = at * total
  for (const [weight, make] of options) {
    left -= weight
    if (left < 0) return make()
  }
  return undefined
}

/** A third of all exchanges meet something. What can be resumed mostly breaks where it can. */
const plan = (seed: string): FaultProxy.Plan => ({ body, index, method }) => {
  const at = dice(seed, index)
  if (at("whether") > 0.33 || method === "DELETE") return []
  const how = at("how") < 0.5 ? "Close" : "Reset"
  const events = 1 + Math.floor(at("events") * 20)
  const fault = oneOf<FaultProxy.Fault>(at("what"), [
    [8, () => FaultProxy.cut({ after: { events }, how })],
    [2, () => FaultProxy.cut({ after: { bytes: Math.floor(at("bytes") * 3_000) }, how })],
    [1, () => FaultProxy.cut({ after: { events }, how: "HalfOpen" })],
    [2, () => FaultProxy.stall({ after: { events }, duration: "300 millis" })],
    [3, () => FaultProxy.split({ size: 1 + Math.floor(at("size") * 40) })],
    [2, () => FaultProxy.delay({ by: Math.floor(at("delay") * 5) })],
    [1, () => FaultProxy.lose()]
  ])
  if (method === "GET" && at("get") < 0.3) {
    return [at("status") < 0.5 ? FaultProxy.respond({ status: 503 }) : FaultProxy.refuse({ how })]
  }
  // The handshake is not what is tried here.
  return fault === undefined || body.includes("\"initialize\"") || body.includes("notifications/initialized")
    ? []
    : [fault]
}

// --- the process ----------------------------------------------------------------------------------------------------

const seed = process.argv[2]

const program = Effect.gen(function*() {
  const server = yield* ScriptedServer.makeLoopback(handle)
  const url = seed === undefined
    ? server.url
    : (yield* FaultProxy.make({ target: server.url, faults: plan(seed), keep: 0 })).url
  process.send?.({ url })
  yield* Effect.async<void>((resume) => void process.once("disconnect", () => resume(Effect.void)))
  for (const id of sessions.keys()) closeSession(id)
})

await Effect.runPromise(Effect.scoped(program))
process.exit()
