/** What can be asked of a log: to begin a run, to read one, to stop one? */

import { captureScope, type Scope } from '../async-context.js'
import { anything, callback, findSame, positive, type Rules } from '../check.js'
import { isObject, isRelayError, RelayError, show } from '../errors.js'
import { isRunId, newRunId, parseEventId } from '../event-id.js'
import { asMistake, mistake } from '../failure.js'
import {
  checkOptions,
  checkOwner,
  checkRunId,
  duration,
  type Log,
  type RelayOptions,
  type RunStatus,
} from '../options.js'
import { ignore, isThenable, type MaybePromise, settle } from '../promises.js'
import { unref } from '../tick.js'
import type { Source, Summary } from '../types.js'
import { discard } from '../upstream.js'
import { StopMarks } from './early-stops.js'
import type { LiveRun } from './live-run.js'
import { Inbox, Outbox } from './pubsub-batch.js'
import { Reader, type ReaderOptions, type ReaderOutlet } from './reader.js'
import { Recorder } from './recorder.js'
import { RemoteRun } from './remote-run.js'
import type { Channel, LogEnd, LogEntry, LogStore, RunStart, SharedStore, StoredRun } from './store.js'
import type { LogState } from './write-queue.js'

const ABANDON_MS = 60_000
const MAX_ENTRY_SIZE = 65_536
/** How long a stop is kept for a run that is not known yet, in milliseconds. */
const STOP_MS = 300_000
/** How long the caller of `stop` waits until the message has gone, in milliseconds. */
const STOP_SENT_MS = 500
const MAX_UNANSWERED = 1000
/** The waits before a run that a shared store does not know is looked for again, in ms: its producer may know it. */
const FORGOTTEN_MS = [100, 650]
/** How long closing may take besides the grace, in milliseconds. */
const CLOSE_MS = 800
/** The longest time that a timer can wait, in milliseconds. */
const MAX_TIMER_MS = 0x7fffffff
/** In a store of this process a run needs no lease. */
const FOR_EVER = Number.POSITIVE_INFINITY

/** What `relay` hands to a log. */
export interface LogRelay {
  runId: string
  /** Whether the client named the run: the same owner's request then follows the run that is there. */
  isNamed: boolean
  /** Whether nobody else can know the id. */
  isNew: boolean
  /** Called when the source was asked for, or when it will not be. */
  asked(): void
}

/** What `resume` hands to a log. */
export interface LogResume {
  lastEventId?: string | undefined
  runId?: string | undefined
  /** A position that the application knows: the number of an event, or its id. */
  after?: number | string | undefined
}

const STORE: Rules<keyof LogStore> = {
  // Checked below, with what a store must have.
  create: anything,
  begin: anything,
  append: anything,
  get: anything,
  read: anything,
  entrySize: anything,
  shared: anything,
  close: callback,
}
const SHARED: Rules<keyof SharedStore> = {
  leaseMs: positive,
  ttlMs: positive,
  renew: callback,
  stop: callback,
  watch: callback,
  publish: callback,
  subscribe: callback,
}
const CREATE: Rules<keyof Parameters<Log['create']>[1]> = {
  owner: anything,
  startMs: positive,
}
const STOP: Rules<keyof Parameters<Log['stop']>[1]> = { owner: anything }
const STATUS: Rules<keyof Parameters<Log['status']>[1]> = { owner: anything }
const CLOSE: Rules<keyof NonNullable<Parameters<Log['close']>[0]>> = { graceMs: duration }

/** Checks the options of a log's method, which hold the owner. */
function checkOwned(method: string, options: { owner?: unknown } | undefined, rules: Rules): void {
  const form = `log.${method}(runId, { owner })`
  if (options !== undefined && !isObject(options))
    throw mistake('invalid-option', `options cannot be ${show(options)}: give an object. Write ${form}`)
  checkOptions(`log.${method}`, options ?? {}, rules)
  checkOwner(options?.owner, form)
}

/**
 * Makes a log of a store of your own, as `createMemoryLog` and `createRedisLog` do of theirs.
 *
 * @throws {RelayError} `invalid-option` if it is not a store, or for an `entrySize` that is not a number up to 65 536.
 */
export function createLog(store: LogStore): Log {
  // A store may have fields of its own. Only a name that differs from one of the contract in nothing but case,
  // separators or unit is refused.
  if (isObject(store)) checkOptions('A store', store, STORE, findSame, true)
  for (const method of ['create', 'begin', 'append', 'get', 'read'] as const) {
    if (typeof store?.[method] !== 'function') {
      throw mistake(
        'invalid-option',
        `The store cannot be ${show(store)}: it has no method ${method}. Give an object with create, begin, append, get and read`,
      )
    }
  }
  const { entrySize } = store
  if (entrySize !== undefined && !(typeof entrySize === 'number' && entrySize > 0 && entrySize <= MAX_ENTRY_SIZE)) {
    const remedy = `give a number up to ${MAX_ENTRY_SIZE}`
    throw mistake('invalid-option', `The entrySize of a store cannot be ${show(entrySize)}: ${remedy}`)
  }
  if (store.shared !== undefined) checkShared(store.shared)
  return new RunLog(store)
}

function checkShared(shared: SharedStore): void {
  checkOptions('The shared part of a store', shared, SHARED, findSame, true)
  for (const name of ['leaseMs', 'renew', 'stop', 'publish', 'subscribe'] as const) {
    if (shared[name] !== undefined) continue
    throw mistake(
      'invalid-option',
      `The shared part of a store has no ${name}: give leaseMs, renew, stop, publish and subscribe`,
    )
  }
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
  /** Stops that came before their runs, and that the store does not keep, or could not take. */
  readonly #marks = new StopMarks()
  /** Names this process, and its producers. */
  readonly #name = newRunId()
  #producers = 0
  /** Runs that a worker tried to begin while the store did not answer. */
  readonly #unanswered = new Map<string, RunStart>()
  readonly #state: LogState = { keptSize: 0, isClosed: false }
  readonly #outbox: Outbox | undefined
  readonly #inbox: Inbox | undefined
  #leaseTimer: ReturnType<typeof setTimeout> | undefined
  /** When this process was last seen to be awake, by two clocks: one of them stops while the machine is suspended. */
  #awakeAt = 0
  #awakeAtWall = 0
  /** Runs that are watched because somebody asked for their status. */
  readonly #watched = new Set<string>()
  /** Calls of the store's `begin` that have not settled. */
  readonly #begins = new Map<PromiseLike<unknown>, string>()
  /** No run begins any more. */
  #isClosing = false

  constructor(store: LogStore) {
    this.#store = store
    const { shared } = store
    if (!shared) return
    this.#outbox = new Outbox(shared)
    this.#inbox = new Inbox(shared, this.#name, (runId, entry) => {
      const run = this.#runs.get(runId)?.run
      if (run instanceof RemoteRun) run.receive(entry)
    })
  }

  async create(runId: string, options: { owner: string | null; startMs?: number }): Promise<boolean> {
    checkOwned('create', options, CREATE)
    const { owner, startMs = 300_000 } = options
    checkRunId(runId)
    let run: StoredRun | undefined
    try {
      if (await this.#store.create(runId, { owner, leaseMs: Math.min(startMs, Number.MAX_SAFE_INTEGER) })) return true
      run = await this.#store.get(runId)
    } catch (cause) {
      throw outOfReach(`The log cannot take the run ${runId}`, cause)
    }
    if (run && run.owner === owner) return false
    throw exists(runId)
  }

  async stop(runId: string, options: { owner: string | null }): Promise<boolean> {
    checkOwned('stop', options, STOP)
    const { owner } = options
    if (!isRunId(runId)) return false
    try {
      return this.#stopHere(runId, owner) ?? (await this.#stopElsewhere(runId, owner))
    } catch (cause) {
      // A run whose begin the store does not answer either begins here all the same.
      if (this.#stopHere(runId, owner)) return true
      this.#marks.set(runId, owner, STOP_MS)
      throw outOfReach(`The run ${runId} may not have been stopped`, cause)
    }
  }

  /** Whether the owner's run that is produced here was told to stop; `undefined` where there is none. */
  #stopHere(runId: string, owner: string | null): boolean | undefined {
    const here = this.#producedHere(runId, owner)
    if (!here || here.ended) return here && false
    here.stop('stopped')
    return true
  }

  #producedHere(runId: string, owner: string | null): Recorder | undefined {
    const here = this.#runs.get(runId)?.run
    return here instanceof Recorder && here.owner === owner ? here : undefined
  }

  async #stopElsewhere(runId: string, owner: string | null): Promise<boolean> {
    const { shared } = this.#store
    // The producer of the run listens for its owner's stop. If it does not hear this, it finds the note.
    const tell = () => this.#publish(runId, 'producer', `stop ${JSON.stringify(owner)}`)
    let isNoted: boolean | undefined
    let run: StoredRun | undefined
    try {
      // If the run has not begun, or the store has lost it, the note is kept until it comes.
      isNoted = await shared?.stop(runId, { owner, keepMs: STOP_MS })
      // Before the message, on which the run may end.
      if (!isNoted) run = await this.#store.get(runId)
    } catch (error) {
      // A store that takes no note, because it is full or read-only, may still pass a message on.
      tell()
      throw error
    }
    // No token should be paid for after the answer, so the message goes first.
    if (shared) await within(STOP_SENT_MS, tell())
    if (isNoted) return true
    // The run may have begun here while the store was asked.
    const isTold = this.#stopHere(runId, owner)
    if (isTold !== undefined) return isTold
    if (!run) this.#marks.set(runId, owner, STOP_MS)
    if (run?.owner !== owner || run.ended || run.lost) return false
    if (run.begun) return shared !== undefined && (await this.#isHeard(runId))
    return run.leaseMs > 0 && (await this.#endWaiting(runId, owner, run.headers))
  }

  /**
   * Whether a producer whose lease is over has heard a stop. It may live all the same, after an outage of the store for
   * example: then it stores its end at once.
   */
  async #isHeard(runId: string): Promise<boolean> {
    const until = performance.now() + STOP_SENT_MS
    do {
      await new Promise((resolve) => setTimeout(resolve, STOP_SENT_MS / 5))
      const run = await this.#store.get(runId)
      if (!run || run.lost) return false
      if (run.ended || run.leaseMs > 0) return true
    } while (performance.now() < until)
    return false
  }

  /** Begins and ends a run that waits for its producer: the worker that comes for it finds it taken. */
  async #endWaiting(runId: string, owner: string | null, headers: StoredRun['headers']): Promise<boolean> {
    const start = this.#startOf(owner, headers)
    const sentAt = performance.now()
    let failure: { error: unknown } | undefined
    try {
      const answer = this.#begin(runId, start)
      // Nobody finds a run that has begun and has no producer yet.
      if (!(isThenable(answer) ? await answer : answer)) return false
    } catch (error) {
      if (this.#producedHere(runId, owner)) throw error
      // The store may have begun it all the same, and nobody else would end it.
      failure = { error }
    }
    const host = { isSent: () => true, scope: captureScope() }
    const recorder = this.#produce(runId, start, { owner, runId, onError: ignore }, FOR_EVER, host)
    recorder.start([], undefined, true)
    if (failure) recorder.rejected(failure.error)
    else recorder.opened(sentAt)
    let isStored = false
    const stored = recorder.done.then(() => {
      isStored = true
      return this.#publish(runId, 'readers', 'frames')
    })
    await within(STOP_SENT_MS, stored)
    if (failure && !isStored) throw failure.error
    return true
  }

  /** Sends a message to other processes. It may get lost. */
  async #publish(runId: string, channel: Channel, message: string): Promise<void> {
    try {
      await this.#store.shared?.publish(runId, channel, message)
    } catch {
      // What matters is stored.
    }
  }

  async status(runId: string, options: { owner: string | null }): Promise<RunStatus> {
    checkOwned('status', options, STATUS)
    const { owner } = options
    if (!isRunId(runId)) return { state: 'unknown' }
    const here = this.#producedHere(runId, owner)
    if (here) {
      const outcome = here.ending && here.summary?.outcome
      if (!outcome) return { state: 'running' }
      return { state: 'ended', outcome: outcome === 'disconnected' || outcome === 'stalled' ? 'stopped' : outcome }
    }
    try {
      return await this.#statusElsewhere(runId, owner)
    } catch (cause) {
      throw outOfReach(`The log of the run ${runId} cannot be read`, cause)
    }
  }

  async #statusElsewhere(runId: string, owner: string | null): Promise<RunStatus> {
    const run = await this.#store.get(runId)
    if (!run || run.owner !== owner) return { state: 'unknown' }
    if (this.#isLost(runId, run)) return { state: 'ended', outcome: 'error' }
    if (!run.begun) return { state: 'waiting' }
    if (!run.ended) {
      if (run.leaseMs === 0) this.#watch(runId)
      return { state: 'running' }
    }
    const outcome = run.end?.outcome ?? (await this.#outcomeOf(runId))
    return { state: 'ended', ...(outcome && { outcome }) }
  }

  /** Stands in for readers, who would notice a dead producer. It looks for a whole lease: a later `status` knows. */
  async #watch(runId: string): Promise<void> {
    const { shared } = this.#store
    if (!shared?.watch || this.#watched.has(runId)) return
    this.#watched.add(runId)
    try {
      for (let isSilent = true; isSilent && !this.#state.isClosed; ) {
        const run = await shared.watch(runId)
        isSilent = !!run && !run.ended && !run.lost && run.leaseMs === 0
        if (isSilent)
          await new Promise<void>((resolve) => unref(setTimeout(resolve, Math.min(shared.leaseMs / 3, MAX_TIMER_MS))))
      }
    } catch {
      // Out of reach: the next `status` starts it again.
    }
    this.#watched.delete(runId)
  }

  /** How a run ended, by its last entry: for a store that does not tell. */
  async #outcomeOf(runId: string): Promise<LogEnd['outcome'] | undefined> {
    for (let after = 0; ; ) {
      const last = (await this.#store.read(runId, after, 64)).at(-1)
      if (!last || last.end) return last?.end?.outcome
      after = last.last
    }
  }

  async close(options: { graceMs?: number } = {}): Promise<void> {
    checkOptions('log.close', options, CLOSE)
    const { graceMs = 0 } = options
    this.#isClosing = true
    const closeAt = performance.now() + graceMs + CLOSE_MS
    // Runs that the store is beginning must end there as well.
    await within(CLOSE_MS / 4, Promise.allSettled(this.#begins.keys()))
    const runs = [...this.#producing()]
    const over = Promise.all(runs.map(({ done }) => done))
    if (runs.length > 0) {
      await within(graceMs, over)
      for (const run of runs) run.stop('shutdown')
      // Even if the store does not answer.
      await within(closeAt - performance.now(), over)
      for (const run of this.#producing()) run.close()
    }
    clearTimeout(this.#leaseTimer)
    this.#leaseTimer = undefined
    this.#state.isClosed = true
    for (const { run } of this.#runs.values()) {
      if (!(run instanceof RemoteRun)) continue
      // Nothing more is heard here of a run that goes on elsewhere.
      for (const reader of run.subscribers) reader.handOver()
      run.close()
    }
    this.#inbox?.close()
    await within(CLOSE_MS / 4, Promise.resolve(this.#store.close?.()))
  }

  /** Begins a run and reads it, or follows the one that is there. For `relayTo`. */
  relay(outlet: ReaderOutlet, source: Source, options: RelayOptions, { runId, isNamed, isNew, asked }: LogRelay): void {
    const reader = new Reader(runId, outlet, options, true)
    const owner = options.owner as string | null
    // A repeated request for a run that is produced here: the store need not be asked.
    if (isNamed && this.#producedHere(runId, owner)) {
      discard(source)
      asked()
      this.#read(reader, runId, owner, 0)
      return
    }
    if (this.#isClosing) {
      discard(source)
      asked()
      reader.failAs('shutdown')
      return
    }
    const begin = this.#startOf(owner, options.protocol?.headers ?? {})
    const start = (isStopped: boolean): Recorder => {
      const host = { isSent: () => outlet.sent, scope: outlet.scope }
      const recorder = this.#produce(runId, begin, options, options.abandonMs ?? ABANDON_MS, host)
      reader.setHeaders(recorder.headers)
      reader.follow(recorder)
      // The option `shutdown` hands the readers over and lets the run go on; a log that closes ends the run.
      recorder.start(source, this.#isClosing ? AbortSignal.abort() : undefined, isStopped)
      asked()
      return recorder
    }
    const decline = (decision: () => void) => {
      discard(source)
      asked()
      decision()
    }
    const sentAt = performance.now()
    const begun = (result: boolean | 'stopped') => {
      const isStopped = result === 'stopped' || this.#marks.take(runId, owner)
      if (result) start(isStopped).opened(sentAt)
      else decline(() => this.#follow(reader, runId, owner, isNamed))
    }
    const failed = (error: unknown) => {
      // Out of reach is no answer: then the client that waits here gets its tokens all the same.
      if (isRefusal(error)) decline(() => reader.fail(error))
      // The request came again while the store was asked for the first one.
      else if (this.#producedHere(runId, owner)) decline(() => this.#follow(reader, runId, owner, isNamed))
      else start(this.#marks.take(runId, owner)).rejected(error)
    }
    let stored: MaybePromise<boolean | 'stopped'>
    try {
      stored = this.#begin(runId, begin)
    } catch (error) {
      failed(error)
      return
    }
    if (!isThenable(stored)) begun(stored)
    else if (!isNew) stored.then(begun, failed)
    else {
      // The source need not wait for the store.
      const recorder = start(false)
      stored.then(
        (result) => {
          recorder.opened(sentAt)
          if (result === 'stopped') recorder.stop('stopped')
        },
        (error) => recorder.rejected(error),
      )
    }
  }

  /** Reads a run. For `resumeTo`. */
  resume(outlet: ReaderOutlet, owner: string | null, what: LogResume, options: ReaderOptions): void {
    const { runId } = what
    const place = placeOf(what)
    const cursor = parseEventId(place)
    const id = runId ?? cursor?.runId ?? ''
    const reader = new Reader(id, outlet, options, false)
    // An invalid id is answered like that of an unknown run.
    if (place === undefined && !isRunId(id)) reader.endEmpty()
    else if (place !== undefined && !cursor) reader.failAs('run-not-found')
    else if (cursor?.seq === 'end') reader.endEmpty()
    else this.#read(reader, id, owner, cursor?.seq as number | undefined)
  }

  /** Produces a run that nobody reads here. For `record`. */
  async record(source: Source, runId: string, options: RelayOptions): Promise<Summary> {
    const scope = captureScope()
    if (this.#isClosing) {
      discard(source)
      throw new RelayError('shutdown', 'The log is closed, or closing: take no more jobs before log.close', {
        retryable: true,
      })
    }
    // The job came again. The store may have lost that the run has begun, but it is produced here.
    if (this.#runs.get(runId)?.run instanceof Recorder) {
      discard(source)
      throw exists(runId)
    }
    const unanswered = this.#unanswered.get(runId)
    const isSame = unanswered && unanswered.owner === options.owner
    const start = isSame ? unanswered : this.#startOf(options.owner as string | null, options.protocol?.headers ?? {})
    // Another try at the same time comes as another producer: one of two begins the run.
    if (isSame) this.#unanswered.delete(runId)
    const sentAt = performance.now()
    let begun: boolean | 'stopped'
    let run: StoredRun | undefined
    let first: LogEntry | undefined
    try {
      let answer = this.#begin(runId, start)
      // The connection may have broken before the answer came. Only this process can ask again as the same producer.
      if (isThenable(answer)) {
        answer = answer.then(undefined, (error) => {
          if (isRefusal(error)) throw error
          return this.#begin(runId, start)
        })
      }
      // Nobody finds a run that has begun and has no producer yet.
      begun = isThenable(answer) ? await answer : answer
      if (!begun) run = await this.#store.get(runId)
      if (run?.owner === options.owner && run?.ended) [first] = await this.#store.read(runId, 0, 1)
    } catch (cause) {
      discard(source)
      // The run may have begun all the same: the next try of the job queue must come as the same producer.
      this.#unanswered.set(runId, start)
      const [oldest] = this.#unanswered.keys()
      if (this.#unanswered.size > MAX_UNANSWERED) this.#unanswered.delete(oldest as string)
      throw outOfReach(`The log cannot take the run ${runId}`, cause)
    }
    if (begun) {
      const isStopped = begun === 'stopped' || this.#marks.take(runId, start.owner)
      // Nobody waits for what onError throws: it goes to the console.
      const recorder = this.#produce(runId, start, options, options.abandonMs ?? FOR_EVER, {
        isSent: () => true,
        scope,
      })
      recorder.start(source, this.#isClosing ? AbortSignal.abort() : options.shutdown, isStopped)
      recorder.opened(sentAt)
      return recorder.done
    }
    discard(source)
    // Stopped before it began: the job is done.
    if (first?.last === 1 && first.end?.outcome === 'stopped') {
      return { outcome: 'stopped', events: 0, text: '', durationMs: 0, runId }
    }
    throw exists(runId, run && run.owner === options.owner ? this.#whyNotAgain(runId, run) : undefined)
  }

  /** Why a job whose run is known is not produced: it came again, or too late. */
  #whyNotAgain(runId: string, run: StoredRun): string {
    if (!run.begun) return 'it did not begin in its time. Create it again, with log.create, before the job'
    const state = run.ended ? 'it has ended' : this.#isLost(runId, run) ? 'its producer was lost' : 'it goes on'
    return `${state}. A job that comes again is not produced again: its readers know how the first went`
  }

  #startOf(owner: string | null, headers: Readonly<Record<string, string>>): RunStart {
    const leaseMs = this.#store.shared?.leaseMs ?? FOR_EVER
    return { owner, headers, leaseMs, producer: `${this.#name}-${++this.#producers}` }
  }

  #begin(runId: string, start: RunStart): MaybePromise<boolean | 'stopped'> {
    const answer = this.#store.begin(runId, start)
    if (!isThenable(answer)) return answer
    // A thenable of a database may ask again with each `then`, or call back twice. A promise of it does neither.
    const begun = Promise.resolve(answer)
    this.#begins.set(begun, runId)
    const forget = () => this.#begins.delete(begun)
    begun.then(forget, forget)
    return begun
  }

  #produce(
    runId: string,
    start: RunStart,
    options: RelayOptions,
    abandonMs: number,
    begun: { isSent(): boolean; scope: Scope },
  ): Recorder {
    const ref: Ref<Recorder> = { run: undefined }
    const onOver = () => {
      this.#recorders.delete(ref)
      this.#forget(runId, ref)
    }
    const host = {
      ...begun,
      log: this.#state,
      outbox: this.#outbox,
      onOver,
      checkForFreeze: () => this.#checkForFreeze(),
    }
    const recorder = new Recorder(this.#store, runId, start, options, host, abandonMs)
    ref.run = recorder
    const before = this.#runs.get(runId)
    const remote = before?.run
    this.#runs.set(runId, ref)
    if (this.#recorders.size === 0) this.#isAwake()
    this.#recorders.add(ref)
    this.#renewLeases()
    // Readers that waited here for the run to begin. If the store cannot tell whose an id is, another owner may have
    // the same.
    if (before && remote instanceof RemoteRun && remote.owner === recorder.owner) {
      for (const subscriber of remote.subscribers) {
        subscriber.setHeaders(recorder.headers)
        subscriber.follow(recorder)
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
    looks = 0,
  ): void {
    const here = this.#producedHere(runId, owner)
    if (here) {
      if (cursor === undefined && !here.isActive) reader.endEmpty()
      else reader.start(here, here.headers, cursor ?? 0, here.ending)
      return
    }
    settle(
      () => this.#store.get(runId),
      (run) => {
        // The reader left meanwhile, and would leave a run behind that nobody reads.
        if (reader.isOver) return
        // The run began here meanwhile, and may have ended as well.
        if (this.#producedHere(runId, owner)) {
          this.#read(reader, runId, owner, cursor)
          return
        }
        // Some databases say null where there is nothing.
        const isMine = !!run && run.owner === owner
        if (cursor === undefined && !(isMine && isActive(run))) reader.endEmpty()
        else if (!isMine && unknownCode === 'run-not-found' && this.#store.shared && looks < FORGOTTEN_MS.length) {
          // The client knows of the run, so the store may have lost it. The producer is asked: it looks whether the
          // store has the run, and stores it again if not.
          if (looks === 0) this.#publish(runId, 'producer', 'ask')
          const look = () => {
            if (this.#state.isClosed) reader.failAs('shutdown')
            else if (!reader.isOver) this.#read(reader, runId, owner, cursor, unknownCode, looks + 1)
          }
          setTimeout(look, FORGOTTEN_MS[looks])
        } else if (!isMine) reader.failAs(unknownCode)
        else {
          const ending = this.#isLost(runId, run) ? 'lost' : run.ended ? 'ended' : undefined
          // Nothing more is heard here of a run that goes on elsewhere.
          if (!ending && this.#state.isClosed) reader.failAs('shutdown')
          else reader.start(this.#remote(runId, run), run.headers, cursor ?? 0, ending)
        }
      },
      (cause) => reader.fail(outOfReach(`The log of the run ${runId} cannot be read`, cause)),
    )
  }

  /** Whether nothing more comes of a run that has not ended. It is not produced here. */
  #isLost(runId: string, { begun, ended, lost, leaseMs }: StoredRun): boolean {
    if (lost || ended) return lost === true
    if (!begun) return leaseMs === 0
    // In a store that processes share others say so. Elsewhere a run is produced here, or is about to be, or by nobody.
    const isAboutToBe = this.#unanswered.has(runId) || [...this.#begins.values()].includes(runId)
    return !this.#store.shared && !isAboutToBe
  }

  #remote(runId: string, stored: StoredRun): LiveRun {
    const known = this.#runs.get(runId)?.run
    if (known && known.owner === stored.owner) return known
    const ref: Ref = { run: undefined }
    ref.run = new RemoteRun(runId, this.#store, stored, this.#inbox, () => this.#forget(runId, ref))
    this.#runs.set(runId, ref)
    return ref.run
  }

  /** A run is over in this process. By now another object may stand for the same run. */
  #forget(runId: string, ref: Ref): void {
    ref.run = undefined
    if (this.#runs.get(runId) === ref) this.#runs.delete(runId)
  }

  *#producing(): Iterable<Recorder> {
    for (const { run } of this.#recorders) if (run) yield run
  }

  /**
   * Checks whether this process has stood still, stopped or busy, for nearly a lease. Then its runs may have been
   * declared lost, and each asks the store before it goes on.
   */
  #checkForFreeze(): void {
    const before = this.#awakeAt
    const beforeWall = this.#awakeAtWall
    this.#isAwake()
    const ms = Math.max(this.#awakeAt - before, this.#awakeAtWall - beforeWall)
    if (ms > (this.#store.shared?.leaseMs ?? Number.POSITIVE_INFINITY) * 0.8)
      for (const recorder of this.#producing()) recorder.ask()
  }

  #isAwake(): void {
    this.#awakeAt = performance.now()
    this.#awakeAtWall = Date.now()
  }

  /** One timer for all runs that are produced here. */
  #renewLeases(): void {
    const { shared } = this.#store
    if (this.#leaseTimer !== undefined || this.#recorders.size === 0 || !shared || this.#state.isClosed) return
    this.#leaseTimer = setTimeout(
      () => {
        this.#leaseTimer = undefined
        this.#checkForFreeze()
        for (const recorder of this.#producing()) recorder.renewLease()
        this.#renewLeases()
      },
      Math.min(shared.leaseMs / 3, MAX_TIMER_MS),
    )
  }
}

/** Whether a store that threw this has answered: it is full, or the call is a mistake. */
function isRefusal(error: unknown): boolean {
  return isRelayError(error) && ['overload', 'invalid-option'].includes(error.code)
}

/**
 * What a store has thrown, as an error for the caller. The store's own word that it is full, out of reach or misused is
 * kept; anything else is a `log-failure`. The status is that of the code: most hosts answer with it if a route does not
 * catch.
 */
function outOfReach(what: string, cause: unknown): unknown {
  if (isRelayError(cause) && ['overload', 'log-failure'].includes(cause.code))
    return Object.assign(cause, { status: 503 })
  if (isRelayError(cause) && cause.code === 'invalid-option') return cause
  return new RelayError('log-failure', `${what}: see the cause`, { cause, retryable: true, status: 503 })
}

function exists(runId: string, why = 'give each run an id of its own'): RelayError {
  const message = `There is a run with the id ${runId} already: ${why}`
  return asMistake(new RelayError('run-exists', message, { status: 409 }))
}

/** Where to read on. The request comes first: a client that reconnects is further than the code that made the page. */
function placeOf({ lastEventId, runId, after }: LogResume): string | undefined {
  // A number belongs to the run that is asked for.
  const known = typeof after === 'number' ? runId && `${runId}:${after}` : after
  // A position in another run is not one in this run.
  const isHere = (place: string | undefined) => runId === undefined || parseEventId(place)?.runId === runId
  return [lastEventId, known].find((place) => place !== undefined && isHere(place))
}

/** Whether a client who knows only the id may read the run. */
function isActive({ begun, ended, lost, leaseMs, settleMs }: StoredRun): boolean {
  if (lost) return false
  return ended ? settleMs !== undefined && settleMs > 0 : begun || leaseMs > 0
}

/** Waits for something, at most `ms`. */
async function within(ms: number, something: Promise<unknown>): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const time = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, Math.min(ms, MAX_TIMER_MS))
  })
  try {
    await Promise.race([time, something])
  } finally {
    clearTimeout(timer)
  }
}
