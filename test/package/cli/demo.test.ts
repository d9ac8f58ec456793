// Whether the demo answers as its page, and a curl beside it, are told that it does.
import { once } from 'node:events'
import { request } from 'node:http'
import { networkInterfaces } from 'node:os'
import { json } from 'node:stream/consumers'
import { parseSSE } from 'sse-relay/client'
import { collect, providerError, type ReplayUpstream, readTrace, replayUpstream } from 'sse-relay/testing'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { type Demo, startDemo, TOKENS } from './demo.js'

// The demo takes its time, and the machine may be busy.
vi.setConfig({ testTimeout: 90_000, hookTimeout: 60_000 })

const QUESTION = { messages: [{ role: 'user', content: 'What is an event stream?' }] }

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

async function startDemoForTest(): Promise<Demo> {
  const demo = await startDemo()
  cleanups.push(() => demo.stop())
  return demo
}

/** A question without messages: refused as such by whoever is willing to answer. */
async function ask(url: string, headers: Record<string, string>): Promise<{ status?: number; body: unknown }> {
  const sent = request(`${url}/api/chat`, { method: 'POST', headers }).end('{}')
  const [response] = await once(sent, 'response')
  return { status: response.statusCode, body: await json(response) }
}

describe('the answer of the demo', () => {
  let demo: Demo
  beforeAll(async () => {
    demo = await startDemo()
  })
  afterAll(() => demo.stop())

  it('prints its address, whom it asks and a line to copy, without colour codes', () => {
    expect(demo.output()).toContain('replayed answer: no key set')
    expect(demo.output()).toContain(`curl -N ${demo.url}/api/chat`)
    expect(demo.output()).not.toContain('\u001b')
  })

  it('streams in the default protocol, and ends with the sentinel', async () => {
    const response = await demo.post(QUESTION)
    expect(response.headers.get('content-type')).toBe('text/event-stream; charset=utf-8')
    let body = ''
    let pieces = 0
    for await (const piece of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
      body += piece
      pieces++
    }
    // A machine that is busy joins some; what gathers joins all. That nothing is held back is tried with a silent provider.
    expect(pieces).toBeGreaterThan(2)
    expect(body.startsWith('data: {"text":"An"}\n\ndata: {"text":" event"}\n\n')).toBe(true)
    expect(body.endsWith('data: [DONE]\n\n')).toBe(true)

    const { text, outcome, events } = await collect(body)
    expect(outcome).toBe('done')
    expect(events).toHaveLength(TOKENS)
    expect(text).toContain('日本語, ελληνικά, हिन्दी, العربية, українська. So does a rocket 🚀.')
    await demo.printed(/^done +events 138 +first \d+ ms +in all \d+ ms +tokens in 14, out 138$/m)
  })

  it('answers a provider that is overloaded before the first token with 503, as JSON', async () => {
    const response = await demo.post({ ...QUESTION, demo: 'overloaded' })
    expect(response.status).toBe(503)
    expect(await response.json()).toEqual({
      error: { code: 'overload', message: expect.any(String), retryable: true },
    })
  })

  it('tells an error in mid-answer, and an answer without an ending, from a complete one', async () => {
    const [midway, cut] = await Promise.all(
      ['midway', 'cut'].map(async (failure) => collect(await demo.post({ ...QUESTION, demo: failure }))),
    )
    expect(midway).toMatchObject({ status: 200, outcome: 'error', error: { code: 'overload', retryable: true } })
    expect(midway?.events).toHaveLength(TOKENS / 2)
    expect(cut).toMatchObject({ status: 200, outcome: 'truncated', error: { code: 'truncated', retryable: true } })
    expect(cut?.events).toHaveLength(TOKENS / 2)
  })

  it('closes the request upstream when the client leaves while the model is silent', async () => {
    // On a busy machine the client may have left before the demo has asked, and then there is nothing to close.
    let end: { state?: string } = {}
    for (let time = 0; time < 10 && end.state !== 'closed'; time++) {
      const ask = `left-in-silence-${time}`
      const leaving = new AbortController()
      const response = demo.post({ ...QUESTION, ask }, { signal: leaving.signal })
      setTimeout(() => leaving.abort(), 150)
      await expect(response).rejects.toThrow('aborted')
      end = await demo.upstreamOf(ask)
    }
    expect(end).toMatchObject({ state: 'closed', by: 'client', sent: 0 })
  })

  it.each([
    ['no JSON', '{', 400, 'invalid-json'],
    ['no object', null, 400, 'invalid-messages'],
    ['no messages', {}, 400, 'invalid-messages'],
    ['an empty list of messages', { messages: [] }, 400, 'invalid-messages'],
    ['no message', { messages: [null] }, 400, 'invalid-messages'],
    ['an unknown role', { messages: [{ role: 'system', content: 'Hi' }] }, 400, 'invalid-messages'],
    ['content that is no string', { messages: [{ role: 'user', content: 1 }] }, 400, 'invalid-messages'],
    ['an unknown failure', { ...QUESTION, demo: 'fire' }, 400, 'invalid-demo'],
    ['an id that is none', { ...QUESTION, ask: '../../x' }, 400, 'invalid-ask'],
    ['more than 1 MB', ' '.repeat(1024 * 1024 + 1), 413, 'body-too-large'],
  ])('refuses a body that is %s', async (_, body, status, code) => {
    const response = await demo.post(body)
    expect(response.status).toBe(status)
    expect(await response.json()).toEqual({ error: { code, message: expect.any(String), retryable: false } })
  })

  it.each([
    ['PUT', '/api/chat', 405],
    ['GET', '/api/chat/run', 405],
    ['POST', '/', 405],
    ['GET', '/nothing', 404],
    ['GET', '/sse-relay/nothing.js', 404],
    ['GET', '/sse-relay/..%2f..%2fpackage.json', 404],
    ['GET', '/sse-relay/index.d.ts', 404],
  ])('refuses %s %s', async (method, path, status) => {
    expect((await fetch(demo.url + path, { method })).status).toBe(status)
  })

  it.each([
    ['another site, as a browser says it', { 'sec-fetch-site': 'cross-site' }, 'cross-site'],
    ['another port, as a browser says it', { 'sec-fetch-site': 'same-site' }, 'cross-site'],
    ['another site, by its origin alone', { origin: 'https://evil.example' }, 'cross-site'],
    ['another port, by its origin alone', { origin: 'http://localhost:1' }, 'cross-site'],
    ['a file or a sandbox', { origin: 'null' }, 'cross-site'],
    ['a name that was made to lead here', { host: 'evil.example' }, 'foreign-host'],
    ['a name that only looks like this machine’s', { host: 'localhost.evil.example' }, 'foreign-host'],
    ['this machine’s address in a network', { host: '192.168.0.2:3000' }, 'foreign-host'],
  ])('does not answer the page of %s', async (_, headers, code) => {
    expect(await ask(demo.url, headers)).toMatchObject({ status: 403, body: { error: { code } } })
  })

  it('answers its own page, and under every name of this machine', async () => {
    const { host, port } = new URL(demo.url)
    const callers: Record<string, string>[] = [
      { origin: `http://${host}`, 'sec-fetch-site': 'same-origin' },
      { host: `127.0.0.1:${port}`, origin: `http://127.0.0.1:${port}` },
      { host: `[::1]:${port}` },
      { host: `demo.localhost:${port}` },
    ]
    for (const headers of callers) {
      expect(await ask(demo.url, headers)).toMatchObject({ status: 400, body: { error: { code: 'invalid-messages' } } })
    }
  })

  it('is reached from this machine alone, unless --host says otherwise', async () => {
    const lan = Object.values(networkInterfaces())
      .flatMap((addresses) => addresses ?? [])
      .find(({ internal, family }) => !internal && family === 'IPv4')
    const open = await startDemo({}, ['--host', '0.0.0.0'])
    cleanups.push(() => open.stop())
    expect(await ask(open.url, { host: 'my.machine' })).toMatchObject({ status: 400 })
    if (!lan) return
    const at = (url: string) => `http://${lan.address}:${new URL(url).port}`
    expect(await ask(at(open.url), {})).toMatchObject({ status: 400 })
    await expect(ask(at(demo.url), {})).rejects.toMatchObject({ code: 'ECONNREFUSED' })
  })

  it('keeps an answer that is to be kept: a reader whose connection is cut gets the rest, and the provider is asked once', async () => {
    const runId = 'run-of-the-demo-0001'
    const cut = await demo.post(
      { ...QUESTION, keep: true, ask: 'kept-and-cut' },
      { headers: { 'content-type': 'application/json', 'x-run-id': runId } },
    )
    const reader = cut.body?.getReader()
    await reader?.read()
    expect((await fetch(`${demo.url}/api/chat/${runId}/connection`, { method: 'DELETE' })).status).toBe(204)
    await expect(
      (async () => {
        while (!(await reader?.read())?.done);
      })(),
    ).rejects.toThrow()
    const rest = await collect(await fetch(`${demo.url}/api/chat`, { headers: { 'last-event-id': `${runId}:0` } }))
    expect(rest.outcome).toBe('done')
    expect(rest.events).toHaveLength(TOKENS)
    expect(await demo.upstreamOf('kept-and-cut')).toMatchObject({ state: 'closed', by: 'server', calls: 1 })
  })

  it('stops an answer that is kept when it is told to', async () => {
    const runId = 'run-of-the-demo-0002'
    const answer = collect(
      await demo.post(
        { ...QUESTION, keep: true, ask: 'kept-and-stopped' },
        { headers: { 'content-type': 'application/json', 'x-run-id': runId } },
      ),
    )
    expect((await fetch(`${demo.url}/api/chat/${runId}`, { method: 'DELETE' })).status).toBe(204)
    expect((await answer).error?.code).toBe('stopped')
    expect(await demo.upstreamOf('kept-and-stopped')).toMatchObject({ state: 'closed', by: 'client' })
  })

  it.each(['SIGTERM', 'SIGINT'] as const)('ends cleanly on %s, and with it the answers under way', async (signal) => {
    const ending = await startDemoForTest()
    const response = await ending.post(QUESTION)
    const exitCode = ending.stop(signal)
    const { outcome, error } = await collect(response)
    expect({ outcome, code: error?.code }).toEqual({ outcome: 'shutdown', code: 'shutdown' })
    expect(await exitCode).toBe(0)
    expect(ending.output()).toMatch(/^shutdown /m)
  })

  it('says which port is taken', async () => {
    const { port } = new URL(demo.url)
    await expect(startDemo({ PORT: port })).rejects.toThrow(`Port ${port} is taken`)
  })
})

describe.each([
  { provider: 'Anthropic', path: '', name: 'anthropic' as const, trace: 'anthropic-text.sse' },
  { provider: 'OpenAI', path: '/v1', name: 'openai' as const, trace: 'openai-chat-text.sse' },
])('the demo with a key of $provider', ({ provider, path, name, trace }) => {
  let upstream: ReplayUpstream
  let demo: Demo
  beforeAll(async () => {
    upstream = await replayUpstream()
    const prefix = provider.toUpperCase()
    demo = await startDemo({
      [`${prefix}_API_KEY`]: 'sk-secret',
      [`${prefix}_BASE_URL`]: upstream.url + path,
      [`${prefix}_MODEL`]: 'a-model',
    })
  })
  afterAll(async () => {
    await demo?.stop()
    await upstream?.close()
  })

  it('asks that provider, and says so', async () => {
    const asked = upstream.request()
    expect(await collect(await demo.post(QUESTION))).toMatchObject({
      outcome: 'done',
      text: expect.stringContaining('Hello there'),
    })
    const { json } = await asked
    expect(json).toMatchObject({ model: 'a-model', stream: true })
    expect(JSON.stringify(json)).toContain('What is an event stream?')
    expect(demo.output()).toContain(`${provider}, a-model`)
    expect(await (await fetch(`${demo.url}/api/provider`)).json()).toEqual({ name: `${provider}, a-model`, real: true })
  })

  it.each([4, 5, 6])('hands on all that came while the provider is silent after its frame %i', async (stallAfter) => {
    const frames = readTrace(trace)
      .toString()
      .split(/(?<=\n\n)/)
      .slice(0, stallAfter)
    const due = [...frames.join('').matchAll(/"(?:text|content)":"([^"]+)"/g)].map(([, token]) =>
      JSON.parse(`"${token}"`),
    )
    expect(due).not.toEqual([])
    upstream.next({ stallAfter })
    const leaving = new AbortController()
    const response = await demo.post(QUESTION, { signal: leaving.signal })
    const seen: unknown[] = []
    for await (const { data } of parseSSE(response)) {
      seen.push(JSON.parse(data).text)
      if (seen.length === due.length) break
    }
    expect(seen).toEqual(due)
    leaving.abort()
  })

  it('aborts the call when the client leaves, and claims no more than that', async () => {
    upstream.next({ stallAfter: 4 })
    const asked = upstream.request()
    const leaving = new AbortController()
    const response = await demo.post({ ...QUESTION, ask: 'left-halfway' }, { signal: leaving.signal })
    const { value } = (await response.body?.getReader().read()) ?? {}
    expect(value).toBeDefined()
    leaving.abort()
    const end = { state: 'closed', by: 'aborted', afterMs: expect.any(Number) }
    expect(await demo.upstreamOf('left-halfway')).toEqual(end)
    expect(await (await asked).closed).toMatchObject({ by: 'client' })
  })

  it('shows the words of the provider in its log only', async () => {
    upstream.next(providerError(name, 401, 'The key sk-secret is wrong'))
    const response = await demo.post(QUESTION)
    expect(response.status).toBe(502)
    expect(await response.text()).not.toContain('sk-secret')
    await demo.printed(/The key sk-secret is wrong/)
  })
})
