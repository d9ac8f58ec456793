/** What does a log need of a database? */
import type { MaybePromise } from '../promises.js'
import type { Failure, Outcome } from '../types.js'

export type { MaybePromise }

/** How a run ended, as it is stored with its last events. */
export interface LogEnd {
  outcome: Exclude<Outcome, 'disconnected' | 'stalled'>
  /** For an outcome that fails: what the client is shown, and the status if nothing was sent. */
  failure?: Failure & { status: number; retryAfter?: string }
  /**
   * How long the run still counts as active for a reader who knows only its id, in milliseconds, because of `onEnd`.
   */
  settleMs?: number
}

/** Consecutive events of one run, from one tick of the source or several. Numbers start at 1. */
export interface LogEntry {
  /** The number of its first event. */
  first: number
  /** The number of its last event, which identifies the entry. */
  last: number
  /** The frames, ids included. */
  text: string
  /**
   * The frames without the line `id: <run id>:<number>` that each event of `text` begins with: half as much to keep.
   * Given only to a store that processes share. Each event ends with a blank line, so the ids can be put back.
   */
  frames?: string | undefined
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
  /** How it ended, if the store knows that without reading entries. */
  end?: LogEnd | undefined
  /** Its producer was declared dead by {@link SharedStore.watch}: nothing more will come, and no end is stored. */
  lost?: boolean | undefined
  /**
   * How long the run counts as alive without another sign of its producer, in milliseconds: 0 when that time is over,
   * `Infinity` if it never is.
   */
  leaseMs: number
  /** What is left of the end's `settleMs`. */
  settleMs?: number | undefined
}

/** How a producer begins a run. */
export interface RunStart {
  owner: string | null
  headers: Readonly<Record<string, string>>
  leaseMs: number
  /** Names the caller among all producers. */
  producer: string
  /** The number after which its events go on, if not 0: the store has lost the events up to it, or never had them. */
  after?: number
}

/** Who listens to a message: the readers of the run, or its producer. */
export type Channel = 'readers' | 'producer'

/**
 * What the store answers to a sign of the producer: `running`, or `read` if somebody reads elsewhere, `stopped` if the
 * run must stop, `lost` if the producer was declared dead, `unknown` if the store has lost the run.
 */
export type ProducerNews = 'running' | 'read' | 'stopped' | 'lost' | 'unknown'

/**
 * Where runs are kept: what {@link createLog} needs of a database. Ids were checked before (`[A-Za-z0-9_-]{16,128}`),
 * owners were not: they are any text. The contract tests are `logBehaviours` of `sse-relay/testing`.
 */
export interface LogStore {
  /**
   * Reserves the id for a run that will begin within `leaseMs`. `false` if the id is known, unless the same owner
   * created that run and it did not begin in its time: then it waits once more. Of two concurrent calls one wins.
   */
  create(runId: string, run: { owner: string | null; leaseMs: number }): MaybePromise<boolean>
  /**
   * Makes the caller the producer of a new run, or of one that the same owner created, that is alive and has not begun.
   * The same `producer` may begin its own run again while that goes on. `false` otherwise. Of two concurrent calls one
   * wins. `stopped` instead of `true` if the owner has asked for that before, see {@link SharedStore.stop}.
   */
  begin(runId: string, run: RunStart): MaybePromise<boolean | 'stopped'>
  /**
   * Stores an entry after the ones before. It may be called again before the last call has settled, and keeps the
   * order. An `end` ends the run. An entry that is stored already changes nothing. Rejects with the code `cursor-gone`
   * if events before the entry are missing, `run-not-found` if the run is not known, and `producer-lost` if it was
   * declared lost. In a shared store it is a sign of life like {@link SharedStore.renew}, and may give the same
   * answers.
   */
  // biome-ignore lint/suspicious/noConfusingVoidType: a store of one process has nothing to tell
  append(runId: string, entry: LogEntry): MaybePromise<ProducerNews | void>
  /** What is known of a run; `undefined` if it is not known, or no longer. */
  get(runId: string): MaybePromise<StoredRun | undefined>
  /**
   * At most `limit` entries in order, beginning with the first that has an event after the number `after`; fewer if
   * there are no more.
   */
  read(runId: string, after: number, limit: number): MaybePromise<LogEntry[]>
  /**
   * The least size of an entry, in characters up to 65 536; the last of a run may be smaller. Until an entry has that
   * size the producer holds its events back from the store, but not from its readers. If the process dies, they are not
   * stored.
   * @default for a store that processes share 16 384, or what comes in half a second; else one tick of the source
   */
  readonly entrySize?: number
  /** What a store needs besides when several processes share it. */
  readonly shared?: SharedStore
  /** Releases connections and timers. */
  close?(): MaybePromise<void>
}

/**
 * The part of a store that connects processes. All times are by the store's clock.
 *
 * The lease: each sign of the producer (`begin`, `append`, `renew`) counts for `leaseMs`. After that the producer is
 * suspected to be dead, until its next sign. A suspicion that stands for `leaseMs` more, while the store was asked all
 * along, makes the run lost: that is stored for good, and is the answer to the producer's next sign.
 */
export interface SharedStore {
  /** How long a run counts as alive after its producer was last heard, in milliseconds. */
  readonly leaseMs: number
  /**
   * How long a run is kept after its end, in milliseconds: then its producer expects it to be gone. @default Infinity
   */
  readonly ttlMs?: number
  /**
   * A sign that the producer lives. After the run's end `leaseMs` is how long its `onEnd` may still take, finally 0.
   */
  renew(runId: string, leaseMs: number): MaybePromise<ProducerNews>
  /**
   * Notes that the run must stop, for the next sign of its producer; `true` if the run goes on, is this owner's, and its
   * producer's lease is not over. If this owner has not begun the run yet, the note is kept for `keepMs`, for
   * {@link LogStore.begin}, and the answer is `false`.
   */
  stop(runId: string, by: { owner: string | null; keepMs: number }): MaybePromise<boolean>
  /**
   * Like `get`, for a process that reads the run and calls this several times a lease. Notes for a lease that the run
   * is `read`, for the next sign of the producer. If the producer's lease is over, it notes the suspicion; a suspicion
   * as old as a lease, with no two of these calls further apart than half of one, makes the run `lost`. Without this
   * method each process judges by itself.
   */
  watch?(runId: string): MaybePromise<StoredRun | undefined>
  /**
   * Sends a message to all processes that listen. It may get lost: what matters is stored as well. Here and in
   * `subscribe`, `runId` may also be the name of a process that reads many runs, which has the form of an id.
   */
  publish(runId: string, channel: Channel, message: string): MaybePromise<void>
  /**
   * Listens; resolves once it does, to a function that ends it. After a time in which it could not listen, the listener
   * gets the message `reconnected`.
   */
  subscribe(runId: string, channel: Channel, listener: (message: string) => void): MaybePromise<() => void>
}
