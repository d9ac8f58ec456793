import type { FinishReason } from '../types.js'
import { type ChunkShape, numbers, type Reading } from './reading.js'

interface StreamPart {
  type: string
  id?: string
  text?: string
  delta?: string
  toolName?: string
  toolCallId?: string
  providerExecuted?: boolean
  input?: unknown
  url?: string
  title?: string
  file?: { mediaType?: string; base64?: string }
  finishReason?: string
  totalUsage?: {
    inputTokens?: number
    outputTokens?: number
    totalTokens?: number
    inputTokenDetails?: { cacheReadTokens?: number }
    outputTokenDetails?: { reasoningTokens?: number }
    /** Until version 6. */
    cachedInputTokens?: number
    reasoningTokens?: number
  }
  error?: unknown
}

/** The part types that no other shape has, and how those that others have are told apart. */
const TYPES = new Set([
  'start',
  'start-step',
  'finish-step',
  'text-start',
  'text-delta',
  'text-end',
  'reasoning-start',
  'reasoning-delta',
  'reasoning-end',
  'tool-input-start',
  'tool-input-delta',
  'tool-input-end',
  'tool-result',
  'tool-error',
  'abort',
  'raw',
])

const FINISH: Record<string, FinishReason | null | undefined> = {
  __proto__: null,
  stop: 'stop',
  length: 'length',
  'tool-calls': 'tool-calls',
  'content-filter': 'content-filter',
  error: 'error',
}

/**
 * The full stream of the AI SDK's `streamText`. The answer is complete at `finish`, but for the reason
 * `interrupted`. What its tools returned stays on the server.
 */
export const aiSDK: ChunkShape = {
  signalOnly: 'AI SDK',

  is(chunk) {
    const { type, finishReason, toolCallId, sourceType, file } = chunk as Record<string, unknown>
    switch (type) {
      case 'finish':
        return finishReason !== undefined
      case 'tool-call':
        return toolCallId !== undefined
      case 'source':
        return sourceType !== undefined
      case 'file':
        return file !== undefined
      default:
        return typeof type === 'string' && TYPES.has(type)
    }
  },

  read(part: StreamPart, reading: Reading) {
    const { parts } = reading
    const { type, id = '', toolCallId = id, toolName: name } = part
    if (reading.proof !== 'given') reading.proof = 'missing'
    switch (type) {
      case 'text-delta':
        if (part.text) parts.push({ type: 'text', text: part.text })
        break
      case 'reasoning-delta':
        if (part.text) parts.push({ type: 'reasoning', text: part.text })
        break
      case 'tool-input-start':
        if (!part.providerExecuted) parts.push({ type: 'tool-call', index: callOf(id, reading), id, name, input: '' })
        break
      case 'tool-input-delta':
        if (part.delta && reading.ids?.includes(id)) {
          parts.push({ type: 'tool-call', index: callOf(id, reading), input: part.delta })
        }
        break
      case 'tool-call':
        // Whole, after its pieces; or alone, from a provider that does not stream them.
        if (!part.providerExecuted && !reading.ids?.includes(toolCallId)) {
          const index = callOf(toolCallId, reading)
          parts.push({ type: 'tool-call', index, id: toolCallId, name, input: JSON.stringify(part.input ?? {}) })
        }
        break
      case 'source':
        parts.push({ type: 'data', name: 'citation', data: { url: part.url, title: part.title } })
        break
      case 'file': {
        const { mediaType = 'application/octet-stream', base64 } = part.file ?? {}
        parts.push({ type: 'data', name: 'file', data: { mediaType, url: `data:${mediaType};base64,${base64}` } })
        break
      }
      case 'finish': {
        const { finishReason = '', totalUsage: usage } = part
        if (usage) {
          parts.push({
            type: 'usage',
            usage: numbers({
              inputTokens: usage.inputTokens,
              outputTokens: usage.outputTokens,
              totalTokens: usage.totalTokens,
              cachedInputTokens: usage.inputTokenDetails?.cacheReadTokens ?? usage.cachedInputTokens,
              reasoningTokens: usage.outputTokenDetails?.reasoningTokens ?? usage.reasoningTokens,
            }),
          })
        }
        if (finishReason === 'interrupted') break
        reading.proof = 'given'
        parts.push({ type: 'finish', reason: FINISH[finishReason] ?? 'other' })
      }
    }
  },

  // Steps carry the request's body and the response's headers.
  bare({ request: _, response: __, rawValue: ___, ...part }: Record<string, unknown>) {
    return part
  },
}

/** The index of the call with this id: the order in which the ids were met. */
function callOf(id: string, reading: Reading): number {
  reading.ids ??= []
  const known = reading.ids.indexOf(id)
  return known === -1 ? reading.ids.push(id) - 1 : known
}
