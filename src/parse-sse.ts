import { isRelayError, RelayError, type RelayErrorOptions } from './errors.js'
import { Parser } from './parse.js'
import { DONE, type ParsedEvent, type ReadableStreamLike, type ResponseLike } from './types.js'

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

/** The events of one stream, in order, to be read once. */
export interface EventStream extends AsyncIterableIterator<ParsedEvent, undefined, undefined> {
  /** The last event id when the latest event was handed over. */
  readonly lastEventId: string
  return(): Promise<IteratorReturnResult<undefined>>
  throw(error?: unknown): Promise<IteratorReturnResult<undefined>>
}

interface Chunk {
  done?: boolean | undefined
  value?: unknown
}

interface Reader {
  read(): Promise<Chunk>
  /** Lets go of the body; swallows what it says to that. */
  cancel(): void
}

/** What follows the events that were read: an error, or a good end. */
type Ending = { error: unknown } | Record<never, never>

type Result = IteratorResult<ParsedEvent, undefined>

// Past this an error body says nothing more.
const MAX_BODY = 65_536
// Decoding in pieces keeps the mostly ASCII ones one byte a character, which is twice as fast on long
// chunks of mixed scripts.
const SLICE = 4096

const EVENT_STREAM = /^text\/event-stream *(;|$)/i

const DONE_RESULT: IteratorReturnResult<undefined> = { done: true, value: undefined }

/**
 * The events of `input`, pulled: nothing is read that was not asked for.
 *
 * Ends at the sentinel and cancels the body. Leaving the loop, `return()`, `throw()` and an abort cancel it too,
 * at once, also while a read is pending.
 *
 * @throws {RelayError} `invalid-source` or `invalid-option`, at once. While reading: `truncated` when the body ends
 * without the sentinel; the server's own code for an `event: error` (not with `sentinel: false`);
 * `http-status` (or the server's own code) for a status that is not 2xx, `content-type` for a body that is
 * no event stream, both with the `body`; `idle-timeout`, `event-timeout`, `event-too-large`, `network`. Each says
 * what was `received`, `lastEventId` and the `pending` text. An abort throws the platform's `AbortError`.
 * @see https://html.spec.whatwg.org/multipage/server-sent-events.html
 */
export function parseSSE(input: SSEInput, options: ParseSSEOptions = {}): EventStream {
  return new EventReader(input, options)
}

class EventReader implements EventStream {
  lastEventId: string
  readonly #input: SSEInput
  readonly #options: ParseSSEOptions
  readonly #parser: Parser
  #decoder: TextDecoder | undefined
  #reader: Reader | undefined
  /** An answer that is no event stream: what came of its body. */
  #refusal: string | undefined
  // Events read and not yet handed over, each with the last event id at its moment.
  #queue: ParsedEvent[] = []
  #ids: string[] = []
  #head = 0
  #received = 0
  #ending: Ending | undefined
  #waiting: { resolve(result: Result): void; reject(error: unknown): void } | undefined
  #latest: Promise<Result> | undefined
  #idleTimer: ReturnType<typeof setTimeout> | undefined
  #eventTimer: ReturnType<typeof setTimeout> | undefined

  constructor(input: SSEInput, options: ParseSSEOptions) {
    for (const name of ['idleTimeoutMs', 'eventTimeoutMs', 'maxEventSize'] as const) {
      const value = options[name]
      if (value !== undefined && !(value > 0)) {
        throw new RelayError('invalid-option', `${name} cannot be ${value}: give a positive number, or leave it out`)
      }
    }
    if (typeof input !== 'string' && !isResponse(input) && !isStream(input) && !isIterable(input)) {
      throw new RelayError(
        'invalid-source',
        `parseSSE cannot read ${input === null ? 'null' : typeof input}: give it an awaited Response, a stream or async iterable of bytes or strings, or a string`,
      )
    }
    this.#input = input
    this.#options = options
    const { lastEventId = '', maxEventSize, onComment, onRetry } = options
    this.lastEventId = lastEventId
    this.#parser = new Parser({
      onEvent: (event) => this.#onEvent(event),
      onComment: onComment && ((comment) => this.#ending ?? onComment(comment)),
      onRetry: onRetry && ((retry) => this.#ending ?? onRetry(retry)),
      lastEventId,
      maxEventSize,
    })
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  next(): Promise<Result> {
    if (this.#waiting) {
      // Someone calls ahead of the answer: in turn.
      const turn = () => this.next()
      this.#latest = (this.#latest as Promise<Result>).then(turn, turn)
      return this.#latest
    }
    if (this.#head < this.#queue.length) return Promise.resolve(this.#take())
    this.lastEventId = this.#parser.lastEventId
    this.#latest = new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject }
    })
    this.#start()
    this.#settle()
    return this.#latest
  }

  return(): Promise<IteratorReturnResult<undefined>> {
    this.#finish({})
    return Promise.resolve(DONE_RESULT)
  }

  throw(error?: unknown): Promise<IteratorReturnResult<undefined>> {
    this.#finish({})
    return Promise.reject(error)
  }

  /** Before the wait for an event: at the first one the signal and the answer's head, and the clock of events. */
  #start(): void {
    if (this.#ending) return
    const { signal, eventTimeoutMs } = this.#options
    if (!this.#reader) {
      signal?.addEventListener('abort', this.#onAbort)
      try {
        if (signal?.aborted) this.#onAbort()
        else this.#open()
      } catch (error) {
        this.#close({ error })
      }
    }
    if (!this.#ending) this.#eventTimer = this.#clock('event', eventTimeoutMs)
  }

  #open(): void {
    const input = this.#input
    if (!isResponse(input)) {
      this.#reader = openReader(input)
      return
    }
    if (input.bodyUsed) {
      throw new RelayError(
        'response-used',
        'The body of this Response was read before: read it once, or clone it first',
      )
    }
    this.#reader = openReader(input.body ?? textOf(input))
    if (!input.ok || !EVENT_STREAM.test(contentType(input))) this.#refusal = ''
  }

  #read(): void {
    this.#idleTimer = this.#clock('idle', this.#options.idleTimeoutMs)
    ;(this.#reader as Reader).read().then(this.#onChunk, this.#onReadError)
  }

  #onChunk = ({ done, value }: Chunk): void => {
    if (this.#ending) return
    clearTimeout(this.#idleTimer)
    try {
      if (this.#refusal !== undefined) this.#refuse(done, value)
      else if (done) this.#eof()
      else this.#feed(value)
    } catch (error) {
      this.#close({ error: isRelayError(error) ? this.#error(error.code, error.message) : error })
    }
    this.#settle()
  }

  #onReadError = (cause: unknown): void => {
    if (this.#ending) return
    const { name, message = String(cause) } = (cause ?? {}) as Error
    const error =
      isRelayError(cause) || name === 'AbortError'
        ? cause
        : this.#error('network', `The connection failed before the answer was complete: ${message}`, {
            cause,
            retryable: true,
          })
    this.#close({ error })
    this.#settle()
  }

  #decode(chunk: unknown): string {
    if (typeof chunk === 'string') return chunk
    if (chunk !== undefined && !ArrayBuffer.isView(chunk) && !(chunk instanceof ArrayBuffer)) {
      throw new RelayError('invalid-source', `The stream holds a ${typeof chunk}: parseSSE reads bytes and strings`)
    }
    // `ignoreBOM` leaves the mark to the parser, which takes off one; a decoder before it would make that two.
    this.#decoder ??= new TextDecoder('utf-8', { ignoreBOM: true })
    return this.#decoder.decode(chunk, { stream: chunk !== undefined })
  }

  #feed(chunk: unknown): void {
    if (!(chunk instanceof Uint8Array)) {
      this.#parser.feed(this.#decode(chunk))
      return
    }
    for (let start = 0; start < chunk.length && !this.#ending; start += SLICE) {
      this.#parser.feed(this.#decode(chunk.length > SLICE ? chunk.subarray(start, start + SLICE) : chunk))
    }
  }

  #onEvent(event: ParsedEvent): void {
    if (this.#ending) return
    const { sentinel = DONE } = this.#options
    if (sentinel !== false) {
      if (event.event === 'error') {
        this.#close({ error: this.#serverError('upstream-failure', 'The server reported a failure', event.data) })
      } else if (event.data === sentinel) this.#close({})
      if (this.#ending) return
    }
    this.#queue.push(event)
    this.#ids.push(this.#parser.lastEventId)
    if (typeof sentinel === 'function' && sentinel(event)) this.#close({})
  }

  /** The body is at its end: what is left in the decoder and the parser, and whether the answer is whole. */
  #eof(): void {
    const { sentinel, eof } = this.#options
    if (this.#decoder) this.#parser.feed(this.#decode(undefined))
    // After a lone CR the first of the two is taken for its LF, and the second still is a blank line.
    if (eof === 'dispatch') this.#parser.feed('\n\n')
    if (sentinel === false) this.#close({})
    else {
      this.#close({
        error: this.#error('truncated', 'The stream ended without its sentinel: the answer is not complete', {
          retryable: true,
        }),
      })
    }
  }

  /** An answer that is no event stream is an error, and its body says which. */
  #refuse(done: boolean | undefined, chunk: unknown): void {
    this.#refusal += done ? '' : this.#decode(chunk)
    const body = (this.#refusal as string).slice(0, MAX_BODY)
    if (!done && body.length < MAX_BODY) return
    const response = this.#input as ResponseLike
    const { ok, status } = response
    this.#close({
      error: ok
        ? this.#error('content-type', `The answer is no event stream: its content type is "${contentType(response)}"`, {
            status,
            body,
          })
        : this.#serverError('http-status', `The server answered with status ${status}`, body, {
            status,
            retryable: status >= 500 || status === 408 || status === 425 || status === 429,
          }),
    })
  }

  /** The error a server described in JSON, `{ error: { code, message, retryable } }`, or else the fallback. */
  #serverError(code: string, message: string, body: string, options: RelayErrorOptions = {}): RelayError {
    let told: { code?: unknown; type?: unknown; message?: unknown; retryable?: unknown } | undefined
    try {
      told = JSON.parse(body)?.error
    } catch {
      // Not JSON: the body itself is on the error.
    }
    const name = told?.code ?? told?.type
    return this.#error(
      typeof name === 'string' ? name : code,
      typeof told?.message === 'string' ? told.message : message,
      {
        ...options,
        body: body.slice(0, MAX_BODY),
        ...(typeof told?.retryable === 'boolean' && { retryable: told.retryable }),
      },
    )
  }

  /** An error that says how far the reading came: all events before it have been handed over when it is thrown. */
  #error(code: string, message: string, options: RelayErrorOptions = {}): RelayError {
    return new RelayError(code, message, {
      ...options,
      received: this.#received + this.#queue.length - this.#head,
      lastEventId: this.#parser.lastEventId,
      pending: this.#parser.end(),
    })
  }

  #take(): Result {
    const index = this.#head++
    const value = this.#queue[index] as ParsedEvent
    this.lastEventId = this.#ids[index] as string
    this.#received++
    if (this.#head === this.#queue.length) this.#head = this.#queue.length = this.#ids.length = 0
    return { done: false, value }
  }

  /** Answers a waiting `next()` with what there is, or reads on. */
  #settle(): void {
    const waiting = this.#waiting
    if (!waiting) return
    const ending = this.#ending
    const ready = this.#head < this.#queue.length
    if (!ready && !ending) {
      this.#read()
      return
    }
    this.#waiting = undefined
    clearTimeout(this.#eventTimer)
    if (ready) {
      waiting.resolve(this.#take())
      return
    }
    this.lastEventId = this.#parser.lastEventId
    this.#finish({})
    if (ending && 'error' in ending) waiting.reject(ending.error)
    else waiting.resolve(DONE_RESULT)
  }

  /** Nothing more is read; what was read is still handed over. */
  #close(ending: Ending): void {
    if (this.#ending) return
    this.#ending = ending
    clearTimeout(this.#idleTimer)
    clearTimeout(this.#eventTimer)
    this.#reader?.cancel()
  }

  /** Nothing more is read or handed over. */
  #finish(ending: Ending): void {
    this.#options.signal?.removeEventListener('abort', this.#onAbort)
    if (!this.#reader && !this.#ending) {
      // Not begun: the body is let go all the same.
      const input = this.#input
      try {
        this.#reader = openReader(isResponse(input) ? (input.body ?? '') : input)
      } catch {
        // Locked: it is someone else's.
      }
    }
    this.#close(ending)
    this.#ending = ending
    this.#head = this.#queue.length = this.#ids.length = 0
    this.#settle()
  }

  #onAbort = (): void => {
    const reason: unknown = this.#options.signal?.reason
    this.#finish({
      error:
        reason instanceof Error
          ? reason
          : Object.assign(new Error('The reading was aborted', { cause: reason }), { name: 'AbortError' }),
    })
  }

  #clock(name: 'idle' | 'event', ms = Number.POSITIVE_INFINITY): ReturnType<typeof setTimeout> | undefined {
    if (ms === Number.POSITIVE_INFINITY) return
    const expire = () => {
      const what = name === 'idle' ? 'byte' : 'event'
      this.#close({ error: this.#error(`${name}-timeout`, `No ${what} came for ${ms} ms`, { retryable: true }) })
      this.#settle()
    }
    return setTimeout(expire, Math.min(ms, 0x7fffffff))
  }
}

function contentType(response: ResponseLike): string {
  return response.headers.get('content-type') ?? ''
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
      Promise.resolve(iterator.return?.()).catch(ignore)
    },
  }
}

function ignore(): void {}

function isResponse(input: SSEInput): input is ResponseLike {
  return typeof (input as ResponseLike)?.headers?.get === 'function'
}

function isStream(input: unknown): input is ReadableStreamLike {
  return typeof (input as ReadableStreamLike)?.getReader === 'function'
}

function isIterable(input: unknown): input is AsyncIterable<unknown> {
  return typeof (input as AsyncIterable<unknown>)?.[Symbol.asyncIterator] === 'function'
}
