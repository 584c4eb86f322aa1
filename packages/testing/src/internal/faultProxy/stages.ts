/**
 * Faults as stages through which a response goes, one after the other: bytes in, and out what is to be done with the client,
 * in order. No sockets and no time here.
 */
import * as Duration from "effect/Duration"
import type * as FaultProxy from "../../FaultProxy.ts"
import { eventBoundaries } from "./eventBoundaries.ts"
import { type Part, responseFramer, type ResponseHead } from "./httpFraming.ts"

/** What is to be done next. */
export type Step =
  | { readonly _tag: "Pass"; readonly bytes: Buffer }
  /** `Infinity`: for ever. */
  | { readonly _tag: "Wait"; readonly millis: number }
  /** Go on in another turn of the event loop. */
  | { readonly _tag: "Turn" }
  | { readonly _tag: "Cut"; readonly how: FaultProxy.Cut["how"] }
  /** The response has been passed on. */
  | { readonly _tag: "Done" }

export interface Stage {
  readonly push: (bytes: Buffer) => Iterable<Step>
  /** The response has ended: what was held back. */
  readonly end: () => Iterable<Step>
}

/** All stages of a response to a request of this method. */
export const stagesOf = (faults: ReadonlyArray<FaultProxy.Fault>, method: string): Stage =>
  faults.map((fault) => stageOf(fault, method)).filter((stage) => stage !== undefined).reduce(andThen, untouched)

const stageOf = (fault: FaultProxy.Fault, method: string): Stage | undefined => {
  switch (fault._tag) {
    case "Cut":
      return insert(fault.after, method, { _tag: "Cut", how: fault.how })
    case "Stall":
      return insert(fault.after, method, { _tag: "Wait", millis: Duration.toMillis(fault.duration) })
    case "Split":
      return split(fault.size)
    case "Delay":
      return delay(Duration.toMillis(fault.by))
    case "Duplicate":
      return editEvents(method, duplicate(fault.event), true)
    case "Reorder":
      return editEvents(method, reorder(fault.event), false)
    // These say where the response comes from.
    case "Respond":
    case "Refuse":
    case "Lose":
      return undefined
  }
}

const pass = (bytes: Buffer): ReadonlyArray<Step> => bytes.length === 0 ? [] : [{ _tag: "Pass", bytes }]

const untouched: Stage = { push: pass, end: () => [] }

const andThen = (first: Stage, second: Stage): Stage => {
  function* forward(steps: Iterable<Step>): Iterable<Step> {
    for (const step of steps) {
      if (step._tag === "Pass") yield* second.push(step.bytes)
      else yield step
    }
  }
  if (first === untouched) return second
  return {
    push: (bytes) => forward(first.push(bytes)),
    *end() {
      yield* forward(first.end())
      yield* second.end()
    }
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Cut and Stall
// ---------------------------------------------------------------------------------------------------------------------

const insert = (after: FaultProxy.Position, method: string, step: Step): Stage => {
  const find = "bytes" in after ? findBytes(after.bytes) : findEvents(after.events, method)
  let isPast = false
  return {
    push: (bytes) => {
      const at = isPast ? undefined : find(bytes)
      if (at === undefined) return pass(bytes)
      isPast = true
      return [...pass(bytes.subarray(0, at)), step, ...pass(bytes.subarray(at))]
    },
    end: () => []
  }
}

/** Reads on in the response: the offset of a position, once, when these bytes reach it. */
type Find = (bytes: Buffer) => number | undefined

const findBytes = (count: number): Find => {
  let remaining = count
  return (bytes) => {
    if (remaining <= bytes.length) return remaining
    remaining -= bytes.length
    return undefined
  }
}

const findEvents = (count: number, method: string): Find => {
  const framer = responseFramer(method)
  const boundaries = eventBoundaries()
  let isEventStream = false
  let remaining = count
  return (bytes) => {
    let found: number | undefined
    /** How far the parts have come. */
    let at = 0
    const onPayload = (payload: Buffer): void => {
      if (!isEventStream || remaining === 0) return
      const ends = boundaries.read(payload)
      const end = ends[remaining - 1]
      if (end !== undefined) found = at + end
      remaining = Math.max(0, remaining - ends.length)
    }
    framer.read(bytes, {
      onPart: (part, piece) => {
        if (part === "Payload") onPayload(piece)
        at += piece.length
      },
      onHead: (head) => {
        isEventStream = hasEvents(head)
        if (isEventStream && count === 0) found = at
      }
    })
    return found
  }
}

const hasEvents = ({ headers }: ResponseHead): boolean =>
  /^\s*text\/event-stream\s*(?:;|$)/i.test(headers["content-type"] ?? "") &&
  /^(?:identity)?$/i.test(headers["content-encoding"] ?? "")

// ---------------------------------------------------------------------------------------------------------------------
// Split and Delay
// ---------------------------------------------------------------------------------------------------------------------

/** Lazy: a large chunk in small pieces is never there as a whole. */
const split = (size: number): Stage => ({
  *push(bytes) {
    for (let at = 0; at < bytes.length; at += size) {
      yield { _tag: "Pass", bytes: bytes.subarray(at, at + size) }
      yield { _tag: "Turn" }
    }
  },
  end: () => []
})

const delay = (millis: number): Stage => ({
  push: (bytes) => [{ _tag: "Wait", millis }, { _tag: "Pass", bytes }],
  end: () => []
})

// ---------------------------------------------------------------------------------------------------------------------
// Duplicate and Reorder
// ---------------------------------------------------------------------------------------------------------------------

/** The body in pieces, none of which belongs to two events; gives the pieces to be delivered. */
interface EventEdit {
  readonly push: (piece: Buffer, isEnd: boolean) => ReadonlyArray<Buffer>
  readonly end: () => ReadonlyArray<Buffer>
}

const duplicate = (event: number): EventEdit => {
  let index = 0
  let copied: Array<Buffer> = []
  return {
    push: (piece, isEnd) => {
      if (index === event) copied.push(piece)
      if (isEnd) index++
      if (!isEnd || index !== event + 1) return [piece]
      const copy = Buffer.concat(copied)
      copied = []
      return [piece, copy]
    },
    end: () => []
  }
}

const reorder = (event: number): EventEdit => {
  let index = 0
  let held: Array<Buffer> = []
  let following: Array<Buffer> = []
  return {
    push: (piece, isEnd) => {
      const current = index
      if (isEnd) index++
      if (current === event) held.push(piece)
      else if (current === event + 1) following.push(piece)
      else return [piece]
      if (index !== event + 2) return []
      const swapped = [Buffer.concat(following), Buffer.concat(held)]
      held = []
      following = []
      return swapped
    },
    end: () => [...held, ...following]
  }
}

/** Cuts the body at the ends of its events and has the pieces edited; a chunked body gets new chunks, one for each piece. */
const editEvents = (method: string, edit: EventEdit, changesLength: boolean): Stage => {
  const framer = responseFramer(method)
  const boundaries = eventBoundaries()
  /** The head, until it is known whether it can stay as it is. */
  let heldHead: Array<Buffer> = []
  let body: "Unknown" | "Untouched" | "Plain" | "Chunked" = "Unknown"
  /** The framing of the server is replaced by one that says when the body has ended. */
  let isNewlyChunked = false
  let isInTrailer = false

  const deliver = (piece: Buffer): Buffer => body === "Chunked" ? asChunk(piece) : piece

  const editPayload = (payload: Buffer): ReadonlyArray<Buffer> => {
    const out: Array<Buffer> = []
    let at = 0
    for (const end of boundaries.read(payload)) {
      for (const piece of edit.push(payload.subarray(at, end), true)) out.push(piece)
      at = end
    }
    if (at < payload.length) { for (const piece of edit.push(payload.subarray(at), false)) out.push(piece) }
    return out.filter((piece) => piece.length > 0).map(deliver)
  }

  const takeHead = (): Buffer => {
    const head = Buffer.concat(heldHead)
    heldHead = []
    return head
  }

  /** Everything that was held back, as the body ends. */
  const lastPieces = (): ReadonlyArray<Buffer> => edit.end().filter((piece) => piece.length > 0).map(deliver)

  const onPart = (part: Part, bytes: Buffer): ReadonlyArray<Buffer> => {
    if (part === "Head") {
      heldHead.push(bytes)
      return []
    }
    if (part === "Raw") return [takeHead(), bytes]
    if (body === "Untouched") return [bytes]
    if (part === "Payload") return editPayload(bytes)
    if (part === "Framing") return []
    const before = isInTrailer ? [] : [...lastPieces(), lastChunk]
    isInTrailer = true
    return [...before, bytes]
  }

  const onHead = (head: ResponseHead): Buffer => {
    const bytes = takeHead()
    if (!hasEvents(head) || head.framing === "None") {
      body = "Untouched"
      return bytes
    }
    isNewlyChunked = changesLength && head.framing === "Length"
    body = isNewlyChunked || head.framing === "Chunked" ? "Chunked" : "Plain"
    return isNewlyChunked ? withChunkedCoding(bytes) : bytes
  }

  return {
    push: (bytes) => {
      const out: Array<Buffer> = []
      framer.read(bytes, {
        onPart: (part, piece) => {
          for (const edited of onPart(part, piece)) out.push(edited)
        },
        onHead: (head) => {
          out.push(onHead(head))
        }
      })
      return out.flatMap(pass)
    },
    end: () => {
      const isEnded = isNewlyChunked && framer.isComplete()
      const held = isInTrailer ? [] : lastPieces()
      return [takeHead(), ...held, ...(isEnded ? [lastChunk, lineEnd] : [])].flatMap(pass)
    }
  }
}

const lineEnd = Buffer.from("\r\n")
const lastChunk = Buffer.from("0\r\n")

const asChunk = (bytes: Buffer): Buffer =>
  Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, lineEnd])

const withChunkedCoding = (head: Buffer): Buffer =>
  Buffer.from(
    head.toString("latin1")
      .replaceAll(/^content-length[ \t]*:.*\r?\n/gim, "")
      .replace(/\r?\n\r?\n$/, "\r\ntransfer-encoding: chunked\r\n\r\n"),
    "latin1"
  )
