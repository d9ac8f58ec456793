// What is Fastify's own: hooks, its error handler, inject, and replies that are not the relay's.

import { setTimeout as sleep } from 'node:timers/promises'
import cors from '@fastify/cors'
import Fastify, { type FastifyInstance } from 'fastify'
import { relay, resume } from 'sse-relay/fastify'
import { createMemoryLog } from 'sse-relay/log'
import { collect, openClient, stalling, throwing, tokens } from 'sse-relay/testing'
import { afterEach, expect, it, onTestFinished, vi } from 'vitest'
import { Feed } from '../../src/testing/conformance/adapter-harness.js'

const frame = (token: string) => `data: ${JSON.stringify({ text: token })}\n\n`

/** What the apps complain of. */
const logged: string[] = []
afterEach(() => expect(logged).toEqual([]))

function create(): FastifyInstance {
  const app = Fastify({ logger: { level: 'warn', stream: { write: (line: string) => void logged.push(line) } } })
  onTestFinished(() => app.close())
  return app
}

const listen = (app: FastifyInstance) => app.listen({ port: 0, host: '127.0.0.1' })

const HELLO = `${frame('Hello')}data: [DONE]\n\n`

it('runs the onSend hooks, asynchronous ones too, and sends what they set', async () => {
  const app = create()
  const seen: unknown[] = []
  app.addHook('onSend', async (_, reply, payload) => {
    await sleep(5)
    seen.push(reply.statusCode, reply.getHeader('content-type'))
    reply.header('set-cookie', 'session=2').header('x-limit', '9')
    return payload
  })
  app.get('/', (request, reply) => {
    reply.header('set-cookie', 'session=1')
    return relay(request, reply, () => tokens('Hello'), { headers: { 'set-cookie': 'mine=1' } })
  })
  const response = await fetch(await listen(app))
  expect(await response.text()).toBe(HELLO)
  expect(seen).toEqual([200, 'text/event-stream; charset=utf-8'])
  expect(response.headers.getSetCookie()).toEqual(['session=1', 'mine=1', 'session=2'])
  expect(response.headers.get('x-limit')).toBe('9')
})

it('runs the onSend hooks on a failure before the first token, and on HEAD', async () => {
  const app = create()
  const seen: unknown[] = []
  app.addHook('onSend', async (_, reply) => {
    seen.push(reply.statusCode)
    reply.header('x-late', '1')
  })
  app.get('/', (request, reply) => {
    const busy = Object.assign(new Error('busy'), { status: 429 })
    return relay(request, reply, () => throwing(busy), { onError() {} })
  })
  const url = await listen(app)
  const refused = await fetch(url)
  expect([refused.status, refused.headers.get('x-late')]).toEqual([429, '1'])
  expect(await refused.json()).toMatchObject({ error: { code: 'rate-limit' } })
  // The route that Fastify makes of a GET by itself.
  const head = await fetch(url, { method: 'HEAD' })
  expect([head.status, head.headers.get('x-late')]).toEqual([200, '1'])
  expect(head.headers.get('content-type')).toBe('text/event-stream; charset=utf-8')
  expect(head.headers.has('content-length')).toBe(false)
  expect(seen).toEqual([429, 200])
})

it('runs the onResponse hooks after the end, with the status of the answer', async () => {
  const app = create()
  let over: (status: number) => void
  const status = new Promise<number>((resolve) => {
    over = resolve
  })
  const order: string[] = []
  app.addHook('onResponse', async (_, reply) => {
    order.push('onResponse')
    over(reply.statusCode)
  })
  app.get('/', (request, reply) =>
    relay(request, reply, () => tokens('Hello'), { onEnd: ({ outcome }) => order.push(outcome) }),
  )
  await (await fetch(await listen(app))).text()
  expect(await status).toBe(200)
  expect(order).toEqual(['done', 'onResponse'])
})

it('keeps the headers of @fastify/cors, and answers its preflights', async () => {
  const app = create()
  await app.register(cors, { origin: 'https://app.example', credentials: true })
  app.post('/', (request, reply) => relay(request, reply, () => tokens('Hello')))
  const url = await listen(app)
  const headers = { origin: 'https://app.example' }
  const response = await fetch(url, { method: 'POST', headers })
  expect(await response.text()).toBe(HELLO)
  expect(response.headers.get('access-control-allow-origin')).toBe('https://app.example')
  expect(response.headers.get('access-control-allow-credentials')).toBe('true')
  const preflight = await fetch(url, {
    method: 'OPTIONS',
    headers: { ...headers, 'access-control-request-method': 'POST' },
  })
  expect(preflight.status).toBe(204)
})

it('hands what onError throws to the error handler that Fastify has of its own', async () => {
  const app = create()
  app.get('/', (request, reply) => {
    reply.header('x-early', '1')
    const onError = () => {
      throw Object.assign(new Error('Pay first'), { statusCode: 402 })
    }
    return relay(request, reply, () => throwing(new Error('bug')), { onError })
  })
  const response = await fetch(await listen(app))
  expect(response.status).toBe(402)
  expect(response.headers.get('content-type')).toBe('application/json; charset=utf-8')
  expect(response.headers.get('x-early')).toBe('1')
  expect(await response.json()).toMatchObject({ message: 'Pay first' })
})

it('resolves to the summary in a handler that goes on after it', async () => {
  const app = create()
  const summaries: unknown[] = []
  app.get('/', async (request, reply) => {
    summaries.push(await relay(request, reply, () => tokens('Hello')))
  })
  expect(await (await fetch(await listen(app))).text()).toBe(HELLO)
  await vi.waitFor(() => expect(summaries).toMatchObject([{ outcome: 'done', text: '' }]))
})

it('answers app.inject, as tests of a Fastify app ask it', async () => {
  const app = create()
  app.post('/', (request, reply) => relay(request, reply, () => ['x'.repeat(1_000_000), ...(request.body as string[])]))
  const refusal = Object.assign(new Error('slow down'), { status: 429, headers: { 'retry-after': '7' } })
  app.get('/refused', (request, reply) => relay(request, reply, () => throwing(refusal), { onError() {} }))
  const { statusCode, headers, body } = await app.inject({ method: 'POST', url: '/', payload: ['Hello'] })
  expect(statusCode).toBe(200)
  expect(headers['content-type']).toBe('text/event-stream; charset=utf-8')
  expect(await collect(await app.inject('/refused'))).toMatchObject({
    status: 429,
    headers: { 'retry-after': '7' },
    outcome: 'error',
    error: { code: 'rate-limit', status: 429 },
  })
  expect(await collect(body)).toMatchObject({ outcome: 'done', text: `${'x'.repeat(1_000_000)}Hello` })
})

it.each([
  ['thinks', () => stalling<string>([])],
  ['yields at once', () => stalling(['Hello'])],
])('says what is wrong where an async handler does not wait for a source that %s', async (_, create_) => {
  const app = create()
  const source = create_()
  const onError = vi.fn()
  const onEnd = vi.fn()
  app.get('/', async (request, reply) => {
    relay(request, reply, source, { onError, onEnd })
  })
  expect(await collect(await fetch(await listen(app)))).toMatchObject({
    status: 200,
    error: { code: 'content-type', message: expect.stringContaining('does the handler return, or await,') },
  })
  await vi.waitFor(() => expect(onEnd).toHaveBeenCalledOnce())
  expect(onEnd.mock.lastCall?.[0]).toMatchObject({ outcome: 'error' })
  const message = expect.stringContaining('return what relay returns, or await it')
  expect(onError.mock.calls).toMatchObject([[{ code: 'response-used', message }, {}]])
  await source.until(({ returned }) => returned)
})

it('leaves a reply alone that was hijacked before', async () => {
  const app = create()
  const source = vi.fn(() => tokens('Hello'))
  const onError = vi.fn()
  app.get('/', async (request, reply) => {
    reply.hijack()
    await relay(request, reply, source, { onError })
    reply.raw.end('mine')
  })
  expect(await (await fetch(await listen(app))).text()).toBe('mine')
  expect(onError).toHaveBeenCalledOnce()
  const message = expect.stringContaining('take out reply.hijack(), reply.raw.writeHead()')
  expect(onError.mock.lastCall?.[0]).toMatchObject({ code: 'response-used', message })
  expect(source).not.toHaveBeenCalled()
})

it('is ended by an onSend hook that fails, and leaves the answer to the error handler', async () => {
  const app = create()
  let failures = 0
  app.addHook('onSend', async () => {
    if (failures++ === 0) throw Object.assign(new Error('no session'), { statusCode: 503 })
  })
  const source = stalling(['Hello'])
  const onEnd = vi.fn()
  app.get('/', (request, reply) => relay(request, reply, source, { onEnd, onError() {} }))
  const response = await fetch(await listen(app))
  expect(response.status).toBe(503)
  expect(await response.json()).toMatchObject({ message: 'no session' })
  // Fastify's own log line about the hook.
  expect(logged.splice(0)).toMatchObject([expect.stringContaining('no session')])
  await vi.waitFor(() => expect(onEnd).toHaveBeenCalledOnce())
  expect(onEnd.mock.lastCall?.[0]).toMatchObject({ outcome: 'error', error: { code: 'response-used' } })
  await source.until(({ returned }) => returned)
})

it.each([
  ['before the first token', []],
  ['after it', ['Hello']],
])('has nothing to complain of when a reader leaves %s', async (_, chunks) => {
  const app = create()
  const onEnd = vi.fn()
  let asked: () => void
  const begun = new Promise<void>((resolve) => {
    asked = resolve
  })
  app.get('/', (request, reply) => {
    const source = () => {
      asked()
      return stalling(chunks)
    }
    return relay(request, reply, source, { onEnd })
  })
  const client = openClient(await listen(app))
  await begun
  if (chunks.length > 0) await client.until(frame('Hello'))
  client.reset()
  await vi.waitFor(() => expect(onEnd).toHaveBeenCalledOnce())
  expect(onEnd.mock.lastCall?.[0]).toMatchObject({ outcome: 'disconnected' })
})

it('resumes a run whose reader left, from the event after the last one it had', async () => {
  const app = create()
  const log = createMemoryLog()
  onTestFinished(() => log.close())
  const feed = new Feed('Hello')
  app.post('/', (request, reply) => relay(request, reply, feed.source, { log, owner: 'me' }))
  app.get('/', (request, reply) => resume(request, reply, { log, owner: 'me' }))
  const url = await listen(app)
  const client = openClient(url, { method: 'POST' })
  await client.until(frame('Hello'))
  client.leave()
  feed.push(' there')
  feed.end()
  const runId = (await client.headers)['x-run-id']
  const rest = await collect(await fetch(url, { headers: { 'last-event-id': `${runId}:1` } }))
  expect(rest).toMatchObject({ outcome: 'done', text: ' there', status: 200 })
  const after = await fetch(url, { headers: { 'last-event-id': `${runId}:3` } })
  expect([after.status, await after.text()]).toEqual([204, ''])
  expect((await fetch(url, { headers: { 'last-event-id': `${'0'.repeat(32)}:1` } })).status).toBe(404)
})
