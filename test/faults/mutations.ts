/**
 * Breaks important lines of the transport, one at a time, and shows that tests fail for each: `npm run test:mutations`,
 * or `npm run test:mutations -- dedupe` for those whose name contains `dedupe`.
 *
 * Nothing in the checkout is touched: every mutation is made in a copy in the temporary folder, beside links to the
 * installed packages. A run that hangs is ended after two minutes, and counts as failing.
 */
import { spawn } from "node:child_process"
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

interface Mutation {
  readonly name: string
  /** Under `packages/transport/src/internal`. */
  readonly file: string
  readonly find: string
  readonly replace: string
  /** The tests that guard the line. */
  readonly tests: ReadonlyArray<string>
}

const faults = "faults/faults.test.ts"

const mutations: ReadonlyArray<Mutation> = [
  {
    name: "replays are delivered: dedupe dropped",
    file: "streamMachine.ts",
    find: "if (cameOn !== undefined && cameOn < this.connection) return \"Replay\"",
    replace: "",
    tests: [faults]
  },
  {
    name: "the oldest id stays the cursor",
    file: "streamMachine.ts",
    find: "    this.lastEventId = id\n    return cameOn",
    replace: "    this.lastEventId ??= id\n    return cameOn",
    tests: [faults]
  },
  {
    name: "a stream that opens counts as progress: reset on open",
    file: "streamMachine.ts",
    find: "      this.wasOpen = true\n",
    replace: "      this.wasOpen = true\n      this.attempts = 0\n",
    tests: [faults]
  },
  {
    name: "the server's retry is ignored",
    file: "streamMachine.ts",
    find: "const retry = stream.retry === undefined ? undefined : Math.max(stream.retry, minimumRetry)",
    replace: "const retry: number | undefined = undefined",
    tests: [faults]
  },
  {
    name: "a retry that is too long is waited for",
    file: "streamMachine.ts",
    find: "if (asked > maxRetryDelay)",
    replace: "if (asked > Number.MAX_VALUE)",
    tests: [faults]
  },
  {
    name: "closing the scope sends no DELETE",
    file: "core.ts",
    find: "Effect.zipRight(terminates ? Effect.asVoid(this.forkDelete(this.session)) : Effect.void)",
    replace: "Effect.zipRight(Effect.void)",
    tests: [faults]
  },
  {
    name: "a 404 to a POST does not end the session",
    file: "statusTable.ts",
    find: "if (status === 404 && sessionIdSent) return \"SessionTerminated\"",
    replace: "",
    tests: [faults]
  },
  {
    name: "an answer to another request is taken for the own one",
    file: "inbox.ts",
    find: "return response.id === this.owner.requestId ||",
    replace: "return response.id !== \"\" ||",
    tests: [faults]
  },
  {
    name: "the answer is dropped as a replay",
    file: "inbox.ts",
    find: "if (this.answer !== undefined) return\n    let last",
    replace: "if (this.answer !== undefined || isReplay) return\n    let last",
    tests: [faults, "transport/resumption.test.ts"]
  },
  {
    name: "a send that is left keeps its connection",
    file: "requestStream.ts",
    find: "      this.state.connection.close()\n      this.state.settle(exit)",
    replace: "      this.state.settle(exit)",
    tests: [faults]
  },
  {
    name: "silence on an open stream goes unnoticed",
    file: "requestState.ts",
    find: "Effect.zipRight(this.inbox.untilNewsOrIdle(idleTimeout), next)",
    replace: "this.inbox.onNews(next)",
    tests: [faults]
  },
  {
    name: "a token is announced before its message was taken",
    file: "requestStream.ts",
    find: "return item?.message === undefined ? this.pull : Effect.succeed([item.message])",
    replace:
      "if (item?.message === undefined) return this.pull\n    const { message, token } = item\n    this.announce = undefined\n    return token === undefined ? Effect.succeed([message]) : Effect.as(this.announced(token), [message])",
    tests: [faults]
  },
  {
    name: "what could not be executed is reported as Unknown",
    file: "statusTable.ts",
    find: "status === 429\n",
    replace: "status === 999\n",
    tests: [faults]
  },
  {
    name: "the server's stream resumes from the beginning",
    file: "serverStream.ts",
    find: "headers: getHeaders(headers, undefined, session, cursor)",
    replace: "headers: getHeaders(headers, undefined, session, undefined)",
    tests: [faults]
  },
  {
    name: "a failed attempt does not count",
    file: "resuming.ts",
    find: "const attempt = ++machine.attempts",
    replace: "const attempt = machine.attempts",
    tests: [faults]
  },
  {
    name: "the socket is never paused",
    file: "inbox.ts",
    find: "      this.response?.pause()\n",
    replace: "",
    tests: ["transport/backpressure.test.ts"]
  },
  {
    name: "an oversize message is buffered",
    file: "eventStream.ts",
    find: "if (this.dataBytes > this.maxEventSize) return this.tooLarge()",
    replace: "",
    tests: ["transport/eventStream.test.ts"]
  },
  {
    name: "redirects to another origin are followed",
    file: "core.ts",
    find: "return target.origin === from.origin && target.username",
    replace: "return target.username",
    tests: ["transport/redirects.test.ts"]
  },
  {
    name: "what a decorator made of a response of fetch is gone around",
    file: "webBody.ts",
    find: "    !Object.hasOwn(response, \"stream\") && isProxy(response) === false\n",
    replace: "    !Object.hasOwn(response, \"stream\")\n",
    tests: ["transport/webBody.test.ts"]
  },
  {
    name: "a body of fetch is not cancelled with its call",
    file: "webBody.ts",
    find: "    source.cancel().catch(() => {})\n",
    replace: "",
    tests: ["transport/webBody.test.ts"]
  },
  {
    name: "a response that comes as its call is interrupted stays open",
    file: "core.ts",
    find: "      request.exposeAbort?.(() => response.close())\n",
    replace: "",
    tests: ["transport/interruption.test.ts"]
  },
  {
    name: "a pull that comes after an interrupted one takes no notice of that",
    file: "requestStream.ts",
    find: "    if (this.isConnecting) return this.connecting(interrupted(this.state), fiber)\n",
    replace: "",
    tests: ["transport/interruption.test.ts"]
  },
  {
    name: "a race makes its fibers before it starts them",
    file: "race.ts",
    find: "  Effect.uninterruptibleMask((restore) =>\n",
    replace:
      "  Effect.raceFirst(Effect.interruptible(one), Effect.interruptible(other)) ?? Effect.uninterruptibleMask((restore) =>\n",
    tests: ["transport/interruption.test.ts"]
  }
]

// --- running --------------------------------------------------------------------------------------------------------

const root = fileURLToPath(new URL("../..", import.meta.url))
const atMost = 120_000

const folders = ["packages", "test", "scratchpad"]

/** The sources, beside links to what is installed. */
const copy = (): string => {
  const folder = mkdtempSync(join(tmpdir(), "effect-mcp-mutations-"))
  const isSource = (path: string): boolean => !/[/\\](node_modules|dist|docs)($|[/\\])/.test(path.slice(root.length))
  for (const name of folders) cpSync(join(root, name), join(folder, name), { recursive: true, filter: isSource })
  for (const name of ["package.json", "tsconfig.json"]) cpSync(join(root, name), join(folder, name))
  const modules = join(folder, "node_modules")
  mkdirSync(join(modules, "@effect-mcp"), { recursive: true })
  for (const name of readdirSync(join(root, "node_modules"))) {
    if (name !== "@effect-mcp" && name !== ".cache") symlinkSync(join(root, "node_modules", name), join(modules, name))
  }
  for (const name of readdirSync(join(folder, "packages"))) {
    symlinkSync(join(folder, "packages", name), join(modules, "@effect-mcp", name))
  }
  return folder
}

/** Whether the tests pass; a run that hangs does not. */
const passes = (folder: string, tests: ReadonlyArray<string>): Promise<boolean> =>
  new Promise((resolve) => {
    const child = spawn(
      process.execPath,
      [
        join(root, "node_modules/vitest/vitest.mjs"),
        "run",
        "--config=test/vitest.config.ts",
        "--bail=1",
        ...tests.map((name) => `test/${name}`)
      ],
      {
        cwd: folder,
        // A group of its own, so that workers end with it.
        detached: true,
        stdio: "ignore",
        env: { ...process.env, FAULTS_CASES: "200", FAULTS_SOCKET_CASES: "8", FAULTS_SEED: "1", FAULTS_SHRINK: "no" }
      }
    )
    const timer = setTimeout(() => {
      if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL")
    }, atMost)
    child.on("close", (code) => {
      clearTimeout(timer)
      resolve(code === 0)
    })
  })

const mutate = async (folder: string, { file, find, name, replace, tests }: Mutation): Promise<boolean> => {
  const path = join(folder, "packages/transport/src/internal", file)
  const before = readFileSync(path, "utf8")
  if (before.split(find).length !== 2) {
    throw new Error(`${name}: the line to break is not in ${file}, or not only once: ${find}`)
  }
  writeFileSync(path, before.replace(find, () => replace))
  const isDetected = !(await passes(folder, tests))
  writeFileSync(path, before)
  return isDetected
}

const main = async (filter: string): Promise<void> => {
  const folder = copy()
  const chosen = mutations.filter(({ name }) => name.includes(filter))
  let undetected = 0
  try {
    const tests = Array.from(new Set(chosen.flatMap(({ tests }) => tests)))
    if (!(await passes(folder, tests))) throw new Error(`the tests fail without any mutation: ${tests.join(", ")}`)
    for (const [index, mutation] of chosen.entries()) {
      const isDetected = await mutate(folder, mutation)
      if (!isDetected) undetected++
      console.log(`${index + 1}/${chosen.length} ${isDetected ? "detected" : "NOT DETECTED"}: ${mutation.name}`)
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
  console.log(`${chosen.length - undetected} passed, ${undetected} failed`)
  process.exitCode = undetected === 0 ? 0 : 1
}

await main(process.argv[2] ?? "")
