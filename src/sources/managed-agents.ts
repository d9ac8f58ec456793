/** What do the events of a session of Claude's managed agents say? */
import { isObject } from '../errors.js'
import { listOf } from './list-of.js'
import type { ChunkShape, Reading } from './reading-state.js'

interface ManagedEvent {
  type: string
  id?: string
  /** Set in the events of an agent that this one has called. */
  session_thread_id?: string | null
  event?: { type?: string }
  event_id?: string
  delta?: { content?: { text?: string } }
  content?: { type?: string; text?: string }[]
  name?: string
  input?: unknown
  tool_use_id?: string
  mcp_tool_use_id?: string
  is_error?: boolean | null
  model_usage?: object
  error?: { retry_status?: { type?: string } }
  stop_reason?: { type?: string }
}

/** An application's own events about users and sessions have other names. */
const MANAGED =
  /^((agent|span)\.[a-z_]+|session\.(error|(status|thread)_[a-z_]+)|(user|system)\.(message|interrupt|define_outcome|(custom_)?tool_[a-z]+))$/

/**
 * Claude's managed agents, whose stream goes on after an answer: it is over when the session is idle. What the user and
 * the system said, and what the agent's own tools answered, stays on the server.
 */
export const managedAgents: ChunkShape = {
  hasResults: true,

  is(chunk) {
    const { type, id, event, event_id: of, delta } = chunk as ManagedEvent
    if (type === 'event_start') return /^agent\./.test(event?.type ?? '')
    if (type === 'event_delta') return typeof of === 'string' && isObject(delta)
    return 'processed_at' in chunk && typeof id === 'string' && MANAGED.test(type)
  },

  follows: (chunk: ManagedEvent) => 'processed_at' in chunk && /^[a-z_]+\.[a-z_]+$/.test(chunk.type),

  read(event: ManagedEvent, reading: Reading) {
    const { type, id = '', name, input, error } = event
    if (event.session_thread_id) return
    if (type === 'event_start') reading.paragraph(event.event?.type === 'agent.thinking' ? 'reasoning' : 'text')
    else if (type === 'event_delta') {
      reading.notes[event.event_id ?? ''] = true
      reading.text(event.delta?.content?.text)
    } else if (type === 'agent.message') {
      if (!reading.notes[id]) {
        reading.paragraph('text')
        for (const block of listOf(event.content)) if (block.type === 'text') reading.text(block.text)
      }
    } else if (/^agent\.(custom_|mcp_)?tool_use$/.test(type))
      reading.calls.whole(id, input, { id, name, executed: type !== 'agent.custom_tool_use' || undefined })
    else if (/^agent\.(mcp_)?tool_result$/.test(type))
      reading.result(event.tool_use_id ?? event.mcp_tool_use_id, event.content, undefined, event.is_error)
    else if (type === 'span.model_request_end') reading.counts(event.model_usage)
    else if (type === 'session.error') {
      if (error?.retry_status?.type !== 'retrying') reading.error(error)
    } else if (type === 'session.status_idle' || type === 'session.status_terminated') {
      reading.end(event.stop_reason?.type ?? 'terminated')
      reading.isOver = true
    }
  },
}
