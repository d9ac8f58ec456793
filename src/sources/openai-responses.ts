/** The OpenAI Responses API. */
import { type ChunkShape, emptied, type Reading, withoutRequest } from './reading.js'

interface OutputItem {
  id?: string
  type?: string
  call_id?: string
  name?: string
  arguments?: string
  input?: string
  /** Of `apply_patch_call`. */
  operation?: unknown
  /** Of `shell_call`, `local_shell_call` and `computer_call`. */
  action?: unknown
  /** Of the API's own tools. */
  output?: unknown
  outputs?: unknown
  results?: unknown
  error?: unknown
  /** Of an image. */
  result?: string
  output_format?: string
  /** Of reasoning. */
  encrypted_content?: string | null
}

export interface ResponsesEvent {
  type: string
  delta?: string
  output_index?: number
  summary_index?: number
  arguments?: string
  input?: string
  item?: OutputItem
  annotation?: unknown
  response?: {
    id?: string
    model?: string
    created_at?: number
    output?: OutputItem[]
    error?: unknown
    status?: string
    incomplete_details?: { reason?: string } | null
    usage?: {
      input_tokens?: number
      output_tokens?: number
      total_tokens?: number
      input_tokens_details?: { cached_tokens?: number }
      output_tokens_details?: { reasoning_tokens?: number }
    } | null
  }
}

/** Fields of the request, and what they are when they are empty. */
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

/** What the API's own tools answered. */
const ANSWERED = { output: null, outputs: null, results: null, error: null, tools: [] }

/** Calls that a client runs, and those that the API runs itself. */
const CLIENT_CALL = /^(function|custom_tool|apply_patch|shell|local_shell|computer)_call$/
const API_CALL = /^((web|file)_search|code_interpreter|mcp|tool_search)_call$/

/**
 * The OpenAI Responses API. The answer is complete at `response.completed` or `response.incomplete`;
 * `response.failed` is an event that no SDK throws.
 */
export const openaiResponses: ChunkShape = {
  is(chunk) {
    const { type, sequence_number: sequence } = chunk as { type?: unknown; sequence_number?: unknown }
    return (
      typeof type === 'string' && (type.startsWith('response.') || (type === 'error' && typeof sequence === 'number'))
    )
  },

  event: (chunk: { type: string }) => chunk.type,

  // The response repeats what it was asked with, and items hold what tools answered.
  redact(event: ResponsesEvent) {
    const { response, item, type } = event
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
    const { type, delta, output_index: index = 0, response } = event
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
        reading.text(delta)
        break
      case 'response.reasoning_summary_text.delta':
        if (event.summary_index !== reading.notes.summary && reading.notes.summary !== undefined)
          reading.paragraph('reasoning')
        reading.notes.summary = event.summary_index
        reading.reasoning(delta)
        break
      case 'response.reasoning_text.delta':
        reading.reasoning(delta)
        break
      case 'response.output_item.added':
        if (event.item) readItem(index, event.item, false, reading)
        break
      case 'response.output_item.done':
        if (event.item) readItem(index, event.item, true, reading)
        break
      case 'response.function_call_arguments.delta':
      case 'response.custom_tool_call_input.delta':
      case 'response.mcp_call_arguments.delta':
        if (delta) readPiece(index, type, delta, reading)
        break
      case 'response.function_call_arguments.done':
      case 'response.mcp_call_arguments.done':
        // The name may only come with the item.
        if (event.arguments !== undefined && reading.calls.has(index)) reading.calls.whole(index, event.arguments)
        break
      case 'response.output_text.annotation.added':
        reading.citation(event.annotation)
        break
      case 'response.completed':
      case 'response.incomplete':
      case 'response.failed':
      case 'response.cancelled':
        readEnd(type, response ?? {}, reading)
        break
      case 'error':
        reading.error(event)
    }
  },
}

function withoutAnswer(item: OutputItem): object {
  return API_CALL.test(item?.type ?? '') || /_output$|^mcp_list_tools$/.test(item?.type ?? '')
    ? emptied(item, ANSWERED)
    : item
}

/** The input of a custom tool is text: as JSON it is a string, of which the pieces cannot be told. */
function readPiece(index: number, type: string, delta: string, reading: Reading): void {
  if (type !== 'response.custom_tool_call_input.delta') reading.call(index, delta)
}

function readItem(index: number, item: OutputItem, isDone: boolean, reading: Reading): void {
  const { type = '', id, call_id: callId, name } = item
  const key = callId ?? id
  if (CLIENT_CALL.test(type)) {
    // Chunk by chunk nobody knows of the pieces before.
    if (isDone && reading.isSingle) return
    const head = { id: key, name: name ?? type.replace(/_call$/, '') }
    if (!isDone) reading.call(index, '', head)
    else {
      const value =
        type === 'custom_tool_call'
          ? JSON.stringify(item.input ?? '')
          : (item.arguments ?? item.operation ?? item.action)
      reading.calls.whole(index, value ?? {}, head)
    }
  } else if (API_CALL.test(type)) {
    const head = { id: id ?? callId, name: name ?? type.replace(/_call$/, ''), executed: true }
    if (!isDone) reading.call(index, '', head)
    else {
      const { arguments: input = item.action ?? {}, output = item.results ?? item.outputs ?? null, error } = item
      reading.calls.whole(index, input, head)
      if (head.id) reading.result(head.id, output, head.name, !!error)
    }
  } else if (type === 'mcp_approval_request' && isDone) {
    const { name: tool, arguments: input } = item
    reading.data('mcp-approval-request', { id, name: tool, arguments: input })
  } else if (type === 'image_generation_call' && isDone) {
    reading.file(`image/${item.output_format ?? 'png'}`, undefined, item.result)
  } else if (type === 'reasoning' && isDone) reading.redacted(item.encrypted_content)
  else if (type === 'message' && !isDone) reading.paragraph('text')
}

function readEnd(type: string, response: NonNullable<ResponsesEvent['response']>, reading: Reading): void {
  const { usage } = response
  if (usage) {
    reading.usage({
      inputTokens: usage.input_tokens,
      outputTokens: usage.output_tokens,
      totalTokens: usage.total_tokens,
      cachedInputTokens: usage.input_tokens_details?.cached_tokens,
      reasoningTokens: usage.output_tokens_details?.reasoning_tokens,
    })
  }
  if (type === 'response.failed') reading.error(response.error)
  else if (type === 'response.incomplete') reading.end(response.incomplete_details?.reason ?? 'other')
  else if (type === 'response.cancelled' || response.status === 'cancelled') reading.finish('cancelled')
  else {
    // Calls that came with nothing but the end.
    const calls = [...(response.output ?? []).entries()].filter(([, item]) => CLIENT_CALL.test(item?.type ?? ''))
    for (const [index, item] of calls) readItem(index, item, true, reading)
    reading.end(calls.length > 0 ? 'tool_calls' : 'stop')
  }
}
