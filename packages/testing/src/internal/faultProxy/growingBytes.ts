/**
 * Bytes that come in pieces and leave from the front, in one buffer that grows by doubling.
 */

export interface GrowingBytes {
  readonly length: () => number
  /** What is there, without a copy: good until the next call of `append` or `drop`. */
  readonly view: () => Buffer
  readonly append: (bytes: Buffer) => void
  /** Takes away the first `count` bytes. */
  readonly drop: (count: number) => void
}

const smallest = 4096
/** A buffer that has become larger is given up when it is empty. */
const largestKept = 256 * 1024

export const growingBytes = (): GrowingBytes => {
  let buffer = Buffer.alloc(0)
  let start = 0
  let end = 0

  const makeRoom = (count: number): void => {
    if (end + count <= buffer.length) return
    const length = end - start
    // Moving within the buffer pays only when half of it is free: each byte is moved a bounded number of times.
    if (2 * (length + count) <= buffer.length) {
      buffer.copyWithin(0, start, end)
    } else {
      const larger = Buffer.allocUnsafe(Math.max(smallest, 2 * (length + count)))
      buffer.copy(larger, 0, start, end)
      buffer = larger
    }
    start = 0
    end = length
  }

  return {
    length: () => end - start,
    view: () => buffer.subarray(start, end),
    append: (bytes) => {
      makeRoom(bytes.length)
      end += bytes.copy(buffer, end)
    },
    drop: (count) => {
      start += count
      if (start < end) return
      start = end = 0
      if (buffer.length > largestKept) buffer = Buffer.alloc(0)
    }
  }
}
