import { RelayError, type RelayErrorOptions } from '../errors.js'
import { DONE, type EventStream, type ParsedEvent, type ReadableStreamLike, type ResponseLike } from '../types.js'
import { createParser } from './parser.js'

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

export interface LinkOptions extends ParseSSEOptions {
  /** Told of each answer of a link that is an event stream. */
  onOpen?(response: Response): void
}

/** What makes one stream of several connections. */
export interface Link {
  /** Asks for the next answer. */
  connect(): Promise<ResponseLike>
  /** Whether an event with this id has come before the one with the last `known` id. */
  isRepeated(id: string, known: string): boolean
  /** Whether to connect again after this failure, once it is time for that. */
  recover(error: unknown): Promise<boolean>
  /** Nothing more will be read. */
  leave(): void
}

type Result = IteratorResult<ParsedEvent, undefined>

/** Something to read, opened by its first reading and not before. */
interface Answer {
  /** What its body is, if it is no event stream. */
  refuse: ((body: string) => RelayError) | undefined
  read(): PromiseLike<ReadResult> | ReadResult
  /** Lets go of the body; swallows what it says to that. */
  drop(): Promise<void>
}

interface ReadResult {
  done?: boolean | undefined
  value?: unknown
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
export function readEvents(options: LinkOptions, answer?: Answer, link?: Link): EventStream {
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
  let decoder: TextDecoder | undefined
  /** What an answer that is no event stream says, as far as it came. */
  let refusal = ''
  /** The reading under way: what comes from another one is too late. */
  let latest: object | undefined
  /** Nothing more will be read; the error to end with, until someone was told. */
  let ending: unknown[] | undefined
  let idleTimer: ReturnType<typeof setTimeout> | undefined
  let eventTimer: ReturnType<typeof setTimeout> | undefined

  const parser = createParser({
    ...options,
    onEvent,
    onComment: (comment) => ending || options.onComment?.(comment),
    onRetry: (retry) => ending || options.onRetry?.(retry),
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

  /** One step: the next answer, or the next chunk. */
  async function read(): Promise<void> {
    const mine = {}
    let isOurs = false
    latest = mine
    idleTimer ??= clock('idle', 'byte', idleTimeoutMs)
    try {
      if (!answer) {
        const response = await (link as Link).connect()
        const next = toAnswer(response)
        if (mine !== latest) return next.drop()
        answer = next
        isOurs = true
        if (!next.refuse) options.onOpen?.(response as Response)
      } else {
        if (!answer.refuse) eventTimer ??= clock('event', 'event', eventTimeoutMs)
        const { done, value } = await answer.read()
        if (mine !== latest) return
        isOurs = true
        const text = done ? (decoder?.decode() ?? '') : decode(value)
        if (answer.refuse) {
          refusal += text
          // Not told that a byte came: what a refusal says of itself is worth one wait, however it drips.
          return done || refusal.length >= MAX_BODY ? fail() : read()
        }
        // After a lone CR the first of the two is taken for its LF, and the second still is a blank line.
        parser.feed(done && eof === 'dispatch' ? `${text}\n\n` : text)
        if (done && sentinel !== false)
          throw new RelayError('truncated', 'No sentinel came: the answer is not complete', { retryable: true })
        if (done) end()
      }
    } catch (error) {
      if (mine === latest) return fail(isOurs ? error : networkError(error))
    }
    clearTimeout(idleTimer)
    idleTimer = latest = undefined
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
      throw told(event.data, 'upstream-failure', 'The server reported a failure')
    if (event.data === sentinel) return end()
    if (event.id !== undefined && link?.isRepeated(event.id, position)) return
    received++
    queue.push(event, mark())
    if (typeof sentinel === 'function' && sentinel(event)) end()
  }

  /** The last event id so far; one that comes again does not count. */
  function mark() {
    const id = parser.lastEventId
    if (!link?.isRepeated(id, position)) position = id
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
    if (answer?.refuse && (error as Error | undefined)?.name !== 'AbortError') error = answer.refuse(refusal)
    if (error instanceof RelayError) Object.assign(error, { received, lastEventId: mark(), pending: parser.end() })
    release()
    if (!(await link?.recover(error))) end(error)
    latest = undefined
    settle()
  }

  function release() {
    latest = {}
    clearTimeout(idleTimer)
    clearTimeout(eventTimer)
    answer?.drop()
    answer = decoder = idleTimer = eventTimer = undefined
    refusal = ''
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

/** What becomes of a body if its answer is not what was asked for. */
function refusalOf({ ok, status, headers }: ResponseLike): Answer['refuse'] {
  const type = headers.get('content-type') ?? ''
  if (ok && /^text\/event-stream *(;|$)/i.test(type)) return
  const [code, message] = ok
    ? ['content-type', `The answer is no event stream but "${type}"`]
    : ['http-status', `The server answered with status ${status}`]
  return (body) => told(body, code, message, { status, retryable: isTransient(status) })
}

/** The error that a server described in JSON, `{ error: { code, message, retryable } }`, or else as given. */
function told(body: string, code: string, message: string, more: RelayErrorOptions = { retryable: false }): RelayError {
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
    `parseSSE cannot read ${what}: give an awaited Response, or a stream of bytes and strings`,
  )
}

/** Whether a status says that the same request may do better later. */
export function isTransient(status: number): boolean {
  return status >= 500 || [408, 425, 429].includes(status)
}

/** What a lost connection looks like from here. */
export function networkError(cause: unknown): unknown {
  if (cause instanceof RelayError || (cause as Error)?.name === 'AbortError') return cause
  return new RelayError('network', `The connection failed: ${(cause as Error | undefined)?.message ?? cause}`, {
    cause,
    retryable: true,
  })
}

export function toAnswer(input: SSEInput): Answer {
  const response = typeof (input as ResponseLike)?.headers?.get === 'function' ? (input as ResponseLike) : undefined
  const body = (
    typeof input === 'string' ? textOf({ text: () => input }) : response ? (response.body ?? textOf(response)) : input
  ) as ReadableStream & AsyncIterable<unknown>
  // A reader before an iterator: not every browser's stream has one.
  if (!body?.getReader && !body?.[Symbol.asyncIterator]) throw unreadable(String(input))
  let opened: ReturnType<typeof open> | undefined
  const open = () => {
    if (response?.bodyUsed || body.locked)
      throw new RelayError('response-used', 'The body is read already: clone the Response')
    if (!body.getReader) return body[Symbol.asyncIterator]()
    const reader = body.getReader()
    return {
      next: () => reader.read(),
      return() {
        const cancelled = reader.cancel()
        reader.releaseLock()
        return cancelled
      },
    }
  }
  return {
    refuse: response && refusalOf(response),
    read() {
      opened ??= open()
      return opened.next()
    },
    async drop() {
      try {
        await (opened ?? open()).return?.()
      } catch {}
    },
  }
}

/** The body of a `Response` without a stream, React Native's or an empty one, and a string. */
async function* textOf(response: { text?(): Promise<string> | string }): AsyncGenerator<string> {
  yield (await response.text?.()) ?? ''
}
