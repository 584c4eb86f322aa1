/**
 * The headers of every exchange, and how values become safe header values.
 */
import * as Headers from "@effect/platform/Headers"
import type * as JsonRpc from "../JsonRpc.ts"
import { newHeaders, type WritableHeaders } from "./newHeaders.ts"

/** Set by the transport alone: what a user gives under these names is left out. */
const reserved: ReadonlySet<string> = new Set([
  "accept",
  "content-length",
  "content-type",
  "last-event-id",
  "mcp-method",
  "mcp-name",
  "mcp-protocol-version",
  "mcp-session-id"
])

const headerName = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/

// Visible ASCII, space, tab and (obsolete, but sent by some) bytes above: RFC 9110 section 5.5.
const headerValue = /^[\t\x20-\x7e\x80-\xff]*$/

/** The name of the first header that cannot be sent, if there is one. Never its value: it may be a secret. */
export const invalidHeader = (headers: Headers.Headers): string | undefined => {
  for (const name of Object.keys(headers)) {
    const value = headers[name]
    if (!headerName.test(name) || typeof value !== "string" || !headerValue.test(value)) return name
  }
  return undefined
}

/** A session id has visible ASCII characters only (2025-11-25, "Session Management" 1). */
export const isSessionId = (text: string): boolean => /^[\x21-\x7e]+$/.test(text)

/** What can stand in a header without being changed on the way. */
export const isPlainValue = (text: string): boolean => /^[\x20-\x7e]*$/.test(text) && text.trim() === text

/**
 * The stateless revision's version, from `params._meta` of a request or notification; undefined for all other messages
 * (2026-07-28, "Protocol Version Header").
 */
export const statelessVersion = (message: JsonRpc.Message): string | undefined => {
  if (!("method" in message)) return undefined
  const meta = message.params?._meta
  if (typeof meta !== "object" || meta === null) return undefined
  const version: unknown = Reflect.get(meta, "io.modelcontextprotocol/protocolVersion")
  return typeof version === "string" ? version : undefined
}

const nameParameter: { readonly [method: string]: string } = {
  "tools/call": "name",
  "prompts/get": "name",
  "resources/read": "uri",
  "tasks/get": "taskId",
  "tasks/update": "taskId",
  "tasks/cancel": "taskId"
}

/** A value as it can stand in a header: as it is, or in the Base64 form (2026-07-28, "Value Encoding"). */
const encodeValue = (value: string): string => {
  const isSentinel = value.startsWith("=?base64?") && value.endsWith("?=")
  return isPlainValue(value) && !isSentinel ? value : `=?base64?${base64(new TextEncoder().encode(value))}?=`
}

const base64 = (bytes: Uint8Array): string => btoa(latin1(bytes))

const latin1 = (bytes: Uint8Array): string => {
  let text = ""
  for (const byte of bytes) text += String.fromCharCode(byte)
  return text
}

/** An event id as a header value: UTF-8 (WHATWG HTML 9.2.4), which HTTP clients take as one character per byte. */
const encodeEventId = (id: string): string => /^[\x20-\x7e]*$/.test(id) ? id : latin1(new TextEncoder().encode(id))

/** False when an event id has characters that no header can carry, or that would be trimmed off. */
export const isSendableEventId = (id: string): boolean => headerValue.test(encodeEventId(id)) && id.trim() === id

/** What the user's headers become once: merged, lower-cased, without the reserved ones. */
export const ownHeaders = (input: Headers.Input | undefined): Headers.Headers => {
  const given = Headers.fromInput(input)
  const kept = newHeaders()
  for (const name of Object.keys(given)) {
    const value = given[name]
    if (value !== undefined && !reserved.has(name)) kept[name] = value
  }
  return kept
}

export interface SessionHeaders {
  readonly sessionId: string | undefined
  readonly protocolVersion: string | undefined
}

const withSession = (headers: WritableHeaders, session: SessionHeaders): void => {
  if (session.sessionId !== undefined) headers["mcp-session-id"] = session.sessionId
  if (session.protocolVersion !== undefined) headers["mcp-protocol-version"] = session.protocolVersion
}

/** POST. Without a session for an `initialize`, which belongs to none yet; a stateless message never does. */
export const postHeaders = (
  own: Headers.Headers,
  perMessage: Headers.Headers | undefined,
  message: JsonRpc.Message,
  session: SessionHeaders | undefined
): Headers.Headers => {
  const headers = newHeaders(own, perMessage)
  headers.accept = "application/json, text/event-stream"
  headers["content-type"] = "application/json"
  const version = statelessVersion(message)
  if (version !== undefined && "method" in message) {
    headers["mcp-protocol-version"] = isPlainValue(version) ? version : encodeValue(version)
    headers["mcp-method"] = encodeValue(message.method)
    const parameter = nameParameter[message.method]
    const name = parameter === undefined ? undefined : message.params?.[parameter]
    if (typeof name === "string") headers["mcp-name"] = encodeValue(name)
  } else if (session !== undefined) {
    withSession(headers, session)
  }
  return headers
}

/** GET, with the cursor to resume at. */
export const getHeaders = (
  own: Headers.Headers,
  perMessage: Headers.Headers | undefined,
  session: SessionHeaders | undefined,
  lastEventId: string | undefined
): Headers.Headers => {
  const headers = newHeaders(own, perMessage)
  headers.accept = "text/event-stream"
  if (session !== undefined) withSession(headers, session)
  if (lastEventId !== undefined) headers["last-event-id"] = encodeEventId(lastEventId)
  return headers
}

export const deleteHeaders = (own: Headers.Headers, session: SessionHeaders): Headers.Headers => {
  const headers = newHeaders(own)
  withSession(headers, session)
  return headers
}

export const isInitialize = (message: JsonRpc.Message): boolean =>
  "method" in message && message.method === "initialize" && "id" in message && message.id !== undefined
