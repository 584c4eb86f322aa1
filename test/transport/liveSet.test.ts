import { assert, describe, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import { LiveSet } from "../../packages/transport/src/internal/liveSet.ts"

describe("LiveSet", () => {
  it("has the members that a Set has, whatever is done to it", () => {
    FastCheck.assert(FastCheck.property(
      FastCheck.array(FastCheck.tuple(FastCheck.boolean(), FastCheck.integer({ min: 0, max: 9 }))),
      (steps) => {
        const items = Array.from({ length: 10 }, (_, name) => ({ name, place: -1 }))
        const model = new Set<number>()
        const set = new LiveSet<{ readonly name: number; place: number }>()
        for (const [isAdded, name] of steps) {
          const item = items[name]
          assert(item !== undefined)
          if (isAdded) {
            set.add(item)
            model.add(name)
          } else {
            set.delete(item)
            model.delete(name)
          }
          assert.deepStrictEqual(set.all.map(({ name }) => name).toSorted(), Array.from(model).toSorted())
          assert.strictEqual(set.all.length, model.size)
        }
      }
    ))
  })

  it("`all` is not disturbed by what is done to the set meanwhile", () => {
    const set = new LiveSet<{ place: number }>()
    const items = [{ place: -1 }, { place: -1 }, { place: -1 }]
    for (const item of items) set.add(item)
    const seen = []
    for (const item of set.all) {
      set.delete(item)
      seen.push(item)
    }
    assert.deepStrictEqual(new Set(seen), new Set(items))
    assert.strictEqual(set.all.length, 0)
  })
})
