import { fileURLToPath } from 'node:url'
import { fetchSSE, isRelayError, readText } from 'sse-relay/client'
import { collect, openClient } from 'sse-relay/testing'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { type Serving, serve } from '../../test/hosts/runtimes/programs.js'
import { hasRedis, type RedisServer, startRedis } from '../../test/log/redis-server.js'
import { checkPage, type Provider, provider } from '../check-resume.js'

const LEASE_MS = 2000

describe.skipIf(!hasRedis)('the example with a queue and workers', () => {
  let told: Provider
  let redis: RedisServer
  const running: Serving[] = []

  const start = async (name: string, env: Record<string, string> = {}) => {
    const serving = await serve(process.execPath, [fileURLToPath(new URL(name, import.meta.url))], {
      env: {
        PORT: '0',
        LEASE_MS: String(LEASE_MS),
        REDIS_URL: `redis://127.0.0.1:${redis.port}`,
        ANTHROPIC_API_KEY: 'test',
        ANTHROPIC_BASE_URL: told.url,
        ...env,
      },
    })
    running.push(serving)
    return serving
  }
  /** Asks as the page does. */
  const ask = (api: Serving, runId: string) =>
    fetch(`${api.url}/api/chat`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-run-id': runId },
      body: JSON.stringify({ messages: [{ role: 'user', content: 'What is an event stream?' }] }),
    })
  const read = (api: Serving, runId: string, after = 0) =>
    openClient(`${api.url}/api/chat`, { headers: { 'last-event-id': `${runId}:${after}` } })
  const stop = (api: Serving, runId: string) => fetch(`${api.url}/api/chat/${runId}`, { method: 'DELETE' })

  beforeAll(async () => {
    told = await provider()
    redis = await startRedis()
  })
  afterEach(async ({ task }) => {
    if (task.result?.state === 'fail') for (const { output } of running) console.error(output.slice(-4000))
    for (const serving of running.splice(0)) await serving.close()
  })
  afterAll(async () => {
    await redis?.close()
    await told?.close()
  })

  it('gives the whole answer once: over a cut, from two processes, and one of them killed', async () => {
    const [one, two] = await Promise.all([start('api.js'), start('api.js'), start('worker.js')])
    const runId = crypto.randomUUID()
    expect((await ask(one, runId)).status).toBe(202)
    const { say, end, aborted } = await told.asked()
    const calls = told.calls
    const first = read(one, runId)
    say('one ')
    await first.until('one ')
    first.reset()
    say('two ')
    const second = read(one, runId, 1)
    await second.until('two ')
    await one.close()
    await second.closed
    say('three ')
    const third = read(two, runId, 2)
    await third.until('three ')
    end()
    await third.closed
    expect(await aborted).toBe(false)
    const texts = [second, third].map(({ received }) => received.match(/"text":"\w+ "/g))
    expect(texts).toEqual([['"text":"two "'], ['"text":"three "']])
    expect(
      await collect(await fetch(`${two.url}/api/chat`, { headers: { 'last-event-id': `${runId}:0` } })),
    ).toMatchObject({ outcome: 'done', text: 'one two three ' })
    expect(told.calls).toBe(calls)
  })

  it('lets a question wait in the queue, and its reader with it', async () => {
    const api = await start('api.js')
    const runId = crypto.randomUUID()
    await ask(api, runId)
    let text = ''
    const stream = fetchSSE(`${api.url}/api/chat`, { headers: { 'last-event-id': `${runId}:0` }, runId })
    const reading = (async () => {
      for await (const piece of readText(stream)) text += piece
    })()
    await start('worker.js')
    const { say, end } = await told.asked()
    say('late')
    end()
    await reading
    expect(text).toBe('late')
  })

  it('is stopped from another process, before the first token, and before a worker has taken it', async () => {
    const [one, two] = await Promise.all([start('api.js'), start('api.js')])
    const waiting = crypto.randomUUID()
    await ask(one, waiting)
    const early = read(one, waiting)
    expect((await stop(two, waiting)).status).toBe(204)
    await early.closed
    expect(early.received).toContain('"stopped"')

    const calls = told.calls
    const worker = await start('worker.js')
    // The queue still has the job: nothing is asked for it.
    await expect.poll(() => worker.output, { timeout: 20_000 }).toContain(`${waiting}: stopped`)
    expect(told.calls).toBe(calls)

    const runId = crypto.randomUUID()
    await ask(one, runId)
    const { aborted } = await told.asked()
    const reader = read(one, runId)
    await stop(two, runId)
    expect(await aborted).toBe(true)
    await reader.closed
    expect(reader.received).toContain('"stopped"')
    await expect.poll(() => worker.output, { timeout: 20_000 }).toContain(`${runId}: stopped`)
  })

  it('does not ask twice for a question that is sent twice, while it is answered and after', async () => {
    const [api, worker] = await Promise.all([start('api.js'), start('worker.js')])
    const runId = crypto.randomUUID()
    await Promise.all([ask(api, runId), ask(api, runId)])
    const { say, end } = await told.asked()
    const calls = told.calls
    expect((await ask(api, runId)).status).toBe(202)
    say('once')
    end()
    await expect.poll(() => worker.output, { timeout: 20_000 }).toContain(`${runId}: done`)
    // The queue has forgotten the job by now and gives it out again.
    expect((await ask(api, runId)).status).toBe(202)
    await expect.poll(() => worker.output, { timeout: 20_000 }).toContain(`${runId}: begun before`)
    const reader = read(api, runId)
    await reader.closed
    expect(await collect(reader.received)).toMatchObject({ outcome: 'done', text: 'once' })
    expect(told.calls).toBe(calls)
  })

  it('tells the readers of a worker that is killed, and does not produce its answer again', async () => {
    const [api, worker] = await Promise.all([start('api.js'), start('worker.js')])
    const runId = crypto.randomUUID()
    await ask(api, runId)
    const { say } = await told.asked()
    const calls = told.calls
    const stream = fetchSSE(`${api.url}/api/chat`, { headers: { 'last-event-id': `${runId}:0` }, runId })
    say('half ')
    let text = ''
    const reading = (async () => {
      for await (const piece of readText(stream)) {
        text += piece
        await worker.close()
      }
    })()
    const error = await reading.catch((error) => error)
    expect(isRelayError(error) && error.code).toBe('producer-lost')
    expect(text).toBe('half ')
    // Once its lock is over the queue gives the job to the next worker.
    const other = await start('worker.js')
    await expect.poll(() => other.output, { timeout: 25_000 }).toContain(`${runId}: begun before`)
    expect(told.calls).toBe(calls)
  }, 60_000)

  it('hands its readers over at SIGTERM, and a worker finishes what it has begun', async () => {
    const [one, two, worker] = await Promise.all([start('api.js'), start('api.js'), start('worker.js')])
    const runId = crypto.randomUUID()
    await ask(one, runId)
    const { say, end, aborted } = await told.asked()
    const reader = read(one, runId)
    say('one ')
    await reader.until('one ')
    one.terminate()
    worker.terminate()
    expect(await reader.closed).toMatchObject({ complete: true, by: 'server' })
    expect(reader.received).not.toMatch(/\[DONE\]|event: error/)
    expect(await one.ended).toBe('exit 0')
    const rest = read(two, runId, 1)
    say('two')
    await rest.until('two')
    end()
    await rest.closed
    expect(await collect(rest.received)).toMatchObject({ outcome: 'done', text: 'two' })
    expect(await aborted).toBe(false)
    expect(await worker.ended).toBe('exit 0')
    expect(worker.output).toContain(`${runId}: done`)
  }, 60_000)
})

describe.skipIf(!hasRedis)('the example with a queue and workers, with one command', () => {
  let told: Provider
  let server: Serving

  beforeAll(async () => {
    told = await provider()
    server = await serve(process.execPath, [fileURLToPath(new URL('start.js', import.meta.url))], {
      env: { PORT: '0', ANTHROPIC_API_KEY: 'test', ANTHROPIC_BASE_URL: told.url },
    })
    await vi.waitFor(() => expect(url()).toBeDefined(), 20_000)
  })
  afterEach(({ task }) => {
    if (task.result?.state === 'fail') console.error(server?.output.slice(-4000))
  })
  afterAll(async () => {
    await server?.close()
    await told?.close()
  })

  const url = () =>
    /Open (http:\/\/localhost:\d+)/.exec(server.output)?.[1]?.replace('localhost', '127.0.0.1') as string
  checkPage(() => ({ url: url(), provider: told }))

  it('ends at SIGTERM with all that it started', async () => {
    server.terminate()
    expect(await server.ended).toBe('exit 0')
    await expect(fetch(url())).rejects.toThrow()
  })
})
