/**
 * Parts of lists whose items are not looked into: a malformed item is left out, the others are used.
 */
import * as Schema from "effect/Schema"
import type { Page } from "../Lifecycle.ts"
import { ofPage } from "./resultFields.ts"
import { Json, list, object } from "./wire.ts"

const items = list(Json)

export interface ToolsPage extends Page {
  readonly tools: ReadonlyArray<unknown>
}

export const ToolsPage: Schema.Schema<ToolsPage> = object("ToolsPage", Schema.Struct({ ...ofPage, tools: items }))

export interface ResourcesPage extends Page {
  readonly resources: ReadonlyArray<unknown>
}

export const ResourcesPage: Schema.Schema<ResourcesPage> = object(
  "ResourcesPage",
  Schema.Struct({ ...ofPage, resources: items })
)

export interface ResourceTemplatesPage extends Page {
  readonly resourceTemplates: ReadonlyArray<unknown>
}

export const ResourceTemplatesPage: Schema.Schema<ResourceTemplatesPage> = object(
  "ResourceTemplatesPage",
  Schema.Struct({
    ...ofPage,
    resourceTemplates: items
  })
)

export interface PromptsPage extends Page {
  readonly prompts: ReadonlyArray<unknown>
}

export const PromptsPage: Schema.Schema<PromptsPage> = object(
  "PromptsPage",
  Schema.Struct({ ...ofPage, prompts: items })
)
