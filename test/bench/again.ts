/**
 * What is left of the time of a quick run goes where it decides something: open verdicts are measured again, in fresh processes.
 */
import type { OpenVerdict } from "./targets.ts"

export interface Choice {
  readonly workload: string
  readonly clients: ReadonlySet<string>
}

/** More than these change little. */
const mostRounds = 8

/**
 * What to measure next: the most urgent verdict there is time for, and with it the missed ones of other clients on the same
 * workload.
 *
 * @param msEach how long a client of a workload takes
 */
export const choose = (
  open: ReadonlyArray<OpenVerdict>,
  msEach: (workload: string) => number,
  leftMs: number
): Choice | undefined => {
  const fits = (workload: string, clients: ReadonlySet<string>) => clients.size * msEach(workload) <= leftMs
  const first = open.find(({ clients, rounds, workload }) => rounds < mostRounds && fits(workload, new Set(clients)))
  if (first === undefined) return undefined
  const { workload } = first
  let clients: ReadonlySet<string> = new Set(first.clients)
  for (const other of open) {
    const more = new Set([...clients, ...other.clients])
    const isMore = other.workload === workload && other.isMissed && !clients.has(other.client)
    if (isMore && fits(workload, more)) clients = more
  }
  return { workload, clients }
}
