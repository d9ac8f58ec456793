/** What do the messages and events of LangChain's models say? LangGraph's streams are made of them. */
import { isObject } from '../errors.js'
import { readContent } from './content.js'
import { hasKey } from './keys.js'
import { listOf } from './list-of.js'
import type { ChunkShape, Reading } from './reading-state.js'

interface ToolCallChunk {
  id?: string | null
  name?: string | null
  args?: string | null
  index?: number | string
}

interface Block {
  type?: string
  text?: string
  thinking?: string
  reasoning?: string
  signature?: string
  /** In an image block. */
  url?: string
  data?: string
  mimeType?: string
  /** In a tool call block of a model's events. */
  id?: string
  name?: string
  args?: unknown
}

interface Counts {
  input_tokens?: number
  output_tokens?: number
  input_token_details?: { cache_read?: number; cache_creation?: number }
  output_token_details?: { reasoning?: number }
}

/** A message, or a piece of one: an instance, or its fields as JSON. */
export interface Message {
  id?: string | null
  /** Missing before LangChain 1. */
  type?: string
  name?: string
  content?: string | Block[]
  tool_call_chunks?: ToolCallChunk[]
  tool_calls?: { id?: string; name?: string; args?: unknown }[]
  /** In a tool's answer. */
  tool_call_id?: string
  status?: string
  additional_kwargs?: { reasoning_content?: unknown; stop_reason?: string; refusal?: string }
  response_metadata?: Record<string, unknown> & { incomplete_details?: { reason?: string } | null }
  usage_metadata?: Counts | null
}

/** An event of `streamEvents` without a version: part of one message. */
export interface ModelEvent {
  event: string
  index?: number
  content?: Block
  delta?: { text?: string; reasoning?: string; args?: string; fields?: Block }
  reason?: string
  usage?: Counts
  message?: string
  code?: string
}

interface RunEvent {
  event: string
  name?: string
  run_id: string
  data?: { chunk?: { text?: string; __interrupt__?: unknown }; output?: unknown; error?: unknown }
}

/**
 * The message in a value: an instance of LangChain's classes, or its JSON, which may hold the fields one level deeper.
 */
export function messageOf(value: unknown): Message | undefined {
  const { lc, kwargs } = (value ?? {}) as { lc?: unknown; kwargs?: unknown }
  const message = lc === 1 ? kwargs : value
  if (!isObject(message)) return
  const { tool_call_chunks: chunks, response_metadata: metadata, additional_kwargs: extra } = message as Message
  const isMessage = isObject(metadata) && (Array.isArray(chunks) || ('content' in message && isObject(extra)))
  return isMessage ? (message as Message) : undefined
}

/**
 * LangChain's models: `model.stream()`. The answer is complete at a finish reason, or at token counts that come without
 * content after some content. A model that sends neither its name nor a reason is complete when its stream ends.
 */
export const langchain: ChunkShape = {
  signalOnly: () => 'LangChain',

  is: (chunk) => messageOf(chunk) !== undefined || messagesIn(chunk).length > 0,

  read(chunk: object, reading) {
    const message = messageOf(chunk)
    for (const one of message ? [message] : messagesIn(chunk)) {
      if (Array.isArray(one.tool_call_chunks)) readMessage(one, reading, message ? undefined : (one.id ?? ''))
      else readWhole(one, false, reading)
    }
  },
}

/** The messages in a list, or in what a map of runnables yields (keyed by speaker), if all its values are messages. */
export function messagesIn(values: object): Message[] {
  const messages: Message[] = []
  for (const value of Object.values(values)) {
    const message = messageOf(value)
    if (!message) return []
    messages.push(message)
  }
  return messages
}

const MODEL_EVENT =
  /^(message-start|content-block-start|content-block-delta|content-block-finish|usage|provider|message-finish|error)$/

/** `streamEvents` without a version. The answer is complete at a `message-finish` that has a reason. */
export const langchainModelEvents: ChunkShape = {
  signalOnly: () => 'LangChain',

  is(chunk) {
    const { event } = chunk as ModelEvent
    if (!MODEL_EVENT.test(event) || 'data' in chunk) return false
    // A message that was cut ends with an event that has no other keys.
    return (
      hasKey(chunk, 'index', 'id', 'usage', 'reason', 'provider') ||
      (event === 'error' ? typeof (chunk as ModelEvent).message === 'string' : Object.keys(chunk).length === 1)
    )
  },

  read: (event: ModelEvent, reading) => readModelEvent(event, reading),
}

/** `streamEvents` version 2. The model's input, and the whole message at its end, are skipped. */
export const langchainRunEvents: ChunkShape = {
  hasResults: true,

  signalOnly: () => 'LangChain',

  is(chunk) {
    const { event } = chunk as RunEvent
    return typeof event === 'string' && event.startsWith('on_') && 'run_id' in chunk
  },

  read({ event, name, run_id: id, data }: RunEvent, reading: Reading) {
    const { chunk, output } = data ?? {}
    const message = messageOf(chunk ?? output)
    // Version 1 uses `llm` for chat models, too.
    if (/^on_(chat_model|llm)_stream$/.test(event) && message) readMessage(message, reading, id)
    else if (event === 'on_chat_model_end' && message) {
      // A model that does not stream sends only this event.
      if (messagesOf(reading).states.has(id)) readEnd(message, true, reading, id)
      else readWhole(message, false, reading)
    } else if (event === 'on_llm_stream') reading.text(chunk?.text)
    else if (event === 'on_tool_end' && message) readAnswer(message, reading)
    else if (/^on_(chain|llm|chat_model)_error$/.test(event)) reading.failed(data?.error ?? data)
    else if (event === 'on_chain_stream' && chunk?.__interrupt__) interrupt(chunk.__interrupt__, reading)
    else if (event === 'on_custom_event') reading.data(name ?? 'custom', data)
  },
}

/** What has been received of a message. */
interface MessageState {
  hasContent?: boolean
  hasEnded?: boolean
}

/** The messages of a run. Pieces of several may be interleaved. */
interface Messages {
  readonly states: Map<string, MessageState>
  latest: string
  /** Messages that went on after another began, and have not ended: the answer is not complete before they have. */
  readonly open: Set<string>
  /** Whether the answer needs the model's own proof that it is complete. */
  needsProof: boolean
}

function messagesOf({ kept, upstream }: Reading): Messages {
  // In an upstream's stream a cut looks like an end, so proof is needed.
  kept.messages ??= { states: new Map(), latest: '', open: new Set(), needsProof: !!upstream } satisfies Messages
  return kept.messages as Messages
}

/** The state of the message that a piece belongs to. A new message begins another answer if the last one has ended. */
function stateOf(id: string | null | undefined, reading: Reading): MessageState {
  const run = messagesOf(reading)
  const { states, latest, open } = run
  const key = id || latest
  const known = states.get(key) ?? {}
  if (key !== latest && !known.hasEnded) {
    const last = states.get(latest)
    if (states.has(key)) {
      if (!last?.hasEnded) open.add(latest)
      reading.paragraph('text')
      reading.proof = 'missing'
    } else if (last) follow(reading)
    run.latest = key
  }
  states.set(key, known)
  return known
}

/** Another message begins. If the last one has not ended, their pieces may be interleaved. */
function follow(reading: Reading): void {
  if (reading.proof === 'missing') reading.paragraph('text')
  else reading.begin()
}

/** A message has ended, and so has the answer unless another message goes on. */
function endMessage(id: string | null | undefined, word: string | undefined, reading: Reading): void {
  const { states, latest, open } = messagesOf(reading)
  const key = id || latest
  const known = states.get(key) ?? {}
  known.hasEnded = true
  states.set(key, known)
  open.delete(key)
  if (open.size === 0) reading.end(word)
  else if (word) reading.finish(word)
}

/** Reads a piece of a message. `of` is the message's id where pieces of several are interleaved. */
export function readMessage(message: Message, reading: Reading, of?: string): void {
  const { content, tool_call_chunks: calls = [], additional_kwargs: extra = {}, response_metadata = {} } = message
  const id = of ?? message.id
  const hasContent = isFull(content) || calls.length > 0 || !!extra.reasoning_content
  const word = wordOf(message)
  const state = stateOf(id, reading)
  const run = messagesOf(reading)
  const didAsk = run.needsProof
  run.needsProof ||= word !== undefined || !!message.usage_metadata || 'model_provider' in response_metadata

  reading.reasoning(extra.reasoning_content)
  // Over the Responses API the last piece repeats the reasoning.
  const isLast = 'status' in response_metadata && Array.isArray(content)
  readContent(reading, isLast ? content.filter(({ type }) => type !== 'reasoning') : content)
  if (extra.refusal) reading.refused = true
  reading.text(extra.refusal)
  for (const { index, id: callId, name, args } of calls) {
    reading.call(of === undefined ? index : `${of}:${index}`, args, { id: callId, name })
  }
  const hasOutput = countIn(message, reading)
  if (word !== undefined || (hasOutput && state.hasContent && !hasContent)) endMessage(id, word, reading)
  // A model that sends neither its name nor counts will not say why it stopped.
  else if (!run.needsProof) reading.proof = 'given'
  else if (!didAsk) reading.proof = 'missing'
  state.hasContent ||= hasContent
}

/** Reads a whole message: its text, unless its pieces came (`isTold`), and why it ended. */
export function readWhole(message: Message, isTold: boolean, reading: Reading): void {
  readAnswer(message, reading)
  if (!Array.isArray(message.tool_calls)) return
  if (!isTold) {
    reading.begin()
    // Pieces of another message may follow.
    stateOf(message.id ?? '\0', reading)
    reading.reasoning(message.additional_kwargs?.reasoning_content)
    readContent(reading, message.content)
  }
  readEnd(message, isTold, reading)
}

/**
 * Reads the calls of a whole message, why it ended, and its counts. If its pieces came (`isTold`) the counts are known,
 * and better: LangChain adds up what Anthropic counts twice. For a model that gives no reason the counts mark the end,
 * except for Anthropic's, which are also sent at the beginning.
 */
export function readEnd(message: Message, isTold: boolean, reading: Reading, id = message.id): void {
  const word = wordOf(message)
  const isCounted = !isTold && countIn(message, reading)
  if (!isTold) for (const { id, name, args } of message.tool_calls ?? []) reading.calls.whole(id, args, { id, name })
  const provider = message.response_metadata?.model_provider
  const hasEnded = isCounted ? provider !== 'anthropic' : !isTold && provider === undefined
  if (word !== undefined || hasEnded) endMessage(id, word, reading)
}

function readAnswer({ tool_call_id: id, content, name, status }: Message, reading: Reading): void {
  if (id) reading.result(id, content, name, status === 'error')
}

function isFull(content: Message['content']): boolean {
  return Array.isArray(content)
    ? content.some(({ text, thinking, reasoning }) => text || thinking || reasoning)
    : !!content
}

/** The provider's word for the end, wherever its LangChain package puts it. */
export function wordOf({ response_metadata: metadata = {}, additional_kwargs: extra }: Message): string | undefined {
  const { status, incomplete_details: details } = metadata
  // Over the Responses API an answer that goes on has a status, too.
  const ended = status === 'in_progress' || status === 'queued' ? undefined : status
  const words = [
    metadata.finish_reason,
    metadata.finishReason,
    metadata.stop_reason,
    metadata.stopReason,
    metadata.done_reason,
    extra?.stop_reason,
    details?.reason,
    ended,
  ]
  return words.find((word): word is string => typeof word === 'string' && word !== '')
}

/**
 * Reads counts. LangChain adds up counts that come in pieces, and Anthropic sends its first and last counts in full, so
 * a later count that is not zero replaces the earlier one. Returns whether there are output tokens.
 */
function readCounts(counts: Counts | null | undefined, reading: Reading): boolean {
  if (!counts) return false
  reading.counts({ ...counts, total_tokens: undefined })
  const { inputTokens = Number.NaN, outputTokens = Number.NaN } = reading.counted
  reading.usage({ totalTokens: inputTokens + outputTokens })
  return !!counts.output_tokens
}

/** Reads a message's counts. Some packages have them only under their provider's names, which say nothing of the end. */
function countIn({ usage_metadata: counts, response_metadata: metadata }: Message, reading: Reading): boolean {
  if (!counts && reading.counted.inputTokens === undefined)
    reading.counts(metadata?.usage ?? metadata?.tokenUsage ?? metadata?.token_usage)
  return readCounts(counts, reading)
}

interface Interrupt {
  value?: { actionRequests?: Action[]; action_requests?: Action[] } | null
}
interface Action {
  name?: string
}

/**
 * A graph waits for a person. If no message has come, that is the whole answer. The question may be anything;
 * LangChain's own middleware asks by name whether tools may run, and expects the answers in the same order.
 */
export function interrupt(told: unknown, reading: Reading): void {
  for (const { value } of listOf(told as Interrupt[]))
    for (const { name } of listOf(value?.actionRequests ?? value?.action_requests)) if (name) reading.calls.ask(name)
  reading.wait()
  if (messagesOf(reading).states.size === 0) reading.end()
}

/** Reads a model's event. `of` names the message where several are interleaved. */
export function readModelEvent(chunk: ModelEvent, reading: Reading, of = ''): void {
  const { event, index = 0, content, delta, usage, reason } = chunk
  const key = `${of}:${index}`
  const id = `\0${of}`
  if (event === 'message-start') {
    const { states, open, latest } = messagesOf(reading)
    // Under one `of`, messages follow each other.
    if (states.delete(id) && latest === id) follow(reading)
    open.delete(id)
  }
  stateOf(id, reading)
  switch (event) {
    case 'message-start':
      readCounts(usage, reading)
      break
    case 'content-block-start':
      if (content?.type === 'tool_call_chunk') {
        reading.call(key, content.args, content)
        reading.notes[key] = content.args
      }
      reading.text(content?.text)
      reading.reasoning(content?.reasoning)
      break
    case 'content-block-delta':
      reading.text(delta?.text)
      reading.reasoning(delta?.reasoning)
      if (delta?.args !== undefined) reading.call(key, delta.args)
      if (delta?.fields) readFields(key, delta.fields, reading)
      break
    case 'content-block-finish':
      if (content?.type === 'tool_call') reading.calls.whole(key, content.args, content)
      else if (content?.type === 'invalid_tool_call') reading.reject(key, content, content.args)
      else if (content?.type === 'image') reading.file(content.mimeType, content.url, content.data)
      break
    case 'usage':
      readCounts(usage, reading)
      break
    case 'message-finish':
      readCounts(usage, reading)
      if (reason) endMessage(id, reason, reading)
      break
    case 'error':
      reading.error(chunk)
  }
}

/** Reads the fields of a block as they are so far: of a call's arguments only the rest is new. */
function readFields(key: string, { type, args, id, name, signature }: Block, reading: Reading): void {
  if (type !== 'tool_call_chunk') reading.signature(signature)
  else if (typeof args === 'string') {
    const rest = reading.restOf(args, key)
    if (rest === undefined) reading.calls.whole(key, args, { id, name })
    else reading.call(key, rest, { id, name })
  }
}
