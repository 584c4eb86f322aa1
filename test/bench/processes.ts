/**
 * The processes: a server for each workload, and one process for each client. They end when this process does.
 */
import type { ChildProcess } from "node:child_process"
import { execFileSync, fork } from "node:child_process"
import { fileURLToPath } from "node:url"
import type { BenchClient } from "./clients.ts"

const path = (file: string): string => fileURLToPath(new URL(file, import.meta.url))

/** Nothing takes longer; what does is hung. */
const patienceMs = 180_000

/** Without what a parent, a loader or a coverage tool may have put there. */
const { NODE_OPTIONS: _options, NODE_V8_COVERAGE: _coverage, ...env } = process.env

export interface Process {
  /** Sends a message and waits for the next that comes back. */
  readonly ask: (message: object) => Promise<unknown>
  readonly bind: (cpu: string) => void
  readonly end: () => Promise<void>
}

/** The last of the CPUs that this process may use; undefined where there is no `taskset` to tell. */
export const oneCpu = (): string | undefined => {
  try {
    return /(\d+)\s*$/.exec(taskset("-c", "-p", String(process.pid)))?.[1]
  } catch {
    return undefined
  }
}

const taskset = (...args: ReadonlyArray<string>): string =>
  execFileSync("taskset", args, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] })

const start = async (
  file: string,
  execPath: string,
  v8Options: ReadonlyArray<string> = []
): Promise<{ readonly first: unknown; readonly process: Process }> => {
  const child = fork(path(file), [], {
    execPath,
    // The SDKs add listeners to one signal by the thousand: printing the warnings would only make them look worse.
    execArgv: ["--no-warnings", ...v8Options],
    env,
    stdio: ["ignore", "ignore", "inherit", "ipc"]
  })
  const first = await answer(child, file)
  return {
    first,
    process: {
      ask: (message) => {
        const answered = answer(child, `${file}: ${JSON.stringify(message).slice(0, 200)}`)
        child.send(message)
        return answered
      },
      bind: (cpu) => void taskset("-a", "-c", "-p", cpu, String(child.pid)),
      end: () =>
        new Promise((resolve) => {
          if (child.exitCode !== null || child.signalCode !== null) return resolve()
          child.once("exit", () => resolve())
          child.kill("SIGKILL")
        })
    }
  }
}

const answer = (child: ChildProcess, what: string): Promise<unknown> =>
  new Promise((resolve, reject) => {
    const settle = (then: () => void) => {
      clearTimeout(timer)
      child.off("message", onMessage).off("exit", onExit).off("error", onError)
      then()
    }
    const onMessage = (message: unknown) => settle(() => resolve(message))
    const onExit = (code: number | null) => settle(() => reject(new Error(`${what}: the process ended with ${code}`)))
    const onError = (error: Error) => settle(() => reject(error))
    const timer = setTimeout(
      () => {
        child.kill("SIGKILL")
        settle(() => reject(new Error(`${what}: no answer within ${patienceMs} ms`)))
      },
      patienceMs
    )
    child.on("message", onMessage).on("exit", onExit).on("error", onError)
  })

const field = (value: unknown, name: string): unknown =>
  typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined

/** A field that is a number. */
export const numberOf = (value: unknown, name: string): number => {
  const found = field(value, name)
  if (typeof found !== "number") throw new Error(`no number ${name} in ${JSON.stringify(value)}`)
  return found
}

/** A field that is an array of numbers. */
export const numbersOf = (value: unknown, name: string): ReadonlyArray<number> => {
  const found = field(value, name)
  if (!Array.isArray(found)) throw new Error(`no numbers ${name}`)
  return found.map(Number)
}

export interface Server {
  readonly url: string
  /** How many streams it holds open. */
  readonly held: () => Promise<number>
  /** Leaves it this CPU alone. */
  readonly bind: (cpu: string) => void
  readonly end: () => Promise<void>
}

/** The server always runs on the Node of this process: only clients are compared. */
export const startServer = async (): Promise<Server> => {
  const { first, process: server } = await start("./server.mjs", process.execPath)
  return {
    url: String(field(first, "url")),
    held: async () => numberOf(await server.ask({}), "held"),
    bind: server.bind,
    end: server.end
  }
}

export interface ClientProcess {
  readonly command: (command: string, options?: object) => Promise<unknown>
  readonly connect: (url: string) => Promise<unknown>
  readonly bind: (cpu: string) => void
  readonly end: () => Promise<void>
}

export const startClient = async (
  execPath: string,
  client: BenchClient,
  v8Options: ReadonlyArray<string> = []
): Promise<ClientProcess> => {
  const { process: child } = await start("./client.mjs", execPath, v8Options)
  const command = async (command: string, options: object = {}): Promise<unknown> => {
    const answer = await child.ask({ command, ...options })
    const error = field(answer, "error")
    if (error !== undefined) throw new Error(String(error))
    return field(answer, "value")
  }
  return {
    command,
    connect: (url) => command("connect", { module: client.module, url, answersOnly: client.answersOnly === true }),
    bind: child.bind,
    end: child.end
  }
}
