/** How is an answer fetched, resumed after a lost connection, and stopped? */

import { anything, type Finder, findNear, internal, plain, type Rule, type Rules } from '../check.js'
import { RelayError, show } from '../errors.js'
import type { EventStream } from '../types.js'
import { RetryBudget } from './backoff.js'
import { type Connector, callback, check, OPTIONS, type ParseSSEOptions, readEvents } from './reading-loop.js'
import { type FetchLike, fetchWithin } from './redirects.js'
import { toBody } from './sse-input.js'
import { isTransient, networkError, reasonOf } from './wire-errors.js'

export type { FetchLike } from './redirects.js'

/** Options of {@link fetchSSE}: those of `fetch`, those of `parseSSE`, and these. */
export interface FetchSSEOptions extends Omit<RequestInit, 'signal' | 'body'>, ParseSSEOptions {
  /** Sent as it is if `fetch` accepts it; any other object is sent as JSON. */
  body?: RequestInit['body'] | object | null | undefined
  /** The address that is asked, with GET, for the rest of an interrupted answer. @default the URL itself */
  resumeUrl?: string | URL | undefined
  /**
   * The address for the DELETE of `stop()`. A `:runId` in it stands for the run's id; without one the id is appended.
   */
  stopUrl?: string | URL | undefined
  /**
   * The run's id, `[A-Za-z0-9_-]{16,128}`; any other value throws `invalid-option`.
   * @default the id in `lastEventId`, or a random one if there is a `resumeUrl` or `stopUrl`
   */
  runId?: string | undefined
  /** @default the global `fetch` */
  fetch?: FetchLike | undefined
  /**
   * How long a lost connection is retried without a sign of life, in milliseconds; then the error is thrown. Signs of
   * life are a new event (if events have ids, one with a new id), and a connection that stays accepted for five
   * seconds. The time stands still while the browser says that it is offline.
   * @default 120_000
   */
  retryForMs?: number | undefined
  /** The most retries without a sign of life: a second limit, beside `retryForMs`. @default Infinity */
  maxRetries?: number | undefined
  /**
   * The longest wait for the next byte, in milliseconds; a heartbeat counts.
   * @default four heartbeats, and at least 30 seconds, if the answer gives their interval (`x-heartbeat-ms`)
   */
  idleTimeoutMs?: number | undefined
  /** Called for each response that is an event stream, before its events. */
  onOpen?(response: Response): void
}

/** The events of one answer, over as many connections as it takes. */
export interface FetchStream extends EventStream {
  /** The run's id: the given one, a random one, or, if the request had none, the one in the answer's `x-run-id`. */
  readonly runId: string | undefined
  /** The server's latest response. */
  readonly response: Response | undefined
  /**
   * Stops the answer; reading ends at once. Without a `stopUrl` it ends without an error, and a server without a log
   * stops the run because its reader left. With a `stopUrl` it ends with the error `stopped`, and the server is asked
   * to stop the run, again and again until it answers, also after time offline. Never rejects.
   *
   * @returns whether the server got the request: `false` if it refused, or could not be reached for two minutes.
   */
  stop(): Promise<boolean>
}

const notNegative: Rule = [(value: unknown) => typeof value === 'number' && value >= 0, 'give a number from 0 on']
const address: Rule = [(value: URL | string) => !value || typeof value === 'string' || value.href, 'give an address']

export const FETCH_OPTIONS: Rules<Exclude<keyof FetchSSEOptions, keyof RequestInit> | 'signal'> = {
  ...OPTIONS,
  resumeUrl: address,
  stopUrl: address,
  runId: anything,
  fetch: callback,
  retryForMs: notNegative,
  maxRetries: notNegative,
  onOpen: callback,
}
/** Options of `fetch` that a caller may misspell. */
const INIT: Rules = { method: internal, headers: internal, credentials: internal, body: internal }

/** Option names of `EventSource`, axios, fetch-event-source and this package's server, with their names here. */
const FOREIGN: readonly (readonly [name: RegExp, meant: string])[] = [
  [/^withcredentials$/, "credentials: 'include'"],
  [/^(json|data|payload|messages)$/, 'body'],
  [/^resume$/, 'resumeUrl'],
  [/^stop$/, 'stopUrl'],
  [/^retry$/, 'retryForMs'],
  [/^retries$/, 'maxRetries'],
  [/^timeout$/, 'idleTimeoutMs'],
  [/^on(message|error|close)$/, 'a loop over the events, in try and catch'],
]

/** Like `findNear`. Also finds the option that another library's name means, if the function has that option. */
export const findForeign: Finder = (given, names) => {
  const [, meant = ''] = FOREIGN.find(([name]) => name.test(plain(given))) ?? []
  return findNear(given, names) ?? (/ |:/.test(meant) || names.includes(meant) ? meant : undefined)
}

/** This many heartbeats of silence, and at least this many milliseconds, mean a lost connection. */
const HEARTBEATS = 4
const LEAST_IDLE_MS = 30_000
/** A connection that stays accepted this long is a sign of life, even without an event. */
const ALIVE_MS = 5000
/** The longest id, in bytes. */
const MAX_ID = 4096
const RUN_ID = /^[\w-]{16,128}$/
const NO_STORE = { cache: 'no-store' } as const

/**
 * Fetches an answer and yields its events, over as many connections as it takes. The first request is sent at the first
 * `next()`, and exactly once, whatever its method and its response; a `lastEventId` in the options is its
 * `Last-Event-ID`. A lost connection is resumed with GET and `Last-Event-ID` if the events have ids, or the run has one
 * and no event came yet. Else it is an error: not a second bill, and nothing twice. If an answer gives its heartbeat, silence counts as a lost connection.
 *
 * @throws {RelayError} `invalid-option`, at once. While reading, once resuming cannot help: what `parseSSE` throws;
 * `truncated` also when the server has nothing more (204); `network` also when the question never arrived; the server's
 * own code (`run-not-found`, `cursor-gone`) for a resuming request that it rejects.
 * @see https://html.spec.whatwg.org/multipage/server-sent-events.html#sse-processing-model for resuming requests
 * @example
 * ```ts
 * const stream = fetchSSE('/api/chat', { method: 'POST', body: JSON.stringify({ messages }) })
 * for await (const text of readText(stream)) output.textContent += text
 * ```
 */
export function fetchSSE(url: string | URL, options: FetchSSEOptions = {}): FetchStream {
  // Hosts add their own options to `fetch`, and a caller's own `fetch` may have those of other libraries.
  check('fetchSSE', options, { ...INIT, ...FETCH_OPTIONS }, options.fetch ? findNear : findForeign, true)
  const { resumeUrl, stopUrl, lastEventId: place } = options
  const fetch = options.fetch ?? globalThis.fetch
  if (place && !isSendable(place)) throw new RelayError('invalid-option', idMistake('lastEventId', place))
  // An event id `<runId>:<seq>` contains the run's id.
  const [, begunId] = /^([\w-]{16,128}):/.exec(place ?? '') ?? []
  const { runId = begunId ?? (resumeUrl || stopUrl ? randomId() : undefined) } = options
  if (runId !== undefined && !RUN_ID.test(runId))
    throw new RelayError('invalid-option', `runId cannot be ${show(runId)}: give 16 to 128 of A-Z a-z 0-9 _ -`)

  if (options.body && /^(get|head|)$/i.test(options.method ?? ''))
    throw new RelayError('invalid-option', `method cannot be ${options.method ?? 'GET'} with a body: give 'POST'`)
  const given = make(() => new Headers(options.headers))
  const json = isJSON(options.body) ? make(() => JSON.stringify(options.body)) : undefined

  // The states are those of the loop in reading-loop.ts. This function decides only which request `connecting` makes:
  // the first one while `lost` is undefined, a resuming one after that.
  /** Aborts the latest request. */
  let connection: AbortController | undefined
  /** The error of the latest lost connection. */
  let lost: RelayError | undefined
  const budget = new RetryBudget(options.retryForMs, options.maxRetries)
  /** When the latest request was sent, and when its answer was accepted. */
  let askedAt = 0
  let openedAt = 0
  /** Whether the question arrived: the server has answered it, or knows its run. */
  let hasArrived = Boolean(place)
  /** Whether the server has reported how the answer ended: then there is nothing to stop. */
  let isOver = false
  let stopping: Promise<boolean> | undefined

  const connector: Connector = {
    isRepeated: (id, known) => lost !== undefined && isRepeated(id, known),
    async connect() {
      connection = new AbortController()
      const { signal } = connection
      askedAt = Date.now()
      openedAt = 0
      const response = await send(String((lost && resumeUrl) ?? url), request(signal, lost && 'GET'))
      // A `fetch` that ignores its signal still resolves.
      if (signal.aborted) return response
      stream.response = response
      const { headers, ok, status } = response
      if (ok) openedAt = Date.now()
      hasArrived ||= ok || !lost
      // If the request named the run, the answer does not rename it.
      const named = headers.get('x-run-id') ?? ''
      if (RUN_ID.test(named)) stream.runId ??= named
      const heartbeatMs = Number(headers.get('x-heartbeat-ms'))
      if (heartbeatMs > 0) connector.idleTimeoutMs = Math.max(LEAST_IDLE_MS, HEARTBEATS * heartbeatMs)
      if ((lost || place) && status === 204)
        throw new RelayError('truncated', 'The answer was cut off: the server has no more of it', {
          status,
          ...(lost && { cause: lost }),
        })
      return response
    },
    async recover(error) {
      connection?.abort()
      if (!(error instanceof RelayError)) throw error
      const { code, status = 0, body, retryable, received, lastEventId } = error
      const now = Date.now()
      // If events have ids, an event without one is no progress: a resuming request has it sent again.
      const isNew = lastEventId ? lastEventId !== lost?.lastEventId : received !== lost?.received
      const isAlive = isNew || (openedAt && now - openedAt >= ALIVE_MS)
      if (isAlive) budget.refill()
      // The run is over if an event said how it ended, or if the server itself refused the question. A refusal from in
      // front of the server, or of a resuming request, does not end the run, except for 204, which comes after its end.
      if (!status) isOver = body !== undefined
      else if (lost || place) isOver = status === 204
      else isOver = code !== 'http-status' || status < 500
      // An error status of the first request is final; a resuming request may meet a server that is starting. Without a
      // status, an error with a body is the server's report of an ending; a retryable error of our own is a lost
      // connection.
      const isLost = status ? lost && isTransient(status) : !isOver && retryable
      if (status === 404 && lost && !hasArrived)
        throw lostForGood('The question never arrived: ask again', error, lost.cause ?? lost)
      // Events without ids have no place: the run from its first event would tell them twice.
      if (!isLost || !(lastEventId || (stream.runId && !received))) throw error
      if (lastEventId && !isSendable(lastEventId))
        throw lostForGood(`The connection was lost, and ${idMistake('the last event id', lastEventId)}`, error, error)
      lost = error
      isOver = false
      const afterMs = status && stream.response ? retryAfter(stream.response) : 0
      if (!(await budget.backOff(isAlive ? 0 : now - askedAt, afterMs))) throw error
    },
    complete() {
      isOver = true
    },
    close() {
      connection?.abort()
      budget.wake?.()
    },
  }

  const events = readEvents(
    {
      ...options,
      onRetry(ms) {
        budget.retryMs = ms
        options.onRetry?.(ms)
      },
    },
    undefined,
    connector,
  )
  const stream = Object.assign(events, {
    runId,
    response: undefined as Response | undefined,
    stop() {
      // If the server did not get the request, the next call sends it again.
      stopping ??= tellToStop().then((isTold) => {
        if (!isTold) stopping = undefined
        return isTold
      })
      return stopping
    },
  })
  return stream

  async function tellToStop(): Promise<boolean> {
    const { runId } = stream
    if (!stopUrl || !runId || !connection || isOver) {
      await events.return()
      return true
    }
    // This comes first: a browser has six connections per server, and the streams may use them all.
    connector.end?.(new RelayError('stopped', 'The answer was stopped'))
    const target = String(stopUrl).replace(/:runId|\/?$/, (found) => (found === ':runId' ? runId : `/${runId}`))
    const budget = new RetryBudget()
    for (;;) {
      const sentAt = Date.now()
      let response: Response | undefined
      try {
        // Without the stream's signal, and with `keepalive`: a page that stops often leaves at once.
        response = await send(target, { ...request(null, 'DELETE'), keepalive: true })
      } catch (error) {
        if ((error as RelayError).retryable === false) return false
      }
      if (response) toBody(response).cancel()
      if (response && !isTransient(response.status)) return response.ok
      if (!(await budget.backOff(Date.now() - sentAt, response && retryAfter(response)))) return false
    }
  }

  async function send(url: string, init: RequestInit): Promise<Response> {
    try {
      return await fetchWithin(fetch, url, init)
    } catch (error) {
      // Did the connection fail, or does the platform make no request at all from these options? A caller's own `fetch`
      // may have other options.
      if (!options.fetch) make(() => new Request('http://localhost', { ...init, body: null, signal: null }))
      throw requestError(error)
    }
  }

  /** The first request, or one without a body. */
  function request(signal: AbortSignal | null, method?: string): RequestInit {
    const { runId } = stream
    const headers = new Headers(given)
    if (!headers.has('accept')) headers.set('accept', 'text/event-stream')
    if (runId) headers.set('x-run-id', runId)
    const lastEventId = lost ? lost.lastEventId || `${runId}:0` : place
    // One character per UTF-8 byte: a browser sends these bytes, and `Headers` accepts no character above U+00FF.
    if (lastEventId && method !== 'DELETE') headers.set('last-event-id', String.fromCharCode(...utf8(lastEventId)))
    if (!method) {
      if (json !== undefined && !headers.has('content-type')) headers.set('content-type', 'application/json')
      const isGet = /^get$/i.test(options.method ?? 'get')
      return {
        ...(isGet && NO_STORE),
        ...options,
        headers,
        signal,
        body: json ?? (options.body as RequestInit['body']),
      }
    }
    for (const name of ['content-type', 'content-length', 'content-encoding']) headers.delete(name)
    return { ...options, headers, signal, method, body: undefined as never, ...NO_STORE }
  }
}

/** What the runtimes' `fetch` says about an address that it cannot ask; Node says it in the cause. */
const NO_URL = /(parse|valid).* URL|URL.*(valid|credentials)|scheme|bad port/i

/** What a `fetch` throws. A page's own (ky, ofetch, axios) may also throw answers, which have a status. */
interface Thrown {
  response?: { status?: unknown }
  status?: unknown
}

/** The error to throw instead of an answer. An address that cannot be asked is a mistake, however often it is tried. */
function requestError(thrown: unknown): unknown {
  if (thrown instanceof RelayError) return thrown
  const { response, status = response?.status } = (thrown ?? {}) as Thrown
  // Some report 0 for a failed connection.
  if (typeof status === 'number' && status >= 300)
    return new RelayError(
      'http-status',
      `The server answered with status ${status}, and this fetch throws that: have it return the answer, which says more`,
      { cause: thrown, status, retryable: isTransient(status) },
    )
  return NO_URL.test(reasonOf(thrown))
    ? unsendable(
        thrown,
        'outside of a page give a whole URL, https://…, with no password in it, and no port that fetch refuses',
      )
    : networkError(thrown)
}

/** The error for a request that `fetch` never sends, whatever the connection. */
function unsendable(cause: unknown, remedy: string): RelayError {
  return new RelayError('invalid-option', `The request cannot be sent (${reasonOf(cause)}): ${remedy}`, {
    cause,
  })
}

/** Calls `create`. What the platform refuses to make is the caller's mistake, and a retry does not help. */
function make<T>(create: () => T): T {
  try {
    return create()
  } catch (error) {
    throw unsendable(error, 'give what fetch takes')
  }
}

/** The error that ends a stream whose connection was lost, and for which no request can be made. */
function lostForGood(message: string, { received, lastEventId, pending }: RelayError, cause: unknown): RelayError {
  return Object.assign(new RelayError('network', message, { cause, retryable: true }), {
    received,
    lastEventId,
    pending,
  })
}

/** The answer's `Retry-After` in milliseconds: seconds, or a date by the server's clock, if its `date` gives that. */
function retryAfter({ headers }: Response): number {
  const after = headers.get('retry-after') ?? ''
  const now = Date.parse(headers.get('date') ?? '') || Date.now()
  return Math.max(0, +after * 1000 || Date.parse(after) - now || 0)
}

const utf8 = (text: string) => new TextEncoder().encode(text)

/** Whether a header can carry the whole id: not all servers accept more than 8 KiB of headers. */
function isSendable(id: string): boolean {
  return !/[^\t -~\u0080-\uffff]|^[\t ]|[\t ]$/.test(id) && id.length <= MAX_ID && utf8(id).length <= MAX_ID
}

function idMistake(what: string, id: string): string {
  return `${what} cannot be ${show(id)}: a header carries no control characters, no spaces around it, and ${MAX_ID} bytes at most`
}

/** Whether the body goes out as JSON: `fetch` takes anything else as it is. */
function isJSON(body: unknown): boolean {
  const isOther = (value: object) => 'append' in value || Symbol.asyncIterator in value
  return (
    /^\[object (Object|Array|Number|Boolean)\]$/.test(Object.prototype.toString.call(body)) && !isOther(Object(body))
  )
}

/** Whether an id `<runId>:<seq>` is not after another one of its run. Other ids have no order. */
function isRepeated(id: string, known: string): boolean {
  const colon = id.lastIndexOf(':') + 1
  return (
    id === known ||
    (colon > 0 && id.slice(0, colon) === known.slice(0, colon) && +id.slice(colon) <= +known.slice(colon))
  )
}

/** 128 random bits, or nearly as many if the platform has no `crypto`, as in React Native. */
function randomId(): string {
  const parts = new Uint32Array(4)
  globalThis.crypto?.getRandomValues(parts)
  return Array.from(parts, (part) =>
    (part || Math.floor(Math.random() * 2 ** 32) + 1).toString(36).padStart(7, '0'),
  ).join('')
}
