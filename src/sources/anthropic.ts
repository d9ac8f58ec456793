import type { FinishReason, Part } from '../types.js'
import { type ChunkShape, pushUsage, type Reading } from './reading.js'

interface MessagesUsage {
  input_tokens?: number | null
  output_tokens?: number | null
  cache_creation_input_tokens?: number | null
  cache_read_input_tokens?: number | null
}

interface MessagesEvent {
  type: string
  index?: number
  message?: { usage?: MessagesUsage }
  content_block?: { type?: string; id?: string; name?: string; text?: string }
  delta?: {
    type?: string
    text?: string
    thinking?: string
    partial_json?: string
    citation?: unknown
    stop_reason?: string | null
  }
  usage?: MessagesUsage
  error?: unknown
}

const EVENTS = new Set([
  'message_start',
  'content_block_start',
  'content_block_delta',
  'content_block_stop',
  'message_delta',
  'message_stop',
  'ping',
])

const FINISH: Record<string, FinishReason | null | undefined> = {
  __proto__: null,
  end_turn: 'stop',
  stop_sequence: 'stop',
  max_tokens: 'length',
  model_context_window_exceeded: 'length',
  tool_use: 'tool-calls',
  refusal: 'content-filter',
}

/** Anthropic messages. The answer is complete at `message_stop`. */
export const anthropic: ChunkShape = {
  is: (chunk) => EVENTS.has((chunk as MessagesEvent).type),

  event: (chunk: { type: string }) => chunk.type,

  // The helper stream goes on to fill the message and the blocks it has handed out: what began empty is said empty.
  bare(event: MessagesEvent) {
    const { message, content_block: block } = event
    if (message) return { ...event, message: { ...message, content: [], stop_reason: null, stop_sequence: null } }
    if (!block) return event
    const empty = Object.entries({ text: '', thinking: '', signature: '', input: {}, citations: [] })
    return { ...event, content_block: { ...block, ...Object.fromEntries(empty.filter(([key]) => key in block)) } }
  },

  read(event: MessagesEvent, reading: Reading) {
    const { parts } = reading
    const { type, index = 0, delta } = event
    if (reading.proof !== 'given') reading.proof = 'missing'
    switch (type) {
      case 'content_block_delta':
        if (delta?.type === 'text_delta') {
          if (delta.text) parts.push({ type: 'text', text: delta.text })
        } else if (delta?.type === 'thinking_delta') {
          if (delta.thinking) parts.push({ type: 'reasoning', text: delta.thinking })
        } else if (delta?.type === 'input_json_delta') {
          // The input of the provider's own tools looks the same, and is no call for the client.
          if (delta.partial_json && (reading.toolIndex ?? index) === index) {
            parts.push({ type: 'tool-call', index, input: delta.partial_json })
          }
        } else if (delta?.type === 'citations_delta') {
          parts.push({ type: 'data', name: 'citation', data: delta.citation })
        }
        break
      case 'content_block_start': {
        const block = event.content_block
        reading.toolIndex = block?.type === 'tool_use' ? index : -1
        if (block?.type === 'tool_use')
          parts.push({ type: 'tool-call', index, id: block.id, name: block.name, input: '' })
        break
      }
      case 'message_start':
        // Of a second message in one run as well: the first one's end proves nothing for it.
        reading.proof = 'missing'
        pushCounts(parts, event.message?.usage)
        break
      case 'message_delta':
        pushCounts(parts, event.usage)
        if (delta?.stop_reason) parts.push({ type: 'finish', reason: FINISH[delta.stop_reason] ?? 'other' })
        break
      case 'message_stop':
        reading.proof = 'given'
    }
  },
}

/** `input_tokens` leaves out what the cache took or gave; on the common scale it is part of the input. */
function pushCounts(parts: Part[], counts: MessagesUsage | undefined): void {
  if (!counts) return
  const { input_tokens: input, cache_read_input_tokens: cached, cache_creation_input_tokens: created } = counts
  pushUsage(parts, {
    inputTokens: typeof input === 'number' ? input + (cached ?? 0) + (created ?? 0) : undefined,
    outputTokens: counts.output_tokens,
    cachedInputTokens: cached,
  })
}
