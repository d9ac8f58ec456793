import { flatten } from './encode.js'
import { isObject, isRelayError, RelayError, show } from './errors.js'
import { asMistake, type FailureAnswer, failureOf, mistake, outcomeOf, toFailure, withShown } from './failure.js'
import type { ErrorContext, RelayOptions, ShownFailure } from './options.js'
import { failureFrame, refuseError, toJson } from './protocols/frames.js'
import { text } from './protocols/text.js'
import { listen } from './signal.js'
import { createReading, isResponse, readChunk } from './sources/index.js'
import {
  DONE,
  type Encoder,
  type FinishReason,
  type Outcome,
  type OwnEvent,
  type Source,
  type SourceContext,
  type Summary,
  type Usage,
} from './types.js'
import {
  abort,
  type Iteration,
  ignore,
  isThenable,
  iterate,
  refuse,
  release,
  type SDKStream,
  wasConsumed,
} from './upstream.js'

/** Where the frames of a run go. */
export interface Outlet {
  /** Commits to an answer that goes on. Throws if the host will not have it. */
  begin(): void
  /** Takes whole frames. `false` asks the run to wait for {@link Run.resume}. */
  write(frames: string): boolean
  /** The run is over; called once. */
  end(end: RunEnd): void
  /** Whether something was sent to a client already. */
  readonly sent: boolean
  /** How many events were written. */
  readonly events: number
}

/** How a run ended, for its outlet. */
export interface RunEnd {
  outcome: Outcome
  /** Frames that come before the last one. */
  frames: string
  /** The sentinel or the failure frame; empty when nobody is there to read it. */
  last: string
  /** For an outcome that fails: what the client is shown. */
  failure?: FailureAnswer
  /** `onError` threw this, for the host's own error handling. */
  thrown?: { error: unknown }
  summary: Summary
}

/** What feeds an outlet: a run itself, or a reader of one. */
export interface Feeder {
  /** The outlet takes frames again. */
  resume(): void
  /** The outlet's reader is gone, or is to go. */
  stop(outcome: 'disconnected' | 'stalled' | 'expired' | 'shutdown'): void
  /** The outlet failed. */
  fail(error: unknown): void
}

const DONE_FRAME = `data: ${DONE}\n\n`
const MAX_TEXT = 1_048_576
/** In characters. So much a run may take before everything else of the process has had its turn. */
const MAX_TURN = 65_536
/** What a chunk counts besides its frames, which may be none. */
const CHUNK = 16

/** Of a browser's globals only the timers come after what else waits. */
const later: (callback: () => void) => unknown =
  (globalThis as { setImmediate?(callback: () => void): unknown }).setImmediate ?? setTimeout

/** Resolves when everything else of the process has had its turn: promises, and the 'drain' of Node, come before it. */
export function turn(): Promise<void> {
  return new Promise((resolve) => {
    later(resolve)
  })
}

/** One generation: from a source to frames in an outlet, and to one outcome. */
export class Run implements Feeder {
  readonly runId: string
  outcome: Outcome | undefined

  readonly #options: RelayOptions
  readonly #outlet: Outlet
  readonly #context: Context
  readonly #reading = createReading()
  readonly #started = performance.now()
  /** Whether anybody wants the text: looked up once, not with every token. */
  #gathers = false
  #encoder: Encoder | undefined
  #settled: (() => void) | undefined
  #iteration: Iteration | undefined
  #resume: (() => void) | undefined
  #unlisten: (() => void)[] | undefined
  /** Whether it is to be asked yet what can stop the stream. The body of a response is stopped by itself. */
  #unknown = true
  /** Frames that wait for the provider's answer. */
  #early = ''
  /** Since others had a turn, in characters. */
  #taken = 0
  #firstEventMs: number | undefined
  #text = ''
  /** How much of the text is in one piece. */
  #flat = 0
  #usage: Usage | undefined
  #finishReason: FinishReason | undefined

  constructor(runId: string, options: RelayOptions, outlet: Outlet, lastEventId: string | undefined) {
    this.runId = runId
    this.#options = options
    this.#outlet = outlet
    this.#context = new Context(runId, lastEventId)
  }

  /** Asks for the source, synchronously: a factory is called before this returns. */
  start(source: Source, shutdown?: AbortSignal): void {
    let taken = false
    try {
      const { signal, waitUntil, onEnd, protocol = text() } = this.#options
      this.#gathers = onEnd !== undefined
      this.#encoder = protocol.encoder({ runId: this.runId })
      if (signal) this.#listen(signal, () => this.#signalled(signal))
      if (shutdown && !this.outcome) this.#listen(shutdown, () => this.stop('shutdown'))
      if (this.outcome) {
        refuse(source)
        return
      }
      waitUntil?.(
        new Promise<void>((resolve) => {
          this.#settled = resolve
        }),
      )
      taken = true
      const stream: unknown = typeof source === 'function' ? source(this.#context) : source
      if (isThenable(stream)) {
        // A thenable of someone's own may call back twice; a promise of it does not.
        Promise.resolve(stream).then(
          (late) => this.#attach(late),
          (error) => this.fail(error),
        )
      } else this.#attach(stream)
    } catch (error) {
      if (!taken) refuse(source)
      this.fail(error)
    }
  }

  /** The outlet takes frames again. */
  resume(): void {
    const resume = this.#resume
    this.#resume = undefined
    resume?.()
  }

  /** Ends the run early. Whatever the source says to that is no news. */
  stop(outcome: Exclude<Outcome, 'done' | 'error' | 'truncated'>): void {
    const gone = outcome === 'disconnected' || outcome === 'stalled'
    this.#end(outcome, gone ? undefined : failureOf(outcome))
  }

  /** Ends the run with an error: the source's, or a mistake in how the relay was called. */
  fail(error: unknown): void {
    if (this.outcome) return
    const outcome = outcomeOf(toFailure(error).code)
    const { failure, thrown } = report(this.#options, error, this.runId, this.#outlet.sent)
    this.#end(outcome, failure, { error, thrown })
  }

  #signalled(signal: AbortSignal): void {
    const reason: unknown = signal.reason
    if (!isRelayError(reason)) {
      this.stop((reason as Error)?.name === 'TimeoutError' ? 'expired' : 'stopped')
      return
    }
    const { code, message, retryable, status, expose } = reason
    const shown = { status, retryable: retryable || undefined, message: expose ? message : undefined }
    this.#end(outcomeOf(code), withShown(failureOf(code), shown), { error: reason })
  }

  #listen(signal: AbortSignal, callback: () => void): void {
    if (signal.aborted) callback()
    else {
      this.#unlisten ??= []
      this.#unlisten.push(listen(signal, callback))
    }
  }

  /** The source's stream is there: its iterator is asked for at once, since some streams listen only from then. */
  #attach(stream: unknown): void {
    try {
      if (this.outcome) release(stream)
      else {
        this.#iteration = iterate(stream, this.#reading)
        this.#unknown = !isResponse(stream)
        this.#warn(this.#iteration.signalOnly)
        this.#pump()
      }
    } catch (error) {
      this.fail(error)
    }
  }

  /**
   * The hard loop, turn by turn: an async function that waits, with what it needs to go on, is 250 bytes more of every
   * open stream.
   */
  #pump(): void {
    if (this.outcome) return
    // A source that is always ready and a connection that takes everything at once would go on and on.
    if (this.#taken > MAX_TURN) {
      this.#taken = 0
      turn().then(this.#pump.bind(this))
      return
    }
    try {
      const next = (this.#iteration as Iteration).iterator.next()
      Promise.resolve(next).then(this.#took.bind(this), this.#lost.bind(this))
    } catch (error) {
      this.#lost(error)
    }
  }

  #took(result: unknown): void {
    try {
      const busy = this.#take(result)
      if (busy) busy.then(this.#pump.bind(this), this.#lost.bind(this))
      else this.#pump()
    } catch (error) {
      this.#lost(error)
    }
  }

  #lost(error: unknown): void {
    this.fail(this.#outlet.events === 0 && isOfConsumed(error) ? wasConsumed(error) : error)
  }

  /** Takes what the iterator gave; returns what is to be waited for before it is asked again. */
  #take(result: unknown): Promise<void> | undefined {
    if (!isObject(result)) {
      throw mistake('invalid-source', `The source's next() gives ${show(result)}: give { done, value }`)
    }
    const { done, value } = result as IteratorResult<unknown>
    if (this.outcome) return
    if (done) return this.#exhausted((this.#iteration as Iteration).stream)
    const frames = this.#encode(value)
    this.#taken += frames.length + CHUNK
    if (frames !== '' && !this.#write(frames) && !this.outcome) {
      return new Promise<void>((resolve) => {
        this.#resume = resolve
      })
    }
  }

  #write(frames: string): boolean {
    if (this.outcome) return false
    if (this.#firstEventMs === undefined) this.#firstEventMs = performance.now() - this.#started
    return this.#outlet.write(frames)
  }

  /** The frames of one chunk. A failure in it ends the run, after what came before it. */
  #encode(chunk: unknown): string {
    const encoder = this.#encoder as Encoder
    if (typeof chunk === 'string' && !encoder.chunk) return chunk === '' ? '' : this.#encodeText(chunk, encoder)
    const reading = this.#reading
    const own = readChunk(chunk, reading)
    if (this.#unknown) this.#warn(reading.shape?.signalOnly?.(chunk as never))
    try {
      if (own) return this.#encodeOwn(own)
      let frames = ''
      for (const part of reading.parts) {
        switch (part.type) {
          case 'usage':
            this.#usage = { ...this.#usage, ...part.usage }
            break
          case 'finish':
            this.#finishReason = part.reason
            break
          case 'error':
            if (frames !== '') this.#write(frames)
            this.fail(part.error)
            return ''
          case 'text':
            this.#gather(part.text)
            if (!encoder.chunk) frames += encoder.part(part)
            break
          default:
            if (!encoder.chunk) frames += encoder.part(part)
        }
      }
      if (!encoder.chunk || chunk === '' || chunk === null || chunk === undefined) return frames
      const { shape } = reading
      frames = this.#early + encoder.chunk(shape?.bare?.(chunk as never) ?? chunk, shape?.event?.(chunk as never))
      this.#early = shape?.isEarly?.(chunk as never) ? frames : ''
      return this.#early === '' ? frames : ''
    } catch (error) {
      throw isRelayError(error) ? asMistake(error) : error
    }
  }

  /** The commonest chunk by far: a list for its one part costs more than the frame. */
  #encodeText(piece: string, encoder: Encoder): string {
    this.#gather(piece)
    try {
      return encoder.part({ type: 'text', text: piece })
    } catch (error) {
      throw isRelayError(error) ? asMistake(error) : error
    }
  }

  #gather(piece: string): void {
    if (!this.#gathers || this.#text.length >= MAX_TEXT) return
    this.#text += piece.slice(0, MAX_TEXT - this.#text.length)
    if (this.#text.length < this.#flat * 1.25 + 256) return
    flatten(this.#text)
    this.#flat = this.#text.length
  }

  #warn(provider: string | undefined): void {
    if (provider === undefined) return
    this.#unknown = false
    if (this.#context.asked || warned.has(provider)) return
    warned.add(provider)
    console.warn(
      `sse-relay: only the signal its call was given stops a stream of ${provider}, so when a reader leaves it goes on, and is paid for: relay a function, ({ signal }) => …, that hands it on`,
    )
  }

  #encodeOwn({ event, data, id, retry }: OwnEvent): string {
    refuseError(event)
    const payload = typeof data === 'string' ? data : toJson(data)
    if (payload === DONE) {
      throw mistake('invalid-field', `A source cannot send the data ${DONE}: return, and the relay will say it`)
    }
    // With a log, ids are the log's.
    return (this.#encoder as Encoder).event({ event, data: payload, id: this.#options.log ? undefined : id, retry })
  }

  /** The source has ended. Whether the answer is complete is another question. */
  async #exhausted(stream: SDKStream): Promise<void> {
    // The iterators of the SDKs' helper streams can lose an error that came while nobody was reading.
    if ((stream.errored === true || stream.aborted === true) && typeof stream.done === 'function') await stream.done()
    if (this.outcome) return
    if (this.#reading.proof === 'missing' && this.#options.requireFinish !== false) {
      return this.fail(
        new RelayError(
          'truncated',
          'The source ended without the finish its provider sends last: the answer is not complete',
          { retryable: true },
        ),
      )
    }
    const frames =
      this.#early + (this.#encoder as Encoder).end({ finishReason: this.#finishReason, usage: this.#usage })
    this.#outlet.begin()
    this.#end('done', undefined, { frames })
  }

  #end(
    outcome: Outcome,
    failure: FailureAnswer | undefined,
    more: { frames?: string; error?: unknown; thrown?: { error: unknown } | undefined } = {},
  ): void {
    if (this.outcome) return
    this.outcome = outcome
    const durationMs = performance.now() - this.#started
    for (const unlisten of this.#unlisten ?? []) unlisten()
    if (outcome !== 'done') {
      this.#context.abort(outcome)
      if (this.#iteration) abort(this.#iteration)
    }
    this.resume()
    const { frames = '', error, thrown } = more
    const summary: Summary = {
      outcome,
      events: this.#outlet.events,
      ...(this.#usage && { usage: this.#usage }),
      ...(this.#finishReason && { finishReason: this.#finishReason }),
      text: this.#text,
      ...(this.#firstEventMs !== undefined && { firstEventMs: this.#firstEventMs }),
      durationMs,
      runId: this.runId,
      ...(error !== undefined && { error }),
    }
    const last = outcome === 'done' ? DONE_FRAME : failure ? this.#failureFrame(failure) : ''
    try {
      this.#outlet.end({ outcome, frames, last, failure, thrown, summary })
    } catch (error) {
      complain(error)
    }
    this.#tell(summary)
  }

  #failureFrame({ code, message, retryable }: FailureAnswer): string {
    const error = { code, message, retryable }
    try {
      const frame: unknown = (this.#encoder as Encoder).fail(error)
      // Of a line that is not ended by a blank one no client would hear.
      if (typeof frame === 'string' && frame.endsWith('\n\n')) return frame
    } catch {
      // No encoder, or one that fails at failing.
    }
    // The ending is said all the same.
    return failureFrame({ error })
  }

  async #tell(summary: Summary): Promise<void> {
    try {
      const { onEnd } = this.#options
      if (typeof onEnd === 'function') await onEnd.call(this.#options, summary)
    } catch (error) {
      mention(this.#options, error, this.runId)
    }
    this.#settled?.()
  }
}

/** What the client is shown of an error, or what `onError` threw instead. */
export interface Reported {
  failure: FailureAnswer
  thrown?: { error: unknown } | undefined
}

/** Reports an error that ends something for a client. */
export function report(options: Pick<RelayOptions, 'onError'>, error: unknown, runId: string, sent: boolean): Reported {
  const failure = toFailure(error)
  const { code, message, retryable, status } = failure
  try {
    const context = { runId, failure: { code, message, retryable, status }, sent }
    return { failure: withShown(failure, handOver(options, error, context) ?? {}) }
  } catch (unhandled) {
    if (!sent) return { failure, thrown: { error: unhandled } }
    complain(unhandled)
    return { failure }
  }
}

/** Reports an error that no client will be told of. */
export function mention(options: Pick<RelayOptions, 'onError'>, error: unknown, runId: string): void {
  try {
    handOver(options, error, { runId, sent: true })
  } catch (unhandled) {
    complain(unhandled)
  }
}

/** Hands an error to `onError`, or writes it to the console. */
function handOver(
  options: Pick<RelayOptions, 'onError'>,
  error: unknown,
  context: ErrorContext,
): ShownFailure | undefined {
  const { onError } = options
  if (typeof onError !== 'function') {
    complain(error)
    return
  }
  const shown = onError.call(options, error, context) as ShownFailure | undefined
  // An async onError has nothing to show in time; what goes wrong in it is not to end the process.
  if (isThenable(shown)) shown.then(ignore, complain)
  return shown
}

/** What the SDKs' streams say to a second reader. */
function isOfConsumed(error: unknown): boolean {
  try {
    return /consumed stream/.test(String((error as Error | undefined)?.message))
  } catch {
    return false
  }
}

/** To the console, whatever it is that was thrown: some things throw again when they are printed. */
export function complain(error: unknown): void {
  try {
    console.error(error)
  } catch {
    console.error('sse-relay: something was thrown that cannot be shown')
  }
}

/** The providers that were warned about. */
const warned = new Set<string>()

/** What a factory is given. Most sources never look at the signal, so it is made when they do. */
class Context implements SourceContext {
  readonly runId: string
  readonly lastEventId: string | undefined
  #controller: AbortController | undefined
  #reason: DOMException | undefined

  constructor(runId: string, lastEventId: string | undefined) {
    this.runId = runId
    this.lastEventId = lastEventId
  }

  /** Whether anybody looked at the signal. */
  get asked(): boolean {
    return this.#controller !== undefined
  }

  get signal(): AbortSignal {
    this.#controller ??= new AbortController()
    if (this.#reason) this.#controller.abort(this.#reason)
    return this.#controller.signal
  }

  abort(outcome: Outcome): void {
    this.#reason = new DOMException(`The run has ended: ${outcome}`, 'AbortError')
    this.#controller?.abort(this.#reason)
  }
}
