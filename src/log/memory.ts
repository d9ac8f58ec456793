/** How are runs kept in the memory of this process? */
import { positive, type Rules } from '../check.js'
import { flatten } from '../encode.js'
import { RelayError } from '../errors.js'
import { checkOptions, type Log } from '../options.js'
import { unref } from '../tick.js'
import { createLog } from './log.js'
import type { LogEntry, LogStore, RunStart, StoredRun } from './store.js'

/** Options of {@link createMemoryLog}. */
export interface MemoryLogOptions {
  /**
   * How much all runs together may hold, counted at two bytes a character, plus up to a kilobyte for each run that goes
   * on. Runs that have ended go first, the oldest before others. Then a run that goes on loses its oldest events, and a
   * reader who asks for those gets `cursor-gone`. An owner whose runs hold less than `maxBytes` divided by the number
   * of owners loses nothing.
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
 * @throws {RelayError} `invalid-option` for an option that does not exist, or is not a positive number.
 */
export function createMemoryLog(options: MemoryLogOptions = {}): Log {
  checkOptions('createMemoryLog', options, OPTIONS)
  return createLog(new MemoryStore(options))
}

/** Runs in the order in which they ended. Those that were dropped out of turn are skipped. */
class EndedRuns {
  #runs: MemoryRun[] = []
  #from = 0
  #dropped = 0

  add(run: MemoryRun): void {
    this.#runs.push(run)
  }

  get first(): MemoryRun | undefined {
    while (this.#runs[this.#from]?.isDropped) {
      this.#from++
      this.#dropped--
    }
    // Not one by one: what follows would be moved each time.
    if (this.#from > 64 && this.#from * 2 > this.#runs.length) {
      this.#runs.splice(0, this.#from)
      this.#from = 0
    }
    return this.#runs[this.#from]
  }

  /** One of them was dropped. */
  onDropped(): void {
    if (++this.#dropped < 64 || this.#dropped * 2 < this.#runs.length - this.#from) return
    this.#runs = this.#runs.filter(({ isDropped }) => !isDropped)
    this.#from = 0
    this.#dropped = 0
  }
}

/** What one owner has in the log. */
class Share {
  runs = 0
  bytes = 0
  ended: EndedRuns | undefined
}

/** A class, for one shape: runs made by spreading took a fifth more time in the bench row `relay + log, 20 a tick`. */
class MemoryRun {
  readonly runId: string
  readonly owner: string | null
  readonly share: Share
  headers: Readonly<Record<string, string>>
  begun: boolean
  ended = false
  isDropped = false
  /** The number of the last event. */
  last = 0
  entries: LogEntry[] = []
  /** How many of `entries` were dropped. */
  dropped = 0
  bytes = 0
  /** Until when a run that has not begun may begin, or one that has ended is kept. */
  until: number

  constructor(
    runId: string,
    owner: string | null,
    share: Share,
    headers: Readonly<Record<string, string>>,
    begun: boolean,
    until: number,
  ) {
    this.runId = runId
    this.owner = owner
    this.share = share
    this.headers = headers
    this.begun = begun
    this.until = until
  }
}

/**
 * In characters. An object and a string for each token keep the garbage collector busy, and so does text that waits to
 * be joined, which each collection moves. With 2048 collecting took nearly three times as long as without a log, with
 * 512 nearly twice, with 256 no less.
 */
const ENTRY_SIZE = 512

const DROPPED: LogEntry = { first: 0, last: 0, text: '', end: undefined }

class MemoryStore implements LogStore {
  readonly entrySize: number
  readonly #runs = new Map<string, MemoryRun>()
  readonly #shares = new Map<string | null, Share>()
  /** Not a Map: to find its first entry it walks over all deleted since it last grew, 2 to 16 µs at 10 000 runs. */
  readonly #ended = new EndedRuns()
  /** The owner and the run that lose something next. They are looked for anew when others have more. */
  #largestShare: Share | undefined
  #largest: MemoryRun | undefined
  readonly #maxBytes: number
  readonly #maxRuns: number
  readonly #ttlMs: number
  #bytes = 0
  #timer: ReturnType<typeof setTimeout> | undefined

  constructor({ maxBytes = 67_108_864, maxRuns = 10_000, ttlMs = 600_000 }: MemoryLogOptions) {
    this.#maxBytes = maxBytes
    // An entry is dropped whole, so it must be a small part of what may be held.
    this.entrySize = Math.max(1, Math.min(ENTRY_SIZE, maxBytes / 32))
    this.#maxRuns = maxRuns
    this.#ttlMs = ttlMs
  }

  create(runId: string, { owner, leaseMs }: { owner: string | null; leaseMs: number }): boolean {
    const known = this.get(runId)
    if (known && !(known.owner === owner && !known.begun && known.leaseMs === 0)) return false
    const before = this.#runs.get(runId)
    if (before) this.#drop(before)
    this.#add(runId, owner, {}, false, performance.now() + leaseMs)
    return true
  }

  begin(runId: string, { owner, headers }: RunStart): boolean {
    const known = this.get(runId)
    if (!known) {
      this.#add(runId, owner, headers, true, Number.POSITIVE_INFINITY)
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
      const code = run.ended ? 'log-failure' : 'cursor-gone'
      throw new RelayError(code, `The event ${entry.first} cannot be stored: the run ${why}`)
    }
    // Kept in many pieces, the text would take several times its size.
    flatten(entry.text)
    const bytes = entry.text.length * 2
    run.last = entry.last
    run.entries.push(entry)
    this.#count(run, bytes)
    if (this.#bytes > this.#maxBytes) this.#makeRoom(run)
    if (!entry.end) return
    run.ended = true
    run.until = performance.now() + this.#ttlMs
    run.share.ended ??= new EndedRuns()
    run.share.ended.add(run)
    this.#ended.add(run)
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
    const { owner, headers, begun, ended, entries } = run
    const leaseMs = begun ? Number.POSITIVE_INFINITY : Math.max(0, leftMs)
    return { owner, headers, begun, ended, end: entries.at(-1)?.end, leaseMs }
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

  #add(
    runId: string,
    owner: string | null,
    headers: Readonly<Record<string, string>>,
    begun: boolean,
    until: number,
  ): void {
    if (this.#runs.size >= this.#maxRuns && !this.#dropForRoom() && !this.#dropNeverBegun()) {
      throw new RelayError(
        'overload',
        `The log is full: ${this.#maxRuns} runs go on, which is its maxRuns. Raise it, or let fewer run at a time`,
        { retryable: true },
      )
    }
    let share = this.#shares.get(owner)
    if (!share) {
      share = new Share()
      this.#shares.set(owner, share)
    }
    share.runs++
    this.#runs.set(runId, new MemoryRun(runId, owner, share, headers, begun, until))
  }

  /** Drops an ended run for a new one: the oldest, or, if its owner has few runs, one of the owner with the most. */
  #dropForRoom(): boolean {
    const oldest = this.#ended.first
    if (!oldest) return false
    const average = this.#runs.size / this.#shares.size
    let run = oldest
    let most = oldest.share.runs
    if (most < average) {
      for (const { runs, ended } of this.#shares.values()) {
        const first = runs > most ? ended?.first : undefined
        if (!first) continue
        run = first
        most = runs
      }
    }
    this.#drop(run)
    return true
  }

  /** For a run that grew, ended runs go first, then old events; an owner with less than an equal share loses none. */
  #makeRoom(run: MemoryRun): void {
    while (this.#bytes > this.#maxBytes) {
      const fair = this.#maxBytes / this.#shares.size
      const oldest = this.#ended.first
      if (oldest && oldest.share.bytes >= fair) {
        this.#drop(oldest)
        continue
      }
      const share = this.#findLargestShare(run.share, fair)
      const first = share.ended?.first
      if (first) {
        this.#drop(first)
        continue
      }
      // The only entry of a run cannot go: then the owner of the run that grew pays.
      const largest = this.#findLargest(share, run) ?? this.#findLargest(run.share, run)
      if (!largest) break
      this.#trim(largest)
    }
  }

  #findLargestShare(share: Share, fair: number): Share {
    const known = this.#largestShare
    if (known && known.bytes >= fair && known.bytes >= share.bytes) return known
    let largest = share
    for (const other of this.#shares.values()) if (other.bytes > largest.bytes) largest = other
    this.#largestShare = largest
    return largest
  }

  /** The largest run of an owner that goes on, and has more than one entry. */
  #findLargest(share: Share, run: MemoryRun): MemoryRun | undefined {
    const isTrimmable = (each: MemoryRun) =>
      each.share === share && !each.ended && !each.isDropped && each.entries.length - each.dropped > 1
    const known = this.#largest
    const least = isTrimmable(run) ? run.bytes : 0
    if (known && isTrimmable(known) && known.bytes >= least) return known
    let largest = isTrimmable(run) ? run : undefined
    for (const other of this.#runs.values()) {
      if (isTrimmable(other) && other.bytes > (largest?.bytes ?? 0)) largest = other
    }
    this.#largest = largest
    return largest
  }

  /** Drops a run that was created, and whose producer never came. `false` if there is none. */
  #dropNeverBegun(): boolean {
    const now = performance.now()
    for (const run of this.#runs.values()) {
      if (run.until > now) continue
      this.#drop(run)
      return true
    }
    return false
  }

  #count(run: MemoryRun, bytes: number): void {
    run.bytes += bytes
    run.share.bytes += bytes
    this.#bytes += bytes
  }

  #trim(run: MemoryRun): void {
    this.#count(run, (run.entries[run.dropped] as LogEntry).text.length * -2)
    run.entries[run.dropped++] = DROPPED
    // Not one by one: what follows would be moved each time.
    if (run.dropped > 64 && run.dropped * 2 > run.entries.length) {
      run.entries.splice(0, run.dropped)
      run.dropped = 0
    }
  }

  #drop(run: MemoryRun): void {
    const { share } = run
    this.#count(run, -run.bytes)
    run.isDropped = true
    run.entries = []
    this.#runs.delete(run.runId)
    if (--share.runs === 0) this.#shares.delete(run.owner)
    if (this.#largestShare === share && share.runs === 0) this.#largestShare = undefined
    if (this.#largest === run) this.#largest = undefined
    if (!run.ended) return
    share.ended?.onDropped()
    this.#ended.onDropped()
  }

  /** Drops the runs whose time is over. All have the same time, so these are the oldest. */
  #expire(now: number): void {
    for (let run = this.#ended.first; run && run.until <= now; run = this.#ended.first) this.#drop(run)
  }

  /** One timer, for the run that goes first. It keeps no process alive. */
  #arm(): void {
    const oldest = this.#ended.first
    if (this.#timer !== undefined || this.#ttlMs === Number.POSITIVE_INFINITY || !oldest) return
    const ms = Math.min(Math.max(0, oldest.until - performance.now()) + 1, 0x7fffffff)
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      this.#expire(performance.now())
      this.#arm()
    }, ms)
    unref(this.#timer)
  }
}
