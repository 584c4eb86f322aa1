/**
 * Installs what is compared, in this folder only.
 */
import { spawnSync } from "node:child_process"
import { createHash } from "node:crypto"
import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

const here = fileURLToPath(new URL("./", import.meta.url))

/** The second Node.js, which the benchmark installs. */
export const secondNode = join(here, "node_modules", "node", "bin", "node")

/** Installs the peers, unless what is installed is what the lock files name. */
export const installPeers = (): void => {
  for (const folder of [here, join(here, "effect4")]) {
    const stamp = join(folder, "node_modules", ".installed")
    const wanted = createHash("sha256").update(readFileSync(join(folder, "package-lock.json"))).digest("hex")
    if (existsSync(stamp) && readFileSync(stamp, "utf8") === wanted) continue
    console.log(`Installing the peers in ${folder} ...`)
    const { error, status } = spawnSync("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"], {
      cwd: folder,
      stdio: "inherit",
      shell: process.platform === "win32"
    })
    if (status !== 0) {
      throw new Error(`The peers could not be installed: ${error?.message ?? `npm ci ended with ${status}`}`)
    }
    writeFileSync(stamp, wanted)
  }
}
