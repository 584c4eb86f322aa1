import * as Effect from "effect/Effect"

/** What all logs of this package are annotated with. */
export const annotated = Effect.annotateLogs({ package: "@effect-mcp/transport", module: "StreamableHttpTransport" })
