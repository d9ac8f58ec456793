import { fileURLToPath } from 'node:url'
import { collect, openClient } from 'sse-relay/testing'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type Serving, serve } from '../../test/hosts/runtimes/programs.js'
import { checkPage, type Provider, provider } from '../check-resume.js'

const QUESTION = {
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify({ messages: [{ role: 'user', content: 'What is an event stream?' }] }),
}

describe('the example for answers that go on', () => {
  let told: Provider
  let server: Serving
  let url: string
  const start = (env: Record<string, string> = {}) =>
    serve(process.execPath, [fileURLToPath(new URL('server.js', import.meta.url))], {
      env: { PORT: '0', ANTHROPIC_API_KEY: 'test', ANTHROPIC_BASE_URL: told.url, ...env },
    })
  const named = (runId: string) => ({ ...QUESTION, headers: { ...QUESTION.headers, 'x-run-id': runId } })

  beforeAll(async () => {
    told = await provider()
    server = await start()
    url = `${server.url}/api/chat`
  })
  afterEach(({ task }) => {
    if (task.result?.state === 'fail') console.error(server?.output.slice(-4000))
  })
  afterAll(async () => {
    await server?.close()
    await told?.close()
  })

  it('gives the rest to whoever lost the connection: the whole answer once, and one question to the provider', async () => {
    const first = openClient(url, QUESTION)
    const { say, end, aborted } = await told.asked()
    const calls = told.calls
    say('one ')
    await first.until('one ')
    const { 'x-run-id': runId } = await first.headers
    first.reset()
    await first.closed
    say('two ')
    const second = openClient(url, { headers: { 'last-event-id': `${runId}:1` } })
    await second.until('two ')
    say('three')
    end()
    await second.closed
    expect(await collect(second.received)).toMatchObject({ outcome: 'done', text: 'two three' })
    expect(second.received).not.toContain('one ')
    expect(await aborted).toBe(false)
    // Whoever comes after the end has all of it.
    const whole = await collect(await fetch(url, { headers: { 'last-event-id': `${runId}:0` } }))
    expect(whole).toMatchObject({ outcome: 'done', text: 'one two three' })
    expect(told.calls).toBe(calls)
  })

  it('does not ask the provider again for a question that is sent again under its id', async () => {
    const runId = crypto.randomUUID()
    const first = openClient(url, named(runId))
    const { say, end } = await told.asked()
    const calls = told.calls
    say('one ')
    await first.until('one ')
    const again = openClient(url, named(runId))
    await again.until('one ')
    end()
    for (const { closed } of [first, again]) await closed
    expect(await collect(first.received)).toMatchObject({ outcome: 'done', text: 'one ' })
    expect(again.received).toBe(first.received)
    expect(told.calls).toBe(calls)
  })

  it('is stopped from another connection, before the first token', async () => {
    const runId = crypto.randomUUID()
    const reader = openClient(url, named(runId))
    const { aborted } = await told.asked()
    const { status } = await fetch(`${url}/${runId}`, { method: 'DELETE' })
    expect(status).toBe(204)
    expect(await aborted).toBe(true)
    await reader.closed
    expect(await reader.status).toBe(409)
    expect(JSON.parse(reader.received)).toMatchObject({ error: { code: 'stopped' } })
  })

  it('has nothing for an id that nobody has', async () => {
    const answer = await fetch(url, { headers: { 'last-event-id': `${crypto.randomUUID()}:0` } })
    expect([answer.status, (await collect(answer)).error?.code]).toEqual([404, 'run-not-found'])
    expect((await fetch(`${url}/no-such-run`, { method: 'DELETE' })).status).toBe(204)
  })

  it.each([
    ['lets an answer come to its end', '10000', true],
    ['tells who reads one that takes longer than the grace', '200', false],
  ])('at SIGTERM %s, and goes with exit code 0', async (_, graceMs, isInTime) => {
    const other = await start({ GRACE_MS: graceMs })
    try {
      const reader = openClient(`${other.url}/api/chat`, QUESTION)
      const { say, end, aborted } = await told.asked()
      say('one ')
      await reader.until('one ')
      other.terminate()
      if (isInTime) {
        // Refused: it takes nothing new.
        await expect.poll(() => fetch(other.url).catch(() => 'refused'), { timeout: 10_000 }).toBe('refused')
        say('two')
        end()
      }
      expect(await reader.closed).toMatchObject({ complete: true, by: 'server' })
      expect(await collect(reader.received)).toMatchObject(
        isInTime ? { outcome: 'done', text: 'one two' } : { outcome: 'shutdown', text: 'one ' },
      )
      expect(await aborted).toBe(!isInTime)
      expect(await other.ended).toBe('exit 0')
    } finally {
      await other.close()
    }
  })

  checkPage(() => ({ url: server.url, provider: told }))
})
