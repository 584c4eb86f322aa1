/**
 * Which parts of an exchange are secrets, and the placeholder of each.
 */
import * as Either from "effect/Either"
import * as Encoding from "effect/Encoding"
import * as Redacted from "effect/Redacted"
import type { RedactionOptions } from "../../Cassette.ts"
import { encodeUtf8 } from "./bytes.ts"
import { type Bounds, type Needle, Needles } from "./needles.ts"

const secretHeaders: ReadonlyArray<string> = [
  "authorization",
  "cookie",
  "mcp-session-id",
  "proxy-authorization",
  "set-cookie"
]

// OAuth 2.1, its extensions, and what else is usually given that way. Underscores may be missing: `accessToken`.
const secretNames: ReadonlyArray<string> = [
  "access_token",
  "actor_token",
  "api_key",
  "client_assertion",
  "client_secret",
  "code_verifier",
  "device_code",
  "id_token",
  "password",
  "refresh_token",
  "registration_access_token",
  "subject_token"
]

/** Secrets in a query or a form. In JSON the same names mean anything. */
const parameterNames: ReadonlyArray<string> = [...secretNames, "assertion", "code", "session_id", "token"]

/** Members of JSON, but not of JSON-RPC messages: there they are arguments of tools and codes of errors. */
const oauthMembers: ReadonlyArray<string> = [...secretNames, "assertion", "token"]

/** JSON in a request. In an answer a `code` is the code of an error. */
const oauthRequestMembers: ReadonlyArray<string> = [...oauthMembers, "code"]

const schemes: ReadonlySet<string> = new Set([
  "apikey",
  "basic",
  "bearer",
  "digest",
  "dpop",
  "gnap",
  "hawk",
  "hoba",
  "key",
  "mutual",
  "negotiate",
  "ntlm",
  "privatetoken",
  "token",
  "vapid"
])

/** Nobody's secret, though found where secrets are: replacing them all over would destroy JSON and its schemas. */
const words: ReadonlySet<string> = new Set([
  "array",
  "boolean",
  "false",
  "integer",
  "none",
  "null",
  "number",
  "object",
  "string",
  "true",
  "undefined"
])

/** Shorter ones are replaced only where they stand as a value. */
const leastSearched = 3

/** Shorter ones are looked for as whole words only. */
const leastInsideWords = 6

/** Shorter ones are not looked for in Base64: too little of them would be left to recognize. */
const leastInBase64 = 8

/** How many layers of escapes are taken off to find names. */
const deepest = 4

interface Known {
  readonly placeholder: string
  readonly number: number
  readonly names: Set<string>
}

export class Secrets {
  private readonly known = new Map<string, Known>()
  private readonly headers: ReadonlySet<string>
  private readonly own: ReadonlyArray<string>

  constructor(options: RedactionOptions) {
    this.headers = new Set([...secretHeaders, ...(options.headers ?? []).map((name) => name.toLowerCase())])
    this.own = options.parameters ?? []
    for (const secret of options.secrets ?? []) this.add(Redacted.isRedacted(secret) ? Redacted.value(secret) : secret)
  }

  /** Learns a header's secrets, and gives the header without those that it is made of. */
  header(name: string, value: string): string {
    this.text(value)
    if (!this.headers.has(name) || value === "") return value
    if (name === "cookie") return value.split(";").map((pair) => this.cookie(pair)).join(";")
    if (name === "set-cookie") return this.setCookie(value)
    const [, scheme, space, credentials] = /^([\w-]+)( +)(.+)$/.exec(value) ?? []
    if (
      scheme === undefined || space === undefined || credentials === undefined || !schemes.has(scheme.toLowerCase())
    ) {
      return this.add(value)
    }
    if (scheme.toLowerCase() === "basic") this.basic(credentials)
    for (const quoted of credentials.matchAll(/"([^"]+)"/g)) this.add(quoted[1] ?? "")
    return `${scheme}${space}${this.add(credentials)}`
  }

  /** Learns the secrets of an address. */
  url(text: string): void {
    this.text(text)
    if (!URL.canParse(text)) return
    const { password, username } = new URL(text)
    if (password === "") return
    this.add(username)
    this.add(password)
  }

  /** Learns the secrets of a body: a form, JSON, events with JSON, and texts with addresses, whole or broken off. */
  body(text: string, from: "Request" | "Response"): void {
    const isJsonRpc = /"jsonrpc\\*"\s*:/.test(text)
    this.text(text, isJsonRpc ? secretNames : from === "Request" ? oauthRequestMembers : oauthMembers)
  }

  needles(): Needles {
    return new Needles(
      Array.from(this.known).flatMap(([secret, known]) =>
        variants(secret).flatMap((variant) => toNeedle(variant, known))
      )
    )
  }

  /** The placeholder of a secret, always the same. */
  private add(secret: string, name?: string): string {
    if (secret === "") return ""
    let known = this.known.get(secret)
    if (known === undefined) {
      const number = this.known.size + 1
      known = { placeholder: `redacted-${number}`, number, names: new Set() }
      this.known.set(secret, known)
    }
    if (name !== undefined) known.names.add(name.toLowerCase())
    return known.placeholder
  }

  private basic(credentials: string): void {
    const decoded = Either.getOrUndefined(Encoding.decodeBase64String(credentials))
    if (decoded === undefined) return
    const colon = decoded.indexOf(":")
    this.add(decoded)
    if (colon < 0) return
    this.add(decoded.slice(0, colon))
    this.add(decoded.slice(colon + 1))
  }

  private cookie(pair: string): string {
    const [, name, value] = /^([^=]*=)(.*)$/s.exec(pair) ?? []
    if (name === undefined || value === undefined) return pair.trim() === "" ? pair : this.add(pair.trim())
    return name + this.cookieValue(value)
  }

  private setCookie(line: string): string {
    const [, name, value, attributes] = /^([^=;]*=)([^;]*)(.*)$/s.exec(line) ?? []
    if (name === undefined || value === undefined || attributes === undefined) return this.add(line)
    return name + this.cookieValue(value) + attributes
  }

  private cookieValue(value: string): string {
    return this.add(value.trim().replace(/^"(.*)"$/s, "$1"))
  }

  private text(text: string, members: ReadonlyArray<string> = []): void {
    let layer = text
    for (let depth = 0; depth <= deepest; depth++) {
      this.parameters(layer)
      this.members(layer, members)
      const next = unescape(layer)
      if (next === layer) break
      layer = next
    }
    const decoded = percentDecode(text)
    if (decoded !== text) this.parameters(decoded)
  }

  private parameters(text: string): void {
    const pattern = new RegExp(`(?:^|[?&#])(${anyOf([...parameterNames, ...this.own])})=([^&#\\s"'<>\\\\]*)`, "gi")
    for (const [, name, value] of text.matchAll(pattern)) this.add(value ?? "", name)
  }

  private members(text: string, names: ReadonlyArray<string>): void {
    const all = [...names, ...this.own]
    if (all.length === 0) return
    const pattern = new RegExp(`"(${anyOf(all)})"\\s*:\\s*(?:"([^"\\\\]*(?:\\\\[^][^"\\\\]*)*)|(\\d+))`, "gi")
    for (const [, name, string, number] of text.matchAll(pattern)) {
      this.add(string === undefined ? number ?? "" : jsonString(string), name)
    }
  }
}

const anyOf = (names: ReadonlyArray<string>): string =>
  names.map((name) => name.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&").replaceAll("_", "[_-]?")).join("|")

const escapes: { readonly [letter: string]: string } = { b: "\b", f: "\f", n: "\n", r: "\r", t: "\t" }

/** Takes off one layer of JSON's escapes, wherever they are. */
const unescape = (text: string): string =>
  text.replaceAll(
    /\\(?:u([0-9a-fA-F]{4})|([^]))/g,
    (_, digits: string | undefined, letter: string | undefined) =>
      digits === undefined ? escapes[letter ?? ""] ?? letter ?? "" : String.fromCharCode(Number.parseInt(digits, 16))
  )

const jsonString = (inner: string): string => {
  try {
    const value: unknown = JSON.parse(`"${inner}"`)
    return typeof value === "string" ? value : inner
  } catch {
    return unescape(inner)
  }
}

const percentDecode = (text: string): string =>
  text.replaceAll(/(?:%[0-9a-fA-F]{2})+/g, (encoded) => {
    try {
      return decodeURIComponent(encoded)
    } catch {
      return encoded
    }
  })

/** A secret as it stands, and what it may be the percent-encoded form of. */
const variants = (secret: string): ReadonlyArray<string> =>
  Array.from(new Set([secret, percentDecode(secret), percentDecode(secret.replaceAll("+", " "))]))

const toNeedle = (secret: string, { names, number, placeholder }: Known): ReadonlyArray<Needle> => {
  const bounds = boundsOf(secret, names)
  const numberPlaceholder = /^(?:0|[1-9]\d*)$/.test(secret) ? toNumberPlaceholder(number) : undefined
  return [
    { secret, placeholder, numberPlaceholder, bounds },
    ...base64Forms(secret).map((form) => ({ secret: form, placeholder, numberPlaceholder: undefined, bounds }))
  ]
}

const boundsOf = (secret: string, names: ReadonlySet<string>): Bounds => {
  if (secret.length < leastSearched || words.has(secret.toLowerCase())) return names
  return secret.length < leastInsideWords ? "Token" : "Anywhere"
}

/** What is sure of the Base64 form of something with the secret in it, for each of the three ways they can be aligned. */
const base64Forms = (secret: string): ReadonlyArray<string> => {
  const bytes = encodeUtf8(secret)
  if (bytes.length < leastInBase64 || words.has(secret.toLowerCase())) return []
  const forms = [0, 1, 2].flatMap((offset) => {
    const shifted = new Uint8Array(offset + bytes.length)
    shifted.set(bytes, offset)
    const encoded = Encoding.encodeBase64(shifted).replace(/=+$/, "")
    const sure = encoded.slice(offset === 0 ? 0 : offset + 1, shifted.length % 3 === 0 ? undefined : -1)
    return [sure, sure.replaceAll("+", "-").replaceAll("/", "_")]
  })
  return Array.from(new Set(forms))
}

const firstNumber = 900_000_000_000

/** For a secret that is a number in JSON: the text would be no JSON any more. */
const toNumberPlaceholder = (number: number): string => String(firstNumber + number)

export const isNumberPlaceholder = (value: number): boolean => value > firstNumber && value < firstNumber + 1_000_000

/** Splits a text at its placeholders. */
export const betweenPlaceholders = (text: string): ReadonlyArray<string> => text.split(/redacted-\d+/)
