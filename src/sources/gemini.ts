import type { FinishReason } from '../types.js'
import { type ChunkShape, pushUsage, type Reading } from './reading.js'

interface GeminiChunk {
  candidates?: {
    index?: number
    content?: {
      parts?: {
        text?: string
        thought?: boolean
        functionCall?: { id?: string; name?: string; args?: unknown }
        inlineData?: { mimeType?: string; data?: string }
        fileData?: { mimeType?: string; fileUri?: string }
      }[]
    }
    finishReason?: string
    groundingMetadata?: unknown
    citationMetadata?: unknown
  }[]
  promptFeedback?: { blockReason?: string }
  usageMetadata?: {
    promptTokenCount?: number
    candidatesTokenCount?: number
    thoughtsTokenCount?: number
    totalTokenCount?: number
    cachedContentTokenCount?: number
  }
}

const FINISH: Record<string, FinishReason | null | undefined> = {
  __proto__: null,
  STOP: 'stop',
  MAX_TOKENS: 'length',
  SAFETY: 'content-filter',
  RECITATION: 'content-filter',
  BLOCKLIST: 'content-filter',
  PROHIBITED_CONTENT: 'content-filter',
  SPII: 'content-filter',
  IMAGE_SAFETY: 'content-filter',
}

/**
 * Google Gemini. The answer is complete at a `finishReason`, or where the prompt was blocked. The chunks of
 * `@google/genai` are class instances whose getters `text` and `data` warn on the console: only own fields are read.
 */
export const gemini: ChunkShape = {
  signalOnly: () => 'Gemini',

  is(chunk) {
    const { candidates, promptFeedback, usageMetadata } = chunk as GeminiChunk
    return (
      (Array.isArray(candidates) && candidates.every(isObject)) || isObject(promptFeedback) || isObject(usageMetadata)
    )
  },

  read({ candidates, promptFeedback, usageMetadata }: GeminiChunk, reading: Reading) {
    const { parts } = reading
    if (reading.proof !== 'given') reading.proof = 'missing'
    if (usageMetadata) {
      const { promptTokenCount, candidatesTokenCount, thoughtsTokenCount } = usageMetadata
      const outputs = [candidatesTokenCount, thoughtsTokenCount].filter((count) => typeof count === 'number')
      pushUsage(parts, {
        inputTokens: promptTokenCount,
        // Thoughts are counted beside the answer; on the common scale they are part of the output.
        outputTokens: outputs.length > 0 ? outputs.reduce((sum, count) => sum + count, 0) : undefined,
        totalTokens: usageMetadata.totalTokenCount,
        cachedInputTokens: usageMetadata.cachedContentTokenCount,
        reasoningTokens: thoughtsTokenCount,
      })
    }
    for (const { index = 0, content, finishReason, groundingMetadata, citationMetadata } of candidates ?? []) {
      if (index !== 0) continue
      for (const { text, thought, functionCall, inlineData, fileData } of content?.parts ?? []) {
        if (text) parts.push({ type: thought ? 'reasoning' : 'text', text })
        if (functionCall) {
          const { id, name, args = {} } = functionCall
          parts.push({
            type: 'tool-call',
            index: reading.calls++,
            ...(id && { id }),
            ...(name && { name }),
            input: JSON.stringify(args),
          })
        }
        const { mimeType: mediaType } = inlineData ?? fileData ?? {}
        const url = inlineData ? `data:${mediaType};base64,${inlineData.data}` : fileData?.fileUri
        if (url) parts.push({ type: 'data', name: 'file', data: { mediaType, url } })
      }
      for (const citation of [groundingMetadata, citationMetadata]) {
        if (citation) parts.push({ type: 'data', name: 'citation', data: citation })
      }
      if (finishReason) {
        const reason = FINISH[finishReason] ?? 'other'
        reading.proof = 'given'
        parts.push({ type: 'finish', reason: reason === 'stop' && reading.calls > 0 ? 'tool-calls' : reason })
      }
    }
    if (promptFeedback?.blockReason) {
      reading.proof = 'given'
      parts.push({ type: 'finish', reason: 'content-filter' })
    }
  },

  // The SDK hangs the response's headers on every chunk.
  bare({ sdkHttpResponse: _, ...chunk }: Record<string, unknown>) {
    return chunk
  },
}

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null
}
