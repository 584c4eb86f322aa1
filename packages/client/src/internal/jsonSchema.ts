/**
 * JSON Schema: a server's schema checked once, then applied to values. Both come from a server that may be hostile:
 * nothing is fetched, nothing throws, and what could take without end is refused.
 *
 * `@cfworker/json-schema` evaluates a copy of the schema (`prepare.ts`). Its own resolution of references fails only
 * when a value is validated, takes data for schemas and needs stack without a limit: it is done here (`references.ts`).
 *
 * - Dialects: 2020-12 (the default), 2019-09, draft-07, draft-04; one for the whole schema.
 * - `format` and `content*` are annotations only, as 2020-12 has it.
 * - `$dynamicRef` and `$recursiveRef`: exact while one resource of the schema has the dynamic anchor; else refused.
 * - `unevaluatedProperties` and `unevaluatedItems` inside `allOf`, `anyOf`, `oneOf`, `then` or `else` may count as
 *   evaluated what keywords beside these have evaluated.
 * - A `pattern` that only the flag `u` forbids, such as `\-`, is used in the way that the flag allows; in locations of
 *   `patternProperties` it is written that way.
 * - The time that one `pattern` takes on one text is not bounded: JavaScript cannot stop a regular expression.
 *
 * Specification 2026-07-28, basic: "JSON Schema Usage", "$ref Resolution", "Composition-Keyword Resource Use".
 */
import * as Either from "effect/Either"
import { copyJson } from "./jsonSchema/json.ts"
import { Meter } from "./jsonSchema/limits.ts"
import { prepare } from "./jsonSchema/prepare.ts"
import { messageOf, Rejection, type SchemaProblem } from "./jsonSchema/problem.ts"
import { validate, type Violation } from "./jsonSchema/validate.ts"

export { limits } from "./jsonSchema/limits.ts"
export type { SchemaProblem } from "./jsonSchema/problem.ts"
export type { Violation } from "./jsonSchema/validate.ts"

/** Empty when the value is valid. Not all violations of a large value, and never more than `limits.violations`. */
export type Validator = (value: unknown) => ReadonlyArray<Violation>

/** The schema, ready to be applied any number of times, or why it cannot be. */
export const compile = (schema: unknown): Either.Either<Validator, SchemaProblem> =>
  Either.try({
    try: () => {
      const meter = new Meter()
      const prepared = prepare(copyJson(schema), meter)
      return (value) => validate(prepared, meter, value)
    },
    catch: (error): SchemaProblem => {
      if (error instanceof Rejection) return error.problem
      // The stack of the caller was nearly full already.
      if (error instanceof RangeError) return { _tag: "TooComplex", limit: "the call stack is exhausted" }
      return { _tag: "InvalidSchema", message: messageOf(error) }
    }
  })
