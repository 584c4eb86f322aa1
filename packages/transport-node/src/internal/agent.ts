/**
 * An undici agent from options. undici is loaded when one is made: who brings a dispatcher does not pay for it.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import type * as Undici from "undici"
import type { Options, Proxy, Tls } from "../NodeHttpExchange.ts"
import type * as Dispatch from "./dispatch.ts"

export const makeAgent = (
  options: Options
): Effect.Effect<{ readonly dispatcher: Undici.Dispatcher; readonly settings: Dispatch.Options }, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.map(Effect.promise(() => import("undici")), (undici) => build(undici, options)),
      // Nothing waits for what is under way: the exchanges have failed by now.
      (dispatcher) => Effect.promise(() => dispatcher.destroy())
    ),
    (dispatcher) => ({
      dispatcher,
      settings: { headersTimeout: millis(options.headersTimeout) ?? 0, isExclusive: true }
    })
  )

const build = (undici: typeof Undici, options: Options): Undici.Dispatcher => {
  const { connections, proxy, tls } = options
  const keepAliveTimeout = millis(options.keepAliveTimeout)
  const connectTimeout = millis(options.connectTimeout)
  const common: Undici.Agent.Options = {
    // The longest, too: a server may ask for less time, not for more.
    ...(keepAliveTimeout === undefined ? {} : { keepAliveTimeout, keepAliveMaxTimeout: keepAliveTimeout }),
    ...(connections === undefined ? {} : { connections }),
    ...(connectTimeout === undefined ? {} : { connectTimeout })
  }
  const connect = tls === undefined ? undefined : connectOptions(tls)
  return proxy === undefined
    ? new undici.Agent(connect === undefined ? common : { ...common, connect })
    : new undici.ProxyAgent({
      ...common,
      ...proxyOptions(proxy),
      ...(connect === undefined ? {} : { requestTls: connect })
    })
}

const proxyOptions = ({ authorization, tls, url }: Proxy) => ({
  uri: typeof url === "string" ? url : url.href,
  ...(authorization === undefined ? {} : { token: reveal(authorization) }),
  ...(tls === undefined ? {} : { proxyTls: connectOptions(tls) })
})

const connectOptions = ({ ca, cert, key, passphrase, servername }: Tls) => ({
  ...(ca === undefined ? {} : { ca: typeof ca === "string" ? ca : Array.from(ca) }),
  ...(cert === undefined ? {} : { cert }),
  ...(key === undefined ? {} : { key: reveal(key) }),
  ...(passphrase === undefined ? {} : { passphrase: reveal(passphrase) }),
  ...(servername === undefined ? {} : { servername })
})

const reveal = (secret: string | Redacted.Redacted<string>): string =>
  Redacted.isRedacted(secret) ? Redacted.value(secret) : secret

const millis = (duration: Duration.DurationInput | undefined): number | undefined =>
  duration === undefined ? undefined : Duration.toMillis(duration)
