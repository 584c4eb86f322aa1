/**
 * A server on version 2 of the official SDK, inside the test process, with everything that protocol 2026-07-28 has beside
 * what `dualEraServer` shows.
 *
 * | what | name | arguments | what it does |
 * | --- | --- | --- | --- |
 * | tool | `work` | `steps`, `delayMs` | progress and a log message (`debug`, then `info`) per step, then the answer |
 * | tool | `weather` | `city` | structured content with an output schema |
 * | tool | `confirm` | `what` | asks the user by a form, with a signed state |
 * | tool | `visit` | `url` | asks the user to open a page |
 * | tool | `summarize` | `text` | asks a model |
 * | tool | `roots` | | asks for the roots |
 * | tool | `everything` | | asks for all of them at once |
 * | tool | `rounds` | `count` | asks by a form so many times, one after the other |
 * | tool | `later` | `rounds` | so many rounds with nothing but a state |
 * | tool | `region` | `region`, `shard`, `isUrgent`, `text` | arguments in headers; answers them as JSON |
 * | tool | `unusable` | `value` | its `x-mcp-header` breaks the rules |
 * | tool | `fail` | | reports a failure |
 * | tool | `added` | | there after `addTool` |
 * | resource | `doc://guide` | | may be kept for a minute; the text counts how often it was read |
 * | resource | `doc://secret` | | asks by a form before it is read |
 * | template | `doc://page/{number}` | `number`, completed | a text |
 * | prompt | `greet` | `name`, completed by what `language` is; `language`, completed | one message |
 * | prompt | `personal` | | asks by a form |
 */
import { toNodeHandler } from "@modelcontextprotocol/node"
import {
  acceptedContent,
  type CallToolResult,
  completable,
  createMcpHandler,
  createRequestStateCodec,
  inputRequired,
  inputResponse,
  McpServer,
  ResourceTemplate
} from "@modelcontextprotocol/server"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { setTimeout } from "node:timers/promises"
import * as z from "zod"
import { serve, type StartError, type TestServer } from "./testServer.ts"

export interface ModernServerOptions {
  /** `reject` refuses older clients; `stateless` by default. */
  readonly legacy?: "stateless" | "reject" | undefined
  /** How long the list of tools may be kept, in milliseconds; 0, not at all, by default. */
  readonly toolsTtlMs?: number | undefined
}

export interface ModernServer extends TestServer {
  /** There is one more tool from now on; everybody who listens is told. */
  readonly addTool: Effect.Effect<void>
  readonly promptsChanged: Effect.Effect<void>
  readonly resourcesChanged: Effect.Effect<void>
  readonly resourceUpdated: (uri: string) => Effect.Effect<void>
  /** The header of the tool `region` is another one from now on; nobody is told. */
  readonly renameHeader: Effect.Effect<void>
  /** `weather` answers a text for `celsius` from now on, and says so in its definition; nobody is told. */
  readonly changeWeather: Effect.Effect<void>
  /** How many calls of `work` ended because the client had closed the stream. */
  readonly cancelledCalls: Effect.Effect<number>
  /** The states that clients gave back, as they were read. */
  readonly states: Effect.Effect<ReadonlyArray<unknown>>
}

const text = (value: string): CallToolResult => ({ content: [{ type: "text", text: value }] })

const names: { readonly [language: string]: ReadonlyArray<string> } = { de: ["Anna", "Anton"], en: ["Ada", "Alan"] }

const nameForm = {
  type: "object" as const,
  properties: { name: { type: "string" as const, title: "Name", default: "Ada" } },
  required: ["name"]
}

const askName = (message: string) => inputRequired.elicit({ message, requestedSchema: nameForm })

const askModel = (question: string) =>
  inputRequired.createMessage({
    messages: [{ role: "user", content: { type: "text", text: question } }],
    maxTokens: 100,
    systemPrompt: "Be short."
  })

type Responses = Parameters<typeof inputResponse>[0]

const sampled = (responses: Responses, key: string): string | undefined => {
  const view = inputResponse(responses, key)
  return view.kind === "sampling" ? `${view.result.model}: ${JSON.stringify(view.result.content)}` : undefined
}

const rootsOf = (responses: Responses, key: string): string | undefined => {
  const view = inputResponse(responses, key)
  return view.kind === "roots" ? view.roots.map(({ name, uri }) => `${name} ${uri}`).join(", ") : undefined
}

const actionOf = (responses: Responses, key: string): string | undefined => {
  const view = inputResponse(responses, key)
  return view.kind === "elicit" ? view.action : undefined
}

const State = z.object({ round: z.number().int() })

export const modernServer = (options: ModernServerOptions = {}): Effect.Effect<ModernServer, StartError, Scope.Scope> =>
  Effect.gen(function*() {
    let cancelled = 0
    let guideReads = 0
    let hasAdded = false
    let regionHeader = "Region"
    let celsiusIsText = false
    const states: Array<unknown> = []
    const codec = createRequestStateCodec({ key: "a key of more than thirty-two bytes" })

    /** What round it is, by the state that came back. */
    const roundOf = (state: unknown): number => {
      if (state === undefined) return 0
      states.push(state)
      return State.parse(state).round
    }

    const addTools = (server: McpServer): void => {
      server.registerTool(
        "work",
        { inputSchema: z.object({ steps: z.number().int(), delayMs: z.number().default(0) }) },
        async (args, { mcpReq }) => {
          const progressToken = mcpReq._meta?.progressToken
          let isRunning = true
          mcpReq.signal.addEventListener("abort", () => {
            if (isRunning) cancelled++
          })
          for (let progress = 1; progress <= args.steps; progress++) {
            await setTimeout(args.delayMs, undefined, { signal: mcpReq.signal })
            await mcpReq.log("debug", `details of step ${progress}`)
            await mcpReq.log("info", { step: progress }, "work")
            if (progressToken !== undefined) {
              const params = { progressToken, progress, total: args.steps, message: `step ${progress}` }
              await mcpReq.notify({ method: "notifications/progress", params })
            }
          }
          isRunning = false
          return text(`${args.steps} steps done`)
        }
      )
      server.registerTool(
        "weather",
        {
          title: "Weather",
          description: "The weather of a city",
          inputSchema: z.object({ city: z.string() }),
          outputSchema: z.object({
            celsius: celsiusIsText ? z.string() : z.number(),
            conditions: z.enum(["sunny", "cloudy"])
          }),
          annotations: { readOnlyHint: true, openWorldHint: false },
          _meta: { "example.com/price": 0 }
        },
        ({ city }) => {
          const celsius = celsiusIsText ? `${city.length} °C` : city.length
          const structuredContent = { celsius, conditions: "sunny" }
          return { content: [{ type: "text", text: JSON.stringify(structuredContent) }], structuredContent }
        }
      )
      server.registerTool("fail", {}, () => ({ ...text("it is broken"), isError: true }))
      server.registerTool(
        "region",
        {
          inputSchema: z.object({
            region: z.string().meta({ "x-mcp-header": regionHeader }),
            shard: z.int().meta({ "x-mcp-header": "Shard" }).optional(),
            isUrgent: z.boolean().meta({ "x-mcp-header": "Urgent" }).optional(),
            text: z.string().optional()
          })
        },
        (args) => text(JSON.stringify(args))
      )
      server.registerTool(
        "unusable",
        { inputSchema: z.object({ value: z.string().meta({ "x-mcp-header": "not a token" }) }) },
        (args) => text(args.value)
      )
      if (hasAdded) server.registerTool("added", {}, () => text("I was added"))
    }

    const addAskingTools = (server: McpServer): void => {
      server.registerTool(
        "confirm",
        { inputSchema: z.object({ what: z.string() }) },
        async ({ what }, { mcpReq }) => {
          if (roundOf(mcpReq.requestState()) === 0) {
            return inputRequired({
              inputRequests: {
                confirmation: inputRequired.elicit({
                  message: `Really ${what}?`,
                  requestedSchema: {
                    type: "object",
                    properties: { isSure: { type: "boolean", default: true }, reason: { type: "string" } },
                    required: ["isSure"]
                  }
                })
              },
              requestState: await codec.mint({ round: 1 })
            })
          }
          const content = acceptedContent(mcpReq.inputResponses, "confirmation")
          return text(
            content === undefined
              ? `${what}: ${actionOf(mcpReq.inputResponses, "confirmation")}`
              : `${what}: ${JSON.stringify(content)}`
          )
        }
      )
      server.registerTool("visit", { inputSchema: z.object({ url: z.string() }) }, ({ url }, { mcpReq }) => {
        const action = actionOf(mcpReq.inputResponses, "page")
        return action === undefined
          ? inputRequired({ inputRequests: { page: inputRequired.elicitUrl({ message: "Please sign in.", url }) } })
          : text(`${url}: ${action}`)
      })
      server.registerTool("summarize", { inputSchema: z.object({ text: z.string() }) }, (args, { mcpReq }) => {
        const summary = sampled(mcpReq.inputResponses, "summary")
        return summary === undefined
          ? inputRequired({ inputRequests: { summary: askModel(`Summarize: ${args.text}`) } })
          : text(summary)
      })
      server.registerTool("roots", {}, ({ mcpReq }) => {
        const roots = rootsOf(mcpReq.inputResponses, "roots")
        return roots === undefined
          ? inputRequired({ inputRequests: { roots: inputRequired.listRoots() } })
          : text(roots)
      })
      server.registerTool("everything", {}, ({ mcpReq: { inputResponses } }) =>
        inputResponses === undefined
          ? inputRequired({
            inputRequests: {
              name: askName("What is your name?"),
              model: askModel("Who are you?"),
              roots: inputRequired.listRoots()
            }
          })
          : text([
            JSON.stringify(acceptedContent(inputResponses, "name")),
            sampled(inputResponses, "model"),
            rootsOf(inputResponses, "roots")
          ].join("\n")))
      server.registerTool(
        "rounds",
        { inputSchema: z.object({ count: z.number().int() }) },
        async ({ count }, { mcpReq }) => {
          const round = roundOf(mcpReq.requestState())
          const answered = Object.keys(mcpReq.inputResponses ?? {})
          return round === count
            ? text(`${round} rounds, at last ${answered.join(", ")}`)
            : inputRequired({
              inputRequests: { [`name ${round + 1}`]: askName(`Name number ${round + 1}?`) },
              requestState: await codec.mint({ round: round + 1 })
            })
        }
      )
      server.registerTool(
        "later",
        { inputSchema: z.object({ rounds: z.number().int() }) },
        async ({ rounds }, { mcpReq }) => {
          const round = roundOf(mcpReq.requestState())
          return round === rounds
            ? text(`after ${round} rounds`)
            : inputRequired({ requestState: await codec.mint({ round: round + 1 }) })
        }
      )
    }

    const addResources = (server: McpServer): void => {
      server.registerResource(
        "guide",
        "doc://guide",
        { mimeType: "text/plain", description: "How to use this", cacheHint: { ttlMs: 60_000, cacheScope: "public" } },
        (uri) => ({ contents: [{ uri: uri.href, mimeType: "text/plain", text: `read ${++guideReads} times` }] })
      )
      server.registerResource("secret", "doc://secret", { cacheHint: { ttlMs: 60_000 } }, (uri, { mcpReq }) => {
        const content = acceptedContent(mcpReq.inputResponses, "name")
        return content === undefined
          ? inputRequired({ inputRequests: { name: askName("Who wants to know?") } })
          : { contents: [{ uri: uri.href, text: `the secret of ${String(content.name)}` }] }
      })
      server.registerResource(
        "page",
        new ResourceTemplate("doc://page/{number}", {
          list: undefined,
          complete: { number: (value) => ["1", "2", "12"].filter((number) => number.startsWith(value)) }
        }),
        { description: "A page" },
        (uri, { number }) => ({ contents: [{ uri: uri.href, text: `This is page ${String(number)}.` }] })
      )
    }

    const addPrompts = (server: McpServer): void => {
      server.registerPrompt(
        "greet",
        {
          description: "Greets somebody",
          argsSchema: z.object({
            language: completable(z.string(), (value) => Object.keys(names).filter((name) => name.startsWith(value))),
            name: completable(
              z.string(),
              (value, context) =>
                (names[context?.arguments?.language ?? ""] ?? []).filter((name) => name.startsWith(value))
            )
          })
        },
        ({ language, name }) => ({
          messages: [{ role: "user", content: { type: "text", text: `Greet ${name} in ${language}.` } }]
        })
      )
      server.registerPrompt("personal", { description: "Greets you" }, ({ mcpReq }) => {
        const content = acceptedContent(mcpReq.inputResponses, "name")
        return content === undefined
          ? inputRequired({ inputRequests: { name: askName("What is your name?") } })
          : { messages: [{ role: "user", content: { type: "text", text: `Greet ${String(content.name)}.` } }] }
      })
    }

    const makeMcpServer = (): McpServer => {
      const server = new McpServer({ name: "modern-server", version: "1.0.0", title: "Modern" }, {
        capabilities: {
          logging: {},
          tools: { listChanged: true },
          prompts: { listChanged: true },
          resources: { listChanged: true, subscribe: true }
        },
        instructions: "Ask for the weather.",
        cacheHints: { "tools/list": { ttlMs: options.toolsTtlMs ?? 0 } },
        requestState: { verify: codec.verify }
      })
      addTools(server)
      addAskingTools(server)
      addResources(server)
      addPrompts(server)
      return server
    }

    const handler = createMcpHandler(makeMcpServer, { legacy: options.legacy ?? "stateless" })
    const answer = toNodeHandler(handler)
    const server = yield* serve("modernServer", (request, response) => {
      // The handler's types do not allow the `undefined` that Node's have.
      const { headers, method = "GET", url = "/" } = request
      return answer({ headers, method, url, [Symbol.asyncIterator]: () => request[Symbol.asyncIterator]() }, response)
    })
    yield* Effect.addFinalizer(() => Effect.promise(() => handler.close()))
    return {
      ...server,
      addTool: Effect.sync(() => {
        hasAdded = true
        handler.notify.toolsChanged()
      }),
      promptsChanged: Effect.sync(() => handler.notify.promptsChanged()),
      resourcesChanged: Effect.sync(() => handler.notify.resourcesChanged()),
      resourceUpdated: (uri) => Effect.sync(() => handler.notify.resourceUpdated(uri)),
      renameHeader: Effect.sync(() => {
        regionHeader = "Area"
      }),
      changeWeather: Effect.sync(() => {
        celsiusIsText = true
      }),
      cancelledCalls: Effect.sync(() => cancelled),
      states: Effect.sync(() => states)
    }
  })
