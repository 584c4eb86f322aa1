/**
 * Decodes UTF-8 that comes in chunks.
 *
 * Neither way of the platform is good at both: decoding a chunk as a whole is several times cheaper while it is ASCII, and a
 * decoder of streams twice as cheap when it is not, but each costs a converter.
 */
const whole = new TextDecoder("utf-8", { ignoreBOM: true })

const more = { stream: true }

/** In bytes: less does not pay for a converter. */
const worthConverter = 1024

export class ChunkDecoder {
  /** Of the last chunk: true only if it had as many characters as bytes, being ASCII (or malformed). */
  isAscii = true
  private converter: TextDecoder | undefined
  // Whether the chunk before may have ended inside a character.
  private isInside = false

  /** The text of a chunk, but for a character at its end that is not complete. A byte order mark is kept. */
  decode(chunk: Uint8Array): string {
    const last = chunk[chunk.length - 1]
    if (last === undefined) return ""
    const mayEndInside = last > 0x7f
    const isConverted = mayEndInside || this.isInside || (!this.isAscii && chunk.length >= worthConverter)
    const text = isConverted ? this.convert(chunk) : whole.decode(chunk)
    this.isAscii = !this.isInside && text.length === chunk.length
    this.isInside = mayEndInside
    return text
  }

  /** What stands for a character that never became complete. Nothing is decoded after it. */
  end(): string {
    return this.converter?.decode() ?? ""
  }

  private convert(chunk: Uint8Array): string {
    this.converter ??= new TextDecoder("utf-8", { ignoreBOM: true })
    return this.converter.decode(chunk, more)
  }
}
