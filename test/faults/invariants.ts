/**
 * What is true of every scenario, whatever the network does; and the comparison with the model, where time is virtual.
 */
import { JsonRpc } from "@effect-mcp/transport"
import { assert } from "@effect/vitest"
import { type Block, sendBlocks, serverBlocks } from "./blocks.ts"
import type { Expected, ExpectedOutcome } from "./model.ts"
import type { Observed, Played } from "./play.ts"
import type { Scenario } from "./scenario.ts"
import { sessionId } from "./scenarioServer.ts"

/** Everything is as the model says: messages, tokens, endings, requests and their times. */
export const assertAsExpected = (scenario: Scenario, played: Played, expected: ExpectedOutcome): void => {
  for (const [index, alternatives] of expected.sends.entries()) {
    const observed = { ...played.sends[index], requests: requestsOf(scenario, played, index) }
    const differs = alternatives.map((alternative) => difference(observed, alternative))
    if (!differs.includes(undefined)) throw new Error(`send ${index}: ${differs.join("\nor ")}`)
  }
  if (expected.receive !== undefined) {
    const observed = { ...played.receive, requests: requestsOf(scenario, played, undefined) }
    const differs = difference(observed, expected.receive)
    if (differs !== undefined) throw new Error(`receive: ${differs}`)
  }
  assert.strictEqual(played.isTerminated, expected.isTerminated, "isTerminated")
}

const difference = (
  observed: Partial<Observed> & { readonly requests: ReadonlyArray<Request> },
  { ending, requests, seen }: Expected
): string | undefined => {
  try {
    assert.deepStrictEqual(observed.seen, seen, "seen")
    assert.deepStrictEqual(observed.ending, ending, "ending")
    assert.deepStrictEqual(observed.requests, requests, "requests")
    return undefined
  } catch (error) {
    return `${error instanceof Error ? error.message : error}\nobserved ${JSON.stringify(observed)}\nexpected ${
      JSON.stringify({ seen, ending, requests })
    }`
  }
}

interface Request {
  readonly what: string
  readonly at: number
}

/** The requests of one send, or of the server's stream. */
const requestsOf = (scenario: Scenario, played: Played, index: number | undefined): ReadonlyArray<Request> => {
  const id = index === undefined ? undefined : scenario.sends[index]?.id
  const prefix = index === undefined ? "server-" : `s${index}-`
  return played.arrivals.flatMap(({ at, headers, message, method }) => {
    const cursor = headers["last-event-id"]
    const isOwn = method === "POST"
      ? index !== undefined && message?.id === id
      : method === "GET" && (cursor === undefined ? index === undefined : cursor.startsWith(prefix))
    const what = cursor === undefined ? method : `${method} ${cursor}`
    return isOwn ? [{ what, at: at - played.startedAt }] : []
  })
}

export const assertInvariants = (scenario: Scenario, played: Played): void => {
  for (const [index, observed] of played.sends.entries()) {
    const plan = scenario.sends[index]
    if (plan === undefined) continue
    const blocks = sendBlocks(plan, `s${index}`)
    assertDelivery(observed, blocks, `send ${index}`)
    assertCursors(requestsOf(scenario, played, index), blocks, `send ${index}`)
    assertBounded(scenario, requestsOf(scenario, played, index), blocks, `send ${index}`)
    assertSettledOnce(observed, plan.id, `send ${index}`)
  }
  if (scenario.receive !== undefined && played.receive !== undefined) {
    const blocks = serverBlocks(scenario.receive)
    assertDelivery(played.receive, blocks, "receive")
    assertCursors(requestsOf(scenario, played, undefined), blocks, "receive")
  }
  assertEnd(played)
}

/** Of what has an id nothing comes twice, nothing is left out, and all is in order. */
const assertDelivery = ({ ending, seen }: Observed, blocks: ReadonlyArray<Block>, at: string): void => {
  const positions = new Map<string, number>()
  for (const { id, messages } of blocks) {
    if (id === undefined) continue
    for (const message of messages) positions.set(JSON.stringify(message), positions.size)
  }
  const came = seen.flatMap((item) => positions.get(JSON.stringify(item)) ?? [])
  assert.deepStrictEqual(came, Array.from(came.keys()), `${at}: ${JSON.stringify(seen)}`)
  // An answer that comes by JSON, or with a refusal, has nothing before it.
  const isComplete = ending._tag === "Answered" ? came.length > 0 : ending._tag === "Open" && came.length > 0
  if (isComplete) assert.strictEqual(came.length, positions.size, `${at}: not all: ${JSON.stringify(seen)}`)
}

/** A cursor never goes back. */
const assertCursors = (requests: ReadonlyArray<Request>, blocks: ReadonlyArray<Block>, at: string): void => {
  let newest = -1
  for (const { what } of requests) {
    if (!what.startsWith("GET ")) continue
    const position = blocks.findIndex(({ id }) => id === what.slice(4))
    assert.isAtLeast(position, newest, `${at}: ${what} goes back`)
    newest = position
  }
}

/** Without progress there are only so many attempts, and each id is progress once. */
const assertBounded = (
  { attempts }: Scenario,
  requests: ReadonlyArray<Request>,
  blocks: ReadonlyArray<Block>,
  at: string
): void => {
  const perCursor = new Map<string, number>()
  for (const { what } of requests) perCursor.set(what, (perCursor.get(what) ?? 0) + 1)
  for (const [what, count] of perCursor) assert.isAtMost(count, what === "POST" ? 1 : attempts, `${at}: ${what}`)
  assert.isAtMost(perCursor.size, 1 + blocks.filter(({ id }) => id !== undefined).length, at)
}

const assertSettledOnce = ({ ending, seen }: Observed, id: JsonRpc.RequestId, at: string): void => {
  const responses = seen.filter((item) => typeof item !== "string" && JsonRpc.isResponse(item))
  assert.strictEqual(responses.length, ending._tag === "Answered" ? 1 : 0, `${at}: ${JSON.stringify(seen)}`)
  for (const response of responses) assert.strictEqual(Reflect.get(Object(response), "id"), id, at)
  assert.notStrictEqual(ending._tag, "Open", at)
}

/** One DELETE if the session lived, and nothing after it; nothing is left. */
const assertEnd = ({ arrivals, isTerminated, left, open, receive }: Played): void => {
  // What was left, answered or given up holds no connection, long before the scope ends.
  assert.strictEqual(open, receive?.ending._tag === "Open" ? 1 : 0, "open exchanges")
  const methods = arrivals.map(({ method }) => method)
  assert.strictEqual(methods.filter((method) => method === "DELETE").length, isTerminated ? 0 : 1, "one DELETE")
  if (!isTerminated) assert.strictEqual(methods.at(-1), "DELETE", "nothing after the DELETE")
  for (const { headers } of arrivals) assert.strictEqual(headers["mcp-session-id"], sessionId)
  assert.deepStrictEqual(left, { fibers: 0, exchanges: 0 })
}
