/**
 * What the soak and load tests share: their server in a process of its own, HTTP clients, and looking at this process.
 */
import { HttpExchange, JsonRpc, StreamableHttpTransport } from "@effect-mcp/transport"
import { NodeHttpExchange } from "@effect-mcp/transport-node"
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { fork } from "node:child_process"
import { mkdirSync, writeFileSync } from "node:fs"
import { arch, cpus, platform } from "node:os"
import { fileURLToPath } from "node:url"

const server = fileURLToPath(new URL("./trafficServer.ts", import.meta.url))
const results = fileURLToPath(new URL("./results/", import.meta.url))

/** Starts the server; with a seed there is a proxy before it that breaks things. Gives the url. */
export const trafficServer = (seed?: string): Effect.Effect<string, Error, Scope.Scope> =>
  Effect.gen(function*() {
    const child = yield* Effect.acquireRelease(
      Effect.sync(() =>
        fork(server, seed === undefined ? [] : [seed], { stdio: ["ignore", "inherit", "inherit", "ipc"] })
      ),
      (child) =>
        Effect.async<void>((resume) => {
          if (child.exitCode !== null || child.signalCode !== null) return resume(Effect.void)
          child.once("exit", () => resume(Effect.void))
          child.disconnect()
        })
    )
    return yield* Effect.async<string, Error>((resume) => {
      child.once("message", (message) => resume(Effect.succeed(String(Reflect.get(Object(message), "url")))))
      child.once("exit", (code) => resume(Effect.fail(new Error(`the server ended with code ${code}`))))
    })
  })

export interface NamedClient {
  readonly name: string
  readonly exchange: Layer.Layer<HttpExchange.HttpExchange>
}

export const fetchClient: NamedClient = { name: "fetch", exchange: HttpExchange.layerFetch() }

export const undiciClient: NamedClient = {
  name: "undici",
  exchange: HttpExchange.layerHttpClient.pipe(Layer.provide(NodeHttpClient.layerUndici))
}

export const nodeClient: NamedClient = { name: "transport-node", exchange: NodeHttpExchange.layer() }

/** A transport with an open session, as long as the surrounding scope. */
export const openTransport = (client: NamedClient, options: StreamableHttpTransport.Options) =>
  Effect.gen(function*() {
    const context = yield* Layer.build(client.exchange)
    const transport = yield* StreamableHttpTransport.makeExchange(options).pipe(Effect.provide(context))
    yield* StreamableHttpTransport.request(
      transport,
      JsonRpc.request("initialize", "initialize", {
        protocolVersion: "2025-11-25",
        capabilities: {},
        clientInfo: { name: "traffic", version: "1.0.0" }
      })
    )
    yield* StreamableHttpTransport.notify(transport, JsonRpc.notification("notifications/initialized"))
    return transport
  })

/** What this process holds after a garbage collection, in bytes, and what keeps its event loop busy. */
export interface Sample {
  readonly heap: number
  readonly external: number
  readonly handles: number
}

export const sample = (): Sample => {
  if (globalThis.gc === undefined) throw new Error("run with --expose-gc")
  globalThis.gc()
  const { external, heapUsed } = process.memoryUsage()
  return { heap: heapUsed, external, handles: process.getActiveResourcesInfo().length }
}

export const megabytes = (bytes: number): string => (bytes / 1024 / 1024).toFixed(1)

export const machine = { node: process.version, platform: platform(), arch: arch(), cpus: cpus().length }

/** Keeps a result beside this file, where the README shows it. */
export const keep = (name: string, content: string): void => {
  mkdirSync(results, { recursive: true })
  writeFileSync(`${results}${name}`, content)
}

/** The value of `--name` on the command line. */
export const argument = (name: string, fallback: string): string => {
  const at = process.argv.indexOf(`--${name}`)
  return at === -1 ? fallback : process.argv[at + 1] ?? fallback
}

/** A Markdown table. */
export const table = (head: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string | number>>): string =>
  [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n")
