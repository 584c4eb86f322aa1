/**
 * Parts of lists whose items are not looked into: a malformed item is left out, the others are used.
 */
import * as Schema from "effect/Schema"
import type { Page } from "../Lifecycle.ts"
import { ofPage } from "./resultFields.ts"
import { Json, keepUnknown, list } from "./wire.ts"

const items = list(Json)

export interface ToolsPage extends Page {
  readonly tools: ReadonlyArray<unknown>
}

export const ToolsPage: Schema.Schema<ToolsPage> = Schema.Struct({ ...ofPage, tools: items }).annotations({
  identifier: "ToolsPage",
  ...keepUnknown
})

export interface ResourcesPage extends Page {
  readonly resources: ReadonlyArray<unknown>
}

export const ResourcesPage: Schema.Schema<ResourcesPage> = Schema.Struct({ ...ofPage, resources: items }).annotations({
  identifier: "ResourcesPage",
  ...keepUnknown
})

export interface ResourceTemplatesPage extends Page {
  readonly resourceTemplates: ReadonlyArray<unknown>
}

export const ResourceTemplatesPage: Schema.Schema<ResourceTemplatesPage> = Schema.Struct({
  ...ofPage,
  resourceTemplates: items
}).annotations({ identifier: "ResourceTemplatesPage", ...keepUnknown })

export interface PromptsPage extends Page {
  readonly prompts: ReadonlyArray<unknown>
}

export const PromptsPage: Schema.Schema<PromptsPage> = Schema.Struct({ ...ofPage, prompts: items }).annotations({
  identifier: "PromptsPage",
  ...keepUnknown
})
