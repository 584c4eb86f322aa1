/**
 * Whether a graph has a loop. A schema that leads back to itself without going deeper into the value never ends.
 */

/** Takes no stack, however long a path is. */
export const hasLoop = <A>(edges: ReadonlyMap<A, ReadonlyArray<A>>): boolean => {
  const ended = new Set<A>()
  const entered = new Set<A>()
  for (const start of edges.keys()) {
    const stack = [start]
    for (let node = stack.at(-1); node !== undefined; node = stack.at(-1)) {
      if (ended.has(node) || entered.has(node)) {
        stack.pop()
        entered.delete(node)
        ended.add(node)
        continue
      }
      entered.add(node)
      for (const next of edges.get(node) ?? []) {
        if (entered.has(next)) return true
        if (!ended.has(next)) stack.push(next)
      }
    }
  }
  return false
}
