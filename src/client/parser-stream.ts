import type { ParsedEvent } from '../types.js'
import { createParser, type Parser } from './parser.js'

/** Options of {@link SSEParserStream}. */
export interface SSEParserStreamOptions {
  /** The last event id to begin with. @default '' */
  lastEventId?: string
  /** The most characters one event may have, whatever its chunks. @default Infinity */
  maxEventSize?: number
  /** What becomes of a last event that no blank line ended. @default 'discard' */
  eof?: 'discard' | 'dispatch'
  /** Called for each comment. */
  onComment?(comment: string): void
  /** Called for each valid `retry` line, with its milliseconds. */
  onRetry?(retry: number): void
}

/**
 * The plain parser as a transform of bytes or strings to events, for `pipeThrough`. It knows no sentinel and no
 * errors: every event is handed on, and the stream ends with the body.
 *
 * @example
 * ```ts
 * const events = response.body!.pipeThrough(new SSEParserStream())
 * ```
 */
export class SSEParserStream {
  /** The events. */
  readonly readable: ReadableStream<ParsedEvent>
  /** Takes the bytes or strings. */
  readonly writable: WritableStream<Uint8Array | string>
  readonly #parser: Parser

  // A transform inside, and not a subclass of one: a class cannot be left out of a bundle if what it extends may throw.
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
