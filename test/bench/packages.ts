/**
 * Packages as npm has laid them out here: their versions, and what an install of them brings.
 */
import { existsSync, lstatSync, readdirSync, readFileSync, realpathSync } from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import type { BenchClient } from "./clients.ts"

const path = (folder: string): string => fileURLToPath(new URL(folder, import.meta.url))

const folders: Readonly<Record<BenchClient["installed"]["folder"], string>> = {
  root: path("../../"),
  bench: path("./"),
  effect4: path("./effect4/")
}

/** The folder of a package as `from` sees it. */
const locate = (name: string, from: string): string | undefined => {
  for (let folder = from;; folder = dirname(folder)) {
    const candidate = join(folder, "node_modules", name)
    if (existsSync(join(candidate, "package.json"))) return realpathSync(candidate)
    if (folder === dirname(folder)) return undefined
  }
}

const names = (manifest: object, field: string): ReadonlyArray<string> =>
  Object.keys(Object(Reflect.get(manifest, field)))

const readManifest = (folder: string): object => Object(JSON.parse(readFileSync(join(folder, "package.json"), "utf8")))

const isOptionalPeer = (manifest: object, name: string): boolean =>
  Reflect.get(Object(Reflect.get(Object(Reflect.get(manifest, "peerDependenciesMeta")), name)), "optional") === true

const needs = (manifest: object): ReadonlyArray<string> => [
  ...names(manifest, "dependencies"),
  ...names(manifest, "optionalDependencies"),
  ...names(manifest, "peerDependencies").filter((name) => !isOptionalPeer(manifest, name))
]

/** Bytes of the files of a package, without what is installed inside of it and what is not published of ours. */
const sizeOf = (folder: string): number =>
  readdirSync(folder).filter((entry) => entry !== "node_modules" && entry !== "docs").reduce((sum, entry) => {
    const file = join(folder, entry)
    const stat = lstatSync(file)
    return sum + (stat.isDirectory() ? sizeOf(file) : entry.endsWith(".tsbuildinfo") ? 0 : stat.size)
  }, 0)

/** The version of a package, or nothing when it is not installed. */
export const versionOf = (folder: BenchClient["installed"]["folder"], name: string): string | undefined => {
  const location = locate(name, folders[folder])
  return location === undefined ? undefined : String(Reflect.get(readManifest(location), "version"))
}

/** The packages that these need, and themselves: how many, and how large. */
export const footprint = (
  { folder, packages }: BenchClient["installed"]
): { readonly packages: number; readonly bytes: number } => {
  const found = new Set<string>()
  const visit = (name: string, from: string): void => {
    const location = locate(name, from)
    if (location === undefined || found.has(location)) return
    found.add(location)
    for (const needed of needs(readManifest(location))) visit(needed, location)
  }
  for (const name of packages) visit(name, folders[folder])
  return { packages: found.size, bytes: [...found].reduce((sum, location) => sum + sizeOf(location), 0) }
}
