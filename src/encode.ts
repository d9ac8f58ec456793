/** How does an event become text? */
import { RelayError, show } from './errors.js'
import { DONE, type ServerSentEvent } from './types.js'

export { DONE }

const LINE_BREAK = /[\r\n]/
const LINE_BREAKS = /\r\n?|\n/g

/**
 * The text of one event, blank line included. `data` may hold any text: each of its lines becomes a
 * `data` line. A parser gives the same event back, with CR and CRLF in `data` as LF.
 *
 * @throws {RelayError} `invalid-field`: a line break in `event` or `id`, NUL in `id`, a `retry` that is not a
 * non-negative integer, or a field of another type. A line break there would end the field and let the rest of the
 * value pass as a field or an event of its own.
 * @see https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
 */
export function encodeEvent(event: ServerSentEvent): string {
  const { event: type, data, id, retry } = event ?? {}
  let frame = ''
  if (type !== undefined) frame += encodeField('event', type, LINE_BREAK)
  if (id !== undefined) frame += encodeField('id', id, /[\r\n\0]/)
  if (retry !== undefined) frame += encodeRetry(retry)
  if (typeof data !== 'string') throw invalidField('data', data, 'give a string, JSON.stringify(value) for example')
  return `${frame}data: ${LINE_BREAK.test(data) ? data.replace(LINE_BREAKS, '\ndata: ') : data}\n\n`
}

/** A `retry` line alone: it belongs to whatever event comes next. */
export function encodeRetry(retry: number): string {
  if (!Number.isSafeInteger(retry) || retry < 0) {
    throw invalidField('retry', retry, 'give a non-negative integer of milliseconds')
  }
  return `retry: ${retry}\n`
}

/**
 * A comment, which is not an event (the relay's own heartbeats are `HEARTBEAT` of `relay.ts`). It ends without a blank
 * line. Line breaks in `text` make several comment lines.
 *
 * @throws {RelayError} `invalid-field` if `text` is no string.
 */
export function encodeComment(text = ''): string {
  if (typeof text !== 'string') throw invalidField('comment', text, 'give a string')
  return `: ${text.replace(LINE_BREAKS, '\n: ')}\n`
}

function encodeField(name: string, value: unknown, forbidden: RegExp): string {
  if (typeof value !== 'string') throw invalidField(name, value, 'give a string')
  if (forbidden.test(value)) throw invalidField(name, value, 'take out line breaks (and NUL from an id)')
  return `${name}: ${value}\n`
}

function invalidField(name: string, value: unknown, remedy: string): RelayError {
  return new RelayError('invalid-field', `${name} cannot be ${show(value)} (${typeof value}): ${remedy}`)
}

/**
 * Makes one piece of a string that was joined from many. Otherwise V8 keeps the pieces, several times the string's
 * size, until somebody reads it. The unreachable throw keeps the test from being optimised away.
 */
export function flatten(text: string): void {
  if (!/^/.test(text)) throw new RangeError()
}
