/** How is a source asked, pulled, slowed and stopped, and with which one outcome does its run end? */
import { Answer } from './answer.js'
import { runIn, type Scope } from './async-context.js'
import { isObject, isRelayError, show } from './errors.js'
import { countFrames } from './event-id.js'
import { type FailureAnswer, failureOf, isOfProvider, mistake, outcomeOf, toFailure, withShown } from './failure.js'
import type { RelayOptions } from './options.js'
import { isThenable } from './promises.js'
import { failureFrames } from './protocols/frames.js'
import { printError, reportEnd, reportFailure, warnOnce } from './report.js'
import { listen } from './signal.js'
import { Context } from './source-context.js'
import { isResponse, isStream } from './sources/read-chunk.js'
import { nextTurn } from './tick.js'
import { DONE, type Failure, type Outcome, type Source, type Summary } from './types.js'
import {
  abort,
  discard,
  type Iteration,
  isOfConsumed,
  iterate,
  iterateInner,
  release,
  wasConsumed,
  wireIn,
} from './upstream.js'

/** Where the frames of a run go. */
export interface Outlet {
  /** Commits to a successful answer. `false` asks the run to wait. Throws if the host refuses the response. */
  begin(): boolean
  /** Takes the frames of `count` events. `false` asks the run to wait for {@link Run.resume}. */
  write(frames: string, count: number): boolean
  /** The run is over; called once. */
  end(end: RunEnd): void
  /** `onEnd` has settled. */
  settled?(): void
  /** Whether something was sent to a client already. */
  readonly sent: boolean
  /** The context of the request that began the run: the source and all hooks run there. */
  readonly scope: Scope
  /** When the run began, by `performance.now()`: a time of the run's own would be memory of every open stream. */
  readonly startedAt: number
}

/** How a run ended, for its outlet. */
export interface RunEnd {
  outcome: Outcome
  /** Frames that come before the last one. */
  frames: string
  /** The sentinel or the failure frames; empty when nobody is there to read it, or the dialect has no sentinel. */
  last: string
  /** For an outcome that is a failure: what the client is shown. */
  failure?: FailureAnswer
  /** `onError` threw this, for the host's own error handling. */
  thrown?: { error: unknown }
  summary: Summary
}

/** What feeds an outlet: a run, or a reader of a run. */
export interface Feeder {
  /** The outlet takes frames again. */
  resume(): void
  /** The outlet's reader is gone, or must go. */
  stop(outcome: 'disconnected' | 'stalled' | 'expired' | 'shutdown'): void
  /** The outlet failed. */
  fail(error: unknown): void
}

const DONE_FRAME = `data: ${DONE}\n\n`
/** After this many characters the run yields to the event loop. */
const MAX_TURN = 65_536
/** What a chunk counts besides its frames, in characters, since it may have none. */
const CHUNK_COST = 16

/**
 * new        nothing was asked for
 * asking     the source is called, its stream is not there yet
 * pulling    one chunk after the other; ⇄ blocked: the outlet takes no more; ⇄ yielding: others have their turn
 * finishing  the source has ended; whether the answer is complete is checked
 * over       with one outcome; from any state, by `stop`, `fail` or a signal
 */
export class Run implements Feeder {
  #state: 'new' | 'asking' | 'pulling' | 'blocked' | 'yielding' | 'finishing' | 'over' = 'new'
  readonly #options: RelayOptions
  readonly #outlet: Outlet
  readonly #context: Context
  /** Made at the start, since making it calls the protocol. */
  #answer: Answer | undefined
  /** Resolves what `waitUntil` was given. */
  #tellHost: (() => void) | undefined
  #iteration: Iteration | undefined
  /** Ends the wait for room. */
  #wake: (() => void) | undefined
  #unlisten: (() => void)[] | undefined
  /** Whether chunks must still show what can stop the stream. The body of a response can be stopped itself. */
  #mayWarn = true
  /** Characters since the event loop had its turn. 0 as long as no chunk has come. */
  #sinceTurn = 0
  #firstEventMs: number | undefined

  constructor(runId: string, options: RelayOptions, outlet: Outlet, lastEventId: string | undefined) {
    this.#options = options
    this.#outlet = outlet
    this.#context = new Context(runId, lastEventId)
  }

  get runId(): string {
    return this.#context.runId
  }

  get isOver(): boolean {
    return this.#state === 'over'
  }

  /** Asks for the source, synchronously: a factory is called before this returns. */
  start(source: Source, shutdown?: AbortSignal, isStopped = false): void {
    try {
      const { signal, waitUntil } = this.#options
      this.#answer = new Answer(this.runId, this.#options)
      // Stopped before it began.
      if (isStopped) this.#end('stopped', failureOf('stopped'))
      if (signal && !this.isOver) this.#listen(signal, () => this.#signalled(signal))
      if (shutdown && !this.isOver) this.#listen(shutdown, () => this.#end('shutdown', failureOf('shutdown')))
      if (!this.isOver) {
        waitUntil?.(
          new Promise<void>((resolve) => {
            this.#tellHost = resolve
          }),
        )
      }
      if (this.isOver) {
        discard(source)
        return
      }
      this.#state = 'asking'
      const stream: unknown = typeof source === 'function' ? source(this.#context) : source
      if (isThenable(stream) && !isStream(stream)) {
        // A hand-written thenable may call back twice; a promise made of it does not.
        Promise.resolve(stream).then(
          (late) => this.#attach(late),
          (error) => this.fail(error),
        )
      } else this.#attach(stream)
    } catch (error) {
      if (this.#state === 'new') discard(source)
      this.#fail(error)
    }
  }

  /** The outlet takes frames again. */
  resume(): void {
    this.#wake?.()
  }

  /** Ends the run early. How the source reacts to that is ignored. */
  stop(outcome: Exclude<Outcome, 'done' | 'error' | 'truncated'>): void {
    const isUnread = outcome === 'disconnected' || outcome === 'stalled'
    runIn(this.#outlet.scope, () => this.#end(outcome, isUnread ? undefined : failureOf(outcome)))
  }

  /** Ends the run with an error: the source's, the outlet's, or a mistake in how the relay was called. */
  fail(error: unknown, told = toFailure(error)): void {
    if (!this.isOver) runIn(this.#outlet.scope, () => this.#fail(error, told))
  }

  #fail(error: unknown, told = toFailure(error)): void {
    if (this.isOver) return
    const outcome = outcomeOf(told.code)
    const { sent, scope } = this.#outlet
    const { failure, thrown } = reportFailure(this.#options, error, this.runId, sent, scope, told)
    this.#end(outcome, failure, { error, thrown })
  }

  /** The frames of a failure in the run's dialect. */
  say(failure: Failure): string {
    return failureFrames(() => this.#answer?.encoder, failure)
  }

  #signalled(signal: AbortSignal): void {
    const reason: unknown = signal.reason
    if (!isRelayError(reason)) {
      const outcome = (reason as Error)?.name === 'TimeoutError' ? 'expired' : 'stopped'
      this.#end(outcome, failureOf(outcome))
      return
    }
    const { code, message, retryable, status, expose } = reason
    const shown = { status, retryable: retryable || undefined, message: expose ? message : undefined }
    const told = withShown(failureOf(code), shown)
    const outcome = outcomeOf(code)
    // The other outcomes are someone's decision, not errors: onError does not hear of them.
    if (outcome === 'error' || outcome === 'truncated') this.#fail(reason, told)
    else this.#end(outcome, told, { error: reason })
  }

  #listen(signal: AbortSignal, callback: () => void): void {
    if (signal.aborted) callback()
    else {
      this.#unlisten ??= []
      this.#unlisten.push(listen(signal, () => runIn(this.#outlet.scope, callback)))
    }
  }

  /** The source's stream is there: its iterator is asked for at once, since some streams listen only from then. */
  #attach(stream: unknown): void {
    try {
      if (this.isOver) release(stream)
      else {
        this.#iteration = iterate(stream, (this.#answer as Answer).reading)
        this.#mayWarn = !isResponse(stream)
        this.#warn(this.#iteration.signalOnly)
        this.#pull()
      }
    } catch (error) {
      this.fail(error)
    }
  }

  /** Pulls one chunk at a time with callbacks: a suspended async function would cost 250 bytes per open stream. */
  #pull(): void {
    if (this.#state === 'over') return
    this.#state = 'pulling'
    this.#wake = undefined
    // A source that is always ready and a connection that takes everything at once would never yield.
    if (this.#sinceTurn > MAX_TURN) {
      this.#sinceTurn = CHUNK_COST
      this.#state = 'yielding'
      nextTurn().then(this.#pull.bind(this))
      return
    }
    try {
      const next = (this.#iteration as Iteration).iterator.next()
      Promise.resolve(next).then(this.#onResult.bind(this), this.#onThrown.bind(this))
    } catch (error) {
      this.#onThrown(error)
    }
  }

  /** The stream itself failed. An SDK's runs no code of the application: what it throws comes from its provider. */
  #onThrown(error: unknown): void {
    const { stream } = this.#iteration as Iteration
    const { known } = (this.#answer as Answer).reading
    const isSDKs = typeof (stream.abort ?? stream.controller?.abort) === 'function' && !known?.hasResults
    if (isOfConsumed(error)) this.#onError(error)
    else this.fail(error, this.#blame(error, isSDKs))
  }

  /** What is told of an error of the stream: one that nothing else explains may still be the provider's. */
  #blame(error: unknown, isSDKs: boolean): FailureAnswer {
    const failure = toFailure(error)
    const { known } = (this.#answer as Answer).reading
    const isTheirs = failure.code === 'internal' && (isSDKs || known) && isOfProvider(error, isSDKs)
    return isTheirs ? failureOf('upstream-failure') : failure
  }

  /** What the iterator gave. Pulls the next, unless the source has ended or the outlet takes no more. */
  #onResult(result: unknown): void {
    try {
      if (!isObject(result)) {
        throw mistake('invalid-source', `The source's next() gives ${show(result)}: give { done, value }`)
      }
      const { done, value } = result as IteratorResult<unknown>
      if (this.#state === 'over') return
      if (done) {
        const { outer } = this.#iteration as Iteration
        if (outer) {
          this.#iteration = outer
          this.#pull()
          return
        }
        this.#state = 'finishing'
        this.#complete(this.#iteration as Iteration).catch(this.#onError.bind(this))
        return
      }
      const frames = this.#encode(value)
      const { reading } = this.#answer as Answer
      if (reading.inner) {
        this.#iteration = iterateInner(this.#iteration as Iteration, reading.inner, reading)
        reading.inner = undefined
      }
      if (reading.isOver) {
        this.#leaveStream(frames)
        return
      }
      this.#sinceTurn += frames.length + CHUNK_COST
      if (frames === '' || this.#write(frames)) this.#pull()
      else if (!this.isOver) this.#waitForRoom()
    } catch (error) {
      this.#onError(error)
    }
  }

  /** The answer is over before its stream, which is not needed any more. */
  #leaveStream(frames: string): void {
    this.#state = 'finishing'
    const iteration = this.#iteration as Iteration
    abort(iteration)
    if (frames !== '') this.#write(frames)
    this.#complete({ ...iteration, stream: {} }).catch(this.#onError.bind(this))
  }

  #waitForRoom(): void {
    this.#state = 'blocked'
    this.#room().then(this.#pull.bind(this))
  }

  /** Resolves when there is room. A promise made here reacts in the context of this request, whoever calls `resume`. */
  #room(): Promise<void> {
    return new Promise<void>((resolve) => {
      this.#wake = resolve
    })
  }

  /** What is thrown while a chunk is read, made into frames and written, or while the answer is completed. */
  #onError(error: unknown): void {
    this.fail(!this.#answer?.events && isOfConsumed(error) ? wasConsumed(error) : error)
  }

  #write(frames: string): boolean {
    if (this.isOver) return false
    if (this.#firstEventMs === undefined) this.#firstEventMs = performance.now() - this.#outlet.startedAt
    // Counted here, once for all: some encoders make several events of one part.
    const count = countFrames(frames)
    ;(this.#answer as Answer).events += count
    return this.#outlet.write(frames, count)
  }

  /** The frames of one chunk. A failure in it ends the run, after what came before it. */
  #encode(chunk: unknown): string {
    const answer = this.#answer as Answer
    const { reading } = answer
    if (typeof chunk === 'string' && answer.events === 0) {
      reading.inner = wireIn(chunk, this.#iteration as Iteration, reading)
      if (reading.inner) return ''
    }
    const frames = answer.encode(chunk)
    if (this.#mayWarn && isObject(chunk)) this.#warn(reading.shape?.signalOnly?.(chunk as never))
    return this.#orFail(frames)
  }

  /** The frames, unless what they were made of holds a failure as well: then they go out, and the run is over. */
  #orFail(frames: string): string {
    const { errorPart } = this.#answer as Answer
    if (!errorPart) return frames
    if (frames !== '') this.#write(frames)
    this.#fail(errorPart.error, this.#blame(errorPart.error, false))
    return ''
  }

  #warn(provider: string | undefined): void {
    if (provider === undefined) return
    this.#mayWarn = false
    if (this.#context.isAsked) return
    const remedy = 'relay a function, ({ signal }) => …, that hands it on'
    warnOnce(
      provider,
      `only the signal its call was given stops a stream of ${provider}, so when a reader leaves it goes on, and is paid for: ${remedy}`,
    )
  }

  /** The source has ended: whether the answer is complete decides how the run ends. */
  async #complete({ stream, rest }: Iteration): Promise<void> {
    // The iterators of the SDKs' helper streams can lose an error that came while nobody was reading.
    if ((stream.errored === true || stream.aborted === true) && typeof stream.done === 'function') await stream.done()
    const whole = rest && (await rest)
    if (this.isOver) return
    const answer = this.#answer as Answer
    const { reading } = answer
    // An SDK's stream without a chunk is no empty answer.
    if (reading.isOwed && answer.events === 0 && this.#sinceTurn === 0) reading.proof = 'missing'
    const frames = this.#orFail(answer.end(whole))
    if (this.isOver) return
    // Even a short answer is not done until somebody takes it.
    if (!this.#outlet.begin()) await this.#room()
    this.#end('done', undefined, { frames })
  }

  #end(
    outcome: Outcome,
    failure: FailureAnswer | undefined,
    more: { frames?: string; error?: unknown; thrown?: { error: unknown } | undefined } = {},
  ): void {
    if (this.isOver) return
    this.#state = 'over'
    const durationMs = performance.now() - this.#outlet.startedAt
    for (const unlisten of this.#unlisten ?? []) unlisten()
    if (outcome !== 'done') {
      this.#context.abort(outcome)
      if (this.#iteration) abort(this.#iteration)
    }
    const { frames = '', error, thrown } = more
    const summary: Summary = {
      outcome,
      ...(this.#answer?.summary ?? { events: 0, text: '' }),
      ...(this.#firstEventMs !== undefined && { firstEventMs: this.#firstEventMs }),
      durationMs,
      runId: this.runId,
      ...(error !== undefined && { error }),
    }
    let last = ''
    // The sentinel says that the answer is complete: no other ending has it. A reader that left is sent nothing.
    if (outcome === 'done') last = this.#options.protocol?.sentinel ?? DONE_FRAME
    else if (failure) last = this.say(failure)
    try {
      this.#outlet.end({ outcome, frames, last, failure, thrown, summary })
    } catch (error) {
      printError(error)
    }
    reportEnd(this.#options, summary, this.#outlet.scope).then(() => {
      this.#outlet.settled?.()
      this.#tellHost?.()
    })
  }
}
