/**
 * The exchange that handlers are given: a request, and ways to answer it.
 */
import * as Headers from "@effect/platform/Headers"
import type { Arrival, BodyWriter, EventFields, EventWriter, Exchange } from "../../ScriptedServer.ts"
import type { Wire, WireRequest } from "./wire.ts"

const encoder = new TextEncoder()

export const makeArrival = (request: WireRequest, index: number, at: number): Arrival => ({
  ...request,
  index,
  at,
  message: parse(request.body)
})

export const makeExchange = (arrival: Arrival, wire: Wire): Exchange => ({
  ...arrival,
  json: (value, options = {}) => {
    wire.head(options.status ?? 200, contentType("application/json", options.headers))
    wire.write(encoder.encode(typeof value === "string" ? value : JSON.stringify(value)))
    wire.end()
  },
  status: (status, text = "", headers = {}) => {
    wire.head(status, Headers.fromInput(headers))
    if (text !== "") wire.write(encoder.encode(text))
    wire.end()
  },
  events: (headers) => {
    wire.head(200, contentType("text/event-stream", headers))
    return eventWriter(wire)
  },
  respond: (status, headers = {}) => {
    wire.head(status, Headers.fromInput(headers))
    return bodyWriter(wire)
  },
  drop: (kind = "Close") => wire.cut(kind),
  isOpen: wire.isOpen,
  onClose: wire.onClose
})

/** An event in the format of WHATWG HTML 9.2. Data that is no text is JSON. */
export const renderEvent = ({ data, event, id, retry }: EventFields): string => {
  let text = ""
  if (event !== undefined) text += `event: ${event}\n`
  if (id !== undefined) text += `id: ${id}\n`
  if (retry !== undefined) text += `retry: ${retry}\n`
  if (data !== undefined) {
    const lines = typeof data === "string" ? data : JSON.stringify(data)
    for (const line of lines.split("\n")) text += `data: ${line}\n`
  }
  return `${text}\n`
}

const contentType = (type: string, headers: Headers.Input = {}): Headers.Headers =>
  Headers.merge(Headers.fromInput({ "content-type": type }), Headers.fromInput(headers))

const bodyWriter = (wire: Wire): BodyWriter => ({
  write: (chunk) => wire.write(typeof chunk === "string" ? encoder.encode(chunk) : chunk),
  onDrain: wire.onDrain,
  end: wire.end,
  cut: (kind = "Close") => wire.cut(kind),
  isOpen: wire.isOpen,
  onClose: wire.onClose
})

const eventWriter = (wire: Wire): EventWriter => {
  const body = bodyWriter(wire)
  const writer: EventWriter = {
    ...body,
    event: (fields) => writer.raw(renderEvent(fields)),
    comment: (text = "") => writer.raw(`: ${text}\n\n`),
    raw: (chunk) => {
      body.write(chunk)
      return writer
    }
  }
  return writer
}

const parse = (body: string): Arrival["message"] => {
  try {
    const value: unknown = JSON.parse(body)
    return isRecord(value) ? value : undefined
  } catch {
    return undefined
  }
}

const isRecord = (value: unknown): value is { readonly [key: string]: unknown } =>
  typeof value === "object" && value !== null && !Array.isArray(value)
