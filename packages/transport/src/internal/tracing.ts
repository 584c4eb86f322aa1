/**
 * One span per send, made by hand: nothing at all happens when no tracer is set.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as DefaultServices from "effect/DefaultServices"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as FiberRef from "effect/FiberRef"
import * as Option from "effect/Option"
import * as Tracer from "effect/Tracer"
import * as JsonRpc from "../JsonRpc.ts"

const defaultTracer = Context.get(DefaultServices.liveServices, Tracer.Tracer)

export type AnyFiber = Fiber.RuntimeFiber<unknown, unknown>

const hasTracer = (fiber: AnyFiber): boolean =>
  fiber.currentTracer !== defaultTracer && fiber.getFiberRef(FiberRef.currentTracerEnabled)

/** Whether an HTTP exchange is to tell of its trace: a tracer was set, or a trace from elsewhere is to be continued. */
export const isTraced = (fiber: AnyFiber): boolean =>
  hasTracer(fiber) || (fiber.currentSpan?._tag === "ExternalSpan" && fiber.getFiberRef(FiberRef.currentTracerEnabled))

/** The span of one send, named after its JSON-RPC method. */
export class SendSpan {
  private readonly span: Tracer.Span
  private readonly clock: Clock.Clock

  private constructor(span: Tracer.Span, clock: Clock.Clock) {
    this.span = span
    this.clock = clock
  }

  static start(fiber: AnyFiber, message: JsonRpc.Message): SendSpan | undefined {
    if (!hasTracer(fiber)) return undefined
    const clock = Context.get(fiber.currentDefaultServices, Clock.Clock)
    const parent = Option.fromNullable(fiber.currentSpan)
    const name = JsonRpc.isResponse(message) ? "response" : message.method
    const now = clock.unsafeCurrentTimeNanos()
    const span = fiber.currentTracer.span(name, parent, Context.empty(), [], now, "client")
    // Names after the OpenTelemetry conventions for MCP; never the session id, which is a credential.
    span.attribute("mcp.method.name", name)
    if (JsonRpc.isRequest(message)) span.attribute("jsonrpc.request.id", String(message.id))
    return new SendSpan(span, clock)
  }

  /** Makes the HTTP exchange a child, so that its trace headers continue this span. */
  around<A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    return Effect.provideService(effect, Tracer.ParentSpan, this.span)
  }

  event(name: string, attributes: Record<string, unknown>): void {
    this.span.event(name, this.clock.unsafeCurrentTimeNanos(), attributes)
  }

  end(exit: Exit.Exit<unknown, unknown>): void {
    this.span.end(this.clock.unsafeCurrentTimeNanos(), exit)
  }
}
