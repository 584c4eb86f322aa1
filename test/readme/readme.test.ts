import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { execFile } from "node:child_process"
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { diagram } from "../../packages/transport/src/internal/streamMachine.ts"
import { everythingServer } from "../e2e/servers.ts"

const root = fileURLToPath(new URL("../..", import.meta.url))
const read = (file: string) => Effect.promise(() => readFile(join(root, file), "utf8"))

/** Runs a program with plain Node and what the sources need. */
const run = (file: string, env: { readonly [name: string]: string }) =>
  Effect.async<{ readonly code: unknown; readonly output: string }>((resume) => {
    const args = ["--import", "tsx", "--conditions=@effect-mcp/source", file]
    execFile(
      process.execPath,
      args,
      { cwd: root, env: { ...process.env, ...env }, timeout: 60_000 },
      (error, out, err) => {
        resume(Effect.succeed({ code: error?.code ?? error?.signal ?? 0, output: out + err }))
      }
    )
  })

describe("README", () => {
  it.effect("shows the table of the stream machine as it is", () =>
    Effect.gen(function*() {
      assert.include(yield* read("packages/transport/README.md"), `\`\`\`mermaid\n${diagram()}\n\`\`\``)
    }))

  it.scopedLive(
    "the first program runs as written, against a server from elsewhere, and ends by itself",
    () =>
      Effect.gen(function*() {
        const [, program = ""] = /```ts\n([\s\S]*?)```/.exec(yield* read("README.md")) ?? []
        const server = yield* everythingServer
        const folder = yield* Effect.acquireRelease(
          Effect.promise(() => mkdtemp(join(root, "test/readme/program-"))),
          (folder) => Effect.promise(() => rm(folder, { recursive: true }))
        )
        yield* Effect.promise(() => writeFile(join(folder, "first.ts"), program))
        const { code, output } = yield* run(join(folder, "first.ts"), { MCP_URL: server.url })
        assert.strictEqual(code, 0, output)
        assert.isAtMost(program.trim().split("\n").length, 24)
        assert.include(output, "Echo: hello")
        const wire = yield* server.wire
        assert.strictEqual(wire.at(-1)?.method, "DELETE")
      }),
    90_000
  )
})
