/** How is an upstream's event stream read, and when is it complete? */

import { parseSSE, type SSEInput } from '../client/parse-sse.js'
import { isObject, type RelayError } from '../errors.js'
import { parseEventId } from '../event-id.js'
import type { ResponseLike } from '../types.js'
import type { Reading } from './reading-state.js'
import { isSentinel, toChunk } from './sse-event.js'

/** In characters: larger than any image or file a provider sends, and smaller than what ends a process. */
const MAX_EVENT_SIZE = 67_108_864

/** Whether the source is a `fetch` response rather than a stream of chunks. */
export function isResponse(source: unknown): source is ResponseLike {
  const { ok, headers } = (source ?? {}) as Partial<ResponseLike>
  return typeof ok === 'boolean' && typeof headers?.get === 'function'
}

/**
 * The chunks of an upstream's event stream: a provider's that was called with `fetch`, or another relay's. The JSON of
 * each event is recognised by its shape. The answer is complete at the sentinel, or when its shape says so. `return()`
 * cancels the body at once.
 *
 * @throws an error with the upstream's `status` and `headers` if it refused.
 */
export function readEventStream(response: ResponseLike, reading: Reading): AsyncIterator<unknown, undefined> {
  reading.ofUpstream().isRelay = ['x-heartbeat-ms', 'x-run-id'].some((name) => response.headers.get(name))
  // Up to five seconds of silence are accepted for the body of a refusal, which says why.
  return readEvents(response, reading, response.ok ? undefined : 5000, (error) =>
    response.ok ? error : upstreamRefusal(response, error),
  )
}

/** The chunks of an event stream, in any form that holds one. */
export function readEvents(
  input: SSEInput,
  reading: Reading,
  idleTimeoutMs?: number,
  toError: (error: RelayError) => unknown = (error) => error,
): AsyncIterator<unknown, undefined> {
  const events = parseSSE(input, { sentinel: false, maxEventSize: MAX_EVENT_SIZE, idleTimeoutMs })
  reading.proof = 'missing'
  const upstream = reading.ofUpstream()
  // The chunk that showed that the upstream is another relay. The events that waited for that go out before it.
  let teller: unknown
  return {
    async next() {
      const own = upstream.nextWaiting(reading)
      if (own) return { done: false, value: own }
      if (teller !== undefined) {
        const value = teller
        teller = undefined
        if (isObject(value)) upstream.passed = value
        return { done: false, value }
      }
      const { done, value: event } = await events.next().catch((error) => {
        throw toError(error)
      })
      if (done || isSentinel(event.data)) {
        if (!upstream.isRelay) upstream.leaveWaiting(reading)
        if (!done) {
          // The sentinel of a provider that has sent nothing proves nothing.
          if (upstream.isRelay) reading.end()
          else if (!reading.isFresh) reading.sentinel()
          events.return()
        }
        return { done: true, value: undefined }
      }
      if (parseEventId(event.id)) upstream.isRelay = true
      const chunk = toChunk(event, reading, upstream)
      if (!upstream.waiting || !upstream.isRelay) return { done: false, value: chunk }
      teller = chunk
      return { done: false, value: undefined }
    },
    async return() {
      await events.return()
      return { done: true, value: undefined }
    },
  }
}

/** The refusal's body is for the developer. What the client sees follows from the status. */
function upstreamRefusal({ status, headers }: ResponseLike, error: RelayError): Error {
  const message = `The upstream answered with status ${status}: ${(error.body ?? '').slice(0, 2000)}`
  return Object.assign(new Error(message, { cause: error }), { status, headers })
}
