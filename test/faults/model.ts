/**
 * The reference model: what must come of a scenario, by the contract alone. It shares no code with the transport, knows no
 * sockets, and follows one logical stream after the other from connection to connection.
 *
 * Time is virtual and exact, in milliseconds from the beginning of the scenario.
 */
import type { JsonRpc } from "@effect-mcp/transport"
import { answerOf, type Block, blocksAfter, sendBlocks, serverBlocks, totalLength } from "./blocks.ts"
import type { ConnectionPlan, Fate, Scenario, SendPlan } from "./scenario.ts"

/** How a stream ended. Fields that a failure of this kind does not have are undefined. */
export type Ending =
  | { readonly _tag: "Answered"; readonly response: JsonRpc.Response }
  /** The consumer left. */
  | { readonly _tag: "Left" }
  /** Nothing ended it before the scope. */
  | { readonly _tag: "Open" }
  /** Quietly, without an answer: only the server's stream does so. */
  | { readonly _tag: "Quiet" }
  | {
    readonly _tag: "Failed"
    readonly error: string
    readonly detail: string | number | undefined
    readonly outcome: "NotExecuted" | "Unknown" | undefined
  }

export interface Expected {
  /** Messages and announced tokens, in the order in which the consumer sees them. */
  readonly seen: ReadonlyArray<JsonRpc.Message | string>
  readonly ending: Ending
  /** `POST` or `GET cursor`, each with its time. */
  readonly requests: ReadonlyArray<{ readonly what: string; readonly at: number }>
  /** When the server told that it does not know the session. */
  readonly terminatesAt: number | undefined
  readonly endsAt: number
}

export interface ExpectedOutcome {
  /** Of each send, every result that is right: more than one only where two things happen at the same moment. */
  readonly sends: ReadonlyArray<ReadonlyArray<Expected>>
  readonly receive: Expected | undefined
  readonly isTerminated: boolean
  readonly endsAt: number
}

export const expectedOutcome = (scenario: Scenario): ExpectedOutcome => {
  const receive = scenario.receive === undefined ? undefined : new ServerStreamModel(scenario).run()
  let terminatedAt = receive?.terminatesAt ?? Infinity
  const sends = new Map<SendPlan, ReadonlyArray<Expected>>()
  for (const plan of scenario.sends.toSorted((a, b) => a.at - b.at)) {
    const index = scenario.sends.indexOf(plan)
    const executed = new RequestModel(scenario, plan, index).run()
    if (plan.at < terminatedAt) sends.set(plan, [executed])
    else sends.set(plan, plan.at === terminatedAt ? [executed, refused(plan)] : [refused(plan)])
    if (plan.at <= terminatedAt) terminatedAt = Math.min(terminatedAt, executed.terminatesAt ?? Infinity)
  }
  // What was sent earlier may be told at the very moment at which another is sent.
  for (const [plan, expected] of sends) {
    if (plan.at === terminatedAt && expected.length === 1) sends.set(plan, [...expected, refused(plan)])
  }
  const all = scenario.sends.map((plan) => sends.get(plan) ?? [])
  return {
    sends: all,
    receive,
    isTerminated: terminatedAt < Infinity,
    endsAt: Math.max(receive?.endsAt ?? 0, ...all.flat().map(({ endsAt }) => endsAt))
  }
}

const refused = (plan: SendPlan): Expected => ({
  seen: [],
  ending: { _tag: "Failed", error: "SessionTerminated", detail: "Server", outcome: "NotExecuted" },
  requests: [],
  terminatesAt: undefined,
  endsAt: plan.at
})

// --- one logical stream ---------------------------------------------------------------------------------------------

const whole: ConnectionPlan = { fate: { _tag: "Whole" }, replays: 0 }

const transient: ReadonlySet<number> = new Set([408, 409, 425, 429, 500, 502, 503, 504])

/** Why a connection, or an attempt to have one, is over. */
interface Loss {
  readonly isClean: boolean
  readonly retryAfter: number
}

abstract class StreamModel {
  protected now: number
  protected cursor: string | undefined
  protected ending: Ending | undefined
  protected terminatesAt: number | undefined
  protected readonly seen: Array<JsonRpc.Message | string> = []
  protected readonly requests: Array<{ what: string; at: number }> = []
  protected attempts = 0
  protected badData: "InvalidJson" | "InvalidMessage" | undefined
  /** How many connections were read. */
  protected connection = 0
  private retry: number | undefined
  private readonly cameOn = new Map<string, number>()

  protected readonly scenario: Scenario
  private readonly plans: ReadonlyArray<ConnectionPlan>

  constructor(scenario: Scenario, plans: ReadonlyArray<ConnectionPlan>, startsAt: number) {
    this.scenario = scenario
    this.plans = plans
    this.now = startsAt
  }

  protected abstract readonly outcome: "Unknown" | undefined
  protected abstract take(block: Block, novelty: "New" | "None" | "Replay"): void

  protected expected(): Expected {
    const { ending, now, requests, seen, terminatesAt } = this
    return { seen, ending: ending ?? { _tag: "Open" }, requests, terminatesAt, endsAt: now }
  }

  /** The plan of the next request. */
  protected next(what: string): ConnectionPlan {
    const plan = this.plans[this.requests.length] ?? whole
    this.requests.push({ what, at: this.now })
    return plan
  }

  protected fail(error: string, detail: string | number | undefined): void {
    this.ending ??= { _tag: "Failed", error, detail, outcome: this.outcome }
  }

  /** Reads a connection until it is over; `undefined` when it stays. */
  protected read(blocks: ReadonlyArray<Block>, fate: Fate): Loss | undefined {
    this.connection++
    const limit = limitOf(fate, totalLength(blocks))
    let offset = 0
    for (const block of blocks) {
      if (offset >= limit && fate._tag !== "Whole") break
      this.now += block.pause
      if (block.retry !== undefined && offset + block.retry.end <= limit) this.takeRetry(block.retry.value)
      offset += block.length
      if (offset > limit) break
      this.takeBlock(block)
      if (this.ending !== undefined) return undefined
    }
    if (fate._tag === "Whole") return { isClean: true, retryAfter: 0 }
    if (fate._tag === "Stall") this.now += this.scenario.idleTimeout ?? 0
    return { isClean: fate._tag === "End", retryAfter: 0 }
  }

  private takeBlock(block: Block): void {
    if (block.badData !== undefined && this.noveltyOf(block) !== "Replay") this.badData = block.badData
    const novelty = this.noveltyOf(block)
    if (novelty === "New" && block.id !== undefined) {
      this.cameOn.set(block.id, this.connection)
      this.cursor = block.id
      this.attempts = 0
    }
    this.take(block, novelty)
  }

  private noveltyOf({ id }: Block): "New" | "None" | "Replay" {
    if (id === undefined) return "None"
    const cameOn = this.cameOn.get(id)
    return cameOn === undefined ? "New" : cameOn < this.connection ? "Replay" : "None"
  }

  private takeRetry(value: string): void {
    if (/^[0-9]+$/.test(value)) this.retry = Number(value)
  }

  /** Waits for the next attempt. False when there is none. */
  protected mayRetry(loss: Loss): boolean {
    if (this.attempts >= this.scenario.attempts) {
      this.exhausted()
      return false
    }
    const asked = Math.max(this.retry ?? 0, loss.retryAfter)
    if (asked > this.scenario.maxRetryDelay) {
      this.fail("ResumptionError", "RetryTooLong")
      return false
    }
    const retry = this.retry === undefined ? undefined : Math.max(this.retry, 100)
    const own = this.attempts === 0 && retry !== undefined ? retry : Math.max(retry ?? 0, this.scenario.delay)
    this.now += Math.max(own, loss.retryAfter)
    this.attempts++
    return true
  }

  protected exhausted(): void {
    this.fail("ResumptionError", "Exhausted")
  }

  /** A GET that resumes, up to its body: the loss if there is none. */
  protected refusal(fate: Fate): Loss | undefined {
    switch (fate._tag) {
      case "NoHead":
      case "OtherType":
        return { isClean: false, retryAfter: 0 }
      case "StalledHead":
        this.now += this.scenario.idleTimeout ?? 0
        return { isClean: false, retryAfter: 0 }
      case "Status": {
        const { retryAfter, status } = fate
        if (status < 300 || transient.has(status)) return { isClean: false, retryAfter: (retryAfter ?? 0) * 1000 }
        if (status < 400 || status === 401 || status === 403) {
          this.fail("HttpStatusError", status)
        } else if (status === 404) {
          this.terminatesAt = this.now
          this.fail("SessionTerminated", "Server")
        } else {
          this.fail("ResumptionError", status === 405 ? "Unsupported" : "Rejected")
        }
        return undefined
      }
      default:
        return undefined
    }
  }
}

const limitOf = (fate: Fate, total: number): number => "at" in fate ? Math.floor(fate.at * total) : total

// --- the stream of a request ----------------------------------------------------------------------------------------

class RequestModel extends StreamModel {
  protected readonly outcome = "Unknown"
  private readonly plan: SendPlan
  private readonly blocks: ReadonlyArray<Block>
  private taken = 0

  constructor(scenario: Scenario, plan: SendPlan, index: number) {
    super(scenario, plan.connections, plan.at)
    this.plan = plan
    this.blocks = sendBlocks(plan, `s${index}`)
  }

  run(): Expected {
    let loss = this.post(this.next("POST").fate)
    while (this.ending === undefined && loss !== undefined) {
      if (this.cursor === undefined) {
        this.broken(loss.isClean)
      } else if (this.mayRetry(loss)) {
        const { fate, replays } = this.next(`GET ${this.cursor}`)
        loss = this.refusal(fate)
        if (this.ending === undefined && loss === undefined) {
          loss = this.read(this.blocks.slice(blocksAfter(this.blocks, this.cursor, replays)), fate)
        }
      }
    }
    return this.expected()
  }

  private post(fate: Fate): Loss | undefined {
    switch (fate._tag) {
      case "NoHead":
      case "StalledHead":
        this.fail("ConnectionError", "Response")
        return undefined
      case "OtherType":
        this.fail("ProtocolError", "UnexpectedContentType")
        return undefined
      case "Status":
        this.refused(fate.status, fate.hasError)
        return undefined
      default:
        if (!this.plan.isJson) return this.read(this.blocks, fate)
        this.readJson(fate)
        return undefined
    }
  }

  private refused(status: number, hasError: boolean): void {
    if (status === 202 || status === 204) return this.fail("ProtocolError", "NoResponse")
    if (status === 404) {
      this.terminatesAt = this.now
      this.ending = { _tag: "Failed", error: "SessionTerminated", detail: "Server", outcome: "NotExecuted" }
      return
    }
    const canAnswer = status >= 400 && ![401, 403, 429, 503].includes(status)
    if (canAnswer && hasError) return this.answered(refusalError(this.plan.id))
    const outcome = status < 400 || [401, 405, 413, 415, 429].includes(status) ? "NotExecuted" : "Unknown"
    this.ending = { _tag: "Failed", error: "HttpStatusError", detail: status, outcome }
  }

  private readJson(fate: Fate): void {
    const text = JSON.stringify(answerOf(this.plan))
    const total = new TextEncoder().encode(text).length
    if (limitOf(fate, total) === total && (fate._tag === "Whole" || fate._tag === "End")) {
      return this.answered(answerOf(this.plan))
    }
    if (fate._tag === "Stall") this.now += this.scenario.idleTimeout ?? 0
    if (fate._tag === "End") this.fail("ProtocolError", "InvalidJson")
    else this.fail("ConnectionError", "Body")
  }

  private answered(response: JsonRpc.Response): void {
    this.ending = { _tag: "Answered", response }
    this.seen.push(response)
  }

  private broken(isClean: boolean): void {
    if (this.badData !== undefined) this.fail("ProtocolError", this.badData)
    else if (isClean) this.fail("ProtocolError", "NoResponse")
    else this.fail("ConnectionError", "Body")
  }

  protected override exhausted(): void {
    if (this.badData === undefined) super.exhausted()
    else this.fail("ProtocolError", this.badData)
  }

  protected take({ answer, id, messages }: Block, novelty: "New" | "None" | "Replay"): void {
    const { leavesAfter } = this.plan
    // The answer is never dropped as a replay.
    if (answer !== undefined) {
      this.answered(answer)
    } else if (novelty !== "Replay") {
      for (const message of messages) {
        this.seen.push(message)
        this.taken++
        if (this.taken !== leavesAfter) continue
        this.ending = { _tag: "Left" }
        return
      }
    }
    if (this.plan.announces && novelty === "New" && id !== undefined) this.seen.push(id)
  }
}

/** The JSON-RPC error that a refusal carries, as the answer of a request. */
export const refusalError = (id: JsonRpc.RequestId): JsonRpc.ErrorResponse => ({
  jsonrpc: "2.0",
  id,
  error: { code: -32000, message: "refused" }
})

// --- the server's own stream ----------------------------------------------------------------------------------------

class ServerStreamModel extends StreamModel {
  protected readonly outcome = undefined
  private readonly blocks: ReadonlyArray<Block>
  private hadId = false

  constructor(scenario: Scenario) {
    super(scenario, scenario.receive?.connections ?? [], 0)
    this.blocks = scenario.receive === undefined ? [] : serverBlocks(scenario.receive)
  }

  run(): Expected {
    let isOpen = true
    while (this.ending === undefined && isOpen) {
      const { fate, replays } = this.next(this.cursor === undefined ? "GET" : `GET ${this.cursor}`)
      const loss = this.connection === 0 ? this.firstRefusal(fate) : this.refusal(fate)
      if (this.ending !== undefined) break
      if (loss !== undefined) {
        isOpen = this.mayRetry(loss)
        continue
      }
      const from = this.cursor === undefined ? 0 : blocksAfter(this.blocks, this.cursor, replays)
      const openedAt = this.now
      const lost = this.read(this.blocks.slice(from), fate)
      if (fate._tag === "Whole" || lost === undefined) return this.expected()
      if (!this.hadId && this.now - openedAt >= 10_000) this.attempts = 0
      isOpen = this.mayRetry(lost)
    }
    return this.expected()
  }

  private firstRefusal(fate: Fate): Loss | undefined {
    if (fate._tag === "StalledHead") return { isClean: false, retryAfter: 0 }
    if (fate._tag !== "Status") return this.refusal(fate)
    const { status } = fate
    if (status === 404 || status === 405 || status === 406) {
      this.ending = { _tag: "Quiet" }
      return undefined
    }
    if (status >= 300 && !transient.has(status)) {
      this.fail("HttpStatusError", status)
      return undefined
    }
    return this.refusal(fate)
  }

  protected take({ id, messages }: Block, novelty: "New" | "None" | "Replay"): void {
    if (id !== undefined) this.hadId = true
    if (novelty === "Replay") return
    this.seen.push(...messages)
    if (!this.hadId && messages.length > 0) this.attempts = 0
  }
}
