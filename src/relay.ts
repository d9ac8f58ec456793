import { encodeRetry } from './encode.js'
import { RelayError } from './errors.js'
import type { FailureAnswer } from './failure.js'
import type { LogResume, RunLog } from './log/log.js'
import type { ReaderOutlet } from './log/reader.js'
import { checkOptions, extraHeaders, isRunId, newRunId, type RelayOptions } from './options.js'
import { type Feeder, Run, type RunEnd } from './run.js'
import { listen } from './signal.js'
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
  /**
   * Reads the request's body to its end if nobody else does, and drops it. Called once, right after the source was
   * asked for: with a log that can be later than `relayTo`.
   */
  drain?(): void
}

/** {@link RelayOptions}, and the request's head from the adapter. */
export interface RelayToOptions extends RelayOptions {
  request?: RequestHead
}

/** Options of every adapter's `resume`, which mean what they mean for `relay`. */
export interface ResumeOptions
  extends Pick<
      RelayOptions,
      'heartbeatMs' | 'stallTimeoutMs' | 'maxDurationMs' | 'retryMs' | 'headers' | 'shutdown' | 'waitUntil' | 'onError'
    >,
    Required<Pick<RelayOptions, 'log' | 'owner'>> {
  /** The run to read, from its first event if the request has no `Last-Event-ID` of it, and only while it goes on. */
  runId?: string | undefined
}

/** {@link ResumeOptions}, and the request's head from the adapter. */
export interface ResumeToOptions extends ResumeOptions {
  request?: RequestHead
}

/** The options with the request's head; what are no options stays so, to be refused by name. */
export function withRequest<T extends object>(options: T, request: RequestHead): T & { request: RequestHead }
export function withRequest(options: RelayOptions | undefined, request: RequestHead): RelayToOptions
export function withRequest(options: object | undefined, request: RequestHead): object | undefined {
  if (options === undefined) return { request }
  if (typeof options !== 'object') return options
  try {
    // A copy of what is plain: an object with the options behind it, and a spread with one property more, have a hidden
    // class each, and that is memory of every open stream.
    if (Object.getPrototypeOf(options ?? {}) === Object.prototype) return Object.assign({}, options, { request })
  } catch {
    // An option that throws when it is read is met where that is caught.
  }
  return Object.assign(Object.create(options), { request })
}

/** Frames of one tick make one write; past this many characters they do not wait for its end. */
const FLUSH_AT = 16_384
const MAX_TIMEOUT = 0x7fffffff
const NEVER = Number.POSITIVE_INFINITY

/** A comment that says nothing, as `encodeComment()` has it. */
const HEARTBEAT = ': \n'
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

/**
 * Lets a reader read a run of a log, from the event after `lastEventId`, through a sink: what every adapter's
 * `resume` does. The source is never called. Returns at once and never throws.
 */
export function resumeTo(sink: Sink, lastEventId: string | undefined, options: ResumeToOptions): RelayHandle {
  const relay = new Relay(sink, options)
  relay.resume(lastEventId)
  return relay
}

class Relay implements ReaderOutlet, RelayHandle {
  readonly done: Promise<Summary>
  events = 0

  readonly #sink: Sink
  readonly #options: RelayToOptions
  readonly #runId: string
  #lastEventId: string | undefined
  #made: Feeder | undefined
  #unlisten: (() => void) | undefined
  #resolve!: (summary: Summary | Promise<never>) => void
  #extra: SinkHeaders | undefined
  /** When it is to end, if there is a limit. */
  #expiry: number | undefined
  /** `ended`: the response is written and may still be on its way. `closed`: there is nothing left to do. */
  #state: 'waiting' | 'open' | 'ended' | 'closed' = 'waiting'
  #buffer = ''
  #scheduled = false
  #lastWrite = performance.now()
  #blockedSince: number | undefined
  #timer: ReturnType<typeof setTimeout> | undefined
  #due = 0

  constructor(sink: Sink, options: RelayToOptions) {
    this.#sink = sink
    this.#options = options ?? {}
    this.#lastEventId = lastEventIdOf(this.#options.request)
    this.#runId = idOf(this.#options)
    this.done = new Promise((resolve) => {
      this.#resolve = resolve
    })
  }

  /** What feeds it: a reader of the log, or a run of its own. */
  get #feeder(): Feeder {
    this.#made ??= this.#run()
    return this.#made
  }

  set #feeder(feeder: Feeder) {
    this.#made = feeder
  }

  #run(): Run {
    return new Run(this.#runId, this.#options, this, this.#lastEventId)
  }

  get sent(): boolean {
    return this.#state !== 'waiting'
  }

  start(source: Source): void {
    const { request } = this.#options
    if (!this.#isReady() || END_ID.test(this.#lastEventId ?? '')) {
      refuse(source)
      // An EventSource reconnects after every end; the id of the last frame says that there is nothing more.
      if (this.#state === 'waiting') this.#answer(204)
    } else if (!this.#options.log) {
      this.#arm()
      const run = this.#run()
      this.#feeder = run
      run.start(source, this.#options.shutdown)
    } else if (this.#lastEventId !== undefined) {
      refuse(source)
      this.#read({ lastEventId: this.#lastEventId })
    } else {
      this.#record(source)
      return
    }
    request?.drain?.()
  }

  /** Reads a run of the log. */
  resume(lastEventId: string | undefined): void {
    const { request, runId } = this.#options
    this.#lastEventId = lastEventId
    if (this.#isReady(true)) this.#read({ lastEventId, runId })
    request?.drain?.()
  }

  /** Looks everything over before something is asked for. `false` if the answer is given already. */
  #isReady(needsLog = false): boolean {
    const { request } = this.#options
    try {
      const { gone } = this.#sink
      checkOptions(this.#options, needsLog)
      const { headers, maxDurationMs, protocol, log } = this.#options
      const own = log ? undefined : protocol?.headers
      if (own || headers !== undefined) this.#extra = { ...extraHeaders(own), ...extraHeaders(headers) }
      // Not all at once: readers that came together would come back together.
      if (maxDurationMs !== undefined) this.#expiry = this.#lastWrite + maxDurationMs * (0.8 + Math.random() * 0.2)
      if (gone) {
        this.#feeder.stop('disconnected')
        return false
      }
    } catch (error) {
      this.#feeder.fail(error)
      return false
    }
    if (request?.method === 'HEAD') {
      this.#answer(200)
      return false
    }
    return true
  }

  /** Hands the source to the log, and reads what becomes of it there. */
  #record(source: Source): void {
    const { log, request } = this.#options
    const named = one(request?.header('x-run-id'))
    if (named !== undefined && !isRunId(named)) {
      refuse(source)
      const message = 'The header x-run-id holds no id of a run: 16 to 128 of A-Z a-z 0-9 _ -'
      this.#feeder.fail(new RelayError('invalid-field', message, { status: 400, expose: true }))
      request?.drain?.()
      return
    }
    if (!this.#follow()) {
      refuse(source)
      request?.drain?.()
      return
    }
    this.#feeder = (log as RunLog).relay(this, source, this.#options, {
      runId: this.#runId,
      isNamed: named === this.#runId,
      asked: () => request?.drain?.(),
    })
  }

  #read(what: LogResume): void {
    if (!this.#follow()) return
    const { log, owner } = this.#options
    this.#feeder = (log as RunLog).resume(this, owner as string | null, what, this.#options)
  }

  /** Readiness for what a log brings. `false` if the server is going away. */
  #follow(): boolean {
    const { shutdown } = this.#options
    if (shutdown?.aborted) {
      this.#feeder.stop('shutdown')
      return false
    }
    if (shutdown) this.#unlisten = listen(shutdown, () => this.#feeder.stop('shutdown'))
    this.#arm()
    return true
  }

  head(runId: string, headers: Readonly<Record<string, string>> | undefined): void {
    this.#extra = { ...extraHeaders(headers), 'x-run-id': runId, ...this.#extra }
  }

  begin(): void {
    if (this.#state !== 'waiting') return
    this.#commit()
    // The place before the first event, for an EventSource that loses the connection before it.
    if (this.#options.log && this.#lastEventId === undefined && this.#isEventSource())
      this.#buffer += `id: ${this.#runId}:0\n\n`
  }

  write(frames: string): boolean {
    this.#count(frames)
    if (this.#state === 'waiting') this.#commit()
    this.#buffer += frames
    if (this.#buffer.length >= FLUSH_AT) this.#flush()
    else if (!this.#scheduled) {
      this.#scheduled = true
      // Made anew: garbage of a tick, where a function kept for it is memory of every open stream.
      this.#sink.schedule(this.#onTick.bind(this))
    }
    return this.#blockedSince === undefined
  }

  #count(frames: string): void {
    const last = frames.length - 2
    let end = frames.indexOf('\n\n')
    for (; end !== -1 && end < last; end = frames.indexOf('\n\n', end + 2)) this.events++
    if (end === last) this.events++
  }

  writeNow(frames: string): boolean {
    if (this.#state === 'waiting') this.#commit()
    this.#buffer += frames
    this.#flush()
    return this.#blockedSince === undefined
  }

  end({ outcome, frames, last, failure, thrown, summary }: RunEnd): void {
    this.#unlisten?.()
    if (thrown && this.#state === 'waiting') {
      this.#close()
      this.#resolve(Promise.reject(thrown.error))
      return
    }
    try {
      if (outcome === 'disconnected' || outcome === 'stalled') this.#drop()
      else if (this.#state === 'waiting') {
        if (failure) this.#refuse(failure)
        else this.#answer(204)
      } else if (this.#state === 'open') this.#ended(this.#buffer + frames + this.#terminal(last))
    } finally {
      this.#resolve(summary)
    }
  }

  drained(): void {
    if (this.#state === 'ended') this.#close()
    else if (this.#blockedSince !== undefined) {
      this.#blockedSince = undefined
      this.#lastWrite = performance.now()
      this.#send()
      this.#unblocked()
    }
  }

  #unblocked(): void {
    if (this.#blockedSince !== undefined) return
    // Heartbeats were not due while nothing could be written.
    this.#arm()
    this.#feeder.resume()
  }

  left(): void {
    if (this.#state === 'ended') this.#close()
    else if (this.#state !== 'closed') this.#feeder.stop('disconnected')
  }

  #onTick(): void {
    this.#scheduled = false
    this.#send()
  }

  /** What the host throws when nobody of ours is there to catch it ends the run. */
  #send(text = ''): void {
    try {
      if (text !== '') this.begin()
      this.#buffer += text
      this.#flush()
    } catch (error) {
      this.#feeder.fail(error)
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
      this.#extra = undefined
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
      this.#resolve({ outcome: 'done', events: 0, text: '', durationMs: 0, runId: this.#runId })
    } catch (error) {
      this.#feeder.fail(error)
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
    return last !== '' && !this.#options.log && this.#isEventSource() ? `id: ${this.#runId}:end\n${last}` : last
  }

  #isEventSource(): boolean {
    const { request } = this.#options
    return request?.method === 'GET' && (one(request.header('accept')) ?? '').includes('text/event-stream')
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
    if (due === NEVER || (this.#timer !== undefined && this.#due <= due)) return
    clearTimeout(this.#timer)
    this.#due = due
    const ms = Math.min(Math.max(0, Math.ceil(due - performance.now())), MAX_TIMEOUT)
    // Half of what an arrow function would be, with the scope that holds this for it.
    this.#timer = setTimeout(this.#onTimer.bind(this), ms)
  }

  #onTimer(): void {
    this.#timer = undefined
    const now = performance.now()
    if (this.#stallAt() <= now) {
      if (this.#state === 'ended') this.#drop()
      else this.#feeder.stop('stalled')
    } else if (this.#expiryAt() <= now) this.#feeder.stop('expired')
    else if (this.#heartbeatAt() <= now) this.#send(HEARTBEAT)
    this.#arm()
  }

  #heartbeatAt(): number {
    const { heartbeatMs = 8000 } = this.#options
    const silent = heartbeatMs !== 0 && this.#blockedSince === undefined && this.#state !== 'ended'
    return silent ? this.#lastWrite + heartbeatMs : NEVER
  }

  #stallAt(): number {
    const { stallTimeoutMs = 30_000 } = this.#options
    return this.#blockedSince === undefined ? NEVER : this.#blockedSince + stallTimeoutMs
  }

  #expiryAt(): number {
    return this.#state === 'ended' ? NEVER : (this.#expiry ?? NEVER)
  }
}

const END_ID = /^[A-Za-z0-9_-]{16,128}:end$/

/** The application's, the client's choice where there is a log, or a new one. What is no id is refused later. */
function idOf(options: RelayToOptions): string {
  try {
    const { log, runId, request } = options
    if (isRunId(runId)) return runId
    const named = log && one(request?.header('x-run-id'))
    if (isRunId(named)) return named
  } catch {
    // Looking at the options throws: that is met again where it is reported.
  }
  return newRunId()
}

/** The request's `Last-Event-ID`, for {@link resumeTo}. */
export function lastEventIdOf(request: RequestHead | undefined): string | undefined {
  return decodeHeader(one(request?.header('last-event-id')))
}

function one(header: string | string[] | null | undefined): string | undefined {
  return (Array.isArray(header) ? header[0] : header) ?? undefined
}

/** `Last-Event-ID` is UTF-8, and hosts hand headers over byte by byte. */
function decodeHeader(value: string | undefined): string | undefined {
  if (value === undefined || !/[\x80-\xff]/.test(value) || /[^\0-\xff]/.test(value)) return value
  return new TextDecoder().decode(Uint8Array.from(value, (character) => character.charCodeAt(0)))
}
