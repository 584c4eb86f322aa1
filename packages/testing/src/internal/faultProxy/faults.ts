/**
 * The constructors of faults: defaults, and a clear refusal of numbers that make no sense.
 */
import * as Headers from "@effect/platform/Headers"
import * as Duration from "effect/Duration"
import type * as FaultProxy from "../../FaultProxy.ts"

/** The number, if it is a whole one from `least` to `most`; throws a RangeError otherwise. */
export const wholeNumber = (name: string, value: number, least = 0, most = Number.MAX_SAFE_INTEGER): number => {
  if (Number.isSafeInteger(value) && value >= least && value <= most) return value
  const range = most === Number.MAX_SAFE_INTEGER ? `of at least ${least}` : `from ${least} to ${most}`
  throw new RangeError(`FaultProxy: ${name} must be a whole number ${range}, not ${value}`)
}

/** `Duration.decode` takes negative numbers and NaN for zero; here they are mistakes. */
export const duration = (name: string, input: Duration.DurationInput): Duration.Duration => {
  const isMistake = (typeof input === "number" && !(input >= 0)) ||
    (typeof input === "bigint" && input < 0n) ||
    (typeof input === "string" && input.startsWith("-")) ||
    (Array.isArray(input) && input.some((part) => !(part >= 0)))
  if (isMistake) throw new RangeError(`FaultProxy: ${name} must not be negative or NaN, but is ${String(input)}`)
  return Duration.decode(input)
}

const position = (name: string, after: FaultProxy.Position): FaultProxy.Position =>
  "bytes" in after
    ? { bytes: wholeNumber(`${name}.after.bytes`, after.bytes) }
    : { events: wholeNumber(`${name}.after.events`, after.events) }

export const cut = (
  options: { readonly after: FaultProxy.Position; readonly how?: FaultProxy.Cut["how"] | undefined }
): FaultProxy.Cut => ({ _tag: "Cut", after: position("cut", options.after), how: options.how ?? "Close" })

export const stall = (
  options: { readonly after: FaultProxy.Position; readonly duration?: Duration.DurationInput | undefined }
): FaultProxy.Stall => ({
  _tag: "Stall",
  after: position("stall", options.after),
  duration: duration("stall.duration", options.duration ?? Duration.infinity)
})

export const split = (options: { readonly size: number }): FaultProxy.Split => ({
  _tag: "Split",
  size: wholeNumber("split.size", options.size, 1)
})

export const delay = (options: { readonly by: Duration.DurationInput }): FaultProxy.Delay => ({
  _tag: "Delay",
  by: duration("delay.by", options.by)
})

export const respond = (options: {
  readonly status: number
  readonly headers?: Headers.Input | undefined
  readonly body?: string | Uint8Array | undefined
}): FaultProxy.Respond => {
  const headers = Headers.fromInput(options.headers)
  for (const [name, value] of Object.entries(headers)) {
    if (/[\r\n:]/.test(name) || /[\r\n]/.test(value)) {
      throw new RangeError(
        `FaultProxy: respond.headers must fit on one line each, but ${JSON.stringify(name)} does not`
      )
    }
  }
  return {
    _tag: "Respond",
    status: wholeNumber("respond.status", options.status, 200, 999),
    headers,
    body: options.body ?? ""
  }
}

export const refuse = (options?: { readonly how?: FaultProxy.Ending | undefined }): FaultProxy.Refuse => ({
  _tag: "Refuse",
  how: options?.how ?? "Close"
})

export const lose = (options?: { readonly how?: FaultProxy.Ending | undefined }): FaultProxy.Lose => ({
  _tag: "Lose",
  how: options?.how ?? "Close"
})

export const duplicate = (options: { readonly event: number }): FaultProxy.Duplicate => ({
  _tag: "Duplicate",
  event: wholeNumber("duplicate.event", options.event)
})

export const reorder = (options: { readonly event: number }): FaultProxy.Reorder => ({
  _tag: "Reorder",
  event: wholeNumber("reorder.event", options.event)
})
