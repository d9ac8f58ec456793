import { createChannel } from './channel.js'
import { isRelayError, RelayError } from './errors.js'
import { isEventStream, type ParseSSEOptions, parseSSE } from './parse-sse.js'
import type { EventStream } from './types.js'

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

/** The first wait before a retry is at most this long, unless the server says otherwise; it doubles from there. */
const RETRY_MS = 1000
const MAX_RETRY_MS = 30_000
const MAX_TIMEOUT = 0x7fffffff
const RUN_ID = /^[\w-]{16,128}$/
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
  const { resumeUrl = url, stopUrl, fetch = globalThis.fetch, maxRetries = 8, onOpen, ...rest } = options
  const { sentinel, signal, idleTimeoutMs, eventTimeoutMs, maxEventSize, eof, lastEventId = '', ...more } = rest
  const { onComment, onRetry, runId: givenId, ...init } = more
  if (givenId !== undefined && !RUN_ID.test(givenId)) {
    throw new RelayError('invalid-option', `runId cannot be "${givenId}": give 16 to 128 of A-Z a-z 0-9 _ -`)
  }

  /** Of the latest connection. */
  let aborter: AbortController | undefined
  let runId = givenId ?? (options.resumeUrl || stopUrl ? randomId() : undefined)
  let response: Response | undefined
  let events: EventStream | undefined
  let latestId = lastEventId
  /** The connection was lost with this error. */
  let lost: unknown
  let retries = 0
  let retryMs = RETRY_MS
  let retryAfterMs = 0
  /** Ends the wait before a retry. */
  let wake: (() => void) | undefined

  const channel = createChannel(
    () => latestId,
    signal,
    pull,
    () => {
      aborter?.abort()
      events?.return()
      wake?.()
    },
  )

  return Object.defineProperties(channel.stream as FetchStream, {
    runId: { get: () => runId },
    response: { get: () => response },
    stop: { value: stop },
  })

  async function pull() {
    try {
      events ??= await connect()
      const { done, value } = await events.next()
      const known = latestId
      latestId = events.lastEventId
      if (done) channel.end()
      else if (lost !== undefined && value.id !== undefined && isRepeated(value.id, known)) latestId = known
      else {
        retries = 0
        if (!channel.ended) channel.push(value)
      }
    } catch (error) {
      // An id counts without data too: the stream has read further than its last event.
      const read = events?.lastEventId ?? latestId
      if (lost === undefined || !isRepeated(read, latestId)) latestId = read
      events = undefined
      if (isLost(error)) lost = error
      else {
        if (isRelayError(error)) Object.assign(error, { received: channel.received, lastEventId: latestId })
        channel.end(error)
      }
    }
    channel.settle()
  }

  /** The first request, or one that resumes. */
  async function connect(): Promise<EventStream> {
    const again = lost !== undefined
    if (again) await backOff()
    // Woken by the end: a fetch that ignores its signal would send it.
    if (channel.ended) throw lost
    const connection = new AbortController()
    const { signal: aborted } = connection
    aborter = connection
    const onSilence = () =>
      connection.abort(new RelayError('idle-timeout', `No byte came for ${idleTimeoutMs} ms`, { retryable: true }))
    // Before the headers it is silent as well: a server of ours sends them with the first event.
    const timer = Number(idleTimeoutMs) <= MAX_TIMEOUT ? setTimeout(onSilence, idleTimeoutMs) : undefined
    try {
      response = await new Promise<Response>((resolve, reject) => {
        aborted.onabort = () => reject(aborted.reason)
        fetch(String(again ? resumeUrl : url), {
          ...(again ? bare('GET') : { ...init, headers: headersOf() }),
          signal: aborted,
        }).then((answer) => {
          // A fetch that knows no signal answers all the same.
          if (aborted.aborted) answer.body?.cancel?.()?.catch?.(() => {})
          else resolve(answer)
        }, reject)
      })
    } catch (cause) {
      throw isRelayError(cause) ? cause : networkError(cause)
    } finally {
      clearTimeout(timer)
    }
    const { status, headers } = response
    const told = headers.get('x-run-id') ?? ''
    if (RUN_ID.test(told)) runId = told
    if (again) {
      if (status === 204) {
        const message = 'The server has nothing more, and the answer is not complete'
        throw new RelayError('truncated', message, { status, cause: lost })
      }
      const retryAfter = headers.get('retry-after') ?? ''
      retryAfterMs = /^\d+$/.test(retryAfter) ? +retryAfter * 1000 : Date.parse(retryAfter) - Date.now() || 0
    }
    if (isEventStream(response)) onOpen?.(response)
    const stream = parseSSE(response, {
      sentinel,
      idleTimeoutMs,
      eventTimeoutMs,
      maxEventSize,
      eof,
      lastEventId: latestId,
      onComment,
      onRetry(ms) {
        retryMs = ms
        onRetry?.(ms)
      },
    })
    // onOpen may have ended it.
    if (channel.ended) stream.return()
    return stream
  }

  /** Whether asking again is resuming, and not a new run. */
  function isLost(error: unknown): boolean {
    if (channel.ended || !isRelayError(error) || !(latestId || runId)) return false
    const { status = 0, body, code } = error
    // An answer to the first request is final; the resuming one may meet a server that is not up yet.
    const transient = lost !== undefined && (status >= 500 || status === 408 || status === 425 || status === 429)
    // With a body it is the server that says so, and that is an ending.
    return (transient || (!status && body === undefined && LOST.has(code))) && retries++ < maxRetries
  }

  /** Waits a random part of a time that doubles, or until the browser comes online. */
  function backOff(): Promise<void> {
    const ms = Math.random() * Math.min(MAX_RETRY_MS, retryMs * 2 ** (retries - 1)) + Math.max(0, retryAfterMs)
    retryAfterMs = 0
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer)
        globalThis.removeEventListener?.('online', done)
        resolve()
      }
      const timer = setTimeout(done, Math.min(ms, MAX_TIMEOUT))
      globalThis.addEventListener?.('online', done)
      wake = done
    })
  }

  async function stop(): Promise<void> {
    if (!stopUrl || !runId || !channel.begun || channel.ended) {
      await channel.stream.return()
      return
    }
    const path = String(stopUrl)
    const target = path.includes(':runId') ? path.replace(':runId', runId) : `${path.replace(/\/$/, '')}/${runId}`
    let answer: Response
    try {
      // Not with the stream's own signal: a page that stops also leaves.
      answer = await fetch(target, { ...bare('DELETE'), keepalive: true })
    } catch (cause) {
      throw networkError(cause)
    }
    const { ok, status } = answer
    answer.body?.cancel?.()?.catch?.(() => {})
    if (!ok) throw new RelayError('http-status', `The server answered the stop with status ${status}`, { status })
  }

  function headersOf(): Headers {
    const headers = new Headers(init.headers)
    if (!headers.has('accept')) headers.set('accept', 'text/event-stream')
    if (runId) headers.set('x-run-id', runId)
    return headers
  }

  /** The request without what belongs to its body. */
  function bare(method: string): RequestInit {
    const headers = headersOf()
    for (const name of ['content-type', 'content-length', 'content-encoding']) headers.delete(name)
    if (method === 'GET') {
      // As the bytes of its UTF-8, which is how a browser sends it, and the only way `Headers` takes any id.
      const bytes = new TextEncoder().encode(latestId || `${runId}:0`)
      headers.set('last-event-id', String.fromCharCode(...bytes))
    }
    return { ...init, method, headers, body: undefined, cache: 'no-store' }
  }
}

function networkError(cause: unknown): RelayError {
  return new RelayError('network', `The request failed: ${(cause as Error)?.message}`, { cause, retryable: true })
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
