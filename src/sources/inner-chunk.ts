/** What does a provider's chunk say that stands within the chunk of another library? */
import { isObject } from '../errors.js'
import { anthropic } from './anthropic.js'
import { bedrock } from './bedrock.js'
import { gemini } from './gemini.js'
import { mistral } from './mistral.js'
import { ollama } from './ollama.js'
import { openaiChat } from './openai-chat.js'
import { openaiResponses } from './openai-responses.js'
import type { ChunkShape, Reading } from './reading-state.js'

/** The providers themselves: what frameworks and gateways pass on. */
const PROVIDERS: readonly ChunkShape[] = [openaiChat, anthropic, openaiResponses, gemini, mistral, ollama, bedrock]

/** Reads it, and says whether any provider's shape knew it: then what the library says in its own words is told already. */
export function readInner(chunk: unknown, reading: Reading): boolean {
  const shape = isObject(chunk) ? PROVIDERS.find((shape) => shape.is(chunk)) : undefined
  shape?.read(chunk as never, reading)
  // After reading: an answer that begins forgets its notes.
  if (shape) reading.notes.hasInner = true
  return shape !== undefined
}
