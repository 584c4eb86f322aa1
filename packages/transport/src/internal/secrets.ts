/**
 * Credentials must not show up in errors, logs or spans, not even when a server echoes them.
 */
import type * as Headers from "@effect/platform/Headers"
import { isTransportError } from "../TransportError.ts"

const blot = "<redacted>"

/** How deep values are looked into. */
const deepest = 64

/**
 * Texts that errors may keep beside their message: they name things. Others may hold what a server has sent, as `data` of
 * undici's parser does, and with it a session id that nobody knew yet.
 */
const naming: ReadonlySet<string> = new Set([
  "_tag",
  "address",
  "code",
  "errno",
  "host",
  "hostname",
  "library",
  "message",
  "name",
  "reason",
  "stack",
  "syscall",
  "type"
])

/** How many session ids of the past are still blotted out. */
const remembered = 8

export class Secrets {
  private readonly fixed: Array<string> = []
  private readonly sessionIds: Array<string> = []

  constructor(headers: Headers.Headers) {
    this.fixed.push(...secretsOf(headers))
  }

  addSessionId(id: string): void {
    if (this.sessionIds.includes(id)) return
    if (this.sessionIds.length === remembered) this.sessionIds.shift()
    this.sessionIds.push(id)
  }

  /** The text without any known credential. `more` are headers of one message. */
  redact(text: string, more?: Headers.Headers): string {
    let clean = text
    const all = more === undefined ? [] : secretsOf(more)
    for (const secret of [...this.fixed, ...this.sessionIds, ...all]) {
      for (const spelling of spellings(secret)) {
        if (clean.includes(spelling)) clean = clean.replaceAll(spelling, blot)
      }
    }
    return clean
  }

  /** A body without any known credential, however its JSON spells it. */
  redactBody(body: string, more?: Headers.Headers): string {
    let json: unknown
    try {
      json = JSON.parse(body)
    } catch {
      return this.redact(body, more)
    }
    try {
      const clean = JSON.stringify(this.redactStrings(json, more))
      return clean === JSON.stringify(json) ? body : clean
    } catch {
      // `JSON.parse` takes what is nested too deep for anything else.
      return this.redact(body, more)
    }
  }

  /** The same for every string inside a value, names of members included. */
  redactStrings(value: unknown, more?: Headers.Headers, depth = 0): unknown {
    if (typeof value === "string") return this.redact(value, more)
    if (typeof value !== "object" || value === null) return value
    if (depth === deepest) return "<too deep>"
    if (Array.isArray(value)) return value.map((element: unknown) => this.redactStrings(element, more, depth + 1))
    return Object.fromEntries(
      Object.entries(value).map((
        [name, member]
      ) => [this.redact(name, more), this.redactStrings(member, more, depth + 1)])
    )
  }

  /**
   * The cause itself when it is an error of plain members without secrets; else a new error with what is harmless of it.
   * Errors of HTTP clients like to carry the request they were for, with all its headers.
   */
  redactCause(cause: unknown, more?: Headers.Headers, depth = 0): unknown {
    if (cause === undefined || isTransportError(cause)) return cause
    if (typeof cause === "string") return this.redact(cause, more)
    if (!(cause instanceof Error) || depth === 5) return new Error(this.redact(describe(cause), more))
    const inner = cause.cause === undefined ? undefined : this.redactCause(cause.cause, more, depth + 1)
    const text = `${cause.message}\n${cause.stack ?? ""}`
    const members = Object.entries(cause).filter(([name]) => name !== "cause")
    const isHarmless = ([name, value]: readonly [string, unknown]): boolean =>
      typeof value !== "object" && typeof value !== "function" &&
      (typeof value !== "string" || (naming.has(name) && this.redact(value, more) === value))
    if (inner === cause.cause && this.redact(text, more) === text && members.every(isHarmless)) return cause
    const clean = new Error(this.redact(cause.message, more), inner === undefined ? {} : { cause: inner })
    clean.name = cause.name
    return Object.assign(clean, Object.fromEntries(members.filter(isHarmless)))
  }
}

const describe = (cause: unknown): string => {
  const message: unknown = typeof cause === "object" && cause !== null ? Reflect.get(cause, "message") : cause
  return typeof message === "object" || message === undefined ? "an error of an unknown kind" : String(message)
}

/** How a text shows a secret: as it is, or inside JSON, where some write every slash with a backslash. */
const spellings = (secret: string): ReadonlyArray<string> => {
  const inJson = JSON.stringify(secret).slice(1, -1)
  return Array.from(new Set([secret, inJson, inJson.replaceAll("/", "\\/")]))
}

const secretsOf = (headers: Headers.Headers): ReadonlyArray<string> => {
  const found: Array<string> = []
  for (const name of ["authorization", "proxy-authorization", "cookie", "x-api-key"]) {
    const value = headers[name]
    if (value === undefined || value === "") continue
    found.push(value)
    const token = value.slice(value.indexOf(" ") + 1)
    if (token !== value && token !== "") found.push(token)
  }
  return found
}
