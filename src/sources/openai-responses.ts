import type { FinishReason } from '../types.js'
import { type ChunkShape, providerError, pushUsage, type Reading } from './reading.js'

interface ResponsesEvent {
  type: string
  delta?: string
  output_index?: number
  item?: { type?: string; call_id?: string; name?: string }
  annotation?: unknown
  response?: {
    output?: { type?: string }[]
    error?: unknown
    incomplete_details?: { reason?: string } | null
    usage?: {
      input_tokens?: number
      output_tokens?: number
      total_tokens?: number
      input_tokens_details?: { cached_tokens?: number }
      output_tokens_details?: { reasoning_tokens?: number }
    } | null
  }
}

/** Fields of the request, and what they are when they are empty. */
const ASKED: Record<string, unknown> = {
  __proto__: null,
  instructions: null,
  metadata: {},
  prompt: null,
  prompt_cache_key: null,
  safety_identifier: null,
  tools: [],
  user: null,
}

const INCOMPLETE: Record<string, FinishReason | null | undefined> = {
  __proto__: null,
  max_output_tokens: 'length',
  content_filter: 'content-filter',
}

/**
 * The OpenAI Responses API. The answer is complete at `response.completed` or `response.incomplete`;
 * `response.failed` is an event that no SDK throws.
 */
export const openaiResponses: ChunkShape = {
  is(chunk) {
    const { type, sequence_number: sequence } = chunk as { type?: unknown; sequence_number?: unknown }
    return (
      typeof type === 'string' && (type.startsWith('response.') || (type === 'error' && typeof sequence === 'number'))
    )
  },

  event: (chunk: { type: string }) => chunk.type,

  // The response repeats what it was asked with.
  bare(event: ResponsesEvent) {
    const { response } = event
    if (!response) return event
    const kept = Object.entries(response).map(([key, value]) => [key, key in ASKED ? ASKED[key] : value])
    return { ...event, response: Object.fromEntries(kept) }
  },

  read(event: ResponsesEvent, reading: Reading) {
    const { parts } = reading
    const { type, delta, output_index: index = 0, response } = event
    if (reading.proof !== 'given') reading.proof = 'missing'
    if (type === 'response.refusal.delta') reading.refused = true
    switch (type) {
      case 'response.created':
        // Of a second response in one run as well: the first one's end proves nothing for it.
        reading.proof = 'missing'
        break
      case 'response.refusal.delta':
      case 'response.output_text.delta':
        if (delta) parts.push({ type: 'text', text: delta })
        break
      case 'response.reasoning_text.delta':
      case 'response.reasoning_summary_text.delta':
        if (delta) parts.push({ type: 'reasoning', text: delta })
        break
      case 'response.output_item.added':
        if (event.item?.type === 'function_call') {
          parts.push({ type: 'tool-call', index, id: event.item.call_id, name: event.item.name, input: '' })
        }
        break
      case 'response.function_call_arguments.delta':
        if (delta) parts.push({ type: 'tool-call', index, input: delta })
        break
      case 'response.output_text.annotation.added':
        parts.push({ type: 'data', name: 'citation', data: event.annotation })
        break
      case 'response.completed':
      case 'response.incomplete':
      case 'response.failed': {
        const usage = response?.usage
        if (usage) {
          pushUsage(parts, {
            inputTokens: usage.input_tokens,
            outputTokens: usage.output_tokens,
            totalTokens: usage.total_tokens,
            cachedInputTokens: usage.input_tokens_details?.cached_tokens,
            reasoningTokens: usage.output_tokens_details?.reasoning_tokens,
          })
        }
        if (type === 'response.failed') {
          parts.push({ type: 'error', error: providerError(response?.error) })
        } else {
          reading.proof = 'given'
          parts.push({ type: 'finish', reason: reading.refused ? 'content-filter' : finishOf(type, response) })
        }
        break
      }
      case 'error':
        parts.push({ type: 'error', error: providerError(event) })
    }
  },
}

function finishOf(type: string, response: ResponsesEvent['response']): FinishReason {
  if (type === 'response.incomplete') return INCOMPLETE[response?.incomplete_details?.reason ?? ''] ?? 'other'
  return response?.output?.some((item) => item.type === 'function_call') ? 'tool-calls' : 'stop'
}
