/**
 * The command line of the demo.
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import { parseArgs } from "node:util"

export class UsageError extends Data.TaggedError("UsageError")<{ readonly message: string }> {}

export interface Arguments {
  /** The server to talk to; without it the demo starts one of its own. */
  readonly url: string | undefined
  readonly headers: { readonly [name: string]: string }
  readonly tool: string | undefined
  readonly toolArguments: { readonly [name: string]: unknown }
  readonly help: boolean
}

export const usage = `npm start                                   the demo, against a server it starts itself
npm start -- --url URL                      the same against a server of yours: lists its tools
            [--header 'Name: value']        sent with every request; may be repeated
            [--tool NAME [--args JSON]]     calls a tool`

export const parse = (argv: ReadonlyArray<string>): Effect.Effect<Arguments, UsageError> =>
  Effect.gen(function*() {
    const { values } = yield* Effect.try({
      try: () =>
        parseArgs({
          args: Array.from(argv),
          options: {
            url: { type: "string" },
            header: { type: "string", multiple: true },
            tool: { type: "string" },
            args: { type: "string" },
            help: { type: "boolean", short: "h" }
          }
        }),
      catch: (error) => new UsageError({ message: error instanceof Error ? error.message : String(error) })
    })
    if (values.args !== undefined && values.tool === undefined) {
      return yield* new UsageError({ message: "--args needs --tool" })
    }
    return {
      url: values.url,
      headers: yield* parseHeaders(values.header ?? []),
      tool: values.tool,
      toolArguments: yield* parseToolArguments(values.args ?? "{}"),
      help: values.help ?? false
    }
  })

const parseHeaders = (lines: ReadonlyArray<string>): Effect.Effect<Arguments["headers"], UsageError> =>
  Effect.suspend(() => {
    const headers: Record<string, string> = {}
    for (const [index, line] of lines.entries()) {
      const colon = line.indexOf(":")
      // Not the line itself: it may hold a token.
      if (colon < 1) return new UsageError({ message: `--header ${index + 1} is not of the form 'Name: value'` })
      headers[line.slice(0, colon).trim()] = line.slice(colon + 1).trim()
    }
    return Effect.succeed(headers)
  })

const isRecord = (u: unknown): u is Arguments["toolArguments"] =>
  typeof u === "object" && u !== null && !Array.isArray(u)

const parseToolArguments = (json: string): Effect.Effect<Arguments["toolArguments"], UsageError> =>
  Effect.try({
    try: (): unknown => JSON.parse(json),
    catch: () => new UsageError({ message: `--args is no JSON: ${json}` })
  }).pipe(
    Effect.filterOrFail(isRecord, () => new UsageError({ message: `--args is no JSON object: ${json}` }))
  )
