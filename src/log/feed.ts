import type { LogEntry, LogStore, MaybePromise } from './store.js'

/** One who reads a run: a connection with a place in it. */
export interface FeedReader {
  /** New events, which may or may not be the next for this reader. */
  take(entry: LogEntry, thrown: Thrown | undefined): void
  /** The run has another feed from now on. */
  move(feed: Feed): void
  /** The protocol's headers are known. */
  head(headers: Readonly<Record<string, string>>): void
  /** There may be something new in the store. */
  look(): void
  /** The producer is dead, and nothing more will come. */
  lose(): void
}

/** What `onError` threw, for the one who is called by it. */
export type Thrown = { error: unknown }

/** How many entries are read at once. */
const LIMIT = 64

/** A run in this process: whoever reads it here, and what they are told. */
export abstract class Feed {
  readonly runId: string
  /** A new list with each that comes or goes: one of them may go while it is walked. Most runs have one reader. */
  readers: readonly FeedReader[] = []
  protected readonly store: LogStore
  readonly owner: string | null

  constructor(runId: string, store: LogStore, owner: string | null) {
    this.runId = runId
    this.store = store
    this.owner = owner
  }

  add(reader: FeedReader): void {
    this.readers = [...this.readers, reader]
  }

  remove(reader: FeedReader): void {
    if (!this.readers.includes(reader)) return
    this.readers = this.readers.filter((other) => other !== reader)
    if (this.readers.length === 0) this.deserted()
  }

  /** Hands new events to all who are there. */
  protected push(entry: LogEntry, thrown?: Thrown): void {
    for (const reader of this.readers) reader.take(entry, thrown)
  }

  /** The events after a number: none, if all were read. */
  read(after: number): MaybePromise<LogEntry[]> {
    return this.store.read(this.runId, after, LIMIT)
  }

  /** A reader has read everything up to a number. */
  caughtUp(_cursor: number): void {}

  /** The last reader here is gone. */
  protected abstract deserted(): void
}
