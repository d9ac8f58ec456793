import { encodeEvent } from '../encode.js'
import type { Encoder, Protocol } from '../types.js'
import { dataFrame, failureFrame, namedFrame, toJson } from './frames.js'

const encoder: Encoder = {
  part(part) {
    if (part.type === 'text') return dataFrame(`{"text":${JSON.stringify(part.text)}}`)
    return part.type === 'data' ? namedFrame(part.name, toJson(part.data)) : ''
  },
  event: encodeEvent,
  end: () => '',
  fail: (error) => failureFrame({ error }),
}

const protocol: Protocol = { name: 'text', encoder: () => encoder }

/** The answer's text as `data: {"text":"…"}`, data parts as events under their names, and nothing else. */
export function text(): Protocol {
  return protocol
}
