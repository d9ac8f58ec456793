/** How does a run look to a client that reads the provider's own chunks? */

import { encodeEvent } from '../encode.js'
import type { Encoder, Protocol } from '../types.js'
import { anthropicError, dataFrame, failureFrame, namedFrame, toJson } from './frames.js'

const encoder: Encoder = {
  chunk: (chunk, event) => (event === undefined ? dataFrame(toJson(chunk)) : namedFrame(event, toJson(chunk))),
  part: (part) => dataFrame(toJson(part)),
  event: encodeEvent,
  end: () => '',
  fail: (error) => failureFrame({ type: 'error', error: anthropicError(error) }),
}

const protocol: Protocol = { name: 'raw', encoder: () => encoder }

/**
 * The provider's own chunks under their own event names, for a client that knows the provider. A failure
 * is still told in our own words: what the provider said of it stays on the server.
 */
export function raw(): Protocol {
  return protocol
}
