/**
 * What the schemas of the protocol are made of. All of them are in wire shape: decoding changes nothing and keeps
 * members that it does not know.
 */
import * as Arbitrary from "effect/Arbitrary"
import * as Arr from "effect/Array"
import * as Either from "effect/Either"
import * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"
import type * as AST from "effect/SchemaAST"

/** Annotation of a struct that keeps unknown members, also in everything inside of it. */
export const keepUnknown = { parseOptions: { onExcessProperty: "preserve" } } as const

export const isObject = (u: unknown): u is { readonly [name: string]: unknown } =>
  typeof u === "object" && u !== null && !Array.isArray(u)

/** What JSON leaves out is no value. */
export const isJson = (u: unknown): boolean => u !== undefined && typeof u !== "function" && typeof u !== "symbol"

/** Any JSON value. It is not looked into. */
export const Json: Schema.Schema<unknown> = Schema.declare((u: unknown): u is unknown => isJson(u), {
  identifier: "Json",
  arbitrary: () => (fc) => fc.jsonValue({ maxDepth: 1 })
})

/** An array whose generated values are short. */
export const list = <A>(item: Schema.Schema<A>): Schema.Schema<ReadonlyArray<A>> =>
  Schema.Array(item).annotations({
    arbitrary: () => (fc) => fc.array(Arbitrary.makeLazy(item)(fc), { maxLength: 3 })
  })

type Decode<A> = (u: unknown, options: AST.ParseOptions) => Either.Either<A, ParseResult.ParseIssue>

/**
 * An object with names that the sender chooses. `Schema.Record` would lose a member called `__proto__`, which a sender
 * can choose as well.
 */
export const record = <A>(
  identifier: string,
  value: Schema.Schema<A>
): Schema.Schema<{ readonly [name: string]: A }> => {
  const decodeValue = ParseResult.decodeUnknownEither(value)
  const decode = (u: unknown, options: AST.ParseOptions, ast: AST.AST) => {
    if (!isObject(u)) return Either.left(new ParseResult.Type(ast, u))
    const entries: Array<readonly [string, A]> = []
    const issues: Array<ParseResult.Pointer> = []
    for (const name of Object.keys(u)) {
      const decoded = decodeValue(u[name], options)
      if (Either.isRight(decoded)) {
        entries.push([name, decoded.right])
      } else {
        issues.push(new ParseResult.Pointer(name, u, decoded.left))
        if (options.errors !== "all") break
      }
    }
    return Arr.isNonEmptyArray(issues)
      ? Either.left(new ParseResult.Composite(ast, u, issues))
      : Either.right<{ readonly [name: string]: A }>(Object.fromEntries(entries))
  }
  return Schema.declare([], { decode: () => decode, encode: () => decode }, {
    identifier,
    arbitrary: () => (fc) =>
      fc.dictionary(fc.string({ maxLength: 5 }), Arbitrary.makeLazy(value)(fc), { maxKeys: 3, noNullPrototype: true })
  })
}

/** A member of a {@link choice}. */
export interface Member<out A> {
  readonly decode: Decode<A>
  readonly arbitrary: Arbitrary.LazyArbitrary<A>
}

export const member = <A>(schema: Schema.Schema<A>): Member<A> => ({
  decode: ParseResult.decodeUnknownEither(schema),
  arbitrary: (fc) => Arbitrary.makeLazy(schema)(fc)
})

// An array is chosen for like an object; a struct refuses it.
const hasMembers = (u: unknown): u is { readonly [name: string]: unknown } => typeof u === "object" && u !== null

/**
 * A union whose member is chosen by looking at the value, so that an error names what is wrong in this member. A
 * `Schema.Union` reports what is wrong with regard to every member.
 */
export const choice = <A>(options: {
  readonly identifier: string
  readonly members: ReadonlyArray<Member<A>>
  /** Undefined: `type` is wrong. */
  readonly choose: (value: { readonly [name: string]: unknown }) => Member<A> | undefined
}): Schema.Schema<A> => {
  const decode = (
    u: unknown,
    parseOptions: AST.ParseOptions,
    ast: AST.AST
  ): Either.Either<A, ParseResult.ParseIssue> => {
    if (!hasMembers(u)) return Either.left(new ParseResult.Type(ast, u))
    const chosen = options.choose(u)
    if (chosen !== undefined) return chosen.decode(u, parseOptions)
    const message = u.type === undefined ? "is missing" : `is not the type of a ${options.identifier}`
    const issue = new ParseResult.Type(Schema.String.ast, u.type, message)
    return Either.left(new ParseResult.Composite(ast, u, new ParseResult.Pointer("type", u, issue)))
  }
  return Schema.declare([], { decode: () => decode, encode: () => decode }, {
    identifier: options.identifier,
    arbitrary: () => (fc) => fc.oneof(...options.members.map((member) => member.arbitrary(fc)))
  })
}
