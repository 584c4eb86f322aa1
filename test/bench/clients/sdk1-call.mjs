import { Client } from "@modelcontextprotocol/sdk/client/index.js"
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js"
import { connectClient } from "./sdkTransport.mjs"

export const connect = connectClient(
  async (url) => {
    const client = new Client({ name: "bench", version: "1.0.0" })
    await client.connect(new StreamableHTTPClientTransport(url))
    return client
  },
  (client, params, options) => client.callTool(params, undefined, options)
)
