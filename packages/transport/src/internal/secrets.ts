/**
 * Credentials must not show up in errors, logs or spans, not even when a server echoes them.
 */
import type * as Headers from "@effect/platform/Headers"

const blot = "<redacted>"

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
    const clean = JSON.stringify(this.redactStrings(json, more))
    return clean === JSON.stringify(json) ? body : clean
  }

  /** The same for every string inside a value, names of members included. */
  redactStrings(value: unknown, more?: Headers.Headers): unknown {
    if (typeof value === "string") return this.redact(value, more)
    if (Array.isArray(value)) return value.map((element: unknown) => this.redactStrings(element, more))
    if (typeof value !== "object" || value === null) return value
    return Object.fromEntries(
      Object.entries(value).map(([name, member]) => [this.redact(name, more), this.redactStrings(member, more)])
    )
  }

  /** The cause itself when nothing in its text is secret, else an error with the text cleaned. */
  redactCause(cause: unknown, more?: Headers.Headers): unknown {
    if (cause === undefined) return undefined
    let current: unknown = cause
    for (let depth = 0; depth < 5 && current instanceof Error; depth++) {
      const text = `${current.message}\n${current.stack ?? ""}`
      if (this.redact(text, more) !== text) {
        const clean = new Error(this.redact(current.message, more))
        clean.name = current.name
        return clean
      }
      current = current.cause
    }
    return typeof cause === "string" ? this.redact(cause, more) : cause
  }
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
