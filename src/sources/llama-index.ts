/** What do the chunks of LlamaIndex say? */
import { isObject } from '../errors.js'
import { readInner } from './inner-chunk.js'
import type { ChunkShape, Reading } from './reading-state.js'

interface LlamaIndexChunk {
  /** The provider's own chunk. */
  raw: unknown
  delta?: string
  message?: { content?: unknown }
}

/** The stream of `llm.chat` and of an engine: each chunk holds its provider's, whose words count where they are known. */
export const llamaIndex: ChunkShape = {
  is(chunk) {
    const { delta, stream } = chunk as Record<string, unknown>
    return 'raw' in chunk && (typeof delta === 'string' || stream === true)
  },

  // It takes no signal at all.
  signalOnly: () => 'LlamaIndex',

  redact: false,

  read({ raw, delta, message }: LlamaIndexChunk, reading: Reading) {
    if (isObject(raw) && readInner(raw, reading)) {
      reading.notes.isInner = true
      return
    }
    if (reading.notes.isInner) return
    const content = message?.content
    reading.text(delta ?? (typeof content === 'string' ? content : undefined))
    // Without its provider's word there is no telling an end from a cut.
    reading.end()
  },
}
