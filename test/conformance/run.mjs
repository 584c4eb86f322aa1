/**
 * Runs the official conformance suites against `client.mjs`, the client of this project, and `transport.mjs`, its
 * transport alone.
 *
 *   node test/conformance/run.mjs [--client <file>] [--transport <file>]
 *
 * The suites need Node.js 22; the clients run on the Node.js that runs this file. The suites alone are a weak judge: a
 * scenario that the client never entered may count as passed. So the client must say at its end that it completed the
 * scenario, and the number of checks that succeeded must reach the minimum that `minimums.json` stores for the version of
 * the suite, the leg and the scenario.
 */
import { spawn, spawnSync } from "node:child_process"
import { createHash } from "node:crypto"
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { basename, dirname, join, resolve } from "node:path"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { inLine } from "./inLine.mjs"

const here = dirname(fileURLToPath(import.meta.url))
const modules = join(here, "node_modules")

const suiteNode = join(modules, "node", "bin", "node")
const formerSuite = "conformance-0-1"
const suite = "@modelcontextprotocol/conformance"

const { values } = parseArgs({ options: { client: { type: "string" }, transport: { type: "string" } } })
const client = resolve(values.client ?? join(here, "client.mjs"))
const transport = resolve(values.transport ?? join(here, "transport.mjs"))

/**
 * One run of a suite. `select` says which scenarios it runs; each that has a stored minimum must have been run.
 *
 * @typedef {object} Leg
 * @property {string} suite
 * @property {string} name Where `minimums.json` has its scenarios.
 * @property {string} client
 * @property {ReadonlyArray<string>} select
 * @property {string} [scenario] The only one, of those that the name stands for.
 * @property {string} [expectedFailures] Names scenarios that must fail: none but those of `isBeyond`.
 */

/** A scenario by itself: only then do the client's exit code and a time-out count, and the timing is not disturbed. */
const alone = (suite, name, client, scenario) => ({ suite, name, client, scenario, select: ["--scenario", scenario] })

/** All scenarios that a revision of the specification requires, at once. */
const required = (revision) => ({
  suite,
  name: revision,
  client,
  select: ["--requirements", revision],
  expectedFailures: "expected-failures.yaml"
})

/** @type {ReadonlyArray<Leg>} */
const legs = [
  ...[formerSuite, suite].flatMap((suite) =>
    ["initialize", "tools_call", "sse-retry"].map((scenario) => alone(suite, "transport", transport, scenario))
  ),
  alone(suite, "client", client, "sse-retry"),
  required("2025-11-25"),
  required("2026-07-28")
]

/** There is no authorization in this project. */
const isBeyond = (scenario) => scenario.startsWith("auth/")

// In a list, it includes the wait of a client for its turn.
const clientTimeoutMs = 60_000
const legTimeoutMs = 120_000

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

/** What every scenario of a leg has left behind, in `<name>-<time>/`, by its name. */
const readScenarios = (output) =>
  new Map(
    readdirSync(output, { recursive: true })
      .filter((file) => basename(file) === "checks.json")
      .map((file) => [
        dirname(file).replace(/-\d{4}-\d\d-\d\dT[\dZ-]+$/, ""),
        {
          rows: readJson(join(output, file)),
          isCompleted: /^completed$/m.test(readFileSync(join(output, dirname(file), "stdout.txt"), "utf8"))
        }
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

const runLeg = async (leg) => {
  const output = mkdtempSync(join(tmpdir(), "conformance-"))
  if (leg.scenario !== undefined) return runSuite(leg, leg.client, output)
  const { client, end } = await inLine(leg.client, output)
  return runSuite(leg, client, output).finally(end)
}

const runSuite = (leg, client, output) =>
  new Promise((done) => {
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
      const scenarios = readScenarios(output)
      rmSync(output, { recursive: true, force: true })
      const ended = timedOut ? `the suite hung for ${legTimeoutMs} ms` : `the suite ended with ${signal ?? code}`
      done({ scenarios, printed, problem: code === 0 ? undefined : ended })
    })
  })

/** What is wrong with one scenario of a leg; nothing when it passed. */
const judge = (scenario, minimum) => {
  const rows = scenario?.rows ?? []
  const succeeded = rows.filter((row) => row.status === "SUCCESS").length
  const problems = []
  if (scenario === undefined) problems.push("it was not run")
  else if (!scenario.isCompleted) problems.push("the client did not complete it")
  if (minimum === undefined) problems.push("no minimum is stored")
  else if (succeeded < minimum) problems.push(`only ${succeeded} of ${minimum} checks succeeded`)
  for (const row of rows) {
    if (row.status === "FAILURE" || row.status === "WARNING") {
      problems.push(`${row.status} ${row.id}: ${row.errorMessage ?? row.description}`)
    }
  }
  return { succeeded, problems }
}

/** The verdicts on a leg. In a list, the suite judges what is beyond: by the file of expected failures. */
const judgeLeg = (leg, { problem, scenarios }, stored) => {
  const run = Array.from(scenarios.keys())
  const names = leg.scenario === undefined
    ? new Set([...Object.keys(stored), ...run.filter((name) => !isBeyond(name))])
    : [leg.scenario]
  const verdicts = Array.from(names, (name) => ({
    name,
    minimum: stored[name],
    ...judge(scenarios.get(name), stored[name])
  }))
  const problems = problem === undefined ? [] : [problem]
  if (leg.scenario === undefined) {
    verdicts.push({ name: `the suite on all, ${run.filter(isBeyond).length} of auth/*`, problems })
  } else verdicts[0].problems.push(...problems)
  return verdicts
}

const printTable = (rows) => {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => String(row[column]).length)))
  for (const row of rows) {
    console.log(row.map((cell, column) => String(cell).padEnd(widths[column])).join("  ").trimEnd())
  }
}

for (const file of [client, transport]) {
  if (!existsSync(file)) throw new Error(`There is no client at ${file}`)
}

install()

const minimums = readJson(join(here, "minimums.json"))
const table = [["suite", "leg", "scenario", "succeeded", "minimum", "verdict"]]
const reports = []
let passed = 0
let failed = 0

for (const leg of legs) {
  const { version } = readJson(join(modules, leg.suite, "package.json"))
  const result = await runLeg(leg)
  const verdicts = judgeLeg(leg, result, minimums[version]?.[leg.name] ?? {})
  for (const { minimum, name, problems, succeeded } of verdicts) {
    const ok = problems.length === 0
    if (ok) passed++
    else failed++
    table.push([version, leg.name, name, succeeded ?? "", minimum ?? "", ok ? "passed" : "FAILED"])
    reports.push(...problems.map((problem) => `${version} ${leg.name} ${name}: ${problem}`))
  }
  if (verdicts.some(({ problems }) => problems.length > 0)) {
    reports.push(`${version} ${leg.name} printed:\n${result.printed.trim().slice(-8_000).replaceAll(/^/gm, "  ")}`)
  }
}

if (reports.length > 0) {
  console.log(`${reports.join("\n")}\n`)
}
printTable(table)
process.exitCode = failed === 0 ? 0 : 1
console.log(`${passed} passed, ${failed} failed`)
