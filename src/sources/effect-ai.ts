/**
 * What do the parts of Effect's `LanguageModel.streamText` say? Their types are the AI SDK's, but their fields differ.
 */
import { isObject } from '../errors.js'
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

  read(part: EffectPart, reading: Reading) {
    const { type, delta, name, providerExecuted } = part
    const id = typeof part.id === 'string' ? part.id : ''
    const head = { id, name, executed: providerExecuted || undefined }
    switch (type) {
      case 'response-metadata':
        reading.start(within(part.id), within(part.modelId))
        break
      case 'text-delta':
        reading.text(delta)
        break
      case 'reasoning-delta':
        reading.reasoning(delta)
        break
      case 'tool-params-start':
      case 'tool-params-delta':
        reading.call(id, delta, head)
        break
      case 'tool-params-end':
        reading.calls.done(id)
        break
      case 'tool-call':
        reading.calls.whole(id, part.params, head)
        break
      case 'tool-result':
        if (!part.preliminary) reading.result(id, part.encodedResult, name, part.isFailure)
        break
      case 'tool-approval-request':
        reading.calls.postpone(part.toolCallId, part.approvalId)
        break
      case 'source':
        if (part.sourceType === 'url') reading.citation({ url: String(part.url), title: part.title })
        break
      case 'error':
        reading.error(part.error)
        break
      case 'finish':
        reading.counts(part.usage)
        reading.end(part.reason)
    }
  },
}

function within(option: unknown): unknown {
  return isObject(option) ? (option as { value?: unknown }).value : option
}
