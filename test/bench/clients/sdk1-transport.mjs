import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js"
import { connectTransport } from "./sdkTransport.mjs"

export const connect = connectTransport((url) => new StreamableHTTPClientTransport(url))
