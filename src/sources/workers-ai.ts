/** What do the chunks of Cloudflare's Workers AI say that are not in OpenAI's format? */
import { isObject } from '../errors.js'
import { hasOnly } from './keys.js'
import type { ChunkShape, Reading } from './reading-state.js'
import { withoutRequest } from './redact.js'

interface WorkersAIChunk {
  /** A token of digits comes as a number. */
  response: string | number | null
  tool_calls?: { name?: string; arguments?: unknown }[]
  usage?: { prompt_tokens?: number; completion_tokens?: number; total_tokens?: number }
}

/** The event stream of `env.AI.run`. The answer is complete at `[DONE]`; nothing else says so. */
export const workersAI: ChunkShape = {
  is: (chunk) => 'response' in chunk && !isObject(chunk.response) && hasOnly(chunk, /^(response|tool_calls|usage|p)$/),

  redact: withoutRequest,

  read({ response, tool_calls: calls, usage }: WorkersAIChunk, reading: Reading) {
    reading.text(response)
    // Calls come whole and without ids.
    for (const { name, arguments: input } of calls ?? []) reading.call(undefined, input ?? {}, { name })
    // Workers AI gives no reason for the end.
    if (calls?.length) reading.finish('tool_calls')
    reading.counts(usage)
  },
}
