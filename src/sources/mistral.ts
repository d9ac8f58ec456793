import { isObject } from '../errors.js'
import {
  type ChunkShape,
  type Content,
  pushCall,
  pushContent,
  pushError,
  pushFinish,
  pushUsage,
  type Reading,
} from './reading.js'

interface MistralEvent {
  data: {
    choices: {
      index?: number
      delta?: {
        content?: Content
        toolCalls?: { index?: number; id?: string; function?: { name?: string; arguments?: unknown } }[] | null
      }
      finishReason?: string | null
    }[]
    usage?: { promptTokens?: number; completionTokens?: number; totalTokens?: number } | null
    error?: unknown
  }
}

/** Mistral, whose SDK yields `{ data }` in camel case. The answer is complete at a `finishReason`. */
export const mistral: ChunkShape = {
  is(chunk) {
    const data = (chunk as Partial<MistralEvent>).data
    if (!isObject(data) || 'type' in chunk || 'event' in chunk) return false
    return Array.isArray(data.choices) && data.choices.every((choice) => typeof choice?.delta === 'object')
  },

  read({ data }: MistralEvent, reading: Reading) {
    for (const { index = 0, delta, finishReason } of data.choices) {
      if (index !== 0) continue
      pushContent(reading, delta?.content)
      for (const { index: call = 0, id, function: called } of delta?.toolCalls ?? []) {
        const input = called?.arguments ?? ''
        pushCall(
          reading,
          call,
          typeof input === 'string' ? input : JSON.stringify(input),
          // The SDK's default for a call without an id.
          id === 'null' ? undefined : id || undefined,
          called?.name || undefined,
        )
      }
      if (finishReason) {
        reading.proof = 'given'
        pushFinish(reading, finishReason)
      }
    }
    const { usage, error } = data
    if (usage) pushUsage(reading, usage.promptTokens, usage.completionTokens, usage.totalTokens)
    if (error) pushError(reading, error)
  },
}
