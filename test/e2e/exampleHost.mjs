/**
 * Runs an example server, which was written for a fixed port, on a free port of the loopback interface.
 *
 *   node exampleHost.mjs <module specifier or file URL>
 *
 * Started with an IPC channel it reports `{ port }` once the server listens, answers every message `{ wire: n }` with
 * `{ wire: n, exchanges }`, and exits when the channel closes, so that it never outlives the process that started it.
 */
import { Server } from "node:net"
import { recordExchanges } from "./wire.mjs"

const listen = Server.prototype.listen

Server.prototype.listen = function(...args) {
  const onListening = args.findLast((argument) => typeof argument === "function")
  const exchanges = recordExchanges(this)
  process.on("message", ({ wire }) => process.send({ wire, exchanges: exchanges() }))
  this.once("listening", () => process.send({ port: this.address().port }))
  return listen.call(this, { port: 0, host: "127.0.0.1" }, onListening)
}

process.on("disconnect", () => process.exit())

await import(process.argv[2])
