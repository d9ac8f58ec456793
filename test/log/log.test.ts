import Redis from 'ioredis'
import { createClient } from 'redis'
import { createLog, createMemoryLog, type Log, type LogEntry } from 'sse-relay/log'
import { relay, resume } from 'sse-relay/node'
import { createRedisLog } from 'sse-relay/redis'
import { logBehaviours, openClient } from 'sse-relay/testing'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { listening } from '../serving.js'
import { hasRedis, type RedisServer, startRedis } from './redis-server.js'

/** What is to be closed after each test. */
const opened: (() => unknown)[] = []
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close()
})

describe('a log in memory', () => {
  for (const { name, isShared, run } of logBehaviours) {
    if (!isShared) it(name, () => run(createMemoryLog))
  }
})

describe.skipIf(!hasRedis)('a log in Redis', () => {
  let redis: RedisServer
  beforeAll(async () => {
    redis = await startRedis()
  })
  afterAll(() => redis?.close())

  const clients: Record<string, () => Promise<Log>> = {
    async ioredis() {
      const client = new Redis(redis.port, '127.0.0.1')
      const log = createRedisLog(client, { timeoutMs: 20_000 })
      opened.push(
        () => client.disconnect(),
        () => log.close(),
      )
      return log
    },
    async 'node-redis'() {
      const client = await createClient({ socket: { host: '127.0.0.1', port: redis.port } }).connect()
      const log = createRedisLog(client, { timeoutMs: 20_000 })
      opened.push(
        () => client.destroy(),
        () => log.close(),
      )
      return log
    },
  }
  for (const [client, open] of Object.entries(clients)) {
    describe(`through ${client}`, () => {
      for (const { name, run } of logBehaviours) it(name, () => run(open))
    })
  }
})

describe('a run whose producer died while its last events were read', () => {
  it('gives its readers those first', async () => {
    const runId = 'run-of-a-test-0001'
    const lastWords = `id: ${runId}:1\ndata: last words\n\n`
    let tell!: (message: string) => void
    let isDead = false
    let asked!: () => void
    const askedWhenDead = new Promise<void>((resolve) => {
      asked = resolve
    })
    let answer!: (entries: LogEntry[]) => void
    const slow = new Promise<LogEntry[]>((resolve) => {
      answer = resolve
    })
    let reading!: () => void
    const readsSlowly = new Promise<void>((resolve) => {
      reading = resolve
    })
    const log = createLog({
      create: () => false,
      begin: () => false,
      append: () => {},
      get() {
        if (isDead) asked()
        return { owner: 'ann', headers: {}, begun: true, ended: false, leaseMs: isDead ? 0 : 100 }
      },
      read(_, after) {
        if (!isDead || after > 0) return []
        reading()
        return slow
      },
      shared: {
        leaseMs: 100,
        renew: () => 'running',
        stop: () => true,
        publish: () => {},
        subscribe(id, __, listener) {
          if (id === runId) tell = listener
          return () => {}
        },
      },
    })
    const client = openClient(
      await listening((req, res) => resume(req, res, { log, owner: 'ann', runId, heartbeatMs: 20 })),
    )
    // It has found nothing, and waits.
    await client.until(': \n\n')
    isDead = true
    tell('frames')
    await readsSlowly
    await askedWhenDead
    // So that whatever is said now is said.
    await new Promise((resolve) => setTimeout(resolve, 50))
    answer([{ first: 1, last: 1, text: lastWords }])
    expect(await client.until('producer-lost')).toContain(lastWords)
    await client.closed
  })
})

describe('a run that has ended, and whose end the store has not', () => {
  it.each([
    ['that processes share', true],
    ['of one process', false],
  ])('is told to its readers as lost by a store %s', async (_, isShared) => {
    const runId = 'run-of-a-test-0001'
    let ended = false
    const log = createLog({
      create: () => false,
      begin: () => false,
      append: () => {},
      get: () => ({ owner: 'ann', headers: {}, begun: true, ended, leaseMs: ended ? 0 : 100 }),
      read: (_run, after) => (after > 0 ? [] : [{ first: 1, last: 1, text: `id: ${runId}:1\ndata: a word\n\n` }]),
      ...(isShared && {
        shared: {
          leaseMs: 100,
          renew: () => 'running' as const,
          stop: () => true,
          publish: () => {},
          subscribe: () => () => {},
        },
      }),
    })
    opened.push(() => log.close())
    const client = openClient(
      await listening((req, res) => resume(req, res, { log, owner: 'ann', runId, heartbeatMs: 20 })),
    )
    await client.until('a word')
    ended = true
    expect(await client.until('producer-lost')).not.toContain('[DONE]')
    await client.closed
  })
})

describe('what onError throws', () => {
  it('when nobody reads the run is written to the console', async () => {
    const log = createMemoryLog()
    opened.push(() => log.close())
    const mine = new Error('of onError')
    const said: unknown[] = []
    const spy = vi.spyOn(console, 'error').mockImplementation((error) => void said.push(error))
    opened.push(() => spy.mockRestore())
    let fail!: () => void
    const failing = new Promise<void>((resolve) => {
      fail = resolve
    })
    let call!: () => void
    const called = new Promise<void>((resolve) => {
      call = resolve
    })
    const source = async () => {
      call()
      await failing
      throw new Error('of the provider')
    }
    let leave!: () => void
    const left = new Promise<void>((resolve) => {
      leave = resolve
    })
    const url = await listening((req, res) => {
      res.on('close', leave)
      relay(req, res, source, {
        log,
        owner: 'ann',
        onError() {
          throw mine
        },
      })
    })
    const client = openClient(url, { method: 'POST' })
    await called
    client.leave()
    await left
    fail()
    await vi.waitFor(() => expect(said).toEqual([mine]))
  })
})

describe('a store with an entrySize', () => {
  const runId = 'run-of-a-test-0001'
  const owner = 'ann'

  function keeping(entrySize: number) {
    const entries: LogEntry[] = []
    const log = createLog({
      entrySize,
      create: () => true,
      begin: () => true,
      append: (_, entry) => void entries.push(entry),
      get: () => ({ owner, headers: {}, begun: true, ended: entries.at(-1)?.end !== undefined, leaseMs: Infinity }),
      read: (_, after, limit) => entries.filter(({ last }) => last > after).slice(0, limit),
    })
    opened.push(() => log.close())
    return { log, entries }
  }

  /** A source that yields what it is told to, and ends at nothing. */
  function teller() {
    const said: (string | undefined)[] = []
    let wake = () => {}
    const say = (word?: string) => {
      said.push(word)
      wake()
    }
    async function* source() {
      for (;;) {
        while (said.length === 0) await new Promise<void>((resolve) => (wake = resolve))
        const word = said.shift()
        if (word === undefined) return
        yield word
      }
    }
    return { source, say }
  }

  it('is handed that much at once, and readers have each event before', async () => {
    const { log, entries } = keeping(300)
    const { source, say } = teller()
    const url = await listening((req, res) => {
      if (req.method === 'POST') relay(req, res, source, { log, owner, runId })
      else resume(req, res, { log, owner })
    })
    const live = openClient(url, { method: 'POST' })
    const words = Array.from({ length: 30 }, (_, index) => `word ${index + 1}.`)
    const late: ReturnType<typeof openClient>[] = []
    for (const [index, word] of words.entries()) {
      say(word)
      await live.until(word)
      if (index === 2) expect(entries).toEqual([])
      if (index % 7 === 2) {
        const reader = openClient(url, { headers: { 'last-event-id': `${runId}:${index}` } })
        await reader.until(word)
        late.push(reader)
      }
    }
    say()
    const readers = [live, ...late]
    for (const reader of readers) expect((await reader.closed).complete).toBe(true)
    expect(late.map(({ received }) => received)).toEqual(
      late.map((_, index) => live.received.slice(live.received.indexOf(`id: ${runId}:${index * 7 + 3}\n`))),
    )

    expect(entries.map(({ text }) => text).join('')).toBe(live.received)
    expect(entries.slice(0, -1).every(({ text }) => text.length >= 300 && text.length < 400)).toBe(true)
    expect(entries.map(({ first }) => first)).toEqual([1, ...entries.slice(0, -1).map(({ last }) => last + 1)])
    expect(entries.map(({ end }) => end?.outcome)).toEqual([...entries.slice(0, -1).map(() => undefined), 'done'])
  })

  it.each([0, -1, Number.NaN, 65_537, Number.POSITIVE_INFINITY, '512'])('is refused with %s', (entrySize) => {
    expect(() => keeping(entrySize as number)).toThrow(expect.objectContaining({ code: 'invalid-option' }))
  })
})

describe('a store that cannot be read for a while', () => {
  const runId = 'run-of-a-test-0001'
  const entry = (seq: number, text: string): LogEntry => ({
    first: seq,
    last: seq,
    text: `id: ${runId}:${seq}\n${text}\n\n`,
  })
  const entries: LogEntry[] = [
    entry(1, 'data: one'),
    entry(2, 'data: two'),
    { ...entry(3, 'data: [DONE]'), end: { outcome: 'done' } },
  ]

  /** A log whose store gives the first entry, then fails so many times, then gives the others. */
  async function failing(times: number) {
    const errors: unknown[] = []
    const log = createLog({
      create: () => false,
      begin: () => false,
      append: () => {},
      get: () => ({ owner: 'ann', headers: {}, begun: true, ended: true, leaseMs: 0 }),
      async read(_, after) {
        if (after === 0 && times > 0) return entries.slice(0, 1)
        if (times-- > 0) throw new Error('out of reach')
        return entries.filter(({ last }) => last > after)
      },
    })
    const onError = (error: unknown) => {
      errors.push(error)
    }
    const url = await listening((req, res) => resume(req, res, { log, owner: 'ann', onError }))
    return { client: openClient(url, { headers: { 'last-event-id': `${runId}:0` } }), errors }
  }

  it('is asked again, and who reads by then gets the rest', async () => {
    const { client, errors } = await failing(2)
    const { complete } = await client.closed
    expect(complete).toBe(true)
    expect(client.received).toBe(entries.map(({ text }) => text).join(''))
    // Said once, not each time.
    expect(errors).toEqual([expect.objectContaining({ message: 'out of reach' })])
  })

  it('is asked no more when the reader has left', async () => {
    const { client, errors } = await failing(1_000_000)
    await client.until('one')
    client.leave()
    await client.closed
    expect(errors.length).toBeLessThan(2)
  })
})

describe('a long run that is read at once', () => {
  it('lets others come to their turn', async () => {
    const runId = 'run-of-a-test-0001'
    const count = 20_000
    const entries = Array.from({ length: count }, (_, index): LogEntry => {
      const text = `id: ${runId}:${index + 1}\ndata: ${index + 1 < count ? 'x'.repeat(200) : '[DONE]'}\n\n`
      const entry = { first: index + 1, last: index + 1, text }
      return index + 1 < count ? entry : { ...entry, end: { outcome: 'done' } }
    })
    let read = 0
    const log = createLog({
      create: () => false,
      begin: () => false,
      append: () => {},
      get: () => ({ owner: 'ann', headers: {}, begun: true, ended: true, leaseMs: Number.POSITIVE_INFINITY }),
      read(_, after, limit) {
        read = after
        return entries.slice(after, after + limit)
      },
    })
    const url = await listening((req, res) => resume(req, res, { log, owner: 'ann' }))
    const client = openClient(url, { headers: { 'last-event-id': `${runId}:0` } })
    let over = false
    client.closed.then(() => (over = true))
    let most = 0
    for (let before = 0; !over; before = read) {
      await new Promise(setImmediate)
      most = Math.max(most, read - before)
    }
    expect(client.received).toBe(entries.map(({ text }) => text).join(''))
    expect(most).toBeLessThan(2000)
  })
})
