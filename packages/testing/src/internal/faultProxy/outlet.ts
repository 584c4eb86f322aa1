/**
 * Takes the steps of responses one after the other, in time and at the pace of the client.
 */
import type * as FaultProxy from "../../FaultProxy.ts"
import type { Step } from "./stages.ts"

export interface Outlet {
  /** Steps to be taken after those that were given before. */
  readonly push: (steps: Iterable<Step>) => void
  /** The client has taken what was written. */
  readonly onDrain: () => void
  /** No step is left. */
  readonly isIdle: () => boolean
  /** It has come to a wait without an end. */
  readonly isStalled: () => boolean
  /** Drops all steps, now and later. */
  readonly stop: () => void
}

export interface Effects {
  /** False: wait for `onDrain`. */
  readonly write: (bytes: Buffer) => boolean
  /** The last step. */
  readonly cut: (how: FaultProxy.Cut["how"]) => void
  readonly done: () => void
  /** Called whenever no step is left after some were taken. */
  readonly idle: () => void
}

/** `setTimeout` cannot wait any longer. */
const longestWait = 2 ** 31 - 1

export const makeOutlet = (effects: Effects): Outlet => {
  let queue: Array<Iterator<Step>> = []
  let state: "Ready" | "Stepping" | "Full" | "Waiting" | "Stalled" | "Stopped" = "Ready"
  /** Ends a wait early. */
  let cancel = (): void => {}

  const next = (): Step | undefined => {
    for (let first = queue[0]; first !== undefined; first = queue[0]) {
      const result = first.next()
      if (result.done !== true) return result.value
      queue.shift()
    }
    return undefined
  }

  const goOnFrom = (expected: "Full" | "Waiting") => (): void => {
    if (state !== expected) return
    state = "Ready"
    stepOn()
  }
  const goOn = goOnFrom("Waiting")

  const wait = (millis: number): void => {
    if (millis === Number.POSITIVE_INFINITY) {
      state = "Stalled"
      return
    }
    state = "Waiting"
    const timer = setTimeout(goOn, Math.min(millis, longestWait))
    cancel = () => clearTimeout(timer)
  }

  const take = (step: Step): void => {
    switch (step._tag) {
      case "Pass":
        if (!effects.write(step.bytes) && isStepping()) state = "Full"
        return
      case "Wait":
        return wait(step.millis)
      case "Turn": {
        state = "Waiting"
        const immediate = setImmediate(goOn)
        cancel = () => clearImmediate(immediate)
        return
      }
      case "Cut":
        stop()
        return effects.cut(step.how)
      case "Done":
        return effects.done()
    }
  }

  const isStepping = (): boolean => state === "Stepping"

  const stepOn = (): void => {
    if (state !== "Ready") return
    state = "Stepping"
    while (isStepping()) {
      const step = next()
      if (step === undefined) state = "Ready"
      else take(step)
    }
    if (isIdle()) effects.idle()
  }

  const isIdle = (): boolean => state === "Ready" && queue.length === 0

  const stop = (): void => {
    state = "Stopped"
    queue = []
    cancel()
  }

  return {
    push: (steps) => {
      if (state === "Stopped") return
      queue.push(steps[Symbol.iterator]())
      stepOn()
    },
    onDrain: goOnFrom("Full"),
    isIdle,
    isStalled: () => state === "Stalled",
    stop
  }
}
