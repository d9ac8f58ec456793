import type { FinishReason } from '../types.js'
import { type ChunkShape, pushUsage, type Reading } from './reading.js'

interface ConverseEvent {
  messageStart?: object
  contentBlockStart?: {
    contentBlockIndex?: number
    start?: { toolUse?: { toolUseId?: string; name?: string } }
  }
  contentBlockDelta?: {
    contentBlockIndex?: number
    delta?: {
      text?: string
      reasoningContent?: { text?: string }
      toolUse?: { input?: string }
      citation?: unknown
    }
  }
  contentBlockStop?: object
  messageStop?: { stopReason?: string }
  metadata?: {
    usage?: { inputTokens?: number; outputTokens?: number; totalTokens?: number; cacheReadInputTokens?: number }
  }
}

const EVENTS = ['contentBlockDelta', 'contentBlockStart', 'contentBlockStop', 'messageStart', 'messageStop', 'metadata']

const FINISH: Record<string, FinishReason | null | undefined> = {
  __proto__: null,
  end_turn: 'stop',
  stop_sequence: 'stop',
  max_tokens: 'length',
  model_context_window_exceeded: 'length',
  tool_use: 'tool-calls',
  content_filtered: 'content-filter',
  guardrail_intervened: 'content-filter',
  malformed_model_output: 'error',
  malformed_tool_use: 'error',
}

/** AWS Bedrock's ConverseStream. The answer is complete at `messageStop`; the token counts come after it. */
export const bedrock: ChunkShape = {
  signalOnly: () => 'Bedrock',

  is(chunk) {
    const [key = '', ...more] = Object.keys(chunk)
    if (more.length > 0 || !EVENTS.includes(key)) return false
    const event: unknown = (chunk as Record<string, unknown>)[key]
    if (typeof event !== 'object' || event === null) return false
    return key !== 'metadata' || 'usage' in event || 'metrics' in event
  },

  read(event: ConverseEvent, reading: Reading) {
    const { parts } = reading
    const { messageStart, contentBlockStart: start, contentBlockDelta: piece, messageStop, metadata } = event
    if (reading.proof !== 'given' || messageStart) reading.proof = 'missing'
    if (piece?.delta) {
      const { text, reasoningContent, toolUse, citation } = piece.delta
      if (text) parts.push({ type: 'text', text })
      if (reasoningContent?.text) parts.push({ type: 'reasoning', text: reasoningContent.text })
      if (toolUse?.input) parts.push({ type: 'tool-call', index: piece.contentBlockIndex ?? 0, input: toolUse.input })
      if (citation) parts.push({ type: 'data', name: 'citation', data: citation })
    }
    if (start?.start?.toolUse) {
      const { toolUseId: id, name } = start.start.toolUse
      parts.push({ type: 'tool-call', index: start.contentBlockIndex ?? 0, id, name, input: '' })
    }
    if (messageStop) {
      reading.proof = 'given'
      parts.push({ type: 'finish', reason: FINISH[messageStop.stopReason ?? ''] ?? 'other' })
    }
    if (metadata?.usage) {
      const { inputTokens, outputTokens, totalTokens, cacheReadInputTokens } = metadata.usage
      pushUsage(parts, { inputTokens, outputTokens, totalTokens, cachedInputTokens: cacheReadInputTokens })
    }
  },
}
