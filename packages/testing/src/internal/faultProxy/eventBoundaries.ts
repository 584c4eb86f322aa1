/**
 * Where the events of a stream of server-sent events end, in bytes, whatever ends its lines (LF, CR LF or CR).
 *
 * An event is what an empty line ends, with whatever stands before it since the event before: comments, further empty lines.
 * A block of nothing but comments is no event; one with only an `id` or empty data is, although a client shows it to nobody.
 */

const lineFeed = 0x0a
const carriageReturn = 0x0d
const colon = 0x3a

export interface EventBoundaries {
  /**
   * Reads on, and gives the offsets in these bytes at which an event ends. An event that ends with a CR after which an LF may
   * follow is decided by the next byte: the offset is then 0 or 1 in the bytes that come next.
   */
  readonly read: (bytes: Buffer) => ReadonlyArray<number>
}

export const eventBoundaries = (): EventBoundaries => {
  let isInLine = false
  /** A line that is no comment has begun since the last event. */
  let hasField = false
  let isAfterReturn = false
  /** That carriage return ends an event, alone or with a line feed. */
  let isUndecided = false
  let lastEnding: "LineFeed" | "Return" | "Both" = "LineFeed"

  const beginLine = (byte: number | undefined): void => {
    if (isInLine) return
    isInLine = true
    if (byte !== colon) hasField = true
  }

  /** Whether the line that ends completes an event. */
  const endLine = (isEmpty: boolean): boolean => {
    isInLine = false
    if (!isEmpty || !hasField) return false
    hasField = false
    return true
  }

  /** Settles a carriage return at the end of the bytes before; gives the offset at which to go on. */
  const settleReturn = (bytes: Buffer, found: Array<number>): number => {
    if (!isAfterReturn) return 0
    const at = bytes[0] === lineFeed ? 1 : 0
    lastEnding = at === 1 ? "Both" : "Return"
    if (isUndecided) found.push(at)
    isAfterReturn = isUndecided = false
    return at
  }

  return {
    read: (bytes) => {
      const found: Array<number> = []
      if (bytes.length === 0) return found
      let at = settleReturn(bytes, found)
      let feed = bytes.indexOf(lineFeed, at)
      let carriage = bytes.indexOf(carriageReturn, at)
      while (feed !== -1 || carriage !== -1) {
        const isReturn = carriage !== -1 && (feed === -1 || carriage < feed)
        const end = isReturn ? carriage : feed
        if (end > at) beginLine(bytes[at])
        const isPair = isReturn && feed === end + 1
        const isLast = isReturn && end + 1 === bytes.length
        at = isPair ? end + 2 : end + 1
        if (endLine(!isInLine)) {
          // Who ended a line with a CR alone does so again: the event need not wait for the byte after.
          if (isLast && lastEnding !== "Return") isUndecided = true
          else found.push(at)
        }
        lastEnding = isPair ? "Both" : isReturn ? "Return" : "LineFeed"
        isAfterReturn = isLast
        if (feed !== -1 && feed < at) feed = bytes.indexOf(lineFeed, at)
        if (carriage !== -1 && carriage < at) carriage = bytes.indexOf(carriageReturn, at)
      }
      if (at < bytes.length) beginLine(bytes[at])
      return found
    }
  }
}
