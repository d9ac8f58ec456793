import { isObject } from '../errors.js'
import {
  type ChunkShape,
  pushCall,
  pushData,
  pushFinish,
  pushReasoning,
  pushText,
  pushUsage,
  type Reading,
} from './reading.js'

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

const EVENT = /^(contentBlock(Delta|Start|Stop)|message(Start|Stop)|metadata)$/

/** AWS Bedrock's ConverseStream. The answer is complete at `messageStop`; the token counts come after it. */
export const bedrock: ChunkShape = {
  signalOnly: () => 'Bedrock',

  is(chunk) {
    const [key = '', ...more] = Object.keys(chunk)
    if (more.length > 0 || !EVENT.test(key)) return false
    const event: unknown = (chunk as Record<string, unknown>)[key]
    return isObject(event) && (key !== 'metadata' || 'usage' in event || 'metrics' in event)
  },

  read(event: ConverseEvent, reading: Reading) {
    const { messageStart, contentBlockStart: start, contentBlockDelta: piece, messageStop, metadata } = event
    if (messageStart) reading.proof = 'missing'
    if (piece?.delta) {
      const { text, reasoningContent, toolUse, citation } = piece.delta
      pushText(reading, text)
      pushReasoning(reading, reasoningContent?.text)
      if (toolUse?.input) pushCall(reading, piece.contentBlockIndex ?? 0, toolUse.input)
      if (citation) pushData(reading, 'citation', citation)
    }
    if (start?.start?.toolUse) {
      const { toolUseId: id, name } = start.start.toolUse
      pushCall(reading, start.contentBlockIndex ?? 0, '', id, name)
    }
    if (messageStop) {
      reading.proof = 'given'
      pushFinish(reading, messageStop.stopReason ?? '')
    }
    if (metadata?.usage) {
      const { inputTokens, outputTokens, totalTokens, cacheReadInputTokens } = metadata.usage
      pushUsage(reading, inputTokens, outputTokens, totalTokens, cacheReadInputTokens)
    }
  },
}
