/** Which events does the text of an event stream hold? The standard's parser, without a network. */

import { anything, type Rules, unknownIn } from '../check.js'
import { RelayError } from '../errors.js'
import type { ParsedEvent } from '../types.js'

/** Options of {@link createParser}: its callbacks, and its starting point. */
export interface ParserOptions {
  /** Called for each event, synchronously, in order. */
  onEvent(event: ParsedEvent): void
  /** Called for each comment, with its text without one leading space. */
  onComment?: ((comment: string) => void) | undefined
  /** Called when a valid `retry` line is read, with its milliseconds. */
  onRetry?: ((retry: number) => void) | undefined
  /** The last event id to begin with. @default '' */
  lastEventId?: string | undefined
  /**
   * The most characters (UTF-16 units) that the lines of one event may have, however they are split into chunks. A
   * comment counts until its line is over.
   * @default Infinity
   */
  maxEventSize?: number | undefined
}

/** What {@link createParser} returns. */
export interface Parser {
  /**
   * What `MessageEvent.lastEventId` would be now: the last id whose block ended with a blank line. It is already
   * updated when `onEvent` is called.
   */
  readonly lastEventId: string
  /**
   * Reads the next piece of the stream.
   *
   * @throws {RelayError} `event-too-large` when an event passes `maxEventSize`, and whatever a callback throws.
   */
  feed(text: string): void
  /**
   * Ends the stream: drops the unfinished block and returns its text, with LF as line ends and only the first of its
   * comments. Keeps `lastEventId`.
   */
  end(): string
  /** Ends the stream and forgets `lastEventId` too. */
  reset(): void
}

const OPTIONS: Rules<keyof ParserOptions> = {
  onEvent: anything,
  onComment: anything,
  onRetry: anything,
  lastEventId: anything,
  maxEventSize: anything,
}

const LF = 10
const CR = 13
const SPACE = 32
const COLON = 58
const BOM = 0xfeff
/** The most characters of a block that are kept if it has comments: more would not help to see what was cut off. */
const MAX_COMMENTS = 65_536

/**
 * A parser of event streams as the HTML standard defines them: text in, events out, synchronous, in linear time however
 * the text is cut. `onEvent` is called at the blank line that ends an event; without a blank line there is no event.
 *
 * @throws {RelayError} `invalid-option` if `onEvent` is missing, and for an unknown option.
 * @see https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
 * @example
 * ```ts
 * const parser = createParser({ onEvent: (event) => console.log(event.data) })
 * parser.feed('data: hel')
 * parser.feed('lo\n\n')
 * ```
 */
export function createParser(options: ParserOptions): Parser {
  const mistake =
    typeof options?.onEvent === 'function'
      ? unknownIn('createParser', options, OPTIONS)
      : 'createParser takes { onEvent }'
  if (mistake) throw new RelayError('invalid-option', mistake)
  return makeParser(options)
}

/** Like `createParser`, for options that were checked. */
export function makeParser(options: ParserOptions): Parser {
  const { onEvent, onComment, onRetry, lastEventId = '', maxEventSize = Infinity } = options
  /**
   * The data buffer: `undefined`, not `''`, while it is empty, so that an event with one empty `data` line is not lost.
   */
  let data: string | undefined
  /**
   * The event type buffer. Cleared at the blank line, so that a block without data leaves no type to the next event.
   */
  let type: string | undefined
  /** The id of this block. It counts at the blank line, so that a block that is cut off does not count as received. */
  let id: string | undefined
  /** The characters of the fields of this block, so that `maxEventSize` stops an event of many lines in time. */
  let size = 0
  /** The characters of this block's comments: how many are kept is limited, too. */
  let comments = 0
  /**
   * The unfinished block, which `end()` returns, so that a reader knows what was cut off. It is only appended to: V8
   * joins the pieces when the text is read, so a block of many chunks is copied once, not at each chunk.
   */
  let block = ''
  /** The unfinished line, so that a chunk may end inside it. Only appended to, for the same reason. */
  let tail = ''
  /**
   * The character to skip if the next chunk begins with it: the byte order mark of the stream, or the LF of a CRLF that
   * was cut between two chunks, so that it is not read as one more blank line.
   */
  let skipped = BOM

  /** Whether the unfinished line is a comment. Reading `tail` for this would make V8 join its pieces at every chunk. */
  let isComment = false

  const clear = () => {
    data = type = id = undefined
    block = ''
    size = comments = 0
  }

  const checkSize = (length: number) => {
    if (length > maxEventSize)
      throw new RelayError('event-too-large', `An event passes maxEventSize (${maxEventSize} characters)`)
  }

  const setId = (value: string) => {
    if (value.indexOf('\0') < 0) id = value
  }

  /** Reads a line that is not blank: a field or a comment. */
  const readLine = (line: string) => {
    const colon = line.indexOf(':')
    const field = colon < 0 ? line : line.slice(0, colon)
    const value = colon < 0 ? '' : readValue(line, colon)
    // A comment counts only while its line goes on: heartbeats may come inside a block for ever.
    if (field) size += line.length
    else {
      checkSize(size + line.length)
      comments += line.length
      if (size + comments <= Math.min(maxEventSize, MAX_COMMENTS)) block += `${line}\n`
      onComment?.(value)
    }
    if (field === 'data') data = data === undefined ? value : `${data}\n${value}`
    else if (field === 'event') type = value
    else if (field === 'id') setId(value)
    else if (field === 'retry' && /^\d+$/.test(value)) onRetry?.(+value)
  }

  /** The standard's dispatch, at a blank line: sets the last event id, and calls `onEvent` if there is data. */
  const dispatch = (data: string | undefined) => {
    checkSize(size)
    let event: ParsedEvent
    // Each shape is made at once: adding a property later takes a tenth of the time (bench: createParser, event ids).
    if (id === undefined) event = (type ? { data, event: type } : { data }) as ParsedEvent
    else {
      event = (type ? { data, event: type, id } : { data, id }) as ParsedEvent
      parser.lastEventId = id
    }
    clear()
    if (data !== undefined) onEvent(event)
  }

  const parser = {
    lastEventId,
    feed(text: string) {
      if (!text) return
      if (typeof text !== 'string') throw new RelayError('invalid-option', 'feed takes text, no bytes')
      let start = text.charCodeAt(0) === skipped ? 1 : 0
      skipped = -1
      // From here on each line ends with LF, with or without a CR before it: rewriting CRLF as LF took longer than all
      // the rest (bench: createParser, CRLF). A CR alone is rare.
      let cr = text.indexOf('\r')
      const hasCR = cr >= 0
      while (cr >= 0 && text.charCodeAt(cr + 1) === LF) cr = text.indexOf('\r', cr + 2)
      if (cr >= 0) {
        if (text.endsWith('\r')) skipped = LF
        text = text.replace(/\r\n?/g, '\n')
      }
      const { length } = text
      let hasNul: boolean | undefined
      let blockStart = start
      let lf = text.indexOf('\n', start)
      try {
        if (tail && lf >= 0) {
          // `readLine` calls methods of the whole line, so V8 joins its pieces once.
          const line = tail + text.slice(start, hasCR ? endOf(text, lf) : lf)
          tail = ''
          if (isComment) blockStart = lf + 1
          isComment = false
          readLine(line)
          start = lf + 1
          lf = text.indexOf('\n', start)
        }
        while (lf >= 0) {
          const end = hasCR ? endOf(text, lf) : lf
          // The length of the line break that follows directly, which makes the next line a blank one. Looking at one
          // character instead of searching for the next LF saves a sixth of the time (bench: createParser, one event).
          const blank = text.charCodeAt(lf + 1) === LF ? 1 : hasCR && text.charCodeAt(lf + 1) === CR ? 2 : 0
          if (
            data === undefined &&
            blank &&
            text.charCodeAt(start) === 100 &&
            text.charCodeAt(start + 1) === 97 &&
            text.charCodeAt(start + 2) === 116 &&
            text.charCodeAt(start + 3) === 97 &&
            text.charCodeAt(start + 4) === COLON
          ) {
            // Most events have one data line, and it is the last. Reading it here, without `readLine`, saves a fifth of
            // the time (bench: createParser, one event).
            const value = readValue(text, start + 4, end)
            const own = end - start
            blockStart = start = lf + 1 + blank
            if (size) {
              size += own
              dispatch(value)
            } else {
              checkSize(own)
              block = ''
              comments = 0
              onEvent({ data: value })
            }
          } else {
            if (
              text.charCodeAt(start) === 101 &&
              text.charCodeAt(start + 1) === 118 &&
              text.charCodeAt(start + 2) === 101 &&
              text.charCodeAt(start + 3) === 110 &&
              text.charCodeAt(start + 4) === 116 &&
              text.charCodeAt(start + 5) === COLON
            ) {
              size += end - start
              type = readValue(text, start + 5, end)
            } else if (
              text.charCodeAt(start) === 105 &&
              text.charCodeAt(start + 1) === 100 &&
              text.charCodeAt(start + 2) === COLON
            ) {
              size += end - start
              // Searched once per chunk: searching in each id was a tenth of the time (bench: createParser, event ids).
              hasNul ??= text.indexOf('\0') >= 0
              const value = readValue(text, start + 2, end)
              if (hasNul) setId(value)
              else id = value
            } else if (end > start) {
              if (text.charCodeAt(start) === COLON) {
                block += text.slice(blockStart, start)
                blockStart = lf + 1
              }
              readLine(text.slice(start, end))
            }
            const isOver = end === start || blank > 0
            start = end === start ? lf + 1 : lf + 1 + blank
            if (isOver) {
              blockStart = start
              dispatch(data)
            }
          }
          lf = start < length ? text.indexOf('\n', start) : -1
        }
        if (start < length) {
          if (!tail && text.charCodeAt(start) === COLON) {
            isComment = true
            block += text.slice(blockStart, start)
          }
          if (isComment) blockStart = length
          tail += text.slice(start)
        }
        checkSize(size + tail.length)
      } finally {
        if (blockStart < length) block += text.slice(blockStart)
      }
    },
    end() {
      const pending = (isComment ? block + tail : block).replaceAll('\r\n', '\n')
      clear()
      tail = ''
      isComment = false
      skipped = BOM
      return pending
    },
    reset() {
      parser.end()
      parser.lastEventId = ''
    },
  }
  return parser
}

/** The end of the line whose LF is at `lf`. */
function endOf(text: string, lf: number): number {
  return text.charCodeAt(lf - 1) === CR ? lf - 1 : lf
}

/** The value of a field: the text after the colon, without one leading space. */
function readValue(text: string, colon: number, end?: number): string {
  return text.slice(text.charCodeAt(colon + 1) === SPACE ? colon + 2 : colon + 1, end)
}
