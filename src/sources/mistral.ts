import type { FinishReason } from '../types.js'
import { type ChunkShape, type Content, providerError, pushContent, pushUsage, type Reading } from './reading.js'

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

const FINISH: Record<string, FinishReason | null | undefined> = {
  __proto__: null,
  stop: 'stop',
  length: 'length',
  model_length: 'length',
  tool_calls: 'tool-calls',
  error: 'error',
}

/** Mistral, whose SDK yields `{ data }` in camel case. The answer is complete at a `finishReason`. */
export const mistral: ChunkShape = {
  is(chunk) {
    const data = (chunk as Partial<MistralEvent>).data
    if (typeof data !== 'object' || data === null || 'type' in chunk || 'event' in chunk) return false
    return Array.isArray(data.choices) && data.choices.every((choice) => typeof choice?.delta === 'object')
  },

  read({ data }: MistralEvent, reading: Reading) {
    const { parts } = reading
    if (reading.proof !== 'given') reading.proof = 'missing'
    for (const { index = 0, delta, finishReason } of data.choices) {
      if (index !== 0) continue
      pushContent(parts, delta?.content)
      for (const { index: call = 0, id, function: called } of delta?.toolCalls ?? []) {
        const input = called?.arguments ?? ''
        parts.push({
          type: 'tool-call',
          index: call,
          // The SDK's default for a call without an id.
          ...(id && id !== 'null' && { id }),
          ...(called?.name && { name: called.name }),
          input: typeof input === 'string' ? input : JSON.stringify(input),
        })
      }
      if (finishReason) {
        reading.proof = 'given'
        parts.push({ type: 'finish', reason: FINISH[finishReason] ?? 'other' })
      }
    }
    const { usage, error } = data
    if (usage) {
      const { promptTokens: inputTokens, completionTokens: outputTokens, totalTokens } = usage
      pushUsage(parts, { inputTokens, outputTokens, totalTokens })
    }
    if (error) parts.push({ type: 'error', error: providerError(error) })
  },
}
