/** How does a run that another process produces, or that has not begun, reach its readers in this process? */
import { ignore, settle } from '../promises.js'
import { LiveRun } from './live-run.js'
import { type Inbox, openMessage, warnOfSilence } from './pubsub-batch.js'
import type { LogEntry, LogStore, SharedStore, StoredRun } from './store.js'

/** How many entries are read at once. */
const LIMIT = 16
/** How long after the end of a lease it is looked at, in milliseconds. */
const GRACE_MS = 50
/** How often the store is read while no messages tell what is new, in milliseconds. */
const POLL_MS = 250
/** After how long a store that did not answer, or that holds more to read, is looked at again, in milliseconds. */
const RETRY_MS = 1000
/** How long and how much of what messages brought is kept, in milliseconds and characters: by then it is stored. */
const RECEIVED_MS = 750
const MAX_RECEIVED = 65_536
/** An answer that comes this many milliseconds after a question answers that question, and not an earlier one. */
const ANSWER_MS = 750

/**
 * waiting    the run has not begun: its headers are not known
 * following  the run goes on: the store is read once for all readers, when a message or the watch says so.
 *            What the inbox brings is handed out without reading the store, if it is next after the last known event
 * polling    the same, but no messages tell what is new: the store is read every 250 ms (following ⇄ polling)
 * closed     nobody reads here any more, or the log is closed
 *
 * The watch looks several times a lease whether the producer lives, and for what lost messages would have brought.
 */
export class RemoteRun extends LiveRun {
  #state: 'waiting' | 'following' | 'polling' | 'closed'
  readonly #onEmpty: () => void
  readonly #inbox: Inbox | undefined
  #stopListening: (() => void) | undefined
  #timer: ReturnType<typeof setTimeout> | undefined
  /** The number of the last event that was handed out; unknown until somebody has read all there is. */
  #last: number | undefined
  /**
   * One reader has found less than another, or than a message brought. A reader that is behind looks again at once, and
   * with the next news: what it lacks is stored by then.
   */
  #readersDiffer = false
  #isReading = false
  /**
   * What messages brought lately, in order; the newest is not stored yet. The older half goes when the newer is old.
   */
  #told: LogEntry[] = []
  #toldBefore: LogEntry[] = []
  #toldSize = 0
  #toldSince = 0
  /** Something came while the store was read. */
  #isBehind = false
  #canListen = true
  /** How long until the next look while no message has come. A producer that sends messages answers at once. */
  #patienceMs = POLL_MS
  #isTold = false
  /** Since when the store has always said that the run is unknown or, without `watch`, that its producer is silent. */
  #silentSince: number | undefined
  #lookedAt = 0
  #listenedAt = 0
  /** When the producer was last heard, by a message or by its lease. */
  #heardAt = 0
  /** When the producer last said that everything it had handed out is stored. */
  #answeredAt = 0
  /** Until when a run that has not begun may begin. */
  readonly #waitsUntil: number
  /** Callbacks for the next such answer, or the next look. */
  #wakes: (() => void)[] = []

  constructor(runId: string, store: LogStore, run: StoredRun, inbox: Inbox | undefined, onEmpty: () => void) {
    super(runId, store, run.owner)
    this.#onEmpty = onEmpty
    this.#inbox = inbox
    this.#state = run.begun ? 'following' : 'waiting'
    this.#waitsUntil = performance.now() + run.leaseMs
    if (run.ended || run.lost) return
    const { shared } = store
    if (!shared) {
      this.#watchAgain(run.leaseMs + GRACE_MS)
      return
    }
    this.#listen(shared)
  }

  override onCaughtUp(cursor: number): void {
    if (this.#last === undefined) this.#last = cursor
    if (cursor === this.#last) return
    const isKnown = this.#readersDiffer && cursor < this.#last
    this.#last = Math.max(this.#last, cursor)
    this.#readersDiffer = true
    if (!isKnown) this.#checkAll()
  }

  /** All readers look at the store: one that is behind reads on, one that has everything finds nothing. */
  #checkAll(): void {
    for (const subscriber of this.subscribers) subscriber.checkStore()
  }

  override async hasReached(seq: number): Promise<boolean | undefined> {
    const askedAt = performance.now()
    const { leaseMs = 0 } = this.store.shared ?? {}
    for (let isDue = true; ; ) {
      // Everything handed out before the question is stored if the producer said so, or was heard a lease later.
      const isStored = this.#answeredAt > askedAt + ANSWER_MS || this.#heardAt > askedAt + leaseMs
      // The producer stores what it holds, and answers with a message.
      if (isDue) this.#announce()
      const [entry] = await super.read(seq - 1, 1)
      if (entry) return true
      if (this.#isClosed()) return undefined
      const run = await this.store.get(this.runId)
      if (run && (run.ended || run.lost)) {
        this.setEnding(run.lost ? 'lost' : 'ended')
        return (await super.read(seq - 1, 1)).length > 0 ? true : run.lost ? undefined : false
      }
      if (isStored || !this.store.shared || (run && !run.begun)) return false
      isDue = await new Promise<boolean>((resolve) => {
        const timer = setTimeout(() => resolve(true), POLL_MS)
        this.#wakes.push(() => {
          clearTimeout(timer)
          resolve(false)
        })
      })
      if (run) this.#hear(run)
    }
  }

  /** Stops listening. Readers that are left get nothing more from here. */
  close(): void {
    this.#state = 'closed'
    clearTimeout(this.#timer)
    this.#stopListening?.()
    this.#stopListening = undefined
    this.#wake()
  }

  protected override onDeserted(): void {
    this.close()
    this.#onEmpty()
  }

  #onMessage(message: string): void {
    if (this.#isClosed()) return
    if (message === 'who') {
      // The run that was waited for has begun.
      if (this.#state === 'waiting') this.#readStore()
      else this.#announce()
      return
    }
    if (message === 'reconnected') {
      // The first connection is not a reconnection.
      if (!this.#stopListening) return
      this.#announce()
      this.#readStore()
    }
    if (message === 'frames') {
      this.#onSign()
      this.#answeredAt = this.#heardAt
      this.#wake()
      this.#readStore()
    } else openMessage(message, (_, entry) => this.receive(entry))
  }

  /** New events, sent by their producer. */
  receive(entry: LogEntry): void {
    if (this.#isClosed()) return
    this.#onSign()
    this.#remember(entry)
    if (!this.#isReading && entry.first - 1 === this.#last) this.#handOn(entry)
    // An entry that was read from the store meanwhile comes once more: it is ignored.
    else if (this.#last === undefined || entry.last > this.#last) this.#fillGap(entry.first)
  }

  /** The entries of the store, and after them those that messages brought. */
  override async read(after: number, limit: number): Promise<LogEntry[]> {
    const entries = await super.read(after, limit)
    if (entries.length >= limit) return entries
    let cursor = entries.at(-1)?.last ?? after
    const all = [...entries]
    for (const entry of [...this.#toldBefore, ...this.#told]) {
      if (entry.last <= cursor) continue
      if (entry.first > cursor + 1 || all.length === limit) break
      all.push(entry)
      cursor = entry.last
    }
    return all
  }

  #remember(entry: LogEntry): void {
    if (this.#heardAt - this.#toldSince > RECEIVED_MS || this.#toldSize > MAX_RECEIVED) {
      this.#toldBefore = this.#told
      this.#told = []
      this.#toldSize = 0
      this.#toldSince = this.#heardAt
    }
    this.#told.push(entry)
    this.#toldSize += entry.text.length
  }

  /** Events before a message's own did not come here. If they are not stored either, the producer still holds them. */
  async #fillGap(first: number): Promise<void> {
    if (this.#isReading) {
      this.#isBehind = true
      return
    }
    await this.#readStore()
    if (!this.#isClosed() && this.#last !== undefined && this.#last < first - 1) this.#announce()
  }

  #handOn(entry: LogEntry): void {
    this.#last = Math.max(this.#last ?? 0, entry.last)
    this.publish(entry)
  }

  /** The producer was heard, by a message. */
  #onSign(): void {
    if (this.#state === 'polling' && this.#canListen) {
      this.#state = 'following'
      this.#isTold = false
    }
    // A producer that is not heard is looked at soon; for one that is heard there is time.
    if (this.#state === 'following' && !this.#isTold) this.#watchAgain((this.store.shared as SharedStore).leaseMs / 3)
    this.#heardAt = performance.now()
    this.#isTold = true
  }

  #listen(shared: SharedStore): void {
    this.#canListen = true
    this.#listenedAt = performance.now()
    // For the time until it listens, which may be never.
    this.#watchAgain(shared.leaseMs / 3)
    settle(
      async () => {
        const listening = shared.subscribe(this.runId, 'readers', (message) => this.#onMessage(message))
        const [stopListening] = await Promise.all([listening, this.#inbox?.open()])
        return stopListening
      },
      (stopListening) => {
        if (this.#isClosed()) stopListening()
        else {
          this.#stopListening = stopListening
          this.#join(shared)
        }
      },
      (error) => this.#cannotTell(error),
    )
  }

  /** It listens: the producer answers when all that came before is stored. If nobody does, the store is read. */
  #join(shared: SharedStore): void {
    if (this.#state === 'waiting') {
      this.#look()
      return
    }
    this.#announce()
    this.#watchAgain(Math.min(this.#patienceMs, shared.leaseMs / 3))
  }

  /** Tells the producer that somebody reads here, and the address of this process. */
  #announce(): void {
    const { shared } = this.store
    if (!shared || this.#state === 'waiting') return
    settle(
      () => shared.publish(this.runId, 'producer', `here ${this.#inbox?.address ?? ''}`),
      ignore,
      (error) => this.#cannotTell(error),
    )
  }

  /** There are no messages, for good or for now, so the store is looked at. */
  #cannotTell(error: unknown): void {
    if (this.#isClosed() || !this.#canListen) return
    this.#canListen = false
    warnOfSilence(error)
    this.#look()
  }

  /** Reads what is new, once for all readers. `true` if they have all there is. */
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
        if (this.#readersDiffer || this.#last === undefined) {
          this.#readersDiffer = false
          this.#checkAll()
        }
        if (this.#last === undefined) break
        const entries: LogEntry[] = await this.read(this.#last, LIMIT)
        for (const entry of entries) this.#handOn(entry)
        isAll = entries.length < LIMIT
      } while ((this.#isBehind || !isAll) && !this.#isClosed())
    } catch {
      // The next message or the watch tries again.
    }
    this.#isReading = false
    return isAll
  }

  async #lookForBeginning(): Promise<void> {
    const run = await this.store.get(this.runId)
    if (run?.begun) this.#begin(run)
  }

  #begin({ headers }: StoredRun): void {
    if (this.#state !== 'waiting') return
    this.#state = 'following'
    for (const subscriber of this.subscribers) subscriber.setHeaders(headers)
    this.#announce()
  }

  #isClosed(): boolean {
    return this.#state === 'closed'
  }

  #wake(): void {
    if (this.#wakes.length === 0) return
    for (const wake of this.#wakes.splice(0)) wake()
  }

  #watchAgain(ms: number): void {
    clearTimeout(this.#timer)
    if (ms === Number.POSITIVE_INFINITY || this.#isClosed()) return
    this.#timer = setTimeout(() => this.#look(), Math.min(ms, 0x7fffffff))
  }

  /** Looks whether the producer lives, and for what lost messages would have brought. */
  async #look(): Promise<void> {
    clearTimeout(this.#timer)
    const { shared } = this.store
    try {
      if (this.#state === 'polling' && shared && performance.now() - this.#lookedAt < shared.leaseMs / 4) {
        await this.#readStore()
        this.#watchAgain(POLL_MS)
        return
      }
      const run = await (shared?.watch ? shared.watch(this.runId) : this.store.get(this.runId))
      if (this.#isClosed()) return
      if (run) this.#hear(run)
      else await this.#createAgain()
      if (run?.begun) this.#begin(run)
      const before = this.#last
      const isAll = await this.#readStore()
      if (this.#isClosed()) return
      if (this.#canListen) {
        // No message has brought what was found here.
        if (isAll && before !== undefined && this.#last !== before && shared) this.#state = 'polling'
        this.#announce()
      } else {
        if (this.#state === 'following') this.#state = 'polling'
        const isDue = shared && performance.now() - this.#listenedAt > shared.leaseMs / 3
        if (isDue && !this.#stopListening) this.#listen(shared)
      }
      this.#decide(run, isAll)
    } catch {
      // The store does not answer: that is not silence of the producer.
      this.#silentSince = undefined
      this.#watchAgain(RETRY_MS)
    }
    this.#wake()
  }

  /** A store that is older than it was may not know that a run was created, whose producer may still come. */
  async #createAgain(): Promise<void> {
    const leaseMs = this.#waitsUntil - performance.now()
    if (this.#state === 'waiting' && leaseMs > 0) await this.store.create(this.runId, { owner: this.owner, leaseMs })
  }

  #decide(run: StoredRun | undefined, isAll: boolean): void {
    const leaseMs = this.store.shared?.leaseMs
    const isSilent = !run || (run.begun && run.leaseMs === 0)
    const now = performance.now()
    // A look that comes late says nothing about the time between.
    const isLate = leaseMs !== undefined && now - this.#lookedAt > leaseMs / 2
    this.#lookedAt = now
    if (!isSilent) this.#silentSince = undefined
    else if (this.#silentSince === undefined || isLate) this.#silentSince = now
    if (run?.lost) this.setEnding('lost')
    // The store may have dropped the run's events, and with them its end.
    else if (run?.ended) this.setEnding('ended')
    // The run did not begin in its time, or its store is not shared, so that no other process can say.
    else if ((run && !run.begun && run.leaseMs === 0) || (isSilent && leaseMs === undefined)) this.setEnding('lost')
    else if (isSilent && this.#isSilentFor(now, leaseMs as number) && !(run && this.store.shared?.watch))
      this.setEnding('lost')
    else if (isSilent) {
      // Looks often, so that one late look does little, and once more when the time is over.
      const leftMs = (this.#silentSince as number) + (leaseMs as number) - now
      this.#watchAgain(leftMs > 0 ? Math.min((leaseMs as number) / 6, leftMs + GRACE_MS) : (leaseMs as number) / 6)
    } else if (this.#state === 'polling') this.#watchAgain(POLL_MS)
    // A run that has not begun may begin, and its producer die, long before its time to begin is over.
    else if (run?.begun) {
      const ms = isAll ? this.#untilNextLook(leaseMs ?? run.leaseMs) : RETRY_MS
      // When the lease is over, that is noted as a suspicion at once.
      this.#watchAgain(Math.min(ms, run.leaseMs + GRACE_MS))
    } else this.#watchAgain(Math.min((run?.leaseMs ?? 0) + GRACE_MS, (leaseMs ?? Number.POSITIVE_INFINITY) / 3))
  }

  #untilNextLook(leaseMs: number): number {
    if (!this.#isTold) this.#patienceMs *= 2
    return this.#isTold ? leaseMs / 3 : Math.min(this.#patienceMs, leaseMs / 3)
  }

  #isSilentFor(now: number, ms: number): boolean {
    return this.#silentSince !== undefined && now - this.#silentSince >= ms
  }

  /** The producer was heard when its lease began. */
  #hear({ begun, leaseMs }: StoredRun): void {
    const whole = this.store.shared?.leaseMs
    if (!begun || whole === undefined || leaseMs === 0) return
    this.#heardAt = Math.max(this.#heardAt, performance.now() - Math.max(0, whole - leaseMs))
  }
}
