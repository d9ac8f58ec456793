import {
  type ChunkShape,
  emptied,
  pushCall,
  pushData,
  pushFinish,
  pushReasoning,
  pushText,
  pushUsage,
  type Reading,
} from './reading.js'

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

/** Anthropic messages. The answer is complete at `message_stop`. */
export const anthropic: ChunkShape = {
  is: (chunk) => EVENTS.has((chunk as MessagesEvent).type),

  event: (chunk: { type: string }) => chunk.type,

  // The helper stream goes on to fill the message and the blocks it has handed out: what began empty is said empty.
  bare(event: MessagesEvent) {
    const { message, content_block: block } = event
    if (message) return { ...event, message: { ...message, content: [], stop_reason: null, stop_sequence: null } }
    if (!block) return event
    return {
      ...event,
      content_block: emptied(block, { text: '', thinking: '', signature: '', input: {}, citations: [] }),
    }
  },

  read(event: MessagesEvent, reading: Reading) {
    const { type, index = 0, delta } = event
    switch (type) {
      case 'content_block_delta':
        if (delta?.type === 'text_delta') pushText(reading, delta.text)
        else if (delta?.type === 'thinking_delta') pushReasoning(reading, delta.thinking)
        else if (delta?.type === 'input_json_delta') {
          // The input of the provider's own tools looks the same, and is no call for the client.
          if (delta.partial_json && (reading.toolIndex ?? index) === index) pushCall(reading, index, delta.partial_json)
        } else if (delta?.type === 'citations_delta') pushData(reading, 'citation', delta.citation)
        break
      case 'content_block_start': {
        const block = event.content_block
        reading.toolIndex = -1
        if (block?.type === 'tool_use') {
          reading.toolIndex = index
          pushCall(reading, index, '', block.id, block.name)
        }
        break
      }
      case 'message_start':
        // Of a second message in one run as well: the first one's end proves nothing for it.
        reading.proof = 'missing'
        pushCounts(reading, event.message?.usage)
        break
      case 'message_delta':
        pushCounts(reading, event.usage)
        if (delta?.stop_reason) pushFinish(reading, delta.stop_reason)
        break
      case 'message_stop':
        reading.proof = 'given'
    }
  },
}

/** `input_tokens` leaves out what the cache took or gave; on the common scale it is part of the input. */
function pushCounts(reading: Reading, counts: MessagesUsage | null | undefined): void {
  const { input_tokens: input, cache_read_input_tokens: cached, cache_creation_input_tokens: created } = counts ?? {}
  const whole = typeof input === 'number' ? input + (cached ?? 0) + (created ?? 0) : undefined
  pushUsage(reading, whole, counts?.output_tokens, undefined, cached)
}
