import { RelayError } from '../errors.js'
import type { EventStream } from '../types.js'
import {
  isTransient,
  type Link,
  MAX_TIMEOUT,
  networkError,
  type ParseSSEOptions,
  readEvents,
  toAnswer,
} from './parse-sse.js'

/** As much of `fetch` as is needed. */
export type FetchLike = (url: string, init: RequestInit) => Promise<Response>

/** Options of {@link fetchSSE}: those of `fetch`, those of `parseSSE`, and these. */
export interface FetchSSEOptions extends Omit<RequestInit, 'signal'>, ParseSSEOptions {
  /** Where an interrupted answer is asked for again, with GET. @default the URL itself */
  resumeUrl?: string | URL | undefined
  /** Where `stop()` sends its DELETE: `:runId` in it stands for the run's id, or else the id is put at its end. */
  stopUrl?: string | URL | undefined
  /**
   * The run's id, `[A-Za-z0-9_-]{16,128}`.
   * @default that in the `lastEventId`, or a random one if there is a `resumeUrl` or `stopUrl`
   */
  runId?: string | undefined
  /** @default the global `fetch` */
  fetch?: FetchLike | undefined
  /** How often in a row an interrupted answer is asked for again without one new event. @default 8 */
  maxRetries?: number | undefined
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

/** The first wait before a retry is at most this long, unless the server says otherwise; it doubles from there. */
const RETRY_MS = 1000
const MAX_RETRY_MS = 30_000
const RUN_ID = /^[\w-]{16,128}$/

/**
 * Fetches an event stream and reads it to its end. The first request is sent at the first `next()` and exactly once,
 * whatever its method and answer; a `lastEventId` in the options is its `Last-Event-ID`. A lost connection is resumed
 * with GET and `Last-Event-ID` if the run or its events have ids; without ids it is an error, not a second bill.
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
  const { resumeUrl, stopUrl, fetch = globalThis.fetch, maxRetries = 8 } = options
  // A place in a run says which run it is.
  const [, begun] = /^([\w-]{16,128}):/.exec(options.lastEventId ?? '') ?? []
  const { runId = begun ?? (resumeUrl || stopUrl ? randomId() : undefined) } = options
  if (runId !== undefined && !RUN_ID.test(runId))
    throw new RelayError('invalid-option', `runId cannot be "${runId}": give 16 to 128 of A-Z a-z 0-9 _ -`)

  /** Of the latest request, until nothing more will be read. */
  let connection: AbortController | undefined
  /** The connection was lost with this error. */
  let lost: RelayError | undefined
  let retries = 0
  let retryMs = RETRY_MS
  /** Ends the wait before a retry. */
  let wake: (() => void) | undefined

  const link: Link = {
    isRepeated: (id, known) => lost !== undefined && isRepeated(id, known),
    async connect() {
      connection = new AbortController()
      const { signal } = connection
      const response = await fetch(String((lost && resumeUrl) ?? url), request(signal, lost && 'GET'))
      // A fetch that knows no signal answers all the same.
      if (signal.aborted) return response
      stream.response = response
      const told = response.headers.get('x-run-id') ?? ''
      if (RUN_ID.test(told)) stream.runId = told
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
      // One new event refills the budget.
      if (error.received !== lost?.received) retries = 0
      // An answer to the first request is final; the resuming one may meet a server that is not up yet. An error with a
      // body is what the server said, and that is an ending. One that is ours and may be retried is a lost connection.
      const isLost = status ? lost && isTransient(status) : body === undefined && retryable
      if (!isLost || retries++ >= maxRetries) return false
      lost = error
      // Seconds, or a date.
      const after = (status && stream.response?.headers.get('retry-after')) || ''
      const leastMs = Math.max(0, +after * 1000 || Date.parse(after) - Date.now() || 0)
      await backOff(leastMs)
      return true
    },
    leave() {
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
    link,
  )
  const stream = Object.assign(events, { runId, response: undefined as Response | undefined, stop })
  return stream

  /** Waits that long and a random part of a time that doubles, or until the browser comes online. */
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
    const target = String(stopUrl).replace(/:runId|\/?$/, (place) => (place === ':runId' ? runId : `/${runId}`))
    // Not with the stream's own signal: a page that stops also leaves.
    const answer = await fetch(target, { ...request(null, 'DELETE'), keepalive: true }).catch((cause) => {
      throw networkError(cause)
    })
    const { drop, refuse } = toAnswer(answer)
    drop()
    if (refuse && !answer.ok) throw refuse('')
  }

  /** The first request, or one without a body. */
  function request(signal: AbortSignal | null, method?: string): RequestInit {
    const { runId } = stream
    const headers = new Headers(options.headers)
    if (!headers.has('accept')) headers.set('accept', 'text/event-stream')
    if (runId) headers.set('x-run-id', runId)
    const lastEventId = lost ? lost.lastEventId || `${runId}:0` : options.lastEventId
    // As the bytes of its UTF-8, which is how a browser sends it, and the only way `Headers` takes any id.
    if (lastEventId && method !== 'DELETE')
      headers.set('last-event-id', String.fromCharCode(...new TextEncoder().encode(lastEventId)))
    if (!method) return { ...options, headers, signal }
    for (const name of ['content-type', 'content-length', 'content-encoding']) headers.delete(name)
    return { ...options, headers, signal, method, body: undefined as never, cache: 'no-store' }
  }
}

/** Whether the `<runId>:<seq>` of an event is not behind that of another; other ids have no order. */
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
