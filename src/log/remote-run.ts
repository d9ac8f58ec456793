/** How does a run that another process produces, or that has not begun, reach its readers in this process? */
import { settle } from '../promises.js'
import { LiveRun } from './live-run.js'
import type { LogEntry, LogStore, SharedStore, StoredRun } from './store.js'

/** After the end of a lease, this long until the run counts as lost, in milliseconds. */
const GRACE_MS = 50
/** How long until a store that did not answer, or that holds more to read, is looked at again. */
const RETRY_MS = 1000

/** What a message brings along; where it is no more than the word, the store is read. */
const NEWS = /^frames (\d+) (\d+)\n/

/**
 * waiting    the run has not begun: its headers are not known
 * following  it goes on: the store is read once for all readers, when a message or the lease's watch says so.
 *            What a message brings is handed out without a reading, where it is next after the place that is known
 * closed     nobody reads here any more, or the log is closed
 */
export class RemoteRun extends LiveRun {
  #state: 'waiting' | 'following' | 'closed'
  readonly #onEmpty: () => void
  #stopListening: (() => void) | undefined
  #timer: ReturnType<typeof setTimeout> | undefined
  /** The number of the last event that was handed out; unknown until somebody has read all there is. */
  #last: number | undefined
  #isReading = false
  /** Something came while the store was read. */
  #isBehind = false

  constructor(runId: string, store: LogStore, run: StoredRun, onEmpty: () => void) {
    super(runId, store, run.owner)
    this.#onEmpty = onEmpty
    this.#state = run.begun ? 'following' : 'waiting'
    if (run.ended) return
    this.#watchLease(run.leaseMs)
    const { shared } = store
    if (!shared) return
    settle(
      () => shared.subscribe(runId, 'readers', (message) => this.#onMessage(message, shared)),
      (stopListening) => {
        if (this.#state === 'closed') stopListening()
        else {
          this.#stopListening = stopListening
          // What came before it listened, and what was asked.
          this.#readStore()
          this.#announce(shared)
        }
      },
      // The watch looks as well.
      () => {},
    )
  }

  override onCaughtUp(cursor: number): void {
    if (this.#last === undefined || cursor > this.#last) this.#last = cursor
  }

  /** Ends listening; who still reads is on its own. */
  close(): void {
    this.#state = 'closed'
    clearTimeout(this.#timer)
    this.#stopListening?.()
    this.#stopListening = undefined
  }

  protected override onDeserted(): void {
    this.close()
    this.#onEmpty()
  }

  #onMessage(message: string, shared: SharedStore): void {
    if (message.startsWith('frames')) {
      const [line, first, last] = NEWS.exec(message) ?? []
      const isNext = !this.#isReading && this.#state === 'following' && Number(first) - 1 === this.#last
      if (line === undefined || !isNext) this.#readStore()
      else {
        this.#last = Number(last)
        this.publish({ first: Number(first), last: this.#last, text: message.slice(line.length) })
      }
    } else if (message === 'who') {
      this.#announce(shared)
    }
  }

  /** Tells the producer that somebody reads here. */
  #announce(shared: SharedStore): void {
    settle(
      () => shared.publish(this.runId, 'producer', 'here'),
      () => {},
      () => {},
    )
  }

  /** Reads what is new, once for all readers. Tells whether they have all there is. */
  async #readStore(): Promise<boolean> {
    if (this.#isReading) {
      this.#isBehind = true
      return false
    }
    this.#isReading = true
    let isAll = false
    try {
      if (this.#state === 'waiting') await this.#lookForBeginning()
      do {
        this.#isBehind = false
        isAll = false
        if (this.#last === undefined) {
          for (const subscriber of this.subscribers) subscriber.checkStore()
          break
        }
        const entries: LogEntry[] = await this.read(this.#last)
        for (const entry of entries) {
          this.#last = Math.max(this.#last, entry.last)
          this.publish(entry)
        }
        isAll = entries.length === 0
      } while ((this.#isBehind || !isAll) && !this.#isClosed())
    } catch {
      // The next message or the watch tries again.
    }
    this.#isReading = false
    return isAll
  }

  async #lookForBeginning(): Promise<void> {
    const run = await this.store.get(this.runId)
    if (!run?.begun) return
    if (this.#state === 'waiting') this.#state = 'following'
    for (const subscriber of this.subscribers) subscriber.setHeaders(run.headers)
  }

  #isClosed(): boolean {
    return this.#state === 'closed'
  }

  /** When the lease is over, looks whether it was renewed. Messages that got lost are made up for here. */
  #watchLease(leaseMs: number): void {
    if (leaseMs === Number.POSITIVE_INFINITY) return
    // A run that has not begun has its time for that, and may begin and die long before it is over.
    const ms = Math.min(leaseMs, this.store.shared?.leaseMs ?? leaseMs) + GRACE_MS
    this.#timer = setTimeout(() => this.#checkLease(), Math.min(ms, 0x7fffffff))
  }

  async #checkLease(): Promise<void> {
    try {
      const run = await this.store.get(this.runId)
      if (this.#isClosed()) return
      const isAll = await this.#readStore()
      if (this.#isClosed()) return
      // What is stored comes first, and is being read.
      if (!isAll) this.#watchLease(RETRY_MS)
      else if (run?.ended) for (const subscriber of this.subscribers) subscriber.checkStore()
      else if (run && run.leaseMs > 0) this.#watchLease(run.leaseMs)
      else for (const subscriber of this.subscribers) subscriber.declareLost()
    } catch {
      // It cannot be known: it is not lost yet.
      if (!this.#isClosed()) this.#watchLease(RETRY_MS)
    }
  }
}
