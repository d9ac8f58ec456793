/** What do LangGraph's streams say, in each of their modes, and those of its platform's client? */
import { isObject } from '../errors.js'
import { isPart } from './is-part.js'
import { hasKey } from './keys.js'
import {
  interrupt,
  langchainRunEvents,
  type Message,
  type ModelEvent,
  messageOf,
  messagesIn,
  readEnd,
  readMessage,
  readModelEvent,
  readWhole,
  wordOf,
} from './langchain.js'
import { listOf } from './list-of.js'
import type { ChunkShape, Reading } from './reading-state.js'

const MODE = /^(messages|updates|values|custom|debug|tasks|checkpoints|tools)$/

/** What has been read of a run: modes repeat each other. */
interface Told {
  /** The ids of the messages of which pieces, or the whole, were read. */
  readonly ids: Set<string>
  hasPieces: boolean
  /** The first state came. Its messages are the request or an earlier run's, and never count, whatever repeats them. */
  hasState: boolean
  readonly asked: Set<unknown>
}

function toldOf({ kept }: Reading): Told {
  kept.told ??= { ids: new Set(), hasPieces: false, hasState: false, asked: new Set() } satisfies Told
  return kept.told as Told
}

/**
 * What `graph.stream()` yields with `messages` among its modes, with several modes, or with subgraphs:
 * `[message, metadata]`, `[mode, chunk]`, `[namespace, chunk]` or `[namespace, mode, chunk]`. The answer is complete
 * when its last message is.
 */
export const langgraph: ChunkShape = {
  hasResults: true,

  is(chunk) {
    if (!Array.isArray(chunk)) return false
    const [first, second, third] = chunk as unknown[]
    const { length } = chunk as unknown[]
    if (length === 2) return isTuple(first, second) || isMode(first) || (isNamespace(first) && isState(second))
    return length === 3 && isNamespace(first) && isMode(second) && third !== undefined
  },

  read(chunk: unknown[], reading: Reading) {
    const last = chunk.at(-1)
    const mode = chunk.at(-2)
    if (isMode(mode)) readMode(mode, last, reading)
    else if (messageOf(mode)) readTuple(chunk, reading)
    else if (Array.isArray(last)) readTuple(last, reading)
    else readState(last, reading)
  },
}

/** What `graph.stream()` yields with `updates` or `values` alone: an object that contains messages. */
export const langgraphState: ChunkShape = {
  hasResults: true,

  is: isState,

  read: (chunk: object, reading) => readState(chunk, reading),
}

/** The events of `streamEvents` version 3. */
export const langgraphEvents: ChunkShape = {
  hasResults: true,

  signalOnly: () => 'LangGraph',

  is(chunk) {
    const { type, method, params } = chunk as { type?: unknown; method?: unknown; params?: unknown }
    return type === 'event' && typeof method === 'string' && isObject(params)
  },

  read({ method, params }: { method: string; params: { namespace?: string[]; data?: unknown } }, reading) {
    const { namespace = [], data } = params
    if (method === 'messages') readModelEvent(data as ModelEvent, reading, namespace.join('|'))
    else if (method === 'custom') readCustom(data, reading)
    else if (method === 'tools') readTool(data as ToolEvent, reading)
    else if (method === 'values' && isObject(data) && '__interrupt__' in data)
      interrupt((data as { __interrupt__: unknown }).__interrupt__, reading)
    else if (method === 'lifecycle' && (data as ToolEvent)?.event === 'failed')
      reading.failed((data as { error?: unknown }).error)
  },
}

interface Step {
  event?: string
  toolCallId?: string
  name?: string
  output?: { content?: unknown; status?: string }
}

/**
 * What `graph.stream()` yields with `debug`, `tasks`, `checkpoints` or `tools` alone: these chunks contain the prompts.
 */
export const langgraphSteps: ChunkShape = {
  hasResults: true,

  is(chunk) {
    const { step, payload, id, name, interrupts, values, metadata, event, toolCallId } = chunk as Record<
      string,
      unknown
    >
    if (typeof event === 'string') return event.startsWith('on_tool_') && typeof toolCallId === 'string'
    if (typeof step === 'number') return isObject(payload) && 'timestamp' in chunk
    if (typeof id === 'string' && typeof name === 'string') return Array.isArray(interrupts)
    return isObject(values) && isObject(metadata) && 'next' in chunk
  },

  read({ event, toolCallId, name, output }: Step, reading) {
    if (event === 'on_tool_end' && toolCallId) {
      const message = messageOf(output)
      reading.result(toolCallId, message?.content ?? output, name, message?.status === 'error')
    }
  },
}

interface PlatformEvent {
  event: string
  data: unknown
}

/** What `client.runs.stream()` of @langchain/langgraph-sdk yields, and what LangGraph's own event streams hold. */
export const langgraphPlatform: ChunkShape = {
  hasResults: true,

  signalOnly: () => 'LangGraph',

  is(chunk) {
    const { event, data } = chunk as PlatformEvent
    if (typeof event !== 'string') return false
    const [name = ''] = event.split('|')
    // LangServe's `metadata` has only the id.
    if (name === 'metadata') return isObject(data) && 'run_id' in data && Object.keys(data).length > 1
    if (name === 'messages') return Array.isArray(data) && isTuple(data[0], data[1])
    if (name === 'values' || name === 'updates') return isState(data)
    // A graph's reports on its own steps.
    if (/^(debug|tasks|checkpoints)$/.test(name)) return hasKey(data, 'payload', 'interrupts', 'triggers', 'metadata')
    return /^messages\/(partial|complete|metadata)$/.test(name) && isObject(data)
  },

  follows: ({ event, data }: PlatformEvent) =>
    data !== undefined &&
    /^(messages|updates|values|custom|debug|tasks|checkpoints|tools|events|error|end|feedback)\b/.test(event),

  read({ event, data }: PlatformEvent, reading: Reading) {
    const [name = ''] = event.split('|')
    if (name === 'messages/partial' || name === 'messages/complete') readPartial(data as Message[], reading)
    else if (name === 'error') reading.error(data)
    else if (name === 'events') readRunEvent(data, reading)
    else readMode(name, data, reading)
  },
}

/** Reads what `streamEvents` would yield. */
function readRunEvent(data: unknown, reading: Reading): void {
  if (isObject(data) && langchainRunEvents.is(data)) langchainRunEvents.read(data as never, reading)
}

interface ToolEvent {
  event?: string
  tool_call_id?: string
  tool_name?: string
  output?: unknown
}

function isMode(value: unknown): value is string {
  return typeof value === 'string' && MODE.test(value)
}

function isNamespace(value: unknown): boolean {
  return Array.isArray(value) && value.every((name) => typeof name === 'string')
}

function isTuple(message: unknown, metadata: unknown): boolean {
  return messageOf(message) !== undefined && isObject(metadata)
}

/** Whether the value is `{ messages }`, a node's output `{ node: { messages } }`, or an interrupt. */
function isState(value: unknown): value is object {
  if (!isObject(value)) return false
  if (Array.isArray(value)) return isTuple(value[0], value[1])
  return '__interrupt__' in value || [value, ...Object.values(value)].some((inner) => messagesOf(inner).length > 0)
}

/** The messages of a state or of a node's output. */
function messagesOf(value: unknown): Message[] {
  return messagesIn(listOf((value as { messages?: unknown } | null | undefined)?.messages))
}

function readMode(mode: string, chunk: unknown, reading: Reading): void {
  if (mode === 'messages') readTuple(chunk as unknown[], reading)
  else if (mode === 'custom') readCustom(chunk, reading)
  else if (mode === 'updates' || mode === 'values') readState(chunk, reading)
}

function readTuple([first]: unknown[], reading: Reading): void {
  const message = messageOf(first)
  if (!message) return
  const { id } = message
  const told = toldOf(reading)
  if (Array.isArray(message.tool_call_chunks)) {
    told.hasPieces = true
    readMessage(message, reading, id ?? '')
  } else if (!id || !told.ids.has(id)) readWhole(message, false, reading)
  if (id) told.ids.add(id)
}

/** Reads a node's output or the whole state: the messages in it that were not read before. */
function readState(chunk: unknown, reading: Reading): void {
  if (!isObject(chunk)) return
  if ('__interrupt__' in chunk) interrupt(chunk.__interrupt__, reading)
  const told = toldOf(reading)
  const state = messagesOf(chunk)
  const isState = state.length > 0
  const isAsked = isState && !told.hasState
  told.hasState ||= isState
  for (const message of isState ? state : Object.values(chunk).flatMap(messagesOf)) {
    const { id, tool_call_id: answered } = message
    const isTold = id ? told.ids.has(id) : told.hasPieces
    if (id) told.ids.add(id)
    if (isAsked && !isTold) told.asked.add(id)
    if (!isAsked && !told.asked.has(id) && !(isTold && (isState || answered))) readWhole(message, isTold, reading)
  }
}

/** Reads what a node wrote for the client: a part, or data. */
function readCustom(value: unknown, reading: Reading): void {
  if (isObject(value) && isPart(value)) reading.parts.push(value)
  else reading.data('custom', value)
}

function readTool({ event, tool_call_id: id, tool_name: name, output }: ToolEvent, reading: Reading): void {
  if (event === 'tool-finished' && id) reading.result(id, output, name)
}

/** Reads messages that repeat their whole text so far: only the rest is new. */
function readPartial(messages: Message[], reading: Reading): void {
  for (const message of listOf(messages)) {
    const { id, content, tool_call_id: answered } = message
    if (answered || !/^ai/i.test(message.type ?? '') || !id) continue
    const text =
      typeof content === 'string'
        ? content
        : listOf(content)
            .map(({ text = '' }) => text)
            .join('')
    const { partial } = reading.notes
    if (text !== '' && !reading.notes[id] && partial !== undefined && partial !== id) reading.begin()
    reading.notes.partial = id
    reading.text(reading.restOf(text, id))
    toldOf(reading).ids.add(id)
    // Until the message ends, its calls are only what could be parsed so far.
    if (message.usage_metadata || wordOf(message) !== undefined) readEnd(message, false, reading)
  }
}
