import type { Part } from '../types.js'

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
  /** The tool calls by their ids, for providers that number them by those. */
  ids?: string[]
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
  /** A stream of these cannot be stopped but by the signal its call was given: what to call it in the warning. */
  signalOnly?: string
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

/** Token counts with what is not a number left out. */
export function numbers<T extends Record<string, unknown>>(counts: T): { [K in keyof T]?: number } {
  const result: { [K in keyof T]?: number } = {}
  for (const key in counts) if (typeof counts[key] === 'number') result[key] = counts[key]
  return result
}
