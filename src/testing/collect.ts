/** What did a client get? A whole answer, read to its end. */

import { isComplete } from '../client/final-events.js'
import { type ParseSSEOptions, parseSSE, type SSEInput } from '../client/parse-sse.js'
import { isRelayError, type RelayError } from '../errors.js'
import type { ParsedEvent } from '../types.js'

/** How a collected answer ended, as far as its reader can know. */
export type CollectedOutcome = 'done' | 'error' | 'truncated' | 'stopped' | 'shutdown' | 'expired'

const ENDINGS: readonly CollectedOutcome[] = ['truncated', 'stopped', 'shutdown', 'expired']

/** A whole answer, as {@link collect} gives it. */
export interface Collected {
  /** The HTTP status, when the input was a response. */
  status?: number
  /** The response's headers by their lower-case names, when the input was a response. */
  headers?: Record<string, string>
  /** Every event but the sentinel and the error frame. */
  events: ParsedEvent[]
  /** The `text` of every unnamed event whose data is JSON with a string `text`, joined. */
  text: string
  /** How many comments came: heartbeats, mostly. */
  comments: number
  /**
   * `done` after the sentinel, or the last event of a dialect that has one of its own. `truncated` for a body that ended
   * without either. An error frame whose code is
   * `truncated`, `stopped`, `shutdown` or `expired` is that; every other failure is `error`, and so is
   * every status that is not 2xx, whatever its code.
   */
  outcome: CollectedOutcome
  /** What `parseSSE` threw, for every outcome but `done`. */
  error?: RelayError
  /** The last event id at the end. */
  lastEventId: string
}

/**
 * The whole answer, once it is over: its events, its text, and how it ended. What is on the wire never makes
 * it throw, neither a refusal nor a cut nor a reset.
 *
 * @param input What `parseSSE` takes: a Response, a stream or iterable of bytes or strings, or a string.
 * @param options Those of `parseSSE`.
 * @throws {RelayError} `invalid-source` or `invalid-option`, for what `parseSSE` does not take.
 * @throws `AbortError` when `options.signal` aborts.
 * @example
 * const { outcome, text } = await collect(await fetch(url))
 */
export async function collect(input: SSEInput, options: ParseSSEOptions = {}): Promise<Collected> {
  const collected: Collected = { events: [], text: '', comments: 0, outcome: 'done', lastEventId: '' }
  if (isResponse(input)) {
    collected.status = input.status
    collected.headers = Object.fromEntries(input.headers)
  }
  const stream = parseSSE(input, {
    ...options,
    onComment(comment) {
      collected.comments++
      options.onComment?.(comment)
    },
  })
  try {
    for await (const event of stream) {
      collected.events.push(event)
      if (event.event === undefined) collected.text += textOf(event.data)
    }
  } catch (error) {
    if (!isRelayError(error)) throw error
    // The body has ended where the dialect's own end had said so.
    const last = collected.events.at(-1)
    const isCut = error.code !== 'truncated' || error.status !== undefined || error.body !== undefined
    if (isCut || !last || !isComplete(last)) {
      collected.error = error
      // The status was decided before the answer began, so the code there names no ending of a stream.
      collected.outcome = (error.status === undefined && ENDINGS.find((ending) => ending === error.code)) || 'error'
    }
  }
  collected.lastEventId = stream.lastEventId
  return collected
}

/** By its shape: a host may have put its own class in the place of the global one. */
function isResponse(input: SSEInput): input is Response {
  return typeof (input as Response | undefined)?.headers?.entries === 'function'
}

function textOf(data: string): string {
  try {
    const text: unknown = JSON.parse(data)?.text
    return typeof text === 'string' ? text : ''
  } catch {
    return ''
  }
}
