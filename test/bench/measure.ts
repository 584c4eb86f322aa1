/**
 * Measures one workload with all its clients: each in a process of its own, in rounds whose order rotates.
 */
import { fileURLToPath } from "node:url"
import type { BenchClient } from "./clients.ts"
import { footprint } from "./packages.ts"
import type { ClientProcess, Server } from "./processes.ts"
import { numberOf, numbersOf, oneCpu, startClient, startServer } from "./processes.ts"
import type { Failure, Series } from "./series.ts"
import { quantile, rotated } from "./statistics.ts"
import type { Footprint, Idle, Import, Latency, Throughput, Whole, Workload } from "./workloads.ts"

/** Left out of what is kept: it says where this was run. */
const repository = fileURLToPath(new URL("../../", import.meta.url))

/** CPU that a client spends on calls before it is measured: until they get no cheaper, within these limits. */
export interface WarmUp {
  /** Of a client on Effect: see `warmUpShare` of the clients. */
  readonly leastMs: number
  readonly mostMs: number
  /** The most that counts of a client's `warmUpShare`: a long warm-up is enough for all. */
  readonly mostShare: number
}

export interface Settings {
  /** The Node.js of the clients. */
  readonly execPath: string
  readonly warmUp: WarmUp
  readonly rounds: number
  readonly roundMs: number
  /** How long at a time: then the next has its turn. Who shares the machine disturbs for some tenths of a second. */
  readonly turnMs: number
  /** Calls before each turn that are not counted: what another process has used of a CPU is cold. */
  readonly leadInMs: number
  /** How many fresh processes, where a process is one sample. */
  readonly samples: number
  /** How many rounds of this workload have been before. */
  readonly firstRound: number
}

export interface Measured {
  readonly series: ReadonlyArray<Series>
  readonly failures: ReadonlyArray<Failure>
}

interface Quantity {
  readonly id: string
  readonly title: string
  readonly unit: string
}

/** Collects values and failures; a client that has failed once is left out of what follows. */
class Collector {
  readonly failures: Array<Failure> = []
  private readonly all = new Map<
    string,
    Quantity & { readonly client: string; readonly values: Array<number>; readonly rounds: Array<number> }
  >()
  private readonly workload: string

  constructor(workload: string) {
    this.workload = workload
  }

  add(quantity: Quantity, client: string, round: number, value: number): void {
    const key = `${quantity.id} ${client}`
    const known = this.all.get(key) ?? { ...quantity, client, values: [], rounds: [] }
    known.values.push(value)
    known.rounds.push(round)
    this.all.set(key, known)
  }

  has(client: string): boolean {
    return !this.failures.some((failure) => failure.client === client)
  }

  async attempt(client: string, run: () => Promise<void>): Promise<void> {
    if (!this.has(client)) return
    try {
      await run()
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error)
      this.failures.push({ workload: this.workload, client, error: text.replaceAll(repository, "") })
    }
  }

  measured(): Measured {
    return { series: [...this.all.values()].filter(({ client }) => this.has(client)), failures: this.failures }
  }
}

export const measure = async (
  workload: Workload,
  clients: ReadonlyArray<BenchClient>,
  settings: Settings
): Promise<Measured> => {
  const collector = new Collector(workload.name)
  switch (workload.kind) {
    case "throughput":
      await withServer((server) => throughput(workload, clients, settings, server, collector))
      break
    case "idle":
      await withServer((server) => idle(workload, clients, settings, server, collector))
      break
    case "latency":
      await withServer((server) => latency(workload, clients, settings, server, collector))
      break
    case "import":
      await imports(workload, clients, settings, collector)
      break
    case "whole":
      await withServer((server) => whole(workload, clients, settings, server, collector))
      break
    case "footprint":
      footprints(workload, clients, collector)
      break
  }
  return collector.measured()
}

const withServer = async (use: (server: Server) => Promise<void>): Promise<void> => {
  const server = await startServer()
  try {
    await use(server)
  } finally {
    await server.end()
  }
}

/** V8 shrinks the heap of a process that waits for its turn, and only a busy one matters here. */
const forTurns = ["--no-memory-reducer"]

/** Starts the processes of all clients, prepares them two at a time, and ends them when `use` has ended. */
const withClients = async (
  clients: ReadonlyArray<BenchClient>,
  settings: Settings,
  collector: Collector,
  prepare: (process: ClientProcess, client: BenchClient) => Promise<unknown>,
  use: (processes: ReadonlyMap<string, ClientProcess>) => Promise<void>
): Promise<void> => {
  const processes = new Map<string, ClientProcess>()
  const waiting = [...clients]
  const prepareAll = async () => {
    for (let client = waiting.shift(); client !== undefined; client = waiting.shift()) {
      const one = client
      await collector.attempt(one.name, async () => {
        const process = await startClient(settings.execPath, one, forTurns)
        processes.set(one.name, process)
        await prepare(process, one)
      })
    }
  }
  try {
    await Promise.all([prepareAll(), prepareAll()])
    await use(processes)
  } finally {
    await Promise.all([...processes.values()].map((process) => process.end()))
  }
}

const inRounds = async (
  clients: ReadonlyArray<BenchClient>,
  { first, rounds }: { readonly first: number; readonly rounds: number },
  collector: Collector,
  run: (client: BenchClient, round: number) => Promise<void>
): Promise<void> => {
  for (let round = first; round < first + rounds; round++) {
    for (const client of rotated(clients, round)) await collector.attempt(client.name, () => run(client, round))
  }
}

const existing = (processes: ReadonlyMap<string, ClientProcess>, client: BenchClient): ClientProcess => {
  const process = processes.get(client.name)
  if (process === undefined) throw new Error("it was not started")
  return process
}

/** More connections than so many, of all clients together, are more than a server may have. */
const mostTogether = 2_000

const throughput = async (
  workload: Throughput,
  clients: ReadonlyArray<BenchClient>,
  settings: Settings,
  server: Server,
  collector: Collector
): Promise<void> => {
  const { kilobytes, messages, name, title, workers } = workload
  const per = kilobytes ?? messages
  const unit = kilobytes === undefined ? "us CPU per message" : "us CPU per kB"
  const url = `${server.url}/mcp?${workload.query}`
  const prepare = async (process: ClientProcess, { warmUpShare = 0.5 }: BenchClient) => {
    await process.connect(url)
    await process.command("verify", { workers })
    const { leastMs, mostMs, mostShare } = settings.warmUp
    const share = Math.min(warmUpShare, mostShare)
    await process.command("warmUp", {
      leastMs: share * leastMs,
      mostMs: Math.max(share, 1) * mostMs,
      workers
    })
  }
  const { firstRound, leadInMs, rounds, turnMs } = settings
  const turn = async (process: ClientProcess): Promise<Spent> => {
    const measured = await process.command("measure", { leadInMs, ms: turnMs, workers })
    return { cpuUs: numberOf(measured, "cpuUs"), calls: numberOf(measured, "calls") }
  }
  const groups = workers > mostTogether ? clients.map((client) => [client]) : [clients]
  for (const group of groups) {
    await withClients(group, settings, collector, prepare, async (processes) => {
      for (let round = firstRound; round < firstRound + rounds; round++) {
        const spent = await inTurns(group, settings, round, collector, (client) => turn(existing(processes, client)))
        for (const [client, { calls, cpuUs }] of spent) {
          collector.add({ id: name, title, unit }, client, round, cpuUs / calls / per)
        }
      }
    })
  }
}

interface Spent {
  readonly cpuUs: number
  readonly calls: number
}

/** One round, of many short turns of each client. Gives what each has spent in all of its turns. */
const inTurns = async (
  clients: ReadonlyArray<BenchClient>,
  { roundMs, turnMs }: Settings,
  round: number,
  collector: Collector,
  turn: (client: BenchClient) => Promise<Spent>
): Promise<ReadonlyMap<string, Spent>> => {
  const spent = new Map<string, Spent>()
  const turns = Math.round(roundMs / turnMs)
  await inRounds(clients, { first: round * turns, rounds: turns }, collector, async (client) => {
    const { calls, cpuUs } = await turn(client)
    const before = spent.get(client.name) ?? { cpuUs: 0, calls: 0 }
    spent.set(client.name, { cpuUs: before.cpuUs + cpuUs, calls: before.calls + calls })
  })
  return spent
}

/**
 * Server and clients on one CPU, where that can be done: else the kernel's choice of a CPU decides, which lets whole rounds
 * take 40 us or 130, whoever the client is.
 */
const latency = (
  { name, title }: Latency,
  all: ReadonlyArray<BenchClient>,
  settings: Settings,
  server: Server,
  collector: Collector
): Promise<void> => {
  const clients = all.filter(({ answersOnly }) => answersOnly !== true)
  const rounds = 10
  const count = 300
  const prepare = async (process: ClientProcess) => {
    await process.connect(`${server.url}/mcp?kind=events&count=100`)
    await process.command("verify", { workers: 1 })
    await process.connect(`${server.url}/mcp?kind=clock&count=${count}`)
    await process.command("latencies")
    // What an event that comes alone runs through; other events would warm up other code.
    await process.command("warmUp", { leastMs: 1_000, mostMs: 1_500, workers: 64 })
  }
  return withClients(clients, settings, collector, prepare, async (processes) => {
    const cpu = oneCpu()
    if (cpu !== undefined) { for (const process of [server, ...processes.values()]) process.bind(cpu) }
    await inRounds(clients, { first: settings.firstRound, rounds }, collector, async (client, round) => {
      const measured = await existing(processes, client).command("latencies")
      const micros = numbersOf(measured, "micros")
      collector.add(
        { id: `${name}.p50`, title: `${title}, p50`, unit: "us" },
        client.name,
        round,
        quantile(micros, 0.5)
      )
      collector.add(
        { id: `${name}.p99`, title: `${title}, p99`, unit: "us" },
        client.name,
        round,
        quantile(micros, 0.99)
      )
      collector.add(
        { id: `${name}.cpu`, title: "CPU of an event that comes alone", unit: "us CPU per message" },
        client.name,
        round,
        numberOf(measured, "cpuUs") / (count + 1)
      )
    })
  })
}

const idle = (
  { name, streams, title }: Idle,
  clients: ReadonlyArray<BenchClient>,
  settings: Settings,
  server: Server,
  collector: Collector
): Promise<void> =>
  inRounds(clients, { first: settings.firstRound, rounds: settings.samples }, collector, async (client, round) => {
    const process = await startClient(settings.execPath, client)
    try {
      // Its modules loaded and its code run before: memory that does not grow with the streams.
      await process.connect(`${server.url}/mcp?kind=events&count=10`)
      await process.command("warmUp", { leastMs: 500, mostMs: 500, workers: 16 })
      await process.connect(`${server.url}/mcp?kind=hold`)
      // The first take what the process has to spare, which is a matter of luck.
      const first = streams / 10
      const all = first + streams
      await process.command("hold", { count: first })
      await until(async () => await server.held() === first)
      const before = await process.command("before", { count: first })
      await process.command("hold", { count: streams })
      await until(async () => await server.held() === all)
      const held = await process.command("held", { before, count: all })
      collector.add(
        { id: `${name}.rss`, title: `${title}: memory`, unit: "kB RSS per stream" },
        client.name,
        round,
        numberOf(held, "rss") / streams / 1_000
      )
      collector.add(
        { id: `${name}.heap`, title: `${title}: heap`, unit: "kB heap per stream" },
        client.name,
        round,
        numberOf(held, "heap") / streams / 1_000
      )
      collector.add(
        { id: `${name}.open`, title: `${title}: opening`, unit: "us CPU per stream" },
        client.name,
        round,
        numberOf(held, "cpuUs") / streams
      )
    } finally {
      await process.end()
      await until(async () => await server.held() === 0)
    }
  })

const until = async (check: () => Promise<boolean>): Promise<void> => {
  const end = performance.now() + 60_000
  while (!(await check())) {
    if (performance.now() > end) throw new Error("the streams did not come to be within a minute")
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

const imports = (
  { name, title }: Import,
  clients: ReadonlyArray<BenchClient>,
  settings: Settings,
  collector: Collector
): Promise<void> =>
  inRounds(clients, { first: settings.firstRound, rounds: settings.samples }, collector, async (client, round) => {
    const process = await startClient(settings.execPath, client)
    try {
      const measured = await process.command("import", { modules: client.imports })
      collector.add(
        { id: `${name}.cpu`, title, unit: "ms CPU" },
        client.name,
        round,
        numberOf(measured, "cpuUs") / 1_000
      )
      collector.add({ id: `${name}.wall`, title, unit: "ms" }, client.name, round, numberOf(measured, "wallMs"))
    } finally {
      await process.end()
    }
  })

const whole = (
  { calls, name, title }: Whole,
  clients: ReadonlyArray<BenchClient>,
  settings: Settings,
  server: Server,
  collector: Collector
): Promise<void> =>
  inRounds(clients, { first: settings.firstRound, rounds: settings.samples }, collector, async (client, round) => {
    const process = await startClient(settings.execPath, client)
    try {
      await process.connect(`${server.url}/mcp?kind=json&bytes=100`)
      const measured = await process.command("whole", { calls })
      collector.add(
        { id: `${name}.cpu`, title, unit: "ms CPU" },
        client.name,
        round,
        numberOf(measured, "cpuUs") / 1_000
      )
      collector.add(
        { id: `${name}.rss`, title: `${title}: memory`, unit: "MB RSS" },
        client.name,
        round,
        numberOf(measured, "rss") / 1e6
      )
    } finally {
      await process.end()
    }
  })

const footprints = ({ name, title }: Footprint, clients: ReadonlyArray<BenchClient>, collector: Collector): void => {
  for (const client of clients) {
    const { bytes, packages } = footprint(client.installed)
    collector.add({ id: `${name}.packages`, title: `${title}: packages`, unit: "packages" }, client.name, 0, packages)
    collector.add({ id: `${name}.size`, title: `${title}: size`, unit: "MB" }, client.name, 0, bytes / 1e6)
  }
}
