/**
 * Guards for what comes often: they agree with the schemas, look at the value where it is, and allocate nothing.
 */
import type { Annotations, ContentBlock, Icon, JsonObject, ResourceContents, Role } from "../Content.ts"
import type { CacheHints, Result } from "../Lifecycle.ts"
import type { LoggingLevel, LoggingMessage } from "../Logging.ts"
import type { Progress } from "../Progress.ts"
import type { ReadResourceResult } from "../Resource.ts"
import type { CallToolResult } from "../Tool.ts"
import { isJson, isObject } from "./wire.ts"

const isOptionalString = (u: unknown): u is string | undefined => u === undefined || typeof u === "string"

const isOptionalBoolean = (u: unknown): u is boolean | undefined => u === undefined || typeof u === "boolean"

const isOptionalNumber = (u: unknown): u is number | undefined => u === undefined || Number.isFinite(u)

const isOptionalObject = (u: unknown): u is JsonObject | undefined => u === undefined || isObject(u)

const isOptionalJson = (u: unknown): boolean => u === undefined || isJson(u)

const isArrayOf = <A>(u: unknown, isItem: (u: unknown) => u is A): u is ReadonlyArray<A> => {
  if (!Array.isArray(u)) return false
  for (let index = 0; index < u.length; index++) {
    if (!isItem(u[index])) return false
  }
  return true
}

const isOptionalArrayOf = <A>(u: unknown, isItem: (u: unknown) => u is A): u is ReadonlyArray<A> | undefined =>
  u === undefined || isArrayOf(u, isItem)

const isString = (u: unknown): u is string => typeof u === "string"

const isRole = (u: unknown): u is Role => u === "user" || u === "assistant"

const isAnnotations = (u: unknown): u is Annotations =>
  isObject(u) && isOptionalArrayOf(u.audience, isRole) && isOptionalNumber(u.priority) &&
  isOptionalString(u.lastModified)

const isIcon = (u: unknown): u is Icon =>
  isObject(u) && isString(u.src) && isOptionalString(u.mimeType) && isOptionalArrayOf(u.sizes, isString) &&
  (u.theme === undefined || u.theme === "light" || u.theme === "dark")

const isResourceContents = (u: unknown): u is ResourceContents =>
  isObject(u) && isString(u.uri) && isOptionalString(u.mimeType) && isOptionalObject(u._meta) &&
  (u.text === undefined ? isString(u.blob) : isString(u.text))

const hasWhatEveryBlockHas = (u: JsonObject): boolean =>
  (u.annotations === undefined || isAnnotations(u.annotations)) && isOptionalObject(u._meta)

const isContentBlock = (u: unknown): u is ContentBlock => {
  if (!isObject(u)) return false
  switch (u.type) {
    case "text":
      return isString(u.text) && hasWhatEveryBlockHas(u)
    case "image":
    case "audio":
      return isString(u.data) && isString(u.mimeType) && hasWhatEveryBlockHas(u)
    case "resource_link":
      return isString(u.uri) && isString(u.name) && isOptionalString(u.title) && isOptionalString(u.description) &&
        isOptionalString(u.mimeType) && isOptionalNumber(u.size) && isOptionalArrayOf(u.icons, isIcon) &&
        hasWhatEveryBlockHas(u)
    case "resource":
      return isResourceContents(u.resource) && hasWhatEveryBlockHas(u)
    default:
      return isString(u.type)
  }
}

const isResult = (u: unknown): u is Result & JsonObject =>
  isObject(u) && isOptionalObject(u._meta) && isOptionalString(u.resultType)

const hasCacheHints = (u: JsonObject): u is CacheHints & JsonObject =>
  isOptionalNumber(u.ttlMs) && (u.cacheScope === undefined || u.cacheScope === "public" || u.cacheScope === "private")

export const isCallToolResult = (u: unknown): u is CallToolResult =>
  isResult(u) && isArrayOf(u.content, isContentBlock) && isOptionalBoolean(u.isError) &&
  isOptionalJson(u.structuredContent)

export const isReadResourceResult = (u: unknown): u is ReadResourceResult =>
  isResult(u) && hasCacheHints(u) && isArrayOf(u.contents, isResourceContents)

export const isProgress = (u: unknown): u is Progress =>
  isObject(u) && (isString(u.progressToken) || Number.isFinite(u.progressToken)) && Number.isFinite(u.progress) &&
  isOptionalNumber(u.total) && isOptionalString(u.message) && isOptionalObject(u._meta)

const isLoggingLevel = (u: unknown): u is LoggingLevel =>
  u === "debug" || u === "info" || u === "notice" || u === "warning" || u === "error" || u === "critical" ||
  u === "alert" || u === "emergency"

export const isLoggingMessage = (u: unknown): u is LoggingMessage =>
  isObject(u) && isLoggingLevel(u.level) && isOptionalString(u.logger) && isJson(u.data) && isOptionalObject(u._meta)
