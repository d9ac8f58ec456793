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
import { toMessage } from './ui-message-body.js'
import { UIToolCalls } from './ui-message-calls.js'
import { dataPartFrame, frame } from './ui-message-chunks.js'
import { earlierMessage, isKnown, metadataOf, OPTIONS, type UIMessageOptions } from './ui-message-options.js'

export type { UIMessageLike, UIMessageOptions } from './ui-message-options.js'

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

/** What a source names a message by is an id, and no text. */
const ID = /^[\w.:-]{1,128}$/

class UIMessageEncoder implements Encoder {
  readonly #runId: string
  readonly #options: UIMessageOptions
  /** The id of the message that the answer goes on with, if it does. */
  readonly #earlierId: string | undefined
  /** What the ids are made of that the source does not give. */
  readonly #prefix: string
  readonly #calls: UIToolCalls
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
  /** What the AI SDK says of the part that comes next, and of the block that does. */
  #beside: UIChunk | undefined
  #block: object | undefined
  #blocks = 0
  /** What was told before: what comes after it in a block of its own needs no blank line. */
  readonly #told = new Set<'text' | 'reasoning'>()
  #sources = 0

  constructor(runId: string, options: UIMessageOptions) {
    this.#runId = runId
    this.#options = options
    this.#earlierId = earlierMessage(options)?.id
    // Those of a message that goes on are there already.
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
        // A signature has its place under the provider's name, which is not known here.
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
        // Nothing of its own, so that a refusal that comes after it is still a status.
        // The first answer begins in the step that is open, whatever the user said before; one that is called nothing is
        // another turn of an agent.
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
        // What came before it is of no step.
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
        // Without what the provider says it is nothing but a name.
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
    // assistant-ui's reader runs at the end whatever has no output, of a failure, too.
    const frames = this.#calls.close('error') + this.#calls.failUnsettled(error.message, this.#beside)
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

  /** In a body a call is whole at the place of its first piece: what its step says of it is to be known there. */
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
    // What a tool answered to a call that is not in the run is of the reader's own message: that has its id.
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

  /** Of a block that grows, or of one that is to begin. */
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
    // What is encrypted has no word of text.
    const { providerMetadata = (this.#block as typeof said)?.providerMetadata } = said
    const begins = this.#open?.kind !== kind && providerMetadata !== undefined
    const frames = begins ? this.#begin() + this.#openBlock(kind) : ''
    this.#block = undefined
    return this.#open?.kind === kind ? frames + this.#closeBlock(more) : frames
  }

  /** With what a citation of the AI SDK has, and nothing that its provider says besides. */
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

  /** The step is taken back, with all that it told. */
  #reset(): string {
    // Of one that has told nothing yet its reader does not know: what it took back would be another.
    if (this.#step === 0 || this.#isNext) return ''
    this.#open = undefined
    this.#isAnswered = false
    this.#calls.forget(this.#step)
    return frame({ type: 'reset-step' })
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

/** Whether other calls may have the ids from here on. */
function isStepEdge({ type }: UIChunk): boolean {
  return type === 'start-step' || type === 'reset-step'
}
