/** What do the chunks of watsonx's text generation and of Ax say, in lists of results? */
import { isObject } from '../errors.js'
import { hasKey } from './keys.js'
import { listOf } from './list-of.js'
import type { ChunkShape, Reading } from './reading-state.js'

interface Result {
  index?: number
  /** watsonx. */
  generated_text?: string
  generated_token_count?: number
  input_token_count?: number
  stop_reason?: string
  /** Ax. */
  content?: string
  thought?: string
  functionCalls?: { id?: string; function?: { name?: string; params?: unknown } }[]
  finishReason?: string
}

interface Results {
  results: Result[]
  modelUsage?: { tokens?: object }
}

/** watsonx's text generation, and Ax. Of several answers, the first is read. */
export const textResults: ChunkShape = {
  is(chunk: Results) {
    const { results } = chunk
    return Array.isArray(results) && results.length > 0 && results.every((result) => isResult(result, chunk))
  },

  follows: ({ results }: Results) => Array.isArray(results),

  read({ results, modelUsage }: Results, reading: Reading) {
    for (const result of results) if (!result.index) readResult(result, reading)
    reading.counts(modelUsage?.tokens)
  },
}

/** A list of search results may look the same, so a field that only a piece of an answer has is required. */
function isResult(result: unknown, told: Results): boolean {
  if (!isObject(result)) return false
  if ('generated_text' in result) return hasKey(result, 'stop_reason', 'generated_token_count')
  const hasMore = hasKey(result, 'thought', 'functionCalls', 'finishReason')
  return 'index' in result && (hasMore || hasKey(told, 'remoteId', 'sessionId', 'modelUsage'))
}

function readResult(result: Result, reading: Reading): void {
  reading.reasoning(result.thought)
  reading.text(result.generated_text ?? result.content)
  for (const { id, function: called } of listOf(result.functionCalls))
    reading.call(id, called?.params, { id, name: called?.name })
  reading.usage({ inputTokens: result.input_token_count, outputTokens: result.generated_token_count })
  const word = result.stop_reason ?? result.finishReason
  if (word) reading.end(word)
}
