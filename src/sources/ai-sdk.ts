import type { FinishReason, Part } from '../types.js'
import { type ChunkShape, pushUsage, type Reading } from './reading.js'

/** Token counts as the AI SDK has them. */
export interface Counts {
  inputTokens?: number
  outputTokens?: number
  totalTokens?: number
  inputTokenDetails?: { cacheReadTokens?: number }
  outputTokenDetails?: { reasoningTokens?: number }
  /** Until version 6, and of `uiMessage()`. */
  cachedInputTokens?: number
  reasoningTokens?: number
}

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
  totalUsage?: Counts
}

/** The part types that no other shape has. Most of them say nothing to a client. */
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
  'reasoning-file',
  'tool-input-start',
  'tool-input-delta',
  'tool-input-end',
  'tool-result',
  'tool-error',
  'tool-output-denied',
  'tool-approval-request',
  'tool-approval-response',
  'steering-message',
  'ping',
  'abort',
  'raw',
])

export const FINISH: Record<string, FinishReason | null | undefined> = {
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
  // The UI message stream, the body of a response, shares other types with it, and is stopped like one.
  signalOnly: ({ text, totalUsage }: StreamPart) => (text !== undefined || totalUsage ? 'the AI SDK' : undefined),

  // They come before the provider was asked: a refusal is still to be a status.
  isEarly: ({ type }: StreamPart) => type === 'start' || type === 'start-step',

  is(chunk) {
    const { type, finishReason, toolCallId, sourceType, file, kind } = chunk as Record<string, unknown>
    switch (type) {
      case 'finish':
        return finishReason !== undefined
      case 'tool-call':
        return toolCallId !== undefined
      case 'source':
        return sourceType !== undefined
      case 'file':
        return file !== undefined
      case 'custom':
        return typeof kind === 'string'
      default:
        return typeof type === 'string' && TYPES.has(type)
    }
  },

  read(part: StreamPart, reading: Reading) {
    const { parts } = reading
    const { type, id = '', toolCallId = id, toolName: name } = part
    if (reading.proof !== 'given' || type === 'start') reading.proof = 'missing'
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
        if (part.delta && reading.ids?.has(id)) {
          parts.push({ type: 'tool-call', index: callOf(id, reading), input: part.delta })
        }
        break
      case 'tool-call':
        // Whole, after its pieces; or alone, from a provider that does not stream them.
        if (!part.providerExecuted && !reading.ids?.has(toolCallId)) {
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
        const { finishReason = '', totalUsage } = part
        pushCounts(parts, totalUsage)
        if (finishReason === 'interrupted') break
        reading.proof = 'given'
        parts.push({ type: 'finish', reason: FINISH[finishReason] ?? 'other' })
      }
    }
  },

  // Steps carry the request's body and the response's headers, and the error of a tool's own call may carry both.
  bare({ request: _, response: __, rawValue: ___, error: ____, ...part }: Record<string, unknown>) {
    return part
  },
}

/** The index of the call with this id: the order in which the ids were met. */
export function callOf(id: string, reading: Reading): number {
  reading.ids ??= new Map()
  const index = reading.ids.get(id) ?? reading.ids.size
  reading.ids.set(id, index)
  return index
}

export function pushCounts(parts: Part[], counts: Counts | undefined): void {
  if (!counts) return
  pushUsage(parts, {
    inputTokens: counts.inputTokens,
    outputTokens: counts.outputTokens,
    totalTokens: counts.totalTokens,
    cachedInputTokens: counts.inputTokenDetails?.cacheReadTokens ?? counts.cachedInputTokens,
    reasoningTokens: counts.outputTokenDetails?.reasoningTokens ?? counts.reasoningTokens,
  })
}
