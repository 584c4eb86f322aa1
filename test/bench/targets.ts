/**
 * What is promised, and whether this run shows it. Promised for Node 20.
 *
 * A target is out of reach where the building block that the path cannot do without, measured alone in the same run, misses
 * it as well or leaves next to nothing of it, and ours costs little more than that block. Should the block become cheaper, the
 * target holds again.
 */
import type { Series } from "./series.ts"
import { ratioOf, ratiosOf, workloadOf } from "./series.ts"
import { quantile } from "./statistics.ts"

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

/** Whether one target is met, in each of the ways it has. */
const judgeOne = (all: ReadonlyArray<Series>, target: Target): ReadonlyArray<Verdict> => {
  const { block, client, id, sdk = "sdk2-transport", timesFloor, timesLessThanSdk, timesSdk, title } = target
  const ofBlock = block === undefined ? undefined : ratioOf(all, id, client, block)
  const isNearBlock = ofBlock !== undefined && ofBlock <= mostOfBlock
  const verdict = (
    versus: string,
    required: string,
    measure: (client: string) => number | undefined,
    meets: (measured: number) => boolean,
    leavesRoom: (alone: number) => boolean
  ): Verdict => {
    const measured = measure(client)
    const alone = block === undefined ? undefined : measure(block)
    const isOutOfReach = isNearBlock && alone !== undefined && !leavesRoom(alone)
    const outcome = measured !== undefined && meets(measured) ? "ok" : isOutOfReach ? "out of reach" : "MISSED"
    return { title, client, versus, measured, alone, required, outcome }
  }
  const most = (versus: string, base: string, limit: number | undefined) =>
    limit === undefined
      ? []
      : [
        verdict(
          versus,
          `<= ${limit}`,
          (one) => ratioOf(all, id, one, base),
          (measured) => measured <= limit,
          (alone) => alone <= limit * mostOfLimit
        )
      ]
  const least = (versus: string, base: string, limit: number | undefined) =>
    limit === undefined
      ? []
      : [
        verdict(
          versus,
          `>= ${limit}`,
          (one) => ratioOf(all, id, base, one),
          (measured) => measured >= limit,
          (alone) => alone * mostOfLimit >= limit
        )
      ]
  return [
    ...least("times less than SDK 2.4.0", sdk, timesLessThanSdk),
    ...most("times SDK 2.4.0", sdk, timesSdk),
    ...most("times the floor", "floor", timesFloor)
  ]
}

/** The verdicts on what was to be run. A target of which nothing was measured, because a client failed, is missed. */
export const judge = (
  all: ReadonlyArray<Series>,
  isSelected: (workload: string, client: string) => boolean
): ReadonlyArray<Verdict> =>
  targets
    .filter(({ client, id }) => isSelected(workloadOf(id), client))
    .flatMap((target) => judgeOne(all, target))

/**
 * The clients of which more rounds may change a verdict on this workload: what decides it lies between the quartiles of their
 * rounds, or near them where there are too few for quartiles.
 */
export const undecided = (all: ReadonlyArray<Series>, workload: string): ReadonlySet<string> =>
  new Set(targets.filter(({ id }) => workloadOf(id) === workload).flatMap((target) => inDoubt(all, target)))

const inDoubt = (all: ReadonlyArray<Series>, target: Target): ReadonlyArray<string> => {
  const { block, client, id, sdk = "sdk2-transport", timesFloor, timesLessThanSdk } = target
  const straddles = (one: string, base: string, limit: number) => {
    const found = ratiosOf(all, id, one, base)
    if (found.length < 3) return found.some((ratio) => Math.abs(ratio / limit - 1) < 0.03)
    return quantile(found, 0.25) < limit && limit < quantile(found, 0.75)
  }
  const doubts = (base: string, most: number) => {
    if (straddles(client, base, most)) return [client, base, ...(block === undefined ? [] : [block])]
    const measured = ratioOf(all, id, client, base)
    const alone = block === undefined ? undefined : ratioOf(all, id, block, base)
    const ofBlock = block === undefined ? undefined : ratioOf(all, id, client, block)
    if (block === undefined || measured === undefined || alone === undefined || ofBlock === undefined) return []
    if (measured <= most) return []
    // Out of reach is what has a block that leaves no room, and is near it: open if one of the two is and none is surely not.
    const roomIsOpen = straddles(block, base, most * mostOfLimit)
    const nearnessIsOpen = straddles(client, block, mostOfBlock)
    const mayBe = (roomIsOpen || alone > most * mostOfLimit) && (nearnessIsOpen || ofBlock <= mostOfBlock)
    return mayBe && (roomIsOpen || nearnessIsOpen) ? [client, base, block] : []
  }
  return [
    ...(timesLessThanSdk === undefined ? [] : doubts(sdk, 1 / timesLessThanSdk)),
    ...(timesFloor === undefined ? [] : doubts("floor", timesFloor))
  ]
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
