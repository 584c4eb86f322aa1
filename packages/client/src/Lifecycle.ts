/**
 * Versions of the protocol, and what a server says about itself at the beginning: as the answer to `initialize` until
 * 2025-11-25 (page "Lifecycle"), as the answer to `server/discover` since 2026-07-28 (pages "Discovery" and "Versioning
 * and Compatibility").
 *
 * The versions form two eras. In the legacy era client and server agree on a version once and share a session; in the
 * modern era every request says which version it speaks.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { Implementation, ServerCapabilities } from "./Capability.ts"
import type { Meta } from "./Content.ts"
import { cacheHints, ofPage, ofResult } from "./internal/resultFields.ts"
import { list, object } from "./internal/wire.ts"

/**
 * A version with `initialize` and sessions.
 *
 * @since 0.1.0
 * @category models
 */
export type LegacyVersion = "2024-11-05" | "2025-03-26" | "2025-06-18" | "2025-11-25"

/**
 * A version without `initialize` and sessions.
 *
 * @since 0.1.0
 * @category models
 */
export type ModernVersion = "2026-07-28"

/**
 * A version of the protocol that this package knows.
 *
 * @since 0.1.0
 * @category models
 */
export type ProtocolVersion = LegacyVersion | ModernVersion

/**
 * @since 0.1.0
 * @category models
 */
export type Era = "Legacy" | "Modern"

/**
 * What every result may have.
 *
 * @since 0.1.0
 * @category models
 */
export interface Result {
  readonly _meta?: Meta | undefined
  /** `complete`, which is also meant when it is absent, or `input_required`. Since 2026-07-28, and open. */
  readonly resultType?: string | undefined
}

/**
 * How long a result may be kept (2026-07-28, "Caching"). Required there, unknown before.
 *
 * @since 0.1.0
 * @category models
 */
export interface CacheHints {
  /** In milliseconds since the result came; absent, 0 or negative: it is stale at once. */
  readonly ttlMs?: number | undefined
  /** `private`: for the same authorization only. */
  readonly cacheScope?: "public" | "private" | undefined
}

/**
 * A part of a list ("Pagination").
 *
 * @since 0.1.0
 * @category models
 */
export interface Page extends Result, CacheHints {
  /** Asks for the next part; absent: this was the last one. Only the server can read it. */
  readonly nextCursor?: string | undefined
}

/**
 * The answer to `initialize`, until 2025-11-25.
 *
 * @since 0.1.0
 * @category models
 */
export interface InitializeResult extends Result {
  /** The version that the server wants to speak: any text, because it may be one that this package does not know. */
  readonly protocolVersion: string
  readonly capabilities: ServerCapabilities
  readonly serverInfo: Implementation
  /** How to use the server, written for a language model. */
  readonly instructions?: string | undefined
}

/**
 * The answer to `server/discover`, since 2026-07-28. The server's {@link Implementation} is in
 * `_meta["io.modelcontextprotocol/serverInfo"]`, if it says.
 *
 * @since 0.1.0
 * @category models
 */
export interface DiscoverResult extends Result, CacheHints {
  readonly supportedVersions: ReadonlyArray<string>
  readonly capabilities: ServerCapabilities
  /** How to use the server, written for a language model. */
  readonly instructions?: string | undefined
}

/**
 * @since 0.1.0
 * @category schemas
 */
export const LegacyVersion: Schema.Schema<LegacyVersion> = Schema.Literal(
  "2024-11-05",
  "2025-03-26",
  "2025-06-18",
  "2025-11-25"
).annotations({ identifier: "LegacyVersion" })

/**
 * @since 0.1.0
 * @category schemas
 */
export const ModernVersion: Schema.Schema<ModernVersion> = Schema.Literal("2026-07-28").annotations({
  identifier: "ModernVersion"
})

/**
 * @since 0.1.0
 * @category schemas
 */
export const ProtocolVersion: Schema.Schema<ProtocolVersion> = Schema.Union(LegacyVersion, ModernVersion).annotations({
  identifier: "ProtocolVersion"
})

/**
 * @since 0.1.0
 * @category schemas
 */
export const Era: Schema.Schema<Era> = Schema.Literal("Legacy", "Modern").annotations({ identifier: "Era" })

/**
 * The latest version with sessions.
 *
 * @since 0.1.0
 * @category versions
 */
export const latestLegacy: LegacyVersion = "2025-11-25"

/**
 * The latest version without sessions.
 *
 * @since 0.1.0
 * @category versions
 */
export const latestModern: ModernVersion = "2026-07-28"

/**
 * The era that a version belongs to.
 *
 * @example
 * ```ts
 * import { Lifecycle } from "@effect-mcp/client"
 *
 * console.log(Lifecycle.eraOf("2025-11-25")) // "Legacy"
 * console.log(Lifecycle.eraOf(Lifecycle.latestModern)) // "Modern"
 * ```
 *
 * @since 0.1.0
 * @category versions
 */
export const eraOf = (version: ProtocolVersion): Era => version === "2026-07-28" ? "Modern" : "Legacy"

/**
 * @since 0.1.0
 * @category schemas
 */
export const Result: Schema.Schema<Result> = object("Result", Schema.Struct(ofResult))

/**
 * @since 0.1.0
 * @category schemas
 */
export const CacheHints: Schema.Schema<CacheHints> = object("CacheHints", Schema.Struct(cacheHints))

/**
 * @since 0.1.0
 * @category schemas
 */
export const Page: Schema.Schema<Page> = object("Page", Schema.Struct(ofPage))

/**
 * @since 0.1.0
 * @category schemas
 */
export const InitializeResult: Schema.Schema<InitializeResult> = object(
  "InitializeResult",
  Schema.Struct({
    ...ofResult,
    protocolVersion: Schema.String,
    capabilities: ServerCapabilities,
    serverInfo: Implementation,
    instructions: Schema.optional(Schema.String)
  })
)

/**
 * @since 0.1.0
 * @category schemas
 */
export const DiscoverResult: Schema.Schema<DiscoverResult> = object(
  "DiscoverResult",
  Schema.Struct({
    ...ofResult,
    ...cacheHints,
    supportedVersions: list(Schema.String),
    capabilities: ServerCapabilities,
    instructions: Schema.optional(Schema.String)
  })
)
