import { Feed } from './feed.js'
import { type LogEntry, type LogStore, type SharedStore, type StoredRun, settle } from './store.js'

/** After the end of a lease, this long until the run counts as lost, in milliseconds. */
const GRACE_MS = 50

/** What a message brings along; where it is no more than the word, the store is read. */
const NEWS = /^frames (\d+) (\d+)\n/

/** Who reads in this process a run that another one produces, or that has not begun: one reading of the store for all. */
export class Follower extends Feed {
  readonly #empty: (follower: Follower) => void
  #unsubscribe: (() => void) | undefined
  #timer: ReturnType<typeof setTimeout> | undefined
  #closed = false
  #begun: boolean
  /** The number of the last event that was handed out; unknown until somebody has read all there is. */
  #last: number | undefined
  #pulling = false
  #again = false

  constructor(runId: string, store: LogStore, run: StoredRun, empty: (follower: Follower) => void) {
    super(runId, store, run.owner)
    this.#empty = empty
    this.#begun = run.begun
    if (run.ended) return
    this.#watch(run.leaseMs)
    const { shared } = store
    if (!shared) return
    settle(
      () => shared.subscribe(runId, 'readers', (message) => this.#told(message, shared)),
      (unsubscribe) => {
        if (this.#closed) unsubscribe()
        else {
          this.#unsubscribe = unsubscribe
          // What came before it listened, and what was asked.
          this.#pull()
          this.#answer(shared)
        }
      },
      // The watch looks as well.
      () => {},
    )
  }

  /** A reader has read everything up to a number. */
  override caughtUp(cursor: number): void {
    if (this.#last === undefined || cursor > this.#last) this.#last = cursor
  }

  /** Ends listening; who still reads is on its own. */
  close(): void {
    this.#closed = true
    clearTimeout(this.#timer)
    this.#unsubscribe?.()
    this.#unsubscribe = undefined
  }

  protected override deserted(): void {
    this.close()
    this.#empty(this)
  }

  #told(message: string, shared: SharedStore): void {
    if (message.startsWith('frames')) {
      const [head, first, last] = NEWS.exec(message) ?? []
      if (head === undefined || this.#pulling || !this.#begun || Number(first) - 1 !== this.#last) this.#pull()
      else {
        this.#last = Number(last)
        this.push({ first: Number(first), last: this.#last, text: message.slice(head.length) })
      }
    } else if (message === 'who') {
      this.#answer(shared)
    }
  }

  /** Tells the producer that somebody reads here. */
  #answer(shared: SharedStore): void {
    settle(
      () => shared.publish(this.runId, 'producer', 'here'),
      () => {},
      () => {},
    )
  }

  /** Reads what is new, once for all readers. Tells whether they have all there is. */
  async #pull(): Promise<boolean> {
    if (this.#pulling) {
      this.#again = true
      return false
    }
    this.#pulling = true
    let isAll = false
    try {
      if (!this.#begun) await this.#head()
      do {
        this.#again = false
        isAll = false
        if (this.#last === undefined) {
          for (const reader of this.readers) reader.look()
          break
        }
        const entries: LogEntry[] = await this.read(this.#last)
        for (const entry of entries) {
          this.#last = Math.max(this.#last, entry.last)
          this.push(entry)
        }
        isAll = entries.length === 0
      } while ((this.#again || !isAll) && !this.#closed)
    } catch {
      // The next message or the watch tries again.
    }
    this.#pulling = false
    return isAll
  }

  /** The headers, which are not known before the run begins. */
  async #head(): Promise<void> {
    const run = await this.store.get(this.runId)
    if (!run?.begun) return
    this.#begun = true
    for (const reader of this.readers) reader.head(run.headers)
  }

  /** When the lease is over, looks whether it was renewed. Messages that got lost are made up for here. */
  #watch(leaseMs: number): void {
    if (leaseMs === Number.POSITIVE_INFINITY) return
    // A run that has not begun has its time for that, and may begin and die long before it is over.
    const ms = Math.min(leaseMs, this.store.shared?.leaseMs ?? leaseMs) + GRACE_MS
    this.#timer = setTimeout(() => this.#check(), Math.min(ms, 0x7fffffff))
  }

  async #check(): Promise<void> {
    try {
      const run = await this.store.get(this.runId)
      if (this.#closed) return
      const isAll = await this.#pull()
      if (this.#closed) return
      // What is stored comes first, and is being read.
      if (!isAll) this.#watch(1000)
      else if (run?.ended) for (const reader of this.readers) reader.look()
      else if (run && run.leaseMs > 0) this.#watch(run.leaseMs)
      else for (const reader of this.readers) reader.lose()
    } catch {
      // It cannot be known: it is not lost yet.
      if (!this.#closed) this.#watch(1000)
    }
  }
}
