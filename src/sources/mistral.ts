import type { FinishReason } from '../types.js'
import { type ChunkShape, numbers, providerError, type Reading } from './reading.js'

interface Thinking {
  type?: string
  text?: string
  thinking?: { type?: string; text?: string }[]
}

interface MistralEvent {
  data: {
    choices: {
      index?: number
      delta?: {
        content?: string | Thinking[] | null
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
    return typeof data === 'object' && data !== null && Array.isArray(data.choices)
  },

  read({ data }: MistralEvent, reading: Reading) {
    const { parts } = reading
    if (reading.proof !== 'given') reading.proof = 'missing'
    for (const { index = 0, delta, finishReason } of data.choices) {
      if (index !== 0) continue
      const content = delta?.content
      if (typeof content === 'string') {
        if (content !== '') parts.push({ type: 'text', text: content })
      } else {
        for (const { type, text, thinking } of content ?? []) {
          if (type === 'text' && text) parts.push({ type: 'text', text })
          for (const thought of thinking ?? []) if (thought.text) parts.push({ type: 'reasoning', text: thought.text })
        }
      }
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
      parts.push({ type: 'usage', usage: numbers({ inputTokens, outputTokens, totalTokens }) })
    }
    if (error) parts.push({ type: 'error', error: providerError(error) })
  },
}
