/** What do the chunks of a Mastra agent's, network's or workflow's `fullStream` say? */
import { isObject } from '../errors.js'
import type { ChunkShape, Reading } from './reading.js'

interface Payload {
  text?: string
  toolCallId?: string
  toolName?: string
  argsTextDelta?: string
  args?: unknown
  result?: unknown
  isError?: boolean
  providerExecuted?: boolean
  signature?: string
  data?: unknown
  base64?: string
  mimeType?: string
  error?: unknown
  status?: string
  workflowStatus?: string
  usage?: Counts
  output?: { usage?: Counts } | null
  stepResult?: { reason?: string }
}

interface Counts {
  inputTokens?: number
  outputTokens?: number
  totalTokens?: number
  reasoningTokens?: number
  cachedInputTokens?: number
  cacheCreationInputTokens?: number
}

interface Chunk {
  type: string
  from: string
  payload: Payload
}

/**
 * Mastra. The answer is complete at the one `finish` after all steps, unless that says `error` or `interrupted`; it never
 * throws. Everything about a step (the request's body, the response's headers) stays here.
 */
export const mastra: ChunkShape = {
  hasResults: true,

  redact: false,

  signalOnly: () => 'Mastra',

  is(chunk) {
    const { from, payload } = chunk as Partial<Chunk>
    return typeof from === 'string' && 'runId' in chunk && isObject(payload)
  },

  isEarly: ({ type }: Chunk) => /^(start|step-start|workflow-start|workflow-step-start)$/.test(type),

  read({ type, payload }: Chunk, reading: Reading) {
    // A network tells what its agents say as events of its own.
    const inner = /^agent-execution-event-|^workflow-execution-event-/.test(type) ? payload : undefined
    if (inner && isObject((inner as { payload?: unknown }).payload)) {
      if (!/^(finish|workflow-finish)$/.test((inner as unknown as Chunk).type)) mastra.read(inner as never, reading)
      return
    }
    readChunk(type, payload, reading)
  },
}

function readChunk(type: string, payload: Payload, reading: Reading): void {
  const { toolCallId: id, toolName: name } = payload
  switch (type) {
    case 'step-start':
      reading.begin()
      break
    case 'text-delta':
    case 'routing-agent-text-delta':
      reading.text(payload.text)
      break
    case 'reasoning-delta':
      reading.reasoning(payload.text)
      break
    case 'reasoning-signature':
      reading.signature(payload.signature)
      break
    case 'redacted-reasoning':
      reading.redacted(payload.data)
      break
    case 'tool-call-input-streaming-start':
    case 'tool-call-delta':
      reading.call(id, payload.argsTextDelta ?? '', { id, name })
      break
    case 'tool-call':
      reading.calls.whole(id, payload.args ?? {}, { id, name, executed: payload.providerExecuted })
      break
    case 'tool-result':
    case 'tool-error':
    case 'tool-output-denied':
      if (id) reading.result(id, payload.result ?? null, name, type !== 'tool-result' || payload.isError)
      break
    case 'source':
      reading.citation(sourceOf(payload as Record<string, unknown>))
      break
    case 'file': {
      const { data, base64 } = payload
      reading.file(payload.mimeType, undefined, base64 ?? (typeof data === 'string' ? data : undefined))
      break
    }
    case 'error':
      reading.error(payload.error)
      break
    case 'abort':
    case 'workflow-canceled':
      reading.finish('cancelled')
      break
    case 'finish':
    case 'network-execution-event-finish':
    case 'workflow-finish':
      readEnd(type, payload, reading)
  }
}

function readEnd(type: string, payload: Payload, reading: Reading): void {
  reading.counts(payload.output?.usage ?? payload.usage)
  const word = type === 'finish' ? payload.stepResult?.reason : (payload.workflowStatus ?? 'stop')
  if (word === 'error' || word === 'failed') reading.error({ message: `The run of Mastra ended as ${word}` })
  else reading.end(word)
}

/** A source without what its provider told beside it. */
function sourceOf({ id, sourceType, url, title, mimeType, filename }: Record<string, unknown>): object {
  return { id, sourceType, url, title, mimeType, filename }
}
