import {
  type ChunkShape,
  type Content,
  pushCall,
  pushContent,
  pushError,
  pushFinish,
  pushReasoning,
  pushText,
  pushUsage,
  type Reading,
} from './reading.js'

interface ChatChunk {
  id?: string
  choices: ({
    index?: number
    delta?: {
      content?: Content
      refusal?: string | null
      /** DeepSeek, vLLM. */
      reasoning_content?: string | null
      /** OpenRouter, Ollama. */
      reasoning?: string | null
      tool_calls?: { index?: number; id?: string; function?: { name?: string; arguments?: string } }[] | null
    }
    finish_reason?: string | null
  } | null)[]
  usage?: {
    prompt_tokens?: number
    completion_tokens?: number
    total_tokens?: number
    prompt_tokens_details?: { cached_tokens?: number } | null
    completion_tokens_details?: { reasoning_tokens?: number } | null
  } | null
  error?: unknown
}

/**
 * OpenAI chat completions, and what imitates them. Of several choices the first is the answer. The answer is
 * complete at a `finish_reason`, or, since some servers never give one, at the token counts that come last.
 */
export const openaiChat: ChunkShape = {
  is(chunk) {
    const { choices } = chunk as Partial<ChatChunk>
    if (!Array.isArray(choices)) return false
    if (choices.length === 0) return ['model', 'object', 'usage', 'prompt_filter_results'].some((key) => key in chunk)
    return choices.every(
      (choice) => !choice || (typeof choice === 'object' && ('delta' in choice || 'finish_reason' in choice)),
    )
  },

  read(chunk: ChatChunk, reading: Reading) {
    // A second answer in one run has an id of its own.
    if (chunk.id !== reading.id && chunk.choices.length > 0) reading.proof = 'missing'
    reading.id = chunk.id
    for (const choice of chunk.choices) {
      if (!choice || (choice.index ?? 0) !== 0) continue
      const { delta, finish_reason: finish } = choice
      if (delta) {
        pushReasoning(reading, delta.reasoning_content ?? delta.reasoning)
        pushContent(reading, delta.content)
        if (delta.refusal) reading.refused = true
        pushText(reading, delta.refusal)
        for (const { index = 0, id, function: call } of delta.tool_calls ?? []) {
          pushCall(reading, index, call?.arguments ?? '', id || undefined, call?.name || undefined)
        }
      }
      if (finish && !chunk.error) {
        reading.proof = 'given'
        pushFinish(reading, reading.refused ? 'content-filter' : finish)
      }
    }
    const { usage, error } = chunk
    if (usage) {
      // Some servers count with every chunk: only the chunk without choices is the last one.
      if (chunk.choices.length === 0) reading.proof = 'given'
      pushUsage(
        reading,
        usage.prompt_tokens,
        usage.completion_tokens,
        usage.total_tokens,
        usage.prompt_tokens_details?.cached_tokens,
        usage.completion_tokens_details?.reasoning_tokens,
      )
    }
    // OpenRouter's way of failing in the middle.
    if (error) pushError(reading, error)
  },
}
