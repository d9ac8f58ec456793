/** What do the events of AG-UI say (CopilotKit, TanStack AI, agent servers in many languages)? */
import { listOf } from './list-of.js'
import type { ChunkShape, Reading } from './reading-state.js'

interface AGUIEvent {
  type: string
  messageId?: string
  role?: string
  delta?: string
  toolCallId?: string
  toolCallName?: string
  content?: unknown
  name?: string
  value?: unknown
  subagentRunId?: string
  /** A plain string in some versions. */
  outcome?: string | { type?: string; interrupts?: { id?: string; reason?: string; toolCallId?: string }[] }
  usage?: unknown
  /** Sent by TanStack AI only. */
  metadata?: { finishReason?: string; tanstack?: { finishReason?: string } }
}

const TYPE =
  /^(RUN|STEP|SUBAGENT|STATE|MESSAGES|ACTIVITY|REASONING|THINKING|TOOL_CALL|\w+_MESSAGE)_(STARTED|FINISHED|ERROR|START|END|CONTENT|ARGS|CHUNK|RESULT|SNAPSHOT|DELTA|ENCRYPTED_VALUE)$/

/**
 * AG-UI events, as objects or over an event stream. The run is complete at `RUN_FINISHED`, unless it was cancelled.
 * Snapshots hold the history and the application's state: they stay on the server, like what subagents say.
 */
export const agui: ChunkShape = {
  hasEnd: () => true,

  hasResults: true,

  is(chunk) {
    const { type, name, event } = chunk as Record<string, unknown>
    if (type === 'CUSTOM') return typeof name === 'string' && 'value' in chunk
    return type === 'RAW' ? event !== undefined : TYPE.test(type as string)
  },

  // Only TanStack AI's own iterator waits for its provider before it stops: an event stream's bytes can be cancelled.
  signalOnly: ({ metadata }: AGUIEvent) => (metadata?.tanstack ? 'TanStack AI' : undefined),

  read(event: AGUIEvent, reading: Reading) {
    const { type, messageId, delta, outcome } = event
    const { notes } = reading
    if (event.subagentRunId !== undefined) return
    if (type.startsWith('TEXT_MESSAGE')) {
      // A piece without an id belongs to the message before it.
      if (messageId !== undefined && messageId !== notes.message) {
        notes.message = messageId
        notes.isOthers = event.role && event.role !== 'assistant'
        reading.paragraph('text')
      }
      if (!notes.isOthers) reading.text(delta)
    } else if (type.startsWith('TOOL_CALL')) readCall(event, reading)
    else if (type === 'REASONING_MESSAGE_START') reading.paragraph('reasoning')
    else if (delta && /^(REASONING|THINKING)/.test(type)) reading.reasoning(delta)
    else if (type === 'CUSTOM') reading.data(event.name as string, event.value)
    else if (type === 'RUN_STARTED' && reading.proof !== 'missing') reading.begin()
    else if (/^RUN_[EF]/.test(type)) {
      // The counts are a list with one entry per model; TanStack AI sends one object.
      reading.counts(event.usage)
      if (type === 'RUN_ERROR') reading.error(event)
      else {
        const word = typeof outcome === 'string' ? outcome : outcome?.type
        for (const one of typeof outcome === 'string' ? [] : listOf(outcome?.interrupts)) readInterrupt(one, reading)
        // The outcome says no more than success. An interrupted run waits for the client.
        const { finishReason: told, tanstack } = event.metadata ?? {}
        reading.end(tanstack?.finishReason ?? told ?? (word === 'interrupt' ? 'suspended' : (word ?? 'stop')))
      }
    }
  },
}

/**
 * Only an interrupt that asks for approval counts. For a call that the client should run itself TanStack AI gives
 * another reason: nobody is asked for approval there.
 */
function readInterrupt(
  { id, reason = '', toolCallId }: { id?: string; reason?: string; toolCallId?: string },
  reading: Reading,
) {
  if (id && toolCallId && /^tool_call$|approv|confirm/.test(reason)) reading.calls.postpone(toolCallId, id)
}

function readCall({ type, toolCallId: id, toolCallName: name, delta, content }: AGUIEvent, reading: Reading) {
  if (type === 'TOOL_CALL_END') reading.calls.done(id)
  else if (type === 'TOOL_CALL_RESULT') reading.result(id, content)
  else reading.call(id, delta, { id, name })
}
