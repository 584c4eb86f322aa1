import * as StreamableHttpTransport from "@effect-mcp/transport/StreamableHttpTransport"
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as Layer from "effect/Layer"
import { bySend, connecting } from "./ours.mjs"

export const connect = connecting(
  (options) => Layer.provide(StreamableHttpTransport.layer(options), NodeHttpClient.layerUndici),
  bySend
)
