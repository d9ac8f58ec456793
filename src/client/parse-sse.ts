/** How does a program read one event stream to its end? */

import type { EventStream } from '../types.js'
import { check, OPTIONS, type ParseSSEOptions, readEvents } from './reading-loop.js'
import { type SSEInput, toBody } from './sse-input.js'

export type { ParseSSEOptions } from './reading-loop.js'
export type { SSEInput } from './sse-input.js'

/**
 * Yields the events of `input`. Nothing is read before it is asked for.
 *
 * Ends at the sentinel and cancels the body. Leaving the loop, `return()`, `throw()` and an abort cancel it too, at
 * once, even while a read is pending.
 *
 * @throws {RelayError} `invalid-source` or `invalid-option`, at once. While reading: `truncated` if the body ends
 * without the sentinel; the server's own code for an `event: error` (not with `sentinel: false`); `http-status` (or the
 * server's own code) for a status that is not 2xx, `content-type` for a body that is not an event stream, both with the
 * `body`; `response-used`, `idle-timeout`, `event-timeout`, `event-too-large`, `network`. Each has `received`,
 * `lastEventId` and the `pending` text. An abort throws the platform's `AbortError`.
 * @see https://html.spec.whatwg.org/multipage/server-sent-events.html
 */
export function parseSSE(input: SSEInput, options: ParseSSEOptions = {}): EventStream {
  return readInput('parseSSE', input, options)
}

/** The same for the functions that read with it: a wrong option is theirs. */
export function readInput(what: string, input: SSEInput, options: ParseSSEOptions = {}): EventStream {
  check(what, options, OPTIONS)
  return readEvents(options, toBody(input))
}
