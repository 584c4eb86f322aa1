/**
 * Charts as SVG, readable on light and dark ground.
 */
import type { BenchClient } from "./clients.ts"
import type { Summary } from "./series.ts"
import type { Workload } from "./workloads.ts"

const width = 800
const grey = "#888"
const ours = "#2f81f7"
const floorColor = "#3fb950"
const others = "#9a9a9a"
const lineColors = ["#3fb950", "#2f81f7", "#79c0ff", "#db61a2", "#d29922", "#f85149"]

const text = (x: number, y: number, content: string, anchor: string, more = `fill="${grey}"`): string =>
  `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" text-anchor="${anchor}" ${more}>${escape(content)}</text>`

const escape = (content: string): string => content.replaceAll("&", "&amp;").replaceAll("<", "&lt;")

const document = (height: number, content: ReadonlyArray<string>): string =>
  [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="system-ui, sans-serif" font-size="12">`,
    ...content,
    "</svg>",
    ""
  ].join("\n")

const short = (value: number): string =>
  Math.abs(value) >= 1_000 ? Math.round(value).toString() : Number(value.toPrecision(3)).toString()

/** One panel of bars for each of these series, shortest first. */
export const barChart = (
  series: ReadonlyArray<Summary>,
  clients: ReadonlyArray<BenchClient>,
  ids: ReadonlyArray<string>
): string => {
  const left = 340
  const right = 120
  const barHeight = 16
  let y = 0
  const content: Array<string> = []
  for (const id of ids) {
    const bars = series.filter((one) => one.id === id).toSorted((a, b) => a.median - b.median)
    const [first] = bars
    if (first === undefined) continue
    const most = Math.max(...bars.map((bar) => bar.median), 1e-9)
    y += 24
    content.push(text(10, y, `${first.title} (${first.unit})`, "start", `fill="${grey}" font-weight="600"`))
    y += 8
    for (const { client, median, toFloor } of bars) {
      const title = clients.find((one) => one.name === client)?.title ?? client
      const color = client === "floor" ? floorColor : title.startsWith("ours") ? ours : others
      const length = Math.max(1, (median / most) * (width - left - right))
      const label = `${short(median)}${toFloor === undefined ? "" : `  (x ${toFloor.toFixed(toFloor < 10 ? 2 : 0)})`}`
      content.push(
        text(left - 8, y + 12, title, "end"),
        `<rect x="${left}" y="${y + 2}" width="${length.toFixed(1)}" height="${barHeight - 4}" fill="${color}"/>`,
        text(left + length + 6, y + 12, label, "start")
      )
      y += barHeight
    }
  }
  return document(y + 12, content)
}

interface Panel {
  readonly line: "length" | "streams" | "size"
  readonly title: string
  readonly axis: string
}

const panels: ReadonlyArray<Panel> = [
  { line: "length", title: "One stream, ever longer: us CPU per message", axis: "events" },
  { line: "streams", title: "Ever more streams at once: us CPU per message", axis: "streams" },
  { line: "size", title: "Ever larger events: us CPU per kB", axis: "bytes of text" }
]

/** Cost against size on two logarithmic axes: what grows linearly is a level line. */
export const linearityChart = (
  series: ReadonlyArray<Summary>,
  workloads: ReadonlyArray<Workload>,
  clients: ReadonlyArray<BenchClient>
): string => {
  const panelHeight = 240
  const isShown = (id: string) =>
    workloads.some((workload) =>
      workload.kind === "throughput" && workload.linearity !== undefined && workload.name === id
    )
  const names = clients.map(({ name }) => name).filter((name) =>
    series.some(({ client, id }) => client === name && isShown(id))
  )
  const colorOf = (name: string) => lineColors[names.indexOf(name) % lineColors.length] ?? grey
  const legend = names.map((name, index) =>
    text(
      10 + (index % 2) * 390,
      18 + Math.floor(index / 2) * 18,
      `— ${clients.find((one) => one.name === name)?.title ?? name}`,
      "start",
      `fill="${colorOf(name)}"`
    )
  )
  const top = 18 * Math.ceil(names.length / 2) + 10
  const content = panels.flatMap(({ axis, line, title }, index) => {
    const points = workloads.flatMap((workload) =>
      workload.kind === "throughput" && workload.linearity?.line === line
        ? [{ id: workload.name, at: workload.linearity.at }]
        : []
    ).filter(({ id }) => series.some((one) => one.id === id))
    if (points.length === 0) return [text(70, top + index * panelHeight + 60, `${title}: not measured`, "start")]
    const values = series.filter((one) => points.some(({ id }) => id === one.id)).map((one) => one.median)
    const [first, last] = [points[0]?.at ?? 1, points.at(-1)?.at ?? 1]
    const low = 10 ** Math.floor(Math.log10(Math.min(...values)))
    const high = 10 ** Math.ceil(Math.log10(Math.max(...values)))
    const base = top + (index + 1) * panelHeight - 40
    const x = (at: number) => 70 + (last === first ? 0 : Math.log(at / first) / Math.log(last / first)) * (width - 110)
    const y = (value: number) => base - (Math.log(value / low) / Math.log(high / low)) * (panelHeight - 80)
    const decades = Array.from({ length: Math.round(Math.log10(high / low)) + 1 }, (_, n) => low * 10 ** n)
    return [
      text(70, base - panelHeight + 68, title, "start", `fill="${grey}" font-weight="600"`),
      ...decades.flatMap((value) => [
        `<line x1="70" y1="${y(value).toFixed(1)}" x2="${width - 40}" y2="${
          y(value).toFixed(1)
        }" stroke="${grey}" stroke-width="0.4"/>`,
        text(62, y(value) + 4, short(value), "end")
      ]),
      ...points.map(({ at }) => text(x(at), base + 18, at.toLocaleString("en-US").replaceAll(",", " "), "middle")),
      text(width - 40, base + 34, axis, "end"),
      ...names.map((name) => {
        const line = points.flatMap(({ at, id }) => {
          const one = series.find((one) => one.id === id && one.client === name)
          return one === undefined ? [] : [`${x(at).toFixed(1)},${y(one.median).toFixed(1)}`]
        })
        return `<polyline points="${line.join(" ")}" fill="none" stroke="${colorOf(name)}" stroke-width="1.5"/>`
      })
    ]
  })
  return document(top + panels.length * panelHeight, [...legend, ...content])
}
