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
 * server read them. Reasoning is a summary, with what its provider signed or encrypted as `encrypted_content`. Tool calls
 * that no client is to run are left out, and so are results, data parts and own events: an event that these clients do
 * not know ends their reading. A call whose input is replaced has the new one when it is done; one that is rejected after
 * it was sent ends the run as `error`. The id of the response is made of the run's, and its events are numbered like those
 * of a log.
 */
export function openaiResponses(options: OpenAIResponsesOptions = {}): Protocol {
  checkOptions('openaiResponses', options, OPTIONS)
  const { model = 'sse-relay' } = options
  return {
    name: 'openai-responses',
    // The one sign of life that Codex counts. It has no number: it is no event of the run.
    heartbeat: 'event: keepalive\ndata: {"type":"keepalive"}\n\n',
    refusal: (failure) => ({ error: errorOf(failure) }),
    encoder: ({ runId }) => new ResponsesEncoder(runId, model),
  }
}

/** The item that grows: a message, or what the model thought. */
interface Growing {
  readonly kind: 'message' | 'reasoning'
  readonly id: string
  /** Its number in the response. */
  readonly index: number
  /** All of a delta's frame that comes before its number: the commonest frame by far is put together by hand. */
  readonly before: string
  text: string
  /** How much of the text is in one piece. */
  flat: number
}

interface Item {
  readonly id: string
  readonly index: number
  readonly call_id: string
}

/** A tool call as far as it has come. */
interface Call {
  /** The id as the source gave it, if it did. */
  readonly id: string | undefined
  readonly name: string
  /** Once the client was told of it. */
  item?: Item
  input: string
  done?: boolean
  error?: string
  /** It was run elsewhere, or will be: its result came, or the source says so. */
  isAnswered?: boolean
}

/** Why a response is not whole, in the words of the API. */
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
  /** The items by their numbers, as the response has them at its end. */
  readonly #output: object[] = []
  /** The latest call at each index, with each id, and all that a client may be asked to run. */
  readonly #calls = new Map<number, Call>()
  readonly #ids = new Map<string, Call>()
  readonly #asked: Call[] = []
  readonly #used = new Set<string>()
  /** Whether the source says of its calls when they are whole. Parts of one's own may not. */
  #saysDone = false
  /** Whether there is a call that nobody took back, and whether one of those is not whole. */
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
        // By far the commonest: the next piece of the text that is open.
        return this.#open?.kind === 'message' ? this.#delta(this.#open, part.text) : this.#say('message', part.text)
      case 'reasoning':
        return this.#think(part)
      case 'tool-call':
        return this.#addCall(part, hasResults)
      case 'tool-result': {
        const call = this.#ids.get(part.id)
        // Its result ends it: what comes at its index is another call.
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

  /** Clients look for three things: Codex for the first frame, the clients of OpenAI and the AI SDK for the second. */
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
    return encoder.#response(end)
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

  /** What a response holds besides its output; most of it would repeat the request. */
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

  /** A signature, or what is encrypted, ends the reasoning before it. */
  #think({ text, signature, redacted }: ReasoningPart): string {
    let frames = ''
    if (text !== '')
      frames = this.#open?.kind === 'reasoning' ? this.#delta(this.#open, text) : this.#say('reasoning', text)
    const isOpen = this.#open?.kind === 'reasoning'
    if (redacted !== undefined && !isOpen) {
      // The provider shows nothing of it.
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
    // Its place is kept for it.
    this.#output.length++
    return { id: `${kind}_${this.#runId}_${index}`, index }
  }

  #done(index: number, item: object): string {
    this.#output[index] = item
    return this.#event('response.output_item.done', { output_index: index, item })
  }

  /** Ends the item that grows. */
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
        // Where tools answer in the stream, it is known at the end whose call it is.
        if (!hasResults) frames = this.#tell(call)
      }
    }
    if (call.item && (error ?? approval) !== undefined) throw cannotTakeBack('A tool call', 'openaiResponses()')
    if (error !== undefined) call.error = error
    if (executed) call.isAnswered = true
    if (done) call.done = true
    // The client goes by the whole input, which it gets at the end.
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
   * The end of all items. Codex and the AI SDK run a call when they are told that it is done: so that is said last of
   * all, when it is known that nobody else ran it.
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
    // The Agents SDK would ask again and again for an answer of nothing.
    if (!this.#hasMessage && !this.#hasCall) frames += this.#beginMessage() + this.#close()
    return frames
  }

  #response({ finishReason, usage }: EncoderEnd) {
    const reason = this.#hasHalf ? INCOMPLETE.length : INCOMPLETE[finishReason ?? 'stop']
    return {
      ...this.#head(reason ? 'incomplete' : 'completed'),
      ...(reason && { incomplete_details: { reason } }),
      output: this.#output,
      ...(usage && { usage: toUsage(usage) }),
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

function functionCall({ item, name, input }: Call, status: 'in_progress' | 'completed' | 'incomplete'): object {
  const { id, call_id } = item as Item
  return { id, type: 'function_call', status, call_id, name, arguments: status === 'in_progress' ? '' : input }
}

/** What Codex does follows from the code: it asks again, and pays again, after every one that it does not know. */
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
}: Usage): object {
  return {
    input_tokens: inputTokens,
    input_tokens_details: { cached_tokens: cachedInputTokens, cache_write_tokens: cacheWriteInputTokens },
    output_tokens: outputTokens,
    output_tokens_details: { reasoning_tokens: reasoningTokens },
    total_tokens: totalTokens,
  }
}
