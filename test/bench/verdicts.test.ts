/**
 * What a run of the benchmark says of its numbers.
 */
import { assert, describe, it } from "@effect/vitest"
import { choose } from "./again.ts"
import type { Series } from "./series.ts"
import { joined, ratioOf } from "./series.ts"
import { judge, openVerdicts } from "./targets.ts"

const series = (
  id: string,
  client: string,
  values: ReadonlyArray<number>,
  rounds: ReadonlyArray<number> = values.map((_, round) => round)
): Series => ({ id, title: id, unit: "us", client, values, rounds })

/** A workload in which each client costs so much, in each of some rounds. */
const costs = (id: string, all: Readonly<Record<string, number>>): ReadonlyArray<Series> =>
  Object.entries(all).map(([client, cost]) => series(id, client, [cost, cost]))

/** The same in two more rounds. */
const again = (all: ReadonlyArray<Series>): ReadonlyArray<Series> =>
  joined(all, all.map(({ client, id, values }) => series(id, client, values, [2, 3])))

const outcomes = (all: ReadonlyArray<Series>, client: string) =>
  judge(all, (_, one) => one === client)
    .filter(({ measured }) => measured !== undefined)
    .map(({ outcome, required }) => `${required} ${outcome}`)

describe("ratios", () => {
  it("are of the same round: the median of them", () => {
    const all = [series("a", "one", [2, 30, 400]), series("a", "base", [1, 10, 100])]
    assert.strictEqual(ratioOf(all, "a", "one", "base"), 3)
  })

  it("leave out rounds that only one has had, wherever they are", () => {
    const before = [series("a", "one", [2, 2]), series("a", "base", [1, 1]), series("a", "other", [5, 5])]
    const again = [series("a", "one", [40], [2]), series("a", "base", [10], [3])]
    const all = joined(before, again)
    assert.strictEqual(ratioOf(all, "a", "one", "base"), 2)
    assert.strictEqual(ratioOf(joined(all, [series("a", "one", [30, 30], [3, 4])]), "a", "one", "base"), 2)
    assert.strictEqual(ratioOf(joined(all, [series("a", "other", [90], [3])]), "a", "other", "base"), 5)
  })

  it("are nothing without anything to compare", () => {
    assert.isUndefined(ratioOf([series("a", "one", [1])], "a", "one", "base"))
    assert.isUndefined(ratioOf([series("a", "one", [1]), series("a", "base", [0])], "a", "one", "base"))
  })
})

describe("verdicts", () => {
  it("met, missed, and out of reach", () => {
    const of = (send: number, block: number) =>
      outcomes(
        costs("json-16", { "floor": 1, "sdk2-transport": 20, "node-send": send, "bare-stream": block }),
        "node-send"
      )
    assert.deepStrictEqual(of(8, 7), [">= 1.5 ok", "<= 9 ok"])
    assert.deepStrictEqual(of(9, 9), [">= 1.5 ok", "<= 9 ok"])
    assert.deepStrictEqual(of(10, 8), [">= 1.5 ok", "<= 9 MISSED"], "the block leaves room")
    assert.deepStrictEqual(of(10, 8.6), [">= 1.5 ok", "<= 9 out of reach"], "it leaves less than runs differ by")
    assert.deepStrictEqual(of(12.1, 10), [">= 1.5 ok", "<= 9 MISSED"], "ours is too far from the block")
    assert.deepStrictEqual(of(15, 13), [">= 1.5 out of reach", "<= 9 out of reach"])
    assert.deepStrictEqual(of(20, 10), [">= 1.5 MISSED", "<= 9 MISSED"])
  })

  it("a row without a block has no way out", () => {
    const all = costs("json-1mb", { "floor": 1, "sdk2-transport": 1.2, "node-request": 1.3 })
    assert.deepStrictEqual(outcomes(all, "node-request"), [">= 1 MISSED", "<= 1.5 ok"])
  })

  it("what was to be measured and was not is missed", () => {
    assert.deepStrictEqual(
      judge(costs("json-1mb", { "floor": 1, "sdk2-transport": 2 }), (_, client) => client === "node-request")
        .filter(({ title }) => title === "1 MB body").map(({ outcome }) => outcome),
      ["MISSED", "MISSED"]
    )
  })
})

describe("what is measured again", () => {
  const send = { "floor": 1, "sdk2-transport": 30, "bare-stream": 10, "node-send": 13 }
  const request = { "node-request": 1.75 }
  const largeBody = costs("json-1mb", { "floor": 1, "sdk2-transport": 3, "node-request": 1 })

  it("what is missed comes first, then what is near its limit on either side; the rest is settled", () => {
    const all = [...largeBody, ...costs("json-16", { ...send, ...request })]
    assert.deepStrictEqual(openVerdicts(all).map(({ client, clients, isMissed }) => ({ client, clients, isMissed })), [
      { client: "node-send", clients: ["node-send", "floor", "bare-stream"], isMissed: true },
      { client: "node-request", clients: ["node-request", "floor"], isMissed: false }
    ])
  })

  it("of two that are alike, what has had fewer rounds", () => {
    const once = costs("json-16", { ...request, "floor": 1, "sdk2-transport": 30 })
    const twice = again(once)
    const other = costs("events-100", { "floor": 1, "sdk2-transport": 30, "node-request": 1.29 })
    assert.deepStrictEqual(openVerdicts([...once, ...other]).map(({ workload }) => workload), ["events-100", "json-16"])
    assert.deepStrictEqual(
      openVerdicts([...once, ...again(other)])
        .map(({ workload }) => workload),
      ["json-16", "events-100"]
    )
    assert.lengthOf(openVerdicts(twice), 1)
  })

  const open = [
    { workload: "a", client: "x", clients: ["x", "floor", "block"], rounds: 2, isMissed: true },
    { workload: "a", client: "x", clients: ["x", "sdk", "block"], rounds: 2, isMissed: true },
    { workload: "b", client: "z", clients: ["z", "floor"], rounds: 2, isMissed: true },
    { workload: "a", client: "y", clients: ["y", "floor"], rounds: 2, isMissed: true },
    { workload: "a", client: "w", clients: ["w", "floor"], rounds: 2, isMissed: false }
  ]
  const chosen = (msEach: number, leftMs: number) => {
    const choice = choose(open, () => msEach, leftMs)
    return choice === undefined ? undefined : [choice.workload, ...choice.clients]
  }

  it("the most urgent, with the other clients that miss something there", () => {
    assert.deepStrictEqual(chosen(10, 40), ["a", "x", "floor", "block", "y"])
  })

  it("not what nobody can decide, as a client of it failed", () => {
    const all = costs("json-16", { ...send, ...request }).filter(({ client }) => client !== "floor")
    assert.deepStrictEqual(openVerdicts(all), [])
  })

  it("rests on the rounds that all of its clients have had", () => {
    const all = joined(costs("json-16", send), [series("json-16", "node-send", [13, 13], [2, 3])])
    assert.deepStrictEqual(openVerdicts(all).map(({ rounds }) => rounds), [2])
    assert.deepStrictEqual(openVerdicts(again(costs("json-16", send))).map(({ rounds }) => rounds), [4])
  })

  it("not for ever", () => {
    assert.isUndefined(
      choose([{ workload: "a", client: "x", clients: ["x"], rounds: 8, isMissed: true }], () => 1, 100)
    )
  })

  it("no more than there is time for", () => {
    assert.deepStrictEqual(chosen(10, 39), ["a", "x", "floor", "block"])
    assert.deepStrictEqual(chosen(10, 29), ["b", "z", "floor"])
    assert.isUndefined(chosen(10, 19))
    assert.isUndefined(choose([], () => 0, 100))
  })
})
