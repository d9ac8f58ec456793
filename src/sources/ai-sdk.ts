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

/** The part types that no other shape has, but for the pieces. Most of them say nothing to a client. */
const TYPE =
  /^((text|reasoning|tool-input)-(start|end)|start|(start|finish)-step|reasoning-file|tool-(result|error|output-denied|approval-re(quest|sponse))|steering-message|ping|abort|raw)$/

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
      case 'text-delta':
      case 'reasoning-delta':
      case 'tool-input-delta':
        return true
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
        return typeof type === 'string' && TYPE.test(type)
    }
  },

  read(part: StreamPart, reading: Reading) {
    const { type, id = '', toolCallId = id, toolName: name } = part
    if (type === 'start') reading.proof = 'missing'
    switch (type) {
      case 'text-delta':
        pushText(reading, part.text)
        break
      case 'reasoning-delta':
        pushReasoning(reading, part.text)
        break
      case 'tool-input-start':
        if (!part.providerExecuted) pushCall(reading, callOf(id, reading), '', id, name)
        break
      case 'tool-input-delta':
        if (part.delta && reading.ids?.has(id)) pushCall(reading, callOf(id, reading), part.delta)
        break
      case 'tool-call':
        if (!part.providerExecuted) pushWholeCall(reading, toolCallId, name, part.input)
        break
      case 'source':
        pushData(reading, 'citation', { url: part.url, title: part.title })
        break
      case 'file': {
        const { mediaType = 'application/octet-stream', base64 } = part.file ?? {}
        pushData(reading, 'file', { mediaType, url: `data:${mediaType};base64,${base64}` })
        break
      }
      case 'finish':
        pushEnd(reading, part.totalUsage, part.finishReason)
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

/** A call that comes whole: after its pieces, or alone, from a provider that does not stream them. */
export function pushWholeCall(reading: Reading, id: string, name: string | undefined, input: unknown): void {
  if (!reading.ids?.has(id)) pushCall(reading, callOf(id, reading), JSON.stringify(input ?? {}), id, name)
}

/** The counts, and the end, if it is one. */
export function pushEnd(reading: Reading, counts: Counts | undefined, reason: string | undefined): void {
  pushUsage(
    reading,
    counts?.inputTokens,
    counts?.outputTokens,
    counts?.totalTokens,
    counts?.inputTokenDetails?.cacheReadTokens ?? counts?.cachedInputTokens,
    counts?.outputTokenDetails?.reasoningTokens ?? counts?.reasoningTokens,
  )
  if (reason === 'interrupted') return
  reading.proof = 'given'
  if (reason !== undefined) pushFinish(reading, reason)
}
