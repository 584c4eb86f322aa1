/**
 * What is promised, and whether this run shows it. Promised for Node 20.
 */
import type { Series } from "./series.ts"
import { ratioOf } from "./series.ts"

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
}

const targets: ReadonlyArray<Target> = [
  { title: "JSON, concurrency 16", id: "json-16", client: "node-request", timesLessThanSdk: 9, timesFloor: 1.8 },
  { title: "JSON, concurrency 16", id: "json-16", client: "node-send", timesLessThanSdk: 1.5, timesFloor: 9 },
  { title: "JSON, concurrency 16", id: "json-16", client: "undici-request", timesLessThanSdk: 3, timesFloor: 6.5 },
  { title: "100 events", id: "events-100", client: "node-request", timesLessThanSdk: 8, timesFloor: 1.3 },
  { title: "100 events", id: "events-100", client: "node-send", timesLessThanSdk: 3.5, timesFloor: 3.5 },
  { title: "10 000 events", id: "events-10k", client: "node-request", timesLessThanSdk: 9, timesFloor: 1.2 },
  { title: "10 000 events", id: "events-10k", client: "node-send", timesLessThanSdk: 9, timesFloor: 1.2 },
  { title: "10 000 events", id: "events-10k", client: "fetch-request", timesLessThanSdk: 8, timesFloor: 1.3 },
  { title: "64 KB events", id: "events-64kb", client: "node-request", timesLessThanSdk: 1.5, timesFloor: 1.5 },
  { title: "1 MB body", id: "json-1mb", client: "node-request", timesLessThanSdk: 1, timesFloor: 1.5 },
  {
    title: "memory per idle stream, 5 000",
    id: "idle-5000.rss",
    client: "node-request",
    timesLessThanSdk: 4,
    timesFloor: 1.1
  },
  { title: "latency p50", id: "latency.p50", client: "node-request", timesLessThanSdk: 1, timesFloor: 1.4 },
  { title: "latency p99", id: "latency.p99", client: "node-request", timesLessThanSdk: 1, timesFloor: 2 },
  { title: "callTool, JSON, 16", id: "json-16", client: "node-call", sdk: "sdk2-call", timesLessThanSdk: 8 },
  { title: "callTool, 100 events", id: "events-100", client: "node-call", sdk: "sdk2-call", timesLessThanSdk: 12 },
  { title: "import, CPU", id: "import.cpu", client: "core", timesSdk: 3 }
]

export interface Verdict {
  readonly title: string
  readonly client: string
  readonly versus: string
  readonly measured: number | undefined
  readonly required: string
  readonly ok: boolean
}

/** Whether one target is met, in each of the ways it has. */
const judgeOne = (all: ReadonlyArray<Series>, target: Target): ReadonlyArray<Verdict> => {
  const { client, id, sdk = "sdk2-transport", timesFloor, timesLessThanSdk, timesSdk, title } = target
  const least = (versus: string, measured: number | undefined, limit: number | undefined): Verdict | undefined =>
    limit === undefined
      ? undefined
      : { title, client, versus, measured, required: `>= ${limit}`, ok: measured !== undefined && measured >= limit }
  const most = (versus: string, measured: number | undefined, limit: number | undefined): Verdict | undefined =>
    limit === undefined
      ? undefined
      : { title, client, versus, measured, required: `<= ${limit}`, ok: measured !== undefined && measured <= limit }
  return [
    least("times less than SDK 2.4.0", ratioOf(all, id, sdk, client), timesLessThanSdk),
    most("times SDK 2.4.0", ratioOf(all, id, client, sdk), timesSdk),
    most("times the floor", ratioOf(all, id, client, "floor"), timesFloor)
  ].filter((verdict) => verdict !== undefined)
}

/** The verdicts on what was to be run. A target of which nothing was measured, because a client failed, is missed. */
export const judge = (
  all: ReadonlyArray<Series>,
  isSelected: (workload: string, client: string) => boolean
): ReadonlyArray<Verdict> =>
  targets
    .filter(({ client, id }) => isSelected(id.replace(/\..*$/, ""), client))
    .flatMap((target) => judgeOne(all, target))

export const describeVerdicts = (verdicts: ReadonlyArray<Verdict>): ReadonlyArray<ReadonlyArray<string>> => [
  ["target", "client", "is", "measured", "required", ""],
  ...verdicts.map(({ client, measured, ok, required, title, versus }) => [
    title,
    client,
    versus,
    measured === undefined ? "not measured" : measured.toFixed(2),
    required,
    ok ? "ok" : "MISSED"
  ])
]
