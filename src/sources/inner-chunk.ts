/** What does a provider's chunk inside another library's chunk say? */
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

/** Reads the chunk. Returns whether a provider's shape knew it: then the library's own words only repeat it. */
export function readInner(chunk: unknown, reading: Reading): boolean {
  const shape = isObject(chunk) ? PROVIDERS.find((shape) => shape.is(chunk)) : undefined
  shape?.read(chunk as never, reading)
  // Set after reading, since the beginning of an answer clears the notes.
  if (shape) reading.notes.hasInner = true
  return shape !== undefined
}
