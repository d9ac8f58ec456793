/** How does a run that is produced here get its numbers, reach its readers at once, and end once? */
import type { Scope } from '../async-context.js'
import { encodeComment } from '../encode.js'
import { RelayError } from '../errors.js'
import { countFrames, idPrefix, numberFrames } from '../event-id.js'
import { failureOf } from '../failure.js'
import type { RelayOptions } from '../options.js'
import { ignore, isThenable, type MaybePromise, settle } from '../promises.js'
import { printError, reportUnseen } from '../report.js'
import { type Outlet, Run, type RunEnd } from '../run.js'
import { atTickEnd, unref } from '../tick.js'
import type { Source, Summary } from '../types.js'
import { Audience, type AudienceOwner } from './audience.js'
import { LiveRun, type Subscriber, type Thrown } from './live-run.js'
import { type Outbox, warnOfSilence } from './pubsub-batch.js'
import type { LogEnd, LogEntry, LogStore, ProducerNews, RunStart } from './store.js'
import { type LogState, type QueueOwner, WriteQueue } from './write-queue.js'

/** How long a run counts as active after its end while its `onEnd` has not settled, in milliseconds. */
const SETTLE_MS = 30_000

/** If neither memory nor the store has the next event, the log has lost it. */
function orLost(entries: LogEntry[]): LogEntry[] {
  if (entries.length === 0) throw new RelayError('cursor-gone', 'The log has lost events of a run that goes on')
  return entries
}

/** What the log that creates a recorder gives it. `log`, `outbox` and `checkForFreeze` are those of the whole process. */
export interface RecorderHost {
  readonly log: LogState
  /** Sends what is new to readers elsewhere. */
  readonly outbox: Outbox | undefined
  /** Whether something was sent to the client of the call that began the run. */
  isSent(): boolean
  /** The context of the request, or the job, that began the run. */
  readonly scope: Scope
  /** Checks whether this process stood still so long that its runs may have been declared lost; then each run asks. */
  checkForFreeze(): void
  /** The run has ended and is stored, or is given up, and its `onEnd` has settled; called once. */
  onOver(): void
}

/**
 * live    new events go to the readers at once, and to the store beside
 * asking  this process stood still, or the end came while the store had not answered for nearly a lease: new events
 *         wait until the store says that the run was not declared lost (live ⇄ asking)
 * lost    the run was declared lost: the readers are sent that failure, as those elsewhere are
 * ended   the end was handed out; it is being stored, or `onEnd` has not settled
 */
export class Recorder extends LiveRun implements Outlet, QueueOwner, AudienceOwner {
  // Hot fields first, so that they share cache lines.
  #last = 0
  readonly #idPrefix: string
  /** The events of this tick. For a shared store also without ids. */
  #buffer = ''
  #frames: string | undefined
  #first = 1
  #isScheduled = false
  #state: 'live' | 'asking' | 'lost' | 'ended' = 'live'
  /** The number of the last event that was handed to readers. */
  #told = 0
  readonly #queue: WriteQueue
  readonly #audience: Audience
  readonly headers: Readonly<Record<string, string>>
  readonly startedAt = performance.now()
  /** Resolves to the run's summary once its end is stored, or cannot be. */
  readonly done: Promise<Summary>
  readonly #run: Run
  readonly #options: RelayOptions
  readonly #host: RecorderHost
  #resolve!: (summary: Summary) => void
  /** How the run ended. */
  #summary: Summary | undefined
  #isStored = false
  /** Whether `onEnd` has settled, or was waited for long enough. */
  #isSettled = false
  #settleTimer: ReturnType<typeof setTimeout> | undefined
  /** Entries that wait for the store's answer, and when it was asked. */
  #waiting: { entry: LogEntry; thrown: Thrown | undefined }[] = []
  #askedAt = 0
  /** A reader elsewhere waits for a message that the events up to this one are stored; `undefined` if none waits. */
  #owed: number | undefined
  #isReported = false
  #isListening = false
  #stopListening: (() => void) | undefined

  constructor(
    store: LogStore,
    runId: string,
    start: RunStart,
    options: RelayOptions,
    host: RecorderHost,
    abandonMs: number,
  ) {
    super(runId, store, start.owner)
    this.#idPrefix = idPrefix(runId)
    this.#frames = store.shared && ''
    this.#options = options
    this.#host = host
    this.headers = start.headers
    this.#queue = new WriteQueue(runId, store, start, this, host.log)
    this.#audience = new Audience(this, abandonMs)
    this.done = new Promise((resolve) => {
      this.#resolve = resolve
    })
    this.#run = new Run(runId, options, this, undefined)
  }

  /** Whether the run itself is over. Its end may still wait for the store. */
  get ended(): boolean {
    return this.#run.isOver
  }

  /** How the run has ended, for readers who come now. */
  get ending(): 'ended' | 'lost' | undefined {
    return this.#state === 'ended' || this.#state === 'lost' ? this.#state : undefined
  }

  /** Whether a client who knows only the run's id may read it: it goes on, or its `onEnd` has not settled. */
  get isActive(): boolean {
    return !(this.ending && this.#isSettled)
  }

  get summary(): Summary | undefined {
    return this.#state === 'lost' && this.#summary ? { ...this.#summary, outcome: 'error' } : this.#summary
  }

  get isRead(): boolean {
    return this.subscribers.length > 0
  }

  get scope(): Scope {
    return this.#host.scope
  }

  get sent(): boolean {
    return this.#last > 0 || this.#host.isSent()
  }

  /** Calls the source, unless the run was stopped before. The store may not have answered yet. */
  start(source: Source, shutdown?: AbortSignal, isStopped = false): void {
    try {
      this.#options.waitUntil?.(this.done)
    } catch {
      // The run calls it again, and reports the error.
    }
    this.#run.start(source, shutdown, isStopped)
    if (this.ended) return
    this.#listen()
    if (!this.isRead) this.#audience.onDeserted()
  }

  /** The store has taken the run, in a call that was made at `sentAt`. */
  opened(sentAt: number): void {
    this.#queue.opened(sentAt)
  }

  /** The store has not answered. Readers in this process read on. */
  rejected(error: unknown): void {
    this.#queue.rejected(error)
  }

  stop(outcome: 'stopped' | 'shutdown'): void {
    this.#run.stop(outcome)
  }

  /** The log closes and waits for the store no longer. Readers that wait for its answer ask again elsewhere. */
  close(): void {
    if (this.#state === 'asking') for (const subscriber of this.subscribers) subscriber.handOver()
    this.#audience.stop()
    this.#stopListening?.()
    this.#queue.giveUp()
  }

  begin(): boolean {
    return true
  }

  write(frames: string, count: number): boolean {
    this.#number(frames, count)
    if (!this.#isScheduled) {
      this.#isScheduled = true
      atTickEnd(onTick, this)
    }
    return !this.#queue.isFull
  }

  end({ outcome, frames, last, failure, thrown, summary }: RunEnd): void {
    this.#audience.stop()
    this.#summary = summary
    // Nobody gets the error, so it is printed.
    if (thrown && !this.isRead) printError(thrown.error)
    if (this.#state === 'lost') {
      this.#tellLost()
      return
    }
    const isAbandoned = outcome === 'disconnected' || outcome === 'stalled'
    const shown = isAbandoned ? failureOf('stopped') : failure
    // A comment if the dialect ends with nothing: the ending needs an event with a number.
    const rest = frames + (isAbandoned ? this.#run.say(failureOf('stopped')) : last) || `${encodeComment()}\n`
    this.#number(rest, countFrames(rest))
    const hasHook = this.store.shared !== undefined && this.#options.onEnd !== undefined
    this.#flush(
      {
        outcome: isAbandoned ? 'stopped' : outcome,
        ...(shown && { failure: shown }),
        ...(hasHook && { settleMs: this.#settleMs }),
      },
      thrown,
    )
  }

  settled(): void {
    clearTimeout(this.#settleTimer)
    this.#isSettled = true
    if (this.#options.onEnd) this.#queue.settle(0)
    this.#endIfOver()
  }

  override read(after: number, limit: number): MaybePromise<LogEntry[]> {
    // After a loss, events that were handed out and never stored do not count any more.
    if (this.#state === 'lost') return super.read(after, limit)
    if (after >= this.#told) return []
    const here = this.#queue.entriesAfter(after, this.#told)
    const first = here.length > 0 ? here.slice(0, limit) : super.read(after, limit)
    const goOn = (entries: LogEntry[]) => this.#readOn(orLost(entries), limit)
    return isThenable(first) ? first.then(goOn) : goOn(first)
  }

  /**
   * Fewer entries than `limit` mean that there is nothing more for now. Some may be stored and the next not yet, so
   * both places are read, up to what was handed out.
   */
  #readOn(entries: LogEntry[], limit: number): MaybePromise<LogEntry[]> {
    const last = (entries.at(-1) as LogEntry).last
    if (entries.length >= limit || last >= this.#told) return entries
    const here = this.#queue.entriesAfter(last, this.#told)
    const more = here.length > 0 ? here : super.read(last, limit - entries.length)
    const join = (found: LogEntry[]) =>
      found.length > 0 ? this.#readOn([...entries, ...found].slice(0, limit), limit) : entries
    return isThenable(more) ? more.then(join) : join(more)
  }

  override hasReached(seq: number): boolean {
    return seq <= this.#told
  }

  override subscribe(subscriber: Subscriber): void {
    this.#audience.stop()
    super.subscribe(subscriber)
  }

  protected override onDeserted(): void {
    if (!this.ended) this.#audience.onDeserted()
  }

  /** Renews the lease, and listens if that was not possible before. */
  renewLease(): void {
    if (this.#isStored) {
      if (!this.#isSettled) this.#queue.settle(this.#settleMs)
      return
    }
    this.#listen()
    this.#queue.renew()
  }

  /** Holds new events back until the store says that the run was not declared lost. */
  ask(): void {
    if (this.#state === 'live' && this.#queue.canBeLost) {
      this.#state = 'asking'
      // Events that were handed out must not be in one entry with events that were not.
      this.#queue.flush()
    }
    if (this.#state !== 'asking') return
    this.#askedAt = performance.now()
    this.#queue.ask()
  }

  onHeard(sentAt: number): void {
    this.#tellIfStored()
    if (this.#state === 'asking' && sentAt >= this.#askedAt) this.#release()
  }

  onRoom(): void {
    this.#run.resume()
  }

  onNews(news: ProducerNews): void {
    if (news === 'stopped') this.stop('stopped')
    if (news === 'read' && this.store.shared) this.#audience.heard(this.store.shared.leaseMs)
  }

  onError(error: unknown): void {
    // Once per run: a store that fails does so for each entry.
    if (!this.#isReported) reportUnseen(this.#options, error, this.runId, this.scope)
    this.#isReported = true
  }

  onLost(): void {
    if (this.ending) return
    this.#state = 'lost'
    this.#waiting = []
    if (this.ended) this.#tellLost()
    else {
      const message = `The run ${this.runId} was declared lost: its producer was not heard for longer than its lease`
      this.#run.fail(new RelayError('producer-lost', message, { retryable: true }))
    }
  }

  onStored(isStored: boolean): void {
    // The store has not said whether the run was lost, and is not asked any more.
    if (this.#state === 'asking') this.#release()
    // A reader that came this very moment, and was not heard, looks by itself after this message.
    if (isStored && this.#audience.wasReadElsewhere) this.#tell('frames')
    if (!this.#isSettled) {
      this.#settleTimer = setTimeout(() => this.settled(), SETTLE_MS)
      unref(this.#settleTimer)
    } else if (this.#options.onEnd) this.#queue.settle(0)
    this.#finish()
  }

  get isInTouch(): boolean {
    return this.#queue.isOpen
  }

  askForReaders(): boolean {
    const { shared } = this.store
    if (!shared || this.#queue.isOver) return false
    // Readers that cannot be heard, or miss the message, have left a note in the store. The note outlasts a reader that
    // left, so it is not asked for while others have announced themselves.
    const ask = () => this.#queue.ask()
    this.#tell('who', ask)
    if (!this.#audience.hasAnnounced) ask()
    return true
  }

  onAbandoned(): void {
    this.#run.stop('disconnected')
  }

  get #settleMs(): number {
    return Math.min(SETTLE_MS, this.store.shared?.leaseMs ?? SETTLE_MS)
  }

  #listen(): void {
    const { shared } = this.store
    if (!shared || this.#isListening || this.ended) return
    this.#isListening = true
    settle(
      () => shared.subscribe(this.runId, 'producer', (message) => this.#onMessage(message, shared.leaseMs)),
      (stopListening) => {
        if (this.#isStored || this.ending === 'lost') stopListening()
        else {
          this.#stopListening = stopListening
          // Readers that know the id may wait for the run to begin. Nobody can know an id that was made here.
          this.#onListening(this.#options.runId !== undefined)
        }
      },
      (error) => {
        this.#isListening = false
        // A run that is over need not listen.
        if (this.ended) return
        warnOfSilence(error)
      },
    )
  }

  /** The recorder listens, for the first time or again. */
  #onListening(isKnown: boolean): void {
    // Readers whose announcement was not heard announce themselves again.
    if (isKnown) this.#tell('who')
    // A stop that was not heard was noted. The store answers with it when it is asked.
    this.#queue.askSoon()
  }

  #onMessage(message: string, leaseMs: number): void {
    // The first connection is not a reconnection.
    if (message === 'reconnected' && this.#stopListening) this.#onListening(true)
    if (message === `stop ${JSON.stringify(this.owner)}`) {
      this.stop('stopped')
      // Whoever asked for it looks for the end, also after an outage of the store.
      this.#queue.store()
    }
    if (message === 'ask') this.#queue.ask()
    if (!message.startsWith('here ')) return
    this.#audience.heard(leaseMs, message.slice('here '.length))
    // The new reader must find all there is, so a message says when that is stored. What comes from now on is sent to
    // it at once.
    this.#owed = this.#told
    this.#queue.store()
    this.#tellIfStored()
  }

  #tellIfStored(): void {
    if (this.#owed === undefined || this.#queue.isOver || !this.#queue.hasStored(this.#owed)) return
    this.#owed = undefined
    this.#tell('frames')
  }

  /** Sends a message to readers elsewhere. If it gets lost, they read the store. */
  #tell(message: 'who' | 'frames', failed = ignore): void {
    settle(() => this.store.shared?.publish(this.runId, 'readers', message), ignore, failed)
  }

  #number(frames: string, count: number): void {
    this.#buffer += numberFrames(frames, count, this.#idPrefix, this.#last + 1)
    this.#last += count
    if (this.#frames !== undefined) this.#frames += frames
  }

  /** What the source yielded in this tick is handed out together. */
  onTick(): void {
    this.#isScheduled = false
    this.#flush()
  }

  #flush(end?: LogEnd, thrown?: Thrown): void {
    if (this.#buffer === '') return
    const entry: LogEntry = { first: this.#first, last: this.#last, text: this.#buffer, frames: this.#frames, end }
    this.#buffer = ''
    this.#frames = this.store.shared && ''
    this.#first = this.#last + 1
    if (this.#state === 'lost') return
    if (this.store.shared) {
      this.#host.checkForFreeze()
      if (end && this.#state === 'live' && !this.#queue.isSure) this.ask()
    }
    if (this.#state === 'asking') {
      this.#waiting.push({ entry, thrown })
      this.#queue.add(entry)
      this.#queue.flush()
    } else {
      this.#queue.add(entry)
      this.#handOut(entry, thrown)
    }
  }

  #handOut(entry: LogEntry, thrown: Thrown | undefined): void {
    this.#told = entry.last
    if (entry.end) this.#state = 'ended'
    else if (this.#audience.isReadElsewhere && this.#queue.isOpen) {
      this.#host.outbox?.add(this.#audience.address ?? this.runId, this.runId, entry)
    }
    this.publish(entry, thrown)
    if (entry.end) this.#endIfOver()
  }

  /** The run was not declared lost: the entries that waited go out. */
  #release(): void {
    this.#state = 'live'
    const waiting = this.#waiting
    this.#waiting = []
    for (const { entry, thrown } of waiting) this.#handOut(entry, thrown)
  }

  #tellLost(): void {
    this.setEnding('lost')
    this.#finish()
  }

  /** Nothing more is stored. */
  #finish(): void {
    this.#isStored = true
    this.#stopListening?.()
    if (this.summary) this.#resolve(this.summary)
    this.#endIfOver()
  }

  /** The recorder is done once the run is over, here and in the store, and its `onEnd` has settled. */
  #endIfOver(): void {
    if (!this.#isStored || !this.#isSettled || !this.ending) return
    clearTimeout(this.#settleTimer)
    this.#isSettled = true
    this.#host.onOver()
  }
}

function onTick(recorder: Recorder): void {
  recorder.onTick()
}
