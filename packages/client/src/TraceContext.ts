/**
 * What a trace carries along beside its ids.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"

/**
 * What is sent as `tracestate` and `baggage` in the `_meta` of every request, in the W3C formats; `traceparent` follows
 * from the current span. Effect's own spans have neither, so your application sets them. Sent only when a tracer is set.
 * Default nothing.
 *
 * @example
 * ```ts
 * import { TraceContext } from "@effect-mcp/client"
 * import { Effect } from "effect"
 *
 * declare const program: Effect.Effect<void>
 *
 * const traced = program.pipe(Effect.provideService(TraceContext.TraceContext, { baggage: "tenant=blue" }))
 * ```
 *
 * @since 0.1.0
 * @category tracing
 */
export class TraceContext extends Context.Reference<TraceContext>()<
  "@effect-mcp/client/TraceContext",
  { readonly tracestate?: string | undefined; readonly baggage?: string | undefined }
>("@effect-mcp/client/TraceContext", { defaultValue: () => ({}) }) {}
