/** What do the chunks of LlamaIndex say? */
import { readInner } from './inner-chunk.js'
import { hasKey } from './keys.js'
import type { ChunkShape, Reading } from './reading-state.js'

interface LlamaIndexChunk {
  /** The provider's own chunk. */
  raw: unknown
  delta?: string
  message?: { content?: unknown }
  /** In an event of an agent: what its model said, or what a tool answered. */
  data?: {
    raw?: unknown
    delta?: string
    toolId?: string
    toolName?: string
    toolOutput?: { result?: unknown; isError?: boolean }
  }
}

/** The stream of `llm.chat` and of an engine: each chunk holds its provider's, whose words count where they are known. */
export const llamaIndex: ChunkShape = {
  is(chunk) {
    const { delta, stream } = chunk as Record<string, unknown>
    return isEvent(chunk) || ('raw' in chunk && (typeof delta === 'string' || stream === true))
  },

  hasResults: true,

  // It takes no signal at all.
  signalOnly: () => 'LlamaIndex',

  read({ data, ...chunk }: LlamaIndexChunk, reading: Reading) {
    if (data) reading.calls.areExecuted = true
    const { raw, delta, message } = data ? { ...data, message: undefined } : chunk
    if (data?.toolOutput && data.toolId)
      reading.result(data.toolId, data.toolOutput.result, data.toolName, data.toolOutput.isError)
    if (data && !('raw' in data && typeof delta === 'string')) return
    if (readInner(raw, reading) || reading.notes.hasInner) return
    const content = message?.content
    reading.text(delta ?? (typeof content === 'string' ? content : undefined))
    // Without its provider's word there is no telling an end from a cut.
    reading.end()
  },
}

/** An event of an agent's workflow, which makes them without a class. Prompts, state and the history are in them. */
function isEvent(chunk: object): boolean {
  const { data } = chunk as { data?: unknown }
  const isIts = hasKey(data, 'currentAgentName', 'agentName', 'toolId', 'userInput', 'state')
  return isIts && Object.hasOwn(chunk, Symbol.toStringTag)
}
