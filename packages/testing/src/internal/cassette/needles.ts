/**
 * The search for many secrets at once.
 */
import { endsInside, firstByte, firstBytesAt, matchAt, spell, type Spelling } from "./spelling.ts"

/**
 * Where a secret counts as found. `Anywhere`; `Token`: not as a part of a longer word; a set of names: only as the whole
 * value of a parameter or a JSON member of that name.
 */
export type Bounds = "Anywhere" | "Token" | ReadonlySet<string>

export interface Needle {
  readonly secret: string
  readonly placeholder: string
  /** What replaces it as a number in JSON, if it can be one. */
  readonly numberPlaceholder: string | undefined
  readonly bounds: Bounds
}

export interface Replacement {
  readonly start: number
  readonly end: number
  readonly text: string
}

interface Spelled extends Needle {
  readonly spelling: Spelling
}

/** A beginning this long of a secret is taken for it where a body was cut off. */
const leastBeginning = 4

export class Needles {
  /** By their first byte, the longest first. */
  private readonly byFirst = new Map<number, ReadonlyArray<Spelled>>()

  constructor(needles: ReadonlyArray<Needle>) {
    const spelled = needles.map((needle): Spelled => ({
      secret: needle.secret,
      placeholder: needle.placeholder,
      numberPlaceholder: needle.numberPlaceholder,
      bounds: needle.bounds,
      spelling: spell(needle.secret)
    })).toSorted(longestFirst)
    for (const needle of spelled) {
      const first = firstByte(needle.spelling)
      if (first !== undefined) this.byFirst.set(first, [...this.byFirst.get(first) ?? [], needle])
    }
  }

  /** What may begin at a place. */
  private candidatesAt(text: string, at: number): ReadonlyArray<Spelled> {
    const lists = firstBytesAt(text, at).flatMap((byte) => {
      const list = this.byFirst.get(byte)
      return list === undefined ? [] : [list]
    })
    return lists.length > 1 ? Array.from(new Set(lists.flat())).toSorted(longestFirst) : lists[0] ?? []
  }

  /** Every secret in a byte string, from left to right. With `isIncomplete` also one that the end cuts off. */
  find(text: string, isIncomplete: boolean): ReadonlyArray<Replacement> {
    const found: Array<Replacement> = []
    for (let at = 0; at < text.length; at++) {
      const candidates = this.candidatesAt(text, at)
      if (candidates.length === 0) continue
      const replacement = findAt(text, at, candidates) ?? (isIncomplete ? cutOffAt(text, at, candidates) : undefined)
      if (replacement === undefined) continue
      found.push(replacement)
      at = replacement.end - 1
    }
    return found
  }
}

const longestFirst = (a: Spelled, b: Spelled): number => b.spelling.length - a.spelling.length

export const applyReplacements = (text: string, replacements: ReadonlyArray<Replacement>): string => {
  let result = ""
  let at = 0
  for (const replacement of replacements) {
    result += text.slice(at, replacement.start) + replacement.text
    at = replacement.end
  }
  return result + text.slice(at)
}

const findAt = (text: string, start: number, candidates: ReadonlyArray<Spelled>): Replacement | undefined => {
  for (const needle of candidates) {
    const end = matchAt(text, start, needle.spelling)
    if (end === undefined || !isWithinBounds(text, start, end, needle.bounds)) continue
    if (needle.numberPlaceholder === undefined) return { start, end, text: needle.placeholder }
    switch (inNumber(text, start, end)) {
      case "None":
        return { start, end, text: needle.placeholder }
      case "Whole":
        return { start, end, text: needle.numberPlaceholder }
      case "Part":
        // Another number.
        continue
    }
  }
  return undefined
}

const cutOffAt = (text: string, start: number, candidates: ReadonlyArray<Spelled>): Replacement | undefined => {
  for (const needle of candidates) {
    if (needle.bounds !== "Anywhere") continue
    // An escape takes at most some twenty characters.
    if (text.length - start > needle.spelling.length * 20) continue
    if (endsInside(text, start, needle.spelling, leastBeginning)) {
      return { start, end: text.length, text: needle.placeholder }
    }
  }
  return undefined
}

const isWithinBounds = (text: string, start: number, end: number, bounds: Bounds): boolean => {
  if (bounds === "Anywhere") return true
  const before = text.slice(Math.max(0, start - 80), start)
  const after = text.slice(end, end + 8)
  if (bounds === "Token") {
    return /(?:^|[^0-9A-Za-z_]|%[0-9a-f]{2}|\\[bfnrt]|\\u[0-9a-f]{4})$/i.test(before) &&
      /^(?:$|[^0-9A-Za-z_])/.test(after)
  }
  const name = /(?:(?:^|[?&#])([\w-]+)=|"([\w-]+)\\*"\s*:\s*\\*"?)$/.exec(before)
  return name !== null && bounds.has((name[1] ?? name[2] ?? "").toLowerCase()) && /^(?:$|[&#\s"\\<,}])/.test(after)
}

/** No number in JSON is longer, nor the space around it. */
const longestNumber = 64

/** Whether a match is a number in JSON, or a part of one. Inside strings there are none. */
const inNumber = (text: string, start: number, end: number): "None" | "Whole" | "Part" => {
  const from = Math.max(0, start - longestNumber)
  const to = Math.min(text.length, end + longestNumber)
  // What goes on beyond is not the beginning or the end of the text.
  const left = (from > 0 ? "?" : "") + text.slice(from, start)
  const right = text.slice(end, to) + (to < text.length ? "?" : "")
  const before = /(?:^|[:[,])\s*([0-9.eE+-]*)$/.exec(left)
  const after = /^([0-9.eE+-]*)[ \t]*(?:$|[,}\]\s])/.exec(right)
  if (before === null || after === null) return "None"
  return before[1] === "" && after[1] === "" ? "Whole" : "Part"
}
