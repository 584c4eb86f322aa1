import * as NodeStreamableHttpTransport from "@effect-mcp/transport-node/NodeStreamableHttpTransport"
import { byRequest, connecting } from "./ours.mjs"

export const connect = connecting(NodeStreamableHttpTransport.layer, byRequest)
