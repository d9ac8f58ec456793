/** What can be asked of a log: to begin a run, to read one, to stop one? */
import { anything, callback, findSame, positive, type Rules } from '../check.js'
import { captureScope, type Scope } from '../context.js'
import { isObject, RelayError, show } from '../errors.js'
import { idLine, isRunId, parseEventId } from '../event-id.js'
import { failureOf, mistake } from '../failure.js'
import { checkOptions, checkOwner, checkRunId, duration, type Log, type RelayOptions } from '../options.js'
import { isThenable, settle } from '../promises.js'
import { failureFrames } from '../protocols/frames.js'
import type { Source, Summary } from '../types.js'
import { discard } from '../upstream.js'
import type { LiveRun } from './live-run.js'
import { Reader, type ReaderOptions, type ReaderOutlet } from './reader.js'
import { Recorder } from './recorder.js'
import { RemoteRun } from './remote-run.js'
import type { LogEnd, LogStore, StoredRun } from './store.js'

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

const STORE: Rules<keyof LogStore> = {
  // Told below, with what a store must have.
  create: anything,
  begin: anything,
  append: anything,
  get: anything,
  read: anything,
  entrySize: anything,
  shared: anything,
  close: callback,
}
const CREATE: Rules<keyof Parameters<Log['create']>[1]> = {
  owner: anything,
  startMs: positive,
}
const STOP: Rules<keyof Parameters<Log['stop']>[1]> = { owner: anything }
const CLOSE: Rules<keyof NonNullable<Parameters<Log['close']>[0]>> = { graceMs: duration }

/**
 * A log over a store: what `createMemoryLog` and `createRedisLog` return, and what makes a log of a store of your own.
 *
 * @throws {RelayError} `invalid-option` for what is no store, or an `entrySize` that cannot be.
 */
export function createLog(store: LogStore): Log {
  // A store has fields of its own: only what is written as a name of the contract, but for its case, is told.
  if (isObject(store)) checkOptions('A store', store, STORE, findSame, true)
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
 * A clearable reference: V8 may hold deleted Map entries until a full collection; clearing it frees request and socket
 * now. With one token a run, 6 to 9 % of the CPU time went into keeping those.
 */
interface Ref<T extends LiveRun = LiveRun> {
  run: T | undefined
}

/** Runs that outlive a connection. */
export class RunLog implements Log {
  readonly #store: LogStore
  /** Runs that are read or produced in this process. */
  readonly #runs = new Map<string, Ref>()
  readonly #recorders = new Set<Ref<Recorder>>()
  #leaseTimer: ReturnType<typeof setTimeout> | undefined

  constructor(store: LogStore) {
    this.#store = store
  }

  async create(runId: string, options: { owner: string | null; startMs?: number }): Promise<boolean> {
    checkOptions('log.create', options ?? {}, CREATE)
    const { owner, startMs = 300_000 } = options ?? {}
    checkOwner(owner)
    checkRunId(runId)
    if (await this.#store.create(runId, { owner, leaseMs: Math.min(startMs, Number.MAX_SAFE_INTEGER) })) return true
    const run = await this.#store.get(runId)
    if (run && run.owner === owner) return false
    throw exists(runId)
  }

  async stop(runId: string, options: { owner: string | null }): Promise<boolean> {
    checkOptions('log.stop', options ?? {}, STOP)
    const { owner } = options ?? {}
    checkOwner(owner)
    if (!isRunId(runId)) return false
    const here = this.#runs.get(runId)?.run
    if (here instanceof Recorder && here.owner === owner && !here.ended) {
      here.stop('stopped')
      return true
    }
    const run = await this.#store.get(runId)
    if (!run || run.owner !== owner || run.ended || run.leaseMs === 0) return false
    const { shared } = this.#store
    const leaseMs = shared?.leaseMs ?? FOR_EVER
    // Nobody produces it yet: then this does, and ends it, and the worker that comes for it finds it taken.
    if (!run.begun && (await this.#store.begin(runId, { owner, headers: run.headers, leaseMs }))) {
      const failure = failureOf('stopped')
      const text = idLine(runId, 1) + failureFrames(() => undefined, failure)
      const end: LogEnd = { outcome: 'stopped', failure }
      await this.#store.append(runId, { first: 1, last: 1, text, end })
      for (const subscriber of this.#runs.get(runId)?.run?.subscribers ?? []) subscriber.checkStore()
      return true
    }
    await shared?.stop(runId)
    await shared?.publish(runId, 'producer', 'stop')
    return true
  }

  async close(options: { graceMs?: number } = {}): Promise<void> {
    checkOptions('log.close', options, CLOSE)
    const { graceMs = 0 } = options
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
    clearTimeout(this.#leaseTimer)
    this.#leaseTimer = undefined
    for (const { run } of this.#runs.values()) if (run instanceof RemoteRun) run.close()
    await this.#store.close?.()
  }

  /** Begins a run and reads it, or follows the one that is there. For `relayTo`. */
  relay(outlet: ReaderOutlet, source: Source, options: RelayOptions, { runId, isNamed, asked }: LogRelay): void {
    const reader = new Reader(runId, outlet, options, true)
    const owner = options.owner as string | null
    const begin = () => this.#begin(runId, options)
    const start = (): Recorder => {
      const { scope } = outlet
      const recorder = this.#produce(runId, options, options.abandonMs ?? ABANDON_MS, () => outlet.sent, scope)
      reader.setHeaders(recorder.headers)
      reader.follow(recorder)
      // A process that goes away hands its readers over; its runs are not cut for that.
      recorder.start(source)
      asked()
      return recorder
    }
    const decline = (decision: () => void) => {
      discard(source)
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
      else start().rejected(error)
    }
    let stored: unknown
    try {
      stored = begin()
    } catch (error) {
      failed(error)
      return
    }
    if (!isThenable(stored)) begun(stored as boolean)
    else if (isNamed || options.runId !== undefined) stored.then((isNew) => begun(isNew as boolean), failed)
    else {
      // Nobody else can have made this id: the source need not wait for the store.
      const recorder = start()
      stored.then(
        () => recorder.opened(),
        (error) => recorder.rejected(error),
      )
    }
  }

  /** Reads a run. For `resumeTo`. */
  resume(outlet: ReaderOutlet, owner: string | null, { lastEventId, runId }: LogResume, options: ReaderOptions): void {
    const cursor = parseEventId(lastEventId)
    // Of the run that is asked for; of another run it is no place in this one.
    const hasCursor = lastEventId !== undefined && (runId === undefined || cursor?.runId === runId)
    const id = runId ?? cursor?.runId ?? ''
    const reader = new Reader(id, outlet, options, false)
    if (!hasCursor && runId === undefined) reader.endEmpty()
    else if (hasCursor && !cursor) reader.failAs('run-not-found')
    else if (hasCursor && cursor?.seq === 'end') reader.endEmpty()
    else this.#read(reader, id, owner, hasCursor ? (cursor?.seq as number) : undefined)
  }

  /** Produces a run that nobody reads here. For `record`. */
  async record(source: Source, runId: string, options: RelayOptions): Promise<Summary> {
    const scope = captureScope()
    let isNew: boolean
    try {
      isNew = await this.#begin(runId, options)
    } catch (cause) {
      discard(source)
      if ((cause as RelayError)?.code === 'overload') throw cause
      throw new RelayError('log-failure', `The log cannot take the run ${runId}: see the cause`, {
        cause,
        retryable: true,
      })
    }
    if (isNew) {
      // Nobody waits for what onError throws: it goes to the console.
      const recorder = this.#produce(runId, options, options.abandonMs ?? FOR_EVER, () => true, scope)
      recorder.start(source, options.shutdown)
      recorder.opened()
      return recorder.done
    }
    discard(source)
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

  #produce(runId: string, options: RelayOptions, abandonMs: number, isSent: () => boolean, scope: Scope): Recorder {
    const ref: Ref<Recorder> = { run: undefined }
    const onOver = () => {
      this.#recorders.delete(ref)
      this.#forget(runId, ref)
    }
    const recorder = new Recorder(runId, this.#store, options, { isSent, onOver, scope }, abandonMs)
    ref.run = recorder
    const before = this.#runs.get(runId)
    const remote = before?.run
    this.#runs.set(runId, ref)
    this.#recorders.add(ref)
    this.#renewLeases()
    // Who waited here for the run to begin. Where the store cannot tell whose an id is, another may have the same.
    if (before && remote instanceof RemoteRun && remote.owner === recorder.owner) {
      for (const subscriber of remote.subscribers) {
        subscriber.setHeaders(recorder.headers)
        subscriber.moveTo(recorder)
      }
      remote.close()
      before.run = undefined
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
    unknownCode = 'run-not-found',
  ): void {
    const here = this.#runs.get(runId)?.run
    if (here instanceof Recorder && here.owner === owner && !here.ended) {
      reader.setHeaders(here.headers)
      reader.start(here, cursor ?? 0, false)
      return
    }
    settle(
      () => this.#store.get(runId),
      (run) => {
        // It left meanwhile, and would leave a run behind that nobody reads.
        if (reader.isOver) return
        const isMine = run !== undefined && run.owner === owner
        if (cursor === undefined && !(isMine && !run.ended && run.leaseMs > 0)) reader.endEmpty()
        else if (!isMine) reader.failAs(unknownCode)
        else {
          reader.setHeaders(run.headers)
          reader.start(this.#remote(runId, run), cursor ?? 0, run.ended)
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

  #remote(runId: string, stored: StoredRun): LiveRun {
    const known = this.#runs.get(runId)?.run
    if (known && known.owner === stored.owner) return known
    const ref: Ref = { run: undefined }
    ref.run = new RemoteRun(runId, this.#store, stored, () => this.#forget(runId, ref))
    this.#runs.set(runId, ref)
    return ref.run
  }

  /** A run is over here. There may be another object for the same one by now. */
  #forget(runId: string, ref: Ref): void {
    ref.run = undefined
    if (this.#runs.get(runId) === ref) this.#runs.delete(runId)
  }

  *#producing(): Iterable<Recorder> {
    for (const { run } of this.#recorders) if (run) yield run
  }

  /** One timer for all runs that are produced here. */
  #renewLeases(): void {
    const { shared } = this.#store
    if (this.#leaseTimer !== undefined || this.#recorders.size === 0 || !shared) return
    this.#leaseTimer = setTimeout(() => {
      this.#leaseTimer = undefined
      for (const recorder of this.#producing()) recorder.renewLease()
      this.#renewLeases()
    }, shared.leaseMs / 3)
  }
}

function exists(runId: string): RelayError {
  return mistake('run-exists', `There is a run with the id ${runId} already: give each run an id of its own`)
}
