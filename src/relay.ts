/** How do the frames of a run or a log become one HTTP response, and how does it end? */
import { captureScope, runIn } from './async-context.js'
import { AwaitedPromise } from './awaited-promise.js'
import { type DeadlineOwner, Deadlines } from './deadlines.js'
import { encodeRetry } from './encode.js'
import { RelayError } from './errors.js'
import { idLine, isRunId, markEnd, newRunId, parseEventId } from './event-id.js'
import { type FailureAnswer, failureOf, outcomeOf, toFailure } from './failure.js'
import {
  EMPTY_HEADERS,
  extraHeaders,
  headerOf,
  isEventSource,
  JSON_HEADERS,
  lastEventIdOf,
  type SinkHeaders,
  STREAM_HEADERS,
} from './headers.js'
import type { LogResume, RunLog } from './log/log.js'
import type { ReaderOutlet } from './log/reader.js'
import {
  type Connection,
  checkRelayOptions,
  type RelayOptions,
  type RelayToOptions,
  type ResumeOptions,
  type ResumeToOptions,
} from './options.js'
import { printError, reportClose, reportEnd, reportFailure, warnOnce } from './report.js'
import { type Feeder, Run, type RunEnd } from './run.js'
import { listen } from './signal.js'
import type { RelayHandle, Sink } from './sink.js'
import { callAtTickEnd, nextTurn } from './tick.js'
import type { Failure, Outcome, Source, Summary } from './types.js'
import { discard } from './upstream.js'
import { WholeAnswer } from './whole-answer.js'

/** Frames of one tick make one write; past this many characters they do not wait for its end. */
const FLUSH_AT = 16_384
/** A longer text is written in slices, as there is room: hosts would copy a large event for each reader. */
const SLICE = 32_768

/**
 * A comment and a blank line: without the blank line a client that splits the stream by blank lines would lose the next
 * event. The bytes are rule 4.1 of docs/wire.md, and stand again in `testing/conformance/`, `lab/load/` and
 * `test/hosts/proxies/`.
 */
const HEARTBEAT = ': \n\n'
/** The lines of frames other than data, event names and comments. */
const ID_OR_RETRY = /^(id|retry): .*\n/gm

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

/**
 * waiting  nothing was sent: a failure is an HTTP answer with a status of its own
 * open     the head is sent: frames and heartbeats go out, a failure is an event
 * blocked  the reader takes no more: frames gather here, and the run is asked to wait (open ⇄ blocked)
 * ending   no more frames come, and the rest of them is written as there is room
 * ended    the last bytes are written, and may still be on their way; or nothing was, until it is known whether somebody
 *          awaits `done` and answers instead
 * closed   nothing is left to do
 */
class Relay implements ReaderOutlet, RelayHandle, DeadlineOwner {
  #state: 'waiting' | 'open' | 'blocked' | 'ending' | 'ended' | 'closed' = 'waiting'
  readonly done: AwaitedPromise<Summary>
  readonly scope = captureScope()
  readonly startedAt = performance.now()
  readonly #sink: Sink
  readonly #options: RelayToOptions & Pick<ResumeOptions, 'after' | 'empty'>
  readonly #runId: string
  readonly #deadlines = new Deadlines(this)
  #lastEventId: string | undefined
  /** For `stream: false`: what is answered instead of the frames. */
  #whole: WholeAnswer | undefined
  /** Whether an event was sent, which a heartbeat is not. */
  #hasEvents = false
  /** A run of its own, or a reader of the log; absent where the answer needs neither. */
  #feeder: Feeder | undefined
  #unlisten: (() => void) | undefined
  #resolve!: (summary: Summary | Promise<never>) => void
  /** How it ended, while the last piece is being written. */
  #summary: Summary | undefined
  #extra: SinkHeaders | undefined
  #buffer = ''
  /** What comes before the buffer, if some of it is large. It is never joined, since that would copy it. */
  #queue: string[] | undefined
  #isScheduled = false
  #status: number | undefined
  /** How the connection went, for `onClose`: known when it ends, reported when it is closed. */
  #connection: Connection | undefined
  #isCloseReported = false

  constructor(sink: Sink, options: RelayToOptions) {
    this.#sink = sink
    this.#options = options ?? {}
    this.#lastEventId = lastEventIdOf(this.#options.request)
    this.#runId = idOf(this.#options)
    this.done = new AwaitedPromise((resolve) => {
      this.#resolve = resolve
    })
  }

  get sent(): boolean {
    return this.#state !== 'waiting'
  }

  get isClosed(): boolean {
    return this.#state === 'closed'
  }

  start(source: Source): void {
    const { request } = this.#options
    if (!this.#prepare('relay') || parseEventId(this.#lastEventId)?.seq === 'end') {
      discard(source)
      // An EventSource reconnects after every end; the id of the last frame says that there is nothing more.
      if (this.#state === 'waiting') this.#answerEmpty(204)
    } else if (!this.#options.log) {
      this.#deadlines.watch()
      const run = new Run(this.#runId, this.#optionsOfRun(), this, this.#lastEventId)
      this.#feeder = run
      run.start(source, this.#options.shutdown)
    } else if (this.#lastEventId !== undefined) {
      discard(source)
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
    if (this.#prepare('resume')) this.#read({ lastEventId, runId, after: this.#options.after })
    request?.drain?.()
  }

  /** Checks everything before the source or the log is asked. `false` if the answer is given already. */
  #prepare(what: 'relay' | 'resume'): boolean {
    const { request } = this.#options
    try {
      const { gone } = this.#sink
      checkRelayOptions(what, this.#options)
      const { headers, protocol, log, stream, owner } = this.#options
      if (owner !== undefined && !log) {
        warnOnce(
          'owner',
          'relay was given an owner and no log, so its runs are not kept: hand it the log as well, or leave the owner out',
        )
      }
      // A client that comes back with an id reads the run's stream.
      const isWhole = what === 'relay' && stream === false && !(log && this.#lastEventId !== undefined)
      if (isWhole) this.#whole = new WholeAnswer(protocol, log !== undefined)
      const own = log || isWhole ? undefined : protocol?.headers
      if (own || headers !== undefined) this.#extra = { ...extraHeaders(own), ...extraHeaders(headers) }
      const { stallTimeoutMs, maxDurationMs } = this.#options
      this.#deadlines.set(isWhole ? { heartbeatMs: 0, stallTimeoutMs, maxDurationMs } : this.#options)
      if (gone) {
        this.#stop('disconnected')
        return false
      }
    } catch (error) {
      this.#fail(error)
      return false
    }
    // Neither asks for an answer. HEAD asks for its headers; OPTIONS, a browser's preflight, asks what is allowed.
    const method = request?.method
    if (method === 'HEAD' || method === 'OPTIONS') {
      this.#answerEmpty(method === 'HEAD' ? 200 : 204)
      return false
    }
    return true
  }

  /** Hands the source to the log, and reads the run from there. */
  #record(source: Source): void {
    const { log, request } = this.#options
    const named = headerOf(request, 'x-run-id')
    const isMisnamed = named !== undefined && !isRunId(named)
    if (isMisnamed) {
      const message = 'The header x-run-id holds no id of a run: 16 to 128 of A-Z a-z 0-9 _ -'
      this.#fail(new RelayError('invalid-field', message, { status: 400, expose: true }))
    }
    if (isMisnamed || !this.#joinLog()) {
      discard(source)
      request?.drain?.()
      return
    }
    ;(log as RunLog).relay(this, source, this.#optionsOfRun(), {
      runId: this.#runId,
      // A run that was begun elsewhere has frames, but no answer in one body.
      isNamed: named === this.#runId && !this.#whole,
      isNew: this.#runId !== named && this.#runId !== this.#options.runId,
      asked: () => request?.drain?.(),
    })
  }

  #read(what: LogResume): void {
    if (!this.#joinLog()) return
    const { log, owner } = this.#options
    ;(log as RunLog).resume(this, owner as string | null, what, this.#options)
  }

  /** The options of the run. For an answer in one body its protocol gathers the parts as well. */
  #optionsOfRun(): RelayOptions {
    if (!this.#whole) return this.#options
    return Object.assign(Object.create(this.#options), { protocol: this.#whole.protocol })
  }

  /** Prepares for frames of a log. `false` if the server is going away. */
  #joinLog(): boolean {
    const { shutdown } = this.#options
    if (shutdown?.aborted) {
      this.#stop('shutdown')
      return false
    }
    if (shutdown) this.#unlisten = listen(shutdown, () => this.#stop('shutdown'))
    return true
  }

  feedFrom(feeder: Feeder): void {
    this.#feeder = feeder
  }

  setHeaders(runId: string, headers: Readonly<Record<string, string>> | undefined): void {
    // The headers of a run that has not begun are not known.
    const own = headers ?? this.#options.protocol?.headers
    this.#extra = { ...(!this.#whole && extraHeaders(own)), 'x-run-id': runId, ...this.#extra }
    // No heartbeat before the log has answered: it would make a 404 a 200.
    this.#deadlines.watch()
  }

  begin(): boolean {
    if (this.#state !== 'waiting' || !this.#commit()) return true
    const { log, request } = this.#options
    // The id of the position before the first event, for an EventSource that loses the connection there.
    if (log && this.#lastEventId === undefined && isEventSource(request) && !this.#isDataOnly())
      this.#buffer += `${idLine(this.#runId, 0)}\n`
    return !this.#is('blocked')
  }

  write(frames: string): boolean {
    if (this.#state === 'waiting' && !this.#commit()) return true
    this.#hasEvents = true
    this.#add(frames)
    if (this.#buffer.length >= FLUSH_AT || this.#queue) this.#flush()
    else if (!this.#isScheduled) {
      this.#isScheduled = true
      // Bound per write: a stored bound function would live as long as the stream.
      this.#sink.schedule(this.#onTick.bind(this))
    }
    return this.#state !== 'blocked'
  }

  writeNow(frames: string): boolean {
    if (this.#state === 'waiting' && !this.#commit()) return true
    this.#hasEvents = true
    this.#add(frames)
    this.#flush()
    return this.#state !== 'blocked'
  }

  end(end: RunEnd): void {
    // The feeder may have been triggered by another request.
    this.scope.runInAsyncScope(() => this.#end(end))
  }

  #end({ outcome, frames, last, failure, thrown, summary }: RunEnd): void {
    this.#unlisten?.()
    this.#noteConnection(summary)
    if (thrown && this.#state === 'waiting') {
      this.#refuse(thrown.error, failure as FailureAnswer, summary)
      return
    }
    try {
      if (outcome === 'disconnected' || outcome === 'stalled') this.#drop()
      else if (this.#state === 'open' || this.#state === 'blocked') this.#finish(this.#withEndId(frames + last))
      else if (this.#state === 'waiting') {
        if (failure) this.#answerFailure(failure)
        else if (!this.#whole) this.#answerEmpty(this.#options.empty ?? 204)
        else if (outcome === 'done') this.#answerWhole(this.#whole)
        // The run goes on without this client, which asked for one body and does not come back for the rest.
        else this.#answerFailure(failureOf(outcome))
      }
    } finally {
      // A large last piece goes out in slices: until the host has all of it, the response must be left alone.
      if (this.#state === 'ending') this.#summary = summary
      else this.#resolve(summary)
    }
  }

  /**
   * `onError` threw before anything was sent: whoever awaits this relay gets the error, else the client the failure.
   */
  async #refuse(error: unknown, failure: FailureAnswer, summary: Summary): Promise<void> {
    this.#deadlines.close()
    this.#state = 'ended'
    if (!this.done.isAwaited) await nextTurn()
    if (this.done.isAwaited) {
      this.#close()
      this.#resolve(Promise.reject(error))
      return
    }
    printError(error)
    if (!this.#is('closed')) this.#answerFailure(failure)
    this.#resolve(summary)
  }

  /** Asks again: what was called since may have changed the state, which TypeScript does not see. */
  #is(state: string): boolean {
    return this.#state === state
  }

  drained(): void {
    if (this.#state === 'ended') this.#close()
    else if (this.#state === 'ending') {
      this.#deadlines.wrote()
      this.scope.runInAsyncScope(this.#writeRest, this)
    } else if (this.#state === 'blocked') {
      this.#state = 'open'
      this.#deadlines.unblock()
      this.#send()
      if (this.#is('open')) {
        this.#deadlines.watch()
        this.#feeder?.resume()
      }
    }
  }

  left(): void {
    if (this.#state === 'ended' || this.#state === 'ending') this.#lose('disconnected')
    else if (this.#state !== 'closed') this.#leave()
  }

  /** The reader left, unless something else has answered, or has ended the response: then `gone` throws. */
  #leave(): void {
    try {
      this.#sink.gone
    } catch (error) {
      // Nothing can be written after that end.
      if (this.sent) this.#close()
      this.#fail(error)
      return
    }
    this.#stop('disconnected')
  }

  onHeartbeat(): void {
    const own = this.#hasEvents ? this.#options.protocol?.heartbeat : undefined
    this.#send(own ?? HEARTBEAT)
  }

  onStall(): void {
    if (this.#state === 'ended' || this.#state === 'ending') this.#lose('stalled')
    else this.#stop('stalled')
  }

  onExpiry(): void {
    this.#stop('expired')
  }

  #onTick(): void {
    this.#isScheduled = false
    this.#send()
  }

  /** Called where nobody catches what the host throws: it ends the run. */
  #send(text = ''): void {
    try {
      if (text !== '') this.begin()
      this.#buffer += text
      this.#flush()
    } catch (error) {
      this.#fail(error)
    }
  }

  #stop(outcome: 'disconnected' | 'stalled' | 'expired' | 'shutdown'): void {
    if (this.#feeder) this.#feeder.stop(outcome)
    else this.#endEarly({ outcome, failure: outcome === 'shutdown' ? failureOf(outcome) : undefined })
  }

  #fail(error: unknown): void {
    if (this.#feeder) this.#feeder.fail(error)
    else {
      const { failure, thrown } = reportFailure(this.#options, error, this.#runId, this.sent, this.scope)
      this.#endEarly({ outcome: outcomeOf(toFailure(error).code), failure, thrown }, error)
    }
  }

  /** Ends a call for which no run was made. */
  #endEarly(end: Pick<RunEnd, 'outcome' | 'failure' | 'thrown'>, error?: unknown): void {
    const summary = this.#summaryOf(end.outcome)
    if (error !== undefined) summary.error = error
    try {
      this.end({ ...end, frames: '', last: '', summary })
    } catch (error) {
      printError(error)
    }
    runIn(this.scope, () => reportEnd(this.#options, summary, this.scope))
  }

  /** Of a call without a run. */
  #summaryOf(outcome: Outcome): Summary {
    return { outcome, events: 0, text: '', durationMs: 0, runId: this.#runId }
  }

  #drop(): void {
    this.#close()
    this.#sink.destroy()
  }

  /** The last bytes did not arrive. */
  #lose(outcome: 'disconnected' | 'stalled'): void {
    if (this.#connection) this.#connection.outcome = outcome
    if (outcome === 'stalled' || this.#state === 'ending') this.#drop()
    else this.#close()
  }

  #add(whole: string): void {
    const frames = this.#plain(whole)
    if (frames.length <= SLICE) {
      this.#buffer += frames
      return
    }
    this.#queue ??= []
    if (this.#buffer !== '') this.#queue.push(this.#buffer)
    this.#queue.push(frames)
    this.#buffer = ''
  }

  /** What to write next: all that gathered, or a slice. */
  #next(): string {
    const queue = this.#queue
    if (!queue) {
      const text = this.#buffer
      this.#buffer = ''
      return text
    }
    const first = queue[0] as string
    const slice = sliceOf(first)
    if (slice.length < first.length) queue[0] = first.slice(slice.length)
    else if (queue.length > 1) queue.shift()
    else this.#queue = undefined
    return slice
  }

  #flush(): void {
    while (this.#state === 'open') {
      const text = this.#next()
      if (text === '') return
      this.#deadlines.wrote()
      if (this.#write(text)) continue
      // The write may have led to the end of the stream.
      if (this.#is('open')) this.#block()
    }
  }

  /** Code that wraps the host's `write` runs in the context of this request, not of the one that began the tick. */
  #write(text: string): boolean {
    const sink = this.#sink
    return this.scope.runInAsyncScope(sink.write, sink, text)
  }

  #block(): void {
    this.#state = 'blocked'
    this.#deadlines.block()
  }

  /** Sends status and headers: from here on a failure is an event. `false` if the answer is one body, sent last. */
  #commit(): boolean {
    if (this.#whole) return false
    const { retryMs } = this.#options
    this.#open(200, this.#streamHeaders())
    this.#state = 'open'
    // A host that refuses the body says that the reader left.
    if (!this.#offer() && this.#is('open')) this.#block()
    // Not an event of its own: the line becomes part of the first one, so that no client sees an empty event.
    if (retryMs !== undefined && !this.#isDataOnly()) this.#buffer = encodeRetry(retryMs)
    return true
  }

  /** The headers of a stream, with the time between heartbeats: so a client can tell silence from a lost connection. */
  #streamHeaders(): SinkHeaders {
    const { heartbeatMs } = this.#deadlines
    const hasHeartbeats = heartbeatMs > 0 && Number.isFinite(heartbeatMs)
    return hasHeartbeats ? { ...STREAM_HEADERS, 'x-heartbeat-ms': String(heartbeatMs) } : STREAM_HEADERS
  }

  #open(status: number, headers: SinkHeaders): void {
    try {
      this.scope.runInAsyncScope(() => this.#sink.open(status, { ...headers, ...this.#extra }))
      this.#status = status
    } catch (error) {
      // Something else has answered, and the response is left to it. Otherwise the host refused the extra headers: what
      // is answered instead goes without them.
      if ((error as { code?: unknown }).code === 'response-used') this.#close()
      this.#extra = undefined
      throw error
    }
  }

  /** A failure before anything was sent is an ordinary HTTP answer. */
  #answerFailure({ status, code, message, retryable, retryAfter }: FailureAnswer): void {
    const headers = { ...JSON_HEADERS, ...(retryAfter !== undefined && { 'retry-after': retryAfter }) }
    try {
      this.#open(status, headers)
    } catch {
      if (this.#state !== 'closed') this.#drop()
      return
    }
    this.#finish(this.#refusalOf({ code, message, retryable }, status))
  }

  #refusalOf(error: Failure, status: number): string {
    try {
      const refusal = this.#options.protocol?.refusal?.({ ...error, status })
      if (refusal !== undefined) return JSON.stringify(refusal)
    } catch {
      // The protocol failed: the default body is sent.
    }
    return JSON.stringify({ error })
  }

  #answerWhole({ body }: WholeAnswer): void {
    try {
      this.#open(200, JSON_HEADERS)
    } catch (error) {
      this.#fail(error)
      return
    }
    this.#finish(body)
  }

  /** An answer without a run and without a body. */
  #answerEmpty(status: 200 | 204): void {
    try {
      const ofHead = this.#whole ? JSON_HEADERS : this.#streamHeaders()
      this.#open(status, status === 200 ? ofHead : EMPTY_HEADERS)
      const summary = this.#summaryOf('done')
      this.#noteConnection(summary)
      this.#finish()
      this.#resolve(summary)
    } catch (error) {
      this.#fail(error)
    }
  }

  /** Hands the host the body. `false`: nobody reads it yet. */
  #offer(): boolean {
    return this.scope.runInAsyncScope(() => this.#sink.offer?.()) !== false
  }

  /** Writes what is left, and then what is last. */
  #finish(last = ''): void {
    const before = this.#state
    this.#state = 'ending'
    this.#deadlines.end()
    this.#add(last)
    // A little is not worth a wait: it is written with the end. What is written before it needs a body.
    if (!this.#queue || (before === 'waiting' ? this.#offer() : before === 'open')) this.#writeRest()
  }

  #writeRest(): void {
    while (this.#state === 'ending') {
      const text = this.#next()
      if (!this.#queue) this.#writeLast(text + this.#next())
      else if (!this.#sink.write(text)) return
    }
  }

  #writeLast(text: string): void {
    this.#state = 'ended'
    try {
      this.#sink.end(text || undefined)
    } catch (error) {
      // Waiting would not help, and a client recognises a dropped connection.
      this.#drop()
      throw error
    }
    this.#resolveDone()
  }

  #resolveDone(): void {
    if (this.#summary) this.#resolve(this.#summary)
  }

  /** The id of the last frame says that there is nothing more: without it an EventSource would run the prompt again. */
  #withEndId(frames: string): string {
    const { log, request } = this.#options
    return frames !== '' && !log && isEventSource(request) ? markEnd(frames, this.#runId) : frames
  }

  #isDataOnly(): boolean {
    return this.#options.protocol?.dataOnly === true
  }

  /** The frames without the lines that the client does not accept. */
  #plain(frames: string): string {
    return this.#isDataOnly() ? frames.replace(ID_OR_RETRY, '') : frames
  }

  /** Records how the connection went, for `onClose`. It may be closed already. */
  #noteConnection({ outcome, events, firstEventMs, runId }: Summary): void {
    const durationMs = performance.now() - this.startedAt
    this.#connection = { outcome, events, ...(firstEventMs !== undefined && { firstEventMs }), durationMs, runId }
    if (this.#state === 'closed') this.#tellClosed()
  }

  #close(): void {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    this.#deadlines.close()
    this.#buffer = ''
    this.#queue = undefined
    this.#resolveDone()
    this.#tellClosed()
  }

  #tellClosed(): void {
    const connection = this.#connection
    if (!connection || this.#isCloseReported) return
    this.#isCloseReported = true
    if (this.#status !== undefined) connection.status = this.#status
    connection.durationMs = performance.now() - this.startedAt
    // After `onEnd`: a run that ends with its connection calls it in this tick.
    callAtTickEnd(() => runIn(this.scope, () => reportClose(this.#options, connection, this.scope)))
  }
}

/** The first slice of a text. No character is cut in two. */
function sliceOf(text: string): string {
  if (text.length <= SLICE) return text
  const isHalf = (text.charCodeAt(SLICE - 1) & 0xfc00) === 0xd800
  return text.slice(0, isHalf ? SLICE - 1 : SLICE)
}

/** The application's run id, else the client's if there is a log, else a new one. An invalid id is refused later. */
function idOf(options: RelayToOptions): string {
  try {
    const { log, runId, request } = options
    if (isRunId(runId)) return runId
    const named = log && headerOf(request, 'x-run-id')
    if (isRunId(named)) return named
  } catch {
    // Reading the options throws. They are read again where that is reported.
  }
  return newRunId()
}
