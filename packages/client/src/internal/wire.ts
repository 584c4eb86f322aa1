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
 * A struct that keeps unknown members, also in everything inside of it.
 *
 * The struct alone would assign a member called `__proto__` instead of defining it. That would not only lose it: its own
 * members would be inherited, and so be taken for members of the object that nobody has validated.
 */
export const object = <A extends object>(identifier: string, struct: Schema.Schema<A>): Schema.Schema<A> => {
  const preserving = struct.annotations({ identifier, parseOptions: { onExcessProperty: "preserve" } })
  const decodeStruct = ParseResult.decodeUnknownEither(preserving)
  const decode = (u: unknown, options: AST.ParseOptions): Either.Either<A, ParseResult.ParseIssue> => {
    if (!isObject(u) || !Object.hasOwn(u, "__proto__")) return decodeStruct(u, options)
    const { ["__proto__"]: value, ...others } = u
    return Either.map(
      decodeStruct(others, options),
      (decoded) =>
        Object.defineProperty(decoded, "__proto__", { value, configurable: true, enumerable: true, writable: true })
    )
  }
  return Schema.declare([], { decode: () => decode, encode: () => decode }, {
    identifier,
    arbitrary: () => (fc) => Arbitrary.makeLazy(preserving)(fc)
  })
}

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
export const choiceBy = <A>(options: {
  readonly identifier: string
  readonly members: ReadonlyArray<Member<A>>
  /** Undefined: `key` is wrong. */
  readonly choose: (value: { readonly [name: string]: unknown }) => Member<A> | undefined
  /** Default: `type`. */
  readonly key?: string | undefined
}): Schema.Schema<A> => {
  const { choose, identifier, key = "type", members } = options
  const decode = (
    u: unknown,
    parseOptions: AST.ParseOptions,
    ast: AST.AST
  ): Either.Either<A, ParseResult.ParseIssue> => {
    if (!hasMembers(u)) return Either.left(new ParseResult.Type(ast, u))
    const chosen = choose(u)
    if (chosen !== undefined) return chosen.decode(u, parseOptions)
    const message = u[key] === undefined ? "is missing" : `is not the ${key} of a ${identifier}`
    const issue = new ParseResult.Type(Schema.String.ast, u[key], message)
    return Either.left(new ParseResult.Composite(ast, u, new ParseResult.Pointer(key, u, issue)))
  }
  return Schema.declare([], { decode: () => decode, encode: () => decode }, {
    identifier,
    arbitrary: () => (fc) => fc.oneof(...members.map((member) => member.arbitrary(fc)))
  })
}

/** A union whose member is chosen by the string in `key`; `other` is for the strings that no member has. */
export const choice = <A>(options: {
  readonly identifier: string
  readonly key: string
  readonly members: { readonly [value: string]: Member<A> }
  readonly other?: Member<A> | undefined
}): Schema.Schema<A> => {
  const { identifier, key, members, other } = options
  const byValue = new Map(Object.entries(members))
  return choiceBy({
    identifier,
    key,
    members: [...byValue.values(), ...(other === undefined ? [] : [other])],
    choose: ({ [key]: value }) => typeof value === "string" ? byValue.get(value) ?? other : undefined
  })
}
