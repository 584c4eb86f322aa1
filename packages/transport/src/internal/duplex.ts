/**
 * The classic pipe: messages in, messages out, errors turned into what a JSON-RPC peer understands.
 */
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberSet from "effect/FiberSet"
import * as Mailbox from "effect/Mailbox"
import * as Stream from "effect/Stream"
import * as JsonRpc from "../JsonRpc.ts"
import type * as StreamableHttpTransport from "../StreamableHttpTransport.ts"
import type { TransportError } from "../TransportError.ts"
import { annotated } from "./logging.ts"

const lead = 16

/** JSON-RPC's code for errors of the implementation: here, "the transport failed". */
const failureCode = -32000

export const duplex = <E, R>(
  outgoing: Stream.Stream<JsonRpc.Message, E, R>,
  transport: StreamableHttpTransport.Service
): Stream.Stream<JsonRpc.Message, TransportError | E, R> =>
  Stream.unwrapScoped(Effect.gen(function*() {
    const incoming = yield* Mailbox.make<JsonRpc.Message, TransportError | E>({ capacity: lead })
    const submissions = yield* Mailbox.make<Submission>()
    const requests = yield* FiberSet.make<void>()

    const offer = (message: JsonRpc.Message) => Effect.asVoid(incoming.offer(message))

    // A defect of the transport is the pipe's own: nobody would be told otherwise.
    const orFail = Effect.catchAllCause((cause: Cause.Cause<never>) =>
      Cause.isInterruptedOnly(cause) ? Effect.failCause(cause) : Effect.asVoid(incoming.failCause(cause))
    )

    const answer = (request: JsonRpc.Request) =>
      transport.send(request).pipe(
        Stream.runForEach(offer),
        Effect.catchAll((error) => offer(failed(request, error))),
        orFail
      )

    const submit = (message: JsonRpc.Message) =>
      transport.send(message).pipe(
        Stream.runForEach(offer),
        Effect.catchAll((error) => Effect.logWarning("a message was not delivered", Cause.fail(error)).pipe(annotated)),
        orFail
      )

    // Notifications and responses keep their order among themselves and never hold up a request.
    const submitted = yield* Mailbox.toStream(submissions).pipe(
      Stream.runForEach(({ done, message }) => Effect.zipRight(submit(message), Deferred.succeed(done, undefined))),
      Effect.forkScoped
    )

    const enqueue = (message: JsonRpc.Message) =>
      Effect.tap(Deferred.make<void>(), (done) => submissions.offer({ message, done }))

    // `initialize` and `notifications/initialized` are barriers: what follows them waits.
    const dispatch = (message: JsonRpc.Message): Effect.Effect<void> => {
      if (JsonRpc.isRequest(message)) {
        return message.method === "initialize"
          ? answer(message)
          : Effect.asVoid(FiberSet.run(requests, answer(message)))
      }
      return JsonRpc.isNotification(message) && message.method === "notifications/initialized"
        ? Effect.flatMap(enqueue(message), Deferred.await)
        : Effect.asVoid(enqueue(message))
    }

    yield* transport.receive.pipe(
      Stream.runForEach(offer),
      Effect.catchAll((error) => Effect.asVoid(incoming.fail(error))),
      orFail,
      Effect.forkScoped
    )

    yield* outgoing.pipe(
      Stream.runForEach(dispatch),
      Effect.zipRight(submissions.end),
      Effect.zipRight(submitted.await),
      Effect.zipRight(FiberSet.awaitEmpty(requests)),
      Effect.exit,
      Effect.flatMap((exit) => incoming.done(Exit.asVoid(exit))),
      Effect.forkScoped
    )
    return Mailbox.toStream(incoming)
  }))

interface Submission {
  readonly message: JsonRpc.Message
  readonly done: Deferred.Deferred<void>
}

const failed = (request: JsonRpc.Request, error: TransportError): JsonRpc.ErrorResponse =>
  JsonRpc.error(request.id, {
    code: failureCode,
    message: error.message,
    data: { tag: error._tag, outcome: error.outcome ?? "Unknown" }
  })
