/**
 * Records what arrives at a `node:http` server, without touching how the server reads and answers it.
 *
 * Plain JavaScript, because the example servers are run by a child process that loads no TypeScript.
 *
 * @param {import("node:http").Server} server
 * @returns {() => Array<import("./wire.d.mts").Exchange>} the exchanges so far, in the order of their arrival
 */
export const recordExchanges = (server) => {
  const seen = []
  server.prependListener("request", (request, response) => {
    // The HTTP parser hands the body over through `push`; a "data" listener here would start the flow too early.
    const chunks = []
    const push = request.push
    request.push = (chunk, encoding) => {
      if (chunk !== null) chunks.push(chunk)
      return push.call(request, chunk, encoding)
    }
    const exchange = { request, response, chunks, cut: false }
    // Only at this moment: a response that is ended after its connection was lost counts itself as finished.
    response.once("close", () => {
      exchange.cut = !response.writableFinished
    })
    seen.push(exchange)
  })
  return () =>
    seen.map(({ chunks, cut, request, response }) => ({
      method: request.method,
      path: request.url,
      headers: Object.fromEntries(
        Object.entries(request.headersDistinct).map(([name, values]) => [name, values.join(", ")])
      ),
      body: Buffer.concat(chunks).toString("utf8"),
      status: response.headersSent ? response.statusCode : null,
      state: cut ? "cut" : response.writableFinished ? "finished" : "open"
    }))
}
