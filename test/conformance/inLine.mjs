/**
 * The suite starts all clients of a list at once, dozens of them: on few cores none gets on for so long that servers
 * close its idle connections. So such a client is one file, which starts four times as fast, and waits for its turn.
 */
import { once } from "node:events"
import { createRequire } from "node:module"
import { createServer } from "node:net"
import { availableParallelism } from "node:os"
import { join } from "node:path"

const mostAtOnce = 2 * availableParallelism()

/** The bundler is the one that `tsx` brings along. */
const bundle = (file, outfile, banner) => {
  const { buildSync } = createRequire(createRequire(import.meta.url).resolve("tsx"))("esbuild")
  buildSync({
    entryPoints: [file],
    outfile,
    banner: { js: banner },
    bundle: true,
    platform: "node",
    format: "esm",
    logLevel: "warning"
  })
}

/** Who connects is told when it is its turn, which lasts until it disconnects. */
const openLine = () => {
  const waiting = new Set()
  const served = new Set()
  const next = () => {
    for (const socket of waiting) {
      if (served.size >= mostAtOnce) return
      waiting.delete(socket)
      served.add(socket)
      socket.write("next")
    }
  }
  return createServer((socket) => {
    waiting.add(socket)
    socket.resume().on("error", () => {}).on("close", () => {
      waiting.delete(socket)
      served.delete(socket)
      next()
    })
    next()
  }).listen(0, "127.0.0.1")
}

/** Makes a client, in a directory, that waits for its turn; and what ends the line. */
export const inLine = async (file, directory) => {
  const line = openLine()
  await once(line, "listening")
  const client = join(directory, "client.mjs")
  bundle(
    file,
    client,
    `const $line = (await import("node:net")).connect(${line.address().port}, "127.0.0.1")
await new Promise((itIsMyTurn) => $line.once("data", itIsMyTurn))
$line.unref()`
  )
  return { client, end: () => line.close() }
}
