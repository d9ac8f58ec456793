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
  /** In those of an agent: what its model said. */
  event?: ModelEvent
  /** After a tool was called. */
  result?: { toolUseId?: string; status?: string; content?: unknown }
}

const MODEL = /^model(Message|ContentBlock|Metadata|Redaction)\w*Event$/

/**
 * The stream of an agent, and of a model alone. An answer is complete at the model's stop; an agent's other events hold
 * prompts, errors and what its tools answered.
 */
export const strands: ChunkShape = {
  hasResults: true,

  is(chunk) {
    const { type, event } = chunk as Record<string, unknown>
    if (typeof type !== 'string' || !type.endsWith('Event')) return false
    return MODEL.test(type) || 'agent' in chunk || (type === 'modelStreamUpdateEvent' && event !== undefined)
  },

  isEarly: ({ type, event = { type } }: StrandsEvent) => !MODEL.test(event.type),

  signalOnly: () => 'Strands Agents',

  redact: false,

  read(chunk: StrandsEvent, reading: Reading) {
    const { type, result } = chunk
    if (type === 'afterToolCallEvent' && result?.toolUseId) {
      reading.result(result.toolUseId, result.content, undefined, result.status === 'error')
    }
    const isAgent = type === 'modelStreamUpdateEvent'
    if (isAgent && chunk.event) readModel(chunk.event, true, reading)
    else if (MODEL.test(type)) readModel(chunk, false, reading)
  },
}

function readModel(event: ModelEvent, isAgent: boolean, reading: Reading): void {
  const { start, delta, usage } = event
  switch (event.type) {
    case 'modelMessageStartEvent':
      if (reading.proof === 'given') reading.begin()
      break
    case 'modelContentBlockStartEvent':
      reading.notes.call = start?.toolUseId
      if (start?.toolUseId)
        reading.call(start.toolUseId, '', { id: start.toolUseId, name: start.name, executed: isAgent })
      break
    case 'modelContentBlockDeltaEvent':
      if (delta?.type === 'textDelta') reading.text(delta.text)
      if (delta?.type === 'reasoningContentDelta') {
        reading.reasoning(delta.text)
        reading.signature(delta.signature)
      }
      if (delta?.type === 'toolUseInputDelta') reading.call(reading.notes.call as string, delta.input)
      break
    case 'modelContentBlockStopEvent':
      reading.calls.done(reading.notes.call as string)
      break
    case 'modelMessageStopEvent':
      reading.end(event.stopReason ?? 'stop')
      break
    case 'modelMetadataEvent':
      reading.counts(usage)
  }
}
