import { encodeComment, encodeRetry } from './encode.js'
import type { FailureAnswer } from './failure.js'
import { checkOptions, extraHeaders, type RelayOptions } from './options.js'
import { type Outlet, Run, type RunEnd } from './run.js'
import type { Source, Summary } from './types.js'
import { refuse } from './upstream.js'

/** Response headers by their lower-case names. */
export type SinkHeaders = Record<string, string | string[]>

/**
 * How a host writes: the whole of what an adapter translates. Methods are called in this order: `open` once,
 * `write` any number of times, `end` once; or `destroy` at any time; or nothing at all.
 */
export interface Sink {
  /** Whether the client had left before the relay began. May throw, if the host cannot answer at all. */
  readonly gone?: boolean
  /** Sends the status and the headers, or keeps them for the first write. May throw if the host will not have it. */
  open(status: number, headers: SinkHeaders): void
  /** Writes text. `false`: the client takes no more for now; the adapter calls `drained()` when it does. */
  write(text: string): boolean
  /** Writes the last text, if any, and ends the response; the adapter calls `drained()` once that is sent. */
  end(text?: string): void
  /** Drops the connection. */
  destroy(): void
  /** Runs the task soon: after what the source yields in this tick, before the host waits for the network. */
  schedule(task: () => void): void
}

/** What an adapter tells a relay, and what it learns. */
export interface RelayHandle {
  /** The sink takes more, or has sent its end. */
  drained(): void
  /** The client left. May be called more than once, and after the end. */
  left(): void
  /** How it ended; rejects only with what `onError` threw, and then the response is untouched. */
  readonly done: Promise<Summary>
}

/** The head of the request that is answered. */
export interface RequestHead {
  method?: string
  header(name: string): string | string[] | null | undefined
}

/** {@link RelayOptions}, and the request's head from the adapter. */
export interface RelayToOptions extends RelayOptions {
  request?: RequestHead
}

/** The options with the request's head; what are no options stays so, to be refused by name. */
export function withRequest(options: RelayOptions | undefined, request: RequestHead): RelayToOptions {
  if (options !== undefined && typeof options !== 'object') return options
  // On top of them, not a copy: an option that throws when it is read is met where that is caught.
  return Object.assign(Object.create(options ?? null), { request })
}

/** Frames of one tick make one write; past this many characters they do not wait for its end. */
const FLUSH_AT = 16_384
const MAX_TIMEOUT = 0x7fffffff

const HEARTBEAT = encodeComment()
const CACHE_CONTROL = 'no-store, no-transform'
const STREAM_HEADERS: SinkHeaders = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': CACHE_CONTROL,
  'x-accel-buffering': 'no',
}

/**
 * Relays a source to one reader through a sink: what every adapter does, and what an adapter for another host
 * calls. Returns at once and never throws.
 */
export function relayTo(sink: Sink, source: Source, options: RelayToOptions = {}): RelayHandle {
  const relay = new Relay(sink, options)
  relay.start(source)
  return relay
}

class Relay implements Outlet, RelayHandle {
  readonly done: Promise<Summary>

  readonly #sink: Sink
  readonly #options: RelayToOptions
  readonly #run: Run
  readonly #began = performance.now()
  #resolve!: (summary: Summary) => void
  #reject!: (error: unknown) => void
  #extra: SinkHeaders = {}
  #maxDurationMs = Number.POSITIVE_INFINITY
  /** `ended`: the response is written and may still be on its way. `closed`: there is nothing left to do. */
  #state: 'waiting' | 'open' | 'ended' | 'closed' = 'waiting'
  #buffer = ''
  #scheduled = false
  #lastWrite = this.#began
  #blockedSince: number | undefined
  #timer: ReturnType<typeof setTimeout> | undefined
  #due = 0

  constructor(sink: Sink, options: RelayToOptions) {
    this.#sink = sink
    this.#options = options ?? {}
    const lastEventId = decodeHeader(one(options?.request?.header('last-event-id')))
    this.#run = new Run(newRunId(), this.#options, this, lastEventId)
    this.done = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
  }

  get sent(): boolean {
    return this.#state !== 'waiting'
  }

  start(source: Source): void {
    const { request } = this.#options
    let gone: boolean | undefined
    try {
      gone = this.#sink.gone
      checkOptions(this.#options)
      const { headers, maxDurationMs, protocol } = this.#options
      this.#extra = { ...extraHeaders(protocol?.headers), ...extraHeaders(headers) }
      // Not all at once: readers that came together would come back together.
      if (maxDurationMs !== undefined) this.#maxDurationMs = maxDurationMs * (0.8 + Math.random() * 0.2)
    } catch (error) {
      refuse(source)
      this.#run.fail(error)
      return
    }
    // An EventSource reconnects after every end; the id of the last frame says that there is nothing more.
    const over = END_ID.test(one(request?.header('last-event-id')) ?? '')
    if (gone || request?.method === 'HEAD' || over) {
      refuse(source)
      if (gone) this.#run.stop('disconnected')
      else this.#answer(request?.method === 'HEAD' ? 200 : 204)
      return
    }
    this.#arm()
    this.#run.start(source)
  }

  begin(): void {
    if (this.#state === 'waiting') this.#commit()
  }

  write(frames: string): boolean {
    this.begin()
    this.#buffer += frames
    if (this.#buffer.length >= FLUSH_AT) this.#flush()
    else if (!this.#scheduled) {
      this.#scheduled = true
      this.#sink.schedule(this.#onTick)
    }
    return this.#blockedSince === undefined
  }

  end({ outcome, frames, last, failure, thrown, summary }: RunEnd): void {
    if (thrown && this.#state === 'waiting') {
      this.#close()
      this.#reject(thrown.error)
      return
    }
    try {
      if (outcome === 'disconnected' || outcome === 'stalled') this.#drop()
      else if (this.#state === 'waiting' && failure) this.#refuse(failure)
      else if (this.#state === 'open') this.#ended(this.#buffer + frames + this.#terminal(last))
    } finally {
      this.#resolve(summary)
    }
  }

  drained(): void {
    if (this.#state === 'ended') this.#close()
    else if (this.#blockedSince !== undefined) {
      this.#blockedSince = undefined
      this.#lastWrite = performance.now()
      this.#guard(() => this.#flush())
      this.#unblocked()
    }
  }

  #unblocked(): void {
    if (this.#blockedSince !== undefined) return
    // Heartbeats were not due while nothing could be written.
    this.#arm()
    this.#run.resume()
  }

  left(): void {
    if (this.#state === 'ended') this.#close()
    else if (this.#state !== 'closed') this.#run.stop('disconnected')
  }

  #onTick = (): void => {
    this.#scheduled = false
    this.#guard(() => this.#flush())
  }

  /** What the host throws when nobody of ours is there to catch it ends the run. */
  #guard(task: () => void): void {
    try {
      task()
    } catch (error) {
      this.#run.fail(error)
    }
  }

  #drop(): void {
    this.#close()
    this.#sink.destroy()
  }

  #flush(): void {
    if (this.#buffer === '' || this.#blockedSince !== undefined || this.#state !== 'open') return
    const text = this.#buffer
    this.#buffer = ''
    this.#lastWrite = performance.now()
    if (!this.#sink.write(text)) {
      this.#blockedSince = this.#lastWrite
      this.#arm()
    }
  }

  /** Status and headers: from here on a failure is an event. */
  #commit(): void {
    const { retryMs } = this.#options
    this.#open(200, STREAM_HEADERS)
    this.#state = 'open'
    // No event of its own: the line becomes part of the first one, so that no client sees an empty event.
    if (retryMs !== undefined) this.#buffer = encodeRetry(retryMs)
  }

  #open(status: number, headers: SinkHeaders): void {
    try {
      this.#sink.open(status, { ...headers, ...this.#extra })
    } catch (error) {
      // The response is in other hands by now: it is left to them. Or else the host will not have the extra headers,
      // and can do without them for what it answers instead.
      if ((error as { code?: unknown }).code === 'response-used') this.#close()
      this.#extra = {}
      throw error
    }
  }

  /** A failure before anything was sent is an ordinary HTTP answer. */
  #refuse({ status, code, message, retryable, retryAfter }: FailureAnswer): void {
    const headers: SinkHeaders = { 'content-type': 'application/json; charset=utf-8', 'cache-control': CACHE_CONTROL }
    if (retryAfter !== undefined) headers['retry-after'] = retryAfter
    try {
      this.#open(status, headers)
    } catch {
      if (this.#state !== 'closed') this.#drop()
      return
    }
    this.#ended(JSON.stringify({ error: { code, message, retryable } }))
  }

  /** An answer without a run and without a body. */
  #answer(status: 200 | 204): void {
    try {
      this.#open(status, status === 200 ? STREAM_HEADERS : { 'cache-control': CACHE_CONTROL })
      this.#ended()
      this.#resolve({ outcome: 'done', events: 0, text: '', durationMs: 0, runId: this.#run.runId })
    } catch (error) {
      this.#run.fail(error)
    }
  }

  #ended(text?: string): void {
    this.#state = 'ended'
    this.#buffer = ''
    // The last bytes may find a client that reads nothing: the stall clock goes on until they are taken.
    this.#blockedSince ??= performance.now()
    this.#sink.end(text)
    this.#arm()
  }

  #terminal(last: string): string {
    const { request } = this.#options
    const eventSource = request?.method === 'GET' && (one(request.header('accept')) ?? '').includes('text/event-stream')
    return eventSource && last !== '' ? `id: ${this.#run.runId}:end\n${last}` : last
  }

  #close(): void {
    this.#state = 'closed'
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#buffer = ''
  }

  /** Heartbeat, stall and duration share a timer, set for the earliest and looked at again when it fires. */
  #arm(): void {
    if (this.#state === 'closed') return
    const due = Math.min(this.#heartbeatAt(), this.#stallAt(), this.#expiryAt())
    if (due === Number.POSITIVE_INFINITY || (this.#timer !== undefined && this.#due <= due)) return
    clearTimeout(this.#timer)
    this.#due = due
    this.#timer = setTimeout(this.#onTimer, Math.min(Math.max(0, Math.ceil(due - performance.now())), MAX_TIMEOUT))
  }

  #onTimer = (): void => {
    this.#timer = undefined
    const now = performance.now()
    if (this.#stallAt() <= now) {
      if (this.#state === 'ended') this.#drop()
      else this.#run.stop('stalled')
    } else if (this.#expiryAt() <= now) this.#run.stop('expired')
    else if (this.#heartbeatAt() <= now) {
      this.#guard(() => {
        this.begin()
        this.#buffer += HEARTBEAT
        this.#flush()
      })
    }
    this.#arm()
  }

  #heartbeatAt(): number {
    const { heartbeatMs = 8000 } = this.#options
    const silent = heartbeatMs !== 0 && this.#blockedSince === undefined && this.#state !== 'ended'
    return silent ? this.#lastWrite + heartbeatMs : Number.POSITIVE_INFINITY
  }

  #stallAt(): number {
    const { stallTimeoutMs = 30_000 } = this.#options
    return this.#blockedSince === undefined ? Number.POSITIVE_INFINITY : this.#blockedSince + stallTimeoutMs
  }

  #expiryAt(): number {
    return this.#state === 'ended' ? Number.POSITIVE_INFINITY : this.#began + this.#maxDurationMs
  }
}

const END_ID = /^[A-Za-z0-9_-]{16,128}:end$/

/** 128 random bits. */
function newRunId(): string {
  let id = ''
  for (const byte of crypto.getRandomValues(new Uint8Array(16))) id += byte.toString(16).padStart(2, '0')
  return id
}

function one(header: string | string[] | null | undefined): string | undefined {
  return (Array.isArray(header) ? header[0] : header) ?? undefined
}

/** `Last-Event-ID` is UTF-8, and hosts hand headers over byte by byte. */
function decodeHeader(value: string | undefined): string | undefined {
  if (value === undefined || !/[\x80-\xff]/.test(value) || /[^\0-\xff]/.test(value)) return value
  return new TextDecoder().decode(Uint8Array.from(value, (character) => character.charCodeAt(0)))
}
