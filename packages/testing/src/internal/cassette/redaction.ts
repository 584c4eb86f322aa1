/**
 * From exchanges as they happened to exchanges that may be written down. All secrets of all exchanges are known before the
 * first text is cleaned: one that is in a body before it is in a header is found there too.
 */
import type { Chunk, Exchange, Failure, RedactionOptions, Request, Response } from "../../Cassette.ts"
import {
  concatenate,
  decodeUtf8,
  encodeUtf8,
  fromByteString,
  looksCompressed,
  textOf,
  toByteString,
  utf8ByteString
} from "./bytes.ts"
import { applyReplacements, type Needles, type Replacement } from "./needles.ts"
import type { RawChunk, RawEnd, RawExchange, RawFailure, RawRequest, RawResponse } from "./raw.ts"
import { Secrets } from "./secrets.ts"

export interface Options extends RedactionOptions {
  readonly maxBodySize: number
}

export const redactExchanges = (raw: ReadonlyArray<RawExchange>, options: Options): ReadonlyArray<Exchange> => {
  const secrets = new Secrets(options)
  for (const exchange of raw) learn(secrets, exchange)
  const cleaner = new Cleaner(secrets, options)
  return raw.map((exchange) => {
    const request = cleaner.request(exchange.request)
    return "response" in exchange
      ? { request, response: cleaner.response(exchange.response) }
      : { request, failure: cleaner.failure(exchange.failure) }
  })
}

export const redactRequest = (raw: RawRequest, options: Options): Request => {
  const secrets = new Secrets(options)
  learnRequest(secrets, raw)
  return new Cleaner(secrets, options).request(raw)
}

const learn = (secrets: Secrets, exchange: RawExchange): void => {
  learnRequest(secrets, exchange.request)
  if (!("response" in exchange)) return
  const { response } = exchange
  learnHeaders(secrets, response.headers)
  for (const line of response.setCookie) secrets.header("set-cookie", line)
  secrets.body(decodeUtf8(concatenate(response.chunks.map((chunk) => chunk.bytes))), "Response")
}

const learnRequest = (secrets: Secrets, request: RawRequest): void => {
  learnHeaders(secrets, request.headers)
  secrets.url(request.href)
  if (request.body instanceof Uint8Array) secrets.body(decodeUtf8(request.body), "Request")
}

const learnHeaders = (secrets: Secrets, headers: { readonly [name: string]: string }): void => {
  for (const [name, value] of Object.entries(headers)) {
    for (const line of name === "set-cookie" ? setCookieLines(value) : [value]) secrets.header(name, line)
  }
}

/** A comma is between two cookies only when a name follows: dates have commas too. */
export const setCookieLines = (value: string): ReadonlyArray<string> => value.split(/, *(?=[^;,=\s]+=)/)

class Cleaner {
  private readonly needles: Needles
  private readonly secrets: Secrets
  private readonly options: Options

  constructor(secrets: Secrets, options: Options) {
    this.secrets = secrets
    this.options = options
    this.needles = secrets.needles()
  }

  request(raw: RawRequest): Request {
    const body = this.requestBody(raw)
    const growth = raw.body instanceof Uint8Array && typeof body === "string"
      ? encodeUtf8(body).length - raw.body.length
      : 0
    return {
      method: raw.method,
      url: this.text(raw.url),
      headers: this.headers(raw.headers, growth),
      ...(body === undefined ? {} : { body })
    }
  }

  response(raw: RawResponse): Response {
    const { chunks, end, growth } = this.responseBody(raw)
    const headers = this.headers(raw.headers, growth)
    const setCookie = raw.setCookie.map((line) => this.text(this.secrets.header("set-cookie", line)))
    return {
      at: raw.at,
      status: raw.status,
      headers: setCookie.length === 0 ? headers : { ...headers, "set-cookie": setCookie },
      chunks,
      end,
      endAt: raw.endAt
    }
  }

  failure(raw: RawFailure): Failure {
    return {
      at: raw.at,
      reason: raw.reason,
      message: this.text(raw.message),
      ...(raw.code === undefined ? {} : { code: this.text(raw.code) }),
      ...(raw.syscall === undefined ? {} : { syscall: this.text(raw.syscall) })
    }
  }

  private text(text: string): string {
    const bytes = utf8ByteString(text)
    const replacements = this.needles.find(bytes, false)
    return this.own(
      replacements.length === 0 ? text : decodeUtf8(fromByteString(applyReplacements(bytes, replacements)))
    )
  }

  private own(text: string): string {
    return this.options.redact === undefined ? text : this.options.redact(text)
  }

  private headers(raw: { readonly [name: string]: string }, growth: number): { readonly [name: string]: string } {
    const clean: Record<string, string> = {}
    for (const [name, value] of Object.entries(raw)) {
      if (name === "set-cookie") continue
      const length = name === "content-length" && /^\d+$/.test(value) && growth !== 0
      clean[this.text(name)] = length
        ? String(Math.max(0, Number(value) + growth))
        : this.text(this.secrets.header(name, value))
    }
    return clean
  }

  private requestBody(raw: RawRequest): Request["body"] {
    const { body } = raw
    if (body === undefined || !(body instanceof Uint8Array)) return body
    if (body.length > this.options.maxBodySize) return { omitted: tooLarge(this.options) }
    if (looksCompressed(body, raw.headers["content-encoding"])) return { omitted: compressed }
    const clean = concatenate(this.bodyChunks([body], false))
    return textOf(clean) ?? { bytes: clean }
  }

  private responseBody(
    raw: RawResponse
  ): { readonly chunks: ReadonlyArray<Chunk>; readonly end: RawEnd; readonly growth: number } {
    const parts = raw.chunks.map((chunk) => chunk.bytes)
    if (looksCompressed(concatenate(parts), raw.headers["content-encoding"])) {
      return { chunks: [], end: { Cut: compressed }, growth: 0 }
    }
    const clean = this.bodyChunks(parts, raw.end !== "Complete")
    const size = (all: ReadonlyArray<Uint8Array>): number => all.reduce((sum, part) => sum + part.length, 0)
    const end = typeof raw.end === "object" && "Broken" in raw.end ? { Broken: this.text(raw.end.Broken) } : raw.end
    const encoding = raw.headers["content-encoding"] ?? "identity"
    return {
      chunks: raw.chunks.flatMap((chunk, index) => toChunk(chunk, clean[index] ?? new Uint8Array())),
      end,
      // The length of an encoded body says nothing about what came out of it.
      growth: encoding === "identity" ? size(clean) - size(parts) : 0
    }
  }

  /** Cleans a body as a whole; its chunks begin where they began. */
  private bodyChunks(parts: ReadonlyArray<Uint8Array>, isIncomplete: boolean): ReadonlyArray<Uint8Array> {
    const whole = toByteString(concatenate(parts))
    const clean = replaceInChunks(parts, whole, this.needles.find(whole, isIncomplete))
    const { redact } = this.options
    return redact === undefined ? clean : redactChunks(clean, redact)
  }
}

const compressed = "the body is compressed: nobody can tell what secrets are in it"

const tooLarge = (options: Options): string => `the body is larger than maxBodySize, ${options.maxBodySize} bytes`

const toChunk = (raw: RawChunk, bytes: Uint8Array): ReadonlyArray<Chunk> => {
  if (bytes.length === 0) return []
  const text = textOf(bytes)
  return [text === undefined ? { at: raw.at, bytes } : { at: raw.at, text }]
}

/** A replacement that lies across chunks goes whole into the one where it begins. */
const replaceInChunks = (
  parts: ReadonlyArray<Uint8Array>,
  whole: string,
  replacements: ReadonlyArray<Replacement>
): ReadonlyArray<Uint8Array> => {
  if (replacements.length === 0) return parts
  let next = 0
  let at = 0
  let border = 0
  return parts.map((part) => {
    border += part.length
    let clean = ""
    let replacement = replacements[next]
    while (replacement !== undefined && replacement.start < border) {
      clean += whole.slice(at, replacement.start) + replacement.text
      at = replacement.end
      next++
      replacement = replacements[next]
    }
    if (at < border) {
      clean += whole.slice(at, border)
      at = border
    }
    return fromByteString(clean)
  })
}

/**
 * The user's function sees the whole text of a body, so a secret across chunks is one text to it. Where the chunks begin
 * afterwards is where the result of the text up to there agrees with the result of the whole.
 */
const redactChunks = (
  parts: ReadonlyArray<Uint8Array>,
  redact: (text: string) => string
): ReadonlyArray<Uint8Array> => {
  const text = textOf(concatenate(parts))
  if (text === undefined) return parts
  const clean = redact(text)
  if (clean === text) return parts
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true })
  let before = ""
  let at = 0
  return parts.map((part, index) => {
    before += decoder.decode(part, { stream: true })
    const end = index === parts.length - 1 ? clean.length : Math.max(at, agreement(redact(before), clean))
    const chunk = clean.slice(at, end)
    at = end
    return encodeUtf8(chunk)
  })
}

/** How many characters two texts have in common at their beginning; a surrogate pair is not split. */
const agreement = (a: string, b: string): number => {
  let length = 0
  while (length < a.length && length < b.length && a[length] === b[length]) length++
  return /[\ud800-\udbff]/.test(b.charAt(length - 1)) ? length - 1 : length
}
