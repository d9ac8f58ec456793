/** What do the chunks of Mistral's chat say, whose SDK yields `{ data }` with a chat completion in camel case? */
import { isObject } from '../errors.js'
import { type Completion, readCompletion, redactCompletion } from './openai-chat.js'
import type { ChunkShape } from './reading-state.js'
import { withoutRequest } from './redact.js'

/** Mistral. The answer is complete at a `finishReason`. */
export const mistral: ChunkShape = {
  is(chunk) {
    const data = (chunk as { data?: unknown }).data as Completion | undefined
    if (!isObject(data) || 'type' in chunk || 'event' in chunk) return false
    const { choices } = data as Completion
    return Array.isArray(choices) && choices.every((choice) => typeof choice?.delta === 'object')
  },

  read: ({ data }: { data: Completion }, reading) => readCompletion(data, reading),

  redact: (chunk: { data: Completion }) => ({ ...withoutRequest(chunk), data: redactCompletion(chunk.data) }),
}
