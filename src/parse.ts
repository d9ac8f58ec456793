import { RelayError } from './errors.js'
import type { ParsedEvent } from './types.js'

/** What {@link createParser} calls, and what it starts from. */
export interface ParserOptions {
  /** Called for each event, synchronously, in order. */
  onEvent(event: ParsedEvent): void
  /** Called for each comment, with its text less one leading space. */
  onComment?(comment: string): void
  /** Called when a valid `retry` line is read, with its milliseconds. */
  onRetry?(retry: number): void
  /** The last event id to begin with. @default '' */
  lastEventId?: string
  /**
   * The most characters (UTF-16 units) the lines of one event may have, in whatever chunks they come.
   * @default Infinity
   */
  maxEventSize?: number
}

const LF = 10
const SPACE = 32
const COLON = 58
const BOM = 0xfeff

/**
 * The event stream interpretation of the HTML standard, over text: synchronous, in linear time, for any
 * chunking. An event is handed over at the blank line that ends it; what has none is never an event.
 *
 * @see https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
 */
export class Parser {
  /**
   * What `MessageEvent.lastEventId` would be now: the last id that a blank line committed. It is up to date
   * when an event is handed over.
   */
  lastEventId: string

  readonly #options: ParserOptions
  readonly #max: number
  // The event being read: `undefined` data is the standard's empty data buffer.
  #data: string | undefined
  #type = ''
  #id: string | undefined
  #size = 0
  // The raw text of the unfinished block, and of its unfinished line. Both are only ever appended to: the
  // engine joins the pieces when they are read, so a line that spans many chunks is copied once.
  #block = ''
  #tail = ''
  #afterCR = false
  #started = false

  constructor(options: ParserOptions) {
    this.#options = options
    this.#max = options.maxEventSize ?? Number.POSITIVE_INFINITY
    this.lastEventId = options.lastEventId ?? ''
  }

  /**
   * Reads the next piece of the stream.
   *
   * @throws {RelayError} `event-too-large` when an event passes `maxEventSize`, and whatever a callback throws.
   */
  feed(chunk: string): void {
    const length = chunk.length
    if (length === 0) return
    let start = 0
    if (!this.#started) {
      this.#started = true
      if (chunk.charCodeAt(0) === BOM) start = 1
    }
    if (this.#afterCR && start < length) {
      this.#afterCR = false
      if (chunk.charCodeAt(start) === LF) start++
    }
    let block = start
    let cr = chunk.indexOf('\r', start)
    for (;;) {
      let end = chunk.indexOf('\n', start)
      let next = end + 1
      if (cr !== -1 && (cr < end || end === -1)) {
        end = cr
        next = cr + 1
        if (next === length) this.#afterCR = true
        else if (chunk.charCodeAt(next) === LF) next++
        cr = chunk.indexOf('\r', next)
      }
      if (end === -1) break
      if (this.#tail !== '') {
        const line = this.#tail + chunk.slice(start, end)
        this.#tail = ''
        this.#line(line, 0, line.length)
      } else if (end === start) {
        block = next
        this.#dispatch()
      } else {
        this.#line(chunk, start, end)
      }
      start = next
    }
    if (block < length) this.#block += chunk.slice(block)
    if (start < length) {
      this.#tail += chunk.slice(start)
      // A comment is no part of an event: heartbeats may go on for ever inside a block.
      const size = this.#size + this.#tail.length
      if (size > this.#max && (this.#tail.charCodeAt(0) !== COLON || this.#tail.length > this.#max)) this.#tooLarge()
    }
  }

  /** Ends the stream: drops the unfinished block and returns its text. `lastEventId` stays. */
  end(): string {
    const pending = this.#block
    this.#clear()
    this.#tail = ''
    this.#afterCR = this.#started = false
    return pending
  }

  /** Ends the stream and forgets `lastEventId` too. */
  reset(): void {
    this.end()
    this.lastEventId = ''
  }

  /** One line of `text`, not empty, from `start` to `end`. */
  #line(text: string, start: number, end: number): void {
    const first = text.charCodeAt(start)
    const length = end - start
    if (first === COLON) {
      if (length > this.#max) this.#tooLarge()
      this.#options.onComment?.(text.slice(text.charCodeAt(start + 1) === SPACE ? start + 2 : start + 1, end))
      return
    }
    this.#size += length
    if (this.#size > this.#max) this.#tooLarge()
    // The common line by its first characters: `data:` and no other field begins so.
    if (first === 100 && text.startsWith('data:', start)) {
      const value = text.slice(text.charCodeAt(start + 5) === SPACE ? start + 6 : start + 5, end)
      this.#data = this.#data === undefined ? value : `${this.#data}\n${value}`
      return
    }
    const line = text.slice(start, end)
    const colon = line.indexOf(':')
    const field = colon === -1 ? line : line.slice(0, colon)
    const value = colon === -1 ? '' : line.slice(line.charCodeAt(colon + 1) === SPACE ? colon + 2 : colon + 1)
    if (field === 'event') this.#type = value
    else if (field === 'data') this.#data = this.#data === undefined ? value : `${this.#data}\n${value}`
    else if (field === 'id') {
      if (!value.includes('\0')) this.#id = value
    } else if (field === 'retry' && /^[0-9]+$/.test(value)) this.#options.onRetry?.(Number(value))
  }

  /** A blank line: commits the id, with data or without, and hands the event over if there is data. */
  #dispatch(): void {
    const data = this.#data
    const type = this.#type
    const id = this.#id
    this.#clear()
    if (id !== undefined) this.lastEventId = id
    if (data === undefined) return
    const event: ParsedEvent = { data }
    if (type !== '') event.event = type
    if (id !== undefined) event.id = id
    this.#options.onEvent(event)
  }

  #clear(): void {
    this.#data = this.#id = undefined
    this.#type = this.#block = ''
    this.#size = 0
  }

  #tooLarge(): never {
    throw new RelayError(
      'event-too-large',
      `An event is larger than maxEventSize (${this.#max} characters): raise it if such events are expected`,
    )
  }
}

/**
 * A parser of event streams that come as text: feed it pieces, it calls `onEvent`.
 *
 * @throws {RelayError} `invalid-option` when `onEvent` is missing.
 * @example
 * ```ts
 * const parser = createParser({ onEvent: (event) => console.log(event.data) })
 * parser.feed('data: hel')
 * parser.feed('lo\n\n')
 * ```
 */
export function createParser(options: ParserOptions): Parser {
  if (typeof options?.onEvent !== 'function') {
    throw new RelayError('invalid-option', 'createParser takes { onEvent }: give an object with that function')
  }
  return new Parser(options)
}
