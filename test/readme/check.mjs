/**
 * Type-checks the examples of all READMEs: `node test/readme/check.mjs`. Each TypeScript block is a module of its own.
 */
import { spawnSync } from "node:child_process"
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"

const here = dirname(fileURLToPath(import.meta.url))
const examples = join(here, "examples")
const root = join(here, "../..")
const packages = readdirSync(join(root, "packages")).map((name) => join("packages", name))
const files = ["", ...packages].map((folder) => join(root, folder, "README.md")).filter((file) => existsSync(file))

rmSync(examples, { recursive: true, force: true })
mkdirSync(examples)
const blocks = files.flatMap((file) =>
  Array.from(readFileSync(file, "utf8").matchAll(/```ts\n([\s\S]*?)```/g), ([, code]) => code)
)
for (const [index, code] of blocks.entries()) {
  writeFileSync(join(examples, `example${index + 1}.ts`), code)
}
writeFileSync(
  join(examples, "tsconfig.json"),
  JSON.stringify({
    extends: "../../tsconfig.json",
    include: ["*.ts"],
    compilerOptions: { incremental: false, tsBuildInfoFile: null, noUnusedLocals: false }
  })
)
const { status } = spawnSync("npx", ["--no-install", "tsc", "-p", examples], { stdio: "inherit" })
if (status === 0) rmSync(examples, { recursive: true, force: true })
console.log(status === 0 ? `${blocks.length} README examples compile` : `README examples: see ${examples}`)
process.exitCode = status ?? 1
