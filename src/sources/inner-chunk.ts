/** What does a provider's chunk say that stands within the chunk of another library? */
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

/** Reads it, and says whether any provider's shape knew it. */
export function readInner(chunk: object, reading: Reading): boolean {
  const shape = PROVIDERS.find((shape) => shape.is(chunk))
  shape?.read(chunk as never, reading)
  return shape !== undefined
}
