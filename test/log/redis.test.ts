import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import Redis from 'ioredis'
import { createClient, createSentinel, RESP_TYPES } from 'redis'
import { resumeTo } from 'sse-relay'
import { parseSSE, readText } from 'sse-relay/client'
import { type Log, record } from 'sse-relay/log'
import { type RelayOptions, relay, resume } from 'sse-relay/node'
import { createRedisLog, type RedisLogOptions } from 'sse-relay/redis'
import { openClient } from 'sse-relay/testing'
import * as web from 'sse-relay/web'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { freePort } from '../../scripts/free-port.mjs'
import { hasRedis, type RedisServer, startRedis } from './redis-server.js'

const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

async function startServer(options?: Parameters<typeof startRedis>[0]): Promise<RedisServer> {
  const redis = await startRedis(options)
  closing.push(() => redis.close())
  return redis
}

/** For a server that is not there to answer. Of one that is, a busy machine may be late with the answer. */
const UNANSWERED = { timeoutMs: 300 }

/** A log as one process has it. */
function openLog({ port }: RedisServer, options: RedisLogOptions = {}): Log {
  const client = new Redis(port, '127.0.0.1', { retryStrategy: () => 50 })
  client.on('error', () => {})
  const log = createRedisLog(client, { timeoutMs: 20_000, leaseMs: 60_000, ...options })
  closing.push(
    () => client.disconnect(),
    () => log.close(),
  )
  return log
}

/** A source that waits for its token to be asked for. */
function tokenSource() {
  const waiting: ((result: IteratorResult<string>) => void)[] = []
  const ready: IteratorResult<string>[] = []
  let calls = 0
  let call!: () => void
  const called = new Promise<void>((resolve) => {
    call = resolve
  })
  const put = (result: IteratorResult<string>) => {
    const next = waiting.shift()
    if (next) next(result)
    else ready.push(result)
  }
  return {
    get calls() {
      return calls
    },
    called,
    say: (text: string) => put({ done: false, value: text }),
    end: () => put({ done: true, value: undefined }),
    source: () => {
      calls++
      call()
      return {
        [Symbol.asyncIterator]: () => ({
          next: () =>
            new Promise<IteratorResult<string>>((resolve) => {
              const next = ready.shift()
              if (next) resolve(next)
              else waiting.push(resolve)
            }),
        }),
      }
    },
  }
}

/** Serves POST by `relay` and everything else by `resume`; `/other` through another log. */
async function serve(source: () => AsyncIterable<string>, log: Log, options: Partial<RelayOptions> = {}, other = log) {
  const server: Server = createServer((req, res) => {
    const shared = { owner: 'ann', onError: options.onError ?? (() => {}) }
    if (req.method === 'POST') relay(req, res, source, { log, heartbeatMs: 1000, ...shared, ...options })
    else resume(req, res, { log: req.url === '/other' ? other : log, heartbeatMs: 1000, ...shared })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  closing.push(
    () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  )
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

const RUN = 'run-of-a-test-0001'

describe.skipIf(!hasRedis)('with Redis out of reach', () => {
  it('who reads in the process that produces gets every token and the end, and the failure is reported once', async () => {
    const redis = await startServer()
    const errors: unknown[] = []
    let report!: () => void
    const reported = new Promise<void>((resolve) => {
      report = resolve
    })
    const told = tokenSource()
    const onError = (error: unknown) => {
      errors.push(error)
      report()
    }
    // Its end is told at once only while Redis was heard lately.
    const url = await serve(told.source, openLog(redis, UNANSWERED), { onError })
    const client = openClient(url, { method: 'POST' })
    told.say('one ')
    await client.until('one ')
    await redis.kill()
    for (const word of ['two ', 'three ', 'four ']) {
      told.say(word)
      await client.until(word)
    }
    await reported
    told.end()
    await client.until('[DONE]')
    expect(client.received.match(/"text":"[a-z ]+"/g)).toEqual([
      '"text":"one "',
      '"text":"two "',
      '"text":"three "',
      '"text":"four "',
    ])
    await client.closed
    expect(errors).toHaveLength(1)
    expect(errors[0]).toMatchObject({ message: expect.stringMatching(/Redis|Connection|connect/) })
  })

  it('a run that the client named begins all the same, and resume says what it cannot do: 503, and retryable', async () => {
    const redis = await startServer()
    const log = openLog(redis, UNANSWERED)
    await redis.kill()
    const told = tokenSource()
    const url = await serve(told.source, log)
    const client = openClient(url, { method: 'POST', headers: { 'x-run-id': RUN } })
    told.say('one ')
    await client.until('one ')
    const foreign = await fetch(url, { headers: { 'last-event-id': 'another-run-of-a-test:0' } })
    expect(foreign.status).toBe(503)
    expect(await foreign.json()).toEqual({
      error: { code: 'log-failure', message: expect.any(String), retryable: true },
    })
    told.end()
    await client.until('[DONE]')
    expect(told.calls).toBe(1)
  })

  it('an answer that came while this process had no time for it is an answer', async () => {
    const log = openLog(await startServer(), { timeoutMs: 1000 })
    await log.stop(RUN, { owner: 'ann' })
    const stopped = log.stop(RUN, { owner: 'ann' })
    const from = performance.now()
    // Longer than a command may take.
    while (performance.now() - from < 1200);
    expect(await stopped).toBe(false)
  })

  // What it says stands in test/package/mistakes.test.ts.
  it('a client of redis that was never connected is no outage: nothing begins, until it is', async () => {
    const redis = await startServer()
    const client = createClient({ socket: { port: redis.port } })
    const log = createRedisLog(client as never)
    closing.push(() => log.close())
    const told = tokenSource()
    const url = await serve(told.source, log, { onError() {} })
    const requests: Record<string, string>[] = [{}, { 'x-run-id': RUN }, { 'last-event-id': `${RUN}:0` }]
    for (const headers of requests) {
      const refused = await fetch(url, { method: 'POST', headers })
      expect(refused.status).toBe(500)
      expect(await refused.json()).toMatchObject({ error: { code: 'invalid-option', retryable: false } })
    }
    expect(told.calls).toBe(0)
    await client.connect()
    const answered = openClient(url, { method: 'POST', headers: { 'x-run-id': RUN } })
    told.say('one ')
    await answered.until('one ')
    // Once it was, who is asked reads on, whatever becomes of it.
    client.destroy()
    const another = openClient(url, { method: 'POST' })
    await vi.waitFor(() => expect(told.calls).toBe(2), { timeout: 30_000 })
    // One of the two gets each.
    told.say('two ')
    told.say('three ')
    await Promise.all([answered, another].map((reader) => reader.until((text) => /two |three /.test(text))))
  })

  it('a client of ioredis that connects when it is first asked is asked', async () => {
    const redis = await startServer()
    const client = new Redis(redis.port, '127.0.0.1', { lazyConnect: true })
    const log = createRedisLog(client)
    closing.push(
      () => client.disconnect(),
      () => log.close(),
    )
    expect(await log.create(RUN, { owner: 'ann' })).toBe(true)
  })

  it('a client of redis to whose errors nobody listens ends no process: the log is there again with its Redis', async () => {
    const redis = await startServer()
    const client = await createClient({ socket: { port: redis.port, reconnectStrategy: () => 50 } }).connect()
    const log = createRedisLog(client as never)
    closing.push(async () => {
      await log.close()
      client.destroy()
    })
    await redis.kill()
    await vi.waitFor(() => expect(client.isReady).toBe(false), { timeout: 30_000 })
    await redis.restart()
    await vi.waitFor(() => log.stop(RUN, { owner: 'ann' }), { timeout: 30_000 })
    const listened = createClient().on('error', () => {})
    createRedisLog(listened as never)
    expect(listened.listenerCount('error')).toBe(1)
  })

  it('a log that closes lets go of the connection that it could not make: it keeps no process', async () => {
    const redis = await startServer()
    const client = await createClient({ socket: { port: redis.port } }).connect()
    const made: ReturnType<typeof client.duplicate>[] = []
    const duplicate = () => {
      made.push(client.duplicate())
      return made[0]
    }
    const log = createRedisLog(Object.assign(Object.create(client), { duplicate }), { timeoutMs: 300 })
    closing.push(() => client.destroy())
    await redis.kill()
    const told = tokenSource()
    const url = await serve(told.source, log)
    const reader = openClient(url, { method: 'POST' })
    await expect.poll(() => made[0]?.isOpen, { timeout: 30_000 }).toBe(true)
    await log.close()
    expect(made.map(({ isOpen }) => isOpen)).toEqual([false])
    await reader.closed
  })

  it.each([
    ['gone', (redis: RedisServer) => redis.kill()],
    ['full', (redis: RedisServer) => redis.cli('CONFIG', 'SET', 'maxmemory', '1')],
  ])('a worker says that it cannot record, since it is %s, and its source is not called', async (_, fail) => {
    const redis = await startServer()
    const log = openLog(redis, UNANSWERED)
    await fail(redis)
    const told = tokenSource()
    await expect(record(told.source, { log, runId: RUN, owner: 'ann' })).rejects.toMatchObject({
      code: 'log-failure',
      retryable: true,
    })
    expect(told.calls).toBe(0)
  })
})

describe.skipIf(!hasRedis)('with Redis restarted', () => {
  /** Who reads says so again in each third of it. */
  const READ_ELSEWHERE = { leaseMs: 4500 }

  it.each([
    ['what it kept', ['--appendonly', 'yes', '--appendfsync', 'always']],
    ['nothing', []],
  ])('%s: reading goes on, here and in another process, with no hole and no duplicate', async (_, args) => {
    const redis = await startServer({ args })
    const told = tokenSource()
    const url = await serve(told.source, openLog(redis, READ_ELSEWHERE), {}, openLog(redis, READ_ELSEWHERE))
    const here = openClient(url, { method: 'POST', headers: { 'x-run-id': RUN } })
    told.say('1 ')
    await here.until('1 ')
    const there = openClient(`${url}/other`, { headers: { 'last-event-id': `${RUN}:0` } })
    await there.until('"1 "')
    await redis.kill()
    told.say('2 ')
    await here.until('"2 "')
    await redis.restart()
    told.say('3 ')
    await here.until('"3 "')
    await there.until('"3 "')
    told.say('4 ')
    told.end()
    await here.until('[DONE]')
    await there.until('[DONE]')
    for (const { received } of [here, there]) {
      expect(received.match(/^id: .*$/gm)).toEqual([1, 2, 3, 4, 5].map((seq) => `id: ${RUN}:${seq}`))
    }
    if (args.length > 0) {
      const late = await fetch(`${url}/other`, { headers: { 'last-event-id': `${RUN}:1` } })
      let text = ''
      for await (const piece of readText(late)) text += piece
      expect(text).toBe('2 3 4 ')
    }
  })
})

describe.skipIf(!hasRedis)('a producer that is killed', () => {
  function startProducer({ port }: RedisServer, everyMs: number, leaseMs: number): ChildProcess {
    const file = fileURLToPath(new URL('./producer.mjs', import.meta.url))
    const worker = spawn(process.execPath, [file, ...[port, RUN, 100_000, everyMs, leaseMs].map(String)], {
      stdio: ['ignore', 'inherit', 'inherit'],
    })
    closing.push(() => worker.kill('SIGKILL'))
    return worker
  }

  it('is missed within its lease: the readers have every token it stored, and then producer-lost', async () => {
    const redis = await startServer()
    const leaseMs = 1000
    const url = await serve(tokenSource().source, openLog(redis, { leaseMs }))
    const worker = startProducer(redis, 5, leaseMs)
    // The run is unknown until the worker has begun it.
    const deadline = Date.now() + 20_000
    let response: Response
    do {
      response = await fetch(url, { headers: { 'last-event-id': `${RUN}:0` } })
    } while (response.status === 404 && Date.now() < deadline)
    const seqs: number[] = []
    const reading = (async () => {
      for await (const { id } of parseSSE(response)) {
        seqs.push(Number(id?.split(':')[1]))
        if (seqs.length === 50) worker.kill('SIGKILL')
      }
    })()
    await expect(reading).rejects.toMatchObject({ code: 'producer-lost', retryable: true })
    expect(seqs).toEqual(seqs.map((_, index) => index + 1))
    // Who comes for it later hears the same, and an EventSource that comes again is sent home.
    const late = openClient(url, { headers: { 'last-event-id': `${RUN}:${seqs.length}` } })
    await late.until('"producer-lost"')
    expect(late.received).toContain(`id: ${RUN}:end\n`)
    expect((await fetch(url, { headers: { 'last-event-id': `${RUN}:end` } })).status).toBe(204)
  })

  it('before its first token is missed within its lease too, by who has waited for it to begin', async () => {
    const redis = await startServer()
    const leaseMs = 1000
    const log = openLog(redis, { leaseMs })
    const url = await serve(tokenSource().source, log)
    // Nothing but the lease tells of it before the hour is over.
    await log.create(RUN, { owner: 'ann', startMs: 3_600_000 })
    const reader = openClient(url, { headers: { 'last-event-id': `${RUN}:0` } })
    await reader.until(': ')
    const client = new Redis(redis.port, '127.0.0.1')
    closing.push(() => client.disconnect())
    const worker = startProducer(redis, 100_000, leaseMs)
    const deadline = Date.now() + 20_000
    while ((await client.hget(`sse-relay:{${RUN}}`, 'b')) === null && Date.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    worker.kill('SIGKILL')
    await reader.until('"producer-lost"')
  })
})

describe.skipIf(!hasRedis)('a producer that does not listen yet', () => {
  /** A log whose subscriptions wait until they are let, or fail. */
  function openDeaf({ port }: RedisServer) {
    const client = new Redis(port, '127.0.0.1')
    let listen!: () => void
    let fail!: (error: Error) => void
    const gate = new Promise<void>((resolve, reject) => {
      listen = resolve
      fail = reject
    })
    const duplicate = () => {
      const listener = client.duplicate()
      const subscribe = (channel: string) => gate.then(() => Redis.prototype.subscribe.call(listener, channel))
      return Object.assign(listener, { subscribe })
    }
    // So long a lease that no renewal comes within the test.
    const log = createRedisLog(
      { call: client.call.bind(client) as typeof client.call, duplicate },
      { leaseMs: 600_000, timeoutMs: 60_000 },
    )
    closing.push(
      () => client.disconnect(),
      () => log.close(),
    )
    return { log, listen, fail }
  }

  it('is stopped as soon as it listens by the stop that came before', async () => {
    const redis = await startServer()
    const { log, listen } = openDeaf(redis)
    const told = tokenSource()
    let stopped!: () => void
    const aborted = new Promise<void>((resolve) => {
      stopped = resolve
    })
    const summary = record(
      ({ signal }) => {
        signal.addEventListener('abort', () => stopped())
        return told.source()
      },
      { log, runId: RUN, owner: 'ann' },
    )
    await told.called
    expect(await openLog(redis).stop(RUN, { owner: 'ann' })).toBe(true)
    listen()
    await aborted
    expect(await summary).toMatchObject({ outcome: 'stopped' })
  })

  it('does not complain of it once its run has ended', async () => {
    const { log, fail } = openDeaf(await startServer())
    const errors: unknown[] = []
    const onError = (error: unknown) => void errors.push(error)
    const told = tokenSource()
    told.end()
    expect(await record(told.source, { log, runId: RUN, owner: 'ann', onError })).toMatchObject({ outcome: 'done' })
    fail(new Error('The connection was closed'))
    await new Promise(setImmediate)
    expect(errors).toEqual([])
  })
})

describe.skipIf(!hasRedis)('a reader that leaves while Redis is asked for its run', () => {
  it('leaves nothing behind: the next one is told that the run is lost', async () => {
    const redis = await startServer()
    const client = new Redis(redis.port, '127.0.0.1')
    let answer!: () => void
    const gate = new Promise<void>((resolve) => {
      answer = resolve
    })
    const call = async (command: string, ...args: (string | number)[]) => {
      const result = await client.call(command, ...args)
      if (args.includes('get')) await gate
      return result
    }
    const log = createRedisLog({ call, duplicate: () => client.duplicate() }, { timeoutMs: 20_000 })
    closing.push(
      () => client.disconnect(),
      () => log.close(),
    )
    await log.create(RUN, { owner: 'ann', startMs: 200 })
    const sink = { open() {}, write: () => true, end() {}, destroy() {}, schedule: setImmediate }
    const handle = resumeTo(sink, `${RUN}:0`, { log, owner: 'ann' })
    handle.left()
    expect(await handle.done).toMatchObject({ outcome: 'disconnected' })
    answer()
    // Until its time is over, and long enough for whoever would have noticed.
    await new Promise((resolve) => setTimeout(resolve, 600))
    const next = openClient(await serve(tokenSource().source, log), { headers: { 'last-event-id': `${RUN}:0` } })
    await next.until('"producer-lost"')
    await next.closed
    // The process listens on, for the next run that it reads.
    await expect.poll(() => client.pubsub('CHANNELS', `*${RUN}*`)).toEqual([])
  })
})

describe.skipIf(!hasRedis)('a lease and a time limit of years', () => {
  it('are longer than a timer can wait, and are waited for all the same', async () => {
    const redis = await startServer()
    const years = 100 * 366 * 86_400_000
    const log = openLog(redis, { leaseMs: years, timeoutMs: years })
    const told = tokenSource()
    const run = record(told.source, { log, runId: RUN, owner: 'ann' })
    told.say('one')
    const commands = async () => Number(/total_commands_processed:(\d+)/.exec(await redis.cli('INFO', 'stats'))?.[1])
    await expect.poll(() => redis.cli('PUBSUB', 'CHANNELS')).toContain(`{${RUN}}:producer`)
    const before = await commands()
    await new Promise((resolve) => setTimeout(resolve, 1500))
    expect((await commands()) - before).toBeLessThan(20)
    told.end()
    expect(await run).toMatchObject({ outcome: 'done' })
  })
})

describe.skipIf(!hasRedis)('a client that', () => {
  /** What is asked of it: a run in one process, read, stopped and asked for in another. */
  async function works(clients: [unknown, unknown]) {
    const [here, there] = clients.map((client) => {
      const log = createRedisLog(client as never, { timeoutMs: 20_000, leaseMs: 1500 })
      closing.push(() => log.close())
      return log
    }) as [Log, Log]
    const owner = 'ann'
    expect(await here.create(RUN, { owner })).toBe(true)
    const told = tokenSource()
    const run = record(told.source, { log: there, runId: RUN, owner })
    const answer = web.resume(new Request('http://localhost/', { headers: { 'last-event-id': `${RUN}:0` } }), {
      log: here,
      owner,
    })
    told.say('one ')
    await answer
    told.say('two')
    await expect.poll(() => here.status(RUN, { owner })).toEqual({ state: 'running' })
    expect(await here.stop(RUN, { owner })).toBe(true)
    expect(await run).toMatchObject({ outcome: 'stopped' })
    expect(await (await answer).text()).toMatch(/"one ".*"two".*event: error\ndata: .*"stopped"/s)
    expect(await here.status(RUN, { owner })).toEqual({ state: 'ended', outcome: 'stopped' })
  }

  it('makes texts of numbers is understood', async () => {
    const redis = await startServer()
    const open = () => {
      const client = new Redis(redis.port, '127.0.0.1', { stringNumbers: true })
      closing.push(() => client.disconnect())
      return client
    }
    await works([open(), open()])
  })

  it('makes bytes of texts, for the files that others keep there, is understood', async () => {
    const redis = await startServer()
    const open = async () => {
      const client = createClient({
        url: `redis://127.0.0.1:${redis.port}`,
        commandOptions: { typeMapping: { [RESP_TYPES.BLOB_STRING]: Buffer } },
      })
      await client.on('error', () => {}).connect()
      closing.push(() => client.destroy())
      return client
    }
    await works([await open(), await open()])
  })

  it.each([false, true])('has a prefix for keys is heard, by channels that are sharded: %s', async (sharded) => {
    const redis = await startServer()
    const client = new Redis(redis.port, '127.0.0.1', { keyPrefix: 'app:' })
    closing.push(() => client.disconnect())
    const log = createRedisLog(client, { leaseMs: 60_000, sharded })
    closing.push(() => log.close())
    const run = record(tokenSource().source, { log, runId: RUN, owner: 'ann' })
    const [channels, publish] = sharded ? ['SHARDCHANNELS', 'SPUBLISH'] : ['CHANNELS', 'PUBLISH']
    await expect.poll(() => redis.cli('PUBSUB', channels), { timeout: 15_000 }).toContain(`{${RUN}}:producer`)
    const [channel] = (await redis.cli('PUBSUB', channels)).split('\n')
    await redis.cli(publish, channel as string, 'stop "ann"')
    expect(await run).toMatchObject({ outcome: 'stopped' })
  })

  const kinds = {
    async redis({ port }: RedisServer, options: { keyPrefix?: string; database?: number } = {}) {
      const client = createClient({ url: `redis://127.0.0.1:${port}`, ...options })
      await client.on('error', () => {}).connect()
      closing.push(() => client.destroy())
      return client
    },
    async ioredis({ port }: RedisServer, { keyPrefix, database }: { keyPrefix?: string; database?: number } = {}) {
      const client = new Redis(port, '127.0.0.1', {
        ...(keyPrefix && { keyPrefix }),
        ...(database && { db: database }),
      })
      closing.push(() => client.disconnect())
      return client
    },
  }
  const kept: [string, (redis: RedisServer, what: { keyPrefix?: string; database?: number }) => Promise<unknown>][] =
    Object.entries(kinds)
  const apart: [string, { keyPrefix?: string; database?: number }][] = [
    ['database', { database: 3 }],
    ['prefix for keys', { keyPrefix: 'staging:' }],
  ]
  for (const [kind, open] of kept) {
    it.each(apart)(`of ${kind}, has a %s of its own has runs of its own, under the same ids`, async (_, what) => {
      const redis = await startServer()
      const openLog = async (own: object) => {
        const log = createRedisLog((await open(redis, own)) as never, { leaseMs: 60_000, timeoutMs: 20_000 })
        closing.push(() => log.close())
        return log
      }
      const told = [tokenSource(), tokenSource()] as const
      const runs: Promise<{ outcome: string }>[] = []
      const answers: Promise<Response>[] = []
      const owner = 'ann'
      for (const [index, own] of [{}, what].entries()) {
        const there = await openLog(own)
        await there.create(RUN, { owner })
        answers.push(web.resume(new Request('http://localhost/'), { log: there, owner, runId: RUN }))
        runs.push(
          record((told[index] as ReturnType<typeof tokenSource>).source, {
            log: await openLog(own),
            runId: RUN,
            owner,
          }),
        )
      }
      for (const [index, { say }] of told.entries()) for (const word of ['one', 'two']) say(`${word} of ${index} `)
      // It tells only its own.
      const other = await openLog(what)
      expect(await other.stop(RUN, { owner })).toBe(true)
      expect(await runs[1]).toMatchObject({ outcome: 'stopped' })
      for (const { say } of told) say('three ')
      told[0].end()
      expect(await runs[0]).toMatchObject({ outcome: 'done' })
      const [text, staged] = await Promise.all(answers.map(async (answer) => (await answer).text()))
      expect(text).not.toContain('of 1')
      expect(text).toContain('[DONE]')
      expect(staged).not.toContain('of 0')
    })
  }

  /** Whether a process that reads a run of another is told what is new. It looks by itself, but the next time is in 20 s. */
  async function isTold(redis: RedisServer, log: Log, runId: string) {
    await log.create(runId, { owner: null })
    const sink = { open() {}, write: () => true, end() {}, destroy() {}, schedule: setImmediate }
    const handle = resumeTo(sink, `${runId}:0`, { log, owner: null })
    closing.push(() => handle.left())
    await expect
      .poll(() => redis.cli('PUBSUB', 'CHANNELS', `*${runId}*`), { timeout: 15_000 })
      .toContain(`{${runId}}:readers`)
  }

  it('keeps no command until it is connected listens all the same', async () => {
    const redis = await startServer()
    const client = new Redis(redis.port, '127.0.0.1', { enableOfflineQueue: false })
    closing.push(() => client.disconnect())
    await once(client, 'ready')
    const log = createRedisLog(client, { leaseMs: 60_000 })
    closing.push(() => log.close())
    await isTold(redis, log, RUN)
  })

  it.each(['redis', 'ioredis'])('gives up, of %s, listens again when it is connected again', async (kind) => {
    const redis = await startServer()
    const options = { leaseMs: 60_000, timeoutMs: 20_000 }
    const port = redis.port
    const client =
      kind === 'redis'
        ? createClient({ socket: { host: '127.0.0.1', port, reconnectStrategy: () => new Error('given up') } })
        : new Redis({ host: '127.0.0.1', port, retryStrategy: () => null, lazyConnect: true })
    client.on('error', () => {})
    await client.connect()
    closing.push(() => client.disconnect())
    const log = createRedisLog(client, options)
    closing.push(() => log.close())
    await isTold(redis, log, RUN)
    await redis.kill()
    await expect.poll(() => ('isOpen' in client ? client.isOpen : client.status !== 'end')).toBe(false)
    await redis.restart()
    await client.connect()
    const next = 'run-of-a-test-0002'
    await isTold(redis, log, next)
    // So are those that it was told of before.
    await expect.poll(() => redis.cli('PUBSUB', 'CHANNELS', `*${RUN}*`)).toContain(`{${RUN}}:readers`)
  })

  it.each(['redis', 'ioredis'])(
    'has not listened for a while, of %s, asks who reads what it produces',
    async (kind) => {
      const redis = await startServer()
      const client =
        kind === 'redis'
          ? createClient({ socket: { host: '127.0.0.1', port: redis.port, reconnectStrategy: () => 20 } })
          : new Redis({ host: '127.0.0.1', port: redis.port, retryStrategy: () => 20, lazyConnect: true })
      await client.on('error', () => {}).connect()
      closing.push(() => client.disconnect())
      const log = createRedisLog(client, { leaseMs: 60_000 })
      closing.push(() => log.close())
      const run = record(tokenSource().source, { log, owner: null, runId: RUN })
      const channel = `sse-relay:{${RUN}}`
      await expect.poll(() => redis.cli('PUBSUB', 'CHANNELS'), { timeout: 15_000 }).toContain(`${channel}:producer`)
      const [, id] = /id=(\d+)/.exec(await redis.cli('CLIENT', 'LIST', 'TYPE', 'PUBSUB')) ?? []
      const said: string[] = []
      const reader = new Redis(redis.port)
      closing.push(() => reader.disconnect())
      reader.on('message', (_, message) => said.push(message))
      await reader.subscribe(`${channel}:readers`)
      await redis.cli('CLIENT', 'KILL', 'ID', id as string)
      await expect.poll(() => said, { timeout: 15_000 }).toContain('who')
      await log.stop(RUN, { owner: null })
      await run
    },
  )

  it.each(['redis', 'ioredis'])('asks sentinels for its server works, of %s', async (kind) => {
    const redis = await startServer()
    const dir = mkdtempSync(join(tmpdir(), 'sentinel-'))
    const port = await freePort()
    const config = join(dir, 'sentinel.conf')
    writeFileSync(config, `port ${port}\nbind 127.0.0.1\nsentinel monitor main 127.0.0.1 ${redis.port} 1\n`)
    const sentinel = spawn('redis-server', [config, '--sentinel'], { stdio: 'ignore' })
    closing.push(async () => {
      const gone = new Promise((resolve) => sentinel.on('exit', resolve))
      sentinel.kill('SIGKILL')
      await gone
      rmSync(dir, { recursive: true })
    })
    const node = { host: '127.0.0.1', port }
    await vi.waitFor(
      async () => {
        const asked = new Redis({ ...node, maxRetriesPerRequest: 0 }).on('error', () => {})
        await asked.ping().finally(() => asked.disconnect())
      },
      { timeout: 30_000 },
    )
    const open = async () => {
      if (kind === 'ioredis') {
        const client = new Redis({ sentinels: [node], name: 'main' })
        closing.push(() => client.disconnect())
        return client
      }
      const client = await createSentinel({ name: 'main', sentinelRootNodes: [node] })
        .on('error', () => {})
        .connect()
      closing.push(() => client.destroy())
      return client
    }
    await works([await open(), await open()])
  })
})

describe.skipIf(!hasRedis)('what many runs ask at one time', () => {
  const runIds = Array.from({ length: 200 }, (_, index) => `run-of-a-test-${1000 + index}`)
  const recordAll = (log: Log, ids = runIds) =>
    Promise.allSettled(ids.map((runId) => record(['one ', 'x'.repeat(1000)], { log, runId, owner: runId })))
  const textOf = async (log: Log, runId: string) => {
    const answer = await web.resume(new Request('http://localhost/', { headers: { 'last-event-id': `${runId}:0` } }), {
      log,
      owner: runId,
    })
    let text = ''
    for await (const piece of readText(answer)) text += piece
    return text
  }

  it('is a few commands, and what fails of it is that run’s alone', async () => {
    const redis = await startServer()
    const log = openLog(redis)
    const [foreign] = runIds as [string]
    await redis.cli('SET', `sse-relay:{${foreign}}`, 'of something else')
    const [first, ...others] = await recordAll(log)
    expect(first).toMatchObject({
      status: 'rejected',
      reason: { code: 'log-failure', cause: { message: /WRONGTYPE/ } },
    })
    for (const other of others) expect(other).toMatchObject({ value: { outcome: 'done' } })
    const scripts = Number(/^cmdstat_evalsha:calls=(\d+)/m.exec(await redis.cli('INFO', 'commandstats'))?.[1])
    expect(scripts).toBeLessThan(runIds.length / 4)
    for (const runId of runIds.slice(-3)) expect(await textOf(log, runId)).toBe(`one ${'x'.repeat(1000)}`)
  })

  it('is asked one by one of a node of a cluster, or of a proxy, that says that it cannot be asked together', async () => {
    const redis = await startServer({ isNode: true })
    await redis.cli('CLUSTER', 'ADDSLOTS', ...Array.from({ length: 16_384 }, (_, slot) => String(slot)))
    await expect.poll(() => redis.cli('CLUSTER', 'INFO'), { timeout: 30_000 }).toContain('cluster_state:ok')
    const log = openLog(redis)
    const ids = runIds.slice(0, 20)
    for (const done of await recordAll(log, ids)) expect(done).toMatchObject({ value: { outcome: 'done' } })
    for (const runId of ids) expect(await textOf(log, runId)).toBe(`one ${'x'.repeat(1000)}`)
  })
})

describe.skipIf(!hasRedis)('what is in Redis', () => {
  it('expires, and what was trimmed is gone for who asks for it: 410', async () => {
    const redis = await startServer()
    const log = openLog(redis, { maxEntries: 10, ttlMs: 60_000 })
    const client = new Redis(redis.port, '127.0.0.1')
    closing.push(() => client.disconnect())
    // Each token is an entry: so much is stored at once. Redis trims by nodes of a hundred entries.
    await record(
      async function* () {
        for (let token = 1; token <= 400; token++) {
          yield `${token} ${token < 395 ? 'x'.repeat(16_384) : ''}`
          await new Promise((resolve) => setImmediate(resolve))
        }
      },
      { log, runId: RUN, owner: 'ann' },
    )
    const keys = (await client.keys('*')).sort()
    expect(keys).toEqual([`sse-relay:{${RUN}}`, `sse-relay:{${RUN}}:frames`])
    for (const key of keys) expect(await client.pttl(key)).toBeGreaterThan(50_000)
    for (const key of keys) expect(await client.pttl(key)).toBeLessThanOrEqual(60_000)
    const url = await serve(tokenSource().source, log)
    const gone = await fetch(url, { headers: { 'last-event-id': `${RUN}:0` } })
    expect(gone.status).toBe(410)
    expect(await gone.json()).toMatchObject({ error: { code: 'cursor-gone' } })
    const rest = await fetch(url, { headers: { 'last-event-id': `${RUN}:395` } })
    let text = ''
    for await (const piece of readText(rest)) text += piece
    expect(text).toBe('396 397 398 399 400 ')
  })

  it('is read over one connection, however many read', async () => {
    const redis = await startServer()
    const client = new Redis(redis.port, '127.0.0.1')
    closing.push(() => client.disconnect())
    const [log, other] = [openLog(redis), openLog(redis)]
    const told = [tokenSource(), tokenSource(), tokenSource()]
    const runs = told.map(({ source }, index) => record(source, { log, runId: `${RUN}-${index}`, owner: 'ann' }))
    const url = await serve(tokenSource().source, log, {}, other)
    await Promise.all(told.map(({ called }) => called))
    for (const { say } of told) say('first ')
    const readers = Array.from({ length: 60 }, (_, index) =>
      openClient(`${url}/other`, { headers: { 'last-event-id': `${RUN}-${index % 3}:0` } }),
    )
    for (const reader of readers) await reader.until('first ')
    const clients = String(await client.client('LIST'))
      .trim()
      .split('\n')
    // This test's own, and each log's two: one for commands, one that listens.
    expect(clients).toHaveLength(5)
    for (const { say, end } of told) {
      say('last')
      end()
    }
    for (const reader of readers) await reader.until('[DONE]')
    await Promise.all(runs)
  })

  it('is followed without reading the store, and with no hole where messages were lost', async () => {
    const redis = await startServer()
    const client = new Redis(redis.port, '127.0.0.1')
    closing.push(() => client.disconnect())
    const [log, other] = [openLog(redis), openLog(redis)]
    const told = tokenSource()
    const run = record(told.source, { log, runId: RUN, owner: 'ann' })
    const url = await serve(tokenSource().source, log, {}, other)
    await told.called
    told.say('first ')
    const readers = Array.from({ length: 5 }, () =>
      openClient(`${url}/other`, { headers: { 'last-event-id': `${RUN}:0` } }),
    )
    for (const reader of readers) await reader.until('first ')
    const say = async (token: string) => {
      told.say(token)
      for (const reader of readers) await reader.until(JSON.stringify({ text: token }))
    }
    // The first ones may come while somebody still reads what was there.
    for (let n = 0; n < 5; n++) await say(`a${n} `)
    const before = await readings()
    for (let n = 0; n < 40; n++) await say(`größer\n${n} `)
    // Now and then a follower looks whether the producer is alive, and reads then too.
    expect((await readings()) - before).toBeLessThan(20)

    await client.call('CLIENT', 'KILL', 'TYPE', 'pubsub')
    for (let n = 0; n < 5; n++) await say(`b${n} `)
    told.end()
    const tokens = ['first ', ...numbered('a', 5), ...numbered('größer\n', 40), ...numbered('b', 5)]
    const events = [...tokens.map((text) => JSON.stringify({ text })), '[DONE]']
    const whole = events.map((data, n) => `id: ${RUN}:${n + 1}\ndata: ${data}\n\n`).join('')
    for (const reader of readers) {
      await reader.until('[DONE]')
      await reader.closed
      expect(reader.received.replaceAll(/^: \n\n?/gm, '')).toBe(whole)
    }
    await run

    function numbered(word: string, count: number) {
      return Array.from({ length: count }, (_, n) => `${word}${n} `)
    }

    async function readings() {
      return Number(/^cmdstat_xrange:calls=(\d+)/m.exec(await client.info('commandstats'))?.[1])
    }
  })
})

describe.skipIf(!hasRedis)('what Redis keeps of a run', () => {
  it('has no ids, and is read with those that it was told with, whatever looks like one', async () => {
    const redis = await startServer()
    const [here, there] = [openLog(redis), openLog(redis)]
    const source = () => [
      'a word',
      `\n\nid: ${RUN}:2\ndata: `,
      { event: 'note', data: `id: ${RUN}:1\n\nid: ${RUN}:9\n\n` },
      { data: `\nid: ${RUN}:4` },
      { event: 'retried', data: '', retry: 1000 },
      ...Array.from({ length: 300 }, (_, index) => `id: ${RUN}:${index} `),
    ]
    const options = { log: here, runId: RUN, owner: 'ann' }
    const told = await (await web.relay(new Request('http://localhost/'), source, options)).text()
    expect(told).toContain(`id: ${RUN}:306\ndata: [DONE]`)
    const request = new Request('http://localhost/', { headers: { 'last-event-id': `${RUN}:0` } })
    expect(await (await web.resume(request, { log: there, owner: 'ann' })).text()).toBe(told)

    const client = new Redis(redis.port, '127.0.0.1')
    closing.push(() => client.disconnect())
    const entries = await client.xrange(`sse-relay:{${RUN}}:frames`, '-', '+')
    const kept = entries.map(([, [, , , text]]) => text).join('')
    // The ids of 306 events, and not what the model said.
    const ids = told.match(new RegExp(`^id: ${RUN}:\\d+\\n`, 'gm'))?.join('') as string
    expect(kept).toHaveLength(told.length - ids.length)
  })
})
