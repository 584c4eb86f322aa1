// Adds to package-lock.json what `npm install` leaves out when its registry is a mirror that does not carry the
// packages of other platforms: their optional entries. Without them `npm ci` takes the lockfile for outdated.
// Versions come from the packages that ask for them, platforms from their names; `integrity` stays open.
//
//   npm install && node .ci/complete-lock.mjs
import { readFileSync, writeFileSync } from "node:fs"

const file = new URL("../package-lock.json", import.meta.url)
const lock = JSON.parse(readFileSync(file, "utf8"))
const added = []

const platform = (name) => {
  const parts = name.slice(name.indexOf("/") + 1).split(/[-_.]/)
  const find = (values) => values.find((value) => parts.includes(value))
  const os = find([
    "aix",
    "android",
    "darwin",
    "freebsd",
    "linux",
    "netbsd",
    "openbsd",
    "openharmony",
    "sunos",
    "win32"
  ])
  const cpu = find(["arm64", "arm", "ia32", "loong64", "ppc64", "riscv64", "s390x", "x64"])
  const libc = os !== "linux"
    ? undefined
    : parts.some((part) => part.startsWith("musl"))
    ? "musl"
    : parts.some((part) => part === "glibc" || part.startsWith("gnu"))
    ? "glibc"
    : undefined
  return os !== undefined && cpu !== undefined ? { os, cpu, libc } : undefined
}

for (const [path, parent] of Object.entries(lock.packages)) {
  for (const [name, version] of Object.entries(parent.optionalDependencies ?? {})) {
    const found = platform(name)
    const known = lock.packages[`${path}/node_modules/${name}`] ?? lock.packages[`node_modules/${name}`]
    if (found === undefined || known !== undefined) continue
    if (!/^\d+\.\d+\.\d+\S*$/.test(version)) {
      throw new Error(`${path} asks for ${name}@${version}, which is not one version`)
    }
    lock.packages[`node_modules/${name}`] = {
      version,
      cpu: [found.cpu],
      ...(parent.dev ? { dev: true } : {}),
      ...(parent.devOptional ? { devOptional: true } : {}),
      ...(found.libc === undefined ? {} : { libc: [found.libc] }),
      optional: true,
      os: [found.os]
    }
    added.push(`${name}@${version}`)
  }
}

lock.packages = Object.fromEntries(
  Object.entries(lock.packages).toSorted(([a], [b]) => a.localeCompare(b, "en"))
)
writeFileSync(file, `${JSON.stringify(lock, null, 2)}\n`)
console.log(`${added.length} entries added`)
