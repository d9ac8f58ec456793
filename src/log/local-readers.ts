/** Who reads a run in this process, and what are they told? */
import type { MaybePromise } from '../promises.js'
import type { LogEntry, LogStore } from './store.js'

/** One who reads a run: a connection with a place in it. */
export interface Subscriber {
  /** New events, which may or may not be the next for this reader. */
  receive(entry: LogEntry, thrown: Thrown | undefined): void
  /** Another object stands for the run from now on. */
  follow(run: LiveRun): void
  /** The protocol's headers are known. */
  setHeaders(headers: Readonly<Record<string, string>>): void
  /** There may be something new in the store. */
  checkStore(): void
  /** The run has ended, or its producer is dead: nothing comes after what is stored. */
  setEnding(ending: 'ended' | 'lost'): void
  /** The run cannot be told here to its end, if it has not come to that: the reader is to come back for the rest. */
  handOver(): void
}

/** What `onError` threw, for the one who is called by it. */
export type Thrown = { error: unknown }

/** A run in this process, produced here or elsewhere, with its subscribers. */
export abstract class LiveRun {
  readonly runId: string
  /** A new list with each that comes or goes: one of them may go while it is walked. Most runs have one reader. */
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

  /** At most so many entries with events after a number: none, if all were read. */
  read(after: number, limit: number): MaybePromise<LogEntry[]> {
    return this.store.read(this.runId, after, limit)
  }

  /** Whether the run has come to the event with a number: a client may say any. `undefined` if that cannot be known. */
  abstract hasReached(seq: number): MaybePromise<boolean | undefined>

  /** A subscriber has read everything up to a number. */
  onCaughtUp(_cursor: number): void {}

  /** The last subscriber here is gone. */
  protected abstract onDeserted(): void
}
