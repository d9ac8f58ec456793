import { isObject } from '../errors.js'
import {
  type ChunkShape,
  pushCall,
  pushData,
  pushFinish,
  pushReasoning,
  pushText,
  pushUsage,
  type Reading,
} from './reading.js'

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
    if (usageMetadata) {
      const { promptTokenCount, candidatesTokenCount, thoughtsTokenCount } = usageMetadata
      const outputs = [candidatesTokenCount, thoughtsTokenCount].filter((count) => typeof count === 'number')
      pushUsage(
        reading,
        promptTokenCount,
        // Thoughts are counted beside the answer; on the common scale they are part of the output.
        outputs.length > 0 ? outputs.reduce((sum, count) => sum + count) : undefined,
        usageMetadata.totalTokenCount,
        usageMetadata.cachedContentTokenCount,
        thoughtsTokenCount,
      )
    }
    for (const { index = 0, content, finishReason, groundingMetadata, citationMetadata } of candidates ?? []) {
      if (index !== 0) continue
      for (const { text, thought, functionCall, inlineData, fileData } of content?.parts ?? []) {
        if (thought) pushReasoning(reading, text)
        else pushText(reading, text)
        if (functionCall) {
          const { id, name, args = {} } = functionCall
          pushCall(reading, reading.calls++, JSON.stringify(args), id || undefined, name || undefined)
        }
        const { mimeType: mediaType } = inlineData ?? fileData ?? {}
        const url = inlineData ? `data:${mediaType};base64,${inlineData.data}` : fileData?.fileUri
        if (url) pushData(reading, 'file', { mediaType, url })
      }
      for (const citation of [groundingMetadata, citationMetadata]) {
        if (citation) pushData(reading, 'citation', citation)
      }
      if (finishReason) {
        reading.proof = 'given'
        pushFinish(reading, finishReason === 'STOP' && reading.calls > 0 ? 'tool-calls' : finishReason)
      }
    }
    if (promptFeedback?.blockReason) {
      reading.proof = 'given'
      pushFinish(reading, 'content-filter')
    }
  },

  // The SDK hangs the response's headers on every chunk.
  bare({ sdkHttpResponse: _, ...chunk }: Record<string, unknown>) {
    return chunk
  },
}
