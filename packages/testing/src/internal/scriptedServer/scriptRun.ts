/**
 * A script in the course of being played: which rule answers, and step after step of its reply.
 */
import * as Headers from "@effect/platform/Headers"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Arrival, Exchange, Reply, Rule, Script, Step, When } from "../../ScriptedServer.ts"
import { renderEvent } from "./serverExchange.ts"
import type { Wire } from "./wire.ts"

/** Events that were sent on a stream: where a replay goes on, and for which request. */
interface Told {
  readonly requestId: unknown
  readonly steps: ReadonlyArray<Step>
  /** The step after the event. */
  readonly next: number
  /** Which breaks and stalls were gone through: a replay does not break again where its stream broke. */
  readonly done: Set<number>
}

/** Says that none of the rules fits. */
export const noRule: Reply = {
  _tag: "Respond",
  status: 400,
  headers: Headers.empty,
  body: [],
  delay: Duration.zero
}

export class ScriptRun {
  private readonly used = new Map<Rule, number>()
  private readonly told = new Map<string, Told>()
  private readonly opened = new Set<string>()
  private readonly waiting = new Map<string, Set<() => void>>()

  private readonly script: Script
  private readonly onUnmatched: (arrival: Arrival) => void

  constructor(script: Script, onUnmatched: (arrival: Arrival) => void, before?: ScriptRun) {
    this.script = script
    this.onUnmatched = onUnmatched
    if (before === undefined) return
    this.told = before.told
    this.opened = before.opened
    this.waiting = before.waiting
  }

  /** Another script for what comes next. What was told so far can still be replayed. */
  next(script: Script): ScriptRun {
    return new ScriptRun(script, this.onUnmatched, this)
  }

  answer(exchange: Exchange, wire: Wire): Effect.Effect<void> {
    if (typeof this.script === "function") {
      const handled = this.script(exchange)
      return Effect.isEffect(handled) ? handled : Effect.void
    }
    return Effect.flatMap(this.reply(exchange), (reply) => this.perform(reply, exchange, wire))
  }

  openGate(name: string): void {
    this.opened.add(name)
    for (const pass of this.waiting.get(name) ?? []) pass()
    this.waiting.delete(name)
  }

  // --- which reply --------------------------------------------------------------------------------------------------

  private reply(arrival: Arrival): Effect.Effect<Reply> {
    const rules = typeof this.script === "function" ? [] : this.script
    const rule = rules.find((rule) => fits(rule.when, arrival) && (this.used.get(rule) ?? 0) < (rule.times ?? Infinity))
    if (rule === undefined) return Effect.succeed(noRule)
    this.used.set(rule, (this.used.get(rule) ?? 0) + 1)
    if (typeof rule.reply !== "function") return Effect.succeed(rule.reply)
    const reply = rule.reply(arrival)
    return Effect.isEffect(reply) ? reply : Effect.succeed(reply)
  }

  // --- its steps ----------------------------------------------------------------------------------------------------

  private perform(reply: Reply, exchange: Exchange, wire: Wire): Effect.Effect<void> {
    if (reply === noRule) {
      return Effect.sync(() => this.refuse(exchange, `no rule of the script is for ${name(exchange)}`))
    }
    switch (reply._tag) {
      case "Never":
        return Effect.never
      case "Drop":
        return Effect.sync(() => wire.cut(reply.kind))
      case "Replay":
        return this.replay(exchange, wire, reply.headers)
      case "Respond": {
        const told = { requestId: this.requestOf(exchange), steps: reply.body, next: 0, done: new Set<number>() }
        return Effect.zipRight(
          Duration.isZero(reply.delay) ? Effect.void : Effect.sleep(reply.delay),
          Effect.suspend(() => {
            wire.head(reply.status, reply.headers)
            return this.play(told, wire)
          })
        )
      }
    }
  }

  /** Whose stream it is: on a GET, that of the event to go on after. */
  private requestOf({ headers, message }: Arrival): unknown {
    const lastEventId = headers["last-event-id"]
    return lastEventId === undefined ? message?.id : this.told.get(lastEventId)?.requestId
  }

  private replay(exchange: Exchange, wire: Wire, headers: Headers.Headers): Effect.Effect<void> {
    return Effect.suspend(() => {
      const lastEventId = exchange.headers["last-event-id"]
      const told = lastEventId === undefined ? undefined : this.told.get(lastEventId)
      if (told === undefined) {
        this.refuse(exchange, `no event of this script had the id ${JSON.stringify(lastEventId)}`)
        return Effect.void
      }
      wire.head(200, headers)
      return this.play(told, wire)
    })
  }

  private refuse(exchange: Exchange, text: string): void {
    this.onUnmatched(exchange)
    exchange.status(400, text, { "content-type": "text/plain" })
  }

  private play(told: Told, wire: Wire): Effect.Effect<void> {
    const { steps } = told
    let index = told.next
    const rest: Effect.Effect<void> = Effect.suspend(() => {
      while (index < steps.length) {
        const step = steps[index]
        index++
        if (step === undefined) continue
        const wait = this.step(step, { ...told, next: index }, wire)
        if (wait !== undefined) return Effect.zipRight(wait, rest)
      }
      wire.end()
      return Effect.void
    })
    return rest
  }

  /** Does one step; an Effect when it takes time. */
  private step(step: Step, told: Told, wire: Wire): Effect.Effect<void> | undefined {
    switch (step._tag) {
      case "Event":
        return this.tell(step.fields.id, renderEvent(step.fields), told, wire)
      case "Answer": {
        const data = { jsonrpc: "2.0", id: told.requestId ?? null, ...step.response }
        return this.tell(step.id, renderEvent({ id: step.id, data }), told, wire)
      }
      case "Bytes":
        return write(wire, typeof step.bytes === "string" ? encoder.encode(step.bytes) : step.bytes)
      case "Pause":
        return Effect.sleep(step.duration)
      case "Gate":
        return this.opened.has(step.name) ? undefined : this.pass(step.name)
      case "Stall":
        return once(told) ? Effect.never : undefined
      case "Cut":
        if (!once(told)) return undefined
        wire.cut(step.kind)
        return Effect.never
    }
  }

  private tell(id: string | undefined, text: string, told: Told, wire: Wire): Effect.Effect<void> | undefined {
    if (id !== undefined) this.told.set(id, told)
    return write(wire, encoder.encode(text))
  }

  private pass(name: string): Effect.Effect<void> {
    return Effect.async((resume) => {
      const waiting = this.waiting.get(name) ?? new Set()
      const pass = (): void => resume(Effect.void)
      this.waiting.set(name, waiting.add(pass))
      return Effect.sync(() => waiting.delete(pass))
    })
  }
}

const encoder = new TextEncoder()

const write = (wire: Wire, chunk: Uint8Array): Effect.Effect<void> | undefined =>
  wire.write(chunk) ? undefined : Effect.async((resume) => wire.onDrain(() => resume(Effect.void)))

/** Whether the step of the moment is gone through for the first time. */
const once = ({ done, next }: Told): boolean => {
  const isNew = !done.has(next)
  done.add(next)
  return isNew
}

const fits = (when: When, { headers, message, method }: Arrival): boolean => {
  const lastEventId = headers["last-event-id"]
  return (when.method === undefined || when.method === method) &&
    (when.message === undefined || when.message === message?.method) &&
    (when.requestId === undefined || when.requestId === message?.id) &&
    (when.lastEventId === undefined || when.lastEventId === lastEventId ||
      when.lastEventId === (lastEventId !== undefined))
}

const name = ({ headers, message, method }: Arrival): string => {
  const what = typeof message?.method === "string" ? ` ${message.method}` : ""
  const lastEventId = headers["last-event-id"]
  return `${method}${what}${lastEventId === undefined ? "" : ` after the event ${JSON.stringify(lastEventId)}`}`
}
