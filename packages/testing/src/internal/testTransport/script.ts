/**
 * Answers what comes in as a script says.
 */
import type { TransportError } from "@effect-mcp/transport/TransportError"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type * as TestTransport from "../../TestTransport.ts"

const methodNotFound = -32601

/** For an `initialize` that asks for none. */
const latestVersion = "2025-11-25"

/** Serves every message in a fiber of its own, until the scope closes. */
export const serve = (
  { incoming }: TestTransport.Server,
  script: TestTransport.Script,
  options: TestTransport.AnswerOptions
): Effect.Effect<void, never, Scope.Scope> =>
  Effect.gen(function*() {
    const answering = yield* FiberSet.make<void>()
    yield* incoming.pipe(
      Stream.runForEach((next) => FiberSet.run(answering, answer(next, script, options))),
      Effect.forkScoped
    )
  })

/** Ends when the send has ended: nothing goes on for a caller who has left. */
export const answer = (
  incoming: TestTransport.Incoming,
  script: TestTransport.Script,
  options: TestTransport.AnswerOptions
): Effect.Effect<void> => {
  const work = incoming._tag === "Request"
    ? Effect.suspend(() => follow(incoming, planFor(incoming, script, options)))
    : Effect.zipRight(
      Effect.suspend(() => options.accept?.(incoming.message, incoming.options) ?? Effect.void),
      incoming.accept
    )
  return Effect.whenEffect(
    Effect.raceFirst(Effect.catchAllCause(work, incoming.failCause), incoming.awaitEnd),
    incoming.isOpen
  ).pipe(Effect.asVoid)
}

const follow = (
  incoming: TestTransport.IncomingRequest,
  plan: TestTransport.Reply
): Effect.Effect<void, TransportError> => {
  if (Effect.isEffect(plan)) return Effect.flatMap(plan, (reply) => follow(incoming, reply))
  return plan._tag === "Parts"
    ? Effect.zipRight(Stream.runForEach(plan.parts, incoming.reply), incoming.end)
    : incoming.reply(plan)
}

const planFor = (
  incoming: TestTransport.IncomingRequest,
  script: TestTransport.Script,
  options: TestTransport.AnswerOptions
): TestTransport.Reply => {
  const { message } = incoming
  const entry = typeof script === "function"
    ? script
    : Object.hasOwn(script, message.method)
    ? script[message.method]
    : undefined
  const plan = typeof entry === "function" ? entry(message, incoming.options) : entry
  return plan ?? standardReply(incoming, options)
}

/** What a server says to methods that the script says nothing about. */
const standardReply = (
  { message }: TestTransport.IncomingRequest,
  options: TestTransport.AnswerOptions
): TestTransport.Answer => {
  switch (message.method) {
    case "initialize":
      return {
        _tag: "Result",
        value: {
          protocolVersion: options.protocolVersion ?? message.params?.protocolVersion ?? latestVersion,
          capabilities: {},
          serverInfo: { name: "test-server", version: "1.0.0" }
        }
      }
    case "ping":
      return { _tag: "Result", value: {} }
    default:
      return { _tag: "Error", error: { code: methodNotFound, message: `Method not found: ${message.method}` } }
  }
}
