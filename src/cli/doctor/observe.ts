/** What came in answer to one request, and when? */
import type { Readable } from 'node:stream'
import { createBrotliDecompress, createGunzip, createInflate, constants as zlib } from 'node:zlib'
import { isComplete, isFailed } from '../../client/final-events.js'
import { createParser } from '../../client/parser.js'
import { DONE, type ParsedEvent } from '../../types.js'
import type { CliRequest } from '../request.js'
import { type Answer, type Asked, type Connection, openConnection, type SideAnswer } from './connect.js'
import { checkLines, type Flaw, type Unfinished } from './strict-lines.js'

export interface ObserveOptions {
  /** The origin of the page, if it is not the server's own. */
  origin?: string
  /** The data that completes an answer; `false` for streams that end without it. @default '[DONE]' */
  sentinel?: string | false
  /** The longest time to observe, in milliseconds. */
  maxMs: number
  /** The most bytes that are read: more would be a bomb, or a stream that is not an answer. @default 8 MiB */
  maxBytes?: number
  /** Takes any certificate. */
  insecure?: boolean
  /** Called with the current step. */
  onProgress?(state: string): void
  signal?: AbortSignal
}

/** What came in one piece. Times are in milliseconds since the request was sent. */
export interface Arrival {
  atMs: number
  /** After decompression. */
  bytes: number
  events: number
  comments: number
}

export interface SeenEvent extends ParsedEvent {
  atMs: number
}

/** A preflight: what the browser asks permission for, and the answer. */
export interface Preflight extends SideAnswer {
  method: string
  /** The names of the headers that it asks for. */
  asked: string[]
}

export interface CorsObservation {
  origin: string
  /** The preflight of the request itself; absent if the browser would send none. */
  preflight?: Preflight
  /** The preflight before a page resumes a lost answer; absent if no page is known to need one. */
  resume?: Preflight
  /** The preflight before a page stops the run. */
  stop?: Preflight
  /** Whether the request carries cookies, for which the wildcard is not enough. */
  credentials: boolean
}

export interface HeadObservation {
  /** Absent if no answer came in time. */
  answer?: SideAnswer
  /** Whether the connection was busy long after the answer: the server ran the stream for nobody. Absent if unknown. */
  busy?: boolean
  waitedMs: number
}

export interface Observation {
  request: { url: string; method: string; headers: Record<string, string> }
  httpVersion: string
  status: number
  headers: Record<string, string>
  connectMs: number
  headMs: number
  arrivals: Arrival[]
  events: SeenEvent[]
  /** When each comment came. */
  comments: number[]
  flaws: Flaw[]
  unfinished?: Unfinished
  /** `open`: this command left while more might have come. */
  ending: 'complete' | 'cut' | 'open'
  /** The limit that made this command leave, if one did: there was more than it reads. */
  limit?: string
  /** The error of the connection or of the decompression. */
  error?: string
  endMs: number
  sentinel: string | false
  /** The beginning of the body, if the answer is not a stream. */
  refusal?: string
  cors?: CorsObservation
  head?: HeadObservation
}

/** How long the response may stay open after the answer's last event. */
const GRACE_MS = 3000
const MiB = 1024 * 1024
const MAX_LINES = 100_000
const MAX_REFUSAL = 2000
const HEAD_WAIT_MS = 10_000
/** How long a free connection may take to answer a second request. */
const BUSY_MS = 1500
/** Like a browser's, but without zstd, which Node 20 cannot read. */
const ACCEPT_ENCODING = 'gzip, deflate, br'

/** @throws the connection's error, if there was no answer to observe. */
export async function observe(request: CliRequest, options: ObserveOptions): Promise<Observation> {
  const { origin } = options
  const asked: Asked = {
    method: request.method,
    headers: { 'accept-encoding': ACCEPT_ENCODING, ...request.headers, ...(origin && { origin }) },
    ...(request.body !== undefined && { body: request.body }),
  }
  const observation = await observeStream(request.url, asked, options)
  if (origin) {
    options.onProgress?.('asking as a page of another origin')
    observation.cors = await observeCors(request.url, asked, origin, options, isKept(observation))
  }
  const isStream = observation.status === 200 && observation.ending === 'complete'
  if (request.method === 'GET' && isStream) {
    options.onProgress?.('asking for the head alone')
    observation.head = await observeHead(request.url, asked, observation.endMs - observation.headMs, options)
  }
  return observation
}

async function observeStream(url: URL, asked: Asked, options: ObserveOptions): Promise<Observation> {
  const { sentinel = DONE, maxMs, maxBytes, insecure = false, onProgress } = options
  const timeout = AbortSignal.timeout(maxMs)
  const signal = options.signal ? AbortSignal.any([options.signal, timeout]) : timeout
  onProgress?.('connecting')
  const beforeConnect = performance.now()
  const connection = await openConnection(url, insecure, signal)
  const start = performance.now()
  const now = () => performance.now() - start
  onProgress?.('waiting for the head of the answer')
  try {
    const answer = await connection.ask(asked)
    const headMs = now()
    const read = await readBody(answer, now, { sentinel, signal, maxBytes, onProgress })
    return {
      request: { url: url.href, method: asked.method, headers: asked.headers },
      httpVersion: answer.httpVersion,
      status: answer.status,
      headers: answer.headers,
      connectMs: start - beforeConnect,
      headMs,
      sentinel,
      ...read,
    }
  } catch (error) {
    throw timeout.aborted ? new Error(`There was no answer within ${Math.round(maxMs / 1000)} s`) : error
  } finally {
    connection.close()
  }
}

type Read = Pick<
  Observation,
  'arrivals' | 'events' | 'comments' | 'flaws' | 'unfinished' | 'ending' | 'limit' | 'error' | 'endMs' | 'refusal'
>

async function readBody(
  answer: Answer,
  now: () => number,
  {
    sentinel,
    signal,
    maxBytes = 8 * MiB,
    onProgress,
  }: { sentinel: string | false; signal: AbortSignal } & Pick<ObserveOptions, 'maxBytes' | 'onProgress'>,
): Promise<Read> {
  const arrivals: Arrival[] = []
  const events: SeenEvent[] = []
  const comments: number[] = []
  const pieces: Buffer[] = []
  let size = 0
  let grace: ReturnType<typeof setTimeout> | undefined
  let isLeft = false
  let limit: string | undefined
  const body = decompressed(answer)
  const leave = () => {
    isLeft = true
    // The decompression is stopped too: a few bytes that have arrived may expand to gigabytes.
    answer.body.destroy()
    body.destroy()
  }
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true })
  const parser = createParser({
    onEvent(event) {
      events.push({ ...event, atMs: now() })
      const isLast = sentinel !== false && (isFailed(event) || isComplete(event, sentinel))
      if (!isLast) return
      clearTimeout(grace)
      grace = setTimeout(leave, GRACE_MS)
    },
    onComment: () => comments.push(now()),
  })

  signal.addEventListener('abort', leave, { once: true })
  let error: string | undefined
  try {
    for await (const piece of body as AsyncIterable<Buffer>) {
      if (isLeft) break
      const atMs = now()
      const before = [events.length, comments.length] as const
      parser.feed(decoder.decode(piece, { stream: true }))
      const [event, comment] = before
      arrivals.push({ atMs, bytes: piece.length, events: events.length - event, comments: comments.length - comment })
      pieces.push(piece)
      size += piece.length
      onProgress?.(`${events.length} events, ${size} bytes`)
      if (size > maxBytes) limit = `${maxBytes / MiB} MiB`
      else if (events.length + comments.length + arrivals.length > MAX_LINES)
        limit = `${MAX_LINES} events and heartbeats`
      if (limit !== undefined) leave()
    }
  } catch (cause) {
    if (!isLeft) error ??= (cause as Error).message
  }
  const endMs = now()
  clearTimeout(grace)
  signal.removeEventListener('abort', leave)
  const bytes = Buffer.concat(pieces)
  const { flaws, unfinished } = checkLines(bytes)
  const ending = isLeft ? 'open' : answer.isComplete() && error === undefined ? 'complete' : 'cut'
  return {
    arrivals,
    events,
    comments,
    flaws,
    ...(unfinished && { unfinished }),
    ending,
    ...(limit !== undefined && { limit }),
    ...(ending === 'cut' && { error: error ?? 'the connection was closed in the middle of the body' }),
    endMs,
    ...(!isEventStream(answer) && { refusal: decoder.decode(bytes.subarray(0, MAX_REFUSAL)) }),
  }
}

/** Whether an answer claims to be an event stream. */
export function isEventStream({ status, headers }: SideAnswer): boolean {
  return status >= 200 && status < 300 && /^\s*text\/event-stream\s*(;|$)/i.test(headers['content-type'] ?? '')
}

function decompressed({ headers, body }: Answer): Readable {
  const encoding = (headers['content-encoding'] ?? 'identity').trim().toLowerCase()
  if (encoding === 'identity' || encoding === '') return body
  // What the server flushes is passed on at once, and an answer that was cut is read as far as it goes.
  const decoder =
    encoding === 'gzip' || encoding === 'x-gzip'
      ? createGunzip({ finishFlush: zlib.Z_SYNC_FLUSH })
      : encoding === 'deflate'
        ? createInflate({ finishFlush: zlib.Z_SYNC_FLUSH })
        : encoding === 'br'
          ? createBrotliDecompress({ finishFlush: zlib.BROTLI_OPERATION_FLUSH })
          : undefined
  if (!decoder) return body
  body.on('error', (error) => decoder.destroy(error))
  body.on('close', () => body.readableEnded || decoder.destroy())
  return body.pipe(decoder)
}

/** What a page may send without a preflight, according to the Fetch standard. */
const SAFE_TYPES = /^\s*(application\/x-www-form-urlencoded|multipart\/form-data|text\/plain)\s*(;|$)/i
const SAFE_HEADERS = new Set(['accept', 'accept-language', 'content-language', 'range'])
export const SAFE_METHODS = new Set(['GET', 'HEAD', 'POST'])
/** Headers that the browser sets itself, or that no page has. */
const BROWSERS_HEADERS = new Set(['accept-encoding', 'cookie', 'host', 'origin', 'user-agent', 'referer'])

async function observeCors(
  url: URL,
  asked: Asked,
  origin: string,
  options: ObserveOptions,
  isKept: boolean,
): Promise<CorsObservation> {
  const { headers, method } = asked
  const names = Object.keys(headers)
    .filter((name) => !SAFE_HEADERS.has(name) && !BROWSERS_HEADERS.has(name) && !/^(sec|proxy)-/.test(name))
    .filter((name) => name !== 'content-type' || !SAFE_TYPES.test(headers[name] ?? ''))
    .sort()
  const preflight = async (method: string, asked: string[]): Promise<Preflight> => {
    const answer = await aside(url, options, (connection) =>
      connection.ask({
        method: 'OPTIONS',
        headers: {
          origin,
          'access-control-request-method': method,
          ...(asked.length > 0 && { 'access-control-request-headers': asked.join(',') }),
        },
      }),
    )
    return { ...answer, method, asked }
  }
  const cors: CorsObservation = { origin, credentials: 'cookie' in headers }
  if (names.length > 0 || !SAFE_METHODS.has(method)) cors.preflight = await preflight(method, names)
  // An EventSource resumes without a preflight, and sends no headers of its own.
  if (isKept && (cors.preflight || method !== 'GET')) {
    const always = new Set(names.filter((name) => !name.startsWith('content-'))).add('x-run-id')
    cors.resume = await preflight('GET', [...new Set(always).add('last-event-id')].sort())
    cors.stop = await preflight('DELETE', [...always].sort())
  }
  return cors
}

/** Whether the answer is a run that can be resumed: one of our log's, whose events contain its id. */
export function isKept({ headers, events }: Pick<Observation, 'headers' | 'events'>): boolean {
  const runId = headers['x-run-id']
  return runId !== undefined && events.some(({ id }) => id?.startsWith(`${runId}:`))
}

async function observeHead(url: URL, asked: Asked, runMs: number, options: ObserveOptions): Promise<HeadObservation> {
  const started = performance.now()
  const waitedMs = () => performance.now() - started
  const silence = AbortSignal.timeout(HEAD_WAIT_MS)
  const signal = options.signal ? AbortSignal.any([options.signal, silence]) : silence
  let connection: Connection | undefined
  try {
    connection = await openConnection(url, options.insecure ?? false, signal)
    // A stream that is about as short as the wait would prove nothing.
    const head = await connection.askForHead(asked, runMs < 2 * BUSY_MS ? undefined : BUSY_MS)
    return { ...head, waitedMs: waitedMs() }
  } catch {
    return { waitedMs: waitedMs() }
  } finally {
    connection?.close()
  }
}

/** Sends a request on its own connection. Only the head of the answer matters. */
async function aside(
  url: URL,
  { insecure = false, signal }: ObserveOptions,
  ask: (connection: Connection) => Promise<Answer>,
): Promise<SideAnswer> {
  const silence = AbortSignal.timeout(HEAD_WAIT_MS)
  const connection = await openConnection(url, insecure, signal ? AbortSignal.any([signal, silence]) : silence)
  try {
    const { status, headers } = await ask(connection)
    return { status, headers }
  } catch {
    // No answer counts as one: the browser treats it as a refusal.
    return { status: 0, headers: {} }
  } finally {
    connection.close()
  }
}
