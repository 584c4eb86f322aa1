/**
 * Real HTTP exchanges on file: a test that talked to a server once needs none from then on.
 *
 * {@link layerRecord} decorates an `HttpClient` and writes down what passes through it, {@link layerReplay} is an
 * `HttpClient` that answers from the file, and {@link layer} does the first as long as there is no file. Event streams are
 * kept chunk by chunk, with their times, also those that broke and those that the client left.
 *
 * No secret is written. Session ids, credentials and cookies in headers, OAuth's parameters in queries, forms and JSON, and
 * whatever the options name, become placeholders, `redacted-1`, `redacted-2`, wherever and however they are spelled: the
 * same secret, the same placeholder, so a session id that is played back is one that works.
 *
 * @since 0.1.0
 */
import * as FileSystem from "@effect/platform/FileSystem"
import * as HttpClient from "@effect/platform/HttpClient"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { Recording } from "./internal/cassette/recorder.ts"
import { redactExchanges } from "./internal/cassette/redaction.ts"
import { makeClient } from "./internal/cassette/replay.ts"

const Milliseconds = Schema.NonNegative

const bytes = Schema.propertySignature(Schema.Uint8ArrayFromBase64).pipe(Schema.fromKey("base64"))

const Method = Schema.Literal("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")

/**
 * What was asked. `url` is path and query, without the origin: any port of any host will do. Only `last-event-id` of the
 * headers is compared on replay; the others are for the reader. A body that could not be kept says why, and any body
 * matches it.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Request = Schema.Struct({
  method: Method,
  url: Schema.String,
  headers: Schema.Record({ key: Schema.String, value: Schema.String }),
  body: Schema.optionalWith(
    Schema.Union(Schema.String, Schema.Struct({ bytes }), Schema.Struct({ omitted: Schema.String })),
    { exact: true }
  )
})

/**
 * @since 0.1.0
 * @category models
 */
export type Request = typeof Request.Type

/**
 * A piece of a body as it arrived, `at` milliseconds after the request. Bytes that are no whole text, in the file in Base64.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Chunk = Schema.Union(
  Schema.Struct({ at: Milliseconds, text: Schema.String }),
  Schema.Struct({ at: Milliseconds, bytes })
)

/**
 * @since 0.1.0
 * @category models
 */
export type Chunk = typeof Chunk.Type

/**
 * How a body ended. `Complete`; `Aborted`: the client left; `Broken`: it broke off; `Cut`: the recording has no more of it
 * (too large, or compressed), though there was more.
 *
 * @since 0.1.0
 * @category schemas
 */
export const End = Schema.Union(
  Schema.Literal("Complete", "Aborted"),
  Schema.Struct({ Broken: Schema.String }),
  Schema.Struct({ Cut: Schema.String })
)

/**
 * @since 0.1.0
 * @category models
 */
export type End = typeof End.Type

/**
 * What was answered. `at` is when the head came and `endAt` when the body ended, in milliseconds after the request.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Response = Schema.Struct({
  at: Milliseconds,
  status: Schema.Int,
  headers: Schema.Record({ key: Schema.String, value: Schema.Union(Schema.String, Schema.Array(Schema.String)) }),
  chunks: Schema.Array(Chunk),
  end: End,
  endAt: Milliseconds
})

/**
 * @since 0.1.0
 * @category models
 */
export type Response = typeof Response.Type

/**
 * There was no answer. `Aborted`: the client left before; the others are the reasons of `HttpClientError.RequestError`.
 * `code` and `syscall` are those of the system: `ECONNREFUSED`, `connect`.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Failure = Schema.Struct({
  at: Milliseconds,
  reason: Schema.Literal("Aborted", "Encode", "InvalidUrl", "Transport"),
  message: Schema.String,
  code: Schema.optionalWith(Schema.String, { exact: true }),
  syscall: Schema.optionalWith(Schema.String, { exact: true })
})

/**
 * @since 0.1.0
 * @category models
 */
export type Failure = typeof Failure.Type

/**
 * @since 0.1.0
 * @category schemas
 */
export const Exchange = Schema.Union(
  Schema.Struct({ request: Request, response: Response }),
  Schema.Struct({ request: Request, failure: Failure })
)

/**
 * @since 0.1.0
 * @category models
 */
export type Exchange = typeof Exchange.Type

/**
 * A recording: exchanges in the order of their requests.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Cassette = Schema.Struct({ version: Schema.Literal(1), exchanges: Schema.Array(Exchange) })

/**
 * @since 0.1.0
 * @category models
 */
export type Cassette = typeof Cassette.Type

/**
 * A cassette as the text of a file: JSON, indented so that differences are readable.
 *
 * @since 0.1.0
 * @category schemas
 */
export const CassetteFromText: Schema.Schema<Cassette, string> = Schema.parseJson(Cassette, { space: 2 })

/**
 * The file could not be read, is no cassette, or could not be written.
 *
 * @since 0.1.0
 * @category errors
 */
export class CassetteError extends Schema.TaggedError<CassetteError>("@effect-mcp/testing/CassetteError")(
  "CassetteError",
  { reason: Schema.Literal("Read", "Invalid", "Write"), path: Schema.String, cause: Schema.optional(Schema.Defect) }
) {
  /**
   * @since 0.1.0
   */
  override get message(): string {
    const what = { Read: "could not be read", Invalid: "is not valid", Write: "could not be written" }[this.reason]
    return `the cassette ${this.path} ${what}${this.cause instanceof Error ? `: ${this.cause.message}` : ""}`
  }
}

/**
 * What is a secret, besides what always is: the headers `authorization`, `proxy-authorization`, `cookie`, `set-cookie` and
 * `mcp-session-id`, and OAuth's parameters such as `access_token`, `code` and `client_secret`.
 *
 * A secret of less than three characters is replaced only where it stands as a value, one of less than six only as a whole
 * word: a session called `1` would leave nothing of a body.
 *
 * @since 0.1.0
 * @category models
 */
export interface RedactionOptions {
  /** Names of further headers whose values are secrets, in requests and in responses. */
  readonly headers?: ReadonlyArray<string> | undefined
  /** Names of further secrets in queries, forms and JSON. */
  readonly parameters?: ReadonlyArray<string> | undefined
  /** Secrets that you know: they are found wherever they turn up. */
  readonly secrets?: ReadonlyArray<string | Redacted.Redacted<string>> | undefined
  /**
   * Put over every text after that: addresses, values of headers, whole bodies. One that changes anything should be given
   * to the replay as well, where it is put over what is asked. When it throws nothing is written.
   */
  readonly redact?: ((text: string) => string) | undefined
}

/**
 * @since 0.1.0
 * @category models
 */
export interface RecordOptions extends RedactionOptions {
  /**
   * How much of a body is kept, in bytes. The rest of a response is left out with a note (`Cut`): on replay its body breaks
   * off there. A larger body of a request is left out as a whole. Default 1 MiB (1 048 576).
   */
  readonly maxBodySize?: number | undefined
}

/**
 * The redaction is for comparing, and for the failures of requests that match nothing.
 *
 * @since 0.1.0
 * @category models
 */
export interface ReplayOptions extends RedactionOptions {
  /** `Recorded`: everything comes when it came, by the `Clock`, also a `TestClock`. `None`: at once. Default `None`. */
  readonly timing?: "None" | "Recorded" | undefined
  /** Whether a request whose exchanges are all used up is answered with the last of them again. Default false. */
  readonly reuse?: boolean | undefined
}

/**
 * A client that records, and what it has recorded so far.
 *
 * @since 0.1.0
 * @category models
 */
export interface Recorder {
  readonly client: HttpClient.HttpClient
  /** Redacted. Exchanges that are still running are in it as `Aborted`. */
  readonly cassette: Effect.Effect<Cassette>
}

const defaultMaxBodySize = 1024 * 1024

/**
 * Records without a file, over the `HttpClient` of the context.
 *
 * The client sees no difference: chunks are passed on as they come, errors and interruption too. Bodies of requests that are
 * streams or form data are not recorded. Decorate the recording client, not the one below: what stands below it (retries,
 * failing on statuses) is not there on replay.
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeRecorder = (options: RecordOptions = {}): Effect.Effect<Recorder, never, HttpClient.HttpClient> =>
  Effect.map(HttpClient.HttpClient, (client) => {
    const maxBodySize = options.maxBodySize ?? defaultMaxBodySize
    const recording = new Recording(maxBodySize)
    return {
      client: recording.decorate(client),
      cassette: Effect.sync((): Cassette => ({
        version: 1,
        exchanges: redactExchanges(recording.snapshot(), { ...options, maxBodySize })
      }))
    }
  })

/**
 * A client that answers from a cassette.
 *
 * A request gets the first exchange not yet used that has the same method, path and query, `last-event-id` and body: JSON
 * is compared as JSON, ids included, whatever the order of its members. A placeholder stands for any text, so the replay
 * needs no credentials. What matches nothing fails with `HttpClientError.RequestError`, which says what is left.
 *
 * A body that broke fails again, one that the client left stays open until it leaves. A body may be read more than once.
 *
 * @example
 * ```ts
 * import { Cassette } from "@effect-mcp/testing"
 * import { HttpClient } from "@effect/platform"
 * import { Effect } from "effect"
 *
 * const pong: Cassette.Cassette = {
 *   version: 1,
 *   exchanges: [{
 *     request: { method: "GET", url: "/ping", headers: {} },
 *     response: { at: 3, status: 200, headers: {}, chunks: [{ at: 4, text: "pong" }], end: "Complete", endAt: 5 }
 *   }]
 * }
 *
 * const program = HttpClient.get("http://127.0.0.1/ping").pipe(
 *   Effect.flatMap((response) => response.text),
 *   Effect.provide(Cassette.layerMemory(pong))
 * )
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromCassette = (cassette: Cassette, options: ReplayOptions = {}): Effect.Effect<HttpClient.HttpClient> =>
  Effect.sync(() => makeClient(cassette.exchanges, options))

/**
 * Reads a cassette from its file.
 *
 * @since 0.1.0
 * @category files
 */
export const read = (path: string): Effect.Effect<Cassette, CassetteError, FileSystem.FileSystem> =>
  FileSystem.FileSystem.pipe(
    Effect.flatMap((files) => files.readFileString(path)),
    Effect.mapError((cause) => new CassetteError({ reason: "Read", path, cause })),
    Effect.flatMap((text) =>
      Effect.mapError(
        Schema.decode(CassetteFromText)(text),
        (cause) => new CassetteError({ reason: "Invalid", path, cause })
      )
    )
  )

/**
 * Writes a cassette to a file, as a whole or not at all. Its directory is made if need be.
 *
 * @since 0.1.0
 * @category files
 */
export const write = (
  path: string,
  cassette: Cassette
): Effect.Effect<void, CassetteError, FileSystem.FileSystem> =>
  Effect.gen(function*() {
    const files = yield* FileSystem.FileSystem
    const text = yield* Schema.encode(CassetteFromText)(cassette)
    const unfinished = `${path}.unfinished`
    yield* makeDirectory(files, path)
    yield* files.writeFileString(unfinished, `${text}\n`).pipe(
      Effect.zipRight(files.rename(unfinished, path)),
      Effect.onError(() => Effect.ignore(files.remove(unfinished, { force: true })))
    )
  }).pipe(Effect.mapError((cause) => new CassetteError({ reason: "Write", path, cause })))

const makeDirectory = (files: FileSystem.FileSystem, path: string) => {
  const directory = /^(.*)[/\\][^/\\]*$/s.exec(path)?.[1]
  if (directory === undefined || directory === "") return Effect.void
  return Effect.zipRight(
    files.makeDirectory(directory, { recursive: true }),
    files.access(directory, { writable: true })
  )
}

/**
 * Records the `HttpClient` of the context. The file is written when the scope ends, however it ends, in place of the one
 * before; not when there was no exchange. A process that is killed writes nothing: what is a secret is known only at the
 * end.
 *
 * Fails at once when the directory cannot be made or written to; what goes wrong at the end is a defect, so that no test
 * passes without its recording.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerRecord = (
  options: RecordOptions & { readonly path: string }
): Layer.Layer<HttpClient.HttpClient, CassetteError, HttpClient.HttpClient | FileSystem.FileSystem> =>
  Layer.scoped(
    HttpClient.HttpClient,
    Effect.gen(function*() {
      const { path } = options
      const files = yield* FileSystem.FileSystem
      yield* Effect.mapError(
        makeDirectory(files, path),
        (cause) => new CassetteError({ reason: "Write", path, cause })
      )
      const recorder = yield* makeRecorder(options)
      const save = Effect.flatMap(
        recorder.cassette,
        (cassette) => cassette.exchanges.length === 0 ? Effect.void : write(path, cassette)
      )
      yield* Effect.addFinalizer(() => save.pipe(Effect.provideService(FileSystem.FileSystem, files), Effect.orDie))
      return recorder.client
    })
  )

/**
 * Answers from a file: see {@link fromCassette}. The file is read once, when the layer is built.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerReplay = (
  options: ReplayOptions & { readonly path: string }
): Layer.Layer<HttpClient.HttpClient, CassetteError, FileSystem.FileSystem> =>
  Layer.effect(
    HttpClient.HttpClient,
    Effect.flatMap(read(options.path), (cassette) => fromCassette(cassette, options))
  )

/**
 * Records when there is no file and replays when there is one. To record again, delete the file. Where no server may ever
 * be asked, as on a build machine, use {@link layerReplay}.
 *
 * @example
 * ```ts
 * import { StreamableHttpTransport } from "@effect-mcp/transport"
 * import { Cassette } from "@effect-mcp/testing"
 * import { Layer } from "effect"
 *
 * // wants an HttpClient and a FileSystem: FetchHttpClient.layer, NodeFileSystem.layer
 * const Transport = StreamableHttpTransport.layer({ url: "http://127.0.0.1:3000/mcp" }).pipe(
 *   Layer.provide(Cassette.layer({ path: "test/cassettes/tools.json" }))
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  options: RecordOptions & ReplayOptions & { readonly path: string }
): Layer.Layer<HttpClient.HttpClient, CassetteError, HttpClient.HttpClient | FileSystem.FileSystem> =>
  Layer.unwrapEffect(
    FileSystem.FileSystem.pipe(
      Effect.flatMap((files) => files.exists(options.path)),
      Effect.mapError((cause) => new CassetteError({ reason: "Read", path: options.path, cause })),
      Effect.map((exists) => exists ? layerReplay(options) : layerRecord(options))
    )
  )

/**
 * Answers from a cassette in memory: see {@link fromCassette}.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerMemory = (cassette: Cassette, options?: ReplayOptions): Layer.Layer<HttpClient.HttpClient> =>
  Layer.effect(HttpClient.HttpClient, fromCassette(cassette, options))
