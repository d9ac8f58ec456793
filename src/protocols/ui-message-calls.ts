/** Which tool calls does a message have, and what became of each? */

import { beginsCall } from '../tool-call-boundaries.js'
import type { FinishReason, ToolCallPart, ToolResultPart, UIChunk } from '../types.js'
import { CUT } from './frames.js'
import { frame, parseInput } from './ui-message-chunks.js'
import { earlierMessage, isKnown, metadataOf, type UIMessageOptions } from './ui-message-options.js'

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
  /** It runs elsewhere than in the page. */
  executed?: boolean
  error?: string
  /** What the AI SDK says of it. */
  said: UIChunk | undefined
  /** The approval that somebody was asked for. */
  asked?: unknown
  /** Its step was taken back: the reader has it no more. */
  isGone?: boolean
}

/** A call of the message that the answer goes on with. */
type EarlierCall = Pick<Call, 'toolCallId' | 'dynamic' | 'executed' | 'isGone'>

/** What a tool has answered, in the words of a chunk. */
type Result = { output: unknown; preliminary?: boolean } | { errorText: string }

const NOT_JSON = 'The input of this tool call is not JSON.'
const NOT_WHOLE = 'The answer ended before this tool call was whole.'

/** The calls of one message. What its methods give back are the frames that tell of it. */
export class UIToolCalls {
  readonly #options: UIMessageOptions
  /** What the ids are made of that the source does not give. */
  readonly #prefix: string
  /** The calls of the message that the answer goes on with, and what was asked of calls: made when there are any. */
  #earlier: Map<string, EarlierCall> | undefined
  #asked: Set<unknown> | undefined
  /** What the AI SDK says of the calls of this step, by their ids, which may be of others in the next. */
  #said: Map<string, UIChunk> | undefined
  /** The latest call at each index, and with each id. */
  readonly #calls = new Map<number, Call>()
  readonly #ids = new Map<string, Call>()
  /** The calls that have not ended. */
  readonly #growing = new Set<Call>()
  /** Of those that have: whose output has not come. */
  readonly #unsettled = new Set<Call>()
  /** Whether the source says of its calls when they are whole. */
  #saysDone = false
  #unnamed = 0

  constructor(prefix: string, options: UIMessageOptions) {
    this.#prefix = prefix
    this.#options = options
    const earlier = earlierMessage(options)
    if (!earlier) return
    this.#earlier = new Map()
    this.#asked = new Set()
    for (const part of Array.isArray(earlier.parts) ? earlier.parts : []) {
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

  /** Whether the run has a call with this id of the source's. */
  has(id: string): boolean {
    return this.#ids.has(id)
  }

  /** Whether this call of the run is run elsewhere than in the page. */
  isExecuted(id: string): boolean {
    return this.#ids.get(id)?.executed === true
  }

  /** Whether this approval was asked for: in the run, or in the message that it goes on with. */
  wasAsked(approvalId: unknown): boolean {
    return this.#asked?.has(approvalId) === true
  }

  /** Keeps what the AI SDK says of a call, which holds for all of it; false where a chunk says nothing of that kind. */
  learn(chunk: UIChunk): boolean {
    const { type, toolCallId } = chunk
    if (typeof toolCallId !== 'string' || !/^tool-(call|input|approval-request)/.test(type)) return false
    this.#said ??= new Map()
    const known = this.#said.get(toolCallId) ?? (/^tool-a/.test(type) ? this.#ids.get(toolCallId)?.said : undefined)
    // In place, for a call that has begun.
    this.#said.set(toolCallId, Object.assign(known ?? {}, chunk))
    return true
  }

  /** Another step begins, with calls of its own. */
  beginStep(): void {
    this.#said = undefined
  }

  /** The next piece of a call, in the step that is open. */
  add(part: ToolCallPart, step: number): string {
    const { index, input, done, replaces, error } = part
    if (done) this.#saysDone = true
    const known = this.#calls.get(index)
    if (!known || beginsCall(known, part)) {
      // The source has begun another call without an end of this one.
      return (known && this.#growing.has(known) ? this.#closeOne(known) : '') + this.#begin(part, step)
    }
    if (known.isGone) return ''
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

  /** What a tool answers to a call of this run, or of the message that it goes on with; `said` is what its chunk says. */
  addResult({ id, name, output, error }: ToolResultPart, step: number, said: UIChunk | undefined): string {
    if (this.#ids.get(id)?.isGone) return ''
    const result = error === undefined ? { output: output ?? null } : { errorText: error }
    const earlier = this.#ids.has(id) ? undefined : this.#earlierCall(id, said)
    if (earlier) return this.#settle(earlier, result, said)
    // A result without its call is an error to the reader, for the whole chat.
    let frames = this.#ids.has(id)
      ? ''
      : this.#begin({ type: 'tool-call', index: -1, id, name, input: '', executed: true }, step)
    const call = this.#ids.get(id) as Call
    if (this.#growing.has(call)) {
      call.executed = true
      frames += this.#finish(call)
    }
    this.#unsettled.delete(call)
    return frames + this.#settle(call, result, said, call.asked !== undefined)
  }

  /** A tool goes on: what it has answered so far. */
  addPreliminary(said: UIChunk): string {
    const toolCallId = said.toolCallId as string
    const call = this.#ids.get(toolCallId) ?? (this.#earlierCall(toolCallId, said) as EarlierCall)
    if (call.isGone) return ''
    return this.#outputFrame(call, { output: said.output ?? null, preliminary: true }, said)
  }

  /** Whether a tool answers to a call of an earlier message. */
  isEarlier(id: string, said: UIChunk | undefined): boolean {
    return !this.#ids.has(id) && this.#earlierCall(id, said) !== undefined
  }

  /** What has no output gets this error for one. */
  failUnsettled(errorText: string, said: UIChunk | undefined): string {
    let frames = ''
    for (const call of this.#unsettled) frames += this.#outputFrame(call, { errorText }, said)
    return frames
  }

  /** The calls of a step that is taken back. */
  forget(step: number): void {
    this.#said = undefined
    for (const call of [...this.#calls.values(), ...this.#ids.values()]) {
      if (call.step !== step) continue
      call.isGone = true
      this.#growing.delete(call)
      this.#unsettled.delete(call)
    }
  }

  /** The answer of these calls has ended. */
  close(reason?: FinishReason): string {
    let frames = ''
    for (const call of this.#growing) frames += this.#closeOne(call, reason)
    return frames
  }

  /** What is asked of a call, if anything is, and if its reader can ask. */
  #askedOf(call: Call, { approval, done }: ToolCallPart): UIChunk | undefined {
    const type = 'tool-approval-request'
    const { said } = call
    const approvalId = said?.approvalId ?? approval
    if (!done || approvalId === undefined || approvalId === call.asked || !isKnown(type, this.#options)) return
    // To a reader that does not know the application's own answer it would be a question for ever.
    if (said?.isAutomatic && !isKnown('tool-approval-response', this.#options)) return
    const { reason, isAutomatic, signature, inputSchemaInput, approvalDescriptor } = said ?? { type }
    return {
      ...{ type, approvalId, toolCallId: call.toolCallId, reason },
      ...{ isAutomatic, signature, inputSchemaInput, approvalDescriptor },
    }
  }

  /** Whether the page is to take it for a call of the provider's. One that is asked for is of a tool that the page knows. */
  #isElsewhere({ said }: Call, { executed }: ToolCallPart, asks: UIChunk | undefined): boolean {
    return executed === true && (said?.providerExecuted === true || (!asks && !said?.isAutomatic))
  }

  #ask(call: Call, chunk: UIChunk | undefined): string {
    if (!chunk || call.error !== undefined) return ''
    call.asked = chunk.approvalId
    this.#asked ??= new Set()
    this.#asked.add(chunk.approvalId)
    return frame(chunk)
  }

  #begin(part: ToolCallPart, step: number): string {
    const { index, id, name = 'tool', ...piece } = part
    // A step does not hold two calls with one id: its reader would make one of them. For assistant-ui's no message does.
    const known = id === undefined ? undefined : this.#ids.get(id)
    const isTaken = id === undefined || (known && (this.#isAssistantUI || (known.step === step && !known.isGone)))
    const toolCallId = isTaken ? `${this.#prefix}-call-${this.#unnamed++}` : id
    const said = id === undefined ? undefined : this.#said?.get(id)
    // Elsewhere than in the AI SDK nobody says which tools the page knows.
    const dynamic = said ? said.dynamic === true : true
    const call: Call = { id, toolCallId, toolName: name, input: '', step, dynamic, said }
    if (this.#isElsewhere(call, part, this.#askedOf(call, part))) call.executed = true
    this.#calls.set(index, call)
    if (id !== undefined) this.#ids.set(id, call)
    this.#growing.add(call)
    const begun = { type: 'tool-input-start', ...this.#head(call), inputEncoding: said?.inputEncoding }
    return frame(begun) + this.add({ index, ...piece }, step)
  }

  /** What comes after the end of a call: its reader goes by the last word. */
  #correct(call: Call, { input, replaces, error }: ToolCallPart): string {
    if (error !== undefined) {
      call.error = error
      this.#unsettled.delete(call)
      return this.#outputFrame(call, { errorText: error })
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

  /** Its answer has ended without a word that the call is whole. Parts of one's own may never say so, and then it is. */
  #closeOne(call: Call, reason?: FinishReason): string {
    return this.#saysDone || CUT.test(reason ?? '') ? this.#reject(call, NOT_WHOLE) : this.#finish(call)
  }

  #head(call: Call): Record<string, unknown> {
    const { toolCallId, toolName, executed, dynamic, said } = call
    return {
      toolCallId,
      toolName,
      ...(dynamic && { dynamic }),
      ...(executed && { providerExecuted: true }),
      ...(said && { title: said.title, toolMetadata: said.toolMetadata, ...metadataOf(said, this.#options) }),
    }
  }

  /** Of a stream of the AI SDK a call that is not in it is of the message that its reader has, whoever says so. */
  #earlierCall(toolCallId: string, said: UIChunk | undefined): EarlierCall | undefined {
    return this.#earlier?.get(toolCallId) ?? (said && { toolCallId, dynamic: said.dynamic === true })
  }

  /** A call that nobody was asked for cannot be denied: the SDK refuses a message that says so, and the page sends it back. */
  #settle(call: EarlierCall, result: Result, said: UIChunk | undefined, wasAsked = true): string {
    const isDenied = wasAsked && said?.type === 'tool-output-denied' && isKnown(said.type, this.#options)
    return isDenied ? frame({ type: said.type, toolCallId: call.toolCallId }) : this.#outputFrame(call, result, said)
  }

  #outputFrame({ toolCallId, executed, dynamic }: EarlierCall, result: Result, chunk?: UIChunk): string {
    const type = 'errorText' in result ? 'tool-output-error' : 'tool-output-available'
    const said = chunk?.toolCallId === toolCallId ? chunk : undefined
    return frame({
      type,
      toolCallId,
      ...result,
      ...(dynamic && { dynamic }),
      ...(executed && { providerExecuted: true }),
      ...(said && { toolMetadata: said.toolMetadata, ...metadataOf(said, this.#options) }),
    })
  }
}
