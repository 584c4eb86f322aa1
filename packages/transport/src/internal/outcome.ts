/**
 * Whether a failed attempt can have reached the server.
 */

const beforeTheConnection: ReadonlySet<string> = new Set([
  "ECONNREFUSED",
  "ENOTFOUND",
  "EAI_AGAIN",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "EADDRNOTAVAIL",
  "ERR_INVALID_URL",
  "UND_ERR_CONNECT_TIMEOUT",
  "CERT_HAS_EXPIRED",
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "ERR_TLS_CERT_ALTNAME_INVALID",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  // Bun
  "ConnectionRefused",
  "FailedToOpenSocket"
])

// What fetch says of ports it refuses to connect to; it has no code.
const badPort = "bad port"

/** True when no connection was established. In browsers nothing tells, so it is false there. */
export const neverSent = (cause: unknown): boolean => {
  let current: unknown = cause
  // fetch wraps the error that knows; a name with several addresses gives one error for each.
  for (let depth = 0; depth < 5 && typeof current === "object" && current !== null; depth++) {
    const code: unknown = Reflect.get(current, "code")
    const syscall: unknown = Reflect.get(current, "syscall")
    // On a connection that stands, the same codes come from reading and writing.
    if (typeof syscall === "string" && syscall !== "connect" && syscall !== "getaddrinfo") return false
    if (typeof code === "string" && beforeTheConnection.has(code)) return true
    if (current instanceof Error && current.message === badPort) return true
    if (syscall === "connect" || syscall === "getaddrinfo") return true
    const errors: unknown = Reflect.get(current, "errors")
    if (Array.isArray(errors) && errors.length > 0) return errors.every(neverSent)
    current = Reflect.get(current, "cause")
  }
  return false
}
