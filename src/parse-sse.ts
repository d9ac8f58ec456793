import { createChannel } from './channel.js'
import { isRelayError, RelayError, type RelayErrorOptions } from './errors.js'
import { createParser } from './parse.js'
import { DONE, type EventStream, type ParsedEvent, type ReadableStreamLike, type ResponseLike } from './types.js'

/** What {@link parseSSE} reads: a `fetch` answer, a stream or iterable of bytes or strings, or a string. */
export type SSEInput =
  | ResponseLike
  | ReadableStreamLike<Uint8Array | string>
  | AsyncIterable<Uint8Array | string>
  | string

/** Options of {@link parseSSE}. */
export interface ParseSSEOptions {
  /**
   * What completes the stream. A string: an event with that data, which is not handed over. A predicate:
   * the event it is true for, which is. `false`: the plain standard, every event, ends with the body.
   * @default '[DONE]'
   */
  sentinel?: string | false | ((event: ParsedEvent) => boolean)
  /** Ends reading at once, in every state, and cancels the body. */
  signal?: AbortSignal
  /** The longest wait for the next byte, heartbeats included, in milliseconds. @default Infinity */
  idleTimeoutMs?: number
  /** The longest wait for the next event, heartbeats not counted, in milliseconds. @default Infinity */
  eventTimeoutMs?: number
  /** The most characters one event may have, whatever its chunks. @default Infinity */
  maxEventSize?: number
  /**
   * What becomes of a last event that no blank line ended: the standard discards it, because
   * `data: 1` may be the beginning of `data: 12`.
   * @default 'discard'
   */
  eof?: 'discard' | 'dispatch'
  /** The last event id to begin with. @default '' */
  lastEventId?: string
  /** Called for each comment: heartbeats, mostly. */
  onComment?(comment: string): void
  /** Called for each valid `retry` line, with its milliseconds. */
  onRetry?(retry: number): void
}

interface Reader {
  read(): Promise<{ done?: boolean | undefined; value?: unknown }>
  /** Lets go of the body; swallows what it says to that. */
  cancel(): void
}

// Past this an error body says nothing more.
const MAX_BODY = 65_536
// Decoding in pieces keeps the mostly ASCII ones one byte a character, which is twice as fast on long
// chunks of mixed scripts.
const SLICE = 4096

/**
 * The events of `input`, pulled: nothing is read that was not asked for.
 *
 * Ends at the sentinel and cancels the body. Leaving the loop, `return()`, `throw()` and an abort cancel it too,
 * at once, also while a read is pending.
 *
 * @throws {RelayError} `invalid-source` or `invalid-option`, at once. While reading: `truncated` when the body ends
 * without the sentinel; the server's own code for an `event: error` (not with `sentinel: false`);
 * `http-status` (or the server's own code) for a status that is not 2xx, `content-type` for a body that is
 * no event stream, both with the `body`; `response-used`, `idle-timeout`, `event-timeout`, `event-too-large`,
 * `network`. Each says what was `received`, `lastEventId` and the `pending` text. An abort throws the platform's
 * `AbortError`.
 * @see https://html.spec.whatwg.org/multipage/server-sent-events.html
 */
export function parseSSE(input: SSEInput, options: ParseSSEOptions = {}): EventStream {
  const { sentinel = DONE, signal, idleTimeoutMs, eventTimeoutMs, maxEventSize, eof, lastEventId = '' } = options
  const { onComment, onRetry } = options
  for (const [name, value] of Object.entries({ idleTimeoutMs, eventTimeoutMs, maxEventSize })) {
    if (value !== undefined && !(value > 0))
      throw new RelayError('invalid-option', `${name} cannot be ${value}: give a positive number`)
  }
  const response = isResponse(input) ? input : undefined
  const body = response ? (response.body ?? textOf(response)) : (input as Exclude<SSEInput, ResponseLike>)
  if (!isReadable(body)) {
    throw new RelayError(
      'invalid-source',
      `parseSSE cannot read ${String(input)}: give an awaited Response, a stream, an async iterable or a string`,
    )
  }

  let reader: Reader | undefined
  let decoder: TextDecoder | undefined
  /** An answer that is no event stream: what came of its body. */
  let refusal: string | undefined
  let idleTimer: ReturnType<typeof setTimeout> | undefined
  let eventTimer: ReturnType<typeof setTimeout> | undefined

  const parser = createParser({
    onEvent,
    onComment: onComment && ((comment) => channel.ended || onComment(comment)),
    onRetry: onRetry && ((retry) => channel.ended || onRetry(retry)),
    lastEventId,
    maxEventSize,
  })
  const release = () => {
    clearTimeout(idleTimer)
    clearTimeout(eventTimer)
    try {
      reader ??= openReader(body)
      reader.cancel()
    } catch {
      // Locked by someone else, whose it is.
    }
  }
  const channel = createChannel(() => parser.lastEventId, signal, pull, release)
  return channel.stream

  function pull() {
    try {
      if (!reader) {
        if (response?.bodyUsed || (body as ReadableStream).locked) {
          throw new RelayError('response-used', 'The body is read by someone else: read it once, or clone the Response')
        }
        reader = openReader(body)
        if (response && !isEventStream(response)) refusal = ''
      }
      eventTimer ??= clock('event', eventTimeoutMs)
      idleTimer = clock('idle', idleTimeoutMs)
      reader.read().then(onChunk, onFailure)
    } catch (error) {
      onFailure(error)
    }
  }

  function onChunk({ done, value }: { done?: boolean | undefined; value?: unknown }) {
    if (channel.ended) return
    clearTimeout(idleTimer)
    try {
      if (refusal !== undefined) refuse(done, value)
      else if (!done) feed(value)
      else {
        if (decoder) parser.feed(decoder.decode())
        // After a lone CR the first of the two is taken for its LF, and the second still is a blank line.
        if (eof === 'dispatch') parser.feed('\n\n')
        if (sentinel === false) channel.end()
        else fail('truncated', 'The stream ended without its sentinel: the answer is not complete', { retryable: true })
      }
    } catch (error) {
      if (isRelayError(error)) fail(error.code, error.message)
      else channel.end(error)
    }
    channel.settle()
  }

  function onFailure(cause: unknown) {
    const message = (cause as Error)?.message ?? cause
    if (isRelayError(cause) || (cause as Error)?.name === 'AbortError') channel.end(cause)
    // What came of a refusing answer's body is enough to say what it is.
    else if (refusal !== undefined) refuse(true, undefined)
    else fail('network', `The connection failed before the answer was complete: ${message}`, { cause, retryable: true })
    channel.settle()
  }

  function decode(chunk: unknown): string {
    if (typeof chunk === 'string') return chunk
    // `ignoreBOM` leaves the mark to the parser, which takes off one; a decoder before it would make that two.
    decoder ??= new TextDecoder('utf-8', { ignoreBOM: true })
    try {
      return decoder.decode(chunk as Uint8Array, { stream: true })
    } catch {
      throw new RelayError('invalid-source', `The stream holds a ${typeof chunk}: parseSSE reads bytes and strings`)
    }
  }

  function feed(chunk: unknown) {
    if (!(chunk instanceof Uint8Array) || chunk.length <= SLICE) parser.feed(decode(chunk))
    else {
      for (let start = 0; start < chunk.length && !channel.ended; start += SLICE) {
        parser.feed(decode(chunk.subarray(start, start + SLICE)))
      }
    }
  }

  function onEvent(event: ParsedEvent) {
    if (channel.ended) return
    clearTimeout(eventTimer)
    eventTimer = undefined
    if (sentinel !== false && event.event === 'error') {
      failAsTold('upstream-failure', 'The server reported a failure', event.data)
    } else if (event.data === sentinel) channel.end()
    else {
      channel.push(event)
      if (typeof sentinel === 'function' && sentinel(event)) channel.end()
    }
  }

  /** An answer that is no event stream is an error, and its body says which. */
  function refuse(done: boolean | undefined, chunk: unknown) {
    if (!done) refusal += decode(chunk)
    const text = (refusal as string).slice(0, MAX_BODY)
    if (!done && text.length < MAX_BODY) return
    const { ok, status } = response as ResponseLike
    if (ok) fail('content-type', `The answer is no event stream but "${contentType()}"`, { status, body: text })
    else {
      const retryable = status >= 500 || status === 408 || status === 425 || status === 429
      failAsTold('http-status', `The server answered with status ${status}`, text, { status, retryable })
    }
  }

  function contentType(): string {
    return response?.headers.get('content-type') ?? ''
  }

  /** With the error the server described in JSON, `{ error: { code, message, retryable } }`, or else as given. */
  function failAsTold(code: string, message: string, text: string, more?: RelayErrorOptions) {
    let told: { code?: unknown; type?: unknown; message?: unknown; retryable?: unknown } = {}
    try {
      told = JSON.parse(text).error ?? told
    } catch {
      // Not JSON: the text itself is on the error.
    }
    const name = told.code ?? told.type
    fail(typeof name === 'string' ? name : code, typeof told.message === 'string' ? told.message : message, {
      ...more,
      ...(typeof told.retryable === 'boolean' && { retryable: told.retryable }),
      body: text.slice(0, MAX_BODY),
    })
  }

  /** Ends the stream with an error that says how far it came. */
  function fail(code: string, message: string, more?: RelayErrorOptions) {
    const { received } = channel
    const { lastEventId } = parser
    channel.end(new RelayError(code, message, { ...more, received, lastEventId, pending: parser.end() }))
  }

  function clock(name: 'idle' | 'event', ms = Number.POSITIVE_INFINITY) {
    if (ms === Number.POSITIVE_INFINITY) return
    const expire = () => {
      if (refusal !== undefined) refuse(true, undefined)
      else fail(`${name}-timeout`, `No ${name === 'idle' ? 'byte' : name} came for ${ms} ms`, { retryable: true })
      channel.settle()
    }
    return setTimeout(expire, Math.min(ms, 0x7fffffff))
  }
}

/** The body of a `Response` without a stream: React Native's, or an empty one. */
async function* textOf(response: ResponseLike): AsyncGenerator<string> {
  yield (await response.text?.()) ?? ''
}

async function* once(text: string): AsyncGenerator<string> {
  yield text
}

function openReader(input: ReadableStreamLike | AsyncIterable<unknown> | string): Reader {
  // A reader before an iterator: not every browser's stream has one.
  if (isStream(input)) {
    const reader = input.getReader()
    return {
      read: () => reader.read(),
      cancel() {
        reader.cancel().catch(ignore)
        reader.releaseLock()
      },
    }
  }
  const iterator = (typeof input === 'string' ? once(input) : input)[Symbol.asyncIterator]()
  return {
    read: async () => iterator.next(),
    cancel() {
      iterator.return?.()?.then?.(ignore, ignore)
    },
  }
}

function ignore(): void {}

/** Whether an answer is what was asked for. */
export function isEventStream({ ok, headers }: ResponseLike): boolean {
  return ok && /^text\/event-stream *(;|$)/i.test(headers.get('content-type') ?? '')
}

function isResponse(input: unknown): input is ResponseLike {
  return typeof (input as ResponseLike)?.headers?.get === 'function'
}

function isStream(input: unknown): input is ReadableStreamLike {
  return typeof (input as ReadableStreamLike)?.getReader === 'function'
}

function isReadable(input: unknown): boolean {
  return typeof input === 'string' || isStream(input) || !!(input as AsyncIterable<unknown>)?.[Symbol.asyncIterator]
}
