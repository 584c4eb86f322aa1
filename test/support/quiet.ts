/**
 * Tests whose transports have reason to warn: what they log is not shown.
 */
import { it } from "@effect/vitest"
import type * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import type * as Scope from "effect/Scope"

/** `it.scopedLive` without logs. */
export const live = <A, E>(name: string, body: () => Effect.Effect<A, E, Scope.Scope>, timeout?: number): void =>
  it.scopedLive(name, () => Logger.withMinimumLogLevel(body(), LogLevel.None), timeout)

/** `it.scoped`, which runs under the test clock, without logs. */
export const clocked = <A, E>(name: string, body: () => Effect.Effect<A, E, Scope.Scope>): void =>
  it.scoped(name, () => Logger.withMinimumLogLevel(body(), LogLevel.None))
