/**
 * A tracer that keeps its spans.
 */
import * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Tracer from "effect/Tracer"

export interface RecordedSpan {
  readonly span: Tracer.Span
  readonly events: ReadonlyArray<{ readonly name: string; readonly attributes: Record<string, unknown> }>
  readonly parent: string | undefined
}

export const recordSpans = () => {
  const spans: Array<RecordedSpan> = []
  const tracer = Tracer.make({
    span: (name, parent, context, links, startTime, kind) => {
      const events: Array<{ readonly name: string; readonly attributes: Record<string, unknown> }> = []
      const recording = new Recording(name, parent, context, links, startTime, kind, spans.length + 1, events)
      spans.push({ span: recording, events, parent: Option.getOrUndefined(parent)?.spanId })
      return recording
    },
    context: (run) => run()
  })
  return {
    spans,
    layer: Layer.setTracer(tracer),
    named: (name: string): ReadonlyArray<RecordedSpan> => spans.filter(({ span }) => span.name === name),
    /** Everything that an exporter would see, as one text. */
    text: (): string =>
      spans.map(({ events, span }) => {
        const attributes = Array.from(span.attributes, ([key, value]) => `${key}=${String(value)}`)
        const { status } = span
        const exit = status._tag === "Ended" && status.exit._tag === "Failure" ? Cause.pretty(status.exit.cause) : ""
        return [span.name, ...attributes, JSON.stringify(events), exit].join("\n")
      }).join("\n")
  }
}

class Recording implements Tracer.Span {
  readonly _tag = "Span"
  readonly sampled = true
  readonly attributes = new Map<string, unknown>()
  readonly spanId: string
  readonly traceId: string
  readonly links: Array<Tracer.SpanLink>
  status: Tracer.SpanStatus

  readonly name: string
  readonly parent: Option.Option<Tracer.AnySpan>
  readonly context: Context.Context<never>
  readonly kind: Tracer.SpanKind
  private readonly startTime: bigint
  private readonly recorded: Array<{ readonly name: string; readonly attributes: Record<string, unknown> }>

  constructor(
    name: string,
    parent: Option.Option<Tracer.AnySpan>,
    context: Context.Context<never>,
    links: ReadonlyArray<Tracer.SpanLink>,
    startTime: bigint,
    kind: Tracer.SpanKind,
    index: number,
    recorded: Array<{ readonly name: string; readonly attributes: Record<string, unknown> }>
  ) {
    this.name = name
    this.parent = parent
    this.context = context
    this.links = Array.from(links)
    this.startTime = startTime
    this.kind = kind
    this.recorded = recorded
    this.status = { _tag: "Started", startTime }
    this.spanId = index.toString(16).padStart(16, "0")
    this.traceId = Option.match(parent, {
      onNone: () => index.toString(16).padStart(32, "0"),
      onSome: ({ traceId }) => traceId
    })
  }

  end(
    endTime: bigint,
    exit: Tracer.SpanStatus extends infer S ? S extends { exit: infer E } ? E : never : never
  ): void {
    this.status = { _tag: "Ended", startTime: this.startTime, endTime, exit }
  }

  attribute(key: string, value: unknown): void {
    this.attributes.set(key, value)
  }

  event(name: string, _startTime: bigint, attributes: Record<string, unknown> = {}): void {
    this.recorded.push({ name, attributes })
  }

  addLinks(links: ReadonlyArray<Tracer.SpanLink>): void {
    this.links.push(...links)
  }
}
