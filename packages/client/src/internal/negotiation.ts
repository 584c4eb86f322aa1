/**
 * Which era and version of the protocol a server speaks: the decisions, as plain functions (2026-07-28, "Versioning and
 * Compatibility", "Backward Compatibility" of the transports).
 *
 * - A recognised modern error is never read as the sign of an older server.
 * - An outage decides nothing: it is the failure of connecting.
 */
import type * as JsonRpc from "@effect-mcp/transport/JsonRpc"
import type { TransportError } from "@effect-mcp/transport/TransportError"
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import { DiscoverResult, eraOf, latestLegacy, latestModern, ProtocolVersion } from "../Lifecycle.ts"

export const headerMismatch = -32020
export const missingClientCapability = -32021
export const unsupportedProtocolVersion = -32022

/** From the newest to the oldest, of both eras. The oldest is never offered, but accepted of servers that insist. */
export const modernVersions: ReadonlyArray<string> = [latestModern]
export const legacyVersions: ReadonlyArray<string> = [latestLegacy, "2025-06-18", "2025-03-26", "2024-11-05"]

export type Decision =
  /** It speaks this modern version, and introduced itself. */
  | { readonly _tag: "Modern"; readonly version: string; readonly discovered: DiscoverResult }
  /** Ask again in this modern version. */
  | { readonly _tag: "AskAgain"; readonly version: string }
  /** Initialize, with this version at first. */
  | { readonly _tag: "Initialize"; readonly version: string }
  /** Nothing in common. */
  | { readonly _tag: "NoCommonVersion"; readonly supported: ReadonlyArray<string> }
  /** What came is the failure of connecting. */
  | { readonly _tag: "Fail" }

/** How `server/discover` was answered. */
export type Probe =
  | { readonly _tag: "Result"; readonly result: unknown }
  /** `status` of the HTTP response, where it is known. */
  | { readonly _tag: "Error"; readonly error: JsonRpc.ErrorObject; readonly status: number | undefined }
  | { readonly _tag: "Transport"; readonly error: TransportError }

const initialize = (version: string = latestLegacy): Decision => ({ _tag: "Initialize", version })
const failure: Decision = { _tag: "Fail" }

const isDiscoverResult = Schema.is(DiscoverResult)

/** `asked` are the modern versions that were asked in already: none is asked in twice. */
export const decide = (probe: Probe, asked: ReadonlyArray<string>): Decision => {
  switch (probe._tag) {
    case "Result":
      return decideByResult(probe.result)
    case "Error":
      return decideByError(probe.error, probe.status, asked)
    case "Transport":
      return decideByTransport(probe.error)
  }
}

const decideByResult = (result: unknown): Decision => {
  if (!isDiscoverResult(result)) {
    // A modern server that got it wrong, or an older one that answers everything.
    const claims = typeof result === "object" && result !== null && "supportedVersions" in result
    return claims ? failure : initialize()
  }
  const supported = result.supportedVersions
  const modern = modernVersions.find((version) => supported.includes(version))
  if (modern !== undefined) return { _tag: "Modern", version: modern, discovered: result }
  const legacy = legacyVersions.find((version) => supported.includes(version))
  return legacy === undefined ? { _tag: "NoCommonVersion", supported } : initialize(legacy)
}

const decideByError = (
  error: JsonRpc.ErrorObject,
  status: number | undefined,
  asked: ReadonlyArray<string>
): Decision => {
  if (error.code === headerMismatch || error.code === missingClientCapability) return failure
  if (error.code === unsupportedProtocolVersion) {
    const supported = supportedVersions(error)
    const modern = modernVersions.find((version) => supported.includes(version) && !asked.includes(version))
    if (modern !== undefined) return { _tag: "AskAgain", version: modern }
    const legacy = legacyVersions.find((version) => supported.includes(version))
    return legacy === undefined ? { _tag: "NoCommonVersion", supported } : initialize(legacy)
  }
  return status !== undefined && isOutage(status) ? failure : initialize()
}

const decideByTransport = (error: TransportError): Decision => {
  switch (error._tag) {
    case "HttpStatusError":
      // 401 and 403 are about who asks, not about what is spoken; a redirect leads elsewhere.
      return error.status >= 400 && error.status < 500 && error.status !== 401 && error.status !== 403 &&
          !isOutage(error.status)
        ? error.error === undefined ? initialize() : decideByError(error.error, error.status, [])
        : failure
    case "SessionTerminated":
      return initialize()
    default:
      return failure
  }
}

const isOutage = (status: number): boolean =>
  status >= 500 || status === 408 || status === 425 || status === 429 || status === 407

/** What an `UnsupportedProtocolVersionError` names. */
export const supportedVersions = (error: JsonRpc.ErrorObject): ReadonlyArray<string> => {
  const { data } = error
  if (typeof data !== "object" || data === null) return []
  const supported: unknown = Reflect.get(data, "supported")
  return Array.isArray(supported) ? supported.filter((version) => typeof version === "string") : []
}

const isVersion = Schema.is(ProtocolVersion)

/** The version that a server chose in its answer to `initialize`, if it is one that this client speaks. */
export const acceptVersion = (
  version: string,
  pinned: string | undefined
): Either.Either<string, ReadonlyArray<string>> =>
  isVersion(version) && eraOf(version) === "Legacy" && (pinned === undefined || version === pinned)
    ? Either.right(version)
    : Either.left([version])
