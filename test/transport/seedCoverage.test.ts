import { assert, it } from "@effect/vitest"
import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"

const read = (path: string): string => readFileSync(fileURLToPath(new URL(path, import.meta.url)), "utf8")

const rows = read("./seed-coverage.md").split("\n").flatMap((line) => {
  const [, row, , shownBy] = line.split("|").map((cell) => cell.trim())
  return row !== undefined && /^S\d+$/.test(row) && shownBy !== undefined ? [{ row, shownBy }] : []
})

it("every behaviour of the seed has its row", () => {
  assert.deepStrictEqual(rows.map(({ row }) => row), Array.from({ length: 82 }, (_, index) => `S${index + 1}`))
  for (const { row, shownBy } of rows) assert.notStrictEqual(shownBy, "", row)
})

it("the tests that a row names exist", () => {
  for (const { row, shownBy } of rows) {
    for (const [, file = ""] of shownBy.matchAll(/`([^`]+\.test\.ts)` \(/g)) {
      assert.match(read(`../${file}`), new RegExp(`\\b${row}(, S\\d+)*: `), `${row} in ${file}`)
    }
  }
})
