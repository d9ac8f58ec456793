import { RelayError } from './errors.js'
import type { ParsedEvent } from './types.js'

/** What {@link createParser} calls, and what it starts from. */
export interface ParserOptions {
  /** Called for each event, synchronously, in order. */
  onEvent(event: ParsedEvent): void
  /** Called for each comment, with its text less one leading space. */
  onComment?: ((comment: string) => void) | undefined
  /** Called when a valid `retry` line is read, with its milliseconds. */
  onRetry?: ((retry: number) => void) | undefined
  /** The last event id to begin with. @default '' */
  lastEventId?: string | undefined
  /**
   * The most characters (UTF-16 units) the lines of one event may have, in whatever chunks they come.
   * @default Infinity
   */
  maxEventSize?: number | undefined
}

/** What {@link createParser} returns. */
export interface Parser {
  /**
   * What `MessageEvent.lastEventId` would be now: the last id that a blank line committed. It is up to date
   * when an event is handed over.
   */
  readonly lastEventId: string
  /**
   * Reads the next piece of the stream.
   *
   * @throws {RelayError} `event-too-large` when an event passes `maxEventSize`, and whatever a callback throws.
   */
  feed(text: string): void
  /** Ends the stream: drops the unfinished block and returns its text. `lastEventId` stays. */
  end(): string
  /** Ends the stream and forgets `lastEventId` too. */
  reset(): void
}

const LF = 10
const SPACE = 32
const COLON = 58
const BOM = 0xfeff

/**
 * The event stream interpretation of the HTML standard, over text: synchronous, in linear time, for any
 * chunking. An event is handed over at the blank line that ends it; what has none is never an event.
 *
 * @throws {RelayError} `invalid-option` when `onEvent` is missing.
 * @see https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
 * @example
 * ```ts
 * const parser = createParser({ onEvent: (event) => console.log(event.data) })
 * parser.feed('data: hel')
 * parser.feed('lo\n\n')
 * ```
 */
export function createParser(options: ParserOptions): Parser {
  const { onEvent, onComment, onRetry, lastEventId = '', maxEventSize = Number.POSITIVE_INFINITY } = options ?? {}
  if (typeof onEvent !== 'function') throw new RelayError('invalid-option', 'createParser takes { onEvent }')

  let committedId = lastEventId
  // The event being read: `undefined` data is the standard's empty data buffer.
  let data: string | undefined
  let type = ''
  let id: string | undefined
  let size = 0
  // The raw text of the unfinished block, and of its unfinished line. Both are only ever appended to: the
  // engine joins the pieces when they are read, so a line that spans many chunks is copied once.
  let block = ''
  let tail = ''
  let afterCR = false
  let begun = false

  const clear = () => {
    data = id = undefined
    type = block = ''
    size = 0
  }

  const checkSize = (length: number) => {
    if (length > maxEventSize)
      throw new RelayError('event-too-large', `An event passes maxEventSize (${maxEventSize} characters)`)
  }

  const addData = (value: string) => {
    data = data === undefined ? value : `${data}\n${value}`
  }

  /** One line of `text`, not empty, from `start` to `end`. */
  const readLine = (text: string, start: number, end: number) => {
    // A comment is no part of an event: heartbeats may go on for ever inside a block.
    if (text.charCodeAt(start) === COLON) checkSize(end - start)
    else {
      size += end - start
      checkSize(size)
      // The common line first, without a copy of the line.
      if (text.startsWith('data:', start)) {
        addData(text.slice(text.charCodeAt(start + 5) === SPACE ? start + 6 : start + 5, end))
        return
      }
    }
    const line = text.slice(start, end)
    const colon = line.indexOf(':')
    const field = colon < 0 ? line : line.slice(0, colon)
    const value = colon < 0 ? '' : line.slice(line.charCodeAt(colon + 1) === SPACE ? colon + 2 : colon + 1)
    if (field === '') onComment?.(value)
    else if (field === 'event') type = value
    else if (field === 'data') addData(value)
    else if (field === 'id') {
      if (!value.includes('\0')) id = value
    } else if (field === 'retry' && /^\d+$/.test(value)) onRetry?.(+value)
  }

  /** A blank line: commits the id, with data or without, and hands the event over if there is data. */
  const dispatch = () => {
    const event = { data } as ParsedEvent
    if (type !== '') event.event = type
    if (id !== undefined) committedId = event.id = id
    clear()
    if (event.data !== undefined) onEvent(event)
  }

  const end = () => {
    const pending = block
    clear()
    tail = ''
    afterCR = begun = false
    return pending
  }

  return {
    feed(text) {
      const { length } = text
      if (length === 0) return
      let start = !begun && text.charCodeAt(0) === BOM ? 1 : 0
      begun = true
      if (afterCR && start < length) {
        afterCR = false
        if (text.charCodeAt(start) === LF) start++
      }
      let blockStart = start
      // Each kind of line end is looked for once: a search per line for one that does not occur would go to the end.
      let cr = text.indexOf('\r', start)
      let lf = text.indexOf('\n', start)
      try {
        for (;;) {
          let lineEnd = lf
          let next = lf + 1
          if (cr >= 0 && (cr < lf || lf < 0)) {
            lineEnd = cr
            next = cr + 1
            if (next === length) afterCR = true
            else if (next === lf) next++
            cr = text.indexOf('\r', next)
          }
          if (lineEnd < 0) break
          if (tail !== '') {
            const line = tail + text.slice(start, lineEnd)
            tail = ''
            readLine(line, 0, line.length)
          } else if (lineEnd === start) {
            blockStart = next
            dispatch()
          } else readLine(text, start, lineEnd)
          start = next
          if (lf >= 0 && lf < start) lf = text.indexOf('\n', start)
        }
        if (start < length) {
          tail += text.slice(start)
          const whole = size + tail.length
          if (whole > maxEventSize) checkSize(tail.charCodeAt(0) === COLON ? tail.length : whole)
        }
      } finally {
        if (blockStart < length) block += text.slice(blockStart)
      }
    },
    end,
    reset() {
      end()
      committedId = ''
    },
    get lastEventId() {
      return committedId
    },
  }
}
