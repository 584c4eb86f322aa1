/**
 * Where the messages of an HTTP/1.1 connection begin and end: heads, and bodies of three kinds (RFC 9112, sections 2 to 7).
 * Nothing is changed, nothing is refused: what cannot be framed is called raw.
 */
import * as Headers from "@effect/platform/Headers"
import { growingBytes } from "./growingBytes.ts"

/**
 * What the bytes of a message are: its head with the empty line, the content of its body, what chunked transfer coding puts
 * around that (sizes and line ends), its trailer with the last empty line, or something without framing.
 */
export type Part = "Head" | "Payload" | "Framing" | "Trailer" | "Raw"

type OnPart = (part: Part, bytes: Buffer) => void

/** A head that gets larger than this is no head. */
const largestHead = 1024 * 1024

/** A request that gets larger than this is not read whole. */
const largestRequest = 16 * 1024 * 1024

const lineFeed = 0x0a
const carriageReturn = 0x0d

const ignore = (): void => {}

// ---------------------------------------------------------------------------------------------------------------------
// Heads
// ---------------------------------------------------------------------------------------------------------------------

interface Head {
  readonly startLine: string
  readonly headers: Headers.Headers
}

/** The offset after the empty line that ends a head, or -1. Looks at the line ends from `from` on. */
const headEnd = (bytes: Buffer, from: number): number => {
  let at = bytes.indexOf(lineFeed, from)
  while (at !== -1) {
    if (bytes[at + 1] === lineFeed) return at + 2
    if (bytes[at + 1] === carriageReturn && bytes[at + 2] === lineFeed) return at + 3
    at = bytes.indexOf(lineFeed, at + 1)
  }
  return -1
}

/** Where to look on when more bytes come: the last two may belong to an empty line. */
const lookedUpTo = (length: number): number => Math.max(0, length - 2)

const parseHead = (text: string): Head => {
  const [startLine = "", ...lines] = text.split(/\r?\n(?![ \t])/)
  const headers = new Map<string, string>()
  for (const line of lines) {
    const colon = line.indexOf(":")
    if (colon < 1) continue
    const name = line.slice(0, colon).toLowerCase()
    const value = line.slice(colon + 1).trim()
    const before = headers.get(name)
    headers.set(name, before === undefined ? value : `${before}, ${value}`)
  }
  return { startLine, headers: Headers.fromInput(headers) }
}

// ---------------------------------------------------------------------------------------------------------------------
// Bodies
// ---------------------------------------------------------------------------------------------------------------------

type BodyState = "Open" | "Complete" | "Broken"

interface Body {
  /** Reads on from the offset `start`, and says where it stopped: at the end of the bytes, or where it is not "Open" any more. */
  readonly read: (bytes: Buffer, start: number, onPart: OnPart) => number
  readonly state: () => BodyState
}

const bodyOfLength = (length: number): Body => {
  let remaining = length
  return {
    read: (bytes, start, onPart) => {
      const end = Math.min(bytes.length, start + remaining)
      if (end > start) onPart("Payload", bytes.subarray(start, end))
      remaining -= end - start
      return end
    },
    state: () => remaining === 0 ? "Complete" : "Open"
  }
}

const bodyUntilClose: Body = {
  read: (bytes, start, onPart) => {
    if (start < bytes.length) onPart("Payload", bytes.subarray(start))
    return bytes.length
  },
  state: () => "Open"
}

/** The largest line (size or trailer field) of a chunked body. */
const largestLine = 16 * 1024

const chunkedBody = (): Body => {
  let state: BodyState = "Open"
  let phase: "Size" | "Content" | "ContentEnd" | "Trailer" = "Size"
  /** What is left of the content of this chunk. */
  let remaining = 0
  /** The line so far. */
  let line = ""

  const onSize = (text: string): void => {
    const size = /^([0-9a-f]{1,13})[ \t]*(?:;.*)?$/i.exec(text)?.[1]
    if (size === undefined) {
      state = "Broken"
      return
    }
    remaining = Number.parseInt(size, 16)
    phase = remaining === 0 ? "Trailer" : "Content"
  }

  const onLine = (text: string): void => {
    if (phase === "Size") return onSize(text)
    if (phase === "Trailer") {
      if (text === "") state = "Complete"
    } else if (text === "") phase = "Size"
    else state = "Broken"
  }

  const readContent = (bytes: Buffer, start: number, onPart: OnPart): number => {
    const end = Math.min(bytes.length, start + remaining)
    onPart("Payload", bytes.subarray(start, end))
    remaining -= end - start
    if (remaining === 0) phase = "ContentEnd"
    return end
  }

  const readLine = (bytes: Buffer, start: number, onPart: OnPart): number => {
    const feed = bytes.indexOf(lineFeed, start)
    const end = feed === -1 ? bytes.length : feed + 1
    line += bytes.toString("latin1", start, end)
    onPart(phase === "Trailer" ? "Trailer" : "Framing", bytes.subarray(start, end))
    if (feed !== -1) {
      onLine(line.replace(/\r?\n$/, ""))
      line = ""
    } else if (line.length > largestLine) state = "Broken"
    return end
  }

  const currentState = (): BodyState => state
  return {
    read: (bytes, start, onPart) => {
      let at = start
      while (currentState() === "Open" && at < bytes.length) {
        at = phase === "Content" ? readContent(bytes, at, onPart) : readLine(bytes, at, onPart)
      }
      return at
    },
    state: currentState
  }
}

/** The body that the headers announce; "Unclear" when its length makes no sense. */
const announcedBody = (headers: Headers.Headers): Body | "None" | "Unclear" => {
  const coding = headers["transfer-encoding"]
  if (coding !== undefined) return /(?:^|,)[ \t]*chunked$/i.test(coding) ? chunkedBody() : "Unclear"
  const length = headers["content-length"]
  if (length === undefined) return "None"
  const [first = "", ...others] = length.split(/[ \t]*,[ \t]*/)
  return /^\d{1,15}$/.test(first) && others.every((other) => other === first) ? bodyOfLength(Number(first)) : "Unclear"
}

// ---------------------------------------------------------------------------------------------------------------------
// Requests
// ---------------------------------------------------------------------------------------------------------------------

export interface Request {
  /** It has no framing: whatever the client says from now on goes with it. */
  readonly isRaw: boolean
  /** All of it as it came. */
  readonly bytes: Buffer
  readonly method: string
  readonly path: string
  readonly headers: Headers.Headers
  readonly body: string
}

export interface RequestReader {
  /** Takes what the client has said, and gives the requests that are whole now. After a raw one comes nothing any more. */
  readonly push: (bytes: Buffer) => ReadonlyArray<Request>
  /** What was said of the next request. */
  readonly rest: () => Buffer
}

/** As much of a request line as there is. */
const beginsLikeRequest = /^[!#-'*+.\w^`|~-]*(?: [!-~\x80-\xff]*(?: [HTP/1.0]*\r?)?)?$/
const isRequestLine = /^[!#-'*+.\w^`|~-]+ [!-~\x80-\xff]+ HTTP\/1\.[01]\r?$/

const payloadOf = (body: Body, bytes: Buffer): string => {
  const pieces: Array<Buffer> = []
  body.read(bytes, 0, (part, piece) => {
    if (part === "Payload") pieces.push(piece)
  })
  return pieces.length === 1 && pieces[0] !== undefined ? pieces[0].toString() : Buffer.concat(pieces).toString()
}

const bodyOfRequest = (headers: Headers.Headers): Body | undefined => {
  const body = announcedBody(headers)
  if (body === "None") return bodyOfLength(0)
  return body === "Unclear" ? undefined : body
}

export const requestReader = (): RequestReader => {
  const pending = growingBytes()
  /** How far the end of the head was looked for. */
  let lookedAt = 0
  /** The head that was read, and how far its body. */
  let open: { readonly head: Head; readonly headLength: number; readonly body: Body; bodyEnd: number } | undefined

  const take = (length: number): Buffer => {
    const bytes = Buffer.from(pending.view().subarray(0, length))
    pending.drop(length)
    lookedAt = 0
    open = undefined
    return bytes
  }

  const takeRaw = (): Request => {
    const bytes = take(pending.length())
    return { isRaw: true, bytes, method: "", path: "", headers: Headers.empty, body: bytes.toString() }
  }

  const takeWhole = ({ bodyEnd, head, headLength }: NonNullable<typeof open>): Request => {
    const bytes = take(bodyEnd)
    const [method = "", path = ""] = head.startLine.split(" ")
    const body = bodyEnd === headLength ? undefined : bodyOfRequest(head.headers)
    return {
      isRaw: false,
      bytes,
      method,
      path,
      headers: head.headers,
      body: body === undefined ? "" : payloadOf(body, bytes.subarray(headLength))
    }
  }

  /** The line that begins there is a request line, or can still become one. */
  const isPlausible = (bytes: Buffer, start: number): boolean => {
    const feed = bytes.indexOf(lineFeed, start)
    // It was judged when its end came.
    if (feed !== -1 && feed < lookedAt) return true
    return feed === -1
      ? beginsLikeRequest.test(bytes.toString("latin1", start))
      : isRequestLine.test(bytes.toString("latin1", start, feed))
  }

  /** "Incomplete": it takes more bytes to tell. */
  const readHead = (): "Incomplete" | "Raw" | NonNullable<typeof open> => {
    const bytes = pending.view()
    // Empty lines before a request line are to be ignored.
    let start = 0
    while (bytes[start] === carriageReturn || bytes[start] === lineFeed) start++
    if (start === bytes.length) return bytes.length > largestHead ? "Raw" : "Incomplete"
    if (!isPlausible(bytes, start)) return "Raw"
    const end = headEnd(bytes, Math.max(start, lookedAt))
    lookedAt = lookedUpTo(bytes.length)
    if (end === -1) return bytes.length > largestHead ? "Raw" : "Incomplete"
    const head = parseHead(bytes.toString("latin1", start, end))
    const body = bodyOfRequest(head.headers)
    return body === undefined ? "Raw" : { head, headLength: end, body, bodyEnd: end }
  }

  const next = (): Request | undefined => {
    if (pending.length() === 0) return undefined
    if (open === undefined) {
      const read = readHead()
      if (read === "Incomplete") return undefined
      if (read === "Raw") return takeRaw()
      open = read
    }
    open.bodyEnd = open.body.read(pending.view(), open.bodyEnd, ignore)
    if (open.body.state() === "Complete") return takeWhole(open)
    return open.body.state() === "Broken" || pending.length() > largestRequest ? takeRaw() : undefined
  }

  return {
    push: (bytes) => {
      pending.append(bytes)
      const requests: Array<Request> = []
      for (let request = next(); request !== undefined; request = next()) requests.push(request)
      return requests
    },
    rest: () => Buffer.from(pending.view())
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Responses
// ---------------------------------------------------------------------------------------------------------------------

export interface ResponseHead {
  readonly status: number
  readonly headers: Headers.Headers
  readonly framing: "None" | "Length" | "Chunked" | "UntilClose"
}

export interface ResponseSink {
  readonly onPart: OnPart
  /** After the head's last part. Interim responses (1xx) are parts without a head of their own. */
  readonly onHead: (head: ResponseHead) => void
}

export interface ResponseFramer {
  /** Tells the parts of what the server has said, in order and without a gap; answers how many bytes belong to this response. */
  readonly read: (bytes: Buffer, sink: ResponseSink) => number
  readonly isComplete: () => boolean
  /** The connection speaks another protocol from here on. */
  readonly isUpgrade: () => boolean
}

export const ignoreParts: ResponseSink = { onPart: ignore, onHead: ignore }

const protocol = "HTTP/1."

interface Framed {
  readonly body: Body
  readonly framing: ResponseHead["framing"]
  readonly isUpgrade: boolean
}

const bodyOfResponse = (method: string, status: number, headers: Headers.Headers): Framed => {
  if (status === 101 || (method === "CONNECT" && status >= 200 && status < 300)) {
    return { body: bodyUntilClose, framing: "UntilClose", isUpgrade: true }
  }
  if (method === "HEAD" || status === 204 || status === 304) {
    return { body: bodyOfLength(0), framing: "None", isUpgrade: false }
  }
  const body = announcedBody(headers)
  if (body === "None" || body === "Unclear") return { body: bodyUntilClose, framing: "UntilClose", isUpgrade: false }
  return { body, framing: headers["transfer-encoding"] === undefined ? "Length" : "Chunked", isUpgrade: false }
}

/** The response to a request of this method. */
export const responseFramer = (method: string): ResponseFramer => {
  /** What came of a head that did not come at once. */
  const pending = growingBytes()
  let framed: Framed | undefined
  let isRaw = false

  const onHeadText = (text: string, sink: ResponseSink): void => {
    const { headers, startLine } = parseHead(text)
    const status = Number(/^HTTP\/1\.[01] (\d{3})(?: |$)/.exec(startLine)?.[1])
    if (Number.isNaN(status)) {
      isRaw = true
      return
    }
    if (status < 200 && status !== 101) return
    framed = bodyOfResponse(method, status, headers)
    sink.onHead({ status, headers, framing: framed.framing })
  }

  const readHead = (bytes: Buffer, start: number, sink: ResponseSink): number => {
    const before = pending.length()
    if (before > 0) pending.append(bytes.subarray(start))
    const seen = before > 0 ? pending.view() : bytes.subarray(start)
    const beginning = seen.toString("latin1", 0, protocol.length)
    if (!protocol.startsWith(beginning)) {
      isRaw = true
      return start
    }
    const end = headEnd(seen, lookedUpTo(before))
    if (end === -1) {
      isRaw = seen.length > largestHead
      if (before === 0) pending.append(seen)
      sink.onPart("Head", bytes.subarray(start))
      return bytes.length
    }
    const text = seen.toString("latin1", 0, end)
    pending.drop(pending.length())
    const endInBytes = start + end - before
    sink.onPart("Head", bytes.subarray(start, endInBytes))
    onHeadText(text, sink)
    return endInBytes
  }

  const isComplete = (): boolean => !isRaw && framed?.body.state() === "Complete"

  const readOn = (bytes: Buffer, start: number, sink: ResponseSink): number => {
    if (framed === undefined) return readHead(bytes, start, sink)
    const end = framed.body.read(bytes, start, sink.onPart)
    isRaw = framed.body.state() === "Broken"
    return end
  }

  return {
    read: (bytes, sink) => {
      let at = 0
      while (at < bytes.length && !isComplete()) {
        if (isRaw) {
          sink.onPart("Raw", bytes.subarray(at))
          return bytes.length
        }
        at = readOn(bytes, at, sink)
      }
      return at
    },
    isComplete,
    isUpgrade: () => framed?.isUpgrade === true
  }
}
