/**
 * The server's own stream: one GET for all who run `receive`, open while somebody does. A fiber opens it, reopens it by
 * the same machine as a request's stream, and moves on to a new session when there is one.
 *
 * Specification 2025-11-25, basic/transports, "Listening for Messages from the Server".
 */
import * as Channel from "effect/Channel"
import * as Chunk from "effect/Chunk"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type * as HttpExchange from "../HttpExchange.ts"
import type * as JsonRpc from "../JsonRpc.ts"
import type { TransportError } from "../TransportError.ts"
import * as TransportEvent from "../TransportEvent.ts"
import * as TransportMetrics from "../TransportMetrics.ts"
import type { Core } from "./core.ts"
import { idleCause } from "./inbox.ts"
import { annotated } from "./logging.ts"
import { race } from "./race.ts"
import { type Loss, ReconnectDecider, reopened } from "./reconnecting.ts"
import { readRefusal } from "./refusal.ts"
import { getHeaders, isSendableEventId } from "./requestHeaders.ts"
import { ServerConnection } from "./serverConnection.ts"
import type { Session } from "./session.ts"
import { type Listener, SharedLog } from "./sharedLog.ts"
import { sleep } from "./sleep.ts"
import { meaningOf } from "./statusTable.ts"
import { LogicalStream, progressAfter } from "./streamMachine.ts"

const name: TransportEvent.StreamName = { _tag: "Server" }

/** How one period of listening ended: quietly (`undefined`) or with an error. */
type Ending = Exit.Exit<void, TransportError>

/** From the first listener's coming to the last one's leaving, or to the end of the stream. */
interface Period {
  fiber: Fiber.RuntimeFiber<void> | undefined
  ending: Ending | undefined
}

export class ServerStream {
  private readonly log: SharedLog
  private period: Period | undefined
  private lastFiber: Fiber.RuntimeFiber<void> | undefined
  /** The cursor belongs to a session: another session, another logical stream. */
  private machine = new LogicalStream("Server")
  private machineSession: Session | undefined
  private connection: ServerConnection | undefined
  private onSessionChange: (() => void) | undefined
  /** Ends the exchange of the moment, opened or not. */
  private abort: () => void = () => {}

  private readonly core: Core

  constructor(core: Core) {
    this.core = core
    this.log = new SharedLog(core.options.receiveBufferSize)
    core.onSessionChange = () => this.onSessionChange?.()
  }

  /** What `receive` runs. */
  readonly channel: Channel.Channel<Chunk.Chunk<JsonRpc.Message>, unknown, TransportError, unknown, void, unknown> =
    Channel.suspend(() => {
      if (!this.log.hasListeners && this.machineSession !== this.core.session) this.log.clear()
      const listener = this.log.join()
      let period: Period | undefined
      const start = Effect.suspend(() => {
        const isFirst = this.period === undefined
        period = this.period ??= { fiber: undefined, ending: undefined }
        return isFirst ? this.begin(period) : Effect.void
      })
      const next: Effect.Effect<Chunk.Chunk<JsonRpc.Message> | undefined, TransportError> = Effect.suspend(() => {
        const message = this.log.take(listener)
        if (message !== undefined) {
          this.connection?.resumeIfRoom()
          return Effect.succeed(Chunk.of(message))
        }
        if (period?.ending !== undefined) return Effect.as(period.ending, undefined)
        return Effect.zipRight(
          waitFor(listener, () => this.log.canTake(listener) || period?.ending !== undefined),
          next
        )
      })
      // One message at a time: what a chunk holds counts as taken, wanted or not.
      const loop: Channel.Channel<Chunk.Chunk<JsonRpc.Message>, unknown, TransportError, unknown, void, unknown> =
        Channel.flatMap(
          Channel.fromEffect(next),
          (chunk) => chunk === undefined ? Channel.void : Channel.flatMap(Channel.write(chunk), () => loop)
        )
      return Channel.ensuring(
        Channel.zipRight(Channel.fromEffect(start), loop),
        Effect.suspend(() => this.leave(listener))
      )
    })

  /** Waits until the fiber has ended, once the transport is closed. */
  readonly stop: Effect.Effect<void> = Effect.suspend(() => {
    const fiber = this.lastFiber
    return fiber === undefined ? Effect.void : Effect.asVoid(Fiber.await(fiber))
  })

  private close(): void {
    this.abort()
    this.connection?.close()
  }

  private leave(listener: Listener): Effect.Effect<void> {
    this.log.leave(listener)
    this.connection?.resumeIfRoom()
    if (this.log.hasListeners) return Effect.void
    const { period } = this
    this.period = undefined
    return period?.fiber === undefined ? Effect.void : Fiber.interrupt(period.fiber)
  }

  private begin(period: Period): Effect.Effect<void> {
    // The one before may still be letting go of the stream.
    const before = this.lastFiber
    const run = Effect.zipRight(before === undefined ? Effect.void : Fiber.await(before), this.listen).pipe(
      Effect.interruptible,
      Effect.ensuring(Effect.sync(() => {
        this.close()
        this.connection = undefined
        this.machine.signal("Settle")
      })),
      Effect.exit,
      Effect.map((ending) => {
        period.ending = ending
        if (this.period === period) this.period = undefined
        this.log.wakeAll()
      })
    )
    return Effect.uninterruptible(Effect.map(Effect.forkDaemon(run), (fiber) => {
      period.fiber = fiber
      this.lastFiber = fiber
    }))
  }

  // --- the fiber ----------------------------------------------------------------------------------------------------

  /** Listens in one session after the other, until the stream ends. */
  private readonly listen: Effect.Effect<void, TransportError> = Effect.suspend(() => {
    if (this.core.closed) return Effect.void
    const { session } = this.core
    if (session.status === "Terminated" || !session.initialized) return this.awaitSession(session)
    if (this.machineSession !== session) {
      this.machineSession = session
      this.machine = new LogicalStream("Server")
    } else {
      this.machine.reopen()
    }
    const changed = this.sessionChange(() => this.core.closed || session.replaced || session.terminatedBy === "Client")
    return race(
      Effect.as(this.listenIn(session, this.machine), true),
      Effect.as(changed, false)
    ).pipe(
      Effect.flatMap((hasEnded) => {
        if (hasEnded || this.core.closed) return Effect.void
        this.close()
        // Replaced: the stream belongs to the next session. Terminated by this side: it ends.
        return session.replaced ? this.listen : Effect.void
      })
    )
  })

  /** Nothing to listen to yet: waits for a session whose handshake is done. */
  private awaitSession(session: Session): Effect.Effect<void, TransportError> {
    const wasOver = session.status === "Terminated"
    const isDifferent = (): boolean =>
      this.core.closed || this.core.session !== session || (!wasOver && (session.initialized || isEnded()))
    const isEnded = (): boolean => session.terminatedBy === "Client" && !session.replaced
    return Effect.flatMap(
      this.sessionChange(isDifferent),
      () => !wasOver && isEnded() ? Effect.void : this.listen
    )
  }

  private sessionChange(isTrue: () => boolean): Effect.Effect<void> {
    return Effect.async((resume) => {
      const check = (): void => {
        if (!isTrue()) return
        this.onSessionChange = undefined
        resume(Effect.void)
      }
      this.onSessionChange = check
      check()
    })
  }

  private listenIn(session: Session, machine: LogicalStream): Effect.Effect<void, TransportError> {
    const decider = new ReconnectDecider(this.core.options.reconnect, this.core.options.maxRetryDelay)
    const connect: Effect.Effect<void, TransportError> = Effect.suspend(() => {
      const isFirst = !machine.wasOpen
      machine.signal(isFirst ? "Open" : "Resume")
      return Effect.matchEffect(this.openOnce(session, machine), {
        onFailure: (cause) => retry({ cause }),
        onSuccess: (response) => onHead(response, isFirst)
      })
    })
    const onHead = (response: HttpExchange.Response, isFirst: boolean): Effect.Effect<void, TransportError> => {
      const { headers, status } = response
      const sessionIdSent = session.sessionId !== undefined
      const meaning = meaningOf(isFirst ? "FirstGet" : "Resume", status, headers["content-type"], sessionIdSent)
      switch (meaning) {
        case "Events":
          return Effect.flatMap(this.read(response, machine, isFirst), retry)
        case "NotOffered":
          return this.core.lingering.discard(response)
        case "SessionTerminated":
          return Effect.zipRight(
            this.core.lingering.discard(response),
            Effect.suspend(() => {
              this.core.endSession(session, "Server")
              return giveUp(this.core.errors.terminated(session, "Server"))
            })
          )
        default:
          return Effect.flatMap(readRefusal(response, this.core.options.maxMessageSize), ({ body, retryAfter }) => {
            const cause = this.core.errors.status("GET", response, body, retryAfter, undefined)
            if (meaning === "StatusError") return giveUp(cause)
            const loss = { cause, status, retryAfter }
            return meaning === "Unsupported" || meaning === "Rejected"
              ? giveUp(this.core.errors.resumption(meaning, machine, loss, undefined))
              : retry(loss)
          })
      }
    }
    const retry = (loss: Loss): Effect.Effect<void, TransportError> => {
      machine.signal("Lost")
      return Effect.flatMap(decider.decide(machine, undefined, loss), (decision) => {
        switch (decision._tag) {
          case "Wait":
            return Effect.zipRight(this.wait(machine, decision.millis), connect)
          case "TooLong":
            return giveUp(this.core.errors.resumption("RetryTooLong", machine, loss, undefined, decision.millis))
          case "Exhausted":
            return giveUp(this.core.errors.resumption("Exhausted", machine, loss, undefined))
        }
      })
    }
    const giveUp = (error: TransportError): Effect.Effect<never, TransportError> => {
      this.core.hub.emit(() => TransportEvent.StreamGaveUp({ stream: name, error }))
      return Effect.fail(error)
    }
    return connect
  }

  private wait(machine: LogicalStream, millis: number): Effect.Effect<void> {
    machine.signal("Retry")
    const attempt = ++machine.attempts
    const { lastEventId } = machine
    this.core.hub.emit(() =>
      TransportEvent.StreamWaiting({ stream: name, lastEventId, attempt, delay: Duration.millis(millis) })
    )
    return Effect.logDebug(`the server's stream was lost; reconnecting in ${millis} ms, attempt ${attempt}`).pipe(
      annotated,
      Effect.zipRight(sleep(millis)),
      Effect.zipRight(Effect.sync(() => TransportMetrics.reconnects.unsafeUpdate(1, [])))
    )
  }

  private openOnce(session: Session, machine: LogicalStream): Effect.Effect<HttpExchange.Response, unknown> {
    const { headers, idleTimeout } = this.core.options
    this.close()
    const cursor = machine.lastEventId !== undefined && isSendableEventId(machine.lastEventId)
      ? machine.lastEventId
      : undefined
    const opened = this.core.open({
      method: "GET",
      headers: getHeaders(headers, undefined, session, cursor),
      lastEventId: cursor,
      exposeAbort: (abort) => {
        this.abort = abort
      }
    }).pipe(Effect.mapError((error) => error.cause))
    return idleTimeout === undefined || !machine.wasOpen
      ? opened
      : race(opened, Effect.zipRight(sleep(idleTimeout), Effect.failSync(() => idleCause(idleTimeout))))
  }

  /** Reads one connection to its end. */
  private read(
    response: HttpExchange.Response,
    machine: LogicalStream,
    isFirst: boolean
  ): Effect.Effect<Loss, TransportError> {
    return Effect.flatMap(Clock.currentTimeMillis, (openedAt) => {
      const { attempts, lastEventId } = machine
      reopened(machine, openedAt)
      machine.signal("Body")
      this.core.hub.emit(() =>
        isFirst
          ? TransportEvent.StreamOpened({ stream: name, lastEventId })
          : TransportEvent.StreamResumed({ stream: name, lastEventId, attempt: attempts })
      )
      const connection = new ServerConnection(this.core, this.log, machine, response)
      this.connection = connection
      return Effect.flatMap(connection.run, (over) =>
        Effect.flatMap(Clock.currentTimeMillis, (now) => {
          if (!machine.hadId && now - openedAt >= progressAfter) machine.progress()
          if (over === "TooLarge") return Effect.fail(this.core.errors.tooLarge(this.core.options.maxMessageSize))
          const cause = this.core.errors.cause(over.cause)
          this.core.hub.emit(() =>
            TransportEvent.StreamBroken({ stream: name, lastEventId: machine.lastEventId, cause })
          )
          return Effect.succeed({ cause })
        }))
    })
  }
}

// The condition is looked at once more when the wait begins: a fiber may pause between its look and its wait.
const waitFor = (listener: Listener, isReady: () => boolean): Effect.Effect<void> =>
  Effect.async((resume) => {
    if (isReady()) return resume(Effect.void)
    listener.wake = () => {
      listener.wake = undefined
      resume(Effect.void)
    }
  })
