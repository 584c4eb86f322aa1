/**
 * Bytes to server-sent events, after WHATWG HTML section 9.2.6 "Interpreting an event stream".
 *
 * It differs from general-purpose parsers in what resumption needs: it reports the id that an event itself carried, it
 * reports blocks that have an id but no data, and it bounds an event in bytes without buffering past the bound.
 */
import { ChunkDecoder } from "./utf8.ts"

/** One block of fields, ended by a blank line. Blocks of comments alone are not reported. */
export interface ServerSentEvent {
  /** The id this very block carried; `undefined` when it carried none. */
  readonly id: string | undefined
  /** The `event` field; empty when absent. */
  readonly event: string
  /** `undefined` when the block had no data field. */
  readonly data: string | undefined
}

export interface Handler {
  readonly onEvent: (event: ServerSentEvent) => void
  readonly onRetry: (millis: number) => void
  /** An event is larger than the limit; `id` is its id if that came before. Nothing is reported afterwards. */
  readonly onTooLarge: (id: string | undefined) => void
}

const LF = 10
const CR = 13
const COLON = 58
const SPACE = 32

// Lines other than data that are longer than this mean nothing: no id or event name is.
const longestFieldLine = 65_536

// Characters of an unfinished line that may lie in many pieces.
const shortEnd = 1024

// How far beyond twice its limit an event that is too large is searched for its id.
const searchForId = 4096

// How nearly every event of MCP starts. Taken line by line it would take a third longer.
const usualStart = "event: message\ndata: "

const digits = /^[0-9]+$/

export class EventStreamParser {
  private readonly decoder = new ChunkDecoder()
  private started = false
  private skipLineFeed = false
  private stopped = false
  // The unfinished last line of what came so far.
  private partial = ""
  // The end of it, while it is short.
  private partialEnd = ""
  private partialIsAscii = true
  private partialIsData = false
  private partialIsComment = false
  // Its length, with what was not kept of it.
  private lineChars = 0
  // The rest of the current line is of no interest: a comment, or part of an event that is too large.
  private discardLine = false
  // It is a field, and so part of the event all the same.
  private discardsField = false
  // The block that is being read.
  private id: string | undefined
  private event = ""
  private data: string | undefined
  private dataBytes = 0
  // Fields that are no data, which an event without an end may repeat for ever.
  private otherChars = 0
  private blockChars = 0
  private oversize = false

  private readonly maxEventSize: number
  private readonly handler: Handler

  constructor(maxEventSize: number, handler: Handler) {
    this.maxEventSize = maxEventSize
    this.handler = handler
  }

  push(chunk: Uint8Array): void {
    if (this.stopped || chunk.length === 0) return
    let text = this.decoder.decode(chunk)
    const ascii = this.decoder.isAscii
    if (!this.started) {
      if (text.length === 0) return
      this.started = true
      if (text.charCodeAt(0) === 0xfeff) text = text.slice(1)
    }
    this.scan(text, ascii)
  }

  /** Reports nothing more: what a block left unfinished is not an event. */
  stop(): void {
    this.stopped = true
    this.forgetPartial()
    this.data = undefined
  }

  private scan(text: string, ascii: boolean): void {
    const length = text.length
    let start = 0
    if (this.skipLineFeed && length > 0) {
      this.skipLineFeed = false
      if (text.charCodeAt(0) === LF) start = 1
    }
    let nextCr = text.indexOf("\r", start)
    while (start < length && !this.stopped) {
      if (nextCr !== -1 && nextCr < start) nextCr = text.indexOf("\r", start)
      const next = this.takeUsual(text, start, nextCr, ascii)
      if (next !== undefined) {
        start = next
        continue
      }
      let end = text.indexOf("\n", start)
      if (nextCr !== -1 && (end === -1 || nextCr < end)) end = nextCr
      if (end === -1) {
        this.keepPartial(start === 0 ? text : text.slice(start), ascii)
        return
      }
      this.takeLine(text, start, end, ascii)
      start = end + 1
      if (text.charCodeAt(end) === CR) {
        if (start === length) this.skipLineFeed = true
        else if (text.charCodeAt(start) === LF) start++
      }
    }
  }

  /** Reports an event that is all here and has the form of nearly all; gives where the next one starts. */
  private takeUsual(text: string, start: number, nextCr: number, ascii: boolean): number | undefined {
    if (this.blockChars + this.lineChars !== 0 || !text.startsWith(usualStart, start)) return undefined
    const from = start + usualStart.length
    const end = text.indexOf("\n", from)
    if (end === -1 || text.charCodeAt(end + 1) !== LF || (nextCr !== -1 && nextCr < end)) return undefined
    const data = text.slice(from, end)
    if ((ascii ? data.length : utf8Length(data)) > this.maxEventSize) return undefined
    this.handler.onEvent({ id: undefined, event: "message", data })
    return end + 2
  }

  private takeLine(text: string, start: number, end: number, ascii: boolean): void {
    const lineChars = this.lineChars + end - start + 1
    this.blockChars += lineChars
    this.lineChars = 0
    if (this.isHopeless(0)) return this.reportTooLarge()
    if (this.discardLine) {
      this.discardLine = false
      if (this.discardsField) this.addOther(lineChars)
    } else if (this.partialLength > 0) {
      const line = this.partial + this.partialEnd + text.slice(start, end)
      const isAscii = ascii && this.partialIsAscii
      this.forgetPartial()
      this.line(line, 0, line.length, isAscii)
    } else {
      this.line(text, start, end, ascii)
    }
  }

  // What is kept of a line never depends on where the chunks were cut, only how soon it is known to be too long.
  private keepPartial(rest: string, ascii: boolean): void {
    this.lineChars += rest.length
    if (this.isHopeless(this.lineChars)) return this.reportTooLarge()
    if (this.discardLine) {
      if (this.discardsField && this.isTooMuch(this.lineChars)) this.tooLarge()
      return
    }
    const before = this.partialLength
    this.append(rest)
    this.partialIsAscii = this.partialIsAscii && ascii
    // To look at the start of a text that is put together copies all of it, so only while that is next to nothing.
    if (before < "data:".length) {
      const line = this.partial + this.partialEnd
      this.partialIsData = line.startsWith("data:")
      this.partialIsComment = line.charCodeAt(0) === COLON
    }
    const isData = this.partialIsData
    const isComment = this.partialIsComment
    const isTooLong = isData
      ? this.oversize || this.dataBytes + this.partialLength - "data: ".length > this.maxEventSize
      : this.partialLength > longestFieldLine
    if (!isTooLong && !isComment) return
    this.discardsField = !isComment && !isData
    this.forgetPartial()
    this.discardLine = true
    if (isData && !this.oversize) this.tooLarge()
  }

  private get partialLength(): number {
    return this.partial.length + this.partialEnd.length
  }

  // A text put together of single bytes takes 32 times its length, so short pieces are first made one.
  private append(rest: string): void {
    this.partialEnd += rest
    if (this.partialEnd.length < shortEnd) return
    // What is looked at becomes one piece.
    this.partialEnd.charCodeAt(0)
    this.partial += this.partialEnd
    this.partialEnd = ""
  }

  private forgetPartial(): void {
    this.partial = ""
    this.partialEnd = ""
    this.partialIsAscii = true
  }

  private line(text: string, start: number, end: number, ascii: boolean): void {
    if (start === end) return this.dispatch()
    const first = text.charCodeAt(start)
    if (first === COLON) return
    // "data" is by far the most frequent field: recognise it without slicing the name out.
    if (first === 100 && text.startsWith("data", start)) {
      const next = start + 4
      if (next === end) return this.addData("", ascii)
      if (text.charCodeAt(next) === COLON) return this.addData(text.slice(valueStart(text, next, end), end), ascii)
    }
    this.addOther(end - start + 1)
    if (end - start > longestFieldLine) return
    const colon = text.indexOf(":", start)
    const name = colon === -1 || colon >= end ? text.slice(start, end) : text.slice(start, colon)
    const value = colon === -1 || colon >= end ? "" : text.slice(valueStart(text, colon, end), end)
    if (name === "id") {
      if (!value.includes("\0")) this.id = value
    } else if (name === "event") {
      this.event = value
    } else if (name === "retry" && digits.test(value)) {
      this.handler.onRetry(Math.min(Number(value), Number.MAX_SAFE_INTEGER))
    }
  }

  private addOther(chars: number): void {
    if (this.isTooMuch(chars)) return this.tooLarge()
    this.otherChars += chars
  }

  private isTooMuch(chars: number): boolean {
    return !this.oversize && this.otherChars + chars > this.maxEventSize + longestFieldLine
  }

  private addData(value: string, ascii: boolean): void {
    if (this.oversize) return
    this.dataBytes += (ascii ? value.length : utf8Length(value)) + (this.data === undefined ? 0 : 1)
    if (this.dataBytes > this.maxEventSize) return this.tooLarge()
    this.data = this.data === undefined ? value : `${this.data}\n${value}`
  }

  private dispatch(): void {
    if (this.oversize) return this.reportTooLarge()
    this.blockChars = 0
    this.otherChars = 0
    const { data, event, id } = this
    if (data === undefined && id === undefined && event === "") return
    this.id = undefined
    this.event = ""
    this.data = undefined
    this.dataBytes = 0
    this.handler.onEvent({ id, event, data })
  }

  // Without its id the event could not be stepped over: look for the id a little further, but keep nothing.
  private tooLarge(): void {
    this.data = undefined
    this.oversize = true
    if (this.id !== undefined || this.isHopeless(0)) this.reportTooLarge()
  }

  private isHopeless(more: number): boolean {
    return this.oversize && this.blockChars + more > 2 * this.maxEventSize + searchForId
  }

  private reportTooLarge(): void {
    if (this.stopped) return
    const id = this.id
    this.stop()
    this.handler.onTooLarge(id)
  }
}

const valueStart = (text: string, colon: number, end: number): number =>
  colon + 1 < end && text.charCodeAt(colon + 1) === SPACE ? colon + 2 : colon + 1

/** Bytes of a text in UTF-8. */
export const utf8Length = (text: string): number => {
  let bytes = text.length
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i)
    if (unit < 0x80) continue
    bytes += unit < 0x800 || (unit >= 0xd800 && unit <= 0xdfff) ? 1 : 2
  }
  return bytes
}
