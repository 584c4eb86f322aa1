import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import { connecting } from "./bareHttpClient.mjs"

export const connect = connecting(FetchHttpClient.layer)
