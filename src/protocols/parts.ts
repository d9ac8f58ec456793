/** How does a run look to a client that wants every part as typed JSON? */

import { encodeEvent } from '../encode.js'
import { checkOptions } from '../options.js'
import type { Encoder, Protocol } from '../types.js'
import { dataFrame, failureFrame, toJson } from './frames.js'

const encoder: Encoder = {
  part: (part) => dataFrame(toJson(part)),
  event: encodeEvent,
  end({ usage, finishReason }) {
    return (
      (usage ? dataFrame(JSON.stringify({ type: 'usage', usage })) : '') +
      (finishReason ? dataFrame(JSON.stringify({ type: 'finish', reason: finishReason })) : '')
    )
  },
  fail: (error) => failureFrame({ error }),
  answer: (parts, { usage, finishReason: reason }) => ({
    parts: [
      ...parts.map((part) => (part.type === 'event' ? { type: 'event', ...part.event } : part)),
      ...(usage ? [{ type: 'usage', usage }] : []),
      ...(reason ? [{ type: 'finish', reason }] : []),
    ],
  }),
}

const protocol: Protocol = { name: 'parts', encoder: () => encoder }

/**
 * Every part as typed JSON, `data: {"type":"text","text":"…"}`: text, reasoning, tool calls and data as
 * they come, usage and finish once, at the end. It has no options.
 */
export function parts(options: Record<never, never> = {}): Protocol {
  checkOptions('parts', options, {})
  return protocol
}
