/** What do the chunks of the AI SDK's version 4 say, and those of xsai, which are like them? */
import { readPart, type StreamPart } from './ai-sdk.js'
import type { ChunkShape, Reading } from './reading-state.js'

interface OldPart extends StreamPart {
  source?: { url?: string; title?: string }
  usage?: object | null
}

/** The full stream of `streamText`. The answer is complete at `finish`, unless the finish reason is `unknown`. */
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

  signalOnly: ({ type }: OldPart) => (type === 'step-start' ? 'the AI SDK' : undefined),

  read(part: OldPart, reading: Reading) {
    const { type, source, usage, finishReason } = part
    // Version 4 announces each step. xsai does not, and it repeats a call before the tool answers.
    const isNext = reading.notes.isAnswered && !/^(tool-result|finish)$/.test(type)
    if (type === 'step-start' || (isNext && !reading.calls.has(part.toolCallId))) reading.begin()
    if (type === 'source') reading.citation(source && { url: source.url, title: source.title })
    else if (type === 'finish') {
      reading.counts(usage)
      // When an answer is cut, xsai sends only `other` and the counts of the previous step.
      const isCut = finishReason === 'other' && !(usage && 'promptTokens' in usage)
      reading.end(isCut ? 'unknown' : finishReason)
    } else readPart(part, reading)
    if (type === 'tool-result') reading.notes.isAnswered = true
  },
}
