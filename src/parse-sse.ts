import { RelayError } from './errors.js'
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
  sentinel?: string | false | ((event: ParsedEvent) => boolean) | undefined
  /** Ends reading at once, in every state, and cancels the body. */
  signal?: AbortSignal | undefined
  /** The longest wait for the next byte, heartbeats included, in milliseconds. @default Infinity */
  idleTimeoutMs?: number | undefined
  /** The longest wait for the next event, heartbeats not counted, in milliseconds. @default Infinity */
  eventTimeoutMs?: number | undefined
  /** The most characters one event may have, whatever its chunks. @default Infinity */
  maxEventSize?: number | undefined
  /**
   * What becomes of a last event that no blank line ended: the standard discards it, because
   * `data: 1` may be the beginning of `data: 12`.
   * @default 'discard'
   */
  eof?: 'discard' | 'dispatch' | undefined
  /** The last event id to begin with. @default '' */
  lastEventId?: string | undefined
  /** Called for each comment: heartbeats, mostly. */
  onComment?(comment: string): void
  /** Called for each valid `retry` line, with its milliseconds. */
  onRetry?(retry: number): void
}

/** What makes one stream of several connections. */
export interface Link {
  /** Asks for the next answer. */
  connect(): Promise<ResponseLike>
  /** Told of each answer that is an event stream. */
  onOpen?: ((response: Response) => void) | undefined
  /** Whether an event with this id has come before the one with the last `known` id. */
  isRepeated(id: string, known: string): boolean
  /** Settles when it is time to connect again after this failure; nothing if the failure is final. */
  recover(error: unknown): Promise<void> | undefined
  /** Nothing more will be read. */
  leave(): void
}

interface Reader {
  read(): ReadResult | PromiseLike<ReadResult>
  cancel(): Promise<unknown>
  releaseLock(): void
}

interface ReadResult {
  done?: boolean | undefined
  value?: unknown
}

type Result = IteratorResult<ParsedEvent, undefined>

/** Something to read: opened when it is asked for, and not before. */
interface Answer {
  response?: ResponseLike | undefined
  open(): Reader
}

// Past this an error body says nothing more.
const MAX_BODY = 65_536
/** The most a timer can hold, 24 days. */
export const MAX_TIMEOUT = 0x7fffffff
const END: IteratorReturnResult<undefined> = { done: true, value: undefined }

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
  return readEvents(options, toAnswer(input))
}

/**
 * The one loop behind `parseSSE` and `fetchSSE`: reads nothing that was not asked for, and ends at once in every state.
 * `return()`, `throw()` and an abort answer a pending `next()` too, which an async generator cannot.
 *
 * @param answer is what is read if there is no link.
 */
export function readEvents(options: ParseSSEOptions, answer?: Answer, link?: Link): EventStream {
  const { sentinel = DONE, signal, idleTimeoutMs, eventTimeoutMs, eof, lastEventId = '' } = options
  for (const name of ['idleTimeoutMs', 'eventTimeoutMs', 'maxEventSize'] as const) {
    const value = options[name]
    if (value !== undefined && !(value > 0))
      throw new RelayError('invalid-option', `${name} cannot be ${value}: give a positive number`)
  }

  // Events and the last event ids at their moments, by turns.
  const queue: (ParsedEvent | string)[] = []
  const waiting: ((result: Result | Promise<never>) => void)[] = []
  let received = 0
  let head = 0
  let position = lastEventId
  let reader: Reader | undefined
  let decoder: TextDecoder | undefined
  /** What an answer that is no event stream says, as far as its body came. */
  let refusal: (() => RelayError) | undefined
  /** The reading under way: what comes from another one is too late. */
  let latest: object | undefined
  /** Nothing more will be read; the error to end with, until someone was told. */
  let ending: unknown[] | undefined
  let idleTimer: ReturnType<typeof setTimeout> | undefined
  let eventTimer: ReturnType<typeof setTimeout> | undefined

  const whileOpen = <T>(call: ((value: T) => void) | undefined) => call && ((value: T) => ending || call(value))
  const parser = createParser({
    ...options,
    onEvent,
    onComment: whileOpen(options.onComment),
    onRetry: whileOpen(options.onRetry),
  })

  const stream = {
    lastEventId,
    next: () =>
      queue.length && !waiting.length
        ? Promise.resolve(take())
        : new Promise<Result>((resolve) => {
            waiting.push(resolve)
            settle()
          }),
    async return() {
      leave()
      return END
    },
    async throw(error?: unknown): Promise<typeof END> {
      leave()
      throw error
    },
    [Symbol.asyncIterator]() {
      return this
    },
  } as EventStream & { lastEventId: string }

  if (signal?.aborted) onAbort()
  else signal?.addEventListener('abort', onAbort)
  return stream

  /** Answers those who wait with what there is by now, or reads on. */
  function settle() {
    while (waiting.length && (queue.length || ending)) waiting.shift()?.(take())
    if (waiting.length && !latest) read()
  }

  function take(): Result | Promise<never> {
    if (queue.length) {
      const value = queue[head++] as ParsedEvent
      stream.lastEventId = queue[head++] as string
      if (head === queue.length) head = queue.length = 0
      return { done: false, value }
    }
    signal?.removeEventListener('abort', onAbort)
    stream.lastEventId = position
    return ending?.length ? Promise.reject(ending.pop()) : END
  }

  async function read() {
    const mine = {}
    let isOurs = false
    latest = mine
    idleTimer = clock('idle', 'byte', idleTimeoutMs)
    try {
      if (!reader) {
        const { response, open } = link ? toAnswer(await link.connect()) : (answer as Answer)
        const opened = open()
        if (mine !== latest) return drop(opened)
        reader = opened
        if (response && !isEventStream(response)) {
          let text = ''
          refusal = () => refused(response, text)
          for (;;) {
            const { done, value } = await reader.read()
            if (mine !== latest) return
            if (!done) text += decode(value)
            if (done || text.length >= MAX_BODY) return fail()
          }
        }
        isOurs = true
        link?.onOpen?.(response as Response)
        if (mine !== latest) return
        clearTimeout(idleTimer)
        idleTimer = clock('idle', 'byte', idleTimeoutMs)
      }
      eventTimer ??= clock('event', 'event', eventTimeoutMs)
      isOurs = false
      const { done, value } = await reader.read()
      if (mine !== latest) return
      isOurs = true
      clearTimeout(idleTimer)
      if (!done) parser.feed(decode(value))
      else {
        if (decoder) parser.feed(decoder.decode())
        // After a lone CR the first of the two is taken for its LF, and the second still is a blank line.
        if (eof === 'dispatch') parser.feed('\n\n')
        if (sentinel !== false)
          throw new RelayError('truncated', 'The stream ended without its sentinel: the answer is not complete', {
            retryable: true,
          })
        end()
      }
    } catch (error) {
      if (mine === latest) return fail(isOurs ? error : networkError(error))
    }
    if (mine === latest) latest = undefined
    settle()
  }

  function decode(chunk: unknown): string {
    if (typeof chunk === 'string') return chunk
    // `ignoreBOM` leaves the mark to the parser, which takes off one; a decoder before it would make that two.
    decoder ??= new TextDecoder('utf-8', { ignoreBOM: true })
    try {
      return decoder.decode(chunk as Uint8Array, { stream: true })
    } catch {
      throw unreadable(`a chunk that is ${typeof chunk}`)
    }
  }

  function onEvent(event: ParsedEvent) {
    if (ending) return
    clearTimeout(eventTimer)
    eventTimer = undefined
    if (sentinel !== false && event.event === 'error')
      throw told(event.data, 'upstream-failure', 'The server reported a failure', { retryable: false })
    if (event.data === sentinel) return end()
    if (event.id !== undefined && link?.isRepeated(event.id, position)) return
    received++
    queue.push(event, mark())
    if (typeof sentinel === 'function' && sentinel(event)) end()
  }

  /** The last event id so far; one that comes again does not count. */
  function mark() {
    const id = parser.lastEventId
    if (!ending && !link?.isRepeated(id, position)) position = id
    return position
  }

  function clock(name: string, what: string, ms: number | undefined) {
    if ((ms as number) <= MAX_TIMEOUT)
      return setTimeout(
        () => fail(new RelayError(`${name}-timeout`, `No ${what} came for ${ms} ms`, { retryable: true })),
        ms,
      )
  }

  /** Goes on after a failure if the link can, or ends with it. */
  async function fail(error?: unknown) {
    if (refusal && (error as Error | undefined)?.name !== 'AbortError') error = refusal()
    if (error instanceof RelayError) Object.assign(error, { received, lastEventId: mark(), pending: parser.end() })
    const recovery = link?.recover(error)
    if (recovery) release()
    else end(error)
    await recovery
    latest = undefined
    settle()
  }

  function release() {
    latest = {}
    clearTimeout(idleTimer)
    clearTimeout(eventTimer)
    try {
      drop(reader ?? (answer as Answer).open())
    } catch {
      // Nothing is open, or what is belongs to someone else.
    }
    reader = decoder = refusal = eventTimer = undefined
  }

  /** Nothing more is read; what was is still handed over. */
  function end(...errors: unknown[]) {
    if (ending) return
    mark()
    ending = errors
    release()
    link?.leave()
  }

  /** Nothing more is handed over. */
  function leave(...errors: unknown[]) {
    signal?.removeEventListener('abort', onAbort)
    end()
    if (queue.length) position = stream.lastEventId
    head = queue.length = 0
    ending = errors
    settle()
  }

  function onAbort() {
    const reason: unknown = signal?.reason
    leave(
      reason instanceof Error ? reason : Object.assign(new Error('Aborted', { cause: reason }), { name: 'AbortError' }),
    )
  }
}

export function refused({ ok, status, headers }: ResponseLike, body: string): RelayError {
  const message = ok
    ? `The answer is no event stream but "${headers.get('content-type') ?? ''}"`
    : `The server answered with status ${status}`
  return told(body, ok ? 'content-type' : 'http-status', message, { status, retryable: isTransient(status) })
}

/** The error that a server described in JSON, `{ error: { code, message, retryable } }`, or else as given. */
function told(body: string, code: string, message: string, more: { retryable: boolean; status?: number }): RelayError {
  let error: { code?: unknown; type?: unknown; message?: unknown; retryable?: unknown } = {}
  try {
    error = JSON.parse(body).error ?? error
  } catch {
    // Not JSON: the text itself is on the error.
  }
  const pick = <T>(value: unknown, otherwise: T) => (typeof value === typeof otherwise ? (value as T) : otherwise)
  return new RelayError(pick(error.code ?? error.type, code), pick(error.message, message), {
    ...more,
    retryable: pick(error.retryable, more.retryable),
    body: body.slice(0, MAX_BODY),
  })
}

function unreadable(what: string): RelayError {
  return new RelayError(
    'invalid-source',
    `parseSSE cannot read ${what}: give an awaited Response, a stream or iterable of bytes and strings, or a string`,
  )
}

/** Whether a status says that the same request may do better later. */
export function isTransient(status: number): boolean {
  return status >= 500 || [408, 425, 429].includes(status)
}

/** What a lost connection looks like from here. */
export function networkError(cause: unknown): unknown {
  if (cause instanceof RelayError || (cause as Error)?.name === 'AbortError') return cause
  const message = (cause as Error)?.message ?? cause
  return new RelayError('network', `The connection failed: ${message}`, { cause, retryable: true })
}

export function toAnswer(input: SSEInput): Answer {
  const response = typeof (input as ResponseLike)?.headers?.get === 'function' ? (input as ResponseLike) : undefined
  const body = (response ? (response.body ?? textOf(response)) : input) as ReadableStream & AsyncIterable<unknown>
  // A reader before an iterator: not every browser's stream has one.
  if (typeof body !== 'string' && !body?.getReader && !body?.[Symbol.asyncIterator]) throw unreadable(String(input))
  const open = () => {
    if (response?.bodyUsed || body.locked)
      throw new RelayError('response-used', 'The body is read by someone else: read it once, or clone the Response')
    if (body.getReader) return body.getReader()
    const iterator = typeof body === 'string' ? [body].values() : body[Symbol.asyncIterator]()
    return { read: () => iterator.next(), cancel: async () => iterator.return?.(), releaseLock() {} }
  }
  return { response, open }
}

/** Lets go of a body; swallows what it says to that. */
export function drop(reader: Reader): void {
  reader.cancel().catch(() => {})
  reader.releaseLock()
}

/** The body of a `Response` without a stream: React Native's, or an empty one. */
async function* textOf(response: ResponseLike): AsyncGenerator<string> {
  yield (await response.text?.()) ?? ''
}

/** Whether an answer is what was asked for. */
function isEventStream({ ok, headers }: ResponseLike): boolean {
  return ok && /^text\/event-stream *(;|$)/i.test(headers.get('content-type') ?? '')
}
