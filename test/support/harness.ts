/**
 * What the tests of the transport share: the HTTP clients they all run over, and the usual handshake.
 */
import { HttpExchange, JsonRpc, StreamableHttpTransport } from "@effect-mcp/transport"
import { NodeHttpExchange } from "@effect-mcp/transport-node"
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import type * as HttpClient from "@effect/platform/HttpClient"
import { describe } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Exchange, RawServer } from "./rawServer.ts"

export interface Client {
  readonly name: string
  readonly layer: Layer.Layer<HttpClient.HttpClient>
  /** What the transport runs over, when it is not the HTTP client. */
  readonly exchange?: Layer.Layer<HttpExchange.HttpExchange>
}

export const clients: ReadonlyArray<Client> = [
  { name: "fetch", layer: FetchHttpClient.layer },
  { name: "undici", layer: NodeHttpClient.layerUndici },
  { name: "transport-node", layer: NodeHttpClient.layerUndici, exchange: NodeHttpExchange.layer() }
]

/** The same tests over every client. */
export const overEveryClient = (name: string, define: (client: Client) => void): void => {
  describe.each(clients)(`${name} over $name`, define)
}

/** Reconnects quickly, so that tests with real sockets need no patience. */
export const quickly = Schedule.spaced("10 millis").pipe(Schedule.intersect(Schedule.recurs(3)))

/** A transport that lives as long as the surrounding scope. */
export const connect = (
  client: Client,
  server: Pick<RawServer, "url">,
  options: Partial<StreamableHttpTransport.Options> = {}
): Effect.Effect<StreamableHttpTransport.Service, never, Scope.Scope> =>
  Layer.build(client.exchange ?? HttpExchange.layerHttpClient.pipe(Layer.provide(client.layer))).pipe(
    Effect.flatMap((context) =>
      StreamableHttpTransport.makeExchange({ url: server.url, reconnect: quickly, ...options }).pipe(
        Effect.provide(context)
      )
    ),
    Effect.orDie
  )

export const initializeRequest = JsonRpc.request(0, "initialize", {
  protocolVersion: "2025-11-25",
  capabilities: {},
  clientInfo: { name: "test", version: "1.0.0" }
})

export const initializeResult = {
  protocolVersion: "2025-11-25",
  capabilities: {},
  serverInfo: { name: "raw", version: "1.0.0" }
}

export const sessionId = "session-5f3a9c"

/**
 * Answers the handshake and the DELETE as a plain server with sessions does; everything else is for the test. GETs get a
 * 405 unless the test answers them itself.
 */
export const afterHandshake =
  (handle: (exchange: Exchange) => void, options?: { readonly get?: boolean }) => (exchange: Exchange): void => {
    const { message, method } = exchange
    if (method === "DELETE") return exchange.status(200)
    if (method === "GET" && options?.get !== true) return exchange.status(405)
    if (message?.method === "initialize") {
      return exchange.json({ jsonrpc: "2.0", id: message.id, result: initializeResult }, {
        headers: { "mcp-session-id": sessionId }
      })
    }
    if (message?.method === "notifications/initialized") return exchange.status(202)
    handle(exchange)
  }

/** Opens a session: initialize, initialized. */
export const handshake = (transport: StreamableHttpTransport.Service) =>
  Effect.zipRight(
    StreamableHttpTransport.request(transport, initializeRequest),
    StreamableHttpTransport.notify(transport, JsonRpc.notification("notifications/initialized"))
  )

/** Everything a send emits. */
export const collect = <E>(
  stream: Stream.Stream<JsonRpc.Message, E>
): Effect.Effect<ReadonlyArray<JsonRpc.Message>, E> => Effect.map(Stream.runCollect(stream), Chunk.toReadonlyArray)

export const call = (id: JsonRpc.RequestId = 1): JsonRpc.Request =>
  JsonRpc.request(id, "tools/call", { name: "work", arguments: {} })

export const progress = (n: number): JsonRpc.Notification =>
  JsonRpc.notification("notifications/progress", { progressToken: 1, progress: n })

export const answer = (id: unknown, result: unknown = { content: [] }) => ({ jsonrpc: "2.0", id, result })

/** Repeats a check until it holds, for at most two seconds of real time. For what another process or socket does. */
export const eventually = (check: () => boolean): Effect.Effect<void> =>
  Effect.promise(async () => {
    for (let i = 0; i < 400; i++) {
      if (check()) return
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    throw new Error("did not happen within two seconds")
  })
