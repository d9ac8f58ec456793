/** Where in an SDK's result object is the stream? */
import { isObject } from '../errors.js'
import { ignore, isThenable } from '../promises.js'
import { genkit } from './genkit.js'
import type { Reading } from './reading-state.js'

/** The names under which results hold their stream; the first that is one counts. */
const NAMES = ['stream', 'fullStream', 'events', 'body', 'completion', 'data'] as const

/** The stream, and the promise of the whole answer that stands beside it, if there is one. */
export interface Held {
  stream: object
  rest?: PromiseLike<unknown> | undefined
}

export function heldBy(source: object): Held | undefined {
  // Promises of results reject when their stream breaks: nobody else waits for them, and the process would end. Getters
  // are not called: some begin a reading.
  const own = Object.values(Object.getOwnPropertyDescriptors(source)).map(({ value }) => value as unknown)
  for (const value of own) if (isThenable(value)) value.then(ignore, ignore)
  for (const name of NAMES) {
    const stream = (source as Record<string, unknown>)[name]
    if (!isStream(stream)) continue
    const rest = Object.getOwnPropertyDescriptor(source, 'response')?.value as unknown
    return { stream, ...(isThenable(rest) && { rest }) }
  }
}

export function isStream(value: unknown): value is object {
  if (!isObject(value)) return false
  const { getReader } = value as { getReader?: unknown }
  return typeof getReader === 'function' || Symbol.asyncIterator in value
}

/** What the whole answer tells when its stream is over: why it ended, and what it cost. */
export function readRest(rest: unknown, reading: Reading): void {
  // Genkit's has a tool's interruption for a reason, counts of more than tokens, and ends the calls that grew.
  if (isObject(rest) && genkit.is(rest)) {
    genkit.read(rest as never, reading)
    return
  }
  const { finishReason, usage } = (isObject(rest) ? rest : {}) as { finishReason?: unknown; usage?: object }
  reading.counts(usage)
  if (typeof finishReason === 'string') reading.end(finishReason)
}
