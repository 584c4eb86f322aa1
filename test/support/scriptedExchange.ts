/**
 * The former name of `scriptedTransport.ts`.
 */
export * from "./scriptedTransport.ts"
