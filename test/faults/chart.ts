/**
 * Line charts as SVG, readable on light and dark ground.
 */
export interface Line {
  readonly name: string
  readonly unit: string
  /** One value for each moment. */
  readonly values: ReadonlyArray<number>
}

const width = 800
const panelHeight = 130
const left = 70
const right = 20
const top = 30
const colors = ["#2f81f7", "#3fb950", "#d29922", "#db61a2"]

/** One panel for each line, above a common time axis in minutes. */
export const lineChart = (title: string, minutes: ReadonlyArray<number>, lines: ReadonlyArray<Line>): string => {
  const height = top + lines.length * panelHeight + 40
  const last = Math.max(minutes.at(-1) ?? 0, 1e-9)
  const x = (minute: number): number => left + (minute / last) * (width - left - right)
  const panels = lines.map((line, index) => panel(line, index, minutes, x))
  const ticks = Array.from({ length: 7 }, (_, n) => (last / 6) * n).map((minute) =>
    text(x(minute), top + lines.length * panelHeight + 18, Number(minute.toFixed(1)).toString(), "middle")
  )
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="system-ui, sans-serif" font-size="12">`,
    text(left, 18, title, "start", "fill=\"#888\" font-weight=\"600\""),
    ...panels,
    ...ticks,
    text(width - right, top + lines.length * panelHeight + 34, "minutes", "end"),
    "</svg>",
    ""
  ].join("\n")
}

const panel = (
  { name, unit, values }: Line,
  index: number,
  minutes: ReadonlyArray<number>,
  x: (minute: number) => number
): string => {
  const color = colors[index % colors.length] ?? "#888"
  const base = top + (index + 1) * panelHeight - 15
  const most = Math.max(...values, 1e-9) * 1.1
  const y = (value: number): number => base - (value / most) * (panelHeight - 40)
  const points = values.map((value, at) => `${x(minutes[at] ?? 0).toFixed(1)},${y(value).toFixed(1)}`).join(" ")
  return [
    text(left, base - panelHeight + 33, `${name} (${unit})`, "start", `fill="${color}"`),
    `<line x1="${left}" y1="${base}" x2="${width - right}" y2="${base}" stroke="#888" stroke-width="1"/>`,
    text(left - 8, base + 4, "0", "end"),
    text(left - 8, y(most / 1.1) + 4, Number((most / 1.1).toPrecision(3)).toString(), "end"),
    `<polyline points="${points}" fill="none" stroke="${color}" stroke-width="1.5"/>`
  ].join("\n")
}

const text = (x: number, y: number, content: string, anchor: string, more = "fill=\"#888\""): string =>
  `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" text-anchor="${anchor}" ${more}>${content}</text>`
