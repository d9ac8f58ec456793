/** Where in an SDK's result object is the stream? */
import { isObject } from '../errors.js'
import { ignore, isThenable } from '../promises.js'
import { bedrockInvoke } from './bedrock-invoke.js'
import { genkit } from './genkit.js'
import type { ChunkShape, Reading } from './reading-state.js'

/** The names under which results hold their stream; the first that is one counts, else the only one there is. */
const NAMES = ['stream', 'fullStream', 'events', 'body', 'completion', 'data'] as const

/** The stream, and the promise of the whole answer that stands beside it, if there is one. */
export interface Held {
  stream: object
  rest?: PromiseLike<unknown> | undefined
  /** Of an answer of AWS: what is in it that no shape knows is none of the user's own. */
  shape?: ChunkShape | undefined
}

export function heldBy(source: object): Held | undefined {
  // Promises of results reject when their stream breaks: nobody else waits for them, and the process would end. Getters
  // are not called: some begin a reading.
  const own = Object.values(Object.getOwnPropertyDescriptors(source)).map(({ value }) => value as unknown)
  for (const value of own) if (isThenable(value)) value.then(ignore, ignore)
  const streams = own.filter(isStream)
  const named = NAMES.map((name) => (source as Record<string, unknown>)[name]).find(isStream)
  const stream = named ?? (streams.length === 1 ? streams[0] : undefined)
  if (!stream) return
  const rest = Object.getOwnPropertyDescriptor(source, 'response')?.value as unknown
  return { stream, ...('$metadata' in source && { shape: bedrockInvoke }), ...(isThenable(rest) && { rest }) }
}

/** A piece of a stream of bytes: SageMaker has each in an object. */
export function bytesIn(chunk: unknown): unknown {
  const { PayloadPart: part } = (chunk ?? {}) as { PayloadPart?: { Bytes?: unknown } }
  return part?.Bytes ?? chunk
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
