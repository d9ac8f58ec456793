/** What do the events of AWS Bedrock's ConverseStream say? */
import { isObject } from '../errors.js'
import { hasKey } from './keys.js'
import type { ChunkShape, Reading } from './reading-state.js'
import { emptied } from './redact.js'

interface ConverseEvent {
  /** Strands agents in Python wrap the model's events in this field. */
  event?: ConverseEvent
  messageStart?: object
  contentBlockStart?: {
    contentBlockIndex?: number
    start?: {
      toolUse?: { toolUseId?: string; name?: string; type?: string }
      toolResult?: object
      image?: { format?: string }
    }
  }
  contentBlockDelta?: {
    contentBlockIndex?: number
    delta?: {
      text?: string
      reasoningContent?: { text?: string; signature?: string; redactedContent?: Uint8Array }
      toolUse?: { input?: string }
      citation?: unknown
      image?: { source?: { bytes?: Uint8Array } }
      toolResult?: unknown
    }
  }
  contentBlockStop?: { contentBlockIndex?: number }
  messageStop?: { stopReason?: string }
  metadata?: {
    usage?: {
      inputTokens?: number
      outputTokens?: number
      totalTokens?: number
      cacheReadInputTokens?: number
      cacheWriteInputTokens?: number
    }
  }
}

const EVENT = /^(contentBlock(Delta|Start|Stop)|message(Start|Stop)|metadata)$/

/** AWS Bedrock's ConverseStream. The answer is complete at `messageStop`; the token counts come after it. */
export const bedrock: ChunkShape = {
  signalOnly: () => 'Bedrock',

  is(chunk) {
    const [key = '', ...more] = Object.keys(chunk)
    const event: unknown = (chunk as Record<string, unknown>)[key]
    if (more.length > 0) return false
    if (key === 'event' && isObject(event)) return bedrock.is(event)
    if (!EVENT.test(key)) return false
    return isObject(event) && (key !== 'metadata' || hasKey(event, 'usage', 'metrics'))
  },

  // What Bedrock's own tools answered stays here, and so does the trace of a guardrail, which holds the prompt.
  redact({ event: inner, ...outer }: ConverseEvent) {
    const event = inner ?? outer
    const { contentBlockStart: start, contentBlockDelta: piece, metadata } = event
    if (metadata) return { metadata: emptied(metadata, { trace: undefined }) }
    const answered = start?.start?.toolResult
    if (answered)
      return { contentBlockStart: { ...start, start: { toolResult: emptied(answered, { content: undefined }) } } }
    return piece?.delta?.toolResult ? { contentBlockDelta: { ...piece, delta: { toolResult: [] } } } : event
  },

  read({ event: inner, ...outer }: ConverseEvent, reading: Reading) {
    const event = inner ?? outer
    const { messageStart, contentBlockStart: start, contentBlockDelta: piece, contentBlockStop, messageStop } = event
    if (messageStart) reading.begin()
    const tool = start?.start?.toolUse
    if (tool)
      reading.call(start.contentBlockIndex ?? 0, '', {
        id: tool.toolUseId,
        name: tool.name,
        executed: tool.type === 'server_tool_use',
      })
    if (start?.start?.image) reading.notes.format = start.start.image.format
    if (piece?.delta) {
      const { text, reasoningContent, toolUse, citation, image } = piece.delta
      reading.text(text)
      reading.reasoning(reasoningContent?.text)
      reading.signature(reasoningContent?.signature)
      reading.redacted(toBase64(reasoningContent?.redactedContent))
      reading.image(toBase64(image?.source?.bytes), reading.notes.format)
      if (toolUse?.input) reading.call(piece.contentBlockIndex ?? 0, toolUse.input)
      reading.citation(citation)
    }
    if (contentBlockStop) reading.calls.done(contentBlockStop.contentBlockIndex ?? 0)
    if (messageStop) reading.end(messageStop.stopReason)
    reading.counts(event.metadata?.usage)
  },
}

function toBase64(bytes?: Uint8Array): string {
  return bytes ? btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join('')) : ''
}
