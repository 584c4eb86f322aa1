/**
 * The same server twice, by one script: the double, and the real transport over HTTP exchanges in memory. What holds for
 * both shows that the double keeps the contract.
 */
import * as TestTransport from "@effect-mcp/testing/TestTransport"
import { JsonRpc, type StreamableHttpTransport } from "@effect-mcp/transport"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberSet from "effect/FiberSet"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { bare, jsonBody, scripted, type ScriptedResponse, sse } from "../support/scriptedTransport.ts"

export interface Subject {
  readonly transport: StreamableHttpTransport.Service
  readonly sent: Effect.Effect<ReadonlyArray<unknown>>
  readonly push: (message: JsonRpc.Message) => Effect.Effect<void>
  readonly terminateByServer: Effect.Effect<void>
  /** Closes the scope of the transport. */
  readonly close: Effect.Effect<void>
}

export interface SubjectOptions {
  readonly sessionId?: string | null | undefined
  readonly session?: { readonly sessionId: string; readonly protocolVersion: string } | undefined
  readonly receiveBufferSize?: number | undefined
}

export interface Kind {
  readonly kind: string
  readonly make: (
    script?: TestTransport.Script,
    options?: SubjectOptions
  ) => Effect.Effect<Subject, never, Scope.Scope>
}

const inScope = <A>(make: Effect.Effect<A, never, Scope.Scope>) =>
  Effect.gen(function*() {
    const scope = yield* Effect.acquireRelease(Scope.make(), (scope) => Scope.close(scope, Exit.void))
    const made = yield* Scope.extend(make, scope)
    return { made, close: Scope.close(scope, Exit.void) }
  })

const double: Kind = {
  kind: "the double",
  make: (script, options) =>
    Effect.map(inScope(TestTransport.make(script, options)), ({ close, made: { server, transport } }) => ({
      ...server,
      transport,
      close
    }))
}

const real: Kind = {
  kind: "the real transport",
  make: (script, { sessionId = "test-session", ...options } = {}) =>
    Effect.gen(function*() {
      const fork = yield* FiberSet.makeRuntime<never, void, never>()
      const opened = new Set(options.session === undefined ? [] : [options.session.sessionId])
      const forgotten = new Set<string>()
      const waiting: Array<JsonRpc.Message> = []
      let stream: ScriptedResponse | undefined
      const newSession = (): Record<string, string> => {
        if (sessionId === null) return {}
        const id = opened.size === 0 ? sessionId : `${sessionId}-${opened.size + 1}`
        opened.add(id)
        return { "mcp-session-id": id }
      }
      const { close, made } = yield* inScope(scripted(({ headers, message, method }) => {
        const given = headers["mcp-session-id"]
        if (given !== undefined && forgotten.has(given)) return bare(404)
        if (method === "GET") {
          stream = sse()
          for (const message of waiting.splice(0)) stream.event({ data: message })
          return stream
        }
        if (!JsonRpc.isRequest(message)) return bare(202)
        if (message.method === "initialize") {
          // The head has the session id, so it is sent once the answer is known.
          return Effect.gen(function*() {
            const replied = yield* Deferred.make<JsonRpc.Message | undefined>()
            const write = (reply: JsonRpc.Message | undefined) => Deferred.unsafeDone(replied, Effect.succeed(reply))
            yield* answerWith(message, script, { isOpen: () => true, write, end: () => {} })
            const reply = yield* Deferred.await(replied)
            return jsonBody(reply, JsonRpc.isSuccessResponse(reply) ? newSession() : {})
          })
        }
        const response = sse()
        fork(answerWith(message, script, eventsOf(response)))
        return response
      }, { session: undefined, ...options }))
      return {
        transport: made.transport,
        close,
        sent: Effect.sync(() => made.opened.filter(({ method }) => method === "POST").map(({ message }) => message)),
        push: (message) =>
          Effect.sync(() => {
            if (stream === undefined || stream.isClosed) waiting.push(message)
            else stream.event({ data: message })
          }),
        terminateByServer: Effect.sync(() => opened.forEach((id) => forgotten.add(id)))
      }
    })
}

interface Writer {
  readonly isOpen: () => boolean
  readonly write: (message: JsonRpc.Message | undefined, token: string | undefined) => void
  readonly end: () => void
}

const eventsOf = (response: ScriptedResponse): Writer => ({
  isOpen: () => !response.isClosed,
  write: (data, token) => void response.event({ data, ...(token === undefined ? {} : { id: token }) }),
  end: () => void response.end()
})

/** Answers a request over HTTP as the script says. */
const answerWith = (
  message: JsonRpc.Request,
  script: TestTransport.Script | undefined,
  writer: Writer
): Effect.Effect<void> =>
  Effect.flatMap(Deferred.make<TestTransport.Ended>(), (ended) => {
    const put = (part: JsonRpc.Message | TestTransport.Answer | undefined, token: string | undefined) => {
      const data = part === undefined || "jsonrpc" in part
        ? part
        : part._tag === "Result"
        ? JsonRpc.success(message.id, part.value)
        : JsonRpc.error(message.id, part.error)
      writer.write(data, token)
      if (!JsonRpc.isResponse(data)) return Effect.void
      writer.end()
      return Effect.asVoid(Deferred.succeed(ended, "Answered"))
    }
    return TestTransport.answer({
      _tag: "Request",
      message,
      options: {},
      isOpen: Effect.sync(writer.isOpen),
      awaitEnd: Deferred.await(ended),
      fail: () => Effect.dieMessage("HTTP has no such failure"),
      failCause: (cause) => Effect.orDie(Effect.failCause(cause)),
      reply: (part) =>
        Effect.suspend(() =>
          "_tag" in part && part._tag === "Event" ? put(part.part, part.token) : put(part, undefined)
        ),
      end: Effect.zipRight(Effect.sync(writer.end), Deferred.succeed(ended, "Failed"))
    }, script)
  })

export const kinds: ReadonlyArray<Kind> = [double, real]

// --- waiting without a clock ----------------------------------------------------------------------------------------

export const initialized = JsonRpc.notification("notifications/initialized")

/** Lets every fiber run until it waits for something: several turns of the event loop, timers included. */
export const settle = Effect.promise(async () => {
  for (let turn = 0; turn < 4; turn++) {
    await new Promise((resolve) => setTimeout(resolve, 0))
    await new Promise((resolve) => setImmediate(resolve))
  }
})

/** What ends without the test clock going on. A hang fails, after two seconds of real time. */
export const now = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E> =>
  Effect.gen(function*() {
    const fiber = yield* Effect.fork(effect)
    for (const deadline = Date.now() + 2000; Date.now() < deadline;) {
      const exit = yield* Fiber.poll(fiber)
      if (Option.isSome(exit)) return yield* exit.value
      yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
    }
    return yield* Effect.dieMessage("it waits for something")
  })

export const failureNow = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<E> =>
  now(Effect.flip(effect)).pipe(Effect.catchAll((value) => Effect.dieMessage(`succeeded: ${JSON.stringify(value)}`)))

/** Starts something and lets it come to a rest. */
export const start = <A, E>(effect: Effect.Effect<A, E>) => Effect.zipLeft(Effect.forkScoped(effect), settle)

export const isRunning = <A, E>(fiber: Fiber.RuntimeFiber<A, E>) => Effect.map(Fiber.poll(fiber), Option.isNone)

/** Runs `receive` in the background and keeps what it gives. */
export const listen = (transport: StreamableHttpTransport.Service) =>
  Effect.gen(function*() {
    const seen: Array<JsonRpc.Message> = []
    const fiber = yield* start(
      Effect.either(Stream.runForEach(transport.receive, (message) => Effect.sync(() => seen.push(message))))
    )
    return { seen, fiber }
  })

export const stateless = { name: "x", _meta: { "io.modelcontextprotocol/protocolVersion": "2026-07-28" } }
