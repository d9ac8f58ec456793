/** What do the events of an opencode server say about a session? */
import { isObject } from '../errors.js'
import type { ChunkShape, Reading } from './reading-state.js'

interface OpencodePart {
  id?: string
  type?: string
  callID?: string
  tool?: string
  state?: { status?: string; input?: unknown; output?: unknown }
  tokens?: { input?: number; output?: number; reasoning?: number; cache?: { read?: number; write?: number } }
}

interface OpencodeEvent {
  type: string
  properties: {
    part?: OpencodePart
    sessionID?: string
    partID?: string
    delta?: string
    status?: { type?: string }
    error?: { name?: string; data?: object }
  }
}

/** opencode, whose stream reports everything that happens on the server. It is over when a session is idle. */
export const opencode: ChunkShape = {
  hasResults: true,

  is(chunk) {
    const { type = '', properties } = chunk as Partial<OpencodeEvent>
    if (!isObject(properties) || Object.keys(chunk).length > 3) return false
    const { sessionID, part, partID, error } = properties
    if (type.startsWith('message.part.')) return isObject(part) || typeof partID === 'string'
    // Many other libraries have events of this form.
    return type === 'server.connected' || (/^(session|message)\./.test(type) && (sessionID ?? error) !== undefined)
  },

  follows: ({ type, properties }: OpencodeEvent) => isObject(properties) && /^[a-z]+\.[a-z.]+$/.test(type),

  read({ type, properties }: OpencodeEvent, reading: Reading) {
    const { part, partID = part?.id ?? '', delta, error } = properties
    if (part?.type) reading.notes[partID] = part.type
    if (type.startsWith('message.part.')) {
      // A part without a delta is the user's, or was already read.
      if (reading.notes[partID] === 'text') reading.text(delta)
      else if (reading.notes[partID] === 'reasoning') reading.reasoning(delta)
      if (part) readPart(part, reading)
    } else if (type === 'session.error' && error?.name !== 'MessageAbortedError')
      reading.error({ ...error?.data, type: error?.name })
    else if (/^session\.(idle|error)$/.test(type)) {
      reading.end(error ? 'aborted' : 'stop')
      reading.isOver = true
    }
  },
}

function readPart({ type, callID: id = '', tool: name, state, tokens }: OpencodePart, reading: Reading): void {
  if (type === 'tool' && state?.status !== 'pending') {
    if (!reading.calls.has(id)) reading.calls.whole(id, state?.input, { id, name, executed: true })
    const hasFailed = state?.status === 'error'
    if (hasFailed || state?.status === 'completed') reading.result(id, state?.output, name, hasFailed)
  } else if (tokens) {
    const { input, output, reasoning, cache } = tokens
    reading.usage({
      inputTokens: input,
      outputTokens: output,
      reasoningTokens: reasoning,
      cachedInputTokens: cache?.read,
      cacheWriteInputTokens: cache?.write,
    })
  }
}
