import { type ChildProcess, spawn } from 'node:child_process'
import type { AddressInfo } from 'node:net'
import { connect, createServer, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import Redis from 'ioredis'
import { type Log, record } from 'sse-relay/log'
import { createRedisLog, type RedisLogOptions } from 'sse-relay/redis'
import { relay, resume } from 'sse-relay/web'
import { afterAll, describe, expect, it, vi } from 'vitest'
import { hasRedis, type RedisServer, startRedis } from './redis-server.js'

// What a store can do wrong, and what becomes of the runs: each process here is a log of its own.

// Side by side, since they mostly wait: what they open is closed when all are over.
const closing: (() => unknown)[] = []
afterAll(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

const owner = 'ann'
const LEASE_MS = 1000
/** To know soon that Redis is away. */
const QUICK = { timeoutMs: 300 }
/** Where no lease is to run out, however busy the machine is. */
const UNHURRIED = { leaseMs: 10_000 }
/** Longer than it takes to be declared lost. */
const LONG_MS = LEASE_MS * 2.5
/** With room for a machine that is busy with something else. */
const FREEZE_LEASE_MS = 2000
let runs = 0
const newId = () => `run-of-a-test-${String(++runs).padStart(4, '0')}`

async function startServer(options?: Parameters<typeof startRedis>[0]): Promise<RedisServer> {
  const redis = await startRedis(options)
  closing.push(() => {
    redis.thaw()
    return redis.close()
  })
  return redis
}

/** A log as one process has it. */
function openLog(port: number, options: RedisLogOptions = {}, user: object = {}): Log {
  const client = new Redis(port, '127.0.0.1', { retryStrategy: () => 50, ...user })
  client.on('error', () => {})
  const log = createRedisLog(client, { leaseMs: LEASE_MS, ...options })
  closing.push(
    () => client.disconnect(),
    () => log.close(),
  )
  return log
}

/** A run that says a word when it is told to. */
function speaker(log: Log, runId: string, options: Partial<Parameters<typeof record>[1]> = {}) {
  let wake = () => {}
  const said: string[] = []
  let isOver = false
  const errors: unknown[] = []
  const source = async function* ({ signal }: { signal: AbortSignal }) {
    signal.addEventListener('abort', () => wake())
    while (said.length > 0 || !isOver) {
      signal.throwIfAborted()
      const next = said.shift()
      if (next !== undefined) yield next
      else await new Promise<void>((resolve) => (wake = resolve))
    }
  }
  const onError = (error: unknown) => void errors.push(error)
  const done = record(source, { log, runId, owner, onError, ...options })
  done.catch(() => {})
  const say = (text: string) => {
    said.push(text)
    wake()
  }
  return {
    done,
    errors,
    say,
    /** A word every so often, until something is over. */
    async sayWhile(something: Promise<unknown>) {
      let isDone = false
      something.finally(() => (isDone = true))
      for (let word = 0; !isDone; word++) {
        say(`w${word} `)
        await sleep(20)
      }
    },
    end() {
      isOver = true
      wake()
    },
  }
}

/** A speaker whose run has begun. A machine that is busy may not begin one in its time: then another one does. */
async function begun(here: Log, there: Log) {
  for (;;) {
    const runId = newId()
    const run = speaker(here, runId)
    run.say('first ')
    const isRunning = until(async () => (await there.status(runId, { owner })).state === 'running').then(() => true)
    if (await Promise.race([isRunning, run.done.then(() => false)]).catch(() => false)) return { ...run, runId }
  }
}

function read(log: Log, runId: string, after: number | null = 0) {
  const headers: Record<string, string> = after === null ? {} : { 'last-event-id': `${runId}:${after}` }
  const request = new Request('http://localhost/', { headers })
  const state = { status: 0, text: '', over: Promise.resolve() }
  const response = resume(request, { log, owner, heartbeatMs: 100, runId, onError() {} })
  state.over = response.then(async (answer) => {
    state.status = answer.status
    if (!answer.body) return
    const decoder = new TextDecoder()
    try {
      for await (const chunk of answer.body) state.text += decoder.decode(chunk as Uint8Array, { stream: true })
    } catch {
      // Cut: the client would come again.
    }
  })
  return state
}

/** As a client does: comes back with its last id until it is told an ending. */
async function follow(log: () => Log, runId: string, onReader = (_: { text: string }) => {}): Promise<string> {
  let text = ''
  for (let tries = 0; tries < 200; tries++) {
    const last = Number([...text.matchAll(/^id: [^:]+:(\d+)$/gm)].at(-1)?.[1] ?? 0)
    const reader = read(log(), runId, last)
    onReader(reader)
    await reader.over
    if (reader.status === 200) text += reader.text.replaceAll(/^: ?\n\n?/gm, '')
    else if (reader.status !== 503) return `${text}${reader.status}`
    if (/\[DONE\]|event: error/.test(reader.text)) return text
    await sleep(50)
  }
  return `${text} and no end`
}

const numbers = (text: string) => [...text.matchAll(/^id: [^:]+:(\d+)$/gm)].map(([, seq]) => Number(seq))
const upTo = (last: number) => Array.from({ length: last }, (_, index) => index + 1)
const until = (holds: () => unknown) =>
  vi.waitFor(async () => expect(await holds()).toBeTruthy(), { timeout: 20_000, interval: 20 })

describe.skipIf(!hasRedis).concurrent('nobody is lost whose producer lives: with Redis', () => {
  const faults: Record<string, (redis: RedisServer) => Promise<unknown>> = {
    async 'frozen for longer than two leases'(redis) {
      redis.freeze()
      await sleep(LONG_MS)
      redis.thaw()
    },
    async 'killed, and back after two leases with what it kept'(redis) {
      await redis.kill()
      await sleep(LONG_MS)
      await redis.restart()
    },
    async 'read-only for longer than two leases'(redis) {
      // Of a primary that nobody can reach: what it holds it serves, and it takes nothing.
      await redis.cli('REPLICAOF', '127.0.0.1', '1')
      await sleep(LONG_MS)
      await redis.cli('REPLICAOF', 'NO', 'ONE')
    },
    async 'out of memory for longer than two leases'(redis) {
      await redis.cli('CONFIG', 'SET', 'maxmemory', '1')
      await sleep(LONG_MS)
      await redis.cli('CONFIG', 'SET', 'maxmemory', '0')
    },
    async 'away again and again, never for a lease'(redis) {
      for (let round = 0; round < 4; round++) {
        redis.freeze()
        await sleep(LEASE_MS * 0.8)
        redis.thaw()
        await sleep(150)
      }
    },
  }
  it.each(Object.entries(faults))('%s', async (_, fault) => {
    const redis = await startServer({ args: ['--appendonly', 'yes', '--appendfsync', 'always'] })
    const [here, there] = [openLog(redis.port, QUICK), openLog(redis.port, QUICK)]
    const [talker, thinker] = [await begun(here, there), await begun(here, there)]
    await sleep(100)
    const readers = [talker, thinker].map(({ runId }) => follow(() => there, runId))
    await sleep(100)
    await talker.sayWhile(fault(redis))
    for (const run of [talker, thinker]) {
      run.say('last')
      run.end()
      expect(await run.done).toMatchObject({ outcome: 'done' })
    }
    for (const reader of readers) {
      const text = await reader
      expect(text).toMatch(/"last"\}\n\nid: .*\ndata: \[DONE\]\n\n$/)
      expect(numbers(text)).toEqual(upTo(numbers(text).length))
    }
  })
})

describe.skipIf(!hasRedis).concurrent('a producer that stands still', () => {
  function startWorker(
    { port }: RedisServer,
    runId: string,
    everyMs: number,
  ): { worker: ChildProcess; said: () => string } {
    const file = fileURLToPath(new URL('./producer.mjs', import.meta.url))
    const worker = spawn(process.execPath, [file, ...[port, runId, 300, everyMs, FREEZE_LEASE_MS].map(String)], {
      // What it is told of its loss it prints.
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    let output = ''
    worker.stdout.on('data', (data) => (output += data))
    closing.push(() => worker.kill('SIGKILL'))
    return { worker, said: () => output }
  }

  it.each([
    ['for longer than it takes to be declared lost ends as lost for all, itself included', FREEZE_LEASE_MS * 3, true],
    ['for less than its lease ends as it would have', FREEZE_LEASE_MS * 0.6, false],
    ['for longer than its lease, and not for two, ends as it would have', FREEZE_LEASE_MS * 1.2, false],
  ])('%s', async (_, ms, isLost) => {
    const redis = await startServer()
    const log = openLog(redis.port, { leaseMs: FREEZE_LEASE_MS })
    const runId = newId()
    const { worker, said } = startWorker(redis, runId, 10)
    await until(async () => (await log.status(runId, { owner })).state === 'running')
    const reader = follow(() => log, runId)
    await sleep(300)
    worker.kill('SIGSTOP')
    await sleep(ms)
    // On a busy machine those who look may be late, and then it takes longer.
    if (isLost) await until(async () => (await log.status(runId, { owner })).state === 'ended')
    worker.kill('SIGCONT')
    const text = await reader
    await until(said)
    const { outcome } = JSON.parse(said()) as { outcome: string }
    const late = await follow(() => openLog(redis.port, { leaseMs: FREEZE_LEASE_MS }), runId)
    if (isLost) {
      expect(text).toMatch(/id: [\w-]+:end\nevent: error\ndata: .*"producer-lost"/)
      expect(late).toMatch(/id: [\w-]+:end\nevent: error\ndata: .*"producer-lost"/)
      expect(outcome).toBe('error')
      expect(await log.status(runId, { owner })).toEqual({ state: 'ended', outcome: 'error' })
    } else {
      expect(outcome).toBe('done')
      expect(text).toMatch(/\[DONE\]\n\n$/)
      expect(late).toBe(text)
    }
  })

  it('and is dead is told to whoever comes with any place, as long as the run is kept', async () => {
    const redis = await startServer()
    const log = openLog(redis.port, { leaseMs: FREEZE_LEASE_MS })
    const runId = newId()
    const { worker } = startWorker(redis, runId, 10)
    await until(async () => (await log.status(runId, { owner })).state === 'running')
    let seen = { text: '' }
    const reader = follow(
      () => log,
      runId,
      (first) => (seen = first),
    )
    await until(() => numbers(seen.text).length > 5)
    worker.kill('SIGKILL')
    const last = numbers(await reader).at(-1) as number
    expect(last).toBeGreaterThan(5)
    for (const after of [last, last + 1, last + 1000, 2]) {
      const late = read(openLog(redis.port, { leaseMs: FREEZE_LEASE_MS }), runId, after)
      await late.over
      expect(late.status).toBe(200)
      expect(late.text).toMatch(/id: [\w-]+:end\nevent: error\ndata: .*"producer-lost"/)
    }
    const byId = read(log, runId, null)
    await byId.over
    expect(byId.status).toBe(204)
  })
})

describe.skipIf(!hasRedis).concurrent('a Redis whose user has no channels', () => {
  it.each([
    ['in no process', true, true],
    ['where the run is produced', true, false],
    ['where it is read', false, true],
  ])('%s is read all the same, and not in lumps of a lease', async (_, producerLacks, readerLacks) => {
    const redis = await startServer()
    await redis.cli('ACL', 'SETUSER', 'limited', 'on', '>pw', '~*', '+@all', 'resetchannels')
    const limited = { username: 'limited', password: 'pw' }
    // A third of a lease is what it would take without a look in between.
    const here = openLog(redis.port, { leaseMs: 120_000 }, producerLacks ? limited : {})
    const there = openLog(redis.port, { leaseMs: 120_000 }, readerLacks ? limited : {})
    const runId = newId()
    const run = speaker(here, runId)
    run.say('first ')
    await until(async () => (await there.status(runId, { owner })).state === 'running')
    const reader = read(there, runId)
    await until(() => reader.text.includes('first'))
    for (let word = 0; word < 4; word++) {
      run.say(`word${word} `)
      await until(() => reader.text.includes(`word${word}`))
    }
    // A stop is noted where it cannot be told, and found with what is stored next.
    expect(await there.stop(runId, { owner })).toBe(true)
    run.say('too late')
    expect(await run.done).toMatchObject({ outcome: 'stopped' })
    await reader.over
    expect(reader.text).toMatch(/"stopped"/)
  })
})

describe.skipIf(!hasRedis).concurrent('a Redis that is older than it was', () => {
  it.each([
    ['half a second', 500, 0],
    // Five seconds are kept of a run: the rest is for Redis to come back in.
    ['three and a half seconds', 3500, 0],
    ['half a second, and was away for longer than a lease', 500, 1500],
  ])('by %s is given again what it lacks: readers elsewhere go on, late ones get it all', async (_, ms, awayMs) => {
    const redis = await startServer()
    const [here, there] = [openLog(redis.port), openLog(redis.port)]
    const runId = newId()
    const run = speaker(here, runId)
    run.say('first ')
    await until(async () => (await there.status(runId, { owner })).state === 'running')
    const reader = follow(() => there, runId)
    await run.sayWhile(sleep(300))
    let oldMs: number
    do {
      const from = performance.now()
      await redis.snapshot()
      await run.sayWhile(sleep(ms))
      oldMs = performance.now() - from
      // What it has got since then, the last of it half a second ago, is more than is kept where the machine is too busy.
    } while (oldMs > 4300)
    await redis.kill()
    await run.sayWhile(sleep(awayMs))
    await run.sayWhile(redis.restartFromSnapshot())
    await run.sayWhile(sleep(LEASE_MS))
    run.say('last')
    run.end()
    expect(await run.done).toMatchObject({ outcome: 'done' })
    const text = await reader
    expect(text).toMatch(/"last"\}\n\nid: .*\ndata: \[DONE\]\n\n$/)
    expect(numbers(text)).toEqual(upTo(numbers(text).length))
    expect(await follow(() => openLog(redis.port), runId)).toBe(text)
  })

  it('and lacks more than can be made up goes on behind the gap: who is in it is told 410', async () => {
    const redis = await startServer()
    const [here, there] = [openLog(redis.port), openLog(redis.port)]
    const runId = newId()
    const run = speaker(here, runId)
    run.say('first ')
    await until(async () => (await there.status(runId, { owner })).state === 'running')
    await redis.snapshot()
    let seen = { text: '' }
    const reader = follow(
      () => there,
      runId,
      (first) => (seen = first),
    )
    // More than is kept of a run.
    for (let piece = 0; piece < 8; piece++) {
      run.say('x'.repeat(20_000))
      await until(() => numbers(seen.text).length === piece + 2)
    }
    await redis.restartFromSnapshot()
    await run.sayWhile(sleep(LEASE_MS))
    const late = read(openLog(redis.port), runId, 1)
    await late.over
    expect(late.status).toBe(410)
    run.end()
    const text = await reader
    expect(text).toMatch(/\[DONE\]\n\n$/)
    expect(numbers(text)).toEqual(upTo(numbers(text).length))
  })

  it('than the begin of a run has it again, and stop works', async () => {
    const redis = await startServer()
    const [here, there] = [openLog(redis.port), openLog(redis.port)]
    await redis.snapshot()
    const [running, stopped] = [newId(), newId()]
    const speakers = [running, stopped].map((runId) => speaker(here, runId))
    for (const run of speakers) run.say('first ')
    await until(async () => (await there.status(stopped, { owner })).state === 'running')
    await sleep(100)
    await redis.restartFromSnapshot()
    // Before the producer knows of it.
    await until(async () => (await there.stop(stopped, { owner }).catch(() => undefined)) !== undefined)
    expect(await speakers[1]?.done).toMatchObject({ outcome: 'stopped' })
    await until(async () => (await there.status(running, { owner })).state === 'running')
    expect(await there.stop(running, { owner })).toBe(true)
    expect(await speakers[0]?.done).toMatchObject({ outcome: 'stopped' })
    expect(await follow(() => there, running)).toMatch(/"first .*\n\nid: .*:2\nevent: error\ndata: .*"stopped"/)
  })

  it('than the end of a run is given that end again', async () => {
    const redis = await startServer()
    const [here, there] = [openLog(redis.port), openLog(redis.port)]
    const runId = newId()
    const run = speaker(here, runId)
    run.say('first ')
    await until(async () => (await there.status(runId, { owner })).state === 'running')
    await redis.snapshot()
    run.say('last')
    run.end()
    await run.done
    await redis.restartFromSnapshot()
    const text = await follow(() => there, runId)
    expect(text).toMatch(/"last"\}\n\nid: .*:3\ndata: \[DONE\]\n\n$/)
  })

  it('is none that has let go of a run when its time was over: nobody brings that back', async () => {
    const redis = await startServer()
    const log = openLog(redis.port, { ttlMs: 300 })
    const runId = newId()
    const run = speaker(log, runId)
    run.say('all')
    run.end()
    expect(await run.done).toMatchObject({ outcome: 'done' })
    const stored = async () => /^cmdstat_xadd:calls=(\d+)/m.exec(await redis.cli('INFO', 'commandstats'))?.[1]
    const before = await stored()
    // Its producer looks after it for five seconds, every eight tenths of a lease.
    await sleep(LEASE_MS * 2)
    expect(await stored()).toBe(before)
    expect((await redis.cli('KEYS', '*')).trim()).toBe('')
  })

  it('since a replica that was behind has taken over: the same', async () => {
    const [first, second] = [await startServer(), await startServer()]
    await second.cli('REPLICAOF', '127.0.0.1', String(first.port))
    await until(async () => (await second.cli('INFO', 'replication')).includes('master_link_status:up'))
    // What the clients take for their server.
    let port = first.port
    const sockets = new Set<Socket>()
    const proxy = createServer((socket) => {
      const server = connect(port, '127.0.0.1')
      for (const [from, to] of [[socket, server] as const, [server, socket] as const]) {
        sockets.add(from)
        from.on('error', () => {})
        from.on('close', () => to.destroy())
        from.pipe(to)
      }
    })
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
    closing.push(() => proxy.close())
    const { port: front } = proxy.address() as AddressInfo
    const [here, there] = [openLog(front), openLog(front)]
    const runId = newId()
    const run = speaker(here, runId)
    run.say('first ')
    await until(async () => (await there.status(runId, { owner })).state === 'running')
    const reader = follow(() => there, runId)
    await run.sayWhile(sleep(700))
    second.freeze()
    await run.sayWhile(sleep(1500))
    await first.kill()
    second.thaw()
    await second.cli('REPLICAOF', 'NO', 'ONE')
    port = second.port
    for (const socket of sockets) socket.destroy()
    await run.sayWhile(sleep(LEASE_MS * 2))
    run.end()
    expect(await run.done).toMatchObject({ outcome: 'done' })
    const text = await reader
    expect(text).toMatch(/\[DONE\]\n\n$/)
    expect(numbers(text)).toEqual(upTo(numbers(text).length))
    expect(await follow(() => openLog(second.port), runId)).toBe(text)
  })
})

describe.skipIf(!hasRedis).concurrent('what is read of Redis', () => {
  it('for a replay is no more than a tenth over what the run has, whatever its events are', async () => {
    const redis = await startServer()
    const log = openLog(redis.port)
    const out = async () => Number(/total_net_output_bytes:(\d+)/.exec(await redis.cli('INFO', 'stats'))?.[1])
    for (const [count, size] of [
      [40, 100_000],
      [20_000, 20],
      [3, 1_000_000],
      [200, 15_000],
    ] as const) {
      const runId = newId()
      await record(
        Array.from({ length: count }, () => 'x'.repeat(size)),
        { log, runId, owner },
      )
      const before = await out()
      const reader = read(log, runId)
      await reader.over
      expect(reader.text).toMatch(/\[DONE\]\n\n$/)
      const overhead = ((await out()) - before) / reader.text.length
      expect(overhead, `${count} events of ${size}`).toBeLessThan(1.1)
    }
  })

  it('while nobody reads elsewhere is next to nothing: two commands a second, and no message', async () => {
    const redis = await startServer()
    const [here, there] = [openLog(redis.port, { leaseMs: 10_000 }), openLog(redis.port, { leaseMs: 10_000 })]
    const calls = async (name: string) =>
      Number(new RegExp(`^cmdstat_${name}:calls=(\\d+)`, 'm').exec(await redis.cli('INFO', 'commandstats'))?.[1] ?? 0)
    const runId = newId()
    const run = speaker(here, runId)
    run.say('first ')
    await until(async () => (await there.status(runId, { owner })).state === 'running')
    // That it begins is told, to who may wait for it.
    await until(async () => (await calls('publish')) === 1)
    const [published, scripts, from] = [await calls('publish'), await calls('evalsha'), performance.now()]
    for (let word = 0; word < 100; word++) {
      run.say(`${word} `)
      await sleep(10)
    }
    expect((await calls('publish')) - published).toBe(0)
    // However long that took: two a second, and what the status above has asked.
    expect((await calls('evalsha')) - scripts).toBeLessThan((performance.now() - from) / 500 + 5)
    const reader = read(there, runId)
    // What was not stored yet is stored for who comes.
    await until(() => reader.text.includes('"99 "'))
    run.say('told')
    await until(() => reader.text.includes('"told"'))
    expect((await calls('publish')) - published).toBeGreaterThan(0)
    run.end()
    await reader.over
    expect(numbers(reader.text)).toEqual(upTo(103))
  })
})

describe.skipIf(!hasRedis).concurrent('closing a log', () => {
  it.each(['frozen', 'gone'])('takes its grace and a second, with Redis %s', async (what) => {
    const redis = await startServer()
    const log = openLog(redis.port, UNHURRIED)
    const runIds = [newId(), newId(), newId()]
    const speakers = runIds.map((runId) => speaker(log, runId))
    for (const run of speakers) run.say('first ')
    await until(async () => (await log.status(runIds[2] as string, { owner })).state === 'running')
    if (what === 'frozen') redis.freeze()
    else await redis.kill()
    speakers[0]?.end()
    const from = performance.now()
    await log.close({ graceMs: 300 })
    // It took over a minute once.
    expect(performance.now() - from).toBeLessThan(10_000)
  })
})

describe.skipIf(!hasRedis).concurrent('a page that is loaded', () => {
  it('at any moment around the end of a run finds the run, or what onEnd has saved', async () => {
    const redis = await startServer()
    const [here, there] = [openLog(redis.port, UNHURRIED), openLog(redis.port, UNHURRIED)]
    const runId = newId()
    const saved: string[] = []
    const run = speaker(here, runId, {
      async onEnd({ runId }) {
        await sleep(150)
        saved.push(runId)
      },
    })
    run.say('first ')
    await until(async () => (await there.status(runId, { owner })).state === 'running')
    let isOver = false
    const loads: Promise<string>[] = []
    const load = async (log: Log) => {
      const reader = read(log, runId, null)
      await reader.over
      return reader.status === 200 ? reader.text : saved.includes(runId) ? 'saved' : 'neither'
    }
    setTimeout(() => run.end(), 100)
    until(() => saved.length > 0).then(() => setTimeout(() => (isOver = true), 300))
    while (!isOver) {
      loads.push(load(there), load(here))
      await sleep(5)
    }
    const found = await Promise.all(loads)
    expect(found.filter((what) => what === 'neither')).toEqual([])
    expect(found.filter((what) => what === 'saved').length).toBeGreaterThan(0)
    for (const text of found) if (text !== 'saved') expect(text).toMatch(/"first "\}\n\n[\s\S]*\[DONE\]\n\n$/)
  })
})

describe.skipIf(!hasRedis).concurrent('a question that is stopped on its way', () => {
  it('through another process, while it is in login or moderation, is never asked of the provider', async () => {
    const redis = await startServer()
    const [here, there] = [openLog(redis.port), openLog(redis.port)]
    const runId = newId()
    expect(await there.stop(runId, { owner })).toBe(false)
    await sleep(50)
    const source = vi.fn(() => ['paid'])
    const request = new Request('http://localhost/', { method: 'POST', headers: { 'x-run-id': runId } })
    const answer = await relay(request, source, { log: here, owner })
    expect(answer.status).toBe(409)
    expect(await answer.json()).toMatchObject({ error: { code: 'stopped' } })
    expect(source).not.toHaveBeenCalled()
    expect(await there.status(runId, { owner })).toEqual({ state: 'ended', outcome: 'stopped' })
  })

  it('is kept for five minutes, and no longer', async () => {
    const redis = await startServer()
    const log = openLog(redis.port)
    const runId = newId()
    await log.stop(runId, { owner })
    const ttl = Number(await redis.cli('PTTL', `sse-relay:{${runId}}:stops`))
    expect(ttl).toBeGreaterThan(290_000)
    expect(ttl).toBeLessThanOrEqual(300_000)
  })
})

describe.skipIf(!hasRedis).concurrent('a stop of which Redis takes no note', () => {
  it.each([
    ['full', ['CONFIG', 'SET', 'maxmemory', '1'], ['CONFIG', 'SET', 'maxmemory', '0']],
    ['read-only', ['REPLICAOF', '127.0.0.1', '1'], ['REPLICAOF', 'NO', 'ONE']],
  ])('since it is %s stops the run all the same, and is answered so that it comes again', async (_, fault, mend) => {
    const redis = await startServer()
    const [here, there] = [openLog(redis.port, UNHURRIED), openLog(redis.port, UNHURRIED)]
    const runId = newId()
    const run = speaker(here, runId)
    run.say('first ')
    await until(async () => (await there.status(runId, { owner })).state === 'running')
    const reader = read(there, runId)
    await until(() => reader.text.includes('first'))
    // What is said before its producer listens is heard by nobody.
    await until(async () => (await redis.cli('PUBSUB', 'CHANNELS')).includes(`{${runId}}:producer`))
    await redis.cli(...fault)
    const failed = await there.stop(runId, { owner: 'bob' }).catch((error) => error)
    expect(failed).toBe(false)
    await expect(there.stop(runId, { owner })).rejects.toMatchObject({ code: 'log-failure', retryable: true })
    await until(async () => (await here.status(runId, { owner })).state === 'ended')
    await redis.cli(...mend)
    expect((await run.done).outcome).toBe('stopped')
    await reader.over
    expect(reader.text).toMatch(/"code":"stopped"/)
    expect(await there.stop(runId, { owner })).toBe(false)
  })
})

describe.skipIf(!hasRedis).concurrent('a Redis that drops keys for want of memory', () => {
  it('and has the frames of a run without its head gets the run again, and its readers elsewhere go on', async () => {
    const redis = await startServer()
    const [here, there] = [openLog(redis.port), openLog(redis.port)]
    const runId = newId()
    const run = speaker(here, runId)
    run.say('first ')
    const reader = follow(() => there, runId)
    await run.sayWhile(sleep(LEASE_MS))
    await redis.cli('DEL', `sse-relay:{${runId}}`)
    await run.sayWhile(sleep(LONG_MS))
    run.end()
    expect((await run.done).outcome).toBe('done')
    const text = await reader
    expect(text).toMatch(/\[DONE\]\n\n$/)
    expect(numbers(text)).toEqual(upTo(numbers(text).length))
    expect(await there.status(runId, { owner })).toEqual({ state: 'ended', outcome: 'done' })
  })

  it('and has dropped the events of a run after its end tells who is behind elsewhere that the rest is lost', async () => {
    const redis = await startServer()
    const [here, there] = [openLog(redis.port), openLog(redis.port)]
    const runId = newId()
    const run = speaker(here, runId)
    run.say('first ')
    const response = await resume(new Request('http://localhost/', { headers: { 'last-event-id': `${runId}:0` } }), {
      log: there,
      owner,
      onError() {},
    })
    const reader = (response.body as ReadableStream<Uint8Array>).getReader()
    const decoder = new TextDecoder()
    expect(decoder.decode((await reader.read()).value)).toContain('first ')
    // More than is kept of what was told.
    for (let piece = 0; piece < 60; piece++) run.say(`${piece} `.padEnd(20_000, 'x'))
    run.end()
    expect((await run.done).outcome).toBe('done')
    await redis.cli('DEL', `sse-relay:{${runId}}:frames`)
    let text = ''
    for (let next = await reader.read(); !next.done; next = await reader.read()) text += decoder.decode(next.value)
    expect(text).toContain('"code":"producer-lost"')
    expect(text).not.toContain('[DONE]')
  })

  it.each(['asks under', 'creates'])(
    'and forgot whose a run was hands none of it to who %s its id next',
    async (how) => {
      const redis = await startServer()
      const log = openLog(redis.port)
      const runId = newId()
      await record(['of ann'], { log, runId, owner })
      await redis.cli('DEL', `sse-relay:{${runId}}`)
      if (how === 'creates') await log.create(runId, { owner: 'bob' })
      expect((await record(['of bob'], { log, runId, owner: 'bob' })).outcome).toBe('done')
      const request = new Request('http://localhost/', { headers: { 'last-event-id': `${runId}:0` } })
      const text = await (await resume(request, { log: openLog(redis.port), owner: 'bob' })).text()
      expect(text).toContain('of bob')
      expect(text).not.toContain('of ann')
    },
  )
})
