/**
 * What does an event of an upstream's event stream hold: a provider's chunk, text, a failure, or an event of its own?
 */
import { isObject, RelayError } from '../errors.js'
import { DONE, type ParsedEvent, type Part } from '../types.js'
import { failureIn, isBroken, isFailed, isIdle, providerError } from './chunk-failure.js'
import { meaningOf } from './finish.js'
import { isPart } from './is-part.js'
import { jsonOf } from './json.js'
import type { Reading } from './reading-state.js'
import { shapeOf } from './shapes.js'
import type { Upstream } from './upstream-traits.js'

/** Names of events that hold only the next piece of a text. */
const TEXTS = /^(data|text|token|delta|chunk|content|answer|output|completion)$/i
const END = /^(done|end|complete|completed|finish|finished)$/i

/**
 * The chunk in an event. Until a shape is known, an event of no shape passes if the upstream is another relay and shows
 * it; from any other server it is text, or meant for this server. Once a shape is known, only its chunks pass.
 *
 * @throws what the event says if it is named `error`, and for half a chunk.
 */
export function toChunk(read: ParsedEvent, reading: Reading, upstream: Upstream): unknown {
  const { known } = reading
  const { isRelay } = upstream
  // The standard's name for an event that has none.
  const event = read.event === 'message' ? undefined : read.event
  // A server that frames an event twice repeats the name of the field.
  const data = read.data.startsWith('data:') ? read.data.slice(5).trim() : read.data
  const json = jsonOf(data)
  upstream.event = event
  if (/^error$/i.test(event ?? '')) throw toError(json, data)
  // Plain text may begin with a bracket; half a chunk has a key.
  const isHalf = known ? !isIdle(data) : !reading.sawText && /^\[?\s*\{\s*"[^"]*"\s*:/.test(data)
  if (json === undefined && isHalf && (event === undefined || (known && data.startsWith('{')))) {
    throw providerError(`An event of the upstream is not JSON: ${data.slice(0, 200)}`)
  }
  if (!isObject(json) || isToken(json, event, reading, upstream)) {
    if (saysEnd(event, json, data, reading, upstream)) return void reading.sentinel()
    if (!known) return readPlain(read, data, json, reading, upstream)
    if (json !== null && (!isIdle(data) || isBroken(event))) reading.unknownKeys = ` ${data.slice(0, 100)}`
    return
  }
  if (isText(json) && (event === undefined || TEXTS.test(event))) {
    upstream.isRelay = true
    return json.text
  }
  if (isPart(json)) upstream.isRelay = true
  // Some providers repeat the event's name in `type`. Others are known by their shape, or by the event's name as the
  // type.
  const { type, event_type } = json as { type?: unknown; event_type?: unknown }
  const typed = withType(json, event, reading)
  if (typed) return typed
  const named = { event, data: json }
  if (event !== undefined && shapeOf(named, reading)) return named
  const isFailure = isFailed(event)
  if (event === undefined || (known && !isFailure && !END.test(event)) || shapeOf(json, reading)) return json
  if (isFailure && (known || !isRelay)) throw toError(json, data)
  if (saysEnd(event, json, data, reading, upstream)) return void reading.sentinel()
  return known || type === event || event_type === event || 'error' in json
    ? json
    : upstream.pass({ type: 'data', name: event, data: json } satisfies Part, data.length)
}

/** Reads an event whose data is not an object, while no shape is known: another relay's own event, or text. */
function readPlain(read: ParsedEvent, data: string, json: unknown, reading: Reading, upstream: Upstream): unknown {
  const { event } = read
  if (upstream.isRelay) return data === '' ? undefined : upstream.pass(read, data.length)
  if (event === undefined || event === 'message' || TEXTS.test(event)) return readText(read.data, reading, upstream)
  return data === '' || json === null || isIdle(data) ? undefined : upstream.pass(read, data.length)
}

/**
 * Reads a piece of plain text. After the first piece every piece is text, character by character, whatever it looks
 * like. The first one tells whether the pieces are JSON strings, and whether they are framed twice.
 */
function readText(data: string, reading: Reading, upstream: Upstream): string | undefined {
  const { tokens } = upstream
  const isFramed = tokens ? tokens.isFramed : data.startsWith('data:')
  const text = isFramed ? data.replace(/\n+$/, '').replace(/^data: ?/gm, '') : data
  const json = jsonOf(text)
  const isQuoted = tokens ? tokens.isQuoted : typeof json === 'string'
  if (isQuoted && typeof json === 'string') {
    upstream.tokens ??= { isFramed, isQuoted }
    return json
  }
  // A keep-alive that came before the text may come again between its pieces.
  const isAlive = text === '' || ((!tokens || isQuoted) && (json === null || isIdle(text, true)))
  if (isAlive || text === upstream.keepAlive) {
    if (text !== '') upstream.keepAlive = text
    return
  }
  // If text follows an end, that end was only a step's.
  if (reading.proof === 'given') reading.proof = 'missing'
  upstream.tokens ??= { isFramed, isQuoted }
  return text
}

/** Whether the JSON is a piece of plain text by chance: a list of numbers, or empty brackets. */
function isToken(json: object, event: string | undefined, { known }: Reading, { tokens }: Upstream): boolean {
  if (known || !tokens || tokens.isQuoted || (event !== undefined && !TEXTS.test(event))) return false
  return Array.isArray(json) ? !json.some(isObject) : Object.keys(json).length === 0
}

/**
 * Whether the event is an end, as servers without a sentinel send it: its name says so, and it holds nothing, or data
 * for this server.
 */
function saysEnd(
  event: string | undefined,
  json: unknown,
  data: string,
  reading: Reading,
  upstream: Upstream,
): boolean {
  if (event === undefined || !END.test(event) || reading.isBlank || upstream.isRelay) return false
  if (!isObject(json)) return data === '' || json === '' || json === null || END.test(data.replaceAll('"', ''))
  if (Object.keys(json).length === 0) return true
  if (failureIn(json, false) || Object.values(json).some(saysBroken)) return false
  reading.leaveOut(json)
  return true
}

/** Whether a value is one word, for an answer that failed or was broken off. */
function saysBroken(value: unknown): boolean {
  return typeof value === 'string' && /^[\w-]+$/.test(value) && /^(broken|error)$/.test(meaningOf(value))
}

/**
 * The chunk of a server that sends the type only as the event's name. A name without a dot or underscore is too common.
 */
export function withType(json: object, event: unknown, reading: Reading): object | undefined {
  if (typeof event !== 'string' || 'type' in json || !/[._]/.test(event)) return
  const chunk = { type: event, ...json }
  return shapeOf(chunk, reading) && chunk
}

/** The failure that the upstream reports, which is another relay or a provider. */
function toError(json: unknown, data: string): unknown {
  const told = (json as { error?: { code?: unknown; message?: unknown } } | null | undefined)?.error
  if (typeof told?.code === 'string' && typeof told.message === 'string' && 'retryable' in told) {
    return new RelayError(told.code, told.message)
  }
  return providerError(told ?? json ?? data)
}

function isText(json: object): json is { text: string } {
  return typeof (json as { text?: unknown }).text === 'string' && Object.keys(json).length === 1
}

/** Whether the data is the sentinel, also as some gateways write it: in quotes, in lower case, or framed twice. */
export function isSentinel(data: string): boolean {
  return data === DONE || (data.length < 24 && /^\s*(data:)?\s*"?\[done\]"?\s*$/i.test(data))
}
