/**
 * The floor: the least that a client on Node can do. undici's `dispatch`, a scanner for events written by hand and
 * `JSON.parse`; no sessions, no checks, no errors to speak of, no resumption.
 */
import { isAscii } from "node:buffer"
import { callMessage, initializeMessage, promiseLoop } from "./promises.mjs"
// Not all of undici: this is what the floor needs of it.
import Agent from "undici/lib/dispatcher/agent.js"

/** Collects a body and parses it at its end. */
export class JsonBody {
  chunks = []

  constructor(deliver) {
    this.deliver = deliver
  }

  write(chunk) {
    this.chunks.push(chunk)
  }

  end() {
    const whole = this.chunks.length === 1 ? this.chunks[0] : Buffer.concat(this.chunks)
    this.deliver(JSON.parse(whole.toString("utf8")))
  }
}

/** Finds the data of events: `\n` as line break, one `data` line in each, which is all that this server writes. */
export class EventBody {
  /** The decoder of a body that has turned out to be more than ASCII. */
  decoder = undefined
  /** The start of a line whose end has not come. */
  rest = ""
  data = ""

  constructor(deliver) {
    this.deliver = deliver
  }

  write(chunk) {
    if (this.decoder === undefined && !isAscii(chunk)) this.decoder = new TextDecoder()
    const text = this.decoder === undefined ? chunk.latin1Slice() : this.decoder.decode(chunk, { stream: true })
    let start = 0
    let end = text.indexOf("\n")
    while (end !== -1) {
      const line = start === 0 && this.rest !== "" ? this.rest + text.slice(0, end) : text.slice(start, end)
      if (start === 0) this.rest = ""
      if (line === "") this.dispatch()
      else if (line.startsWith("data: ")) this.data = line.slice(6)
      start = end + 1
      end = text.indexOf("\n", start)
    }
    this.rest = start === 0 ? this.rest + text : text.slice(start)
  }

  dispatch() {
    if (this.data === "") return
    const message = JSON.parse(this.data)
    this.data = ""
    this.deliver(message)
  }

  end() {}
}

class Handler {
  body = undefined

  constructor(deliver, resolve, reject) {
    this.deliver = deliver
    this.resolve = resolve
    this.reject = reject
  }

  onRequestStart() {}

  onResponseStart(_controller, status, headers) {
    if (status !== 200) throw new Error(`status ${status}`)
    this.body = headers["content-type"] === "application/json"
      ? new JsonBody(this.deliver)
      : new EventBody(this.deliver)
  }

  onResponseData(_controller, chunk) {
    this.body.write(chunk)
  }

  onResponseEnd() {
    this.body.end()
    this.resolve()
  }

  onResponseError(_controller, error) {
    this.reject(error)
  }
}

/** What every request says of itself. */
export const headers = {
  accept: "application/json, text/event-stream",
  "content-type": "application/json",
  "mcp-session-id": "session-of-the-bench",
  "mcp-protocol-version": "2025-11-25"
}

/** After the handshake: `(message, deliver, resolve, reject)` posts, and calls one of the last two at the end of the answer. */
export const beginning = async (url) => {
  const { origin, pathname, search } = new URL(url)
  const agent = new Agent()
  const path = pathname + search
  const begin = (message, deliver, resolve, reject) =>
    agent.dispatch(
      { origin, path, method: "POST", headers, body: JSON.stringify(message) },
      new Handler(deliver, resolve, reject)
    )
  await new Promise((resolve, reject) => begin(initializeMessage, () => {}, resolve, reject))
  return begin
}

/** The same: `(message, deliver)` gives a promise of the end of the answer. */
export const posting = async (url) => {
  const begin = await beginning(url)
  return (message, deliver) => new Promise((resolve, reject) => begin(message, deliver, resolve, reject))
}

export const connect = async (url, tally) => {
  const post = await posting(url)
  const deliver = (message) => tally.message(message)
  let id = 0
  return { loop: promiseLoop(() => post(callMessage(++id), deliver)) }
}
