import { writeSync } from "node:fs"
import type { Reporter, SerializedError, TestModule, Vitest } from "vitest/node"

/**
 * Prints `N passed, N failed` as the very last line of a run.
 *
 * A test file that breaks before its tests run, and an error outside of any test, count as failures too.
 */
export class TotalsReporter implements Reporter {
  private line = "0 passed, 0 failed"

  onInit(vitest: Vitest): void {
    if (!vitest.config.watch) {
      process.once("exit", () => writeSync(1, `${this.line}\n`))
    }
  }

  onTestRunEnd(modules: ReadonlyArray<TestModule>, unhandledErrors: ReadonlyArray<SerializedError>): void {
    let passed = 0
    let failed = unhandledErrors.length
    for (const module of modules) {
      let failedHere = 0
      for (const test of module.children.allTests()) {
        const state = test.result().state
        if (state === "passed") passed++
        if (state === "failed") failedHere++
      }
      failed += failedHere === 0 && !module.ok() ? 1 : failedHere
    }
    this.line = `${passed} passed, ${failed} failed`
  }
}
