/**
 * The table of what an answer to `server/discover` decides.
 */
import { latestLegacy, latestModern } from "@effect-mcp/client/Lifecycle"
import type { JsonRpc } from "@effect-mcp/transport"
import { TransportError } from "@effect-mcp/transport"
import { assert, describe, it } from "@effect/vitest"
import * as Either from "effect/Either"
import * as Redacted from "effect/Redacted"
import * as Negotiation from "../../packages/client/src/internal/negotiation.ts"
import { connectionError, discoverResult, statusError } from "./support/connecting.ts"

type Decision = Negotiation.Decision
type Probe = Negotiation.Probe

const fails: Decision = { _tag: "Fail" }
const initializes = (version: string = latestLegacy): Decision => ({ _tag: "Initialize", version })
const asksAgain: Decision = { _tag: "AskAgain", version: latestModern }
const nothingInCommon = (...supported: ReadonlyArray<string>): Decision => ({ _tag: "NoCommonVersion", supported })

const resultIs = (result: unknown): Probe => ({ _tag: "Result", result })
const errorIs = (code: number, status?: number, data?: unknown): Probe => ({
  _tag: "Error",
  error: errorObject(code, data),
  status
})
const errorObject = (code: number, data?: unknown): JsonRpc.ErrorObject =>
  data === undefined ? { code, message: "no" } : { code, message: "no", data }
const transportIs = (error: TransportError.TransportError): Probe => ({ _tag: "Transport", error })
const statusIs = (status: number, body?: string): Probe =>
  transportIs(statusError(status, body === undefined ? {} : { body }))
const statusWith = (status: number, code: number, data?: unknown): Probe =>
  transportIs(statusError(status, { error: errorObject(code, data) }))
const supports = (...supported: ReadonlyArray<unknown>) => ({ supported, requested: latestModern })
const discovered = (...supportedVersions: ReadonlyArray<string>) => ({ ...discoverResult, supportedVersions })
const modern = (result: ReturnType<typeof discovered>): Decision => ({
  _tag: "Modern",
  version: latestModern,
  discovered: result
})
const terminated = (by: "Client" | "Server") =>
  new TransportError.SessionTerminated({ sessionId: Redacted.make("s"), by, outcome: "NotExecuted" })
const protocolError = (reason: TransportError.ProtocolError["reason"]) =>
  new TransportError.ProtocolError({ reason, description: "", outcome: "Unknown" })

const table: ReadonlyArray<readonly [string, Probe, Decision]> = [
  // --- results
  ["a modern server", resultIs(discovered(latestModern)), modern(discovered(latestModern))],
  [
    "both eras: the modern one",
    resultIs(discovered("2025-11-25", latestModern)),
    modern(discovered("2025-11-25", latestModern))
  ],
  [
    "a version that nobody knows beside it",
    resultIs(discovered("2099-01-01", latestModern)),
    modern(discovered("2099-01-01", latestModern))
  ],
  ["legacy versions only: the newest", resultIs(discovered("2025-03-26", "2025-06-18")), initializes("2025-06-18")],
  ["the oldest version only", resultIs(discovered("2024-11-05")), initializes("2024-11-05")],
  ["disjoint", resultIs(discovered("2099-01-01")), nothingInCommon("2099-01-01")],
  ["no version at all", resultIs(discovered()), nothingInCommon()],
  ["versions that are no list", resultIs({ ...discoverResult, supportedVersions: latestModern }), fails],
  ["versions that are no strings", resultIs({ ...discoverResult, supportedVersions: [1] }), fails],
  ["versions that are null", resultIs({ ...discoverResult, supportedVersions: null }), fails],
  ["capabilities that are none", resultIs({ ...discoverResult, capabilities: [] }), fails],
  ["capabilities missing", resultIs({ supportedVersions: [latestModern] }), fails],
  ["an empty result of a server that answers everything", resultIs({}), initializes()],
  ["a result that is null", resultIs(null), initializes()],
  ["a result that is a text", resultIs("ok"), initializes()],
  ["a result that is a list", resultIs([]), initializes()],
  ["a result that is missing", resultIs(undefined), initializes()],

  // --- recognised modern errors
  ["header mismatch", errorIs(-32020, 400), fails],
  ["header mismatch of no known status", errorIs(-32020), fails],
  ["header mismatch with 200", errorIs(-32020, 200), fails],
  ["missing client capability", errorIs(-32021, 400, { requiredCapabilities: {} }), fails],
  ["unsupported version, a mutual one", errorIs(-32022, 400, supports(latestModern)), asksAgain],
  ["unsupported version, of both eras", errorIs(-32022, 400, supports("2025-11-25", latestModern)), asksAgain],
  ["unsupported version, legacy only", errorIs(-32022, 400, supports("2025-06-18")), initializes("2025-06-18")],
  ["unsupported version, disjoint", errorIs(-32022, 400, supports("2099-01-01")), nothingInCommon("2099-01-01")],
  ["unsupported version, nothing named", errorIs(-32022, 400, supports()), nothingInCommon()],
  ["unsupported version, no data", errorIs(-32022, 400), nothingInCommon()],
  ["unsupported version, data null", errorIs(-32022, 400, null), nothingInCommon()],
  ["unsupported version, data a text", errorIs(-32022, 400, "2025-11-25"), nothingInCommon()],
  ["unsupported version, supported no list", errorIs(-32022, 400, { supported: "2025-11-25" }), nothingInCommon()],
  ["unsupported version, supported rubbish", errorIs(-32022, 400, supports(1, null, {})), nothingInCommon()],
  ["unsupported version, rubbish beside one", errorIs(-32022, 400, supports(1, latestModern)), asksAgain],
  ["a modern error on a status error", statusWith(400, -32020), fails],
  ["missing capability on a status error", statusWith(400, -32021), fails],
  ["unsupported version on a status error", statusWith(400, -32022, supports(latestModern)), asksAgain],

  // --- errors of older servers
  ["method not found", errorIs(-32601, 200), initializes()],
  ["method not found with 404", errorIs(-32601, 404), initializes()],
  ["method not found over no HTTP", errorIs(-32601), initializes()],
  ["invalid params", errorIs(-32602, 400), initializes()],
  ["invalid request", errorIs(-32600, 400), initializes()],
  ["parse error", errorIs(-32700, 400), initializes()],
  ["server error: no session", errorIs(-32000, 400), initializes()],
  ["session not found", errorIs(-32001, 404), initializes()],
  ["internal error with 200", errorIs(-32603, 200), initializes()],
  ["an error of the application", errorIs(7, 200), initializes()],
  ["an empty 400", statusIs(400, ""), initializes()],
  ["an HTML 400", statusIs(400, "<html>Bad Request</html>"), initializes()],
  ["a 400 with an older error", statusWith(400, -32000), initializes()],
  ["a plain 404", statusIs(404), initializes()],
  ["a 405", statusIs(405), initializes()],
  ["a 406", statusIs(406), initializes()],
  ["a 410", statusIs(410), initializes()],
  ["a 415", statusIs(415), initializes()],
  ["a 422", statusIs(422), initializes()],
  ["a 404 of a session", transportIs(terminated("Server")), initializes()],

  // --- outages and refusals that decide nothing
  ...[500, 501, 502, 503, 504, 520, 599].flatMap((status): ReadonlyArray<readonly [string, Probe, Decision]> => [
    [`a plain ${status}`, statusIs(status), fails],
    [`a ${status} with method not found`, errorIs(-32601, status), fails],
    [`a ${status} with a server error`, errorIs(-32000, status), fails],
    [`a ${status} with a JSON-RPC error that is no answer`, statusWith(status, -32601), fails]
  ]),
  ...[401, 403, 407, 408, 425, 429].flatMap((status): ReadonlyArray<readonly [string, Probe, Decision]> => [
    [`a plain ${status}`, statusIs(status), fails],
    [`a ${status} with an older error`, statusWith(status, -32601), fails]
  ]),
  ["a 429 with an answer", errorIs(-32000, 429), fails],
  ["a 408 with an answer", errorIs(-32000, 408), fails],
  ["a 401 with an answer", errorIs(-32001, 401), fails],
  ["a 403 with an answer", errorIs(-32000, 403), fails],
  ...[300, 301, 302, 303, 307, 308].map((status) => [`a ${status}`, statusIs(status), fails] as const),
  ["no connection", transportIs(connectionError("Connect")), fails],
  ["no response", transportIs(connectionError("Response")), fails],
  ["a broken body", transportIs(connectionError("Body")), fails],
  ["a closed transport", transportIs(connectionError("Closed")), fails],
  ["a session ended by this side", transportIs(terminated("Client")), fails],
  ["rubbish instead of JSON", transportIs(protocolError("InvalidJson")), fails],
  ["another content type", transportIs(protocolError("UnexpectedContentType")), fails],
  ["no answer at all", transportIs(protocolError("NoResponse")), fails],
  ["too large", transportIs(new TransportError.MessageTooLarge({ limit: 1, outcome: "Unknown" })), fails]
]

describe("the decision", () => {
  it.each(table)("%s", (_, probe, expected) => {
    assert.deepStrictEqual(Negotiation.decide(probe), expected)
  })

  it("asks again once, whatever the server goes on to say", () => {
    for (const wrap of [errorIs, (code: number, status = 400, data?: unknown) => statusWith(status, code, data)]) {
      const decide = (data: unknown) => Negotiation.decide(wrap(-32022, 400, data), true)
      assert.deepStrictEqual(decide(supports(latestModern)), nothingInCommon(latestModern))
      assert.deepStrictEqual(decide(supports(latestModern, "2025-11-25")), initializes("2025-11-25"))
    }
    assert.deepStrictEqual(Negotiation.decide(resultIs(discoverResult), true), modern(discovered(latestModern)))
    assert.deepStrictEqual(Negotiation.decide(errorIs(-32601, 200), true), initializes())
    assert.deepStrictEqual(Negotiation.decide(statusIs(500), true), fails)
  })
})

describe("the version that a server chose", () => {
  it.each<readonly [string, string | undefined, boolean]>([
    ["2025-11-25", undefined, true],
    ["2025-06-18", undefined, true],
    ["2025-03-26", undefined, true],
    ["2024-11-05", undefined, true],
    ["2026-07-28", undefined, false],
    ["2099-01-01", undefined, false],
    ["2025-11-26", undefined, false],
    ["", undefined, false],
    ["DRAFT-2026-v1", undefined, false],
    ["2025-06-18", "2025-06-18", true],
    ["2025-03-26", "2025-06-18", false],
    ["2025-11-25", "2025-06-18", false]
  ])("%s, when %s is pinned", (version, pinned, isAccepted) => {
    assert.deepStrictEqual(
      Negotiation.acceptVersion(version, pinned),
      isAccepted ? Either.right(version) : Either.left([version])
    )
  })
})

describe("the versions named", () => {
  it.each<readonly [string, Probe, ReadonlyArray<string>]>([
    ["by a result", resultIs(discovered("2025-11-25", "x")), ["2025-11-25", "x"]],
    ["by no result", resultIs({ supportedVersions: 1 }), []],
    ["by an error", errorIs(-32022, 400, supports("a", 1)), ["a"]],
    ["by a status error", statusWith(400, -32022, supports("a")), ["a"]],
    ["by a plain status", statusIs(404), []],
    ["by no connection", transportIs(connectionError("Connect")), []]
  ])("%s", (_, probe, expected) => {
    assert.deepStrictEqual(Negotiation.namedVersions(probe), expected)
  })
})
