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
 * The events of AG-UI, for CopilotKit, TanStack AI and `HttpAgent`. Own events and data parts become `CUSTOM`. A call
 * that no client may run gets a `TOOL_CALL_RESULT`: what the tool answered, or why nobody may run it. A call that waits
 * for a person gets none, and the run ends with an interrupt for it. The protocol can only append: a call whose input
 * is replaced after it was sent ends the run as `error`. A complete run ends with `RUN_FINISHED` and nothing after it,
 * a failed one with `RUN_ERROR`.
 */
export function agui(options: AGUIOptions = {}): Protocol {
  checkOptions('agui', options, OPTIONS)
  const { threadId, runId: asked } = options
  return {
    name: 'agui',
    // AG-UI allows nothing after the end of a run.
    sentinel: '',
    encoder: ({ runId }) => new AGUIEncoder(runId, threadId ?? runId, asked ?? runId),
  }
}

/** A tool call as far as it has come. */
interface Call {
  /** The source's id of the call, if it gave one. */
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
  /** The message that is open: reasoning or text. */
  #open: { kind: 'text' | 'reasoning'; id: string } | undefined
  /** Another answer began, so its text is another message. */
  #isNext = false
  /** The kinds that were sent before. A later message of that kind needs no blank line at its start. */
  readonly #told = new Set<'text' | 'reasoning'>()
  /** The message that the next call belongs to: calls that are made together belong to one message. */
  #parent: string | undefined
  #messages = 0
  /** The latest call at each index and with each id, and the calls that have not ended. */
  readonly #calls = new Map<number, Call>()
  readonly #ids = new Map<string, Call>()
  readonly #growing = new Set<Call>()
  /** Calls without a result: those that no client may run, and those of which only the end tells who runs them. */
  readonly #unanswered = new Set<Call>()
  readonly #unsettled = new Set<Call>()
  /** The calls that wait for a person, with the id that the person's answer must name. */
  readonly #asked = new Map<Call, string>()
  /** Whether the source marks its whole calls as done. The application's own parts may not. */
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
        // Today's clients refuse an event with unknown fields, except in `metadata`.
        ...(finishReason && { metadata: { finishReason } }),
      })
    )
  }

  /** Closes first what is open: a client keeps what came, and would run a call that has no result. */
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
    // Older clients refuse an empty piece.
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

  /** A signature or encrypted reasoning ends the reasoning before it. */
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
      // The source has begun another call without ending this one.
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

  /** The call is over. A call without arguments gets an empty object. */
  #finish(call: Call): string {
    if (!this.#growing.delete(call)) return ''
    const { toolCallId } = call
    const empty =
      call.input === '' && call.error === undefined ? frame('TOOL_CALL_ARGS', { toolCallId, delta: '{}' }) : ''
    return empty + frame('TOOL_CALL_END', { toolCallId })
  }

  #result(call: Call, content: string, hasFailed = false): string {
    // Providers refuse a history with two results for one call.
    if (call.hasResult) return ''
    call.hasResult = true
    this.#unanswered.delete(call)
    this.#unsettled.delete(call)
    this.#asked.delete(call)
    // A call that follows belongs to another message.
    this.#parent = undefined
    return frame('TOOL_CALL_RESULT', {
      messageId: this.#newId(),
      toolCallId: call.toolCallId,
      content,
      role: 'tool',
      // The protocol has no field for a failed tool; TanStack AI has this one.
      ...(hasFailed && { metadata: { tanstack: { state: 'output-error' } } }),
    })
  }

  #addResult({ id, name, output, error }: ToolResultPart): string {
    let frames = ''
    let call = this.#ids.get(id)
    if (!call) {
      // Providers refuse a result without its call when the client sends it back.
      frames = this.#addCall({ type: 'tool-call', index: -1, id, name, input: '', done: true })
      call = this.#ids.get(id) as Call
    }
    call.done = true
    return frames + this.#finish(call) + this.#result(call, error ?? toContent(output), error !== undefined)
  }

  /**
   * The answer has ended, and the source has not marked the call as done. The application's own parts may never do so.
   */
  #endCall(call: Call, reason?: FinishReason): string {
    const isWhole = !this.#saysDone && seemsWhole(call.input, reason)
    if (isWhole) return this.#finish(call)
    call.error = NOT_WHOLE
    return this.#finish(call) + this.#result(call, NOT_WHOLE, true)
  }

  #endCalls(reason: FinishReason | undefined): string {
    let frames = ''
    for (const call of this.#growing) frames += this.#endCall(call, reason)
    // The results of these calls are unknown. The client would run a call without a result.
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

/** What a client makes of a whole run's events: the messages that `runAgent` resolves to. */
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
