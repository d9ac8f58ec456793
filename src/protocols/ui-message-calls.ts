/** Which tool calls does a message have, and what happened to each? */

import { beginsCall } from '../tool-call-boundaries.js'
import type { FinishReason, ToolCallPart, ToolResultPart, UIChunk } from '../types.js'
import { CUT } from './frames.js'
import { frame, parseInput } from './ui-message-frames.js'
import { earlierMessage, isKnown, metadataOf, type UIMessageOptions } from './ui-message-options.js'

/** A tool call as far as it has come. */
interface Call {
  /** The source's id of the call, if it gave one. */
  id: string | undefined
  /** Its id in the message. */
  toolCallId: string
  toolName: string
  input: string
  /** The step that it belongs to. */
  step: number
  /** The page does not know the tool. */
  dynamic: boolean
  done?: boolean
  /** It does not run in the page. */
  executed?: boolean
  error?: string
  /** What the AI SDK says about it. */
  said: UIChunk | undefined
  /** The id of the approval that was asked for. */
  asked?: unknown
  /** Its step was taken back: the reader no longer has it. */
  isGone?: boolean
}

/** A call of the message that the answer continues. */
type EarlierCall = Pick<Call, 'toolCallId' | 'dynamic' | 'executed' | 'isGone'>

/** A tool's answer, as the fields of a chunk. */
type Result = { output: unknown; preliminary?: boolean } | { errorText: string }

const NOT_JSON = 'The input of this tool call is not JSON.'
const NOT_WHOLE = 'The answer ended before this tool call was whole.'

/** The calls of one message. The methods return the frames to send. */
export class UIToolCalls {
  readonly #options: UIMessageOptions
  /** The prefix of the ids that the source does not give. */
  readonly #prefix: string
  /**
   * The calls of the message that the answer continues, and the approvals that were asked for: made when there are any.
   */
  #earlier: Map<string, EarlierCall> | undefined
  #asked: Set<unknown> | undefined
  /** What the AI SDK says about this step's calls, by their ids. In the next step the ids may belong to other calls. */
  #said: Map<string, UIChunk> | undefined
  /** The latest call at each index and with each id. */
  readonly #calls = new Map<number, Call>()
  readonly #ids = new Map<string, Call>()
  /** The calls that have not ended. */
  readonly #growing = new Set<Call>()
  /** The calls that have ended without an output so far. */
  readonly #unsettled = new Set<Call>()
  /** Whether the source marks its whole calls as done. */
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

  /** Whether the run has a call with this id from the source. */
  has(id: string): boolean {
    return this.#ids.has(id)
  }

  /** Whether this call of the run does not run in the page. */
  isExecuted(id: string): boolean {
    return this.#ids.get(id)?.executed === true
  }

  /** Whether this approval was asked for, in the run or in the message that it continues. */
  wasAsked(approvalId: unknown): boolean {
    return this.#asked?.has(approvalId) === true
  }

  /** Keeps what the AI SDK says about a call as a whole. Returns false if the chunk says nothing of that kind. */
  learn(chunk: UIChunk): boolean {
    const { type, toolCallId } = chunk
    if (typeof toolCallId !== 'string' || !/^tool-(call|input|approval-request)/.test(type)) return false
    this.#said ??= new Map()
    const known = this.#said.get(toolCallId) ?? (/^tool-a/.test(type) ? this.#ids.get(toolCallId)?.said : undefined)
    // Changed in place, since a call that has begun holds the same object.
    this.#said.set(toolCallId, Object.assign(known ?? {}, chunk))
    return true
  }

  /** Another step begins, with its own calls. */
  beginStep(): void {
    this.#said = undefined
  }

  /** The next piece of a call, in the step that is open. */
  add(part: ToolCallPart, step: number): string {
    const { index, input, done, replaces, error } = part
    if (done) this.#saysDone = true
    const known = this.#calls.get(index)
    if (!known || beginsCall(known, part)) {
      // The source has begun another call without ending this one.
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

  /** A tool's answer to a call of this run or of the message that it continues. `said` is the AI SDK's chunk. */
  addResult({ id, name, output, error }: ToolResultPart, step: number, said: UIChunk | undefined): string {
    if (this.#ids.get(id)?.isGone) return ''
    const result = error === undefined ? { output: output ?? null } : { errorText: error }
    const earlier = this.#ids.has(id) ? undefined : this.#earlierCall(id, said)
    if (earlier) return this.#settle(earlier, result, said)
    // The reader fails the whole chat at a result without its call.
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

  /** What a tool has answered so far, while it goes on. */
  addPreliminary(said: UIChunk): string {
    const toolCallId = said.toolCallId as string
    const call = this.#ids.get(toolCallId) ?? (this.#earlierCall(toolCallId, said) as EarlierCall)
    if (call.isGone) return ''
    return this.#outputFrame(call, { output: said.output ?? null, preliminary: true }, said)
  }

  /** Whether the result is for a call of an earlier message. */
  isEarlier(id: string, said: UIChunk | undefined): boolean {
    return !this.#ids.has(id) && this.#earlierCall(id, said) !== undefined
  }

  /** Gives this error to every call without an output. */
  failUnsettled(errorText: string, said: UIChunk | undefined): string {
    let frames = ''
    for (const call of this.#unsettled) frames += this.#outputFrame(call, { errorText }, said)
    return frames
  }

  /** Forgets the calls of a step that is taken back. */
  forget(step: number): void {
    this.#said = undefined
    for (const call of [...this.#calls.values(), ...this.#ids.values()]) {
      if (call.step !== step) continue
      call.isGone = true
      this.#growing.delete(call)
      this.#unsettled.delete(call)
    }
  }

  /** Ends the open calls, since their answer has ended. */
  close(reason?: FinishReason): string {
    let frames = ''
    for (const call of this.#growing) frames += this.#closeOne(call, reason)
    return frames
  }

  /** The approval request for a call, if there is one and the reader knows such requests. */
  #askedOf(call: Call, { approval, done }: ToolCallPart): UIChunk | undefined {
    const type = 'tool-approval-request'
    const { said } = call
    const approvalId = said?.approvalId ?? approval
    if (!done || approvalId === undefined || approvalId === call.asked || !isKnown(type, this.#options)) return
    // A reader that does not know the application's own answer would wait for one for ever.
    if (said?.isAutomatic && !isKnown('tool-approval-response', this.#options)) return
    const { reason, isAutomatic, signature, inputSchemaInput, approvalDescriptor } = said ?? { type }
    return {
      ...{ type, approvalId, toolCallId: call.toolCallId, reason },
      ...{ isAutomatic, signature, inputSchemaInput, approvalDescriptor },
    }
  }

  /**
   * Whether the page should treat the call as the provider's. A call that needs approval is of a tool the page knows.
   */
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
    // A step must not have two calls with one id, since its reader would merge them; for assistant-ui no message may.
    const known = id === undefined ? undefined : this.#ids.get(id)
    const isTaken = id === undefined || (known && (this.#isAssistantUI || (known.step === step && !known.isGone)))
    const toolCallId = isTaken ? `${this.#prefix}-call-${this.#unnamed++}` : id
    const said = id === undefined ? undefined : this.#said?.get(id)
    // Outside AI SDK streams nobody says which tools the page knows.
    const dynamic = said ? said.dynamic === true : true
    const call: Call = { id, toolCallId, toolName: name, input: '', step, dynamic, said }
    if (this.#isElsewhere(call, part, this.#askedOf(call, part))) call.executed = true
    this.#calls.set(index, call)
    if (id !== undefined) this.#ids.set(id, call)
    this.#growing.add(call)
    const begun = { type: 'tool-input-start', ...this.#head(call), inputEncoding: said?.inputEncoding }
    return frame(begun) + this.add({ index, ...piece }, step)
  }

  /** Sends what comes after the end of a call: the reader uses the latest. */
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
      // assistant-ui runs every call that has no output, even one that runs elsewhere. This output is preliminary.
      return (
        said + frame({ type: 'tool-output-available', toolCallId: call.toolCallId, output: null, preliminary: true })
      )
    } catch {
      call.error = NOT_JSON
      return frame({ type: 'tool-input-error', ...this.#head(call), input, errorText: NOT_JSON })
    }
  }

  /** The call must not run. */
  #reject(call: Call, errorText: string): string {
    let input: unknown = call.input
    this.#growing.delete(call)
    call.error = errorText
    call.input = ''
    try {
      input = parseInput(input as string)
    } catch {
      // The input is sent as text.
    }
    return frame({ type: 'tool-input-error', ...this.#head(call), input, errorText })
  }

  /**
   * The answer has ended, and the call is not marked as done: it is whole only if no call is marked and nothing was
   * cut.
   */
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

  /** A call that an AI SDK stream does not contain belongs to the reader's message, even without `originalMessages`. */
  #earlierCall(toolCallId: string, said: UIChunk | undefined): EarlierCall | undefined {
    return this.#earlier?.get(toolCallId) ?? (said && { toolCallId, dynamic: said.dynamic === true })
  }

  /**
   * A call can be denied only if approval was asked for: the SDK refuses other messages when the page sends them back.
   */
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
