/** Which shape does a chunk have? */
import { a2a } from './a2a.js'
import { adk } from './adk.js'
import { agui } from './ag-ui.js'
import { aiSDK } from './ai-sdk.js'
import { aiSDK4 } from './ai-sdk-4.js'
import { aiSDKUI } from './ai-sdk-ui.js'
import { anthropic } from './anthropic.js'
import { bedrock } from './bedrock.js'
import { bedrockInvoke } from './bedrock-invoke.js'
import { claudeAgent } from './claude-agent.js'
import { codex } from './codex.js'
import { cohere, cohere1 } from './cohere.js'
import { dashScope } from './dashscope.js'
import { dify } from './dify.js'
import { effectAI } from './effect-ai.js'
import { gemini, geminiLive, geminiWrapped } from './gemini.js'
import { geminiInteractions } from './gemini-interactions.js'
import { genkit } from './genkit.js'
import { langchain, langchainModelEvents, langchainRunEvents } from './langchain.js'
import { langgraph, langgraphEvents, langgraphPlatform, langgraphState, langgraphSteps } from './langgraph.js'
import { llamaCpp } from './llama-cpp.js'
import { llamaIndex } from './llama-index.js'
import { lmStudio } from './lm-studio.js'
import { managedAgents } from './managed-agents.js'
import { mastra } from './mastra.js'
import { mistral } from './mistral.js'
import { mistralConversations } from './mistral-conversations.js'
import { ollama } from './ollama.js'
import { openaiAgents } from './openai-agents.js'
import { openaiChat } from './openai-chat.js'
import { openaiResponses } from './openai-responses.js'
import { openaiSessions } from './openai-sessions.js'
import { opencode } from './opencode.js'
import type { ChunkShape, Reading } from './reading-state.js'
import { assistants } from './refused-assistants.js'
import { replicate } from './replicate.js'
import { sapOrchestration } from './sap-orchestration.js'
import { strands } from './strands.js'
import { textGeneration } from './text-generation.js'
import { textResults } from './watsonx-ax.js'
import { workersAI } from './workers-ai.js'

/**
 * The shapes in the order in which they are asked. They are grouped by what all chunks of a shape have, so a chunk
 * meets few questions until its shape is known; after that its own shape is asked first. A shape that resembles another
 * one stands before it.
 */
const LISTS: readonly ChunkShape[] = [langgraph]
const CHOICES: readonly ChunkShape[] = [openaiChat]
const TYPES: readonly ChunkShape[] = [
  anthropic,
  openaiResponses,
  openaiAgents,
  openaiSessions,
  claudeAgent,
  mastra,
  langchain,
  langgraphEvents,
  effectAI,
  aiSDKUI,
  aiSDK4,
  aiSDK,
  agui,
  strands,
  codex,
  cohere,
  mistralConversations,
  managedAgents,
  opencode,
  langgraphSteps,
]
const EVENTS: readonly ChunkShape[] = [
  langchainRunEvents,
  langchainModelEvents,
  langgraphPlatform,
  langgraphSteps,
  mistralConversations,
  replicate,
  assistants,
  dify,
]
const OTHERS: readonly ChunkShape[] = [
  adk,
  geminiLive,
  gemini,
  mistral,
  ollama,
  bedrock,
  bedrockInvoke,
  geminiInteractions,
  cohere1,
  genkit,
  llamaIndex,
  textGeneration,
  workersAI,
  lmStudio,
  llamaCpp,
  textResults,
  sapOrchestration,
  dashScope,
  a2a,
  geminiWrapped,
  langchain,
  langgraphState,
  langgraphSteps,
]

function candidates(chunk: object): readonly ChunkShape[] {
  if (Array.isArray(chunk)) return LISTS
  const { choices, type, event } = chunk as { choices?: unknown; type?: unknown; event?: unknown }
  if (typeof choices === 'object' && choices !== null) return CHOICES
  if (typeof type === 'string') return TYPES
  return typeof event === 'string' ? EVENTS : OTHERS
}

/** The shape of a chunk, if it has one. A chunk that is nested too deeply for the stack has none. */
export function shapeOf(chunk: object, { expected, known = expected }: Reading): ChunkShape | undefined {
  try {
    if (known && (known.is(chunk) || known.follows?.(chunk as never))) return known
    return candidates(chunk).find((shape) => shape !== known && shape.is(chunk))
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    return undefined
  }
}
