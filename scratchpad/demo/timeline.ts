/**
 * The timeline on the terminal: what went over the wire, when; and a progress bar, live where there is a terminal.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"

export type Mark = "sent" | "received" | "lost" | "note"

export class Timeline extends Context.Tag("demo/Timeline")<Timeline, {
  readonly line: (mark: Mark, text: string) => Effect.Effect<void>
  readonly title: (text: string) => Effect.Effect<void>
  readonly progress: (done: number, total: number | undefined) => Effect.Effect<void>
}>() {}

const colours: { readonly [M in Mark]: number } = { sent: 36, received: 32, lost: 31, note: 33 }
const arrows: { readonly [M in Mark]: string } = { sent: "->", received: "<-", lost: "XX", note: ".." }

const barWidth = 24

const bar = (done: number, total: number): string => {
  const filled = Math.min(barWidth, Math.round((done / total) * barWidth))
  return `[${"#".repeat(filled)}${".".repeat(barWidth - filled)}] ${done}/${total}`
}

export const layer = Layer.sync(Timeline, () => {
  const { stdout } = process
  const isLive = stdout.isTTY === true
  const started = performance.now()
  let barShown = ""

  const paint = (colour: number, text: string): string => isLive ? `\u001b[${colour}m${text}\u001b[0m` : text
  const clearBar = (): void => {
    if (barShown !== "") stdout.write("\r\u001b[2K")
  }
  const print = (text: string): void => {
    clearBar()
    stdout.write(`${text}\n`)
    stdout.write(barShown)
  }
  const at = (): string => `${Math.round(performance.now() - started).toString().padStart(6)} ms  `

  return {
    line: (mark, text) => Effect.sync(() => print(at() + paint(colours[mark], `${arrows[mark]} ${text}`))),
    title: (text) =>
      Effect.sync(() => {
        clearBar()
        barShown = ""
        print(`\n${paint(1, text)}`)
      }),
    progress: (done, total) =>
      Effect.sync(() => {
        const text = total === undefined ? `progress ${done}` : bar(done, total)
        if (!isLive) return print(`${at()}   ${text}`)
        clearBar()
        barShown = `          ${text}`
        stdout.write(barShown)
      })
  }
})
