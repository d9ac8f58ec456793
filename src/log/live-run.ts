/** Who reads a run in this process, and what do the readers get? */
import { RelayError, show } from '../errors.js'
import { isThenable, type MaybePromise } from '../promises.js'
import type { LogEntry, LogStore } from './store.js'

/** A reader of a run: a connection with a position in it. */
export interface Subscriber {
  /** New events, which may or may not be the next for this reader. */
  receive(entry: LogEntry, thrown: Thrown | undefined): void
  /** From now on another object stands for the run. */
  follow(run: LiveRun): void
  /** The protocol's headers are known. */
  setHeaders(headers: Readonly<Record<string, string>>): void
  /** There may be something new in the store. */
  checkStore(): void
  /** The run has ended, or its producer is dead: nothing comes after what is stored. */
  setEnding(ending: 'ended' | 'lost'): void
  /** This process gets nothing more of the run. Unless the run has ended, the reader must come back for the rest. */
  handOver(): void
}

/** What `onError` threw, for the caller of `relay`. */
export type Thrown = { error: unknown }

/** A run in this process, produced here or elsewhere, with its subscribers. */
export abstract class LiveRun {
  readonly runId: string
  /** Replaced whenever a reader comes or goes, since one may go while the list is walked. Most runs have one reader. */
  subscribers: readonly Subscriber[] = []
  protected readonly store: LogStore
  readonly owner: string | null

  constructor(runId: string, store: LogStore, owner: string | null) {
    this.runId = runId
    this.store = store
    this.owner = owner
  }

  subscribe(subscriber: Subscriber): void {
    this.subscribers = [...this.subscribers, subscriber]
  }

  unsubscribe(subscriber: Subscriber): void {
    if (!this.subscribers.includes(subscriber)) return
    this.subscribers = this.subscribers.filter((other) => other !== subscriber)
    if (this.subscribers.length === 0) this.onDeserted()
  }

  /** Nothing comes after what is stored. */
  protected setEnding(ending: 'ended' | 'lost'): void {
    for (const subscriber of this.subscribers) subscriber.setEnding(ending)
  }

  /** Hands new events to all subscribers. */
  protected publish(entry: LogEntry, thrown?: Thrown): void {
    for (const subscriber of this.subscribers) subscriber.receive(entry, thrown)
  }

  /** At most `limit` entries with events after the number `after`; none if all were read. */
  read(after: number, limit: number): MaybePromise<LogEntry[]> {
    const entries = this.store.read(this.runId, after, limit)
    return isThenable(entries) ? Promise.resolve(entries).then(checkEntries) : checkEntries(entries as LogEntry[])
  }

  /** Whether the run has reached the event with this number: a client may name any. `undefined` if that is unknown. */
  abstract hasReached(seq: number): MaybePromise<boolean | undefined>

  /** A subscriber has read everything up to a number. */
  onCaughtUp(_cursor: number): void {}

  /** The last subscriber here is gone. */
  protected abstract onDeserted(): void
}

/** Some databases give texts for numbers, or bytes for texts. With those the place of a reader would be a wrong one. */
function checkEntries(entries: LogEntry[]): LogEntry[] {
  if (!Array.isArray(entries)) throw refuse('', entries, 'a list of entries')
  for (const { first, last, text } of entries) {
    if (typeof first !== 'number') throw refuse('an entry whose first is ', first, 'a number')
    if (typeof last !== 'number') throw refuse('an entry whose last is ', last, 'a number')
    if (typeof text !== 'string') throw refuse('an entry whose text is ', text, 'a string')
  }
  return entries
}

function refuse(what: string, value: unknown, wanted: string): RelayError {
  return new RelayError('log-failure', `read of the store gives ${what}${show(value)}: give ${wanted}`, {
    retryable: true,
  })
}
