/**
 * What is too much, and the meter that ends a validation that takes too long.
 */

export const limits = {
  /** Objects, arrays and values of a schema, and how deep they are. */
  schemaNodes: 100_000,
  schemaNesting: 256,
  /** Schemas in a schema, and how deep they are. */
  subschemas: 10_000,
  depth: 64,
  /** Objects, arrays and values of a value, and how deep they are. */
  valueNodes: 1_000_000,
  valueDepth: 128,
  /** What one validation may do: visits of a subschema, those that say much when they fail count more than once. */
  visits: 1_000_000,
  /** And for how long, once that many visits were made (a short validation in a stalled process is not stopped). */
  milliseconds: 5_000,
  visitsUntimed: 1_000,
  /** Items that `uniqueItems` compares, each with each: of any kind; all of them numbers, texts, booleans or null. */
  uniqueItems: 1_024,
  uniquePrimitives: 10_000,
  /** Values with more nodes than this: the first violation in an object or array is enough. */
  thoroughNodes: 1_000,
  violations: 100
} as const

/** Ends a validation. */
export class Exhausted extends Error {}

/** Counts the visits of one validation. */
export class Meter {
  private visits = 0
  private startedAt = 0

  start(): void {
    this.visits = 0
    this.startedAt = performance.now()
  }

  spend(cost: number): void {
    this.visits += cost
    if (this.visits > limits.visits) throw new Exhausted()
    if (this.visits > limits.visitsUntimed && performance.now() - this.startedAt > limits.milliseconds) {
      throw new Exhausted()
    }
  }
}
