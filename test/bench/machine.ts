/**
 * Where and with what was measured.
 */
import { spawnSync } from "node:child_process"
import { cpus, release, totalmem, type } from "node:os"
import type { BenchClient } from "./clients.ts"
import { versionOf } from "./packages.ts"

export interface Machine {
  readonly processor: string
  readonly cores: number
  readonly memoryGb: number
  readonly system: string
  /** The Node.js of the clients. */
  readonly node: string
  /** The Node.js of the server. */
  readonly serverNode: string
  readonly packages: Readonly<Record<string, string>>
}

export const nodeVersion = (execPath: string): string =>
  spawnSync(execPath, ["--version"], { encoding: "utf8" }).stdout.trim()

export const describeMachine = (execPath: string, clients: ReadonlyArray<BenchClient>): Machine => ({
  processor: cpus()[0]?.model.trim() ?? "unknown",
  cores: cpus().length,
  memoryGb: Math.round(totalmem() / 2 ** 30),
  system: `${type()} ${release()}`,
  node: nodeVersion(execPath),
  serverNode: process.version,
  packages: Object.fromEntries(
    clients.flatMap(({ installed: { folder, packages } }) =>
      [...packages, ...(folder === "root" ? ["undici"] : [])].map((name): [string, string] => [
        folder === "effect4" ? `${name} (Effect 4)` : folder === "bench" && name === "undici" ? "undici (floor)" : name,
        versionOf(folder, name) ?? "not installed"
      ])
    ).toSorted(([a], [b]) => a < b ? -1 : 1)
  )
})
