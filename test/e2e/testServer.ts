/**
 * What all servers of the end-to-end tests have in common, and how those inside the test process are served.
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { createServer } from "node:http"
import type { IncomingMessage, ServerResponse } from "node:http"
import { type Exchange, recordExchanges } from "./wire.mjs"

export type { Exchange }

/** A running MCP server; it ends with its scope. */
export interface TestServer {
  /** The MCP endpoint, on a free port of the loopback interface. */
  readonly url: string
  /** Every exchange so far. An exchange is in it before the client can know the head of its response. */
  readonly wire: Effect.Effect<ReadonlyArray<Exchange>>
}

/** A server could not be started. */
export class StartError extends Data.TaggedError("StartError")<{
  readonly server: string
  readonly reason: string
  readonly output: string
}> {
  override get message(): string {
    const output = this.output.trim()
    return `${this.server}: ${this.reason}\n${output === "" ? "(it printed nothing)" : output}`
  }
}

/** Serves `listener` at `/mcp`; answers 404 anywhere else. */
export const serve = (
  name: string,
  listener: (request: IncomingMessage, response: ServerResponse) => Promise<void>
): Effect.Effect<TestServer, StartError, Scope.Scope> =>
  Effect.gen(function*() {
    const failed = (reason: string) => new StartError({ server: name, reason, output: "" })
    const server = yield* Effect.acquireRelease(
      Effect.sync(() =>
        createServer((request, response) => {
          if (request.url !== "/mcp") {
            response.writeHead(404).end()
            return
          }
          listener(request, response).catch((error: unknown) => {
            if (response.headersSent) response.destroy()
            else response.writeHead(500).end(String(error))
          })
        })
      ),
      (server) =>
        Effect.async<void>((resume) => {
          server.close(() => resume(Effect.void))
          server.closeAllConnections()
        })
    )
    const exchanges = recordExchanges(server)
    yield* Effect.async<void, StartError>((resume) => {
      server.once("error", (error) => resume(failed(error.message)))
      server.listen(0, "127.0.0.1", () => resume(Effect.void))
    })
    const address = server.address()
    if (address === null || typeof address === "string") {
      return yield* failed(`listens on ${address}`)
    }
    return { url: `http://127.0.0.1:${address.port}/mcp`, wire: Effect.sync(exchanges) }
  })
