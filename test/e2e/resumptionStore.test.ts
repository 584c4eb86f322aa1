/**
 * A call that was begun in a process killed with SIGKILL is finished by another one, with nothing but a directory between
 * them.
 */
import { type JsonRpc, ResumptionStore } from "@effect-mcp/transport"
import * as NodeContext from "@effect/platform-node/NodeContext"
import * as NodeKeyValueStore from "@effect/platform-node/NodeKeyValueStore"
import * as Command from "@effect/platform/Command"
import type * as CommandExecutor from "@effect/platform/CommandExecutor"
import * as FileSystem from "@effect/platform/FileSystem"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { fileURLToPath } from "node:url"
import * as Calls from "./calls.ts"
import { sdkServer } from "./servers.ts"

const file = (path: string): string => fileURLToPath(new URL(path, import.meta.url))

interface Line {
  readonly session?: string
  readonly progress?: number
  readonly answer?: JsonRpc.Response
}

interface Running {
  /** What it has said so far. */
  readonly lines: ReadonlyArray<Line>
  readonly steps: () => ReadonlyArray<number>
  readonly errors: () => string
  readonly kill: Effect.Effect<void>
  readonly exitCode: Effect.Effect<number>
}

const node = (script: string, ...args: ReadonlyArray<string>): Command.Command =>
  Command.make(process.execPath, "--import", "tsx", "--conditions=@effect-mcp/source", file(script), ...args)

/** Runs `oneCall.ts`. */
const start = (
  url: string,
  directory: string,
  tool: string,
  toolArguments: JsonRpc.Params
): Effect.Effect<Running, never, Scope.Scope | CommandExecutor.CommandExecutor> =>
  Effect.gen(function*() {
    const child = yield* Command.start(node("./oneCall.ts", url, directory, tool, JSON.stringify(toolArguments)))
    const lines: Array<Line> = []
    let errors = ""
    const said = yield* child.stdout.pipe(
      Stream.decodeText(),
      Stream.splitLines,
      Stream.runForEach((line) => Effect.sync(() => lines.push(JSON.parse(line)))),
      Effect.fork
    )
    yield* child.stderr.pipe(
      Stream.decodeText(),
      Stream.runForEach((text) =>
        Effect.sync(() => {
          errors += text
        })
      ),
      Effect.fork
    )
    return {
      lines,
      steps: () => lines.flatMap(({ progress }) => progress === undefined ? [] : [progress]),
      errors: () => errors,
      kill: Effect.orDie(child.kill("SIGKILL")),
      exitCode: Effect.orDie(Effect.zipLeft(child.exitCode, Fiber.join(said)))
    }
  }).pipe(Effect.orDie)

/** What is kept in a directory right now; a file that is just being written is none. */
const kept = (directory: string) =>
  Effect.gen(function*() {
    const store = yield* ResumptionStore.makeKeyValueStore({ key: "one call" })
    return yield* store.load
  }).pipe(
    Effect.scoped,
    Effect.provide(NodeKeyValueStore.layerFileSystem(directory)),
    Effect.orElseSucceed(() => Option.none<ResumptionStore.Snapshot>())
  )

const tokenIn = (snapshot: Option.Option<ResumptionStore.Snapshot>): string | undefined =>
  Option.isSome(snapshot) ? snapshot.value.requests[0]?.resumptionToken : undefined

const numberOf = (token: string | undefined): number => Number(token?.replace("event-", ""))

/** Kills a process with SIGKILL in mid call, once that many steps were taken and kept. Gives what it left. */
const killAfter = (running: Running, directory: string, step: number) =>
  Effect.gen(function*() {
    yield* Calls.until(
      `step ${step} was taken${running.errors()}`,
      Effect.sync(() => (running.steps().at(-1) ?? 0) >= step),
      "30 seconds"
    )
    const before = tokenIn(yield* kept(directory))
    yield* Calls.until(
      "the cursor moved on",
      Effect.map(kept(directory), (snapshot) => {
        const token = tokenIn(snapshot)
        return token !== undefined && token !== before
      })
    )
    yield* running.kill
    const left = yield* kept(directory)
    assert.isFalse(running.lines.some(({ answer }) => answer !== undefined), "it was to be killed before the answer")
    return Option.getOrThrow(left)
  })

const temporary = Effect.flatMap(FileSystem.FileSystem, (fs) => fs.makeTempDirectoryScoped()).pipe(Effect.orDie)

const posts = (lines: ReadonlyArray<string>) => lines.filter((line) => line.startsWith("POST"))

const cursors = (lines: ReadonlyArray<string>) => lines.filter((line) => line.startsWith("GET after"))

/** Every process takes a second or two to start. */
const patience = 60_000

describe.concurrent("a call whose process was killed with SIGKILL", () => {
  it.scopedLive("is finished by another process: one POST, every step at least once", () =>
    Effect.gen(function*() {
      const server = yield* sdkServer()
      const directory = yield* temporary
      const steps = 30
      const run = start(server.url, directory, "progress", { steps, delayMs: 50 })

      const first = yield* run
      const left = yield* killAfter(first, directory, 4)
      assert.deepStrictEqual(first.lines[0], { session: "Idle" })
      const token = left.requests[0]?.resumptionToken
      assert.strictEqual(left.requests.length, 1)
      assert.strictEqual(left.requests[0]?.request.method, "tools/call")

      const second = yield* run
      assert.strictEqual(yield* second.exitCode, 0, second.errors())
      assert.deepStrictEqual(second.lines[0], { session: "Active" })
      const answer = second.lines.at(-1)?.answer
      assert(answer !== undefined)
      assert.strictEqual(answer.id, "call")
      assert.strictEqual(Calls.textOf(answer), `${steps} steps done`)
      assert.strictEqual(second.lines.filter(({ answer }) => answer !== undefined).length, 1)

      // What the first had taken, again at most from its cursor on, and nothing left out.
      const [before, after] = [first.steps(), second.steps()]
      assert.deepStrictEqual(before, Calls.range(1, before.length))
      assert.isAtMost(after[0] ?? Number.NaN, before.length + 1)
      assert.deepStrictEqual(after, Calls.range(after[0] ?? Number.NaN, steps))
      assert.deepStrictEqual(Array.from(new Set([...before, ...after])), Calls.range(1, steps))

      const wire = yield* server.wire
      const seen = Calls.lines(wire)
      assert.deepStrictEqual(posts(seen), [...Calls.handshakeLines, "POST tools/call"])
      assert.deepStrictEqual(cursors(seen), [`GET after ${token}`])
      assert.strictEqual(seen.at(-1), "DELETE")
      assert.strictEqual(seen.length, 5)
      const ids = new Set(wire.slice(1).map(({ headers }) => headers["mcp-session-id"]))
      assert.deepStrictEqual(Array.from(ids), [Redacted.value(left.sessionId)])
      const versions = new Set(wire.slice(1).map(({ headers }) => headers["mcp-protocol-version"]))
      assert.deepStrictEqual(Array.from(versions), ["2025-11-25"])

      // It is over: a third run is a run of its own.
      assert.isTrue(Option.isNone(yield* kept(directory)))
      assert.strictEqual(first.errors() + second.errors(), "")
    }).pipe(Effect.provide(NodeContext.layer)), patience)

  it.scopedLive(
    "and that had lost its stream before, is finished by the third process after two kills",
    () =>
      Effect.gen(function*() {
        const server = yield* sdkServer({ retryInterval: "100 millis" })
        const directory = yield* temporary
        const steps = 60
        const run = start(server.url, directory, "dropAndFinish", { steps, dropAfter: 3, delayMs: 50, how: "destroy" })

        const first = yield* run
        const left = [tokenIn(Option.some(yield* killAfter(first, directory, 6)))]
        const second = yield* run
        left.push(tokenIn(Option.some(yield* killAfter(second, directory, (first.steps().at(-1) ?? 0) + 4))))
        const third = yield* run
        assert.strictEqual(yield* third.exitCode, 0, third.errors())

        assert.isBelow(numberOf(left[0]), numberOf(left[1]))
        assert.deepStrictEqual(
          [first, second, third].map(({ lines }) => lines[0]?.session),
          ["Idle", "Active", "Active"]
        )
        const answer = third.lines.at(-1)?.answer
        assert(answer !== undefined)
        assert.include(Calls.textOf(answer), `${steps} steps done`)
        for (const { steps } of [first, second, third]) {
          assert.deepStrictEqual(steps(), Calls.range(steps()[0] ?? Number.NaN, steps().at(-1) ?? Number.NaN))
        }
        const all = [...first.steps(), ...second.steps(), ...third.steps()]
        assert.deepStrictEqual(Array.from(new Set(all)), Calls.range(1, steps))

        const seen = yield* Calls.seen(server)
        assert.deepStrictEqual(posts(seen), [...Calls.handshakeLines, "POST tools/call"])
        assert.strictEqual(cursors(seen).length, 3)
        assert.deepStrictEqual(cursors(seen).slice(1), left.map((token) => `GET after ${token}`))
        assert.strictEqual(seen.at(-1), "DELETE")
        assert.strictEqual([first, second, third].map(({ errors }) => errors()).join(""), "")
      }).pipe(Effect.provide(NodeContext.layer)),
    patience
  )

  it.scopedLive(
    "a process that finds a session the server has forgotten says so, and the next starts anew",
    () =>
      Effect.gen(function*() {
        const server = yield* sdkServer()
        const directory = yield* temporary
        const run = start(server.url, directory, "progress", { steps: 15, delayMs: 50 })
        const first = yield* run
        yield* killAfter(first, directory, 3)
        yield* server.forgetSessions

        const second = yield* run
        assert.notStrictEqual(yield* second.exitCode, 0)
        assert.include(second.errors(), "SessionTerminated")
        assert.deepStrictEqual(second.lines, [{ session: "Active" }])

        const third = yield* run
        assert.strictEqual(yield* third.exitCode, 0, third.errors())
        assert.deepStrictEqual(third.lines[0], { session: "Idle" })
        assert.deepStrictEqual(third.steps(), Calls.range(1, 15))
      }).pipe(Effect.provide(NodeContext.layer)),
    patience
  )

  it.scopedLive("scratchpad/resume-in-another-process.ts shows it, and ends by itself", () =>
    Effect.gen(function*() {
      const child = yield* Command.start(node("../../scratchpad/resume-in-another-process.ts"))
      const [code, output, errors] = yield* Effect.all([
        child.exitCode,
        Stream.mkString(Stream.decodeText(child.stdout)),
        Stream.mkString(Stream.decodeText(child.stderr))
      ], { concurrency: "unbounded" })
      assert.strictEqual(code, 0, output + errors)
      assert.strictEqual(errors, "")
      assert.include(output, "killed with SIGKILL")
      assert.match(output, /POST\s+tools\/call: 1\b/)
      assert.match(output, /Last-Event-ID: event-\d+/)
      assert.include(output, "20 steps done")
    }).pipe(Effect.provide(NodeContext.layer)), patience)
})
