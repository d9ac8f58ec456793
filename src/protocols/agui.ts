/** How does a run look to a client of AG-UI (CopilotKit, TanStack AI)? */

import { type Rules, words } from '../check.js'
import { checkOptions } from '../options.js'
import { beginsCall, withoutRepeat } from '../tool-call-boundaries.js'
import type {
  AnswerPart,
  DataPart,
  Encoder,
  EncoderEnd,
  EncoderPart,
  Failure,
  FinishReason,
  Protocol,
  ReasoningPart,
  ServerSentEvent,
  ToolCallPart,
  ToolResultPart,
} from '../types.js'
import { cannotTakeBack, dataFrame, failureFrame, parseData, quote, seemsWhole, toJson } from './frames.js'

/** Options of {@link agui}. */
export interface AGUIOptions {
  /** The `threadId` of the request. @default the run's id */
  threadId?: string
  /** The `runId` of the request. @default the run's id */
  runId?: string
}

const OPTIONS: Rules<keyof AGUIOptions> = { threadId: words, runId: words }

/**
 * The events of AG-UI, for CopilotKit, TanStack AI and `HttpAgent`. Own events and data parts become `CUSTOM`. A call that
 * no client is to run gets a `TOOL_CALL_RESULT`: what the tool answered, or why nobody is to run it; one that waits for a
 * person has none, and the run ends with an interrupt for it. The protocol can only append: a call whose input is replaced
 * after it was sent ends the run as `error`. A complete run ends with `RUN_FINISHED` and nothing after it, a failed one
 * with `RUN_ERROR`.
 */
export function agui(options: AGUIOptions = {}): Protocol {
  checkOptions('agui', options, OPTIONS)
  const { threadId, runId: asked } = options
  return {
    name: 'agui',
    // Whatever comes after the end of a run is one too many.
    sentinel: '',
    encoder: ({ runId }) => new AGUIEncoder(runId, threadId ?? runId, asked ?? runId),
  }
}

/** A tool call as far as it has come. */
interface Call {
  /** The id as the source gave it, if it did. */
  readonly id: string | undefined
  readonly toolCallId: string
  input: string
  done?: boolean
  error?: string
  hasResult?: boolean
}

const NOT_WHOLE = 'The answer ended before this tool call was whole.'

class AGUIEncoder implements Encoder {
  readonly #runId: string
  readonly #names: { threadId: string; runId: string }
  #isBegun = false
  /** The message that grows. Its reasoning, or its text. */
  #open: { kind: 'text' | 'reasoning'; id: string } | undefined
  /** Another answer began: its text is another message. */
  #isNext = false
  /** What was told before: what comes after it in a message of its own needs no blank line. */
  readonly #told = new Set<'text' | 'reasoning'>()
  /** The message that the next call is of: calls that are made at once are of one message. */
  #parent: string | undefined
  #messages = 0
  /** The latest call at each index, with each id, and those that have not ended. */
  readonly #calls = new Map<number, Call>()
  readonly #ids = new Map<string, Call>()
  readonly #growing = new Set<Call>()
  /** Whose result has not come: of those that no client is to run, and of those of which only the end tells. */
  readonly #unanswered = new Set<Call>()
  readonly #unsettled = new Set<Call>()
  /** Those that wait for a person, with the id that the answer to each is to name. */
  readonly #asked = new Map<Call, string>()
  /** Whether the source says of its calls when they are whole. Parts of one's own may not. */
  #saysDone = false

  constructor(runId: string, threadId: string, asked: string) {
    this.#runId = runId
    this.#names = { threadId, runId: asked }
  }

  part(part: EncoderPart, hasResults = false): string {
    switch (part.type) {
      case 'text':
        return part.text === '' ? '' : this.#say('text', part.text)
      case 'reasoning':
        return this.#think(part)
      case 'tool-call':
        return this.#begin() + this.#addCall(part, hasResults)
      case 'tool-result':
        return this.#begin() + this.#addResult(part)
      case 'data':
        return this.#custom(part)
      default:
        this.#isNext = true
        this.#parent = undefined
        return ''
    }
  }

  event({ event: name = 'data', data }: ServerSentEvent): string {
    return this.#custom({ name, data: parseData(data) })
  }

  end({ finishReason, usage }: EncoderEnd): string {
    return (
      this.#begin() +
      this.#close() +
      this.#endCalls(finishReason) +
      frame('RUN_FINISHED', {
        ...this.#names,
        ...(this.#asked.size > 0 && { outcome: { type: 'interrupt', interrupts: this.#interrupts } }),
        ...(usage && { usage: [usage] }),
        // The clients of today refuse an event that has more beside what they know.
        ...(finishReason && { metadata: { finishReason } }),
      })
    )
  }

  /** What is open is closed first: a client keeps what came, and a call without a result would be its own to run. */
  fail(error: Failure): string {
    let frames = this.#close() + this.#endCalls('error')
    for (const call of [...this.#unsettled, ...this.#asked.keys()]) frames += this.#result(call, '')
    return frames + failureFrame({ type: 'RUN_ERROR', message: error.message, code: error.code, error })
  }

  answer(parts: readonly AnswerPart[], end: EncoderEnd): object {
    const encoder = new AGUIEncoder(this.#runId, this.#names.threadId, this.#names.runId)
    let frames = ''
    for (const part of parts) {
      if (part.type === 'event') frames += encoder.event(part.event)
      else if (part.type !== 'chunk') frames += encoder.part(part)
    }
    return gather(frames + encoder.end(end))
  }

  get #interrupts(): object[] {
    return [...this.#asked].map(([{ toolCallId }, id]) => ({ id, reason: 'tool_call', toolCallId }))
  }

  #begin(): string {
    if (this.#isBegun) return ''
    this.#isBegun = true
    return frame('RUN_STARTED', this.#names)
  }

  #newId(): string {
    return `${this.#runId}-${this.#messages++}`
  }

  #say(kind: 'text' | 'reasoning', text: string): string {
    let frames = ''
    if (this.#open?.kind !== kind || this.#isNext) {
      this.#isNext = false
      frames = this.#begin() + this.#close() + this.#beginMessage(kind)
      // A message is a paragraph already.
      if (this.#told.has(kind) && text.startsWith('\n\n')) text = text.slice(2)
      this.#told.add(kind)
    }
    const { id } = this.#open as { id: string }
    const type = kind === 'text' ? 'TEXT_MESSAGE_CONTENT' : 'REASONING_MESSAGE_CONTENT'
    // A piece without a word is refused by older clients.
    return text === '' ? frames : frames + dataFrame(`{"type":"${type}","messageId":"${id}","delta":${quote(text)}}`)
  }

  #beginMessage(kind: 'text' | 'reasoning'): string {
    const messageId = this.#newId()
    this.#open = { kind, id: messageId }
    if (kind === 'reasoning') {
      return (
        frame('REASONING_START', { messageId }) + frame('REASONING_MESSAGE_START', { messageId, role: 'reasoning' })
      )
    }
    this.#parent = messageId
    return frame('TEXT_MESSAGE_START', { messageId, role: 'assistant' })
  }

  #close(encryptedValue?: string): string {
    if (!this.#open) return ''
    const { kind, id: messageId } = this.#open
    this.#open = undefined
    if (kind === 'text') return frame('TEXT_MESSAGE_END', { messageId })
    return (
      frame('REASONING_MESSAGE_END', { messageId }) +
      (encryptedValue === undefined
        ? ''
        : frame('REASONING_ENCRYPTED_VALUE', { subtype: 'message', entityId: messageId, encryptedValue })) +
      frame('REASONING_END', { messageId })
    )
  }

  /** A signature, or what is encrypted, ends the reasoning before it. */
  #think({ text, signature, redacted }: ReasoningPart): string {
    let frames = text === '' ? '' : this.#say('reasoning', text)
    const isOpen = this.#open?.kind === 'reasoning'
    if (redacted !== undefined && !isOpen) frames += this.#begin() + this.#close() + this.#beginMessage('reasoning')
    const encrypted = redacted ?? (isOpen ? signature : undefined)
    return encrypted === undefined ? frames : frames + this.#close(encrypted)
  }

  #addCall(piece: ToolCallPart, hasResults = false): string {
    let call = this.#calls.get(piece.index)
    const part = withoutRepeat(call, piece)
    const { index, input, done, replaces, executed, error, approval } = part
    if (done) this.#saysDone = true
    let frames = ''
    if (!call || beginsCall(call, part)) {
      // The source has begun another call without an end of this one.
      frames = this.#close() + (call && this.#growing.has(call) ? this.#endCall(call) : '')
      const { id, name = 'tool' } = part
      const isTaken = id === undefined || this.#ids.has(id)
      call = { id, toolCallId: isTaken ? `${this.#runId}-call-${this.#messages++}` : id, input: '' }
      this.#calls.set(index, call)
      if (id !== undefined) this.#ids.set(id, call)
      this.#growing.add(call)
      if (hasResults) this.#unsettled.add(call)
      this.#parent ??= this.#newId()
      const { toolCallId } = call
      frames += frame('TOOL_CALL_START', { toolCallId, toolCallName: name, parentMessageId: this.#parent })
    }
    if (approval !== undefined) {
      this.#asked.set(call, approval)
      this.#unanswered.delete(call)
      this.#unsettled.delete(call)
    } else if (executed && !call.hasResult) this.#unanswered.add(call)
    if (replaces && call.input !== '') throw cannotTakeBack('The input of a tool call', 'agui()')
    if (input !== '' && this.#growing.has(call)) {
      call.input += input
      frames += frame('TOOL_CALL_ARGS', { toolCallId: call.toolCallId, delta: input })
    }
    if (error !== undefined) {
      call.error = error
      return frames + this.#finish(call) + this.#result(call, error, true)
    }
    if (!done) return frames
    call.done = true
    return frames + this.#finish(call)
  }

  /** The call is over: what is without arguments has an empty object of them. */
  #finish(call: Call): string {
    if (!this.#growing.delete(call)) return ''
    const { toolCallId } = call
    const empty =
      call.input === '' && call.error === undefined ? frame('TOOL_CALL_ARGS', { toolCallId, delta: '{}' }) : ''
    return empty + frame('TOOL_CALL_END', { toolCallId })
  }

  #result(call: Call, content: string, hasFailed = false): string {
    // A history with two answers to one call is refused by providers.
    if (call.hasResult) return ''
    call.hasResult = true
    this.#unanswered.delete(call)
    this.#unsettled.delete(call)
    this.#asked.delete(call)
    // What is called after that is called by another message.
    this.#parent = undefined
    return frame('TOOL_CALL_RESULT', {
      messageId: this.#newId(),
      toolCallId: call.toolCallId,
      content,
      role: 'tool',
      // The protocol has no word for it; one client has.
      ...(hasFailed && { metadata: { tanstack: { state: 'output-error' } } }),
    })
  }

  #addResult({ id, name, output, error }: ToolResultPart): string {
    let frames = ''
    let call = this.#ids.get(id)
    if (!call) {
      // A result without its call is refused by providers, when it comes back to them.
      frames = this.#addCall({ type: 'tool-call', index: -1, id, name, input: '', done: true })
      call = this.#ids.get(id) as Call
    }
    call.done = true
    return frames + this.#finish(call) + this.#result(call, error ?? toContent(output), error !== undefined)
  }

  /** Its answer has ended, and the source has not said that the call is whole. Parts of one's own may never say so. */
  #endCall(call: Call, reason?: FinishReason): string {
    const isWhole = !this.#saysDone && seemsWhole(call.input, reason)
    if (isWhole) return this.#finish(call)
    call.error = NOT_WHOLE
    return this.#finish(call) + this.#result(call, NOT_WHOLE, true)
  }

  #endCalls(reason: FinishReason | undefined): string {
    let frames = ''
    for (const call of this.#growing) frames += this.#endCall(call, reason)
    // Nobody has said what these came to: a call without a result is one that the client runs.
    for (const call of this.#unanswered) frames += this.#result(call, '')
    return frames
  }

  #custom({ name, data, id, transient }: Omit<DataPart, 'type'>): string {
    const metadata = { ...(id !== undefined && { id }), ...(transient && { transient }) }
    return (
      this.#begin() +
      frame('CUSTOM', { name, value: data ?? null, ...(Object.keys(metadata).length > 0 && { metadata }) })
    )
  }
}

function frame(type: string, fields: object): string {
  return dataFrame(toJson({ type, ...fields }))
}

/** What a tool answered, as text. */
function toContent(output: unknown): string {
  if (typeof output === 'string') return output
  return output === null || output === undefined ? '' : toJson(output)
}

interface Message {
  id: string
  role: string
  content?: string
  encryptedValue?: string
  toolCalls?: { id: string; type: 'function'; function: { name: string; arguments: string } }[]
  toolCallId?: string
}

/** What a client makes of the events of a whole run: the messages that `runAgent` resolves to. */
function gather(frames: string): object {
  const newMessages: Message[] = []
  const custom: object[] = []
  const calls = new Map<string, { arguments: string }>()
  const find = (id: string) => newMessages.findLast((message) => message.id === id)
  let last: object = {}
  for (const text of frames.split('\n\n')) {
    if (text === '') continue
    const { type, ...event } = JSON.parse(text.slice('data: '.length))
    const { messageId: id, delta } = event
    if (/MESSAGE_START$/.test(type)) newMessages.push({ id, role: event.role, content: '' })
    else if (/MESSAGE_CONTENT$/.test(type)) (find(id) as { content: string }).content += delta
    else if (type === 'REASONING_ENCRYPTED_VALUE')
      (find(event.entityId) as Message).encryptedValue = event.encryptedValue
    else if (type === 'TOOL_CALL_START') {
      const parent = find(event.parentMessageId)
      const message: Message = parent ?? { id: event.parentMessageId, role: 'assistant' }
      if (!parent) newMessages.push(message)
      const call = { name: event.toolCallName, arguments: '' }
      calls.set(event.toolCallId, call)
      message.toolCalls = [...(message.toolCalls ?? []), { id: event.toolCallId, type: 'function', function: call }]
    } else if (type === 'TOOL_CALL_ARGS') (calls.get(event.toolCallId) as { arguments: string }).arguments += delta
    else if (type === 'TOOL_CALL_RESULT')
      newMessages.push({ id, role: 'tool', toolCallId: event.toolCallId, content: event.content })
    else if (type === 'CUSTOM') custom.push(event)
    else if (type === 'RUN_FINISHED') last = event
  }
  return { ...last, newMessages, ...(custom.length > 0 && { custom }) }
}
