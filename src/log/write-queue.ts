/** How do a run's events get into the store, also when that is slow or fails? */
import { flatten } from '../encode.js'
import { isRelayError, RelayError } from '../errors.js'
import { idPrefix, numberFrames } from '../event-id.js'
import { isThenable, settle } from '../promises.js'
import { unref } from '../tick.js'
import type { LogEnd, LogEntry, LogStore, ProducerNews, RunStart } from './store.js'

/** The size of an entry of a shared store, in characters, and how long it is filled at most, in milliseconds. */
const ENTRY_SIZE = 16_384
const ENTRY_MS = 500
/**
 * All runs store what they hold at the beats of one clock, this many milliseconds apart: what several send at one beat
 * is one system call here, and wakes the store's server once. A run's beat depends on when it began to hold text, so
 * not all runs have the same.
 */
const BEAT_MS = 50
/**
 * How much may wait for the store, in characters, besides one entry of any size. Beyond that a store that answers slows
 * the source; of what waits for one that does not, the oldest is dropped.
 */
const MAX_PENDING = 1_048_576
/** A store that confirms nothing for this long, while too much waits for it, counts as one that does not answer. */
const STORE_SILENT_MS = 2000
/** The wait before storing is tried again doubles from the first to the last, in milliseconds. */
const RETRY_MS = 20
const MAX_RETRY_MS = 5000
/** For how long storing is tried again once the run has ended, while the store takes nothing, in milliseconds. */
const GIVE_UP_MS = 60_000
/** How long a question to the store waits, in milliseconds, for an entry to be stored, which answers it. */
const ASK_MS = 1000
/**
 * How long stored entries are kept, in milliseconds, in case the store goes back; how much of a run, and of all runs.
 */
const KEEP_MS = 5000
const MAX_KEPT = 65_536
const MAX_KEPT_OF_ALL = 33_554_432

/** What the queues of one log have in common. */
export interface LogState {
  /** How much all of them keep of what they stored, in characters. */
  keptSize: number
  /** The log is closed: what the store does not take now is not offered again. */
  isClosed: boolean
}

/** The owner of a queue: it fills the queue, and is called back. */
export interface QueueOwner {
  /** The store has confirmed a call that was made at `sentAt`: the run was not lost then. */
  onHeard(sentAt: number): void
  /** There is room for more. */
  onRoom(): void
  onNews(news: ProducerNews): void
  onError(error: unknown): void
  /** The run was declared lost: nothing more of it is stored. */
  onLost(): void
  /** The end is stored, or will not be; called once. */
  onStored(isStored: boolean): void
}

/**
 * opening  the store was asked to take the run; new events wait
 * open     new events are stored as they come
 * failing  something was not stored: what is pending is tried again, one after the other (open ⇄ failing)
 * keeping  the end is stored; what was stored last is kept a while, and offered again if the store has lost it
 * over     nothing more is stored: all is, the store does not take the run, or the run was declared lost
 */
export class WriteQueue {
  #state: 'opening' | 'open' | 'failing' | 'keeping' | 'over' = 'opening'
  /** What is still too little for an entry. For a shared store without ids. */
  #held = ''
  #heldFirst = 1
  #last = 0
  /** What the store has not confirmed, in order. */
  #pending: LogEntry[] = []
  #pendingSize = 0
  readonly #runId: string
  readonly #store: LogStore
  readonly #start: RunStart
  readonly #owner: QueueOwner
  readonly #entrySize: number
  readonly #log: LogState
  /** What was confirmed lately, in order. */
  #recent: { entry: LogEntry; at: number }[] = []
  #recentSize = 0
  /** When the last call that the store has confirmed was made, and the last call at all. */
  #heardAt = 0
  #sentAt = 0
  #askedAt = 0
  /** When the end that the store has confirmed was sent, and until when it is looked after. */
  #endedAt = 0
  #keepUntil = 0
  #isBegun = false
  #hasEnd = false
  #giveUpAt = 0
  #isDraining = false
  #tries = 0
  #holdTimer: ReturnType<typeof setTimeout> | undefined
  #retryTimer: ReturnType<typeof setTimeout> | undefined
  #silenceTimer: ReturnType<typeof setTimeout> | undefined

  constructor(runId: string, store: LogStore, start: RunStart, owner: QueueOwner, log: LogState) {
    this.#runId = runId
    this.#store = store
    this.#start = start
    this.#owner = owner
    this.#log = log
    this.#entrySize = store.entrySize ?? (store.shared ? ENTRY_SIZE : 0)
  }

  /** Whether the source must wait: too much is pending, for a store that answers. */
  get isFull(): boolean {
    return this.#pendingSize > MAX_PENDING && (this.#state === 'open' || this.#state === 'opening')
  }

  /** Whether messages about the run reach anybody: not while the store is out of reach. */
  get isOpen(): boolean {
    return this.#state === 'open'
  }

  /** Whether the store gets nothing more of the run. */
  get isOver(): boolean {
    return this.#state === 'over'
  }

  /** Whether others may declare the run lost. */
  get canBeLost(): boolean {
    return this.#store.shared !== undefined && this.#isBegun && this.#state !== 'over'
  }

  /** Whether nobody can have declared the run lost: the lease that the store has confirmed goes on. */
  get isSure(): boolean {
    return !this.canBeLost || performance.now() - this.#heardAt < (this.#store.shared?.leaseMs ?? 0) * 0.8
  }

  /** The store has taken the run, in a call that was made at `sentAt`. */
  opened(sentAt: number): void {
    this.#isBegun = true
    this.#heardAt = Math.max(this.#heardAt, sentAt)
    if (this.#state !== 'opening') return
    this.#state = this.#pending.length === 0 ? 'open' : 'failing'
    if (this.#state === 'failing') this.#drain()
  }

  /** The store has not answered whether it takes the run: it is asked again. */
  rejected(error: unknown): void {
    if (this.#state !== 'opening') return
    this.#state = 'failing'
    this.#fail(error)
  }

  /** Takes the next events. What makes an entry is stored; the first and the last events are stored at once. */
  add({ first, last, text, frames, end }: LogEntry): void {
    this.#last = last
    if (end) {
      this.#hasEnd = true
      this.#giveUpAt = performance.now() + GIVE_UP_MS
    }
    if (this.#state === 'over') {
      this.#held = ''
      this.#heldFirst = last + 1
      if (end) this.#finish()
      return
    }
    this.#held += frames ?? text
    const { shared } = this.#store
    if (end || this.#held.length >= this.#entrySize || (shared && first === 1)) this.flush(end)
    else if (shared && this.#holdTimer === undefined) {
      const now = performance.now()
      const beat = Math.round((now + ENTRY_MS) / BEAT_MS) * BEAT_MS
      this.#holdTimer = setTimeout(onHoldTimer, beat - now, this)
    }
  }

  /** Stores what is held. */
  flush(end?: LogEnd): void {
    clearTimeout(this.#holdTimer)
    this.#holdTimer = undefined
    if (this.#held === '' || this.#state === 'over') return
    // The text is kept for seconds, and many runs have one.
    flatten(this.#held)
    const entry = this.#entryOf(end)
    this.#held = ''
    this.#heldFirst = this.#last + 1
    if (this.#state === 'open') this.#append(entry)
    else this.#keep(entry)
  }

  /** What is held, as an entry. Its ids are put back only if somebody reads `text`, which is rare. */
  #entryOf(end?: LogEnd): LogEntry {
    const [first, last, held] = [this.#heldFirst, this.#last, this.#held]
    if (!this.#store.shared) return { first, last, text: held, end }
    const prefix = idPrefix(this.#runId)
    return {
      first,
      last,
      get text() {
        return numberFrames(held, last - first + 1, prefix, first)
      },
      frames: held,
      end,
    }
  }

  /** The entries after the number `seq`, up to `upTo`, that are not stored yet. Empty if the store has the next one. */
  entriesAfter(seq: number, upTo: number): LogEntry[] {
    const entries: LogEntry[] = []
    let cursor = seq
    for (const entry of this.#held === '' ? this.#pending : [...this.#pending, this.#entryOf()]) {
      if (entry.last <= cursor) continue
      // The events between were confirmed out of turn, and are stored.
      if (entry.first > cursor + 1 || entry.last > upTo) break
      entries.push(entry)
      cursor = entry.last
    }
    return entries
  }

  /** Says that the producer is alive, unless that was just said. */
  renew(): void {
    const { shared } = this.#store
    if (shared && performance.now() - this.#sentAt > shared.leaseMs / 4) this.ask()
  }

  /** Asks the store whether the run is still this producer's. */
  ask(): void {
    this.#askedAt = performance.now()
    if (this.#state === 'open' && this.#held === '') this.#renew().then(undefined, (error) => this.#fail(error))
    else this.store()
  }

  /** Stores what is not stored yet, now. */
  store(): void {
    if (this.#state === 'open') this.flush()
    else if (this.#state === 'failing') this.#retryNow()
  }

  /** Whether none of the events up to this number waits for the store. */
  hasStored(seq: number): boolean {
    return (this.#pending[0]?.first ?? this.#heldFirst) > seq
  }

  /** Like `ask`, unless something is stored within a second. */
  askSoon(): void {
    const from = performance.now()
    const timer = setTimeout(() => {
      if (this.#sentAt < from && !this.#hasEnd) this.ask()
    }, ASK_MS)
    unref(timer)
  }

  /** Tells the store for how long the run's `onEnd` may still take, 0 when it has settled. */
  settle(settleMs: number): void {
    if (this.#state !== 'keeping') return
    try {
      Promise.resolve(this.#store.shared?.renew(this.#runId, settleMs)).catch(() => {})
    } catch {
      // The store ends that time itself at the latest.
    }
  }

  /** Stores nothing more. */
  giveUp(): void {
    if (this.#state === 'over') return
    const isTold = this.#state === 'keeping'
    this.#state = 'over'
    this.#clear()
    this.#pending = []
    this.#pendingSize = 0
    this.#held = ''
    this.#heldFirst = this.#last + 1
    this.#forget(this.#recent.length)
    this.#owner.onRoom()
    if (this.#hasEnd && !isTold) this.#finish()
  }

  #append(entry: LogEntry): void {
    try {
      const sentAt = performance.now()
      this.#sentAt = sentAt
      const stored = this.#store.append(this.#runId, entry)
      if (!(isThenable(stored) || this.#store.shared)) {
        if (entry.end) this.#finishIfStored()
        return
      }
      // Kept until it is confirmed. What a shared store answers is handled after the current task.
      this.#keep(entry)
      Promise.resolve(stored)
        .then((news) => this.#confirm(entry, sentAt, news))
        .then(undefined, (error) => this.#fail(error))
    } catch (error) {
      this.#keep(entry)
      this.#fail(error)
    }
  }

  #keep(entry: LogEntry): void {
    this.#pending.push(entry)
    this.#pendingSize += sizeOf(entry)
    if (this.#pendingSize <= MAX_PENDING) return
    if (this.#state === 'failing') this.#dropOldest()
    else this.#watchStore()
  }

  /** Too much waits. A store that confirms something meanwhile is slow; one that does not is out of reach. */
  #watchStore(): void {
    this.#silenceTimer ??= setTimeout(() => {
      this.#silenceTimer = undefined
      if (!this.isFull) return
      const message = `The store has confirmed nothing of the run ${this.#runId} for ${STORE_SILENT_MS} ms`
      this.#fail(new RelayError('log-failure', message, { retryable: true }))
      this.#dropOldest()
      this.#owner.onRoom()
    }, STORE_SILENT_MS)
  }

  /** The run goes on in the log after a gap: a reader who asks for events in the gap gets `cursor-gone`. */
  #dropOldest(): void {
    while (this.#pendingSize > MAX_PENDING && this.#pending.length > 1) {
      this.#pendingSize -= sizeOf(this.#pending.shift() as LogEntry)
    }
  }

  #confirm(entry: LogEntry, sentAt: number, news: unknown): void {
    const index = this.#pending.indexOf(entry)
    if (index !== -1) this.#pendingSize -= sizeOf(this.#pending.splice(index, 1)[0] as LogEntry)
    if (this.#state === 'over') return
    if (this.#hasEnd && this.#state !== 'keeping') this.#giveUpAt = performance.now() + GIVE_UP_MS
    clearTimeout(this.#silenceTimer)
    this.#silenceTimer = undefined
    if (this.#pendingSize > MAX_PENDING) this.#watchStore()
    // The end is offered again while it is kept.
    if (this.#store.shared && this.#recent.at(-1)?.entry !== entry) this.#remember(entry, sentAt)
    this.#hear(sentAt, news)
    if (this.#pendingSize <= MAX_PENDING / 2) this.#owner.onRoom()
    this.#finishIfStored()
  }

  #hear(sentAt: number, news: unknown): void {
    // This comes before anything that waits for the store's answer goes out.
    if (news === 'lost') {
      this.#lose()
      return
    }
    this.#heardAt = Math.max(this.#heardAt, sentAt)
    this.#owner.onHeard(sentAt)
    if (news === 'read' || news === 'stopped') this.#owner.onNews(news)
  }

  /** Keeps what was stored lately. Older entries go when something is confirmed, so not while the store is away. */
  #remember(entry: LogEntry | undefined, at: number): void {
    if (entry) {
      const isLast = (this.#recent.at(-1)?.entry.first ?? 0) <= entry.first
      this.#recent.push({ entry, at })
      // The store may answer a later call first.
      if (!isLast) this.#recent.sort((one, other) => one.entry.first - other.entry.first)
      this.#recentSize += sizeOf(entry)
      this.#log.keptSize += sizeOf(entry)
    }
    let old = 0
    let size = this.#recentSize
    for (const { entry, at: then } of this.#recent) {
      if (at - then <= KEEP_MS && size <= MAX_KEPT && this.#log.keptSize - (this.#recentSize - size) <= MAX_KEPT_OF_ALL)
        break
      size -= sizeOf(entry)
      old++
    }
    this.#forget(old)
  }

  #forget(count: number): void {
    for (const { entry } of this.#recent.splice(0, count)) {
      this.#recentSize -= sizeOf(entry)
      this.#log.keptSize -= sizeOf(entry)
    }
  }

  /** Something could not be stored, or asked. */
  #fail(error: unknown): void {
    if (this.#state === 'over') return
    if (isRelayError(error) && error.code === 'producer-lost') {
      this.#lose()
      return
    }
    if (this.#state !== 'keeping') this.#owner.onError(error)
    if (this.#state === 'open' || this.#state === 'opening') {
      this.#state = 'failing'
      this.#owner.onRoom()
    }
    if (this.#hasEnd && performance.now() > this.#giveUpAt) this.giveUp()
    else if (this.#retryTimer === undefined && !this.#isDraining) this.#retryLater()
  }

  #retryLater(): void {
    const { shared } = this.#store
    const most = shared ? Math.min(MAX_RETRY_MS, shared.leaseMs / 4) : MAX_RETRY_MS
    this.#later(Math.min(most, RETRY_MS * 2 ** this.#tries++), () => this.#drain())
  }

  #retryNow(): void {
    clearTimeout(this.#retryTimer)
    this.#retryTimer = undefined
    this.#drain()
  }

  /** Stores what is pending, one after the other; what comes meanwhile waits in line. */
  async #drain(): Promise<void> {
    if (this.#isDraining) return
    this.#isDraining = true
    let failure: { error: unknown } | undefined
    try {
      // One more try for each way in which a store can be older than it was.
      for (let repairs = 0; ; repairs++) {
        try {
          await this.#drainOnce()
          break
        } catch (error) {
          if (repairs === 3 || !(await this.#repair(error))) throw error
        }
      }
      this.#tries = 0
      if (this.#state === 'failing') this.#state = 'open'
    } catch (error) {
      failure = { error }
    }
    this.#isDraining = false
    if (failure) this.#fail(failure.error)
    else if (this.#state === 'open') {
      // What came in the meantime.
      if (this.#pending.length > 0) this.#drain()
      else if (this.#askedAt > this.#heardAt) this.ask()
    }
    this.#finishIfStored()
  }

  async #drainOnce(): Promise<void> {
    if (!this.#isBegun && this.#state !== 'keeping') await this.#begin()
    if (this.#pending.length === 0 && this.#state !== 'over') await this.#renew()
    for (let [entry] = this.#pending; entry; [entry] = this.#pending) {
      const sentAt = performance.now()
      this.#sentAt = sentAt
      this.#confirm(entry, sentAt, await this.#store.append(this.#runId, entry))
    }
  }

  async #renew(): Promise<void> {
    const { shared } = this.#store
    if (!shared) return
    const sentAt = performance.now()
    this.#sentAt = sentAt
    const news = await shared.renew(this.#runId, shared.leaseMs)
    if (news === 'unknown') throw new RelayError('run-not-found', `The store has lost the run ${this.#runId}`)
    this.#remember(undefined, sentAt)
    this.#hear(sentAt, news)
  }

  /** Begins the run, or begins it again if the store has lost it: the store then gets what is still here. */
  async #begin(): Promise<void> {
    const after = (this.#pending[0]?.first ?? this.#heldFirst) - 1
    const begun = await this.#store.begin(this.#runId, { ...this.#start, ...(after > 0 && { after }) })
    if (begun) this.#isBegun = true
    if (begun === 'stopped') this.#owner.onNews('stopped')
    if (begun) return
    // The run had begun without an answer, and was then declared lost; or the id is another run's.
    const run = await this.#store.get(this.#runId)
    if (run?.lost && run.owner === this.#start.owner) this.#lose()
    else this.giveUp()
  }

  /** Restores what is missing in a store that is older than it was. `false` if something else is wrong. */
  async #repair(error: unknown): Promise<boolean> {
    const code = isRelayError(error) ? error.code : undefined
    if (this.#state === 'over' || (code !== 'run-not-found' && code !== 'cursor-gone')) return false
    const isKeeping = this.#state === 'keeping'
    if (!isKeeping) this.#owner.onError(error)
    // A run that the store dropped when its time was over is not lost.
    if (isKeeping && performance.now() - this.#endedAt >= (this.#store.shared?.ttlMs ?? Number.POSITIVE_INFINITY)) {
      this.giveUp()
      return false
    }
    const recent = this.#recent.map(({ entry }) => entry)
    // What is confirmed again is kept again.
    this.#forget(recent.length)
    this.#pending = [...recent, ...this.#pending].sort((one, other) => one.first - other.first)
    for (const entry of recent) this.#pendingSize += sizeOf(entry)
    // What the store has of that changes nothing. If that is not enough, the run goes on after a gap.
    if (code === 'run-not-found' || recent.length === 0) await this.#begin()
    return true
  }

  #lose(): void {
    if (this.#state === 'over') return
    this.#owner.onLost()
    this.giveUp()
  }

  #finishIfStored(): void {
    if (!this.#hasEnd || this.#held !== '' || this.#pending.length > 0 || this.#isDraining) return
    if (this.#state === 'open' || this.#state === 'failing') this.#finish()
    else if (this.#state === 'keeping' && this.#retryTimer === undefined) this.#offerLater()
  }

  #finish(): void {
    this.#clear()
    const isStored = this.#state !== 'over'
    this.#state = isStored && this.#recent.length > 0 ? 'keeping' : 'over'
    this.#tries = 0
    this.#endedAt = this.#sentAt
    this.#keepUntil = performance.now() + KEEP_MS
    this.#giveUpAt = this.#keepUntil + GIVE_UP_MS
    if (this.#state === 'keeping') this.#offerLater()
    this.#owner.onStored(isStored)
  }

  /** Looks whether the store still has the end, before anybody can declare the run lost. */
  #offerLater(): void {
    const end = this.#recent.at(-1)?.entry
    const { shared } = this.#store
    const left = this.#keepUntil - performance.now()
    if (!end || !shared || left <= 0) {
      this.giveUp()
      return
    }
    const look = () => {
      const offer = () => {
        this.#pending = [end]
        this.#retryNow()
      }
      settle(
        () => this.#store.get(this.#runId),
        (run) => {
          if (this.#state !== 'keeping') return
          if (run?.ended) this.#offerLater()
          else offer()
        },
        offer,
      )
    }
    this.#later(Math.min(left, shared.leaseMs * 0.8), look)
  }

  #later(ms: number, task: () => void): void {
    this.#retryTimer = setTimeout(
      () => {
        this.#retryTimer = undefined
        if (this.#log.isClosed) this.giveUp()
        else task()
      },
      this.#log.isClosed ? 0 : ms,
    )
    if (this.#state === 'keeping') unref(this.#retryTimer)
  }

  #clear(): void {
    clearTimeout(this.#holdTimer)
    clearTimeout(this.#retryTimer)
    clearTimeout(this.#silenceTimer)
    this.#holdTimer = undefined
    this.#retryTimer = undefined
    this.#silenceTimer = undefined
  }
}

/** The size of an entry, in characters. */
function sizeOf(entry: LogEntry): number {
  return (entry.frames ?? entry.text).length
}

function onHoldTimer(queue: WriteQueue): void {
  queue.flush()
}
