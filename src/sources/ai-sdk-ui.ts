import { RelayError } from '../errors.js'
import { type Counts, callOf, pushEnd, pushWholeCall } from './ai-sdk.js'
import { type ChunkShape, pushCall, pushData, pushError, pushReasoning, pushText, type Reading } from './reading.js'

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
      case 'abort':
        return true
      case 'error':
        return typeof errorText === 'string'
      case 'finish':
        return reason === undefined && totalUsage === undefined
      default:
        return typeof type === 'string' && type.startsWith('data-') && data !== undefined
    }
  },

  read(chunk: UIChunk, reading: Reading) {
    const { type, toolCallId = '', toolName: name, url } = chunk
    switch (type) {
      case 'text-delta':
        pushText(reading, chunk.delta)
        break
      case 'reasoning-delta':
        pushReasoning(reading, chunk.delta)
        break
      case 'tool-input-start':
        pushCall(reading, callOf(toolCallId, reading), '', toolCallId, name)
        break
      case 'tool-input-delta':
        pushCall(reading, callOf(toolCallId, reading), chunk.inputTextDelta ?? '')
        break
      case 'tool-input-available':
        pushWholeCall(reading, toolCallId, name, chunk.input)
        break
      case 'source-url':
        pushData(reading, 'citation', { url, title: chunk.title })
        break
      case 'file':
        pushData(reading, 'file', { url, mediaType: chunk.mediaType })
        break
      case 'error':
        pushError(reading, chunk.errorText)
        break
      case 'abort':
        reading.parts.push({
          type: 'error',
          error: new RelayError('truncated', 'The upstream was aborted', { retryable: true }),
        })
        break
      case 'finish':
        pushEnd(reading, chunk.messageMetadata?.usage, chunk.finishReason || undefined)
        break
      default:
        if (type.startsWith('data-')) pushData(reading, type.slice(5), chunk.data)
    }
  },
}
