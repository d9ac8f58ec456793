import { parseSSE } from '../client/parse-sse.js'
import { isObject, RelayError } from '../errors.js'
import { DONE, type OwnEvent, type ParsedEvent, type Part, type ResponseLike } from '../types.js'
import { providerError, type Reading } from './reading.js'

/** In characters: larger than any image or file a provider sends, and smaller than what ends a process. */
const MAX_EVENT_SIZE = 67_108_864

/** A `fetch` answer, rather than a stream of chunks. */
export function isResponse(source: unknown): source is ResponseLike {
  const { ok, headers } = (source ?? {}) as Partial<ResponseLike>
  return typeof ok === 'boolean' && typeof headers?.get === 'function'
}

/**
 * The chunks of an upstream event stream: of a provider called with `fetch`, or of another relay. Each event's JSON is
 * recognised by its shape. The answer is complete at the sentinel, or as its shape has it. `return()` cancels the
 * body at once.
 *
 * @throws an error with the upstream's `status` and `headers` if it refused.
 */
export function readEventStream(response: ResponseLike, reading: Reading): AsyncIterator<unknown, undefined> {
  // What a refusal says of itself is worth a short wait.
  const events = parseSSE(response, {
    sentinel: false,
    maxEventSize: MAX_EVENT_SIZE,
    idleTimeoutMs: response.ok ? undefined : 5000,
  })
  reading.proof = 'missing'
  return {
    async next() {
      const { done, value } = await events.next().catch((error) => {
        throw response.ok ? error : refusalOf(response, error)
      })
      if (!done && value.data !== DONE) return { done: false, value: toChunk(value) }
      if (!done) {
        reading.proof = 'given'
        events.return()
      }
      return { done: true, value: undefined }
    },
    async return() {
      await events.return()
      return { done: true, value: undefined }
    },
  }
}

function toChunk(read: ParsedEvent): unknown {
  const { event, data } = read
  const json = parse(data)
  if (event === 'error') throw failureOf(json, data)
  // None of the shapes: an event of the other relay's own, or of a server that sends plain text.
  if (!isObject(json)) return read satisfies OwnEvent
  if (isText(json)) return json.text
  // Providers that name their events say the name again in `type`.
  return event === undefined || (json as { type?: unknown }).type === event
    ? json
    : ({ type: 'data', name: event, data: json } satisfies Part)
}

/** What the relay before this one, or the provider, says of its failure. */
function failureOf(json: unknown, data: string): unknown {
  const told = (json as { error?: { code?: unknown; message?: unknown } } | null | undefined)?.error
  if (typeof told?.code === 'string' && typeof told.message === 'string' && 'retryable' in told) {
    return new RelayError(told.code, told.message)
  }
  return providerError(told ?? json ?? data)
}

/** The body is for the developer's eyes; the client is told by the status. */
function refusalOf({ status, headers }: ResponseLike, error: RelayError): Error {
  const message = `The upstream answered with status ${status}: ${(error.body ?? '').slice(0, 2000)}`
  return Object.assign(new Error(message, { cause: error }), { status, headers })
}

function isText(json: object): json is { text: string } {
  return typeof (json as { text?: unknown }).text === 'string' && Object.keys(json).length === 1
}

function parse(data: string): unknown {
  try {
    return JSON.parse(data)
  } catch {
    return undefined
  }
}
