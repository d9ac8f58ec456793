/** What does a log need of a database? */
import type { MaybePromise } from '../promises.js'
import type { Failure, Outcome } from '../types.js'

export type { MaybePromise }

/** How a run ended, as it is stored with its last events. */
export interface LogEnd {
  outcome: Exclude<Outcome, 'disconnected' | 'stalled'>
  /** For an outcome that fails: what the client is shown, and the status if nothing was sent. */
  failure?: Failure & { status: number; retryAfter?: string }
}

/** Events of one run that follow each other: what one tick of the source made, or several. Numbers start at 1. */
export interface LogEntry {
  /** The number of its first event. */
  first: number
  /** The number of its last event. Entries are known by it. */
  last: number
  /** The frames, ids included. */
  text: string
  /** Present on the run's last entry. */
  end?: LogEnd | undefined
}

/** What a store knows of a run. */
export interface StoredRun {
  owner: string | null
  /** The protocol's headers, once the run has begun. */
  headers: Readonly<Record<string, string>>
  begun: boolean
  ended: boolean
  /**
   * How long the run counts as alive if its producer says nothing more, in milliseconds: 0 when that time is over,
   * `Infinity` where it cannot be.
   */
  leaseMs: number
}

/** Who listens to a message about a run: those who read it, or the one who produces it. */
export type Channel = 'readers' | 'producer'

/**
 * Where runs are kept: what {@link createLog} needs of a database. Ids were checked before (`[A-Za-z0-9_-]{16,128}`),
 * owners were not: they are any text. The contract tests are `logBehaviours` of `sse-relay/testing`.
 */
export interface LogStore {
  /**
   * Keeps the id for a run that will begin within `leaseMs`. `false` if the id is known, but for the same owner's run
   * that was created and has not begun in its time: that waits once more. One of two wins.
   */
  create(runId: string, run: { owner: string | null; leaseMs: number }): MaybePromise<boolean>
  /**
   * Makes the caller the producer: of a new run, or of one that was created by the same owner, is alive and has not
   * begun. `false` otherwise. One of two wins. `after` is the number its events go on from, if not 0: then the store
   * has lost those before.
   */
  begin(
    runId: string,
    run: { owner: string | null; headers: Readonly<Record<string, string>>; leaseMs: number; after?: number },
  ): MaybePromise<boolean>
  /**
   * Stores an entry after those before. An `end` ends the run. One that is stored already changes nothing; one that
   * would leave a hole is rejected; `run-not-found` where the run is not known. A shared store tells the readers:
   * `frames`, or `frames <first> <last>`, a line break and the text, which saves them a reading. An end is not told so.
   */
  append(runId: string, entry: LogEntry): MaybePromise<void>
  /** What is known of a run; `undefined` for one that is not known, or no longer. */
  get(runId: string): MaybePromise<StoredRun | undefined>
  /** At most `limit` entries in order, beginning with the first that has an event after the number `after`. */
  read(runId: string, after: number, limit: number): MaybePromise<LogEntry[]>
  /**
   * How much an entry is to hold at least, in characters up to 65 536, but for a run's last. Events wait that long with
   * the producer, which hands them to its readers at once all the same; those of a process that dies are not stored.
   * Not for a store that several processes share: there others read what is stored. By default an entry is a tick of
   * the source.
   */
  readonly entrySize?: number
  /** What a store needs besides when several processes share it. */
  readonly shared?: SharedStore
  /** Lets go of connections and timers. */
  close?(): MaybePromise<void>
}

/** The part of a store that ties processes together. */
export interface SharedStore {
  /** How long a run counts as alive after its producer was last heard, in milliseconds. */
  readonly leaseMs: number
  /** The producer is alive. Tells whether someone asked the run to stop, and whether the store lost it. */
  renew(runId: string): MaybePromise<'running' | 'stopped' | 'unknown'>
  /** Notes that the run is to stop, for the next `renew`. */
  stop(runId: string): MaybePromise<void>
  /** Tells all processes that listen. A message may get lost: what matters is stored as well. */
  publish(runId: string, channel: Channel, message: string): MaybePromise<void>
  /** Listens; resolves when it does, to a function that ends it. */
  subscribe(runId: string, channel: Channel, listener: (message: string) => void): MaybePromise<() => void>
}
