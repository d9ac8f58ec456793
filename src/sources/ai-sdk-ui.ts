import { RelayError } from '../errors.js'
import { type Counts, callOf, FINISH, pushCounts } from './ai-sdk.js'
import { type ChunkShape, providerError, type Reading } from './reading.js'

interface UIChunk {
  type: string
  delta?: string
  toolCallId?: string
  toolName?: string
  inputTextDelta?: string
  input?: unknown
  url?: string
  title?: string
  mediaType?: string
  data?: unknown
  errorText?: string
  finishReason?: string
  messageMetadata?: { usage?: Counts }
}

/**
 * The AI SDK's UI message stream, as its servers and `uiMessage()` send it. It says that it is complete with `finish`.
 */
export const aiSDKUI: ChunkShape = {
  is(chunk) {
    const { type, delta, toolCallId, toolName, inputTextDelta, input, url, errorText, reason, totalUsage, data } =
      chunk as Record<string, unknown>
    switch (type) {
      case 'text-delta':
      case 'reasoning-delta':
        return typeof delta === 'string'
      case 'tool-input-start':
        return toolCallId !== undefined && toolName !== undefined
      case 'tool-input-delta':
        return typeof inputTextDelta === 'string'
      case 'tool-input-available':
      case 'tool-input-error':
        return toolCallId !== undefined && input !== undefined
      case 'tool-output-available':
      case 'tool-output-error':
        return toolCallId !== undefined
      case 'source-url':
      case 'file':
        return typeof url === 'string'
      case 'source-document':
      case 'message-metadata':
      case 'reset-step':
        return true
      case 'error':
        return typeof errorText === 'string'
      case 'finish':
        return reason === undefined && totalUsage === undefined
      case 'abort':
        return true
      default:
        return typeof type === 'string' && type.startsWith('data-') && data !== undefined
    }
  },

  read(chunk: UIChunk, reading: Reading) {
    const { parts } = reading
    const { type, toolCallId = '', toolName: name, url } = chunk
    if (reading.proof !== 'given') reading.proof = 'missing'
    switch (type) {
      case 'text-delta':
        if (chunk.delta) parts.push({ type: 'text', text: chunk.delta })
        break
      case 'reasoning-delta':
        if (chunk.delta) parts.push({ type: 'reasoning', text: chunk.delta })
        break
      case 'tool-input-start':
        parts.push({ type: 'tool-call', index: callOf(toolCallId, reading), id: toolCallId, name, input: '' })
        break
      case 'tool-input-delta':
        parts.push({ type: 'tool-call', index: callOf(toolCallId, reading), input: chunk.inputTextDelta ?? '' })
        break
      case 'tool-input-available':
        if (!reading.ids?.has(toolCallId)) {
          const index = callOf(toolCallId, reading)
          parts.push({ type: 'tool-call', index, id: toolCallId, name, input: JSON.stringify(chunk.input ?? {}) })
        }
        break
      case 'source-url':
        parts.push({ type: 'data', name: 'citation', data: { url, title: chunk.title } })
        break
      case 'file':
        parts.push({ type: 'data', name: 'file', data: { url, mediaType: chunk.mediaType } })
        break
      case 'error':
        parts.push({ type: 'error', error: providerError({ message: chunk.errorText }) })
        break
      case 'abort':
        parts.push({
          type: 'error',
          error: new RelayError('truncated', 'The upstream was aborted', { retryable: true }),
        })
        break
      case 'finish': {
        const { finishReason, messageMetadata } = chunk
        pushCounts(parts, messageMetadata?.usage)
        if (finishReason === 'interrupted') break
        reading.proof = 'given'
        if (finishReason) parts.push({ type: 'finish', reason: FINISH[finishReason] ?? 'other' })
        break
      }
      default:
        if (type.startsWith('data-')) parts.push({ type: 'data', name: type.slice(5), data: chunk.data })
    }
  },
}
