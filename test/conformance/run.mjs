/**
 * Runs the official conformance suites against `client.mjs`, the client of this project.
 *
 *   node test/conformance/run.mjs [--client <file>]
 *
 * The suites need Node.js 22; the client runs on the Node.js that runs this file. The suites alone are a weak judge: a
 * scenario that the client never entered may count as passed. So the number of checks that succeeded must also reach the
 * minimum that `minimums.json` stores for the scenario and the version of the suite.
 */
import { spawn, spawnSync } from "node:child_process"
import { createHash } from "node:crypto"
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { basename, dirname, join, relative, resolve } from "node:path"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"

const here = dirname(fileURLToPath(import.meta.url))
const modules = join(here, "node_modules")

const suiteNode = join(modules, "node", "bin", "node")
const suites = ["conformance-0-1", "@modelcontextprotocol/conformance"]

/**
 * One run of a suite. `select` says which scenarios it runs; `scenarios` are those that must have been run, each of them
 * with its stored minimum. A leg whose scenarios may fail in known ways names the file of these ways in `expectedFailures`.
 *
 * @typedef {object} Leg
 * @property {string} suite
 * @property {ReadonlyArray<string>} select
 * @property {ReadonlyArray<string>} scenarios
 * @property {string} [expectedFailures]
 */

/** Each scenario by itself: only then do the client's exit code and a time-out count, and the timing is not disturbed. */
const legs = suites.flatMap((suite) =>
  ["initialize", "tools_call", "sse-retry"].map((scenario) => ({
    suite,
    select: ["--scenario", scenario],
    scenarios: [scenario]
  }))
)

const clientTimeoutMs = 20_000
const legTimeoutMs = 60_000

/** Installs the suites, unless what is installed is what the lock file names. */
const install = () => {
  const stamp = join(modules, ".installed")
  const wanted = createHash("sha256").update(readFileSync(join(here, "package-lock.json"))).digest("hex")
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === wanted) {
    return
  }
  console.log("Installing the conformance suites ...")
  const { error, status } = spawnSync("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"], {
    cwd: here,
    stdio: "inherit",
    shell: process.platform === "win32"
  })
  if (status !== 0 || !existsSync(suiteNode)) {
    throw new Error(`The conformance suites could not be installed: ${error?.message ?? `npm ci ended with ${status}`}`)
  }
  writeFileSync(stamp, wanted)
}

const readJson = (file) => JSON.parse(readFileSync(file, "utf8"))

/** The rows of every scenario that a leg has run, by its name. A scenario leaves `<name>-<time>/checks.json` behind. */
const readChecks = (output) =>
  new Map(
    readdirSync(output, { recursive: true })
      .filter((file) => basename(file) === "checks.json")
      .map((file) => [
        relative(output, join(output, dirname(file))).replace(/-\d{4}-\d\d-\d\dT[\dZ-]+$/, ""),
        readJson(join(output, file))
      ])
  )

const quote = (argument) => `'${argument.replaceAll("'", `'\\''`)}'`

/** Ends a suite and the client it started; both are in the process group of the suite. */
const endGroup = (child) => {
  try {
    process.kill(-child.pid, "SIGKILL")
  } catch {
    // It had ended already.
  }
}

const runLeg = (leg, client) =>
  new Promise((done) => {
    const output = mkdtempSync(join(tmpdir(), "conformance-"))
    // With `exec` the client is the process itself that the suite ends on a time-out, and not a child of a shell.
    const command = `exec ${quote(process.execPath)} ${quote(client)}`
    const child = spawn(
      suiteNode,
      [
        join(modules, leg.suite, readJson(join(modules, leg.suite, "package.json")).bin.conformance),
        "client",
        "--command",
        command,
        "--timeout",
        String(clientTimeoutMs),
        "-o",
        output,
        ...(leg.expectedFailures === undefined ? [] : ["--expected-failures", join(here, leg.expectedFailures)]),
        ...leg.select
      ],
      { cwd: here, stdio: ["ignore", "pipe", "pipe"], detached: true }
    )
    let printed = ""
    let timedOut = false
    const keep = (chunk) => {
      printed += chunk.toString("utf8")
    }
    child.stdout.on("data", keep)
    child.stderr.on("data", keep)
    const timer = setTimeout(() => {
      timedOut = true
      endGroup(child)
    }, legTimeoutMs)
    const interrupt = () => {
      endGroup(child)
      rmSync(output, { recursive: true, force: true })
      process.exit(130)
    }
    process.once("SIGINT", interrupt).once("SIGTERM", interrupt)
    child.on("error", (error) => keep(Buffer.from(String(error))))
    child.on("close", (code, signal) => {
      clearTimeout(timer)
      process.off("SIGINT", interrupt).off("SIGTERM", interrupt)
      const checks = readChecks(output)
      rmSync(output, { recursive: true, force: true })
      const ended = timedOut ? `the suite hung for ${legTimeoutMs} ms` : `the suite ended with ${signal ?? code}`
      done({ checks, printed, problem: code === 0 ? undefined : ended })
    })
  })

/** What is wrong with one scenario of a leg; nothing when it passed. */
const judge = (leg, scenario, { checks, problem }, minimum) => {
  const rows = checks.get(scenario)
  const succeeded = rows?.filter((row) => row.status === "SUCCESS").length ?? 0
  const problems = []
  if (problem !== undefined) problems.push(problem)
  if (rows === undefined) problems.push("it was not run")
  if (minimum === undefined) problems.push("no minimum is stored")
  else if (succeeded < minimum) problems.push(`only ${succeeded} of ${minimum} checks succeeded`)
  // Known failures are for the suite to judge: it knows the file that names them.
  if (leg.expectedFailures === undefined) {
    for (const row of rows ?? []) {
      if (row.status === "FAILURE" || row.status === "WARNING") {
        problems.push(`${row.status} ${row.id}: ${row.errorMessage ?? row.description}`)
      }
    }
  }
  return { succeeded, problems }
}

const printTable = (rows) => {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => String(row[column]).length)))
  for (const row of rows) {
    console.log(row.map((cell, column) => String(cell).padEnd(widths[column])).join("  ").trimEnd())
  }
}

const { values } = parseArgs({ options: { client: { type: "string" } } })
const client = resolve(values.client ?? join(here, "client.mjs"))
if (!existsSync(client)) {
  throw new Error(`There is no client at ${client}`)
}

install()

const minimums = readJson(join(here, "minimums.json"))
const table = [["suite", "scenario", "succeeded", "minimum", "verdict"]]
const reports = []
let passed = 0
let failed = 0

for (const leg of legs) {
  const { version } = readJson(join(modules, leg.suite, "package.json"))
  const result = await runLeg(leg, client)
  let legFailed = false
  for (const scenario of leg.scenarios) {
    const minimum = minimums[version]?.[scenario]
    const { problems, succeeded } = judge(leg, scenario, result, minimum)
    const ok = problems.length === 0
    if (ok) passed++
    else failed++
    table.push([version, scenario, succeeded, minimum ?? "none", ok ? "passed" : "FAILED"])
    for (const problem of problems) {
      reports.push(`${version} ${scenario}: ${problem}`)
    }
    legFailed ||= !ok
  }
  if (legFailed) {
    reports.push(`${version} printed:\n${result.printed.trim().slice(-8_000).replaceAll(/^/gm, "  ")}`)
  }
}

if (reports.length > 0) {
  console.log(`${reports.join("\n")}\n`)
}
printTable(table)
process.exitCode = failed === 0 ? 0 : 1
console.log(`${passed} passed, ${failed} failed`)
