import * as StreamableHttpTransport from "@effect-mcp/transport/StreamableHttpTransport"
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as Layer from "effect/Layer"
import { bySend, connecting } from "./ours.mjs"

export const connect = connecting(
  (options) => Layer.provide(StreamableHttpTransport.layer(options), FetchHttpClient.layer),
  bySend
)
