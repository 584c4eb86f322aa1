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
  /** Calls before each round that are not counted: an idle V8 shrinks its heap and forgets compiled code. */
  readonly leadInMs: number
  /** How many fresh processes, where a process is one sample. */
  readonly samples: number
  readonly more?: MoreRounds
}

/** More rounds, where those that have been do not decide. */
export interface MoreRounds {
  /** The clients of which more rounds may change a verdict. */
  readonly undecided: (series: ReadonlyArray<Series>) => ReadonlySet<string>
  /** What time there is for them. */
  readonly leftMs: () => number
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
  private readonly all = new Map<string, Quantity & { readonly client: string; readonly values: Array<number> }>()
  private readonly workload: string

  constructor(workload: string) {
    this.workload = workload
  }

  add(quantity: Quantity, client: string, value: number): void {
    const key = `${quantity.id} ${client}`
    const known = this.all.get(key) ?? { ...quantity, client, values: [] }
    known.values.push(value)
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
  rounds: number,
  collector: Collector,
  run: (client: BenchClient) => Promise<void>,
  first = 0
): Promise<void> => {
  for (let round = first; round < first + rounds; round++) {
    for (const client of rotated(clients, round)) await collector.attempt(client.name, () => run(client))
  }
}

/** More than these change little: what is left is how V8 has compiled a process. */
const mostMoreRounds = 16

/**
 * More rounds until all is decided, or time is up. Who takes part in them is settled once, so that the rounds of any two
 * belong together.
 */
const inRoundsThatDecide = async (
  clients: ReadonlyArray<BenchClient>,
  rounds: number,
  more: MoreRounds | undefined,
  collector: Collector,
  run: (client: BenchClient) => Promise<void>
): Promise<void> => {
  const start = performance.now()
  await inRounds(clients, rounds, collector, run)
  if (more === undefined) return
  const undecided = () => more.undecided(collector.measured().series)
  const these = undecided()
  const some = clients.filter(({ name }) => these.has(name))
  const roundMs = ((performance.now() - start) / rounds) * (some.length / clients.length)
  const end = performance.now() + more.leftMs()
  for (let round = 0; round < mostMoreRounds; round++) {
    if (undecided().size === 0 || performance.now() + roundMs > end) return
    await inRounds(some, 1, collector, run, rounds + round)
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
  const groups = workers > mostTogether ? clients.map((client) => [client]) : [clients]
  for (const group of groups) {
    await withClients(
      group,
      settings,
      collector,
      prepare,
      (processes) =>
        inRoundsThatDecide(group, settings.rounds, settings.more, collector, async (client) => {
          const measured = await existing(processes, client).command("measure", {
            leadInMs: settings.leadInMs,
            ms: settings.roundMs,
            workers
          })
          collector.add(
            { id: name, title, unit },
            client.name,
            numberOf(measured, "cpuUs") / numberOf(measured, "calls") / per
          )
        })
    )
  }
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
    await inRounds(clients, rounds, collector, async (client) => {
      const measured = await existing(processes, client).command("latencies")
      const micros = numbersOf(measured, "micros")
      collector.add({ id: `${name}.p50`, title: `${title}, p50`, unit: "us" }, client.name, quantile(micros, 0.5))
      collector.add({ id: `${name}.p99`, title: `${title}, p99`, unit: "us" }, client.name, quantile(micros, 0.99))
      collector.add(
        { id: `${name}.cpu`, title: "CPU of an event that comes alone", unit: "us CPU per message" },
        client.name,
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
  inRoundsThatDecide(clients, settings.samples, settings.more, collector, async (client) => {
    const process = await startClient(settings.execPath, client)
    try {
      // Its modules loaded and its code run before: memory that does not grow with the streams.
      await process.connect(`${server.url}/mcp?kind=events&count=10`)
      await process.command("warmUp", { leastMs: 500, mostMs: 500, workers: 16 })
      await process.connect(`${server.url}/mcp?kind=hold`)
      const before = await process.command("hold", { count: streams })
      await until(async () => await server.held() === streams)
      const held = await process.command("held", { before, count: streams })
      collector.add(
        { id: `${name}.rss`, title: `${title}: memory`, unit: "kB RSS per stream" },
        client.name,
        numberOf(held, "rss") / streams / 1_000
      )
      collector.add(
        { id: `${name}.heap`, title: `${title}: heap`, unit: "kB heap per stream" },
        client.name,
        numberOf(held, "heap") / streams / 1_000
      )
      collector.add(
        { id: `${name}.open`, title: `${title}: opening`, unit: "us CPU per stream" },
        client.name,
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
  inRounds(clients, settings.samples, collector, async (client) => {
    const process = await startClient(settings.execPath, client)
    try {
      const measured = await process.command("import", { modules: client.imports })
      collector.add({ id: `${name}.cpu`, title, unit: "ms CPU" }, client.name, numberOf(measured, "cpuUs") / 1_000)
      collector.add({ id: `${name}.wall`, title, unit: "ms" }, client.name, numberOf(measured, "wallMs"))
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
  inRounds(clients, settings.samples, collector, async (client) => {
    const process = await startClient(settings.execPath, client)
    try {
      await process.connect(`${server.url}/mcp?kind=json&bytes=100`)
      const measured = await process.command("whole", { calls })
      collector.add({ id: `${name}.cpu`, title, unit: "ms CPU" }, client.name, numberOf(measured, "cpuUs") / 1_000)
      collector.add(
        { id: `${name}.rss`, title: `${title}: memory`, unit: "MB RSS" },
        client.name,
        numberOf(measured, "rss") / 1e6
      )
    } finally {
      await process.end()
    }
  })

const footprints = ({ name, title }: Footprint, clients: ReadonlyArray<BenchClient>, collector: Collector): void => {
  for (const client of clients) {
    const { bytes, packages } = footprint(client.installed)
    collector.add({ id: `${name}.packages`, title: `${title}: packages`, unit: "packages" }, client.name, packages)
    collector.add({ id: `${name}.size`, title: `${title}: size`, unit: "MB" }, client.name, bytes / 1e6)
  }
}
