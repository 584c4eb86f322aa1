import * as Schema from "effect/Schema"

/** Apart from `ResumptionStore`, so that whoever has no store does not load what stores are made of. */
export class ResumptionStoreError extends Schema.TaggedError<ResumptionStoreError>(
  "@effect-mcp/transport/ResumptionStoreError"
)("ResumptionStoreError", { method: Schema.Literal("load", "save", "clear", "open"), cause: Schema.Defect }) {
  /**
   * @since 0.1.0
   */
  override get message(): string {
    return `the resumption store failed to ${this.method}`
  }
}
