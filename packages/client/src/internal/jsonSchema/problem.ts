/**
 * Why a schema cannot be used.
 */

export type SchemaProblem =
  | { readonly _tag: "UnsupportedDialect"; readonly dialect: string }
  /** A reference that leads to nothing inside the schema. It is not followed. */
  | { readonly _tag: "ExternalReference"; readonly ref: string }
  | { readonly _tag: "TooComplex"; readonly limit: string }
  | { readonly _tag: "InvalidSchema"; readonly message: string }

/** Ends the preparation of a schema; `compile` makes it a value. */
export class Rejection extends Error {
  readonly problem: SchemaProblem
  constructor(problem: SchemaProblem) {
    super(problem._tag)
    this.problem = problem
  }
}

export const invalid = (message: string): Rejection => new Rejection({ _tag: "InvalidSchema", message })

export const tooComplex = (limit: string): Rejection => new Rejection({ _tag: "TooComplex", limit })

/** A server's text in a message. */
export const clip = (text: string): string => text.length > 200 ? `${text.slice(0, 200)}...` : text

export const messageOf = (error: unknown): string => error instanceof Error ? clip(error.message) : "unknown"
