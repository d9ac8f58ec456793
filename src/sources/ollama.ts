import { type ChunkShape, pushCall, pushFinish, pushReasoning, pushText, pushUsage, type Reading } from './reading.js'

interface OllamaChunk {
  /** Of `chat`. */
  message?: {
    content?: string
    thinking?: string
    tool_calls?: { function?: { name?: string; arguments?: unknown } }[]
  }
  /** Of `generate`. */
  response?: string
  thinking?: string
  done: boolean
  done_reason?: string
  prompt_eval_count?: number
  eval_count?: number
}

/** Ollama. The answer is complete at `done: true`. Tool calls come whole. */
export const ollama: ChunkShape = {
  // The tokens of the prompt.
  bare({ context: _, ...chunk }: Record<string, unknown>) {
    return chunk
  },

  is(chunk) {
    const { done, message, response } = chunk as Partial<OllamaChunk>
    return typeof done === 'boolean' && (typeof message === 'object' || typeof response === 'string')
  },

  read(chunk: OllamaChunk, reading: Reading) {
    const { message, done } = chunk
    pushReasoning(reading, message?.thinking ?? chunk.thinking)
    pushText(reading, message?.content ?? chunk.response)
    for (const { function: called } of message?.tool_calls ?? []) {
      const input = JSON.stringify(called?.arguments ?? {})
      pushCall(reading, reading.calls++, input, undefined, called?.name || undefined)
    }
    if (!done) return
    reading.proof = 'given'
    pushUsage(reading, chunk.prompt_eval_count, chunk.eval_count)
    pushFinish(reading, reading.calls > 0 ? 'tool-calls' : (chunk.done_reason ?? 'stop'))
  },
}
