/** Is a chunk an event of OpenAI's Assistants, which are refused by name? */
import { isObject } from '../errors.js'
import { mistake } from '../failure.js'
import type { ChunkShape } from './reading-state.js'

/** OpenAI's Assistants, an API that is being shut down. */
export const assistants: ChunkShape = {
  is(chunk) {
    const { event, data } = chunk as { event?: unknown; data?: { object?: unknown } }
    return (
      typeof event === 'string' &&
      isObject(data) &&
      /^thread(\.|$)/.test(String(data.object)) &&
      /^thread\./.test(event)
    )
  },

  read() {
    throw mistake(
      'invalid-source',
      "The source yields events of OpenAI's Assistants API, which is going away and is not read: use the Responses API, or map the events to parts",
    )
  },
}
