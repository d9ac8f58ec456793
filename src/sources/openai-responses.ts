/** What do the events of the OpenAI Responses API say? */
import { isObject } from '../errors.js'
import { listOf } from './list-of.js'
import type { ChunkShape, Reading } from './reading-state.js'
import { emptied, withoutRequest } from './redact.js'

interface OutputItem {
  id?: string
  type?: string
  call_id?: string
  name?: string
  arguments?: string
  input?: string
  /** In `apply_patch_call`. */
  operation?: unknown
  /** In `shell_call`, `local_shell_call` and `computer_call`. */
  action?: unknown
  actions?: unknown
  /** Where the shell runs. */
  environment?: { type?: string } | null
  /** In calls of the API's own tools: the input. */
  code?: string
  queries?: unknown
  /** In calls of the API's own tools: the result. */
  output?: unknown
  outputs?: unknown
  results?: unknown
  error?: unknown
  /** In an image. */
  result?: string
  output_format?: string
  /** In reasoning. */
  encrypted_content?: string | null
  summary?: Content[]
  /** In a message and in reasoning. */
  content?: Content[]
}

interface Content {
  type?: string
  text?: string
  refusal?: string
  annotations?: unknown[]
}

export interface ResponsesEvent {
  type: string
  delta?: string
  text?: string
  refusal?: string
  output_index?: number
  item_id?: string
  summary_index?: number
  name?: string
  arguments?: string
  input?: string
  item?: OutputItem
  annotation?: unknown
  error?: unknown
  /** In events of an image and of a transcription. */
  b64_json?: string
  output_format?: string
  usage?: object
  response?: {
    id?: string
    model?: string
    created_at?: number
    output?: OutputItem[]
    error?: unknown
    status?: string
    incomplete_details?: { reason?: string } | null
    status_details?: { reason?: string; error?: unknown } | null
    usage?: object | null
  }
}

/** Fields that repeat the request, with their empty values. */
const ASKED = {
  conversation: null,
  error: null,
  input: [],
  instructions: null,
  metadata: {},
  previous_response_id: null,
  prompt: null,
  prompt_cache_key: null,
  safety_identifier: null,
  text: { format: { type: 'text' } },
  tool_choice: 'auto',
  tools: [],
  user: null,
}

/** Results of the API's own tools, with their empty values. */
const ANSWERED = { output: null, outputs: null, result: null, results: null, error: null, tools: [] }

/** Calls that a client runs; below, those that the API runs itself. */
const CLIENT_CALL = /^(function|custom_tool|apply_patch|shell|local_shell|computer)_call$/
const API_CALL = /(?<!^image_generation)_call$/
/** Searches that xAI runs itself, although they look like calls of a client's custom tool. */
const XAI_SEARCH = /^x_(\w+_search|thread_fetch)$/
/** Items that are not calls. */
const ITS_OWN = /^(message|reasoning|compaction|image_generation_call)$/
/** Reasoning, or a summary of it. */
const THOUGHT = /^response\.(reasoning|thinking)(?!_summary_part)\w*\.(delta|done)$/
/** Of the Realtime API: what a session is told, and what its user says. */
const SESSION = /^(session|conversation|(in|out)put_audio_buffer|rate_limits)\./

/**
 * The OpenAI Responses API. The answer is complete at `response.completed` or `response.incomplete`. No SDK throws for
 * the event `response.failed`.
 */
export const openaiResponses: ChunkShape = {
  // Agent servers that send no beginning send no end either (MLflow, Snowflake).
  hasEnd: ({ isStarted }) => isStarted,

  is(chunk) {
    const { type, sequence_number: sequence } = chunk as { type?: unknown; sequence_number?: unknown }
    return (
      typeof type === 'string' &&
      (/^(response\.|transcript\.text\.|image_(generation|edit)\.(partial_image|completed)$)/.test(type) ||
        (/^(error|keepalive)$/.test(type) && typeof sequence === 'number') ||
        (SESSION.test(type) && 'event_id' in chunk))
    )
  },

  // Snowflake's agents repeat their whole answer at the end.
  follows: (chunk: { type?: unknown; content?: unknown }) => chunk.type === undefined && Array.isArray(chunk.content),

  event: (chunk: { type: string }) => chunk.type,

  // The response repeats the request, and items hold what tools answered.
  redact(event: ResponsesEvent) {
    const { response, item, type } = event
    if (!type) return {}
    if (SESSION.test(type)) return { type }
    const rest = withoutRequest(event)
    if (item) return { ...rest, item: withoutAnswer(item) }
    if (/_call_output/.test(type)) return emptied(rest, { delta: null, output: null })
    if (!response) return rest
    const { output } = response
    return {
      ...rest,
      response: { ...emptied(response, ASKED), ...(Array.isArray(output) && { output: output.map(withoutAnswer) }) },
    }
  },

  read(event: ResponsesEvent, reading: Reading) {
    const { type, delta, item, response } = event
    const index = keyOf(event, reading)
    const { notes } = reading
    switch (type) {
      case 'response.created':
        reading.begin()
        reading.start(response?.id, response?.model, response?.created_at)
        break
      case 'response.refusal.delta':
        reading.refused = true
        reading.text(delta)
        break
      case 'response.output_text.delta':
      case 'response.audio.transcript.delta':
      case 'response.audio_transcript.delta':
      case 'response.output_audio_transcript.delta':
      case 'response.text.delta':
      case 'transcript.text.delta':
        reading.text(delta ?? event.text)
        break
      case 'response.reasoning_summary_part.added':
        reading.paragraph('reasoning')
        break
      // The whole of what came in pieces: it counts only if there were none.
      case 'response.output_text.done':
      case 'response.refusal.done':
        readContent([event], reading)
        break
      case 'response.output_item.added':
        if (item) readItem(index, item, false, reading)
        break
      case 'response.output_item.done':
        if (item) readItem(index, item, true, reading)
        break
      case 'response.function_call_arguments.delta':
      case 'response.mcp_call_arguments.delta':
        if (delta) reading.call(index, delta)
        break
      case 'response.custom_tool_call_input.delta':
        // In a chunk that is read alone, nobody knows whether a piece is the first.
        if (delta && !reading.isSingle) reading.calls.text(index, delta)
        break
      case 'response.function_call_arguments.done':
      case 'response.mcp_call_arguments.done':
        // The name and the id usually come with the item.
        if (event.arguments !== undefined && reading.calls.isNamed(index)) reading.calls.whole(index, event.arguments)
        else if (event.name) notes.alone = [...((notes.alone as ResponsesEvent[] | undefined) ?? []), event]
        break
      case 'response.custom_tool_call_input.done':
        if (reading.calls.isNamed(index)) reading.calls.whole(index, JSON.stringify(event.input ?? ''))
        break
      case 'response.output_text.annotation.added':
        notes.cited = true
        reading.citation(event.annotation)
        break
      case 'transcript.text.done':
        readContent([event], reading)
        reading.counts(event.usage)
        reading.end('stop')
        break
      case 'image_generation.completed':
      case 'image_edit.completed':
        reading.image(event.b64_json, event.output_format)
        reading.counts(event.usage)
        reading.end('stop')
        break
      case undefined:
        reading.end('stop')
        break
      case 'response.completed':
      case 'response.incomplete':
      case 'response.failed':
      case 'response.cancelled':
      case 'response.done':
        readEnd(type, response ?? {}, reading)
        break
      default:
        if (THOUGHT.test(type)) readThought(event, reading)
        else if (type.endsWith('error')) reading.error(event.error ?? event)
    }
  },
}

/** The key of the event's item. Some servers send another item's `output_index`, or none; others vary the id. */
function keyOf({ item_id, item, output_index }: ResponsesEvent, reading: Reading): number | string {
  const id = item_id ?? item?.id
  return id !== undefined && reading.hasCalls && reading.calls.has(id) ? id : (output_index ?? id ?? 0)
}

function withoutAnswer(item: OutputItem): object {
  const type = item?.type ?? ''
  return isObject(item)
    ? emptied(item, CLIENT_CALL.test(type) || ITS_OWN.test(type) ? { error: null } : ANSWERED)
    : item
}

/** Reads a piece of reasoning, or the whole at its end unless pieces came. */
function readThought({ type, delta, text, summary_index: index }: ResponsesEvent, reading: Reading): void {
  const { notes } = reading
  if (type.endsWith('done')) {
    if (!reading.isTold('reasoning')) reading.reasoning(text)
    return
  }
  if (index !== notes.summary && notes.summary !== undefined) reading.paragraph('reasoning')
  notes.summary = index
  reading.reasoning(delta ?? text)
}

/** Reads a message's whole text and its sources, unless pieces of them came. */
function readContent(content: Content[], reading: Reading): void {
  const isTold = reading.isTold('text')
  const isCited = reading.isSingle || reading.notes.cited
  for (const { text, refusal, annotations } of content) {
    if (!isCited) for (const annotation of listOf(annotations)) reading.citation(annotation)
    if (isTold) continue
    if (refusal) reading.refused = true
    reading.text(text ?? refusal)
  }
}

function readItem(index: number | string, item: OutputItem, isDone: boolean, reading: Reading): void {
  const { type = '', id, call_id: callId } = item
  reading.notes.hasItems = true
  const key = callId ?? id
  if (CLIENT_CALL.test(type)) {
    // In a chunk that is read alone, nobody knows the pieces before it.
    if (isDone && reading.isSingle) return
    const isServers = item.environment ? item.environment.type !== 'local' : XAI_SEARCH.test(item.name ?? '')
    const executed = isServers || undefined
    const head = { id: key, name: nameOf(item), executed }
    const value = inputOf(item)
    if (isDone) reading.calls.whole(index, value, head)
    else reading.call(index, '', { ...head, given: item.input === undefined && value })
    reading.calls.alias(index, id)
  } else if (type.endsWith('_call_output')) {
    // The result of a shell that the API runs.
    if (isDone && callId) reading.result(callId, item.output)
  } else if (API_CALL.test(type)) {
    const head = { id: id ?? callId, name: nameOf(item), executed: true }
    if (!isDone) reading.call(index, '', head)
    else {
      const {
        code,
        queries,
        arguments: input = item.action ?? { code, queries },
        output = item.results ?? item.outputs,
        error,
      } = item
      reading.calls.whole(index, input, head)
      if (head.id) reading.result(head.id, output, head.name, !!error)
    }
  } else if (type === 'mcp_approval_request' && isDone) {
    // The API runs the call once it is approved under this id.
    reading.calls.whole(index, item.arguments, { id, name: item.name, executed: true })
    reading.calls.postpone(id, id)
    reading.notes.isAsked = true
  } else if (type === 'image_generation_call' && isDone) {
    reading.image(item.result, item.output_format)
  } else if (type === 'reasoning') {
    if (isDone) readReasoning(item, reading)
    else reading.paragraph('reasoning')
  } else if (type === 'message') {
    if (isDone) readContent(listOf(item.content), reading)
    else {
      reading.paragraph('text')
      reading.notes.cited = false
    }
  }
}

function nameOf({ name, type = '' }: OutputItem): string {
  return name ?? type.replace(/_call$/, '')
}

function inputOf({ input, ...item }: OutputItem): unknown {
  return input === undefined ? (item.arguments ?? item.operation ?? item.action ?? item.actions) : JSON.stringify(input)
}

/** Reads the whole reasoning, unless pieces of it came. */
function readReasoning({ summary, content, encrypted_content: encrypted }: OutputItem, reading: Reading): void {
  for (const { text } of reading.isTold('reasoning') ? [] : [...listOf(summary), ...listOf(content)]) {
    reading.paragraph('reasoning')
    reading.reasoning(text)
  }
  reading.redacted(encrypted)
}

function readEnd(type: string, response: NonNullable<ResponsesEvent['response']>, reading: Reading): void {
  // The Realtime API has both in its own field.
  const { status_details: told, error = told?.error, incomplete_details: details = told, output } = response
  // Some servers send `completed` for every ending; then the status tells.
  const status = response.status ?? type.slice('response.'.length)
  reading.counts(response.usage)
  if (status === 'failed' || error) reading.error(error)
  else if (status === 'incomplete') reading.end(details?.reason ?? 'other')
  else if (status === 'cancelled') reading.end(status)
  else {
    // What came only with the end: the whole answer, or items of which no piece was sent.
    const { hasItems, alone } = reading.notes as { hasItems?: boolean; alone?: ResponsesEvent[] }
    const items = listOf(output)
    const isCall = ({ type }: OutputItem) => CLIENT_CALL.test(type ?? '')
    const last = items.findLast(({ type }) => type === 'message')
    for (const [index, item] of items.entries())
      if (!hasItems || item === last || (isCall(item) && !reading.calls.isAgain(index, nameOf(item), inputOf(item))))
        readItem(index, item, true, reading)
    // Calls of which no item was ever sent.
    for (const { output_index, item_id: id, name, arguments: input } of items.some(isCall) ? [] : (alone ?? [])) {
      const key = output_index ?? id ?? 0
      if (!reading.calls.has(key)) reading.calls.whole(key, input, { id, name })
    }
    // For a chunk that is read alone the earlier calls are unknown. A client that is asked for approval must answer,
    // too.
    const isWaiting = reading.notes.isAsked || (reading.isSingle && items.some(isCall))
    reading.end(isWaiting ? 'tool_calls' : 'stop')
  }
}
