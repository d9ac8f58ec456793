/** How does a source become frames, and with which one outcome does it end? */
import { runIn, type Scope } from './async-context.js'
import { flatten } from './encode.js'
import { isObject, isRelayError, RelayError, show } from './errors.js'
import { countFrames, isWhole } from './event-id.js'
import {
  asMistake,
  type FailureAnswer,
  failureOf,
  isOfProvider,
  mistake,
  outcomeOf,
  toFailure,
  withShown,
} from './failure.js'
import type { RelayOptions } from './options.js'
import { isThenable } from './promises.js'
import { failureFrames, refuseError, toJson } from './protocols/frames.js'
import { text } from './protocols/text.js'
import { printError, type Reported, reportEnd, reportFailure, warnOnce } from './report.js'
import { listen } from './signal.js'
import {
  type ChunkShape,
  isEventStream,
  isResponse,
  isStream,
  Reading,
  readChunk,
  readRest,
} from './sources/read-chunk.js'
import { Halves, isHalved } from './surrogates.js'
import { nextTurn } from './tick.js'
import {
  DONE,
  type Encoder,
  type Failure,
  type FinishReason,
  type Outcome,
  type OwnEvent,
  type Protocol,
  type Source,
  type SourceContext,
  type Summary,
  type ToolResultPart,
  type Usage,
} from './types.js'
import { abort, discard, type Iteration, iterate, iterateInner, release, wasConsumed } from './upstream.js'

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
const MAX_TEXT = 1_048_576
/** After this many characters the run yields to the event loop. */
const MAX_TURN = 65_536
/** The most characters held back until the answer begins. With more they are sent, and a refusal is an event. */
const MAX_EARLY = 65_536
/** Begins the key of an own event's text among the texts that end with half a character. Its name follows. */
const EVENT = 'event '
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
  readonly runId: string
  #state: 'new' | 'asking' | 'pulling' | 'blocked' | 'yielding' | 'finishing' | 'over' = 'new'
  readonly #options: RelayOptions
  readonly #outlet: Outlet
  readonly #context: Context
  readonly #reading = new Reading()
  readonly #started = performance.now()
  /** Whether anybody wants the text: looked up once, not with every token. */
  #gathers = false
  #encoder: Encoder | undefined
  /** Resolves what `waitUntil` was given. */
  #tellHost: (() => void) | undefined
  #iteration: Iteration | undefined
  /** Ends the wait for room. */
  #wake: (() => void) | undefined
  #unlisten: (() => void)[] | undefined
  /** Whether chunks must still show what can stop the stream. The body of a response can be stopped itself. */
  #mayWarn = true
  /** Frames held back until the answer begins. */
  #early = ''
  #halves: Halves | undefined
  #events = 0
  /** Whether the source yielded null or undefined. */
  #sawNothing = false
  /** Characters since the event loop had its turn. */
  #sinceTurn = 0
  #firstEventMs: number | undefined
  #text = ''
  /** How many characters of the text are flattened. */
  #flat = 0
  /** For `#compare`: the text before, and how many in a row began with the one before them. */
  #before = ''
  #grown = 0
  #usage: Usage | undefined
  #finishReason: FinishReason | undefined

  constructor(runId: string, options: RelayOptions, outlet: Outlet, lastEventId: string | undefined) {
    this.runId = runId
    this.#options = options
    this.#outlet = outlet
    this.#context = new Context(runId, lastEventId)
  }

  get isOver(): boolean {
    return this.#state === 'over'
  }

  /** Asks for the source, synchronously: a factory is called before this returns. */
  start(source: Source, shutdown?: AbortSignal, isStopped = false): void {
    try {
      const { signal, waitUntil, onEnd, protocol = text() } = this.#options
      this.#gathers = onEnd !== undefined
      this.#encoder = checkEncoder(protocol.encoder({ runId: this.runId }), protocol.name)
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

  /** Ends the run with an error: the source's, or a mistake in how the relay was called. */
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
    return failureFrames(() => this.#encoder, failure)
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
    const isError = outcome === 'error' || outcome === 'truncated'
    const { sent, scope } = this.#outlet
    const { failure, thrown }: Reported = isError
      ? reportFailure(this.#options, reason, this.runId, sent, scope, told)
      : { failure: told }
    this.#end(outcome, failure, { error: reason, thrown })
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
        this.#iteration = iterate(stream, this.#reading)
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
      this.#sinceTurn = 0
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
    const { controller, abort = controller?.abort } = (this.#iteration as Iteration).stream
    const isSDKs = typeof abort === 'function' && !this.#reading.known?.hasResults
    if (isOfConsumed(error)) this.#onError(error)
    else this.fail(error, this.#blame(error, isSDKs))
  }

  /** What is told of an error of the stream: one that nothing else explains may still be the provider's. */
  #blame(error: unknown, isSDKs: boolean): FailureAnswer {
    const failure = toFailure(error)
    const isTheirs = failure.code === 'internal' && (isSDKs || this.#reading.known) && isOfProvider(error, isSDKs)
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
      const frames = this.#checkFrames(this.#encode(value))
      const { inner } = this.#reading
      if (inner) {
        this.#reading.inner = undefined
        this.#iteration = iterateInner(this.#iteration as Iteration, inner, this.#reading)
      }
      if (this.#reading.isOver) {
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

  #onError(error: unknown): void {
    this.fail(this.#events === 0 && isOfConsumed(error) ? wasConsumed(error) : error)
  }

  /** What an application's own encoder gives: half a frame would swallow the next one, the sentinel too. */
  #checkFrames(frames: string): string {
    if (frames === '' || (typeof frames === 'string' && isWhole(frames))) return frames
    const { name } = this.#options.protocol as Protocol
    throw mistake(
      'invalid-option',
      `The encoder of the protocol ${name} gives ${show(frames)}: give whole frames, each with the blank line that ends it, or ''`,
    )
  }

  #write(frames: string): boolean {
    if (this.isOver) return false
    if (this.#firstEventMs === undefined) this.#firstEventMs = performance.now() - this.#started
    // Counted here, once for all: some encoders make several events of one part.
    const count = countFrames(frames)
    this.#events += count
    return this.#outlet.write(frames, count)
  }

  /** The frames of one chunk. A failure in it ends the run, after what came before it. */
  #encode(chunk: unknown): string {
    const encoder = this.#encoder as Encoder
    if (typeof chunk === 'string' && this.#events === 0) {
      this.#reading.inner = this.#wireIn(chunk)
      if (this.#reading.inner) return ''
    }
    if (typeof chunk === 'string' && !encoder.chunk) return chunk === '' ? '' : this.#encodeText(chunk, encoder)
    if (chunk === null || chunk === undefined) {
      this.#sawNothing = true
      return ''
    }
    const reading = this.#reading
    const own = readChunk(chunk, reading)
    if (this.#mayWarn) this.#warn(reading.shape?.signalOnly?.(chunk as never))
    try {
      if (own) return this.#encodeOwn(own)
      const { shape } = reading
      // A source's own `tool-result` part is sent as in any other protocol, by `part`.
      const isResult = !shape && reading.parts[0]?.type === 'tool-result'
      const sendsChunk = encoder.chunk !== undefined && (!shape || shape.redact !== undefined) && !isResult
      const aside = encoder.aside && shape?.aside ? this.#encodeAside(encoder, shape) : ''
      let frames = aside + this.#encodeParts(sendsChunk)
      if (this.isOver) return ''
      // A chunk without a known shape and without parts was left out.
      if (sendsChunk && (shape || reading.parts.length > 0)) {
        const sent = shape?.redact ? shape.redact(reading.chunk as never) : reading.chunk
        frames = encoder.chunk?.(sent, shape?.event?.(reading.chunk as never)) ?? ''
        if (shape?.isEarly?.(reading.chunk as never)) {
          this.#early += frames
          frames = ''
        }
      }
      if (this.#early === '' || (frames === '' && this.#early.length <= MAX_EARLY)) return frames
      frames = this.#early + frames
      this.#early = ''
      return frames
    } catch (error) {
      throw isRelayError(error) ? asMistake(error) : error
    }
  }

  /** Frames of what an AI SDK chunk says besides its parts. A tool's output so far is sent only if its results are. */
  #encodeAside(encoder: Encoder, { aside }: ChunkShape): string {
    const chunk = aside?.(this.#reading.chunk as never)
    return chunk && (!('output' in chunk) || this.#showsResults) ? (encoder.aside?.(chunk) ?? '') : ''
  }

  /** The frames of the parts that were read. With `sendsChunk` the chunk itself goes out in their place. */
  #encodeParts(sendsChunk: boolean): string {
    const encoder = this.#encoder as Encoder
    let frames = ''
    for (const part of this.#reading.parts) {
      switch (part.type) {
        case 'usage':
          this.#usage = this.#reading.countsAnew ? part.usage : { ...this.#usage, ...part.usage }
          this.#reading.countsAnew = false
          break
        case 'finish':
          this.#finishReason = part.reason
          break
        case 'start':
          // Held back: a refusal that follows must still be a status.
          if (!sendsChunk) this.#early += encoder.part(part)
          break
        case 'tool-result':
          if (!sendsChunk) frames += encoder.part(this.#result(part))
          break
        case 'error':
          if (frames !== '') this.#write(frames)
          this.#fail(part.error, this.#blame(part.error, false))
          return ''
        case 'text': {
          const text = this.#join('text', part.text)
          this.#gather(text)
          // The commonest part by far, and nearly always whole.
          if (!sendsChunk && text === part.text) frames += encoder.part(part)
          else if (!sendsChunk && text !== '') frames += encoder.part({ ...part, text })
          break
        }
        case 'reasoning': {
          const text = this.#join('reasoning', part.text)
          if (sendsChunk) break
          const isHeld = text === '' && part.text !== '' && (part.signature ?? part.redacted) === undefined
          if (!isHeld) frames += encoder.part(text === part.text ? part : { ...part, text })
          break
        }
        case 'tool-call': {
          const { index, done, replaces } = part
          const key = `call ${index}`
          if (replaces) this.#halves?.end(key)
          const input = this.#join(key, part.input) + ((done && this.#halves?.end(key)) || '')
          if (sendsChunk) break
          frames += encoder.part(input === part.input ? part : { ...part, input }, this.#reading.shape?.hasResults)
          break
        }
        default:
          if (!sendsChunk) frames += encoder.part(part)
      }
    }
    return frames
  }

  /** The next piece of a text, without half a character at its end: that waits for the next. */
  #join(text: string, piece: string): string {
    if (!this.#halves && !isHalved(piece)) return piece
    this.#halves ??= new Halves()
    return this.#halves.join(text, piece)
  }

  /** The frames of what stands for characters whose other half never came. */
  #encodeHalves(): string {
    const encoder = this.#encoder as Encoder
    let frames = ''
    for (const text of this.#halves?.texts ?? []) {
      const rest = (this.#halves as Halves).end(text)
      if (text === 'text') this.#gather(rest)
      if (text.startsWith(EVENT)) frames += encoder.event({ event: text.slice(EVENT.length) || undefined, data: rest })
      else if (!encoder.chunk && (text === 'text' || text === 'reasoning'))
        frames += encoder.part({ type: text, text: rest })
    }
    return frames
  }

  get #showsResults(): boolean | undefined {
    const { toolResults, protocol } = this.#options
    return toolResults ?? (this.#reading.shape?.showsResults && protocol?.name === 'ui-message')
  }

  /** A tool's output may hold files and more that the client must not see: it is sent only if the options say so. */
  #result(part: ToolResultPart): ToolResultPart {
    if (this.#showsResults) return part
    if (part.output !== null && this.#options.toolResults === undefined) {
      warnOnce(
        'tool-results',
        'what a tool answered was left out: set toolResults: true where it is for the client, or false',
      )
    }
    return { ...part, output: null }
  }

  /**
   * The bytes of a source's first string, if its strings are the lines or events of a wire that an SDK passes on
   * undecoded (watsonx). In any other source they are text: a model can be made to write what looks like an event, and
   * that must not become a tool call.
   */
  #wireIn(first: string): Uint8Array | undefined {
    const reading = this.#reading
    const stream = this.#iteration?.stream
    if (!reading.isFresh || !isStream(stream)) return
    const isWhole = isEventStream(first)
    if (typeof stream.controller?.abort === 'function') {
      const isLines = /^(id|event|data): ?[^\n]+$/.test(first)
      reading.ofUpstream().isLines = isLines
      if (isLines) return new TextEncoder().encode(`${first}\n`)
      return isWhole ? new TextEncoder().encode(first) : undefined
    }
    if (isWhole && !reading.upstream) {
      warnOnce(
        'wire',
        'a source of strings begins with an event of an event stream, and strings go out as text: hand over the bytes, or the Response, before they are decoded',
      )
    }
    return
  }

  /** The commonest chunk by far: a list for its one part costs more than the frame. */
  #encodeText(piece: string, encoder: Encoder): string {
    if (this.#events < 5) this.#compare(piece)
    const text = this.#join('text', piece)
    this.#gather(text)
    this.#reading.sawText = true
    try {
      return text === '' ? '' : encoder.part({ type: 'text', text })
    } catch (error) {
      throw isRelayError(error) ? asMistake(error) : error
    }
  }

  /** Warns of sources that repeat the whole text so far each time, as some clients do (BAML). */
  #compare(piece: string): void {
    this.#grown = piece.length > this.#before.length && piece.startsWith(this.#before) ? this.#grown + 1 : 0
    this.#before = piece
    if (this.#grown < 4) return
    warnOnce(
      'grown',
      'each text that the source yields repeats the one before it, and so does the page: yield what is new in each, text.slice(before.length)',
    )
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
    this.#mayWarn = false
    if (this.#context.isAsked) return
    const remedy = 'relay a function, ({ signal }) => …, that hands it on'
    warnOnce(
      provider,
      `only the signal its call was given stops a stream of ${provider}, so when a reader leaves it goes on, and is paid for: ${remedy}`,
    )
  }

  #encodeOwn({ event, data, id, retry }: OwnEvent): string {
    refuseError(event)
    const payload = typeof data === 'string' ? data : toJson(data)
    if (payload === DONE) {
      throw saysDone(`the data ${DONE}`)
    }
    const { sentinel } = this.#options.protocol ?? {}
    const whole = typeof data === 'string' ? this.#join(EVENT + (event ?? ''), data) : payload
    // If the data was half a character, there is nothing to send yet.
    if (whole === '' && payload !== '' && id === undefined && retry === undefined) return ''
    // With a log, the log gives the ids.
    const frames = (this.#encoder as Encoder).event({
      event,
      data: whole,
      id: this.#options.log ? undefined : id,
      retry,
    })
    if (sentinel && typeof frames === 'string' && frames.replace(/^(id|retry):.*\n/gm, '').includes(sentinel))
      throw saysDone(show(sentinel))
    return frames
  }

  /** The source has ended: checks whether the answer is complete. */
  async #complete({ stream, rest }: Iteration): Promise<void> {
    // The iterators of the SDKs' helper streams can lose an error that came while nobody was reading.
    if ((stream.errored === true || stream.aborted === true) && typeof stream.done === 'function') await stream.done()
    const answer = rest && (await rest)
    this.#reading.parts.length = 0
    if (rest) readRest(answer, this.#reading)
    this.#reading.close()
    if (this.#reading.isOwed && this.#events === 0 && this.#sinceTurn === 0) this.#reading.proof = 'missing'
    const last = this.#encodeParts((this.#encoder as Encoder).chunk !== undefined)
    if (this.isOver) return
    if (this.#reading.failure) return this.fail(this.#reading.failure)
    const cut = this.#whyIncomplete()
    if (cut) return this.fail(cut)
    this.#warnOfSilence()
    const frames =
      this.#early +
      last +
      this.#encodeHalves() +
      this.#checkFrames((this.#encoder as Encoder).end({ finishReason: this.#finishReason, usage: this.#usage }))
    // Even a short answer is not done until somebody takes it.
    if (!this.#outlet.begin()) await this.#room()
    this.#end('done', undefined, { frames })
  }

  /** Why the answer of a source that has ended is not complete; `undefined` if it is. */
  #whyIncomplete(): RelayError | undefined {
    const { leftOut, known, proof, unknownKeys } = this.#reading
    if (leftOut && !known && this.#events === 0) {
      return new RelayError(
        'truncated',
        `Nothing of what the source yields is known, such as ${leftOut}: yield parts made from it, such as { type: 'text', text }. Its end proves nothing, nor would requireFinish: false`,
        { retryable: true },
      )
    }
    if (/missing|broken/.test(proof) && this.#options.requireFinish !== false) {
      return new RelayError(
        'truncated',
        `The source ended without its provider's sign of completion: the answer was cut off${unknownKeys ? `, or failed in words that are not known: what came last was a chunk${unknownKeys}` : ''}. For a server that never sends one set requireFinish: false`,
        { retryable: true },
      )
    }
    return
  }

  /** Warns of a complete answer without content: that is more likely a mistake than an answer. */
  #warnOfSilence(): void {
    const { leftOut, known, isBlank, sawObject, sawText } = this.#reading
    if (this.#sawNothing && this.#events === 0 && !known) {
      warnOnce(
        'nothing',
        "a run ended without a word: its source yielded null or undefined, and nothing else. Yield the provider's chunks as they are, or their text",
      )
    }
    if (known && isBlank) {
      warnOnce(
        'blank',
        `a run was complete without a word: none of the chunks its source yielded says anything that is known here${leftOut ? `, and ${leftOut} was left out` : ''}. If the model did answer, map its chunks to parts, { type: 'text', text } for example`,
      )
    }
    if (sawObject && !sawText) {
      warnOnce(
        'objects',
        "a run ended without a word of text, but with objects that no provider's shape knows; they went out as data. Map them to parts, { type: 'text', text } for example, if they are an answer",
      )
    }
  }

  #end(
    outcome: Outcome,
    failure: FailureAnswer | undefined,
    more: { frames?: string; error?: unknown; thrown?: { error: unknown } | undefined } = {},
  ): void {
    if (this.isOver) return
    this.#state = 'over'
    const durationMs = performance.now() - this.#started
    for (const unlisten of this.#unlisten ?? []) unlisten()
    if (outcome !== 'done') {
      this.#context.abort(outcome)
      if (this.#iteration) abort(this.#iteration)
    }
    const { frames = '', error, thrown } = more
    const summary: Summary = {
      outcome,
      events: this.#events,
      ...(this.#usage && { usage: this.#usage }),
      ...(this.#finishReason && { finishReason: this.#finishReason }),
      text: this.#text,
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

/** Only the relay says that an answer is complete. */
function saysDone(what: string): RelayError {
  return mistake('invalid-field', `A source cannot send ${what}: return, and the relay will say it`)
}

function checkEncoder(encoder: Encoder, name: string): Encoder {
  for (const method of ['part', 'event', 'end', 'fail'] as const) {
    if (typeof encoder?.[method] !== 'function') {
      throw mistake(
        'invalid-option',
        `The encoder of the protocol ${name} has no ${method}(): it needs part, event, end and fail`,
      )
    }
  }
  return encoder
}

/** Whether it is the error that the SDKs' streams give a second reader. */
function isOfConsumed(error: unknown): boolean {
  try {
    return /consumed stream/.test(String((error as Error | undefined)?.message))
  } catch {
    return false
  }
}

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
  get isAsked(): boolean {
    return this.#controller !== undefined
  }

  get signal(): AbortSignal {
    this.#controller ??= new AbortController()
    if (this.#reason) this.#controller.abort(this.#reason)
    return this.#controller.signal
  }

  abort(outcome: Outcome): void {
    this.#reason = abortReason(`The run has ended: ${outcome}`)
    this.#controller?.abort(this.#reason)
  }
}

/**
 * Made without a stack: until its stack is read, an error of V8 keeps the objects its calls were made on, here the run
 * with its request and response, and Node's `fetch` may keep an abort reason for long.
 */
function abortReason(message: string): DOMException {
  const { stackTraceLimit } = Error as { stackTraceLimit?: number }
  if (stackTraceLimit !== undefined) Reflect.set(Error, 'stackTraceLimit', 0)
  const reason = new DOMException(message, 'AbortError')
  if (stackTraceLimit !== undefined) Reflect.set(Error, 'stackTraceLimit', stackTraceLimit)
  return reason
}
