/** How does a run look to `useChat` of the AI SDK? */

import { callback, type Rules, words } from '../check.js'
import { checkOptions } from '../options.js'
import { beginsCall } from '../tool-call-boundaries.js'
import {
  type AnswerPart,
  type DataPart,
  DONE,
  type Encoder,
  type EncoderEnd,
  type EncoderPart,
  type Failure,
  type FinishReason,
  type Protocol,
  type ServerSentEvent,
  type ToolCallPart,
  type ToolResultPart,
} from '../types.js'
import { CUT, dataFrame, failureFrame, toJson } from './frames.js'

/** Options of {@link uiMessage}. */
export interface UIMessageOptions {
  /** The id of the message being answered with. @default the run's id */
  messageId?: string
  /**
   * For assistant-ui's own reader (`assistant-stream`), which ends with an error of its own where the stream does not end
   * with `[DONE]`: a failure is told as the AI SDK tells it, an `error` chunk and then `[DONE]`, which this library's
   * client takes for a complete answer.
   */
  client?: 'assistant-ui'
  /** More for the message's metadata, beside the `usage` of a finished answer. Called once, at its end. */
  metadata?(end: EncoderEnd): Record<string, unknown> | undefined
}

const OPTIONS: Rules<keyof UIMessageOptions> = {
  messageId: words,
  client: [(value: unknown) => value === 'assistant-ui', "give 'assistant-ui', or leave it out"],
  metadata: callback,
}

/**
 * The AI SDK's UI message stream, readable by `useChat` (versions 5 to 7). Tool calls are dynamic tools, handed over as
 * available when they are whole and not before, as `providerExecuted` where no client is to run them, and as errors when
 * they were rejected. Each answer of a run is a step. Own events and data parts become `data-<name>`, citations with a
 * `url` become sources, files become files. A failure is an `error` chunk and nothing after it, so the chat is in its
 * error state and not at a finished answer.
 */
export function uiMessage(options: UIMessageOptions = {}): Protocol {
  checkOptions('uiMessage', options, OPTIONS)
  const { messageId, client, metadata } = options
  return {
    name: 'ui-message',
    headers: { 'x-vercel-ai-ui-message-stream': 'v1' },
    encoder: ({ runId }) => new UIMessageEncoder(messageId ?? runId, metadata, client),
  }
}

/** A tool call as far as it has come. */
interface Call {
  /** The id as the source gave it, if it did. */
  id: string | undefined
  /** Its id in the message. */
  toolCallId: string
  toolName: string
  input: string
  /** The step it is of. */
  step: number
  done?: boolean
  executed?: boolean
  error?: string
}

const NOT_JSON = 'The input of this tool call is not JSON.'
const NOT_WHOLE = 'The answer ended before this tool call was whole.'

class UIMessageEncoder implements Encoder {
  readonly #messageId: string
  readonly #metadata: UIMessageOptions['metadata']
  readonly #client: UIMessageOptions['client']
  /** What `metadata` said. */
  #more: object | undefined
  /** The number of the step that is open; 0 before the message begins. */
  #step = 0
  /** Whether what comes next is of another answer. */
  #isNext = false
  #isStarted = false
  #open: { kind: 'text' | 'reasoning'; id: string } | undefined
  /** The latest call at each index, and with each id. */
  readonly #calls = new Map<number, Call>()
  readonly #ids = new Map<string, Call>()
  /** The calls that have not ended. */
  readonly #growing = new Set<Call>()
  /** Of those that have: whose output has not come. */
  readonly #unsettled = new Set<Call>()
  /** Whether the source says of its calls when they are whole. */
  #saysDone = false
  #blocks = 0
  /** What was told before: what comes after it in a block of its own needs no blank line. */
  readonly #told = new Set<'text' | 'reasoning'>()
  #sources = 0
  #unnamed = 0

  constructor(messageId: string, metadata: UIMessageOptions['metadata'], client: UIMessageOptions['client']) {
    this.#messageId = messageId
    this.#metadata = metadata
    this.#client = client
  }

  part(part: EncoderPart): string {
    switch (part.type) {
      case 'text':
      case 'reasoning':
        // A signature has its place under the provider's name, which is not known here.
        return part.text === '' ? '' : this.#addText(part.type, part.text)
      case 'tool-call':
        return this.#begin() + this.#closeBlock() + this.#addCall(part)
      case 'tool-result':
        return this.#begin() + this.#addResult(part)
      case 'data':
        return this.#begin() + this.#addData(part)
      default:
        // Nothing of its own, so that a refusal that comes after it is still a status.
        // The first answer begins in the step that is open, whatever the user said before.
        this.#isNext = this.#isStarted && this.#step > 0
        this.#isStarted = true
        return ''
    }
  }

  event({ event: name = 'data', data, id }: ServerSentEvent): string {
    return this.#begin() + dataChunk({ name, data: parse(data), id })
  }

  end(end: EncoderEnd): string {
    const { finishReason, usage } = end
    this.#isNext = false
    const messageMetadata = { ...(usage && { usage }), ...this.#moreOf(end) }
    return (
      this.#begin() +
      this.#closeBlock() +
      this.#closeCalls(finishReason) +
      frame({ type: 'finish-step' }) +
      frame({
        type: 'finish',
        ...(finishReason && { finishReason }),
        ...(Object.keys(messageMetadata).length > 0 && { messageMetadata }),
      })
    )
  }

  fail(error: Failure): string {
    const failure = { type: 'error', errorText: error.message, error }
    if (!this.#client) return failureFrame(failure)
    let frames = this.#closeCalls('error')
    // assistant-ui's reader runs at the end whatever has no output, of a failure, too.
    for (const call of this.#unsettled) frames += outputChunk(call, { errorText: error.message })
    return frames + frame(failure) + dataFrame(DONE)
  }

  /** Asked for once, though there may be both a stream and a body. */
  #moreOf(end: EncoderEnd): object {
    this.#more ??= this.#metadata?.(end) ?? {}
    return this.#more
  }

  /** What a reader makes of the stream. */
  answer(parts: readonly AnswerPart[], end: EncoderEnd): object {
    const more = { ...this.#moreOf(end) }
    const encoder = new UIMessageEncoder(this.#messageId, () => more, undefined)
    let frames = ''
    for (const part of parts) {
      if (part.type === 'event') frames += encoder.event(part.event)
      else if (part.type !== 'chunk') frames += encoder.part(part)
    }
    return toMessage(frames + encoder.end(end))
  }

  /** Opens the message, or another step of it. */
  #begin(): string {
    if (this.#step > 0 && !this.#isNext) return ''
    const before =
      this.#step === 0
        ? frame({ type: 'start', messageId: this.#messageId })
        : this.#closeBlock() + this.#closeCalls() + frame({ type: 'finish-step' })
    this.#isNext = false
    this.#step++
    return before + frame({ type: 'start-step' })
  }

  #closeBlock(): string {
    if (!this.#open) return ''
    const { kind, id } = this.#open
    this.#open = undefined
    return frame({ type: `${kind}-end`, id })
  }

  #addText(kind: 'text' | 'reasoning', text: string): string {
    let frames = this.#begin()
    if (this.#open?.kind !== kind) {
      frames += this.#closeBlock()
      this.#open = { kind, id: String(this.#blocks++) }
      // A block is a paragraph already.
      if (this.#told.has(kind) && text.startsWith('\n\n')) text = text.slice(2)
      this.#told.add(kind)
      frames += frame({ type: `${kind}-start`, id: this.#open.id })
    }
    return frames + dataFrame(`{"type":"${kind}-delta","id":"${this.#open.id}","delta":${JSON.stringify(text)}}`)
  }

  #addCall(part: ToolCallPart): string {
    const { index, input, done, replaces, executed, error } = part
    if (done) this.#saysDone = true
    const known = this.#calls.get(index)
    if (!known || beginsCall(known, part)) {
      // The source has begun another call without an end of this one.
      return (known && this.#growing.has(known) ? this.#closeCall(known) : '') + this.#beginCall(part)
    }
    if (executed) known.executed = true
    if (!this.#growing.has(known)) return this.#correct(known, part)
    let frames = ''
    if (replaces) known.input = input
    else if (input !== '') {
      known.input += input
      frames = frame({ type: 'tool-input-delta', toolCallId: known.toolCallId, inputTextDelta: input })
    }
    if (error !== undefined) return frames + this.#reject(known, error)
    return done ? frames + this.#finish(known) : frames
  }

  #beginCall({ index, id, name = 'tool', executed, ...piece }: ToolCallPart): string {
    // A step does not hold two calls with one id: its reader would make one of them. For assistant-ui's no message does.
    const known = id === undefined ? undefined : this.#ids.get(id)
    const isTaken = id === undefined || (known && (this.#client || known.step === this.#step))
    const toolCallId = isTaken ? `${this.#messageId}-call-${this.#unnamed++}` : id
    const call: Call = { id, toolCallId, toolName: name, input: '', step: this.#step, ...(executed && { executed }) }
    this.#calls.set(index, call)
    if (id !== undefined) this.#ids.set(id, call)
    this.#growing.add(call)
    return frame({ type: 'tool-input-start', ...head(call) }) + this.#addCall({ index, ...piece })
  }

  /** What comes after the end of a call: its reader goes by the last word. */
  #correct(call: Call, { input, replaces, error }: ToolCallPart): string {
    if (error !== undefined) {
      call.error = error
      this.#unsettled.delete(call)
      return outputChunk(call, { errorText: error })
    }
    if (!replaces || call.error !== undefined) return ''
    call.input = input
    return this.#finish(call)
  }

  /** The call is whole. */
  #finish(call: Call): string {
    const { input } = call
    this.#growing.delete(call)
    call.done = true
    call.input = ''
    try {
      this.#unsettled.add(call)
      const said = frame({ type: 'tool-input-available', ...head(call), input: parseInput(input || '{}') })
      if (!this.#client || !call.executed) return said
      // assistant-ui runs every call that has no output, whoever else does; this one is not the last word.
      return (
        said + frame({ type: 'tool-output-available', toolCallId: call.toolCallId, output: null, preliminary: true })
      )
    } catch {
      call.error = NOT_JSON
      return frame({ type: 'tool-input-error', ...head(call), input, errorText: NOT_JSON })
    }
  }

  /** The call is not to be run. */
  #reject(call: Call, errorText: string): string {
    let input: unknown = call.input
    this.#growing.delete(call)
    call.error = errorText
    call.input = ''
    try {
      input = parseInput(input as string)
    } catch {
      // Shown as the text it is.
    }
    return frame({ type: 'tool-input-error', ...head(call), input, errorText })
  }

  /** Its answer has ended, and the source has not said that the call is whole. Parts of one's own may never say so. */
  #closeCall(call: Call, reason?: FinishReason): string {
    return this.#saysDone || CUT.test(reason ?? '') ? this.#reject(call, NOT_WHOLE) : this.#finish(call)
  }

  #closeCalls(reason?: FinishReason): string {
    let frames = ''
    for (const call of this.#growing) frames += this.#closeCall(call, reason)
    return frames
  }

  #addResult({ id, name, output, error }: ToolResultPart): string {
    let frames = ''
    let call = this.#ids.get(id)
    if (!call) {
      // A result without its call is an error to the reader, for the whole chat.
      frames =
        this.#closeBlock() + this.#beginCall({ type: 'tool-call', index: -1, id, name, input: '', executed: true })
      call = this.#ids.get(id) as Call
    }
    if (this.#growing.has(call)) {
      call.executed = true
      frames += this.#finish(call)
    }
    this.#unsettled.delete(call)
    return frames + outputChunk(call, error === undefined ? { output: output ?? null } : { errorText: error })
  }

  #addData({ name, data, id, transient }: DataPart): string {
    const { url, title, mediaType, filename } = (data ?? {}) as Record<string, unknown>
    if (name === 'citation' && typeof url === 'string') {
      const sourceId = id ?? `${this.#messageId}-source-${this.#sources++}`
      return frame({ type: 'source-url', sourceId, url, ...(typeof title === 'string' && { title }) })
    }
    if (name === 'citation' && typeof title === 'string' && typeof mediaType === 'string') {
      const sourceId = id ?? `${this.#messageId}-source-${this.#sources++}`
      const name = typeof filename === 'string' && { filename }
      return frame({ type: 'source-document', sourceId, mediaType, title, ...name })
    }
    if (name === 'file' && typeof url === 'string' && typeof mediaType === 'string') {
      return frame({ type: 'file', url, mediaType })
    }
    return dataChunk({ name, data, id, transient })
  }
}

/** As much of a chunk as is looked at. */
interface Chunk extends Record<string, unknown> {
  type: string
  delta?: string
  toolCallId?: string
  messageId?: string
  messageMetadata?: object
}

/** The message that the chunks of these frames make. */
function toMessage(frames: string): object {
  const parts: Record<string, unknown>[] = []
  let id: string | undefined
  let metadata: object | undefined
  for (const line of frames.split('\n\n')) {
    if (line === '') continue
    const { type, ...rest } = JSON.parse(line.slice('data: '.length)) as Chunk
    const call = parts.findLast(({ toolCallId }) => toolCallId !== undefined && toolCallId === rest.toolCallId)
    const { input, output, errorText } = rest
    if (type === 'start') id = rest.messageId
    else if (type === 'start-step') parts.push({ type: 'step-start' })
    else if (type === 'finish') metadata = rest.messageMetadata
    else if (type === 'text-start') parts.push({ type: 'text', text: '', state: 'done' })
    else if (type === 'reasoning-start') parts.push({ type: 'reasoning', ...rest, text: '', state: 'done' })
    else if (rest.delta !== undefined) {
      // Data may have come amid a text.
      const grown = parts.findLast(({ text }) => text !== undefined)
      if (grown) grown.text += rest.delta
    } else if (type === 'tool-input-start') parts.push(toCall(rest))
    else if (type === 'tool-input-available')
      Object.assign(call ?? {}, toCall(rest), { state: 'input-available', input })
    else if (type === 'tool-input-error') Object.assign(call ?? {}, { state: 'output-error', input, errorText })
    else if (type === 'tool-output-available') Object.assign(call ?? {}, { state: 'output-available', output })
    else if (type === 'tool-output-error') Object.assign(call ?? {}, { state: 'output-error', errorText })
    else if (type.startsWith('data-')) addData(parts, { type, ...rest })
    else if (/^(source|file)/.test(type)) parts.push({ type, ...rest })
  }
  return { id, role: 'assistant', ...(metadata && { metadata }), parts }
}

function toCall({ toolName, toolCallId, providerExecuted }: Record<string, unknown>): Record<string, unknown> {
  return { type: 'dynamic-tool', toolName, toolCallId, ...(providerExecuted === true && { providerExecuted }) }
}

/** Data with the same name and id replaces what came before. */
function addData(parts: Record<string, unknown>[], part: Record<string, unknown>): void {
  if (part.transient) return
  const known = part.id === undefined ? -1 : parts.findIndex(({ type, id }) => type === part.type && id === part.id)
  if (known === -1) parts.push(part)
  else parts[known] = part
}

function frame(chunk: Record<string, unknown>): string {
  return dataFrame(toJson(chunk))
}

function head({ toolCallId, toolName, executed }: Call): object {
  return { toolCallId, toolName, dynamic: true, ...(executed && { providerExecuted: true }) }
}

function outputChunk({ toolCallId, executed }: Call, said: { output: unknown } | { errorText: string }): string {
  const type = 'errorText' in said ? 'tool-output-error' : 'tool-output-available'
  return readableFrame({ type, toolCallId, ...said, dynamic: true, ...(executed && { providerExecuted: true }) })
}

function dataChunk({ name, data, id, transient }: Omit<DataPart, 'type' | 'id'> & { id?: string | undefined }): string {
  return readableFrame({
    type: `data-${name}`,
    ...(id !== undefined && { id }),
    data,
    ...(transient && { transient }),
  })
}

/** The data of an own event is text by now. If the text is JSON, its value goes into the part. */
function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

/** The AI SDK rejects these keys at any depth, and the whole chat would fail. */
function isRefused(key: string, value: unknown): boolean {
  return key === '__proto__' || (key === 'constructor' && Object.hasOwn(Object(value), 'prototype'))
}

/** The input of a call with such a key is the error of that call. */
function parseInput(input: string): unknown {
  return JSON.parse(input, (key, value) => {
    if (isRefused(key, value)) throw new TypeError(key)
    return value
  })
}

/** Data and what a tool answered, without such keys. */
function readableFrame(chunk: Record<string, unknown>): string {
  const json = toJson(chunk)
  if (!/"(__proto__|constructor)"/.test(json)) return dataFrame(json)
  return dataFrame(JSON.stringify(JSON.parse(json, (key, value) => (isRefused(key, value) ? undefined : value))))
}
