/**
 * What the proxy knows of HTTP/1.1 and of event streams, without sockets: for every way to cut the bytes in two, and byte by
 * byte.
 */
import * as FaultProxy from "@effect-mcp/testing/FaultProxy"
import { assert, describe, it } from "@effect/vitest"
import { eventBoundaries } from "../../packages/testing/src/internal/faultProxy/eventBoundaries.ts"
import { growingBytes } from "../../packages/testing/src/internal/faultProxy/growingBytes.ts"
import {
  ignoreParts,
  type Part,
  requestReader,
  responseFramer
} from "../../packages/testing/src/internal/faultProxy/httpFraming.ts"
import { stagesOf, type Step } from "../../packages/testing/src/internal/faultProxy/stages.ts"
import { beginningOf, chunk, chunkedHead, withLength } from "./faultProxyPeers.ts"

const bytesOf = (text: string): Buffer => Buffer.from(text, "latin1")

/** The text whole, cut in two everywhere, and byte by byte. */
const cuttings = (text: string): ReadonlyArray<ReadonlyArray<string>> => [
  [text],
  ...Array.from({ length: Math.max(0, text.length - 1) }, (_, at) => [text.slice(0, at + 1), text.slice(at + 1)]),
  Array.from(text)
]

const plainStream = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n\r\n"

describe("growing bytes", () => {
  it("keep their order through growth and removal", () => {
    const bytes = growingBytes()
    let expected = ""
    let counter = 0
    for (let round = 0; round < 2000; round++) {
      const piece = String(counter++).repeat(1 + (round * 7919) % 40)
      bytes.append(Buffer.from(piece))
      expected += piece
      const gone = (round * 104_729) % (expected.length + 1)
      if (round % 3 === 0) {
        bytes.drop(gone)
        expected = expected.slice(gone)
      }
      assert.strictEqual(bytes.length(), expected.length)
      if (round % 50 === 0) assert.strictEqual(bytes.view().toString(), expected)
    }
    assert.strictEqual(bytes.view().toString(), expected)
  })
})

describe("requests", () => {
  const read = (pieces: ReadonlyArray<string>) => {
    const reader = requestReader()
    const requests = pieces.flatMap((piece) => reader.push(bytesOf(piece)))
    return { requests, rest: reader.rest().toString("latin1") }
  }

  const pipelined = [
    "GET /a?b=c HTTP/1.1\r\nHost: x\r\nX-Twice: 1\r\nx-twice: 2\r\n\r\n",
    "POST /length HTTP/1.1\r\ncontent-length: 11\r\n\r\nhello\r\n\r\nGE",
    `POST /chunked HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n${
      chunk("one\r\n\r\n")
    }5;x=y\r\n, two\r\n0\r\nx-trailer: 1\r\n\r\n`,
    "\r\nDELETE /last HTTP/1.0\r\n\r\n"
  ]

  it("are found wherever they are cut", () => {
    for (const pieces of cuttings(`${pipelined.join("")}PATCH /`)) {
      const { requests, rest } = read(pieces)
      assert.deepStrictEqual(requests.map(({ bytes }) => bytes.toString("latin1")), pipelined)
      assert.deepStrictEqual(requests.map(({ method, path }) => `${method} ${path}`), [
        "GET /a?b=c",
        "POST /length",
        "POST /chunked",
        "DELETE /last"
      ])
      assert.deepStrictEqual(requests.map(({ body }) => body), ["", "hello\r\n\r\nGE", "one\r\n\r\n, two", ""])
      assert.strictEqual(requests[0]?.headers["x-twice"], "1, 2")
      assert.isTrue(requests.every(({ isRaw }) => !isRaw))
      assert.strictEqual(rest, "PATCH /")
    }
  })

  it("that are none are raw at once", () => {
    const raw = [
      "\x16\x03\x01\x02",
      "GET\tx",
      "GET / HTTP/2",
      "hello world\r\n",
      "POST / HTTP/1.1\r\ncontent-length: x\r\n\r\n",
      "POST / HTTP/1.1\r\ncontent-length: 1, 2\r\n\r\n",
      "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n"
    ]
    for (const text of raw) {
      for (const pieces of [[text], Array.from(text)]) {
        const { requests, rest } = read(pieces)
        assert.isTrue(requests[0]?.isRaw, text)
        const bytes = requests.map((request) => request.bytes.toString("latin1")).join("") + rest
        assert.strictEqual(bytes, text)
      }
    }
  })

  it("with endless heads or huge bodies are raw", () => {
    const endless = read(["GET / HTTP/1.1\r\n", ...Array.from({ length: 40 }, () => `x: ${"y".repeat(40_000)}\r\n`)])
    assert.isTrue(endless.requests[0]?.isRaw)
    const huge = read([
      "POST / HTTP/1.1\r\ncontent-length: 99999999\r\n\r\n",
      ...Array.from({ length: 18 }, () => "y".repeat(1024 * 1024))
    ])
    assert.isTrue(huge.requests[0]?.isRaw)
  })
})

describe("responses", () => {
  const read = (method: string, pieces: ReadonlyArray<string>) => {
    const framer = responseFramer(method)
    const parts: Array<readonly [Part, string]> = []
    let length = 0
    for (const piece of pieces) {
      length += framer.read(bytesOf(piece), {
        ...ignoreParts,
        onPart: (part, bytes) => parts.push([part, bytes.toString("latin1")])
      })
      if (framer.isComplete()) break
    }
    const textOf = (wanted: Part) => parts.filter(([part]) => part === wanted).map(([, text]) => text).join("")
    assert.strictEqual(parts.map(([, text]) => text).join(""), pieces.join("").slice(0, length))
    return { length, isComplete: framer.isComplete(), isUpgrade: framer.isUpgrade(), textOf }
  }

  const cases: ReadonlyArray<readonly [name: string, method: string, response: string, payload: string]> = [
    ["content-length", "GET", withLength("hello"), "hello"],
    ["an empty body", "GET", withLength(""), ""],
    ["chunks", "GET", `${chunkedHead}${chunk("a\r\n\r\nb")}${chunk("c")}0\r\n\r\n`, "a\r\n\r\nbc"],
    ["a trailer", "GET", `${chunkedHead}${chunk("abc")}00;last\r\nx: y\r\nz: 0\r\n\r\n`, "abc"],
    ["HEAD", "HEAD", "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n", ""],
    ["204", "GET", "HTTP/1.1 204 No Content\r\ntransfer-encoding: chunked\r\n\r\n", ""],
    ["304", "GET", "HTTP/1.1 304\r\ncontent-length: 7\r\n\r\n", ""],
    ["interim responses", "GET", `HTTP/1.1 103 Early\r\nlink: x\r\n\r\nHTTP/1.1 100\r\n\r\n${withLength("x")}`, "x"],
    ["lines that end with LF", "GET", "HTTP/1.1 200 OK\ncontent-length: 2\n\nhi", "hi"],
    ["one length twice", "GET", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\nhi", "hi"]
  ]
  it.each(cases)("with %s end where they do", (_, method, response, payload) => {
    for (const pieces of cuttings(response)) {
      const last = pieces.at(-1) ?? ""
      const read1 = read(method, [...pieces.slice(0, -1), `${last}HTTP/1.1 the next`])
      assert.strictEqual(read1.length, response.length)
      assert.isTrue(read1.isComplete)
      assert.strictEqual(read1.textOf("Payload"), payload)
    }
  })

  const endless: ReadonlyArray<readonly [name: string, method: string, response: string, part: Part, rest: string]> = [
    ["until close", "GET", "HTTP/1.1 200 OK\r\n\r\nabc", "Payload", "abc"],
    ["a length that makes no sense", "GET", "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\nabc", "Payload", "abc"],
    ["another coding", "GET", "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\nabc", "Payload", "abc"],
    ["an upgrade", "GET", "HTTP/1.1 101 Switching\r\ncontent-length: 0\r\n\r\nabc", "Payload", "abc"],
    ["a tunnel", "CONNECT", "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\nabc", "Payload", "abc"],
    ["broken chunks", "GET", `${chunkedHead}xyz\r\nabc`, "Raw", "abc"],
    ["content too long for its chunk", "GET", `${chunkedHead}1\r\nabc\r\nd`, "Raw", "d"]
  ]
  it.each(endless)("with %s have no end", (_, method, response, part, rest) => {
    for (const pieces of cuttings(response)) {
      const { isComplete, length, textOf } = read(method, pieces)
      assert.isFalse(isComplete)
      assert.strictEqual(length, response.length)
      assert.strictEqual(textOf(part), rest)
    }
  })

  it("that are none are raw", () => {
    for (const response of ["SSH-2.0-x\r\n", "HTTP/2 200\r\n\r\nx", "HTTQ"]) {
      for (const pieces of cuttings(response)) {
        const { isComplete, length } = read("GET", pieces)
        assert.isFalse(isComplete)
        assert.strictEqual(length, response.length)
      }
    }
  })

  it("with an endless head are raw", () => {
    const { isComplete, textOf } = read("GET", [
      "HTTP/1.1 200 OK\r\n",
      ...Array.from({ length: 40 }, () => `x: ${"y".repeat(40_000)}\r\n`)
    ])
    assert.isFalse(isComplete)
    assert.isAbove(textOf("Raw").length, 100_000)
  })
})

describe("events", () => {
  /** The offsets in all of the text, and those that a byte more has decided. */
  const ends = (pieces: ReadonlyArray<string>): ReadonlyArray<number> => {
    const boundaries = eventBoundaries()
    const found: Array<number> = []
    let before = 0
    for (const piece of pieces) {
      for (const end of boundaries.read(bytesOf(piece))) found.push(before + end)
      before += piece.length
    }
    return found
  }

  const streams: ReadonlyArray<readonly [name: string, events: ReadonlyArray<string>, rest: string]> = [
    ["LF", ["data: a\n\n", "id: 1\ndata: b\n\n", "data\n\n"], "data: c\n"],
    ["CR LF", ["data: a\r\n\r\n", "id: 1\r\ndata: b\r\n\r\n"], "data: c\r\n"],
    ["CR", ["data: a\r\r", "id: 1\rdata: b\r\r"], "data: c\r"],
    ["mixed ends", ["data: a\n\r\n", "data: b\r\n\n", "data: c\n\n"], ": d"],
    ["comments", [": x\n\n:\n\ndata: a\n\n", "\n\n: y\ndata: b\n\n"], ": z\n\n"],
    ["an id only", ["id: 1\n\n", "data:\n\n"], "\n\n"]
  ]
  it.each(streams)("end where they do: %s", (_, events, rest) => {
    const expected = events.map((_, at) => events.slice(0, at + 1).join("").length)
    for (const pieces of cuttings(events.join("") + rest)) {
      assert.deepStrictEqual(ends(pieces), expected, JSON.stringify(pieces))
    }
  })
})

describe("stages", () => {
  const run = (
    faults: ReadonlyArray<FaultProxy.Fault>,
    pieces: ReadonlyArray<string>,
    method = "GET"
  ): ReadonlyArray<string> => {
    const stages = stagesOf(faults, method)
    const steps = [...pieces.flatMap((piece) => Array.from(stages.push(bytesOf(piece)))), ...stages.end()]
    const seen: Array<string> = []
    for (const step of steps) {
      const shown = show(step)
      if (step._tag === "Pass" && typeof seen.at(-1) === "string" && !seen.at(-1)?.startsWith("<")) {
        seen.push(`${seen.pop() ?? ""}${shown}`)
      } else seen.push(shown)
      if (step._tag === "Cut") break
    }
    return seen
  }

  const show = (step: Step): string => {
    switch (step._tag) {
      case "Pass":
        return step.bytes.toString("latin1")
      case "Wait":
        return `<wait ${step.millis}>`
      case "Cut":
        return `<${step.how}>`
      case "Turn":
      case "Done":
        return `<${step._tag}>`
    }
  }

  const events = ["id: 0\ndata: a\n\n", "data: bb\n\n", ": c\ndata: ccc\n\n"]
  const body = events.join("")
  const chunked = `${chunkedHead}${chunk(body.slice(0, 5))}${chunk(body.slice(5, 20))}${chunk(body.slice(20))}0\r\n\r\n`

  it("cut at every byte, however the bytes come", () => {
    const response = withLength("id: 1\n\n")
    for (const pieces of cuttings(response)) {
      for (let bytes = 0; bytes <= response.length; bytes++) {
        const expected = [response.slice(0, bytes), "<Reset>"].filter((text) => text !== "")
        assert.deepStrictEqual(run([FaultProxy.cut({ after: { bytes }, how: "Reset" })], pieces), expected)
      }
      const beyond = FaultProxy.cut({ after: { bytes: response.length + 1 } })
      assert.deepStrictEqual(run([beyond], pieces), [response])
    }
  })

  it("cut after events, in bodies of every framing", () => {
    for (const response of [withLength(body), chunked, `${plainStream}${body}`]) {
      for (const pieces of cuttings(response)) {
        for (let count = 0; count <= events.length; count++) {
          const [passed = "", cut] = run([FaultProxy.cut({ after: { events: count } })], pieces)
          assert.strictEqual(cut, "<Close>")
          assert.isTrue(response.startsWith(passed))
          const content = passed.slice(passed.indexOf("\r\n\r\n") + 4)
          assert.strictEqual(response === chunked ? beginningOf(content) : content, events.slice(0, count).join(""))
          if (count > 0) assert.isTrue(passed.endsWith("\n\n"))
        }
        assert.deepStrictEqual(run([FaultProxy.cut({ after: { events: 4 } })], pieces), [response])
      }
    }
  })

  it("see events in event streams only", () => {
    const others = [
      withLength(body, "application/json"),
      withLength(body, "text/event-streams"),
      `HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-encoding: gzip\r\n\r\n${body}`,
      "not http at all\n\n\n\n"
    ]
    for (const response of others) {
      for (const pieces of [[response], Array.from(response)]) {
        const faults = [
          FaultProxy.cut({ after: { events: 0 } }),
          FaultProxy.duplicate({ event: 0 }),
          FaultProxy.reorder({ event: 0 })
        ]
        assert.deepStrictEqual(run(faults, pieces), [response])
      }
    }
    assert.deepStrictEqual(run([FaultProxy.duplicate({ event: 0 })], [withLength("")], "HEAD"), [withLength("")])
  })

  it("stall once and go on", () => {
    for (const pieces of cuttings("HTTP/1.1 200")) {
      const stall = FaultProxy.stall({ after: { bytes: 4 }, duration: "1 second" })
      assert.deepStrictEqual(run([stall], pieces), ["HTTP", "<wait 1000>", "/1.1 200"])
    }
    assert.deepStrictEqual(run([FaultProxy.stall({ after: { bytes: 2 } })], ["HTTP"]), ["HT", "<wait Infinity>", "TP"])
  })

  /** The content of a chunked body, which has to be well formed. */
  const dechunk = (text: string): string => {
    let rest = text
    let content = ""
    for (;;) {
      const [line = ""] = rest.split("\r\n", 1)
      const size = Number.parseInt(line, 16)
      assert.strictEqual(line, size.toString(16))
      content += rest.slice(line.length + 2, line.length + 2 + size)
      assert.strictEqual(rest.slice(line.length + 2 + size, line.length + 4 + size), "\r\n")
      rest = rest.slice(line.length + 4 + size)
      if (size === 0) {
        assert.strictEqual(rest, "")
        return content
      }
    }
  }

  const bodyIn = (response: string): string => {
    const [head = ""] = response.split("\r\n\r\n", 1)
    const rest = response.slice(head.length + 4)
    if (/transfer-encoding: chunked/.test(head)) {
      assert.notMatch(head, /content-length/i)
      return dechunk(rest)
    }
    const length = /content-length: (\d+)/.exec(head)?.[1]
    if (length !== undefined) assert.strictEqual(rest.length, Number(length))
    return rest
  }

  it("duplicate and reorder events, in bodies of every framing", () => {
    const [a = "", b = "", c = ""] = events
    const edits: ReadonlyArray<readonly [ReadonlyArray<FaultProxy.Fault>, string]> = [
      [[FaultProxy.duplicate({ event: 0 })], a + a + b + c],
      [[FaultProxy.duplicate({ event: 2 })], a + b + c + c],
      [[FaultProxy.duplicate({ event: 3 })], a + b + c],
      [[FaultProxy.reorder({ event: 0 })], b + a + c],
      [[FaultProxy.reorder({ event: 1 })], a + c + b],
      [[FaultProxy.reorder({ event: 2 })], a + b + c],
      [[FaultProxy.duplicate({ event: 1 }), FaultProxy.reorder({ event: 0 })], b + a + b + c],
      [[FaultProxy.reorder({ event: 0 }), FaultProxy.duplicate({ event: 1 })], b + a + a + c]
    ]
    for (const response of [withLength(body), chunked, `${plainStream}${body}`]) {
      for (const pieces of cuttings(response)) {
        for (const [faults, expected] of edits) {
          const steps = run(faults, pieces)
          assert.lengthOf(steps, 1)
          assert.strictEqual(bodyIn(steps[0] ?? ""), expected)
        }
      }
    }
  })

  it("keep trailers and unfinished events", () => {
    const unfinished = `${chunkedHead}${chunk("data: a\n\ndata: b\n")}0\r\nx: y\r\n\r\n`
    for (const pieces of cuttings(unfinished)) {
      const [reordered = ""] = run([FaultProxy.reorder({ event: 0 })], pieces)
      assert.isTrue(reordered.endsWith("\r\n0\r\nx: y\r\n\r\n"))
      const content = reordered.slice(chunkedHead.length, -"x: y\r\n\r\n".length)
      assert.strictEqual(dechunk(`${content}\r\n`), "data: a\n\ndata: b\n")
    }
    const broken = `${chunkedHead}${chunk("data: a\n\n")}`
    const [lost = ""] = run([FaultProxy.reorder({ event: 0 })], [broken])
    assert.strictEqual(lost, broken)
  })

  it("apply in the order of the list", () => {
    const duplicate = FaultProxy.duplicate({ event: 0 })
    const cut = FaultProxy.cut({ after: { events: 2 } })
    const [head = ""] = chunked.split("\r\n\r\n", 1)
    const [first = ""] = run([duplicate, cut], [chunked])
    assert.strictEqual(dechunk(`${first.slice(head.length + 4)}\r\n0\r\n\r\n`), `${events[0]}${events[0]}`)
    const [second = ""] = run([cut, duplicate], [chunked])
    assert.include(second, "bb")
    const split = FaultProxy.split({ size: 2 })
    const delay = FaultProxy.delay({ by: 5 })
    assert.deepStrictEqual(run([split, delay], ["abc"]), ["<wait 5>", "ab", "<Turn>", "<wait 5>", "c", "<Turn>"])
    assert.deepStrictEqual(run([delay, split], ["abc"]), ["<wait 5>", "ab", "<Turn>", "c", "<Turn>"])
  })
})
