/** Which options do `relay` and `resume` have, and what is wrong with those they were given? */
import {
  abortSignal,
  anything,
  callback,
  findMeant,
  flag,
  internal,
  type Rule,
  type Rules,
  unknownIn,
  wrongIn,
} from './check.js'
import { isObject, show } from './errors.js'
import { isRunId } from './event-id.js'
import { mistake, typeMistake } from './failure.js'
import type { HeadersLike, RequestHead } from './headers.js'
import type { Failure, Outcome, Protocol, Summary } from './types.js'

/** What `onError` gets besides the error. */
export interface ErrorContext {
  runId: string
  /** The failure the client will be shown, unless `onError` returns another; absent for an error of `onEnd`. */
  failure?: Failure & { status: number }
  /** Whether something was sent to the client already; then the status is 200. */
  sent: boolean
}

/** What `onError` may return: the client is shown it instead of the failure. */
export interface ShownFailure {
  status?: number | undefined
  code?: string | undefined
  message?: string | undefined
  retryable?: boolean | undefined
}

/** How one connection went. With a log its run may end differently. */
export interface Connection {
  /** How it ended: the run's outcome where it was read to its end, `done` for HEAD and 204. */
  outcome: Outcome
  /** The HTTP status of the answer; absent if the relay sent none. */
  status?: number
  /** How many events were sent. */
  events: number
  firstEventMs?: number
  durationMs: number
  runId: string
}

/** What has become of a run. */
export interface RunStatus {
  /** `waiting` to begin, `running`, `ended`, or `unknown`: no such run, another owner's, or one no longer kept. */
  state: 'waiting' | 'running' | 'ended' | 'unknown'
  /** How it ended; `error` also if its producer died or never began. */
  outcome?: Exclude<Outcome, 'disconnected' | 'stalled'>
}

/**
 * Runs that outlive a connection. Made by `createMemoryLog` or `createRedisLog`, or by `createLog` over your own store.
 */
export interface Log {
  /**
   * Reserves an id for a run that a worker will produce. Until the run begins its readers wait, with heartbeats.
   *
   * @returns `false` if the same owner's run is known already. Enqueue the job all the same, under the run's id: an
   * earlier process may have died between `create` and enqueueing. A run that did not begin in time is reserved anew.
   * @throws {RelayError} `run-exists` if the id is another owner's, `invalid-option` for a bad id or `startMs`,
   * `log-failure` if the log is out of reach, `overload` if it is full.
   * @throws {TypeError} for an owner that is neither a non-empty string nor `null`.
   */
  create(
    runId: string,
    options: {
      owner: string | null
      /** How long the run may take to begin, in milliseconds; then its readers get `producer-lost`. @default 300000 */
      startMs?: number
    },
  ): Promise<boolean>
  /**
   * Asks a run to end, from any process: its readers get the failure `stopped`, the upstream is aborted. If the run is
   * not known yet, the stop is kept for five minutes: when this owner begins the run in that time, it is stopped and
   * its source is not called.
   *
   * @returns whether a running run was asked to stop. Unknown, foreign and finished runs all give `false`.
   * @throws {RelayError} `log-failure` if the log is out of reach: the stop is not kept, so ask again. The producer of
   * the run may have received it all the same.
   * @throws {TypeError} for an owner that is neither a non-empty string nor `null`.
   */
  stop(runId: string, options: { owner: string | null }): Promise<boolean>
  /**
   * What has become of a run.
   *
   * @throws {RelayError} `log-failure` if the log is out of reach.
   * @throws {TypeError} for an owner that is neither a non-empty string nor `null`.
   */
  status(runId: string, options: { owner: string | null }): Promise<RunStatus>
  /**
   * Ends the runs that this process produces, as `shutdown`, and releases timers and connections. From now on no run
   * begins: `relay` answers 503, `record` rejects, both with `shutdown`, retryable. With `graceMs`, in milliseconds,
   * the runs first have this long to end by themselves. Readers of other processes' runs are then disconnected, and
   * reconnect to another process. `close` takes at most a second more, whatever the store does.
   */
  close(options?: { graceMs?: number }): Promise<void>
}

/** Options of every adapter's `relay`. Durations are in milliseconds. */
export interface RelayOptions {
  /** The dialect spoken to the client. @default text() */
  protocol?: Protocol | undefined
  /**
   * Whether a provider's stream must end with its finish to count as complete. `false` is for servers that
   * never send one; then an answer that was cut counts as complete too.
   * @default true
   */
  requireFinish?: boolean | undefined
  /**
   * Whether the results of tools are sent, in `tool-result` parts; otherwise their `output` is `null`. It may hold
   * files, addresses, or anything else that a tool read.
   * @default false, but true for streams of the AI SDK through `uiMessage()`, as in the AI SDK itself
   */
  toolResults?: boolean | undefined
  /**
   * `false` answers with one JSON body in the protocol's form when the run is over, for clients that ask for one: no
   * heartbeats, up to 16 MiB. With a `log` the run is kept as a stream, and can be followed.
   * @default true
   */
  stream?: boolean | undefined
  /** A comment, or the protocol's own heartbeat, after this long without a byte; 0 for none. @default 8000 */
  heartbeatMs?: number | undefined
  /** A client that takes nothing for this long is dropped, and the upstream aborted. @default 30000 */
  stallTimeoutMs?: number | undefined
  /**
   * The longest a run may take; each run's own limit is a random 80 to 100 % of it. With a `log` it is the longest a
   * connection may take: the run goes on, and the reader comes back for the rest.
   * @default Infinity
   */
  maxDurationMs?: number | undefined
  /**
   * On Node, Express, Fastify and Koa: whether tokens are written to Node's socket itself, framed as Node would, where
   * the response is Node's own and nobody has replaced its methods. `false` writes everything through the response.
   * Other hosts ignore it.
   * @default true
   */
  directWrites?: boolean | undefined
  /** The `retry` field: how long an `EventSource` waits before it reconnects. @default none */
  retryMs?: number | undefined
  /**
   * Extra response headers. They replace this library's own, except `content-type` and the headers of the connection
   * itself, which the host sets.
   */
  headers?: HeadersLike | undefined
  /**
   * Ends the run from outside. The reason decides how: a `RelayError` gives its own code, a `TimeoutError` is
   * `expired`, anything else `stopped`.
   */
  signal?: AbortSignal | undefined
  /**
   * One signal for the whole server, shared by all relays: ends them as `shutdown`. With a `log` it ends the
   * connections, and the readers come back to another process.
   */
  shutdown?: AbortSignal | undefined
  /** Keeps the run, so that it outlives the connection: see `sse-relay/log`. Needs an `owner`. */
  log?: Log | undefined
  /**
   * Whose run it is: only a call with the same text reads or stops it. `null` means anyone who knows the id. Required
   * with a `log`.
   */
  owner?: string | null | undefined
  /**
   * The run's id: 16 to 128 of `A-Z a-z 0-9 _ -`, used once. @default with a `log` the request's `x-run-id`, else
   * 128 random bits
   */
  runId?: string | undefined
  /** With a `log`: a run that nobody has read for this long is aborted. @default 60000 */
  abandonMs?: number | undefined
  /** For hosts that stop work when the response ends: gets a promise of the run's end, `onEnd` included. */
  waitUntil?(promise: Promise<unknown>): void
  /**
   * Gets the original error of the outcomes `error` and `truncated`, and what `onEnd` throws. What it returns is shown
   * to the client instead. It may throw as long as nothing was sent: then `relay` rejects with that error and leaves
   * the response untouched, for the framework's own error handling. Without `onError` the original goes to
   * `console.error`.
   */
  // biome-ignore lint/suspicious/noConfusingVoidType: a callback that returns nothing is the common one
  onError?(error: unknown, context: ErrorContext): ShownFailure | undefined | void
  /** Called once, for every ending. The wire does not wait for it; what it throws goes to `onError`. */
  onEnd?(summary: Summary): unknown
  /**
   * Called once for every call of `relay` and `resume`, when its connection is over: also for HEAD, 204, refusals and
   * connections that only read a run. The place to release what you count per request. Without a log it comes after
   * `onEnd`, if that is called at all. What it throws goes to `onError`.
   */
  onClose?(connection: Connection): unknown
}

/** {@link RelayOptions}, and the request's head from the adapter. */
export interface RelayToOptions extends RelayOptions {
  request?: RequestHead
}

/** Options of every adapter's `resume`, which mean what they mean for `relay`. */
export interface ResumeOptions
  extends Pick<
      RelayOptions,
      | 'protocol'
      | 'heartbeatMs'
      | 'stallTimeoutMs'
      | 'maxDurationMs'
      | 'retryMs'
      | 'directWrites'
      | 'headers'
      | 'shutdown'
      | 'waitUntil'
      | 'onError'
      | 'onClose'
    >,
    Required<Pick<RelayOptions, 'log' | 'owner'>> {
  /**
   * The run to read. If the request has no `Last-Event-ID` of this run, it is read from its first event, and only while
   * it goes on or its `onEnd` has not settled.
   */
  runId?: string | undefined
  /**
   * After which event to read, if your code knows it: the number of an event of `runId`, or the id of one. A
   * `Last-Event-ID` of the request comes first: a reader that reconnects is further.
   */
  after?: number | string | undefined
  /** The status if there is nothing to read. 200 has an empty body, for clients that need one. @default 204 */
  empty?: 200 | 204 | undefined
}

/** {@link ResumeOptions}, and the request's head from the adapter. */
export interface ResumeToOptions extends ResumeOptions {
  request?: RequestHead
}

/** The options with the request's head. A value that is not an object is returned as it is: the check refuses it. */
export function withRequest<T extends object>(options: T, request: RequestHead): T & { request: RequestHead }
export function withRequest(options: RelayOptions | undefined, request: RequestHead): RelayToOptions
export function withRequest(options: object | undefined, request: RequestHead): object | undefined {
  if (options === undefined) return { request }
  if (typeof options !== 'object') return options
  try {
    // A plain object is copied. An object that inherits from the options, or a spread with one property more, has a
    // hidden class of its own, which is memory in every open stream.
    if (Object.getPrototypeOf(options ?? {}) === Object.prototype) return Object.assign({}, options, { request })
  } catch {
    // An option that throws when it is read throws again where that is caught.
  }
  return Object.assign(Object.create(options), { request })
}

export const duration: Rule = [
  (value: unknown) => typeof value === 'number' && value >= 0,
  'give a non-negative number of milliseconds',
]
const limit: Rule = [
  (value: unknown) => typeof value === 'number' && value > 0,
  'give a positive number of milliseconds, or Infinity for no limit',
]

/** The options of `relay`. `resume` and `record` take them too, so that one object serves all three. */
const RELAY: Rules<keyof RelayOptions | 'request'> = {
  protocol: [
    (value: Protocol | null) => typeof value?.encoder === 'function',
    'give a protocol of sse-relay/protocols, text() for example',
  ],
  requireFinish: flag,
  toolResults: flag,
  stream: flag,
  heartbeatMs: duration,
  stallTimeoutMs: limit,
  maxDurationMs: limit,
  directWrites: flag,
  retryMs: [
    (value: unknown) => Number.isSafeInteger(value) && (value as number) >= 0,
    'give a non-negative integer of milliseconds',
  ],
  // Checked where they are read, by extraHeaders.
  headers: anything,
  signal: abortSignal,
  shutdown: abortSignal,
  log: anything,
  owner: anything,
  runId: anything,
  abandonMs: duration,
  waitUntil: callback,
  onError: callback,
  onEnd: callback,
  onClose: callback,
  request: internal,
}

/** The options of `resume`: those of `relay`, and two more. */
const RESUME: Rules = {
  ...RELAY,
  after: [
    (value: unknown) => typeof value === 'string' || (Number.isSafeInteger(value) && (value as number) >= 0),
    'give the number of an event, from 0, or the id of one',
  ],
  empty: [(value: unknown) => value === 200 || value === 204, 'give 204, or 200 for clients that need a body'],
}

/**
 * Checks the options of a function of the server.
 *
 * @throws {RelayError} `invalid-option`, naming the option, the value and the remedy.
 */
export function checkOptions(what: string, options: object, rules: Rules, find = findMeant, isLoose = false): void {
  fail(
    isObject(options)
      ? (unknownIn(what, options, rules, find, isLoose) ?? wrongIn(options, rules))
      : `options cannot be ${show(options)}: give an object`,
  )
}

function fail(message: string | undefined): void {
  if (message !== undefined) throw mistake('invalid-option', message)
}

/**
 * Checks the options of `relay`, `resume` or `record`, before anything is sent or asked for.
 *
 * @throws {RelayError} `invalid-option`, as `checkOptions` does; a `TypeError` with that code for the owner.
 */
export function checkRelayOptions(what: 'relay' | 'resume' | 'record', options: RelayOptions): void {
  const rules = what === 'resume' ? RESUME : RELAY
  if (
    typeof options === 'function' ||
    (isObject(options) && (Symbol.asyncIterator in options || 'getReader' in options))
  )
    fail(
      `options cannot be ${show(options)}: ${what === 'resume' ? 'resume takes no source, the log has it' : 'they come after the source'}`,
    )
  checkOptions(what, options, rules)
  // An adapter adds the request to options that are no plain object by inheriting from them: see withRequest.
  const base: object | null = Object.getPrototypeOf(options)
  if (base && base !== Object.prototype) fail(unknownIn(what, base, rules, findMeant))
  const { log, runId, owner, protocol } = options
  // The `runId` of `resume` may come from the address of a page: an invalid one is answered like the id of an unknown
  // run.
  if (runId !== undefined && !(what === 'resume' && typeof runId === 'string')) checkRunId(runId)
  for (const name of ['sentinel', 'heartbeat'] as const) {
    const frame = protocol?.[name]
    if (frame === undefined || frame === '' || (typeof frame === 'string' && frame.endsWith('\n\n'))) continue
    throw invalid(`protocol.${name}`, frame, 'give a whole frame, which ends with a blank line: encodeEvent makes one')
  }
  if (log === undefined && what === 'relay') return
  const methods = (log ?? {}) as unknown as Partial<Record<string, unknown>>
  if (typeof methods.resume !== 'function') {
    let remedy = 'give one of createMemoryLog, createRedisLog or createLog'
    // A client of Redis has a method for each command, `append` and `info` among them.
    if (typeof methods.duplicate === 'function') remedy = 'hand a client of Redis to createRedisLog'
    else if (typeof methods.append === 'function') remedy = 'hand a store to createLog'
    else if (typeof log === 'function') remedy = 'call it once, beside the route: const log = createMemoryLog()'
    else if (typeof methods.info === 'function') remedy = 'that is a logger; use onError and onEnd to write log lines'
    throw invalid('log', log, remedy)
  }
  checkOwner(owner)
}

/** @throws {RelayError} `invalid-option`. */
export function checkRunId(runId: unknown): void {
  if (!isRunId(runId)) throw invalid('runId', runId, 'give 16 to 128 of A-Z a-z 0-9 _ -')
}

/**
 * @param form how to write the call with its owner, for calls whose owner does not stand beside a log.
 * @throws {TypeError} with the code `invalid-option`.
 */
export function checkOwner(owner: unknown, form = ''): void {
  // Half a character is not text: databases store the same sign for every half, so one owner's run would be another's.
  const isHalf = typeof owner === 'string' && /\p{Surrogate}/u.test(owner)
  if (owner === null || (typeof owner === 'string' && owner !== '' && !isHalf)) return
  const remedy = isHalf
    ? 'a lone surrogate is half a character, so give the id whole, as it was before it was cut'
    : typeof owner === 'number'
      ? 'give the id as a string, String(id)'
      : "give the user's id as a string, or null if whoever holds the run's id may read it. A login that is missing must not open the runs of others"
  throw typeMistake('invalid-option', `owner cannot be ${show(owner)}: ${remedy}${form && `. Write ${form}`}`)
}

function invalid(name: string, value: unknown, remedy: string): Error {
  return mistake('invalid-option', `${name} cannot be ${show(value)}: ${remedy}`)
}
