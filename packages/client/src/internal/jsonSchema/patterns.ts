/**
 * Regular expressions of a schema. They are used with the flag `u`, as JSON Schema recommends ("Regular Expressions").
 * Many were written without it, and what only that flag forbids is written in the way it allows.
 */
import * as Either from "effect/Either"
import { clip, invalid } from "./problem.ts"

/** The pattern as it is used with `u`: the same, unless that is no regular expression. */
export const unicodePattern = (pattern: string): string => {
  for (const written of [pattern, rewrite(pattern)]) {
    if (isUnicodePattern(written)) return written
  }
  throw invalid(`${JSON.stringify(clip(pattern))} is not a regular expression`)
}

const isUnicodePattern = (pattern: string): boolean => Either.isRight(Either.try(() => new RegExp(pattern, "u")))

/** An escape, a quantifier in braces, or any other character. */
const token = /\\(?:[pPu]\{[^}]*\}|[^])|\{\d+(?:,\d*)?\}|[^]/g

/** Stands for many characters: a hyphen beside it is no range. */
const characterSet = /^\\[dDsSwWpP]/

/** What `u` allows to be escaped everywhere. What a letter or digit means after a backslash is not for us to guess. */
const escape = /^\\[A-Za-z0-9^$\\.*+?()[\]{}|/]/

const rewrite = (pattern: string): string => {
  const tokens = pattern.match(token) ?? []
  const isCharacterSet = (index: number) => characterSet.test(tokens[index] ?? "")
  let inClass = false
  return tokens.map((current, index) => {
    if (current.length === 2 && current.startsWith("\\")) {
      return escape.test(current) || (inClass && current === "\\-") ? current : current.slice(1)
    }
    if (inClass) {
      inClass = current !== "]"
      return current === "-" && (isCharacterSet(index - 1) || isCharacterSet(index + 1)) ? "\\-" : current
    }
    inClass = current === "["
    return ["{", "}", "]"].includes(current) ? `\\${current}` : current
  }).join("")
}
