/**
 * Which era and version of the protocol a server speaks: the decisions, as plain functions (2026-07-28, "Versioning and
 * Compatibility", "Backward Compatibility" of the transports).
 *
 * - A recognised modern error is never read as the sign of an older server.
 * - An outage decides nothing: it is the failure of connecting.
 */
import * as JsonRpc from "@effect-mcp/transport/JsonRpc"
import type { TransportError } from "@effect-mcp/transport/TransportError"
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import { DiscoverResult, eraOf, latestLegacy, latestModern, ProtocolVersion } from "../Lifecycle.ts"
import type { McpClientError } from "../McpClientError.ts"

export const headerMismatch = -32020
const missingClientCapability = -32021
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

/** `isCorrected`: a server named its versions before and was asked again in one of them; that is done once. */
export const decide = (probe: Probe, isCorrected = false): Decision => {
  switch (probe._tag) {
    case "Result":
      return decideByResult(probe.result)
    case "Error":
      return decideByError(probe.error, probe.status, isCorrected)
    case "Transport":
      return decideByTransport(probe.error, isCorrected)
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
  isCorrected: boolean
): Decision => {
  if (error.code === headerMismatch || error.code === missingClientCapability) return failure
  if (error.code === unsupportedProtocolVersion) {
    const supported = supportedVersions(error)
    // Also in the version that was just refused: the server says that it speaks it (2026-07-28, "Protocol Version
    // Negotiation").
    const modern = modernVersions.find((version) => supported.includes(version))
    if (modern !== undefined && !isCorrected) return { _tag: "AskAgain", version: modern }
    const legacy = legacyVersions.find((version) => supported.includes(version))
    return legacy === undefined ? { _tag: "NoCommonVersion", supported } : initialize(legacy)
  }
  return status === undefined || status < 300 || refuses(status) ? initialize() : failure
}

const decideByTransport = (error: TransportError, isCorrected: boolean): Decision => {
  switch (error._tag) {
    case "HttpStatusError":
      if (!refuses(error.status)) return failure
      return error.error === undefined ? initialize() : decideByError(error.error, error.status, isCorrected)
    case "ProtocolError": {
      const stray = error.reason === "NoResponse" ? strayError(error.excerpt) : undefined
      return stray === undefined ? failure : decideByError(stray, undefined, isCorrected)
    }
    case "SessionTerminated":
      return error.by === "Server" ? initialize() : failure
    default:
      return failure
  }
}

/** 401 and 403 are about who asks, not about what is spoken; a redirect leads elsewhere. */
const refuses = (status: number): boolean =>
  status >= 400 && status < 500 && status !== 401 && status !== 403 && !isOutage(status)

/** Whether the failure of `initialize` may be that of a server which no longer speaks a version with sessions. */
export const isRefusal = (error: McpClientError): boolean =>
  error._tag === "JsonRpcError" || (error._tag === "HttpStatusError" && refuses(error.status))

/** Errors that only modern servers send. */
export const isModernError = ({ code }: JsonRpc.ErrorObject): boolean =>
  code === headerMismatch || code === missingClientCapability || code === unsupportedProtocolVersion

/**
 * The error in a whole body that answers under another id than that of the request, as `McpServer` of `@effect/ai` does for
 * a method that it does not know: an answer of the server, not an outage.
 */
const strayError = (body: string | undefined): JsonRpc.ErrorObject | undefined => {
  const messages = JsonRpc.decode(body ?? "")
  return Either.isRight(messages) ? messages.right.find(JsonRpc.isErrorResponse)?.error : undefined
}

const isOutage = (status: number): boolean =>
  status >= 500 || status === 408 || status === 425 || status === 429 || status === 407

/** The versions that the answer to `server/discover` names, as a result or as an error. */
export const namedVersions = (probe: Probe): ReadonlyArray<string> => {
  switch (probe._tag) {
    case "Result":
      return isDiscoverResult(probe.result) ? probe.result.supportedVersions : []
    case "Error":
      return supportedVersions(probe.error)
    case "Transport":
      return probe.error._tag === "HttpStatusError" && probe.error.error !== undefined
        ? supportedVersions(probe.error.error)
        : []
  }
}

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
