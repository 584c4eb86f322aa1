/**
 * What the server answers to a call. It stands in the query of the URL, so that server and client agree without a word:
 *
 * - `json`: a JSON body with `bytes` of text;
 * - `events`: `count` progress notifications with `bytes` of text each, then the answer; `ids` gives them event ids,
 *   `batch` is how many go into one HTTP chunk, `piece` cuts the whole body into HTTP chunks of so many bytes, `together`
 *   waits for so many calls and serves them in turns;
 * - `hold`: one progress notification, then silence;
 * - `clock`: `count` notifications, one every ms, whose text is the time they were written.
 */
const numbers = ["bytes", "count", "ids", "batch", "piece", "together"]

export const parseShape = (url) => {
  const query = new URL(url, "http://127.0.0.1").searchParams
  return {
    kind: query.get("kind") ?? "json",
    ...Object.fromEntries(numbers.map((name) => [name, Number(query.get(name) ?? 0)]))
  }
}

/** Text as tools write it: ASCII, with a line break now and then. */
export const text = (bytes) => {
  const line = "The quick brown fox jumps over the lazy dog, and the dog takes notice of it today.\n"
  return line.repeat(Math.ceil(bytes / line.length)).slice(0, bytes)
}

export const progressText = (shape) => text(shape.bytes > 0 ? shape.bytes : 20)

export const answerText = (shape) => shape.kind === "json" ? text(shape.bytes) : "done"

/** How many progress notifications come before the answer. */
export const progressCount = (shape) => shape.kind === "json" ? 0 : shape.kind === "hold" ? 1 : shape.count
