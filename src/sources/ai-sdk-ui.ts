/** The AI SDK's UI message stream, as its servers and `uiMessage()` send it. */
import { type Counts, readEnd, readSource } from './ai-sdk.js'
import { type ChunkShape, emptied, type Reading, withoutRequest } from './reading.js'

interface UIChunk {
  type: string
  id?: string
  delta?: string
  toolCallId?: string
  toolName?: string
  providerExecuted?: boolean
  preliminary?: boolean
  inputTextDelta?: string
  input?: unknown
  output?: unknown
  url?: string
  title?: string
  mediaType?: string
  filename?: string
  data?: unknown
  transient?: boolean
  errorText?: string
  finishReason?: string
  messageMetadata?: { usage?: Counts }
}

/** It says that it is complete with `finish`. */
export const aiSDKUI: ChunkShape = {
  hasResults: true,

  showsResults: true,

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
      case 'abort':
        return !('payload' in chunk)
      case 'error':
        return typeof errorText === 'string'
      case 'finish':
        return reason === undefined && totalUsage === undefined && !('payload' in chunk)
      default:
        return typeof type === 'string' && type.startsWith('data-') && data !== undefined
    }
  },

  // What tools answered, and the words of their failures.
  redact: (chunk: UIChunk) => emptied(withoutRequest(chunk), { output: null, errorText: 'The tool failed.' }),

  read(chunk: UIChunk, reading: Reading) {
    const { type, toolCallId = '', toolName: name, url, providerExecuted: executed } = chunk
    const head = { id: toolCallId, name, executed }
    switch (type) {
      case 'text-delta':
        reading.text(chunk.delta)
        break
      case 'reasoning-delta':
        reading.reasoning(chunk.delta)
        break
      case 'tool-input-start':
        reading.call(toolCallId, '', head)
        break
      case 'tool-input-delta':
        reading.call(toolCallId, chunk.inputTextDelta)
        break
      case 'tool-input-available':
        reading.calls.whole(toolCallId, chunk.input, head)
        break
      case 'tool-input-error':
        reading.reject(toolCallId, head, chunk.input)
        break
      case 'tool-output-available':
        if (!chunk.preliminary) reading.result(toolCallId, chunk.output)
        break
      case 'tool-output-error':
        reading.result(toolCallId, null, undefined, true)
        break
      case 'source-url':
      case 'source-document':
        readSource(chunk, reading)
        break
      case 'file':
        reading.file(chunk.mediaType, url)
        break
      case 'error':
        reading.error(chunk.errorText)
        break
      case 'abort':
        reading.cut('The upstream was aborted')
        break
      case 'finish':
        readEnd(reading, chunk.messageMetadata?.usage, chunk.finishReason)
        break
      default: {
        const { id, transient } = chunk
        if (type.startsWith('data-')) {
          reading.data(type.slice(5), chunk.data, { ...(id !== undefined && { id }), ...(transient && { transient }) })
        }
      }
    }
  },
}
