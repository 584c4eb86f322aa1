/**
 * A server on the official SDK's web-standard transport and a client for it, without a socket in between: the client's
 * `fetch` hands its `Request` to the server's transport.
 *
 * | tool | arguments | what it does |
 * | --- | --- | --- |
 * | `echo` | `text` | answers `text` |
 * | `progress` | `steps`, `delayMs` | a progress notification per step, then the answer |
 * | `dropAndFinish` | `steps`, `dropAfter` | the same, but the server ends the stream after `dropAfter` steps |
 * | `notify` | `text`, `count` | `count` log notifications on the stream that a client opened with GET |
 */
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js"
import {
  type EventStore,
  WebStandardStreamableHTTPServerTransport
} from "@modelcontextprotocol/sdk/server/webStandardStreamableHttp.js"
import type { RequestHandlerExtra } from "@modelcontextprotocol/sdk/shared/protocol.js"
import type {
  CallToolResult,
  JSONRPCMessage,
  ServerNotification,
  ServerRequest
} from "@modelcontextprotocol/sdk/types.js"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { randomUUID } from "node:crypto"
import { setTimeout } from "node:timers/promises"
import * as z from "zod"
import type { Client } from "../support/harness.ts"
import type { Seen, Watched } from "./calls.ts"
import type { SdkServer, SdkServerOptions } from "./sdkServer.ts"

export interface SocketlessServer extends Watched, Pick<SdkServer, "url" | "forgetSessions" | "closeServerStreams"> {
  /** Reaches this server and nothing else. */
  readonly client: Client
  /** Bodies of responses that were neither ended by the server nor cancelled by the client. */
  readonly openBodies: Effect.Effect<number>
}

type Extra = RequestHandlerExtra<ServerRequest, ServerNotification>

const text = (value: string): CallToolResult => ({ content: [{ type: "text", text: value }] })

const takeSteps = async (extra: Extra, total: number, delayMs: number, afterStep: (step: number) => void) => {
  afterStep(0)
  for (let progress = 1; progress <= total; progress++) {
    await setTimeout(delayMs, undefined, { signal: extra.signal })
    const progressToken = extra._meta?.progressToken
    if (progressToken !== undefined) {
      await extra.sendNotification({ method: "notifications/progress", params: { progressToken, progress, total } })
    }
    afterStep(progress)
  }
  return text(`${total} steps done`)
}

const makeMcpServer = (): McpServer => {
  const server = new McpServer({ name: "socketless", version: "1.0.0" }, { capabilities: { logging: {} } })
  const steps = z.number().int().min(0)
  const delayMs = z.number().min(0).default(0)

  server.registerTool("echo", { inputSchema: { text: z.string() } }, (args) => text(args.text))

  server.registerTool(
    "progress",
    { inputSchema: { steps, delayMs } },
    (args, extra) => takeSteps(extra, args.steps, args.delayMs, () => {})
  )

  server.registerTool(
    "dropAndFinish",
    { inputSchema: { steps, delayMs, dropAfter: steps } },
    (args, extra) => {
      if (extra.closeSSEStream === undefined) throw new Error("only a stream with an event store can be closed")
      return takeSteps(extra, args.steps, args.delayMs, (step) => {
        if (step === args.dropAfter) extra.closeSSEStream?.()
      })
    }
  )

  server.registerTool(
    "notify",
    { inputSchema: { text: z.string(), count: z.number().int().min(1).default(1) } },
    async (args) => {
      for (let sent = 0; sent < args.count; sent++) {
        await server.sendLoggingMessage({ level: "info", data: args.text })
      }
      return text(`${args.count} sent`)
    }
  )

  return server
}

const makeEventStore = (): EventStore => {
  const events: Array<{ readonly id: string; readonly streamId: string; readonly message: JSONRPCMessage }> = []
  return {
    storeEvent: async (streamId, message) => {
      const id = `event-${events.length}`
      events.push({ id, streamId, message })
      return id
    },
    getStreamIdForEventId: async (eventId) => events.find(({ id }) => id === eventId)?.streamId,
    replayEventsAfter: async (lastEventId, { send }) => {
      const last = events.findIndex(({ id }) => id === lastEventId)
      const streamId = events[last]?.streamId ?? ""
      for (const event of events.slice(last + 1)) {
        if (event.streamId === streamId) await send(event.id, event.message)
      }
      return streamId
    }
  }
}

interface Session {
  readonly server: McpServer
  readonly transport: WebStandardStreamableHTTPServerTransport
}

export const socketlessServer = (
  options: SdkServerOptions = {}
): Effect.Effect<SocketlessServer, never, Scope.Scope> =>
  Effect.gen(function*() {
    const sessions = new Map<string, Session>()
    const wire: Array<Seen> = []

    const openSession = async (): Promise<Session> => {
      const server = makeMcpServer()
      const transport = new WebStandardStreamableHTTPServerTransport({
        sessionIdGenerator: randomUUID,
        onsessioninitialized: (id) => void sessions.set(id, { server, transport }),
        onsessionclosed: (id) => void sessions.delete(id),
        enableJsonResponse: options.enableJsonResponse ?? false,
        ...(options.eventStore === false ? {} : { eventStore: makeEventStore() }),
        ...(options.retryInterval === undefined ? {} : { retryInterval: Duration.toMillis(options.retryInterval) })
      })
      await server.connect(transport)
      return { server, transport }
    }

    const answer = async (request: Request): Promise<Response> => {
      const id = request.headers.get("mcp-session-id")
      const session = id === null ? await openSession() : sessions.get(id)
      if (session !== undefined) return session.transport.handleRequest(request)
      const error = { code: -32001, message: "Session not found" }
      return Response.json({ jsonrpc: "2.0", error, id: null }, { status: 404 })
    }

    const fetch: typeof globalThis.fetch = async (url, init) => {
      const request = new Request(url, init)
      const exchange = {
        method: request.method,
        headers: Object.fromEntries(request.headers),
        body: init?.body instanceof Uint8Array ? new TextDecoder().decode(init.body) : "",
        status: null
      }
      const index = wire.push(exchange) - 1
      const response = await answer(request)
      wire[index] = { ...exchange, status: response.status }
      return watchBody(response)
    }

    const openBodies = new Set<Response>()
    const watchBody = (response: Response): Response => {
      if (response.body === null) return response
      openBodies.add(response)
      const reader = response.body.getReader()
      const body = new ReadableStream({
        pull: async (controller) => {
          const { done, value } = await reader.read()
          if (!done) return controller.enqueue(value)
          if (openBodies.delete(response)) controller.close()
        },
        cancel: (reason) => {
          openBodies.delete(response)
          return reader.cancel(reason)
        }
      }, { highWaterMark: 0 })
      return new Response(body, { status: response.status, headers: response.headers })
    }

    const forgetSessions = Effect.promise(async () => {
      const open = Array.from(sessions.values())
      sessions.clear()
      await Promise.all(open.map((session) => session.server.close()))
    })
    yield* Effect.addFinalizer(() => forgetSessions)

    return {
      url: "http://socketless.invalid/mcp",
      client: {
        name: "socketless",
        layer: FetchHttpClient.layer.pipe(Layer.provide(Layer.succeed(FetchHttpClient.Fetch, fetch)))
      },
      wire: Effect.sync(() => Array.from(wire)),
      openBodies: Effect.sync(() => openBodies.size),
      forgetSessions,
      closeServerStreams: Effect.sync(() => {
        for (const { transport } of sessions.values()) transport.closeStandaloneSSEStream()
      })
    }
  })
