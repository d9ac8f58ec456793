/**
 * What do the parts of Effect's `LanguageModel.streamText` say? Their types are the AI SDK's, but their fields differ.
 */
import { isObject } from '../errors.js'
import { readPart, type StreamPart } from './ai-sdk.js'
import { hasKey } from './keys.js'
import type { ChunkShape, Reading } from './reading-state.js'

interface EffectPart {
  type: string
  /** In version 3 the ids of the answer and of its model are Options. */
  id?: unknown
  modelId?: unknown
  toolCallId?: string
  approvalId?: string
  preliminary?: boolean
  delta?: string
  name?: string
  params?: unknown
  providerExecuted?: boolean
  encodedResult?: unknown
  isFailure?: boolean
  sourceType?: string
  url?: unknown
  title?: string
  reason?: string
  usage?: object
  error?: unknown
}

/** The answer is complete at `finish`. Effect runs the tools itself, unless it was told not to. */
export const effectAI: ChunkShape = {
  hasResults: true,

  // Every part has one of these keys, whatever its type: in version 3 or in version 4.
  is: (chunk) => hasKey(chunk, '~effect/ai/Content/Part', '~effect/ai/Response/Part'),

  // The other parts are the AI SDK's, but for the names of their fields.
  read(part: EffectPart, reading: Reading) {
    const { type, name: toolName, params: input, encodedResult: output, isFailure: isError } = part
    const id = typeof part.id === 'string' ? part.id : ''
    if (type === 'response-metadata') reading.start(within(part.id), within(part.modelId))
    else if (type === 'tool-params-end') reading.calls.done(id)
    else if (type === 'source') {
      if (part.sourceType === 'url') reading.citation({ url: String(part.url), title: part.title })
    } else if (type === 'finish') {
      reading.counts(part.usage)
      reading.end(part.reason)
    } else
      readPart(
        { ...(part as StreamPart), id, type: type.replace('params', 'input'), toolName, input, output, isError },
        reading,
      )
  },
}

function within(option: unknown): unknown {
  return isObject(option) ? (option as { value?: unknown }).value : option
}
