import { RelayError } from './errors.js'
import { type EventStream, type ParseSSEOptions, parseSSE, type SSEInput } from './parse-sse.js'
import type { ParsedEvent } from './types.js'

export { type ErrorCode, isRelayError, RelayError, type RelayErrorOptions } from './errors.js'
export { createParser, type Parser, type ParserOptions } from './parse.js'
export {
  type EventStream,
  type ParseSSEOptions,
  parseSSE,
  type SSEInput,
} from './parse-sse.js'
export { DONE, type ParsedEvent, type ReadableStreamLike, type ResponseLike } from './types.js'

/** The texts of one stream, in order, to be read once. */
export interface TextStream extends AsyncIterableIterator<string, undefined, undefined> {
  /** The last event id when the latest text was handed over. */
  readonly lastEventId: string
  return(): Promise<IteratorReturnResult<undefined>>
  throw(error?: unknown): Promise<IteratorReturnResult<undefined>>
}

/**
 * The answer's text, piece by piece, from the `text()` protocol: the `text` of each unnamed event. Named
 * events and JSON without a `text` are passed over. Takes what {@link parseSSE} takes, or its result.
 *
 * @throws {RelayError} what {@link parseSSE} throws, and `invalid-json` for an unnamed event that is not JSON.
 * @example
 * ```ts
 * for await (const text of readText(await fetch('/api/chat'))) output.textContent += text
 * ```
 */
export function readText(input: SSEInput | EventStream, options?: ParseSSEOptions): TextStream {
  const events = isEventStream(input) ? input : parseSSE(input, options)
  const next = async (): Promise<IteratorResult<string, undefined>> => {
    for (;;) {
      const { done, value } = await events.next()
      if (done) return { done, value }
      try {
        const text = value.event === undefined ? textOf(value) : undefined
        if (text) return { done: false, value: text }
      } catch (error) {
        events.return()
        throw error
      }
    }
  }
  return {
    next,
    return: () => events.return(),
    throw: (error) => events.throw(error),
    get lastEventId() {
      return events.lastEventId
    },
    [Symbol.asyncIterator]() {
      return this
    },
  }
}

function textOf({ data }: ParsedEvent): string | undefined {
  let text: unknown
  try {
    text = JSON.parse(data)?.text
  } catch (cause) {
    throw new RelayError('invalid-json', `An event is not JSON, as the text() protocol's are: ${data.slice(0, 80)}`, {
      cause,
      body: data,
    })
  }
  return typeof text === 'string' ? text : undefined
}

function isEventStream(input: SSEInput | EventStream): input is EventStream {
  return typeof input === 'object' && input !== null && 'lastEventId' in input
}
