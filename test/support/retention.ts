/**
 * Measures what the collector has to copy: what is over must not be reachable from anything old.
 */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { type ChildProcess, fork } from "node:child_process"
import { fileURLToPath } from "node:url"
import * as v8 from "node:v8"
import { runInNewContext } from "node:vm"

v8.setFlagsFromString("--expose-gc")
const collect: unknown = runInNewContext("gc")

/** Without a type, all that can be collected, weak references included. */
export const collectGarbage = (type?: "major" | "minor"): void => {
  assert(typeof collect === "function")
  if (type === undefined) collect()
  else collect({ type })
}

const usedBytes = (space: string): number =>
  v8.getHeapSpaceStatistics().find(({ space_name }) => space_name === space)?.space_used_size ?? 0

const oldBytes = (): number => usedBytes("old_space")

/** What is in use by objects of which each has pages of its own: long texts, for one. */
export const largeBytes = (): number => {
  collectGarbage()
  return usedBytes("large_object_space")
}

/** How many bytes of each run end up in the old generation, of sixteen that run side by side. */
export const keptBytes = <E>(count: number, run: (n: number) => Effect.Effect<unknown, E>): Effect.Effect<number, E> =>
  Effect.gen(function*() {
    let next = 0
    const several = (until: number) =>
      Effect.all(
        Array.from({ length: 16 }, () =>
          Effect.whileLoop({
            while: () => next < until,
            body: () => run(++next),
            // What survives two collections is old.
            step: () => next % 50 === 0 ? collectGarbage("minor") : undefined
          })),
        { concurrency: "unbounded", discard: true }
      )
    yield* several(500)
    collectGarbage("major")
    const before = oldBytes()
    yield* several(500 + count)
    return (oldBytes() - before) / count
  })

/** The URL of a server whose memory is not ours: the one of the benchmark. */
export const otherProcess = Effect.map(
  Effect.acquireRelease(
    Effect.async<{ readonly child: ChildProcess; readonly url: string }>((resume) => {
      const child = fork(fileURLToPath(new URL("../bench/server.mjs", import.meta.url)), [], { execArgv: [] })
      child.once("message", (message: { readonly url: string }) => resume(Effect.succeed({ child, url: message.url })))
    }),
    ({ child }) => Effect.sync(() => child.kill())
  ),
  ({ url }) => url
)
