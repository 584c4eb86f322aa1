/**
 * Effects that are run once and let go of what they hold when they begin.
 *
 * V8 puts a function literal that is assigned to a property (`effect.run = () => ...`) into the old generation at once, and
 * what it closes over is kept until the next full garbage collection. Effect makes its `async` and `interruptible` that way,
 * so that the whole of every request would be kept, and be copied by the collector: half of what a request cost.
 */
import * as Effect from "effect/Effect"

/** `Effect.async` without a finalizer: who waits sees to that. */
export const async = <A, E = never>(
  register: (resume: (effect: Effect.Effect<A, E>) => void) => void
): Effect.Effect<A, E> => {
  let next: typeof register | undefined = register
  return Effect.async((resume) => {
    const begin = next
    next = undefined
    if (begin === undefined) resume(again)
    else begin(resume)
  })
}

export type Restore = <A, E>(effect: Effect.Effect<A, E>) => Effect.Effect<A, E>

/** `Effect.uninterruptibleMask`. What is given to `restore` is to be made here, too. */
export const uninterruptibleMask = <A, E>(
  make: (restore: Restore) => Effect.Effect<A, E>
): Effect.Effect<A, E> => {
  let next: typeof make | undefined = make
  return Effect.uninterruptibleMask((restore) => {
    const begin = next
    next = undefined
    return begin === undefined ? again : begin(restore)
  })
}

/** `Effect.suspend`, for what is made interruptible. */
export const suspend = <A, E, R>(make: () => Effect.Effect<A, E, R>): Effect.Effect<A, E, R> => {
  let next: typeof make | undefined = make
  return Effect.suspend(() => {
    const begin = next
    next = undefined
    return begin === undefined ? again : begin()
  })
}

const again = Effect.dieMessage("an effect for one run was run again")
