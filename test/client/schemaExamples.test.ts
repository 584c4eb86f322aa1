/**
 * Examples of the specification, for each of its versions: they are accepted and stay what they are.
 */
import * as Capability from "@effect-mcp/client/Capability"
import * as Completion from "@effect-mcp/client/Completion"
import * as Content from "@effect-mcp/client/Content"
import * as Elicitation from "@effect-mcp/client/Elicitation"
import * as InputRequired from "@effect-mcp/client/InputRequired"
import * as Lifecycle from "@effect-mcp/client/Lifecycle"
import * as Logging from "@effect-mcp/client/Logging"
import * as Progress from "@effect-mcp/client/Progress"
import * as Prompt from "@effect-mcp/client/Prompt"
import * as Resource from "@effect-mcp/client/Resource"
import * as Roots from "@effect-mcp/client/Roots"
import * as Sampling from "@effect-mcp/client/Sampling"
import * as Subscription from "@effect-mcp/client/Subscription"
import * as Tool from "@effect-mcp/client/Tool"
import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import * as Guards from "../../packages/client/src/internal/guards.ts"

type Example = readonly [what: string, schema: Schema.Schema.AnyNoContext, value: unknown]

const weatherInput = {
  type: "object",
  properties: { location: { type: "string", description: "City name or zip code" } },
  required: ["location"]
}

const weather = { temperature: 22.5, conditions: "Partly cloudy", humidity: 65 }

const rust = { uri: "file:///project/src/main.rs", mimeType: "text/x-rust", text: "fn main() {}" }

const question = { role: "user", content: { type: "text", text: "What is the capital of France?" } }

const paris = {
  role: "assistant",
  content: { type: "text", text: "The capital of France is Paris." },
  model: "claude-3-sonnet-20240307",
  stopReason: "endTurn"
}

const sampling = {
  messages: [question],
  modelPreferences: { hints: [{ name: "claude-3-sonnet" }], intelligencePriority: 0.8, speedPriority: 0.5 },
  systemPrompt: "You are a helpful assistant.",
  maxTokens: 100
}

const userName = {
  message: "Please provide your GitHub username",
  requestedSchema: { type: "object", properties: { name: { type: "string" } }, required: ["name"] }
}

const contact = {
  message: "Please provide your contact information",
  requestedSchema: {
    type: "object",
    properties: {
      name: { type: "string", description: "Your full name" },
      email: { type: "string", format: "email", description: "Your email address" },
      age: { type: "number", minimum: 18, description: "Your age" }
    },
    required: ["name", "email"]
  }
}

const toolUses = {
  role: "assistant",
  content: [
    { type: "tool_use", id: "call_abc123", name: "get_weather", input: { city: "Paris" } },
    { type: "tool_use", id: "call_def456", name: "get_weather", input: { city: "London" } }
  ]
}

const toolResults = {
  role: "user",
  content: [
    { type: "tool_result", toolUseId: "call_abc123", content: [{ type: "text", text: "Weather in Paris: 18°C" }] },
    { type: "tool_result", toolUseId: "call_def456", content: [{ type: "text", text: "Weather in London: 15°C" }] }
  ]
}

const cityTool = {
  name: "get_weather",
  description: "Get current weather for a city",
  inputSchema: { type: "object", properties: { city: { type: "string" } }, required: ["city"] }
}

const colors = [
  { const: "#FF0000", title: "Red" },
  { const: "#00FF00", title: "Green" },
  { const: "#0000FF", title: "Blue" }
]

const inAllVersions: ReadonlyArray<Example> = [
  ["server capabilities", Capability.ServerCapabilities, {
    logging: {},
    completions: {},
    prompts: { listChanged: true },
    resources: { subscribe: true, listChanged: true },
    tools: { listChanged: true }
  }],
  ["resources without notifications", Capability.ServerCapabilities, { resources: {} }],
  ["client capabilities", Capability.ClientCapabilities, { roots: { listChanged: true }, sampling: {} }],
  ["text", Content.ContentBlock, { type: "text", text: "Tool result text" }],
  ["image", Content.ContentBlock, { type: "image", data: "base64-encoded-data", mimeType: "image/png" }],
  ["audio", Content.ContentBlock, { type: "audio", data: "base64-encoded-audio-data", mimeType: "audio/wav" }],
  ["embedded resource", Content.ContentBlock, {
    type: "resource",
    resource: { uri: "resource://example", mimeType: "text/plain", text: "Resource content" }
  }],
  ["text resource", Content.ResourceContents, { uri: "file:///example.txt", mimeType: "text/plain", text: "content" }],
  ["blob resource", Content.ResourceContents, { uri: "file:///example.png", mimeType: "image/png", blob: "iVBORw0K" }],
  ["failed tool", Tool.CallToolResult, {
    content: [{ type: "text", text: "Failed to fetch weather data: API rate limit exceeded" }],
    isError: true
  }],
  ["prompt message", Prompt.PromptMessage, question],
  ["completion", Completion.CompleteResult, {
    completion: { values: ["python", "pytorch", "pyside"], total: 10, hasMore: true }
  }],
  ["prompt reference", Completion.Reference, { type: "ref/prompt", name: "code_review" }],
  ["resource reference", Completion.Reference, { type: "ref/resource", uri: "file:///{path}" }],
  ["log message", Logging.LoggingMessage, {
    level: "error",
    logger: "database",
    data: { error: "Connection failed", details: { host: "localhost", port: 5432 } }
  }],
  ["progress", Progress.Progress, {
    progressToken: "abc123",
    progress: 50,
    total: 100,
    message: "Reticulating splines..."
  }],
  ["progress of a numbered request", Progress.Progress, { progressToken: 7, progress: 0.5 }],
  ["resource updated", Resource.ResourceUpdated, { uri: "file:///project/src/main.rs" }],
  ["sampling", Sampling.CreateMessageParams, sampling],
  ["sampled", Sampling.CreateMessageResult, paris],
  ["root", Roots.Root, { uri: "file:///home/user/projects/myproject", name: "My Project" }],
  ["roots", Roots.ListRootsResult, {
    roots: [
      { uri: "file:///home/user/repos/frontend", name: "Frontend Repository" },
      { uri: "file:///home/user/repos/backend", name: "Backend Repository" }
    ]
  }]
]

const in20250326: ReadonlyArray<Example> = [
  ["initialize", Lifecycle.InitializeResult, {
    protocolVersion: "2025-03-26",
    capabilities: { logging: {}, prompts: { listChanged: true }, tools: { listChanged: true } },
    serverInfo: { name: "ExampleServer", version: "1.0.0" },
    instructions: "Optional instructions for the client"
  }],
  ["tools", Tool.ListToolsResult, {
    tools: [{
      name: "get_weather",
      description: "Get current weather information for a location",
      inputSchema: weatherInput
    }],
    nextCursor: "next-page-cursor"
  }],
  ["call", Tool.CallToolResult, { content: [{ type: "text", text: "Temperature: 72°F" }], isError: false }],
  ["resources", Resource.ListResourcesResult, {
    resources: [{
      uri: "file:///project/src/main.rs",
      name: "main.rs",
      description: "Primary application entry point",
      mimeType: "text/x-rust",
      size: 1024
    }],
    nextCursor: "next-page-cursor"
  }],
  ["read", Resource.ReadResourceResult, { contents: [rust] }],
  ["templates", Resource.ListResourceTemplatesResult, {
    resourceTemplates: [{ uriTemplate: "file:///{path}", name: "Project Files", mimeType: "application/octet-stream" }]
  }],
  ["prompts", Prompt.ListPromptsResult, {
    prompts: [{
      name: "code_review",
      description: "Asks the LLM to analyze code quality and suggest improvements",
      arguments: [{ name: "code", description: "The code to review", required: true }]
    }]
  }],
  ["prompt", Prompt.GetPromptResult, { description: "Code review prompt", messages: [question] }]
]

const in20250618: ReadonlyArray<Example> = [
  ["initialize", Lifecycle.InitializeResult, {
    protocolVersion: "2025-06-18",
    capabilities: { logging: {}, resources: { subscribe: true, listChanged: true } },
    serverInfo: { name: "ExampleServer", title: "Example Server Display Name", version: "1.0.0" }
  }],
  ["elicitation capability", Capability.ClientCapabilities, { elicitation: {} }],
  ["resource link", Content.ContentBlock, {
    type: "resource_link",
    uri: "file:///project/src/main.rs",
    name: "main.rs",
    description: "Primary application entry point",
    mimeType: "text/x-rust",
    annotations: { audience: ["assistant"], priority: 0.9 }
  }],
  ["embedded resource with annotations inside", Content.ContentBlock, {
    type: "resource",
    resource: {
      ...rust,
      annotations: { audience: ["user", "assistant"], priority: 0.7, lastModified: "2025-05-03T14:30:00Z" }
    }
  }],
  ["tool with output schema", Tool.Tool, {
    name: "get_weather_data",
    title: "Weather Data Retriever",
    inputSchema: weatherInput,
    outputSchema: {
      type: "object",
      properties: { temperature: { type: "number" }, conditions: { type: "string" }, humidity: { type: "number" } },
      required: ["temperature", "conditions", "humidity"]
    }
  }],
  ["structured content", Tool.CallToolResult, {
    content: [{ type: "text", text: JSON.stringify(weather) }],
    structuredContent: weather
  }],
  ["resource with annotations", Resource.Resource, {
    uri: "file:///project/README.md",
    name: "README.md",
    title: "Project Documentation",
    mimeType: "text/markdown",
    annotations: { audience: ["user"], priority: 0.8, lastModified: "2025-01-12T15:00:58Z" }
  }],
  ["form without mode", Elicitation.ElicitParams, userName],
  ["form with several fields", Elicitation.ElicitParams, contact],
  ["enum with names", Elicitation.PrimitiveSchema, {
    type: "string",
    title: "Display Name",
    description: "Description text",
    enum: ["option1", "option2", "option3"],
    enumNames: ["Option 1", "Option 2", "Option 3"]
  }],
  ["boolean", Elicitation.PrimitiveSchema, { type: "boolean", title: "Display Name", default: false }],
  ["accepted", Elicitation.ElicitResult, {
    action: "accept",
    content: { name: "Monalisa Octocat", email: "octocat@github.com", age: 30 }
  }],
  ["declined", Elicitation.ElicitResult, { action: "decline" }],
  ["cancelled", Elicitation.ElicitResult, { action: "cancel" }]
]

const in20251125: ReadonlyArray<Example> = [
  ["initialize", Lifecycle.InitializeResult, {
    protocolVersion: "2025-11-25",
    capabilities: {
      tools: { listChanged: true },
      tasks: { list: {}, cancel: {}, requests: { tools: { call: {} } } }
    },
    serverInfo: {
      name: "ExampleServer",
      title: "Example Server Display Name",
      version: "1.0.0",
      description: "An example MCP server providing tools and resources",
      icons: [{ src: "https://example.com/server-icon.svg", mimeType: "image/svg+xml", sizes: ["any"], theme: "dark" }],
      websiteUrl: "https://example.com/server"
    }
  }],
  ["client capabilities", Capability.ClientCapabilities, {
    roots: { listChanged: true },
    sampling: { tools: {}, context: {} },
    elicitation: { form: {}, url: {} },
    tasks: {
      list: {},
      cancel: {},
      requests: { elicitation: { create: {} }, sampling: { createMessage: {} } }
    }
  }],
  ["tool that can be a task", Tool.Tool, {
    name: "get_weather",
    inputSchema: weatherInput,
    icons: [{ src: "https://example.com/weather-icon.png", mimeType: "image/png", sizes: ["48x48"] }],
    execution: { taskSupport: "optional" }
  }],
  ["tool without parameters", Tool.Tool, {
    name: "get_current_time",
    description: "Returns the current server time",
    inputSchema: { type: "object", additionalProperties: false }
  }],
  ["result of a task", Tool.CallToolResult, {
    content: [{ type: "text", text: "Temperature: 72°F" }],
    isError: false,
    _meta: { "io.modelcontextprotocol/related-task": { taskId: "786512e2-9e0d-44bd-8f29-789f320fe840" } }
  }],
  ["form with mode", Elicitation.ElicitParams, { mode: "form", ...userName }],
  ["page", Elicitation.ElicitParams, {
    mode: "url",
    elicitationId: "550e8400-e29b-41d4-a716-446655440000",
    url: "https://mcp.example.com/ui/set_api_key",
    message: "Please provide your API key to continue."
  }],
  ["page accepted", Elicitation.ElicitResult, { action: "accept" }],
  ["text field with a pattern", Elicitation.PrimitiveSchema, {
    type: "string",
    minLength: 3,
    maxLength: 50,
    pattern: "^[A-Za-z]+$",
    format: "email",
    default: "user@example.com"
  }],
  ["number", Elicitation.PrimitiveSchema, { type: "number", minimum: 0, maximum: 100, default: 50 }],
  ["integer", Elicitation.PrimitiveSchema, { type: "integer" }],
  ["enum", Elicitation.PrimitiveSchema, { type: "string", enum: ["Red", "Green", "Blue"], default: "Red" }],
  ["titled enum", Elicitation.PrimitiveSchema, { type: "string", oneOf: colors, default: "#FF0000" }],
  ["enum of several", Elicitation.PrimitiveSchema, {
    type: "array",
    minItems: 1,
    maxItems: 2,
    items: { type: "string", enum: ["Red", "Green", "Blue"] },
    default: ["Red", "Green"]
  }],
  ["titled enum of several", Elicitation.PrimitiveSchema, {
    type: "array",
    minItems: 1,
    maxItems: 2,
    items: { anyOf: colors },
    default: ["#FF0000", "#00FF00"]
  }],
  ["sampling with tools", Sampling.CreateMessageParams, {
    messages: [question],
    tools: [cityTool],
    toolChoice: { mode: "auto" },
    includeContext: "thisServer",
    temperature: 0.3,
    stopSequences: ["END"],
    metadata: { provider: "x" },
    maxTokens: 1000
  }],
  ["sampling with results of tools", Sampling.CreateMessageParams, {
    messages: [question, toolUses, toolResults],
    tools: [cityTool],
    maxTokens: 1000
  }],
  ["sampled use of tools", Sampling.CreateMessageResult, {
    ...toolUses,
    model: "claude-3-sonnet-20240307",
    stopReason: "toolUse"
  }],
  ["single result of a tool", Sampling.SamplingMessage, {
    role: "user",
    content: { type: "tool_result", toolUseId: "call_123", content: [{ type: "text", text: "Result data" }] }
  }]
]

const in20260728: ReadonlyArray<Example> = [
  ["discover", Lifecycle.DiscoverResult, {
    resultType: "complete",
    supportedVersions: ["2026-07-28"],
    capabilities: { tools: {}, resources: {} },
    _meta: { "io.modelcontextprotocol/serverInfo": { name: "ExampleServer", version: "1.0.0" } },
    instructions: "Prefer `get_weather` for forecast lookups.",
    ttlMs: 3600000,
    cacheScope: "public"
  }],
  ["server extensions", Capability.ServerCapabilities, {
    tools: {},
    extensions: { "io.modelcontextprotocol/tasks": {} }
  }],
  ["client extensions", Capability.ClientCapabilities, {
    roots: {},
    extensions: { "io.modelcontextprotocol/ui": { mimeTypes: ["text/html;profile=mcp-app"] } }
  }],
  ["tools", Tool.ListToolsResult, {
    resultType: "complete",
    tools: [{ name: "get_weather", title: "Weather Information Provider", inputSchema: weatherInput }],
    nextCursor: "next-page-cursor",
    ttlMs: 300000,
    cacheScope: "public"
  }],
  ["tool with an array as output", Tool.Tool, {
    name: "list_users",
    inputSchema: { type: "object", properties: {} },
    outputSchema: { type: "array", items: { type: "object", required: ["id"] } }
  }],
  ["tool with composition", Tool.Tool, {
    name: "find_resource",
    inputSchema: { type: "object", oneOf: [{ required: ["id"] }, { required: ["name"] }] }
  }],
  ["tool with draft-07", Tool.Tool, {
    name: "calculate_sum",
    inputSchema: { $schema: "http://json-schema.org/draft-07/schema#", type: "object", required: ["a", "b"] }
  }],
  ["structured array", Tool.CallToolResult, {
    resultType: "complete",
    content: [{ type: "text", text: "Found 2 users" }],
    structuredContent: [{ id: "1", name: "Alice" }, { id: "2", name: "Bob" }]
  }],
  ["structured null", Tool.CallToolResult, { resultType: "complete", content: [], structuredContent: null }],
  ["resources", Resource.ListResourcesResult, {
    resultType: "complete",
    resources: [{ uri: "file:///project/src/main.rs", name: "main.rs" }],
    nextCursor: "eyJwYWdlIjogM30=",
    ttlMs: 600000,
    cacheScope: "private"
  }],
  ["read", Resource.ReadResourceResult, {
    resultType: "complete",
    contents: [rust],
    ttlMs: 60000,
    cacheScope: "private"
  }],
  ["templates", Resource.ListResourceTemplatesResult, {
    resultType: "complete",
    resourceTemplates: [{
      uriTemplate: "file:///{path}",
      name: "Project Files",
      title: "📁 Project Files",
      icons: [{ src: "https://example.com/folder-icon.png", mimeType: "image/png", sizes: ["48x48"] }]
    }],
    ttlMs: 3600000,
    cacheScope: "public"
  }],
  ["prompts", Prompt.ListPromptsResult, {
    resultType: "complete",
    prompts: [{ name: "code_review", title: "Request Code Review", arguments: [{ name: "code", required: true }] }],
    ttlMs: 600000,
    cacheScope: "public"
  }],
  ["prompt", Prompt.GetPromptResult, { resultType: "complete", messages: [question] }],
  ["completion", Completion.CompleteResult, {
    resultType: "complete",
    completion: { values: ["flask"], total: 1, hasMore: false }
  }],
  ["image with annotations", Content.ImageContent, {
    type: "image",
    data: "iVBORw0K",
    mimeType: "image/png",
    annotations: { audience: ["user"], priority: 0.9 }
  }],
  ["acknowledged", Subscription.Acknowledged, {
    _meta: { "io.modelcontextprotocol/subscriptionId": 1 },
    notifications: { toolsListChanged: true, resourceSubscriptions: ["file:///project/config.json"] }
  }],
  ["resource updated", Resource.ResourceUpdated, {
    _meta: { "io.modelcontextprotocol/subscriptionId": 1 },
    uri: "file:///project/config.json"
  }],
  ["page without id", Elicitation.ElicitParams, {
    mode: "url",
    url: "https://mcp.example.com/ui/set_api_key",
    message: "Please provide your API key to continue."
  }],
  ["input required", InputRequired.InputRequiredResult, {
    resultType: "input_required",
    inputRequests: {
      github_login: { method: "elicitation/create", params: { mode: "form", ...userName } },
      capital_of_france: { method: "sampling/createMessage", params: sampling },
      roots: { method: "roots/list" }
    },
    requestState: "eyJsb2NhdGlvbiI6Ik5ldyBZb3JrIn0"
  }],
  ["only state", InputRequired.InputRequiredResult, {
    resultType: "input_required",
    requestState: "eyJwcm9ncmVzcyI6IjUwJSJ9"
  }],
  ["only requests", InputRequired.InputRequiredResult, {
    resultType: "input_required",
    inputRequests: { roots: { method: "roots/list", params: { _meta: {} } } }
  }],
  ["input", InputRequired.InputResponses, {
    github_login: { action: "accept", content: { name: "octocat" } },
    capital_of_france: paris,
    roots: { roots: [{ uri: "file:///home/user" }] }
  }]
]

describe.each([
  ["all versions", inAllVersions],
  ["2025-03-26", in20250326],
  ["2025-06-18", in20250618],
  ["2025-11-25", in20251125],
  ["2026-07-28", in20260728]
])("%s", (_, examples) => {
  it.each(examples)("%s", (_, schema, value) => {
    const decoded = Schema.decodeUnknownSync(schema)(value)
    assert.deepStrictEqual(decoded, value)
    assert.deepStrictEqual(Schema.encodeUnknownSync(schema)(decoded), value)
    assert.isTrue(Schema.is(schema)(value))
    if (schema === Tool.CallToolResult) assert.isTrue(Guards.isCallToolResult(value))
    if (schema === Resource.ReadResourceResult) assert.isTrue(Guards.isReadResourceResult(value))
    if (schema === Progress.Progress) assert.isTrue(Guards.isProgress(value))
    if (schema === Logging.LoggingMessage) assert.isTrue(Guards.isLoggingMessage(value))
  })
})

describe("lists", () => {
  const wrong = [null, 1, { name: 1 }, { name: "good", uri: "a:b", uriTemplate: "a:{b}", inputSchema: {} }]
  const cases: ReadonlyArray<readonly [string, Schema.Schema.AnyNoContext]> = [
    ["tools", Tool.ListToolsResult],
    ["resources", Resource.ListResourcesResult],
    ["resourceTemplates", Resource.ListResourceTemplatesResult],
    ["prompts", Prompt.ListPromptsResult]
  ]

  it.each(cases)("of %s do not accept malformed items", (name, result) => {
    const value = { [name]: wrong, nextCursor: "next", ttlMs: -1, cacheScope: "private", other: 1 }
    assert.isFalse(Schema.is(result)(value))
    assert.isFalse(Schema.is(result)({}))
    assert.isTrue(Schema.is(result)({ ...value, [name]: [] }))
  })
})
