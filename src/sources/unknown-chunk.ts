/** What happens to a chunk that no shape knows: is it the user's own, or does it stay on the server? */
import { isObject, show } from '../errors.js'
import { mistake, typeMistake } from '../failure.js'
import type { OwnEvent } from '../types.js'
import { failureIn, isBroken, isFailed, isFine } from './chunk-failure.js'
import { isPart } from './is-part.js'
import { hasOnly } from './keys.js'
import { type Reading, withKeys } from './reading-state.js'

/** Reads a chunk that has no shape. Returns it if it is an own event. */
export function readUnknown(chunk: object, reading: Reading): OwnEvent | undefined {
  if (ArrayBuffer.isView(chunk) || chunk instanceof ArrayBuffer) {
    throw typeMistake(
      'invalid-source',
      'The source yields bytes amid its chunks: return the Response or the stream of bytes itself, which are read by what they are, or text through a TextDecoderStream',
    )
  }
  if (isPart(chunk)) {
    // An error event of Anthropic's Messages API looks like our own error part.
    if (chunk.type === 'error' && isObject(chunk.error) && !(chunk.error instanceof Error)) reading.error(chunk.error)
    else reading.parts.push(chunk.type === 'tool-call' ? reading.calls.own(chunk) : chunk)
  } else if (chunk instanceof Error) reading.error(chunk)
  else if (!isPlain(chunk)) throw unknownClass(chunk)
  else if (isException(chunk)) for (const [type, told] of Object.entries(chunk)) reading.error({ ...told, type })
  // In an upstream's bytes an object with those keys is the server's own JSON.
  else if (isOwnEvent(chunk) && (!reading.upstream || chunk === reading.upstream.passed)) {
    if (reading.proof === 'not-needed' || !saysFailure(chunk)) return chunk
    reading.error(chunk.data)
  } else {
    const isOwn = reading.proof === 'not-needed' && !reading.upstream
    const failure = failureIn(chunk, isOwn)
    if (failure) reading.error(failure)
    else readLeftOver(chunk, isOwn, reading)
  }
}

function readLeftOver(chunk: object, isOwn: boolean, reading: Reading): void {
  if (isOwn) {
    reading.sawObject = true
    reading.data('data', chunk)
  } else {
    if (reading.proof === 'not-needed') reading.proof = 'missing'
    // Of plain text an object may be anything beside it, and there is no other end than its sentinel.
    const isDoubtful = reading.known && !isFine(chunk)
    if (isDoubtful || isBroken(reading.upstream?.event)) reading.unknownKeys = withKeys(chunk) || ' without keys'
    reading.leaveOut(chunk)
  }
}

/** Whether it is a failure as AWS streams send it, named by its key: `{ throttlingException: { message } }`. */
function isException(chunk: object): boolean {
  const [[key = '', value] = [], ...more] = Object.entries(chunk)
  return more.length === 0 && key.endsWith('Exception') && isObject(value)
}

/** The keys of an own event. */
export const EVENT = /^(data|event|id|retry)$/

/** A plain object with `data` and no keys but those of an event. */
export function isOwnEvent(chunk: object): chunk is OwnEvent {
  return 'data' in chunk && isPlain(chunk) && hasOnly(chunk, EVENT)
}

/** Whether it is an object literal, `Object.create(null)` or a list, of any realm. */
function isPlain(chunk: object): boolean {
  if (Array.isArray(chunk)) return true
  const prototype: unknown = Object.getPrototypeOf(chunk)
  return prototype === null || Object.getPrototypeOf(prototype) === null
}

/** Whether an own event reports a failure: among a provider's chunks, with a name that says so, and with a message. */
function saysFailure({ event, data }: OwnEvent): boolean {
  return isFailed(event) && event !== 'error' && isObject(data) && 'message' in data
}

function unknownClass(chunk: object): Error {
  return mistake(
    'invalid-source',
    `The source yields ${show(chunk)}${withKeys(chunk)}, an instance of a class that is no known provider's chunk: yield a part of it, such as { type: 'text', text }, or a plain object`,
  )
}
