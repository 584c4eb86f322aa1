/**
 * The server of a scenario, as a script: it keeps every stream's events, and each connection meets its fate.
 */
import { ScriptedServer } from "@effect-mcp/testing"
import type * as Headers from "@effect/platform/Headers"
import { answerOf, type Block, blocksAfter, sendBlocks, serverBlocks } from "./blocks.ts"
import { refusalError } from "./model.ts"
import type { ConnectionPlan, Fate, Scenario, SendPlan } from "./scenario.ts"

export const sessionId = "scenario-session"

interface ServerStream {
  readonly blocks: ReadonlyArray<Block>
  readonly connections: ReadonlyArray<ConnectionPlan>
  readonly send: SendPlan | undefined
  /** How many connections there were, and whether one was read. */
  count: number
  wasOpen: boolean
  isAtRest: boolean
}

export interface ScenarioServer {
  readonly script: ScriptedServer.Script
  /** Whether the server's own stream has nothing more to say, on a connection that stays. */
  readonly isAtRest: () => boolean
}

export const scenarioServer = (scenario: Scenario): ScenarioServer => {
  const streams = scenario.sends.map((send, index): ServerStream => ({
    blocks: sendBlocks(send, `s${index}`),
    connections: send.connections,
    send,
    count: 0,
    wasOpen: false,
    isAtRest: false
  }))
  const own: ServerStream | undefined = scenario.receive === undefined ? undefined : {
    blocks: serverBlocks(scenario.receive),
    connections: scenario.receive.connections,
    send: undefined,
    count: 0,
    wasOpen: false,
    isAtRest: false
  }
  const all = own === undefined ? streams : [...streams, own]
  const streamOf = (lastEventId: string): ServerStream | undefined =>
    all.find(({ blocks }) => blocks.some(({ id }) => id === lastEventId))

  const post = ({ message }: ScriptedServer.Arrival): ScriptedServer.Reply => {
    const index = scenario.sends.findIndex(({ id }) => id === message?.id)
    const stream = streams[index]
    return stream === undefined
      ? ScriptedServer.status(400, { text: "unknown request" })
      : connect(scenario, stream, undefined)
  }
  const get = ({ headers }: ScriptedServer.Arrival): ScriptedServer.Reply => {
    const cursor = headers["last-event-id"]
    const stream = cursor === undefined ? own : streamOf(cursor)
    return stream === undefined ? ScriptedServer.status(405) : connect(scenario, stream, cursor)
  }
  return {
    script: [
      ScriptedServer.on({ method: "POST", message: "tools/call" }, post),
      ScriptedServer.on({ method: "GET" }, get),
      ...ScriptedServer.session({ sessionId })
    ],
    isAtRest: () => own?.isAtRest === true
  }
}

const connect = (scenario: Scenario, stream: ServerStream, cursor: string | undefined): ScriptedServer.Reply => {
  const { fate, replays } = stream.connections[stream.count] ?? { fate: { _tag: "Whole" } as const, replays: 0 }
  stream.count++
  switch (fate._tag) {
    case "NoHead":
      return ScriptedServer.drop()
    case "StalledHead":
      // Nothing bounds the wait for a head that is no reconnect's.
      return stream.wasOpen ? ScriptedServer.never : ScriptedServer.drop()
    case "OtherType":
      return ScriptedServer.respond(200, [ScriptedServer.bytes("<p>Hello</p>")], {
        headers: { "content-type": "text/html" }
      })
    case "Status":
      return refuse(fate, stream)
    default:
      return body(scenario, stream, fate, cursor, replays)
  }
}

const refuse = (fate: Fate & { readonly _tag: "Status" }, { send }: ServerStream): ScriptedServer.Reply => {
  const headers: Headers.Input = {
    ...(fate.retryAfter === undefined ? {} : { "retry-after": String(fate.retryAfter) }),
    "content-type": "application/json"
  }
  // An error without an id can only be about the request.
  const error = { ...refusalError(send?.id ?? 0), id: null }
  return ScriptedServer.status(fate.status, {
    headers,
    text: fate.hasError && fate.status !== 204 ? JSON.stringify(error) : undefined
  })
}

const body = (
  scenario: Scenario,
  stream: ServerStream,
  fate: Fate,
  cursor: string | undefined,
  replays: number
): ScriptedServer.Reply => {
  stream.wasOpen = true
  stream.isAtRest = fate._tag === "Whole"
  if (stream.send?.isJson === true) {
    const block: Block = {
      text: JSON.stringify(answerOf(stream.send)),
      length: 0,
      pause: 0,
      id: undefined,
      retry: undefined,
      messages: [],
      answer: undefined,
      badData: undefined
    }
    return ScriptedServer.respond(200, write(scenario, [block], fate, []), {
      headers: { "content-type": "application/json" }
    })
  }
  // A client without a cursor gets everything: nobody knows what it has.
  const from = cursor === undefined ? 0 : blocksAfter(stream.blocks, cursor, replays)
  const blocks = stream.blocks.slice(from)
  return ScriptedServer.events(write(scenario, blocks, fate, stream.send === undefined ? keepAlive(scenario) : []))
}

/** The server's own stream stays open, and is not silent for long. */
const keepAlive = ({ idleTimeout }: Scenario): ReadonlyArray<ScriptedServer.Step> =>
  idleTimeout === undefined
    ? [ScriptedServer.stall]
    : Array.from({ length: 400 }, (_, n) =>
      n % 2 === 0 ? ScriptedServer.pause(idleTimeout / 3) : ScriptedServer.comment("here"))

const write = (
  { chunkSize }: Scenario,
  blocks: ReadonlyArray<Block>,
  fate: Fate,
  afterwards: ReadonlyArray<ScriptedServer.Step>
): ReadonlyArray<ScriptedServer.Step> => {
  const texts = blocks.map(({ text }) => new TextEncoder().encode(text))
  const total = texts.reduce((sum, { length }) => sum + length, 0)
  const limit = "at" in fate ? Math.floor(fate.at * total) : total
  const steps: Array<ScriptedServer.Step> = []
  let offset = 0
  for (const [index, text] of texts.entries()) {
    if (offset >= limit) break
    const pause = blocks[index]?.pause ?? 0
    if (pause > 0) steps.push(ScriptedServer.pause(pause))
    const part = text.subarray(0, limit - offset)
    for (let from = 0; from < part.length; from += chunkSize) {
      steps.push(ScriptedServer.bytes(part.subarray(from, from + chunkSize)))
    }
    offset += text.length
  }
  switch (fate._tag) {
    case "Break":
      return [...steps, ScriptedServer.cut()]
    case "Stall":
      return [...steps, ScriptedServer.stall]
    case "End":
      return steps
    default:
      return [...steps, ...afterwards]
  }
}
