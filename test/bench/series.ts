/**
 * What was measured: for one client and one quantity, a value for each round.
 */
import { median, quantile } from "./statistics.ts"

export interface Series {
  /** The name of the workload; where it has several quantities, followed by a dot and the quantity. */
  readonly id: string
  readonly title: string
  readonly unit: string
  readonly client: string
  readonly values: ReadonlyArray<number>
  /** Which round each of them is of. Not every client has had every round. */
  readonly rounds: ReadonlyArray<number>
}

/** The name of the workload that a series is of. */
export const workloadOf = (id: string): string => id.replace(/\..*$/, "")

/** A client that failed in a workload. */
export interface Failure {
  readonly workload: string
  readonly client: string
  readonly error: string
}

export interface Summary extends Series {
  readonly median: number
  /** The quartiles. */
  readonly spread: readonly [number, number]
  readonly toFloor: number | undefined
  readonly toSdk: number | undefined
}

export const find = (all: ReadonlyArray<Series>, id: string, client: string): Series | undefined =>
  all.find((one) => one.id === id && one.client === client)

/** The ratios between two clients, of each round that both have had: what disturbed a whole round disturbs them least. */
export const ratiosOf = (
  all: ReadonlyArray<Series>,
  id: string,
  client: string,
  base: string
): ReadonlyArray<number> => {
  const bases = find(all, id, base)
  const ofBase = new Map(bases?.rounds.map((round, at) => [round, bases.values[at]]))
  const one = find(all, id, client)
  const ratios = one?.values.flatMap((value, at) => {
    const other = ofBase.get(one.rounds[at] ?? Number.NaN)
    return other === undefined ? [] : [value / other]
  })
  return ratios ?? []
}

/** Their median. */
export const ratioOf = (
  all: ReadonlyArray<Series>,
  id: string,
  client: string,
  base: string
): number | undefined => {
  // Nothing to compare, or with nothing: no number, which JSON could not keep either.
  const found = median(ratiosOf(all, id, client, base))
  return Number.isFinite(found) ? found : undefined
}

/** What was measured of the same, before and again. */
export const joined = (before: ReadonlyArray<Series>, again: ReadonlyArray<Series>): ReadonlyArray<Series> =>
  before.map((one) => {
    const more = find(again, one.id, one.client)
    return more === undefined
      ? one
      : { ...one, values: [...one.values, ...more.values], rounds: [...one.rounds, ...more.rounds] }
  })

export const summarize = (all: ReadonlyArray<Series>): ReadonlyArray<Summary> =>
  all.map((one) => ({
    ...one,
    median: median(one.values),
    spread: [quantile(one.values, 0.25), quantile(one.values, 0.75)],
    toFloor: ratioOf(all, one.id, one.client, "floor"),
    toSdk: ratioOf(all, one.id, one.client, "sdk2-transport")
  }))
