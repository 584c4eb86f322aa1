/**
 * What the status and content type of a response mean, per kind of exchange: the table of the README, as a function.
 */

/**
 * - `Request`: the POST of a request
 * - `Submit`: the POST of a notification or a response
 * - `Resume`: a GET that resumes a stream
 * - `FirstGet`: the first GET of the server's own stream
 */
export type Exchange = "Request" | "Submit" | "Resume" | "FirstGet"

export type Meaning =
  | "Json"
  | "Events"
  | "Accepted"
  | "NoResponse"
  | "UnexpectedContentType"
  | "SessionTerminated"
  | "StatusError"
  /** A JSON-RPC error in the body is the answer, anything else a status error. */
  | "AnswerOrStatusError"
  | "FailedAttempt"
  | "Rejected"
  | "Unsupported"
  | "NotOffered"

const isTransient = (status: number): boolean =>
  status === 408 || status === 409 || status === 425 || status === 429 || status >= 500

export const meaningOf = (
  exchange: Exchange,
  status: number,
  contentType: string | undefined,
  sessionIdSent: boolean
): Meaning => {
  if (status >= 200 && status < 300) return meaningOfSuccess(exchange, status, mediaType(contentType))
  if (status < 400 || status === 401 || status === 403) return "StatusError"
  switch (exchange) {
    case "Request":
      if (status === 404 && sessionIdSent) return "SessionTerminated"
      return status === 429 || status === 503 ? "StatusError" : "AnswerOrStatusError"
    case "Submit":
      return status === 404 && sessionIdSent ? "SessionTerminated" : "StatusError"
    case "Resume":
      if (status === 404) return sessionIdSent ? "SessionTerminated" : "Rejected"
      if (status === 405) return "Unsupported"
      return isTransient(status) ? "FailedAttempt" : "Rejected"
    case "FirstGet":
      // Routers that only know POST answer 404 or 406 here: the next POST decides about the session.
      if (status === 404 || status === 405 || status === 406) return "NotOffered"
      return isTransient(status) ? "FailedAttempt" : "StatusError"
  }
}

const meaningOfSuccess = (exchange: Exchange, status: number, type: string): Meaning => {
  switch (exchange) {
    case "Submit":
      return "Accepted"
    case "Request":
      if (status === 202 || status === 204) return "NoResponse"
      return type === "application/json" ? "Json" : type === "text/event-stream" ? "Events" : "UnexpectedContentType"
    case "Resume":
    case "FirstGet":
      return type === "text/event-stream" && status !== 202 && status !== 204 ? "Events" : "FailedAttempt"
  }
}

/** The media type without its parameters, in lower case. */
export const mediaType = (contentType: string | undefined): string => {
  if (contentType === undefined) return ""
  const end = contentType.indexOf(";")
  return (end === -1 ? contentType : contentType.slice(0, end)).trim().toLowerCase()
}

/** Statuses with which a server surely did not act on a POST. */
export const isRefusal = (status: number): boolean =>
  (status >= 300 && status < 400) || status === 401 || status === 405 || status === 413 || status === 415 ||
  status === 429
