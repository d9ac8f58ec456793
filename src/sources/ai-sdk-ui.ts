/** What do the chunks of the AI SDK's UI message stream say, as its servers and `uiMessage()` send them? */
import { asideOf, readPart, readSource, type StreamPart } from './ai-sdk.js'
import type { ChunkShape, Reading } from './reading-state.js'
import { emptied, withoutRequest } from './redact.js'

interface UIChunk extends StreamPart {
  transient?: boolean
  messageMetadata?: { usage?: object; totalUsage?: object; totalTokens?: number }
  /** In the stream of a model alone, whose other parts are the same. */
  usage?: object
}

/** The AI SDK's UI message stream. The answer is complete at `finish`. */
export const aiSDKUI: ChunkShape = {
  hasResults: true,

  showsResults: true,

  aside: asideOf,

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

  // What tools answered and the words of their failures stay on the server.
  redact: (chunk: UIChunk) => emptied(withoutRequest(chunk), { output: null, errorText: 'The tool failed.' }),

  read(chunk: UIChunk, reading: Reading) {
    const { type, id, transient, data, messageMetadata: told } = chunk
    // The metadata is the application's own. These are the names that the AI SDK's guides use.
    if (told) reading.counts(told.usage ?? told.totalUsage ?? { totalTokens: told.totalTokens })
    if (type === 'finish') {
      reading.counts(chunk.usage)
      reading.end(chunk.finishReason)
    } else if (type === 'source-url' || type === 'source-document') readSource(chunk, reading)
    else if (type.startsWith('data-'))
      reading.data(type.slice(5), data, { ...(id !== undefined && { id }), ...(transient && { transient }) })
    else readPart(chunk, reading)
  },
}
