/** Which headers does a request bring, and which does its answer get? */
import { isObject, show } from './errors.js'
import { parseEventId } from './event-id.js'
import { mistake } from './failure.js'

/** Response headers by their lower-case names. */
export type SinkHeaders = Record<string, string | string[]>

/** A `Headers`, pairs, or a plain object, in which a value of `undefined` counts as not given. */
export type HeadersLike = Headers | Iterable<readonly [string, string]> | Record<string, string | undefined>

/** The head of the request that is answered. */
export interface RequestHead {
  method?: string
  /** The address, or its path, with the query. */
  url?: string
  header(name: string): string | string[] | null | undefined
  /**
   * Reads the request's body to its end if nobody else does, and drops it. Called once, right after the source was
   * asked for. With a log that can be after `relayTo` has returned.
   */
  drain?(): void
}

const NO_CACHE: SinkHeaders = { 'cache-control': 'no-store, no-transform' }
/** The headers of an event stream. Below: those of a JSON body, and of an answer without a body. */
export const STREAM_HEADERS: SinkHeaders = {
  'content-type': 'text/event-stream; charset=utf-8',
  ...NO_CACHE,
  'x-accel-buffering': 'no',
}
export const JSON_HEADERS: SinkHeaders = { 'content-type': 'application/json; charset=utf-8', ...NO_CACHE }
export const EMPTY_HEADERS: SinkHeaders = NO_CACHE

/** A header of the request, or the first of several with the name. */
export function headerOf(request: RequestHead | undefined, name: string): string | undefined {
  const value = request?.header(name)
  return (Array.isArray(value) ? value[0] : value) ?? undefined
}

/** How `event-source-polyfill` and others send the last event id: a header would need a preflight. */
const IN_QUERY = /[?&]lastEventId=([\w-]+)(?::|%3a)(\w+)(?=&|$)/i

/**
 * The request's `Last-Event-ID`, for {@link resumeTo}. An empty one counts as absent, as in the standard. One in the
 * query counts if it is an id of this library: the application may have its own parameter of that name.
 */
export function lastEventIdOf(request: RequestHead | undefined): string | undefined {
  const value = headerOf(request, 'last-event-id')
  if (!value) {
    const found = request?.method === 'GET' && IN_QUERY.exec(request.url ?? '')
    const id = found ? `${found[1]}:${found[2]}` : undefined
    return parseEventId(id) && id
  }
  if (!/[\x80-\xff]/.test(value) || /[^\0-\xff]/.test(value)) return value
  // The value is UTF-8, but hosts hand headers over with one character per byte.
  return new TextDecoder().decode(Uint8Array.from(value, (character) => character.charCodeAt(0)))
}

/** Whether the request looks like one from an `EventSource`. */
export function isEventSource(request: RequestHead | undefined): boolean {
  return request?.method === 'GET' && (headerOf(request, 'accept') ?? '').includes('text/event-stream')
}

const HOST_HEADERS =
  /^(content-(type|length)|host|(proxy-)?connection|keep-alive|te|trailer|transfer-encoding|upgrade|http2-settings)$/
/**
 * Encodings of a body that was decoded, whose headers are passed on whole. `none` and `identity` forbid compression.
 */
const COMPRESSED = /^(x-)?(gzip|compress|deflate|br|zstd)\b/i
/** Characters that no host sends in a header, though `Headers` accepts them. */
const UNSENDABLE = /[^\t\x20-\x7e\x80-\xff]/

/**
 * The extra headers, by their lower-case names.
 *
 * @throws {RelayError} `invalid-option` for a name or value that HTTP does not allow.
 */
export function extraHeaders(headers: HeadersLike | undefined): SinkHeaders {
  const result: SinkHeaders = {}
  if (headers === undefined) return result
  let checked: Headers
  try {
    // `Headers` would send the word `undefined`.
    const isPlain = isObject(headers) && !(Symbol.iterator in headers)
    const given = isPlain ? Object.entries(headers).filter(([, value]) => value !== undefined) : headers
    checked = new Headers(given as HeadersInit)
  } catch (cause) {
    const shown = (JSON.stringify(headers) ?? String(headers)).slice(0, 200)
    throw mistake('invalid-option', `headers cannot be ${shown}: ${(cause as Error).message}`, cause)
  }
  for (const [name, value] of checked) {
    if (UNSENDABLE.test(value)) {
      throw mistake('invalid-option', `headers, ${name}, cannot be ${show(value)}: take out control characters`)
    }
    const isCompressed = name === 'content-encoding' && COMPRESSED.test(value)
    if (!HOST_HEADERS.test(name) && !isCompressed) result[name] = value
  }
  const cookies = checked.getSetCookie?.() ?? []
  if (cookies.length > 1) result['set-cookie'] = cookies
  return result
}
