/** How is an answer fetched, resumed after a lost connection, and stopped? */

import { anything, type Rules } from '../check.js'
import { RelayError } from '../errors.js'
import type { EventStream } from '../types.js'
import { toBody } from './body.js'
import { isTransient, networkError } from './failures.js'
import { type Connector, check, MAX_TIMEOUT, OPTIONS, type ParseSSEOptions, readEvents } from './reading-loop.js'

/** As much of `fetch` as is needed. */
export type FetchLike = (url: string, init: RequestInit) => Promise<Response>

/** Options of {@link fetchSSE}: those of `fetch`, those of `parseSSE`, and these. */
export interface FetchSSEOptions extends Omit<RequestInit, 'signal'>, ParseSSEOptions {
  /** Where the rest of an interrupted answer is requested, with GET. @default the URL itself */
  resumeUrl?: string | URL | undefined
  /** Where `stop()` sends its DELETE: `:runId` in it is replaced with the run's id; without it the id is appended. */
  stopUrl?: string | URL | undefined
  /**
   * The run's id, `[A-Za-z0-9_-]{16,128}`; another one throws `invalid-option`.
   * @default that in the `lastEventId`, or a random one if there is a `resumeUrl` or `stopUrl`
   */
  runId?: string | undefined
  /** @default the global `fetch` */
  fetch?: FetchLike | undefined
  /** How many resuming requests in a row may bring no new event; then the error is thrown. @default 8 */
  maxRetries?: number | undefined
  /** Called for each response that is an event stream, before its events. */
  onOpen?(response: Response): void
}

/** The events of one answer, over as many connections as it takes. */
export interface FetchStream extends EventStream {
  /** The run's id: given, made, or named by the server's `x-run-id`. */
  readonly runId: string | undefined
  /** The latest response of the server. */
  readonly response: Response | undefined
  /**
   * Stops the run. With a `stopUrl`, asks the server to, and the events then end as the server ends them. Without one,
   * ends the reading here: a server without a log stops the run of a reader that left.
   *
   * @throws {RelayError} `http-status` (or the server's own code) or `network`, when the server did not hear of it.
   */
  stop(): Promise<void>
}

export const FETCH_OPTIONS: Rules<Exclude<keyof FetchSSEOptions, keyof RequestInit> | 'signal'> = {
  ...OPTIONS,
  resumeUrl: anything,
  stopUrl: anything,
  runId: anything,
  fetch: anything,
  maxRetries: anything,
  onOpen: anything,
}

/** The first wait before a retry is at most this long, unless the server's `retry` says otherwise; then it doubles. */
const RETRY_MS = 1000
const MAX_RETRY_MS = 30_000
const RUN_ID = /^[\w-]{16,128}$/

/**
 * The events of an answer, fetched, over as many connections as it takes. The first request is sent at the first
 * `next()` and exactly once, whatever its method and its response; a `lastEventId` in the options is its `Last-Event-ID`.
 * A lost connection is resumed with GET and `Last-Event-ID` if the run or its events have ids; without ids it is an
 * error, not a second bill.
 *
 * @throws {RelayError} `invalid-option`, at once. While reading, once resuming cannot help: what `parseSSE` throws;
 * `truncated` also when the server has nothing more (204); the server's own code (`run-not-found`, `cursor-gone`) for a
 * resuming request it rejects.
 * @see https://html.spec.whatwg.org/multipage/server-sent-events.html#sse-processing-model for what a resuming request is
 * @example
 * ```ts
 * const stream = fetchSSE('/api/chat', { method: 'POST', body: JSON.stringify({ messages }) })
 * for await (const text of readText(stream)) output.textContent += text
 * ```
 */
export function fetchSSE(url: string | URL, options: FetchSSEOptions = {}): FetchStream {
  // Hosts have options of their own for fetch.
  check('fetchSSE', options, FETCH_OPTIONS, true)
  const { resumeUrl, stopUrl, fetch = globalThis.fetch, maxRetries = 8 } = options
  // An event id `<runId>:<seq>` names its run.
  const [, begunId] = /^([\w-]{16,128}):/.exec(options.lastEventId ?? '') ?? []
  const { runId = begunId ?? (resumeUrl || stopUrl ? randomId() : undefined) } = options
  if (runId !== undefined && !RUN_ID.test(runId))
    throw new RelayError('invalid-option', `runId cannot be "${runId}": give 16 to 128 of A-Z a-z 0-9 _ -`)

  // The states are those of the loop (reading-loop.ts). Here is only which request it makes in `connecting`: the first
  // one while `lost` is undefined, a resuming one from then on.
  /** Aborts the latest request. None before the first one, and none once nothing more will be read. */
  let connection: AbortController | undefined
  /** The error with which the connection was lost the last time. */
  let lost: RelayError | undefined
  /** Resuming requests since the last new event. */
  let retries = 0
  let retryMs = RETRY_MS
  /** Ends the wait before a retry. */
  let wake: (() => void) | undefined

  const connector: Connector = {
    isRepeated: (id, known) => lost !== undefined && isRepeated(id, known),
    async connect() {
      connection = new AbortController()
      const { signal } = connection
      const response = await fetch(String((lost && resumeUrl) ?? url), request(signal, lost && 'GET'))
      // A `fetch` that ignores its signal still resolves.
      if (signal.aborted) return response
      stream.response = response
      const named = response.headers.get('x-run-id') ?? ''
      if (RUN_ID.test(named)) stream.runId = named
      if (lost && response.status === 204)
        throw new RelayError('truncated', 'The server has nothing more: the answer is not complete', {
          status: 204,
          cause: lost,
        })
      return response
    },
    async recover(error) {
      connection?.abort()
      if (!(error instanceof RelayError) || !(error.lastEventId || stream.runId)) return false
      const { status = 0, body, retryable } = error
      // One new event, and all retries are there again.
      if (error.received !== lost?.received) retries = 0
      // An error status of the first request is final; a resuming request may meet a server that is not up yet. Without
      // a status, an error with a body is what the server said of the run, and that is an ending; a retryable error of
      // our own is a lost connection.
      const isLost = status ? lost && isTransient(status) : body === undefined && retryable
      if (!isLost || retries++ >= maxRetries) return false
      lost = error
      // `Retry-After` is in seconds, or a date.
      const after = (status && stream.response?.headers.get('retry-after')) || ''
      const leastMs = Math.max(0, +after * 1000 || Date.parse(after) - Date.now() || 0)
      await backOff(leastMs)
      return true
    },
    close() {
      connection?.abort()
      connection = undefined
      wake?.()
    },
  }

  const events = readEvents(
    {
      ...options,
      onRetry(ms) {
        retryMs = ms
        options.onRetry?.(ms)
      },
    },
    undefined,
    connector,
  )
  const stream = Object.assign(events, { runId, response: undefined as Response | undefined, stop })
  return stream

  /** Waits `leastMs` and a random part of a time that doubles with each retry, or until the browser comes online. */
  async function backOff(leastMs: number): Promise<void> {
    const ms = leastMs + Math.random() * Math.min(MAX_RETRY_MS, retryMs * 2 ** (retries - 1))
    let timer: ReturnType<typeof setTimeout> | undefined
    await new Promise<void>((resolve) => {
      wake = resolve
      timer = setTimeout(wake, Math.min(ms, MAX_TIMEOUT))
      globalThis.addEventListener?.('online', wake)
    })
    clearTimeout(timer)
    globalThis.removeEventListener?.('online', wake as () => void)
  }

  async function stop(): Promise<void> {
    const { runId } = stream
    if (!stopUrl || !runId || !connection) return void (await events.return())
    const target = String(stopUrl).replace(/:runId|\/?$/, (found) => (found === ':runId' ? runId : `/${runId}`))
    // Without the stream's signal, and `keepalive`: a page that stops often leaves at once.
    const response = await fetch(target, { ...request(null, 'DELETE'), keepalive: true }).catch((cause) => {
      throw networkError(cause)
    })
    const { cancel, refusal } = toBody(response)
    cancel()
    if (refusal && !response.ok) throw refusal('')
  }

  /** The first request, or one without a body. */
  function request(signal: AbortSignal | null, method?: string): RequestInit {
    const { runId } = stream
    const headers = new Headers(options.headers)
    if (!headers.has('accept')) headers.set('accept', 'text/event-stream')
    if (runId) headers.set('x-run-id', runId)
    const lastEventId = lost ? lost.lastEventId || `${runId}:0` : options.lastEventId
    // As one character per UTF-8 byte: a browser sends these bytes, and `Headers` takes no character past U+00FF.
    if (lastEventId && method !== 'DELETE')
      headers.set('last-event-id', String.fromCharCode(...new TextEncoder().encode(lastEventId)))
    if (!method) return { ...options, headers, signal }
    for (const name of ['content-type', 'content-length', 'content-encoding']) headers.delete(name)
    return { ...options, headers, signal, method, body: undefined as never, cache: 'no-store' }
  }
}

/** Whether an id `<runId>:<seq>` comes before or with another one of its run; other ids have no order. */
function isRepeated(id: string, known: string): boolean {
  const colon = id.lastIndexOf(':') + 1
  return (
    id === known ||
    (colon > 0 && id.slice(0, colon) === known.slice(0, colon) && +id.slice(colon) <= +known.slice(colon))
  )
}

/** 128 random bits. */
function randomId(): string {
  return crypto.getRandomValues(new Uint32Array(4)).join('-')
}
