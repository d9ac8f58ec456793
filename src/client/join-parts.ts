/** How are the parts that came so far joined into one answer? */

import { beginsCall } from '../tool-call-boundaries.js'
import type { ErrorPart, Part, ReasoningPart, TextPart, ToolCallPart, ToolResultPart } from '../types.js'

/** A tool call, as far as it has come. */
export interface AnswerToolCall extends Omit<ToolCallPart, 'replaces'> {
  /** The JSON text of the arguments so far. Empty in a whole call means no arguments. */
  input: string
  /** The call is whole. The page must run it if it also has no `executed`, no `error` and no `result`. */
  done?: boolean
  /** The tool's answer, if the call ran elsewhere. */
  result?: Pick<ToolResultPart, 'output' | 'error'>
}

/** A part of an answer, its pieces joined. */
export type AnswerPart = Exclude<Part, ErrorPart | ToolCallPart> | AnswerToolCall

/**
 * Joins the pieces of one answer as they come. An object that was handed out never changes: a part that goes on is
 * replaced, so a component sees by the object whether something is new.
 */
export class JoinedAnswer {
  text = ''
  #parts: AnswerPart[] = []
  /** The place in the parts of the latest call with each index: without it every piece would need a search. */
  readonly #calls = new Map<number, number>()
  /** The same by the call's id, which a result names. */
  readonly #ids = new Map<string, number>()
  /** The place of the data with each name and id. */
  readonly #data = new Map<string, number>()

  /** The parts so far, in a new list: taken once per frame, not with every piece. */
  get parts(): readonly AnswerPart[] {
    return this.#parts.slice()
  }

  add(part: Exclude<Part, ErrorPart>): void {
    switch (part.type) {
      case 'text':
      case 'reasoning':
        this.#addText(part)
        break
      case 'tool-call':
        this.#addCall(part)
        break
      case 'tool-result':
        this.#addResult(part)
        break
      case 'data':
        if (part.id === undefined) this.#parts.push(part)
        else this.#put(this.#data, JSON.stringify([part.name, part.id]), part)
        break
      default:
        this.#parts.push(part)
    }
  }

  /** The answer is over: transient data goes. */
  end(): void {
    this.#parts = this.#parts.filter((part) => part.type !== 'data' || !part.transient)
  }

  #addText(part: TextPart | ReasoningPart): void {
    if (part.type === 'text') this.text += part.text
    const { signature, redacted } = part as ReasoningPart
    if (part.text === '' && signature === undefined && redacted === undefined) return
    const last = this.#parts.at(-1)
    if (last?.type !== part.type || !goesOn(last, part)) this.#parts.push(part)
    else this.#parts[this.#parts.length - 1] = { ...last, ...part, text: last.text + part.text }
  }

  #addCall({ replaces, ...part }: ToolCallPart): void {
    const { index, id, input, done, executed, error, approval } = part
    const at = this.#calls.get(index)
    const known = at === undefined ? undefined : (this.#parts[at] as AnswerToolCall)
    // A result ends its call.
    const ended = known?.result ? { ...known, done: true } : known
    if (at === undefined || !known || beginsCall(ended, { ...part, replaces })) {
      this.#calls.set(index, this.#parts.length)
      if (id !== undefined) this.#ids.set(id, this.#parts.length)
      this.#parts.push(part)
      return
    }
    this.#parts[at] = {
      ...known,
      input: replaces ? input : known.input + input,
      ...(done && { done }),
      ...(executed && { executed }),
      ...(error !== undefined && { error }),
      ...(approval !== undefined && { approval }),
    }
  }

  #addResult(part: ToolResultPart): void {
    const { id, output, error } = part
    const at = this.#ids.get(id)
    // The call is an earlier answer's, so the result stands alone.
    if (at === undefined) this.#parts.push(part)
    else {
      const call = this.#parts[at] as AnswerToolCall
      this.#parts[at] = { ...call, result: { output, ...(error !== undefined && { error }) } }
    }
  }

  #put(places: Map<string, number>, key: string, part: AnswerPart): void {
    const at = places.get(key) ?? this.#parts.length
    places.set(key, at)
    this.#parts[at] = part
  }
}

/**
 * Whether a piece belongs to the block before it. A signature ends its block, and redacted reasoning is its own block.
 */
function goesOn(last: TextPart | ReasoningPart, part: TextPart | ReasoningPart): boolean {
  if (last.type === 'text' || part.type === 'text') return true
  return last.signature === undefined && last.redacted === undefined && part.redacted === undefined
}
