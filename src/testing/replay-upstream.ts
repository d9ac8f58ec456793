/** What does a test ask instead of a provider? An upstream that answers as OpenAI and Anthropic do, faults included. */

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { setTimeout } from 'node:timers/promises'
import { anything, type Rule, type Rules, words } from '../check.js'
import { show } from '../errors.js'
import { mistake } from '../failure.js'
import { checkOptions, duration } from '../options.js'
import { printError } from '../report.js'
import { answerOf, WRITERS } from './provider-answer.js'
import { Recording, readRecorded, readTrace } from './traces.js'

/** How one request is answered. */
export interface Replay {
  /** The name of a trace, or the path of one. @default the plain text trace of the provider whose path was requested */
  trace?: string
  /**
   * A text instead of a trace: it is streamed as by the provider whose path was requested, in pieces of about a token.
   */
  text?: string
  /**
   * The address of a provider, `https://api.openai.com` for example. The request is sent there as it came, with its
   * path and its key, and the answer streams through.
   */
  forward?: string
  /**
   * The file to which the bytes of the answer of `forward` are written. A file with `.json` after the name gets its
   * status, its content type and when each chunk came. Nothing of the request is written. Missing folders are made. If
   * a file cannot be written, the console says why and the answer is reset.
   */
  record?: string
  /** The body instead of a trace: an event stream unless `headers` say otherwise, JSON when `status` is not 200. */
  body?: string | Uint8Array
  /** Without `trace` and `body`, any other than 200 is answered with the provider's JSON error. @default 200 */
  status?: number
  /** Extra headers, in lower case; they replace the content type that is set here. */
  headers?: Record<string, string>
  /** The wait before the headers, in milliseconds; `Infinity` never answers. @default 0 */
  delayMs?: number
  /**
   * The wait before each frame except the first, and before a reset, in milliseconds; or a function that gets the index
   * of what comes next; or `recorded`: the chunks of a recorded trace, each at its time. Frames without a wait may
   * reach the client in one piece. @default 0
   */
  pauseMs?: number | ((index: number) => number) | 'recorded'
  /** After this many frames: silence, with the connection open. */
  stallAfter?: number
  /** After this many frames: a RST. What the client has not read by then may be lost, so give it a `pauseMs`. */
  resetAfter?: number
  /** After this many frames: a clean end of the body. */
  endAfter?: number
}

const count: Rule = [(value: unknown) => typeof value === 'number' && value >= 0, 'give a number of frames']
const REPLAY: Rules<keyof Replay> = {
  trace: words,
  text: words,
  forward: [isAddress, 'give the address of a provider, https://api.openai.com for example'],
  record: words,
  body: [(value: unknown) => typeof value === 'string' || value instanceof Uint8Array, 'give a string or bytes'],
  status: [
    (value: unknown) => Number.isInteger(value) && (value as number) >= 200 && (value as number) <= 599,
    'give a status from 200 to 599',
  ],
  headers: anything,
  delayMs: duration,
  pauseMs: [
    (value: unknown) =>
      typeof value === 'function' || value === 'recorded' || (typeof value === 'number' && value >= 0),
    "give a non-negative number of milliseconds, a function, or 'recorded'",
  ],
  stallAfter: count,
  resetAfter: count,
  endAfter: count,
}

/** How an exchange ended. */
export interface ReplayEnding {
  /** `server` when the answer was sent to its end, reset or cut by `close()`; `client` when the client left before. */
  by: 'client' | 'server'
  /** When it ended, in milliseconds after the request had come. */
  atMs: number
}

/** A request that came to the replay upstream. */
export interface ReplayRequest {
  readonly method: string
  /** Path and query. */
  readonly path: string
  readonly headers: IncomingMessage['headers']
  readonly body: string
  /** The body as JSON; undefined if it is none. */
  readonly json: unknown
  /** How many frames were sent so far: events, lines, or one whole body. */
  readonly sent: number
  /** Resolves when the exchange is over, whoever ended it. */
  readonly closed: Promise<ReplayEnding>
}

/** A provider on 127.0.0.1. */
export interface ReplayUpstream extends AsyncDisposable {
  /** `http://127.0.0.1:<port>`, the `baseURL` of the Anthropic client; OpenAI's wants `/v1` after it. */
  readonly url: string
  /** Every request so far, in the order in which they came. */
  readonly requests: readonly ReplayRequest[]
  /**
   * Answers the next request like this, and only that; called again, the one after it.
   *
   * @throws {RangeError} If there is no such trace.
   */
  next(replay: Replay): void
  /** Answers all requests like this for which there is no `next()`. Throws as `next()` does. */
  always(replay: Replay): void
  /** The next request to come. */
  request(): Promise<ReplayRequest>
  /** Stops listening and destroys every connection. */
  close(): Promise<void>
}

/** Whose errors {@link providerError} speaks. */
export type ProviderName = 'openai' | 'anthropic'

const ANTHROPIC_ERRORS: Record<number, string> = {
  400: 'invalid_request_error',
  401: 'authentication_error',
  403: 'permission_error',
  404: 'not_found_error',
  413: 'request_too_large',
  429: 'rate_limit_error',
  529: 'overloaded_error',
}
const OPENAI_CODES: Record<number, string> = { 401: 'invalid_api_key', 429: 'rate_limit_exceeded' }

const PROVIDERS: Record<string, { provider: ProviderName; trace: string }> = {
  '/v1/messages': { provider: 'anthropic', trace: 'anthropic-text.sse' },
  '/v1/chat/completions': { provider: 'openai', trace: 'openai-chat-text.sse' },
  '/v1/responses': { provider: 'openai', trace: 'openai-responses-text.sse' },
}
const CONTENT_TYPES: Record<string, string> = {
  sse: 'text/event-stream; charset=utf-8',
  ndjson: 'application/x-ndjson',
  eventstream: 'application/vnd.amazon.eventstream',
  json: 'application/json',
}

/**
 * An error as the provider sends it, for `next()` and `always()`.
 *
 * @example
 * upstream.next({ ...providerError('openai', 429), headers: { 'retry-after': '2' } })
 */
export function providerError(
  provider: ProviderName,
  status: number,
  message = `The provider answers with ${status}`,
): Replay & { body: string } {
  if (provider === 'anthropic') {
    const error = { type: ANTHROPIC_ERRORS[status] ?? 'api_error', message }
    return { status, body: JSON.stringify({ type: 'error', error, request_id: 'req_test' }) }
  }
  const type = status === 429 ? 'requests' : status < 500 ? 'invalid_request_error' : 'server_error'
  return { status, body: JSON.stringify({ error: { message, type, param: null, code: OPENAI_CODES[status] ?? null } }) }
}

/**
 * An HTTP server on 127.0.0.1 and a free port that answers as the providers do, from their wire traces, so that the
 * real `openai` and `@anthropic-ai/sdk` run without a network: `POST /v1/messages`, `/v1/chat/completions` and
 * `/v1/responses`, always as a stream. Any other path is answered with 404, unless a replay names its trace or body.
 *
 * @param replay How to answer until `always()` says otherwise.
 * @example
 * const upstream = await replayUpstream({ pauseMs: 20 })
 * const openai = new OpenAI({ apiKey: 'test', baseURL: `${upstream.url}/v1` })
 */
export async function replayUpstream(replay: Replay = {}): Promise<ReplayUpstream> {
  const requests: Exchange[] = []
  const queue: Replay[] = []
  let waiting: ((request: ReplayRequest) => void)[] = []
  let standard = checked(replay)

  // Longer than any client keeps a connection: else, on a busy machine, it is closed while the next request is sent.
  const server = createServer({ keepAliveTimeout: 600_000 }, async (req, res) => {
    // A client that left while it sent its request gets no answer.
    const body = await buffer(req).catch(() => undefined)
    if (body === undefined) return
    const exchange = new Exchange(req, res, body)
    requests.push(exchange)
    for (const resolve of waiting) resolve(exchange)
    waiting = []
    exchange.play(queue.shift() ?? standard).catch((error) => exchange.fail(error))
  })
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve))

  const upstream: ReplayUpstream = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    next: (next) => void queue.push(checked(next)),
    always(next) {
      standard = checked(next)
    },
    request: () => new Promise((resolve) => waiting.push(resolve)),
    close: () =>
      new Promise((resolve) => {
        for (const exchange of requests) exchange.cut()
        server.close(() => resolve())
        server.closeAllConnections()
      }),
    [Symbol.asyncDispose]: () => upstream.close(),
  }
  return upstream
}

class Exchange implements ReplayRequest {
  readonly method: string
  readonly path: string
  readonly headers: IncomingMessage['headers']
  readonly body: string
  readonly json: unknown
  readonly closed: Promise<ReplayEnding>
  sent = 0
  /** The body as it came: an upload may not be text. */
  readonly #bytes: Buffer
  readonly #response: ServerResponse
  readonly #over = new AbortController()
  #ended = false

  constructor(request: IncomingMessage, response: ServerResponse, bytes: Buffer) {
    const { method = 'GET', url = '/', headers } = request
    this.method = method
    this.path = url
    this.headers = headers
    this.#bytes = bytes
    this.body = bytes.toString()
    this.json = parsed(this.body)
    this.#response = response
    const start = performance.now()
    this.closed = new Promise((resolve) => {
      const over = () => {
        this.#over.abort()
        resolve({ by: this.#ended ? 'server' : 'client', atMs: performance.now() - start })
      }
      // 'close' does not come again for a client that left while its request was read.
      if (response.destroyed) over()
      else response.on('close', over)
    })
    // Writing to a client that has left fails; `closed` says that it left.
    response.on('error', () => {})
  }

  /** From here on this side ends the exchange. */
  cut(): void {
    this.#ended = true
  }

  /** The answer failed: a function of the test threw, or a file could not be written. */
  fail(error: unknown): void {
    printError(error)
    this.cut()
    this.#response.socket?.resetAndDestroy()
  }

  async play(asked: Replay): Promise<void> {
    const response = this.#response
    const { delayMs = 0, forward } = asked
    if (!(await this.#wait(delayMs))) return
    if (forward !== undefined) return this.#forward(forward, asked)
    const replay = withContent(asked, this)
    const { status, type, frames, pause: pauseMs, end } = contentOf(replay)
    const { headers, endAfter = Infinity } = replay
    const { stallAfter = end === 'left' ? frames.length : Infinity } = replay
    const { resetAfter = end === 'reset' ? frames.length : Infinity } = replay
    const pause = (index: number) => this.#wait(pauseMs(index))

    response.writeHead(status, { 'content-type': type, ...headers }).flushHeaders()
    if (frames.length > 0 && !(await pause(0))) return
    for (const frame of frames.slice(0, Math.min(stallAfter, resetAfter, endAfter))) {
      if (this.sent > 0 && !(await pause(this.sent))) return
      if (!(await this.#write(frame))) return
      this.sent++
    }
    if (this.sent >= stallAfter) return
    if (this.sent >= resetAfter) {
      if (!(await pause(this.sent))) return
      this.cut()
      response.socket?.resetAndDestroy()
    } else {
      response.end(() => this.cut())
    }
  }

  /** Asks the provider itself, and passes its answer on as it comes. */
  async #forward(address: string, { record, headers }: Replay): Promise<void> {
    const response = this.#response
    const { signal } = this.#over
    const recording = new Recording()
    const sent = Object.entries(this.headers).filter(([name]) => !OWN_HEADERS.test(name)) as [string, string][]
    const answer = await fetch(address.replace(/\/$/, '') + this.path, {
      method: this.method,
      // The bytes as they are written, not compressed.
      headers: { ...Object.fromEntries(sent), 'accept-encoding': 'identity' },
      ...(this.#bytes.length > 0 && { body: new Uint8Array(this.#bytes) }),
      redirect: 'manual',
      signal,
    }).catch((error: Error) => error)
    if (answer instanceof Error) {
      if (signal.aborted) return
      const { body } = providerError('openai', 502, `${address} cannot be asked: ${answer.cause ?? answer.message}`)
      this.cut()
      response.writeHead(502, { 'content-type': 'application/json' }).end(body)
      return
    }
    const contentType = answer.headers.get('content-type') ?? ''
    const told = [...answer.headers].filter(([name]) => !OWN_HEADERS.test(name))
    response.writeHead(answer.status, { 'content-type': contentType, ...Object.fromEntries(told), ...headers })
    response.flushHeaders()
    const save = async (end: 'end' | 'reset' | 'left') => {
      if (record !== undefined) await recording.save(record, { status: answer.status, contentType, end })
    }
    try {
      for await (const chunk of answer.body ?? []) {
        recording.add(chunk)
        if (await this.#write(Buffer.from(chunk))) this.sent++
      }
    } catch {
      await save(signal.aborted ? 'left' : 'reset')
      this.cut()
      response.socket?.resetAndDestroy()
      return
    }
    await save('end')
    response.end(() => this.cut())
  }

  /** Whether the client is still there after `ms` milliseconds. */
  #wait(ms: number): Promise<boolean> {
    const { signal } = this.#over
    // Only its own exchange waits for this promise, so both are collected together.
    if (ms === Infinity) return new Promise(() => {})
    if (!(ms > 0)) return Promise.resolve(!signal.aborted)
    return setTimeout(ms, undefined, { signal }).then(
      () => true,
      () => false,
    )
  }

  /** Whether `frame` was taken, once the socket has room: a client that reads nothing is sent nothing more. */
  #write(frame: Buffer): Promise<boolean> {
    return new Promise((resolve) => {
      this.#response.write(frame, (error) => resolve(!error))
    })
  }
}

/** Headers of one connection, and those that each side sets itself: `fetch` hands bodies on decompressed. */
const OWN_HEADERS =
  /^(host|connection|keep-alive|transfer-encoding|content-length|(accept|content)-encoding|expect|te|upgrade|proxy-.*)$/

function isAddress(value: unknown): boolean {
  return typeof value === 'string' && /^https?:/.test(value) && URL.canParse(value)
}

function parsed(body: string): unknown {
  try {
    return JSON.parse(body)
  } catch {
    return undefined
  }
}

/** The replay, checked. A mistake throws where the replay is given, rather than in the answer. */
function checked(replay: Replay): Replay {
  checkOptions('A replay', replay, REPLAY)
  const { trace, record, forward, pauseMs } = replay
  if (trace !== undefined) readTrace(trace)
  if (record !== undefined && forward === undefined)
    throw mistake(
      'invalid-option',
      `record cannot be ${show(record)} alone: give forward as well, the address of the provider`,
    )
  if (pauseMs === 'recorded' && !readRecorded(trace ?? ''))
    throw mistake('invalid-option', "pauseMs cannot be 'recorded': give the path of a trace that was recorded")
  return replay
}

/** `replay` with a trace or a body, by the path that was asked for. */
function withContent(replay: Replay, { method, path, json }: ReplayRequest): Replay {
  if (replay.trace !== undefined || replay.body !== undefined) return replay
  const asked = path.replace(/\?.*/, '')
  const known = method === 'POST' ? PROVIDERS[asked] : undefined
  if (!known) return { ...replay, ...providerError('openai', 404, `There is no ${method} ${path} here`) }
  const { status = 200 } = replay
  // An SDK takes an event stream it did not ask for as a string, and a string is a source: the mistake would go
  // unnoticed.
  const { model, stream } = (json ?? {}) as { model?: unknown; stream?: unknown }
  if (status === 200 && model !== undefined && stream !== true) {
    return { ...replay, ...providerError(known.provider, 400, 'Only streams are replayed here: set stream: true') }
  }
  const write = WRITERS[asked]
  if (replay.text !== undefined && write) return { ...replay, body: answerOf(write, replay.text) }
  if (status !== 200) return { ...replay, ...providerError(known.provider, status) }
  return wantsUsage(json) ? { ...replay, body: counted(known.trace) } : { ...replay, trace: known.trace }
}

function wantsUsage(json: unknown): boolean {
  return (json as { stream_options?: { include_usage?: unknown } } | undefined)?.stream_options?.include_usage === true
}

/** The trace with the chunk in which OpenAI counts, before the last line: for requests that ask for it. */
function counted(trace: string): string {
  const answer = readTrace(trace).toString()
  const [, chunk = '{}'] = /^data: (.*)/.exec(answer) ?? []
  const usage = { prompt_tokens: 19, completion_tokens: 14, total_tokens: 33 }
  return answer.replace(
    'data: [DONE]',
    `data: ${JSON.stringify({ ...JSON.parse(chunk), choices: [], usage })}\n\ndata: [DONE]`,
  )
}

interface Content {
  status: number
  type: string
  frames: Buffer[]
  /** The wait before a frame. */
  pause(index: number): number
  end: 'end' | 'reset' | 'left'
}

function contentOf({ trace, body = '', status, headers, pauseMs = 0 }: Replay): Content {
  const recorded = trace === undefined ? undefined : readRecorded(trace)
  const kind = trace ? trace.slice(trace.lastIndexOf('.') + 1) : (status ?? 200) === 200 ? 'sse' : 'json'
  const type = headers?.['content-type'] ?? recorded?.contentType ?? CONTENT_TYPES[kind] ?? ''
  const bytes = trace ? readTrace(trace) : Buffer.from(body)
  const told = { status: status ?? recorded?.status ?? 200, type, end: recorded?.end ?? 'end' } as const
  if (recorded && pauseMs === 'recorded') {
    let at = 0
    const times = recorded.chunks.map(([atMs]) => atMs)
    return {
      ...told,
      frames: recorded.chunks.map(([, length]) => {
        at += length
        return bytes.subarray(at - length, at)
      }),
      pause: (index) => (times[index] ?? 0) - (times[index - 1] ?? 0),
    }
  }
  const end = /event-stream/.test(type) ? /(?<=\n\r?\n)/ : /ndjson/.test(type) ? /(?<=\n)/ : undefined
  // One character per byte, since a body need not be UTF-8.
  const pieces = end && bytes.toString('latin1').split(end)
  return {
    ...told,
    frames: pieces?.map((piece) => Buffer.from(piece, 'latin1')) ?? [bytes],
    pause: (index) => (index === 0 ? 0 : typeof pauseMs === 'function' ? pauseMs(index) : Number(pauseMs)),
  }
}
