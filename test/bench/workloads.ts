/**
 * What is measured.
 */
interface Common {
  readonly name: string
  readonly title: string
  /** Its clients, when it is not for all. */
  readonly clients?: ReadonlyArray<string>
  /** Its clients in a quick run; without, it is no part of one. */
  readonly quick?: ReadonlyArray<string>
}

/** Calls for some time: CPU of the client for every message that the server sent. */
export interface Throughput extends Common {
  readonly kind: "throughput"
  /** The query of the URL: see `shape.mjs`. */
  readonly query: string
  readonly workers: number
  /** How many messages one call brings, the answer included. */
  readonly messages: number
  /** Shows cost per kilobyte of text, of which one call brings so many. */
  readonly kilobytes?: number
  /** How long a round is, if a collection of the whole heap falls into every third of the usual ones: one into each is fair. */
  readonly roundMs?: number
  /** How much of the usual warm-up it takes: less if it is warm sooner (most of a large body is for `JSON.parse`), more if later. */
  readonly warmUpShare?: number
  /** Part of the proof that cost grows linearly: which line, and where on it. */
  readonly linearity?: { readonly line: "length" | "streams" | "size"; readonly at: number }
}

/** Streams that are open and silent: memory and CPU for each. */
export interface Idle extends Common {
  readonly kind: "idle"
  readonly streams: number
}

/** From the server's write to the client's delivery. */
export interface Latency extends Common {
  readonly kind: "latency"
}

/** A fresh process that imports and ends. */
export interface Import extends Common {
  readonly kind: "import"
}

/** A fresh process that makes some calls and ends. */
export interface Whole extends Common {
  readonly kind: "whole"
  readonly calls: number
}

/** What `npm install` brings. */
export interface Footprint extends Common {
  readonly kind: "footprint"
}

export type Workload = Throughput | Idle | Latency | Import | Whole | Footprint

const json = (workers: number, quick?: ReadonlyArray<string>): Throughput => ({
  kind: "throughput",
  name: `json-${workers}`,
  title: `JSON answer, concurrency ${workers}`,
  query: "kind=json&bytes=100",
  workers,
  messages: 1,
  roundMs: 300,
  ...(quick === undefined ? {} : { quick })
})

const events = (
  name: string,
  title: string,
  query: string,
  count: number,
  quick?: ReadonlyArray<string>,
  more?: Partial<Throughput>
): Throughput => ({
  kind: "throughput",
  name,
  title,
  query: `kind=events&count=${count}${query}`,
  workers: 1,
  messages: count + 1,
  ...(quick === undefined ? {} : { quick }),
  ...more
})

const mainLine = ["floor", "node-request", "node-send", "undici-request", "fetch-request", "sdk2-transport"]

/** A point of the proof that cost grows linearly. */
const point = (
  linearity: NonNullable<Throughput["linearity"]>,
  title: string,
  query: string,
  count: number,
  more?: Partial<Throughput>
): Throughput =>
  events(`${linearity.line}-${linearity.at}`, title, query, count, undefined, { clients: mainLine, linearity, ...more })

/** One stream, ever longer. */
const lengths = [100, 1_000, 10_000, 100_000].map((at) =>
  point({ line: "length", at }, `One stream of ${at} events`, "", at)
)

/** Ever more streams at the same time, 20 events each. */
const streams = [1, 10, 100, 1_000, 5_000].map((at) =>
  point(
    { line: "streams", at },
    `${at === 1 ? "1 stream" : `${at} streams`} at once, 20 events each`,
    `&together=${at}`,
    20,
    { workers: at }
  )
)

/** Ever larger events, 8 MB or 1 000 of them. */
const sizes = [100, 1_000, 10_000, 100_000, 1_000_000, 8_000_000].map((at) => {
  const count = Math.min(1_000, Math.ceil(8_000_000 / at))
  const kilobytes = (count * at) / 1_000
  return point({ line: "size", at }, `${count} events of ${at} bytes of text`, `&bytes=${at}`, count, { kilobytes })
})

const idle = (streams: number, quick?: ReadonlyArray<string>): Idle => ({
  kind: "idle",
  name: `idle-${streams}`,
  title: `${streams} idle streams`,
  streams,
  clients: [
    "floor",
    "node-request",
    "node-send",
    "undici-request",
    "fetch-request",
    "bare-fiber",
    "sdk1-transport",
    "sdk2-transport"
  ],
  ...(quick === undefined ? {} : { quick })
})

const whole = (calls: number): Whole => ({
  kind: "whole",
  name: `whole-${calls}`,
  title: `Whole process, ${calls} ${calls === 1 ? "call" : "calls"}`,
  calls
})

export const workloads: ReadonlyArray<Workload> = [
  json(1),
  json(16, [
    "floor",
    "sdk2-transport",
    "node-request",
    "node-send",
    "undici-request",
    "bare-stream",
    "bare-undici"
  ]),
  json(256),
  {
    kind: "throughput",
    name: "json-1mb",
    title: "JSON answer of 1 MB",
    query: "kind=json&bytes=1048576",
    workers: 1,
    messages: 1,
    roundMs: 300,
    warmUpShare: 1 / 3,
    quick: ["floor", "sdk2-transport", "node-request"]
  },
  events("events-1", "Stream of 1 event", "", 1),
  events("events-100", "Stream of 100 events", "", 100, [
    "floor",
    "sdk2-transport",
    "node-request",
    "node-send",
    "bare-stream"
  ], { roundMs: 300, warmUpShare: 1.6 }),
  events("events-10k", "Stream of 10 000 events", "", 10_000, [
    "floor",
    "sdk2-transport",
    "node-request",
    "node-send",
    "fetch-request",
    "bare-stream",
    "bare-fetch"
  ], { roundMs: 300, warmUpShare: 1.6 }),
  events("batches-10k", "The same, 100 events in an HTTP chunk", "&batch=100", 10_000),
  events("ids-1", "Stream of 1 event with id", "&ids=1", 1),
  events("ids-100", "Stream of 100 events with ids", "&ids=1", 100),
  events("ids-10k", "Stream of 10 000 events with ids", "&ids=1", 10_000),
  events(
    "events-64kb",
    "Stream of 50 events of 64 KB",
    "&bytes=65536",
    50,
    ["floor", "sdk2-transport", "node-request"],
    {
      warmUpShare: 1 / 3
    }
  ),
  events("pieces-37", "100 events cut into chunks of 37 bytes", "&piece=37", 100),
  events("pieces-1000", "100 events cut into chunks of 1 000 bytes", "&piece=1000", 100),
  idle(1_000),
  idle(5_000, ["floor", "sdk2-transport", "node-request", "bare-fiber"]),
  {
    kind: "latency",
    name: "latency",
    title: "From the server's write to delivery",
    quick: ["floor", "sdk2-transport", "node-request"]
  },
  {
    kind: "import",
    name: "import",
    title: "Import",
    quick: ["sdk2-transport", "core", "node-request", "bare-import"]
  },
  whole(1),
  whole(100),
  { kind: "footprint", name: "footprint", title: "Install" },
  ...lengths,
  ...streams,
  ...sizes
]
