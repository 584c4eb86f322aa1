/**
 * A server in a process of its own takes a while to start: the tests of one file share it, and each sees on the wire
 * only what has arrived since it began.
 */
import { layer } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Calls from "./calls.ts"
import type { StartError, TestServer } from "./servers.ts"

export class SharedServer extends Context.Tag("test/e2e/SharedServer")<SharedServer, TestServer>() {}

export const withServer = (start: Effect.Effect<TestServer, StartError, Scope.Scope>) =>
  layer(Layer.scoped(SharedServer, start), { excludeTestServices: true, timeout: "20 seconds" })

/** The shared server, with only what arrives from now on. */
export const sharedServer = Effect.flatMap(
  SharedServer,
  (server) => Effect.map(Calls.fromNowOn(server), ({ wire }): TestServer => ({ url: server.url, wire }))
)
