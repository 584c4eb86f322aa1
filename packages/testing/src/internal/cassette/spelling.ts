/**
 * Recognizes a secret in a byte string, however it is spelled there: as it is, inside JSON (also JSON inside JSON),
 * percent-encoded (also twice), as an HTML entity, and any mixture of these.
 *
 * Matched by hand, character by character: a regular expression of all spellings of a long token is too big to compile.
 */
import { utf8ByteString } from "./bytes.ts"

/** One character of a secret. */
interface Unit {
  readonly codePoint: number
  /** Its UTF-8 bytes. */
  readonly literal: string
  /** The hexadecimal digits of its UTF-16 form. */
  readonly utf16: ReadonlyArray<string>
  /** The letter of its short escape: `n` for a line feed. */
  readonly letter: string | undefined
  readonly isAlphanumeric: boolean
}

export type Spelling = ReadonlyArray<Unit>

const letters: { readonly [character: string]: string } = {
  "\b": "b",
  "\f": "f",
  "\n": "n",
  "\r": "r",
  "\t": "t"
}

const named: { readonly [name: string]: number } = { amp: 0x26, lt: 0x3c, gt: 0x3e, quot: 0x22, apos: 0x27 }

const backslash = 0x5c
const percent = 0x25
const ampersand = 0x26
const plus = 0x2b

/** JSON inside JSON inside JSON doubles them each time. */
const mostBackslashes = 16

/** How often an encoding may have been encoded again. */
const deepest = 4

export const spell = (secret: string): Spelling =>
  Array.from(secret, (character) => ({
    codePoint: character.codePointAt(0) ?? 0,
    literal: utf8ByteString(character),
    utf16: Array.from(
      { length: character.length },
      (_, index) => character.charCodeAt(index).toString(16).padStart(4, "0")
    ),
    letter: letters[character],
    isAlphanumeric: /^[0-9A-Za-z]$/.test(character)
  }))

/** The first byte of a secret. */
export const firstByte = (spelling: Spelling): number | undefined => spelling[0]?.literal.charCodeAt(0)

/** The first byte of whatever may be spelled at a place: of one character, or of few. */
export const firstBytesAt = (text: string, at: number): ReadonlyArray<number> => {
  const byte = text.charCodeAt(at)
  switch (byte) {
    case backslash:
      return [byte, ...escapedAt(text, at)]
    case percent:
      return [byte, ...percentBytes(text, at).map(([value]) => value)]
    case ampersand: {
      const entity = entityAt(text, at)
      return entity === undefined ? [byte] : [byte, leadByte(entity.codePoint)]
    }
    case plus:
      return [byte, 0x20]
    default:
      return [byte]
  }
}

const escapedAt = (text: string, at: number): ReadonlyArray<number> => {
  const after = at + backslashes(text, at)
  const letter = text.charAt(after)
  const short = Object.keys(letters).filter((character) => letters[character] === letter)
  const next = after < text.length ? [text.charCodeAt(after)] : []
  const found = [...next, ...short.map((character) => character.charCodeAt(0))]
  const digits = text.slice(after + 1, after + 5)
  return letter === "u" && /^[0-9a-f]{4}$/i.test(digits) ? [...found, leadByte(Number.parseInt(digits, 16))] : found
}

/** Of the UTF-8 form of a character, or of any that has this high surrogate. */
const leadByte = (unit: number): number => {
  if (unit < 0x80) return unit
  if (unit < 0x800) return 0xc0 | (unit >> 6)
  const codePoint = unit >= 0xd800 && unit < 0xdc00 ? ((unit - 0xd800) << 10) + 0x10000 : unit
  return codePoint < 0x10000 ? 0xe0 | (codePoint >> 12) : 0xf0 | (codePoint >> 18)
}

/** Where the secret ends in a text when it begins at `from`. */
export const matchAt = (text: string, from: number, spelling: Spelling): number | undefined => {
  let reached: ReadonlyArray<number> = [from]
  for (const unit of spelling) {
    reached = step(text, reached, unit)
    if (reached.length === 0) return undefined
  }
  return reached.reduce((a, b) => Math.max(a, b), from)
}

/** Whether a text ends in the middle of the secret that begins at `from`, at least `least` characters of it. */
export const endsInside = (text: string, from: number, spelling: Spelling, least: number): boolean => {
  let reached: ReadonlyArray<number> = [from]
  let matched = 0
  for (const unit of spelling) {
    if (matched >= least && reached.some((at) => at === text.length || isEscapeBegun(text, at))) return true
    reached = step(text, reached, unit)
    if (reached.length === 0) return false
    matched++
  }
  return false
}

const isEscapeBegun = (text: string, at: number): boolean =>
  text.length - at < 24 &&
  /^(?:\\+(?:u[0-9a-f]{0,3})?|%(?:25)*[0-9a-f]?|&[#\w]*|[\xc0-\xff][\x80-\xbf]*)$/i.test(text.slice(at))

const step = (text: string, reached: ReadonlyArray<number>, unit: Unit): ReadonlyArray<number> => {
  const [only] = reached
  if (reached.length === 1 && only !== undefined) return ends(text, only, unit)
  return Array.from(new Set(reached.flatMap((at) => ends(text, at, unit))))
}

/** Where one character ends that begins at `from`, in every reading. */
const ends = (text: string, from: number, unit: Unit): ReadonlyArray<number> => {
  const found = text.startsWith(unit.literal, from) ? [from + unit.literal.length] : []
  switch (text.charCodeAt(from)) {
    case backslash:
      return [...found, ...escapeEnds(text, from, unit)]
    case percent:
      return [...found, ...percentEnds(text, from, unit)]
    case ampersand:
      return [...found, ...entityEnds(text, from, unit)]
    case plus:
      return unit.codePoint === 0x20 ? [from + 1] : found
    default:
      return found
  }
}

const backslashes = (text: string, from: number): number => {
  let length = 0
  while (length < mostBackslashes && text.charCodeAt(from + length) === backslash) length++
  return length
}

const escapeEnds = (text: string, from: number, unit: Unit): ReadonlyArray<number> => {
  const length = backslashes(text, from)
  const found: Array<number> = []
  if (unit.codePoint === backslash) {
    for (let more = 2; more <= length; more++) found.push(from + more)
  } else if (!unit.isAlphanumeric && text.startsWith(unit.literal, from + length)) {
    found.push(from + length + unit.literal.length)
  }
  if (unit.letter !== undefined && text.startsWith(unit.letter, from + length)) found.push(from + length + 1)
  const end = unicodeEnd(text, from, unit)
  return end === undefined ? found : [...found, end]
}

const unicodeEnd = (text: string, from: number, unit: Unit): number | undefined => {
  let at = from
  for (const digits of unit.utf16) {
    const length = backslashes(text, at)
    if (length === 0 || text[at + length] !== "u") return undefined
    at += length + 5
    if (text.slice(at - 4, at).toLowerCase() !== digits) return undefined
  }
  return at
}

const percentEnds = (text: string, from: number, unit: Unit): ReadonlyArray<number> => {
  let reached: ReadonlyArray<number> = [from]
  for (let index = 0; index < unit.literal.length; index++) {
    const byte = unit.literal.charCodeAt(index)
    reached = reached.flatMap((at) => percentByteEnds(text, at, byte))
  }
  return reached
}

const percentByteEnds = (text: string, from: number, byte: number): ReadonlyArray<number> =>
  percentBytes(text, from).flatMap(([value, end]) => value === byte ? [end] : [])

/** What a percent sign may be the beginning of, and where that ends: `%2541` is `%41`, `A` encoded twice, or `%` and `41`. */
const percentBytes = (text: string, from: number): ReadonlyArray<readonly [byte: number, end: number]> => {
  const found: Array<readonly [number, number]> = []
  if (text.charCodeAt(from) !== percent) return found
  for (let at = from + 1, depth = 0; depth <= deepest; at += 2, depth++) {
    const digits = text.slice(at, at + 2)
    if (!/^[0-9a-f]{2}$/i.test(digits)) break
    found.push([Number.parseInt(digits, 16), at + 2])
    if (digits !== "25") break
  }
  return found
}

const entityEnds = (text: string, from: number, unit: Unit): ReadonlyArray<number> => {
  const entity = entityAt(text, from)
  return entity?.codePoint === unit.codePoint ? [entity.end] : []
}

const entityAt = (
  text: string,
  from: number
): { readonly codePoint: number; readonly end: number } | undefined => {
  const entity = /^&(?:amp;){0,4}(?:#x0{0,6}([0-9a-f]{1,6})|#0{0,6}(\d{1,7})|(amp|lt|gt|quot|apos));/i.exec(
    text.slice(from, from + 40)
  )
  if (entity === null) return undefined
  const [whole, hexadecimal, decimal, name] = entity
  const codePoint = hexadecimal !== undefined
    ? Number.parseInt(hexadecimal, 16)
    : decimal !== undefined
    ? Number(decimal)
    : named[name?.toLowerCase() ?? ""]
  return codePoint === undefined ? undefined : { codePoint, end: from + whole.length }
}
