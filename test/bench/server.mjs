/**
 * The server of every workload, on `node:http` alone and in a process of its own. It reads no more of a message than it
 * must, and has everything but ids and tokens ready beforehand.
 *
 * Over IPC it says its URL once it listens, and how many streams it holds open when it is asked `held`.
 */
import { createServer } from "node:http"
import { answerText, parseShape, progressCount, progressText } from "./shape.mjs"

const json = { "content-type": "application/json" }
const eventStream = { "content-type": "text/event-stream", "cache-control": "no-cache" }

const initializeResult = {
  protocolVersion: "2025-11-25",
  capabilities: { tools: {} },
  serverInfo: { name: "bench", version: "1.0.0" }
}
const tools = [{ name: "work", description: "Works.", inputSchema: { type: "object", properties: {} } }]

let held = 0

/** Writes one HTTP chunk for each text, as fast as the client takes them. */
const writeAll = (response, chunks) => {
  let next = 0
  const go = () => {
    while (next < chunks.length) {
      if (!response.write(chunks[next++])) return response.once("drain", go)
    }
    response.end()
  }
  go()
}

const cut = (body, piece) => {
  const bytes = Buffer.from(body)
  return Array.from({ length: Math.ceil(bytes.length / piece) }, (_, n) => bytes.subarray(n * piece, (n + 1) * piece))
}

const join = (chunks, batch) =>
  Array.from(
    { length: Math.ceil(chunks.length / batch) },
    (_, n) => chunks.slice(n * batch, (n + 1) * batch).join("")
  )

/** How a call is answered: `(response, id, progressToken)`. */
const answering = (shape) => {
  const count = progressCount(shape)
  const message = JSON.stringify(progressText(shape))
  const content = JSON.stringify({ content: [{ type: "text", text: answerText(shape) }] })
  const eventId = (token, n) => shape.ids > 0 ? `id: ${token}-${n}\n` : ""
  const event = (token, n, message) =>
    `${
      eventId(token, n)
    }event: message\ndata: {"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":${token},"progress":${n},"total":${count},"message":${message}}}\n\n`
  const answerEvent = (id, token) =>
    `${eventId(token, count + 1)}event: message\ndata: {"jsonrpc":"2.0","id":${id},"result":${content}}\n\n`
  const events = (id, token) => {
    const all = new Array(count + 1)
    for (let n = 1; n <= count; n++) all[n - 1] = event(token, n, message)
    all[count] = answerEvent(id, token)
    return all
  }

  switch (shape.kind) {
    case "json":
      return (response, id) => {
        const body = `{"jsonrpc":"2.0","id":${id},"result":${content}}`
        response.writeHead(200, { ...json, "content-length": Buffer.byteLength(body) }).end(body)
      }
    case "hold":
      return (response, _, token) => {
        held++
        response.once("close", () => held--)
        response.writeHead(200, eventStream).write(event(token, 1, message))
      }
    case "clock":
      return (response, id, token) => {
        response.writeHead(200, eventStream).flushHeaders()
        let n = 0
        const timer = setInterval(() => {
          response.write(event(token, ++n, `"${process.hrtime.bigint()}"`))
          if (n < count) return
          clearInterval(timer)
          response.end(answerEvent(id, token))
        }, 1)
        response.once("close", () => clearInterval(timer))
      }
  }

  if (shape.together > 0) {
    let waiting = []
    return (response, id, token) => {
      response.writeHead(200, eventStream)
      waiting.push({ response, id, token })
      if (waiting.length < shape.together) return
      const all = waiting
      waiting = []
      let n = 0
      const turn = () => {
        n++
        for (const { response, id, token } of all) {
          if (n <= count) response.write(event(token, n, message))
          else response.end(answerEvent(id, token))
        }
        if (n <= count) setImmediate(turn)
      }
      turn()
    }
  }
  return (response, id, token) => {
    const all = events(id, token)
    const chunks = shape.piece > 0
      ? cut(all.join(""), shape.piece)
      : shape.batch > 1
      ? join(all, shape.batch)
      : all
    writeAll(response.writeHead(200, eventStream), chunks)
  }
}

const answers = new Map()

const answerOf = (url) => {
  const known = answers.get(url)
  if (known !== undefined) return known
  const answer = answering(parseShape(url))
  answers.set(url, answer)
  return answer
}

const sendResult = (response, id, result, headers) =>
  response.writeHead(200, { ...json, ...headers }).end(JSON.stringify({ jsonrpc: "2.0", id, result }))

const handle = (request, response, body) => {
  const { id, method, params } = JSON.parse(body)
  if (id === undefined) return response.writeHead(202).end()
  switch (method) {
    case "tools/call":
      return answerOf(request.url)(
        response,
        JSON.stringify(id),
        JSON.stringify(params._meta?.progressToken ?? id)
      )
    case "initialize":
      return sendResult(response, id, initializeResult, { "mcp-session-id": "session-of-the-bench" })
    case "tools/list":
      return sendResult(response, id, { tools })
    default:
      response.writeHead(200, json).end(
        JSON.stringify({ jsonrpc: "2.0", id, error: { code: -32601, message: "Method not found" } })
      )
  }
}

const server = createServer(
  { keepAliveTimeout: 600_000, requestTimeout: 0, headersTimeout: 0 },
  (request, response) => {
    if (request.method !== "POST") {
      return request.resume().once("end", () => response.writeHead(request.method === "GET" ? 405 : 200).end())
    }
    let body = ""
    request.setEncoding("utf8")
    request.on("data", (chunk) => {
      body += chunk
    })
    request.on("end", () => handle(request, response, body))
  }
)

server.listen({ port: 0, host: "127.0.0.1", backlog: 4_096 }, () => {
  process.send({ url: `http://127.0.0.1:${server.address().port}` })
})
process.on("message", () => process.send({ held }))
process.once("disconnect", () => process.exit())
