import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { connecting } from "./bareHttpClient.mjs"

export const connect = connecting(NodeHttpClient.layerUndici)
