import type { Part, Usage } from '../types.js'

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
  const { message, code, type } = (typeof told === 'object' && told !== null ? told : { message: told }) as {
    message?: unknown
    code?: unknown
    type?: unknown
  }
  const error = new Error(typeof message === 'string' ? message : 'The provider reported a failure')
  return Object.assign(error, { status: typeof code === 'number' ? code : undefined, code, type })
}

/** A usage part of the counts that are numbers, if any is. */
export function pushUsage(parts: Part[], counts: { [K in keyof Usage]: unknown }): void {
  const usage = Object.fromEntries(Object.entries(counts).filter(([, count]) => typeof count === 'number'))
  if (Object.keys(usage).length > 0) parts.push({ type: 'usage', usage })
}

/** Content that is a string, or, as Mistral has it, a list of texts and thoughts. */
export function pushContent(parts: Part[], content: Content): void {
  if (typeof content === 'string') {
    if (content !== '') parts.push({ type: 'text', text: content })
    return
  }
  for (const { type, text, thinking } of content ?? []) {
    if (type === 'text' && text) parts.push({ type: 'text', text })
    for (const thought of thinking ?? []) if (thought.text) parts.push({ type: 'reasoning', text: thought.text })
  }
}

/** What {@link pushContent} takes. */
export type Content = string | { type?: string; text?: string; thinking?: { text?: string }[] }[] | null | undefined
