import { isRelayError, RelayError } from './errors.js'
import { type EventStream, type ParseSSEOptions, parseSSE } from './parse-sse.js'
import type { ParsedEvent } from './types.js'

/** As much of `fetch` as is needed. */
export type FetchLike = (url: string, init: RequestInit) => Promise<Response>

/** Options of {@link fetchSSE}: those of `fetch`, those of `parseSSE`, and these. */
export interface FetchSSEOptions extends Omit<RequestInit, 'signal'>, ParseSSEOptions {
  /** Where an interrupted answer is asked for again, with GET. @default the URL itself */
  resumeUrl?: string | URL
  /** Where `stop()` sends its DELETE: `:runId` in it stands for the run's id, or else the id is put at its end. */
  stopUrl?: string | URL
  /** The run's id, `[A-Za-z0-9_-]{16,128}`. @default a random one if there is a `resumeUrl` or `stopUrl` */
  runId?: string
  /** @default the global `fetch` */
  fetch?: FetchLike
  /** How often in a row an interrupted answer is asked for again without one new event. @default 8 */
  maxRetries?: number
  /** Called for each answer that is an event stream, before its events. */
  onOpen?(response: Response): void
}

/** The events of one answer, over as many connections as it takes. */
export interface FetchStream extends EventStream {
  /** The run's id: given, made, or told by the server's `x-run-id`. */
  readonly runId: string | undefined
  /** The latest answer of the server. */
  readonly response: Response | undefined
  /**
   * Asks the server to stop the run, where there is a `stopUrl`: the events then end as the server says. Without
   * one, ends the reading here, which a server without a log takes for a stop.
   *
   * @throws {RelayError} `http-status` or `network`, when the server could not be told.
   */
  stop(): Promise<void>
}

type Result = IteratorResult<ParsedEvent, undefined>

const DONE_RESULT: IteratorReturnResult<undefined> = { done: true, value: undefined }
/** The first wait before a retry is at most this long, unless the server says otherwise; it doubles from there. */
const RETRY_MS = 1000
const MAX_RETRY_MS = 30_000
/** What a lost connection looks like from here. Everything else is an answer, and asking again would be a new one. */
const LOST = new Set(['network', 'truncated', 'idle-timeout', 'event-timeout'])

/**
 * Fetches an event stream and reads it to its end. The first request is sent at the first `next()` and exactly once,
 * whatever its method and answer. A lost connection is resumed with GET and `Last-Event-ID` if the run or its
 * events have ids; without ids it is an error, not a second bill.
 *
 * @throws {RelayError} what {@link parseSSE} throws, once resuming cannot help: `truncated` also when the server has
 * nothing more (204), the server's own code (`run-not-found`, `cursor-gone`) when it refuses.
 * @example
 * ```ts
 * const stream = fetchSSE('/api/chat', { method: 'POST', body: JSON.stringify({ messages }) })
 * for await (const text of readText(stream)) output.textContent += text
 * ```
 */
export function fetchSSE(url: string | URL, options: FetchSSEOptions = {}): FetchStream {
  return new Fetching(url, options)
}

class Fetching implements FetchStream {
  lastEventId: string
  runId: string | undefined
  response: Response | undefined
  readonly #url: string | URL
  readonly #init: RequestInit
  readonly #options: FetchSSEOptions
  readonly #controller = new AbortController()
  #events: EventStream | undefined
  #begun = false
  #over = false
  /** The connection was lost with this error. */
  #lost: unknown
  #retries = 0
  #retryMs = RETRY_MS
  #retryAfterMs = 0
  #received = 0
  #waiting: { resolve(result: Result): void; reject(error: unknown): void } | undefined
  #latest: Promise<Result> | undefined
  #aborted: Promise<never> | undefined
  /** Ends the wait before a retry. */
  #wake: (() => void) | undefined

  constructor(url: string | URL, options: FetchSSEOptions) {
    const { resumeUrl, stopUrl, runId, fetch, maxRetries, onOpen, signal, ...rest } = options
    const { sentinel, idleTimeoutMs, eventTimeoutMs, maxEventSize, eof, lastEventId, onComment, onRetry, ...init } =
      rest
    if (runId !== undefined && !/^[\w-]{16,128}$/.test(runId)) {
      throw new RelayError(
        'invalid-option',
        `runId cannot be ${JSON.stringify(runId)}: give 16 to 128 of A-Z a-z 0-9 _ -`,
      )
    }
    this.#url = url
    this.#init = init
    this.#options = options
    this.lastEventId = lastEventId ?? ''
    this.runId = runId ?? (resumeUrl || stopUrl ? randomId() : undefined)
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  next(): Promise<Result> {
    if (this.#waiting) {
      const turn = () => this.next()
      this.#latest = (this.#latest as Promise<Result>).then(turn, turn)
      return this.#latest
    }
    if (this.#aborted) {
      const aborted = this.#aborted
      this.#aborted = undefined
      return aborted
    }
    this.#latest = new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject }
    })
    this.#begin()
    this.#step().then(
      (result) => {
        if (result.done) this.#finish()
        this.#settle((waiting) => waiting.resolve(result))
      },
      (error) => this.#finish(error),
    )
    return this.#latest
  }

  return(): Promise<IteratorReturnResult<undefined>> {
    this.#finish()
    return Promise.resolve(DONE_RESULT)
  }

  throw(error?: unknown): Promise<IteratorReturnResult<undefined>> {
    this.#finish()
    return Promise.reject(error)
  }

  async stop(): Promise<void> {
    const { stopUrl } = this.#options
    if (!stopUrl || !this.#begun || this.#over) {
      this.#finish()
      return
    }
    const id = this.runId as string
    const path = String(stopUrl)
    const url = path.includes(':runId') ? path.replace(':runId', id) : `${path.replace(/\/$/, '')}/${id}`
    // Not with the stream's own signal: a page that stops also leaves.
    const init = { ...this.#bare('DELETE'), keepalive: true }
    const response = await this.#fetch(url, init).catch((cause) => {
      throw new RelayError('network', `The server could not be told to stop: ${(cause as Error)?.message}`, { cause })
    })
    if (!response.ok) {
      throw new RelayError('http-status', `The server answered the stop with status ${response.status}`, {
        status: response.status,
      })
    }
  }

  #begin(): void {
    const { signal } = this.#options
    if (this.#begun || this.#over) return
    this.#begun = true
    if (signal?.aborted) this.#onAbort()
    else signal?.addEventListener('abort', this.#onAbort)
  }

  /** The next new event, from this connection or the ones after it. */
  async #step(): Promise<Result> {
    while (!this.#over) {
      try {
        this.#events ??= await this.#connect()
        if (this.#over) break
        const result = await this.#events.next()
        const known = this.lastEventId
        this.lastEventId = this.#events.lastEventId
        if (result.done) return result
        const { id } = result.value
        if (id !== undefined && this.#lost !== undefined && isRepeated(id, known)) {
          this.lastEventId = known
          continue
        }
        this.#retries = 0
        this.#received++
        return result
      } catch (error) {
        this.#events = undefined
        if (!this.#isLost(error)) throw error
        this.#lost = error
      }
    }
    return DONE_RESULT
  }

  /** The first request, or one that resumes. */
  async #connect(): Promise<EventStream> {
    const again = this.#lost !== undefined
    if (again) await this.#backOff()
    const { signal } = this.#controller
    const init = again ? this.#bare('GET') : { ...this.#init, headers: this.#headers(this.#init.headers) }
    let response: Response
    try {
      response = await this.#fetch(again ? (this.#options.resumeUrl ?? this.#url) : this.#url, { ...init, signal })
    } catch (cause) {
      throw new RelayError('network', `The request failed: ${(cause as Error)?.message ?? cause}`, {
        cause,
        retryable: true,
      })
    }
    if (this.#over) response.body?.cancel().catch(() => {})
    this.response = response
    const { status, headers } = response
    this.runId = headers.get('x-run-id') ?? this.runId
    if (again) {
      // Nothing more to come, and the sentinel has not come.
      if (status === 204) {
        throw new RelayError('truncated', 'The server has nothing more, and the answer is not complete', {
          status,
          cause: this.#lost,
        })
      }
      this.#heed(headers.get('retry-after'))
    }
    const { signal: _, onRetry, ...options } = this.#options
    if (response.ok) options.onOpen?.(response)
    return parseSSE(response, {
      ...options,
      lastEventId: this.lastEventId,
      onRetry: (ms) => {
        this.#retryMs = ms
        onRetry?.(ms)
      },
    })
  }

  /** Whether asking again is resuming, and not a new run. */
  #isLost(error: unknown): boolean {
    if (this.#over || !isRelayError(error) || !(this.lastEventId || this.runId)) return false
    const { status = 0 } = error
    // An answer to the first request is final; the resuming one may meet a server that is not up yet.
    const transient = this.#lost !== undefined && (status >= 500 || status === 408 || status === 425 || status === 429)
    // With a body it is the server that says so, and that is an ending.
    const lost = status === 0 && error.body === undefined && LOST.has(error.code)
    return (transient || lost) && this.#retries++ < (this.#options.maxRetries ?? 8)
  }

  /** Waits a random part of a time that doubles, or less if the browser comes online. */
  #backOff(): Promise<void> {
    const ms = Math.random() * Math.min(MAX_RETRY_MS, this.#retryMs * 2 ** (this.#retries - 1)) + this.#retryAfterMs
    this.#retryAfterMs = 0
    return new Promise((resolve) => {
      const wake = () => {
        clearTimeout(timer)
        globalThis.removeEventListener?.('online', wake)
        this.#wake = undefined
        resolve()
      }
      const timer = setTimeout(wake, ms)
      globalThis.addEventListener?.('online', wake)
      this.#wake = wake
    })
  }

  #heed(retryAfter: string | null): void {
    if (retryAfter === null) return
    const ms = /^\d+$/.test(retryAfter) ? Number(retryAfter) * 1000 : Date.parse(retryAfter) - Date.now()
    if (ms > 0) this.#retryAfterMs = ms
  }

  #fetch(url: string | URL, init: RequestInit): Promise<Response> {
    const fetch = this.#options.fetch ?? globalThis.fetch
    return fetch(String(url), init)
  }

  /** The request without what belongs to its body. */
  #bare(method: string): RequestInit {
    const { body: _, duplex: __, ...init } = this.#init as RequestInit & { duplex?: string }
    const headers = this.#headers(init.headers)
    for (const name of ['content-type', 'content-length', 'content-encoding']) headers.delete(name)
    // As bytes of UTF-8, which is how a browser sends it, and the only way `Headers` takes any id.
    const id = this.lastEventId || `${this.runId}:0`
    if (method === 'GET') headers.set('last-event-id', String.fromCharCode(...new TextEncoder().encode(id)))
    return { ...init, method, headers, cache: 'no-store' }
  }

  #headers(given: RequestInit['headers']): Headers {
    const headers = new Headers(given)
    if (!headers.has('accept')) headers.set('accept', 'text/event-stream')
    if (this.runId) headers.set('x-run-id', this.runId)
    return headers
  }

  #onAbort = (): void => {
    const reason: unknown = this.#options.signal?.reason
    const aborted = { name: 'AbortError' }
    this.#finish(
      reason instanceof Error
        ? reason
        : Object.assign(new Error('The reading was aborted', { cause: reason }), aborted),
    )
  }

  /** Ends everything, whatever it waits for, with an error for whoever waits, or without. */
  #finish(...error: unknown[]): void {
    if (this.#over) return
    this.#over = true
    this.#options.signal?.removeEventListener('abort', this.#onAbort)
    this.#controller.abort()
    this.#events?.return()
    this.#wake?.()
    if (isRelayError(error[0])) Object.assign(error[0], { received: this.#received })
    // An abort in the middle of the consumer's work waits for its next call.
    if (!this.#waiting && error.length > 0) this.#aborted = Promise.reject(error[0])
    this.#aborted?.catch(() => {})
    this.#settle((waiting) => (error.length > 0 ? waiting.reject(error[0]) : waiting.resolve(DONE_RESULT)))
  }

  #settle(answer: (waiting: { resolve(result: Result): void; reject(error: unknown): void }) => void): void {
    const waiting = this.#waiting
    this.#waiting = undefined
    if (waiting) answer(waiting)
  }
}

/** Whether an event with this id was handed over before the one with the `known` id. */
function isRepeated(id: string, known: string): boolean {
  const [run, sequence] = split(id)
  const [knownRun, knownSequence] = split(known)
  return id === known || (run === knownRun && sequence <= knownSequence)
}

/** `<runId>:<seq>`; other ids have no order. */
function split(id: string): [run: string, sequence: number] {
  const colon = id.lastIndexOf(':')
  return [id.slice(0, colon), colon > 0 ? Number(id.slice(colon + 1)) : Number.NaN]
}

/** 128 random bits. */
function randomId(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('')
}
