/** What do the chunks of llama.cpp's own `/completion` say? */
import type { ChunkShape, Reading } from './reading-state.js'

interface Fragment {
  content?: string
  stop?: boolean
  stop_type?: string
  stopped_limit?: boolean
  tokens_evaluated?: number
  tokens_predicted?: number
}

const LLAMA = /^(tokens|tokens_predicted|id_slot|slot_id|multimodal|generation_settings)$/

/** llama.cpp's own `/completion`. */
export const llamaCpp: ChunkShape = {
  // `content` and `stop` are common words, so a key of llama.cpp's own is required as well.
  is(chunk: Fragment) {
    const { content, stop } = chunk
    return typeof content === 'string' && typeof stop === 'boolean' && Object.keys(chunk).some((key) => LLAMA.test(key))
  },

  follows: ({ content, stop }: Fragment) => typeof content === 'string' && typeof stop === 'boolean',

  read(chunk: Fragment, reading: Reading) {
    reading.text(chunk.content)
    if (!chunk.stop) return
    reading.usage({ inputTokens: chunk.tokens_evaluated, outputTokens: chunk.tokens_predicted })
    reading.end(chunk.stop_type === 'limit' || chunk.stopped_limit ? 'length' : 'stop')
  },
}
