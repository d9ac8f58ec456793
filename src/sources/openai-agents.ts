/** What do the events of a run of @openai/agents say? */
import { readInner } from './inner-chunk.js'
import { listOf } from './list-of.js'
import type { ChunkShape, Reading } from './reading-state.js'

interface RawItem {
  type?: string
  callId?: string
  name?: string
  arguments?: string
  content?: { text?: string }[]
}

interface AgentsEvent {
  type: string
  data?: {
    type?: string
    delta?: string
    event?: unknown
    response?: {
      usage?: {
        inputTokens?: number
        outputTokens?: number
        totalTokens?: number
      }
    }
  }
  item?: { type?: string; rawItem?: RawItem; output?: unknown }
}

/**
 * OpenAI Agents. Each text comes twice: in the API's own event, which is read where its shape is known, and in the
 * SDK's words. The answer is complete when the API's last turn is. `response_done` also comes after a cut, so it counts
 * only for models whose own events are not known.
 */
export const openaiAgents: ChunkShape = {
  hasResults: true,

  is: (chunk) =>
    /^(raw_model_stream_event|run_item_stream_event|agent_updated_stream_event)$/.test((chunk as AgentsEvent).type),

  read({ type, data, item }: AgentsEvent, reading: Reading) {
    reading.calls.areExecuted = true
    if (type === 'run_item_stream_event') readItem(item ?? {}, reading)
    else if (type === 'raw_model_stream_event' && data) readData(data, reading)
  },
}

function readData({ type, delta, event, response }: NonNullable<AgentsEvent['data']>, reading: Reading): void {
  const { notes } = reading
  // The inner shape keeps its own notes.
  if (type === 'output_text_delta') notes.agentText = `${notes.agentText ?? ''}${delta}`
  if (type === 'response_started') reading.begin()
  else if (type === 'model') readInner(event, reading)
  else if (notes.hasInner) return
  else if (type === 'output_text_delta') reading.text(delta)
  else if (type === 'response_done') {
    reading.counts(response?.usage)
    reading.end('stop')
  }
}

/** Reads the calls and results of tools and hand-offs. The items of messages and reasoning repeat what was read. */
function readItem({ type = '', rawItem, output }: NonNullable<AgentsEvent['item']>, reading: Reading): void {
  const { callId: id, name, arguments: input, content } = rawItem ?? {}
  if (type === 'message_output_item') readMessage(content, reading)
  if (!id) return
  if (/^(tool|handoff)_call_item$/.test(type) && !reading.notes.hasInner) {
    reading.calls.whole(id, input, { id, name })
  } else if (/^(tool_call|handoff)_output_item$/.test(type)) reading.result(id, output, name)
  else if (type === 'tool_approval_item') reading.calls.postpone(id, id)
}

/** Reads a message that no model wrote: the answer that a run was configured to give when it reaches its limits. */
function readMessage(content: RawItem['content'], reading: Reading): void {
  const text = listOf(content)
    .map((part) => part.text ?? '')
    .join('')
    .trim()
  if (`${reading.notes.agentText ?? ''}`.includes(text)) return
  reading.begin()
  reading.text(text)
  reading.end('stop')
}
