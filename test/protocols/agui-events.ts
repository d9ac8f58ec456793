/** Are these the events of a run of AG-UI, in the order that its strictest client wants? */

export interface AGUIEvent {
  type: string
  [key: string]: unknown
}

/** What opens, goes on and ends: a client refuses what comes in another order. */
const KINDS: Record<string, string> = {
  TEXT_MESSAGE_START: 'messageId',
  TEXT_MESSAGE_CONTENT: 'messageId',
  TEXT_MESSAGE_END: 'messageId',
  TOOL_CALL_START: 'toolCallId',
  TOOL_CALL_ARGS: 'toolCallId',
  TOOL_CALL_END: 'toolCallId',
  REASONING_START: 'messageId',
  REASONING_END: 'messageId',
  REASONING_MESSAGE_START: 'messageId',
  REASONING_MESSAGE_CONTENT: 'messageId',
  REASONING_MESSAGE_END: 'messageId',
}

/** The events of a wire, in the order and the words that the strictest client wants. */
export function aguiEvents(wire: string): AGUIEvent[] {
  const events = wire
    .split('\n\n')
    .filter(Boolean)
    .map((block): AGUIEvent => JSON.parse(block.replace(/^(event: error\n)?data: /, '')))
  const open = new Set<string>()
  const used = new Set<string>()
  let isOver = false
  for (const [number, event] of events.entries()) {
    const { type } = event
    if (number === 0 && !/^RUN_(STARTED|ERROR)$/.test(type)) throw new Error(`First event is ${type}`)
    if (isOver) throw new Error(`${type} after the end`)
    if (Object.values(event).includes(null) && type !== 'CUSTOM') throw new Error(`null in ${type}`)
    const kind = type.replace(/_(START|CONTENT|ARGS|END)$/, '')
    const key = KINDS[type] && `${kind} ${event[KINDS[type]]}`
    if (key && type.endsWith('_START')) {
      if (used.has(key)) throw new Error(`${key} was begun twice`)
      used.add(key)
      open.add(key)
    } else if (key) {
      if (!open.has(key)) throw new Error(`${type} outside of ${key}`)
      if (type.endsWith('_END')) open.delete(key)
      else if (event.delta === '') throw new Error(`${type} without a word`)
    } else if (!/^(RUN_(STARTED|FINISHED|ERROR)|CUSTOM|TOOL_CALL_RESULT|REASONING_ENCRYPTED_VALUE)$/.test(type)) {
      throw new Error(`A client of today does not know ${type}`)
    }
    if (type === 'RUN_FINISHED' && open.size > 0) throw new Error(`Still open: ${[...open]}`)
    isOver = /^RUN_(FINISHED|ERROR)$/.test(type)
  }
  return events
}
