/**
 * A server on the official SDK, inside the test process: sessions, resumable streams, and tools that show them.
 *
 * | tool | arguments | what it does |
 * | --- | --- | --- |
 * | `echo` | `text` | answers `text` |
 * | `add` | `a`, `b` | answers their sum |
 * | `progress` | `steps`, `delayMs` | a progress notification per step, if the request has a token, then the answer |
 * | `dropAndFinish` | `steps`, `dropAfter`, `delayMs`, `how` | the same, but loses the stream after `dropAfter` steps |
 * | `notify` | `text`, `count` | `count` log notifications on the stream that a client opened with GET |
 */
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js"
import { type EventStore, StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js"
import type { RequestHandlerExtra } from "@modelcontextprotocol/sdk/shared/protocol.js"
import type { CallToolResult, ServerNotification, ServerRequest } from "@modelcontextprotocol/sdk/types.js"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { AsyncLocalStorage } from "node:async_hooks"
import { randomUUID } from "node:crypto"
import type { IncomingMessage, ServerResponse } from "node:http"
import { setImmediate, setTimeout } from "node:timers/promises"
import * as z from "zod"
import { serve, type StartError, type TestServer } from "./testServer.ts"

export interface SdkServerOptions {
  /** Whether streams have event ids and can be resumed; `true` by default. */
  readonly eventStore?: boolean | undefined
  /** The `retry` that the first event of every resumable stream carries; none by default. */
  readonly retryInterval?: Duration.DurationInput | undefined
  /** Whether requests are answered by a JSON body instead of a stream; `false` by default. */
  readonly enableJsonResponse?: boolean | undefined
}

export interface SdkServer extends TestServer {
  /** Closes every session, as a restarted server would: its streams end, and its id is answered by 404. */
  readonly forgetSessions: Effect.Effect<void>
  /** Closes the streams that clients opened with GET; the sessions stay. */
  readonly closeServerStreams: Effect.Effect<void>
}

type Extra = RequestHandlerExtra<ServerRequest, ServerNotification>

const text = (value: string): CallToolResult => ({ content: [{ type: "text", text: value }] })

/** The response of the POST that a running tool was called by. */
const currentResponse = new AsyncLocalStorage<ServerResponse>()

const reportProgress = async (extra: Extra, progress: number, total: number): Promise<void> => {
  const progressToken = extra._meta?.progressToken
  if (progressToken !== undefined) {
    await extra.sendNotification({ method: "notifications/progress", params: { progressToken, progress, total } })
  }
}

const dropStream = async (extra: Extra, how: "close" | "destroy"): Promise<void> => {
  if (how === "close") {
    if (extra.closeSSEStream === undefined) {
      throw new Error("only a stream with an event store can be closed, and only for a client of 2025-11-25 or newer")
    }
    extra.closeSSEStream()
    return
  }
  const response = currentResponse.getStore()
  // What was sent so far shall arrive: without an event id the client could not resume.
  while (!isFlushed(response) && !extra.signal.aborted) {
    await setImmediate()
  }
  response?.destroy()
}

const isFlushed = (response: ServerResponse | undefined): boolean =>
  response === undefined || (response.headersSent && response.writableLength === 0)

const makeMcpServer = (): McpServer => {
  const server = new McpServer({ name: "sdk-server", version: "1.0.0" }, { capabilities: { logging: {} } })
  const steps = z.number().int().min(0)
  const delayMs = z.number().min(0).default(0)

  server.registerTool("echo", { inputSchema: { text: z.string() } }, (args) => text(args.text))

  server.registerTool(
    "add",
    { inputSchema: { a: z.number(), b: z.number() } },
    (args) => text(String(args.a + args.b))
  )

  server.registerTool("progress", { inputSchema: { steps, delayMs } }, async (args, extra) => {
    for (let step = 1; step <= args.steps; step++) {
      await setTimeout(args.delayMs, undefined, { signal: extra.signal })
      await reportProgress(extra, step, args.steps)
    }
    return text(`${args.steps} steps done`)
  })

  server.registerTool(
    "dropAndFinish",
    { inputSchema: { steps, dropAfter: steps, delayMs, how: z.enum(["close", "destroy"]).default("close") } },
    async (args, extra) => {
      for (let step = 0; step <= args.steps; step++) {
        if (step > 0) {
          await setTimeout(args.delayMs, undefined, { signal: extra.signal })
          await reportProgress(extra, step, args.steps)
        }
        if (step === args.dropAfter) {
          await dropStream(extra, args.how)
        }
      }
      return text(`${args.steps} steps done, stream lost after ${args.dropAfter}`)
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

/** The events of one session, in the order in which they were stored. */
const makeEventStore = (): EventStore => {
  const events: Array<{ readonly streamId: string; readonly message: Parameters<EventStore["storeEvent"]>[1] }> = []
  const indexOf = (eventId: string): number => (/^event-\d+$/.test(eventId) ? Number(eventId.slice(6)) : -1)
  return {
    storeEvent: async (streamId, message) => `event-${events.push({ streamId, message }) - 1}`,
    getStreamIdForEventId: async (eventId) => events[indexOf(eventId)]?.streamId,
    replayEventsAfter: async (lastEventId, { send }) => {
      const last = indexOf(lastEventId)
      const streamId = events[last]?.streamId
      if (streamId === undefined) {
        throw new Error(`unknown event id ${lastEventId}`)
      }
      for (const [index, event] of events.entries()) {
        if (index > last && event.streamId === streamId) {
          await send(`event-${index}`, event.message)
        }
      }
      return streamId
    }
  }
}

interface Session {
  readonly server: McpServer
  readonly transport: StreamableHTTPServerTransport
}

/** Starts a server of its own: nothing is shared with another one. */
export const sdkServer = (options: SdkServerOptions = {}): Effect.Effect<SdkServer, StartError, Scope.Scope> =>
  Effect.gen(function*() {
    const sessions = new Map<string, Session>()

    const openSession = async (): Promise<Session> => {
      const server = makeMcpServer()
      const transport = new StreamableHTTPServerTransport({
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

    const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
      const id = request.headersDistinct["mcp-session-id"]?.[0]
      // Without an id: whatever is no initialize request is refused by the new transport.
      const session = id === undefined ? await openSession() : sessions.get(id)
      if (session === undefined) {
        const error = { code: -32001, message: "Session not found" }
        response.writeHead(404, { "content-type": "application/json" })
          .end(JSON.stringify({ jsonrpc: "2.0", error, id: null }))
        return
      }
      await currentResponse.run(response, () => session.transport.handleRequest(request, response))
    }

    const forgetSessions = Effect.promise(async () => {
      const open = Array.from(sessions.values())
      sessions.clear()
      await Promise.all(open.map((session) => session.server.close()))
    })

    const server = yield* serve("sdkServer", answer)
    yield* Effect.addFinalizer(() => forgetSessions)
    return {
      ...server,
      forgetSessions,
      closeServerStreams: Effect.sync(() => {
        for (const session of sessions.values()) {
          session.transport.closeStandaloneSSEStream()
        }
      })
    }
  })
