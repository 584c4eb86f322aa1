/**
 * The results as Markdown, and as the aligned text that a run prints.
 */
import type { BenchClient } from "./clients.ts"
import type { Machine } from "./machine.ts"
import type { WarmUp } from "./measure.ts"
import type { Failure, Summary } from "./series.ts"
import type { Verdict } from "./targets.ts"
import { describeVerdicts } from "./targets.ts"

export interface Results {
  readonly date: string
  readonly machine: Machine
  /** Undefined in the first ones that were kept. */
  readonly method?: number
  readonly warmUp: WarmUp
  readonly rounds: number
  readonly series: ReadonlyArray<Summary>
  readonly failures: ReadonlyArray<Failure>
}

type Rows = ReadonlyArray<ReadonlyArray<string>>

/** Columns under each other, for a terminal. */
export const aligned = (rows: Rows): string => {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? "").length)))
  return rows.map((row) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  ").trimEnd()).join("\n")
}

const markdownTable = (rows: Rows): string => {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(3, ...rows.map((row) => (row[column] ?? "").length)))
  const line = (row: ReadonlyArray<string>) =>
    `| ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(" | ")} |`
  const [head = [], ...body] = rows
  return [line(head), line(widths.map((width) => "-".repeat(width))), ...body.map(line)].join("\n")
}

/** Three digits that matter. */
const short = (value: number): string =>
  Math.abs(value) >= 1_000 ? Math.round(value).toString() : Number(value.toPrecision(3)).toString()

const times = (value: number | undefined): string =>
  value === undefined ? "" : value >= 10 ? value.toFixed(0) : value >= 2 ? value.toFixed(1) : value.toFixed(2)

/** What a run prints of a workload as soon as it is there. */
export const describeSeries = (series: ReadonlyArray<Summary>): string =>
  aligned([
    ["client", "measured", "quartiles", "", "values", "x floor", "x SDK 2.4.0"],
    ...series.map(({ client, id, median, spread, toFloor, toSdk, unit, values }) => [
      client,
      short(median),
      `${short(spread[0])}..${short(spread[1])}`,
      id.includes(".") ? `${unit} (${id.replace(/^.*\./, "")})` : unit,
      String(values.length),
      times(toFloor),
      times(toSdk)
    ])
  ])

/** One row for each client, one column for each series: ratio to the floor, then median and quartiles. */
const table = (results: Results, clients: ReadonlyArray<BenchClient>, ids: ReadonlyArray<string>): string => {
  const present = ids.filter((id) => results.series.some((one) => one.id === id))
  const heads = present.map((id) => {
    const { title, unit } = results.series.find((one) => one.id === id) ?? { title: id, unit: "" }
    return `${title} (${unit})`
  })
  const rows = clients.flatMap((client) => {
    const cells = present.map((id) => {
      const one = results.series.find((one) => one.id === id && one.client === client.name)
      if (one === undefined) return ""
      const spread = one.values.length < 2 ? "" : ` [${short(one.spread[0])}..${short(one.spread[1])}]`
      return `${one.toFloor === undefined ? "" : `**${times(one.toFloor)}** `}${short(one.median)}${spread}`
    })
    return cells.every((cell) => cell === "") ? [] : [[client.title, ...cells]]
  })
  return present.length === 0 ? "" : markdownTable([["client", ...heads], ...rows])
}

const sections: ReadonlyArray<{ readonly title: string; readonly ids: ReadonlyArray<string> }> = [
  { title: "JSON answers", ids: ["json-1", "json-16", "json-256", "json-1mb"] },
  { title: "Streams", ids: ["events-1", "events-100", "events-10k", "batches-10k", "events-64kb"] },
  { title: "Streams with event ids", ids: ["ids-1", "ids-100", "ids-10k"] },
  { title: "Awkward chunks", ids: ["pieces-37", "pieces-1000"] },
  { title: "Idle streams", ids: ["idle-1000.rss", "idle-5000.rss", "idle-5000.heap", "idle-5000.open"] },
  { title: "Latency", ids: ["latency.p50", "latency.p99", "latency.cpu"] },
  {
    title: "Start",
    ids: ["import.cpu", "import.wall", "whole-1.cpu", "whole-100.cpu", "whole-100.rss"]
  },
  { title: "Install", ids: ["footprint.packages", "footprint.size"] },
  { title: "Linear: one stream, ever longer", ids: ["length-100", "length-1000", "length-10000", "length-100000"] },
  {
    title: "Linear: ever more streams at once",
    ids: ["streams-1", "streams-10", "streams-100", "streams-1000", "streams-5000"]
  },
  {
    title: "Linear: ever larger events",
    ids: ["size-100", "size-1000", "size-10000", "size-100000", "size-1000000", "size-8000000"]
  }
]

/** Where a client of ours costs more than a peer that delivers the same. */
const losses = (results: Results, clients: ReadonlyArray<BenchClient>): ReadonlyArray<string> => {
  const isOurs = (name: string) => clients.some((one) => one.name === name && one.title.startsWith("ours"))
  const isPeer = (name: string, id: string) => {
    const client = clients.find((one) => one.name === name)
    if (name === "floor" || isOurs(name) || client?.isBlock === true) return false
    return client?.answersOnly !== true || !/^(events|batches|ids|pieces)/.test(id)
  }
  return results.series.filter((one) => isOurs(one.client)).flatMap((one) => {
    const best = results.series
      .filter((other) => other.id === one.id && isPeer(other.client, other.id))
      .toSorted((a, b) => a.median - b.median)[0]
    if (best === undefined || one.median <= best.median * 1.05) return []
    const title = (name: string) => clients.find((client) => client.name === name)?.title ?? name
    return [
      `${one.title} (${one.unit}): ${title(one.client)} ${short(one.median)}, ${title(best.client)} ${
        short(best.median)
      }, ` +
      `${times(one.median / best.median)} times as much`
    ]
  })
}

export const report = (
  results: Results,
  clients: ReadonlyArray<BenchClient>,
  verdicts: ReadonlyArray<Verdict>,
  charts: ReadonlyArray<string>
): string => {
  const { date, failures, machine, rounds, warmUp } = results
  const lost = losses(results, clients)
  return [
    `# Clients on Node ${machine.node}`,
    `Measured ${date} on ${machine.cores} cores of ${machine.processor}, ${machine.memoryGb} GB, ${machine.system}; the ` +
    `server on Node ${machine.serverNode}. ${rounds} rounds or more after ${warmUp.leastMs / 1_000} to ${
      warmUp.mostMs / 1_000
    } seconds of CPU to warm up.`,
    `**Ratio to the floor**, then the median [quartiles] in the unit of the column. How to read it: [README](../README.md).`,
    ...charts.map((chart) => `![${chart}](${chart})`),
    ...sections.flatMap(({ ids, title }) => {
      const rows = table(results, clients, ids)
      return rows === "" ? [] : [`## ${title}`, rows]
    }),
    ...(verdicts.length === 0 ? [] : ["## Targets", markdownTable(describeVerdicts(verdicts))]),
    "## Where we lose",
    "Everything in which a client of ours costs over 5 % more than the best peer that delivers the same.",
    lost.length === 0 ? "Nothing." : lost.map((line) => `- ${line}`).join("\n"),
    ...(failures.length === 0
      ? []
      : ["## Failed", failures.map((one) => `- ${one.workload}, ${one.client}: ${firstLine(one.error)}`).join("\n")]),
    "## Versions",
    Object.entries(machine.packages).map(([name, version]) => `${name} ${version}`).join(", "),
    ""
  ].join("\n\n").trimEnd() + "\n"
}

export const firstLine = (text: string): string => text.split("\n")[0] ?? ""
