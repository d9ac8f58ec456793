/** How does a run that is produced here reach its readers at once, and the store beside? */
import type { Scope } from '../context.js'
import { encodeComment } from '../encode.js'
import { isRelayError, RelayError } from '../errors.js'
import { countFrames, idPrefix, numberFrames } from '../event-id.js'
import { failureOf } from '../failure.js'
import type { RelayOptions } from '../options.js'
import { isThenable, type MaybePromise, settle } from '../promises.js'
import { printError, reportUnseen } from '../report.js'
import { type Outlet, Run, type RunEnd } from '../run.js'
import { atTickEnd } from '../tick.js'
import type { Source, Summary } from '../types.js'
import { LiveRun, type Subscriber, type Thrown } from './live-run.js'
import type { LogEnd, LogEntry, LogStore } from './store.js'

/**
 * This much of what a store has not confirmed is kept here, in characters, besides one entry of any size. Past it the
 * run is stored no longer.
 */
const MAX_PENDING = 1_048_576
/** How long readers in other processes have to say that they are there, in milliseconds. */
const ROLL_CALL_MS = 2000
/** The wait before storing is tried again doubles from the first to the last, in milliseconds. */
const RETRY_MS = 20
const MAX_RETRY_MS = 5000
/** How often it is tried once the run has ended: about a minute. */
const MAX_TRIES = 18

/** If neither memory nor the store has the next event, the log has lost it. */
function orLost(entries: LogEntry[]): LogEntry[] {
  if (entries.length === 0) throw new RelayError('cursor-gone', 'The log has lost events of a run that goes on')
  return entries
}

/** What the one who makes a recorder is told. */
export interface RecorderHost {
  /** Whether something was sent to the client of the call that began the run. */
  isSent(): boolean
  /** The run has ended and is stored, or is given up; called once. */
  onOver(): void
  /** The context of the request, or the job, that began the run. */
  readonly scope: Scope
}

/**
 * opening   the store was asked to take the run; what comes waits
 * open      each entry is stored as it comes
 * draining  an entry was not stored: what is pending is tried again, one after the other (open ⇄ draining)
 * lost      the store gets nothing more of this run; who reads here reads on
 *
 * The run itself goes on beside that, and so does the search for readers: `#abandonTimer` is set while nobody reads here.
 */
export class Recorder extends LiveRun implements Outlet {
  // Hot fields first, so that they share cache lines.
  #last = 0
  readonly #idPrefix: string
  /** The events of this tick. */
  #buffer = ''
  #first = 1
  #isScheduled = false
  /** What readers were handed and the store was not, where it takes more than a tick at once. */
  #held = ''
  #heldFirst = 1
  #state: 'opening' | 'open' | 'draining' | 'lost' = 'opening'
  readonly headers: Readonly<Record<string, string>>
  /** Resolves to the run's summary once its end is stored, or cannot be. */
  readonly done: Promise<Summary>
  readonly #run: Run
  readonly #options: RelayOptions
  readonly #host: RecorderHost
  readonly #abandonMs: number
  #resolve!: (summary: Summary) => void
  /** How the run ended. */
  #summary: Summary | undefined
  /** What the store has not confirmed, in order. */
  #pending: LogEntry[] = []
  #pendingSize = 0
  #isDraining = false
  #tries = 0
  #retryTimer: ReturnType<typeof setTimeout> | undefined
  #isReported = false
  #abandonTimer: ReturnType<typeof setTimeout> | undefined
  /** Whether a reader elsewhere answered the roll call. */
  #isReadElsewhere = false
  #stopListening: (() => void) | undefined

  constructor(runId: string, store: LogStore, options: RelayOptions, host: RecorderHost, abandonMs: number) {
    super(runId, store, options.owner as string | null)
    this.#idPrefix = idPrefix(runId)
    this.#options = options
    this.#host = host
    this.#abandonMs = abandonMs
    this.headers = options.protocol?.headers ?? {}
    this.done = new Promise((resolve) => {
      this.#resolve = resolve
    })
    this.#run = new Run(runId, options, this, undefined)
  }

  get ended(): boolean {
    return this.#run.isOver
  }

  get sent(): boolean {
    return this.#last > 0 || this.#host.isSent()
  }

  get scope(): Scope {
    return this.#host.scope
  }

  /** Calls the source. The store may still be asked for the run. */
  start(source: Source, shutdown?: AbortSignal): void {
    try {
      this.#options.waitUntil?.(this.done)
    } catch {
      // The run asks again, and reports it.
    }
    this.#listen()
    if (this.subscribers.length === 0) this.onDeserted()
    this.#run.start(source, shutdown)
  }

  /** The store has taken the run. */
  opened(): void {
    if (this.#state !== 'opening') return
    this.#state = this.#pending.length === 0 ? 'open' : 'draining'
    if (this.#state === 'draining') this.#drain()
  }

  /** The store does not take what comes. Who reads here reads on. */
  #onStoreError(error: unknown): void {
    // Once a run: what is wrong with a store is wrong with each of its entries.
    if (!this.#isReported) reportUnseen(this.#options, error, this.runId, this.scope)
    this.#isReported = true
    if (this.#state === 'open') this.#state = 'draining'
    if (this.#state !== 'draining') return
    if (this.#summary && this.#tries >= MAX_TRIES) this.#giveUp()
    else if (this.#retryTimer === undefined) {
      const ms = Math.min(MAX_RETRY_MS, RETRY_MS * 2 ** this.#tries++)
      this.#retryTimer = setTimeout(() => {
        this.#retryTimer = undefined
        this.#drain()
      }, ms)
    }
  }

  /** The store has not taken the run. */
  rejected(error: unknown): void {
    this.#onStoreError(error)
    this.#giveUp()
  }

  stop(outcome: 'stopped' | 'shutdown'): void {
    this.#run.stop(outcome)
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
    return true
  }

  end({ outcome, frames, last, failure, thrown, summary }: RunEnd): void {
    clearTimeout(this.#abandonTimer)
    this.#stopListening?.()
    this.#summary = summary
    const isAbandoned = outcome === 'disconnected' || outcome === 'stalled'
    const shown = isAbandoned ? failureOf('stopped') : failure
    // A comment, where the dialect ends with nothing: the ending needs a number.
    const rest = frames + (isAbandoned ? this.#run.say(failureOf('stopped')) : last) || `${encodeComment()}\n`
    this.#number(rest, countFrames(rest))
    const end: LogEnd = { outcome: isAbandoned ? 'stopped' : outcome, ...(shown && { failure: shown }) }
    // Nobody is there to hand it to.
    if (thrown && this.subscribers.length === 0) printError(thrown.error)
    this.#flush(end, thrown)
    this.#endIfStored()
  }

  override read(after: number): MaybePromise<LogEntry[]> {
    if (after >= this.#first - 1) return []
    const here: LogEntry[] = []
    let cursor = after
    for (const entry of this.#held === '' ? this.#pending : [...this.#pending, this.#heldEntry()]) {
      if (entry.last <= cursor) continue
      // What is between was confirmed out of turn, and is stored.
      if (entry.first > cursor + 1) break
      here.push(entry)
      cursor = entry.last
    }
    if (here.length > 0) return here
    const stored = super.read(after)
    return isThenable(stored) ? stored.then(orLost) : orLost(stored)
  }

  /** Says that the producer is alive, and asks whether the run is to stop. */
  renewLease(): void {
    const { shared } = this.store
    if (!shared || this.#state !== 'open' || this.ended) return
    settle(
      () => shared.renew(this.runId),
      (state) => {
        if (state === 'stopped') this.stop('stopped')
        if (state === 'unknown' && !this.ended) this.#reopen()
      },
      (error) => this.#onStoreError(error),
    )
  }

  protected override onDeserted(): void {
    if (this.ended || this.#abandonMs === Number.POSITIVE_INFINITY) return
    clearTimeout(this.#abandonTimer)
    this.#abandonTimer = setTimeout(() => this.#rollCall(), Math.min(this.#abandonMs, 0x7fffffff))
  }

  override subscribe(subscriber: Subscriber): void {
    clearTimeout(this.#abandonTimer)
    super.subscribe(subscriber)
  }

  /** Nobody reads here. Whether anybody reads elsewhere is asked, not guessed. */
  #rollCall(): void {
    const { shared } = this.store
    if (this.subscribers.length > 0 || this.ended) return
    if (!shared || this.#state === 'lost') {
      this.#run.stop('disconnected')
      return
    }
    // It could not hear the answer yet.
    if (!this.#stopListening) {
      this.onDeserted()
      return
    }
    this.#isReadElsewhere = false
    const wait = () => {
      this.#abandonTimer = setTimeout(() => {
        if (this.#isReadElsewhere) this.onDeserted()
        else if (this.subscribers.length === 0) this.#run.stop('disconnected')
      }, ROLL_CALL_MS)
    }
    // Who cannot be asked may be there.
    settle(
      () => shared.publish(this.runId, 'readers', 'who'),
      wait,
      () => this.onDeserted(),
    )
  }

  #listen(): void {
    const { shared } = this.store
    if (!shared) return
    settle(
      () =>
        shared.subscribe(this.runId, 'producer', (message) => {
          if (message === 'stop') this.stop('stopped')
          if (message === 'here') this.#isReadElsewhere = true
        }),
      (unsubscribe) => {
        if (this.ended) unsubscribe()
        else {
          this.#stopListening = unsubscribe
          // A stop that came before it listened was noted.
          this.renewLease()
        }
      },
      (error) => {
        // A run that is over needs no ears.
        if (!this.ended) this.#onStoreError(error)
      },
    )
  }

  #number(frames: string, count: number): void {
    this.#buffer += numberFrames(frames, count, this.#idPrefix, this.#last + 1)
    this.#last += count
  }

  /** What the source yielded in this tick is stored and handed out together. */
  onTick(): void {
    this.#isScheduled = false
    this.#flush()
  }

  #flush(end?: LogEnd, thrown?: Thrown): void {
    if (this.#buffer === '') return
    const entry: LogEntry = { first: this.#first, last: this.#last, text: this.#buffer, end }
    this.#buffer = ''
    this.#first = this.#last + 1
    this.#held += entry.text
    if (end || this.#held.length >= (this.store.entrySize ?? 0)) {
      const held = this.#heldEntry(end)
      this.#held = ''
      this.#heldFirst = this.#first
      this.#store(held)
    }
    this.publish(entry, thrown)
  }

  #heldEntry(end?: LogEnd): LogEntry {
    return { first: this.#heldFirst, last: this.#first - 1, text: this.#held, end }
  }

  #store(entry: LogEntry): void {
    if (this.#state === 'lost') return
    if (this.#state !== 'open') {
      this.#keep(entry)
      return
    }
    try {
      const stored = this.store.append(this.runId, entry)
      if (!isThenable(stored)) return
      // Kept until it is confirmed.
      this.#keep(entry)
      stored.then(() => this.#confirm(entry)).then(undefined, (error) => this.#onStoreError(error))
    } catch (error) {
      this.#keep(entry)
      this.#onStoreError(error)
    }
  }

  #keep(entry: LogEntry): void {
    this.#pending.push(entry)
    this.#pendingSize += entry.text.length
    if (this.#pendingSize <= MAX_PENDING) return
    // However large it is, one may be on its way.
    let largest = 0
    for (const { text } of this.#pending) largest = Math.max(largest, text.length)
    if (this.#pendingSize - largest <= MAX_PENDING) return
    const message = `The run ${this.runId} is stored no further: over ${MAX_PENDING} characters wait for the store`
    if (!this.#isReported) reportUnseen(this.#options, new RelayError('log-failure', message), this.runId, this.scope)
    this.#isReported = true
    this.#giveUp()
  }

  /** A log with a hole would be replayed as if it had none: nothing more is stored. */
  #giveUp(): void {
    this.#state = 'lost'
    clearTimeout(this.#retryTimer)
    this.#pending = []
    this.#pendingSize = 0
    this.#endIfStored()
  }

  #confirm(entry: LogEntry): void {
    const index = this.#pending.indexOf(entry)
    if (index !== -1) this.#pendingSize -= (this.#pending.splice(index, 1)[0] as LogEntry).text.length
    this.#endIfStored()
  }

  /** Stores what is pending, one after the other; what comes meanwhile waits in line. */
  async #drain(): Promise<void> {
    if (this.#isDraining) return
    this.#isDraining = true
    try {
      for (let [entry] = this.#pending; entry; [entry] = this.#pending) {
        await this.store.append(this.runId, entry)
        this.#confirm(entry)
      }
      if (this.#state !== 'lost') this.#state = 'open'
      this.#tries = 0
    } catch (error) {
      this.#onStoreError(error)
      if (isRelayError(error) && error.code === 'run-not-found') await this.#reopen()
    }
    this.#isDraining = false
    this.#endIfStored()
  }

  /** The store lost the run, in a restart without persistence say. It gets what is still here, for those who read on. */
  async #reopen(): Promise<void> {
    const { owner, headers, runId } = this
    const leaseMs = this.store.shared?.leaseMs ?? Number.POSITIVE_INFINITY
    const after = (this.#pending[0]?.first ?? this.#heldFirst) - 1
    try {
      await this.store.begin(runId, { owner, headers, leaseMs, after })
    } catch (error) {
      this.#onStoreError(error)
    }
  }

  /** Whether the run is over, here and in the store. */
  #endIfStored(): void {
    if (!this.#summary || this.#isDraining) return
    if (this.#state !== 'lost' && (this.#pending.length > 0 || this.#state === 'opening')) return
    this.#host.onOver()
    this.#resolve(this.#summary)
  }
}

function onTick(recorder: Recorder): void {
  recorder.onTick()
}
