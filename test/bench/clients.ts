/**
 * The clients that are compared. Each is a small module in `clients/`, imported by nothing but its own process.
 */
export interface BenchClient {
  readonly name: string
  readonly title: string
  /** Relative to this folder. */
  readonly module: string
  /** It has nothing for progress, so that only answers can be asked of it. */
  readonly answersOnly?: boolean
  /** The least major version of Node that it runs on. */
  readonly node?: number
  /** It takes part in these workloads and no others. */
  readonly only?: ReadonlyArray<string>
  /** How much of the usual warm-up it takes, at least half of it unless given. V8 compiles more of Effect. */
  readonly warmUpShare?: number
  /** A building block of ours alone, and no client that anybody would use: how little a path can cost. */
  readonly isBlock?: boolean
  /** What a program imports to use it; `./` is relative to this folder. */
  readonly imports: ReadonlyArray<string>
  /** What a program installs to use it, and where that is installed here. */
  readonly installed: { readonly folder: "root" | "bench" | "effect4"; readonly packages: ReadonlyArray<string> }
}

const transport = "@effect-mcp/transport/StreamableHttpTransport"
const errors = ["@effect-mcp/transport/TransportError", "@effect-mcp/transport/JsonRpc"]

const ours = (
  name: string,
  title: string,
  imports: ReadonlyArray<string>,
  packages: ReadonlyArray<string>
): BenchClient => ({
  name,
  title,
  module: `./clients/${name}.mjs`,
  warmUpShare: 1,
  imports: [transport, ...errors, ...imports],
  installed: { folder: "root", packages: ["@effect-mcp/transport", "effect", "@effect/platform", ...packages] }
})

const node = ["@effect-mcp/transport-node/NodeStreamableHttpTransport"]
const sdk1 = "@modelcontextprotocol/sdk"
const sdk2 = "@modelcontextprotocol/client"

const block = (
  name: string,
  title: string,
  only: ReadonlyArray<string>,
  imports: ReadonlyArray<string>,
  packages: ReadonlyArray<string> = []
): BenchClient => ({
  name,
  title: `${title} alone`,
  module: `./clients/${name}.mjs`,
  only,
  warmUpShare: 1,
  isBlock: true,
  imports,
  installed: { folder: "root", packages: ["effect", "@effect/platform", ...packages] }
})

export const floor: BenchClient = {
  name: "floor",
  title: "floor: undici dispatch, hand-written scanner",
  module: "./clients/floor.mjs",
  imports: ["./clients/floor.mjs"],
  installed: { folder: "bench", packages: ["undici"] }
}

export const sdk2Transport: BenchClient = {
  name: "sdk2-transport",
  title: "SDK 2.4.0, transport",
  module: "./clients/sdk2-transport.mjs",
  imports: [sdk2],
  installed: { folder: "bench", packages: [sdk2] }
}

/** What runs a Stream or an `HttpClient`, or has most code for each call. */
const warmLate = { warmUpShare: 1.6 }

const singles = ["json-16", "events-1", "events-100"]

export const clients: ReadonlyArray<BenchClient> = [
  floor,
  { ...ours("core", "ours, without any HTTP layer, with errors and Schema", ["effect/Schema"], []), only: ["import"] },
  ours("node-request", "ours, transport-node, request", node, ["@effect-mcp/transport-node"]),
  { ...ours("node-send", "ours, transport-node, send", node, ["@effect-mcp/transport-node"]), ...warmLate },
  {
    ...ours("undici-request", "ours, HttpClient undici, request", ["@effect/platform-node/NodeHttpClient"], [
      "@effect/platform-node"
    ]),
    ...warmLate
  },
  {
    ...ours("undici-send", "ours, HttpClient undici, send", ["@effect/platform-node/NodeHttpClient"], [
      "@effect/platform-node"
    ]),
    ...warmLate
  },
  { ...ours("fetch-request", "ours, fetch, request", ["@effect/platform/FetchHttpClient"], []), ...warmLate },
  { ...ours("fetch-send", "ours, fetch, send", ["@effect/platform/FetchHttpClient"], []), ...warmLate },
  {
    ...ours("node-call", "ours, McpClient, transport-node, callTool", ["@effect-mcp/client/McpClient", ...node], [
      "@effect-mcp/client",
      "@effect-mcp/transport-node"
    ]),
    ...warmLate
  },
  { ...block("bare-stream", "an Effect Stream around the floor", [...singles, "events-10k"], []), ...warmLate },
  {
    ...block("bare-undici", "Effect's HttpClient over undici", singles, [], ["@effect/platform-node"]),
    ...warmLate
  },
  { ...block("bare-fetch", "Effect's HttpClient over fetch", [...singles, "events-10k"], []), ...warmLate },
  block("bare-fiber", "an Effect fiber around the floor", ["idle-1000", "idle-5000"], []),
  block("bare-import", "Effect, Stream, Schema and HttpClient", ["import"], [
    "effect/Effect",
    "effect/Layer",
    "effect/Stream",
    "effect/Schema",
    "@effect/platform/HttpClient"
  ]),
  {
    name: "sdk1-transport",
    title: "SDK 1.32.2, transport",
    module: "./clients/sdk1-transport.mjs",
    imports: [`${sdk1}/client/streamableHttp.js`],
    installed: { folder: "bench", packages: [sdk1] }
  },
  {
    name: "sdk1-call",
    title: "SDK 1.32.2, callTool",
    module: "./clients/sdk1-call.mjs",
    imports: [`${sdk1}/client/index.js`, `${sdk1}/client/streamableHttp.js`],
    installed: { folder: "bench", packages: [sdk1] }
  },
  sdk2Transport,
  {
    name: "sdk2-call",
    title: "SDK 2.4.0, callTool",
    module: "./clients/sdk2-call.mjs",
    imports: [sdk2],
    installed: { folder: "bench", packages: [sdk2] }
  },
  {
    name: "ai-sdk",
    title: "@ai-sdk/mcp (answers only)",
    module: "./clients/ai-sdk.mjs",
    answersOnly: true,
    imports: ["@ai-sdk/mcp"],
    installed: { folder: "bench", packages: ["@ai-sdk/mcp"] }
  },
  {
    name: "effect4",
    title: "effect 4.1 McpClient (answers only)",
    module: "./effect4/client.mjs",
    answersOnly: true,
    warmUpShare: 1,
    node: 24,
    imports: ["./effect4/client.mjs"],
    installed: { folder: "effect4", packages: ["effect", "@effect/platform-node"] }
  }
]
