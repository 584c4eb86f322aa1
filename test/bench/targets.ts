/**
 * What is promised, and whether this run shows it. Promised for Node 20.
 *
 * A target is out of reach where the building block that the path cannot do without, measured alone in the same run, misses
 * it as well or leaves next to nothing of it, and ours costs little more than that block. Should the block become cheaper, the
 * target holds again.
 */
import type { Series } from "./series.ts"
import { ratioOf, ratiosOf, workloadOf } from "./series.ts"

interface Target {
  readonly title: string
  /** Of the series. */
  readonly id: string
  readonly client: string
  /** What of SDK 2.4.0 it is compared with: its transport, unless given. */
  readonly sdk?: "sdk2-call"
  /** So many times less than SDK 2.4.0, at least. */
  readonly timesLessThanSdk?: number
  /** So many times SDK 2.4.0, at most. */
  readonly timesSdk?: number
  /** So many times the floor, at most. */
  readonly timesFloor?: number
  /** The client that is nothing but what this path cannot do without. */
  readonly block?: string
}

/** How much more than its building block alone a path may cost, if that is what puts a target out of reach. */
const mostOfBlock = 1.2

/** How much of what a target allows a block may take and leave room for anything else: less is what runs differ by. */
const mostOfLimit = 0.95

const targets: ReadonlyArray<Target> = [
  {
    title: "JSON, concurrency 16",
    id: "json-16",
    client: "node-request",
    timesLessThanSdk: 9,
    timesFloor: 1.8,
    block: "floor"
  },
  {
    title: "JSON, concurrency 16",
    id: "json-16",
    client: "node-send",
    timesLessThanSdk: 1.5,
    timesFloor: 9,
    block: "bare-stream"
  },
  {
    title: "JSON, concurrency 16",
    id: "json-16",
    client: "undici-request",
    timesLessThanSdk: 3,
    timesFloor: 6.5,
    block: "bare-undici"
  },
  {
    title: "100 events",
    id: "events-100",
    client: "node-request",
    timesLessThanSdk: 8,
    timesFloor: 1.3,
    block: "floor"
  },
  {
    title: "100 events",
    id: "events-100",
    client: "node-send",
    timesLessThanSdk: 3.5,
    timesFloor: 3.5,
    block: "bare-stream"
  },
  {
    title: "10 000 events",
    id: "events-10k",
    client: "node-request",
    timesLessThanSdk: 9,
    timesFloor: 1.2,
    block: "floor"
  },
  {
    title: "10 000 events",
    id: "events-10k",
    client: "node-send",
    timesLessThanSdk: 9,
    timesFloor: 1.2,
    block: "bare-stream"
  },
  {
    title: "10 000 events",
    id: "events-10k",
    client: "fetch-request",
    timesLessThanSdk: 8,
    timesFloor: 1.3,
    block: "bare-fetch"
  },
  { title: "64 KB events", id: "events-64kb", client: "node-request", timesLessThanSdk: 1.5, timesFloor: 1.5 },
  { title: "1 MB body", id: "json-1mb", client: "node-request", timesLessThanSdk: 1, timesFloor: 1.5 },
  {
    title: "memory per idle stream, 5 000",
    id: "idle-5000.rss",
    client: "node-request",
    timesLessThanSdk: 4,
    timesFloor: 1.1,
    block: "bare-fiber"
  },
  { title: "latency p50", id: "latency.p50", client: "node-request", timesLessThanSdk: 1, timesFloor: 1.4 },
  { title: "latency p99", id: "latency.p99", client: "node-request", timesLessThanSdk: 1, timesFloor: 2 },
  { title: "callTool, JSON, 16", id: "json-16", client: "node-call", sdk: "sdk2-call", timesLessThanSdk: 8 },
  { title: "callTool, 100 events", id: "events-100", client: "node-call", sdk: "sdk2-call", timesLessThanSdk: 12 },
  { title: "an event of 8 MB", id: "size-8000000", client: "node-request", timesLessThanSdk: 1, timesFloor: 2 },
  { title: "import, CPU", id: "import.cpu", client: "core", timesSdk: 3, block: "bare-import" }
]

export type Outcome = "ok" | "out of reach" | "MISSED"

export interface Verdict {
  readonly title: string
  readonly client: string
  readonly versus: string
  readonly measured: number | undefined
  /** The same of its building block alone. */
  readonly alone: number | undefined
  readonly required: string
  readonly outcome: Outcome
}

/** One of the ways a target has: the client costs so many times the base, at most. */
interface Limit {
  readonly target: Target
  readonly base: string
  readonly most: number
  readonly versus: string
  readonly required: string
  /** As it is shown. */
  readonly show: (ratio: number) => number
}

const same = (ratio: number): number => ratio

const inverse = (ratio: number): number => 1 / ratio

const limitsOf = (target: Target): ReadonlyArray<Limit> => {
  const { sdk = "sdk2-transport", timesFloor, timesLessThanSdk, timesSdk } = target
  const most = (versus: string, base: string, limit: number | undefined): ReadonlyArray<Limit> =>
    limit === undefined ? [] : [{ target, base, most: limit, versus, required: `<= ${limit}`, show: same }]
  const least = (versus: string, base: string, limit: number | undefined): ReadonlyArray<Limit> =>
    limit === undefined ? [] : [{ target, base, most: 1 / limit, versus, required: `>= ${limit}`, show: inverse }]
  return [
    ...least("times less than SDK 2.4.0", sdk, timesLessThanSdk),
    ...most("times SDK 2.4.0", sdk, timesSdk),
    ...most("times the floor", "floor", timesFloor)
  ]
}

const allLimits = targets.flatMap(limitsOf)

/** What decides: of how much which ratio may be, at most, and what it is. */
interface Deciding {
  /** The client to the base. */
  readonly measured: number | undefined
  /** Its building block alone to the base. */
  readonly alone: number | undefined
  /** The client to its building block. */
  readonly ofBlock: number | undefined
}

const decidingOn = (all: ReadonlyArray<Series>, { base, target: { block, client, id } }: Limit): Deciding => ({
  measured: ratioOf(all, id, client, base),
  alone: block === undefined ? undefined : ratioOf(all, id, block, base),
  ofBlock: block === undefined ? undefined : ratioOf(all, id, client, block)
})

const outcomeOf = ({ alone, measured, ofBlock }: Deciding, { most }: Limit): Outcome => {
  if (measured !== undefined && measured <= most) return "ok"
  const isOutOfReach = alone !== undefined && ofBlock !== undefined && alone > most * mostOfLimit &&
    ofBlock <= mostOfBlock
  return isOutOfReach ? "out of reach" : "MISSED"
}

/** The verdicts on what was to be run. A target of which nothing was measured, because a client failed, is missed. */
export const judge = (
  all: ReadonlyArray<Series>,
  isSelected: (workload: string, client: string) => boolean
): ReadonlyArray<Verdict> =>
  allLimits
    .filter(({ target: { client, id } }) => isSelected(workloadOf(id), client))
    .map((limit) => {
      const deciding = decidingOn(all, limit)
      const { alone, measured } = deciding
      const { required, show, target: { client, title }, versus } = limit
      return {
        title,
        client,
        versus,
        measured: measured === undefined ? undefined : show(measured),
        alone: alone === undefined ? undefined : show(alone),
        required,
        outcome: outcomeOf(deciding, limit)
      }
    })

/** What is so near to its limit is open: processes differ by as much in what they spend, and by less in all else. */
const marginOf = (id: string): number => id.includes(".") ? 0.03 : 0.1

/** A verdict that more rounds may change. */
export interface OpenVerdict {
  readonly workload: string
  readonly isMissed: boolean
  readonly client: string
  /** Those that decide it, itself among them. */
  readonly clients: ReadonlyArray<string>
  /** How many rounds it rests on. */
  readonly rounds: number
}

/**
 * The open verdicts, of which all clients were measured: what is missed first, then what has had the fewest rounds, then what is
 * nearest to its limit. Of two that are alike the one against the floor, which takes less time than an SDK.
 */
export const openVerdicts = (all: ReadonlyArray<Series>): ReadonlyArray<OpenVerdict> =>
  allLimits
    .map((limit) => {
      const { base, target: { block, client, id } } = limit
      const rounds = Math.min(...[base, block ?? base].map((other) => ratiosOf(all, id, client, other).length))
      const clients = [...new Set([client, base, block ?? base])]
      const distance = distanceTo(all, limit)
      const isOpen = rounds > 0 && distance < marginOf(id)
      return { workload: workloadOf(id), client, clients, rounds, distance, isOpen, isMissed: distance === 0 }
    })
    .filter(({ isOpen }) => isOpen)
    .toSorted((a, b) =>
      Number(b.isMissed) - Number(a.isMissed) || a.rounds - b.rounds || a.distance - b.distance ||
      Number(b.clients.includes("floor")) - Number(a.clients.includes("floor"))
    )

/** How much, in parts of it, the ratio that is nearest to its limit would have to change for another verdict. */
const distanceTo = (all: ReadonlyArray<Series>, limit: Limit): number => {
  const deciding = decidingOn(all, limit)
  const off = (ratio: number | undefined, most: number) => ratio === undefined ? Infinity : Math.abs(ratio / most - 1)
  switch (outcomeOf(deciding, limit)) {
    case "ok":
      return off(deciding.measured, limit.most)
    case "out of reach":
      return Math.min(off(deciding.alone, limit.most * mostOfLimit), off(deciding.ofBlock, mostOfBlock))
    case "MISSED":
      return 0
  }
}

const digits = (value: number | undefined): string | undefined => value?.toFixed(2)

export const describeVerdicts = (verdicts: ReadonlyArray<Verdict>): ReadonlyArray<ReadonlyArray<string>> => [
  ["target", "client", "is", "measured", "required", "block alone", ""],
  ...verdicts.map(({ alone, client, measured, outcome, required, title, versus }) => [
    title,
    client,
    versus,
    digits(measured) ?? "not measured",
    required,
    digits(alone) ?? "",
    outcome
  ])
]
