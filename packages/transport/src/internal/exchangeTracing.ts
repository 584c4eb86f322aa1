/**
 * A span for each HTTP exchange, and the headers that continue its trace; nothing when there is nothing to tell.
 */
import * as Headers from "@effect/platform/Headers"
import * as HttpTraceContext from "@effect/platform/HttpTraceContext"
import * as Effect from "effect/Effect"
import type * as Tracer from "effect/Tracer"
import type * as HttpExchange from "../HttpExchange.ts"
import { isTraced } from "./tracing.ts"

export const withTracing = ({ open }: HttpExchange.Service): HttpExchange.Service => ({
  open: (request) =>
    Effect.withFiberRuntime((fiber) =>
      isTraced(fiber)
        ? Effect.useSpan(
          `http.client ${request.method}`,
          { kind: "client", captureStackTrace: false },
          (span) => traced(request, open, span)
        )
        : open(request)
    )
})

const traced = (
  request: HttpExchange.Request,
  open: HttpExchange.Service["open"],
  span: Tracer.Span
): ReturnType<HttpExchange.Service["open"]> => {
  const { headers, method, url } = request
  span.attribute("http.request.method", method)
  span.attribute("server.address", url.origin)
  if (url.port !== "") span.attribute("server.port", Number(url.port))
  span.attribute("url.full", url.href)
  span.attribute("url.path", url.pathname)
  span.attribute("url.scheme", url.protocol.slice(0, -1))
  if (url.search !== "") span.attribute("url.query", url.search.slice(1))
  tellHeaders(span, "request", headers)
  const continued = Headers.merge(headers, HttpTraceContext.toHeaders(span))
  return Effect.map(Effect.withParentSpan(open({ ...request, headers: continued }), span), (response) => {
    span.attribute("http.response.status_code", response.status)
    tellHeaders(span, "response", response.headers)
    return response
  })
}

// A server may echo a credential under any name, so no value is shown at all.
const tellHeaders = (span: Tracer.Span, of: "request" | "response", headers: Headers.Headers): void => {
  for (const name of Object.keys(headers)) span.attribute(`http.${of}.header.${name}`, "<redacted>")
}
