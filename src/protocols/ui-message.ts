/** How does a run look to `useChat` of the AI SDK? */

import { anything, callback, flag, type Rules, words } from '../check.js'
import { isObject } from '../errors.js'
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
  type UIChunk,
} from '../types.js'
import { CUT, dataFrame, failureFrame, toJson } from './frames.js'

/** As much of a message of the AI SDK as is looked at. */
export interface UIMessageLike {
  readonly id: string
  readonly role: string
  readonly parts?: readonly object[]
}

/** Options of {@link uiMessage}. */
export interface UIMessageOptions {
  /** The id of the message being answered with. @default the one that the source names, else the run's id */
  messageId?: string
  /**
   * The messages of the request, as `useChat` sends them. Where the last is the assistant's, the answer goes on with it:
   * it keeps its id, and what a tool answers to a call in it becomes the output of that call. Needed where the page
   * answers calls or approvals.
   */
  originalMessages?: readonly UIMessageLike[]
  /**
   * Whether what the provider says for itself goes along, as `providerMetadata`: signatures of reasoning, ids of items,
   * and `custom` parts. The next turn needs it where the page keeps the history. Of streams of the AI SDK.
   * @default false
   */
  providerMetadata?: boolean
  /**
   * Who reads it, where that is not `useChat` of the AI SDK's version 7. Versions 5 and 6 end the chat at a chunk that
   * they do not know: with `ai-5` nobody is asked for an approval, and neither gets what is newer. `assistant-ui` is
   * assistant-ui's own reader (`assistant-stream`), which ends with an error of its own where the stream does not end
   * with `[DONE]`: a failure is told as the AI SDK tells it, an `error` chunk and then `[DONE]`, which this library's
   * client takes for a complete answer.
   */
  client?: 'ai-5' | 'ai-6' | 'assistant-ui'
  /** More for the message's metadata, beside the `usage` of a finished answer. Called once, at its end. */
  metadata?(end: EncoderEnd): Record<string, unknown> | undefined
}

const OPTIONS: Rules<keyof UIMessageOptions> = {
  messageId: words,
  // A page's own words: whatever it sends is no mistake of the application's.
  originalMessages: anything,
  providerMetadata: flag,
  client: [
    (value: unknown) => /^(ai-5|ai-6|assistant-ui)$/.test(String(value)),
    "give 'ai-5', 'ai-6' or 'assistant-ui', or leave it out",
  ],
  metadata: callback,
}

/** The version of the AI SDK's reader that first knew a chunk. An older one ends the chat with an error. */
const SINCE: Record<string, number> = {
  'tool-approval-request': 6,
  'tool-output-denied': 6,
  'tool-approval-response': 7,
  'reset-step': 7,
  'reasoning-file': 7,
  custom: 7,
}

/**
 * The AI SDK's UI message stream, readable by `useChat` (versions 5 to 7). Tool calls are handed over as available when
 * they are whole and not before, as `providerExecuted` where no client is to run them, as asking for an approval where
 * they wait for one, and as errors when they were rejected. They are dynamic tools, but for streams of the AI SDK, whose
 * tools are what they are there. Each answer of a run is a step. Own events and data parts become `data-<name>`, citations
 * with a `url` become sources, files become files. A failure is an `error` chunk and nothing after it, so the chat is in
 * its error state and not at a finished answer.
 */
export function uiMessage(options: UIMessageOptions = {}): Protocol {
  checkOptions('uiMessage', options, OPTIONS)
  return {
    name: 'ui-message',
    headers: { 'x-vercel-ai-ui-message-stream': 'v1' },
    encoder: ({ runId }) => new UIMessageEncoder(runId, options),
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
  /** The page knows it by no name. */
  dynamic: boolean
  done?: boolean
  executed?: boolean
  error?: string
  /** Somebody was asked whether it may run. */
  isAsked?: boolean
}

/** A call of the message that the answer goes on with. */
type EarlierCall = Pick<Call, 'toolCallId' | 'dynamic' | 'executed'>

/** What a source names a message by is an id, and no text. */
const ID = /^[\w.:-]{1,128}$/
const NOT_JSON = 'The input of this tool call is not JSON.'
const NOT_WHOLE = 'The answer ended before this tool call was whole.'

class UIMessageEncoder implements Encoder {
  readonly #runId: string
  readonly #options: UIMessageOptions
  /** The id of the message that the answer goes on with, if it does. */
  readonly #earlierId: string | undefined
  /** The calls of that message, and what was asked of calls: made when there are any. */
  #earlier: Map<string, EarlierCall> | undefined
  #asked: Set<unknown> | undefined
  /** The id that the source names. */
  #namedId: string | undefined
  /** What `metadata` said, and what the source says for the message before it begins, and for its end. */
  #more: object | undefined
  #before: unknown
  #after: unknown
  /** The number of the step that is open; 0 before the message begins. */
  #step = 0
  /** Whether what comes next is of another answer. */
  #isNext = false
  /** A tool has answered that no provider runs: what the model says after it is another turn, whoever tells of turns. */
  #isAnswered = false
  /** Whether the step was told, and whether the source says when its first begins and has not: it may have data before. */
  #isStepOpen = false
  #awaitsStep = false
  #isStarted = false
  #open: { kind: 'text' | 'reasoning'; id: string } | undefined
  /** What the AI SDK says of its calls, by their ids, of the part that comes next, and of the block that does. */
  #said: Map<string, UIChunk> | undefined
  #beside: UIChunk | undefined
  #block: object | undefined
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

  constructor(runId: string, options: UIMessageOptions) {
    this.#runId = runId
    this.#options = options
    const { originalMessages } = options
    const last = Array.isArray(originalMessages) ? (originalMessages.at(-1) as UIMessageLike | undefined) : undefined
    if (last?.role !== 'assistant' || typeof last.id !== 'string') return
    this.#earlierId = last.id
    this.#earlier = new Map()
    this.#asked = new Set()
    for (const part of Array.isArray(last.parts) ? last.parts : []) {
      const { type, toolCallId, providerExecuted, approval } = (part ?? {}) as Record<string, unknown>
      if (typeof toolCallId !== 'string') continue
      const executed = providerExecuted === true && { executed: true }
      this.#earlier.set(toolCallId, { toolCallId, dynamic: type === 'dynamic-tool', ...executed })
      if (approval) this.#asked.add((approval as { id?: unknown }).id)
    }
  }

  get #isAssistantUI(): boolean {
    return this.#options.client === 'assistant-ui'
  }

  /** What the ids are made of that the source does not give. Those of a message that goes on are there already. */
  get #prefix(): string {
    return this.#earlierId === undefined ? (this.#options.messageId ?? this.#runId) : this.#runId
  }

  #knows(type: string): boolean {
    const { client } = this.#options
    return !client?.startsWith('ai-') || Number(client.slice(3)) >= (SINCE[type] ?? 0)
  }

  part(part: EncoderPart): string {
    switch (part.type) {
      case 'text':
      case 'reasoning':
        // A signature has its place under the provider's name, which is not known here.
        return part.text === '' ? '' : this.#addText(part.type, part.text)
      case 'tool-call':
        return this.#begin() + this.#closeBlock() + this.#addCall(part)
      case 'tool-result': {
        const frames = this.#begin() + this.#addResult(part)
        this.#beside = undefined
        return frames
      }
      case 'data':
        return this.#begin() + this.#addData(part)
      default:
        // Nothing of its own, so that a refusal that comes after it is still a status.
        // The first answer begins in the step that is open, whatever the user said before; one that is called nothing is
        // another turn of an agent.
        this.#isNext = this.#step > 0 && (this.#isStarted || Object.keys(part).length === 1)
        this.#isStarted = true
        return ''
    }
  }

  aside(chunk: UIChunk): string {
    const { type, messageId, messageMetadata, approvalId, kind } = chunk
    this.#beside = undefined
    switch (type) {
      case 'text-start':
      case 'reasoning-start':
        this.#block = this.#metadataOf(chunk)
        return ''
      case 'text-delta':
      case 'reasoning-delta':
        return this.#addMetadata(type.slice(0, -6) as 'text' | 'reasoning', this.#metadataOf(chunk))
      case 'text-end':
      case 'reasoning-end':
        return this.#endBlock(type.slice(0, -4) as 'text' | 'reasoning', chunk)
      case 'start':
        if (typeof messageId === 'string' && ID.test(messageId)) this.#namedId ??= messageId
        this.#awaitsStep = this.#step === 0
        return this.#addMessageMetadata(messageMetadata)
      case 'start-step':
        // What came before it is of no step.
        if (this.#awaitsStep && this.#step > 0) this.#isNext = true
        this.#awaitsStep = false
        return ''
      case 'message-metadata':
        return this.#addMessageMetadata(messageMetadata)
      case 'finish':
        if (isObject(messageMetadata)) this.#after = messageMetadata
        return ''
      case 'tool-approval-response':
        return this.#knows(type) && this.#asked?.has(approvalId)
          ? this.#begin() + frame({ ...chunk, ...this.#metadataOf(chunk) })
          : ''
      case 'custom': {
        // Without what the provider says it is nothing but a name.
        const more = this.#metadataOf(chunk)
        return more.providerMetadata && this.#knows(type) ? this.#begin() + frame({ type, kind, ...more }) : ''
      }
      case 'reset-step':
        return this.#knows(type) ? this.#reset() : ''
      default:
        if (this.#know(chunk)) return ''
        this.#beside = chunk
        return chunk.preliminary ? this.#addPreliminary(chunk) : ''
    }
  }

  event({ event: name = 'data', data, id }: ServerSentEvent): string {
    return this.#begin() + dataChunk({ name, data: parse(data), id })
  }

  end(end: EncoderEnd): string {
    const { finishReason, usage } = end
    this.#isNext = false
    const messageMetadata = { ...(usage && { usage }), ...(this.#after as object), ...this.#moreOf(end) }
    return (
      this.#begin() +
      this.#closeBlock() +
      this.#closeCalls(finishReason) +
      (this.#isStepOpen ? frame({ type: 'finish-step' }) : '') +
      frame({
        type: 'finish',
        ...(finishReason && { finishReason }),
        ...(Object.keys(messageMetadata).length > 0 && { messageMetadata }),
      })
    )
  }

  fail(error: Failure): string {
    const failure = { type: 'error', errorText: error.message, error }
    if (!this.#isAssistantUI) return failureFrame(failure)
    let frames = this.#closeCalls('error')
    // assistant-ui's reader runs at the end whatever has no output, of a failure, too.
    for (const call of this.#unsettled) frames += this.#outputChunk(call, { errorText: error.message })
    return frames + frame(failure) + dataFrame(DONE)
  }

  /** Asked for once, though there may be both a stream and a body. */
  #moreOf(end: EncoderEnd): object {
    this.#more ??= this.#options.metadata?.(end) ?? {}
    return this.#more
  }

  /** What a reader makes of the stream. */
  answer(parts: readonly AnswerPart[], end: EncoderEnd): object {
    const more = { ...this.#moreOf(end) }
    const { client, ...options } = this.#options
    const version = client && client !== 'assistant-ui' && { client }
    const encoder = new UIMessageEncoder(this.#runId, { ...options, ...version, metadata: () => more })
    // A call is whole at the place of its first piece: what was said of it is known there.
    for (const part of parts) if (part.type === 'chunk') encoder.#know(part.chunk as UIChunk)
    let frames = ''
    for (const part of parts) {
      if (part.type === 'event') frames += encoder.event(part.event)
      else if (part.type === 'chunk') frames += encoder.aside(part.chunk as UIChunk)
      else frames += encoder.part(part)
    }
    return toMessage(frames + encoder.end(end))
  }

  /** Opens the message, or another step of it. */
  #begin(): string {
    if (this.#step > 0 && !this.#isNext) return ''
    const before = this.#step === 0 ? this.#start() : this.#endStep()
    this.#isNext = this.#isAnswered = false
    this.#step++
    if (this.#awaitsStep) return before
    this.#isStepOpen = true
    return before + frame({ type: 'start-step' })
  }

  #endStep(): string {
    return this.#isStepOpen ? this.#closeBlock() + this.#closeCalls() + frame({ type: 'finish-step' }) : ''
  }

  #start(): string {
    const { messageId = this.#namedId ?? this.#runId } = this.#options
    // What a tool answered to a call that is not in the run is of the reader's own message: that has its id.
    const isOn = this.#isOfEarlier(this.#beside) && this.#options.messageId === undefined
    const id = this.#earlierId ?? (isOn ? this.#namedId : messageId)
    const before = this.#before
    return frame({
      type: 'start',
      ...(id !== undefined && { messageId: id }),
      ...(before !== undefined && { messageMetadata: before }),
    })
  }

  #closeBlock(more?: object): string {
    if (!this.#open) return ''
    const { kind, id } = this.#open
    this.#open = undefined
    return frame({ type: `${kind}-end`, id, ...more })
  }

  /** What is said of a call holds for all of it. */
  #know(chunk: UIChunk): boolean {
    const { type, toolCallId } = chunk
    if (typeof toolCallId !== 'string' || !/^tool-(call|input|approval-request)/.test(type)) return false
    this.#said ??= new Map()
    this.#said.set(toolCallId, { ...this.#said.get(toolCallId), ...defined(chunk) })
    return true
  }

  /** What the provider says for itself, where it may go along. */
  #metadataOf({ providerMetadata }: UIChunk): { providerMetadata?: unknown } {
    return { providerMetadata: this.#options.providerMetadata ? providerMetadata : undefined }
  }

  #addMessageMetadata(messageMetadata: unknown): string {
    if (messageMetadata === undefined || messageMetadata === null) return ''
    if (this.#step > 0) return frame({ type: 'message-metadata', messageMetadata })
    const before = this.#before
    const isBoth = isObject(before) && isObject(messageMetadata)
    this.#before = isBoth ? { ...before, ...messageMetadata } : messageMetadata
    return ''
  }

  /** Of a block that grows, or of one that is to begin. */
  #addMetadata(kind: 'text' | 'reasoning', more: { providerMetadata?: unknown }): string {
    if (more.providerMetadata === undefined) return ''
    if (this.#open?.kind === kind) return frame({ type: `${kind}-delta`, id: this.#open.id, delta: '', ...more })
    this.#block = more
    return ''
  }

  #endBlock(kind: 'text' | 'reasoning', chunk: UIChunk): string {
    const said = this.#metadataOf(chunk)
    const more = { ...said, ...(Array.isArray(chunk.citations) && { citations: this.#citationsOf(chunk.citations) }) }
    // What is encrypted has no word of text.
    const { providerMetadata = (this.#block as typeof said)?.providerMetadata } = said
    const begins = this.#open?.kind !== kind && providerMetadata !== undefined
    const frames = begins ? this.#begin() + this.#openBlock(kind) : ''
    this.#block = undefined
    return this.#open?.kind === kind ? frames + this.#closeBlock(more) : frames
  }

  #citationsOf(citations: readonly { source?: object }[]): object[] {
    if (this.#options.providerMetadata) return [...citations]
    return citations.map((citation) => ({ ...citation, source: { ...citation.source, providerMetadata: undefined } }))
  }

  #openBlock(kind: 'text' | 'reasoning'): string {
    const before = this.#closeBlock()
    this.#open = { kind, id: String(this.#blocks++) }
    const more = this.#block
    this.#block = undefined
    return before + frame({ type: `${kind}-start`, id: this.#open.id, ...more })
  }

  /** The step is taken back, with all that it told. */
  #reset(): string {
    if (this.#step === 0) return ''
    this.#open = undefined
    for (const calls of [this.#growing, this.#unsettled])
      for (const call of calls) if (call.step === this.#step) calls.delete(call)
    return frame({ type: 'reset-step' })
  }

  /** A tool goes on: what it has answered so far. */
  #addPreliminary(said: UIChunk): string {
    const toolCallId = said.toolCallId as string
    const call = this.#ids.get(toolCallId) ?? this.#earlierCall(toolCallId, said)
    return this.#begin() + this.#outputChunk(call, { output: said.output ?? null, preliminary: true })
  }

  /** Of a stream of the AI SDK a call that is not in it is of the message that its reader has, whoever says so. */
  #earlierCall(toolCallId: string, said: UIChunk): EarlierCall {
    return this.#earlier?.get(toolCallId) ?? { toolCallId, dynamic: said.dynamic === true }
  }

  /** Whether it is of a call of the message that the reader has, and not of this run. */
  #isOfEarlier(chunk: UIChunk | undefined): boolean {
    const id = chunk?.toolCallId as string | undefined
    return id !== undefined && !this.#ids.has(id)
  }

  #addText(kind: 'text' | 'reasoning', text: string): string {
    // Where they were of one step, a page that sends its tools' answers by itself would send these again and again.
    if (this.#isAnswered) this.#isNext = true
    let frames = this.#begin()
    if (this.#open?.kind !== kind) {
      frames += this.#openBlock(kind)
      // A block is a paragraph already.
      if (this.#told.has(kind) && text.startsWith('\n\n')) text = text.slice(2)
      this.#told.add(kind)
    }
    return frames + dataFrame(`{"type":"${kind}-delta","id":"${this.#open?.id}","delta":${JSON.stringify(text)}}`)
  }

  #addCall(part: ToolCallPart): string {
    const { index, input, done, replaces, error } = part
    if (done) this.#saysDone = true
    const known = this.#calls.get(index)
    if (!known || beginsCall(known, part)) {
      // The source has begun another call without an end of this one.
      return (known && this.#growing.has(known) ? this.#closeCall(known) : '') + this.#beginCall(part)
    }
    const asks = this.#askedOf(known, part)
    if (this.#isElsewhere(known, part, asks)) known.executed = true
    if (!this.#growing.has(known)) return this.#correct(known, part) + this.#ask(known, asks)
    let frames = ''
    if (replaces) known.input = input
    else if (input !== '') {
      known.input += input
      frames = frame({ type: 'tool-input-delta', toolCallId: known.toolCallId, inputTextDelta: input })
    }
    if (error !== undefined) return frames + this.#reject(known, error)
    return done ? frames + this.#finish(known) + this.#ask(known, asks) : frames
  }

  /** What is asked of a call, if anything is, and if its reader can ask. */
  #askedOf(call: Call, { approval, done }: ToolCallPart): UIChunk | undefined {
    const type = 'tool-approval-request'
    const said = this.#saidOf(call)
    const approvalId = said?.approvalId ?? approval
    if (!done || approvalId === undefined || call.isAsked || !this.#knows(type)) return
    // To a reader that does not know the application's own answer it would be a question for ever.
    if (said?.isAutomatic && !this.#knows('tool-approval-response')) return
    const { reason, isAutomatic, signature, inputSchemaInput } = said ?? { type }
    return {
      ...{ type, approvalId, toolCallId: call.toolCallId, reason },
      ...{ isAutomatic, signature, inputSchemaInput },
    }
  }

  #saidOf({ id }: Call): UIChunk | undefined {
    return id === undefined ? undefined : this.#said?.get(id)
  }

  /** Whether the page is to take it for a call of the provider's. One that is asked for is of a tool that the page knows. */
  #isElsewhere(call: Call, { executed }: ToolCallPart, asks: UIChunk | undefined): boolean {
    const said = this.#saidOf(call)
    return executed === true && (said?.providerExecuted === true || (!asks && !said?.isAutomatic))
  }

  #ask(call: Call, chunk: UIChunk | undefined): string {
    if (!chunk || call.error !== undefined) return ''
    call.isAsked = true
    this.#asked ??= new Set()
    this.#asked.add(chunk.approvalId)
    return frame(chunk)
  }

  #beginCall(part: ToolCallPart): string {
    const { index, id, name = 'tool', ...piece } = part
    // A step does not hold two calls with one id: its reader would make one of them. For assistant-ui's no message does.
    const known = id === undefined ? undefined : this.#ids.get(id)
    const isTaken = id === undefined || (known && (this.#isAssistantUI || known.step === this.#step))
    const toolCallId = isTaken ? `${this.#prefix}-call-${this.#unnamed++}` : id
    const said = id === undefined ? undefined : this.#said?.get(id)
    // Elsewhere than in the AI SDK nobody says which tools the page knows.
    const dynamic = said ? said.dynamic === true : true
    const call: Call = { id, toolCallId, toolName: name, input: '', step: this.#step, dynamic }
    if (this.#isElsewhere(call, part, this.#askedOf(call, part))) call.executed = true
    this.#calls.set(index, call)
    if (id !== undefined) this.#ids.set(id, call)
    this.#growing.add(call)
    const begun = { type: 'tool-input-start', ...this.#head(call), inputEncoding: said?.inputEncoding }
    return frame(begun) + this.#addCall({ index, ...piece })
  }

  /** What comes after the end of a call: its reader goes by the last word. */
  #correct(call: Call, { input, replaces, error }: ToolCallPart): string {
    if (error !== undefined) {
      call.error = error
      this.#unsettled.delete(call)
      return this.#outputChunk(call, { errorText: error })
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
      const said = frame({
        type: 'tool-input-available',
        ...this.#head(call),
        input: parseInput(input || '{}'),
      })
      if (!this.#isAssistantUI || !call.executed) return said
      // assistant-ui runs every call that has no output, whoever else does; this one is not the last word.
      return (
        said + frame({ type: 'tool-output-available', toolCallId: call.toolCallId, output: null, preliminary: true })
      )
    } catch {
      call.error = NOT_JSON
      return frame({ type: 'tool-input-error', ...this.#head(call), input, errorText: NOT_JSON })
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
    return frame({ type: 'tool-input-error', ...this.#head(call), input, errorText })
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
    const said = this.#beside?.toolCallId === id ? this.#beside : undefined
    const result = error === undefined ? { output: output ?? null } : { errorText: error }
    const isDenied = said?.type === 'tool-output-denied' && this.#knows(said.type)
    const earlier = call ? undefined : said ? this.#earlierCall(id, said) : this.#earlier?.get(id)
    if (earlier) return isDenied ? frame({ type: said.type, toolCallId: id }) : this.#outputChunk(earlier, result)
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
    this.#isAnswered = !said && !call.executed
    if (isDenied) return frames + frame({ type: said.type, toolCallId: call.toolCallId })
    return frames + this.#outputChunk(call, result)
  }

  #head(call: Call): Record<string, unknown> {
    const { toolCallId, toolName, executed, dynamic } = call
    const said = this.#saidOf(call)
    return {
      toolCallId,
      toolName,
      ...(dynamic && { dynamic }),
      ...(executed && { providerExecuted: true }),
      ...(said && { title: said.title, toolMetadata: said.toolMetadata, ...this.#metadataOf(said) }),
    }
  }

  #outputChunk(
    { toolCallId, executed, dynamic }: EarlierCall,
    result: { output: unknown; preliminary?: boolean } | { errorText: string },
  ): string {
    const type = 'errorText' in result ? 'tool-output-error' : 'tool-output-available'
    const said = this.#beside?.toolCallId === toolCallId ? this.#beside : undefined
    return frame({
      type,
      toolCallId,
      ...result,
      ...(dynamic && { dynamic }),
      ...(executed && { providerExecuted: true }),
      ...(said && { toolMetadata: said.toolMetadata, ...this.#metadataOf(said) }),
    })
  }

  #addData({ name, data, id, transient }: DataPart): string {
    const { url, title, mediaType, filename } = (data ?? {}) as Record<string, unknown>
    const said = this.#beside
    const more = said && this.#metadataOf(said)
    this.#beside = undefined
    const isDocument = typeof title === 'string' && typeof mediaType === 'string'
    if (name === 'citation' && (typeof url === 'string' || isDocument)) {
      const sourceId = id ?? said?.sourceId ?? `${this.#prefix}-source-${this.#sources++}`
      if (typeof url === 'string')
        return frame({ type: 'source-url', sourceId, url, ...(typeof title === 'string' && { title }), ...more })
      const name = typeof filename === 'string' && { filename }
      return frame({ type: 'source-document', sourceId, mediaType, title, ...name, ...more })
    }
    if (name === 'file' && typeof url === 'string' && typeof mediaType === 'string') {
      const isThought = said?.type === 'reasoning-file' && this.#knows(said.type)
      return frame({ type: isThought ? 'reasoning-file' : 'file', url, mediaType, ...more })
    }
    return dataChunk({ name, data, id, transient })
  }
}

/** The message that the chunks of these frames make. */
function toMessage(frames: string): object {
  let parts: Record<string, unknown>[] = []
  let id: unknown
  let metadata: object | undefined
  const last = (key: string, value: unknown) => parts.findLast((part) => part[key] === value) ?? {}
  for (const line of frames.split('\n\n')) {
    if (line === '') continue
    const { type, ...rest } = JSON.parse(line.slice('data: '.length)) as UIChunk
    const { delta, input, output, errorText, providerMetadata } = rest
    const more = providerMetadata !== undefined && { providerMetadata }
    const call = last('toolCallId', rest.toolCallId)
    if (isObject(rest.messageMetadata)) metadata = { ...metadata, ...rest.messageMetadata }
    if (type === 'start') id = rest.messageId
    else if (type === 'start-step') parts.push({ type: 'step-start' })
    else if (type === 'reset-step')
      parts = parts.slice(0, parts.findLastIndex((part) => part.type === 'step-start') + 1)
    else if (/^(text|reasoning)-start$/.test(type))
      parts.push({ type: type.slice(0, -6), ...(type === 'text-start' ? more : rest), text: '', state: 'done' })
    else if (/^(text|reasoning)-(delta|end)$/.test(type)) {
      // Data may have come amid a text.
      const block = parts.findLast(({ text }) => text !== undefined) ?? {}
      Object.assign(block, more, rest.citations ? { citations: rest.citations } : {})
      if (delta !== undefined) block.text += delta as string
    } else if (type === 'tool-input-start') parts.push(toCall(rest))
    else if (type === 'tool-input-available') Object.assign(call, toCall(rest), { state: 'input-available', input })
    else if (type === 'tool-input-error') Object.assign(call, toCall(rest), { state: 'output-error', input, errorText })
    else if (type === 'tool-approval-request') {
      const { toolCallId: _, approvalId, reason: requestReason, ...request } = rest
      const approval = { id: approvalId, ...(requestReason !== undefined && { requestReason }), ...request }
      Object.assign(call, { state: 'approval-requested', approval })
    } else if (type === 'tool-approval-response') {
      const { approvalId, approved, reason } = rest
      const asked = parts.find(({ approval }) => (approval as { id?: unknown } | undefined)?.id === approvalId)
      const approval = { ...(asked?.approval as object), approved, ...(reason !== undefined && { reason }) }
      if (asked) Object.assign(asked, { state: 'approval-responded', approval })
    } else if (type === 'tool-output-denied') Object.assign(call, { state: 'output-denied' })
    else if (/^tool-output/.test(type)) {
      const { toolMetadata, preliminary } = rest
      delete call.preliminary
      Object.assign(call, type === 'tool-output-error' ? { state: 'output-error', errorText } : { output }, {
        ...(type === 'tool-output-available' && { state: 'output-available' }),
        ...(preliminary === true && { preliminary }),
        ...(toolMetadata !== undefined && { toolMetadata }),
        ...(more && { resultProviderMetadata: providerMetadata }),
      })
    } else if (type.startsWith('data-')) addData(parts, { type, ...rest })
    else if (/^(source|file|reasoning-file|custom)/.test(type)) parts.push({ type, ...rest })
  }
  return { id, role: 'assistant', ...(metadata && { metadata }), parts }
}

function toCall(chunk: Record<string, unknown>): Record<string, unknown> {
  const { toolName, toolCallId, dynamic, providerExecuted, title, toolMetadata, providerMetadata } = chunk
  return {
    ...(dynamic ? { type: 'dynamic-tool', toolName } : { type: `tool-${toolName}` }),
    toolCallId,
    ...(providerExecuted === true && { providerExecuted }),
    ...(title !== undefined && { title }),
    ...(toolMetadata !== undefined && { toolMetadata }),
    ...(providerMetadata !== undefined && { callProviderMetadata: providerMetadata }),
  }
}

/** Data with the same name and id replaces what came before. */
function addData(parts: Record<string, unknown>[], part: Record<string, unknown>): void {
  if (part.transient) return
  const known = part.id === undefined ? -1 : parts.findIndex(({ type, id }) => type === part.type && id === part.id)
  if (known === -1) parts.push(part)
  else parts[known] = part
}

/** A chunk without what nobody said, which would hide what was said before. */
function defined(chunk: UIChunk): UIChunk {
  return Object.fromEntries(Object.entries(chunk).filter(([, value]) => value !== undefined)) as unknown as UIChunk
}

function dataChunk({ name, data, id, transient }: Omit<DataPart, 'type' | 'id'> & { id?: string | undefined }): string {
  return frame({
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

/** A chunk without such keys, wherever they are from. */
function frame(chunk: object): string {
  const json = toJson(chunk)
  if (!/"(__proto__|constructor)"/.test(json)) return dataFrame(json)
  return dataFrame(JSON.stringify(JSON.parse(json, (key, value) => (isRefused(key, value) ? undefined : value))))
}
