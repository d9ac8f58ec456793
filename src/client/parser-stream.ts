/** How is the parser used in a `pipeThrough`? */

import type { ParsedEvent } from '../types.js'
import { createParser, type Parser } from './parser.js'

/** Options of {@link SSEParserStream}. */
export interface SSEParserStreamOptions {
  /** The last event id to begin with. @default '' */
  lastEventId?: string
  /** The most characters (UTF-16 units) one event may have; past it the stream fails with `event-too-large`. @default Infinity */
  maxEventSize?: number
  /** What happens to a last event without a blank line after it. @default 'discard' */
  eof?: 'discard' | 'dispatch'
  /** Called for each comment. */
  onComment?(comment: string): void
  /** Called for each valid `retry` line, with its milliseconds. */
  onRetry?(retry: number): void
}

/**
 * {@link createParser} as a transform of bytes or strings to events, for `pipeThrough`. It knows no sentinel and no
 * `event: error`: every event is passed on, and the stream ends with the body.
 *
 * @throws {RelayError} `event-too-large`, as the error of both of its streams.
 *
 * @example
 * ```ts
 * const events = response.body!.pipeThrough(new SSEParserStream())
 * ```
 */
export class SSEParserStream {
  /** The events. */
  readonly readable: ReadableStream<ParsedEvent>
  /** Where the bytes or strings go in. */
  readonly writable: WritableStream<Uint8Array | string>
  readonly #parser: Parser

  // Holds a transform and does not extend one: a bundler cannot drop an unused class whose `extends` may throw.
  constructor({ eof, ...options }: SSEParserStreamOptions = {}) {
    let events: TransformStreamDefaultController<ParsedEvent>
    let decoder: TextDecoder | undefined
    const parser = createParser({ ...options, onEvent: (event) => events.enqueue(event) })
    const { readable, writable } = new TransformStream<Uint8Array | string, ParsedEvent>({
      start(controller) {
        events = controller
      },
      transform(chunk) {
        if (typeof chunk === 'string') parser.feed(chunk)
        else {
          decoder ??= new TextDecoder('utf-8', { ignoreBOM: true })
          parser.feed(decoder.decode(chunk, { stream: true }))
        }
      },
      flush() {
        if (decoder) parser.feed(decoder.decode())
        if (eof === 'dispatch') parser.feed('\n\n')
        parser.end()
      },
    })
    this.readable = readable
    this.writable = writable
    this.#parser = parser
  }

  /** What `MessageEvent.lastEventId` would be now. */
  get lastEventId(): string {
    return this.#parser.lastEventId
  }
}
