/**
 * The client against the reference server with every feature of the protocol up to 2025-11-25.
 */
import { Elicitation, type McpClient, RequestRejected, Roots, Sampling } from "@effect-mcp/client"
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as SubscriptionRef from "effect/SubscriptionRef"
import * as Calls from "./calls.ts"
import { call, collect, connect, failureWith, listen, overBothStacks, sent, textOf, untilSent } from "./clientCalls.ts"
import * as Servers from "./servers.ts"
import { sharedServer, withServer } from "./sharedServer.ts"

const document = (name: string) => `demo://resource/static/document/${name}`

const Weather = Schema.Struct({ temperature: Schema.Number, conditions: Schema.String, humidity: Schema.Number })

/** What the client has answered to requests of the server. */
const answers = (server: Servers.TestServer) =>
  Effect.map(sent(server), (messages) => messages.filter(({ method }) => method === undefined))

const untilCancelled = (server: Servers.TestServer, tool: string) =>
  Effect.gen(function*() {
    const notice = yield* untilSent(server, "notifications/cancelled")
    const request = (yield* sent(server)).find(({ params }) => params?.name === tool)
    assert.isDefined(request?.id)
    assert.strictEqual(notice.params?.requestId, request?.id)
    assert.notProperty(notice, "id")
    return notice
  })

withServer(Servers.everythingServer)("server-everything", (it) => {
  overBothStacks("tools", (stack) => {
    it.scoped("auto finds an older server, with a session that is deleted at the end", () =>
      Effect.gen(function*() {
        const server = yield* sharedServer
        yield* Effect.scoped(Effect.gen(function*() {
          const client = yield* connect(stack, server)
          const { capabilities, era, info, instructions, name, protocolVersion } = client.server
          assert.deepStrictEqual({ era, name, protocolVersion }, {
            era: "Legacy",
            name: "mcp-servers/everything",
            protocolVersion: "2025-11-25"
          })
          assert.strictEqual(info?.title, "Everything Reference Server")
          assert.include(instructions ?? "", "Everything Server")
          assert.deepStrictEqual(capabilities.resources, { subscribe: true, listChanged: true })
          assert.isDefined(capabilities.completions)
          assert.isDefined(capabilities.tasks?.requests)
          assert.strictEqual(yield* call(client, "echo", { message: "hello" }), "Echo: hello")
          assert.strictEqual(yield* call(client, "get-sum", { a: 2, b: 3 }), "The sum of 2 and 3 is 5.")
          yield* client.ping
          const environment = yield* client.callTool("get-env", {}, { result: Schema.Struct({ PATH: Schema.String }) })
          assert.isNotEmpty(environment.PATH)
        }))
        const wire = yield* server.wire
        assert.deepStrictEqual(Calls.lines(wire).filter((line) => line !== "GET"), [
          "POST server/discover",
          ...Calls.handshakeLines,
          "POST tools/call",
          "POST tools/call",
          "POST ping",
          "POST tools/call",
          "DELETE"
        ])
        assert.notProperty(wire[0]?.headers, "mcp-session-id")
        assert.strictEqual(wire.find(({ method }) => method === "DELETE")?.status, 200)
      }))

    for (const protocol of ["2025-03-26", "2025-06-18"] as const) {
      it.scoped(`pinned to ${protocol}`, () =>
        Effect.gen(function*() {
          const server = yield* sharedServer
          const client = yield* connect(stack, server, { protocol })
          assert.strictEqual(client.server.protocolVersion, protocol)
          assert.strictEqual(yield* call(client, "echo", { message: "older" }), "Echo: older")
          const [first, ...others] = yield* sent(server)
          assert.strictEqual(first?.params?.protocolVersion, protocol)
          assert.isTrue(others.every(({ exchange }) => exchange.headers["mcp-protocol-version"] === protocol))
        }))
    }

    it.scoped("the list follows from what the client offers; annotations and all", () =>
      Effect.gen(function*() {
        const server = yield* sharedServer
        const bare = yield* connect(stack, server)
        const names = Effect.map(collect(bare.tools), (tools) => tools.map(({ name }) => name))
        assert.deepStrictEqual((yield* names).filter((name) => /sampling|elicitation|roots/.test(name)), [])
        const client = yield* connect(stack, server, {
          services: Layer.mergeAll(
            Sampling.layer({ createMessage: () => Effect.fail(RequestRejected.make({ message: "none" })) }),
            Elicitation.layer({ form: () => Effect.succeed(Elicitation.decline), url: () => Effect.never }),
            Roots.layerConst([])
          )
        })
        const tools = yield* collect(client.tools)
        for (
          const name of [
            "trigger-sampling-request",
            "trigger-elicitation-request",
            "trigger-url-elicitation",
            "get-roots-list"
          ]
        ) {
          assert.include(tools.map((tool) => tool.name), name)
        }
        const echo = tools.find(({ name }) => name === "echo")
        assert.strictEqual(echo?.title, "Echo Tool")
        assert.deepStrictEqual(echo?.annotations, {
          readOnlyHint: true,
          destructiveHint: false,
          idempotentHint: true,
          openWorldHint: false
        })
        const research = tools.find(({ name }) => name === "simulate-research-query")
        assert.strictEqual(research?.execution?.taskSupport, "required")
        const initialize = (yield* sent(server)).filter(({ method }) => method === "initialize")
        assert.deepStrictEqual(initialize.map(({ params }) => params?.capabilities), [
          {},
          { sampling: {}, elicitation: { form: {}, url: {} }, roots: {} }
        ])
      }))

    it.scoped("all kinds of content, with their annotations", () =>
      Effect.gen(function*() {
        const server = yield* sharedServer
        const client = yield* connect(stack, server)
        const annotated = yield* client.callTool("get-annotated-message", { messageType: "error", includeImage: true })
        assert.deepStrictEqual(annotated.content.map(({ annotations, type }) => ({ annotations, type })), [
          { annotations: { priority: 1, audience: ["user", "assistant"] }, type: "text" },
          { annotations: { priority: 0.5, audience: ["user"] }, type: "image" }
        ])
        const image = yield* client.callTool("get-tiny-image")
        assert.deepStrictEqual(image.content.map(({ type }) => type), ["text", "image", "text"])
        const links = yield* client.callTool("get-resource-links", { count: 2 })
        assert.deepStrictEqual(links.content.slice(1), [
          {
            type: "resource_link",
            uri: "demo://resource/dynamic/blob/1",
            name: "Blob Resource 1",
            description: "Resource 1: plaintext resource",
            mimeType: "text/plain"
          },
          {
            type: "resource_link",
            uri: "demo://resource/dynamic/text/2",
            name: "Text Resource 2",
            description: "Resource 2: plaintext resource",
            mimeType: "text/plain"
          }
        ])
        const embedded = yield* client.callTool("get-resource-reference", { resourceType: "Blob", resourceId: 3 })
        const [, resource] = embedded.content
        assert.strictEqual(resource?.type, "resource")
        assert.include(JSON.stringify(resource), "demo://resource/dynamic/blob/3")
      }))

    it.scoped("structured content: validated, decoded, and looked up when the tool was never listed", () =>
      Effect.gen(function*() {
        const server = yield* sharedServer
        const client = yield* connect(stack, server)
        const args = { location: "Chicago" }
        const weather = { temperature: 36, conditions: "Light rain / drizzle", humidity: 82 }
        assert.deepStrictEqual((yield* client.callTool("get-structured-content", args)).structuredContent, weather)
        assert.strictEqual(
          (yield* sent(server)).filter(({ method }) => method === "tools/list").length,
          1,
          "the output schema was looked up"
        )
        assert.deepStrictEqual(yield* client.callTool("get-structured-content", args, { result: Weather }), weather)
        const Other = Schema.Struct({ ...Weather.fields, humidity: Schema.Number.pipe(Schema.lessThan(50)) })
        const error = yield* failureWith(
          client.callTool("get-structured-content", args, { result: Other }),
          "DecodeError"
        )
        assert.strictEqual(error.reason, "ResultSchema")
        assert.deepStrictEqual(error.path, ["humidity"])
        const invalid = yield* client.callTool("get-structured-content", { location: "Nowhere" })
        assert.strictEqual(invalid.isError, true)
        const failed = yield* failureWith(
          client.callTool("get-structured-content", { location: "Nowhere" }, { result: Weather }),
          "ToolError"
        )
        assert.include(failed.message, "Invalid")
        assert.strictEqual((yield* sent(server)).filter(({ method }) => method === "tools/list").length, 1)
      }))

    it.scoped("a tool that is not there, and one that must be run as a task", () =>
      Effect.gen(function*() {
        const server = yield* sharedServer
        const client = yield* connect(stack, server, {
          services: Elicitation.layer({ form: () => Effect.succeed(Elicitation.decline) })
        })
        const unknown = yield* Effect.either(client.callTool("no-such-tool", {}, { failOnToolError: true }))
        assert.strictEqual(unknown._tag, "Left")
        assert.include(String(unknown), "no-such-tool")
        const task = yield* Effect.either(
          client.callTool("simulate-research-query", { topic: "x" }, { failOnToolError: true })
        )
        assert.strictEqual(task._tag, "Left")
        assert.include(String(task), "requires task augmentation")
        const method = yield* failureWith(client.request("no/such"), "JsonRpcError")
        assert.strictEqual(method.code, -32601)
        assert.strictEqual(method.outcome, "NotExecuted")
      }))

    it.scoped("progress, as a stream and by a callback", () =>
      Effect.gen(function*() {
        const server = yield* sharedServer
        const client = yield* connect(stack, server)
        const args = { duration: 0.2, steps: 5 }
        const events = yield* collect(client.callToolStream("trigger-long-running-operation", args))
        assert.deepStrictEqual(
          events.map((event) => event._tag === "Progress" ? event.progress.progress : event._tag),
          [1, 2, 3, 4, 5, "Result"]
        )
        const totals: Array<number | undefined> = []
        const done = yield* call(client, "trigger-long-running-operation", args, {
          onProgress: ({ total }) => Effect.sync(() => void totals.push(total))
        })
        assert.include(done, "Long running operation completed")
        assert.deepStrictEqual(totals, [5, 5, 5, 5, 5])
        const mixed = yield* Effect.forEach(
          Calls.range(1, 5),
          (steps) => collect(client.callToolStream("trigger-long-running-operation", { duration: 0.3, steps })),
          { concurrency: "unbounded" }
        )
        assert.deepStrictEqual(mixed.map(({ length }) => length), [2, 3, 4, 5, 6], "no progress of another call")
      }))

    it.scoped("an interrupted call: the server is told once, by its id", () =>
      Effect.gen(function*() {
        const server = yield* sharedServer
        const client = yield* connect(stack, server)
        const started = yield* Effect.makeLatch()
        const name = "trigger-long-running-operation"
        const running = yield* Effect.fork(
          client.callTool(name, { duration: 30, steps: 300 }, { onProgress: () => started.open })
        )
        yield* Effect.timeout(started.await, "5 seconds")
        assert.isTrue(Exit.isInterrupted(yield* Effect.timeout(Fiber.interrupt(running), "1 second")))
        yield* untilCancelled(server, name)
        assert.strictEqual(yield* call(client, "echo", { message: "after" }), "Echo: after")
        const methods = (yield* sent(server)).map(({ method }) => method)
        assert.strictEqual(methods.filter((method) => method === "notifications/cancelled").length, 1)
      }))

    it.scoped("a stream that is no longer read cancels its call", () =>
      Effect.gen(function*() {
        const server = yield* sharedServer
        const client = yield* connect(stack, server)
        const name = "trigger-long-running-operation"
        const events = yield* client.callToolStream(name, { duration: 30, steps: 300 }).pipe(Stream.take(2), collect)
        assert.deepStrictEqual(events.map(({ _tag }) => _tag), ["Progress", "Progress"])
        yield* untilCancelled(server, name)
      }))

    it.scoped("timeouts: in all, and while nothing comes, which progress resets", () =>
      Effect.gen(function*() {
        const server = yield* sharedServer
        const client = yield* connect(stack, server)
        const name = "trigger-long-running-operation"
        const total = yield* failureWith(
          client.callTool(name, { duration: 30, steps: 1 }, { timeout: "200 millis" }),
          "RequestTimeout"
        )
        assert.strictEqual(total.kind, "Total")
        assert.strictEqual(total.outcome, "Unknown")
        const notice = yield* untilCancelled(server, name)
        assert.include(String(notice.params?.reason), "not answered within")
        const idle = yield* failureWith(
          client.callTool(name, { duration: 30, steps: 1 }, { idleTimeout: "200 millis" }),
          "RequestTimeout"
        )
        assert.strictEqual(idle.kind, "Idle")
        const longer = yield* call(client, name, { duration: 2.4, steps: 24 }, {
          idleTimeout: "1200 millis",
          onProgress: () => Effect.void
        })
        assert.include(longer, "completed")
      }))
  })

  overBothStacks("requests of the server", (stack) => {
    const sampling = (
      createMessage: (
        params: Sampling.CreateMessageParams
      ) => Effect.Effect<Sampling.CreateMessageResult, RequestRejected.RequestRejected>
    ) => Sampling.layer({ createMessage })

    it.scoped("sampling: answered, and refused", () =>
      Effect.gen(function*() {
        const server = yield* sharedServer
        const asked: Array<unknown> = []
        const client = yield* connect(stack, server, {
          services: sampling((params) =>
            Effect.sync(() => {
              asked.push(params.systemPrompt, params.maxTokens, params.messages[0]?.content)
              return { role: "assistant", content: { type: "text", text: "I am a test" }, model: "none" }
            })
          )
        })
        const answer = yield* call(client, "trigger-sampling-request", { prompt: "Who are you?", maxTokens: 7 })
        assert.include(answer, "I am a test")
        assert.deepStrictEqual(asked, [
          "You are a helpful test server.",
          7,
          { type: "text", text: "Resource trigger-sampling-request context: Who are you?" }
        ])
        const refusing = yield* connect(stack, server, {
          services: sampling(() => Effect.fail(RequestRejected.make({ code: -1, message: "User rejected it" })))
        })
        const refused = yield* failureWith(
          refusing.callTool("trigger-sampling-request", { prompt: "x" }, { failOnToolError: true }),
          "ToolError"
        )
        assert.include(refused.message, "User rejected it")
        const dying = yield* connect(stack, server, { services: sampling(() => Effect.dieMessage("a bug")) })
        const died = yield* failureWith(
          dying.callTool("trigger-sampling-request", { prompt: "x" }, { failOnToolError: true }),
          "ToolError"
        )
        assert.include(died.message, "failed to answer")
        assert.strictEqual(yield* call(dying, "echo", { message: "still here" }), "Echo: still here")
        assert.deepStrictEqual((yield* answers(server)).map(({ exchange }) => exchange.status), [202, 202, 202])
      }))

    it.scoped("elicitation by a form with every kind of field; its defaults, a refusal, and content that is wrong", () =>
      Effect.gen(function*() {
        const server = yield* sharedServer
        const withForm = (form: (params: Elicitation.FormParams) => Elicitation.ElicitResult) =>
          connect(stack, server, { services: Elicitation.layer({ form: (params) => Effect.sync(() => form(params)) }) })
        const fields: Array<string> = []
        const accepting = yield* withForm((params) => {
          fields.push(...Object.keys(params.requestedSchema.properties))
          return Elicitation.accept({ ...Elicitation.defaults(params), name: "Ada" })
        })
        const filled = yield* call(accepting, "trigger-elicitation-request")
        assert.include(fields, "untitledMultipleSelectEnum")
        assert.include(filled, "- Name: Ada")
        assert.include(filled, "- Favorite Integer: 42")
        assert.include(filled, "Guitar")
        assert.include(filled, "hero-1")
        const declining = yield* withForm(() => Elicitation.decline)
        assert.include(yield* call(declining, "trigger-elicitation-request"), "declined")
        const away = yield* withForm(() => Elicitation.cancel)
        assert.include(yield* call(away, "trigger-elicitation-request"), "cancelled")
        const wrong = yield* withForm(() => Elicitation.accept({ name: "Ada", integer: 1000 }))
        const result = yield* wrong.callTool("trigger-elicitation-request")
        assert.strictEqual(result.isError, true)
        assert.include(textOf(result), "does not match the requested schema")
      }))

    it.scoped("elicitation by a page: by a request and by an error", () =>
      Effect.gen(function*() {
        const server = yield* sharedServer
        const opened: Array<Elicitation.UrlParams> = []
        const client = yield* connect(stack, server, {
          services: Elicitation.layer({
            url: (params) => Effect.as(Effect.sync(() => opened.push(params)), Elicitation.accept())
          })
        })
        const tool = "trigger-url-elicitation"
        const args = { url: "https://example.com/login", message: "Please sign in", elicitationId: "login-1" }
        assert.include(yield* call(client, tool, args), "User completed the URL elicitation flow")
        assert.deepStrictEqual(opened.map(({ elicitationId, message, url }) => ({ elicitationId, message, url })), [
          args
        ])
        const error = yield* failureWith(client.callTool(tool, { ...args, errorPath: true }), "JsonRpcError")
        assert.strictEqual(error.code, -32042)
        assert.include(JSON.stringify(error.error.data), "https://modelcontextprotocol.io")
        assert.include(yield* call(client, tool, { ...args, errorPath: true }), "User completed")
      }))

    it.scoped("roots: asked for on the server's own stream, again when they change", () =>
      Effect.gen(function*() {
        const server = yield* sharedServer
        const roots = yield* SubscriptionRef.make<ReadonlyArray<Roots.Root>>([{
          uri: "file:///home/ada",
          name: "home"
        }])
        const client = yield* connect(stack, server, {
          services: Roots.layer({
            list: SubscriptionRef.get(roots),
            changes: roots.changes.pipe(Stream.drop(1), Stream.map(() => undefined))
          })
        })
        const logs = yield* listen(client.logs)
        const updated = (count: number) =>
          Calls.until(
            `${count} roots were received`,
            Effect.sync(() => logs.heard.some(({ data }) => String(data).startsWith(`Roots updated: ${count} root`)))
          )
        yield* updated(1)
        assert.include(yield* call(client, "get-roots-list"), "URI: file:///home/ada")
        yield* SubscriptionRef.set(roots, [{ uri: "file:///tmp" }, { uri: "file:///var", name: "var" }])
        yield* updated(2)
        const listed = yield* call(client, "get-roots-list")
        assert.include(listed, "Current MCP Roots (2 total)")
        assert.include(listed, "Unnamed Root")
        assert.strictEqual((yield* answers(server)).length, 2)
        const methods = (yield* sent(server)).map(({ method }) => method)
        assert.strictEqual(methods.filter((method) => method === "notifications/roots/list_changed").length, 1)
      }))
  })

  overBothStacks("resources and prompts", (stack) => {
    it.scoped("resources, templates, and what is in them", () =>
      Effect.gen(function*() {
        const server = yield* sharedServer
        const client = yield* connect(stack, server)
        const resources = yield* collect(client.resources)
        assert.include(resources.map(({ uri }) => uri), document("features.md"))
        const features = yield* client.readResource(document("features.md"))
        const [text] = features.contents
        assert.strictEqual(text?.mimeType, "text/markdown")
        assert.isTrue(text !== undefined && "text" in text && text.text.includes("# Everything Server"))
        const templates = yield* collect(client.resourceTemplates)
        assert.deepStrictEqual(templates.map(({ uriTemplate }) => uriTemplate), [
          "demo://resource/dynamic/text/{resourceId}",
          "demo://resource/dynamic/blob/{resourceId}"
        ])
        const [blob] = (yield* client.readResource("demo://resource/dynamic/blob/7")).contents
        const decoded = blob !== undefined && "blob" in blob ? Buffer.from(blob.blob, "base64").toString("utf8") : ""
        assert.include(decoded, "Resource 7: This is a base64 blob")
        const error = yield* failureWith(client.readResource("demo://nowhere"), "JsonRpcError")
        assert.include([-32602, -32002], error.code)
      }))

    it.scoped("prompts and completions, also by what was chosen before", () =>
      Effect.gen(function*() {
        const server = yield* sharedServer
        const client = yield* connect(stack, server)
        const prompts = yield* collect(client.prompts)
        assert.deepStrictEqual(prompts.map(({ name }) => name).toSorted(), [
          "args-prompt",
          "completable-prompt",
          "resource-prompt",
          "simple-prompt"
        ])
        assert.deepStrictEqual(prompts.find(({ name }) => name === "args-prompt")?.arguments, [
          { name: "city", description: "Name of the city", required: true },
          { name: "state", required: false }
        ])
        const simple = yield* client.getPrompt("simple-prompt")
        assert.deepStrictEqual(simple.messages, [
          { role: "user", content: { type: "text", text: "This is a simple prompt without arguments." } }
        ])
        const weather = yield* client.getPrompt("args-prompt", { city: "Austin", state: "Texas" })
        assert.include(JSON.stringify(weather.messages), "What's weather in Austin, Texas?")
        const embedded = yield* client.getPrompt("resource-prompt", { resourceType: "Text", resourceId: "5" })
        assert.strictEqual(embedded.messages[1]?.content.type, "resource")
        const invalid = yield* failureWith(client.getPrompt("args-prompt", {}), "JsonRpcError")
        assert.strictEqual(invalid.code, -32602)

        const prompt = { type: "ref/prompt", name: "completable-prompt" } as const
        const departments = yield* client.complete(prompt, { name: "department", value: "S" })
        assert.deepStrictEqual(departments, { values: ["Sales", "Support"], total: 2, hasMore: false })
        const people = (department: string) =>
          Effect.map(
            client.complete(prompt, { name: "name", value: "" }, { context: { department } }),
            ({ values }) => values
          )
        assert.deepStrictEqual(yield* people("Sales"), ["David", "Eve", "Frank"])
        assert.deepStrictEqual(yield* people("Engineering"), ["Alice", "Bob", "Charlie"])
        const template = { type: "ref/resource", uri: "demo://resource/dynamic/text/{resourceId}" } as const
        const ids = yield* client.complete(template, { name: "resourceId", value: "12" })
        assert.deepStrictEqual(ids.values, ["12"])
      }))

    it.scoped("updates of a resource: one subscription for all who listen, undone by the last", () =>
      Effect.gen(function*() {
        const server = yield* sharedServer
        const client = yield* connect(stack, server)
        yield* Calls.untilListening(server)
        const uri = document("features.md")
        const first = yield* listen(client.subscribe(uri))
        const second = yield* listen(client.subscribe(uri))
        const other = yield* listen(client.subscribe(document("startup.md")))
        const ofMethod = (method: string) =>
          Effect.map(sent(server), (messages) => messages.filter((message) => message.method === method))
        const isSubscribed = Effect.map(
          ofMethod("resources/subscribe"),
          (messages) => messages.filter(({ exchange }) => exchange.state === "finished").length === 2
        )
        yield* Calls.until("both were subscribed to", isSubscribed)
        assert.include(yield* call(client, "toggle-subscriber-updates"), "Started simulated")
        assert.deepStrictEqual(yield* first.atLeast(1), [{ uri, afterGap: false }])
        assert.deepStrictEqual(yield* second.atLeast(1), [{ uri, afterGap: false }])
        assert.deepStrictEqual(yield* other.atLeast(1), [{ uri: document("startup.md"), afterGap: false }])
        yield* Fiber.interrupt(first.fiber)
        assert.deepStrictEqual(yield* ofMethod("resources/unsubscribe"), [])
        yield* Fiber.interrupt(second.fiber)
        const left = yield* untilSent(server, "resources/unsubscribe")
        assert.strictEqual(left.params?.uri, uri)
        assert.strictEqual((yield* ofMethod("resources/subscribe")).length, 2)
      }))

    it.scoped("a resource that a tool makes: the list has changed, and it can be read", () =>
      Effect.gen(function*() {
        const server = yield* sharedServer
        const client = yield* connect(stack, server)
        yield* Calls.untilListening(server)
        const changes = yield* listen(client.listChanges)
        const name = `${stack.name}.gz`
        const made = yield* client.callTool("gzip-file-as-resource", {
          name,
          data: "data:text/plain,hello",
          outputType: "resourceLink"
        })
        const uri = `demo://resource/session/${name}`
        assert.deepStrictEqual(made.content, [{ type: "resource_link", uri, name, mimeType: "application/gzip" }])
        const change: McpClient.ListChange = { list: "resources", afterGap: false }
        assert.deepStrictEqual((yield* changes.atLeast(1))[0], change)
        assert.include((yield* collect(client.resources)).map((resource) => resource.uri), uri)
        const [content] = (yield* client.readResource(uri)).contents
        assert.strictEqual(content?.mimeType, "application/gzip")
      }))
  })

  overBothStacks("logs", (stack) => {
    it.scoped("come by the level that was set", () =>
      Effect.gen(function*() {
        const server = yield* sharedServer
        const client = yield* connect(stack, server, { logLevel: "info" })
        yield* Calls.untilListening(server)
        const logs = yield* listen(client.logs)
        const everything = yield* listen(client.notifications)
        yield* untilSent(server, "logging/setLevel")
        // The server logs every subscription, as info.
        const subscribe = (name: string) =>
          Effect.gen(function*() {
            const subscription = yield* listen(client.subscribe(document(name)))
            yield* Calls.untilSeen(
              server,
              `${name} was subscribed to`,
              ({ body, state }) =>
                body.includes("\"resources/subscribe\"") && body.includes(name) && state === "finished"
            )
            return subscription
          })
        yield* subscribe("features.md")
        yield* client.setLogLevel("error")
        yield* subscribe("startup.md")
        yield* client.setLogLevel("debug")
        yield* subscribe("structure.md")
        yield* logs.atLeast(2)
        assert.deepStrictEqual(
          logs.heard.map(({ data, level }) => [level, /document\/(\S+)/.exec(String(data))?.[1]]),
          [["info", "features.md"], ["info", "structure.md"]]
        )
        assert.include(yield* call(client, "toggle-simulated-logging"), "Started simulated")
        yield* logs.atLeast(3)
        assert.deepStrictEqual(everything.heard.map(({ method }) => method), [
          "notifications/message",
          "notifications/message",
          "notifications/message"
        ])
        const levels = (yield* sent(server)).filter(({ method }) => method === "logging/setLevel")
        assert.deepStrictEqual(levels.map(({ params }) => params?.level), ["info", "error", "debug"])
      }))
  })
})
