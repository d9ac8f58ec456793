/** How does a run look to a client of the OpenAI Responses API? */

import { type Rules, words } from '../check.js'
import { flatten } from '../encode.js'
import { checkOptions } from '../options.js'
import { beginsCall } from '../tool-call-boundaries.js'
import type {
  AnswerPart,
  Encoder,
  EncoderEnd,
  EncoderPart,
  Failure,
  FinishReason,
  Protocol,
  ReasoningPart,
  ToolCallPart,
  Usage,
} from '../types.js'
import { callsAnswered, cannotTakeBack, isWhole, quote, toJson } from './frames.js'

/** Options of {@link openaiResponses}. */
export interface OpenAIResponsesOptions {
  /** The `model` that the response names. @default 'sse-relay' */
  model?: string
}

const OPTIONS: Rules<keyof OpenAIResponsesOptions> = { model: words }

/**
 * The events of OpenAI's Responses API, whatever the upstream is: `openai`, Codex and the Agents SDK pointed at your
 * server read them. Reasoning is a summary; what its provider signed or encrypted is `encrypted_content`. Tool calls
 * that no client may run are left out, and so are results, data parts and own events: these clients stop reading at an
 * event that they do not know. If a call's input is replaced, the new input comes when the call is done; a call that is
 * rejected after it was sent ends the run as `error`. The id of the response is made from the run's, and its events are
 * numbered like those of a log.
 */
export function openaiResponses(options: OpenAIResponsesOptions = {}): Protocol {
  checkOptions('openaiResponses', options, OPTIONS)
  const { model = 'sse-relay' } = options
  return {
    name: 'openai-responses',
    // The only keep-alive that Codex accepts. It has no number, since it is not an event of the run.
    heartbeat: 'event: keepalive\ndata: {"type":"keepalive"}\n\n',
    refusal: (failure) => ({ error: errorOf(failure) }),
    encoder: ({ runId }) => new ResponsesEncoder(runId, model),
  }
}

/** The open item: a message or reasoning. */
interface Growing {
  readonly kind: 'message' | 'reasoning'
  readonly id: string
  /** Its number in the response. */
  readonly index: number
  /** The start of a delta's frame, up to its number: by far the most common frame, so it is put together by hand. */
  readonly before: string
  text: string
  /** How many characters of the text are in one piece (see `flatten`). */
  flat: number
}

/** What the response says of an item. */
interface OutputItem {
  readonly type: string
  readonly status?: string
  readonly [key: string]: unknown
}

interface Item {
  readonly id: string
  readonly index: number
  readonly call_id: string
}

/** A tool call as far as it has come. */
interface Call {
  /** The source's id of the call, if it gave one. */
  readonly id: string | undefined
  readonly name: string
  /** Set once the call was sent. */
  item?: Item
  input: string
  done?: boolean
  error?: string
  /** It was run elsewhere, or will be: its result came, or the source says so. */
  isAnswered?: boolean
}

/** Why a response is incomplete, in the API's terms. */
const INCOMPLETE: Partial<Record<FinishReason, string>> = {
  length: 'max_output_tokens',
  'content-filter': 'content_filter',
}

class ResponsesEncoder implements Encoder {
  readonly #runId: string
  readonly #model: string
  readonly #created = Math.floor(Date.now() / 1000)
  #sequence = 0
  #isBegun = false
  #open: Growing | undefined
  /** The items by index, as the response has them at its end. */
  readonly #output: OutputItem[] = []
  /** The latest call at each index and with each id, and all calls that a client may have to run. */
  readonly #calls = new Map<number, Call>()
  readonly #ids = new Map<string, Call>()
  readonly #asked: Call[] = []
  readonly #used = new Set<string>()
  /** Whether the source marks its whole calls as done. The application's own parts may not. */
  #saysDone = false
  /** Whether a call is left for the client, and whether one of those is not whole. */
  #hasCall = false
  #hasHalf = false
  #hasMessage = false

  constructor(runId: string, model: string) {
    this.#runId = runId
    this.#model = model
  }

  part(part: EncoderPart, hasResults = false): string {
    switch (part.type) {
      case 'text':
        if (part.text === '') return ''
        // By far the most common case: the next piece of the open text.
        return this.#open?.kind === 'message' ? this.#delta(this.#open, part.text) : this.#say('message', part.text)
      case 'reasoning':
        return this.#think(part)
      case 'tool-call':
        return this.#addCall(part, hasResults)
      case 'tool-result': {
        const call = this.#ids.get(part.id)
        // A result ends its call: what follows at its index is another call.
        if (call) call.isAnswered = call.done = true
        return ''
      }
      default:
        return ''
    }
  }

  event(): string {
    return ''
  }

  end(end: EncoderEnd): string {
    const frames = this.#begin() + this.#finish(end.finishReason)
    const response = this.#response(end)
    return frames + this.#event(`response.${response.status}`, { response })
  }

  /** Two frames: Codex reads the first; the clients of OpenAI and the AI SDK read the second. */
  fail(failure: Failure): string {
    const { code, message, retryable } = failure
    const output = this.#output.filter(Boolean)
    const error = { code: FAILED[code] ?? (retryable ? 'server_error' : 'invalid_prompt'), message }
    return (
      this.#begin() +
      this.#event('response.failed', { response: { ...this.#head('failed'), error, output } }) +
      this.#event('error', { code, message, param: null, error: errorOf(failure) })
    )
  }

  answer(parts: readonly AnswerPart[], end: EncoderEnd): object {
    const encoder = new ResponsesEncoder(this.#runId, this.#model)
    const answered = callsAnswered(parts)
    for (const part of parts)
      if (part.type !== 'event' && part.type !== 'chunk' && !answered.has(part)) encoder.part(part)
    encoder.#finish(end.finishReason)
    const { output, ...response } = encoder.#response(end)
    // No reader of one body asks whether a call is whole, and half of one without input passes for `{}`.
    return {
      ...response,
      output: output.filter(({ type, status }) => type !== 'function_call' || status === 'completed'),
    }
  }

  #event(type: string, fields: object): string {
    return `event: ${type}\ndata: {"type":"${type}","sequence_number":${this.#sequence++},${toJson(fields).slice(1)}\n\n`
  }

  #begin(): string {
    if (this.#isBegun) return ''
    this.#isBegun = true
    const response = { ...this.#head('in_progress'), output: [] }
    return this.#event('response.created', { response }) + this.#event('response.in_progress', { response })
  }

  /** The response without its output. Most of the fields would repeat the request. */
  #head(status: 'in_progress' | 'completed' | 'incomplete' | 'failed') {
    return {
      id: `resp_${this.#runId}`,
      object: 'response',
      created_at: this.#created,
      status,
      error: null,
      incomplete_details: null,
      instructions: null,
      metadata: {},
      model: this.#model,
      parallel_tool_calls: true,
      temperature: null,
      tool_choice: 'auto',
      tools: [],
      top_p: null,
    }
  }

  #say(kind: Growing['kind'], text: string): string {
    const frames = this.#begin() + this.#close() + (kind === 'message' ? this.#beginMessage() : this.#beginSummary())
    return frames + this.#delta(this.#open as Growing, text)
  }

  #delta(open: Growing, text: string): string {
    open.text += text
    if (open.text.length > open.flat * 1.25 + 256) {
      flatten(open.text)
      open.flat = open.text.length
    }
    return `${open.before}${this.#sequence++},"delta":${quote(text)}}\n\n`
  }

  #beginMessage(): string {
    this.#hasMessage = true
    const { id, index } = this.#item('msg')
    const before = deltaOf('output_text', `"item_id":"${id}","output_index":${index},"content_index":0,"logprobs":[]`)
    this.#open = { kind: 'message', id, index, before, text: '', flat: 0 }
    return (
      this.#event('response.output_item.added', {
        output_index: index,
        item: { id, type: 'message', role: 'assistant', status: 'in_progress', content: [] },
      }) +
      this.#event('response.content_part.added', {
        item_id: id,
        output_index: index,
        content_index: 0,
        part: outputText(''),
      })
    )
  }

  #beginSummary(): string {
    const { id, index } = this.#item('rs')
    const before = deltaOf('reasoning_summary_text', `"item_id":"${id}","output_index":${index},"summary_index":0`)
    this.#open = { kind: 'reasoning', id, index, before, text: '', flat: 0 }
    return (
      this.#event('response.output_item.added', { output_index: index, item: { id, type: 'reasoning', summary: [] } }) +
      this.#event('response.reasoning_summary_part.added', {
        item_id: id,
        output_index: index,
        summary_index: 0,
        part: summaryText(''),
      })
    )
  }

  /** A signature or encrypted reasoning ends the reasoning before it. */
  #think({ text, signature, redacted }: ReasoningPart): string {
    let frames = ''
    if (text !== '')
      frames = this.#open?.kind === 'reasoning' ? this.#delta(this.#open, text) : this.#say('reasoning', text)
    const isOpen = this.#open?.kind === 'reasoning'
    if (redacted !== undefined && !isOpen) {
      // There is no summary: the provider shows nothing of it.
      const { id, index } = this.#item('rs')
      const item = { id, type: 'reasoning', summary: [] }
      const added = this.#begin() + this.#close()
      frames += added + this.#event('response.output_item.added', { output_index: index, item })
      frames += this.#done(index, { ...item, encrypted_content: redacted })
    } else if (isOpen && (redacted ?? signature) !== undefined) frames += this.#close(redacted ?? signature)
    return frames
  }

  #item(kind: 'msg' | 'rs' | 'fc'): { id: string; index: number } {
    const index = this.#output.length
    // Reserves the item's place.
    this.#output.length++
    return { id: `${kind}_${this.#runId}_${index}`, index }
  }

  #done(index: number, item: OutputItem): string {
    this.#output[index] = item
    return this.#event('response.output_item.done', { output_index: index, item })
  }

  /** Ends the open item. */
  #close(encrypted?: string, status = 'completed'): string {
    if (!this.#open) return ''
    const { kind, id, index, text } = this.#open
    const place = { item_id: id, output_index: index }
    this.#open = undefined
    if (kind === 'message') {
      const part = outputText(text)
      return (
        this.#event('response.output_text.done', { ...place, content_index: 0, text, logprobs: [] }) +
        this.#event('response.content_part.done', { ...place, content_index: 0, part }) +
        this.#done(index, { id, type: 'message', role: 'assistant', status, content: [part] })
      )
    }
    const part = summaryText(text)
    const hidden = encrypted !== undefined && { encrypted_content: encrypted }
    return (
      this.#event('response.reasoning_summary_text.done', { ...place, summary_index: 0, text }) +
      this.#event('response.reasoning_summary_part.done', { ...place, summary_index: 0, part }) +
      this.#done(index, { id, type: 'reasoning', summary: [part], ...hidden })
    )
  }

  #addCall(part: ToolCallPart, hasResults: boolean): string {
    const { index, input, done, replaces, executed, error, approval } = part
    if (done) this.#saysDone = true
    let frames = ''
    let call = this.#calls.get(index)
    if (!call || beginsCall(call, part)) {
      const { id, name = 'tool' } = part
      call = { id, name, input: '' }
      this.#calls.set(index, call)
      if (id !== undefined) this.#ids.set(id, call)
      if (!executed && error === undefined) {
        this.#asked.push(call)
        // If tools answer in the stream, only the end tells who runs the call.
        if (!hasResults) frames = this.#tell(call)
      }
    }
    if (call.item && (error ?? approval) !== undefined) throw cannotTakeBack('A tool call', 'openaiResponses()')
    if (error !== undefined) call.error = error
    if (executed) call.isAnswered = true
    if (done) call.done = true
    // The client uses the whole input, which it gets at the end.
    if (replaces) call.input = input
    else {
      call.input += input
      if (!call.isAnswered) frames += this.#grow(call, input)
    }
    return frames
  }

  #tell(call: Call): string {
    const { id, index } = this.#item('fc')
    // Two calls with one id could not be told apart by their results.
    const isTaken = call.id === undefined || this.#used.has(call.id)
    call.item = { id, index, call_id: isTaken ? `call_${this.#runId}_${index}` : (call.id as string) }
    this.#used.add(call.item.call_id)
    return (
      this.#begin() +
      this.#close() +
      this.#event('response.output_item.added', { output_index: index, item: functionCall(call, 'in_progress') }) +
      this.#grow(call, call.input)
    )
  }

  #grow({ item }: Call, delta: string): string {
    if (!item || delta === '') return ''
    return this.#event('response.function_call_arguments.delta', {
      item_id: item.id,
      output_index: item.index,
      delta,
    })
  }

  /**
   * Ends all items. Codex and the AI SDK run a call as soon as it is done: that is sent last, when nobody else has run
   * it.
   */
  #finish(reason: FinishReason = 'stop'): string {
    const isCut = INCOMPLETE[reason] !== undefined
    let frames = this.#close(undefined, isCut ? 'incomplete' : 'completed')
    for (const call of this.#asked) {
      const isOthers = call.isAnswered || call.error !== undefined
      if (isOthers && !call.item) continue
      if (!call.item) frames += this.#tell(call)
      const { id, index } = call.item as unknown as Item
      if (!isOthers) this.#hasCall = true
      if (!isOthers && isWhole(call, this.#saysDone, reason)) {
        call.input ||= '{}'
        const said = { item_id: id, output_index: index, name: call.name, arguments: call.input }
        frames += this.#event('response.function_call_arguments.done', said)
        frames += this.#done(index, functionCall(call, 'completed'))
      } else {
        if (!isOthers) this.#hasHalf = true
        this.#output[index] = functionCall(call, 'incomplete')
      }
    }
    // The Agents SDK would ask again and again after an empty answer.
    if (!this.#hasMessage && !this.#hasCall) frames += this.#beginMessage() + this.#close()
    return frames
  }

  #response({ finishReason, usage }: EncoderEnd) {
    const reason = INCOMPLETE[finishReason ?? 'stop'] ?? (this.#hasHalf ? INCOMPLETE.length : undefined)
    return {
      ...this.#head(reason ? 'incomplete' : 'completed'),
      ...(reason && { incomplete_details: { reason } }),
      output: this.#output,
      // Always: the AI SDK's version 5 does not read a response without counts.
      usage: toUsage(usage),
    }
  }
}

function deltaOf(kind: string, place: string): string {
  return `event: response.${kind}.delta\ndata: {"type":"response.${kind}.delta",${place},"sequence_number":`
}

function outputText(text: string): object {
  return { type: 'output_text', text, annotations: [], logprobs: [] }
}

function summaryText(text: string): object {
  return { type: 'summary_text', text }
}

function functionCall({ item, name, input }: Call, status: 'in_progress' | 'completed' | 'incomplete'): OutputItem {
  const { id, call_id } = item as Item
  return { id, type: 'function_call', status, call_id, name, arguments: status === 'in_progress' ? '' : input }
}

/** Codex acts on the code: after every code that it does not know it asks again, and pays again. */
const FAILED: Record<string, string> = { 'rate-limit': 'rate_limit_exceeded', overload: 'server_is_overloaded' }

function errorOf({ code, message, retryable }: Failure): object {
  const type = code === 'rate-limit' ? 'rate_limit_error' : 'server_error'
  return { code, message, retryable, type, param: null }
}

function toUsage({
  inputTokens = 0,
  outputTokens = 0,
  totalTokens = inputTokens + outputTokens,
  cachedInputTokens = 0,
  cacheWriteInputTokens = 0,
  reasoningTokens = 0,
}: Usage = {}): object {
  return {
    input_tokens: inputTokens,
    input_tokens_details: { cached_tokens: cachedInputTokens, cache_write_tokens: cacheWriteInputTokens },
    output_tokens: outputTokens,
    output_tokens_details: { reasoning_tokens: reasoningTokens },
    total_tokens: totalTokens,
  }
}
