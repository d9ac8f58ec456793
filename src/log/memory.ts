/** How are runs kept in the memory of this process? */
import { positive, type Rules } from '../check.js'
import { flatten } from '../encode.js'
import { RelayError } from '../errors.js'
import { checkOptions, type Log } from '../options.js'
import { createLog } from './log.js'
import type { LogEntry, LogStore, StoredRun } from './store.js'

/** Options of {@link createMemoryLog}. */
export interface MemoryLogOptions {
  /**
   * What all runs together may hold, counted at two bytes a character, besides up to a kilobyte of each run that goes
   * on. Runs that have ended go first, the oldest before others; a run that goes on loses its oldest events, and who
   * asks for those is answered `cursor-gone`.
   * @default 67108864 (64 MiB)
   */
  maxBytes?: number | undefined
  /** How many runs are kept. When that many go on, the next is refused: `overload`, 503. @default 10000 */
  maxRuns?: number | undefined
  /** How long a run is kept after its end, in milliseconds. @default 600000 (ten minutes) */
  ttlMs?: number | undefined
}

const OPTIONS: Rules<keyof MemoryLogOptions> = { maxBytes: positive, maxRuns: positive, ttlMs: positive }

/**
 * A log in the memory of this process: runs go on when a reader leaves, and can be read again.
 * They end with the process.
 *
 * @throws {RelayError} `invalid-option` for an option that does not exist, or is no positive number.
 */
export function createMemoryLog(options: MemoryLogOptions = {}): Log {
  checkOptions('createMemoryLog', options, OPTIONS)
  return createLog(new MemoryStore(options))
}

/** A class, so that all have one shape: made by spreading, a fifth more time in the bench row `relay + log, 20 a tick`. */
class MemoryRun {
  readonly runId: string
  readonly owner: string | null
  headers: Readonly<Record<string, string>>
  begun: boolean
  ended = false
  /** The number of the last event. */
  last = 0
  entries: LogEntry[] = []
  /** How many of `entries` were dropped. */
  dropped = 0
  bytes = 0
  /** For one that has not begun: until when it may. For one that has ended: until when it is kept. */
  until: number
  /** The run that ended after this one. */
  next: MemoryRun | undefined

  constructor(
    runId: string,
    owner: string | null,
    headers: Readonly<Record<string, string>>,
    begun: boolean,
    until: number,
  ) {
    this.runId = runId
    this.owner = owner
    this.headers = headers
    this.begun = begun
    this.until = until
  }
}

/**
 * In characters. An object and a string a token keep the garbage collector busy; so does text that waits to be joined,
 * which each collection moves. With 2048 it took nearly three times as long as without a log, with 512 nearly twice,
 * with 256 no less.
 */
const ENTRY_SIZE = 512

const DROPPED: LogEntry = { first: 0, last: 0, text: '', end: undefined }

class MemoryStore implements LogStore {
  readonly entrySize: number
  readonly #runs = new Map<string, MemoryRun>()
  /**
   * Of those that have ended, in the order in which they did and will go. Not a Map: to find its first one walks over
   * all that were deleted since it last grew, 2 to 16 µs at 10 000 runs.
   */
  #oldest: MemoryRun | undefined
  #newest: MemoryRun | undefined
  readonly #maxBytes: number
  readonly #maxRuns: number
  readonly #ttlMs: number
  #bytes = 0
  #timer: ReturnType<typeof setTimeout> | undefined

  constructor({ maxBytes = 67_108_864, maxRuns = 10_000, ttlMs = 600_000 }: MemoryLogOptions) {
    this.#maxBytes = maxBytes
    // An entry goes as a whole: it is to be little of what may be held.
    this.entrySize = Math.max(1, Math.min(ENTRY_SIZE, maxBytes / 32))
    this.#maxRuns = maxRuns
    this.#ttlMs = ttlMs
  }

  create(runId: string, { owner, leaseMs }: { owner: string | null; leaseMs: number }): boolean {
    const known = this.get(runId)
    if (known && !(known.owner === owner && !known.begun && known.leaseMs === 0)) return false
    this.#runs.delete(runId)
    this.#add(new MemoryRun(runId, owner, {}, false, performance.now() + leaseMs))
    return true
  }

  begin(runId: string, { owner, headers }: { owner: string | null; headers: Readonly<Record<string, string>> }) {
    const known = this.get(runId)
    if (!known) {
      this.#add(new MemoryRun(runId, owner, headers, true, Number.POSITIVE_INFINITY))
      return true
    }
    if (known.begun || known.leaseMs === 0 || known.owner !== owner) return false
    Object.assign(this.#runs.get(runId) as MemoryRun, { begun: true, headers, until: Number.POSITIVE_INFINITY })
    return true
  }

  append(runId: string, entry: LogEntry): void {
    const run = this.#runs.get(runId)
    if (!run) throw new RelayError('run-not-found', `There is no run ${runId} in the log`)
    const { last } = run
    if (entry.last <= last) return
    if (run.ended || entry.first !== last + 1) {
      const why = run.ended ? 'has ended' : `has its events up to ${last}`
      throw new RelayError('log-failure', `The event ${entry.first} cannot be stored: the run ${why}`)
    }
    // Of many pieces it would be several times its size.
    flatten(entry.text)
    const bytes = entry.text.length * 2
    run.last = entry.last
    run.entries.push(entry)
    run.bytes += bytes
    this.#bytes += bytes
    this.#makeRoom(run)
    if (!entry.end) return
    run.ended = true
    run.until = performance.now() + this.#ttlMs
    if (this.#newest) this.#newest.next = run
    else this.#oldest = run
    this.#newest = run
    this.#arm()
  }

  get(runId: string): StoredRun | undefined {
    const run = this.#runs.get(runId)
    if (!run) return undefined
    const now = performance.now()
    const leftMs = run.until - now
    if (run.ended && leftMs <= 0) {
      this.#expire(now)
      return undefined
    }
    const { owner, headers, begun, ended } = run
    return { owner, headers, begun, ended, leaseMs: begun ? Number.POSITIVE_INFINITY : Math.max(0, leftMs) }
  }

  read(runId: string, after: number, limit: number): LogEntry[] {
    const run = this.#runs.get(runId)
    if (!run) return []
    const { entries, dropped } = run
    let low = dropped
    let high = entries.length
    while (low < high) {
      const middle = (low + high) >> 1
      if ((entries[middle] as LogEntry).last > after) high = middle
      else low = middle + 1
    }
    return entries.slice(low, low + limit)
  }

  close(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  #add(run: MemoryRun): void {
    if (this.#runs.size >= this.#maxRuns && !this.#dropOldest() && !this.#dropNeverBegun()) {
      throw new RelayError(
        'overload',
        `The log is full: ${this.#maxRuns} runs go on, which is its maxRuns. Raise it, or let fewer run at a time`,
        { retryable: true },
      )
    }
    this.#runs.set(run.runId, run)
  }

  /** For what a run has others may have to go, and then what it had before. */
  #makeRoom(run: MemoryRun): void {
    while (this.#bytes > this.#maxBytes) {
      if (this.#dropOldest()) continue
      if (run.entries.length - run.dropped <= 1) break
      this.#trim(run)
    }
  }

  /** Drops a run that was created, and whose producer never came. `false` if there is none. */
  #dropNeverBegun(): boolean {
    const now = performance.now()
    for (const [runId, { until }] of this.#runs) if (until <= now) return this.#runs.delete(runId)
    return false
  }

  #trim(run: MemoryRun): void {
    const size = (run.entries[run.dropped] as LogEntry).text.length * 2
    run.bytes -= size
    this.#bytes -= size
    run.entries[run.dropped++] = DROPPED
    // Not one by one: what follows would be moved each time.
    if (run.dropped > 64 && run.dropped * 2 > run.entries.length) {
      run.entries.splice(0, run.dropped)
      run.dropped = 0
    }
  }

  /** Drops the run that ended first. `false` if none has ended. */
  #dropOldest(): boolean {
    const run = this.#oldest
    if (!run) return false
    this.#oldest = run.next
    if (!this.#oldest) this.#newest = undefined
    // A dropped run that is not collected yet is not to keep those after it.
    run.next = undefined
    this.#bytes -= run.bytes
    return this.#runs.delete(run.runId)
  }

  /** Drops those whose time is over: all have the same, so they are the oldest. */
  #expire(now: number): void {
    while (this.#oldest && this.#oldest.until <= now) this.#dropOldest()
  }

  /** One timer for the run that goes first; it keeps no process alive. */
  #arm(): void {
    if (this.#timer !== undefined || this.#ttlMs === Number.POSITIVE_INFINITY || !this.#oldest) return
    const ms = Math.min(Math.max(0, this.#oldest.until - performance.now()) + 1, 0x7fffffff)
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      this.#expire(performance.now())
      this.#arm()
    }, ms)
    ;(this.#timer as { unref?(): void }).unref?.()
  }
}
