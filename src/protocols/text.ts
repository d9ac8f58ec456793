/** How does a run look to a client that wants only the text? */

import { encodeEvent } from '../encode.js'
import { checkOptions } from '../options.js'
import type { Encoder, Protocol } from '../types.js'
import { failureFrame, namedFrame, quote, toJson } from './frames.js'

const encoder: Encoder = {
  part(part) {
    // One template literal: calling `dataFrame` with another cost a tenth of a token's CPU outside the socket write
    // (bench: "one token per tick").
    if (part.type === 'text') return `data: {"text":${quote(part.text)}}\n\n`
    return part.type === 'data' ? namedFrame(part.name, toJson(part.data)) : ''
  },
  event: encodeEvent,
  end: () => '',
  fail: (error) => failureFrame({ error }),
  answer: (parts) => ({ text: parts.map((part) => (part.type === 'text' ? part.text : '')).join('') }),
}

const protocol: Protocol = { name: 'text', encoder: () => encoder }

/** The answer's text as `data: {"text":"…"}`, data parts as events under their names, and nothing else. It has no options. */
export function text(options: Record<never, never> = {}): Protocol {
  checkOptions('text', options, {})
  return protocol
}
