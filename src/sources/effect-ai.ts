/** What do the parts of Effect's `LanguageModel.streamText` say? Their types are the AI SDK's, and their fields others. */
import { isObject } from '../errors.js'
import { hasKey } from './keys.js'
import type { ChunkShape, Reading } from './reading-state.js'

interface EffectPart {
  type: string
  /** What the answer and its model are called is an Option in version 3. */
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

/** The stream is complete at `finish`. Its tools are run by it, unless it was told not to. */
export const effectAI: ChunkShape = {
  hasResults: true,

  // Each part has one, whatever its type: of the versions 3 and 4.
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
