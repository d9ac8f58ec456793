/** OpenAI's chat completions, the older completions, and what imitates them, in snake case or in camel case. */
import { isObject } from '../errors.js'
import { type ChunkShape, emptied, type Reading, readContent, withoutRequest } from './reading.js'

interface ToolCall {
  index?: number
  id?: string
  function?: { name?: string; arguments?: unknown }
  /** Gemini behind OpenAI's API. */
  extra_content?: { google?: { thought_signature?: string } }
}

interface Detail {
  type?: string
  signature?: string
  data?: string
}

interface Annotation {
  url_citation?: object
  urlCitation?: object
}

interface Delta {
  role?: string
  content?: unknown
  refusal?: string | null
  /** DeepSeek, vLLM. */
  reasoning_content?: unknown
  reasoningContent?: unknown
  /** OpenRouter, Ollama. */
  reasoning?: unknown
  reasoning_details?: Detail[] | null
  reasoningDetails?: Delta['reasoning_details']
  tool_calls?: ToolCall[] | null
  toolCalls?: ToolCall[] | null
  function_call?: ToolCall['function'] | null
  audio?: { transcript?: string } | null
  images?: { image_url?: { url?: string }; imageUrl?: { url?: string } }[] | null
  annotations?: Annotation[] | null
}

interface Counts {
  prompt_tokens?: number
  completion_tokens?: number
  total_tokens?: number
  prompt_tokens_details?: { cached_tokens?: number; cache_write_tokens?: number } | null
  completion_tokens_details?: { reasoning_tokens?: number } | null
  promptTokens?: number
  completionTokens?: number
  totalTokens?: number
  promptTokensDetails?: { cachedTokens?: number } | null
  completionTokensDetails?: { reasoningTokens?: number } | null
}

interface Choice {
  index?: number
  delta?: Delta | null
  /** Of the older completions. */
  text?: string
  finish_reason?: string | null
  finishReason?: string | null
  /** Kimi. */
  usage?: Counts
}

export interface Completion {
  id?: string
  model?: string
  created?: number
  choices?: (Choice | null)[]
  usage?: Counts | null
  x_groq?: { usage?: Counts; error?: unknown } | null
  /** Perplexity: all sources so far, in each chunk. */
  citations?: unknown[] | null
  error?: unknown
}

/**
 * OpenAI chat completions, and what imitates them. Of several choices the first is the answer. The answer is
 * complete at a finish reason, or, since some servers never give one, at the token counts that come last.
 */
export const openaiChat: ChunkShape = {
  is(chunk) {
    const { choices, usage } = chunk as Completion
    if (!Array.isArray(choices)) return choices === undefined && isObject(usage) && 'prompt_tokens' in usage
    if (choices.length === 0) return ['model', 'object', 'usage', 'prompt_filter_results'].some((key) => key in chunk)
    return choices.every(isChoice)
  },

  read: (chunk: Completion, reading) => readCompletion(chunk, reading),

  redact: redactCompletion,
}

/** Without the request, what the server's own tools answered (Groq), and the words of a choice's failure. */
export function redactCompletion(chunk: Completion): object {
  const { choices = [] } = chunk
  const rest = withoutRequest(chunk)
  const isPlain = !choices.some((choice) => choice && ('error' in choice || 'executed_tools' in (choice.delta ?? {})))
  return isPlain ? rest : { ...rest, choices: choices.map(redactChoice) }
}

function redactChoice(choice: Choice | null): object | null {
  if (!choice) return choice
  const { delta } = choice
  return emptied(choice, { error: null, delta: delta && emptied(delta, { executed_tools: [] }) })
}

function isChoice(choice: unknown): boolean {
  if (!choice) return true
  if (typeof choice !== 'object') return false
  const { text } = choice as Choice
  return 'delta' in choice || 'finish_reason' in choice || 'finishReason' in choice || typeof text === 'string'
}

/** What a chunk of chat completions says, in either spelling. */
export function readCompletion(chunk: Completion, reading: Reading): void {
  const { choices = [], usage, x_groq: groq } = chunk
  for (const choice of choices) if (choice && (choice.index ?? 0) === 0) readChoice(chunk, choice, reading)
  if (usage) {
    // Some servers count with every chunk: only the chunk without choices is the last one.
    if (choices.length === 0) reading.end()
    readCounts(usage, reading)
  }
  if (groq?.usage) readCounts(groq.usage, reading)
  if (chunk.citations) for (const citation of chunk.citations) readSource(citation, reading)
  // OpenRouter's way of failing in the middle.
  const error = chunk.error || groq?.error
  if (error) reading.error(error)
}

function readChoice(chunk: Completion, choice: Choice, reading: Reading): void {
  const { delta, text } = choice
  if (delta || text) {
    reading.identify(chunk.id, delta?.role !== undefined)
    reading.start(chunk.id, chunk.model, chunk.created)
  }
  reading.text(text)
  if (delta) readDelta(delta, reading)
  if (choice.usage) readCounts(choice.usage, reading)
  const finish = choice.finish_reason ?? choice.finishReason
  if (finish && !chunk.error) reading.end(finish)
}

function readDelta(delta: Delta, reading: Reading): void {
  reading.reasoning(delta.reasoning_content ?? delta.reasoningContent ?? delta.reasoning)
  const details = delta.reasoning_details ?? delta.reasoningDetails
  if (details) for (const detail of details) readDetail(detail, reading)
  readContent(reading, delta.content)
  reading.text(delta.audio?.transcript)
  if (delta.refusal) reading.refused = true
  reading.text(delta.refusal)
  const calls = delta.tool_calls ?? delta.toolCalls
  if (calls) for (const call of calls) readCall(call, reading)
  if (delta.function_call) reading.call('function', delta.function_call.arguments, delta.function_call)
  if (delta.images) for (const image of delta.images) reading.file(undefined, (image.image_url ?? image.imageUrl)?.url)
  if (delta.annotations) for (const annotation of delta.annotations) readAnnotation(annotation, reading)
}

function readDetail({ type, signature, data }: Detail, reading: Reading): void {
  if (type === 'reasoning.encrypted') reading.redacted(data)
  else reading.signature(signature)
}

function readAnnotation(annotation: Annotation, reading: Reading): void {
  reading.citation(annotation.url_citation ?? annotation.urlCitation ?? annotation)
}

function readCall({ index, id, function: called, extra_content: extra }: ToolCall, reading: Reading): void {
  // The SDK of Mistral has the word "null" for a call without an id.
  reading.call(index, called?.arguments, { id: id === 'null' ? undefined : id, name: called?.name })
  reading.signature(extra?.google?.thought_signature)
}

function readCounts(counts: Counts, reading: Reading): void {
  const cache = counts.prompt_tokens_details
  reading.usage({
    inputTokens: counts.prompt_tokens ?? counts.promptTokens,
    outputTokens: counts.completion_tokens ?? counts.completionTokens,
    totalTokens: counts.total_tokens ?? counts.totalTokens,
    cachedInputTokens: cache?.cached_tokens ?? counts.promptTokensDetails?.cachedTokens,
    cacheWriteInputTokens: cache?.cache_write_tokens,
    reasoningTokens:
      counts.completion_tokens_details?.reasoning_tokens ?? counts.completionTokensDetails?.reasoningTokens,
  })
}

/** A source that is told again in each chunk, once. */
function readSource(citation: unknown, reading: Reading): void {
  reading.notes.sources ??= new Set()
  const told = reading.notes.sources as Set<string>
  const key = JSON.stringify(citation)
  if (told.has(key)) return
  told.add(key)
  reading.citation(typeof citation === 'string' ? { url: citation } : citation)
}
