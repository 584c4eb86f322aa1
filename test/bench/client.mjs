/**
 * The process of one client. Over IPC it is told what to do; it answers `{ value }` or `{ error }`.
 *
 * A client's module in `clients/` exports `connect(url, tally)`, which opens a session and gives `loop(workers, more)`:
 * so many loops side by side, each of which calls the tool for as long as `more()` says so, and tells the tally what came.
 */
import { Session } from "node:inspector/promises"
import { isDeepStrictEqual } from "node:util"
import { parseShape } from "./shape.mjs"
import { expectedRecord, expectedTally, Tally } from "./tally.mjs"

let loop
let tally
let shape
let answersOnly

/** Lets every worker start the same number of calls, until `enough` says so between two rounds of them. */
const rounds = (workers, enough) => {
  let started = 0
  let stopped = false
  return {
    more: () => {
      if (stopped || (started % workers === 0 && enough(started))) {
        stopped = true
        return false
      }
      started++
      return true
    },
    started: () => started
  }
}

const cpuMicros = (since) => {
  const { system, user } = process.cpuUsage(since)
  return system + user
}

/** Runs calls, and checks that what they should bring has come, and nothing else. */
const run = async (workers, enough) => {
  tally.reset()
  const { more, started } = rounds(workers, enough)
  const cpu = process.cpuUsage()
  const start = performance.now()
  await loop(workers, more)
  const wallMs = performance.now() - start
  const cpuUs = cpuMicros(cpu)
  const calls = started()
  const expected = expectedTally(shape, answersOnly)
  const messages = calls * expected.messages
  const sumMatters = tally.latencies === undefined
  if (tally.messages !== messages || (sumMatters && tally.sum !== calls * expected.sum)) {
    throw new Error(
      `${calls} calls delivered ${tally.messages} of ${messages} messages, checksum ${tally.sum} of ${
        calls * expected.sum
      }`
    )
  }
  return { calls, messages, cpuUs, wallMs }
}

/**
 * As `gc()` does not: it also gives back what is empty, and moves together what is scattered. Without that the young
 * generation, which grows while streams are opened or has grown before, counts for several kilobytes of each.
 */
const collectAll = async () => {
  const inspector = new Session()
  inspector.connect()
  await inspector.post("HeapProfiler.collectGarbage")
  inspector.disconnect()
}

const residentBytes = async () => {
  for (let n = 0; n < 2; n++) {
    await collectAll()
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  const { heapUsed, rss } = process.memoryUsage()
  return { heapUsed, rss }
}

/** Waits until so many streams have brought their first message. */
const delivered = async (count) => {
  if (answersOnly) return
  for (let n = 0; tally.messages < count && n < 300; n++) await new Promise((resolve) => setTimeout(resolve, 100))
  if (tally.messages !== count) throw new Error(`${count} streams delivered ${tally.messages} first messages`)
}

const commands = {
  /** Opens a session. Another one may be open already: it is left alone. */
  connect: async ({ module, url, ...options }) => {
    shape = parseShape(url)
    answersOnly = options.answersOnly
    tally = new Tally()
    const client = await import(module)
    ;({ loop } = await client.connect(url, tally))
  },
  /** Some calls, every message of which is compared. */
  verify: async ({ workers }) => {
    const calls = Math.max(workers, 2)
    tally.record = []
    await run(workers, (started) => started >= calls)
    const one = expectedRecord(shape, answersOnly)
    const key = ({ progress = Infinity }) => progress
    const expected = Array.from({ length: workers === 1 ? calls : Math.max(workers, calls) }, () => one).flat()
    const got = workers === 1 ? tally.record : tally.record.toSorted((a, b) => key(a) - key(b))
    if (!isDeepStrictEqual(got, workers === 1 ? expected : expected.toSorted((a, b) => key(a) - key(b)))) {
      throw new Error("other messages came than were sent, or in another order")
    }
    tally.record = undefined
  },
  /**
   * Calls until they have not become cheaper for a quarter of the most time, of CPU: V8 needs from one second to many, with
   * pauses between its steps, depending on how much code there is to compile.
   */
  warmUp: async ({ leastMs, mostMs, workers }) => {
    let spent = 0
    let best = Infinity
    let bestAt = 0
    while (spent < mostMs * 1_000 && (spent < leastMs * 1_000 || spent - bestAt < mostMs * 250)) {
      const cpu = process.cpuUsage()
      const { calls, cpuUs } = await run(workers, () => cpuMicros(cpu) >= 250_000)
      spent += cpuUs
      if (cpuUs / calls > best * 0.97) continue
      best = cpuUs / calls
      bestAt = spent
    }
  },
  /** Calls for so long: how many, and what they cost. Not before what V8 has given up while others had their turn is back. */
  measure: async ({ leadInMs, ms, workers }) => {
    const until = (end) => run(workers, (started) => started > 0 && performance.now() >= end)
    await until(performance.now() + leadInMs)
    return until(performance.now() + ms)
  },
  /** One call of a clock: how long every message was under way. */
  latencies: async () => {
    tally.latencies = []
    const { cpuUs } = await run(1, (started) => started > 0)
    return { cpuUs, micros: tally.latencies }
  },
  /** Starts calls that will not be answered. */
  hold: async ({ count }) => {
    const { more } = rounds(count, (started) => started >= count)
    loop(count, more).catch(() => {})
  },
  /** What there is before more of them are started. */
  before: async ({ count }) => {
    await delivered(count)
    return { ...(await residentBytes()), cpu: process.cpuUsage() }
  },
  /** What those after that take, once the server says that it holds them all. */
  held: async ({ before, count }) => {
    await delivered(count)
    const cpuUs = cpuMicros(before.cpu)
    const after = await residentBytes()
    return { rss: after.rss - before.rss, heap: after.heapUsed - before.heapUsed, cpuUs }
  },
  /** A program that does its calls and ends: what the whole process has cost by then. */
  whole: async ({ calls }) => {
    await run(1, (started) => started >= calls)
    return { cpuUs: cpuMicros(), rss: process.memoryUsage().rss }
  },
  /** What it costs to import something. */
  import: async ({ modules }) => {
    const cpu = process.cpuUsage()
    const start = performance.now()
    for (const module of modules) await import(module)
    return { cpuUs: cpuMicros(cpu), wallMs: performance.now() - start }
  }
}

process.on("message", async ({ command, ...options }) => {
  try {
    process.send({ value: (await commands[command](options)) ?? null })
  } catch (error) {
    process.send({ error: String(error?.stack ?? error) })
  }
})
process.once("disconnect", () => process.exit())
process.send({ value: null })
