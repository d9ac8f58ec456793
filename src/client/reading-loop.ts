/**
 * How are the events of one or more connections read one at a time, and how does reading end at once in every state?
 */

import { findNear, positive, type Rule, type Rules, unknownIn, wrongIn } from '../check.js'
import { RelayError } from '../errors.js'
import { DONE, type EventStream, type ParsedEvent, type ResponseLike } from '../types.js'
import { makeParser } from './parser.js'
import { type Body, toBody, unreadable } from './sse-input.js'
import { MAX_BODY, networkError, serverError } from './wire-errors.js'

/** Options of `parseSSE`. */
export interface ParseSSEOptions {
  /**
   * What completes the stream. A string: an event with that data, which is not yielded. A predicate: the event for
   * which it returns true, which is. `false`: nothing but the end of the body, as in the plain standard; every event is
   * yielded.
   * @default '[DONE]'
   */
  sentinel?: string | false | ((event: ParsedEvent) => boolean) | undefined
  /** Ends the reading at once and cancels the body; a pending `next()` rejects with the platform's `AbortError`. */
  signal?: AbortSignal | undefined
  /**
   * The longest wait for the next byte, in milliseconds; a heartbeat counts. Then reading fails with `idle-timeout`.
   * @default Infinity
   */
  idleTimeoutMs?: number | undefined
  /**
   * The longest wait for the next event, in milliseconds; a heartbeat does not count. Then reading fails with
   * `event-timeout`.
   * @default Infinity
   */
  eventTimeoutMs?: number | undefined
  /**
   * The most characters (UTF-16 units) that one event may have, however it is split into chunks. Beyond that, reading
   * fails with `event-too-large`.
   * @default Infinity
   */
  maxEventSize?: number | undefined
  /**
   * What happens to a last event without a blank line after it. The standard discards it, because `data: 1` may be the
   * beginning of `data: 12`.
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

/** Like `words` and `callback`, but null is allowed: pages often have it for an absent value. */
const place: Rule = [(value: unknown) => value === null || typeof value === 'string', 'give a string']
export const callback: Rule = [(value: unknown) => value === null || typeof value === 'function', 'give a function']

export const OPTIONS: Rules<keyof ParseSSEOptions> = {
  sentinel: [
    (value: unknown) => value === false || /^(string|function)$/.test(typeof value),
    'give a string, a function, or false',
  ],
  signal: [(value: AbortSignal | null) => value === null || value.addEventListener, 'give an AbortSignal'],
  idleTimeoutMs: positive,
  eventTimeoutMs: positive,
  maxEventSize: positive,
  eof: [(value: unknown) => value === 'discard' || value === 'dispatch', "give 'discard' or 'dispatch'"],
  lastEventId: place,
  onComment: callback,
  onRetry: callback,
}

/** @throws {RelayError} `invalid-option`. */
export function check(what: string, options: object, rules: Rules, find = findNear, isLoose?: boolean): void {
  const mistake = unknownIn(what, options, rules, find, isLoose) ?? wrongIn(options, rules)
  if (mistake) throw new RelayError('invalid-option', mistake)
}

/** Options of {@link readEvents}. */
export interface ReadingOptions extends ParseSSEOptions {
  /** Called for each response of a connector that is an event stream, before its events. */
  onOpen?(response: Response): void
}

/** What makes one event stream out of several connections: the part of the loop that `fetchSSE` provides. */
export interface Connector {
  /** Sends the next request. */
  connect(): Promise<ResponseLike>
  /** Whether the event with this id came before, on an earlier connection; `known` is the last event id so far. */
  isRepeated(id: string, known: string): boolean
  /**
   * Resolves when it is time to connect again after this failure. If that cannot help, throws the error to end with.
   */
  recover(error: unknown): Promise<void>
  /** Called when the answer is complete. */
  complete(): void
  /** Called once nothing more will be read. */
  close(): void
  /** The `idleTimeoutMs` if the caller gave none. */
  idleTimeoutMs?: number
  /** Set by the loop: ends the reading at once, with the error. */
  end?(error: RelayError): void
}

/** The streams that a loop reads, or has read. */
const taken = new WeakSet<object>()

/**
 * Claims the stream for the one loop that reads it.
 *
 * @throws {RelayError} `response-used` the second time: a loop over the rest would look like a complete answer.
 */
export function take(stream: object): void {
  refuseTaken(stream)
  taken.add(stream)
}

export function refuseTaken(stream: object): void {
  if (taken.has(stream))
    throw new RelayError('response-used', 'The stream was read before: read it in one loop, and keep what comes')
}

type Result = IteratorResult<ParsedEvent, undefined>

/** The longest timeout that a timer can hold, 24 days. */
export const MAX_TIMEOUT = 0x7fffffff
/** A timer that is this late has slept, with its machine or its page. */
const LATE_MS = 1000
/** How long to wait for a body that is not an event stream, and says why. Its status and type are known before. */
const REFUSAL_MS = 5000
const END: IteratorReturnResult<undefined> = { done: true, value: undefined }

/**
 * The one loop behind `parseSSE` and `fetchSSE`. Nothing is read before it is asked for. `return()`, `throw()` and an
 * abort settle a pending `next()` at once, which an async generator cannot do.
 *
 * - idle → connecting | reading | refusing: a `next()` waits and no event is queued; one step asks for a response, for
 *   a chunk of the event stream, or for a chunk of a body that is not an event stream
 * - connecting | reading | refusing → idle: the step is over, its events are queued
 * - connecting | reading | refusing → recovering: the step failed, a timer ran out, or the refusal was read to its end
 * - recovering → idle | ended: the connector says that it is time to connect again, or that this cannot help
 * - any → ended: the sentinel, the end of the body, `event: error`, `return()`, `throw()`, an abort
 *
 * @param body is read if there is no connector.
 */
export function readEvents(options: ReadingOptions, body?: Body, connector?: Connector): EventStream {
  const { sentinel = DONE, signal, idleTimeoutMs, eventTimeoutMs, eof, lastEventId = '' } = options

  /** Whether a loop has begun, but has not asked for an event yet. */
  let isIterated = false
  let state: 'idle' | 'connecting' | 'reading' | 'refusing' | 'recovering' | 'ended' = 'idle'
  /** The current step. What an earlier step still brings is ignored, since its connection was given up. */
  let step: object | undefined
  /** Flat: event, its last event id, event, … */
  const queue: (ParsedEvent | string)[] = []
  /** The index of the next event in the queue. */
  let next = 0
  /** The waiting calls of `next()`, in order. */
  const waiting: ((result: Result | Promise<never>) => void)[] = []
  /** In the state `ended`: the error to end with, until it was thrown; empty for an end without one. */
  let ending: unknown[] = []
  /** How many events were queued: reported in errors. */
  let received = 0
  /** The last event id that was read. While events are queued, `stream.lastEventId` is behind it. */
  let latestId = lastEventId
  let decoder: TextDecoder | undefined
  /** The text so far of a body that is not an event stream. */
  let refusal = ''
  const timers: {
    idle?: ReturnType<typeof setTimeout> | undefined
    event?: ReturnType<typeof setTimeout> | undefined
  } = {}

  // In the state `ended` the rest of the chunk is still parsed, but nothing is reported.
  const parser = makeParser({
    onEvent,
    onComment: (comment) => state === 'ended' || options.onComment?.(comment),
    onRetry: (retry) => state === 'ended' || options.onRetry?.(retry),
    lastEventId,
    maxEventSize: options.maxEventSize,
  })

  const stream = {
    lastEventId,
    next() {
      // From its first event on, the loop owns the stream.
      if (isIterated) {
        isIterated = false
        taken.add(stream)
      }
      return queue.length && !waiting.length
        ? Promise.resolve(shift())
        : new Promise<Result>((resolve) => {
            waiting.push(resolve)
            proceed()
          })
    },
    async return() {
      close()
      return END
    },
    async throw(error?: unknown): Promise<typeof END> {
      close()
      throw error
    },
    [Symbol.asyncIterator]() {
      refuseTaken(stream)
      isIterated = true
      return this
    },
  } as EventStream & { lastEventId: string }

  if (connector)
    connector.end = (error) => close(Object.assign(error, { received, lastEventId: stream.lastEventId, pending: '' }))
  if (signal?.aborted) onAbort()
  else signal?.addEventListener('abort', onAbort)
  return stream

  /** Settles the waiting calls of `next()` with what has come. If one still waits, reads on. */
  function proceed() {
    while (waiting.length && (queue.length || state === 'ended')) waiting.shift()?.(shift())
    if (waiting.length && state === 'idle') read()
  }

  /** The next event of the queue or, after the last one, how the stream ended. */
  function shift(): Result | Promise<never> {
    if (queue.length) {
      const value = queue[next++] as ParsedEvent
      stream.lastEventId = queue[next++] as string
      if (next === queue.length) next = queue.length = 0
      return { done: false, value }
    }
    signal?.removeEventListener('abort', onAbort)
    stream.lastEventId = latestId
    return ending.length ? Promise.reject(ending.pop()) : END
  }

  /** One step: the next response, or the next chunk. */
  async function read(): Promise<void> {
    const mine = {}
    step = mine
    /** Whether an error comes from here or from a callback, not from the connection. */
    let isOurs = false
    // A refusal's body gets one short wait, however slowly it comes: the timer of its first chunk goes on.
    const idleMs = idleTimeoutMs ?? connector?.idleTimeoutMs
    if (state === 'idle') startTimer('idle', 'byte', body?.refusal ? Math.min(idleMs ?? Infinity, REFUSAL_MS) : idleMs)
    try {
      if (!body) {
        state = 'connecting'
        const response = await (connector as Connector).connect()
        const opened = toBody(response)
        if (mine !== step) return opened.cancel()
        body = opened
        isOurs = true
        if (!body.refusal) options.onOpen?.(response as Response)
      } else {
        state = body.refusal ? 'refusing' : 'reading'
        if (state === 'reading' && !timers.event) startTimer('event', 'event', eventTimeoutMs)
        const { done, value } = await body.read()
        if (mine !== step) return
        isOurs = true
        const text = done ? (decoder?.decode() ?? '') : decode(value)
        if (state === 'refusing') {
          refusal += text
          return done || refusal.length >= MAX_BODY ? recover() : read()
        }
        // After a lone CR the parser takes the first LF for its other half; the second LF is still a blank line.
        parser.feed(done && eof === 'dispatch' ? `${text}\n\n` : text)
        if (done && sentinel !== false)
          throw new RelayError('truncated', 'The answer was cut off before it was complete: no sentinel came', {
            retryable: true,
          })
        if (done) complete()
      }
    } catch (error) {
      if (mine === step) return recover(isOurs ? error : networkError(error))
    }
    if (mine === step) {
      clearTimeout(timers.idle)
      state = 'idle'
    }
    proceed()
  }

  function decode(chunk: unknown): string {
    if (typeof chunk === 'string') return chunk
    // `ignoreBOM` leaves the byte order mark to the parser, which removes one: if the decoder did too, two would go.
    decoder ??= new TextDecoder('utf-8', { ignoreBOM: true })
    try {
      return decoder.decode(chunk as Uint8Array, { stream: true })
    } catch {
      throw unreadable(`a chunk that is ${typeof chunk}`)
    }
  }

  function onEvent(event: ParsedEvent) {
    if (state === 'ended') return
    clearTimeout(timers.event)
    timers.event = undefined
    if (sentinel !== false && event.event === 'error')
      throw serverError(event.data, 'upstream-failure', 'The server reported a failure')
    if (event.data === sentinel) return complete()
    if (event.id !== undefined && connector?.isRepeated(event.id, latestId)) return
    received++
    queue.push(event, noteId())
    if (typeof sentinel === 'function' && sentinel(event)) complete()
  }

  /** Updates `latestId`, but not with the id of a repeated event. */
  function noteId() {
    const id = parser.lastEventId
    if (!connector?.isRepeated(id, latestId)) latestId = id
    return latestId
  }

  function startTimer(name: 'idle' | 'event', what: string, ms = Infinity) {
    if (ms > MAX_TIMEOUT) return
    const dueAt = Date.now() + ms
    timers[name] = setTimeout(() => {
      // What came while the machine slept has yet to be read.
      if (Date.now() > dueAt + LATE_MS) startTimer(name, what, ms)
      else recover(new RelayError(`${name}-timeout`, `No ${what} came for ${ms} ms`, { retryable: true }))
    }, ms)
  }

  /** Gives up the connection. Goes on if the connector can make another, else ends with the error. */
  async function recover(error?: unknown) {
    if (body?.refusal && (error as Error | undefined)?.name !== 'AbortError') error = body.refusal(refusal)
    if (error instanceof RelayError) Object.assign(error, { received, lastEventId: noteId(), pending: parser.end() })
    disconnect('recovering')
    try {
      if (!connector) throw error
      await connector.recover(error)
      if (state === 'recovering') state = 'idle'
    } catch (final) {
      end(final)
    }
    proceed()
  }

  /** Gives up the current step and its connection. */
  function disconnect(to: 'recovering' | 'ended') {
    state = to
    clearTimeout(timers.idle)
    clearTimeout(timers.event)
    body?.cancel()
    step = body = decoder = timers.event = undefined
    refusal = ''
  }

  function complete() {
    connector?.complete()
    end()
  }

  /** Ends the reading. Queued events are still yielded, and then the error, once. */
  function end(...errors: unknown[]) {
    if (state === 'ended') return
    noteId()
    ending = errors
    disconnect('ended')
    connector?.close()
  }

  /** Ends the reading, and yields nothing more. */
  function close(...errors: unknown[]) {
    signal?.removeEventListener('abort', onAbort)
    end()
    if (queue.length) latestId = stream.lastEventId
    next = queue.length = 0
    ending = errors
    proceed()
  }

  function onAbort() {
    const reason: unknown = signal?.reason
    close(
      reason instanceof Error ? reason : Object.assign(new Error('Aborted', { cause: reason }), { name: 'AbortError' }),
    )
  }
}
