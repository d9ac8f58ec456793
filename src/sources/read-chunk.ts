/** How is what a source yields read, by its shape, since no SDK is imported? */
import { isObject, isRelayError, RelayError, show } from '../errors.js'
import { typeMistake } from '../failure.js'
import { DONE, type OwnEvent, type Part } from '../types.js'
import { failureIn, isIdle } from './chunk-failure.js'
import { isPart } from './is-part.js'
import { jsonOf } from './json.js'
import { hasOnly } from './keys.js'
import { Reading } from './reading-state.js'
import { shapeOf } from './shapes.js'
import { isSentinel, withType } from './sse-event.js'
import { bytesIn, isStream } from './stream-holder.js'
import { EVENT, isOwnEvent, readUnknown } from './unknown-chunk.js'

export { formatOf, isEventStream, readBytes } from './byte-stream.js'
export { isObservable, observe } from './observable.js'
export { type ChunkShape, Reading } from './reading-state.js'
export { type Held, heldBy, isStream, readRest } from './stream-holder.js'
export { isResponse, readEventStream } from './upstream-sse.js'

/**
 * Converts a chunk to parts. A string becomes a text part, a provider's chunk the parts that it means, an event of your
 * own data under its name, any other object data named `data`; a part stays as it is. An empty chunk has no parts. What
 * depends on earlier chunks, such as the number of a tool call that its provider does not number, is given as far as
 * one chunk shows it; a tool call that comes whole `replaces` what its pieces said.
 *
 * A source that yields parts or texts made from a provider's chunks counts as the application's own, and is complete
 * when it ends: it must check itself that the provider's answer was whole. Throw `new RelayError('truncated', …)` if no
 * `finish` part came, or yield the chunks themselves.
 *
 * @throws {TypeError} for bytes, and for values that are neither text nor object.
 * @throws {RelayError} `upstream-failure` for a provider's chunk that is not in the provider's format, `invalid-source`
 * for an instance of an unknown class.
 */
export function toParts(chunk: unknown): Part[] {
  const reading = new Reading(true)
  const own = readChunk(chunk, reading)
  return own ? [{ type: 'data', name: own.event ?? 'data', data: own.data }] : reading.parts
}

/** Reads one chunk into `reading.parts`. Returns an own event instead, if the chunk is one. */
export function readChunk(chunk: unknown, reading: Reading): OwnEvent | undefined {
  reading.parts.length = 0
  reading.shape = undefined
  reading.chunk = chunk
  if (typeof chunk === 'string') {
    if (chunk === '') return
    reading.sawText = true
    reading.parts.push({ type: 'text', text: chunk })
    return
  }
  if (chunk === null || chunk === undefined) return
  if (typeof chunk !== 'object') {
    throw typeMistake('invalid-source', `The source yields ${show(chunk)}: yield strings or objects`)
  }
  const shape = shapeOf(chunk, reading)
  if (!shape) return readOther(chunk, reading)
  reading.shape = reading.known = shape
  reading.unknownKeys = undefined
  // From now on the provider's proof is needed, unless it was given.
  if (reading.proof === 'not-needed') reading.proof = 'missing'
  const mayReopen = reading.endedBlank && reading.isBlank
  try {
    shape.read(chunk as never, reading)
    if (mayReopen && reading.endedBlank && !reading.isBlank && reading.proof === 'given') reading.proof = 'missing'
  } catch (cause) {
    // The shape is refused by name.
    if (isRelayError(cause)) throw cause
    throw new RelayError(
      'upstream-failure',
      "A chunk is not in its provider's format: something in it has another type",
      { cause, retryable: true },
    )
  }
}

/** Reads a chunk that has no shape itself: a server-sent event as an object may hold a provider's chunk. */
function readOther(chunk: object, reading: Reading): OwnEvent | undefined {
  const bytes = bytesIn(chunk)
  const isBytes = ArrayBuffer.isView(bytes) || bytes instanceof ArrayBuffer
  if (!reading.isSingle && (isBytes ? reading.isFresh : isStream(chunk) || isBatch(chunk, reading))) {
    reading.inner = chunk
    return
  }
  const held = toHeld(chunk, reading)
  if (held === DONE) reading.sentinel()
  else if (held !== undefined) {
    reading.isHeld = true
    return readChunk(held, reading)
  } else return readUnknown(chunk, reading)
}

/** Whether it is a list of known chunks or parts, as a batching step yields them, or `yield toParts(chunk)`. */
function isBatch(chunk: object, reading: Reading): boolean {
  return Array.isArray(chunk) && chunk.every((one) => isObject(one) && (shapeOf(one, reading) || isPart(one)))
}

/**
 * What an event of an upstream holds, if a parser handed it over as an object: a known chunk, a failure, the sentinel.
 * After one of these each event without a name is the upstream's. `undefined` for an event of the user's own.
 */
function toHeld(chunk: object, reading: Reading): unknown {
  const { event, data, id } = chunk as { event?: unknown; data?: unknown; id?: unknown }
  const isAmid = reading.proof !== 'not-needed' || !!reading.upstream
  // An event of the source's own cannot be an error.
  if (event === 'error') return isAmid && data !== undefined ? { error: jsonOf(String(data)) ?? data } : undefined
  if (typeof data !== 'string' || !hasOnly(chunk, EVENT)) {
    const mayHold = isObject(data) && (typeof event === 'string' || typeof id === 'number') && isOwnEvent(chunk)
    return mayHold && shapeOf(data, reading) ? data : undefined
  }
  if (isSentinel(data)) return isAmid ? DONE : undefined
  const isUnnamed = !event || event === 'message'
  // Parsers have the fields that an event lacks, too.
  const isParsed = isUnnamed && !id && 'event' in chunk && 'id' in chunk
  const isJSON = data.startsWith('{')
  const read = isJSON ? jsonOf(data) : undefined
  if (!isObject(read)) {
    if (!(isJSON ? isAmid : isParsed && reading.isHeld)) return
    return isIdle(data) ? null : { error: `An event of the upstream is not JSON: ${data.slice(0, 200)}` }
  }
  const typed = withType(read, event, reading)
  if (typed) return typed
  const isNext = isUnnamed && reading.isHeld
  if (isNext || shapeOf(read, reading) || ('error' in read && Object.keys(read).length === 1)) return read
  const failure = isParsed && failureIn(read, false)
  return failure ? { error: failure } : undefined
}
