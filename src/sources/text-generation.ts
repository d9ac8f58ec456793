/** What do the token chunks of Hugging Face's text generation say? */
import { isObject } from '../errors.js'
import type { ChunkShape, Reading } from './reading-state.js'
import { emptied, withoutRequest } from './redact.js'

interface TokenChunk {
  token: { text?: string; special?: boolean }
  generated_text: string | null
  details?: { finish_reason?: string; generated_tokens?: number; input_length?: number } | null
}

/** Text Generation Inference, through `textGenerationStream` or its own API. The last token repeats the whole text. */
export const textGeneration: ChunkShape = {
  is: (chunk) => isObject((chunk as Partial<TokenChunk>).token) && 'generated_text' in chunk,

  // The generator releases the body without cancelling it.
  signalOnly: () => 'Hugging Face',

  // `prefill` holds the tokens of the prompt.
  redact(chunk: TokenChunk) {
    const { details } = chunk
    return { ...withoutRequest(chunk), details: details && emptied(details, { prefill: [] }) }
  },

  read({ token, generated_text: whole, details }: TokenChunk, reading: Reading) {
    if (!token.special) reading.text(token.text)
    reading.usage({ inputTokens: details?.input_length, outputTokens: details?.generated_tokens })
    if (typeof whole === 'string') reading.end(details?.finish_reason)
  },
}
