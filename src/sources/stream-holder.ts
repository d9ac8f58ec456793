/** Where is the stream in an SDK's result object? */
import { isObject } from '../errors.js'
import { ignore, isThenable } from '../promises.js'
import { bedrockInvoke } from './bedrock-invoke.js'
import { genkit } from './genkit.js'
import type { ChunkShape, Reading } from './reading-state.js'

/** The fields in which results hold their stream. The first that is a stream counts, else the only stream there is. */
const NAMES = ['stream', 'fullStream', 'events', 'body', 'completion', 'data'] as const

/** The stream, and the promise of the whole answer that stands beside it, if there is one. */
export interface Held {
  stream: object
  rest?: PromiseLike<unknown> | undefined
  /** The shape that is expected of an AWS result: a chunk in it that no shape knows is not the user's own. */
  shape?: ChunkShape | undefined
}

export function heldBy(source: object): Held | undefined {
  // A result's promises reject when its stream breaks, and since nobody else waits for them the process would end.
  // Getters are not called: some begin to read.
  const own = Object.values(Object.getOwnPropertyDescriptors(source)).map(({ value }) => value as unknown)
  for (const value of own) if (isThenable(value)) value.then(ignore, ignore)
  const streams = own.filter(isStream)
  const named = NAMES.map((name) => (source as Record<string, unknown>)[name]).find(isStream)
  const stream = named ?? (streams.length === 1 ? streams[0] : undefined)
  if (!stream) return
  const rest = Object.getOwnPropertyDescriptor(source, 'response')?.value as unknown
  return { stream, ...('$metadata' in source && { shape: bedrockInvoke }), ...(isThenable(rest) && { rest }) }
}

/** A piece of a stream of bytes. SageMaker wraps each piece in an object. */
export function bytesIn(chunk: unknown): unknown {
  const { PayloadPart: part } = (chunk ?? {}) as { PayloadPart?: { Bytes?: unknown } }
  return part?.Bytes ?? chunk
}

export function isStream(value: unknown): value is object {
  if (!isObject(value)) return false
  const { getReader } = value as { getReader?: unknown }
  return typeof getReader === 'function' || Symbol.asyncIterator in value
}

/** Reads what the whole answer says after its stream has ended: the reason and the counts. */
export function readRest(rest: unknown, reading: Reading): void {
  // Genkit's response gives a reason for a tool's interruption, counts more than tokens, and ends the partial calls.
  if (isObject(rest) && genkit.is(rest)) {
    genkit.read(rest as never, reading)
    return
  }
  const { finishReason, usage } = (isObject(rest) ? rest : {}) as { finishReason?: unknown; usage?: object }
  reading.counts(usage)
  if (typeof finishReason === 'string') reading.end(finishReason)
}
