/**
 * The least that the platform's `HttpClient` can cost: `execute`, the text of a JSON answer or the Stream of any other, and
 * the floor's scanner. No sessions, no checks, no errors.
 */
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { EventBody, headers } from "./floor.mjs"
import { effectLoop } from "./ours.mjs"
import { callMessage, initializeMessage } from "./promises.mjs"

export const connecting = (layer) => async (url, tally) => {
  const scope = Effect.runSync(Scope.make())
  const context = await Effect.runPromise(Layer.buildWithScope(layer, scope))
  const client = Context.get(context, HttpClient.HttpClient)
  const post = (message, deliver) =>
    Effect.flatMap(
      client.execute(
        HttpClientRequest.bodyText(
          HttpClientRequest.post(url, { headers }),
          JSON.stringify(message),
          "application/json"
        )
      ),
      (response) => {
        if (response.headers["content-type"] === "application/json") {
          return Effect.map(response.text, (text) => deliver(JSON.parse(text)))
        }
        const body = new EventBody(deliver)
        return Stream.runForEachChunk(response.stream, (chunks) =>
          Effect.sync(() => {
            for (const chunk of chunks) body.write(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength))
          }))
      }
    )
  await Effect.runPromise(post(initializeMessage, () => {}))
  const deliver = (message) => tally.message(message)
  let id = 0
  return { loop: effectLoop(() => post(callMessage(++id), deliver)) }
}
