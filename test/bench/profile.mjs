/**
 * Where a client spends its time, and what of a call the garbage collector has to copy:
 *
 *     node test/bench/profile.mjs node-request "kind=json&bytes=100" 16
 *
 * The client's name (`clients/`), the query of the workload (`workloads.ts`), how many calls side by side. The peers must
 * have been installed (`npm run bench`) and the packages built.
 */
import { fork } from "node:child_process"
import { Session } from "node:inspector/promises"
import { fileURLToPath } from "node:url"
import { Tally } from "./tally.mjs"

const [name = "node-request", query = "kind=json&bytes=100", workers = "16"] = process.argv.slice(2)

const warmUpMs = 6_000
const measureMs = 3_000
const lines = 25

const server = fork(fileURLToPath(new URL("./server.mjs", import.meta.url)), [], { execArgv: [] })
const { url } = await new Promise((resolve) => server.once("message", resolve))
const tally = new Tally()
const { connect } = await import(`./clients/${name}.mjs`)
const { loop } = await connect(`${url}/mcp?${query}`, tally)
const session = new Session()
session.connect()

/** Calls for so long; gives how many messages came. */
const run = async (ms) => {
  tally.reset()
  const end = performance.now() + ms
  await loop(Number(workers), () => performance.now() < end)
  return tally.messages
}

const placeOf = ({ functionName, lineNumber, url }) =>
  url === "" ? functionName : `${functionName || "(anonymous)"} ${url.split("/").slice(-3).join("/")}:${lineNumber + 1}`

const originOf = ({ functionName, url }) => {
  if (url === "") return functionName.startsWith("(") ? functionName : "(native)"
  if (url.startsWith("node:")) return "node"
  const [, own] = /\/packages\/([\w-]+)\//.exec(url) ?? []
  if (own !== undefined) return `ours: ${own}`
  const [, installed] = /.*\/node_modules\/((?:@[\w-]+\/)?[\w.-]+)\//.exec(url) ?? []
  return installed ?? "the benchmark"
}

const print = (title, sums, messages, unit) => {
  const total = [...sums.values()].reduce((sum, value) => sum + value, 0)
  console.log(`\n${title}: ${(total / messages).toFixed(2)} ${unit} per message`)
  for (const [what, value] of [...sums].toSorted(([, a], [, b]) => b - a).slice(0, lines)) {
    const share = `${((100 * value) / total).toFixed(1)} %`
    console.log(`${(value / messages).toFixed(2).padStart(9)} ${unit} ${share.padStart(7)}  ${what}`)
  }
}

const add = (sums, key, value) => sums.set(key, (sums.get(key) ?? 0) + value)

const profileTime = async () => {
  await session.post("Profiler.enable")
  await session.post("Profiler.setSamplingInterval", { interval: 200 })
  await session.post("Profiler.start")
  const messages = await run(measureMs)
  const { profile } = await session.post("Profiler.stop")
  const frames = new Map(profile.nodes.map(({ callFrame, id }) => [id, callFrame]))
  const byOrigin = new Map()
  const byFunction = new Map()
  profile.samples.forEach((id, n) => {
    const frame = frames.get(id)
    if (frame.functionName === "(idle)") return
    add(byOrigin, originOf(frame), profile.timeDeltas[n])
    add(byFunction, placeOf(frame), profile.timeDeltas[n])
  })
  print("Time by origin", byOrigin, messages, "us")
  print("Time by function", byFunction, messages, "us")
}

/** Allocations that outlived collections of the young generation. */
const profileKept = async () => {
  await session.post("HeapProfiler.enable")
  await session.post("HeapProfiler.startSampling", {
    samplingInterval: 8_192,
    includeObjectsCollectedByMajorGC: true,
    includeObjectsCollectedByMinorGC: false
  })
  const messages = await run(measureMs)
  const { profile } = await session.post("HeapProfiler.stopSampling")
  const byFunction = new Map()
  const visit = ({ callFrame, children, selfSize }) => {
    add(byFunction, placeOf(callFrame), selfSize)
    children.forEach(visit)
  }
  visit(profile.head)
  print("Copied by the collector", byFunction, messages, "bytes")
}

await run(warmUpMs)
await profileTime()
await profileKept()
server.kill()
process.exit()
