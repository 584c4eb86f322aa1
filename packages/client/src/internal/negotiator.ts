/**
 * Finds out what a server speaks and connects in that way: does what `negotiation.ts` decides.
 */
import type { Notification } from "@effect-mcp/transport/JsonRpc"
import type * as StreamableHttpTransport from "@effect-mcp/transport/StreamableHttpTransport"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type { ClientCapabilities, Implementation } from "../Capability.ts"
import { DiscoverResult, eraOf, InitializeResult, latestLegacy, latestModern } from "../Lifecycle.ts"
import type { Server, Verdict } from "../McpClient.ts"
import { DecodeError, type McpClientError, NegotiationError, RequestTimeout } from "../McpClientError.ts"
import type { Exchanges, Wire } from "./exchange.ts"
import * as Negotiation from "./negotiation.ts"
import { firstIssue } from "./operations.ts"
import type { ResolvedOptions } from "./options.ts"

/** The server as one negotiation found it. */
export interface Connection extends Wire {
  readonly server: Server
  readonly verdict: Verdict
  /** Whether the server has shown that it is what the verdict says; a verdict given by the application may be out of date. */
  isProven: boolean
}

export class Negotiator {
  private readonly transport: StreamableHttpTransport.Service
  private readonly exchanges: Exchanges
  private readonly options: ResolvedOptions
  private readonly capabilities: ClientCapabilities

  constructor(
    transport: StreamableHttpTransport.Service,
    exchanges: Exchanges,
    options: ResolvedOptions,
    capabilities: ClientCapabilities
  ) {
    this.transport = transport
    this.exchanges = exchanges
    this.options = options
    this.capabilities = capabilities
  }

  /** `lost`: the connection to be replaced, whose era is tried first. */
  negotiate(lost?: Connection): Effect.Effect<Connection, McpClientError> {
    const { protocol, verdict } = this.options
    if (protocol !== "auto") {
      return eraOf(protocol) === "Legacy" ? this.initializePinned(protocol) : this.discover(protocol)
    }
    const known = lost?.verdict ?? verdict
    if (known === undefined) return this.probe(latestModern)
    if (known.era === "Modern") {
      // Without a connection yet the verdict is believed; it was wrong if this one is lost.
      return lost === undefined ? this.believe(known) : this.probe(latestModern)
    }
    return this.resumeOrInitialize(known, lost)
  }

  private believe(verdict: Extract<Verdict, { era: "Modern" }>): Effect.Effect<Connection> {
    return Effect.sync(() => this.modern(verdict.protocolVersion, verdict.server, false))
  }

  /** A session that the transport was given is gone on with, if it is known what server it belongs to. */
  private resumeOrInitialize(
    known: Extract<Verdict, { era: "Legacy" }>,
    lost: Connection | undefined
  ): Effect.Effect<Connection, McpClientError> {
    const initialized = Effect.catchAll(
      this.initialize(latestLegacy, undefined),
      (error) =>
        // The server may no longer speak what it did.
        Negotiation.isRefusal(error) ? this.probe(latestModern) : Effect.fail(error)
    )
    if (lost !== undefined) return initialized
    return Effect.flatMap(this.transport.session, (session) =>
      session._tag === "Active"
        ? Effect.sync(() => this.legacy(known.protocolVersion, known.server, false))
        : initialized)
  }

  private probe(version: string, isCorrected = false): Effect.Effect<Connection, McpClientError> {
    return Effect.flatMap(this.ask(version), ({ error, probe }) => {
      const decision = Negotiation.decide(probe, isCorrected)
      switch (decision._tag) {
        case "Modern":
          return Effect.succeed(this.modern(decision.version, decision.discovered))
        case "AskAgain":
          return this.probe(decision.version, true)
        case "Initialize":
          return this.initialize(decision.version, undefined)
        case "NoCommonVersion":
          return Effect.fail(noCommonVersion([...Negotiation.modernVersions, ...Negotiation.legacyVersions], decision))
        case "Fail":
          return Effect.fail(error ?? malformedDiscovery(probe))
      }
    })
  }

  /** The pinned stateless revision: nothing else will do. */
  private discover(version: string, isCorrected = false): Effect.Effect<Connection, McpClientError> {
    return Effect.flatMap(this.ask(version), ({ error, probe }) => {
      const decision = Negotiation.decide(probe, isCorrected)
      if (decision._tag === "Modern" && decision.version === version) {
        return Effect.succeed(this.modern(version, decision.discovered))
      }
      if (decision._tag === "AskAgain" && decision.version === version) return this.discover(version, true)
      if (decision._tag === "Fail") return Effect.fail(error ?? malformedDiscovery(probe))
      return Effect.fail(noCommonVersion([version], { supported: Negotiation.namedVersions(probe) }, error?.message))
    })
  }

  /** `server/discover`, with the status of its answer. */
  private ask(
    version: string
  ): Effect.Effect<{ readonly probe: Negotiation.Probe; readonly error: McpClientError | undefined }, McpClientError> {
    const asked = this.exchanges.send(this.modernWire(version), {
      method: "server/discover",
      limits: this.options.limits
    })
    return Effect.scoped(Effect.gen(this, function*() {
      let status: number | undefined
      yield* this.transport.events.pipe(
        Stream.runForEach((event) =>
          Effect.sync(() => {
            if (event._tag === "ResponseReceived" && event.message === "server/discover") status = event.status
          })
        ),
        Effect.forkScoped
      )
      yield* Effect.yieldNow()
      const answer = yield* Effect.either(asked)
      if (Either.isRight(answer)) return { probe: { _tag: "Result", result: answer.right }, error: undefined } as const
      const error = answer.left
      if (error._tag === "RequestTimeout") return yield* error
      if (error._tag !== "JsonRpcError") return { probe: { _tag: "Transport", error }, error } as const
      // The event may still be on its way.
      yield* Effect.yieldNow()
      return { probe: { _tag: "Error", error: error.error, status }, error } as const
    }))
  }

  /** The pinned version with sessions: nothing else will do. */
  private initializePinned(version: string): Effect.Effect<Connection, McpClientError> {
    return Effect.mapError(
      this.initialize(version, version),
      (error) =>
        error._tag === "JsonRpcError" && error.error.code === Negotiation.unsupportedProtocolVersion
          ? noCommonVersion([version], { supported: Negotiation.supportedVersions(error.error) }, error.message)
          : error
    )
  }

  private initialize(version: string, pinned: string | undefined): Effect.Effect<Connection, McpClientError> {
    const { clientInfo } = this.options
    const wire: Wire = { era: "Legacy", protocolVersion: version, meta: undefined }
    const params = { protocolVersion: version, capabilities: this.capabilities, clientInfo }
    return Effect.gen(this, function*() {
      const result = yield* this.exchanges.send(wire, { method: "initialize", params, limits: this.options.limits })
      const decoded = yield* decodeInitialize(result)
      const accepted = Negotiation.acceptVersion(decoded.protocolVersion, pinned)
      if (Either.isLeft(accepted)) {
        return yield* noCommonVersion(pinned === undefined ? Negotiation.legacyVersions : [pinned], {
          supported: accepted.left
        })
      }
      yield* this.confirm(wire)
      return this.legacy(accepted.right, decoded)
    })
  }

  /** The end of the handshake, which is to take no longer than a call may. */
  private confirm(wire: Wire): Effect.Effect<void, McpClientError> {
    const { idle, total } = this.options.limits
    const limit = Duration.millis(Math.min(idle, total))
    const notified = this.exchanges.notify(wire, initialized.method)
    if (!Duration.isFinite(limit)) return notified
    return Effect.timeoutFail(notified, {
      duration: limit,
      onTimeout: () =>
        new RequestTimeout({
          method: initialized.method,
          outcome: "Unknown",
          kind: idle < total ? "Idle" : "Total",
          limit
        })
    })
  }

  // --- connections --------------------------------------------------------------------------------------------------

  private modernWire(protocolVersion: string): Wire {
    return {
      era: "Modern",
      protocolVersion,
      meta: {
        "io.modelcontextprotocol/protocolVersion": protocolVersion,
        "io.modelcontextprotocol/clientInfo": this.options.clientInfo,
        "io.modelcontextprotocol/clientCapabilities": statelessCapabilities(this.capabilities)
      }
    }
  }

  private modern(protocolVersion: string, discovered: DiscoverResult, isProven = true): Connection {
    const info = serverInfo(discovered)
    return {
      ...this.modernWire(protocolVersion),
      isProven,
      verdict: { era: "Modern", protocolVersion, server: discovered },
      server: {
        name: info?.name ?? "unknown",
        version: info?.version ?? "unknown",
        info,
        capabilities: discovered.capabilities,
        instructions: discovered.instructions,
        protocolVersion,
        era: "Modern"
      }
    }
  }

  private legacy(protocolVersion: string, result: InitializeResult, isProven = true): Connection {
    return {
      era: "Legacy",
      protocolVersion,
      meta: undefined,
      isProven,
      verdict: { era: "Legacy", protocolVersion, server: result },
      server: {
        name: result.serverInfo.name,
        version: result.serverInfo.version,
        info: result.serverInfo,
        capabilities: result.capabilities,
        instructions: result.instructions,
        protocolVersion,
        era: "Legacy"
      }
    }
  }
}

const initialized: Notification = { jsonrpc: "2.0", method: "notifications/initialized" }

/** Roots cannot change by notification there (2026-07-28, changelog 5). */
const statelessCapabilities = (capabilities: ClientCapabilities): ClientCapabilities =>
  capabilities.roots === undefined ? capabilities : { ...capabilities, roots: {} }

const serverInfo = (discovered: DiscoverResult): Implementation | undefined => {
  const info: unknown = discovered._meta?.["io.modelcontextprotocol/serverInfo"]
  return isImplementation(info) ? info : undefined
}

const isImplementation = (u: unknown): u is Implementation =>
  typeof u === "object" && u !== null && "name" in u && typeof u.name === "string" && "version" in u &&
  typeof u.version === "string"

const decodeInitialize = (result: unknown): Effect.Effect<InitializeResult, DecodeError> =>
  Effect.mapError(Schema.decodeUnknown(InitializeResult)(result), (error) => {
    const { message, path } = firstIssue(error)
    return malformed("initialize", message, path, result)
  })

const malformedDiscovery = (probe: Negotiation.Probe): DecodeError => {
  const result = probe._tag === "Result" ? probe.result : undefined
  const decoded = Schema.decodeUnknownEither(DiscoverResult)(result)
  const { message, path } = Either.isLeft(decoded)
    ? firstIssue(decoded.left)
    : { message: "the result is no DiscoverResult", path: [] }
  return malformed("server/discover", message, path, result)
}

const malformed = (
  method: string,
  description: string,
  path: ReadonlyArray<string | number>,
  came: unknown
): DecodeError =>
  new DecodeError({
    method,
    outcome: "Unknown",
    reason: "Malformed",
    path,
    description,
    excerpt: JSON.stringify(came)?.slice(0, 500)
  })

const noCommonVersion = (
  requested: ReadonlyArray<string>,
  { supported }: { readonly supported: ReadonlyArray<string> },
  description = "use another server, or another version of this client"
): NegotiationError => new NegotiationError({ requested, supported, description })
