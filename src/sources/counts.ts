/** Under which names do providers count tokens, and which of our counts is each? */
import { isObject } from '../errors.js'
import type { Usage } from '../types.js'

/** In snake case. The camel case of each word is known as well. */
const WORDS: Record<keyof Usage, string> = {
  inputTokens: 'input_tokens prompt_tokens input_token_count',
  outputTokens: 'output_tokens completion_tokens output_token_count',
  totalTokens: 'total_tokens',
  cachedInputTokens:
    'cached_input_tokens cached_tokens cached_content_tokens cache_read cache_read_tokens cache_read_input_tokens cache_read_input_token_count prompt_cache_hit_tokens',
  cacheWriteInputTokens:
    'cache_write_input_tokens cache_write_tokens cache_creation cache_creation_tokens cache_creation_input_tokens cache_write_input_token_count',
  reasoningTokens: 'reasoning_tokens reasoning reasoning_output_tokens thoughts_tokens',
}

const NAMES = new Map<string, keyof Usage>()
for (const name of Object.keys(WORDS) as (keyof Usage)[])
  for (const word of WORDS[name].split(' '))
    NAMES.set(word, name).set(
      word.replace(/_(.)/g, (_, letter: string) => letter.toUpperCase()),
      name,
    )

/**
 * The counts in a provider's object and in its details. A list, with one entry per model or request, gives the sums.
 */
export function countsOf(told: unknown, counts: Usage = {}): Usage {
  if (Array.isArray(told)) {
    for (const one of told.map((inner) => countsOf(inner)))
      for (const name of Object.keys(one) as (keyof Usage)[]) counts[name] = (counts[name] ?? 0) + (one[name] ?? 0)
  } else if (isObject(told)) {
    for (const key of Object.keys(told)) {
      let value = (told as Record<string, unknown>)[key]
      const name = NAMES.get(key)
      // The AI SDK's models send a count as an object: a total with its parts.
      if (name && isObject(value)) {
        countsOf(value, counts)
        value = (value as { total?: unknown }).total
      }
      // Where a server sends one count under two names, one of the two may be zero: the other is right.
      if (name) {
        const count = typeof value === 'string' ? Number.parseInt(value, 10) : value
        if (Number.isFinite(count) && (count || counts[name] === undefined)) counts[name] = count as number
      } else if (key.endsWith('etails') && !Array.isArray(value)) countsOf(value, counts)
    }
  }
  return counts
}
