/** What do the events of a session of OpenAI's hosted agents say? */
import { openaiResponses } from './openai-responses.js'
import type { ChunkShape, Reading } from './reading-state.js'

interface SessionEvent {
  type: string
  item?: { type?: string }
  turn_id?: string | null
  turn?: { error?: unknown; subagent_id?: string | null }
  session?: { error?: unknown }
  usage?: object | null
}

/**
 * OpenAI's hosted agents, whose stream goes on after an answer: it is over when the session is idle. The events of a
 * turn are those of a response. What commands print, and what the user and subagents say, stays on the server.
 */
export const openaiSessions: ChunkShape = {
  hasResults: true,

  hasEnd: () => true,

  is: (chunk) => /^agent\.(session|output)\./.test((chunk as SessionEvent).type) && 'event_id' in chunk,

  read(event: SessionEvent, reading: Reading) {
    const { type, item, turn, turn_id: id, session, usage } = event
    reading.kept.subagents ??= new Set()
    const subagents = reading.kept.subagents as Set<unknown>
    if (turn?.subagent_id) subagents.add(id)
    if (subagents.has(id)) return
    if (usage) reading.counts(usage)
    switch (type.replace('agent.session.', '')) {
      case 'turn.created':
        reading.begin()
        break
      case 'turn.completed':
        reading.end('stop')
        break
      case 'turn.cancelled':
        reading.end('cancelled')
        break
      case 'turn.failed':
      case 'failed':
        reading.error(turn?.error ?? session?.error ?? event)
        break
      case 'requires_action':
        reading.end('tool_calls')
        break
      case 'idle':
        // It is idle before its turn, too.
        reading.isOver = reading.proof !== 'missing'
        break
      default: {
        // What a caller answered comes whole, as an item that was added.
        const name = item?.type?.endsWith('_output') ? 'item.done' : type.replace('agent.session.turn.', '')
        openaiResponses.read({ ...event, type: `response.${name.replace(/^item/, 'output_item')}` } as never, reading)
      }
    }
  },
}
