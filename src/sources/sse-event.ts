/** What one event of an upstream's event stream holds: a provider's chunk, text, a failure, or an event of its own. */
import { isObject, RelayError } from '../errors.js'
import { DONE, type OwnEvent, type ParsedEvent, type Part } from '../types.js'
import { isFailed, providerError } from './chunk-failure.js'
import type { Reading } from './reading-state.js'
import { shapeOf } from './shape-of.js'

/**
 * The chunk that an event is. Where the upstream is a provider (a shape is known) nothing passes that is no chunk of it.
 *
 * @throws what the event says, if it is named `error`; and for half a chunk.
 */
export function toChunk(read: ParsedEvent, reading: Reading): unknown {
  const { known } = reading
  const { event } = read
  // A server that frames what was framed already says the name of the field twice.
  const data = read.data.startsWith('data:') ? read.data.slice(5).trim() : read.data
  const json = parse(data)
  if (/^error$/i.test(event ?? '')) throw toError(json, data)
  if (json === undefined && event === undefined && (known ? !isIdle(data) : /^[{[]/.test(data))) {
    throw providerError(`An event of the upstream is not JSON: ${data.slice(0, 200)}`)
  }
  // None of the shapes: an event of the other relay's own, or of a server that sends plain text.
  if (!isObject(json)) return known || data === '' ? undefined : (read satisfies OwnEvent)
  if (isText(json)) return json.text
  // Providers that name their events say the name again in `type`; others have a shape that tells, or a name that does.
  const { type, event_type } = json as { type?: unknown; event_type?: unknown }
  const typed = withType(json, event, reading)
  if (typed) return typed
  const named = { event, data: json }
  if (event !== undefined && shapeOf(named, reading)) return named
  if (known && isFailed(event) && !shapeOf(json, reading)) throw toError(json, data)
  return known ||
    event === undefined ||
    type === event ||
    event_type === event ||
    'error' in json ||
    shapeOf(json, reading)
    ? json
    : ({ type: 'data', name: event, data: json } satisfies Part)
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

/** What keeps a connection alive, and says nothing. */
function isIdle(data: string): boolean {
  return data.trim() === '' || /^\W*(ping|pong|heart.?beat|keep.?alive|(\w+ )?processing|noop)\W*$/i.test(data)
}

/** The value of a JSON text; `undefined` for what is none. */
export function parse(data: string): unknown {
  try {
    return JSON.parse(data)
  } catch {
    return undefined
  }
}
