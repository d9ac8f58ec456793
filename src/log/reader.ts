/** How does one connection get a run's events, stored and new, with no hole and no duplicate? */
import { isRelayError } from '../errors.js'
import { countFrames, framesAfter, idPrefix, markEnd, numberFrames } from '../event-id.js'
import { failureOf, outcomeOf } from '../failure.js'
import type { RelayOptions } from '../options.js'
import { isThenable } from '../promises.js'
import { failureFrames } from '../protocols/frames.js'
import { printError, type Reported, reportFailure, reportUnseen } from '../report.js'
import type { Feeder, Outlet, RunEnd } from '../run.js'
import { nextTurn } from '../tick.js'
import type { Failure, Outcome } from '../types.js'
import type { LiveRun, Subscriber, Thrown } from './live-run.js'
import type { LogEnd, LogEntry } from './store.js'

/** The outlet of one connection. `feedFrom` is called before anything else, `setHeaders` before `begin`. */
export interface ReaderOutlet extends Outlet {
  feedFrom(feeder: Feeder): void
  /** The run's id, and its protocol's headers. */
  setHeaders(runId: string, headers: Readonly<Record<string, string>> | undefined): void
  write(frames: string): boolean
  /**
   * Like `write`, for frames that come at the end of a tick, after which nothing more comes. Another task to write them
   * took a sixth more time in the bench row `relay + log, one a tick`.
   */
  writeNow(frames: string): boolean
}

/** How often a store that is out of reach is asked again before a reader is sent away, and the wait in milliseconds. */
const MAX_RETRIES = 30
const RETRY_MS = 1000

/** How much is read at once, in characters and in entries: that much a slow reader holds, and drops if it leaves. */
const READ_SIZE = 131_072
const MAX_ENTRIES = 64
/** How long the response waits while a position that the run may not have reached is looked for, in milliseconds. */
const PATIENCE_MS = 2000

/** What a reader needs of the options of `relay` and `resume`. */
export type ReaderOptions = Pick<RelayOptions, 'onError' | 'protocol'>

/** Why no more comes than is stored: the run has ended, or its producer was declared dead. */
export type Ending = 'ended' | 'lost' | undefined

/**
 * live      the reader has all events so far: new ones go out as they come
 * reading   it catches up from the store; what comes meanwhile is read from there as well (live ⇄ reading)
 * blocked   the outlet takes no more; ⇄ live or reading, by whether something came meanwhile
 * retrying  the store did not answer: it is read again in a second
 * over      the run or the connection has ended, or the next event is lost
 */
export class Reader implements Feeder, Subscriber {
  // Hot fields first, so that they share cache lines.
  #state: 'live' | 'reading' | 'blocked' | 'retrying' | 'over' = 'live'
  readonly #outlet: ReaderOutlet
  /** The number of the last event that was handed over. */
  #cursor = 0
  #events = 0
  #firstEventMs: number | undefined
  readonly #runId: string
  readonly #options: ReaderOptions
  /** Whether a failure before anything was sent becomes a status. A client that reconnects would ask again after it. */
  readonly #isFirst: boolean
  readonly #started = performance.now()
  #run: LiveRun | undefined
  #ending: Ending
  /** Something came while the reader was not live. */
  #isBehind = false
  /** Entries that were read and not handed over, since the outlet was full. They are not read again. */
  #rest: LogEntry[] = []
  /** How many entries are read at once, chosen by the size of the ones before. */
  #limit = 4
  /** Whether the run is known to have reached the position that the client named. */
  #isPlaced = true
  /** The headers for the response, until the log has answered. */
  #headers: Readonly<Record<string, string>> | undefined
  /** How often in a row the store could not be read. */
  #failures = 0
  #timer: ReturnType<typeof setTimeout> | undefined

  constructor(runId: string, outlet: ReaderOutlet, options: ReaderOptions, isFirst: boolean) {
    this.#runId = runId
    this.#outlet = outlet
    this.#options = options
    this.#isFirst = isFirst
    outlet.feedFrom(this)
  }

  get isOver(): boolean {
    return this.#state === 'over'
  }

  /** Follows the run, from its beginning or where another object stood for it before. */
  follow(run: LiveRun): void {
    if (this.isOver) return
    this.#run = run
    run.subscribe(this)
  }

  /**
   * Reads what comes after the number `cursor`, then follows. `headers` are those of the protocol, as far as they are
   * known. The response gets them once the run was read, and heartbeats begin then.
   */
  start(run: LiveRun, headers: Readonly<Record<string, string>>, cursor: number, ending: Ending): void {
    this.#headers = headers
    this.#cursor = cursor
    this.#isPlaced = cursor === 0
    this.#ending = ending
    this.follow(run)
    this.#catchUp()
  }

  receive(entry: LogEntry, thrown: Thrown | undefined): void {
    if (entry.last <= this.#cursor) {
      // The client named this position before the run had reached it.
      if (entry.end) this.setEnding('ended')
      return
    }
    if (this.#state !== 'live') this.#isBehind = true
    else if (entry.first > this.#cursor + 1) this.#catchUp()
    else this.#write(entry, thrown, true)
  }

  setHeaders(headers: Readonly<Record<string, string>>): void {
    this.#headers = undefined
    // Most protocols have no headers, and handling an empty object as headers costs more than all else here.
    this.#outlet.setHeaders(this.#runId, Object.keys(headers).length > 0 ? headers : undefined)
  }

  checkStore(): void {
    if (this.#state === 'live') this.#catchUp()
    else this.#isBehind = true
  }

  setEnding(ending: 'ended' | 'lost'): void {
    this.#ending = ending
    // What the reader has not read yet comes first.
    this.checkStore()
  }

  handOver(): void {
    // If the ending is known, all that is left is stored and is read here.
    if (!this.#ending) this.stop('shutdown')
  }

  resume(): void {
    if (this.#state !== 'blocked') return
    this.#state = 'live'
    if (this.#isBehind) this.#catchUp()
  }

  stop(outcome: Extract<Outcome, 'disconnected' | 'stalled' | 'expired' | 'shutdown'>): void {
    if (this.isOver) return
    // The run goes on: this reader leaves it, or is sent away to come back with its last event id.
    const isHandover = outcome === 'expired' || outcome === 'shutdown'
    try {
      if (isHandover) this.#outlet.begin()
    } catch (error) {
      this.fail(error)
      return
    }
    this.#end({ outcome })
  }

  fail(error: unknown): void {
    if (this.isOver) return
    this.#endWith(reportFailure(this.#options, error, this.#runId, this.#outlet.sent, this.#outlet.scope))
  }

  /** Ends with a failure of the log, which is not the run's. */
  failAs(code: string): void {
    this.#endWith({ failure: failureOf(code) }, outcomeOf(code))
  }

  #endWith({ failure, thrown }: Reported, outcome: Outcome = 'error'): void {
    this.#end({ outcome, failure, thrown, frames: this.#outlet.sent ? this.#say(failure) : '' })
  }

  /** The frames of a failure that is sent without the run, in the dialect of the options if they have one. */
  #say(failure: Failure): string {
    return failureFrames(() => this.#options.protocol?.encoder({ runId: this.#runId }), failure)
  }

  /** Ends with an answer that has no body: there is nothing to read. */
  endEmpty(): void {
    this.#end({ outcome: 'done' })
  }

  #endLost(): void {
    if (this.isOver) return
    const failure = failureOf('producer-lost')
    try {
      this.#outlet.begin()
    } catch {
      // The failure is sent all the same.
    }
    // Not an event of the run, but the last one that is sent: a client that comes again with this id is told that
    // nothing follows.
    this.#end({
      outcome: 'error',
      failure,
      frames: markEnd(this.#say(failure), this.#runId),
    })
  }

  async #catchUp(): Promise<void> {
    if (this.#state !== 'live') return
    this.#state = 'reading'
    try {
      do {
        this.#isBehind = false
        const hasRest = this.#rest.length > 0
        if (!hasRest) {
          const result = (this.#run as LiveRun).read(this.#cursor, this.#limit)
          this.#rest = isThenable(result) ? await result : (result as LogEntry[])
          this.#failures = 0
        }
        const isEmpty = this.#rest.length === 0
        // Then nothing more is stored of a run that goes on: what comes later is received.
        const isAll = !hasRest && this.#rest.length < this.#limit && this.#ending === undefined
        // After an end, or a loss, the run reaches no more positions: none need be looked for.
        if (!isEmpty || this.#ending) this.#isPlaced = true
        if (!this.#isPlaced && this.#isReading()) await this.#findPlace()
        if (this.#isReading()) this.#answer()
        let size = 0
        let count = 0
        for (; this.#isReading() && this.#rest.length > 0; count++) {
          const entry = this.#rest.shift() as LogEntry
          if (entry.first > this.#cursor + 1) {
            this.#cut('cursor-gone')
            return
          }
          size += entry.text.length
          if (entry.last > this.#cursor) this.#write(entry, undefined, false)
        }
        if (count > 0) this.#limit = Math.max(1, Math.min(MAX_ENTRIES, Math.floor((READ_SIZE * count) / (size + 1))))
        if ((isEmpty || (isAll && this.#isReading())) && this.#isPlaced) this.#run?.onCaughtUp(this.#cursor)
        else {
          this.#isBehind = true
          if (this.#isReading()) await nextTurn()
        }
      } while (this.#isBehind && this.#isReading())
      // Only when everything stored was read does an ending mean that nothing is left.
      if (this.#ending && this.#isReading()) await this.#endUnread()
    } catch (error) {
      this.#onReadError(error)
    }
    if (this.#isReading()) this.#state = 'live'
  }

  /** Nothing more comes: the rest was lost, or the client has had the end already. */
  async #endUnread(): Promise<void> {
    let hasAll = this.#ending === 'ended'
    // In the middle of an answer: the store may have dropped the rest.
    if (hasAll && this.#outlet.sent) {
      const [last] = await (this.#run as LiveRun).read(this.#cursor - 1, 1)
      hasAll = last?.end !== undefined
    }
    if (hasAll) this.endEmpty()
    else this.#endLost()
  }

  /** Nothing is stored after the client's position. It may be the newest event, or one that does not exist. */
  async #findPlace(): Promise<void> {
    // If that takes long, the response begins all the same.
    const timer = setTimeout(() => this.#answer(), PATIENCE_MS)
    try {
      const hasReached = await (this.#run as LiveRun).hasReached(this.#cursor)
      if (hasReached === false && this.#isReading()) this.#cut('cursor-gone')
      this.#isPlaced = hasReached === true
      if (!this.#isPlaced) this.#isBehind = true
    } finally {
      clearTimeout(timer)
    }
  }

  /** The log has answered: the response may begin. */
  #answer(): void {
    if (this.#headers && !this.isOver) this.setHeaders(this.#headers)
  }

  #isReading(): boolean {
    return this.#state === 'reading'
  }

  #onReadError(error: unknown): void {
    const isGone = isRelayError(error) && error.code === 'cursor-gone'
    if (!isGone && this.#failures++ === 0) reportUnseen(this.#options, error, this.#runId, this.#outlet.scope)
    if (isGone || !this.#outlet.sent || this.#failures > MAX_RETRIES) {
      this.#cut(isRelayError(error) ? error.code : 'log-failure')
    } else if (!this.isOver) {
      // The store may be restarting: a reader in the middle of an answer should not notice.
      this.#state = 'retrying'
      this.#timer = setTimeout(() => {
        this.#state = 'live'
        this.#catchUp()
      }, RETRY_MS)
    }
  }

  /** What comes next cannot be had. */
  #cut(code: string): void {
    // Once 200 is sent no status is left: the client comes back with what it has, and gets the real status.
    if (this.#outlet.sent) this.stop('shutdown')
    else this.failAs(code)
  }

  #write(entry: LogEntry, thrown: Thrown | undefined, isTick: boolean): void {
    const { first, last, end } = entry
    // The rest of an entry that the client has in part.
    const text = first > this.#cursor ? entry.text : framesAfter(entry.text, idPrefix(this.#runId), this.#cursor)
    const count = last - this.#cursor
    this.#cursor = last
    this.#firstEventMs ??= performance.now() - this.#started
    if (end) this.#finish(end, text, count, thrown)
    else {
      this.#events += count
      try {
        const hasRoom = isTick ? this.#outlet.writeNow(text) : this.#outlet.write(text)
        if (!hasRoom && !this.isOver) this.#state = 'blocked'
      } catch (error) {
        this.fail(error)
      }
    }
  }

  #finish({ outcome, failure }: LogEnd, text: string, count: number, thrown: Thrown | undefined): void {
    let frames = text
    // A failure is the run's only event. If the run was stopped before it began, whoever stopped it did not know the
    // dialect.
    if (failure && this.#cursor === 1 && this.#options.protocol) {
      frames = this.#say(failure)
      frames = numberFrames(frames, countFrames(frames), idPrefix(this.#runId), 1)
    }
    // Some dialects send a failure as several events. An answer that had begun has more.
    const isRefusal =
      this.#isFirst &&
      failure &&
      !this.#outlet.sent &&
      count === this.#cursor &&
      (count === 1 || count === countFrames(this.#say(failure)))
    try {
      if (!isRefusal) this.#outlet.begin()
    } catch (error) {
      this.fail(error)
      return
    }
    this.#events += count - 1
    this.#end({ outcome, failure, thrown, frames: isRefusal ? '' : frames })
  }

  #end({ outcome, frames = '', failure, thrown }: Partial<RunEnd> & Pick<RunEnd, 'outcome'>): void {
    if (this.isOver) return
    this.#state = 'over'
    this.#rest = []
    clearTimeout(this.#timer)
    this.#run?.unsubscribe(this)
    const summary = {
      outcome,
      events: this.#events,
      text: '',
      ...(this.#firstEventMs !== undefined && { firstEventMs: this.#firstEventMs }),
      durationMs: performance.now() - this.#started,
      runId: this.#runId,
    }
    try {
      this.#outlet.end({ outcome, frames, last: '', failure, thrown, summary })
    } catch (error) {
      printError(error)
    }
  }
}
