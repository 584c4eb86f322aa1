/**
 * The proxy over real sockets: raw TCP on both sides where bytes count, node:http and fetch where behaviour does.
 */
import * as FaultProxy from "@effect-mcp/testing/FaultProxy"
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Logger from "effect/Logger"
import * as Scope from "effect/Scope"
import * as Http from "node:http"
import type { Socket } from "node:net"
import {
  answering,
  beginningOf,
  chunk,
  chunkedHead,
  converse,
  eventually,
  get,
  httpServer,
  say,
  tcpClient,
  tcpServer,
  withLength
} from "./faultProxyPeers.ts"

const textOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString("latin1")

const untilConnections = (proxy: FaultProxy.Service, count: number) =>
  eventually(`${count} connections`, Effect.map(proxy.connections, (open) => open === count))

const untilSockets = (server: { readonly sockets: ReadonlySet<Socket> }, count: number) =>
  eventually(`${count} connections at the server`, Effect.sync(() => server.sockets.size === count))

const events = ["data: a\n\n", "data: bb\n\n", "data: ccc\n\n"]
const stream = withLength(events.join(""))
const small = withLength("hi", "text/plain")

describe("without faults", () => {
  it.scopedLive("what comes from the server goes on unchanged, whatever its framing", () =>
    Effect.gen(function*() {
      const answers = [
        [small],
        [chunkedHead, chunk("data: a\n\n").slice(0, 6), chunk("data: a\n\n").slice(6), "0\r\n", "\r\n"],
        ["HTTP/1.1 204 No Content\r\n\r\n"],
        ["HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 304\r\ncontent-length: 5\r\n\r\n"],
        ["HTTP/1.1 200 OK\r\n\r\nuntil", " close"]
      ]
      const server = yield* answering(answers)
      const proxy = yield* FaultProxy.make({ target: server.url })
      assert.match(proxy.url, /^http:\/\/127\.0\.0\.1:\d+\/mcp\?a=1$/)
      assert.notStrictEqual(proxy.url, server.url)
      const client = yield* tcpClient(proxy.url)
      let expected = ""
      for (const answer of answers) {
        client.say(get)
        expected += answer.join("")
        assert.strictEqual(yield* client.untilLength(expected.length), expected)
      }
      assert.strictEqual(yield* proxy.connections, 1)
      for (const socket of server.sockets) socket.end()
      assert.strictEqual(yield* client.ending, "Close")
      const passed = yield* proxy.exchanges
      assert.deepStrictEqual(passed.map(({ response }) => textOf(response)), answers.map((answer) => answer.join("")))
      assert.deepStrictEqual(passed.map(({ connection, index }) => [connection, index]), [
        [0, 0],
        [0, 1],
        [0, 2],
        [0, 3],
        [0, 4]
      ])
      assert.strictEqual(server.heard.length, 1)
      yield* untilConnections(proxy, 0)
      yield* untilSockets(server, 0)
    }))

  it.scopedLive("pipelined requests reach the server one after the other, wherever their bytes are cut", () =>
    Effect.gen(function*() {
      const requests = [
        "POST /one HTTP/1.1\r\ncontent-length: 3\r\n\r\nabc",
        `POST /two HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n${chunk("de")}${chunk("f")}0\r\n\r\n`,
        "HEAD /three HTTP/1.1\r\nx: y\r\n\r\n"
      ]
      const answers = [small, withLength("second", "text/plain"), "HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n"]
      const server = yield* tcpServer((socket, text) => {
        const at = requests.findIndex((_, index) => requests.slice(0, index + 1).join("") === text)
        // What it hears is always a whole number of requests.
        socket.write(answers[at] ?? "HTTP/1.1 500 Cut\r\ncontent-length: 0\r\n\r\n")
      })
      const proxy = yield* FaultProxy.make({ target: server.url })
      const all = requests.join("")
      yield* Effect.forEach(
        Array.from({ length: all.length }, (_, at) => at),
        (at) =>
          Effect.scoped(Effect.gen(function*() {
            const client = yield* tcpClient(proxy.url)
            client.socket.setNoDelay(true)
            client.say(all.slice(0, at))
            yield* Effect.async<void>((resume) => {
              setImmediate(() => setImmediate(() => resume(Effect.void)))
            })
            client.say(all.slice(at))
            assert.strictEqual(yield* client.untilLength(answers.join("").length), answers.join(""))
          })),
        { concurrency: 8, discard: true }
      )
      const bytewise = yield* tcpClient(proxy.url)
      bytewise.socket.setNoDelay(true)
      yield* Effect.promise(() => say(bytewise.socket, Array.from(all)))
      assert.strictEqual(yield* bytewise.untilLength(answers.join("").length), answers.join(""))
      const passed = (yield* proxy.exchanges).slice(-3)
      assert.deepStrictEqual(passed.map(({ body, method, path }) => [method, path, body]), [
        ["POST", "/one", "abc"],
        ["POST", "/two", "def"],
        ["HEAD", "/three", ""]
      ])
      assert.strictEqual(passed[2]?.headers["x"], "y")
      assert.strictEqual(server.heard.at(-1), all)
    }))

  it.scopedLive("fetch and node:http work through it", () =>
    Effect.gen(function*() {
      const bodies: Array<string> = []
      const server = yield* httpServer(({ method }, body, response) => {
        bodies.push(body)
        if (method === "DELETE") response.writeHead(204).end()
        else if (method === "GET") response.writeHead(200, { "content-type": "text/event-stream" }).end("id: 1\n\n")
        else response.end(JSON.stringify({ echoed: body }))
      })
      const proxy = yield* FaultProxy.make({ target: server.url })
      for (let round = 0; round < 5; round++) {
        const body = "é".repeat(round * 20_000)
        const posted = yield* Effect.promise(() => fetch(proxy.url, { method: "POST", body }).then((r) => r.json()))
        assert.deepStrictEqual(posted, { echoed: body })
        const got = yield* Effect.promise(() => fetch(proxy.url).then((r) => r.text()))
        assert.include(got, "id: 1")
        const deleted = yield* Effect.promise(() => fetch(proxy.url, { method: "DELETE" }))
        assert.strictEqual(deleted.status, 204)
      }
      const status = yield* Effect.async<number | undefined>((resume) => {
        const request = Http.request(proxy.url, { method: "POST", headers: { "transfer-encoding": "chunked" } })
        request.on("response", (response) => {
          response.resume().on("end", () => resume(Effect.succeed(response.statusCode)))
        })
        request.write("a")
        request.end("b")
      })
      assert.strictEqual(status, 200)
      assert.strictEqual((yield* proxy.exchanges).at(-1)?.body, "ab")
      assert.strictEqual(bodies.at(-1), "ab")
    }))

  it.scopedLive("what is not HTTP goes both ways as one exchange", () =>
    Effect.gen(function*() {
      const server = yield* tcpServer((socket, text) => {
        if (text.endsWith("?\n")) socket.write(`heard ${text.length}\n`)
        if (text.endsWith("bye\n")) socket.end("bye\n")
      })
      const proxy = yield* FaultProxy.make({ target: server.url })
      const client = yield* tcpClient(proxy.url)
      client.say("\x01\x02\r\n\r\nwho?\n")
      assert.strictEqual(yield* client.until("an answer", (text) => text.endsWith("\n")), "heard 11\n")
      client.say("GET / HTTP/1.1\r\n\r\nwhat?\n")
      yield* client.until("the second answer", (text) => text.split("\n").length === 3)
      client.say("bye\n")
      assert.strictEqual(yield* client.ending, "Close")
      assert.strictEqual(client.heard(), "heard 11\nheard 35\nbye\n")
      const [exchange, ...others] = yield* proxy.exchanges
      assert.deepStrictEqual(others, [])
      assert.strictEqual(exchange?.method, "")
      assert.strictEqual(exchange?.body, "\x01\x02\r\n\r\nwho?\n")
      assert.strictEqual(textOf(exchange?.response ?? new Uint8Array()), client.heard())
    }))

  it.scopedLive("an upgraded connection is left alone", () =>
    Effect.gen(function*() {
      const head = "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n"
      const server = yield* tcpServer((socket, text) => socket.write(text.endsWith("\r\n\r\n") ? head : "pong"))
      const proxy = yield* FaultProxy.make({ target: server.url })
      const client = yield* tcpClient(proxy.url)
      client.say("GET / HTTP/1.1\r\nupgrade: x\r\n\r\n")
      yield* client.untilLength(head.length)
      client.say("ping")
      assert.strictEqual(yield* client.until("pong", (text) => text.endsWith("pong")), `${head}pong`)
      client.say("ping")
      yield* client.until("pong again", (text) => text.endsWith("pongpong"))
      client.socket.end()
      yield* untilSockets(server, 0)
      yield* untilConnections(proxy, 0)
    }))

  it.scopedLive("a request whose sender has ended its side is answered", () =>
    Effect.gen(function*() {
      const server = yield* answering([[small]])
      const proxy = yield* FaultProxy.make({ target: server.url })
      const client = yield* tcpClient(proxy.url)
      client.say(get + get)
      client.socket.end(get)
      assert.strictEqual(yield* client.ending, "Close")
      // The server, like many, ends its side when the client does: what it had said by then has come.
      assert.isTrue(client.heard().startsWith(small + small))
      yield* untilSockets(server, 0)
    }))

  it.scopedLive("a client that goes away is gone for the server, too", () =>
    Effect.gen(function*() {
      let open = 0
      const server = yield* httpServer((_, __, response) => {
        open++
        response.on("close", () => open--)
        response.writeHead(200, { "content-type": "text/event-stream" }).write("id: 1\n\n")
      })
      const proxy = yield* FaultProxy.make({ target: server.url })
      const controller = new AbortController()
      const response = yield* Effect.promise(() => fetch(proxy.url, { signal: controller.signal }))
      assert.strictEqual(response.status, 200)
      assert.strictEqual(open, 1)
      controller.abort()
      yield* eventually("the server sees it", Effect.sync(() => open === 0))
      yield* untilSockets(server, 0)
    }))

  it.scopedLive("a reset by the server is a reset for the client", () =>
    Effect.gen(function*() {
      const server = yield* tcpServer((socket) => {
        socket.write(stream.slice(0, 50), () => setTimeout(() => socket.resetAndDestroy(), 5))
      })
      const proxy = yield* FaultProxy.make({ target: server.url })
      assert.deepStrictEqual(yield* converse(proxy.url, get), { heard: stream.slice(0, 50), ending: "Reset" })
    }))

  it.scopedLive("a target that is not there resets the client", () =>
    Effect.gen(function*() {
      const gone = yield* Effect.scoped(Effect.map(tcpServer(() => {}), ({ url }) => url))
      const proxy = yield* FaultProxy.make({ target: gone, faults: [[], [FaultProxy.lose()]] })
      assert.deepStrictEqual(yield* converse(proxy.url, get), { heard: "", ending: "Reset" })
      assert.deepStrictEqual(yield* converse(proxy.url, get), { heard: "", ending: "Reset" })
      yield* untilConnections(proxy, 0)
      assert.strictEqual((yield* proxy.exchanges)[0]?.total, 0)
    }))
})

describe("cut", () => {
  it.scopedLive("is exact at every byte, however it ends", () =>
    Effect.gen(function*() {
      const response = `${withLength("data: a\n\n")}`
      const server = yield* answering([[response.slice(0, 20), response.slice(20, 90), response.slice(90)]])
      const positions = Array.from({ length: response.length + 2 }, (_, bytes) => bytes)
      const hows = ["Close", "Reset", "HalfOpen"] as const
      for (const how of hows) {
        const proxy = yield* FaultProxy.make({
          target: server.url,
          faults: (exchange) => [FaultProxy.cut({ after: { bytes: Number(exchange.path.slice(1)) }, how })]
        })
        const check = (bytes: number) =>
          Effect.scoped(Effect.gen(function*() {
            const client = yield* tcpClient(proxy.url)
            client.say(`GET /${bytes} HTTP/1.1\r\n\r\n`)
            yield* client.untilLength(Math.min(bytes, response.length))
            if (bytes <= response.length) {
              if (how === "HalfOpen") {
                yield* eventually("the exchange", Effect.map(proxy.exchanges, ({ length }) => length === bytes + 1))
                // Everything that could still come has come when the server's side is gone.
                yield* untilSockets(server, 0)
              } else assert.strictEqual(yield* client.ending, how, `after ${bytes} bytes`)
            }
            assert.strictEqual(client.isOpen(), how === "HalfOpen" || bytes > response.length)
            assert.strictEqual(client.heard(), response.slice(0, bytes), `${how} ${bytes}`)
          }))
        yield* Effect.forEach(positions, check, { concurrency: how === "HalfOpen" ? 1 : 8, discard: true })
        const passed = yield* proxy.exchanges
        assert.strictEqual(passed.length, positions.length)
        for (const exchange of passed) {
          const bytes = Number(exchange.path.slice(1))
          assert.strictEqual(textOf(exchange.response), response.slice(0, bytes))
          assert.strictEqual(exchange.total, Math.min(bytes, response.length))
        }
        yield* untilConnections(proxy, 0)
        yield* untilSockets(server, 0)
      }
    }), 30_000)

  it.scopedLive("half open, the server is left and the client stays, without anything more", () =>
    Effect.gen(function*() {
      const server = yield* answering([[stream]])
      const proxy = yield* FaultProxy.make({
        target: server.url,
        faults: [[FaultProxy.cut({ after: { events: 1 }, how: "HalfOpen" })]]
      })
      const client = yield* tcpClient(proxy.url)
      client.say(get)
      const expected = stream.slice(0, stream.indexOf("data: bb"))
      yield* client.untilLength(expected.length)
      yield* untilSockets(server, 0)
      client.say(get)
      assert.strictEqual(client.heard(), expected)
      assert.isTrue(client.isOpen())
      assert.strictEqual(yield* proxy.connections, 1)
      assert.lengthOf(yield* proxy.exchanges, 1)
      client.socket.end()
      yield* untilConnections(proxy, 0)
    }))

  it.scopedLive("after events, with every framing and wherever the server's chunks end", () =>
    Effect.gen(function*() {
      const crlf = ["id: 1\r\ndata: a\r\n\r\n", ": note\r\n\r\ndata: b\r\n\r\n", "data: c\r\n\r\n"]
      const body = crlf.join("")
      const responses = [
        withLength(body),
        `HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n${body}`,
        `${chunkedHead}${chunk(body.slice(0, 17))}${chunk(body.slice(17))}0\r\n\r\n`
      ]
      for (const response of responses) {
        const server = yield* answering([Array.from(response.matchAll(/[^]{1,13}/g), ([piece]) => piece)])
        const proxy = yield* FaultProxy.make({
          target: server.url,
          faults: (exchange) => [FaultProxy.cut({ after: { events: exchange.index } })]
        })
        for (let count = 0; count <= crlf.length; count++) {
          const { ending, heard } = yield* converse(proxy.url, get)
          assert.strictEqual(ending, "Close")
          assert.isTrue(response.startsWith(heard), heard)
          const content = heard.slice(heard.indexOf("\r\n\r\n") + 4)
          const isChunked = response.startsWith(chunkedHead)
          assert.strictEqual(isChunked ? beginningOf(content) : content, crlf.slice(0, count).join(""))
        }
      }
    }))

  it.scopedLive("in a later exchange of a connection leaves the ones before alone", () =>
    Effect.gen(function*() {
      const server = yield* answering([[small]])
      const proxy = yield* FaultProxy.make({
        target: server.url,
        faults: [[], [], [FaultProxy.cut({ after: { bytes: 9 }, how: "Reset" })]]
      })
      const client = yield* tcpClient(proxy.url)
      client.say(get + get + get + get)
      assert.strictEqual(yield* client.ending, "Reset")
      assert.strictEqual(client.heard(), small + small + small.slice(0, 9))
      assert.lengthOf(yield* proxy.exchanges, 3)
    }))

  it.scopedLive("fetch sees a broken body", () =>
    Effect.gen(function*() {
      const server = yield* httpServer((_, __, response) => {
        response.writeHead(200, { "content-type": "text/event-stream" }).write(events.join(""))
      })
      const proxy = yield* FaultProxy.make({
        target: server.url,
        faults: [[FaultProxy.cut({ after: { events: 1 } })], [FaultProxy.cut({ after: { bytes: 0 }, how: "Reset" })]]
      })
      const response = yield* Effect.promise(() => fetch(proxy.url))
      const body = yield* Effect.promise(() => response.text().then(() => "whole", () => "broken"))
      assert.strictEqual(body, "broken")
      const outcome = yield* Effect.promise(() => fetch(proxy.url).then(() => "answered", () => "failed"))
      assert.strictEqual(outcome, "failed")
    }))
})

describe("timing", () => {
  it.scopedLive("a stall ends by itself", () =>
    Effect.gen(function*() {
      const server = yield* answering([[stream]])
      const proxy = yield* FaultProxy.make({
        target: server.url,
        faults: [[FaultProxy.stall({ after: { events: 1 }, duration: "40 millis" })]]
      })
      const client = yield* tcpClient(proxy.url)
      client.say(get + get)
      const before = yield* client.until("the beginning", (text) => text.endsWith("data: a\n\n"))
      assert.strictEqual(before, stream.slice(0, stream.indexOf("data: bb")))
      assert.strictEqual(yield* client.untilLength(2 * stream.length), stream + stream)
    }))

  it.scopedLive("a stall for ever ends with the client", () =>
    Effect.gen(function*() {
      const server = yield* answering([[stream]])
      const proxy = yield* FaultProxy.make({
        target: server.url,
        faults: () => [FaultProxy.stall({ after: { bytes: 30 } })]
      })
      const client = yield* tcpClient(proxy.url)
      client.say(get)
      yield* client.untilLength(30)
      yield* proxy.mend
      assert.strictEqual(yield* proxy.connections, 1)
      client.socket.end()
      yield* untilConnections(proxy, 0)
      yield* untilSockets(server, 0)
      assert.strictEqual(client.heard(), stream.slice(0, 30))
      const another = yield* tcpClient(proxy.url)
      another.say(get)
      assert.strictEqual(yield* another.untilLength(stream.length), stream)
      assert.strictEqual(textOf((yield* proxy.exchanges)[1]?.response ?? new Uint8Array()), stream)
    }))

  it.scopedLive("a split response comes in pieces", () =>
    Effect.gen(function*() {
      const server = yield* answering([[stream]])
      const proxy = yield* FaultProxy.make({ target: server.url, faults: () => [FaultProxy.split({ size: 7 })] })
      const client = yield* tcpClient(proxy.url)
      const sizes: Array<number> = []
      client.socket.on("data", (bytes) => sizes.push(bytes.length))
      client.say(get + get)
      assert.strictEqual(yield* client.untilLength(2 * stream.length), stream + stream)
      assert.isAbove(sizes.length, 4)
    }))

  it.scopedLive("a delay comes before each chunk, and a later exchange waits for it", () =>
    Effect.gen(function*() {
      const server = yield* answering([[stream.slice(0, 40), stream.slice(40)], [small]])
      const proxy = yield* FaultProxy.make({ target: server.url, faults: [[FaultProxy.delay({ by: "20 millis" })]] })
      const client = yield* tcpClient(proxy.url)
      client.say(get + get)
      assert.strictEqual(yield* client.untilLength(stream.length + small.length), stream + small)
    }))
})

describe("answers", () => {
  it.scopedLive("respond: the server sees nothing, the connection stays", () =>
    Effect.gen(function*() {
      const server = yield* answering([[small]])
      const proxy = yield* FaultProxy.make({
        target: server.url,
        faults: [
          [FaultProxy.respond({ status: 503, headers: { "Retry-After": "1" }, body: "é" })],
          [],
          [FaultProxy.respond({ status: 204 })],
          [FaultProxy.respond({ status: 404, body: new Uint8Array([65]) })],
          [FaultProxy.respond({ status: 200, headers: { "content-length": "9" }, body: "x" })]
        ]
      })
      const client = yield* tcpClient(proxy.url)
      client.say(get + get + get)
      client.say("HEAD / HTTP/1.1\r\n\r\n")
      client.say("GET / HTTP/1.1\r\nconnection: close\r\n\r\n")
      assert.strictEqual(yield* client.ending, "Close")
      assert.strictEqual(
        client.heard(),
        [
          "HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\ncontent-length: 2\r\n\r\n\xc3\xa9",
          small,
          "HTTP/1.1 204 No Content\r\n\r\n",
          "HTTP/1.1 404 Not Found\r\ncontent-length: 1\r\n\r\n",
          "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nx"
        ].join("")
      )
      assert.deepStrictEqual(server.heard, [get])
      assert.deepStrictEqual((yield* proxy.exchanges)[2]?.faults, [FaultProxy.respond({ status: 204 })])
    }))

  it.scopedLive("the other faults apply to what the proxy responds", () =>
    Effect.gen(function*() {
      const server = yield* answering([[small]])
      const respond = FaultProxy.respond({
        status: 200,
        headers: { "content-type": "text/event-stream" },
        body: events.join("")
      })
      const proxy = yield* FaultProxy.make({
        target: server.url,
        faults: () => [FaultProxy.cut({ after: { events: 2 } }), respond, FaultProxy.lose()]
      })
      const { ending, heard } = yield* converse(proxy.url, get)
      assert.strictEqual(ending, "Close")
      assert.isTrue(heard.endsWith("\r\n\r\ndata: a\n\ndata: bb\n\n"))
      assert.deepStrictEqual(server.heard, [])
    }))

  it.scopedLive("many pipelined requests that the proxy answers", () =>
    Effect.gen(function*() {
      const server = yield* answering([[small]])
      const proxy = yield* FaultProxy.make({
        target: server.url,
        faults: () => [FaultProxy.respond({ status: 200 })],
        keep: 0
      })
      const client = yield* tcpClient(proxy.url)
      const count = 12_000
      client.say(get.repeat(count))
      yield* client.until("all answers", (text) =>
        text.length === count * "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".length)
      const passed = yield* proxy.exchanges
      assert.lengthOf(passed, 10_000)
      assert.strictEqual(passed[0]?.index, 2000)
      assert.strictEqual(passed.at(-1)?.index, count - 1)
      assert.strictEqual(passed[0]?.response.length, 0)
      assert.strictEqual(passed[0]?.total, 38)
    }))

  it.scopedLive("refuse: no answer, and nothing for the server", () =>
    Effect.gen(function*() {
      const server = yield* answering([[small]])
      const proxy = yield* FaultProxy.make({
        target: server.url,
        faults: [[FaultProxy.refuse()], [FaultProxy.refuse({ how: "Reset" })]]
      })
      assert.deepStrictEqual(yield* converse(proxy.url, get), { heard: "", ending: "Close" })
      assert.deepStrictEqual(yield* converse(proxy.url, get), { heard: "", ending: "Reset" })
      assert.deepStrictEqual(server.heard, [])
    }))

  it.scopedLive("lose: the server has answered, and no one hears", () =>
    Effect.gen(function*() {
      const server = yield* answering([[small]])
      const proxy = yield* FaultProxy.make({
        target: server.url,
        faults: [[FaultProxy.lose()], [FaultProxy.lose({ how: "Reset" })]]
      })
      assert.deepStrictEqual(yield* converse(proxy.url, get), { heard: "", ending: "Close" })
      assert.deepStrictEqual(yield* converse(proxy.url, get), { heard: "", ending: "Reset" })
      assert.deepStrictEqual(server.heard, [get, get])
      yield* untilSockets(server, 0)
      const closing = yield* tcpServer((socket) => socket.end())
      const second = yield* FaultProxy.make({ target: closing.url, faults: () => [FaultProxy.lose()] })
      assert.deepStrictEqual(yield* converse(second.url, get), { heard: "", ending: "Close" })
    }))

  it.scopedLive("duplicate and reorder: fetch reads what was meant", () =>
    Effect.gen(function*() {
      const [a = "", b = "", c = ""] = events
      const server = yield* httpServer(({ url = "" }, _, response) => {
        response.setHeader("content-type", "text/event-stream")
        if (url.endsWith("length")) {
          response.setHeader("content-length", (a + b + c).length)
          response.end(a + b + c)
        } else {
          response.write(a.slice(0, 4))
          response.write(a.slice(4) + b)
          response.end(c)
        }
      })
      const proxy = yield* FaultProxy.make({
        target: server.url,
        faults: (exchange) =>
          exchange.path.startsWith("/twice") ? [FaultProxy.duplicate({ event: 1 })] : [FaultProxy.reorder({ event: 0 })]
      })
      const read = (path: string) => Effect.promise(() => fetch(new URL(path, proxy.url)).then((r) => r.text()))
      for (let round = 0; round < 2; round++) {
        assert.strictEqual(yield* read("/twice-chunked"), a + b + b + c)
        assert.strictEqual(yield* read("/twice-length"), a + b + b + c)
        assert.strictEqual(yield* read("/turned-chunked"), b + a + c)
        assert.strictEqual(yield* read("/turned-length"), b + a + c)
      }
    }))
})

describe("plans", () => {
  it.scopedLive("program counts from the next exchange; those under way keep theirs", () =>
    Effect.gen(function*() {
      const unanswered: Array<Socket> = []
      const server = yield* tcpServer((socket, _text, connection) => {
        if (connection === 0) unanswered.push(socket)
        else void say(socket, [small])
      })
      const proxy = yield* FaultProxy.make({
        target: server.url,
        faults: [[FaultProxy.cut({ after: { bytes: 2 } })], [FaultProxy.refuse()]]
      })
      const underWay = yield* tcpClient(proxy.url)
      underWay.say(get)
      yield* eventually("the first at the server", Effect.sync(() => unanswered.length === 1))
      assert.deepStrictEqual(yield* converse(proxy.url, get), { heard: "", ending: "Close" })
      yield* proxy.program([[FaultProxy.cut({ after: { bytes: 3 } })]])
      assert.deepStrictEqual(yield* converse(proxy.url, get), { heard: "HTT", ending: "Close" })
      for (const socket of unanswered) void say(socket, [small])
      yield* underWay.ending
      assert.strictEqual(underWay.heard(), "HT")
      yield* proxy.program((exchange) => [FaultProxy.cut({ after: { bytes: exchange.index } })])
      assert.deepStrictEqual(yield* converse(proxy.url, get), { heard: "HTT", ending: "Close" })
      assert.deepStrictEqual(yield* converse(proxy.url, get), { heard: "HTTP", ending: "Close" })
      yield* proxy.mend
      const client = yield* tcpClient(proxy.url)
      client.say(get)
      assert.strictEqual(yield* client.untilLength(small.length), small)
    }))

  it.scopedLive("per connection", () =>
    Effect.gen(function*() {
      const server = yield* answering([[small]])
      const proxy = yield* FaultProxy.make({
        target: server.url,
        faults: FaultProxy.perConnection([
          [FaultProxy.cut({ after: { bytes: 1 } })],
          (exchange) => exchange.path === "/no" ? [FaultProxy.refuse()] : []
        ])
      })
      assert.deepStrictEqual(yield* converse(proxy.url, get), { heard: "H", ending: "Close" })
      const second = yield* tcpClient(proxy.url)
      second.say(`${get}GET /no HTTP/1.1\r\n\r\n`)
      assert.strictEqual(yield* second.ending, "Close")
      assert.strictEqual(second.heard(), small)
      const third = yield* tcpClient(proxy.url)
      third.say("GET /no HTTP/1.1\r\n\r\n")
      assert.strictEqual(yield* third.untilLength(small.length), small)
      assert.deepStrictEqual((yield* proxy.exchanges).map(({ connection }) => connection), [0, 1, 1, 2])
    }))

  it.scopedLive("a plan that throws resets, and is logged", () =>
    Effect.gen(function*() {
      const logged: Array<string> = []
      const logger = Logger.make(({ message }) => {
        logged.push(String(message))
      })
      const server = yield* answering([[small]])
      const proxy = yield* FaultProxy.make({
        target: server.url,
        faults: () => {
          throw new Error("my mistake")
        }
      }).pipe(Effect.provide(Logger.replace(Logger.defaultLogger, logger)))
      assert.deepStrictEqual(yield* converse(proxy.url, get), { heard: "", ending: "Reset" })
      assert.match(logged.join(), /my mistake/)
    }))

  const exchange = (index: number): FaultProxy.Exchange => ({
    index,
    connection: 0,
    method: "GET",
    path: "/",
    headers: FaultProxy.respond({ status: 200 }).headers,
    body: ""
  })
  const planned = (plan: FaultProxy.Plan, count = 2000) => Array.from({ length: count }, (_, at) => plan(exchange(at)))

  it("seeded faults can be had again", () => {
    const everything: ReadonlyArray<FaultProxy.Fault["_tag"]> = [
      "Cut",
      "Stall",
      "Split",
      "Delay",
      "Respond",
      "Refuse",
      "Lose",
      "Duplicate",
      "Reorder"
    ]
    const all = planned(FaultProxy.seeded("a", { rate: 1, faults: everything }))
    assert.deepStrictEqual(planned(FaultProxy.seeded("a", { rate: 1, faults: everything })), all)
    assert.notDeepEqual(planned(FaultProxy.seeded("b", { rate: 1, faults: everything })), all)
    assert.deepStrictEqual(FaultProxy.seeded("a", { rate: 1, faults: everything })(exchange(77)), all[77])
    assert.deepStrictEqual(new Set(all.flat().map(({ _tag }) => _tag)), new Set(everything))
    assert.isTrue(all.every((faults) => faults.length === 1))
    for (const kind of everything) {
      const share = all.flat().filter(({ _tag }) => _tag === kind).length / all.length
      assert.closeTo(share, 1 / everything.length, 0.04, kind)
    }
    const sometimes = planned(FaultProxy.seeded(7)).flat()
    assert.closeTo(sometimes.length / 2000, 0.3, 0.05)
    for (const fault of sometimes) {
      assert.notInclude(["Respond", "Duplicate", "Reorder"], fault._tag)
      if (fault._tag === "Cut") assert.notStrictEqual(fault.how, "HalfOpen")
      if (fault._tag === "Stall") assert.isAtMost(Duration.toMillis(fault.duration), 50)
    }
    assert.notDeepEqual(planned(FaultProxy.seeded(7)), planned(FaultProxy.seeded("7")))
    assert.deepStrictEqual(planned(FaultProxy.seeded(7, { rate: 0 })).flat(), [])
    // Pinned: what was found with a seed is found again by later versions.
    assert.deepStrictEqual(planned(FaultProxy.seeded("pinned", { rate: 1 }), 3), pinned)
  })

  const pinned: FaultProxy.Sequence = [
    [FaultProxy.refuse({ how: "Reset" })],
    [FaultProxy.delay({ by: "22 millis" })],
    [FaultProxy.split({ size: 1312 })]
  ]

  it("numbers that make no sense are refused", () => {
    const mistakes: ReadonlyArray<() => unknown> = [
      () => FaultProxy.cut({ after: { bytes: -1 } }),
      () => FaultProxy.cut({ after: { bytes: Number.NaN } }),
      () => FaultProxy.cut({ after: { events: 0.5 } }),
      () => FaultProxy.stall({ after: { events: Number.POSITIVE_INFINITY } }),
      () => FaultProxy.stall({ after: { events: 1 }, duration: -1 }),
      () => FaultProxy.delay({ by: Number.NaN }),
      () => FaultProxy.delay({ by: "-3 millis" }),
      () => FaultProxy.split({ size: 0 }),
      () => FaultProxy.respond({ status: 100 }),
      () => FaultProxy.respond({ status: 1000 }),
      () => FaultProxy.respond({ status: 200, headers: { a: "b\r\nc: d" } }),
      () => FaultProxy.duplicate({ event: -1 }),
      () => FaultProxy.reorder({ event: 1.5 }),
      () => FaultProxy.seeded(1, { rate: 1.1 }),
      () => FaultProxy.seeded(1, { rate: Number.NaN }),
      () => FaultProxy.seeded(1, { faults: [] }),
      () => FaultProxy.seeded(1, { maxBytes: 0 }),
      () => FaultProxy.seeded(1, { maxDelay: Duration.infinity })
    ]
    for (const mistake of mistakes) assert.throws(mistake, /^FaultProxy: /, String(mistake))
  })

  it.scopedLive("options that make no sense are defects", () =>
    Effect.gen(function*() {
      for (const options of [{ target: "https://127.0.0.1/" }, { target: "x" }, { target: "http://x", keep: -1 }]) {
        const exit = yield* Effect.exit(FaultProxy.make(options))
        assert.isTrue(Exit.isFailure(exit) && exit.cause._tag === "Die")
      }
    }))
})

describe("backpressure", () => {
  const whole = 96 * 1024 * 1024

  /** Writes until it is done or the other side goes; counts what was taken. */
  const pour = (socket: Socket): { readonly taken: () => number } => {
    const piece = Buffer.alloc(64 * 1024, "x")
    let written = 0
    const write = () => {
      while (written < whole) {
        written += piece.length
        if (!socket.write(piece)) {
          socket.once("drain", write)
          return
        }
      }
    }
    write()
    return { taken: () => written }
  }

  /** What was taken when no more is taken. */
  const settled = (taken: () => number) =>
    Effect.gen(function*() {
      let last = -1
      let rounds = 0
      yield* eventually(
        "a side that takes no more",
        Effect.sync(() => {
          rounds = taken() === last ? rounds + 1 : 0
          last = taken()
          return rounds > 60
        })
      )
      return last
    })

  it.scopedLive("a client that does not read bounds what is read from the server", () =>
    Effect.gen(function*() {
      const poured = yield* Deferred.make<{ readonly taken: () => number }>()
      const server = yield* tcpServer((socket) => {
        socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${whole}\r\n\r\n`)
        Deferred.unsafeDone(poured, Effect.succeed(pour(socket)))
      })
      const proxy = yield* FaultProxy.make({ target: server.url })
      const client = yield* tcpClient(proxy.url)
      let length = 0
      client.socket.removeAllListeners("data").on("data", (bytes) => {
        length += bytes.length
      })
      client.socket.pause()
      client.say(get)
      const { taken } = yield* Deferred.await(poured)
      assert.isBelow(yield* settled(taken), whole / 2)
      const [exchange] = yield* proxy.exchanges
      assert.strictEqual(exchange?.response.length, 64 * 1024)
      client.socket.resume()
      yield* eventually("all of it", Effect.sync(() => length > whole))
      assert.strictEqual((yield* proxy.exchanges)[0]?.total, length)
    }))

  it.scopedLive("a stall bounds it, too", () =>
    Effect.gen(function*() {
      const poured = yield* Deferred.make<{ readonly taken: () => number }>()
      const server = yield* tcpServer((socket) => {
        socket.write(`HTTP/1.1 200 OK\r\n\r\n`)
        Deferred.unsafeDone(poured, Effect.succeed(pour(socket)))
      })
      const proxy = yield* FaultProxy.make({
        target: server.url,
        faults: () => [FaultProxy.split({ size: 1000 }), FaultProxy.stall({ after: { bytes: 10_000 } })]
      })
      const client = yield* tcpClient(proxy.url)
      client.say(get)
      const { taken } = yield* Deferred.await(poured)
      assert.isBelow(yield* settled(taken), whole / 2)
      assert.lengthOf(client.heard(), 10_000)
    }))

  it.scopedLive("a server that does not read bounds what is read from the client", () =>
    Effect.gen(function*() {
      const server = yield* tcpServer((socket) => socket.pause())
      const proxy = yield* FaultProxy.make({ target: server.url })
      const client = yield* tcpClient(proxy.url)
      client.say(`POST / HTTP/1.1\r\ncontent-length: ${whole}\r\n\r\n`)
      const { taken } = pour(client.socket)
      assert.isBelow(yield* settled(taken), whole * 0.75)
      for (const socket of server.sockets) socket.removeAllListeners("data").resume()
      yield* eventually("all of it", Effect.sync(() => taken() === whole && client.socket.writableLength === 0))
    }))

  it.scopedLive("requests that have to wait are not read without end", () =>
    Effect.gen(function*() {
      const server = yield* tcpServer(() => {})
      const proxy = yield* FaultProxy.make({ target: server.url })
      const client = yield* tcpClient(proxy.url)
      const request = `POST / HTTP/1.1\r\ncontent-length: 65000\r\n\r\n${"x".repeat(65_000)}`
      let taken = 0
      const write = (): void => {
        while (taken < whole) {
          taken += request.length
          if (!client.socket.write(request)) {
            client.socket.once("drain", write)
            return
          }
        }
      }
      write()
      assert.isBelow(yield* settled(() => taken), whole / 2)
      assert.lengthOf(yield* proxy.exchanges, 1)
    }))
})

describe("ends", () => {
  it.scopedLive("break all: resets every connection of a client", () =>
    Effect.gen(function*() {
      const server = yield* answering([[stream]])
      const proxy = yield* FaultProxy.make({
        target: server.url,
        faults: [
          [],
          [FaultProxy.cut({ after: { bytes: 5 }, how: "HalfOpen" })],
          [FaultProxy.stall({ after: { bytes: 5 } })]
        ]
      })
      const clients = yield* Effect.forEach([stream.length, 5, 5], (length) =>
        Effect.gen(function*() {
          const client = yield* tcpClient(proxy.url)
          client.say(get)
          yield* client.untilLength(length)
          return client
        }))
      assert.strictEqual(yield* proxy.connections, 3)
      yield* proxy.breakAll
      for (const client of clients) assert.strictEqual(yield* client.ending, "Reset")
      yield* untilConnections(proxy, 0)
      yield* untilSockets(server, 0)
      const next = yield* tcpClient(proxy.url)
      next.say(get)
      assert.strictEqual(yield* next.untilLength(stream.length), stream)
    }))

  it.scopedLive("at the end of the scope nothing is left", () =>
    Effect.gen(function*() {
      const server = yield* answering([[stream]])
      const scope = yield* Scope.make()
      const faults: FaultProxy.Sequence = [
        [],
        [FaultProxy.cut({ after: { bytes: 5 }, how: "HalfOpen" })],
        [FaultProxy.stall({ after: { bytes: 5 } })],
        [FaultProxy.stall({ after: { bytes: 5 }, duration: "1 hour" })],
        [FaultProxy.split({ size: 1 }), FaultProxy.delay({ by: "1 minute" })],
        [FaultProxy.cut({ after: { bytes: 5 }, how: "Close" })]
      ]
      const proxy = yield* Scope.extend(FaultProxy.make({ target: server.url, faults }), scope)
      const clients = yield* Effect.forEach([stream.length, 5, 5, 5, 0, 5], (length) =>
        Effect.gen(function*() {
          const client = yield* tcpClient(proxy.url)
          client.say(get)
          yield* client.untilLength(length)
          return client
        }))
      // One that has said nothing, one in the middle of a request.
      const silent = yield* tcpClient(proxy.url)
      const slow = yield* tcpClient(proxy.url)
      slow.say("GET / HT")
      yield* eventually("all", Effect.map(proxy.exchanges, ({ length }) => length === 6))
      yield* untilConnections(proxy, 7)
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(yield* proxy.connections, 0)
      for (const client of [...clients, silent, slow]) yield* client.ending
      yield* untilSockets(server, 0)
      const refused = yield* tcpClient(proxy.url)
      yield* refused.ending
      assert.deepStrictEqual(
        process.getActiveResourcesInfo().filter((name) => name === "Immediate"),
        []
      )
    }))

  it.scopedLive("the layer gives the service", () =>
    Effect.gen(function*() {
      const server = yield* answering([[small]])
      const heard = yield* Effect.gen(function*() {
        const proxy = yield* FaultProxy.FaultProxy
        return yield* converse(proxy.url, get)
      }).pipe(Effect.provide(FaultProxy.layer({
        target: new URL(server.url),
        faults: [[FaultProxy.cut({ after: { bytes: 4 } })]]
      })))
      assert.deepStrictEqual(heard, { heard: "HTTP", ending: "Close" })
    }))
})
