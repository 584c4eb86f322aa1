/**
 * The benchmark: `npm run bench -- [--quick] [--only workload,...] [--clients name,...] [--node current|second|both] [--keep]`
 *
 * See README.md for what it measures and how to read it.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { isDeepStrictEqual, parseArgs } from "node:util"
import { choose } from "./again.ts"
import { barChart, linearityChart } from "./charts.ts"
import type { BenchClient } from "./clients.ts"
import { clients, floor, sdk2Transport } from "./clients.ts"
import type { Machine } from "./machine.ts"
import { describeMachine, nodeVersion } from "./machine.ts"
import type { Measured, Settings, WarmUp } from "./measure.ts"
import { measure } from "./measure.ts"
import { installPeers, secondNode } from "./peers.ts"
import type { Results } from "./report.ts"
import { aligned, describeSeries, firstLine, report } from "./report.ts"
import type { Series } from "./series.ts"
import { joined, summarize, workloadOf } from "./series.ts"
import { describeVerdicts, judge, openVerdicts } from "./targets.ts"
import type { Workload } from "./workloads.ts"
import { workloads } from "./workloads.ts"

const { values: options } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    keep: { type: "boolean", default: false },
    only: { type: "string" },
    clients: { type: "string" },
    node: { type: "string" }
  }
})

const results = fileURLToPath(new URL("./results/", import.meta.url))

const names = (list: string | undefined, known: ReadonlyArray<{ readonly name: string }>) => {
  const wanted = list?.split(",")
  const unknown = wanted?.filter((name) => !known.some((one) => one.name === name)) ?? []
  if (unknown.length > 0) {
    throw new Error(`unknown: ${unknown.join(", ")}; there are ${known.map(({ name }) => name).join(", ")}`)
  }
  return wanted
}

const only = names(options.only, workloads)
const wantedClients = names(options.clients, clients)

/** Ratios need both. */
const always = new Set([floor.name, sdk2Transport.name])

const majorOf = (version: string): number => Number(/^v(\d+)/.exec(version)?.[1])

/** The clients of a workload in this run. */
const clientsOf = (workload: Workload, version: string): ReadonlyArray<BenchClient> =>
  clients.filter((client) => {
    const quick = options.quick ? workload.quick : undefined
    if (client.node !== undefined && majorOf(version) < client.node) return false
    if (client.only !== undefined && !client.only.includes(workload.name)) return false
    if (quick !== undefined && !quick.includes(client.name)) return false
    if (workload.clients !== undefined && !workload.clients.includes(client.name)) return false
    return wantedClients === undefined || wantedClients.includes(client.name) || always.has(client.name)
  })

const workloadsOf = (isSecond: boolean): ReadonlyArray<Workload> =>
  workloads.filter((workload) => {
    if (only !== undefined) return only.includes(workload.name)
    if (options.quick) return workload.quick !== undefined
    // The second Node is for the comparison of speed.
    return !isSecond || !(workload.kind === "footprint" || workload.kind === "idle" || isLinearity(workload))
  })

const isLinearity = (workload: Workload): boolean => workload.kind === "throughput" && workload.linearity !== undefined

/** The warm-up of a quick run is short; its rounds are more where it matters. See README.md. */
const effort = options.quick
  ? { warmUp: { leastMs: 1_500, mostMs: 2_500, mostShare: 2 }, rounds: 2, samples: 4, idleSamples: 1 }
  : { warmUp: { leastMs: 3_000, mostMs: 12_000, mostShare: 1 }, rounds: 5, samples: 9, idleSamples: 3 }

const warmUpOf = (workload: Workload): WarmUp => {
  const { leastMs, mostMs, mostShare } = effort.warmUp
  const share = Math.min(mostShare, workload.kind === "throughput" ? workload.warmUpShare ?? 1 : 1)
  return { leastMs: share * leastMs, mostMs: share * mostMs, mostShare }
}

const settingsFor = (workload: Workload, execPath: string, firstRound: number): Settings => ({
  execPath,
  warmUp: warmUpOf(workload),
  rounds: isLinearity(workload) ? 3 : effort.rounds,
  roundMs: workload.kind === "throughput" ? workload.roundMs ?? 200 : 200,
  turnMs: 100,
  leadInMs: 20,
  samples: workload.kind === "idle" ? effort.idleSamples : effort.samples,
  firstRound
})

/** To be raised when something is measured in another way: what was measured differently is not put together. */
const method = 3

/** What has been kept of other workloads, if it was the same machine, the same software and the same way. */
const keptBefore = (file: string, machine: Machine, workload: string): Pick<Results, "series" | "failures"> => {
  const nothing = { series: [], failures: [] }
  if (!existsSync(file)) return nothing
  const kept: Results = JSON.parse(readFileSync(file, "utf8"))
  if (kept.method !== method || !isDeepStrictEqual(kept.machine, machine)) return nothing
  return {
    series: kept.series.filter(({ id }) => id !== workload && !id.startsWith(`${workload}.`)),
    failures: kept.failures.filter((failure) => failure.workload !== workload)
  }
}

interface Chart {
  readonly suffix: string
  /** Workloads without any of which there is nothing to draw. */
  readonly shows: (workload: string) => boolean
  readonly draw: (all: Results["series"]) => string
}

const charts: ReadonlyArray<Chart> = [
  {
    suffix: "",
    shows: (workload) => /^(json|events)-/.test(workload),
    draw: (all) => barChart(all, clients, ["json-16", "events-100", "events-10k", "events-64kb", "json-1mb"])
  },
  {
    suffix: "-process",
    shows: (workload) => /^(idle-5000|latency|import|whole-100)$/.test(workload),
    draw: (all) =>
      barChart(all, clients, ["idle-5000.rss", "latency.p50", "latency.p99", "import.cpu", "whole-100.cpu"])
  },
  {
    suffix: "-linear",
    shows: (workload) => /^(length|streams|size)-/.test(workload),
    draw: (all) => linearityChart(all, workloads, clients)
  }
]

/** Puts a workload into the kept results, with their table and charts. */
const keep = (execPath: string, workload: Workload, { failures, series }: Measured): void => {
  mkdirSync(results, { recursive: true })
  const machine = describeMachine(execPath, clients)
  const name = `${options.quick ? "quick-" : ""}node${majorOf(machine.node)}`
  const before = keptBefore(join(results, `${name}.json`), machine, workload.name)
  const all: Results = {
    date: new Date().toISOString(),
    machine,
    method,
    warmUp: effort.warmUp,
    rounds: effort.rounds,
    series: [...before.series, ...summarize(series)],
    failures: [...before.failures, ...failures]
  }
  const drawn = charts.filter(({ shows }) => all.series.some(({ id }) => shows(workloadOf(id))))
  for (const { draw, suffix } of drawn) writeFileSync(join(results, `${name}${suffix}.svg`), draw(all.series))
  writeFileSync(join(results, `${name}.json`), `${JSON.stringify(all, null, 2)}\n`)
  const isMeasured = (workload: string, client: string) =>
    all.series.some(({ client: one, id }) => one === client && workloadOf(id) === workload)
  const verdicts = majorOf(machine.node) === 20 ? judge(all.series, isMeasured) : []
  writeFileSync(
    join(results, `${name}.md`),
    report(all, clients, verdicts, drawn.map(({ suffix }) => `${name}${suffix}.svg`))
  )
}

/** Runs everything selected on one Node. Gives whether all is well. */
const runOn = async (execPath: string, isSecond: boolean): Promise<boolean> => {
  const version = nodeVersion(execPath)
  const selected = workloadsOf(isSecond)
  const areTargets = majorOf(version) === 20
  const measured = new Map<string, Timed>()
  for (const workload of selected) {
    const one = await measureAll(workload, clientsOf(workload, version), execPath)
    measured.set(workload.name, one)
    tell(workload, version, one)
    if (options.keep) keep(execPath, workload, one)
  }
  const allSeries = () => [...measured.values()].flatMap(({ series }) => series)
  if (options.quick && areTargets) await measureAgain(selected, version, execPath, measured, allSeries)
  const verdicts = judge(
    allSeries(),
    (name, client) => {
      const workload = selected.find((workload) => workload.name === name)
      return workload !== undefined && clientsOf(workload, version).some((one) => one.name === client)
    }
  )
  const missed = verdicts.filter(({ outcome }) => outcome === "MISSED")
  if (!areTargets) console.log(`\nThe targets are for Node 20; this is ${version}.`)
  else if (verdicts.length > 0) console.log(`\n${aligned(describeVerdicts(verdicts))}`)
  const hasFailed = [...measured.values()].some(({ failures }) => failures.length > 0)
  return !hasFailed && (!areTargets || missed.length === 0)
}

/** What was measured, and how long it took for each client. */
interface Timed extends Measured {
  readonly msEach: number
  readonly rounds: number
}

const measureAll = async (
  workload: Workload,
  some: ReadonlyArray<BenchClient>,
  execPath: string,
  firstRound = 0
): Promise<Timed> => {
  const start = performance.now()
  const settings = settingsFor(workload, execPath, firstRound)
  const measured = await measure(workload, some, settings)
  const rounds = 1 + Math.max(firstRound - 1, ...measured.series.flatMap(({ rounds }) => rounds))
  return { ...measured, rounds, msEach: (performance.now() - start) / some.length }
}

const tell = (workload: Workload, version: string, { failures, msEach, series }: Timed): void => {
  const count = new Set(series.map(({ client }) => client)).size + failures.length
  console.log(`\n${workload.title} (${workload.name}), Node ${version}, ${((msEach * count) / 1_000).toFixed(0)} s`)
  console.log(describeSeries(summarize(series)))
  for (const failure of failures) console.log(`FAILED ${failure.client}: ${firstLine(failure.error)}`)
}

/** A quick run ends within three minutes, the build before this process included. */
const quickMs = 173_000

/** Measures what is open again, until nothing is, or there is no time for it. */
const measureAgain = async (
  selected: ReadonlyArray<Workload>,
  version: string,
  execPath: string,
  measured: Map<string, Timed>,
  allSeries: () => ReadonlyArray<Series>
): Promise<void> => {
  const msEach = (name: string) => measured.get(name)?.msEach ?? Infinity
  for (;;) {
    const choice = choose(openVerdicts(allSeries()), msEach, quickMs - performance.now())
    const workload = selected.find(({ name }) => name === choice?.workload)
    const before = workload === undefined ? undefined : measured.get(workload.name)
    if (choice === undefined || workload === undefined || before === undefined) return
    const some = clientsOf(workload, version).filter(({ name }) => choice.clients.has(name))
    const again = await measureAll(workload, some, execPath, before.rounds)
    const both = {
      series: joined(before.series, again.series)
        .filter(({ client }) => !again.failures.some((failure) => failure.client === client)),
      failures: [...before.failures, ...again.failures],
      rounds: again.rounds,
      msEach: before.msEach
    }
    measured.set(workload.name, both)
    console.log(`\nAgain, in fresh processes: ${some.map(({ name }) => name).join(", ")}`)
    tell(workload, version, again)
    if (options.keep) keep(execPath, workload, both)
  }
}

installPeers()

const which = options.node ?? (options.quick ? "current" : "both")
if (!["current", "second", "both"].includes(which)) throw new Error("--node is current, second or both")
const outcomes = [
  ...(which === "second" ? [] : [await runOn(process.execPath, false)]),
  ...(which === "current" ? [] : [await runOn(secondNode, true)])
]
process.exitCode = outcomes.every(Boolean) ? 0 : 1
