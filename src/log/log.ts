import { RelayError, show } from '../errors.js'
import { failureOf, mistake } from '../failure.js'
import { checkOwner, checkRunId, isRunId, type Log, type RelayOptions } from '../options.js'
import type { Feeder } from '../run.js'
import type { Source, Summary } from '../types.js'
import { isThenable, refuse } from '../upstream.js'
import type { Feed } from './feed.js'
import { Follower } from './follower.js'
import { lastFrame, Reader, type ReaderOptions, type ReaderOutlet } from './reader.js'
import { Recorder } from './recorder.js'
import { type LogEnd, type LogStore, settle } from './store.js'

/** `<runId>:<seq>`; `end` is said after an ending that is no event of the run. */
const CURSOR = /^([A-Za-z0-9_-]{16,128}):(\d{1,15}|end)$/
const ABANDON_MS = 60_000
const MAX_ENTRY_SIZE = 65_536
/** A run of this process needs no lease in a store of this process. */
const FOR_EVER = Number.POSITIVE_INFINITY

/** What `relay` tells a log. */
export interface LogRelay {
  runId: string
  /** Whether the client named the run: the same owner's request then follows the run that is there. */
  isNamed: boolean
  /** Called when the source was asked for, or is not going to be. */
  asked(): void
}

/** What `resume` tells a log. */
export interface LogResume {
  lastEventId?: string | undefined
  runId?: string | undefined
}

/**
 * A log over a store: what `createMemoryLog` and `createRedisLog` return, and what makes a log of a store of your own.
 *
 * @throws {RelayError} `invalid-option` for what is no store, or an `entrySize` that cannot be.
 */
export function createLog(store: LogStore): Log {
  for (const method of ['create', 'begin', 'append', 'get', 'read'] as const) {
    if (typeof store?.[method] !== 'function') {
      throw mistake('invalid-option', `The store cannot be ${show(store)}: it has no method ${method}`)
    }
  }
  const { entrySize, shared } = store
  if (
    entrySize !== undefined &&
    (shared || !(typeof entrySize === 'number' && entrySize > 0 && entrySize <= MAX_ENTRY_SIZE))
  ) {
    const remedy = shared ? 'leave it out where processes share the store' : `give a number up to ${MAX_ENTRY_SIZE}`
    throw mistake('invalid-option', `The entrySize of a store cannot be ${show(entrySize)}: ${remedy}`)
  }
  return new RunLog(store)
}

/**
 * Where a feed is kept, emptied when it is over, as an `Entry` of signal.ts is: a feed has the request, the response and
 * the socket behind it. Of runs of one token 6 to 9 % of the CPU time went into keeping those.
 */
interface Place<T extends Feed = Feed> {
  feed: T | undefined
}

/** Runs that outlive a connection. */
export class RunLog implements Log {
  readonly #store: LogStore
  /** Runs that are read or produced in this process. */
  readonly #feeds = new Map<string, Place>()
  readonly #recorders = new Set<Place<Recorder>>()
  #clock: ReturnType<typeof setTimeout> | undefined

  constructor(store: LogStore) {
    this.#store = store
  }

  async create(
    runId: string,
    { owner, startMs = 300_000 }: { owner: string | null; startMs?: number },
  ): Promise<boolean> {
    checkOwner(owner)
    checkRunId(runId)
    if (!(typeof startMs === 'number' && startMs > 0)) {
      throw mistake('invalid-option', `startMs cannot be ${show(startMs)}: give a positive number of milliseconds`)
    }
    if (await this.#store.create(runId, { owner, leaseMs: Math.min(startMs, Number.MAX_SAFE_INTEGER) })) return true
    const run = await this.#store.get(runId)
    if (run && run.owner === owner) return false
    throw exists(runId)
  }

  async stop(runId: string, { owner }: { owner: string | null }): Promise<boolean> {
    checkOwner(owner)
    if (!isRunId(runId)) return false
    const feed = this.#feeds.get(runId)?.feed
    if (feed instanceof Recorder && feed.owner === owner && !feed.ended) {
      feed.stop('stopped')
      return true
    }
    const run = await this.#store.get(runId)
    if (!run || run.owner !== owner || run.ended || run.leaseMs === 0) return false
    const { shared } = this.#store
    const leaseMs = shared?.leaseMs ?? FOR_EVER
    // Nobody produces it yet: then this does, and ends it, and the worker that comes for it finds it taken.
    if (!run.begun && (await this.#store.begin(runId, { owner, headers: run.headers, leaseMs }))) {
      const failure = failureOf('stopped')
      const text = `id: ${runId}:1\n${lastFrame(failure)}`
      const end: LogEnd = { outcome: 'stopped', failure }
      await this.#store.append(runId, { first: 1, last: 1, text, end })
      for (const reader of this.#feeds.get(runId)?.feed?.readers ?? []) reader.look()
      return true
    }
    await shared?.stop(runId)
    await shared?.publish(runId, 'producer', 'stop')
    return true
  }

  async close({ graceMs = 0 }: { graceMs?: number } = {}): Promise<void> {
    const runs = [...this.#producing()]
    if (runs.length > 0) {
      let timer: ReturnType<typeof setTimeout> | undefined
      const grace = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, Math.min(graceMs, 0x7fffffff))
      })
      await Promise.race([grace, Promise.all(runs.map(({ done }) => done))])
      clearTimeout(timer)
      for (const run of runs) run.stop('shutdown')
      await Promise.all(runs.map(({ done }) => done))
    }
    clearTimeout(this.#clock)
    this.#clock = undefined
    for (const { feed } of this.#feeds.values()) if (feed instanceof Follower) feed.close()
    await this.#store.close?.()
  }

  /** Begins a run and reads it, or follows the one that is there. For `relayTo`. */
  relay(outlet: ReaderOutlet, source: Source, options: RelayOptions, { runId, isNamed, asked }: LogRelay): Feeder {
    const reader = new Reader(runId, outlet, options, true)
    const owner = options.owner as string | null
    const begin = () => this.#begin(runId, options)
    const start = (): Recorder => {
      const recorder = this.#produce(runId, options, options.abandonMs ?? ABANDON_MS, () => outlet.sent)
      reader.head(recorder.headers)
      reader.attach(recorder)
      // A process that goes away hands its readers over; its runs are not cut for that.
      recorder.start(source)
      asked()
      return recorder
    }
    const decline = (decision: () => void) => {
      refuse(source)
      asked()
      decision()
    }
    const begun = (isNew: boolean) => {
      if (isNew) start().opened()
      else decline(() => this.#follow(reader, runId, owner, isNamed))
    }
    const failed = (error: unknown) => {
      // Full is an answer; out of reach is none, and the one who waits here gets the tokens all the same.
      if ((error as RelayError)?.code === 'overload') decline(() => reader.fail(error))
      else start().refused(error)
    }
    let stored: unknown
    try {
      stored = begin()
    } catch (error) {
      failed(error)
      return reader
    }
    if (!isThenable(stored)) begun(stored as boolean)
    else if (isNamed || options.runId !== undefined) stored.then((isNew) => begun(isNew as boolean), failed)
    else {
      // Nobody else can have made this id: the source need not wait for the store.
      const recorder = start()
      stored.then(
        () => recorder.opened(),
        (error) => recorder.refused(error),
      )
    }
    return reader
  }

  /** Reads a run. For `resumeTo`. */
  resume(
    outlet: ReaderOutlet,
    owner: string | null,
    { lastEventId, runId }: LogResume,
    options: ReaderOptions,
  ): Feeder {
    const [, ofRun, seq] = CURSOR.exec(lastEventId ?? '') ?? []
    // Of the run that is asked for; of another run it is no place in this one.
    const hasCursor = lastEventId !== undefined && (runId === undefined || ofRun === runId)
    const id = runId ?? ofRun ?? ''
    const reader = new Reader(id, outlet, options, false)
    if (!hasCursor && runId === undefined) reader.nothing()
    else if (hasCursor && ofRun === undefined) reader.refuse('run-not-found')
    else if (hasCursor && seq === 'end') reader.nothing()
    else this.#read(reader, id, owner, hasCursor ? Number(seq) : undefined)
    return reader
  }

  /** Produces a run that nobody reads here. For `record`. */
  async record(source: Source, runId: string, options: RelayOptions): Promise<Summary> {
    let isNew: boolean
    try {
      isNew = await this.#begin(runId, options)
    } catch (cause) {
      refuse(source)
      if ((cause as RelayError)?.code === 'overload') throw cause
      throw new RelayError('log-failure', `The log cannot take the run ${runId}: see the cause`, {
        cause,
        retryable: true,
      })
    }
    if (isNew) {
      // Nobody waits for what onError throws: it goes to the console.
      const recorder = this.#produce(runId, options, options.abandonMs ?? FOR_EVER, () => true)
      recorder.start(source, options.shutdown)
      recorder.opened()
      return recorder.done
    }
    refuse(source)
    const run = await this.#store.get(runId)
    // Stopped before it began: the job is done.
    const [last] = run && run.owner === options.owner && run.ended ? await this.#store.read(runId, 0, 1) : []
    if (last?.last === 1 && last.end?.outcome === 'stopped') {
      return { outcome: 'stopped', events: 0, text: '', durationMs: 0, runId }
    }
    throw exists(runId)
  }

  #begin(runId: string, { owner, protocol }: RelayOptions) {
    const leaseMs = this.#store.shared?.leaseMs ?? FOR_EVER
    return this.#store.begin(runId, { owner: owner as string | null, headers: protocol?.headers ?? {}, leaseMs })
  }

  #produce(runId: string, options: RelayOptions, abandonMs: number, sent: () => boolean): Recorder {
    const place: Place<Recorder> = { feed: undefined }
    const over = () => {
      this.#recorders.delete(place)
      this.#leave(runId, place)
    }
    const recorder = new Recorder(runId, this.#store, options, { sent, over }, abandonMs)
    place.feed = recorder
    const before = this.#feeds.get(runId)
    const follower = before?.feed
    this.#feeds.set(runId, place)
    this.#recorders.add(place)
    this.#tick()
    // Who waited here for the run to begin. Where the store cannot tell whose an id is, another may have the same.
    if (before && follower instanceof Follower && follower.owner === recorder.owner) {
      for (const reader of follower.readers) {
        reader.head(recorder.headers)
        reader.move(recorder)
      }
      follower.close()
      before.feed = undefined
    }
    return recorder
  }

  #follow(reader: Reader, runId: string, owner: string | null, isNamed: boolean): void {
    if (isNamed) this.#read(reader, runId, owner, 0, 'run-exists')
    else reader.fail(exists(runId))
  }

  /** Finds the run and lets the reader begin, after the event with the number `cursor` if there is one. */
  #read(
    reader: Reader,
    runId: string,
    owner: string | null,
    cursor: number | undefined,
    unknown = 'run-not-found',
  ): void {
    const here = this.#feeds.get(runId)?.feed
    if (here instanceof Recorder && here.owner === owner && !here.ended) {
      reader.head(here.headers)
      reader.start(here, cursor ?? 0, false)
      return
    }
    settle(
      () => this.#store.get(runId),
      (run) => {
        // It left meanwhile, and would leave a feed behind that nobody reads.
        if (reader.over) return
        const isMine = run !== undefined && run.owner === owner
        if (cursor === undefined && !(isMine && !run.ended && run.leaseMs > 0)) reader.nothing()
        else if (!isMine) reader.refuse(unknown)
        else {
          reader.head(run.headers)
          reader.start(this.#feed(runId, run), cursor ?? 0, run.ended)
        }
      },
      (cause) =>
        reader.fail(
          new RelayError('log-failure', `The log of the run ${runId} cannot be read: see the cause`, {
            cause,
            retryable: true,
          }),
        ),
    )
  }

  #feed(runId: string, run: NonNullable<Awaited<ReturnType<LogStore['get']>>>): Feed {
    const known = this.#feeds.get(runId)?.feed
    if (known && known.owner === run.owner) return known
    const place: Place = { feed: undefined }
    place.feed = new Follower(runId, this.#store, run, () => this.#leave(runId, place))
    this.#feeds.set(runId, place)
    return place.feed
  }

  /** A feed is over. There may be another of the same run by now. */
  #leave(runId: string, place: Place): void {
    place.feed = undefined
    if (this.#feeds.get(runId) === place) this.#feeds.delete(runId)
  }

  *#producing(): Iterable<Recorder> {
    for (const { feed } of this.#recorders) if (feed) yield feed
  }

  /** One clock for all runs that are produced here. */
  #tick(): void {
    const { shared } = this.#store
    if (this.#clock !== undefined || this.#recorders.size === 0 || !shared) return
    this.#clock = setTimeout(() => {
      this.#clock = undefined
      for (const recorder of this.#producing()) recorder.tick()
      this.#tick()
    }, shared.leaseMs / 3)
  }
}

function exists(runId: string): RelayError {
  return mistake('run-exists', `There is a run with the id ${runId} already: give each run an id of its own`)
}
