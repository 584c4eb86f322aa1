import * as NodeStreamableHttpTransport from "@effect-mcp/transport-node/NodeStreamableHttpTransport"
import { bySend, connecting } from "./ours.mjs"

export const connect = connecting(NodeStreamableHttpTransport.layer, bySend)
