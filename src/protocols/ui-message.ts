/** How does a run look to `useChat` of the AI SDK? */

import { isObject } from '../errors.js'
import { checkOptions } from '../options.js'
import {
  type AnswerPart,
  type DataPart,
  DONE,
  type Encoder,
  type EncoderEnd,
  type EncoderPart,
  type Failure,
  type Protocol,
  type ServerSentEvent,
  type ToolResultPart,
  type UIChunk,
} from '../types.js'
import { dataFrame, failureFrame, parseData, quote } from './frames.js'
import { UIToolCalls } from './ui-message-calls.js'
import { dataPartFrame, frame } from './ui-message-frames.js'
import { earlierMessage, isKnown, metadataOf, OPTIONS, type UIMessageOptions } from './ui-message-options.js'
import { toMessage } from './ui-message-whole.js'

export type { UIMessageLike, UIMessageOptions } from './ui-message-options.js'

/**
 * The AI SDK's UI message stream, which `useChat` (versions 5 to 7) reads. Tool calls are sent as available only when
 * they are whole, as `providerExecuted` if no client may run them, as an approval request if they wait for approval,
 * and as errors if they were rejected. Tools are sent as dynamic ones, except those of AI SDK streams, which stay as
 * the SDK declares them. Each answer of a run is a step. Own events and data parts become `data-<name>`, citations with
 * a `url` become sources, files become files. A failure is an `error` chunk with nothing after it, so the chat is in
 * its error state, not at a finished answer.
 */
export function uiMessage(options: UIMessageOptions = {}): Protocol {
  checkOptions('uiMessage', options, OPTIONS)
  return {
    name: 'ui-message',
    headers: { 'x-vercel-ai-ui-message-stream': 'v1' },
    encoder: ({ runId }) => new UIMessageEncoder(runId, options),
  }
}

/** The names that a source may give a message: an id, not free text. */
const ID = /^[\w.:-]{1,128}$/

class UIMessageEncoder implements Encoder {
  readonly #runId: string
  readonly #options: UIMessageOptions
  /** The id of the message that the answer continues, if it does. */
  readonly #earlierId: string | undefined
  /** The prefix of the ids that the source does not give. */
  readonly #prefix: string
  readonly #calls: UIToolCalls
  /** The message id that the source gave. */
  #namedId: string | undefined
  /** What `metadata` returned, and the source's metadata for the start and for the end of the message. */
  #more: object | undefined
  #before: unknown
  #after: unknown
  /** The number of the step that is open; 0 before the message begins. */
  #step = 0
  /** Whether the next part belongs to another answer. */
  #isNext = false
  /** A tool has answered that no provider runs: what the model says next is another turn, announced or not. */
  #isAnswered = false
  /** Whether the step was sent, and whether the source has yet to announce its first step: data may come before it. */
  #isStepOpen = false
  #awaitsStep = false
  #isStarted = false
  #open: { kind: 'text' | 'reasoning'; id: string } | undefined
  /** What the AI SDK says about the next part, and about the next block. */
  #beside: UIChunk | undefined
  #block: object | undefined
  #blocks = 0
  /** The kinds that were sent before. A later block of that kind needs no blank line at its start. */
  readonly #told = new Set<'text' | 'reasoning'>()
  #sources = 0

  constructor(runId: string, options: UIMessageOptions) {
    this.#runId = runId
    this.#options = options
    this.#earlierId = earlierMessage(options)?.id
    // A message that is continued has the other ids already.
    this.#prefix = this.#earlierId === undefined ? (options.messageId ?? runId) : runId
    this.#calls = new UIToolCalls(this.#prefix, options)
  }

  get #isAssistantUI(): boolean {
    return this.#options.client === 'assistant-ui'
  }

  part(part: EncoderPart): string {
    switch (part.type) {
      case 'text':
      case 'reasoning':
        // The place of a signature is under the provider's name, which is not known here.
        return part.text === '' ? '' : this.#addText(part.type, part.text)
      case 'tool-call':
        return this.#begin() + this.#closeBlock() + this.#calls.add(part, this.#step)
      case 'tool-result': {
        const frames = this.#begin() + this.#addResult(part)
        this.#beside = undefined
        return frames
      }
      case 'data':
        return this.#begin() + this.#addData(part)
      default:
        // Sends nothing, so a refusal that follows can still become an HTTP status. The first answer begins in the open
        // step, whatever the application sent before. A `start` part without any name is another turn of an agent.
        this.#isNext = this.#step > 0 && (this.#isStarted || Object.keys(part).length === 1)
        this.#isStarted = true
        return ''
    }
  }

  aside(chunk: UIChunk): string {
    const { type, messageId, messageMetadata, approvalId, approved, reason, providerExecuted, kind } = chunk
    this.#beside = undefined
    switch (type) {
      case 'text-start':
      case 'reasoning-start':
        this.#block = metadataOf(chunk, this.#options)
        return ''
      case 'text-delta':
      case 'reasoning-delta':
        return this.#addMetadata(type.slice(0, -6) as 'text' | 'reasoning', metadataOf(chunk, this.#options))
      case 'text-end':
      case 'reasoning-end':
        return this.#endBlock(type.slice(0, -4) as 'text' | 'reasoning', chunk)
      case 'start':
        if (typeof messageId === 'string' && ID.test(messageId)) this.#namedId ??= messageId
        this.#awaitsStep = this.#step === 0
        return this.#addMessageMetadata(messageMetadata)
      case 'start-step':
        // What came before belongs to no step.
        if (this.#awaitsStep && this.#step > 0) this.#isNext = true
        this.#awaitsStep = false
        this.#calls.beginStep()
        return ''
      case 'message-metadata':
        return this.#addMessageMetadata(messageMetadata)
      case 'finish':
        if (isObject(messageMetadata)) this.#after = messageMetadata
        return ''
      case 'tool-approval-response':
        return isKnown(type, this.#options) && this.#calls.wasAsked(approvalId)
          ? this.#begin() +
              frame({ type, approvalId, approved, reason, providerExecuted, ...metadataOf(chunk, this.#options) })
          : ''
      case 'custom': {
        // Without the provider's metadata it would be only a name.
        const more = metadataOf(chunk, this.#options)
        return more.providerMetadata && isKnown(type, this.#options)
          ? this.#begin() + frame({ type, kind, ...more })
          : ''
      }
      case 'reset-step':
        return isKnown(type, this.#options) ? this.#reset() : ''
      default:
        if (this.#calls.learn(chunk)) return ''
        this.#beside = chunk
        return chunk.preliminary ? this.#begin() + this.#calls.addPreliminary(chunk) : ''
    }
  }

  event({ event: name = 'data', data, id }: ServerSentEvent): string {
    return this.#begin() + dataPartFrame({ name, data: parseData(data), id })
  }

  end(end: EncoderEnd): string {
    const { finishReason, usage } = end
    this.#isNext = false
    const messageMetadata = { ...(usage && { usage }), ...(this.#after as object), ...this.#moreOf(end) }
    return (
      this.#begin() +
      this.#closeBlock() +
      this.#calls.close(finishReason) +
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
    // At the end assistant-ui's reader runs every call that has no output, also after a failure.
    const frames = this.#calls.close('error') + this.#calls.failUnsettled(error.message, this.#beside)
    return frames + frame(failure) + dataFrame(DONE)
  }

  /** Calls `metadata` once, although there may be both a stream and a body. */
  #moreOf(end: EncoderEnd): object {
    this.#more ??= this.#options.metadata?.(end) ?? {}
    return this.#more
  }

  /** The message that a reader makes of the stream. */
  answer(parts: readonly AnswerPart[], end: EncoderEnd): object {
    const more = { ...this.#moreOf(end) }
    const { client, ...options } = this.#options
    const version = client && client !== 'assistant-ui' && { client }
    const encoder = new UIMessageEncoder(this.#runId, { ...options, ...version, metadata: () => more })
    encoder.#learnStep(parts, 0)
    let frames = ''
    for (const [place, part] of parts.entries()) {
      if (part.type === 'event') frames += encoder.event(part.event)
      else if (part.type !== 'chunk') frames += encoder.part(part)
      else {
        const chunk = part.chunk as UIChunk
        frames += encoder.aside(chunk)
        if (isStepEdge(chunk)) encoder.#learnStep(parts, place + 1)
      }
    }
    return toMessage(frames + encoder.end(end))
  }

  /**
   * In a body a call stands whole at the place of its first piece, so what its step says about it must be known there.
   */
  #learnStep(parts: readonly AnswerPart[], from: number): void {
    for (let place = from; place < parts.length; place++) {
      const part = parts[place]
      if (part?.type !== 'chunk') continue
      const chunk = part.chunk as UIChunk
      if (isStepEdge(chunk)) return
      this.#calls.learn(chunk)
    }
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
    return this.#isStepOpen ? this.#closeBlock() + this.#calls.close() + frame({ type: 'finish-step' }) : ''
  }

  #start(): string {
    const { messageId = this.#namedId ?? this.#runId } = this.#options
    // A result for a call that is not in the run belongs to the reader's own message, which has its own id.
    const called = this.#beside?.toolCallId as string | undefined
    const isOn = called !== undefined && !this.#calls.has(called) && this.#options.messageId === undefined
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

  #addMessageMetadata(messageMetadata: unknown): string {
    if (messageMetadata === undefined || messageMetadata === null) return ''
    if (this.#step > 0) return frame({ type: 'message-metadata', messageMetadata })
    const before = this.#before
    const isBoth = isObject(before) && isObject(messageMetadata)
    this.#before = isBoth ? { ...before, ...messageMetadata } : messageMetadata
    return ''
  }

  /** Adds metadata to the open block, or to the next one. */
  #addMetadata(kind: 'text' | 'reasoning', more: { providerMetadata?: unknown }): string {
    if (more.providerMetadata === undefined) return ''
    if (this.#open?.kind === kind) return frame({ type: `${kind}-delta`, id: this.#open.id, delta: '', ...more })
    this.#block = more
    return ''
  }

  #endBlock(kind: 'text' | 'reasoning', chunk: UIChunk): string {
    const said = metadataOf(chunk, this.#options)
    const hasCitations = Array.isArray(chunk.citations) && isKnown('citations', this.#options)
    const more = { ...said, ...(hasCitations && { citations: this.#citationsOf(chunk.citations as unknown[]) }) }
    // Encrypted reasoning has no text.
    const { providerMetadata = (this.#block as typeof said)?.providerMetadata } = said
    const begins = this.#open?.kind !== kind && providerMetadata !== undefined
    const frames = begins ? this.#begin() + this.#openBlock(kind) : ''
    this.#block = undefined
    return this.#open?.kind === kind ? frames + this.#closeBlock(more) : frames
  }

  /** The fields of an AI SDK citation, without whatever its provider added. */
  #citationsOf(citations: readonly unknown[]): object[] {
    return citations.flatMap((citation) => {
      if (!isObject(citation)) return []
      const { source, startIndex, endIndex, citedText } = citation as Record<string, unknown>
      if (!isObject(source)) return []
      const { type, sourceType, id, url, title, mediaType, filename } = source as Record<string, unknown>
      const more = metadataOf(source as unknown as UIChunk, this.#options)
      return [
        {
          source: { type, sourceType, id, url, title, mediaType, filename, ...more },
          ...{ startIndex, endIndex, citedText },
        },
      ]
    })
  }

  #openBlock(kind: 'text' | 'reasoning'): string {
    const before = this.#closeBlock()
    this.#open = { kind, id: String(this.#blocks++) }
    const more = this.#block
    this.#block = undefined
    return before + frame({ type: `${kind}-start`, id: this.#open.id, ...more })
  }

  /** Takes the step back, with everything that it sent. */
  #reset(): string {
    // A step that has sent nothing is unknown to the reader, which would take back another one.
    if (this.#step === 0 || this.#isNext) return ''
    this.#open = undefined
    this.#isAnswered = false
    this.#calls.forget(this.#step)
    return frame({ type: 'reset-step' })
  }

  #addText(kind: 'text' | 'reasoning', text: string): string {
    // In one step, a page that sends its tools' results automatically would send these again and again.
    if (this.#isAnswered) this.#isNext = true
    let frames = this.#begin()
    if (this.#open?.kind !== kind) {
      frames += this.#openBlock(kind)
      // A block is already a paragraph.
      if (this.#told.has(kind) && text.startsWith('\n\n')) text = text.slice(2)
      this.#told.add(kind)
    }
    return frames + dataFrame(`{"type":"${kind}-delta","id":"${this.#open?.id}","delta":${quote(text)}}`)
  }

  #addResult(part: ToolResultPart): string {
    const { id } = part
    const said = this.#beside?.toolCallId === id ? this.#beside : undefined
    if (this.#calls.isEarlier(id, said)) return this.#calls.addResult(part, this.#step, said)
    const before = this.#calls.has(id) ? '' : this.#closeBlock()
    const frames = before + this.#calls.addResult(part, this.#step, said)
    this.#isAnswered = !said && !this.#calls.isExecuted(id)
    return frames
  }

  #addData({ name, data, id, transient }: DataPart): string {
    const { url, title, mediaType, filename } = (data ?? {}) as Record<string, unknown>
    const said = this.#beside
    const more = said && metadataOf(said, this.#options)
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
      const isThought = said?.type === 'reasoning-file' && isKnown(said.type, this.#options)
      return frame({ type: isThought ? 'reasoning-file' : 'file', url, mediaType, ...more })
    }
    return dataPartFrame({ name, data, id, transient })
  }
}

/** Whether the ids may belong to other calls from here on. */
function isStepEdge({ type }: UIChunk): boolean {
  return type === 'start-step' || type === 'reset-step'
}
