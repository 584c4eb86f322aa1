/**
 * Byte strings: one character for each byte. Secrets are looked for in them, so that what a body consists of (text, split
 * characters, anything binary) and where its chunks begin makes no difference.
 */

const encoder = new TextEncoder()
const lossy = new TextDecoder("utf-8", { ignoreBOM: true })
const strict = new TextDecoder("utf-8", { ignoreBOM: true, fatal: true })

/** As many arguments as every engine takes in a call. */
const slice = 8192

export const toByteString = (bytes: Uint8Array): string => {
  let text = ""
  for (let at = 0; at < bytes.length; at += slice) text += String.fromCharCode(...bytes.subarray(at, at + slice))
  return text
}

export const fromByteString = (text: string): Uint8Array => {
  const bytes = new Uint8Array(text.length)
  for (let at = 0; at < text.length; at++) bytes[at] = text.charCodeAt(at)
  return bytes
}

export const encodeUtf8 = (text: string): Uint8Array => encoder.encode(text)

export const utf8ByteString = (text: string): string => toByteString(encoder.encode(text))

/** Text of bytes that need not be UTF-8. */
export const decodeUtf8 = (bytes: Uint8Array): string => lossy.decode(bytes)

/** The text whose UTF-8 form these bytes are, if they are one. */
export const textOf = (bytes: Uint8Array): string | undefined => {
  try {
    return strict.decode(bytes)
  } catch {
    return undefined
  }
}

export const concatenate = (parts: ReadonlyArray<Uint8Array>): Uint8Array => {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}

export const isEqual = (a: Uint8Array, b: Uint8Array): boolean =>
  a.length === b.length && a.every((byte, index) => byte === b[index])

/** Whether a body was compressed and not inflated: nothing can be found in it. */
export const looksCompressed = (bytes: Uint8Array, encoding: string | undefined): boolean => {
  if (bytes[0] === 0x1f && bytes[1] === 0x8b) return true
  if (encoding === undefined || encoding === "" || encoding === "identity") return false
  try {
    // What was cut off in the middle of a character is text too.
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes, { stream: true })
    // eslint-disable-next-line no-control-regex
    return /[\x00-\x08\x0e-\x1f]/.test(text)
  } catch {
    return true
  }
}
