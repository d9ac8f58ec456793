/** What one event of an upstream's event stream holds: a provider's chunk, text, a failure, or an event of its own. */
import { isObject, RelayError } from '../errors.js'
import { DONE, type ParsedEvent, type Part } from '../types.js'
import { failureIn, isFailed, isIdle, providerError } from './chunk-failure.js'
import { isPart } from './is-part.js'
import { jsonOf } from './json.js'
import type { Reading } from './reading-state.js'
import { shapeOf } from './shape-of.js'
import type { Upstream } from './upstream-state.js'

/** Names of events that hold nothing but the next piece of a text. */
const TEXTS = /^(data|text|token|delta|chunk|content|answer|output|completion)$/i
const END = /^(done|end|complete|completed|finish|finished)$/i

/**
 * The chunk that an event is. Events of no shape pass where the upstream is another relay, and says so; what else a
 * server of no known shape sends is text, or its word to this server. Where a shape is known nothing passes that is no
 * chunk of it.
 *
 * @throws what the event says, if it is named `error`; and for half a chunk.
 */
export function toChunk(read: ParsedEvent, reading: Reading, upstream: Upstream): unknown {
  const { known } = reading
  const { isRelay } = upstream
  // The standard's name for an event without one.
  const event = read.event === 'message' ? undefined : read.event
  // A server that frames what was framed already says the name of the field twice.
  const data = read.data.startsWith('data:') ? read.data.slice(5).trim() : read.data
  const json = jsonOf(data)
  if (/^error$/i.test(event ?? '')) throw toError(json, data)
  // A server that sends plain text may begin with a bracket; half a chunk has a key.
  const isBroken = known ? !isIdle(data) : !reading.sawText && /^\[?\s*\{\s*"[^"]*"\s*:/.test(data)
  if (json === undefined && isBroken && (event === undefined || (known && data.startsWith('{')))) {
    throw providerError(`An event of the upstream is not JSON: ${data.slice(0, 200)}`)
  }
  if (!isObject(json) || isToken(json, event, reading, upstream)) {
    if (saysEnd(event, json, data, reading, upstream)) return void reading.sentinel()
    return known ? undefined : readPlain(read, data, json, reading, upstream)
  }
  if (isText(json) && (event === undefined || TEXTS.test(event))) {
    upstream.isRelay ||= 'likely'
    reading.untold = undefined
    return json.text
  }
  if (isPart(json)) upstream.isRelay = true
  // Providers that name their events say the name again in `type`; others have a shape that tells, or a name that does.
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

/** An event whose data is no object, where no shape is known: another relay's own, or text. */
function readPlain(read: ParsedEvent, data: string, json: unknown, reading: Reading, upstream: Upstream): unknown {
  const { event } = read
  if (upstream.isRelay) return data === '' ? undefined : upstream.pass(read, data.length)
  if (event === undefined || event === 'message' || TEXTS.test(event)) return readText(read.data, reading, upstream)
  return data === '' || json === null || isIdle(data) ? undefined : upstream.pass(read, data.length)
}

/**
 * A piece of plain text. Once there was one each is text, to the space and to the letter, whatever it looks like; the first
 * tells whether they are JSON texts, and whether they are framed twice.
 */
function readText(data: string, reading: Reading, upstream: Upstream): string | undefined {
  const { tokens } = upstream
  const isFramed = tokens ? tokens.isFramed : data.startsWith('data:')
  const text = isFramed ? data.replace(/\n+$/, '').replace(/^data: ?/gm, '') : data
  const json = jsonOf(text)
  const isQuoted = tokens ? tokens.isQuoted : typeof json === 'string'
  if (isQuoted && typeof json === 'string') {
    reading.untold = undefined
    upstream.tokens ??= { isFramed, isQuoted }
    return json
  }
  // A sign of life that came before it may come amid the text again.
  const isAlive = text === '' || ((!tokens || isQuoted) && (json === null || isIdle(text, true)))
  if (isAlive || text === upstream.alive) {
    if (text !== '') upstream.alive = text
    return
  }
  // What comes after an end was the end of a step.
  if (reading.proof === 'given') reading.proof = 'missing'
  reading.untold = undefined
  upstream.tokens ??= { isFramed, isQuoted }
  return text
}

/** Lists of numbers, and nothing in brackets, are JSON by chance, amid plain text. */
function isToken(json: object, event: string | undefined, { known }: Reading, { tokens }: Upstream): boolean {
  if (known || !tokens || tokens.isQuoted || (event !== undefined && !TEXTS.test(event))) return false
  return Array.isArray(json) ? !json.some(isObject) : Object.keys(json).length === 0
}

/** The end, as servers say it that have no sentinel: in the name of an event that holds nothing, or what is for this server. */
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
  if (failureIn(json, false)) return false
  reading.leave(json)
  return true
}

/** The chunk of a server that says its type in the name of the event alone. A plain word may be anybody's. */
export function withType(json: object, event: unknown, reading: Reading): object | undefined {
  if (typeof event !== 'string' || 'type' in json || !/[._]/.test(event)) return
  const chunk = { type: event, ...json }
  return shapeOf(chunk, reading) && chunk
}

/** What the relay before this one, or the provider, says of its failure. */
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

/** The sentinel, as gateways have it as well: in quotes, in small letters, framed twice. */
export function isSentinel(data: string): boolean {
  return data === DONE || (data.length < 24 && /^\s*(data:)?\s*"?\[done\]"?\s*$/i.test(data))
}
