/** How does a run look to a client of Anthropic's Messages API? */

import { type Rules, words } from '../check.js'
import { checkOptions } from '../options.js'
import { beginsCall, withoutRepeat } from '../tool-call-boundaries.js'
import type {
  AnswerPart,
  Encoder,
  EncoderEnd,
  EncoderPart,
  Failure,
  FinishReason,
  Protocol,
  ReasoningPart,
  TextPart,
  ToolCallPart,
  ToolResultPart,
  Usage,
} from '../types.js'
import {
  anthropicError,
  callsToRun,
  cannotTakeBack,
  failureFrame,
  HALF,
  isJSON,
  isWhole,
  quote,
  reasonOf,
  toJson,
} from './frames.js'

/** Options of {@link anthropicMessages}. */
export interface AnthropicMessagesOptions {
  /** The `model` that the message names. @default 'sse-relay' */
  model?: string
}

const OPTIONS: Rules<keyof AnthropicMessagesOptions> = { model: words }

const STOP: Record<FinishReason, string> = {
  stop: 'end_turn',
  length: 'max_tokens',
  'tool-calls': 'tool_use',
  'content-filter': 'refusal',
  error: 'end_turn',
  other: 'end_turn',
}

/**
 * Anthropic's Messages, whatever the upstream is: Anthropic's SDK, Claude Code and the AI SDK can read them from your
 * server. Blocks follow each other, so the pieces of a second tool call wait until the first call is whole. Reasoning
 * keeps its signature and its redacted pieces; reasoning without a signature has an empty one. Tool calls that no
 * client may run are left out, and so are results, data parts and own events, which have no place in this dialect. It
 * can only append: a call that is rejected, or whose input is replaced, after it was sent ends the run as `error`.
 */
export function anthropicMessages(options: AnthropicMessagesOptions = {}): Protocol {
  checkOptions('anthropicMessages', options, OPTIONS)
  const { model = 'sse-relay' } = options
  return {
    name: 'anthropic-messages',
    heartbeat: frame('ping', ''),
    refusal: (failure) => ({ type: 'error', error: anthropicError(failure) }),
    encoder: ({ runId }) => new AnthropicEncoder(runId, model),
  }
}

/** A tool call as far as it has come. */
interface Call {
  readonly type: 'call'
  readonly id: string | undefined
  readonly name: string
  /** The input so far, sent or not. */
  input: string
  /** `waiting` for its block, `open`, `closed`, or `dropped` because no client may run it. */
  state: 'waiting' | 'open' | 'closed' | 'dropped'
  /** The source marked it as whole. */
  done?: boolean
  /** It was run elsewhere, or will be. */
  isAnswered?: boolean
  /** How much of the input was searched for its end. */
  looked?: number
}

/** What becomes a block of the message. */
type Item = TextPart | ReasoningPart | Call

class AnthropicEncoder implements Encoder {
  readonly #runId: string
  readonly #model: string
  /** The number of the latest block. */
  #index = -1
  #open: 'text' | 'thinking' | Call | undefined
  /** The start of every text or thinking frame of the open block. */
  #before = ''
  #hasBegun = false
  #hasEnded = false
  /** Items that wait until the open call is whole; those before `#next` were sent. */
  #waiting: Item[] = []
  #next = 0
  readonly #calls: Call[] = []
  /** Calls whose results may follow: only the end tells which of them a client must run. */
  readonly #held: Call[] = []
  /** The latest call at each index and with each id. */
  readonly #indexes = new Map<number, Call>()
  readonly #ids = new Map<string, Call>()
  /** The call ids that were sent. */
  readonly #used = new Set<string>()
  /** Whether the source marks its whole calls as done. The application's own parts may not. */
  #saysDone = false

  constructor(runId: string, model: string) {
    this.#runId = runId
    this.#model = model
  }

  part(part: EncoderPart, hasResults = false): string {
    switch (part.type) {
      case 'text':
        // By far the most common case: the next piece of the open text.
        if (this.#open === 'text') return part.text === '' ? '' : this.#delta(part.text)
        return part.text === '' ? '' : this.#place(part)
      case 'reasoning':
        return part.text === '' && part.signature === undefined && part.redacted === undefined ? '' : this.#place(part)
      case 'tool-call':
        return this.#addCall(part, hasResults)
      case 'tool-result':
        return this.#settle(part)
      default:
        return ''
    }
  }

  event(): string {
    return ''
  }

  end({ finishReason, usage }: EncoderEnd): string {
    this.#hasEnded = true
    this.#waiting.push(...this.#held)
    const asked = this.#calls.filter(({ state, isAnswered }) => state !== 'dropped' && !isAnswered)
    // Clients take input that is not JSON for `{}`, or for as much of it as there is, and would run the call with that.
    const isCut = asked.some((call) => !isWhole(call, this.#saysDone, finishReason) || !isJSON(call.input || '{}'))
    const stop_reason = STOP[reasonOf(finishReason, asked.length > 0, isCut)]
    let frames = ''
    for (const call of asked) {
      if (call.input !== '' || isWhole(call, this.#saysDone, finishReason)) continue
      call.input = HALF
      if (call.state === 'open') frames += this.#inputDelta(HALF)
    }
    return (
      frames +
      this.#flush() +
      this.#close() +
      this.#begin() +
      frame(
        'message_delta',
        `,"delta":${JSON.stringify({ stop_reason, stop_sequence: null })},"usage":${toUsage(usage)}`,
      ) +
      frame('message_stop', '')
    )
  }

  fail(failure: Failure): string {
    return failureFrame({ type: 'error', error: anthropicError(failure) })
  }

  answer(parts: readonly AnswerPart[], { finishReason, usage }: EncoderEnd): object {
    const { calls, isCut } = callsToRun(parts, finishReason, true)
    const content: Block[] = []
    const add = (block: Block) => joins(content.at(-1), block) || content.push(block)
    for (const part of parts) {
      const call = calls.get(part)
      if (part.type === 'text') add({ type: 'text', text: part.text })
      else if (part.type === 'reasoning') toThinking(part).forEach(add)
      else if (call) {
        const { id = this.#idOf(content.length), name = 'tool', input } = call
        content.push({ type: 'tool_use', id, name, input: JSON.parse(input || '{}') })
      }
    }
    const stop_reason = STOP[reasonOf(finishReason, calls.size > 0 || isCut, isCut)]
    return {
      ...JSON.parse(this.#message('null')),
      content,
      stop_reason,
      usage: JSON.parse(toUsage({ inputTokens: 0, ...usage })),
    }
  }

  /** Puts the piece into its block, or lets it wait for that. */
  #place(item: Item): string {
    this.#waiting.push(item)
    return this.#flush()
  }

  /** Sends what waits, up to a call that is not whole. */
  #flush(): string {
    let frames = ''
    while (this.#next < this.#waiting.length) {
      if (typeof this.#open === 'object' && !this.#isWhole(this.#open)) return frames
      frames += this.#show(this.#waiting[this.#next++] as Item)
    }
    this.#waiting = []
    this.#next = 0
    return frames
  }

  /**
   * Whether nothing more of the call can come. The source says so late, or never, as for the application's own parts.
   */
  #isWhole(call: Call): boolean {
    if (call.done || this.#hasEnded) return true
    if (call.looked === call.input.length || !call.input.endsWith('}')) return false
    call.looked = call.input.length
    return isJSON(call.input)
  }

  #show(item: Item): string {
    if (item.type === 'call') return item.state === 'dropped' ? '' : this.#showCall(item)
    if (item.type === 'text') {
      const start = this.#open === 'text' ? '' : this.#start('text', '{"type":"text","text":""}')
      return start + this.#delta(item.text)
    }
    const { text, signature, redacted } = item
    let frames = ''
    if (redacted !== undefined) {
      frames += this.#start(undefined, toJson({ type: 'redacted_thinking', data: redacted })) + this.#stop()
    }
    if (text === '' && signature === undefined) return frames
    if (this.#open !== 'thinking') frames += this.#start('thinking', '{"type":"thinking","thinking":"","signature":""}')
    if (text !== '') frames += this.#delta(text)
    if (signature === undefined) return frames
    // A block has one signature, at its end: later reasoning is signed anew.
    const delta = toJson({ type: 'signature_delta', signature })
    return frames + frame('content_block_delta', `,"index":${this.#index},"delta":${delta}`) + this.#close()
  }

  #showCall(call: Call): string {
    const { name, input } = call
    // Two calls with one id could not be told apart by their results.
    const id = call.id === undefined || this.#used.has(call.id) ? this.#idOf(this.#index + 1) : call.id
    this.#used.add(id)
    const start = { type: 'tool_use', id, name, input: {} }
    call.state = 'open'
    const frames = this.#start(call, toJson(start)) + (input === '' ? '' : this.#inputDelta(input))
    return call.done ? frames + this.#close() : frames
  }

  #addCall(piece: ToolCallPart, isHeld: boolean): string {
    const known = this.#indexes.get(piece.index)
    const part = withoutRepeat(known, piece)
    const { index, id, name = 'tool', input, done, executed, error, replaces, approval } = part
    if (done) this.#saysDone = true
    if (!known || beginsCall(known, part)) {
      const isDropped = executed || error !== undefined
      const call: Call = {
        type: 'call',
        id,
        name,
        input,
        state: isDropped ? 'dropped' : 'waiting',
        ...(done && { done }),
      }
      this.#indexes.set(index, call)
      if (id !== undefined) this.#ids.set(id, call)
      this.#calls.push(call)
      // Another call begins at its index, so it is over.
      if (known) known.done = true
      if (isHeld) this.#held.push(call)
      return isDropped || isHeld ? '' : this.#place(call)
    }
    if (known.state === 'dropped') return ''
    const isSent = known.state !== 'waiting'
    if (isSent && (error ?? approval) !== undefined) throw cannotTakeBack('A tool call', 'anthropicMessages()')
    if (isSent && ((replaces && known.input !== '') || (known.state === 'closed' && input.trim() !== ''))) {
      throw cannotTakeBack('The input of a tool call', 'anthropicMessages()')
    }
    if (executed || error !== undefined) {
      if (!isSent) known.state = 'dropped'
      known.isAnswered = true
    }
    known.input = replaces ? input : known.input + input
    if (done) known.done = true
    if (known.state !== 'open') return this.#flush()
    return (input === '' ? '' : this.#inputDelta(input)) + (done ? this.#close() : '') + this.#flush()
  }

  /** A result ends its call: what follows at its index is another call. */
  #settle({ id }: ToolResultPart): string {
    const call = this.#ids.get(id)
    if (!call) return ''
    call.isAnswered = true
    call.done = true
    if (call.state === 'waiting') call.state = 'dropped'
    return (this.#open === call ? this.#close() : '') + this.#flush()
  }

  #begin(): string {
    if (this.#hasBegun) return ''
    this.#hasBegun = true
    return frame('message_start', `,"message":${this.#message(toUsage({ inputTokens: 0 }))}`)
  }

  #message(usage: string): string {
    const { id, model } = { id: `msg_${this.#runId}`, model: this.#model }
    const head = { id, type: 'message', role: 'assistant', model, content: [], stop_reason: null, stop_sequence: null }
    return `${JSON.stringify(head).slice(0, -1)},"usage":${usage}}`
  }

  #start(open: 'text' | 'thinking' | Call | undefined, block: string): string {
    const frames = this.#close() + this.#begin()
    this.#open = open
    const index = ++this.#index
    const key = open === 'text' ? 'text' : 'thinking'
    this.#before = `event: content_block_delta\ndata: {"type":"content_block_delta","index":${index},"delta":{"type":"${key}_delta","${key}":`
    return frames + frame('content_block_start', `,"index":${index},"content_block":${block}`)
  }

  #delta(text: string): string {
    return `${this.#before}${quote(text)}}}\n\n`
  }

  #inputDelta(input: string): string {
    const delta = toJson({ type: 'input_json_delta', partial_json: input })
    return frame('content_block_delta', `,"index":${this.#index},"delta":${delta}`)
  }

  #close(): string {
    if (this.#open === undefined) return ''
    if (typeof this.#open === 'object') this.#open.state = 'closed'
    this.#open = undefined
    return this.#stop()
  }

  #stop(): string {
    return frame('content_block_stop', `,"index":${this.#index}`)
  }

  #idOf(number: number): string {
    return `toolu_${this.#runId}_${number}`
  }
}

/** A frame whose event name is the `type` of its data: Anthropic's SDK ignores frames without the name. */
function frame(type: string, fields: string): string {
  return `event: ${type}\ndata: {"type":"${type}"${fields}}\n\n`
}

/** Anthropic counts tokens read from or written to a cache beside the input. */
function toUsage({
  inputTokens,
  outputTokens = 0,
  cachedInputTokens: read,
  cacheWriteInputTokens: written,
  reasoningTokens,
}: Usage = {}): string {
  const input = inputTokens === undefined ? undefined : Math.max(0, inputTokens - (read ?? 0) - (written ?? 0))
  return JSON.stringify({
    input_tokens: input,
    cache_read_input_tokens: read,
    cache_creation_input_tokens: written,
    output_tokens: outputTokens,
    ...(reasoningTokens !== undefined && { output_tokens_details: { thinking_tokens: reasoningTokens } }),
  })
}

interface Block {
  readonly type: string
  text?: string
  thinking?: string
  signature?: string
  readonly [key: string]: unknown
}

function toThinking({ text, signature, redacted }: ReasoningPart): Block[] {
  return [
    ...(redacted === undefined ? [] : [{ type: 'redacted_thinking', data: redacted }]),
    ...(text === '' && signature === undefined
      ? []
      : [{ type: 'thinking', thinking: text, signature: signature ?? '' }]),
  ]
}

/** Joins the block to the last one if they would be one in a stream: what came between them has no place here. */
function joins(last: Block | undefined, { type, text, thinking, signature }: Block): boolean {
  if (last?.type !== type) return false
  if (type === 'text') last.text += text as string
  else if (type === 'thinking' && last.signature === '')
    Object.assign(last, { thinking: `${last.thinking}${thinking}`, signature })
  else return false
  return true
}
