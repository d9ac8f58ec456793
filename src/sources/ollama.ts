/** What do the chunks of Ollama's `chat` and `generate` say? */
import { listOf } from './list-of.js'
import type { ChunkShape, Reading } from './reading-state.js'
import { withoutRequest } from './redact.js'

interface OllamaChunk {
  model?: string
  /** In `chat`. */
  message?: {
    content?: string
    thinking?: string
    tool_calls?: { id?: string; function?: { name?: string; arguments?: unknown; index?: number } }[]
  }
  created_at?: unknown
  /** In `generate`. */
  response?: string
  /** From a model that draws; until then its chunks report progress. */
  image?: string
  thinking?: string
  done: boolean
  done_reason?: string
  prompt_eval_count?: number
  eval_count?: number
}

/** Ollama. The answer is complete at `done: true`. Tool calls come whole. */
export const ollama: ChunkShape = {
  // `context` holds the tokens of the prompt, `_debug_info` the prompt as its template made it.
  redact({ context: _, _debug_info: __, ...chunk }: Record<string, unknown>) {
    return withoutRequest(chunk)
  },

  is(chunk) {
    const { done, message, response, model, created_at } = chunk as Partial<OllamaChunk>
    const isNamed = typeof model === 'string' && created_at !== undefined
    return typeof done === 'boolean' && (typeof message === 'object' || typeof response === 'string' || isNamed)
  },

  read(chunk: OllamaChunk, reading: Reading) {
    const { message, done } = chunk
    // Nothing belongs to an answer after its `done`.
    if (reading.proof === 'given') reading.begin()
    reading.start(undefined, chunk.model)
    reading.reasoning(message?.thinking ?? chunk.thinking)
    reading.text(message?.content ?? chunk.response)
    reading.image(chunk.image)
    for (const { id, function: called } of listOf(message?.tool_calls)) {
      reading.call(undefined, called?.arguments ?? {}, { id, name: called?.name })
    }
    if (!done) return
    reading.usage({ inputTokens: chunk.prompt_eval_count, outputTokens: chunk.eval_count })
    reading.end(chunk.done_reason ?? 'stop')
  },
}
