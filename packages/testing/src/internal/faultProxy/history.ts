/**
 * What went through a proxy: the last exchanges, and the beginning of what each client was given.
 */
import type * as FaultProxy from "../../FaultProxy.ts"

export interface History {
  /** How many exchanges there have been. */
  readonly count: () => number
  readonly add: (exchange: FaultProxy.Exchange) => Entry
  readonly entries: () => ReadonlyArray<FaultProxy.Passed>
}

interface Entry {
  readonly setFaults: (faults: ReadonlyArray<FaultProxy.Fault>) => void
  readonly onPassed: (bytes: Uint8Array) => void
}

const most = 10_000

/** `keep`: bytes of a response, characters of a request's body. */
export const makeHistory = (keep: number): History => {
  let entries: Array<() => FaultProxy.Passed> = []
  let count = 0
  return {
    count: () => count,
    add: (exchange) => {
      count++
      const { entry, read } = makeEntry(exchange, keep)
      entries.push(read)
      if (entries.length === 2 * most) entries = entries.slice(most)
      return entry
    },
    entries: () => entries.slice(-most).map((read) => read())
  }
}

const makeEntry = (
  exchange: FaultProxy.Exchange,
  keep: number
): { readonly entry: Entry; readonly read: () => FaultProxy.Passed } => {
  const known = { ...exchange, body: exchange.body.slice(0, keep) }
  const kept: Array<Uint8Array> = []
  let keptLength = 0
  let total = 0
  let faults: ReadonlyArray<FaultProxy.Fault> = []
  return {
    entry: {
      setFaults: (chosen) => {
        faults = chosen
      },
      onPassed: (bytes) => {
        total += bytes.length
        if (keptLength === keep) return
        // A copy: a slice would hold on to all of the chunk that it comes from.
        const piece = Uint8Array.from(bytes.subarray(0, keep - keptLength))
        kept.push(piece)
        keptLength += piece.length
      }
    },
    read: () => ({ ...known, response: joined(kept, keptLength), total, faults })
  }
}

const joined = (pieces: ReadonlyArray<Uint8Array>, length: number): Uint8Array => {
  const all = new Uint8Array(length)
  let at = 0
  for (const piece of pieces) {
    all.set(piece, at)
    at += piece.length
  }
  return all
}
