/** What do the chunks of OpenAI's chat completions say, and those of the older completions and of imitations? */
import { isObject } from '../errors.js'
import { failureIn } from './chunk-failure.js'
import { addressOf, readContent } from './content.js'
import { countsOf } from './counts.js'
import { hasKey } from './keys.js'
import { listOf } from './list-of.js'
import type { ChunkShape, Reading } from './reading-state.js'
import { emptied, withoutRequest } from './redact.js'

interface Called {
  name?: string
  arguments?: unknown
}

/** Gemini's OpenAI-compatible API. */
interface Google {
  google?: { thought?: boolean; thought_signature?: string }
}

interface ToolCall extends Called {
  index?: number
  id?: string
  function?: Called | null
  /** A tool whose input is plain text. */
  custom?: { name?: string; input?: string }
  extra_content?: Google
  /** LiteLLM. */
  provider_specific_fields?: { thought_signature?: string }
}

interface Detail {
  type?: string
  text?: string
  summary?: string
  signature?: string
  data?: string
}

interface Source {
  title?: string
  url?: string
  link?: string
  filepath?: string
}

interface Delta {
  role?: string | null
  content?: unknown
  refusal?: string | null
  reasoning_details?: Detail[] | null
  reasoningDetails?: Delta['reasoning_details']
  /** LiteLLM: beside the text of the reasoning. */
  thinking_blocks?: Detail[] | null
  extra_content?: Google | null
  tool_calls?: ToolCall[] | null
  toolCalls?: ToolCall[] | null
  function_call?: Called | null
  audio?: { transcript?: string } | null
  images?: { image_url?: unknown; imageUrl?: unknown }[] | null
  annotations?: { type?: string; url_citation?: object; urlCitation?: object }[] | null
  /** Azure's own search. The documents' content is not for the client. */
  context?: { citations?: Source[] } | null
}

interface Choice {
  index?: number
  delta?: Delta | null
  /** The whole message: instead of the deltas, or repeated after them. */
  message?: Delta | null
  /** In the older completions; other servers repeat the delta here. */
  text?: string
  finish_reason?: string | null
  finishReason?: string | null
  /** DeepSeek through Bedrock. */
  stop_reason?: string | null
  /** OpenRouter, which may set `finish_reason` to `stop` at the same time. */
  native_finish_reason?: string | null
  /** Kimi. */
  usage?: object
  error?: unknown
}

export interface Completion {
  id?: string
  model?: string
  created?: number
  object?: string
  /** Some servers send a single choice without a list. */
  choices?: (Choice | null)[] | Choice | null
  usage?: object | null
  x_groq?: { usage?: object; error?: unknown } | null
  /** Perplexity, xAI: all sources so far, repeated in each chunk. */
  citations?: unknown[] | null
  search_results?: Source[] | null
  /** Volcengine. */
  references?: Source[] | null
  /** Z.ai. */
  web_search?: Source[] | null
  error?: unknown
}

/** Nearly every server has its own name for the reasoning. */
const REASONING = /^(reasoning|thinking|thought)(_?(content|text|steps))?$/i

/**
 * OpenAI chat completions and their imitations. Of several choices, the first is the answer. The answer is complete at
 * a finish reason or, since some servers never give one, at the token counts that come last.
 */
export const openaiChat: ChunkShape = {
  is(chunk) {
    const { choices, usage, object } = chunk as Completion
    if (!choices) return 'inputTokens' in countsOf(usage)
    const list = Array.isArray(choices) ? choices : [choices]
    if (list.length === 0) return hasKey(chunk, 'model', 'object', 'usage', 'prompt_filter_results')
    return list.every(typeof object === 'string' && object.includes('completion') ? isObjectOrNull : isChoice)
  },

  // A gateway's keep-alive, borrowed from another API.
  follows: ({ type }: { type?: unknown }) => type === 'ping',

  read: (chunk: Completion, reading) => readCompletion(chunk, reading),

  redact: redactCompletion,
}

/**
 * The delta or message without what the server's own tools answered (Groq, Azure's search, Z.ai, whose results stand
 * among the calls), and without the content of files.
 */
function withoutAnswers(said: Delta | null | undefined): object | null | undefined {
  const calls = listOf(said?.tool_calls).filter((call) => !isServers(call))
  const annotations = listOf(said?.annotations).filter(({ type }) => type !== 'file')
  return (
    said && emptied(withoutRequest(said), { executed_tools: [], context: undefined, tool_calls: calls, annotations })
  )
}

/** Whether the server runs the call itself: it has a type, but no function or custom tool. */
function isServers(call: ToolCall): boolean {
  return hasKey(call, 'type') && !hasKey(call, 'function', 'custom', 'name', 'arguments')
}

/** The chunk without the request, what the server's own tools answered, and the words of a choice's failure. */
export function redactCompletion(chunk: Completion): object {
  const rest = withoutRequest(chunk)
  const choices = choicesOf(chunk)
  return choices.some(hasAside) ? { ...rest, choices: choices.map(redactChoice) } : rest
}

function hasAside(choice: Choice | null): boolean {
  if (!choice) return false
  const { delta, message } = choice
  const isAnswered = (said: Delta | null | undefined) =>
    isObject(said) &&
    (hasKey(said, 'executed_tools', 'context', 'annotations') ||
      listOf(said.tool_calls).some(isServers) ||
      withoutRequest(said) !== said)
  return 'error' in choice || isAnswered(delta) || isAnswered(message) || withoutRequest(choice) !== choice
}

function redactChoice(choice: Choice | null): object | null {
  if (!choice) return choice
  const { delta, message } = choice
  return emptied(withoutRequest(choice), {
    error: null,
    delta: withoutAnswers(delta),
    message: withoutAnswers(message),
  })
}

function choicesOf({ choices }: Completion): (Choice | null)[] {
  return Array.isArray(choices) ? choices : choices ? [choices] : []
}

function isObjectOrNull(value: unknown): boolean {
  return !value || typeof value === 'object'
}

function isChoice(choice: unknown): boolean {
  if (!choice) return true
  if (typeof choice !== 'object') return false
  if ('delta' in choice || 'finish_reason' in choice || 'finishReason' in choice) return true
  // `choices` in an object of the user's own may have a text, too.
  const { text, message } = choice as Choice
  return (
    (typeof text === 'string' && ('index' in choice || 'logprobs' in choice)) ||
    (isObject(message) && 'role' in message)
  )
}

/** Reads a chunk of chat completions, in either spelling. */
export function readCompletion(chunk: Completion, reading: Reading): void {
  const {
    usage,
    x_groq: groq,
    citations,
    web_search,
    references = web_search,
    search_results: found = references,
  } = chunk
  const choices = choicesOf(chunk)
  for (const choice of choices) if (choice && Number(choice.index ?? 0) === 0) readChoice(chunk, choice, reading)
  if (usage) {
    // Some servers send counts with every chunk or before the answer: only a chunk without choices may be the last one.
    if (choices.length === 0 && reading.isStarted) {
      reading.notes.isCounted = reading.proof === 'missing'
      reading.end()
    }
    reading.counts(usage)
  }
  if (groq?.usage) reading.counts(groq.usage)
  const sources = found?.length ? found : citations
  if (sources) for (const source of listOf(sources)) readSource(source as Source, reading)
  // OpenRouter reports a failure in the middle of a stream like this.
  const error = chunk.error || groq?.error || (choices.length === 0 && failureIn(chunk, false))
  if (error) reading.error(error)
}

function readChoice(chunk: Completion, choice: Choice, reading: Reading): void {
  const { delta, message, text } = choice
  if (delta || text) begin(chunk, delta, reading)
  if (delta) readDelta(delta, reading)
  else if (message) readMessage(chunk, message, reading)
  if (text && !delta?.content) reading.text(text)
  // The counts that were taken for the last chunk were not.
  if (reading.notes.isCounted && reading.parts.length > 0) reading.proof = 'missing'
  if (choice.usage) reading.counts(choice.usage)
  if (choice.error && !chunk.error) reading.error(choice.error)
  const { native_finish_reason: native } = choice
  const finish =
    (/error/i.test(native ?? '') && native) || choice.finish_reason || choice.finishReason || choice.stop_reason
  if (!finish || chunk.error) return
  reading.notes.isCounted = false
  reading.end(finish)
}

function begin({ id, model, created }: Completion, said: Delta | null | undefined, reading: Reading): void {
  reading.identify(id, said)
  reading.start(id, model, created)
}

/**
 * Reads a whole message: all that a server sends without streaming. Others repeat the answer here, with unsent calls.
 */
function readMessage(chunk: Completion, message: Delta, reading: Reading): void {
  if (!reading.isStarted || (reading.proof !== 'missing' && !reading.isOf(chunk.id))) {
    begin(chunk, message, reading)
    readDelta(message, reading)
  } else
    for (const call of listOf(message.tool_calls)) {
      const { id, index = id, function: called } = call
      if (called) reading.calls.whole(index, called.arguments, { id, name: called.name })
    }
}

function readDelta(delta: Delta, reading: Reading): void {
  let reasoning: unknown
  // Most deltas have only `content`.
  for (const key in delta) if (key !== 'content' && REASONING.test(key)) reasoning ||= delta[key as never]
  if (reasoning) reading.reasoning(reasoning)
  const details = delta.reasoning_details ?? delta.reasoningDetails ?? delta.thinking_blocks
  if (details) for (const detail of listOf(details)) readDetail(detail, !!reasoning, reading)
  if (delta.extra_content?.google || reading.notes.isThought) readThought(delta, reading)
  else readContent(reading, delta.content)
  if (delta.audio) reading.text(delta.audio.transcript)
  if (delta.refusal) reading.refused = true
  reading.text(delta.refusal)
  const calls = delta.tool_calls ?? delta.toolCalls
  if (calls) for (const call of listOf(calls)) readCall(call, reading)
  // Some gateways say a call in the old words as well.
  if (delta.function_call && listOf(calls).length === 0)
    reading.call('function', delta.function_call.arguments, delta.function_call)
  if (delta.images)
    for (const { image_url, imageUrl } of listOf(delta.images))
      reading.file(undefined, addressOf(image_url ?? imageUrl))
  if (delta.annotations)
    for (const annotation of listOf(delta.annotations)) {
      const { type, url_citation, urlCitation = url_citation } = annotation
      // OpenRouter's `file` annotations hold what it read in a file, for the next request.
      if (type !== 'file' && Object.keys(annotation).length > 0) reading.citation(urlCitation ?? annotation)
    }
  if (delta.context) for (const source of listOf(delta.context.citations)) readSource(source, reading)
}

/**
 * Reads Gemini's thoughts: content with a flag and in a tag, whose closing part may stand at the start of the answer.
 */
function readThought({ content, extra_content: extra }: Delta, reading: Reading): void {
  const { thought, thought_signature: signature } = extra?.google ?? {}
  const { notes } = reading
  if (typeof content !== 'string') readContent(reading, content)
  else if (!thought) reading.text(notes.isThought ? content.replace(/^<\/thought>/, '') : content)
  else {
    const [said, answer] = content.split('</thought>')
    reading.reasoning(said?.replace(/^<thought>/, ''))
    reading.text(answer)
  }
  if (content) notes.isThought = thought === true
  reading.signature(signature)
}

/** Reads a detail of the reasoning, whose text usually stands beside it, too (`isTold`). */
function readDetail({ type, text, summary, signature, data }: Detail, isTold: boolean, reading: Reading): void {
  if (!isTold) reading.reasoning(text ?? summary)
  if (type === 'reasoning.encrypted' || type === 'redacted_thinking') reading.redacted(data)
  else reading.signature(signature)
}

function readCall(call: ToolCall, reading: Reading): void {
  if (!isObject(call)) throw new TypeError('A tool call is no object')
  const { index, id, custom, extra_content: extra, provider_specific_fields: more } = call
  const called = call.function ?? call
  if (Object.keys(call).length === 0 || isServers(call)) return
  if (custom) reading.calls.text(index, custom.input ?? '', { id, name: custom.name })
  else reading.call(index ?? undefined, called.arguments, { id, name: called.name })
  reading.signature(extra?.google?.thought_signature ?? more?.thought_signature)
}

/** Reads a source once: each chunk may repeat it. */
function readSource(source: Source | string, reading: Reading): void {
  const citation = typeof source === 'string' ? { url: source } : source
  const { link, url = link, title, filepath } = citation
  reading.notes.sources ??= new Set()
  const told = reading.notes.sources as Set<string>
  const key = url ?? JSON.stringify(citation)
  if (told.has(key)) return
  told.add(key)
  reading.citation(url || title ? { url, title, ...(filepath && { filepath }) } : citation)
}
