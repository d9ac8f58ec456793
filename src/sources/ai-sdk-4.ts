/** What do the chunks of the AI SDK's version 4 say, and those of xsai, which are like them? */
import type { ChunkShape, Reading } from './reading.js'

interface StreamPart {
  type: string
  textDelta?: string
  /** Of xsai. */
  text?: string
  toolCallId?: string
  toolName?: string
  argsTextDelta?: string
  args?: unknown
  result?: unknown
  signature?: string
  data?: string
  source?: { url?: string; title?: string }
  base64?: string
  mimeType?: string
  finishReason?: string
  usage?: Record<string, unknown> | null
}

/** The full stream of `streamText`. The answer is complete at `finish`, but for a reason that nobody gave. */
export const aiSDK4: ChunkShape = {
  hasResults: true,

  is(chunk) {
    const { type, text, textDelta, argsTextDelta, finishReason, source } = chunk as Record<string, unknown>
    switch (type) {
      case 'text-delta':
      case 'reasoning-delta':
        return typeof textDelta === 'string' || (typeof text === 'string' && !('id' in chunk))
      case 'reasoning':
        return typeof textDelta === 'string'
      case 'tool-call-delta':
        return typeof argsTextDelta === 'string'
      case 'tool-call':
      case 'tool-result':
        return 'args' in chunk && 'toolCallId' in chunk
      case 'tool-call-streaming-start':
      case 'step-finish':
        return true
      case 'step-start':
        return 'request' in chunk
      case 'reasoning-signature':
      case 'redacted-reasoning':
        return true
      case 'source':
        return typeof source === 'object'
      case 'file':
        return 'base64' in chunk && 'mimeType' in chunk
      case 'finish':
        return typeof finishReason === 'string' && !('totalUsage' in chunk) && !('payload' in chunk)
      default:
        return false
    }
  },

  signalOnly: ({ type }: StreamPart) => (type === 'step-start' ? 'the AI SDK' : undefined),

  // Steps hold the request, with the prompt.
  redact: false,

  read(part: StreamPart, reading: Reading) {
    const { type, toolCallId, toolName: name } = part
    const { notes } = reading
    // Version 4 says when a step begins; xsai does not.
    if (type === 'step-start' || (notes.isAnswered && type !== 'tool-result' && type !== 'finish')) reading.begin()
    switch (type) {
      case 'text-delta':
        reading.text(part.textDelta ?? part.text)
        break
      case 'reasoning':
      case 'reasoning-delta':
        reading.reasoning(part.textDelta ?? part.text)
        break
      case 'reasoning-signature':
        reading.signature(part.signature)
        break
      case 'redacted-reasoning':
        reading.redacted(part.data)
        break
      case 'tool-call-streaming-start':
        notes.call = toolCallId
        reading.call(toolCallId, '', { id: toolCallId, name })
        break
      case 'tool-call-delta':
        // Without an id it is of the call that began last.
        reading.call(toolCallId ?? (notes.call as string | undefined), part.argsTextDelta)
        break
      case 'tool-call':
        reading.calls.whole(toolCallId, part.args, { id: toolCallId, name })
        break
      case 'tool-result':
        reading.result(toolCallId ?? '', part.result, name)
        reading.notes.isAnswered = true
        break
      case 'source':
        reading.citation(part.source && { url: part.source.url, title: part.source.title })
        break
      case 'file':
        reading.file(part.mimeType, undefined, part.base64)
        break
      case 'finish': {
        const { usage } = part
        const outputTokens = usage?.completionTokens ?? usage?.completion_tokens
        reading.usage({
          inputTokens: usage?.promptTokens ?? usage?.prompt_tokens,
          outputTokens,
          totalTokens: usage?.totalTokens ?? usage?.total_tokens,
        })
        // Of a cut answer xsai says no more than this.
        const isCut = part.finishReason === 'other' && !outputTokens
        reading.end(isCut ? 'unknown' : part.finishReason)
      }
    }
  },
}
