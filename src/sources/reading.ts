import { isObject } from '../errors.js'
import type { FinishReason, Part } from '../types.js'

/** What has been read of one run: the parts of the latest chunk, and what must be kept from chunk to chunk. */
export interface Reading {
  /** The parts of the latest chunk. */
  parts: Part[]
  /** The provider's shape the latest chunk has, if it has one. */
  shape: ChunkShape | undefined
  /**
   * Whether the answer is complete when the source ends. What the user makes is complete when it ends;
   * a provider's stream ends the same way when it is cut, so its last word is waited for.
   */
  proof: 'not-needed' | 'missing' | 'given'
  /** The model refused: its finish is `content-filter`, whatever the provider calls it. */
  refused: boolean
  /** How many tool calls came whole, for providers that do not number them. */
  calls: number
  /** The content block whose input is a tool call's, for providers that do not say so again in each piece. */
  toolIndex?: number
  /** The id of the latest answer, for providers that say it in each chunk. */
  id?: string | undefined
  /** The tool calls by their ids, for providers that number them by those. */
  ids?: Map<string, number>
}

export function createReading(): Reading {
  return { parts: [], shape: undefined, proof: 'not-needed', refused: false, calls: 0 }
}

/** A provider's shape of chunk: how it is known, and what it says. */
export interface ChunkShape {
  is(chunk: object): boolean
  read(chunk: never, reading: Reading): void
  /** The name the chunk's event has on the provider's own wire, if it has one. */
  event?(chunk: never): string
  /** The chunk without what is not for the client: headers, request ids. */
  bare?(chunk: never): object
  /** Whether the chunk comes before the provider has answered at all. */
  isEarly?(chunk: never): boolean
  /** The name of a provider whose streams nothing stops but the signal the call was given, if the chunk is of one. */
  signalOnly?(chunk: never): string | undefined
}

/**
 * A failure that a provider tells in its stream, as an error for the developer. `status`, even if undefined,
 * marks it as the provider's, as the SDKs' own errors do.
 */
export function providerError(told: unknown): Error {
  const { message, code, type } = (isObject(told) ? told : { message: told }) as Record<string, unknown>
  const error = new Error(typeof message === 'string' ? message : 'The provider reported a failure')
  return Object.assign(error, { status: typeof code === 'number' ? code : undefined, code, type })
}

/** Text, unless it is empty. */
export function pushText(reading: Reading, text: string | null | undefined): void {
  if (text) push(reading, { type: 'text', text })
}

/** Reasoning, unless it is empty. */
export function pushReasoning(reading: Reading, text: string | null | undefined): void {
  if (text) push(reading, { type: 'reasoning', text })
}

/** The next piece of a tool call's input, which may be empty; with the first come the id and the name. */
export function pushCall(reading: Reading, index: number, input: string, id?: string, name?: string): void {
  const isFirst = id !== undefined || name !== undefined
  const head = isFirst && { ...(id !== undefined && { id }), ...(name !== undefined && { name }) }
  push(reading, { type: 'tool-call', index, ...head, input })
}

function push(reading: Reading, part: Part): void {
  const { type } = part
  if (!isPart(part)) throw new TypeError(`There is no ${type} in it`)
  // An answer that goes on after its end is another one, whose own end is waited for.
  reading.proof = 'missing'
  reading.parts.push(part)
}

export function pushData({ parts }: Reading, name: string, data: unknown): void {
  parts.push({ type: 'data', name, data })
}

export function pushError({ parts }: Reading, told: unknown): void {
  parts.push({ type: 'error', error: providerError(told) })
}

/** A usage part of the counts that are numbers, if any is. */
export function pushUsage(
  { parts }: Reading,
  inputTokens: unknown,
  outputTokens: unknown,
  totalTokens?: unknown,
  cachedInputTokens?: unknown,
  reasoningTokens?: unknown,
): void {
  const counts = Object.entries({ inputTokens, outputTokens, totalTokens, cachedInputTokens, reasoningTokens })
  const given = counts.filter(([, count]) => typeof count === 'number')
  if (given.length > 0) parts.push({ type: 'usage', usage: Object.fromEntries(given) })
}

/** The providers' words for why the model stopped. None of them is another provider's word for something else. */
const FINISH: readonly (readonly [FinishReason, RegExp])[] = [
  ['stop', /^(stop|end_turn|stop_sequence)$/i],
  ['length', /^(length|max_(output_)?tokens|model_length|model_context_window_exceeded)$/i],
  ['tool-calls', /^(tool[-_]calls|tool_use|function_call)$/i],
  [
    'content-filter',
    /^(content[-_]filter(ed)?|refusal|guardrail_intervened|(image_)?safety|recitation|blocklist|prohibited_content|spii)$/i,
  ],
  ['error', /^(error|malformed_(model_output|tool_use))$/i],
]

/** Why the model stopped. Whether the answer is complete is for the shape to say. */
export function pushFinish({ parts }: Reading, word: string): void {
  parts.push({ type: 'finish', reason: FINISH.find(([, words]) => words.test(word))?.[0] ?? 'other' })
}

/** Content that is a string, or, as Mistral has it, a list of texts and thoughts. */
export function pushContent(reading: Reading, content: Content): void {
  if (typeof content === 'string') pushText(reading, content)
  else
    for (const { type, text, thinking } of content ?? []) {
      if (type === 'text') pushText(reading, text)
      for (const thought of thinking ?? []) pushReasoning(reading, thought.text)
    }
}

/** What {@link pushContent} takes. */
export type Content = string | { type?: string; text?: string; thinking?: { text?: string }[] }[] | null | undefined

/** An object with some of its fields as they are when they are empty. Those it lacks it does not get. */
export function emptied(object: object, fields: Record<string, unknown>): object {
  const isThere = ([key]: [string, unknown]) => key in object
  return { ...object, ...Object.fromEntries(Object.entries(fields).filter(isThere)) }
}

export function isPart(chunk: object): chunk is Part {
  const part = chunk as { [key: string]: unknown }
  switch (part.type) {
    case 'text':
    case 'reasoning':
      return typeof part.text === 'string'
    case 'tool-call': {
      const { index, input, id = '', name = '' } = part
      return (
        typeof index === 'number' && typeof input === 'string' && typeof id === 'string' && typeof name === 'string'
      )
    }
    case 'usage':
      return isObject(part.usage)
    case 'finish':
      return typeof part.reason === 'string'
    case 'data':
      return typeof part.name === 'string' && 'data' in part
    case 'error':
      return 'error' in part
    default:
      return false
  }
}
