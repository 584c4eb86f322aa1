/**
 * Watches the wire: a decorator of the HTTP exchange, so that the timeline shows what was really sent and received.
 */
import { HttpExchange, type StreamableHttpTransport } from "@effect-mcp/transport"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { Timeline } from "./timeline.ts"

export const layer = Layer.effect(
  HttpExchange.HttpExchange,
  Effect.gen(function*() {
    const inner = yield* HttpExchange.HttpExchange
    const timeline = yield* Timeline
    return {
      open: (request: HttpExchange.Request) =>
        timeline.line("sent", describeRequest(request)).pipe(
          Effect.zipRight(inner.open(request)),
          Effect.tap((response) => timeline.line("received", describeResponse(response))),
          Effect.tapError(() => timeline.line("lost", `${request.method}: no response`))
        )
    }
  })
).pipe(Layer.provide(HttpExchange.layerFetch()))

/** What becomes of streams, which is not to be seen in heads: breaks and waits. Watches from now on, until the transport is closed. */
export const watch = (transport: StreamableHttpTransport.Service) =>
  Effect.flatMap(Timeline, (timeline) =>
    transport.events.pipe(Stream.runForEach((event) => {
      switch (event._tag) {
        case "StreamBroken": {
          const how = event.cause === undefined ? "the server closed the stream" : "the connection broke"
          return timeline.line("lost", `${how} before the answer came; last event: ${event.lastEventId ?? "none"}`)
        }
        case "StreamWaiting":
          return timeline.line("note", `reconnecting in ${Duration.format(event.delay)}, attempt ${event.attempt}`)
        case "StreamResumed":
          return timeline.line("note", `resumed after ${event.lastEventId ?? "no event"}`)
        case "StreamGaveUp":
          return timeline.line("lost", `gave up: ${event.error.message}`)
        case "SessionStarted":
          return timeline.line("note", `session started, protocol ${event.protocolVersion.pipe(orUnknown)}`)
        default:
          return Effect.void
      }
    }))).pipe(Effect.forkDaemon, Effect.zipRight(Effect.yieldNow()))

const orUnknown = (version: { readonly _tag: "None" } | { readonly _tag: "Some"; readonly value: string }): string =>
  version._tag === "Some" ? version.value : "unknown"

// Session ids are credentials: the timeline only tells that one was sent.
const describeRequest = ({ body, headers, method }: HttpExchange.Request): string => {
  const parts: Array<string> = [method]
  if (body !== undefined) parts.push(methodOf(body))
  if (headers["mcp-session-id"] !== undefined) parts.push("Mcp-Session-Id: <redacted>")
  if (headers["last-event-id"] !== undefined) parts.push(`Last-Event-ID: ${headers["last-event-id"]}`)
  return parts.join("  ")
}

const methodOf = (body: string): string => {
  const message: unknown = JSON.parse(body)
  const method: unknown = typeof message === "object" && message !== null ? Reflect.get(message, "method") : undefined
  return typeof method === "string" ? method : "response"
}

const describeResponse = ({ headers, status }: HttpExchange.Response): string =>
  [String(status), headers["content-type"] ?? ""].join("  ").trimEnd()
