import { type ChunkShape, pushUsage, type Reading } from './reading.js'

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
    const { parts } = reading
    const { message, done } = chunk
    if (reading.proof !== 'given') reading.proof = 'missing'
    const thinking = message?.thinking ?? chunk.thinking
    const text = message?.content ?? chunk.response
    if (thinking) parts.push({ type: 'reasoning', text: thinking })
    if (text) parts.push({ type: 'text', text })
    for (const { function: called } of message?.tool_calls ?? []) {
      const index = reading.calls++
      parts.push({
        type: 'tool-call',
        index,
        ...(called?.name && { name: called.name }),
        input: JSON.stringify(called?.arguments ?? {}),
      })
    }
    if (!done) return
    reading.proof = 'given'
    const { prompt_eval_count: inputTokens, eval_count: outputTokens, done_reason: reason } = chunk
    pushUsage(parts, { inputTokens, outputTokens })
    if (reading.calls > 0) parts.push({ type: 'finish', reason: 'tool-calls' })
    else
      parts.push({
        type: 'finish',
        reason: reason === 'length' ? 'length' : (reason ?? 'stop') === 'stop' ? 'stop' : 'other',
      })
  },
}
