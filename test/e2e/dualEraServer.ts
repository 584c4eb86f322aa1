/**
 * A server on version 2 of the official SDK, inside the test process: it serves protocol 2026-07-28, without sessions,
 * and answers the requests of older clients one by one.
 *
 * | tool | arguments | what it does |
 * | --- | --- | --- |
 * | `echo` | `text` | answers `text` |
 * | `add` | `a`, `b` | answers their sum |
 * | `progress` | `steps`, `delayMs` | a progress notification per step, if the request has a token, then the answer |
 *
 * An unknown method is answered by status 404, an unsupported version and headers that contradict the body by 400, each
 * with a JSON-RPC error as the body.
 */
import { toNodeHandler } from "@modelcontextprotocol/node"
import { type CallToolResult, createMcpHandler, McpServer } from "@modelcontextprotocol/server"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { setTimeout } from "node:timers/promises"
import * as z from "zod"
import { serve, type StartError, type TestServer } from "./testServer.ts"

export interface DualEraServerOptions {
  /** `auto`, the default: JSON, or a stream when something is sent before the answer. */
  readonly responseMode?: "auto" | "sse" | "json" | undefined
  /** `reject` refuses older clients; `stateless` by default. */
  readonly legacy?: "stateless" | "reject" | undefined
}

export interface DualEraServer extends TestServer {
  /** Tells every open `subscriptions/listen` stream that the tools have changed. */
  readonly toolsChanged: Effect.Effect<void>
  /** How many calls of `progress` ended because the client had closed the stream. */
  readonly cancelledCalls: Effect.Effect<number>
}

const text = (value: string): CallToolResult => ({ content: [{ type: "text", text: value }] })

export const dualEraServer = (
  options: DualEraServerOptions = {}
): Effect.Effect<DualEraServer, StartError, Scope.Scope> =>
  Effect.gen(function*() {
    let cancelledCalls = 0

    const makeMcpServer = (): McpServer => {
      const server = new McpServer({ name: "dual-era-server", version: "1.0.0" })

      server.registerTool("echo", { inputSchema: z.object({ text: z.string() }) }, (args) => text(args.text))

      server.registerTool(
        "add",
        { inputSchema: z.object({ a: z.number(), b: z.number() }) },
        (args) => text(String(args.a + args.b))
      )

      server.registerTool(
        "progress",
        { inputSchema: z.object({ steps: z.number().int().min(0), delayMs: z.number().min(0).default(0) }) },
        async (args, { mcpReq }) => {
          const progressToken = mcpReq._meta?.progressToken
          let isRunning = true
          // It fires for a call that was answered, too.
          mcpReq.signal.addEventListener("abort", () => {
            if (isRunning) cancelledCalls++
          })
          for (let progress = 1; progress <= args.steps; progress++) {
            await setTimeout(args.delayMs, undefined, { signal: mcpReq.signal })
            if (progressToken !== undefined) {
              const params = { progressToken, progress, total: args.steps }
              await mcpReq.notify({ method: "notifications/progress", params })
            }
          }
          isRunning = false
          return text(`${args.steps} steps done`)
        }
      )

      return server
    }

    const handler = createMcpHandler(makeMcpServer, {
      responseMode: options.responseMode ?? "auto",
      legacy: options.legacy ?? "stateless"
    })
    const answer = toNodeHandler(handler)
    const server = yield* serve("dualEraServer", (request, response) => {
      // The handler's types do not allow the `undefined` that Node's have.
      const { headers, method = "GET", url = "/" } = request
      return answer({ headers, method, url, [Symbol.asyncIterator]: () => request[Symbol.asyncIterator]() }, response)
    })
    yield* Effect.addFinalizer(() => Effect.promise(() => handler.close()))
    return {
      ...server,
      toolsChanged: Effect.sync(() => handler.notify.toolsChanged()),
      cancelledCalls: Effect.sync(() => cancelledCalls)
    }
  })
