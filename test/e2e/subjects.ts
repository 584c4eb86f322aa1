/**
 * What the tests against the official SDK run over: its server behind a socket for every client, and without a socket.
 */
import { describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { type Client, clients } from "../support/harness.ts"
import type { Watched } from "./calls.ts"
import { type SdkServer, sdkServer, type SdkServerOptions, type StartError } from "./servers.ts"
import { socketlessServer } from "./socketlessServer.ts"

export interface Started extends Watched, Pick<SdkServer, "url" | "forgetSessions" | "closeServerStreams"> {
  readonly client: Client
}

export interface Subject {
  readonly name: string
  readonly start: (options?: SdkServerOptions) => Effect.Effect<Started, StartError, Scope.Scope>
}

const overSocket = (client: Client): Subject => ({
  name: client.name,
  start: (options) => Effect.map(sdkServer(options), (server) => ({ ...server, client }))
})

const subjects: ReadonlyArray<Subject> = [
  ...clients.map(overSocket),
  { name: "no socket", start: socketlessServer }
]

/** The same tests over every client and over none but the server's own `Request` handler. */
export const overEverySubject = (name: string, define: (subject: Subject) => void): void => {
  describe.each(subjects)(`${name} over $name`, define)
}
