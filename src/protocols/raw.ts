/** How does a run look to a client that reads the provider's own chunks? */

import { encodeEvent } from '../encode.js'
import type { Encoder, Protocol } from '../types.js'
import { dataFrame, failureFrame, namedFrame, toJson } from './frames.js'

/** Our failure codes → the error types that the Anthropic client knows. */
const ERROR_TYPES: Record<string, string | null | undefined> = {
  __proto__: null,
  'rate-limit': 'rate_limit_error',
  overload: 'overloaded_error',
  'upstream-timeout': 'timeout_error',
}

const encoder: Encoder = {
  chunk: (chunk, event) => (event === undefined ? dataFrame(toJson(chunk)) : namedFrame(event, toJson(chunk))),
  part: (part) => dataFrame(toJson(part)),
  event: encodeEvent,
  end: () => '',
  fail: (error) => failureFrame({ type: 'error', error: { type: ERROR_TYPES[error.code] ?? 'api_error', ...error } }),
}

const protocol: Protocol = { name: 'raw', encoder: () => encoder }

/**
 * The provider's own chunks under their own event names, for a client that knows the provider. A failure
 * is still told in our own words: what the provider said of it stays on the server.
 */
export function raw(): Protocol {
  return protocol
}
