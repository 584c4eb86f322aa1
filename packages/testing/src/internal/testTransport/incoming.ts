/**
 * A send as the server's side sees it.
 */
import * as JsonRpc from "@effect-mcp/transport/JsonRpc"
import type { TransportError } from "@effect-mcp/transport/TransportError"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as TestTransport from "../../TestTransport.ts"
import type { Exchange } from "./exchange.ts"

export const incomingOf = (exchange: Exchange): TestTransport.Incoming => {
  const { message, options } = exchange
  const failCause = (cause: Cause.Cause<TransportError>) => Effect.sync(() => exchange.failCause(cause))
  const common = {
    options,
    isOpen: Effect.sync(() => exchange.isOpen),
    awaitEnd: exchange.awaitEnd,
    fail: (error: TransportError) => failCause(Cause.fail(error)),
    failCause
  }
  if (JsonRpc.isRequest(message)) {
    return {
      _tag: "Request",
      message,
      ...common,
      reply: (part) => reply(exchange, message, part),
      end: Effect.sync(() => exchange.endWithoutAnswer())
    }
  }
  const accept = Effect.sync(() => exchange.accept())
  return JsonRpc.isNotification(message)
    ? { _tag: "Notification", message, ...common, accept }
    : { _tag: "Response", message, ...common, accept }
}

const reply = (exchange: Exchange, request: JsonRpc.Request, part: TestTransport.Part): Effect.Effect<void> => {
  if ("jsonrpc" in part) return exchange.put(part, undefined)
  return part._tag === "Event"
    ? exchange.put(part.part === undefined ? undefined : messageOf(request, part.part), part.token)
    : exchange.put(messageOf(request, part), undefined)
}

const messageOf = (request: JsonRpc.Request, part: JsonRpc.Message | TestTransport.Answer): JsonRpc.Message => {
  if ("jsonrpc" in part) return part
  return part._tag === "Result" ? JsonRpc.success(request.id, part.value) : JsonRpc.error(request.id, part.error)
}
