/** What do Anthropic's message events say, from `create`, from `.stream()` and over the wire? */
import type { ChunkShape, Reading } from './reading-state.js'
import { emptied, withoutRequest } from './redact.js'

export interface MessagesUsage {
  output_tokens_details?: { thinking_tokens?: number } | null
  input_tokens?: number | null
  output_tokens?: number | null
  cache_creation_input_tokens?: number | null
  cache_read_input_tokens?: number | null
}

interface ContentBlock {
  type?: string
  id?: string
  name?: string
  text?: string
  thinking?: string
  signature?: string
  input?: unknown
  data?: string
  tool_use_id?: string
  content?: unknown
}

export interface MessagesEvent {
  type: string
  index?: number
  message?: { id?: string; model?: string; usage?: MessagesUsage }
  content_block?: ContentBlock
  delta?: {
    type?: string
    text?: string
    thinking?: string
    signature?: string
    partial_json?: string
    citation?: unknown
    stop_reason?: string | null
  }
  usage?: MessagesUsage
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

  hasEnd: () => true,

  event: (chunk: { type: string }) => chunk.type,

  // The helper stream keeps filling the message and the blocks that it has already handed out, so what began empty is
  // sent empty. What the provider's own tools answered stays on the server.
  redact(event: MessagesEvent) {
    const { message, content_block: block } = event
    const rest = withoutRequest(event)
    if (message)
      return { ...rest, message: { ...withoutRequest(message), content: [], stop_reason: null, stop_sequence: null } }
    if (!block) return rest
    const empty = {
      text: '',
      thinking: '',
      signature: '',
      input: {},
      citations: [],
      tools: [],
      ...(block.tool_use_id && { content: [] }),
    }
    return { ...rest, content_block: emptied(block, empty) }
  },

  read(event: MessagesEvent, reading: Reading) {
    const { type, index = 0, delta, content_block: block } = event
    switch (type) {
      case 'content_block_delta':
        if (delta) readDelta(index, delta, reading)
        break
      case 'content_block_start':
        if (block) readBlock(index, block, reading)
        break
      case 'content_block_stop':
        readBegun(reading)
        reading.calls.done(index)
        break
      case 'message_start':
        reading.begin()
        reading.start(event.message?.id, event.message?.model)
        readCounts(event.message?.usage, reading)
        break
      case 'message_delta':
        readBegun(reading)
        readCounts(event.usage, reading)
        if (delta?.stop_reason) reading.finish(delta.stop_reason)
        break
      case 'message_stop':
        readCounts(event.usage, reading)
        reading.end()
    }
  },
}

function readBlock(index: number, block: ContentBlock, reading: Reading): void {
  const { type, id, name, input: given } = block
  readBegun(reading)
  if (type?.endsWith('tool_use')) {
    reading.notes.tool = index
    reading.call(index, '', { id, name, given, executed: type !== 'tool_use' || undefined })
  } else if (type?.endsWith('tool_result')) reading.result(block.tool_use_id, block.content)
  else if (type === 'redacted_thinking') reading.redacted(block.data)
  else reading.notes.block = block
}

/**
 * Some gateways put a whole block, or its first piece, into the block's start event. The helper stream also fills the
 * block that it has handed out. So the text of the start event counts only if the block has no pieces, or other pieces.
 */
function readBegun(reading: Reading): void {
  const { text, thinking, signature } = (reading.notes.block ?? {}) as ContentBlock
  reading.notes.block = undefined
  reading.text(text)
  reading.reasoning(thinking)
  reading.signature(signature)
}

function readDelta(index: number, delta: NonNullable<MessagesEvent['delta']>, reading: Reading): void {
  const block = reading.notes.block as ContentBlock | undefined
  if (block) {
    // A block that the helper stream has filled begins with the piece that it was filled with.
    const piece = delta.text ?? delta.thinking
    if (piece && !(block.text || block.thinking)?.startsWith(piece)) readBegun(reading)
    reading.notes.block = undefined
  }
  switch (delta.type) {
    case 'text_delta':
      reading.text(delta.text)
      break
    case 'thinking_delta':
      reading.reasoning(delta.thinking)
      break
    case 'signature_delta':
      reading.signature(delta.signature)
      break
    case 'input_json_delta':
      // Some gateways send it under the index of another block.
      if (delta.partial_json)
        reading.call(
          reading.calls.isOpen(index) ? index : ((reading.notes.tool as number) ?? index),
          delta.partial_json,
        )
      break
    case 'citations_delta':
      reading.citation(delta.citation)
  }
}

/**
 * `input_tokens` excludes the tokens read from or written to the cache; on our common scale they are part of the input.
 * The counts are spread over several events, so the last of each is kept.
 */
export function readCounts(counts: MessagesUsage | null | undefined, reading: Reading): void {
  if (!counts) return
  const before = reading.notes.counts as MessagesUsage | undefined
  const given = Object.entries({ ...before, ...counts }).map(([name, count]) => [
    name,
    count || (before?.[name as 'input_tokens'] ?? count),
  ])
  const all = Object.fromEntries(given.filter(([, count]) => typeof count === 'number')) as MessagesUsage
  reading.notes.counts = all
  const { input_tokens: input, cache_read_input_tokens: read, cache_creation_input_tokens: written } = all
  reading.usage({
    inputTokens: typeof input === 'number' ? input + (read ?? 0) + (written ?? 0) : undefined,
    outputTokens: counts.output_tokens,
    cachedInputTokens: read,
    cacheWriteInputTokens: written,
    reasoningTokens: counts.output_tokens_details?.thinking_tokens,
  })
}
