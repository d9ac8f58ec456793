/** How are runs kept in Redis, for several processes? */
import { flag, type Rule, type Rules } from '../check.js'
import { RelayError, show } from '../errors.js'
import { idPrefix, numberFrames } from '../event-id.js'
import { mistake } from '../failure.js'
import { checkOptions, type Log } from '../options.js'
import { ignore, settle } from '../promises.js'
import { nextTurn } from '../tick.js'
import { createLog } from './log.js'
import type { Channel, LogEnd, LogEntry, LogStore, ProducerNews, RunStart, SharedStore, StoredRun } from './store.js'

export type { Log } from '../options.js'

/** The members that are used of a client of `ioredis`: `new Redis()` or `new Cluster()`. */
export interface IORedisClient {
  call(command: string, ...args: (string | number)[]): Promise<unknown>
  duplicate(): unknown
}

/** The members that are used of a client of `redis` (node-redis): `createClient()`, connected. */
export interface NodeRedisClient {
  sendCommand(args: string[], options?: object): Promise<unknown>
  duplicate(): unknown
}

/** The members that are used of a cluster of `redis` (node-redis): `createCluster()`, connected. */
export interface NodeRedisCluster {
  sendCommand(
    firstKey: string | undefined,
    isReadonly: boolean | undefined,
    args: string[],
    options?: object,
  ): Promise<unknown>
  duplicate(): unknown
  readonly masters: unknown
}

/** The members that are used of a client of `redis` (node-redis) that asks sentinels: `createSentinel()`, connected. */
export interface NodeRedisSentinel {
  sendCommand(isReadonly: boolean | undefined, args: string[], options?: object): Promise<unknown>
  duplicate(): unknown
  readonly getSentinelNode: unknown
}

/** A client that {@link createRedisLog} takes. */
export type RedisClient = IORedisClient | NodeRedisClient | NodeRedisCluster | NodeRedisSentinel

/** Options of {@link createRedisLog}. Durations are in milliseconds. */
export interface RedisLogOptions {
  /** How long a run is kept after its end. @default 3600000 (an hour) */
  ttlMs?: number | undefined
  /** What all keys and channels begin with. @default 'sse-relay:' */
  prefix?: string | undefined
  /**
   * A run whose producer was not heard for this long is suspected to be lost. After the same time again it is lost, and
   * its readers get `producer-lost`. All processes need the same value. @default 10000
   */
  leaseMs?: number | undefined
  /** How long a command may take until the log counts as out of reach. @default 2000 */
  timeoutMs?: number | undefined
  /** How many entries of a run are kept at least; an entry is what came in half a second. @default 10000 */
  maxEntries?: number | undefined
  /**
   * Whether messages go by sharded channels, for a cluster of Redis 7: there a plain message goes to every node. All
   * processes of a log must use the same value.
   * @default false
   */
  sharded?: boolean | undefined
}

const integer: Rule = [
  (value: unknown) => Number.isSafeInteger(value) && (value as number) > 0,
  'give a positive integer',
]
const OPTIONS: Rules<keyof RedisLogOptions> = {
  ttlMs: integer,
  prefix: [(value: unknown) => typeof value === 'string' && !/[{}]/.test(value), 'give a string without braces'],
  leaseMs: integer,
  timeoutMs: integer,
  maxEntries: integer,
  sharded: flag,
}

/**
 * A log in Redis (6.2 or later, one node or a cluster): any process reads and stops what another produces, and what was
 * stored outlives its process. Takes a client of `redis` or `ioredis` for its commands, and makes one more connection,
 * a `duplicate()`, to listen on; `log.close()` closes that one.
 *
 * While Redis is out of reach, readers in the process that produces read on, and `onError` is called once per run. A
 * client without a listener for `error` gets one that does nothing: without it a client of `redis` ends its process.
 *
 * @throws {RelayError} `invalid-option` if it is not such a client, and for a bad option.
 * @example
 * ```ts
 * const client = createClient({ url: process.env.REDIS_URL })
 * client.on('error', console.error)
 * await client.connect()
 * const log = createRedisLog(client)
 * ```
 */
export function createRedisLog(client: RedisClient, options: RedisLogOptions = {}): Log {
  checkOptions('createRedisLog', options, OPTIONS)
  const { ttlMs = 3_600_000, prefix = 'sse-relay:', leaseMs = 10_000, timeoutMs = 2000 } = options
  const { maxEntries = 10_000, sharded = false } = options
  const connection = connectionOf(client, sharded)
  // A connection that breaks would end the process, with all its answers. The log itself reports what it could not do.
  const emitter = client as unknown as EventEmitterLike
  if (emitter.listenerCount?.('error') === 0) emitter.on('error', () => {})
  return createLog(new RedisStore(connection, { ttlMs, prefix, leaseMs, timeoutMs, maxEntries, sharded }))
}

/**
 * A check that throws instead of the client's own “The client is closed”, which names no remedy. A client that was
 * never connected is a mistake, not an outage that runs survive. A client that is reconnecting counts as open.
 */
function openness(client: { isOpen?: boolean }): () => void {
  let wasOpen = false
  return () => {
    if (client.isOpen !== false) {
      wasOpen = true
      return
    }
    if (wasOpen) throw new RelayError('log-failure', 'The client of Redis is closed: close the log before the client')
    throw mistake(
      'invalid-option',
      'The client of Redis is not connected: await client.connect() before the log is used',
    )
  }
}

/** One interface for the clients of both packages. */
interface Connection {
  readonly isCluster: boolean
  /** What comes before the keys, and before the channels: the client's own prefix, where it does not add that itself. */
  readonly keyPrefix: string
  readonly channelPrefix: string
  /** What comes after the channels: Redis keeps the keys of its databases apart, and their channels not. */
  readonly channelSuffix: string
  /** Throws if the client cannot send anything. */
  checkOpen(): void
  command(key: string, args: string[]): Promise<unknown>
  /** A connection that only listens. */
  listen(onMessage: (channel: string, message: string) => void, onReady: () => void): Listening
}

interface Listening {
  /** Connects, also after its client has given up, and listens to all channels as before. It may never settle. */
  open(): Promise<unknown> | undefined
  subscribe(channel: string): Promise<unknown>
  unsubscribe(channel: string): Promise<unknown>
  close(): unknown
}

interface EventEmitterLike {
  listenerCount?(event: string): number
  on(event: string, listener: () => void): unknown
}

interface Duplicate {
  on(event: string, listener: (...args: never[]) => void): unknown
  connect(): Promise<unknown>
  /** Of `redis`: whether it is connected, or tries to be. */
  readonly isOpen?: boolean
  /** Of `ioredis`. */
  readonly status?: string
  subscribe(channel: string, listener?: (message: string, channel: string) => void): Promise<unknown>
  unsubscribe(channel: string): Promise<unknown>
  /** Sharded, of `redis`. */
  sSubscribe?(channel: string, listener: (message: string, channel: string) => void): Promise<unknown>
  sUnsubscribe?(channel: string): Promise<unknown>
  /** Sharded, of `ioredis`. */
  ssubscribe?(channel: string): Promise<unknown>
  sunsubscribe?(channel: string): Promise<unknown>
  /** Of `redis` from 5 on. */
  destroy?(): void
  disconnect(): unknown
}

/** What is read of a client's settings. */
interface ClientOptions {
  readonly options?: { keyPrefix?: string; db?: number; database?: number }
  /** Of `redis`, of a cluster too. */
  readonly _keyPrefix?: unknown
}

/** For answers as text, even if the application keeps files in Redis and has its client return bytes. */
const AS_TEXT = { typeMapping: {} }

function connectionOf(client: RedisClient, sharded: boolean): Connection {
  const { call, sendCommand, duplicate } = (client ?? {}) as IORedisClient & NodeRedisClient
  const isIORedis = typeof call === 'function'
  if (!(isIORedis || typeof sendCommand === 'function') || typeof duplicate !== 'function') {
    throw mistake(
      'invalid-option',
      `client cannot be ${show(client)}: give a client, of redis createClient({ url }), of ioredis new Redis(url)`,
    )
  }
  const { sSubscribe, ssubscribe } = client as unknown as Duplicate
  if (sharded && typeof (isIORedis ? ssubscribe : sSubscribe) !== 'function') {
    throw mistake(
      'invalid-option',
      'sharded cannot be true: this client knows no sharded channels. Update it, or leave it out',
    )
  }
  if ((client as { options?: { legacyMode?: boolean } }).options?.legacyMode) {
    throw mistake(
      'invalid-option',
      'client cannot be one in legacyMode, which answers by callbacks: give client.duplicate({ legacyMode: false }), connected',
    )
  }
  const { options, _keyPrefix } = client as ClientOptions
  const ownPrefix = String(_keyPrefix ?? options?.keyPrefix ?? '')
  const database = options?.db ?? options?.database ?? 0
  const names = {
    // `ioredis` adds it to keys, and to a sharded channel, which is a key to it. `redis` does so in methods of its own only.
    keyPrefix: isIORedis ? '' : ownPrefix,
    channelPrefix: isIORedis && sharded ? '' : ownPrefix,
    channelSuffix: database ? `@${database}` : '',
  }
  if (isIORedis) {
    // A cluster's `duplicate` takes nodes and options, one of which makes it listen to shards; that of one node has
    // none.
    const isCluster = typeof (client as { nodes?: unknown }).nodes === 'function'
    return {
      ...names,
      isCluster,
      // It connects with its first command.
      checkOpen() {},
      command: (_key, [name, ...args]) => (client as IORedisClient).call(name as string, ...args),
      listen(onMessage, onReady) {
        // It gets subscriptions while it still connects: so it must queue them, whatever the application's client does.
        const own = { enableOfflineQueue: true, ...(sharded && isCluster && { shardedSubscribers: true }) }
        const { duplicate } = client as unknown as { duplicate(...args: object[]): Duplicate }
        const listener = duplicate.call(client, ...(isCluster ? [[]] : []), own)
        // The listener reconnects by itself, and failed commands say what is wrong.
        listener.on('error', () => {})
        listener.on('ready', onReady)
        const added = sharded ? ownPrefix.length : 0
        listener.on(sharded ? 'smessage' : 'message', (channel: string, message: string) =>
          onMessage(channel.slice(added), message),
        )
        return {
          // It connects with its first command, unless it has given up.
          open: () => (listener.status === 'end' ? listener.connect() : undefined),
          subscribe: (channel) =>
            (sharded ? listener.ssubscribe?.(channel) : listener.subscribe(channel)) as Promise<unknown>,
          unsubscribe: (channel) =>
            (sharded ? listener.sunsubscribe?.(channel) : listener.unsubscribe(channel)) as Promise<unknown>,
          close: () => listener.disconnect(),
        }
      },
    }
  }
  const isCluster = 'masters' in client
  const checkOpen = openness(client as { isOpen?: boolean })
  return {
    ...names,
    isCluster,
    checkOpen,
    async command(key, args) {
      checkOpen()
      if (isCluster) return (client as NodeRedisCluster).sendCommand(key, false, args, AS_TEXT)
      if ('getSentinelNode' in client) return client.sendCommand(false, args, AS_TEXT)
      return (client as NodeRedisClient).sendCommand(args, AS_TEXT)
    },
    listen(onMessage, onReady) {
      const listener = client.duplicate() as Duplicate
      listener.on('error', () => {})
      listener.on('ready', onReady)
      // One function for all: for each that it does not know the client would call back once more.
      const tell = (message: string, channel: string) => onMessage(channel, message)
      let opening: Promise<unknown> | undefined
      return {
        open() {
          if (listener.isOpen === false) opening = listener.connect()
          return opening
        },
        subscribe: (channel) =>
          (sharded ? listener.sSubscribe?.(channel, tell) : listener.subscribe(channel, tell)) as Promise<unknown>,
        unsubscribe: (channel) =>
          (sharded ? listener.sUnsubscribe?.(channel) : listener.unsubscribe(channel)) as Promise<unknown>,
        close: () => (listener.destroy ? listener.destroy() : listener.disconnect()),
      }
    },
  }
}

/**
 * The keys of a run are a hash (`o` owner, `h` headers, `b` begun, `p` its producer, `n` number of the last event, `e`
 * its end, `s` must stop, `l` lost; times of the server: `a` until when it is alive, `k` until when the time to live of
 * its keys need not be set again, `r` until when it is read elsewhere, `u` since when it is suspected to be lost, `w`
 * when that was last looked at), a stream of entries (the id of each is the number of its last event; `f` that of its
 * first, `b` its frames without ids, or `t` with ids where these could not be put back, `e` the end), and a hash of the
 * stops that came before the run (until when each holds, by owner). The script does what must happen as a whole,
 * whatever other processes do, and whenever this one dies. It is one script for all commands: a run's first one leaves
 * it in the server for the next. It answers all questions of a turn, since a call costs more than most questions: the
 * keys and arguments of one follow those of another. What fails is that question's alone, and is answered as a list of
 * one message. Numbers stay texts where they can, since Lua prints and parses its own.
 */
const SCRIPT = `
local call = redis.call
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local leaseMs, keepMs, ttlMs, maxEntries = unpack(ARGV, 1, 4)
local key, arg = 1, 5
local head, frames
local lastMs, lastTime
local function number(value) return tonumber(value) or 0 end
local function after(ms)
  if ms ~= lastMs then lastMs, lastTime = ms, string.format('%d', now + ms) end
  return lastTime
end
local function keep(ms)
  call('PEXPIRE', head, ms)
  call('PEXPIRE', frames, ms)
end
local function news(stopped, readUntil)
  if stopped then return 'stopped' end
  return number(readUntil) > now and 'read' or 'running'
end
local function take(count)
  arg = arg + count
  return unpack(ARGV, arg - count, arg - 1)
end
local function takeStops()
  key = key + 1
  return KEYS[key - 1]
end

local function answer()
  local command = take(1)
  head, frames = KEYS[key], KEYS[key + 1]
  key = key + 2

  if command == 'append' or command == 'end' then
    local before, first, last, kind, frame = take(5)
    local ending, settleMs
    if command == 'end' then ending, settleMs = take(2) end
    local run = call('HMGET', head, 'n', 'e', 'l', 's', 'r', 'k')
    local stored = run[1]
    if not stored then return 'unknown' end
    if run[3] then return 'lost' end
    if stored ~= before and tonumber(last) <= tonumber(stored) then return news(run[4], run[5]) end
    if run[2] then return 'ended' end
    if stored ~= before then return 'hole' end
    if ending then
      call('HSET', head, 'n', last, 'a', after(settleMs), 'e', ending)
      call('XADD', frames, last .. '-0', 'f', first, kind, frame, 'e', ending)
      keep(ttlMs)
    else
      call('XADD', frames, 'MAXLEN', '~', maxEntries, last .. '-0', 'f', first, kind, frame)
      -- While a run goes on, its keys outlive its lease, and are told so once a lease.
      if number(run[6]) > now then
        call('HSET', head, 'n', last, 'a', after(leaseMs))
      else
        call('HSET', head, 'n', last, 'a', after(leaseMs), 'k', after(leaseMs))
        keep(keepMs)
      end
    end
    return news(run[4], run[5])
  end

  if command == 'renew' then
    local ms = take(1)
    local run = call('HMGET', head, 'b', 'e', 'l', 's', 'r')
    if not run[1] then return 'unknown' end
    if run[3] then return 'lost' end
    call('HSET', head, 'a', after(ms))
    if not run[2] then keep(keepMs) end
    return news(run[4], run[5])
  end

  if command == 'begin' then
    local owner, headers, producer, last = take(4)
    local stops = takeStops()
    local run = call('HMGET', head, 'o', 'b', 'a', 'p', 'n', 'e', 'l', 's')
    if run[1] then
      local isAgain = run[4] == producer and not run[6] and not run[7]
      if run[1] ~= owner then return 0 end
      if not isAgain and (run[2] or number(run[3]) <= now) then return 0 end
    end
    -- The first entry makes the stream, and tells it how long to live. This before anything else is written: a Redis that
    -- is full refuses it, except from a script that has written something already.
    call('HSET', head, 'o', owner, 'b', '1', 'h', headers, 'p', producer,
      'n', math.max(last, number(run[5])), 'a', after(leaseMs), 'k', '0')
    call('PEXPIRE', head, keepMs)
    -- A Redis that is short of memory may drop a head alone: what is left is of a run that nobody knows, nor whose it was.
    if not run[2] then call('DEL', frames) end
    -- Begun again, since the answer got lost.
    if run[8] then return 2 end
    local stopUntil = call('HGET', stops, owner)
    if not stopUntil then return 1 end
    call('HDEL', stops, owner)
    if number(stopUntil) <= now then return 1 end
    call('HSET', head, 's', '1')
    return 2
  end

  if command == 'create' then
    local owner, ms, untilMs = take(3)
    local run = call('HMGET', head, 'o', 'b', 'a')
    if run[1] and (run[1] ~= owner or run[2] or number(run[3]) > now) then return 0 end
    call('HSET', head, 'o', owner, 'h', '{}', 'a', after(ms))
    call('PEXPIRE', head, untilMs)
    return 1
  end

  if command == 'stop' then
    local owner, ms = take(2)
    local stops = takeStops()
    local run = call('HMGET', head, 'o', 'b', 'e', 'l', 'a')
    if run[1] and (run[1] ~= owner or run[3] or run[4]) then return 0 end
    if run[2] then
      call('HSET', head, 's', '1')
      return number(run[5]) > now and 1 or 0
    end
    -- Of one id few owners ask, unless they mean harm.
    if call('HLEN', stops) > 16 then call('DEL', stops) end
    call('HSET', stops, owner, after(ms))
    call('PEXPIRE', stops, ms)
    return 0
  end

  local run = call('HMGET', head, 'o', 'h', 'b', 'e', 'l', 'a', 'u', 'w')
  if not run[1] then return false end
  if command == 'watch' and run[3] and not run[4] then
    call('HSET', head, 'r', after(leaseMs))
    if number(run[6]) <= now then
      local since = number(run[7])
      -- Where nobody looked, the store may have been away, and the producer could not be heard.
      if now - number(run[8]) > leaseMs / 2 then since = now end
      call('HSET', head, 'u', since, 'w', now)
      if now - since >= tonumber(leaseMs) then
        run[5] = '1'
        call('HSET', head, 'l', '1')
        keep(ttlMs)
      end
    end
  end
  return { run[1], run[2], run[3] or '', run[4] or '', run[5] or '', math.max(0, number(run[6]) - now) }
end

local answers, count, size = {}, 0, #ARGV
while arg <= size do
  local isAnswered, result = pcall(answer)
  count = count + 1
  if isAnswered then answers[count] = result
  else answers[count] = { type(result) == 'table' and result.err or result } end
end
return answers`

/** How many questions, and about how many characters, one script call takes: Redis does nothing else meanwhile. */
const MAX_QUESTIONS = 64
const MAX_QUESTION_SIZE = 65_536

/** A command of the script, and the promise of its answer. */
interface Question {
  key: string
  name: string
  args: (string | number)[]
  resolve(answer: unknown): void
  reject(error: unknown): void
}

/** The longest time to live that Redis is given: a year counts as for ever. */
const MAX_MS = 31_536_000_000

class RedisStore implements LogStore {
  readonly shared: SharedStore
  readonly #connection: Connection
  readonly #options: Required<RedisLogOptions>
  /** The settings of the log, which each call of the script gets. */
  readonly #settings: string[]
  readonly #listeners = new Map<string, Set<(message: string) => void>>()
  #questions: Question[] = []
  /** Whether the keys of several runs may be in one command: not in a cluster. */
  #canAskTogether: boolean
  #hash: Promise<string> | undefined
  #listening: Listening | undefined
  #closed = false

  constructor(connection: Connection, options: Required<RedisLogOptions>) {
    this.#connection = connection
    this.#options = options
    this.#canAskTogether = !connection.isCluster
    const { leaseMs, ttlMs, maxEntries } = options
    this.#settings = [leaseMs, ttlMs + 3 * leaseMs, ttlMs, maxEntries].map(String)
    const publish = options.sharded ? 'SPUBLISH' : 'PUBLISH'
    this.shared = {
      leaseMs,
      ttlMs,
      renew: async (runId, ms) => (await this.#run('renew', runId, [ms])) as ProducerNews,
      stop: async (runId, { owner, keepMs }) => (await this.#number('stop', runId, [toText(owner), keepMs])) === 1,
      watch: async (runId) => toRun(await this.#run('watch', runId, [])),
      // No timeout: a message may get lost, and a timer for each would cost as much as the message.
      publish: (runId, channel, message) =>
        this.#connection.command(this.#key(runId), [publish, this.#channel(runId, channel), message]) as Promise<void>,
      subscribe: (runId, channel, listener) => this.#subscribe(this.#channel(runId, channel), listener),
    }
  }

  async create(runId: string, { owner, leaseMs }: { owner: string | null; leaseMs: number }): Promise<boolean> {
    const ms = Math.ceil(Math.min(leaseMs, MAX_MS))
    return (await this.#number('create', runId, [toText(owner), ms, ms + this.#options.ttlMs])) === 1
  }

  begin(runId: string, { owner, headers, producer, after = 0 }: RunStart): Promise<boolean | 'stopped'> {
    // Thrown and not rejected: by the time of a rejection an answer may have begun.
    this.#connection.checkOpen()
    const args = [toText(owner), JSON.stringify(headers), producer, after]
    return this.#number('begin', runId, args).then((answer) => (answer === 2 ? 'stopped' : answer === 1))
  }

  async append(runId: string, entry: LogEntry): Promise<ProducerNews> {
    const { first, last, frames, end } = entry
    // Ids are half of a short event, and Lua looks at each character it is given: without ids these are fewer.
    const args = [first - 1, first, last, ...(frames === undefined ? ['t', entry.text] : ['b', frames])]
    if (end) args.push(JSON.stringify({ ...end, settleMs: undefined }), end.settleMs ?? 0)
    const answer = await this.#run(end ? 'end' : 'append', runId, args)
    if (/^(running|read|stopped)$/.test(answer as string)) return answer as ProducerNews
    throw refusal(answer, runId, first)
  }

  async get(runId: string): Promise<StoredRun | undefined> {
    return toRun(await this.#run('get', runId, []))
  }

  async read(runId: string, after: number, limit: number): Promise<LogEntry[]> {
    const key = this.#key(runId)
    const args = ['XRANGE', `${key}:frames`, `${after + 1}-0`, '+', 'COUNT', String(limit)]
    const entries = (await this.#command(key, args)) as [id: string, fields: string[]][]
    return entries.map(([id, [, from, kept, text = '', , end]]) => {
      const [first, last] = [Number(from), Number.parseInt(id, 10)]
      return {
        first,
        last,
        text: kept === 'b' ? numberFrames(text, last - first + 1, idPrefix(runId), first) : text,
        ...(end !== undefined && { end: JSON.parse(end) as LogEnd }),
      }
    })
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#listeners.clear()
    this.#stopListening()
  }

  /** The braces keep the keys of a run on one node of a cluster. */
  #key(runId: string): string {
    return `${this.#connection.keyPrefix}${this.#options.prefix}{${runId}}`
  }

  #channel(runId: string, channel: Channel): string {
    const { channelPrefix, channelSuffix } = this.#connection
    return `${channelPrefix}${this.#options.prefix}{${runId}}:${channel}${channelSuffix}`
  }

  /** Asks together with all questions of this turn: a command costs client and server more than its content. */
  #run(name: string, runId: string, args: (string | number)[]): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const count = this.#questions.push({ key: this.#key(runId), name, args, resolve, reject })
      if (count === 1) nextTurn().then(() => this.#askAll())
    })
  }

  /** The same for an answer that is a number: some clients are set to return those as texts. */
  async #number(name: string, runId: string, args: (string | number)[]): Promise<number> {
    return Number(await this.#run(name, runId, args))
  }

  #askAll(): void {
    const all = this.#questions
    this.#questions = []
    let together: Question[] = []
    let size = 0
    for (const question of all) {
      together.push(question)
      for (const arg of question.args) size += String(arg).length
      if (this.#canAskTogether && together.length < MAX_QUESTIONS && size < MAX_QUESTION_SIZE) continue
      this.#ask(together)
      together = []
      size = 0
    }
    if (together.length > 0) this.#ask(together)
  }

  async #ask(questions: Question[]): Promise<void> {
    const keys: string[] = []
    const args: string[] = []
    for (const question of questions) {
      keys.push(question.key, `${question.key}:frames`)
      if (question.name === 'begin' || question.name === 'stop') keys.push(`${question.key}:stops`)
      args.push(question.name)
      for (const arg of question.args) args.push(String(arg))
    }
    try {
      const answers = (await this.#eval([String(keys.length), ...keys, ...this.#settings, ...args])) as unknown[]
      questions.forEach(({ resolve, reject }, index) => {
        const answer = answers[index]
        if (Array.isArray(answer) && answer.length === 1) reject(new Error(answer[0]))
        else resolve(answer)
      })
    } catch (error) {
      // A node of a cluster, or a proxy before several, refuses such a call before it does anything.
      const isApart = questions.length > 1 && /CROSSSLOT/.test(String((error as Error)?.message))
      if (isApart) this.#canAskTogether = false
      for (const question of questions) {
        if (isApart) this.#ask([question])
        else question.reject(error)
      }
    }
  }

  async #eval(args: string[]): Promise<unknown> {
    this.#hash ??= sha1(SCRIPT)
    const hash = await this.#hash
    const key = args[1] as string
    try {
      return await this.#command(key, ['EVALSHA', hash, ...args])
    } catch (error) {
      if (!/NOSCRIPT/.test(String((error as Error)?.message))) throw error
      return this.#command(key, ['EVAL', SCRIPT, ...args])
    }
  }

  #command(key: string, args: string[]): Promise<unknown> {
    return this.#inTime(args[0] as string, this.#connection.command(key, args))
  }

  /** Adds a timeout: a client that has lost its server keeps commands for later, and says nothing. */
  #inTime<T>(what: string, promise: Promise<T>): Promise<T> {
    const { timeoutMs } = this.#options
    return new Promise((resolve, reject) => {
      const late = () => {
        const message = `Redis did not answer ${what} within ${timeoutMs} ms`
        reject(new RelayError('log-failure', message, { retryable: true }))
      }
      const wait = Math.min(timeoutMs, 0x7fffffff)
      let timer = setTimeout(() => {
        // If this process was busy for that long, the answer may be there: it is read before the next timer fires.
        timer = setTimeout(late)
      }, wait)
      promise.then(resolve, reject).finally(() => clearTimeout(timer))
    })
  }

  async #subscribe(channel: string, listener: (message: string) => void): Promise<() => void> {
    const known = this.#listeners.get(channel)
    if (known) known.add(listener)
    else this.#listeners.set(channel, new Set([listener]))
    const forget = () => {
      const listeners = this.#listeners.get(channel)
      if (!listeners?.delete(listener) || listeners.size > 0) return
      this.#listeners.delete(channel)
      settle(() => this.#listening?.unsubscribe(channel), ignore, ignore)
    }
    try {
      const listening = await this.#inTime('the connection that listens', this.#listen())
      // Also for one more listener, which must not be ready before the channel is known to be listened to.
      await this.#inTime('SUBSCRIBE', listening.subscribe(channel))
    } catch (error) {
      forget()
      throw error
    }
    return forget
  }

  async #listen(): Promise<Listening> {
    if (this.#closed) throw new RelayError('log-failure', 'The log is closed')
    this.#listening ??= this.#connection.listen(
      (channel, message) => this.#tell(channel, message),
      () => this.#tellAll(),
    )
    const listening = this.#listening
    await listening.open()
    return listening
  }

  /** Also while it is connecting: a client that tries for ever would keep the process running. */
  #stopListening(): void {
    const listening = this.#listening
    this.#listening = undefined
    settle(() => listening?.close(), ignore, ignore)
  }

  #tell(channel: string, message: string): void {
    for (const listener of this.#listeners.get(channel) ?? []) listener(message)
  }

  /** The connection listens again after a while in which messages may have been lost. */
  #tellAll(): void {
    for (const channel of this.#listeners.keys()) this.#tell(channel, 'reconnected')
  }
}

function refusal(answer: unknown, runId: string, first: number): RelayError {
  const at = `The event ${first} of the run ${runId} cannot be stored`
  if (answer === 'unknown') return new RelayError('run-not-found', `${at}: Redis does not know the run`)
  if (answer === 'lost') return new RelayError('producer-lost', `${at}: the run was declared lost`)
  if (answer === 'hole') return new RelayError('cursor-gone', `${at}: events before it are missing`)
  return new RelayError('log-failure', `${at}: the run has ended`)
}

function toRun(answer: unknown): StoredRun | undefined {
  if (!answer) return undefined
  const [owner, headers, begun, end, lost, alive] = answer as [string, string, string, string, string, unknown]
  const aliveMs = Number(alive)
  const ended = end !== ''
  return {
    owner: toOwner(owner),
    headers: JSON.parse(headers) as Record<string, string>,
    begun: begun === '1',
    ended,
    ...(ended && { end: JSON.parse(end) as LogEnd, settleMs: aliveMs }),
    lost: lost === '1',
    leaseMs: ended ? 0 : aliveMs,
  }
}

async function sha1(text: string): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-1', new TextEncoder().encode(text))
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0')).join('')
}

/** Texts get a `=`, so that none is stored like the owner `null`. */
function toText(owner: string | null): string {
  return owner === null ? 'null' : `=${owner}`
}

function toOwner(text: string): string | null {
  return text === 'null' ? null : text.slice(1)
}
