import { assert, describe, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import { EventStreamParser, utf8Length } from "../../packages/transport/src/internal/eventStream.ts"
import { collectGarbage } from "../support/retention.ts"

type Entry =
  | { readonly id: string | undefined; readonly event: string; readonly data: string | undefined }
  | { readonly retry: number }
  | { readonly tooLarge: string | undefined }

const encode = (text: string): Uint8Array => new TextEncoder().encode(text)

const parse = (chunks: Iterable<Uint8Array>, limit = 1_000_000): ReadonlyArray<Entry> => {
  const entries: Array<Entry> = []
  const parser = new EventStreamParser(limit, {
    onEvent: ({ data, event, id }) => entries.push({ id, event, data }),
    onRetry: (retry) => entries.push({ retry }),
    onTooLarge: (tooLarge) => entries.push({ tooLarge })
  })
  for (const chunk of chunks) parser.push(chunk)
  return entries
}

const parseText = (text: string, limit?: number): ReadonlyArray<Entry> => parse([encode(text)], limit)

const message = (data: string | undefined, id?: string, event = ""): Entry => ({ id, event, data })

const oneByOne = (bytes: Uint8Array): Array<Uint8Array> => Array.from(bytes, (byte) => Uint8Array.of(byte))

/** What a text gives, which is the same whole, cut in two at every byte, in single bytes, and with empty chunks between. */
const inEveryCut = (text: string, limit?: number): ReadonlyArray<Entry> => {
  const bytes = encode(text)
  const whole = parse([bytes], limit)
  const check = (how: string, chunks: ReadonlyArray<Uint8Array>): void =>
    assert.deepStrictEqual(parse(chunks, limit), whole, how)
  check("in single bytes", oneByOne(bytes))
  check("with empty chunks", oneByOne(bytes).flatMap((chunk) => [new Uint8Array(0), chunk]))
  for (let at = 1; at < bytes.length; at++) check(`cut at ${at}`, [bytes.subarray(0, at), bytes.subarray(at)])
  return whole
}

describe("S54: decoding of event streams", () => {
  it("S54: lines end with LF, CR or CRLF, wherever the chunks are cut", () => {
    for (const end of ["\n", "\r", "\r\n"]) {
      const text = ["id: 1", "event: message", "data: a", "", "data: b", "data: c", "", ""].join(end)
      assert.deepStrictEqual(inEveryCut(text), [message("a", "1", "message"), message("b\nc")])
    }
  })

  it("S54: the three line ends may be mixed", () => {
    assert.deepStrictEqual(inEveryCut("data: a\r\ndata: b\rdata: c\n\r\ndata: d\r\rdata: e\n\ndata: f\r\n\n"), [
      message("a\nb\nc"),
      message("d"),
      message("e"),
      message("f")
    ])
  })

  it("S54: a CR at the end of a chunk ends its line at once, and the LF that follows does not end another", () => {
    const entries: Array<string | undefined> = []
    const parser = new EventStreamParser(1000, {
      onEvent: ({ data }) => entries.push(data),
      onRetry: () => {},
      onTooLarge: () => {}
    })
    parser.push(encode("data: a\r"))
    parser.push(encode("\r"))
    assert.deepStrictEqual(entries, ["a"])
    parser.push(encode("\ndata: b\r"))
    parser.push(encode("\n"))
    assert.deepStrictEqual(entries, ["a"])
    parser.push(encode("data: c\r\n\r"))
    assert.deepStrictEqual(entries, ["a", "b\nc"])
    parser.push(encode("\n\r\n"))
    assert.deepStrictEqual(entries, ["a", "b\nc"])
  })

  it("S54: characters of 2, 3 and 4 bytes survive a cut at every byte", () => {
    assert.deepStrictEqual(inEveryCut("id: \u00e9\u20ac\u{1f600}\ndata: \u00e9\u20ac\u{1f600}\u00e9\n\n"), [
      message("\u00e9\u20ac\u{1f600}\u00e9", "\u00e9\u20ac\u{1f600}")
    ])
  })

  it("S54: malformed UTF-8 is replaced and costs nothing else", () => {
    const bytes = [...encode("data: a"), 0xff, 0xe2, 0x82, ...encode("b\n\ndata: c\n\n")]
    for (const chunks of [[Uint8Array.from(bytes)], bytes.map((byte) => Uint8Array.of(byte))]) {
      assert.deepStrictEqual(parse(chunks), [message("a\ufffd\ufffdb"), message("c")])
    }
  })

  it("S54: one BOM at the start is dropped, any other is text", () => {
    assert.deepStrictEqual(inEveryCut("\ufeffdata: a\n\n"), [message("a")])
    assert.deepStrictEqual(inEveryCut("\ufeff\ufeffdata: a\n\ndata: b\n\n"), [message("b")])
    assert.deepStrictEqual(inEveryCut("data: a\n\n\ufeffdata: b\n\ndata: \ufeffc\n\n"), [
      message("a"),
      message("\ufeffc")
    ])
  })

  it("S54: comments are skipped, also within an event, and alone report nothing", () => {
    assert.deepStrictEqual(inEveryCut(": ping\n\n:\n\n:data: no\n\nid: 1\n: in between\ndata: a\n:\n\n: after\n\n"), [
      message("a", "1")
    ])
  })

  it("S54: data lines are joined by LF, only one leading space is dropped", () => {
    assert.deepStrictEqual(inEveryCut("data: a\ndata:b\ndata:  c\ndata\ndata:\ndata: \n\n"), [
      message("a\nb\n c\n\n\n")
    ])
  })

  it("S54: a block with data alone, and with an empty value", () => {
    assert.deepStrictEqual(inEveryCut("data\n\n"), [message("")])
    assert.deepStrictEqual(inEveryCut("data:\n\n"), [message("")])
    assert.deepStrictEqual(inEveryCut("data: \n\n"), [message("")])
  })

  it("S54: only the exact field names count", () => {
    assert.deepStrictEqual(
      inEveryCut("Data: a\ndatab: b\ndat: c\n data: d\ndata : e\nID: 1\nfoo\nfoo: bar\nids: 3\nretry-: 4\ndata: x\n\n"),
      [
        message("x")
      ]
    )
  })

  it("S54: U+2028, U+2029, U+0085, VT and FF do not end a line", () => {
    const data = "a\u2028b\u2029c\u0085d\u000be\u000cf\u001cg"
    assert.deepStrictEqual(inEveryCut(`data: ${data}\n\n`), [message(data)])
  })

  it("S54: an id with a NUL is ignored, and leaves an earlier one of the block", () => {
    assert.deepStrictEqual(inEveryCut("id: a\0b\ndata: 1\n\n"), [message("1")])
    assert.deepStrictEqual(inEveryCut("id: ok\nid: \0\ndata: 2\n\n"), [message("2", "ok")])
  })

  it("S54: the last id of a block wins, and no id is carried over to the next", () => {
    assert.deepStrictEqual(inEveryCut("id: 1\nid: 2\ndata: a\n\ndata: b\n\n"), [message("a", "2"), message("b")])
  })

  it("S54, S48: blocks with an id alone are reported, also an empty one", () => {
    assert.deepStrictEqual(inEveryCut("id: 1\n\nid\n\nid:\n\nid: \n\n"), [
      message(undefined, "1"),
      message(undefined, ""),
      message(undefined, ""),
      message(undefined, "")
    ])
  })

  it("S54: the event name is not carried over", () => {
    assert.deepStrictEqual(
      inEveryCut("event: ping\ndata: a\n\ndata: b\n\nevent: x\nevent: y\ndata: c\n\nevent\ndata: d\n\n"),
      [
        message("a", undefined, "ping"),
        message("b"),
        message("c", undefined, "y"),
        message("d")
      ]
    )
  })

  it("S54: `retry` takes digits only and nothing else", () => {
    const bad = ["-5", "1.5", "1e3", "0x10", "+1", "1 000", "", " 7", "7 ", "\u0661", "12a", "Infinity"]
    assert.deepStrictEqual(
      inEveryCut(bad.map((value) => `retry:${value === " 7" ? "  7" : value}\n`).join("") + "\n"),
      []
    )
    assert.deepStrictEqual(inEveryCut("retry: 0\n\nretry:0250\n\nretry: 3000\ndata: a\n\n"), [
      { retry: 0 },
      { retry: 250 },
      { retry: 3000 },
      message("a")
    ])
  })

  it("S54: a `retry` of any length is a usable number", () => {
    for (const value of ["99999999999999999999", "9".repeat(400)]) {
      const [entry] = parseText(`retry: ${value}\n\n`)
      assert.isTrue(entry !== undefined && "retry" in entry && Number.isSafeInteger(entry.retry) && entry.retry > 1e15)
    }
  })

  it("S54: an event without its blank line is none, and its id does not count", () => {
    for (const text of ["id: 2\ndata: lost", "id: 2\ndata: lost\n", "id: 2\r\ndata: lost\r\n", "id: 2"]) {
      assert.deepStrictEqual(inEveryCut(`id: 1\ndata: a\n\n${text}`), [message("a", "1")])
    }
  })

  it("S54: a long run of blank lines reports nothing", () => {
    assert.deepStrictEqual(inEveryCut(`${"\n".repeat(20)}data: a\n${"\n".repeat(20)}`), [message("a")])
    assert.deepStrictEqual(inEveryCut(`${"\r\n".repeat(10)}data: a\r\n${"\r\n".repeat(10)}`), [message("a")])
  })

  it("S54: nothing is reported after stop, not even from the same chunk", () => {
    const seen: Array<string | undefined> = []
    const parser = new EventStreamParser(1000, {
      onEvent: ({ data }) => {
        seen.push(data)
        if (data === "b") parser.stop()
      },
      onRetry: () => seen.push("retry"),
      onTooLarge: () => seen.push("too large")
    })
    parser.push(encode("data: a\n\ndata: b\n\nretry: 5\ndata: c\n\n"))
    parser.push(encode("data: d\n\n"))
    assert.deepStrictEqual(seen, ["a", "b"])
  })
})

describe("S54: the size limit", () => {
  const texts: ReadonlyArray<readonly [string, string]> = [
    ["ASCII", "abcdefghij"],
    ["2-byte characters", "\u00e9\u00e9\u00e9\u00e9\u00e9"],
    ["3-byte characters", "\u20ac\u20ac\u20acx"],
    ["4-byte characters", "\u{1f600}\u{1f600}xy"],
    ["mixed", "a\u00e9\u20ac\u{1f600}"]
  ]
  for (const [name, data] of texts) {
    it(`is exact in bytes: ${name}`, () => {
      assert.strictEqual(encode(data).length, 10)
      assert.deepStrictEqual(inEveryCut(`id: 7\ndata: ${data}\n\n`, 10), [message(data, "7")])
      assert.deepStrictEqual(inEveryCut(`id: 7\ndata: ${data}\n\n`, 9), [{ tooLarge: "7" }])
    })
  }

  for (const [name, data] of texts) {
    it(`is exact in bytes for events of the usual form: ${name}`, () => {
      const usual = `event: message\ndata: ${data}\n\n`
      assert.deepStrictEqual(inEveryCut(usual + usual, 10), Array(2).fill(message(data, undefined, "message")))
      assert.deepStrictEqual(inEveryCut(usual + usual, 9), [{ tooLarge: undefined }])
    })
  }

  it("counts the line feeds between data lines, and nothing else", () => {
    assert.deepStrictEqual(inEveryCut("data: ab\ndata:cd\ndata\n\n", 6), [message("ab\ncd\n")])
    assert.deepStrictEqual(inEveryCut("data: ab\ndata:cd\ndata\n\n", 5), [{ tooLarge: undefined }])
    assert.deepStrictEqual(inEveryCut("id: a-long-id\nevent: message\n: a comment\ndata: abcdef\n\n", 10), [
      message("abcdef", "a-long-id", "message")
    ])
  })

  it("holds for every event by itself", () => {
    assert.deepStrictEqual(inEveryCut("data: abcd\n\ndata: abcd\n\ndata: abcd\n\n", 4), [
      message("abcd"),
      message("abcd"),
      message("abcd")
    ])
  })

  it("an event that is too large is reported once, with its id, and ends everything", () => {
    const large = "x".repeat(20)
    assert.deepStrictEqual(inEveryCut(`data: a\n\nid: 2\ndata: ${large}\n\nid: 3\ndata: b\n\n`, 10), [message("a"), {
      tooLarge: "2"
    }])
    assert.deepStrictEqual(inEveryCut(`data: a\n\ndata: ${large}\nid: 2\n\nid: 3\ndata: b\n\n`, 10), [message("a"), {
      tooLarge: "2"
    }])
    assert.deepStrictEqual(inEveryCut(`data: a\n\ndata: ${large}\n\nid: 3\ndata: b\n\n`, 10), [message("a"), {
      tooLarge: undefined
    }])
  })

  it("an id after data far over the limit is found however the chunks are cut", () => {
    const text = `data: ${"x".repeat(110)}\ndata: ${"y".repeat(60)}\nid: 2\n\n`
    assert.deepStrictEqual(inEveryCut(text, 100), [{ tooLarge: "2" }])
  })

  it("the id of the block before is never taken for that of the event that is too large", () => {
    assert.deepStrictEqual(inEveryCut(`id: 1\ndata: a\n\ndata: ${"x".repeat(30)}\n\n`, 10), [message("a", "1"), {
      tooLarge: undefined
    }])
  })

  it("many short lines are too large together", () => {
    assert.deepStrictEqual(parseText("data: 1\n".repeat(1000), 100).length, 1)
    assert.deepStrictEqual(parse(Array.from({ length: 1000 }, () => encode("data: 1\n")), 100).length, 1)
    assert.deepStrictEqual(parse(Array.from({ length: 1000 }, () => encode("data\n")), 100).length, 1)
  })

  it("a field of no meaning is treated the same however the chunks are cut", () => {
    assert.strictEqual(inEveryCut(`data: a\nfoo: ${"x".repeat(300)}\nid: 1\n\n`, 100).length, 1)
  })

  it("is not needed to read an event of megabytes", () => {
    const data = "\u20ac".repeat(1_000_000)
    const bytes = encode(`data: ${data}\n\n`)
    const chunks: Array<Uint8Array> = []
    for (let at = 0; at < bytes.length; at += 16_384) chunks.push(bytes.subarray(at, at + 16_384))
    const [entry] = parse(chunks, 3_000_000)
    assert.isTrue(entry !== undefined && "data" in entry && entry.data === data)
    assert.deepStrictEqual(parse(chunks, 2_999_999), [{ tooLarge: undefined }])
  })

  const grown = (feed: () => void): number => {
    const before = process.memoryUsage()
    feed()
    const after = process.memoryUsage()
    return after.heapUsed + after.external - before.heapUsed - before.external
  }

  it("an endless comment takes no memory, and what follows is read", () => {
    const entries: Array<string | undefined> = []
    const parser = new EventStreamParser(1000, {
      onEvent: ({ data }) => entries.push(data),
      onRetry: () => {},
      onTooLarge: () => entries.push("too large")
    })
    const chunk = encode("x".repeat(65_536))
    parser.push(encode("data: a\n:"))
    const bytes = grown(() => {
      for (let i = 0; i < 2_000; i++) parser.push(chunk)
    })
    assert.isBelow(bytes, 64 * 1024 * 1024)
    parser.push(encode("\ndata: b\n\n"))
    assert.deepStrictEqual(entries, ["a\nb"])
  })

  for (const start of ["data: ", "id: ", "event: ", "foo: ", "foo"]) {
    it(`an endless line is bounded in memory: ${start}`, () => {
      const reports: Array<string | undefined> = []
      const parser = new EventStreamParser(100_000, {
        onEvent: () => {},
        onRetry: () => {},
        onTooLarge: () => reports.push("too large")
      })
      const chunk = encode("x".repeat(65_536))
      parser.push(encode(start))
      const bytes = grown(() => {
        for (let i = 0; i < 1_000; i++) parser.push(chunk)
      })
      assert.isBelow(bytes, 48 * 1024 * 1024)
      if (start === "data: ") assert.deepStrictEqual(reports, ["too large"])
    })
  }

  it("an event of endless lines is given up soon after the limit", () => {
    let reports = 0
    let pushed = 0
    const parser = new EventStreamParser(10_000, {
      onEvent: () => {},
      onRetry: () => {},
      onTooLarge: () => reports++
    })
    while (reports === 0 && pushed < 1_000_000) {
      parser.push(encode("data: 0123456789\n"))
      pushed += 17
    }
    assert.strictEqual(reports, 1)
    assert.isBelow(pushed, 60_000)
  })
})

describe("S54: any script of events, rendered and cut in any way", () => {
  interface Block {
    readonly id: string | undefined
    readonly event: string | undefined
    readonly data: ReadonlyArray<string> | undefined
    readonly retry: number | undefined
    readonly comment: string | undefined
  }

  const lineText = FastCheck.string({ unit: "binary" }).map((text) => text.replace(/[\r\n\0]/g, ""))

  const block: FastCheck.Arbitrary<Block> = FastCheck.record({
    id: FastCheck.option(lineText, { nil: undefined }),
    event: FastCheck.option(lineText, { nil: undefined }),
    data: FastCheck.option(FastCheck.array(lineText, { minLength: 1, maxLength: 3 }), { nil: undefined }),
    retry: FastCheck.option(FastCheck.nat(), { nil: undefined }),
    comment: FastCheck.option(lineText, { nil: undefined })
  })

  const expected = (blocks: ReadonlyArray<Block>): ReadonlyArray<Entry> =>
    blocks.flatMap(({ data, event, id, retry }): ReadonlyArray<Entry> => {
      const reported = data !== undefined || id !== undefined || (event !== undefined && event !== "")
      return [
        ...(retry === undefined ? [] : [{ retry }]),
        ...(reported ? [message(data?.join("\n"), id, event)] : [])
      ]
    })

  /** Draws from a list of numbers, over and over. */
  const dice = (numbers: ReadonlyArray<number>) => {
    let at = 0
    return (sides: number): number => (numbers[at++ % numbers.length] ?? 0) % sides
  }

  const renderScript = (blocks: ReadonlyArray<Block>, numbers: ReadonlyArray<number>): string => {
    const draw = dice(numbers)
    let text = draw(2) === 0 ? "\ufeff" : ""
    let lastEnd = ""
    const line = (content: string): void => {
      let end = ["\n", "\r", "\r\n"][draw(3)] ?? "\n"
      if (content === "" && lastEnd === "\r" && end.startsWith("\n")) end = "\r"
      text += content + end
      lastEnd = end
    }
    const field = (name: string, value: string): void =>
      line(
        value === "" && draw(2) === 0
          ? name
          : value.startsWith(" ") || draw(2) === 0
          ? `${name}: ${value}`
          : `${name}:${value}`
      )
    for (const { comment, data, event, id, retry } of blocks) {
      const fields: Array<() => void> = []
      if (retry !== undefined) fields.push(() => field("retry", String(retry)))
      if (id !== undefined) fields.push(() => field("id", id))
      if (event !== undefined) fields.push(() => field("event", event))
      if (comment !== undefined) fields.push(() => line(`:${comment}`))
      if (data !== undefined) fields.push(() => data.forEach((value) => field("data", value)))
      while (fields.length > 0) fields.splice(draw(fields.length), 1)[0]?.()
      line("")
    }
    return text
  }

  const cut = (bytes: Uint8Array, numbers: ReadonlyArray<number>): ReadonlyArray<Uint8Array> => {
    const draw = dice(numbers)
    const chunks: Array<Uint8Array> = []
    for (let at = 0; at < bytes.length;) {
      const size = draw(12)
      chunks.push(bytes.subarray(at, at + size))
      at += size === 0 && chunks.length % 3 === 0 ? 1 : size
      if (size === 0 && chunks.length % 3 === 0) chunks.push(bytes.subarray(at - 1, at))
    }
    return chunks
  }

  const numbers = FastCheck.array(FastCheck.nat({ max: 1000 }), { minLength: 1, maxLength: 50 }).map((them) =>
    them.concat(7)
  )

  it("S54: gives the same events", () => {
    FastCheck.assert(
      FastCheck.property(
        FastCheck.array(block, { maxLength: 6 }),
        numbers,
        numbers,
        (blocks, forRendering, forCutting) => {
          const bytes = encode(renderScript(blocks, forRendering))
          assert.deepStrictEqual(parse([bytes]), expected(blocks))
          assert.deepStrictEqual(parse(cut(bytes, forCutting)), expected(blocks))
        }
      ),
      { numRuns: 500 }
    )
  })

  it("S54: with a size limit gives the same, however it is cut", () => {
    const limit = FastCheck.integer({ min: 1, max: 40 })
    FastCheck.assert(
      FastCheck.property(
        FastCheck.array(block, { maxLength: 6 }),
        numbers,
        numbers,
        limit,
        (blocks, first, second, max) => {
          const bytes = encode(renderScript(blocks, first))
          const whole = parse([bytes], max)
          assert.deepStrictEqual(parse(oneByOne(bytes), max), whole)
          assert.deepStrictEqual(parse(cut(bytes, second), max), whole)
          const isTooLarge = blocks.some(({ data }) => data !== undefined && encode(data.join("\n")).length > max)
          assert.strictEqual(whole.some((entry) => "tooLarge" in entry), isTooLarge)
        }
      ),
      { numRuns: 500 }
    )
  })

  // Single bytes never hold a whole event, so that what is taken as a whole is compared with what is not.
  it("S54: events of the usual form, and what comes near it, are alike whole and cut in two", () => {
    const fragment = FastCheck.oneof(
      FastCheck.constantFrom(
        "event: message\n",
        "data: ",
        "data:",
        "\n",
        "\n\n",
        "\r",
        "\r\n",
        ": c\n",
        "id: 1\n",
        "x"
      ),
      FastCheck.constantFrom(
        "event: message\ndata: a\n\n",
        "event: message\ndata:  \u20ac\n\n",
        "event: messages\ndata: b\n\n"
      ),
      FastCheck.constantFrom(
        "event: message\ndata: \n\n",
        "event: message\ndata: c\rd\n\n",
        "event: message\ndata: e\r\n\n"
      )
    )
    const limit = FastCheck.constantFrom(2, 3, 100)
    FastCheck.assert(
      FastCheck.property(
        FastCheck.array(fragment, { maxLength: 12 }),
        FastCheck.nat({ max: 100 }),
        limit,
        (fragments, at, max) => {
          const bytes = encode(fragments.join(""))
          const slowly = parse(oneByOne(bytes), max)
          assert.deepStrictEqual(parse([bytes], max), slowly)
          assert.deepStrictEqual(parse([bytes.subarray(0, at), bytes.subarray(at)], max), slowly)
        }
      ),
      { numRuns: 2_000 }
    )
  })

  it("S54: any bytes at all are taken without a throw and alike in any cut", () => {
    FastCheck.assert(
      FastCheck.property(FastCheck.uint8Array({ maxLength: 200 }), numbers, (bytes, forCutting) => {
        assert.deepStrictEqual(parse(cut(bytes, forCutting)), parse([bytes]))
      }),
      { numRuns: 500 }
    )
  })

  it("an event of many chunks costs no more than its bytes: this one would take minutes if each chunk looked at all before", () => {
    const data = "0123456789abcdef".repeat(1024 * 1024)
    const bytes = encode(`data: ${data}\n\n: ${data}\n\n`)
    const chunks = Array.from(
      { length: Math.ceil(bytes.length / 500) },
      (_, n) => bytes.subarray(n * 500, (n + 1) * 500)
    )
    const [event, ...more] = parse(chunks, 20_000_000)
    assert.isTrue(event !== undefined && "data" in event && event.data === data)
    assert.deepStrictEqual(more, [])
  })

  it("an unfinished event of single bytes takes little more memory than its bytes", () => {
    const parser = new EventStreamParser(20_000_000, { onEvent: () => {}, onRetry: () => {}, onTooLarge: () => {} })
    const length = 2_000_000
    const one = encode("a")
    parser.push(encode("data: "))
    collectGarbage()
    const before = process.memoryUsage().heapUsed
    for (let n = 0; n < length; n++) parser.push(one)
    collectGarbage()
    // 1.1 times; 32 times when each byte stays a text of its own.
    assert.isBelow(process.memoryUsage().heapUsed - before, 4 * length)
    parser.stop()
  })

  it("S54: bytes are counted as UTF-8 has them", () => {
    FastCheck.assert(
      FastCheck.property(FastCheck.string({ unit: "binary" }), (text) => {
        assert.strictEqual(utf8Length(text), encode(text).length)
      })
    )
  })
})
