/** What does a log need of a database? */
import type { MaybePromise } from '../promises.js'
import type { Failure, Outcome } from '../types.js'

export type { MaybePromise }

/** How a run ended, as it is stored with its last events. */
export interface LogEnd {
  outcome: Exclude<Outcome, 'disconnected' | 'stalled'>
  /** For an outcome that fails: what the client is shown, and the status if nothing was sent. */
  failure?: Failure & { status: number; retryAfter?: string }
  /** How long the run still counts as active for who knows its id alone, in milliseconds: its `onEnd` has not settled. */
  settleMs?: number
}

/** Events of one run that follow each other: what one tick of the source made, or several. Numbers start at 1. */
export interface LogEntry {
  /** The number of its first event. */
  first: number
  /** The number of its last event. Entries are known by it. */
  last: number
  /** The frames, ids included. */
  text: string
  /**
   * The same without the line `id: <run id>:<number>` that each event of `text` begins with: half as much to keep. Only for
   * a store that processes share, and only where each event ends with a blank line, so that the ids can be put back.
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
  /** How it ended, where the store can tell without a reading. */
  end?: LogEnd | undefined
  /** Its producer was declared dead by {@link SharedStore.watch}: nothing more will come, and no end is stored. */
  lost?: boolean | undefined
  /**
   * How long the run counts as alive if its producer says nothing more, in milliseconds: 0 when that time is over,
   * `Infinity` where it cannot be.
   */
  leaseMs: number
  /** What is left of the end's `settleMs`. */
  settleMs?: number | undefined
}

/** Who begins a run. */
export interface RunStart {
  owner: string | null
  headers: Readonly<Record<string, string>>
  leaseMs: number
  /** Names the caller among all producers. */
  producer: string
  /** The number its events go on from, if not 0: the store has lost those before, or never had them. */
  after?: number
}

/** Who listens to a message: those who read the run, or the one who produces it. */
export type Channel = 'readers' | 'producer'

/**
 * What the producer learns when it is heard: `read` that somebody reads elsewhere, `stopped` that it is to stop, `lost`
 * that it was declared dead, `unknown` that the store has lost the run.
 */
export type ProducerNews = 'running' | 'read' | 'stopped' | 'lost' | 'unknown'

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
   * begun; and again of its own that goes on, by the same `producer`. `false` otherwise. One of two wins. `stopped`
   * instead of `true` where the owner has asked for that before, see {@link SharedStore.stop}.
   */
  begin(runId: string, run: RunStart): MaybePromise<boolean | 'stopped'>
  /**
   * Stores an entry after those before; it may be called again before the last one has settled, and keeps their order.
   * An `end` ends the run. One that is stored already changes nothing. Rejects with
   * the code `cursor-gone` for one that would leave a hole, `run-not-found` where the run is not known, and
   * `producer-lost` where it was declared lost. In a shared store it is a sign of life as {@link SharedStore.renew} is,
   * and may tell the same.
   */
  // biome-ignore lint/suspicious/noConfusingVoidType: a store of one process has nothing to tell
  append(runId: string, entry: LogEntry): MaybePromise<ProducerNews | void>
  /** What is known of a run; `undefined` for one that is not known, or no longer. */
  get(runId: string): MaybePromise<StoredRun | undefined>
  /**
   * At most `limit` entries in order, beginning with the first that has an event after the number `after`; fewer where
   * there are no more.
   */
  read(runId: string, after: number, limit: number): MaybePromise<LogEntry[]>
  /**
   * How much an entry is to hold at least, in characters up to 65 536, but for a run's last. Events wait that long with
   * the producer, which hands them to its readers at once all the same; those of a process that dies are not stored.
   * @default in a store that processes share 16 384, or what comes in half a second; else a tick of the source
   */
  readonly entrySize?: number
  /** What a store needs besides when several processes share it. */
  readonly shared?: SharedStore
  /** Lets go of connections and timers. */
  close?(): MaybePromise<void>
}

/**
 * The part of a store that ties processes together. All times are the store's.
 *
 * The lease: each sign of the producer (`begin`, `append`, `renew`) is good for `leaseMs`. Where that is over the producer
 * is suspected to be dead; with the next sign it is not. A suspicion that has stood for `leaseMs` more, while the store
 * was asked all along, is a loss: that is written, for good, and the producer is told so by its next sign.
 */
export interface SharedStore {
  /** How long a run counts as alive after its producer was last heard, in milliseconds. */
  readonly leaseMs: number
  /** How long a run is kept after its end, in milliseconds: after that its producer does not miss it. @default Infinity */
  readonly ttlMs?: number
  /** The producer is alive. For a run that has ended: how long its `onEnd` may still take, 0 when it has settled. */
  renew(runId: string, leaseMs: number): MaybePromise<ProducerNews>
  /**
   * Notes that the run is to stop, for the next sign of its producer; `true` if it goes on and is this owner's. For a
   * run that this owner has not begun yet keeps that for `keepMs`, for {@link LogStore.begin}; resolves to `false`.
   */
  stop(runId: string, by: { owner: string | null; keepMs: number }): MaybePromise<boolean>
  /**
   * As `get`, by a process that reads the run, several times a lease: notes for a lease that it is `read`, for the next
   * sign of the producer. Where the lease is over it notes the suspicion, and a suspicion that is as old as a lease, with
   * no two of these calls further apart than half of one, makes the run `lost`. Without it each process judges by itself.
   */
  watch?(runId: string): MaybePromise<StoredRun | undefined>
  /**
   * Tells all processes that listen. A message may get lost: what matters is stored as well. Where many runs are read in
   * one process, `runId` is the name of that process, which has the form of an id, here and in `subscribe`.
   */
  publish(runId: string, channel: Channel, message: string): MaybePromise<void>
  /**
   * Listens; resolves when it does, to a function that ends it. Where it could not listen for a while, it is told
   * `reconnected` afterwards.
   */
  subscribe(runId: string, channel: Channel, listener: (message: string) => void): MaybePromise<() => void>
}
