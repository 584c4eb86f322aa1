/**
 * The context in which a service is built, for its functions that run later and elsewhere.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as Tracer from "effect/Tracer"

export interface Captured<R> {
  readonly effect: <A, E>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E>
  readonly stream: <A, E>(stream: Stream.Stream<A, E, R>) => Stream.Stream<A, E>
}

/** Takes the present context, except for its span: what runs later belongs to the span of its caller, if there is one. */
export const captured = <R>(): Effect.Effect<Captured<R>, never, R> =>
  Effect.map(Effect.context<R>(), (context) => {
    const services = new Map(context.unsafeMap)
    services.delete(Tracer.ParentSpan.key)
    const withoutSpan = Context.unsafeMake<R>(services)
    const within = (caller: Context.Context<never>): Context.Context<R> => Context.merge(caller, withoutSpan)
    return {
      effect: (effect) => Effect.mapInputContext(effect, within),
      stream: (stream) => Stream.mapInputContext(stream, within)
    }
  })
