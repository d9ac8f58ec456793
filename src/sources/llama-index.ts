/** What do the chunks of LlamaIndex say? */
import { readInner } from './inner-chunk.js'
import { hasKey } from './keys.js'
import type { ChunkShape, Reading } from './reading-state.js'

interface LlamaIndexChunk {
  /** The provider's own chunk. */
  raw: unknown
  delta?: string
  message?: { content?: unknown }
  /** In an agent's event: what its model said, or what a tool answered. */
  data?: {
    raw?: unknown
    delta?: string
    toolId?: string
    toolName?: string
    toolOutput?: { result?: unknown; isError?: boolean }
  }
}

/** The stream of `llm.chat` and of an engine. Each chunk holds its provider's, which is read if its shape is known. */
export const llamaIndex: ChunkShape = {
  is(chunk) {
    const { delta, stream } = chunk as Record<string, unknown>
    return isEvent(chunk) || ('raw' in chunk && (typeof delta === 'string' || stream === true))
  },

  hasResults: true,

  // LlamaIndex accepts no signal at all.
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
    // Without the provider's word, an end cannot be told from a cut.
    reading.end()
  },
}

/** Whether it is an event of an agent's workflow. These have no class, and hold prompts, state and the history. */
function isEvent(chunk: object): boolean {
  const { data } = chunk as { data?: unknown }
  const isIts = hasKey(data, 'currentAgentName', 'agentName', 'toolId', 'userInput', 'state')
  return isIts && Object.hasOwn(chunk, Symbol.toStringTag)
}
