/**
 * Fields that many results have.
 */
import * as Schema from "effect/Schema"
import { Meta } from "../Content.ts"

export const ofResult = {
  _meta: Schema.optional(Meta),
  resultType: Schema.optional(Schema.String)
}

export const cacheHints = {
  ttlMs: Schema.optional(Schema.Finite),
  cacheScope: Schema.optional(Schema.Literal("public", "private"))
}

export const ofPage = {
  ...ofResult,
  ...cacheHints,
  nextCursor: Schema.optional(Schema.String)
}
