import { fileURLToPath } from "node:url"
import { defineConfig } from "vitest/config"
import { TotalsReporter } from "./totalsReporter.ts"

const conditions = ["@effect-mcp/source"]

export default defineConfig({
  root: fileURLToPath(new URL("..", import.meta.url)),
  // The packages are resolved to their sources; the other conditions are vite's defaults.
  resolve: { conditions: [...conditions, "module", "node", "development|production"] },
  ssr: { resolve: { conditions: [...conditions, "module", "node", "development|production"] } },
  test: {
    include: ["test/**/*.test.ts"],
    exclude: ["**/node_modules/**", "test/conformance/**"],
    pool: "forks",
    // Most of the time is spent waiting: two at once even where there are only two cores.
    poolOptions: { forks: { minForks: 2, maxForks: 2 } },
    testTimeout: 15_000,
    hookTimeout: 15_000,
    teardownTimeout: 5_000,
    silent: "passed-only",
    reporters: ["default", new TotalsReporter()]
  }
})
