/** How are runs kept in Redis, for several processes? */
import type { Rule, Rules } from '../check.js'
import { RelayError, show } from '../errors.js'
import { mistake } from '../failure.js'
import { checkOptions, type Log } from '../options.js'
import { createLog } from './log.js'
import type { Channel, LogEntry, LogStore, SharedStore, StoredRun } from './store.js'

export type { Log } from '../options.js'

/** As much of a client of `ioredis` as is needed: `new Redis()` or `new Cluster()`. */
export interface IORedisClient {
  call(command: string, ...args: (string | number)[]): Promise<unknown>
  duplicate(): unknown
}

/** As much of a client of `redis` (node-redis) as is needed: `createClient()`, connected. */
export interface NodeRedisClient {
  sendCommand(args: string[]): Promise<unknown>
  duplicate(): unknown
}

/** As much of a cluster of `redis` (node-redis) as is needed: `createCluster()`, connected. */
export interface NodeRedisCluster {
  sendCommand(firstKey: string | undefined, isReadonly: boolean | undefined, args: string[]): Promise<unknown>
  duplicate(): unknown
  readonly masters: unknown
}

/** Options of {@link createRedisLog}. Durations are in milliseconds. */
export interface RedisLogOptions {
  /** How long a run is kept after its end. @default 3600000 (an hour) */
  ttlMs?: number | undefined
  /** What all keys and channels begin with. @default 'sse-relay:' */
  prefix?: string | undefined
  /** A run whose producer was not heard for this long is lost: its readers get `producer-lost`. @default 10000 */
  leaseMs?: number | undefined
  /** How long a command may take until the log counts as out of reach. @default 2000 */
  timeoutMs?: number | undefined
  /** How many entries of a run are kept at least; an entry is what one tick of the source made. @default 10000 */
  maxEntries?: number | undefined
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
}

/**
 * A log in Redis (6.2 or later, one node or a cluster): any process reads, stops and outlives what another produces.
 * Takes a client of `redis` or `ioredis` for its commands, and makes one more connection of its own, a `duplicate()`,
 * to be woken by; `log.close()` closes that one.
 *
 * While Redis is out of reach, who reads in the process that produces reads on; `onError` is told once a run.
 *
 * @throws {RelayError} `invalid-option` for what is no such client, and for a bad option.
 * @example
 * ```ts
 * const client = await createClient({ url: process.env.REDIS_URL }).connect()
 * const log = createRedisLog(client)
 * ```
 */
export function createRedisLog(
  client: IORedisClient | NodeRedisClient | NodeRedisCluster,
  options: RedisLogOptions = {},
): Log {
  checkOptions('createRedisLog', options, OPTIONS)
  const { ttlMs = 3_600_000, prefix = 'sse-relay:', leaseMs = 10_000, timeoutMs = 2000, maxEntries = 10_000 } = options
  return createLog(new RedisStore(connectionOf(client), { ttlMs, prefix, leaseMs, timeoutMs, maxEntries }))
}

/** The two clients, made alike. */
interface Connection {
  command(key: string, args: string[]): Promise<unknown>
  /** A connection that only listens. */
  listen(onMessage: (channel: string, message: string) => void, onReady: () => void): Promise<Listening>
}

interface Listening {
  subscribe(channel: string): Promise<unknown>
  unsubscribe(channel: string): Promise<unknown>
  close(): unknown
}

interface Duplicate {
  on(event: string, listener: (...args: never[]) => void): unknown
  connect(): Promise<unknown>
  subscribe(channel: string, listener?: (message: string, channel: string) => void): Promise<unknown>
  unsubscribe(channel: string): Promise<unknown>
  /** Of `redis` from 5 on. */
  destroy?(): void
  disconnect(): unknown
}

function connectionOf(client: IORedisClient | NodeRedisClient | NodeRedisCluster): Connection {
  const { call, sendCommand, duplicate } = (client ?? {}) as IORedisClient & NodeRedisClient
  const isIORedis = typeof call === 'function'
  if (!(isIORedis || typeof sendCommand === 'function') || typeof duplicate !== 'function') {
    throw mistake('invalid-option', `client cannot be ${show(client)}: give a client of redis or ioredis`)
  }
  if (isIORedis) {
    return {
      command: (_key, [name, ...args]) => (client as IORedisClient).call(name as string, ...args),
      async listen(onMessage, onReady) {
        const listener = client.duplicate() as Duplicate
        // It reconnects by itself, and the commands say what is wrong.
        listener.on('error', () => {})
        listener.on('ready', onReady)
        listener.on('message', onMessage)
        return {
          subscribe: (channel) => listener.subscribe(channel),
          unsubscribe: (channel) => listener.unsubscribe(channel),
          close: () => listener.disconnect(),
        }
      },
    }
  }
  const isCluster = 'masters' in client
  return {
    command: (key, args) =>
      isCluster
        ? (client as NodeRedisCluster).sendCommand(key, false, args)
        : (client as NodeRedisClient).sendCommand(args),
    async listen(onMessage, onReady) {
      const listener = client.duplicate() as Duplicate
      listener.on('error', () => {})
      listener.on('ready', onReady)
      await listener.connect()
      return {
        subscribe: (channel) => listener.subscribe(channel, (message) => onMessage(channel, message)),
        unsubscribe: (channel) => listener.unsubscribe(channel),
        close: () => (listener.destroy ? listener.destroy() : listener.disconnect()),
      }
    },
  }
}

/**
 * Of a run: a hash (`o` owner, `h` headers, `b` begun, `n` number of the last event, `s` to be stopped, `e` ended), a
 * stream with an entry for each tick (its id is the number of its last event), and a key that expires with the lease.
 * What must not be torn apart, by another process or by a death in between, is done here. One script for all: a run's
 * first command leaves it in the server for the next ones.
 */
const SCRIPT = `
local head, frames, lease = KEYS[1], KEYS[2], KEYS[3]
local function alive(keepMs, leaseMs)
  redis.call('PEXPIRE', head, keepMs)
  redis.call('PEXPIRE', frames, keepMs)
  redis.call('SET', lease, '', 'PX', leaseMs)
end
local commands = {}

function commands.create(owner, leaseMs, keepMs)
  local run = redis.call('HMGET', head, 'o', 'b')
  if run[1] and (run[1] ~= owner or run[2] or redis.call('EXISTS', lease) == 1) then return 0 end
  redis.call('HSET', head, 'o', owner, 'h', '{}')
  alive(keepMs, leaseMs)
  return 1
end

function commands.begin(owner, leaseMs, keepMs, headers, after)
  local run = redis.call('HMGET', head, 'o', 'b')
  if run[1] and (run[1] ~= owner or run[2] or redis.call('EXISTS', lease) == 0) then return 0 end
  redis.call('HSET', head, 'o', owner, 'b', '1', 'h', headers, 'n', after)
  alive(keepMs, leaseMs)
  return 1
end

function commands.append(first, last, text, ending, keepMs, maxEntries, channel)
  local run = redis.call('HMGET', head, 'n', 'e')
  if not run[1] then return 'unknown' end
  local stored = tonumber(run[1])
  if tonumber(last) <= stored then return 'stored' end
  if run[2] then return 'ended' end
  if tonumber(first) ~= stored + 1 then return 'hole' end
  local fields = { 'f', first, 't', text }
  if ending ~= '' then
    fields[5], fields[6] = 'e', ending
    redis.call('HSET', head, 'e', '1')
    redis.call('PEXPIRE', head, keepMs)
    redis.call('DEL', lease)
  end
  redis.call('XADD', frames, 'MAXLEN', '~', maxEntries, last .. '-0', unpack(fields))
  redis.call('HSET', head, 'n', last)
  redis.call('PEXPIRE', frames, keepMs)
  -- Who is up to date need not read what it is told.
  redis.call('PUBLISH', channel, ending == '' and 'frames ' .. first .. ' ' .. last .. '\\n' .. text or 'frames')
  return 'stored'
end

function commands.renew(leaseMs, keepMs)
  local run = redis.call('HMGET', head, 'n', 's')
  if not run[1] then return 'unknown' end
  alive(keepMs, leaseMs)
  return run[2] and 'stopped' or 'running'
end

return commands[ARGV[1]](unpack(ARGV, 2))`

/** What Redis takes as a time to live; a year is for ever here. */
const MAX_MS = 31_536_000_000

class RedisStore implements LogStore {
  readonly shared: SharedStore
  readonly #connection: Connection
  readonly #options: Required<RedisLogOptions>
  readonly #listeners = new Map<string, Set<(message: string) => void>>()
  #hash: Promise<string> | undefined
  #listening: Promise<Listening> | undefined
  #closed = false

  constructor(connection: Connection, options: Required<RedisLogOptions>) {
    this.#connection = connection
    this.#options = options
    const { leaseMs } = options
    this.shared = {
      leaseMs,
      renew: async (runId) =>
        (await this.#run('renew', runId, [leaseMs, this.#keepMs])) as 'running' | 'stopped' | 'unknown',
      stop: async (runId) => {
        await this.#command(runId, ['HSET', this.#key(runId), 's', '1'])
      },
      publish: async (runId, channel, message) => {
        await this.#command(runId, ['PUBLISH', this.#channel(runId, channel), message])
      },
      subscribe: (runId, channel, listener) => this.#subscribe(this.#channel(runId, channel), listener),
    }
  }

  /** While a run goes on, its keys outlive its lease. */
  get #keepMs(): number {
    return this.#options.ttlMs + this.#options.leaseMs
  }

  async create(runId: string, { owner, leaseMs }: { owner: string | null; leaseMs: number }): Promise<boolean> {
    const ms = Math.ceil(Math.min(leaseMs, MAX_MS))
    return (await this.#run('create', runId, [toText(owner), ms, ms + this.#options.ttlMs])) === 1
  }

  async begin(runId: string, { owner, headers, leaseMs, after = 0 }: Parameters<LogStore['begin']>[1]) {
    const args = [toText(owner), leaseMs, this.#keepMs, JSON.stringify(headers), after]
    return (await this.#run('begin', runId, args)) === 1
  }

  async append(runId: string, { first, last, text, end }: LogEntry): Promise<void> {
    const { ttlMs, maxEntries } = this.#options
    const keepMs = end ? ttlMs : this.#keepMs
    const channel = this.#channel(runId, 'readers')
    const args = [first, last, text, end ? JSON.stringify(end) : '', keepMs, maxEntries, channel]
    const answer = await this.#run('append', runId, args)
    if (answer === 'unknown') throw new RelayError('run-not-found', `There is no run ${runId} in Redis`)
    if (answer !== 'stored') {
      const why = answer === 'ended' ? 'the run has ended' : 'events before it are missing'
      throw new RelayError('log-failure', `The event ${first} cannot be stored: ${why}`)
    }
  }

  async get(runId: string): Promise<StoredRun | undefined> {
    const key = this.#key(runId)
    const [fields, leaseMs] = (await Promise.all([
      this.#command(runId, ['HMGET', key, 'o', 'h', 'b', 'e']),
      this.#command(runId, ['PTTL', `${key}:lease`]),
    ])) as [(string | null)[], number]
    const [owner, headers, begun, ended] = fields
    if (typeof owner !== 'string') return undefined
    return {
      owner: toOwner(owner),
      headers: JSON.parse(headers ?? '{}') as Record<string, string>,
      begun: begun === '1',
      ended: ended === '1',
      leaseMs: Math.max(0, Number(leaseMs)),
    }
  }

  async read(runId: string, after: number, limit: number): Promise<LogEntry[]> {
    const args = ['XRANGE', `${this.#key(runId)}:frames`, `${after + 1}-0`, '+', 'COUNT', String(limit)]
    const entries = (await this.#command(runId, args)) as [id: string, fields: string[]][]
    return entries.map(([id, [, first, , text = '', , end]]) => ({
      first: Number(first),
      last: Number.parseInt(id, 10),
      text,
      ...(end !== undefined && { end: JSON.parse(end) as LogEntry['end'] & object }),
    }))
  }

  async close(): Promise<void> {
    this.#closed = true
    const listening = this.#listening
    this.#listening = undefined
    this.#listeners.clear()
    // It may never have come about.
    listening?.then(({ close }) => close()).catch(() => {})
  }

  /** The braces keep the keys of a run on one node of a cluster. */
  #key(runId: string): string {
    return `${this.#options.prefix}{${runId}}`
  }

  #channel(runId: string, channel: Channel): string {
    return `${this.#key(runId)}:${channel}`
  }

  async #run(name: string, runId: string, args: (string | number)[]): Promise<unknown> {
    const key = this.#key(runId)
    this.#hash ??= sha1(SCRIPT)
    const hash = await this.#hash
    const rest = ['3', key, `${key}:frames`, `${key}:lease`, name, ...args.map(String)]
    try {
      return await this.#command(runId, ['EVALSHA', hash, ...rest])
    } catch (error) {
      if (!/NOSCRIPT/.test(String((error as Error)?.message))) throw error
      return this.#command(runId, ['EVAL', SCRIPT, ...rest])
    }
  }

  #command(runId: string, args: string[]): Promise<unknown> {
    return this.#inTime(args[0] as string, this.#connection.command(this.#key(runId), args))
  }

  /** A client that has lost its server keeps commands for later, and says nothing. */
  #inTime<T>(what: string, promise: Promise<T>): Promise<T> {
    const { timeoutMs } = this.#options
    return new Promise((resolve, reject) => {
      const late = () => {
        const message = `Redis did not answer ${what} within ${timeoutMs} ms`
        reject(new RelayError('log-failure', message, { retryable: true }))
      }
      let timer = setTimeout(() => {
        // Where this process had no time for so long, the answer may be there: it is read before the next timer.
        timer = setTimeout(late)
      }, timeoutMs)
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
      this.#listening?.then(({ unsubscribe }) => unsubscribe(channel)).catch(() => {})
    }
    try {
      const listening = await this.#inTime('the connection that listens', this.#listen())
      // Again for one more listener: it is not told before the channel is known to be listened to.
      await this.#inTime('SUBSCRIBE', listening.subscribe(channel))
    } catch (error) {
      forget()
      throw error
    }
    return forget
  }

  #listen(): Promise<Listening> {
    if (this.#closed) return Promise.reject(new RelayError('log-failure', 'The log is closed'))
    if (!this.#listening) {
      const listening = this.#connection.listen(
        (channel, message) => this.#tell(channel, message),
        () => this.#tellAll(),
      )
      this.#listening = listening
      listening.catch(() => {
        if (this.#listening === listening) this.#listening = undefined
      })
    }
    return this.#listening
  }

  #tell(channel: string, message: string): void {
    for (const listener of this.#listeners.get(channel) ?? []) listener(message)
  }

  /** It listens again after a while in which messages may have been lost. */
  #tellAll(): void {
    for (const channel of this.#listeners.keys()) if (channel.endsWith(':readers')) this.#tell(channel, 'frames')
  }
}

async function sha1(text: string): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-1', new TextEncoder().encode(text))
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0')).join('')
}

/** `null` is an owner that no text is. */
function toText(owner: string | null): string {
  return owner === null ? 'null' : `=${owner}`
}

function toOwner(text: string): string | null {
  return text === 'null' ? null : text.slice(1)
}
