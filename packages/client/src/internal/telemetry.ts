/**
 * A span, the trace context and a duration for every request, after the OpenTelemetry conventions for MCP. Of the first
 * two nothing at all happens when no tracer is set.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as DefaultServices from "effect/DefaultServices"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as FiberRef from "effect/FiberRef"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import * as Tracer from "effect/Tracer"
import { isMcpClientError } from "../McpClientError.ts"
import * as McpClientMetrics from "../McpClientMetrics.ts"
import { TraceContext } from "../TraceContext.ts"

const defaultTracer = Context.get(DefaultServices.liveServices, Tracer.Tracer)

export type AnyFiber = Fiber.RuntimeFiber<unknown, unknown>

export interface Traced {
  readonly method: string
  /** A tool's or prompt's name, or a resource's URI. */
  readonly target: string | undefined
  readonly protocolVersion: string
  readonly requestId: number
}

export class CallSpan {
  private readonly span: Tracer.Span
  private readonly clock: Clock.Clock
  private readonly context: typeof TraceContext.Service

  private constructor(span: Tracer.Span, clock: Clock.Clock, context: typeof TraceContext.Service) {
    this.span = span
    this.clock = clock
    this.context = context
  }

  static start(fiber: AnyFiber, call: Traced): CallSpan | undefined {
    if (fiber.currentTracer === defaultTracer || !fiber.getFiberRef(FiberRef.currentTracerEnabled)) return undefined
    const clock = Context.get(fiber.currentDefaultServices, Clock.Clock)
    const parent = Option.fromNullable(fiber.currentSpan)
    const { method, protocolVersion, requestId, target } = call
    const isUri = method.startsWith("resources/")
    // A URI has no bound on how many there are, so it is no part of the name.
    const name = target === undefined || isUri ? method : `${method} ${target}`
    const span = fiber.currentTracer.span(
      name,
      parent,
      Context.empty(),
      [],
      clock.unsafeCurrentTimeNanos(),
      "client"
    )
    span.attribute("mcp.method.name", method)
    span.attribute("mcp.protocol.version", protocolVersion)
    span.attribute("jsonrpc.request.id", String(requestId))
    if (target !== undefined) {
      if (isUri) span.attribute("mcp.resource.uri", target)
      else if (method === "tools/call") span.attribute("gen_ai.tool.name", target)
      else if (method === "prompts/get") span.attribute("gen_ai.prompt.name", target)
    }
    if (method === "tools/call") span.attribute("gen_ai.operation.name", "execute_tool")
    return new CallSpan(span, clock, Context.get(fiber.currentContext, TraceContext))
  }

  /** The members of `_meta` that carry the trace on (2026-07-28, "OpenTelemetry trace context"). */
  addTo(meta: { [name: string]: unknown }): void {
    const { sampled, spanId, traceId } = this.span
    meta.traceparent = `00-${traceId}-${spanId}-${sampled ? "01" : "00"}`
    if (this.context.tracestate !== undefined) meta.tracestate = this.context.tracestate
    if (this.context.baggage !== undefined) meta.baggage = this.context.baggage
  }

  /** Makes what the transport does a child. */
  around<A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    return Effect.provideService(effect, Tracer.ParentSpan, this.span)
  }

  end(exit: Exit.Exit<unknown, unknown>, errorType: string | undefined): void {
    if (errorType !== undefined) {
      this.span.attribute("error.type", errorType)
      if (isJsonRpcError(exit)) this.span.attribute("rpc.response.status_code", errorType)
    }
    this.span.end(this.clock.unsafeCurrentTimeNanos(), errorType === toolError ? toolFailed : exit)
  }
}

/** What the conventions call the failure that a tool itself reports (`isError`). */
const toolError = "tool_error"

const toolFailed = Exit.fail("the tool reported a failure")

const isJsonRpcError = (exit: Exit.Exit<unknown, unknown>): boolean => {
  const failure = Exit.isFailure(exit) ? Cause.failureOption(exit.cause) : Option.none()
  return Option.isSome(failure) && isMcpClientError(failure.value) && failure.value._tag === "JsonRpcError"
}

const isToolFailure = (result: unknown): boolean =>
  typeof result === "object" && result !== null && "isError" in result && result.isError === true

/**
 * `error.type`: the code of a JSON-RPC error, the tag of any other, `tool_error` for a tool that reports its failure,
 * `interrupted`, or nothing for a success.
 */
export const errorType = (method: string, exit: Exit.Exit<unknown, unknown>): string | undefined => {
  if (Exit.isSuccess(exit)) return method === "tools/call" && isToolFailure(exit.value) ? toolError : undefined
  const failure = Cause.failureOption(exit.cause)
  if (Option.isNone(failure)) return Cause.isInterrupted(exit.cause) ? "interrupted" : "defect"
  const error = failure.value
  if (!isMcpClientError(error)) return "error"
  return error._tag === "JsonRpcError" ? String(error.error.code) : error._tag
}

const successes = new Map<string, McpClientMetrics.Histogram>()

/** How many methods get a metric of their own, kept ready: more than the protocol has. */
const mostMethods = 100

const tagged = (method: string, type: string | undefined): McpClientMetrics.Histogram => {
  const ready = type === undefined ? successes.get(method) : undefined
  if (ready !== undefined) return ready
  const ofMethod = Metric.tagged(McpClientMetrics.operationDuration, "mcp.method.name", method)
  if (type !== undefined) return Metric.tagged(ofMethod, "error.type", type)
  if (successes.size < mostMethods) successes.set(method, ofMethod)
  return ofMethod
}

/** With the labels of the fiber, as all metrics have. */
export const recordDuration = (fiber: AnyFiber, method: string, millis: number, type: string | undefined): void => {
  tagged(method, type).unsafeUpdate(millis / 1000, fiber.getFiberRef(FiberRef.currentMetricLabels))
}
