/**
 * Exchanges as they happened, secrets included: in memory only.
 */
import type { HttpMethod } from "@effect/platform/HttpMethod"

export interface RawChunk {
  readonly at: number
  readonly bytes: Uint8Array
}

export type RawBody = Uint8Array | { readonly omitted: string } | undefined

export interface RawRequest {
  readonly method: HttpMethod
  /** The whole address, for its credentials. */
  readonly href: string
  /** Path and query. */
  readonly url: string
  readonly headers: { readonly [name: string]: string }
  readonly body: RawBody
}

export type RawEnd =
  | "Complete"
  | "Aborted"
  | { readonly Broken: string }
  | { readonly Cut: string }

export interface RawResponse {
  readonly at: number
  readonly status: number
  readonly headers: { readonly [name: string]: string }
  readonly setCookie: ReadonlyArray<string>
  readonly chunks: ReadonlyArray<RawChunk>
  readonly end: RawEnd
  readonly endAt: number
}

export interface RawFailure {
  readonly at: number
  readonly reason: "Aborted" | "Encode" | "InvalidUrl" | "Transport"
  readonly message: string
  readonly code: string | undefined
  readonly syscall: string | undefined
}

export type RawExchange =
  | { readonly request: RawRequest; readonly response: RawResponse }
  | { readonly request: RawRequest; readonly failure: RawFailure }
