/**
 * What was measured: for one client and one quantity, a value for each round.
 */
import { median, quantile, ratios } from "./statistics.ts"

export interface Series {
  /** The name of the workload; where it has several quantities, followed by a dot and the quantity. */
  readonly id: string
  readonly title: string
  readonly unit: string
  readonly client: string
  readonly values: ReadonlyArray<number>
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

/** The ratio between two clients: the median of those of each round that both have had. */
export const ratioOf = (
  all: ReadonlyArray<Series>,
  id: string,
  client: string,
  base: string
): number | undefined => {
  // Nothing to compare, or with nothing: no number, which JSON could not keep either.
  const found = median(ratios(find(all, id, client)?.values ?? [], find(all, id, base)?.values ?? []))
  return Number.isFinite(found) ? found : undefined
}

export const summarize = (all: ReadonlyArray<Series>): ReadonlyArray<Summary> =>
  all.map((one) => ({
    ...one,
    median: median(one.values),
    spread: [quantile(one.values, 0.25), quantile(one.values, 0.75)],
    toFloor: ratioOf(all, one.id, one.client, "floor"),
    toSdk: ratioOf(all, one.id, one.client, "sdk2-transport")
  }))
