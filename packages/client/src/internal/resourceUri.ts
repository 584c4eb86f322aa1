/**
 * How the URIs of resources relate.
 */

/** Whether a resource is another one or a part of it: what happens to it happens to the other (2025-11-25, "Resources"). */
export const isWithin = (uri: string, whole: string): boolean =>
  uri === whole || uri.startsWith(whole.endsWith("/") ? whole : `${whole}/`)
