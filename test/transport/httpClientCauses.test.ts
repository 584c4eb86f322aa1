/**
 * What the exchange over any `HttpClient` makes of the causes with which a decorated client fails.
 */
import { HttpExchange } from "@effect-mcp/transport"
import * as Headers from "@effect/platform/Headers"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientError from "@effect/platform/HttpClientError"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import { soon } from "../support/sending.ts"

const request = HttpClientRequest.post("http://localhost/mcp")

const failed = (code: string) =>
  Cause.fail(
    new HttpClientError.RequestError({
      request,
      reason: "Transport",
      cause: Object.assign(new Error(code), { code })
    })
  )

const defect = Cause.die(new Error("a defect"))

const open = (execute: Effect.Effect<HttpClientResponse.HttpClientResponse, HttpClientError.HttpClientError>) =>
  Effect.gen(function*() {
    const exchange = yield* HttpExchange.fromHttpClient.pipe(
      Effect.provideService(HttpClient.HttpClient, HttpClient.make(() => execute))
    )
    return yield* soon(exchange.open({
      method: "POST",
      url: new URL("http://localhost/mcp"),
      headers: Headers.empty,
      body: "{}"
    }))
  })

describe("a client that fails", () => {
  const cases: ReadonlyArray<
    readonly [title: string, cause: Cause.Cause<HttpClientError.HttpClientError>, sent: boolean, message: string]
  > = [
    ["refused", failed("ECONNREFUSED"), false, "ECONNREFUSED"],
    ["broken", failed("ECONNRESET"), true, "ECONNRESET"],
    ["refused here, broken there", Cause.parallel(failed("ECONNREFUSED"), failed("ECONNRESET")), true, "ECONNREFUSED"],
    ["refused here and there", Cause.parallel(failed("ECONNREFUSED"), failed("ENOTFOUND")), false, "ECONNREFUSED"],
    ["a defect", defect, true, "a defect"],
    ["a defect beside a refusal", Cause.parallel(failed("ECONNREFUSED"), defect), true, "a defect"],
    ["a defect after a refusal", Cause.sequential(failed("ECONNREFUSED"), defect), true, "a defect"]
  ]
  for (const [title, cause, sent, message] of cases) {
    it.scopedLive(`${title}: the server ${sent ? "may have seen" : "saw"} ${sent ? "it" : "nothing"}`, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(open(Effect.failCause(cause)))
        assert.strictEqual(error.sent, sent)
        assert.strictEqual(error.cause instanceof Error ? error.cause.message : error.cause, message)
      }))
  }

  const refused = HttpClientResponse.filterStatusOk(
    HttpClientResponse.fromWeb(request, new Response("no", { status: 404 }))
  )

  it.scopedLive("with a status: that is the response", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* open(refused)).status, 404)
    }))

  it.scopedLive("with a status and a defect: the defect is what happened", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(open(Effect.ensuring(refused, Effect.die(new Error("a defect")))))
      assert.isTrue(error.sent)
      assert.strictEqual(error.cause instanceof Error ? error.cause.message : error.cause, "a defect")
    }))
})
