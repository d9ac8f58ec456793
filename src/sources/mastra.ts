/** What do the chunks of a Mastra agent's, network's or workflow's `fullStream` say? */
import { isObject } from '../errors.js'
import { readPart, type StreamPart } from './ai-sdk.js'
import type { ChunkShape, Reading } from './reading-state.js'

interface Payload extends StreamPart {
  status?: string
  workflowStatus?: string
  usage?: object
  output?: { usage?: object; type?: string } | null
  stepResult?: { reason?: string }
}

interface Chunk {
  type: string
  from: string
  payload: Payload
}

/**
 * Mastra. The answer is complete at the one `finish` after all steps, unless its reason is `error` or `interrupted`.
 * The stream never throws. Everything about a step (the request's body, the response's headers) stays on the server.
 */
export const mastra: ChunkShape = {
  hasResults: true,

  signalOnly: () => 'Mastra',

  is(chunk) {
    const { from, payload } = chunk as Partial<Chunk>
    return typeof from === 'string' && 'runId' in chunk && isObject(payload)
  },

  // The only chunk that may come without `from` and `runId`.
  follows: ({ type, payload }: Chunk) => type === 'tripwire' && isObject(payload),

  read({ type, payload }: Chunk, reading: Reading) {
    // Networks and workflows wrap what their agents say in their own events.
    const isNetwork = /^agent-execution-event-|^workflow-execution-event-/.test(type)
    const inner = isNetwork ? payload : type === 'workflow-step-output' ? payload.output : undefined
    if (!inner) readChunk(type, payload, reading)
    else if (mastra.is(inner) && !/^(finish|workflow-finish)$/.test(inner.type ?? ''))
      mastra.read(inner as never, reading)
  },
}

/** Most of Mastra's types are the AI SDK's. */
function readChunk(type: string, payload: Payload, reading: Reading): void {
  switch (type) {
    case 'step-start':
      reading.begin()
      break
    case 'tool-call-approval':
      // Mastra expects the answer under the id of the call.
      reading.wait(payload.toolCallId, payload.toolCallId)
      reading.end()
      break
    case 'tool-call-suspended':
      reading.wait(payload.toolCallId)
      reading.end()
      break
    case 'agent-execution-approval':
    case 'agent-execution-suspended':
    case 'tool-execution-approval':
    case 'tool-execution-suspended':
    case 'workflow-execution-suspended':
      reading.wait()
      reading.end()
      break
    case 'tripwire':
      reading.end(type)
      break
    case 'routing-agent-text-start':
      reading.paragraph('text')
      break
    case 'routing-agent-text-delta':
      reading.text(payload.text)
      break
    case 'source':
      reading.citation(sourceOf(payload as unknown as Record<string, unknown>))
      break
    case 'file':
      reading.file(
        payload.mimeType,
        undefined,
        payload.base64 ?? (typeof payload.data === 'string' ? payload.data : undefined),
      )
      break
    case 'abort':
    case 'workflow-canceled':
      reading.finish('cancelled')
      break
    case 'finish':
    case 'network-execution-event-finish':
    case 'workflow-finish':
      readEnd(type, payload, reading)
      break
    default:
      if (payload.toolCallId || !type.startsWith('tool-')) readPart({ ...payload, type }, reading)
  }
}

function readEnd(type: string, payload: Payload, reading: Reading): void {
  reading.counts(payload.output?.usage ?? payload.usage)
  const word = type === 'finish' ? payload.stepResult?.reason : (payload.workflowStatus ?? 'stop')
  if (word === 'error' || word === 'failed') reading.error({ message: `The run of Mastra ended as ${word}` })
  else reading.end(word)
}

/** The source, without what its provider added. */
function sourceOf({ id, sourceType, url, title, mimeType, filename }: Record<string, unknown>): object {
  return { id, sourceType, url, title, mimeType, filename }
}
