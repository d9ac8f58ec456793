/** What do the events of Strands Agents say? */
import type { ChunkShape, Reading } from './reading-state.js'

interface ModelEvent {
  type: string
  start?: { type?: string; toolUseId?: string; name?: string }
  delta?: { type?: string; text?: string; signature?: string; input?: string }
  stopReason?: string
  usage?: Record<string, number>
}

interface StrandsEvent extends ModelEvent {
  /** In an agent's events: what its model said. */
  event?: ModelEvent
  /** In the events of a graph or a swarm: what a node's agent said. */
  inner?: { event?: StrandsEvent }
  nodeId?: string
  /** After a tool was called: its result. */
  result?: { toolUseId?: string; status?: string; content?: unknown; error?: unknown }
}

const MODEL = /^model(Message|ContentBlock|Metadata|Redaction)\w*Event$/

/**
 * The stream of an agent or of a model alone. An answer is complete when the model stops. An agent's other events hold
 * prompts, errors and what its tools answered.
 */
export const strands: ChunkShape = {
  hasResults: true,

  is(chunk) {
    const { type, event } = chunk as Record<string, unknown>
    if (typeof type !== 'string' || !type.endsWith('Event')) return false
    return (
      MODEL.test(type) ||
      'agent' in chunk ||
      'invocationState' in chunk ||
      (type === 'modelStreamUpdateEvent' && event !== undefined)
    )
  },

  signalOnly: () => 'Strands Agents',

  read(chunk: StrandsEvent, reading: Reading) {
    const { type, result, inner } = chunk
    readEvent(chunk, reading)
    if (type === 'nodeStreamUpdateEvent' && inner?.event && strands.is(inner.event)) {
      readEvent(inner.event, reading, chunk.nodeId)
      // Other nodes may go on; `multiAgentResultEvent` tells when all are done.
      if (reading.proof === 'given') reading.proof = 'missing'
    }
    if (type === 'multiAgentResultEvent') readResult(result, reading)
  },
}

/** Reads an event of an agent or of a model alone. `of` is the node, where those of several are interleaved. */
function readEvent(chunk: StrandsEvent, reading: Reading, of = ''): void {
  const { type, result } = chunk
  if (type === 'afterToolCallEvent' && result?.toolUseId) {
    reading.result(result.toolUseId, result.content, undefined, result.status === 'error')
  }
  const isAgent = type === 'modelStreamUpdateEvent'
  if (isAgent && chunk.event) readModel(chunk.event, true, reading, of)
  else if (MODEL.test(type)) readModel(chunk, false, reading, of)
}

/** Reads how a graph or a swarm ended. */
function readResult({ status, error }: NonNullable<StrandsEvent['result']> = {}, reading: Reading): void {
  if (status === 'FAILED') reading.error(error ?? 'The agents failed')
  else if (status === 'INTERRUPTED') reading.end('suspended')
  else reading.end(status === 'CANCELLED' ? status : undefined)
}

function readModel(event: ModelEvent, isAgent: boolean, reading: Reading, of: string): void {
  const { start, delta, usage } = event
  const key = `call ${of}`
  // The number of messages that have not ended.
  const { open } = reading.notes as { open?: number }
  switch (event.type) {
    case 'modelMessageStartEvent':
      if (open) reading.paragraph('text')
      else if (reading.proof === 'given' || open === 0) reading.begin()
      reading.notes.open = (open ?? 0) + 1
      break
    case 'modelContentBlockStartEvent':
      reading.notes[key] = start?.toolUseId
      if (start?.toolUseId)
        reading.call(start.toolUseId, '', { id: start.toolUseId, name: start.name, executed: isAgent })
      break
    case 'modelContentBlockDeltaEvent':
      if (delta?.type === 'textDelta') reading.text(delta.text)
      if (delta?.type === 'reasoningContentDelta') {
        reading.reasoning(delta.text)
        reading.signature(delta.signature)
      }
      if (delta?.type === 'toolUseInputDelta') reading.call(reading.notes[key] as string, delta.input)
      break
    case 'modelContentBlockStopEvent':
      reading.calls.done(reading.notes[key] as string)
      break
    case 'modelMessageStopEvent':
      reading.notes.open = Math.max((open ?? 0) - 1, 0)
      reading.end(event.stopReason ?? 'stop')
      break
    case 'modelMetadataEvent':
      reading.counts(usage)
  }
}
