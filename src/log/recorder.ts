import { isRelayError, RelayError } from '../errors.js'
import { failureOf } from '../failure.js'
import type { RelayOptions } from '../options.js'
import { complain, mention, type Outlet, Run, type RunEnd } from '../run.js'
import type { Source, Summary } from '../types.js'
import { isThenable } from '../upstream.js'
import { Feed, type FeedReader } from './feed.js'
import { lastFrame } from './reader.js'
import { type LogEnd, type LogEntry, type LogStore, type MaybePromise, settle } from './store.js'

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

const soon: (task: () => void) => void =
  (globalThis as { process?: { nextTick?(task: () => void): void } }).process?.nextTick ?? queueMicrotask

/** The runs that have events of this tick. One task for all: one each took a tenth more time, at a token a tick. */
let due: Recorder[] = []

function runTick(): void {
  const recorders = due
  due = []
  for (const recorder of recorders) recorder.onTick()
}

/** What is not pending and not stored is nowhere. */
function orGone(entries: LogEntry[]): LogEntry[] {
  if (entries.length === 0) throw new RelayError('cursor-gone', 'The log has lost events of a run that goes on')
  return entries
}

/** What the one who makes a recorder is told. */
export interface RecorderHost {
  /** Whether something was sent to the client of the call that began the run. */
  sent(): boolean
  /** The run has ended and is stored, or is given up; called once. */
  over(): void
}

/**
 * The outlet of a run with a log: numbers its events, hands them to the readers in this process at once, and stores
 * them beside.
 */
export class Recorder extends Feed implements Outlet {
  // What each token needs stands together and first: with hundreds of runs in turn none of it is in the cache any more.
  #last = 0
  readonly #idLine: string
  /** The events of this tick. */
  #buffer = ''
  #first = 1
  #scheduled = false
  /** What readers were handed and the store was not, where it takes more than a tick at once. */
  #held = ''
  #heldFirst = 1
  /** `opening`: the store was asked for the run. `failing`: what is pending is tried again. `lost`: it is over with storing. */
  #storing: 'opening' | 'open' | 'failing' | 'lost' = 'opening'
  readonly headers: Readonly<Record<string, string>>
  /** Resolves to the run's summary once its end is stored, or cannot be. */
  readonly done: Promise<Summary>
  readonly #run: Run
  readonly #options: RelayOptions
  readonly #host: RecorderHost
  readonly #abandonMs: number
  #resolve!: (summary: Summary) => void
  #summary: Summary | undefined
  /** What the store has not confirmed, in order. */
  #pending: LogEntry[] = []
  #pendingSize = 0
  #retrying = false
  #tries = 0
  #again: ReturnType<typeof setTimeout> | undefined
  #reported = false
  #abandon: ReturnType<typeof setTimeout> | undefined
  #answered = false
  #unsubscribe: (() => void) | undefined

  constructor(runId: string, store: LogStore, options: RelayOptions, host: RecorderHost, abandonMs: number) {
    super(runId, store, options.owner as string | null)
    this.#idLine = `id: ${runId}:`
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
    return this.#run.outcome !== undefined
  }

  get events(): number {
    return this.#last
  }

  get sent(): boolean {
    return this.#last > 0 || this.#host.sent()
  }

  /** Calls the source. The store may still be asked for the run. */
  start(source: Source, shutdown?: AbortSignal): void {
    try {
      this.#options.waitUntil?.(this.done)
    } catch {
      // The run asks again, and reports it.
    }
    this.#listen()
    if (this.readers.length === 0) this.deserted()
    this.#run.start(source, shutdown)
  }

  /** The store has taken the run. */
  opened(): void {
    if (this.#storing !== 'opening') return
    this.#storing = this.#pending.length === 0 ? 'open' : 'failing'
    if (this.#storing === 'failing') this.#retry()
  }

  /** The store does not take what comes. Who reads here reads on. */
  failed(error: unknown): void {
    // Once a run: what is wrong with a store is wrong with each of its entries.
    if (!this.#reported) mention(this.#options, error, this.runId)
    this.#reported = true
    if (this.#storing === 'open') this.#storing = 'failing'
    if (this.#storing !== 'failing') return
    if (this.#summary && this.#tries >= MAX_TRIES) this.#giveUp()
    else if (this.#again === undefined) {
      const ms = Math.min(MAX_RETRY_MS, RETRY_MS * 2 ** this.#tries++)
      this.#again = setTimeout(() => {
        this.#again = undefined
        this.#retry()
      }, ms)
    }
  }

  /** The store has not taken the run. */
  refused(error: unknown): void {
    this.failed(error)
    this.#giveUp()
  }

  stop(outcome: 'stopped' | 'shutdown'): void {
    this.#run.stop(outcome)
  }

  begin(): void {}

  write(frames: string): boolean {
    this.#number(frames)
    if (!this.#scheduled) {
      this.#scheduled = true
      if (due.push(this) === 1) soon(runTick)
    }
    return true
  }

  end({ outcome, frames, last, failure, thrown, summary }: RunEnd): void {
    clearTimeout(this.#abandon)
    this.#unsubscribe?.()
    this.#summary = summary
    const abandoned = outcome === 'disconnected' || outcome === 'stalled'
    const shown = abandoned ? failureOf('stopped') : failure
    this.#number(frames + (abandoned ? lastFrame(failureOf('stopped')) : last))
    const end: LogEnd = { outcome: abandoned ? 'stopped' : outcome, ...(shown && { failure: shown }) }
    // Nobody is there to hand it to.
    if (thrown && this.readers.length === 0) complain(thrown.error)
    this.#flush(end, thrown)
    this.#settle()
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
    return isThenable(stored) ? stored.then(orGone) : orGone(stored)
  }

  /** A turn of the log's clock: says that the producer is alive. */
  tick(): void {
    const { shared } = this.store
    if (!shared || this.#storing !== 'open' || this.ended) return
    settle(
      () => shared.renew(this.runId),
      (state) => {
        if (state === 'stopped') this.stop('stopped')
        if (state === 'unknown' && !this.ended) this.#reopen()
      },
      (error) => this.failed(error),
    )
  }

  protected override deserted(): void {
    if (this.ended || this.#abandonMs === Number.POSITIVE_INFINITY) return
    clearTimeout(this.#abandon)
    this.#abandon = setTimeout(() => this.#rollCall(), Math.min(this.#abandonMs, 0x7fffffff))
  }

  override add(reader: FeedReader): void {
    clearTimeout(this.#abandon)
    super.add(reader)
  }

  /** Nobody reads here. Whether anybody reads elsewhere is asked, not guessed. */
  #rollCall(): void {
    const { shared } = this.store
    if (this.readers.length > 0 || this.ended) return
    if (!shared || this.#storing === 'lost') {
      this.#run.stop('disconnected')
      return
    }
    // It could not hear the answer yet.
    if (!this.#unsubscribe) {
      this.deserted()
      return
    }
    this.#answered = false
    const wait = () => {
      this.#abandon = setTimeout(() => {
        if (this.#answered) this.deserted()
        else if (this.readers.length === 0) this.#run.stop('disconnected')
      }, ROLL_CALL_MS)
    }
    // Who cannot be asked may be there.
    settle(
      () => shared.publish(this.runId, 'readers', 'who'),
      wait,
      () => this.deserted(),
    )
  }

  #listen(): void {
    const { shared } = this.store
    if (!shared) return
    settle(
      () =>
        shared.subscribe(this.runId, 'producer', (message) => {
          if (message === 'stop') this.stop('stopped')
          if (message === 'here') this.#answered = true
        }),
      (unsubscribe) => {
        if (this.ended) unsubscribe()
        else {
          this.#unsubscribe = unsubscribe
          // A stop that came before it listened was noted.
          this.tick()
        }
      },
      (error) => {
        // A run that is over needs no ears.
        if (!this.ended) this.failed(error)
      },
    )
  }

  /** Gives each event its id. */
  #number(frames: string): void {
    // So short a text is copied, and a longer one joined: fewer joints save a sixth, with 20 tokens a tick.
    const number = `${this.#last + 1}\n`
    const text = `${this.#idLine}${number}${frames}`
    // One event, as it is with most chunks: it is searched as it goes out, and copied once.
    if (text.indexOf('\n\n') === text.length - 2) {
      this.#last++
      this.#buffer += text
      return
    }
    let from = 0
    for (let end = frames.indexOf('\n\n'); end !== -1; end = frames.indexOf('\n\n', from)) {
      const number = `${++this.#last}\n`
      this.#buffer += `${this.#idLine}${number}${frames.slice(from, end + 2)}`
      from = end + 2
    }
  }

  /** What the source yielded in this tick is stored and handed out together. */
  onTick(): void {
    this.#scheduled = false
    this.#flush()
  }

  #flush(end?: LogEnd, thrown?: { error: unknown }): void {
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
    this.push(entry, thrown)
  }

  #heldEntry(end?: LogEnd): LogEntry {
    return { first: this.#heldFirst, last: this.#first - 1, text: this.#held, end }
  }

  #store(entry: LogEntry): void {
    if (this.#storing === 'lost') return
    if (this.#storing !== 'open') {
      this.#keep(entry)
      return
    }
    try {
      const stored = this.store.append(this.runId, entry)
      if (!isThenable(stored)) return
      // Kept until it is confirmed.
      this.#keep(entry)
      stored.then(() => this.#confirm(entry)).then(undefined, (error) => this.failed(error))
    } catch (error) {
      this.#keep(entry)
      this.failed(error)
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
    if (!this.#reported) mention(this.#options, new RelayError('log-failure', message), this.runId)
    this.#reported = true
    this.#giveUp()
  }

  /** A log with a hole would be replayed as if it had none: nothing more is stored. */
  #giveUp(): void {
    this.#storing = 'lost'
    clearTimeout(this.#again)
    this.#pending = []
    this.#pendingSize = 0
    this.#settle()
  }

  #confirm(entry: LogEntry): void {
    const index = this.#pending.indexOf(entry)
    if (index !== -1) this.#pendingSize -= (this.#pending.splice(index, 1)[0] as LogEntry).text.length
    this.#settle()
  }

  /** Stores what is pending, one after the other; what comes meanwhile waits in line. */
  async #retry(): Promise<void> {
    if (this.#retrying) return
    this.#retrying = true
    try {
      for (let [entry] = this.#pending; entry; [entry] = this.#pending) {
        await this.store.append(this.runId, entry)
        this.#confirm(entry)
      }
      if (this.#storing !== 'lost') this.#storing = 'open'
      this.#tries = 0
    } catch (error) {
      this.failed(error)
      if (isRelayError(error) && error.code === 'run-not-found') await this.#reopen()
    }
    this.#retrying = false
    this.#settle()
  }

  /** The store lost the run, in a restart without persistence say. It gets what is still here, for those who read on. */
  async #reopen(): Promise<void> {
    const { owner, headers, runId } = this
    const leaseMs = this.store.shared?.leaseMs ?? Number.POSITIVE_INFINITY
    const after = (this.#pending[0]?.first ?? this.#heldFirst) - 1
    try {
      await this.store.begin(runId, { owner, headers, leaseMs, after })
    } catch (error) {
      this.failed(error)
    }
  }

  /** Whether the run is over, here and in the store. */
  #settle(): void {
    if (!this.#summary || this.#retrying) return
    if (this.#storing !== 'lost' && (this.#pending.length > 0 || this.#storing === 'opening')) return
    this.#host.over()
    this.#resolve(this.#summary)
  }
}
