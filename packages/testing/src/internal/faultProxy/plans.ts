/**
 * Plans: by the index of exchanges, by connection, and at random from a seed.
 */
import * as Duration from "effect/Duration"
import type * as FaultProxy from "../../FaultProxy.ts"
import * as faults from "./faults.ts"

export const nothing: FaultProxy.Plan = () => []

/** The exchange with the index `first` gets the first faults of the sequence. */
export const fromSequence = (sequence: FaultProxy.Sequence, first: number): FaultProxy.Plan => (exchange) =>
  sequence[exchange.index - first] ?? []

export const perConnection = (
  connections: ReadonlyArray<FaultProxy.Plan | ReadonlyArray<FaultProxy.Fault>>
): FaultProxy.Plan =>
(exchange) => {
  const chosen = connections[exchange.connection] ?? []
  return typeof chosen === "function" ? chosen(exchange) : chosen
}

const harmless: ReadonlyArray<FaultProxy.Fault["_tag"]> = ["Cut", "Stall", "Split", "Delay", "Refuse", "Lose"]

const statuses: Some<number> = [429, 500, 502, 503, 504]

export const seeded = (seed: number | string, options: FaultProxy.SeededOptions = {}): FaultProxy.Plan => {
  const rate = options.rate ?? 0.3
  if (!(rate >= 0 && rate <= 1)) throw new RangeError(`FaultProxy: seeded.rate must be from 0 to 1, not ${rate}`)
  const kinds = someOf("seeded.faults", options.faults ?? harmless)
  const endings = someOf<FaultProxy.Cut["how"]>("seeded.cuts", options.cuts ?? ["Close", "Reset"])
  const maxBytes = faults.wholeNumber("seeded.maxBytes", options.maxBytes ?? 2048, 1)
  const maxEvents = faults.wholeNumber("seeded.maxEvents", options.maxEvents ?? 4)
  const maxDelay = Duration.toMillis(faults.duration("seeded.maxDelay", options.maxDelay ?? "50 millis"))
  if (maxDelay === Number.POSITIVE_INFINITY) throw new RangeError("FaultProxy: seeded.maxDelay must be finite")

  const fault = (random: Random): FaultProxy.Fault => {
    const position = (): FaultProxy.Position =>
      random() < 0.5 ? { bytes: upTo(random, maxBytes) } : { events: upTo(random, maxEvents) }
    const ending = (): FaultProxy.Ending => random() < 0.5 ? "Close" : "Reset"
    switch (pick(random, kinds)) {
      case "Cut":
        return faults.cut({ after: position(), how: pick(random, endings) })
      case "Stall":
        return faults.stall({ after: position(), duration: upTo(random, maxDelay) })
      case "Split":
        return faults.split({ size: 1 + upTo(random, maxBytes - 1) })
      case "Delay":
        return faults.delay({ by: upTo(random, maxDelay) })
      case "Respond":
        return faults.respond({ status: pick(random, statuses) })
      case "Refuse":
        return faults.refuse({ how: ending() })
      case "Lose":
        return faults.lose({ how: ending() })
      case "Duplicate":
        return faults.duplicate({ event: upTo(random, maxEvents) })
      case "Reorder":
        return faults.reorder({ event: upTo(random, maxEvents) })
    }
  }

  return (exchange) => {
    const random = randomFrom(`${typeof seed} ${seed} ${exchange.index}`)
    return random() < rate ? [fault(random)] : []
  }
}

/** At least one. */
type Some<A> = readonly [A, ...ReadonlyArray<A>]

const someOf = <A>(name: string, [first, ...others]: ReadonlyArray<A>): Some<A> => {
  if (first === undefined) throw new RangeError(`FaultProxy: ${name} must not be empty`)
  return [first, ...others]
}

/** From 0 to 1, 1 excluded. */
type Random = () => number

const upTo = (random: Random, most: number): number => Math.floor(random() * (most + 1))

const pick = <A>(random: Random, choices: Some<A>): A => choices[upTo(random, choices.length - 1)] ?? choices[0]

/** FNV-1a, then mulberry32: short, and the same on every machine and in every version. */
const randomFrom = (text: string): Random => {
  let state = 0x811c9dc5
  for (let at = 0; at < text.length; at++) state = Math.imul(state ^ text.charCodeAt(at), 0x01000193)
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x100000000
  }
}
