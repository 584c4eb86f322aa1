/**
 * The lists: pages on demand, lists that do not end, and items that are not what they should be.
 */
import type { McpClient, McpClientError } from "@effect-mcp/client"
import * as TestTransport from "@effect-mcp/testing/TestTransport"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import {
  collecting,
  connected,
  type Era,
  eras,
  failedWith,
  failureOf,
  listed,
  logged,
  now,
  settle,
  tool
} from "./support/calls.ts"

const { result } = TestTransport

interface List {
  readonly list: McpClient.InvalidItem["list"]
  readonly method: string
  readonly item: (name: string) => { readonly [member: string]: unknown }
  readonly invalid: { readonly [member: string]: unknown }
  readonly nameOfInvalid: string | undefined
  readonly stream: (client: McpClient.Service) => Stream.Stream<unknown, McpClientError.McpClientError>
}

const lists: ReadonlyArray<List> = [
  {
    list: "tools",
    method: "tools/list",
    item: (name) => tool(name),
    invalid: { name: "bad", inputSchema: { type: "array" } },
    nameOfInvalid: "bad",
    stream: ({ tools }) => tools
  },
  {
    list: "resources",
    method: "resources/list",
    item: (name) => ({ uri: `file:///${name}`, name }),
    invalid: { uri: "file:///bad", size: "big" },
    nameOfInvalid: "file:///bad",
    stream: ({ resources }) => resources
  },
  {
    list: "resourceTemplates",
    method: "resources/templates/list",
    item: (name) => ({ uriTemplate: `file:///{${name}}`, name }),
    invalid: { uriTemplate: "file:///{bad}" },
    nameOfInvalid: "file:///{bad}",
    stream: ({ resourceTemplates }) => resourceTemplates
  },
  {
    list: "prompts",
    method: "prompts/list",
    item: (name) => ({ name }),
    invalid: { name: 7, title: "a prompt" },
    nameOfInvalid: undefined,
    stream: ({ prompts }) => prompts
  }
]

const cases: ReadonlyArray<readonly [string, Era, List]> = eras.flatMap((era) =>
  lists.map((list) => [list.list, era, list] as const)
)

type Pages = { readonly [cursor: string]: { readonly items: ReadonlyArray<unknown>; readonly next?: unknown } }

/** Answers with the page of the cursor; `first` is the one without. */
const paged = ({ list }: List, pages: Pages): TestTransport.Handler => ({ params }) => {
  const cursor = params?.cursor
  const page = pages[typeof cursor === "string" ? cursor : "first"]
  return page === undefined
    ? TestTransport.error({ code: -32602, message: `no such cursor: ${String(cursor)}` })
    : result({ [list]: page.items, ...(page.next === undefined ? {} : { nextCursor: page.next }) })
}

describe.each(cases)("%s, %s", (_, era, list) => {
  const { invalid, item, method, nameOfInvalid, stream } = list
  const names = (from: number, to: number) =>
    Array.from({ length: to - from }, (_, index) => item(String(from + index)))
  const serving = (pages: Pages, options: Partial<McpClient.Options> = {}) =>
    connected(era, { [method]: paged(list, pages) }, options)

  it.scoped("all pages in order; the cursor is sent as it came", () =>
    Effect.gen(function*() {
      const cursor = " odd/=\u00e4\n "
      const { client, sent } = yield* serving({
        first: { items: names(0, 2), next: cursor },
        [cursor]: { items: [], next: "c" },
        c: { items: names(2, 3) }
      })
      assert.deepStrictEqual(yield* listed(stream(client)), names(0, 3))
      assert.deepStrictEqual(
        (yield* sent(method)).map((message) => "params" in message ? message.params?.cursor : undefined),
        [undefined, cursor, "c"]
      )
    }))

  it.scoped("a page is fetched when it is needed, and not before", () =>
    Effect.gen(function*() {
      const { client, sent } = yield* serving({
        first: { items: names(0, 2), next: "b" },
        b: { items: names(2, 4), next: "c" },
        c: { items: names(4, 5) }
      })
      const count = Effect.map(sent(method), ({ length }) => length)
      const all = stream(client)
      assert.strictEqual(yield* count, 0)
      assert.deepStrictEqual(yield* listed(Stream.take(all, 1)), names(0, 1))
      yield* settle
      assert.strictEqual(yield* count, 1)
      assert.deepStrictEqual(yield* listed(Stream.take(all, 2)), names(0, 2))
      yield* settle
      assert.strictEqual(yield* count, 2, "each run asks anew, for one page")
      assert.deepStrictEqual(yield* listed(Stream.take(all, 3)), names(0, 3))
      yield* settle
      assert.strictEqual(yield* count, 4)
    }))

  const cycles: ReadonlyArray<readonly [string, Pages, number]> = [
    ["a cursor that leads to itself", {
      first: { items: names(0, 1), next: "a" },
      a: { items: names(1, 2), next: "a" }
    }, 2],
    ["a longer way round", {
      first: { items: names(0, 1), next: "a" },
      a: { items: names(1, 2), next: "b" },
      b: { items: names(2, 3), next: "c" },
      c: { items: names(3, 4), next: "a" }
    }, 4],
    ["empty pages", { first: { items: [], next: "a" }, a: { items: [], next: "a" } }, 2]
  ]
  it.scoped.each(cycles)(
    "a cycle is noticed after its items were emitted: %s",
    ([, pages, count]) =>
      Effect.gen(function*() {
        const { client, sent } = yield* serving(pages)
        const { fiber, seen } = yield* collecting(stream(client))
        const error = yield* failureOf("PagingError", fiber)
        assert.strictEqual(error.reason, "CursorCycle")
        assert.strictEqual(error.pages, count)
        assert.strictEqual(error.method, method)
        assert.strictEqual((yield* sent(method)).length, count)
        assert.deepStrictEqual(seen, Object.values(pages).flatMap(({ items }) => items))
      })
  )

  it.scoped("maxPages bounds a list of ever new cursors", () =>
    Effect.gen(function*() {
      let page = 0
      const { client, sent } = yield* connected(era, {
        [method]: () => {
          page++
          return result({ [list.list]: [item(String(page))], nextCursor: `after ${page}` })
        }
      }, { maxPages: 3 })
      const { fiber, seen } = yield* collecting(stream(client))
      const error = yield* failureOf("PagingError", fiber)
      assert.strictEqual(error.reason, "TooManyPages")
      assert.strictEqual(error.pages, 3)
      assert.strictEqual((yield* sent(method)).length, 3)
      assert.deepStrictEqual(seen, names(1, 4))
    }))

  it.scoped("a list of exactly maxPages is whole", () =>
    Effect.gen(function*() {
      const { client } = yield* serving(
        { first: { items: names(0, 1), next: "a" }, a: { items: names(1, 2) } },
        { maxPages: 2 }
      )
      assert.deepStrictEqual(yield* listed(stream(client)), names(0, 2))
    }))

  it.scoped("a malformed item is left out and reported, the others come", () =>
    Effect.gen(function*() {
      const reported: Array<McpClient.InvalidItem> = []
      const garbage = [invalid, null, 7, "text", [], {}]
      const { client } = yield* serving(
        { first: { items: [item("0"), ...garbage], next: "a" }, a: { items: [invalid, item("1")] } },
        { onInvalidItem: (item) => Effect.sync(() => void reported.push(item)) }
      )
      assert.deepStrictEqual(yield* listed(stream(client)), names(0, 2))
      assert.deepStrictEqual(reported.map(({ item }) => item), [...garbage, invalid])
      assert.deepStrictEqual(
        reported.map(({ name }) => name),
        [nameOfInvalid, undefined, undefined, undefined, undefined, undefined, nameOfInvalid]
      )
      for (const { list: of, problem } of reported) {
        assert.strictEqual(of, list.list)
        assert.isAbove(problem.length, 0)
      }
    }))

  it.scoped("without onInvalidItem there is a warning", () =>
    Effect.gen(function*() {
      const { client } = yield* serving({ first: { items: [invalid, item("0")] } })
      const [items, lines] = yield* logged(listed(stream(client)))
      assert.deepStrictEqual(items, names(0, 1))
      const warnings = lines.filter((line) => line.startsWith("WARN"))
      assert.strictEqual(warnings.length, 1)
      assert.include(warnings[0] ?? "", nameOfInvalid ?? "unnamed")
      assert.include(warnings[0] ?? "", list.list)
    }))

  const malformed: ReadonlyArray<readonly [string, { readonly [member: string]: unknown }, string]> = [
    ["no list", {}, list.list],
    ["a list that is none", { [list.list]: { 0: item("0") } }, list.list],
    ["null", { [list.list]: null }, list.list],
    ["a cursor that is no string", { [list.list]: [item("0")], nextCursor: 7 }, "nextCursor"]
  ]
  it.scoped.each(malformed)(
    "a malformed page is a DecodeError with a path: %s",
    ([, page, path]) =>
      Effect.gen(function*() {
        const { client } = yield* connected(era, { [method]: result(page) })
        const error = yield* failedWith("DecodeError", Stream.runDrain(stream(client)))
        assert.strictEqual(error.reason, "Malformed")
        assert.deepStrictEqual(error.path, [path])
        assert.strictEqual(error.method, method)
      })
  )

  it.scoped("a second page that fails comes after the items of the first", () =>
    Effect.gen(function*() {
      const { client } = yield* serving({ first: { items: names(0, 2), next: "unknown" } })
      const { fiber, seen } = yield* collecting(stream(client))
      assert.strictEqual((yield* failureOf("JsonRpcError", fiber)).code, -32602)
      assert.deepStrictEqual(seen, names(0, 2))
    }))

  it.scoped("a cursor of null ends the list", () =>
    Effect.gen(function*() {
      const { client } = yield* serving({ first: { items: names(0, 1), next: null } })
      assert.deepStrictEqual(yield* listed(stream(client)), names(0, 1))
    }))

  it.scoped(
    era === "Modern"
      ? "an empty cursor is as good as any (2026-07-28, Pagination)"
      : "an empty cursor is one that servers give who mean none",
    () =>
      Effect.gen(function*() {
        const { client, sent } = yield* serving({
          first: { items: names(0, 1), next: "" },
          "": { items: names(1, 2) }
        })
        assert.deepStrictEqual(yield* listed(stream(client)), era === "Modern" ? names(0, 2) : names(0, 1))
        const [, second] = yield* sent(method)
        if (era === "Legacy") return assert.isUndefined(second)
        assert(second !== undefined && "params" in second)
        assert.strictEqual(second.params?.cursor, "")
      })
  )

  it.scoped("unknown members survive, wherever they are", () =>
    Effect.gen(function*() {
      const icons = [{ src: "data:,", theme: "dark", unknown: 1 }]
      const odd = {
        ...item("odd"),
        ...JSON.parse(`{"__proto__":{"a":1},"unknown":{"deep":[null]}}`),
        _meta: { "x/y": [1] },
        icons,
        annotations: { priority: 1, title: "t", unknown: true },
        inputSchema: { type: "object", $defs: { a: {} }, "x-mine": [1] }
      }
      const { client } = yield* serving({ first: { items: [odd] } })
      const [received] = yield* listed(stream(client))
      assert.deepStrictEqual(received, odd)
    }))

  it.scoped("two readers do not disturb each other", () =>
    Effect.gen(function*() {
      const { client } = yield* serving({
        first: { items: names(0, 1), next: "a" },
        a: { items: names(1, 2), next: "b" },
        b: { items: names(2, 3) }
      })
      const all = stream(client)
      const both = yield* Effect.forEach([1, 2, 3], () => Effect.fork(Stream.runCollect(all)))
      for (const fiber of both) assert.deepStrictEqual(Array.from(yield* now(Fiber.join(fiber))), names(0, 3))
    }))
})

describe("lists at large", () => {
  it.scoped("the default bound is a thousand pages", () =>
    Effect.gen(function*() {
      let page = 0
      const { client } = yield* connected("Modern", {
        "prompts/list": () => result({ prompts: [], nextCursor: `after ${++page}` })
      })
      const fiber = yield* Effect.fork(Stream.runDrain(client.prompts))
      const exit = yield* Effect.exit(Fiber.join(fiber))
      assert.include(String(exit), "TooManyPages")
      assert.strictEqual(page, 1000)
    }))
})
