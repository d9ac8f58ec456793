import {
  type ChunkShape,
  emptied,
  pushCall,
  pushData,
  pushError,
  pushFinish,
  pushReasoning,
  pushText,
  pushUsage,
  type Reading,
} from './reading.js'

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
const ASKED = {
  instructions: null,
  metadata: {},
  prompt: null,
  prompt_cache_key: null,
  safety_identifier: null,
  tools: [],
  user: null,
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
    return response ? { ...event, response: emptied(response, ASKED) } : event
  },

  read(event: ResponsesEvent, reading: Reading) {
    const { type, delta, output_index: index = 0, response } = event
    if (type === 'response.refusal.delta') reading.refused = true
    switch (type) {
      case 'response.created':
        // Of a second response in one run as well: the first one's end proves nothing for it.
        reading.proof = 'missing'
        break
      case 'response.refusal.delta':
      case 'response.output_text.delta':
        pushText(reading, delta)
        break
      case 'response.reasoning_text.delta':
      case 'response.reasoning_summary_text.delta':
        pushReasoning(reading, delta)
        break
      case 'response.output_item.added':
        if (event.item?.type === 'function_call') pushCall(reading, index, '', event.item.call_id, event.item.name)
        break
      case 'response.function_call_arguments.delta':
        if (delta) pushCall(reading, index, delta)
        break
      case 'response.output_text.annotation.added':
        pushData(reading, 'citation', event.annotation)
        break
      case 'response.completed':
      case 'response.incomplete':
      case 'response.failed': {
        const usage = response?.usage
        if (usage) {
          pushUsage(
            reading,
            usage.input_tokens,
            usage.output_tokens,
            usage.total_tokens,
            usage.input_tokens_details?.cached_tokens,
            usage.output_tokens_details?.reasoning_tokens,
          )
        }
        if (type === 'response.failed') pushError(reading, response?.error)
        else {
          reading.proof = 'given'
          pushFinish(reading, reading.refused ? 'content-filter' : finishOf(type, response))
        }
        break
      }
      case 'error':
        pushError(reading, event)
    }
  },
}

function finishOf(type: string, response: ResponsesEvent['response']): string {
  if (type === 'response.incomplete') return response?.incomplete_details?.reason ?? ''
  return response?.output?.some((item) => item.type === 'function_call') ? 'tool-calls' : 'stop'
}
