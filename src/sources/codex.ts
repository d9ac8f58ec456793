/** What do the events of the Codex SDK say? */
import { isObject } from '../errors.js'
import type { ChunkShape, Reading } from './reading-state.js'

interface CodexEvent {
  type: string
  item?: { id?: string; type?: string; text?: string }
  usage?: Record<string, number>
  error?: unknown
  message?: string
}

/** Of the items, commands, files and plans stay on the server. */
const TYPE = /^(thread\.started|turn\.(started|completed|failed)|item\.(started|updated|completed))$/

/** The events of `runStreamed`: whole messages, not tokens. The turn is complete at `turn.completed`. */
export const codex: ChunkShape = {
  is(chunk) {
    const { type, message, item } = chunk as Record<string, unknown>
    if (type === 'error') return typeof message === 'string' && Object.keys(chunk).length === 2
    return TYPE.test(type as string) && (!(type as string).startsWith('item.') || isObject(item))
  },

  signalOnly: () => 'Codex',

  read({ type, item, usage, error, message }: CodexEvent, reading: Reading) {
    switch (type) {
      case 'turn.started':
        if (reading.proof === 'given') reading.begin()
        break
      case 'item.updated':
      case 'item.completed':
        if (item?.type === 'agent_message' || item?.type === 'reasoning') readItem(item, reading)
        break
      case 'turn.completed':
        reading.counts(usage)
        reading.end('stop')
        break
      case 'turn.failed':
        reading.error(error)
        break
      case 'error':
        // Codex reports this while it reconnects, and goes on.
        if (!message?.startsWith('Reconnecting')) reading.error(message)
    }
  },
}

/** An item that is updated repeats its whole text. */
function readItem({ id, type, text = '' }: NonNullable<CodexEvent['item']>, reading: Reading): void {
  const key = `${type} ${id}`
  const kind = type === 'reasoning' ? 'reasoning' : 'text'
  if (!(key in reading.notes)) reading.paragraph(kind)
  reading[kind](reading.restOf(text, key))
}
