import { StreamableHTTPClientTransport } from "@modelcontextprotocol/client"
import { connectTransport } from "./sdkTransport.mjs"

export const connect = connectTransport((url) => new StreamableHTTPClientTransport(url))
